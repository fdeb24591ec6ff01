/**
 * output.c: the ring of bytes and the ring of segments.
 */
#include "proto/engine.h"

static uint32_t power_of_two_from(uint32_t n)
{
    uint32_t power = 64;
    while (power < n) power <<= 1;
    return power;
}

/* A transfer takes two segments and about forty bytes: neither ring should be full much before the other. */
static uint32_t segment_count(uint32_t bytes)
{
    return power_of_two_from(bytes / 32);
}

static size_t segments_at(uint32_t bytes)
{
    return (bytes + sizeof(struct segment) - 1) / sizeof(struct segment) * sizeof(struct segment);
}

size_t rh_output_size(uint32_t bytes)
{
    return segments_at(bytes) + segment_count(bytes) * sizeof(struct segment);
}

static void place(struct output *out, uint8_t *memory)
{
    out->ring     = memory;
    out->segments = (struct segment *)(void *)(memory + segments_at((uint32_t)out->size));
}

void rh_output_init(struct output *out, uint32_t bytes, uint8_t *memory)
{
    memset(out, 0, sizeof *out);
    out->size    = bytes;
    out->mask    = segment_count(bytes) - 1;
    out->borrows = memory == NULL;
    if (memory) place(out, memory);
}

bool rh_output_borrow(rh_engine *engine)
{
    struct output *out = &engine->out;
    if (RH_LIKELY(out->ring != NULL)) return true;
    size_t n      = rh_output_size((uint32_t)out->size);
    void  *memory = engine->handler->on_room ? engine->handler->on_room(engine->user, engine, n) : NULL;
    if (memory) place(out, memory);
    out->starved = memory == NULL;
    return memory != NULL;
}

void rh_output_give_back(rh_engine *engine)
{
    struct output *out = &engine->out;
    if (!out->borrows || out->ring == NULL || out->first != out->last) return;
    uint8_t *memory = out->ring;
    out->ring       = NULL;
    out->segments   = NULL;
    if (engine->handler->on_room_back)
        engine->handler->on_room_back(engine->user, engine, memory, rh_output_size((uint32_t)out->size));
}

/* Segments before this one may leave. What is held was written behind the stop; what was lent before the stop came may
 * have left from behind it. */
static uint32_t open_end(const struct output *out)
{
    if (RH_LIKELY(!out->stopped && !out->held)) return out->last;
    uint32_t end = out->stopped ? out->stop_at : out->held_at;
    return rh_serial_before(out->first, end) ? end : out->first;
}

bool rh_output_has_more(const struct output *out)
{
    return out->first != open_end(out);
}

void rh_output_stop(struct output *out)
{
    out->stop_at = out->seal = out->last;
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
    if (out->starved || output_segments_left(out) < SEGMENTS_SPARE / 2) return 0;
    if (out->ring == NULL) return out->size;
    size_t behind = behind_tail(out).n, before = before_head(out).n;
    return behind > before ? behind : before;
}

uint8_t *rh_output_take(rh_engine *engine, size_t n)
{
    struct output *out = &engine->out;
    if (!rh_output_borrow(engine)) return NULL;
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
    if (out->first == out->last || out->seal == out->last) return NULL;
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

bool rh_output_lends(const struct output *out, const struct session *session, const struct link *link)
{
    for (uint32_t i = out->first; i != out->last; i++) {
        const struct delivery *lent = out->segments[i & out->mask].lent;
        if (lent && (link ? lent->link == link : lent->link->session == session)) return true;
    }
    return false;
}

size_t rh_output_pieces(const struct output *out, rh_iov *iov, size_t max)
{
    size_t count = 0;
    for (uint32_t i = out->first, end = open_end(out); i != end && count < max; i++) {
        const struct segment *segment = &out->segments[i & out->mask];
        iov[count++] = (rh_iov){ segment->p, segment->n };
    }
    return count;
}

/* An initial response may hold a password: it is kept no longer than needed. */
static void wipe(struct output *out, const struct segment *segment, size_t n)
{
    memset(out->ring + (segment->p - out->ring), 0, n);
    if (n == segment->n) out->secrets--;
}

static void segment_pop(struct output *out, struct segment *segment)
{
    out->first++;
    if (segment->lent) rh_delivery_unpin(segment->lent);
    else out->in_ring--;
}

void rh_output_sent(rh_engine *engine, size_t n)
{
    struct output *out = &engine->out;
    while (n > 0 && out->first != out->last) {
        struct segment *segment = &out->segments[out->first & out->mask];
        size_t          part    = n < segment->n ? n : segment->n;
        if (RH_UNLIKELY(out->secrets > 0)) wipe(out, segment, part);
        segment->p += part;
        segment->n -= part;
        out->waiting -= part;
        n -= part;
        if (segment->lent == NULL) out->head = (size_t)(segment->p - out->ring);
        if (segment->n == 0) segment_pop(out, segment);
    }
    rh_output_give_back(engine);
}

void rh_output_clear(rh_engine *engine)
{
    struct output *out = &engine->out;
    while (out->first != out->last) {
        struct segment *segment = &out->segments[out->first & out->mask];
        if (out->secrets > 0) wipe(out, segment, segment->n);
        segment_pop(out, segment);
    }
    out->waiting = 0;
    rh_output_give_back(engine);
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
            out->held_at = out->seal = out->last;
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
    if (!rh_output_borrow(engine) || output_segments_left(out) < 2) return RH_AGAIN;
    bool      empty  = out->in_ring == 0;
    rh_status status = frame_into(engine, behind_tail(out), channel, id, fields);
    if (status == RH_AGAIN) status = frame_into(engine, before_head(out), channel, id, fields);
    if (!engine->inside) rh_output_give_back(engine); /* where nothing was written; what comes in may still need it */
    return status == RH_AGAIN && empty ? RH_E_SPACE : status;
}

bool rh_output_encoded(rh_engine *engine, rh_slice body)
{
    uint8_t *frame = rh_output_take(engine, RH_FRAME_HEADER + body.n);
    if (frame == NULL || output_segments_left(&engine->out) < 2) return false;
    if (body.n > 0) memcpy(frame + RH_FRAME_HEADER, body.p, body.n);
    frame_written(engine, 0, frame, RH_FRAME_HEADER + body.n);
    return true;
}

void rh_output_heartbeat(rh_engine *engine)
{
    if (rh_output_encoded(engine, rh_slice_of(NULL, 0))) engine->counts.heartbeats_out++;
}
