/*
 * witness.h: somebody beside an engine who reads both directions and holds it to what the specification lets it send:
 * frames that parse and fit the peer's frame size, transfers within the session's window [2.5.6], deliveries within the link's
 * credit [2.6.7], each delivery whole and in order [2.7.5], nothing on what has ended. It keeps its own books, from the
 * frames alone; where its sums and the engine's differ it aborts, unless what they are about ends then: an engine that has
 * decided to end a link or session counts no further.
 */
#ifndef RH_KIT_WITNESS_H
#define RH_KIT_WITNESS_H

#include "proto/proto.h"

enum { WITNESS_SESSIONS = 8, WITNESS_LINKS = 32, WITNESS_FRAMES = 1024, WITNESS_OPEN = 32 };

struct witness_link {
    bool     live, said, heard; /* our attach was seen, the peer's was */
    bool     doubt;             /* the sums differ: nothing but its end may follow */
    bool     left;              /* the peer has detached: its handle may name another */
    bool     receiver;          /* we are */
    bool     half;              /* the last transfer has more to come */
    uint16_t session;
    uint32_t handle, peer_handle;
    uint64_t name;
    uint32_t delivery_count, credit, delivery_id;
};

struct witness_session {
    bool     live, heard, over; /* over: the peer has ended it */
    bool     doubt;             /* as of a link */
    uint16_t channel, peer_channel;
    uint32_t next_outgoing_id, first_outgoing_id, next_delivery_id, next_incoming_id;
    uint32_t window;            /* transfers that the peer still takes */
    uint32_t peer_handle_max;
    bool     crowded;           /* nothing is known of open deliveries any more */
    struct { bool live, decided; uint32_t id; } open[WITNESS_OPEN]; /* deliveries of ours that nobody has settled */
};

/* What was written and has not left. */
struct witness_frame {
    uint16_t channel, n;
    uint8_t  code;
    uint32_t sum;
};

struct witness {
    uint32_t               first_id;
    const uint8_t         *payload; /* what every delivery is a beginning of */
    uint32_t               peer_frame_max;
    bool                   closed;  /* our close was written */
    bool                   asked;   /* the peer's begin that waits for an answer */
    uint16_t               asked_channel;
    rh_amqp_begin          asked_begin;
    struct witness_session sessions[WITNESS_SESSIONS];
    struct witness_link    links[WITNESS_LINKS];
    struct witness_frame   frames[WITNESS_FRAMES];
    size_t                 offsets[256]; /* into the payload, on the wire: by channel and handle, which are low numbers */
    uint32_t               written, left;
};

/** payload: every delivery of the engine holds its first bytes. first_id: as in the engine's options. */
void kit_witness_init(struct witness *witness, uint32_t first_id, const uint8_t *payload);

/** A frame is read or written: on_frame. */
void kit_witness_frame(struct witness *witness, bool outgoing, uint8_t type, uint16_t channel, rh_slice body);

/** One whole frame or protocol header, as it leaves. */
void kit_witness_wire(struct witness *witness, const uint8_t *p, size_t n);

/** Everything has left that was to: no sums differ but on what has ended. */
bool kit_witness_is_content(const struct witness *witness);

/** Whether this many deliveries may be sent on the link with this name, as far as the witness knows: there may be several. */
bool kit_witness_credit_is(const struct witness *witness, rh_slice name, uint32_t credit);

#endif
