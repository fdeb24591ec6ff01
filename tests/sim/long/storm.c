/*
 * A service that is away for ten minutes and two hundred clients that want it back: they come spread, less and less often, and all of them
 * within a pause once it is there.
 */
#include "tests/sim/long/stand.h"

#define CLIENTS 200
#define AWAY    RH_SECONDS(600)
#define BUCKET  RH_MS(20)
#define CAP     RH_SECONDS(30) /* the longest pause between two tries */

static struct {
    sim_stand    stand;
    sim_party    parties[CLIENTS];
    rh_producer *producers[CLIENTS];
    bool         away;
    rh_time      since;
    uint64_t     dials, bucket, peak;
    rh_time      bucket_at;
} t;

static rh_status on_step(void *user, sim_wire *wire, sim_phase phase)
{
    (void)user, (void)wire, (void)phase;
    t.dials++;
    if (sim_now(&t.stand) >= t.bucket_at + BUCKET) {
        t.bucket    = 0;
        t.bucket_at = sim_now(&t.stand);
    }
    if (++t.bucket > t.peak) t.peak = t.bucket;
    return t.away ? RH_E_REFUSED : RH_OK;
}

static uint32_t count_open(void)
{
    uint32_t count = 0;
    for (size_t i = 0; i < CLIENTS; i++) count += rh_producer_is_open(t.producers[i]);
    return count;
}

static void open_all(void)
{
    memset(&t, 0, sizeof t);
    sim_stand_open(&t.stand, RH_EMULATOR_OPTS(.hubs = SIM_HUB(4)));
    for (size_t i = 0; i < CLIENTS; i++) {
        sim_party_make(&t.parties[i], &t.stand, RH_CLIENT_OPTS(.hub = "hub"));
        if (rh_producer_open(t.parties[i].client, NULL, &t.producers[i]) != RH_OK) sim_wrong(&t.stand, "no producer");
    }
    sim_pass(&t.stand, RH_SECONDS(30));
    if (count_open() != CLIENTS) sim_wrong(&t.stand, "%u of %u are open", count_open(), CLIENTS);
    t.stand.loop.hooks.on_step = on_step;
}

static void cut_all(void)
{
    t.away  = true;
    t.since = sim_now(&t.stand);
    for (size_t i = 0; sim_wire_at(&t.stand.loop, i); i++) sim_wire_reset(sim_wire_at(&t.stand.loop, i));
}

bool sim_run_storm(void)
{
    open_all();
    cut_all();
    sim_pass(&t.stand, AWAY);
    uint64_t each = t.dials / CLIENTS, peak = t.peak;
    /* Seven doublings to the cap, and then one in fifteen seconds on average. */
    if (each > 7 + 2 * AWAY / CAP * 3 / 2) sim_wrong(&t.stand, "each client dialed %llu times in ten minutes", (unsigned long long)each);
    /* The first tries of all are spread over 200 ms: a tenth of them in a tenth of that, and some more by chance. */
    if (peak > CLIENTS / 10 * 5 / 2) sim_wrong(&t.stand, "%llu dials came within %u ms", (unsigned long long)peak, (unsigned)(BUCKET / RH_MS(1)));
    t.away         = false;
    rh_time back   = sim_now(&t.stand);
    while (count_open() < CLIENTS && sim_now(&t.stand) < back + CAP + RH_SECONDS(5) && !sim_is_wrong(&t.stand)) sim_pass(&t.stand, RH_MS(10));
    rh_time took = sim_now(&t.stand) - back;
    if (count_open() != CLIENTS) sim_wrong(&t.stand, "%u of %u are open again after %.1f s", count_open(), CLIENTS, (double)took / 1e9);
    for (size_t i = 0; i < CLIENTS; i++) {
        if (t.parties[i].losses != 1 || t.parties[i].closes) sim_wrong(&t.stand, "a client was told %llu times that it lost its connection", (unsigned long long)t.parties[i].losses);
        rh_producer_destroy(t.producers[i]);
    }
    for (size_t i = 0; i < CLIENTS; i++) sim_party_close(&t.parties[i]);
    sim_stand_close(&t.stand);
    return sim_report(&t.stand, "storm", "%u clients, a service away for 10 minutes: %llu dials each, at most %llu of all within 20 ms; told once each, all back %.1f s after the service", CLIENTS,
                      (unsigned long long)each, (unsigned long long)peak, (double)took / 1e9);
}
