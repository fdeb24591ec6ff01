#include "emulator/config.h"
#include "emulator/faults.h"

#include <inttypes.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#define RETENTION_MS    (60 * 60 * 1000)
#define MAX_BYTES       (256u * 1024 * 1024)
#define MAX_CONNECTIONS 256
#define MAX_FRAME       65536u
#define LATE_MS         1000
#define LISTEN_HOST     "127.0.0.1"

/* Dropping events for age one by one as they fall due would wake the loop for each; a hundredth of the
 * retention time is late enough to take many at once, and soon enough for nobody to notice. */
#define RETENTION_STEPS 100

#define LOSSES_TOLD_EVERY RH_SECONDS(5)

/* A file on disk goes as a whole, so it is a small part of the budget, and never so large that removing it is felt. */
#define FILE_MIN        (64u * 1024)
#define FILE_MAX        (16u * 1024 * 1024)
#define FILES_PER_STORE 16u

/* -- memory and log --------------------------------------------------------------------------- */

void *rh_emu_alloc(rh_emulator *emulator, size_t n)
{
    void *p = emulator->allocator->alloc(emulator->allocator->user, n);
    return p ? memset(p, 0, n) : NULL;
}

void rh_emu_free(rh_emulator *emulator, void *p, size_t n)
{
    emulator->allocator->free(emulator->allocator->user, p, n);
}

char *rh_emu_copy(rh_emulator *emulator, rh_slice text)
{
    char *copy = rh_emu_alloc(emulator, text.n + 1);
    if (copy && text.n) memcpy(copy, text.p, text.n);
    /* A zero inside would make the copy shorter than its memory. */
    for (size_t i = 0; copy && i < text.n; i++)
        if (copy[i] == 0) copy[i] = '?';
    return copy;
}

void rh_emu_log(rh_emulator *emulator, rh_log_level level, const char *id, const char *format, ...)
{
    char    text[768];
    va_list list;
    if (!emulator->log.on_log) return;
    va_start(list, format);
    vsnprintf(text, sizeof text, format, list);
    va_end(list);
    emulator->log.on_log(emulator->log.user, level, id, text);
}

static rh_status fail(rh_error *error, rh_status status, const char *words)
{
    if (error) rh_error_set(error, status, NULL, words);
    return status;
}

/* -- retention -------------------------------------------------------------------------------- */

/* A hub that is written faster than it is kept evicts thousands of times a second: the first is told at once, the others as a
 * sum every few seconds. */
static void on_eviction_told(void *user, rh_time now)
{
    rh_emulator   *emulator = user;
    rh_emu_losses *losses   = &emulator->losses;
    if (losses->unread == 0) return;
    rh_emu_log(emulator, RH_LOG_WARNING, "emulator.evicted", "another %" PRIu64 " events dropped in %" PRIu64 " s, %" PRIu64 " of them never read",
               losses->count, (uint64_t)(LOSSES_TOLD_EVERY / RH_SECONDS(1)), losses->unread);
    losses->count = losses->unread = 0;
    rh_timer_set(emulator->loop, &losses->timer, rh_time_after(now, LOSSES_TOLD_EVERY));
}

static void on_evicted(void *user, const rh_emu_partition *partition, uint64_t count, uint64_t unread, const char *why)
{
    rh_emulator   *emulator = user;
    rh_emu_losses *losses   = &emulator->losses;
    atomic_fetch_add_explicit(&emulator->counters.events_evicted, count, memory_order_relaxed);
    atomic_fetch_add_explicit(&emulator->counters.events_unread, unread, memory_order_relaxed);
    bool is_told = unread == 0 || !losses->timer.is_set;
    losses->count += is_told ? 0 : count;
    losses->unread += is_told ? 0 : unread;
    if (!is_told) return;
    rh_emu_log(emulator, unread ? RH_LOG_WARNING : RH_LOG_DEBUG, "emulator.evicted",
               "%s/%" PRIu32 ": %" PRIu64 " events dropped for %s, %" PRIu64 " of them never read", partition->hub->name, partition->id, count, why,
               unread);
    if (unread) rh_timer_set(emulator->loop, &losses->timer, rh_time_after(rh_loop_now(emulator->loop), LOSSES_TOLD_EVERY));
}

static void on_retention(void *user, rh_time now)
{
    rh_emulator *emulator = user;
    (void)now;
    rh_emu_store_expire(&emulator->store, rh_loop_wall_ms(emulator->loop));
    atomic_store_explicit(&emulator->counters.bytes_stored, emulator->store.used, memory_order_relaxed);
    rh_emu_retention_arm(emulator);
}

void rh_emu_retention_arm(rh_emulator *emulator)
{
    if (emulator->retention.is_set || emulator->is_dead) return;
    int64_t due = rh_emu_store_due(&emulator->store);
    if (due == INT64_MAX) return;
    int64_t wait = due - rh_loop_wall_ms(emulator->loop);
    int64_t step = emulator->store.retention_ms / RETENTION_STEPS + 1;
    if (wait < 0) wait = 0;
    rh_timer_set(emulator->loop, &emulator->retention, rh_time_after(rh_loop_now(emulator->loop), RH_MS(wait + step)));
}

/* -- create ----------------------------------------------------------------------------------- */

static rh_status add_hub(void *user, const rh_emulator_hub *hub, rh_error *error)
{
    return rh_emu_hub_add(user, hub, error);
}

static rh_status add_hubs(rh_emulator *emulator, const rh_emulator_opts *opts, rh_error *error)
{
    static const rh_emulator_hub only = { .name = "hub" };
    rh_status status = RH_OK;
    if (opts->config_file) status = rh_emu_config_read(opts->config_file, add_hub, emulator, error);
    for (size_t i = 0; i < opts->hub_count && status == RH_OK; i++) status = rh_emu_hub_add(emulator, &opts->hubs[i], error);
    if (status == RH_OK && !emulator->hubs) status = rh_emu_hub_add(emulator, &only, error);
    return status;
}

static rh_status open_disk(rh_emulator *emulator, const char *folder, rh_error *error)
{
    uint64_t n = emulator->store.max_bytes / FILES_PER_STORE;
    rh_emu_disk_opts opts = {
        .allocator  = emulator->allocator,
        .log        = emulator->log,
        .folder     = folder,
        .file_bytes = n < FILE_MIN ? FILE_MIN : n > FILE_MAX ? FILE_MAX : n,
    };
    return rh_emu_disk_open(&opts, &emulator->disk, error);
}

static bool copy_text(char *out, size_t n, const char *text, const char *otherwise)
{
    const char *from = text ? text : otherwise;
    if (strlen(from) >= n) return false;
    strcpy(out, from);
    return true;
}

static rh_status make_tls(rh_emulator *emulator, const rh_emulator_opts *opts, rh_error *error)
{
    char        key[RH_TLS_PEM_MAX] = "";
    rh_tls_opts tls = {
        .size = sizeof tls, .server = true, .cert_file = opts->cert_file, .key_file = opts->key_file, .cert_pem = opts->cert_pem,
        .key_pem = opts->key_pem, .log = opts->log,
    };
    if (!opts->cert_file != !opts->key_file || !opts->cert_pem.p != !opts->key_pem.p)
        return fail(error, RH_E_CONFLICT, "a certificate and its key are given together or not at all");
    if (!opts->cert_file && !opts->cert_pem.p) {
        emulator->certificate = rh_emu_alloc(emulator, RH_TLS_PEM_MAX);
        if (!emulator->certificate) return fail(error, RH_E_MEMORY, "no memory for a certificate");
        rh_status status = rh_tls_self_signed(NULL, emulator->certificate, RH_TLS_PEM_MAX, key, sizeof key, error);
        if (status != RH_OK) return status;
        tls.cert_pem = rh_str(emulator->certificate);
        tls.key_pem  = rh_str(key);
    }
    return rh_tls_create(&tls, &emulator->tls, error);
}

static rh_status listen_on(rh_emulator *emulator, const char *host, uint16_t port, rh_tls *tls, rh_listener **out, uint16_t *taken,
                           rh_error *error)
{
    rh_status status =
        rh_loop_listen(emulator->loop, RH_LISTEN_OPTS(.host = host, .port = port, .tls = tls, .max_frame = emulator->limits.max_frame_bytes),
                       rh_emu_connection_accept, emulator, out, error);
    if (status == RH_OK) *taken = rh_listener_port(*out);
    return status;
}

static rh_status open_ports(rh_emulator *emulator, const rh_emulator_opts *opts, rh_error *error)
{
    rh_status status = RH_OK;
    if (opts->tls_only && !opts->tls) return fail(error, RH_E_CONFLICT, "tls_only without tls leaves nothing to listen on");
    if (opts->tls) status = make_tls(emulator, opts, error);
    if (status == RH_OK && !opts->tls_only)
        status = listen_on(emulator, emulator->host, opts->listen_port, NULL, &emulator->plain, &emulator->port, error);
    if (status == RH_OK && opts->tls)
        status = listen_on(emulator, emulator->tls_host, opts->tls_port, emulator->tls, &emulator->secure, &emulator->tls_port, error);
    return status;
}

/* The service's, where nothing was said. */
static rh_emulator_limits limits_of(const rh_emulator_limits *given)
{
    rh_emulator_limits limits = *given;
#define UNLESS_GIVEN(field, value) if (limits.field == 0) limits.field = (value)
    UNLESS_GIVEN(idle_time_out_ms, 240000);
    UNLESS_GIVEN(max_frame_bytes, MAX_FRAME);
    UNLESS_GIVEN(window, 2048);
    /* Clients wait for credit before their first send and some give up after a second, so it is always there. */
    UNLESS_GIVEN(credit, 1000);
    UNLESS_GIVEN(open_within_ms, 20000);
    UNLESS_GIVEN(link_within_ms, 60000);
    UNLESS_GIVEN(unlinked_ms, 300000);
    UNLESS_GIVEN(sender_idle_ms, 1800000);
    UNLESS_GIVEN(reader_idle_ms, UINT32_MAX);
    UNLESS_GIVEN(max_message_bytes, RH_EMU_MESSAGE_MAX);
    UNLESS_GIVEN(sessions, RH_EMU_SESSIONS_MAX);
#undef UNLESS_GIVEN
    return limits;
}

static rh_status fill(rh_emulator *emulator, const rh_emulator_opts *opts, rh_error *error)
{
    emulator->log             = opts->log;
    emulator->faults          = opts->faults;
    emulator->late_ms         = opts->late_ms ? opts->late_ms : LATE_MS;
    emulator->jwt             = opts->jwt;
    emulator->limits          = limits_of(&opts->limits);
    emulator->max_connections = opts->max_connections ? opts->max_connections : MAX_CONNECTIONS;
    emulator->retention.fn    = on_retention;
    emulator->retention.user  = emulator;
    emulator->losses.timer    = (rh_timer){ .fn = on_eviction_told, .user = emulator };
    emulator->store           = (rh_emu_store){
        .allocator    = emulator->allocator,
        .max_bytes    = opts->max_bytes ? opts->max_bytes : MAX_BYTES,
        .retention_ms = opts->retention_ms ? opts->retention_ms : RETENTION_MS,
        .on_evicted   = on_evicted,
        .user         = emulator,
    };
    if (emulator->limits.max_frame_bytes < RH_FRAME_SIZE_MIN || emulator->limits.credit > INT32_MAX)
        return fail(error, RH_E_ARGUMENT, "frames have 512 bytes or more, and credit is at most 2147483647");
    if (emulator->limits.max_message_bytes > RH_EMU_MESSAGE_MAX || emulator->limits.sessions > RH_EMU_SESSIONS_MAX)
        return fail(error, RH_E_ARGUMENT, "a message has at most 1048576 bytes, a connection 1088 sessions");
    if (opts->retention_ms < 0) return fail(error, RH_E_ARGUMENT, "a retention time is not negative");
    if (!opts->rule != !opts->key) return fail(error, RH_E_CONFLICT, "a rule and its key are given together or not at all");
    if (!copy_text(emulator->rule, sizeof emulator->rule, opts->rule, RH_EMULATOR_RULE) ||
        !copy_text(emulator->key, sizeof emulator->key, opts->key, RH_EMULATOR_KEY))
        return fail(error, RH_E_ARGUMENT, "a rule or its key is longer than 256 bytes");
    if (!copy_text(emulator->host, sizeof emulator->host, opts->listen_host, LISTEN_HOST) ||
        !copy_text(emulator->tls_host, sizeof emulator->tls_host, opts->tls_host, LISTEN_HOST))
        return fail(error, RH_E_ARGUMENT, "a host to listen on is longer than 255 bytes");
    rh_status status = opts->fault_script ? rh_emu_script_parse(emulator->allocator, opts->fault_script, &emulator->script, error) : RH_OK;
    if (status == RH_OK && opts->data_dir) status = open_disk(emulator, opts->data_dir, error);
    if (status == RH_OK) status = add_hubs(emulator, opts, error);
    if (status != RH_OK) return status;
    on_retention(emulator, rh_loop_now(emulator->loop)); /* what was read back may be too old by now */
    return open_ports(emulator, opts, error);
}

rh_status rh_emulator_create(rh_loop *loop, const rh_emulator_opts *given, rh_emulator **out, rh_error *error)
{
    rh_emulator_opts opts = { 0 };
    *out = NULL;
    if (!given || given->size == 0) return fail(error, RH_E_ARGUMENT, "options without their size: use RH_EMULATOR_OPTS");
    memcpy(&opts, given, given->size < sizeof opts ? given->size : sizeof opts);

    const rh_allocator *allocator = rh_loop_allocator(loop);
    rh_emulator        *emulator  = allocator->alloc(allocator->user, sizeof *emulator);
    if (!emulator) return fail(error, RH_E_MEMORY, "no memory for a namespace");
    memset(emulator, 0, sizeof *emulator);
    emulator->loop      = loop;
    emulator->allocator = allocator;

    rh_status status = fill(emulator, &opts, error);
    if (status != RH_OK) {
        rh_emulator_destroy(emulator);
        return status;
    }
    rh_emu_faults_start(emulator);
    *out = emulator;
    return RH_OK;
}

static void *plain_alloc(void *user, size_t n)
{
    (void)user;
    return malloc(n);
}

static void plain_free(void *user, void *p, size_t n)
{
    (void)user, (void)n;
    free(p);
}

rh_status rh_emulator_script_check(const char *fault_script, rh_error *error)
{
    static const rh_allocator plain = { .alloc = plain_alloc, .free = plain_free };
    rh_emu_script *script;
    rh_status      status = rh_emu_script_parse(&plain, fault_script, &script, error);
    rh_emu_script_free(script);
    return status;
}

/* -- destroy ---------------------------------------------------------------------------------- */

void rh_emu_namespace_let_go(rh_emulator *emulator)
{
    if (!emulator->is_dead || emulator->connection_count > 0) return;
    while (emulator->hubs) {
        rh_emu_hub *hub = emulator->hubs;
        emulator->hubs  = hub->next;
        rh_emu_hub_destroy(hub);
    }
    rh_emu_disk_close(emulator->disk);
    rh_emu_script_free(emulator->script);
    if (emulator->certificate) rh_emu_free(emulator, emulator->certificate, RH_TLS_PEM_MAX);
    const rh_allocator *allocator = emulator->allocator;
    allocator->free(allocator->user, emulator, sizeof *emulator);
}

void rh_emulator_destroy(rh_emulator *emulator)
{
    if (!emulator || emulator->is_dead) return;
    rh_listener_close(emulator->plain);
    rh_listener_close(emulator->secure);
    rh_tls_destroy(emulator->tls);
    rh_timer_cancel(emulator->loop, &emulator->retention);
    rh_timer_cancel(emulator->loop, &emulator->losses.timer);
    rh_emu_faults_stop(emulator);
    emulator->is_dead = true;
    for (rh_emu_connection *connection = emulator->connections; connection; connection = connection->next)
        rh_emu_connection_cut(connection);
    rh_emu_namespace_let_go(emulator);
}

/* -- a thread of its own ---------------------------------------------------------------------- */

static void *live(void *user)
{
    rh_emulator *emulator = user;
    rh_loop     *loop     = emulator->loop;
    rh_status    status   = rh_loop_run(loop, RH_TIME_NEVER);
    if (status != RH_OK) rh_emu_log(emulator, RH_LOG_ERROR, "emulator.loop", "the loop stopped: %s", rh_status_words(status));
    /* Even when the loop gave up by itself the handle is the caller's until rh_emulator_stop(). */
    while (sem_wait(&emulator->stopping) != 0) continue;
    sem_destroy(&emulator->stopping);
    rh_emulator_destroy(emulator);
    rh_loop_destroy(loop);
    return NULL;
}

static void end_life(void *user)
{
    rh_emulator *emulator = user;
    rh_loop_stop(emulator->loop);
}

rh_status rh_emulator_start(const rh_emulator_opts *opts, rh_emulator **out, rh_error *error)
{
    rh_loop *loop;
    *out = NULL;
    if (!opts || opts->size == 0) return fail(error, RH_E_ARGUMENT, "options without their size: use RH_EMULATOR_OPTS");
    rh_log    log    = opts->size >= offsetof(rh_emulator_opts, log) + sizeof log ? opts->log : (rh_log){ 0 };
    uint32_t  frame  = opts->size >= offsetof(rh_emulator_opts, limits) + sizeof opts->limits ? opts->limits.max_frame_bytes : 0;
    rh_status status = rh_loop_create(RH_LOOP_OPTS(.log = log, .max_frame = frame > MAX_FRAME ? frame : MAX_FRAME), &loop, error);
    if (status != RH_OK) return status;
    status = rh_emulator_create(loop, opts, out, error);
    if (status == RH_OK) {
        (*out)->is_threaded = true;
        if (sem_init(&(*out)->stopping, 0, 0) == 0 && pthread_create(&(*out)->thread, NULL, live, *out) == 0) return RH_OK;
        status = fail(error, RH_E_SYSTEM, "no thread for the emulator");
        rh_emulator_destroy(*out);
        *out = NULL;
    }
    rh_loop_destroy(loop);
    return status;
}

void rh_emulator_stop(rh_emulator *emulator)
{
    if (!emulator || !emulator->is_threaded) return;
    pthread_t thread = emulator->thread;
    /* The doorbell is full only while the loop has not yet come round to empty it. */
    while (rh_loop_post(emulator->loop, end_life, emulator) == RH_AGAIN) sched_yield();
    sem_post(&emulator->stopping);
    pthread_join(thread, NULL);
}

/* -- inspect ---------------------------------------------------------------------------------- */

uint16_t rh_emulator_port(const rh_emulator *emulator)
{
    return emulator->port;
}

uint16_t rh_emulator_tls_port(const rh_emulator *emulator)
{
    return emulator->tls_port;
}

/* Whoever listens everywhere is reached on this machine. */
static const char *reachable(const char *host)
{
    return strcmp(host, "0.0.0.0") == 0 || strcmp(host, "::") == 0 ? "localhost" : host;
}

static size_t compose(const rh_emulator *emulator, const char *host, uint16_t port, const char *tail, const char *hub, char *text, size_t n)
{
    host      = reachable(host);
    bool bare = strchr(host, ':') && host[0] != '[';
    int  wanted =
        snprintf(text, n, "Endpoint=sb://%s%s%s:%u;SharedAccessKeyName=%s;SharedAccessKey=%s;%s%s%s", bare ? "[" : "", host, bare ? "]" : "", port,
                 emulator->rule, emulator->key, tail, hub ? "EntityPath=" : "", hub ? hub : "");
    return wanted < 0 ? 0 : (size_t)wanted;
}

size_t rh_emulator_connection_string(const rh_emulator *emulator, const char *hub, char *text, size_t n)
{
    return compose(emulator, emulator->host, emulator->port, "UseDevelopmentEmulator=true;", hub, text, n);
}

size_t rh_emulator_tls_connection_string(const rh_emulator *emulator, const char *hub, char *text, size_t n)
{
    return compose(emulator, emulator->tls_host, emulator->tls_port, "", hub, text, n);
}

const char *rh_emulator_certificate_pem(const rh_emulator *emulator)
{
    return emulator->certificate;
}

void rh_emulator_stats_read(const rh_emulator *emulator, rh_emulator_stats *out)
{
    const rh_emu_counters *c = &emulator->counters;
#define READ(name) .name = atomic_load_explicit(&c->name, memory_order_relaxed)
    *out = (rh_emulator_stats){
        READ(connections), READ(connections_open), READ(events_in), READ(events_out), READ(bytes_stored), READ(events_evicted),
        READ(events_unread), READ(tokens), READ(refusals), READ(peer_errors),
    };
#undef READ
}
