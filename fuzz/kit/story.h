/*
 * story.h: what the peer of an engine says in an input of as_broker and as_client (world.h): the usual beginning, as far as the
 * input's depth has it, and then one record after another. fuzz/aim says the same to other stacks.
 */
#ifndef RH_KIT_STORY_H
#define RH_KIT_STORY_H

#include "proto/proto.h"

enum { KIT_DEPTH_HEADER, KIT_DEPTH_SASL, KIT_DEPTH_OPEN, KIT_DEPTH_ATTACH, KIT_DEPTH_DELIVERY, KIT_DEPTHS };
enum { KIT_PEER_FRAME_MAX = 512, KIT_RECORD_BYTES = 1124 };

/** How far the two have come when the records begin. */
static inline unsigned kit_depth(const uint8_t *input)
{
    return (input[0] >> 1 & 7u) % KIT_DEPTHS;
}

/** What a usual peer says first: its header, its open, and a link with half a delivery. A link's end is a server's or a client's. */
size_t kit_usual_header(unsigned depth, uint8_t *out);
size_t kit_usual_open(uint8_t *out, size_t n);
size_t kit_usual_link(bool to_server, uint8_t *out, size_t n);

/** One record: something that the owner does, or bytes of the peer, framed in out where that is the record's sense. */
struct kit_record {
    uint8_t  kind; /* KIT_RECORD_ACT, KIT_RECORD_CARELESS; any other: bytes */
    uint8_t  what; /* of an act */
    rh_slice bytes;
};

/** Reads the record at p, which has `left` bytes, at least one; answers how many it took. */
size_t kit_record_read(const uint8_t *p, size_t left, struct kit_record *record, uint8_t out[KIT_RECORD_BYTES]);

#endif
