#include "emulator/faults.h"

/* -- reading an attach ------------------------------------------------------------------------ */

static bool refuse(const rh_emu_attach *attach, rh_emu_refusal *no, const char *condition, const char *words)
{
    return rh_emu_refuse(attach->connection->emulator, NULL, no, condition, "%s", words);
}

static rh_slice text_of(rh_slice encoded)
{
    rh_dec d = rh_dec_of(encoded);
    return encoded.p && rh_dec_peek(&d) == RH_STRING ? rh_dec_string(&d) : rh_slice_of(NULL, 0);
}

/* Absent termini are read as empty ones: a receiver's target may well be nothing to us. */
static bool read_termini(rh_emu_attach *attach, rh_emu_refusal *no)
{
    rh_slice source = attach->frame->source, target = attach->frame->target;
    if (source.p && rh_amqp_source_view(source, &attach->source) != RH_OK)
        return refuse(attach, no, "amqp:invalid-field", "The source of the link is malformed.");
    if (target.p && rh_amqp_target_view(target, &attach->target) != RH_OK)
        return refuse(attach, no, "amqp:not-implemented", "The target of the link is not one of messages, or malformed.");
    if (attach->source.dynamic || attach->target.dynamic)
        return refuse(attach, no, "amqp:not-implemented", "Dynamic nodes are not offered.");

    attach->target_address = text_of(attach->target.address);
    rh_slice address       = attach->frame->role ? text_of(attach->source.address) : attach->target_address;
    if (address.p == NULL) return refuse(attach, no, "amqp:invalid-field", "The link names no address as a string.");
    attach->address = rh_emu_address_parse(address);
    return true;
}

static bool route(const rh_emu_attach *attach, rh_emu_refusal *no)
{
    switch (attach->address.place) {
    case RH_EMU_CBS:
    case RH_EMU_MANAGEMENT: return rh_emu_node_attach(attach, no);
    case RH_EMU_READER:
        if (attach->frame->role) return rh_emu_reader_attach(attach, no);
        return refuse(attach, no, RH_EMU_NOT_ALLOWED, "Events are sent to a hub, a partition or a publisher, not to a consumer group.");
    default:
        if (!attach->frame->role) return rh_emu_sender_attach(attach, no);
        return refuse(attach, no, RH_EMU_NOT_ALLOWED, "Events are received from HUB/ConsumerGroups/GROUP/Partitions/ID.");
    }
}

/* [2.6.1] A name is one link of its direction. Who attaches it again has lost the first without our knowing, and goes before the
 * newcomer is judged, so that nobody is refused for want of a place that its own ghost takes. */
static void steal(const rh_emu_attach *attach)
{
    for (rh_emu_link *link = attach->connection->links; link; link = link->next) {
        rh_emu_refusal no;
        if (rh_link_is_receiver(link->link) != rh_link_is_receiver(attach->link)) continue;
        if (link->is_leaving || !rh_slice_equal(rh_link_name(link->link), attach->frame->name)) continue;
        refuse(attach, &no, RH_EMU_STOLEN, "The link was attached again under the same name.");
        rh_emu_link_drop(link, &no);
    }
}

/* What is made to go wrong comes first; an attach that is ignored may wait. */
static bool admit(rh_emu_attach *attach, rh_emu_refusal *no)
{
    rh_emu_scene scene = { .moment = RH_EMU_AT_ATTACH, .connection = attach->connection, .session = rh_link_session(attach->link),
                           .address = &attach->address };
    rh_emu_verdict verdict = rh_emu_faults_judge(&scene);
    if (verdict.fault == RH_EMULATOR_REFUSE) return refuse(attach, no, verdict.condition, verdict.words);
    if (verdict.fault != RH_EMULATOR_NO_FAULT) return true;
    attach->withhold = verdict.withhold;
    if (!route(attach, no)) return false;
    rh_emu_link *link = rh_link_user(attach->link);
    if (verdict.drop && link) {
        refuse(attach, no, verdict.condition, verdict.words);
        rh_emu_link_drop(link, no);
    }
    return true;
}

void rh_emu_link_on_attach(rh_emu_connection *connection, rh_link *link, const rh_amqp_attach *frame)
{
    rh_emu_attach  attach = { .connection = connection, .link = link, .frame = frame };
    rh_emu_refusal no;
    steal(&attach);
    if (read_termini(&attach, &no) && admit(&attach, &no)) return;
    /* Without room even for a refusal nothing can be said on this connection any more. */
    if (rh_link_refuse(link, no.condition, no.words) != RH_OK)
        rh_engine_close(connection->engine, "amqp:resource-limit-exceeded", "The answers of this connection do not drain.");
}

/* -- answering it ----------------------------------------------------------------------------- */

bool rh_emu_link_accept(rh_emu_link *link, const rh_emu_link_kind *kind, const rh_emu_attach *attach, rh_link_opts *opts, rh_emu_refusal *no)
{
    opts->source     = &attach->source;
    opts->target     = &attach->target;
    opts->properties = attach->frame->properties;
    rh_status status = rh_link_accept(attach->link, opts);
    if (status != RH_OK)
        return rh_emu_refuse(attach->connection->emulator, NULL, no, "amqp:internal-error", "The link cannot be attached: %s.",
                             rh_status_words(status));

    /* Not before: a link that failed here is refused, and its end must not find memory that is gone. */
    rh_link_set_user(attach->link, link);
    link->kind                = kind;
    link->connection          = attach->connection;
    link->link                = attach->link;
    link->gather_n            = attach->frame->role ? 0 : (size_t)opts->max_message_size;
    link->next                = attach->connection->links;
    attach->connection->links = link;
    link->place               = attach->address.place;
    if (!link->is_aside) rh_emu_connection_linked(link->connection);
    if (attach->withhold) rh_emu_link_withhold(link, attach->withhold);
    return true;
}

void rh_emu_link_drop(rh_emu_link *link, const rh_emu_refusal *no)
{
    if (link->is_leaving) return;
    link->is_leaving = true;
    rh_status status = rh_link_detach(link->link, true, no->condition, no->words);
    if (status != RH_OK && status != RH_E_STATE) rh_emu_connection_cut(link->connection);
    rh_emu_connection_wake(link->connection);
}

/* -- resting ---------------------------------------------------------------------------------- */

static void watch(rh_emu_link *link)
{
    rh_timer_set(link->connection->emulator->loop, &link->idle, rh_time_after(link->active_at, RH_MS(link->idle_ms)));
}

/* A link that is used only notes when; the timer looks, and goes on from there. */
static void on_idle(void *user, rh_time now)
{
    rh_emu_link   *link = user;
    rh_emu_refusal no;
    unsigned       s    = link->idle_ms / 1000;
    bool           send = rh_link_is_receiver(link->link);
    rh_slice       name = rh_link_name(link->link);
    if (link->is_leaving) return;
    if (now < rh_time_after(link->active_at, RH_MS(link->idle_ms))) {
        watch(link);
        return;
    }
    rh_emu_refuse(link->connection->emulator, NULL, &no, RH_EMU_DETACHED,
                  "The link '%.*s' is force detached. Code: %s. Details: AmqpEventHub%s.IdleTimerExpired: Idle timeout: %02u:%02u:%02u.",
                  name.n > 100 ? 100 : (int)name.n, name.p ? (const char *)name.p : "", send ? "publisher" : "consumer",
                  send ? "Publisher" : "Consumer", s / 3600, s / 60 % 60, s % 60);
    rh_emu_link_drop(link, &no);
}

void rh_emu_link_rest(rh_emu_link *link, uint32_t idle_ms)
{
    link->idle_ms = idle_ms;
    rh_emu_link_stir(link);
    link->idle = (rh_timer){ .fn = on_idle, .user = link };
    if (idle_ms != UINT32_MAX) watch(link);
}

void rh_emu_link_stir(rh_emu_link *link)
{
    if (link->idle_ms != UINT32_MAX) link->active_at = rh_loop_now(link->connection->emulator->loop);
}

/* -- held back by a fault --------------------------------------------------------------------- */

static void on_hold(void *user, rh_time now)
{
    rh_emu_link *link = user;
    (void)now;
    if (rh_emu_link_is_held(link)) rh_emu_link_resume_at(link, link->held_until); /* withheld again meanwhile, or here for something else */
    if (link->kind->on_resume) link->kind->on_resume(link);
    rh_emu_connection_wake(link->connection);
}

void rh_emu_link_resume_at(rh_emu_link *link, rh_time at)
{
    if (link->hold.is_set && link->hold.at <= at) return;
    link->hold.fn   = on_hold;
    link->hold.user = link;
    rh_timer_set(link->connection->emulator->loop, &link->hold, at);
}

void rh_emu_link_withhold(rh_emu_link *link, rh_time time)
{
    rh_time until = rh_time_after(rh_loop_now(link->connection->emulator->loop), time);
    if (until > link->held_until) link->held_until = until;
    rh_emu_link_resume_at(link, link->held_until);
}

bool rh_emu_link_is_held(const rh_emu_link *link)
{
    return link->held_until && rh_loop_now(link->connection->emulator->loop) < link->held_until;
}

/* -- the end ---------------------------------------------------------------------------------- */

void rh_emu_link_fini(rh_emu_link *link)
{
    rh_emulator *emulator = link->connection->emulator;
    rh_timer_cancel(emulator->loop, &link->idle);
    rh_timer_cancel(emulator->loop, &link->hold);
    for (rh_emu_link **at = &link->connection->links; *at; at = &(*at)->next) {
        if (*at != link) continue;
        *at = link->next;
        if (!link->is_aside) rh_emu_connection_linked(link->connection);
        break;
    }
    if (link->path) rh_emu_free(emulator, link->path, strlen(link->path) + 1);
    if (link->gather) rh_emu_free(emulator, link->gather, link->gather_n);
}

bool rh_emu_capability_asked(rh_slice capabilities, const char *name)
{
    rh_dec   d = rh_dec_of(capabilities);
    rh_value value;
    rh_array array;
    if (capabilities.p == NULL) return false;
    if (rh_dec_peek(&d) != RH_ARRAY) return rh_dec_value(&d, &value) && value.type == RH_SYMBOL && rh_slice_is(value.bytes, name);
    rh_dec_array(&d, &array);
    while (rh_array_next(&array, &value))
        if (value.type == RH_SYMBOL && rh_slice_is(value.bytes, name)) return true;
    return false;
}
