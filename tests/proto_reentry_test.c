/**
 * B9: every call from every callback. A handler may end anything that the engine is busy with; the engine
 * must not notice.
 */
#include "tests/pair.h"

#include <criterion/criterion.h>
#include <stdlib.h>

static uint32_t sent;

static void do_send(struct end *end)
{
    for (int i = 0; i < 3; i++) sent += end_send(end, "from inside", i == 0) == RH_OK;
}

static void do_detach(struct end *end)
{
    (void)rh_link_detach(end->link, true, "amqp:link:detach-forced", "from inside");
}

static void do_end(struct end *end)
{
    (void)rh_session_end(end->session, "amqp:internal-error", "from inside");
}

static void do_close(struct end *end)
{
    (void)rh_engine_close(end->engine, NULL, NULL);
}

static void do_refuse(struct end *end)
{
    (void)rh_link_refuse(end->link, "amqp:not-allowed", "from inside");
}

static void do_accept(struct end *end)
{
    (void)!rh_link_accept(end->link, &(rh_link_opts){ .source = &(rh_amqp_source){ .has = 0 }, .target = &(rh_amqp_target){ .has = 0 } });
}

static void do_attach(struct end *end)
{
    rh_link *link = end->link;
    (void)!end_attach(end, "another", true);
    (void)!end_attach(end, "link", false);
    if (end->link == NULL) end->link = link;
}

static void do_begin(struct end *end)
{
    rh_session *session = end->session;
    (void)!end_begin(end, NULL);
    if (end->session == NULL) end->session = session;
}

static void do_credit(struct end *end)
{
    (void)rh_link_credit(end->link, 5);
    (void)rh_link_drain(end->link);
    (void)rh_link_settle(end->link, 0, 10, RH_REJECTED, "a:b", "c");
    (void)rh_link_gather(end->link, NULL, 0);
}

static void do_everything(struct end *end)
{
    do_send(end);
    do_credit(end);
    do_attach(end);
    do_detach(end);
    do_end(end);
    do_close(end);
}

/* What would turn the world does nothing inside a callback. */
static void do_turn(struct end *end)
{
    rh_iov iov[4];
    rh_engine_counts before = rh_engine_counts_of(end->engine);
    cr_expect_eq(rh_engine_input(end->engine, (const uint8_t *)"\0\0\0\x08\2\0\0\0", 8, RH_SECONDS(2)), 0);
    cr_expect_eq(rh_engine_output(end->engine, iov, 4), 0);
    rh_engine_sent(end->engine, 4, RH_SECONDS(2));
    rh_engine_tick(end->engine, RH_SECONDS(1000));
    rh_engine_lost(end->engine, NULL);
    rh_engine_counts after = rh_engine_counts_of(end->engine);
    cr_expect_arr_eq(&before, &after, sizeof before);
}

static void (*const actions[])(struct end *) = { do_send, do_detach, do_end, do_close, do_refuse, do_accept, do_attach, do_begin, do_credit, do_everything, do_turn };
static const char *const action_names[] = { "send", "detach", "end", "close", "refuse", "accept", "attach", "begin", "credit", "everything", "turn" };
static const char *const event_names[EVENTS] = { "sasl", "open", "begin", "end", "attach", "detach", "credit", "drained", "gather", "delivery", "outcome", "close" };
enum { ACTIONS = sizeof actions / sizeof *actions };

struct plan {
    enum event event;
    size_t     action;
    uint32_t   times;
    uint32_t   hits;
};

static void act(struct end *end, enum event event, void *handle)
{
    struct plan *plan = end->hook_user;
    (void)handle;
    if (event != plan->event || plan->hits >= plan->times) return;
    plan->hits++;
    actions[plan->action](end);
    if (event == ON_OUTCOME) (void)rh_delivery_abort(handle);
}

/* Enough to bring about every event on both sides. */
static void play(struct pair *pair)
{
    static uint8_t large[2000];
    if (end_begin(&pair->client, NULL) != RH_OK) return;
    (void)!end_attach(&pair->client, "link", false);
    pair_run(pair);
    for (int i = 0; i < 3; i++) sent += end_send(&pair->client, "plain", i & 1) == RH_OK;
    sent += end_send_bytes(&pair->client, large, sizeof large, false, NULL) == RH_OK;
    pair_run(pair);
    (void)rh_link_drain(pair->server.link);
    pair_run(pair);
    (void)rh_link_detach(pair->client.link, true, NULL, NULL);
    pair_run(pair);
    (void)!end_attach(&pair->client, "second", true);
    pair_run(pair);
    sent += end_send_bytes(&pair->server, large, sizeof large, false, NULL) == RH_OK;
    pair_run(pair);
    (void)rh_session_end(pair->server.session, NULL, NULL);
    pair_run(pair);
    (void)rh_engine_close(pair->server.engine, NULL, NULL);
    pair_run(pair);
}

/* lent: the output ring is borrowed, and so comes and goes between the calls. */
static void trial(enum event event, size_t action, bool at_server, uint32_t times, bool lent)
{
    struct pair *pair = PAIR(.client.sasl = RH_SASL_ANONYMOUS, .server.sasl = RH_SASL_ANONYMOUS, .client.deliveries = 32, .server.max_frame_size = 512,
                             .client.max_frame_size = 512, .client.output_lent = lent, .server.output_lent = lent, .credit = 10, .half = true);
    struct end *end  = at_server ? &pair->server : &pair->client;
    struct plan plan = { .event = event, .action = action, .times = times };
    const char *where = at_server ? "server" : "client";
    end->hook        = act;
    end->hook_user   = &plan;
    pair->client.gathers_late = pair->server.gathers_late = true;
    sent             = 0;
    play(pair);
    pair_run(pair);
    if (!rh_engine_is_closed(pair->client.engine)) rh_engine_lost(pair->client.engine, NULL);
    if (!rh_engine_is_closed(pair->server.engine)) rh_engine_lost(pair->server.engine, NULL);
    pair_run(pair);
    cr_expect_eq(pair->client.count[ON_OUTCOME] + pair->server.count[ON_OUTCOME], sent, "%s in on_%s of the %s: %u sent, %u + %u told", action_names[action],
                 event_names[event], where, sent, pair->client.count[ON_OUTCOME], pair->server.count[ON_OUTCOME]);
    cr_expect_eq(pair->client.count[ON_CLOSE], 1, "%s in on_%s of the %s", action_names[action], event_names[event], where);
    cr_expect_eq(pair->server.count[ON_CLOSE], 1, "%s in on_%s of the %s", action_names[action], event_names[event], where);
    rh_engine_lost(pair->client.engine, NULL);
    rh_engine_lost(pair->server.engine, NULL);
    cr_expect_eq(pair->client.rooms + pair->server.rooms, 0, "%s in on_%s of the %s", action_names[action], event_names[event], where);
    pair_free(pair);
}

Test(reentry, every_call_from_every_callback, .timeout = 120)
{
    for (int event = 0; event < EVENTS; event++)
        for (size_t action = 0; action < ACTIONS; action++)
            for (int at_server = 0; at_server < 2; at_server++) {
                for (int lent = 0; lent < 2; lent++) {
                    trial((enum event)event, action, at_server, 1, lent);
                    trial((enum event)event, action, at_server, 100, lent);
                }
            }
}

static uint32_t told(const struct end *end)
{
    uint32_t count = 0;
    for (int event = 0; event < EVENTS; event++) count += end->count[event];
    return count;
}

/* The other half: a call that submits work answers its caller and nobody else, whatever it ends. */
Test(reentry, no_submit_calls_back)
{
    for (size_t action = 0; action < ACTIONS; action++)
        for (int receives = 0; receives < 2; receives++) {
            struct pair *pair    = PAIR(.credit = 10, .receives = receives);
            rh_delivery *queued  = NULL;
            bool         submits = actions[action] != do_turn;
            if (!receives) cr_assert_eq(end_send_bytes(&pair->client, "x", 1, false, &queued), RH_OK);
            uint32_t before = told(&pair->client);
            if (submits) actions[action](&pair->client);
            (void)rh_delivery_abort(queued);
            cr_expect_eq(told(&pair->client), before, "%s", action_names[action]);
            pair_run(pair);
            pair_free(pair);
        }
}

Test(reentry, the_scenario_brings_about_every_event)
{
    struct pair *pair = PAIR(.client.sasl = RH_SASL_ANONYMOUS, .server.sasl = RH_SASL_ANONYMOUS, .server.max_frame_size = 512, .client.max_frame_size = 512, .credit = 10, .half = true);
    pair->client.gathers_late = pair->server.gathers_late = true;
    play(pair);
    for (int event = 0; event < EVENTS; event++) cr_expect_gt(pair->client.count[event] + pair->server.count[event], 0, "on_%s never came", event_names[event]);
    pair_free(pair);
}

static void attach_again(struct end *end, enum event event, void *handle)
{
    (void)handle;
    if (event == ON_DETACH && end->count[ON_DETACH] < 5) cr_expect_eq(end_attach(end, "link", false), RH_OK);
}

/* Found by the fuzzer: with our answer said inside the call, the slot of the old link was free too early. */
Test(reentry, a_link_attached_in_on_detach_lives)
{
    struct pair *pair = PAIR(.client.links = 2);
    pair->client.hook = attach_again;
    for (uint32_t i = 1; i < 5; i++) {
        cr_assert_eq(rh_link_detach(pair->server.link, true, "amqp:link:detach-forced", "idle"), RH_OK);
        pair_run(pair);
        cr_expect_eq(pair->client.count[ON_DETACH], i);
        cr_expect(rh_link_is_attached(pair->client.link), "round %u", i);
        cr_expect_eq(rh_link_user(pair->client.link), &pair->client);
    }
    pair_free(pair);
}
