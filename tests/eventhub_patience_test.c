/* What is opened for the first time, or asked, while something is wrong that passes: it is tried again until its time is over. */
#include "eventhub/connection.h"
#include "eventhub/eventhub.h"
#include "tests/client_world.h"

#include <criterion/criterion.h>

static client_world w;
static rh_error     error;
static unsigned     retries;
static rh_time      least_wait;
static char         what[128];

static void on_retry(void *user, rh_client *client, const rh_retry *retry)
{
    (void)user, (void)client;
    cr_expect_neq(retry->error->status, RH_OK);
    if (!retries++ || retry->wait_ns < least_wait) least_wait = retry->wait_ns;
    (void)strncpy(what, retry->what, sizeof what - 1);
}

static void open_world(const rh_client_opts *opts)
{
    retries = 0;
    memset(&error, 0, sizeof error);
    world_open(&w, opts);
    w.client->handler.on_retry = on_retry;
}

#define OPEN_WORLD(...) open_world(RH_CLIENT_OPTS(.retry = { .delay_ms = 100 __VA_ARGS__ }))

/* The world mends after so many seconds. */
static void mend(void *user, rh_time now)
{
    (void)user, (void)now;
    w.toy.dial_status        = RH_OK;
    w.service.refuse         = NULL;
    w.service.cbs_code       = 202;
    w.service.management_code = 200;
    w.service.cbs_refused    = false;
}

static rh_timer mender = { .fn = mend };

static void mend_in(unsigned seconds)
{
    rh_timer_set(&w.toy.loop, &mender, rh_time_after(w.toy.now, RH_SECONDS(seconds)));
}

static rh_status open_producer(uint32_t timeout_ms)
{
    rh_producer *producer;
    rh_status    status = rh_producer_open_wait(w.client, RH_PRODUCER_OPTS(.partition = "0"), &producer, timeout_ms, &error);
    rh_producer_destroy(producer);
    return status;
}

static double seconds_since(rh_time start)
{
    return (double)(w.toy.now - start) / 1e9;
}

/* -- the connection ---------------------------------------------------------------------------------- */

Test(patience, a_service_that_is_not_there_yet_is_dialed_until_it_is)
{
    static const rh_status passing[] = { RH_E_REFUSED, RH_E_NAME, RH_E_UNREACHABLE };
    for (size_t i = 0; i < sizeof passing / sizeof *passing; i++) {
        OPEN_WORLD();
        w.toy.dial_status = passing[i];
        mend_in(20);
        cr_expect_eq(rh_client_connect_wait(w.client, 50000, &error), RH_OK, "%s", error.description);
        cr_expect_gt(retries, 3);
        cr_expect_str_eq(what, "connection");
        cr_expect_str_eq(w.states, "O", "it has been connecting all the time");
        cr_expect_eq(rh_client_error(w.client)->status, RH_OK);
        cr_expect(world_close(&w));
    }
}

Test(patience, ends_at_its_deadline_with_what_the_last_try_met)
{
    OPEN_WORLD();
    w.toy.dial_status = RH_E_REFUSED;
    rh_time start     = w.toy.now;
    cr_expect_eq(open_producer(20000), RH_E_REFUSED, "%s", rh_status_name(error.status));
    cr_expect_float_eq(seconds_since(start), 20, 0.01);
    cr_expect_eq(error.error_class, RH_CLASS_RECONNECT);
    start = w.toy.now;
    cr_expect_eq(rh_client_connect_wait(w.client, 0, &error), RH_E_REFUSED);
    cr_expect_leq(seconds_since(start), 60.1, "the client's own time is what it has for everything");
    toy_loop_pass(&w.toy, 61);
    cr_expect_eq(rh_client_state_of(w.client), RH_CLIENT_CLOSED);
    cr_expect_eq(w.closed.status, RH_E_REFUSED);
    cr_expect(world_close(&w));
}

Test(patience, of_the_one_who_waits_longest_is_the_connection_s)
{
    OPEN_WORLD();
    w.toy.dial_status = RH_E_REFUSED;
    mend_in(150);
    cr_expect_eq(open_producer(200000), RH_OK, "%s", error.description);
    cr_expect(world_close(&w));
}

Test(patience, with_a_dial_that_nobody_answers_is_a_new_one_twice_a_minute)
{
    OPEN_WORLD();
    w.toy.dial_hangs = true;
    cr_expect_eq(rh_client_connect_wait(w.client, 100000, &error), RH_E_TIMEOUT);
    cr_expect_geq(w.toy.dials, 3);
    cr_expect_leq(w.toy.dials, 5);
    cr_expect(world_close(&w));
}

Test(patience, is_none_with_what_will_not_pass)
{
    OPEN_WORLD();
    w.service.sasl_refused = true;
    rh_time start          = w.toy.now;
    cr_expect_eq(rh_client_connect_wait(w.client, 0, &error), RH_E_SASL);
    cr_expect_lt(seconds_since(start), 1);
    cr_expect_eq(retries, 0);
    cr_expect(world_close(&w));
}

Test(patience, ends_after_so_many_tries_as_were_asked_for)
{
    OPEN_WORLD(, .tries = 3);
    w.toy.dial_status = RH_E_REFUSED;
    cr_expect_eq(rh_client_connect_wait(w.client, 0, &error), RH_E_REFUSED);
    cr_expect_eq(w.toy.dials, 4);
    cr_expect_eq(retries, 3);
    cr_expect(world_close(&w));
}

Test(patience, is_over_when_the_client_is_closed_meanwhile)
{
    OPEN_WORLD();
    w.toy.dial_status = RH_E_REFUSED;
    cr_assert_eq(rh_client_connect(w.client), RH_OK);
    toy_loop_pass(&w.toy, 10);
    cr_expect_eq(rh_client_close_wait(w.client, 1000, &error), RH_OK);
    cr_expect_str_eq(w.states, "cC");
    cr_expect(world_close(&w));
}

/* -- the link ---------------------------------------------------------------------------------------- */

Test(patience, a_busy_service_gets_the_attach_again_no_sooner_than_it_asked_for)
{
    OPEN_WORLD();
    w.service.refuse = "com.microsoft:server-busy";
    mend_in(10);
    cr_expect_eq(open_producer(0), RH_OK, "%s", error.description);
    cr_expect_geq(least_wait, RH_SECONDS(4));
    cr_expect_str_eq(what, "sb://toy:5672/hub/Partitions/0");
    cr_expect_eq(w.service.connections, 1);
    cr_expect(world_close(&w));
}

Test(patience, with_a_busy_service_ends_in_its_words)
{
    OPEN_WORLD();
    w.service.refuse       = "com.microsoft:server-busy";
    w.service.refuse_words = "wait 4 seconds";
    rh_time start          = w.toy.now;
    cr_expect_eq(open_producer(15000), RH_E_SERVER_BUSY);
    cr_expect_str_eq(error.description, "wait 4 seconds");
    cr_expect_float_eq(seconds_since(start), 15, 0.01);
    w.service.refuse = NULL;
    cr_expect_eq(open_producer(15000), RH_OK, "and nothing of it is left behind");
    cr_expect(world_close(&w));
}

Test(patience, a_link_refused_for_good_is_told_at_once)
{
    static const char *const final[] = { "amqp:not-found", "amqp:resource-limit-exceeded", "amqp:unauthorized-access", "amqp:link:stolen" };
    for (size_t i = 0; i < sizeof final / sizeof *final; i++) {
        OPEN_WORLD();
        w.service.refuse = final[i];
        rh_time start    = w.toy.now;
        cr_expect_neq(open_producer(0), RH_OK);
        cr_expect_str_eq(error.condition, final[i]);
        cr_expect_lt(seconds_since(start), 1);
        cr_expect_eq(retries, 0);
        cr_expect(world_close(&w));
    }
}

Test(patience, a_detach_that_nobody_answers_costs_no_more_than_the_time_given)
{
    OPEN_WORLD();
    w.service.attach_silent = true;
    rh_time start           = w.toy.now;
    cr_expect_eq(open_producer(90000), RH_E_TIMEOUT, "%s", error.description);
    cr_expect_float_eq(seconds_since(start), 90, 0.01);
    cr_expect(world_close(&w));
}

/* -- the token --------------------------------------------------------------------------------------- */

Test(patience, a_token_refused_in_passing_is_put_again)
{
    OPEN_WORLD();
    w.service.cbs_code = 503;
    mend_in(10);
    cr_expect_eq(open_producer(0), RH_OK, "%s", error.description);
    cr_expect_geq(w.service.puts, 2);
    cr_expect_geq(least_wait, RH_SECONDS(4));
    cr_expect(world_close(&w));
}

Test(patience, with_tokens_ends_in_the_words_of_the_service)
{
    OPEN_WORLD();
    w.service.cbs_code  = 500;
    w.service.cbs_words = "the token service is on fire";
    rh_time start       = w.toy.now;
    cr_expect_eq(open_producer(15000), RH_E_SERVICE_INTERNAL);
    cr_expect_str_eq(error.description, "the token service is on fire");
    cr_expect_float_eq(seconds_since(start), 15, 0.01);
    unsigned puts = w.service.puts;
    toy_loop_pass(&w.toy, 60);
    cr_expect_eq(w.service.puts, puts, "nobody waits for it any more");
    cr_expect(world_close(&w));
}

Test(patience, a_token_refused_for_good_is_told_at_once)
{
    OPEN_WORLD();
    w.service.cbs_code = 401;
    rh_time start      = w.toy.now;
    cr_expect_eq(open_producer(0), RH_E_UNAUTHORIZED);
    cr_expect_lt(seconds_since(start), 1);
    cr_expect_eq(w.service.puts, 1);
    cr_expect(world_close(&w));
}

/* -- questions --------------------------------------------------------------------------------------- */

static unsigned answers;

static void on_answer(void *user, const rh_hub_properties *properties, const rh_error *why)
{
    (void)user;
    answers++;
    cr_expect(properties, "%s", why ? why->description : "");
}

Test(patience, a_question_that_was_lost_with_its_connection_is_asked_again)
{
    answers = 0;
    OPEN_WORLD();
    w.service.management_silent = true;
    rh_client_hub_properties(w.client, 50000, on_answer, NULL);
    toy_loop_pass(&w.toy, 2);
    cr_assert_eq(w.service.asks, 1);
    toy_loop_break(&w.toy);
    w.service.management_silent = false;
    toy_loop_pass(&w.toy, 10);
    cr_expect_eq(answers, 1);
    cr_expect_eq(w.service.asks, 2);
    cr_expect(world_close(&w));
}

Test(patience, a_question_that_was_lost_with_its_session_is_asked_again)
{
    answers = 0;
    OPEN_WORLD();
    w.service.management_silent = true;
    rh_client_hub_properties(w.client, 50000, on_answer, NULL);
    toy_loop_pass(&w.toy, 2);
    w.service.management_silent = false;
    cr_assert_eq(rh_session_end(rh_link_session(w.service.management_sender), NULL, NULL), RH_OK);
    toy_service_wake(&w.service);
    toy_loop_pass(&w.toy, 10);
    cr_expect_eq(answers, 1);
    cr_expect_eq(w.service.connections, 1);
    cr_expect_str_eq(what, "sb://toy:5672/hub/$management");
    cr_expect(world_close(&w));
}

Test(patience, a_busy_service_is_asked_again_until_the_time_is_over)
{
    for (unsigned mends = 0; mends < 2; mends++) {
        rh_hub_properties hub;
        OPEN_WORLD();
        w.service.management_code = 503;
        if (mends) mend_in(10);
        rh_time start = w.toy.now;
        cr_expect_eq(rh_client_hub_properties_wait(w.client, &hub, 20000, &error), mends ? RH_OK : RH_E_SERVER_BUSY, "%s", error.description);
        cr_expect_geq(least_wait, RH_SECONDS(4));
        cr_expect_geq(w.service.asks, 2);
        if (!mends) cr_expect_float_eq(seconds_since(start), 20, 0.01);
        cr_expect(world_close(&w));
    }
}

Test(patience, a_question_to_a_service_that_is_not_there_yet_waits_for_it)
{
    for (unsigned mends = 0; mends < 2; mends++) {
        rh_hub_properties hub;
        OPEN_WORLD();
        w.toy.dial_status = RH_E_REFUSED;
        if (mends) mend_in(30);
        cr_expect_eq(rh_client_hub_properties_wait(w.client, &hub, 50000, &error), mends ? RH_OK : RH_E_REFUSED, "%s", error.description);
        cr_expect(world_close(&w));
    }
}

Test(patience, a_question_refused_for_good_is_told_at_once)
{
    rh_hub_properties hub;
    OPEN_WORLD();
    w.service.management_code = 404;
    rh_time start             = w.toy.now;
    cr_expect_eq(rh_client_hub_properties_wait(w.client, &hub, 20000, &error), RH_E_NOT_FOUND);
    cr_expect_lt(seconds_since(start), 1);
    cr_expect(world_close(&w));
}

Test(patience, a_question_asked_while_the_connection_is_away_is_answered_later)
{
    answers = 0;
    OPEN_WORLD();
    cr_assert(world_is_connected(&w, 5));
    w.toy.dial_hangs = true;
    toy_loop_break(&w.toy);
    toy_loop_pass(&w.toy, 3);
    rh_client_hub_properties(w.client, 50000, on_answer, NULL);
    w.toy.dial_hangs = false;
    toy_loop_pass(&w.toy, 45);
    cr_expect_eq(answers, 1);
    cr_expect(world_close(&w));
}

static unsigned failures;

static void ask_anew(void *user, const rh_hub_properties *properties, const rh_error *why)
{
    (void)user, (void)why;
    if (properties) answers++;
    else if (failures++ < 1000) rh_client_hub_properties(w.client, 50000, ask_anew, NULL);
}

Test(patience, a_question_asked_anew_by_who_hears_that_it_failed_does_not_spin)
{
    answers = failures = 0;
    OPEN_WORLD(, .tries = 1);
    w.service.management_silent = true;
    rh_client_hub_properties(w.client, 5000, ask_anew, NULL);
    toy_loop_pass(&w.toy, 2);
    toy_loop_break(&w.toy);
    toy_loop_pass(&w.toy, 1);
    w.service.management_silent = false;
    toy_loop_pass(&w.toy, 30);
    cr_expect_eq(answers, 1);
    cr_expect_geq(failures, 1);
    cr_expect_lt(failures, 5);
    cr_expect(world_close(&w));
}
