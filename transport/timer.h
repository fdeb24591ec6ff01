/**
 * timer.h: the timers of one loop: a pairing heap threaded through the timers themselves.
 */
#ifndef RH_TRANSPORT_TIMER_H
#define RH_TRANSPORT_TIMER_H

#include "transport/transport.h"

typedef struct rh_timers {
    rh_timer *first; /* the root: due before all others */
    uint64_t  order; /* counts settings, so that equal times keep their order */
    rh_time   fired; /* when they were looked at last */
} rh_timers;

void rh_timers_set(rh_timers *timers, rh_timer *timer, rh_time at);
void rh_timers_cancel(rh_timers *timers, rh_timer *timer);

static inline rh_time rh_timers_next(const rh_timers *timers)
{
    return timers->first ? timers->first->at : RH_TIME_NEVER;
}

/** Calls what is due at now and was set before this call; answers how many. */
unsigned rh_timers_fire(rh_timers *timers, rh_time now);

#endif
