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

struct reason rh_reason_of_fault(rh_status status, const char *words)
{
    return (struct reason){ status, rh_str(condition_of(status)), rh_str(words) };
}

/* A caller that ends something with a condition is not told of an error itself: status stays RH_OK. */
struct reason rh_reason_of_caller(const char *condition, const char *words)
{
    return (struct reason){ RH_OK, rh_str(condition), rh_str(words) };
}

/* The error field of a detach, end, close or rejected; absent means a clean end. */
struct reason rh_reason_of_peer(rh_slice encoded)
{
    rh_amqp_error error;
    rh_dec        d = rh_dec_of(encoded);
    if (encoded.p == NULL) return (struct reason){ .status = RH_OK };
    if (rh_composite_decode(&d, RH_AMQP_ERROR, &error) == RH_OK)
        return (struct reason){ RH_E_SERVICE, error.condition, error.description };
    return (struct reason){ RH_E_SERVICE, rh_str("amqp:decode-error"), rh_str("the peer's error cannot be read") };
}

struct reason rh_reason_of_error(const rh_error *error)
{
    return (struct reason){ error->status, rh_str(error->condition), rh_str(error->description) };
}

/* As much of it as there is room for, not cut inside a character. */
static rh_slice words_keep(rh_slice words, uint8_t *room, size_t n)
{
    if (words.p == NULL) return words;
    size_t kept = words.n < n ? words.n : n;
    while (kept > 0 && kept < words.n && (words.p[kept] & 0xc0) == 0x80) kept--;
    if (kept > 0) memcpy(room, words.p, kept);
    return rh_slice_of(room, kept);
}

/** Takes the words out of what they were borrowed from. */
void rh_reason_keep(struct reason *reason, uint8_t *room, size_t n)
{
    reason->condition   = words_keep(reason->condition, room, n);
    size_t used         = reason->condition.n;
    reason->description = words_keep(reason->description, room + used, n - used);
}

void rh_reason_tell(const struct reason *reason, rh_error *out)
{
    rh_error_set_slices(out, reason->status, reason->condition, reason->description);
}

/** The encoded form for an error field; absent when there is no condition. */
rh_slice rh_error_encode(const struct reason *reason, uint8_t *room, size_t n)
{
    rh_error error;
    if (reason->condition.n == 0) return rh_slice_of(NULL, 0);
    rh_reason_tell(reason, &error); /* what would not print or is too long goes */
    rh_amqp_error fields = { .condition = rh_str(error.condition), .description = rh_str(error.description) };
    if (error.description[0] == 0) fields.description = rh_slice_of(NULL, 0);
    rh_enc e = rh_enc_of(room, n);
    return rh_composite_encode(&e, RH_AMQP_ERROR, &fields) ? rh_enc_written(&e) : rh_slice_of(NULL, 0);
}
