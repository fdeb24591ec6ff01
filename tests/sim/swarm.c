#include "tests/sim/swarm.h"

#include <stdlib.h>

const char *const sim_fault_name[SIM_FAULT_KINDS] = {
#define SIM_FAULT_NAME(name, text) text,
    SIM_FAULTS(SIM_FAULT_NAME)
#undef SIM_FAULT_NAME
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

/* Some phases are short: in some worlds one of them is watched for. */
#define FOCUS_ODDS 2

/* -- striking ------------------------------------------------------------------------------------ */

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
    if (!sim_swarm_allows(swarm, swarm->at) || !sim_swarm_strike(swarm, wire, fault)) return;
    note(swarm, fault, phase);
    sim_tell(swarm->loop->trace, swarm->loop->now, "it was wire %u", wire->id);
}

/* Those that come when somebody asks, not by themselves. */
#define ON_DEMAND (1u << SIM_FAULT_FAIL | 1u << SIM_FAULT_REFUSE | 1u << SIM_FAULT_IGNORE | 1u << SIM_FAULT_FORGET | 1u << SIM_FAULT_LATE | 1u << SIM_FAULT_TOKEN)

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
    if (swarm->calm || !sim_once_in(&swarm->chance, phase == swarm->focus ? FOCUS_ODDS : swarm->phase_odds)) return;
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
        { SIM_FAULT_LATE, RH_EMULATOR_LATE },
    };
    sim_swarm *swarm = user;
    begin(swarm, sim_occasion_of('r', swarm->requests++, 0));
    if (swarm->loop->now < swarm->busy_until && (moment == RH_EMULATOR_SEND || sim_once_in(&swarm->chance, 4))) {
        *words = "com.microsoft:server-busy";
        return RH_EMULATOR_REFUSE;
    }
    sim_phase phase = asking(swarm, moment);
    size_t    i     = sim_below(&swarm->chance, sizeof kinds / sizeof *kinds);
    if (!(swarm->enabled & 1u << kinds[i].fault) || !sim_once_in(&swarm->chance, phase == swarm->focus ? FOCUS_ODDS : swarm->answer_odds)) return RH_EMULATOR_NO_FAULT;
    if (!sim_swarm_allows(swarm, swarm->at)) return RH_EMULATOR_NO_FAULT;
    if (kinds[i].fault == SIM_FAULT_LATE && moment == RH_EMULATOR_ATTACH) return RH_EMULATOR_NO_FAULT;
    *words                   = sim_swarm_condition(swarm);
    swarm->emulator->late_ms = (uint32_t)sim_scale(&swarm->chance, 1, 20000);
    note(swarm, kinds[i].fault, phase);
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

sim_token_fault sim_swarm_token(sim_swarm *swarm, sim_occasion at, sim_phase phase, rh_time *wait)
{
    begin(swarm, at);
    *wait = 0;
    bool enabled = swarm->enabled & 1u << SIM_FAULT_TOKEN;
    if (!enabled || !sim_once_in(&swarm->chance, phase == swarm->focus ? FOCUS_ODDS : 4) || !sim_swarm_allows(swarm, swarm->at)) return SIM_TOKEN_GOOD;
    sim_token_fault fault = SIM_TOKEN_FAILS; /* the one that must pass: as often as all others */
    if (sim_once_in(&swarm->chance, 2)) fault = (sim_token_fault)sim_between(&swarm->chance, SIM_TOKEN_GOOD + 1, SIM_TOKEN_FAULTS - 1);
    *wait                 = sim_scale(&swarm->chance, RH_MS(1), RH_SECONDS(30));
    note(swarm, SIM_FAULT_TOKEN, phase);
    return fault;
}

/* A name that is found late, and addresses that are tried in vain before the one that answers, a quarter of a second each. */
static rh_time on_dial(void *user, sim_wire *wire)
{
    sim_swarm *swarm = user;
    begin(swarm, sim_occasion_of('d', wire->id, 2));
    bool enabled = swarm->enabled & 1u << SIM_FAULT_FAIL;
    if (!enabled || !sim_once_in(&swarm->chance, 4) || !sim_swarm_allows(swarm, swarm->at)) return 0;
    note(swarm, SIM_FAULT_FAIL, SIM_CONNECT);
    return sim_once_in(&swarm->chance, 2) ? sim_scale(&swarm->chance, RH_MS(1), RH_SECONDS(20)) : RH_MS(250) * sim_between(&swarm->chance, 1, 9);
}

/* -- the swarm ----------------------------------------------------------------------------------- */

static void on_stingy(void *user, rh_time now)
{
    (void)now;
    sim_swarm_generous(user);
}

void sim_swarm_init(sim_swarm *swarm, sim_loop *loop, uint32_t allowed)
{
    memset(swarm, 0, sizeof *swarm);
    sim_chance *c         = &swarm->chance;
    swarm->loop           = loop;
    *c                    = sim_loop_chance(loop, 2);
    swarm->enabled        = (uint32_t)sim_below(c, 1u << SIM_FAULT_KINDS) & allowed;
    swarm->phase_odds     = sim_scale(c, 4, 200);
    swarm->focus          = sim_once_in(c, 2) ? SIM_PHASES : (sim_phase)sim_below(c, SIM_PHASES);
    swarm->answer_odds    = sim_scale(c, 4, 500);
    swarm->pause_most     = sim_scale(c, RH_SECONDS(5), RH_SECONDS(120));
    swarm->latency_least  = sim_scale(c, RH_US(10), RH_MS(50));
    swarm->latency_most   = swarm->latency_least + (sim_once_in(c, 2) ? 0 : sim_scale(c, RH_US(10), RH_MS(100)));
    swarm->return_most    = sim_once_in(c, 2) ? 0 : swarm->latency_most;
    swarm->bytes_per_second = sim_once_in(c, 2) ? 0 : sim_scale(c, 1000000, 1000000000);
    swarm->piece_most     = sim_once_in(c, 2) ? 0 : (size_t)sim_scale(c, 512, 65536);
    swarm->window         = (size_t)sim_scale(c, 16384, 1u << 20);
    swarm->timer          = (rh_timer){ .fn = on_timer, .user = swarm };
    swarm->stingy         = (rh_timer){ .fn = on_stingy, .user = swarm };
    loop->hooks           = (sim_net_hooks){ .on_step = on_step, .on_dial = on_dial, .on_phase = on_phase, .user = swarm };
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
    swarm->calm       = true;
    swarm->busy_until = 0;
    sim_swarm_generous(swarm);
    /* A line that takes a few bytes at a time has no fault, but what it has to catch up on would take longer than the calm. */
    swarm->piece_most  = 0;
    swarm->return_most = 0;
    for (size_t i = 0; (wire = sim_wire_at(swarm->loop, i)); i++) {
        configure(swarm, wire);
        sim_wire_mend(wire);
    }
}
