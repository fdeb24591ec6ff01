/*
 * put.h: writing where it is known that there is room. Each answers the place behind what it wrote. Private to
 * proto/.
 */
#ifndef RH_PROTO_PUT_H
#define RH_PROTO_PUT_H

#include "codec/utf8.h"

/* Short texts are most of a message: for them the call of memcpy would cost more than the copy. The last step
 * of each length overlaps the one before it. */
static inline uint8_t *put_bytes(uint8_t *p, const uint8_t *from, size_t n)
{
    if (n < 4 || n > 64) {
        memcpy(p, from, n);
    } else if (n >= 16) {
        for (size_t i = 0; i < n - 16; i += 16) memcpy(p + i, from + i, 16);
        memcpy(p + n - 16, from + n - 16, 16);
    } else if (n >= 8) {
        memcpy(p, from, 8);
        memcpy(p + n - 8, from + n - 8, 8);
    } else {
        memcpy(p, from, 4);
        memcpy(p + n - 4, from + n - 4, 4);
    }
    return p + n;
}

/* put_bytes() and rh_see() in one. */
static inline void put_seen(uint8_t *p, const uint8_t *from, size_t n, rh_seen *seen)
{
    rh_seen  step;
    uint64_t head = 0, tail = 0;
    if (n >= 16) {
        memcpy(&step, from, 16);
        memcpy(p, &step, 16);
        *seen |= step;
        for (size_t i = 16; RH_UNLIKELY(i + 16 < n); i += 16) {
            memcpy(&step, from + i, 16);
            memcpy(p + i, &step, 16);
            *seen |= step;
        }
        memcpy(&step, from + n - 16, 16);
        memcpy(p + n - 16, &step, 16);
        *seen |= step;
        return;
    }
    if (n >= 8) {
        memcpy(&head, from, 8);
        memcpy(&tail, from + n - 8, 8);
        memcpy(p, &head, 8);
        memcpy(p + n - 8, &tail, 8);
    } else if (n >= 4) {
        memcpy(&head, from, 4);
        memcpy(&tail, from + n - 4, 4);
        memcpy(p, &head, 4);
        memcpy(p + n - 4, &tail, 4);
    } else {
        for (size_t i = 0; i < n; i++) head |= p[i] = from[i];
    }
    *seen |= (rh_seen){ head, tail };
}

static inline uint8_t *put_null(uint8_t *p)
{
    *p = 0x40;
    return p + 1;
}

/* Content of no more than 255 bytes, which is there. */
static inline uint8_t *put_short(uint8_t *p, uint8_t narrow_code, rh_slice content)
{
    p[0] = narrow_code;
    p[1] = (uint8_t)content.n;
    return put_bytes(p + 2, content.p, content.n);
}

/* The same, or null for an absent slice. */
static inline uint8_t *put_text(uint8_t *p, uint8_t narrow_code, rh_slice content)
{
    return content.p ? put_short(p, narrow_code, content) : put_null(p);
}

/* A value that is encoded already; an empty slice is null. */
static inline uint8_t *put_encoded(uint8_t *p, rh_slice encoded)
{
    return encoded.n == 0 ? put_null(p) : put_bytes(p, encoded.p, encoded.n);
}

static inline uint8_t *put_code64(uint8_t *p, uint8_t code, uint64_t v)
{
    *p = code;
    rh_put64(p + 1, v);
    return p + 9;
}

static inline uint8_t *put_long(uint8_t *p, int64_t v)
{
    if (v < -128 || v > 127) return put_code64(p, 0x81, (uint64_t)v);
    p[0] = 0x55;
    p[1] = (uint8_t)v;
    return p + 2;
}

static inline uint8_t *put_uint(uint8_t *p, uint32_t v)
{
    if (v == 0) {
        *p = 0x43;
        return p + 1;
    }
    if (v <= 0xff) {
        p[0] = 0x52;
        p[1] = (uint8_t)v;
        return p + 2;
    }
    *p = 0x70;
    rh_put32(p + 1, v);
    return p + 5;
}

static inline uint8_t *put_bool(uint8_t *p, bool v)
{
    *p = v ? 0x41 : 0x42;
    return p + 1;
}

static inline uint8_t *put_ubyte(uint8_t *p, uint8_t v)
{
    p[0] = 0x50;
    p[1] = v;
    return p + 2;
}

#endif
