/* send: batches or singles as fast as outcomes let them go. */
#include "bench/ours/ours.h"

#define IN_FLIGHT_BATCHES 4u
#define IN_FLIGHT_SINGLES 2000u
#define AROUND            256u       /* of an encoded event, its body apart; also of a batch */
#define BATCH_MAX         (1u << 20)

static struct {
    rh_loop     *loop;
    rh_client   *client;
    rh_producer *producer;
    uint32_t     batch; /* events in a message */
    uint32_t     in_flight;
    size_t       body;
    uint64_t     target, begun, done;
    rh_error     error;
} world;

static void on_closed(void *user, rh_producer *producer, const rh_error *error)
{
    (void)user, (void)producer;
    if (error && world.error.status == RH_OK) world.error = *error;
}

/* -- out ------------------------------------------------------------------------------------- */

static rh_status send_batch(void)
{
    rh_batch     *batch  = NULL;
    rh_ours_event event;
    uint64_t      left   = world.target - world.begun;
    uint32_t      count  = left < world.batch ? (uint32_t)left : world.batch;
    rh_status     status = rh_batch_create(world.producer, RH_BATCH_OPTS(.partition_key = RH_OURS_KEY), &batch);
    for (uint32_t i = 0; !status && i < count; i++) {
        rh_ours_fill(&event, world.begun + i, false);
        status = rh_batch_add(batch, &event.data);
    }
    if (!status) status = rh_producer_send(world.producer, batch, 0, NULL);
    if (!status) world.begun += count;
    else rh_batch_destroy(batch);
    return status;
}

static rh_status send_single(void)
{
    rh_ours_event event;
    rh_ours_fill(&event, world.begun, true);
    rh_status status = rh_producer_send_event(world.producer, &event.data, 0, NULL);
    if (!status) world.begun++;
    return status;
}

/* Several at a time leave in one system call: what came back is waited for until half is. */
static void refill(void)
{
    rh_status status = RH_OK;
    uint32_t  open   = rh_producer_in_flight(world.producer);
    if (open > world.in_flight / 2) return;
    for (; !status && world.begun < world.target && open < world.in_flight; open++) {
        status = world.batch > 1 ? send_batch() : send_single();
    }
    if (status && status != RH_AGAIN && !world.error.status) rh_error_set(&world.error, status, NULL, "send");
}

static void on_sent(void *user, rh_producer *producer, const rh_sent *sent)
{
    (void)user, (void)producer;
    if (sent->status != RH_OK && world.error.status == RH_OK) world.error = *sent->error;
    world.done += sent->events;
    refill();
    if (world.done >= world.target || world.error.status) rh_loop_stop(world.loop);
}

static void on_ready(void *user, rh_producer *producer)
{
    (void)user, (void)producer;
    refill();
}

static const char *run(rh_turn *turn)
{
    world.target = turn->events;
    world.begun = world.done = 0;
    refill();
    while (world.done < world.target && world.error.status == RH_OK) {
        uint64_t  before = world.done;
        rh_status status = rh_loop_run(world.loop, rh_time_after(rh_loop_now(world.loop), RH_MS(RH_OURS_WAIT_MS)));
        if (status) return rh_ours_failed("loop", status, NULL);
        if (world.done == before) return rh_lines_failed("no outcome came");
    }
    turn->bytes = world.body * world.done;
    return world.error.status ? rh_ours_failed("send", world.error.status, &world.error) : NULL;
}

/* -- open and close -------------------------------------------------------------------------- */

static void end(void)
{
    rh_producer_destroy(world.producer);
    world.producer = NULL;
    rh_ours_end(&world.loop, &world.client);
}

/* As large as what is sent needs: a batch takes its room before it is filled, and less room is warmer. */
static size_t batch_bytes(const rh_order *order)
{
    size_t n = order->batch * (order->size + AROUND) + AROUND;
    return order->batch > 1 && n < BATCH_MAX ? n : BATCH_MAX;
}

static const char *open_producer(const rh_order *order)
{
    rh_error         error = { .status = RH_OK };
    world.in_flight        = order->batch > 1 ? IN_FLIGHT_BATCHES : IN_FLIGHT_SINGLES;
    rh_producer_opts opts  = *RH_PRODUCER_OPTS(.in_flight = world.in_flight, .batches = IN_FLIGHT_BATCHES, .batch_bytes = batch_bytes(order),
                                               .handler = { .on_sent = on_sent, .on_ready = on_ready, .on_closed = on_closed });
    rh_status status = rh_producer_open_wait(world.client, &opts, &world.producer, RH_OURS_WAIT_MS, &error);
    return status ? rh_ours_failed("producer", status, &error) : NULL;
}

static const char *open_send(const rh_order *order)
{
    if (!rh_ours_events_of(order->size)) return rh_lines_failed("no memory for a body of %zu bytes", order->size);
    world.error = (rh_error){ .status = RH_OK };
    world.batch = order->batch;
    world.body  = order->size;
    const char *words = rh_ours_loop(NULL, &world.loop);
    if (!words) words = rh_ours_client(world.loop, order, NULL, &world.client);
    if (!words) words = open_producer(order);
    if (words) end();
    return words;
}

const rh_ours_task rh_ours_send = { "send", open_send, run, end };
