/* Whatever is called from inside a callback while a loss is told: every call from every callback. */
#include <criterion/criterion.h>
#include <stdio.h>

#include "emulator/connection.h"
#include "eventhub/eventhub.h"
#include "tests/emulator_world.h"

enum moment {
    CLIENT_LOST,
    CLIENT_OPEN_AGAIN,
    RETRY_CONNECTION,
    RETRY_OTHER,
    RETRY_OTHER_LATER,
    SENT,
    READER_LOST,
    READER_OPEN_AGAIN,
    READER_EVENT,
    READY,
    ANSWERED,
    MOMENTS,
};

enum deed {
    DESTROY_CLIENT,
    CLOSE_CLIENT,
    DESTROY_PRODUCER,
    CLOSE_PRODUCER,
    DESTROY_CONSUMER,
    CLOSE_CONSUMER,
    SEND,
    ASK,
    OPEN_CONSUMER,
    DEEDS,
};

static const char *const moment_names[] = {
    "client lost", "client open again", "retry connection", "retry other", "retry other, third", "sent",
    "reader lost", "reader open again", "event", "ready", "answered",
};
static const char *const deed_names[] = {
    "destroy client", "close client", "destroy producer", "close producer", "destroy consumer", "close consumer", "send", "ask", "open consumer",
};

enum { BREAK, DETACH, BUSY, LOSSES };

static struct {
    emulator_world world;
    rh_client     *client;
    rh_producer   *producer;
    rh_consumer   *reader, *puller, *late;
    enum moment    moment;
    enum deed      deed;
    bool           armed, done, busy;
    bool           client_closed, producer_closed, reader_closed, asking;
    unsigned       others, taken, told, closes, reader_ends, client_ends, asked, answered;
} t;

static void send_one(void)
{
    rh_event_data event = { .body = rh_str("a") };
    if (rh_producer_send_event(t.producer, &event, rh_time_after(t.world.toy.now, RH_SECONDS(20)), NULL) == RH_OK) t.taken++;
}

static void at(enum moment moment);

static void on_answer(void *user, const rh_hub_properties *properties, const rh_error *error)
{
    (void)user;
    cr_expect(!properties != !error);
    t.answered++;
    if (error) at(ANSWERED);
}

static void ask(void)
{
    t.asked++;
    rh_client_hub_properties(t.client, 20000, on_answer, NULL);
}

static void on_late(void *user, rh_consumer *consumer, rh_consumer_state state, const rh_error *error)
{
    (void)user, (void)consumer, (void)state, (void)error;
}

static void act(void)
{
    switch (t.deed) {
    case DESTROY_CLIENT: rh_client_destroy(t.client), t.client = NULL; break;
    case CLOSE_CLIENT: rh_client_close(t.client, rh_time_after(t.world.toy.now, RH_SECONDS(5)), NULL, NULL), t.client_closed = true; break;
    case DESTROY_PRODUCER: rh_producer_destroy(t.producer), t.producer = NULL; break;
    case CLOSE_PRODUCER: rh_producer_close(t.producer, 0), t.producer_closed = true; break;
    case DESTROY_CONSUMER: rh_consumer_destroy(t.reader), t.reader = NULL; break;
    case CLOSE_CONSUMER: rh_consumer_close(t.reader, 0), t.reader_closed = true; break;
    case SEND: send_one(); break;
    case ASK: ask(); break;
    case OPEN_CONSUMER:
        (void)!rh_consumer_open(t.client, RH_CONSUMER_OPTS(.partition = "1", .handler = { .on_state = on_late }), &t.late);
        break;
    default: break;
    }
}

static void at(enum moment moment)
{
    if (!t.armed || t.done || t.moment != moment) return;
    t.done = true;
    act();
}

static void on_client_state(void *user, rh_client *client, rh_client_state state, const rh_error *error)
{
    (void)user, (void)client, (void)error;
    if (state == RH_CLIENT_CLOSED) t.client_ends++;
    if (state == RH_CLIENT_CONNECTING) at(CLIENT_LOST);
    if (state == RH_CLIENT_OPEN) at(CLIENT_OPEN_AGAIN);
}

static void on_retry(void *user, rh_client *client, const rh_retry *retry)
{
    bool connection = strcmp(retry->what, "connection") == 0;
    (void)user, (void)client;
    if (connection) at(RETRY_CONNECTION);
    else if (++t.others >= 3) at(RETRY_OTHER_LATER);
    else at(RETRY_OTHER);
}

static void on_sent(void *user, rh_producer *producer, const rh_sent *sent)
{
    (void)user, (void)producer, (void)sent;
    t.told++;
    at(SENT);
}

static void on_ready(void *user, rh_producer *producer)
{
    (void)user, (void)producer;
    at(READY);
}

static void on_closed(void *user, rh_producer *producer, const rh_error *error)
{
    (void)user, (void)producer, (void)error;
    t.closes++;
}

static void on_event(void *user, rh_consumer *consumer, const rh_event *event)
{
    (void)user, (void)consumer, (void)event;
    at(READER_EVENT);
}

static void on_reading(void *user, rh_consumer *consumer, rh_consumer_state state, const rh_error *error)
{
    (void)user, (void)consumer, (void)error;
    if (state == RH_CONSUMER_CLOSED || state == RH_CONSUMER_STOLEN) t.reader_ends++;
    if (state == RH_CONSUMER_RECOVERING) at(READER_LOST);
    if (state == RH_CONSUMER_OPEN) at(READER_OPEN_AGAIN);
}

static rh_emulator_fault judge(void *user, rh_emulator_moment moment, const char **condition)
{
    (void)user;
    if (!t.busy || moment != RH_EMULATOR_SEND) return RH_EMULATOR_NO_FAULT;
    t.busy     = false;
    *condition = "com.microsoft:server-busy";
    return RH_EMULATOR_REFUSE;
}

static void open_world(bool once)
{
    rh_emulator_hub hub = { .name = "hub", .partitions = 2 };
    namespace_open(&t.world, RH_EMULATOR_OPTS(.hubs = &hub, .hub_count = 1, .faults = { judge, NULL }));
    cr_assert_eq(rh_client_create(&t.world.toy.loop, RH_CLIENT_OPTS(
        .connection_string = "Endpoint=sb://toy/;SharedAccessKeyName=" RH_EMULATOR_RULE ";SharedAccessKey=" RH_EMULATOR_KEY
                             ";EntityPath=hub;UseDevelopmentEmulator=true",
        .handler = { .on_state = on_client_state, .on_retry = on_retry }), &t.client, NULL), RH_OK);
    cr_assert_eq(rh_producer_open_wait(t.client, RH_PRODUCER_OPTS(.partition = "0", .once = once, .in_flight = 3,
        .handler = { .on_sent = on_sent, .on_ready = on_ready, .on_closed = on_closed }), &t.producer, 0, NULL), RH_OK);
    cr_assert_eq(rh_consumer_open_wait(t.client, RH_CONSUMER_OPTS(.partition = "0",
        .handler = { .on_event = on_event, .on_state = on_reading }), &t.reader, 0, NULL), RH_OK);
    cr_assert_eq(rh_consumer_open_wait(t.client, RH_CONSUMER_OPTS(.partition = "0"), &t.puller, 0, NULL), RH_OK);
}

static void detach_all(void)
{
    rh_emu_connection *connection = t.world.emulator->connections;
    for (rh_emu_link *link = connection->links; link; link = link->next)
        if (link->path && strstr(link->path, "Partitions")) {
            link->is_leaving = true;
            cr_assert_eq(rh_link_detach(link->link, true, "amqp:link:detach-forced", "The link was idle for too long."), RH_OK);
        }
    rh_emu_connection_wake(connection);
}

static void lose(int how)
{
    if (how == BREAK) toy_loop_break(&t.world.toy);
    else if (how == DETACH) detach_all();
}

static void expect_all_told(const char *what)
{
    if (t.client && t.producer) cr_expect_eq(t.told, t.taken, "%s: %u sends, %u told", what, t.taken, t.told);
    if (t.client) cr_expect_eq(t.answered, t.asked, "%s: asked %u, answered %u", what, t.asked, t.answered);
    if (t.client_closed && t.client) cr_expect_eq(rh_client_state_of(t.client), RH_CLIENT_CLOSED, "%s", what);
    if (t.client_closed) cr_expect_eq(t.client_ends, 1, "%s", what);
    if (t.client && t.producer) cr_expect_eq(t.closes, t.client_closed || t.producer_closed, "%s", what);
    if (t.client && t.reader) cr_expect_eq(t.reader_ends, t.client_closed || t.reader_closed, "%s", what);
    if (!t.client || t.client_closed) return;
    cr_expect_eq(rh_client_state_of(t.client), RH_CLIENT_OPEN, "%s", what);
    if (t.producer && !t.producer_closed) cr_expect(rh_producer_is_open(t.producer), "%s", what);
    if (t.reader && !t.reader_closed) cr_expect_eq(rh_consumer_state_of(t.reader), RH_CONSUMER_OPEN, "%s", what);
    cr_expect_eq(rh_consumer_state_of(t.puller), RH_CONSUMER_OPEN, "%s", what);
}

static void close_world(void)
{
    rh_producer_destroy(t.producer);
    rh_consumer_destroy(t.reader);
    rh_consumer_destroy(t.puller);
    rh_consumer_destroy(t.late);
    rh_client_destroy(t.client);
    namespace_close(&t.world);
}

static void play(enum moment moment, enum deed deed, int how, bool once)
{
    char what[128];
    snprintf(what, sizeof what, "%s in %s, loss %d, once %d", deed_names[deed], moment_names[moment], how, once);
    memset(&t, 0, sizeof t);
    t.moment = moment, t.deed = deed;
    open_world(once);
    t.busy = how == BUSY;
    t.armed = true;
    for (unsigned i = 0; i < 4; i++) send_one(); /* one more than there is room for */
    ask();
    for (unsigned i = 0; i < 3 && how != BUSY; i++) (void)!rh_loop_turn(&t.world.toy.loop, RH_NOWAIT);
    lose(how);
    toy_loop_pass(&t.world.toy, 90);
    expect_all_told(what);
    close_world();
}

static void play_all(int how, bool once)
{
    for (int moment = 0; moment < MOMENTS; moment++)
        for (int deed = 0; deed < DEEDS; deed++) play((enum moment)moment, (enum deed)deed, how, once);
}

Test(reentry, every_call_in_every_callback_while_a_connection_is_lost, .timeout = 60)
{
    play_all(BREAK, false);
}

Test(reentry, the_same_with_a_producer_that_sends_once, .timeout = 60)
{
    play_all(BREAK, true);
}

Test(reentry, every_call_in_every_callback_while_links_are_lost, .timeout = 60)
{
    play_all(DETACH, false);
}

Test(reentry, every_call_in_every_callback_while_the_service_is_busy, .timeout = 60)
{
    play_all(BUSY, false);
}
