/**
 * tally.h: many worlds, one after the other or in several processes at once, and what they come to.
 */
#ifndef SIM_TALLY_H
#define SIM_TALLY_H

#include "tests/sim/world.h"

/** Plain numbers: those of several processes are added up. */
typedef struct sim_tally {
    sim_grid grid;
    uint64_t seeds, failed, events;
    uint64_t hash; /* of all of them, in whatever order they were run */
    uint64_t prompt; /* those whose calm is bounded by two minutes */
    rh_time  bound_most, finished_most, processor; /* the last: of all processes */
} sim_tally;

typedef struct sim_range {
    uint64_t from, count;
    unsigned jobs;   /* processes; 1: this one */
    uint32_t faults; /* which kinds may happen, as bits */
    bool     hashes; /* a line for each seed: it and its hash */
    bool     first;  /* no more after the first that fails */
} sim_range;

/** Tells of failures as they come. False: not all of them were run, for a process died; it has said over which seed. */
bool sim_tally_run(const sim_range *range, sim_tally *tally);

#endif
