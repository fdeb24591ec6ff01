#include "eventhub/producer.h"
#include "tests/client_world.h"

#include <criterion/criterion.h>

/* What a producer told, in order; a send's tag is its number. */
static struct story {
    unsigned opens, closes, readies, sents;
    rh_status sent[64];
    size_t tag[64];
    rh_error last, closed;
    bool destroy_in_sent, destroy_in_closed, again, keep;
    size_t next; /* not 0: the tag of an event to send in on_sent */
    rh_batch *batch;
} story;

static client_world w;
static rh_producer *producer;

static void on_open(void *user, rh_producer *p)
{
    (void)user, (void)p;
    story.opens++;
}

static void on_sent(void *user, rh_producer *p, const rh_sent *sent)
{
    (void)user;
    cr_assert_lt(story.sents, 64);
    story.sent[story.sents] = sent->status;
    story.tag[story.sents++] = (size_t)sent->tag;
    if (sent->error) story.last = *sent->error;
    cr_expect_eq(sent->status == RH_OK, sent->error == NULL);
    story.batch = sent->batch;
    if (story.keep) rh_batch_keep(sent->batch);
    if (story.again) {
        story.again = false;
        cr_expect_eq(rh_producer_send(p, sent->batch, 0, sent->tag), RH_OK);
    }
    if (story.next) {
        cr_expect_eq(rh_producer_send_event(p, &(rh_event_data){ .body = rh_str("next") }, 0, (void *)story.next), RH_OK);
        story.next = 0;
    }
    if (story.destroy_in_sent) {
        rh_producer_destroy(p);
        producer = NULL;
    }
}

static void on_ready(void *user, rh_producer *p)
{
    (void)user, (void)p;
    story.readies++;
}

static void on_closed(void *user, rh_producer *p, const rh_error *error)
{
    (void)user;
    story.closes++;
    memset(&story.closed, 0, sizeof story.closed);
    if (error) story.closed = *error;
    if (story.destroy_in_closed) {
        rh_producer_destroy(p);
        producer = NULL;
    }
}

static const rh_producer_handler writes_down = { on_open, on_sent, on_ready, on_closed };

static void open_on(const rh_client_opts *client, const rh_producer_opts *opts)
{
    rh_producer_opts own = *opts;
    memset(&story, 0, sizeof story);
    own.handler = writes_down;
    world_open(&w, client);
    cr_assert_eq(rh_producer_open(w.client, &own, &producer), RH_OK);
}

static void open_with(const rh_producer_opts *opts)
{
    open_on(NULL, opts);
}

static void open_up(const rh_producer_opts *opts)
{
    open_with(opts);
    toy_loop_pass(&w.toy, 1);
    cr_assert_eq(story.opens, 1);
}

static void close_all(void)
{
    rh_producer_destroy(producer);
    producer = NULL;
    cr_expect(world_close(&w), "nothing is left");
}

static rh_time in_seconds(unsigned seconds)
{
    return rh_time_after(rh_loop_now(&w.toy.loop), RH_SECONDS(seconds));
}

static rh_status send_one(size_t tag, unsigned seconds)
{
    return rh_producer_send_event(producer, &(rh_event_data){ .body = rh_str("hello") }, in_seconds(seconds), (void *)tag);
}

static rh_batch *batch_with(unsigned events)
{
    rh_batch *batch = NULL;
    cr_assert_eq(rh_batch_create(producer, NULL, &batch), RH_OK);
    while (events--) cr_assert_eq(rh_batch_add(batch, &(rh_event_data){ .body = rh_str("hello") }), RH_OK);
    return batch;
}

/* -- the ordinary way ------------------------------------------------------------------------------ */

Test(producer, sends_to_the_partition_it_names_and_tells_the_outcome)
{
    open_up(RH_PRODUCER_OPTS(.partition = "3"));
    cr_expect_str_eq(w.service.address, "hub/Partitions/3");
    cr_expect_str_eq(rh_producer_partition(producer), "3");
    cr_expect(rh_producer_is_open(producer));
    cr_expect_eq(rh_producer_max_bytes(producer), 1048576);
    cr_assert_eq(send_one(7, 5), RH_OK);
    cr_expect_eq(story.sents, 0, "no callback from inside a call");
    toy_loop_pass(&w.toy, 1);
    cr_expect_eq(story.sents, 1);
    cr_expect_eq(story.sent[0], RH_OK);
    cr_expect_eq(story.tag[0], 7);
    cr_expect_null(story.batch);
    close_all();
}

Test(producer, without_a_partition_lets_the_service_choose)
{
    open_up(RH_PRODUCER_OPTS());
    cr_expect_str_eq(w.service.address, "hub");
    cr_expect_null(rh_producer_partition(producer));
    close_all();
}

Test(producer, takes_back_the_memory_of_a_batch_when_it_was_told)
{
    open_up(RH_PRODUCER_OPTS(.batches = 1));
    rh_batch *batch = batch_with(10);
    rh_batch *second;
    cr_expect_eq(rh_batch_create(producer, NULL, &second), RH_AGAIN);
    cr_assert_eq(rh_producer_send(producer, batch, in_seconds(5), NULL), RH_OK);
    cr_expect_eq(rh_producer_send(producer, batch, in_seconds(5), NULL), RH_E_STATE);
    cr_expect_eq(rh_batch_add(batch, &(rh_event_data){ .body = rh_str("late") }), RH_E_STATE);
    toy_loop_pass(&w.toy, 1);
    cr_expect_eq(story.sents, 1);
    cr_expect_eq(story.batch, batch);
    cr_expect_eq(story.readies, 1);
    cr_expect_eq(producer->cells.left, producer->cells.count);
    cr_expect_eq(rh_batch_create(producer, NULL, &second), RH_OK);
    close_all();
}

Test(producer, answers_again_beyond_in_flight_and_tells_when_there_is_room)
{
    open_up(RH_PRODUCER_OPTS(.in_flight = 2));
    cr_expect_eq(send_one(1, 5), RH_OK);
    cr_expect_eq(send_one(2, 5), RH_OK);
    cr_expect_eq(send_one(3, 5), RH_AGAIN);
    cr_expect_eq(rh_producer_in_flight(producer), 2);
    toy_loop_pass(&w.toy, 1);
    cr_expect_eq(story.sents, 2);
    cr_expect_geq(story.readies, 1);
    unsigned readies = story.readies;
    cr_expect_eq(send_one(3, 5), RH_OK);
    toy_loop_pass(&w.toy, 1);
    cr_expect_eq(story.readies, readies, "nobody was told RH_AGAIN since");
    cr_expect(story.tag[0] == 1 && story.tag[1] == 2 && story.tag[2] == 3, "order is kept");
    close_all();
}

Test(producer, takes_sends_before_it_is_open)
{
    open_with(RH_PRODUCER_OPTS(.in_flight = 4));
    cr_expect_eq(send_one(1, 5), RH_OK);
    cr_expect_eq(send_one(2, 5), RH_OK);
    rh_batch *batch;
    cr_expect_eq(rh_batch_create(producer, NULL, &batch), RH_AGAIN, "how large it may be is not known yet");
    toy_loop_pass(&w.toy, 1);
    cr_expect_eq(story.opens, 1);
    cr_expect_eq(story.sents, 2);
    cr_expect_eq(story.readies, 1);
    close_all();
}

Test(producer, gives_a_batch_back_inside_on_sent_to_whoever_sends_or_keeps_it)
{
    open_up(RH_PRODUCER_OPTS());
    rh_batch *batch = batch_with(3);
    story.again = true;
    cr_assert_eq(rh_producer_send(producer, batch, in_seconds(5), NULL), RH_OK);
    toy_loop_pass(&w.toy, 1);
    cr_expect_eq(story.sents, 2, "sent, and sent again");
    cr_expect_eq(w.service.deliveries, 2);
    cr_expect_eq(producer->cells.left, producer->cells.count);

    batch = batch_with(3);
    story.keep = true;
    cr_assert_eq(rh_producer_send(producer, batch, in_seconds(5), NULL), RH_OK);
    toy_loop_pass(&w.toy, 1);
    cr_expect_lt(producer->cells.left, producer->cells.count);
    cr_expect_eq(rh_batch_count(batch), 3);
    rh_batch_destroy(batch);
    cr_expect_eq(producer->cells.left, producer->cells.count);
    close_all();
}

Test(producer, refuses_what_cannot_be_sent)
{
    static uint8_t body[2000];
    open_up(RH_PRODUCER_OPTS(.partition = "0", .batch_bytes = 1000));
    rh_event_data large = { .body = rh_slice_of(body, sizeof body) };
    rh_event_data keyed = { .body = rh_str("b"), .partition_key = rh_str("pk") };
    rh_batch *batch;
    cr_expect_eq(rh_producer_send_event(producer, &large, 0, NULL), RH_E_TOO_BIG);
    cr_expect_eq(rh_producer_send_event(producer, &keyed, 0, NULL), RH_E_CONFLICT);
    cr_expect_eq(rh_batch_create(producer, RH_BATCH_OPTS(.partition_key = "pk"), &batch), RH_E_CONFLICT);
    cr_expect_eq(rh_batch_create(producer, RH_BATCH_OPTS(.max_bytes = 1001), &batch), RH_E_TOO_BIG);
    cr_assert_eq(rh_batch_create(producer, NULL, &batch), RH_OK);
    cr_expect_eq(rh_producer_send(producer, batch, 0, NULL), RH_E_ARGUMENT, "an empty batch");
    rh_batch_destroy(batch);
    rh_producer *other;
    cr_expect_eq(rh_producer_open(w.client, RH_PRODUCER_OPTS(.partition = ""), &other), RH_E_ARGUMENT);
    cr_expect_eq(rh_producer_open(w.client, &(rh_producer_opts){ .size = 0 }, &other), RH_E_ARGUMENT);
    close_all();
}

static void send_some(int rounds)
{
    for (int round = 0; round < rounds; round++) {
        cr_assert_eq(send_one(1, 5), RH_OK);
        cr_assert_eq(rh_producer_send(producer, batch_with(20), in_seconds(5), NULL), RH_OK);
        for (int turn = 0; turn < 20 && rh_producer_in_flight(producer); turn++)
            cr_assert_eq(rh_loop_turn(&w.toy.loop, w.toy.now), RH_OK);
        story.sents = 0;
    }
}

Test(producer, allocates_nothing_while_it_is_busy)
{
    open_up(RH_PRODUCER_OPTS(.in_flight = 8));
    send_some(2);
    size_t allocations = w.toy.allocations;
    w.toy.fail_allocation = 1;
    for (int tenth = 0; tenth < 47; tenth++) { /* as long as the credit of the toy service lasts */
        send_some(1);
        cr_assert_eq(rh_loop_run(&w.toy.loop, rh_time_after(w.toy.now, RH_MS(100))), RH_OK);
    }
    cr_expect_eq(w.toy.fail_allocation, 1, "nobody asked");
    w.toy.fail_allocation = 0;
    cr_expect_eq(w.toy.allocations, allocations);
    close_all();
}

Test(producer, holds_no_batch_memory_before_its_first_send_and_two_seconds_after_its_last)
{
    open_up(RH_PRODUCER_OPTS(.in_flight = 8));
    toy_loop_pass(&w.toy, 2);
    size_t idle = w.toy.bytes_allocated;
    cr_expect_lt(idle, 400 * 1024);
    send_some(3);
    cr_expect_gt(w.toy.bytes_allocated, idle + 3 * 1024 * 1024, "three full batches have room");
    toy_loop_pass(&w.toy, 2);
    cr_expect_eq(w.toy.bytes_allocated, idle);
    send_some(1);
    toy_loop_pass(&w.toy, 2);
    cr_expect_eq(w.toy.bytes_allocated, idle);
    uint64_t turns = w.toy.turns;
    toy_loop_pass(&w.toy, 20);
    cr_expect_leq(w.toy.turns - turns, 4, "and nobody looks any more");
    close_all();
}

Test(producer, that_is_told_to_keep_its_memory_asks_for_it_at_open_only)
{
    rh_producer *poor;
    open_up(RH_PRODUCER_OPTS(.keep_memory = true));
    size_t open = w.toy.bytes_allocated;
    cr_expect_gt(open, 3 * 1024 * 1024);
    w.toy.fail_from = 1024 * 1024;
    for (int i = 0; i < 3; i++) {
        cr_expect_eq(send_one(1, 5), RH_OK);
        toy_loop_pass(&w.toy, 5);
        cr_expect_eq(w.toy.bytes_allocated, open);
    }
    cr_expect_eq(story.sents, 3);
    cr_expect_eq(rh_producer_open(w.client, RH_PRODUCER_OPTS(.keep_memory = true), &poor), RH_E_MEMORY);
    close_all();
}

Test(producer, keeps_the_memory_of_a_batch_that_somebody_fills_slowly)
{
    open_up(RH_PRODUCER_OPTS());
    rh_batch *batch = batch_with(20);
    toy_loop_pass(&w.toy, 10);
    cr_assert_eq(rh_batch_add(batch, &(rh_event_data){ .body = rh_str("late") }), RH_OK);
    cr_expect_eq(rh_producer_send(producer, batch, in_seconds(5), NULL), RH_OK);
    toy_loop_pass(&w.toy, 1);
    cr_expect_eq(story.sent[0], RH_OK);
    close_all();
}

Test(producer, says_that_there_is_no_memory_for_a_batch_and_can_be_asked_again)
{
    open_up(RH_PRODUCER_OPTS(.in_flight = 8));
    rh_batch *batch = NULL;
    w.toy.fail_from = 1024 * 1024;
    cr_expect_eq(rh_batch_create(producer, NULL, &batch), RH_E_MEMORY);
    cr_expect_eq(send_one(1, 5), RH_E_MEMORY);
    w.toy.fail_from = 0;
    send_some(1);
    close_all();
}

/* -- deadlines ------------------------------------------------------------------------------------- */

Test(producer, ends_a_send_that_never_left_with_a_timeout)
{
    open_with(RH_PRODUCER_OPTS());
    w.service.attach_silent = true;
    cr_assert_eq(send_one(1, 5), RH_OK);
    toy_loop_pass(&w.toy, 4);
    cr_expect_eq(story.sents, 0);
    toy_loop_pass(&w.toy, 2);
    cr_expect_eq(story.sents, 1);
    cr_expect_eq(story.sent[0], RH_E_TIMEOUT);
    close_all();
}

Test(producer, ends_a_send_without_an_answer_as_unknown_and_goes_on)
{
    open_up(RH_PRODUCER_OPTS());
    w.service.keep_deliveries = true;
    cr_assert_eq(send_one(1, 5), RH_OK);
    toy_loop_pass(&w.toy, 6);
    cr_expect_eq(w.service.deliveries, 1);
    cr_expect_eq(story.sents, 1);
    cr_expect_eq(story.sent[0], RH_E_OUTCOME_UNKNOWN);
    cr_expect_lt(producer->cells.left, producer->cells.count, "the bytes are still lent");

    w.service.keep_deliveries = false;
    cr_assert_eq(send_one(2, 5), RH_OK);
    toy_loop_pass(&w.toy, 1);
    cr_expect_eq(story.sents, 2);
    cr_expect_eq(story.sent[1], RH_OK);
    close_all();
}

Test(producer, a_send_behind_the_one_that_is_told_leaves_without_waiting_for_others)
{
    open_up(RH_PRODUCER_OPTS(.partition = "3", .in_flight = 2));
    w.service.keep_deliveries = true;
    cr_assert_eq(send_one(0, 1), RH_OK);
    toy_loop_pass(&w.toy, 2);
    for (unsigned tag = 1; tag < 3; tag++) cr_assert_eq(send_one(tag, 30), RH_OK);
    toy_loop_pass(&w.toy, 1);
    cr_assert_eq(w.service.deliveries, 3, "all slots of the engine are taken");
    cr_assert_eq(rh_link_settle(w.service.events, 1, 1, RH_ACCEPTED, NULL, NULL), RH_OK);
    toy_service_wake(&w.service);
    story.next = 3;
    cr_assert_eq(rh_loop_run(&w.toy.loop, rh_time_after(w.toy.now, RH_MS(10))), RH_OK);
    cr_expect_eq(w.service.deliveries, 4);
    close_all();
}

Test(producer, a_send_behind_late_ones_leaves_at_once)
{
    open_up(RH_PRODUCER_OPTS(.partition = "3"));
    w.service.keep_deliveries = true;
    for (unsigned late = 0; late < 3; late++) {
        cr_assert_eq(send_one(late, 1), RH_OK);
        toy_loop_pass(&w.toy, 2);
        cr_assert_eq(story.sents, late + 1);
    }
    cr_assert_eq(send_one(3, 30), RH_OK);
    toy_loop_pass(&w.toy, 1);
    cr_expect_eq(w.service.deliveries, 4);
    w.service.keep_deliveries = false;
    cr_assert_eq(rh_link_settle(w.service.events, 0, 100, RH_ACCEPTED, NULL, NULL), RH_OK);
    toy_service_wake(&w.service);
    cr_assert_eq(rh_loop_run(&w.toy.loop, rh_time_after(w.toy.now, RH_MS(10))), RH_OK);
    cr_assert_eq(story.sents, 4);
    cr_expect_eq(story.sent[3], RH_OK);
    close_all();
}

Test(producer, whose_every_slot_waits_for_an_answer_that_does_not_come_gets_a_new_link)
{
    open_on(RH_CLIENT_OPTS(.retry = { .delay_ms = 10 }), RH_PRODUCER_OPTS(.partition = "3"));
    toy_loop_pass(&w.toy, 1);
    w.service.keep_deliveries = true;
    size_t late = 0;
    for (rh_status status = RH_OK; status == RH_OK && late < 16; late += status == RH_OK) {
        status = send_one(late, 1);
        toy_loop_pass(&w.toy, 2);
    }
    cr_assert_lt(late, 16, "some day there is no room for another");
    w.service.keep_deliveries = false;
    toy_loop_pass(&w.toy, 5);
    cr_expect_eq(story.readies, 1);
    cr_assert_eq(send_one(99, 5), RH_OK);
    toy_loop_pass(&w.toy, 1);
    cr_assert_eq(story.sents, late + 1, "the late ones were told once");
    cr_expect_eq(story.sent[late], RH_OK);
    cr_expect_eq(story.closes, 0);
    close_all();
}

/* Whoever sends anew as soon as a send ends always has some that wait: for the credit that those without answer have used up. */
Test(producer, whose_credit_is_used_up_by_sends_without_answer_gets_a_new_link_though_others_wait)
{
    open_on(RH_CLIENT_OPTS(.retry = { .delay_ms = 10 }), RH_PRODUCER_OPTS(.partition = "3", .in_flight = 4));
    toy_loop_pass(&w.toy, 1);
    w.service.keep_deliveries = true;
    cr_assert_eq(rh_link_credit(w.service.events, 3), RH_OK);
    toy_service_wake(&w.service);
    toy_loop_pass(&w.toy, 1);
    for (size_t i = 0; i < 3; i++) cr_assert_eq(send_one(i, 1), RH_OK);
    toy_loop_pass(&w.toy, 2);
    cr_assert_eq(story.sents, 3);
    w.service.keep_deliveries = false;
    for (size_t i = 3; i < 30 && story.sent[story.sents - 1] != RH_OK; i++) {
        (void)!send_one(i, 3);
        toy_loop_pass(&w.toy, 1);
    }
    cr_expect_eq(story.sent[story.sents - 1], RH_OK);
    close_all();
}

Test(producer, takes_a_late_answer_without_telling_twice)
{
    open_up(RH_PRODUCER_OPTS());
    w.service.keep_deliveries = true;
    cr_assert_eq(send_one(1, 5), RH_OK);
    toy_loop_pass(&w.toy, 6);
    cr_assert_eq(story.sents, 1);
    cr_assert_eq(rh_link_settle(w.service.events, 0, 100, RH_ACCEPTED, NULL, NULL), RH_OK);
    toy_service_wake(&w.service);
    toy_loop_pass(&w.toy, 1);
    cr_expect_eq(story.sents, 1);
    cr_expect_eq(producer->cells.left, producer->cells.count);
    close_all();
}

/* -- the service says no, or nothing ----------------------------------------------------------------- */

static void answer_with(rh_outcome_kind outcome, const char *condition)
{
    open_up(RH_PRODUCER_OPTS());
    w.service.keep_deliveries = true;
    cr_assert_eq(send_one(1, 5), RH_OK);
    toy_loop_pass(&w.toy, 1);
    cr_assert_eq(rh_link_settle(w.service.events, 0, 100, outcome, condition, "because. TrackingId:t-1"), RH_OK);
    toy_service_wake(&w.service);
    toy_loop_pass(&w.toy, 1);
    cr_assert_eq(story.sents, 1);
    close_all();
}

Test(producer, tells_a_rejection_by_the_service_s_own_condition)
{
    answer_with(RH_REJECTED, "com.microsoft:server-busy");
    cr_expect_eq(story.sent[0], RH_E_SERVER_BUSY);
    cr_expect_str_eq(story.last.condition, "com.microsoft:server-busy");
    cr_expect_not_null(strstr(story.last.description, "because"));
}

Test(producer, tells_events_that_were_released_or_modified_from_those_stored)
{
    answer_with(RH_RELEASED, NULL);
    cr_expect_eq(story.sent[0], RH_E_RELEASED);
    answer_with(RH_MODIFIED, NULL);
    cr_expect_eq(story.sent[0], RH_E_MODIFIED);
    answer_with(RH_SETTLED, NULL);
    cr_expect_eq(story.sent[0], RH_E_OUTCOME_UNKNOWN);
}

Test(producer, that_is_refused_says_why_to_every_send_and_closes)
{
    open_with(RH_PRODUCER_OPTS(.partition = "99", .in_flight = 3));
    w.service.refuse = "amqp:not-found";
    w.service.refuse_words = "The messaging entity could not be found.";
    cr_assert_eq(send_one(1, 5), RH_OK);
    cr_assert_eq(send_one(2, 5), RH_OK);
    toy_loop_pass(&w.toy, 1);
    cr_expect_eq(story.opens, 0);
    cr_expect_eq(story.closes, 1);
    cr_expect_eq(story.closed.status, RH_E_NOT_FOUND);
    cr_expect_eq(story.sents, 2);
    cr_expect_eq(story.sent[0], RH_E_NOT_FOUND);
    cr_expect_eq(send_one(3, 5), RH_E_NOT_FOUND);
    close_all();
}

Test(producer, tells_lost_sends_that_left_from_those_that_never_did)
{
    open_up(RH_PRODUCER_OPTS(.in_flight = 3));
    w.service.keep_deliveries = true;
    cr_assert_eq(send_one(1, 30), RH_OK);
    toy_loop_pass(&w.toy, 1);
    cr_assert_eq(send_one(2, 30), RH_OK);
    toy_loop_break(&w.toy);
    toy_loop_pass(&w.toy, 1);
    cr_expect_eq(story.sents, 2);
    cr_expect_eq(story.sent[0], RH_E_OUTCOME_UNKNOWN);
    cr_expect_eq(story.tag[0], 1);
    cr_expect_neq(story.sent[1], RH_OK);
    cr_expect_eq(story.closes, 1);
    cr_expect_eq(story.closed.status, RH_E_CONNECTION_LOST);
    close_all();
}

Test(producer, tells_every_send_once_wherever_the_connection_is_cut)
{
    size_t whole = 0;
    for (size_t cut = 0; cut <= whole + 60 || !whole; cut += whole ? 13 : 1) {
        open_with(RH_PRODUCER_OPTS(.in_flight = 4));
        w.toy.cut_after = whole ? cut : SIZE_MAX;
        unsigned taken = 0;
        for (int second = 0; second < 6; second++) {
            while (taken < 12 && send_one(taken, 3) == RH_OK) taken++;
            toy_loop_pass(&w.toy, 1);
        }
        cr_assert_eq(story.sents, taken, "cut after %zu bytes: %u of %u", cut, story.sents, taken);
        for (unsigned i = 0; i < taken; i++) cr_assert_eq(story.tag[i], i, "in order");
        cr_assert_eq(story.closes, w.toy.cut_after == SIZE_MAX || w.toy.bytes_in < w.toy.cut_after ? 0 : 1);
        if (!whole) {
            whole = w.toy.bytes_in;
            cr_assert_eq(taken, 12);
        }
        close_all();
    }
}

/* -- endings --------------------------------------------------------------------------------------- */

Test(producer, closes_after_the_last_outcome)
{
    open_up(RH_PRODUCER_OPTS());
    cr_assert_eq(send_one(1, 5), RH_OK);
    rh_producer_close(producer, 0);
    cr_expect_eq(send_one(2, 5), RH_E_CLOSED);
    toy_loop_pass(&w.toy, 1);
    cr_expect_eq(story.sents, 1);
    cr_expect_eq(story.sent[0], RH_OK);
    cr_expect_eq(story.closes, 1);
    cr_expect_eq(story.closed.status, RH_OK);
    cr_expect_eq(w.service.detaches, 1);
    close_all();
}

Test(producer, closes_at_the_deadline_whatever_is_in_flight)
{
    open_up(RH_PRODUCER_OPTS());
    w.service.keep_deliveries = true;
    cr_assert_eq(send_one(1, 60), RH_OK);
    toy_loop_pass(&w.toy, 1);
    rh_producer_close(producer, in_seconds(3));
    toy_loop_pass(&w.toy, 10);
    cr_expect_eq(story.sents, 1);
    cr_expect_eq(story.sent[0], RH_E_OUTCOME_UNKNOWN);
    cr_expect_eq(story.closes, 1);
    close_all();
}

Test(producer, may_be_destroyed_inside_any_of_its_callbacks)
{
    open_up(RH_PRODUCER_OPTS(.in_flight = 3));
    story.destroy_in_sent = true;
    for (size_t i = 0; i < 3; i++) cr_assert_eq(send_one(i, 5), RH_OK);
    toy_loop_pass(&w.toy, 1);
    cr_expect_eq(story.sents, 1, "silence after destroy");
    close_all();

    open_up(RH_PRODUCER_OPTS());
    story.destroy_in_closed = true;
    rh_producer_close(producer, 0);
    toy_loop_pass(&w.toy, 1);
    cr_expect_eq(story.closes, 1);
    close_all();

    open_up(RH_PRODUCER_OPTS(.in_flight = 3));
    w.service.keep_deliveries = true;
    story.destroy_in_sent = true;
    for (size_t i = 0; i < 3; i++) cr_assert_eq(send_one(i, 5), RH_OK);
    toy_loop_pass(&w.toy, 6);
    cr_expect_eq(story.sents, 1, "at a deadline too");
    close_all();
}

Test(producer, destroyed_with_sends_on_their_way_gives_everything_back)
{
    open_up(RH_PRODUCER_OPTS(.in_flight = 3));
    for (size_t i = 0; i < 3; i++) cr_assert_eq(send_one(i, 5), RH_OK);
    close_all();
    cr_expect_eq(story.sents, 0);
}

Test(producer, outlives_its_client_s_end_without_touching_it)
{
    open_up(RH_PRODUCER_OPTS());
    w.service.keep_deliveries = true;
    cr_assert_eq(send_one(1, 5), RH_OK);
    toy_loop_pass(&w.toy, 1);
    rh_client_destroy(w.client);
    w.client = NULL;
    toy_loop_pass(&w.toy, 10);
    cr_expect_eq(story.closes, 1);
    cr_expect_eq(story.sents, 1);
    cr_expect_eq(send_one(2, 5), RH_E_CLOSED);
    close_all();
}

/* -- waiting --------------------------------------------------------------------------------------- */

Test(producer, sends_and_waits_in_one_call)
{
    rh_error error;
    world_open(&w, NULL);
    cr_assert_eq(rh_producer_open_wait(w.client, NULL, &producer, 5000, &error), RH_OK);
    cr_expect_eq(rh_producer_send_event_wait(producer, &(rh_event_data){ .body = rh_str("hello") }, 5000, &error), RH_OK);
    rh_batch *batch = batch_with(5);
    cr_expect_eq(rh_producer_send_wait(producer, batch, 5000, &error), RH_OK);
    cr_expect_eq(w.service.deliveries, 2);
    w.service.keep_deliveries = true;
    batch = batch_with(5);
    cr_expect_eq(rh_producer_send_wait(producer, batch, 3000, &error), RH_E_OUTCOME_UNKNOWN);
    cr_expect_eq(error.status, RH_E_OUTCOME_UNKNOWN);
    w.service.keep_deliveries = false;
    cr_expect_eq(rh_producer_send_wait(producer, batch, 3000, &error), RH_OK, "it was still ours to send again");
    cr_expect_eq(rh_producer_flush_wait(producer, 1000), RH_OK);
    cr_expect_eq(rh_producer_close_wait(producer, 1000, &error), RH_OK);
    cr_expect_eq(rh_producer_send_event_wait(producer, &(rh_event_data){ .body = rh_str("late") }, 5000, &error), RH_E_CLOSED);
    close_all();
}

Test(producer, that_cannot_be_opened_is_not_there)
{
    rh_error error;
    world_open(&w, NULL);
    w.service.refuse = "com.microsoft:argument-out-of-range";
    w.service.refuse_words = "The specified partition is invalid.";
    cr_expect_eq(rh_producer_open_wait(w.client, RH_PRODUCER_OPTS(.partition = "9"), &producer, 5000, &error), RH_E_SERVICE_ARGUMENT);
    cr_expect_null(producer);
    cr_expect_str_eq(error.condition, "com.microsoft:argument-out-of-range");
    close_all();
}

Test(producer, that_gets_no_memory_says_so_and_leaves_nothing)
{
    unsigned refused = 0;
    for (size_t nth = 1; nth < 12; nth++) {
        world_open(&w, NULL);
        w.toy.fail_allocation = nth;
        rh_status status = rh_producer_open_wait(w.client, NULL, &producer, 5000, NULL);
        cr_expect(status == RH_OK || status == RH_E_MEMORY, "allocation %zu: %s", nth, rh_status_name(status));
        refused += status == RH_E_MEMORY;
        w.toy.fail_allocation = 0;
        close_all();
    }
    cr_expect_gt(refused, 0);
}
