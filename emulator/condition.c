#include "emulator/condition.h"

const char *const rh_emu_conditions[RH_EMU_CONDITIONS] = {
    "amqp:internal-error",
    "amqp:not-found",
    "amqp:unauthorized-access",
    "amqp:decode-error",
    "amqp:resource-limit-exceeded",
    "amqp:not-allowed",
    "amqp:invalid-field",
    "amqp:not-implemented",
    "amqp:resource-locked",
    "amqp:precondition-failed",
    "amqp:resource-deleted",
    "amqp:illegal-state",
    "amqp:frame-size-too-small",
    "amqp:connection:forced",
    "amqp:connection:framing-error",
    "amqp:connection:redirect",
    "amqp:session:window-violation",
    "amqp:session:errant-link",
    "amqp:session:handle-in-use",
    "amqp:session:unattached-handle",
    "amqp:link:detach-forced",
    "amqp:link:transfer-limit-exceeded",
    "amqp:link:message-size-exceeded",
    "amqp:link:redirect",
    "amqp:link:stolen",

    "com.microsoft:server-busy",
    "com.microsoft:timeout",
    "com.microsoft:operation-cancelled",
    "com.microsoft:container-close",
    "com.microsoft:auth-failed",
    "com.microsoft:argument-error",
    "com.microsoft:argument-out-of-range",
    "com.microsoft:entity-disabled",
    "com.microsoft:entity-already-exists",
    "com.microsoft:precondition-failed",
    "com.microsoft:producer-epoch-stolen",
    "com.microsoft:out-of-order-sequence",
    "com.microsoft:georeplication:invalid-offset",
    "com.microsoft:publisher-revoked",
    "com.microsoft:partition-not-owned",
    "com.microsoft:store-lock-lost",
    "com.microsoft:address-already-in-use",
};

size_t rh_emu_condition_find(rh_slice symbol)
{
    size_t i = 0;
    while (i < RH_EMU_CONDITIONS && !rh_slice_is(symbol, rh_emu_conditions[i])) i++;
    return i;
}
