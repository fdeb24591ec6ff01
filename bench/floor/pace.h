/**
 * Events that are meant to leave at fixed moments. Each is timed from the moment it was meant for, not from when it got
 * its turn: who is late makes everybody behind him late, and that is counted (no coordinated omission).
 */
#ifndef RH_BENCH_FLOOR_PACE_H
#define RH_BENCH_FLOOR_PACE_H

#include "bench/lines.h"

typedef struct rh_pace {
    uint64_t start;    /* nanoseconds of rh_lines_now() */
    double   interval;
} rh_pace;

static inline rh_pace rh_pace_of(double rate) { return (rh_pace){ rh_lines_now(), 1e9 / rate }; }

/** When event i is meant to leave. */
static inline uint64_t rh_pace_at(const rh_pace *pace, uint64_t i) { return pace->start + (uint64_t)((double)i * pace->interval); }

/** All below `now_settled` are settled, and *settled of them were before: their samples are written. */
static inline void rh_pace_settled(const rh_pace *pace, rh_turn *turn, uint64_t *settled, uint64_t now_settled)
{
    uint64_t now = rh_lines_now();
    for (; *settled < now_settled && *settled < turn->events; ++*settled)
        if (turn->samples) turn->samples[*settled] = now - rh_pace_at(pace, *settled);
}

#endif
