/**
 * shape.h: the limits that a world has when nothing is wrong with it: sizes, windows, credit, patience, numbers.
 */
#ifndef SIM_SHAPE_H
#define SIM_SHAPE_H

#include "emulator/emulator.h"
#include "eventhub/eventhub.h"
#include "tests/sim/chance.h"

typedef struct sim_shape {
    uint32_t partitions;
    bool     tls;

    rh_emulator_limits service;

    /* of all clients */
    bool          step_by_step;
    uint32_t      frame_bytes, window, idle_ms, operation_ms, spare_links;
    rh_retry_opts retry;
    rh_time       token_life; /* at most; half of it at least. 0: they have the key */
    int32_t       skew_s;  /* their clocks tell another end of a token than the service's */

    /* of what they do */
    rh_time  send_least, send_most; /* how long a send may take */
    uint32_t body_most;             /* of an ordinary event */
    uint32_t batch_bytes;
    uint32_t event_bytes;           /* the largest a consumer takes */
    uint32_t prefetch_least;
    bool     watched;               /* every frame is printed, and searched for secrets */
    uint32_t rash_every;            /* in one callback of so many something is destroyed; 0: never */
    uint32_t huge_every;            /* one send in so many is as large as the link allows; 0: none */
    bool     owned;                 /* consumers have owner levels and take partitions from each other */

    /* of the line, slowest */
    rh_time  trip_most;             /* there and back */
    uint64_t bytes_per_second;      /* what windows, the line and the distance leave of it */
} sim_shape;

/** The line is the swarm's: trip_most there and back, rate in bytes a second (0: no limit), tcp_window bytes under way. */
void sim_shape_draw(sim_shape *shape, sim_chance *chance, rh_time trip_most, uint64_t rate, size_t tcp_window);

/** Smaller events and pools than were drawn, for a world that must take no time. */
void sim_shape_small(sim_shape *shape);

/**
 * How long after the last fault everything has to be over: twice our idle time-out until a silent peer is given up, the longest pause
 * before another try, one connect, one try; and the time that what is left to be read takes on this line.
 */
rh_time sim_shape_bound(const sim_shape *shape, uint64_t events_left, uint64_t bytes_left);

#endif
