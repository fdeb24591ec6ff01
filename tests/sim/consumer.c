/* Consumers of a world: they open, see every event of their partition in turn, keep some for a while, and close. */
#include "eventhub/consumer.h"
#include "tests/sim/world.h"

#include <stdio.h>
#include <stdlib.h>

#define POOL_MOST (8u << 20)

static rh_loop *loop_of(const sim_consumer *c)
{
    return sim_world_loop(c->client->world);
}

/* -- events ---------------------------------------------------------------------------------------- */

static void give_back(sim_held *held)
{
    sim_consumer *c     = held->consumer;
    sim_world    *world = c->client->world;
    uint32_t      number;
    for (sim_held **at = &c->held; *at; at = &(*at)->next)
        if (*at == held) {
            *at = held->next;
            break;
        }
    rh_timer_cancel(loop_of(c), &held->timer);
    if (sim_model_know(&world->model, rh_event_body(held->event), "a kept event", &number) && number != held->number)
        sim_model_wrong(&world->model, "a kept event turned from %u into %u", held->number, number);
    rh_event_release(held->event);
    free(held);
}

static void on_held(void *user, rh_time now)
{
    (void)now;
    give_back(user);
}

static void keep(sim_consumer *c, const rh_event *event, uint32_t number)
{
    sim_world      *world = c->client->world;
    const rh_event *kept;
    if (rh_event_retain(event, &kept) != RH_OK) return;
    sim_held *held = calloc(1, sizeof *held);
    *held          = (sim_held){ .next = c->held, .event = kept, .number = number, .timer = { .fn = on_held, .user = held }, .consumer = c };
    c->held        = held;
    rh_timer_set(loop_of(c), &held->timer, world->loop.now + sim_scale(&c->chance, RH_MS(1), RH_SECONDS(30)));
}

/* One that began at the end of its partition has its first event from what was enqueued after the open, and before it was told OPEN. */
static bool is_next(const sim_consumer *c, int64_t sequence)
{
    return c->is_loose ? sequence >= c->least && sequence <= c->seen + 1 : sequence == c->seen + 1;
}

static void see(sim_consumer *c, const rh_event *event)
{
    sim_world    *world    = c->client->world;
    int64_t       sequence = rh_event_sequence_number(event);
    char          where[64];
    uint32_t      number;
    (void)snprintf(where, sizeof where, "consumer %u, sequence %lld", c->id, (long long)sequence);
    if (c->is_vague) return;
    if (!is_next(c, sequence)) sim_model_wrong(&world->model, "%s: it had seen %lld before", where, (long long)c->seen);
    c->seen = sequence;
    c->is_loose = false;
    c->events++;
    sim_tell(&world->trace, world->loop.now, "consumer %u sees sequence %lld", c->id, (long long)sequence);
    if (!sim_model_know(&world->model, rh_event_body(event), where, &number)) return;
    if (!world->calm && sim_once_in(&c->chance, c->hold_every)) keep(c, event, number);
}

static void on_event(void *user, rh_consumer *consumer, const rh_event *event)
{
    sim_consumer *c = user;
    (void)consumer;
    see(c, event);
    sim_client_rash(c->client);
}

static void on_pull(void *user, rh_time now)
{
    sim_consumer   *c     = user;
    sim_world      *world = c->client->world;
    const rh_event *event;
    if (!c->consumer) return; /* opening it anew starts this anew */
    while (rh_consumer_receive(c->consumer, &event) == RH_OK) {
        see(c, event);
        rh_event_release(event);
    }
    rh_timer_set(loop_of(c), &c->pull, now + (world->calm ? RH_MS(5) : sim_scale(&c->chance, RH_MS(1), c->pull_most)));
}

/* -- coming and going ------------------------------------------------------------------------------ */

/* It may say of anything that it was stolen, and nobody has stolen it. */
static bool is_whim_of_the_service(const rh_error *error)
{
    return error && (strstr(error->description, "The simulated service") || strstr(error->description, "test asked"));
}

/* Without an answer to the question where the end is nothing is promised over a loss: it begins anew, and elsewhere. */
static void find_end(sim_consumer *c, const rh_consumer *consumer)
{
    sim_world *world = c->client->world;
    c->is_vague      = consumer->position.kind == RH_POSITION_LATEST;
    c->wants_latest  = false;
    if (c->is_vague) {
        (void)sim_consumer_leave(c, world->loop.now + RH_SECONDS(5));
        return;
    }
    c->seen     = sim_world_end(world, c->partition) - 1;
    c->is_loose = true;
    sim_tell(&world->trace, world->loop.now, "consumer %u begins behind sequence %lld", c->id, (long long)c->seen);
}

static void note_state(sim_consumer *c, const rh_consumer *consumer, rh_consumer_state state, const rh_error *error)
{
    sim_world *world = c->client->world;
    if (c->lost) sim_model_wrong(&world->model, "consumer %u is told of a state after its end", c->id);
    if (state == RH_CONSUMER_OPEN) {
        if (!c->was_open) sim_world_in_time(world, "consumer", c->id, "opened", c->due);
        c->was_open = true;
        if (!c->leaving) c->due = 0;
        if (c->wants_latest) find_end(c, consumer);
    }
    if (state != RH_CONSUMER_CLOSED && state != RH_CONSUMER_STOLEN) return;
    sim_client_ended(c->client, "consumer", c->id, error, c->leaving, c->was_open ? 0 : c->due);
    sim_client_in_time(c->client, "consumer", c->id, "ended", c->due);
    c->lost = true;
    bool whim = is_whim_of_the_service(error);
    if (state == RH_CONSUMER_STOLEN) c->robbed = !whim || c->level >= 0;
    else if (error && error->error_class == RH_CLASS_STOLEN && !whim) sim_model_wrong(&world->model, "consumer %u was robbed and is not told so", c->id);
    if (c->robbed && c->level < 0) sim_model_wrong(&world->model, "consumer %u was robbed of what nobody owns", c->id);
    if (!world->closing) rh_timer_set(loop_of(c), &c->timer, sim_client_soon(c->client, &c->chance));
}

static void on_state(void *user, rh_consumer *consumer, rh_consumer_state state, const rh_error *error)
{
    sim_consumer *c = user;
    note_state(c, consumer, state, error);
    sim_client_rash(c->client);
}

/* As small as the pace allows: who pulls its events is to meet a full pool. */
static size_t pool_bytes(const sim_consumer *c)
{
    const sim_shape *shape = &c->client->world->shape;
    size_t           n     = (size_t)shape->prefetch_least * shape->event_bytes * (c->pull_most ? 1 : 2);
    return n < POOL_MOST ? n : POOL_MOST;
}

void sim_consumer_open(sim_consumer *c)
{
    sim_client *client = c->client;
    sim_world  *world  = client->world;
    rh_position from   = { .kind = RH_POSITION_EARLIEST };
    char        partition[12];
    (void)snprintf(partition, sizeof partition, "%u", c->partition);
    sim_consumer_drop(c);
    if (c->mute || c->robbed || !client->client || client->lost) return;
    c->lost = c->was_open = c->leaving = false;
    c->due = world->loop.now + RH_MS(world->shape.operation_ms);
    c->is_vague = c->is_loose = false;
    if (c->wants_latest) from = (rh_position){ .kind = RH_POSITION_LATEST };
    c->least = sim_world_end(world, c->partition);
    if (c->seen >= 0) from = (rh_position){ .kind = RH_POSITION_SEQUENCE, .value = c->seen };
    rh_status status = rh_consumer_open(client->client, RH_CONSUMER_OPTS(
        .group = c->group, .partition = partition, .position = from, .prefetch = c->prefetch,
        .prefetch_bytes = pool_bytes(c), .event_bytes = world->shape.event_bytes,
        .has_owner_level = c->level >= 0, .owner_level = c->level,
        .handler = { .on_event = c->pull_most ? NULL : on_event, .on_state = on_state }, .user = c), &c->consumer);
    if (status != RH_OK) rh_timer_set(loop_of(c), &c->timer, sim_client_soon(client, &c->chance));
    if (status == RH_OK && c->pull_most) rh_timer_set(loop_of(c), &c->pull, world->loop.now + RH_MS(1));
}

static void on_timer(void *user, rh_time now)
{
    sim_consumer *c = user;
    (void)now;
    if (c->lost || !c->consumer) sim_consumer_open(c);
}

bool sim_consumer_leave(sim_consumer *c, rh_time when)
{
    if (!c->consumer || c->lost) return false;
    if (!c->leaving) c->due = when; /* the first call holds */
    c->leaving = true;
    rh_consumer_close(c->consumer, when);
    return true;
}

void sim_consumer_release(sim_consumer *c)
{
    while (c->held) give_back(c->held);
}

void sim_consumer_drop(sim_consumer *c) /* what is kept of its events stays good */
{
    rh_consumer_destroy(c->consumer);
    c->consumer = NULL;
}

void sim_consumer_forgotten(sim_consumer *c)
{
    c->seen = -1;
    sim_consumer_open(c);
}

void sim_consumer_make(sim_client *client, sim_consumer *consumer, uint32_t id, const sim_limits *limits)
{
    const sim_shape *shape  = &client->world->shape;
    sim_chance       chance = sim_loop_chance(&client->world->loop, SIM_STREAM_CONSUMERS + id), *c = &chance;
    /* A partition has five readers of a group at most, and those that died unseen count for a while. */
    static const char *const groups[] = { "$Default", "second", "third" };
    uint32_t         most   = shape->prefetch_least > 300 ? shape->prefetch_least : 300;
    *consumer               = (sim_consumer){
        .client = client, .id = id, .seen = -1, .timer = { .fn = on_timer, .user = consumer },
        .partition  = id % (shape->owned && shape->partitions > 2 ? 2 : shape->partitions),
        .level      = shape->owned ? (int64_t)sim_below(c, 2) : -1,
        .group      = groups[id / shape->partitions / 3 % 3],
        .prefetch   = (uint32_t)sim_scale(c, shape->prefetch_least, most),
        .hold_every = sim_once_in(c, 2) ? 0 : (uint32_t)sim_scale(c, 1, 50),
        .pull       = { .fn = on_pull, .user = consumer },
        .pull_most  = sim_once_in(c, 3) ? sim_scale(c, RH_MS(10), RH_SECONDS(5)) : 0,
    };
    consumer->wants_latest = sim_once_in(c, 4);
    consumer->chance = chance;
    consumer->mute   = limits->mute_consumers >> id & 1;
}
