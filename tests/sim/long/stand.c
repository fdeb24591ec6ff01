#include "tests/sim/long/stand.h"

#include "eventhub/connection.h"
#include "proto/engine.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

uint64_t sim_seed = 1;

rh_time sim_now(const sim_stand *stand)
{
    return stand->loop.now;
}

void sim_wrong(sim_stand *stand, const char *format, ...)
{
    char    text[400];
    va_list list;
    if (stand->model.wrong[0]) return;
    va_start(list, format);
    (void)vsnprintf(text, sizeof text, format, list);
    va_end(list);
    rh_time at = stand->loop.now - stand->trace.origin;
    sim_model_wrong(&stand->model, "%s (at %llu.%06llu s)", text, (unsigned long long)(at / RH_SECONDS(1)), (unsigned long long)(at % RH_SECONDS(1) / 1000));
}

bool sim_is_wrong(const sim_stand *stand)
{
    return stand->model.wrong[0] || stand->loop.broken;
}

bool sim_report(sim_stand *stand, const char *run, const char *format, ...)
{
    char    text[512];
    va_list list;
    if (stand->loop.broken) sim_wrong(stand, "%s", stand->loop.broken);
    va_start(list, format);
    (void)vsnprintf(text, sizeof text, format, list);
    va_end(list);
    bool wrong = stand->model.wrong[0];
    printf("%-10s %s%s\n", run, wrong ? "WRONG: " : "", wrong ? stand->model.wrong : text);
    return !wrong;
}

/* -- the wire ------------------------------------------------------------------------------------ */

sim_watch *sim_watch_of(sim_stand *stand, const sim_wire *wire)
{
    sim_watch *watch = &stand->watches[wire->id % SIM_WATCHES];
    if (watch->used && watch->wire == wire->id) return watch;
    memset(watch, 0, sizeof *watch);
    watch->used = true;
    watch->wire = wire->id;
    return watch;
}

static void on_bytes(void *user, sim_wire *wire, int end, const uint8_t *bytes, size_t n)
{
    sim_stand *stand = user;
    sim_watch_bytes(sim_watch_of(stand, wire), wire, end, bytes, n, stand->on_frame, stand->user);
}

sim_wire *sim_only_wire(const sim_stand *stand)
{
    return sim_wire_at(&stand->loop, 1) ? NULL : sim_wire_at(&stand->loop, 0);
}

rh_emu_connection *sim_connection_of(const sim_stand *stand, const sim_wire *wire)
{
    for (rh_emu_connection *c = stand->emulator->connections; c; c = c->next)
        if (c->pipe && wire->end[SIM_SERVER] && sim_wire_of(c->pipe) == wire) return c;
    return NULL;
}

rh_emu_link *sim_link_of(const sim_stand *stand, const char *path, bool sender)
{
    for (rh_emu_connection *c = stand->emulator->connections; c; c = c->next)
        for (rh_emu_link *link = c->links; link; link = link->next)
            if (!link->is_leaving && link->path && strcmp(link->path, path) == 0 && rh_link_is_receiver(link->link) == sender) return link;
    return NULL;
}

/* An engine that dials has begun no session yet: what it begins from now on starts there. */
static void on_phase(void *user, sim_wire *wire, sim_phase phase)
{
    sim_stand *stand = user;
    if (phase == SIM_CONNECT) wire->latency_least = wire->latency_most = stand->latency;
    for (sim_party *party = stand->parties; phase == SIM_CONNECT && stand->first_id && party; party = party->next)
        if (party->client && party->client->engine) party->client->engine->first_id = stand->first_id;
}

/* -- the namespace ------------------------------------------------------------------------------- */

static void *take(void *user, size_t n)
{
    ((sim_stand *)user)->stored_n += n;
    return malloc(n);
}

static void give(void *user, void *p, size_t n)
{
    ((sim_stand *)user)->stored_n -= n;
    free(p);
}

void sim_stand_open(sim_stand *stand, const rh_emulator_opts *given)
{
    rh_emulator_opts opts = *given;
    rh_error         error;
    uint32_t         first_id = stand->first_id;
    rh_time          latency  = stand->latency;
    sim_frame_fn     on_frame = stand->on_frame;
    void            *user     = stand->user;
    memset(stand, 0, sizeof *stand);
    stand->first_id = first_id;
    stand->latency  = latency ? latency : RH_MS(1);
    stand->on_frame = on_frame;
    stand->user     = user;
    sim_model_init(&stand->model, 4711);
    sim_loop_init(&stand->loop, sim_seed, &stand->trace);
    stand->loop.hooks = (sim_net_hooks){ .on_phase = on_phase, .on_bytes = on_bytes, .user = stand };
    opts.size = sizeof opts, opts.rule = SIM_RULE, opts.key = SIM_KEY, opts.listen_port = 5672, opts.hub_count = 1, opts.limits.first_id = first_id;
    if (rh_emulator_create(&stand->loop.loop, &opts, &stand->emulator, &error) != RH_OK) {
        sim_wrong(stand, "no namespace: %s", error.description);
        return;
    }
    stand->store                     = (rh_allocator){ take, give, stand };
    stand->emulator->store.allocator = &stand->store;
}

void sim_stand_close(sim_stand *stand)
{
    rh_emulator_stats stats = sim_stats(stand);
    if (stats.peer_errors > stand->forgiven) sim_wrong(stand, "the emulator counted %llu protocol violations", (unsigned long long)stats.peer_errors);
    rh_emulator_destroy(stand->emulator);
    rh_time until = stand->loop.now + RH_SECONDS(10);
    while (stand->loop.pipes && rh_loop_turn(&stand->loop.loop, until) == RH_OK && stand->loop.now < until) continue;
    sim_loop_fini(&stand->loop);
    if (stand->loop.allocations) sim_wrong(stand, "%zu pieces of memory are left, %zu bytes", stand->loop.allocations, stand->loop.allocated);
    if (stand->stored_n) sim_wrong(stand, "%zu bytes of events are left", stand->stored_n);
    sim_model_fini(&stand->model);
    stand->model.events = NULL;
}

rh_emulator_stats sim_stats(const sim_stand *stand)
{
    rh_emulator_stats stats = { 0 };
    if (stand->emulator) rh_emulator_stats_read(stand->emulator, &stats);
    return stats;
}

void sim_pass_until(sim_stand *stand, rh_time until)
{
    while (stand->loop.now < until && !sim_is_wrong(stand))
        if (rh_loop_turn(&stand->loop.loop, until) != RH_OK) break;
}

void sim_pass(sim_stand *stand, rh_time time)
{
    sim_pass_until(stand, stand->loop.now + time);
}

void sim_judge_heartbeats(sim_stand *stand, const sim_watch *watch, uint32_t client_ms, uint32_t server_ms)
{
    const rh_time limits[2] = { [SIM_CLIENT] = RH_MS(client_ms) / 2, [SIM_SERVER] = RH_MS(server_ms) / 2 };
    for (int end = 0; end < 2; end++) {
        const sim_lane *lane = &watch->lanes[end];
        rh_time         gap  = lane->gap_most, since = stand->loop.now - lane->last_at;
        if (lane->opened && since > gap) gap = since;
        if (gap > limits[end])
            sim_wrong(stand, "wire %u: no frame left for the %s for %.6f s, which announced %.3f s", watch->wire, end == SIM_CLIENT ? "client" : "server",
                      (double)gap / 1e9, (double)limits[end] * 2 / 1e9);
    }
}

/* -- clients ------------------------------------------------------------------------------------- */

static void on_log(void *user, rh_log_level level, const char *id, const char *text)
{
    sim_party *party = user;
    party->records[level]++;
    if (strstr(text, SIM_KEY)) sim_wrong(party->stand, "a secret was shown: %s", text);
    if (level <= RH_LOG_WARNING) (void)snprintf(party->record, sizeof party->record, "%s: %.200s", id, text);
    sim_tell(&party->stand->trace, party->stand->loop.now, "log %d %s: %s", level, id, text);
}

static void on_state(void *user, rh_client *client, rh_client_state state, const rh_error *error)
{
    sim_party *party = user;
    party->opens += state == RH_CLIENT_OPEN;
    party->closes += state == RH_CLIENT_CLOSED;
    if (state == RH_CLIENT_CONNECTING && error) {
        party->losses++;
        party->loss    = *error;
        party->lost_at = party->stand->loop.now;
    }
    if (party->handler.on_state) party->handler.on_state(party->user, client, state, error);
}

static void on_retry(void *user, rh_client *client, const rh_retry *retry)
{
    sim_party *party = user;
    party->retries++;
    if (party->handler.on_retry) party->handler.on_retry(party->user, client, retry);
}

void sim_party_make(sim_party *party, sim_stand *stand, const rh_client_opts *given)
{
    rh_client_opts opts = *given;
    rh_error       error;
    *party = (sim_party){ .stand = stand, .next = stand->parties, .handler = given->handler, .user = given->user };
    stand->parties = party;
    opts.size = sizeof opts;
    if (!opts.connection_string)
        opts.connection_string = opts.credential ? "Endpoint=sb://sim/;EntityPath=hub;UseDevelopmentEmulator=true"
                                                 : "Endpoint=sb://sim/;SharedAccessKeyName=" SIM_RULE ";SharedAccessKey=" SIM_KEY ";EntityPath=hub;UseDevelopmentEmulator=true";
    opts.handler = (rh_client_handler){ .on_state = on_state, .on_retry = on_retry, .on_frame = given->handler.on_frame };
    opts.user    = party;
    opts.log     = (rh_log){ on_log, party };
    rh_status status = rh_client_create(&stand->loop.loop, &opts, &party->client, &error);
    if (status != RH_OK) sim_wrong(stand, "no client: %s", error.description);
}

void sim_party_close(sim_party *party)
{
    sim_stand *stand = party->stand;
    rh_time    until = stand->loop.now + RH_SECONDS(10);
    if (!party->client) return;
    rh_client_close(party->client, until, NULL, NULL);
    while (!party->closes && stand->loop.now < until && rh_loop_turn(&stand->loop.loop, until) == RH_OK) continue;
    if (!party->closes) sim_wrong(stand, "a client did not close");
    rh_client_destroy(party->client);
    party->client = NULL;
    for (sim_party **at = &stand->parties; *at; at = &(*at)->next)
        if (*at == party) {
            *at = party->next;
            break;
        }
}
