/**
 * ringhub/enc.h: writing AMQP values through a cursor into lent memory. What holds for all of the codec stands in codec.h.
 */
#ifndef RH_ENC_H
#define RH_ENC_H

#include "codec/value.h"

#ifdef __cplusplus
extern "C" {
#endif

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

#ifdef __cplusplus
}
#endif

#endif
