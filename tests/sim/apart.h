/**
 * apart.h: a world in a process of its own, so that one that kills it or never comes to an end is a failure like another.
 */
#ifndef SIM_APART_H
#define SIM_APART_H

#include "tests/sim/world.h"

/** Real seconds that a world may take; a usual one takes hundredths. */
#define SIM_APART_SECONDS 60

/** As sim_world_run(); run->grid stays as it was, run->struck (which must be empty) is filled even if the process dies. */
sim_result sim_apart_run(const sim_run *run);

/** From now on a signal that kills this process, or SIM_APART_SECONDS without another call, is told with the seed. */
void sim_apart_watch(uint64_t seed);

#endif
