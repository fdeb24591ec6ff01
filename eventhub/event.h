/**
 * event.h: the insides of a received event.
 */
#ifndef RH_EVENTHUB_EVENT_H
#define RH_EVENTHUB_EVENT_H

#include "eventhub/eventhub.h"

/** What the service stamps on an event, read together the first time one of them is asked for. */
typedef struct rh_stamps {
    bool     read;
    int64_t  sequence_number, enqueued_time_ms;
    rh_slice offset, partition_key;
} rh_stamps;

struct rh_event {
    rh_message      message;
    rh_slice        encoded;
    rh_stamps       stamps;
    rh_consumer    *consumer;
    struct rh_event *next;  /* in the queue of a consumer without on_event */
    struct rh_event *kept;  /* lent only: its retained self, if somebody retained it already */
    uint32_t        refs;   /* 0: lent for on_event */
    size_t          memory; /* bytes of the pool that this struct and what lies behind it hold */
    bool            gathered; /* lent only: encoded lies in the consumer's gather block */
};

/** Finds the sections of encoded, which must outlive the event. RH_E_DECODE and the like if it is no message. */
RH_NODISCARD rh_status rh_event_view(rh_event *event, rh_consumer *consumer, rh_slice encoded);

/** Reads the stamps now: from then on the event is only read, whoever asks. */
void rh_event_read_stamps(rh_event *event);

#endif
