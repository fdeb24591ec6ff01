#include "bench/null/null.h"

#include <stdio.h>
#include <stdlib.h>

static const uint8_t amqp_header[] = { 'A', 'M', 'Q', 'P', 0, 1, 0, 0 };
static const uint8_t sasl_header[] = { 'A', 'M', 'Q', 'P', 3, 1, 0, 0 };

/* Enough of a transfer to see what it says before its payload is there: a tag has at most 32 bytes. */
#define TRANSFER_ENOUGH (RH_FRAME_HEADER + 128)

bool rh_null_trouble(rh_null_peer *peer, const char *words)
{
    if (!peer->trouble) peer->trouble = words;
    return false;
}

static void send_frame(rh_null_peer *peer, uint8_t type, uint16_t channel, rh_composite_id id, const void *list, rh_slice payload)
{
    static uint8_t bytes[RH_NULL_FRAME];
    rh_enc         e = rh_enc_of(bytes + RH_FRAME_HEADER, sizeof bytes - RH_FRAME_HEADER);
    rh_composite_encode(&e, id, list);
    rh_enc_raw(&e, payload);
    if (e.status != RH_OK) {
        rh_null_trouble(peer, "an answer that does not fit a frame");
        return;
    }
    size_t n = RH_FRAME_HEADER + rh_enc_size(&e);
    rh_frame_put(bytes, (uint32_t)n, type, channel);
    rh_null_stream_put(&peer->stream, bytes, n);
}

void rh_null_send(rh_null_peer *peer, uint16_t channel, rh_composite_id id, const void *list, rh_slice payload)
{
    send_frame(peer, RH_FRAME_AMQP, channel, id, list, payload);
}

/* -- the connection -------------------------------------------------------------------------- */

static void offer_sasl(rh_null_peer *peer)
{
    static const char *const names[] = { "MSSBCBS", "PLAIN", "ANONYMOUS", "EXTERNAL" };
    uint8_t                  bytes[64];
    rh_slice                 symbols[4];
    rh_enc                   e = rh_enc_of(bytes, sizeof bytes);
    for (size_t i = 0; i < 4; i++) symbols[i] = rh_str(names[i]);
    rh_enc_symbols(&e, symbols, 4);
    rh_amqp_sasl_mechanisms mechanisms = { .sasl_server_mechanisms = rh_enc_written(&e) };
    rh_null_stream_put(&peer->stream, sasl_header, sizeof sasl_header);
    send_frame(peer, RH_FRAME_SASL, 0, RH_AMQP_SASL_MECHANISMS, &mechanisms, rh_str(NULL));
}

static bool on_header(rh_null_peer *peer, const uint8_t *p)
{
    if (memcmp(p, sasl_header, sizeof sasl_header) == 0) {
        offer_sasl(peer);
        return true;
    }
    if (memcmp(p, amqp_header, sizeof amqp_header) != 0) return rh_null_trouble(peer, "a protocol header of another kind");
    rh_null_stream_put(&peer->stream, amqp_header, sizeof amqp_header);
    return true;
}

static bool on_sasl(rh_null_peer *peer, rh_dec *d)
{
    rh_amqp_sasl_init init;
    if (rh_amqp_sasl_init_decode(d, &init) != RH_OK) return rh_null_trouble(peer, "no sasl-init");
    rh_amqp_sasl_outcome outcome = { .has = RH_HAS_SASL_OUTCOME_CODE, .code = RH_SASL_CODE_OK };
    send_frame(peer, RH_FRAME_SASL, 0, RH_AMQP_SASL_OUTCOME, &outcome, rh_str(NULL));
    return true;
}

static bool on_open(rh_null_peer *peer, rh_dec *d)
{
    rh_amqp_open open;
    if (rh_amqp_open_decode(d, &open) != RH_OK) return rh_null_trouble(peer, "malformed open");
    peer->max_frame = open.max_frame_size < RH_NULL_FRAME ? open.max_frame_size : RH_NULL_FRAME;
    if (open.has & RH_HAS_OPEN_IDLE_TIME_OUT) peer->heartbeat_ns = open.idle_time_out * 500000ull;
    rh_amqp_open answer = {
        .has = RH_HAS_OPEN_MAX_FRAME_SIZE | RH_HAS_OPEN_CHANNEL_MAX | RH_HAS_OPEN_IDLE_TIME_OUT,
        .container_id = rh_str("null"), .max_frame_size = RH_NULL_FRAME, .channel_max = RH_NULL_CHANNELS - 1, .idle_time_out = 240000,
    };
    rh_null_send(peer, 0, RH_AMQP_OPEN, &answer, rh_str(NULL));
    peer->is_open = true;
    return true;
}

static bool on_close(rh_null_peer *peer)
{
    rh_amqp_close answer = { 0 };
    rh_null_send(peer, 0, RH_AMQP_CLOSE, &answer, rh_str(NULL));
    peer->is_closing = true;
    return true;
}

/* -- sessions -------------------------------------------------------------------------------- */

static rh_null_session *session_of(rh_null_peer *peer, uint16_t channel)
{
    rh_null_session *session = channel < peer->session_count ? peer->sessions[channel] : NULL;
    return session && session->is_open ? session : NULL;
}

static rh_null_session *session_at(rh_null_peer *peer, uint16_t channel)
{
    if (channel >= RH_NULL_CHANNELS) return NULL;
    if (channel >= peer->session_count) {
        size_t            count = channel + 4u;
        rh_null_session **more  = realloc(peer->sessions, count * sizeof *more);
        if (!more) return NULL;
        memset(more + peer->session_count, 0, (count - peer->session_count) * sizeof *more);
        peer->sessions      = more;
        peer->session_count = count;
    }
    if (!peer->sessions[channel]) peer->sessions[channel] = calloc(1, sizeof **peer->sessions);
    return peer->sessions[channel];
}

static bool on_begin(rh_null_peer *peer, uint16_t channel, rh_dec *d)
{
    rh_amqp_begin    begin;
    rh_null_session *session = session_at(peer, channel);
    if (!session || session->is_open || rh_amqp_begin_decode(d, &begin) != RH_OK) return rh_null_trouble(peer, "a begin that cannot be");
    *session = (rh_null_session){
        .is_open = true, .channel = channel, .next_incoming_id = begin.next_outgoing_id, .window = RH_NULL_WINDOW,
        .room = begin.incoming_window,
    };
    rh_amqp_begin answer = {
        .has = RH_HAS_BEGIN_REMOTE_CHANNEL | RH_HAS_BEGIN_NEXT_OUTGOING_ID | RH_HAS_BEGIN_INCOMING_WINDOW
               | RH_HAS_BEGIN_OUTGOING_WINDOW | RH_HAS_BEGIN_HANDLE_MAX,
        .remote_channel = channel, .next_outgoing_id = 0, .incoming_window = RH_NULL_WINDOW, .outgoing_window = RH_NULL_WINDOW,
        .handle_max = RH_NULL_HANDLES - 1,
    };
    rh_null_send(peer, channel, RH_AMQP_BEGIN, &answer, rh_str(NULL));
    return true;
}

static void link_end(rh_null_session *session, uint32_t handle)
{
    rh_null_link *link = session->links[handle];
    if (!link) return;
    free(link->gathered);
    free(link->reply);
    free(link->block.p);
    free(link);
    session->links[handle] = NULL;
}

static void session_end(rh_null_session *session)
{
    for (uint32_t handle = 0; handle < session->handles; handle++) link_end(session, handle);
    session->is_open = false;
}

static bool on_end(rh_null_peer *peer, rh_null_session *session)
{
    rh_amqp_end answer = { 0 };
    rh_null_send(peer, session->channel, RH_AMQP_END, &answer, rh_str(NULL));
    session_end(session);
    return true;
}

/* -- links ----------------------------------------------------------------------------------- */

static void keep_text(char *to, size_t n, rh_slice text)
{
    size_t used = text.n < n ? text.n : n - 1;
    if (used) memcpy(to, text.p, used);
    to[used] = 0;
}

/* An address is an encoded value; anything but text has none for us. */
static void keep_address(char *to, size_t n, rh_slice encoded)
{
    rh_dec d = rh_dec_of(encoded);
    keep_text(to, n, encoded.n ? rh_dec_text(&d) : rh_str(NULL));
}

static void keep_addresses(rh_null_link *link, const rh_amqp_attach *attach, bool is_source)
{
    rh_amqp_source source = { 0 };
    rh_amqp_target target = { 0 };
    if (attach->source.n && rh_amqp_source_view(attach->source, &source) != RH_OK) source.address = rh_str(NULL);
    if (attach->target.n && rh_amqp_target_view(attach->target, &target) != RH_OK) target.address = rh_str(NULL);
    keep_address(link->address, sizeof link->address, is_source ? source.address : target.address);
    keep_address(link->reply_to, sizeof link->reply_to, is_source ? target.address : source.address);
}

static rh_null_kind kind_of(const rh_null_link *link, bool is_source)
{
    bool is_service = strstr(link->address, "$cbs") || strstr(link->address, "$management");
    if (is_service) return is_source ? RH_NULL_REPLIES : RH_NULL_REQUESTS;
    return is_source ? RH_NULL_SOURCE : RH_NULL_SINK;
}

static void answer_attach(rh_null_peer *peer, uint16_t channel, const rh_amqp_attach *asked, bool is_source)
{
    rh_amqp_attach answer = *asked;
    answer.has            = RH_HAS_ATTACH_NAME | RH_HAS_ATTACH_HANDLE | RH_HAS_ATTACH_ROLE | RH_HAS_ATTACH_SND_SETTLE_MODE
                 | RH_HAS_ATTACH_RCV_SETTLE_MODE | RH_HAS_ATTACH_MAX_MESSAGE_SIZE;
    answer.role                   = !is_source;
    answer.rcv_settle_mode        = 0;
    answer.unsettled              = rh_str(NULL);
    answer.initial_delivery_count = 0;
    answer.max_message_size       = 1u << 20;
    answer.offered_capabilities   = rh_str(NULL);
    if (is_source) answer.has |= RH_HAS_ATTACH_INITIAL_DELIVERY_COUNT;
    if (is_source && asked->snd_settle_mode == 2) answer.snd_settle_mode = 1; /* as the service does */
    rh_null_send(peer, channel, RH_AMQP_ATTACH, &answer, rh_str(NULL));
}

static bool on_attach(rh_null_peer *peer, rh_null_session *session, rh_dec *d)
{
    rh_amqp_attach attach;
    if (rh_amqp_attach_decode(d, &attach) != RH_OK || attach.handle >= RH_NULL_HANDLES || session->links[attach.handle]) {
        return rh_null_trouble(peer, "an attach that cannot be");
    }
    rh_null_link *link = session->links[attach.handle] = calloc(1, sizeof *link);
    if (!link) return rh_null_trouble(peer, "no memory for a link");
    bool is_source = attach.role; /* the peer's role is receiver */
    if (attach.handle >= session->handles) session->handles = attach.handle + 1;
    keep_addresses(link, &attach, is_source);
    keep_text(link->name, sizeof link->name, attach.name);
    link->kind    = kind_of(link, is_source);
    link->handle  = attach.handle;
    link->settled = attach.snd_settle_mode != 0;
    if (!is_source) link->delivery_count = attach.initial_delivery_count;
    answer_attach(peer, session->channel, &attach, is_source);
    if (link->kind == RH_NULL_SOURCE && !rh_null_source_start(link, peer->max_frame, session->channel)) {
        return rh_null_trouble(peer, "no memory for events");
    }
    if (is_source) return true;
    link->credit = RH_NULL_CREDIT;
    rh_null_sink_flow(peer, session, link);
    return true;
}

static bool on_detach(rh_null_peer *peer, rh_null_session *session, rh_dec *d)
{
    rh_amqp_detach detach;
    if (rh_amqp_detach_decode(d, &detach) != RH_OK || detach.handle >= RH_NULL_HANDLES) return rh_null_trouble(peer, "malformed detach");
    if (!session->links[detach.handle]) return true; /* Python detaches twice */
    rh_amqp_detach answer = { .has = RH_HAS_DETACH_HANDLE | RH_HAS_DETACH_CLOSED, .handle = detach.handle, .closed = detach.closed };
    rh_null_sink_answer(peer, session);
    rh_null_send(peer, session->channel, RH_AMQP_DETACH, &answer, rh_str(NULL));
    link_end(session, detach.handle);
    return true;
}

static bool on_flow(rh_null_peer *peer, rh_null_session *session, rh_dec *d)
{
    rh_amqp_flow flow;
    if (rh_amqp_flow_decode(d, &flow) != RH_OK) return rh_null_trouble(peer, "malformed flow");
    /* [2.5.6] what the peer had not yet seen of ours takes from its window; it may not have seen our begin. */
    uint32_t seen  = flow.has & RH_HAS_FLOW_NEXT_INCOMING_ID ? flow.next_incoming_id : 0;
    session->room  = seen + flow.incoming_window - session->next_outgoing_id;
    bool     named = (flow.has & RH_HAS_FLOW_HANDLE) && flow.handle < RH_NULL_HANDLES;
    rh_null_link *link = named ? session->links[flow.handle] : NULL;
    if (link && (link->kind == RH_NULL_SOURCE || link->kind == RH_NULL_REPLIES)) {
        uint32_t count = flow.has & RH_HAS_FLOW_DELIVERY_COUNT ? flow.delivery_count : 0;
        int32_t  left  = (int32_t)(count + flow.link_credit - link->delivery_count);
        link->credit   = left > 0 ? (uint32_t)left : 0;
        link->drain    = flow.drain;
    }
    if (flow.echo) rh_null_sink_flow(peer, session, link);
    return true;
}

/* -- frames ---------------------------------------------------------------------------------- */

static bool on_list(rh_null_peer *peer, uint16_t channel, rh_slice body)
{
    rh_dec           d       = rh_dec_of(body);
    rh_composite_id  id      = rh_composite_peek(&d);
    rh_null_session *session = session_of(peer, channel);
    if (id == RH_AMQP_OPEN) return on_open(peer, &d);
    if (id == RH_AMQP_CLOSE) return on_close(peer);
    if (id == RH_AMQP_BEGIN) return on_begin(peer, channel, &d);
    bool late = id == RH_AMQP_DETACH || id == RH_AMQP_FLOW || id == RH_AMQP_DISPOSITION;
    if (late && !session) return true; /* Python and rhea, after their end */
    if (!session) return rh_null_trouble(peer, "a frame on a channel without a session");
    switch ((int)id) {
    case RH_AMQP_TRANSFER:    return rh_null_sink_transfer(peer, session, body, true);
    case RH_AMQP_FLOW:        return on_flow(peer, session, &d);
    case RH_AMQP_ATTACH:      return on_attach(peer, session, &d);
    case RH_AMQP_DETACH:      return on_detach(peer, session, &d);
    case RH_AMQP_END:         return on_end(peer, session);
    case RH_AMQP_DISPOSITION: return true; /* what was sent is forgotten already */
    default:                  return rh_null_trouble(peer, "an unknown performative");
    }
}

static bool on_frame(rh_null_peer *peer, const uint8_t *p, size_t n)
{
    rh_frame frame;
    if (rh_frame_parse(p, n, &frame) != RH_OK) return rh_null_trouble(peer, "a frame that cannot be");
    rh_dec d = rh_dec_of(frame.body);
    if (frame.type == RH_FRAME_SASL) return on_sasl(peer, &d);
    return frame.body.n == 0 || on_list(peer, frame.channel, frame.body);
}

/* A transfer whose payload is still on its way: a sink needs only its beginning. */
static bool begun(rh_null_peer *peer, const uint8_t *p, size_t n, size_t size)
{
    static const uint8_t like[] = { 2, RH_FRAME_AMQP };
    if (n < TRANSFER_ENOUGH || memcmp(p + 4, like, sizeof like) != 0 || p[10] != RH_CODE_TRANSFER) return false;
    rh_null_session *session = session_of(peer, rh_get16(p + 6));
    if (!session || !rh_null_sink_transfer(peer, session, rh_slice_of(p + RH_FRAME_HEADER, n - RH_FRAME_HEADER), false)) return false;
    peer->skip = (uint32_t)(size - n);
    return true;
}

static bool keep(rh_null_peer *peer, const uint8_t *p, size_t n)
{
    if (n > peer->tail_size) {
        uint8_t *larger = realloc(peer->tail, n);
        if (!larger) return rh_null_trouble(peer, "no memory");
        peer->tail      = larger;
        peer->tail_size = n;
    }
    if (n) memcpy(peer->tail, p, n);
    peer->tail_n = n;
    return true;
}

bool rh_null_peer_take(rh_null_peer *peer, const uint8_t *p, size_t n)
{
    while (n && !peer->trouble && !peer->is_closing) {
        size_t passed = peer->skip < n ? peer->skip : n;
        peer->skip -= (uint32_t)passed;
        p += passed;
        n -= passed;
        size_t size = rh_frame_size(p, n);
        if (n < RH_FRAME_HEADER) break;
        if (size > RH_NULL_FRAME) return rh_null_trouble(peer, "a frame larger than ours");
        if (size > n) {
            if (!begun(peer, p, n, size)) break;
            size = n;
        } else if (memcmp(p, "AMQP", 4) == 0 ? !on_header(peer, p) : !on_frame(peer, p, size)) {
            return false;
        }
        p += size;
        n -= size;
    }
    return keep(peer, p, peer->is_closing ? 0 : n) && !peer->trouble;
}

/* -- answering ------------------------------------------------------------------------------- */

static bool give_link(rh_null_peer *peer, rh_null_session *session, rh_null_link *link)
{
    bool done = true;
    if (link->kind == RH_NULL_SOURCE) done = rh_null_source_give(peer, session, link);
    if (link->kind == RH_NULL_REPLIES) rh_null_service_give(peer, session, link);
    if (done && link->drain && (link->kind == RH_NULL_REPLIES || link->credit == 0)) {
        link->delivery_count += link->credit;
        link->credit = 0;
        rh_null_sink_flow(peer, session, link);
        link->drain = false;
    }
    return done;
}

bool rh_null_peer_give(rh_null_peer *peer)
{
    bool done = true;
    for (size_t i = 0; i < peer->session_count; i++) {
        rh_null_session *session = peer->sessions[i];
        if (!session || !session->is_open) continue;
        rh_null_sink_answer(peer, session);
        for (uint32_t handle = 0; handle < session->handles; handle++) {
            if (session->links[handle] && !give_link(peer, session, session->links[handle])) done = false;
        }
    }
    return rh_null_stream_flush(&peer->stream) && done;
}

void rh_null_peer_end(rh_null_peer *peer)
{
    for (size_t i = 0; i < peer->session_count; i++) {
        if (peer->sessions[i]) session_end(peer->sessions[i]);
        free(peer->sessions[i]);
    }
    free(peer->sessions);
    free(peer->tail);
    rh_null_stream_end(&peer->stream);
    free(peer);
}
