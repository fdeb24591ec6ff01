#include "eventhub/connection.h"

#include "eventhub/retry.h"

#include <openssl/crypto.h>

/* A credential that hands out tokens already expired must not make the loop spin. */
#define RENEW_SOONEST_MS 500

/* No loop that is awake is so late with a timer. */
#define OVERSLEPT RH_SECONDS(1)

/* Timers count nanoseconds: what lives longer than the longest plan of the official clients is renewed early. */
#define RENEW_LATEST_MS (INT64_C(49) * 24 * 3600 * 1000)

/* What the message around a token takes: properties, application-properties and their keys. */
#define PUT_TOKEN_OVERHEAD 512

static void ask(rh_grant *grant);

static void wipe(rh_grant *grant)
{
    const rh_allocator *allocator = rh_client_allocator(grant->client);
    if (!grant->bytes) return;
    OPENSSL_cleanse(grant->bytes, grant->bytes_n);
    allocator->free(allocator->user, grant->bytes, grant->bytes_n);
    grant->bytes = NULL;
}

static void free_grant(rh_grant *grant)
{
    rh_client          *client    = grant->client;
    const rh_allocator *allocator = rh_client_allocator(client);
    for (rh_grant **at = &client->grants; *at; at = &(*at)->next)
        if (*at == grant) {
            *at = grant->next;
            break;
        }
    rh_timer_cancel(client->loop, &grant->timer);
    rh_credential_cancel(&grant->request);
    wipe(grant);
    rh_story_drop(&grant->last, allocator);
    allocator->free(allocator->user, grant, sizeof *grant + grant->audience_n + 1);
}

/* -- renewal ------------------------------------------------------------------------------------- */

static int64_t left_ms(const rh_grant *grant)
{
    return grant->expires_unix_ms - rh_loop_wall_ms(grant->client->loop);
}

static void wake_in(rh_grant *grant, int64_t ms)
{
    rh_loop *loop = grant->client->loop;
    if (ms < 0) ms = 0;
    if (ms > RENEW_LATEST_MS) ms = RENEW_LATEST_MS;
    rh_timer_set(loop, &grant->timer, rh_time_after(rh_loop_now(loop), RH_MS(ms)));
}

/* Between 75 and 90 % of what is left, at random: a thousand grants of one birthday do not renew in one moment. */
static void plan_renewal(rh_grant *grant)
{
    uint8_t random;
    if (grant->expires_unix_ms == 0) return;
    rh_loop_random(grant->client->loop, &random, 1);
    int64_t left = left_ms(grant), thousandths = 750 + random * 150 / 255;
    if (left > RENEW_LATEST_MS) left = RENEW_LATEST_MS;
    left = left * thousandths / 1000;
    wake_in(grant, left > RENEW_SOONEST_MS ? left : RENEW_SOONEST_MS);
}

static void refuse(rh_grant *grant, const rh_error *error)
{
    grant->valid = false;
    rh_attachments_refused(grant->client, grant, error);
    rh_inquiries_refused(grant->client, grant, error);
}

/* Somebody waits for it, and has time. */
static bool is_missed(const rh_grant *grant)
{
    for (const rh_attachment *a = grant->client->attachments; a; a = a->next)
        if (a->grant == grant && a->state < RH_ATTACHMENT_CLOSING) return true;
    return grant == grant->client->management_grant && rh_inquiries_wait(grant->client);
}

static bool may_try_again(const rh_grant *grant, const rh_error *error)
{
    return rh_retry_passes(error) && is_missed(grant) && rh_retry_may(grant->client, grant->failures);
}

/* While a token lives, a wait leaves time for another try; but what the service asked for is waited. */
static int64_t longest_wait(const rh_grant *grant, const rh_error *error)
{
    int64_t left = left_ms(grant), half = left / 2;
    if (!grant->valid || grant->expires_unix_ms == 0) return INT64_MAX;
    return half < RENEW_SOONEST_MS || half < error->retry_after_ms ? left : half;
}

static void try_again(rh_grant *grant, const rh_error *error)
{
    rh_error why = *error;
    rh_story_keep(&grant->last, rh_client_allocator(grant->client), &why);
    int64_t wait = (int64_t)(rh_retry_wait(grant->client, grant->audience, ++grant->failures, &why) / RH_MS(1));
    int64_t most = longest_wait(grant, &why);
    if (wait > most) wait = most;
    wake_in(grant, wait);
}

/* While the old token lives a passing failure harms nobody; anything else is told at once, without exhausting retries. */
static void failed(rh_grant *grant, const rh_error *error)
{
    if (grant->client->lost) { /* rh_grants_ask() and rh_grants_opened() come back to it */
        grant->valid = false;
        return;
    }
    if (grant->expires_unix_ms && left_ms(grant) <= 0) grant->valid = false;
    bool again = grant->valid ? rh_retry_passes(error) : may_try_again(grant, error);
    if (again) try_again(grant, error);
    else refuse(grant, error);
}

static void tell_expiring(rh_grant *grant)
{
    rh_client *client = grant->client;
    if (grant->told) return;
    grant->told = true;
    rh_client_log(client, RH_LOG_WARNING, "token.expiring", "the signature given cannot be renewed and ends soon for ", grant->audience, NULL);
    if (client->handler.on_expiring && !client->destroyed) client->handler.on_expiring(client->user, client, grant->expires_unix_ms);
}

/* Every renewal failed, or the credential or $cbs has been silent since it was asked for. */
static void expired(rh_grant *grant)
{
    rh_error error;
    rh_story_read(&grant->last, &error);
    if (grant->failures == 0) {
        rh_error_own(&error, RH_E_UNAUTHORIZED, "no new token came before the old one ended for ", grant->audience, NULL);
        error.error_class = RH_CLASS_TRANSIENT; /* nobody has said no: it is late */
    }
    grant->valid = false;
    if (may_try_again(grant, &error)) try_again(grant, &error);
    else refuse(grant, &error);
}

/* The credential may answer from anywhere, and whoever hears of it may do anything. */
static void fail_later(rh_grant *grant, const rh_error *error)
{
    grant->failing = true;
    rh_story_keep(&grant->last, rh_client_allocator(grant->client), error);
    rh_client_poke(grant->client, &grant->timer);
}

static void tell_failed(rh_grant *grant)
{
    rh_error error;
    grant->failing = false;
    rh_story_read(&grant->last, &error);
    failed(grant, &error);
}

/* The machine slept past the renewal, or past the answer to it: nobody has failed who was asked. */
static bool overslept(const rh_grant *grant, rh_time now)
{
    return left_ms(grant) <= 0 && now > rh_time_after(grant->timer.at, OVERSLEPT);
}

static void on_timer(void *user, rh_time now)
{
    rh_grant  *grant  = user;
    rh_client *client = grant->client;
    rh_client_enter(client);
    if (grant->failing) {
        tell_failed(grant);
    } else if (!grant->valid) {
        ask(grant);
    } else if (!rh_credential_renews(client)) {
        tell_expiring(grant);
    } else if (overslept(grant, now)) {
        grant->valid = false;
        ask(grant);
    } else if (left_ms(grant) <= 0) {
        expired(grant);
    } else {
        wake_in(grant, left_ms(grant));
        ask(grant);
    }
    rh_client_leave(client);
}

/* -- put-token ----------------------------------------------------------------------------------- */

static void write_string_entry(rh_enc *e, const char *key, const char *value)
{
    rh_enc_string(e, rh_str(key));
    rh_enc_string(e, rh_str(value));
}

static void write_put_token(const rh_grant *grant, rh_enc *e, rh_slice token, rh_token_type type)
{
    rh_exchange_write_properties(&grant->client->cbs, e);
    rh_enc_descriptor(e, RH_CODE_APPLICATION_PROPERTIES);
    rh_enc_mark map = rh_enc_map_begin(e);
    write_string_entry(e, "operation", "put-token");
    write_string_entry(e, "type", type == RH_TOKEN_SAS ? "servicebus.windows.net:sastoken" : "jwt");
    write_string_entry(e, "name", grant->audience);
    rh_enc_map_end(e, map, 6);
    rh_enc_descriptor(e, RH_CODE_AMQP_VALUE);
    rh_enc_string(e, token);
}

static void on_answer(rh_call *call, const rh_answer *answer, const rh_error *error)
{
    rh_grant *grant = (rh_grant *)(void *)((char *)call - offsetof(rh_grant, call));
    rh_error  story;
    if (error) {
        failed(grant, error);
    } else if (answer->code >= 200 && answer->code < 300) {
        grant->valid           = true;
        grant->failures        = 0;
        rh_story_drop(&grant->last, rh_client_allocator(grant->client));
        grant->expires_unix_ms = grant->next_expires_unix_ms;
        plan_renewal(grant);
        rh_attachments_granted(grant->client, grant);
        rh_inquiries_poke(grant->client);
    } else {
        rh_error_of_code(&story, answer->code, answer->condition, answer->description);
        if (!story.description[0]) rh_error_own(&story, story.status, "$cbs refused the token for ", grant->audience, NULL);
        failed(grant, &story);
    }
}

static void on_idle(rh_call *call)
{
    rh_grant *grant = (rh_grant *)(void *)((char *)call - offsetof(rh_grant, call));
    grant->calling  = false;
    wipe(grant);
    if (grant->users == 0) {
        free_grant(grant);
    } else if (grant->again) {
        grant->again = false;
        ask(grant);
    }
}

static void on_token(rh_token_request *request, rh_slice token, rh_token_type type, int64_t expires_unix_ms)
{
    rh_grant           *grant     = (rh_grant *)(void *)((char *)request - offsetof(rh_grant, request));
    rh_client          *client    = grant->client;
    const rh_allocator *allocator = rh_client_allocator(client);

    grant->bytes_n = PUT_TOKEN_OVERHEAD + grant->audience_n + token.n;
    grant->bytes   = allocator->alloc(allocator->user, grant->bytes_n);
    rh_error error;
    if (!grant->bytes) {
        rh_error_own(&error, RH_E_MEMORY, "no memory for a token for ", grant->audience, NULL);
        fail_later(grant, &error);
        return;
    }
    rh_enc e = rh_enc_of(grant->bytes, grant->bytes_n);
    write_put_token(grant, &e, token, type);
    grant->next_expires_unix_ms = expires_unix_ms;
    grant->call.bytes           = grant->bytes;
    grant->call.n               = rh_enc_size(&e);
    grant->calling              = true;
    rh_exchange_start(&client->cbs, &grant->call, rh_client_deadline(client, 0));
}

static void on_fail(rh_token_request *request, bool transient, const char *words)
{
    rh_grant *grant = (rh_grant *)(void *)((char *)request - offsetof(rh_grant, request));
    rh_error  error;
    rh_error_own(&error, RH_E_CREDENTIAL, words, ": no token for ", grant->audience);
    error.error_class = transient ? RH_CLASS_TRANSIENT : RH_CLASS_TERMINAL;
    fail_later(grant, &error);
}

static void ask(rh_grant *grant)
{
    if (grant->calling) grant->again = true;
    else rh_credential_ask(&grant->request, grant->audience);
}

/* -- taking and dropping ------------------------------------------------------------------------- */

static rh_grant *find(const rh_client *client, const char *path)
{
    size_t prefix = sizeof "sb:///" - 1 + strlen(client->settings.authority);
    for (rh_grant *grant = client->grants; grant; grant = grant->next)
        if (grant->users > 0 && strcmp(grant->audience + prefix, path) == 0) return grant;
    return NULL;
}

static rh_grant *make(rh_client *client, const char *path)
{
    const rh_allocator *allocator = rh_client_allocator(client);
    const char         *authority = client->settings.authority;
    size_t              n         = sizeof "sb:///" - 1 + strlen(authority) + strlen(path);
    rh_grant           *grant     = allocator->alloc(allocator->user, sizeof *grant + n + 1);
    if (!grant) return NULL;

    memset(grant, 0, sizeof *grant);
    grant->audience   = (char *)(grant + 1);
    grant->audience_n = n;
    char *at          = grant->audience;
    memcpy(at, "sb://", 5), at += 5;
    memcpy(at, authority, strlen(authority)), at += strlen(authority);
    *at++ = '/';
    memcpy(at, path, strlen(path) + 1);

    grant->client           = client;
    grant->request.client   = client;
    grant->request.on_token = on_token;
    grant->request.on_fail  = on_fail;
    grant->call.on_answer   = on_answer;
    grant->call.on_idle     = on_idle;
    grant->timer.fn         = on_timer;
    grant->timer.user       = grant;
    grant->next             = client->grants;
    client->grants          = grant;
    return grant;
}

rh_status rh_grant_take(rh_client *client, const char *path, rh_grant **out)
{
    rh_grant *grant = find(client, path);
    if (!grant) grant = make(client, path);
    if (!grant) return RH_E_MEMORY;
    grant->users++;
    /* Refused before, or new: the one who comes now deserves an answer of his own. */
    bool under_way = grant->calling && !grant->call.answered;
    if (!grant->valid && !under_way) rh_client_poke(client, &grant->timer); /* a failure must find its user waiting */
    *out = grant;
    return RH_OK;
}

void rh_grant_renew(rh_grant *grant)
{
    grant->valid = false;
    rh_client_poke(grant->client, &grant->timer);
}

void rh_grants_lost(rh_client *client)
{
    for (rh_grant *grant = client->grants; grant; grant = grant->next) {
        grant->valid    = grant->failing = false;
        grant->failures = 0;
        rh_timer_cancel(client->loop, &grant->timer);
    }
}

void rh_grants_ask(rh_client *client)
{
    for (rh_grant *grant = client->grants; grant; grant = grant->next)
        if (grant->users > 0) rh_client_poke(client, &grant->timer);
}

void rh_grants_opened(rh_client *client)
{
    for (rh_grant *grant = client->grants; grant; grant = grant->next) {
        bool under_way = grant->calling || grant->request.pending || grant->timer.is_set;
        if (grant->users > 0 && !grant->valid && !under_way) rh_client_poke(client, &grant->timer);
    }
}

void rh_grant_drop(rh_grant *grant)
{
    if (!grant || --grant->users > 0) return;
    rh_timer_cancel(grant->client->loop, &grant->timer);
    rh_credential_cancel(&grant->request);
    if (grant->calling) rh_exchange_forget(&grant->call); /* frees it now or when the engine lets go */
    else free_grant(grant);
}
