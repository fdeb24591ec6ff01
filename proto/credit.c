/**
 * credit.c: how many deliveries may pass a link, from both sides, and which links can send now [2.6.7, 2.7.4].
 */
#include "proto/engine.h"

/* More could not be told from less than nothing, for counts wrap. */
#define CREDIT_MAX 0x7fffffffu

/** Sender: how many more sends; receiver: how many more may come. */
uint32_t rh_link_usable(const struct link *link)
{
    if (link->receiver) return rh_serial_ahead(link->delivery_count, link->limit);
    return link->credit > link->queued ? link->credit - link->queued : 0;
}

static bool say_flow(struct link *link)
{
    rh_amqp_flow flow = {
        .has            = RH_HAS_FLOW_HANDLE | RH_HAS_FLOW_LINK_CREDIT | RH_HAS_FLOW_DRAIN,
        .handle         = link->handle,
        .delivery_count = link->delivery_count,
        .link_credit    = link->receiver ? rh_link_usable(link) : link->credit,
        .available      = link->queued,
        .drain          = link->drain,
    };
    if (!link->receiver || link->has_in) flow.has |= RH_HAS_FLOW_DELIVERY_COUNT;
    if (!link->receiver) flow.has |= RH_HAS_FLOW_AVAILABLE;
    rh_session_flow_fields(link->session, &flow);
    link->flow_due = rh_output_frame(link_engine(link), link->session->channel, RH_AMQP_FLOW, &flow) != RH_OK;
    return !link->flow_due;
}

/* [2.6.7] Asked to drain, a sender that has nothing more to send uses its credit up by counting. */
static bool is_drained(const struct link *link)
{
    return link->drain_due && (link->credit == 0 || chain_is_empty(&link->queue));
}

static void give_credit_back(struct link *link)
{
    link->delivery_count += link->credit;
    link->credit    = 0;
    link->drain_due = false;
    link->flow_due  = true;
}

/** Says the link's flow if one is due. False: no room. */
bool rh_credit_say(struct link *link)
{
    if (is_drained(link)) give_credit_back(link);
    return !link->flow_due || say_flow(link);
}

/**
 * Puts a link where the output finds it: with those that can cut a frame, those that wait for a window, or nowhere.
 * One that was asked to drain and has nothing left to cut has that to say.
 */
void rh_link_refresh(struct link *link)
{
    struct session *session = link->session;
    struct chain   *first   = chain_first(&link->queue);
    bool            begun   = first && CHAIN_OWNER(first, struct delivery, queue)->state == DELIVERY_HALF;
    bool            can     = link->abort_due || begun || (first && link->credit > 0);
    bool            may     = link->state == LINK_ATTACHED && !link->dying && !link->detach_due;
    if (!can || !may || session->state != SESSION_MAPPED || session->end_due) chain_remove(&link->ready);
    else chain_push(session->remote_window > 0 ? &session->engine->ready : &session->blocked, &link->ready);
    if (is_drained(link)) rh_link_due(link);
}

static void flow_from_receiver(struct link *link, const rh_amqp_flow *flow)
{
    rh_engine *engine = link_engine(link);
    uint32_t   before = rh_link_usable(link);
    /* [2.6.7] Absent while the receiver has not seen our attach: it counts from our first. */
    uint32_t seen      = (flow->has & RH_HAS_FLOW_DELIVERY_COUNT) ? flow->delivery_count : engine->first_id;
    uint32_t in_flight = rh_serial_ahead(seen, link->delivery_count);
    link->credit       = flow->link_credit > in_flight ? flow->link_credit - in_flight : 0;
    link->drain        = flow->drain;
    link->drain_due    = flow->drain;
    rh_link_refresh(link);
    bool more = rh_link_usable(link) > before;
    if (more && engine->handler->on_credit) engine->handler->on_credit(engine->user, slot_handle(link));
}

/* The sender counts on without sending. Its credit is moved along: left half a turn behind it would be ahead again. */
static void count_to(struct link *link, uint32_t count)
{
    uint32_t skipped = rh_serial_ahead(link->delivery_count, count);
    uint32_t usable  = rh_link_usable(link), granted = rh_serial_ahead(link->delivery_count, link->granted);
    link->delivery_count += skipped;
    link->limit   = link->delivery_count + (usable > skipped ? usable - skipped : 0);
    link->granted = link->delivery_count + (granted > skipped ? granted - skipped : 0);
}

static void flow_from_sender(struct link *link, const rh_amqp_flow *flow)
{
    rh_engine *engine = link_engine(link);
    if (flow->has & RH_HAS_FLOW_DELIVERY_COUNT) count_to(link, flow->delivery_count);
    if (!link->drain || rh_link_usable(link) > 0) return;
    link->drain = false;
    if (engine->handler->on_drained) engine->handler->on_drained(engine->user, slot_handle(link));
}

void rh_link_take_flow(struct session *session, const rh_amqp_flow *flow)
{
    struct link *link = rh_link_by_handle(session, flow->handle);
    if (link == NULL || link_is_leaving(link)) return;
    if (flow->echo) {
        link->flow_due = true;
        rh_link_due(link);
    }
    /* Some senders put a link-credit into their own flows; only the receiver's means something. */
    if (link->receiver) flow_from_sender(link, flow);
    else if (flow->has & RH_HAS_FLOW_LINK_CREDIT) flow_from_receiver(link, flow);
}

static rh_status receiver_flow(rh_link *handle, struct link **out)
{
    struct link *link = slot_of(handle);
    if (link == NULL || !link->receiver || link_is_leaving(link)) return RH_E_STATE;
    link->flow_due = true;
    rh_link_due(link);
    *out = link;
    return RH_OK;
}

rh_status rh_link_credit(rh_link *handle, uint32_t credit)
{
    struct link *link;
    if (receiver_flow(handle, &link) != RH_OK) return RH_E_STATE;
    if (credit > CREDIT_MAX) credit = CREDIT_MAX;
    link->drain = false;
    link->limit = link->delivery_count + credit;
    if (rh_serial_before(link->granted, link->limit)) link->granted = link->limit;
    return RH_OK;
}

rh_status rh_link_drain(rh_link *handle)
{
    struct link *link;
    if (receiver_flow(handle, &link) != RH_OK) return RH_E_STATE;
    link->drain = true;
    return RH_OK;
}

rh_status rh_link_gather(rh_link *handle, uint8_t *buffer, size_t n)
{
    struct link *link = slot_of(handle);
    if (link == NULL || !link->receiver || link->gathering) return RH_E_STATE;
    link->gather   = buffer;
    link->gather_n = buffer ? n : 0;
    return RH_OK;
}
