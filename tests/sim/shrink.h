/**
 * shrink.h: the smallest part of a failing world that fails in the same way: first the faults without which it still does
 * are left out, one by one in the end, then chaos, producers, consumers and sends.
 */
#ifndef SIM_SHRINK_H
#define SIM_SHRINK_H

#include "tests/sim/world.h"

/** Prints what is left and the command that tells its story. False: this world does not fail. */
bool sim_shrink(const sim_run *run);

/** Whether two failures are the same but for their numbers. */
bool sim_shrink_is_same(const char *failure, const char *other);

#endif
