/*
 * qpid-proton C on its proactor, as a contender of the line protocol: one thread, one message filled anew for each event and
 * encoded into one buffer, output gathered by proton while a batch of its events is handled.
 */
#if !__has_include(<proton/proactor.h>)
#include <stdio.h>

int main(void)
{
    puts("missing qpid-proton is not installed");
    return 0;
}
#else

#include "bench/codec.h"
#include "bench/lines.h"
#include "bench/rivals/proton_peer.h"

#include <proton/transport.h>
#include <proton/version.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

#define TEXT_OF(x) #x
#define TEXT(x)    TEXT_OF(x)
#define VERSION    TEXT(PN_VERSION_MAJOR) "." TEXT(PN_VERSION_MINOR) "." TEXT(PN_VERSION_POINT)

/* So much that neither side waits for the other, and no more: what does not stay in a cache costs proton up to twice. */
#define CREDIT        1000
#define UNSETTLED     1000 /* events, or a few batches */
#define UNSENT_BYTES  (1024 * 1024)
#define OVERHEAD      512 /* of an event beyond its body */

static struct {
    rh_order         order;
    pn_proactor_t   *proactor;
    pn_ssl_domain_t *domain;
    struct peer     *peers;
    size_t           peer_count, ready;
    uint8_t         *body, *bytes; /* one body for all events that have not the reference's, and a message */
    size_t           room;
    bool             interrupted;
} world;

static struct {
    rh_turn *turn; /* NULL: nothing runs */
    uint64_t begun, settled, granted;
    uint64_t since;       /* paced: the moment intended for the first; otherwise of the one that is under way */
    double   interval_ns; /* 0: as fast as can be */
    uint64_t unsettled_low, unsettled_high;
    bool     one_by_one, look;
} work;

/* -- events, out ----------------------------------------------------------------------------- */

static rh_reference_event event_at(uint64_t i)
{
    rh_reference_event event = *rh_reference_event_at(i % RH_REFERENCE_COUNT);
    if (world.order.size != RH_REFERENCE_BODY) event.body = rh_slice_of(world.body, world.order.size);
    return event;
}

static size_t encode_one(uint8_t *to, size_t n, uint64_t i)
{
    rh_reference_event event = event_at(i);
    return rh_codec_proton.encode(to, n, &event);
}

/* It cannot set a message-format and has no call for batches: data sections are written around its messages. */
static size_t encode_batch(uint64_t first, uint64_t count)
{
    size_t used = 0;
    for (uint64_t i = 0; i < count; i++) {
        size_t n = encode_one(world.bytes + used + 8, world.room - used - 8, first + i);
        rh_put32(world.bytes + used, 0x005375b0);
        rh_put32(world.bytes + used + 4, (uint32_t)n);
        used += 8 + n;
    }
    return used;
}

/* Every message holds as many events as a batch has, but for the last one. */
static uint64_t events_in_message(uint64_t before)
{
    uint64_t left = work.turn->events - before;
    return left < world.order.batch ? left : world.order.batch;
}

static void send_next(pn_link_t *link)
{
    uint64_t count = events_in_message(work.begun);
    uint32_t tag = (uint32_t)work.begun;
    size_t   n = world.order.batch > 1 ? encode_batch(work.begun, count) : encode_one(world.bytes, world.room, work.begun);

    pn_delivery_t *delivery = pn_delivery(link, pn_dtag((const char *)&tag, sizeof tag));
    pn_link_send(link, (const char *)world.bytes, n);
    pn_link_advance(link);
    work.begun += count;
    if (!world.order.settled) return;
    pn_delivery_settle(delivery);
    work.settled += count;
}

static uint64_t intended(uint64_t i) { return work.since + (uint64_t)((double)i * work.interval_ns); }

static bool may_send(struct peer *peer)
{
    if (work.begun == work.turn->events || pn_link_credit(peer->link) <= 0) return false;
    if (work.one_by_one) return work.begun == work.settled;
    if (work.interval_ns > 0) return intended(work.begun) <= rh_lines_now();
    return pn_session_outgoing_bytes(peer->session) < UNSENT_BYTES;
}

/* Once for each batch of proton's events, when their outcomes are known. */
static void send_more(struct peer *peer)
{
    if (!work.one_by_one && work.begun - work.settled > work.unsettled_low) return;
    while (may_send(peer) && work.begun - work.settled < work.unsettled_high) {
        if (work.one_by_one) work.since = rh_lines_now();
        send_next(peer->link);
    }
    /* Where no outcome will call for more, it is asked for as soon as this is written out. */
    if (world.order.settled && work.interval_ns <= 0 && work.begun < work.turn->events) pn_connection_wake(peer->connection);
}

static void outcome(struct peer *peer, pn_delivery_t *delivery)
{
    if (!pn_delivery_updated(delivery)) return;
    if (pn_delivery_remote_state(delivery) != PN_ACCEPTED) strcpy(peer->words, "an event was not accepted");
    if (work.turn->samples)
        work.turn->samples[work.settled] = rh_lines_now() - (work.interval_ns > 0 ? intended(work.settled) : work.since);
    work.settled += events_in_message(work.settled);
    pn_delivery_settle(delivery);
}

/* -- events, in ------------------------------------------------------------------------------ */

static void grant(pn_link_t *link)
{
    uint64_t open = work.granted - work.settled, left = work.turn->events - work.granted;
    if (open > CREDIT / 2 || left == 0) return;
    uint64_t more = left < CREDIT - open ? left : CREDIT - open;
    pn_link_flow(link, (int)more);
    work.granted += more;
}

static void receive(struct peer *peer, pn_delivery_t *delivery)
{
    if (!pn_delivery_readable(delivery) || pn_delivery_partial(delivery)) return;
    rh_slice body = { 0 };
    size_t   n = pn_delivery_pending(delivery);
    if (n > world.room || pn_link_recv(peer->link, (char *)world.bytes, n) != (ssize_t)n || !rh_codec_proton.lazy(rh_slice_of(world.bytes, n), &body))
        strcpy(peer->words, "an event could not be read");
    if (!pn_delivery_settled(delivery)) pn_delivery_update(delivery, PN_ACCEPTED);
    pn_delivery_settle(delivery);
    work.turn->bytes += body.n;
    work.settled++;
    grant(peer->link);
}

/* -- turning --------------------------------------------------------------------------------- */

static void handle_link(struct peer *peer, pn_event_t *event)
{
    pn_event_type_t type = pn_event_type(event);
    if (!work.turn) return;
    if (type == PN_DELIVERY && peer->is_receiver) receive(peer, pn_event_delivery(event));
    if (type == PN_DELIVERY && !peer->is_receiver) outcome(peer, pn_event_delivery(event));
    if (type == PN_CONNECTION_WAKE && peer->is_receiver) grant(peer->link);
    work.look = true;
}

/* A context is looked up in a table: once an event is dear where there is one peer only. */
static struct peer *peer_of(pn_event_t *event)
{
    pn_connection_t *connection = pn_event_connection(event);
    if (!connection || world.peer_count == 1) return connection ? &world.peers[0] : NULL;
    return pn_connection_get_context(connection);
}

static void handle(pn_event_t *event)
{
    if (pn_event_type(event) == PN_PROACTOR_INTERRUPT) world.interrupted = true;
    struct peer *peer = peer_of(event);
    if (!peer) return;
    enum peer_state before = peer->state;
    if (peer_handle(peer, event)) handle_link(peer, event);
    world.ready += before != PEER_READY && peer->state == PEER_READY;
}

static bool turn_once(bool may_sleep)
{
    pn_event_batch_t *batch = may_sleep ? pn_proactor_wait(world.proactor) : pn_proactor_get(world.proactor);
    if (!batch) return false;
    for (pn_event_t *event; (event = pn_event_batch_next(batch));) handle(event);
    if (work.look && work.turn && !world.peers[0].is_receiver) send_more(&world.peers[0]);
    work.look = false;
    pn_proactor_done(world.proactor, batch);
    return true;
}

/* What ended a peer before its time; NULL: nothing did. */
static const char *trouble(void)
{
    for (size_t i = 0; i < world.peer_count; i++)
        if (world.peers[i].words[0]) return rh_lines_failed("%s", world.peers[i].words);
    return NULL;
}

static const char *connect_all(size_t count)
{
    world.peer_count = count;
    world.ready = 0;
    for (size_t i = 0; i < count; i++) peer_connect(&world.peers[i], world.proactor, world.domain, &world.order);
    while (world.ready < count) {
        turn_once(true);
        const char *said = trouble();
        if (said) return said;
    }
    return NULL;
}

static void close_all(void)
{
    for (size_t i = 0; i < world.peer_count; i++) {
        if (world.peers[i].state == PEER_CLOSED) continue;
        pn_connection_close(world.peers[i].connection);
        pn_connection_wake(world.peers[i].connection);
        while (world.peers[i].state != PEER_CLOSED) turn_once(true);
    }
    world.peer_count = 0;
}

/* -- tasks ----------------------------------------------------------------------------------- */

/* Until the next is due: asleep while nothing is under way, looking again and again while an answer is. */
static void pace(void)
{
    uint64_t due = intended(work.begun);
    if (work.settled < work.begun || work.begun == work.turn->events) {
        if (!turn_once(false)) sched_yield();
    } else if (due > rh_lines_now()) {
        struct timespec at = { (time_t)(due / 1000000000), (long)(due % 1000000000) };
        clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &at, NULL);
    }
    if (work.begun < work.turn->events && due <= rh_lines_now()) {
        pn_connection_wake(world.peers[0].connection);
        turn_once(false);
    }
}

static bool is_sent(const struct peer *peer)
{
    return !world.order.settled || peer->is_receiver ||
           (pn_session_outgoing_bytes(peer->session) == 0 && pn_transport_pending(pn_connection_transport(peer->connection)) <= 0);
}

static const char *stream(rh_turn *turn)
{
    struct peer *peer = &world.peers[0];
    work.turn        = turn;
    work.begun       = work.settled = work.granted = 0;
    work.since       = rh_lines_now();
    pn_connection_wake(peer->connection);
    const char *said = NULL;
    while (!said && work.settled < turn->events) {
        if (work.interval_ns > 0) pace();
        else turn_once(true);
        said = trouble();
    }
    while (!said && !is_sent(peer)) {
        pn_connection_wake(peer->connection);
        turn_once(true);
        said = trouble();
    }
    work.turn = NULL;
    if (!peer->is_receiver) turn->bytes = turn->events * world.order.size;
    return said;
}

static const char *connect_again(rh_turn *turn)
{
    for (uint64_t i = 0; i < turn->events; i++) {
        uint64_t    since = rh_lines_now();
        const char *said = connect_all(1);
        rh_turn     one = { .events = 1 };
        if (!said) said = stream(&one);
        if (said) return said;
        if (turn->samples) turn->samples[i] = rh_lines_now() - since;
        turn->bytes += one.bytes;
        close_all();
    }
    return NULL;
}

static const char *run(rh_turn *turn)
{
    if (strcmp(world.order.task, "idle") == 0) return NULL;
    return strcmp(world.order.task, "connect") == 0 ? connect_again(turn) : stream(turn);
}

static void close_world(void)
{
    close_all();
    pn_proactor_free(world.proactor);
    if (world.domain) pn_ssl_domain_free(world.domain);
    free(world.peers);
    free(world.body);
    free(world.bytes);
    memset(&world, 0, sizeof world);
    memset(&work, 0, sizeof work);
}

static bool make_world(const rh_order *order)
{
    size_t peers = strcmp(order->task, "idle") == 0 ? order->events : 1;
    world.order    = *order;
    world.room     = (order->batch > 1 ? order->batch : 1) * (order->size + OVERHEAD);
    world.proactor = pn_proactor();
    world.peers    = calloc(peers ? peers : 1, sizeof *world.peers);
    world.body     = malloc(order->size + 1);
    world.bytes    = malloc(world.room);
    if (!world.peers || !world.body || !world.bytes) return false;
    memset(world.body, 'x', order->size + 1);
    work.unsettled_high = UNSETTLED > 4 * order->batch ? UNSETTLED : 4 * order->batch;
    work.unsettled_low  = work.unsettled_high / 2;
    work.one_by_one  = strcmp(order->task, "roundtrip") == 0;
    work.interval_ns = strcmp(order->task, "paced") == 0 ? 1e9 / (order->rate > 0 ? order->rate : 1000) : 0;
    if (!order->tls) return true;
    world.domain = pn_ssl_domain(PN_SSL_MODE_CLIENT);
    return pn_ssl_domain_set_trusted_ca_db(world.domain, order->ca) == 0 &&
           pn_ssl_domain_set_peer_authentication(world.domain, PN_SSL_VERIFY_PEER_NAME, NULL) == 0;
}

static const char *open_world(const rh_order *order)
{
    static const char *const tasks[] = { "send", "receive", "roundtrip", "paced", "connect", "idle" };
    bool known = false;
    for (size_t i = 0; i < sizeof tasks / sizeof *tasks; i++) known = known || strcmp(order->task, tasks[i]) == 0;
    if (!known) return rh_lines_cannot("this program has no task %s", order->task);

    const char *said = make_world(order) ? NULL : rh_lines_failed("no memory, or no authorities in %s", order->ca);
    if (!said && strcmp(order->task, "connect") != 0) said = connect_all(strcmp(order->task, "idle") == 0 ? order->events : 1);
    if (said) close_world();
    return said;
}

/* -- idling ---------------------------------------------------------------------------------- */

static void *watch_stdin(void *unused)
{
    struct pollfd stdin_of = { .fd = STDIN_FILENO, .events = POLLIN };
    (void)unused;
    poll(&stdin_of, 1, -1);
    pn_proactor_interrupt(world.proactor);
    return NULL;
}

/* Idle connections have to be kept alive. The proactor can watch no descriptor of ours, so a thread does. */
static void wait_for_stdin(void)
{
    pthread_t watcher;
    if (strcmp(world.order.task, "idle") != 0 || pthread_create(&watcher, NULL, watch_stdin, NULL) != 0) return;
    for (world.interrupted = false; !world.interrupted;) turn_once(true);
    pthread_join(watcher, NULL);
}

static const char *const settings[] = {
    "proactor on epoll, one thread, TCP_NODELAY (proton sets it), frames of 64 KiB",
    "one pn_message_t filled anew for each event, pn_message_encode into one buffer, pn_message_decode of each",
    "send: as much as credit, 1000 unsettled events (or 4 batches) and 1 MiB of unsent bytes allow, once a turn; receive: credit of 1000 renewed at half",
    "batch: data sections around its messages, sent with message-format 0, for it has no call to set another",
    "paced: asleep until due while nothing is under way, pn_proactor_get in a loop while an answer is",
    "claims: put-token on $cbs written by hand, for it has none; TLS: sessions resumed, names checked",
    NULL,
};

int main(void)
{
    prctl(PR_SET_TIMERSLACK, 1UL); /* a sleep ends when it was meant to */
    rh_reference_init();
    return rh_lines_serve(&(rh_lines){
        .name = "qpid-proton", .version = VERSION, .tasks = "send,receive,roundtrip,paced,connect,idle", .settings = settings,
        .open = open_world, .run = run, .close = close_world, .wait = wait_for_stdin,
    });
}
#endif
