/**
 * watch.h: reads frames off the simulated wire: when each left, and what it was. It knows nothing of the engines' own counters.
 */
#ifndef SIM_LONG_WATCH_H
#define SIM_LONG_WATCH_H

#include "tests/sim/wire.h"

/* [2.7] descriptors, as they stand on the wire. */
enum { SIM_HEARTBEAT = 0, SIM_PERF_OPEN = 0x10, SIM_PERF_BEGIN, SIM_PERF_ATTACH, SIM_PERF_FLOW, SIM_PERF_TRANSFER, SIM_PERF_DISPOSITION,
       SIM_PERF_DETACH, SIM_PERF_END, SIM_PERF_CLOSE, SIM_PERF_COUNT };

typedef struct sim_frame {
    const sim_wire *wire;
    int             end;     /* toward which it left */
    uint8_t         code;
    uint16_t        channel;
    const uint8_t  *head;    /* its first bytes, header included */
    size_t          n;       /* of head */
} sim_frame;

typedef void (*sim_frame_fn)(void *user, const sim_frame *frame);

/** One direction of one wire. */
typedef struct sim_lane {
    uint8_t  head[2048]; /* an attach with all that hangs on it */
    size_t   have;
    uint64_t left;
    bool     sized, is_sasl, opened;
    rh_time  last_at;  /* when a frame left, since open */
    rh_time  gap_most; /* between two of them */
    uint64_t frames, heartbeats;
} sim_lane;

/** Both directions, by the end that they lead to. */
typedef struct sim_watch {
    uint32_t wire;
    bool     used;
    sim_lane lanes[2];
} sim_watch;

void sim_watch_bytes(sim_watch *watch, const sim_wire *wire, int end, const uint8_t *bytes, size_t n, sim_frame_fn on_frame, void *user);

#endif
