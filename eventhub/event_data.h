/**
 * event_data.h: from what a user says about an event to the sections of a message.
 */
#ifndef RH_EVENTHUB_EVENT_DATA_H
#define RH_EVENTHUB_EVENT_DATA_H

#include "eventhub/eventhub.h"

/**
 * key is the batch's, checked when it was made; absent: the event's own, if any. RH_E_ARGUMENT: text that is too
 * long; what is no text is found by rh_message_write(). RH_E_CONFLICT: the event names another key than its batch.
 */
RH_NODISCARD rh_status rh_event_fields_of(rh_message_fields *out, const rh_event_data *event, rh_slice key);

/**
 * No less than the encoded event takes and little more, for a part of the cost of knowing exactly. 0: the event has sections
 * of its own that only rh_message_size() can tell of.
 */
size_t rh_event_data_most(const rh_event_data *event);

/** Whether the service would take this as a partition key. */
bool rh_partition_key_is(rh_slice key);

#endif
