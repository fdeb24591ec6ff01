/*
 * What the tasks of `ringhub bench` share. Any number of connections live on one loop; lanes (producers or consumers)
 * live on them. Traffic flows while warming up and is counted from rh_bench_begin() on; after the window no lane
 * begins anything, and what is under way is waited for.
 */
#ifndef RH_CLI_BENCH_H
#define RH_CLI_BENCH_H

#include "cli/connect.h"
#include "cli/histogram.h"

enum bench_phase { BENCH_OPENING, BENCH_WARMING, BENCH_MEASURING, BENCH_DRAINING, BENCH_DONE };

struct bench;

struct bench_task {
    const char *name;
    const char *letters; /* the options that only some tasks have */
    /* Begins to open the lanes; each counts itself in `open`. DONE, or FAILED and said. */
    int  (*open)(struct bench *);
    void (*start)(struct bench *); /* traffic may begin; NULL: it comes by itself */
    bool (*is_drained)(const struct bench *);
    void (*close)(struct bench *);
    bool is_over_with_last; /* the window ends with its last event when nothing more came */
};

extern const struct bench_task rh_bench_send, rh_bench_latency, rh_bench_receive;

struct bench_opts {
    struct connect_opts connect;
    const struct bench_task *task;
    const char *partition, *key, *group, *histogram_file;
    rh_position position;
    uint64_t    connections, size, in_flight, prefetch;
    uint64_t    batch; /* events; 0: as many as fit */
    uint64_t    count; /* events in the window; 0: no end */
    double      rate;  /* events a second, all connections together; 0: as fast as answers come */
    rh_time     seconds, warm_up;
    bool        json;
};

struct bench {
    const struct bench_opts *opts;
    struct connection *connections;
    rh_loop           *loop;
    void              *lanes; /* the task's own */
    uint32_t           lane_count, open;

    enum bench_phase phase;
    rh_time  traffic_from;       /* the first intended moment */
    rh_time  warm_until;
    rh_time  from, until, to;    /* of the window: when it began, when it is to end, when it did */
    rh_time  give_up;            /* on what is under way after it */
    double   cpu_from, cpu_to;
    uint64_t taken;              /* events begun for the window */
    uint64_t events, messages, bytes; /* done, of the window; bytes of bodies */
    uint64_t refused;            /* events that the service could not take at the moment, and why the last */
    rh_status refusal;
    uint64_t behind;             /* events received before they were enqueued, by the two clocks */
    bool     failed;             /* and said */
    struct histogram latency, second; /* of the window; of the last second */

    rh_time  told;               /* progress: when, and how far it was */
    uint64_t told_events, told_bytes;
};

/* The clock of the loop, read anew: inside a turn rh_loop_now() stands still. */
rh_time rh_bench_now(void);

/* The window begins, with its first event or by the clock. */
void rh_bench_begin(struct bench *bench);

/* No event more is to be begun. */
void rh_bench_end(struct bench *bench);

/* One more sample of the window. */
void rh_bench_sample(struct bench *bench, uint64_t ns);

/* Ends the run: says what failed, once; rh_bench_stop(): quietly. */
void rh_bench_fail(struct bench *bench, const char *what, const rh_error *error);
void rh_bench_stop(struct bench *bench);

/* -- what people see (bench_report.c) ------------------------------------------------------------ */

/* Once a second, on stderr when it is a terminal. */
void rh_bench_tell(struct bench *bench, rh_time now);
void rh_bench_tell_no_more(void);

/* The result on stdout, and the histogram's file. DONE or FAILED. */
int rh_bench_report(const struct bench *bench);

#endif
