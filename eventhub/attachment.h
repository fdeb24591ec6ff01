/**
 * attachment.h: the insides of an attachment; its owner reads none of them (use client.h).
 */
#ifndef RH_EVENTHUB_ATTACHMENT_H
#define RH_EVENTHUB_ATTACHMENT_H

#include "eventhub/loan.h"
#include "eventhub/story.h"

/**
 * Whom the engine's callbacks about a session and its links belong to. Every session and link of a
 * client carries one as its user: an attachment, or one of the request-response pairs.
 */
typedef struct rh_endpoint rh_endpoint;

typedef struct rh_endpoint_ops {
    void (*on_end)(rh_endpoint *endpoint, const rh_error *error);
    void (*on_attach)(rh_endpoint *endpoint, rh_link *link, const rh_amqp_attach *answer);
    void (*on_detach)(rh_endpoint *endpoint, rh_link *link, const rh_error *error);
    void (*on_credit)(rh_endpoint *endpoint, rh_link *link);
    void (*on_drained)(rh_endpoint *endpoint, rh_link *link);
    void (*on_gather)(rh_endpoint *endpoint, rh_link *link);
    void (*on_delivery)(rh_endpoint *endpoint, rh_link *link, const rh_incoming *in);
    void (*on_outcome)(rh_endpoint *endpoint, rh_link *link, rh_delivery *delivery, const rh_outcome *outcome);
} rh_endpoint_ops;

struct rh_endpoint {
    const rh_endpoint_ops *ops;
};

typedef enum rh_attachment_state {
    RH_ATTACHMENT_GONE,      /* nothing is held; zeroed memory is in this state */
    RH_ATTACHMENT_WAITING,   /* for the connection and the token */
    RH_ATTACHMENT_ATTACHING, /* begin and attach are on their way */
    RH_ATTACHMENT_UP,
    RH_ATTACHMENT_LOST,    /* on_lost was told; WAITING follows when the engine holds nothing any more */
    RH_ATTACHMENT_CLOSING, /* our detach is on its way, on_down not told yet */
    RH_ATTACHMENT_LEAVING, /* on_down was told; the engine may hold something still */
} rh_attachment_state;

struct rh_attachment {
    rh_endpoint                  endpoint; /* first: the engine's user pointer is both */
    rh_client                   *client;
    const rh_attachment_handler *handler;
    void                        *user;
    struct rh_attachment        *prev, *next; /* in the client's list, until gone */
    struct rh_grant             *grant;
    rh_loan                     *loan;    /* for the session and the link */
    rh_session                  *session; /* NULL: none in the engine */
    rh_link                     *link;
    rh_attachment_state          state;
    bool                         silent; /* abandoned: neither on_down nor deliveries */
    bool                         ending; /* our end was sent */
    bool                         parked; /* waiting for its owner, too */
    bool                         returns; /* its owner opens it again as soon as it is gone */
    bool                         was_up; /* once: from then on it recovers however long that takes */
    bool                         told;   /* error is only why the last try to open it failed, and another one follows */
    bool                         refused; /* its token was, for good */
    uint32_t                     tries;  /* since it was of use */
    uint32_t                     tokens; /* asked for because the service ended it, since it was of use */
    rh_time                      since;  /* it is up, or away */
    rh_time                      again;  /* not attached before */
    rh_time                      open_until; /* it must have been up once */
    rh_time                      deadline;   /* of this step */
    rh_timer                     timer; /* the deadline, or at once when there is something to do */
    rh_story                     error; /* what on_down will tell */
};

#endif
