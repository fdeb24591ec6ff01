#include "proto/compound.h"
#include "proto/proto.h"

#define DATA_NARROW 5 /* 00 53 75 a0 and a length of one byte */
#define DATA_WIDE   8 /* 00 53 75 b0 and four */

rh_status rh_envelope_init(rh_envelope *envelope, void *buffer, size_t n, rh_slice partition_key)
{
    *envelope = (rh_envelope){ .p = NULL };
    rh_enc e = rh_enc_of(buffer, n);
    if (partition_key.p) {
        const rh_message_fields fields = { .partition_key = partition_key };
        if (rh_message_write(&e, &fields) != RH_OK) return RH_E_BATCH_FULL;
    }
    *envelope = (rh_envelope){ .p = buffer, .used = rh_enc_size(&e), .n = n };
    return RH_OK;
}

/* Where a message goes that is written in place: behind the head of its section, as far as that can be told from the body. A
 * body above 255 bytes makes a message above 255 bytes, so that only short bodies are ever moved. */
static inline size_t room_for(size_t body_n)
{
    return body_n > 0xff ? DATA_WIDE : DATA_NARROW;
}

static inline void put_head(uint8_t *section, size_t n)
{
    if (RH_LIKELY(n > 0xff)) {
        const uint8_t head[4] = { 0x00, 0x53, RH_CODE_DATA, 0xb0 };
        memcpy(section, head, sizeof head);
        rh_put32(section + 4, (uint32_t)n);
    } else {
        const uint8_t head[DATA_NARROW] = { 0x00, 0x53, RH_CODE_DATA, 0xa0, (uint8_t)n };
        memcpy(section, head, sizeof head);
    }
}

static inline rh_status close_section(rh_envelope *envelope, size_t n)
{
    put_head(envelope->p + envelope->used, n);
    envelope->used += rh_envelope_cost(n);
    envelope->count++;
    return RH_OK;
}

/* A short body in a message above 255 bytes: it lies too near to the head that it gets. */
static RH_APART rh_status move_apart(rh_envelope *envelope, size_t n)
{
    uint8_t *section = envelope->p + envelope->used;
    if (n > UINT32_MAX || envelope->n - envelope->used < rh_envelope_cost(n)) return RH_E_BATCH_FULL;
    memmove(section + DATA_WIDE, section + DATA_NARROW, n);
    return close_section(envelope, n);
}

/* The message of n bytes that lies `room` bytes behind the end becomes a data section and part of the envelope. */
static inline rh_status append(rh_envelope *envelope, size_t room, size_t n)
{
    if (RH_UNLIKELY(room != room_for(n)) || RH_UNLIKELY(n > UINT32_MAX)) return move_apart(envelope, n);
    return close_section(envelope, n);
}

rh_status rh_envelope_add(rh_envelope *envelope, const rh_message_fields *fields)
{
    size_t room = room_for(fields->body.n), left = envelope->n - envelope->used;
    if (RH_UNLIKELY(left < room)) return RH_E_BATCH_FULL;

    uint8_t  *message = envelope->p + envelope->used + room;
    rh_enc    e       = { message, message, envelope->p + envelope->n, RH_OK };
    rh_status status  = rh_message_write(&e, fields);
    if (RH_UNLIKELY(status != RH_OK)) return status == RH_E_SPACE ? RH_E_BATCH_FULL : status;
    return append(envelope, room, rh_enc_size(&e));
}

rh_status rh_envelope_add_encoded(rh_envelope *envelope, rh_slice message)
{
    size_t room = room_for(message.n), left = envelope->n - envelope->used;
    if (left < room || left - room < message.n) return RH_E_BATCH_FULL;
    if (message.n) memmove(envelope->p + envelope->used + room, message.p, message.n);
    return append(envelope, room, message.n);
}

rh_status rh_envelope_open(rh_slice payload, rh_message *outer, rh_dec *events)
{
    rh_status status = rh_message_view(payload, outer);
    if (status == RH_OK && outer->body_kind != RH_BODY_DATA && outer->body_kind != RH_BODY_NONE) status = RH_E_DECODE;
    *events = rh_dec_of(status == RH_OK ? outer->body_raw : rh_slice_of(NULL, 0));
    return status;
}
