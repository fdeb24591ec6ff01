/*
 * What more than one thread touches: the doorbell, an emulator on its own thread, clients on loops of their own, events that are read
 * elsewhere. A plain program, so that a thread sanitizer can watch it (make sanitize-threads, on epoll: it does not see what a ring's kernel
 * writes).
 */
#include "emulator/emulator.h"
#include "eventhub/eventhub.h"
#include "transport/transport.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#define EXPECT(condition)                                                     \
    do {                                                                      \
        if (condition) break;                                                 \
        printf("FAIL %s:%d: %s\n", __FILE__, __LINE__, #condition), exit(1);  \
    } while (0)

static rh_error error;

/* -- the doorbell ------------------------------------------------------------------------------------ */

enum { POSTERS = 4, POSTS = 20000 };

struct poster {
    pthread_t thread;
    rh_loop *loop;
    unsigned next, heard; /* counted by the poster; by the loop */
};

struct note {
    struct poster *from;
    unsigned number;
};

static unsigned heard_of_all;

static void hear(void *user)
{
    struct note *note = user;
    EXPECT(note->number == note->from->heard++);
    if (++heard_of_all == POSTERS * POSTS) rh_loop_stop(note->from->loop);
    free(note);
}

static void *post_all(void *user)
{
    struct poster *poster = user;
    while (poster->next < POSTS) {
        struct note *note = malloc(sizeof *note);
        *note = (struct note){ poster, poster->next++ };
        rh_status status;
        while ((status = rh_loop_post(poster->loop, hear, note)) == RH_AGAIN) sched_yield();
        EXPECT(status == RH_OK);
    }
    return NULL;
}

/* Four threads at once, a queue that is nearly always full, and a loop that sleeps between. */
static void posts_keep_their_order(void)
{
    struct poster posters[POSTERS];
    rh_loop *loop;
    EXPECT(rh_loop_create(RH_LOOP_OPTS(.posts = 16), &loop, &error) == RH_OK);
    for (int i = 0; i < POSTERS; i++) {
        posters[i] = (struct poster){ .loop = loop };
        pthread_create(&posters[i].thread, NULL, post_all, &posters[i]);
    }
    EXPECT(rh_loop_run(loop, rh_loop_now(loop) + RH_SECONDS(60)) == RH_OK);
    for (int i = 0; i < POSTERS; i++) pthread_join(posters[i].thread, NULL);
    EXPECT(heard_of_all == POSTERS * POSTS);
    EXPECT(rh_loop_destroy(loop) == RH_OK);
}

/* -- a reader on another thread ---------------------------------------------------------------------- */

/* One retained event at a time, handed over and, read, handed back to the loop that must release it. */
struct desk {
    pthread_t thread;
    rh_loop *loop;
    _Atomic(const rh_event *) event;
    const rh_event *done;
    atomic_bool is_over;
    unsigned read, released;
};

static void release(void *user)
{
    struct desk *desk = user;
    rh_event_release(desk->done);
    desk->released++;
    desk->done = NULL;
}

static void *read_events(void *user)
{
    struct desk *desk = user;
    while (!atomic_load(&desk->is_over)) {
        const rh_event *event = atomic_exchange(&desk->event, NULL);
        if (!event) {
            sched_yield();
            continue;
        }
        EXPECT(rh_slice_is(rh_event_body(event), "to be read elsewhere"));
        EXPECT(rh_event_sequence_number(event) >= 0 && rh_event_offset(event).n > 0);
        desk->read++;
        desk->done = event;
        while (rh_loop_post(desk->loop, release, desk) == RH_AGAIN) sched_yield();
    }
    return NULL;
}

/* -- clients ----------------------------------------------------------------------------------------- */

enum { CLIENTS = 3, EVENTS = 150 };

struct worker {
    pthread_t thread;
    rh_emulator *emulator;
    char partition[2];
    bool tls;
};

static void pass_over(struct desk *desk, rh_consumer *consumer)
{
    const rh_event *event;
    unsigned before = desk->released;
    EXPECT(rh_consumer_receive_wait(consumer, &event, 20000) == RH_OK);
    atomic_store(&desk->event, event);
    while (desk->released == before) EXPECT(rh_loop_turn(desk->loop, rh_loop_now(desk->loop) + RH_SECONDS(20)) == RH_OK);
}

static void *work(void *user)
{
    struct worker *worker = user;
    struct desk desk = { .loop = NULL };
    char text[512];
    rh_client *client;
    rh_producer *producer;
    rh_consumer *consumer;
    EXPECT(rh_loop_create(NULL, &desk.loop, NULL) == RH_OK);
    if (worker->tls) rh_emulator_tls_connection_string(worker->emulator, "hub", text, sizeof text);
    else rh_emulator_connection_string(worker->emulator, "hub", text, sizeof text);
    EXPECT(rh_client_create(desk.loop, RH_CLIENT_OPTS(.connection_string = text, .insecure = worker->tls), &client, NULL) == RH_OK);
    EXPECT(rh_producer_open_wait(client, RH_PRODUCER_OPTS(.partition = worker->partition), &producer, 20000, NULL) == RH_OK);
    EXPECT(rh_consumer_open_wait(client, RH_CONSUMER_OPTS(.partition = worker->partition), &consumer, 20000, NULL) == RH_OK);
    pthread_create(&desk.thread, NULL, read_events, &desk);
    for (int i = 0; i < EVENTS; i++) {
        rh_event_data event = { .body = rh_str("to be read elsewhere") };
        EXPECT(rh_producer_send_event_wait(producer, &event, 20000, NULL) == RH_OK);
        pass_over(&desk, consumer);
    }
    atomic_store(&desk.is_over, true);
    pthread_join(desk.thread, NULL);
    EXPECT(desk.read == EVENTS && desk.released == EVENTS);
    rh_consumer_destroy(consumer), rh_producer_destroy(producer), rh_client_destroy(client);
    EXPECT(rh_loop_destroy(desk.loop) == RH_OK);
    return NULL;
}

/* Three loops and an emulator, each on its thread, two of them with TLS, while another thread looks at the counters. */
static void loops_are_strangers(void)
{
    struct worker workers[CLIENTS];
    rh_emulator *emulator;
    rh_emulator_stats stats = { 0 };
    EXPECT(rh_emulator_start(RH_EMULATOR_OPTS(.tls = true), &emulator, &error) == RH_OK);
    for (int i = 0; i < CLIENTS; i++) {
        workers[i] = (struct worker){ .emulator = emulator, .partition = { (char)('0' + i), 0 }, .tls = i > 0 };
        pthread_create(&workers[i].thread, NULL, work, &workers[i]);
    }
    while (stats.events_out < CLIENTS * EVENTS) {
        rh_emulator_stats_read(emulator, &stats);
        sched_yield();
    }
    for (int i = 0; i < CLIENTS; i++) pthread_join(workers[i].thread, NULL);
    rh_emulator_stop(emulator);
}

int main(void)
{
    posts_keep_their_order();
    loops_are_strangers();
    printf("2 passed, 0 failed\n");
    return 0;
}
