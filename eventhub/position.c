#include "eventhub/position.h"

#include <stdio.h>

/* What every client but one writes; the service takes the symbol of the same name too. */
#define FILTER_NAME "apache.org:selector-filter:string"
#define FILTER_CODE UINT64_C(0x0000468c00000004)

bool rh_position_is(const rh_position *position)
{
    if (position->kind > RH_POSITION_TIME) return false;
    if (position->kind != RH_POSITION_OFFSET) return true;
    const char *offset = position->offset;
    return offset && *offset && strlen(offset) <= RH_OFFSET_MAX && !strchr(offset, '\'') && rh_ascii_is(rh_str(offset));
}

void rh_position_print(const rh_position *position, char *out)
{
    static const char *const names[] = {
        [RH_POSITION_EARLIEST] = "offset", [RH_POSITION_LATEST] = "offset", [RH_POSITION_OFFSET] = "offset",
        [RH_POSITION_SEQUENCE] = "sequence-number", [RH_POSITION_TIME] = "enqueued-time",
    };
    char number[24];
    snprintf(number, sizeof number, "%lld", (long long)position->value);
    const char *value = number, *operator = position->inclusive ? ">=" : ">";
    if (position->kind == RH_POSITION_OFFSET) value = position->offset;
    if (position->kind == RH_POSITION_EARLIEST) value = "-1", operator = ">";
    if (position->kind == RH_POSITION_LATEST) value = "@latest", operator = ">";
    snprintf(out, RH_POSITION_MAX, "amqp.annotation.x-opt-%s %s '%s'", names[position->kind], operator, value);
}

rh_slice rh_position_encode(rh_enc *e, const rh_position *position)
{
    char expression[RH_POSITION_MAX];
    rh_position_print(position, expression);
    const uint8_t *start = e->p;
    rh_enc_mark map = rh_enc_map_begin(e);
    rh_enc_symbol(e, rh_str(FILTER_NAME));
    rh_enc_descriptor(e, FILTER_CODE);
    rh_enc_string(e, rh_str(expression));
    rh_enc_map_end(e, map, 2);
    return rh_slice_of(start, (size_t)(e->p - start));
}
