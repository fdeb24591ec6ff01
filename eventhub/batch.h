/**
 * batch.h: the insides of a batch, and of a single event on its way, which is a batch of another format.
 */
#ifndef RH_EVENTHUB_BATCH_H
#define RH_EVENTHUB_BATCH_H

#include "eventhub/eventhub.h"

typedef enum rh_batch_state {
    RH_BATCH_FILLING, /* the caller's, open for more */
    RH_BATCH_SENT,    /* the producer's */
    RH_BATCH_TOLD,    /* inside on_sent: goes back unless somebody wants it */
    RH_BATCH_KEPT,    /* the caller's again, closed for more */
    RH_BATCH_DEAD,    /* nobody's, but deliveries still point into it */
} rh_batch_state;

/** Lies in the producer's cells, the key and the encoded bytes behind it. */
struct rh_batch {
    rh_producer   *producer;
    rh_envelope    envelope; /* of a single event p, used and count are as true */
    rh_slice       key;
    size_t         memory;
    uint32_t       format;
    uint32_t       lent; /* deliveries whose outcome has not come: the engine may read the bytes */
    rh_batch_state state;
};

/** A batch of room for so many encoded bytes. RH_AGAIN: no gap in the producer's memory. RH_E_MEMORY: that is not to be had. */
RH_NODISCARD rh_status rh_batch_take(rh_producer *producer, rh_slice key, size_t room, rh_batch **out);

/** An empty envelope of at most room bytes. RH_AGAIN, RH_E_MEMORY: as above. RH_E_ARGUMENT: not even room for the key. */
RH_NODISCARD rh_status rh_batch_make(rh_producer *producer, rh_slice key, size_t room, rh_batch **out);

/** Closes it for more and gives back the room that was not used. */
void rh_batch_seal(rh_batch *batch);

/** Nobody wants it any more: its memory goes back now, or with the last outcome. */
void rh_batch_drop(rh_batch *batch);

/** One delivery less points into it. */
void rh_batch_unlend(rh_batch *batch);

static inline bool rh_batch_is_single(const rh_batch *batch)
{
    return batch->format == RH_FORMAT_MESSAGE;
}

#endif
