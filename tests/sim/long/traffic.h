/**
 * traffic.h: producers and consumers with something to do now and then, held to the model: every event is known, in order and told
 * of once, and nobody ever ends.
 */
#ifndef SIM_LONG_TRAFFIC_H
#define SIM_LONG_TRAFFIC_H

#include "tests/sim/long/stand.h"
#include "tests/sim/long/tale.h"

typedef struct sim_source {
    /* given */
    sim_party *party;
    uint32_t   id, partition;
    uint32_t   in_flight, batch_most, size_most;
    rh_time    pause_least, pause_most;
    bool       paused;   /* nothing is sent for now */
    bool       may_fail; /* sends whose time is over may, as long as that is true */
    /* its own */
    rh_producer *producer;
    rh_timer     timer;
    sim_chance   chance;
    sim_tale     tale;  /* how sends ended, and when */
    bool         stopped;
    uint64_t     sends, ends, events, late;
    rh_time      sent_at, latest; /* of sends that were alone */
} sim_source;

typedef struct sim_sink {
    /* given */
    sim_party *party;
    uint32_t   partition;
    uint32_t   prefetch;
    /* its own */
    rh_consumer *consumer;
    sim_tale     tale; /* sequence numbers, and when they came */
    int64_t      seen;
    uint64_t     recoveries;
} sim_sink;

void sim_source_open(sim_source *source);
void sim_source_close(sim_source *source);

/** No new sends. */
void sim_source_stop(sim_source *source);

void sim_sink_open(sim_sink *sink);
void sim_sink_close(sim_sink *sink);

/** The sink has seen all that its partition holds, and the source knows how everything ended. */
void sim_judge_done(const sim_source *source, const sim_sink *sink);

#endif
