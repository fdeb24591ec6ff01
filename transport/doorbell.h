/**
 * doorbell.h: what other threads may do to a loop: queue a call, and wake it.
 */
#ifndef RH_TRANSPORT_DOORBELL_H
#define RH_TRANSPORT_DOORBELL_H

#include "transport/transport.h"

#include <stdatomic.h>

typedef struct rh_doorbell_cell {
    _Atomic size_t turn; /* equals its position: free; position + 1: filled */
    void (*fn)(void *user);
    void *user;
} rh_doorbell_cell;

typedef struct rh_doorbell {
    rh_doorbell_cell *cells;
    size_t            mask;
    char              apart[64]; /* threads that post and the loop that reads the mask share no cache line */
    _Atomic size_t    head;      /* taken by whoever posts */
    char              apart_too[64];
    size_t            tail;      /* the loop's own */
    _Atomic bool is_asleep;           /* the loop waits, or nobody turns it: ring */
    int          fd;
} rh_doorbell;

RH_NODISCARD rh_status rh_doorbell_init(rh_doorbell *bell, size_t cells, const rh_allocator *allocator);
void                   rh_doorbell_fini(rh_doorbell *bell, const rh_allocator *allocator);

/** Any thread. */
RH_NODISCARD rh_status rh_doorbell_post(rh_doorbell *bell, void (*fn)(void *user), void *user);

/** The loop's thread: makes the descriptor readable. */
void rh_doorbell_ring(rh_doorbell *bell);

/** The loop's thread, before it waits or leaves: false if calls are queued, then it stays awake. */
bool rh_doorbell_sleep(rh_doorbell *bell);
void rh_doorbell_awake(rh_doorbell *bell);

/** The loop's thread: calls are queued. */
bool rh_doorbell_is_filled(rh_doorbell *bell);

/** The loop's thread: makes the queued calls, at most as many as the queue holds; answers how many. */
unsigned rh_doorbell_answer(rh_doorbell *bell);

/** The loop's thread: the descriptor was readable. */
void rh_doorbell_clear(rh_doorbell *bell);

#endif
