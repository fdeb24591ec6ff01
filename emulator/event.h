/**
 * event.h: what arrives from a sender becomes what readers are sent.
 */
#ifndef RH_EMULATOR_EVENT_H
#define RH_EMULATOR_EVENT_H

#include "proto/proto.h"

/* The longest partition key and publisher name; the service's limit for keys. */
#define RH_EMU_KEY_MAX 128

/* What the service knows about an event when it stores it; absent slices are left out. */
typedef struct rh_emu_stamp {
    int64_t  sequence;
    uint64_t offset;
    int64_t  enqueued_ms;
    rh_slice key;       /* of the envelope; an event's own one is kept */
    rh_slice publisher;
} rh_emu_stamp;

/** The partition key among a message's annotations; absent if there is none. RH_E_INVALID_FIELD: not a string. */
RH_NODISCARD rh_status rh_emu_event_key(const rh_message *message, rh_slice *key);

/** RH_OK if everything that will be written again can be read. */
RH_NODISCARD rh_status rh_emu_event_check(const rh_message *message);

/** No stored form of the message is larger. */
size_t rh_emu_event_room(rh_slice encoded);

/**
 * Writes the encoded message, of which message is the view, as readers get it: header, message annotations with the service's own in front, and the bare
 * message, which nobody on the way may change [3.2]. Delivery annotations were for us and end here. header_n receives
 * the bytes before the message annotations.
 */
void rh_emu_event_write(rh_enc *e, rh_slice encoded, const rh_message *message, const rh_emu_stamp *stamp, size_t *header_n);

#endif
