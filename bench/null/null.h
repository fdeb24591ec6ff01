/**
 * The null peer: an AMQP server by hand, so that everybody who is measured talks to the same cheap end. It holds no
 * engine of anybody: what sets a connection up is read and written with the public lists of proto.h, the way of a
 * transfer is a few bytes looked at in place. What it receives it forgets; what it sends lies ready.
 *
 * Files: stream.c moves bytes (TCP, TLS), peer.c answers what a connection says, sink.c takes transfers, source.c makes
 * them, service.c answers $cbs and $management, main.c waits for all of them.
 */
#ifndef RH_BENCH_NULL_H
#define RH_BENCH_NULL_H

#include <openssl/ssl.h>
#include <ringhub/proto.h>

#define RH_NULL_FRAME      65536u   /* largest frame taken and sent: the service's */
#define RH_NULL_READ       (1u << 20)
#define RH_NULL_BLOCK      (256u * 1024) /* sent by one write */
#define RH_NULL_HANDLES    256u     /* of one session: the service's handle-max is 255 */
#define RH_NULL_CHANNELS   5000u    /* likewise 4,999 */
#define RH_NULL_WINDOW     200000u  /* frames of one session, renewed at half */
#define RH_NULL_CREDIT     100000u  /* deliveries of one link, renewed at half */
#define RH_NULL_PARTITIONS 4u

/* -- streams --------------------------------------------------------------------------------- */

/** Bytes from and to one socket. With TLS, ciphertext is gathered and sent at once. */
typedef struct rh_null_buffer {
    uint8_t *p;
    size_t   at, n, size;
} rh_null_buffer;

typedef struct rh_null_stream {
    int            fd;
    SSL           *tls;    /* NULL: plain */
    rh_null_buffer plain;  /* answers being gathered, and what the socket did not take */
    rh_null_buffer sealed; /* ciphertext on its way out */
    uint64_t       sent;   /* bytes, ever */
    bool           ended;
} rh_null_stream;

/** Takes the descriptor; tls may be NULL. False: no memory; the descriptor is closed. */
bool rh_null_stream_start(rh_null_stream *stream, int fd, SSL_CTX *tls);

/** As many as come without waiting, up to n; 0: nothing now, or ended. */
size_t rh_null_stream_read(rh_null_stream *stream, uint8_t *p, size_t n);

/** Puts n bytes behind what waits; sent by the next flush. */
void rh_null_stream_put(rh_null_stream *stream, const void *p, size_t n);

/** Sends n bytes behind what waits, and keeps what the socket does not take. As rh_null_stream_flush(). */
bool rh_null_stream_write(rh_null_stream *stream, const uint8_t *p, size_t n);

/** True: nothing waits any more. False: to be called again when the socket is writable. */
bool rh_null_stream_flush(rh_null_stream *stream);
void rh_null_stream_end(rh_null_stream *stream);

/** A server's context with a certificate of its own, written to a file for those who shall trust it. NULL: words on stderr. */
SSL_CTX *rh_null_tls(const char *ca_file);

/* -- what a connection holds ----------------------------------------------------------------- */

/** Reference events as they go on the wire, each as whole frames, ready but for its delivery id. */
typedef struct rh_null_block {
    uint8_t *p;
    size_t   n;        /* of all events */
    size_t   event_n;  /* of one */
    size_t   id_at;    /* of its delivery id in an event; the tag is the same four bytes */
    size_t   tag_at;
    uint32_t count;    /* events */
    uint32_t frames;   /* of one event */
} rh_null_block;

typedef enum rh_null_kind { RH_NULL_FREE, RH_NULL_SINK, RH_NULL_SOURCE, RH_NULL_REQUESTS, RH_NULL_REPLIES } rh_null_kind;

typedef struct rh_null_link {
    rh_null_kind  kind;
    uint32_t      handle;
    char          address[128]; /* of the node at our end */
    char          name[128];
    char          reply_to[128]; /* REPLIES: where its client says it receives */
    uint32_t      delivery_count;
    uint32_t      credit;      /* given (SINK, REQUESTS) or left (SOURCE, REPLIES) */
    bool          settled;     /* SOURCE: sends settled */
    bool          drain;
    bool          arriving;    /* SINK: between the frames of a delivery */
    bool          to_settle;   /* that delivery came unsettled */
    uint32_t      delivery_id;
    uint8_t      *gathered;    /* REQUESTS: its payload so far */
    size_t        gathered_n;
    uint8_t      *reply;       /* REPLIES: messages that wait for credit, each behind its length */
    size_t        reply_n;
    rh_null_block block;       /* SOURCE */
} rh_null_link;

typedef struct rh_null_session {
    bool          is_open;
    uint16_t      channel;
    uint32_t      next_incoming_id, window; /* ours to give */
    uint32_t      next_outgoing_id, room;   /* the peer's, in frames */
    uint32_t      next_delivery_id;
    uint32_t      first, count;             /* unsettled deliveries to accept */
    uint32_t      handles; /* above all that are in use */
    rh_null_link *links[RH_NULL_HANDLES];
} rh_null_session;

typedef struct rh_null_peer {
    rh_null_stream    stream;
    rh_null_session **sessions;
    size_t            session_count;
    uint8_t          *tail;      /* of a frame that was cut by the end of a read */
    size_t            tail_n, tail_size;
    uint32_t          skip;      /* bytes of a transfer that are still to be passed over */
    uint32_t          max_frame; /* the peer's */
    uint64_t          heartbeat_ns; /* 0: it wants none */
    uint64_t          sent_at;
    bool              is_open, is_closing, waits_writable;
    size_t            index;     /* of main's table */
    const char       *trouble;   /* it broke the protocol: what to say */
} rh_null_peer;

/* -- peer.c ---------------------------------------------------------------------------------- */

/** Answers n bytes. What is left at the end is kept. False: the connection is over. */
bool rh_null_peer_take(rh_null_peer *peer, const uint8_t *p, size_t n);

/** Sends answers, and what has credit and room. False: there is more, to be called again when the socket is writable. */
bool rh_null_peer_give(rh_null_peer *peer);
void rh_null_peer_end(rh_null_peer *peer);

/** Writes one frame: a list, and a payload behind it. */
void rh_null_send(rh_null_peer *peer, uint16_t channel, rh_composite_id id, const void *list, rh_slice payload);
bool rh_null_trouble(rh_null_peer *peer, const char *words);

/* -- sink.c ---------------------------------------------------------------------------------- */

/**
 * A transfer. whole: body is all of the frame; otherwise it is its beginning, and only a sink's is taken. False: not
 * taken, and there may be trouble.
 */
bool rh_null_sink_transfer(rh_null_peer *peer, rh_null_session *session, rh_slice body, bool whole);

/** Settles what came and renews what was used. */
void rh_null_sink_answer(rh_null_peer *peer, rh_null_session *session);
void rh_null_sink_flow(rh_null_peer *peer, rh_null_session *session, const rh_null_link *link);

/* -- source.c -------------------------------------------------------------------------------- */

/** The body size that an address asks for: bench-1024; 1,024 when it asks for none. */
uint32_t rh_null_source_size(const char *address);
bool     rh_null_source_start(rh_null_link *link, uint32_t max_frame, uint16_t channel);

/** Sends as long as there is credit, room and a socket that takes it. False: there is more to send. */
bool rh_null_source_give(rh_null_peer *peer, rh_null_session *session, rh_null_link *link);

/* -- service.c ------------------------------------------------------------------------------- */

void rh_null_service_request(rh_null_peer *peer, rh_null_session *session, rh_null_link *link, rh_slice message);
void rh_null_service_give(rh_null_peer *peer, rh_null_session *session, rh_null_link *link);

#endif
