/**
 * Headers, the table of states, and the right word for every mistake.
 */
#include "tests/peer.h"

#include <criterion/criterion.h>
#include <stdlib.h>

/* -- headers [2.2] ----------------------------------------------------------------------------- */

Test(connection, a_wrong_header_is_answered_with_ours_and_the_end)
{
    static const struct {
        rh_sasl     sasl;
        const char *bytes, *answer;
    } rows[] = {
        { RH_SASL_NONE, "GET / HT", "AMQP\0\1\0\0" },          { RH_SASL_NONE, "AMQP\3\1\0\0", "AMQP\0\1\0\0" },
        { RH_SASL_NONE, "AMQP\0\0\x09\1", "AMQP\0\1\0\0" },    { RH_SASL_NONE, "AMQP\2\1\0\0", "AMQP\0\1\0\0" },
        { RH_SASL_ANONYMOUS, "AMQP\0\1\0\0", "AMQP\3\1\0\0" }, { RH_SASL_ANONYMOUS, "\x16\3\1\2\0\1\0\1", "AMQP\3\1\0\0" },
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct peer *peer = peer_new(RH_ENGINE_OPTS(.server = true, .sasl = rows[i].sasl));
        peer_say_bytes(peer, rows[i].bytes, 8);
        peer_hear(peer);
        cr_assert_eq(peer->heard_n, 8, "row %zu", i);
        cr_expect_arr_eq(peer->heard, rows[i].answer, 8, "row %zu", i);
        cr_expect_eq(peer->end.closed.status, RH_E_HEADER, "row %zu", i);
        cr_expect(rh_engine_is_closed(peer->end.engine));
        peer_free(peer);
    }
}

Test(connection, a_client_ends_at_a_header_that_it_does_not_speak)
{
    struct peer *peer = peer_new(RH_ENGINE_OPTS());
    peer_hear(peer);
    peer_say_bytes(peer, "HTTP/1.1", 8);
    peer_hear(peer);
    cr_expect_eq(peer->end.closed.status, RH_E_HEADER);
    peer_free(peer);
}

Test(connection, seven_bytes_of_a_header_are_not_enough)
{
    struct peer *peer = peer_new(RH_ENGINE_OPTS(.server = true));
    cr_expect_eq(rh_engine_frame_size(peer->end.engine, (const uint8_t *)"AMQ", 3), 0);
    cr_expect_eq(rh_engine_frame_size(peer->end.engine, (const uint8_t *)"AMQP\0\1\0", 7), 8);
    cr_expect_eq(end_feed(&peer->end, "AMQP\0\1\0", 7, peer->now), 0);
    cr_expect_eq(end_feed(&peer->end, "AMQP\0\1\0\0", 8, peer->now), 8);
    peer_free(peer);
}

/* A pipe measures everything that came before it feeds any of it, so the answer depends on the bytes alone. */
Test(connection, frames_are_measured_ahead_of_being_fed)
{
    struct peer         *peer    = peer_new(RH_ENGINE_OPTS(.server = true));
    static const uint8_t flight[] = { 'A', 'M', 'Q', 'P', 0, 1, 0, 0, 0, 0, 0, 12, 2, 0, 0, 0, 0, 0, 0, 0 };
    cr_expect_eq(rh_engine_frame_size(peer->end.engine, flight, sizeof flight), 8);
    cr_expect_eq(rh_engine_frame_size(peer->end.engine, flight + 8, sizeof flight - 8), 12);
    peer_free(peer);
}

/* -- open [2.7.1] ------------------------------------------------------------------------------ */

Test(connection, a_server_opens_only_when_asked_and_says_what_it_takes)
{
    struct peer *peer = peer_new(RH_ENGINE_OPTS(.server = true, .container_id = rh_str("here"), .max_frame_size = 4096, .idle_time_out_ms = 7000, .sessions = 3));
    rh_amqp_open open;
    peer_headers(peer);
    cr_expect_not(peer_heard(peer, RH_AMQP_OPEN, 0, &open));
    peer_open(peer, 1024, 0);
    peer_free(peer);

    peer = peer_new(RH_ENGINE_OPTS(.server = true, .container_id = rh_str("here"), .max_frame_size = 4096, .idle_time_out_ms = 7000, .sessions = 3));
    peer_open(peer, 1024, 9000);
    cr_assert(peer_heard(peer, RH_AMQP_OPEN, 0, &open));
    cr_expect(rh_slice_is(open.container_id, "here"));
    cr_expect_eq(open.max_frame_size, 4096);
    cr_expect_eq(open.channel_max, 2);
    cr_expect_eq(open.idle_time_out, 7000);
    cr_expect_eq(rh_engine_peer_of(peer->end.engine).max_frame_size, 1024);
    cr_expect_eq(rh_engine_peer_of(peer->end.engine).idle_time_out_ms, 9000);
    cr_expect_eq(rh_engine_phase_of(peer->end.engine), RH_ENGINE_OPENED);
    peer_free(peer);
}

Test(connection, frames_below_512_bytes_are_refused)
{
    struct peer *peer = peer_new(RH_ENGINE_OPTS(.server = true));
    peer_open(peer, 511, 0);
    cr_expect_str_eq(peer_heard_condition(peer, RH_AMQP_CLOSE), "amqp:invalid-field");
    cr_expect_eq(peer_heard_count(peer, RH_AMQP_OPEN), 1, "open comes before close [2.4.1]");
    peer_free(peer);
}

/* -- B14: frames that cannot be ---------------------------------------------------------------- */

Test(connection, every_impossible_frame_is_a_framing_error)
{
    static const struct bad {
        const char *why;
        uint8_t     bytes[8];
    } bad[] = {
        { "size 0", { 0, 0, 0, 0, 2, 0, 0, 0 } },          { "size 7", { 0, 0, 0, 7, 2, 0, 0, 0 } },
        { "doff 0", { 0, 0, 0, 8, 0, 0, 0, 0 } },          { "doff 1", { 0, 0, 0, 8, 1, 0, 0, 0 } },
        { "doff past the end", { 0, 0, 0, 8, 3, 0, 0, 0 } }, { "doff 255", { 0, 0, 0, 8, 255, 0, 0, 0 } },
        { "type 2", { 0, 0, 0, 8, 2, 2, 0, 0 } },          { "longer than announced", { 0, 0, 16, 1, 2, 0, 0, 0 } },
        { "4 GB", { 255, 255, 255, 255, 2, 0, 0, 0 } },    { "a header where none belongs", { 'A', 'M', 'Q', 'P', 0, 1, 0, 0 } },
    };
    for (int opened = 0; opened < 2; opened++)
        for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
            struct peer *peer = peer_new(RH_ENGINE_OPTS(.server = true, .max_frame_size = 4096));
            if (opened) peer_open(peer, 65536, 0);
            else peer_headers(peer);
            uint64_t at = rh_engine_counts_of(peer->end.engine).bytes_in;
            cr_expect_eq(rh_engine_frame_size(peer->end.engine, bad[i].bytes, 8), 8, "%s", bad[i].why);
            peer_say_bytes(peer, bad[i].bytes, 8);
            peer_hear(peer);
            cr_expect_eq(peer->end.closed.status, RH_E_FRAMING, "%s", bad[i].why);
            cr_expect_eq(peer->end.closed.position, at, "%s", bad[i].why);
            cr_expect_str_eq(peer_heard_condition(peer, RH_AMQP_CLOSE), "amqp:connection:framing-error", "%s", bad[i].why);
            cr_expect(rh_engine_is_closed(peer->end.engine));
            cr_expect_eq(end_feed(&peer->end, "anything at all", 15, peer->now), 15, "everything behind is used and not read");
            peer_free(peer);
        }
}

Test(connection, a_frame_of_just_the_size_announced_is_taken)
{
    struct peer *peer = peer_new(RH_ENGINE_OPTS(.server = true, .max_frame_size = 512));
    peer_open(peer, 65536, 0);
    static uint8_t frame[513];
    rh_frame_put(frame, 512, 0, 0);
    frame[4] = 128; /* all of it an extended header: a heartbeat */
    cr_expect_eq(end_feed(&peer->end, frame, 512, peer->now), 512);
    cr_expect_eq(peer->end.count[ON_CLOSE], 0);
    rh_frame_put(frame, 513, 0, 0);
    end_feed(&peer->end, frame, 513, peer->now);
    peer_hear(peer);
    cr_expect_eq(peer->end.closed.status, RH_E_FRAMING);
    peer_free(peer);
}

Test(connection, a_broken_performative_is_a_decode_error_at_its_byte)
{
    struct peer *peer = peer_new(RH_ENGINE_OPTS(.server = true));
    peer_open(peer, 65536, 0);
    uint64_t at = rh_engine_counts_of(peer->end.engine).bytes_in;
    static const uint8_t begin[] = { 0x00, 0x53, 0x11, 0xc0, 0x04, 0x04, 0x40, 0x43, 0xff };
    /*                                                                             ^^^^ no constructor */
    peer_say_frame(peer, 0, 0, rh_slice_of(begin, sizeof begin));
    peer_hear(peer);
    cr_expect_eq(peer->end.closed.status, RH_E_DECODE);
    cr_expect_str_eq(peer_heard_condition(peer, RH_AMQP_CLOSE), "amqp:decode-error");
    cr_expect_geq(peer->end.closed.position, at + 8);
    cr_expect_leq(peer->end.closed.position, at + 8 + sizeof begin);
    peer_free(peer);
}

/* A list that claims more bytes than there are, as each of the fourteen, where that one belongs. */
Test(connection, every_performative_that_cannot_be_read_ends_the_connection)
{
    for (uint8_t code = RH_CODE_OPEN; code <= RH_CODE_SASL_OUTCOME; code = code == RH_CODE_CLOSE ? RH_CODE_SASL_MECHANISMS : (uint8_t)(code + 1)) {
        bool         sasl   = code >= RH_CODE_SASL_MECHANISMS;
        bool         server = !sasl || code == RH_CODE_SASL_INIT || code == RH_CODE_SASL_RESPONSE;
        struct peer *peer   = peer_new(RH_ENGINE_OPTS(.server = server, .sasl = sasl ? RH_SASL_ANONYMOUS : RH_SASL_NONE));
        if (sasl) peer_say_header(peer, 3);
        else if (code == RH_CODE_OPEN) peer_headers(peer);
        else peer_open(peer, 65536, 0);
        if (code > RH_CODE_BEGIN && !sasl) peer_begin(peer, 0, 10);
        if (code == RH_CODE_SASL_OUTCOME)
            peer_say(peer, 0, RH_AMQP_SASL_MECHANISMS, &(rh_amqp_sasl_mechanisms){ .sasl_server_mechanisms = rh_slice_of("\xa3\x09" "ANONYMOUS", 11) });
        peer_say_frame(peer, sasl, 0, rh_slice_of(((uint8_t[]){ 0x00, 0x53, code, 0xc0, 0x09, 0x01, 0x40 }), 7));
        peer_hear(peer);
        bool misplaced = code == RH_CODE_SASL_CHALLENGE || code == RH_CODE_SASL_RESPONSE; /* no mechanism of ours has those */
        cr_expect_eq(peer->end.closed.status, misplaced ? RH_E_PROTOCOL : RH_E_DECODE, "0x%02x: %s", code, rh_status_name(peer->end.closed.status));
        cr_expect_str_eq(peer_heard_condition(peer, RH_AMQP_CLOSE), sasl ? "" : "amqp:decode-error", "0x%02x", code);
        peer_free(peer);
    }
}

Test(connection, bodies_that_are_no_performative_are_refused)
{
    static const struct {
        uint8_t n, bytes[12];
    } rows[] = {
        { 1, { 0x00 } }, { 3, { 0x00, 0x53, 0x77 } }, { 4, { 0x00, 0x53, 0x24, 0x45 } }, { 1, { 0x40 } },
        { 4, { 0x00, 0x53, 0x41, 0x45 } }, { 4, { 0x00, 0x53, 0x00, 0x45 } }, { 5, { 0x00, 0x53, 0x18, 0x45, 0x40 } },
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct peer *peer = peer_new(RH_ENGINE_OPTS(.server = true));
        peer_open(peer, 65536, 0);
        peer_say_frame(peer, 0, 0, rh_slice_of(rows[i].bytes, rows[i].n));
        peer_hear(peer);
        cr_expect_neq(peer->end.closed.status, RH_OK, "row %zu", i);
        cr_expect_eq(peer_heard_count(peer, RH_AMQP_CLOSE), 1, "row %zu", i);
        peer_free(peer);
    }
}

Test(connection, symbolic_descriptors_are_understood)
{
    struct peer *peer = peer_new(RH_ENGINE_OPTS(.server = true));
    peer_open(peer, 65536, 0);
    static const char begin[] = "\x00\xa3\x0f" "amqp:begin:list" "\xc0\x05\x04\x40\x43\x43\x43";
    peer_say_frame(peer, 0, 0, rh_slice_of(begin, sizeof begin - 1));
    cr_expect_eq(peer->end.count[ON_BEGIN], 1);
    peer_free(peer);
}

/* -- B11: every performative in every state, both roles ---------------------------------------- */

enum phase { HEADER, OPENING, OPENED, SESSION, LINK, CLOSE_SENT, CLOSED, PHASES };

static const char *const phase_names[] = { "before the header", "before open", "opened", "in a session", "on a link", "after our close", "after both closes" };

/* What becomes of the engine: . nothing (taken or late), s the session ends, c the connection ends. Columns: the nine
 * performatives, then the five of SASL in an AMQP frame. Channel 0 and handle 0 throughout. */
static const char expected[PHASES][15] = {
    /*               o b a f t d D e c   m i c r o */
    [HEADER]     = "cccccccccccccc",
    [OPENING]    = ".ccccccccccccc",
    [OPENED]     = "c.cccccccccccc",
    [SESSION]    = "cc..s.s.cccccc",
    [LINK]       = "ccs.s...cccccc",
    [CLOSE_SENT] = "c....c..cccccc",
    [CLOSED]     = "..............",
};

static struct peer *peer_at(enum phase phase, bool server)
{
    struct peer *peer = peer_new(RH_ENGINE_OPTS(.server = server));
    peer_hear(peer);
    if (phase == HEADER) return peer;
    if (phase == OPENING) {
        peer_headers(peer);
        return peer;
    }
    peer_open(peer, 65536, 0);
    if (phase == SESSION || phase == LINK) {
        if (!server && end_begin(&peer->end, NULL) != RH_OK) abort();
        peer_hear(peer);
        peer_begin(peer, 0, 100);
    }
    if (phase == LINK) {
        if (!server && end_attach(&peer->end, "l", false) != RH_OK) abort();
        peer_hear(peer);
        peer_attach(peer, 0, 0, "l", true);
    }
    if (phase == CLOSE_SENT || phase == CLOSED) (void)rh_engine_close(peer->end.engine, NULL, NULL);
    peer_hear(peer);
    if (phase == CLOSED) peer_say(peer, 0, RH_AMQP_CLOSE, &(rh_amqp_close){ .has = 0 });
    peer_hear(peer);
    return peer;
}

static void fill(rh_composite_id id, void *fields)
{
    memset(fields, 0, 512);
    *(uint32_t *)fields = 0xffffffff; /* every number is there, and zero */
    if (id == RH_AMQP_OPEN) *(rh_amqp_open *)fields = (rh_amqp_open){ .container_id = rh_str("x") };
    if (id == RH_AMQP_BEGIN) ((rh_amqp_begin *)fields)->has &= ~(uint32_t)RH_HAS_BEGIN_REMOTE_CHANNEL;
    if (id == RH_AMQP_ATTACH) ((rh_amqp_attach *)fields)->name = rh_str("other");
    if (id == RH_AMQP_TRANSFER) ((rh_amqp_transfer *)fields)->delivery_tag = rh_str("t");
    if (id == RH_AMQP_FLOW) ((rh_amqp_flow *)fields)->has &= ~(uint32_t)RH_HAS_FLOW_HANDLE;
    if (id == RH_AMQP_SASL_MECHANISMS) ((rh_amqp_sasl_mechanisms *)fields)->sasl_server_mechanisms = rh_slice_of("\xa3\x01x", 3);
    if (id == RH_AMQP_SASL_INIT) ((rh_amqp_sasl_init *)fields)->mechanism = rh_str("x");
    if (id == RH_AMQP_SASL_CHALLENGE) ((rh_amqp_sasl_challenge *)fields)->challenge = rh_str("x");
    if (id == RH_AMQP_SASL_RESPONSE) ((rh_amqp_sasl_response *)fields)->response = rh_str("x");
}

static char outcome_at(enum phase phase, bool server, rh_composite_id id)
{
    static uint64_t fields[64];
    uint8_t         body[512];
    rh_enc          e = rh_enc_of(body, sizeof body);
    struct peer    *peer = peer_at(phase, server);
    uint32_t closes = peer->end.count[ON_CLOSE], ends = peer->end.count[ON_END];
    fill(id, fields);
    cr_assert(rh_composite_encode(&e, id, fields), "%s", rh_composite_name(id));
    peer_say_frame(peer, RH_FRAME_AMQP, 0, rh_enc_written(&e));
    peer_hear(peer);
    char outcome = peer->end.count[ON_CLOSE] > closes ? 'c' : peer->end.count[ON_END] > ends && id != RH_AMQP_END ? 's' : '.';
    peer_free(peer);
    return outcome;
}

Test(connection, every_performative_in_every_state, .timeout = 60)
{
    static const rh_composite_id columns[14] = {
        RH_AMQP_OPEN, RH_AMQP_BEGIN, RH_AMQP_ATTACH, RH_AMQP_FLOW, RH_AMQP_TRANSFER, RH_AMQP_DISPOSITION, RH_AMQP_DETACH, RH_AMQP_END, RH_AMQP_CLOSE,
        RH_AMQP_SASL_MECHANISMS, RH_AMQP_SASL_INIT, RH_AMQP_SASL_CHALLENGE, RH_AMQP_SASL_RESPONSE, RH_AMQP_SASL_OUTCOME,
    };
    for (int server = 0; server < 2; server++)
        for (int phase = 0; phase < PHASES; phase++)
            for (int i = 0; i < 14; i++)
                cr_expect_eq(outcome_at((enum phase)phase, server, columns[i]), expected[phase][i], "%s, %s, %s: %c expected", server ? "server" : "client",
                             phase_names[phase], rh_composite_name(columns[i]), expected[phase][i]);
}

/* -- the right word ---------------------------------------------------------------------------- */

Test(connection, channels_and_handles_above_what_was_announced_are_framing_errors)
{
    struct peer *peer = peer_new(RH_ENGINE_OPTS(.server = true, .sessions = 2));
    peer_open(peer, 65536, 0);
    peer_begin(peer, 2, 100);
    cr_expect_str_eq(peer_heard_condition(peer, RH_AMQP_CLOSE), "amqp:connection:framing-error");
    peer_free(peer);

    peer = peer_new(RH_ENGINE_OPTS(.server = true));
    peer_open(peer, 65536, 0);
    peer_begin(peer, 0, 100);
    peer_attach(peer, 0, 256, "l", true);
    cr_expect_str_eq(peer_heard_condition(peer, RH_AMQP_CLOSE), "amqp:connection:framing-error");
    peer_free(peer);
}

Test(connection, a_begin_on_a_channel_in_use_is_an_illegal_state)
{
    struct peer *peer = peer_new(RH_ENGINE_OPTS(.server = true));
    peer_open(peer, 65536, 0);
    peer_begin(peer, 1, 100);
    peer->end.session = NULL;
    peer_begin(peer, 1, 100);
    cr_expect_str_eq(peer_heard_condition(peer, RH_AMQP_CLOSE), "amqp:illegal-state");
    peer_free(peer);
}

Test(connection, an_answer_to_no_begin_is_not_allowed)
{
    for (uint32_t channel = 0; channel < 3; channel++) {
        struct peer *peer = peer_new(RH_ENGINE_OPTS());
        peer_hear(peer);
        peer_open(peer, 65536, 0);
        rh_amqp_begin begin = { .has = RH_HAS_BEGIN_REMOTE_CHANNEL | RH_HAS_BEGIN_NEXT_OUTGOING_ID | RH_HAS_BEGIN_INCOMING_WINDOW | RH_HAS_BEGIN_OUTGOING_WINDOW };
        begin.remote_channel = (uint16_t)(channel * 30000);
        peer_say(peer, 0, RH_AMQP_BEGIN, &begin);
        peer_hear(peer);
        cr_expect_str_eq(peer_heard_condition(peer, RH_AMQP_CLOSE), "amqp:not-allowed");
        peer_free(peer);
    }
}

Test(connection, after_an_error_only_the_peers_close_is_heard)
{
    struct peer *peer = peer_new(RH_ENGINE_OPTS(.server = true));
    peer_open(peer, 65536, 0);
    peer_say(peer, 0, RH_AMQP_OPEN, &(rh_amqp_open){ .container_id = rh_str("again") });
    peer_hear(peer);
    cr_expect_eq(peer->end.count[ON_CLOSE], 1);
    cr_expect_not(rh_engine_is_closed(peer->end.engine));
    peer_begin(peer, 0, 10);
    cr_expect_eq(peer->end.count[ON_BEGIN], 0);
    peer_say(peer, 0, RH_AMQP_CLOSE, &(rh_amqp_close){ .has = 0 });
    cr_expect(rh_engine_is_closed(peer->end.engine));
    cr_expect_eq(peer->end.count[ON_CLOSE], 1);
    cr_expect_eq(peer_heard_count(peer, RH_AMQP_CLOSE), 1);
    peer_free(peer);
}

static void count_frame(void *user, rh_engine *engine, bool outgoing, uint8_t type, uint16_t channel, rh_slice body)
{
    (void)engine, (void)type, (void)channel, (void)body;
    ((uint32_t *)user)[outgoing]++;
}

Test(connection, a_broken_peer_that_never_closes_is_left_after_five_seconds)
{
    struct peer *peer = peer_new(RH_ENGINE_OPTS(.server = true));
    peer_open(peer, 65536, 0);
    peer_say(peer, 0, RH_AMQP_OPEN, &(rh_amqp_open){ .container_id = rh_str("again") });
    peer_hear(peer);
    cr_expect_leq(rh_engine_deadline(peer->end.engine), peer->now + RH_SECONDS(5));
    rh_engine_tick(peer->end.engine, peer->now + RH_SECONDS(5));
    cr_expect(rh_engine_is_closed(peer->end.engine));
    cr_expect_eq(peer->end.closed.status, RH_E_PROTOCOL, "the first failure is the one that is told");
    peer_free(peer);
}

Test(connection, a_lost_one_has_nothing_more_to_say_though_something_was_held)
{
    struct peer *peer = peer_new(RH_ENGINE_OPTS(.container_id = rh_str("c")));
    char         name[501];
    rh_iov       iov[16];
    memset(name, 'n', sizeof name);
    name[500] = 0;
    cr_assert_eq(end_begin(&peer->end, NULL), RH_OK);
    cr_assert_eq(end_attach(&peer->end, name, false), RH_OK);
    peer_hear(peer);
    rh_engine_lost(peer->end.engine, NULL);
    cr_expect_not(rh_engine_wants_output(peer->end.engine));
    cr_expect_eq(rh_engine_output(peer->end.engine, iov, 16), 0);
    rh_engine_tick(peer->end.engine, peer->now);
    cr_expect_eq(rh_engine_output(peer->end.engine, iov, 16), 0);
    peer_free(peer);
}

/* The attach is above 512 bytes, so it and all behind it waited for this open. */
Test(connection, an_open_that_is_refused_does_not_hold_the_close_back)
{
    struct peer *peer = peer_new(RH_ENGINE_OPTS());
    char         name[506];
    memset(name, 'n', sizeof name - 1);
    name[sizeof name - 1] = 0;
    cr_assert(end_begin(&peer->end, NULL) == RH_OK && end_attach(&peer->end, name, false) == RH_OK);
    peer_hear(peer);
    peer_open(peer, 100, 0);
    cr_expect_str_eq(peer_heard_condition(peer, RH_AMQP_CLOSE), "amqp:invalid-field");
    peer_free(peer);
}

Test(connection, a_close_that_has_not_left_survives_a_broken_frame)
{
    struct peer *peer = peer_new(RH_ENGINE_OPTS());
    peer_hear(peer);
    peer_open(peer, 65536, 0);
    cr_assert_eq(rh_engine_close(peer->end.engine, NULL, NULL), RH_OK);
    peer_say_bytes(peer, "\0\0\0\1\2\0\0\0", 8);
    peer_hear(peer);
    cr_expect_str_eq(peer_heard_condition(peer, RH_AMQP_CLOSE), "amqp:connection:framing-error");
    cr_expect_eq(peer->end.count[ON_CLOSE], 1);
    peer_free(peer);
}

/* Every call that says something finds a full ring, and what it wanted to say leaves in the end, in order. */
Test(connection, what_finds_no_room_is_said_later)
{
    struct peer *peer = peer_new(RH_ENGINE_OPTS(.server = true, .output_bytes = 4096, .links = 40));
    rh_iov       iov[64];
    char         name[400];
    peer_open(peer, 65536, 0);
    peer_begin(peer, 0, 1000);
    peer_attach(peer, 0, 0, "first", false);
    rh_link *first = peer->end.link;
    uint32_t n = 0;
    memset(name, 'n', sizeof name - 1);
    name[sizeof name - 1] = 0;
    while (rh_engine_wants_input(peer->end.engine)) {
        rh_link *link;
        name[0]++;
        rh_amqp_target target = { .has = 0 };
        if (rh_link_attach(peer->end.session, &(rh_link_opts){ .name = rh_str(name), .target = &target, .source = &(rh_amqp_source){ .has = 0 } }, NULL, &link) != RH_OK) break;
        n++;
    }
    cr_expect_gt(n, 4);
    uint32_t settled = 0;
    rh_status status;
    while ((status = rh_link_settle(first, settled * 2, settled * 2, RH_ACCEPTED, NULL, NULL)) == RH_OK && settled < 1000) settled++;
    cr_expect_eq(status, RH_AGAIN, "every second one: they cannot be told in one");
    cr_expect_eq(rh_link_credit(first, 77), RH_OK);
    cr_expect_eq(rh_link_detach(peer->end.link, true, NULL, NULL), RH_OK);
    cr_expect_eq(rh_session_end(peer->end.session, "amqp:internal-error", "x"), RH_OK);
    cr_expect_gt(rh_engine_output(peer->end.engine, iov, 64), 0);
    peer_hear(peer);
    cr_expect_eq(peer_heard_count(peer, RH_AMQP_ATTACH), n + 1);
    cr_expect_eq(peer_heard_count(peer, RH_AMQP_DISPOSITION), settled);
    cr_expect_eq(peer_heard_count(peer, RH_AMQP_END), 1);
    peer_free(peer);
}

Test(connection, the_trace_sees_every_frame)
{
    static const rh_engine_handler handler = { .on_frame = count_frame };
    static uint8_t                 memory[1 << 18];
    uint32_t                       counts[2] = { 0, 0 };
    rh_engine *engine = rh_engine_init(memory, sizeof memory, RH_ENGINE_OPTS(.server = true), &handler, counts);
    uint8_t    frame[64] = "AMQP\0\1\0\0";
    rh_iov     iov[8];
    rh_engine_input(engine, frame, 8, 1);
    rh_enc e = rh_enc_of(frame + 8, sizeof frame - 8);
    rh_amqp_open_encode(&e, &(rh_amqp_open){ .container_id = rh_str("x") });
    rh_frame_put(frame, (uint32_t)(8 + rh_enc_size(&e)), 0, 0);
    rh_engine_input(engine, frame, 8 + rh_enc_size(&e), 1);
    rh_frame_put(frame, 8, 0, 0);
    rh_engine_input(engine, frame, 8, 1);
    rh_engine_output(engine, iov, 8);
    cr_expect_eq(counts[false], 2, "an open and a heartbeat came");
    cr_expect_eq(counts[true], 1, "an open left");
}
