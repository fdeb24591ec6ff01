/**
 * refusal.h: how the emulator says no: a condition and words that end as the service's do.
 */
#ifndef RH_EMULATOR_REFUSAL_H
#define RH_EMULATOR_REFUSAL_H

#include "emulator/namespace.h"

typedef struct rh_emu_refusal {
    const char *condition;
    int         code; /* the same said by $cbs or $management */
    char        words[512];
} rh_emu_refusal;

#define RH_EMU_UNAUTHORIZED "amqp:unauthorized-access"
#define RH_EMU_NOT_FOUND    "amqp:not-found"
#define RH_EMU_NOT_ALLOWED  "amqp:not-allowed"
#define RH_EMU_RANGE        "com.microsoft:argument-out-of-range"
#define RH_EMU_ARGUMENT     "com.microsoft:argument-error"
#define RH_EMU_STOLEN       "amqp:link:stolen"
#define RH_EMU_DETACHED     "amqp:link:detach-forced"
#define RH_EMU_BUSY         "com.microsoft:server-busy"

/** Composes the words and ends them with TrackingId, SystemTracker (hub may be NULL) and Timestamp. Counted. Answers false. */
__attribute__((format(printf, 5, 6))) bool rh_emu_refuse(rh_emulator *emulator, const rh_emu_hub *hub, rh_emu_refusal *out,
                                                         const char *condition, const char *format, ...);

/** The refusals that several places share. */
bool rh_emu_refuse_unknown(rh_emulator *emulator, rh_emu_refusal *out, rh_slice path);
bool rh_emu_refuse_partition(const rh_emu_hub *hub, rh_emu_refusal *out);

#endif
