#include "tests/sim/long/manners.h"

#include "proto/proto.h"

static const char *const names[SIM_PERF_COUNT - SIM_PERF_OPEN] = { "open", "begin", "attach", "flow", "transfer", "disposition", "detach", "end", "close" };

static rh_dec body_of(const sim_frame *frame)
{
    size_t at = (size_t)frame->head[4] * 4;
    return rh_dec_of(rh_slice_of(frame->head + at, frame->n - at));
}

/* What leaves now is there after the way of one piece. */
static rh_time arrival(const sim_manners *m)
{
    return sim_now(m->stand) + m->stand->latency;
}

static bool is_dead(const sim_manners *m, rh_time dead_at)
{
    return dead_at && sim_now(m->stand) >= dead_at;
}

static void rude(const sim_manners *m, const sim_frame *frame, const char *whom)
{
    sim_wrong(m->stand, "%s on channel %u of wire %u behind the service's end of the %s", frame->code ? names[frame->code - SIM_PERF_OPEN] : "a heartbeat", frame->channel, m->wire, whom);
}

/* -- links --------------------------------------------------------------------------------------- */

static sim_knot *knot_of(sim_channel *channel, int who, uint32_t handle)
{
    for (size_t i = 0; i < SIM_LINKS; i++)
        if (channel->knots[i].used && channel->knots[i].handle[who] == handle) return &channel->knots[i];
    return NULL;
}

static sim_knot *knot_named(sim_channel *channel, rh_slice name, bool receives)
{
    sim_knot *free = NULL;
    for (size_t i = 0; i < SIM_LINKS; i++) {
        sim_knot *k = &channel->knots[i];
        if (k->used && k->receives == receives && rh_slice_is(name, k->name)) return k;
        if (!k->used) free = k;
    }
    if (!free || name.n >= sizeof free->name) return NULL;
    *free = (sim_knot){ .used = true, .receives = receives, .handle = { UINT32_MAX, UINT32_MAX } };
    memcpy(free->name, name.p, name.n);
    return free;
}

static void on_attach(sim_manners *m, sim_channel *channel, const sim_frame *frame, int who)
{
    rh_amqp_attach attach;
    rh_dec         d = body_of(frame);
    if (rh_amqp_attach_decode(&d, &attach) != RH_OK) {
        sim_wrong(m->stand, "an attach that cannot be read");
        return;
    }
    sim_knot *k = knot_named(channel, attach.name, attach.role == (who == SIM_CLIENT));
    if (k) k->handle[who] = attach.handle;
    else sim_wrong(m->stand, "more links on a session than expected");
}

/* The handle that a frame of the client names; UINT32_MAX: none. */
static uint32_t handle_in(const sim_frame *frame)
{
    rh_dec           d = body_of(frame);
    rh_amqp_flow     flow;
    rh_amqp_transfer transfer;
    rh_amqp_detach   detach;
    switch (frame->code) {
    case SIM_PERF_FLOW: return rh_amqp_flow_decode(&d, &flow) == RH_OK && (flow.has & RH_HAS_FLOW_HANDLE) ? flow.handle : UINT32_MAX;
    case SIM_PERF_TRANSFER: return rh_amqp_transfer_decode(&d, &transfer) == RH_OK ? transfer.handle : UINT32_MAX;
    case SIM_PERF_DETACH: return rh_amqp_detach_decode(&d, &detach) == RH_OK ? detach.handle : UINT32_MAX;
    default: return UINT32_MAX;
    }
}

static void judge_link(sim_manners *m, sim_channel *channel, const sim_frame *frame)
{
    uint32_t  handle = handle_in(frame);
    sim_knot *k      = handle == UINT32_MAX ? NULL : knot_of(channel, SIM_CLIENT, handle);
    if (handle != UINT32_MAX && !k) rude(m, frame, "link");
    if (!k) return;
    if (is_dead(m, k->dead_at) && frame->code != SIM_PERF_DETACH) rude(m, frame, "link");
    if (frame->code != SIM_PERF_DETACH) return;
    k->handle[SIM_CLIENT] = UINT32_MAX;
    if (k->dead_at || k->handle[SIM_SERVER] == UINT32_MAX) *k = (sim_knot){ 0 };
}

/* -- the client speaks --------------------------------------------------------------------------- */

static void client_said(sim_manners *m, const sim_frame *frame)
{
    sim_channel *channel = &m->channels[frame->channel % SIM_CHANNELS];
    m->judged++;
    if (m->closed || (is_dead(m, m->dead_at) && frame->code != SIM_PERF_CLOSE)) rude(m, frame, "connection");
    if (frame->code == SIM_PERF_CLOSE) m->closed = true;
    if (frame->code == SIM_HEARTBEAT || frame->code == SIM_PERF_OPEN || frame->code == SIM_PERF_CLOSE) return;
    if (frame->code == SIM_PERF_BEGIN) {
        *channel = (sim_channel){ .begun = true };
        return;
    }
    if (!channel->begun || (is_dead(m, channel->dead_at) && frame->code != SIM_PERF_END)) rude(m, frame, "session");
    if (frame->code == SIM_PERF_END) channel->begun = false;
    else if (frame->code == SIM_PERF_ATTACH) on_attach(m, channel, frame, SIM_CLIENT);
    else judge_link(m, channel, frame);
}

/* -- the service speaks -------------------------------------------------------------------------- */

static void on_begin(sim_manners *m, const sim_frame *frame)
{
    rh_amqp_begin begin;
    rh_dec        d = body_of(frame);
    if (rh_amqp_begin_decode(&d, &begin) == RH_OK) m->client_channel[frame->channel % SIM_CHANNELS] = begin.remote_channel % SIM_CHANNELS;
    else sim_wrong(m->stand, "a begin that cannot be read");
}

static void on_detach(sim_manners *m, sim_channel *channel, const sim_frame *frame)
{
    sim_knot *k = knot_of(channel, SIM_SERVER, handle_in(frame));
    if (!k) return;
    k->handle[SIM_SERVER] = UINT32_MAX;
    k->dead_at            = arrival(m);
    m->deaths++;
    if (k->handle[SIM_CLIENT] == UINT32_MAX) *k = (sim_knot){ 0 };
}

static void service_said(sim_manners *m, const sim_frame *frame)
{
    sim_channel *channel = &m->channels[m->client_channel[frame->channel % SIM_CHANNELS]];
    switch (frame->code) {
    case SIM_PERF_BEGIN: on_begin(m, frame); break;
    case SIM_PERF_ATTACH: on_attach(m, channel, frame, SIM_SERVER); break;
    case SIM_PERF_DETACH: on_detach(m, channel, frame); break;
    case SIM_PERF_END: channel->dead_at = arrival(m), m->deaths++; break;
    case SIM_PERF_CLOSE: m->dead_at = arrival(m), m->deaths++; break;
    default: break;
    }
}

void sim_manners_frame(sim_manners *m, const sim_frame *frame)
{
    if (frame->code == SIM_PERF_OPEN && frame->end == SIM_SERVER) {
        sim_manners kept = *m;
        *m = (sim_manners){ .stand = kept.stand, .wire = frame->wire->id, .deaths = kept.deaths, .judged = kept.judged };
    }
    if (frame->wire->id != m->wire || frame->channel >= SIM_CHANNELS) return;
    if (frame->end == SIM_SERVER) client_said(m, frame);
    else service_said(m, frame);
}
