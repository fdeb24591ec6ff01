#include <criterion/criterion.h>
#include <stdio.h>

#include "tests/client_world.h"

static client_world w;
static link_story   a, b;

/* A credential under the test's hand. */
static struct hand {
    bool              hold; /* answers later, by give() */
    bool              refuse, transient;
    int64_t           lifetime_ms;
    unsigned          asked, cancelled;
    rh_token_request *held[8];
    unsigned          held_count;
    char              audience[256];
} hand;

static void give(rh_token_request *request)
{
    char token[64];
    int  n = snprintf(token, sizeof token, "canary.jwt.%u", hand.asked);
    if (hand.refuse) rh_token_fail(request, hand.transient, "the token endpoint is on fire");
    else rh_token_answer(request, rh_slice_of(token, (size_t)n), RH_TOKEN_JWT, hand.lifetime_ms ? rh_loop_wall_ms(&w.toy.loop) + hand.lifetime_ms : 0);
}

static void request_token(void *user, const char *audience, rh_token_request *request)
{
    (void)user;
    hand.asked++;
    (void)snprintf(hand.audience, sizeof hand.audience, "%s", audience);
    if (hand.hold) hand.held[hand.held_count++] = request;
    else give(request);
}

static void cancel_token(void *user, rh_token_request *request)
{
    (void)user, (void)request;
    hand.cancelled++;
}

static const rh_credential credential = { request_token, cancel_token, NULL };

static void open_with_credential(void)
{
    memset(&hand, 0, sizeof hand);
    world_open(&w, RH_CLIENT_OPTS(.connection_string = "Endpoint=sb://toy;UseDevelopmentEmulator=true", .hub = "hub", .credential = &credential));
}

static void come_up(link_story *story, const char *address)
{
    cr_assert_eq(story_open(story, &w, address, 10), RH_OK);
    cr_assert(toy_loop_until(&w.toy, &story->up, 10));
}

/* -- renewal ------------------------------------------------------------------------------------------ */

Test(cbs, a_token_is_renewed_between_three_quarters_and_nine_tenths_of_its_life)
{
    for (uint64_t seed = 1; seed < 40; seed++) {
        world_open(&w, NULL);
        w.toy.random = seed * UINT64_C(0x9e3779b97f4a7c15);
        come_up(&a, "hub/Partitions/0");
        toy_loop_pass(&w.toy, 2695);
        cr_expect_eq(w.service.puts, 1, "seed %u: before 45 minutes", (unsigned)seed);
        toy_loop_pass(&w.toy, 550);
        cr_expect_eq(w.service.puts, 2, "seed %u: after 54 minutes", (unsigned)seed);
        cr_expect_eq(a.downs, 0);
        cr_expect(world_close(&w));
    }
}

Test(cbs, every_audience_renews_on_a_schedule_of_its_own)
{
    static link_story many[20];
    static char       address[20][32];
    world_open(&w, NULL);
    for (int i = 0; i < 20; i++) {
        (void)snprintf(address[i], sizeof address[i], "hub/Partitions/%d", i);
        come_up(&many[i], address[i]);
    }
    unsigned most = 0, moments = 0;
    for (int second = 0; second < 3600; second += 5) {
        unsigned before = w.service.puts;
        toy_loop_pass(&w.toy, 5);
        if (w.service.puts > before) moments++;
        if (w.service.puts - before > most) most = w.service.puts - before;
    }
    cr_expect_geq(w.service.puts, 40);
    cr_expect_geq(moments, 10);
    cr_expect_leq(most, 5);
    cr_expect_eq(w.service.cbs_links, 2, "all of it over one pair");
    cr_expect(world_close(&w));
}

Test(cbs, a_passing_failure_of_renewal_keeps_the_old_token_and_tries_again)
{
    world_open(&w, NULL);
    come_up(&a, "hub/Partitions/0");
    w.service.cbs_code  = 503;
    w.service.cbs_words = "busy";
    toy_loop_pass(&w.toy, 3300);
    cr_expect_geq(w.service.puts, 3, "tried again");
    cr_expect_eq(a.downs, 0, "the old token lives");
    unsigned tried      = w.service.puts;
    w.service.cbs_code  = 202;
    toy_loop_pass(&w.toy, 60);
    cr_expect_eq(w.service.puts, tried + 1);
    toy_loop_pass(&w.toy, 2000);
    cr_expect_eq(a.downs, 0);
    cr_expect(world_close(&w));
}

Test(cbs, a_renewal_that_fails_is_tried_again_until_shortly_before_the_end)
{
    open_with_credential();
    hand.lifetime_ms = 3600000;
    come_up(&a, "hub/Partitions/0");
    rh_time given = w.toy.now;
    hand.refuse = hand.transient = true;
    while (w.toy.now < given + RH_MS(3598400) && rh_loop_turn(&w.toy.loop, given + RH_MS(3598400)) == RH_OK) continue;
    unsigned asked = hand.asked;
    hand.refuse    = false;
    while (w.toy.now < given + RH_MS(3599500) && rh_loop_turn(&w.toy.loop, given + RH_MS(3599500)) == RH_OK) continue;
    cr_expect_eq(hand.asked, asked + 1);
    cr_expect_eq(a.downs, 0);
    toy_loop_pass(&w.toy, 100);
    cr_expect_eq(a.downs, 0);
    cr_expect(world_close(&w));
}

Test(cbs, a_renewal_that_fails_until_the_old_token_ends_is_told_then)
{
    world_open(&w, NULL);
    come_up(&a, "hub/Partitions/0");
    w.service.cbs_code  = 503;
    w.service.cbs_words = "busy for ever";
    rh_time start       = w.toy.now;
    cr_assert(toy_loop_until(&w.toy, &a.down, 4000));
    cr_expect_eq(a.error.status, RH_E_SERVER_BUSY);
    cr_expect_str_eq(a.error.description, "busy for ever");
    cr_expect_geq(w.toy.now - start, RH_SECONDS(3590));
    cr_expect_leq(w.toy.now - start, RH_SECONDS(3610));
    cr_expect(world_close(&w));
}

Test(cbs, a_renewal_that_is_refused_is_told_at_once)
{
    world_open(&w, NULL);
    come_up(&a, "hub/Partitions/0");
    w.service.cbs_code  = 401;
    w.service.cbs_words = "the key was revoked";
    cr_assert(toy_loop_until(&w.toy, &a.down, 3300));
    cr_expect_eq(w.service.puts, 2);
    cr_expect_eq(a.error.status, RH_E_UNAUTHORIZED);
    cr_expect_str_eq(a.error.description, "the key was revoked");
    cr_expect(world_close(&w));
}

Test(cbs, a_renewal_that_nobody_answers_ends_with_the_old_token)
{
    open_with_credential();
    hand.lifetime_ms = 100000;
    come_up(&a, "hub/Partitions/0");
    hand.hold     = true;
    rh_time start = w.toy.now;
    cr_assert(toy_loop_until(&w.toy, &a.down, 1000));
    cr_expect_eq(a.error.status, RH_E_UNAUTHORIZED);
    cr_expect_leq(w.toy.now - start, RH_SECONDS(101));
    cr_expect(world_close(&w));
}

Test(cbs, a_node_that_settles_no_token_is_attached_anew)
{
    memset(&hand, 0, sizeof hand);
    hand.lifetime_ms = 100000;
    world_open(&w, RH_CLIENT_OPTS(.connection_string = "Endpoint=sb://toy;UseDevelopmentEmulator=true", .hub = "hub", .credential = &credential,
                                  .operation_timeout_ms = 4000, .retry.delay_ms = 100));
    come_up(&a, "hub/Partitions/0");
    rh_time  start  = w.toy.now;
    unsigned puts   = w.service.puts;
    w.service.cbs_deaf = true;
    while (w.service.puts == puts && w.toy.now < start + RH_SECONDS(91)) cr_assert_eq(rh_loop_turn(&w.toy.loop, start + RH_SECONDS(91)), RH_OK);
    cr_expect_eq(w.service.puts, puts + 1, "a renewal");
    w.service.cbs_deaf = false;
    while (w.toy.now < start + RH_SECONDS(150)) cr_assert_eq(rh_loop_turn(&w.toy.loop, start + RH_SECONDS(150)), RH_OK);
    cr_expect_eq(w.service.puts, puts + 2, "the next try, on a pair of its own");
    cr_expect_eq(w.service.cbs_links, 4);
    cr_expect_eq(w.service.connections, 1);
    cr_expect_eq(a.downs, 0);
    cr_expect(world_close(&w));
}

Test(cbs, one_slow_credential_delays_no_other_audience)
{
    open_with_credential();
    hand.lifetime_ms = 100000;
    hand.hold        = true;
    cr_assert_eq(story_open(&a, &w, "hub/Partitions/0", 50), RH_OK);
    toy_loop_pass(&w.toy, 1);
    hand.hold = false;
    come_up(&b, "hub/Partitions/1");
    cr_expect_eq(hand.held_count, 1);
    cr_expect_not(a.up);
    give(hand.held[0]);
    cr_expect(toy_loop_until(&w.toy, &a.up, 5));
    cr_expect(world_close(&w));
}

Test(cbs, tokens_that_are_born_expired_do_not_spin)
{
    open_with_credential();
    hand.lifetime_ms = -5000;
    come_up(&a, "hub/Partitions/0");
    unsigned before = w.service.puts;
    toy_loop_pass(&w.toy, 10);
    cr_expect_leq(w.service.puts - before, 20);
    cr_expect(world_close(&w));
}

Test(cbs, a_token_without_an_end_is_never_renewed)
{
    open_with_credential();
    come_up(&a, "hub/Partitions/0");
    toy_loop_pass(&w.toy, 24 * 3600);
    cr_expect_eq(hand.asked, 1);
    cr_expect_eq(a.downs, 0);
    cr_expect(world_close(&w));
}

/* -- credentials ---------------------------------------------------------------------------------------- */

Test(cbs, a_token_of_the_caller_goes_as_jwt_for_the_audience_asked)
{
    open_with_credential();
    come_up(&a, "hub/ConsumerGroups/$Default/Partitions/0");
    cr_expect_str_eq(hand.audience, "sb://toy/hub/ConsumerGroups/$Default/Partitions/0");
    cr_expect_str_eq(w.service.audience, hand.audience);
    cr_expect_str_eq(w.service.token, "canary.jwt.1");
    cr_expect_str_eq(w.service.token_type, "jwt");
    cr_expect(world_close(&w));
    cr_expect_null(strstr(w.text, "canary.jwt"), "not in a trace, not in a log");
}

Test(cbs, a_credential_that_fails_is_quoted)
{
    open_with_credential();
    hand.refuse = true;
    cr_assert_eq(story_open(&a, &w, "hub/Partitions/0", 10), RH_OK);
    cr_assert(toy_loop_until(&w.toy, &a.gone, 5));
    cr_expect_eq(a.error.status, RH_E_CREDENTIAL);
    cr_expect_eq(strncmp(a.error.description, "the token endpoint is on fire", 29), 0);
    cr_expect_eq(w.service.puts, 0);
    cr_expect(world_close(&w));
}

Test(cbs, a_request_that_nobody_waits_for_any_more_is_cancelled)
{
    open_with_credential();
    hand.hold = true;
    cr_assert_eq(story_open(&a, &w, "hub/Partitions/0", 2), RH_OK);
    cr_assert(toy_loop_until(&w.toy, &a.gone, 5));
    cr_expect_eq(a.error.status, RH_E_TIMEOUT);
    cr_expect_eq(hand.cancelled, 1);

    cr_assert_eq(story_open(&a, &w, "hub/Partitions/0", 20), RH_OK);
    toy_loop_pass(&w.toy, 1);
    cr_expect_eq(hand.asked, 2);
    cr_expect(world_close(&w));
    cr_expect_eq(hand.cancelled, 2, "destroying the client cancels, too");
}

Test(cbs, a_signature_given_ready_is_sent_as_it_is_and_its_end_is_told_in_advance)
{
    const char *text = "Endpoint=sb://toy;EntityPath=hub;UseDevelopmentEmulator=true;"
                       "SharedAccessSignature=SharedAccessSignature sr=sb%3A%2F%2Ftoy%2Fhub&sig=Y2FuYXJ5&se=1767230200&skn=rule";
    world_open(&w, RH_CLIENT_OPTS(.connection_string = text));
    come_up(&a, "hub/Partitions/0");
    cr_expect_str_eq(w.service.token, "SharedAccessSignature sr=sb%3A%2F%2Ftoy%2Fhub&sig=Y2FuYXJ5&se=1767230200&skn=rule");
    cr_expect_str_eq(w.service.token_type, "servicebus.windows.net:sastoken");
    toy_loop_pass(&w.toy, 2600);
    cr_expect_eq(w.expiring, 0);
    toy_loop_pass(&w.toy, 800);
    cr_expect_eq(w.expiring, 1);
    cr_expect_eq(w.expires_unix_ms, INT64_C(1767230200000));
    cr_expect_eq(w.service.puts, 1, "it cannot be renewed");
    toy_loop_pass(&w.toy, 3600);
    cr_expect_eq(w.expiring, 1);
    cr_expect_eq(a.downs, 0, "whether it has ended is for the service to say");
    cr_expect(world_close(&w));
}

Test(cbs, no_secret_shows_in_any_text)
{
    world_open(&w, NULL);
    come_up(&a, "hub/Partitions/0");
    toy_loop_pass(&w.toy, 4000);
    w.service.cbs_code  = 401;
    w.service.cbs_words = "no";
    cr_expect(toy_loop_until(&w.toy, &a.down, 4000));
    cr_expect_geq(w.text_n, 2000, "there was something to look at");
    cr_expect_not_null(strstr(w.text, "transfer("), "frames, too");
    cr_expect_null(strstr(a.error.description, CANARY_KEY));
    cr_expect(world_close(&w), "world_close() scans the log and the frames");
}

Test(cbs, codes_become_the_statuses_of_the_table)
{
    static const struct { int code; const char *condition; rh_status status; } rows[] = {
        { 400, NULL, RH_E_SERVICE_ARGUMENT }, { 401, "amqp:unauthorized-access", RH_E_UNAUTHORIZED }, { 403, NULL, RH_E_QUOTA },
        { 404, NULL, RH_E_NOT_FOUND }, { 500, NULL, RH_E_SERVICE_INTERNAL }, { 503, "com.microsoft:server-busy", RH_E_SERVER_BUSY },
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        world_open(&w, NULL);
        w.service.cbs_code      = rows[i].code;
        w.service.cbs_condition = rows[i].condition;
        w.service.cbs_words     = "said so";
        cr_assert_eq(story_open(&a, &w, "hub/Partitions/0", 10), RH_OK);
        cr_assert(toy_loop_until(&w.toy, &a.gone, 5));
        cr_expect_eq(a.error.status, rows[i].status, "%d", rows[i].code);
        cr_expect_str_eq(a.error.description, "said so");
        cr_expect(world_close(&w));
    }
}
