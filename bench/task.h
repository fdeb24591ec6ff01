/**
 * What a conductor tells a contender to do, and what it hears of it, in the words of the line protocol
 * (bench/rivals/README.md).
 */
#ifndef RH_BENCH_TASK_H
#define RH_BENCH_TASK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define RH_LINE_MAX 2048 /* of the protocol, its end included */

/** Of `open`. What a task does not need stays zero and is not written. */
typedef struct rh_task {
    char     task[24];
    char     host[64];
    uint16_t port;
    bool     tls;
    char     ca[512];      /* PEM file of the authority to trust */
    char     address[128]; /* event hub */
    uint32_t size;         /* bytes of body */
    bool     settled;
    uint32_t batch;        /* events in a message; 1: singles */
    uint64_t events;       /* idle: how many connections */
    uint64_t rate;         /* paced: events a second */
} rh_task;

/** Of `done`. */
typedef struct rh_run {
    uint64_t events, ns, cpu_ns, bytes;
} rh_run;

/** Writes an `open` line without its end; false: it does not fit. */
bool rh_task_print(const rh_task *task, char *line, size_t n);

/** Reads what follows the word `done`. */
bool rh_run_read(const char *line, rh_run *out);

/** Finds KEY= in a line of words and copies its value, up to the next blank; false: not there, or too long. */
bool rh_word_text(const char *line, const char *key, char *out, size_t n);
bool rh_word_number(const char *line, const char *key, uint64_t *out);

#endif
