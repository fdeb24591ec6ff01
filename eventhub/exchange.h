/**
 * exchange.h: requests and their answers over a pair of links on one node ($cbs, $management).
 *
 * One pair a connection and node: the service refuses a second one. Calls are pipelined, as many as the
 * service gives credit for, and told apart by their message-id.
 */
#ifndef RH_EVENTHUB_EXCHANGE_H
#define RH_EVENTHUB_EXCHANGE_H

#include "eventhub/client.h"
#include "eventhub/loan.h"

typedef struct rh_exchange rh_exchange;
typedef struct rh_call     rh_call;

typedef struct rh_answer {
    int64_t    code;        /* status-code; 0: none was given */
    rh_slice   condition;   /* error-condition; may be absent */
    rh_slice   description; /* status-description; may be absent */
    rh_message message;
} rh_answer;

/** A request, embedded in its owner, who has written the message into bytes before it is started. */
struct rh_call {
    rh_call     *prev, *next;
    rh_exchange *exchange; /* NULL: idle */
    uint64_t     id;
    uint8_t     *bytes; /* lent until on_idle */
    size_t       n;
    rh_timer     timer; /* the deadline, or at once when there is something to tell */
    rh_time      deadline;
    rh_delivery *delivery;
    bool         sent;     /* handed to the engine */
    bool         lent;     /* its outcome has not come yet */
    bool         answered; /* on_answer was told */
    /** Once for each start, from the loop: the answer (any code) with error NULL, or NULL with the error. Lent for the call. */
    void (*on_answer)(rh_call *call, const rh_answer *answer, const rh_error *error);
    /** Afterwards, when nothing is lent any more: the call may be started again or freed. */
    void (*on_idle)(rh_call *call);
};

struct rh_exchange {
    rh_endpoint endpoint; /* first: the engine's user pointer is both */
    rh_client  *client;
    const char *node;      /* "$cbs" */
    char        reply_to[48];
    rh_session *session; /* NULL: none in the engine */
    rh_link    *sender, *receiver;
    bool        sender_up, receiver_up, ending;
    bool        end_said; /* by us; the answer is waited for until the timer */
    rh_loan    *loan;   /* for the session and its links */
    uint8_t    *gather; /* while an answer of several frames comes */
    size_t      gather_n;
    uint64_t    next_id;
    rh_call    *calls;
    rh_story    error; /* why the pair went down */
    rh_timer    timer; /* tries again what found no room in the output ring */
};

/** gather_n is the largest answer taken in several frames. No memory is asked for before the first open. */
void rh_exchange_init(rh_exchange *exchange, rh_client *client, const char *node, size_t gather_n);

/** Gives the memory back. Only when no session is left. */
void rh_exchange_fini(rh_exchange *exchange);

/** Begins the session and attaches both links, if that has not happened; possible before the connection is open. */
void rh_exchange_open(rh_exchange *exchange);

/** Writes message-id (the next call's), to and reply-to; the caller writes application-properties and body behind. */
void rh_exchange_write_properties(const rh_exchange *exchange, rh_enc *e);

/** Starts a call whose properties were written since the last start. Callbacks come from the loop only. */
void rh_exchange_start(rh_exchange *exchange, rh_call *call, rh_time deadline);

/** Nobody waits for the answer: only on_idle comes, perhaps inside this call. */
void rh_exchange_forget(rh_call *call);

/** The connection never opened and there will be another: calls go on waiting, for that one. */
void rh_exchange_restart(rh_exchange *exchange);

/** The connection is gone and with it the session: every call that waits hears error. */
void rh_exchange_lost(rh_exchange *exchange, const rh_error *error);

#endif
