/*
 * At rest nothing is missing: both ends of a connection count the same credit, windows and deliveries, and whatever was lent
 * has come back.
 */
#include "tests/sim/world.h"

#include "emulator/connection.h"
#include "eventhub/connection.h"
#include "eventhub/consumer.h"
#include "eventhub/producer.h"
#include "proto/engine.h"
#include "proto/slots.h"

#include <stdio.h>

/* Its answers may be lost for as long as the link lives. */
#define MUTE_SERVICE (1u << SIM_FAULT_IGNORE | 1u << SIM_FAULT_FORGET | 1u << SIM_FAULT_LATE)

static const rh_emu_connection *service_of(const sim_world *world, const rh_client *client)
{
    if (client->state != RH_CLIENT_OPEN || !client->pipe) return NULL;
    const sim_wire *wire = sim_wire_of(client->pipe);
    if (wire->silent || wire->hung) return NULL;
    for (const rh_emu_connection *c = world->emulator->connections; c; c = c->next)
        if (c->pipe && !c->is_closing && wire->end[SIM_SERVER] && sim_wire_of(c->pipe) == wire) return c;
    return NULL;
}

static const struct link *other_end(const rh_emu_connection *service, const rh_link *ours)
{
    for (const rh_emu_link *l = service->links; l; l = l->next)
        if (!l->is_leaving && rh_link_is_receiver(l->link) != rh_link_is_receiver(ours) && rh_slice_equal(rh_link_name(l->link), rh_link_name(ours)))
            return slot_of(l->link);
    return NULL;
}

static void agree(sim_world *world, const rh_attachment *a, const char *what, uint32_t ours, uint32_t theirs)
{
    if (ours != theirs) sim_model_wrong(&world->model, "at rest %s of %s is %u here and %u there", what, rh_attachment_audience(a), ours, theirs);
}

/* The service may just now have ended it: for idleness, or with its token. */
static bool comes_and_goes(const sim_shape *shape)
{
    return shape->token_life || shape->service.sender_idle_ms || shape->service.reader_idle_ms;
}

static void judge_link(sim_world *world, const rh_attachment *a, const rh_emu_connection *service)
{
    const struct link *ours = slot_of(a->link), *theirs = ours ? other_end(service, a->link) : NULL;
    if (!theirs && !comes_and_goes(&world->shape)) sim_model_wrong(&world->model, "%s is open here, and the service knows nothing of it", rh_attachment_audience(a));
    if (!theirs) return;
    const struct link *receiver = ours->receiver ? ours : theirs, *sender = ours->receiver ? theirs : ours;
    agree(world, a, "the delivery count", ours->delivery_count, theirs->delivery_count);
    agree(world, a, "the credit", receiver->limit - receiver->delivery_count, sender->credit);
    agree(world, a, "the window toward the service", ours->session->remote_window, theirs->session->incoming_window);
    agree(world, a, "the window toward the client", ours->session->incoming_window, theirs->session->remote_window);
    agree(world, a, "the next transfer to the service", ours->session->next_outgoing_id, theirs->session->next_incoming_id);
    agree(world, a, "the next transfer to the client", ours->session->next_incoming_id, theirs->session->next_outgoing_id);
    if (!(world->swarm.enabled & MUTE_SERVICE)) agree(world, a, "the number of deliveries without outcome", sender->deliveries, 0);
}

static void judge_producer(sim_world *world, const sim_producer *p)
{
    if (!p->producer || p->lost || world->swarm.enabled & MUTE_SERVICE) return;
    if (rh_producer_in_flight(p->producer)) sim_model_wrong(&world->model, "at rest producer %u has sends in flight", p->id);
    if (p->producer->cells.left != p->producer->cells.count)
        sim_model_wrong(&world->model, "at rest producer %u misses %u of %u cells", p->id, p->producer->cells.count - p->producer->cells.left, p->producer->cells.count);
}

static void judge_consumer(sim_world *world, const sim_consumer *c)
{
    uint32_t kept = 0;
    if (!c->consumer || c->lost) return;
    for (const sim_held *h = c->held; h; h = h->next) kept++;
    if (rh_consumer_held(c->consumer) > kept)
        sim_model_wrong(&world->model, "at rest consumer %u says that %u events are held, and %u are", c->id, rh_consumer_held(c->consumer), kept);
}

/* What came back only now has its first credit under way. */
static bool has_settled(const sim_world *world, const rh_attachment *a)
{
    return a->state == RH_ATTACHMENT_UP && world->loop.now >= a->since + 2 * world->shape.trip_most + RH_MS(100);
}

void sim_balance_judge(sim_world *world)
{
    for (size_t i = 0; i < world->client_count; i++) {
        const sim_client *client = &world->clients[i];
        if (!client->client || client->lost || client->leaving) continue;
        const rh_emu_connection *service = service_of(world, client->client);
        for (const rh_attachment *a = client->client->attachments; service && a; a = a->next)
            if (has_settled(world, a)) judge_link(world, a, service);
        for (size_t k = 0; k < client->producer_count; k++) judge_producer(world, &client->producers[k]);
        for (size_t k = 0; k < client->consumer_count; k++) judge_consumer(world, &client->consumers[k]);
    }
}
