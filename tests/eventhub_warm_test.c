/* A link that the service takes away because nobody used it: nobody hears of that, and the next send is as fast as any. */
#include <criterion/criterion.h>

#include "emulator/connection.h"
#include "eventhub/eventhub.h"
#include "tests/emulator_world.h"

#define TRIP RH_MS(100) /* there and back */

static struct {
    emulator_world world;
    rh_client     *client;
    rh_producer   *producer;
    unsigned       warnings, detached, retries, closes, states, sents;
    rh_status      status;
    uint32_t       tries;
    bool           is_told;
} t;

static void on_log(void *user, rh_log_level level, const char *id, const char *text)
{
    (void)user, (void)id, (void)text;
    if (level <= RH_LOG_WARNING) t.warnings++;
}

static void on_retry(void *user, rh_client *client, const rh_retry *retry)
{
    (void)user, (void)client;
    t.retries++;
    if (strcmp(retry->error->condition, "amqp:link:detach-forced") == 0) t.detached++;
}

static void on_state(void *user, rh_client *client, rh_client_state state, const rh_error *error)
{
    (void)user, (void)client, (void)state, (void)error;
    t.states++;
}

static void on_sent(void *user, rh_producer *producer, const rh_sent *sent)
{
    (void)user, (void)producer;
    t.sents++;
    t.status  = sent->status;
    t.tries   = sent->tries;
    t.is_told = true;
}

static void on_closed(void *user, rh_producer *producer, const rh_error *error)
{
    (void)user, (void)producer, (void)error;
    t.closes++;
}

static void open_world(void)
{
    rh_emulator_hub hub = { .name = "hub", .partitions = 1 };
    memset(&t, 0, sizeof t);
    namespace_open(&t.world, RH_EMULATOR_OPTS(.hubs = &hub, .hub_count = 1, .limits = { .sender_idle_ms = 600000 }));
    t.world.toy.distance = TRIP / 2;
    cr_assert_eq(rh_client_create(&t.world.toy.loop, RH_CLIENT_OPTS(
        .connection_string = "Endpoint=sb://toy/;SharedAccessKeyName=" RH_EMULATOR_RULE ";SharedAccessKey=" RH_EMULATOR_KEY
                             ";EntityPath=hub;UseDevelopmentEmulator=true",
        .handler = { .on_retry = on_retry, .on_state = on_state }, .log = { on_log, NULL }), &t.client, NULL), RH_OK);
    cr_assert_eq(rh_producer_open_wait(t.client, RH_PRODUCER_OPTS(.partition = "0", .keep_memory = true,
        .handler = { .on_sent = on_sent, .on_closed = on_closed }), &t.producer, 0, NULL), RH_OK);
}

/* How long one send takes. */
static rh_time send_one(void)
{
    rh_time start = t.world.toy.now;
    t.is_told     = false;
    cr_assert_eq(rh_producer_send_event(t.producer, &(rh_event_data){ .body = rh_str("a") }, 0, NULL), RH_OK);
    cr_assert(toy_loop_until(&t.world.toy, &t.is_told, 60));
    cr_expect_eq(t.status, RH_OK);
    return t.world.toy.now - start;
}

static void close_world(void)
{
    cr_expect_eq(t.closes, 0, "no failed operation");
    cr_expect_eq(t.warnings, 0, "and no warning");
    cr_expect_eq(t.states, 1, "OPEN, and nothing since");
    rh_producer_destroy(t.producer);
    rh_client_destroy(t.client);
    namespace_close(&t.world);
}

Test(warm, the_first_send_of_an_hour_takes_as_long_as_any)
{
    open_world();
    rh_time usual = 0;
    for (unsigned i = 0; i < 200; i++) {
        rh_time took = send_one();
        if (took > usual) usual = took;
    }
    for (unsigned i = 0; i < 20; i++) {
        unsigned before = t.detached;
        toy_loop_pass(&t.world.toy, 3600 + 37 * i);
        cr_expect_geq(t.detached - before, 5, "the service has taken the link away every ten minutes");
        rh_time took = send_one();
        cr_expect_leq(took, 2 * usual, "%llu ms instead of %llu", (unsigned long long)(took / RH_MS(1)), (unsigned long long)(usual / RH_MS(1)));
        cr_expect_eq(t.tries, 1);
    }
    cr_expect_eq(t.retries, t.detached, "nothing else was lost");
    close_world();
}

Test(warm, a_send_in_the_very_moment_of_the_detach_waits_for_the_way_back_and_no_longer)
{
    open_world();
    (void)send_one();
    while (rh_producer_is_open(t.producer)) cr_assert_eq(rh_loop_turn(&t.world.toy.loop, rh_time_after(t.world.toy.now, RH_SECONDS(60))), RH_OK);
    cr_expect_eq(t.detached, 0, "it is being left");
    rh_time took = send_one();
    cr_expect_eq(t.detached, 1);
    /* The end of the old session, the new one with its link and credit, the event. */
    cr_expect_leq(took, 3 * TRIP + RH_MS(1), "%llu ms", (unsigned long long)(took / RH_MS(1)));
    close_world();
}
