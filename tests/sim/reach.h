/**
 * reach.h: what many worlds have met together, and whether that is enough: each kind of fault in each phase, and bounds that mean something.
 */
#ifndef SIM_REACH_H
#define SIM_REACH_H

#include "tests/sim/tally.h"

/* From so many worlds on an empty cell, or too many worlds that take their time, is a failure. */
#define SIM_REACH_WORLDS 1000

/** The grid, and what there is to say beside it. */
void sim_reach_print(const sim_tally *tally);

/** Whether that is enough; says what is missing. */
bool sim_reach_is_enough(const sim_tally *tally);

/** Why a kind of fault cannot meet a phase; NULL: it can. */
const char *sim_reach_impossible(sim_fault fault, sim_phase phase);

#endif
