/**
 * condition.h: the error conditions that a client may meet: all of AMQP's, and those of Event Hubs.
 */
#ifndef RH_EMULATOR_CONDITION_H
#define RH_EMULATOR_CONDITION_H

#include "codec/base.h"

#define RH_EMU_CONDITIONS_STANDARD  25 /* [2.8.15 to 2.8.18] come first */
#define RH_EMU_CONDITIONS_MICROSOFT 17
#define RH_EMU_CONDITIONS           (RH_EMU_CONDITIONS_STANDARD + RH_EMU_CONDITIONS_MICROSOFT)

extern const char *const rh_emu_conditions[RH_EMU_CONDITIONS];

/** Its place in the list; RH_EMU_CONDITIONS for one that is not in it. */
size_t rh_emu_condition_find(rh_slice symbol);

#endif
