/**
 * management.h: questions to $management about the hub and its partitions.
 */
#ifndef RH_EVENTHUB_MANAGEMENT_H
#define RH_EVENTHUB_MANAGEMENT_H

#include "eventhub/connection.h"

typedef struct rh_inquiry rh_inquiry;

/** One question: connect, token for "HUB/$management", token text for "HUB", request, answer. */
struct rh_inquiry {
    rh_inquiry      *prev, *next;
    rh_client       *client;
    bool             about_partition;
    char             partition[RH_PARTITION_ID_MAX + 1];
    rh_token_request request; /* for the text that goes into the question */
    bool             has_token;
    uint8_t         *bytes; /* the question; holds a token, wiped when done */
    size_t           bytes_n;
    rh_call          call;
    bool             calling;
    bool             waited; /* by a call further down the stack: told even when the client is destroyed */
    bool             ends; /* of those that the loss of a connection ends */
    bool             told;    /* error is only why the last try failed, and another one follows */
    bool             refused; /* its token was, for good */
    bool             telling; /* somebody that it is asked again, or that it wants a token: not to be freed */
    uint32_t         tries;
    rh_time          again;   /* not asked before */
    bool             done; /* told; freed as soon as the call is idle */
    rh_time          deadline;
    rh_timer         timer;
    rh_error         error; /* RH_OK: nothing went wrong yet */
    rh_hub_properties_fn       hub_done;
    rh_partition_properties_fn partition_done;
    void                      *user;
};

#endif
