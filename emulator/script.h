/**
 * script.h: a fault script as it was written: rules of when, where and what. It does nothing; faults.h does.
 *
 * The language is described in README.md, "Faults on purpose".
 */
#ifndef RH_EMULATOR_SCRIPT_H
#define RH_EMULATOR_SCRIPT_H

#include "emulator/condition.h"

#include "transport/transport.h"

#include <stdatomic.h>

/* What a rule waits for. */
typedef enum rh_emu_moment {
    RH_EMU_AT_CLOCK,
    RH_EMU_AT_CONNECT,
    RH_EMU_AT_OPEN,
    RH_EMU_AT_BEGIN,
    RH_EMU_AT_ATTACH,
    RH_EMU_AT_TOKEN,
    RH_EMU_AT_INQUIRY,
    RH_EMU_AT_SEND,
    RH_EMU_AT_PART, /* a delivery of several frames is half here */
} rh_emu_moment;

typedef enum rh_emu_verb {
    RH_EMU_DETACH,
    RH_EMU_END,
    RH_EMU_CLOSE,
    RH_EMU_RESET,
    RH_EMU_STALL,
    RH_EMU_REFUSE,
    RH_EMU_THROTTLE,
    RH_EMU_DELAY,
    RH_EMU_WITHHOLD,
    RH_EMU_IGNORE,
    RH_EMU_FORGET,
    RH_EMU_VERBS,
} rh_emu_verb;

/* Of the links; 0: all. */
typedef enum rh_emu_side { RH_EMU_ANY_SIDE, RH_EMU_SENDERS, RH_EMU_READERS, RH_EMU_CBS_LINKS, RH_EMU_MANAGEMENT_LINKS } rh_emu_side;

typedef struct rh_emu_rule {
    uint32_t      line;
    rh_emu_moment moment;
    rh_emu_verb   verb;

    rh_slice    hub, partition, client; /* absent: any; a client's may end with a star */
    rh_emu_side side;

    rh_time  every;       /* of the clock */
    rh_time  from, until; /* since the start */
    uint64_t skip, nth, times; /* occasions let pass, of the others each nth, strikes in all */
    uint64_t odds, odds_of;

    uint32_t    first, count; /* conditions of the list, taken in turn; count 0: none, or own */
    const char *own;          /* a condition that is not in the list */
    int         code;         /* a status code instead of a condition; 0: none */
    const char *words; /* of the script, or said */
    char        said[192];
    rh_time     time;
    uint64_t    bytes;

    /* While it runs. */
    void    *running;
    rh_timer timer;
    uint64_t met, done;
    _Atomic uint64_t told[RH_EMU_CONDITIONS + 1]; /* strikes by condition; the last: without one of the list */
} rh_emu_rule;

typedef struct rh_emu_script {
    const rh_allocator *allocator;
    size_t              size; /* of this block: rules, then the text cut into words */
    uint64_t            seed;
    rh_time             calm; /* nothing happens any more from then on */
    size_t              count;
    rh_emu_rule         rules[];
} rh_emu_script;

/** RH_E_ARGUMENT: the words say the line, and what was expected instead of what is there. */
RH_NODISCARD rh_status rh_emu_script_parse(const rh_allocator *allocator, const char *text, rh_emu_script **out, rh_error *error);
void                   rh_emu_script_free(rh_emu_script *script); /* NULL is allowed */

extern const char *const rh_emu_verb_names[RH_EMU_VERBS];

#endif
