#include "tests/sim/swarm.h"

#include "emulator/connection.h"

#include <stdlib.h>

const char *const sim_fault_name[SIM_FAULT_KINDS] = {
#define SIM_FAULT_NAME(name, text) text,
    SIM_FAULTS(SIM_FAULT_NAME)
#undef SIM_FAULT_NAME
};

/* What a service says when it ends something. */
static const char *const conditions[] = {
    "amqp:internal-error", "amqp:resource-limit-exceeded", "amqp:connection:forced", "amqp:link:detach-forced",
    "com.microsoft:timeout", "com.microsoft:server-busy", "com.microsoft:operation-cancelled",
};

/* -- occasions ----------------------------------------------------------------------------------- */

/* What comes of an occasion later draws from a stream of its own, too. */
#define LATER (UINT64_C(1) << 63)

sim_chance sim_swarm_chance(const sim_swarm *swarm, sim_occasion at)
{
    return sim_loop_chance(swarm->loop, at);
}

static void begin(sim_swarm *swarm, sim_occasion at)
{
    swarm->at     = at;
    swarm->chance = sim_swarm_chance(swarm, at);
}

bool sim_swarm_allows(const sim_swarm *swarm, sim_occasion at)
{
    return !swarm->calm && sim_switches_allow(&swarm->switches, at);
}

void sim_swarm_struck(sim_swarm *swarm, sim_occasion at)
{
    swarm->strikes++;
    if (swarm->struck) sim_occasions_add(swarm->struck, at);
}

/* -- the faults ---------------------------------------------------------------------------------- */

static rh_emu_connection *connection_of(const sim_swarm *swarm, const sim_wire *wire)
{
    for (rh_emu_connection *c = swarm->emulator->connections; c; c = c->next)
        if (c->pipe && wire->end[SIM_SERVER] && sim_wire_of(c->pipe) == wire) return c;
    return NULL;
}

static const char *condition(sim_swarm *swarm)
{
    return conditions[sim_below(&swarm->chance, sizeof conditions / sizeof *conditions)];
}

static rh_emu_link *some_link(sim_swarm *swarm, rh_emu_connection *connection)
{
    size_t count = 0;
    for (rh_emu_link *l = connection->links; l; l = l->next) count += !l->is_leaving;
    if (count == 0) return NULL;
    size_t index = sim_below(&swarm->chance, count);
    for (rh_emu_link *l = connection->links; l; l = l->next)
        if (!l->is_leaving && index-- == 0) return l;
    return NULL;
}

static bool service_fault(sim_swarm *swarm, sim_wire *wire, sim_fault fault)
{
    rh_emu_connection *connection = connection_of(swarm, wire);
    if (!connection || !connection->engine) return false;
    bool opened = rh_engine_phase_of(connection->engine) == RH_ENGINE_OPENED;
    if (!opened && (fault != SIM_FAULT_CLOSE || wire->phase != SIM_OPEN)) return false; /* who is asked to open may hang up instead */
    const char *why = condition(swarm);
    if (fault == SIM_FAULT_CLOSE) (void)rh_engine_close(connection->engine, why, "The simulated service closes the connection.");
    else {
        rh_emu_link *link = some_link(swarm, connection);
        if (!link) return false;
        if (fault == SIM_FAULT_END) (void)rh_session_end(rh_link_session(link->link), why, "The simulated service ends the session.");
        else {
            link->is_leaving = true;
            (void)rh_link_detach(link->link, true, why, "The simulated service detaches the link.");
        }
    }
    rh_emu_connection_wake(connection);
    return true;
}

static void slow_down(sim_swarm *swarm, sim_wire *wire)
{
    wire->piece_most       = (size_t)sim_scale(&swarm->chance, 1, 4096);
    wire->bytes_per_second = sim_scale(&swarm->chance, 2000, 1000000);
    wire->latency_most     = wire->latency_least + sim_scale(&swarm->chance, RH_MS(1), RH_MS(500));
}

/* False: it found nothing to break. */
static bool strike(sim_swarm *swarm, sim_wire *wire, sim_fault fault)
{
    sim_chance *chance = &swarm->chance;
    int         end    = (int)sim_below(chance, 2);
    switch (fault) {
    case SIM_FAULT_RESET: sim_wire_reset(wire); return true;
    case SIM_FAULT_CUT: wire->cut_at[end] = wire->passed[end] + sim_scale(chance, 1, 100000); return true;
    case SIM_FAULT_GARBAGE: wire->garbage[end] = true; return true;
    case SIM_FAULT_SILENCE: sim_wire_silence(wire); return true;
    case SIM_FAULT_HANG: sim_wire_hang(wire); return true;
    case SIM_FAULT_STALL: sim_wire_stall(wire, end, swarm->loop->now + sim_scale(chance, RH_MS(10), RH_SECONDS(60))); return true;
    case SIM_FAULT_SLOW: slow_down(swarm, wire); return true;
    case SIM_FAULT_SUSPEND: sim_loop_suspend(swarm->loop, sim_scale(chance, RH_SECONDS(1), RH_SECONDS(100))); return true;
    case SIM_FAULT_DETACH:
    case SIM_FAULT_END:
    case SIM_FAULT_CLOSE: return service_fault(swarm, wire, fault);
    default: return false;
    }
}

static void note(sim_swarm *swarm, sim_fault fault, sim_phase phase)
{
    char name[SIM_OCCASION_MAX];
    swarm->grid.hits[fault][phase]++;
    sim_swarm_struck(swarm, swarm->at);
    sim_tell(swarm->loop->trace, swarm->loop->now, "fault %s: %s in %s", sim_occasion_name(swarm->at, name), sim_fault_name[fault], sim_phase_name[phase]);
}

static void hit(sim_swarm *swarm, sim_wire *wire, sim_fault fault)
{
    sim_phase phase = wire->phase;
    if (!sim_swarm_allows(swarm, swarm->at) || !strike(swarm, wire, fault)) return;
    note(swarm, fault, phase);
    sim_tell(swarm->loop->trace, swarm->loop->now, "it was wire %u", wire->id);
}

/* Those that come when somebody asks, not by themselves. */
#define ON_DEMAND (1u << SIM_FAULT_FAIL | 1u << SIM_FAULT_REFUSE | 1u << SIM_FAULT_IGNORE | 1u << SIM_FAULT_FORGET)

static sim_fault choose(sim_swarm *swarm)
{
    uint32_t kinds = swarm->enabled & ~ON_DEMAND;
    unsigned count = (unsigned)__builtin_popcount(kinds);
    if (count == 0) return SIM_FAULT_KINDS;
    for (size_t index = sim_below(&swarm->chance, count); index; index--) kinds &= kinds - 1;
    return (sim_fault)__builtin_ctz(kinds);
}

/* -- when ---------------------------------------------------------------------------------------- */

static sim_wire *some_wire(sim_swarm *swarm)
{
    sim_wire *found = NULL;
    size_t    count = 0;
    sim_wire *wire;
    while ((wire = sim_wire_at(swarm->loop, count)))
        if (sim_below(&swarm->chance, ++count) == 0) found = wire;
    return found;
}

static void arm(sim_swarm *swarm)
{
    if (swarm->calm || !swarm->enabled) return;
    rh_timer_set(&swarm->loop->loop, &swarm->timer, swarm->loop->now + sim_scale(&swarm->chance, RH_MS(1), swarm->pause_most));
}

static void on_timer(void *user, rh_time now)
{
    sim_swarm *swarm = user;
    (void)now;
    begin(swarm, sim_occasion_of('t', swarm->ticks++, 0));
    arm(swarm); /* before anything strikes: the next time comes at the same moment even if this one is left out */
    sim_wire *wire  = some_wire(swarm);
    sim_fault fault = choose(swarm);
    if (wire && fault != SIM_FAULT_KINDS) hit(swarm, wire, fault);
}

static void on_pending(void *user, rh_time now)
{
    sim_pending *p    = user;
    sim_wire    *wire = sim_wire_find(p->swarm->loop, p->wire);
    (void)now;
    begin(p->swarm, p->at);
    p->swarm->chance = sim_swarm_chance(p->swarm, p->at | LATER);
    if (wire) hit(p->swarm, wire, p->fault);
}

static void strike_later(sim_swarm *swarm, const sim_wire *wire, sim_fault fault, rh_time wait)
{
    for (size_t i = 0; i < SIM_PENDING_MAX; i++) {
        sim_pending *p = &swarm->pending[i];
        if (p->timer.is_set) continue;
        *p = (sim_pending){ .timer = { .fn = on_pending, .user = p }, .swarm = swarm, .at = swarm->at, .wire = wire->id, .fault = fault };
        rh_timer_set(&swarm->loop->loop, &p->timer, swarm->loop->now + wait);
        return;
    }
}

static void configure(sim_swarm *swarm, sim_wire *wire)
{
    wire->latency_least    = swarm->latency_least;
    wire->latency_most     = swarm->latency_most;
    wire->return_most      = swarm->return_most;
    wire->bytes_per_second = swarm->bytes_per_second;
    wire->piece_most       = swarm->piece_most;
    wire->window           = swarm->window;
}

static void on_phase(void *user, sim_wire *wire, sim_phase phase)
{
    sim_swarm *swarm = user;
    sim_tell(swarm->loop->trace, swarm->loop->now, "wire %u reaches %s", wire->id, sim_phase_name[phase]);
    if (phase == SIM_CONNECT) configure(swarm, wire);
    begin(swarm, sim_occasion_of('w', wire->id, wire->phases));
    if (swarm->calm || !sim_once_in(&swarm->chance, swarm->phase_odds)) return;
    sim_fault fault = choose(swarm);
    if (fault == SIM_FAULT_KINDS) return;
    strike_later(swarm, wire, fault, sim_below(&swarm->chance, 3 * swarm->latency_most));
}

/* Where the client is that asks. What it sent ahead of an answer comes before the phase that it belongs to. */
static sim_phase asking(const sim_swarm *swarm, rh_emulator_moment moment)
{
    sim_phase least = moment == RH_EMULATOR_TOKEN ? SIM_CBS : moment == RH_EMULATOR_ATTACH ? SIM_ATTACH : SIM_STEADY;
    sim_phase phase = swarm->loop->speaking ? swarm->loop->speaking->phase : least;
    return phase < least && phase < SIM_CBS ? least : phase;
}

rh_emulator_fault sim_swarm_judge(void *user, rh_emulator_moment moment, const char **words)
{
    static const struct { sim_fault fault; rh_emulator_fault does; } kinds[] = {
        { SIM_FAULT_REFUSE, RH_EMULATOR_REFUSE }, { SIM_FAULT_IGNORE, RH_EMULATOR_IGNORE }, { SIM_FAULT_FORGET, RH_EMULATOR_FORGET },
    };
    sim_swarm *swarm = user;
    begin(swarm, sim_occasion_of('r', swarm->requests++, 0));
    size_t i = sim_below(&swarm->chance, sizeof kinds / sizeof *kinds);
    if (!(swarm->enabled & 1u << kinds[i].fault) || !sim_once_in(&swarm->chance, swarm->answer_odds)) return RH_EMULATOR_NO_FAULT;
    if (!sim_swarm_allows(swarm, swarm->at)) return RH_EMULATOR_NO_FAULT;
    *words = condition(swarm);
    note(swarm, kinds[i].fault, asking(swarm, moment));
    return kinds[i].does;
}

static rh_status on_step(void *user, sim_wire *wire, sim_phase phase)
{
    static const rh_status failures[] = { RH_E_NAME, RH_E_REFUSED, RH_E_UNREACHABLE, RH_E_TIMEOUT };
    sim_swarm *swarm = user;
    begin(swarm, sim_occasion_of('d', wire->id, phase));
    bool fails = swarm->enabled & 1u << SIM_FAULT_FAIL && sim_once_in(&swarm->chance, 6);
    bool hangs = swarm->enabled & 1u << SIM_FAULT_HANG && sim_once_in(&swarm->chance, 12);
    if ((!fails && !hangs) || !sim_swarm_allows(swarm, swarm->at)) return RH_OK;
    sim_fault fault = fails ? SIM_FAULT_FAIL : SIM_FAULT_HANG;
    note(swarm, fault, phase);
    if (!fails) return RH_AGAIN;
    return phase == SIM_TLS ? RH_E_TLS : failures[sim_below(&swarm->chance, sizeof failures / sizeof *failures)];
}

/* -- the swarm ----------------------------------------------------------------------------------- */

void sim_swarm_init(sim_swarm *swarm, sim_loop *loop, uint32_t allowed)
{
    memset(swarm, 0, sizeof *swarm);
    sim_chance *c         = &swarm->chance;
    swarm->loop           = loop;
    *c                    = sim_loop_chance(loop, 2);
    swarm->enabled        = (uint32_t)sim_below(c, 1u << SIM_FAULT_KINDS) & allowed;
    swarm->phase_odds     = sim_scale(c, 4, 200);
    swarm->answer_odds    = sim_scale(c, 4, 500);
    swarm->pause_most     = sim_scale(c, RH_SECONDS(5), RH_SECONDS(120));
    swarm->latency_least  = sim_scale(c, RH_US(10), RH_MS(50));
    swarm->latency_most   = swarm->latency_least + (sim_once_in(c, 2) ? 0 : sim_scale(c, RH_US(10), RH_MS(100)));
    swarm->return_most    = sim_once_in(c, 2) ? 0 : swarm->latency_most;
    swarm->bytes_per_second = sim_once_in(c, 2) ? 0 : sim_scale(c, 1000000, 1000000000);
    swarm->piece_most     = sim_once_in(c, 2) ? 0 : (size_t)sim_scale(c, 512, 65536);
    swarm->window         = (size_t)sim_scale(c, 16384, 1u << 20);
    swarm->timer          = (rh_timer){ .fn = on_timer, .user = swarm };
    loop->hooks           = (sim_net_hooks){ .on_step = on_step, .on_phase = on_phase, .user = swarm };
}

void sim_swarm_start(sim_swarm *swarm, rh_emulator *emulator)
{
    swarm->emulator = emulator;
    arm(swarm);
}

/* A silent wire stays silent: noticing that is the client's work, and has its bound. */
void sim_swarm_calm(sim_swarm *swarm)
{
    sim_wire *wire;
    swarm->calm = true;
    /* A line that takes a few bytes at a time has no fault, but what it has to catch up on would take longer than the calm. */
    swarm->piece_most  = 0;
    swarm->return_most = 0;
    for (size_t i = 0; (wire = sim_wire_at(swarm->loop, i)); i++) {
        configure(swarm, wire);
        sim_wire_mend(wire);
    }
}
