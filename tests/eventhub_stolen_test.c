/* Whoever loses a partition to another hears so, once and for good, in whatever disguise it comes; and whose token ends hears nothing. */
#include <criterion/criterion.h>

#include "emulator/connection.h"
#include "eventhub/connection.h"
#include "eventhub/eventhub.h"
#include "tests/emulator_world.h"

static struct {
    emulator_world world;
    raw_client     thief;
    raw_link       taken;
    rh_client     *client;
    rh_producer   *producer;
    rh_consumer   *consumer;
    unsigned       stolen, opens, ends, events, events_late, sents, closes;
    rh_error       error;
    rh_sent        sent;
} t;

static void on_event(void *user, rh_consumer *consumer, const rh_event *event)
{
    (void)user, (void)consumer, (void)event;
    t.events++;
    if (t.stolen) t.events_late++;
}

static void on_state(void *user, rh_consumer *consumer, rh_consumer_state state, const rh_error *error)
{
    (void)user, (void)consumer;
    if (state == RH_CONSUMER_OPEN) t.opens++;
    if (state == RH_CONSUMER_STOLEN) t.stolen++;
    if (state == RH_CONSUMER_CLOSED) t.ends++;
    if (state == RH_CONSUMER_STOLEN && error) t.error = *error;
}

static void on_sent(void *user, rh_producer *producer, const rh_sent *sent)
{
    (void)user, (void)producer;
    t.sents++;
    t.sent = *sent;
}

static void on_closed(void *user, rh_producer *producer, const rh_error *error)
{
    (void)user, (void)producer, (void)error;
    t.closes++;
}

static void open_world(void)
{
    rh_emulator_hub hub = { .name = "hub", .partitions = 1 };
    memset(&t, 0, sizeof t);
    namespace_open(&t.world, RH_EMULATOR_OPTS(.hubs = &hub, .hub_count = 1));
    cr_assert(raw_open(&t.thief, &t.world, NULL, NULL));
    raw_authorize(&t.thief);
    cr_assert_eq(rh_client_create(&t.world.toy.loop, RH_CLIENT_OPTS(
        .connection_string = "Endpoint=sb://toy/;SharedAccessKeyName=" RH_EMULATOR_RULE ";SharedAccessKey=" RH_EMULATOR_KEY
                             ";EntityPath=hub;UseDevelopmentEmulator=true"), &t.client, NULL), RH_OK);
    cr_assert_eq(rh_producer_open_wait(t.client, RH_PRODUCER_OPTS(.partition = "0", .handler = { .on_sent = on_sent, .on_closed = on_closed }),
                                       &t.producer, 0, NULL), RH_OK);
    cr_assert_eq(rh_consumer_open(t.client, RH_CONSUMER_OPTS(.partition = "0", .has_owner_level = true, .owner_level = 1,
        .handler = { .on_event = on_event, .on_state = on_state }), &t.consumer), RH_OK);
    toy_loop_pass(&t.world.toy, 1);
    cr_assert_eq(t.opens, 1);
}

static void steal(int64_t epoch)
{
    cr_assert(RAW_ATTACH(&t.thief, &t.taken, .address = "hub/ConsumerGroups/$Default/Partitions/0", .receiver = true, .fenced = true, .epoch = epoch,
                         .receiver_name = "the-new-owner"));
}

static rh_emu_link *link_of(const char *part)
{
    rh_emu_connection *connection = t.world.emulator->connections;
    for (rh_emu_link *link = connection->links; link; link = link->next)
        if (!link->is_leaving && link->path && strstr(link->path, part)) return link;
    return NULL;
}

static void detach(const char *part, const char *condition)
{
    rh_emu_link *link = link_of(part);
    cr_assert(link);
    link->is_leaving = true;
    cr_assert_eq(rh_link_detach(link->link, true, condition, "A test asked for it."), RH_OK);
    rh_emu_connection_wake(t.world.emulator->connections);
}

static void send_one(void)
{
    cr_assert_eq(rh_producer_send_event(t.producer, &(rh_event_data){ .body = rh_str("a") }, 0, NULL), RH_OK);
}

/* Final: ten minutes later it has not tried to come back, and the thief reads on. */
static void expect_stolen(void)
{
    toy_loop_pass(&t.world.toy, 600);
    cr_expect_eq(t.stolen, 1);
    cr_expect_eq(t.ends, 0);
    cr_expect_eq(t.opens, 1);
    cr_expect_eq(t.error.status, RH_E_STOLEN);
    cr_expect_eq(t.error.error_class, RH_CLASS_STOLEN);
    cr_expect(!t.taken.gone, "one exchange, and no more");
    cr_expect_eq(rh_consumer_state_of(t.consumer), RH_CONSUMER_STOLEN);
}

static void close_world(void)
{
    rh_producer_destroy(t.producer);
    rh_consumer_destroy(t.consumer);
    rh_client_destroy(t.client);
    raw_close(&t.thief);
    namespace_close(&t.world);
}

Test(stolen, by_a_higher_level_is_final_and_names_the_new_owner)
{
    open_world();
    steal(2);
    expect_stolen();
    cr_expect_not_null(strstr(t.error.description, "the-new-owner"), "%s", t.error.description);
    close_world();
}

Test(stolen, while_the_link_was_away_is_final)
{
    open_world();
    detach("ConsumerGroups", "com.microsoft:server-busy");
    steal(2);
    expect_stolen();
    close_world();
}

Test(stolen, while_the_connection_was_away_is_final)
{
    open_world();
    t.world.toy.dial_status = RH_E_REFUSED;
    cr_assert_eq(rh_engine_close(t.world.emulator->connections->engine, "amqp:connection:forced", "A test asked for it."), RH_OK);
    rh_emu_connection_wake(t.world.emulator->connections);
    toy_loop_pass(&t.world.toy, 1);
    steal(2);
    t.world.toy.dial_status = RH_OK;
    expect_stolen();
    close_world();
}

Test(stolen, told_by_the_end_of_the_session_is_final)
{
    open_world();
    cr_assert_eq(rh_session_end(rh_link_session(link_of("ConsumerGroups")->link), "amqp:link:stolen", "by the-new-owner"), RH_OK);
    rh_emu_connection_wake(t.world.emulator->connections);
    steal(2);
    expect_stolen();
    close_world();
}

Test(stolen, ends_the_events_of_the_old_owner_with_the_one_in_its_hands)
{
    open_world();
    for (unsigned i = 0; i < 50; i++) cr_assert_eq(rh_producer_send_event_wait(t.producer, &(rh_event_data){ .body = rh_str("a") }, 0, NULL), RH_OK);
    steal(2);
    for (unsigned i = 0; i < 50; i++) cr_assert_eq(rh_producer_send_event_wait(t.producer, &(rh_event_data){ .body = rh_str("a") }, 0, NULL), RH_OK);
    expect_stolen();
    cr_expect_eq(t.events, 50);
    cr_expect_eq(t.events_late, 0);
    close_world();
}

Test(stolen, an_equal_level_that_came_meanwhile_is_taken_back_once)
{
    open_world();
    detach("ConsumerGroups", "com.microsoft:server-busy");
    steal(1);
    toy_loop_pass(&t.world.toy, 600);
    cr_expect(t.taken.gone, "whoever comes last has it");
    cr_expect_eq(t.opens, 2);
    cr_expect_eq(t.stolen, 0);
    close_world();
}

/* -- tokens that end mid-stream -------------------------------------------------------------------------- */

Test(expired, token_is_renewed_inside_the_send_that_met_it)
{
    open_world();
    send_one();
    detach("hub/Partitions", "amqp:unauthorized-access");
    toy_loop_pass(&t.world.toy, 5);
    cr_expect_eq(t.sents, 1);
    cr_expect_eq(t.sent.status, RH_OK);
    cr_expect_leq(t.sent.tries, 2, "one failed delivery at most");
    cr_expect_eq(t.closes, 0, "and nobody hears of it");
    cr_expect(rh_producer_is_open(t.producer));
    close_world();
}

Test(expired, token_of_a_reader_is_renewed_unseen)
{
    open_world();
    detach("ConsumerGroups", "amqp:unauthorized-access");
    toy_loop_pass(&t.world.toy, 5);
    send_one();
    toy_loop_pass(&t.world.toy, 1);
    cr_expect_eq(t.events, 1);
    cr_expect_eq(t.stolen + t.ends, 0);
    close_world();
}
