/* A day without traffic: no end closes for idleness, and what each announced is honoured on the wire. */

#include "tests/sim/long/stand.h"

#define DAY (24 * RH_SECONDS(3600))

static const uint32_t seconds[] = { 1, 2, 5, 10, 30, 60, 120, 240, 600 };

static struct {
    uint64_t heartbeats, days;
    rh_time  latest; /* of all gaps, in thousandths of what was announced */
} total;

static void keep_latest(rh_time gap, uint32_t announced_ms)
{
    rh_time part = gap * 1000 / RH_MS(announced_ms);
    if (part > total.latest) total.latest = part;
}

/* One connection with a producer and a consumer that have nothing to do. */
static bool idle_day(uint32_t client_ms, uint32_t server_ms)
{
    static sim_stand stand;
    sim_party        party;
    rh_producer     *producer = NULL;
    rh_consumer     *consumer = NULL;
    sim_stand_open(&stand, RH_EMULATOR_OPTS(.hubs = SIM_HUB(2), .limits = { .idle_time_out_ms = server_ms, .sender_idle_ms = UINT32_MAX }));
    sim_party_make(&party, &stand, RH_CLIENT_OPTS(.idle_time_out_ms = client_ms));
    if (rh_producer_open(party.client, RH_PRODUCER_OPTS(.partition = "0"), &producer) != RH_OK) sim_wrong(&stand, "no producer");
    if (rh_consumer_open(party.client, RH_CONSUMER_OPTS(.partition = "1"), &consumer) != RH_OK) sim_wrong(&stand, "no consumer");
    sim_pass(&stand, DAY);

    sim_watch *watch = &stand.watches[0];
    if (stand.loop.wires != 1 || party.opens != 1 || party.losses || party.closes || party.retries)
        sim_wrong(&stand, "%u connections, %llu losses, %llu retries", stand.loop.wires, (unsigned long long)party.losses, (unsigned long long)party.retries);
    if (!rh_producer_is_open(producer) || rh_consumer_state_of(consumer) != RH_CONSUMER_OPEN) sim_wrong(&stand, "a link did not stay open");
    if (party.records[RH_LOG_WARNING] + party.records[RH_LOG_ERROR]) sim_wrong(&stand, "a record of the log: %s", party.record);
    sim_judge_heartbeats(&stand, watch, client_ms, server_ms);
    total.days++;
    total.heartbeats += watch->lanes[0].heartbeats + watch->lanes[1].heartbeats;
    keep_latest(watch->lanes[SIM_CLIENT].gap_most, client_ms);
    keep_latest(watch->lanes[SIM_SERVER].gap_most, server_ms);
    rh_producer_destroy(producer);
    rh_consumer_destroy(consumer);
    sim_party_close(&party);
    sim_stand_close(&stand);
    if (!sim_is_wrong(&stand)) return true;
    return sim_report(&stand, "idle", "%s", "");
}

bool sim_run_idle(void)
{
    static sim_stand none;
    bool             right = true;
    memset(&total, 0, sizeof total);
    for (size_t i = 0; i < sizeof seconds / sizeof *seconds && right; i++)
        right = idle_day(60000, seconds[i] * 1000) && idle_day(seconds[i] * 1000, 240000) && idle_day(seconds[i] * 1000, seconds[i] * 1000);
    if (!right) return false;
    return sim_report(&none, "idle", "%llu days of 24 h, time-outs of 1 to 600 s on either side: 0 closes, %llu heartbeats, a frame at the latest after %llu/1000 of what was announced",
                      (unsigned long long)total.days, (unsigned long long)total.heartbeats, (unsigned long long)total.latest);
}
