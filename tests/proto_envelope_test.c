#include <criterion/criterion.h>
#include <stdlib.h>

#include "proto/proto.h"

static rh_slice bytes_of(const void *p, size_t n) { return rh_slice_of(p, n); }
#define BYTES(text) bytes_of(text, sizeof(text) - 1)

static uint8_t letters[70000];

static void fill_letters(void)
{
    memset(letters, 'A', sizeof letters);
}

TestSuite(envelope, .init = fill_letters);

static rh_message_fields event_of(rh_slice body)
{
    return (rh_message_fields){ .body_kind = RH_BODY_DATA, .body = body };
}

/* -- vectors --------------------------------------------------------------------------------- */

Test(envelope, two_events_cost_what_the_python_client_counts)
{
    uint8_t           buffer[512];
    rh_envelope       envelope;
    rh_message_fields hi = event_of(rh_str("hi")), three_hundred = event_of(rh_slice_of(letters, 300));
    cr_assert_eq(rh_envelope_init(&envelope, buffer, sizeof buffer, rh_slice_of(NULL, 0)), RH_OK);
    cr_expect_eq(envelope.used, 0);
    cr_assert_eq(rh_envelope_add(&envelope, &hi), RH_OK);
    cr_expect_eq(envelope.used, 12);
    cr_assert_eq(rh_envelope_add(&envelope, &three_hundred), RH_OK);
    cr_expect_eq(envelope.used, 328);
    cr_expect_eq(envelope.count, 2);

    static const char head[] = "\x00\x53\x75\xa0\x07" "\x00\x53\x75\xa0\x02hi" "\x00\x53\x75\xb0\x00\x00\x01\x34" "\x00\x53\x75\xb0\x00\x00\x01\x2c";
    cr_expect(rh_slice_equal(rh_slice_of(buffer, sizeof head - 1), BYTES(head)));
    cr_expect_arr_eq(buffer + 28, letters, 300);
}

Test(envelope, a_key_is_annotated_on_the_envelope)
{
    static const char expected[] = "\x00\x53\x72\xc1\x1a\x02\xa3\x13" "x-opt-partition-key" "\xa1\x02pk";
    uint8_t     buffer[64];
    rh_envelope envelope;
    cr_assert_eq(rh_envelope_init(&envelope, buffer, sizeof buffer, rh_str("pk")), RH_OK);
    cr_expect(rh_slice_equal(rh_envelope_bytes(&envelope), BYTES(expected)));
    cr_expect_eq(envelope.count, 0);
}

/* The sections that the official JavaScript client puts before the data of an envelope and of each event: a header, of
 * events with a key a durable one; annotations, empty or the key; empty properties; all sizes wide. */
static void write_javascript_sections(rh_enc *e, bool durable, rh_slice key)
{
    rh_enc_descriptor(e, RH_CODE_HEADER);
    if (durable) {
        rh_enc_mark header = rh_enc_list_begin(e);
        rh_enc_bool(e, true);
        rh_enc_list_end(e, header, 1);
    } else {
        rh_enc_list0(e);
    }
    rh_enc_descriptor(e, RH_CODE_MESSAGE_ANNOTATIONS);
    rh_enc_mark map = rh_enc_map_begin(e);
    if (key.p) {
        rh_enc_symbol(e, rh_str("x-opt-partition-key"));
        rh_enc_string(e, key);
    }
    rh_enc_map_end(e, map, key.p ? 2 : 0);
    rh_enc_descriptor(e, RH_CODE_PROPERTIES);
    rh_enc_list0(e);
}

static void add_javascript_event(rh_envelope *envelope, rh_slice key, rh_slice body)
{
    uint8_t           bytes[512];
    rh_enc            e      = rh_enc_of(bytes, sizeof bytes);
    rh_message_fields fields = event_of(body);
    write_javascript_sections(&e, key.p != NULL, key);
    cr_assert_eq(rh_message_write(&e, &fields), RH_OK);
    cr_assert_eq(rh_envelope_add_encoded(envelope, rh_enc_written(&e)), RH_OK);
}

static rh_envelope javascript_envelope(uint8_t *buffer, size_t n, rh_slice key)
{
    rh_enc e = rh_enc_of(buffer, n);
    write_javascript_sections(&e, false, key);
    return (rh_envelope){ buffer, rh_enc_size(&e), n, 0 };
}

Test(envelope, the_javascript_clients_batch_is_built_and_read_byte_by_byte)
{
    static const char prefix[] = "\x00\x53\x70\x45\x00\x53\x72\xd1\x00\x00\x00\x04\x00\x00\x00\x00\x00\x53\x73\x45";
    uint8_t     expected[512], buffer[512];
    rh_slice    none = rh_slice_of(NULL, 0);
    rh_envelope envelope = javascript_envelope(buffer, sizeof buffer, none);
    rh_enc      e = rh_enc_of(expected, sizeof expected);
    rh_enc_raw(&e, BYTES(prefix));
    rh_enc_raw(&e, BYTES("\x00\x53\x75\xa0\x1b"));
    rh_enc_raw(&e, BYTES(prefix));
    rh_enc_raw(&e, BYTES("\x00\x53\x75\xa0\x02hi"));
    cr_expect_eq(rh_enc_size(&e), 52);
    rh_enc_raw(&e, BYTES("\x00\x53\x75\xb0\x00\x00\x01\x48"));
    rh_enc_raw(&e, BYTES(prefix));
    rh_enc_raw(&e, BYTES("\x00\x53\x75\xb0\x00\x00\x01\x2c"));
    rh_enc_raw(&e, rh_slice_of(letters, 300));
    cr_expect_eq(rh_enc_size(&e), 388);

    add_javascript_event(&envelope, none, rh_str("hi"));
    cr_expect_eq(envelope.used, 52);
    add_javascript_event(&envelope, none, rh_slice_of(letters, 300));
    cr_expect(rh_slice_equal(rh_envelope_bytes(&envelope), rh_enc_written(&e)));

    rh_message outer, event;
    rh_dec     events;
    rh_slice   message;
    cr_assert_eq(rh_envelope_open(rh_enc_written(&e), &outer, &events), RH_OK);
    cr_expect_eq(outer.body_sections, 2);
    cr_expect_eq(outer.message_annotations.n, 9);
    cr_expect(rh_envelope_next(&events, &message) && rh_message_view(message, &event) == RH_OK);
    cr_expect(rh_slice_is(event.body, "hi"));
    cr_expect(rh_envelope_next(&events, &message) && rh_message_view(message, &event) == RH_OK);
    cr_expect(rh_slice_equal(event.body, rh_slice_of(letters, 300)));
    cr_expect_not(rh_envelope_next(&events, &message));
    cr_expect_eq(events.status, RH_OK);
}

Test(envelope, the_javascript_clients_batch_with_a_key_has_its_size)
{
    uint8_t     buffer[512];
    rh_envelope envelope = javascript_envelope(buffer, sizeof buffer, rh_str("pk"));
    rh_message  outer;
    rh_dec      events;
    rh_value    key;
    add_javascript_event(&envelope, rh_str("pk"), rh_str("hi"));
    cr_expect_eq(envelope.used, 111);
    add_javascript_event(&envelope, rh_str("pk"), rh_slice_of(letters, 300));
    cr_expect_eq(envelope.used, 481);
    cr_assert_eq(rh_envelope_open(rh_envelope_bytes(&envelope), &outer, &events), RH_OK);
    cr_expect(rh_map_find(outer.message_annotations, "x-opt-partition-key", &key) && rh_slice_is(key.bytes, "pk"));
}

/* Azure's client for Python writes booleans as 56 xx and all five fields of a header. */
Test(envelope, the_python_clients_batch_with_a_key_has_its_size)
{
    static const char header[] = "\x00\x53\x70\xc0\x07\x05\x56\x01\x40\x40\x40\x40";
    uint8_t     buffer[512], bytes[512];
    rh_envelope keyed;
    cr_assert_eq(rh_envelope_init(&keyed, bytes, sizeof bytes, rh_str("pk")), RH_OK);
    uint8_t  annotations[64];
    rh_slice key = rh_slice_of(memcpy(annotations, keyed.p, keyed.used), keyed.used);

    rh_enc e = rh_enc_of(buffer, sizeof buffer);
    rh_enc_raw(&e, BYTES(header));
    rh_enc_raw(&e, key);
    rh_envelope envelope = { buffer, rh_enc_size(&e), sizeof buffer, 0 };
    cr_expect_eq(envelope.used, 43);

    const struct { rh_slice body; size_t used; } rows[] = { { rh_str("hi"), 98 }, { rh_slice_of(letters, 300), 457 } };
    for (size_t i = 0; i < 2; i++) {
        rh_message_fields fields = event_of(rows[i].body);
        e = rh_enc_of(bytes, sizeof bytes);
        rh_enc_raw(&e, BYTES(header));
        rh_enc_raw(&e, key);
        cr_assert_eq(rh_message_write(&e, &fields), RH_OK);
        cr_assert_eq(rh_envelope_add_encoded(&envelope, rh_enc_written(&e)), RH_OK);
        cr_expect_eq(envelope.used, rows[i].used);
    }

    rh_message     outer;
    rh_amqp_header read;
    rh_dec         events;
    cr_assert_eq(rh_envelope_open(rh_envelope_bytes(&envelope), &outer, &events), RH_OK);
    rh_dec list = rh_dec_of(rh_slice_of(buffer, 12));
    cr_assert_eq(rh_amqp_header_decode(&list, &read), RH_OK);
    cr_expect_eq(read.has, RH_HAS_HEADER_DURABLE);
    cr_expect(read.durable);
}

/* -- adding ---------------------------------------------------------------------------------- */

Test(envelope, sizes_change_where_a_message_passes_255_bytes)
{
    static uint8_t buffer[70100];
    for (size_t n = 0; n < sizeof letters; n += n < 400 ? 1 : 4999) {
        rh_envelope       envelope;
        rh_message_fields fields = event_of(rh_slice_of(letters, n));
        size_t            size   = rh_message_size(&fields);
        cr_assert_eq(rh_envelope_init(&envelope, buffer, sizeof buffer, rh_slice_of(NULL, 0)), RH_OK);
        cr_assert_eq(rh_envelope_add(&envelope, &fields), RH_OK);
        cr_expect_eq(envelope.used, rh_envelope_cost(size));

        rh_message outer, event;
        rh_dec     events;
        rh_slice   message;
        cr_assert_eq(rh_envelope_open(rh_envelope_bytes(&envelope), &outer, &events), RH_OK);
        cr_assert(rh_envelope_next(&events, &message));
        cr_expect_eq(message.n, size);
        cr_assert_eq(rh_message_view(message, &event), RH_OK);
        cr_expect(rh_slice_equal(event.body, fields.body), "%zu bytes", n);

        uint8_t encoded[512];
        if (size > sizeof encoded) continue;
        memcpy(encoded, message.p, size);
        cr_assert_eq(rh_envelope_init(&envelope, buffer, sizeof buffer, rh_slice_of(NULL, 0)), RH_OK);
        cr_expect_eq(rh_envelope_add_encoded(&envelope, rh_slice_of(encoded, size)), RH_OK);
        cr_expect_eq(envelope.used, rh_envelope_cost(size));
    }
}

/* A short body with long properties: its data section is begun narrow and has to be moved apart. */
Test(envelope, a_short_body_with_long_properties_is_moved_apart)
{
    for (size_t n = 200; n < 300; n++) {
        uint8_t           buffer[512];
        rh_envelope       envelope;
        rh_property       property = { rh_str("k"), { .type = RH_STRING, .bytes = rh_slice_of(letters, n) } };
        rh_message_fields fields   = event_of(rh_str("hi"));
        fields.application_properties     = &property;
        fields.application_property_count = 1;
        size_t cost = rh_envelope_cost(rh_message_size(&fields));
        cr_assert_eq(rh_envelope_init(&envelope, buffer, cost, rh_slice_of(NULL, 0)), RH_OK);
        cr_assert_eq(rh_envelope_add(&envelope, &fields), RH_OK, "%zu bytes into exactly its room", n);
        cr_expect_eq(envelope.used, cost);

        rh_message outer, event;
        rh_dec     events;
        rh_slice   message;
        rh_value   value;
        cr_assert_eq(rh_envelope_open(rh_envelope_bytes(&envelope), &outer, &events), RH_OK);
        cr_assert(rh_envelope_next(&events, &message));
        cr_assert_eq(rh_message_view(message, &event), RH_OK);
        cr_expect(rh_map_find(event.application_properties, "k", &value) && rh_slice_equal(value.bytes, property.value.bytes));
        cr_expect(rh_slice_is(event.body, "hi"));
    }
}

Test(envelope, an_event_that_does_not_fit_leaves_the_batch_as_it_was)
{
    rh_message_fields small = event_of(rh_str("hi")), large = event_of(rh_slice_of(letters, 300));
    rh_property       typeless = { rh_str("k"), { .type = RH_INVALID } };
    rh_message_fields wrong    = { .application_properties = &typeless, .application_property_count = 1 };
    for (size_t n = 12; n < 12 + 316; n++) {
        uint8_t    *buffer = malloc(n), before[12];
        rh_envelope envelope;
        cr_assert_eq(rh_envelope_init(&envelope, buffer, n, rh_slice_of(NULL, 0)), RH_OK);
        cr_assert_eq(rh_envelope_add(&envelope, &small), RH_OK);
        memcpy(before, buffer, sizeof before);

        cr_expect_eq(rh_envelope_add(&envelope, &large), RH_E_BATCH_FULL);
        cr_expect_eq(rh_envelope_add_encoded(&envelope, rh_slice_of(letters, 309)), RH_E_BATCH_FULL);
        if (n > 40) cr_expect_eq(rh_envelope_add(&envelope, &wrong), RH_E_ARGUMENT);
        cr_expect_eq(envelope.used, 12);
        cr_expect_eq(envelope.count, 1);
        cr_expect_arr_eq(buffer, before, sizeof before);

        bool room = n - 12 >= 12;
        cr_expect_eq(rh_envelope_add(&envelope, &small), room ? RH_OK : RH_E_BATCH_FULL);
        free(buffer);
    }
}

Test(envelope, a_key_that_does_not_fit_makes_no_envelope)
{
    uint8_t     buffer[31];
    rh_envelope envelope;
    for (size_t n = 0; n < sizeof buffer; n++) {
        cr_expect_eq(rh_envelope_init(&envelope, buffer, n, rh_str("pk")), RH_E_BATCH_FULL);
        cr_expect_eq(envelope.n, 0);
    }
    cr_expect_eq(rh_envelope_init(&envelope, buffer, sizeof buffer, rh_str("pk")), RH_OK);
}

/* -- reading --------------------------------------------------------------------------------- */

Test(envelope, a_body_that_is_not_data_is_no_envelope)
{
    rh_message outer;
    rh_dec     events;
    rh_slice   message;
    cr_expect_eq(rh_envelope_open(BYTES("\x00\x53\x77\x43"), &outer, &events), RH_E_DECODE);
    cr_expect_not(rh_envelope_next(&events, &message));
    cr_expect_eq(rh_envelope_open(BYTES("\x00\x53\x75\xa0\x09"), &outer, &events), RH_E_DECODE);
    cr_expect_not(rh_envelope_next(&events, &message));
    cr_expect_eq(rh_envelope_open(BYTES("\x00\x53\x70\x45"), &outer, &events), RH_OK, "an envelope without events");
    cr_expect_not(rh_envelope_next(&events, &message));
}
