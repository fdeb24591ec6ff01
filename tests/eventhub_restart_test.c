/*
 * A service that is killed and started again on the same port, with its events on disk and without: the program itself, a process of
 * its own, ended by SIGKILL in the middle of whatever it does.
 */
#include "eventhub/eventhub.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

/* -- the service ------------------------------------------------------------------------------------- */

static struct {
    pid_t pid;
    unsigned port;    /* 0: it chooses one */
    const char *data; /* NULL: it forgets */
} service;

/* build/ringhub, from build/tests/NAME. */
static const char *program(void)
{
    static char path[512];
    ssize_t n = readlink("/proc/self/exe", path, sizeof path - 32);
    cr_assert_gt(n, 0);
    path[n] = '\0';
    for (int up = 0; up < 2; up++) *strrchr(path, '/') = '\0';
    return strcat(path, "/ringhub");
}

/* False: it ended before it listened. A ring lets go of its port a moment after its process is gone. */
static bool try_to_serve(void)
{
    char listen[32], line[128] = "";
    int out[2];
    posix_spawn_file_actions_t actions;
    snprintf(listen, sizeof listen, "127.0.0.1:%u", service.port);
    char *arguments[] = { "ringhub", "emulator", "--listen", listen, "--hub", "hub:1", service.data ? "--data" : NULL, (char *)(uintptr_t)service.data, NULL };
    cr_assert_eq(pipe2(out, O_CLOEXEC), 0);
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, out[1], 1);
    posix_spawn_file_actions_addopen(&actions, 2, "/dev/null", O_WRONLY, 0);
    cr_assert_eq(posix_spawn(&service.pid, program(), &actions, NULL, arguments, environ), 0, "%s", program());
    posix_spawn_file_actions_destroy(&actions);
    close(out[1]);
    ssize_t n = read(out[0], line, sizeof line - 1);
    close(out[0]);
    if (n > 0 && sscanf(line, "listening amqp 127.0.0.1:%u", &service.port) == 1) return true;
    waitpid(service.pid, NULL, 0);
    return false;
}

static void serve(void)
{
    for (int tries = 0; !try_to_serve(); tries++) {
        cr_assert_lt(tries, 100, "the service does not start on port %u", service.port);
        usleep(50000);
    }
}

static void kill_service(void)
{
    kill(service.pid, SIGKILL);
    waitpid(service.pid, NULL, 0);
}

/* -- the client -------------------------------------------------------------------------------------- */

enum { EVENTS = 3000 };

static rh_loop *loop;
static rh_client *client;
static rh_producer *producer;
static rh_consumer *consumer;
static rh_error error;

static int sent, stored;      /* handed over, and told to be there */
static uint32_t tries[EVENTS]; /* of each, as told; 0: not told */
static int seen[2 * EVENTS], seen_count;
static int64_t sequences[2 * EVENTS];

static void on_sent(void *user, rh_producer *from, const rh_sent *outcome)
{
    (void)user, (void)from;
    int number = (int)(intptr_t)outcome->tag;
    cr_assert_eq(outcome->status, RH_OK, "event %d: %s", number, rh_status_name(outcome->status));
    cr_assert_eq(tries[number], 0, "event %d is told once", number);
    cr_assert_eq(number, stored, "in the order of sending");
    tries[number] = outcome->tries;
    stored++;
}

static void on_event(void *user, rh_consumer *from, const rh_event *event)
{
    (void)user, (void)from;
    char text[16] = "";
    rh_slice body = rh_event_body(event);
    memcpy(text, body.p, body.n < sizeof text ? body.n : sizeof text - 1);
    cr_assert_lt(seen_count, 2 * EVENTS);
    sequences[seen_count] = rh_event_sequence_number(event);
    seen[seen_count++] = atoi(text);
}

static void connect_client(void)
{
    char text[256];
    snprintf(text, sizeof text, "Endpoint=sb://127.0.0.1:%u;SharedAccessKeyName=RootManageSharedAccessKey;SharedAccessKey=SAS_KEY_VALUE;EntityPath=hub;"
             "UseDevelopmentEmulator=true", service.port);
    cr_assert_eq(rh_loop_create(NULL, &loop, &error), RH_OK, "%s", error.description);
    const rh_client_opts *opts = RH_CLIENT_OPTS(.connection_string = text, .retry = { .delay_ms = 10, .max_delay_ms = 50 });
    cr_assert_eq(rh_client_create(loop, opts, &client, &error), RH_OK, "%s", error.description);
    const rh_producer_opts *out = RH_PRODUCER_OPTS(.partition = "0", .in_flight = 4, .handler = { .on_sent = on_sent });
    cr_assert_eq(rh_producer_open_wait(client, out, &producer, 5000, &error), RH_OK, "%s", error.description);
    const rh_consumer_opts *in = RH_CONSUMER_OPTS(.partition = "0", .handler = { .on_event = on_event });
    cr_assert_eq(rh_consumer_open_wait(client, in, &consumer, 5000, &error), RH_OK, "%s", error.description);
}

/* Sends on until so many are stored; four are always under way, or wait to be. */
static void send_until(int goal, int limit)
{
    rh_time deadline = rh_loop_now(loop) + RH_SECONDS(20);
    while (stored < goal) {
        rh_status status = RH_OK;
        while (sent < limit && status == RH_OK) {
            char text[16];
            snprintf(text, sizeof text, "%d", sent);
            status = rh_producer_send_event(producer, &(rh_event_data){ .body = rh_str(text) }, 0, (void *)(intptr_t)sent);
            cr_assert(status == RH_OK || status == RH_AGAIN, "%s", rh_status_name(status));
            sent += status == RH_OK;
        }
        cr_assert_eq(rh_loop_turn(loop, deadline), RH_OK);
        cr_assert_lt(rh_loop_now(loop), deadline, "%d of %d stored: %s", stored, goal, rh_client_error(client)->description);
    }
}

static void see_until(int last)
{
    rh_time deadline = rh_loop_now(loop) + RH_SECONDS(20);
    while (seen_count == 0 || seen[seen_count - 1] != last) {
        cr_assert_eq(rh_loop_turn(loop, deadline), RH_OK);
        cr_assert_lt(rh_loop_now(loop), deadline, "%d seen, the last %d, not %d", seen_count, seen_count ? seen[seen_count - 1] : -1, last);
    }
}

static void pass(rh_time time)
{
    rh_time end = rh_loop_now(loop) + time;
    while (rh_loop_now(loop) < end) cr_assert_eq(rh_loop_turn(loop, end), RH_OK);
}

static void disconnect(void)
{
    rh_consumer_destroy(consumer);
    rh_producer_destroy(producer);
    rh_client_destroy(client);
    cr_expect_eq(rh_loop_destroy(loop), RH_OK);
    kill_service();
}

/* -- stories ----------------------------------------------------------------------------------------- */

Test(restart, with_its_events_on_disk_nothing_is_lost_and_only_what_was_not_acknowledged_comes_twice, .timeout = 60)
{
    static const int kills[] = { 400, 1000, 1003, 2200 };
    char folder[] = "/tmp/ringhub-restart-XXXXXX", command[64];
    cr_assert_not_null(mkdtemp(folder));
    service.data = folder;
    serve();
    connect_client();
    for (size_t i = 0; i < sizeof kills / sizeof *kills; i++) {
        send_until(kills[i], EVENTS);
        kill_service();
        pass(RH_MS(60));
        serve();
    }
    send_until(EVENTS, EVENTS);
    see_until(EVENTS - 1);

    int next = 0;
    for (int i = 0; i < seen_count; i++) {
        if (i) cr_expect_eq(sequences[i], sequences[i - 1] + 1, "the partition is read without a gap, nothing of it twice");
        if (seen[i] == next) next++;
        else cr_expect(seen[i] < next && tries[seen[i]] > 1, "event %d behind %d, sent %u times", seen[i], next - 1, tries[seen[i] % EVENTS]);
    }
    cr_expect_eq(next, EVENTS, "all of them, in order");
    cr_expect_leq(seen_count - EVENTS, 4 * 4, "what was under way at a kill at most");
    disconnect();
    snprintf(command, sizeof command, "rm -r %s", folder);
    cr_expect_eq(system(command), 0);
}

/* The events are gone, the reader's place is not: it waits behind the last event it was given. */
Test(restart, without_memory_the_client_comes_back_and_keeps_its_place, .timeout = 60)
{
    enum { BEFORE = 50, AFTER = 60 };
    serve();
    connect_client();
    send_until(BEFORE, BEFORE);
    see_until(BEFORE - 1);
    kill_service();
    pass(RH_MS(60));
    serve();
    send_until(BEFORE + AFTER, BEFORE + AFTER);
    see_until(BEFORE + AFTER - 1);
    cr_assert_eq(seen_count, BEFORE + AFTER - BEFORE, "events 50 to 99 took the numbers of those before, which were read");
    for (int i = BEFORE; i < seen_count; i++) {
        cr_expect_eq(sequences[i], i, "behind the last one");
        cr_expect_eq(seen[i], BEFORE + i);
    }
    disconnect();
}
