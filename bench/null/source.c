#include "bench/null/null.h"
#include "bench/reference.h"

#include <stdlib.h>

#define BLOCKS_A_TURN 8 /* what the client says meanwhile is read in between */

uint32_t rh_null_source_size(const char *address)
{
    const char   *at   = strstr(address, "bench-");
    unsigned long size = at ? strtoul(at + 6, NULL, 10) : 0;
    return size ? (uint32_t)(size < 1u << 20 ? size : 1u << 20) : RH_REFERENCE_BODY;
}

/* -- making the block ------------------------------------------------------------------------ */

/* All eleven fields, ids and tag in four bytes so that they can be written over. */
static size_t write_first(uint8_t *p, uint32_t handle, bool settled, bool more, size_t *id_at, size_t *tag_at)
{
    rh_enc e = rh_enc_of(p, 64);
    rh_enc_raw(&e, rh_slice_of((const uint8_t[]){ 0x00, 0x53, RH_CODE_TRANSFER, 0xc0, 0, RH_FIELDS_TRANSFER }, 6));
    rh_enc_uint(&e, handle);
    *id_at = rh_enc_size(&e) + 1;
    rh_enc_code32(&e, 0x70, 0);
    *tag_at = rh_enc_size(&e) + 2;
    rh_enc_raw(&e, rh_slice_of((const uint8_t[]){ 0xa0, 4, 0, 0, 0, 0 }, 6));
    rh_enc_uint(&e, RH_FORMAT_MESSAGE);
    rh_enc_bool(&e, settled);
    rh_enc_bool(&e, more);
    rh_enc_null(&e);
    rh_enc_null(&e);
    rh_enc_raw(&e, rh_slice_of((const uint8_t[]){ 0x42, 0x42, 0x42 }, 3));
    p[4] = (uint8_t)(rh_enc_size(&e) - 5);
    return rh_enc_size(&e);
}

/* Cuts one message into frames; answers the bytes written. */
static size_t write_frames(rh_null_block *block, uint8_t *to, const rh_null_link *link, uint16_t channel, rh_slice message, uint32_t max_frame)
{
    uint8_t *p = to;
    block->frames = 0;
    while (message.n || block->frames == 0) {
        size_t id_at, tag_at, head = write_first(p + RH_FRAME_HEADER, link->handle, link->settled, false, &id_at, &tag_at);
        size_t room = max_frame - RH_FRAME_HEADER - head, n = message.n < room ? message.n : room;
        if (n < message.n) write_first(p + RH_FRAME_HEADER, link->handle, link->settled, true, &id_at, &tag_at);
        if (block->frames == 0) {
            block->id_at  = RH_FRAME_HEADER + id_at;
            block->tag_at = RH_FRAME_HEADER + tag_at;
        } else {
            /* [2.7.5] what continues a delivery may leave its id out: null, and the tag with it. */
            rh_amqp_transfer rest = {
                .has = RH_HAS_TRANSFER_HANDLE | RH_HAS_TRANSFER_SETTLED | RH_HAS_TRANSFER_MORE, .handle = link->handle,
                .settled = link->settled, .more = n < message.n,
            };
            rh_enc e = rh_enc_of(p + RH_FRAME_HEADER, 64);
            rh_amqp_transfer_encode(&e, &rest);
            head = rh_enc_size(&e);
        }
        memcpy(p + RH_FRAME_HEADER + head, message.p, n);
        rh_frame_put(p, (uint32_t)(RH_FRAME_HEADER + head + n), RH_FRAME_AMQP, channel);
        p += RH_FRAME_HEADER + head + n;
        message = rh_slice_of(message.p + n, message.n - n);
        block->frames++;
    }
    return (size_t)(p - to);
}

bool rh_null_source_start(rh_null_link *link, uint32_t max_frame, uint16_t channel)
{
    rh_null_block *block   = &link->block;
    uint32_t       size    = rh_null_source_size(link->address);
    size_t         message = RH_REFERENCE_RECEIVED + size, frames = message / (max_frame - 64) + 1, most = message + frames * 64;
    size_t         count   = RH_NULL_BLOCK / most ? RH_NULL_BLOCK / most : 1;
    uint8_t       *bytes   = malloc(message);
    block->p               = malloc(count * most);
    if (!bytes || !block->p) {
        free(bytes);
        return false;
    }
    for (size_t i = 0; i < count; i++) {
        size_t n       = rh_reference_write(bytes, message, i % RH_REFERENCE_COUNT, size, true);
        block->event_n = write_frames(block, block->p + block->n, link, channel, rh_slice_of(bytes, n), max_frame);
        block->n += block->event_n;
    }
    block->count = (uint32_t)count;
    free(bytes);
    return true;
}

/* -- sending --------------------------------------------------------------------------------- */

static uint32_t least(uint32_t a, uint32_t b) { return a < b ? a : b; }

static bool send_block(rh_null_peer *peer, rh_null_session *session, rh_null_link *link, uint32_t count)
{
    rh_null_block *block = &link->block;
    for (uint32_t i = 0; i < count; i++) {
        uint8_t *event = block->p + i * block->event_n;
        uint32_t id    = session->next_delivery_id++;
        rh_put32(event + block->id_at, id);
        rh_put32(event + block->tag_at, id);
    }
    session->next_outgoing_id += count * block->frames;
    session->room -= count * block->frames;
    link->delivery_count += count;
    link->credit -= count;
    return rh_null_stream_write(&peer->stream, block->p, count * block->event_n);
}

bool rh_null_source_give(rh_null_peer *peer, rh_null_session *session, rh_null_link *link)
{
    for (unsigned turn = 0; turn < BLOCKS_A_TURN; turn++) {
        /* The peer's window is a difference: below zero it is closed. */
        uint32_t room  = (int32_t)session->room > 0 ? session->room / link->block.frames : 0;
        uint32_t count = least(link->block.count, least(link->credit, room));
        if (count == 0) return true;
        if (!rh_null_stream_flush(&peer->stream) || !send_block(peer, session, link, count)) return false;
    }
    return false;
}
