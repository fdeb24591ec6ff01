/**
 * loan.h: the engine's memory for a session with its links, given with them and taken back after them.
 *
 * What is lent is nobody's in particular: the engine puts whatever comes next into it. So a loan whose giver has left
 * may be in use still, and waits with the client until it is not, or until somebody else can do with it.
 */
#ifndef RH_EVENTHUB_LOAN_H
#define RH_EVENTHUB_LOAN_H

#include "eventhub/eventhub.h"

typedef struct rh_loan {
    struct rh_loan *next; /* in the client's list */
    rh_engine_slots slots;
    size_t          n;
    bool            lent;  /* the client's engine has it */
    bool            spare; /* its giver has left */
} rh_loan;

/** Room for words beside a link's name: the first lines of why it ended. */
#define RH_LOAN_WORDS 96

/** Lends the client's engine, as soon as there is one, a session and so many links, with names of at most so many bytes, and
 * deliveries. NULL: no memory. */
rh_loan *rh_loan_give(rh_client *client, uint32_t links, uint32_t deliveries, size_t name);

/**
 * One more delivery, for who has credit and finds no slot: outcomes that never come keep theirs until their link is gone. It is
 * taken back as soon as nobody uses it. False: no memory.
 */
RH_NODISCARD bool rh_loan_delivery(rh_client *client);

/** Another like it instead of one in which the peer has not answered the last session's end. False: no memory. */
RH_NODISCARD bool rh_loan_exchange(rh_client *client, rh_loan **loan);

/** The giver's session is gone; NULL is allowed. */
void rh_loan_leave(rh_client *client, rh_loan *loan);

/** There is another engine: it gets all of them. */
RH_NODISCARD rh_status rh_loans_lend(rh_client *client);

/** Takes back what nobody uses any more. Not from inside a callback of the engine. */
void rh_loans_reclaim(rh_client *client);

/** The engine is no more. */
void rh_loans_free(rh_client *client);

#endif
