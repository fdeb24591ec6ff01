#include "fuzz/kit/make.h"

#include "proto/table.h"

#define PICK(chance, of) ((of)[kit_below(chance, sizeof(of) / sizeof *(of))])

/* What lies at an edge, and what handles, windows, counts and ids of short sessions are. */
static uint64_t number(kit_chance *chance)
{
    static const uint64_t edges[] = { 0, 1, 2, 3, 4, 8, 20, 127, 128, 255, 256, 512, 32767, 32768, 65535, 65536, 0x7ffffffe, 0x7fffffff, 0x80000000,
                                      0xfffffffc, 0xfffffffd, 0xfffffffe, 0xffffffff, 0x100000000, INT64_MAX, UINT64_C(1) << 63, UINT64_MAX };
    if (kit_one_in(chance, 8)) return (uint64_t)kit_random(chance) << 32 | kit_random(chance);
    return kit_one_in(chance, 3) ? PICK(chance, edges) : kit_below(chance, 9);
}

static rh_slice text(kit_chance *chance, uint8_t *room)
{
    static const char *const words[] = { "a", "b", "c", "d", "e", "", "ANONYMOUS", "PLAIN", "MSSBCBS", "EXTERNAL", "$cbs", "$management", "amqp:not-found",
                                         "amqp:link:stolen", "apache.org:selector-filter:string", "x-opt-partition-key", "x-opt-offset", "x-opt-sequence-number",
                                         "\xc3\xa9", "\xf0\x9f\x90\x90", "hub/ConsumerGroups/$Default/Partitions/0", "container" };
    static const uint16_t    sizes[] = { 31, 32, 33, 127, 254, 255, 256, 300 };
    if (!kit_one_in(chance, 6)) return rh_str(PICK(chance, words));
    size_t n = PICK(chance, sizes);
    memset(room, kit_one_in(chance, 4) ? (int)kit_below(chance, 256) : 'x', n);
    return rh_slice_of(room, n);
}

/* A size of four bytes where one would do, or one of one byte. */
static void variable(rh_enc *e, kit_chance *chance, uint8_t narrow, rh_slice bytes)
{
    bool wide = bytes.n > 255 || kit_one_in(chance, 5);
    rh_enc_u8(e, wide ? (uint8_t)(narrow | 0x10) : narrow);
    rh_enc_element_variable(e, wide ? (uint8_t)(narrow | 0x10) : narrow, bytes);
}

static void scalar(rh_enc *e, kit_chance *chance)
{
    uint8_t  room[300];
    uint64_t v = number(chance);
    memset(room, (int)(v & 0xff), 16);
    switch (kit_below(chance, 24)) {
    case 0:  rh_enc_null(e); return;
    case 1:  rh_enc_bool(e, v & 1); return;
    case 2:  rh_enc_u8(e, 0x56), rh_enc_u8(e, (uint8_t)kit_below(chance, 3)); return;
    case 3:  rh_enc_ubyte(e, (uint8_t)v); return;
    case 4:  rh_enc_ushort(e, (uint16_t)v); return;
    case 5:  rh_enc_uint(e, (uint32_t)v); return;
    case 6:  rh_enc_u8(e, 0x70), rh_enc_element32(e, (uint32_t)v); return;
    case 7:  rh_enc_ulong(e, v); return;
    case 8:  rh_enc_u8(e, 0x80), rh_enc_element64(e, v); return;
    case 9:  rh_enc_byte(e, (int8_t)v); return;
    case 10: rh_enc_short(e, (int16_t)v); return;
    case 11: rh_enc_int(e, (int32_t)v); return;
    case 12: rh_enc_u8(e, 0x71), rh_enc_element32(e, (uint32_t)v); return;
    case 13: rh_enc_long(e, (int64_t)v); return;
    case 14: rh_enc_u8(e, 0x81), rh_enc_element64(e, v); return;
    case 15: rh_enc_u8(e, 0x72), rh_enc_element32(e, (uint32_t)v); return;
    case 16: rh_enc_u8(e, 0x82), rh_enc_element64(e, v); return;
    case 17: rh_enc_u8(e, 0x73), rh_enc_element32(e, (uint32_t)v); return;
    case 18: rh_enc_timestamp(e, (int64_t)v); return;
    case 19: rh_enc_uuid(e, room); return;
    case 20: rh_enc_decimal128(e, room); return;
    case 21: variable(e, chance, 0xa0, text(chance, room)); return;
    case 22: variable(e, chance, 0xa1, text(chance, room)); return;
    default: variable(e, chance, 0xa3, text(chance, room)); return;
    }
}

static void array(rh_enc *e, kit_chance *chance)
{
    static const uint8_t codes[] = { 0x40, 0x41, 0x43, 0x44, 0x45, 0x50, 0x53, 0x60, 0x70, 0x80, 0x98 };
    uint8_t              code = PICK(chance, codes), width = (uint8_t)(code < 0x50 ? 0 : 1u << ((code >> 4) - 5));
    uint32_t             count = kit_below(chance, kit_one_in(chance, 4) && width == 0 ? 300 : 5);
    rh_enc_mark          mark  = rh_enc_array_begin(e, code);
    for (uint32_t i = 0; i < count * width; i++) rh_enc_u8(e, (uint8_t)kit_random(chance));
    rh_enc_array_end(e, mark, count);
}

static void compound(rh_enc *e, kit_chance *chance, bool map, unsigned depth)
{
    uint32_t    count = kit_below(chance, 5) * (map ? 2 : 1);
    bool        wide  = kit_one_in(chance, 3);
    rh_enc_mark mark  = map ? wide ? rh_enc_map_begin(e) : rh_enc_map8_begin(e) : wide ? rh_enc_list_begin(e) : rh_enc_list8_begin(e);
    for (uint32_t i = 0; i < count; i++) {
        uint8_t room[300];
        if (map && i % 2 == 0) variable(e, chance, 0xa3, text(chance, room));
        else kit_make_value(e, chance, depth - 1);
    }
    if (map) wide ? rh_enc_map_end(e, mark, count) : rh_enc_map8_end(e, mark, count);
    else wide ? rh_enc_list_end(e, mark, count) : rh_enc_list8_end(e, mark, count);
}

void kit_make_value(rh_enc *e, kit_chance *chance, unsigned depth)
{
    if (e->status != RH_OK) return; /* the room is what bounds all of this */
    uint32_t which = kit_below(chance, depth ? 10 : 7);
    if (which < 6) scalar(e, chance);
    else if (which == 6) array(e, chance);
    else if (which == 7) compound(e, chance, false, depth);
    else if (which == 8) compound(e, chance, true, depth);
    else if (kit_one_in(chance, 3)) kit_make_list(e, chance, (rh_composite_id)kit_below(chance, RH_AMQP_UNKNOWN));
    else rh_enc_u8(e, 0), scalar(e, chance), kit_make_value(e, chance, depth - 1);
}

/* Field `place` of a list whose kind says anything: what stands there in real sessions. */
static void any_field(rh_enc *e, kit_chance *chance, uint32_t place)
{
    static const rh_composite_id outcomes[] = { RH_AMQP_ACCEPTED, RH_AMQP_REJECTED, RH_AMQP_RELEASED, RH_AMQP_MODIFIED, RH_AMQP_RECEIVED };
    if (kit_one_in(chance, 4)) scalar(e, chance);
    else if (kit_one_in(chance, 2)) kit_make_list(e, chance, PICK(chance, outcomes));
    else kit_make_list(e, chance, place & 1 ? RH_AMQP_SOURCE : RH_AMQP_TARGET);
}

static void field(rh_enc *e, kit_chance *chance, rh_kind kind, uint32_t place)
{
    uint8_t room[300];
    switch (kind) {
    case RH_KIND_bool:      rh_enc_bool(e, kit_random(chance) & 1); return;
    case RH_KIND_ubyte:     rh_enc_ubyte(e, (uint8_t)kit_below(chance, 4)); return;
    case RH_KIND_ushort:    rh_enc_ushort(e, (uint16_t)kit_below(chance, 4)); return;
    case RH_KIND_uint:      rh_enc_uint(e, (uint32_t)number(chance)); return;
    case RH_KIND_ulong:     rh_enc_ulong(e, number(chance)); return;
    case RH_KIND_timestamp: rh_enc_timestamp(e, (int64_t)number(chance)); return;
    case RH_KIND_string:    variable(e, chance, 0xa1, text(chance, room)); return;
    case RH_KIND_symbol:    variable(e, chance, 0xa3, text(chance, room)); return;
    case RH_KIND_binary:    variable(e, chance, 0xa0, text(chance, room)); return;
    case RH_KIND_map:       compound(e, chance, true, 1); return;
    case RH_KIND_symbols:   variable(e, chance, 0xa3, text(chance, room)); return;
    case RH_KIND_error:     kit_make_list(e, chance, RH_AMQP_ERROR); return;
    case RH_KIND_any:       any_field(e, chance, place); return;
    }
}

void kit_make_list(rh_enc *e, kit_chance *chance, rh_composite_id id)
{
    if (e->status != RH_OK) return;
    const rh_table *table = &rh_tables[id];
    uint32_t        count = kit_one_in(chance, 3) ? kit_below(chance, table->count + 2) : table->count;
    bool            wide  = kit_one_in(chance, 6);
    rh_enc_u8(e, 0);
    if (kit_one_in(chance, 12)) rh_enc_symbol(e, rh_str(table->symbol));
    else rh_enc_ulong(e, table->code);
    if (count == 0 && kit_one_in(chance, 2)) {
        rh_enc_u8(e, 0x45);
        return;
    }
    rh_enc_mark mark = wide ? rh_enc_list_begin(e) : rh_enc_list8_begin(e);
    for (uint32_t i = 0; i < count; i++) {
        bool known = i < table->count;
        if (!known || kit_one_in(chance, 24)) scalar(e, chance);
        else if (!table->rows[i].mandatory && kit_one_in(chance, 3)) rh_enc_null(e);
        else field(e, chance, (rh_kind)table->rows[i].kind, i);
    }
    if (wide) rh_enc_list_end(e, mark, count);
    else rh_enc_list8_end(e, mark, count);
}

void kit_make_section(rh_enc *e, kit_chance *chance)
{
    static const uint8_t codes[] = { 0x71, 0x72, 0x74, 0x75, 0x76, 0x77, 0x78 };
    uint8_t              room[300], code = PICK(chance, codes);
    if (kit_one_in(chance, 4)) {
        kit_make_list(e, chance, kit_one_in(chance, 2) ? RH_AMQP_HEADER : RH_AMQP_PROPERTIES);
        return;
    }
    rh_enc_descriptor(e, code);
    if (code == 0x75) variable(e, chance, 0xa0, text(chance, room));
    else if (code == 0x76) compound(e, chance, false, 2);
    else if (code == 0x77) kit_make_value(e, chance, 2);
    else compound(e, chance, true, 1);
}
