/**
 * producer.h: the insides of a producer.
 *
 * producer.c opens and ends it, batch.c gives out its memory, send.c brings batches to the link and outcomes back.
 */
#ifndef RH_EVENTHUB_PRODUCER_H
#define RH_EVENTHUB_PRODUCER_H

#include "eventhub/batch.h"
#include "eventhub/cells.h"
#include "eventhub/story.h"
#include "eventhub/client.h"

typedef enum rh_send_state {
    RH_SEND_FREE,
    RH_SEND_WAITING, /* for the link or its credit; the engine has nothing */
    RH_SEND_FLYING,  /* the engine's: lent until the outcome */
    RH_SEND_REFUSED, /* the engine would not take it: told by the next turn */
    RH_SEND_DROPPED, /* ended with its link, not stored: told when the reason is known */
    RH_SEND_UNKNOWN, /* the same, but all of it had left */
    RH_SEND_LATE,    /* told at its deadline; the engine still points into the batch */
} rh_send_state;

/** Somebody who turns the loop until the outcome. */
typedef struct rh_send_wait {
    bool      done;
    rh_status status;
    rh_error *error; /* NULL: not wanted */
} rh_send_wait;

typedef struct rh_send {
    struct rh_send *prev, *next; /* in the order of the sends; next alone among the free ones */
    rh_batch       *batch;
    rh_delivery    *delivery;
    rh_send_wait   *wait;
    void           *tag;
    rh_time         deadline;
    rh_time         again;    /* not sent off before */
    rh_status       refusal;
    uint32_t        tries;    /* sent off so often */
    bool            unknown;  /* all of it left once, and no answer came */
    rh_send_state   state;
} rh_send;

struct rh_producer {
    rh_attachment       attachment;
    rh_client          *client; /* not to be touched once down */
    rh_loop            *loop;
    rh_allocator        allocator;
    rh_producer_handler handler;
    void               *user;
    char               *path, *link_name, *name;
    const char         *partition; /* NULL: the service chooses */
    size_t              batch_bytes;
    uint32_t            in_flight;
    size_t              memory; /* of the whole block */

    rh_cells cells; /* of the batches */
    rh_time  look;  /* when to look whether they are still used; RH_TIME_NEVER: they are not there, or lent for long */
    rh_send *sends, *free_sends;
    rh_send *first, *last; /* taken and not told, in order */
    rh_send *next_to_go;   /* the first of them that waits; NULL: none */
    uint32_t taken;
    uint32_t late; /* sends told at their deadline that the engine still has: their slots and memory are nobody's */

    rh_timer timer;
    rh_time  armed; /* RH_TIME_NEVER: not */
    rh_time  close_deadline;
    rh_story error;

    uint32_t inside;    /* callbacks of ours on the stack: the block may not go */
    bool     settled;   /* open, or will never be */
    bool     keeps;     /* the batches' memory never rests */
    bool     quiet;     /* somebody waits for the opening and hears of it by a return value */
    bool     wants;     /* a RH_AGAIN was answered: on_ready is owed */
    bool     roomy;     /* something came back since then */
    bool     once;      /* nothing goes out a second time */
    bool     deaf;      /* the link takes no more, and answers nothing: it is to be made anew */
    bool     lost;      /* the link is away, to come back */
    bool     closing, down, closed, idle, destroyed;
};

/** Whether another send may be taken. */
RH_NODISCARD rh_status rh_producer_admit(rh_producer *producer, size_t bytes);

/** RH_AGAIN, and an on_ready is owed. */
rh_status rh_producer_again(rh_producer *producer);

/** A send cannot go, and there are others without answer: if nothing else is on its way, the link is made anew by the next turn. */
void rh_producer_doubt(rh_producer *producer);

/** Why a closed producer takes nothing: its error, or RH_E_CLOSED. */
rh_status rh_producer_end_status(const rh_producer *producer);

/** Turns the producer's timer no later than `at`. */
void rh_producer_arm(rh_producer *producer, rh_time at);

/** The batches' memory was taken from or given to: it goes when that has not happened for a while. */
void rh_producer_look_later(rh_producer *producer);

/** Memory, a slot or credit came back: whoever was told RH_AGAIN hears of it in the next turn. */
void rh_producer_refresh(rh_producer *producer);

/** Around everything that may call the user, who may destroy the producer inside. */
void rh_producer_enter(rh_producer *producer);
void rh_producer_leave(rh_producer *producer);

/** No send is left: goes on with closing, if that was asked for. */
void rh_producer_drained(rh_producer *producer);

/** Gives waiting sends to the link while it takes them. */
void rh_sends_go(rh_producer *producer);

void rh_sends_outcome(rh_producer *producer, rh_delivery *delivery, const rh_outcome *outcome);

/** Ends what passed its deadline and tells what the engine refused; all: whatever the deadline. */
void rh_sends_expire(rh_producer *producer, rh_time now, bool all);

/** The link is gone and will be there again: what it had goes out again. */
void rh_sends_lost(rh_producer *producer);

/** The link is down for this reason: ends the sends, in order, up to the first that the engine still points into. */
void rh_sends_end(rh_producer *producer, const rh_error *why);

/** The engine holds nothing any more: ends every send. */
void rh_sends_gone(rh_producer *producer);

/** Whether one is on its way whose outcome may still come in time. */
bool rh_sends_fly(const rh_producer *producer);

#endif
