/* What a constructor byte says about the bytes behind it [1.2]. Private to codec/. */
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

static inline bool rh_type_is_compound(rh_type type)
{
    return type == RH_LIST || type == RH_MAP || type == RH_ARRAY;
}

#define RH_MALFORMED SIZE_MAX

/* Whether n bytes behind an array's count can be its element constructor and `count` elements. */
bool rh_array_is_possible(uint32_t count, const uint8_t *p, size_t n);

/* Whether n bytes, from the count on, can be the rest of a compound. The size counts the count, which is as wide
 * as the size itself; each element takes a byte at least; a map has as many values as keys [1.6.23]. */
static inline bool rh_compound_is_possible(uint8_t code, size_t prefix, const uint8_t *p, size_t n)
{
    if (RH_UNLIKELY(n < prefix)) return false;
    uint32_t count = prefix == 1 ? p[0] : rh_get32(p);
    n -= prefix;
    if (RH_UNLIKELY(code >= 0xe0)) return rh_array_is_possible(count, p + prefix, n);
    return n >= count && (count & code & 1) == 0 && (count != 0 || n == 0);
}

/* Bytes of the payload behind a constructor other than 00, of which `left` may be used: held to its shape as
 * rh_dec_skip() promises. RH_MALFORMED if it is not a value. */
static inline size_t rh_payload_size(uint8_t code, const uint8_t *p, size_t left)
{
    if (RH_UNLIKELY(rh_constructor_type(code) == RH_INVALID)) return RH_MALFORMED;
    if (rh_constructor_is_fixed(code)) {
        size_t width = rh_constructor_width(code);
        return left < width ? RH_MALFORMED : width;
    }
    size_t prefix = rh_constructor_prefix(code);
    if (RH_UNLIKELY(left < prefix)) return RH_MALFORMED;
    size_t n = prefix == 1 ? p[0] : rh_get32(p);
    if (RH_UNLIKELY(left - prefix < n)) return RH_MALFORMED;
    if (code >= 0xc0 && !rh_compound_is_possible(code, prefix, p + prefix, n)) return RH_MALFORMED;
    return prefix + n;
}

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
