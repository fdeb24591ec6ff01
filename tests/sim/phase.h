/**
 * phase.h: reads what both ends of a connection send and tells what the client is waiting for.
 */
#ifndef SIM_PHASE_H
#define SIM_PHASE_H

#include "tests/sim/loop.h"

typedef struct sim_scanner {
    uint8_t  head[512]; /* of the frame that is passing */
    size_t   have;
    uint64_t left;      /* of that frame, not yet seen */
} sim_scanner;

/** What has been seen of a connection. */
typedef struct sim_progress {
    sim_phase phase;
    uint16_t  cbs; /* the channel of $cbs; meaningful with has_cbs */
    bool      has_cbs;
} sim_progress;

/** Bytes that the client or the server sends; answers the phase that they leave the client in. */
sim_phase sim_scan(sim_scanner *scanner, sim_progress *progress, bool from_server, const uint8_t *bytes, size_t n);

#endif
