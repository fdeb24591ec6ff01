/**
 * connection.h: the inside of a client: its settings, and the engine joined to a pipe.
 */
#ifndef RH_EVENTHUB_CONNECTION_H
#define RH_EVENTHUB_CONNECTION_H

#include "eventhub/cbs.h"
#include "eventhub/loan.h"

/** Texts of the options, copied into one block that is wiped when it is freed. */
typedef struct rh_client_settings {
    const char *host;      /* the fully qualified namespace, without port */
    const char *authority; /* as written, with its port: in audiences */
    const char *hub;
    const char *dial_host, *tls_name, *hostname;
    const char *container_id, *application_id;
    const char *key_name, *key, *signature; /* NULL: not that way */
    uint16_t    dial_port;
} rh_client_settings;

/* The largest frame a client takes; the service does not send larger ones, whatever is announced. */
#define RH_CLIENT_FRAME 65536

struct rh_client {
    rh_loop           *loop;
    rh_client_state    state;
    rh_client_handler  handler;
    void              *user;
    rh_log             log;
    rh_client_settings settings;
    rh_credential      credential; /* request == NULL: from the settings */
    rh_tls            *tls;        /* NULL: plain TCP */
    uint32_t           operation_timeout_ms;
    uint32_t           session_window; /* 0: the engine's default */
    char              *texts;
    size_t             texts_n;

    uint32_t       idle_time_out_ms;
    uint16_t       last_byte; /* of the largest frame: two bytes hold that, and not its size */
    void          *arena;
    size_t         arena_n;
    rh_engine     *engine; /* NULL: never connected */
    rh_loan       *loans;  /* its sessions, links and deliveries */
    void          *room;   /* of the loop, while the engine writes frames there */
    size_t         room_n;
    rh_pipe       *pipe;   /* NULL: none, or gone */
    rh_timer       timer;    /* the engine's deadline or one of the next two */
    rh_time        deadline; /* of a try to connect, or of closing */
    rh_time        patience; /* with a peer that was told everything at once */
    rh_story       error;    /* why it ended, or was lost the last time; RH_OK: not, or because we closed */
    rh_retry_opts  retry;
    uint32_t       tries;      /* to connect, since something was of use */
    rh_time        open_until; /* it must have been open once */
    rh_time        open_at;
    rh_time        redial;     /* RH_TIME_NEVER: not waiting to */

    bool spare_loans;
    bool room_failed;
    bool pipe_up;
    bool pipelines; /* tells the peer everything at once */
    bool again;     /* it did not take that: dial once more when the pipe is down */
    bool opened;    /* this connection was, as far as it came */
    bool was_open;  /* once: from then on it recovers however long that takes */
    bool lost;      /* from the loss of a connection, or of a try at the first, until the next one is open */
    bool closing;   /* rh_client_close() was called; the loop has to act on it */
    bool destroyed;
    bool waiting;   /* a call further down the stack turns the loop and looks again: not to be freed */

    unsigned            busy; /* callbacks of the loop that are running: nothing may be freed */
    rh_client_closed_fn closed;
    void               *closed_user;

    rh_attachment   *attachments;
    uint32_t         attachment_count, attachments_max;
    rh_grant        *grants;
    rh_exchange      cbs, management;
    rh_grant        *management_grant;
    struct rh_inquiry *inquiries;
    char            *hub_answer; /* what rh_hub_properties shows */
    size_t           hub_answer_n;
};

/* -- connection.c: the engine joined to a pipe */

void rh_client_init(rh_client *client);

/** Dials. The state becomes CONNECTING, or CLOSED with the error when not even that is possible. */
RH_NODISCARD rh_status rh_client_dial(rh_client *client);

/** The first opening of it may take until then, if that is later than what was allowed before. */
void rh_client_allow(rh_client *client, rh_time deadline);

/** Ends everything on the connection with error, closes politely if it can. From the loop only. */
void rh_client_end(rh_client *client, const rh_error *error);

/** Takes the connection for lost, for this reason: nothing is said any more. From the loop only. */
void rh_client_break(rh_client *client, const rh_error *error);

/** Cuts the pipe; what was lent comes back from the loop. */
void rh_client_cut(rh_client *client);

/** Bracket every callback of the loop: the client is not freed between them, and may be at the last leave. */
void rh_client_enter(rh_client *client);
void rh_client_leave(rh_client *client);

/** Tells on_state, unless destroyed. */
void rh_client_set_state(rh_client *client, rh_client_state state);

/** Why nothing can be opened: RH_E_CLOSED, or how the connection ended. */
void rh_client_why_closed(const rh_client *client, rh_error *error);

/** Makes timer fire with the next turn. */
void rh_client_poke(rh_client *client, rh_timer *timer);

const rh_engine_handler *rh_client_engine_handler(const rh_client *client);

/* -- opening.c: the engine's memory, and what it says first */

/** An engine with all that was lent, ready to speak. RH_E_ARGUMENT: an open that no peer takes. */
RH_NODISCARD rh_status rh_client_make_engine(rh_client *client);
void                   rh_client_drop_engine(rh_client *client);

/** Room for the engine's own frames, borrowed of the loop. */
void *rh_client_lend_room(rh_client *client, size_t n);
void  rh_client_take_room(rh_client *client);

/* -- client.c */

/** Gives everything back. Nothing of the client may be held by anybody. */
void rh_client_free(rh_client *client);

/* -- attachment.c */

void rh_attachments_opened(rh_client *client);                              /* the connection is open */
void rh_attachments_granted(rh_client *client, const rh_grant *grant);      /* its token was accepted */
void rh_attachments_refused(rh_client *client, const rh_grant *grant, const rh_error *error);
void rh_attachments_lose(rh_client *client, const rh_error *error);         /* the connection is gone, another will come. From the loop only */
void rh_attachments_end(rh_client *client, const rh_error *error);          /* from the loop only */
void rh_attachments_release(rh_client *client);                             /* the engine is gone: nothing is held */

/* -- management.c */

void rh_inquiries_poke(rh_client *client);
void rh_inquiries_refused(rh_client *client, const rh_grant *grant, const rh_error *error);
void rh_inquiries_end(rh_client *client, const rh_error *error); /* from the loop only */
bool rh_inquiries_wait(const rh_client *client);                   /* for their token, among other things */
void rh_inquiries_forget(rh_client *client, const void *user);     /* whoever asked for this user hears nothing */

#endif
