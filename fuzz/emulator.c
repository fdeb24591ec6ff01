/*
 * The whole emulator in a simulated loop (tests/sim): a stranger says anything on one connection after another, time passes, and
 * then somebody honest comes who must find everything as it should be: the connection opens, an event is accepted, and a reader
 * of its partition reads it last, all numbers before it in a row. What the stranger is told always parses. In the end
 * nothing is left in memory.
 *
 * The input is that of fuzz/kit/world.h, except for what an owner did there: here a minute passes by, or the stranger
 * leaves and comes back. The first byte says how far he has come by honest means when the rest begins: nowhere, authorized by
 * SASL PLAIN, with a session, with a sender and a reader.
 */
#include <stdio.h>

#include "emulator/emulator.h"
#include "fuzz/kit/mutator.h"
/* Tokens and answers are put together on it. */
#define STACK_MAX (128 * 1024)
#include "fuzz/kit/target.h"
#include "fuzz/kit/world.h"
#include "fuzz/oracle.h"
#include "proto/proto.h"
#include "tests/sim/loop.h"

enum { SAID = 1 << 16, FRAME_MAX = 65536, OPTIONS = 2, ARENA = 1 << 16, GATHER = 1 << 12 };

static struct {
    sim_loop     sim;
    sim_trace    trace;
    rh_emulator *emulator;
} w;

static void pass(rh_time time)
{
    REQUIRE(rh_loop_run(&w.sim.loop, w.sim.now + time) != RH_E_REENTRANT);
}

/* -- the stranger ------------------------------------------------------------------------------ */

static struct {
    rh_pipe *pipe;
    bool     up, gone;
    uint8_t  said[SAID];
    size_t   n, sent;
} stranger;

static void stranger_up(void *user, rh_pipe *pipe)
{
    (void)user, (void)pipe;
    stranger.up = true;
}

static size_t stranger_frame_size(void *user, const uint8_t *p, size_t n)
{
    (void)user;
    return rh_frame_size(p, n);
}

static void check_frame(const uint8_t *p, size_t n)
{
    uint64_t        fields[64];
    rh_frame        frame;
    if (memcmp(p, "AMQP", 4) == 0) return;
    REQUIRE(n <= FRAME_MAX && rh_frame_parse(p, n, &frame) == RH_OK && frame.size == n);
    if (frame.body.n == 0) return;
    rh_dec          d  = rh_dec_of(frame.body);
    rh_composite_id id = rh_composite_peek(&d);
    REQUIRE(frame.type == RH_FRAME_AMQP ? id <= RH_AMQP_CLOSE : id >= RH_AMQP_SASL_MECHANISMS && id <= RH_AMQP_SASL_OUTCOME);
    REQUIRE(rh_composite_decode(&d, id, fields) == RH_OK);
    REQUIRE(id == RH_AMQP_TRANSFER || rh_dec_left(&d) == 0);
}

static size_t stranger_input(void *user, rh_pipe *pipe, const uint8_t *p, size_t n)
{
    (void)user, (void)pipe;
    for (size_t at = 0; at < n;) {
        size_t frame = rh_frame_size(p + at, n - at);
        REQUIRE(frame > 0 && frame <= n - at);
        check_frame(p + at, frame);
        at += frame;
    }
    return n;
}

static bool stranger_wants_input(void *user)
{
    (void)user;
    return true;
}

static size_t stranger_output(void *user, rh_iov *iov, size_t max)
{
    (void)user;
    if (max == 0 || stranger.sent == stranger.n) return 0;
    iov[0] = (rh_iov){ stranger.said + stranger.sent, stranger.n - stranger.sent };
    return 1;
}

static void stranger_sent(void *user, size_t n)
{
    (void)user;
    stranger.sent += n;
}

static void stranger_down(void *user, rh_pipe *pipe, const rh_error *error)
{
    (void)user, (void)pipe, (void)error;
    stranger.gone = true;
}

static const rh_pipe_handler stranger_handler = { stranger_up, stranger_frame_size, stranger_input, stranger_wants_input,
                                                  stranger_output, stranger_sent, stranger_down };

static void leave(void)
{
    if (stranger.pipe && !stranger.gone) rh_pipe_close(stranger.pipe, false);
    for (int i = 0; i < 100 && stranger.pipe && !stranger.gone; i++) pass(RH_MS(10));
    REQUIRE(stranger.pipe == NULL || stranger.gone);
    stranger.pipe = NULL;
}

static void come(void)
{
    leave();
    stranger.up = stranger.gone = false;
    stranger.n = stranger.sent = 0;
    REQUIRE(rh_loop_dial(&w.sim.loop, RH_DIAL_OPTS(.host = "sim", .port = 5672, .deadline = RH_TIME_NEVER), &stranger_handler, NULL, &stranger.pipe) == RH_OK);
    for (int i = 0; i < 100 && !stranger.up && !stranger.gone; i++) pass(RH_MS(1));
}

static void say(const void *p, size_t n)
{
    if (stranger.gone || n > SAID - stranger.n) return;
    memcpy(stranger.said + stranger.n, p, n);
    stranger.n += n;
    rh_pipe_wake(stranger.pipe);
}

static void say_frame(uint8_t type, uint16_t channel, const uint8_t *body, size_t n)
{
    uint8_t head[RH_FRAME_HEADER];
    rh_frame_put(head, (uint32_t)(sizeof head + n), type, channel);
    say(head, sizeof head);
    say(body, n);
}

static void say_list(uint8_t type, rh_composite_id id, const void *fields)
{
    uint8_t body[400];
    rh_enc  e = rh_enc_of(body, sizeof body);
    rh_composite_encode(&e, id, fields);
    say_frame(type, 0, body, rh_enc_size(&e));
}

/* -- how far by honest means ------------------------------------------------------------------- */

static rh_slice plain_response(void)
{
    static const char response[] = "\0" RH_EMULATOR_RULE "\0" RH_EMULATOR_KEY;
    return rh_slice_of(response, sizeof response - 1);
}

static void attach(uint32_t handle, const char *name, bool receiver, const char *address)
{
    uint8_t        room[64];
    rh_amqp_source source = { .has = 0 };
    rh_amqp_target target = { .has = 0 };
    uint8_t        ends[2][200];
    rh_enc         s = rh_enc_of(ends[0], sizeof ends[0]), t = rh_enc_of(ends[1], sizeof ends[1]);
    source.address   = receiver ? rh_string_encoded(rh_str(address), room, sizeof room) : rh_slice_of(NULL, 0);
    target.address   = receiver ? rh_slice_of(NULL, 0) : rh_string_encoded(rh_str(address), room, sizeof room);
    rh_amqp_source_encode(&s, &source);
    rh_amqp_target_encode(&t, &target);
    rh_amqp_attach fields = { .has = RH_HAS_ATTACH_HANDLE | RH_HAS_ATTACH_ROLE | RH_HAS_ATTACH_INITIAL_DELIVERY_COUNT, .name = rh_str(name), .handle = handle,
                              .role = receiver, .source = rh_enc_written(&s), .target = rh_enc_written(&t) };
    say_list(RH_FRAME_AMQP, RH_AMQP_ATTACH, &fields);
}

static void say_usual(uint8_t depth)
{
    rh_amqp_sasl_init init  = { .mechanism = rh_str("PLAIN"), .initial_response = plain_response() };
    rh_amqp_open      open  = { .container_id = rh_str("stranger"), .hostname = rh_str("sim") };
    rh_amqp_begin     begin = { .has = RH_HAS_BEGIN_NEXT_OUTGOING_ID | RH_HAS_BEGIN_INCOMING_WINDOW | RH_HAS_BEGIN_OUTGOING_WINDOW, .incoming_window = 100, .outgoing_window = 100 };
    rh_amqp_flow      flow  = { .has = RH_HAS_FLOW_INCOMING_WINDOW | RH_HAS_FLOW_NEXT_OUTGOING_ID | RH_HAS_FLOW_OUTGOING_WINDOW | RH_HAS_FLOW_HANDLE | RH_HAS_FLOW_LINK_CREDIT | RH_HAS_FLOW_DELIVERY_COUNT,
                                .incoming_window = 100, .handle = 1, .link_credit = 20 };
    if (depth >= 1) {
        say("AMQP\3\1\0\0", 8);
        say_list(RH_FRAME_SASL, RH_AMQP_SASL_INIT, &init);
        say("AMQP\0\1\0\0", 8);
        say_list(RH_FRAME_AMQP, RH_AMQP_OPEN, &open);
    }
    if (depth >= 2) say_list(RH_FRAME_AMQP, RH_AMQP_BEGIN, &begin);
    if (depth < 3) return;
    attach(0, "out", false, "hub/Partitions/0");
    attach(1, "in", true, "hub/ConsumerGroups/$Default/Partitions/0");
    say_list(RH_FRAME_AMQP, RH_AMQP_FLOW, &flow);
}

/* -- the script -------------------------------------------------------------------------------- */

static void act(uint8_t what, uint8_t depth)
{
    if (what < 0xc0) pass(RH_MS(1) << (what & 15));
    else if (what < 0xe0) pass(RH_SECONDS(60) * (1 + (what & 7)));
    else come(), say_usual(what & 1 ? depth : 0);
}

static size_t take_record(const uint8_t *p, size_t left, uint8_t depth)
{
    uint8_t kind = *p++;
    size_t  head = 1, n = left - 1;
    left--;
    if (kind == KIT_RECORD_ACT) {
        if (left > 0) act(*p, depth);
        return left > 0 ? 2 : 1;
    }
    if (kind > KIT_RECORD_LONG || kind == KIT_RECORD_HEADER) {
        if (kind == KIT_RECORD_HEADER && n > 8) n = 8;
        say(p, n);
        return head + n;
    }
    if (kind == KIT_RECORD_LONG) {
        if (left < 3) return head + left;
        n = rh_get16(p), p += 2, head += 2, left -= 2;
    } else {
        n = kind;
    }
    if (left == 0) return head;
    if (n > left - 1) n = left - 1;
    say_frame(p[0] & 1, p[0] >> 6, p + 1, n);
    return head + 1 + n;
}

/* -- somebody honest --------------------------------------------------------------------------- */

static struct {
    rh_engine  *engine;
    rh_pipe    *pipe;
    rh_session *session;
    rh_link    *out, *in;
    rh_timer    timer;
    bool        opened, down, accepted, read;
    int64_t     last; /* sequence number that was read */
} honest;

_Alignas(16) static uint8_t arena[ARENA];
static uint8_t gather[GATHER], event[64];
static size_t  event_n;

static void honest_after(void)
{
    rh_time now = w.sim.now;
    if (rh_engine_deadline(honest.engine) <= now) rh_engine_tick(honest.engine, now);
    rh_timer_set(&w.sim.loop, &honest.timer, rh_engine_deadline(honest.engine));
    if (rh_engine_wants_output(honest.engine)) rh_pipe_wake(honest.pipe);
}

static void honest_timer(void *user, rh_time now) { (void)user, (void)now, honest_after(); }
static void honest_up(void *user, rh_pipe *pipe) { (void)user, (void)pipe, honest_after(); }
static size_t honest_frame_size(void *user, const uint8_t *p, size_t n) { (void)user; return rh_engine_frame_size(honest.engine, p, n); }
static bool honest_wants_input(void *user) { (void)user; return rh_engine_wants_input(honest.engine); }
static size_t honest_output(void *user, rh_iov *iov, size_t max) { (void)user; return rh_engine_output(honest.engine, iov, max); }

static size_t honest_input(void *user, rh_pipe *pipe, const uint8_t *p, size_t n)
{
    (void)user, (void)pipe;
    size_t used = rh_engine_input(honest.engine, p, n, w.sim.now);
    honest_after();
    return used;
}

static void honest_sent(void *user, size_t n)
{
    (void)user;
    rh_engine_sent(honest.engine, n, w.sim.now);
    honest_after();
}

static void honest_down(void *user, rh_pipe *pipe, const rh_error *error)
{
    (void)user, (void)pipe;
    rh_engine_lost(honest.engine, error);
    rh_engine_tick(honest.engine, w.sim.now);
    rh_timer_cancel(&w.sim.loop, &honest.timer);
    honest.down = true;
}

static const rh_pipe_handler honest_pipe = { honest_up, honest_frame_size, honest_input, honest_wants_input, honest_output, honest_sent, honest_down };

static void on_open(void *user, rh_engine *engine, const rh_amqp_open *open)
{
    (void)user, (void)engine, (void)open;
    honest.opened = true;
}

static void on_outcome(void *user, rh_link *link, rh_delivery *delivery, const rh_outcome *outcome)
{
    (void)user, (void)link, (void)delivery;
    honest.accepted = outcome->kind == RH_ACCEPTED;
}

/* Numbers in a row, and the last is the one that was just sent. */
static void on_delivery(void *user, rh_link *link, const rh_incoming *incoming)
{
    rh_message message;
    rh_value   number;
    (void)user, (void)link;
    REQUIRE(!honest.read && rh_message_view(incoming->payload, &message) == RH_OK);
    REQUIRE(rh_map_find(message.message_annotations, "x-opt-sequence-number", &number) && number.type == RH_LONG);
    REQUIRE(honest.last < 0 || number.i == honest.last + 1);
    honest.last = number.i;
    honest.read = message.body_kind == RH_BODY_DATA && rh_slice_is(message.body, "an honest event");
}

static const rh_engine_handler honest_handler = { .on_open = on_open, .on_outcome = on_outcome, .on_delivery = on_delivery };

static void wait_for(const bool *what)
{
    for (int i = 0; i < 1000 && !*what; i++) {
        REQUIRE(!honest.down);
        pass(RH_MS(10));
    }
    REQUIRE(*what);
}

static rh_slice from_the_start(uint8_t *room, size_t n)
{
    rh_enc      e    = rh_enc_of(room, n);
    rh_enc_mark mark = rh_enc_map_begin(&e);
    rh_enc_symbol(&e, rh_str("apache.org:selector-filter:string"));
    rh_enc_u8(&e, 0);
    rh_enc_symbol(&e, rh_str("apache.org:selector-filter:string"));
    rh_enc_string(&e, rh_str("amqp.annotation.x-opt-offset > '-1'"));
    rh_enc_map_end(&e, mark, 2);
    return rh_enc_written(&e);
}

static void honest_open(void)
{
    const rh_engine_opts opts = { .size = sizeof opts, .sasl = RH_SASL_PLAIN, .sasl_user = rh_str(RH_EMULATOR_RULE), .sasl_password = rh_str(RH_EMULATOR_KEY),
                                  .hostname = rh_str("sim"), .sessions = 1, .links = 2, .deliveries = 2 };
    memset(&honest, 0, sizeof honest);
    honest.last   = -1;
    honest.timer  = (rh_timer){ .fn = honest_timer };
    honest.engine = rh_engine_init(arena, sizeof arena, &opts, &honest_handler, NULL);
    REQUIRE(honest.engine != NULL);
    REQUIRE(rh_loop_dial(&w.sim.loop, RH_DIAL_OPTS(.host = "sim", .port = 5672, .deadline = RH_TIME_NEVER), &honest_pipe, NULL, &honest.pipe) == RH_OK);
    wait_for(&honest.opened);
}

static void honest_links(void)
{
    uint8_t        to[64], from[64], filter[200];
    rh_amqp_target target = { .address = rh_string_encoded(rh_str("hub/Partitions/0"), to, sizeof to) };
    rh_amqp_source source = { .address = rh_string_encoded(rh_str("hub/ConsumerGroups/$Default/Partitions/0"), from, sizeof from), .filter = from_the_start(filter, sizeof filter) };
    REQUIRE(rh_session_begin(honest.engine, NULL, NULL, &honest.session) == RH_OK);
    REQUIRE(rh_link_attach(honest.session, &(rh_link_opts){ .name = rh_str("honest-out"), .target = &target }, NULL, &honest.out) == RH_OK);
    REQUIRE(rh_link_attach(honest.session, &(rh_link_opts){ .name = rh_str("honest-in"), .receiver = true, .source = &source, .gather = gather, .gather_n = sizeof gather }, NULL, &honest.in) == RH_OK);
    for (int i = 0; i < 1000 && rh_link_credit_left(honest.out) == 0; i++) honest_after(), pass(RH_MS(10));
}

static void be_honest(void)
{
    honest_open();
    honest_links();
    rh_slice     part     = rh_slice_of(event, event_n);
    rh_transfer  transfer = { .parts = &part, .part_count = 1 };
    REQUIRE(rh_link_send(honest.out, &transfer, NULL) == RH_OK);
    honest_after();
    wait_for(&honest.accepted);
    REQUIRE(rh_link_credit(honest.in, 10000) == RH_OK);
    honest_after();
    wait_for(&honest.read);
    rh_pipe_close(honest.pipe, false);
    for (int i = 0; i < 100 && !honest.down; i++) pass(RH_MS(10));
    REQUIRE(honest.down);
}

/* -- the run ----------------------------------------------------------------------------------- */

static void open_world(uint64_t seed)
{
    static const rh_emulator_hub hub = { .name = "hub", .partitions = 4 };
    const rh_message_fields      fields = { .body_kind = RH_BODY_DATA, .body = rh_str("an honest event") };
    rh_enc                       e      = rh_enc_of(event, sizeof event);
    rh_error                     error;
    REQUIRE(rh_message_write(&e, &fields) == RH_OK);
    event_n = rh_enc_size(&e);
    memset(&w, 0, sizeof w);
    sim_loop_init(&w.sim, seed, &w.trace);
    REQUIRE(rh_emulator_create(&w.sim.loop, RH_EMULATOR_OPTS(.hubs = &hub, .hub_count = 1, .listen_port = 5672, .max_connections = 8, .max_bytes = 1 << 20, .limits = { .sessions = 8 }), &w.emulator, &error) == RH_OK);
    stranger.pipe = NULL;
}

static void run(const uint8_t *data, size_t size)
{
    if (size < OPTIONS || size > 16384) return;
    uint8_t depth = data[0] % 4;
    open_world(data[1]);
    come();
    say_usual(depth);
    pass(RH_MS(20));
    for (size_t at = OPTIONS; at < size;) {
        at += take_record(data + at, size - at, depth);
        pass(RH_MS(4));
    }
    leave();
    be_honest();
    rh_emulator_destroy(w.emulator);
    pass(RH_MS(10));
    sim_loop_fini(&w.sim);
    if (w.sim.broken) fprintf(stderr, "%s\n", w.sim.broken);
    REQUIRE(w.sim.broken == NULL && w.sim.allocations == 0);
}

TARGET(run, 200000, 20000)
TARGET_HOLDS_RECORDS
