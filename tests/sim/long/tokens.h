/**
 * tokens.h: who puts a token for what, and when, read off the wire: the put-token messages to $cbs name their audience.
 */
#ifndef SIM_LONG_TOKENS_H
#define SIM_LONG_TOKENS_H

#include "tests/sim/long/stand.h"

#define SIM_AUDIENCES 1024

typedef struct sim_audience {
    uint32_t wire;
    char     name[64];
    rh_time  last_at;
    uint64_t puts;
} sim_audience;

typedef struct sim_tokens {
    rh_time      lifetime;
    rh_time      slack; /* what a credential may take to answer */
    sim_audience audiences[SIM_AUDIENCES];
    size_t       count;
    uint64_t     puts;
    rh_time      least, most; /* between two puts of one audience */
} sim_tokens;

/** Any frame; says what is wrong when a put comes before 75 or after 90 % of the life of the token before it. */
void sim_tokens_frame(sim_tokens *tokens, sim_stand *stand, const sim_frame *frame);

#endif
