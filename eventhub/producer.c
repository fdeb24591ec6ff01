#include "eventhub/producer.h"

#include "eventhub/address.h"

#define DEFAULT_BATCH_BYTES (1024u * 1024u)
#define DEFAULT_BATCHES     3
#define DEFAULT_IN_FLIGHT   1
/* [2.5] of reason: a window of 2,048 frames is what a session has; more sends at once than that would only wait. */
#define IN_FLIGHT_MAX       2048

/* -- callbacks, and who may die in them ------------------------------------------------------------ */

static void free_block(rh_producer *producer)
{
    rh_allocator allocator = producer->allocator;
    rh_cells_fini(&producer->cells);
    rh_story_drop(&producer->error, &allocator);
    allocator.free(allocator.user, producer, producer->memory);
}

void rh_producer_enter(rh_producer *producer)
{
    producer->inside++;
}

void rh_producer_leave(rh_producer *producer)
{
    producer->inside--;
    if (producer->destroyed && !producer->inside && rh_attachment_is_gone(&producer->attachment)) free_block(producer);
}

/** on_closed comes when the link is down and every send has been told. */
static void close_if_over(rh_producer *producer)
{
    if (!producer->down || producer->taken || producer->closed) return;
    producer->closed = producer->settled = true;
    if (producer->destroyed || producer->quiet || !producer->handler.on_closed) return;
    producer->handler.on_closed(producer->user, producer, producer->error.status ? rh_story_error(&producer->error) : NULL);
}

void rh_producer_drained(rh_producer *producer)
{
    if (producer->down) close_if_over(producer);
    else if (producer->closing) rh_attachment_close(&producer->attachment, producer->close_deadline);
}

void rh_producer_refresh(rh_producer *producer)
{
    producer->roomy = true;
    /* Inside a callback of ours on_ready is told at its end; otherwise by the timer, for a call must not call back. */
    if (producer->wants && !producer->inside) rh_producer_arm(producer, 0);
}

static void pay_ready(rh_producer *producer)
{
    if (!producer->wants || !producer->roomy || producer->destroyed || producer->closing || producer->down) return;
    producer->wants = false;
    if (producer->handler.on_ready) producer->handler.on_ready(producer->user, producer);
}

/* What waits can wait for another link just as well. */
static bool is_deaf(const rh_producer *producer)
{
    return producer->late && !producer->lost && !rh_sends_fly(producer);
}

void rh_producer_doubt(rh_producer *producer)
{
    if (!is_deaf(producer)) return;
    producer->deaf = true;
    rh_producer_arm(producer, 0);
}

static void renew_if_deaf(rh_producer *producer)
{
    bool deaf = producer->deaf && is_deaf(producer);
    producer->deaf = false;
    if (deaf && !producer->destroyed && !producer->closing && !producer->down) rh_attachment_renew(&producer->attachment);
}

rh_status rh_producer_again(rh_producer *producer)
{
    producer->wants = true;
    producer->roomy = false;
    if (!producer->taken) rh_producer_doubt(producer);
    return RH_AGAIN;
}

/* -- time ------------------------------------------------------------------------------------------ */

void rh_producer_arm(rh_producer *producer, rh_time at)
{
    if (at >= producer->armed || producer->destroyed) return;
    producer->armed = at;
    rh_timer_set(producer->loop, &producer->timer, at);
}

void rh_producer_look_later(rh_producer *producer)
{
    if (producer->look != RH_TIME_NEVER || producer->keeps) return;
    producer->look = rh_time_after(rh_loop_now(producer->loop), RH_CELLS_REST);
    rh_producer_arm(producer, producer->look);
}

static void look(rh_producer *producer, rh_time now)
{
    if (producer->look > now) return;
    producer->look = rh_cells_rest(&producer->cells) ? rh_time_after(now, RH_CELLS_REST) : RH_TIME_NEVER;
}

/** Deadlines mostly grow, so the timer is left where it was and looks around when it comes: a send costs no timer. */
static void arm_next(rh_producer *producer)
{
    for (rh_send *send = producer->first; send; send = send->next)
        rh_producer_arm(producer, send->state == RH_SEND_REFUSED ? 0 : send->deadline);
    if (producer->closing && producer->taken) rh_producer_arm(producer, producer->close_deadline);
    rh_producer_arm(producer, producer->look);
}

static void on_timer(void *user, rh_time now)
{
    rh_producer *producer = user;
    producer->armed = RH_TIME_NEVER;
    rh_producer_enter(producer);
    bool late = producer->closing && producer->close_deadline <= now;
    rh_sends_expire(producer, now, late);
    if (!producer->destroyed) rh_sends_go(producer);
    renew_if_deaf(producer);
    pay_ready(producer);
    look(producer, now);
    if (!producer->destroyed) arm_next(producer);
    rh_producer_leave(producer);
}

/* -- the link -------------------------------------------------------------------------------------- */

static rh_status attach(void *user, rh_session *session, void *link_user, rh_link **link)
{
    rh_producer *producer = user;
    uint8_t space[3 * RH_ADDRESS_MAX];
    rh_enc e = rh_enc_of(space, sizeof space);
    rh_link_opts opts = {
        .name = rh_str(producer->link_name), .snd_settle_mode = RH_SND_UNSETTLED, .rcv_settle_mode = RH_RCV_FIRST,
        .source = &(rh_amqp_source){ .address = rh_address_encode(&e, producer->name) },
        .target = &(rh_amqp_target){ .address = rh_address_encode(&e, producer->path) },
        .desired_capabilities = rh_capabilities_encode(&e, false),
    };
    return e.status ? e.status : rh_link_attach(session, &opts, link_user, link);
}

static void on_up(void *user, rh_link *link, const rh_amqp_attach *answer)
{
    rh_producer *producer = user;
    bool         first    = !producer->settled;
    (void)link, (void)answer;
    rh_producer_enter(producer);
    producer->settled = true;
    producer->lost    = false;
    if (first && !producer->quiet && producer->handler.on_open) producer->handler.on_open(producer->user, producer);
    if (!producer->destroyed) {
        rh_sends_go(producer);
        rh_producer_refresh(producer);
    }
    pay_ready(producer);
    rh_producer_leave(producer);
}

static void on_credit(void *user)
{
    rh_producer *producer = user;
    rh_sends_go(producer);
}

static void on_outcome(void *user, rh_delivery *delivery, const rh_outcome *outcome)
{
    rh_producer *producer = user;
    rh_producer_enter(producer);
    rh_sends_outcome(producer, delivery, outcome);
    pay_ready(producer);
    rh_producer_leave(producer);
}

static void on_lost(void *user, const rh_error *error)
{
    rh_producer *producer = user;
    (void)error;
    rh_producer_enter(producer);
    producer->lost = true;
    rh_sends_lost(producer);
    pay_ready(producer);
    rh_producer_leave(producer);
}

static void on_down(void *user, const rh_error *error)
{
    rh_producer *producer = user;
    rh_producer_enter(producer);
    producer->lost = false;
    producer->down = true;
    rh_story_keep(&producer->error, &producer->allocator, error);
    rh_sends_end(producer, error);
    rh_producer_leave(producer);
}

static void on_gone(void *user)
{
    rh_producer *producer = user;
    rh_producer_enter(producer);
    producer->down = true;
    rh_sends_gone(producer);
    rh_producer_leave(producer);
}

static const rh_attachment_handler handler = {
    .attach = attach, .on_up = on_up, .on_credit = on_credit, .on_outcome = on_outcome, .on_lost = on_lost,
    .on_down = on_down, .on_gone = on_gone,
};

/* -- open, close, destroy --------------------------------------------------------------------------- */

static rh_status read_opts(const rh_producer_opts *given, rh_producer_opts *opts)
{
    memset(opts, 0, sizeof *opts);
    if (given && given->size < offsetof(rh_producer_opts, partition) + sizeof opts->partition) return RH_E_ARGUMENT;
    if (given) memcpy(opts, given, given->size < sizeof *opts ? given->size : sizeof *opts);
    if (!opts->batch_bytes) opts->batch_bytes = DEFAULT_BATCH_BYTES;
    if (!opts->batches) opts->batches = DEFAULT_BATCHES;
    if (!opts->in_flight) opts->in_flight = DEFAULT_IN_FLIGHT;
    bool sane = opts->batch_bytes <= INT32_MAX && opts->batches <= 1024 && opts->in_flight <= IN_FLIGHT_MAX;
    if (opts->partition) sane = sane && *opts->partition && strlen(opts->partition) <= RH_PARTITION_ID_MAX;
    if (opts->name) sane = sane && strlen(opts->name) <= RH_HUB_NAME_MAX;
    return sane ? RH_OK : RH_E_ARGUMENT;
}

/** Slots: one for each send in flight, as many again for those told at their deadline and not yet let go. */
static uint32_t slot_count(const rh_producer_opts *opts)
{
    return 2 * opts->in_flight + 2;
}

static size_t pool_bytes(const rh_producer_opts *opts)
{
    return opts->batches * rh_cells_round(sizeof(rh_batch) + 4 * RH_KEY_CHARACTERS_MAX + opts->batch_bytes);
}

/* What lies behind the struct: slots, then texts. */
static size_t texts_bytes(const char *hub, const rh_producer_opts *opts)
{
    size_t name = opts->name ? strlen(opts->name) + 1 : 0;
    size_t path = rh_address_size(hub, NULL, opts->partition);
    return path + RH_ADDRESS_UNIQUE(path) + name;
}

static void lay_out(rh_producer *producer, const rh_producer_opts *opts)
{
    uint32_t slots = slot_count(opts);
    producer->sends = (rh_send *)(producer + 1);
    for (uint32_t i = 0; i < slots; i++) {
        producer->sends[i] = (rh_send){ .next = producer->free_sends };
        producer->free_sends = &producer->sends[i];
    }
    const char *hub = rh_client_hub(producer->client);
    size_t path = rh_address_size(hub, NULL, opts->partition);
    producer->path = (char *)(producer->sends + slots);
    producer->link_name = producer->path + path;
    producer->name = producer->link_name;
    rh_address_make(producer->path, hub, NULL, opts->partition);
    rh_address_unique(producer->link_name, producer->loop, producer->path);
    if (opts->name) producer->name = strcpy(producer->link_name + RH_ADDRESS_UNIQUE(path), opts->name);
    if (opts->partition) producer->partition = strrchr(producer->path, '/') + 1;
}

static rh_producer *make(rh_client *client, const rh_producer_opts *opts)
{
    size_t n = sizeof(rh_producer) + slot_count(opts) * sizeof(rh_send) + texts_bytes(rh_client_hub(client), opts);
    const rh_allocator *allocator = rh_client_allocator(client);
    rh_producer *producer = allocator->alloc(allocator->user, n);
    if (!producer) return NULL;
    *producer = (rh_producer){
        .client = client, .loop = rh_client_loop(client), .allocator = *allocator, .handler = opts->handler, .user = opts->user,
        .batch_bytes = opts->batch_bytes, .in_flight = opts->in_flight, .once = opts->once, .memory = n, .armed = RH_TIME_NEVER, .idle = true,
        .look = RH_TIME_NEVER, .keeps = opts->keep_memory,
    };
    producer->timer.fn = on_timer;
    producer->timer.user = producer;
    rh_cells_init(&producer->cells, pool_bytes(opts), &producer->allocator);
    lay_out(producer, opts);
    if (!producer->keeps || rh_cells_furnish(&producer->cells)) return producer;
    free_block(producer);
    return NULL;
}

static rh_status open_until(rh_client *client, const rh_producer_opts *given, rh_time deadline, bool quiet, rh_producer **out)
{
    *out = NULL;
    rh_producer_opts opts;
    rh_status status = read_opts(given, &opts);
    if (status) return status;
    rh_producer *producer = make(client, &opts);
    if (!producer) return RH_E_MEMORY;
    producer->quiet = quiet;
    status = rh_attachment_open(client, &producer->attachment, producer->path, opts.in_flight, &handler, producer, deadline);
    if (status) free_block(producer);
    else *out = producer;
    return status;
}

rh_status rh_producer_open(rh_client *client, const rh_producer_opts *opts, rh_producer **out)
{
    return open_until(client, opts, 0, false, out);
}

rh_status rh_producer_open_wait(rh_client *client, const rh_producer_opts *opts, rh_producer **out, uint32_t timeout_ms, rh_error *error)
{
    *out = NULL;
    rh_time deadline = rh_client_deadline(client, timeout_ms);
    rh_producer *producer = NULL;
    rh_status status = rh_loop_in_callback(rh_client_loop(client)) ? RH_E_REENTRANT : open_until(client, opts, deadline, true, &producer);
    if (!status) status = rh_client_wait(client, &producer->settled, deadline);
    if (!status && !producer->down) {
        producer->quiet = false;
        *out = producer;
        return RH_OK;
    }
    if (!status) status = rh_producer_end_status(producer);
    rh_error_of_wait(error, status, producer ? &producer->error : NULL, "the producer did not open: ");
    rh_producer_destroy(producer);
    return status;
}

void rh_producer_close(rh_producer *producer, rh_time deadline)
{
    if (producer->closing || producer->closed) return; /* down is not enough: a send whose answer is missing keeps it */
    producer->closing = true;
    producer->close_deadline = deadline ? deadline : rh_client_deadline(producer->client, 0);
    if (producer->taken) rh_producer_arm(producer, producer->close_deadline);
    else rh_producer_drained(producer);
}

rh_status rh_producer_close_wait(rh_producer *producer, uint32_t timeout_ms, rh_error *error)
{
    rh_status status = RH_OK;
    if (rh_loop_in_callback(producer->loop)) status = RH_E_REENTRANT;
    if (!status && !producer->closed) {
        rh_time deadline = rh_client_deadline(producer->client, timeout_ms);
        rh_producer_close(producer, deadline);
        status = rh_client_wait(producer->client, &producer->closed, deadline);
    }
    if (!status) status = producer->error.status;
    if (status) rh_error_of_wait(error, status, &producer->error, "the producer did not close: ");
    return status;
}

void rh_producer_destroy(rh_producer *producer)
{
    if (!producer || producer->destroyed) return;
    producer->destroyed = true;
    rh_timer_cancel(producer->loop, &producer->timer);
    if (!rh_attachment_is_gone(&producer->attachment)) rh_attachment_abandon(&producer->attachment);
    else if (!producer->inside) free_block(producer);
}

/* -- inspect ---------------------------------------------------------------------------------------- */

rh_status rh_producer_end_status(const rh_producer *producer)
{
    return producer->error.status ? producer->error.status : RH_E_CLOSED;
}

size_t rh_producer_max_bytes(const rh_producer *producer)
{
    rh_link *link = producer->down ? NULL : rh_attachment_link(&producer->attachment);
    if (!link) return 0;
    uint64_t theirs = rh_link_peer_max_message_size(link);
    return theirs && theirs < producer->batch_bytes ? (size_t)theirs : producer->batch_bytes;
}

rh_status rh_producer_admit(rh_producer *producer, size_t bytes)
{
    if (producer->closing || producer->down) return rh_producer_end_status(producer);
    size_t limit = rh_producer_max_bytes(producer);
    if (bytes > (limit ? limit : producer->batch_bytes)) return RH_E_TOO_BIG;
    if (producer->taken >= producer->in_flight || !producer->free_sends) return rh_producer_again(producer);
    return RH_OK;
}

bool rh_producer_is_open(const rh_producer *producer)
{
    return !producer->closing && !producer->down && rh_attachment_link(&producer->attachment);
}

uint32_t rh_producer_in_flight(const rh_producer *producer)
{
    return producer->taken;
}

const char *rh_producer_partition(const rh_producer *producer)
{
    return producer->partition;
}

const rh_error *rh_producer_error(const rh_producer *producer)
{
    return rh_story_error(&producer->error);
}
