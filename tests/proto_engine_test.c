/**
 * The engine as a whole: opening, closing, time, memory, and what two engines make of each other.
 */
#include "tests/peer.h"

#include <criterion/criterion.h>
#include <pthread.h>
#include <stdlib.h>

Test(engine, two_engines_exchange_a_delivery)
{
    struct pair *pair = PAIR();
    cr_expect_eq(pair->client.count[ON_OPEN], 1);
    cr_expect_eq(pair->client.count[ON_ATTACH], 1);
    cr_assert_eq(end_send(&pair->client, "hello", false), RH_OK);
    pair_run(pair);
    cr_expect_eq(pair->server.count[ON_DELIVERY], 1);
    cr_expect_eq(pair->server.last_n, 5);
    cr_expect_arr_eq(pair->server.last, "hello", 5);
    cr_expect_eq(pair->client.outcomes[RH_ACCEPTED], 1);
    pair_free(pair);
}

Test(engine, a_client_receives_as_well)
{
    struct pair *pair = PAIR(.receives = true);
    cr_assert_eq(end_send(&pair->server, "news", true), RH_OK);
    pair_run(pair);
    cr_expect_eq(pair->client.count[ON_DELIVERY], 1);
    cr_expect(pair->client.incoming.settled);
    cr_expect_eq(pair->server.outcomes[RH_SENT], 1);
    pair_free(pair);
}

/* -- opening ----------------------------------------------------------------------------------- */

Test(engine, open_begin_and_attach_leave_in_one_flight)
{
    struct pair *pair = PAIR(.half = true);
    size_t       n;
    cr_assert_eq(end_begin(&pair->client, NULL), RH_OK);
    cr_assert_eq(end_attach(&pair->client, "a", false), RH_OK);
    uint8_t *flight = end_take(&pair->client, &n, pair->now);
    cr_expect_eq(end_feed(&pair->server, flight, n, pair->now), n);
    cr_expect_eq(pair->server.count[ON_OPEN], 1);
    cr_expect_eq(pair->server.count[ON_BEGIN], 1);
    cr_expect_eq(pair->server.count[ON_ATTACH], 1);
    free(flight);
    pair_free(pair);
}

Test(engine, a_frame_above_512_bytes_waits_for_the_peers_open)
{
    struct pair *pair = PAIR(.half = true);
    char         name[500];
    size_t       n;
    memset(name, 'n', sizeof name - 1);
    name[sizeof name - 1] = 0;
    cr_assert_eq(end_begin(&pair->client, NULL), RH_OK);
    cr_assert_eq(end_attach(&pair->client, name, false), RH_OK);
    uint8_t *flight = end_take(&pair->client, &n, pair->now);
    cr_expect_lt(n, 512, "the attach left before the open came");
    cr_expect_not(rh_engine_wants_output(pair->client.engine));
    end_feed(&pair->server, flight, n, pair->now);
    free(flight);
    pair_run(pair);
    cr_expect_eq(pair->client.count[ON_ATTACH], 1);
    pair_free(pair);
}

Test(engine, an_attach_larger_than_the_peers_frames_ends_the_connection)
{
    struct pair *pair = PAIR(.half = true, .server.max_frame_size = 512);
    char         name[500];
    memset(name, 'n', sizeof name - 1);
    name[sizeof name - 1] = 0;
    cr_assert_eq(end_begin(&pair->client, NULL), RH_OK);
    cr_assert_eq(end_attach(&pair->client, name, false), RH_OK);
    pair_run(pair);
    cr_expect_eq(pair->client.closed.status, RH_E_FRAME_SIZE);
    pair_free(pair);
}

Test(engine, init_says_no_to_what_cannot_work)
{
    static uint8_t memory[1 << 20];
    static char    name[600];
    static const rh_engine_handler none;
    memset(name, 'c', sizeof name);
    cr_expect_null(rh_engine_init(memory, 100, RH_ENGINE_OPTS(), &none, NULL), "too little memory");
    cr_expect_null(rh_engine_init(memory, sizeof memory, RH_ENGINE_OPTS(.container_id = rh_slice_of(name, 600)), &none, NULL), "open above 512 bytes");
    cr_expect_null(rh_engine_init(memory, sizeof memory, RH_ENGINE_OPTS(.max_frame_size = 511), &none, NULL));
    cr_expect_null(rh_engine_init(memory, sizeof memory, RH_ENGINE_OPTS(.max_frame_size = 0x414d5150), &none, NULL), "the letters AMQP");
    cr_expect_null(rh_engine_init(memory, sizeof memory, RH_ENGINE_OPTS(.sasl = RH_SASL_PLAIN, .sasl_user = rh_slice_of(name, 300), .sasl_password = rh_slice_of(name, 300)), &none, NULL));
    cr_expect_eq(rh_engine_size(RH_ENGINE_OPTS(.output_bytes = 100)), 0);
    cr_expect_not_null(rh_engine_init(memory, sizeof memory, RH_ENGINE_OPTS(), &none, NULL));
}

Test(engine, an_arena_at_any_address_works)
{
    rh_engine_opts opts = *RH_ENGINE_OPTS(.sessions = 1, .links = 1, .deliveries = 1, .output_bytes = 4096);
    size_t         n    = rh_engine_size(&opts);
    static const rh_engine_handler none;
    for (size_t shift = 0; shift < 64; shift += 8) {
        uint8_t *memory = malloc(n + shift); /* exactly: the sanitizer sees a byte too many */
        cr_expect_not_null(rh_engine_init(memory + shift, n, &opts, &none, NULL));
        free(memory);
    }
}

/* -- closing ----------------------------------------------------------------------------------- */

Test(engine, a_clean_close_is_told_once_on_both_sides)
{
    struct pair *pair = PAIR();
    cr_expect_eq(rh_engine_close(pair->client.engine, NULL, NULL), RH_OK);
    cr_expect_eq(rh_engine_close(pair->client.engine, NULL, NULL), RH_E_STATE);
    pair_run(pair);
    cr_expect_eq(pair->client.count[ON_CLOSE], 1);
    cr_expect_eq(pair->server.count[ON_CLOSE], 1);
    cr_expect_eq(pair->client.closed.status, RH_OK);
    cr_expect_eq(pair->server.closed.status, RH_OK);
    cr_expect_eq(pair->client.count[ON_DETACH], 1);
    cr_expect_eq(pair->client.count[ON_END], 1);
    cr_expect(rh_engine_is_closed(pair->client.engine) && rh_engine_is_closed(pair->server.engine));
    cr_expect_eq(rh_engine_deadline(pair->client.engine), RH_TIME_NEVER);
    rh_engine_lost(pair->client.engine, NULL);
    pair_run(pair);
    cr_expect_eq(pair->client.count[ON_CLOSE], 1, "told once");
    cr_expect_eq(rh_engine_error(pair->client.engine)->status, RH_OK);
    pair_free(pair);
}

Test(engine, what_was_settled_leaves_before_the_close)
{
    struct pair *pair = PAIR();
    pair->server.settles = false;
    cr_assert_eq(end_send(&pair->client, "x", false), RH_OK);
    pair_run(pair);
    cr_assert_eq(rh_link_settle(pair->server.link, 0, 0, RH_ACCEPTED, NULL, NULL), RH_OK);
    cr_assert_eq(rh_engine_close(pair->server.engine, NULL, NULL), RH_OK);
    pair_run(pair);
    cr_expect_eq(pair->client.outcomes[RH_ACCEPTED], 1);
    pair_free(pair);
}

Test(engine, a_close_with_an_error_carries_its_words)
{
    struct pair *pair = PAIR();
    cr_expect_eq(rh_engine_close(pair->server.engine, "amqp:connection:forced", "maintenance"), RH_OK);
    pair_run(pair);
    cr_expect_eq(pair->client.closed.status, RH_E_SERVICE);
    cr_expect_str_eq(pair->client.closed.condition, "amqp:connection:forced");
    cr_expect_str_eq(pair->client.closed.description, "maintenance");
    cr_expect_eq(pair->server.closed.status, RH_OK, "who closes with an error has none himself");
    pair_free(pair);
}

Test(engine, closes_that_cross_are_both_clean)
{
    struct pair *pair = PAIR();
    cr_expect_eq(rh_engine_close(pair->client.engine, NULL, NULL), RH_OK);
    cr_expect_eq(rh_engine_close(pair->server.engine, NULL, NULL), RH_OK);
    pair_run(pair);
    cr_expect_eq(pair->client.closed.status, RH_OK);
    cr_expect_eq(pair->server.closed.status, RH_OK);
    cr_expect(rh_engine_is_closed(pair->client.engine) && rh_engine_is_closed(pair->server.engine));
    pair_free(pair);
}

Test(engine, a_close_nobody_answers_ends_after_five_seconds)
{
    struct pair *pair = PAIR();
    cr_expect_eq(rh_engine_close(pair->client.engine, NULL, NULL), RH_OK);
    pair->server.deaf = true;
    pair_wait(pair, RH_MS(4900));
    cr_expect_eq(pair->client.count[ON_CLOSE], 0);
    pair_wait(pair, RH_MS(200));
    cr_expect_eq(pair->client.count[ON_CLOSE], 1);
    cr_expect_eq(pair->client.closed.status, RH_E_TIMEOUT);
    pair_free(pair);
}

Test(engine, a_lost_pipe_ends_everything_once)
{
    struct pair *pair = PAIR();
    rh_error     why;
    rh_error_set(&why, RH_E_TLS_TRUNCATED, NULL, "no close_notify");
    cr_assert_eq(end_send(&pair->client, "one", false), RH_OK);
    rh_engine_lost(pair->client.engine, &why);
    cr_expect_eq(pair->client.count[ON_CLOSE], 0, "told by the next tick");
    cr_expect_eq(rh_engine_deadline(pair->client.engine), 0);
    rh_engine_tick(pair->client.engine, pair->now);
    cr_expect_eq(pair->client.outcomes[RH_DROPPED], 1);
    cr_expect_eq(pair->client.count[ON_DETACH], 1);
    cr_expect_eq(pair->client.count[ON_END], 1);
    cr_expect_eq(pair->client.count[ON_CLOSE], 1);
    cr_expect_eq(pair->client.closed.status, RH_E_TLS_TRUNCATED);
    pair_free(pair);
}

/* -- time -------------------------------------------------------------------------------------- */

Test(engine, a_day_of_silence_is_kept_alive_by_heartbeats)
{
    struct pair *pair = PAIR(.client.idle_time_out_ms = 1000, .server.idle_time_out_ms = 600000);
    pair_wait(pair, RH_SECONDS(3600));
    cr_expect_eq(pair->client.count[ON_CLOSE] + pair->server.count[ON_CLOSE], 0);
    /* the server speaks for the client's second, the client for the server's ten minutes */
    cr_expect_geq(rh_engine_counts_of(pair->server.engine).heartbeats_out, 7199);
    cr_expect_leq(rh_engine_counts_of(pair->server.engine).heartbeats_out, 7300);
    cr_expect_geq(rh_engine_counts_of(pair->client.engine).heartbeats_out, 11);
    cr_expect_leq(rh_engine_counts_of(pair->client.engine).heartbeats_out, 13);
    pair_free(pair);
}

Test(engine, a_heartbeat_leaves_within_half_the_peers_time_out)
{
    struct peer *peer = peer_new(RH_ENGINE_OPTS(.server = true));
    peer_open(peer, 65536, 10000);
    rh_time sent = peer->now;
    size_t  heard = peer->heard_n;
    cr_expect_eq(rh_engine_deadline(peer->end.engine), sent + RH_SECONDS(5));
    peer->now = sent + RH_SECONDS(5) - 1;
    rh_engine_tick(peer->end.engine, peer->now);
    peer_hear(peer);
    cr_expect_eq(peer->heard_n, heard, "too early");
    peer->now = sent + RH_SECONDS(5);
    rh_engine_tick(peer->end.engine, peer->now);
    peer_hear(peer);
    cr_expect_eq(peer->heard_n, heard + 8);
    cr_expect_arr_eq(peer->heard + heard, "\0\0\0\x08\x02\0\0\0", 8);
    peer_free(peer);
}

Test(engine, a_silent_peer_is_dead_after_twice_our_time_out_and_told_once)
{
    struct pair *pair = PAIR(.client.idle_time_out_ms = 10000);
    pair->server.mute = true;
    pair_wait(pair, RH_MS(19999));
    cr_expect_eq(pair->client.count[ON_CLOSE], 0);
    pair_wait(pair, RH_MS(1));
    cr_expect_eq(pair->client.count[ON_CLOSE], 1);
    cr_expect_eq(pair->client.closed.status, RH_E_PEER_SILENT);
    cr_expect(rh_engine_is_closed(pair->client.engine), "no close is awaited from the dead");
    pair_wait(pair, RH_SECONDS(100));
    cr_expect_eq(pair->client.count[ON_CLOSE], 1);
    pair_free(pair);
}

Test(engine, silence_during_the_handshake_counts_too)
{
    struct peer *peer = peer_new(RH_ENGINE_OPTS(.sasl = RH_SASL_ANONYMOUS, .idle_time_out_ms = 1000));
    cr_expect_eq(rh_engine_deadline(peer->end.engine), 0, "the first tick starts the clock");
    rh_engine_tick(peer->end.engine, peer->now);
    rh_engine_tick(peer->end.engine, peer->now + RH_SECONDS(2));
    cr_expect_eq(peer->end.closed.status, RH_E_PEER_SILENT);
    peer_free(peer);
}

Test(engine, without_a_time_out_nothing_is_awaited)
{
    struct pair *pair = PAIR(.client.idle_time_out_ms = RH_NO_IDLE_TIME_OUT, .server.idle_time_out_ms = RH_NO_IDLE_TIME_OUT);
    cr_expect_eq(rh_engine_deadline(pair->client.engine), RH_TIME_NEVER);
    cr_expect_eq(rh_engine_deadline(pair->server.engine), RH_TIME_NEVER);
    pair_free(pair);
}

/* -- B14: every cut of the bytes tells the same story ------------------------------------------ */

/* A session with everything in it: deliveries both ways, one of several frames, refusal, drain, detach, close. */
static void play(struct pair *pair)
{
    static uint8_t large[3000];
    for (size_t i = 0; i < sizeof large; i++) large[i] = (uint8_t)(i * 7);
    (void)end_begin(&pair->client, NULL);
    (void)end_attach(&pair->client, "out", false);
    pair_run(pair);
    (void)end_send(&pair->client, "first", false);
    (void)end_send_bytes(&pair->client, large, sizeof large, false, NULL);
    (void)end_send(&pair->client, "settled", true);
    pair_run(pair);
    (void)rh_link_drain(pair->server.link);
    pair_run(pair);
    pair->server.refuses = true;
    (void)end_attach(&pair->client, "refused", true);
    pair_run(pair);
    pair->server.refuses = false;
    (void)end_attach(&pair->client, "in", true);
    pair_run(pair);
    (void)end_send_bytes(&pair->server, large, sizeof large, false, NULL);
    pair_run(pair);
    (void)rh_link_detach(pair->client.link, true, NULL, NULL);
    pair_run(pair);
    (void)rh_engine_close(pair->client.engine, "amqp:internal-error", "enough");
    pair_run(pair);
}

static const struct pair_opts taped = { .client = { .sasl = RH_SASL_PLAIN, .sasl_user = { (const uint8_t *)"me", 2 }, .sasl_password = { (const uint8_t *)"secret", 6 } },
                                        .server = { .sasl = RH_SASL_ANONYMOUS, .max_frame_size = 1024 },
                                        .credit = 10, .half = true };

static char *story_of(struct end *end)
{
    char *copy = malloc(end->story_n + 1);
    memcpy(copy, end->story, end->story_n);
    copy[end->story_n] = 0;
    return copy;
}

Test(engine, every_cut_of_the_bytes_tells_the_same_story, .timeout = 120)
{
    struct pair *whole = pair_new(&taped);
    play(whole);
    char *client = story_of(&whole->client), *server = story_of(&whole->server);
    cr_assert_neq(strstr(server, "delivery 1 3000"), NULL, "%s", server);
    cr_assert_neq(strstr(client, "amqp:unauthorized-access"), NULL, "%s", client);
    cr_assert_neq(strstr(server, "amqp:internal-error"), NULL, "%s", server);
    pair_free(whole);
    for (size_t cut = 1; cut < 700; cut += cut < 64 ? 1 : 37) {
        struct pair_opts opts   = taped;
        opts.client.output_lent = opts.server.output_lent = cut % 2; /* nor does it matter whose the output ring is */
        struct pair *pair       = pair_new(&opts);
        pair->client.cut = pair->server.cut = cut;
        play(pair);
        char *c = story_of(&pair->client), *s = story_of(&pair->server);
        cr_expect_str_eq(c, client, "client, %zu bytes at a time", cut);
        cr_expect_str_eq(s, server, "server, %zu bytes at a time", cut);
        free(c);
        free(s);
        pair_free(pair);
    }
    free(client);
    free(server);
}

/* What the client said, played to a fresh server in two pieces, for every place between them. */
Test(engine, a_tape_cut_anywhere_is_the_same_tape, .timeout = 120)
{
    struct pair *whole = pair_new(&taped);
    play(whole);
    struct peer *once = peer_new(RH_ENGINE_OPTS(.server = true, .sasl = RH_SASL_ANONYMOUS, .max_frame_size = 1024));
    once->end.credit  = 10;
    cr_assert_eq(end_feed(&once->end, whole->client.tape, whole->client.tape_n, once->now), whole->client.tape_n);
    char *expected = story_of(&once->end);
    for (size_t cut = 1; cut < whole->client.tape_n; cut++) {
        struct peer *peer = peer_new(RH_ENGINE_OPTS(.server = true, .sasl = RH_SASL_ANONYMOUS, .max_frame_size = 1024));
        peer->end.credit  = 10;
        size_t used       = end_feed(&peer->end, whole->client.tape, cut, peer->now);
        end_feed(&peer->end, whole->client.tape + used, whole->client.tape_n - used, peer->now);
        char *got = story_of(&peer->end);
        cr_expect_str_eq(got, expected, "cut at byte %zu", cut);
        free(got);
        peer_free(peer);
    }
    free(expected);
    peer_free(once);
    pair_free(whole);
}

/* -- B13: numbers that wrap -------------------------------------------------------------------- */

Test(engine, every_counter_started_near_the_end_of_its_numbers_wraps)
{
    for (uint32_t back = 0; back < 8; back++) {
        struct pair *pair = PAIR(.client.first_id = UINT32_MAX - back, .server.first_id = UINT32_MAX - back, .window = 3, .credit = 4,
                                 .server.max_frame_size = 512);
        static uint8_t large[2000];
        for (int i = 0; i < 40; i++) {
            cr_assert_eq(i % 5 ? end_send(&pair->client, "x", i % 3 == 0) : end_send_bytes(&pair->client, large, sizeof large, false, NULL), RH_OK);
            pair_run(pair);
        }
        cr_expect_eq(pair->server.count[ON_DELIVERY], 40);
        cr_expect_eq(pair->client.outcomes[RH_ACCEPTED] + pair->client.outcomes[RH_SENT], 40);
        cr_expect_eq(pair->client.count[ON_CLOSE] + pair->client.count[ON_END] + pair->client.count[ON_DETACH], 0);
        pair_free(pair);
    }
}

/* -- B3: nesting without end ------------------------------------------------------------------- */

#define MIB ((size_t)1 << 20)

/* A described value whose descriptor is described, and so on: half a million times, where an open has its properties. */
static uint8_t *open_of_nests(size_t *n)
{
    static const uint8_t start[] = { 0x00, 0x53, 0x10, 0xd0, 0, 0, 0, 0, 0, 0, 0, 10, 0xa1, 1, 'c', 0x40, 0x40, 0x40, 0x40, 0x40, 0x40, 0x40, 0x40 };
    *n             = MIB;
    uint8_t *frame = calloc(1, *n); /* 00 all over: descriptors */
    rh_frame_put(frame, (uint32_t)*n, RH_FRAME_AMQP, 0);
    memcpy(frame + 8, start, sizeof start);
    rh_put32(frame + 12, (uint32_t)(*n - 16));
    size_t nest = 8 + sizeof start, half = (*n - nest + 1) / 2; /* one more than there are descriptors */
    memset(frame + *n - half, 0x40, half); /* what they describe */
    return frame;
}

static void *open_on_little_stack(void *argument)
{
    struct peer *peer = argument;
    size_t       n;
    uint8_t     *frame = open_of_nests(&n);
    char         text[128];
    peer_headers(peer);
    rh_performative_print(rh_slice_of(frame + 8, n - 8), text, sizeof text);
    peer_say_bytes(peer, frame, n);
    peer_hear(peer);
    free(frame);
    return NULL;
}

Test(engine, a_megabyte_of_nesting_costs_no_stack, .timeout = 60)
{
    struct peer   *peer = peer_new(RH_ENGINE_OPTS(.server = true, .max_frame_size = (uint32_t)MIB));
    pthread_attr_t attributes;
    pthread_t      thread;
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, 128 * 1024);
    cr_assert_eq(pthread_create(&thread, &attributes, open_on_little_stack, peer), 0);
    pthread_join(thread, NULL);
    pthread_attr_destroy(&attributes);
    cr_expect_eq(peer->end.count[ON_CLOSE], 1);
    cr_expect_eq(peer->end.closed.status, RH_E_INVALID_FIELD, "read to its end: a sound value, and no map; %s", rh_status_name(peer->end.closed.status));
    peer_free(peer);
}

/* -- B15: a peer that never reads -------------------------------------------------------------- */

Test(engine, a_peer_that_never_reads_stops_being_read)
{
    struct peer *peer = peer_new(RH_ENGINE_OPTS(.server = true, .output_bytes = 4096));
    peer_open(peer, 65536, 0);
    peer_begin(peer, 0, 1000);
    rh_amqp_flow flow = { .has = RH_HAS_FLOW_INCOMING_WINDOW | RH_HAS_FLOW_NEXT_OUTGOING_ID | RH_HAS_FLOW_OUTGOING_WINDOW | RH_HAS_FLOW_ECHO, .echo = true };
    uint8_t      body[64];
    rh_enc       e = rh_enc_of(body, sizeof body);
    rh_amqp_flow_encode(&e, &flow);
    uint8_t frame[80];
    rh_frame_put(frame, (uint32_t)(8 + rh_enc_size(&e)), 0, 0);
    memcpy(frame + 8, body, rh_enc_size(&e));
    rh_iov iov[64];
    size_t asked = 0;
    while (asked < 10000 && rh_engine_input(peer->end.engine, frame, 8 + rh_enc_size(&e), peer->now) > 0) {
        asked++;
        rh_engine_output(peer->end.engine, iov, 64); /* lent, and never sent */
    }
    cr_expect_lt(asked, 200);
    cr_expect_not(rh_engine_wants_input(peer->end.engine));
    size_t n = rh_engine_output(peer->end.engine, iov, 64), bytes = 0;
    for (size_t i = 0; i < n; i++) bytes += iov[i].n;
    cr_expect_leq(bytes, 4096);
    rh_engine_sent(peer->end.engine, bytes, peer->now);
    cr_expect(rh_engine_wants_input(peer->end.engine), "reads on when something left");
    peer_free(peer);
}
