/**
 * ringhub/value.h: what an AMQP value is: types [1.6], limits, and bytes in network order.
 */
#ifndef RH_VALUE_H
#define RH_VALUE_H

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

#ifdef __cplusplus
}
#endif

#endif
