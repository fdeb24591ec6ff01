/**
 * engine.h: what the files of the engine know of each other. Nothing here leaves proto/.
 *
 * Public handles (rh_link *, ...) are slot addresses with a generation in their low bits; the files of
 * the engine use slots (struct link *, ...) and meet handles only at the public calls and callbacks.
 *
 * Who may call back: only rh_engine_tell() and the ends of the handlers of incoming frames, each as its last act
 * on the objects concerned, because a callback may end anything.
 */
#ifndef RH_PROTO_ENGINE_H
#define RH_PROTO_ENGINE_H

#include "proto/chain.h"
#include "proto/output.h"
#include "proto/proto.h"
#include "proto/serial.h"
#include "proto/slots.h"

/* [2.3] What every peer takes before open has told more. */
#define MIN_MAX_FRAME_SIZE 512u

/* [2.7.2] Handles 0..255, as the service's own handle-max. */
#define HANDLES 256u

/* Names are kept to answer and match attaches. The service's longest are hub (256) + group + a uuid. */
#define LINK_NAME_MAX 512u

/* [2.8.7] A delivery-tag has at most 32 bytes. */
#define TAG_MAX 32u

/* -- sets of small numbers: channels and handles ----------------------------------------------- */

static inline bool bit_is_set(const uint8_t *bits, uint32_t i)
{
    return bits[i / 8] >> i % 8 & 1;
}

static inline void bit_set(uint8_t *bits, uint32_t i)
{
    bits[i / 8] |= (uint8_t)(1u << i % 8);
}

static inline void bit_clear(uint8_t *bits, uint32_t i)
{
    bits[i / 8] &= (uint8_t)~(1u << i % 8);
}

/** The lowest that is not in the set; max + 1 when all are. */
static inline uint32_t bit_lowest_clear(const uint8_t *bits, uint32_t max)
{
    uint32_t i = 0;
    while (i <= max && bit_is_set(bits, i)) i++;
    return i;
}

/* -- reasons ----------------------------------------------------------------------------------- */

/* Why something ends, until that is said and told. The words are ours, of the frame that is being handled, or kept behind
 * the struct of whom they are about. */
struct reason {
    rh_status status; /* RH_OK with words: its owner wants it so */
    rh_slice  condition, description;
};

/* -- deliveries -------------------------------------------------------------------------------- */

enum delivery_state {
    DELIVERY_QUEUED, /* no frame of it is cut */
    DELIVERY_HALF,   /* some are */
    DELIVERY_LEFT,   /* all are; unsettled */
    DELIVERY_OVER,   /* its outcome is known; told when nothing of it is lent any more */
};

struct delivery {
    struct slot     slot;
    struct link    *link;
    struct chain    queue;     /* in link->queue while QUEUED or HALF, in engine->told when ready to be told */
    struct chain    unsettled; /* in session->unsettled, by id, from its first frame to its outcome */
    void           *user;
    size_t          n, cut;    /* bytes in all, bytes in frames */
    uint32_t        id, message_format, pins; /* pins: pieces of it in the output */
    uint8_t         state, kind, part_count, tag_n;
    bool            settled;
    uint8_t         part;      /* the next byte to cut is in this part */
    size_t          part_cut;  /* and has this many before it there */
    union {
        struct {
            rh_slice parts[RH_TRANSFER_PARTS];
            uint8_t  tag[TAG_MAX];
        };
        struct { /* once OVER */
            rh_slice condition, description;
            uint8_t  words[96]; /* theirs, when they must outlive their frame */
        };
    };
};

/* -- links ------------------------------------------------------------------------------------- */

enum link_state {
    LINK_UNATTACHED,
    LINK_ATTACH_SENT,
    LINK_ATTACH_RCVD, /* waits for accept or refuse */
    LINK_ATTACHED,
    LINK_DETACH_PIPE, /* attach and detach sent, no answer yet */
    LINK_DETACH_SENT,
    LINK_DETACH_RCVD,
    LINK_STATES,
};

struct link {
    struct slot     slot;
    struct session *session;
    void           *user;
    struct chain    in_session, due, ready, dead; /* ready: in engine->ready or session->blocked */
    struct link    *next_by_handle;
    struct chain    queue;                        /* deliveries with bytes to cut */
    uint32_t        deliveries, queued;           /* without told outcome; not begun */
    uint8_t         state, handle;
    uint16_t        in_handle;
    bool            receiver, has_handle, has_in, refused;
    bool            flow_due, detach_due, detach_closed, say_error;
    bool            dying, told, gone_closed;     /* dying: on_detach is owed */
    bool            inherits;                     /* the reason is its session's */
    bool            drain, drain_due, abort_due;
    uint32_t        delivery_count;
    uint32_t        credit;                       /* sender: deliveries that may begin */
    uint32_t        limit, granted;               /* receiver: delivery-counts where credit ends, and ended at most */
    uint64_t        max_message_size, peer_max_message_size;
    uint64_t        next_tag;

    /* the incoming delivery of several frames */
    uint8_t *gather;
    size_t   gather_n, gathered;
    bool     gathering, in_settled;
    bool     reject_oversize, swallowing; /* swallowing: the rest of a delivery that is too large */
    uint32_t in_id, in_format;
    uint8_t  in_tag[TAG_MAX];
    uint8_t  in_tag_n;

    struct reason reason; /* what to say in detach, then what to tell */
    uint16_t      name_n;
    uint8_t       text[]; /* the name, then room for words */
};

/* -- sessions ---------------------------------------------------------------------------------- */

enum session_state {
    SESSION_UNMAPPED,
    SESSION_BEGIN_SENT,
    SESSION_BEGIN_RCVD,
    SESSION_MAPPED,
    SESSION_END_SENT,
    SESSION_DISCARDING,
    SESSION_END_RCVD,
    SESSION_STATES,
};

/* Settled deliveries whose disposition has not left: one range, grown while neighbours follow. */
struct settling {
    bool     due, role; /* role: true when we are the receiver */
    uint8_t  kind;
    uint32_t first, last;
};

/* Links are found by the peer's handle in one of so many chains, sessions by its channel: most peers use few and low
 * numbers, and most sessions hold one link or two. */
#define HANDLE_WAYS  4u
#define CHANNEL_WAYS 16u

struct session {
    struct slot     slot;
    rh_engine      *engine;
    void           *user;
    struct chain    in_engine, due, dead;
    struct session *next_by_channel;
    struct chain    links, due_links, blocked, unsettled;
    uint32_t        untold; /* links whose on_detach is owed */
    uint8_t         state;
    uint16_t        channel, in_channel;
    bool            has_in, flow_due, end_due, say_error, dying, told;
    bool            inherits; /* the reason is the engine's error */
    uint32_t        handle_max, peer_handle_max;
    uint32_t        window, incoming_window, next_incoming_id;
    uint32_t        next_outgoing_id, remote_window, next_delivery_id, initial_outgoing_id;
    struct settling settling;
    struct link    *by_handle[HANDLE_WAYS];
    uint8_t         handles_used[HANDLES / 8];
    uint8_t         handles_heard[HANDLES / 8]; /* the peer's, of today or gone: late frames may still name those */
    struct reason   reason;
    uint8_t         text[];
};

/* -- the connection ---------------------------------------------------------------------------- */

/* [2.4.6] */
enum connection_state {
    CONN_START,
    CONN_HDR_RCVD,
    CONN_HDR_SENT,
    CONN_HDR_EXCH,
    CONN_OPEN_PIPE,
    CONN_OC_PIPE,
    CONN_OPEN_RCVD,
    CONN_OPEN_SENT,
    CONN_CLOSE_PIPE,
    CONN_OPENED,
    CONN_CLOSE_RCVD,
    CONN_CLOSE_SENT,
    CONN_DISCARDING,
    CONN_END,
    CONN_STATES,
};

enum sasl_state {
    SASL_HEADER,     /* the peer's SASL header is due */
    SASL_MECHANISMS, /* client: the list */
    SASL_INIT,       /* server: the choice */
    SASL_OUTCOME,    /* client: the verdict */
    SASL_DONE,       /* or there is none */
    SASL_FAILED,
};

struct rh_engine {
    const rh_engine_handler *handler;
    void                    *user;
    struct output            out;
    struct pool              sessions, links, deliveries;
    struct chain             loans, begun; /* begun: all sessions */
    struct chain             due;   /* sessions with frames to say beside transfers */
    struct chain             ready; /* sending links that can cut a frame now */
    struct chain             told, dead_links, dead_sessions;
    struct session          *by_channel[CHANNEL_WAYS];
    uint8_t                 *channels_used, *channels_heard; /* as the handles of a session */
    uint8_t                  state, sasl_state;
    bool                     server, inside, pipeline, deaf;
    bool                     over, over_told; /* on_close is owed, was told */
    bool                     close_due, open_due, say_error;
    bool                     clock_runs, lost; /* lost: the pipe has given everything back */
    bool                     close_waits;      /* our close has been decided and not been answered */
    rh_sasl                  sasl;
    uint16_t                 channel_max;
    uint32_t                 max_frame_size, idle_ms, window, first_id;
    rh_engine_peer           peer;
    uint32_t                 biggest_sent;  /* frame written before the peer's open told its limit */
    rh_time                  last_in, last_out, close_by;
    rh_engine_counts         counts;
    rh_error                 error;
    const uint8_t           *frame; /* being handled; NULL outside */
    rh_slice                 open;  /* a server's, encoded at init */
};

/* engine.c */
void rh_engine_tell(rh_engine *engine);
bool rh_engine_say_due(rh_engine *engine);
void rh_engine_lose_all(rh_engine *engine);
void rh_engine_drop_queued(rh_engine *engine);

/* connection.c */
bool rh_connection_start(rh_engine *engine); /* false: no room */
void rh_connection_take(rh_engine *engine, rh_slice frame);
bool rh_connection_decode_at(rh_engine *engine, rh_composite_id id, rh_dec *d, void *out);
bool rh_connection_decode(rh_engine *engine, rh_composite_id id, rh_slice body, void *out);
bool rh_connection_wants_header(const rh_engine *engine);
bool rh_connection_say_close(rh_engine *engine); /* false: no room */
void rh_connection_fail(rh_engine *engine, rh_status status, const char *words);
void rh_connection_lost(rh_engine *engine, rh_status status, const char *words);
void rh_connection_end(rh_engine *engine);

/* error.c */
rh_slice      rh_error_encode(const struct reason *reason, uint8_t *room, size_t n);
void          rh_error_of_fault(rh_error *out, rh_status status, const char *words);
struct reason rh_reason_of_fault(rh_status status, const char *words);
struct reason rh_reason_of_peer(rh_slice encoded);
struct reason rh_reason_of_caller(const char *condition, const char *words);
struct reason rh_reason_of_error(const rh_error *error);
void          rh_reason_keep(struct reason *reason, uint8_t *room, size_t n);
void          rh_reason_tell(const struct reason *reason, rh_error *out);

/* sasl.c */
bool rh_sasl_prepare(rh_engine *engine, const rh_engine_opts *opts); /* false: the initial response is too long */
void rh_sasl_take_header(rh_engine *engine, rh_slice header);
void rh_sasl_take(rh_engine *engine, rh_slice body);

/* session.c */
void      rh_session_take_begin(rh_engine *engine, uint16_t channel, rh_slice body);
void      rh_session_take(rh_engine *engine, uint16_t channel, rh_composite_id id, rh_slice body);
void      rh_session_fail(struct session *session, rh_status status, const char *words);
void      rh_session_die(struct session *session, bool inherits);
void      rh_session_error(const struct session *session, rh_error *out);
void      rh_session_reap(struct session *session);
void      rh_session_due(struct session *session);
bool      rh_session_say(struct session *session); /* false: no room */
void      rh_session_flow_fields(struct session *session, rh_amqp_flow *flow);
bool      rh_session_count_transfer(struct session *session);
rh_status rh_session_settle(struct session *session, const struct settling *what, rh_slice error);

/* link.c */
void         rh_link_take_attach(struct session *session, rh_slice body);
void         rh_link_take_detach(struct session *session, rh_slice body);
struct link *rh_link_by_handle(struct session *session, uint32_t handle); /* NULL: none; the session has judged */
void         rh_link_fail(struct link *link, rh_status status, const char *words);
void         rh_link_cut_off(struct link *link); /* its session is gone */
void         rh_link_error(const struct link *link, rh_error *out);
void         rh_link_reap(struct link *link);
void         rh_link_due(struct link *link);
bool         rh_link_say(struct link *link); /* false: no room */

/* credit.c */
void     rh_link_take_flow(struct session *session, const rh_amqp_flow *flow);
void     rh_link_refresh(struct link *link);
uint32_t rh_link_usable(const struct link *link);
bool     rh_credit_say(struct link *link); /* false: no room */

/* delivery.c */
bool rh_delivery_cut(struct link *link); /* false: no room */
void rh_delivery_unpin(struct delivery *delivery);
void rh_delivery_take(struct session *session, rh_slice body);
void rh_deliveries_drop(struct link *link, bool all);
void rh_deliveries_settled(struct session *session, const rh_amqp_disposition *disposition);

/** Frames of sessions may be written: our open stands before them and no close. */
static inline bool connection_may_send(const rh_engine *engine)
{
    return engine->state == CONN_OPENED || engine->state == CONN_OPEN_SENT || engine->state == CONN_OPEN_PIPE;
}

/** Nothing new is sent or taken on it: its end is decided, said or heard. */
static inline bool link_is_leaving(const struct link *link)
{
    return link->dying || link->detach_due || link->state >= LINK_DETACH_PIPE;
}

static inline rh_engine *link_engine(const struct link *link)
{
    return link->session->engine;
}

#endif
