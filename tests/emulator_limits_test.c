#include <criterion/criterion.h>

#include "tests/emulator_world.h"

static const rh_emulator_hub hub = { .name = "hub", .partitions = 1 };
static const uint8_t         event[] = { 0x00, 0x53, 0x75, 0xa0, 0x01, 'a' };

static void open_limited(emulator_world *w, raw_client *client, const rh_emulator_limits *limits)
{
    namespace_open(w, RH_EMULATOR_OPTS(.hubs = &hub, .hub_count = 1, .limits = *limits));
    cr_assert(raw_open(client, w, RH_EMULATOR_RULE, RH_EMULATOR_KEY));
}
#define OPEN_LIMITED(w, client, ...) open_limited(w, client, &(rh_emulator_limits){ __VA_ARGS__ })

static void shut(emulator_world *w, raw_client *client)
{
    raw_close(client);
    namespace_close(w);
}

Test(emulator_limits, a_sender_that_rests_for_half_an_hour_is_detached_in_the_services_words)
{
    emulator_world w;
    raw_client     c;
    raw_link       out, in;
    OPEN_LIMITED(&w, &c, 0);
    cr_assert(RAW_ATTACH(&c, &out, .address = "hub", .name = "the-sender"));
    cr_assert(RAW_ATTACH(&c, &in, .address = "hub/ConsumerGroups/$Default/Partitions/0", .receiver = true));
    raw_pass(&c, 1000);
    cr_expect_eq(raw_send(&out, "a", NULL), RH_ACCEPTED);
    raw_pass(&c, 1790);
    cr_expect_not(out.gone, "an event counts anew");
    raw_pass(&c, 20);
    cr_expect(out.gone);
    cr_expect_str_eq(out.condition, "amqp:link:detach-forced");
    cr_expect_not_null(strstr(out.words, "The link 'the-sender' is force detached. Code: publisher. "
                                         "Details: AmqpEventHubPublisher.IdleTimerExpired: Idle timeout: 00:30:00."), "%s", out.words);
    raw_pass(&c, 100000);
    cr_expect_not(in.gone, "readers may rest");
    shut(&w, &c);
}

Test(emulator_limits, a_reader_that_is_sent_nothing_is_detached_when_asked_for)
{
    emulator_world w;
    raw_client     c;
    raw_link       out, in;
    OPEN_LIMITED(&w, &c, .sender_idle_ms = UINT32_MAX, .reader_idle_ms = 10000);
    cr_assert(RAW_ATTACH(&c, &out, .address = "hub"));
    cr_assert(RAW_ATTACH(&c, &in, .address = "hub/ConsumerGroups/$Default/Partitions/0", .receiver = true));
    raw_pass(&c, 8);
    cr_expect_eq(raw_send(&out, "a", NULL), RH_ACCEPTED);
    raw_pass(&c, 8);
    cr_expect_not(in.gone);
    raw_pass(&c, 4);
    cr_expect_str_eq(in.condition, "amqp:link:detach-forced");
    raw_pass(&c, 10000);
    cr_expect_not(out.gone, "never is never");
    shut(&w, &c);
}

Test(emulator_limits, a_connection_with_nothing_but_a_token_link_is_closed)
{
    emulator_world w;
    raw_client     c;
    raw_link       out;
    namespace_open(&w, RH_EMULATOR_OPTS(.hubs = &hub, .hub_count = 1, .limits = { .link_within_ms = 7000, .unlinked_ms = 9000 }));
    cr_assert(raw_open(&c, &w, NULL, NULL));
    cr_assert_eq(raw_put_token(&c, "sb://toy/hub", "sb://toy/hub", RH_EMULATOR_KEY, 600), 202);
    raw_pass(&c, 8);
    cr_expect_str_eq(c.closed.condition, "amqp:connection:forced");
    cr_expect_not_null(strstr(c.closed.description, "allowed 7000 milliseconds"), "%s", c.closed.description);
    raw_close(&c);

    cr_assert(raw_open(&c, &w, NULL, NULL));
    cr_assert_eq(raw_put_token(&c, "sb://toy/hub", "sb://toy/hub", RH_EMULATOR_KEY, 600), 202);
    cr_assert(RAW_ATTACH(&c, &out, .address = "hub"));
    raw_pass(&c, 60);
    raw_detach(&out);
    raw_pass(&c, 8);
    cr_expect_not(c.failed);
    raw_pass(&c, 3);
    cr_expect_not_null(strstr(c.closed.description, "allowed 9000 milliseconds"), "%s", c.closed.description);
    shut(&w, &c);
}

Test(emulator_limits, what_it_announces_can_be_chosen)
{
    emulator_world w;
    raw_client     c;
    raw_link       out;
    OPEN_LIMITED(&w, &c, .idle_time_out_ms = 5000, .max_frame_bytes = 600, .credit = 7, .first_id = UINT32_MAX - 2, .window = 3,
                 .max_message_bytes = 5000, .sessions = 2);
    rh_engine_peer peer = rh_engine_peer_of(c.engine);
    cr_expect_eq(peer.idle_time_out_ms, 5000);
    cr_expect_eq(peer.max_frame_size, 600);
    cr_assert(RAW_ATTACH(&c, &out, .address = "hub"));
    cr_expect_eq(rh_link_credit_left(out.link), 7);
    cr_expect_eq(out.max_message_size, 5000);
    cr_expect_eq(peer.channel_max, 1);
    for (int i = 0; i < 50; i++) cr_expect_eq(raw_send(&out, "a", NULL), RH_ACCEPTED, "event %d", i);
    shut(&w, &c);
}

Test(emulator_limits, more_than_the_throughput_units_let_in_is_throttled_until_the_second_is_over)
{
    emulator_world w;
    raw_client     c;
    raw_link       out;
    OPEN_LIMITED(&w, &c, .throughput_units = 1);
    cr_assert(RAW_ATTACH(&c, &out, .address = "hub/Partitions/0"));
    cr_expect_eq(raw_send_batch(&out, "x", 999, NULL), RH_ACCEPTED);
    cr_assert(raw_try_bytes(&out, rh_slice_of(event, sizeof event), RH_FORMAT_MESSAGE));
    cr_expect_eq(out.outcome, RH_ACCEPTED, "the thousandth");
    cr_assert(raw_try_bytes(&out, rh_slice_of(event, sizeof event), RH_FORMAT_MESSAGE));
    cr_expect_eq(out.outcome, RH_REJECTED);
    cr_expect_str_eq(out.condition, "com.microsoft:server-busy");
    raw_pass(&c, 1);
    cr_expect_eq(raw_send_batch(&out, "x", 3000, NULL), RH_ACCEPTED, "what is too large for any second passes alone");
    shut(&w, &c);
}

Test(emulator_limits, a_flood_of_evictions_is_told_once_and_then_as_a_sum_every_few_seconds)
{
    emulator_world w;
    raw_client     c;
    raw_link       out;
    namespace_open(&w, RH_EMULATOR_OPTS(.hubs = &hub, .hub_count = 1, .max_bytes = 8192));
    cr_assert(raw_open(&c, &w, RH_EMULATOR_RULE, RH_EMULATOR_KEY));
    cr_assert(RAW_ATTACH(&c, &out, .address = "hub/Partitions/0"));
    for (int i = 0; i < 50; i++) raw_send_batch(&out, "flood", 100, NULL);
    cr_expect_eq(w.warnings, 1);
    cr_expect_str_eq(w.logged, "emulator.evicted");
    raw_pass(&c, 6);
    cr_expect_eq(w.warnings, 2, "the sum");
    raw_pass(&c, 60);
    cr_expect_eq(w.warnings, 2, "nothing was lost since");
    shut(&w, &c);
}

Test(emulator_limits, what_cannot_be_is_refused)
{
    rh_emulator *emulator;
    rh_error     error;
    cr_expect_eq(rh_emulator_start(RH_EMULATOR_OPTS(.limits = { .max_frame_bytes = 511 }), &emulator, &error), RH_E_ARGUMENT);
    cr_expect_eq(rh_emulator_start(RH_EMULATOR_OPTS(.limits = { .credit = UINT32_MAX }), &emulator, &error), RH_E_ARGUMENT);
    cr_expect_eq(rh_emulator_start(RH_EMULATOR_OPTS(.limits = { .max_message_bytes = 1048577 }), &emulator, &error), RH_E_ARGUMENT);
    cr_assert_eq(rh_emulator_start(RH_EMULATOR_OPTS(.limits = { .max_frame_bytes = 262144 }), &emulator, &error), RH_OK, "%s", error.description);
    rh_emulator_stop(emulator);
}
