/* Producers of a world: they open, send batches and events of all sizes, close, and are told how each ended. */
#include "tests/sim/world.h"

#include <stdio.h>

/* Whatever a link takes: its annotations and section heads take less than this beside the body. */
#define HEADS 64

static rh_loop *loop_of(const sim_producer *p)
{
    return sim_world_loop(p->client->world);
}

/* -- what it is told ------------------------------------------------------------------------------- */

/* What a send carries: the number of its first event. */
static void *tag_of(uint32_t first)
{
    return (void *)(uintptr_t)((uint64_t)first + 1);
}

static void settle(sim_producer *p, uint32_t event, const rh_sent *sent)
{
    sim_model *model = &p->client->world->model;
    sim_event *e     = &model->events[event];
    if (e->open-- == 0) sim_model_wrong(model, "a send of event %u ended twice", event);
    e->once = p->once;
    if (sent->status == RH_OK && sent->tries > 1) e->again += sent->tries - 1;
    if (sent->status == RH_OK) e->accepted++;
    else if (sent->status == RH_E_OUTCOME_UNKNOWN) e->unknown++, e->again += sent->tries - 1;
    else e->refused++;
}

/* Behind a batch on a thin and distant line a send may run out of a time that was short. */
static bool had_little_time(const sim_world *world, const sim_event *e)
{
    return world->loop.now >= e->due && e->due - e->begun < RH_SECONDS(10);
}

/* Before the first fault and whim there is no reason why a send should fail, or need a second try. */
static void judge_quiet(const sim_producer *p, sim_world *world, const rh_sent *sent, const sim_event *e)
{
    bool patient = world->shape.service.sender_idle_ms == 0 && world->shape.service.throughput_units == 0;
    if (world->swarm.strikes || world->closing || !patient || (sent->status == RH_OK && sent->tries == 1) || had_little_time(world, e)) return;
    sim_model_wrong(&world->model, "producer %u: nothing is wrong yet, and a send ends as %s after %u tries", p->id, rh_status_name(sent->status), (unsigned)sent->tries);
}

static void send_if_room(sim_producer *p);

static void on_sent(void *user, rh_producer *producer, const rh_sent *sent)
{
    sim_producer *p     = user;
    sim_world    *world = p->client->world;
    uint32_t      first = (uint32_t)((uintptr_t)sent->tag - 1);
    (void)producer;
    p->sends--;
    if (world->calm && sent->status == RH_OK) p->proved = true;
    sim_tell(&world->trace, world->loop.now, "producer %u: events %u to %u end as %s, tries %u", p->id, first, first + sent->events - 1,
             rh_status_name(sent->status), (unsigned)sent->tries);
    sim_world_in_time(world, "producer", p->id, "told of a send", world->model.events[first].due);
    judge_quiet(p, world, sent, &world->model.events[first]);
    for (uint32_t i = first; i < first + sent->events; i++) settle(p, i, sent);
    if (!world->calm && sim_once_in(&p->chance, 8)) send_if_room(p);
    sim_client_rash(p->client);
}

static void on_opened(void *user, rh_producer *producer)
{
    sim_producer *p = user;
    (void)producer;
    sim_world_in_time(p->client->world, "producer", p->id, "opened", p->due);
    p->was_open = true;
    if (!p->leaving) p->due = 0;
    sim_client_rash(p->client);
}

static void on_closed(void *user, rh_producer *producer, const rh_error *error)
{
    sim_producer *p     = user;
    sim_world    *world = p->client->world;
    (void)producer;
    sim_client_ended(p->client, "producer", p->id, error, p->leaving, p->was_open ? 0 : p->due);
    sim_client_in_time(p->client, "producer", p->id, "ended", p->due);
    if (p->lost) sim_model_wrong(&world->model, "producer %u ended twice", p->id);
    if (p->sends) sim_model_wrong(&world->model, "producer %u closed with %u sends without outcome", p->id, p->sends);
    p->lost = true;
    if (!world->closing) rh_timer_set(loop_of(p), &p->timer, sim_client_soon(p->client, &p->chance));
    sim_client_rash(p->client);
}

/* -- sending --------------------------------------------------------------------------------------- */

static uint8_t body[1 << 20];

static rh_event_data new_event(sim_producer *p, uint32_t size)
{
    sim_model *model = &p->client->world->model;
    uint32_t   event = sim_model_add(model, p->id, size);
    model->events[event].ordered = p->ordered;
    sim_model_body(model, event, body);
    return (rh_event_data){ .body = rh_slice_of(body, model->events[event].size) };
}

static uint32_t some_size(sim_producer *p)
{
    return (uint32_t)sim_scale(&p->chance, SIM_BODY_MIN, p->size_most);
}

/* As large as the link allows, or a few bytes less. */
static uint32_t huge_size(sim_producer *p)
{
    size_t most = rh_producer_max_bytes(p->producer);
    size_t n    = most > sizeof body ? sizeof body : most;
    return n > SIM_BODY_MIN + HEADS ? (uint32_t)(n - HEADS + sim_below(&p->chance, HEADS / 2)) : SIM_BODY_MIN;
}

/* The events of a send that was refused at once were never sent; they stay in the model as such. */
static void mark(sim_producer *p, uint32_t first, uint32_t count, rh_time due, rh_status status)
{
    sim_world *world = p->client->world;
    for (uint32_t i = first; i < first + count; i++) {
        sim_event *e = &world->model.events[i];
        e->begun     = world->loop.now;
        e->due       = due;
        if (status == RH_OK) e->open++;
        else e->refused++;
    }
    if (status == RH_OK) p->sends++;
    sim_tell(&world->trace, world->loop.now, "producer %u sends events %u to %u: %s", p->id, first, first + count - 1, rh_status_name(status));
}

static rh_time deadline(sim_producer *p)
{
    const sim_world *world = p->client->world;
    return world->loop.now + sim_between(&p->chance, world->shape.send_least, world->shape.send_most);
}

static void send_one(sim_producer *p, uint32_t size)
{
    uint32_t      event = (uint32_t)p->client->world->model.count;
    rh_event_data data  = new_event(p, size);
    rh_time       due   = deadline(p);
    mark(p, event, 1, due, rh_producer_send_event(p->producer, &data, due, tag_of(event)));
}

static void send_batch(sim_producer *p)
{
    sim_model *model = &p->client->world->model;
    uint32_t   first = (uint32_t)model->count, want = (uint32_t)sim_between(&p->chance, 1, p->batch_most), count = 0;
    rh_time    due   = deadline(p);
    rh_batch  *batch;
    if (rh_batch_create(p->producer, NULL, &batch) != RH_OK) return;
    while (count < want) {
        rh_event_data data = new_event(p, some_size(p));
        if (rh_batch_add(batch, &data) != RH_OK) {
            model->count--;
            break;
        }
        count++;
    }
    rh_status status = count ? rh_producer_send(p->producer, batch, due, tag_of(first)) : RH_E_BATCH_FULL;
    if (count) mark(p, first, count, due, status);
    if (status != RH_OK) rh_batch_destroy(batch);
}

static void send_some(sim_producer *p)
{
    p->left--;
    if (sim_once_in(&p->chance, p->client->world->shape.huge_every)) send_one(p, huge_size(p));
    else if (sim_once_in(&p->chance, 3)) send_one(p, some_size(p));
    else send_batch(p);
}

static void send_if_room(sim_producer *p)
{
    if (p->producer && rh_producer_is_open(p->producer) && rh_producer_in_flight(p->producer) < p->in_flight && p->left) send_some(p);
}

/* When nothing goes wrong any more everybody can send: a small event each, as often as that takes. */
static void prove(sim_producer *p, rh_time now)
{
    if (p->proved) return;
    if (rh_producer_is_open(p->producer) && p->sends == 0) send_one(p, SIM_BODY_MIN);
    rh_timer_set(loop_of(p), &p->timer, now + RH_MS(20));
}

static void on_timer(void *user, rh_time now)
{
    sim_producer *p     = user;
    sim_world    *world = p->client->world;
    if (p->lost || !p->producer) {
        sim_producer_open(p);
        return;
    }
    if (world->calm) {
        prove(p, now);
        return;
    }
    send_if_room(p);
    rh_timer_set(loop_of(p), &p->timer, now + sim_scale(&p->chance, RH_US(100), p->interval_most));
}

/* -- coming and going ------------------------------------------------------------------------------- */

void sim_producer_open(sim_producer *p)
{
    sim_client *client = p->client;
    sim_world  *world  = client->world;
    char        partition[12];
    (void)snprintf(partition, sizeof partition, "%d", p->partition);
    sim_producer_drop(p);
    if (p->mute || !client->client || client->lost) return; /* the client comes first, and opens us */
    p->lost = p->was_open = p->leaving = false;
    p->due           = world->loop.now + RH_MS(world->shape.operation_ms);
    rh_status status = rh_producer_open(client->client, RH_PRODUCER_OPTS(
        .partition = p->partition < 0 ? NULL : partition, .in_flight = p->in_flight, .once = p->once, .batches = 2,
        .batch_bytes = world->shape.batch_bytes,
        .handler = { .on_open = on_opened, .on_sent = on_sent, .on_closed = on_closed }, .user = p), &p->producer);
    rh_timer_set(loop_of(p), &p->timer, status == RH_OK ? world->loop.now + RH_MS(1) : sim_client_soon(client, &p->chance));
}

bool sim_producer_leave(sim_producer *p, rh_time when)
{
    if (!p->producer || p->lost) return false;
    if (!p->leaving) p->due = when; /* the first call holds */
    p->leaving = true;
    rh_producer_close(p->producer, when);
    return true;
}

void sim_producer_drop(sim_producer *p)
{
    rh_producer_destroy(p->producer);
    if (p->sends) sim_model_abandon(&p->client->world->model, p->id, p->once);
    p->sends    = 0;
    p->producer = NULL;
}

/* [eventhub.h] With several sends in flight order holds unless the service refuses one of them, or does not even look at it. */
static bool may_refuse(const sim_world *world)
{
    uint32_t kinds = 1u << SIM_FAULT_REFUSE | 1u << SIM_FAULT_IGNORE | 1u << SIM_FAULT_THROTTLE;
    return world->swarm.enabled & kinds || world->shape.service.throughput_units;
}

void sim_producer_make(sim_client *client, sim_producer *p, uint32_t id, const sim_limits *limits)
{
    const sim_world *world  = client->world;
    sim_chance       chance = sim_loop_chance(&world->loop, SIM_STREAM_PRODUCERS + id), *c = &chance;
    *p                      = (sim_producer){
        .client = client, .id = id, .timer = { .fn = on_timer, .user = p },
        .partition     = sim_once_in(c, 4) ? -1 : (int)sim_below(c, world->shape.partitions),
        .in_flight     = sim_once_in(c, 2) ? 1 : (uint32_t)sim_between(c, 1, 8), .once = sim_once_in(c, 4),
        .batch_most    = (uint32_t)sim_scale(c, 1, 50),
        .size_most     = (uint32_t)sim_scale(c, 64, world->shape.body_most),
        .interval_most = sim_scale(c, RH_SECONDS(2), RH_SECONDS(60)),
    };
    p->chance  = chance;
    p->ordered = p->partition >= 0 && (p->in_flight == 1 || !may_refuse(world));
    p->left   = limits->sends ? limits->sends : UINT32_MAX;
    p->mute   = limits->mute_producers >> id & 1;
}
