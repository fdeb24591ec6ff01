/*
 * What Event Hubs does not do, and so its client here neither: events sent pre-settled, and events received unsettled. The
 * engine of <ringhub/proto.h> on a pipe of <ringhub/transport.h>, as somebody who speaks plain AMQP would join them.
 */
#include "bench/codec.h"
#include "bench/ours/ours.h"
#include "bench/reference.h"

#include <stdlib.h>

#define BATCHES 4u
#define SINGLES 512u
#define CREDIT  5000u
#define EXTRA   512u /* of an encoded event around its body, and the data section around that */

static struct {
    rh_loop    *loop;
    rh_tls     *tls;
    rh_pipe    *pipe;
    rh_engine  *engine;
    rh_link    *link;
    rh_timer    timer;
    void       *memory;
    uint8_t    *body;     /* of events that have not the reference's size */
    uint8_t    *gather;
    uint8_t    *messages; /* out: each message_n bytes */
    uint32_t   *free;     /* those that are not lent */
    uint32_t    free_count, count;
    size_t      message_n;
    bool        receives, settled, up;
    uint32_t    batch;
    size_t      size;
    uint64_t    target, begun, done, bytes;
    rh_error    error;
} world;

static rh_time now(void) { return rh_loop_now(world.loop); }

static void fail(const rh_error *error)
{
    if (world.error.status == RH_OK) world.error = *error;
    rh_loop_stop(world.loop);
}

/* -- between engine and pipe ----------------------------------------------------------------- */

static void look_around(void)
{
    if (world.pipe && rh_engine_wants_output(world.engine)) rh_pipe_wake(world.pipe);
    rh_timer_set(world.loop, &world.timer, rh_engine_deadline(world.engine));
}

static void on_time(void *user, rh_time at)
{
    (void)user;
    rh_engine_tick(world.engine, at);
    look_around();
}

static void pipe_up(void *user, rh_pipe *pipe)
{
    (void)user, (void)pipe;
    look_around();
}

static size_t pipe_frame_size(void *user, const uint8_t *bytes, size_t n)
{
    (void)user;
    return rh_engine_frame_size(world.engine, bytes, n);
}

static size_t pipe_input(void *user, rh_pipe *pipe, const uint8_t *bytes, size_t n)
{
    (void)user, (void)pipe;
    size_t used = rh_engine_input(world.engine, bytes, n, now());
    look_around();
    return used;
}

static bool pipe_wants_input(void *user)
{
    (void)user;
    return rh_engine_wants_input(world.engine);
}

static size_t pipe_output(void *user, rh_iov *iov, size_t max)
{
    (void)user;
    return rh_engine_output(world.engine, iov, max);
}

/* What is settled by leaving is told at once, so that its memory takes the next message within this turn. */
static void pipe_sent(void *user, size_t n)
{
    (void)user;
    rh_engine_sent(world.engine, n, now());
    if (rh_engine_deadline(world.engine) == 0) rh_engine_tick(world.engine, now());
    look_around();
}

static void pipe_down(void *user, rh_pipe *pipe, const rh_error *error)
{
    (void)user, (void)pipe;
    world.pipe = NULL;
    rh_engine_lost(world.engine, error);
    fail(error);
}

static const rh_pipe_handler pipe_handler = {
    .on_up = pipe_up, .frame_size = pipe_frame_size, .input = pipe_input, .wants_input = pipe_wants_input,
    .output = pipe_output, .sent = pipe_sent, .on_down = pipe_down,
};

/* -- out ------------------------------------------------------------------------------------- */

static size_t encode(uint8_t *to, size_t room, uint64_t i)
{
    rh_reference_event event = *rh_reference_event_at(i % RH_REFERENCE_COUNT);
    if (world.body) event.body = rh_slice_of(world.body, world.size);
    return rh_codec_ours.encode(to, room, &event);
}

static size_t encode_batch(uint8_t *to, uint64_t first, uint64_t count)
{
    uint8_t *p = to;
    for (uint64_t i = 0; i < count; i++) {
        size_t n = encode(p + 8, world.message_n - (size_t)(p + 8 - to), first + i);
        rh_put32(p, 0x005375b0);
        rh_put32(p + 4, (uint32_t)n);
        p += 8 + n;
    }
    return (size_t)(p - to);
}

static bool send_next(void)
{
    uint32_t     slot  = world.free[world.free_count - 1];
    uint8_t     *to    = world.messages + slot * world.message_n;
    uint64_t     left  = world.target - world.begun, count = left < world.batch ? left : world.batch;
    rh_delivery *delivery;
    rh_slice     bytes = rh_slice_of(to, world.batch > 1 ? encode_batch(to, world.begun, count) : encode(to, world.message_n, world.begun));
    rh_transfer  transfer = {
        .parts = &bytes, .part_count = 1, .message_format = world.batch > 1 ? RH_FORMAT_BATCH : RH_FORMAT_MESSAGE,
        .settled = world.settled, .user = (void *)(uintptr_t)((uint64_t)slot << 32 | count),
    };
    if (rh_link_send(world.link, &transfer, &delivery) != RH_OK) return false;
    world.free_count--;
    world.begun += count;
    return true;
}

static void refill(void)
{
    while (world.begun < world.target && world.free_count && rh_link_credit_left(world.link) && send_next()) continue;
}

static void on_credit(void *user, rh_link *link)
{
    (void)user, (void)link;
    world.up = true;
    refill();
}

static void on_outcome(void *user, rh_link *link, rh_delivery *delivery, const rh_outcome *outcome)
{
    (void)user, (void)link;
    uint64_t about = (uintptr_t)rh_delivery_user(delivery);
    rh_error error;
    if (outcome->kind != RH_ACCEPTED && outcome->kind != RH_SENT) {
        rh_error_set(&error, RH_E_REJECTED, NULL, "an event was not accepted");
        fail(&error);
    }
    world.free[world.free_count++] = (uint32_t)(about >> 32);
    world.done += (uint32_t)about;
    if (2 * world.free_count >= world.count) refill();
    if (world.done == world.target) rh_loop_stop(world.loop);
}

/* -- in -------------------------------------------------------------------------------------- */

static void on_delivery(void *user, rh_link *link, const rh_incoming *in)
{
    (void)user;
    rh_message message;
    rh_value   sequence;
    rh_error   error;
    bool sound = rh_message_view(in->payload, &message) == RH_OK
                 && rh_map_find(message.message_annotations, "x-opt-sequence-number", &sequence);
    if (!in->settled) {
        sound = rh_link_settle(link, in->delivery_id, in->delivery_id, RH_ACCEPTED, NULL, NULL) == RH_OK && sound;
    }
    if (rh_link_credit_left(link) <= CREDIT / 2) sound = rh_link_credit(link, CREDIT) == RH_OK && sound;
    if (!sound) {
        rh_error_set(&error, RH_E_DECODE, NULL, "no event as it should be");
        fail(&error);
        return;
    }
    world.bytes += message.body.n;
    if (++world.done == world.target) rh_loop_stop(world.loop);
}

static void on_gather(void *user, rh_link *link)
{
    (void)user;
    (void)rh_link_gather(link, world.gather, world.size + EXTRA);
}

static void on_attach(void *user, rh_link *link, const rh_amqp_attach *attach)
{
    (void)user, (void)attach;
    if (!world.receives) return;
    world.up = true;
    (void)rh_link_credit(link, CREDIT);
}

static void on_close(void *user, rh_engine *engine, const rh_error *error)
{
    (void)user, (void)engine;
    if (error->status) fail(error);
}

static const rh_engine_handler engine_handler = {
    .on_attach = on_attach, .on_credit = on_credit, .on_outcome = on_outcome, .on_delivery = on_delivery,
    .on_gather = on_gather, .on_close = on_close,
};

/* -- run ------------------------------------------------------------------------------------- */

static const char *turn_until(const bool *flag, const uint64_t *count, uint64_t target)
{
    while (world.error.status == RH_OK && (flag ? !*flag : *count < target)) {
        uint64_t  before = world.done;
        rh_time   deadline = rh_time_after(now(), RH_MS(RH_OURS_WAIT_MS));
        rh_status status   = flag ? rh_loop_turn(world.loop, deadline) : rh_loop_run(world.loop, deadline);
        if (status) return rh_ours_failed("loop", status, NULL);
        if (world.done == before && now() >= deadline) return rh_lines_failed("nothing happened");
    }
    return world.error.status ? rh_ours_failed("engine", world.error.status, &world.error) : NULL;
}

static const char *run(rh_turn *turn)
{
    world.target = turn->events;
    world.begun = world.done = world.bytes = 0;
    if (!world.receives) refill();
    look_around();
    const char *words = turn_until(NULL, &world.done, world.target);
    turn->events = world.done;
    turn->bytes  = world.receives ? world.bytes : world.done * world.size;
    return words;
}

/* -- open and close -------------------------------------------------------------------------- */

static void end(void)
{
    /* Cut: nothing lent may be used any more before its memory goes. */
    if (world.loop) (void)rh_loop_destroy(world.loop);
    rh_tls_destroy(world.tls);
    free(world.memory);
    free(world.body);
    free(world.gather);
    free(world.messages);
    free(world.free);
    memset(&world, 0, sizeof world);
}

static bool make_room(void)
{
    world.count     = world.batch > 1 ? BATCHES : SINGLES;
    world.message_n = world.batch * (world.size + EXTRA);
    world.messages  = malloc(world.count * world.message_n);
    world.free      = malloc(world.count * sizeof *world.free);
    world.gather    = malloc(world.size + EXTRA);
    if (world.size != RH_REFERENCE_BODY) world.body = calloc(1, world.size + 1);
    if (!world.messages || !world.free || !world.gather || (!world.body && world.size != RH_REFERENCE_BODY)) return false;
    while (world.free_count < world.count) {
        world.free[world.free_count] = world.free_count;
        world.free_count++;
    }
    return true;
}

static const char *dial(const rh_order *order)
{
    rh_error  error  = { .status = RH_OK };
    rh_status status = RH_OK;
    if (order->tls) status = rh_tls_create(RH_TLS_OPTS(.ca_file = order->ca), &world.tls, &error);
    if (status) return rh_ours_failed("tls", status, &error);
    rh_dial_opts opts = *RH_DIAL_OPTS(.host = order->host, .port = (uint16_t)atoi(order->port), .tls = world.tls, .tls_name = "localhost");
    status = rh_loop_dial(world.loop, &opts, &pipe_handler, NULL, &world.pipe);
    return status ? rh_ours_failed("dial", status, NULL) : NULL;
}

static const char *attach(const rh_order *order)
{
    rh_engine_opts opts = *RH_ENGINE_OPTS(.pipeline = true, .sasl = RH_SASL_ANONYMOUS, .hostname = rh_str("localhost"),
                                          .deliveries = SINGLES, .output_bytes = 65536);
    uint8_t        text[160];
    rh_session    *session;
    rh_enc         e       = rh_enc_of(text, sizeof text);
    size_t         n       = rh_engine_size(&opts);
    rh_enc_string(&e, rh_str(order->address));
    rh_slice       address = rh_enc_written(&e);
    world.memory = aligned_alloc(64, (n + 63) / 64 * 64);
    world.engine = world.memory ? rh_engine_init(world.memory, n, &opts, &engine_handler, NULL) : NULL;
    if (!world.engine) return rh_lines_failed("no memory for an engine");
    rh_link_opts link = {
        .name = rh_str("events"), .receiver = world.receives, .snd_settle_mode = world.settled ? RH_SND_SETTLED : RH_SND_UNSETTLED,
        .source = &(rh_amqp_source){ .address = address }, .target = &(rh_amqp_target){ .address = address },
    };
    rh_status status = rh_session_begin(world.engine, &(rh_session_opts){ .incoming_window = CREDIT }, NULL, &session);
    if (!status) status = rh_link_attach(session, &link, NULL, &world.link);
    return status ? rh_ours_failed("attach", status, NULL) : NULL;
}

static const char *open_engine(const rh_order *order, bool receives)
{
    world.receives = receives;
    world.settled  = order->settled;
    world.batch    = order->batch;
    world.size     = order->size;
    world.timer.fn = on_time;
    rh_lines_setting("%s: Event Hubs has no such thing, so it is the bare engine on a pipe, without $cbs",
                     receives ? "receive unsettled" : "send settled");
    const char *words = make_room() ? rh_ours_loop(NULL, &world.loop) : rh_lines_failed("no memory for events");
    if (!words) words = attach(order);
    if (!words) words = dial(order);
    if (!words) words = turn_until(&world.up, NULL, 0);
    if (words) end();
    return words;
}

static const char *open_send(const rh_order *order) { return open_engine(order, false); }
static const char *open_receive(const rh_order *order) { return open_engine(order, true); }

const rh_ours_task rh_ours_engine_send    = { "send", open_send, run, end };
const rh_ours_task rh_ours_engine_receive = { "receive", open_receive, run, end };
