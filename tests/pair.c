/**
 * pair.c: see pair.h.
 */
#include "tests/pair.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#define STORY_MAX ((size_t)1 << 18)
#define TAPE_MAX  ((size_t)1 << 20)

void story(struct end *end, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    if (end->story_n < STORY_MAX - 256) end->story_n += (size_t)vsnprintf(end->story + end->story_n, 256, format, arguments);
    va_end(arguments);
}

static void hook(struct end *end, enum event event, void *handle)
{
    end->count[event]++;
    if (end->hook) end->hook(end, event, handle);
}

/* -- the handler ------------------------------------------------------------------------------- */

static uint8_t on_sasl(void *user, rh_engine *engine, rh_slice mechanism, rh_slice response)
{
    struct end *end = user;
    story(end, "sasl %.*s %zu\n", (int)mechanism.n, (const char *)mechanism.p, response.n);
    hook(end, ON_SASL, engine);
    return end->sasl_code;
}

static void on_open(void *user, rh_engine *engine, const rh_amqp_open *open)
{
    struct end *end = user;
    story(end, "open %.*s\n", (int)open->container_id.n, (const char *)open->container_id.p);
    hook(end, ON_OPEN, engine);
}

static void on_begin(void *user, rh_session *session)
{
    struct end *end = user;
    end->session    = session;
    story(end, "begin\n");
    hook(end, ON_BEGIN, session);
}

static void on_end(void *user, rh_session *session, const rh_error *error)
{
    struct end *end = user;
    end->ended      = *error;
    if (end->session == session) end->session = NULL;
    story(end, "end %d %s\n", error->status, error->condition);
    hook(end, ON_END, session);
}

static void answer(struct end *end, rh_link *link, const rh_amqp_attach *attach)
{
    rh_link_opts opts = { .snd_settle_mode = attach->snd_settle_mode, .source_raw = attach->source, .target_raw = attach->target };
    opts.max_message_size = end->max_message_size;
    if (!end->gathers_late) opts.gather = end->gather, opts.gather_n = end->gather_n;
    rh_status status = rh_link_accept(link, &opts);
    if (status) story(end, "accept %s\n", rh_status_name(status));
}

static void on_attach(void *user, rh_link *link, const rh_amqp_attach *attach)
{
    struct end *end = user;
    end->link       = link;
    story(end, "attach %.*s %s\n", (int)attach->name.n, (const char *)attach->name.p, attach->role ? "receiver" : "sender");
    if (rh_link_is_pending(link) && !end->waits) {
        if (end->refuses) (void)rh_link_refuse(link, "amqp:unauthorized-access", "not you");
        else answer(end, link, attach);
    }
    if (rh_link_is_receiver(link) && end->credit) (void)rh_link_credit(link, end->credit);
    hook(end, ON_ATTACH, link);
}

static void on_detach(void *user, rh_link *link, bool closed, const rh_error *error)
{
    struct end *end = user;
    end->detached   = *error;
    end->for_good   = closed;
    if (end->link == link) end->link = NULL;
    story(end, "detach %d %d %s\n", closed, error->status, error->condition);
    hook(end, ON_DETACH, link);
}

static void on_credit(void *user, rh_link *link)
{
    struct end *end = user;
    story(end, "credit %u\n", rh_link_credit_left(link));
    hook(end, ON_CREDIT, link);
}

static void on_drained(void *user, rh_link *link)
{
    struct end *end = user;
    story(end, "drained\n");
    hook(end, ON_DRAINED, link);
}

static void on_gather(void *user, rh_link *link)
{
    struct end *end = user;
    if (end->gather) (void)rh_link_gather(link, end->gather, end->gather_n);
    hook(end, ON_GATHER, link);
}

static void on_delivery(void *user, rh_link *link, const rh_incoming *incoming)
{
    struct end *end = user;
    end->incoming   = *incoming;
    end->last_n     = incoming->payload.n;
    memcpy(end->last, incoming->payload.p, incoming->payload.n < sizeof end->last ? incoming->payload.n : sizeof end->last);
    end->payload_bytes += incoming->payload.n;
    for (size_t i = 0; i < incoming->payload.n; i++) end->payload_sum = end->payload_sum * 31 + incoming->payload.p[i];
    story(end, "delivery %u %zu %d %llx\n", incoming->delivery_id, incoming->payload.n, incoming->settled, (unsigned long long)end->payload_sum);
    if (end->settles && !incoming->settled) (void)rh_link_settle(link, incoming->delivery_id, incoming->delivery_id, RH_ACCEPTED, NULL, NULL);
    if (end->credit && rh_link_credit_left(link) <= end->credit / 2) (void)rh_link_credit(link, end->credit);
    hook(end, ON_DELIVERY, link);
}

static void keep(char *out, size_t n, rh_slice text)
{
    snprintf(out, n, "%.*s", (int)text.n, text.p ? (const char *)text.p : "");
}

static void on_outcome(void *user, rh_link *link, rh_delivery *delivery, const rh_outcome *outcome)
{
    struct end *end = user;
    end->outcomes[outcome->kind]++;
    keep(end->condition, sizeof end->condition, outcome->condition);
    keep(end->description, sizeof end->description, outcome->description);
    story(end, "outcome %d %s\n", outcome->kind, end->condition);
    (void)link;
    hook(end, ON_OUTCOME, delivery);
}

static void on_close(void *user, rh_engine *engine, const rh_error *error)
{
    struct end *end = user;
    end->closed     = *error;
    story(end, "close %d %s\n", error->status, error->condition);
    hook(end, ON_CLOSE, engine);
}

/* Memory of its own each time, and of exactly the size: what is used too late or too far is found. */
static void *on_room(void *user, rh_engine *engine, size_t n)
{
    struct end *end = user;
    (void)engine;
    end->room_asked++;
    if (end->no_room) return NULL;
    end->rooms++;
    return malloc(n);
}

static void on_room_back(void *user, rh_engine *engine, void *room, size_t n)
{
    struct end *end = user;
    (void)engine;
    end->rooms--;
    end->secret_seen |= memmem(room, n, "canary", 6) != NULL;
    free(room);
}

static const rh_engine_handler handler = {
    .on_sasl = on_sasl, .on_open = on_open, .on_begin = on_begin, .on_end = on_end, .on_attach = on_attach, .on_detach = on_detach,
    .on_credit = on_credit, .on_drained = on_drained, .on_gather = on_gather, .on_delivery = on_delivery, .on_outcome = on_outcome,
    .on_close = on_close, .on_room = on_room, .on_room_back = on_room_back,
};

/* -- ends -------------------------------------------------------------------------------------- */

void end_init(struct end *end, const char *name, const rh_engine_opts *opts)
{
    rh_engine_opts filled = *opts;
    filled.size           = sizeof filled;
    memset(end, 0, sizeof *end);
    end->name     = name;
    end->settles  = true;
    end->story    = malloc(STORY_MAX);
    end->tape     = malloc(TAPE_MAX);
    end->inbox    = malloc((size_t)4 << 20);
    end->gather_n = (size_t)1 << 20;
    end->gather   = malloc(end->gather_n);
    size_t n      = rh_engine_size(&filled);
    end->memory   = malloc(n);
    end->engine   = rh_engine_init(end->memory, n, &filled, &handler, end);
}

void end_fini(struct end *end)
{
    if (end->rooms > 0) rh_engine_lost(end->engine, NULL);
    free(end->memory);
    free(end->inbox);
    free(end->gather);
    free(end->story);
    free(end->tape);
}

rh_status end_begin(struct end *end, const rh_session_opts *opts)
{
    return rh_session_begin(end->engine, opts, end, &end->session);
}

rh_status end_attach(struct end *end, const char *name, bool receiver)
{
    rh_amqp_source source = { .address = rh_str("\xa1\x06source") };
    rh_amqp_target target = { .address = rh_str("\xa1\x06target") };
    rh_link_opts   opts   = { .name = rh_str(name), .receiver = receiver, .source = &source, .target = &target, .max_message_size = end->max_message_size };
    if (receiver && !end->gathers_late) opts.gather = end->gather, opts.gather_n = end->gather_n;
    return rh_link_attach(end->session, &opts, end, &end->link);
}

rh_status end_send_bytes(struct end *end, const void *p, size_t n, bool settled, rh_delivery **out)
{
    rh_slice    part     = rh_slice_of(p, n);
    rh_transfer transfer = { .parts = &part, .part_count = 1, .settled = settled, .user = end };
    return rh_link_send(end->link, &transfer, out);
}

rh_status end_send(struct end *end, const char *text, bool settled)
{
    return end_send_bytes(end, text, strlen(text), settled, NULL);
}

uint8_t *end_take(struct end *end, size_t *n, rh_time now)
{
    rh_iov iov[64];
    size_t count = rh_engine_output(end->engine, iov, 64);
    size_t total = 0;
    for (size_t i = 0; i < count; i++) total += iov[i].n;
    uint8_t *bytes = malloc(total + 1);
    size_t   at    = 0;
    for (size_t i = 0; i < count; i++) memcpy(bytes + at, iov[i].p, iov[i].n), at += iov[i].n;
    if (end->tape_n + total < TAPE_MAX) memcpy(end->tape + end->tape_n, bytes, total), end->tape_n += total;
    if (total) rh_engine_sent(end->engine, total, now);
    *n = total;
    return bytes;
}

size_t end_feed(struct end *end, const void *p, size_t n, rh_time now)
{
    uint8_t *exact = malloc(n ? n : 1);
    memcpy(exact, p, n);
    size_t used = rh_engine_input(end->engine, exact, n, now);
    free(exact);
    return used;
}

/* Feeds what is in the inbox, at most end->cut new bytes at a time, as a pipe with small reads would. */
static bool drink(struct end *end, rh_time now)
{
    size_t at = 0, seen = 0;
    bool   progress = false;
    while (seen < end->inbox_n) {
        seen += end->cut ? end->cut : end->inbox_n;
        if (seen > end->inbox_n) seen = end->inbox_n;
        size_t used = end_feed(end, end->inbox + at, seen - at, now);
        at += used;
        progress |= used > 0;
    }
    memmove(end->inbox, end->inbox + at, end->inbox_n - at);
    end->inbox_n -= at;
    return progress;
}

static bool move(struct end *from, struct end *to, rh_time now)
{
    size_t n = 0;
    if (!from->mute) {
        uint8_t *bytes = end_take(from, &n, now);
        memcpy(to->inbox + to->inbox_n, bytes, n);
        to->inbox_n += n;
        free(bytes);
    }
    bool progress = n > 0;
    if (!to->deaf) progress |= drink(to, now);
    if (rh_engine_deadline(from->engine) <= now) rh_engine_tick(from->engine, now), progress |= rh_engine_deadline(from->engine) > now;
    return progress;
}

void pair_run(struct pair *pair)
{
    for (uint32_t idle = 0; idle < 3;) {
        bool progress = move(&pair->client, &pair->server, pair->now);
        progress |= move(&pair->server, &pair->client, pair->now);
        idle = progress ? 0 : idle + 1;
    }
}

void pair_wait(struct pair *pair, rh_time duration)
{
    rh_time until = pair->now + duration;
    pair_run(pair);
    while (pair->now < until) {
        rh_time next = rh_engine_deadline(pair->client.engine), other = rh_engine_deadline(pair->server.engine);
        if (other < next) next = other;
        if (next <= pair->now) next = pair->now + RH_MS(1);
        pair->now = next < until ? next : until;
        rh_engine_tick(pair->client.engine, pair->now);
        rh_engine_tick(pair->server.engine, pair->now);
        pair_run(pair);
    }
}

struct pair *pair_new(const struct pair_opts *opts)
{
    struct pair   *pair   = calloc(1, sizeof *pair);
    rh_engine_opts client = opts->client, server = opts->server;
    server.server = true;
    if (opts->window) client.incoming_window = server.incoming_window = opts->window;
    end_init(&pair->client, "client", &client);
    end_init(&pair->server, "server", &server);
    pair->now           = RH_SECONDS(1);
    pair->client.credit = pair->server.credit = opts->no_credit ? 0 : opts->credit ? opts->credit : 100;
    if (opts->half) return pair;
    rh_session_opts session = { .incoming_window = opts->window };
    if (end_begin(&pair->client, &session) != RH_OK || end_attach(&pair->client, "link", opts->receives) != RH_OK) abort();
    pair_run(pair);
    return pair;
}

void pair_free(struct pair *pair)
{
    end_fini(&pair->client);
    end_fini(&pair->server);
    free(pair);
}
