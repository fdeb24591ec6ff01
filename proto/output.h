/**
 * output.h: what waits to leave: a ring of bytes that the engine wrote (headers, control frames) and a
 * ring of segments that puts them in order with slices of payloads that stay where they are.
 *
 * What stands behind SASL may be submitted, and encoded, long before the SASL exchange allows it to leave, so there is
 * a segment at which output stops. Both rings are in one piece of memory: the engine's own, or borrowed while they
 * hold anything.
 */
#ifndef RH_PROTO_OUTPUT_H
#define RH_PROTO_OUTPUT_H

#include "proto/proto.h"

struct delivery;
struct link;
struct session;

/* The longest answer that the engine gives to one frame, with room for what a callback adds; input waits
 * until this much is free. */
#define ANSWER_ROOM 2048u

/* A transfer frame takes its header and RH_TRANSFER_PARTS slices; the rest is for control frames. */
#define SEGMENTS_SPARE 16u

/* What is set aside to write a transfer's header into: about 35 bytes come of it, 67 with the longest tag. */
#define TRANSFER_HEADER_MAX 80u

/* A kernel that is given this much at once is called twice for a thousand events of 1 KiB. Lending more would not make the
 * pipe faster, but a control frame behind it later. */
#define LENT_BYTES_MAX (512u * 1024u)

struct segment {
    const uint8_t   *p;
    size_t           n;
    struct delivery *lent; /* whose payload it is; NULL: the ring's */
};

struct output {
    uint8_t        *ring;              /* NULL: not borrowed now */
    size_t          size, head, tail;  /* bytes [head, tail) wait, over the end if tail < head */
    struct segment *segments;
    uint32_t        mask, first, last; /* segments first..last - 1 wait, counted for ever */
    uint32_t        in_ring;           /* how many of them are the ring's */
    uint32_t        seal;              /* the segment with this number is not put together with the one before */
    uint32_t        secrets;           /* how many segments, from the first, are of SASL: wiped when they have left */
    size_t          waiting;           /* bytes in all of them */
    bool            stopped;           /* from segment stop_at on everything waits for SASL */
    bool            held;              /* [2.3] from segment held_at on everything waits for the peer's open */
    uint32_t        stop_at, held_at, sasl_end;
    bool            borrows;           /* the rings are its owner's */
    bool            starved;           /* and the owner had none when one was needed */
    rh_time         ask_at;            /* when to ask again */
};

size_t   rh_output_size(uint32_t bytes);                                  /* of both rings */
void     rh_output_init(struct output *out, uint32_t bytes, uint8_t *memory); /* NULL: borrows */
bool     rh_output_borrow(rh_engine *engine);                             /* false: the owner has none now */
void     rh_output_give_back(rh_engine *engine);                          /* if nothing waits */
bool     rh_output_has_more(const struct output *out);                    /* something may leave now */
size_t   rh_output_room(const struct output *out);                        /* the longest frame that fits */
uint8_t *rh_output_take(rh_engine *engine, size_t n);                     /* n bytes of the ring, not yet used; NULL: no room */
void     rh_output_commit(struct output *out, uint8_t *p, size_t n);
void     rh_output_stop(struct output *out);                              /* what follows is behind the stop */
void     rh_output_lend(struct output *out, struct delivery *delivery, rh_slice piece);
bool     rh_output_lends(const struct output *out, const struct session *session, const struct link *link); /* NULL: any of the session's */
size_t   rh_output_pieces(const struct output *out, rh_iov *iov, size_t max);
void     rh_output_sent(rh_engine *engine, size_t n);
void     rh_output_clear(rh_engine *engine);

static inline uint32_t output_segments_left(const struct output *out)
{
    return out->mask + 1 - (out->last - out->first);
}

/**
 * Writes one frame that has no payload. RH_AGAIN: no room now; RH_E_SPACE: there never is;
 * RH_E_TOO_BIG: larger than the peer's frames.
 */
rh_status rh_output_frame(rh_engine *engine, uint16_t channel, rh_composite_id id, const void *fields);

/** A frame whose body is encoded already; false: no room now. */
bool rh_output_encoded(rh_engine *engine, rh_slice body);

void rh_output_heartbeat(rh_engine *engine);

#endif
