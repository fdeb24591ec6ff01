/* Where "latest" is, and that it stays there over a loss before the first event. */
#include <criterion/criterion.h>

#include "emulator/connection.h"
#include "eventhub/connection.h"
#include "eventhub/consumer.h"
#include "eventhub/eventhub.h"
#include "tests/client_world.h"
#include "tests/emulator_world.h"

static struct {
    emulator_world    world;
    rh_emulator_fault inquiry; /* what becomes of every question */
    unsigned          inquiries;
    rh_client        *client;
    rh_producer      *producer;
    rh_consumer      *consumer;
    unsigned          opens, vague;
    int64_t           seen[64];
    unsigned          seen_count;
} t;

static rh_emulator_fault judge(void *user, rh_emulator_moment moment, const char **condition)
{
    (void)user;
    if (moment != RH_EMULATOR_INQUIRY) return RH_EMULATOR_NO_FAULT;
    t.inquiries++;
    *condition = "amqp:unauthorized-access";
    return t.inquiry;
}

static void on_log(void *user, rh_log_level level, const char *id, const char *text)
{
    (void)user, (void)level, (void)text;
    if (strcmp(id, "consumer.latest") == 0) t.vague++;
}

static void on_event(void *user, rh_consumer *consumer, const rh_event *event)
{
    (void)user, (void)consumer;
    cr_expect_geq(t.opens, 1, "OPEN comes before the first event");
    if (t.seen_count < 64) t.seen[t.seen_count++] = rh_event_sequence_number(event);
}

static void on_state(void *user, rh_consumer *consumer, rh_consumer_state state, const rh_error *error)
{
    (void)user, (void)consumer, (void)error;
    if (state == RH_CONSUMER_OPEN) t.opens++;
}

static void open_world(bool off)
{
    rh_emulator_hub hub = { .name = "hub", .partitions = 1 };
    memset(&t, 0, sizeof t);
    namespace_open(&t.world, RH_EMULATOR_OPTS(.hubs = &hub, .hub_count = 1, .faults = { judge, NULL }));
    cr_assert_eq(rh_client_create(&t.world.toy.loop, RH_CLIENT_OPTS(
        .connection_string = "Endpoint=sb://toy/;SharedAccessKeyName=" RH_EMULATOR_RULE ";SharedAccessKey=" RH_EMULATOR_KEY
                             ";EntityPath=hub;UseDevelopmentEmulator=true", .retry.off = off, .log = { on_log, NULL }), &t.client, NULL), RH_OK);
    cr_assert_eq(rh_producer_open_wait(t.client, RH_PRODUCER_OPTS(.partition = "0"), &t.producer, 0, NULL), RH_OK);
}

static void send(unsigned count)
{
    rh_event_data event = { .body = rh_str("a") };
    while (count--) cr_assert_eq(rh_producer_send_event_wait(t.producer, &event, 0, NULL), RH_OK);
}

static void open_latest(void)
{
    cr_assert_eq(rh_consumer_open(t.client, RH_CONSUMER_OPTS(.partition = "0", .position.kind = RH_POSITION_LATEST,
        .handler = { .on_event = on_event, .on_state = on_state }), &t.consumer), RH_OK);
}

static void close_world(void)
{
    rh_producer_destroy(t.producer);
    rh_consumer_destroy(t.consumer);
    rh_client_destroy(t.client);
    namespace_close(&t.world);
}

/* The reader's link is taken away, and while it is, so many events are stored. */
static void lose_it_and_send(unsigned count)
{
    rh_emu_connection *connection = t.world.emulator->connections;
    for (rh_emu_link *link = connection->links; link; link = link->next)
        if (!link->is_leaving && link->path && strstr(link->path, "ConsumerGroups")) {
            link->is_leaving = true;
            cr_assert_eq(rh_link_detach(link->link, true, "com.microsoft:server-busy", "A test asked for it."), RH_OK);
        }
    rh_emu_connection_wake(connection);
    toy_loop_pass(&t.world.toy, 1);
    cr_expect_neq(rh_consumer_state_of(t.consumer), RH_CONSUMER_OPEN);
    send(count);
    toy_loop_pass(&t.world.toy, 20);
}

static void expect_seen(int64_t first, unsigned count)
{
    cr_assert_eq(t.seen_count, count, "%u were seen", t.seen_count);
    for (unsigned i = 0; i < count; i++) cr_expect_eq(t.seen[i], first + i);
}

Test(latest, gives_what_came_while_the_link_was_away_before_its_first_event)
{
    open_world(false);
    send(7);
    open_latest();
    toy_loop_pass(&t.world.toy, 1);
    cr_assert_eq(t.opens, 1);
    lose_it_and_send(3);
    expect_seen(7, 3);
    cr_expect_eq(t.vague, 0);
    close_world();
}

Test(latest, of_a_partition_that_never_held_an_event_is_its_beginning)
{
    open_world(false);
    open_latest();
    toy_loop_pass(&t.world.toy, 1);
    lose_it_and_send(3);
    expect_seen(0, 3);
    close_world();
}

Test(latest, outlives_a_connection_that_is_lost_while_it_opens)
{
    for (unsigned turns = 1; turns < 40; turns++) {
        open_world(false);
        send(7);
        open_latest();
        for (unsigned i = 0; i < turns; i++) (void)!rh_loop_turn(&t.world.toy.loop, RH_NOWAIT);
        toy_loop_break(&t.world.toy);
        toy_loop_pass(&t.world.toy, 20);
        cr_assert_eq(t.opens, 1 + (t.opens > 1), "after %u turns", turns);
        t.opens = 1;
        lose_it_and_send(3);
        expect_seen(7, 3);
        close_world();
    }
}

Test(latest, that_the_service_does_not_tell_is_where_the_link_begins)
{
    open_world(false);
    t.inquiry = RH_EMULATOR_REFUSE;
    send(7);
    open_latest();
    toy_loop_pass(&t.world.toy, 1);
    cr_assert_eq(t.opens, 1);
    cr_expect_eq(t.vague, 1, "and the log says so");
    send(2);
    toy_loop_pass(&t.world.toy, 1);
    expect_seen(7, 2);
    close_world();
}

Test(latest, that_nobody_answers_costs_an_opening_five_seconds)
{
    open_world(false);
    t.inquiry = RH_EMULATOR_IGNORE;
    open_latest();
    toy_loop_pass(&t.world.toy, 4);
    cr_expect_eq(t.opens, 0);
    toy_loop_pass(&t.world.toy, 2);
    cr_expect_eq(t.opens, 1);
    cr_expect_eq(t.vague, 1);
    send(1);
    toy_loop_pass(&t.world.toy, 1);
    expect_seen(0, 1);
    close_world();
}

Test(latest, whose_link_is_lost_before_the_answer_is_still_an_opening_with_its_deadline)
{
    open_world(false);
    t.inquiry = RH_EMULATOR_IGNORE;
    open_latest();
    toy_loop_pass(&t.world.toy, 1);
    cr_assert(rh_attachment_link(&t.consumer->attachment));
    t.world.toy.dial_status = RH_E_REFUSED;
    toy_loop_break(&t.world.toy);
    toy_loop_pass(&t.world.toy, 50);
    cr_expect_eq(rh_consumer_state_of(t.consumer), RH_CONSUMER_OPENING);
    toy_loop_pass(&t.world.toy, 10);
    cr_expect_eq(rh_consumer_state_of(t.consumer), RH_CONSUMER_CLOSED);
    cr_expect_eq(rh_consumer_error(t.consumer)->status, RH_E_REFUSED);
    close_world();
}

Test(latest, needs_no_answer_once_an_event_came)
{
    open_world(false);
    t.inquiry = RH_EMULATOR_IGNORE;
    send(7);
    open_latest();
    toy_loop_pass(&t.world.toy, 1);
    cr_expect_eq(t.opens, 0);
    send(1);
    toy_loop_pass(&t.world.toy, 1);
    cr_expect_eq(t.opens, 1);
    lose_it_and_send(3);
    expect_seen(7, 4);
    cr_expect_eq(t.vague, 0);
    close_world();
}

Test(latest, is_not_asked_for_by_who_does_not_come_back_or_begins_elsewhere)
{
    open_world(true);
    open_latest();
    toy_loop_pass(&t.world.toy, 1);
    cr_expect_eq(t.opens, 1);
    cr_expect_eq(t.inquiries, 0);
    close_world();
    open_world(false);
    cr_assert_eq(rh_consumer_open(t.client, RH_CONSUMER_OPTS(.partition = "0", .handler = { .on_event = on_event, .on_state = on_state }), &t.consumer), RH_OK);
    toy_loop_pass(&t.world.toy, 1);
    cr_expect_eq(t.inquiries, 0);
    close_world();
}

Test(latest, asked_for_at_every_turn_of_the_end_leaves_nothing)
{
    for (unsigned turns = 0; turns < 60; turns++) {
        for (unsigned who = 0; who < 3; who++) {
            static client_world w;
            rh_consumer        *consumer;
            world_open(&w, RH_CLIENT_OPTS(.retry.delay_ms = 100));
            cr_assert_eq(rh_consumer_open(w.client, RH_CONSUMER_OPTS(.partition = "0", .position.kind = RH_POSITION_LATEST), &consumer), RH_OK);
            for (unsigned i = 0; i < turns; i++) (void)!rh_loop_turn(&w.toy.loop, RH_NOWAIT);
            if (who == 0) rh_consumer_close(consumer, 0);
            if (who == 1) rh_client_destroy(w.client), w.client = NULL;
            if (who != 2) toy_loop_pass(&w.toy, 1);
            rh_consumer_destroy(consumer);
            cr_expect(world_close(&w), "%u turns, %u", turns, who);
        }
    }
}

static unsigned opened;

static void note_open(void *user, rh_consumer *consumer, rh_consumer_state state, const rh_error *error)
{
    (void)user, (void)consumer, (void)error;
    if (state == RH_CONSUMER_OPEN) opened++;
}

Test(latest, costs_one_round_trip_and_none_when_questions_have_their_links)
{
    for (unsigned asked = 0; asked < 2; asked++) {
        static client_world w;
        rh_consumer        *consumer;
        rh_hub_properties   hub;
        world_open(&w, RH_CLIENT_OPTS(.retry.delay_ms = 100));
        w.toy.distance = RH_MS(500);
        opened         = 0;
        if (asked) cr_assert_eq(rh_client_hub_properties_wait(w.client, &hub, 0, NULL), RH_OK);
        rh_time start = w.toy.now;
        cr_assert_eq(rh_consumer_open(w.client, RH_CONSUMER_OPTS(.partition = "0", .position.kind = RH_POSITION_LATEST,
            .handler.on_state = note_open), &consumer), RH_OK);
        while (!opened && w.toy.now < start + RH_SECONDS(20)) (void)!rh_loop_turn(&w.toy.loop, rh_time_after(w.toy.now, RH_SECONDS(1)));
        /* TCP, the pair on $cbs, the tokens, the links, the answer; then: the token, the link. */
        cr_expect_float_eq((double)(w.toy.now - start) / 1e9, asked ? 2 : 5, 0.05);
        rh_consumer_destroy(consumer);
        cr_expect(world_close(&w));
    }
}

/* A credential that cannot sign questions for now, and an owner who gives up when asked for a token or when he hears of another try. */
static struct {
    client_world world;
    rh_consumer *consumer;
    bool         destroys, in_credential;
    unsigned     gives_up, events;
} impatient;

static void give_up(void);

static void give_token(void *user, const char *audience, rh_token_request *request)
{
    (void)user;
    bool is_question = strcmp(audience + strlen(audience) - 4, "/hub") == 0;
    if (is_question && impatient.in_credential && impatient.consumer) give_up();
    else if (is_question) rh_token_fail(request, true, "not now");
    else rh_token_answer(request, rh_str("a token"), RH_TOKEN_JWT, 0);
}

static void forget_token(void *user, rh_token_request *request)
{
    (void)user, (void)request;
}

static void on_retry(void *user, rh_client *client, const rh_retry *retry)
{
    (void)user, (void)client, (void)retry;
    if (!impatient.in_credential) give_up();
}

static void give_up(void)
{
    if (impatient.gives_up++) return;
    if (impatient.destroys) rh_consumer_destroy(impatient.consumer), impatient.consumer = NULL;
    else rh_consumer_close(impatient.consumer, 0);
}

Test(latest, of_a_consumer_that_ends_inside_a_callback_of_its_question_is_not_asked_for_again)
{
    static const rh_credential credential = { .request = give_token, .cancel = forget_token };
    for (unsigned i = 0; i < 4; i++) {
        memset(&impatient, 0, sizeof impatient);
        impatient.destroys      = i % 2;
        impatient.in_credential = i / 2;
        world_open(&impatient.world, RH_CLIENT_OPTS(.connection_string = "Endpoint=sb://toy;UseDevelopmentEmulator=true", .hub = "hub",
                                                    .credential = &credential, .retry.delay_ms = 100));
        impatient.world.client->handler.on_retry = on_retry;
        cr_assert_eq(rh_consumer_open(impatient.world.client, RH_CONSUMER_OPTS(.partition = "0", .position.kind = RH_POSITION_LATEST), &impatient.consumer), RH_OK);
        toy_loop_pass(&impatient.world.toy, 10);
        cr_expect_eq(impatient.gives_up, 1);
        rh_consumer_destroy(impatient.consumer);
        cr_expect(world_close(&impatient.world));
    }
}

static void close_at_once(void *user, rh_consumer *consumer, rh_consumer_state state, const rh_error *error)
{
    (void)user, (void)error;
    if (state == RH_CONSUMER_OPEN) rh_consumer_close(consumer, 0);
}

static void count_event(void *user, rh_consumer *consumer, const rh_event *event)
{
    (void)user, (void)consumer, (void)event;
    impatient.events++;
}

Test(latest, gives_no_event_to_who_closes_when_it_is_open)
{
    memset(&impatient, 0, sizeof impatient);
    open_world(false);
    t.inquiry = RH_EMULATOR_IGNORE;
    cr_assert_eq(rh_consumer_open(t.client, RH_CONSUMER_OPTS(.partition = "0", .position.kind = RH_POSITION_LATEST,
        .handler = { .on_event = count_event, .on_state = close_at_once }), &t.consumer), RH_OK);
    toy_loop_pass(&t.world.toy, 1);
    send(1);
    toy_loop_pass(&t.world.toy, 1);
    cr_expect_eq(rh_consumer_state_of(t.consumer), RH_CONSUMER_CLOSED);
    cr_expect_eq(impatient.events, 0);
    close_world();
}
