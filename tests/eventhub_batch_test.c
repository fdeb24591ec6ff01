#include "eventhub/event_data.h"
#include "eventhub/producer.h"
#include "tests/heap.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

static void *heap_alloc(void *user, size_t n)
{
    (void)user;
    return malloc(n);
}

static void heap_free(void *user, void *p, size_t n)
{
    (void)user, (void)n;
    free(p);
}

static const rh_allocator from_heap = { heap_alloc, heap_free, NULL };

/* A producer that is nothing but its memory. */
static rh_producer *producer_of(size_t bytes)
{
    rh_producer *producer = calloc(1, sizeof *producer);
    rh_cells_init(&producer->cells, bytes, &from_heap);
    cr_assert(rh_cells_furnish(&producer->cells));
    return producer; /* armed 0: its timer is never set, for there is no loop */
}

static void drop(rh_producer *producer)
{
    rh_cells_fini(&producer->cells);
    free(producer);
}

static rh_batch *batch_of(rh_producer *producer, const char *key, size_t room)
{
    rh_batch *batch = NULL;
    cr_assert_eq(rh_batch_make(producer, rh_str(key), room, &batch), RH_OK);
    return batch;
}

static const rh_event_data hello = { .body = { (const uint8_t *)"hello", 5 } };

Test(batch, takes_events_until_the_next_does_not_fit_and_is_then_as_it_was)
{
    rh_producer *producer = producer_of(64 * 1024);
    rh_batch *batch = batch_of(producer, NULL, 4096);
    size_t one = rh_envelope_cost(rh_event_data_size(&hello)), before = rh_batch_bytes(batch);
    rh_status status;
    uint32_t added = 0;
    while ((status = rh_batch_add(batch, &hello)) == RH_OK) {
        added++;
        cr_assert_eq(rh_batch_bytes(batch), before + added * one);
        cr_assert_eq(rh_batch_count(batch), added);
    }
    cr_expect_eq(status, RH_E_BATCH_FULL);
    cr_expect_eq(added, (4096 - before) / one);
    cr_expect_eq(rh_batch_count(batch), added);
    cr_expect_eq(rh_batch_bytes(batch), before + added * one);
    cr_expect_lt(rh_batch_room(batch), rh_event_data_size(&hello));
    rh_batch_destroy(batch);
    cr_expect_eq(producer->cells.left, producer->cells.count, "every cell came back");
    drop(producer);
}

Test(batch, tells_an_event_that_fits_no_batch_from_one_that_comes_too_late)
{
    static uint8_t body[3000];
    rh_producer *producer = producer_of(64 * 1024);
    rh_batch *batch = batch_of(producer, NULL, 4096);
    rh_event_data large = { .body = rh_slice_of(body, sizeof body) };
    rh_event_data huge = { .body = rh_slice_of(body, sizeof body), .message_id = rh_slice_of(body, 0) };
    cr_expect_eq(rh_batch_add(batch, &large), RH_OK);
    cr_expect_eq(rh_batch_add(batch, &large), RH_E_BATCH_FULL);
    static uint8_t more[5000];
    huge.body = rh_slice_of(more, sizeof more);
    cr_expect_eq(rh_batch_add(batch, &huge), RH_E_TOO_BIG);
    cr_expect_eq(rh_batch_count(batch), 1);
    rh_batch *empty = batch_of(producer, "a key", 4096);
    cr_expect_eq(rh_batch_add(empty, &huge), RH_E_TOO_BIG);
    cr_expect_eq(rh_batch_add(empty, &hello), RH_OK);
    drop(producer);
}

static uint32_t roll(uint32_t *seed, uint32_t sides)
{
    *seed = *seed * 1664525u + 1013904223u;
    return (*seed >> 8) % sides;
}

/** Any event: every member may be there or not, in any size. */
static rh_event_data any_event(uint32_t *seed, const char *key)
{
    static uint8_t bytes[2000];
    static char text[RH_MESSAGE_ID_MAX + 1];
    static rh_property properties[3], annotations[2];
    memset(text, 'x', RH_MESSAGE_ID_MAX);
    rh_value values[] = {
        { .type = RH_NULL }, { .type = RH_BOOL, .boolean = true }, { .type = RH_UINT, .u = roll(seed, 1000) },
        { .type = RH_LONG, .i = -(int64_t)roll(seed, 1000) }, { .type = RH_DOUBLE, .d = 0.5 },
        { .type = RH_TIMESTAMP, .i = 1700000000000 }, { .type = RH_STRING, .bytes = rh_slice_of(text, roll(seed, 400)) },
        { .type = RH_BINARY, .bytes = rh_slice_of(bytes, roll(seed, 400)) },
    };
    rh_event_data event = { .body = rh_slice_of(bytes, roll(seed, 2) ? roll(seed, 2000) : 240 + roll(seed, 20)) };
    if (roll(seed, 2)) event.message_id = rh_slice_of(text, roll(seed, RH_MESSAGE_ID_MAX));
    if (roll(seed, 2)) event.correlation_id = rh_slice_of(text, roll(seed, RH_MESSAGE_ID_MAX));
    if (roll(seed, 2)) event.content_type = rh_str("application/json");
    if (key && roll(seed, 2)) event.partition_key = rh_str(key);
    event.properties = properties;
    event.property_count = roll(seed, 4);
    event.annotations = annotations;
    event.annotation_count = roll(seed, 3);
    for (size_t i = 0; i < event.property_count; i++)
        properties[i] = (rh_property){ rh_slice_of(text, 1 + i + roll(seed, 300)), values[roll(seed, 8)] };
    for (size_t i = 0; i < event.annotation_count; i++)
        annotations[i] = (rh_property){ rh_slice_of(text, 1 + i + roll(seed, 300)), values[roll(seed, 8)] };
    return event;
}

Test(batch, grows_by_exactly_what_was_told_before_whatever_the_event_holds)
{
    rh_producer *producer = producer_of(8 * 1024 * 1024);
    uint32_t seed = 1;
    for (int round = 0; round < 2000; round++) {
        const char *key = roll(&seed, 2) ? "device-42" : NULL;
        rh_batch *batch = batch_of(producer, key, 3000 + roll(&seed, 6000));
        for (int i = 0; i < 4; i++) {
            rh_event_data event = any_event(&seed, key);
            rh_event_data measured = event;
            measured.partition_key = rh_str(key);
            size_t told = rh_event_data_size(&measured), room = rh_batch_room(batch), before = rh_batch_bytes(batch);
            cr_assert_gt(told, 0);
            rh_status status = rh_batch_add(batch, &event);
            cr_assert_eq(status == RH_OK, told <= room, "told %zu, room %zu, %s", told, room, rh_status_name(status));
            cr_assert_eq(rh_batch_bytes(batch), before + (status ? 0 : rh_envelope_cost(told)));
        }
        cr_assert_eq(rh_batch_encoded(batch).n, rh_batch_bytes(batch));
        rh_batch_destroy(batch);
    }
    cr_expect_eq(producer->cells.left, producer->cells.count);
    drop(producer);
}

static bool has_key(const rh_message *message, const char *key)
{
    rh_value value;
    return message->message_annotations.p && rh_map_find(message->message_annotations, "x-opt-partition-key", &value) &&
           value.type == RH_STRING && rh_slice_is(value.bytes, key);
}

Test(batch, writes_its_key_into_the_annotations_of_the_envelope_and_of_every_event)
{
    rh_producer *producer = producer_of(64 * 1024);
    rh_batch *batch = batch_of(producer, "pk", 8192);
    rh_property own = { rh_str("x-mine"), { .type = RH_UINT, .u = 7 } };
    rh_event_data with_own = { .body = rh_str("b"), .annotations = &own, .annotation_count = 1 };
    rh_event_data with_key = { .body = rh_str("c"), .partition_key = rh_str("pk") };
    cr_assert_eq(rh_batch_add(batch, &hello), RH_OK);
    cr_assert_eq(rh_batch_add(batch, &with_own), RH_OK);
    cr_assert_eq(rh_batch_add(batch, &with_key), RH_OK);

    rh_message outer, inner;
    rh_dec events;
    rh_slice message;
    cr_assert_eq(rh_envelope_open(rh_batch_encoded(batch), &outer, &events), RH_OK);
    cr_expect(has_key(&outer, "pk"));
    cr_expect_null(outer.application_properties.p);
    int count = 0;
    while (rh_envelope_next(&events, &message)) {
        cr_assert_eq(rh_message_view(message, &inner), RH_OK);
        cr_expect(has_key(&inner, "pk"), "event %d", count);
        cr_expect_null(inner.application_properties.p);
        rh_value value;
        if (count++ == 1) cr_expect(rh_map_find(inner.message_annotations, "x-mine", &value) && value.u == 7);
    }
    cr_expect_eq(count, 3);
    drop(producer);
}

Test(batch, refuses_an_event_that_names_another_key_or_any_where_there_is_none)
{
    rh_producer *producer = producer_of(64 * 1024);
    rh_event_data event = { .body = rh_str("b"), .partition_key = rh_str("other") };
    cr_expect_eq(rh_batch_add(batch_of(producer, "pk", 1000), &event), RH_E_CONFLICT);
    cr_expect_eq(rh_batch_add(batch_of(producer, NULL, 1000), &event), RH_E_CONFLICT);
    drop(producer);
}

Test(batch, takes_keys_of_128_characters_however_many_bytes_they_have)
{
    char ascii[130] = { 0 }, wide[3 * 129 + 1] = { 0 };
    memset(ascii, 'k', 128);
    for (int i = 0; i < 128; i++) memcpy(wide + 3 * i, "\xe6\x97\xa5", 3);
    cr_expect(rh_partition_key_is(rh_str(ascii)));
    cr_expect(rh_partition_key_is(rh_str(wide)));
    ascii[128] = 'k';
    memcpy(wide + 3 * 128, "\xe6\x97\xa5", 3);
    cr_expect_not(rh_partition_key_is(rh_str(ascii)));
    cr_expect_not(rh_partition_key_is(rh_str(wide)));
    cr_expect_not(rh_partition_key_is(rh_str("\xff")));
}

Test(batch, without_a_key_has_the_sizes_that_the_official_python_client_reports)
{
    static char many[301];
    memset(many, 'A', 300);
    rh_producer *producer = producer_of(64 * 1024);
    rh_batch *batch = batch_of(producer, NULL, 8192);
    cr_expect_eq(rh_batch_bytes(batch), 0);
    cr_assert_eq(rh_batch_add(batch, &(rh_event_data){ .body = rh_str("hi") }), RH_OK);
    cr_expect_eq(rh_batch_bytes(batch), 12);
    static const uint8_t bytes[] = { 0x00, 0x53, 0x75, 0xa0, 0x07, 0x00, 0x53, 0x75, 0xa0, 0x02, 'h', 'i' };
    cr_expect(rh_slice_equal(rh_batch_encoded(batch), rh_slice_of(bytes, sizeof bytes)));
    cr_assert_eq(rh_batch_add(batch, &(rh_event_data){ .body = rh_str(many) }), RH_OK);
    cr_expect_eq(rh_batch_bytes(batch), 328);
    drop(producer);
}

Test(batch, allocates_nothing_while_it_is_made_filled_and_given_back)
{
    rh_producer *producer = producer_of(1024 * 1024);
    struct heap_count before = heap_count();
    for (int round = 0; round < 100; round++) {
        rh_batch *batch = NULL;
        if (rh_batch_make(producer, rh_str("key"), 200 * 1024, &batch) != RH_OK) break;
        while (rh_batch_add(batch, &hello) == RH_OK) {}
        rh_batch_destroy(batch);
    }
    struct heap_count after = heap_count();
    cr_expect_eq(after.ours, before.ours);
    cr_expect_eq(producer->cells.left, producer->cells.count);
    drop(producer);
}

Test(batch, holds_after_sealing_only_what_it_uses)
{
    rh_producer *producer = producer_of(1024 * 1024);
    rh_batch *batch = batch_of(producer, NULL, 1000 * 1000);
    cr_assert_eq(rh_batch_add(batch, &hello), RH_OK);
    cr_expect_null(rh_cells_take(&producer->cells, 500 * 1000));
    rh_batch_seal(batch);
    void *piece = rh_cells_take(&producer->cells, 1000 * 1000);
    cr_expect_not_null(piece);
    rh_cells_give(&producer->cells, piece, 1000 * 1000);
    rh_batch_destroy(batch);
    cr_expect_eq(producer->cells.left, producer->cells.count);
    drop(producer);
}

Test(cells, taken_in_any_order_never_overlap_and_all_come_back)
{
    enum { N = 512 * 1024, PIECES = 200 };
    rh_producer *producer = producer_of(N);
    uint8_t *pieces[PIECES] = { 0 };
    size_t sizes[PIECES] = { 0 };
    uint32_t seed = 7;
    for (int round = 0; round < 200000; round++) {
        uint32_t i = roll(&seed, PIECES);
        if (pieces[i]) {
            for (size_t k = 0; k < sizes[i]; k += 97) cr_assert_eq(pieces[i][k], (uint8_t)i);
            if (roll(&seed, 4) == 0 && sizes[i] > 1) {
                size_t keep = 1 + roll(&seed, (uint32_t)sizes[i] - 1);
                rh_cells_trim(&producer->cells, pieces[i], sizes[i], keep);
                sizes[i] = keep;
            } else {
                rh_cells_give(&producer->cells, pieces[i], sizes[i]);
                pieces[i] = NULL;
            }
            continue;
        }
        sizes[i] = 1 + roll(&seed, roll(&seed, 8) ? 2000 : 100000);
        pieces[i] = rh_cells_take(&producer->cells, sizes[i]);
        if (pieces[i]) memset(pieces[i], (int)i, sizes[i]);
    }
    for (int i = 0; i < PIECES; i++)
        if (pieces[i]) rh_cells_give(&producer->cells, pieces[i], sizes[i]);
    cr_expect_eq(producer->cells.left, producer->cells.count);
    void *all = rh_cells_take(&producer->cells, N);
    cr_expect_not_null(all, "and there is no crumb left");
    drop(producer);
}
