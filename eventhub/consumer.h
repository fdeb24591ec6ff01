/**
 * consumer.h: the insides of a consumer.
 *
 * consumer.c opens and ends it, latest.c finds where "latest" is, watchdog.c tells of partitions that
 * stand still, receive.c takes deliveries in and grants credit, retain.c keeps events.
 */
#ifndef RH_EVENTHUB_CONSUMER_H
#define RH_EVENTHUB_CONSUMER_H

#include "eventhub/cells.h"
#include "eventhub/client.h"
#include "eventhub/event.h"
#include "eventhub/story.h"

typedef struct rh_watchdog rh_watchdog;

struct rh_consumer {
    rh_attachment       attachment;
    rh_client          *client; /* not to be touched once down */
    rh_loop            *loop;
    rh_allocator        allocator;
    rh_consumer_handler handler;
    void               *user;
    char               *path, *link_name, *name; /* name "": none */
    const char         *group, *partition;
    rh_position         position;
    int64_t             owner_level;
    uint32_t            prefetch;
    size_t              event_bytes;
    size_t              memory; /* of the whole block */

    rh_cells  cells;
    rh_event *gather; /* of the cells, as soon as they are there: an event, then event_bytes, where the engine puts frames together */
    rh_timer  timer;  /* set: looks whether the cells are still used */
    rh_event  lent;   /* the event of the callback that runs */
    rh_event *first, *last; /* waiting for rh_consumer_receive() */
    uint32_t  waiting, held; /* held: all that is in the pool, waiting or retained */
    size_t    largest;       /* of the recent events: what the next may need */

    rh_watchdog      *watchdog; /* NULL: none, or over */
    rh_story          error;
    rh_consumer_state state;
    uint32_t          inside; /* callbacks of ours on the stack: the block may not go */
    bool has_owner_level, track_last_enqueued;
    bool asks;      /* where "latest" is; OPEN waits for that */
    bool settled;   /* open, or will never be */
    bool keeps;     /* the pool never rests */
    bool quiet;     /* somebody waits for the opening and hears of it by a return value */
    bool stirred;   /* an event came, or the end */
    bool over;      /* STOLEN or CLOSED was reached */
    bool rewinding; /* an event had no room: the link is left, to be opened again behind the last one kept */
    bool destroyed;
};

void rh_consumer_enter(rh_consumer *consumer);
void rh_consumer_leave(rh_consumer *consumer);

/** Its link is there, and all that OPEN waits for. */
void rh_consumer_opened(rh_consumer *consumer);

/** Ends it for a reason of ours; the link is detached. */
void rh_consumer_fail(rh_consumer *consumer, rh_status status, const char *words);

/** Leaves the link and opens it again behind the last event kept, when half of the pool is free. */
void rh_consumer_rewind(rh_consumer *consumer);
void rh_consumer_rewind_if_room(rh_consumer *consumer);

/** If it is to be closed meanwhile, it need not come back. */
void rh_consumer_end_rewind(rh_consumer *consumer);

/** Grants what prefetch and the pool have room for, if that is worth a flow. */
void rh_consumer_renew(rh_consumer *consumer);

void rh_consumer_delivery(rh_consumer *consumer, const rh_incoming *in);

/** A block to gather in; NULL: no gap. */
rh_event *rh_consumer_take_gather(rh_consumer *consumer);

/** Sees to it that the pool is there, and in it a block to gather in; false: no memory. */
RH_NODISCARD bool rh_consumer_furnish(rh_consumer *consumer);

/** The pool was taken from or given to: it goes when that has not happened for a while. */
void rh_consumer_look_later(rh_consumer *consumer);

void rh_consumer_on_look(void *user, rh_time now);

/** Asks, if it is to read from there. After rh_attachment_open(). */
void rh_latest_ask(rh_consumer *consumer);

/** Whether OPEN waits for the answer; rh_latest_give_up() then comes from the consumer's timer. */
bool rh_latest_waits(rh_consumer *consumer);
void rh_latest_give_up(rh_consumer *consumer);
void rh_latest_forget(rh_consumer *consumer);

/** Looks after the consumer from now on, until it is destroyed. RH_E_MEMORY. */
RH_NODISCARD rh_status rh_watchdog_create(rh_consumer *consumer, uint32_t stall_ms);
void                   rh_watchdog_destroy(rh_consumer *consumer);

static inline uint8_t *rh_gather_bytes(rh_event *gather)
{
    return (uint8_t *)(gather + 1);
}

#endif
