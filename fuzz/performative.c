/*
 * The 28 lists of performatives.def, read and written. Whatever is read is written and read again as the same fields;
 * the straight-line code of proto/hot.c and the table mean the same; other forms of the same list (a symbolic
 * descriptor, wide sizes) read the same; what is cut short is not read, and what does not fit is not half written.
 *
 * An input that begins with 00 is a described list. Any other first byte says which list is made of the bytes behind it:
 * so the writers meet fields that no reader has seen before them.
 */
#include "fuzz/kit/mutator.h"
#include "fuzz/kit/target.h"
#include "fuzz/oracle.h"
#include "proto/proto.h"
#include "proto/table.h"

union any_list {
    uint32_t has;
#define RH_COMPOSITE(name, NAME, code, words) rh_amqp_##name name;
#include "proto/performatives.def"
};

static uint8_t by_hand[1 << 16], by_table[1 << 16], other_form[1 << 16];

static const void *field_of(const union any_list *list, const rh_row *row)
{
    return (const uint8_t *)list + row->offset;
}

static rh_slice slice_of(const union any_list *list, const rh_row *row)
{
    return *(const rh_slice *)field_of(list, row);
}

static size_t width_of(rh_kind kind)
{
    switch (kind) {
    case RH_KIND_bool:   return sizeof(bool);
    case RH_KIND_ubyte:  return 1;
    case RH_KIND_ushort: return 2;
    case RH_KIND_uint:   return 4;
    default:             return 8;
    }
}

/* Field by field: structs have gaps. */
static void require_same(rh_composite_id id, const union any_list *a, const union any_list *b)
{
    const rh_table *table = &rh_tables[id];
    REQUIRE(a->has == b->has);
    for (uint32_t i = 0; i < table->count; i++) {
        const rh_row *row = &table->rows[i];
        if (row->kind >= RH_KIND_string) REQUIRE(same_slice(slice_of(a, row), slice_of(b, row)));
        else REQUIRE(memcmp(field_of(a, row), field_of(b, row), width_of((rh_kind)row->kind)) == 0);
    }
}

/* -- writing ----------------------------------------------------------------------------------- */

/* Both writers, into one byte less than they need too. */
static rh_slice write_list(rh_composite_id id, const union any_list *list)
{
    rh_enc hand = rh_enc_of(by_hand, sizeof by_hand), table = rh_enc_of(by_table, sizeof by_table);
    REQUIRE(rh_composite_encode(&hand, id, list) && rh_table_encode(&table, id, list));
    REQUIRE(rh_slice_equal(rh_enc_written(&hand), rh_enc_written(&table)));
    rh_enc tight = rh_enc_of(by_table, rh_enc_size(&hand));
    REQUIRE(rh_composite_encode(&tight, id, list) && rh_enc_left(&tight) == 0);
    tight = rh_enc_of(by_table, rh_enc_size(&hand) - 1);
    REQUIRE(!rh_composite_encode(&tight, id, list) && tight.status == RH_E_SPACE && rh_enc_size(&tight) == 0);
    return rh_enc_written(&hand);
}

/* The same list with a symbol for its code and sizes of four bytes. */
static rh_slice rewrite(rh_composite_id id, rh_slice written)
{
    rh_dec   d = rh_dec_of(written), items;
    rh_enc   e = rh_enc_of(other_form, sizeof other_form);
    rh_value descriptor = { .type = RH_SYMBOL, .bytes = rh_str(rh_tables[id].symbol) };
    REQUIRE(rh_dec_descriptor(&d) == rh_tables[id].code);
    uint32_t count = rh_dec_list(&d, &items);
    REQUIRE(count == rh_tables[id].count);
    rh_enc_u8(&e, 0x00);
    rh_enc_value(&e, &descriptor);
    rh_enc_mark mark = rh_enc_list_begin(&e);
    rh_enc_raw(&e, rh_slice_of(items.p, rh_dec_left(&items)));
    rh_enc_list_end(&e, mark, count);
    REQUIRE(e.status == RH_OK);
    return rh_enc_written(&e);
}

/* -- reading ----------------------------------------------------------------------------------- */

static rh_status read_list(rh_slice bytes, rh_composite_id id, union any_list *out, size_t *used)
{
    union any_list table;
    rh_dec         d = rh_dec_of(bytes), t = rh_dec_of(bytes);
    memset(out, 1, sizeof *out); /* what a reader leaves as it was differs */
    memset(&table, 2, sizeof table);
    rh_status status = rh_composite_decode(&d, id, out);
    REQUIRE(rh_table_decode(&t, id, &table) == status && d.p == t.p);
    require_same(id, out, &table);
    REQUIRE(status == RH_OK || status == RH_E_DECODE || status == RH_E_INVALID_FIELD);
    REQUIRE(status == RH_OK || out->has == 0);
    REQUIRE(inside(rh_slice_of(d.p, 0), bytes));
    *used = (size_t)(d.p - bytes.p);
    return status;
}

/* The properties of a message are read without their descriptor, by hand and by table. */
static void read_properties(rh_slice bytes)
{
    union any_list hand, table;
    rh_dec         d = rh_dec_of(bytes), t;
    (void)rh_dec_descriptor(&d);
    if (d.status != RH_OK) return;
    t = d;
    memset(&hand, 1, sizeof hand);
    memset(&table, 2, sizeof table);
    REQUIRE(rh_hot_properties_read(&d, &hand.properties) == rh_table_read(&t, RH_AMQP_PROPERTIES, &table) && d.p == t.p);
    require_same(RH_AMQP_PROPERTIES, &hand, &table);
}

/* Each slice lies in the bytes, and is there exactly if its bit says so; mandatory fields are. */
static void check_fields(rh_composite_id id, const union any_list *list, rh_slice bytes)
{
    const rh_table *table = &rh_tables[id];
    for (uint32_t i = 0; i < table->count; i++) {
        const rh_row *row = &table->rows[i];
        bool          has = list->has >> i & 1;
        REQUIRE(has || !row->mandatory);
        if (row->kind < RH_KIND_string) continue;
        REQUIRE(inside(slice_of(list, row), bytes) && (slice_of(list, row).p != NULL) == has);
    }
    REQUIRE((uint64_t)list->has < UINT64_C(1) << table->count);
}

/* What was read, or made, goes out and comes back. */
static void round_trip(rh_composite_id id, const union any_list *list, size_t cut)
{
    union any_list again;
    size_t         used;
    rh_slice       written = write_list(id, list);
    REQUIRE(read_list(written, id, &again, &used) == RH_OK && used == written.n);
    require_same(id, list, &again);
    REQUIRE(rh_composite_view(rh_slice_of(written.p, cut % written.n), id, &again) != RH_OK);

    rh_slice other = rewrite(id, written);
    rh_dec   d     = rh_dec_of(other);
    REQUIRE(rh_composite_peek(&d) == id);
    REQUIRE(read_list(other, id, &again, &used) == RH_OK && used == other.n);
    require_same(id, list, &again);
}

static void read_input(rh_slice bytes)
{
    union any_list  list;
    size_t          used;
    rh_dec          d  = rh_dec_of(bytes);
    rh_composite_id id = rh_composite_peek(&d);
    read_properties(bytes);
    if (id == RH_AMQP_UNKNOWN) id = RH_AMQP_TRANSFER; /* and refused alike */
    if (read_list(bytes, id, &list, &used) != RH_OK) return;
    check_fields(id, &list, rh_slice_of(bytes.p, used));
    REQUIRE(rh_value_size(bytes) == used);
    round_trip(id, &list, bytes.p[bytes.n - 1]);
}

/* -- making ------------------------------------------------------------------------------------ */

/* Slices of these kinds are promised to be encoded values. */
static rh_slice encoded_value(rh_kind kind, uint8_t which)
{
    static const char error[] = "\0\x53\x1d\xc0\x06\x03\xa3\x01x\x40\x40";
    static uint8_t    large[300] = { 0xb0, 0, 0, 1, 0x27 };
    switch (kind) {
    case RH_KIND_map:     return which & 1 ? rh_slice_of("\xc1\x04\x02\xa3\0\x40", 6) : rh_slice_of("\xc1\x01\0", 3);
    case RH_KIND_symbols: return which & 1 ? rh_slice_of("\xa3\x02hi", 4) : rh_slice_of("\xe0\x04\x01\xa3\x01x", 6);
    case RH_KIND_error:   return rh_slice_of(error, sizeof error - 1);
    default:              return which & 1 ? rh_slice_of(large, sizeof large) : rh_slice_of("\0\x53\x24\x45", 4);
    }
}

static rh_slice made_slice(rh_dec *from, rh_kind kind, uint8_t which)
{
    static uint8_t text[4096];
    static size_t  used;
    size_t         n = which;
    if (kind >= RH_KIND_map) return encoded_value(kind, which);
    if (n > rh_dec_left(from)) n = rh_dec_left(from);
    if (used + n > sizeof text) used = 0; /* 13 fields of 255 bytes at most: none is overwritten */
    rh_slice made = { text + used, n };
    if (n) memcpy(text + used, rh_dec_take(from, n).p, n);
    if (kind != RH_KIND_binary)
        for (size_t i = 0; i < n; i++) text[used + i] &= 0x7f;
    used += n;
    return made;
}

static uint64_t made_number(rh_dec *from, rh_kind kind, uint8_t width)
{
    uint64_t number = 0;
    for (uint8_t i = 0; i < (width & 7) + 1 && rh_dec_left(from) > 0; i++) number = number << 8 | *rh_dec_take(from, 1).p;
    return kind == RH_KIND_bool ? number & 1 : number;
}

static void put_number(void *to, rh_kind kind, uint64_t number)
{
    switch (kind) {
    case RH_KIND_bool:   *(bool *)to = number != 0; return;
    case RH_KIND_ubyte:  *(uint8_t *)to = (uint8_t)number; return;
    case RH_KIND_ushort: *(uint16_t *)to = (uint16_t)number; return;
    case RH_KIND_uint:   *(uint32_t *)to = (uint32_t)number; return;
    default:             *(uint64_t *)to = number; return;
    }
}

/* For each field a byte: 0 leaves it out, others give a width or length. What is left out reads as its fallback. */
static void make_list(rh_composite_id id, rh_slice bytes, union any_list *out)
{
    const rh_table *table = &rh_tables[id];
    rh_dec          from  = rh_dec_of(bytes);
    memset(out, 0, sizeof *out);
    for (uint32_t i = 0; i < table->count; i++) {
        const rh_row *row   = &table->rows[i];
        rh_kind       kind  = (rh_kind)row->kind;
        uint8_t       which = rh_dec_left(&from) ? *rh_dec_take(&from, 1).p : 0;
        void         *to    = (uint8_t *)out + row->offset;
        if (which == 0 && !row->mandatory) {
            if (kind < RH_KIND_string) put_number(to, kind, row->fallback);
            continue;
        }
        out->has |= UINT32_C(1) << i;
        if (kind < RH_KIND_string) put_number(to, kind, made_number(&from, kind, which));
        else *(rh_slice *)to = made_slice(&from, kind, which);
    }
}

static void run(const uint8_t *data, size_t size)
{
    union any_list list;
    if (size < 2 || size > 16384) return;
    if (data[0] == 0) {
        read_input(rh_slice_of(data, size));
    } else {
        rh_composite_id id = (rh_composite_id)(data[0] % RH_AMQP_UNKNOWN);
        make_list(id, rh_slice_of(data + 1, size - 1), &list);
        round_trip(id, &list, data[size - 1]);
    }
}

TARGET(run, 5000, 300)
TARGET_HOLDS_VALUES(0)
