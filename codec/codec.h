/**
 * ringhub/codec.h: bytes <-> AMQP values.
 *
 * Nothing here allocates, locks, recurses, reads a clock or errno, prints, or keeps state between
 * calls. Every function may be called on any thread; a cursor belongs to one caller at a time.
 *
 * Both cursors are sticky. One that failed stays failed: a reader then answers zeros and absent
 * slices, a writer writes nothing. So a run of calls needs one look at `status` at its end.
 *
 * What a reader answers is borrowed: slices point into the bytes the cursor was made of and live as
 * long as those do. Lengths and counts come from a stranger: nothing is sized by them, bounds are
 * always "less is left than asked for" (a sum of pointers would wrap), and the time of every call is
 * at most linear in the bytes it passes over.
 *
 * Sections in brackets are those of OASIS AMQP 1.0, part 1 (types).
 */
#ifndef RH_CODEC_H
#define RH_CODEC_H

#include "codec/base.h"

#ifdef __cplusplus
extern "C" {
#endif

/* -- limits ---------------------------------------------------------------------------------- */

/* [1.6.24] An array of nulls (or of true, of uint 0, of empty lists) has no bytes for its elements, so
 * ten bytes could ask for four billion turns of a loop. Nobody has a use for a long one. */
#define RH_ZERO_WIDTH_MAX 256

/* Keys are looked up one by one, so the cost of a map is its entries times the keys a reader wants. The
 * service's own maps hold about a dozen entries, a very talkative application a few hundred. */
#define RH_MAP_ENTRIES_MAX 16384

/* How deep rh_value_check() and rh_value_print() look into lists, maps and arrays. Each level costs
 * them a few words of stack; real values are three or four deep. */
#define RH_NESTING_MAX 32

/* -- types ----------------------------------------------------------------------------------- */

/** The primitive types of [1.6], and the described type of [1.1.2]. */
typedef enum rh_type {
    RH_NULL,
    RH_BOOL,
    RH_UBYTE,
    RH_USHORT,
    RH_UINT,
    RH_ULONG,
    RH_BYTE,
    RH_SHORT,
    RH_INT,
    RH_LONG,
    RH_FLOAT,
    RH_DOUBLE,
    RH_DECIMAL32,
    RH_DECIMAL64,
    RH_DECIMAL128,
    RH_CHAR,
    RH_TIMESTAMP,
    RH_UUID,
    RH_BINARY,
    RH_STRING,
    RH_SYMBOL,
    RH_LIST,
    RH_MAP,
    RH_ARRAY,
    RH_DESCRIBED,
    RH_INVALID, /* no value: the end of the bytes, or a constructor that AMQP 1.0 does not have */
} rh_type;

/** The specification's word: "ulong", "symbol"; "described"; "invalid". */
RH_API const char *rh_type_name(rh_type type);

/**
 * One value as a view. Unsigned integers are in u, signed ones and timestamps (milliseconds since
 * 1970) in i. bytes is the content of binary, string, symbol, uuid (16 bytes) and the decimals (4, 8
 * and 16 bytes, IEEE 754 as on the wire), and the whole encoding, constructor included, of list, map,
 * array and described. To write a value with rh_enc_value() fill type and the one that goes with it.
 *
 * Elements of an array have no constructor of their own [1.2.4]. A list, map or array found there has
 * `bare` set: code is its constructor and bytes begins behind it. rh_value_items(), rh_value_array()
 * and rh_enc_value() know both kinds.
 */
typedef struct rh_value {
    rh_type type;
    uint8_t code;
    bool    bare;
    union {
        bool     boolean;
        uint64_t u;
        int64_t  i;
        float    f;
        double   d;
        uint32_t character;
    };
    rh_slice bytes;
} rh_value;

/** Any integer type or timestamp whose value fits; false for everything else, *out untouched. */
RH_API bool rh_value_to_int64(const rh_value *value, int64_t *out);
RH_API bool rh_value_to_uint64(const rh_value *value, uint64_t *out);

/* -- bytes in network order ------------------------------------------------------------------ */

/* Compilers see through shifts of single bytes mostly, but not always; so they are told. */
#if defined(__GNUC__) && __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#define RH_NETWORK16(v) __builtin_bswap16(v)
#define RH_NETWORK32(v) __builtin_bswap32(v)
#define RH_NETWORK64(v) __builtin_bswap64(v)
#elif defined(__GNUC__)
#define RH_NETWORK16(v) (v)
#define RH_NETWORK32(v) (v)
#define RH_NETWORK64(v) (v)
#else
#error "the byte order of this compiler's machine is not known"
#endif

static inline uint16_t rh_get16(const uint8_t *p)
{
    uint16_t v;
    memcpy(&v, p, sizeof v);
    return RH_NETWORK16(v);
}

static inline uint32_t rh_get32(const uint8_t *p)
{
    uint32_t v;
    memcpy(&v, p, sizeof v);
    return RH_NETWORK32(v);
}

static inline uint64_t rh_get64(const uint8_t *p)
{
    uint64_t v;
    memcpy(&v, p, sizeof v);
    return RH_NETWORK64(v);
}

static inline void rh_put16(uint8_t *p, uint16_t v)
{
    v = RH_NETWORK16(v);
    memcpy(p, &v, sizeof v);
}

static inline void rh_put32(uint8_t *p, uint32_t v)
{
    v = RH_NETWORK32(v);
    memcpy(p, &v, sizeof v);
}

static inline void rh_put64(uint8_t *p, uint64_t v)
{
    v = RH_NETWORK64(v);
    memcpy(p, &v, sizeof v);
}

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

/* -- writing: the cursor --------------------------------------------------------------------- */

/**
 * A place in a caller's buffer. The only way to fail is not to fit: status becomes RH_E_SPACE, nothing of
 * the value that did not fit is written, and nothing after it. To take back a run of writes keep
 * a copy of the cursor and assign it.
 */
typedef struct rh_enc {
    uint8_t  *p, *start, *end;
    rh_status status;
} rh_enc;

/** A cursor that writes into lent memory; NULL with n == 0 is allowed and fits nothing. */
static inline rh_enc rh_enc_of(void *p, size_t n)
{
    uint8_t *bytes = (uint8_t *)p;
    rh_enc   e     = { bytes, bytes, bytes ? bytes + n : NULL, RH_OK };
    return e;
}

static inline size_t   rh_enc_size(const rh_enc *e)    { return (size_t)(e->p - e->start); }
static inline size_t   rh_enc_left(const rh_enc *e)    { return (size_t)(e->end - e->p); }
static inline rh_slice rh_enc_written(const rh_enc *e) { return rh_slice_of(e->start, rh_enc_size(e)); }

/** Fails the writer where it stands; for callers whose own value cannot be written. The first failure is kept. */
static inline void rh_enc_fail(rh_enc *e, rh_status status)
{
    if (e->status == RH_OK) e->status = status;
    e->end = e->p; /* nothing fits from now on, so no writer needs to look at status */
}

/** n bytes to fill in by hand; NULL, and the writer failed, if they do not fit. */
static inline uint8_t *rh_enc_room(rh_enc *e, size_t n)
{
    if (RH_UNLIKELY(rh_enc_left(e) < n) || RH_UNLIKELY(e->p == NULL)) {
        rh_enc_fail(e, RH_E_SPACE);
        return NULL;
    }
    uint8_t *room = e->p;
    e->p += n;
    return room;
}

/* -- writing: scalars, in the shortest of their encodings ------------------------------------ */

static inline void rh_enc_u8(rh_enc *e, uint8_t byte)
{
    uint8_t *p = rh_enc_room(e, 1);
    if (p) *p = byte;
}

/** A constructor and a payload of one, two, four or eight bytes. */
static inline void rh_enc_code8(rh_enc *e, uint8_t code, uint8_t v)
{
    uint8_t *p = rh_enc_room(e, 2);
    if (!p) return;
    p[0] = code;
    p[1] = v;
}

static inline void rh_enc_code16(rh_enc *e, uint8_t code, uint16_t v)
{
    uint8_t *p = rh_enc_room(e, 3);
    if (!p) return;
    p[0] = code;
    rh_put16(p + 1, v);
}

static inline void rh_enc_code32(rh_enc *e, uint8_t code, uint32_t v)
{
    uint8_t *p = rh_enc_room(e, 5);
    if (!p) return;
    p[0] = code;
    rh_put32(p + 1, v);
}

static inline void rh_enc_code64(rh_enc *e, uint8_t code, uint64_t v)
{
    uint8_t *p = rh_enc_room(e, 9);
    if (!p) return;
    p[0] = code;
    rh_put64(p + 1, v);
}

static inline void rh_enc_null(rh_enc *e)               { rh_enc_u8(e, 0x40); }
static inline void rh_enc_bool(rh_enc *e, bool v)       { rh_enc_u8(e, v ? 0x41 : 0x42); }
static inline void rh_enc_ubyte(rh_enc *e, uint8_t v)   { rh_enc_code8(e, 0x50, v); }
static inline void rh_enc_byte(rh_enc *e, int8_t v)     { rh_enc_code8(e, 0x51, (uint8_t)v); }
static inline void rh_enc_ushort(rh_enc *e, uint16_t v) { rh_enc_code16(e, 0x60, v); }
static inline void rh_enc_short(rh_enc *e, int16_t v)   { rh_enc_code16(e, 0x61, (uint16_t)v); }
static inline void rh_enc_char(rh_enc *e, uint32_t v)   { rh_enc_code32(e, 0x73, v); }

static inline void rh_enc_timestamp(rh_enc *e, int64_t milliseconds)
{
    rh_enc_code64(e, 0x83, (uint64_t)milliseconds);
}

static inline void rh_enc_uint(rh_enc *e, uint32_t v)
{
    if (v == 0) rh_enc_u8(e, 0x43);
    else if (v <= 0xff) rh_enc_code8(e, 0x52, (uint8_t)v);
    else rh_enc_code32(e, 0x70, v);
}

static inline void rh_enc_ulong(rh_enc *e, uint64_t v)
{
    if (v == 0) rh_enc_u8(e, 0x44);
    else if (v <= 0xff) rh_enc_code8(e, 0x53, (uint8_t)v);
    else rh_enc_code64(e, 0x80, v);
}

static inline void rh_enc_int(rh_enc *e, int32_t v)
{
    if (v >= -128 && v <= 127) rh_enc_code8(e, 0x54, (uint8_t)v);
    else rh_enc_code32(e, 0x71, (uint32_t)v);
}

static inline void rh_enc_long(rh_enc *e, int64_t v)
{
    if (v >= -128 && v <= 127) rh_enc_code8(e, 0x55, (uint8_t)v);
    else rh_enc_code64(e, 0x81, (uint64_t)v);
}

RH_API void rh_enc_float(rh_enc *e, float v);
RH_API void rh_enc_double(rh_enc *e, double v);
RH_API void rh_enc_uuid(rh_enc *e, const uint8_t bytes[16]);
RH_API void rh_enc_decimal32(rh_enc *e, const uint8_t bytes[4]);
RH_API void rh_enc_decimal64(rh_enc *e, const uint8_t bytes[8]);
RH_API void rh_enc_decimal128(rh_enc *e, const uint8_t bytes[16]);

/* -- writing: bytes and text ----------------------------------------------------------------- */

/** Bytes that are encoded already; an absent or empty slice writes nothing. */
static inline void rh_enc_raw(rh_enc *e, rh_slice encoded)
{
    if (encoded.n == 0) return;
    uint8_t *p = rh_enc_room(e, encoded.n);
    if (p) memcpy(p, encoded.p, encoded.n);
}

/** short_code with a length of one byte, or short_code + 0x10 with one of four; an absent slice is null. */
static inline void rh_enc_variable(rh_enc *e, uint8_t short_code, rh_slice content)
{
    if (RH_UNLIKELY(content.p == NULL)) {
        rh_enc_null(e);
        return;
    }
    size_t left = rh_enc_left(e);
    if (RH_LIKELY(content.n <= 0xff)) {
        if (RH_LIKELY(left >= 2 + content.n)) {
            e->p[0] = short_code;
            e->p[1] = (uint8_t)content.n;
            memcpy(e->p + 2, content.p, content.n);
            e->p += 2 + content.n;
            return;
        }
    } else if (left >= 5 && left - 5 >= content.n && content.n <= UINT32_MAX) {
        e->p[0] = (uint8_t)(short_code + 0x10);
        rh_put32(e->p + 1, (uint32_t)content.n);
        memcpy(e->p + 5, content.p, content.n);
        e->p += 5 + content.n;
        return;
    }
    rh_enc_fail(e, RH_E_SPACE);
}

/** An absent slice writes null. What is in text is the caller's promise: ask rh_utf8_is() or rh_ascii_is(). */
static inline void rh_enc_binary(rh_enc *e, rh_slice content) { rh_enc_variable(e, 0xa0, content); }
static inline void rh_enc_string(rh_enc *e, rh_slice text)    { rh_enc_variable(e, 0xa1, text); }
static inline void rh_enc_symbol(rh_enc *e, rh_slice text)    { rh_enc_variable(e, 0xa3, text); }

/* -- writing: compounds ---------------------------------------------------------------------- */

/** Where a compound began. Marks nest like brackets: the last begun is the first ended. */
typedef struct rh_enc_mark {
    size_t at; /* of the constructor, counted from the writer's start */
} rh_enc_mark;

/**
 * A list or map with sizes of four bytes, patched in by _end. count is the number of elements written
 * between; for a map of keys and values together, so even.
 */
RH_API RH_NODISCARD rh_enc_mark rh_enc_list_begin(rh_enc *e);
RH_API void                     rh_enc_list_end(rh_enc *e, rh_enc_mark mark, uint32_t count);
RH_API RH_NODISCARD rh_enc_mark rh_enc_map_begin(rh_enc *e);
RH_API void                     rh_enc_map_end(rh_enc *e, rh_enc_mark mark, uint32_t count);

/** The same with sizes of one byte; _end fails with RH_E_SPACE when size or count is above 255. */
RH_API RH_NODISCARD rh_enc_mark rh_enc_list8_begin(rh_enc *e);
RH_API void                     rh_enc_list8_end(rh_enc *e, rh_enc_mark mark, uint32_t count);
RH_API RH_NODISCARD rh_enc_mark rh_enc_map8_begin(rh_enc *e);
RH_API void                     rh_enc_map8_end(rh_enc *e, rh_enc_mark mark, uint32_t count);

/** A list without elements, one byte. */
static inline void rh_enc_list0(rh_enc *e) { rh_enc_u8(e, 0x45); }

/**
 * An array of elements that share element_code, a constructor of [1.6]; between begin and end only the
 * payloads are written, with the calls below, or a list or map element's size, count and
 * elements with rh_enc_raw(). For described elements write 00 and the descriptor with rh_enc_raw()
 * first: rh_enc_array_begin() with element_code 0x00 leaves descriptor and constructor to the caller.
 */
RH_API RH_NODISCARD rh_enc_mark rh_enc_array_begin(rh_enc *e, uint8_t element_code);
RH_API void                     rh_enc_array_end(rh_enc *e, rh_enc_mark mark, uint32_t count);

RH_API void rh_enc_element8(rh_enc *e, uint8_t v);
RH_API void rh_enc_element16(rh_enc *e, uint16_t v);
RH_API void rh_enc_element32(rh_enc *e, uint32_t v);
RH_API void rh_enc_element64(rh_enc *e, uint64_t v);

/** Length and content; the length's width is element_code's (a0, a1, a3: one byte; b0, b1, b3: four). */
RH_API void rh_enc_element_variable(rh_enc *e, uint8_t element_code, rh_slice content);

/** An array of symbols in its shortest form; an absent slice among them is an empty symbol. */
RH_API void rh_enc_symbols(rh_enc *e, const rh_slice *symbols, uint32_t count);

/** 00 and a ulong descriptor; the described value is written next. */
static inline void rh_enc_descriptor(rh_enc *e, uint64_t code)
{
    uint8_t *p = rh_enc_room(e, code <= 0xff ? 3 : 10);
    if (!p) return;
    p[0] = 0x00;
    p[1] = code <= 0xff ? 0x53 : 0x80;
    if (code <= 0xff) p[2] = (uint8_t)code;
    else rh_put64(p + 2, code);
}

/**
 * Any value; compounds and described values are copied as they are. RH_INVALID, and bytes of a
 * wrong length for uuid and decimals, fail with RH_E_ARGUMENT.
 */
RH_API void rh_enc_value(rh_enc *e, const rh_value *value);

/* -- text ------------------------------------------------------------------------------------ */

/** Well-formed UTF-8 as Unicode defines it (no surrogates, nothing overlong); an empty slice is. */
RH_API bool rh_utf8_is(rh_slice text);

/** Bytes 0 to 127 only; an empty slice is. */
RH_API bool rh_ascii_is(rh_slice text);

#ifdef __cplusplus
}
#endif

#endif
