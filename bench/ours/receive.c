/* receive: the reference events of the null peer as fast as credit lets them come; each is decoded, its body viewed. */
#include "bench/ours/ours.h"

#define PREFETCH       2000u
#define BUFFERS        4u          /* of 256 KiB, for one connection: what fits a core's second cache is read while it is warm */
#define PREFETCH_BYTES (64u << 20) /* of events kept, and this application keeps none: only a bound for credit */

static struct {
    rh_loop     *loop;
    rh_client   *client;
    rh_consumer *consumer;
    uint64_t     target, done, bytes;
    int64_t      last; /* sequence number */
    rh_error     error;
} world;

static void on_event(void *user, rh_consumer *consumer, const rh_event *event)
{
    (void)user, (void)consumer;
    world.bytes += rh_event_body(event).n;
    world.last = rh_event_sequence_number(event);
    if (++world.done == world.target) rh_loop_stop(world.loop);
}

static void on_state(void *user, rh_consumer *consumer, rh_consumer_state state, const rh_error *error)
{
    (void)user, (void)consumer, (void)state;
    if (error && world.error.status == RH_OK) world.error = *error;
}

static const char *run(rh_turn *turn)
{
    /* Events that came since the last run are this run's: credit was given for them while it waited. */
    world.done   = 0;
    world.bytes  = 0;
    world.target = turn->events;
    while (world.done < world.target && world.error.status == RH_OK) {
        uint64_t before = world.done;
        rh_status status = rh_loop_run(world.loop, rh_time_after(rh_loop_now(world.loop), RH_MS(RH_OURS_WAIT_MS)));
        if (status) return rh_ours_failed("loop", status, NULL);
        if (world.done == before) return rh_lines_failed("no event came");
    }
    turn->events = world.done;
    turn->bytes  = world.bytes;
    return world.error.status ? rh_ours_failed("receive", world.error.status, &world.error) : NULL;
}

static void end(void)
{
    rh_consumer_destroy(world.consumer);
    world.consumer = NULL;
    rh_ours_end(&world.loop, &world.client);
}

static const char *open_consumer(void)
{
    rh_error         error = { .status = RH_OK };
    rh_consumer_opts opts  = *RH_CONSUMER_OPTS(.partition = "0", .prefetch = PREFETCH, .prefetch_bytes = PREFETCH_BYTES,
                                               .handler = { .on_event = on_event, .on_state = on_state });
    rh_status status = rh_consumer_open_wait(world.client, &opts, &world.consumer, RH_OURS_WAIT_MS, &error);
    return status ? rh_ours_failed("consumer", status, &error) : NULL;
}

static const char *open_receive(const rh_order *order)
{
    world.error = (rh_error){ .status = RH_OK };
    const char *words = rh_ours_loop(RH_LOOP_OPTS(.receive_buffers = BUFFERS), &world.loop);
    if (!words) words = rh_ours_client(world.loop, order, NULL, &world.client);
    if (!words) words = open_consumer();
    if (words) end();
    return words;
}

const rh_ours_task rh_ours_receive = { "receive", open_receive, run, end };
