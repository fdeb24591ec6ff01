#include "bench/codec.h"
#include "bench/engine.h"

#include <stdlib.h>

/* As the Event Hubs client ships, but for credit: its links get what the service gives, here enough to keep busy. */
#define DELIVERIES   256u
#define OUTPUT_BYTES 16384u
#define CREDIT       1000u
#define PIECES       1024u
#define WIRE_BYTES   (2u << 20)
#define GATHER_BYTES (2u << 20)

struct end {
    struct pair *pair;
    void        *memory;
    rh_engine   *engine;
    rh_link     *link;
};

struct pair {
    const rh_engine_task *task;
    rh_meter             *meter;
    struct end            client, server;
    unsigned              sent, received, told, topped_up;
    bool                  wrong;
    rh_time               now;
    size_t                wire_n[2];
    uint8_t              *wire[2]; /* to the server, to the client */
    uint8_t              *gather;
    uint8_t              (*encoded)[RH_REFERENCE_SENT + 64]; /* one for each delivery */
};

/* -- what the engines tell --------------------------------------------------------------------- */

static void on_begin(void *user, rh_session *session) { (void)user, (void)session; }

static void on_attach(void *user, rh_link *link, const rh_amqp_attach *attach)
{
    struct pair *pair = user;
    if (!rh_link_is_pending(link)) return;
    rh_link_opts opts = { .source_raw = attach->source, .target_raw = attach->target, .gather = pair->gather, .gather_n = GATHER_BYTES };
    pair->server.link = link;
    if (rh_link_accept(link, &opts) != RH_OK || rh_link_credit(link, CREDIT) != RH_OK) pair->wrong = true;
}

static bool is_right(const struct pair *pair, const rh_incoming *incoming)
{
    rh_reference_view view;
    if (!pair->task->codec) return incoming->payload.n >= RH_REFERENCE_SENT;
    return rh_codec_ours.decode(incoming->payload, &view) && view.body.n == RH_REFERENCE_BODY;
}

static void on_delivery(void *user, rh_link *link, const rh_incoming *incoming)
{
    struct pair *pair = user;
    if (!is_right(pair, incoming)) pair->wrong = true;
    if (!incoming->settled && rh_link_settle(link, incoming->delivery_id, incoming->delivery_id, RH_ACCEPTED, NULL, NULL) != RH_OK)
        pair->wrong = true;
    if (++pair->received - pair->topped_up < CREDIT / 2) return;
    pair->topped_up = pair->received;
    if (rh_link_credit(link, CREDIT) != RH_OK) pair->wrong = true;
}

static void on_outcome(void *user, rh_link *link, rh_delivery *delivery, const rh_outcome *outcome)
{
    struct pair *pair = user;
    (void)link, (void)delivery;
    if (outcome->kind != (pair->task->settled ? RH_SENT : RH_ACCEPTED)) pair->wrong = true;
    pair->told++;
}

static const rh_engine_handler handler = { .on_begin = on_begin, .on_attach = on_attach, .on_delivery = on_delivery, .on_outcome = on_outcome };

/* -- moving bytes ------------------------------------------------------------------------------ */

static void charge(const struct pair *pair, const struct end *end, void (*meter)(rh_meter *))
{
    bool measured = (end == &pair->server) == pair->task->receives;
    if (measured && pair->meter) meter(pair->meter);
}

static size_t output(struct pair *pair, struct end *end, uint8_t *wire)
{
    rh_iov iov[PIECES];
    size_t n = 0;
    charge(pair, end, rh_meter_start);
    size_t count = rh_engine_output(end->engine, iov, PIECES);
    charge(pair, end, rh_meter_stop);
    for (size_t i = 0; i < count; i++) {
        memcpy(wire + n, iov[i].p, iov[i].n);
        n += iov[i].n;
    }
    charge(pair, end, rh_meter_start);
    rh_engine_sent(end->engine, n, pair->now);
    if (rh_engine_deadline(end->engine) <= pair->now) rh_engine_tick(end->engine, pair->now);
    charge(pair, end, rh_meter_stop);
    return n;
}

static bool move(struct pair *pair, struct end *from, struct end *to)
{
    uint8_t *wire   = pair->wire[to == &pair->client];
    size_t  *wire_n = &pair->wire_n[to == &pair->client];
    size_t   n      = output(pair, from, wire + *wire_n);
    *wire_n += n;
    if (*wire_n == 0) return false;
    charge(pair, to, rh_meter_start);
    size_t used = rh_engine_input(to->engine, wire, *wire_n, pair->now);
    charge(pair, to, rh_meter_stop);
    memmove(wire, wire + used, *wire_n - used);
    *wire_n -= used;
    return n + used > 0;
}

/* -- the calls of the table -------------------------------------------------------------------- */

static bool make_end(struct pair *pair, struct end *end, bool server)
{
    rh_engine_opts opts = { .size = sizeof opts, .server = server, .deliveries = DELIVERIES, .output_bytes = OUTPUT_BYTES };
    size_t         n    = rh_engine_size(&opts);
    end->pair           = pair;
    end->memory         = malloc(n);
    end->engine         = end->memory ? rh_engine_init(end->memory, n, &opts, &handler, pair) : NULL;
    return end->engine != NULL;
}

static bool attach(struct pair *pair)
{
    rh_amqp_source source = { .address = rh_str("\xa1\x06source") };
    rh_amqp_target target = { .address = rh_str("\xa1\x06target") };
    rh_link_opts   opts   = { .name = rh_str("bench"), .source = &source, .target = &target };
    rh_session    *session;
    if (rh_session_begin(pair->client.engine, NULL, NULL, &session) != RH_OK) return false;
    if (rh_link_attach(session, &opts, NULL, &pair->client.link) != RH_OK) return false;
    bool moved = true;
    while (moved) {
        moved = move(pair, &pair->client, &pair->server);
        moved |= move(pair, &pair->server, &pair->client);
    }
    return !pair->wrong && rh_link_credit_left(pair->client.link) == CREDIT;
}

static void close_pair(void *user)
{
    struct pair *pair = user;
    free(pair->client.memory);
    free(pair->server.memory);
    free(pair->wire[0]);
    free(pair->wire[1]);
    free(pair->gather);
    free(pair->encoded);
    free(pair);
}

static void *open_pair(const rh_engine_task *task)
{
    struct pair *pair = calloc(1, sizeof *pair);
    if (!pair) return NULL;
    pair->task    = task;
    pair->now     = RH_SECONDS(1);
    pair->wire[0] = malloc(WIRE_BYTES);
    pair->wire[1] = malloc(WIRE_BYTES);
    pair->gather  = malloc(GATHER_BYTES);
    pair->encoded = malloc(DELIVERIES * sizeof *pair->encoded);
    bool made     = pair->wire[0] && pair->wire[1] && pair->gather && pair->encoded;
    if (made && make_end(pair, &pair->client, false) && make_end(pair, &pair->server, true) && attach(pair)) return pair;
    close_pair(pair);
    return NULL;
}

static rh_slice message_of(struct pair *pair)
{
    size_t i = pair->sent % RH_REFERENCE_COUNT;
    if (pair->task->batch) return rh_reference_batch();
    if (!pair->task->codec) return rh_reference_sent(i);
    uint8_t *to = pair->encoded[pair->sent % DELIVERIES];
    return rh_slice_of(to, rh_codec_ours.encode(to, sizeof *pair->encoded, rh_reference_event_at(i)));
}

/* As many as credit and slots allow. The slot for an encoded event is free: outcomes come in order, and there are as many. */
static void send_some(struct pair *pair, unsigned until)
{
    while (pair->sent < until && pair->sent - pair->told < DELIVERIES) {
        rh_slice    message  = message_of(pair);
        rh_transfer transfer = { .parts = &message, .part_count = 1, .settled = pair->task->settled };
        if (pair->task->batch) transfer.message_format = RH_FORMAT_BATCH;
        if (rh_link_send(pair->client.link, &transfer, NULL) != RH_OK) return;
        pair->sent++;
    }
}

static bool run(void *user, unsigned messages, rh_meter *meter)
{
    struct pair *pair  = user;
    unsigned     until = pair->told + messages;
    pair->meter        = meter;
    while (pair->told != until && !pair->wrong) {
        charge(pair, &pair->client, rh_meter_start);
        send_some(pair, until);
        charge(pair, &pair->client, rh_meter_stop);
        bool moved = move(pair, &pair->client, &pair->server);
        moved |= move(pair, &pair->server, &pair->client);
        if (!moved) break;
    }
    pair->meter = NULL;
    return !pair->wrong && pair->told == until && pair->received == until;
}

const rh_engines rh_engines_ours = { .name = "ringhub", .open = open_pair, .run = run, .close = close_pair };
