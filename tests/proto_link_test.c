/**
 * Links: attach, refuse, detach, and the limits of both ends.
 */
#include "proto/engine.h"
#include "tests/peer.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

/* -- attach ------------------------------------------------------------------------------------ */

Test(link, the_peers_attach_is_echoed_with_what_we_offer)
{
    struct peer *peer          = peer_new(RH_ENGINE_OPTS(.server = true));
    peer->end.max_message_size = 1048576;
    peer_open(peer, 65536, 0);
    peer_begin(peer, 0, 100);
    peer_attach(peer, 0, 7, "the name", false);
    rh_amqp_attach attach;
    cr_assert(peer_heard(peer, RH_AMQP_ATTACH, 0, &attach));
    cr_expect(rh_slice_is(attach.name, "the name"));
    cr_expect(attach.role);
    cr_expect_eq(attach.handle, 0);
    cr_expect_eq(attach.max_message_size, 1048576);
    cr_expect_arr_eq(attach.source.p, "\x00\x53\x28\x45", 4);
    cr_expect(rh_slice_is(rh_link_name(peer->end.link), "the name"));
    cr_expect(rh_link_is_attached(peer->end.link));
    peer_free(peer);
}

Test(link, a_refusal_is_an_attach_without_terminus_and_a_detach)
{
    struct peer *peer  = peer_new(RH_ENGINE_OPTS(.server = true));
    peer->end.refuses = true;
    peer_open(peer, 65536, 0);
    peer_begin(peer, 0, 100);
    peer_attach(peer, 0, 0, "l", true);
    rh_amqp_attach attach;
    rh_amqp_detach detach;
    cr_assert(peer_heard(peer, RH_AMQP_ATTACH, 0, &attach));
    cr_expect_null(attach.source.p);
    cr_expect_null(attach.target.p);
    cr_assert(peer_heard(peer, RH_AMQP_DETACH, 0, &detach));
    cr_expect(detach.closed);
    cr_expect_str_eq(peer_heard_condition(peer, RH_AMQP_DETACH), "amqp:unauthorized-access");
    cr_expect_eq(peer->end.count[ON_DETACH], 0);
    peer_say(peer, 0, RH_AMQP_DETACH, &(rh_amqp_detach){ .has = RH_HAS_DETACH_HANDLE | RH_HAS_DETACH_CLOSED, .closed = true });
    cr_expect_eq(peer->end.count[ON_DETACH], 1);
    peer_free(peer);
}

Test(link, a_refused_link_shows_as_detach_only)
{
    for (int receives = 0; receives < 2; receives++) {
        struct pair *pair     = PAIR(.half = true);
        pair->server.refuses = true;
        cr_assert_eq(end_begin(&pair->client, NULL), RH_OK);
        cr_assert_eq(end_attach(&pair->client, "l", receives), RH_OK);
        pair_run(pair);
        cr_expect_eq(pair->client.count[ON_ATTACH], 0);
        cr_expect_eq(pair->client.count[ON_DETACH], 1);
        cr_expect_str_eq(pair->client.detached.condition, "amqp:unauthorized-access");
        cr_expect_str_eq(pair->client.detached.description, "not you");
        cr_expect_eq(pair->server.count[ON_DETACH], 1);
        pair_free(pair);
    }
}

Test(link, a_refusal_without_words_is_one_all_the_same)
{
    struct peer *peer = peer_new(RH_ENGINE_OPTS());
    peer_open(peer, 65536, 0);
    cr_assert_eq(end_begin(&peer->end, NULL), RH_OK);
    peer_begin(peer, 0, 100);
    cr_assert_eq(end_attach(&peer->end, "l", false), RH_OK);
    peer_hear(peer);
    rh_amqp_attach refusal = { .has = RH_HAS_ATTACH_ROLE, .name = rh_str("l"), .role = true };
    peer_say(peer, 0, RH_AMQP_ATTACH, &refusal);
    peer_say(peer, 0, RH_AMQP_DETACH, &(rh_amqp_detach){ .has = RH_HAS_DETACH_CLOSED, .closed = true });
    peer_hear(peer);
    cr_expect_eq(peer->end.count[ON_ATTACH], 0);
    cr_expect_eq(peer->end.count[ON_DETACH], 1);
    cr_expect_eq(peer->end.detached.status, RH_E_DETACHED);
    peer_free(peer);
}

static struct peer *peer_that_allows(uint32_t handle_max)
{
    struct peer  *peer  = peer_new(RH_ENGINE_OPTS(.server = true));
    rh_amqp_begin begin = { .has = RH_HAS_BEGIN_HANDLE_MAX, .incoming_window = 100, .outgoing_window = 100, .handle_max = handle_max };
    peer_open(peer, 65536, 0);
    peer_say(peer, 0, RH_AMQP_BEGIN, &begin);
    peer_hear(peer);
    return peer;
}

/* An owner without on_attach takes none. */
static const rh_engine_handler nobody;

Test(link, a_link_that_nobody_takes_is_refused)
{
    struct peer *peer         = peer_that_allows(255);
    peer->end.engine->handler = &nobody;
    peer_attach(peer, 0, 0, "l", true);
    cr_expect_eq(peer_heard_count(peer, RH_AMQP_ATTACH), 1);
    cr_expect_str_eq(peer_heard_condition(peer, RH_AMQP_DETACH), "amqp:not-allowed");
    peer_free(peer);
}

/* The peer allows one handle, and that is taken. */
Test(link, without_a_handle_for_the_answer_the_session_ends)
{
    for (int later = 0; later < 2; later++) {
        struct peer *peer = peer_that_allows(0);
        peer->end.waits   = true;
        if (!later) peer->end.engine->handler = &nobody;
        cr_assert_eq(end_attach(&peer->end, "ours", false), RH_OK);
        peer_attach(peer, 0, 0, "theirs", true);
        cr_expect_eq(peer_heard_count(peer, RH_AMQP_END), later ? 0 : 1);
        if (later) peer_say(peer, 0, RH_AMQP_DETACH, &(rh_amqp_detach){ .has = RH_HAS_DETACH_CLOSED, .closed = true });
        peer_hear(peer);
        cr_expect_str_eq(peer_heard_condition(peer, RH_AMQP_END), "amqp:resource-limit-exceeded");
        peer_free(peer);
    }
}

Test(link, accept_and_refuse_may_come_later)
{
    struct pair *pair   = PAIR(.half = true);
    pair->server.waits = true;
    cr_assert_eq(end_begin(&pair->client, NULL), RH_OK);
    cr_assert_eq(end_attach(&pair->client, "l", false), RH_OK);
    pair_run(pair);
    cr_expect(rh_link_is_pending(pair->server.link));
    cr_expect_eq(pair->client.count[ON_ATTACH], 0);
    rh_amqp_target target = { .has = 0 };
    cr_assert_eq(rh_link_accept(pair->server.link, &(rh_link_opts){ .source = &(rh_amqp_source){ .has = 0 }, .target = &target }), RH_OK);
    cr_expect_eq(rh_link_accept(pair->server.link, &(rh_link_opts){ .target = &target }), RH_E_STATE, "once");
    pair_run(pair);
    cr_expect_eq(pair->client.count[ON_ATTACH], 1);
    cr_expect_eq(rh_link_credit_left(pair->client.link), 100, "credit granted while pending leaves with the answer");
    pair_free(pair);
}

Test(link, a_peer_that_detaches_before_our_answer_gets_it_first)
{
    struct peer *peer = peer_new(RH_ENGINE_OPTS(.server = true));
    peer->end.waits   = true;
    peer_open(peer, 65536, 0);
    peer_begin(peer, 0, 100);
    peer_attach(peer, 0, 0, "l", true);
    peer_say(peer, 0, RH_AMQP_DETACH, &(rh_amqp_detach){ .has = RH_HAS_DETACH_HANDLE | RH_HAS_DETACH_CLOSED, .closed = true });
    peer_hear(peer);
    cr_expect_eq(peer_heard_count(peer, RH_AMQP_ATTACH), 1);
    cr_expect_eq(peer_heard_count(peer, RH_AMQP_DETACH), 1);
    cr_expect_eq(peer->end.count[ON_DETACH], 1);
    cr_expect_eq(peer->end.count[ON_CLOSE], 0);
    peer_free(peer);
}

Test(link, a_handle_in_use_ends_the_session)
{
    struct peer *peer = peer_new(RH_ENGINE_OPTS(.server = true));
    peer_open(peer, 65536, 0);
    peer_begin(peer, 0, 100);
    peer_attach(peer, 0, 3, "a", true);
    peer_attach(peer, 0, 3, "b", true);
    cr_expect_str_eq(peer_heard_condition(peer, RH_AMQP_END), "amqp:session:handle-in-use");
    cr_expect_eq(peer->end.count[ON_DETACH], 1);
    peer_free(peer);
}

Test(link, an_unattached_handle_ends_the_session_and_a_late_one_does_not)
{
    static const rh_composite_id ids[] = { RH_AMQP_TRANSFER, RH_AMQP_DETACH, RH_AMQP_FLOW };
    for (size_t i = 0; i < 3; i++)
        for (int late = 0; late < 2; late++) {
            struct peer *peer = peer_new(RH_ENGINE_OPTS(.server = true));
            peer_open(peer, 65536, 0);
            peer_begin(peer, 0, 100);
            if (late) {
                peer_attach(peer, 0, 9, "l", false);
                peer_say(peer, 0, RH_AMQP_DETACH, &(rh_amqp_detach){ .has = RH_HAS_DETACH_HANDLE, .handle = 9 });
                peer_hear(peer);
            }
            rh_amqp_transfer transfer = transfer_to(9, 0, false);
            rh_amqp_detach   detach   = { .has = RH_HAS_DETACH_HANDLE, .handle = 9 };
            rh_amqp_flow     flow     = { .has = RH_HAS_FLOW_INCOMING_WINDOW | RH_HAS_FLOW_NEXT_OUTGOING_ID | RH_HAS_FLOW_OUTGOING_WINDOW | RH_HAS_FLOW_HANDLE, .handle = 9 };
            const void *fields[] = { &transfer, &detach, &flow };
            peer_say(peer, 0, ids[i], fields[i]);
            peer_hear(peer);
            cr_expect_str_eq(peer_heard_condition(peer, RH_AMQP_END), late ? "" : "amqp:session:unattached-handle", "%s", rh_composite_name(ids[i]));
            peer_free(peer);
        }
}

/* Above every table of ours. */
Test(link, a_handle_that_cannot_be_is_unattached)
{
    static const uint32_t handles[] = { 255, 256, 65536, UINT32_MAX };
    for (size_t i = 0; i < sizeof handles / sizeof *handles; i++) {
        struct peer *peer = peer_new(RH_ENGINE_OPTS(.server = true));
        peer_open(peer, 65536, 0);
        peer_begin(peer, 0, 100);
        peer_say(peer, 0, RH_AMQP_DETACH, &(rh_amqp_detach){ .has = RH_HAS_DETACH_HANDLE, .handle = handles[i] });
        peer_hear(peer);
        cr_expect_str_eq(peer_heard_condition(peer, RH_AMQP_END), "amqp:session:unattached-handle", "handle %u", handles[i]);
        peer_free(peer);
    }
}

Test(link, what_the_caller_gets_wrong_is_told)
{
    struct pair *pair = PAIR(.client.links = 2);
    char         name[600];
    rh_link     *out;
    memset(name, 'n', sizeof name);
    rh_link_opts opts = { .name = rh_slice_of(name, 513) };
    cr_expect_eq(rh_link_attach(pair->client.session, &opts, NULL, &out), RH_E_ARGUMENT);
    cr_expect_eq(end_attach(&pair->client, "", false), RH_E_ARGUMENT);
    cr_expect_eq(end_attach(&pair->client, "link", false), RH_E_CONFLICT);
    cr_expect_eq(end_attach(&pair->client, "link", true), RH_OK, "the other direction is another link");
    cr_expect_eq(end_attach(&pair->client, "third", false), RH_E_LIMIT);
    pair_free(pair);
}

Test(link, handles_stay_within_the_peers_handle_max)
{
    struct peer *peer = peer_new(RH_ENGINE_OPTS());
    cr_assert_eq(end_begin(&peer->end, NULL), RH_OK);
    peer_hear(peer);
    peer_open(peer, 65536, 0);
    rh_amqp_begin begin = { .has = RH_HAS_BEGIN_REMOTE_CHANNEL | RH_HAS_BEGIN_NEXT_OUTGOING_ID | RH_HAS_BEGIN_INCOMING_WINDOW | RH_HAS_BEGIN_OUTGOING_WINDOW | RH_HAS_BEGIN_HANDLE_MAX, .handle_max = 1 };
    peer_say(peer, 0, RH_AMQP_BEGIN, &begin);
    cr_expect_eq(end_attach(&peer->end, "a", false), RH_OK);
    cr_expect_eq(end_attach(&peer->end, "b", false), RH_OK);
    cr_expect_eq(end_attach(&peer->end, "c", false), RH_E_LIMIT);
    peer_free(peer);
}

/* -- detach ------------------------------------------------------------------------------------ */

Test(link, a_detach_is_answered_and_the_name_is_free_again)
{
    struct pair *pair = PAIR();
    for (int i = 0; i < 200; i++) {
        rh_link *link = pair->client.link;
        cr_assert_eq(rh_link_detach(link, i % 2, NULL, NULL), RH_OK);
        cr_expect_eq(rh_link_detach(link, true, NULL, NULL), RH_E_STATE);
        pair_run(pair);
        cr_assert_eq(pair->client.count[ON_DETACH], (uint32_t)i + 1);
        cr_assert_eq(pair->server.count[ON_DETACH], (uint32_t)i + 1);
        cr_assert_eq(end_attach(&pair->client, "link", false), RH_OK, "round %d", i);
        pair_run(pair);
    }
    cr_expect_eq(pair->client.count[ON_END] + pair->client.count[ON_CLOSE], 0);
    pair_free(pair);
}

Test(link, the_service_steals_a_link_with_its_words)
{
    struct pair *pair = PAIR(.receives = true);
    cr_assert_eq(rh_link_detach(pair->server.link, true, "amqp:link:stolen", "New receiver with higher epoch"), RH_OK);
    pair_run(pair);
    cr_expect_eq(pair->client.detached.status, RH_E_SERVICE);
    cr_expect_str_eq(pair->client.detached.condition, "amqp:link:stolen");
    cr_expect_str_eq(pair->client.detached.description, "New receiver with higher epoch");
    cr_expect_eq(pair->server.detached.status, RH_OK);
    pair_free(pair);
}

Test(link, a_detach_before_the_answer_to_attach_is_pipelined)
{
    struct pair *pair = PAIR(.half = true);
    cr_assert_eq(end_begin(&pair->client, NULL), RH_OK);
    cr_assert_eq(end_attach(&pair->client, "l", false), RH_OK);
    cr_assert_eq(rh_link_detach(pair->client.link, true, NULL, NULL), RH_OK);
    pair_run(pair);
    cr_expect_eq(pair->client.count[ON_ATTACH], 0);
    cr_expect_eq(pair->client.count[ON_DETACH], 1);
    cr_expect_eq(pair->server.count[ON_ATTACH], 1);
    cr_expect_eq(pair->server.count[ON_DETACH], 1);
    pair_free(pair);
}

Test(link, a_detach_says_whether_it_is_for_good)
{
    for (int closed = 0; closed < 2; closed++) {
        struct pair *pair = PAIR();
        cr_assert_eq(rh_link_detach(pair->client.link, closed, NULL, NULL), RH_OK);
        pair_run(pair);
        cr_expect_eq(pair->server.for_good, closed);
        cr_expect_eq(pair->client.for_good, closed, "the answer is alike");
        pair_free(pair);
    }
    struct pair *pair = PAIR();
    pair->client.for_good = true;
    cr_assert_eq(rh_session_end(pair->server.session, NULL, NULL), RH_OK);
    pair_run(pair);
    cr_expect_not(pair->client.for_good, "the session went, not the link");
    pair_free(pair);
}

/* A link that failed was told at once; its slot comes back with the peer's detach, or the end of its session. */
Test(link, slots_of_failed_links_come_back)
{
    struct peer *peer = peer_new(RH_ENGINE_OPTS(.server = true, .links = 2, .sessions = 2));
    peer_open(peer, 65536, 0);
    for (uint32_t round = 0; round < 10; round++) {
        if (round % 2 == 0) {
            peer->end.session = NULL;
            peer_begin(peer, 0, 1000);
        }
        peer_attach(peer, 0, 0, "l", false);
        cr_assert_eq(rh_link_credit(peer->end.link, 0), RH_OK, "round %u", round);
        peer->end.credit          = 0;
        rh_amqp_transfer transfer = transfer_to(0, 1000, false);
        uint32_t         failed   = peer->end.count[ON_DETACH];
        for (uint32_t i = 0; i < 101; i++) {
            transfer.delivery_id = i;
            peer_say_transfer(peer, &transfer, "beyond");
        }
        cr_assert_eq(peer->end.count[ON_DETACH], failed + 1);
        cr_expect_eq(peer->end.detached.status, RH_E_TRANSFER_LIMIT);
        cr_expect(peer->end.for_good);
        peer_hear(peer);
        if (round % 2 == 0) peer_say(peer, 0, RH_AMQP_DETACH, &(rh_amqp_detach){ .has = RH_HAS_DETACH_HANDLE | RH_HAS_DETACH_CLOSED, .closed = true });
        else peer_say(peer, 0, RH_AMQP_END, &(rh_amqp_end){ .has = 0 });
        peer_hear(peer);
    }
    cr_expect_eq(peer->end.count[ON_CLOSE], 0);
    peer_free(peer);
}

Test(link, detaches_that_cross_end_once_on_each_side)
{
    struct pair *pair = PAIR();
    cr_assert_eq(rh_link_detach(pair->client.link, true, NULL, NULL), RH_OK);
    cr_assert_eq(rh_link_detach(pair->server.link, true, NULL, NULL), RH_OK);
    pair_run(pair);
    cr_expect_eq(pair->client.count[ON_DETACH], 1);
    cr_expect_eq(pair->server.count[ON_DETACH], 1);
    cr_expect_eq(pair->client.count[ON_END] + pair->client.count[ON_CLOSE], 0);
    pair_free(pair);
}

Test(link, no_frame_leaves_on_a_link_that_the_peer_detached)
{
    struct peer *peer = peer_new(RH_ENGINE_OPTS());
    cr_assert(end_begin(&peer->end, NULL) == RH_OK && end_attach(&peer->end, "l", false) == RH_OK);
    peer_hear(peer);
    peer_open(peer, 65536, 0);
    peer_begin(peer, 0, 100);
    peer_attach(peer, 0, 0, "l", true);
    peer_credit(peer, 0, 10);
    cr_assert_eq(end_send(&peer->end, "queued", false), RH_OK);
    peer_say(peer, 0, RH_AMQP_DETACH, &(rh_amqp_detach){ .has = RH_HAS_DETACH_HANDLE | RH_HAS_DETACH_CLOSED, .closed = true });
    peer_hear(peer);
    cr_expect_eq(peer_heard_count(peer, RH_AMQP_TRANSFER), 0);
    cr_expect_eq(peer_heard_count(peer, RH_AMQP_DETACH), 1);
    cr_expect_eq(peer->end.outcomes[RH_DROPPED], 1);
    peer_free(peer);
}

/* [2.6.1] Which of the two goes is for the owner to say, and the first may be told so. */
Test(link, a_name_attached_twice_in_a_session_is_two_links_to_the_owner)
{
    struct peer *peer = peer_new(RH_ENGINE_OPTS(.server = true));
    peer_open(peer, 65536, 0);
    peer_begin(peer, 0, 100);
    peer_attach(peer, 0, 0, "mine", true);
    rh_link *first = peer->end.link;
    peer_attach(peer, 0, 1, "mine", true);
    rh_link *second = peer->end.link;
    cr_expect_neq(first, second);
    cr_expect_eq(peer_heard_count(peer, RH_AMQP_ATTACH), 2);

    rh_amqp_detach detach;
    cr_assert_eq(rh_link_detach(first, true, "amqp:link:stolen", "attached again"), RH_OK);
    peer_hear(peer);
    cr_assert(peer_heard(peer, RH_AMQP_DETACH, 0, &detach));
    cr_expect_eq(detach.handle, 0);
    cr_expect_str_eq(peer_heard_condition(peer, RH_AMQP_DETACH), "amqp:link:stolen");
    cr_expect(rh_link_is_attached(second));
    cr_expect_eq(peer_heard_count(peer, RH_AMQP_END) + peer_heard_count(peer, RH_AMQP_CLOSE), 0);
    peer_free(peer);
}

/* -- sharing ----------------------------------------------------------------------------------- */

Test(link, a_link_per_handle_shares_a_session_fairly)
{
    struct pair *pair = PAIR(.client.links = 64, .server.links = 64, .client.output_bytes = 65536, .server.output_bytes = 65536, .half = true);
    rh_link *links[60];
    char     name[32];
    cr_assert_eq(end_begin(&pair->client, NULL), RH_OK);
    for (int i = 0; i < 60; i++) {
        snprintf(name, sizeof name, "link-%d", i);
        cr_assert_eq(end_attach(&pair->client, name, false), RH_OK);
        links[i] = pair->client.link;
        pair_run(pair);
    }
    for (int round = 0; round < 4; round++)
        for (int i = 0; i < 60; i++) {
            pair->client.link = links[i];
            cr_assert_eq(end_send(&pair->client, "x", false), RH_OK);
        }
    pair_run(pair);
    cr_expect_eq(pair->server.count[ON_DELIVERY], 240);
    cr_expect_eq(pair->client.outcomes[RH_ACCEPTED], 240);
    pair_free(pair);
}

Test(link, a_full_ring_says_again_and_takes_the_attach_later)
{
    struct pair *pair = PAIR(.client.links = 100, .client.output_bytes = 4096, .server.links = 100, .half = true);
    char         name[100];
    int          attached = 0, waits = 0;
    cr_assert_eq(end_begin(&pair->client, NULL), RH_OK);
    while (attached < 100) {
        snprintf(name, sizeof name, "a-link-with-a-name-that-takes-its-share-of-the-ring-%d", attached);
        rh_status status = end_attach(&pair->client, name, false);
        if (status == RH_OK) {
            attached++;
            continue;
        }
        cr_assert_eq(status, RH_AGAIN);
        waits++;
        pair_run(pair);
    }
    pair_run(pair);
    cr_expect_gt(waits, 0);
    cr_expect_eq(pair->client.count[ON_ATTACH], 100);
    pair_free(pair);
}

/* -- limits and odd corners -------------------------------------------------------------------- */

Test(link, what_a_server_cannot_hold_ends_the_session_with_a_limit)
{
    struct peer *peer = peer_new(RH_ENGINE_OPTS(.server = true, .links = 1));
    peer_open(peer, 65536, 0);
    peer_begin(peer, 0, 100);
    peer_attach(peer, 0, 0, "a", true);
    peer_attach(peer, 0, 1, "b", true);
    cr_expect_str_eq(peer_heard_condition(peer, RH_AMQP_END), "amqp:resource-limit-exceeded");
    peer_free(peer);

    char name[514];
    memset(name, 'n', 513);
    name[513] = 0;
    peer = peer_new(RH_ENGINE_OPTS(.server = true));
    peer_open(peer, 65536, 0);
    peer_begin(peer, 0, 100);
    peer_attach(peer, 0, 0, name, true);
    cr_expect_str_eq(peer_heard_condition(peer, RH_AMQP_END), "amqp:resource-limit-exceeded");
    peer_free(peer);
}

Test(link, more_sessions_than_slots_end_the_connection_with_a_limit)
{
    struct peer *peer = peer_new(RH_ENGINE_OPTS(.sessions = 2));
    cr_assert(end_begin(&peer->end, NULL) == RH_OK && end_begin(&peer->end, NULL) == RH_OK);
    peer_hear(peer);
    peer_open(peer, 65536, 0);
    peer->end.session = NULL;
    peer_begin(peer, 0, 100);
    cr_expect_str_eq(peer_heard_condition(peer, RH_AMQP_CLOSE), "amqp:resource-limit-exceeded");
    peer_free(peer);
}

Test(link, a_peer_with_too_few_channels_cannot_be_answered)
{
    struct peer *peer = peer_new(RH_ENGINE_OPTS(.server = true));
    peer_headers(peer);
    peer_say(peer, 0, RH_AMQP_OPEN, &(rh_amqp_open){ .has = RH_HAS_OPEN_CHANNEL_MAX, .container_id = rh_str("small"), .channel_max = 0 });
    peer_begin(peer, 0, 100);
    cr_expect_eq(peer->end.count[ON_CLOSE], 0);
    peer->end.session = NULL;
    peer_begin(peer, 1, 100);
    cr_expect_str_eq(peer_heard_condition(peer, RH_AMQP_CLOSE), "amqp:resource-limit-exceeded");
    cr_expect_eq(peer->end.count[ON_END], 1, "of the session that was told to begin");
    peer_free(peer);
}

/* An error too long for the peer's frames is left out; the detach is not. */
Test(link, a_detach_fits_the_smallest_frames)
{
    struct peer *peer = peer_new(RH_ENGINE_OPTS(.server = true));
    char         words[500];
    memset(words, 'w', sizeof words - 1);
    words[sizeof words - 1] = 0;
    peer_open(peer, 512, 0);
    peer_begin(peer, 0, 100);
    peer_attach(peer, 0, 0, "l", true);
    cr_expect_eq(rh_link_detach(peer->end.link, true, "amqp:link:detach-forced", words), RH_OK);
    peer_hear(peer);
    cr_expect_eq(peer_heard_count(peer, RH_AMQP_DETACH), 1);
    cr_expect_eq(rh_session_end(peer->end.session, "amqp:internal-error", words), RH_OK);
    peer_hear(peer);
    cr_expect_eq(peer_heard_count(peer, RH_AMQP_END), 1);
    cr_expect_eq(rh_engine_close(peer->end.engine, "amqp:connection:forced", words), RH_OK);
    peer_hear(peer);
    cr_expect_eq(peer_heard_count(peer, RH_AMQP_CLOSE), 1);
    peer_free(peer);
}

Test(link, an_error_that_cannot_be_read_is_an_error_all_the_same)
{
    struct peer *peer = peer_new(RH_ENGINE_OPTS(.server = true));
    peer_open(peer, 65536, 0);
    peer_begin(peer, 0, 100);
    peer_attach(peer, 0, 0, "l", true);
    rh_amqp_detach detach = { .has = RH_HAS_DETACH_HANDLE | RH_HAS_DETACH_CLOSED, .closed = true, .error = rh_slice_of("\x00\x53\x1d\x45", 4) };
    peer_say(peer, 0, RH_AMQP_DETACH, &detach);
    cr_expect(peer->end.detached.status == RH_E_SERVICE || peer->end.closed.status == RH_E_INVALID_FIELD);
    peer_free(peer);
}

Test(link, everything_carries_its_owner)
{
    struct pair *pair = PAIR();
    rh_delivery *delivery;
    int          a, b, c, d;
    cr_assert_eq(end_send_bytes(&pair->client, "x", 1, false, &delivery), RH_OK);
    cr_expect_eq(rh_engine_user(pair->client.engine), &pair->client);
    cr_expect_eq(rh_session_user(pair->client.session), &pair->client);
    cr_expect_eq(rh_link_user(pair->client.link), &pair->client);
    cr_expect_eq(rh_delivery_user(delivery), &pair->client);
    cr_expect_eq(rh_delivery_link(delivery), pair->client.link);
    cr_expect_eq(rh_link_session(pair->client.link), pair->client.session);
    cr_expect_eq(rh_session_engine(pair->client.session), pair->client.engine);
    rh_engine_set_user(pair->client.engine, &a);
    rh_session_set_user(pair->client.session, &b);
    rh_link_set_user(pair->client.link, &c);
    rh_delivery_set_user(delivery, &d);
    cr_expect_eq(rh_engine_user(pair->client.engine), &a);
    cr_expect_eq(rh_session_user(pair->client.session), &b);
    cr_expect_eq(rh_link_user(pair->client.link), &c);
    cr_expect_eq(rh_delivery_user(delivery), &d);
    cr_expect_null(rh_link_user(NULL));
    cr_expect_null(rh_session_user(NULL));
    cr_expect_null(rh_delivery_user(NULL));
    pair_free(pair);
}
