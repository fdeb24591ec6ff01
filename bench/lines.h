/**
 * A contender's end of the line protocol (bench/rivals/README.md), for those written in C: commands are read from stdin,
 * clocks are read around each run, samples are written, answers go to stdout. A command that takes 60 seconds ends the
 * program: a conductor never waits for ever.
 *
 * A contender fills the table below and calls rh_lines_serve() from main.
 */
#ifndef RH_BENCH_LINES_H
#define RH_BENCH_LINES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** What `open` asks for. What the line did not say is empty, 0 or false, but size is 1,024 and batch 1. */
typedef struct rh_order {
    char     task[32];
    char     host[64];
    char     port[8];
    bool     tls;
    char     ca[1024];     /* file of the authorities to trust */
    char     address[128];
    size_t   size;         /* bytes of an event's body */
    bool     settled;      /* sent pre-settled, or asked for so */
    uint32_t batch;        /* events in one message */
    uint64_t events;       /* of idle: connections to hold */
    double   rate;         /* of paced: events a second */
} rh_order;

/** One `run`. */
typedef struct rh_turn {
    uint64_t  events;  /* how many to do */
    uint64_t *samples; /* room for the nanoseconds of each; NULL: nobody asks */
    uint64_t  bytes;   /* to be filled: bytes of bodies that were sent, received, encoded or decoded */
} rh_turn;

/**
 * Who answers. `open` and `run` answer NULL when all is well, or the words of rh_lines_cannot() or rh_lines_failed().
 * After an `open` that did not go well nothing is open. `wait` may be NULL: it turns the contender's world until stdin
 * has something to say, and is called while something is open and no command is there.
 */
typedef struct rh_lines {
    const char        *name;
    const char        *version;
    const char        *tasks;    /* "send,receive" */
    const char *const *settings; /* each a line in plain words; NULL ends them, NULL itself is none */
    const char *(*open)(const rh_order *order);
    const char *(*run)(rh_turn *turn);
    void        (*close)(void);
    void        (*wait)(void);
} rh_lines;

/** Answers commands until `quit` or the end of stdin; what main returns. */
int rh_lines_serve(const rh_lines *lines);

/** The answers of who does not do the task at all, and of whom something went wrong. Good until the next call. */
const char *rh_lines_cannot(const char *format, ...) __attribute__((format(printf, 1, 2)));
const char *rh_lines_failed(const char *format, ...) __attribute__((format(printf, 1, 2)));

/** A setting that is known only now; said before the answer to the command being served. */
void rh_lines_setting(const char *format, ...) __attribute__((format(printf, 1, 2)));

/** Monotonic nanoseconds, and those of this process' own processor time. */
uint64_t rh_lines_now(void);
uint64_t rh_lines_cpu(void);

#endif
