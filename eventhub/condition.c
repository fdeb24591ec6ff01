#include "eventhub/client.h"

/*
 * What the service's conditions mean, in one place. Classes follow what the official clients retry; where
 * they differ, the reading that keeps a client alive without hammering was taken. An expired or refused
 * token (class TOKEN) is worth one new token, not a blind repetition.
 */
static const rh_condition conditions[] = {
    { "amqp:internal-error", RH_E_SERVICE_INTERNAL, RH_CLASS_TRANSIENT, 0 },
    { "amqp:not-found", RH_E_NOT_FOUND, RH_CLASS_TERMINAL, 0 },
    { "amqp:unauthorized-access", RH_E_UNAUTHORIZED, RH_CLASS_TOKEN, 0 },
    { "amqp:decode-error", RH_E_SERVICE, RH_CLASS_TERMINAL, 0 },
    { "amqp:resource-limit-exceeded", RH_E_QUOTA, RH_CLASS_TERMINAL, 0 },
    { "amqp:not-allowed", RH_E_NOT_ALLOWED, RH_CLASS_TERMINAL, 0 },
    { "amqp:invalid-field", RH_E_SERVICE_ARGUMENT, RH_CLASS_TERMINAL, 0 },
    { "amqp:not-implemented", RH_E_NOT_IMPLEMENTED, RH_CLASS_TERMINAL, 0 },
    { "amqp:resource-locked", RH_E_NOT_ALLOWED, RH_CLASS_TERMINAL, 0 },
    { "amqp:precondition-failed", RH_E_PRECONDITION, RH_CLASS_TERMINAL, 0 },
    { "amqp:resource-deleted", RH_E_NOT_FOUND, RH_CLASS_TERMINAL, 0 },
    { "amqp:illegal-state", RH_E_ILLEGAL_STATE, RH_CLASS_TERMINAL, 0 },
    { "amqp:frame-size-too-small", RH_E_SERVICE, RH_CLASS_TERMINAL, 0 },

    { "amqp:connection:forced", RH_E_CONNECTION_FORCED, RH_CLASS_RECONNECT, 0 },
    /* Two official clients give up here, two reconnect: a broken stream is mended by another one. */
    { "amqp:connection:framing-error", RH_E_SERVICE, RH_CLASS_RECONNECT, 0 },
    { "amqp:connection:redirect", RH_E_REDIRECT, RH_CLASS_TERMINAL, 0 },
    { "amqp:session:window-violation", RH_E_SERVICE, RH_CLASS_TERMINAL, 0 },
    { "amqp:session:errant-link", RH_E_SERVICE, RH_CLASS_TERMINAL, 0 },
    { "amqp:session:handle-in-use", RH_E_SERVICE, RH_CLASS_TERMINAL, 0 },
    { "amqp:session:unattached-handle", RH_E_SERVICE, RH_CLASS_TERMINAL, 0 },
    { "amqp:link:detach-forced", RH_E_DETACHED, RH_CLASS_REATTACH, 0 },
    { "amqp:link:transfer-limit-exceeded", RH_E_DETACHED, RH_CLASS_REATTACH, 0 },
    { "amqp:link:message-size-exceeded", RH_E_MESSAGE_TOO_BIG, RH_CLASS_TERMINAL, 0 },
    { "amqp:link:redirect", RH_E_REDIRECT, RH_CLASS_TERMINAL, 0 },
    { "amqp:link:stolen", RH_E_STOLEN, RH_CLASS_STOLEN, 0 },

    /* "wait 4 seconds", says the service's text for error 50002. */
    { "com.microsoft:server-busy", RH_E_SERVER_BUSY, RH_CLASS_TRANSIENT, 4000 },
    { "com.microsoft:timeout", RH_E_SERVICE_TIMEOUT, RH_CLASS_TRANSIENT, 2000 },
    { "com.microsoft:operation-cancelled", RH_E_SERVICE, RH_CLASS_TRANSIENT, 0 },
    { "com.microsoft:container-close", RH_E_CONNECTION_FORCED, RH_CLASS_RECONNECT, 4000 },
    { "com.microsoft:auth-failed", RH_E_UNAUTHORIZED, RH_CLASS_TOKEN, 0 },
    { "com.microsoft:argument-error", RH_E_SERVICE_ARGUMENT, RH_CLASS_TERMINAL, 0 },
    { "com.microsoft:argument-out-of-range", RH_E_SERVICE_ARGUMENT, RH_CLASS_TERMINAL, 0 },
    { "com.microsoft:entity-disabled", RH_E_DISABLED, RH_CLASS_TERMINAL, 0 },
    { "com.microsoft:entity-already-exists", RH_E_NOT_ALLOWED, RH_CLASS_TERMINAL, 0 },
    { "com.microsoft:precondition-failed", RH_E_PRECONDITION, RH_CLASS_TERMINAL, 0 },
    { "com.microsoft:producer-epoch-stolen", RH_E_PRODUCER_STOLEN, RH_CLASS_STOLEN, 0 },
    { "com.microsoft:out-of-order-sequence", RH_E_OUT_OF_SEQUENCE, RH_CLASS_TERMINAL, 0 },
    { "com.microsoft:georeplication:invalid-offset", RH_E_OFFSET, RH_CLASS_TERMINAL, 0 },
    { "com.microsoft:publisher-revoked", RH_E_NOT_ALLOWED, RH_CLASS_TERMINAL, 0 },
    { "com.microsoft:partition-not-owned", RH_E_NOT_ALLOWED, RH_CLASS_TERMINAL, 0 },
    { "com.microsoft:store-lock-lost", RH_E_SERVICE, RH_CLASS_TERMINAL, 0 },
    { "com.microsoft:address-already-in-use", RH_E_SERVICE, RH_CLASS_TERMINAL, 0 },
};

/* Codes of $cbs and $management where no condition came with them. */
static const struct code {
    int64_t        code;
    rh_status      status;
    rh_error_class error_class;
    uint32_t       retry_after_ms;
} codes[] = {
    { 400, RH_E_SERVICE_ARGUMENT, RH_CLASS_TERMINAL, 0 },
    { 401, RH_E_UNAUTHORIZED, RH_CLASS_TOKEN, 0 },
    { 403, RH_E_QUOTA, RH_CLASS_TERMINAL, 0 },
    { 404, RH_E_NOT_FOUND, RH_CLASS_TERMINAL, 0 },
    { 408, RH_E_SERVICE_TIMEOUT, RH_CLASS_TRANSIENT, 2000 },
    { 410, RH_E_STOLEN, RH_CLASS_STOLEN, 0 },
    { 500, RH_E_SERVICE_INTERNAL, RH_CLASS_TRANSIENT, 0 },
    { 501, RH_E_NOT_IMPLEMENTED, RH_CLASS_TERMINAL, 0 },
    { 503, RH_E_SERVER_BUSY, RH_CLASS_TRANSIENT, 4000 },
};

const rh_condition *rh_condition_at(size_t index)
{
    return index < sizeof conditions / sizeof *conditions ? &conditions[index] : NULL;
}

static const rh_condition *condition_of(rh_slice symbol)
{
    for (size_t i = 0; i < sizeof conditions / sizeof *conditions; i++)
        if (rh_slice_is(symbol, conditions[i].symbol)) return &conditions[i];
    return NULL;
}

/* "...TrackingId:4c1e_G7, SystemTracker:.., Timestamp:..": the support's first question. */
static void find_tracking_id(rh_error *error)
{
    static const char mark[] = "TrackingId:";
    const char       *found  = strstr(error->description, mark);
    if (!found) return;
    size_t n = 0;
    for (const char *p = found + sizeof mark - 1; *p && *p != ',' && *p != ' ' && n < sizeof error->tracking_id - 1; p++)
        error->tracking_id[n++] = *p;
    error->tracking_id[n] = 0;
}

/* An hour is more than any service ever asked for: what says more does not mean us. */
#define WAIT_MOST_S 3600

/* "..Please wait 10 seconds and try again.": what it says of this very moment goes before what the table knows of all of them. */
static void find_wait(rh_error *error)
{
    static const char mark[]  = "wait ";
    uint32_t          seconds = 0;
    const char       *p       = strstr(error->description, mark);
    if (!p || error->error_class == RH_CLASS_TERMINAL) return;
    for (p += sizeof mark - 1; *p >= '0' && *p <= '9' && seconds <= WAIT_MOST_S; p++) seconds = seconds * 10 + (uint32_t)(*p - '0');
    if (seconds > 0 && seconds <= WAIT_MOST_S && strncmp(p, " second", 7) == 0) error->retry_after_ms = seconds * 1000;
}

void rh_error_of_condition(rh_error *error, rh_slice condition, rh_slice description)
{
    const rh_condition *known = condition_of(condition);
    rh_error_set_slices(error, known ? known->status : RH_E_SERVICE, condition, description);
    /* A condition nobody has met yet: most official clients try again. */
    error->error_class    = known ? known->error_class : RH_CLASS_TRANSIENT;
    error->retry_after_ms = known ? known->retry_after_ms : 0;
    find_wait(error);
    find_tracking_id(error);
}

void rh_error_of_code(rh_error *error, int64_t code, rh_slice condition, rh_slice description)
{
    if (condition.n > 0) {
        rh_error_of_condition(error, condition, description);
        if (error->status != RH_E_SERVICE) return;
    }
    rh_error_set_slices(error, RH_E_SERVICE, condition, description);
    error->error_class = code >= 500 ? RH_CLASS_TRANSIENT : RH_CLASS_TERMINAL;
    for (size_t i = 0; i < sizeof codes / sizeof *codes; i++) {
        if (codes[i].code != code) continue;
        error->status         = codes[i].status;
        error->error_class    = codes[i].error_class;
        error->retry_after_ms = codes[i].retry_after_ms;
    }
    find_wait(error);
    find_tracking_id(error);
}

rh_error_class rh_class_of(rh_status status)
{
    switch (status) {
    case RH_OK:
    case RH_AGAIN: return RH_CLASS_NONE;
    case RH_E_TIMEOUT:
    case RH_E_MEMORY:
    case RH_E_SYSTEM:
    case RH_E_RELEASED:
    case RH_E_MODIFIED: return RH_CLASS_TRANSIENT;
    case RH_E_DETACHED: return RH_CLASS_REATTACH;
    case RH_E_NAME:
    case RH_E_REFUSED:
    case RH_E_UNREACHABLE:
    case RH_E_CONNECTION_LOST:
    case RH_E_OUTCOME_UNKNOWN:
    case RH_E_CONNECTION_FORCED:
    case RH_E_TLS:
    case RH_E_TLS_TRUNCATED:
    case RH_E_DECODE:
    case RH_E_FRAMING:
    case RH_E_PEER_SILENT: return RH_CLASS_RECONNECT;
    case RH_E_UNAUTHORIZED: return RH_CLASS_TOKEN;
    case RH_E_STOLEN:
    case RH_E_PRODUCER_STOLEN: return RH_CLASS_STOLEN;
    default: return RH_CLASS_TERMINAL;
    }
}

void rh_error_own(rh_error *error, rh_status status, const char *a, const char *b, const char *c)
{
    char        words[sizeof error->description];
    size_t      used    = 0;
    const char *texts[] = { a, b, c };
    for (size_t i = 0; i < 3; i++)
        for (const char *p = texts[i] ? texts[i] : ""; *p && used < sizeof words - 1; p++) words[used++] = *p;
    words[used] = 0;
    /* Built apart: a, b or c may be texts of this very error. */
    rh_error_set(error, status, NULL, words);
    error->error_class = rh_class_of(status);
}

void rh_error_of_wait(rh_error *error, rh_status status, const rh_story *story, const char *what)
{
    if (!error) return;
    if (story && story->status == status) rh_story_read(story, error);
    else rh_error_own(error, status, what, rh_status_words(status), NULL);
}

void rh_error_refine(rh_error *error)
{
    if (error->status != RH_E_SERVICE) {
        if (error->error_class == RH_CLASS_NONE) error->error_class = rh_class_of(error->status);
        return;
    }
    rh_error told = *error;
    rh_error_of_condition(error, rh_str(told.condition), rh_str(told.description));
    error->position = told.position;
    error->os_error = told.os_error;
}

rh_status rh_error_of_outcome(rh_error *error, const rh_outcome *outcome)
{
    switch (outcome->kind) {
    case RH_ACCEPTED:
    case RH_SENT: memset(error, 0, sizeof *error); break;
    case RH_REJECTED:
        rh_error_of_condition(error, outcome->condition, outcome->description);
        if (!outcome->condition.n) rh_error_own(error, RH_E_REJECTED, "the service rejected the event without a reason", NULL, NULL);
        break;
    case RH_RELEASED: rh_error_own(error, RH_E_RELEASED, rh_status_words(RH_E_RELEASED), NULL, NULL); break;
    case RH_MODIFIED: rh_error_own(error, RH_E_MODIFIED, rh_status_words(RH_E_MODIFIED), NULL, NULL); break;
    case RH_SETTLED: rh_error_own(error, RH_E_OUTCOME_UNKNOWN, "settled without saying whether the event is stored", NULL, NULL); break;
    case RH_DROPPED: rh_error_own(error, RH_E_CONNECTION_LOST, "the link ended before the event was sent", NULL, NULL); break;
    case RH_UNKNOWN: rh_error_own(error, RH_E_OUTCOME_UNKNOWN, rh_status_words(RH_E_OUTCOME_UNKNOWN), NULL, NULL); break;
    }
    return error->status;
}
