/* A client's engine: its memory, and the open that the service sees. */
#include "eventhub/connection.h"

#if defined(__x86_64__)
#define MACHINE "x86_64"
#elif defined(__aarch64__)
#define MACHINE "aarch64"
#else
#define MACHINE "other"
#endif

/* One attach of ours takes about 400 bytes: room for some dozens before anybody has to wait. */
#define OUTPUT_BYTES 16384

/* -- the open ------------------------------------------------------------------------------------- */

static void write_property(rh_enc *e, const char *key, const char *a, const char *b)
{
    char   value[160];
    size_t n = 0;
    for (const char *p = a; p && *p && n < 100; p++) value[n++] = *p;
    /* A cut application id must not end inside a character. */
    while (n == 100 && !rh_utf8_is(rh_slice_of(value, n)) && n > 0) n--;
    if (n > 0 && b[0]) value[n++] = ' ';
    for (const char *p = b; *p && n < sizeof value; p++) value[n++] = *p;
    rh_enc_symbol(e, rh_str(key));
    rh_enc_string(e, rh_slice_of(value, n));
}

static rh_slice write_properties(const char *application_id, uint8_t *room, size_t n)
{
    rh_enc      e   = rh_enc_of(room, n);
    rh_enc_mark map = rh_enc_map_begin(&e);
    write_property(&e, "product", NULL, "ringhub");
    write_property(&e, "version", NULL, RH_VERSION);
    write_property(&e, "platform", NULL, "linux-" MACHINE);
    write_property(&e, "framework", NULL, "C11");
    write_property(&e, "user-agent", application_id, "ringhub/" RH_VERSION " (linux-" MACHINE ")");
    rh_enc_map_end(&e, map, 10);
    return rh_enc_written(&e);
}

/* -- the engine ----------------------------------------------------------------------------------- */

void *rh_client_lend_room(rh_client *client, size_t n)
{
    client->room        = rh_loop_borrow(client->loop, n);
    client->room_n      = n;
    client->room_failed = !client->room;
    return client->room;
}

void rh_client_take_room(rh_client *client)
{
    rh_loop_give_back(client->loop, client->room, client->room_n);
    client->room = NULL;
}

static rh_status start(rh_client *client, const rh_engine_opts *opts)
{
    const rh_allocator *allocator = rh_client_allocator(client);
    if (!client->arena) {
        client->arena_n = rh_engine_size(opts);
        if (client->arena_n == 0) return RH_E_ARGUMENT;
        client->arena = allocator->alloc(allocator->user, client->arena_n);
        if (!client->arena) return RH_E_MEMORY;
    }
    client->room_failed = false;
    client->engine      = rh_engine_init(client->arena, client->arena_n, opts, rh_client_engine_handler(client), client);
    if (client->engine) return RH_OK;
    return client->room_failed ? RH_E_MEMORY : RH_E_ARGUMENT;
}

rh_status rh_client_make_engine(rh_client *client)
{
    uint8_t           properties[512];
    const char *const ids[] = { client->settings.application_id, NULL };
    rh_engine_opts    opts  = {
           .size             = sizeof opts,
           .container_id     = rh_str(client->settings.container_id),
           .hostname         = rh_str(client->settings.hostname),
           .max_frame_size   = client->last_byte + 1u,
           .idle_time_out_ms = client->idle_time_out_ms,
           /* One session each, and $cbs and $management. All of it is lent. */
           .channel_max  = (uint16_t)(client->attachments_max + 1),
           .sessions     = RH_NO_SLOTS,
           .links        = RH_NO_SLOTS,
           .deliveries   = RH_NO_SLOTS,
           .output_bytes = OUTPUT_BYTES,
           .output_lent  = true,
           .sasl         = RH_SASL_ANONYMOUS,
           .pipeline     = client->pipelines,
    };
    rh_status status = RH_E_ARGUMENT;
    if (client->attachments_max >= UINT16_MAX) return RH_E_ARGUMENT; /* [2.4.1] channel numbers have two bytes */
    rh_client_take_room(client); /* an engine that is done with does not give it back */
    /* [2.3] An open is at most 512 bytes: a long application id is the first thing to go. */
    for (size_t i = 0; i < 2 && status == RH_E_ARGUMENT; i++) {
        opts.properties = write_properties(ids[i], properties, sizeof properties);
        status          = start(client, &opts);
    }
    return status ? status : rh_loans_lend(client);
}

void rh_client_drop_engine(rh_client *client)
{
    const rh_allocator *allocator = rh_client_allocator(client);
    client->engine                = NULL;
    rh_loans_free(client);
    rh_client_take_room(client);
    if (client->arena) allocator->free(allocator->user, client->arena, client->arena_n);
    client->arena = NULL;
}
