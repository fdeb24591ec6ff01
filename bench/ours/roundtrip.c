/*
 * roundtrip: one event sent, its outcome awaited, again.
 * paced: an event at each moment of a fixed rate, whether the last one is answered or not; its latency counts from the
 * moment it was meant for.
 */
#include "bench/ours/ours.h"

#define IN_FLIGHT 1024u /* paced: what piles up during a pause of the machine */

static struct {
    rh_loop     *loop;
    rh_client   *client;
    rh_producer *producer;
    size_t       body;
    double       interval_ns;
    uint64_t     target, begun, done;
    uint64_t     since;   /* paced: of the first */
    rh_timer     pacer;
    uint64_t    *samples;
    rh_error     error;
} world;

/* -- what both do ---------------------------------------------------------------------------- */

static void send_next(void)
{
    rh_ours_event event;
    rh_ours_fill(&event, world.begun, true);
    rh_status status = rh_producer_send_event(world.producer, &event.data, 0, NULL);
    if (status == RH_OK) world.begun++;
    else if (status != RH_AGAIN && world.error.status == RH_OK) world.error = *rh_producer_error(world.producer);
}

static uint64_t intended(uint64_t i) { return world.since + (uint64_t)((double)i * world.interval_ns); }

static void on_sent(void *user, rh_producer *producer, const rh_sent *sent)
{
    (void)user, (void)producer;
    uint64_t now = rh_lines_now();
    if (sent->status != RH_OK && world.error.status == RH_OK) world.error = *sent->error;
    if (world.samples) world.samples[world.done] = now - (world.interval_ns > 0 ? intended(world.done) : world.since);
    world.done++;
    if (world.interval_ns == 0) {
        world.since = now;
        if (world.done < world.target) send_next();
    }
    if (world.done == world.target || world.error.status) rh_loop_stop(world.loop);
}

static void on_closed(void *user, rh_producer *producer, const rh_error *error)
{
    (void)user, (void)producer;
    if (error && world.error.status == RH_OK) world.error = *error;
    if (world.loop) rh_loop_stop(world.loop);
}

static void end(void)
{
    rh_producer_destroy(world.producer);
    world.producer = NULL;
    rh_ours_end(&world.loop, &world.client);
}

static const char *open_with(const rh_order *order)
{
    rh_error error = { .status = RH_OK };
    if (order->settled) return rh_lines_cannot("Event Hubs producers await outcomes");
    if (!rh_ours_events_of(order->size)) return rh_lines_failed("no memory for a body of %zu bytes", order->size);
    world.error = error;
    world.body  = order->size;
    const char *words = rh_ours_loop(RH_LOOP_OPTS(.spin_us = rh_ours_spin_us), &world.loop);
    if (!words) words = rh_ours_client(world.loop, order, NULL, &world.client);
    if (words) return words;
    rh_producer_opts opts = *RH_PRODUCER_OPTS(.in_flight = IN_FLIGHT, .handler = { .on_sent = on_sent, .on_closed = on_closed });
    rh_status status = rh_producer_open_wait(world.client, &opts, &world.producer, RH_OURS_WAIT_MS, &error);
    if (status) return rh_ours_failed("producer", status, &error);
    rh_ours_watch(world.loop);
    return NULL;
}

static const char *opened(const char *words)
{
    if (words) end();
    return words;
}

static void begin(const rh_turn *turn)
{
    world.samples = turn->samples;
    world.target  = turn->events;
    world.begun = world.done = 0;
    world.since = rh_lines_now();
}

static const char *finished(rh_turn *turn)
{
    turn->bytes = world.done * world.body;
    return world.error.status ? rh_ours_failed("send", world.error.status, &world.error) : NULL;
}

/* -- one by one ------------------------------------------------------------------------------ */

static const char *open_roundtrip(const rh_order *order)
{
    world.interval_ns = 0;
    return opened(open_with(order));
}

static const char *run_roundtrip(rh_turn *turn)
{
    begin(turn);
    if (world.target) send_next();
    while (world.done < world.target && world.error.status == RH_OK) {
        uint64_t  before = world.done;
        rh_status status = rh_loop_run(world.loop, rh_time_after(rh_loop_now(world.loop), RH_MS(RH_OURS_WAIT_MS)));
        if (status) return rh_ours_failed("loop", status, NULL);
        if (world.done == before) return rh_lines_failed("no outcome came");
    }
    return finished(turn);
}

const rh_ours_task rh_ours_roundtrip = { "roundtrip", open_roundtrip, run_roundtrip, end };

/* -- at a fixed rate ------------------------------------------------------------------------- */

static const char *open_paced(const rh_order *order)
{
    if (!(order->rate > 0)) return rh_lines_failed("paced needs rate=");
    world.interval_ns = 1e9 / order->rate;
    return opened(open_with(order));
}

/* Sends what is due and comes back for the next. rh_time counts suspended time, the samples' clock does not: only differences
 * go from one to the other. */
static void send_due(void *user, rh_time now)
{
    (void)user;
    uint64_t clock = rh_lines_now(), begun;
    do {
        begun = world.begun;
        if (begun < world.target && intended(begun) <= clock) send_next();
    } while (world.begun != begun);
    if (world.begun == world.target || world.error.status) return;
    /* What was not taken waits for an outcome, or for a while. */
    uint64_t due = intended(world.begun);
    rh_timer_set(world.loop, &world.pacer, rh_time_after(now, due > clock ? due - clock : RH_US(100)));
}

static const char *run_paced(rh_turn *turn)
{
    begin(turn);
    world.pacer.fn = send_due;
    rh_timer_set(world.loop, &world.pacer, rh_loop_now(world.loop));
    while (world.done < world.target && world.error.status == RH_OK) {
        uint64_t  before = world.done;
        rh_status status = rh_loop_run(world.loop, rh_time_after(rh_loop_now(world.loop), RH_MS(RH_OURS_WAIT_MS)));
        if (status) return rh_ours_failed("loop", status, NULL);
        if (world.done == before) return rh_lines_failed("no outcome came");
    }
    rh_timer_cancel(world.loop, &world.pacer);
    return finished(turn);
}

const rh_ours_task rh_ours_paced = { "paced", open_paced, run_paced, end };
