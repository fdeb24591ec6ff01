/**
 * What producers, consumers and the other files of eventhub/ may know of a client.
 *
 * An attachment is one authorised link on a session of its own: the thing a producer or a consumer
 * sends or receives through. It is embedded in its owner and walks
 *
 *   connect (if needed) -> put-token for the audience -> begin -> attach -> up -> down -> gone
 *
 * Every callback of an attachment comes from the loop, never from the call that asked for something
 * (rh_client_destroy() of a client that has no connection is the one exception).
 */
#ifndef RH_EVENTHUB_CLIENT_H
#define RH_EVENTHUB_CLIENT_H

#include "eventhub/story.h"

typedef struct rh_attachment rh_attachment;

typedef struct rh_attachment_handler {
    /**
     * The session is there and the token is accepted: make the link now, with rh_link_attach(session,
     * opts, link_user, link), link_user passed on untouched. Whatever opts needs may live on the stack.
     * Not RH_OK ends the attachment with that status. Called again after a recovery, so build the position from what
     * was delivered last.
     */
    rh_status (*attach)(void *user, rh_session *session, void *link_user, rh_link **link);

    /** The peer attached its end; answer is lent for the call. May be NULL. */
    void (*on_up)(void *user, rh_link *link, const rh_amqp_attach *answer);

    void (*on_credit)(void *user);                             /* sender: credit came. May be NULL */
    void (*on_drained)(void *user);                            /* receiver: drain was answered. May be NULL */
    void (*on_gather)(void *user, rh_link *link);              /* receiver: as the engine's on_gather. May be NULL */
    void (*on_delivery)(void *user, const rh_incoming *in);    /* receiver; lent for the call; never after on_down */
    /** Once for each send that answered RH_OK; may still come between on_down and on_gone, never after on_gone. */
    void (*on_outcome)(void *user, rh_delivery *delivery, const rh_outcome *outcome);

    /**
     * Not up any more, and will be again: on_up follows, or on_down. error is lent. Deliveries without outcome have theirs
     * before the next on_up. The link and the session must not be used after this call. May be NULL.
     */
    void (*on_lost)(void *user, const rh_error *error);

    /**
     * Once for each open: not up any more, or never came up. error is lent; its status is RH_OK after
     * rh_attachment_close(), RH_E_TIMEOUT when the deadline passed first, RH_E_CONNECTION_LOST, or what the
     * service said. The link and the session must not be used after this call.
     */
    void (*on_down)(void *user, const rh_error *error);

    /**
     * Once, after on_down (maybe much later, when the peer is slow): the engine and the kernel hold nothing
     * of the owner any more. Its memory, the attachment included, may be freed inside this call.
     */
    void (*on_gone)(void *user);
} rh_attachment_handler;

#define RH_ATTACHMENT_NAME 24

/**
 * Starts the walk. path "HUB/Partitions/3" names the audience (the endpoint is put before it) and is
 * copied, the link's name is it with at most RH_ATTACHMENT_NAME bytes more; sends is how many deliveries it may have without outcome, one of
 * which puts its token before it is up;
 * handler must outlive the attachment. deadline (absolute; 0: the client's operation timeout from
 * now) bounds the walk until on_up. The attachment's memory belongs to this until on_gone.
 *
 * RH_E_STATE when it is open already, RH_E_CONNECTION_LOST or RH_E_CLOSED when the client's connection
 * ended, RH_E_LIMIT when all links are taken, RH_E_MEMORY; then no callback comes.
 */
RH_NODISCARD rh_status rh_attachment_open(rh_client *client, rh_attachment *attachment, const char *path, uint32_t sends,
                                          const rh_attachment_handler *handler, void *user, rh_time deadline);

/** The same, for what was up before: it waits for rh_attachment_go_on() before it attaches, has no deadline, and is lost and found like any other. */
RH_NODISCARD rh_status rh_attachment_park(rh_client *client, rh_attachment *attachment, const char *path,
                                          const rh_attachment_handler *handler, void *user);

/** A parked one walks on. */
void rh_attachment_go_on(rh_attachment *attachment);

/** Detaches politely; on_down(RH_OK) when the peer answered, RH_E_TIMEOUT at the deadline (0: as above). Repeating is harmless. */
void rh_attachment_close(rh_attachment *attachment, rh_time deadline);

/** As close for an owner who will hear nothing more: no callback but on_outcome and on_gone. The link is still detached politely. */
void rh_attachment_abandon(rh_attachment *attachment);

/**
 * As close for an owner who will open it again as soon as it is gone: a detach or an end that is not answered within the client's
 * operation timeout costs the connection, for the old link is in the way of the new one. on_down tells RH_OK.
 */
void rh_attachment_return(rh_attachment *attachment);

/** From on_lost: for its owner it was not open yet, so the deadline of the opening still holds. */
void rh_attachment_still_opens(rh_attachment *attachment);

/** It does not come back after all: only the deadline of close() holds. */
void rh_attachment_stay_away(rh_attachment *attachment);

/** The service does not answer what is sent on this link: it is detached and attached again, by the next turn. */
void rh_attachment_renew(rh_attachment *attachment);

/** Nothing is held: the memory is the owner's (never opened, refused at open, or after on_gone). */
bool rh_attachment_is_gone(const rh_attachment *attachment);

/** Up and usable. NULL otherwise. */
rh_link *rh_attachment_link(const rh_attachment *attachment);

/** "sb://HOST/HUB/Partitions/3"; not once it is gone. */
const char *rh_attachment_audience(const rh_attachment *attachment);

/** After any submit on a link (send, credit, settle, abort): output is flushed at the end of this turn. */
void rh_client_wake(rh_client *client);

/** Tells the log, if anybody listens: one line, cut at 600 bytes, built from up to three texts (NULL: none). */
void rh_client_log(const rh_client *client, rh_log_level level, const char *id, const char *a, const char *b, const char *c);

/** Turns the loop until *done or the deadline. RH_OK, RH_E_TIMEOUT, RH_E_REENTRANT, or what the loop says. */
RH_NODISCARD rh_status rh_client_wait(rh_client *client, const bool *done, rh_time deadline);

/** Absolute deadline for timeout_ms from now; 0: the client's operation timeout. */
rh_time rh_client_deadline(const rh_client *client, uint32_t timeout_ms);

const rh_allocator *rh_client_allocator(const rh_client *client);

/* -- errors of the service (condition.c) ------------------------------------------------------------ */

/** Fills the story from an AMQP error: status, class, retry-after and tracking id by the one table. */
void rh_error_of_condition(rh_error *error, rh_slice condition, rh_slice description);

/**
 * What an ended send means: RH_OK for accepted (and for what was sent settled), otherwise the status and its
 * story. RH_UNKNOWN is RH_E_OUTCOME_UNKNOWN, RH_DROPPED is RH_E_CONNECTION_LOST unless the caller knows better.
 */
rh_status rh_error_of_outcome(rh_error *error, const rh_outcome *outcome);

/** Maps an error told by the engine in place: the peer's conditions through the table, our own to their class. */
void rh_error_refine(rh_error *error);

/** A code answered by $cbs or $management; condition (may be absent) decides before the code. */
void rh_error_of_code(rh_error *error, int64_t code, rh_slice condition, rh_slice description);

/** One of our own, with its class. words: up to three texts joined (NULL: none), cut where too long. */
void rh_error_own(rh_error *error, rh_status status, const char *a, const char *b, const char *c);

/** Why a wait ended, for who waited (error may be NULL): the object's own story where it tells of this status, else `what` and its words. */
void rh_error_of_wait(rh_error *error, rh_status status, const rh_story *story, const char *what);

/** The class of a status that does not come from the service. */
rh_error_class rh_class_of(rh_status status);

#include "eventhub/attachment.h"

#endif
