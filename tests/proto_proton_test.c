/* Qpid proton reads the messages and batches that we write, and we read the messages that it writes. */
#include <criterion/criterion.h>
#include <proton/codec.h>
#include <proton/message.h>
#include <stdlib.h>

#include "proto/proto.h"

static pn_bytes_t as_proton(rh_slice s) { return pn_bytes(s.n, (const char *)s.p); }

static rh_slice from_proton(pn_bytes_t bytes) { return rh_slice_of(bytes.start, bytes.size); }

static void expect_text(const char *got, const char *wanted)
{
    cr_assert_not_null(got, "%s is missing", wanted);
    cr_expect_str_eq(got, wanted);
}

/* -- one of each type ------------------------------------------------------------------------ */

static const uint8_t sixteen[16] = { 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15 };

#define LIST_BYTES      "\xc0\x04\x02\x43\x52\x07"
#define MAP_BYTES       "\xc1\x06\x02\xa1\x01" "m" "\x52\x08"
#define ARRAY_BYTES     "\xe0\x06\x02\xa3\x01" "x" "\x01" "y"
#define DESCRIBED_BYTES "\x00\xa3\x16" "com.microsoft:timespan" "\x55\x09"
#define SLICE(text) { (const uint8_t *)(text), sizeof(text) - 1 }

static const struct { const char *key; rh_value value; pn_type_t proton; } types[] = {
    { "null",       { .type = RH_NULL },                                      PN_NULL },
    { "true",       { .type = RH_BOOL, .boolean = true },                     PN_BOOL },
    { "false",      { .type = RH_BOOL },                                      PN_BOOL },
    { "ubyte",      { .type = RH_UBYTE, .u = 255 },                           PN_UBYTE },
    { "ushort",     { .type = RH_USHORT, .u = 65535 },                        PN_USHORT },
    { "uint0",      { .type = RH_UINT },                                      PN_UINT },
    { "uint8",      { .type = RH_UINT, .u = 255 },                            PN_UINT },
    { "uint",       { .type = RH_UINT, .u = UINT32_MAX },                     PN_UINT },
    { "ulong0",     { .type = RH_ULONG },                                     PN_ULONG },
    { "ulong8",     { .type = RH_ULONG, .u = 255 },                           PN_ULONG },
    { "ulong",      { .type = RH_ULONG, .u = UINT64_MAX },                    PN_ULONG },
    { "byte",       { .type = RH_BYTE, .i = -128 },                           PN_BYTE },
    { "short",      { .type = RH_SHORT, .i = -32768 },                        PN_SHORT },
    { "int8",       { .type = RH_INT, .i = -128 },                            PN_INT },
    { "int",        { .type = RH_INT, .i = INT32_MIN },                       PN_INT },
    { "long8",      { .type = RH_LONG, .i = 127 },                            PN_LONG },
    { "long",       { .type = RH_LONG, .i = INT64_MIN },                      PN_LONG },
    { "float",      { .type = RH_FLOAT, .f = 0.1f },                          PN_FLOAT },
    { "double",     { .type = RH_DOUBLE, .d = -1e300 },                       PN_DOUBLE },
    { "decimal32",  { .type = RH_DECIMAL32, .bytes = { sixteen, 4 } },        PN_DECIMAL32 },
    { "decimal64",  { .type = RH_DECIMAL64, .bytes = { sixteen, 8 } },        PN_DECIMAL64 },
    { "decimal128", { .type = RH_DECIMAL128, .bytes = { sixteen, 16 } },      PN_DECIMAL128 },
    { "char",       { .type = RH_CHAR, .character = 0x1f600 },                PN_CHAR },
    { "timestamp",  { .type = RH_TIMESTAMP, .i = -62135596800000 },           PN_TIMESTAMP },
    { "uuid",       { .type = RH_UUID, .bytes = { sixteen, 16 } },            PN_UUID },
    { "binary",     { .type = RH_BINARY, .bytes = { sixteen, 3 } },           PN_BINARY },
    { "string",     { .type = RH_STRING, .bytes = SLICE("\xe2\x82\xac") },    PN_STRING },
    { "symbol",     { .type = RH_SYMBOL, .bytes = SLICE("sym:bol") },         PN_SYMBOL },
    { "list",       { .type = RH_LIST, .bytes = SLICE(LIST_BYTES) },          PN_LIST },
    { "map",        { .type = RH_MAP, .bytes = SLICE(MAP_BYTES) },            PN_MAP },
    { "array",      { .type = RH_ARRAY, .bytes = SLICE(ARRAY_BYTES) },        PN_ARRAY },
    { "described",  { .type = RH_DESCRIBED, .bytes = SLICE(DESCRIBED_BYTES) }, PN_DESCRIBED },
};

#define TYPES (sizeof types / sizeof *types)

static void expect_proton_value(pn_data_t *data, const rh_value *value, pn_type_t proton)
{
    cr_assert_eq(pn_data_type(data), proton, "%s came as %s", rh_type_name(value->type), pn_type_name(pn_data_type(data)));
    switch (value->type) {
    case RH_NULL:       return;
    case RH_BOOL:       cr_expect_eq(pn_data_get_bool(data), value->boolean); return;
    case RH_UBYTE:      cr_expect_eq(pn_data_get_ubyte(data), value->u); return;
    case RH_USHORT:     cr_expect_eq(pn_data_get_ushort(data), value->u); return;
    case RH_UINT:       cr_expect_eq(pn_data_get_uint(data), value->u); return;
    case RH_ULONG:      cr_expect_eq(pn_data_get_ulong(data), value->u); return;
    case RH_BYTE:       cr_expect_eq(pn_data_get_byte(data), value->i); return;
    case RH_SHORT:      cr_expect_eq(pn_data_get_short(data), value->i); return;
    case RH_INT:        cr_expect_eq(pn_data_get_int(data), value->i); return;
    case RH_LONG:       cr_expect_eq(pn_data_get_long(data), value->i); return;
    case RH_FLOAT:      cr_expect_eq(pn_data_get_float(data), value->f); return;
    case RH_DOUBLE:     cr_expect_eq(pn_data_get_double(data), value->d); return;
    case RH_CHAR:       cr_expect_eq(pn_data_get_char(data), value->character); return;
    case RH_TIMESTAMP:  cr_expect_eq(pn_data_get_timestamp(data), value->i); return;
    case RH_BINARY:     cr_expect(rh_slice_equal(from_proton(pn_data_get_binary(data)), value->bytes)); return;
    case RH_STRING:     cr_expect(rh_slice_equal(from_proton(pn_data_get_string(data)), value->bytes)); return;
    case RH_SYMBOL:     cr_expect(rh_slice_equal(from_proton(pn_data_get_symbol(data)), value->bytes)); return;
    case RH_UUID:       cr_expect_eq(memcmp(pn_data_get_uuid(data).bytes, sixteen, 16), 0); return;
    case RH_LIST:       cr_expect_eq(pn_data_get_list(data), 2); return;
    case RH_MAP:        cr_expect_eq(pn_data_get_map(data), 2); return;
    case RH_ARRAY:      cr_expect_eq(pn_data_get_array(data), 2); return;
    default:            return; /* decimals and described values: the type was compared */
    }
}

static void expect_proton_map(pn_data_t *data, pn_type_t key_type)
{
    pn_data_rewind(data);
    cr_assert(pn_data_next(data));
    cr_assert_eq(pn_data_get_map(data), 2 * TYPES);
    pn_data_enter(data);
    for (size_t i = 0; i < TYPES; i++) {
        cr_assert(pn_data_next(data));
        cr_assert_eq(pn_data_type(data), key_type);
        pn_bytes_t key = key_type == PN_SYMBOL ? pn_data_get_symbol(data) : pn_data_get_string(data);
        cr_expect(rh_slice_is(from_proton(key), types[i].key));
        cr_assert(pn_data_next(data));
        expect_proton_value(data, &types[i].value, types[i].proton);
    }
    pn_data_exit(data);
}

static void fill_pairs(rh_property *pairs)
{
    for (size_t i = 0; i < TYPES; i++) pairs[i] = (rh_property){ rh_str(types[i].key), types[i].value };
}

static void proton_decode(pn_message_t *message, rh_slice bytes)
{
    cr_assert_eq(pn_message_decode(message, (const char *)bytes.p, bytes.n), 0, "proton refuses: %s",
                 pn_error_text(pn_message_error(message)));
}

/* -- we write -------------------------------------------------------------------------------- */

static const rh_amqp_header full_header = {
    .has = RH_HAS_HEADER_DURABLE | RH_HAS_HEADER_PRIORITY | RH_HAS_HEADER_TTL | RH_HAS_HEADER_FIRST_ACQUIRER | RH_HAS_HEADER_DELIVERY_COUNT,
    .durable = true, .priority = 9, .ttl = 70000, .first_acquirer = true, .delivery_count = 3,
};

static const rh_amqp_properties full_properties = {
    .has = RH_HAS_PROPERTIES_ABSOLUTE_EXPIRY_TIME | RH_HAS_PROPERTIES_CREATION_TIME | RH_HAS_PROPERTIES_GROUP_SEQUENCE,
    .message_id = SLICE("\xa1\x03" "mid"), .user_id = SLICE("user"), .to = SLICE("\xa1\x02to"), .subject = SLICE("subject"),
    .reply_to = SLICE("\xa1\x05reply"), .correlation_id = SLICE("\x53\x2a"), .content_type = SLICE("text/plain"),
    .content_encoding = SLICE("utf-8"), .absolute_expiry_time = 1700000000123, .creation_time = -1, .group_id = SLICE("group"),
    .group_sequence = 300, .reply_to_group_id = SLICE("answers"),
};

static void expect_full_header(pn_message_t *message)
{
    cr_expect(pn_message_is_durable(message));
    cr_expect_eq(pn_message_get_priority(message), 9);
    cr_expect_eq(pn_message_get_ttl(message), 70000);
    cr_expect(pn_message_is_first_acquirer(message));
    cr_expect_eq(pn_message_get_delivery_count(message), 3);
}

static void expect_full_properties(pn_message_t *message)
{
    pn_atom_t id = pn_message_get_id(message), correlation = pn_message_get_correlation_id(message);
    cr_expect(id.type == PN_STRING && rh_slice_is(from_proton(id.u.as_bytes), "mid"));
    cr_expect(correlation.type == PN_ULONG && correlation.u.as_ulong == 42);
    cr_expect(rh_slice_is(from_proton(pn_message_get_user_id(message)), "user"));
    expect_text(pn_message_get_address(message), "to");
    expect_text(pn_message_get_subject(message), "subject");
    expect_text(pn_message_get_reply_to(message), "reply");
    expect_text(pn_message_get_content_type(message), "text/plain");
    expect_text(pn_message_get_content_encoding(message), "utf-8");
    cr_expect_eq(pn_message_get_expiry_time(message), 1700000000123);
    cr_expect_eq(pn_message_get_creation_time(message), -1);
    expect_text(pn_message_get_group_id(message), "group");
    cr_expect_eq(pn_message_get_group_sequence(message), 300);
    expect_text(pn_message_get_reply_to_group_id(message), "answers");
}

Test(proton_message, every_section_that_we_write_is_read)
{
    static uint8_t bytes[4096];
    rh_property    pairs[TYPES];
    fill_pairs(pairs);
    rh_message_fields fields = {
        .header = &full_header, .properties = &full_properties,
        .message_annotations = pairs, .message_annotation_count = TYPES,
        .application_properties = pairs, .application_property_count = TYPES,
        .body_kind = RH_BODY_DATA, .body = SLICE("hello"),
    };
    rh_enc e = rh_enc_of(bytes, sizeof bytes);
    cr_assert_eq(rh_message_write(&e, &fields), RH_OK);

    pn_message_t *message = pn_message();
    proton_decode(message, rh_enc_written(&e));
    expect_full_header(message);
    expect_full_properties(message);
    expect_proton_map(pn_message_annotations(message), PN_SYMBOL);
    expect_proton_map(pn_message_properties(message), PN_STRING);
    pn_data_t *body = pn_message_body(message);
    pn_data_rewind(body);
    cr_assert(pn_data_next(body));
    cr_expect_eq(pn_data_type(body), PN_BINARY);
    cr_expect(rh_slice_is(from_proton(pn_data_get_binary(body)), "hello"));
    pn_message_free(message);
}

Test(proton_message, every_kind_of_body_is_read)
{
    static const struct { rh_body_kind kind; rh_slice body; pn_type_t type; } bodies[] = {
        { RH_BODY_DATA,     SLICE("bytes"),    PN_BINARY },
        { RH_BODY_DATA,     SLICE(""),         PN_BINARY },
        { RH_BODY_VALUE,    SLICE("\xa1\x02hi"), PN_STRING },
        { RH_BODY_VALUE,    SLICE(MAP_BYTES),  PN_MAP },
        { RH_BODY_SEQUENCE, SLICE(LIST_BYTES), PN_LIST },
    };
    pn_message_t *message = pn_message();
    for (size_t i = 0; i < sizeof bodies / sizeof *bodies; i++) {
        uint8_t           bytes[64];
        rh_enc            e      = rh_enc_of(bytes, sizeof bytes);
        rh_message_fields fields = { .body_kind = bodies[i].kind, .body = bodies[i].body };
        cr_assert_eq(rh_message_write(&e, &fields), RH_OK);
        pn_message_clear(message);
        proton_decode(message, rh_enc_written(&e));
        pn_data_t *body = pn_message_body(message);
        pn_data_rewind(body);
        cr_assert(pn_data_next(body), "row %zu", i);
        cr_expect_eq(pn_data_type(body), bodies[i].type, "row %zu", i);
    }
    pn_message_free(message);
}

Test(proton_message, every_message_of_a_batch_is_read)
{
    enum { EVENTS = 100 };
    static uint8_t buffer[1 << 20], letters[2000];
    rh_property    pairs[TYPES + 1];
    rh_envelope    envelope;
    memset(letters, 'z', sizeof letters);
    fill_pairs(pairs);
    pairs[TYPES] = (rh_property){ rh_str("x-opt-partition-key"), { .type = RH_STRING, .bytes = rh_str("pk") } };
    cr_assert_eq(rh_envelope_init(&envelope, buffer, sizeof buffer, rh_str("pk")), RH_OK);
    for (size_t i = 0; i < EVENTS; i++) {
        rh_message_fields fields = {
            .properties = i % 3 ? &full_properties : NULL,
            .message_annotations = &pairs[TYPES], .message_annotation_count = 1,
            .application_properties = pairs, .application_property_count = i % 2 ? TYPES : i % TYPES,
            .body_kind = RH_BODY_DATA, .body = rh_slice_of(letters, i * 20),
        };
        cr_assert_eq(rh_envelope_add(&envelope, &fields), RH_OK);
    }

    rh_message    outer;
    rh_dec        events;
    rh_slice      bytes;
    size_t        i       = 0;
    pn_message_t *message = pn_message();
    proton_decode(message, rh_envelope_bytes(&envelope));
    cr_assert_eq(rh_envelope_open(rh_envelope_bytes(&envelope), &outer, &events), RH_OK);
    for (; rh_envelope_next(&events, &bytes); i++) {
        pn_message_clear(message);
        proton_decode(message, bytes);
        if (i % 3) expect_full_properties(message);
        if (i % 2) expect_proton_map(pn_message_properties(message), PN_STRING);
        pn_data_t *body = pn_message_body(message);
        pn_data_rewind(body);
        cr_assert(pn_data_next(body));
        cr_expect_eq(pn_data_get_binary(body).size, i * 20);
    }
    cr_expect_eq(i, EVENTS);
    pn_message_free(message);
}

/* -- proton writes --------------------------------------------------------------------------- */

/* Puts the pair's value as proton would, by letting it read our encoding. */
static void put_proton_value(pn_data_t *data, const rh_value *value)
{
    uint8_t    bytes[64];
    rh_enc     e     = rh_enc_of(bytes, sizeof bytes);
    pn_data_t *alone = pn_data(4);
    rh_enc_value(&e, value);
    cr_assert_eq(pn_data_decode(alone, (const char *)bytes, rh_enc_size(&e)), (ssize_t)rh_enc_size(&e));
    pn_data_rewind(alone);
    cr_assert(pn_data_next(alone));
    pn_data_rewind(alone);
    pn_data_appendn(data, alone, 1);
    pn_data_free(alone);
}

static void put_proton_map(pn_data_t *data, pn_type_t key_type)
{
    pn_data_put_map(data);
    pn_data_enter(data);
    for (size_t i = 0; i < TYPES; i++) {
        if (key_type == PN_SYMBOL) pn_data_put_symbol(data, as_proton(rh_str(types[i].key)));
        else pn_data_put_string(data, as_proton(rh_str(types[i].key)));
        put_proton_value(data, &types[i].value);
    }
    pn_data_exit(data);
}

static void expect_pairs(rh_slice map)
{
    rh_dec      items = rh_map_open(map);
    rh_property found;
    for (size_t i = 0; i < TYPES; i++) {
        cr_assert(rh_map_next(&items, &found), "%s is missing", types[i].key);
        const rh_value *wanted = &types[i].value;
        cr_expect(rh_slice_is(found.key, types[i].key));
        cr_expect_eq(found.value.type, wanted->type, "%s came as %s", types[i].key, rh_type_name(found.value.type));
        bool compound = wanted->type >= RH_LIST;
        if (wanted->bytes.p && !compound) cr_expect(rh_slice_equal(found.value.bytes, wanted->bytes), "%s", types[i].key);
        else if (!compound) cr_expect_eq(found.value.u, wanted->u, "%s", types[i].key);
    }
    cr_expect_not(rh_map_next(&items, &found));
    cr_expect_eq(items.status, RH_OK);
}

static pn_message_t *full_proton_message(void)
{
    pn_message_t *message = pn_message();
    pn_message_set_durable(message, true);
    pn_message_set_priority(message, 9);
    pn_message_set_ttl(message, 70000);
    pn_message_set_first_acquirer(message, true);
    pn_message_set_delivery_count(message, 3);
    pn_message_set_id(message, (pn_atom_t){ .type = PN_STRING, .u.as_bytes = as_proton(rh_str("mid")) });
    pn_message_set_user_id(message, as_proton(rh_str("user")));
    pn_message_set_address(message, "to");
    pn_message_set_subject(message, "subject");
    pn_message_set_reply_to(message, "reply");
    pn_message_set_correlation_id(message, (pn_atom_t){ .type = PN_ULONG, .u.as_ulong = 42 });
    pn_message_set_content_type(message, "text/plain");
    pn_message_set_content_encoding(message, "utf-8");
    pn_message_set_expiry_time(message, 1700000000123);
    pn_message_set_creation_time(message, 5);
    pn_message_set_group_id(message, "group");
    pn_message_set_group_sequence(message, 300);
    pn_message_set_reply_to_group_id(message, "answers");
    return message;
}

static void expect_our_header(const rh_message *message)
{
    rh_amqp_header header;
    cr_assert_eq(rh_message_header(message, &header), RH_OK);
    cr_expect(header.durable && header.priority == 9 && header.ttl == 70000 && header.first_acquirer && header.delivery_count == 3);
}

static void expect_our_properties(const rh_message *message)
{
    rh_amqp_properties p;
    cr_assert_eq(rh_message_properties(message, &p), RH_OK);
    cr_expect_eq(p.has, (1 << RH_FIELDS_PROPERTIES) - 1);
    cr_expect(rh_slice_equal(p.message_id, full_properties.message_id));
    cr_expect(rh_slice_equal(p.correlation_id, full_properties.correlation_id));
    cr_expect(rh_slice_equal(p.to, full_properties.to));
    cr_expect(rh_slice_equal(p.reply_to, full_properties.reply_to));
    cr_expect(rh_slice_is(p.user_id, "user"));
    cr_expect(rh_slice_is(p.subject, "subject"));
    cr_expect(rh_slice_is(p.content_type, "text/plain"));
    cr_expect(rh_slice_is(p.content_encoding, "utf-8"));
    cr_expect(rh_slice_is(p.group_id, "group"));
    cr_expect(rh_slice_is(p.reply_to_group_id, "answers"));
    cr_expect(p.absolute_expiry_time == 1700000000123 && p.creation_time == 5 && p.group_sequence == 300);
}

Test(proton_message, every_section_that_it_writes_is_read)
{
    static char   bytes[8192];
    size_t        n       = sizeof bytes;
    pn_message_t *message = full_proton_message();
    put_proton_map(pn_message_instructions(message), PN_SYMBOL);
    put_proton_map(pn_message_annotations(message), PN_SYMBOL);
    put_proton_map(pn_message_properties(message), PN_STRING);
    pn_message_set_inferred(message, true);
    pn_data_put_binary(pn_message_body(message), as_proton(rh_str("hello")));
    cr_assert_eq(pn_message_encode(message, bytes, &n), 0);

    rh_message found;
    cr_assert_eq(rh_message_view(rh_slice_of(bytes, n), &found), RH_OK);
    expect_our_header(&found);
    expect_our_properties(&found);
    expect_pairs(found.delivery_annotations);
    expect_pairs(found.message_annotations);
    expect_pairs(found.application_properties);
    cr_expect_eq(found.body_kind, RH_BODY_DATA);
    cr_expect(rh_slice_is(found.body, "hello"));
    pn_message_free(message);
}

Test(proton_message, every_value_that_it_writes_as_a_body_is_read)
{
    for (size_t i = 0; i < TYPES; i++) {
        char          bytes[256];
        size_t        n       = sizeof bytes;
        rh_message    found;
        rh_value      value;
        pn_message_t *message = pn_message();
        put_proton_value(pn_message_body(message), &types[i].value);
        cr_assert_eq(pn_message_encode(message, bytes, &n), 0);
        cr_assert_eq(rh_message_view(rh_slice_of(bytes, n), &found), RH_OK, "%s", types[i].key);
        cr_assert_eq(found.body_kind, RH_BODY_VALUE);
        rh_dec d = rh_dec_of(found.body);
        cr_expect(rh_dec_value(&d, &value));
        cr_expect_eq(value.type, types[i].value.type, "%s", types[i].key);
        pn_message_free(message);
    }
}
