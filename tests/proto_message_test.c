#include <criterion/criterion.h>
#include <stdlib.h>

#include "proto/proto.h"

static rh_slice bytes_of(const char *text, size_t n) { return rh_slice_of(text, n); }
#define BYTES(text) bytes_of(text, sizeof(text) - 1)

/* -- sections -------------------------------------------------------------------------------- */

/* Each section in a form that is rare, and in the one that nearly all peers write. */
static const struct section { uint64_t code; rh_slice bytes, value; } forms[2][9] = { {
    { 0x70, { (const uint8_t *)"\x00\x53\x70\x45", 4 },                 { (const uint8_t *)"\x45", 1 } },
    { 0x71, { (const uint8_t *)"\x00\x53\x71\xc1\x01\x00", 6 },         { (const uint8_t *)"\xc1\x01\x00", 3 } },
    { 0x72, { (const uint8_t *)"\x00\x53\x72\xd1\x00\x00\x00\x04\x00\x00\x00\x00", 12 }, { (const uint8_t *)"\xd1\x00\x00\x00\x04\x00\x00\x00\x00", 9 } },
    { 0x73, { (const uint8_t *)"\x00\x53\x73\xc0\x02\x01\x40", 7 },     { (const uint8_t *)"\xc0\x02\x01\x40", 4 } },
    { 0x74, { (const uint8_t *)"\x00\x80\x00\x00\x00\x00\x00\x00\x00\x74\xc1\x05\x02\xa1\x01k\x43", 17 }, { (const uint8_t *)"\xc1\x05\x02\xa1\x01k\x43", 7 } },
    { 0x75, { (const uint8_t *)"\x00\x53\x75\xa0\x02hi", 7 },           { (const uint8_t *)"hi", 2 } },
    { 0x76, { (const uint8_t *)"\x00\x53\x76\xc0\x03\x02\x43\x41", 8 }, { (const uint8_t *)"\xc0\x03\x02\x43\x41", 5 } },
    { 0x77, { (const uint8_t *)"\x00\x53\x77\x52\x2a", 5 },             { (const uint8_t *)"\x52\x2a", 2 } },
    { 0x78, { (const uint8_t *)"\x00\xa3\x0f" "amqp:footer:map\xc1\x01\x00", 21 }, { (const uint8_t *)"\xc1\x01\x00", 3 } },
}, {
    { 0x70, { (const uint8_t *)"\x00\x53\x70\xc0\x02\x01\x41", 7 },         { (const uint8_t *)"\xc0\x02\x01\x41", 4 } },
    { 0x71, { (const uint8_t *)"\x00\x53\x71\xc1\x05\x02\xa3\x01k\x43", 10 }, { (const uint8_t *)"\xc1\x05\x02\xa3\x01k\x43", 7 } },
    { 0x72, { (const uint8_t *)"\x00\x53\x72\xc1\x01\x00", 6 },             { (const uint8_t *)"\xc1\x01\x00", 3 } },
    { 0x73, { (const uint8_t *)"\x00\x53\x73\xc0\x02\x01\x40", 7 },         { (const uint8_t *)"\xc0\x02\x01\x40", 4 } },
    { 0x74, { (const uint8_t *)"\x00\x53\x74\xc1\x05\x02\xa1\x01k\x43", 10 }, { (const uint8_t *)"\xc1\x05\x02\xa1\x01k\x43", 7 } },
    { 0x75, { (const uint8_t *)"\x00\x53\x75\xb0\x00\x00\x00\x02hi", 10 },  { (const uint8_t *)"hi", 2 } },
    { 0x76, { (const uint8_t *)"\x00\x53\x76\xc0\x03\x02\x43\x41", 8 },     { (const uint8_t *)"\xc0\x03\x02\x43\x41", 5 } },
    { 0x77, { (const uint8_t *)"\x00\x53\x77\xa1\x02hi", 7 },               { (const uint8_t *)"\xa1\x02hi", 4 } },
    { 0x78, { (const uint8_t *)"\x00\x53\x78\xc1\x01\x00", 6 },             { (const uint8_t *)"\xc1\x01\x00", 3 } },
} };

#define SECTIONS 9

static bool is_body(uint64_t code) { return code >= 0x75 && code <= 0x77; }

/* The order of [3.2]: header, the three kinds of annotations and properties, one kind of body, footer. */
static bool may_follow(uint64_t next, uint64_t last)
{
    if (is_body(next) && is_body(last)) return next == last && next != 0x77;
    return next > last;
}

static void three_sections(const struct section *a, const struct section *b, const struct section *c)
{
    uint8_t    bytes[128];
    rh_message message;
    rh_enc     e = rh_enc_of(bytes, sizeof bytes);
    rh_enc_raw(&e, a->bytes);
    rh_enc_raw(&e, b->bytes);
    rh_enc_raw(&e, c->bytes);
    bool good = may_follow(b->code, a->code) && may_follow(c->code, b->code);
    cr_expect_eq(rh_message_view(rh_enc_written(&e), &message), good ? RH_OK : RH_E_DECODE, "%llx %llx %llx",
                 (unsigned long long)a->code, (unsigned long long)b->code, (unsigned long long)c->code);
}

Test(message, sections_come_once_and_in_order)
{
    for (size_t form = 0; form < 8; form++)
        for (size_t a = 0; a < SECTIONS; a++)
            for (size_t b = 0; b < SECTIONS; b++)
                for (size_t c = 0; c < SECTIONS; c++)
                    three_sections(&forms[form & 1][a], &forms[form >> 1 & 1][b], &forms[form >> 2][c]);
}

static rh_slice section_of(const rh_message *message, uint64_t code)
{
    switch (code) {
    case 0x70: return message->header;
    case 0x71: return message->delivery_annotations;
    case 0x72: return message->message_annotations;
    case 0x73: return message->properties;
    case 0x74: return message->application_properties;
    case 0x78: return message->footer;
    default:   return message->body;
    }
}

static void set_of_sections(unsigned mask, const struct section *sections)
{
    uint8_t    bytes[128];
    rh_message message;
    unsigned   bodies = (unsigned)__builtin_popcount(mask >> 5 & 7);
    rh_enc     e      = rh_enc_of(bytes, sizeof bytes);
    for (unsigned i = 0; i < SECTIONS; i++)
        if (mask >> i & 1) rh_enc_raw(&e, sections[i].bytes);
    cr_assert_eq(rh_message_view(rh_enc_written(&e), &message), bodies > 1 ? RH_E_DECODE : RH_OK);
    if (bodies > 1) return;
    for (unsigned i = 0; i < SECTIONS; i++) {
        if (is_body(sections[i].code) && !(mask >> i & 1)) continue;
        rh_slice found = section_of(&message, sections[i].code);
        if (mask >> i & 1) cr_expect(found.p && rh_slice_equal(found, sections[i].value));
        else cr_expect_null(found.p);
    }
    cr_expect_eq(message.body_sections, bodies);
    cr_expect_eq(message.body_kind, mask >> 5 & 1 ? RH_BODY_DATA : mask >> 6 & 1 ? RH_BODY_SEQUENCE : mask >> 7 & 1 ? RH_BODY_VALUE : RH_BODY_NONE);
}

Test(message, every_set_of_sections_is_found)
{
    for (unsigned mask = 0; mask < 1u << SECTIONS; mask++)
        for (unsigned form = 0; form < 2; form++) set_of_sections(mask, forms[form]);
}

Test(message, bodies_of_several_sections_are_walked)
{
    static const char  bytes[] = "\x00\x53\x75\xa0\x01" "a" "\x00\x53\x75\xb0\x00\x00\x00\x02" "bc" "\x00\x53\x75\xa0\x00" "\x00\x53\x78\xc1\x01\x00";
    const char *const  parts[] = { "a", "bc", "" };
    rh_message         message;
    rh_slice           part;
    cr_assert_eq(rh_message_view(BYTES(bytes), &message), RH_OK);
    cr_expect_eq(message.body_sections, 3);
    cr_expect(rh_slice_is(message.body, "a"));
    cr_expect_eq(message.body_raw.p, (const uint8_t *)bytes);
    cr_expect_eq(message.body_raw.n, 6 + 10 + 5);
    rh_dec walk = rh_dec_of(message.body_raw);
    for (size_t i = 0; i < 3; i++) cr_expect(rh_message_body_next(&walk, &part) && rh_slice_is(part, parts[i]));
    cr_expect_not(rh_message_body_next(&walk, &part));
    cr_expect_eq(walk.status, RH_OK);
}

static const struct { const char *why; rh_slice bytes; } broken[] = {
#define ROW(why, text) { why, { (const uint8_t *)text, sizeof(text) - 1 } }
    ROW("no descriptor", "\x45"),
    ROW("nothing behind the descriptor", "\x00\x53\x70"),
    ROW("not a section", "\x00\x53\x79\xc1\x01\x00"),
    ROW("a performative", "\x00\x53\x14\xc0\x01\x00"),
    ROW("a symbol that names no section", "\x00\xa3\x0e" "amqp:open:list\x45"),
    ROW("a header that is a map", "\x00\x53\x70\xc1\x01\x00"),
    ROW("annotations that are a list", "\x00\x53\x72\xc0\x01\x00"),
    ROW("annotations that are an empty list", "\x00\x53\x72\x45"),
    ROW("data that is a string", "\x00\x53\x75\xa1\x00"),
    ROW("a sequence that is a map", "\x00\x53\x76\xc1\x01\x00"),
    ROW("a section that leaves the message", "\x00\x53\x73\xc0\x03\x01\x40"),
    ROW("data that leaves the message", "\x00\x53\x75\xb0\xff\xff\xff\xff" "x"),
    ROW("a wide section that leaves the message", "\x00\x53\x73\xd0\xff\xff\xff\xff" "x"),
    ROW("a value cut short", "\x00\x53\x77\x70\x00"),
};

Test(message, a_message_that_is_none_is_refused_whole)
{
    for (size_t i = 0; i < sizeof broken / sizeof *broken; i++) {
        rh_message message;
        cr_expect_eq(rh_message_view(broken[i].bytes, &message), RH_E_DECODE, "%s", broken[i].why);
        cr_expect_null(message.header.p);
        cr_expect_null(message.body.p);
    }
}

Test(message, sections_that_are_lists_decode_and_absent_ones_read_as_absent_fields)
{
    rh_message         message;
    rh_amqp_header     header;
    rh_amqp_properties properties;
    cr_assert_eq(rh_message_view(BYTES("\x00\x53\x70\xc0\x02\x01\x41\x00\x53\x73\xc0\x05\x01\xa1\x02id"), &message), RH_OK);
    cr_assert_eq(rh_message_header(&message, &header), RH_OK);
    cr_expect(header.has == RH_HAS_HEADER_DURABLE && header.durable);
    cr_assert_eq(rh_message_properties(&message, &properties), RH_OK);
    cr_expect(rh_slice_equal(properties.message_id, BYTES("\xa1\x02id")));

    cr_assert_eq(rh_message_view(BYTES("\x00\x53\x73\xc0\x02\x01\x3f"), &message), RH_OK, "inside is not looked at");
    cr_expect_eq(rh_message_properties(&message, &properties), RH_E_DECODE);
    cr_expect_eq(properties.has, 0);
    cr_assert_eq(rh_message_header(&message, &header), RH_OK);
    cr_expect_eq(header.has, 0);
}

/* -- maps ------------------------------------------------------------------------------------ */

Test(map, keys_are_found_whether_string_symbol_or_binary)
{
    static const char map[] = "\xc1\x16\x0a" "\xa1\x01" "a" "\x43" "\xa3\x01" "b" "\x52\x02" "\x53\x07\x41" "\xa0\x01" "c" "\x54\xff" "\xa1\x01" "b" "\x41";
    rh_value value;
    int64_t  number;
    cr_expect(rh_map_find(BYTES(map), "a", &value) && value.type == RH_UINT && value.u == 0);
    cr_expect(rh_map_find(BYTES(map), "b", &value) && value.type == RH_UINT && value.u == 2, "the first of two");
    cr_expect(rh_map_find(BYTES(map), "c", &value) && rh_value_to_int64(&value, &number) && number == -1);
    cr_expect_not(rh_map_find(BYTES(map), "", &value));
    cr_expect_not(rh_map_find(BYTES(map), "ab", &value));
    cr_expect_eq(value.type, RH_INVALID);

    rh_dec      items = rh_map_open(BYTES(map));
    rh_property property;
    char        keys[8] = { 0 };
    while (rh_map_next(&items, &property)) strncat(keys, (const char *)property.key.p, property.key.n);
    cr_expect_str_eq(keys, "abcb", "a key that is no text is passed over");
    cr_expect_eq(items.status, RH_OK);
}

Test(map, an_absent_map_is_empty_and_another_type_fails)
{
    rh_property property;
    rh_value    value;
    rh_dec      absent = rh_map_open(rh_slice_of(NULL, 0)), list = rh_map_open(BYTES("\x45")), cut = rh_map_open(BYTES("\xc1\x05\x02"));
    cr_expect_not(rh_map_next(&absent, &property));
    cr_expect_eq(absent.status, RH_OK);
    cr_expect_not(rh_map_next(&list, &property));
    cr_expect_eq(list.status, RH_E_DECODE);
    cr_expect_not(rh_map_next(&cut, &property));
    cr_expect_eq(cut.status, RH_E_DECODE);
    cr_expect_not(rh_map_find(BYTES("\xc1\x03\x02\xa1\x05"), "k", &value));
    cr_expect_not(rh_map_find(rh_slice_of(NULL, 0), "k", &value));
}

/* All at once and one by one. */
static void expect_the_same_pairs(rh_slice map)
{
    rh_property at_once[8], property;
    for (size_t room = 0; room <= 8; room++) {
        size_t    count, n = 0;
        rh_status status = rh_map_read(map, at_once, room, &count);
        rh_dec    items  = rh_map_open(map);
        while (n < room && rh_map_next(&items, &property)) {
            cr_assert_lt(n, count);
            cr_expect(rh_slice_equal(at_once[n].key, property.key) && at_once[n].value.type == property.value.type);
            cr_expect_eq(at_once[n].value.u, property.value.u);
            cr_expect(rh_slice_equal(at_once[n].value.bytes, property.value.bytes));
            n++;
        }
        cr_expect_eq(count, n);
        cr_expect_eq(status, n == room && rh_map_next(&items, &property) ? RH_E_SPACE : items.status, "room for %zu", room);
    }
}

Test(map, read_at_once_is_read_pair_by_pair)
{
    static const char usual[]   = "\xc1\x3a\x0a\xa1\x06" "device\xa1\x10thermostat-7f3a9\xa3\x01k\x81\0\0\0\x04\xe3\xb2\x92\0\xa1\x00\x41\xa1\x01t\x83\0\0\0\0\0\0\0\x07\xa1\x01x\x40",
                      beyond[]  = "\xc1\x0d\x04\xa1\x02\xc3\xbc\x42\xa3\x01k\xa1\x02\xc3\x9f",
                      numbers[] = "\xc1\x17\x06\x52\x05\xa1\x01v\xa0\x01k\x54\xff\xa1\x01n\x82\x40\x35\x80\0\0\0\0\0";
    rh_slice maps[] = { BYTES(usual), BYTES(beyond), BYTES(numbers), BYTES("\xc1\x01\x00"), BYTES("\xc0\x01\x00"), { NULL, 0 },
                        BYTES("\xd1\x00\x00\x00\x08\x00\x00\x00\x02\xa1\x01k\x43") };
    static const size_t pairs[] = { 5, 2, 2 };
    for (size_t i = 0; i < sizeof maps / sizeof *maps; i++) {
        rh_property all[8];
        size_t      count;
        expect_the_same_pairs(maps[i]);
        if (i < 3) cr_expect(rh_map_read(maps[i], all, 8, &count) == RH_OK && count == pairs[i], "map %zu", i);
    }

    /* Every byte changed, every cut that its size tells of. */
    for (size_t i = 0; i < 3; i++)
        for (size_t at = 0; at < maps[i].n; at++)
            for (unsigned to = 0; to < 256; to++) {
                uint8_t copy[sizeof usual];
                memcpy(copy, maps[i].p, maps[i].n);
                copy[at] = (uint8_t)to;
                expect_the_same_pairs(rh_slice_of(copy, maps[i].n));
                copy[1] = (uint8_t)(at - 2);
                if (at >= 2) expect_the_same_pairs(rh_slice_of(copy, at));
            }
}

/* -- writing --------------------------------------------------------------------------------- */

static uint32_t seed = 1;

static uint32_t dice(uint32_t sides)
{
    seed = seed * 1664525u + 1013904223u;
    return (seed >> 8) % sides;
}

static char ink[70000];

static void fill_ink(void)
{
    memset(ink, 'i', sizeof ink);
}

TestSuite(write, .init = fill_ink);

/* Lengths around the places where encodings change. */
static rh_slice some_text(void)
{
    static const size_t lengths[] = { 0, 1, 7, 36, 100, 200, 254, 255, 256, 257, 400, 65535, 65536 };
    return rh_slice_of(ink, lengths[dice(dice(20) ? 6 : 13)]);
}

static rh_value some_value(void)
{
    static const uint64_t numbers[] = { 0, 1, 127, 128, 255, 256, 32767, 65535, 65536, 0x7fffffff, 0xffffffff, 0x7fffffffffffffff, UINT64_MAX };
    static const char     list[] = "\xc0\x03\x02\x43\x41", map[] = "\xc1\x05\x02\xa1\x01k\x43", array[] = "\xe0\x02\x00\xa1", described[] = "\x00\xa3\x01u\xa1\x02hi";
    uint64_t u     = numbers[dice(13)];
    rh_value value = { .type = (rh_type)dice(RH_INVALID) };
    switch (value.type) {
    case RH_NULL: break;
    case RH_BOOL:   value.boolean = dice(2); break;
    case RH_UBYTE:  value.u = (uint8_t)u; break;
    case RH_USHORT: value.u = (uint16_t)u; break;
    case RH_UINT:   value.u = (uint32_t)u; break;
    case RH_ULONG:  value.u = u; break;
    case RH_BYTE:   value.i = (int8_t)u; break;
    case RH_SHORT:  value.i = (int16_t)u; break;
    case RH_INT:    value.i = (int32_t)u; break;
    case RH_LONG:
    case RH_TIMESTAMP: value.i = (int64_t)u; break;
    case RH_FLOAT:  value.f = 1.5f; break;
    case RH_DOUBLE: value.d = -2.25; break;
    case RH_CHAR:   value.character = 0x20ac; break;
    case RH_DECIMAL32: value.bytes = rh_slice_of(ink, 4); break;
    case RH_DECIMAL64: value.bytes = rh_slice_of(ink, 8); break;
    case RH_UUID:
    case RH_DECIMAL128: value.bytes = rh_slice_of(ink, 16); break;
    case RH_BINARY:
    case RH_STRING:
    case RH_SYMBOL: value.bytes = some_text(); break;
    case RH_LIST:   value.bytes = BYTES(list); break;
    case RH_MAP:    value.bytes = BYTES(map); break;
    case RH_ARRAY:  value.bytes = BYTES(array); break;
    case RH_DESCRIBED: value.bytes = BYTES(described); break;
    case RH_INVALID: break;
    }
    return value;
}

struct draft {
    rh_amqp_header     header;
    rh_amqp_properties properties;
    rh_property        annotations[140], application[140];
    rh_message_fields  fields;
};

static size_t some_pairs(rh_property *pairs)
{
    size_t count = dice(4) == 0 ? dice(140) : dice(5);
    for (size_t i = 0; i < count; i++) pairs[i] = (rh_property){ some_text(), some_value() };
    return count;
}

static void draft_message(struct draft *draft)
{
    static const char id[] = "\xa1\x02id", list[] = "\xc0\x03\x02\x43\x41";
    draft->header     = (rh_amqp_header){ .has = dice(32), .durable = dice(2), .priority = 4, .ttl = dice(2) * 70000, .delivery_count = dice(300) };
    draft->properties = (rh_amqp_properties){ .has = dice(1 << 13), .group_sequence = dice(1000), .creation_time = -5 };
    if (dice(2)) draft->properties.message_id = BYTES(id);
    if (dice(2)) draft->properties.to = BYTES("\xa1\x00");
    if (dice(2)) draft->properties.subject = some_text();
    if (dice(2)) draft->properties.user_id = some_text();
    if (dice(2)) draft->properties.content_type = some_text();
    rh_body_kind kind = (rh_body_kind)dice(4);
    draft->fields = (rh_message_fields){
        .header = dice(2) ? &draft->header : NULL,
        .properties = dice(2) ? &draft->properties : NULL,
        .message_annotations = draft->annotations,
        .message_annotation_count = dice(2) ? some_pairs(draft->annotations) : 0,
        .application_properties = draft->application,
        .application_property_count = dice(2) ? some_pairs(draft->application) : 0,
        .body_kind = kind,
    };
    if (dice(2)) draft->fields.partition_key = some_text();
    if (dice(2)) draft->fields.message_id = some_text();
    if (dice(3) == 0) draft->fields.correlation_id = some_text();
    if (dice(2)) draft->fields.content_type = some_text();
    if (kind == RH_BODY_DATA && dice(4)) draft->fields.body = some_text();
    if (kind == RH_BODY_VALUE && dice(4)) draft->fields.body = BYTES(id);
    if (kind == RH_BODY_SEQUENCE && dice(4)) draft->fields.body = BYTES(list);
}

static void expect_pairs(rh_slice map, rh_slice partition_key, const rh_property *pairs, size_t count)
{
    rh_dec      items = rh_map_open(map);
    rh_property found;
    if (partition_key.p) {
        cr_assert(rh_map_next(&items, &found));
        cr_expect(rh_slice_is(found.key, "x-opt-partition-key") && found.value.type == RH_STRING);
        cr_expect(rh_slice_equal(found.value.bytes, partition_key));
    }
    for (size_t i = 0; i < count; i++) {
        cr_assert(rh_map_next(&items, &found));
        cr_expect(rh_slice_equal(found.key, pairs[i].key));
        cr_expect_eq(found.value.type, pairs[i].value.type);
        if (pairs[i].value.bytes.p) cr_expect(rh_slice_equal(found.value.bytes, pairs[i].value.bytes));
        else cr_expect_eq(found.value.u, pairs[i].value.u);
    }
    cr_expect_not(rh_map_next(&items, &found));
    cr_expect_eq(items.status, RH_OK);
}

static bool is_string(rh_slice encoded, rh_slice text)
{
    rh_dec d = rh_dec_of(encoded);
    return rh_slice_equal(rh_dec_string(&d), text) && d.status == RH_OK && d.p == d.end;
}

/* What is given as text is what is written; the rest is as given in the properties. */
static void expect_properties(const rh_message *message, const rh_message_fields *fields)
{
    rh_amqp_properties read, given = { .has = 0 };
    if (fields->properties) given = *fields->properties;
    cr_assert_eq(rh_message_properties(message, &read), RH_OK);
    cr_expect(fields->message_id.p ? is_string(read.message_id, fields->message_id) : rh_slice_equal(read.message_id, given.message_id));
    cr_expect(fields->correlation_id.p ? is_string(read.correlation_id, fields->correlation_id) : read.correlation_id.p == NULL);
    cr_expect(rh_slice_equal(read.content_type, fields->content_type.p ? fields->content_type : given.content_type));
    cr_expect(rh_slice_equal(read.subject, given.subject) && rh_slice_equal(read.user_id, given.user_id) && rh_slice_equal(read.to, given.to));
    uint32_t numbers = RH_HAS_PROPERTIES_GROUP_SEQUENCE | RH_HAS_PROPERTIES_CREATION_TIME | RH_HAS_PROPERTIES_ABSOLUTE_EXPIRY_TIME;
    cr_expect_eq(read.has & numbers, given.has & numbers);
    if (read.has & RH_HAS_PROPERTIES_CREATION_TIME) cr_expect_eq(read.creation_time, given.creation_time);
}

Test(write, the_size_told_before_is_the_size_written_and_all_of_it_is_read_again)
{
    static uint8_t      bytes[140 * 2 * 140000];
    static struct draft draft;
    for (int i = 0; i < 4000; i++) {
        draft_message(&draft);
        const rh_message_fields *fields = &draft.fields;
        size_t                   size   = rh_message_size(fields);
        rh_enc                   e      = rh_enc_of(bytes, sizeof bytes);
        cr_assert_eq(rh_message_write(&e, fields), RH_OK);
        cr_assert_eq(rh_enc_size(&e), size, "draft %d: %zu bytes written, %zu told", i, rh_enc_size(&e), size);
        e = rh_enc_of(bytes, size);
        cr_assert_eq(rh_message_write(&e, fields), RH_OK, "draft %d does not fit its own size", i);
        if (size) {
            e = rh_enc_of(bytes, size - 1);
            cr_assert_eq(rh_message_write(&e, fields), RH_E_SPACE);
            e = rh_enc_of(bytes, size);
            cr_assert_eq(rh_message_write(&e, fields), RH_OK);
        }

        rh_message message;
        cr_assert_eq(rh_message_view(rh_slice_of(bytes, size), &message), RH_OK);
        expect_pairs(message.message_annotations, fields->partition_key, fields->message_annotations, fields->message_annotation_count);
        expect_pairs(message.application_properties, rh_slice_of(NULL, 0), fields->application_properties, fields->application_property_count);
        cr_expect_eq(message.body_kind, fields->body_kind);
        if (fields->body.p) cr_expect(rh_slice_equal(message.body, fields->body));
        cr_expect_eq(message.header.p != NULL, fields->header != NULL);
        cr_expect_eq(message.properties.p != NULL,
                     fields->properties || fields->message_id.p || fields->correlation_id.p || fields->content_type.p);
        expect_properties(&message, fields);
    }
}

/* Every place of a text, with one that is short, one that the pen does not write, and room that it does not like. */
Test(write, text_that_is_none_is_refused_wherever_it_stands)
{
    static uint8_t bytes[2048];
    static char    text[300];
    static const size_t lengths[] = { 1, 3, 6, 12, 19, 40, 255, 256, 299 };
    for (size_t l = 0; l < sizeof lengths / sizeof *lengths; l++)
        for (size_t bad = 0; bad <= lengths[l]; bad++) {
            memset(text, 't', sizeof text);
            rh_slice          wrong  = rh_slice_of(text, lengths[l]);
            bool              good   = bad == lengths[l];
            if (!good) text[bad] = (char)0xff;
            rh_property       key    = { wrong, { .type = RH_LONG, .i = 1 } }, string = { rh_str("k"), { .type = RH_STRING, .bytes = wrong } },
                              symbol = { rh_str("k"), { .type = RH_SYMBOL, .bytes = wrong } };
            rh_message_fields rows[] = {
                { .partition_key = wrong }, { .message_id = wrong }, { .correlation_id = wrong }, { .content_type = wrong },
                { .application_properties = &key, .application_property_count = 1 },
                { .application_properties = &string, .application_property_count = 1 },
                { .application_properties = &symbol, .application_property_count = 1 },
                { .message_annotations = &key, .message_annotation_count = 1 },
                { .message_annotations = &string, .message_annotation_count = 1 },
                { .message_annotations = &symbol, .message_annotation_count = 1 },
            };
            for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
                rh_enc wide = rh_enc_of(bytes, sizeof bytes), tight = rh_enc_of(bytes, rh_message_size(&rows[i]));
                cr_assert_eq(rh_message_write(&wide, &rows[i]), good ? RH_OK : RH_E_ARGUMENT, "row %zu, %zu bytes, byte %zu", i, lengths[l], bad);
                cr_assert_eq(rh_message_write(&tight, &rows[i]), good ? RH_OK : RH_E_ARGUMENT);
                cr_assert_eq(rh_message_text_is(&rows[i]), good);
            }
        }
}

Test(write, letters_beyond_ascii_are_text_but_not_in_symbols)
{
    uint8_t           bytes[256];
    rh_slice          umlaut = rh_str("gr\xc3\xbc\xc3\x9f" "e aus dem s\xc3\xbc" "den");
    rh_property       key    = { umlaut, { .type = RH_STRING, .bytes = umlaut } };
    rh_message_fields good   = { .partition_key = umlaut, .message_id = umlaut, .correlation_id = umlaut, .application_properties = &key, .application_property_count = 1 },
                      type   = { .content_type = umlaut },
                      symbol = { .message_annotations = &key, .message_annotation_count = 1 };
    rh_enc            e      = rh_enc_of(bytes, sizeof bytes);
    cr_expect_eq(rh_message_write(&e, &good), RH_OK);
    e = rh_enc_of(bytes, sizeof bytes);
    cr_expect_eq(rh_message_write(&e, &type), RH_E_ARGUMENT);
    e = rh_enc_of(bytes, sizeof bytes);
    cr_expect_eq(rh_message_write(&e, &symbol), RH_E_ARGUMENT);
}

Test(write, what_cannot_be_written_is_an_argument_error)
{
    uint8_t           bytes[256];
    rh_property       typeless = { rh_str("k"), { .type = RH_INVALID } }, keyless = { { NULL, 0 }, { .type = RH_NULL } };
    rh_message_fields bad[] = {
        { .application_properties = &typeless, .application_property_count = 1 },
        { .message_annotations = &keyless, .message_annotation_count = 1 },
        { .body = rh_str("nowhere to go") },
        { .body_kind = (rh_body_kind)9 },
        { .application_properties = &typeless, .application_property_count = RH_MAP_ENTRIES_MAX + 1 },
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        rh_enc e = rh_enc_of(bytes, sizeof bytes);
        cr_expect_eq(rh_message_write(&e, &bad[i]), RH_E_ARGUMENT, "row %zu", i);
    }
    cr_expect_lt(rh_message_size(&bad[0]), sizeof bytes, "nor has it a size, but asking does no harm");
}

Test(write, properties_are_written_with_all_their_fields)
{
    static const uint8_t expected[] = {
        0x00, 0x53, 0x73, 0xc0, 17, 13, 0xa1, 2, 'i', 'd', 0x40, 0x40, 0x40, 0x40, 0x40, 0x40, 0x40, 0x40, 0x40, 0x40, 0x40, 0x40,
        0x00, 0x53, 0x75, 0xa0, 2, 'h', 'i',
    };
    uint8_t            bytes[64], scratch[16];
    rh_amqp_properties properties = { .message_id = rh_string_encoded(rh_str("id"), scratch, sizeof scratch) };
    rh_enc             e          = rh_enc_of(bytes, sizeof bytes);
    cr_expect_eq(rh_message_write(&e, &(rh_message_fields){ .properties = &properties, .body_kind = RH_BODY_DATA, .body = rh_str("hi") }), RH_OK);
    cr_expect(rh_slice_equal(rh_enc_written(&e), rh_slice_of(expected, sizeof expected)));
}

Test(write, text_is_encoded_into_scratch_that_holds_it)
{
    uint8_t scratch[305];
    cr_expect_null(rh_string_encoded(rh_slice_of(NULL, 0), scratch, sizeof scratch).p);
    cr_expect_null(rh_string_encoded(rh_slice_of(ink, 301), scratch, sizeof scratch).p);
    cr_expect_null(rh_string_encoded(rh_str(""), scratch, 4).p);
    cr_expect(rh_slice_equal(rh_string_encoded(rh_str(""), scratch, 5), BYTES("\xa1\x00")));
    cr_expect_eq(rh_string_encoded(rh_slice_of(ink, 300), scratch, sizeof scratch).n, 305);
    cr_expect_eq(scratch[0], 0xb1);
}
