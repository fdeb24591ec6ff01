/**
 * ringhub/eventhub.h: Azure Event Hubs: a client on a loop, producers and consumers on the client.
 *
 * A client is one connection to one event hub. It never starts a thread, reads a clock or opens a
 * socket by itself: the world is the rh_loop it is given, and everything made on that loop belongs to
 * the loop's thread. Callbacks come from rh_loop_run() and rh_loop_turn() only, never from a call that
 * submits work (one exception is written at rh_client_destroy()). Inside a callback everything is
 * allowed but what turns the loop: calls ending in _wait answer RH_E_REENTRANT there.
 *
 * Every options struct begins with its size, filled in by its macro: RH_CLIENT_OPTS(.hub = "telemetry").
 * Zero or NULL in an option means its default. Every call that waits has a deadline.
 *
 * What the defaults cost, in bytes, for each client:
 *
 *   the connection             at connect                                3.4 KiB; with TLS 15 KiB more, 48 while records flow
 *   $cbs, $management          at first use, a session and two links     1.7 KiB each; RH_POSITION_LATEST uses both
 *   an audience with a token   at a producer's or consumer's open        0.4 KiB; the token's size while it is put
 *   links 64                   at a producer's or consumer's open        1.5 KiB each; 256 for each send in flight beyond one
 *   output ring                while something is written, of the loop   28 KiB
 *
 * Who is busy allocates nothing on the way of an event; what is only needed for work comes with the work, and goes when it has
 * rested for a second or so (see "events, batches").
 *
 * Tokens, keys and signatures never appear in an error, a log line or a frame trace.
 */
#ifndef RH_EVENTHUB_H
#define RH_EVENTHUB_H

#include "codec/codec.h"
#include "proto/proto.h"
#include "transport/transport.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct rh_client rh_client;

/* -- credentials ------------------------------------------------------------------------------- */

/** A token asked for and not yet given; lives until it is answered, failed or cancelled. */
typedef struct rh_token_request rh_token_request;

/** Where tokens come from when the connection string holds no key. Both calls come on the loop's thread. */
typedef struct rh_credential {
    /**
     * Asks for a token; answered by rh_token_answer() or rh_token_fail(), inside the call or later on
     * the loop's thread. Requests of several audiences are asked side by side, so a slow one delays
     * nobody else. audience ("sb://HOST/HUB/Partitions/0") is lent for the call.
     */
    void (*request)(void *user, const char *audience, rh_token_request *request);
    /** Nobody waits any more: the request must not be touched after this call. */
    void (*cancel)(void *user, rh_token_request *request);
    void *user;
} rh_credential;

typedef enum rh_token_type {
    RH_TOKEN_JWT, /* an Entra ID access token for the scope https://eventhubs.azure.net/.default */
    RH_TOKEN_SAS, /* "SharedAccessSignature sr=..&sig=..&se=..&skn=.." */
} rh_token_type;

/** Gives the token, copied, with its end of life in Unix milliseconds (0: unknown, never renewed). */
RH_API void rh_token_answer(rh_token_request *request, rh_slice token, rh_token_type type, int64_t expires_unix_ms);

/**
 * No token. transient: asked again while the old token lives, and for as long as somebody waits for one; otherwise what waits for it
 * fails with RH_E_CREDENTIAL.
 */
RH_API void rh_token_fail(rh_token_request *request, bool transient, const char *words);

/* -- client ------------------------------------------------------------------------------------ */

/**
 * What ends for a reason that may pass (class TRANSIENT, REATTACH or RECONNECT, and once each time a token that was refused) is tried
 * again, the smallest dead thing only.
 *
 *   to open    a connection, a token, a link, a question to $management: until its deadline, and then it ends with what the last try
 *              met, RH_E_TIMEOUT if that was silence. Every other reason ends it at once.
 *   was open   for as long as it takes. Sends without outcome wait for their link and go out again in order, consumers read on
 *              behind the last event they were given. A consumer that comes back to a partition whose five places are taken (RH_E_QUOTA)
 *              tries for ten minutes more: they may be held by connections of its own that the service does not know to be dead.
 *
 * The wait before try n is drawn between nothing and delay_ms doubled n - 1 times, at most max_delay_ms, and never less than what the
 * service asked for. What was back for ten seconds, or brought an event through, is counted from one when it is lost again.
 */
typedef struct rh_retry_opts {
    bool     off;          /* what is lost or fails is over, and told; a token that can be renewed still is, while the old one lives */
    uint32_t delay_ms;     /* 200 */
    uint32_t max_delay_ms; /* 30000 */
    uint32_t tries;        /* in a row, and then it is over; default: as many as it takes */
} rh_retry_opts;

/** Told before each wait; lent for the call. */
typedef struct rh_retry {
    const char     *what;  /* "connection", or the audience of a link, token, send or question: "sb://HOST/hub/Partitions/0" */
    uint32_t        tries; /* of the same thing in a row that failed; 1: the first */
    uint64_t        wait_ns; /* from now; a link waits for its connection, too, and then comes back later than this says */
    const rh_error *error; /* what happened */
} rh_retry;

typedef enum rh_client_state {
    RH_CLIENT_IDLE,       /* not connected until something is opened: new, or closed by a service that saw nothing open */
    RH_CLIENT_CONNECTING, /* name, TCP, TLS, SASL, open; again after a connection was lost */
    RH_CLIENT_OPEN,
    RH_CLIENT_CLOSING,    /* closed by either side, not yet gone */
    RH_CLIENT_CLOSED,     /* for good: make another client */
} rh_client_state;

/** Any member may be NULL. */
typedef struct rh_client_handler {
    /** OPEN, CLOSING, CLOSED as they happen, CONNECTING when a connection was lost, and then IDLE when nothing needs another. error
     *  is NULL but for the last four after a failure; lent for the call. */
    void (*on_state)(void *user, rh_client *client, rh_client_state state, const rh_error *error);
    /** A token that cannot be renewed (a signature in the connection string) ends at expires_unix_ms: told in advance, once. */
    void (*on_expiring)(void *user, rh_client *client, int64_t expires_unix_ms);
    /** Something was lost, could not be opened or was refused by a service that is busy, and will be tried again. */
    void (*on_retry)(void *user, rh_client *client, const rh_retry *retry);
    /** Frame trace: one line a frame, "transfer(handle=0, ..) 1024 B", without payloads and secrets. Costs its printing. */
    void (*on_frame)(void *user, rh_client *client, bool outgoing, uint16_t channel, const char *text);
} rh_client_handler;

typedef struct rh_client_opts {
    size_t      size;
    const char *connection_string;         /* or the namespace, a hub and a credential */
    const char *fully_qualified_namespace; /* "NAME.servicebus.windows.net[:PORT]" */
    const char *hub;                       /* wins nothing: naming another hub than EntityPath is RH_E_CONFLICT */
    const rh_credential *credential;       /* copied; for a connection string without key and signature */

    const char *dial_host; /* default: the endpoint's host. Where the socket goes; audience and addresses keep the endpoint */
    uint16_t    dial_port; /* default: the endpoint's, else 5671 with TLS, 5672 without */
    const char *tls_name;  /* default: the dialed host. Sent as SNI and verified in the certificate */
    const char *hostname;  /* default: the endpoint's host. The hostname field of AMQP's open */
    const char *ca_file;   /* PEM; default: $SSL_CERT_FILE, else the system's */
    rh_slice    ca_pem;    /* the same from memory; lent for the call */
    const char *cert_file; /* client certificate, PEM, with key_file */
    const char *key_file;
    const char *keylog_file; /* TLS secrets for a debugger; NULL: none */
    bool        insecure;    /* does not verify the server's certificate; said in the log */

    const char *application_id; /* put before the user-agent of open, at most 100 bytes are used */
    const char *container_id;   /* default: random */
    uint32_t    idle_time_out_ms;     /* 60000. Silence of the peer for twice this ends the connection */
    uint32_t    operation_timeout_ms; /* 60000. For opening, authorising and everything given no deadline of its own */
    uint32_t    links;                /* 64, at most 65,534. Producers and consumers open at a time */

    rh_retry_opts     retry;
    rh_client_handler handler;
    void             *user;
    rh_log            log; /* default: the loop's */

    /* Connecting waits for every answer of SASL and open: two round trips more. Otherwise that is done only after a peer did
     * not take all of it in one flight, which costs a second connection and is logged ("client.haste"). */
    bool step_by_step;

    uint32_t max_frame_size; /* 65536, at least 512 and at most that. The largest frame the service may send */
    uint32_t session_window; /* 2048. Frames that it may send ahead on each link, renewed at half */
} rh_client_opts;

#define RH_CLIENT_OPTS(...) (&(rh_client_opts){ .size = sizeof(rh_client_opts), __VA_ARGS__ })

/**
 * Makes a client. Nothing is dialed before rh_client_connect()
 * or the first open. Texts of opts are copied.
 *
 * Refuses with RH_E_CONNECTION_STRING (the words name the key, never its value), RH_E_CONFLICT (hub named
 * twice and different, two sources of tokens), RH_E_ARGUMENT (no hub), RH_E_TLS_CERTIFICATE, RH_E_MEMORY.
 * error may be NULL.
 */
RH_API RH_NODISCARD rh_status rh_client_create(rh_loop *loop, const rh_client_opts *opts, rh_client **out, rh_error *error);

/**
 * Starts connecting; on_state tells. RH_E_STATE when it is closed. Needed only to be early: open does it too. It has operation_timeout_ms,
 * or as long as the opening or question with the latest deadline; a client that was not open by then is closed.
 */
RH_API RH_NODISCARD rh_status rh_client_connect(rh_client *client);

/** Connects and turns the loop until open or failed. timeout_ms 0: operation_timeout_ms. The client goes on after a shorter time. */
RH_API RH_NODISCARD rh_status rh_client_connect_wait(rh_client *client, uint32_t timeout_ms, rh_error *error);

typedef void (*rh_client_closed_fn)(void *user, rh_client *client, const rh_error *error);

/**
 * Says goodbye: producers and consumers end with RH_E_CLOSED, the peer is told, and done is called once
 * when the connection is gone or at the deadline (absolute), when it is cut. done may be NULL. Called again before that, the
 * later call's deadline and done hold instead of the earlier ones.
 */
RH_API void rh_client_close(rh_client *client, rh_time deadline, rh_client_closed_fn done, void *user);
/** The same, turning the loop until then. A client that is NULL is closed already. */
RH_API rh_status rh_client_close_wait(rh_client *client, uint32_t timeout_ms, rh_error *error);

/**
 * Dead at once: no callback of the client comes any more and the handle must not be used. The connection
 * is cut (close first to say goodbye) and the loop gives the memory back when the kernel has let go of it.
 * Producers and consumers that still live learn RH_E_CLOSED, from inside this call if nothing is
 * connected; destroy them first to have silence. Destroy every client before its loop. NULL is allowed.
 */
RH_API void rh_client_destroy(rh_client *client);

RH_API rh_client_state rh_client_state_of(const rh_client *client);
RH_API rh_loop *rh_client_loop(const rh_client *client);
RH_API const char *rh_client_hub(const rh_client *client);
RH_API const char *rh_client_host(const rh_client *client); /* the fully qualified namespace */
/** Why the connection ended, was lost or could not be made; status RH_OK while nothing is wrong. */
RH_API const rh_error *rh_client_error(const rh_client *client);

/* -- management -------------------------------------------------------------------------------- */

typedef struct rh_hub_properties {
    const char        *name;
    int64_t            created_at_ms; /* Unix milliseconds, as all *_ms here */
    uint32_t           partition_count;
    const char *const *partition_ids;
} rh_hub_properties;

#define RH_HUB_NAME_MAX     256
#define RH_PARTITION_ID_MAX 32
/* The service calls offsets opaque; the longest seen have 30 bytes, a URL's worth leaves room. */
#define RH_OFFSET_MAX 255

typedef struct rh_partition_properties {
    char    hub[RH_HUB_NAME_MAX + 1];
    char    id[RH_PARTITION_ID_MAX + 1];
    int64_t begin_sequence_number;
    int64_t last_enqueued_sequence_number;           /* -1: nothing was ever enqueued */
    char    last_enqueued_offset[RH_OFFSET_MAX + 1]; /* opaque text; "-1" when empty */
    int64_t last_enqueued_time_ms;
    bool    is_empty;
} rh_partition_properties;

/**
 * Exactly once: properties with RH_OK, otherwise NULL with the error. Both lent for the call; what a hub's pointers show lives in the
 * client until the next answer about the hub, or until the client is destroyed.
 */
typedef void (*rh_hub_properties_fn)(void *user, const rh_hub_properties *properties, const rh_error *error);
typedef void (*rh_partition_properties_fn)(void *user, const rh_partition_properties *properties, const rh_error *error);

/** Asks the service about the hub; asked again when the question or its answer was lost. timeout_ms 0: operation_timeout_ms. */
RH_API void rh_client_hub_properties(rh_client *client, uint32_t timeout_ms, rh_hub_properties_fn done, void *user);
RH_API void rh_client_partition_properties(rh_client *client, const char *partition, uint32_t timeout_ms,
                                           rh_partition_properties_fn done, void *user);

/** The same, turning the loop until the answer. */
RH_API RH_NODISCARD rh_status rh_client_hub_properties_wait(rh_client *client, rh_hub_properties *out,
                                                            uint32_t timeout_ms, rh_error *error);
RH_API RH_NODISCARD rh_status rh_client_partition_properties_wait(rh_client *client, const char *partition,
                                                                  rh_partition_properties *out,
                                                                  uint32_t timeout_ms, rh_error *error);

/* -- partition keys and conditions --------------------------------------------------------------- */

/**
 * The index into the hub's list of partitions that the official JavaScript, .NET and Java clients give a
 * key: for choosing partitions on this side. The service's own choice for a batch with a key may differ.
 */
RH_API uint32_t rh_partition_of_key(rh_slice key, uint32_t partition_count);

/** One row of the table that turns the service's AMQP conditions into a status and a class. */
typedef struct rh_condition {
    const char    *symbol; /* "com.microsoft:server-busy" */
    rh_status      status;
    rh_error_class error_class;
    uint32_t       retry_after_ms;
} rh_condition;

/** The rows, by index from 0; NULL behind the last. */
RH_API const rh_condition *rh_condition_at(size_t index);

/* -- events, batches --------------------------------------------------------------------------- */

/**
 * What producers and consumers cost, in bytes, beside their client and their link.
 *
 *   producer      always                                                      0.8 KiB
 *                 in_flight 1 (each more: two slots)                          128 each
 *                 batch_bytes 1 MiB x batches 3, shared by all its events     3 MiB, from the first batch or event to its rest
 *   consumer      always                                                      1 KiB
 *                 prefetch_bytes 4 MiB: events kept and not yet released      4 MiB, and
 *                 event_bytes 1 MiB + 64 KiB: where large ones are gathered   1.06 MiB, from the first event that is kept or
 *                                                                             came in several frames to their rest
 *
 * Rest: when nothing of the block is in use and nothing was taken or given for 0.75 to 1.5 seconds, the block goes back to the
 * allocator, and the next event asks for it again (RH_E_MEMORY when there is none). So nothing on the way of an event
 * allocates while events come at least that often, or ever with keep_memory (inside libssl excepted). A full block answers
 * RH_AGAIN.
 * Memory that was never touched stays the operating system's.
 */
typedef struct rh_producer rh_producer;
typedef struct rh_batch    rh_batch;
typedef struct rh_consumer rh_consumer;
typedef struct rh_event    rh_event;

/* The service takes keys and string message-ids of up to 128 characters; of these, UTF-8 makes at most 512 bytes. */
#define RH_KEY_CHARACTERS_MAX 128
#define RH_MESSAGE_ID_MAX     512

/**
 * An event to send. Everything is lent for the call that takes it. All but body may be left out; an
 * absent slice is not written. Text is UTF-8.
 *
 * It is only read: who sends many alike keeps one, properties too, and changes what differs, which takes a seventh off
 * the time of rh_batch_add() for an event of 1 KiB.
 */
typedef struct rh_event_data {
    rh_slice     body;
    rh_body_kind body_kind;     /* 0 and RH_BODY_DATA: bytes. RH_BODY_VALUE, RH_BODY_SEQUENCE: the encoded value or list */
    rh_slice     content_type;  /* ASCII */
    rh_slice     message_id;    /* as a string; another type goes into amqp_properties */
    rh_slice     correlation_id;
    rh_slice     partition_key; /* single events only; a batch has one key for all its events */
    const rh_property *properties; /* the application's */
    size_t             property_count;
    const rh_property *annotations; /* message annotations; the service overwrites its own x-opt-* */
    size_t             annotation_count;
    const rh_amqp_properties *amqp_properties; /* the whole section (subject, reply-to, ..); members set above win over it */
    const rh_amqp_header     *amqp_header;
} rh_event_data;

/** An application property or annotation that is text; both are lent as long as the property is used. */
static inline rh_property rh_property_text(const char *key, const char *text)
{
    rh_property property;
    memset(&property, 0, sizeof property);
    property.key         = rh_str(key);
    property.value.type  = RH_STRING;
    property.value.bytes = rh_str(text);
    return property;
}

/**
 * The encoded event in bytes, exactly; name the batch's key to learn the size in a keyed batch. 0: it cannot be
 * encoded (a key or id too long or not UTF-8).
 */
RH_API size_t rh_event_data_size(const rh_event_data *event);

/* -- producer ---------------------------------------------------------------------------------- */

/** How a send ended. Lent for the call. */
typedef struct rh_sent {
    rh_batch       *batch;  /* NULL: a single event */
    void           *tag;    /* as given to the send */
    uint32_t        events;
    size_t          bytes;  /* of the message */
    uint32_t        tries;  /* how often it was sent off; 1: stored once. More: perhaps more often, when an answer was lost */
    rh_status       status; /* RH_OK: the service has stored it */
    const rh_error *error;  /* NULL when RH_OK */
} rh_sent;

/** Any member may be NULL. Each is called from the loop only. */
typedef struct rh_producer_handler {
    void (*on_open)(void *user, rh_producer *producer);

    /**
     * Exactly once for each send that answered RH_OK. With in_flight 1 in the order of the sends but for what passed its deadline;
     * with more, as the service answers.
     *   RH_OK                  stored
     *   RH_E_TIMEOUT           the deadline passed and the service cannot have it
     *   RH_E_OUTCOME_UNKNOWN   all bytes left and no answer came: only you can say whether a duplicate hurts
     *   RH_E_CONNECTION_LOST, RH_E_CLOSED, RH_E_DETACHED, ...  not stored; the link or connection ended first, for good
     *   RH_E_REJECTED, RH_E_RELEASED, RH_E_MODIFIED, RH_E_SERVER_BUSY, RH_E_MESSAGE_TOO_BIG, ...  the service's answer
     * The batch goes back to the producer when the call returns, unless it was sent again or rh_batch_keep() was
     * called inside.
     */
    void (*on_sent)(void *user, rh_producer *producer, const rh_sent *sent);

    /** After a RH_AGAIN: a send or rh_batch_create() is worth another try. */
    void (*on_ready)(void *user, rh_producer *producer);

    /** Once, last: it could not be opened, or is closed; every send has been told. error is NULL after a clean close. */
    void (*on_closed)(void *user, rh_producer *producer, const rh_error *error);
} rh_producer_handler;

typedef struct rh_producer_opts {
    size_t      size;
    const char *partition;   /* "0"; NULL: the service spreads batches, by key if they have one */
    size_t      batch_bytes; /* 1 MiB. The largest batch; the link's own limit holds too */
    uint32_t    batches;     /* 3. Full batches that fit into the producer's memory at a time */
    uint32_t    in_flight;   /* 1. Sends without outcome. With more, order holds unless the service refuses one of them */
    bool        once;        /* a send whose answer was lost ends as RH_E_OUTCOME_UNKNOWN instead of going out again */
    const char *name;        /* of this producer, shown in the service's errors; default: random */
    rh_producer_handler handler;
    void       *user;
    bool        keep_memory; /* asked for at open and kept until destroy: for events that are seldom and must not wait for it */
} rh_producer_opts;

#define RH_PRODUCER_OPTS(...) (&(rh_producer_opts){ .size = sizeof(rh_producer_opts), __VA_ARGS__ })

/**
 * Makes a producer and starts opening it, connecting the client if need be; on_open or on_closed tells.
 * Sends may be made at once. Texts of opts are copied; opts may be NULL. RH_E_ARGUMENT, RH_E_MEMORY, RH_E_LIMIT (the
 * client's links), RH_E_CLOSED or RH_E_CONNECTION_LOST (the client's end).
 */
RH_API RH_NODISCARD rh_status rh_producer_open(rh_client *client, const rh_producer_opts *opts, rh_producer **out);

/**
 * The same, turning the loop until open; the return value stands for on_open. After a failure *out is NULL and no
 * callback came. timeout_ms 0, here and below: the client's operation timeout.
 */
RH_API RH_NODISCARD rh_status rh_producer_open_wait(rh_client *client, const rh_producer_opts *opts, rh_producer **out,
                                                    uint32_t timeout_ms, rh_error *error);

/**
 * Takes no more sends, waits for the outcomes of the others until the deadline (absolute; 0: the client's operation
 * timeout), then detaches. on_closed follows.
 */
RH_API void rh_producer_close(rh_producer *producer, rh_time deadline);
RH_API rh_status rh_producer_close_wait(rh_producer *producer, uint32_t timeout_ms, rh_error *error);

/**
 * Dead at once, with all its batches: no callback comes any more. The memory is given back when the kernel has let
 * go of it. NULL is allowed.
 */
RH_API void rh_producer_destroy(rh_producer *producer);

typedef struct rh_batch_opts {
    size_t      size;
    size_t      max_bytes;     /* default: the producer's batch_bytes or the link's limit, whichever is less */
    const char *partition_key; /* events with the same key share a partition; not with a producer that names one */
} rh_batch_opts;

#define RH_BATCH_OPTS(...) (&(rh_batch_opts){ .size = sizeof(rh_batch_opts), __VA_ARGS__ })

/**
 * An empty batch in the producer's memory; opts may be NULL. RH_AGAIN: no room now, or not open yet (on_ready tells). RH_E_MEMORY:
 * that memory is not to be had now.
 * RH_E_TOO_BIG: max_bytes is above the producer's or the link's limit. RH_E_CONFLICT: a key, and the producer
 * names a partition.
 */
RH_API RH_NODISCARD rh_status rh_batch_create(rh_producer *producer, const rh_batch_opts *opts, rh_batch **out);

/**
 * Encodes the event behind the others, once, in place: these bytes are the ones that will be sent. Costs
 * the size of the event, allocates nothing. RH_E_BATCH_FULL leaves the batch as it was; RH_E_TOO_BIG: the event
 * would not even fit an empty one; RH_E_STATE: the batch was sent; RH_E_CONFLICT: the event names another key.
 */
RH_API RH_NODISCARD rh_status rh_batch_add(rh_batch *batch, const rh_event_data *event);

RH_API uint32_t rh_batch_count(const rh_batch *batch); /* events */
RH_API size_t   rh_batch_bytes(const rh_batch *batch); /* of the message as it would be sent now, to the byte */
RH_API size_t   rh_batch_room(const rh_batch *batch);  /* the largest rh_event_data_size() that still fits */
RH_API rh_slice rh_batch_encoded(const rh_batch *batch); /* lent until the next add */

/** Inside on_sent: the batch stays the caller's, to be sent again or destroyed. */
RH_API void rh_batch_keep(rh_batch *batch);

/** Gives back a batch that is the caller's: one never sent, or kept. NULL is allowed. */
RH_API void rh_batch_destroy(rh_batch *batch);

/**
 * Sends a batch: it belongs to the producer until on_sent. deadline is absolute; 0: the client's operation timeout from
 * now. RH_AGAIN: in_flight sends are under way, the batch is still the caller's. RH_E_TOO_BIG: larger than the
 * link takes. RH_E_ARGUMENT: empty. RH_E_STATE: sent already. Otherwise why the producer ended.
 */
RH_API RH_NODISCARD rh_status rh_producer_send(rh_producer *producer, rh_batch *batch, rh_time deadline, void *tag);

/** Sends one event as a message of its own: the shortest way. The same errors, and RH_E_MEMORY; on RH_AGAIN nothing was taken. */
RH_API RH_NODISCARD rh_status rh_producer_send_event(rh_producer *producer, const rh_event_data *event, rh_time deadline,
                                                     void *tag);

/**
 * Sends and turns the loop until the outcome; on_sent is not called. After RH_OK the batch is the producer's again, after
 * anything else the caller's: send it again or destroy it.
 */
RH_API RH_NODISCARD rh_status rh_producer_send_wait(rh_producer *producer, rh_batch *batch, uint32_t timeout_ms,
                                                    rh_error *error);
RH_API RH_NODISCARD rh_status rh_producer_send_event_wait(rh_producer *producer, const rh_event_data *event,
                                                          uint32_t timeout_ms, rh_error *error);

/** Turns the loop until no send is without outcome. RH_OK says only that: on_sent told how each ended. */
RH_API RH_NODISCARD rh_status rh_producer_flush_wait(rh_producer *producer, uint32_t timeout_ms);

RH_API bool            rh_producer_is_open(const rh_producer *producer);
RH_API uint32_t        rh_producer_in_flight(const rh_producer *producer); /* sends without outcome */
RH_API size_t          rh_producer_max_bytes(const rh_producer *producer); /* the largest message now; 0: not open */
RH_API const char     *rh_producer_partition(const rh_producer *producer); /* NULL: the service chooses */
RH_API const rh_error *rh_producer_error(const rh_producer *producer); /* why it ended; status RH_OK: it has not */

/* -- received events --------------------------------------------------------------------------- */

/**
 * A received event is a view: sections are found, nothing is decoded before somebody asks. What the
 * calls below answer points into the event and lives as long as it does: during on_event, or until
 * rh_event_release() for one that was retained. A retained event may be read on any thread.
 */
RH_API rh_body_kind rh_event_body_kind(const rh_event *event);
RH_API rh_slice     rh_event_body(const rh_event *event); /* bytes; of a VALUE or SEQUENCE the encoded value or list */

/* What the service writes on every event. Absent only from a peer that is no event hub: -1, -1, absent. */
RH_API int64_t  rh_event_sequence_number(const rh_event *event);
RH_API int64_t  rh_event_enqueued_time_ms(const rh_event *event);
RH_API rh_slice rh_event_offset(const rh_event *event);        /* opaque text: keep it, never calculate with it */

RH_API rh_slice rh_event_partition_key(const rh_event *event); /* absent: none */
RH_API rh_slice rh_event_content_type(const rh_event *event);
RH_API bool     rh_event_message_id(const rh_event *event, rh_value *out);     /* false: none */
RH_API bool     rh_event_correlation_id(const rh_event *event, rh_value *out);

/** One of the application's properties; false: there is none of that name. */
RH_API bool rh_event_property(const rh_event *event, const char *key, rh_value *out);
/** One of the message annotations ("x-opt-publisher", "iothub-connection-device-id"). */
RH_API bool rh_event_annotation(const rh_event *event, const char *key, rh_value *out);

/** Walks a map: for (rh_property_walk w = rh_event_properties(e); rh_property_next(&w, &property);) */
typedef struct rh_property_walk {
    rh_dec items;
} rh_property_walk;

RH_API rh_property_walk rh_event_properties(const rh_event *event);  /* the application's, in the sender's order */
RH_API rh_property_walk rh_event_annotations(const rh_event *event); /* all message annotations */
RH_API bool rh_property_next(rh_property_walk *walk, rh_property *out);

/** The whole properties section of AMQP (subject, to, reply-to, group-id, ..); false: none. */
RH_API bool rh_event_amqp_properties(const rh_event *event, rh_amqp_properties *out);

/** Where the partition ends, told with the event when track_last_enqueued was asked for. */
typedef struct rh_last_enqueued {
    int64_t  sequence_number;
    rh_slice offset;
    int64_t  time_ms;
    int64_t  retrieved_ms;
} rh_last_enqueued;

RH_API bool rh_event_last_enqueued(const rh_event *event, rh_last_enqueued *out); /* false: not told */

RH_API const rh_message *rh_event_message(const rh_event *event); /* the sections as they came */
RH_API rh_slice          rh_event_encoded(const rh_event *event); /* the whole message */

/**
 * Keeps an event beyond on_event in the consumer's pool: one of a single frame is copied, a gathered one
 * gives up its buffer. *kept is a handle of its own; retaining that again counts. RH_AGAIN: the pool is full
 * (prefetch_bytes). RH_E_MEMORY: there is none for the pool. The lent event is still good for the rest of the call.
 */
RH_API RH_NODISCARD rh_status rh_event_retain(const rh_event *event, const rh_event **kept);

/**
 * Gives up a retained event, on the loop's thread, in any order. Credit that waited for room goes out again.
 * NULL is allowed.
 */
RH_API void rh_event_release(const rh_event *event);

/* -- consumer ---------------------------------------------------------------------------------- */

typedef enum rh_position_kind {
    RH_POSITION_EARLIEST,
    RH_POSITION_LATEST,   /* see below */
    RH_POSITION_OFFSET,
    RH_POSITION_SEQUENCE,
    RH_POSITION_TIME,     /* enqueued after (or at) this Unix time in milliseconds */
} rh_position_kind;

/**
 * Where to start reading. inclusive: the event that sits exactly there is wanted too.
 *
 * LATEST gives nothing that was enqueued before the open, all that is enqueued after OPEN was told, and of what is enqueued between
 * the two what is behind the place that the service chose. To hold that over a loss before the first event, the partition is
 * asked for its last event ($management) beside the opening: one round trip more, none while the client's pair of links for questions
 * is there. OPEN does not wait for the answer for longer than five seconds. If there is none, or a refusal (both logged, "consumer.latest"),
 * or with retry.off, a consumer lost before its first event reads on from its return, and misses what came meanwhile.
 */
typedef struct rh_position {
    rh_position_kind kind;
    bool             inclusive;
    int64_t          value;  /* SEQUENCE, TIME */
    const char      *offset; /* OFFSET: as rh_event_offset() gave it, ended by a zero */
} rh_position;

typedef enum rh_consumer_state {
    RH_CONSUMER_OPENING,
    RH_CONSUMER_OPEN,
    RH_CONSUMER_RECOVERING, /* lost; OPEN again behind the last event that was given, or CLOSED */
    RH_CONSUMER_CLOSING,
    RH_CONSUMER_STOLEN, /* final: another consumer with an owner level reads this partition now */
    RH_CONSUMER_CLOSED, /* final */
} rh_consumer_state;

typedef struct rh_consumer_handler {
    /** One event, lent for the call. NULL: events wait in the pool for rh_consumer_receive(). */
    void (*on_event)(void *user, rh_consumer *consumer, const rh_event *event);
    /** error is NULL but for RECOVERING, STOLEN and for CLOSED after a failure; lent for the call. No event comes after a final state. */
    void (*on_state)(void *user, rh_consumer *consumer, rh_consumer_state state, const rh_error *error);
    /**
     * With stall_ms: the partition's last event is this, and though there is credit for it nothing came for so long. Told again after
     * as long again. Nothing is done about it; a consumer that is closed and opened again behind its last event may read on.
     */
    void (*on_stalled)(void *user, rh_consumer *consumer, int64_t last_enqueued_sequence_number);
} rh_consumer_handler;

typedef struct rh_consumer_opts {
    size_t      size;
    const char *group;     /* "$Default" */
    const char *partition; /* "0"; must be named */
    rh_position position;  /* earliest */
    bool        has_owner_level;
    int64_t     owner_level;    /* one reader per group and partition: a higher or equal level takes over, a lower one fails */
    uint32_t    prefetch;       /* 300. Events the service may send ahead; renewed at half */
    size_t      prefetch_bytes; /* 4 MiB, at least twice event_bytes. Of events kept, and sent ahead if as large as the last */
    size_t      event_bytes;    /* 1 MiB + 64 KiB. The largest taken; the service adds annotations to what was sent */
    const char *name;           /* shown in the service's errors; default: none */
    bool        track_last_enqueued;
    rh_consumer_handler handler;
    void       *user;
    bool        keep_memory; /* asked for at open and kept until destroy */
    uint32_t    stall_ms; /* 0: no watchdog. After so much silence, or an eighth more, the service is asked whether the partition holds more:
                             a question to $management in every such time in which nothing comes, 0.2 KiB, and nothing for each event */
} rh_consumer_opts;

#define RH_CONSUMER_OPTS(...) (&(rh_consumer_opts){ .size = sizeof(rh_consumer_opts), __VA_ARGS__ })

/** Makes a consumer and starts opening it; on_state tells. Texts of opts are copied. The errors of rh_producer_open(). */
RH_API RH_NODISCARD rh_status rh_consumer_open(rh_client *client, const rh_consumer_opts *opts, rh_consumer **out);

/** The same, turning the loop until open; on_event may be called meanwhile, on_state is not. After a failure *out is NULL. */
RH_API RH_NODISCARD rh_status rh_consumer_open_wait(rh_client *client, const rh_consumer_opts *opts, rh_consumer **out,
                                                    uint32_t timeout_ms, rh_error *error);

/**
 * Without on_event: the next event, retained for the caller, who releases it. RH_AGAIN: none waits.
 * After the end of the consumer what waits is still given, then why it ended (RH_E_CLOSED when closed by this side).
 */
RH_API RH_NODISCARD rh_status rh_consumer_receive(rh_consumer *consumer, const rh_event **out);
/** The same, turning the loop until one comes. RH_E_TIMEOUT: none came. */
RH_API RH_NODISCARD rh_status rh_consumer_receive_wait(rh_consumer *consumer, const rh_event **out, uint32_t timeout_ms);

/** Detaches; CLOSED follows, at the latest at the deadline (absolute; 0: the client's operation timeout). */
RH_API void rh_consumer_close(rh_consumer *consumer, rh_time deadline);
RH_API rh_status rh_consumer_close_wait(rh_consumer *consumer, uint32_t timeout_ms, rh_error *error);

/** Dead at once: no callback comes any more. Retained events stay good until they are released. NULL is allowed. */
RH_API void rh_consumer_destroy(rh_consumer *consumer);

RH_API rh_consumer_state rh_consumer_state_of(const rh_consumer *consumer);
RH_API const char       *rh_consumer_partition(const rh_consumer *consumer);
RH_API const char       *rh_consumer_group(const rh_consumer *consumer);
RH_API uint32_t          rh_consumer_held(const rh_consumer *consumer);   /* events in the pool: retained or waiting */
RH_API const rh_error   *rh_consumer_error(const rh_consumer *consumer);  /* why it ended; status RH_OK: it has not */

#ifdef __cplusplus
}
#endif

#endif
