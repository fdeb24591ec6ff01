/*
 * table.h: the rows of performatives.def as data, and the reader and writer that walk them. The lists of every
 * event are read and written by hand instead (hot.c), and must mean the same. Private to proto/.
 */
#ifndef RH_PROTO_TABLE_H
#define RH_PROTO_TABLE_H

#include "proto/proto.h"

/** What the type column of performatives.def can say. */
typedef enum rh_kind {
    RH_KIND_bool,
    RH_KIND_ubyte,
    RH_KIND_ushort,
    RH_KIND_uint,
    RH_KIND_ulong,
    RH_KIND_timestamp,
    RH_KIND_string,
    RH_KIND_symbol,
    RH_KIND_binary,
    RH_KIND_map,
    RH_KIND_symbols,
    RH_KIND_error,
    RH_KIND_any,
} rh_kind;

typedef struct rh_row {
    const char *words;
    uint32_t    fallback; /* of an absent number */
    uint16_t    offset;   /* in the struct */
    uint8_t     kind;
    bool        mandatory;
} rh_row;

typedef struct rh_table {
    const char   *words;
    const char   *symbol; /* the symbolic descriptor */
    const rh_row *rows;
    uint16_t      size;   /* of the struct */
    uint8_t       count;  /* of the rows */
    uint8_t       code;   /* the descriptor */
} rh_table;

extern const rh_table rh_tables[RH_AMQP_UNKNOWN];

/** Reads a list without its descriptor, as the sections of a message hold it. */
rh_status rh_table_read(rh_dec *d, rh_composite_id id, void *out);

rh_status rh_table_decode(rh_dec *d, rh_composite_id id, void *out);
bool      rh_table_encode(rh_enc *e, rh_composite_id id, const void *in);

rh_status rh_hot_transfer_decode(rh_dec *d, rh_amqp_transfer *out);
rh_status rh_hot_disposition_decode(rh_dec *d, rh_amqp_disposition *out);
rh_status rh_hot_flow_decode(rh_dec *d, rh_amqp_flow *out);
bool      rh_hot_transfer_encode(rh_enc *e, const rh_amqp_transfer *in);
bool      rh_hot_disposition_encode(rh_enc *e, const rh_amqp_disposition *in);
bool      rh_hot_flow_encode(rh_enc *e, const rh_amqp_flow *in);

/* The properties of a message: read without their descriptor, written with it. */
rh_status rh_hot_properties_read(rh_dec *d, rh_amqp_properties *out);
bool      rh_hot_properties_encode(rh_enc *e, const rh_amqp_properties *in);

#endif
