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
 *   links 64, deliveries 256   the engine's arena, given at create       about 64 KiB
 *   output ring 16 KiB         headers of frames on their way            16 KiB
 *   an audience with a token   at a producer's or consumer's open        about 1 KiB, and the token
 *   $cbs, $management          one session and two links each            4 KiB and 32 KiB of gather buffer
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

/** No token. transient: asked again while the old token lives; otherwise what waits for it fails with RH_E_CREDENTIAL. */
RH_API void rh_token_fail(rh_token_request *request, bool transient, const char *words);

/* -- client ------------------------------------------------------------------------------------ */

typedef enum rh_client_state {
    RH_CLIENT_IDLE,       /* made, not connected yet */
    RH_CLIENT_CONNECTING, /* name, TCP, TLS, SASL, open */
    RH_CLIENT_OPEN,
    RH_CLIENT_CLOSING,    /* closed by either side, not yet gone */
    RH_CLIENT_CLOSED,     /* for good: make another client */
} rh_client_state;

/** Any member may be NULL. */
typedef struct rh_client_handler {
    /** error is NULL but for CLOSING and CLOSED after a failure; lent for the call. */
    void (*on_state)(void *user, rh_client *client, rh_client_state state, const rh_error *error);
    /** A token that cannot be renewed (a signature in the connection string) ends at expires_unix_ms: told in advance, once. */
    void (*on_expiring)(void *user, rh_client *client, int64_t expires_unix_ms);
    /** Frame trace: one line a frame, "transfer(handle=0, ..) 1024 B", without payloads and secrets. Costs its printing. */
    void (*on_frame)(void *user, rh_client *client, bool outgoing, uint16_t channel, const char *text);
} rh_client_handler;

typedef struct rh_client_opts {
    size_t      size;
    const char *connection_string;         /* or the namespace, a hub and a credential */
    const char *fully_qualified_namespace; /* "NAME.servicebus.windows.net[:PORT]" */
    const char *hub;                       /* wins nothing: naming another hub than EntityPath is RH_E_CONFLICT */
    const rh_credential *credential;       /* copied; tokens instead of the connection string's key */

    const char *dial_host; /* default: the endpoint's host. Where the socket goes; audience and addresses keep the endpoint */
    uint16_t    dial_port; /* default: the endpoint's, else 5671 with TLS, 5672 without */
    const char *tls_name;  /* default: the dialed host. Sent as SNI and verified in the certificate */
    const char *hostname;  /* default: the endpoint's host. The hostname field of AMQP's open */
    const char *ca_file;   /* PEM; default: $SSL_CERT_FILE, else the system's */
    const char *cert_file; /* client certificate, PEM, with key_file */
    const char *key_file;
    const char *keylog_file; /* TLS secrets for a debugger; NULL: none */
    bool        insecure;    /* does not verify the server's certificate; said in the log */

    const char *application_id; /* put before the user-agent of open, at most 100 bytes are used */
    const char *container_id;   /* default: random */
    uint32_t    idle_time_out_ms;     /* 60000. Silence of the peer for twice this ends the connection */
    uint32_t    operation_timeout_ms; /* 60000. For opening, authorising and everything given no deadline of its own */
    uint32_t    links;                /* 64. Producers and consumers open at a time */
    uint32_t    deliveries;           /* 256. Unsettled sends at a time, all producers together */

    rh_client_handler handler;
    void             *user;
    rh_log            log; /* default: the loop's */
} rh_client_opts;

#define RH_CLIENT_OPTS(...) (&(rh_client_opts){ .size = sizeof(rh_client_opts), __VA_ARGS__ })

/**
 * Makes a client; all memory of its connection is given here. Nothing is dialed before rh_client_connect()
 * or the first open. Texts of opts are copied.
 *
 * Refuses with RH_E_CONNECTION_STRING (the words name the key, never its value), RH_E_CONFLICT (hub named
 * twice and different, two sources of tokens), RH_E_ARGUMENT (no hub), RH_E_TLS_CERTIFICATE, RH_E_MEMORY.
 * error may be NULL.
 */
RH_API RH_NODISCARD rh_status rh_client_create(rh_loop *loop, const rh_client_opts *opts, rh_client **out, rh_error *error);

/** Starts connecting; on_state tells. RH_E_STATE when it is closed. Needed only to be early: open does it too. */
RH_API RH_NODISCARD rh_status rh_client_connect(rh_client *client);

/** Connects and turns the loop until open or failed. timeout_ms 0: operation_timeout_ms. */
RH_API RH_NODISCARD rh_status rh_client_connect_wait(rh_client *client, uint32_t timeout_ms, rh_error *error);

typedef void (*rh_client_closed_fn)(void *user, rh_client *client, const rh_error *error);

/**
 * Says goodbye: producers and consumers end with RH_E_CLOSED, the peer is told, and done is called once
 * when the connection is gone or at the deadline (absolute), when it is cut. done may be NULL.
 */
RH_API void rh_client_close(rh_client *client, rh_time deadline, rh_client_closed_fn done, void *user);
RH_API rh_status rh_client_close_wait(rh_client *client, uint32_t timeout_ms, rh_error *error);

/**
 * Dead at once: no callback of the client comes any more and the handle must not be used. The connection
 * is cut (close first to say goodbye) and the loop gives the memory back when the kernel has let go of it.
 * Producers and consumers that still live learn RH_E_CLOSED, from inside this call if nothing was
 * connected; destroy them first to have silence. Destroy every client before its loop. NULL is allowed.
 */
RH_API void rh_client_destroy(rh_client *client);

RH_API rh_client_state rh_client_state_of(const rh_client *client);
RH_API rh_loop *rh_client_loop(const rh_client *client);
RH_API const char *rh_client_hub(const rh_client *client);
RH_API const char *rh_client_host(const rh_client *client); /* the fully qualified namespace */
/** Why the connection ended or could not be made; status RH_OK while nothing is wrong. */
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

/** Exactly once: properties with RH_OK, otherwise NULL with the error. Both lent for the call. */
typedef void (*rh_hub_properties_fn)(void *user, const rh_hub_properties *properties, const rh_error *error);
typedef void (*rh_partition_properties_fn)(void *user, const rh_partition_properties *properties, const rh_error *error);

/** Asks the service about the hub. timeout_ms 0: operation_timeout_ms. */
RH_API void rh_client_hub_properties(rh_client *client, uint32_t timeout_ms, rh_hub_properties_fn done, void *user);
RH_API void rh_client_partition_properties(rh_client *client, const char *partition, uint32_t timeout_ms,
                                           rh_partition_properties_fn done, void *user);

/**
 * The same, turning the loop until the answer. What out's pointers show lives in the client until the next
 * answer about the hub, or until the client is destroyed.
 */
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

#ifdef __cplusplus
}
#endif

#endif
