/**
 * ringhub as a contender: an application on the public Event Hubs API and nothing else. One task is open at a time, on a
 * loop and a client of its own. Each task has a file; main.c chooses among them.
 */
#ifndef RH_BENCH_OURS_H
#define RH_BENCH_OURS_H

#include "bench/lines.h"

#include <ringhub/eventhub.h>

#define RH_OURS_WAIT_MS 20000u /* for anything that is waited for */

typedef struct rh_ours_task {
    const char *name;
    /** NULL, or the words of rh_lines_cannot() or rh_lines_failed(). */
    const char *(*open)(const rh_order *order);
    const char *(*run)(rh_turn *turn);
    void        (*close)(void); /* also after an open that failed */
} rh_ours_task;

/** Of a loop that shall not sleep while it waits for an outcome; 0: it does. From the command line. */
extern uint32_t rh_ours_spin_us;

extern const rh_ours_task rh_ours_send, rh_ours_receive, rh_ours_roundtrip, rh_ours_paced, rh_ours_connect, rh_ours_idle;

/** Settlement that Event Hubs does not know, on the bare engine. */
extern const rh_ours_task rh_ours_engine_send, rh_ours_engine_receive;

/* -- world.c: what every task needs ---------------------------------------------------------- */

/** Makes a loop; NULL or the words of a failure. opts may be NULL. */
const char *rh_ours_loop(const rh_loop_opts *opts, rh_loop **out);

/** Makes a client of the null peer on it; with says what differs from the defaults, NULL: nothing. */
const char *rh_ours_client(rh_loop *loop, const rh_order *order, const rh_client_opts *with, rh_client **out);

/** Closes and destroys what is there, in the right order, and sets all to NULL. */
void rh_ours_end(rh_loop **loop, rh_client **client);

/** Words for what a call answered: "open: RH_E_TIMEOUT no answer". */
const char *rh_ours_failed(const char *what, rh_status status, const rh_error *error);

/** An event as an application fills it in; properties lie in it. */
typedef struct rh_ours_event {
    rh_event_data data;
    rh_property   properties[3];
} rh_ours_event;

/** Lets events of this size be filled; false: no memory for its body. */
bool rh_ours_events_of(size_t body);

/** The i-th reference event. keyed: with the partition key, which a batch has for all its events. */
void rh_ours_fill(rh_ours_event *event, uint64_t i, bool keyed);

#define RH_OURS_KEY "building-7/floor-3" /* of every reference event */

/** Keeps the clients alive until stdin has something to say; for rh_lines.wait. */
void rh_ours_watch(rh_loop *loop);
void rh_ours_wait(void);

#endif
