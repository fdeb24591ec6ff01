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

/* An owner that had no room to lend for output is asked again after this. */
#define STARVED_WAIT RH_MS(10)

/* What an engine announces that gets its sessions later. */
#define CHANNEL_MAX_OF_LOANS 255u

/* A peer that does not answer our close within this is not going to. */
#define CLOSE_WAIT RH_SECONDS(5)

/* -- the arena --------------------------------------------------------------------------------- */

struct layout {
    size_t          room, bits, open, slots, n;
    size_t          open_n;
    rh_engine_slots counts;
};

static uint32_t count_of(uint32_t given, uint32_t fallback)
{
    return given == RH_NO_SLOTS ? 0 : given ? given : fallback;
}

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
    if (opts.sessions == RH_NO_SLOTS && opts.channel_max == 0) opts.channel_max = CHANNEL_MAX_OF_LOANS;
    opts.sessions   = count_of(opts.sessions, 8);
    opts.links      = count_of(opts.links, 16);
    opts.deliveries = count_of(opts.deliveries, 256);
    if (opts.output_bytes == 0) opts.output_bytes = 16384;
    if (opts.channel_max == 0) opts.channel_max = (uint16_t)(opts.sessions - 1);
    return opts;
}

static bool opts_are_sane(const rh_engine_opts *opts)
{
    if (opts->output_bytes < 4096 || opts->output_bytes > UINT32_C(1) << 30) return false;
    rh_engine_slots slots = { .sessions = opts->sessions, .links = opts->links, .deliveries = opts->deliveries };
    if (!rh_slots_are_sane(&slots)) return false;
    /* Above a gigabyte the letters "AMQP" are the size of a frame. */
    bool framed = opts->max_frame_size >= MIN_MAX_FRAME_SIZE && opts->max_frame_size <= UINT32_C(1) << 30;
    return framed && opts->sasl <= RH_SASL_MSSBCBS;
}

/* Encoded once: the options' slices are the caller's and gone when a server is asked to open. */
static size_t open_encode(const rh_engine_opts *opts, uint8_t *room, size_t n)
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
    rh_enc e = rh_enc_of(room, n);
    return rh_composite_encode(&e, RH_AMQP_OPEN, &open) && !e.status ? rh_enc_size(&e) : 0;
}

/* A client says its open at once and need not keep it. */
static struct layout layout_of(const rh_engine_opts *opts, size_t open_n)
{
    /* One more than asked for: the delivery whose outcome is being told makes room for the next only afterwards. */
    struct layout l = { .open_n = open_n,
                        .counts = { .sessions = opts->sessions, .links = opts->links, .deliveries = opts->deliveries + 1, .text = LINK_TEXT_MAX } };
    l.room  = slot_rounded(sizeof(rh_engine));
    l.bits  = l.room + (opts->output_lent ? 0 : slot_rounded(rh_output_size(opts->output_bytes)));
    l.open  = l.bits + 2 * (opts->channel_max / 8u + 1);
    l.slots = slot_rounded(l.open + (opts->server ? open_n : 0));
    l.n     = l.slots + rh_loan_size(&l.counts) + SLOT_ALIGN;
    return l;
}

size_t rh_engine_size(const rh_engine_opts *given)
{
    rh_engine_opts opts = opts_filled(given);
    uint8_t        open[MIN_MAX_FRAME_SIZE];
    if (!opts_are_sane(&opts)) return 0;
    return layout_of(&opts, open_encode(&opts, open, sizeof open)).n;
}

static void engine_chains_init(rh_engine *engine)
{
    chain_init(&engine->loans);
    chain_init(&engine->begun);
    chain_init(&engine->due);
    chain_init(&engine->ready);
    chain_init(&engine->told);
    chain_init(&engine->dead_links);
    chain_init(&engine->dead_sessions);
    rh_pool_init(&engine->sessions);
    rh_pool_init(&engine->links);
    rh_pool_init(&engine->deliveries);
}

static void engine_place(rh_engine *engine, const rh_engine_opts *opts, const struct layout *l)
{
    uint8_t *base     = (uint8_t *)engine;
    size_t   bitmap_n = opts->channel_max / 8u + 1;
    rh_output_init(&engine->out, opts->output_bytes, opts->output_lent ? NULL : base + l->room);
    memset(base + l->bits, 0, 2 * bitmap_n);
    engine->channels_used  = base + l->bits;
    engine->channels_heard = base + l->bits + bitmap_n;
    rh_loan_enter(engine, (struct loan *)(void *)(base + l->slots), &l->counts);
}

static void engine_options(rh_engine *engine, const rh_engine_opts *opts)
{
    engine->server         = opts->server;
    engine->pipeline       = opts->pipeline;
    engine->sasl           = opts->sasl;
    engine->channel_max    = opts->channel_max;
    engine->max_frame_size = opts->max_frame_size;
    engine->idle_ms        = opts->idle_time_out_ms;
    engine->window         = opts->incoming_window;
    engine->first_id       = opts->first_id;
    engine->close_by       = RH_TIME_NEVER;
    engine->peer           = (rh_engine_peer){ .channel_max = UINT16_MAX, .max_frame_size = MIN_MAX_FRAME_SIZE };
}

/* A server's open waits in the arena for the peer's; a client says all it has to say now. */
static bool engine_start(rh_engine *engine, const rh_engine_opts *opts, uint8_t *place, rh_slice open)
{
    engine->open = open;
    if (!rh_sasl_prepare(engine, opts)) return false;
    if (!opts->server) return rh_connection_start(engine);
    memcpy(place, open.p, open.n);
    engine->open = rh_slice_of(place, open.n);
    return true;
}

rh_engine *rh_engine_init(void *memory, size_t n, const rh_engine_opts *given, const rh_engine_handler *handler,
                          void *user)
{
    rh_engine_opts opts = opts_filled(given);
    uint8_t        open[MIN_MAX_FRAME_SIZE];
    if (!opts_are_sane(&opts)) return NULL;
    size_t        open_n = open_encode(&opts, open, sizeof open - RH_FRAME_HEADER);
    struct layout l      = layout_of(&opts, open_n);
    if (memory == NULL || n < l.n || open_n == 0) return NULL;

    rh_engine *engine = slot_aligned(memory);
    memset(engine, 0, sizeof *engine);
    engine->handler = handler;
    engine->user    = user;
    engine_options(engine, &opts);
    engine_chains_init(engine);
    engine_place(engine, &opts, &l);
    if (engine_start(engine, &opts, (uint8_t *)engine + l.open, rh_slice_of(open, open_n))) return engine;
    rh_output_clear(engine);
    return NULL;
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
    rh_error error;
    rh_link_error(link, &error);
    if (handler->on_detach) handler->on_detach(engine->user, slot_handle(link), link->gone_closed, &error);
    /* Only now: told and detached, the slot would have been free for a link that the call attached. */
    link->told      = true;
    link->slot.live = false;
    if (session->dying && !session->told && session->untold == 0) chain_push(&engine->dead_sessions, &session->dead);
    rh_link_reap(link);
}

static void tell_end(rh_engine *engine, struct session *session)
{
    rh_error error;
    chain_remove(&session->dead);
    rh_session_error(session, &error);
    if (engine->handler->on_end) engine->handler->on_end(engine->user, slot_handle(session), &error);
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

void rh_engine_lose_all(rh_engine *engine)
{
    CHAIN_EACH(node, &engine->begun) rh_session_die(CHAIN_OWNER(node, struct session, in_engine), true);
}

void rh_engine_drop_queued(rh_engine *engine)
{
    CHAIN_EACH(node, &engine->begun)
    {
        struct session *session = CHAIN_OWNER(node, struct session, in_engine);
        CHAIN_EACH(inner, &session->links) rh_deliveries_drop(CHAIN_OWNER(inner, struct link, in_session), false);
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
    (void)rh_output_borrow(engine); /* without room for answers nothing is wanted */
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
    rh_output_give_back(engine);
    engine->inside = false;
    return used;
}

/** What sessions and links have to say beside transfers. False: not all of it found room. */
bool rh_engine_say_due(rh_engine *engine)
{
    struct chain *node;
    while (connection_may_send(engine) && (node = chain_first(&engine->due))) {
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

/* It goes behind the others that can cut a frame, or where it waits until it can. */
static void turn_over(struct link *link)
{
    bool can = !chain_is_empty(&link->queue) && link->credit > 0 && link->session->remote_window > 0;
    if (can && chain_is_alone(&link->ready)) return;
    chain_remove(&link->ready);
    rh_link_refresh(link);
}

/* Links that can cut a frame take turns, a frame each, so that a long delivery does not hold up short ones. */
static void engine_cut(rh_engine *engine, size_t max)
{
    if (!connection_may_send(engine)) return;
    if (chain_is_empty(&engine->ready) || !rh_output_borrow(engine)) return;
    while (may_cut(engine, max)) {
        struct link *link = CHAIN_OWNER(chain_first(&engine->ready), struct link, ready);
        bool         cut  = rh_delivery_cut(link);
        turn_over(link);
        if (!cut) return;
    }
}

size_t rh_engine_output(rh_engine *engine, rh_iov *iov, size_t max)
{
    if (engine->inside) return 0;
    if (engine_say(engine)) engine_cut(engine, max);
    engine_say(engine); /* a drained link answers when its last delivery was cut */
    rh_output_give_back(engine);
    return rh_output_pieces(&engine->out, iov, max);
}

void rh_engine_sent(rh_engine *engine, size_t n, rh_time now)
{
    if (engine->inside) return;
    clock_set(engine, now);
    engine->counts.bytes_out += n;
    engine->last_out = now;
    rh_output_sent(engine, n);
}

static rh_time silence_deadline(const rh_engine *engine)
{
    if (engine->idle_ms == 0) return RH_TIME_NEVER;
    return rh_time_after(engine->last_in, RH_MS(engine->idle_ms) * TIME_OUTS_OF_SILENCE);
}

static rh_time heartbeat_deadline(const rh_engine *engine)
{
    if (engine->peer.idle_time_out_ms == 0 || !connection_may_send(engine)) return RH_TIME_NEVER;
    rh_time every = RH_MS(engine->peer.idle_time_out_ms) / HEARTBEATS_PER_TIME_OUT;
    return rh_time_after(engine->last_out, every < HEARTBEAT_MIN ? HEARTBEAT_MIN : every);
}

void rh_engine_tick(rh_engine *engine, rh_time now)
{
    if (engine->inside) return;
    engine->inside = true;
    clock_set(engine, now);
    if (engine->out.starved && !rh_output_borrow(engine)) engine->out.ask_at = rh_time_after(now, STARVED_WAIT);
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
    rh_output_give_back(engine);
    engine->inside = false;
}

rh_time rh_engine_deadline(const rh_engine *engine)
{
    if (engine_owes(engine)) return 0;
    if (engine->state == CONN_END) return RH_TIME_NEVER;
    if (!engine->clock_runs || (engine->close_waits && engine->close_by == RH_TIME_NEVER)) return 0;
    rh_time at = silence_deadline(engine), heartbeat = heartbeat_deadline(engine);
    if (heartbeat < at) at = heartbeat;
    if (engine->out.starved && engine->out.ask_at < at) at = engine->out.ask_at;
    return engine->close_by < at ? engine->close_by : at;
}

bool rh_engine_wants_input(const rh_engine *engine)
{
    if (engine->deaf || engine->state == CONN_END) return true;
    if (engine->out.starved) return false;
    /* Bytes that wait for the peer's SASL outcome or open leave after more input, never before. */
    bool stuck = !rh_output_has_more(&engine->out);
    return stuck || rh_output_room(&engine->out) >= ANSWER_ROOM;
}

bool rh_engine_wants_output(const rh_engine *engine)
{
    if (rh_output_has_more(&engine->out) || engine->close_due) return true;
    return connection_may_send(engine) && !(chain_is_empty(&engine->due) && chain_is_empty(&engine->ready));
}

void rh_engine_lost(rh_engine *engine, const rh_error *why)
{
    if (engine->inside) return;
    rh_status   status = why && why->status ? why->status : RH_E_CONNECTION_LOST;
    const char *words  = why && why->status ? why->description : "the stream ended before both sides had closed";
    rh_connection_lost(engine, status, words);
    engine->lost = true;
    rh_output_clear(engine);
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
