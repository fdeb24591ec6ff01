/**
 * The reference event: what every bench encodes, sends, receives and decodes.
 *
 * 1,024 bytes of body in one data section, the annotation x-opt-partition-key, a message-id of 36 characters, a content-type
 * and three application properties (string, long, bool): 1,216 bytes. As received it has three annotations more,
 * sequence number, offset and enqueued time: 1,307 bytes. There are a thousand of them, each with its own bytes.
 */
#ifndef RH_BENCH_REFERENCE_H
#define RH_BENCH_REFERENCE_H

#include <ringhub/proto.h>

#define RH_REFERENCE_BODY     1024
#define RH_REFERENCE_SENT     1216
#define RH_REFERENCE_RECEIVED 1307
#define RH_REFERENCE_COUNT    1000
#define RH_REFERENCE_BATCH    (RH_REFERENCE_COUNT * (RH_REFERENCE_SENT + 8)) /* each in a data section of its own */

/** What an application has in its hands before it sends. */
typedef struct rh_reference_event {
    rh_slice partition_key;
    rh_slice message_id;
    rh_slice content_type;
    rh_slice device;     /* three application properties */
    int64_t  reading;
    bool     calibrated;
    rh_slice body;
    int64_t  sequence_number; /* of the received form only */
    rh_slice offset;
    int64_t  enqueued_time;
    rh_slice encoded;         /* as sent, for whoever only copies */
} rh_reference_event;

/** What a receiver reads: every field, as views. */
typedef struct rh_reference_view {
    rh_property annotations[8];
    size_t      annotation_count;
    rh_slice    message_id;
    rh_slice    content_type;
    rh_property properties[8];
    size_t      property_count;
    rh_slice    body;
} rh_reference_view;

/** Builds all that the calls below answer; ends the program if a size is not the one above. */
void rh_reference_init(void);

const rh_reference_event *rh_reference_event_at(size_t i);

/** Event i encoded byte by byte, by code that shares nothing with what is measured. */
rh_slice rh_reference_sent(size_t i);
rh_slice rh_reference_received(size_t i);

/** Event i with a body of another size (of its own bytes, over and over) into `to`; answers how much that is, 0 if there
 * is no room. With RH_REFERENCE_BODY it is the event above. */
size_t rh_reference_write(uint8_t *to, size_t room, size_t i, size_t body_n, bool received);

/** All of them in one envelope of data sections. */
rh_slice rh_reference_batch(void);

/** Whether the view says exactly what event i does, in its sent or received form. */
bool rh_reference_is(const rh_reference_view *view, size_t i, bool received);

#endif
