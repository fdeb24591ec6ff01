/*
 * How far it is from nothing to the first accepted event, in virtual time: a byte travels half a second, so seconds are
 * round trips. The service of the tests answers at once.
 */
#include "eventhub/eventhub.h"
#include "tests/client_world.h"

#include <criterion/criterion.h>
#include <stdio.h>

static client_world w;
static rh_producer *producer;
static bool is_accepted;
static rh_status status;

static void on_sent(void *user, rh_producer *p, const rh_sent *sent)
{
    (void)user, (void)p;
    is_accepted = true;
    status = sent->status;
}

/** Opens a producer with an event that waits to be sent. */
static void set_out(const rh_client_opts *opts)
{
    is_accepted = false;
    world_open(&w, opts);
    w.toy.distance = RH_MS(500);
    rh_producer_opts *own = RH_PRODUCER_OPTS(.partition = "0", .handler = { .on_sent = on_sent });
    cr_assert_eq(rh_producer_open(w.client, own, &producer), RH_OK);
    cr_assert_eq(rh_producer_send_event(producer, &(rh_event_data){ .body = rh_str("first") }, 0, NULL), RH_OK);
}

/** Seconds until it is accepted, to a hundredth. */
static double seconds_to_accepted(void)
{
    rh_time start = w.toy.now;
    cr_assert(toy_loop_until(&w.toy, &is_accepted, 50));
    cr_expect_eq(status, RH_OK, "%s", rh_status_name(status));
    return (double)(w.toy.now - start) / (double)RH_SECONDS(1);
}

static void turn(unsigned turns)
{
    for (unsigned i = 0; i < turns; i++) cr_assert_eq(rh_loop_turn(&w.toy.loop, rh_time_after(w.toy.now, RH_SECONDS(1))), RH_OK);
}

static void end(void)
{
    rh_producer_destroy(producer);
    cr_expect(world_close(&w));
}

Test(opening, takes_five_round_trips_to_the_first_accepted_event)
{
    /* TCP, everything up to the pair on $cbs, the token, the link, the event. */
    set_out(NULL);
    cr_expect_float_eq(seconds_to_accepted(), 5, 0.01);
    cr_expect_eq(w.service.connections, 1);
    end();
}

Test(opening, takes_two_more_step_by_step)
{
    set_out(RH_CLIENT_OPTS(.step_by_step = true));
    cr_expect_float_eq(seconds_to_accepted(), 7, 0.01);
    cr_expect_eq(w.service.connections, 1);
    end();
}

Test(opening, is_tried_step_by_step_after_a_peer_hung_up)
{
    set_out(NULL);
    w.service.hangs_up = true;
    /* One for TCP and one and a half until the peer's refusal is here, then seven. */
    cr_expect_float_eq(seconds_to_accepted(), 9, 0.6);
    cr_expect_eq(w.service.connections, 2);
    cr_expect_str_eq(w.states, "O", "nobody hears of it");
    cr_expect_not_null(strstr(w.text, "step by step"), "but the log");
    end();
}

Test(opening, is_tried_step_by_step_after_a_peer_lost_what_came_along)
{
    set_out(NULL);
    w.service.reads_ahead = true;
    cr_expect_float_eq(seconds_to_accepted(), 1 + 5 + 7, 0.1);
    cr_expect_eq(w.service.connections, 2);
    cr_expect_str_eq(w.states, "O");
    end();
}

Test(opening, is_tried_once_more_only)
{
    world_open(&w, NULL);
    w.service.mute = true;
    cr_expect_eq(rh_client_connect_wait(w.client, 20000, NULL), RH_E_TIMEOUT);
    cr_expect_eq(w.service.connections, 2);
    cr_expect(world_close(&w));
}

Test(opening, does_not_try_again_what_was_understood_and_refused)
{
    world_open(&w, NULL);
    w.service.sasl_refused = true;
    cr_expect_eq(rh_client_connect_wait(w.client, 20000, NULL), RH_E_SASL);
    cr_expect_eq(w.service.connections, 1);
    cr_expect(world_close(&w));
}

Test(opening, can_be_closed_between_two_tries)
{
    for (unsigned turns = 1; turns < 30; turns++) {
        world_open(&w, NULL);
        w.toy.distance = RH_MS(500);
        w.service.hangs_up = true;
        cr_assert_eq(rh_client_connect(w.client), RH_OK);
        turn(turns);
        cr_expect_eq(rh_client_close_wait(w.client, 60000, NULL), RH_OK, "after %u turns", turns);
        cr_expect(world_close(&w));
    }
}

Test(opening, can_be_destroyed_between_two_tries)
{
    for (unsigned turns = 1; turns < 30; turns++) {
        world_open(&w, NULL);
        w.toy.distance = RH_MS(500);
        w.service.hangs_up = true;
        cr_assert_eq(rh_client_connect(w.client), RH_OK);
        turn(turns);
        cr_expect(world_close(&w));
    }
}

static void note_open(void *user, rh_consumer *consumer, rh_consumer_state state, const rh_error *error)
{
    (void)consumer, (void)error;
    if (state == RH_CONSUMER_OPEN) ++*(unsigned *)user;
}

Test(opening, of_many_consumers_takes_no_longer_than_of_one)
{
    rh_consumer *consumers[40];
    char partition[40][12];
    unsigned opens = 0;
    world_open(&w, NULL);
    w.toy.distance = RH_MS(500);
    rh_time start = w.toy.now;
    for (int i = 0; i < 40; i++) {
        snprintf(partition[i], sizeof partition[i], "%d", i);
        rh_consumer_opts *opts = RH_CONSUMER_OPTS(.partition = partition[i], .handler = { .on_state = note_open }, .user = &opens);
        cr_assert_eq(rh_consumer_open(w.client, opts, &consumers[i]), RH_OK);
    }
    /* TCP, the pair on $cbs, all tokens, all links. */
    while (opens < 40 && w.toy.now < start + RH_SECONDS(30)) turn(1);
    cr_expect_eq(opens, 40);
    cr_expect_leq(w.toy.now, start + RH_MS(4010));
    for (int i = 0; i < 40; i++) rh_consumer_destroy(consumers[i]);
    cr_expect(world_close(&w));
}
