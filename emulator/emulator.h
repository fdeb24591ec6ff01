/**
 * ringhub/emulator.h: an Event Hubs namespace in one process.
 *
 * Hubs, partitions and consumer groups in memory, behind AMQP 1.0 over TCP and TLS, for tests and for work
 * without a cloud account. It answers what the official clients need and is strict: a peer that breaks the
 * protocol is told so with the condition the specification has for it, a token is believed only if its
 * signature, its expiry and its audience are right, a connection without links is closed as the service closes it
 * (a minute after open, five after its last link), a sender without events is detached after half an hour. It writes to disk only when asked (data_dir), never speaks to
 * Azure, and sees time, randomness and sockets only through the loop it lives on, so it runs in a simulated world too.
 *
 * Any number of emulators may live in one process. Memory comes from the loop's allocator and is bounded by
 * max_bytes, max_connections and what each connection may hold; events are stored once, whoever reads them.
 */
#ifndef RH_EMULATOR_H
#define RH_EMULATOR_H

#include "codec/base.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct rh_emulator rh_emulator;
struct rh_loop;

/* -- options ---------------------------------------------------------------------------------- */

#define RH_EMULATOR_RULE "RootManageSharedAccessKey"
#define RH_EMULATOR_KEY  "SAS_KEY_VALUE"

/* What the service's largest tier allows; the official configuration file stops at 32. */
#define RH_EMULATOR_PARTITIONS_MAX 1024

/** One event hub. The consumer group $Default exists in each, named or not. */
typedef struct rh_emulator_hub {
    const char        *name;       /* begins and ends with a letter or digit; between them also - . / _ */
    uint32_t           partitions; /* fixed from now on; 0: 4 */
    const char *const *groups;     /* further consumer groups */
    size_t             group_count;
} rh_emulator_hub;

/** Where a test may interfere, before anything is judged. */
typedef enum rh_emulator_moment {
    RH_EMULATOR_TOKEN,   /* a token is put on $cbs */
    RH_EMULATOR_INQUIRY, /* a question to $management */
    RH_EMULATOR_ATTACH,  /* a sender or a reader attaches */
    RH_EMULATOR_SEND,    /* an event or a batch came */
} rh_emulator_moment;

typedef enum rh_emulator_fault {
    RH_EMULATOR_NO_FAULT,
    RH_EMULATOR_REFUSE, /* with the condition that was given */
    RH_EMULATOR_IGNORE, /* neither done nor answered */
    RH_EMULATOR_FORGET, /* done, and the answer is lost; for an attach the same as IGNORE */
    RH_EMULATOR_LATE,   /* done, and answered late_ms later; an attach is answered at once */
} rh_emulator_fault;

/** Called on the emulator's loop. Nothing of the emulator may be called inside. */
typedef struct rh_emulator_faults {
    rh_emulator_fault (*judge)(void *user, rh_emulator_moment moment, const char **condition); /* NULL: nothing ever goes wrong */
    void *user;
} rh_emulator_faults;

/** What a fault script did so far, a row for each line and condition. */
typedef struct rh_emulator_strike {
    uint32_t    line;      /* of the script */
    const char *fault;     /* "detach" */
    const char *condition; /* NULL: without one */
    uint64_t    count;
} rh_emulator_strike;

/**
 * What it announces and how patient it is: what the service does unless said otherwise, so that a client can be shown
 * other brokers, or the service in a hurry.
 */
typedef struct rh_emulator_limits {
    uint32_t idle_time_out_ms; /* 240000; a client that is silent for twice as long is cut off. UINT32_MAX: none */
    uint32_t max_frame_bytes;  /* 65536; 512 to what the loop takes (rh_emulator_start() makes it take this) */
    uint32_t window;           /* 2048. Frames a client may send on a session before it is answered; renewed at half */
    uint32_t credit;           /* 1000. Events or batches a sender may have on their way, at most 2^31 - 1; renewed at half */
    uint32_t open_within_ms;   /* 20000, then an unopened connection is cut */
    uint32_t link_within_ms;   /* 60000 without a first link, then amqp:connection:forced */
    uint32_t unlinked_ms;      /* 300000 without any link again, the same */
    uint32_t sender_idle_ms;   /* 1800000 without an event, then the sender meets amqp:link:detach-forced. UINT32_MAX: never */
    uint32_t reader_idle_ms;   /* the same for a reader that was sent nothing; never */
    uint32_t throughput_units; /* each lets in 1000 events or 1 MB a second; more is rejected with com.microsoft:server-busy
                                  and the wait of four seconds that the service suggests. No limit; what goes out has none */
    uint32_t max_message_bytes; /* 1048576, the most. Of an event or a batch; announced, the smaller of the two sides' holds */
    uint32_t sessions;         /* 1088, the most: what a connection may begin at a time */
    uint32_t first_id;         /* where its transfer and delivery ids and delivery counts start; tests start near 2^32 */
} rh_emulator_limits;

/**
 * Everything is copied by create and start. Zero or NULL is the default named behind the field.
 *
 *   rh_emulator_start(RH_EMULATOR_OPTS(.hubs = &(rh_emulator_hub){ .name = "telemetry" }, .hub_count = 1), &emulator, &error);
 */
typedef struct rh_emulator_opts {
    size_t size; /* sizeof(rh_emulator_opts): RH_EMULATOR_OPTS() fills it */

    const char *listen_host; /* plain TCP; 127.0.0.1 */
    uint16_t    listen_port; /* 0: a free one, rh_emulator_port() tells */
    bool        tls_only;    /* do not listen on plain TCP */

    bool        tls;         /* listen for TLS too */
    const char *tls_host;    /* 127.0.0.1 */
    uint16_t    tls_port;    /* 0: a free one, rh_emulator_tls_port() tells */
    const char *cert_file;   /* PEM; with key_file. Neither these nor the two below: a certificate for */
    const char *key_file;    /*   localhost, 127.0.0.1 and ::1 is made on the spot and signed by itself */
    rh_slice    cert_pem;
    rh_slice    key_pem;

    const char            *config_file; /* the official emulator's config.json */
    const rh_emulator_hub *hubs;        /* besides those of config_file; none at all: one called "hub" */
    size_t                 hub_count;

    int64_t  retention_ms;    /* older events are dropped; one hour */
    uint64_t max_bytes;       /* of all stored events, framing and index included; 256 MiB. The oldest are dropped */
    uint32_t max_connections; /* 256; each takes address space for 1,088 sessions, memory for those in use, and
                                 1 MiB for each link on which an event came in several frames */

    /* NULL: events are forgotten with the emulator. Else a folder (made if it is not there, but not its parents) in which
     * every hub is found again: its events, sequence numbers, offsets and creation time. retention_ms and max_bytes bound it as they
     * bound memory, but files go as a whole: each partition may have two more of them, each a sixteenth of max_bytes, at most
     * 16 MiB and at least 64 KiB, and the delivery that filled it. One emulator at a time may have the folder; a hub must come back with as many
     * partitions as it had; a hub that is not named this time is left alone.
     *
     * An event is accepted, and readers see it, only when write(2) has taken it: whatever becomes of this process
     * afterwards, it is there at the next start. What was being written and was not accepted yet may be there too, of a batch perhaps
     * only the first events. Nothing waits for the disk itself (no fsync): what the kernel had not yet written when the machine
     * lost power is gone. A torn end of a log is cut off at the start, kept in a .cut file beside it, and the log says so; damage elsewhere is refused
     * with its place. When a write fails, the events are rejected with amqp:internal-error, the log says why, and the emulator
     * goes on. */
    const char *data_dir;

    const char *rule; /* RH_EMULATOR_RULE */
    const char *key;  /* RH_EMULATOR_KEY */

    rh_log log; /* silent */

    rh_emulator_faults faults; /* none */
    uint32_t late_ms;          /* how much later RH_EMULATOR_LATE answers; 1000 */
    rh_emulator_limits limits; /* the service's */

    /* NULL: none. What goes wrong by itself, line by line: WHEN [RESTRICTION]... do WHAT, "#" before a comment.
     *
     *   every 5s do detach with any
     *   at send client load-* odds 1/100 do throttle
     *   at attach senders partition 0 after 3 do reset after 20 bytes
     *
     * README.md, "Faults on purpose", has all words. A seed decides every choice, so in a simulated world a script does the same
     * each time. Where a judge is given as well, it is asked first. */
    const char *fault_script;

    /* Entra ID access tokens are believed too, for whatever they are put for: their form, their times and their audience (Event Hubs)
     * are looked at, their signature is not, for nobody here has the keys. Without, shared access signatures only. */
    bool jwt;
} rh_emulator_opts;

#define RH_EMULATOR_OPTS(...) (&(rh_emulator_opts){ .size = sizeof(rh_emulator_opts), __VA_ARGS__ })

/* -- create, destroy -------------------------------------------------------------------------- */

/**
 * Opens a namespace on the caller's loop, which must outlive it; it lives while that loop is turned.
 * On failure *out is NULL and error (may be NULL) tells what could not be read, listened on or understood. Logs in data_dir are read
 * back before it returns.
 */
RH_API RH_NODISCARD rh_status rh_emulator_create(struct rh_loop *loop, const rh_emulator_opts *opts, rh_emulator **out,
                                                 rh_error *error);

/**
 * The handle is dead at once: listeners and connections are cut. Their memory goes back, and data_dir is free again, when the loop has
 * reaped them, at the latest in rh_loop_destroy(). For a namespace made by rh_emulator_create(). NULL is allowed.
 */
RH_API void rh_emulator_destroy(rh_emulator *emulator);

/** Whether a fault script can be understood; else RH_E_ARGUMENT, and error says the line and what was expected there. */
RH_API RH_NODISCARD rh_status rh_emulator_script_check(const char *fault_script, rh_error *error);

/** The same namespace on a loop of its own, turned by a thread of its own: when start returns, it listens. */
RH_API RH_NODISCARD rh_status rh_emulator_start(const rh_emulator_opts *opts, rh_emulator **out, rh_error *error);

/** Cuts everything, joins the thread and frees all. For a namespace made by rh_emulator_start(). NULL is allowed. */
RH_API void rh_emulator_stop(rh_emulator *emulator);

/* -- inspect: any thread ---------------------------------------------------------------------- */

/** The ports listened on; 0 where it does not listen. */
RH_API uint16_t rh_emulator_port(const rh_emulator *emulator);
RH_API uint16_t rh_emulator_tls_port(const rh_emulator *emulator);

/**
 * The connection string of the plain port, in the emulator form (UseDevelopmentEmulator=true), and of the
 * TLS port, in the ordinary one, with EntityPath if hub is not NULL. Cut to n bytes with the closing zero; answers the
 * length it wanted, like snprintf.
 */
RH_API size_t rh_emulator_connection_string(const rh_emulator *emulator, const char *hub, char *text, size_t n);
RH_API size_t rh_emulator_tls_connection_string(const rh_emulator *emulator, const char *hub, char *text, size_t n);

/** The certificate that was made on the spot, for a client to trust; NULL if none was. Lives as long as the emulator. */
RH_API const char *rh_emulator_certificate_pem(const rh_emulator *emulator);

/** Counted since the start. */
typedef struct rh_emulator_stats {
    uint64_t connections;       /* accepted */
    uint64_t connections_open;  /* of those, there now */
    uint64_t events_in;         /* stored */
    uint64_t events_out;        /* delivered to readers */
    uint64_t bytes_stored;      /* held now */
    uint64_t events_evicted;    /* dropped for age or size */
    uint64_t events_unread;     /* of those, never delivered to anybody */
    uint64_t tokens;            /* put on $cbs and believed */
    uint64_t refusals;          /* links, tokens, requests and events refused */
    uint64_t peer_errors;       /* connections ended because the peer broke the protocol */
} rh_emulator_stats;

RH_API void rh_emulator_stats_read(const rh_emulator *emulator, rh_emulator_stats *out);

/** The index-th row of what the fault script did, in the order of its lines; false: there are no more. Counts only grow. */
RH_API bool rh_emulator_strike_at(const rh_emulator *emulator, size_t index, rh_emulator_strike *out);

#ifdef __cplusplus
}
#endif

#endif
