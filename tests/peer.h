/**
 * peer.h: a hand-driven peer of one engine: says any frame in any state, hears every frame that comes
 * back. For what a well-behaved engine on the other side would never do.
 */
#ifndef RH_TESTS_PEER_H
#define RH_TESTS_PEER_H

#include "tests/pair.h"

struct peer {
    struct end end; /* the engine under test and what it told */
    rh_time    now;
    uint8_t   *heard;
    size_t     heard_n;
};

struct peer *peer_new(const rh_engine_opts *opts);
void         peer_free(struct peer *peer);

void peer_say_bytes(struct peer *peer, const void *p, size_t n);
void peer_say_header(struct peer *peer, uint8_t protocol);
void peer_say_frame(struct peer *peer, uint8_t type, uint16_t channel, rh_slice body);
void peer_say(struct peer *peer, uint16_t channel, rh_composite_id id, const void *fields);
void peer_say_transfer(struct peer *peer, const rh_amqp_transfer *transfer, const char *payload);

/** Takes what the engine has to say; later calls see it. */
void peer_hear(struct peer *peer);

/** The nth frame (from 0) with this performative heard so far, decoded; false if there is none. */
bool peer_heard(struct peer *peer, rh_composite_id id, uint32_t nth, void *fields);
uint32_t peer_heard_count(struct peer *peer, rh_composite_id id);

/** The condition of the error in the first frame of this kind heard (end, detach or close); "" without one. */
const char *peer_heard_condition(struct peer *peer, rh_composite_id id);

/* Usual steps up to a state. The engine may be of either role. */
void peer_headers(struct peer *peer);
void peer_open(struct peer *peer, uint32_t max_frame_size, uint32_t idle_ms);
void peer_begin(struct peer *peer, uint16_t channel, uint32_t window);
void peer_attach(struct peer *peer, uint16_t channel, uint32_t handle, const char *name, bool we_receive);
void peer_credit(struct peer *peer, uint32_t delivery_count, uint32_t credit);

/** A transfer's usual fields. */
rh_amqp_transfer transfer_to(uint32_t handle, uint32_t delivery_id, bool more);

#endif
