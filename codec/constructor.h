/* What a constructor byte says about the bytes behind it [1.2.1]. Private to codec/. */
#ifndef RH_CONSTRUCTOR_H
#define RH_CONSTRUCTOR_H

#include "codec/codec.h"

/* rh_type of each constructor byte: 39 of [1.6], 00 described, the rest RH_INVALID. */
extern const uint8_t rh_constructor_types[256];

static inline rh_type rh_constructor_type(uint8_t code)
{
    return (rh_type)rh_constructor_types[code];
}

/* The high half is the format: 4 to 9 fixed widths, a and b variable, c to f compound; odd is wide. */
static inline bool rh_constructor_is_fixed(uint8_t code)
{
    return code < 0xa0;
}

static inline size_t rh_constructor_width(uint8_t code)
{
    return code < 0x50 ? 0 : (size_t)1 << ((code >> 4) - 5);
}

static inline size_t rh_constructor_prefix(uint8_t code)
{
    return code & 0x10 ? 4 : 1;
}

#define RH_MALFORMED SIZE_MAX

/* Bytes of the payload behind a constructor other than 00, of which `left` may be used: held to its shape as
 * rh_dec_skip() promises. RH_MALFORMED if it is not a value. */
size_t rh_payload_size(uint8_t code, const uint8_t *p, size_t left);

/* Whether n bytes can be `count` payloads of a constructor; exact where the width is fixed. */
bool rh_elements_fit(uint8_t code, uint32_t count, size_t n);

/* Reads the n bytes that rh_payload_size() measured; the bytes of a compound are the payload's own. False
 * when the content is not valid. */
bool rh_payload_value(uint8_t code, const uint8_t *p, size_t n, rh_value *out);

static inline float rh_float_of(const uint8_t *p)
{
    uint32_t bits = rh_get32(p);
    float    v;
    memcpy(&v, &bits, sizeof v);
    return v;
}

static inline double rh_double_of(const uint8_t *p)
{
    uint64_t bits = rh_get64(p);
    double   v;
    memcpy(&v, &bits, sizeof v);
    return v;
}

/* [1.6.16] a Unicode character is not half of a surrogate pair. */
static inline bool rh_is_character(uint32_t c)
{
    return c <= 0x10ffff && (c < 0xd800 || c > 0xdfff);
}

/* Fails the cursor back at `at`, the first byte of the value that turned out wrong. */
static inline void rh_dec_fail_at(rh_dec *d, const uint8_t *at)
{
    if (d->status == RH_OK) d->p = at;
    rh_dec_fail(d, RH_E_DECODE);
}

#endif
