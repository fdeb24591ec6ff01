/* The 28 lists, read and written: whatever a peer leaves out, puts in or gets wrong. */
#include <criterion/criterion.h>
#include <stdlib.h>

#include "proto/proto.h"
#include "proto/table.h"

/* -- samples: one sound value of each kind --------------------------------------------------- */

struct sample { uint8_t n, bytes[24]; };

static const struct sample samples[] = {
    [RH_KIND_bool]      = { 1, { 0x41 } },
    [RH_KIND_ubyte]     = { 2, { 0x50, 7 } },
    [RH_KIND_ushort]    = { 3, { 0x60, 0x12, 0x34 } },
    [RH_KIND_uint]      = { 5, { 0x70, 0xfe, 0xdc, 0xba, 0x98 } },
    [RH_KIND_ulong]     = { 9, { 0x80, 1, 2, 3, 4, 5, 6, 7, 8 } },
    [RH_KIND_timestamp] = { 9, { 0x83, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xfe } },
    [RH_KIND_string]    = { 5, { 0xa1, 3, 'o', 0xc3, 0xa9 } },
    [RH_KIND_symbol]    = { 5, { 0xa3, 3, 'a', ':', 'b' } },
    [RH_KIND_binary]    = { 4, { 0xa0, 2, 0x00, 0xff } },
    [RH_KIND_map]       = { 8, { 0xc1, 6, 2, 0xa3, 1, 'k', 0x52, 9 } },
    [RH_KIND_symbols]   = { 8, { 0xe0, 6, 2, 0xa3, 1, 'x', 1, 'y' } },
    [RH_KIND_error]     = { 11, { 0x00, 0x53, 0x1d, 0xc0, 6, 3, 0xa3, 1, 'e', 0x40, 0x40 } },
    [RH_KIND_any]       = { 4, { 0x00, 0x53, 0x24, 0x45 } },
};

/* Values that are sound and of one type each. */
static const struct sample of_each_type[] = {
    { 2, { 0x56, 1 } }, { 2, { 0x50, 1 } }, { 3, { 0x60, 0, 1 } }, { 1, { 0x43 } }, { 1, { 0x44 } }, { 2, { 0x51, 1 } },
    { 3, { 0x61, 0, 1 } }, { 2, { 0x54, 1 } }, { 2, { 0x55, 1 } }, { 5, { 0x72 } }, { 9, { 0x82 } }, { 5, { 0x74 } },
    { 9, { 0x84 } }, { 17, { 0x94 } }, { 5, { 0x73, 0, 0, 0, 'x' } }, { 9, { 0x83 } }, { 17, { 0x98 } }, { 2, { 0xa0, 0 } },
    { 2, { 0xa1, 0 } }, { 2, { 0xa3, 0 } }, { 1, { 0x45 } }, { 3, { 0xc1, 1, 0 } }, { 4, { 0xe0, 2, 0, 0xa1 } },
    { 3, { 0x00, 0x44, 0x43 } },
};

static bool takes(rh_kind kind, rh_type type)
{
    switch (kind) {
    case RH_KIND_bool:      return type == RH_BOOL;
    case RH_KIND_ubyte:     return type == RH_UBYTE;
    case RH_KIND_ushort:    return type == RH_USHORT;
    case RH_KIND_uint:      return type == RH_UINT;
    case RH_KIND_ulong:     return type == RH_ULONG;
    case RH_KIND_timestamp: return type == RH_TIMESTAMP;
    case RH_KIND_string:    return type == RH_STRING;
    case RH_KIND_symbol:    return type == RH_SYMBOL;
    case RH_KIND_binary:    return type == RH_BINARY;
    case RH_KIND_map:       return type == RH_MAP;
    case RH_KIND_symbols:   return type == RH_SYMBOL || type == RH_ARRAY;
    case RH_KIND_error:     return false; /* only the error list, which is not among the values above */
    case RH_KIND_any:       return true;
    }
    return false;
}

/* -- lists made by hand ---------------------------------------------------------------------- */

union any_list {
    uint32_t has;
#define RH_COMPOSITE(name, NAME, code, words) rh_amqp_##name name;
#include "proto/performatives.def"
};

/* The first `count` fields of a list; those not in `mask` are null, field `odd` is `value` instead. */
struct recipe {
    rh_composite_id      id;
    uint32_t             count, mask;
    int                  odd;
    const struct sample *value;
    bool                 wide, symbolic;
};

static rh_slice cook(struct recipe recipe, uint8_t *out, size_t n)
{
    const rh_table *table = &rh_tables[recipe.id];
    rh_enc          e     = rh_enc_of(out, n);
    if (recipe.symbolic) {
        rh_enc_u8(&e, 0x00);
        rh_enc_symbol(&e, rh_str(table->symbol));
    } else {
        rh_enc_descriptor(&e, table->code);
    }
    rh_enc_mark list = recipe.wide ? rh_enc_list_begin(&e) : rh_enc_list8_begin(&e);
    for (uint32_t i = 0; i < recipe.count; i++) {
        const struct sample *s = recipe.value && (int)i == recipe.odd ? recipe.value
                               : i < table->count ? &samples[table->rows[i].kind] : &samples[RH_KIND_bool];
        if (recipe.mask >> i & 1) rh_enc_raw(&e, rh_slice_of(s->bytes, s->n));
        else rh_enc_null(&e);
    }
    if (recipe.wide) rh_enc_list_end(&e, list, recipe.count);
    else rh_enc_list8_end(&e, list, recipe.count);
    cr_assert_eq(e.status, RH_OK);
    return rh_enc_written(&e);
}

static uint32_t mandatory_of(const rh_table *table)
{
    uint32_t mask = 0;
    for (uint32_t i = 0; i < table->count; i++) mask |= (uint32_t)table->rows[i].mandatory << i;
    return mask;
}

static uint32_t all_of(const rh_table *table)
{
    return (UINT32_C(1) << table->count) - 1;
}

#define EACH_LIST(id, table)                                                                       \
    for (int id = 0; id < RH_AMQP_UNKNOWN; id++)                                                   \
        for (const rh_table *table = &rh_tables[id]; table; table = NULL)

/* -- reading --------------------------------------------------------------------------------- */

static rh_status decode(rh_slice bytes, int id, union any_list *out)
{
    memset(out, 0xa5, sizeof *out);
    rh_dec d = rh_dec_of(bytes);
    rh_status status = rh_composite_decode(&d, (rh_composite_id)id, out);
    cr_assert_eq(status, d.status);
    if (status == RH_OK) cr_expect_eq(d.p, bytes.p + bytes.n, "%s", rh_tables[id].words);
    return status;
}

/* What was read is written and read again, by both writers. */
static void expect_round_trip(int id, const union any_list *first)
{
    uint8_t        bytes[2][512];
    union any_list again;
    rh_enc         e = rh_enc_of(bytes[0], sizeof bytes[0]), by_table = rh_enc_of(bytes[1], sizeof bytes[1]);
    cr_expect(rh_composite_encode(&e, (rh_composite_id)id, first));
    cr_expect(rh_table_encode(&by_table, (rh_composite_id)id, first));
    cr_expect(rh_slice_equal(rh_enc_written(&e), rh_enc_written(&by_table)), "%s", rh_tables[id].words);

    cr_assert_eq(decode(rh_enc_written(&e), id, &again), RH_OK, "%s", rh_tables[id].words);
    cr_expect_eq(again.has, first->has, "%s", rh_tables[id].words);
    e = rh_enc_of(bytes[1], sizeof bytes[1]);
    cr_expect(rh_composite_encode(&e, (rh_composite_id)id, &again));
    cr_expect(rh_slice_equal(rh_enc_written(&e), rh_slice_of(bytes[0], rh_enc_size(&e))), "%s", rh_tables[id].words);
}

Test(composite, every_subset_of_fields_is_read_and_written_again)
{
    uint8_t        bytes[512];
    union any_list list;
    EACH_LIST(id, table) {
        uint32_t mandatory = mandatory_of(table);
        for (uint32_t mask = 0; mask <= all_of(table); mask++) {
            struct recipe recipe = { (rh_composite_id)id, table->count, mask, .wide = mask % 3 == 0, .symbolic = mask % 5 == 0 };
            rh_status     status = decode(cook(recipe, bytes, sizeof bytes), id, &list);
            bool          whole  = (mask & mandatory) == mandatory;
            cr_assert_eq(status, whole ? RH_OK : RH_E_INVALID_FIELD, "%s with fields %x", table->words, mask);
            cr_assert_eq(list.has, whole ? mask : 0);
            if (whole) expect_round_trip(id, &list);
        }
    }
}

Test(composite, fields_left_out_at_the_end_are_absent)
{
    uint8_t        bytes[512];
    union any_list list, with_nulls;
    EACH_LIST(id, table) {
        for (uint32_t count = 0; count <= table->count; count++) {
            uint32_t mask = (UINT32_C(1) << count) - 1, mandatory = mandatory_of(table);
            rh_status expected = (mask & mandatory) == mandatory ? RH_OK : RH_E_INVALID_FIELD;
            cr_expect_eq(decode(cook((struct recipe){ .id = (rh_composite_id)id, .count = count, .mask = mask }, bytes, sizeof bytes), id, &list), expected);
            rh_slice padded = cook((struct recipe){ .id = (rh_composite_id)id, .count = table->count, .mask = mask }, bytes, sizeof bytes);
            cr_expect_eq(decode(padded, id, &with_nulls), expected);
            cr_expect_eq(list.has, with_nulls.has, "%s with %u fields", table->words, count);
        }
    }
}

Test(composite, an_empty_list_is_a_list)
{
    union any_list list;
    EACH_LIST(id, table) {
        uint8_t   bytes[]  = { 0x00, 0x53, table->code, 0x45 };
        rh_status expected = mandatory_of(table) ? RH_E_INVALID_FIELD : RH_OK;
        cr_expect_eq(decode(rh_slice_of(bytes, sizeof bytes), id, &list), expected, "%s", table->words);
    }
}

Test(composite, a_field_too_many_is_malformed)
{
    uint8_t        bytes[512];
    union any_list list;
    EACH_LIST(id, table) {
        struct recipe recipe = { .id = (rh_composite_id)id, .count = table->count + 1u, .mask = all_of(table) };
        cr_expect_eq(decode(cook(recipe, bytes, sizeof bytes), id, &list), RH_E_DECODE, "%s and a null", table->words);
        recipe.mask = UINT32_MAX;
        cr_expect_eq(decode(cook(recipe, bytes, sizeof bytes), id, &list), RH_E_DECODE, "%s and true", table->words);
    }
}

Test(composite, bytes_behind_the_counted_fields_are_malformed)
{
    uint8_t        bytes[512];
    union any_list list;
    EACH_LIST(id, table) {
        if (table->count == 0) continue;
        rh_slice cooked = cook((struct recipe){ .id = (rh_composite_id)id, .count = table->count, .mask = all_of(table) }, bytes, sizeof bytes);
        bytes[5]--; /* the count */
        bool missed = table->count > 1 && table->rows[table->count - 1].mandatory;
        cr_expect_eq(decode(cooked, id, &list), missed ? RH_E_INVALID_FIELD : RH_E_DECODE, "%s", table->words);
    }
}

Test(composite, a_value_of_another_type_is_an_invalid_field)
{
    uint8_t        bytes[512];
    union any_list list;
    EACH_LIST(id, table)
        for (int i = 0; i < table->count; i++)
            for (size_t t = 0; t < sizeof of_each_type / sizeof *of_each_type; t++) {
                const struct sample *value = &of_each_type[t];
                rh_dec   probe  = rh_dec_of(rh_slice_of(value->bytes, value->n));
                bool     good   = takes((rh_kind)table->rows[i].kind, rh_dec_peek(&probe));
                rh_slice cooked = cook((struct recipe){ .id = (rh_composite_id)id, .count = table->count, .mask = all_of(table), .odd = i, .value = value }, bytes, sizeof bytes);
                cr_expect_eq(decode(cooked, id, &list), good ? RH_OK : RH_E_INVALID_FIELD, "%s.%s as %s", table->words,
                             table->rows[i].words, rh_type_name(rh_dec_peek(&probe)));
            }
}

Test(composite, a_broken_value_is_malformed_and_its_place_is_told)
{
    static const struct sample broken[] = {
        { 1, { 0x3f } },             /* no such constructor */
        { 2, { 0xa1, 200 } },        /* longer than the list */
        { 3, { 0xa1, 1, 0xff } },    /* not UTF-8 */
        { 3, { 0xa3, 1, 0x80 } },    /* not ASCII */
        { 5, { 0xe0, 3, 1, 0xa3, 9 } }, /* an element that leaves its array */
        { 2, { 0x56, 2 } },          /* neither true nor false */
    };
    uint8_t        bytes[512];
    union any_list list;
    EACH_LIST(id, table)
        for (int i = 0; i < table->count; i++)
            for (size_t b = 0; b < sizeof broken / sizeof *broken; b++) {
                struct recipe recipe = { .id = (rh_composite_id)id, .count = table->count, .mask = all_of(table), .odd = i, .value = &broken[b] };
                rh_slice      cooked = cook(recipe, bytes, sizeof bytes);
                size_t        at     = 6;
                for (int k = 0; k < i; k++) at += samples[table->rows[k].kind].n;
                rh_dec    d      = rh_dec_of(cooked);
                rh_status status = rh_composite_decode(&d, (rh_composite_id)id, &list);
                if (table->rows[i].kind == RH_KIND_any && b >= 2) continue; /* its inside is looked at by who asks */
                cr_expect(status == RH_E_DECODE || (b >= 2 && status == RH_E_INVALID_FIELD), "%s.%s, row %zu: %s", table->words,
                          table->rows[i].words, b, rh_status_name(status));
                cr_expect_eq(d.p - cooked.p, (ptrdiff_t)at, "%s.%s, row %zu", table->words, table->rows[i].words, b);
            }
}

Test(composite, every_cut_is_malformed)
{
    uint8_t        bytes[512];
    union any_list list;
    EACH_LIST(id, table) {
        rh_slice cooked = cook((struct recipe){ .id = (rh_composite_id)id, .count = table->count, .mask = all_of(table) }, bytes, sizeof bytes);
        for (size_t n = 0; n < cooked.n; n++) {
            uint8_t *copy = malloc(n ? n : 1); /* so that reading one byte too far is seen */
            memcpy(copy, bytes, n);
            cr_expect_eq(decode(rh_slice_of(copy, n), id, &list), RH_E_DECODE, "%s cut at %zu", table->words, n);
            free(copy);
        }
    }
}

Test(composite, another_list_is_malformed)
{
    uint8_t        bytes[512];
    union any_list list;
    EACH_LIST(id, table)
        for (int other = 0; other < RH_AMQP_UNKNOWN; other++) {
            rh_slice cooked = cook((struct recipe){ .id = (rh_composite_id)id, .count = table->count, .mask = all_of(table) }, bytes, sizeof bytes);
            rh_dec   d      = rh_dec_of(cooked);
            if (other == id) continue;
            cr_expect_eq(rh_composite_decode(&d, (rh_composite_id)other, &list), RH_E_DECODE);
            cr_expect_eq(d.p, cooked.p);
            cr_expect_eq(rh_composite_peek(&(rh_dec){ cooked.p, cooked.p + cooked.n, NULL, RH_OK }), (rh_composite_id)id);
        }
}

Test(composite, absent_numbers_have_the_defaults_of_the_specification)
{
    static const uint8_t open_bytes[]   = { 0x00, 0x53, 0x10, 0xc0, 4, 1, 0xa1, 1, 'c' };
    static const uint8_t attach_bytes[] = { 0x00, 0x53, 0x12, 0xc0, 6, 3, 0xa1, 1, 'l', 0x43, 0x42 };
    rh_amqp_open   open;
    rh_amqp_attach attach;
    rh_amqp_source source;

    cr_assert_eq(rh_amqp_open_view(rh_slice_of(open_bytes, sizeof open_bytes), &open), RH_OK);
    cr_expect_eq(open.max_frame_size, UINT32_MAX);
    cr_expect_eq(open.channel_max, 65535);
    cr_expect_eq(open.idle_time_out, 0);
    cr_expect_eq(open.has, RH_HAS_OPEN_CONTAINER_ID);
    cr_expect_null(open.hostname.p);

    cr_assert_eq(rh_amqp_attach_view(rh_slice_of(attach_bytes, sizeof attach_bytes), &attach), RH_OK);
    cr_expect_eq(attach.snd_settle_mode, RH_SND_MIXED);
    cr_expect_eq(attach.rcv_settle_mode, RH_RCV_FIRST);
    cr_expect_eq(attach.has, RH_HAS_ATTACH_NAME | RH_HAS_ATTACH_HANDLE | RH_HAS_ATTACH_ROLE);

    cr_assert_eq(rh_amqp_source_view(rh_slice_of("\x00\x53\x28\x45", 4), &source), RH_OK);
    cr_expect_eq(source.timeout, 0);
    cr_expect_null(source.expiry_policy.p);
}

Test(composite, only_three_kinds_have_defaults_other_than_zero)
{
    for (int id = 0; id < RH_AMQP_UNKNOWN; id++)
        for (uint8_t i = 0; i < rh_tables[id].count; i++) {
            const rh_row *row = &rh_tables[id].rows[i];
            if (row->fallback) cr_expect(row->kind == RH_KIND_ubyte || row->kind == RH_KIND_ushort || row->kind == RH_KIND_uint, "%s of %s", row->words, rh_tables[id].words);
        }
}

Test(composite, a_view_wants_one_list_and_nothing_behind_it)
{
    rh_amqp_accepted accepted;
    cr_expect_eq(rh_amqp_accepted_view(rh_slice_of("\x00\x53\x24\x45", 4), &accepted), RH_OK);
    cr_expect_eq(rh_amqp_accepted_view(rh_slice_of("\x00\x53\x24\x45\x40", 5), &accepted), RH_E_DECODE);
    cr_expect_eq(rh_amqp_accepted_view(rh_slice_of(NULL, 0), &accepted), RH_E_DECODE);
}

Test(composite, the_payload_of_a_transfer_is_what_is_left)
{
    static const uint8_t bytes[] = { 0x00, 0x53, 0x14, 0xc0, 4, 2, 0x52, 5, 0x43, 'p', 'a', 'y' };
    rh_amqp_transfer transfer;
    rh_dec           d = rh_dec_of(rh_slice_of(bytes, sizeof bytes));
    cr_assert_eq(rh_amqp_transfer_decode(&d, &transfer), RH_OK);
    cr_expect_eq(transfer.handle, 5);
    cr_expect_eq(transfer.has, RH_HAS_TRANSFER_HANDLE | RH_HAS_TRANSFER_DELIVERY_ID);
    cr_expect(rh_slice_is(rh_slice_of(d.p, rh_dec_left(&d)), "pay"));
}

/* -- the lists of every event, by hand and by table ------------------------------------------ */

static uint32_t seed;

static uint32_t dice(uint32_t sides)
{
    seed = seed * 1664525u + 1013904223u;
    return (seed >> 8) % sides;
}

static void expect_same_reading(rh_composite_id id, rh_slice bytes)
{
    union any_list by_hand, by_table;
    rh_dec         a = rh_dec_of(bytes), b = rh_dec_of(bytes);
    memset(&by_hand, 1, sizeof by_hand);
    memset(&by_table, 2, sizeof by_table);
    rh_status said = rh_composite_decode(&a, id, &by_hand), told = rh_table_decode(&b, id, &by_table);
    cr_assert_eq(said, told, "%s: %s, not %s", rh_tables[id].words, rh_status_name(said), rh_status_name(told));
    cr_assert_eq(a.p, b.p);
    cr_assert_eq(by_hand.has, by_table.has);

    uint8_t out[2][1024];
    if (said != RH_OK) return;
    rh_enc  e = rh_enc_of(out[0], sizeof out[0]), f = rh_enc_of(out[1], sizeof out[1]);
    cr_assert(rh_composite_encode(&e, id, &by_hand));
    cr_assert(rh_table_encode(&f, id, &by_table));
    cr_assert(rh_slice_equal(rh_enc_written(&e), rh_enc_written(&f)));
}

Test(composite, what_is_read_by_hand_is_what_the_table_reads)
{
    static const rh_composite_id hot[] = { RH_AMQP_TRANSFER, RH_AMQP_DISPOSITION, RH_AMQP_FLOW };
    static const struct sample   more[] = { { 2, { 0x52, 0xff } }, { 1, { 0x43 } }, { 1, { 0x42 } }, { 2, { 0x56, 0 } }, { 7, { 0xb0, 0, 0, 0, 2, 1, 2 } } };
    uint8_t bytes[512];
    for (seed = 1; seed < 200000; seed += 7) {
        uint32_t             start = seed;
        rh_composite_id      id    = hot[dice(3)];
        const struct sample *odd   = dice(2) ? &more[dice(5)] : &of_each_type[dice(24)];
        struct recipe recipe = { id, dice(13), dice(4096), (int)dice(12), dice(3) ? NULL : odd, .wide = dice(2), .symbolic = dice(9) == 0 };
        if (recipe.count >= 1) recipe.mask |= 0xf * dice(2);
        rh_slice cooked = cook(recipe, bytes, sizeof bytes);
        if (dice(2)) bytes[dice((uint32_t)cooked.n)] = (uint8_t)dice(256);
        if (dice(8) == 0) cooked.n = dice((uint32_t)cooked.n);
        expect_same_reading(id, cooked);
        seed = start;
    }
}

Test(composite, properties_read_by_hand_are_those_of_the_table)
{
    uint8_t bytes[512];
    for (seed = 1; seed < 200000; seed += 7) {
        uint32_t           start  = seed;
        struct recipe      recipe = { RH_AMQP_PROPERTIES, dice(15), dice(1 << 14), (int)dice(13), dice(2) ? NULL : &of_each_type[dice(24)], .wide = dice(2) };
        rh_slice           cooked = cook(recipe, bytes, sizeof bytes);
        rh_amqp_properties by_hand, by_table;
        if (dice(2)) bytes[3 + dice((uint32_t)cooked.n - 3)] = (uint8_t)dice(256);
        if (dice(8) == 0) cooked.n = 3 + dice((uint32_t)cooked.n - 3);
        memset(&by_hand, 0, sizeof by_hand);
        memset(&by_table, 0, sizeof by_table);
        rh_dec a = rh_dec_of(rh_slice_of(cooked.p + 3, cooked.n - 3)), b = a;
        cr_assert_eq(rh_hot_properties_read(&a, &by_hand), rh_table_read(&b, RH_AMQP_PROPERTIES, &by_table));
        cr_assert_eq(a.p, b.p);
        cr_assert_eq(memcmp(&by_hand, &by_table, sizeof by_hand), 0);
        seed = start;
    }
}

Test(composite, long_tags_and_states_are_written_by_the_table)
{
    static uint8_t long_bytes[400];
    uint8_t        out[2][600];
    for (size_t n = 0; n <= sizeof long_bytes - 5; n++) {
        rh_enc value = rh_enc_of(long_bytes, sizeof long_bytes);
        uint8_t zeros[400] = { 0 };
        rh_enc_binary(&value, rh_slice_of(zeros, n));
        rh_slice            state       = rh_enc_written(&value);
        rh_amqp_transfer    transfer    = { .delivery_tag = rh_slice_of(zeros, n % 40), .state = state };
        rh_amqp_disposition disposition = { .state = state };
        rh_enc e = rh_enc_of(out[0], sizeof out[0]), f = rh_enc_of(out[1], sizeof out[1]);
        cr_expect(rh_amqp_transfer_encode(&e, &transfer) && rh_amqp_disposition_encode(&e, &disposition) == (rh_enc_left(&e) > 0));
        rh_table_encode(&f, RH_AMQP_TRANSFER, &transfer);
        rh_table_encode(&f, RH_AMQP_DISPOSITION, &disposition);
        cr_expect(rh_slice_equal(rh_enc_written(&e), rh_enc_written(&f)), "state of %zu bytes", state.n);
    }
}

/* -- writing --------------------------------------------------------------------------------- */

Test(composite, a_list_that_does_not_fit_leaves_nothing)
{
    uint8_t        bytes[512], out[512];
    union any_list list;
    EACH_LIST(id, table) {
        cr_assert_eq(decode(cook((struct recipe){ .id = (rh_composite_id)id, .count = table->count, .mask = all_of(table) }, bytes, sizeof bytes), id, &list), RH_OK);
        rh_enc whole = rh_enc_of(out, sizeof out);
        cr_assert(rh_composite_encode(&whole, (rh_composite_id)id, &list));
        for (size_t n = 0; n < rh_enc_size(&whole); n++) {
            uint8_t *small = malloc(n ? n : 1);
            rh_enc   e     = rh_enc_of(small, n);
            cr_expect_not(rh_composite_encode(&e, (rh_composite_id)id, &list));
            cr_expect_eq(e.status, RH_E_SPACE);
            cr_expect_eq(rh_enc_size(&e), 0);
            free(small);
        }
        uint8_t *exact = malloc(rh_enc_size(&whole));
        rh_enc   e     = rh_enc_of(exact, rh_enc_size(&whole));
        cr_expect(rh_composite_encode(&e, (rh_composite_id)id, &list), "%s into exactly its bytes", table->words);
        free(exact);
    }
}

Test(composite, a_list_above_255_bytes_gets_wide_sizes)
{
    char text[300];
    memset(text, 'h', sizeof text);
    for (size_t n = 200; n < sizeof text; n++) {
        uint8_t      out[400];
        rh_amqp_open open = { .container_id = rh_slice_of(text, n) }, again;
        rh_enc       e    = rh_enc_of(out, sizeof out);
        cr_assert(rh_amqp_open_encode(&e, &open));
        size_t inside = n + (n <= 255 ? 2 : 5) + 9;
        cr_expect_eq(out[3], inside < 255 ? 0xc0 : 0xd0, "%zu", n);
        cr_expect_eq(rh_enc_size(&e), 3 + inside + (inside < 255 ? 3 : 9));
        cr_assert_eq(rh_amqp_open_view(rh_enc_written(&e), &again), RH_OK);
        cr_expect(rh_slice_equal(again.container_id, open.container_id));
    }
}

Test(composite, every_field_is_written_nulls_included)
{
    uint8_t       out[64];
    rh_amqp_close close = { 0 };
    rh_amqp_end   end   = { 0 };
    rh_enc        e     = rh_enc_of(out, sizeof out);
    rh_amqp_close_encode(&e, &close);
    rh_amqp_end_encode(&e, &end);
    rh_amqp_transfer_encode(&e, &(rh_amqp_transfer){ .has = RH_HAS_TRANSFER_DELIVERY_ID, .handle = 1, .delivery_id = 300 });
    static const uint8_t expected[] = {
        0x00, 0x53, 0x18, 0xc0, 2, 1, 0x40,
        0x00, 0x53, 0x17, 0xc0, 2, 1, 0x40,
        0x00, 0x53, 0x14, 0xc0, 17, 11, 0x52, 1, 0x70, 0, 0, 1, 44, 0x40, 0x40, 0x40, 0x40, 0x40, 0x40, 0x40, 0x40, 0x40,
    };
    cr_expect(rh_slice_equal(rh_enc_written(&e), rh_slice_of(expected, sizeof expected)));
}

Test(composite, a_mandatory_number_needs_no_bit_and_a_mandatory_slice_must_be_there)
{
    uint8_t          out[64];
    rh_amqp_received received = { .section_number = 3, .section_offset = 4 }, again;
    rh_enc           e = rh_enc_of(out, sizeof out);
    cr_expect(rh_amqp_received_encode(&e, &received));
    cr_assert_eq(rh_amqp_received_view(rh_enc_written(&e), &again), RH_OK);
    cr_expect_eq(again.section_number, 3);
    cr_expect_eq(again.section_offset, 4);

    e = rh_enc_of(out, sizeof out);
    cr_expect_not(rh_amqp_open_encode(&e, &(rh_amqp_open){ .hostname = rh_str("h") }));
    cr_expect_eq(e.status, RH_E_ARGUMENT);
    cr_expect_eq(rh_enc_size(&e), 0);
}

/* -- printing -------------------------------------------------------------------------------- */

#define EXPECT_PRINT(expected, ...)                                                                \
    do {                                                                                           \
        static const uint8_t bytes[] = { __VA_ARGS__ };                                            \
        char                 text[256];                                                            \
        size_t               n = rh_performative_print(rh_slice_of(bytes, sizeof bytes), text, sizeof text); \
        cr_expect_str_eq(text, expected);                                                          \
        cr_expect_eq(n, strlen(expected));                                                         \
    } while (0)

Test(composite, a_performative_prints_its_fields_by_name)
{
    EXPECT_PRINT("transfer(handle=5, delivery-id=0, delivery-tag=b\"\\x01\") 3 B",
                 0x00, 0x53, 0x14, 0xc0, 7, 3, 0x52, 5, 0x43, 0xa0, 1, 1, 'p', 'a', 'y');
    EXPECT_PRINT("disposition(role=true, first=1, settled=true, state=accepted [])",
                 0x00, 0x53, 0x15, 0xc0, 10, 5, 0x41, 0x52, 1, 0x40, 0x41, 0x00, 0x53, 0x24, 0x45);
    EXPECT_PRINT("close(error=error [:a:b, null, null])",
                 0x00, 0x53, 0x18, 0xc0, 14, 1, 0x00, 0x53, 0x1d, 0xc0, 8, 3, 0xa3, 3, 'a', ':', 'b', 0x40, 0x40);
    EXPECT_PRINT("delete-on-close()", 0x00, 0x53, 0x2b, 0x45);
    EXPECT_PRINT("end(<malformed at byte 6>)", 0x00, 0x53, 0x17, 0xc0, 2, 1, 0x3f);
    EXPECT_PRINT("42", 0x52, 42);
    char text[16];
    cr_expect_eq(rh_performative_print(rh_slice_of(NULL, 0), text, sizeof text), 9);
    cr_expect_str_eq(text, "heartbeat");
}

Test(composite, proofs_of_identity_print_as_their_length)
{
    EXPECT_PRINT("sasl-init(mechanism=:PLAIN, initial-response=<6 bytes>, hostname=\"h\")",
                 0x00, 0x53, 0x41, 0xc0, 19, 3, 0xa3, 5, 'P', 'L', 'A', 'I', 'N', 0xa0, 6, 0, 'u', 0, 'k', 'e', 'y', 0xa1, 1, 'h');
    EXPECT_PRINT("sasl-response(response=<3 bytes>)", 0x00, 0x53, 0x43, 0xc0, 6, 1, 0xa0, 3, 'k', 'e', 'y');
    EXPECT_PRINT("sasl-response(response=<5 bytes>)", 0x00, 0x53, 0x43, 0xc0, 6, 1, 0xa1, 3, 'k', 'e', 'y');
}

Test(composite, a_print_is_cut_where_the_room_ends)
{
    static const uint8_t bytes[] = { 0x00, 0x53, 0x15, 0xc0, 10, 5, 0x41, 0x52, 1, 0x40, 0x41, 0x00, 0x53, 0x24, 0x45 };
    char   whole[128];
    size_t wanted = rh_performative_print(rh_slice_of(bytes, sizeof bytes), whole, sizeof whole);
    cr_expect_eq(rh_performative_print(rh_slice_of(bytes, sizeof bytes), NULL, 0), wanted);
    for (size_t n = 1; n <= wanted; n++) {
        char *text = malloc(n);
        cr_expect_eq(rh_performative_print(rh_slice_of(bytes, sizeof bytes), text, n), wanted);
        cr_expect_eq(strlen(text), n - 1);
        cr_expect_eq(strncmp(text, whole, n - 1), 0);
        free(text);
    }
}
