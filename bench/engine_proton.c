/*
 * qpid-proton at its best: a collector that is looked through once a pass, and one buffer for all messages.
 */
#include "bench/codec.h"
#include "bench/engine.h"

#if !__has_include(<proton/transport.h>)
const rh_engines rh_engines_proton = { .name = "qpid-proton" };
#else

#include <proton/connection.h>
#include <proton/delivery.h>
#include <proton/event.h>
#include <proton/link.h>
#include <proton/session.h>
#include <proton/transport.h>
#include <stdlib.h>

#define CREDIT        1000
#define IN_FLIGHT     256u
#define MAX_FRAME     65536u
#define WINDOW_BYTES  (64u << 20)
#define MESSAGE_BYTES (2u << 20)

struct end {
    pn_connection_t *connection;
    pn_transport_t  *transport;
    pn_collector_t  *collector;
    pn_link_t       *link;
};

struct pair {
    const rh_engine_task *task;
    rh_meter             *meter;
    struct end            client, server;
    unsigned              sent, received, told;
    bool                  wrong;
    char                 *message;
};

/* -- moving bytes ------------------------------------------------------------------------------ */

static void charge(const struct pair *pair, const struct end *end, void (*meter)(rh_meter *))
{
    bool measured = (end == &pair->server) == pair->task->receives;
    if (measured && pair->meter) meter(pair->meter);
}

/* One pass: what the one end has ready, as far as the other has room. */
static bool move(struct pair *pair, struct end *from, struct end *to)
{
    charge(pair, from, rh_meter_start);
    ssize_t pending = pn_transport_pending(from->transport);
    charge(pair, from, rh_meter_stop);
    if (pending <= 0) return false;
    charge(pair, to, rh_meter_start);
    ssize_t room = pn_transport_capacity(to->transport);
    charge(pair, to, rh_meter_stop);
    size_t n = room < pending ? (size_t)room : (size_t)pending;
    if (room <= 0) return false;
    memcpy(pn_transport_tail(to->transport), pn_transport_head(from->transport), n);
    charge(pair, from, rh_meter_start);
    pn_transport_pop(from->transport, n);
    charge(pair, from, rh_meter_stop);
    charge(pair, to, rh_meter_start);
    if (pn_transport_process(to->transport, n) != 0) pair->wrong = true;
    charge(pair, to, rh_meter_stop);
    return true;
}

/* -- what the two ends do ---------------------------------------------------------------------- */

static void take_message(struct pair *pair, pn_delivery_t *delivery)
{
    rh_reference_view view;
    size_t            n = pn_delivery_pending(delivery);
    if (n > MESSAGE_BYTES || pn_link_recv(pair->server.link, pair->message, n) != (ssize_t)n) pair->wrong = true;
    rh_slice message = rh_slice_of(pair->message, n);
    if (pair->task->codec && !(rh_codec_proton.decode(message, &view) && view.body.n == RH_REFERENCE_BODY)) pair->wrong = true;
    if (!pn_delivery_settled(delivery)) pn_delivery_update(delivery, PN_ACCEPTED);
    pn_delivery_settle(delivery);
    pair->received++;
    if (pn_link_credit(pair->server.link) <= CREDIT / 2) pn_link_flow(pair->server.link, CREDIT / 2);
}

static void take_outcome(struct pair *pair, pn_delivery_t *delivery)
{
    if (pn_delivery_remote_state(delivery) != PN_ACCEPTED) pair->wrong = true;
    pn_delivery_settle(delivery);
    pair->told++;
}

static void heed(struct pair *pair, struct end *end)
{
    pn_event_t *event;
    charge(pair, end, rh_meter_start);
    for (; (event = pn_collector_peek(end->collector)); pn_collector_pop(end->collector)) {
        if (pn_event_type(event) != PN_DELIVERY) continue;
        pn_delivery_t *delivery = pn_event_delivery(event);
        if (end == &pair->client && pn_delivery_updated(delivery)) take_outcome(pair, delivery);
        if (end == &pair->server && pn_delivery_readable(delivery) && !pn_delivery_partial(delivery)) take_message(pair, delivery);
    }
    charge(pair, end, rh_meter_stop);
}

static rh_slice message_of(struct pair *pair)
{
    size_t i = pair->sent % RH_REFERENCE_COUNT;
    if (pair->task->batch) return rh_reference_batch();
    if (!pair->task->codec) return rh_reference_sent(i);
    size_t n = rh_codec_proton.encode((uint8_t *)pair->message, MESSAGE_BYTES, rh_reference_event_at(i));
    return rh_slice_of(pair->message, n);
}

static void send_some(struct pair *pair, unsigned until)
{
    charge(pair, &pair->client, rh_meter_start);
    while (pair->sent < until && pair->sent - pair->told < IN_FLIGHT && pn_link_credit(pair->client.link) > 0) {
        rh_slice       message  = message_of(pair);
        pn_delivery_t *delivery = pn_delivery(pair->client.link, pn_dtag((const char *)&pair->sent, sizeof pair->sent));
        if (pn_link_send(pair->client.link, (const char *)message.p, message.n) != (ssize_t)message.n) pair->wrong = true;
        pn_link_advance(pair->client.link);
        if (pair->task->settled) {
            pn_delivery_settle(delivery);
            pair->told++;
        }
        pair->sent++;
    }
    charge(pair, &pair->client, rh_meter_stop);
}

/* -- the calls of the table -------------------------------------------------------------------- */

static void make_end(struct end *end, bool server)
{
    end->connection = pn_connection();
    end->transport  = pn_transport();
    end->collector  = pn_collector();
    pn_connection_collect(end->connection, end->collector);
    if (server) pn_transport_set_server(end->transport);
    pn_transport_set_max_frame(end->transport, MAX_FRAME);
    pn_transport_bind(end->transport, end->connection);
    pn_connection_open(end->connection);
}

static void move_all(struct pair *pair)
{
    bool moved = true;
    while (moved && !pair->wrong) {
        moved = move(pair, &pair->client, &pair->server);
        moved |= move(pair, &pair->server, &pair->client);
    }
}

static bool attach(struct pair *pair)
{
    pn_session_t *session = pn_session(pair->client.connection);
    pn_session_open(session);
    pair->client.link = pn_sender(session, "bench");
    pn_terminus_set_address(pn_link_target(pair->client.link), "target");
    pn_link_set_snd_settle_mode(pair->client.link, pair->task->settled ? PN_SND_SETTLED : PN_SND_UNSETTLED);
    pn_link_open(pair->client.link);
    move_all(pair);
    pn_session_t *asked = pn_session_head(pair->server.connection, PN_LOCAL_UNINIT | PN_REMOTE_ACTIVE);
    if (!asked) return false;
    pn_session_set_incoming_capacity(asked, WINDOW_BYTES);
    pn_session_open(asked);
    pair->server.link = pn_link_head(pair->server.connection, PN_LOCAL_UNINIT | PN_REMOTE_ACTIVE);
    if (!pair->server.link) return false;
    pn_link_open(pair->server.link);
    pn_link_flow(pair->server.link, CREDIT);
    move_all(pair);
    return !pair->wrong && pn_link_credit(pair->client.link) == CREDIT;
}

static void free_end(struct end *end)
{
    pn_transport_unbind(end->transport);
    pn_transport_free(end->transport);
    pn_connection_free(end->connection);
    pn_collector_free(end->collector);
}

static void close_pair(void *user)
{
    struct pair *pair = user;
    free_end(&pair->client);
    free_end(&pair->server);
    free(pair->message);
    free(pair);
}

static void *open_pair(const rh_engine_task *task)
{
    struct pair *pair = calloc(1, sizeof *pair);
    if (!pair) return NULL;
    pair->task    = task;
    pair->message = malloc(MESSAGE_BYTES);
    make_end(&pair->client, false);
    make_end(&pair->server, true);
    if (pair->message && attach(pair)) return pair;
    close_pair(pair);
    return NULL;
}

static bool run(void *user, unsigned messages, rh_meter *meter)
{
    struct pair *pair  = user;
    unsigned     until = pair->received + messages;
    pair->meter        = meter;
    while ((pair->received != until || pair->told != until) && !pair->wrong) {
        send_some(pair, until);
        bool moved = move(pair, &pair->client, &pair->server);
        heed(pair, &pair->server);
        moved |= move(pair, &pair->server, &pair->client);
        heed(pair, &pair->client);
        if (!moved) break;
    }
    pair->meter = NULL;
    return !pair->wrong && pair->told == until && pair->received == until;
}

const rh_engines rh_engines_proton = { .name = "qpid-proton", .open = open_pair, .run = run, .close = close_pair };
#endif
