#include "eventhub/management.h"

#include "eventhub/properties.h"
#include "eventhub/retry.h"

#include <openssl/crypto.h>

/* What the question around the token and the names takes. */
#define QUESTION_OVERHEAD 1024

/* -- life of an inquiry -------------------------------------------------------------------------- */

static rh_inquiry *of_call(rh_call *call)
{
    return (rh_inquiry *)(void *)((char *)call - offsetof(rh_inquiry, call));
}

static rh_inquiry *of_request(rh_token_request *request)
{
    return (rh_inquiry *)(void *)((char *)request - offsetof(rh_inquiry, request));
}

/* The question, and the token in it. */
static void wipe(rh_inquiry *q)
{
    const rh_allocator *allocator = rh_client_allocator(q->client);
    q->has_token = false;
    if (!q->bytes) return;
    OPENSSL_cleanse(q->bytes, q->bytes_n);
    allocator->free(allocator->user, q->bytes, q->bytes_n);
    q->bytes = NULL;
}

static void free_inquiry(rh_inquiry *q)
{
    const rh_allocator *allocator = rh_client_allocator(q->client);
    if (q->prev) q->prev->next = q->next;
    else q->client->inquiries = q->next;
    if (q->next) q->next->prev = q->prev;
    rh_timer_cancel(q->client->loop, &q->timer);
    rh_credential_cancel(&q->request);
    wipe(q);
    allocator->free(allocator->user, q, sizeof *q);
}

/* Tells the asker, once. The inquiry may be gone when this returns. */
static void tell(rh_inquiry *q, const void *properties, const rh_error *error)
{
    if (!q->done) {
        q->done = true;
        rh_timer_cancel(q->client->loop, &q->timer);
        rh_credential_cancel(&q->request);
        /* A dead client is silent, but a call of ours that waits further down the stack must end. */
        bool heard = !q->client->destroyed || q->waited;
        if (heard && q->about_partition) q->partition_done(q->user, properties, error);
        else if (heard) q->hub_done(q->user, properties, error);
    }
    if (!q->calling) free_inquiry(q);
}

static void fail(rh_inquiry *q, const rh_error *error)
{
    q->error = *error;
    tell(q, NULL, &q->error);
}

/* A question changes nothing: asked twice it is answered twice. */
static bool may_ask_again(const rh_inquiry *q)
{
    const rh_client *client = q->client;
    if (q->done || q->refused || client->state >= RH_CLIENT_CLOSING || rh_loop_now(client->loop) >= q->deadline) return false;
    return rh_retry_passes(&q->error) && rh_retry_may(client, q->tries);
}

/* This try failed, for the reason in q->error. */
static void failed(rh_inquiry *q)
{
    rh_client *client = q->client;
    rh_time    now    = rh_loop_now(client->loop);
    if (!may_ask_again(q)) {
        tell(q, NULL, &q->error);
        return;
    }
    q->told = true;
    /* A connection that was lost waits for itself. */
    const char *what = client->management_grant ? client->management_grant->audience : client->management.node;
    q->telling = true; /* who hears of another try may forget the question */
    q->again   = client->lost ? now : rh_time_after(now, rh_retry_wait(client, what, ++q->tries, &q->error));
    q->telling = false;
    if (!q->done) rh_timer_set(client->loop, &q->timer, q->calling ? q->deadline : now);
    else if (!q->calling) free_inquiry(q);
}

/* -- the answer ---------------------------------------------------------------------------------- */

static void tell_malformed(rh_inquiry *q, rh_status status)
{
    rh_error_own(&q->error, status, "the answer of $management cannot be read: ", rh_status_words(status), NULL);
    tell(q, NULL, &q->error);
}

static void tell_partition(rh_inquiry *q, rh_slice map)
{
    rh_partition_properties properties;
    if (rh_partition_properties_read(map, &properties)) tell(q, &properties, NULL);
    else tell_malformed(q, RH_E_DECODE);
}

static void tell_hub(rh_inquiry *q, rh_slice map)
{
    rh_hub_properties properties;
    rh_status         status = rh_hub_properties_keep(q->client, map, &properties);
    if (status == RH_OK) tell(q, &properties, NULL);
    else tell_malformed(q, status);
}

static void on_answer(rh_call *call, const rh_answer *answer, const rh_error *error)
{
    rh_inquiry *q = of_call(call);
    if (q->done) return;
    if (error) {
        q->error = *error;
        failed(q);
    } else if (answer->code < 200 || answer->code > 299) {
        rh_error_of_code(&q->error, answer->code, answer->condition, answer->description);
        /* Some services answer 500 or 400 and say it in words only. */
        if (strstr(q->error.description, "status-code: 404")) q->error.status = RH_E_NOT_FOUND, q->error.error_class = RH_CLASS_TERMINAL;
        failed(q);
    } else if (q->about_partition) {
        tell_partition(q, answer->message.body);
    } else {
        tell_hub(q, answer->message.body);
    }
}

static void on_idle(rh_call *call)
{
    rh_inquiry *q = of_call(call);
    q->calling    = false;
    wipe(q);
    if (q->done) free_inquiry(q);
    else rh_client_poke(q->client, &q->timer);
}

/* -- the question -------------------------------------------------------------------------------- */

static void write_entry(rh_enc *e, const char *key, rh_slice value)
{
    rh_enc_string(e, rh_str(key));
    rh_enc_string(e, value);
}

static void on_token(rh_token_request *request, rh_slice token, rh_token_type type, int64_t expires_unix_ms)
{
    rh_inquiry         *q         = of_request(request);
    rh_client          *client    = q->client;
    const rh_allocator *allocator = rh_client_allocator(client);
    (void)type, (void)expires_unix_ms;
    q->bytes_n = QUESTION_OVERHEAD + token.n + strlen(client->settings.hub);
    q->bytes   = allocator->alloc(allocator->user, q->bytes_n);
    if (!q->bytes) {
        rh_error_own(&q->error, RH_E_MEMORY, "no memory for a question to $management", NULL, NULL);
        q->told = false;
    } else {
        rh_enc e = rh_enc_of(q->bytes, q->bytes_n);
        rh_enc_descriptor(&e, RH_CODE_APPLICATION_PROPERTIES);
        rh_enc_mark map = rh_enc_map_begin(&e);
        write_entry(&e, "operation", rh_str("READ"));
        write_entry(&e, "type", rh_str(q->about_partition ? "com.microsoft:partition" : "com.microsoft:eventhub"));
        write_entry(&e, "name", rh_str(client->settings.hub));
        if (q->about_partition) write_entry(&e, "partition", rh_str(q->partition));
        write_entry(&e, "security_token", token);
        rh_enc_map_end(&e, map, q->about_partition ? 10 : 8);
        rh_enc_descriptor(&e, RH_CODE_AMQP_VALUE);
        rh_enc_null(&e);
        q->call.n    = rh_enc_size(&e);
        q->has_token = true;
    }
    rh_client_poke(client, &q->timer);
}

static void on_fail(rh_token_request *request, bool transient, const char *words)
{
    rh_inquiry *q = of_request(request);
    rh_error_own(&q->error, RH_E_CREDENTIAL, words, " (token for a question to $management)", NULL);
    q->error.error_class = transient ? RH_CLASS_TRANSIENT : RH_CLASS_TERMINAL;
    q->told              = false;
    rh_client_poke(q->client, &q->timer);
}

/* The message-id is known only now, so the properties are put before what was written already. */
static void send(rh_inquiry *q)
{
    uint8_t properties[256];
    rh_enc  e = rh_enc_of(properties, sizeof properties);
    rh_exchange_write_properties(&q->client->management, &e);
    size_t n = rh_enc_size(&e);
    memmove(q->bytes + n, q->bytes, q->call.n);
    memcpy(q->bytes, properties, n);
    q->call.n += n;
    q->call.bytes = q->bytes;
    q->calling    = true;
    rh_timer_cancel(q->client->loop, &q->timer);
    rh_exchange_start(&q->client->management, &q->call, q->deadline);
}

/* Its time is over: why the last try of what it waits for failed, if there was one. */
static void late(rh_inquiry *q)
{
    const rh_client *client    = q->client;
    bool             connected = client->state == RH_CLIENT_OPEN;
    const rh_grant  *grant     = client->management_grant;
    if (!connected && client->error.status) rh_story_read(&client->error, &q->error);
    else if (connected && grant && !grant->valid && grant->last.status) rh_story_read(&grant->last, &q->error);
    else if (!q->told) rh_error_own(&q->error, RH_E_TIMEOUT, connected ? "$cbs did not answer in time" : "no connection in time", " for a question to $management", NULL);
    tell(q, NULL, &q->error);
}

static rh_status authorise(rh_client *client)
{
    char   path[RH_HUB_NAME_MAX + 16];
    size_t n = strlen(client->settings.hub);
    if (client->management_grant && client->management_grant->valid) return RH_OK;
    memcpy(path, client->settings.hub, n);
    memcpy(path + n, "/$management", sizeof "/$management");
    /* Taken anew if it was refused before: taking asks again. */
    rh_grant *grant;
    rh_status status = rh_grant_take(client, path, &grant);
    if (status) return status;
    rh_grant_drop(client->management_grant);
    client->management_grant = grant;
    return RH_OK;
}

/* "sb://HOST/HUB": what the official client signs the question itself for. */
static void ask_token(rh_inquiry *q)
{
    const rh_client_settings *settings = &q->client->settings;
    char                      audience[RH_HUB_NAME_MAX + 300];
    size_t                    n = 5, host = strlen(settings->authority);
    memcpy(audience, "sb://", n);
    memcpy(audience + n, settings->authority, host);
    n += host;
    audience[n++] = '/';
    memcpy(audience + n, settings->hub, strlen(settings->hub) + 1);
    q->telling = true;
    rh_credential_ask(&q->request, audience);
    q->telling = false;
}

/* What it takes to ask: the right to, which may have been lost meanwhile, and a token to show. False: forgotten by who was asked for it. */
static bool ask(rh_inquiry *q)
{
    rh_status status = authorise(q->client);
    if (status) rh_error_own(&q->error, status, "cannot ask $management: ", rh_status_words(status), NULL), q->told = false;
    else ask_token(q);
    if (status) rh_client_poke(q->client, &q->timer);
    bool wanted = !q->done;
    if (!wanted) free_inquiry(q);
    return wanted;
}

static void step(rh_inquiry *q, rh_time now)
{
    rh_client *client = q->client;
    bool       ready  = !q->calling && now >= q->again;
    if (q->error.status && !q->told) {
        failed(q);
        return;
    }
    if (now >= q->deadline) {
        late(q);
        return;
    }
    if (ready && !q->has_token && !ask(q)) return;
    const rh_grant *grant = client->management_grant;
    if (ready && q->has_token && client->state == RH_CLIENT_OPEN && grant && grant->valid) send(q);
    else if (!q->error.status || q->told) rh_timer_set(client->loop, &q->timer, q->again > now && q->again < q->deadline ? q->again : q->deadline);
}

static void on_timer(void *user, rh_time now)
{
    rh_inquiry *q      = user;
    rh_client  *client = q->client;
    rh_client_enter(client);
    step(q, now);
    rh_client_leave(client);
}

static rh_status connect(rh_client *client, rh_error *error)
{
    rh_status status = RH_OK;
    if (client->closing || client->state >= RH_CLIENT_CLOSING) {
        rh_client_why_closed(client, error);
        return error->status;
    }
    if (client->state == RH_CLIENT_IDLE) status = rh_client_connect(client);
    if (status) rh_error_own(error, status, "cannot ask $management: ", rh_status_words(status), NULL);
    return status;
}

static rh_inquiry *make(rh_client *client, const char *partition, uint32_t timeout_ms, void *user)
{
    const rh_allocator *allocator = rh_client_allocator(client);
    rh_inquiry         *q         = allocator->alloc(allocator->user, sizeof *q);
    if (!q) return NULL;
    memset(q, 0, sizeof *q);
    if (partition) {
        size_t n = strlen(partition);
        q->about_partition = true;
        if (n > RH_PARTITION_ID_MAX) rh_error_own(&q->error, RH_E_ARGUMENT, "the partition id is too long", NULL, NULL);
        else memcpy(q->partition, partition, n + 1);
    }
    q->client           = client;
    q->user             = user;
    q->request.client   = client;
    q->request.on_token = on_token;
    q->request.on_fail  = on_fail;
    q->call.on_answer   = on_answer;
    q->call.on_idle     = on_idle;
    q->timer.fn         = on_timer;
    q->timer.user       = q;
    q->deadline         = rh_client_deadline(client, timeout_ms);
    q->next             = client->inquiries;
    if (q->next) q->next->prev = q;
    client->inquiries = q;
    return q;
}

static void start(rh_inquiry *q)
{
    if (q->error.status == RH_OK && connect(q->client, &q->error) == RH_OK) rh_client_allow(q->client, q->deadline);
    if (q->error.status == RH_OK && !ask(q)) return;
    rh_client_poke(q->client, &q->timer);
}

static void ask_hub(rh_client *client, uint32_t timeout_ms, rh_hub_properties_fn done, void *user, bool waited)
{
    rh_inquiry *q = make(client, NULL, timeout_ms, user);
    rh_error    error;
    if (q) {
        q->hub_done = done;
        q->waited   = waited;
        start(q);
    } else {
        rh_error_own(&error, RH_E_MEMORY, "no memory for a question to $management", NULL, NULL);
        done(user, NULL, &error);
    }
}

static void ask_partition(rh_client *client, const char *partition, uint32_t timeout_ms, rh_partition_properties_fn done, void *user, bool waited)
{
    rh_inquiry *q = make(client, partition ? partition : "", timeout_ms, user);
    rh_error    error;
    if (q) {
        q->partition_done = done;
        q->waited         = waited;
        start(q);
    } else {
        rh_error_own(&error, RH_E_MEMORY, "no memory for a question to $management", NULL, NULL);
        done(user, NULL, &error);
    }
}

void rh_client_hub_properties(rh_client *client, uint32_t timeout_ms, rh_hub_properties_fn done, void *user)
{
    ask_hub(client, timeout_ms, done, user, false);
}

void rh_client_partition_properties(rh_client *client, const char *partition, uint32_t timeout_ms, rh_partition_properties_fn done, void *user)
{
    ask_partition(client, partition, timeout_ms, done, user, false);
}

/* -- waiting for it ------------------------------------------------------------------------------ */

typedef struct waiting {
    bool                     done;
    rh_error                 error;
    rh_hub_properties       *hub;
    rh_partition_properties *partition;
} waiting;

static void hub_came(void *user, const rh_hub_properties *properties, const rh_error *error)
{
    waiting *w = user;
    w->done    = true;
    if (properties) *w->hub = *properties;
    if (error) w->error = *error;
}

static void partition_came(void *user, const rh_partition_properties *properties, const rh_error *error)
{
    waiting *w = user;
    w->done    = true;
    if (properties) *w->partition = *properties;
    if (error) w->error = *error;
}

static rh_status finish(rh_client *client, waiting *w, rh_error *error)
{
    /* The inquiry ends itself at its deadline, so this wait ends with it and nothing points to w afterwards. */
    rh_status status = rh_client_wait(client, &w->done, RH_TIME_NEVER);
    if (status != RH_OK) {
        rh_error_own(&w->error, status, "the loop failed: ", rh_status_words(status), NULL);
        rh_inquiries_forget(client, w); /* w is about to vanish */
    }
    if (error) *error = w->error;
    return w->error.status;
}

static rh_status refuse_reentrant(rh_error *error)
{
    if (error) rh_error_own(error, RH_E_REENTRANT, rh_status_words(RH_E_REENTRANT), NULL, NULL);
    return RH_E_REENTRANT;
}

rh_status rh_client_hub_properties_wait(rh_client *client, rh_hub_properties *out, uint32_t timeout_ms, rh_error *error)
{
    waiting w = { .hub = out };
    if (rh_loop_in_callback(client->loop)) return refuse_reentrant(error);
    ask_hub(client, timeout_ms, hub_came, &w, true);
    return finish(client, &w, error);
}

rh_status rh_client_partition_properties_wait(rh_client *client, const char *partition, rh_partition_properties *out, uint32_t timeout_ms,
                                              rh_error *error)
{
    waiting w = { .partition = out };
    if (rh_loop_in_callback(client->loop)) return refuse_reentrant(error);
    ask_partition(client, partition, timeout_ms, partition_came, &w, true);
    return finish(client, &w, error);
}

/* -- what the client tells all of them ----------------------------------------------------------- */

void rh_inquiries_poke(rh_client *client)
{
    for (rh_inquiry *q = client->inquiries; q; q = q->next)
        if (!q->calling && !q->done) rh_client_poke(client, &q->timer);
}

void rh_inquiries_refused(rh_client *client, const rh_grant *grant, const rh_error *error)
{
    if (grant != client->management_grant) return;
    for (rh_inquiry *q = client->inquiries; q; q = q->next) {
        if (q->calling || q->done) continue;
        q->error   = *error;
        q->told    = false;
        q->refused = true;
        rh_client_poke(client, &q->timer);
    }
}

bool rh_inquiries_wait(const rh_client *client)
{
    for (const rh_inquiry *q = client->inquiries; q; q = q->next)
        if (!q->calling && !q->done) return true;
    return false;
}

void rh_inquiries_forget(rh_client *client, const void *user)
{
    for (rh_inquiry *q = client->inquiries, *next; q; q = next) {
        next = q->next;
        if (q->user != user || q->done) continue;
        q->done = true;
        rh_timer_cancel(client->loop, &q->timer);
        rh_credential_cancel(&q->request);
        if (q->calling) rh_exchange_forget(&q->call);
        else if (!q->telling) free_inquiry(q);
    }
}

void rh_inquiries_end(rh_client *client, const rh_error *error)
{
    rh_inquiry *q;
    /* Who is told may ask anew; that is not for now. */
    for (q = client->inquiries; q; q = q->next) q->ends = !q->done;
    for (q = client->inquiries; q;) {
        bool ends = q->ends && !q->done;
        if (ends) fail(q, error);
        q = ends ? client->inquiries : q->next;
    }
}
