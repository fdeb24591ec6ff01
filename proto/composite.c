#include "proto/compound.h"
#include "proto/table.h"

/* -- the table ------------------------------------------------------------------------------- */

/* Only numbers have a default that fits a row. The one default that is text, expiry-policy, stays absent. */
#define NONE 0
#define FALLBACK_bool(value)      (value)
#define FALLBACK_ubyte(value)     (value)
#define FALLBACK_ushort(value)    (value)
#define FALLBACK_uint(value)      (value)
#define FALLBACK_ulong(value)     (value)
#define FALLBACK_timestamp(value) (value)
#define FALLBACK_string(value)    0
#define FALLBACK_symbol(value)    0
#define FALLBACK_binary(value)    0
#define FALLBACK_map(value)       0
#define FALLBACK_symbols(value)   0
#define FALLBACK_error(value)     0
#define FALLBACK_any(value)       0
#define IS_MANDATORY true
#define IS_OPTIONAL  false

#define RH_COMPOSITE(name, NAME, code, words) static const rh_row name##_rows[] = {
#define RH_FIELD(list, LIST, name, NAME, words, type, need, fallback)                              \
    { words, FALLBACK_##type(fallback), offsetof(rh_amqp_##list, name), RH_KIND_##type, IS_##need },
#define RH_COMPOSITE_END(name, NAME) { NULL, 0, 0, 0, false } }; /* C has no empty arrays */
#include "proto/performatives.def"

const rh_table rh_tables[] = {
#define RH_COMPOSITE(name, NAME, code, words)                                                       \
    { words, "amqp:" words ":list", name##_rows, sizeof(rh_amqp_##name), RH_FIELDS_##NAME, code },
#include "proto/performatives.def"
};

/* By descriptor code, the id plus one: 0 is no list. */
static const uint8_t ids[] = {
#define RH_COMPOSITE(name, NAME, code, words) [code] = RH_AMQP_##NAME + 1,
#include "proto/performatives.def"
};

rh_composite_id rh_composite_of(uint64_t code)
{
    return code < sizeof ids && ids[code] ? (rh_composite_id)(ids[code] - 1) : RH_AMQP_UNKNOWN;
}

static rh_composite_id composite_of_symbol(rh_slice symbol)
{
    int id = 0;
    while (id < RH_AMQP_UNKNOWN && !rh_slice_is(symbol, rh_tables[id].symbol)) id++;
    return (rh_composite_id)id;
}

const char *rh_composite_name(rh_composite_id id)
{
    return (unsigned)id < RH_AMQP_UNKNOWN ? rh_tables[id].words : "unknown";
}

/* -- reading --------------------------------------------------------------------------------- */

/* Reads 00 and a descriptor of either form [1.5]. */
static rh_composite_id read_descriptor(rh_dec *d)
{
    if (RH_LIKELY(rh_dec_left(d) >= 3 && d->p[0] == 0x00 && d->p[1] == 0x53)) return rh_composite_of(rh_dec_descriptor(d));
    rh_value descriptor;
    if (!rh_dec_described(d, &descriptor)) return RH_AMQP_UNKNOWN;
    if (descriptor.type == RH_SYMBOL) return composite_of_symbol(descriptor.bytes);
    return descriptor.type == RH_ULONG ? rh_composite_of(descriptor.u) : RH_AMQP_UNKNOWN;
}

rh_composite_id rh_composite_peek(const rh_dec *d)
{
    rh_dec ahead = *d;
    ahead.parent = NULL; /* it may fail, d may not */
    return read_descriptor(&ahead);
}

#define TAKES(type) (UINT32_C(1) << (type))

/* The types of the wire that each kind is. */
static const uint32_t taken[] = {
    [RH_KIND_bool]      = TAKES(RH_BOOL),
    [RH_KIND_ubyte]     = TAKES(RH_UBYTE),
    [RH_KIND_ushort]    = TAKES(RH_USHORT),
    [RH_KIND_uint]      = TAKES(RH_UINT),
    [RH_KIND_ulong]     = TAKES(RH_ULONG),
    [RH_KIND_timestamp] = TAKES(RH_TIMESTAMP),
    [RH_KIND_string]    = TAKES(RH_STRING),
    [RH_KIND_symbol]    = TAKES(RH_SYMBOL),
    [RH_KIND_binary]    = TAKES(RH_BINARY),
    [RH_KIND_map]       = TAKES(RH_MAP),
    [RH_KIND_symbols]   = TAKES(RH_SYMBOL) | TAKES(RH_ARRAY),
    [RH_KIND_error]     = TAKES(RH_DESCRIBED),
    [RH_KIND_any]       = TAKES(RH_INVALID) - 1,
};

/* The value at d is not what the field wants: which is only half as bad if it is a value. */
static void refuse(rh_dec *d)
{
    rh_dec ahead = *d;
    ahead.parent = NULL;
    rh_dec_skip(&ahead);
    rh_dec_fail(d, ahead.status == RH_OK ? RH_E_INVALID_FIELD : RH_E_DECODE);
}

/* [1.4.2] multiple="true": one symbol, or an array of them; an empty array may have any element constructor. */
static bool next_is_symbols(const rh_dec *d)
{
    rh_dec   ahead = *d;
    rh_array symbols;
    rh_value symbol;
    ahead.parent = NULL;
    if (rh_dec_peek(&ahead) == RH_SYMBOL) return rh_dec_symbol(&ahead).p != NULL;
    if (rh_dec_array(&ahead, &symbols) == 0) return ahead.status == RH_OK;
    if (symbols.type != RH_SYMBOL || symbols.descriptor.p) return false;
    while (rh_array_next(&symbols, &symbol)) {}
    return symbols.items.status == RH_OK;
}

static void read_field(rh_dec *d, rh_kind kind, void *to)
{
    if (!(taken[kind] & TAKES(rh_dec_peek(d)))
        || (kind == RH_KIND_symbols && !next_is_symbols(d))
        || (kind == RH_KIND_error && rh_composite_peek(d) != RH_AMQP_ERROR)) {
        refuse(d);
        return;
    }
    switch (kind) {
    case RH_KIND_bool:      *(bool *)to = rh_dec_bool(d); return;
    case RH_KIND_ubyte:     *(uint8_t *)to = rh_dec_ubyte(d); return;
    case RH_KIND_ushort:    *(uint16_t *)to = rh_dec_ushort(d); return;
    case RH_KIND_uint:      *(uint32_t *)to = rh_dec_uint(d); return;
    case RH_KIND_ulong:     *(uint64_t *)to = rh_dec_ulong(d); return;
    case RH_KIND_timestamp: *(int64_t *)to = rh_dec_timestamp(d); return;
    case RH_KIND_string:    *(rh_slice *)to = rh_dec_string(d); return;
    case RH_KIND_symbol:    *(rh_slice *)to = rh_dec_symbol(d); return;
    case RH_KIND_binary:    *(rh_slice *)to = rh_dec_binary(d); return;
    case RH_KIND_map:
    case RH_KIND_symbols:
    case RH_KIND_error:
    case RH_KIND_any:       *(rh_slice *)to = rh_dec_raw(d); return;
    }
}

/* Only these three kinds have defaults other than zero, and a test looks after it. */
static void put_fallback(const rh_row *row, void *to)
{
    switch ((rh_kind)row->kind) {
    case RH_KIND_ubyte:  *(uint8_t *)to = (uint8_t)row->fallback; return;
    case RH_KIND_ushort: *(uint16_t *)to = (uint16_t)row->fallback; return;
    default:             *(uint32_t *)to = row->fallback; return;
    }
}

rh_status rh_table_read(rh_dec *d, rh_composite_id id, void *out)
{
    const rh_table *table = &rh_tables[id];
    uint32_t        has   = 0;
    rh_dec          items;
    memset(out, 0, table->size);

    uint32_t count = rh_dec_list(d, &items);
    if (count > table->count) rh_dec_fail(&items, RH_E_DECODE);
    for (uint32_t i = 0; i < table->count && items.status == RH_OK; i++) {
        const rh_row *row = &table->rows[i];
        void         *to  = (uint8_t *)out + row->offset;
        if (i < count && !rh_dec_null(&items)) {
            read_field(&items, (rh_kind)row->kind, to);
            has |= UINT32_C(1) << i;
        } else if (row->mandatory) {
            rh_dec_fail(&items, RH_E_INVALID_FIELD);
        } else if (row->fallback) {
            put_fallback(row, to);
        }
    }
    rh_dec_end(&items);

    if (d->status == RH_OK) memcpy(out, &has, sizeof has); /* the first member of each */
    else memset(out, 0, table->size);
    return d->status;
}

rh_status rh_table_decode(rh_dec *d, rh_composite_id id, void *out)
{
    const uint8_t *at = d->p;
    if (read_descriptor(d) != id && d->status == RH_OK) {
        d->p = at;
        rh_dec_fail(d, RH_E_DECODE);
    }
    return rh_table_read(d, id, out);
}

rh_status rh_composite_decode(rh_dec *d, rh_composite_id id, void *out)
{
    switch (id) {
    case RH_AMQP_TRANSFER:    return rh_hot_transfer_decode(d, out);
    case RH_AMQP_DISPOSITION: return rh_hot_disposition_decode(d, out);
    case RH_AMQP_FLOW:        return rh_hot_flow_decode(d, out);
    default:                  return rh_table_decode(d, id, out);
    }
}

rh_status rh_composite_view(rh_slice encoded, rh_composite_id id, void *out)
{
    rh_dec d = rh_dec_of(encoded);
    if (rh_composite_decode(&d, id, out) != RH_OK) return d.status;
    rh_dec_end(&d);
    if (d.status != RH_OK) memset(out, 0, rh_tables[id].size);
    return d.status;
}

/* -- writing --------------------------------------------------------------------------------- */

static void write_slice(rh_enc *e, rh_kind kind, rh_slice slice)
{
    switch (kind) {
    case RH_KIND_string: rh_enc_string(e, slice); return;
    case RH_KIND_symbol: rh_enc_symbol(e, slice); return;
    case RH_KIND_binary: rh_enc_binary(e, slice); return;
    default: break;
    }
    if (slice.n == 0) rh_enc_null(e);
    else rh_enc_raw(e, slice);
}

static void write_number(rh_enc *e, rh_kind kind, const void *from)
{
    switch (kind) {
    case RH_KIND_bool:      rh_enc_bool(e, *(const bool *)from); return;
    case RH_KIND_ubyte:     rh_enc_ubyte(e, *(const uint8_t *)from); return;
    case RH_KIND_ushort:    rh_enc_ushort(e, *(const uint16_t *)from); return;
    case RH_KIND_uint:      rh_enc_uint(e, *(const uint32_t *)from); return;
    case RH_KIND_ulong:     rh_enc_ulong(e, *(const uint64_t *)from); return;
    default:                rh_enc_timestamp(e, *(const int64_t *)from); return;
    }
}

static void write_field(rh_enc *e, const rh_row *row, const void *from, bool has)
{
    rh_kind kind = (rh_kind)row->kind;
    if (kind < RH_KIND_string) {
        if (has || row->mandatory) write_number(e, kind, from);
        else rh_enc_null(e);
        return;
    }
    rh_slice slice = *(const rh_slice *)from;
    if (row->mandatory && slice.p == NULL) rh_enc_fail(e, RH_E_ARGUMENT);
    write_slice(e, kind, slice);
}

bool rh_table_encode(rh_enc *e, rh_composite_id id, const void *in)
{
    const rh_table *table  = &rh_tables[id];
    rh_enc          before = *e;
    uint32_t        has;
    memcpy(&has, in, sizeof has);

    rh_enc_descriptor(e, table->code);
    if (table->count == 0) {
        rh_enc_list0(e);
    } else {
        size_t list = compound_begin(e, 0xc0);
        for (uint32_t i = 0; i < table->count; i++)
            write_field(e, &table->rows[i], (const uint8_t *)in + table->rows[i].offset, has >> i & 1);
        compound_end(e, list, table->count);
    }
    if (RH_LIKELY(e->status == RH_OK)) return true;

    rh_status status = e->status;
    *e               = before; /* not half a list */
    rh_enc_fail(e, status);
    return false;
}

bool rh_composite_encode(rh_enc *e, rh_composite_id id, const void *in)
{
    switch (id) {
    case RH_AMQP_TRANSFER:    return rh_hot_transfer_encode(e, in);
    case RH_AMQP_DISPOSITION: return rh_hot_disposition_encode(e, in);
    case RH_AMQP_FLOW:        return rh_hot_flow_encode(e, in);
    case RH_AMQP_PROPERTIES:  return rh_hot_properties_encode(e, in);
    default:                  return rh_table_encode(e, id, in);
    }
}
