#include <criterion/criterion.h>

#include "emulator/connection.h"
#include "eventhub/connection.h"
#include "eventhub/eventhub.h"
#include "eventhub/sas.h"
#include "tests/emulator_world.h"

/* What the service does wrong: the first of the list at the first moment of its kind, and so on. */
struct wrong {
    rh_emulator_moment moment;
    rh_emulator_fault  fault;
    const char        *condition;
};

static struct {
    emulator_world world;
    struct wrong   wrongs[8];
    size_t         wrong_count, wrong_next;
    rh_client     *client;
    rh_producer   *producer;
    rh_consumer   *consumer;
    char           states[64];   /* of the client: "c" connecting, "O" open, "C" closed */
    char           reading[64];  /* of the consumer: "O" open, "r" recovering, "C" closed */
    unsigned       sents, retries, closes;
    uint64_t       wait_ns; /* of the last retry */
    rh_sent        sent;
    rh_error       error, closed;
    int64_t        seen[64];
    unsigned       seen_count;
} t;

static rh_emulator_fault judge(void *user, rh_emulator_moment moment, const char **condition)
{
    const struct wrong *wrong = &t.wrongs[t.wrong_next];
    (void)user;
    if (t.wrong_next >= t.wrong_count || wrong->moment != moment) return RH_EMULATOR_NO_FAULT;
    t.wrong_next++;
    if (wrong->condition) *condition = wrong->condition;
    return wrong->fault;
}

static void on_state(void *user, rh_client *client, rh_client_state state, const rh_error *error)
{
    char mark[] = { "icO.C"[state], 0 };
    (void)user, (void)client;
    strcat(t.states, mark);
    if (state == RH_CLIENT_CLOSED && error) t.closed = *error;
}

static void on_retry(void *user, rh_client *client, const rh_retry *retry)
{
    (void)user, (void)client;
    cr_expect(retry->what && retry->tries > 0 && retry->error->status != RH_OK);
    t.retries++;
    t.wait_ns = retry->wait_ns;
}

static void on_sent(void *user, rh_producer *producer, const rh_sent *sent)
{
    (void)user, (void)producer;
    t.sents++;
    t.sent = *sent;
    if (sent->error) t.error = *sent->error;
}

static void on_producer_closed(void *user, rh_producer *producer, const rh_error *error)
{
    (void)user, (void)producer;
    t.closes++;
    if (error) t.error = *error;
}

static void on_event(void *user, rh_consumer *consumer, const rh_event *event)
{
    (void)user, (void)consumer;
    if (t.seen_count < 64) t.seen[t.seen_count++] = rh_event_sequence_number(event);
}

static void on_reading(void *user, rh_consumer *consumer, rh_consumer_state state, const rh_error *error)
{
    char mark[] = { ".Or.SC"[state], 0 };
    (void)user, (void)consumer, (void)error;
    strcat(t.reading, mark);
}

static void open_world(const rh_retry_opts *retry, const struct wrong *wrongs, size_t count)
{
    rh_emulator_hub hub = { .name = "hub", .partitions = 1 };
    memset(&t, 0, sizeof t);
    if (count) memcpy(t.wrongs, wrongs, count * sizeof *wrongs);
    t.wrong_count = count;
    namespace_open(&t.world, RH_EMULATOR_OPTS(.hubs = &hub, .hub_count = 1, .faults = { judge, NULL }));
    cr_assert_eq(rh_client_create(&t.world.toy.loop, RH_CLIENT_OPTS(
        .connection_string = "Endpoint=sb://toy/;SharedAccessKeyName=" RH_EMULATOR_RULE ";SharedAccessKey=" RH_EMULATOR_KEY
                             ";EntityPath=hub;UseDevelopmentEmulator=true",
        .retry = retry ? *retry : (rh_retry_opts){ 0 }, .handler = { .on_state = on_state, .on_retry = on_retry }), &t.client, NULL), RH_OK);
}

static void open_producer(bool once)
{
    cr_assert_eq(rh_producer_open_wait(t.client, RH_PRODUCER_OPTS(.partition = "0", .once = once,
        .handler = { .on_sent = on_sent, .on_closed = on_producer_closed }), &t.producer, 0, NULL), RH_OK);
}

static void send_one(void)
{
    rh_event_data event = { .body = rh_str("a") };
    cr_assert_eq(rh_producer_send_event(t.producer, &event, rh_time_after(t.world.toy.now, RH_SECONDS(60)), NULL), RH_OK);
}

/* Everything of a send has left when its connection goes; what became of it nobody says. */
static void lose_the_answer(void)
{
    send_one();
    toy_loop_pass(&t.world.toy, 1);
    toy_loop_break(&t.world.toy);
    toy_loop_pass(&t.world.toy, 5);
}

static uint64_t stored(void)
{
    rh_emulator_stats stats;
    rh_emulator_stats_read(t.world.emulator, &stats);
    return stats.events_in;
}

static void close_world(void)
{
    rh_producer_destroy(t.producer);
    rh_consumer_destroy(t.consumer);
    rh_client_destroy(t.client);
    namespace_close(&t.world);
}

Test(recovery, a_send_whose_connection_is_lost_goes_out_again_and_is_told_once)
{
    open_world(NULL, NULL, 0);
    open_producer(false);
    send_one();
    toy_loop_break(&t.world.toy);
    toy_loop_pass(&t.world.toy, 5);
    cr_expect_eq(t.sents, 1);
    cr_expect_eq(t.sent.status, RH_OK);
    cr_expect_eq(stored(), 1);
    cr_expect_str_eq(t.states, "OcO");
    cr_expect_geq(t.retries, 2, "the connection and the link");
    close_world();
}

Test(recovery, an_answer_that_is_lost_may_store_an_event_twice_and_says_how_often_it_was_sent)
{
    open_world(NULL, (struct wrong[]){ { RH_EMULATOR_SEND, RH_EMULATOR_FORGET, NULL } }, 1);
    open_producer(false);
    lose_the_answer();
    cr_expect_eq(t.sents, 1);
    cr_expect_eq(t.sent.status, RH_OK);
    cr_expect_eq(t.sent.tries, 2);
    cr_expect_eq(stored(), 2);
    close_world();
}

Test(recovery, a_producer_that_sends_once_tells_that_nobody_knows)
{
    open_world(NULL, (struct wrong[]){ { RH_EMULATOR_SEND, RH_EMULATOR_FORGET, NULL } }, 1);
    open_producer(true);
    lose_the_answer();
    cr_expect_eq(t.sent.status, RH_E_OUTCOME_UNKNOWN);
    cr_expect_eq(stored(), 1);
    send_one();
    toy_loop_pass(&t.world.toy, 5);
    cr_expect_eq(t.sents, 2);
    cr_expect_eq(t.sent.status, RH_OK, "the producer itself lives on");
    close_world();
}

Test(recovery, a_second_try_that_is_refused_says_nothing_of_the_first)
{
    open_world(NULL, (struct wrong[]){ { RH_EMULATOR_SEND, RH_EMULATOR_FORGET, NULL },
                                       { RH_EMULATOR_SEND, RH_EMULATOR_REFUSE, "amqp:not-allowed" } }, 2);
    open_producer(false);
    lose_the_answer();
    cr_expect_eq(t.sents, 1);
    cr_expect_eq(t.sent.status, RH_E_OUTCOME_UNKNOWN);
    cr_expect_eq(stored(), 1);
    close_world();
}

Test(recovery, a_busy_service_gets_the_event_again_no_sooner_than_it_asked_for)
{
    open_world(NULL, (struct wrong[]){ { RH_EMULATOR_SEND, RH_EMULATOR_REFUSE, "com.microsoft:server-busy" } }, 1);
    open_producer(false);
    send_one();
    toy_loop_pass(&t.world.toy, 3);
    cr_expect_eq(t.sents, 0);
    toy_loop_pass(&t.world.toy, 10);
    cr_expect_eq(t.sents, 1);
    cr_expect_eq(t.sent.status, RH_OK);
    cr_expect_eq(t.sent.tries, 2);
    cr_expect_eq(stored(), 1);
    close_world();
}

/* The first waits for a busy service, the second for its answer; the machine sleeps past the time of the first. */
Test(recovery, what_still_flies_is_not_sent_again_when_the_one_before_it_runs_out_of_time)
{
    open_world(NULL, (struct wrong[]){ { RH_EMULATOR_SEND, RH_EMULATOR_REFUSE, "com.microsoft:server-busy" }, { RH_EMULATOR_SEND, RH_EMULATOR_IGNORE, NULL } }, 2);
    cr_assert_eq(rh_producer_open_wait(t.client, RH_PRODUCER_OPTS(.partition = "0", .in_flight = 2, .handler = { .on_sent = on_sent }), &t.producer, 0, NULL), RH_OK);
    rh_event_data event = { .body = rh_str("a") };
    cr_assert_eq(rh_producer_send_event(t.producer, &event, rh_time_after(t.world.toy.now, RH_SECONDS(6)), NULL), RH_OK);
    send_one();
    toy_loop_pass(&t.world.toy, 1);
    cr_expect_eq(t.sents, 0);
    t.world.toy.now += RH_SECONDS(8);
    toy_loop_pass(&t.world.toy, 1);
    cr_expect_eq(t.sents, 1);
    cr_expect_eq(t.sent.status, RH_E_TIMEOUT);
    cr_expect_eq(stored(), 0, "the second has had its turn");
    close_world();
}

Test(recovery, a_consumer_reads_on_behind_the_last_event_it_was_given)
{
    open_world(NULL, NULL, 0);
    open_producer(false);
    cr_assert_eq(rh_consumer_open(t.client, RH_CONSUMER_OPTS(.partition = "0", .handler = { .on_event = on_event, .on_state = on_reading }), &t.consumer), RH_OK);
    for (unsigned i = 0; i < 6; i++) {
        send_one();
        toy_loop_pass(&t.world.toy, 2);
        if (i % 2 == 1) toy_loop_break(&t.world.toy);
    }
    toy_loop_pass(&t.world.toy, 10);
    cr_assert_eq(t.seen_count, 6);
    for (unsigned i = 0; i < 6; i++) cr_expect_eq(t.seen[i], i);
    cr_expect_str_eq(t.reading, "OrOrOrO");
    close_world();
}

static void detach(const char *part)
{
    rh_emu_connection *connection = t.world.emulator->connections;
    for (rh_emu_link *link = connection->links; link; link = link->next)
        if (!link->is_leaving && strstr(link->path ? link->path : "", part)) {
            link->is_leaving = true;
            cr_assert_eq(rh_link_detach(link->link, true, "amqp:link:detach-forced", "The link was idle for too long."), RH_OK);
        }
    rh_emu_connection_wake(connection);
}

Test(recovery, a_link_that_is_lost_takes_nothing_else_along)
{
    open_world(NULL, NULL, 0);
    open_producer(false);
    cr_assert_eq(rh_consumer_open(t.client, RH_CONSUMER_OPTS(.partition = "0", .handler = { .on_event = on_event, .on_state = on_reading }), &t.consumer), RH_OK);
    toy_loop_pass(&t.world.toy, 1);
    unsigned dials = t.world.toy.dials;
    detach("ConsumerGroups");
    toy_loop_pass(&t.world.toy, 5);
    send_one();
    toy_loop_pass(&t.world.toy, 1);
    cr_expect_eq(t.seen_count, 1);
    cr_expect_str_eq(t.reading, "OrO");
    cr_expect_eq(t.world.toy.dials, dials);
    cr_expect_str_eq(t.states, "O");
    close_world();
}

Test(recovery, a_link_that_was_detached_after_a_long_rest_comes_back_without_waiting)
{
    open_world(NULL, NULL, 0);
    open_producer(false);
    toy_loop_pass(&t.world.toy, 20);
    detach("Partitions/0");
    toy_loop_pass(&t.world.toy, 1);
    cr_expect_eq(t.retries, 1);
    cr_expect_eq(t.wait_ns, 0);
    cr_expect(rh_producer_is_open(t.producer));
    close_world();
}

Test(recovery, a_connection_closed_because_nobody_uses_it_rests_until_something_is_opened)
{
    open_world(NULL, NULL, 0);
    cr_assert_eq(rh_client_connect_wait(t.client, 0, NULL), RH_OK);
    unsigned dials = t.world.toy.dials;
    toy_loop_pass(&t.world.toy, 1000);
    cr_expect_str_eq(t.states, "Oci");
    cr_expect_eq(t.world.toy.dials, dials);
    cr_expect_eq(t.retries, 0);
    cr_expect_eq(rh_client_error(t.client)->status, RH_E_CONNECTION_FORCED);
    open_producer(false);
    send_one();
    toy_loop_pass(&t.world.toy, 5);
    cr_expect_eq(t.sent.status, RH_OK);
    cr_expect_str_eq(t.states, "OciO");
    close_world();
}

/* Asleep when its token was to be renewed, awake when that is over: nobody was asked who could have failed. */
Test(recovery, a_machine_that_slept_past_the_end_of_a_token_asks_for_another)
{
    open_world(NULL, NULL, 0);
    open_producer(false);
    rh_time renewal = t.client->grants->timer.at;
    while (t.world.toy.now < renewal - RH_SECONDS(10) && rh_loop_turn(&t.world.toy.loop, renewal - RH_SECONDS(10)) == RH_OK) continue;
    t.world.toy.now += 8 * RH_SECONDS(3600);
    toy_loop_pass(&t.world.toy, 20);
    cr_expect_eq(t.closes, 0, "%s", t.error.description);
    cr_expect_str_eq(t.states, "OcO");
    send_one();
    toy_loop_pass(&t.world.toy, 2);
    cr_expect_eq(t.sent.status, RH_OK);
    close_world();
}

Test(recovery, gives_up_after_so_many_tries_as_it_was_told_and_says_why)
{
    open_world(&(rh_retry_opts){ .tries = 4, .delay_ms = 10 }, NULL, 0);
    open_producer(false);
    t.world.toy.dial_status = RH_E_REFUSED;
    toy_loop_break(&t.world.toy);
    toy_loop_pass(&t.world.toy, 60);
    cr_expect_str_eq(t.states + 2, ".C");
    cr_expect_eq(t.closed.status, RH_E_REFUSED);
    cr_expect_eq(t.closes, 1);
    cr_expect_eq(t.error.status, RH_E_REFUSED);
    close_world();
}

Test(recovery, waits_longer_after_each_failure_and_never_longer_than_allowed)
{
    open_world(&(rh_retry_opts){ .delay_ms = 100, .max_delay_ms = 1000 }, NULL, 0);
    open_producer(false);
    unsigned dials = t.world.toy.dials;
    t.world.toy.dial_status = RH_E_REFUSED;
    toy_loop_break(&t.world.toy);
    toy_loop_pass(&t.world.toy, 60);
    cr_expect_geq(t.world.toy.dials - dials, 60, "a second at most between two");
    cr_expect_leq(t.world.toy.dials - dials, 400, "and half of that on average");
    t.world.toy.dial_status = RH_OK;
    send_one();
    toy_loop_pass(&t.world.toy, 5);
    cr_expect_eq(t.sent.status, RH_OK);
    close_world();
}

Test(recovery, a_sleep_in_the_middle_of_connecting_again_leaves_nobody_hanging)
{
    open_world(NULL, NULL, 0);
    open_producer(false);
    toy_loop_break(&t.world.toy);
    t.world.toy.silent = true;
    unsigned dials = t.world.toy.dials;
    while (t.world.toy.dials == dials) cr_assert_eq(rh_loop_turn(&t.world.toy.loop, RH_TIME_NEVER), RH_OK);
    cr_assert_eq(rh_loop_run(&t.world.toy.loop, rh_time_after(t.world.toy.now, RH_MS(10))), RH_OK);
    t.world.toy.now += RH_SECONDS(100);
    cr_assert_eq(rh_loop_run(&t.world.toy.loop, rh_time_after(t.world.toy.now, RH_MS(1))), RH_OK);
    t.world.toy.dial_hangs = true;
    toy_loop_pass(&t.world.toy, 60);
    t.world.toy.silent = t.world.toy.dial_hangs = false;
    send_one();
    toy_loop_pass(&t.world.toy, 60);
    cr_expect_eq(t.sents, 1);
    cr_expect_eq(t.sent.status, RH_OK);
    close_world();
}

Test(recovery, can_be_switched_off)
{
    open_world(&(rh_retry_opts){ .off = true }, NULL, 0);
    open_producer(false);
    send_one();
    toy_loop_break(&t.world.toy);
    toy_loop_pass(&t.world.toy, 5);
    cr_expect_str_eq(t.states, "O.C");
    cr_expect_eq(t.sents, 1);
    cr_expect_neq(t.sent.status, RH_OK);
    cr_expect_eq(t.retries, 0);
    close_world();
}

Test(recovery, a_close_while_it_is_away_ends_it_cleanly)
{
    open_world(NULL, NULL, 0);
    open_producer(false);
    t.world.toy.dial_hangs = true;
    toy_loop_break(&t.world.toy);
    toy_loop_pass(&t.world.toy, 3);
    rh_client_close(t.client, rh_time_after(t.world.toy.now, RH_SECONDS(1)), NULL, NULL);
    toy_loop_pass(&t.world.toy, 3);
    cr_expect_eq(rh_client_state_of(t.client), RH_CLIENT_CLOSED);
    cr_expect_eq(t.closes, 1);
    cr_expect_eq(t.closed.status, RH_OK);
    close_world();
}

/* -- tokens ----------------------------------------------------------------------------------------- */

static struct {
    unsigned asked, failures; /* the next so many requests fail for a passing reason */
    bool     holds;           /* requests are not answered */
    rh_token_request *held;
    int64_t  seconds;         /* a token lives */
} issuer;

static void give_token(void *user, const char *audience, rh_token_request *request)
{
    char    token[RH_SAS_MAX];
    size_t  n      = 0;
    int64_t expiry = rh_loop_wall_ms(&t.world.toy.loop) / 1000 + issuer.seconds;
    (void)user;
    issuer.asked++;
    if (issuer.holds) {
        issuer.held = request;
        return;
    }
    if (issuer.failures) {
        issuer.failures--;
        rh_token_fail(request, true, "the issuer is away");
        return;
    }
    cr_assert_eq(rh_sas_sign(token, sizeof token, &n, rh_str(audience), rh_str(RH_EMULATOR_RULE), rh_str(RH_EMULATOR_KEY), expiry), RH_OK);
    rh_token_answer(request, rh_slice_of(token, n), RH_TOKEN_SAS, expiry * 1000);
}

static void take_back(void *user, rh_token_request *request)
{
    (void)user, (void)request;
}

static void open_world_with_issuer(const rh_retry_opts *retry, int64_t seconds)
{
    rh_emulator_hub hub = { .name = "hub", .partitions = 1 };
    rh_credential   credential = { .request = give_token, .cancel = take_back };
    memset(&t, 0, sizeof t);
    memset(&issuer, 0, sizeof issuer);
    issuer.seconds = seconds;
    namespace_open(&t.world, RH_EMULATOR_OPTS(.hubs = &hub, .hub_count = 1, .faults = { judge, NULL }));
    cr_assert_eq(rh_client_create(&t.world.toy.loop, RH_CLIENT_OPTS(
        .connection_string = "Endpoint=sb://toy/;EntityPath=hub;UseDevelopmentEmulator=true", .credential = &credential,
        .retry = retry ? *retry : (rh_retry_opts){ 0 }, .handler = { .on_state = on_state, .on_retry = on_retry }), &t.client, NULL), RH_OK);
    open_producer(false);
}

static void expect_it_sends(void)
{
    unsigned sents = t.sents;
    send_one();
    toy_loop_pass(&t.world.toy, 50);
    cr_expect_eq(t.sents, sents + 1);
    cr_expect_eq(t.sent.status, RH_OK, "%s: %s", rh_status_name(t.sent.status), t.error.description);
}

Test(recovery, a_credential_that_fails_while_the_way_back_is_dialed_is_asked_again)
{
    open_world_with_issuer(NULL, 3600);
    t.world.toy.distance = RH_MS(50);
    issuer.failures      = 1;
    toy_loop_break(&t.world.toy);
    toy_loop_pass(&t.world.toy, 20);
    cr_expect(rh_producer_is_open(t.producer));
    expect_it_sends();
    close_world();
}

Test(recovery, a_token_that_failed_as_often_as_is_allowed_ends_its_links)
{
    open_world_with_issuer(&(rh_retry_opts){ .tries = 4, .delay_ms = 10 }, 3600);
    issuer.failures = 1000;
    toy_loop_break(&t.world.toy);
    toy_loop_pass(&t.world.toy, 200);
    cr_expect_eq(t.closes, 1);
    cr_expect_eq(t.error.status, RH_E_CREDENTIAL);
    cr_expect_lt(issuer.asked, 20);
    close_world();
}

Test(recovery, an_issuer_that_is_away_for_longer_than_a_token_lives_ends_nothing)
{
    open_world_with_issuer(NULL, 60);
    issuer.failures = 12;
    toy_loop_pass(&t.world.toy, 600);
    cr_expect_eq(issuer.failures, 0);
    cr_expect_eq(t.closes, 0);
    expect_it_sends();
    close_world();
}

static void destroy_client(void *user, rh_client *client, const rh_retry *retry)
{
    (void)user, (void)retry;
    rh_client_destroy(client);
    t.client = NULL;
}

Test(recovery, a_token_that_fails_between_turns_is_told_by_the_loop)
{
    open_world_with_issuer(NULL, 3600);
    issuer.holds = true;
    toy_loop_break(&t.world.toy);
    toy_loop_pass(&t.world.toy, 3);
    cr_assert(issuer.held);
    t.client->handler.on_retry = destroy_client;
    rh_token_fail(issuer.held, true, "the issuer is away");
    cr_assert(t.client, "nothing may be told by a call");
    toy_loop_pass(&t.world.toy, 1);
    cr_expect(!t.client);
    close_world();
}

Test(recovery, a_token_refused_after_the_loss_ends_its_links_and_no_others)
{
    open_world(NULL, NULL, 0);
    open_producer(false);
    cr_assert_eq(rh_consumer_open_wait(t.client, RH_CONSUMER_OPTS(.partition = "0", .handler = { .on_event = on_event, .on_state = on_reading }),
                                       &t.consumer, 0, NULL), RH_OK);
    t.wrongs[0] = (struct wrong){ RH_EMULATOR_TOKEN, RH_EMULATOR_REFUSE, "amqp:unauthorized-access" };
    t.wrong_count = 1;
    toy_loop_break(&t.world.toy);
    toy_loop_pass(&t.world.toy, 60);
    bool reads = rh_consumer_state_of(t.consumer) == RH_CONSUMER_OPEN, sends = rh_producer_is_open(t.producer);
    cr_expect(reads != sends);
    cr_expect(reads ? t.closes == 1 && t.error.status == RH_E_UNAUTHORIZED : rh_consumer_error(t.consumer)->status == RH_E_UNAUTHORIZED);
    cr_expect_eq(rh_client_state_of(t.client), RH_CLIENT_OPEN);
    close_world();
}

/* -- endings while something is away ------------------------------------------------------------------ */

Test(recovery, a_producer_that_sends_once_closes_when_its_last_send_is_lost)
{
    open_world(NULL, (struct wrong[]){ { RH_EMULATOR_SEND, RH_EMULATOR_FORGET, NULL } }, 1);
    open_producer(true);
    send_one();
    toy_loop_pass(&t.world.toy, 1);
    rh_producer_close(t.producer, rh_time_after(t.world.toy.now, RH_SECONDS(10)));
    detach("hub/Partitions");
    toy_loop_pass(&t.world.toy, 30);
    cr_expect_eq(t.sents, 1);
    cr_expect_eq(t.sent.status, RH_E_OUTCOME_UNKNOWN);
    cr_expect_eq(t.closes, 1);
    close_world();
}

static void lose_for_long(void)
{
    t.world.toy.dial_hangs = true;
    toy_loop_break(&t.world.toy);
}

Test(recovery, a_deadline_that_passes_while_all_is_away_is_told_once_and_by_what_is_known)
{
    open_world(NULL, (struct wrong[]){ { RH_EMULATOR_SEND, RH_EMULATOR_FORGET, NULL } }, 1);
    open_producer(false);
    send_one();
    toy_loop_pass(&t.world.toy, 1);
    lose_for_long();
    toy_loop_pass(&t.world.toy, 70);
    cr_expect_eq(t.sents, 1);
    cr_expect_eq(t.sent.status, RH_E_OUTCOME_UNKNOWN, "it had left");
    send_one();
    toy_loop_pass(&t.world.toy, 70);
    cr_expect_eq(t.sents, 2);
    cr_expect_eq(t.sent.status, RH_E_TIMEOUT, "it had not");
    t.world.toy.dial_hangs = false;
    toy_loop_pass(&t.world.toy, 70);
    expect_it_sends();
    cr_expect_eq(t.sents, 3);
    close_world();
}

Test(recovery, a_producer_that_is_away_closes_at_once_or_at_its_deadline)
{
    open_world(NULL, NULL, 0);
    open_producer(false);
    lose_for_long();
    toy_loop_pass(&t.world.toy, 3);
    send_one();
    rh_producer_close(t.producer, rh_time_after(t.world.toy.now, RH_SECONDS(5)));
    toy_loop_pass(&t.world.toy, 4);
    cr_expect_eq(t.closes, 0, "there is a send to wait for");
    toy_loop_pass(&t.world.toy, 2);
    cr_expect_eq(t.closes, 1);
    cr_expect_eq(t.sent.status, RH_E_TIMEOUT);
    close_world();
}

static void close_producer_of_retry(void *user, rh_client *client, const rh_retry *retry)
{
    (void)user, (void)client;
    if (strcmp(retry->what, "connection") != 0) rh_producer_close(t.producer, 0);
}

Test(recovery, a_close_while_a_retry_is_told_waits_for_nothing)
{
    open_world(&(rh_retry_opts){ .delay_ms = 30000 }, NULL, 0);
    open_producer(false);
    t.client->handler.on_retry = close_producer_of_retry;
    toy_loop_break(&t.world.toy);
    rh_time start = t.world.toy.now;
    (void)!rh_loop_turn(&t.world.toy.loop, RH_NOWAIT);
    while (!t.closes && t.world.toy.now - start < RH_SECONDS(60)) (void)!rh_loop_turn(&t.world.toy.loop, start + RH_SECONDS(60));
    cr_expect_eq(t.closes, 1);
    cr_expect_lt(t.world.toy.now - start, RH_MS(100));
    close_world();
}

Test(recovery, a_client_that_waits_to_dial_is_destroyed_without_a_rest)
{
    open_world(&(rh_retry_opts){ .delay_ms = 30000 }, NULL, 0);
    open_producer(false);
    toy_loop_break(&t.world.toy);
    for (unsigned i = 0; i < 5; i++) (void)!rh_loop_turn(&t.world.toy.loop, RH_NOWAIT);
    rh_client_destroy(t.client);
    t.client = NULL;
    cr_expect_eq(t.closes, 1);
    close_world();
}

/* -- how often -------------------------------------------------------------------------------------- */

Test(recovery, a_link_that_is_taken_away_again_and_again_is_asked_for_less_and_less)
{
    open_world(NULL, NULL, 0);
    cr_assert_eq(rh_consumer_open_wait(t.client, RH_CONSUMER_OPTS(.partition = "0", .handler = { .on_event = on_event }), &t.consumer, 0, NULL), RH_OK);
    unsigned taken = 0;
    rh_time  end   = rh_time_after(t.world.toy.now, RH_SECONDS(120));
    while (t.world.toy.now < end) {
        if (rh_consumer_state_of(t.consumer) == RH_CONSUMER_OPEN) detach("ConsumerGroups"), taken++;
        (void)!rh_loop_turn(&t.world.toy.loop, end);
    }
    cr_expect_lt(t.retries, 40, "%u of them", t.retries);
    cr_expect_gt(t.retries, 5);
    close_world();
}

Test(recovery, a_connection_that_is_cut_again_and_again_is_dialed_less_and_less)
{
    open_world(NULL, NULL, 0);
    open_producer(false);
    unsigned dials = t.world.toy.dials;
    rh_time  end   = rh_time_after(t.world.toy.now, RH_SECONDS(120));
    while (t.world.toy.now < end) {
        if (rh_producer_is_open(t.producer)) toy_loop_break(&t.world.toy);
        (void)!rh_loop_turn(&t.world.toy.loop, end);
    }
    cr_expect_lt(t.world.toy.dials - dials, 40, "%u of them", t.world.toy.dials - dials);
    close_world();
}

Test(recovery, losses_that_lie_far_apart_are_not_counted_together)
{
    open_world(&(rh_retry_opts){ .tries = 3, .delay_ms = 10 }, NULL, 0);
    open_producer(false);
    for (unsigned i = 0; i < 8; i++) {
        toy_loop_break(&t.world.toy);
        toy_loop_pass(&t.world.toy, 300);
        cr_assert_eq(rh_client_state_of(t.client), RH_CLIENT_OPEN, "loss %u", i);
    }
    close_world();
}

/* -- reading without on_event ------------------------------------------------------------------------- */

static void fill_hub(unsigned count)
{
    char          body[900] = "";
    rh_event_data event     = { .body = rh_slice_of(body, sizeof body) };
    for (unsigned i = 0; i < count; i++) cr_assert_eq(rh_producer_send_event_wait(t.producer, &event, 0, NULL), RH_OK);
}

static unsigned take_all(void)
{
    unsigned        taken = 0;
    const rh_event *event;
    while (rh_consumer_receive(t.consumer, &event) == RH_OK) {
        if (t.seen_count < 64) t.seen[t.seen_count++] = rh_event_sequence_number(event);
        rh_event_release(event);
        taken++;
    }
    return taken;
}

static void read_slowly(bool busy, bool cut)
{
    open_world(NULL, NULL, 0);
    open_producer(false);
    fill_hub(24);
    cr_assert_eq(rh_consumer_open_wait(t.client, RH_CONSUMER_OPTS(.partition = "0", .event_bytes = 1100, .prefetch_bytes = 3000), &t.consumer, 0, NULL), RH_OK);
    for (unsigned i = 0; i < 40 && t.seen_count < 24; i++) {
        if (busy && i % 2 == 0 && t.wrong_next == t.wrong_count)
            t.wrong_next = 0, t.wrong_count = 1, t.wrongs[0] = (struct wrong){ RH_EMULATOR_ATTACH, RH_EMULATOR_REFUSE, "com.microsoft:server-busy" };
        toy_loop_pass(&t.world.toy, cut ? 1 : 20);
        if (cut && i % 2) toy_loop_break(&t.world.toy);
        take_all();
        if (cut) for (unsigned turn = 0; turn < i % 7; turn++) (void)!rh_loop_turn(&t.world.toy.loop, RH_NOWAIT);
        if (cut && i % 3 == 0) toy_loop_break(&t.world.toy);
    }
    if (cut) toy_loop_pass(&t.world.toy, 60), take_all();
    cr_expect_eq(t.seen_count, 24, "%u: %s", t.seen_count, rh_consumer_error(t.consumer)->description);
    for (unsigned i = 0; i < t.seen_count; i++) cr_expect_eq(t.seen[i], i);
    close_world();
}

Test(recovery, a_full_pool_and_a_busy_service_end_no_consumer)
{
    read_slowly(true, false);
}

Test(recovery, a_full_pool_and_losses_lose_and_repeat_no_event)
{
    read_slowly(false, true);
}
