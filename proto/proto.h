/**
 * ringhub/proto.h: AMQP 1.0 without I/O: frames, SASL, connection, session, link, delivery; with message.h and composite.h, which
 * it includes.
 *
 * The engine is a value that eats bytes and time and gives bytes and events. It never allocates,
 * locks, reads a clock or touches a descriptor: memory is given once at init, time is an argument.
 * Client and server are the same engine. Everything of one engine belongs to one thread.
 *
 * Callbacks run only from rh_engine_input() and rh_engine_tick(). Inside a callback every call of this
 * header is allowed but those two, rh_engine_output(), rh_engine_sent() and rh_engine_lost(), which
 * would turn the world: they do nothing there and answer 0 or RH_E_REENTRANT.
 *
 * Sections in brackets are those of OASIS AMQP 1.0.
 */
#ifndef RH_PROTO_H
#define RH_PROTO_H

#include "proto/message.h"

#ifdef __cplusplus
extern "C" {
#endif

/* -- frames ------------------------------------------------------------------------------------ */

#define RH_FRAME_HEADER    8   /* [2.3] size, doff, type and channel */
#define RH_FRAME_SIZE_MIN  512 /* [2.3.1] every peer takes frames of this size, and none larger before open */

enum { RH_FRAME_AMQP = 0, RH_FRAME_SASL = 1 };

typedef struct rh_frame {
    uint32_t size;    /* all of it */
    uint8_t  doff;    /* where the body starts, in words of four bytes */
    uint8_t  type;    /* RH_FRAME_AMQP or RH_FRAME_SASL; others are the reader's to refuse */
    uint16_t channel; /* meaningless in SASL frames */
    rh_slice body;    /* empty: a heartbeat */
} rh_frame;

/**
 * How many bytes the frame at p has; 0 when fewer than the four that tell are there. A protocol header
 * ("AMQP", 8 bytes [2.2]) counts as a frame; a real frame of that size would have 1.09 GB. A size below
 * that of a frame header answers 8, so that the frame is taken and refused at once.
 */
RH_API size_t rh_frame_size(const uint8_t *p, size_t n);

/**
 * Reads the frame at p. RH_AGAIN: fewer bytes than it has. RH_E_FRAMING: its size or data offset cannot be
 * true. Bytes behind it are not looked at.
 */
RH_API RH_NODISCARD rh_status rh_frame_parse(const uint8_t *p, size_t n, rh_frame *out);

/** Writes the eight bytes of a header for a body of size - 8 bytes. */
static inline void rh_frame_put(uint8_t p[RH_FRAME_HEADER], uint32_t size, uint8_t type, uint16_t channel)
{
    rh_put32(p, size);
    p[4] = 2;
    p[5] = type;
    rh_put16(p + 6, channel);
}

/* -- engine ------------------------------------------------------------------------------------ */

/**
 * An engine is one connection end. Drive it so:
 *
 *   bytes came        used = rh_engine_input(engine, bytes, n, now)
 *   bytes may go      count = rh_engine_output(engine, iov, max) ... rh_engine_sent(engine, n, now)
 *   time passed       rh_engine_tick(engine, now) at rh_engine_deadline() or later
 *   the pipe is gone  rh_engine_lost(engine, why), then rh_engine_tick() once more
 *
 * After each of these, and after each submit, look again at rh_engine_wants_output(),
 * rh_engine_wants_input(), rh_engine_deadline() and rh_engine_is_closed(): they are cheap.
 *
 * Handles. rh_session, rh_link and rh_delivery are names, not addresses: they carry a generation, so a
 * handle kept beyond its last callback is refused (RH_E_STATE, NULL, 0), never mistaken for its
 * successor in the same slot (64 generations). Last callbacks: on_outcome of a delivery, on_detach of a
 * link, on_end of a session, on_close of the engine; each comes exactly once, in this order, whatever
 * ends them, but for on_close, which comes first when something is still lent (see there). Handles are
 * valid until the engine's memory is given back, and that only outside its callbacks.
 */
typedef struct rh_engine   rh_engine;
typedef struct rh_session  rh_session;
typedef struct rh_link     rh_link;
typedef struct rh_delivery rh_delivery;

/** SASL mechanisms [5.3.3]. MSSBCBS is ANONYMOUS under the name that the Azure clients for .NET use. */
typedef enum rh_sasl {
    RH_SASL_NONE,      /* no SASL layer: the AMQP header comes first */
    RH_SASL_ANONYMOUS,
    RH_SASL_PLAIN,     /* sasl_user and sasl_password [RFC 4616] */
    RH_SASL_EXTERNAL,
    RH_SASL_MSSBCBS,
} rh_sasl;

/** SASL outcome codes [5.3.3.6]. */
enum { RH_SASL_CODE_OK = 0, RH_SASL_CODE_AUTH = 1, RH_SASL_CODE_SYS = 2, RH_SASL_CODE_SYS_PERM = 3, RH_SASL_CODE_SYS_TEMP = 4 };

/**
 * Everything is copied at init; zero means the default. The cost of a slot in the arena stands behind
 * each count (rh_engine_size() is exact). Slots can also be lent later: RH_NO_SLOTS, rh_engine_lend().
 */
typedef struct rh_engine_opts {
    size_t   size;             /* filled by RH_ENGINE_OPTS */
    bool     server;           /* waits for headers, offers SASL, answers open and begin by itself */
    bool     pipeline;         /* client: SASL, open and all that follows leave without waiting for answers */
    uint16_t channel_max;      /* announced; default sessions - 1, or 255 when those are lent */
    rh_slice container_id;     /* default "ringhub" */
    rh_slice hostname;         /* open.hostname and sasl-init.hostname; absent: null */
    uint32_t max_frame_size;   /* announced, 512 to 2^30; default 65,536 */
    uint32_t idle_time_out_ms; /* announced; default 60,000; RH_NO_IDLE_TIME_OUT announces none and waits for ever */
    uint32_t incoming_window;  /* frames; for sessions that the peer begins; default 2,048 */
    uint32_t sessions;         /* default 8;   512 bytes each */
    uint32_t links;            /* default 16;  960 bytes each */
    uint32_t deliveries;       /* outgoing, queued or unsettled; default 256; 256 bytes each */
    uint32_t output_bytes;     /* ring for headers and control frames; default 16,384, at least 4,096; three quarters
                                  of that again for its bookkeeping */
    bool     output_lent;      /* that ring is not in the arena but borrowed while it is in use: on_room */
    uint32_t first_id;         /* where transfer ids, delivery ids and delivery counts start; tests start near 2^32 */
    rh_slice properties;       /* of open: a whole encoded map; absent: null */
    rh_sasl  sasl;             /* client: the mechanism. Server: RH_SASL_NONE speaks without SASL, any other offers all four */
    rh_slice sasl_user, sasl_password; /* PLAIN */
    rh_slice sasl_response;    /* the initial response of the other mechanisms; absent: empty */
} rh_engine_opts;

#define RH_ENGINE_OPTS(...)  (&(rh_engine_opts){ .size = sizeof(rh_engine_opts), __VA_ARGS__ })
#define RH_NO_IDLE_TIME_OUT  UINT32_MAX
#define RH_NO_SLOTS          UINT32_MAX /* for sessions, links, deliveries: none in the arena */

/** What became of a sent delivery. Only RH_UNKNOWN leaves open whether the peer has it. */
typedef enum rh_outcome_kind {
    RH_ACCEPTED,
    RH_REJECTED,  /* condition and description say why */
    RH_RELEASED,
    RH_MODIFIED,
    RH_SETTLED,   /* settled by the peer without a state */
    RH_SENT,      /* sent settled; every byte left */
    RH_DROPPED,   /* the peer cannot have it: never cut into frames, cut short, or aborted */
    RH_UNKNOWN,   /* every byte left, and the link, session or connection ended before the answer */
} rh_outcome_kind;

typedef struct rh_outcome {
    rh_outcome_kind kind;
    rh_slice        condition;   /* lent for the call; absent unless rejected */
    rh_slice        description; /* lent for the call; cut to 160 bytes when its delivery was still lent */
} rh_outcome;

/** A whole delivery, arrived. Everything is lent for the call, except that a gathered payload may be kept: see rh_link_gather(). */
typedef struct rh_incoming {
    uint32_t delivery_id;
    uint32_t message_format;
    rh_slice tag;
    bool     settled;  /* by the sender: nothing to settle */
    bool     gathered; /* payload lies in the link's gather buffer: it came in several frames */
    rh_slice payload;  /* one encoded message or batch envelope */
} rh_incoming;

/**
 * Any member may be NULL. An rh_error is lent for the call; status RH_OK means a clean end. In an error
 * from the peer, condition and description are its words and status is RH_E_SERVICE: whoever knows the
 * service's conditions maps them further.
 */
typedef struct rh_engine_handler {
    /* Server: judges a client and answers an outcome code; absent: everyone is welcome. response is lent
     * for the call and may hold a password. */
    uint8_t (*on_sasl)(void *user, rh_engine *, rh_slice mechanism, rh_slice response);

    /* The peer's open; ours has been queued. Lent for the call. */
    void (*on_open)(void *user, rh_engine *, const rh_amqp_open *open);

    /* Ours was answered, or the peer began one and the engine has answered (then its user is NULL). */
    void (*on_begin)(void *user, rh_session *);

    /* The session and its links are gone. After the call the handle is dead. */
    void (*on_end)(void *user, rh_session *, const rh_error *);

    /* Ours was answered, or the peer wants one: answer with rh_link_accept() or rh_link_refuse(), in the
     * call or later; rh_link_is_pending() tells which. attach is lent for the call. A refusal by the peer
     * (attach without source or target, then detach) shows as on_detach only. */
    void (*on_attach)(void *user, rh_link *, const rh_amqp_attach *attach);

    /* The link is gone and every delivery of it has had its on_outcome. After the call the handle is dead
     * and the gather buffer is the owner's again. closed: for good, not suspended [2.6.4]. */
    void (*on_detach)(void *user, rh_link *, bool closed, const rh_error *);

    /* A sender may send more than before. With drain asked, what is sent now still counts; afterwards the
     * engine gives the rest of the credit back by itself [2.6.7]. */
    void (*on_credit)(void *user, rh_link *);

    /* A receiver's rh_link_drain() has been answered: the credit is zero and nothing more comes. */
    void (*on_drained)(void *user, rh_link *);

    /* The first frame of several came and the link has no gather buffer: give one now with
     * rh_link_gather(). Without, the link is detached with amqp:link:message-size-exceeded. */
    void (*on_gather)(void *user, rh_link *);

    /* A whole delivery. It counts against credit already; settle it here, later or never. */
    void (*on_delivery)(void *user, rh_link *, const rh_incoming *);

    /* Exactly once for each rh_link_send() that answered RH_OK. Nothing of the payload is lent any more. */
    void (*on_outcome)(void *user, rh_link *, rh_delivery *, const rh_outcome *);

    /* The connection is over: closed by either side, refused, broken or silent. Exactly once. Flush what
     * rh_engine_output() still offers unless the error says that the peer is gone, close the pipe, call
     * rh_engine_lost() when the pipe lends nothing any more, and tick. Only deliveries whose bytes are still lent, their
     * links and sessions are told later. */
    void (*on_close)(void *user, rh_engine *, const rh_error *);

    /* Trace: each frame as it is read or written, from whichever call does that; our own SASL frames excepted.
     * body is the performative, for incoming transfers with its payload behind, for outgoing ones without. Empty: a
     * heartbeat. It may hold credentials: print it with rh_performative_print(), which does not show
     * those of SASL. Do nothing but look. */
    void (*on_frame)(void *user, rh_engine *, bool outgoing, uint8_t type, uint16_t channel, rh_slice body);

    /* With output_lent: lends n bytes, aligned for any type, for the output ring; always the same n. They come back by
     * on_room_back as soon as nothing waits to leave, so that an idle connection holds none. NULL: there is none
     * now; then nothing is written and no input taken, and the next tick asks again: look at rh_engine_deadline() behind
     * an output that lent nothing, and at rh_engine_wants_input() behind a tick. Both come from any call of the
     * engine that writes, a client's rh_engine_init() included. Do nothing but lend and take back. */
    void *(*on_room)(void *user, rh_engine *, size_t n);
    void  (*on_room_back)(void *user, rh_engine *, void *room, size_t n);
} rh_engine_handler;

/** The bytes that an engine of these options needs, to the byte. 0: the options contradict themselves. */
RH_API size_t rh_engine_size(const rh_engine_opts *opts);

/**
 * Makes an engine in memory (aligned for any type, n >= rh_engine_size()), which stays the caller's and
 * may be given back outside of callbacks without further ado once the pipe lends nothing any more.
 * handler must outlive the engine. A client's headers, SASL and open are ready for output at once, and
 * sessions, links and deliveries may be submitted at once: they leave as soon as the peer allows.
 *
 * NULL: too small, options out of range, an open larger than the 512 bytes that every peer takes
 * before sizes are agreed [2.3], or a client's on_room that lent nothing.
 */
RH_API rh_engine *rh_engine_init(void *memory, size_t n, const rh_engine_opts *opts, const rh_engine_handler *handler, void *user);

/** Slots for an engine. */
typedef struct rh_engine_slots {
    uint32_t sessions, links, deliveries;
    uint32_t text; /* bytes a link for its name and the words of its end, which are cut to what the name leaves when they have
                      to be kept; at most 640, which is the default */
} rh_engine_slots;

/** The bytes that rh_engine_lend() needs for these, to the byte. 0: too many. */
RH_API size_t rh_engine_slots_size(const rh_engine_slots *slots);

/**
 * Gives an engine more slots, at any time, in callbacks too. They are for whoever needs one next, not for a certain link;
 * a link takes one that has room for its name. memory is aligned for any type and the engine's until it is reclaimed or
 * the engine's own memory is given back. RH_E_ARGUMENT: n is below rh_engine_slots_size().
 */
RH_API RH_NODISCARD rh_status rh_engine_lend(rh_engine *engine, void *memory, size_t n, const rh_engine_slots *slots);

/**
 * Takes back what was lent. Handles of what was in it must not be used any more, not even to be refused. RH_AGAIN:
 * something is still in it; a link is until both sides have detached, a delivery until its outcome was told, and
 * what is in it inside the callback that tells its end. RH_E_ARGUMENT: the engine does not have it.
 */
RH_API rh_status rh_engine_reclaim(rh_engine *engine, void *memory);

/**
 * The size of the frame that starts at bytes, or of a protocol header (8). 0: more bytes are needed to
 * tell, at most 8. A frame that could never be used (shorter than its header, longer than agreed)
 * answers 8, so that it is fed at once and refused at once.
 */
RH_API size_t rh_engine_frame_size(const rh_engine *engine, const uint8_t *bytes, size_t n);

/**
 * Feeds bytes from the peer. All callbacks come from here and from rh_engine_tick(), never from a call
 * that submits work.
 *
 * bytes  lent until the call returns; slices that callbacks see point into them
 * now    monotonic nanoseconds, never going back
 *
 * Returns the bytes used. Frames are taken whole: a tail shorter than a frame is left, give it again
 * with more behind it. Fewer are also used while the ring for answers is full
 * (rh_engine_wants_input() is false until output was sent). After a broken frame everything is used
 * and a close is queued; rh_engine_error() tells which byte.
 */
RH_API size_t rh_engine_input(rh_engine *engine, const uint8_t *bytes, size_t n, rh_time now);

/**
 * What to send now, at most max pieces; answers how many. Cuts frames as windows, credit and the peer's
 * frame size allow. The pieces are lent until rh_engine_sent() has counted them; asked again before,
 * it answers the same bytes first and more behind them, so never send two answers at once.
 */
RH_API size_t rh_engine_output(rh_engine *engine, rh_iov *iov, size_t max);

/** n bytes of the lent output, counted from its start, are no longer needed. */
RH_API void rh_engine_sent(rh_engine *engine, size_t n, rh_time now);

/** Tells what submits and rh_engine_sent() found out; sends heartbeats; notices a silent peer [2.4.5]. */
RH_API void rh_engine_tick(rh_engine *engine, rh_time now);

/** When to tick next: 0 is at once (something waits to be told), RH_TIME_NEVER not at all. */
RH_API rh_time rh_engine_deadline(const rh_engine *engine);

/** False while answers would not fit: feed again after rh_engine_sent(). */
RH_API bool rh_engine_wants_input(const rh_engine *engine);

/** Whether rh_engine_output() would answer anything, or anything more than is lent. */
RH_API bool rh_engine_wants_output(const rh_engine *engine);

/**
 * The pipe is gone and lends nothing any more: every delivery, link and session ends, told by the next
 * tick. why may be NULL or RH_OK when the stream ended in order; before both closes were exchanged
 * that is RH_E_CONNECTION_LOST all the same.
 */
RH_API void rh_engine_lost(rh_engine *engine, const rh_error *why);

/**
 * Closes [2.4.3] after everything that is already cut; condition NULL: cleanly. on_close follows when
 * the peer has answered, has not for five seconds, or the pipe is lost.
 */
RH_API rh_status rh_engine_close(rh_engine *engine, const char *condition, const char *description);

typedef enum rh_engine_phase {
    RH_ENGINE_OPENING, /* headers, SASL, open */
    RH_ENGINE_OPENED,
    RH_ENGINE_CLOSING, /* one close is missing */
    RH_ENGINE_CLOSED,  /* nothing is read any more; what rh_engine_wants_output() has left is worth flushing */
} rh_engine_phase;

typedef struct rh_engine_counts {
    uint64_t bytes_in, bytes_out, frames_in, frames_out;
    uint64_t transfers_in, transfers_out;   /* frames */
    uint64_t deliveries_in, deliveries_out; /* whole ones */
    uint64_t heartbeats_out;
} rh_engine_counts;

/** The peer's open, as far as it is a number. Before it came: the values that hold without one. */
typedef struct rh_engine_peer {
    bool     opened;
    uint16_t channel_max;
    uint32_t max_frame_size;
    uint32_t idle_time_out_ms; /* 0: none */
} rh_engine_peer;

RH_API rh_engine_phase  rh_engine_phase_of(const rh_engine *engine);
RH_API bool             rh_engine_is_closed(const rh_engine *engine); /* RH_ENGINE_CLOSED */
RH_API const rh_error  *rh_engine_error(const rh_engine *engine);     /* the first failure; status RH_OK: none */
RH_API rh_engine_peer   rh_engine_peer_of(const rh_engine *engine);
RH_API rh_engine_counts rh_engine_counts_of(const rh_engine *engine);
RH_API void            *rh_engine_user(const rh_engine *engine);
RH_API void             rh_engine_set_user(rh_engine *engine, void *user);

/* -- sessions ---------------------------------------------------------------------------------- */

typedef struct rh_session_opts {
    uint32_t incoming_window; /* frames, renewed at half; default 2,048 */
    uint32_t handle_max;      /* announced; default and most 255 */
} rh_session_opts;

/**
 * Begins a session [2.5.1]. Links may be attached at once. opts may be NULL.
 * RH_E_LIMIT: no slot, or a channel-max, ours or the peer's. RH_AGAIN: no room in the output ring.
 * RH_E_STATE: the connection is closing.
 */
RH_API RH_NODISCARD rh_status rh_session_begin(rh_engine *engine, const rh_session_opts *opts, void *user, rh_session **out);

/** Ends the session and its links; on_end follows when the peer has answered. Queued deliveries are dropped. */
RH_API rh_status rh_session_end(rh_session *session, const char *condition, const char *description);

RH_API rh_engine *rh_session_engine(const rh_session *session);
RH_API void      *rh_session_user(const rh_session *session);
RH_API void       rh_session_set_user(rh_session *session, void *user);

/* -- links ------------------------------------------------------------------------------------- */

/** Settlement modes [2.8.2, 2.8.3]. */
enum { RH_SND_UNSETTLED = 0, RH_SND_SETTLED = 1, RH_SND_MIXED = 2, RH_RCV_FIRST = 0, RH_RCV_SECOND = 1 };

/**
 * Everything is lent for the call: the attach frame is written into the output ring at once. What goes on
 * the wire is source or, when that is NULL, source_raw (a whole encoded value, for instance the
 * peer's own, echoed); likewise target. name, receiver and the gather buffer are the link's.
 */
typedef struct rh_link_opts {
    rh_slice              name;                  /* unique for its direction in the session, at most 512 bytes; accept: taken from the peer */
    bool                  receiver;              /* accept: taken from the peer */
    uint8_t               snd_settle_mode;       /* as enum above; note that the specification's default is RH_SND_MIXED */
    uint8_t               rcv_settle_mode;
    const rh_amqp_source *source;
    const rh_amqp_target *target;
    rh_slice              source_raw, target_raw;
    rh_slice              properties;            /* a whole encoded map */
    rh_slice              desired_capabilities;  /* encoded: a symbol or an array of them */
    rh_slice              offered_capabilities;
    uint64_t              max_message_size;      /* announced and, for a receiver, enforced; 0: no limit */
    bool                  reject_oversize;       /* receiver: a message that is too large is swallowed and rejected with
                                                    amqp:link:message-size-exceeded; otherwise the link is detached with it */
    uint8_t              *gather;                /* receiver: where deliveries of several frames are put together */
    size_t                gather_n;
    void                 *user;                  /* accept only, unless NULL; attach has its own argument */
} rh_link_opts;

/**
 * Attaches a link [2.6.3]. RH_E_LIMIT: no slot with room for its name, or the peer's handle-max. RH_AGAIN: no room in the output
 * ring now. RH_E_SPACE: the attach is larger than the ring, RH_E_TOO_BIG: than the peer's frames.
 * RH_E_CONFLICT: the name is in use in this direction. RH_E_STATE: the session is ending.
 */
RH_API RH_NODISCARD rh_status rh_link_attach(rh_session *session, const rh_link_opts *opts, void *user, rh_link **out);

/** Answers the peer's attach. The same errors; after one the link still waits for accept or refuse. */
RH_API RH_NODISCARD rh_status rh_link_accept(rh_link *link, const rh_link_opts *opts);

/** Refuses the peer's attach: attach without source and target, then detach with the error [2.6.3]. on_detach follows. */
RH_API rh_status rh_link_refuse(rh_link *link, const char *condition, const char *description);

/**
 * Detaches. What was not yet cut is dropped; on_detach follows when the peer has answered; until then
 * outcomes still come in, deliveries do not. closed false suspends: the engine forgets the link all the same, and
 * may attach the name again.
 */
RH_API rh_status rh_link_detach(rh_link *link, bool closed, const char *condition, const char *description);

/** Receiver: the sender may send this many more from now on, at most 2^31 - 1. One flow leaves with the next output. */
RH_API rh_status rh_link_credit(rh_link *link, uint32_t credit);

/** Receiver: asks the sender to use or give up the credit now; on_drained follows. */
RH_API rh_status rh_link_drain(rh_link *link);

/**
 * Receiver: where the next delivery of several frames goes; lent until replaced or on_detach. Inside
 * on_delivery of a gathered payload this keeps that payload: the old buffer is the owner's again. While
 * a delivery is half arrived: RH_E_STATE.
 */
RH_API rh_status rh_link_gather(rh_link *link, uint8_t *buffer, size_t n);

typedef struct rh_transfer {
    const rh_slice *parts;      /* at most RH_TRANSFER_PARTS; the array is lent for the call, the bytes until on_outcome */
    size_t          part_count;
    rh_slice        tag;        /* at most 32 bytes, copied; absent: the engine counts */
    uint32_t        message_format;
    bool            settled;    /* fire and forget: the outcome is RH_SENT once the bytes have left */
    void           *user;
} rh_transfer;

#define RH_TRANSFER_PARTS 4

/**
 * Queues a delivery. RH_AGAIN: no credit or no slot; on_credit and on_outcome tell when to come back.
 * RH_E_TOO_BIG: larger than the peer's max-message-size. RH_E_ARGUMENT: too many parts, no bytes, or a tag that is too
 * long. RH_E_STATE: not a sender, or on its way out.
 */
RH_API RH_NODISCARD rh_status rh_link_send(rh_link *link, const rh_transfer *transfer, rh_delivery **out);

/**
 * Takes a delivery back: one still queued is dropped, one half sent is aborted [2.7.5]; both end as
 * RH_DROPPED. RH_E_STATE: all of it left, or its outcome is known.
 */
RH_API rh_status rh_delivery_abort(rh_delivery *delivery);

/**
 * Receiver: settles deliveries first..last with an outcome (RH_ACCEPTED to RH_SETTLED). Neighbours with the
 * same outcome leave as one disposition with the next output. condition and description are for RH_REJECTED.
 * RH_AGAIN: no room in the output ring.
 */
RH_API rh_status rh_link_settle(rh_link *link, uint32_t first, uint32_t last, rh_outcome_kind outcome, const char *condition, const char *description);

RH_API rh_session *rh_link_session(const rh_link *link);
RH_API rh_slice    rh_link_name(const rh_link *link);            /* lent while the handle lives */
RH_API bool        rh_link_is_receiver(const rh_link *link);
RH_API bool        rh_link_is_pending(const rh_link *link);      /* the peer's attach waits for accept or refuse */
RH_API bool        rh_link_is_attached(const rh_link *link);     /* both attaches are exchanged and no detach */
RH_API uint32_t    rh_link_credit_left(const rh_link *link);     /* sender: how many more sends; receiver: how many may come */
RH_API uint32_t    rh_link_queued(const rh_link *link);          /* sender: deliveries not cut yet */
RH_API uint32_t    rh_link_unsettled(const rh_link *link);       /* sender: deliveries without outcome, queued ones included */
RH_API uint64_t    rh_link_peer_max_message_size(const rh_link *link); /* 0: no limit */
RH_API void       *rh_link_user(const rh_link *link);
RH_API void        rh_link_set_user(rh_link *link, void *user);
RH_API rh_link    *rh_delivery_link(const rh_delivery *delivery);
RH_API void       *rh_delivery_user(const rh_delivery *delivery);
RH_API void        rh_delivery_set_user(rh_delivery *delivery, void *user);

#ifdef __cplusplus
}
#endif

#endif
