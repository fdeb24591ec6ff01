#include "eventhub/event.h"
#include "eventhub/event_data.h"
#include "eventhub/position.h"

#include <criterion/criterion.h>

static rh_event event_of(rh_slice encoded)
{
    rh_event event = { .refs = 0 };
    cr_assert_eq(rh_event_view(&event, NULL, encoded), RH_OK);
    return event;
}

#define BYTES(text) rh_slice_of(text, sizeof(text) - 1)

/* An event as the service delivers it with tracking on: each annotation in the type that the service writes. */
static const char delivered[] =
    "\x00\x53\x71\xc1\x96\x08"
    "\xa3\x1dlast_enqueued_sequence_number\x81\x00\x00\x00\x01\x2a\x05\xf2\x00"
    "\xa3\x14last_enqueued_offset\xa1\x0a" "8589934592"
    "\xa3\x16last_enqueued_time_utc\x83\x00\x00\x01\x9b\x77\x40\x00\x00"
    "\xa3\x1fruntime_info_retrieval_time_utc\x83\x00\x00\x01\x9b\x77\x40\x01\xf4"
    "\x00\x53\x72\xc1\x6b\x08"
    "\xa3\x15x-opt-sequence-number\x55\x2a"
    "\xa3\x0cx-opt-offset\xa1\x0a" "4294967296"
    "\xa3\x13x-opt-enqueued-time\x83\x00\x00\x01\x9b\x77\x40\x00\x00"
    "\xa3\x13x-opt-partition-key\xa1\x02pk"
    "\x00\x53\x73\xc0\x19\x07\xa1\x04id-1\x40\x40\x40\x40\x53\x09\xa3\x0a" "text/plain"
    "\x00\x53\x74\xc1\x0d\x04\xa1\x01n\x54\xff\xa1\x01t\xa1\x02on"
    "\x00\x53\x75\xa0\x05hello";

Test(event, shows_everything_that_the_service_and_the_sender_said)
{
    rh_event event = event_of(BYTES(delivered));
    cr_expect(rh_slice_is(rh_event_body(&event), "hello"));
    cr_expect_eq(rh_event_body_kind(&event), RH_BODY_DATA);
    cr_expect_not(event.stamps.read, "nothing is decoded before somebody asks");
    cr_expect_eq(rh_event_sequence_number(&event), 42);
    cr_expect(rh_slice_is(rh_event_offset(&event), "4294967296"));
    cr_expect_eq(rh_event_enqueued_time_ms(&event), 0x19b77400000);
    cr_expect(rh_slice_is(rh_event_partition_key(&event), "pk"));
    cr_expect(rh_slice_is(rh_event_content_type(&event), "text/plain"));

    rh_value value;
    cr_assert(rh_event_message_id(&event, &value));
    cr_expect(value.type == RH_STRING && rh_slice_is(value.bytes, "id-1"));
    cr_assert(rh_event_correlation_id(&event, &value));
    cr_expect(value.type == RH_ULONG && value.u == 9);
    cr_assert(rh_event_property(&event, "n", &value));
    cr_expect(value.type == RH_INT && value.i == -1);
    cr_expect_not(rh_event_property(&event, "absent", &value));
    cr_assert(rh_event_annotation(&event, "x-opt-offset", &value));
    cr_expect_eq(value.type, RH_STRING);

    rh_amqp_properties all;
    cr_assert(rh_event_amqp_properties(&event, &all));
    cr_expect(rh_slice_is(all.content_type, "text/plain"));
    cr_expect_null(all.subject.p);
}

Test(event, tells_where_the_partition_ends)
{
    rh_event event = event_of(BYTES(delivered));
    rh_last_enqueued last;
    cr_assert(rh_event_last_enqueued(&event, &last));
    cr_expect_eq(last.sequence_number, 5000000000);
    cr_expect(rh_slice_is(last.offset, "8589934592"));
    cr_expect_eq(last.time_ms, 0x19b77400000);
    cr_expect_eq(last.retrieved_ms, 0x19b774001f4);
}

Test(event, walks_properties_in_the_order_of_their_sender)
{
    rh_event event = event_of(BYTES(delivered));
    rh_property property;
    rh_property_walk walk = rh_event_properties(&event);
    cr_assert(rh_property_next(&walk, &property));
    cr_expect(rh_slice_is(property.key, "n"));
    cr_assert(rh_property_next(&walk, &property));
    cr_expect(rh_slice_is(property.key, "t") && rh_slice_is(property.value.bytes, "on"));
    cr_expect_not(rh_property_next(&walk, &property));
    int count = 0;
    for (walk = rh_event_annotations(&event); rh_property_next(&walk, &property); count++) {}
    cr_expect_eq(count, 4);
}

Test(event, without_stamps_says_so_and_has_no_properties_to_walk)
{
    rh_event event = event_of(BYTES("\x00\x53\x75\xa0\x02hi"));
    rh_property property;
    rh_property_walk walk = rh_event_properties(&event);
    rh_value value;
    rh_last_enqueued last;
    rh_amqp_properties all;
    cr_expect_eq(rh_event_sequence_number(&event), -1);
    cr_expect_eq(rh_event_enqueued_time_ms(&event), -1);
    cr_expect_null(rh_event_offset(&event).p);
    cr_expect_null(rh_event_partition_key(&event).p);
    cr_expect_null(rh_event_content_type(&event).p);
    cr_expect_not(rh_property_next(&walk, &property));
    cr_expect_not(rh_event_message_id(&event, &value));
    cr_expect_not(rh_event_property(&event, "n", &value));
    cr_expect_not(rh_event_last_enqueued(&event, &last));
    cr_expect_not(rh_event_amqp_properties(&event, &all));
}

/* [1.6] the same number in each of the widths that official clients and services have written. */
Test(event, reads_stamps_in_every_width)
{
    const struct {
        const char *why;
        rh_slice annotation;
        int64_t number;
    } rows[] = {
        { "long in one byte", BYTES("\x00\x53\x72\xc1\x1a\x02\xa3\x15x-opt-sequence-number\x55\x7f"), 127 },
        { "long", BYTES("\x00\x53\x72\xc1\x21\x02\xa3\x15x-opt-sequence-number\x81\x00\x00\x00\x00\x00\x00\x01\x00"), 256 },
        { "ulong zero", BYTES("\x00\x53\x72\xc1\x19\x02\xa3\x15x-opt-sequence-number\x44"), 0 },
        { "uint in one byte", BYTES("\x00\x53\x72\xc1\x1a\x02\xa3\x15x-opt-sequence-number\x52\xff"), 255 },
        { "a map of 32 bits", BYTES("\x00\x53\x72\xd1\x00\x00\x00\x1d\x00\x00\x00\x02\xa3\x15x-opt-sequence-number\x54\x05"), 5 },
        { "a string key", BYTES("\x00\x53\x72\xc1\x1a\x02\xa1\x15x-opt-sequence-number\x55\x01"), 1 },
        { "behind a key that is a number", BYTES("\x00\x53\x72\xc1\x1d\x04\x53\x01\x40\xa3\x15x-opt-sequence-number\x55\x01"), 1 },
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        rh_event event = event_of(rows[i].annotation);
        cr_expect_eq(rh_event_sequence_number(&event), rows[i].number, "%s", rows[i].why);
    }
}

Test(event, has_its_stamps_however_many_annotations_stand_before_them)
{
    for (size_t before = 0; before < 40; before++) {
        rh_property annotations[42];
        for (size_t i = 0; i < before; i++) annotations[i] = rh_property_text("x-opt-mine", "mine");
        annotations[before] = rh_property_text("x-opt-offset", "4398046511104");
        annotations[before + 1] = (rh_property){ rh_str("x-opt-sequence-number"), { .type = RH_LONG, .i = 7 } };
        uint8_t bytes[2048];
        rh_enc e = rh_enc_of(bytes, sizeof bytes);
        rh_message_fields fields = { .message_annotations = annotations, .message_annotation_count = before + 2 };
        cr_assert_eq(rh_message_write(&e, &fields), RH_OK);
        rh_event event = event_of(rh_enc_written(&e));
        cr_expect_eq(rh_event_sequence_number(&event), 7, "behind %zu", before);
        cr_expect(rh_slice_is(rh_event_offset(&event), "4398046511104"));
    }
}

Test(event, that_is_no_message_is_refused)
{
    rh_event event;
    cr_expect_eq(rh_event_view(&event, NULL, BYTES("\x00\x53\x75\xa0\x05hi")), RH_E_DECODE);
    cr_expect_eq(rh_event_view(&event, NULL, BYTES("hello")), RH_E_DECODE);
}

Test(event, comes_out_as_it_went_in)
{
    rh_property properties[] = {
        { rh_str("colour"), { .type = RH_STRING, .bytes = rh_str("blue") } },
        { rh_str("weight"), { .type = RH_DOUBLE, .d = 21.5 } },
    };
    rh_property annotation = { rh_str("x-opt-mine"), { .type = RH_ULONG, .u = 1 } };
    rh_amqp_properties all = { .subject = rh_str("news"), .message_id = BYTES("\x53\x01") };
    rh_event_data data = {
        .body = rh_str("body"), .content_type = rh_str("text/plain"), .message_id = rh_str("wins"),
        .correlation_id = rh_str("corr"), .partition_key = rh_str("pk"), .properties = properties, .property_count = 2,
        .annotations = &annotation, .annotation_count = 1, .amqp_properties = &all,
    };
    uint8_t bytes[1000];
    rh_message_fields fields;
    rh_enc e = rh_enc_of(bytes, sizeof bytes);
    cr_assert_eq(rh_event_fields_of(&fields, &data, rh_slice_of(NULL, 0)), RH_OK);
    cr_assert_eq(rh_message_write(&e, &fields), RH_OK);
    cr_expect_eq(rh_enc_size(&e), rh_event_data_size(&data));

    rh_event event = event_of(rh_enc_written(&e));
    rh_value value;
    rh_amqp_properties read;
    cr_expect(rh_slice_is(rh_event_body(&event), "body"));
    cr_expect(rh_slice_is(rh_event_partition_key(&event), "pk"));
    cr_expect(rh_event_message_id(&event, &value) && rh_slice_is(value.bytes, "wins"));
    cr_expect(rh_event_correlation_id(&event, &value) && rh_slice_is(value.bytes, "corr"));
    cr_expect(rh_event_amqp_properties(&event, &read) && rh_slice_is(read.subject, "news"));
    cr_expect(rh_event_property(&event, "colour", &value) && rh_slice_is(value.bytes, "blue"));
    cr_expect(rh_event_property(&event, "weight", &value) && value.d == 21.5);
    cr_expect(rh_event_annotation(&event, "x-opt-mine", &value) && value.u == 1);
}

Test(event, with_text_that_the_service_would_refuse_has_no_size)
{
    static char long_id[RH_MESSAGE_ID_MAX + 2];
    memset(long_id, 'i', RH_MESSAGE_ID_MAX + 1);
    static char long_key[RH_KEY_CHARACTERS_MAX + 2];
    memset(long_key, 'k', RH_KEY_CHARACTERS_MAX + 1);
    cr_expect_eq(rh_event_data_size(&(rh_event_data){ .message_id = rh_str(long_id) }), 0);
    cr_expect_eq(rh_event_data_size(&(rh_event_data){ .partition_key = rh_str(long_key) }), 0);
    cr_expect_eq(rh_event_data_size(&(rh_event_data){ .correlation_id = rh_str("\xc0\x80") }), 0);
    cr_expect_eq(rh_event_data_size(&(rh_event_data){ .content_type = rh_str("\xc3\xa9") }), 0);
    cr_expect_neq(rh_event_data_size(&(rh_event_data){ .body = rh_str("") }), 0);
    rh_property bad_key = { rh_str("\xff"), { .type = RH_NULL } };
    rh_property bad_text = { rh_str("k"), { .type = RH_STRING, .bytes = rh_str("\xed\xa0\x80") } };
    cr_expect_eq(rh_event_data_size(&(rh_event_data){ .properties = &bad_key, .property_count = 1 }), 0);
    cr_expect_eq(rh_event_data_size(&(rh_event_data){ .properties = &bad_text, .property_count = 1 }), 0);
    cr_expect_eq(rh_event_data_size(&(rh_event_data){ .annotations = &bad_text, .annotation_count = 1 }), 0);
}

Test(event, takes_no_more_than_was_guessed_whatever_it_holds)
{
    static char text[RH_MESSAGE_ID_MAX + 1];
    static const rh_value values[] = {
        { .type = RH_NULL }, { .type = RH_BOOL, .boolean = true }, { .type = RH_LONG, .i = INT64_MIN }, { .type = RH_ULONG, .u = UINT64_MAX },
        { .type = RH_TIMESTAMP, .i = -1 }, { .type = RH_DOUBLE, .d = 0.1 }, { .type = RH_CHAR, .u = 0x20ac },
        { .type = RH_UUID, .bytes = { (const uint8_t *)text, 16 } }, { .type = RH_DECIMAL128, .bytes = { (const uint8_t *)text, 16 } },
        { .type = RH_STRING, .bytes = { (const uint8_t *)text, 0 } }, { .type = RH_STRING, .bytes = { (const uint8_t *)text, 300 } },
        { .type = RH_BINARY, .bytes = { (const uint8_t *)text, 255 } }, { .type = RH_LIST, .bytes = { (const uint8_t *)"\x45", 1 } },
    };
    rh_property pairs[40];
    memset(text, 't', RH_MESSAGE_ID_MAX);
    for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
        for (size_t count = 0; count <= 40; count += 20) {
            for (size_t n = 0; n < count; n++) pairs[n] = (rh_property){ rh_slice_of(text, n * 10), values[i] };
            for (size_t n = 0; n <= 128; n += 64) {
                rh_slice id = rh_slice_of(text, 4 * n), key = rh_slice_of(text, n);
                rh_event_data full = { .message_id = id, .correlation_id = id, .content_type = id, .partition_key = key, .body = id,
                                       .properties = pairs, .property_count = count };
                size_t size = rh_event_data_size(&full), most = rh_event_data_most(&full);
                cr_assert(size > 0 && size <= most, "value %zu, %zu pairs, texts of %zu: %zu of %zu", i, count, n, size, most);
                cr_expect(most <= size + 128 + count * 32, "value %zu, %zu pairs, texts of %zu: %zu of %zu", i, count, n, size, most);
            }
        }
    }
    cr_expect_eq(rh_event_data_most(&(rh_event_data){ .amqp_header = &(rh_amqp_header){ .has = 0 } }), 0);
}

Test(event, whose_body_was_encoded_by_the_caller_is_held_to_its_shape)
{
    static const struct {
        rh_body_kind kind;
        rh_slice body;
        bool good;
    } rows[] = {
        { RH_BODY_VALUE, { (const uint8_t *)"\xa1\x02hi", 4 }, true },
        { RH_BODY_VALUE, { (const uint8_t *)"\xa1\x05hi", 4 }, false },
        { RH_BODY_VALUE, { (const uint8_t *)"\x40\x40", 2 }, false },
        { RH_BODY_VALUE, { NULL, 0 }, false },
        { RH_BODY_SEQUENCE, { (const uint8_t *)"\xc0\x03\x01\x54\x01", 5 }, true },
        { RH_BODY_SEQUENCE, { (const uint8_t *)"\x54\x01", 2 }, false },
        { (rh_body_kind)9, { (const uint8_t *)"\x40", 1 }, false },
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        size_t n = rh_event_data_size(&(rh_event_data){ .body_kind = rows[i].kind, .body = rows[i].body });
        cr_expect_eq(n > 0, rows[i].good, "row %zu", i);
    }
}

Test(position, is_said_in_the_words_of_the_official_clients)
{
    static const struct {
        rh_position position;
        const char *words;
    } rows[] = {
        { { RH_POSITION_EARLIEST, false, 0, NULL }, "amqp.annotation.x-opt-offset > '-1'" },
        { { RH_POSITION_EARLIEST, true, 0, NULL }, "amqp.annotation.x-opt-offset > '-1'" },
        { { RH_POSITION_LATEST, false, 0, NULL }, "amqp.annotation.x-opt-offset > '@latest'" },
        { { RH_POSITION_OFFSET, false, 0, "4294967296" }, "amqp.annotation.x-opt-offset > '4294967296'" },
        { { RH_POSITION_OFFSET, true, 0, "a:1" }, "amqp.annotation.x-opt-offset >= 'a:1'" },
        { { RH_POSITION_SEQUENCE, false, 41, NULL }, "amqp.annotation.x-opt-sequence-number > '41'" },
        { { RH_POSITION_SEQUENCE, true, 41, NULL }, "amqp.annotation.x-opt-sequence-number >= '41'" },
        { { RH_POSITION_TIME, false, 1767225600000, NULL }, "amqp.annotation.x-opt-enqueued-time > '1767225600000'" },
        { { RH_POSITION_TIME, true, 1767225600000, NULL }, "amqp.annotation.x-opt-enqueued-time >= '1767225600000'" },
    };
    char words[RH_POSITION_MAX];
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        cr_assert(rh_position_is(&rows[i].position));
        rh_position_print(&rows[i].position, words);
        cr_expect_str_eq(words, rows[i].words);
    }
}

Test(position, is_the_filter_that_the_service_knows)
{
    uint8_t bytes[200];
    rh_enc e = rh_enc_of(bytes, sizeof bytes);
    rh_slice map = rh_position_encode(&e, &(rh_position){ .kind = RH_POSITION_EARLIEST });
    rh_dec d = rh_dec_of(map), items;
    cr_assert_eq(rh_dec_map(&d, &items), 2);
    cr_expect(rh_slice_is(rh_dec_symbol(&items), "apache.org:selector-filter:string"));
    cr_expect_eq(rh_dec_descriptor(&items), 0x0000468c00000004);
    cr_expect(rh_slice_is(rh_dec_string(&items), "amqp.annotation.x-opt-offset > '-1'"));
    rh_dec_end(&items);
    cr_expect_eq(d.status, RH_OK);
}

Test(position, that_would_end_its_own_quotes_is_refused)
{
    static char long_offset[RH_OFFSET_MAX + 2];
    memset(long_offset, '1', RH_OFFSET_MAX + 1);
    static const char *const bad[] = { "1' or '1", "", NULL, long_offset, "\xff" };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        rh_position position = { .kind = RH_POSITION_OFFSET, .offset = bad[i] };
        cr_expect_not(rh_position_is(&position), "row %zu", i);
    }
    cr_expect_not(rh_position_is(&(rh_position){ .kind = (rh_position_kind)99 }));
}

Test(event, a_property_of_text_needs_no_ceremony)
{
    rh_property property = rh_property_text("colour", "blue");
    cr_expect(rh_slice_is(property.key, "colour"));
    cr_expect_eq(property.value.type, RH_STRING);
    cr_expect(rh_slice_is(property.value.bytes, "blue"));
    rh_event_data with = { .body = rh_str("x"), .properties = &property, .property_count = 1 }, without = { .body = rh_str("x") };
    cr_expect_gt(rh_event_data_size(&with), rh_event_data_size(&without));
}
