/**
 * ringhub/dec.h: reading AMQP values through a cursor over lent bytes. What holds for all of the codec stands in codec.h.
 */
#ifndef RH_DEC_H
#define RH_DEC_H

#include "codec/value.h"

#ifdef __cplusplus
extern "C" {
#endif

/* -- reading: the cursor --------------------------------------------------------------------- */

/**
 * A place in borrowed bytes. A cursor over the elements of a list or map is a child of the cursor that
 * opened it: when it fails, its parents fail with it, at once, so no outer loop goes on over a broken
 * inside. Therefore a parent must outlive its children and stay at its address while they are read.
 *
 * After a failure status says why (RH_E_DECODE unless a caller failed it otherwise), p is the first
 * byte of the innermost value that could not be read, in the parents too, and nothing is left.
 */
typedef struct rh_dec {
    const uint8_t *p, *end;
    struct rh_dec *parent;
    rh_status      status;
} rh_dec;

/** A cursor over lent bytes; an absent slice reads as nothing left. */
static inline rh_dec rh_dec_of(rh_slice bytes)
{
    rh_dec d = { bytes.p, bytes.p ? bytes.p + bytes.n : NULL, NULL, RH_OK };
    return d;
}

static inline size_t rh_dec_left(const rh_dec *d) { return (size_t)(d->end - d->p); }

/** Fails the cursor and its parents where it stands. The first failure is the one that is kept. */
RH_API RH_COLD void rh_dec_fail(rh_dec *d, rh_status status);

/** Fails unless every byte was used: a list must end where its elements do. */
static inline void rh_dec_end(rh_dec *d)
{
    if (RH_UNLIKELY(d->p != d->end)) rh_dec_fail(d, RH_E_DECODE);
}

/** The next n bytes; absent, and the cursor failed, if fewer are left. Every sub-cursor is made of these. */
static inline rh_slice rh_dec_take(rh_dec *d, size_t n)
{
    if (RH_UNLIKELY(rh_dec_left(d) < n) || RH_UNLIKELY(d->p == NULL)) {
        rh_dec_fail(d, RH_E_DECODE);
        return rh_slice_of(NULL, 0);
    }
    rh_slice taken = { d->p, n };
    d->p += n;
    return taken;
}

/** The type of the next value. RH_INVALID at the end or before an unknown constructor; never fails the cursor. */
RH_API rh_type rh_dec_peek(const rh_dec *d);

/** Uses up a null if one is next and tells whether it did; never fails the cursor. */
static inline bool rh_dec_null(rh_dec *d)
{
    if (d->p == d->end || *d->p != 0x40) return false;
    d->p++;
    return true;
}

/* -- reading: scalars ------------------------------------------------------------------------ */

/* Each reads one value of exactly its type, in any of the type's encodings [1.6], and fails before
 * anything else, null included: where a field may be absent ask rh_dec_null() first. Where a peer
 * may choose the width of an integer, read rh_dec_value() and widen with rh_value_to_int64(). */

/** The payload of the one constructor a type has; NULL, and the cursor failed, before another one. */
static inline const uint8_t *rh_dec_fixed(rh_dec *d, uint8_t code, size_t width)
{
    if (RH_UNLIKELY(rh_dec_left(d) <= width) || RH_UNLIKELY(*d->p != code)) {
        rh_dec_fail(d, RH_E_DECODE);
        return NULL;
    }
    const uint8_t *payload = d->p + 1;
    d->p = payload + width;
    return payload;
}

static inline uint8_t rh_dec_ubyte(rh_dec *d)
{
    const uint8_t *p = rh_dec_fixed(d, 0x50, 1);
    return p ? *p : (uint8_t)0;
}

static inline uint32_t rh_dec_uint(rh_dec *d)
{
    size_t left = rh_dec_left(d);
    if (RH_LIKELY(left >= 2) && *d->p == 0x52) {
        d->p += 2;
        return d->p[-1];
    }
    if (left >= 1 && *d->p == 0x43) {
        d->p++;
        return 0;
    }
    const uint8_t *p = rh_dec_fixed(d, 0x70, 4);
    return p ? rh_get32(p) : 0;
}

static inline uint64_t rh_dec_ulong(rh_dec *d)
{
    size_t left = rh_dec_left(d);
    if (RH_LIKELY(left >= 2) && *d->p == 0x53) {
        d->p += 2;
        return d->p[-1];
    }
    if (left >= 1 && *d->p == 0x44) {
        d->p++;
        return 0;
    }
    const uint8_t *p = rh_dec_fixed(d, 0x80, 8);
    return p ? rh_get64(p) : 0;
}

static inline int32_t rh_dec_int(rh_dec *d)
{
    if (rh_dec_left(d) >= 2 && *d->p == 0x54) {
        d->p += 2;
        return (int8_t)d->p[-1];
    }
    const uint8_t *p = rh_dec_fixed(d, 0x71, 4);
    return p ? (int32_t)rh_get32(p) : 0;
}

static inline int64_t rh_dec_long(rh_dec *d)
{
    if (rh_dec_left(d) >= 2 && *d->p == 0x55) {
        d->p += 2;
        return (int8_t)d->p[-1];
    }
    const uint8_t *p = rh_dec_fixed(d, 0x81, 8);
    return p ? (int64_t)rh_get64(p) : 0;
}

/** Milliseconds since 1970, signed [1.6.17]. */
static inline int64_t rh_dec_timestamp(rh_dec *d)
{
    const uint8_t *p = rh_dec_fixed(d, 0x83, 8);
    return p ? (int64_t)rh_get64(p) : 0;
}

/** [1.6.2] 41, 42, or 56 with 00 or 01; another byte behind 56 is malformed. */
RH_API bool rh_dec_bool(rh_dec *d);

RH_API uint16_t rh_dec_ushort(rh_dec *d);
RH_API int8_t   rh_dec_byte(rh_dec *d);
RH_API int16_t  rh_dec_short(rh_dec *d);
RH_API float    rh_dec_float(rh_dec *d);
RH_API double   rh_dec_double(rh_dec *d);

/** [1.6.16] One Unicode character: neither a surrogate nor above U+10FFFF. */
RH_API uint32_t rh_dec_char(rh_dec *d);

/** 16 bytes as they are on the wire, and the decimals' 4, 8 and 16. */
RH_API rh_slice rh_dec_uuid(rh_dec *d);
RH_API rh_slice rh_dec_decimal32(rh_dec *d);
RH_API rh_slice rh_dec_decimal64(rh_dec *d);
RH_API rh_slice rh_dec_decimal128(rh_dec *d);

/* -- reading: bytes and text ----------------------------------------------------------------- */

/** The content behind constructor short_code (length in one byte) or short_code + 0x10 (in four) [1.2.2]. */
static inline rh_slice rh_dec_variable(rh_dec *d, uint8_t short_code)
{
    const uint8_t *at   = d->p;
    size_t         left = rh_dec_left(d);
    if (RH_LIKELY(left >= 2) && RH_LIKELY(*at == short_code)) {
        size_t n = at[1];
        if (RH_LIKELY(left - 2 >= n)) {
            d->p = at + 2 + n;
            return rh_slice_of(at + 2, n);
        }
    } else if (left >= 5 && *at == short_code + 0x10) {
        size_t n = rh_get32(at + 1);
        if (RH_LIKELY(left - 5 >= n)) {
            d->p = at + 5 + n;
            return rh_slice_of(at + 5, n);
        }
    }
    rh_dec_fail(d, RH_E_DECODE);
    return rh_slice_of(NULL, 0);
}

/** Content of a binary; empty is present (p != NULL), failed is absent. The same for the two below. */
static inline rh_slice rh_dec_binary(rh_dec *d) { return rh_dec_variable(d, 0xa0); }

/** A string; fails if it is not well-formed UTF-8. U+0000 is a character like others. */
RH_API rh_slice rh_dec_string(rh_dec *d);

/** A symbol; fails if it is not ASCII. */
RH_API rh_slice rh_dec_symbol(rh_dec *d);

/** A string or a symbol, checked as its type demands: the keys of maps come as both. */
RH_API rh_slice rh_dec_text(rh_dec *d);

/* -- reading: compounds ---------------------------------------------------------------------- */

/**
 * Opens a list: d moves behind it, items becomes a child that covers exactly its elements. Returns
 * their count, which is never above the bytes items has; 0 after a failure, with items failed too.
 * Whoever read as many elements as counted calls rh_dec_end(items): bytes left over are malformed.
 */
RH_API uint32_t rh_dec_list(rh_dec *d, rh_dec *items);

/** The same for a map. The count is keys plus values: odd ones and more than RH_MAP_ENTRIES_MAX entries fail. */
RH_API uint32_t rh_dec_map(rh_dec *d, rh_dec *items);

/** An array being read: one constructor for all elements [1.2.4]. */
typedef struct rh_array {
    rh_dec   items;      /* child of the cursor that opened it */
    rh_slice descriptor; /* each 00 and descriptor before the element constructor, as encoded; absent: none */
    uint32_t count;      /* elements not read yet */
    rh_type  type;       /* of the elements, below any descriptor */
    uint8_t  code;       /* their constructor */
} rh_array;

/**
 * Opens an array: d moves behind it. Returns the count, 0 after a failure. An array whose elements
 * have no bytes is refused above RH_ZERO_WIDTH_MAX elements. Opening is as good as
 * counting: fixed-width elements fill the array's bytes exactly, others have room for their lengths.
 */
RH_API uint32_t rh_dec_array(rh_dec *d, rh_array *out);

/**
 * The next element; false after the last, or when one is malformed (array->items.status says which).
 * Bytes behind the last element fail the array.
 */
RH_API bool rh_array_next(rh_array *array, rh_value *out);

/**
 * Reads 00 and a descriptor that is a ulong, as all of the specification's have; the described value
 * comes next. Fails before anything else: a symbolic descriptor is for rh_dec_described().
 */
static inline uint64_t rh_dec_descriptor(rh_dec *d)
{
    const uint8_t *at = d->p;
    if (RH_LIKELY(rh_dec_left(d) >= 3) && RH_LIKELY(at[0] == 0x00)) {
        if (RH_LIKELY(at[1] == 0x53)) {
            d->p = at + 3;
            return at[2];
        }
        if (at[1] == 0x80 && rh_dec_left(d) >= 10) {
            d->p = at + 10;
            return rh_get64(at + 2);
        }
        if (at[1] == 0x44) {
            d->p = at + 2;
            return 0;
        }
    }
    rh_dec_fail(d, RH_E_DECODE);
    return 0;
}

/** Reads 00 and any descriptor; the described value comes next. False, and the cursor failed, otherwise. */
RH_API bool rh_dec_described(rh_dec *d, rh_value *descriptor);

/* -- reading: any value ---------------------------------------------------------------------- */

/**
 * Passes over one value of any type.
 *
 * A described value is a debt of two values counted in a loop, so a megabyte of 00 costs a
 * counter. A compound is passed over in one step by its own size, whatever it holds, after its header
 * was held to its shape:
 *   - the constructor is one of AMQP 1.0 and its length or size stays inside d;
 *   - the size has room for the count (and an array's element constructor) and for one byte for
 *     each element, and it leaves nothing over when the count is zero; a map's count is even;
 *   - an array of fixed-width elements has exactly their bytes, one of zero-width elements
 *     no more than RH_ZERO_WIDTH_MAX of them; other elements have room for their own length.
 * Not looked at: what is inside a list, map or array of variable elements, an array's element constructor
 * behind a descriptor, the UTF-8 of strings, the ASCII of symbols, the range of chars and of the byte
 * behind constructor 56. That is checked by whoever opens or reads it (a child cursor cannot leave
 * its parent), or for everything at once by rh_value_check(). Knowing that every inner compound ends
 * exactly where it says takes a stack as deep as the nesting, which a stranger must not choose.
 */
RH_API void rh_dec_skip(rh_dec *d);

/** Skips one value and answers its whole encoding, constructor included; absent after a failure. */
RH_API rh_slice rh_dec_raw(rh_dec *d);

/**
 * Reads one value of any type as a view: scalars decoded and checked, compounds and described
 * values as their encoding, checked as rh_dec_skip() does. False after a failure; *out is then RH_INVALID.
 */
RH_API bool rh_dec_value(rh_dec *d, rh_value *out);

/** Opens a list or map value as rh_dec_list() and rh_dec_map() do; items has no parent. Other types fail items. */
RH_API uint32_t rh_value_items(const rh_value *value, rh_dec *items);

/** Opens an array value as rh_dec_array() does; out->items has no parent. Other types fail it. */
RH_API uint32_t rh_value_array(const rh_value *value, rh_array *out);

/** The size of the first encoded value in bytes, judged as rh_dec_skip() does; 0 when malformed or cut short. */
RH_API size_t rh_value_size(rh_slice bytes);

/**
 * RH_OK if the bytes are exactly one value in which everything is right, inside too: each compound down to
 * RH_NESTING_MAX levels ends exactly where its elements do, each scalar is valid. Compounds below that
 * depth, and descriptors of array elements, are judged as rh_dec_skip() does. Otherwise RH_E_DECODE; a map of
 * more than RH_MAP_ENTRIES_MAX entries is refused too. Whether the keys of a map differ is not looked at.
 */
RH_API RH_NODISCARD rh_status rh_value_check(rh_slice encoded);

/**
 * Writes one encoded value as text for people, cut to n bytes with the closing zero, and answers the
 * length it wanted, like snprintf (out may be NULL when n is 0). Malformed bytes print as far as they
 * make sense and end with "<malformed at byte N>". Compounds deeper than RH_NESTING_MAX print as "...".
 *
 *   null  true  42  21.5  'x'  U+20ac  1700000000000ms  "text"  :symbol  b"\x00bytes"
 *   00112233-4455-6677-8899-aabbccddeeff  decimal32(0x22500000)  [list, of, values]  {key=value}
 *   symbol[:PLAIN, :EXTERNAL]  null[null x 7]  @0x24 [described, list]  list@0x24[[array], [of such]]
 *
 * Floating numbers are decimal where a short decimal reads back as the same number, else 0x1.8p+70.
 */
RH_API size_t rh_value_print(rh_slice encoded, char *out, size_t n);

#ifdef __cplusplus
}
#endif

#endif
