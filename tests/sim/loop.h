/**
 * loop.h: a loop without a kernel. Time is virtual and jumps to the next moment at which anything happens; pipes are two
 * ends in one process with a wire between them (wire.h). Client and emulator cannot tell it from a real one.
 */
#ifndef SIM_LOOP_H
#define SIM_LOOP_H

#include "tests/sim/chance.h"
#include "tests/sim/trace.h"
#include "transport/timer.h"
#include "transport/transport.h"

typedef struct sim_loop     sim_loop;
typedef struct sim_pipe     sim_pipe;
typedef struct sim_wire     sim_wire;
typedef struct sim_listener sim_listener;

/** How far the client of a connection has come. */
typedef enum sim_phase {
    SIM_CONNECT, /* name and TCP */
    SIM_TLS,     /* a stand-in: two round trips in which TLS would have its say */
    SIM_SASL,
    SIM_OPEN,
    SIM_CBS,
    SIM_ATTACH,
    SIM_STEADY,
    SIM_DRAIN,   /* asked to close, with sends still without outcome */
    SIM_CLOSE,
    SIM_PHASES,
} sim_phase;

extern const char *const sim_phase_name[SIM_PHASES];

/** What the world decides about the network. */
typedef struct sim_net_hooks {
    /* A dial takes the step to phase (SIM_CONNECT, SIM_TLS). RH_OK, or what it fails with; RH_AGAIN: nothing ever comes of it. */
    rh_status (*on_step)(void *user, sim_wire *wire, sim_phase phase);
    /* How much longer than a trip it takes until the first answer to a dial. May be NULL. */
    rh_time (*on_dial)(void *user, sim_wire *wire);
    /* The client of this wire has reached a phase. */
    void (*on_phase)(void *user, sim_wire *wire, sim_phase phase);
    /* Bytes leave for that end. */
    void (*on_bytes)(void *user, sim_wire *wire, int end, const uint8_t *bytes, size_t n);
    void *user;
} sim_net_hooks;

struct sim_loop {
    rh_loop      loop; /* first: this is an rh_loop */
    rh_time      now;
    rh_time      woke; /* from its last sleep */
    rh_time      slept; /* in all */
    rh_timers    timers;
    sim_pipe    *awake, **awake_end; /* to be looked at in this turn */
    sim_pipe    *pipes;
    sim_listener *listeners;
    uint32_t     wires; /* made so far */
    uint64_t     garbage; /* frames that break the rules, sent so far */
    sim_wire    *speaking; /* whose bytes are being read; NULL: nobody's */
    bool         in_turn, stopped;
    sim_chance   random;
    uint64_t     seed;
    sim_input   *input; /* of the choices of the world; may be NULL */
    sim_net_hooks hooks;
    sim_trace   *trace;
    rh_log       log;
    rh_allocator allocator;
    size_t       allocations, allocated; /* alive */
    const char  *broken; /* the first promise that was broken by those who use the loop */
};

void sim_loop_init(sim_loop *sim, uint64_t seed, sim_trace *trace);

/** The choices of one part of the world; stream tells the parts apart. Those of a wire are too many for an input and the seed's alone. */
sim_chance sim_loop_chance(const sim_loop *sim, uint64_t stream);

/** Every pipe goes down; timers are forgotten. */
void sim_loop_fini(sim_loop *sim);

/** Suspends the machine: time passes, nothing happens meanwhile, and all that fell due comes at once. */
void sim_loop_suspend(sim_loop *sim, rh_time time);

void sim_loop_break(sim_loop *sim, const char *promise);

#endif
