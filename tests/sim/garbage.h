/**
 * garbage.h: frames that break the rules, one for each way in which AMQP engines were broken by them.
 */
#ifndef SIM_GARBAGE_H
#define SIM_GARBAGE_H

#include "tests/sim/chance.h"

#define SIM_GARBAGE_MAX 64

/** Writes one of them; answers its length. */
size_t sim_garbage(sim_chance *chance, uint8_t frame[SIM_GARBAGE_MAX]);

#endif
