/**
 * filter.h: where a reader wants to begin, read from the filter map of its source.
 *
 * The expression is `amqp.annotation.NAME > 'VALUE'` or `>=`, blanks around the operator and quotes around the value at
 * will. NAME is x-opt-offset, x-opt-sequence-number or x-opt-enqueued-time (milliseconds since 1970). The
 * offset -1 is before the first event, @latest behind the last.
 */
#ifndef RH_EMULATOR_FILTER_H
#define RH_EMULATOR_FILTER_H

#include "codec/codec.h"

typedef enum rh_emu_from {
    RH_EMU_FROM_EARLIEST,
    RH_EMU_FROM_LATEST,
    RH_EMU_FROM_OFFSET,
    RH_EMU_FROM_SEQUENCE,
    RH_EMU_FROM_TIME,
} rh_emu_from;

typedef struct rh_emu_position {
    rh_emu_from from;
    bool        inclusive; /* of the event at value */
    int64_t     value;     /* offset, sequence number or milliseconds */
} rh_emu_position;

/** RH_E_INVALID_FIELD: not this grammar. RH_E_OFFSET: an offset that is not one of ours. */
RH_NODISCARD rh_status rh_emu_filter_parse(rh_slice expression, rh_emu_position *out);

/**
 * Reads the whole encoded filter map of a source; absent or null means earliest. The selector is known by its
 * key, and by its descriptor when that is one of the three in use; other filters are not ours to apply and are skipped.
 */
RH_NODISCARD rh_status rh_emu_filter_read(rh_slice map, rh_emu_position *out);

#endif
