/**
 * Credit [2.6.7]: how many deliveries may pass, taken back, drained, counted past.
 */
#include "tests/peer.h"

#include <criterion/criterion.h>

Test(credit, a_transfer_beyond_credit_waits)
{
    struct pair *pair = PAIR(.credit = 2);
    pair->server.credit = 0; /* no more than the first two */
    cr_expect_eq(end_send(&pair->client, "a", false), RH_OK);
    cr_expect_eq(end_send(&pair->client, "b", false), RH_OK);
    cr_expect_eq(end_send(&pair->client, "c", false), RH_AGAIN);
    pair_run(pair);
    cr_expect_eq(end_send(&pair->client, "c", false), RH_AGAIN);
    cr_assert_eq(rh_link_credit(pair->server.link, 1), RH_OK);
    pair_run(pair);
    cr_expect_eq(end_send(&pair->client, "c", false), RH_OK);
    cr_expect_eq(end_send(&pair->client, "d", false), RH_AGAIN);
    pair_free(pair);
}

Test(credit, without_credit_nothing_is_queued)
{
    struct pair *pair = PAIR(.no_credit = true);
    cr_expect_eq(pair->client.count[ON_ATTACH], 1);
    cr_expect_eq(end_send(&pair->client, "a", false), RH_AGAIN);
    pair_free(pair);
}

Test(credit, the_same_flow_again_changes_nothing)
{
    struct peer *peer = peer_new(RH_ENGINE_OPTS());
    cr_assert(end_begin(&peer->end, NULL) == RH_OK && end_attach(&peer->end, "l", false) == RH_OK);
    peer_hear(peer);
    peer_open(peer, 65536, 0);
    peer_begin(peer, 0, 100);
    peer_attach(peer, 0, 0, "l", true);
    for (int i = 0; i < 5; i++) peer_credit(peer, 0, 3);
    cr_expect_eq(peer->end.count[ON_CREDIT], 1);
    cr_expect_eq(rh_link_credit_left(peer->end.link), 3);
    cr_expect_eq(end_send(&peer->end, "x", true), RH_OK);
    peer_hear(peer);
    peer_credit(peer, 0, 3);
    cr_expect_eq(rh_link_credit_left(peer->end.link), 2, "a flow from before our transfer");
    peer_credit(peer, 1, 0);
    cr_expect_eq(rh_link_credit_left(peer->end.link), 0, "credit may be taken back");
    peer_free(peer);
}

Test(credit, the_largest_credit_is_credit)
{
    struct peer *peer = peer_new(RH_ENGINE_OPTS(.first_id = 0xfffffffeu));
    cr_assert(end_begin(&peer->end, NULL) == RH_OK && end_attach(&peer->end, "l", false) == RH_OK);
    peer_hear(peer);
    peer_open(peer, 65536, 0);
    peer_begin(peer, 0, 100);
    peer_attach(peer, 0, 0, "l", true);
    peer_credit(peer, 0xfffffffeu, UINT32_MAX);
    cr_expect_eq(rh_link_credit_left(peer->end.link), UINT32_MAX);
    cr_expect_eq(end_send(&peer->end, "x", true), RH_OK);
    peer_hear(peer);
    peer_credit(peer, 0xfffffffeu, 0x80000000u);
    cr_expect_eq(rh_link_credit_left(peer->end.link), 0x7fffffffu, "one is in flight");
    peer_free(peer);

    struct pair *pair = PAIR(.no_credit = true);
    cr_expect_eq(rh_link_credit(pair->server.link, UINT32_MAX), RH_OK);
    cr_expect_eq(rh_link_credit_left(pair->server.link), 0x7fffffffu);
    pair_run(pair);
    cr_expect_eq(rh_link_credit_left(pair->client.link), 0x7fffffffu);
    pair_free(pair);
}

Test(credit, credit_from_a_sender_is_ignored)
{
    struct peer *peer = peer_new(RH_ENGINE_OPTS(.server = true));
    peer->end.credit  = 5;
    peer_open(peer, 65536, 0);
    peer_begin(peer, 0, 100);
    peer_attach(peer, 0, 0, "l", false);
    peer_credit(peer, 0, 10000);
    cr_expect_eq(rh_link_credit_left(peer->end.link), 5);
    cr_expect_eq(peer->end.count[ON_CREDIT], 0);
    peer_free(peer);
}

Test(credit, a_transfer_beyond_credit_is_the_senders_mistake)
{
    struct peer *peer = peer_new(RH_ENGINE_OPTS(.server = true));
    peer->end.credit  = 0;
    peer_open(peer, 65536, 0);
    peer_begin(peer, 0, 100);
    peer_attach(peer, 0, 0, "l", false);
    cr_assert_eq(rh_link_credit(peer->end.link, 1), RH_OK);
    for (uint32_t i = 0; i < 2; i++) {
        rh_amqp_transfer transfer = transfer_to(0, i, false);
        peer_say_transfer(peer, &transfer, "x");
    }
    peer_hear(peer);
    cr_expect_eq(peer->end.count[ON_DELIVERY], 1);
    cr_expect_eq(peer->end.detached.status, RH_E_TRANSFER_LIMIT);
    cr_expect_str_eq(peer_heard_condition(peer, RH_AMQP_DETACH), "amqp:link:transfer-limit-exceeded");
    cr_expect_eq(peer->end.count[ON_END], 0, "the session lives");
    peer_free(peer);
}

Test(credit, credit_taken_back_does_not_punish_what_is_on_its_way)
{
    struct peer *peer = peer_new(RH_ENGINE_OPTS(.server = true));
    peer->end.credit  = 0;
    peer_open(peer, 65536, 0);
    peer_begin(peer, 0, 100);
    peer_attach(peer, 0, 0, "l", false);
    cr_assert_eq(rh_link_credit(peer->end.link, 3), RH_OK);
    cr_assert_eq(rh_link_credit(peer->end.link, 0), RH_OK);
    for (uint32_t i = 0; i < 3; i++) {
        rh_amqp_transfer transfer = transfer_to(0, i, false);
        peer_say_transfer(peer, &transfer, "x");
    }
    cr_expect_eq(peer->end.count[ON_DELIVERY], 3);
    cr_expect_eq(peer->end.count[ON_DETACH], 0);
    peer_free(peer);
}

Test(credit, a_drained_sender_gives_its_credit_back_after_what_it_has)
{
    struct pair *pair = PAIR(.credit = 10);
    pair->server.credit = 0;
    cr_assert_eq(end_send(&pair->client, "last", false), RH_OK);
    cr_assert_eq(rh_link_drain(pair->server.link), RH_OK);
    pair_run(pair);
    cr_expect_eq(pair->server.count[ON_DELIVERY], 1);
    cr_expect_eq(pair->server.count[ON_DRAINED], 1);
    cr_expect_eq(rh_link_credit_left(pair->server.link), 0);
    cr_expect_eq(rh_link_credit_left(pair->client.link), 0);
    cr_assert_eq(rh_link_credit(pair->server.link, 1), RH_OK);
    pair_run(pair);
    cr_expect_eq(end_send(&pair->client, "again", false), RH_OK);
    pair_run(pair);
    cr_expect_eq(pair->server.count[ON_DELIVERY], 2);
    pair_free(pair);
}

Test(credit, draining_without_credit_is_answered_too)
{
    struct pair *pair = PAIR(.no_credit = true);
    cr_assert_eq(rh_link_drain(pair->server.link), RH_OK);
    pair_run(pair);
    cr_expect_eq(pair->server.count[ON_DRAINED], 1);
    pair_free(pair);
}

static rh_amqp_flow flow_to(uint32_t delivery_count, uint32_t credit, bool drain)
{
    return (rh_amqp_flow){
        .has = RH_HAS_FLOW_NEXT_INCOMING_ID | RH_HAS_FLOW_INCOMING_WINDOW | RH_HAS_FLOW_NEXT_OUTGOING_ID | RH_HAS_FLOW_OUTGOING_WINDOW |
               RH_HAS_FLOW_HANDLE | RH_HAS_FLOW_DELIVERY_COUNT | RH_HAS_FLOW_LINK_CREDIT | RH_HAS_FLOW_DRAIN,
        .delivery_count = delivery_count, .link_credit = credit, .drain = drain,
    };
}

/* A sender is asked to drain while a delivery waits for the session's window; then that delivery goes another way. */
Test(credit, what_leaves_nothing_to_send_answers_a_drain)
{
    static uint8_t large[2000];
    for (int half = 0; half < 2; half++) {
        struct peer *peer = peer_new(RH_ENGINE_OPTS());
        rh_delivery *delivery;
        cr_assert(end_begin(&peer->end, NULL) == RH_OK && end_attach(&peer->end, "l", false) == RH_OK);
        peer_hear(peer);
        peer_open(peer, 512, 0);
        peer_begin(peer, 0, 1000);
        peer_attach(peer, 0, 0, "l", true);
        rh_amqp_flow flow = flow_to(0, 5, false);
        flow.incoming_window = (uint32_t)half;
        peer_say(peer, 0, RH_AMQP_FLOW, &flow);
        cr_assert_eq(end_send_bytes(&peer->end, large, sizeof large, false, &delivery), RH_OK);
        peer_hear(peer);
        flow.drain            = true;
        flow.next_incoming_id = (uint32_t)half;
        flow.incoming_window  = 0;
        peer_say(peer, 0, RH_AMQP_FLOW, &flow);
        peer_hear(peer);
        cr_expect_eq(peer_heard_count(peer, RH_AMQP_FLOW), 0, "not while it has something to send");
        if (half) peer_say(peer, 0, RH_AMQP_DISPOSITION, &(rh_amqp_disposition){ .has = RH_HAS_DISPOSITION_SETTLED, .role = true, .settled = true });
        else cr_expect_eq(rh_delivery_abort(delivery), RH_OK);
        peer_hear(peer);
        cr_assert(peer_heard(peer, RH_AMQP_FLOW, 0, &flow));
        cr_expect(flow.delivery_count == 5 && flow.link_credit == 0);
        peer_free(peer);
    }
}

/* Two steps of nearly half a turn each: the credit left behind would be ahead again. */
Test(credit, a_sender_that_counts_past_its_credit_has_none)
{
    struct peer *peer = peer_new(RH_ENGINE_OPTS(.server = true));
    peer->end.credit  = 10;
    peer_open(peer, 65536, 0);
    peer_begin(peer, 0, 1000);
    peer_attach(peer, 0, 0, "l", false);
    for (uint32_t i = 1; i <= 2; i++) {
        rh_amqp_flow flow = flow_to(i * 0x7fffffffu, 0, false);
        peer_say(peer, 0, RH_AMQP_FLOW, &flow);
    }
    cr_expect_eq(rh_link_credit_left(peer->end.link), 0);
    rh_amqp_transfer transfer = transfer_to(0, 0, false);
    peer_say_transfer(peer, &transfer, "x");
    peer_hear(peer);
    cr_expect_eq(peer->end.count[ON_DELIVERY], 0);
    cr_expect_str_eq(peer_heard_condition(peer, RH_AMQP_DETACH), "amqp:link:transfer-limit-exceeded");
    peer_free(peer);
}

/* It would be said of handle 0, which is another link's. */
Test(credit, a_pending_link_says_nothing_of_its_credit_before_its_attach)
{
    for (int drain = 0; drain < 2; drain++) {
        struct peer *peer = peer_new(RH_ENGINE_OPTS(.server = true));
        peer->end.waits   = true;
        peer_open(peer, 65536, 0);
        peer_begin(peer, 0, 1000);
        peer_attach(peer, 0, 0, "l", true);
        rh_amqp_flow flow = flow_to(0, 5, drain);
        flow.has |= RH_HAS_FLOW_ECHO;
        flow.echo = !drain;
        peer_say(peer, 0, RH_AMQP_FLOW, &flow);
        peer_hear(peer);
        cr_expect_eq(peer_heard_count(peer, RH_AMQP_FLOW), 0);
        rh_amqp_target target = { .has = 0 };
        cr_assert_eq(rh_link_accept(peer->end.link, &(rh_link_opts){ .target = &target }), RH_OK);
        peer_hear(peer);
        cr_expect_eq(peer_heard_count(peer, RH_AMQP_ATTACH), 1);
        cr_expect_eq(peer_heard_count(peer, RH_AMQP_FLOW), 1);
        peer_free(peer);
    }
}

Test(credit, echo_on_a_link_is_answered_with_its_credit)
{
    struct peer *peer = peer_new(RH_ENGINE_OPTS(.server = true));
    peer->end.credit  = 7;
    peer_open(peer, 65536, 0);
    peer_begin(peer, 0, 100);
    peer_attach(peer, 0, 0, "l", false);
    uint32_t     flows = peer_heard_count(peer, RH_AMQP_FLOW);
    rh_amqp_flow flow  = { .has = RH_HAS_FLOW_INCOMING_WINDOW | RH_HAS_FLOW_NEXT_OUTGOING_ID | RH_HAS_FLOW_OUTGOING_WINDOW | RH_HAS_FLOW_HANDLE | RH_HAS_FLOW_ECHO, .echo = true };
    peer_say(peer, 0, RH_AMQP_FLOW, &flow);
    peer_hear(peer);
    cr_assert(peer_heard(peer, RH_AMQP_FLOW, flows, &flow));
    cr_expect_eq(flow.link_credit, 7);
    peer_free(peer);
}
