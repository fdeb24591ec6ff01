/*
 * world.h: a whole engine between a peer that says anything and an owner who does anything. as_broker and as_client are this
 * world in the two roles.
 *
 * The input: two bytes for the engine's options, the first also for how far the two have come when the rest begins (header,
 * SASL, open, attach, the middle of a delivery). Then records, each behind a byte:
 *   0         one byte: what the owner does
 *   1..250    a frame of so many bytes behind its channel and type, one byte: framed here, so that mutations reach the inside
 *   251       eight bytes as they are: a protocol header, or the head of a frame that lies
 *   252       a frame of more bytes: two bytes for how many, then as above
 *   253       one byte: what an owner should not do, and is refused (careless.h)
 *   254, 255  all that is left, as it is
 */
#ifndef RH_KIT_WORLD_H
#define RH_KIT_WORLD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    KIT_RECORD_ACT      = 0,
    KIT_RECORD_FRAME    = 250, /* the longest */
    KIT_RECORD_HEADER   = 251,
    KIT_RECORD_LONG     = 252,
    KIT_RECORD_CARELESS = 253,
    KIT_RECORD_REST     = 254,
};

/** What one input does with an engine in this role; aborts where it breaks a promise. */
void kit_world_run(bool server, const uint8_t *data, size_t size);

#endif
