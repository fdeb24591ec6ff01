/* The service goes and comes again, with all that it stored or without anything. */
#include "tests/sim/world.h"

#include "emulator/connection.h"

#include <stdio.h>

static rh_loop *loop_of(sim_world *world)
{
    return &world->loop.loop;
}

/* One partition takes over what another had; nobody reads either, nor is sent anything of them. */
static void hand_over(rh_emu_partition *from, rh_emu_partition *to)
{
    rh_emu_partition old = *to;
    to->first            = from->first;
    to->last             = from->last;
    to->begin            = from->begin;
    to->end              = from->end;
    to->read_to          = from->read_to;
    to->next_offset      = from->next_offset;
    to->last_offset      = from->last_offset;
    to->last_enqueued_ms = from->last_enqueued_ms;
    from->first          = old.first;
    from->last           = old.last;
    from->begin          = old.begin;
    from->end            = old.end;
}

static void remember(const rh_emulator *from, rh_emulator *to)
{
    for (uint32_t i = 0; i < from->hubs->partition_count; i++) hand_over(&from->hubs->partitions[i], &to->hubs->partitions[i]);
    to->store.used = from->store.used;
}

static void on_back(void *user, rh_time now)
{
    sim_world   *world = user;
    rh_emulator *old   = world->emulator;
    (void)now;
    if (old->connection_count) { /* the last of them is just going down */
        rh_timer_set(loop_of(world), &world->back, now + RH_MS(1));
        return;
    }
    if (!sim_world_serve(world)) return;
    if (world->remembers) remember(old, world->emulator);
    else {
        sim_model_archive(&world->model, old);
        sim_workload_forgotten(world);
    }
    sim_tell(&world->trace, world->loop.now, "the service is back, with %s", world->remembers ? "all its events" : "nothing");
    rh_emulator_destroy(old);
    world->is_away = false;
}

bool sim_world_restart(void *user, rh_time away, bool remembers)
{
    sim_world   *world = user;
    rh_emulator *old   = world->emulator;
    if (world->is_away || world->calm) return false;
    world->is_away   = true;
    world->remembers = remembers;
    sim_swarm_generous(&world->swarm);
    rh_listener_close(old->plain);
    old->plain = NULL; /* it is not to be closed again */
    for (rh_emu_connection *c = old->connections; c; c = c->next) rh_emu_connection_cut(c);
    world->back = (rh_timer){ .fn = on_back, .user = world };
    rh_timer_set(loop_of(world), &world->back, world->loop.now + away);
    return true;
}
