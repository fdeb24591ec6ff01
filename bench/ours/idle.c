/* idle: N connections, each with its $cbs pair and one open producer, that do nothing. */
#include "bench/ours/ours.h"

#include <stdlib.h>

static struct {
    rh_loop      *loop;
    rh_client   **clients;
    rh_producer **producers;
    uint64_t      count;
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
    world.clients   = calloc(count, sizeof *world.clients);
    world.producers = calloc(count, sizeof *world.producers);
    if (!world.clients || !world.producers) return rh_lines_failed("no memory");
    const char *words = rh_ours_loop(NULL, &world.loop);
    for (uint64_t i = 0; !words && i < count; i++) words = open_one(order);
    if (words) end();
    else rh_ours_watch(world.loop);
    return words;
}

static const char *run(rh_turn *turn)
{
    return turn->events ? rh_lines_cannot("idle connections do nothing") : NULL;
}

const rh_ours_task rh_ours_idle = { "idle", open_idle, run, end };
