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

/* A whole frame that says: deliveries FIRST to LAST are settled, in this state. */
#define SIM_ANSWER_MAX 64

/** What has been seen of a connection. */
typedef struct sim_progress {
    sim_phase phase;
    uint16_t  cbs; /* the channel of $cbs; meaningful with has_cbs */
    bool      has_cbs;
    uint8_t   answer[SIM_ANSWER_MAX]; /* the server's last disposition, while its session lives */
    size_t    answer_n;               /* 0: there is none */
    uint16_t  answer_channel;
} sim_progress;

/** Makes of the last answer one for deliveries that nobody has sent. */
void sim_progress_beyond(sim_progress *progress);

/** Bytes that the client or the server sends; answers the phase that they leave the client in. */
sim_phase sim_scan(sim_scanner *scanner, sim_progress *progress, bool from_server, const uint8_t *bytes, size_t n);

#endif
