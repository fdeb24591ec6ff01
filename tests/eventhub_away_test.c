/* What somebody waits for, or is in the middle of, when a connection or link goes away and comes back. */
#include <criterion/criterion.h>
#include <stdio.h>

#include "emulator/connection.h"
#include "eventhub/connection.h"
#include "eventhub/consumer.h"
#include "eventhub/eventhub.h"
#include "eventhub/producer.h"
#include "proto/engine.h"
#include "tests/emulator_world.h"

static struct {
    emulator_world world;
    rh_client     *client;
    rh_producer   *producer;
    rh_consumer   *consumer;
    unsigned       forget;  /* so many sends are stored and not answered */
    unsigned       busy;    /* so many sends are refused for now */
    unsigned       told, closes, stolen;
    uint32_t       order[64];
    unsigned       read_count;
    uint32_t       read[64];
    char           what[128];
    rh_error       error;
} t;

static rh_emulator_fault judge(void *user, rh_emulator_moment moment, const char **condition)
{
    (void)user;
    if (moment != RH_EMULATOR_SEND) return RH_EMULATOR_NO_FAULT;
    if (t.busy) {
        t.busy--;
        *condition = "com.microsoft:server-busy";
        return RH_EMULATOR_REFUSE;
    }
    if (!t.forget) return RH_EMULATOR_NO_FAULT;
    t.forget--;
    return RH_EMULATOR_FORGET;
}

/* The first loss mends what cut it off. */
static void on_state(void *user, rh_client *client, rh_client_state state, const rh_error *error)
{
    (void)user, (void)client, (void)error;
    if (state == RH_CLIENT_CONNECTING) t.world.toy.cut_after = SIZE_MAX, t.world.toy.silent = false;
}

static void on_retry(void *user, rh_client *client, const rh_retry *retry)
{
    (void)user, (void)client;
    (void)snprintf(t.what, sizeof t.what, "%s", retry->what);
}

static void on_sent(void *user, rh_producer *producer, const rh_sent *sent)
{
    (void)user, (void)producer;
    cr_expect_eq(sent->status, RH_OK);
    if (t.told < 64) t.order[t.told++] = (uint32_t)(uintptr_t)sent->tag;
}

static void on_closed(void *user, rh_producer *producer, const rh_error *error)
{
    (void)user, (void)producer;
    t.closes++;
    if (error) t.error = *error;
}

static void on_event(void *user, rh_consumer *consumer, const rh_event *event)
{
    rh_slice body = rh_event_body(event);
    (void)user, (void)consumer;
    if (t.read_count < 64) memcpy(&t.read[t.read_count++], body.p, 4);
}

static void open_world(void)
{
    rh_emulator_hub hub = { .name = "hub", .partitions = 1 };
    memset(&t, 0, sizeof t);
    namespace_open(&t.world, RH_EMULATOR_OPTS(.hubs = &hub, .hub_count = 1, .faults = { judge, NULL }));
    cr_assert_eq(rh_client_create(&t.world.toy.loop, RH_CLIENT_OPTS(
        .connection_string = "Endpoint=sb://toy/;SharedAccessKeyName=" RH_EMULATOR_RULE ";SharedAccessKey=" RH_EMULATOR_KEY
                             ";EntityPath=hub;UseDevelopmentEmulator=true",
        .idle_time_out_ms = 3600 * 1000, .handler = { .on_state = on_state, .on_retry = on_retry }), &t.client, NULL), RH_OK);
}

static void open_producer(uint32_t in_flight)
{
    cr_assert_eq(rh_producer_open_wait(t.client, RH_PRODUCER_OPTS(.partition = "0", .in_flight = in_flight,
        .handler = { .on_sent = on_sent, .on_closed = on_closed }), &t.producer, 0, NULL), RH_OK);
}

static void send_number(uint32_t number)
{
    rh_event_data event = { .body = { (const uint8_t *)&number, 4 } };
    cr_assert_eq(rh_producer_send_event(t.producer, &event, rh_time_after(t.world.toy.now, RH_SECONDS(60)), (void *)(uintptr_t)number), RH_OK);
}

static void cut_soon(void)
{
    t.world.toy.cut_after = t.world.toy.bytes_in + 4;
}

static uint64_t stored(void)
{
    rh_emulator_stats stats;
    rh_emulator_stats_read(t.world.emulator, &stats);
    return stats.events_in;
}

static void detach_all(void)
{
    rh_emu_connection *connection = t.world.emulator->connections;
    for (rh_emu_link *link = connection->links; link; link = link->next)
        if (!link->is_leaving && link->path && strstr(link->path, "Partitions")) {
            link->is_leaving = true;
            cr_assert_eq(rh_link_detach(link->link, true, "amqp:internal-error", "A test asked for it."), RH_OK);
        }
    rh_emu_connection_wake(connection);
}

static void close_world(void)
{
    rh_producer_destroy(t.producer);
    rh_consumer_destroy(t.consumer);
    rh_client_destroy(t.client);
    namespace_close(&t.world);
}

/* -- calls that wait ---------------------------------------------------------------------------------- */

Test(away, a_send_that_is_waited_for_outlives_its_connection)
{
    rh_event_data event = { .body = rh_str("a") };
    open_world();
    open_producer(1);
    cut_soon();
    cr_expect_eq(rh_producer_send_event_wait(t.producer, &event, 20000, &t.error), RH_OK, "%s", t.error.description);
    cr_expect_eq(stored(), 2, "its answer was cut off");
    close_world();
}

Test(away, a_flush_waits_for_what_is_away)
{
    open_world();
    open_producer(4);
    for (uint32_t i = 0; i < 4; i++) send_number(i);
    cut_soon();
    cr_expect_eq(rh_producer_flush_wait(t.producer, 20000), RH_OK);
    cr_expect_eq(t.told, 4);
    close_world();
}

Test(away, a_receive_that_waits_gets_what_comes_on_the_next_connection)
{
    const rh_event *event = NULL;
    open_world();
    open_producer(1);
    cr_assert_eq(rh_consumer_open_wait(t.client, RH_CONSUMER_OPTS(.partition = "0"), &t.consumer, 0, NULL), RH_OK);
    send_number(1);
    toy_loop_break(&t.world.toy);
    cr_expect_eq(rh_consumer_receive_wait(t.consumer, &event, 20000), RH_OK);
    rh_event_release(event);
    close_world();
}

Test(away, an_opening_that_is_waited_for_outlives_the_connection_of_the_others)
{
    open_world();
    open_producer(1);
    cut_soon();
    cr_expect_eq(rh_consumer_open_wait(t.client, RH_CONSUMER_OPTS(.partition = "0"), &t.consumer, 20000, &t.error), RH_OK, "%s", t.error.description);
    toy_loop_pass(&t.world.toy, 2);
    cr_expect(rh_producer_is_open(t.producer));
    close_world();
}

Test(away, a_close_that_is_waited_for_needs_no_answer_of_who_is_gone)
{
    open_world();
    open_producer(1);
    cut_soon();
    rh_time start = t.world.toy.now;
    cr_expect_eq(rh_producer_close_wait(t.producer, 20000, &t.error), RH_OK, "%s", t.error.description);
    cr_expect_lt(t.world.toy.now - start, RH_SECONDS(1));
    close_world();
}

/* -- order ------------------------------------------------------------------------------------------- */

Test(away, what_flew_when_it_was_lost_goes_out_again_in_order_and_before_what_came_later)
{
    open_world();
    open_producer(16);
    t.forget = 8;
    for (uint32_t i = 0; i < 8; i++) send_number(i);
    toy_loop_pass(&t.world.toy, 1);
    toy_loop_break(&t.world.toy);
    toy_loop_pass(&t.world.toy, 0);
    for (uint32_t i = 8; i < 16; i++) send_number(i);
    toy_loop_pass(&t.world.toy, 30);
    cr_assert_eq(t.told, 16);
    for (uint32_t i = 0; i < 16; i++) cr_expect_eq(t.order[i], i);
    cr_expect_eq(stored(), 24);
    cr_assert_eq(rh_consumer_open_wait(t.client, RH_CONSUMER_OPTS(.partition = "0", .handler = { .on_event = on_event }), &t.consumer, 0, NULL), RH_OK);
    toy_loop_pass(&t.world.toy, 1);
    cr_assert_eq(t.read_count, 24);
    for (uint32_t i = 0; i < 24; i++) cr_expect_eq(t.read[i], i < 8 ? i : i - 8);
    close_world();
}

Test(away, what_a_busy_service_refused_goes_out_before_what_had_not_left)
{
    open_world();
    open_producer(16);
    t.busy = 1;
    send_number(0);
    toy_loop_pass(&t.world.toy, 1);
    cr_expect_str_eq(t.what, "sb://toy/hub/Partitions/0");
    for (uint32_t i = 1; i < 8; i++) send_number(i);
    toy_loop_pass(&t.world.toy, 30);
    cr_assert_eq(t.told, 8);
    for (uint32_t i = 0; i < 8; i++) cr_expect_eq(t.order[i], i);
    close_world();
}

/* -- in the middle of something ------------------------------------------------------------------------ */

Test(away, a_detach_that_is_not_answered_costs_the_connection_and_nothing_more)
{
    open_world();
    t.client->operation_timeout_ms = 5000;
    open_producer(1);
    detach_all();
    while (t.producer->attachment.state != RH_ATTACHMENT_ATTACHING) cr_assert_eq(rh_loop_turn(&t.world.toy.loop, RH_TIME_NEVER), RH_OK);
    t.world.toy.silent = true; /* until the connection is given up */
    toy_loop_pass(&t.world.toy, 30);
    cr_expect(rh_producer_is_open(t.producer));
    cr_expect_eq(t.world.toy.dials, 2);
    send_number(0);
    toy_loop_pass(&t.world.toy, 5);
    cr_expect_eq(t.told, 1);
    close_world();
}

Test(away, a_token_refused_while_its_link_is_still_being_left_ends_it)
{
    open_world();
    open_producer(1);
    detach_all();
    while (t.producer->attachment.state != RH_ATTACHMENT_LOST) cr_assert_eq(rh_loop_turn(&t.world.toy.loop, RH_TIME_NEVER), RH_OK);
    rh_error refused;
    rh_error_own(&refused, RH_E_UNAUTHORIZED, "refused", NULL, NULL);
    t.client->grants->valid = false;
    rh_attachments_refused(t.client, t.producer->attachment.grant, &refused);
    toy_loop_pass(&t.world.toy, 90);
    cr_expect_eq(t.closes, 1);
    cr_expect_eq(t.error.status, RH_E_UNAUTHORIZED);
    close_world();
}

Test(away, a_stream_that_breaks_the_protocol_ends_nothing)
{
    open_world();
    open_producer(1);
    t.world.toy.corrupt_at = t.world.toy.bytes_in + 8; /* the channel of the next frame */
    t.world.toy.corrupt_by = 0x80;
    send_number(0);
    toy_loop_pass(&t.world.toy, 30);
    cr_expect_eq(t.told, 1);
    cr_expect_eq(t.closes, 0, "%s", t.error.description);
    cr_expect_eq(t.world.toy.dials, 2);
    cr_expect(rh_producer_is_open(t.producer));
    close_world();
}

/* Its place in the engine is free only when the service has answered, which takes longer than the wait. */
Test(away, a_session_that_broke_the_protocol_does_not_keep_its_link_from_coming_back)
{
    open_world();
    open_producer(1);
    t.world.toy.distance = RH_MS(500);
    rh_session_fail(slot_of(t.producer->attachment.session), RH_E_WINDOW_VIOLATION, "a transfer too many");
    rh_client_poke(t.client, &t.client->timer);
    toy_loop_pass(&t.world.toy, 20);
    cr_expect_eq(t.closes, 0, "%s", t.error.description);
    cr_expect(rh_producer_is_open(t.producer));
    cr_expect_eq(t.world.toy.dials, 1);
    t.world.toy.distance = 0;
    close_world();
}

Test(away, a_reason_that_found_no_memory_is_not_taken_for_one_that_passes)
{
    open_world();
    open_producer(1);
    t.producer->attachment.error = (rh_story){ .status = RH_E_NOT_ALLOWED };
    rh_client_poke(t.client, &t.producer->attachment.timer);
    toy_loop_pass(&t.world.toy, 20);
    cr_expect_eq(t.closes, 1);
    close_world();
}

Test(away, memory_that_is_missing_for_a_while_is_waited_for)
{
    open_world();
    open_producer(1);
    toy_loop_break(&t.world.toy);
    t.world.toy.no_room = true;
    toy_loop_pass(&t.world.toy, 40);
    cr_expect(!rh_producer_is_open(t.producer));
    t.world.toy.no_room = false;
    toy_loop_pass(&t.world.toy, 40);
    cr_expect(rh_producer_is_open(t.producer));
    close_world();
}

static void on_reading(void *user, rh_consumer *consumer, rh_consumer_state state, const rh_error *error)
{
    (void)user, (void)consumer, (void)error;
    if (state == RH_CONSUMER_STOLEN) t.stolen++;
}

/* The service has not noticed yet that the connection of the first is dead. */
Test(away, a_reader_with_a_level_takes_over_from_its_own_ghost)
{
    static raw_client ghost;
    static raw_link   link;
    open_world();
    cr_assert(raw_open(&ghost, &t.world, NULL, NULL));
    raw_authorize(&ghost);
    open_producer(1);
    cr_assert_eq(rh_consumer_open_wait(t.client, RH_CONSUMER_OPTS(.partition = "0", .has_owner_level = true, .owner_level = 3,
        .handler = { .on_event = on_event, .on_state = on_reading }), &t.consumer, 0, NULL), RH_OK);
    detach_all();
    cr_assert(RAW_ATTACH(&ghost, &link, .address = "hub/ConsumerGroups/$Default/Partitions/0", .receiver = true, .fenced = true, .epoch = 3));
    toy_loop_pass(&t.world.toy, 10);
    cr_expect_eq(rh_consumer_state_of(t.consumer), RH_CONSUMER_OPEN);
    cr_expect_eq(t.stolen, 0);
    cr_expect(link.gone);
    send_number(7);
    toy_loop_pass(&t.world.toy, 2);
    cr_expect_eq(t.read_count, 1);
    raw_close(&ghost);
    close_world();
}

/* -- places that are taken ----------------------------------------------------------------------------- */

static raw_client readers;
static raw_link   places[5];

static bool take_places(unsigned count)
{
    bool taken = raw_open(&readers, &t.world, NULL, NULL);
    raw_authorize(&readers);
    for (unsigned i = 0; i < count && taken; i++) taken = RAW_ATTACH(&readers, &places[i], .address = "hub/ConsumerGroups/$Default/Partitions/0", .receiver = true);
    return taken;
}

static void open_reader(rh_status expected)
{
    rh_error error;
    cr_assert_eq(rh_consumer_open_wait(t.client, RH_CONSUMER_OPTS(.partition = "0", .handler = { .on_event = on_event, .on_state = on_reading }),
                                       &t.consumer, 0, &error), expected, "%s", error.description);
}

Test(away, a_reader_whose_place_its_ghosts_have_comes_back_when_they_are_gone)
{
    open_world();
    cr_assert(take_places(4));
    open_producer(1);
    open_reader(RH_OK);
    detach_all();
    cr_assert(RAW_ATTACH(&readers, &places[4], .address = "hub/ConsumerGroups/$Default/Partitions/0", .receiver = true));
    toy_loop_pass(&t.world.toy, 240);
    cr_expect_eq(rh_consumer_state_of(t.consumer), RH_CONSUMER_RECOVERING);
    raw_detach(&places[4]);
    toy_loop_pass(&t.world.toy, 40);
    cr_expect_eq(rh_consumer_state_of(t.consumer), RH_CONSUMER_OPEN);
    send_number(7);
    toy_loop_pass(&t.world.toy, 2);
    cr_expect_eq(t.read_count, 1);
    raw_close(&readers);
    close_world();
}

Test(away, a_reader_whose_place_is_taken_for_good_says_so_in_the_end)
{
    open_world();
    cr_assert(take_places(4));
    open_producer(1);
    open_reader(RH_OK);
    detach_all();
    cr_assert(RAW_ATTACH(&readers, &places[4], .address = "hub/ConsumerGroups/$Default/Partitions/0", .receiver = true));
    toy_loop_pass(&t.world.toy, 660);
    cr_expect_eq(rh_consumer_state_of(t.consumer), RH_CONSUMER_CLOSED);
    cr_expect_eq(rh_consumer_error(t.consumer)->status, RH_E_QUOTA);
    raw_close(&readers);
    close_world();
}

Test(away, a_reader_that_never_had_a_place_hears_at_once_that_there_is_none)
{
    open_world();
    cr_assert(take_places(5));
    rh_time start = t.world.toy.now;
    open_reader(RH_E_QUOTA);
    cr_expect_lt(t.world.toy.now - start, RH_SECONDS(1));
    raw_close(&readers);
    close_world();
}

/* -- a pool that is full --------------------------------------------------------------------------------- */

static void fill_hub(uint32_t count)
{
    uint32_t      body[225] = { 0 };
    rh_event_data event     = { .body = { (const uint8_t *)body, sizeof body } };
    for (; body[0] < count; body[0]++) cr_assert_eq(rh_producer_send_event_wait(t.producer, &event, 0, NULL), RH_OK);
}

static void take_all(void)
{
    const rh_event *event;
    while (rh_consumer_receive(t.consumer, &event) == RH_OK) {
        on_event(NULL, t.consumer, event);
        rh_event_release(event);
    }
}

Test(away, a_reader_with_a_full_pool_whose_detach_is_not_answered_reads_on)
{
    open_world();
    open_producer(1);
    fill_hub(24);
    cr_assert_eq(rh_consumer_open_wait(t.client, RH_CONSUMER_OPTS(.partition = "0", .event_bytes = 1100, .prefetch_bytes = 3000), &t.consumer, 0, NULL), RH_OK);
    for (unsigned i = 0; i < 1000 && !t.consumer->rewinding; i++) (void)!rh_loop_turn(&t.world.toy.loop, RH_NOWAIT);
    cr_assert(t.consumer->rewinding);
    t.world.toy.silent = true;
    toy_loop_pass(&t.world.toy, 61);
    t.world.toy.silent = false;
    cr_expect_eq(rh_consumer_state_of(t.consumer), RH_CONSUMER_OPEN, "%s", rh_consumer_error(t.consumer)->description);
    for (unsigned i = 0; i < 40 && t.read_count < 24; i++) take_all(), toy_loop_pass(&t.world.toy, 20);
    cr_expect_eq(t.read_count, 24);
    for (unsigned i = 0; i < t.read_count; i++) cr_expect_eq(t.read[i], i);
    close_world();
}

/* A full pool, and the service answers the detach but never the end of the session. */
static void leave_half_way(void)
{
    open_world();
    open_producer(1);
    fill_hub(24);
    cr_assert_eq(rh_consumer_open_wait(t.client, RH_CONSUMER_OPTS(.partition = "0", .event_bytes = 1100, .prefetch_bytes = 3000), &t.consumer, 0, NULL), RH_OK);
    for (unsigned i = 0; i < 1000 && t.consumer->attachment.state != RH_ATTACHMENT_LEAVING; i++) (void)!rh_loop_turn(&t.world.toy.loop, RH_NOWAIT);
    cr_assert_eq(t.consumer->attachment.state, RH_ATTACHMENT_LEAVING);
    t.world.toy.silent = true;
}

Test(away, a_reader_between_two_links_closes_without_the_end_of_the_first)
{
    leave_half_way();
    rh_time start = t.world.toy.now;
    cr_expect_eq(rh_consumer_close_wait(t.consumer, 5000, NULL), RH_OK);
    cr_expect_lt(t.world.toy.now - start, RH_SECONDS(1));
    close_world();
}

Test(away, a_session_whose_end_is_not_answered_costs_the_connection_and_not_the_reader)
{
    leave_half_way();
    unsigned dials = t.world.toy.dials;
    toy_loop_pass(&t.world.toy, 61);
    t.world.toy.silent = false;
    for (unsigned i = 0; i < 40 && t.read_count < 24; i++) take_all(), toy_loop_pass(&t.world.toy, 20);
    cr_expect_gt(t.world.toy.dials, dials);
    cr_expect_eq(t.read_count, 24);
    close_world();
}
