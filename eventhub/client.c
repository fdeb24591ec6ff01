#include "eventhub/connection.h"
#include "eventhub/connection_string.h"

#include <openssl/crypto.h>

#define DEFAULT_PORT_TLS   5671
#define DEFAULT_PORT_PLAIN 5672
#define DEFAULT_TIMEOUT_MS 60000
#define DEFAULT_LINKS      64

/* Answers of $cbs are short; those of $management grow with the partitions of the hub, six bytes each. */
#define CBS_GATHER        4096
#define MANAGEMENT_GATHER 32768

/* -- options ------------------------------------------------------------------------------------- */

/* Where the settings come from, as slices into the caller's texts, before they are copied. */
typedef struct source {
    rh_connection_string text; /* zero if none was given */
    rh_connection_string name; /* of fully_qualified_namespace */
    char                 container_id[33];
} source;

static rh_status refuse(rh_error *error, rh_status status, const char *words)
{
    if (error) rh_error_own(error, status, words, NULL, NULL);
    return status;
}

static uint8_t lower(uint8_t c)
{
    return c >= 'A' && c <= 'Z' ? (uint8_t)(c + ('a' - 'A')) : c;
}

static bool same_name(rh_slice a, rh_slice b)
{
    if (a.n != b.n) return false;
    for (size_t i = 0; i < a.n; i++)
        if (lower(a.p[i]) != lower(b.p[i])) return false;
    return true;
}

static rh_status check_endpoint(const rh_client_opts *opts, source *from, rh_error *error)
{
    if (opts->connection_string) {
        rh_status status = rh_connection_string_parse(rh_str(opts->connection_string), &from->text, error);
        if (status) {
            if (error) error->error_class = RH_CLASS_TERMINAL;
            return status;
        }
    }
    if (opts->fully_qualified_namespace) {
        if (!rh_endpoint_parse(rh_str(opts->fully_qualified_namespace), &from->name))
            return refuse(error, RH_E_ARGUMENT, "the fully qualified namespace is not of the form HOST[:PORT]");
        if (from->text.host.p && !same_name(from->text.host, from->name.host))
            return refuse(error, RH_E_CONFLICT, "the connection string and the fully qualified namespace name different hosts");
    }
    if (!from->text.host.p && !from->name.host.p)
        return refuse(error, RH_E_ARGUMENT, "neither a connection string nor a fully qualified namespace was given");
    return RH_OK;
}

static rh_status check_credential(const rh_client_opts *opts, const source *from, rh_error *error)
{
    bool in_text = from->text.key.p || from->text.signature.p;
    if (opts->credential) {
        if (in_text) return refuse(error, RH_E_CONFLICT, "the connection string holds a key or signature, and a credential was given too");
        if (!opts->credential->request || !opts->credential->cancel)
            return refuse(error, RH_E_ARGUMENT, "a credential needs both of its calls");
        return RH_OK;
    }
    if (in_text) return RH_OK;
    if (!opts->connection_string) return refuse(error, RH_E_ARGUMENT, "a fully qualified namespace needs a credential");
    return refuse(error, RH_E_CONNECTION_STRING, "connection string: SharedAccessKey or SharedAccessSignature is missing, and no credential was given");
}

static rh_status check_hub(const rh_client_opts *opts, const source *from, rh_error *error)
{
    rh_slice hub = rh_str(opts->hub);
    if (hub.n > 0 && from->text.hub.p && !same_name(hub, from->text.hub))
        return refuse(error, RH_E_CONFLICT, "the hub is named twice and differently: by EntityPath and by the options");
    if (hub.n == 0) hub = from->text.hub;
    if (hub.n == 0) return refuse(error, RH_E_ARGUMENT, "no hub is named: neither by EntityPath nor by the options");
    if (hub.n > RH_HUB_NAME_MAX) return refuse(error, RH_E_ARGUMENT, "the hub's name is longer than 256 bytes");
    return RH_OK;
}

static rh_status check(const rh_client_opts *opts, source *from, rh_error *error)
{
    rh_status status = check_endpoint(opts, from, error);
    if (status == RH_OK) status = check_hub(opts, from, error);
    if (status == RH_OK) status = check_credential(opts, from, error);
    if (status) return status;
    /* [2.3] A peer that takes less than 512 bytes is none. */
    bool fits = opts->max_frame_size == 0 || (opts->max_frame_size >= 512 && opts->max_frame_size <= RH_CLIENT_FRAME);
    return fits ? RH_OK : refuse(error, RH_E_ARGUMENT, "max_frame_size is below 512 or above 65536");
}

/* 32 hexadecimal digits; the service names its own the same way. */
static void choose_container_id(rh_loop *loop, char out[33])
{
    static const char hex[] = "0123456789abcdef";
    uint8_t           random[16];
    rh_loop_random(loop, random, sizeof random);
    for (size_t i = 0; i < sizeof random; i++) {
        out[2 * i]     = hex[random[i] >> 4];
        out[2 * i + 1] = hex[random[i] & 15];
    }
    out[32] = 0;
}

static rh_slice or_else(const char *text, rh_slice fallback)
{
    return text && text[0] ? rh_str(text) : fallback;
}

typedef struct text {
    const char **to;
    rh_slice     from;
} text;

/* Two rounds over one table: how much room, then the copies. */
static rh_status copy_texts(rh_client *client, const rh_client_opts *opts, const source *from)
{
    rh_client_settings         *s         = &client->settings;
    const rh_connection_string *endpoint  = from->text.host.p ? &from->text : &from->name;
    const rh_allocator         *allocator = rh_client_allocator(client);
    const text                  texts[]   = {
        { &s->host, endpoint->host },
        { &s->authority, endpoint->authority },
        { &s->hub, or_else(opts->hub, from->text.hub) },
        { &s->dial_host, or_else(opts->dial_host, endpoint->host) },
        { &s->tls_name, or_else(opts->tls_name, or_else(opts->dial_host, endpoint->host)) },
        { &s->hostname, or_else(opts->hostname, endpoint->host) },
        { &s->container_id, or_else(opts->container_id, rh_str(from->container_id)) },
        { &s->application_id, rh_str(opts->application_id) },
        { &s->key_name, from->text.key_name },
        { &s->key, from->text.key },
        { &s->signature, from->text.signature },
    };
    size_t count = sizeof texts / sizeof *texts, n = 0;
    for (size_t i = 0; i < count; i++) n += texts[i].from.n + 1;
    client->texts = allocator->alloc(allocator->user, n);
    if (!client->texts) return RH_E_MEMORY;
    client->texts_n = n;

    char *at = client->texts;
    for (size_t i = 0; i < count; i++) {
        *texts[i].to = texts[i].from.p ? at : NULL;
        if (texts[i].from.n) memcpy(at, texts[i].from.p, texts[i].from.n);
        at += texts[i].from.n;
        *at++ = 0;
    }
    uint16_t port = endpoint->port ? endpoint->port : from->text.emulator ? DEFAULT_PORT_PLAIN : DEFAULT_PORT_TLS;
    s->dial_port  = opts->dial_port ? opts->dial_port : port;
    return RH_OK;
}

static rh_status make_tls(rh_client *client, const rh_client_opts *opts, bool plain, rh_error *error)
{
    if (plain) return RH_OK;
    rh_tls_opts tls = {
        .size = sizeof tls,
        .ca_file = opts->ca_file,
        .ca_pem = opts->ca_pem,
        .cert_file = opts->cert_file,
        .key_file = opts->key_file,
        .keylog_file = opts->keylog_file,
        .insecure = opts->insecure,
        .log = client->log,
    };
    return rh_tls_share(client->loop, &tls, &client->tls, error);
}

/* -- create and destroy --------------------------------------------------------------------------- */

void rh_client_free(rh_client *client)
{
    rh_allocator allocator = *rh_client_allocator(client);
    rh_timer_cancel(client->loop, &client->timer);
    rh_grant_drop(client->management_grant);
    rh_exchange_fini(&client->cbs);
    rh_exchange_fini(&client->management);
    if (client->hub_answer) allocator.free(allocator.user, client->hub_answer, client->hub_answer_n);
    if (client->tls) rh_tls_destroy(client->tls);
    rh_story_drop(&client->error, &allocator);
    rh_client_drop_engine(client);
    if (client->texts) {
        OPENSSL_cleanse(client->texts, client->texts_n);
        allocator.free(allocator.user, client->texts, client->texts_n);
    }
    allocator.free(allocator.user, client, sizeof *client);
}

static rh_status fill(rh_client *client, const rh_client_opts *opts, source *from, rh_error *error)
{
    choose_container_id(client->loop, from->container_id);
    rh_status status = copy_texts(client, opts, from);
    if (status) return refuse(error, status, rh_status_words(status));
    status = rh_client_make_engine(client);
    if (status == RH_E_ARGUMENT) return refuse(error, status, "container id, host name or a limit is out of range");
    if (status) return refuse(error, status, rh_status_words(status));
    rh_client_drop_engine(client); /* it was only to see that there can be one */
    return make_tls(client, opts, from->text.emulator, error);
}

rh_status rh_client_create(rh_loop *loop, const rh_client_opts *opts, rh_client **out, rh_error *error)
{
    source from = { .container_id = "" };
    if (!loop || !opts || !out || opts->size < sizeof(size_t)) return refuse(error, RH_E_ARGUMENT, "no loop, options or place for the client");
    rh_client_opts copy = { .size = sizeof copy };
    memcpy(&copy, opts, opts->size < sizeof copy ? opts->size : sizeof copy);
    rh_status status = check(&copy, &from, error);
    if (status) return status;

    const rh_allocator *allocator = rh_loop_allocator(loop);
    rh_client          *client    = allocator->alloc(allocator->user, sizeof *client);
    if (!client) return refuse(error, RH_E_MEMORY, rh_status_words(RH_E_MEMORY));
    memset(client, 0, sizeof *client);
    client->loop                 = loop;
    client->user                 = copy.user;
    client->log                  = copy.log.on_log ? copy.log : *rh_loop_log(loop);
    client->attachments_max      = copy.links ? copy.links : DEFAULT_LINKS;
    client->idle_time_out_ms     = copy.idle_time_out_ms ? copy.idle_time_out_ms : DEFAULT_TIMEOUT_MS;
    client->pipelines            = !copy.step_by_step;
    client->last_byte            = (uint16_t)((copy.max_frame_size ? copy.max_frame_size : RH_CLIENT_FRAME) - 1);
    client->session_window       = copy.session_window;
    client->retry                = copy.retry;
    client->operation_timeout_ms = copy.operation_timeout_ms ? copy.operation_timeout_ms : DEFAULT_TIMEOUT_MS;
    if (copy.credential) client->credential = *copy.credential;
    rh_client_init(client);
    rh_exchange_init(&client->cbs, client, "$cbs", CBS_GATHER);
    rh_exchange_init(&client->management, client, "$management", MANAGEMENT_GATHER);

    status          = fill(client, &copy, &from, error);
    client->handler = copy.handler; /* now: no frame of the engine that fill() tries is anybody's */
    if (status) rh_client_free(client);
    else *out = client;
    return status;
}

void rh_client_destroy(rh_client *client)
{
    if (!client || client->destroyed) return;
    client->destroyed = true;
    rh_client_enter(client);
    rh_client_cut(client);
    rh_client_leave(client);
}

/* -- connect and close ---------------------------------------------------------------------------- */

rh_status rh_client_connect(rh_client *client)
{
    if (client->state == RH_CLIENT_CONNECTING || client->state == RH_CLIENT_OPEN) return RH_OK;
    if (client->state != RH_CLIENT_IDLE || client->closing) return RH_E_STATE;
    return rh_client_dial(client);
}

/*
 * Turns the loop until the state is at least this one. A callback may destroy the client meanwhile; its memory
 * is kept until we have looked. RH_E_CANCELLED then, and the client is no more.
 */
static rh_status wait_for(rh_client *client, rh_client_state state, rh_time deadline)
{
    rh_status status = RH_OK;
    client->waiting  = true;
    while (!client->destroyed && client->state < state && status == RH_OK) {
        if (rh_loop_now(client->loop) >= deadline) status = RH_E_TIMEOUT;
        else status = rh_loop_turn(client->loop, deadline);
    }
    client->waiting = false;
    if (!client->destroyed) return status;
    rh_client_enter(client);
    rh_client_leave(client);
    return RH_E_CANCELLED;
}

rh_status rh_client_connect_wait(rh_client *client, uint32_t timeout_ms, rh_error *error)
{
    if (rh_loop_in_callback(client->loop)) return refuse(error, RH_E_REENTRANT, rh_status_words(RH_E_REENTRANT));
    rh_time   deadline = rh_client_deadline(client, timeout_ms);
    rh_status status   = rh_client_connect(client);
    rh_client_allow(client, deadline);
    if (status == RH_OK) status = wait_for(client, RH_CLIENT_OPEN, deadline);
    if (status == RH_E_CANCELLED) return refuse(error, status, "the client was destroyed meanwhile");
    if (status == RH_OK && client->state == RH_CLIENT_OPEN) return RH_OK;
    if (client->state >= RH_CLIENT_CLOSING) {
        rh_error why;
        rh_client_why_closed(client, &why);
        if (error) *error = why;
        return why.status;
    }
    if (client->error.status && status == RH_E_TIMEOUT) status = client->error.status; /* of the last try */
    if (error && client->error.status) rh_story_read(&client->error, error);
    else if (error) rh_error_own(error, status, "no connection in time to ", client->settings.dial_host, NULL);
    return status;
}

void rh_client_close(rh_client *client, rh_time deadline, rh_client_closed_fn done, void *user)
{
    client->closed      = done;
    client->closed_user = user;
    client->closing     = true; /* acted on by the loop: callbacks never come from a call */
    client->deadline    = deadline;
    rh_client_poke(client, &client->timer);
}

static void note_closed(void *user, rh_client *client, const rh_error *error)
{
    rh_error *out = user;
    (void)client;
    if (error) *out = *error;
    else memset(out, 0, sizeof *out);
}

rh_status rh_client_close_wait(rh_client *client, uint32_t timeout_ms, rh_error *error)
{
    rh_error story = { .status = RH_OK };
    if (!client) return RH_OK;
    if (rh_loop_in_callback(client->loop)) return refuse(error, RH_E_REENTRANT, rh_status_words(RH_E_REENTRANT));
    if (client->state < RH_CLIENT_CLOSED) {
        rh_client_close(client, rh_client_deadline(client, timeout_ms), note_closed, &story);
        /* The deadline cuts the connection, so CLOSED is always reached. */
        rh_status status = wait_for(client, RH_CLIENT_CLOSED, RH_TIME_NEVER);
        if (status == RH_E_CANCELLED) return refuse(error, status, "the client was destroyed meanwhile");
        client->closed = NULL;
        if (status) rh_error_own(&story, status, "the loop failed: ", rh_status_words(status), NULL);
    }
    if (error) *error = story;
    return story.status;
}

/* -- for everybody in this folder ------------------------------------------------------------------- */

rh_status rh_client_wait(rh_client *client, const bool *done, rh_time deadline)
{
    rh_loop  *loop   = client->loop; /* the client may be destroyed by a callback */
    rh_status status = RH_OK;
    bool      late   = false;
    if (rh_loop_in_callback(loop)) return RH_E_REENTRANT;
    while (!*done && status == RH_OK && !late) {
        /* What ends at this very deadline knows better words than ours: it gets one more turn. */
        late   = rh_loop_now(loop) >= deadline;
        status = rh_loop_turn(loop, late ? RH_NOWAIT : deadline);
    }
    return *done || status != RH_OK ? status : RH_E_TIMEOUT;
}

rh_time rh_client_deadline(const rh_client *client, uint32_t timeout_ms)
{
    return rh_time_after(rh_loop_now(client->loop), RH_MS(timeout_ms ? timeout_ms : client->operation_timeout_ms));
}

const rh_allocator *rh_client_allocator(const rh_client *client)
{
    return rh_loop_allocator(client->loop);
}

void rh_client_log(const rh_client *client, rh_log_level level, const char *id, const char *a, const char *b, const char *c)
{
    char        line[600];
    size_t      n       = 0;
    const char *texts[] = { a, b, c };
    if (!client->log.on_log || client->destroyed) return;
    for (size_t i = 0; i < 3; i++)
        for (const char *p = texts[i] ? texts[i] : ""; *p && n < sizeof line - 1; p++) line[n++] = *p;
    line[n] = 0;
    client->log.on_log(client->log.user, level, id, line);
}

rh_client_state rh_client_state_of(const rh_client *client)
{
    return client->state;
}

rh_loop *rh_client_loop(const rh_client *client)
{
    return client->loop;
}

const char *rh_client_hub(const rh_client *client)
{
    return client->settings.hub;
}

const char *rh_client_host(const rh_client *client)
{
    return client->settings.host;
}

const rh_error *rh_client_error(const rh_client *client)
{
    return rh_story_error(&client->error);
}
