/**
 * session.c: begin and end, the windows of transfers, and the dispositions [2.5, 2.7.6].
 */
#include "proto/engine.h"

/* What we announce to send at most before we hear of it. We keep to the peer's window, so it says nothing. */
#define OUTGOING_WINDOW 0x7fffffffu

/* -- the tables -------------------------------------------------------------------------------- */

#define NO 0xff

enum session_event { WE_BEGIN, THEY_BEGIN, WE_END, WE_FAIL, THEY_END, SESSION_EVENTS };

#define UNMAPPED   SESSION_UNMAPPED
#define BEGIN_SENT SESSION_BEGIN_SENT
#define BEGIN_RCVD SESSION_BEGIN_RCVD
#define MAPPED     SESSION_MAPPED
#define END_SENT   SESSION_END_SENT
#define DISCARDING SESSION_DISCARDING
#define END_RCVD   SESSION_END_RCVD

/* [2.5.5] what the next event makes of a session; NO is the peer's mistake, or ours. An end that we ask for
 * before the peer has answered our begin waits for that answer. */
static const uint8_t session_next[SESSION_STATES][SESSION_EVENTS] = {
    /*               we begin    they begin  we end      we fail     they end */
    [UNMAPPED]   = { BEGIN_SENT, BEGIN_RCVD, NO,         NO,         NO       },
    [BEGIN_SENT] = { NO,         MAPPED,     NO,         NO,         NO       },
    [BEGIN_RCVD] = { MAPPED,     NO,         NO,         NO,         NO       },
    [MAPPED]     = { NO,         NO,         END_SENT,   DISCARDING, END_RCVD },
    [END_SENT]   = { NO,         NO,         NO,         NO,         UNMAPPED },
    [DISCARDING] = { NO,         NO,         NO,         NO,         UNMAPPED },
    [END_RCVD]   = { NO,         NO,         UNMAPPED,   UNMAPPED,   NO       },
};

/* What a session takes of the performatives between begin and close: T take, I ignore, for what crosses our end
 * is late and not wrong. In the states that are not here it has no incoming channel, so nothing finds it. */
enum { I, T };

static const uint8_t admits[SESSION_STATES][RH_AMQP_END - RH_AMQP_BEGIN] = {
    /*               attach flow transfer disposition detach end */
    [MAPPED]     = { T,     T,   T,       T,          T,     T },
    [END_SENT]   = { I,     I,   I,       T,          I,     T },
    [DISCARDING] = { I,     I,   I,       I,          I,     T },
};

/* An end that has been decided counts as said while it waits for room in the output. */
static uint8_t state_for_input(const struct session *session)
{
    if (session->dying) return DISCARDING;
    return session->end_due ? (uint8_t)END_SENT : session->state;
}

static bool step(struct session *session, enum session_event event)
{
    uint8_t next = session_next[session->state][event];
    if (next == NO) return false;
    session->state = next;
    return true;
}

/* -- slots and channels ------------------------------------------------------------------------ */

static struct session *session_take_slot(rh_engine *engine)
{
    uint32_t        channel = bit_lowest_clear(engine->channels_used, engine->channel_max);
    struct session *s       = channel <= engine->channel_max ? rh_pool_take(&engine->sessions, SESSION_TEXT) : NULL;
    if (s == NULL) return NULL;
    memset((uint8_t *)s + sizeof s->slot, 0, sizeof *s - sizeof s->slot);
    s->engine  = engine;
    s->channel = (uint16_t)channel;
    bit_set(engine->channels_used, channel);
    chain_init(&s->in_engine);
    chain_init(&s->due);
    chain_init(&s->dead);
    chain_init(&s->links);
    chain_init(&s->due_links);
    chain_init(&s->blocked);
    chain_init(&s->unsettled);
    s->handle_max       = HANDLES - 1;
    s->peer_handle_max  = HANDLES - 1;
    s->window           = engine->window;
    s->next_outgoing_id = s->initial_outgoing_id = s->next_delivery_id = engine->first_id;
    chain_push(&engine->begun, &s->in_engine);
    return s;
}

static void session_give_slot(struct session *session)
{
    bit_clear(session->engine->channels_used, session->channel);
    chain_remove(&session->in_engine);
    chain_remove(&session->due);
    rh_pool_give(&session->engine->sessions, session);
}

static struct session *session_by_channel(const rh_engine *engine, uint16_t channel)
{
    struct session *session = engine->by_channel[channel % CHANNEL_WAYS];
    while (session && session->in_channel != channel) session = session->next_by_channel;
    return session;
}

static void session_map(struct session *session, uint16_t channel)
{
    struct session **way     = &session->engine->by_channel[channel % CHANNEL_WAYS];
    session->in_channel      = channel;
    session->has_in          = true;
    session->next_by_channel = *way;
    *way                     = session;
    bit_set(session->engine->channels_heard, channel);
}

static void session_unmap(struct session *session)
{
    struct session **at = &session->engine->by_channel[session->in_channel % CHANNEL_WAYS];
    if (!session->has_in) return;
    while (*at != session) at = &(*at)->next_by_channel;
    *at             = session->next_by_channel;
    session->has_in = false;
}

/** Gives the slot back once nobody needs it: told, ended on both sides, without links. */
void rh_session_reap(struct session *session)
{
    if (!session->told || session->state != UNMAPPED || session->end_due || !chain_is_empty(&session->links)) return;
    session_give_slot(session);
}

/* -- begin ------------------------------------------------------------------------------------- */

static rh_status say_begin(struct session *session, const uint16_t *remote_channel)
{
    rh_amqp_begin begin = {
        .has              = RH_HAS_BEGIN_NEXT_OUTGOING_ID | RH_HAS_BEGIN_INCOMING_WINDOW | RH_HAS_BEGIN_OUTGOING_WINDOW |
                            RH_HAS_BEGIN_HANDLE_MAX,
        .next_outgoing_id = session->next_outgoing_id,
        .incoming_window  = session->window,
        .outgoing_window  = OUTGOING_WINDOW,
        .handle_max       = session->handle_max,
    };
    if (remote_channel) {
        begin.has |= RH_HAS_BEGIN_REMOTE_CHANNEL;
        begin.remote_channel = *remote_channel;
    }
    rh_status status = rh_output_frame(session->engine, session->channel, RH_AMQP_BEGIN, &begin);
    if (status) return status;
    session->incoming_window = session->window;
    step(session, WE_BEGIN);
    return RH_OK;
}

rh_status rh_session_begin(rh_engine *engine, const rh_session_opts *opts, void *user, rh_session **out)
{
    if (!connection_may_send(engine)) return RH_E_STATE;
    struct session *session = session_take_slot(engine);
    if (session == NULL) return RH_E_LIMIT;
    if (opts && opts->incoming_window) session->window = opts->incoming_window;
    if (opts && opts->handle_max && opts->handle_max < session->handle_max) session->handle_max = opts->handle_max;
    session->user    = user;
    rh_status status = session->channel > engine->peer.channel_max ? RH_E_LIMIT : say_begin(session, NULL);
    if (status) session_give_slot(session);
    else *out = slot_handle(session);
    return status;
}

static void begin_fields(struct session *session, const rh_amqp_begin *begin)
{
    session->next_incoming_id = begin->next_outgoing_id;
    session->remote_window    = begin->incoming_window;
    session->peer_handle_max  = begin->handle_max < HANDLES - 1 ? begin->handle_max : HANDLES - 1;
}

static struct session *session_by_our_channel(rh_engine *engine, uint16_t channel)
{
    CHAIN_EACH(node, &engine->begun)
    {
        struct session *session = CHAIN_OWNER(node, struct session, in_engine);
        if (session->channel == channel) return session;
    }
    return NULL;
}

static void begin_answered(rh_engine *engine, uint16_t channel, const rh_amqp_begin *begin)
{
    struct session *session = session_by_our_channel(engine, begin->remote_channel);
    if (session == NULL || session->state != BEGIN_SENT) {
        rh_connection_fail(engine, RH_E_NOT_ALLOWED, "a begin answers a channel on which none was asked for");
        return;
    }
    begin_fields(session, begin);
    session_map(session, channel);
    step(session, THEY_BEGIN);
    rh_session_due(session);         /* what waited for this answer, an end perhaps */
    if (session->end_due) return; /* its owner wants no more of it */
    CHAIN_EACH(node, &session->links) rh_link_refresh(CHAIN_OWNER(node, struct link, in_session));
    if (engine->handler->on_begin) engine->handler->on_begin(engine->user, slot_handle(session));
}

static void begin_asked(rh_engine *engine, uint16_t channel, const rh_amqp_begin *begin)
{
    struct session *session = session_take_slot(engine);
    if (session == NULL) {
        rh_connection_fail(engine, RH_E_LIMIT, "no more sessions here");
        return;
    }
    begin_fields(session, begin);
    step(session, THEY_BEGIN);
    if (session->channel > engine->peer.channel_max || say_begin(session, &channel) != RH_OK) {
        session_give_slot(session); /* nobody was told of it, so nobody is told of its end */
        rh_connection_fail(engine, RH_E_LIMIT, "no channel for the answer");
        return;
    }
    session_map(session, channel);
    if (engine->handler->on_begin) engine->handler->on_begin(engine->user, slot_handle(session));
}

void rh_session_take_begin(rh_engine *engine, uint16_t channel, rh_slice body)
{
    rh_amqp_begin begin;
    if (!rh_connection_decode(engine, RH_AMQP_BEGIN, body, &begin)) return;
    if (session_by_channel(engine, channel)) rh_connection_fail(engine, RH_E_PROTOCOL, "a begin on a channel that is in use");
    else if (begin.has & RH_HAS_BEGIN_REMOTE_CHANNEL) begin_answered(engine, channel, &begin);
    else begin_asked(engine, channel, &begin);
}

/* -- end --------------------------------------------------------------------------------------- */

/** What its owner is told. */
void rh_session_error(const struct session *session, rh_error *out)
{
    if (session->inherits) *out = session->engine->error;
    else rh_reason_tell(&session->reason, out);
}

static void keep_reason(struct session *session)
{
    rh_reason_keep(&session->reason, session->text, session->slot.text_n);
}

/** Every link of it dies, then it: told by rh_engine_tell(). Inherits: because the connection does. */
void rh_session_die(struct session *session, bool inherits)
{
    if (session->dying) return;
    session->dying    = true;
    session->inherits = inherits;
    CHAIN_EACH(node, &session->links) rh_link_cut_off(CHAIN_OWNER(node, struct link, in_session));
    if (session->untold == 0) chain_push(&session->engine->dead_sessions, &session->dead);
}

rh_status rh_session_end(rh_session *handle, const char *condition, const char *description)
{
    struct session *session = slot_of(handle);
    if (session == NULL || session->dying || session->end_due) return RH_E_STATE;
    if (session->state != MAPPED && session->state != BEGIN_SENT) return RH_E_STATE;
    session->reason    = rh_reason_of_caller(condition, description);
    session->say_error = condition != NULL;
    session->end_due   = true;
    keep_reason(session);
    CHAIN_EACH(node, &session->links) rh_deliveries_drop(CHAIN_OWNER(node, struct link, in_session), false);
    rh_session_due(session);
    return RH_OK;
}

/** The peer broke a rule of the session: end it with the condition that says which [2.5.3]. */
void rh_session_fail(struct session *session, rh_status status, const char *words)
{
    if (session->state != MAPPED || session->dying) return;
    session->reason    = rh_reason_of_fault(status, words);
    session->say_error = true;
    session->end_due   = true;
    rh_session_due(session);
    rh_session_die(session, false);
}

static void take_end(struct session *session, rh_slice body)
{
    rh_amqp_end end;
    if (!rh_connection_decode(session->engine, RH_AMQP_END, body, &end)) return;
    if (!session->dying) session->reason = rh_reason_of_peer(end.error);
    session->say_error = false;
    if (session->state == MAPPED) session->end_due = true; /* ours is the answer, or was on its way already */
    step(session, THEY_END);
    session_unmap(session);
    if (session->end_due) rh_session_due(session);
    rh_session_die(session, false);
    if (!session->told && rh_output_lends(&session->engine->out, session, NULL)) keep_reason(session);
    rh_session_reap(session);
}

/* False: no room. While our begin waits for its answer the end waits too. Its words are ours or what a slot keeps, so the smallest
 * frame takes them. */
_Static_assert(SESSION_TEXT < MIN_MAX_FRAME_SIZE / 2, "the error of an end fits every peer's frames");

static bool say_end(struct session *session)
{
    if (!session->end_due || session->state == BEGIN_SENT) return true;
    uint8_t     room[700];
    rh_amqp_end end = { .has = 0 };
    if (session->say_error) end.error = rh_error_encode(&session->reason, room, sizeof room);
    if (rh_output_frame(session->engine, session->channel, RH_AMQP_END, &end) != RH_OK) return false;
    session->end_due = false;
    step(session, session->say_error ? WE_FAIL : WE_END);
    return true;
}

/* -- windows ----------------------------------------------------------------------------------- */

/** The fields of a flow that belong to the session [2.7.4]. */
void rh_session_flow_fields(struct session *session, rh_amqp_flow *flow)
{
    flow->has |= RH_HAS_FLOW_INCOMING_WINDOW | RH_HAS_FLOW_NEXT_OUTGOING_ID | RH_HAS_FLOW_OUTGOING_WINDOW;
    if (session->has_in) flow->has |= RH_HAS_FLOW_NEXT_INCOMING_ID;
    session->incoming_window = session->window;
    session->flow_due        = false;
    flow->next_incoming_id   = session->next_incoming_id;
    flow->incoming_window    = session->incoming_window;
    flow->next_outgoing_id   = session->next_outgoing_id;
    flow->outgoing_window    = OUTGOING_WINDOW;
}

static bool say_flow(struct session *session)
{
    if (!session->flow_due) return true;
    rh_amqp_flow flow = { .has = 0 };
    rh_session_flow_fields(session, &flow);
    session->flow_due = rh_output_frame(session->engine, session->channel, RH_AMQP_FLOW, &flow) != RH_OK;
    return !session->flow_due;
}

static void take_flow(struct session *session, rh_slice body)
{
    rh_amqp_flow flow;
    if (!rh_connection_decode(session->engine, RH_AMQP_FLOW, body, &flow)) return;
    /* [2.5.6] what the peer can still take; transfers that it had not seen when it wrote count against it. */
    bool     told          = flow.has & RH_HAS_FLOW_NEXT_INCOMING_ID;
    uint32_t seen          = told ? flow.next_incoming_id : session->initial_outgoing_id;
    uint32_t in_flight     = rh_serial_ahead(seen, session->next_outgoing_id);
    session->remote_window = flow.incoming_window > in_flight ? flow.incoming_window - in_flight : 0;
    if (session->remote_window > 0)
        CHAIN_EACH(node, &session->blocked)
        {
            struct link *link = CHAIN_OWNER(node, struct link, ready);
            chain_remove(node);
            rh_link_refresh(link);
        }
    if (flow.has & RH_HAS_FLOW_HANDLE) {
        rh_link_take_flow(session, &flow);
    } else if (flow.echo) {
        session->flow_due = true;
        rh_session_due(session);
    }
}

/** A transfer frame came. False: the peer had no window for it [2.5.6]. */
bool rh_session_count_transfer(struct session *session)
{
    if (session->incoming_window == 0) return false;
    session->incoming_window--;
    session->next_incoming_id++;
    if (session->incoming_window <= session->window / 2 && !session->flow_due) {
        session->flow_due = true;
        rh_session_due(session);
    }
    return true;
}

/* -- dispositions ------------------------------------------------------------------------------ */

static rh_slice state_encoded(uint8_t kind, rh_slice error, uint8_t *room, size_t n)
{
    rh_enc           e        = rh_enc_of(room, n);
    rh_amqp_modified modified = { .has = 0 };
    rh_amqp_rejected rejected = { .error = error };
    switch (kind) {
    case RH_ACCEPTED: rh_composite_encode(&e, RH_AMQP_ACCEPTED, &(rh_amqp_accepted){ .has = 0 }); break;
    case RH_REJECTED: rh_composite_encode(&e, RH_AMQP_REJECTED, &rejected); break;
    case RH_RELEASED: rh_composite_encode(&e, RH_AMQP_RELEASED, &(rh_amqp_released){ .has = 0 }); break;
    case RH_MODIFIED: rh_composite_encode(&e, RH_AMQP_MODIFIED, &modified); break;
    default: return rh_slice_of(NULL, 0);
    }
    return e.status ? rh_slice_of(NULL, 0) : rh_enc_written(&e);
}

static rh_status say_disposition(struct session *session, const struct settling *what, rh_slice error)
{
    uint8_t             room[800];
    rh_amqp_disposition disposition = {
        .has     = RH_HAS_DISPOSITION_ROLE | RH_HAS_DISPOSITION_FIRST | RH_HAS_DISPOSITION_LAST |
                   RH_HAS_DISPOSITION_SETTLED,
        .role    = what->role,
        .first   = what->first,
        .last    = what->last,
        .settled = true,
        .state   = state_encoded(what->kind, error, room, sizeof room),
    };
    rh_status status = rh_output_frame(session->engine, session->channel, RH_AMQP_DISPOSITION, &disposition);
    if (status != RH_E_TOO_BIG) return status;
    /* The verdict matters more than its words. */
    disposition.state = state_encoded(what->kind, rh_slice_of(NULL, 0), room, sizeof room);
    return rh_output_frame(session->engine, session->channel, RH_AMQP_DISPOSITION, &disposition);
}

static bool say_settling(struct session *session)
{
    struct settling *settling = &session->settling;
    if (settling->due && say_disposition(session, settling, rh_slice_of(NULL, 0)) != RH_OK) return false;
    settling->due = false;
    return true;
}

/** Settles first..last; waits for output, in case the next one continues the range. */
rh_status rh_session_settle(struct session *session, const struct settling *what, rh_slice error)
{
    struct settling *settling = &session->settling;
    bool             alike    = settling->due && settling->role == what->role && settling->kind == what->kind;
    if (alike && error.p == NULL && what->first == settling->last + 1) {
        settling->last = what->last;
        return RH_OK;
    }
    if (!say_settling(session)) return RH_AGAIN;
    if (error.p) return say_disposition(session, what, error);
    *settling     = *what;
    settling->due = true;
    rh_session_due(session);
    return RH_OK;
}

static void take_disposition(struct session *session, rh_slice body)
{
    rh_amqp_disposition disposition;
    if (!rh_connection_decode(session->engine, RH_AMQP_DISPOSITION, body, &disposition)) return;
    if (!(disposition.has & RH_HAS_DISPOSITION_LAST)) disposition.last = disposition.first;
    /* The sender's word on what we receive [2.7.6]: we settle on our own account and keep nothing it could change. */
    if (disposition.role) rh_deliveries_settled(session, &disposition);
}

/* -- taking and saying ------------------------------------------------------------------------- */

/** A performative of a session that is not begin; its channel is within channel-max. */
void rh_session_take(rh_engine *engine, uint16_t channel, rh_composite_id id, rh_slice body)
{
    struct session *session = session_by_channel(engine, channel);
    if (session == NULL) {
        /* Goodbyes cross: what belongs to a session that has just ended is late, not wrong. */
        bool late = bit_is_set(engine->channels_heard, channel) && id != RH_AMQP_ATTACH && id != RH_AMQP_TRANSFER;
        if (!late) rh_connection_fail(engine, RH_E_NOT_ALLOWED, "there is no session on this channel");
        return;
    }
    if (admits[state_for_input(session)][id - RH_AMQP_ATTACH] == I) return;
    if (id == RH_AMQP_END) take_end(session, body);
    else if (id == RH_AMQP_TRANSFER) rh_delivery_take(session, body);
    else if (id == RH_AMQP_DISPOSITION) take_disposition(session, body);
    else if (id == RH_AMQP_FLOW) take_flow(session, body);
    else if (id == RH_AMQP_ATTACH) rh_link_take_attach(session, body);
    else rh_link_take_detach(session, body);
}

/** Something of the session waits to be said beside transfers. */
void rh_session_due(struct session *session)
{
    chain_push(&session->engine->due, &session->due);
}

/** Says it, in an order that the peer can follow. False: the ring is full, the rest waits. */
bool rh_session_say(struct session *session)
{
    struct chain *node;
    if (session->state == MAPPED || session->state == BEGIN_SENT) {
        if (!say_settling(session) || !say_flow(session)) return false;
        while ((node = chain_first(&session->due_links))) {
            struct link *link = CHAIN_OWNER(node, struct link, due);
            if (!rh_link_say(link)) return false;
            chain_remove(node);
            rh_link_reap(link);
        }
    }
    return say_end(session);
}

rh_engine *rh_session_engine(const rh_session *handle)
{
    const struct session *session = slot_of(handle);
    return session ? session->engine : NULL;
}

void *rh_session_user(const rh_session *handle)
{
    const struct session *session = slot_of(handle);
    return session ? session->user : NULL;
}

void rh_session_set_user(rh_session *handle, void *user)
{
    struct session *session = slot_of(handle);
    if (session) session->user = user;
}
