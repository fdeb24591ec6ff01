/**
 * An output ring that is far too small for all there is to say: what finds no room waits, and is said in order when there is some.
 */
#include "tests/pair.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

enum { LINKS = 180, SESSIONS = 60 };

static char words[400];

static void fill_words(void)
{
    memset(words, 'w', sizeof words - 1);
}

TestSuite(room, .init = fill_words, .timeout = 60);

static rh_link *kept[LINKS];
static uint32_t kept_count;

static void keep_links(struct end *end, enum event event, void *handle)
{
    (void)end;
    if (event == ON_ATTACH && kept_count < LINKS) kept[kept_count++] = handle;
}

/* A session with many links, of which the server has the handles; the server's ring is the smallest there is. */
static struct pair *pair_with_links(bool client_receives)
{
    struct pair *pair = PAIR(.half = true, .no_credit = true, .client.links = LINKS, .server.links = LINKS, .server.output_bytes = 4096, .client.deliveries = LINKS,
                             .server.deliveries = LINKS);
    char         name[16];
    kept_count        = 0;
    pair->server.hook = keep_links;
    cr_assert_eq(end_begin(&pair->client, NULL), RH_OK);
    for (int i = 0; i < LINKS; i++) {
        snprintf(name, sizeof name, "l%d", i);
        cr_assert_eq(end_attach(&pair->client, name, client_receives), RH_OK);
        pair_run(pair);
    }
    cr_assert_eq(kept_count, LINKS);
    return pair;
}

static void close_well(struct pair *pair)
{
    cr_expect_eq(rh_engine_close(pair->server.engine, NULL, NULL), RH_OK);
    pair_run(pair);
    cr_expect_eq(pair->client.closed.status, RH_OK, "%s", pair->client.closed.description);
    cr_expect_eq(pair->server.closed.status, RH_OK, "%s", pair->server.closed.description);
    pair_free(pair);
}

Test(room, every_credit_is_granted)
{
    struct pair *pair = pair_with_links(false);
    for (int i = 0; i < LINKS; i++) cr_expect_eq(rh_link_credit(kept[i], (uint32_t)i + 1), RH_OK);
    pair_run(pair);
    cr_expect_eq(pair->client.count[ON_CREDIT], LINKS);
    close_well(pair);
}

Test(room, every_link_is_detached_with_its_words)
{
    struct pair *pair = pair_with_links(true);
    for (int i = 0; i < LINKS; i++) cr_expect_eq(rh_link_detach(kept[i], true, "amqp:link:detach-forced", words), RH_OK);
    pair_run(pair);
    cr_expect_eq(pair->client.count[ON_DETACH], LINKS);
    cr_expect_eq(pair->server.count[ON_DETACH], LINKS);
    cr_expect_str_eq(pair->client.detached.condition, "amqp:link:detach-forced");
    close_well(pair);
}

/* Credit, detach and end of the same session, decided together: each leaves before what makes it void. */
Test(room, what_was_decided_first_is_said_first)
{
    struct pair *pair = pair_with_links(false);
    for (int i = 0; i < LINKS; i++) {
        cr_expect_eq(rh_link_credit(kept[i], 1), RH_OK);
        if (i % 2) cr_expect_eq(rh_link_detach(kept[i], true, "amqp:link:detach-forced", words), RH_OK);
    }
    cr_expect_eq(rh_session_end(pair->server.session, "amqp:internal-error", words), RH_OK);
    pair_run(pair);
    cr_expect_eq(pair->client.count[ON_CREDIT], LINKS);
    cr_expect_eq(pair->client.count[ON_DETACH], LINKS);
    cr_expect_eq(pair->client.count[ON_END], 1);
    cr_expect_str_eq(pair->client.ended.condition, "amqp:internal-error");
    close_well(pair);
}

Test(room, every_session_ends_with_its_words_before_the_close)
{
    struct pair *pair = PAIR(.half = true, .client.sessions = SESSIONS, .server.sessions = SESSIONS, .server.output_bytes = 4096);
    rh_session  *sessions[SESSIONS];
    for (int i = 0; i < SESSIONS; i++) {
        cr_assert_eq(end_begin(&pair->client, NULL), RH_OK);
        pair_run(pair);
        sessions[i] = pair->server.session;
    }
    for (int i = 0; i < SESSIONS; i++) cr_expect_eq(rh_session_end(sessions[i], "amqp:internal-error", words), RH_OK);
    cr_expect_eq(rh_engine_close(pair->server.engine, "amqp:connection:forced", words), RH_OK);
    pair_run(pair);
    cr_expect_eq(pair->client.count[ON_END], SESSIONS);
    cr_expect_eq(pair->client.ended.status, RH_E_SERVICE);
    cr_expect_str_eq(pair->client.closed.condition, "amqp:connection:forced");
    cr_expect_eq(pair->server.count[ON_CLOSE], 1);
    pair_free(pair);
}

/* Each verdict another than that of its neighbour, so that none can leave with it: those that find no room are to be given again. */
Test(room, a_verdict_without_room_is_given_again)
{
    struct pair *pair = PAIR(.half = true, .credit = 1000, .server.output_bytes = 4096, .client.deliveries = 500);
    uint32_t     again = 0;
    pair->server.settles = false;
    cr_assert_eq(end_begin(&pair->client, NULL), RH_OK);
    cr_assert_eq(end_attach(&pair->client, "l", false), RH_OK);
    pair_run(pair);
    for (int i = 0; i < 400; i++) cr_assert_eq(end_send(&pair->client, "x", false), RH_OK);
    pair_run(pair);
    cr_assert_eq(pair->server.count[ON_DELIVERY], 400);
    for (uint32_t i = 0; i < 400;) {
        rh_outcome_kind kind   = i % 3 == 0 ? RH_ACCEPTED : i % 3 == 1 ? RH_RELEASED : RH_REJECTED;
        rh_status       status = rh_link_settle(pair->server.link, i, i, kind, "a:b", words);
        cr_assert(status == RH_OK || status == RH_AGAIN, "%s", rh_status_name(status));
        if (status == RH_OK) i++;
        else again++, pair_run(pair);
    }
    pair_run(pair);
    cr_expect_gt(again, 0);
    cr_expect_eq(pair->client.outcomes[RH_ACCEPTED], 134);
    cr_expect_eq(pair->client.outcomes[RH_RELEASED], 133);
    cr_expect_eq(pair->client.outcomes[RH_REJECTED], 133);
    close_well(pair);
}

/* Accepting, refusing, beginning and attaching with a ring that nobody reads: RH_AGAIN, and it goes on when somebody does. */
Test(room, an_answer_without_room_is_given_again)
{
    struct pair *pair = pair_with_links(true);
    rh_session  *session;
    rh_link     *link;
    for (int i = 0; i < 40; i++) cr_expect_eq(rh_link_detach(kept[i], true, "amqp:link:detach-forced", words), RH_OK);
    cr_expect_eq(rh_link_attach(pair->server.session, &(rh_link_opts){ .name = rh_str("mine") }, NULL, &link), RH_AGAIN, "the detaches go first");
    rh_status status = RH_OK;
    for (int i = 0; i < 8 && status == RH_OK; i++) status = rh_session_begin(pair->server.engine, NULL, NULL, &session);
    cr_expect(status == RH_AGAIN || status == RH_E_LIMIT, "%s", rh_status_name(status));
    pair_run(pair);
    cr_expect_eq(pair->client.count[ON_DETACH], 40);
    cr_expect_eq(rh_link_attach(pair->server.session, &(rh_link_opts){ .name = rh_str("mine") }, NULL, &link), RH_OK);
    pair_run(pair);
    close_well(pair);
}

/* Long tags fill the ring with headers before the bookkeeping of pieces runs out. */
Test(room, deliveries_with_long_tags_go_on_when_there_is_room)
{
    struct pair *pair = PAIR(.client.output_bytes = 4096, .client.deliveries = 600, .credit = 1000);
    rh_slice     part = rh_str("x");
    char         tag[33];
    for (int i = 0; i < 500; i++) {
        snprintf(tag, sizeof tag, "%032d", i);
        rh_transfer transfer = { .parts = &part, .part_count = 1, .tag = rh_str(tag) };
        cr_assert_eq(rh_link_send(pair->client.link, &transfer, NULL), RH_OK);
    }
    rh_iov   iov[1024];
    size_t   count = rh_engine_output(pair->client.engine, iov, 1024), n = 0;
    for (size_t i = 0; i < count; i++) n += iov[i].n;
    cr_expect_lt(n, 8192, "the ring is a bound for what is lent at a time");
    pair_run(pair);
    cr_expect_eq(pair->server.count[ON_DELIVERY], 500);
    cr_expect_eq(pair->client.outcomes[RH_ACCEPTED], 500);
    close_well(pair);
}

/* Headers of all lengths and a reader that takes a few bytes at a time: the ring goes round, and the first bytes are as good as the last. */
Test(room, a_ring_that_goes_round_loses_nothing)
{
    struct pair   *pair = PAIR(.client.output_bytes = 4096, .client.deliveries = 64, .credit = 1000);
    rh_slice       part = rh_slice_of(words, 37);
    uint32_t       sent = 0, random = 1;
    static uint8_t wire[1 << 20];
    size_t         wire_n = 0;
    char           tag[33];
    while (sent < 2000 || rh_link_unsettled(pair->client.link) > 0) {
        rh_iov iov[8];
        random = random * 1664525u + 1013904223u;
        snprintf(tag, sizeof tag, "%0*u", 1 + (int)(random >> 27), sent);
        rh_transfer transfer = { .parts = &part, .part_count = 1, .tag = rh_slice_of(tag, 1 + (random >> 27)) };
        if (sent < 2000 && rh_link_send(pair->client.link, &transfer, NULL) == RH_OK) sent++;
        size_t count = rh_engine_output(pair->client.engine, iov, 8), n = 0, most = 1 + (random >> 8) % 90;
        for (size_t i = 0; i < count && n < most; i++) {
            size_t piece = iov[i].n < most - n ? iov[i].n : most - n;
            memcpy(wire + wire_n, iov[i].p, piece);
            wire_n += piece;
            n += piece;
        }
        if (n) rh_engine_sent(pair->client.engine, n, pair->now);
        size_t used = end_feed(&pair->server, wire, wire_n, pair->now);
        memmove(wire, wire + used, wire_n - used);
        wire_n -= used;
        size_t   back;
        uint8_t *answers = end_take(&pair->server, &back, pair->now);
        cr_assert_eq(end_feed(&pair->client, answers, back, pair->now), back);
        free(answers);
        rh_engine_tick(pair->client.engine, pair->now);
    }
    cr_expect_eq(pair->server.count[ON_DELIVERY], 2000);
    cr_expect_eq(pair->client.outcomes[RH_ACCEPTED], 2000);
    cr_expect_eq(pair->server.payload_bytes, 2000 * 37);
    pair_free(pair);
}
