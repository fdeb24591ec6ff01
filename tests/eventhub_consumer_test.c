#include "eventhub/consumer.h"
#include "tests/client_world.h"

#include <criterion/criterion.h>
#include <stdlib.h>

static struct story {
    unsigned events, opens, ends;
    rh_consumer_state end;
    rh_error error;
    int64_t first, last;
    bool out_of_order, destroy_in_event, destroy_in_state;
    unsigned keep; /* retain so many of the next events */
    const rh_event *kept[400];
    unsigned kept_count, agains;
    const uint8_t *body;
} story;

static client_world w;
static rh_consumer *consumer;

static void on_event(void *user, rh_consumer *c, const rh_event *event)
{
    (void)user;
    int64_t sequence = rh_event_sequence_number(event);
    if (!story.events) story.first = sequence;
    else if (sequence != story.last + 1) story.out_of_order = true;
    story.last = sequence;
    story.events++;
    story.body = rh_event_body(event).p;
    if (story.keep) {
        rh_status status = rh_event_retain(event, &story.kept[story.kept_count]);
        if (status == RH_OK) story.kept_count++, story.keep--;
        else story.agains++;
    }
    if (story.destroy_in_event) {
        rh_consumer_destroy(c);
        consumer = NULL;
    }
}

static void on_state(void *user, rh_consumer *c, rh_consumer_state state, const rh_error *error)
{
    (void)user;
    if (state == RH_CONSUMER_OPEN) {
        story.opens++;
        return;
    }
    story.ends++;
    story.end = state;
    if (error) story.error = *error;
    if (story.destroy_in_state) {
        rh_consumer_destroy(c);
        consumer = NULL;
    }
}

static void open_with(const rh_consumer_opts *opts, bool pull)
{
    rh_consumer_opts own = *opts;
    memset(&story, 0, sizeof story);
    own.handler.on_state = on_state;
    if (!pull) own.handler.on_event = on_event;
    world_open(&w, NULL);
    cr_assert_eq(rh_consumer_open(w.client, &own, &consumer), RH_OK);
    toy_loop_pass(&w.toy, 1);
}

static void close_all(void)
{
    rh_consumer_destroy(consumer);
    consumer = NULL;
    cr_expect(world_close(&w), "nothing is left");
}

static void turns(void)
{
    for (int i = 0; i < 200; i++) cr_assert_eq(rh_loop_turn(&w.toy.loop, w.toy.now), RH_OK);
}

/* -- the other side ---------------------------------------------------------------------------------- */

static uint32_t credit(void)
{
    return w.service.events ? rh_link_credit_left(w.service.events) : 0;
}

static rh_status send_bytes(uint8_t *bytes, size_t n)
{
    rh_slice part = { bytes, n };
    rh_delivery *delivery;
    rh_status status = rh_link_send(w.service.events, &(rh_transfer){ .parts = &part, .part_count = 1, .settled = true, .user = bytes }, &delivery);
    if (status) free(bytes); /* else the service frees it with the outcome */
    toy_service_wake(&w.service);
    return status;
}

static rh_status deliver(int64_t sequence, size_t body)
{
    size_t room = body + 200;
    uint8_t *bytes = malloc(room);
    memset(bytes, (int)('a' + sequence % 26), room);
    rh_enc e = rh_enc_of(bytes, room);
    rh_property stamps[] = {
        { rh_str("x-opt-sequence-number"), { .type = RH_LONG, .i = sequence } },
        { rh_str("x-opt-offset"), { .type = RH_STRING, .bytes = rh_str("4711") } },
    };
    uint8_t *content = malloc(body + 1);
    memset(content, (int)('a' + sequence % 26), body);
    rh_message_fields fields = {
        .message_annotations = stamps, .message_annotation_count = 2, .body_kind = RH_BODY_DATA, .body = rh_slice_of(content, body),
    };
    cr_assert_eq(rh_message_write(&e, &fields), RH_OK);
    free(content);
    return send_bytes(bytes, rh_enc_size(&e));
}

/** Sends while there is credit, as a partition with a backlog does. Answers the next number. */
static int64_t flood(int64_t from, int64_t count, size_t body)
{
    for (int64_t end = from + count; from < end && credit(); from++) {
        cr_assert_eq(deliver(from, body), RH_OK);
        turns();
    }
    return from;
}

static bool holds_its_bytes(const rh_event *event, int64_t sequence, size_t body)
{
    rh_slice bytes = rh_event_body(event);
    bool same = bytes.n == body && rh_event_sequence_number(event) == sequence && rh_slice_is(rh_event_offset(event), "4711");
    for (size_t i = 0; same && i < bytes.n; i++) same = bytes.p[i] == (uint8_t)('a' + sequence % 26);
    return same;
}

/* -- the ordinary way -------------------------------------------------------------------------------- */

Test(consumer, reads_its_partition_through_its_group)
{
    open_with(RH_CONSUMER_OPTS(.partition = "2", .group = "cg"), false);
    cr_expect_eq(story.opens, 1);
    cr_expect_str_eq(w.service.address, "hub/ConsumerGroups/cg/Partitions/2");
    cr_expect_str_eq(rh_consumer_partition(consumer), "2");
    cr_expect_str_eq(rh_consumer_group(consumer), "cg");
    cr_expect_eq(credit(), 300);
    cr_assert_eq(deliver(7, 100), RH_OK);
    turns();
    cr_expect_eq(story.events, 1);
    cr_expect_eq(story.first, 7);
    close_all();
}

Test(consumer, renews_credit_at_half_and_never_grants_more_than_prefetch)
{
    open_with(RH_CONSUMER_OPTS(.partition = "0", .prefetch = 10), false);
    uint32_t lowest = 10;
    cr_expect_eq(credit(), 10);
    for (int64_t i = 0; i < 100; i++) {
        cr_assert_eq(deliver(i, 10), RH_OK);
        turns();
        cr_assert_leq(credit(), 10);
        if (credit() < lowest) lowest = credit();
    }
    cr_expect_eq(lowest, 6, "at half, five, ten are granted again");
    cr_expect_eq(story.events, 100);
    cr_expect_not(story.out_of_order);
    close_all();
}

Test(consumer, takes_events_of_many_frames)
{
    open_with(RH_CONSUMER_OPTS(.partition = "0"), false);
    cr_expect_eq(flood(0, 5, 900 * 1024), 5);
    cr_expect_eq(story.events, 5);
    cr_expect_not(story.out_of_order);
    cr_expect_eq(rh_consumer_state_of(consumer), RH_CONSUMER_OPEN);
    close_all();
}

Test(consumer, grants_less_when_events_are_large)
{
    open_with(RH_CONSUMER_OPTS(.partition = "0"), false);
    for (int64_t i = 0; i < 300; i++) {
        cr_assert_eq(deliver(i, 500 * 1000), RH_OK);
        turns();
    }
    cr_expect_leq(credit(), 10, "4 MiB and the gather block have room for a few of these, not for 300");
    cr_expect_geq(credit(), 1);
    close_all();
}

/* -- keeping events ---------------------------------------------------------------------------------- */

Test(consumer, keeps_retained_events_until_they_are_released)
{
    open_with(RH_CONSUMER_OPTS(.partition = "0"), false);
    story.keep = 50;
    cr_expect_eq(flood(0, 100, 1000), 100);
    cr_expect_eq(story.kept_count, 50);
    cr_expect_eq(rh_consumer_held(consumer), 50);
    for (unsigned i = 0; i < 50; i++) cr_expect(holds_its_bytes(story.kept[i], i, 1000), "event %u", i);

    const rh_event *again;
    cr_expect_eq(rh_event_retain(story.kept[0], &again), RH_OK);
    cr_expect_eq(again, story.kept[0]);
    rh_event_release(again);
    cr_expect(holds_its_bytes(story.kept[0], 0, 1000), "counted, not gone");
    for (unsigned i = 50; i-- > 0;) rh_event_release(story.kept[i]);
    cr_expect_eq(rh_consumer_held(consumer), 0);
    close_all();
}

Test(consumer, keeps_a_gathered_event_without_moving_a_byte)
{
    open_with(RH_CONSUMER_OPTS(.partition = "0"), false);
    story.keep = 1;
    cr_assert_eq(deliver(0, 900 * 1024), RH_OK);
    turns();
    cr_assert_eq(story.kept_count, 1);
    cr_expect_eq(rh_event_body(story.kept[0]).p, story.body);
    cr_expect_eq(flood(1, 3, 900 * 1024), 4, "the next are gathered elsewhere");
    cr_expect(holds_its_bytes(story.kept[0], 0, 900 * 1024));
    rh_event_release(story.kept[0]);
    close_all();
}

Test(consumer, with_a_full_pool_answers_again_and_stops_credit_until_room_is_back)
{
    open_with(RH_CONSUMER_OPTS(.partition = "0", .prefetch_bytes = 64 * 1024, .event_bytes = 32 * 1024), false);
    story.keep = 400;
    int64_t next = 0, before = -1;
    while (next != before) {
        before = next;
        next = flood(next, 1000, 1000);
    }
    cr_expect_gt(story.kept_count, 40);
    cr_expect_eq(credit(), 0, "nothing more is asked for");
    for (unsigned i = 0; i < story.kept_count; i++) rh_event_release(story.kept[i]);
    story.keep = 0;
    turns();
    cr_expect_gt(credit(), 0);
    cr_expect_eq(flood(next, 20, 1000), next + 20);
    cr_expect_not(story.out_of_order);
    close_all();
}

Test(consumer, retained_events_outlive_it)
{
    open_with(RH_CONSUMER_OPTS(.partition = "0"), false);
    story.keep = 3;
    cr_expect_eq(flood(0, 3, 1000), 3);
    rh_consumer_destroy(consumer);
    consumer = NULL;
    toy_loop_pass(&w.toy, 1);
    for (unsigned i = 0; i < 3; i++) {
        cr_expect(holds_its_bytes(story.kept[i], i, 1000));
        rh_event_release(story.kept[i]);
    }
    close_all();
}

/** Small and gathered events come, and are kept and released. */
static void keep_some(int64_t first, int64_t count)
{
    for (int64_t i = first; i < first + count; i++) {
        story.keep = 1;
        cr_assert_eq(deliver(i, i % 10 ? 1000 : 100 * 1000), RH_OK);
        for (int turn = 0; turn < 20 && !story.kept_count; turn++) cr_assert_eq(rh_loop_turn(&w.toy.loop, w.toy.now), RH_OK);
        cr_assert_eq(story.kept_count, 1);
        rh_event_release(story.kept[--story.kept_count]);
    }
}

Test(consumer, allocates_nothing_while_it_is_busy)
{
    open_with(RH_CONSUMER_OPTS(.partition = "0"), false);
    keep_some(0, 10);
    size_t allocations = w.toy.allocations;
    w.toy.fail_allocation = 1;
    for (int tenth = 1; tenth < 50; tenth++) {
        keep_some(20 * tenth, 20);
        cr_assert_eq(rh_loop_run(&w.toy.loop, rh_time_after(w.toy.now, RH_MS(100))), RH_OK);
    }
    w.toy.fail_allocation = 0;
    cr_expect_eq(w.toy.allocations, allocations);
    close_all();
}

Test(consumer, holds_no_pool_before_its_first_need_and_two_seconds_after_its_last)
{
    open_with(RH_CONSUMER_OPTS(.partition = "0"), false);
    toy_loop_pass(&w.toy, 2);
    size_t idle = w.toy.bytes_allocated;
    cr_expect_lt(idle, 400 * 1024);
    cr_expect_eq(flood(0, 50, 1000), 50);
    cr_expect_lt(w.toy.bytes_allocated, idle + 100 * 1024, "events of one frame that nobody keeps need none");
    keep_some(50, 30);
    cr_expect_gt(w.toy.bytes_allocated, idle + 4 * 1024 * 1024);
    toy_loop_pass(&w.toy, 2);
    cr_expect_eq(w.toy.bytes_allocated, idle);

    story.keep = 1;
    cr_expect_eq(flood(80, 1, 100 * 1000), 81);
    toy_loop_pass(&w.toy, 10);
    cr_expect(holds_its_bytes(story.kept[0], 80, 100 * 1000), "what somebody holds stays");
    rh_event_release(story.kept[0]);
    toy_loop_pass(&w.toy, 2);
    cr_expect_eq(w.toy.bytes_allocated, idle);
    cr_expect_eq(flood(81, 2, 100 * 1000), 83, "large events are gathered again");
    close_all();
}

Test(consumer, that_is_told_to_keep_its_memory_asks_for_it_at_open_only)
{
    rh_consumer *poor;
    open_with(RH_CONSUMER_OPTS(.partition = "0", .keep_memory = true), false);
    size_t open = w.toy.bytes_allocated;
    cr_expect_gt(open, 4 * 1024 * 1024);
    w.toy.fail_from = 1024 * 1024;
    for (int64_t i = 0; i < 3; i++) {
        keep_some(10 * i, 10);
        toy_loop_pass(&w.toy, 5);
        cr_expect_eq(w.toy.bytes_allocated, open);
    }
    cr_expect_eq(rh_consumer_open(w.client, RH_CONSUMER_OPTS(.partition = "1", .keep_memory = true), &poor), RH_E_MEMORY);
    close_all();
}

Test(consumer, keeps_its_gather_buffer_while_an_event_is_half_there)
{
    open_with(RH_CONSUMER_OPTS(.partition = "0"), false);
    size_t idle = w.toy.bytes_allocated;
    cr_assert_eq(deliver(0, 900 * 1000), RH_OK);
    for (int turn = 0; turn < 50 && w.toy.bytes_allocated == idle; turn++) cr_assert_eq(rh_loop_turn(&w.toy.loop, w.toy.now), RH_OK);
    cr_assert_gt(w.toy.bytes_allocated, idle, "its first frames are there");
    w.toy.distance = RH_SECONDS(10);
    toy_loop_pass(&w.toy, 5);
    cr_assert_eq(story.events, 0, "and its last are not");
    toy_loop_pass(&w.toy, 10);
    cr_expect_eq(story.events, 1);
    toy_loop_pass(&w.toy, 2);
    cr_expect_eq(w.toy.bytes_allocated, idle);
    close_all();
}

Test(consumer, without_memory_for_its_pool_keeps_nothing_and_ends_at_an_event_of_several_frames)
{
    open_with(RH_CONSUMER_OPTS(.partition = "0"), false);
    story.keep = 1;
    w.toy.fail_from = 1024 * 1024;
    cr_expect_eq(flood(0, 1, 1000), 1);
    cr_expect_eq(story.agains, 1);
    story.keep = 0;
    cr_assert_eq(deliver(1, 100 * 1000), RH_OK);
    toy_loop_pass(&w.toy, 2);
    cr_expect_eq(story.events, 1);
    cr_expect_eq(story.end, RH_CONSUMER_CLOSED);
    cr_expect_eq(story.error.status, RH_E_MEMORY);
    close_all();
}

/* -- asking for events ------------------------------------------------------------------------------- */

Test(consumer, without_on_event_lets_events_be_fetched_in_order)
{
    open_with(RH_CONSUMER_OPTS(.partition = "0", .prefetch = 20), true);
    const rh_event *event;
    cr_expect_eq(rh_consumer_receive(consumer, &event), RH_AGAIN);
    cr_expect_eq(flood(0, 1000, 100), 20, "prefetch bounds what waits");
    cr_expect_eq(rh_consumer_held(consumer), 20);
    for (int64_t i = 0; i < 20; i++) {
        cr_assert_eq(rh_consumer_receive(consumer, &event), RH_OK);
        cr_expect(holds_its_bytes(event, i, 100));
        rh_event_release(event);
    }
    cr_expect_eq(rh_consumer_receive(consumer, &event), RH_AGAIN);
    turns();
    cr_expect(credit() > 10 && credit() <= 20);
    close_all();
}

Test(consumer, waits_for_an_event_no_longer_than_asked)
{
    open_with(RH_CONSUMER_OPTS(.partition = "0"), true);
    const rh_event *event;
    rh_time before = rh_loop_now(&w.toy.loop);
    cr_expect_eq(rh_consumer_receive_wait(consumer, &event, 3000), RH_E_TIMEOUT);
    cr_expect_null(event);
    cr_expect_geq(rh_loop_now(&w.toy.loop) - before, RH_SECONDS(3));
    cr_assert_eq(deliver(5, 100), RH_OK);
    cr_expect_eq(rh_consumer_receive_wait(consumer, &event, 3000), RH_OK);
    cr_expect(holds_its_bytes(event, 5, 100));
    rh_event_release(event);
    close_all();
}

Test(consumer, whose_pool_overflows_comes_back_behind_the_last_event_it_kept)
{
    open_with(RH_CONSUMER_OPTS(.partition = "0", .prefetch_bytes = 256 * 1024, .event_bytes = 128 * 1024), true);
    /* Credit was granted when nothing large had been seen. */
    cr_expect_eq(credit(), 300);
    int64_t next = 0;
    while (next < 20) cr_assert_eq(deliver(next++, 50 * 1000), RH_OK);
    turns();
    cr_expect_lt(consumer->waiting, 20);
    cr_expect_gt(consumer->waiting, 3);

    const rh_event *event;
    int64_t got = 0;
    for (int round = 0; round < 1000 && got < 200; round++) {
        while (rh_consumer_receive(consumer, &event) == RH_OK) {
            cr_assert(holds_its_bytes(event, got, 50 * 1000), "none is lost and none comes twice: %ld", (long)got);
            rh_event_release(event);
            got++;
        }
        toy_loop_pass(&w.toy, 1);
        if (w.service.events && credit()) flood(consumer->position.value + 1, 3, 50 * 1000);
    }
    cr_expect_eq(got, 200);
    cr_expect_geq(w.service.attaches, 2);
    cr_expect_eq(story.opens, 1, "nobody needs to know");
    cr_expect_eq(story.ends, 0);
    close_all();
}

/** Open, with so much in the pool that the link was left until there is room again. */
static void open_and_overflow(void)
{
    open_with(RH_CONSUMER_OPTS(.partition = "0", .prefetch_bytes = 256 * 1024, .event_bytes = 128 * 1024), true);
    for (int64_t next = 0; next < 20; next++) cr_assert_eq(deliver(next, 50 * 1000), RH_OK);
    toy_loop_pass(&w.toy, 1);
    cr_assert(consumer->rewinding);
    cr_assert_not(w.service.events, "no link meanwhile");
}

/** Takes all that waits, and answers why there is no more. */
static rh_status drain(void)
{
    const rh_event *event;
    rh_status status;
    while ((status = rh_consumer_receive(consumer, &event)) == RH_OK) rh_event_release(event);
    return status;
}

Test(consumer, between_two_links_learns_that_its_client_is_dead)
{
    open_and_overflow();
    rh_client_destroy(w.client);
    w.client = NULL;
    toy_loop_pass(&w.toy, 1);
    cr_expect_eq(story.ends, 1);
    cr_expect_eq(story.error.status, RH_E_CLOSED);
    cr_expect_eq(drain(), RH_E_CLOSED);
    toy_loop_pass(&w.toy, 1);
    close_all();
}

Test(consumer, between_two_links_learns_that_the_connection_is_lost)
{
    open_and_overflow();
    toy_loop_break(&w.toy);
    toy_loop_pass(&w.toy, 1);
    cr_expect_eq(story.ends, 1);
    cr_expect_eq(drain(), RH_E_CONNECTION_LOST);
    close_all();
}

Test(consumer, between_two_links_can_be_closed_with_a_full_pool)
{
    open_and_overflow();
    rh_consumer_close(consumer, 0);
    toy_loop_pass(&w.toy, 1);
    cr_expect_eq(story.end, RH_CONSUMER_CLOSED);
    cr_expect_eq(story.error.status, RH_OK);
    cr_expect_eq(drain(), RH_E_CLOSED);
    close_all();
}

Test(consumer, gives_what_waits_before_it_says_why_it_ended)
{
    open_with(RH_CONSUMER_OPTS(.partition = "0"), true);
    cr_expect_eq(flood(0, 2, 100), 2);
    toy_loop_break(&w.toy);
    toy_loop_pass(&w.toy, 1);
    const rh_event *event;
    for (int i = 0; i < 2; i++) {
        cr_assert_eq(rh_consumer_receive(consumer, &event), RH_OK);
        rh_event_release(event);
    }
    cr_expect_eq(rh_consumer_receive(consumer, &event), RH_E_CONNECTION_LOST);
    cr_expect_eq(story.end, RH_CONSUMER_CLOSED);
    cr_expect_eq(story.error.status, RH_E_CONNECTION_LOST);
    close_all();
}

/* -- endings ----------------------------------------------------------------------------------------- */

Test(consumer, that_is_stolen_says_so)
{
    open_with(RH_CONSUMER_OPTS(.partition = "0", .has_owner_level = true, .owner_level = 1), false);
    cr_assert_eq(rh_link_detach(w.service.events, true, "amqp:link:stolen", "New receiver with higher epoch of '2' is created."), RH_OK);
    toy_service_wake(&w.service);
    toy_loop_pass(&w.toy, 1);
    cr_expect_eq(story.ends, 1);
    cr_expect_eq(story.end, RH_CONSUMER_STOLEN);
    cr_expect_eq(story.error.status, RH_E_STOLEN);
    cr_expect_eq(story.error.error_class, RH_CLASS_STOLEN);
    close_all();
}

Test(consumer, that_is_refused_says_why)
{
    open_with(RH_CONSUMER_OPTS(.partition = "0"), false);
    rh_consumer_destroy(consumer);
    w.service.refuse = "amqp:not-found";
    w.service.refuse_words = "The messaging entity could not be found.";
    rh_error error;
    cr_expect_eq(rh_consumer_open_wait(w.client, RH_CONSUMER_OPTS(.partition = "0", .group = "nobody"), &consumer, 5000, &error), RH_E_NOT_FOUND);
    cr_expect_null(consumer);
    cr_expect_eq(error.status, RH_E_NOT_FOUND);
    close_all();
}

Test(consumer, ends_on_a_delivery_that_is_no_message)
{
    open_with(RH_CONSUMER_OPTS(.partition = "0"), false);
    uint8_t *bytes = malloc(4);
    memcpy(bytes, "junk", 4);
    cr_assert_eq(send_bytes(bytes, 4), RH_OK);
    toy_loop_pass(&w.toy, 1);
    cr_expect_eq(story.events, 0);
    cr_expect_eq(story.end, RH_CONSUMER_CLOSED);
    cr_expect_eq(story.error.status, RH_E_DECODE);
    close_all();
}

Test(consumer, closes_and_tells_once)
{
    open_with(RH_CONSUMER_OPTS(.partition = "0"), false);
    rh_consumer_close(consumer, 0);
    rh_consumer_close(consumer, 0);
    toy_loop_pass(&w.toy, 1);
    cr_expect_eq(story.ends, 1);
    cr_expect_eq(story.end, RH_CONSUMER_CLOSED);
    cr_expect_eq(story.error.status, RH_OK);
    cr_expect_eq(w.service.detaches, 1);
    cr_expect_eq(rh_consumer_close_wait(consumer, 1000, NULL), RH_OK);
    close_all();
}

Test(consumer, may_be_destroyed_inside_any_of_its_callbacks)
{
    open_with(RH_CONSUMER_OPTS(.partition = "0"), false);
    story.destroy_in_event = true;
    for (int64_t i = 0; i < 5; i++) cr_assert_eq(deliver(i, 100), RH_OK);
    toy_loop_pass(&w.toy, 1);
    cr_expect_eq(story.events, 1, "silence after destroy");
    cr_expect(world_close(&w));

    open_with(RH_CONSUMER_OPTS(.partition = "0"), false);
    story.destroy_in_state = true;
    toy_loop_break(&w.toy);
    toy_loop_pass(&w.toy, 1);
    cr_expect_eq(story.ends, 1);
    cr_expect(world_close(&w));
}

Test(consumer, refuses_options_that_make_no_sense)
{
    world_open(&w, NULL);
    static char long_name[400];
    memset(long_name, 'n', sizeof long_name - 1);
    const rh_consumer_opts *bad[] = {
        NULL,
        RH_CONSUMER_OPTS(.group = "cg"),
        RH_CONSUMER_OPTS(.partition = ""),
        RH_CONSUMER_OPTS(.partition = "0", .name = long_name),
        RH_CONSUMER_OPTS(.partition = "0", .position = { .kind = RH_POSITION_OFFSET }),
        RH_CONSUMER_OPTS(.partition = "0", .position = { .kind = RH_POSITION_OFFSET, .offset = "1' or '1" }),
        &(rh_consumer_opts){ .partition = "0" },
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        cr_expect_eq(rh_consumer_open(w.client, bad[i], &consumer), RH_E_ARGUMENT, "row %zu", i);
    close_all();
}

Test(consumer, that_gets_no_memory_says_so_and_leaves_nothing)
{
    unsigned refused = 0;
    for (size_t nth = 1; nth < 12; nth++) {
        world_open(&w, NULL);
        w.toy.fail_allocation = nth;
        rh_status status = rh_consumer_open_wait(w.client, RH_CONSUMER_OPTS(.partition = "0"), &consumer, 5000, NULL);
        cr_expect(status == RH_OK || status == RH_E_MEMORY, "allocation %zu: %s", nth, rh_status_name(status));
        refused += status == RH_E_MEMORY;
        w.toy.fail_allocation = 0;
        close_all();
    }
    cr_expect_gt(refused, 0);
}
