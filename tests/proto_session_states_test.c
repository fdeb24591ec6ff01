/**
 * Every input in every state of session and link, in both roles [2.5.5, 2.6]: the tables say what follows, and the test walks every
 * cell. The states of SASL and connection are those of proto_states_test.c.
 */
#include "tests/state_walk.h"

#include <criterion/criterion.h>
#include <stdio.h>

/* What the peer calls its ends: the channel of the session, the handle of the link, and others. */
enum { CHANNEL = 0, HANDLE = 3, OTHER_HANDLE = 4 };

static struct peer *opened(uint8_t role)
{
    struct peer *peer = peer_new(RH_ENGINE_OPTS(.server = role == SERVER));
    settle(peer);
    peer_open(peer, 65536, 0);
    peer->end.settles = false;
    return peer;
}

static void say_begin(struct peer *peer, bool answers, uint16_t channel)
{
    rh_amqp_begin begin = { .has = answers ? RH_HAS_BEGIN_REMOTE_CHANNEL : 0, .remote_channel = channel, .incoming_window = 100, .outgoing_window = 100 };
    peer_say(peer, CHANNEL, RH_AMQP_BEGIN, &begin);
}

static void say_attach(struct peer *peer, const char *name, uint32_t handle, bool we_receive)
{
    rh_amqp_attach attach = { .has = RH_HAS_ATTACH_ROLE | RH_HAS_ATTACH_INITIAL_DELIVERY_COUNT, .name = rh_str(name), .handle = handle, .role = !we_receive,
                              .source = rh_slice_of("\x00\x53\x28\x45", 4), .target = rh_slice_of("\x00\x53\x29\x45", 4) };
    peer_say(peer, CHANNEL, RH_AMQP_ATTACH, &attach);
}

/* credit: of the link; without a handle it would be the session's. */
static void say_flow(struct peer *peer, bool of_link, bool echo)
{
    rh_amqp_flow flow = { .has = RH_HAS_FLOW_NEXT_INCOMING_ID | RH_HAS_FLOW_ECHO, .incoming_window = 100, .outgoing_window = 100, .handle = HANDLE,
                          .link_credit = 5, .echo = echo };
    if (of_link) flow.has |= RH_HAS_FLOW_HANDLE | RH_HAS_FLOW_DELIVERY_COUNT | RH_HAS_FLOW_LINK_CREDIT;
    peer_say(peer, CHANNEL, RH_AMQP_FLOW, &flow);
}

static void say_transfer(struct peer *peer)
{
    rh_amqp_transfer transfer = transfer_to(HANDLE, 0, false);
    peer_say_transfer(peer, &transfer, "x");
}

static void say_disposition(struct peer *peer)
{
    rh_amqp_disposition disposition = { .has = RH_HAS_DISPOSITION_SETTLED, .role = true, .settled = true };
    peer_say(peer, CHANNEL, RH_AMQP_DISPOSITION, &disposition);
}

static void say_detach(struct peer *peer, uint32_t handle)
{
    peer_say(peer, CHANNEL, RH_AMQP_DETACH, &(rh_amqp_detach){ .has = RH_HAS_DETACH_CLOSED, .handle = handle, .closed = true });
}

static void say_end(struct peer *peer)
{
    peer_say(peer, CHANNEL, RH_AMQP_END, &(rh_amqp_end){ .has = 0 });
}

/* The state of the session that has our channel 0. */
static int session_state(struct peer *peer)
{
    CHAIN_EACH(node, &peer->end.engine->begun)
    {
        const struct session *session = CHAIN_OWNER(node, struct session, in_engine);
        if (session->channel == 0) return session->state;
    }
    return SESSION_UNMAPPED;
}

/* -- session [2.5.5] ------------------------------------------------------------------------------ */

#define SESSION_INPUTS(X)                                         \
    X("begin", say_begin(peer, false, 0))                         \
    X("begin that answers ours", say_begin(peer, true, 0))        \
    X("begin that answers no one's", say_begin(peer, true, 7))    \
    X("attach", say_attach(peer, "n", HANDLE, false))             \
    X("flow of the session", say_flow(peer, false, false))        \
    X("flow that wants an answer", say_flow(peer, false, true))   \
    X("flow of no link", say_flow(peer, true, false))             \
    X("transfer to no link", say_transfer(peer))                  \
    X("disposition", say_disposition(peer))                       \
    X("detach of no link", say_detach(peer, HANDLE))              \
    X("end", say_end(peer))

static const char *const session_inputs[] = {
#define INPUT_NAME(name, how) name,
    SESSION_INPUTS(INPUT_NAME)
};

enum { SESSION_INPUT_COUNT = sizeof session_inputs / sizeof *session_inputs };

static void say_session_input(struct peer *peer, int input)
{
    int at = 0;
#define INPUT_SAY(name, how) if (input == at++) { how; return; }
    SESSION_INPUTS(INPUT_SAY)
}

/* States of the specification, and three that are of time: there was a session on this channel, its end is decided before it has
 * begun, and it has failed. */
enum { GONE = SESSION_STATES, END_DECIDED };

static const char session_answered[] = "answered within the call";

/*   begin: asks, answers ours, answers no one's
 *   |    attach
 *   |    |  flow of the session, with echo, of no link; transfer to none
 *   |    |  |     disposition
 *   |    |  |     |  detach of no link, end */
static const struct state_row session_rows[] = {
    { CLIENT, SESSION_UNMAPPED,   "bUU" "U" "UUUU" "U" "UU", NULL },
    { CLIENT, SESSION_BEGIN_SENT, "baU" "U" "UUUU" "U" "UU", NULL },
    { CLIENT, SESSION_BEGIN_RCVD, NULL, session_answered },
    { CLIENT, SESSION_MAPPED,     "III" "L" ".whh" "." "he", NULL },
    { CLIENT, SESSION_END_SENT,   "III" "." "...." "." ".z", NULL },
    { CLIENT, SESSION_DISCARDING, "III" "." "...." "." ".z", NULL },
    { CLIENT, SESSION_END_RCVD,   NULL, session_answered },
    /* [2.5.3] An end may cross whatever its peer still had to say; a session that has ended has no more to be broken. What would
     * begin something on it is a mistake. */
    { CLIENT, GONE,               "bUU" "U" "...U" "." "..", NULL },
    { CLIENT, END_DECIDED,        "bxU" "U" "UUUU" "U" "UU", NULL },
};

static const struct outcome session_outcomes[] = {
    { '.', "", "", SAME },
    { 'b', "begin", "begin", FOLLOWS },
    { 'a', "", "begin", SESSION_MAPPED },
    { 'x', "end", "", SESSION_END_SENT },
    { 'L', "attach", "attach", SAME },
    { 'w', "flow", "", SAME },
    { 'h', "end(amqp:session:unattached-handle)", "end(RH_E_UNATTACHED_HANDLE)", SESSION_DISCARDING },
    { 'e', "end", "end", SESSION_UNMAPPED },
    { 'z', "", "end", SESSION_UNMAPPED },
    { 'U', "close(amqp:not-allowed)", "close(RH_E_NOT_ALLOWED)", SESSION_UNMAPPED },
    { 'I', "close(amqp:illegal-state)", "close(RH_E_PROTOCOL)", SESSION_UNMAPPED },
    { 0 },
};

static struct peer *in_session_state(uint8_t role, int state)
{
    struct peer *peer = opened(role);
    peer->end.credit  = 0;
    if (state == SESSION_UNMAPPED) return settle(peer), peer;
    cr_assert_eq(end_begin(&peer->end, NULL), RH_OK);
    settle(peer);
    if (state == END_DECIDED) cr_assert_eq(rh_session_end(peer->end.session, NULL, NULL), RH_OK);
    bool mapped = state != SESSION_BEGIN_SENT && state != END_DECIDED;
    if (mapped) say_begin(peer, true, 0);
    if (state == SESSION_END_SENT) cr_assert_eq(rh_session_end(peer->end.session, NULL, NULL), RH_OK);
    if (state == SESSION_DISCARDING) say_detach(peer, 77);
    if (state == GONE) say_end(peer);
    settle(peer);
    if (state < SESSION_STATES) cr_assert_eq(session_state(peer), state);
    return peer;
}

/* The end of a session is told before that of its connection. */
static void want_told(char *want, size_t n, int state, const struct outcome *outcome)
{
    bool        fails = outcome->letter == 'U' || outcome->letter == 'I';
    bool        lives = state == SESSION_BEGIN_SENT || state == END_DECIDED || state == SESSION_MAPPED || state == SESSION_END_SENT;
    const char *why   = strchr(outcome->told, '(');
    if (fails && lives) snprintf(want, n, "end%s %s", why ? why : "", outcome->told);
    else snprintf(want, n, "%s", state == SESSION_DISCARDING && !fails ? "" : outcome->told);
}

static void walk_session_cell(uint8_t role, const struct state_row *row, int input)
{
    char                  where[48], want[128];
    struct peer          *peer    = in_session_state(role, row->state);
    const struct outcome *outcome = outcome_of(session_outcomes, row->cells[input]);
    int                   asleep  = row->state == GONE ? SESSION_UNMAPPED : row->state == END_DECIDED ? SESSION_BEGIN_SENT : row->state;
    int                   next    = outcome->next;
    snprintf(where, sizeof where, "%s, session state %d", role ? "server" : "client", row->state);
    say_session_input(peer, input);
    observe(peer);
    if (next == SAME) next = asleep;
    if (next == FOLLOWS) next = asleep == SESSION_UNMAPPED ? SESSION_MAPPED : asleep; /* a session beside ours */
    bool fails = outcome->letter == 'U' || outcome->letter == 'I';
    want_told(want, sizeof want, row->state, outcome);
    expect(where, session_inputs[input], outcome->said, want, fails ? CONN_DISCARDING : next, fails ? peer->end.engine->state : session_state(peer));
    peer_free(peer);
}

Test(states, a_session_follows_its_table)
{
    for (uint8_t role = CLIENT; role <= SERVER; role++)
        for (size_t i = 0; i < sizeof session_rows / sizeof *session_rows; i++) {
            const struct state_row *row = &session_rows[i];
            if (row->cells == NULL) continue;
            cr_assert_eq(strlen(row->cells), SESSION_INPUT_COUNT);
            for (int input = 0; input < SESSION_INPUT_COUNT; input++) walk_session_cell(role, row, input);
        }
}

/* -- link [2.6] ----------------------------------------------------------------------------------- */

enum { SENDS, RECEIVES };

#define LINK_INPUTS(X)                                                              \
    X("attach", say_attach(peer, "l", HANDLE, we_receive))                          \
    X("attach of another name", say_attach(peer, "m", HANDLE, we_receive))          \
    X("attach with another handle", say_attach(peer, "l", OTHER_HANDLE, we_receive)) \
    X("flow", say_flow(peer, true, false))                                          \
    X("flow that wants an answer", say_flow(peer, true, true))                      \
    X("transfer", say_transfer(peer))                                               \
    X("disposition", say_disposition(peer))                                         \
    X("detach", say_detach(peer, HANDLE))

static const char *const link_inputs[] = { LINK_INPUTS(INPUT_NAME) };

enum { LINK_INPUT_COUNT = sizeof link_inputs / sizeof *link_inputs };

static void say_link_input(struct peer *peer, bool we_receive, int input)
{
    int at = 0;
    LINK_INPUTS(INPUT_SAY)
}

/* Beside the states of engine.h: detached by both; detached by us because the peer had broken a rule. */
enum { LINK_GONE = LINK_STATES, LINK_FAILED };

static const char link_answered[] = "answered within the call";

/* Here `role` is the link's: whether we send or receive.
 *
 *   attach: the link's, another name on its handle, its name on another handle
 *   |     flow, with echo
 *   |     |    transfer, disposition, detach */
static const struct state_row link_rows[] = {
    { SENDS,    LINK_ATTACH_SENT, "ana" "hh" "h.h", NULL },
    { SENDS,    LINK_ATTACH_RCVD, "uup" "cc" "i.d", NULL },
    { SENDS,    LINK_ATTACHED,    "uun" "ce" "i.D", NULL },
    { SENDS,    LINK_DETACH_PIPE, "PnP" "hh" "h.h", NULL },
    { SENDS,    LINK_DETACH_SENT, "uun" ".." "..z", NULL },
    { SENDS,    LINK_DETACH_RCVD, NULL, link_answered },
    { SENDS,    LINK_GONE,        "nnn" ".." "...", NULL },
    { RECEIVES, LINK_ATTACH_SENT, "ana" "hh" "h.h", NULL },
    { RECEIVES, LINK_ATTACH_RCVD, "uup" ".." "i.d", NULL },
    { RECEIVES, LINK_ATTACHED,    "uun" ".w" "r.D", NULL },
    { RECEIVES, LINK_DETACH_PIPE, "PnP" "hh" "h.h", NULL },
    { RECEIVES, LINK_DETACH_SENT, "uun" ".." "..z", NULL },
    { RECEIVES, LINK_DETACH_RCVD, NULL, link_answered },
    { RECEIVES, LINK_GONE,        "nnn" ".." "...", NULL },
    /* [2.6.5] would end the session (errant-link) for what comes behind our detach; but frames cross, and who had them on the
     * way has done nothing wrong. */
    { RECEIVES, LINK_FAILED,      "uun" ".." "..Z", NULL },
};

/* Whatever ends the session ends the link first, and that is told. */
static const struct outcome link_outcomes[] = {
    { '.', "", "", SAME },
    { 'a', "", "attach", LINK_ATTACHED },
    { 'P', "", "", LINK_DETACH_SENT },           /* the answer to an attach whose detach is on its way */
    { 'n', "attach", "attach", SAME },           /* another link, accepted */
    { 'p', "", "attach", SAME },                 /* another link, left waiting */
    { 'c', "", "credit", SAME },
    { 'e', "flow", "credit", SAME },
    { 'w', "flow", "", SAME },
    { 'r', "", "delivery", SAME },
    { 'd', "attach detach", "detach", LINK_UNATTACHED }, /* [2.6.3] attach comes before detach */
    { 'D', "detach", "detach", LINK_UNATTACHED },
    { 'z', "", "detach", LINK_UNATTACHED },
    { 'Z', "", "", LINK_UNATTACHED },            /* told when it failed */
    { 'h', "end(amqp:session:unattached-handle)", "detach(RH_E_UNATTACHED_HANDLE) end(RH_E_UNATTACHED_HANDLE)", LINK_UNATTACHED },
    { 'u', "end(amqp:session:handle-in-use)", "detach(RH_E_HANDLE_IN_USE) end(RH_E_HANDLE_IN_USE)", LINK_UNATTACHED },
    { 'i', "end(amqp:illegal-state)", "detach(RH_E_PROTOCOL) end(RH_E_PROTOCOL)", LINK_UNATTACHED },
    { 0 },
};

static struct peer *in_link_state(uint8_t role, bool receives, int state)
{
    struct peer *peer = opened(role);
    peer->end.credit  = 0;
    cr_assert_eq(end_begin(&peer->end, NULL), RH_OK);
    settle(peer);
    say_begin(peer, true, 0);
    peer->end.waits = state == LINK_ATTACH_RCVD;
    if (state == LINK_ATTACH_RCVD) say_attach(peer, "l", HANDLE, receives);
    else cr_assert_eq(end_attach(&peer->end, "l", receives), RH_OK);
    settle(peer);
    rh_link *link = peer->end.link;
    if (state == LINK_DETACH_PIPE) cr_assert_eq(rh_link_detach(link, true, NULL, NULL), RH_OK);
    if (state == LINK_ATTACHED || state == LINK_DETACH_SENT || state == LINK_GONE || state == LINK_FAILED) say_attach(peer, "l", HANDLE, receives);
    if (state == LINK_ATTACHED && receives) cr_assert_eq(rh_link_credit(link, 2), RH_OK);
    if (state == LINK_FAILED) say_transfer(peer); /* there is no credit */
    if (state == LINK_DETACH_SENT || state == LINK_GONE) cr_assert_eq(rh_link_detach(link, true, NULL, NULL), RH_OK);
    settle(peer);
    if (state == LINK_GONE) say_detach(peer, HANDLE);
    settle(peer);
    return peer;
}

/* The state of the first link in the session, which is ours. */
static int link_state(struct peer *peer)
{
    const struct chain *begun = chain_first(&peer->end.engine->begun);
    if (begun == NULL) return LINK_UNATTACHED;
    struct session     *session = CHAIN_OWNER(begun, struct session, in_engine);
    const struct chain *first   = chain_first(&session->links);
    return first ? CHAIN_OWNER(first, struct link, in_session)->state : LINK_UNATTACHED;
}

static void walk_link_cell(uint8_t role, const struct state_row *row, int input)
{
    char                  where[64];
    bool                  receives = row->role == RECEIVES;
    struct peer          *peer     = in_link_state(role, receives, row->state);
    const struct outcome *outcome  = outcome_of(link_outcomes, row->cells[input]);
    int                   before   = link_state(peer), next = outcome->next == SAME ? before : outcome->next;
    snprintf(where, sizeof where, "%s that %s, link state %d", role ? "server" : "client", receives ? "receives" : "sends", row->state);
    if (row->state < LINK_STATES) cr_assert_eq(before, row->state, "%s: %d", where, before);
    say_link_input(peer, receives, input);
    observe(peer);
    bool ends = strncmp(outcome->said, "end", 3) == 0;
    bool gone = row->state == LINK_FAILED || row->state == LINK_GONE;
    /* A link that has been told of is not told of again with its session. */
    const char *want = ends && gone ? strchr(outcome->told, ' ') + 1 : outcome->told;
    int         now  = row->state == LINK_GONE && outcome->letter == 'n' ? next : link_state(peer);
    expect(where, link_inputs[input], outcome->said, want, next, now);
    peer_free(peer);
}

Test(states, a_link_follows_its_table)
{
    for (uint8_t role = CLIENT; role <= SERVER; role++)
        for (size_t i = 0; i < sizeof link_rows / sizeof *link_rows; i++) {
            const struct state_row *row = &link_rows[i];
            if (row->cells == NULL) continue;
            cr_assert_eq(strlen(row->cells), LINK_INPUT_COUNT);
            for (int input = 0; input < LINK_INPUT_COUNT; input++) walk_link_cell(role, row, input);
        }
}
