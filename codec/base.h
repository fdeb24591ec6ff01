/**
 * ringhub/base.h: the words that every layer speaks: slices, status, error, time, memory, log.
 *
 * Nothing here allocates, locks, reads a clock or touches errno.
 */
#ifndef RH_BASE_H
#define RH_BASE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define RH_API          __attribute__((visibility("default")))
#define RH_NODISCARD    __attribute__((warn_unused_result))
#define RH_LIKELY(x)    __builtin_expect(!!(x), 1)
#define RH_UNLIKELY(x)  __builtin_expect(!!(x), 0)
#define RH_COLD         __attribute__((cold, noinline))
#define RH_APART        __attribute__((noinline))      /* a rarer way, whose registers the usual one shall not save */
#define RH_WITHIN       __attribute__((always_inline)) /* one of few places, where a call would cost its registers */
#else
#define RH_API
#define RH_NODISCARD
#define RH_LIKELY(x)    (x)
#define RH_UNLIKELY(x)  (x)
#define RH_COLD
#define RH_APART
#define RH_WITHIN
#endif

#define RH_VERSION_MAJOR 0
#define RH_VERSION_MINOR 1
#define RH_VERSION_PATCH 0
#define RH_VERSION "0.1.0"

/* -- time ------------------------------------------------------------------------------------ */

/** Monotonic nanoseconds that go on counting while the machine is suspended. */
typedef uint64_t rh_time;

#define RH_TIME_NEVER UINT64_MAX
#define RH_US(n)      ((rh_time)(n) * 1000u)
#define RH_MS(n)      ((rh_time)(n) * 1000000u)
#define RH_SECONDS(n) ((rh_time)(n) * 1000000000u)

/** now + delay that stops at RH_TIME_NEVER instead of wrapping. */
static inline rh_time rh_time_after(rh_time now, rh_time delay)
{
    return delay > RH_TIME_NEVER - now ? RH_TIME_NEVER : now + delay;
}

/* -- slices ---------------------------------------------------------------------------------- */

/** Borrowed bytes. p == NULL means absent; an empty slice that is present has p != NULL. */
typedef struct rh_slice {
    const uint8_t *p;
    size_t         n;
} rh_slice;

/** A piece of a gathered write; the same layout as struct iovec. */
typedef struct rh_iov {
    const void *p;
    size_t      n;
} rh_iov;

static inline rh_slice rh_slice_of(const void *p, size_t n)
{
    rh_slice s = { (const uint8_t *)p, n };
    return s;
}

/** The bytes of a C string without its end; NULL becomes the absent slice. */
static inline rh_slice rh_str(const char *text)
{
    return rh_slice_of(text, text ? strlen(text) : 0);
}

static inline bool rh_slice_equal(rh_slice a, rh_slice b)
{
    return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0);
}

static inline bool rh_slice_is(rh_slice a, const char *text)
{
    size_t n = strlen(text);
    return a.n == n && (n == 0 || memcmp(a.p, text, n) == 0);
}

/* -- status ---------------------------------------------------------------------------------- */

/**
 * Families of a hundred with pinned numbers: 1xx the caller, 2xx this machine, 3xx the peer broke
 * the protocol, 4xx the service said no. X(name, number, words)
 */
#define RH_STATUS_LIST(X)                                                                          \
    X(RH_OK, 0, "done")                                                                            \
    X(RH_AGAIN, 1, "not now: no credit, room or data; on_ready tells when")                        \
    X(RH_E_ARGUMENT, 100, "an argument is out of its range")                                       \
    X(RH_E_STATE, 101, "not in this state")                                                        \
    X(RH_E_REENTRANT, 102, "this call turns the loop and is refused inside a callback")            \
    X(RH_E_LIMIT, 103, "a limit given at create is reached")                                       \
    X(RH_E_TOO_BIG, 104, "larger than the link or the caller's limit allows")                      \
    X(RH_E_BATCH_FULL, 105, "the event does not fit into what is left of the batch")               \
    X(RH_E_CONNECTION_STRING, 106, "the connection string cannot be used")                         \
    X(RH_E_CLOSED, 107, "closed by this side")                                                     \
    X(RH_E_CANCELLED, 108, "cancelled by this side")                                               \
    X(RH_E_CONFLICT, 109, "two settings contradict each other")                                    \
    X(RH_E_SPACE, 110, "the buffer given is too small")                                            \
    X(RH_E_TIMEOUT, 111, "the deadline passed")                                                    \
    X(RH_E_MEMORY, 200, "out of memory")                                                           \
    X(RH_E_SYSTEM, 201, "the operating system refused")                                            \
    X(RH_E_NAME, 202, "the host name does not resolve")                                            \
    X(RH_E_REFUSED, 203, "the connection was refused")                                             \
    X(RH_E_UNREACHABLE, 204, "the host or network is unreachable")                                 \
    X(RH_E_CONNECTION_LOST, 205, "the connection was lost")                                        \
    X(RH_E_OUTCOME_UNKNOWN, 206, "bytes left and no answer came: the event may or may not be stored") \
    X(RH_E_IO, 207, "a file or store cannot be read or written")                                   \
    X(RH_E_CREDENTIAL, 208, "the credential gave no token")                                        \
    X(RH_E_TLS, 220, "the TLS handshake or stream failed")                                         \
    X(RH_E_TLS_NAME, 221, "the certificate is for another name")                                   \
    X(RH_E_TLS_UNKNOWN_CA, 222, "the certificate is not signed by a trusted authority")            \
    X(RH_E_TLS_EXPIRED, 223, "the certificate has expired or is not valid yet")                    \
    X(RH_E_TLS_VERSION, 224, "no common TLS version or cipher")                                    \
    X(RH_E_TLS_TRUNCATED, 225, "the stream ended without close_notify")                            \
    X(RH_E_TLS_CERTIFICATE, 226, "the certificate or key cannot be used")                          \
    X(RH_E_DECODE, 300, "malformed AMQP data")                                                     \
    X(RH_E_FRAMING, 301, "malformed frame")                                                        \
    X(RH_E_HEADER, 302, "the peer does not speak this protocol")                                   \
    X(RH_E_PROTOCOL, 303, "the peer sent what its state does not allow")                           \
    X(RH_E_INVALID_FIELD, 304, "a field of a performative is missing or wrong")                    \
    X(RH_E_HANDLE_IN_USE, 305, "the peer used a handle twice")                                     \
    X(RH_E_UNATTACHED_HANDLE, 306, "the peer used a handle that is not attached")                  \
    X(RH_E_ERRANT_LINK, 307, "the peer used a link that it was told is gone")                      \
    X(RH_E_WINDOW_VIOLATION, 308, "the peer sent beyond the session's window")                     \
    X(RH_E_TRANSFER_LIMIT, 309, "the peer sent beyond the link's credit")                          \
    X(RH_E_MESSAGE_SIZE, 310, "the peer sent a message larger than announced")                     \
    X(RH_E_PEER_SILENT, 311, "nothing came within twice the idle time-out")                        \
    X(RH_E_FRAME_SIZE, 312, "the peer's largest frame is too small, or a frame is larger than agreed") \
    X(RH_E_PEER_LIMIT, 313, "the peer asked for more channels, handles or links than offered")     \
    X(RH_E_UNAUTHORIZED, 400, "the service refused the token or the signature")                    \
    X(RH_E_NOT_FOUND, 401, "the service knows no such hub, group or partition")                    \
    X(RH_E_STOLEN, 402, "another receiver with a higher owner level took the partition")           \
    X(RH_E_QUOTA, 403, "a quota of the service is used up")                                        \
    X(RH_E_SERVER_BUSY, 404, "the service is throttling")                                          \
    X(RH_E_SERVICE_TIMEOUT, 405, "the service timed out")                                          \
    X(RH_E_MESSAGE_TOO_BIG, 406, "the service takes smaller messages")                             \
    X(RH_E_NOT_ALLOWED, 407, "the service does not allow this")                                    \
    X(RH_E_NOT_IMPLEMENTED, 408, "the service does not offer this")                                \
    X(RH_E_SERVICE_ARGUMENT, 409, "the service refused an argument")                               \
    X(RH_E_DETACHED, 410, "the service detached the link")                                         \
    X(RH_E_CONNECTION_FORCED, 411, "the service closed the connection")                            \
    X(RH_E_SERVICE_INTERNAL, 412, "the service failed inside")                                     \
    X(RH_E_REJECTED, 413, "the service rejected the event")                                        \
    X(RH_E_RELEASED, 414, "the service released the event without storing it")                     \
    X(RH_E_MODIFIED, 415, "the service gave the event back modified")                              \
    X(RH_E_DISABLED, 416, "the hub is disabled")                                                   \
    X(RH_E_PRECONDITION, 417, "a precondition failed at the service")                              \
    X(RH_E_SASL, 418, "the service refused the SASL exchange")                                     \
    X(RH_E_REDIRECT, 419, "the service points to another address")                                 \
    X(RH_E_PRODUCER_STOLEN, 420, "another producer with a higher epoch took over")                 \
    X(RH_E_OUT_OF_SEQUENCE, 421, "the service saw a gap in the producer's sequence")               \
    X(RH_E_OFFSET, 422, "the service does not know this offset")                                   \
    X(RH_E_ILLEGAL_STATE, 423, "the service says the operation is illegal in its state")           \
    X(RH_E_SERVICE, 499, "the service answered with an error of its own")

typedef enum rh_status {
#define RH_STATUS_ENUM(name, number, words) name = number,
    RH_STATUS_LIST(RH_STATUS_ENUM)
#undef RH_STATUS_ENUM
} rh_status;

/** "RH_E_DECODE"; "RH_E_?" for a number that no status has. */
RH_API const char *rh_status_name(rh_status status);

/** One sentence without a full stop, for people. */
RH_API const char *rh_status_words(rh_status status);

/** What a failure asks for; the one table condition -> class drives every retry. */
typedef enum rh_error_class {
    RH_CLASS_NONE,      /* not an error */
    RH_CLASS_TRANSIENT, /* the same again may succeed, after retry_after_ms */
    RH_CLASS_REATTACH,  /* the link is gone, the connection lives */
    RH_CLASS_RECONNECT, /* the connection is gone */
    RH_CLASS_TOKEN,     /* a new token may help */
    RH_CLASS_TERMINAL,  /* the same again will fail again */
    RH_CLASS_STOLEN,    /* somebody else owns it now: stop */
} rh_error_class;

/**
 * The story of a failure. It lives on the object that failed and is lent to callbacks; copy it to
 * keep it (it holds no pointers). Text is UTF-8, ended by a zero, cut where too long, and never holds
 * a key, token or signature.
 */
typedef struct rh_error {
    rh_status      status;
    rh_error_class error_class;
    uint32_t       retry_after_ms;   /* the service's suggestion; 0: none */
    int32_t        os_error;         /* errno of the system call behind it; 0: none */
    uint64_t       position;         /* byte offset in the input stream for 3xx decode errors */
    char           condition[64];    /* AMQP condition symbol, "" if none */
    char           description[512]; /* the service's or our words */
    char           tracking_id[96];  /* the service's TrackingId, "" if none */
} rh_error;

/** Fills the story: status, condition ("" or NULL: none) and words; the rest becomes zero. */
RH_API void rh_error_set(rh_error *error, rh_status status, const char *condition, const char *words);

/** As rh_error_set, from slices that may hold anything: bytes that would not print become '?'. */
RH_API void rh_error_set_slices(rh_error *error, rh_status status, rh_slice condition, rh_slice words);

/* -- memory ---------------------------------------------------------------------------------- */

/** Where memory comes from. alloc answers NULL when there is none; both may be called on the owner's thread only. */
typedef struct rh_allocator {
    void *(*alloc)(void *user, size_t n); /* aligned for any type, contents undefined */
    void  (*free)(void *user, void *p, size_t n);
    void   *user;
} rh_allocator;

/* -- log ------------------------------------------------------------------------------------- */

typedef enum rh_log_level { RH_LOG_ERROR, RH_LOG_WARNING, RH_LOG_INFO, RH_LOG_DEBUG } rh_log_level;

/**
 * One hook for all records. id is stable across releases ("loop.epoll", "link.stolen"); text is one
 * line without its end and never holds a secret. Both are lent for the call.
 */
typedef struct rh_log {
    void (*on_log)(void *user, rh_log_level level, const char *id, const char *text); /* NULL: silent */
    void  *user;
} rh_log;

#ifdef __cplusplus
}
#endif

#endif
