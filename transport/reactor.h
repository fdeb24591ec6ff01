/**
 * reactor.h: the real loop, behind rh_loop: one poller, timers, the doorbell, buffers, pipes.
 */
#ifndef RH_TRANSPORT_REACTOR_H
#define RH_TRANSPORT_REACTOR_H

#include "transport/buffer.h"
#include "transport/doorbell.h"
#include "transport/poller.h"
#include "transport/timer.h"

struct rh_tcp_pipe;
struct rh_tcp_listener;

typedef struct rh_reactor {
    rh_loop       loop;
    rh_allocator  allocator;
    rh_log        log;
    rh_loop_opts  opts;
    rh_poller    *poller;
    rh_timers     timers;
    rh_doorbell   bell;
    rh_socket    *bell_socket;
    rh_buffers    buffers;
    rh_buffers    sealed;  /* what TLS sends at once */
    rh_buffers    pieces;  /* lists of what pipes lend to the kernel */
    rh_buffers    blocks;  /* what rh_loop_borrow() gives, all of one size */
    rh_timer      rest;    /* set while one of the three has grown */
    uint8_t      *plain;   /* where TLS pipes decrypt to and gather in, one at a time */
    size_t        plain_n;
    rh_loop_stats stats;
    rh_time       now;

    struct rh_tcp_pipe     *pipes;
    struct rh_tcp_pipe     *woken, **woken_end; /* in the order they were woken */
    struct rh_tcp_listener *listeners;

    bool has_ring; /* $RH_RING_FEATURES did not mask it */
    bool in_turn;
    bool is_stale; /* `now` is from before the wait */
    bool is_stopping;
    bool is_running; /* in rh_loop_run() */
    bool is_dying;
    bool is_polled; /* a host waits on rh_loop_fd() */
} rh_reactor;

static inline rh_reactor *rh_reactor_of(rh_loop *loop) { return (rh_reactor *)loop; }

void *rh_reactor_alloc(rh_reactor *reactor, size_t n); /* zeroed; NULL: no memory */
void  rh_reactor_free(rh_reactor *reactor, void *p, size_t n);

__attribute__((format(printf, 4, 5))) void rh_reactor_log(const rh_reactor *reactor, rh_log_level level, const char *id,
                                                          const char *format, ...);

/** An options struct of a caller who may have been compiled with an older, shorter one: what it lacks is zero. */
static inline void rh_opts_copy(void *own, size_t own_size, const void *opts, size_t size)
{
    memset(own, 0, own_size);
    memcpy(own, opts, size < own_size ? size : own_size);
}

/** The time of this turn, or now outside of one. */
rh_time rh_reactor_now(rh_reactor *reactor);

/** Something waits for the next turn: tells a host that polls. */
void rh_reactor_call_turn(rh_reactor *reactor);

rh_status rh_reactor_dial(rh_loop *loop, const rh_dial_opts *opts, const rh_pipe_handler *handler, void *user,
                          rh_pipe **out);
rh_status rh_reactor_listen(rh_loop *loop, const rh_listen_opts *opts, rh_accept_fn fn, void *user, rh_listener **out,
                            rh_error *error);

#endif
