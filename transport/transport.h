/**
 * ringhub/transport.h: moving bytes and waiting: the loop, timers, pipes over TCP and TLS, names.
 *
 * It knows no AMQP. It has one thread, no lock and no hidden state: everything made on a loop is used on the
 * loop's thread, except rh_loop_post(). No callback ever comes from inside a call that submits work; all come
 * from rh_loop_run(), rh_loop_turn() and rh_loop_destroy(). It never raises SIGPIPE, prints or exits.
 *
 * Loops are abstract: io_uring, epoll and simulated ones fill in the same table (rh_loop_ops), and whoever uses
 * a loop cannot tell which it is.
 *
 * Whoever is busy allocates nothing on the way of a byte (libssl's own records apart): pools are sized at
 * rh_loop_create(), grow to what was needed at once, and shrink when that has not been needed for a second or so.
 */
#ifndef RH_TRANSPORT_H
#define RH_TRANSPORT_H

#include "codec/base.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct rh_loop     rh_loop;
typedef struct rh_pipe     rh_pipe;
typedef struct rh_listener rh_listener;
typedef struct rh_tls      rh_tls;

/* -- loop ------------------------------------------------------------------------------------- */

/** As `until`: turn once and do not wait. */
#define RH_NOWAIT ((rh_time)0)

typedef enum rh_loop_backend {
    RH_BACKEND_AUTO, /* $RH_LOOP (epoll or uring) if set, else io_uring where the kernel lets us, else epoll */
    RH_BACKEND_URING, /* io_uring; where it is refused, or is older than Linux 6.1's, epoll takes over, and the log says so once.
                         $RH_RING_FEATURES=MAJOR.MINOR hides what kernels newer than that have */
    RH_BACKEND_EPOLL,
} rh_loop_backend;

/**
 * Copied by create. Zero or NULL is the default named behind the field. With the defaults a loop takes about 1
 * MiB, and up to 4 MiB more of receive buffers when bulk comes in: their pages are touched as far as they are
 * filled.
 */
typedef struct rh_loop_opts {
    size_t size; /* sizeof(rh_loop_opts): RH_LOOP_OPTS() fills it */

    rh_loop_backend     backend;
    const rh_allocator *allocator; /* malloc and free */
    rh_log              log;       /* silent */

    uint32_t receive_buffers; /* 16; a power of two, 2 to 32768: rounded up. Shared by all pipes */
    uint32_t receive_bytes;   /* 256 KiB each: frames that lie in one are handed over in place */
    uint32_t frame_buffers;   /* 8 of max_frame bytes each at the start; a pipe borrows one while a frame is
                                 incomplete and while it is paused. While TLS sends: one of 260 KiB, made when first needed */
    uint32_t max_frame;       /* 64 KiB: the largest frame any pipe may announce */
    uint32_t max_pipes;       /* 4096 */
    uint32_t posts;           /* 256: rh_loop_post() calls that may wait, rounded up to a power of two */
    uint32_t ring_entries;    /* 256: submissions that may wait for the kernel */
    uint32_t spin_us;         /* 0: how long to look for work before sleeping; costs a core, saves a wake-up */
} rh_loop_opts;

#define RH_LOOP_OPTS(...) (&(rh_loop_opts){ .size = sizeof(rh_loop_opts), __VA_ARGS__ })

/** Makes a loop; opts NULL: all defaults; error may be NULL. It belongs to the thread that first turns it. */
RH_API RH_NODISCARD rh_status rh_loop_create(const rh_loop_opts *opts, rh_loop **out, rh_error *error);

/**
 * Turns until `until` passed or rh_loop_stop(): RH_NOWAIT turns once without waiting, RH_TIME_NEVER has no end
 * of its own. RH_E_REENTRANT inside a callback, RH_E_SYSTEM when the kernel refuses to go on.
 */
RH_API RH_NODISCARD rh_status rh_loop_run(rh_loop *loop, rh_time until);

/**
 * One turn: sends what waits, waits for something to happen but not beyond `until`, handles what happened,
 * sends what came of it. A signal handler that ran ends the wait too. Statuses as rh_loop_run().
 */
RH_API RH_NODISCARD rh_status rh_loop_turn(rh_loop *loop, rh_time until);

/** Makes the running rh_loop_run(), or else the next, return after its turn. */
RH_API void rh_loop_stop(rh_loop *loop);

/**
 * A descriptor for the poll, select or epoll of a host that has a loop of its own: readable when a turn has
 * work to do (input, an expired timer, a posted function, something submitted outside a turn), else not. When
 * it is, call rh_loop_run(loop, RH_NOWAIT). Never read from it. To be called on the loop's thread.
 */
RH_API int rh_loop_fd(rh_loop *loop);

/**
 * Calls fn(user) from the next turn, waking the loop if it sleeps. The only call of this header that any thread
 * may make. Calls of one thread keep their order. RH_AGAIN: `posts` of them wait already. What is still waiting
 * when the loop is destroyed is called by rh_loop_destroy().
 */
RH_API RH_NODISCARD rh_status rh_loop_post(rh_loop *loop, void (*fn)(void *user), void *user);

/**
 * Monotonic, counts time asleep. Inside a turn the clock is read once for all that is asked before the turn sleeps, and
 * once for all after it: equal calls, one answer.
 */
RH_API rh_time rh_loop_now(rh_loop *loop);

/** Milliseconds since 1970-01-01 UTC. May jump. */
RH_API int64_t rh_loop_wall_ms(rh_loop *loop);

/** n bytes nobody can guess. */
RH_API void rh_loop_random(rh_loop *loop, void *bytes, size_t n);

RH_API bool                rh_loop_in_callback(const rh_loop *loop);
RH_API const rh_log       *rh_loop_log(const rh_loop *loop);
RH_API const rh_allocator *rh_loop_allocator(const rh_loop *loop);
RH_API const char         *rh_loop_backend_name(const rh_loop *loop); /* "io_uring", "epoll" */

/**
 * Memory for as long as something is under way, shared by all who work on the loop: n bytes, the same n for everybody,
 * aligned for any type. Who is busy finds there what he gave back a moment ago, so nothing is allocated; what nobody needed
 * for a second or so is freed. NULL: no memory.
 */
RH_API void *rh_loop_borrow(rh_loop *loop, size_t n);
RH_API void  rh_loop_give_back(rh_loop *loop, void *p, size_t n); /* NULL is allowed */

typedef struct rh_loop_stats {
    uint64_t turns;
    uint64_t enters;         /* system calls that submit or wait */
    uint64_t wakes;          /* times the doorbell was rung */
    uint64_t bytes_in, bytes_out;
    uint64_t receives, sends;
    uint64_t starved;        /* times a receive found no buffer */
    uint64_t overflows;      /* times what had happened found no room in the ring, and waited in the kernel until it was taken */
    uint32_t pipes;          /* alive, those that are being closed included */
    uint32_t frame_buffers;  /* the pool's size by now */
    uint32_t frame_buffers_used;
} rh_loop_stats;

RH_API void rh_loop_stats_read(const rh_loop *loop, rh_loop_stats *stats);

/**
 * Cuts every pipe (each on_down comes, with RH_E_CANCELLED, from inside this call), closes the listeners and
 * waits until the kernel has let go of all memory, which is at once. Timers that are set are forgotten.
 * RH_E_REENTRANT inside a callback: then nothing happened. NULL is allowed.
 */
RH_API rh_status rh_loop_destroy(rh_loop *loop);

/* -- timers ----------------------------------------------------------------------------------- */

/**
 * A moment, kept inside its owner; zeroed before its first use. fn may be called with the timer set anew,
 * cancelled, or its memory freed by fn itself. Timers that are due come in the order of their times, equal
 * times in the order of setting.
 */
typedef struct rh_timer {
    void (*fn)(void *user, rh_time now);
    void   *user;
    rh_time at; /* read only; meaningful while is_set */
    bool    is_set;
    /* the loop's own */
    uint64_t         order;
    struct rh_timer *child, *next, *back;
} rh_timer;

/**
 * Calls timer->fn at `at`, instead of any moment set before. RH_TIME_NEVER cancels. A past time comes with the
 * next turn.
 */
RH_API void rh_timer_set(rh_loop *loop, rh_timer *timer, rh_time at);

/** It will not be called. Nothing happens when it was not set. */
RH_API void rh_timer_cancel(rh_loop *loop, rh_timer *timer);

/* -- pipes ------------------------------------------------------------------------------------ */

/**
 * A pipe is a stream of frames to one peer. Its owner is a handler with a `user`.
 *
 * Input: frames are handed over whole, in place where they lie in one receive buffer; a frame that spans two is
 * completed in a buffer of the loop's first. Nothing is lost or reordered.
 *
 * Output: whatever output() lends is sent in order. Lent memory must stay as it is until sent() counted it or
 * on_down came: the kernel may be reading it. There is no other way to get rid of a pipe: close it, and wait
 * for on_down, which comes at the latest from inside rh_loop_destroy().
 *
 * Inside every callback all calls of this header are allowed but those that turn or destroy the loop.
 */
typedef struct rh_pipe_handler {
    /* Connected, and with TLS: verified. Output is asked for right after it, input follows. */
    void (*on_up)(void *user, rh_pipe *pipe);

    /* The size of the frame that begins at bytes; 0 when n bytes are too few to tell, which 8 never are. A
     * frame larger than max_frame is handed over as far as it came, for the owner to refuse. */
    size_t (*frame_size)(void *user, const uint8_t *bytes, size_t n);

    /* n bytes that are one or more whole frames, lent for the call. Answers how many it used; fewer only at the
     * end of a frame and only when wants_input() is false from now on, or after it closed the pipe. */
    size_t (*input)(void *user, rh_pipe *pipe, const uint8_t *bytes, size_t n);

    /* False holds input back until rh_pipe_wake() or sent(); then it is asked again. The peer feels it through
     * TCP's window. */
    bool (*wants_input)(void *user);

    /* At most max pieces to send now, in order; answers how many, 0 for nothing. Asked after rh_pipe_wake() and
     * on_up(), and again after everything that was lent has been counted by sent(). */
    size_t (*output)(void *user, rh_iov *iov, size_t max);

    /* The first n bytes of what is lent are needed no more. */
    void (*sent)(void *user, size_t n);

    /* The last callback of this pipe: nothing is lent any more and the handle is dead. RH_OK only after
     * rh_pipe_close(pipe, true) that could send everything; RH_E_CANCELLED after rh_pipe_close(pipe, false)
     * and rh_loop_destroy(); else what went wrong: RH_E_CONNECTION_LOST also for a peer that closed first. */
    void (*on_down)(void *user, rh_pipe *pipe, const rh_error *error);
} rh_pipe_handler;

/**
 * There is output, or input is wanted again: looked at in this turn, or in the next one outside of a turn.
 * Cheap, idempotent.
 */
RH_API void rh_pipe_wake(rh_pipe *pipe);

/**
 * Ends the pipe; on_down comes later, from the loop. flush: what output() still offers is sent first, then
 * TLS's close_notify and TCP's end of stream, and the peer is given a moment to end its side (5 seconds for all
 * of it, one for the last part). Without: cut now. Input is not handed over any more in either case. May be
 * called again to cut what is flushing.
 */
RH_API void rh_pipe_close(rh_pipe *pipe, bool flush);

/**
 * The peer's address, "192.0.2.1:5671" or "[2001:db8::1]:5671", or what was dialed while there is none; cut to n
 * bytes.
 */
RH_API void rh_pipe_peer(const rh_pipe *pipe, char *text, size_t n);

/* -- dialing ---------------------------------------------------------------------------------- */

/** Texts are copied. */
typedef struct rh_dial_opts {
    size_t      size; /* sizeof(rh_dial_opts): RH_DIAL_OPTS() fills it */
    const char *host; /* a name or a numeric address, IPv6 with or without brackets */
    uint16_t    port;
    rh_tls     *tls;      /* NULL: plain TCP */
    const char *tls_name; /* default: host. Sent as SNI (unless an address), and the certificate must be for it */
    rh_time     deadline; /* absolute; 0: 30 seconds from now. For name, connection and TLS together */
    uint32_t    max_frame; /* 0: the loop's. Above that: RH_E_ARGUMENT */
} rh_dial_opts;

#define RH_DIAL_OPTS(...) (&(rh_dial_opts){ .size = sizeof(rh_dial_opts), __VA_ARGS__ })

/**
 * Begins to connect: the name is resolved on the loop, its addresses race (IPv6 and IPv4 in turn, a new one
 * every 250 ms or as soon as one failed; the first that answers wins), then TLS. on_up or on_down tells:
 * RH_E_NAME, RH_E_REFUSED, RH_E_UNREACHABLE, RH_E_TIMEOUT, RH_E_TLS and its kin, each with words that name
 * host, port and reason.
 *
 * handler is kept by reference, *out may be NULL. At once it refuses only with RH_E_ARGUMENT, RH_E_LIMIT
 * (max_pipes), RH_E_MEMORY, RH_E_CANCELLED (the loop is being destroyed); then no callback comes.
 */
RH_API RH_NODISCARD rh_status rh_loop_dial(rh_loop *loop, const rh_dial_opts *opts, const rh_pipe_handler *handler,
                                           void *user, rh_pipe **out);

/* -- listening -------------------------------------------------------------------------------- */

typedef struct rh_listen_opts {
    size_t      size; /* sizeof(rh_listen_opts): RH_LISTEN_OPTS() fills it */
    const char *host; /* a numeric address or "localhost"; default 127.0.0.1; "::" is both families */
    uint16_t    port; /* 0: a free one */
    rh_tls     *tls;  /* NULL: plain TCP; else made with .server */
    uint32_t    max_frame;    /* 0: the loop's */
    uint32_t    handshake_ms; /* 10000: how long a peer may take for TLS */
} rh_listen_opts;

#define RH_LISTEN_OPTS(...) (&(rh_listen_opts){ .size = sizeof(rh_listen_opts), __VA_ARGS__ })

/**
 * A peer came. The pipe has no owner yet: call rh_pipe_adopt() or rh_pipe_close() before returning, else it is
 * cut. With TLS the handshake follows; on_up says that it is through.
 */
typedef void (*rh_accept_fn)(void *user, rh_pipe *pipe);

/** On failure *out is NULL and error (may be NULL) names the address and the reason. */
RH_API RH_NODISCARD rh_status rh_loop_listen(rh_loop *loop, const rh_listen_opts *opts, rh_accept_fn fn, void *user,
                                             rh_listener **out, rh_error *error);

/** Gives an accepted pipe its owner; only inside rh_accept_fn. on_up comes later, also on plain TCP. */
RH_API void rh_pipe_adopt(rh_pipe *pipe, const rh_pipe_handler *handler, void *user);

RH_API uint16_t rh_listener_port(const rh_listener *listener);

/** No peer is accepted any more; the handle is dead, the pipes it made live on. NULL is allowed. */
RH_API void rh_listener_close(rh_listener *listener);

/* -- TLS -------------------------------------------------------------------------------------- */

/**
 * One side's certificates and rules, shared by any number of pipes of any loop of one thread. TLS 1.2 or later.
 * A client verifies the chain and the name, always, unless `insecure`. It keeps the last session of each of the last eight
 * hosts, and resumes it when it dials them again, which saves both sides most of the handshake. The cipher is OpenSSL's and
 * the peer's choice, so that a system's policy holds.
 */
typedef struct rh_tls_opts {
    size_t      size;   /* sizeof(rh_tls_opts): RH_TLS_OPTS() fills it */
    bool        server; /* needs a certificate and its key */
    bool        insecure; /* client: believe any certificate; said in the log */
    const char *ca_file;  /* PEM: whom to trust. A client with neither trusts the system's ($SSL_CERT_FILE, */
    rh_slice    ca_pem;   /*   $SSL_CERT_DIR); a server with one demands a certificate of its clients */
    const char *cert_file; /* PEM: our certificate first, then its chain; with key_file */
    const char *key_file;
    rh_slice    cert_pem; /* the same from memory */
    rh_slice    key_pem;
    const char *keylog_file; /* secrets in NSS format are appended, for a debugger; NULL: never */
    rh_log      log;         /* silent */
} rh_tls_opts;

#define RH_TLS_OPTS(...) (&(rh_tls_opts){ .size = sizeof(rh_tls_opts), __VA_ARGS__ })

/**
 * RH_E_TLS_CERTIFICATE with the file's name and OpenSSL's words; RH_E_IO when a file cannot be read. error may
 * be NULL.
 */
RH_API RH_NODISCARD rh_status rh_tls_create(const rh_tls_opts *opts, rh_tls **out, rh_error *error);

/**
 * The same for all who work on a loop: whoever asks for the same options (the same files, unchanged) shares one context, and
 * with it the session that shortens the next handshake. Destroyed like any other, by each who asked.
 */
RH_API RH_NODISCARD rh_status rh_tls_share(rh_loop *loop, const rh_tls_opts *opts, rh_tls **out, rh_error *error);

/** The handle is dead; pipes and listeners that use it keep what they need. NULL is allowed. */
RH_API void rh_tls_destroy(rh_tls *tls);

/** Room for any certificate or key of rh_tls_self_signed(), closing zero included. */
#define RH_TLS_PEM_MAX 4096

/**
 * Makes a throw-away certificate (P-256, one year, signed by itself; trust it by giving it as ca_pem) for
 * DNS:name, DNS:localhost, IP:127.0.0.1 and IP:::1. name NULL: localhost. Both texts end with a zero.
 * RH_E_SPACE when a buffer is too small.
 */
RH_API RH_NODISCARD rh_status rh_tls_self_signed(const char *name, char *cert_pem, size_t cert_n, char *key_pem,
                                                 size_t key_n, rh_error *error);

/* -- making another kind of loop -------------------------------------------------------------- */

/**
 * What a loop is. The calls above go straight to this table; they check nothing but what is said here. A loop
 * of another kind (the simulator's) begins its own struct with struct rh_loop, its pipes with struct rh_pipe,
 * its listeners with struct rh_listener.
 */
typedef struct rh_loop_ops {
    rh_status (*destroy)(rh_loop *);
    rh_status (*run)(rh_loop *, rh_time until);
    rh_status (*turn)(rh_loop *, rh_time until);
    void (*stop)(rh_loop *);
    int (*fd)(rh_loop *);
    rh_status (*post)(rh_loop *, void (*fn)(void *user), void *user);
    rh_time (*now)(rh_loop *);
    int64_t (*wall_ms)(rh_loop *);
    void (*random)(rh_loop *, void *bytes, size_t n);
    bool (*in_callback)(const rh_loop *);
    const rh_log *(*log)(const rh_loop *);
    const rh_allocator *(*allocator)(const rh_loop *);
    const char *(*backend_name)(const rh_loop *);
    void (*stats_read)(const rh_loop *, rh_loop_stats *);
    void (*timer_set)(rh_loop *, rh_timer *, rh_time at);
    void (*timer_cancel)(rh_loop *, rh_timer *);
    void *(*borrow)(rh_loop *, size_t n); /* these two may be NULL: then it is the allocator that lends */
    void (*give_back)(rh_loop *, void *, size_t n);
    rh_status (*dial)(rh_loop *, const rh_dial_opts *, const rh_pipe_handler *, void *user, rh_pipe **out);
    rh_status (*listen)(rh_loop *, const rh_listen_opts *, rh_accept_fn, void *user, rh_listener **out, rh_error *);
} rh_loop_ops;

typedef struct rh_pipe_ops {
    void (*wake)(rh_pipe *);
    void (*close)(rh_pipe *, bool flush);
    void (*peer)(const rh_pipe *, char *text, size_t n);
    void (*adopt)(rh_pipe *, const rh_pipe_handler *, void *user);
} rh_pipe_ops;

typedef struct rh_listener_ops {
    uint16_t (*port)(const rh_listener *);
    void (*close)(rh_listener *);
} rh_listener_ops;

struct rh_loop {
    const rh_loop_ops *ops;
    rh_tls            *tls; /* NULL at first; what rh_tls_share() made and is in use still */
};
struct rh_pipe { const rh_pipe_ops *ops; };
struct rh_listener { const rh_listener_ops *ops; };

#ifdef __cplusplus
}
#endif

#endif
