/**
 * wire.h: two ends of a pipe on one loop, for the tests of transport/.
 *
 * Frames are four bytes of size, counted in, and then whatever. An end counts and digests what it gets, says back what it gets if it
 * echoes, and lends output from memory that the test owns.
 */
#ifndef TESTS_WIRE_H
#define TESTS_WIRE_H

#include "transport/transport.h"

#include <criterion/criterion.h>

#define WIRE_OUT (8u * 1024 * 1024)

struct end {
    rh_pipe  *pipe;
    bool      echoes, deaf; /* deaf: wants no input */
    bool      closes_at_up, closes_at_frame;
    bool      cuts_in_sent, cuts_in_output;
    bool      refuses_frames; /* expects bytes that are no frame, and closes */
    bool      holds;          /* wants no input while anything it said has not gone */
    uint64_t  stops_every;    /* becomes deaf after so many frames; 0: never */
    size_t    refused;
    bool      is_up, is_down;
    rh_error  error;
    uint64_t  frames, bytes_in, digest, inputs;
    uint8_t  *out; /* WIRE_OUT bytes, made at the first say */
    size_t    said, lent, gone; /* bytes in out: said by the test, lent to the pipe, counted by sent() */
    size_t    most;             /* ever said */
    uint64_t  sent_total;
    size_t    frame_max; /* the largest frame that came */
};

struct wire {
    rh_loop     *loop;
    rh_listener *listener;
    rh_tls      *server_tls, *client_tls;
    struct end   client, server;
    struct end  *accepted; /* the end that the next peer gets; NULL: refuse it */
    unsigned     logged_epoll, warned;
};

/** Every test runs on both: for (each_backend(backend)) */
#define each_backend(b) rh_loop_backend b = RH_BACKEND_URING; b <= RH_BACKEND_EPOLL; b++

extern const rh_pipe_handler wire_handler;

/** A loop, a listener on 127.0.0.1, and no pipe yet. opts may be NULL. */
void wire_open(struct wire *wire, rh_loop_backend backend, const rh_loop_opts *opts);

/** For a further listener: gives the peer to wire->accepted. user: the wire. */
void wire_accept(void *user, rh_pipe *pipe);

/** Dials the listener; the ends are up when it returns. */
void wire_connect(struct wire *wire);
void wire_dial(struct wire *wire, struct end *end, const rh_dial_opts *opts);
void wire_close(struct wire *wire);

void wire_say(struct end *end, const void *body, size_t n);
void wire_say_many(struct end *end, size_t count, size_t n);
void wire_say_raw(struct end *end, const void *bytes, size_t n);
void wire_forget(struct end *end);

/** What the frames would digest to at the other end. */
uint64_t wire_said_digest(const struct end *end);

/** Turns until the condition holds, at most 5 seconds; false: it never did. */
#define wire_until(wire, condition)                                                                                    \
    ({                                                                                                                 \
        rh_time wire_end = rh_loop_now((wire)->loop) + RH_SECONDS(5);                                                  \
        while (!(condition) && rh_loop_now((wire)->loop) < wire_end) {                                                 \
            /* What can be told at once may be all there is to be told: a turn that sleeps would sleep on. */          \
            cr_assert_eq(rh_loop_turn((wire)->loop, RH_NOWAIT), RH_OK);                                                \
            if (!(condition)) cr_assert_eq(rh_loop_turn((wire)->loop, wire_end), RH_OK);                               \
        }                                                                                                              \
        (condition);                                                                                                   \
    })

/** Stories that hold for every pipe, plain or with TLS, between two ends that are up. They leave the wire as it is then. */
void wire_expect_stops_and_starts(struct wire *wire);
void wire_expect_room_is_noticed(struct wire *wire);
void wire_expect_flush(struct wire *wire);
void wire_expect_cut(struct wire *wire, bool in_sent);

/** Turns for so long, whatever happens. */
void wire_pass(struct wire *wire, rh_time time);

#endif
