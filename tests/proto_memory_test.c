/**
 * Memory that an engine is lent: slots that come later and go earlier than it, and an output ring that it holds only
 * while something waits in it.
 */
#include "tests/peer.h"

#include <criterion/criterion.h>
#include <stdlib.h>

#define NO_SLOTS .sessions = RH_NO_SLOTS, .links = RH_NO_SLOTS, .deliveries = RH_NO_SLOTS

static void *lend(rh_engine *engine, uint32_t sessions, uint32_t links, uint32_t deliveries, uint32_t text)
{
    rh_engine_slots slots  = { .sessions = sessions, .links = links, .deliveries = deliveries, .text = text };
    size_t          n      = rh_engine_slots_size(&slots);
    void           *memory = malloc(n);
    cr_assert_eq(rh_engine_lend(engine, memory, n, &slots), RH_OK);
    return memory;
}

static rh_status take_back(rh_engine *engine, void *memory)
{
    rh_status status = rh_engine_reclaim(engine, memory);
    if (status == RH_OK) free(memory); /* whatever still points into it is found */
    return status;
}

/* -- slots --------------------------------------------------------------------------------------- */

Test(memory, an_engine_without_slots_begins_and_attaches_as_far_as_it_is_lent_some)
{
    struct pair *pair   = PAIR(.half = true, .client = { NO_SLOTS });
    struct end  *client = &pair->client;
    cr_expect_eq(end_begin(client, NULL), RH_E_LIMIT);
    void *session = lend(client->engine, 1, 0, 0, 0);
    cr_expect_eq(end_begin(client, NULL), RH_OK);
    cr_expect_eq(end_attach(client, "l", false), RH_E_LIMIT);
    void *link = lend(client->engine, 0, 1, 1, 0);
    cr_expect_eq(end_attach(client, "l", false), RH_OK);
    cr_expect_eq(end_attach(client, "m", false), RH_E_LIMIT);
    pair_run(pair);
    /* One delivery was lent, and one more is always there. */
    cr_expect_eq(end_send(client, "one", false), RH_OK);
    cr_expect_eq(end_send(client, "two", false), RH_OK);
    cr_expect_eq(end_send(client, "three", false), RH_AGAIN);
    pair_run(pair);
    cr_expect_eq(client->outcomes[RH_ACCEPTED], 2);
    pair_free(pair);
    free(session);
    free(link);
}

Test(memory, lent_slots_come_back_when_both_ends_have_let_go_and_not_before)
{
    struct pair *pair   = PAIR(.half = true, .client = { NO_SLOTS });
    struct end  *client = &pair->client;
    void        *kept   = lend(client->engine, 1, 1, 1, 0);
    void        *memory = NULL;
    cr_assert_eq(end_begin(client, NULL), RH_OK);
    for (int turn = 0; turn < 70; turn++) {
        /* The kept link's slot is in use, so this one's is in the new memory. */
        if (turn == 0) cr_assert_eq(end_attach(client, "kept", false), RH_OK);
        pair_run(pair);
        memory = lend(client->engine, 0, 1, 0, 0);
        cr_assert_eq(end_attach(client, "l", false), RH_OK);
        rh_link *link = client->link;
        cr_expect_eq(rh_engine_reclaim(client->engine, memory), RH_AGAIN);
        pair_run(pair);
        cr_expect_eq(rh_engine_reclaim(client->engine, memory), RH_AGAIN);
        cr_assert_eq(rh_link_detach(link, true, NULL, NULL), RH_OK);
        cr_expect_eq(rh_engine_reclaim(client->engine, memory), RH_AGAIN, "the peer has not detached");
        pair_run(pair);
        cr_assert_eq(take_back(client->engine, memory), RH_OK);
    }
    cr_expect_eq(client->count[ON_DETACH], 70);
    cr_expect_eq(rh_engine_reclaim(client->engine, kept), RH_AGAIN);
    cr_expect_eq(rh_engine_reclaim(client->engine, NULL), RH_E_ARGUMENT);
    cr_expect_eq(rh_engine_reclaim(client->engine, client), RH_E_ARGUMENT);
    pair_free(pair);
    free(kept);
}

static void *memory_of_hook;

static void reclaim_in_hook(struct end *end, enum event event, void *handle)
{
    (void)handle;
    if (event != ON_DETACH && event != ON_OUTCOME && event != ON_END) return;
    cr_expect_eq(rh_engine_reclaim(end->engine, memory_of_hook), RH_AGAIN, "while its end is told");
}

Test(memory, what_is_told_of_is_still_in_use)
{
    struct pair *pair   = PAIR(.half = true, .client = { NO_SLOTS });
    struct end  *client = &pair->client;
    memory_of_hook      = lend(client->engine, 1, 1, 1, 0);
    client->hook        = reclaim_in_hook;
    cr_assert_eq(end_begin(client, NULL), RH_OK);
    cr_assert_eq(end_attach(client, "l", false), RH_OK);
    pair_run(pair);
    cr_assert_eq(end_send(client, "one", false), RH_OK);
    pair_run(pair);
    cr_assert_eq(rh_session_end(client->session, NULL, NULL), RH_OK);
    pair_run(pair);
    cr_expect_eq(client->count[ON_OUTCOME] + client->count[ON_DETACH] + client->count[ON_END], 3);
    cr_expect_eq(take_back(client->engine, memory_of_hook), RH_OK);
    cr_expect_eq(end_begin(client, NULL), RH_E_LIMIT);
    pair_free(pair);
}

Test(memory, handles_of_a_slot_used_again_stay_refused)
{
    struct pair *pair   = PAIR(.half = true, .client = { NO_SLOTS });
    struct end  *client = &pair->client;
    void        *memory = lend(client->engine, 1, 1, 1, 0);
    rh_link     *first  = NULL;
    cr_assert_eq(end_begin(client, NULL), RH_OK);
    for (int turn = 0; turn < 10; turn++) {
        cr_assert_eq(end_attach(client, "l", false), RH_OK);
        rh_link *link = client->link;
        if (turn == 0) first = link;
        else cr_expect_eq(rh_link_detach(first, true, NULL, NULL), RH_E_STATE);
        pair_run(pair);
        cr_assert_eq(rh_link_detach(link, true, NULL, NULL), RH_OK);
        pair_run(pair);
    }
    pair_free(pair);
    free(memory);
}

static void lend_in_hook(struct end *end, enum event event, void *handle)
{
    (void)handle;
    if (event == ON_BEGIN) memory_of_hook = lend(end->engine, 0, 1, 0, 0);
}

Test(memory, a_server_lends_room_for_the_peers_links_in_a_callback)
{
    struct pair *pair = PAIR(.half = true, .server = { .sessions = 2, .links = RH_NO_SLOTS });
    pair->server.hook = lend_in_hook;
    cr_assert_eq(end_begin(&pair->client, NULL), RH_OK);
    cr_assert_eq(end_attach(&pair->client, "l", false), RH_OK);
    pair_run(pair);
    cr_assert_eq(end_send(&pair->client, "one", false), RH_OK);
    pair_run(pair);
    cr_expect_eq(pair->client.outcomes[RH_ACCEPTED], 1);
    cr_assert_eq(end_attach(&pair->client, "m", false), RH_OK);
    pair_run(pair);
    cr_expect_str_eq(pair->client.ended.condition, "amqp:resource-limit-exceeded");
    pair_free(pair);
    free(memory_of_hook);
}

Test(memory, a_link_takes_a_slot_that_has_room_for_its_name)
{
    struct pair *pair   = PAIR(.half = true, .client = { .sessions = 1, .links = RH_NO_SLOTS });
    struct end  *client = &pair->client;
    void        *small  = lend(client->engine, 0, 2, 0, 8);
    cr_assert_eq(end_begin(client, NULL), RH_OK);
    cr_expect_eq(end_attach(client, "nine-long", false), RH_E_LIMIT);
    cr_expect_eq(end_attach(client, "8-is-all", false), RH_OK);
    void *large = lend(client->engine, 0, 1, 0, 0);
    cr_expect_eq(end_attach(client, "nine-long", false), RH_OK);
    cr_expect_eq(end_attach(client, "nine-too!", false), RH_E_LIMIT);
    pair_run(pair);
    cr_expect_eq(pair->client.count[ON_ATTACH], 2);
    pair_free(pair);
    free(small);
    free(large);
}

Test(memory, a_slot_costs_what_the_header_says)
{
    rh_engine_slots none = { .text = 0 };
    size_t          loan = rh_engine_slots_size(&none);
    cr_expect_leq(loan, 256);
    cr_expect_eq(rh_engine_slots_size(&(rh_engine_slots){ .sessions = 1 }) - loan, 512);
    cr_expect_eq(rh_engine_slots_size(&(rh_engine_slots){ .links = 1 }) - loan, 960);
    cr_expect_eq(rh_engine_slots_size(&(rh_engine_slots){ .links = 1, .text = 192 }) - loan, 512);
    cr_expect_eq(rh_engine_slots_size(&(rh_engine_slots){ .deliveries = 1 }) - loan, 256);
    cr_expect_leq(rh_engine_size(RH_ENGINE_OPTS(NO_SLOTS, .output_lent = true)), 2048);
    cr_expect_eq(rh_engine_slots_size(&(rh_engine_slots){ .sessions = 40000 }), 0);
    char small[64];
    struct pair *pair = PAIR(.half = true);
    cr_expect_eq(rh_engine_lend(pair->client.engine, small, sizeof small, &none), RH_E_ARGUMENT);
    cr_expect_eq(rh_engine_lend(pair->client.engine, NULL, 1000, &none), RH_E_ARGUMENT);
    pair_free(pair);
}

/* -- many of them -------------------------------------------------------------------------------- */

Test(memory, every_one_of_many_links_is_found_by_its_handle_also_when_others_have_gone)
{
    enum { LINKS = 40 };
    struct pair *pair = PAIR(.half = true, .client = { .links = LINKS }, .server = { .links = LINKS });
    rh_link     *links[LINKS];
    cr_assert_eq(end_begin(&pair->client, NULL), RH_OK);
    for (int i = 0; i < LINKS; i++) {
        char name[2] = { (char)('0' + i), 0 };
        cr_assert_eq(end_attach(&pair->client, name, false), RH_OK);
        links[i] = pair->client.link;
    }
    pair_run(pair);
    for (int i = 0; i < LINKS; i += 3) cr_assert_eq(rh_link_detach(links[i], true, NULL, NULL), RH_OK);
    pair_run(pair);
    for (int i = 0; i < LINKS; i++) {
        if (i % 3 == 0) continue;
        pair->client.link = links[i];
        cr_expect_eq(end_send(&pair->client, "x", false), RH_OK);
        pair_run(pair);
        cr_expect(rh_slice_is(rh_link_name(pair->client.link), (char[]){ (char)('0' + i), 0 }));
    }
    cr_expect_eq(pair->client.outcomes[RH_ACCEPTED], LINKS - (LINKS + 2) / 3);
    pair_free(pair);
}

Test(memory, every_one_of_many_sessions_is_found_by_its_channel)
{
    enum { SESSIONS = 70 };
    struct pair *pair = PAIR(.half = true, .client = { .sessions = SESSIONS, .links = SESSIONS }, .server = { .sessions = SESSIONS, .links = SESSIONS });
    rh_session  *sessions[SESSIONS];
    for (int i = 0; i < SESSIONS; i++) {
        cr_assert_eq(end_begin(&pair->client, NULL), RH_OK);
        sessions[i] = pair->client.session;
        cr_assert_eq(end_attach(&pair->client, "l", false), RH_OK);
    }
    pair_run(pair);
    cr_expect_eq(end_begin(&pair->client, NULL), RH_E_LIMIT);
    for (int i = 0; i < SESSIONS; i += 2) cr_assert_eq(rh_session_end(sessions[i], NULL, NULL), RH_OK);
    pair_run(pair);
    cr_expect_eq(pair->client.count[ON_END], SESSIONS / 2);
    for (int i = 1; i < SESSIONS; i += 2) cr_assert_eq(rh_session_end(sessions[i], NULL, NULL), RH_OK);
    pair_run(pair);
    cr_expect_eq(pair->client.count[ON_END], SESSIONS);
    cr_expect_eq(pair->server.count[ON_END], SESSIONS);
    pair_free(pair);
}

/* -- the words of an end ------------------------------------------------------------------------- */

static const char long_words[] = "The messaging entity 'sb://test/hub' could not be found. To know more visit a page. TrackingId:1-2-3, "
                                 "SystemTracker:test:hub, Timestamp:2024-01-01T00:00:00 and so on, further than a small slot can hold of it.";

static struct peer *peer_with_small_link(void)
{
    struct peer *peer = peer_new(RH_ENGINE_OPTS(.sessions = 1, .links = RH_NO_SLOTS, .deliveries = 4));
    rh_amqp_attach attach = { .has = RH_HAS_ATTACH_HANDLE | RH_HAS_ATTACH_ROLE, .name = rh_str("l"), .role = true,
                              .source = rh_slice_of("\x00\x53\x28\x45", 4), .target = rh_slice_of("\x00\x53\x29\x45", 4) };
    memory_of_hook    = lend(peer->end.engine, 0, 1, 0, 32);
    peer_open(peer, 65536, 0);
    cr_assert_eq(end_begin(&peer->end, NULL), RH_OK);
    cr_assert_eq(end_attach(&peer->end, "l", false), RH_OK);
    peer_hear(peer);
    rh_amqp_begin begin = { .has = RH_HAS_BEGIN_REMOTE_CHANNEL | RH_HAS_BEGIN_NEXT_OUTGOING_ID | RH_HAS_BEGIN_INCOMING_WINDOW | RH_HAS_BEGIN_OUTGOING_WINDOW,
                            .incoming_window = 100 };
    peer_say(peer, 0, RH_AMQP_BEGIN, &begin);
    peer_say(peer, 0, RH_AMQP_ATTACH, &attach);
    peer_credit(peer, 0, 10);
    return peer;
}

static void say_detach(struct peer *peer)
{
    uint8_t error[400];
    rh_enc  e = rh_enc_of(error, sizeof error);
    rh_amqp_error_encode(&e, &(rh_amqp_error){ .condition = rh_str("amqp:not-found"), .description = rh_str(long_words) });
    peer_say(peer, 0, RH_AMQP_DETACH,
             &(rh_amqp_detach){ .has = RH_HAS_DETACH_HANDLE | RH_HAS_DETACH_CLOSED, .closed = true, .error = rh_enc_written(&e) });
}

Test(memory, the_peers_words_are_told_whole_by_a_link_that_has_no_room_for_them)
{
    struct peer *peer = peer_with_small_link();
    say_detach(peer);
    cr_expect_eq(peer->end.count[ON_DETACH], 1);
    cr_expect_str_eq(peer->end.detached.condition, "amqp:not-found");
    cr_expect_str_eq(peer->end.detached.description, long_words);
    peer_free(peer);
    free(memory_of_hook);
}

Test(memory, words_that_wait_for_lent_bytes_are_cut_to_the_slot)
{
    struct peer *peer = peer_with_small_link();
    rh_iov       iov[16];
    cr_assert_eq(end_send(&peer->end, "lent", false), RH_OK);
    size_t count = rh_engine_output(peer->end.engine, iov, 16), n = 0;
    for (size_t i = 0; i < count; i++) n += iov[i].n;
    say_detach(peer);
    cr_expect_eq(peer->end.count[ON_DETACH], 0);
    rh_engine_sent(peer->end.engine, n, peer->now);
    rh_engine_tick(peer->end.engine, peer->now);
    cr_expect_eq(peer->end.count[ON_DETACH], 1);
    cr_expect_eq(peer->end.detached.status, RH_E_SERVICE);
    cr_expect_str_eq(peer->end.detached.condition, "amqp:not-found");
    cr_expect_eq(strlen(peer->end.detached.description), 32 - strlen("l") - strlen("amqp:not-found"));
    peer_free(peer);
    free(memory_of_hook);
}

Test(memory, our_own_words_are_said_as_far_as_the_slot_holds_them)
{
    struct peer   *peer = peer_with_small_link();
    rh_amqp_detach detach;
    rh_amqp_error  error;
    char           words[64] = "a description in a buffer that is used again";
    cr_assert_eq(rh_link_detach(peer->end.link, true, "a:b", words), RH_OK);
    memset(words, 'x', sizeof words);
    peer_hear(peer);
    cr_assert(peer_heard(peer, RH_AMQP_DETACH, 0, &detach));
    cr_assert_eq(rh_amqp_error_view(detach.error, &error), RH_OK);
    cr_expect(rh_slice_is(error.condition, "a:b"));
    cr_expect(rh_slice_is(error.description, "a description in a buffer th"));
    peer_free(peer);
    free(memory_of_hook);
}

/* -- the output ring ----------------------------------------------------------------------------- */

Test(memory, an_idle_connection_holds_no_output_ring)
{
    struct pair *pair = PAIR(.client = { .output_lent = true, .idle_time_out_ms = 1000 }, .server = { .output_lent = true });
    cr_expect_eq(pair->client.rooms, 0);
    cr_expect_eq(pair->server.rooms, 0);
    for (int i = 0; i < 300; i++) {
        cr_assert_eq(end_send(&pair->client, "through the ring", i % 2), RH_OK);
        cr_expect_eq(pair->client.rooms, 0, "a send writes nothing yet");
        pair_run(pair);
    }
    cr_expect_eq(pair->client.outcomes[RH_ACCEPTED] + pair->client.outcomes[RH_SENT], 300);
    uint32_t asked = pair->server.room_asked;
    pair_wait(pair, RH_SECONDS(3));
    cr_expect_gt(pair->server.room_asked, asked, "heartbeats");
    cr_expect_eq(pair->client.rooms + pair->server.rooms, 0);
    pair_free(pair);
}

Test(memory, borrowing_tells_the_same_story)
{
    struct pair *own      = PAIR(.client = { .sasl = RH_SASL_PLAIN, .sasl_user = rh_str("u"), .sasl_password = rh_str("canary") }, .server = { .sasl = RH_SASL_PLAIN });
    struct pair *borrowed = PAIR(.client = { .output_lent = true, .sasl = RH_SASL_PLAIN, .sasl_user = rh_str("u"), .sasl_password = rh_str("canary") },
                                 .server = { .output_lent = true, .sasl = RH_SASL_PLAIN });
    struct pair *pairs[]  = { own, borrowed };
    for (int i = 0; i < 2; i++) {
        cr_assert_eq(end_send(&pairs[i]->client, "one", false), RH_OK);
        cr_assert_eq(rh_engine_close(pairs[i]->server.engine, "amqp:connection:forced", "go"), RH_OK);
        pair_run(pairs[i]);
    }
    cr_expect_eq(own->client.tape_n, borrowed->client.tape_n);
    cr_expect_arr_eq(own->client.tape, borrowed->client.tape, own->client.tape_n);
    cr_expect_arr_eq(own->server.tape, borrowed->server.tape, own->server.tape_n);
    cr_expect_eq(own->client.story_n, borrowed->client.story_n);
    cr_expect_arr_eq(own->client.story, borrowed->client.story, own->client.story_n);
    cr_expect_eq(borrowed->client.rooms + borrowed->server.rooms, 0);
    cr_expect_not(borrowed->client.secret_seen, "a password went back with the ring");
    pair_free(own);
    pair_free(borrowed);
}

Test(memory, an_engine_whose_owner_has_no_room_takes_nothing_in_and_asks_again)
{
    struct pair *pair   = PAIR(.client = { .output_lent = true });
    struct end  *server = &pair->server, *client = &pair->client;
    cr_assert_eq(end_send(client, "one", false), RH_OK);
    client->no_room = true;
    pair_run(pair);
    cr_expect_eq(server->count[ON_DELIVERY], 0);
    cr_expect_not(rh_engine_wants_input(client->engine));
    cr_expect_eq(rh_session_begin(client->engine, NULL, NULL, &(rh_session *){ NULL }), RH_AGAIN);
    rh_time at = rh_engine_deadline(client->engine);
    cr_expect(at > pair->now && at <= pair->now + RH_MS(10), "not at once for ever, and soon");
    uint32_t asked = client->room_asked;
    pair_wait(pair, RH_MS(100));
    cr_expect_lt(client->room_asked - asked, 60);
    client->no_room = false;
    pair_wait(pair, RH_MS(20));
    cr_expect_eq(client->outcomes[RH_ACCEPTED], 1);
    cr_expect_eq(client->rooms, 0);
    pair_free(pair);
}

Test(memory, a_client_that_is_lent_no_room_at_its_start_is_not_made)
{
    static const rh_engine_handler nobody;
    uint8_t                        memory[4096];
    cr_expect_null(rh_engine_init(memory, sizeof memory, RH_ENGINE_OPTS(NO_SLOTS, .output_lent = true), &nobody, NULL));
    cr_expect_not_null(rh_engine_init(memory, sizeof memory, RH_ENGINE_OPTS(NO_SLOTS, .output_lent = true, .server = true), &nobody, NULL));
}

Test(memory, a_lost_connection_gives_the_ring_back)
{
    struct peer *peer = peer_new(RH_ENGINE_OPTS(.output_lent = true));
    cr_expect_eq(peer->end.rooms, 1, "header and open wait in it");
    rh_engine_lost(peer->end.engine, NULL);
    cr_expect_eq(peer->end.rooms, 0);
    rh_engine_tick(peer->end.engine, peer->now);
    cr_expect_eq(peer->end.count[ON_CLOSE], 1);
    peer_free(peer);
}

Test(memory, what_is_lent_of_the_ring_stays_until_it_was_sent)
{
    struct peer *peer = peer_new(RH_ENGINE_OPTS(.output_lent = true));
    rh_iov       iov[8];
    size_t       count = rh_engine_output(peer->end.engine, iov, 8), n = 0;
    for (size_t i = 0; i < count; i++) n += iov[i].n;
    rh_engine_sent(peer->end.engine, n - 1, peer->now);
    cr_expect_eq(peer->end.rooms, 1);
    rh_engine_tick(peer->end.engine, peer->now);
    cr_expect_eq(peer->end.rooms, 1);
    rh_engine_sent(peer->end.engine, 1, peer->now);
    cr_expect_eq(peer->end.rooms, 0);
    peer_free(peer);
}

/* In a callback: an attach that no frame of the peer's holds; from now on there is no room. */
static void try_too_much(struct end *end, enum event event, void *handle)
{
    static uint8_t map[2000] = { 0xd1, 0, 0, 0x07, 0xcb, 0, 0, 0, 2, 0xa3, 1, 'k', 0xb0, 0, 0, 0x07, 0xbf };
    rh_link       *link;
    if (event != ON_CREDIT) return;
    rh_link_opts opts = { .name = rh_str("big"), .properties = rh_slice_of(map, sizeof map) };
    cr_expect_eq(rh_link_attach(rh_link_session(handle), &opts, NULL, &link), RH_E_TOO_BIG);
    end->no_room = true;
}

static size_t put_frame(uint8_t *at, uint16_t channel, rh_composite_id id, const void *fields)
{
    rh_enc e = rh_enc_of(at + 8, 200);
    cr_assert(rh_composite_encode(&e, id, fields));
    rh_frame_put(at, (uint32_t)(8 + rh_enc_size(&e)), RH_FRAME_AMQP, channel);
    return 8 + rh_enc_size(&e);
}

Test(memory, room_lent_for_answers_stays_until_all_that_came_was_answered)
{
    struct peer *peer = peer_new(RH_ENGINE_OPTS(.output_lent = true, .server = true));
    peer_open(peer, 512, 0);
    peer_begin(peer, 0, 100);
    peer_attach(peer, 0, 0, "l", true);
    peer_hear(peer);
    peer->end.hook = try_too_much;

    uint8_t       both[600];
    rh_amqp_flow  flow  = { .has = 0xff, .incoming_window = 100, .outgoing_window = 100, .link_credit = 8 };
    rh_amqp_begin begin = { .has = RH_HAS_BEGIN_NEXT_OUTGOING_ID | RH_HAS_BEGIN_INCOMING_WINDOW | RH_HAS_BEGIN_OUTGOING_WINDOW, .incoming_window = 20 };
    size_t        n     = put_frame(both, 0, RH_AMQP_FLOW, &flow);
    n += put_frame(both + n, 1, RH_AMQP_BEGIN, &begin);
    peer_say_bytes(peer, both, n);
    peer_hear(peer);
    cr_expect_eq(peer_heard_count(peer, RH_AMQP_BEGIN), 2, "%s", peer->end.closed.description);
    cr_expect_eq(peer->end.rooms, 0);
    peer_free(peer);
}
