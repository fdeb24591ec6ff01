/**
 * The SASL layer, both roles, and what goes wrong in it.
 */
#include "tests/peer.h"

#include <criterion/criterion.h>
#include <stdlib.h>

static const char *const names[] = { "NONE", "ANONYMOUS", "PLAIN", "EXTERNAL", "MSSBCBS" };

Test(sasl, every_mechanism_opens_a_connection)
{
    for (int mechanism = RH_SASL_NONE; mechanism <= RH_SASL_MSSBCBS; mechanism++) {
        struct pair *pair = PAIR(.client.sasl = (rh_sasl)mechanism, .client.sasl_user = rh_str("rule"), .client.sasl_password = rh_str("key"),
                                 .server.sasl = mechanism ? RH_SASL_ANONYMOUS : RH_SASL_NONE);
        cr_expect_eq(pair->client.count[ON_ATTACH], 1, "%s", names[mechanism]);
        if (mechanism) cr_expect_neq(strstr(pair->server.story, names[mechanism]), NULL, "%s", names[mechanism]);
        pair_free(pair);
    }
}

Test(sasl, plain_sends_user_and_password_behind_zeros)
{
    struct peer *peer = peer_new(RH_ENGINE_OPTS(.sasl = RH_SASL_PLAIN, .sasl_user = rh_str("rule"), .sasl_password = rh_str("key"), .hostname = rh_str("host"), .pipeline = true));
    peer_hear(peer);
    rh_amqp_sasl_init init;
    cr_assert(peer_heard(peer, RH_AMQP_SASL_INIT, 0, &init));
    cr_expect(rh_slice_is(init.mechanism, "PLAIN"));
    cr_expect(rh_slice_is(init.hostname, "host"));
    cr_assert_eq(init.initial_response.n, 9);
    cr_expect_arr_eq(init.initial_response.p, "\0rule\0key", 9);
    peer_free(peer);
}

Test(sasl, nothing_behind_sasl_leaves_before_its_outcome)
{
    struct peer *peer = peer_new(RH_ENGINE_OPTS(.sasl = RH_SASL_ANONYMOUS));
    peer_hear(peer);
    cr_expect_eq(peer->heard_n, 8, "only the header");
    peer_say_header(peer, 3);
    peer_say(peer, 0, RH_AMQP_SASL_MECHANISMS, &(rh_amqp_sasl_mechanisms){ .sasl_server_mechanisms = rh_slice_of("\xa3\x09" "ANONYMOUS", 11) });
    peer_hear(peer);
    uint64_t fields[40];
    cr_expect(peer_heard(peer, RH_AMQP_SASL_INIT, 0, fields), "a single symbol is a list of one");
    cr_expect_not(peer_heard(peer, RH_AMQP_OPEN, 0, fields));
    peer_say(peer, 0, RH_AMQP_SASL_OUTCOME, &(rh_amqp_sasl_outcome){ .has = RH_HAS_SASL_OUTCOME_CODE, .additional_data = rh_str("Welcome!") });
    peer_hear(peer);
    cr_expect(peer_heard(peer, RH_AMQP_OPEN, 0, fields));
    peer_free(peer);
}

Test(sasl, a_pipelining_client_says_everything_at_once)
{
    struct pair *pair = PAIR(.client.sasl = RH_SASL_ANONYMOUS, .client.pipeline = true, .server.sasl = RH_SASL_ANONYMOUS, .half = true);
    size_t       n;
    cr_assert_eq(end_begin(&pair->client, NULL), RH_OK);
    cr_assert_eq(end_attach(&pair->client, "a", false), RH_OK);
    uint8_t *flight = end_take(&pair->client, &n, pair->now);
    end_feed(&pair->server, flight, n, pair->now);
    cr_expect_eq(pair->server.count[ON_ATTACH], 1);
    free(flight);
    pair_run(pair);
    cr_expect_eq(pair->client.count[ON_ATTACH], 1);
    pair_free(pair);
}

/* What waits for the outcome must not keep the outcome from being read. */
Test(sasl, a_ring_full_of_attaches_does_not_stop_the_exchange)
{
    struct pair *pair = PAIR(.client.sasl = RH_SASL_ANONYMOUS, .client.output_bytes = 4096, .client.links = 64, .server.sasl = RH_SASL_ANONYMOUS, .server.links = 64, .half = true);
    char         name[600];
    uint32_t     attached = 0;
    cr_assert_eq(end_begin(&pair->client, NULL), RH_OK);
    do {
        memset(name, 'a' + (int)attached, sizeof name);
        name[attached % 2 ? 100 : 500] = 0; /* some of them too large to leave before the peer's open */
    } while (end_attach(&pair->client, name, false) == RH_OK && ++attached < 60);
    cr_expect_gt(attached, 4);
    pair_run(pair);
    cr_expect_eq(pair->client.count[ON_ATTACH], attached);
    pair_free(pair);
}

Test(sasl, refused_credentials_end_both_sides_with_a_typed_error)
{
    struct pair *pair     = PAIR(.client.sasl = RH_SASL_PLAIN, .client.sasl_user = rh_str("a"), .client.sasl_password = rh_str("b"), .server.sasl = RH_SASL_ANONYMOUS, .half = true);
    pair->server.sasl_code = RH_SASL_CODE_AUTH;
    cr_assert_eq(end_begin(&pair->client, NULL), RH_OK);
    pair_run(pair);
    cr_expect_eq(pair->client.closed.status, RH_E_SASL);
    cr_expect_eq(pair->client.count[ON_CLOSE], 1);
    cr_expect_eq(pair->client.count[ON_END], 1, "the session that was to be is told");
    cr_expect(rh_engine_is_closed(pair->client.engine) && rh_engine_is_closed(pair->server.engine));
    cr_expect_eq(pair->server.count[ON_OPEN], 0);
    pair_free(pair);
}

Test(sasl, a_refusal_stops_what_was_not_lent_before_it)
{
    struct peer *peer = peer_new(RH_ENGINE_OPTS(.sasl = RH_SASL_ANONYMOUS, .pipeline = true));
    rh_iov       iov[16];
    cr_assert_eq(end_begin(&peer->end, NULL), RH_OK);
    size_t count = rh_engine_output(peer->end.engine, iov, 16), n = 0;
    for (size_t i = 0; i < count; i++) n += iov[i].n;
    peer_say_header(peer, 3);
    peer_say(peer, 0, RH_AMQP_SASL_MECHANISMS, &(rh_amqp_sasl_mechanisms){ .sasl_server_mechanisms = rh_slice_of("\xa3\x09" "ANONYMOUS", 11) });
    peer_say(peer, 0, RH_AMQP_SASL_OUTCOME, &(rh_amqp_sasl_outcome){ .has = RH_HAS_SASL_OUTCOME_CODE, .code = RH_SASL_CODE_AUTH });
    cr_expect_eq(peer->end.closed.status, RH_E_SASL);
    rh_engine_sent(peer->end.engine, n, peer->now);
    cr_expect_not(rh_engine_wants_output(peer->end.engine));
    cr_expect_eq(rh_engine_output(peer->end.engine, iov, 16), 0);
    peer_free(peer);
}

Test(sasl, an_unknown_mechanism_is_refused_without_asking)
{
    struct peer *peer = peer_new(RH_ENGINE_OPTS(.server = true, .sasl = RH_SASL_ANONYMOUS));
    peer_say_header(peer, 3);
    peer_say(peer, 0, RH_AMQP_SASL_INIT, &(rh_amqp_sasl_init){ .mechanism = rh_str("CRAM-MD5") });
    peer_hear(peer);
    rh_amqp_sasl_outcome outcome;
    cr_assert(peer_heard(peer, RH_AMQP_SASL_OUTCOME, 0, &outcome));
    cr_expect_eq(outcome.code, RH_SASL_CODE_AUTH);
    cr_expect_eq(peer->end.count[ON_SASL], 0);
    peer_free(peer);
}

Test(sasl, a_server_offers_four_mechanisms_in_an_array)
{
    struct peer *peer = peer_new(RH_ENGINE_OPTS(.server = true, .sasl = RH_SASL_ANONYMOUS));
    peer_say_header(peer, 3);
    peer_hear(peer);
    rh_amqp_sasl_mechanisms mechanisms;
    cr_assert(peer_heard(peer, RH_AMQP_SASL_MECHANISMS, 0, &mechanisms));
    rh_dec   d = rh_dec_of(mechanisms.sasl_server_mechanisms);
    rh_array list;
    cr_expect_eq(rh_dec_array(&d, &list), 4);
    cr_expect_arr_eq(peer->heard, "AMQP\x03\x01\0\0", 8);
    peer_free(peer);
}

Test(sasl, a_mechanism_that_is_not_offered_ends_the_client)
{
    const rh_slice offers[] = { rh_slice_of("\xa3\x05PLAIN", 7), rh_slice_of("\xe0\x0d\x02\xa3\x05PLAIN\x04NONE", 15),
                                rh_slice_of("\xe0\x04\x02\x50\x01\x02", 6) };
    for (size_t i = 0; i < sizeof offers / sizeof *offers; i++) {
        struct peer *peer = peer_new(RH_ENGINE_OPTS(.sasl = RH_SASL_EXTERNAL));
        peer_hear(peer);
        peer_say_header(peer, 3);
        peer_say(peer, 0, RH_AMQP_SASL_MECHANISMS, &(rh_amqp_sasl_mechanisms){ .sasl_server_mechanisms = offers[i] });
        peer_hear(peer);
        cr_expect_eq(peer->end.closed.status, i < 2 ? RH_E_SASL : RH_E_INVALID_FIELD, "row %zu: %s", i, rh_status_name(peer->end.closed.status));
        cr_expect_eq(peer->heard_n, 8, "no response leaves");
        peer_free(peer);
    }
}

Test(sasl, an_outcome_of_any_code_but_zero_is_a_refusal)
{
    static const uint8_t codes[] = { 1, 2, 3, 4, 5, 255 };
    for (size_t i = 0; i < sizeof codes; i++) {
        struct peer *peer = peer_new(RH_ENGINE_OPTS(.sasl = RH_SASL_ANONYMOUS));
        peer_hear(peer);
        peer_say_header(peer, 3);
        peer_say(peer, 0, RH_AMQP_SASL_MECHANISMS, &(rh_amqp_sasl_mechanisms){ .sasl_server_mechanisms = rh_slice_of("\xa3\x09" "ANONYMOUS", 11) });
        peer_say(peer, 0, RH_AMQP_SASL_OUTCOME, &(rh_amqp_sasl_outcome){ .code = codes[i] });
        peer_hear(peer);
        cr_expect_eq(peer->end.closed.status, RH_E_SASL, "code %u", codes[i]);
        cr_expect_eq(peer_heard_count(peer, RH_AMQP_OPEN), 0);
        peer_free(peer);
    }
}

/* What may come when: everything else ends the exchange, and nothing reaches an assert. */
Test(sasl, frames_out_of_turn_end_the_exchange)
{
    static const rh_composite_id all[] = { RH_AMQP_SASL_MECHANISMS, RH_AMQP_SASL_INIT, RH_AMQP_SASL_CHALLENGE, RH_AMQP_SASL_RESPONSE, RH_AMQP_SASL_OUTCOME };
    uint64_t fields[5][40] = { { 0 } };
    memcpy(fields[0], &(rh_amqp_sasl_mechanisms){ .sasl_server_mechanisms = rh_slice_of("\xa3\x09" "ANONYMOUS", 11) }, sizeof(rh_amqp_sasl_mechanisms));
    memcpy(fields[1], &(rh_amqp_sasl_init){ .mechanism = rh_str("ANONYMOUS") }, sizeof(rh_amqp_sasl_init));
    memcpy(fields[2], &(rh_amqp_sasl_challenge){ .challenge = rh_str("?") }, sizeof(rh_amqp_sasl_challenge));
    memcpy(fields[3], &(rh_amqp_sasl_response){ .response = rh_str("!") }, sizeof(rh_amqp_sasl_response));
    memcpy(fields[4], &(rh_amqp_sasl_outcome){ .has = RH_HAS_SASL_OUTCOME_CODE }, sizeof(rh_amqp_sasl_outcome));
    for (int server = 0; server < 2; server++)
        for (int step = 0; step < 2; step++)
            for (size_t i = 0; i < 5; i++) {
                struct peer *peer = peer_new(RH_ENGINE_OPTS(.server = server, .sasl = RH_SASL_ANONYMOUS));
                peer_say_header(peer, 3);
                if (step) peer_say(peer, 0, all[server], fields[server]); /* mechanisms for a client, init for a server */
                bool right = server ? !step && i == 1 : step ? i == 4 : i == 0;
                peer_say(peer, 0, all[i], fields[i]);
                peer_hear(peer);
                cr_expect_eq(peer->end.count[ON_CLOSE], right ? 0 : 1, "%s, step %d, frame %zu", server ? "server" : "client", step, i);
                peer_free(peer);
            }
}

Test(sasl, amqp_frames_inside_sasl_and_sasl_frames_behind_it_end_the_connection)
{
    struct peer *peer = peer_new(RH_ENGINE_OPTS(.server = true, .sasl = RH_SASL_ANONYMOUS));
    peer_say_header(peer, 3);
    peer_say(peer, 0, RH_AMQP_OPEN, &(rh_amqp_open){ .container_id = rh_str("x") });
    peer_hear(peer);
    cr_expect_eq(peer->end.closed.status, RH_E_FRAMING);
    peer_free(peer);

    peer = peer_new(RH_ENGINE_OPTS(.server = true));
    peer_open(peer, 65536, 0);
    peer_say(peer, 0, RH_AMQP_SASL_INIT, &(rh_amqp_sasl_init){ .mechanism = rh_str("ANONYMOUS") });
    peer_hear(peer);
    cr_expect_eq(peer->end.closed.status, RH_E_FRAMING);
    cr_expect_str_eq(peer_heard_condition(peer, RH_AMQP_CLOSE), "amqp:connection:framing-error");
    peer_free(peer);
}

Test(sasl, a_password_does_not_stay_in_the_arena_once_it_left)
{
    rh_engine_opts opts = *RH_ENGINE_OPTS(.sasl = RH_SASL_PLAIN, .sasl_user = rh_str("rule"), .sasl_password = rh_str("canary-3f9c"), .pipeline = true);
    struct peer   *peer = peer_new(&opts);
    size_t         n    = rh_engine_size(&opts);
    cr_expect_not_null(memmem(peer->end.memory, n, "canary-3f9c", 11));
    peer_hear(peer);
    cr_expect_null(memmem(peer->end.memory, n, "canary-3f9c", 11));
    peer_free(peer);
}
