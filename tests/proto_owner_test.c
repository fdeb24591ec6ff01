/**
 * What an owner may leave out or get wrong: callbacks that are not there, handles of what is gone, options at their ends.
 */
#include "proto/engine.h"
#include "tests/peer.h"

#include <criterion/criterion.h>
#include <stdlib.h>

static const rh_engine_handler nobody;

/* -- callbacks that are not there ---------------------------------------------------------------- */

/* Everything that tells something, in both roles, while one end hears of nothing. */
static void live_deaf(bool client_is_deaf)
{
    static uint8_t large[3000];
    struct pair *pair = PAIR(.half = true, .server.max_frame_size = 512, .client.max_frame_size = 512, .client.sasl = RH_SASL_ANONYMOUS, .server.sasl = RH_SASL_ANONYMOUS);
    struct end  *deaf = client_is_deaf ? &pair->client : &pair->server;
    deaf->engine->handler = &nobody;
    cr_assert_eq(end_begin(&pair->client, NULL), RH_OK);
    cr_assert_eq(end_attach(&pair->client, "in", true), RH_OK);
    (void)rh_link_credit(pair->client.link, 5);
    pair_run(pair);
    if (client_is_deaf) {
        for (int i = 0; i < 2; i++) cr_expect_eq(end_send_bytes(&pair->server, large, i ? sizeof large : 10, false, NULL), RH_OK);
        pair_run(pair);
        cr_expect_eq(rh_link_drain(pair->client.link), RH_OK);
        pair_run(pair);
    }
    cr_assert_eq(end_attach(&pair->client, "out", false), RH_OK);
    rh_link *out = pair->client.link;
    pair_run(pair);
    if (client_is_deaf) {
        cr_expect_eq(end_send(&pair->client, "x", false), RH_OK);
        cr_expect_eq(end_send(&pair->client, "y", true), RH_OK);
        pair_run(pair);
        cr_expect_eq(pair->server.count[ON_DELIVERY], 2);
        cr_expect_eq(rh_link_unsettled(out), 0, "the outcome has come all the same");
        cr_expect_eq(rh_link_detach(out, true, NULL, NULL), RH_OK);
    } else cr_expect_eq(pair->client.count[ON_DETACH], 2, "who takes no links has none");
    pair_run(pair);
    cr_expect_eq(rh_engine_close(pair->client.engine, NULL, NULL), RH_OK);
    pair_run(pair);
    cr_expect(rh_engine_is_closed(pair->client.engine));
    cr_expect(rh_engine_is_closed(pair->server.engine));
    pair_free(pair);
}

Test(owner, may_leave_out_every_callback)
{
    live_deaf(true);
    live_deaf(false);
}

/* Used up while a drain is on its way is as good as given back; then on_delivery is told and on_drained is not there. */
Test(owner, may_leave_out_that_a_link_is_drained)
{
    for (int deaf = 0; deaf < 2; deaf++) {
        struct peer *peer = peer_new(RH_ENGINE_OPTS(.server = true));
        peer_open(peer, 65536, 0);
        peer_begin(peer, 0, 100);
        peer->end.credit = 0;
        peer_attach(peer, 0, 0, "l", false);
        (void)rh_link_credit(peer->end.link, 1);
        (void)rh_link_drain(peer->end.link);
        peer_hear(peer);
        rh_link *link = peer->end.link;
        if (deaf) peer->end.engine->handler = &nobody;
        rh_amqp_transfer transfer = transfer_to(0, 0, false);
        peer_say_transfer(peer, &transfer, "x");
        cr_expect_eq(peer->end.count[ON_DRAINED], deaf ? 0 : 1);
        cr_expect_eq(rh_link_credit_left(link), 0);
        peer_free(peer);
    }
}

/* -- handles of what is gone --------------------------------------------------------------------- */

Test(owner, learns_nothing_from_a_dead_handle)
{
    rh_transfer transfer = { .parts = &(rh_slice){ (const uint8_t *)"x", 1 }, .part_count = 1 };
    rh_link    *out;
    uint8_t     byte;
    cr_expect_null(rh_link_session(NULL));
    cr_expect_null(rh_link_name(NULL).p);
    cr_expect_not(rh_link_is_receiver(NULL));
    cr_expect_not(rh_link_is_pending(NULL));
    cr_expect_not(rh_link_is_attached(NULL));
    cr_expect_eq(rh_link_credit_left(NULL), 0);
    cr_expect_eq(rh_link_queued(NULL), 0);
    cr_expect_eq(rh_link_unsettled(NULL), 0);
    cr_expect_eq(rh_link_peer_max_message_size(NULL), 0);
    cr_expect_null(rh_link_user(NULL));
    cr_expect_null(rh_delivery_link(NULL));
    cr_expect_null(rh_delivery_user(NULL));
    cr_expect_null(rh_session_engine(NULL));
    cr_expect_null(rh_session_user(NULL));
    rh_link_set_user(NULL, &byte);
    rh_delivery_set_user(NULL, &byte);
    rh_session_set_user(NULL, &byte);
    cr_expect_eq(rh_link_attach(NULL, &(rh_link_opts){ .name = rh_str("l") }, NULL, &out), RH_E_STATE);
    cr_expect_eq(rh_link_accept(NULL, &(rh_link_opts){ .name = rh_str("l") }), RH_E_STATE);
    cr_expect_eq(rh_link_refuse(NULL, NULL, NULL), RH_E_STATE);
    cr_expect_eq(rh_link_detach(NULL, true, NULL, NULL), RH_E_STATE);
    cr_expect_eq(rh_link_credit(NULL, 1), RH_E_STATE);
    cr_expect_eq(rh_link_drain(NULL), RH_E_STATE);
    cr_expect_eq(rh_link_gather(NULL, &byte, 1), RH_E_STATE);
    cr_expect_eq(rh_link_send(NULL, &transfer, NULL), RH_E_STATE);
    cr_expect_eq(rh_link_settle(NULL, 0, 0, RH_ACCEPTED, NULL, NULL), RH_E_STATE);
    cr_expect_eq(rh_delivery_abort(NULL), RH_E_STATE);
    cr_expect_eq(rh_session_end(NULL, NULL, NULL), RH_E_STATE);
}

/* -- what is asked at the wrong time ------------------------------------------------------------- */

/* A link of each direction, and whatever ends them decided and not said yet. */
static void expect_refused(struct peer *peer, rh_link *in, rh_link *out, const char *when)
{
    rh_transfer transfer = { .parts = &(rh_slice){ (const uint8_t *)"x", 1 }, .part_count = 1 };
    rh_link    *link;
    cr_expect_eq(rh_link_send(out, &transfer, NULL), RH_E_STATE, "%s", when);
    cr_expect_eq(rh_link_settle(in, 0, 0, RH_ACCEPTED, NULL, NULL), RH_E_STATE, "%s", when);
    cr_expect_eq(rh_link_attach(peer->end.session, &(rh_link_opts){ .name = rh_str("m") }, NULL, &link), RH_E_STATE, "%s", when);
}

static struct peer *peer_with_links(rh_link **in, rh_link **out)
{
    struct peer *peer = peer_new(RH_ENGINE_OPTS(.server = true));
    peer_open(peer, 65536, 0);
    peer_begin(peer, 0, 100);
    peer_attach(peer, 0, 0, "in", false);
    *in = peer->end.link;
    peer_attach(peer, 0, 1, "out", true);
    *out = peer->end.link;
    rh_amqp_flow flow = { .has = RH_HAS_FLOW_NEXT_INCOMING_ID | RH_HAS_FLOW_HANDLE | RH_HAS_FLOW_LINK_CREDIT | RH_HAS_FLOW_DELIVERY_COUNT, .incoming_window = 100,
                          .outgoing_window = 100, .handle = 1, .link_credit = 10 };
    peer_say(peer, 0, RH_AMQP_FLOW, &flow);
    peer_hear(peer);
    cr_assert_gt(rh_link_credit_left(*out), 0);
    return peer;
}

Test(owner, is_refused_what_comes_behind_an_end)
{
    rh_link     *in, *out;
    struct peer *peer = peer_with_links(&in, &out);
    rh_amqp_end  end  = { .has = 0 };
    cr_expect_eq(rh_session_end(peer->end.session, NULL, NULL), RH_OK);
    expect_refused(peer, in, out, "the end of the session is decided");
    cr_expect_eq(rh_session_end(peer->end.session, NULL, NULL), RH_E_STATE);
    peer_hear(peer);
    expect_refused(peer, in, out, "it is said");
    peer_say(peer, 0, RH_AMQP_END, &end);
    expect_refused(peer, in, out, "it is answered");
    peer_free(peer);

    peer = peer_with_links(&in, &out);
    cr_expect_eq(rh_engine_close(peer->end.engine, NULL, NULL), RH_OK);
    expect_refused(peer, in, out, "the close is decided");
    cr_expect_eq(rh_session_begin(peer->end.engine, NULL, NULL, &peer->end.session), RH_E_STATE);
    cr_expect_eq(rh_engine_close(peer->end.engine, NULL, NULL), RH_E_STATE);
    peer_free(peer);
}

Test(owner, is_told_of_arguments_that_cannot_be)
{
    rh_link     *in, *out;
    struct peer *peer  = peer_with_links(&in, &out);
    rh_slice     part  = rh_str("x");
    rh_transfer  empty = { .parts = &part, .part_count = 1, .tag = rh_str("") };
    cr_expect_eq(rh_link_send(out, &empty, NULL), RH_E_ARGUMENT, "a tag without bytes");
    cr_expect_eq(rh_link_send(in, &(rh_transfer){ .parts = &part, .part_count = 1 }, NULL), RH_E_STATE, "a receiver");
    cr_expect_eq(rh_link_credit(out, 1), RH_E_STATE, "a sender");
    cr_expect_eq(rh_link_drain(out), RH_E_STATE, "a sender");
    cr_expect_eq(rh_link_settle(out, 0, 0, RH_ACCEPTED, NULL, NULL), RH_E_STATE, "a sender");
    cr_expect_eq(rh_link_settle(in, 0, 0, RH_SENT, NULL, NULL), RH_E_ARGUMENT, "no outcome of a receiver's");
    cr_expect_eq(rh_link_accept(in, &(rh_link_opts){ .name = rh_str("in") }), RH_E_STATE, "it is attached");
    cr_expect_eq(rh_link_refuse(in, NULL, NULL), RH_E_STATE, "it is attached");
    peer_free(peer);
}

/* The end of the stream, in order or not, before both closes were exchanged is a loss all the same. */
Test(owner, may_lose_the_pipe_for_no_reason)
{
    rh_error     none = { .status = RH_OK }, why = { .status = RH_E_TIMEOUT };
    rh_error    *whys[] = { NULL, &none, &why };
    for (size_t i = 0; i < 3; i++) {
        struct peer *peer = peer_new(RH_ENGINE_OPTS(.server = true));
        peer_open(peer, 65536, 0);
        rh_engine_lost(peer->end.engine, whys[i]);
        rh_engine_tick(peer->end.engine, peer->now);
        cr_expect_eq(peer->end.closed.status, i < 2 ? RH_E_CONNECTION_LOST : RH_E_TIMEOUT);
        peer_free(peer);
    }
}

/* -- options at their ends ----------------------------------------------------------------------- */

Test(owner, gets_no_engine_for_options_out_of_range)
{
    static const rh_engine_opts bad[] = {
        { .size = sizeof *bad, .output_bytes = (UINT32_C(1) << 30) + 1 },
        { .size = sizeof *bad, .sessions = UINT32_MAX - 1 },
        { .size = sizeof *bad, .links = UINT32_MAX - 1 },
        { .size = sizeof *bad, .deliveries = UINT32_MAX - 1 },
        { .size = sizeof *bad, .sasl = (rh_sasl)(RH_SASL_MSSBCBS + 1) },
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        cr_expect_eq(rh_engine_size(&bad[i]), 0, "row %zu", i);
        cr_expect_null(rh_engine_init(&(uint64_t){ 0 }, sizeof(uint64_t), &bad[i], &nobody, NULL), "row %zu", i);
    }
    cr_expect_null(rh_engine_init(NULL, (size_t)1 << 20, RH_ENGINE_OPTS(), &nobody, NULL));
}

/* An options struct of an older release is shorter: what it lacks has its default. */
Test(owner, may_be_of_an_older_release)
{
    rh_engine_opts opts = { .size = offsetof(rh_engine_opts, max_frame_size), .sasl = RH_SASL_PLAIN, .output_bytes = 1 };
    rh_engine_opts now  = { .size = sizeof now };
    cr_expect_eq(rh_engine_size(&opts), rh_engine_size(&now));
}

Test(owner, may_lend_sessions_and_still_choose_the_channels)
{
    cr_expect_gt(rh_engine_size(RH_ENGINE_OPTS(.sessions = RH_NO_SLOTS, .channel_max = 65535)), rh_engine_size(RH_ENGINE_OPTS(.sessions = RH_NO_SLOTS)));
    cr_expect_eq(rh_engine_slots_size(&(rh_engine_slots){ .links = 1, .text = 1000 }), rh_engine_slots_size(&(rh_engine_slots){ .links = 1 }),
                 "more than a link can keep is as much as it can");
}
