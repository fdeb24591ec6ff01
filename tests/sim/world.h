/**
 * world.h: a namespace, a network and its clients in one process, made and driven by a seed.
 *
 * Ten virtual minutes: chaos up to the eighth, in which whatever the swarm of this seed allows goes wrong, then calm, in which
 * nothing does: everything has to end, and all that was said has to be true.
 */
#ifndef SIM_WORLD_H
#define SIM_WORLD_H

#include "eventhub/eventhub.h"
#include "tests/sim/model.h"
#include "tests/sim/swarm.h"
#include "tests/sim/wire.h"

#define SIM_CALM RH_SECONDS(480) /* from here on nothing goes wrong */
#define SIM_END  RH_SECONDS(600)

/* A key that must not be seen anywhere but in the options. */
#define SIM_CANARY "canary-key-that-nobody-may-see"

typedef struct sim_world  sim_world;
typedef struct sim_client sim_client;

typedef struct sim_producer {
    sim_client  *client;
    rh_producer *producer; /* NULL: not open */
    uint32_t     id;
    int          partition; /* -1: the service chooses */
    uint32_t     in_flight;
    uint32_t     batch_most, size_most;
    rh_time      interval_most;
    rh_timer     timer;     /* the next send, or opening anew */
    bool         lost;      /* told to be closed */
    rh_time      opening;   /* since when it is being opened; RH_TIME_NEVER: it was open */
    bool         leaving;   /* asked to close */
    bool         once;      /* nothing goes out twice */
    uint32_t     sends;     /* without outcome */
    uint32_t     left;      /* sends to come */
    bool         mute;      /* never opened */
    sim_chance   chance;
} sim_producer;

/** A retained event, to be given back later. */
typedef struct sim_held {
    struct sim_held *next;
    const rh_event  *event;
    uint32_t         number;
    rh_timer         timer;
    struct sim_consumer *consumer;
} sim_held;

typedef struct sim_consumer {
    sim_client  *client;
    rh_consumer *consumer;
    uint32_t     id;
    uint32_t     partition;
    uint32_t     prefetch;
    uint32_t     hold_every; /* one event in so many is kept for a while; 0: none */
    int64_t      seen;       /* the last sequence number; -1: none */
    rh_timer     timer;
    rh_time      pull_most;  /* takes its events by rh_consumer_receive() this often at most; 0: is given them */
    rh_timer     pull;
    bool         lost, leaving, mute;
    sim_chance   chance;
    rh_time      opening;
    uint64_t     events;
    sim_held    *held;
} sim_consumer;

struct sim_client {
    sim_world    *world;
    rh_client    *client;
    uint32_t      id;
    rh_timer      timer;   /* made anew */
    rh_timer      whim;    /* closes something politely, to open it again */
    rh_time       whim_most;
    uint32_t      whims;
    sim_chance    chance;
    bool          lost, leaving;
    rh_time       opening;
    uint64_t      remade;
    sim_producer *producers;
    size_t        producer_count;
    sim_consumer *consumers;
    size_t        consumer_count;
};

struct sim_world {
    sim_trace    trace;
    sim_loop     loop;
    sim_swarm    swarm;
    sim_model    model;
    sim_chance   chance; /* of the shape of the world, and of its workload */
    rh_emulator *emulator;
    uint32_t     partitions;
    bool         tls;
    sim_client  *clients;
    size_t       client_count;
    bool         calm;    /* no new sends, no faults */
    bool         closing; /* everything says goodbye */
};

/** Less of a world than its seed says; what is left is drawn as before. All 0: the whole. */
typedef struct sim_limits {
    rh_time  chaos;          /* it ends so early; 0: at SIM_CALM */
    uint32_t sends;          /* of each producer; 0: no limit */
    uint64_t mute_producers; /* these, as bits, are never opened */
    uint64_t mute_consumers;
} sim_limits;

typedef struct sim_result {
    uint64_t hash, lines, events, reopened;
    size_t   producers, consumers;
    rh_time  finished; /* when the last work was done, from the start */
    char     wrong[512]; /* "": nothing */
} sim_result;

/** One world from its beginning to its end. out NULL: silent; faults: which kinds may happen, as bits. */
typedef struct sim_run {
    uint64_t       seed;
    FILE          *out;
    uint64_t       until;
    uint32_t       faults;
    sim_switches   switches;
    sim_limits     limits;
    sim_input     *input;  /* choices that are not the seed's; may be NULL */
    sim_grid      *grid;   /* added to; may be NULL */
    sim_occasions *struck; /* what went wrong is added to it; may be NULL */
} sim_run;

sim_result sim_world_run(const sim_run *run);

/* -- workload.c ---------------------------------------------------------------------------------- */

void sim_workload_make(sim_world *world, const sim_limits *limits);
void sim_workload_start(sim_world *world);
bool sim_workload_is_done(const sim_world *world);  /* every send has ended and every consumer has seen everything */
void sim_workload_close(sim_world *world);          /* politely */
bool sim_workload_is_closed(const sim_world *world);
void sim_workload_free(sim_world *world);
void sim_workload_unfinished(const sim_world *world, char *text, size_t n); /* who is not done */

#endif
