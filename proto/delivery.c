/**
 * delivery.c: deliveries out, cut into frames; deliveries in, put together; outcomes [2.6.12 - 2.6.14, 2.7.5].
 */
#include "proto/engine.h"
#include "proto/put.h"

/* -- outcomes ---------------------------------------------------------------------------------- */

/* They point into a frame; a delivery with bytes still lent is told later and keeps what its slot holds. */
static void keep_words(struct delivery *d)
{
    struct reason words = { .condition = d->condition, .description = d->description };
    rh_reason_keep(&words, d->words, sizeof d->words);
    d->condition   = words.condition;
    d->description = words.description;
}

static void resolve_with(struct delivery *d, rh_outcome_kind kind, rh_slice condition, rh_slice description)
{
    struct link *link = d->link;
    if (d->state == DELIVERY_OVER) return;
    if (d->state == DELIVERY_QUEUED) link->queued--;
    /* The peer has its first frames: the next one takes them back. */
    if (d->state == DELIVERY_HALF) link->abort_due = true;
    chain_remove(&d->queue);
    chain_remove(&d->unsettled);
    d->state = DELIVERY_OVER;
    d->kind  = (uint8_t)kind;
    d->condition   = condition;
    d->description = description;
    if (d->pins == 0) chain_push(&link_engine(link)->told, &d->queue);
    else if (condition.p) keep_words(d);
}

static void resolve(struct delivery *d, rh_outcome_kind kind)
{
    resolve_with(d, kind, rh_slice_of(NULL, 0), rh_slice_of(NULL, 0));
}

/** A piece of it has left the output: sent, or lost with the pipe. */
void rh_delivery_unpin(struct delivery *d)
{
    rh_engine *engine = link_engine(d->link);
    if (--d->pins > 0 || d->state != DELIVERY_OVER) return;
    if (engine->lost && d->kind == RH_SENT) d->kind = RH_UNKNOWN;
    chain_push(&engine->told, &d->queue);
}

/** Ends what has not wholly left, and with all also what waits for its outcome. */
void rh_deliveries_drop(struct link *link, bool all)
{
    CHAIN_EACH(node, &link->queue) resolve(CHAIN_OWNER(node, struct delivery, queue), RH_DROPPED);
    link->abort_due = false; /* the detach, end or close that follows takes back a half delivery as well */
    chain_remove(&link->ready);
    if (!all || link->deliveries == 0) return;
    CHAIN_EACH(node2, &link->session->unsettled)
    {
        struct delivery *d = CHAIN_OWNER(node2, struct delivery, unsettled);
        if (d->link == link) resolve(d, RH_UNKNOWN);
    }
}

/* -- sending ----------------------------------------------------------------------------------- */

static bool parts_taken(struct delivery *d, const rh_transfer *transfer)
{
    if (transfer->part_count > RH_TRANSFER_PARTS) return false;
    d->n          = 0;
    d->part_count = 0;
    for (size_t i = 0; i < transfer->part_count; i++) {
        if (transfer->parts[i].n == 0) continue;
        d->parts[d->part_count++] = transfer->parts[i];
        d->n += transfer->parts[i].n;
    }
    return d->n > 0;
}

static void tag_taken(struct delivery *d, const rh_transfer *transfer)
{
    d->tag_n = (uint8_t)transfer->tag.n;
    if (transfer->tag.p) {
        memcpy(d->tag, transfer->tag.p, transfer->tag.n);
        return;
    }
    d->tag_n = 4;
    rh_put32(d->tag, (uint32_t)d->link->next_tag++);
}

static rh_status delivery_fill(struct delivery *d, struct link *link, const rh_transfer *transfer)
{
    d->link = link;
    if (transfer->tag.n > TAG_MAX || (transfer->tag.p && transfer->tag.n == 0)) return RH_E_ARGUMENT;
    if (!parts_taken(d, transfer)) return RH_E_ARGUMENT;
    if (link->peer_max_message_size && d->n > link->peer_max_message_size) return RH_E_TOO_BIG;
    tag_taken(d, transfer);
    d->user           = transfer->user;
    d->message_format = transfer->message_format;
    d->settled        = transfer->settled;
    d->state          = DELIVERY_QUEUED;
    d->cut            = 0;
    d->part           = 0;
    d->part_cut       = 0;
    d->pins           = 0;
    chain_init(&d->queue);
    chain_init(&d->unsettled);
    return RH_OK;
}

static bool sends(const struct link *link)
{
    const struct session *session = link->session;
    bool                  begun   = session->state == SESSION_MAPPED || session->state == SESSION_BEGIN_SENT;
    if (link->receiver || link_is_leaving(link) || !begun || session->dying || session->end_due) return false;
    return connection_may_send(session->engine);
}

rh_status rh_link_send(rh_link *handle, const rh_transfer *transfer, rh_delivery **out)
{
    struct link *link = slot_of(handle);
    if (link == NULL || !sends(link)) return RH_E_STATE;
    if (link->credit <= link->queued) return RH_AGAIN;
    rh_engine       *engine = link_engine(link);
    struct delivery *d      = rh_pool_take(&engine->deliveries, 0);
    if (d == NULL) return RH_AGAIN;
    rh_status status = delivery_fill(d, link, transfer);
    if (status) {
        rh_pool_give(&engine->deliveries, d);
        return status;
    }
    chain_push(&link->queue, &d->queue);
    link->queued++;
    link->deliveries++;
    if (!chain_is_in(&link->ready)) rh_link_refresh(link);
    if (out) *out = slot_handle(d);
    return RH_OK;
}

rh_status rh_delivery_abort(rh_delivery *handle)
{
    struct delivery *d = slot_of(handle);
    if (d == NULL || d->state >= DELIVERY_LEFT) return RH_E_STATE;
    resolve(d, RH_DROPPED);
    rh_link_refresh(d->link);
    return RH_OK;
}

/* -- cutting ----------------------------------------------------------------------------------- */

/* 00 53 14: a transfer; c0: a list with sizes of one byte. */
#define LIST_HEAD         6
#define NULLS_BEHIND_MORE (RH_FIELDS_TRANSFER - RH_AT_TRANSFER_RCV_SETTLE_MODE)

/**
 * A transfer's header, written straight down: nobody asks for other fields of ours than these. Only the first frame of a
 * delivery has its tag and format. more is patched in by writing again, for true and false are as long.
 */
static size_t header_write(uint8_t *frame, const struct delivery *d, bool more)
{
    bool     first = d->state == DELIVERY_QUEUED;
    uint8_t *list  = frame + RH_FRAME_HEADER, *p = list + LIST_HEAD;
    p = put_uint(p, d->link->handle);
    p = put_uint(p, d->id);
    p = first ? put_short(p, 0xa0, rh_slice_of(d->tag, d->tag_n)) : put_null(p);
    p = first ? put_uint(p, d->message_format) : put_null(p);
    p = put_bool(p, d->settled);
    p = put_bool(p, more);
    memset(p, 0x40, NULLS_BEHIND_MORE);
    p += NULLS_BEHIND_MORE;
    const uint8_t head[LIST_HEAD] = { 0x00, 0x53, RH_CODE_TRANSFER, 0xc0, (uint8_t)(p - list - LIST_HEAD + 1), RH_FIELDS_TRANSFER };
    memcpy(list, head, sizeof head);
    return (size_t)(p - frame);
}

static void transfer_counted(struct session *session)
{
    session->next_outgoing_id++;
    session->remote_window--;
    session->engine->counts.transfers_out++;
    session->engine->counts.frames_out++;
}

static void header_done(struct link *link, uint8_t *p, size_t n, size_t payload)
{
    rh_engine *engine = link_engine(link);
    rh_frame_put(p, (uint32_t)(n + payload), RH_FRAME_AMQP, link->session->channel);
    rh_output_commit(&engine->out, p, n);
    transfer_counted(link->session);
    if (RH_LIKELY(engine->handler->on_frame == NULL)) return;
    rh_slice body = rh_slice_of(p + RH_FRAME_HEADER, n - RH_FRAME_HEADER);
    engine->handler->on_frame(engine->user, engine, true, RH_FRAME_AMQP, link->session->channel, body);
}

/* [2.7.5] The delivery that was begun is void; the frames that were sent of it are the peer's to forget. */
static void cut_abort(struct link *link, uint8_t *p)
{
    rh_amqp_transfer transfer = {
        .has     = RH_HAS_TRANSFER_HANDLE | RH_HAS_TRANSFER_ABORTED,
        .handle  = link->handle,
        .aborted = true,
    };
    rh_enc e = rh_enc_of(p + RH_FRAME_HEADER, TRANSFER_HEADER_MAX - RH_FRAME_HEADER);
    rh_amqp_transfer_encode(&e, &transfer);
    header_done(link, p, RH_FRAME_HEADER + rh_enc_size(&e), 0);
    link->abort_due = false;
}

static void delivery_begin(struct delivery *d)
{
    struct link *link = d->link;
    d->state          = DELIVERY_HALF;
    link->queued--;
    link->credit--;
    link->delivery_count++;
    link->session->next_delivery_id++;
    if (!d->settled) chain_push(&link->session->unsettled, &d->unsettled);
}

static void delivery_left(struct delivery *d)
{
    chain_remove(&d->queue);
    d->state = DELIVERY_LEFT;
    link_engine(d->link)->counts.deliveries_out++;
    if (d->settled) resolve(d, RH_SENT);
}

static void lend_payload(struct delivery *d, size_t n)
{
    struct output *out = &link_engine(d->link)->out;
    d->cut += n;
    while (n > 0) {
        rh_slice part  = d->parts[d->part];
        size_t   piece = part.n - d->part_cut < n ? part.n - d->part_cut : n;
        rh_output_lend(out, d, rh_slice_of(part.p + d->part_cut, piece));
        d->part_cut += piece;
        n -= piece;
        if (d->part_cut == part.n) {
            d->part++;
            d->part_cut = 0;
        }
    }
}

/**
 * Cuts one frame of a link that rh_link_refresh() found able to. False: the ring has no room for its header. The
 * size of the frame is the peer's max-frame-size or the rest of the delivery, whichever is less.
 */
bool rh_delivery_cut(struct link *link)
{
    rh_engine *engine = link_engine(link);
    if (link->session->remote_window == 0) return true; /* rh_link_refresh() puts it among those that wait */
    /* Transfers leave room for answers: two ends that each wait for the other to read, because their rings are full
     * of transfers, would wait for ever. */
    uint8_t *p = rh_output_take(engine, TRANSFER_HEADER_MAX + ANSWER_ROOM);
    if (p == NULL) return false;
    if (link->abort_due) {
        cut_abort(link, p);
        return true;
    }
    struct delivery *d = CHAIN_OWNER(chain_first(&link->queue), struct delivery, queue);
    if (d->state == DELIVERY_QUEUED) d->id = link->session->next_delivery_id;
    size_t header = header_write(p, d, false);
    size_t room = engine->peer.max_frame_size - header, left = d->n - d->cut;
    if (left > room) {
        header_write(p, d, true);
        left = room;
    }
    header_done(link, p, header, left);
    if (d->state == DELIVERY_QUEUED) delivery_begin(d);
    lend_payload(d, left);
    if (d->cut == d->n) delivery_left(d);
    return true;
}

/* -- outcomes from the peer -------------------------------------------------------------------- */

/* Whether a disposition of ours may still be said. */
static bool settles(const struct session *session)
{
    bool mapped = session->state == SESSION_MAPPED && !session->dying && !session->end_due;
    return mapped && connection_may_send(session->engine);
}

struct verdict {
    rh_outcome_kind kind;
    rh_slice        condition, description;
};

/* [3.4] What a disposition's state comes down to. False: it is no outcome, and nothing is settled. */
static bool verdict_of(struct session *session, const rh_amqp_disposition *disposition, struct verdict *out)
{
    rh_dec           d = rh_dec_of(disposition->state);
    rh_amqp_rejected rejected;
    rh_amqp_error    error;
    *out = (struct verdict){ .kind = RH_SETTLED };
    if (disposition->state.p == NULL) return disposition->settled;
    switch (rh_composite_peek(&d)) {
    case RH_AMQP_ACCEPTED: out->kind = RH_ACCEPTED; return true;
    case RH_AMQP_RELEASED: out->kind = RH_RELEASED; return true;
    case RH_AMQP_MODIFIED: out->kind = RH_MODIFIED; return true;
    case RH_AMQP_REJECTED: break;
    default: return disposition->settled;
    }
    out->kind = RH_REJECTED;
    if (!rh_connection_decode(session->engine, RH_AMQP_REJECTED, disposition->state, &rejected)) return false;
    if (rejected.error.p == NULL) return true;
    if (!rh_connection_decode(session->engine, RH_AMQP_ERROR, rejected.error, &error)) return false;
    out->condition   = error.condition;
    out->description = error.description;
    return true;
}

/**
 * The receiver's word on first..last. Only what is live and ours is walked: a range costs as much as it settles, and
 * the ids before it, never as much as it claims.
 */
void rh_deliveries_settled(struct session *session, const rh_amqp_disposition *disposition)
{
    struct verdict  verdict;
    struct settling answer = { .kind = RH_SETTLED };
    if (chain_is_empty(&session->unsettled) || !verdict_of(session, disposition, &verdict)) return;
    CHAIN_EACH(node, &session->unsettled)
    {
        struct delivery *d = CHAIN_OWNER(node, struct delivery, unsettled);
        if (!rh_serial_in(d->id, disposition->first, disposition->last)) {
            if (rh_serial_before(d->id, disposition->first)) continue;
            break; /* the chain is in the order of ids */
        }
        struct link *link = d->link;
        resolve_with(d, verdict.kind, verdict.condition, verdict.description);
        if (link->abort_due) rh_link_refresh(link);
        if (!answer.due) answer.first = d->id;
        answer.last = d->id;
        answer.due  = true;
    }
    /* [2.6.12] A receiver that waits for us to settle: it has decided, so we do. One range for all, which input has
     * left room for: what lies between is settled already. Not behind our own end, when nothing is left to settle. */
    if (answer.due && !disposition->settled && settles(session)) (void)rh_session_settle(session, &answer, rh_slice_of(NULL, 0));
}

/* -- receiving --------------------------------------------------------------------------------- */

static void delivered(struct link *link, const rh_incoming *incoming)
{
    rh_engine *engine = link_engine(link);
    rh_link   *handle = slot_handle(link);
    bool       drained = link->drain && rh_link_usable(link) == 0; /* used up: the same as given back */
    if (drained) link->drain = false;
    engine->counts.deliveries_in++;
    if (engine->handler->on_delivery) engine->handler->on_delivery(engine->user, handle, incoming);
    if (drained && engine->handler->on_drained && slot_of(handle)) engine->handler->on_drained(engine->user, handle);
}

/* [2.7.5] The first frame names the delivery; it must have credit. */
static bool begins_well(struct link *link, const rh_amqp_transfer *transfer)
{
    bool tagged = transfer->delivery_tag.p != NULL && transfer->delivery_tag.n <= TAG_MAX;
    if (!tagged || !(transfer->has & RH_HAS_TRANSFER_DELIVERY_ID)) {
        rh_link_fail(link, RH_E_INVALID_FIELD, "a delivery begins without delivery-id or usable delivery-tag");
        return false;
    }
    if (rh_serial_ahead(link->delivery_count, link->granted) == 0) {
        rh_link_fail(link, RH_E_TRANSFER_LIMIT, "a delivery beyond the link's credit");
        return false;
    }
    if (transfer->resume) {
        rh_link_fail(link, RH_E_NOT_ALLOWED, "there is no delivery to resume");
        return false;
    }
    link->delivery_count++;
    return true;
}

static bool fits(const struct link *link, size_t n)
{
    return link->max_message_size == 0 || n <= link->max_message_size;
}

/* The link goes, or, where its owner has asked for that, only the delivery: its rest is not kept. */
static void oversize(struct link *link, const char *words)
{
    if (!link->reject_oversize) rh_link_fail(link, RH_E_MESSAGE_SIZE, words);
    link->swallowing = link->reject_oversize;
}

/* [2.6.7] The owner hears nothing of this delivery, and so would never renew the credit that it has used: it comes back here. Under
 * drain it is gone, and may have been the last. */
static void not_delivered(struct link *link)
{
    rh_engine *engine = link_engine(link);
    if (!link->drain) {
        link->limit++;
        if (rh_serial_before(link->granted, link->limit)) link->granted = link->limit;
        link->flow_due = true;
        rh_link_due(link);
    } else if (rh_link_usable(link) == 0) {
        link->drain = false;
        if (engine->handler->on_drained) engine->handler->on_drained(engine->user, slot_handle(link));
    }
}

static void reject_oversize(struct link *link, uint32_t id, bool settled)
{
    link->swallowing = false;
    link_engine(link)->counts.deliveries_in++;
    if (!settled)
        (void)rh_link_settle(slot_handle(link), id, id, RH_REJECTED, "amqp:link:message-size-exceeded",
                             "the message is larger than the link's max-message-size");
    not_delivered(link);
}

static void gather_begin(struct link *link, const rh_amqp_transfer *transfer)
{
    rh_engine *engine = link_engine(link);
    if (link->gather == NULL && engine->handler->on_gather) engine->handler->on_gather(engine->user, slot_handle(link));
    link->gathering  = true;
    link->gathered   = 0;
    link->in_id      = transfer->delivery_id;
    link->in_format  = transfer->message_format;
    link->in_settled = false;
    link->in_tag_n   = (uint8_t)transfer->delivery_tag.n;
    memcpy(link->in_tag, transfer->delivery_tag.p, transfer->delivery_tag.n);
}

/* [2.7.5] Later frames may repeat the names of the first one, but not change them. */
static bool continues_well(struct link *link, const rh_amqp_transfer *transfer)
{
    rh_slice tag      = rh_slice_of(link->in_tag, link->in_tag_n);
    bool     same_id  = !(transfer->has & RH_HAS_TRANSFER_DELIVERY_ID) || transfer->delivery_id == link->in_id;
    bool     same_tag = transfer->delivery_tag.p == NULL || rh_slice_equal(transfer->delivery_tag, tag);
    if (same_id && same_tag) return true;
    rh_link_fail(link, RH_E_NOT_ALLOWED, "a delivery begins before the one before it is complete");
    return false;
}

static void gather_keep(struct link *link, rh_slice payload)
{
    if (!fits(link, link->gathered + payload.n)) {
        oversize(link, "a message larger than the link's max-message-size");
    } else if (payload.n > link->gather_n - link->gathered) {
        oversize(link, "a message larger than the receiver can put together");
    } else if (payload.n > 0) {
        memcpy(link->gather + link->gathered, payload.p, payload.n);
        link->gathered += payload.n;
    }
}

static void gather_more(struct link *link, const rh_amqp_transfer *transfer, rh_slice payload)
{
    if (!link->swallowing) gather_keep(link, payload);
    link->in_settled |= transfer->settled;
    if (link->dying || transfer->more) return;
    link->gathering = false; /* before the calls: they may give another buffer */
    if (link->swallowing) {
        reject_oversize(link, link->in_id, link->in_settled);
        return;
    }
    rh_incoming incoming = {
        .delivery_id    = link->in_id,
        .message_format = link->in_format,
        .tag            = rh_slice_of(link->in_tag, link->in_tag_n),
        .settled        = link->in_settled,
        .gathered       = true,
        .payload        = rh_slice_of(link->gather, link->gathered),
    };
    delivered(link, &incoming);
}

static void single(struct link *link, const rh_amqp_transfer *transfer, rh_slice payload)
{
    if (!fits(link, payload.n)) {
        oversize(link, "a message larger than the link's max-message-size");
        if (link->swallowing) reject_oversize(link, transfer->delivery_id, transfer->settled);
        return;
    }
    rh_incoming incoming = {
        .delivery_id    = transfer->delivery_id,
        .message_format = transfer->message_format,
        .tag            = transfer->delivery_tag,
        .settled        = transfer->settled,
        .payload        = payload,
    };
    delivered(link, &incoming);
}

static void transfer_taken(struct link *link, const rh_amqp_transfer *transfer, rh_slice payload)
{
    bool first = !link->gathering;
    if (first ? !begins_well(link, transfer) : !continues_well(link, transfer)) return;
    if (transfer->aborted) {
        link->gathering = link->swallowing = false;
        not_delivered(link);
        return;
    }
    if (first && !transfer->more) {
        single(link, transfer, payload);
        return;
    }
    if (first) gather_begin(link, transfer);
    gather_more(link, transfer, payload);
}

void rh_delivery_take(struct session *session, rh_slice body)
{
    rh_engine       *engine = session->engine;
    rh_dec           d      = rh_dec_of(body);
    rh_amqp_transfer transfer;
    if (!rh_connection_decode_at(engine, RH_AMQP_TRANSFER, &d, &transfer)) return;
    engine->counts.transfers_in++;
    if (!rh_session_count_transfer(session)) {
        rh_session_fail(session, RH_E_WINDOW_VIOLATION, "a transfer beyond the session's incoming window");
        return;
    }
    struct link *link = rh_link_by_handle(session, transfer.handle);
    if (link == NULL || link_is_leaving(link)) return; /* late, not wrong */
    if (!link->receiver || link->state != LINK_ATTACHED)
        rh_session_fail(session, RH_E_PROTOCOL, "a transfer to a link that does not receive");
    else transfer_taken(link, &transfer, rh_slice_of(d.p, rh_dec_left(&d)));
}

/* -- settling ---------------------------------------------------------------------------------- */

rh_status rh_link_settle(rh_link *handle, uint32_t first, uint32_t last, rh_outcome_kind outcome, const char *condition,
                         const char *description)
{
    struct link *link = slot_of(handle);
    if (link == NULL || !link->receiver || !settles(link->session)) return RH_E_STATE;
    if ((unsigned)outcome > RH_SETTLED) return RH_E_ARGUMENT;
    struct settling settling = { .role = true, .kind = (uint8_t)outcome, .first = first, .last = last };
    if (outcome != RH_REJECTED || condition == NULL) return rh_session_settle(link->session, &settling, rh_slice_of(NULL, 0));
    uint8_t       room[700];
    struct reason reason = rh_reason_of_caller(condition, description);
    return rh_session_settle(link->session, &settling, rh_error_encode(&reason, room, sizeof room));
}

rh_link *rh_delivery_link(const rh_delivery *handle)
{
    const struct delivery *d = slot_of(handle);
    return d ? slot_handle(d->link) : NULL;
}

void *rh_delivery_user(const rh_delivery *handle)
{
    const struct delivery *d = slot_of(handle);
    return d ? d->user : NULL;
}

void rh_delivery_set_user(rh_delivery *handle, void *user)
{
    struct delivery *d = slot_of(handle);
    if (d) d->user = user;
}
