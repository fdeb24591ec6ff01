/* What people do with a client without waiting for the right moment: they close something, or destroy it inside its own callback. */
#include "tests/sim/world.h"

#include "eventhub/connection.h"

static rh_loop *loop_of(const sim_client *client)
{
    return sim_world_loop(client->world);
}

static void tell(sim_client *client, sim_occasion at)
{
    char name[SIM_OCCASION_MAX];
    sim_swarm_struck(&client->world->swarm, at);
    sim_tell(&client->world->trace, client->world->loop.now, "whim %s", sim_occasion_name(at, name));
}

/* -- closing --------------------------------------------------------------------------------------- */

static void draining(const sim_client *client)
{
    if (client->client->pipe && client->client->pipe_up) sim_wire_reached(sim_wire_of(client->client->pipe), SIM_DRAIN);
}

static bool leave_producer(sim_producer *p, rh_time when)
{
    if (p->producer && !p->lost && p->sends) draining(p->client);
    return sim_producer_leave(p, when);
}

static bool leave_client(sim_client *client, rh_time when)
{
    client->leaving = true;
    client->due     = when;
    rh_client_close(client->client, when, NULL, NULL);
    return true;
}

void sim_client_close_something(sim_client *client)
{
    sim_swarm   *swarm = &client->world->swarm;
    sim_occasion at    = sim_occasion_of('c', client->id, client->whims++);
    sim_chance   c     = sim_swarm_chance(swarm, at);
    rh_time      when  = client->world->loop.now + sim_between(&c, RH_MS(100), RH_SECONDS(20));
    bool         left;
    if (client->lost || !client->client || !sim_swarm_allows(swarm, at)) return;
    if (client->producer_count && sim_once_in(&c, 2)) left = leave_producer(&client->producers[sim_below(&c, client->producer_count)], when);
    else if (client->consumer_count && sim_once_in(&c, 2)) left = sim_consumer_leave(&client->consumers[sim_below(&c, client->consumer_count)], when);
    else left = leave_client(client, when);
    if (left) tell(client, at);
}

/* -- inside a callback ------------------------------------------------------------------------------ */

static void drop_all(sim_client *client)
{
    for (size_t i = 0; i < client->producer_count; i++) sim_producer_drop(&client->producers[i]);
    for (size_t i = 0; i < client->consumer_count; i++) sim_consumer_drop(&client->consumers[i]);
    sim_inquiry_drop(&client->inquiry);
    rh_client_destroy(client->client);
    client->client = NULL;
    client->lost   = true;
    rh_timer_set(loop_of(client), &client->timer, sim_client_soon(client, &client->chance));
}

static void drop_something(sim_client *client, sim_chance *c)
{
    if (sim_once_in(c, 8)) drop_all(client);
    else if (client->producer_count && sim_once_in(c, 2)) {
        sim_producer *p = &client->producers[sim_below(c, client->producer_count)];
        sim_producer_drop(p);
        rh_timer_set(loop_of(client), &p->timer, sim_client_soon(client, &p->chance));
    } else if (client->consumer_count) {
        sim_consumer *consumer = &client->consumers[sim_below(c, client->consumer_count)];
        sim_consumer_drop(consumer);
        rh_timer_set(loop_of(client), &consumer->timer, sim_client_soon(client, &consumer->chance));
    }
}

void sim_client_rash(sim_client *client)
{
    sim_world *world = client->world;
    if (world->calm || !sim_once_in(&client->chance, world->shape.rash_every)) return;
    sim_occasion at = sim_occasion_of('b', client->id, client->rashes++);
    sim_chance   c  = sim_swarm_chance(&world->swarm, at);
    if (!client->client || !sim_swarm_allows(&world->swarm, at)) return;
    tell(client, at);
    if (sim_once_in(&c, 2)) sim_client_close_something(client);
    else drop_something(client, &c);
}
