#include "tests/sim/world.h"

#include <stdio.h>
#include <stdlib.h>

/* Whatever is retained for ten years is there at the end, however long the machine slept. */
#define RETENTION_MS (INT64_C(3650) * 24 * 3600 * 1000)
#define STORE_BYTES  (UINT64_C(4) << 30) /* more than any world sends: what is stored stays */

/* What a producer sent at the last moment has to be read as well. */
#define LAST_EVENTS RH_SECONDS(3)

/* After the last event: what is still said of it has come by then. */
#define REST RH_SECONDS(1)

static void shape(sim_world *world, const sim_run *run)
{
    sim_swarm *swarm = &world->swarm;
    sim_swarm_init(swarm, &world->loop, run->faults);
    swarm->switches = run->switches;
    swarm->struck   = run->struck;
    swarm->restart  = sim_world_restart;
    swarm->restart_user = world;
    sim_shape_draw(&world->shape, &world->chance, 2 * swarm->latency_most + swarm->return_most, swarm->bytes_per_second, swarm->window);
    if (run->limits.small) sim_shape_small(&world->shape);
    sim_workload_make(world, &run->limits);
}

/* The service minds every rule. Whoever breaks one is the network, or we; that somebody was silent breaks none. */
static void on_service_log(void *user, rh_log_level level, const char *id, const char *text)
{
    sim_world *world = user;
    (void)level;
    sim_tell(&world->trace, world->loop.now, "service %s: %s", id, text);
    if (strstr(text, SIM_CANARY) || strstr(text, "sig=")) sim_model_wrong(&world->model, "the service shows a secret: %s", text);
    if (strcmp(id, "emulator.peer") == 0 && !strstr(text, "RH_E_PEER_SILENT") && ++world->broken > world->loop.garbage)
        sim_model_wrong(&world->model, "a client broke the rules: %s", text);
}

bool sim_world_serve(sim_world *world)
{
    static const char *const groups[] = { "second", "third" };
    rh_emulator_hub hub  = { .name = "hub", .partitions = world->shape.partitions, .groups = groups, .group_count = 2 };
    uint16_t        port = world->shape.tls ? 5671 : 5672;
    rh_error        error;
    rh_status       status = rh_emulator_create(&world->loop.loop, RH_EMULATOR_OPTS(
        .hubs = &hub, .hub_count = 1, .rule = "rule", .key = SIM_CANARY, .listen_port = port, .retention_ms = RETENTION_MS,
        .max_bytes = STORE_BYTES,
        .limits = world->shape.service, .log = { on_service_log, world }, .faults = { .judge = sim_swarm_judge, .user = &world->swarm }), &world->emulator, &error);
    if (status != RH_OK) sim_model_wrong(&world->model, "no namespace: %s", error.description);
    world->swarm.emulator = world->emulator;
    return status == RH_OK;
}

/* Time that the machine sleeps is nobody's. */
static void pass(sim_world *world, rh_time time, bool (*done)(const sim_world *world))
{
    rh_time until = world->loop.now + time - world->loop.slept;
    while (world->loop.now < until + world->loop.slept && !world->model.wrong[0] && !world->loop.broken && !(done && done(world)))
        if (rh_loop_turn(&world->loop.loop, until + world->loop.slept) != RH_OK) break;
}

/* An event that was kept and is let go just now may have a flow on its way: what is missing is missing each time one looks. */
static void judge_rest(sim_world *world)
{
    for (int looks = 3; looks > 0; looks--) {
        pass(world, 2 * world->shape.trip_most + REST, NULL);
        if (world->model.wrong[0]) return;
        sim_balance_judge(world);
        if (!world->model.wrong[0]) return;
        if (looks > 1) world->model.wrong[0] = 0;
    }
}

static void finish(sim_world *world, sim_result *result)
{
    char     text[256];
    uint64_t events, bytes;
    world->calm = true;
    sim_swarm_calm(&world->swarm);
    sim_credentials_calm(world);
    sim_workload_calm(world);
    if (world->is_away) rh_timer_set(&world->loop.loop, &world->back, world->loop.now);
    sim_tell(&world->trace, world->loop.now, "calm");
    rh_time calm = world->loop.now;
    sim_workload_left(world, &events, &bytes);
    result->bound = world->bound = sim_shape_bound(&world->shape, events, bytes);
    pass(world, world->bound, sim_workload_is_done);
    if (sim_workload_is_proved(world)) pass(world, LAST_EVENTS, sim_workload_is_done);
    result->finished = world->loop.now - calm;
    sim_workload_unfinished(world, text, sizeof text);
    if (text[0]) sim_model_wrong(&world->model, "not done %.3f s after the last fault: %s", (double)result->finished / 1e9, text);
    if (!text[0]) judge_rest(world);
    sim_workload_close(world);
    pass(world, RH_SECONDS(60), sim_workload_is_closed);
    if (!sim_workload_is_closed(world)) sim_model_wrong(&world->model, "a client did not close");
    if (!world->model.wrong[0]) sim_model_judge(&world->model, world->emulator);
}

static void let_go(sim_world *world)
{
    sim_workload_free(world);
    rh_timer_cancel(&world->loop.loop, &world->back);
    if (world->emulator) rh_emulator_destroy(world->emulator);
    rh_time until = world->loop.now + RH_SECONDS(10);
    while (world->loop.pipes && rh_loop_turn(&world->loop.loop, until) == RH_OK && world->loop.now < until) continue;
    sim_loop_fini(&world->loop);
    sim_credentials_free(world);
    if (world->loop.allocations) sim_model_wrong(&world->model, "%zu pieces of memory are left, %zu bytes", world->loop.allocations, world->loop.allocated);
    if (world->trace.hash == 0) sim_model_wrong(&world->model, "nothing happened");
}

static void count_up(const sim_world *world, sim_result *result, sim_grid *grid)
{
    for (size_t i = 0; i < world->client_count; i++) {
        const sim_client *client = &world->clients[i];
        result->producers += client->producer_count;
        result->consumers += client->consumer_count;
        result->reopened += client->remade - (client->remade != 0);
        for (size_t k = 0; k < client->consumer_count; k++) result->events += client->consumers[k].events;
    }
    for (size_t f = 0; grid && f < SIM_FAULT_KINDS; f++)
        for (size_t p = 0; p < SIM_PHASES; p++) grid->hits[f][p] += world->swarm.grid.hits[f][p];
}

sim_result sim_world_run(const sim_run *run)
{
    sim_world *world  = calloc(1, sizeof *world);
    sim_result result = { 0 };
    world->trace      = (sim_trace){ .out = run->out, .until = run->until };
    sim_loop_init(&world->loop, run->seed, &world->trace);
    world->loop.input = run->input;
    world->chance     = sim_loop_chance(&world->loop, 0);
    sim_model_init(&world->model, sim_draw(&world->chance));
    shape(world, run);
    if (sim_world_serve(world)) {
        sim_swarm_start(&world->swarm, world->emulator);
        sim_workload_start(world);
        pass(world, run->limits.chaos ? run->limits.chaos : SIM_CALM, NULL);
        finish(world, &result);
        count_up(world, &result, run->grid);
    }
    let_go(world);
    if (world->loop.broken) sim_model_wrong(&world->model, "%s", world->loop.broken);
    result.hash  = world->trace.hash;
    result.lines = world->trace.lines;
    memcpy(result.wrong, world->model.wrong, sizeof result.wrong);
    sim_model_fini(&world->model);
    free(world);
    return result;
}
