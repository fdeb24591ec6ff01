#include <criterion/criterion.h>

#include "eventhub/client.h"

/* Every condition of the wire sheet's section 9, once more and by hand: the table is held to this one. */
static const struct row {
    const char    *symbol;
    rh_status      status;
    rh_error_class error_class;
} rows[] = {
    { "com.microsoft:server-busy", RH_E_SERVER_BUSY, RH_CLASS_TRANSIENT },
    { "com.microsoft:timeout", RH_E_SERVICE_TIMEOUT, RH_CLASS_TRANSIENT },
    { "com.microsoft:operation-cancelled", RH_E_SERVICE, RH_CLASS_TRANSIENT },
    { "com.microsoft:container-close", RH_E_CONNECTION_FORCED, RH_CLASS_RECONNECT },
    { "amqp:internal-error", RH_E_SERVICE_INTERNAL, RH_CLASS_TRANSIENT },
    { "amqp:link:detach-forced", RH_E_DETACHED, RH_CLASS_REATTACH },
    { "amqp:connection:forced", RH_E_CONNECTION_FORCED, RH_CLASS_RECONNECT },
    { "amqp:link:transfer-limit-exceeded", RH_E_DETACHED, RH_CLASS_REATTACH },
    { "amqp:unauthorized-access", RH_E_UNAUTHORIZED, RH_CLASS_TOKEN },
    { "com.microsoft:auth-failed", RH_E_UNAUTHORIZED, RH_CLASS_TOKEN },
    { "amqp:not-found", RH_E_NOT_FOUND, RH_CLASS_TERMINAL },
    { "amqp:illegal-state", RH_E_ILLEGAL_STATE, RH_CLASS_TERMINAL },
    { "amqp:connection:framing-error", RH_E_SERVICE, RH_CLASS_RECONNECT },
    { "com.microsoft:georeplication:invalid-offset", RH_E_OFFSET, RH_CLASS_TERMINAL },
    { "amqp:link:stolen", RH_E_STOLEN, RH_CLASS_STOLEN },
    { "com.microsoft:producer-epoch-stolen", RH_E_PRODUCER_STOLEN, RH_CLASS_STOLEN },
    { "com.microsoft:out-of-order-sequence", RH_E_OUT_OF_SEQUENCE, RH_CLASS_TERMINAL },
    { "amqp:resource-limit-exceeded", RH_E_QUOTA, RH_CLASS_TERMINAL },
    { "amqp:link:message-size-exceeded", RH_E_MESSAGE_TOO_BIG, RH_CLASS_TERMINAL },
    { "com.microsoft:entity-disabled", RH_E_DISABLED, RH_CLASS_TERMINAL },
    { "amqp:not-allowed", RH_E_NOT_ALLOWED, RH_CLASS_TERMINAL },
    { "amqp:not-implemented", RH_E_NOT_IMPLEMENTED, RH_CLASS_TERMINAL },
    { "com.microsoft:argument-error", RH_E_SERVICE_ARGUMENT, RH_CLASS_TERMINAL },
    { "com.microsoft:argument-out-of-range", RH_E_SERVICE_ARGUMENT, RH_CLASS_TERMINAL },
    { "amqp:precondition-failed", RH_E_PRECONDITION, RH_CLASS_TERMINAL },
    { "com.microsoft:precondition-failed", RH_E_PRECONDITION, RH_CLASS_TERMINAL },
    { "amqp:decode-error", RH_E_SERVICE, RH_CLASS_TERMINAL },
    { "amqp:invalid-field", RH_E_SERVICE_ARGUMENT, RH_CLASS_TERMINAL },
    { "amqp:frame-size-too-small", RH_E_SERVICE, RH_CLASS_TERMINAL },
    { "amqp:resource-deleted", RH_E_NOT_FOUND, RH_CLASS_TERMINAL },
    { "amqp:resource-locked", RH_E_NOT_ALLOWED, RH_CLASS_TERMINAL },
    { "amqp:session:window-violation", RH_E_SERVICE, RH_CLASS_TERMINAL },
    { "amqp:session:errant-link", RH_E_SERVICE, RH_CLASS_TERMINAL },
    { "amqp:session:handle-in-use", RH_E_SERVICE, RH_CLASS_TERMINAL },
    { "amqp:session:unattached-handle", RH_E_SERVICE, RH_CLASS_TERMINAL },
    { "com.microsoft:publisher-revoked", RH_E_NOT_ALLOWED, RH_CLASS_TERMINAL },
    { "com.microsoft:partition-not-owned", RH_E_NOT_ALLOWED, RH_CLASS_TERMINAL },
    { "com.microsoft:entity-already-exists", RH_E_NOT_ALLOWED, RH_CLASS_TERMINAL },
    { "com.microsoft:store-lock-lost", RH_E_SERVICE, RH_CLASS_TERMINAL },
    { "com.microsoft:address-already-in-use", RH_E_SERVICE, RH_CLASS_TERMINAL },
    { "amqp:link:redirect", RH_E_REDIRECT, RH_CLASS_TERMINAL },
    { "amqp:connection:redirect", RH_E_REDIRECT, RH_CLASS_TERMINAL },
    { "com.example:never-heard-of", RH_E_SERVICE, RH_CLASS_TRANSIENT },
};
#define ROWS (sizeof rows / sizeof *rows)

Test(condition, every_row_gives_its_status_and_class)
{
    for (size_t i = 0; i < ROWS; i++) {
        rh_error error;
        rh_error_of_condition(&error, rh_str(rows[i].symbol), rh_str("why"));
        cr_expect_eq(error.status, rows[i].status, "%s: %s", rows[i].symbol, rh_status_name(error.status));
        cr_expect_eq(error.error_class, rows[i].error_class, "%s", rows[i].symbol);
        cr_expect_str_eq(error.condition, rows[i].symbol);
        cr_expect_str_eq(error.description, "why");
    }
}

Test(condition, the_table_holds_no_row_that_is_not_tested_and_none_twice)
{
    size_t count = 0;
    for (const rh_condition *row; (row = rh_condition_at(count)) != NULL; count++) {
        size_t found = 0;
        for (size_t i = 0; i < ROWS; i++) found += strcmp(rows[i].symbol, row->symbol) == 0;
        cr_expect_eq(found, 1, "%s", row->symbol);
        for (size_t i = 0; i < count; i++) cr_expect_str_neq(rh_condition_at(i)->symbol, row->symbol);
    }
    cr_expect_eq(count, ROWS - 1);
}

Test(condition, throttling_says_how_long_to_wait)
{
    rh_error error;
    rh_error_of_condition(&error, rh_str("com.microsoft:server-busy"),
                          rh_str("The request was terminated because the entity is being throttled. Error code : 50002. Please wait 4 seconds and try again. "
                                 "TrackingId:0c5d6c8e_G12, SystemTracker:ns:eventhub:hub~31, Timestamp:2026-01-01T00:00:00"));
    cr_expect_eq(error.retry_after_ms, 4000);
    cr_expect_str_eq(error.tracking_id, "0c5d6c8e_G12");
}

Test(condition, a_wait_that_is_said_in_words_is_believed_if_it_is_one)
{
    static const struct { const char *words; uint32_t ms; } waits[] = {
        { "Please wait 10 seconds and try again.", 10000 },
        { "Please wait 1 seconds and try again.", 1000 },
        { "wait 1 second", 1000 },
        { "wait 3600 seconds", 3600000 },
        { "wait 3601 seconds", 4000 },
        { "wait 99999999999999999999 seconds", 4000 },
        { "wait 0 seconds", 4000 },
        { "wait seconds", 4000 },
        { "wait 10 minutes", 4000 },
        { "wait 10", 4000 },
        { "", 4000 },
    };
    for (size_t i = 0; i < sizeof waits / sizeof *waits; i++) {
        rh_error error;
        rh_error_of_condition(&error, rh_str("com.microsoft:server-busy"), rh_str(waits[i].words));
        cr_expect_eq(error.retry_after_ms, waits[i].ms, "%s: %u", waits[i].words, error.retry_after_ms);
        rh_error_of_code(&error, 503, rh_str(NULL), rh_str(waits[i].words));
        cr_expect_eq(error.retry_after_ms, waits[i].ms, "%s: %u", waits[i].words, error.retry_after_ms);
    }
    rh_error error;
    rh_error_of_condition(&error, rh_str("amqp:not-found"), rh_str("wait 10 seconds"));
    cr_expect_eq(error.retry_after_ms, 0, "it will not come");
}

Test(condition, codes_without_a_condition_have_a_meaning_of_their_own)
{
    static const struct { int64_t code; rh_status status; rh_error_class error_class; } codes[] = {
        { 400, RH_E_SERVICE_ARGUMENT, RH_CLASS_TERMINAL }, { 401, RH_E_UNAUTHORIZED, RH_CLASS_TOKEN },
        { 403, RH_E_QUOTA, RH_CLASS_TERMINAL },            { 404, RH_E_NOT_FOUND, RH_CLASS_TERMINAL },
        { 408, RH_E_SERVICE_TIMEOUT, RH_CLASS_TRANSIENT }, { 410, RH_E_STOLEN, RH_CLASS_STOLEN },
        { 500, RH_E_SERVICE_INTERNAL, RH_CLASS_TRANSIENT }, { 501, RH_E_NOT_IMPLEMENTED, RH_CLASS_TERMINAL },
        { 503, RH_E_SERVER_BUSY, RH_CLASS_TRANSIENT },     { 599, RH_E_SERVICE, RH_CLASS_TRANSIENT },
        { 0, RH_E_SERVICE, RH_CLASS_TERMINAL },            { -1, RH_E_SERVICE, RH_CLASS_TERMINAL },
    };
    for (size_t i = 0; i < sizeof codes / sizeof *codes; i++) {
        rh_error error;
        rh_error_of_code(&error, codes[i].code, rh_str(NULL), rh_str("words"));
        cr_expect_eq(error.status, codes[i].status, "%d", (int)codes[i].code);
        cr_expect_eq(error.error_class, codes[i].error_class, "%d", (int)codes[i].code);
        cr_expect_str_eq(error.description, "words");
    }
}

Test(condition, a_condition_decides_before_the_code_does)
{
    rh_error error;
    rh_error_of_code(&error, 400, rh_str("com.microsoft:argument-out-of-range"), rh_str("no such partition"));
    cr_expect_eq(error.status, RH_E_SERVICE_ARGUMENT);
    rh_error_of_code(&error, 500, rh_str("amqp:not-found"), rh_str("gone"));
    cr_expect_eq(error.status, RH_E_NOT_FOUND);
    rh_error_of_code(&error, 404, rh_str("com.example:new"), rh_str("gone"));
    cr_expect_eq(error.status, RH_E_NOT_FOUND, "an unknown condition leaves it to the code");
}

Test(condition, every_outcome_has_one_status)
{
    static const struct { rh_outcome_kind kind; rh_status status; } kinds[] = {
        { RH_ACCEPTED, RH_OK }, { RH_SENT, RH_OK }, { RH_REJECTED, RH_E_REJECTED }, { RH_RELEASED, RH_E_RELEASED },
        { RH_MODIFIED, RH_E_MODIFIED }, { RH_SETTLED, RH_E_OUTCOME_UNKNOWN }, { RH_DROPPED, RH_E_CONNECTION_LOST },
        { RH_UNKNOWN, RH_E_OUTCOME_UNKNOWN },
    };
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        rh_error   error;
        rh_outcome outcome = { .kind = kinds[i].kind };
        cr_expect_eq(rh_error_of_outcome(&error, &outcome), kinds[i].status);
        cr_expect_eq(error.status, kinds[i].status);
        cr_expect_eq(error.error_class == RH_CLASS_NONE, kinds[i].status == RH_OK);
    }
    rh_error   error;
    rh_outcome busy = { RH_REJECTED, rh_str("com.microsoft:server-busy"), rh_str("later") };
    cr_expect_eq(rh_error_of_outcome(&error, &busy), RH_E_SERVER_BUSY);
}

Test(condition, what_the_engine_tells_is_mapped_once)
{
    rh_error error;
    rh_error_set(&error, RH_E_SERVICE, "amqp:link:stolen", "a higher epoch");
    rh_error_refine(&error);
    cr_expect_eq(error.status, RH_E_STOLEN);
    cr_expect_eq(error.error_class, RH_CLASS_STOLEN);
    rh_error_set(&error, RH_E_PEER_SILENT, NULL, "silence");
    rh_error_refine(&error);
    cr_expect_eq(error.status, RH_E_PEER_SILENT);
    cr_expect_eq(error.error_class, RH_CLASS_RECONNECT);
    rh_error_own(&error, error.status, "about itself: ", error.description, NULL);
    cr_expect_str_eq(error.description, "about itself: silence");
}
