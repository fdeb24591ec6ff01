/**
 * Samples of one contender's latency, all rounds' together, and what may be said of them: a percentile that fewer than a
 * hundred samples lie beyond is an anecdote and answered as NAN.
 */
#ifndef RH_BENCH_SAMPLES_H
#define RH_BENCH_SAMPLES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#define RH_SAMPLES_BEYOND 100

typedef struct rh_samples {
    uint64_t *ns;
    size_t    count, room;
    bool      sorted;
} rh_samples;

void rh_samples_free(rh_samples *samples);

/** Adds what a contender wrote: nanoseconds as little-endian 64-bit numbers. False: unreadable, empty, or no memory. */
bool rh_samples_read(rh_samples *samples, const char *file);

/** Adds those of another. */
bool rh_samples_add(rh_samples *samples, const rh_samples *others);

/** In microseconds; percentile in (0, 100). */
double rh_samples_at(rh_samples *samples, double percentile);

/** Writes lines "task,who,percentile,us" of all percentiles that may be told. */
void rh_samples_curve(rh_samples *samples, FILE *out, const char *task, const char *who);

#endif
