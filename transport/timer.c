#include "transport/timer.h"

/* `back` is the parent of a first child, and the sibling before any other child. */

static bool is_before(const rh_timer *a, const rh_timer *b)
{
    return a->at != b->at ? a->at < b->at : a->order < b->order;
}

static rh_timer *meld(rh_timer *a, rh_timer *b)
{
    if (!a || !b) return a ? a : b;
    rh_timer *top = is_before(b, a) ? b : a;
    rh_timer *under = top == a ? b : a;
    under->back = top;
    under->next = top->child;
    if (under->next) under->next->back = under;
    top->child = under;
    top->next = top->back = NULL;
    return top;
}

/* Two passes, left to right in pairs and back again: what makes the heap's cost logarithmic on average. */
static rh_timer *meld_siblings(rh_timer *first)
{
    rh_timer *pairs = NULL;
    while (first) {
        rh_timer *a = first, *b = a->next;
        first = b ? b->next : NULL;
        a->next = a->back = NULL;
        rh_timer *pair = meld(a, b);
        pair->next = pairs;
        pairs = pair;
    }
    rh_timer *root = NULL;
    while (pairs) {
        rh_timer *pair = pairs;
        pairs = pair->next;
        pair->next = pair->back = NULL;
        root = meld(root, pair);
    }
    return root;
}

void rh_timers_cancel(rh_timers *timers, rh_timer *timer)
{
    if (!timer->is_set) return;
    timer->is_set = false;
    rh_timer *below = meld_siblings(timer->child);
    if (timer == timers->first) {
        timers->first = below;
    } else {
        if (timer->back->child == timer) timer->back->child = timer->next;
        else timer->back->next = timer->next;
        if (timer->next) timer->next->back = timer->back;
        timers->first = meld(timers->first, below);
    }
    timer->child = timer->next = timer->back = NULL;
}

void rh_timers_set(rh_timers *timers, rh_timer *timer, rh_time at)
{
    if (timer->is_set && timer->at == at) return;
    rh_timers_cancel(timers, timer);
    if (at == RH_TIME_NEVER) return;
    /* One that is set for the past again and again would come before all others, for ever. */
    if (at < timers->fired) at = timers->fired;
    timer->at = at;
    timer->order = timers->order++;
    timer->is_set = true;
    timer->child = timer->next = timer->back = NULL;
    timers->first = meld(timers->first, timer);
}

unsigned rh_timers_fire(rh_timers *timers, rh_time now)
{
    /* A timer that is set anew for the past by what it calls must not hold the turn for ever. */
    uint64_t end  = timers->order;
    timers->fired = now;
    unsigned fired = 0;
    while (timers->first && timers->first->at <= now && timers->first->order < end) {
        rh_timer *timer = timers->first;
        rh_timers_cancel(timers, timer);
        timer->fn(timer->user, now);
        fired++;
    }
    return fired;
}
