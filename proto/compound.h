/*
 * compound.h: lists and maps whose size is known only when they are written. They begin with sizes of one
 * byte and are moved apart at the end if they outgrew them: nearly all are small, and moving some hundred
 * bytes is cheaper than measuring everything before. Private to proto/.
 */
#ifndef RH_PROTO_COMPOUND_H
#define RH_PROTO_COMPOUND_H

#include "codec/codec.h"

#define COMPOUND_NARROW 3 /* constructor, size and count of one byte each */
#define COMPOUND_WIDE   9 /* and of four */

/** What a list or map of `count` elements in n bytes takes, its header included. */
static inline size_t compound_size(size_t n, size_t count)
{
    return n + (n < 0xff && count <= 0xff ? COMPOUND_NARROW : COMPOUND_WIDE);
}

/** Begins a list (0xc0) or map (0xc1); answers where, for compound_end(). */
static inline size_t compound_begin(rh_enc *e, uint8_t narrow_code)
{
    size_t   at = rh_enc_size(e);
    uint8_t *p  = rh_enc_room(e, COMPOUND_NARROW);
    if (p) *p = narrow_code;
    return at;
}

static inline void compound_widen(rh_enc *e, uint8_t *p, size_t n, uint32_t count)
{
    if (n > UINT32_MAX - 4 || !rh_enc_room(e, COMPOUND_WIDE - COMPOUND_NARROW)) {
        rh_enc_fail(e, RH_E_SPACE);
        return;
    }
    memmove(p + COMPOUND_WIDE, p + COMPOUND_NARROW, n);
    p[0] = (uint8_t)(p[0] + 0x10);
    rh_put32(p + 1, (uint32_t)n + 4); /* [1.2.1] the size counts the count */
    rh_put32(p + 5, count);
}

static inline void compound_end(rh_enc *e, size_t at, uint32_t count)
{
    if (RH_UNLIKELY(e->status != RH_OK)) return;
    uint8_t *p = e->start + at;
    size_t   n = (size_t)(e->p - p) - COMPOUND_NARROW;
    if (RH_UNLIKELY(n >= 0xff || count > 0xff)) {
        compound_widen(e, p, n, count);
        return;
    }
    p[1] = (uint8_t)(n + 1);
    p[2] = (uint8_t)count;
}

#endif
