/**
 * toy_loop.h: a loop without a kernel, for tests: time is virtual and jumps, pipes are two ends in one process,
 * and every fault happens when it is told to.
 */
#ifndef TOY_LOOP_H
#define TOY_LOOP_H

#include "transport/transport.h"

typedef struct toy_pipe toy_pipe;

typedef struct toy_loop {
    rh_loop      loop; /* first: this is an rh_loop */
    rh_time      now;
    rh_timer    *timers; /* by time, through next */
    toy_pipe    *pipes;
    rh_accept_fn accept; /* who hears of dialed pipes */
    void        *accept_user;
    bool         in_turn, stopped;
    uint64_t     random;
    uint64_t     order;

    void   *block; /* given back and not borrowed */
    size_t  block_n;

    rh_time distance; /* how long a byte travels; dialing takes two of them, as TCP's handshake. 0 */

    /* What goes wrong. */
    rh_status dial_status;    /* not RH_OK: every dial ends so */
    bool      dial_hangs;     /* nothing ever comes of it */
    size_t    cut_after;      /* the dialing end loses its pipe after this many bytes came in; SIZE_MAX: never */
    size_t    corrupt_at;     /* the byte toward the dialing end that arrives changed, counted from 1; 0: none */
    uint8_t   corrupt_by;     /* in these bits */
    bool      silent;         /* bytes toward the dialing end are swallowed from now on */
    bool      no_room;        /* nothing can be borrowed */

    /* What happened. */
    size_t   bytes_in; /* to dialing ends */
    uint64_t turns;
    unsigned dials;
    size_t   allocations, bytes_allocated; /* alive */
    size_t   fail_from;                    /* allocations of at least so many bytes fail; 0: none do */
    size_t   fail_allocation;              /* counts down; the one that reaches 0 fails; 0: none does */
    rh_log       log;
    rh_allocator allocator;
} toy_loop;

void toy_loop_init(toy_loop *toy);

/** Every pipe goes down, timers are forgotten. */
void toy_loop_fini(toy_loop *toy);

/** Turns until *done, or until virtual seconds have passed; tells whether it was done. */
bool toy_loop_until(toy_loop *toy, const bool *done, unsigned seconds);

/** Turns for so many virtual seconds. */
void toy_loop_pass(toy_loop *toy, unsigned seconds);

/** Breaks every pipe, as a reset does. */
void toy_loop_break(toy_loop *toy);

#endif
