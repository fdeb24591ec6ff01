#include "eventhub/consumer.h"

#include "eventhub/address.h"
#include "eventhub/position.h"

#define DEFAULT_PREFETCH       300
#define DEFAULT_PREFETCH_BYTES (4u * 1024 * 1024)
#define DEFAULT_EVENT_BYTES    (1024u * 1024 + 64 * 1024)

/* -- callbacks, and who may die in them ------------------------------------------------------------ */

static void free_block(rh_consumer *consumer)
{
    rh_allocator allocator = consumer->allocator;
    rh_cells_fini(&consumer->cells);
    rh_story_drop(&consumer->error, &allocator);
    allocator.free(allocator.user, consumer, consumer->memory);
}

void rh_consumer_enter(rh_consumer *consumer)
{
    consumer->inside++;
}

/** Events that somebody still holds keep the block. */
void rh_consumer_leave(rh_consumer *consumer)
{
    consumer->inside--;
    if (!consumer->destroyed || consumer->inside || consumer->held) return;
    if (rh_attachment_is_gone(&consumer->attachment)) free_block(consumer);
}

static void enter_state(rh_consumer *consumer, rh_consumer_state state, const rh_error *error)
{
    consumer->state = state;
    if (state == RH_CONSUMER_STOLEN || state == RH_CONSUMER_CLOSED) consumer->over = consumer->stirred = true;
    if (state == RH_CONSUMER_OPEN || consumer->over) consumer->settled = true;
    if (consumer->destroyed || consumer->quiet || !consumer->handler.on_state) return;
    consumer->handler.on_state(consumer->user, consumer, state, error);
}

static void end(rh_consumer *consumer, const rh_error *why)
{
    if (consumer->over) return;
    rh_latest_forget(consumer);
    rh_watchdog_destroy(consumer);
    if (!consumer->error.status) rh_story_keep(&consumer->error, &consumer->allocator, why);
    const rh_error *error = consumer->error.status ? rh_story_error(&consumer->error) : NULL;
    enter_state(consumer, consumer->error.status == RH_E_STOLEN ? RH_CONSUMER_STOLEN : RH_CONSUMER_CLOSED, error);
}

void rh_consumer_fail(rh_consumer *consumer, rh_status status, const char *words)
{
    if (consumer->error.status) return;
    rh_error error;
    rh_error_own(&error, status, words, NULL, NULL);
    rh_story_keep(&consumer->error, &consumer->allocator, &error);
    rh_attachment_close(&consumer->attachment, 0);
}

/* -- the link -------------------------------------------------------------------------------------- */

static rh_slice encode_properties(rh_enc *e, const rh_consumer *consumer)
{
    bool named = *consumer->name != 0;
    if (!named && !consumer->has_owner_level) return rh_slice_of(NULL, 0);
    const uint8_t *start = e->p;
    rh_enc_mark map = rh_enc_map_begin(e);
    if (named) {
        rh_enc_symbol(e, rh_str("com.microsoft:receiver-name"));
        rh_enc_string(e, rh_str(consumer->name));
    }
    if (consumer->has_owner_level) {
        rh_enc_symbol(e, rh_str("com.microsoft:epoch"));
        rh_enc_long(e, consumer->owner_level);
    }
    rh_enc_map_end(e, map, 2u * (named + consumer->has_owner_level));
    return rh_slice_of(start, (size_t)(e->p - start));
}

static rh_status attach(void *user, rh_session *session, void *link_user, rh_link **link)
{
    rh_consumer *consumer = user;
    uint8_t space[4 * RH_ADDRESS_MAX];
    rh_enc e = rh_enc_of(space, sizeof space);
    const char *name = *consumer->name ? consumer->name : consumer->link_name;
    rh_link_opts opts = {
        .name = rh_str(consumer->link_name), .receiver = true,
        .snd_settle_mode = RH_SND_SETTLED, .rcv_settle_mode = RH_RCV_FIRST,
        .source = &(rh_amqp_source){
            .address = rh_address_encode(&e, consumer->path), .filter = rh_position_encode(&e, &consumer->position),
        },
        .target = &(rh_amqp_target){ .address = rh_address_encode(&e, name) },
        .properties = encode_properties(&e, consumer),
        .desired_capabilities = rh_capabilities_encode(&e, consumer->track_last_enqueued),
        .max_message_size = consumer->event_bytes,
        .gather = consumer->gather ? rh_gather_bytes(consumer->gather) : NULL, .gather_n = consumer->event_bytes,
    };
    return e.status ? e.status : rh_link_attach(session, &opts, link_user, link);
}

void rh_consumer_opened(rh_consumer *consumer)
{
    rh_latest_forget(consumer);
    enter_state(consumer, RH_CONSUMER_OPEN, NULL);
    rh_consumer_renew(consumer);
}

static void on_up(void *user, rh_link *link, const rh_amqp_attach *answer)
{
    rh_consumer *consumer = user;
    (void)link, (void)answer;
    rh_consumer_enter(consumer);
    bool opens = consumer->state == RH_CONSUMER_OPENING && !rh_latest_waits(consumer);
    if (opens || consumer->state == RH_CONSUMER_RECOVERING) rh_consumer_opened(consumer);
    else rh_consumer_renew(consumer);
    rh_consumer_leave(consumer);
}

static void on_gather(void *user, rh_link *link)
{
    rh_consumer *consumer = user;
    if (rh_consumer_furnish(consumer) && rh_link_gather(link, rh_gather_bytes(consumer->gather), consumer->event_bytes) == RH_OK) return;
    rh_consumer_fail(consumer, RH_E_MEMORY, "no memory to put an event of several frames together");
}

static void reopen(rh_consumer *consumer);

static void on_delivery(void *user, const rh_incoming *in)
{
    rh_consumer *consumer = user;
    rh_consumer_enter(consumer);
    if (consumer->state == RH_CONSUMER_OPENING) rh_consumer_opened(consumer); /* its first event says where it is */
    bool reads = consumer->state == RH_CONSUMER_OPEN && !consumer->destroyed; /* who was told so may have closed it */
    if (reads) rh_consumer_delivery(consumer, in);
    rh_consumer_leave(consumer);
}

static void on_lost(void *user, const rh_error *error)
{
    rh_consumer *consumer = user;
    rh_consumer_enter(consumer);
    if (consumer->state == RH_CONSUMER_OPENING) rh_attachment_still_opens(&consumer->attachment);
    if (consumer->state == RH_CONSUMER_OPEN && !consumer->rewinding) enter_state(consumer, RH_CONSUMER_RECOVERING, error);
    rh_consumer_leave(consumer);
}

static void on_down(void *user, const rh_error *error)
{
    rh_consumer *consumer = user;
    rh_consumer_enter(consumer);
    bool again = consumer->rewinding && error->status == RH_OK && consumer->state == RH_CONSUMER_OPEN;
    if (!again) end(consumer, error);
    rh_consumer_leave(consumer);
}

static void on_gone(void *user)
{
    rh_consumer *consumer = user;
    rh_consumer_enter(consumer);
    if (consumer->rewinding && !consumer->over && !consumer->destroyed) reopen(consumer);
    rh_consumer_leave(consumer);
}

static const rh_attachment_handler handler = {
    .attach = attach, .on_up = on_up, .on_gather = on_gather, .on_delivery = on_delivery, .on_lost = on_lost,
    .on_down = on_down, .on_gone = on_gone,
};

/* -- rewinding -------------------------------------------------------------------------------------- */

/*
 * Credit is granted by the size of the events seen, and the next may be larger than all of them. Without on_event to
 * hand it to, an event that finds no room must neither be lost nor stop the connection for others: the link
 * is left and opened again behind the last event that was kept.
 */
void rh_consumer_rewind(rh_consumer *consumer)
{
    if (consumer->position.kind != RH_POSITION_SEQUENCE || consumer->position.value < 0) {
        rh_consumer_fail(consumer, RH_E_LIMIT, "the pool is full and the events have no sequence numbers to come back to");
        return;
    }
    consumer->rewinding = true;
    rh_client_log(consumer->client, RH_LOG_INFO, "consumer.rewind", "the pool is full: reading on later from partition ",
                  consumer->partition, NULL);
    rh_attachment_return(&consumer->attachment);
}

void rh_consumer_rewind_if_room(rh_consumer *consumer)
{
    if (!consumer->rewinding || consumer->over || consumer->destroyed) return;
    bool room = consumer->cells.left >= consumer->cells.count / 2 || !consumer->held;
    if (!room || !consumer->attachment.parked) return;
    consumer->rewinding = false;
    rh_attachment_go_on(&consumer->attachment);
}

/** The old link is gone. Parked, the consumer still hears of its client's end; on with reading when there is room. */
static void reopen(rh_consumer *consumer)
{
    static const rh_error none;
    if (consumer->state == RH_CONSUMER_CLOSING) {
        end(consumer, &none);
        return;
    }
    rh_status status = rh_attachment_park(consumer->client, &consumer->attachment, consumer->path, &handler, consumer);
    if (!status) {
        rh_consumer_rewind_if_room(consumer);
        return;
    }
    rh_error error;
    rh_error_own(&error, status, "the consumer could not be opened again: ", rh_status_words(status), NULL);
    end(consumer, &error);
}

/* -- open, close, destroy --------------------------------------------------------------------------- */

static rh_status read_opts(const rh_consumer_opts *given, rh_consumer_opts *opts)
{
    memset(opts, 0, sizeof *opts);
    if (!given || given->size < offsetof(rh_consumer_opts, position) + sizeof opts->position) return RH_E_ARGUMENT;
    memcpy(opts, given, given->size < sizeof *opts ? given->size : sizeof *opts);
    if (!opts->group) opts->group = "$Default";
    if (!opts->prefetch) opts->prefetch = DEFAULT_PREFETCH;
    if (!opts->prefetch_bytes) opts->prefetch_bytes = DEFAULT_PREFETCH_BYTES;
    if (!opts->event_bytes) opts->event_bytes = DEFAULT_EVENT_BYTES;
    if (opts->prefetch_bytes < 2 * opts->event_bytes) opts->prefetch_bytes = 2 * opts->event_bytes;
    bool sane = opts->partition && *opts->partition && strlen(opts->partition) <= RH_PARTITION_ID_MAX;
    sane = sane && *opts->group && strlen(opts->group) <= RH_HUB_NAME_MAX;
    sane = sane && opts->prefetch_bytes <= INT32_MAX && opts->event_bytes <= INT32_MAX / 4 && opts->prefetch <= INT32_MAX;
    if (opts->name) sane = sane && strlen(opts->name) <= RH_HUB_NAME_MAX;
    return sane && rh_position_is(&opts->position) ? RH_OK : RH_E_ARGUMENT;
}

/* Twice the largest event and one more: with nothing held and the gather block anywhere, the largest still fits beside it. */
static size_t pool_bytes(const rh_consumer_opts *opts)
{
    size_t gather = rh_cells_round(sizeof(rh_event) + opts->event_bytes);
    size_t held = rh_cells_round(opts->prefetch_bytes);
    return gather + (held < 2 * gather ? 2 * gather : held);
}

/* What lies behind the struct. */
static size_t texts_bytes(const char *hub, const rh_consumer_opts *opts)
{
    size_t path = rh_address_size(hub, opts->group, opts->partition);
    size_t n = path + RH_ADDRESS_UNIQUE(path) + strlen(opts->group) + strlen(opts->partition) + 3;
    if (opts->name) n += strlen(opts->name);
    if (opts->position.kind == RH_POSITION_OFFSET) n += strlen(opts->position.offset) + 1;
    return n;
}

static char *put_text(char **at, const char *text)
{
    char *put = *at;
    size_t n = strlen(text) + 1;
    memcpy(put, text, n);
    *at += n;
    return put;
}

static void lay_out(rh_consumer *consumer, const rh_consumer_opts *opts)
{
    const char *hub = rh_client_hub(consumer->client);
    size_t path = rh_address_size(hub, opts->group, opts->partition);
    char *at = (char *)(consumer + 1);
    consumer->path = at;
    consumer->link_name = at + path;
    rh_address_make(consumer->path, hub, opts->group, opts->partition);
    rh_address_unique(consumer->link_name, consumer->loop, consumer->path);
    at += path + RH_ADDRESS_UNIQUE(path);
    consumer->name = put_text(&at, opts->name ? opts->name : "");
    consumer->group = put_text(&at, opts->group);
    consumer->partition = put_text(&at, opts->partition);
    if (opts->position.kind == RH_POSITION_OFFSET) consumer->position.offset = put_text(&at, opts->position.offset);
}

static rh_consumer *make(rh_client *client, const rh_consumer_opts *opts)
{
    size_t n = sizeof(rh_consumer) + texts_bytes(rh_client_hub(client), opts);
    const rh_allocator *allocator = rh_client_allocator(client);
    rh_consumer *consumer = allocator->alloc(allocator->user, n);
    if (!consumer) return NULL;
    *consumer = (rh_consumer){
        .client = client, .loop = rh_client_loop(client), .allocator = *allocator, .handler = opts->handler, .user = opts->user,
        .position = opts->position, .has_owner_level = opts->has_owner_level, .owner_level = opts->owner_level,
        .prefetch = opts->prefetch, .event_bytes = opts->event_bytes, .track_last_enqueued = opts->track_last_enqueued,
        .memory = n, .keeps = opts->keep_memory,
    };
    consumer->timer.fn = rh_consumer_on_look;
    consumer->timer.user = consumer;
    rh_cells_init(&consumer->cells, pool_bytes(opts), &consumer->allocator);
    lay_out(consumer, opts);
    if (!consumer->keeps || rh_consumer_furnish(consumer)) return consumer;
    free_block(consumer);
    return NULL;
}

static rh_status open_until(rh_client *client, const rh_consumer_opts *given, rh_time deadline, bool quiet, rh_consumer **out)
{
    *out = NULL;
    rh_consumer_opts opts;
    rh_status status = read_opts(given, &opts);
    if (status) return status;
    rh_consumer *consumer = make(client, &opts);
    if (!consumer) return RH_E_MEMORY;
    consumer->quiet = quiet;
    if (opts.stall_ms) status = rh_watchdog_create(consumer, opts.stall_ms);
    if (!status) status = rh_attachment_open(client, &consumer->attachment, consumer->path, 0, &handler, consumer, deadline);
    if (status) {
        rh_watchdog_destroy(consumer);
        free_block(consumer);
        return status;
    }
    rh_latest_ask(consumer);
    *out = consumer;
    return RH_OK;
}

rh_status rh_consumer_open(rh_client *client, const rh_consumer_opts *opts, rh_consumer **out)
{
    return open_until(client, opts, 0, false, out);
}

rh_status rh_consumer_open_wait(rh_client *client, const rh_consumer_opts *opts, rh_consumer **out, uint32_t timeout_ms, rh_error *error)
{
    *out = NULL;
    rh_time deadline = rh_client_deadline(client, timeout_ms);
    rh_consumer *consumer = NULL;
    rh_status status = rh_loop_in_callback(rh_client_loop(client)) ? RH_E_REENTRANT : open_until(client, opts, deadline, true, &consumer);
    if (!status) status = rh_client_wait(client, &consumer->settled, deadline);
    if (!status && !consumer->over) {
        consumer->quiet = false;
        *out = consumer;
        return RH_OK;
    }
    if (!status) status = consumer->error.status ? consumer->error.status : RH_E_CLOSED;
    rh_error_of_wait(error, status, consumer ? &consumer->error : NULL, "the consumer did not open: ");
    rh_consumer_destroy(consumer);
    return status;
}

void rh_consumer_close(rh_consumer *consumer, rh_time deadline)
{
    if (consumer->over || consumer->state == RH_CONSUMER_CLOSING) return;
    consumer->state = RH_CONSUMER_CLOSING;
    rh_latest_forget(consumer);
    rh_attachment_stay_away(&consumer->attachment);
    rh_attachment_close(&consumer->attachment, deadline);
    /* Its link is down already, to be opened again; that it is gone only the peer can tell, and nobody waits for that now. */
    if (consumer->rewinding && consumer->attachment.state == RH_ATTACHMENT_LEAVING) rh_timer_set(consumer->loop, &consumer->timer, rh_loop_now(consumer->loop));
}

void rh_consumer_end_rewind(rh_consumer *consumer)
{
    static const rh_error none;
    if (!consumer->rewinding || consumer->state != RH_CONSUMER_CLOSING) return;
    rh_consumer_enter(consumer);
    end(consumer, &none);
    rh_consumer_leave(consumer);
}

rh_status rh_consumer_close_wait(rh_consumer *consumer, uint32_t timeout_ms, rh_error *error)
{
    rh_status status = RH_OK;
    if (rh_loop_in_callback(consumer->loop)) status = RH_E_REENTRANT;
    if (!status && !consumer->over) {
        rh_time deadline = rh_client_deadline(consumer->client, timeout_ms);
        rh_consumer_close(consumer, deadline);
        status = rh_client_wait(consumer->client, &consumer->over, deadline);
    }
    if (!status) status = consumer->error.status;
    if (status) rh_error_of_wait(error, status, &consumer->error, "the consumer did not close: ");
    return status;
}

/** What waits for a receive that will not come goes; what the caller holds keeps the block until it is released. */
static void drop_queue(rh_consumer *consumer)
{
    for (rh_event *event = consumer->first; event; event = event->next) consumer->held--;
    consumer->first = consumer->last = NULL;
}

void rh_consumer_destroy(rh_consumer *consumer)
{
    if (!consumer || consumer->destroyed) return;
    rh_consumer_enter(consumer);
    consumer->destroyed = true;
    rh_timer_cancel(consumer->loop, &consumer->timer);
    rh_latest_forget(consumer);
    rh_watchdog_destroy(consumer);
    drop_queue(consumer);
    if (!rh_attachment_is_gone(&consumer->attachment)) rh_attachment_abandon(&consumer->attachment);
    rh_consumer_leave(consumer);
}

/* -- inspect ---------------------------------------------------------------------------------------- */

rh_consumer_state rh_consumer_state_of(const rh_consumer *consumer)
{
    return consumer->state;
}

const char *rh_consumer_partition(const rh_consumer *consumer)
{
    return consumer->partition;
}

const char *rh_consumer_group(const rh_consumer *consumer)
{
    return consumer->group;
}

uint32_t rh_consumer_held(const rh_consumer *consumer)
{
    return consumer->held;
}

const rh_error *rh_consumer_error(const rh_consumer *consumer)
{
    return rh_story_error(&consumer->error);
}
