/* A partition that holds events and sends none is told of; one that is only quiet, or read slowly, is not. */
#include <criterion/criterion.h>

#include "eventhub/consumer.h"
#include "eventhub/eventhub.h"
#include "tests/client_world.h"
#include "tests/emulator_world.h"

static struct {
    client_world toy; /* its service sends nothing, and says that the last event is 41 */
    rh_consumer *consumer;
    unsigned     stalls;
    int64_t      last;
    rh_time      at;
    bool         destroys;
} t;

static void on_stalled(void *user, rh_consumer *consumer, int64_t last)
{
    (void)user;
    t.stalls++;
    t.last = last;
    t.at   = t.toy.toy.now;
    if (t.destroys) rh_consumer_destroy(consumer), t.consumer = NULL;
}

static void on_event(void *user, rh_consumer *consumer, const rh_event *event)
{
    (void)user, (void)consumer, (void)event;
}

static void open_from(rh_position position)
{
    memset(&t, 0, sizeof t);
    world_open(&t.toy, RH_CLIENT_OPTS(.retry.delay_ms = 100));
    cr_assert_eq(rh_consumer_open_wait(t.toy.client, RH_CONSUMER_OPTS(.partition = "0", .position = position, .stall_ms = 16000,
        .handler = { .on_event = on_event, .on_stalled = on_stalled }), &t.consumer, 0, NULL), RH_OK);
}

static void close_world(void)
{
    rh_consumer_destroy(t.consumer);
    cr_expect(world_close(&t.toy));
}

Test(watchdog, tells_of_events_that_wait_and_do_not_come)
{
    open_from((rh_position){ .kind = RH_POSITION_SEQUENCE, .value = 40 });
    rh_time start = t.toy.toy.now;
    toy_loop_pass(&t.toy.toy, 20);
    cr_expect_eq(t.stalls, 1);
    cr_expect_eq(t.last, 41);
    cr_expect_geq(t.at, start + RH_SECONDS(16) - RH_MS(10));
    cr_expect_leq(t.at, start + RH_MS(18100), "and an eighth");
    toy_loop_pass(&t.toy.toy, 20);
    cr_expect_eq(t.stalls, 2, "and again, while it lasts");
    close_world();
}

Test(watchdog, is_silent_while_nothing_waits)
{
    open_from((rh_position){ .kind = RH_POSITION_SEQUENCE, .value = 41 });
    toy_loop_pass(&t.toy.toy, 100);
    cr_expect_eq(t.stalls, 0);
    cr_expect_leq(t.toy.service.asks, 7, "one question each time");
    cr_expect_geq(t.toy.service.asks, 4);
    close_world();
}

Test(watchdog, of_a_reader_without_a_place_wants_to_see_the_partition_grow)
{
    open_from((rh_position){ .kind = RH_POSITION_TIME, .value = 1 });
    toy_loop_pass(&t.toy.toy, 100);
    cr_expect_eq(t.stalls, 0, "nobody knows whether anything is wanted");
    close_world();
    open_from((rh_position){ .kind = RH_POSITION_EARLIEST });
    toy_loop_pass(&t.toy.toy, 20);
    cr_expect_eq(t.stalls, 1, "of the beginning all is wanted");
    close_world();
}

Test(watchdog, asks_nobody_while_the_link_is_away_or_has_no_credit)
{
    open_from((rh_position){ .kind = RH_POSITION_SEQUENCE, .value = 40 });
    t.toy.service.attach_silent = true;
    cr_expect_eq(rh_link_detach(t.toy.service.events, true, "com.microsoft:server-busy", ""), RH_OK);
    toy_service_wake(&t.toy.service);
    toy_loop_pass(&t.toy.toy, 60);
    cr_expect_eq(t.stalls, 0);
    cr_expect_eq(t.toy.service.asks, 0);
    close_world();
}

Test(watchdog, may_be_gone_with_its_consumer_at_any_time)
{
    for (unsigned ms = 15500; ms < 18500; ms += 50) {
        for (unsigned how = 0; how < 4; how++) {
            open_from((rh_position){ .kind = RH_POSITION_SEQUENCE, .value = 40 });
            t.toy.toy.distance = RH_MS(100);
            t.destroys         = how == 3;
            cr_assert_eq(rh_loop_run(&t.toy.toy.loop, rh_time_after(t.toy.toy.now, RH_MS(ms))), RH_OK);
            if (how == 0) rh_consumer_close(t.consumer, 0);
            if (how == 1) rh_client_destroy(t.toy.client), t.toy.client = NULL;
            if (how == 2) toy_loop_break(&t.toy.toy);
            toy_loop_pass(&t.toy.toy, 5);
            close_world();
        }
    }
}

/* -- against the emulator: who reads is not disturbed ------------------------------------------------------ */

static emulator_world world;
static unsigned       inquiries;

static rh_emulator_fault judge(void *user, rh_emulator_moment moment, const char **condition)
{
    (void)user, (void)condition;
    if (moment == RH_EMULATOR_INQUIRY) inquiries++;
    return RH_EMULATOR_NO_FAULT;
}

Test(watchdog, asks_nobody_while_events_come)
{
    rh_emulator_hub hub = { .name = "hub", .partitions = 1 };
    rh_client      *client;
    rh_producer    *producer;
    rh_event_data   event = { .body = rh_str("a") };
    memset(&t, 0, sizeof t);
    inquiries = 0;
    namespace_open(&world, RH_EMULATOR_OPTS(.hubs = &hub, .hub_count = 1, .faults = { judge, NULL }));
    cr_assert_eq(rh_client_create(&world.toy.loop, RH_CLIENT_OPTS(
        .connection_string = "Endpoint=sb://toy/;SharedAccessKeyName=" RH_EMULATOR_RULE ";SharedAccessKey=" RH_EMULATOR_KEY
                             ";EntityPath=hub;UseDevelopmentEmulator=true"), &client, NULL), RH_OK);
    cr_assert_eq(rh_producer_open_wait(client, RH_PRODUCER_OPTS(.partition = "0"), &producer, 0, NULL), RH_OK);
    cr_assert_eq(rh_consumer_open_wait(client, RH_CONSUMER_OPTS(.partition = "0", .stall_ms = 5000,
        .handler = { .on_event = on_event, .on_stalled = on_stalled }), &t.consumer, 0, NULL), RH_OK);
    for (unsigned i = 0; i < 30; i++) {
        cr_assert_eq(rh_producer_send_event_wait(producer, &event, 0, NULL), RH_OK);
        toy_loop_pass(&world.toy, 4);
    }
    cr_expect_eq(inquiries, 0);
    toy_loop_pass(&world.toy, 60);
    cr_expect_geq(inquiries, 5);
    cr_expect_eq(t.stalls, 0, "all has come");
    rh_producer_destroy(producer);
    rh_consumer_destroy(t.consumer);
    rh_client_destroy(client);
    namespace_close(&world);
}
