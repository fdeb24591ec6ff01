/**
 * output.c: the ring of bytes and the ring of segments.
 */
#include "proto/engine.h"

void rh_output_init(struct output *out, uint8_t *ring, size_t size, struct segment *segments, uint32_t segment_count)
{
    memset(out, 0, sizeof *out);
    out->ring     = ring;
    out->size     = size;
    out->segments = segments;
    out->mask     = segment_count - 1;
}

bool rh_output_has_more(const struct output *out)
{
    if (out->sasl_sent < out->sasl_allowed) return true;
    return !out->gate && out->first != out->last && !(out->held && out->first == out->held_at);
}

/* -- the ring of bytes ------------------------------------------------------------------------- */

/* The free bytes behind tail, and those before head when tail has not gone round. One byte is never used, so that
 * tail meets head only when the ring is empty. */
static rh_slice behind_tail(const struct output *out)
{
    if (out->in_ring == 0) return rh_slice_of(out->ring, out->size);
    size_t end = out->tail >= out->head ? out->size : out->head - 1;
    return rh_slice_of(out->ring + out->tail, end - out->tail);
}

static rh_slice before_head(const struct output *out)
{
    bool round = out->in_ring == 0 || out->tail < out->head || out->head == 0;
    return rh_slice_of(out->ring, round ? 0 : out->head - 1);
}

size_t rh_output_room(const struct output *out)
{
    if (output_segments_left(out) < SEGMENTS_SPARE / 2) return 0;
    size_t behind = behind_tail(out).n, before = before_head(out).n;
    return behind > before ? behind : before;
}

uint8_t *rh_output_take(struct output *out, size_t n)
{
    rh_slice region = behind_tail(out);
    if (region.n < n) region = before_head(out);
    return region.n < n ? NULL : out->ring + (region.p - out->ring);
}

static struct segment *segment_push(struct output *out)
{
    return &out->segments[out->last++ & out->mask];
}

/* The segment before, if it is the ring's and nothing separates it from p. */
static struct segment *segment_before(const struct output *out, const uint8_t *p)
{
    if (out->first == out->last || (out->held && out->held_at == out->last)) return NULL;
    struct segment *before = &out->segments[(out->last - 1) & out->mask];
    return before->lent == NULL && before->p + before->n == p ? before : NULL;
}

void rh_output_commit(struct output *out, uint8_t *p, size_t n)
{
    struct segment *before = segment_before(out, p);
    if (out->in_ring == 0) out->head = (size_t)(p - out->ring);
    if (before) {
        before->n += n;
    } else {
        *segment_push(out) = (struct segment){ p, n, NULL };
        out->in_ring++;
    }
    out->tail = (size_t)(p - out->ring) + n;
    out->waiting += n;
}

void rh_output_lend(struct output *out, struct delivery *delivery, rh_slice piece)
{
    *segment_push(out) = (struct segment){ piece.p, piece.n, delivery };
    delivery->pins++;
    out->waiting += piece.n;
}

/* -- lending and taking back ------------------------------------------------------------------- */

size_t rh_output_pieces(const struct output *out, rh_iov *iov, size_t max)
{
    size_t count = 0;
    if (max > 0 && out->sasl_sent < out->sasl_allowed)
        iov[count++] = (rh_iov){ out->sasl + out->sasl_sent, out->sasl_allowed - out->sasl_sent };
    if (out->gate) return count;
    for (uint32_t i = out->first; i != out->last && count < max; i++) {
        if (out->held && i == out->held_at) break;
        const struct segment *segment = &out->segments[i & out->mask];
        iov[count++] = (rh_iov){ segment->p, segment->n };
    }
    return count;
}

static size_t sasl_sent(struct output *out, size_t n)
{
    size_t left = out->sasl_allowed - out->sasl_sent;
    if (n > left) n = left;
    /* An initial response may hold a password: it is kept no longer than needed. */
    memset(out->sasl + out->sasl_sent, 0, n);
    out->sasl_sent += n;
    return n;
}

static void segment_pop(struct output *out, struct segment *segment)
{
    out->first++;
    if (segment->lent) rh_delivery_unpin(segment->lent);
    else out->in_ring--;
}

void rh_output_sent(struct output *out, size_t n)
{
    n -= sasl_sent(out, n);
    while (n > 0 && out->first != out->last) {
        struct segment *segment = &out->segments[out->first & out->mask];
        size_t          part    = n < segment->n ? n : segment->n;
        segment->p += part;
        segment->n -= part;
        out->waiting -= part;
        n -= part;
        if (segment->lent == NULL) out->head = (size_t)(segment->p - out->ring);
        if (segment->n == 0) segment_pop(out, segment);
    }
}

void rh_output_clear(struct output *out)
{
    while (out->first != out->last) segment_pop(out, &out->segments[out->first & out->mask]);
    out->waiting = 0;
    memset(out->sasl, 0, sizeof out->sasl);
    out->sasl_n = out->sasl_allowed = out->sasl_sent = 0;
}

/* -- whole frames ------------------------------------------------------------------------------ */

static void frame_written(rh_engine *engine, uint16_t channel, uint8_t *frame, size_t n)
{
    struct output *out = &engine->out;
    rh_frame_put(frame, (uint32_t)n, RH_FRAME_AMQP, channel);
    if (!engine->peer.opened) {
        /* [2.3] Too large before open has said more: everything from here on waits for the peer's open. */
        if (n > MIN_MAX_FRAME_SIZE && !out->held) {
            out->held    = true;
            out->held_at = out->last;
        }
        if (n > engine->biggest_sent) engine->biggest_sent = (uint32_t)n;
    }
    rh_output_commit(out, frame, n);
    engine->counts.frames_out++;
    rh_slice body = rh_slice_of(frame + RH_FRAME_HEADER, n - RH_FRAME_HEADER);
    if (engine->handler->on_frame) engine->handler->on_frame(engine->user, engine, true, RH_FRAME_AMQP, channel, body);
}

static rh_status frame_into(rh_engine *engine, rh_slice region, uint16_t channel, rh_composite_id id,
                            const void *fields)
{
    if (region.n < 8) return RH_AGAIN;
    uint8_t *frame = engine->out.ring + (region.p - engine->out.ring);
    rh_enc   e     = rh_enc_of(frame + 8, region.n - 8);
    if (!rh_composite_encode(&e, id, fields)) return e.status == RH_E_SPACE || e.status == RH_OK ? RH_AGAIN : e.status;
    size_t n = 8 + rh_enc_size(&e);
    if (engine->peer.opened && n > engine->peer.max_frame_size) return RH_E_TOO_BIG;
    frame_written(engine, channel, frame, n);
    return RH_OK;
}

rh_status rh_output_frame(rh_engine *engine, uint16_t channel, rh_composite_id id, const void *fields)
{
    struct output *out = &engine->out;
    if (output_segments_left(out) < 2) return RH_AGAIN;
    bool      empty  = out->in_ring == 0;
    rh_status status = frame_into(engine, behind_tail(out), channel, id, fields);
    if (status == RH_AGAIN) status = frame_into(engine, before_head(out), channel, id, fields);
    return status == RH_AGAIN && empty ? RH_E_SPACE : status;
}

bool rh_output_encoded(rh_engine *engine, rh_slice body)
{
    uint8_t *frame = rh_output_take(&engine->out, RH_FRAME_HEADER + body.n);
    if (frame == NULL || output_segments_left(&engine->out) < 2) return false;
    if (body.n > 0) memcpy(frame + RH_FRAME_HEADER, body.p, body.n);
    frame_written(engine, 0, frame, RH_FRAME_HEADER + body.n);
    return true;
}

void rh_output_heartbeat(rh_engine *engine)
{
    if (rh_output_encoded(engine, rh_slice_of(NULL, 0))) engine->counts.heartbeats_out++;
}
