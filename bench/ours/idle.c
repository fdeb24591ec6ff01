/*
 * idle: N connections, each with its $cbs pair and one open producer, that do nothing. A run lets each of them send `size`
 * bytes as often as asked, one connection after the other, and do nothing again.
 */
#include "bench/ours/ours.h"

#include <stdlib.h>

static struct {
    rh_loop      *loop;
    rh_client   **clients;
    rh_producer **producers;
    uint64_t      count;
    size_t        size;
} world;

static void end(void)
{
    for (uint64_t i = 0; i < world.count; i++) {
        rh_producer_destroy(world.producers[i]);
        rh_client_destroy(world.clients[i]);
    }
    free(world.producers);
    free(world.clients);
    world.producers = NULL;
    world.clients   = NULL;
    world.count     = 0;
    rh_ours_end(&world.loop, NULL);
}

static const char *open_one(const rh_order *order)
{
    rh_error    error = { .status = RH_OK };
    uint64_t    i     = world.count;
    const char *words = rh_ours_client(world.loop, order, NULL, &world.clients[i]);
    if (words) return words;
    world.count++;
    rh_status status = rh_producer_open_wait(world.clients[i], NULL, &world.producers[i], RH_OURS_WAIT_MS, &error);
    return status ? rh_ours_failed("producer", status, &error) : NULL;
}

static const char *open_idle(const rh_order *order)
{
    uint64_t count  = order->events ? order->events : 1;
    world.size      = order->size;
    world.clients   = calloc(count, sizeof *world.clients);
    world.producers = calloc(count, sizeof *world.producers);
    if (!world.clients || !world.producers) return rh_lines_failed("no memory");
    const char *words = rh_ours_loop(NULL, &world.loop);
    for (uint64_t i = 0; !words && i < count; i++) words = open_one(order);
    if (words) end();
    else rh_ours_watch(world.loop);
    return words;
}

/* As many reference events as a batch of this size takes. */
static rh_status send_burst(rh_producer *producer, rh_error *error)
{
    rh_batch *batch  = NULL;
    size_t    most   = rh_producer_max_bytes(producer);
    rh_status status = rh_batch_create(producer, RH_BATCH_OPTS(.max_bytes = world.size < most ? world.size : most), &batch);
    for (uint64_t i = 0; status == RH_OK; i++) {
        rh_ours_event event;
        rh_ours_fill(&event, i, false);
        status = rh_batch_add(batch, &event.data);
    }
    if (status == RH_E_BATCH_FULL) status = rh_producer_send_wait(producer, batch, RH_OURS_WAIT_MS, error);
    if (status) rh_batch_destroy(batch);
    return status;
}

static const char *run(rh_turn *turn)
{
    rh_error error = { .status = RH_OK };
    for (uint64_t n = 0; n < turn->events; n++)
        for (uint64_t i = 0; i < world.count; i++) {
            rh_status status = send_burst(world.producers[i], &error);
            if (status) return rh_ours_failed("burst", status, &error);
            turn->bytes += world.size;
        }
    return NULL;
}

const rh_ours_task rh_ours_idle = { "idle", open_idle, run, end };
