/**
 * Every input in every state of SASL and connection, in both roles [2.4.6, 5.3]: the tables say what follows, and the test walks
 * every cell. Sessions and links have theirs in proto_session_states_test.c.
 */
#include "tests/state_walk.h"

#include <criterion/criterion.h>
#include <stdio.h>

/* -- inputs of a connection ---------------------------------------------------------------------- */

static void say_list(struct peer *peer, uint8_t type, uint16_t channel, rh_composite_id id, const void *fields)
{
    uint8_t body[256];
    rh_enc  e = rh_enc_of(body, sizeof body);
    cr_assert(rh_composite_encode(&e, id, fields));
    peer_say_frame(peer, type, channel, rh_enc_written(&e));
}

static const rh_amqp_open        an_open        = { .container_id = { (const uint8_t *)"peer", 4 }, .max_frame_size = 65536, .has = RH_HAS_OPEN_MAX_FRAME_SIZE };
static const rh_amqp_begin       a_begin        = { .incoming_window = 10, .outgoing_window = 10 };
static const rh_amqp_attach      an_attach      = { .name = { (const uint8_t *)"n", 1 }, .source = { (const uint8_t *)"\x00\x53\x28\x45", 4 },
                                                    .target = { (const uint8_t *)"\x00\x53\x29\x45", 4 } };
static const rh_amqp_flow        a_flow         = { .incoming_window = 10, .outgoing_window = 10 };
static const rh_amqp_transfer    a_transfer     = { .has = RH_HAS_TRANSFER_DELIVERY_ID, .delivery_tag = { (const uint8_t *)"t", 1 } };
static const rh_amqp_disposition a_disposition  = { .role = true };
static const rh_amqp_detach      a_detach       = { .closed = true };
static const rh_amqp_end         an_end         = { .has = 0 };
static const rh_amqp_close       a_close        = { .has = 0 };
static const rh_amqp_sasl_mechanisms mechanisms = { .sasl_server_mechanisms = { (const uint8_t *)"\xa3\x09" "ANONYMOUS", 11 } };
static const rh_amqp_sasl_init   an_init        = { .mechanism = { (const uint8_t *)"ANONYMOUS", 9 } };
static const rh_amqp_sasl_challenge a_challenge = { .challenge = { (const uint8_t *)"?", 1 } };
static const rh_amqp_sasl_response a_response   = { .response = { (const uint8_t *)"!", 1 } };
static const rh_amqp_sasl_outcome an_outcome    = { .code = RH_SASL_CODE_OK };

static void say_nothing(struct peer *peer, uint8_t type)
{
    peer_say_frame(peer, type, 0, rh_slice_of(NULL, 0));
}

static void say_unknown(struct peer *peer, uint8_t type)
{
    peer_say_frame(peer, type, 0, rh_slice_of("\x00\x53\x7f\x45", 4));
}

#define HEADER(bytes)           peer_say_bytes(peer, bytes, 8)
#define LIST(type, id, fields)  say_list(peer, type, 0, RH_AMQP_##id, &fields)

/* All inputs that can be told apart before there is a session. Spread into names and a switch. */
#define INPUTS(X)                                                                                                     \
    X("AMQP's header", HEADER("AMQP\0\1\0\0"))                                                                        \
    X("SASL's header", HEADER("AMQP\3\1\0\0"))                                                                        \
    X("an empty frame", say_nothing(peer, 0))                                                                         \
    X("open", LIST(0, OPEN, an_open))                                                                                 \
    X("open on channel 1", say_list(peer, 0, 1, RH_AMQP_OPEN, &an_open))                                              \
    X("begin", LIST(0, BEGIN, a_begin))                                                                               \
    X("attach", LIST(0, ATTACH, an_attach))                                                                           \
    X("flow", LIST(0, FLOW, a_flow))                                                                                  \
    X("transfer", LIST(0, TRANSFER, a_transfer))                                                                      \
    X("disposition", LIST(0, DISPOSITION, a_disposition))                                                             \
    X("detach", LIST(0, DETACH, a_detach))                                                                            \
    X("end", LIST(0, END, an_end))                                                                                    \
    X("close", LIST(0, CLOSE, a_close))                                                                               \
    X("an empty frame of SASL", say_nothing(peer, 1))                                                                 \
    X("sasl-mechanisms", LIST(1, SASL_MECHANISMS, mechanisms))                                                        \
    X("sasl-init", LIST(1, SASL_INIT, an_init))                                                                       \
    X("sasl-challenge", LIST(1, SASL_CHALLENGE, a_challenge))                                                         \
    X("sasl-response", LIST(1, SASL_RESPONSE, a_response))                                                            \
    X("sasl-outcome", LIST(1, SASL_OUTCOME, an_outcome))                                                              \
    X("sasl-init in a frame of AMQP", LIST(0, SASL_INIT, an_init))                                                    \
    X("open in a frame of SASL", LIST(1, OPEN, an_open))                                                              \
    X("a performative that nobody knows", say_unknown(peer, 0))                                                       \
    X("the same in a frame of SASL", say_unknown(peer, 1))                                                            \
    X("a frame of type 2", say_nothing(peer, 2))

static const char *const inputs[] = {
#define INPUT_NAME(name, how) name,
    INPUTS(INPUT_NAME)
};

enum { INPUT_COUNT = sizeof inputs / sizeof *inputs };

static void say_input(struct peer *peer, int input)
{
    int at = 0;
#define INPUT_SAY(name, how) if (input == at++) { how; return; }
    INPUTS(INPUT_SAY)
}

/* -- SASL [5.3] ---------------------------------------------------------------------------------- */

/*   headers: AMQP's, SASL's
 *   |  of AMQP: empty, open, open on channel 1, begin, attach, flow, transfer, disposition, detach, end, close
 *   |  |           of SASL: empty, mechanisms, init, challenge, response, outcome
 *   |  |           |      a SASL list in an AMQP frame and the other way round, unknown in either, unknown type */
static const struct state_row sasl_rows[] = {
    { SERVER, SASL_HEADER,     "Ng" "NNNNNNNNNNN" "NNNNNN" "NNNNN", NULL },
    { SERVER, SASL_MECHANISMS, NULL, "a server offers them with its header" },
    { SERVER, SASL_INIT,       "ff" "fffffffffff" "dpjppp" "fpfdf", NULL },
    { SERVER, SASL_OUTCOME,    NULL, "a server says it with the answer to init" },
    { SERVER, SASL_FAILED,     ".." "..........." "......" ".....", NULL },
    { CLIENT, SASL_HEADER,     "Ns" "NNNNNNNNNNN" "NNNNNN" "NNNNN", NULL },
    { CLIENT, SASL_MECHANISMS, "ff" "fffffffffff" "dmpppp" "fpfdf", NULL },
    { CLIENT, SASL_INIT,       NULL, "a client says it with the answer to mechanisms" },
    { CLIENT, SASL_OUTCOME,    "ff" "fffffffffff" "dppppo" "fpfdf", NULL },
    { CLIENT, SASL_FAILED,     ".." "..........." "......" ".....", NULL },
};

/* There is no close before open: who gives up only hangs up, and nothing is read any more. */
static const struct outcome sasl_outcomes[] = {
    { '.', "", "", SAME },
    { 'N', "sasl-header", "close(RH_E_HEADER)", SASL_FAILED }, /* [2.2] the header that we do speak, and goodbye; a client said it before */
    { 'g', "sasl-header sasl-mechanisms", "", SASL_INIT },
    { 's', "", "", SASL_MECHANISMS },
    { 'j', "sasl-outcome", "sasl", SASL_DONE },
    { 'm', "sasl-init", "", SASL_OUTCOME },
    { 'o', "amqp-header open", "", SASL_DONE },
    { 'f', "", "close(RH_E_FRAMING)", FOLLOWS },
    { 'd', "", "close(RH_E_DECODE)", FOLLOWS },
    { 'p', "", "close(RH_E_PROTOCOL)", FOLLOWS },
    { 0 },
};

static struct peer *in_sasl_state(uint8_t role, uint8_t state)
{
    struct peer *peer = peer_new(RH_ENGINE_OPTS(.server = role == SERVER, .sasl = RH_SASL_ANONYMOUS));
    settle(peer);
    if (state == SASL_FAILED) peer_say_bytes(peer, "GET / HT", 8);
    else if (state != SASL_HEADER) peer_say_header(peer, 3);
    if (state == SASL_OUTCOME) LIST(1, SASL_MECHANISMS, mechanisms);
    settle(peer);
    cr_assert_eq(peer->end.engine->sasl_state, state);
    return peer;
}

static void walk_sasl_row(const struct state_row *row)
{
    char where[32];
    snprintf(where, sizeof where, "%s, SASL state %d", row->role ? "server" : "client", row->state);
    cr_assert_eq(strlen(row->cells), INPUT_COUNT, "%s", where);
    for (int i = 0; i < INPUT_COUNT; i++) {
        struct peer          *peer    = in_sasl_state(row->role, row->state);
        const struct outcome *outcome = outcome_of(sasl_outcomes, row->cells[i]);
        say_input(peer, i);
        observe(peer);
        bool over  = strncmp(outcome->told, "close", 5) == 0 || row->state == SASL_FAILED;
        int  state = peer->end.engine->sasl_state, next = outcome->next >= 0 ? outcome->next : outcome->next == SAME ? row->state : state;
        expect(where, inputs[i], outcome->letter == 'N' && row->role == CLIENT ? "" : outcome->said, outcome->told, next, state);
        cr_expect_eq(rh_engine_is_closed(peer->end.engine), over, "%s, %s", where, inputs[i]);
        peer_free(peer);
    }
}

Test(states, sasl_follows_its_table)
{
    for (size_t i = 0; i < sizeof sasl_rows / sizeof *sasl_rows; i++)
        if (sasl_rows[i].cells) walk_sasl_row(&sasl_rows[i]);
}

/* -- connection [2.4.6] --------------------------------------------------------------------------- */

static const char at_once[] = "a client says header and open at once", when_asked[] = "a server opens when the client has",
                  answered[] = "answered within the call";

/*   headers: AMQP's, SASL's
 *   |  of AMQP: empty, open, open on channel 1, begin, attach, flow, transfer, disposition, detach, end, close
 *   |  |           of SASL: empty, mechanisms, init, challenge, response, outcome
 *   |  |           |      a SASL list in an AMQP frame and the other way round, unknown in either, unknown type */
static const struct state_row connection_rows[] = {
    { SERVER, CONN_START,      "HN" "NNNNNNNNNNN" "NNNNNN" "NNNNN", NULL },
    { SERVER, CONN_HDR_RCVD,   NULL, answered },
    { SERVER, CONN_HDR_SENT,   NULL, "a server waits for the client's header" },
    { SERVER, CONN_HDR_EXCH,   "FF" ".OUIIIIIIII" "FFFFFF" "IFDFF", NULL },
    { SERVER, CONN_OPEN_PIPE,  NULL, when_asked },
    { SERVER, CONN_OC_PIPE,    NULL, when_asked },
    { SERVER, CONN_OPEN_RCVD,  NULL, answered },
    { SERVER, CONN_OPEN_SENT,  NULL, when_asked },
    { SERVER, CONN_CLOSE_PIPE, NULL, when_asked },
    { SERVER, CONN_OPENED,     "FF" ".IIBUUUUUUC" "FFFFFF" "IFDFF", NULL },
    { SERVER, CONN_CLOSE_RCVD, NULL, answered },
    { SERVER, CONN_CLOSE_SENT, "FF" ".II....U..E" "FFFFFF" "IFDFF", NULL },
    { SERVER, CONN_DISCARDING, ".." "..........E" "......" ".....", NULL },
    { SERVER, CONN_END,        ".." "..........." "......" ".....", NULL },
    { CLIENT, CONN_START,      NULL, at_once },
    { CLIENT, CONN_HDR_RCVD,   NULL, at_once },
    { CLIENT, CONN_HDR_SENT,   NULL, at_once },
    { CLIENT, CONN_HDR_EXCH,   NULL, at_once },
    { CLIENT, CONN_OPEN_PIPE,  "HN" "NNNNNNNNNNN" "NNNNNN" "NNNNN", NULL },
    { CLIENT, CONN_OC_PIPE,    "HN" "NNNNNNNNNNN" "NNNNNN" "NNNNN", NULL },
    { CLIENT, CONN_OPEN_RCVD,  NULL, at_once },
    { CLIENT, CONN_OPEN_SENT,  "FF" ".OUIIIIIIII" "FFFFFF" "IFDFF", NULL },
    { CLIENT, CONN_CLOSE_PIPE, "FF" ".OUIIIIIIIE" "FFFFFF" "IFDFF", NULL },
    { CLIENT, CONN_OPENED,     "FF" ".IIBUUUUUUC" "FFFFFF" "IFDFF", NULL },
    { CLIENT, CONN_CLOSE_RCVD, NULL, answered },
    { CLIENT, CONN_CLOSE_SENT, "FF" ".II....U..E" "FFFFFF" "IFDFF", NULL },
    { CLIENT, CONN_DISCARDING, ".." "..........E" "......" ".....", NULL },
    { CLIENT, CONN_END,        ".." "..........." "......" ".....", NULL },
};

/* An empty frame sets back the clock of silence and means nothing else [2.4.5], wherever frames are read. Nobody says close twice:
 * behind ours a mistake of the peer's is told and not said. An end is told once, too. */
static const struct outcome connection_outcomes[] = {
    { '.', "", "", SAME },
    { 'H', "amqp-header", "", FOLLOWS },                                                       /* a client has said it before */
    { 'N', "amqp-header", "close(RH_E_HEADER)", CONN_END },                                    /* the same */
    { 'O', "open", "open", FOLLOWS },                                                          /* the same */
    { 'B', "begin", "begin", SAME },
    { 'U', "close(amqp:not-allowed)", "close(RH_E_NOT_ALLOWED)", CONN_DISCARDING },
    { 'I', "close(amqp:illegal-state)", "close(RH_E_PROTOCOL)", CONN_DISCARDING },
    { 'D', "close(amqp:decode-error)", "close(RH_E_DECODE)", CONN_DISCARDING },
    { 'F', "close(amqp:connection:framing-error)", "close(RH_E_FRAMING)", CONN_END },          /* where frames begin is lost */
    { 'C', "close", "close", CONN_END },
    { 'E', "", "close", CONN_END },
    { 0 },
};

/* What FOLLOWS. */
static const uint8_t behind_header[CONN_STATES] = { [CONN_START] = CONN_HDR_EXCH, [CONN_OPEN_PIPE] = CONN_OPEN_SENT, [CONN_OC_PIPE] = CONN_CLOSE_PIPE };
static const uint8_t behind_open[CONN_STATES]   = { [CONN_HDR_EXCH] = CONN_OPENED, [CONN_OPEN_SENT] = CONN_OPENED, [CONN_CLOSE_PIPE] = CONN_CLOSE_SENT };

static struct peer *in_connection_state(uint8_t role, uint8_t state)
{
    struct peer *peer   = peer_new(RH_ENGINE_OPTS(.server = role == SERVER));
    bool         headed = state != CONN_START && state != CONN_OPEN_PIPE && state != CONN_OC_PIPE;
    bool         opened = state == CONN_OPENED || state == CONN_CLOSE_SENT || state == CONN_DISCARDING || state == CONN_END;
    settle(peer);
    if (headed) peer_say_header(peer, 0);
    if (opened) LIST(0, OPEN, an_open);
    if (state == CONN_OC_PIPE || state == CONN_CLOSE_PIPE || state == CONN_CLOSE_SENT) cr_assert_eq(rh_engine_close(peer->end.engine, NULL, NULL), RH_OK);
    if (state == CONN_DISCARDING) LIST(0, OPEN, an_open);
    if (state == CONN_END) LIST(0, CLOSE, a_close);
    settle(peer);
    cr_assert_eq(peer->end.engine->state, state, "%d", peer->end.engine->state);
    return peer;
}

static bool never_met(uint8_t role, int state)
{
    for (size_t i = 0; i < sizeof connection_rows / sizeof *connection_rows; i++)
        if (connection_rows[i].role == role && connection_rows[i].state == state) return connection_rows[i].cells == NULL;
    return true;
}

static void expect_connection(const struct state_row *row, const char *where, int input, const struct peer *peer)
{
    const struct outcome *outcome = outcome_of(connection_outcomes, row->cells[input]);
    bool  closed = row->state == CONN_OC_PIPE || row->state == CONN_CLOSE_PIPE || row->state == CONN_CLOSE_SENT;
    bool  told_before = row->state == CONN_DISCARDING || row->state == CONN_END;
    bool  spoken = row->role == CLIENT && strchr("HNO", outcome->letter);
    int   state = peer->end.engine->state, next = outcome->next;
    char  want[128];
    if (next == SAME) next = row->state;
    if (next == FOLLOWS) next = outcome->letter == 'H' ? behind_header[row->state] : behind_open[row->state];
    /* [2.4.1] Open comes before close. */
    snprintf(want, sizeof want, "%s%s", row->state == CONN_HDR_EXCH && strncmp(outcome->said, "close", 5) == 0 ? "open " : "", outcome->said);
    expect(where, inputs[input], closed || spoken ? "" : want, told_before ? "" : outcome->told, next, state);
    cr_expect_not(never_met(row->role, state), "%s, %s: rests in state %d", where, inputs[input], state);
}

static void walk_connection_row(const struct state_row *row)
{
    char where[32];
    snprintf(where, sizeof where, "%s, state %d", row->role ? "server" : "client", row->state);
    cr_assert_eq(strlen(row->cells), INPUT_COUNT, "%s", where);
    for (int i = 0; i < INPUT_COUNT; i++) {
        struct peer *peer = in_connection_state(row->role, row->state);
        say_input(peer, i);
        observe(peer);
        expect_connection(row, where, i, peer);
        peer_free(peer);
    }
}

Test(states, a_connection_follows_its_table)
{
    cr_assert_eq(sizeof connection_rows / sizeof *connection_rows, 2 * CONN_STATES);
    for (size_t i = 0; i < sizeof connection_rows / sizeof *connection_rows; i++)
        if (connection_rows[i].cells) walk_connection_row(&connection_rows[i]);
}
