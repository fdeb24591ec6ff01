#include "fuzz/kit/story.h"

#include <string.h>

#include "fuzz/kit/world.h"

static rh_slice framed(uint8_t *out, size_t room, uint8_t type, uint16_t channel, const uint8_t *body, size_t n)
{
    if (n > room - RH_FRAME_HEADER) n = room - RH_FRAME_HEADER;
    rh_frame_put(out, (uint32_t)(RH_FRAME_HEADER + n), type, channel);
    memcpy(out + RH_FRAME_HEADER, body, n);
    return rh_slice_of(out, RH_FRAME_HEADER + n);
}

static size_t put(uint8_t *out, size_t room, rh_composite_id id, const void *fields)
{
    uint8_t body[400];
    rh_enc  e = rh_enc_of(body, sizeof body);
    rh_composite_encode(&e, id, fields);
    return framed(out, room, RH_FRAME_AMQP, 0, body, rh_enc_size(&e)).n;
}

size_t kit_usual_header(unsigned depth, uint8_t *out)
{
    if (depth == KIT_DEPTH_HEADER) return 0;
    memcpy(out, depth == KIT_DEPTH_SASL ? "AMQP\3\1\0\0" : "AMQP\0\1\0\0", 8);
    return 8;
}

size_t kit_usual_open(uint8_t *out, size_t n)
{
    rh_amqp_open open = { .has = RH_HAS_OPEN_MAX_FRAME_SIZE, .container_id = rh_str("peer"), .max_frame_size = KIT_PEER_FRAME_MAX };
    return put(out, n, RH_AMQP_OPEN, &open);
}

/* A delivery is half through the link: theirs to a server; ours, for their window is short, of a client. */
size_t kit_usual_link(bool to_server, uint8_t *out, size_t room)
{
    rh_amqp_begin    begin    = { .has = RH_HAS_BEGIN_NEXT_OUTGOING_ID | RH_HAS_BEGIN_INCOMING_WINDOW | RH_HAS_BEGIN_OUTGOING_WINDOW, .incoming_window = 20 };
    rh_amqp_attach   attach   = { .has = RH_HAS_ATTACH_HANDLE | RH_HAS_ATTACH_ROLE | RH_HAS_ATTACH_INITIAL_DELIVERY_COUNT, .name = rh_str("a"),
                                  .source = rh_slice_of("\x00\x53\x28\x45", 4), .target = rh_slice_of("\x00\x53\x29\x45", 4), .role = !to_server };
    rh_amqp_flow     flow     = { .has = RH_HAS_FLOW_INCOMING_WINDOW | RH_HAS_FLOW_NEXT_OUTGOING_ID | RH_HAS_FLOW_OUTGOING_WINDOW | RH_HAS_FLOW_HANDLE | RH_HAS_FLOW_LINK_CREDIT,
                                  .incoming_window = 2, .link_credit = 8 };
    rh_amqp_transfer transfer = { .has = RH_HAS_TRANSFER_HANDLE | RH_HAS_TRANSFER_DELIVERY_ID | RH_HAS_TRANSFER_MORE, .delivery_tag = rh_str("t"), .more = true };
    if (!to_server) begin.has |= RH_HAS_BEGIN_REMOTE_CHANNEL;
    size_t n = put(out, room, RH_AMQP_BEGIN, &begin);
    n += put(out + n, room - n, RH_AMQP_ATTACH, &attach);
    return n + (to_server ? put(out + n, room - n, RH_AMQP_TRANSFER, &transfer) : put(out + n, room - n, RH_AMQP_FLOW, &flow));
}

/* n bytes behind the one that holds channel and type. */
static size_t read_frame(const uint8_t *p, size_t left, size_t n, struct kit_record *record, uint8_t *out)
{
    if (left == 0) return 0;
    if (n > left - 1) n = left - 1;
    record->bytes = framed(out, KIT_RECORD_BYTES, p[0] & 1, p[0] >> 6, p + 1, n);
    return 1 + n;
}

size_t kit_record_read(const uint8_t *p, size_t left, struct kit_record *record, uint8_t out[KIT_RECORD_BYTES])
{
    *record = (struct kit_record){ .kind = *p++ };
    left--;
    if (record->kind == KIT_RECORD_ACT || record->kind == KIT_RECORD_CARELESS) {
        if (left == 0) return record->kind = KIT_RECORD_REST, 1;
        record->what = *p;
        return 2;
    }
    if (record->kind == KIT_RECORD_LONG) return left < 2 ? 1 + left : 3 + read_frame(p + 2, left - 2, rh_get16(p), record, out);
    if (record->kind <= KIT_RECORD_FRAME) return 1 + read_frame(p, left, record->kind, record, out);
    size_t n      = record->kind == KIT_RECORD_HEADER && left > 8 ? 8 : left;
    record->bytes = rh_slice_of(p, n);
    return 1 + n;
}
