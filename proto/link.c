/**
 * link.c: attach and detach [2.6, 2.7.3, 2.7.7].
 */
#include "proto/engine.h"

/* -- the table --------------------------------------------------------------------------------- */

#define NO 0xff

enum link_event { WE_ATTACH, THEY_ATTACH, WE_DETACH, THEY_DETACH, LINK_EVENTS };

#define UNATTACHED  LINK_UNATTACHED
#define ATTACH_SENT LINK_ATTACH_SENT
#define ATTACH_RCVD LINK_ATTACH_RCVD
#define ATTACHED    LINK_ATTACHED
#define DETACH_PIPE LINK_DETACH_PIPE
#define DETACH_SENT LINK_DETACH_SENT
#define DETACH_RCVD LINK_DETACH_RCVD

/* [2.6.3, 2.6.4] what the next event makes of a link; NO is the peer's mistake, or ours. A peer that
 * detaches before our answer to its attach gets that answer, a refusal, first. */
static const uint8_t link_next[LINK_STATES][LINK_EVENTS] = {
    /*                we attach    they attach  we detach    they detach */
    [UNATTACHED]  = { ATTACH_SENT, ATTACH_RCVD, NO,          NO          },
    [ATTACH_SENT] = { NO,          ATTACHED,    DETACH_PIPE, NO          },
    [ATTACH_RCVD] = { ATTACHED,    NO,          NO,          NO          },
    [ATTACHED]    = { NO,          NO,          DETACH_SENT, DETACH_RCVD },
    [DETACH_PIPE] = { NO,          DETACH_SENT, NO,          NO          },
    [DETACH_SENT] = { NO,          NO,          NO,          UNATTACHED  },
    [DETACH_RCVD] = { NO,          NO,          UNATTACHED,  NO          },
};

static bool step(struct link *link, enum link_event event)
{
    uint8_t next = link_next[link->state][event];
    if (next == NO) return false;
    link->state = next;
    return true;
}

/* -- slots, handles, names --------------------------------------------------------------------- */

static struct link *link_take_slot(struct session *session, rh_slice name, bool receiver)
{
    rh_engine   *engine = session->engine;
    struct link *l      = rh_pool_take(&engine->links, name.n);
    if (l == NULL) return NULL;
    memset((uint8_t *)l + sizeof l->slot, 0, sizeof *l - sizeof l->slot);
    l->session  = session;
    l->receiver = receiver;
    chain_init(&l->in_session);
    chain_init(&l->due);
    chain_init(&l->ready);
    chain_init(&l->dead);
    chain_init(&l->queue);
    l->delivery_count = receiver ? 0 : engine->first_id;
    l->name_n         = (uint16_t)name.n;
    memcpy(l->text, name.p, name.n);
    chain_push(&session->links, &l->in_session);
    session->untold++;
    return l;
}

static void link_give_slot(struct link *link)
{
    chain_remove(&link->in_session);
    chain_remove(&link->due);
    chain_remove(&link->ready);
    if (link->has_handle) bit_clear(link->session->handles_used, link->handle);
    rh_pool_give(&link_engine(link)->links, link);
}

/** Gives the slot back once nobody needs it: told, and detached on both sides. */
void rh_link_reap(struct link *link)
{
    if (link->told && link->state == UNATTACHED && !link->detach_due) link_give_slot(link);
}

/* The lowest handle that is free: a peer may allow only a few. */
static bool handle_take(struct link *link)
{
    struct session *session = link->session;
    uint32_t        handle  = bit_lowest_clear(session->handles_used, session->peer_handle_max);
    if (handle > session->peer_handle_max) return false;
    bit_set(session->handles_used, handle);
    link->handle     = (uint8_t)handle;
    link->has_handle = true;
    return true;
}

static rh_slice name_of(const struct link *link)
{
    return rh_slice_of(link->text, link->name_n);
}

/* A link on its way out has said goodbye, or will before anything new: its name is free. */
static struct link *link_by_name(struct session *session, rh_slice name, bool receiver)
{
    CHAIN_EACH(node, &session->links)
    {
        struct link *link = CHAIN_OWNER(node, struct link, in_session);
        if (link->receiver != receiver || link->dying) continue;
        if (rh_slice_equal(name_of(link), name)) return link;
    }
    return NULL;
}

static void link_map(struct link *link, uint32_t handle)
{
    struct link **way    = &link->session->by_handle[handle % HANDLE_WAYS];
    link->in_handle      = (uint16_t)handle;
    link->has_in         = true;
    link->next_by_handle = *way;
    *way                 = link;
    bit_set(link->session->handles_heard, handle);
}

static void link_unmap(struct link *link)
{
    struct link **at = &link->session->by_handle[link->in_handle % HANDLE_WAYS];
    if (!link->has_in) return;
    while (*at != link) at = &(*at)->next_by_handle;
    *at          = link->next_by_handle;
    link->has_in = false;
}

static struct link *link_by_handle(const struct session *session, uint32_t handle)
{
    struct link *link = session->by_handle[handle % HANDLE_WAYS];
    while (link && link->in_handle != handle) link = link->next_by_handle;
    return link;
}

/** The link that the peer means. NULL: there is none, and if that is the peer's mistake the session has failed. */
struct link *rh_link_by_handle(struct session *session, uint32_t handle)
{
    struct link *link  = link_by_handle(session, handle);
    bool         heard = link || (handle < HANDLES && bit_is_set(session->handles_heard, handle));
    if (!heard) rh_session_fail(session, RH_E_UNATTACHED_HANDLE, "no link is attached with this handle");
    return link;
}

/* -- attach, ours ------------------------------------------------------------------------------ */

/* A source or target; the raw value when there are no fields. */
static rh_slice terminus(rh_enc *e, rh_composite_id id, const void *fields, rh_slice raw)
{
    if (fields == NULL) return raw;
    uint8_t *at = e->p;
    if (!rh_composite_encode(e, id, fields)) return rh_slice_of(NULL, 0);
    return rh_slice_of(at, (size_t)(e->p - at));
}

/* opts NULL: the answer that refuses, without source and target. */
static rh_status say_attach(struct link *link, const rh_link_opts *opts)
{
    static const rh_link_opts refusal = { .snd_settle_mode = RH_SND_MIXED };
    if (opts == NULL) opts = &refusal;
    if (!link->has_handle && !handle_take(link)) return RH_E_LIMIT;
    uint8_t        room[4096];
    rh_enc         e      = rh_enc_of(room, sizeof room);
    rh_amqp_attach attach = {
        .has             = RH_HAS_ATTACH_HANDLE | RH_HAS_ATTACH_ROLE | RH_HAS_ATTACH_SND_SETTLE_MODE |
                           RH_HAS_ATTACH_RCV_SETTLE_MODE | RH_HAS_ATTACH_MAX_MESSAGE_SIZE,
        .name            = name_of(link),
        .handle          = link->handle,
        .role            = link->receiver,
        .snd_settle_mode = opts->snd_settle_mode,
        .rcv_settle_mode = opts->rcv_settle_mode,
        .source          = terminus(&e, RH_AMQP_SOURCE, opts->source, opts->source_raw),
        .target          = terminus(&e, RH_AMQP_TARGET, opts->target, opts->target_raw),
        .max_message_size     = opts->max_message_size,
        .offered_capabilities = opts->offered_capabilities,
        .desired_capabilities = opts->desired_capabilities,
        .properties           = opts->properties,
    };
    if (e.status) return e.status;
    if (!link->receiver) {
        attach.has |= RH_HAS_ATTACH_INITIAL_DELIVERY_COUNT;
        attach.initial_delivery_count = link->delivery_count;
    }
    rh_status status = rh_output_frame(link_engine(link), link->session->channel, RH_AMQP_ATTACH, &attach);
    if (status == RH_OK) step(link, WE_ATTACH);
    return status;
}

static void link_options(struct link *link, const rh_link_opts *opts)
{
    link->max_message_size = opts->max_message_size;
    link->reject_oversize  = opts->reject_oversize;
    link->gather           = opts->gather;
    link->gather_n         = opts->gather ? opts->gather_n : 0;
}

static bool session_takes_links(const struct session *session)
{
    bool open = session->state == SESSION_MAPPED || session->state == SESSION_BEGIN_SENT;
    return open && !session->dying && !session->end_due && connection_may_send(session->engine);
}

rh_status rh_link_attach(rh_session *handle, const rh_link_opts *opts, void *user, rh_link **out)
{
    struct session *session = slot_of(handle);
    if (session == NULL || !session_takes_links(session)) return RH_E_STATE;
    if (opts->name.n == 0 || opts->name.n > LINK_NAME_MAX) return RH_E_ARGUMENT;
    if (link_by_name(session, opts->name, opts->receiver)) return RH_E_CONFLICT;
    if (!rh_session_say(session)) return RH_AGAIN; /* a detach of the same name goes first */
    struct link *link = link_take_slot(session, opts->name, opts->receiver);
    if (link == NULL) return RH_E_LIMIT;
    link->user = user;
    link_options(link, opts);
    rh_status status = say_attach(link, opts);
    if (status) {
        session->untold--;
        link_give_slot(link);
        return status;
    }
    *out = slot_handle(link);
    return RH_OK;
}

/* The peer's attach still waits, and there is still somebody to tell. */
static bool may_answer(const struct link *link)
{
    return link->state == ATTACH_RCVD && !link_is_leaving(link) && session_takes_links(link->session);
}

rh_status rh_link_accept(rh_link *handle, const rh_link_opts *opts)
{
    struct link *link = slot_of(handle);
    if (link == NULL || !may_answer(link)) return RH_E_STATE;
    if (!rh_session_say(link->session)) return RH_AGAIN;
    link_options(link, opts);
    if (opts->user) link->user = opts->user;
    rh_status status = say_attach(link, opts);
    if (status) return status;
    if (link->flow_due) rh_link_due(link); /* credit granted, or an echo asked for, before the answer */
    rh_link_refresh(link);
    return RH_OK;
}

/* -- attach, theirs ---------------------------------------------------------------------------- */

/* [2.6.3] An attach without the terminus that we asked for announces a refusal: its detach says why. */
static bool is_refusal(const struct link *link, const rh_amqp_attach *attach)
{
    return link->receiver ? attach->source.p == NULL : attach->target.p == NULL;
}

static void attach_fields(struct link *link, const rh_amqp_attach *attach)
{
    link_map(link, attach->handle);
    link->peer_max_message_size = attach->max_message_size;
    if (!link->receiver) return;
    /* Credit may have been granted before it was known where the sender starts to count. */
    link->delivery_count += attach->initial_delivery_count;
    link->limit += attach->initial_delivery_count;
    link->granted += attach->initial_delivery_count;
}

static void attach_answered(struct link *link, const rh_amqp_attach *attach)
{
    attach_fields(link, attach);
    step(link, THEY_ATTACH);
    link->refused = is_refusal(link, attach);
    if (link->refused || link_is_leaving(link)) return;
    rh_engine *engine = link_engine(link);
    if (engine->handler->on_attach) engine->handler->on_attach(engine->user, slot_handle(link), attach);
}

static void attach_asked(struct session *session, const rh_amqp_attach *attach)
{
    rh_engine   *engine = session->engine;
    struct link *link   = link_take_slot(session, attach->name, !attach->role);
    if (link == NULL) {
        rh_session_fail(session, RH_E_LIMIT, "no more links here");
        return;
    }
    attach_fields(link, attach);
    step(link, THEY_ATTACH);
    if (engine->handler->on_attach) engine->handler->on_attach(engine->user, slot_handle(link), attach);
    else if (rh_link_refuse(slot_handle(link), "amqp:not-allowed", "nobody here takes links") != RH_OK)
        rh_session_fail(session, RH_E_LIMIT, "no more handles here");
}

void rh_link_take_attach(struct session *session, rh_slice body)
{
    rh_amqp_attach attach;
    if (!rh_connection_decode(session->engine, RH_AMQP_ATTACH, body, &attach)) return;
    if (attach.handle > session->handle_max) {
        rh_connection_fail(session->engine, RH_E_PEER_LIMIT, "a handle above our handle-max"); /* [2.7.2] */
        return;
    }
    if (link_by_handle(session, attach.handle)) {
        rh_session_fail(session, RH_E_HANDLE_IN_USE, "the handle is in use");
        return;
    }
    if (attach.name.n > LINK_NAME_MAX) {
        rh_session_fail(session, RH_E_LIMIT, "the link's name is too long");
        return;
    }
    struct link *ours = link_by_name(session, attach.name, !attach.role);
    if (ours && (ours->state == ATTACH_SENT || ours->state == DETACH_PIPE)) attach_answered(ours, &attach);
    else attach_asked(session, &attach);
}

/* -- detach ------------------------------------------------------------------------------------ */

/** What its owner is told. */
void rh_link_error(const struct link *link, rh_error *out)
{
    if (link->inherits) rh_session_error(link->session, out);
    else rh_reason_tell(&link->reason, out);
}

static void keep_reason(struct link *link)
{
    rh_reason_keep(&link->reason, link->text + link->name_n, link->slot.text_n - link->name_n);
}

static void link_die(struct link *link, bool closed)
{
    if (link->dying) return;
    link->dying       = true;
    link->gone_closed = closed;
    rh_deliveries_drop(link, true);
    if (link->deliveries == 0) chain_push(&link_engine(link)->dead_links, &link->dead);
}

/** Its session or connection is gone: nothing more is said or awaited. */
void rh_link_cut_off(struct link *link)
{
    if (!link->dying) link->inherits = true;
    link->state      = UNATTACHED;
    link->detach_due = link->flow_due = false;
    chain_remove(&link->due);
    link_unmap(link);
    link_die(link, false);
    rh_link_reap(link);
}

/** The peer broke a rule of the link: detach it with the condition that says which [2.6.5]. */
void rh_link_fail(struct link *link, rh_status status, const char *words)
{
    if (link_is_leaving(link)) return;
    link->reason     = rh_reason_of_fault(status, words);
    link->say_error  = true;
    link->detach_due = link->detach_closed = true;
    rh_link_due(link);
    link_die(link, true);
}

static void detach_decided(struct link *link, bool closed, const char *condition, const char *description)
{
    link->reason        = rh_reason_of_caller(condition, description);
    link->say_error     = condition != NULL;
    link->detach_due    = true;
    link->detach_closed = closed;
    keep_reason(link);
    rh_deliveries_drop(link, false);
    rh_link_due(link);
}

rh_status rh_link_refuse(rh_link *handle, const char *condition, const char *description)
{
    struct link *link = slot_of(handle);
    if (link == NULL || !may_answer(link)) return RH_E_STATE;
    rh_status status = say_attach(link, NULL);
    if (status == RH_OK) detach_decided(link, true, condition, description);
    return status;
}

rh_status rh_link_detach(rh_link *handle, bool closed, const char *condition, const char *description)
{
    struct link *link = slot_of(handle);
    if (link == NULL || link_is_leaving(link)) return RH_E_STATE;
    if (link->state == ATTACH_RCVD) return rh_link_refuse(handle, condition, description);
    detach_decided(link, closed, condition, description);
    return RH_OK;
}

/* The peer's detach of a link whose attach we have not answered: [2.6.3] attach comes before detach. */
static bool answer_first(struct link *link)
{
    if (link->state != ATTACH_RCVD || say_attach(link, NULL) == RH_OK) return true;
    rh_session_fail(link->session, RH_E_LIMIT, "no handle for the answer");
    return false;
}

static void detach_error(struct link *link, const rh_amqp_detach *detach)
{
    link->reason = rh_reason_of_peer(detach->error);
    if (link->refused && link->reason.status == RH_OK)
        link->reason = (struct reason){ .status = RH_E_DETACHED, .description = rh_str("the peer refused the link and did not say why") };
}

void rh_link_take_detach(struct session *session, rh_slice body)
{
    rh_amqp_detach detach;
    if (!rh_connection_decode(session->engine, RH_AMQP_DETACH, body, &detach)) return;
    struct link *link = rh_link_by_handle(session, detach.handle);
    if (link == NULL || !answer_first(link)) return;
    if (!link->dying) detach_error(link, &detach);
    link->say_error = false;
    if (link->state == ATTACHED) {
        link->detach_due    = true; /* the answer, unless ours was on its way already */
        link->detach_closed = detach.closed;
        rh_link_due(link);
    }
    step(link, THEY_DETACH);
    link_unmap(link);
    link_die(link, detach.closed);
    if (!link->told && rh_output_lends(&session->engine->out, session, link)) keep_reason(link);
    rh_link_reap(link);
}

static bool say_detach(struct link *link)
{
    uint8_t        room[700];
    uint16_t       channel = link->session->channel;
    rh_amqp_detach detach  = { .has    = RH_HAS_DETACH_HANDLE | RH_HAS_DETACH_CLOSED,
                               .handle = link->handle,
                               .closed = link->detach_closed };
    if (link->say_error) detach.error = rh_error_encode(&link->reason, room, sizeof room);
    rh_status status = rh_output_frame(link_engine(link), channel, RH_AMQP_DETACH, &detach);
    if (status == RH_E_TOO_BIG) {
        detach.error = rh_slice_of(NULL, 0);
        status       = rh_output_frame(link_engine(link), channel, RH_AMQP_DETACH, &detach);
    }
    if (status) return false;
    link->detach_due = false;
    step(link, WE_DETACH);
    return true;
}

/* -- saying ------------------------------------------------------------------------------------- */

/** Something of the link waits to be said beside transfers. */
void rh_link_due(struct link *link)
{
    chain_push(&link->session->due_links, &link->due);
    rh_session_due(link->session);
}

/** Says it. False: the ring is full, the rest waits. */
bool rh_link_say(struct link *link)
{
    /* A link that the peer attached has no handle of ours before the answer: what it has to say waits for that. */
    bool named = link->state != UNATTACHED && link->state != ATTACH_RCVD;
    if (named && !link->dying && !rh_credit_say(link)) return false;
    return link->detach_due ? say_detach(link) : true;
}

/* -- inspecting -------------------------------------------------------------------------------- */

rh_session *rh_link_session(const rh_link *handle)
{
    const struct link *link = slot_of(handle);
    return link ? slot_handle(link->session) : NULL;
}

rh_slice rh_link_name(const rh_link *handle)
{
    const struct link *link = slot_of(handle);
    return link ? name_of(link) : rh_slice_of(NULL, 0);
}

bool rh_link_is_receiver(const rh_link *handle)
{
    const struct link *link = slot_of(handle);
    return link && link->receiver;
}

bool rh_link_is_pending(const rh_link *handle)
{
    const struct link *link = slot_of(handle);
    return link && link->state == ATTACH_RCVD && !link_is_leaving(link);
}

bool rh_link_is_attached(const rh_link *handle)
{
    const struct link *link = slot_of(handle);
    return link && link->state == ATTACHED && !link_is_leaving(link) && !link->refused;
}

uint32_t rh_link_credit_left(const rh_link *handle)
{
    const struct link *link = slot_of(handle);
    return link ? rh_link_usable(link) : 0;
}

uint32_t rh_link_queued(const rh_link *handle)
{
    const struct link *link = slot_of(handle);
    return link ? link->queued : 0;
}

uint32_t rh_link_unsettled(const rh_link *handle)
{
    const struct link *link = slot_of(handle);
    return link ? link->deliveries : 0;
}

uint64_t rh_link_peer_max_message_size(const rh_link *handle)
{
    const struct link *link = slot_of(handle);
    return link ? link->peer_max_message_size : 0;
}

void *rh_link_user(const rh_link *handle)
{
    const struct link *link = slot_of(handle);
    return link ? link->user : NULL;
}

void rh_link_set_user(rh_link *handle, void *user)
{
    struct link *link = slot_of(handle);
    if (link) link->user = user;
}
