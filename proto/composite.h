/**
 * ringhub/composite.h: the composite types of AMQP 1.0, one struct for each list of the specification.
 *
 * Nothing here allocates; what is decoded points into the bytes that it was decoded from.
 */
#ifndef RH_COMPOSITE_H
#define RH_COMPOSITE_H

#include "codec/codec.h"

#ifdef __cplusplus
extern "C" {
#endif

/**
 * proto/performatives.def draws the 28 lists, one line a field. It is spread here into structs
 * rh_amqp_open, rh_amqp_begin, rh_amqp_attach, rh_amqp_flow, rh_amqp_transfer, rh_amqp_disposition,
 * rh_amqp_detach, rh_amqp_end, rh_amqp_close, rh_amqp_error, rh_amqp_received, rh_amqp_accepted,
 * rh_amqp_rejected, rh_amqp_released, rh_amqp_modified, rh_amqp_source, rh_amqp_target,
 * rh_amqp_delete_on_close, rh_amqp_delete_on_no_links, rh_amqp_delete_on_no_messages,
 * rh_amqp_delete_on_no_links_or_messages, rh_amqp_sasl_mechanisms, rh_amqp_sasl_init,
 * rh_amqp_sasl_challenge, rh_amqp_sasl_response, rh_amqp_sasl_outcome, rh_amqp_header,
 * rh_amqp_properties.
 *
 * Members are the specification's names with '_' for '-' (next_outgoing_id, snd_settle_mode, ...). Text
 * and bytes are slices of their content. Everything else that is not a number is a slice of the whole
 * encoded value, constructor included, to be decoded when somebody asks: maps, symbols where there may be
 * several, errors, and what the specification leaves open (source, target, delivery states, addresses,
 * message ids).
 */
typedef bool     rh_field_bool;
typedef uint8_t  rh_field_ubyte;
typedef uint16_t rh_field_ushort;
typedef uint32_t rh_field_uint;
typedef uint64_t rh_field_ulong;
typedef int64_t  rh_field_timestamp; /* milliseconds since 1970 */
typedef rh_slice rh_field_string, rh_field_symbol, rh_field_binary;               /* content */
typedef rh_slice rh_field_map, rh_field_symbols, rh_field_error, rh_field_any;   /* encoded */

/**
 * `has` has one bit a field in the order of the specification, RH_HAS_<LIST>_<FIELD>, so that an absent
 * number differs from zero. Decoding sets the bits of what was there, slices included, and puts the
 * specification's defaults into absent numbers. Encoding writes the numbers whose bit is set and the
 * slices whose p is not NULL, so a slice needs no bit; the rest of the list is written as nulls, to its
 * last field, because some peers index fields without looking at the count.
 */
#define RH_COMPOSITE(name, NAME, code, words) typedef struct rh_amqp_##name { uint32_t has;
#define RH_FIELD(list, LIST, name, NAME, words, type, need, fallback) rh_field_##type name;
#define RH_COMPOSITE_END(name, NAME) } rh_amqp_##name;
#include "proto/performatives.def"

/** Which list; the order of the table. */
typedef enum rh_composite_id {
#define RH_COMPOSITE(name, NAME, code, words) RH_AMQP_##NAME,
#include "proto/performatives.def"
    RH_AMQP_UNKNOWN, /* none of them; also how many there are */
} rh_composite_id;

/** Descriptor codes of the lists, and of the sections that are not lists. */
enum {
#define RH_COMPOSITE(name, NAME, code, words) RH_CODE_##NAME = code,
#include "proto/performatives.def"
    RH_CODE_DELIVERY_ANNOTATIONS   = 0x71,
    RH_CODE_MESSAGE_ANNOTATIONS    = 0x72,
    RH_CODE_APPLICATION_PROPERTIES = 0x74,
    RH_CODE_DATA                   = 0x75,
    RH_CODE_AMQP_SEQUENCE          = 0x76,
    RH_CODE_AMQP_VALUE             = 0x77,
    RH_CODE_FOOTER                 = 0x78,
};

/** The place of each field in its list, RH_AT_<LIST>_<FIELD>, and how many there are, RH_FIELDS_<LIST>. */
#define RH_COMPOSITE(name, NAME, code, words) enum {
#define RH_FIELD(list, LIST, name, NAME, words, type, need, fallback) RH_AT_##LIST##_##NAME,
#define RH_COMPOSITE_END(name, NAME) RH_FIELDS_##NAME };
#include "proto/performatives.def"

enum {
#define RH_FIELD(list, LIST, name, NAME, words, type, need, fallback) RH_HAS_##LIST##_##NAME = 1 << RH_AT_##LIST##_##NAME,
#include "proto/performatives.def"
    RH_HAS_NOTHING = 0
};

/** The list with this descriptor code; RH_AMQP_UNKNOWN for others. */
RH_API rh_composite_id rh_composite_of(uint64_t code);

/** "transfer"; "unknown". */
RH_API const char *rh_composite_name(rh_composite_id id);

/**
 * Which list comes next at d, by its code or its symbol, without moving or failing d. It says nothing about
 * whether the list can be decoded.
 */
RH_API rh_composite_id rh_composite_peek(const rh_dec *d);

/**
 * Reads the described list id at d into *out, the struct of that name, all of which is written. d moves
 * behind it: the payload of a transfer is what d has left. Fewer fields than the specification's are
 * absent ones. Answers d's status:
 *   RH_E_DECODE         malformed, another list, or more fields than the list has
 *   RH_E_INVALID_FIELD  a mandatory field is absent, or a field is a sound value of a wrong type
 * and d->p is then at the list (absent) or at the value that is wrong.
 */
RH_API RH_NODISCARD rh_status rh_composite_decode(rh_dec *d, rh_composite_id id, void *out);

/** The same for bytes that hold exactly this list and nothing behind it. */
RH_API RH_NODISCARD rh_status rh_composite_view(rh_slice encoded, rh_composite_id id, void *out);

/** Writes the described list with all of its fields, in its shortest form. False and RH_E_SPACE if it does not fit. */
RH_API bool rh_composite_encode(rh_enc *e, rh_composite_id id, const void *in);

/**
 * For each list, with its own type:
 *   rh_status rh_amqp_NAME_decode(rh_dec *d, rh_amqp_NAME *out)
 *   rh_status rh_amqp_NAME_view(rh_slice encoded, rh_amqp_NAME *out)
 *   bool      rh_amqp_NAME_encode(rh_enc *e, const rh_amqp_NAME *in)
 */
#define RH_COMPOSITE(name, NAME, code, words)                                                      \
    RH_NODISCARD static inline rh_status rh_amqp_##name##_decode(rh_dec *d, rh_amqp_##name *out)    \
    {                                                                                               \
        return rh_composite_decode(d, RH_AMQP_##NAME, out);                                         \
    }                                                                                               \
    RH_NODISCARD static inline rh_status rh_amqp_##name##_view(rh_slice encoded, rh_amqp_##name *out) \
    {                                                                                               \
        return rh_composite_view(encoded, RH_AMQP_##NAME, out);                                     \
    }                                                                                               \
    static inline bool rh_amqp_##name##_encode(rh_enc *e, const rh_amqp_##name *in)                 \
    {                                                                                               \
        return rh_composite_encode(e, RH_AMQP_##NAME, in);                                          \
    }
#include "proto/performatives.def"

/**
 * Prints a performative for a trace, cut to n bytes with the closing zero, and answers the length it
 * wanted, like snprintf: `transfer(handle=0, delivery-id=3, delivery-tag=b"\x01") 1024 B`, the number
 * being the payload behind it. Absent fields are left out; responses of SASL print as their length.
 * Bytes that are no performative print as a value; an empty body is `heartbeat`.
 */
RH_API size_t rh_performative_print(rh_slice body, char *out, size_t n);

#ifdef __cplusplus
}
#endif

#endif
