#include "tests/sim/inquiry.h"

#include "tests/sim/world.h"

#include <stdio.h>
#include <stdlib.h>

static rh_emu_partition *partition_of(const sim_inquiry *q)
{
    const sim_world *world = q->client->world;
    return q->partition < world->shape.partitions ? &world->emulator->hubs->partitions[q->partition] : NULL;
}

static bool is_true(const sim_inquiry *q, const rh_partition_properties *p)
{
    const rh_emu_partition *partition = partition_of(q);
    if (!partition || (uint32_t)atoi(p->id) != q->partition || strcmp(p->hub, "hub") != 0) return false;
    if (q->losses != q->client->world->losses) return true; /* of the old ones or the new ones: nobody can tell */
    return p->begin_sequence_number == 0 && p->last_enqueued_sequence_number >= q->end - 1 && p->last_enqueued_sequence_number < partition->end &&
           p->is_empty == (p->last_enqueued_sequence_number < 0);
}

static bool hub_is_true(const sim_inquiry *q, const rh_hub_properties *h)
{
    if (h->partition_count != q->client->world->shape.partitions || strcmp(h->name, "hub") != 0) return false;
    for (uint32_t i = 0; i < h->partition_count; i++)
        if ((uint32_t)atoi(h->partition_ids[i]) != i) return false;
    return true;
}

static void done(sim_inquiry *q, bool truth, const rh_error *error)
{
    sim_client *client = q->client;
    sim_world  *world  = client->world;
    rh_time     due    = q->due;
    q->due             = 0;
    if (!due || !client->client) sim_model_wrong(&world->model, "client %u is told twice what it asked, or what it did not ask", client->id);
    sim_client_in_time(client, "a question of client", client->id, "answered", due);
    bool ending = rh_client_state_of(client->client) >= RH_CLIENT_CLOSING; /* for a reason of its own */
    sim_client_ended(client, "a question of client", client->id, error, ending, due);
    if (!error && !truth) sim_model_wrong(&world->model, "client %u was told something untrue about partition %u", client->id, q->partition);
    if (!error) q->answered++;
    sim_client_rash(client);
}

static void on_hub(void *user, const rh_hub_properties *properties, const rh_error *error)
{
    done(user, properties && hub_is_true(user, properties), error);
}

static void on_partition(void *user, const rh_partition_properties *properties, const rh_error *error)
{
    done(user, properties && is_true(user, properties), error);
}

static void ask(sim_inquiry *q)
{
    sim_client *client = q->client;
    sim_world  *world  = client->world;
    uint32_t    ms     = (uint32_t)sim_scale(&client->chance, 100, world->shape.operation_ms);
    char        id[12];
    q->partition = (uint32_t)sim_below(&client->chance, world->shape.partitions + 1u);
    q->losses    = world->losses;
    q->due       = world->loop.now + RH_MS(ms);
    const rh_emu_partition *partition = partition_of(q);
    q->end = partition ? partition->end : 0;
    (void)snprintf(id, sizeof id, "%u", q->partition);
    if (partition) rh_client_partition_properties(client->client, id, ms, on_partition, q);
    else rh_client_hub_properties(client->client, ms, on_hub, q);
}

static void on_timer(void *user, rh_time now)
{
    sim_inquiry *q     = user;
    sim_world   *world = q->client->world;
    if (world->calm) return;
    rh_timer_set(sim_world_loop(world), &q->timer, now + sim_scale(&q->client->chance, RH_MS(100), q->pause_most));
    if (q->client->client && !q->client->lost && !q->client->leaving && !q->due) ask(q);
}

void sim_inquiry_init(sim_inquiry *q, sim_client *client)
{
    *q            = (sim_inquiry){ .client = client, .timer = { .fn = on_timer, .user = q } };
    q->pause_most = sim_once_in(&client->chance, 2) ? sim_scale(&client->chance, RH_SECONDS(2), RH_SECONDS(200)) : 0;
}

void sim_inquiry_start(sim_inquiry *q)
{
    if (q->pause_most) on_timer(q, q->client->world->loop.now);
}

void sim_inquiry_drop(sim_inquiry *q)
{
    q->due = 0;
}
