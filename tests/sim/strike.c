/* What each kind of fault does to a connection, or to the service at its other end. */
#include "tests/sim/swarm.h"

#include "emulator/connection.h"
#include "eventhub/client.h"

#define HOURS_8 RH_SECONDS(8 * 3600)

/* -- what a service says --------------------------------------------------------------------------- */

static bool passes(const rh_condition *condition)
{
    return condition->error_class == RH_CLASS_TRANSIENT || condition->error_class == RH_CLASS_REATTACH || condition->error_class == RH_CLASS_RECONNECT;
}

/* Any that a service is known to say; every other time one that is worth another try, for most are not. */
const char *sim_swarm_condition(sim_swarm *swarm)
{
    size_t count = 0;
    while (rh_condition_at(count)) count++;
    bool                any   = sim_once_in(&swarm->chance, 2);
    size_t              start = sim_below(&swarm->chance, count);
    const rh_condition *found = rh_condition_at(start);
    for (size_t i = 1; !any && !passes(found) && i < count; i++) found = rh_condition_at((start + i) % count);
    return found->symbol;
}

/* -- what it does ---------------------------------------------------------------------------------- */

static rh_emu_connection *connection_of(const sim_swarm *swarm, const sim_wire *wire)
{
    for (rh_emu_connection *c = swarm->emulator->connections; c; c = c->next)
        if (c->pipe && wire->end[SIM_SERVER] && sim_wire_of(c->pipe) == wire) return c;
    return NULL;
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

static bool detach(sim_swarm *swarm, rh_emu_connection *connection, const char *why)
{
    rh_emu_link *link = some_link(swarm, connection);
    if (!link) return false;
    link->is_leaving = true;
    (void)rh_link_detach(link->link, !sim_once_in(&swarm->chance, 8), why, why ? "The simulated service detaches the link." : NULL);
    return true;
}

static bool end(sim_swarm *swarm, rh_emu_connection *connection, const char *why)
{
    rh_emu_link *link = some_link(swarm, connection);
    if (!link) return false;
    (void)rh_session_end(rh_link_session(link->link), why, why ? "The simulated service ends the session." : NULL);
    return true;
}

/* Whatever tokens it has are of no use from now on, and what they covered goes. */
static bool expire(sim_swarm *swarm, rh_emu_connection *connection)
{
    if (!connection->tokens) return false;
    for (rh_emu_token *t = connection->tokens; t; t = t->next) t->expires_ms = 1;
    rh_timer_set(&swarm->loop->loop, &connection->expiry, swarm->loop->now);
    return true;
}

static bool service(sim_swarm *swarm, sim_wire *wire, sim_fault fault)
{
    rh_emu_connection *connection = connection_of(swarm, wire);
    if (!connection || !connection->engine) return false;
    bool opened = rh_engine_phase_of(connection->engine) == RH_ENGINE_OPENED, struck = true;
    if (!opened && (fault != SIM_FAULT_CLOSE || wire->phase != SIM_OPEN)) return false; /* who is asked to open may hang up instead */
    const char *why = sim_once_in(&swarm->chance, 8) ? NULL : sim_swarm_condition(swarm);
    if (fault == SIM_FAULT_CLOSE) (void)rh_engine_close(connection->engine, why, why ? "The simulated service closes the connection." : NULL);
    else if (fault == SIM_FAULT_END) struck = end(swarm, connection, why);
    else if (fault == SIM_FAULT_DETACH) struck = detach(swarm, connection, why);
    else struck = expire(swarm, connection);
    rh_emu_connection_wake(connection);
    return struck;
}

/* -- a service without room ------------------------------------------------------------------------ */

/* Links on which events come in: nodes have no path of their own. */
static void give_credit(sim_swarm *swarm, uint32_t credit)
{
    for (rh_emu_connection *c = swarm->emulator->connections; c; c = c->next) {
        for (rh_emu_link *l = c->links; l; l = l->next)
            if (l->path && !l->is_leaving && rh_link_is_receiver(l->link)) (void)rh_link_credit(l->link, credit);
        if (c->engine) rh_emu_connection_wake(c);
    }
}

void sim_swarm_generous(sim_swarm *swarm)
{
    rh_timer_cancel(&swarm->loop->loop, &swarm->stingy);
    if (!swarm->credit) return;
    swarm->emulator->limits.credit = swarm->credit;
    swarm->credit                  = 0;
    give_credit(swarm, swarm->emulator->limits.credit);
}

/* One draw after the other: compilers do not agree which argument of a call comes first. */
static bool restart(sim_swarm *swarm, sim_chance *chance)
{
    bool    remember = !sim_once_in(chance, 4);
    rh_time away     = sim_scale(chance, RH_MS(1), RH_SECONDS(10));
    return swarm->restart && swarm->restart(swarm->restart_user, away, remember);
}

static bool withhold(sim_swarm *swarm)
{
    rh_timer_set(&swarm->loop->loop, &swarm->stingy, swarm->loop->now + sim_scale(&swarm->chance, RH_MS(100), RH_SECONDS(60)));
    if (swarm->credit) return true;
    swarm->credit                  = swarm->emulator->limits.credit;
    swarm->emulator->limits.credit = 0;
    give_credit(swarm, 0);
    return true;
}

/* -- the line -------------------------------------------------------------------------------------- */

static void slow_down(sim_swarm *swarm, sim_wire *wire)
{
    wire->piece_most       = (size_t)sim_scale(&swarm->chance, 1, 4096);
    wire->bytes_per_second = sim_scale(&swarm->chance, 2000, 1000000);
    wire->latency_most     = wire->latency_least + sim_scale(&swarm->chance, RH_MS(1), RH_MS(500));
}

static bool echo(sim_swarm *swarm, sim_wire *wire)
{
    wire->echo = sim_once_in(&swarm->chance, 2) ? SIM_ECHO_AGAIN : SIM_ECHO_BEYOND;
    return wire->progress.answer_n > 0;
}

static bool suspend(sim_swarm *swarm)
{
    bool long_away = sim_once_in(&swarm->chance, 16);
    sim_loop_suspend(swarm->loop, long_away ? HOURS_8 : sim_scale(&swarm->chance, RH_SECONDS(1), RH_SECONDS(100)));
    return true;
}

bool sim_swarm_strike(sim_swarm *swarm, sim_wire *wire, sim_fault fault)
{
    sim_chance *chance = &swarm->chance;
    int         side   = (int)sim_below(chance, 2);
    switch (fault) {
    case SIM_FAULT_RESET: sim_wire_reset(wire); return true;
    case SIM_FAULT_CUT: wire->cut_at[side] = wire->passed[side] + sim_scale(chance, 1, 100000); return true;
    case SIM_FAULT_GARBAGE: wire->garbage[side] = true; return true;
    case SIM_FAULT_SILENCE: sim_wire_silence(wire); return true;
    case SIM_FAULT_HANG: sim_wire_hang(wire); return true;
    case SIM_FAULT_STALL: sim_wire_stall(wire, side, swarm->loop->now + sim_scale(chance, RH_MS(10), RH_SECONDS(60))); return true;
    case SIM_FAULT_SLOW: slow_down(swarm, wire); return true;
    case SIM_FAULT_SUSPEND: return suspend(swarm);
    case SIM_FAULT_ECHO: return echo(swarm, wire);
    case SIM_FAULT_THROTTLE: swarm->busy_until = swarm->loop->now + sim_scale(chance, RH_MS(100), RH_SECONDS(20)); return true;
    case SIM_FAULT_WITHHOLD: return withhold(swarm);
    case SIM_FAULT_RESTART: return restart(swarm, chance);
    case SIM_FAULT_DETACH:
    case SIM_FAULT_END:
    case SIM_FAULT_EXPIRE:
    case SIM_FAULT_CLOSE: return service(swarm, wire, fault);
    default: return false;
    }
}
