/**
 * manners.h: nothing is said to the dead: once a detach, end or close of the service has arrived, the client answers it once and says
 * nothing more on that link, session or connection. Read off the wire, for one connection at a time.
 */
#ifndef SIM_LONG_MANNERS_H
#define SIM_LONG_MANNERS_H

#include "tests/sim/long/stand.h"

#define SIM_CHANNELS 64
#define SIM_LINKS    4 /* of a session: $cbs has two */

/** A link as both sides name it; told apart by its name and direction. */
typedef struct sim_knot {
    char     name[128];
    bool     used, receives;    /* the client receives */
    uint32_t handle[2];         /* by who uses it; UINT32_MAX: not attached from that side */
    rh_time  dead_at;           /* the service's detach has arrived; 0: it lives */
} sim_knot;

typedef struct sim_channel {
    bool     begun;
    rh_time  dead_at;
    sim_knot knots[SIM_LINKS];
} sim_channel;

typedef struct sim_manners {
    sim_stand  *stand;
    uint32_t    wire;
    rh_time     dead_at;
    bool        closed;
    sim_channel channels[SIM_CHANNELS]; /* by the client's number */
    uint16_t    client_channel[SIM_CHANNELS]; /* by the service's */
    uint64_t    deaths, judged;
} sim_manners;

void sim_manners_frame(sim_manners *manners, const sim_frame *frame);

#endif
