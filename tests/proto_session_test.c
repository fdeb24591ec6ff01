/**
 * Sessions: windows, ends, dispositions of ranges.
 */
#include "tests/peer.h"

#include "proto/serial.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <time.h>

/* -- serial numbers ---------------------------------------------------------------------------- */

Test(serial, order_survives_the_wrap)
{
    cr_expect(rh_serial_before(1, 2));
    cr_expect(rh_serial_before(UINT32_MAX, 0));
    cr_expect(rh_serial_before(UINT32_MAX - 2, 3));
    cr_expect_not(rh_serial_before(2, 1));
    cr_expect_not(rh_serial_before(0, UINT32_MAX));
    cr_expect_not(rh_serial_before(7, 7));
    cr_expect_eq(rh_serial_ahead(UINT32_MAX, 4), 5);
    cr_expect_eq(rh_serial_ahead(4, UINT32_MAX), 0);
    cr_expect(rh_serial_in(0, UINT32_MAX, 1));
    cr_expect_not(rh_serial_in(2, UINT32_MAX, 1));
    cr_expect(rh_serial_in(12345, 0, UINT32_MAX));
}

/* -- windows [2.5.6] --------------------------------------------------------------------------- */

static struct peer *client_peer(uint32_t window, uint32_t credit)
{
    struct peer *peer = peer_new(RH_ENGINE_OPTS());
    if (end_begin(&peer->end, NULL) != RH_OK || end_attach(&peer->end, "l", false) != RH_OK) abort();
    peer_hear(peer);
    peer_open(peer, 512, 0);
    peer_begin(peer, 0, window);
    peer_attach(peer, 0, 0, "l", true);
    if (credit) peer_credit(peer, 0, credit);
    return peer;
}

static void peer_window(struct peer *peer, uint32_t next_incoming_id, uint32_t window)
{
    rh_amqp_flow flow = {
        .has = RH_HAS_FLOW_NEXT_INCOMING_ID | RH_HAS_FLOW_INCOMING_WINDOW | RH_HAS_FLOW_NEXT_OUTGOING_ID | RH_HAS_FLOW_OUTGOING_WINDOW,
        .next_incoming_id = next_incoming_id,
        .incoming_window  = window,
    };
    peer_say(peer, 0, RH_AMQP_FLOW, &flow);
    peer_hear(peer);
}

Test(session, a_window_stops_a_delivery_between_two_frames)
{
    struct peer   *peer = client_peer(0, 10);
    static uint8_t large[2000];
    peer_window(peer, 0, 2);
    cr_assert_eq(end_send_bytes(&peer->end, large, sizeof large, false, NULL), RH_OK);
    cr_assert_eq(end_send(&peer->end, "next", false), RH_OK);
    peer_hear(peer);
    cr_expect_eq(peer_heard_count(peer, RH_AMQP_TRANSFER), 2);
    cr_expect_not(rh_engine_wants_output(peer->end.engine));
    peer_window(peer, 2, 1);
    cr_expect_eq(peer_heard_count(peer, RH_AMQP_TRANSFER), 3);
    peer_window(peer, 2, 1);
    cr_expect_eq(peer_heard_count(peer, RH_AMQP_TRANSFER), 3, "the same flow again gives nothing new");
    peer_window(peer, 3, 100);
    rh_amqp_transfer transfer;
    cr_assert(peer_heard(peer, RH_AMQP_TRANSFER, 5, &transfer));
    cr_expect_eq(transfer.delivery_id, 1);
    cr_expect_eq(peer_heard_count(peer, RH_AMQP_TRANSFER), 6, "five of the large one, one of the next");
    peer_free(peer);
}

/* [2.5.6] Until it says what it has seen, the peer counts from our first. */
Test(session, a_flow_counts_from_what_the_peer_has_seen)
{
    struct peer *peer = peer_new(RH_ENGINE_OPTS(.first_id = UINT32_MAX - 1));
    cr_assert(end_begin(&peer->end, NULL) == RH_OK && end_attach(&peer->end, "l", false) == RH_OK);
    peer_hear(peer);
    peer_open(peer, 512, 0);
    peer_begin(peer, 0, 5);
    peer_attach(peer, 0, 0, "l", true);
    rh_amqp_flow flow = { .has = RH_HAS_FLOW_INCOMING_WINDOW | RH_HAS_FLOW_HANDLE | RH_HAS_FLOW_LINK_CREDIT, .incoming_window = 5, .link_credit = 20 };
    peer_say(peer, 0, RH_AMQP_FLOW, &flow);
    for (int i = 0; i < 20; i++) cr_assert_eq(end_send(&peer->end, "x", false), RH_OK);
    peer_hear(peer);
    cr_expect_eq(peer_heard_count(peer, RH_AMQP_TRANSFER), 5);
    peer_say(peer, 0, RH_AMQP_FLOW, &flow);
    peer_hear(peer);
    cr_expect_eq(peer_heard_count(peer, RH_AMQP_TRANSFER), 5, "the five are on their way");
    peer_window(peer, 0, 5); /* two of them were seen: 2^32 - 2 and 2^32 - 1 */
    cr_expect_eq(peer_heard_count(peer, RH_AMQP_TRANSFER), 7);
    peer_free(peer);
}

Test(session, links_that_are_ready_share_the_last_of_the_window)
{
    struct peer *peer = client_peer(1, 10);
    rh_link     *one  = peer->end.link, *other;
    cr_assert_eq(end_attach(&peer->end, "other", false), RH_OK);
    other = peer->end.link;
    peer_attach(peer, 0, 1, "other", true);
    rh_amqp_flow flow = { .has = RH_HAS_FLOW_NEXT_INCOMING_ID | RH_HAS_FLOW_INCOMING_WINDOW | RH_HAS_FLOW_HANDLE | RH_HAS_FLOW_DELIVERY_COUNT | RH_HAS_FLOW_LINK_CREDIT,
                          .incoming_window = 1, .handle = 1, .link_credit = 10 };
    peer_say(peer, 0, RH_AMQP_FLOW, &flow);
    for (int i = 0; i < 2; i++) {
        peer->end.link = i ? other : one;
        cr_assert_eq(end_send(&peer->end, "x", false), RH_OK);
    }
    for (uint32_t sent = 1; sent <= 2; sent++) {
        peer_hear(peer);
        cr_expect_eq(peer_heard_count(peer, RH_AMQP_TRANSFER), sent);
        peer_window(peer, sent, 1);
    }
    peer_free(peer);
}

Test(session, windows_of_one_frame_carry_everything)
{
    struct pair   *pair = PAIR(.window = 1, .client.max_frame_size = 512, .server.max_frame_size = 512);
    static uint8_t large[100000];
    for (size_t i = 0; i < sizeof large; i++) large[i] = (uint8_t)(i * 11 + i / 256);
    for (int i = 0; i < 3; i++) cr_assert_eq(end_send_bytes(&pair->client, large, sizeof large, false, NULL), RH_OK);
    pair_run(pair);
    uint64_t sum = 0;
    for (int k = 0; k < 3; k++)
        for (size_t i = 0; i < sizeof large; i++) sum = sum * 31 + large[i];
    cr_expect_eq(pair->server.count[ON_DELIVERY], 3);
    cr_expect_eq(pair->server.payload_sum, sum);
    cr_expect_eq(pair->client.outcomes[RH_ACCEPTED], 3);
    pair_free(pair);
}

Test(session, the_incoming_window_is_renewed_at_half)
{
    struct peer *peer = peer_new(RH_ENGINE_OPTS(.server = true, .incoming_window = 10));
    peer->end.credit  = 1000;
    peer_open(peer, 65536, 0);
    peer_begin(peer, 0, 100);
    peer_attach(peer, 0, 0, "l", false);
    uint32_t flows = peer_heard_count(peer, RH_AMQP_FLOW);
    for (uint32_t i = 0; i < 5; i++) {
        rh_amqp_transfer transfer = transfer_to(0, i, false);
        transfer.settled          = true;
        cr_expect_eq(peer_heard_count(peer, RH_AMQP_FLOW), flows);
        peer_say_transfer(peer, &transfer, "x");
        peer_hear(peer);
    }
    rh_amqp_flow flow;
    cr_assert(peer_heard(peer, RH_AMQP_FLOW, flows, &flow));
    cr_expect_eq(flow.incoming_window, 10);
    cr_expect_eq(flow.next_incoming_id, 5);
    peer_free(peer);
}

Test(session, counting_starts_where_each_side_says)
{
    struct peer  *peer  = peer_new(RH_ENGINE_OPTS(.server = true, .first_id = 7));
    rh_amqp_begin begin = { .has = RH_HAS_BEGIN_NEXT_OUTGOING_ID | RH_HAS_BEGIN_INCOMING_WINDOW | RH_HAS_BEGIN_OUTGOING_WINDOW, .next_outgoing_id = 41, .incoming_window = 9 };
    peer->end.credit = 5;
    peer_open(peer, 65536, 0);
    peer_say(peer, 0, RH_AMQP_BEGIN, &begin);
    peer_attach(peer, 0, 0, "in", false);
    peer_attach(peer, 0, 1, "out", true);
    rh_amqp_flow   flow;
    rh_amqp_attach attach;
    cr_assert(peer_heard(peer, RH_AMQP_BEGIN, 0, &begin));
    cr_expect_eq(begin.next_outgoing_id, 7);
    cr_expect_eq(begin.remote_channel, 0);
    cr_assert(peer_heard(peer, RH_AMQP_FLOW, 0, &flow));
    cr_expect_eq(flow.next_incoming_id, 41);
    cr_expect_eq(flow.next_outgoing_id, 7);
    cr_assert(peer_heard(peer, RH_AMQP_ATTACH, 1, &attach));
    cr_expect_eq(attach.initial_delivery_count, 7);
    peer_free(peer);
}

Test(session, a_transfer_beyond_the_window_ends_the_session)
{
    struct peer *peer = peer_new(RH_ENGINE_OPTS(.server = true, .incoming_window = 2));
    peer->end.credit  = 1000;
    peer_open(peer, 65536, 0);
    peer_begin(peer, 0, 100);
    peer_attach(peer, 0, 0, "l", false);
    for (uint32_t i = 0; i < 3; i++) {
        rh_amqp_transfer transfer = transfer_to(0, i, false);
        peer_say_transfer(peer, &transfer, "x"); /* three in one go: the renewal has had no chance to leave */
    }
    peer_hear(peer);
    cr_expect_eq(peer->end.count[ON_DELIVERY], 2);
    cr_expect_eq(peer->end.ended.status, RH_E_WINDOW_VIOLATION);
    cr_expect_str_eq(peer_heard_condition(peer, RH_AMQP_END), "amqp:session:window-violation");
    cr_expect_eq(peer->end.count[ON_CLOSE], 0, "the connection lives");
    peer_free(peer);
}

Test(session, echo_is_answered)
{
    struct peer *peer = client_peer(10, 10);
    uint32_t     flows = peer_heard_count(peer, RH_AMQP_FLOW);
    rh_amqp_flow flow = { .has = RH_HAS_FLOW_NEXT_INCOMING_ID | RH_HAS_FLOW_INCOMING_WINDOW | RH_HAS_FLOW_NEXT_OUTGOING_ID | RH_HAS_FLOW_OUTGOING_WINDOW | RH_HAS_FLOW_ECHO, .echo = true, .incoming_window = 5 };
    peer_say(peer, 0, RH_AMQP_FLOW, &flow);
    peer_hear(peer);
    cr_expect_eq(peer_heard_count(peer, RH_AMQP_FLOW), flows + 1);
    peer_free(peer);
}

/* -- dispositions ------------------------------------------------------------------------------ */

static void peer_settle(struct peer *peer, uint32_t first, uint32_t last, bool settled, rh_slice state)
{
    rh_amqp_disposition disposition = {
        .has = RH_HAS_DISPOSITION_ROLE | RH_HAS_DISPOSITION_FIRST | RH_HAS_DISPOSITION_LAST | RH_HAS_DISPOSITION_SETTLED,
        .role = true, .first = first, .last = last, .settled = settled, .state = state,
    };
    peer_say(peer, 0, RH_AMQP_DISPOSITION, &disposition);
    peer_hear(peer);
}

#define ACCEPTED rh_slice_of("\x00\x53\x24\x45", 4)

/* B12: a range over ids that nobody sent costs what is live, not what it claims. */
Test(session, a_range_of_all_numbers_settles_the_one_that_is_live_at_once)
{
    struct peer *peer = client_peer(100, 10);
    cr_assert_eq(end_send(&peer->end, "x", false), RH_OK);
    peer_hear(peer);
    struct timespec before, after;
    clock_gettime(CLOCK_MONOTONIC, &before);
    for (int i = 0; i < 1000; i++) peer_settle(peer, 1, 0, true, ACCEPTED); /* 1, 2, ... 2^32 - 1, 0 */
    clock_gettime(CLOCK_MONOTONIC, &after);
    cr_expect_eq(peer->end.outcomes[RH_ACCEPTED], 1);
    double ms = (double)(after.tv_sec - before.tv_sec) * 1e3 + (double)(after.tv_nsec - before.tv_nsec) / 1e6;
    cr_expect_lt(ms, 1000, "%f ms for a thousand ranges, with the sanitizers and the test's own work", ms);
    peer_free(peer);
}

Test(session, ranges_settle_exactly_what_they_hold)
{
    struct peer *peer = client_peer(100, 10);
    for (int i = 0; i < 6; i++) cr_assert_eq(end_send(&peer->end, "x", false), RH_OK);
    peer_hear(peer);
    peer_settle(peer, 1, 2, true, ACCEPTED);
    cr_expect_eq(peer->end.outcomes[RH_ACCEPTED], 2);
    peer_settle(peer, 1, 2, true, ACCEPTED);
    cr_expect_eq(peer->end.outcomes[RH_ACCEPTED], 2, "settled once");
    peer_settle(peer, 100, 200, true, ACCEPTED);
    cr_expect_eq(peer->end.outcomes[RH_ACCEPTED], 2);
    peer_settle(peer, 5, 5, true, rh_slice_of("\x00\x53\x26\x45", 4));
    cr_expect_eq(peer->end.outcomes[RH_RELEASED], 1);
    peer_settle(peer, 0, 0, true, rh_slice_of("\x00\x53\x27\x45", 4));
    cr_expect_eq(peer->end.outcomes[RH_MODIFIED], 1);
    peer_settle(peer, 3, 3, true, rh_slice_of(NULL, 0));
    cr_expect_eq(peer->end.outcomes[RH_SETTLED], 1);
    cr_expect_eq(rh_link_unsettled(peer->end.link), 1);
    peer_settle(peer, 4, 4, false, rh_slice_of("\x00\x53\x23\xc0\x03\x02\x43\x44", 8)); /* received: no outcome */
    cr_expect_eq(rh_link_unsettled(peer->end.link), 1);
    peer_free(peer);
}

Test(session, a_rejection_brings_its_condition_and_words)
{
    struct peer *peer = client_peer(100, 10);
    uint8_t      state[200], error[150];
    cr_assert_eq(end_send(&peer->end, "x", false), RH_OK);
    peer_hear(peer);
    rh_enc e = rh_enc_of(error, sizeof error), r = rh_enc_of(state, sizeof state);
    rh_amqp_error_encode(&e, &(rh_amqp_error){ .condition = rh_str("com.microsoft:server-busy"), .description = rh_str("later") });
    rh_amqp_rejected_encode(&r, &(rh_amqp_rejected){ .error = rh_enc_written(&e) });
    peer_settle(peer, 0, 0, true, rh_enc_written(&r));
    cr_expect_eq(peer->end.outcomes[RH_REJECTED], 1);
    cr_expect_str_eq(peer->end.condition, "com.microsoft:server-busy");
    cr_expect_str_eq(peer->end.description, "later");
    peer_free(peer);
}

Test(session, a_receiver_that_waits_for_us_is_answered)
{
    struct peer *peer = client_peer(100, 10);
    for (int i = 0; i < 3; i++) cr_assert_eq(end_send(&peer->end, "x", false), RH_OK);
    peer_hear(peer);
    peer_settle(peer, 0, 2, false, ACCEPTED);
    cr_expect_eq(peer->end.outcomes[RH_ACCEPTED], 3);
    rh_amqp_disposition answer;
    cr_assert(peer_heard(peer, RH_AMQP_DISPOSITION, 0, &answer));
    cr_expect_not(answer.role);
    cr_expect(answer.settled);
    cr_expect_eq(answer.first, 0);
    cr_expect_eq(answer.last, 2);
    peer_free(peer);
}

/* Every second one was sent settled: an answer for each of the others would not find room, and the rest of the range
 * would never be told. */
Test(session, a_range_with_gaps_is_settled_whole_and_answered_at_once)
{
    struct peer *peer = peer_new(RH_ENGINE_OPTS(.deliveries = 400, .output_bytes = 4096));
    cr_assert(end_begin(&peer->end, NULL) == RH_OK && end_attach(&peer->end, "l", false) == RH_OK);
    peer_hear(peer);
    peer_open(peer, 512, 0);
    peer_begin(peer, 0, 1000);
    peer_attach(peer, 0, 0, "l", true);
    peer_credit(peer, 0, 400);
    for (uint32_t i = 0; i < 400; i++) {
        cr_assert_eq(end_send(&peer->end, "x", i % 2), RH_OK);
        peer_hear(peer);
    }
    peer_settle(peer, 0, 399, false, ACCEPTED);
    cr_expect_eq(peer->end.outcomes[RH_ACCEPTED], 200);
    cr_expect_eq(peer_heard_count(peer, RH_AMQP_DISPOSITION), 1);
    rh_amqp_disposition answer;
    cr_assert(peer_heard(peer, RH_AMQP_DISPOSITION, 0, &answer));
    cr_expect(!answer.role && answer.settled && answer.first == 0 && answer.last == 398);
    peer_free(peer);
}

Test(session, a_rejection_too_long_for_the_peers_frames_goes_without_its_words)
{
    struct peer *peer   = peer_new(RH_ENGINE_OPTS(.server = true));
    peer->end.settles   = false;
    peer->end.credit    = 10;
    char words[500];
    memset(words, 'w', sizeof words - 1);
    words[sizeof words - 1] = 0;
    peer_open(peer, 512, 0);
    peer_begin(peer, 0, 1000);
    peer_attach(peer, 0, 0, "l", false);
    rh_amqp_transfer transfer = transfer_to(0, 0, false);
    peer_say_transfer(peer, &transfer, "x");
    cr_expect_eq(rh_link_settle(peer->end.link, 0, 0, RH_REJECTED, "a:b", words), RH_OK);
    peer_hear(peer);
    rh_amqp_disposition disposition;
    cr_assert(peer_heard(peer, RH_AMQP_DISPOSITION, 0, &disposition));
    rh_dec state = rh_dec_of(disposition.state);
    cr_expect_eq(rh_composite_peek(&state), RH_AMQP_REJECTED);
    peer_free(peer);
}

Test(session, each_outcome_leaves_as_its_own_state)
{
    static const rh_composite_id states[] = { [RH_ACCEPTED] = RH_AMQP_ACCEPTED, [RH_REJECTED] = RH_AMQP_REJECTED, [RH_RELEASED] = RH_AMQP_RELEASED,
                                              [RH_MODIFIED] = RH_AMQP_MODIFIED, [RH_SETTLED] = RH_AMQP_UNKNOWN };
    struct peer *peer = peer_new(RH_ENGINE_OPTS(.server = true));
    peer->end.settles = false;
    peer_open(peer, 65536, 0);
    peer_begin(peer, 0, 100);
    peer->end.credit = 10;
    peer_attach(peer, 0, 0, "l", false);
    for (uint32_t kind = 0; kind < sizeof states / sizeof *states; kind++) {
        rh_amqp_disposition disposition;
        rh_amqp_transfer    transfer = transfer_to(0, kind, false);
        peer_say_transfer(peer, &transfer, "x");
        cr_expect_eq(rh_link_settle(peer->end.link, kind, kind, (rh_outcome_kind)kind, NULL, NULL), RH_OK);
        peer_hear(peer);
        cr_assert(peer_heard(peer, RH_AMQP_DISPOSITION, kind, &disposition));
        rh_dec state = rh_dec_of(disposition.state);
        cr_expect_eq(rh_composite_peek(&state), states[kind], "outcome %u", kind);
    }
    peer_free(peer);
}

Test(session, neighbours_settled_together_leave_as_one_disposition)
{
    struct peer *peer = peer_new(RH_ENGINE_OPTS(.server = true));
    peer->end.credit  = 1000;
    peer_open(peer, 65536, 0);
    peer_begin(peer, 0, 100);
    peer_attach(peer, 0, 0, "l", false);
    for (uint32_t i = 0; i < 100; i++) {
        rh_amqp_transfer transfer = transfer_to(0, i, false);
        peer_say_transfer(peer, &transfer, "x");
    }
    cr_expect_eq(rh_link_settle(peer->end.link, 200, 200, RH_REJECTED, "a:b", "c"), RH_OK);
    peer_hear(peer);
    cr_expect_eq(peer_heard_count(peer, RH_AMQP_DISPOSITION), 2);
    rh_amqp_disposition disposition;
    cr_assert(peer_heard(peer, RH_AMQP_DISPOSITION, 0, &disposition));
    cr_expect(disposition.role && disposition.settled && disposition.first == 0 && disposition.last == 99);
    peer_free(peer);
}

/* -- ends -------------------------------------------------------------------------------------- */

Test(session, an_end_takes_its_links_and_deliveries_along)
{
    struct pair *pair = PAIR();
    pair->server.settles = false;
    cr_assert_eq(end_send(&pair->client, "left", false), RH_OK);
    pair_run(pair);
    cr_expect_eq(rh_session_end(pair->server.session, "amqp:resource-deleted", "gone"), RH_OK);
    pair_run(pair);
    cr_expect_eq(pair->client.outcomes[RH_UNKNOWN], 1);
    cr_expect_eq(pair->client.count[ON_DETACH], 1);
    cr_expect_eq(pair->client.count[ON_END], 1);
    cr_expect_str_eq(pair->client.ended.condition, "amqp:resource-deleted");
    cr_expect_eq(pair->server.ended.status, RH_OK);
    cr_expect_eq(pair->client.count[ON_CLOSE], 0);
    pair_free(pair);
}

/* Found by the fuzzer: the links of an ended session stayed among those with something to cut. */
Test(session, what_is_queued_when_its_owner_ends_the_session_is_dropped)
{
    struct pair *pair = PAIR();
    cr_assert_eq(end_send(&pair->client, "queued", false), RH_OK);
    cr_expect_eq(rh_session_end(pair->client.session, NULL, NULL), RH_OK);
    pair_run(pair);
    cr_expect_eq(pair->client.outcomes[RH_DROPPED], 1);
    cr_expect_eq(pair->server.count[ON_DELIVERY], 0);
    cr_expect_eq(pair->server.count[ON_END], 1);
    pair_free(pair);
}

/* What crosses our end: outcomes of what left before it count, nothing else is heard. */
/* [2.6.12] The peer decides and leaves it to us to settle; but after our end the session says nothing more. */
Test(session, what_is_decided_after_our_end_is_not_settled_any_more)
{
    struct peer *peer = client_peer(10, 10);
    for (int i = 0; i < 3; i++) cr_assert_eq(end_send(&peer->end, "a", false), RH_OK);
    peer_hear(peer);
    cr_assert_eq(rh_session_end(peer->end.session, NULL, NULL), RH_OK);
    peer_hear(peer);
    cr_assert_eq(peer_heard_count(peer, RH_AMQP_END), 1);
    for (uint32_t id = 0; id < 3; id += 2) {
        rh_amqp_disposition disposition = { .has = RH_HAS_DISPOSITION_ROLE | RH_HAS_DISPOSITION_FIRST, .role = true, .first = id,
                                            .state = rh_slice_of("\x00\x53\x24\x45", 4) };
        peer_say(peer, 0, RH_AMQP_DISPOSITION, &disposition);
        peer_hear(peer);
    }
    cr_expect_eq(peer_heard_count(peer, RH_AMQP_DISPOSITION), 0);
    cr_expect_eq(peer->end.outcomes[RH_ACCEPTED], 2, "the word itself still counts");
    peer_free(peer);
}

Test(session, after_our_end_only_outcomes_are_heard)
{
    struct peer *peer = client_peer(100, 10);
    cr_assert_eq(end_send(&peer->end, "x", false), RH_OK);
    cr_assert_eq(end_attach(&peer->end, "in", true), RH_OK);
    cr_assert_eq(rh_link_credit(peer->end.link, 10), RH_OK);
    peer_hear(peer);
    peer_attach(peer, 0, 1, "in", false);
    cr_assert_eq(rh_session_end(peer->end.session, NULL, NULL), RH_OK);
    peer_hear(peer);
    uint32_t         attached = peer->end.count[ON_ATTACH], credited = peer->end.count[ON_CREDIT];
    rh_amqp_transfer transfer = transfer_to(1, 0, false);
    peer_say_transfer(peer, &transfer, "late");
    peer_attach(peer, 0, 2, "late", false);
    peer_credit(peer, 0, 50);
    peer_say(peer, 0, RH_AMQP_DETACH, &(rh_amqp_detach){ .has = RH_HAS_DETACH_HANDLE });
    cr_expect_eq(peer->end.count[ON_DELIVERY], 0);
    cr_expect_eq(peer->end.count[ON_ATTACH], attached);
    cr_expect_eq(peer->end.count[ON_CREDIT], credited);
    cr_expect_eq(peer->end.count[ON_DETACH], 0);
    peer_settle(peer, 0, 0, true, ACCEPTED);
    cr_expect_eq(peer->end.outcomes[RH_ACCEPTED], 1);
    peer_say(peer, 0, RH_AMQP_END, &(rh_amqp_end){ .has = 0 });
    peer_hear(peer);
    cr_expect_eq(peer->end.count[ON_DETACH], 2);
    cr_expect_eq(peer->end.count[ON_END], 1);
    cr_expect_eq(peer->end.count[ON_CLOSE], 0);
    peer_free(peer);
}

Test(session, slots_and_channels_are_used_again)
{
    struct pair *pair = PAIR(.client.sessions = 2, .server.sessions = 2, .half = true);
    for (int i = 0; i < 300; i++) {
        cr_assert_eq(end_begin(&pair->client, NULL), RH_OK, "round %d", i);
        cr_assert_eq(end_attach(&pair->client, "l", i % 2), RH_OK);
        pair_run(pair);
        cr_assert_eq(rh_session_end(pair->client.session, NULL, NULL), RH_OK);
        pair_run(pair);
    }
    cr_expect_eq(pair->server.count[ON_END], 300);
    cr_expect_eq(pair->client.count[ON_END], 300);
    cr_expect_eq(pair->client.count[ON_CLOSE], 0);
    pair_free(pair);
}

Test(session, slots_run_out_with_a_limit)
{
    struct pair *pair = PAIR(.client.sessions = 3, .half = true);
    for (int i = 0; i < 3; i++) cr_expect_eq(end_begin(&pair->client, NULL), RH_OK);
    cr_expect_eq(end_begin(&pair->client, NULL), RH_E_LIMIT);
    pair_free(pair);
}

Test(session, an_end_before_the_answer_to_begin_waits_for_it)
{
    struct peer *peer = peer_new(RH_ENGINE_OPTS());
    cr_assert_eq(end_begin(&peer->end, NULL), RH_OK);
    peer_hear(peer);
    cr_assert_eq(rh_session_end(peer->end.session, NULL, NULL), RH_OK);
    peer_open(peer, 65536, 0);
    cr_expect_eq(peer_heard_count(peer, RH_AMQP_END), 0);
    peer_begin(peer, 0, 10);
    cr_expect_eq(peer_heard_count(peer, RH_AMQP_END), 1);
    cr_expect_eq(peer->end.count[ON_BEGIN], 0, "nobody waits for it any more");
    peer_say(peer, 0, RH_AMQP_END, &(rh_amqp_end){ .has = 0 });
    cr_expect_eq(peer->end.count[ON_END], 1);
    peer_free(peer);
}

Test(session, late_frames_of_an_ended_session_are_not_mistakes)
{
    struct peer *peer = peer_new(RH_ENGINE_OPTS(.server = true));
    peer_open(peer, 65536, 0);
    peer_begin(peer, 1, 100);
    peer_attach(peer, 1, 1, "l", false);
    peer_say(peer, 1, RH_AMQP_END, &(rh_amqp_end){ .has = 0 });
    peer_hear(peer);
    cr_expect_eq(peer_heard_count(peer, RH_AMQP_END), 1);
    peer_say(peer, 1, RH_AMQP_DETACH, &(rh_amqp_detach){ .has = RH_HAS_DETACH_HANDLE, .handle = 1 });
    peer_say(peer, 1, RH_AMQP_END, &(rh_amqp_end){ .has = 0 });
    peer_hear(peer);
    cr_expect_eq(peer->end.count[ON_CLOSE], 0);
    peer->end.session = NULL;
    peer_begin(peer, 1, 100);
    cr_expect_eq(peer->end.count[ON_BEGIN], 2, "the channel begins anew");
    peer_free(peer);
}

Test(session, a_stale_handle_is_refused)
{
    struct pair *pair  = PAIR();
    rh_session  *stale = pair->client.session;
    rh_link     *link  = pair->client.link;
    rh_session  *out   = NULL;
    cr_assert_eq(rh_session_end(stale, NULL, NULL), RH_OK);
    pair_run(pair);
    cr_assert_eq(rh_session_begin(pair->client.engine, NULL, NULL, &out), RH_OK);
    cr_expect_neq(out, stale, "the slot is the same, the handle is not");
    cr_expect_eq(rh_session_end(stale, NULL, NULL), RH_E_STATE);
    cr_expect_null(rh_session_engine(stale));
    cr_expect_eq(rh_link_credit_left(link), 0);
    cr_expect_null(rh_link_session(link));
    cr_expect_eq(rh_session_end(NULL, NULL, NULL), RH_E_STATE);
    pair_free(pair);
}

Test(session, a_peer_that_begins_too_many_is_told)
{
    struct pair *pair = PAIR(.client.sessions = 4, .server.sessions = 2, .half = true);
    for (int i = 0; i < 2; i++) cr_expect_eq(end_begin(&pair->client, NULL), RH_OK);
    pair_run(pair);
    cr_expect_eq(end_begin(&pair->client, NULL), RH_E_LIMIT, "the peer's channel-max is one");
    cr_expect_eq(rh_session_end(pair->client.session, NULL, NULL), RH_OK);
    pair_run(pair);
    cr_expect_eq(end_begin(&pair->client, NULL), RH_OK, "channel one is free again");
    pair_free(pair);
}
