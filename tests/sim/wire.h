/**
 * wire.h: a connection of the simulated network: two pipes, and what may happen to the bytes between them.
 *
 * Bytes are taken in pieces, travel for a while, and arrive in order. What a pipe lends is returned late and compared before:
 * whoever reuses it too early has broken a promise. Frames are handed over in a block of their own that is overwritten
 * afterwards. Nothing is lost but by a fault.
 */
#ifndef SIM_WIRE_H
#define SIM_WIRE_H

#include "tests/sim/loop.h"
#include "tests/sim/phase.h"

/* The ends of a wire, and the directions: toward that end. */
enum { SIM_CLIENT, SIM_SERVER };

/** An outcome that is told once more than it should be. */
typedef enum sim_echo {
    SIM_ECHO_NONE,
    SIM_ECHO_AGAIN,  /* the last one, as it was */
    SIM_ECHO_BEYOND, /* of deliveries that nobody has sent yet */
} sim_echo;

struct sim_wire {
    sim_loop  *sim;
    uint32_t   id;
    sim_pipe  *end[2]; /* NULL: gone */
    sim_chance chance;
    sim_scanner scanner[2]; /* of what is sent toward that end */
    sim_progress progress;
    sim_phase  phase; /* the last one that was told */
    uint32_t   phases; /* told so far */
    bool       tls;
    void      *user; /* the world's, set in on_step or on_phase */

    rh_time  latency_least, latency_most; /* of a piece, one way */
    uint64_t bytes_per_second;            /* 0: no limit */
    size_t   piece_most;                  /* bytes taken at once; 0: all */
    size_t   window;                      /* bytes under way and not read */
    rh_time  return_most;                 /* how late lent bytes come back */

    bool     silent;           /* whatever is sent is swallowed */
    bool     hung;             /* the server takes nothing more and says nothing more, and its system does not mind */
    rh_time  stalled_until[2]; /* nothing arrives at that end before */
    rh_time  busy_until[2], last_at[2];
    uint64_t passed[2];        /* bytes that arrived */
    uint64_t cut_at[2];        /* reset when so many have; UINT64_MAX: never */
    sim_echo echo;             /* comes behind the frame that the server is sending */
    bool     garbage[2];       /* behind the frame that is being sent toward that end comes one that is none */
};

/** Both ends learn RH_E_CONNECTION_LOST, one at once, the other when the news has travelled; bytes under way are gone. */
void sim_wire_reset(sim_wire *wire);

/** Nothing arrives any more, at either end. The server's system gives up some day; the client has to notice by itself. */
void sim_wire_silence(sim_wire *wire);

/** The server is there, and does nothing any more. */
void sim_wire_hang(sim_wire *wire);

/** What is under way and what follows arrives no earlier. */
void sim_wire_stall(sim_wire *wire, int end, rh_time until);

/** Nothing is wrong with it any more but its silence. */
void sim_wire_mend(sim_wire *wire);

/** The world says so for what cannot be read off the wire: SIM_DRAIN. */
void sim_wire_reached(sim_wire *wire, sim_phase phase);

/** The index-th wire that has an end yet, in no order that means anything but always the same; NULL: there are no more. */
sim_wire *sim_wire_at(const sim_loop *sim, size_t index);
/** NULL: it is gone. */
sim_wire *sim_wire_find(const sim_loop *sim, uint32_t id);

/** The wire of a pipe of this loop. */
sim_wire *sim_wire_of(const rh_pipe *pipe);

rh_status sim_dial(rh_loop *loop, const rh_dial_opts *opts, const rh_pipe_handler *handler, void *user, rh_pipe **out);
rh_status sim_listen(rh_loop *loop, const rh_listen_opts *opts, rh_accept_fn accept, void *user, rh_listener **out, rh_error *error);

/* -- for the loop ------------------------------------------------------------------------------ */

sim_pipe *sim_pipe_taken(sim_pipe *pipe); /* off the list of the awake; answers the next one */
void      sim_pipe_step(sim_pipe *pipe);
void      sim_pipes_cut(sim_loop *sim);

#endif
