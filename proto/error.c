/**
 * error.c: what a fault is called on the wire [2.8.14 - 2.8.18], and what the peer calls one.
 */
#include "proto/engine.h"

/* What we say when the peer has broken a rule. */
static const struct {
    rh_status   status;
    const char *condition;
} conditions[] = {
    { RH_E_DECODE, "amqp:decode-error" },
    { RH_E_FRAMING, "amqp:connection:framing-error" },
    { RH_E_FRAME_SIZE, "amqp:connection:framing-error" },
    { RH_E_PEER_LIMIT, "amqp:connection:framing-error" },
    { RH_E_PROTOCOL, "amqp:illegal-state" },
    { RH_E_NOT_ALLOWED, "amqp:not-allowed" },
    { RH_E_INVALID_FIELD, "amqp:invalid-field" },
    { RH_E_HANDLE_IN_USE, "amqp:session:handle-in-use" },
    { RH_E_UNATTACHED_HANDLE, "amqp:session:unattached-handle" },
    { RH_E_ERRANT_LINK, "amqp:session:errant-link" },
    { RH_E_WINDOW_VIOLATION, "amqp:session:window-violation" },
    { RH_E_TRANSFER_LIMIT, "amqp:link:transfer-limit-exceeded" },
    { RH_E_MESSAGE_SIZE, "amqp:link:message-size-exceeded" },
    { RH_E_LIMIT, "amqp:resource-limit-exceeded" },
};

static const char *condition_of(rh_status status)
{
    for (size_t i = 0; i < sizeof conditions / sizeof *conditions; i++)
        if (conditions[i].status == status) return conditions[i].condition;
    return "amqp:internal-error";
}

void rh_error_of_fault(rh_error *out, rh_status status, const char *words)
{
    rh_error_set(out, status, condition_of(status), words);
}

/* A caller that ends something with a condition is not told of an error itself: status stays RH_OK. */
void rh_error_of_caller(rh_error *out, const char *condition, const char *words)
{
    rh_error_set(out, RH_OK, condition, words);
}

/* The error field of a detach, end, close or rejected; absent means a clean end. */
void rh_error_of_peer(rh_error *out, rh_slice encoded)
{
    rh_amqp_error error;
    rh_dec        d = rh_dec_of(encoded);
    if (encoded.p == NULL) rh_error_set(out, RH_OK, NULL, NULL);
    else if (rh_composite_decode(&d, RH_AMQP_ERROR, &error) == RH_OK)
        rh_error_set_slices(out, RH_E_SERVICE, error.condition, error.description);
    else rh_error_set(out, RH_E_SERVICE, "amqp:decode-error", "the peer's error cannot be read");
}

/** The encoded form for an error field; absent when there is no condition. */
rh_slice rh_error_encode(const rh_error *error, uint8_t *room, size_t n)
{
    if (error->condition[0] == 0) return rh_slice_of(NULL, 0);
    rh_amqp_error fields = { .condition = rh_str(error->condition), .description = rh_str(error->description) };
    if (error->description[0] == 0) fields.description = rh_slice_of(NULL, 0);
    rh_enc e = rh_enc_of(room, n);
    return rh_composite_encode(&e, RH_AMQP_ERROR, &fields) ? rh_enc_written(&e) : rh_slice_of(NULL, 0);
}
