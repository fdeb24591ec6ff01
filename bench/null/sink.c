#include "bench/null/null.h"

#include <stdlib.h>

/* -- a transfer, by hand --------------------------------------------------------------------- */

/* What a sink wants of a transfer's eleven fields. */
struct transfer {
    uint32_t handle, delivery_id;
    bool     has_id, settled, more, aborted;
    size_t   n; /* of the performative */
};

/* A field that is null, a uint of any width, or a boolean; -1: something else. */
static int64_t number(const uint8_t **at, const uint8_t *end)
{
    const uint8_t *p = *at;
    if (p >= end) return -1;
    size_t n = *p == 0x70 ? 5 : *p == 0x52 || *p == 0x56 ? 2 : 1;
    if ((size_t)(end - p) < n) return -1;
    *at = p + n;
    switch (*p) {
    case 0x40: case 0x42: case 0x43: return 0;
    case 0x41: return 1;
    case 0x52: case 0x56: return p[1];
    case 0x70: return rh_get32(p + 1);
    default: return -1;
    }
}

/* The one form that clients write: a small list, a tag of one length byte. */
static bool read_usual(rh_slice body, struct transfer *out)
{
    const uint8_t *p = body.p;
    if (body.n < 6 || p[0] != 0 || p[1] != 0x53 || p[2] != RH_CODE_TRANSFER || p[3] != 0xc0 || body.n < 5u + p[4]) return false;
    const uint8_t *end = p + 5 + p[4];
    unsigned       count = p[5];
    int64_t        fields[RH_FIELDS_TRANSFER] = { 0 };
    *out = (struct transfer){ .n = 5u + p[4] };
    p += 6;
    for (unsigned i = 0; i < count && i < RH_FIELDS_TRANSFER; i++) {
        if (i == RH_AT_TRANSFER_DELIVERY_ID) out->has_id = p < end && *p != 0x40;
        if (i == RH_AT_TRANSFER_DELIVERY_TAG && p + 1 < end && *p == 0xa0 && end - p >= 2 + p[1]) p += 2 + p[1];
        else if ((fields[i] = number(&p, end)) < 0) return false;
    }
    out->handle      = (uint32_t)fields[RH_AT_TRANSFER_HANDLE];
    out->delivery_id = (uint32_t)fields[RH_AT_TRANSFER_DELIVERY_ID];
    out->settled     = fields[RH_AT_TRANSFER_SETTLED];
    out->more        = fields[RH_AT_TRANSFER_MORE];
    out->aborted     = fields[RH_AT_TRANSFER_ABORTED];
    return true;
}

static bool read_any(rh_slice body, struct transfer *out)
{
    rh_amqp_transfer transfer;
    rh_dec           d = rh_dec_of(body);
    if (rh_amqp_transfer_decode(&d, &transfer) != RH_OK) return false;
    *out = (struct transfer){
        .handle = transfer.handle, .delivery_id = transfer.delivery_id, .has_id = transfer.has & RH_HAS_TRANSFER_DELIVERY_ID,
        .settled = transfer.settled, .more = transfer.more, .aborted = transfer.aborted, .n = body.n - rh_dec_left(&d),
    };
    return true;
}

/* -- settling -------------------------------------------------------------------------------- */

static void accept_run(rh_null_peer *peer, rh_null_session *session)
{
    static const uint8_t accepted[] = { 0x00, 0x53, RH_CODE_ACCEPTED, 0x45 };
    if (session->count == 0) return;
    rh_amqp_disposition disposition = {
        .has   = RH_HAS_DISPOSITION_ROLE | RH_HAS_DISPOSITION_FIRST | RH_HAS_DISPOSITION_LAST | RH_HAS_DISPOSITION_SETTLED,
        .role  = true, .first = session->first, .last = session->first + session->count - 1, .settled = true,
        .state = rh_slice_of(accepted, sizeof accepted),
    };
    rh_null_send(peer, session->channel, RH_AMQP_DISPOSITION, &disposition, rh_str(NULL));
    session->count = 0;
}

/* One range for what one read brought, as long as the ids run on. */
static void accept_later(rh_null_peer *peer, rh_null_session *session, uint32_t id)
{
    if (session->count && id != session->first + session->count) accept_run(peer, session);
    if (session->count == 0) session->first = id;
    session->count++;
}

void rh_null_sink_flow(rh_null_peer *peer, rh_null_session *session, const rh_null_link *link)
{
    rh_amqp_flow flow = {
        .has = RH_HAS_FLOW_NEXT_INCOMING_ID | RH_HAS_FLOW_INCOMING_WINDOW | RH_HAS_FLOW_NEXT_OUTGOING_ID | RH_HAS_FLOW_OUTGOING_WINDOW,
        .next_incoming_id = session->next_incoming_id, .incoming_window = session->window,
        .next_outgoing_id = session->next_outgoing_id, .outgoing_window = RH_NULL_WINDOW,
    };
    if (link) {
        flow.has |= RH_HAS_FLOW_HANDLE | RH_HAS_FLOW_DELIVERY_COUNT | RH_HAS_FLOW_LINK_CREDIT | RH_HAS_FLOW_AVAILABLE | RH_HAS_FLOW_DRAIN;
        flow.handle         = link->handle;
        flow.delivery_count = link->delivery_count;
        flow.link_credit    = link->credit;
        flow.drain          = link->drain;
    }
    rh_null_send(peer, session->channel, RH_AMQP_FLOW, &flow, rh_str(NULL));
}

void rh_null_sink_answer(rh_null_peer *peer, rh_null_session *session)
{
    accept_run(peer, session);
    bool narrow = session->window < RH_NULL_WINDOW / 2;
    for (uint32_t handle = 0; handle < session->handles; handle++) {
        rh_null_link *link = session->links[handle];
        if (!link || (link->kind != RH_NULL_SINK && link->kind != RH_NULL_REQUESTS)) continue;
        if (!narrow && link->credit >= RH_NULL_CREDIT / 2) continue;
        session->window = RH_NULL_WINDOW;
        link->credit    = RH_NULL_CREDIT;
        rh_null_sink_flow(peer, session, link);
    }
}

/* -- taking ---------------------------------------------------------------------------------- */

static bool gather(rh_null_peer *peer, rh_null_link *link, rh_slice payload)
{
    uint8_t *larger = realloc(link->gathered, link->gathered_n + payload.n + 1);
    if (!larger) return rh_null_trouble(peer, "no memory for a request");
    if (payload.n) memcpy(larger + link->gathered_n, payload.p, payload.n);
    link->gathered = larger;
    link->gathered_n += payload.n;
    return true;
}

static void finished(rh_null_peer *peer, rh_null_session *session, rh_null_link *link)
{
    if (link->to_settle) accept_later(peer, session, link->delivery_id);
    if (link->kind != RH_NULL_REQUESTS) return;
    /* A request on $cbs is settled before it is answered. */
    accept_run(peer, session);
    rh_null_service_request(peer, session, link, rh_slice_of(link->gathered, link->gathered_n));
    link->gathered_n = 0;
}

bool rh_null_sink_transfer(rh_null_peer *peer, rh_null_session *session, rh_slice body, bool whole)
{
    struct transfer transfer;
    if (!read_usual(body, &transfer) && !read_any(body, &transfer)) return whole && rh_null_trouble(peer, "a malformed transfer");
    rh_null_link *link = transfer.handle < RH_NULL_HANDLES ? session->links[transfer.handle] : NULL;
    if (!link || (link->kind != RH_NULL_SINK && link->kind != RH_NULL_REQUESTS)) {
        return rh_null_trouble(peer, "a transfer on no link of its own");
    }
    if (!whole && link->kind == RH_NULL_REQUESTS) return false;
    if (session->window == 0 || (!link->arriving && link->credit == 0)) return rh_null_trouble(peer, "a transfer beyond window or credit");
    session->next_incoming_id++;
    session->window--;
    if (!link->arriving) {
        if (!transfer.has_id) return rh_null_trouble(peer, "a delivery without an id");
        link->delivery_id = transfer.delivery_id;
        link->to_settle   = true;
        link->delivery_count++;
        link->credit--;
    }
    /* [2.7.5] one frame that says settled is enough. */
    if (transfer.settled || transfer.aborted) link->to_settle = false;
    if (link->kind == RH_NULL_REQUESTS && !gather(peer, link, rh_slice_of(body.p + transfer.n, body.n - transfer.n))) return false;
    link->arriving = transfer.more && !transfer.aborted;
    if (!link->arriving) finished(peer, session, link);
    return true;
}
