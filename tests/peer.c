/**
 * peer.c: see peer.h.
 */
#include "tests/peer.h"

#include <stdio.h>
#include <stdlib.h>

#define HEARD_MAX ((size_t)1 << 20)

struct peer *peer_new(const rh_engine_opts *opts)
{
    struct peer *peer = calloc(1, sizeof *peer);
    end_init(&peer->end, opts->server ? "server" : "client", opts);
    peer->heard = malloc(HEARD_MAX);
    peer->now   = RH_SECONDS(1);
    return peer;
}

void peer_free(struct peer *peer)
{
    end_fini(&peer->end);
    free(peer->heard);
    free(peer);
}

void peer_say_bytes(struct peer *peer, const void *p, size_t n)
{
    end_feed(&peer->end, p, n, peer->now);
}

void peer_say_header(struct peer *peer, uint8_t protocol)
{
    peer_say_bytes(peer, (const uint8_t[]){ 'A', 'M', 'Q', 'P', protocol, 1, 0, 0 }, 8);
}

void peer_say_frame(struct peer *peer, uint8_t type, uint16_t channel, rh_slice body)
{
    uint8_t *frame = malloc(8 + body.n);
    rh_frame_put(frame, (uint32_t)(8 + body.n), type, channel);
    if (body.n) memcpy(frame + 8, body.p, body.n);
    peer_say_bytes(peer, frame, 8 + body.n);
    free(frame);
}

static void say(struct peer *peer, uint16_t channel, rh_composite_id id, const void *fields, rh_slice payload)
{
    static uint8_t body[1 << 17];
    rh_enc         e = rh_enc_of(body, sizeof body);
    rh_composite_encode(&e, id, fields);
    rh_enc_raw(&e, payload);
    bool sasl = id >= RH_AMQP_SASL_MECHANISMS && id <= RH_AMQP_SASL_OUTCOME;
    peer_say_frame(peer, sasl ? RH_FRAME_SASL : RH_FRAME_AMQP, channel, rh_enc_written(&e));
}

void peer_say(struct peer *peer, uint16_t channel, rh_composite_id id, const void *fields)
{
    say(peer, channel, id, fields, rh_slice_of(NULL, 0));
}

void peer_say_transfer(struct peer *peer, const rh_amqp_transfer *transfer, const char *payload)
{
    say(peer, 0, RH_AMQP_TRANSFER, transfer, rh_str(payload));
}

void peer_hear(struct peer *peer)
{
    for (;;) {
        size_t   n;
        uint8_t *bytes = end_take(&peer->end, &n, peer->now);
        if (peer->heard_n + n < HEARD_MAX) memcpy(peer->heard + peer->heard_n, bytes, n), peer->heard_n += n;
        free(bytes);
        if (rh_engine_deadline(peer->end.engine) <= peer->now) rh_engine_tick(peer->end.engine, peer->now);
        if (n == 0) return;
    }
}

bool peer_heard(struct peer *peer, rh_composite_id id, uint32_t nth, void *fields)
{
    size_t at = 0;
    while (at < peer->heard_n) {
        size_t   size = rh_frame_size(peer->heard + at, peer->heard_n - at);
        rh_frame frame;
        if (size == 0 || size > peer->heard_n - at) return false;
        bool header = memcmp(peer->heard + at, "AMQP", 4) == 0;
        if (!header && rh_frame_parse(peer->heard + at, size, &frame) == RH_OK && frame.body.n > 0) {
            rh_dec d = rh_dec_of(frame.body);
            if (rh_composite_peek(&d) == id && nth-- == 0) return rh_composite_decode(&d, id, fields) == RH_OK;
        }
        at += size;
    }
    return false;
}

uint32_t peer_heard_count(struct peer *peer, rh_composite_id id)
{
    uint64_t fields[64];
    uint32_t count = 0;
    while (peer_heard(peer, id, count, fields)) count++;
    return count;
}

const char *peer_heard_condition(struct peer *peer, rh_composite_id id)
{
    static char    text[64];
    rh_amqp_detach detach = { .has = 0 };
    rh_amqp_end    end    = { .has = 0 };
    rh_amqp_close  close  = { .has = 0 };
    rh_amqp_error  error;
    rh_slice       encoded = { NULL, 0 };
    if (id == RH_AMQP_DETACH && peer_heard(peer, id, 0, &detach)) encoded = detach.error;
    if (id == RH_AMQP_END && peer_heard(peer, id, 0, &end)) encoded = end.error;
    if (id == RH_AMQP_CLOSE && peer_heard(peer, id, 0, &close)) encoded = close.error;
    if (encoded.p == NULL || rh_amqp_error_view(encoded, &error) != RH_OK) return "";
    snprintf(text, sizeof text, "%.*s", (int)error.condition.n, (const char *)error.condition.p);
    return text;
}

/* -- the usual steps --------------------------------------------------------------------------- */

void peer_headers(struct peer *peer)
{
    peer_say_header(peer, 0);
    peer_hear(peer);
}

void peer_open(struct peer *peer, uint32_t max_frame_size, uint32_t idle_ms)
{
    rh_amqp_open open = { .has = RH_HAS_OPEN_MAX_FRAME_SIZE, .container_id = rh_str("peer"), .max_frame_size = max_frame_size };
    if (idle_ms) open.has |= RH_HAS_OPEN_IDLE_TIME_OUT, open.idle_time_out = idle_ms;
    peer_headers(peer);
    peer_say(peer, 0, RH_AMQP_OPEN, &open);
    peer_hear(peer);
}

void peer_begin(struct peer *peer, uint16_t channel, uint32_t window)
{
    rh_amqp_begin begin = {
        .has             = RH_HAS_BEGIN_NEXT_OUTGOING_ID | RH_HAS_BEGIN_INCOMING_WINDOW | RH_HAS_BEGIN_OUTGOING_WINDOW,
        .incoming_window = window,
        .outgoing_window = 1000,
    };
    if (peer->end.session) begin.has |= RH_HAS_BEGIN_REMOTE_CHANNEL;
    peer_say(peer, channel, RH_AMQP_BEGIN, &begin);
    peer_hear(peer);
}

void peer_attach(struct peer *peer, uint16_t channel, uint32_t handle, const char *name, bool we_receive)
{
    rh_amqp_attach attach = {
        .has    = RH_HAS_ATTACH_HANDLE | RH_HAS_ATTACH_ROLE,
        .name   = rh_str(name),
        .handle = handle,
        .role   = we_receive,
        .source = rh_slice_of("\x00\x53\x28\x45", 4),
        .target = rh_slice_of("\x00\x53\x29\x45", 4),
    };
    if (!we_receive) attach.has |= RH_HAS_ATTACH_INITIAL_DELIVERY_COUNT;
    peer_say(peer, channel, RH_AMQP_ATTACH, &attach);
    peer_hear(peer);
}

void peer_credit(struct peer *peer, uint32_t delivery_count, uint32_t credit)
{
    rh_amqp_flow flow = {
        .has = RH_HAS_FLOW_NEXT_INCOMING_ID | RH_HAS_FLOW_INCOMING_WINDOW | RH_HAS_FLOW_NEXT_OUTGOING_ID | RH_HAS_FLOW_OUTGOING_WINDOW |
               RH_HAS_FLOW_HANDLE | RH_HAS_FLOW_DELIVERY_COUNT | RH_HAS_FLOW_LINK_CREDIT,
        .incoming_window = 1000,
        .outgoing_window = 1000,
        .delivery_count  = delivery_count,
        .link_credit     = credit,
    };
    peer_say(peer, 0, RH_AMQP_FLOW, &flow);
    peer_hear(peer);
}

rh_amqp_transfer transfer_to(uint32_t handle, uint32_t delivery_id, bool more)
{
    rh_amqp_transfer transfer = {
        .has          = RH_HAS_TRANSFER_HANDLE | RH_HAS_TRANSFER_DELIVERY_ID | RH_HAS_TRANSFER_MESSAGE_FORMAT | RH_HAS_TRANSFER_SETTLED | RH_HAS_TRANSFER_MORE,
        .handle       = handle,
        .delivery_id  = delivery_id,
        .delivery_tag = rh_str("tag"),
        .more         = more,
    };
    return transfer;
}
