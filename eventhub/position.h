/**
 * position.h: where a consumer starts, as the filter of its link's source.
 */
#ifndef RH_EVENTHUB_POSITION_H
#define RH_EVENTHUB_POSITION_H

#include "eventhub/eventhub.h"

/* The longest expression: an annotation's name, an operator and a quoted offset. */
#define RH_POSITION_MAX (RH_OFFSET_MAX + 64)

/** Whether it can be said: an offset is there, not too long, and would not end its own quotes. */
bool rh_position_is(const rh_position *position);

/** "amqp.annotation.x-opt-offset > '-1'", ended by a zero, into RH_POSITION_MAX bytes. */
void rh_position_print(const rh_position *position, char *out);

/** The map of the source's filter field; lives as long as e's memory. */
rh_slice rh_position_encode(rh_enc *e, const rh_position *position);

#endif
