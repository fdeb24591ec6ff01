/**
 * The conductor's side of the line protocol (bench/rivals/README.md): starts the program of a contender, gives it its tasks line by
 * line, and stops it. Nothing here waits without end: a program that does not answer in time is killed, and said to have
 * failed. Nothing is ever killed but what was started here.
 *
 * A contender ends with its stdin, so nobody is left behind when the conductor dies.
 */
#ifndef RH_BENCH_CONTENDER_H
#define RH_BENCH_CONTENDER_H

#include "bench/task.h"

#include <sys/types.h>

#define RH_SETTINGS_MAX 16
#define RH_WORDS_MAX    256

/** How a program is started. Texts and arrays are lent for the call. */
typedef struct rh_start {
    const char *const *argv;   /* ends with NULL; argv[0] is looked for in $PATH unless it is a path */
    const char *const *before; /* put before argv: { "strace", "-f", "-c", "-o", file, NULL }; NULL: nothing */
    const char *const *env;    /* "NAME=VALUE" beyond the conductor's own; ends with NULL; NULL: nothing */
    uint64_t           cores;  /* a bit for each core it may run on; 0: any */
    const char        *log;    /* file that its stderr is appended to; NULL: the conductor's stderr */
} rh_start;

/** A started program and the pipes to it. */
typedef struct rh_child {
    pid_t  pid; /* 0: not running */
    int    in, out;
    char   line[RH_LINE_MAX];
    char   held[RH_LINE_MAX];
    size_t held_n;
} rh_child;

/** A running contender. */
typedef struct rh_runner {
    rh_child child;
    char     name[64];
    char     version[64];
    char     tasks[160];
    char     setting[RH_SETTINGS_MAX][RH_WORDS_MAX];
    size_t   setting_count;
    char     words[RH_WORDS_MAX]; /* after a false answer: why */
} rh_runner;

/** Starts it and waits until it is ready. False: not installed, or it did not speak the protocol; words tell. */
bool rh_runner_start(rh_runner *runner, const rh_start *start);

/** Whether it named the task among those it does. */
bool rh_runner_can(const rh_runner *runner, const char *task);

/**
 * Opens a task. False: it cannot do that, or failed; words tell. After `cannot` it is still running and another task may be
 * opened; after a failure too, unless it had to be killed.
 */
bool rh_runner_open(rh_runner *runner, const rh_task *task);

/** Runs events of the opened task; samples is a file for latency tasks, else NULL. */
bool rh_runner_run(rh_runner *runner, uint64_t events, const char *samples, rh_run *out);

bool rh_runner_close(rh_runner *runner);

/** Ends it. True: it left by itself, with 0. May be called again. */
bool rh_runner_quit(rh_runner *runner);

bool rh_runner_is_alive(const rh_runner *runner);

/** The null peer, which all contenders talk to: bench/null/. */
typedef struct rh_null {
    rh_child child;
    uint16_t port, tls_port;
    char     ca[512];
    char     setting[RH_SETTINGS_MAX][RH_WORDS_MAX];
    size_t   setting_count;
    char     words[RH_WORDS_MAX];
} rh_null;

/**
 * Starts PROGRAM with its certificate in ca; spin: it polls without sleeping. start's argv is ignored. False: words tell
 * why.
 */
bool rh_null_start(rh_null *peer, const char *program, const char *ca, bool spin, const rh_start *start);
void rh_null_stop(rh_null *peer);

#endif
