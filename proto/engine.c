/**
 * engine.c: the arena, the five calls that turn the engine, and the telling of what was found out.
 */
#include "proto/engine.h"

/* [2.4.5] A peer may close when nothing arrives for its idle time-out. An empty frame after half of it
 * leaves room for one late heartbeat. Nobody gets them faster than this, whatever it announces. */
#define HEARTBEATS_PER_TIME_OUT 2u
#define HEARTBEAT_MIN           RH_MS(10)

/* [2.4.5] What we announce is half of what we bear, so that a peer may be a whole time-out late. */
#define TIME_OUTS_OF_SILENCE 2u

/* A peer that does not answer our close within this is not going to. */
#define CLOSE_WAIT RH_SECONDS(5)

/* -- slots ------------------------------------------------------------------------------------- */

void rh_pool_init(struct pool *pool, uint8_t *slots, size_t stride, uint32_t count)
{
    *pool = (struct pool){ .slots = slots, .stride = stride, .count = count };
    chain_init(&pool->free);
}

static struct slot *slot_use(struct slot *slot)
{
    chain_remove(&slot->free);
    slot->live = true;
    return slot;
}

static struct slot *slot_touch(struct pool *pool)
{
    if (pool->touched == pool->count) return NULL;
    struct slot *slot = pool_at(pool, pool->touched++);
    slot->generation  = 0;
    chain_init(&slot->free);
    return slot_use(slot);
}

void *rh_pool_take(struct pool *pool)
{
    struct chain *node = chain_first(&pool->free);
    return node ? slot_use(CHAIN_OWNER(node, struct slot, free)) : slot_touch(pool);
}

void *rh_pool_take_lowest(struct pool *pool)
{
    for (uint32_t i = 0; i < pool->touched; i++) {
        struct slot *slot = pool_at(pool, i);
        if (chain_is_in(&slot->free)) return slot_use(slot);
    }
    return slot_touch(pool);
}

void rh_pool_give(struct pool *pool, void *p)
{
    struct slot *slot = p;
    slot->live        = false;
    slot->generation  = (uint8_t)((slot->generation + 1) & (SLOT_ALIGN - 1));
    /* At the end: the longer a slot rests, the surer a stale handle is found out. */
    chain_push(&pool->free, &slot->free);
}

/* -- the arena --------------------------------------------------------------------------------- */

struct layout {
    size_t   ring, segments, sessions, links, deliveries, channels, n;
    size_t   session_stride, link_stride, delivery_stride;
    uint32_t segment_count;
};

/* The caller's options with defaults filled in; a shorter struct is one of an older release. */
static rh_engine_opts opts_filled(const rh_engine_opts *given)
{
    rh_engine_opts opts = { .size = 0 };
    memcpy(&opts, given, given->size < sizeof opts ? given->size : sizeof opts);
    if (opts.container_id.p == NULL) opts.container_id = rh_str("ringhub");
    if (opts.max_frame_size == 0) opts.max_frame_size = 65536;
    if (opts.idle_time_out_ms == 0) opts.idle_time_out_ms = 60000;
    if (opts.idle_time_out_ms == RH_NO_IDLE_TIME_OUT) opts.idle_time_out_ms = 0;
    if (opts.incoming_window == 0) opts.incoming_window = 2048;
    if (opts.sessions == 0) opts.sessions = 8;
    if (opts.links == 0) opts.links = 16;
    if (opts.deliveries == 0) opts.deliveries = 256;
    if (opts.output_bytes == 0) opts.output_bytes = 16384;
    if (opts.channel_max == 0 || opts.channel_max > opts.sessions - 1) opts.channel_max = (uint16_t)(opts.sessions - 1);
    return opts;
}

static bool opts_are_sane(const rh_engine_opts *opts)
{
    if (opts->output_bytes < 4096 || opts->output_bytes > UINT32_C(1) << 30) return false;
    if (opts->sessions > 32768 || opts->links >= GONE || opts->deliveries > UINT32_C(1) << 24) return false;
    /* Above a gigabyte the letters "AMQP" are the size of a frame. */
    bool framed = opts->max_frame_size >= MIN_MAX_FRAME_SIZE && opts->max_frame_size <= UINT32_C(1) << 30;
    return framed && opts->sasl <= RH_SASL_MSSBCBS;
}

static size_t rounded(size_t n)
{
    return (n + SLOT_ALIGN - 1) & ~(size_t)(SLOT_ALIGN - 1);
}

static uint32_t power_of_two_from(uint32_t n)
{
    uint32_t power = 64;
    while (power < n) power <<= 1;
    return power;
}

static struct layout layout_of(const rh_engine_opts *opts)
{
    struct layout l = { .segment_count   = power_of_two_from(opts->output_bytes / 64),
                        .session_stride  = rounded(sizeof(struct session)),
                        .link_stride     = rounded(sizeof(struct link)),
                        .delivery_stride = rounded(sizeof(struct delivery)) };
    l.ring       = rounded(sizeof(rh_engine));
    l.segments   = l.ring + rounded(opts->output_bytes);
    l.sessions   = l.segments + rounded(l.segment_count * sizeof(struct segment));
    l.links      = l.sessions + opts->sessions * l.session_stride;
    l.deliveries = l.links + opts->links * l.link_stride;
    /* One more than asked for: the delivery whose outcome is being told makes room for the next only afterwards. */
    l.channels = l.deliveries + (opts->deliveries + (size_t)1) * l.delivery_stride;
    l.n        = l.channels + rounded((opts->channel_max + (size_t)1) * sizeof(uint16_t)) + SLOT_ALIGN;
    return l;
}

size_t rh_engine_size(const rh_engine_opts *given)
{
    rh_engine_opts opts = opts_filled(given);
    return opts_are_sane(&opts) ? layout_of(&opts).n : 0;
}

static void engine_chains_init(rh_engine *engine)
{
    chain_init(&engine->due);
    chain_init(&engine->ready);
    chain_init(&engine->told);
    chain_init(&engine->dead_links);
    chain_init(&engine->dead_sessions);
}

static void engine_place(rh_engine *engine, const rh_engine_opts *opts, const struct layout *l)
{
    uint8_t *base = (uint8_t *)engine;
    struct segment *segments = (struct segment *)(void *)(base + l->segments);
    rh_output_init(&engine->out, base + l->ring, opts->output_bytes, segments, l->segment_count);
    rh_pool_init(&engine->sessions, base + l->sessions, l->session_stride, opts->sessions);
    rh_pool_init(&engine->links, base + l->links, l->link_stride, opts->links);
    rh_pool_init(&engine->deliveries, base + l->deliveries, l->delivery_stride, opts->deliveries + 1);
    engine->channels = (uint16_t *)(void *)(base + l->channels);
    for (size_t i = 0; i <= opts->channel_max; i++) engine->channels[i] = NONE;
}

/* Encoded once: the options' slices are the caller's and gone when a server is asked to open. */
static bool engine_encode_open(rh_engine *engine, const rh_engine_opts *opts)
{
    rh_amqp_open open = {
        .has            = RH_HAS_OPEN_MAX_FRAME_SIZE | RH_HAS_OPEN_CHANNEL_MAX,
        .container_id   = opts->container_id,
        .hostname       = opts->hostname,
        .max_frame_size = opts->max_frame_size,
        .channel_max    = opts->channel_max,
        .idle_time_out  = opts->idle_time_out_ms,
        .properties     = opts->properties,
    };
    if (opts->idle_time_out_ms) open.has |= RH_HAS_OPEN_IDLE_TIME_OUT;
    rh_enc e = rh_enc_of(engine->open, sizeof engine->open - RH_FRAME_HEADER);
    if (!rh_composite_encode(&e, RH_AMQP_OPEN, &open) || e.status) return false;
    engine->open_n = (uint16_t)rh_enc_size(&e);
    return true;
}

rh_engine *rh_engine_init(void *memory, size_t n, const rh_engine_opts *given, const rh_engine_handler *handler,
                          void *user)
{
    rh_engine_opts opts = opts_filled(given);
    if (!opts_are_sane(&opts)) return NULL;
    struct layout l = layout_of(&opts);
    if (memory == NULL || n < l.n) return NULL;

    size_t     skip   = (SLOT_ALIGN - (uintptr_t)memory % SLOT_ALIGN) % SLOT_ALIGN;
    rh_engine *engine = (rh_engine *)(void *)((uint8_t *)memory + skip);
    memset(engine, 0, sizeof *engine);
    engine->handler        = handler;
    engine->user           = user;
    engine->server         = opts.server;
    engine->pipeline       = opts.pipeline;
    engine->sasl           = opts.sasl;
    engine->channel_max    = opts.channel_max;
    engine->max_frame_size = opts.max_frame_size;
    engine->idle_ms        = opts.idle_time_out_ms;
    engine->window         = opts.incoming_window;
    engine->first_id       = opts.first_id;
    engine->close_by       = RH_TIME_NEVER;
    engine->peer           = (rh_engine_peer){ .channel_max = UINT16_MAX, .max_frame_size = MIN_MAX_FRAME_SIZE };
    engine_chains_init(engine);
    engine_place(engine, &opts, &l);
    if (!engine_encode_open(engine, &opts) || !rh_sasl_prepare(engine, &opts)) return NULL;
    rh_connection_start(engine);
    return engine;
}

/* -- telling ----------------------------------------------------------------------------------- */

static void tell_outcome(rh_engine *engine, struct delivery *delivery)
{
    const rh_engine_handler *handler = engine->handler;
    struct link             *link    = delivery->link;
    rh_outcome               outcome = { (rh_outcome_kind)delivery->kind, delivery->condition, delivery->description };
    link->deliveries--;
    chain_remove(&delivery->queue);
    /* The slot is given back after the call, which may still ask for the delivery's user; the link cannot go before. */
    if (handler->on_outcome) handler->on_outcome(engine->user, slot_handle(link), slot_handle(delivery), &outcome);
    rh_pool_give(&engine->deliveries, delivery);
    if (link->dying && !link->told && link->deliveries == 0) chain_push(&engine->dead_links, &link->dead);
}

static void tell_detach(rh_engine *engine, struct link *link)
{
    const rh_engine_handler *handler = engine->handler;
    struct session          *session = link->session;
    chain_remove(&link->dead);
    session->untold--;
    if (handler->on_detach) handler->on_detach(engine->user, slot_handle(link), link->gone_closed, &link->error);
    /* Only now: told and detached, the slot would have been free for a link that the call attached. */
    link->told      = true;
    link->slot.live = false;
    if (session->dying && !session->told && session->untold == 0) chain_push(&engine->dead_sessions, &session->dead);
    rh_link_reap(link);
}

static void tell_end(rh_engine *engine, struct session *session)
{
    chain_remove(&session->dead);
    if (engine->handler->on_end) engine->handler->on_end(engine->user, slot_handle(session), &session->error);
    session->told      = true;
    session->slot.live = false;
    rh_session_reap(session);
}

static void tell_close(rh_engine *engine)
{
    engine->over_told = true;
    if (engine->handler->on_close) engine->handler->on_close(engine->user, engine, &engine->error);
}

/* Outcomes before the end of their link, links before their session, sessions before the connection. Each
 * turn looks again from the start, because a callback may end anything. */
void rh_engine_tell(rh_engine *engine)
{
    for (;;) {
        struct chain *node;
        if ((node = chain_first(&engine->told))) tell_outcome(engine, CHAIN_OWNER(node, struct delivery, queue));
        else if ((node = chain_first(&engine->dead_links))) tell_detach(engine, CHAIN_OWNER(node, struct link, dead));
        else if ((node = chain_first(&engine->dead_sessions)))
            tell_end(engine, CHAIN_OWNER(node, struct session, dead));
        else if (engine->over && !engine->over_told) tell_close(engine);
        else return;
    }
}

static bool engine_owes(const rh_engine *engine)
{
    if (!chain_is_empty(&engine->told) || !chain_is_empty(&engine->dead_links)) return true;
    return !chain_is_empty(&engine->dead_sessions) || (engine->over && !engine->over_told);
}

void rh_engine_lose_all(rh_engine *engine, const rh_error *error)
{
    for (uint32_t i = 0; i < engine->sessions.touched; i++) {
        struct session *session = pool_at(&engine->sessions, i);
        if (session->slot.live) rh_session_die(session, error);
    }
}

void rh_engine_drop_queued(rh_engine *engine)
{
    for (uint32_t i = 0; i < engine->sessions.touched; i++) {
        struct session *session = pool_at(&engine->sessions, i);
        if (!session->slot.live) continue;
        CHAIN_EACH(node, &session->links) rh_deliveries_drop(CHAIN_OWNER(node, struct link, in_session), false);
    }
}

/* -- turning ----------------------------------------------------------------------------------- */

/* The engine learns of time from its arguments only, so its first one starts all clocks. */
static void clock_set(rh_engine *engine, rh_time now)
{
    if (!engine->clock_runs) engine->last_in = engine->last_out = now;
    engine->clock_runs = true;
    if (engine->close_waits && engine->close_by == RH_TIME_NEVER) engine->close_by = rh_time_after(now, CLOSE_WAIT);
}

size_t rh_engine_frame_size(const rh_engine *engine, const uint8_t *bytes, size_t n)
{
    if (engine->deaf || engine->state == CONN_END) return n;
    /* Told by the bytes alone, for a pipe measures frames before those in front of them were fed: "AMQP" is a size
     * that no frame has. */
    if (n < 4) return 0;
    uint32_t size = rh_get32(bytes);
    return size < 8 || size > engine->max_frame_size ? 8 : size;
}

size_t rh_engine_input(rh_engine *engine, const uint8_t *bytes, size_t n, rh_time now)
{
    if (engine->inside) return 0;
    engine->inside = true;
    clock_set(engine, now);
    size_t used = 0;
    while (used < n && rh_engine_wants_input(engine)) {
        size_t size = rh_connection_wants_header(engine) ? 8 : rh_engine_frame_size(engine, bytes + used, n - used);
        if (size == 0 || size > n - used) break;
        rh_connection_take(engine, rh_slice_of(bytes + used, size));
        used += size;
        engine->counts.bytes_in += size;
        rh_engine_tell(engine);
    }
    if (used > 0) engine->last_in = now;
    engine->inside = false;
    return used;
}

/** What sessions and links have to say beside transfers. False: not all of it found room. */
bool rh_engine_say_due(rh_engine *engine)
{
    struct chain *node;
    while (rh_connection_may_send(engine) && (node = chain_first(&engine->due))) {
        struct session *session = CHAIN_OWNER(node, struct session, due);
        if (!rh_session_say(session)) return false;
        chain_remove(node);
        rh_session_reap(session);
    }
    return true;
}

static bool engine_say(rh_engine *engine)
{
    return rh_engine_say_due(engine) && rh_connection_say_close(engine);
}

static bool may_cut(const rh_engine *engine, size_t max)
{
    const struct output *out = &engine->out;
    return !chain_is_empty(&engine->ready) && out->waiting < LENT_BYTES_MAX && out->last - out->first < max &&
           output_segments_left(out) > SEGMENTS_SPARE;
}

/* Links that can cut a frame take turns, a frame each, so that a long delivery does not hold up short ones. */
static void engine_cut(rh_engine *engine, size_t max)
{
    if (!rh_connection_may_send(engine)) return;
    while (may_cut(engine, max)) {
        struct link *link = CHAIN_OWNER(chain_first(&engine->ready), struct link, ready);
        chain_remove(&link->ready);
        bool cut = rh_delivery_cut(link);
        rh_link_refresh(link);
        if (!cut) return;
    }
}

size_t rh_engine_output(rh_engine *engine, rh_iov *iov, size_t max)
{
    if (engine->inside) return 0;
    if (engine_say(engine)) engine_cut(engine, max);
    engine_say(engine); /* a drained link answers when its last delivery was cut */
    return rh_output_pieces(&engine->out, iov, max);
}

void rh_engine_sent(rh_engine *engine, size_t n, rh_time now)
{
    if (engine->inside) return;
    clock_set(engine, now);
    engine->counts.bytes_out += n;
    engine->last_out = now;
    rh_output_sent(&engine->out, n);
}

static rh_time silence_deadline(const rh_engine *engine)
{
    if (engine->idle_ms == 0) return RH_TIME_NEVER;
    return rh_time_after(engine->last_in, RH_MS(engine->idle_ms) * TIME_OUTS_OF_SILENCE);
}

static rh_time heartbeat_deadline(const rh_engine *engine)
{
    if (engine->peer.idle_time_out_ms == 0 || !rh_connection_may_send(engine)) return RH_TIME_NEVER;
    rh_time every = RH_MS(engine->peer.idle_time_out_ms) / HEARTBEATS_PER_TIME_OUT;
    return rh_time_after(engine->last_out, every < HEARTBEAT_MIN ? HEARTBEAT_MIN : every);
}

void rh_engine_tick(rh_engine *engine, rh_time now)
{
    if (engine->inside) return;
    engine->inside = true;
    clock_set(engine, now);
    if (engine->state != CONN_END && now >= silence_deadline(engine))
        rh_connection_lost(engine, RH_E_PEER_SILENT, "nothing came within twice the idle time-out");
    if (engine->state != CONN_END && now >= engine->close_by) {
        if (!engine->over) rh_error_set(&engine->error, RH_E_TIMEOUT, NULL, "the peer did not answer the close");
        rh_connection_end(engine);
    }
    if (now >= heartbeat_deadline(engine)) {
        if (!rh_engine_wants_output(engine)) rh_output_heartbeat(engine);
        engine->last_out = now; /* what waits to leave is as good as a heartbeat; look again in a while */
    }
    rh_engine_tell(engine);
    engine->inside = false;
}

rh_time rh_engine_deadline(const rh_engine *engine)
{
    if (engine_owes(engine)) return 0;
    if (engine->state == CONN_END) return RH_TIME_NEVER;
    if (!engine->clock_runs || (engine->close_waits && engine->close_by == RH_TIME_NEVER)) return 0;
    rh_time at = silence_deadline(engine), heartbeat = heartbeat_deadline(engine);
    if (heartbeat < at) at = heartbeat;
    return engine->close_by < at ? engine->close_by : at;
}

bool rh_engine_wants_input(const rh_engine *engine)
{
    /* Bytes that wait for the peer's SASL outcome or open leave after more input, never before. */
    bool stuck = !rh_output_has_more(&engine->out);
    return stuck || engine->deaf || engine->state == CONN_END || rh_output_room(&engine->out) >= ANSWER_ROOM;
}

bool rh_engine_wants_output(const rh_engine *engine)
{
    if (rh_output_has_more(&engine->out) || engine->close_due) return true;
    return rh_connection_may_send(engine) && !(chain_is_empty(&engine->due) && chain_is_empty(&engine->ready));
}

void rh_engine_lost(rh_engine *engine, const rh_error *why)
{
    if (engine->inside) return;
    rh_status   status = why && why->status ? why->status : RH_E_CONNECTION_LOST;
    const char *words  = why && why->status ? why->description : "the stream ended before both sides had closed";
    rh_connection_lost(engine, status, words);
    engine->lost = true;
    rh_output_clear(&engine->out);
}

/* -- inspecting -------------------------------------------------------------------------------- */

rh_engine_phase rh_engine_phase_of(const rh_engine *engine)
{
    static const uint8_t phase[CONN_STATES] = {
        [CONN_OPENED]     = RH_ENGINE_OPENED,
        [CONN_OC_PIPE]    = RH_ENGINE_CLOSING,
        [CONN_CLOSE_PIPE] = RH_ENGINE_CLOSING,
        [CONN_CLOSE_RCVD] = RH_ENGINE_CLOSING,
        [CONN_CLOSE_SENT] = RH_ENGINE_CLOSING,
        [CONN_DISCARDING] = RH_ENGINE_CLOSING,
        [CONN_END]        = RH_ENGINE_CLOSED,
    };
    return (rh_engine_phase)phase[engine->state];
}

bool rh_engine_is_closed(const rh_engine *engine)
{
    return engine->state == CONN_END;
}

const rh_error *rh_engine_error(const rh_engine *engine)
{
    return &engine->error;
}

rh_engine_peer rh_engine_peer_of(const rh_engine *engine)
{
    return engine->peer;
}

rh_engine_counts rh_engine_counts_of(const rh_engine *engine)
{
    return engine->counts;
}

void *rh_engine_user(const rh_engine *engine)
{
    return engine->user;
}

void rh_engine_set_user(rh_engine *engine, void *user)
{
    engine->user = user;
}
