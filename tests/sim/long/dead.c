/* Busy links that the service ends all the time: the client answers each end once, and says nothing more to what is gone. */

#include "tests/sim/long/manners.h"
#include "tests/sim/long/traffic.h"

#define PARTITIONS 3
#define BLOWS      1000

static struct {
    sim_stand   stand;
    sim_party   party;
    sim_manners manners;
    sim_chance  chance;
    sim_source  sources[PARTITIONS];
    sim_sink    sinks[PARTITIONS];
    uint64_t    detaches, ends, closes;
} t;

static void on_frame(void *user, const sim_frame *frame)
{
    (void)user;
    sim_manners_frame(&t.manners, frame);
}

static void open_all(void)
{
    memset(&t, 0, sizeof t);
    t.chance         = sim_chance_of_seed(sim_seed, 14);
    t.stand.on_frame = on_frame;
    t.stand.latency  = RH_US(1500) + 137; /* no timer of the client falls on an arrival */
    t.manners.stand  = &t.stand;
    sim_stand_open(&t.stand, RH_EMULATOR_OPTS(.hubs = SIM_HUB(PARTITIONS), .limits = { .max_frame_bytes = 2048 }));
    sim_party_make(&t.party, &t.stand, RH_CLIENT_OPTS(.max_frame_size = 2048));
    for (uint32_t i = 0; i < PARTITIONS; i++) {
        t.sources[i] = (sim_source){ .party = &t.party, .id = i, .partition = i, .in_flight = 4, .batch_most = 4, .size_most = 4000, .pause_least = RH_US(100), .pause_most = RH_MS(200) };
        t.sinks[i]   = (sim_sink){ .party = &t.party, .partition = i, .prefetch = 30 };
        sim_source_open(&t.sources[i]);
        sim_sink_open(&t.sinks[i]);
    }
}

static rh_emu_link *some_link(const rh_emu_connection *connection)
{
    size_t count = 0;
    for (rh_emu_link *l = connection->links; l; l = l->next) count += !l->is_leaving;
    if (count == 0) return NULL;
    size_t index = sim_below(&t.chance, count);
    for (rh_emu_link *l = connection->links; l; l = l->next)
        if (!l->is_leaving && index-- == 0) return l;
    return NULL;
}

static void strike(void)
{
    static const char *const conditions[] = { "amqp:link:detach-forced", "amqp:internal-error", "com.microsoft:operation-cancelled", "amqp:connection:forced", NULL };
    const char         *condition  = conditions[sim_below(&t.chance, sizeof conditions / sizeof *conditions)];
    sim_wire           *wire       = sim_only_wire(&t.stand);
    rh_emu_connection  *connection = wire ? sim_connection_of(&t.stand, wire) : NULL;
    if (!connection || rh_engine_phase_of(connection->engine) != RH_ENGINE_OPENED) return;
    rh_emu_link *link = some_link(connection);
    uint64_t     dice = sim_below(&t.chance, 20);
    if (dice == 0) {
        t.closes += rh_engine_close(connection->engine, condition ? condition : "amqp:connection:forced", "A test closes this connection.") == RH_OK;
    } else if (link && dice < 7) {
        t.ends += rh_session_end(rh_link_session(link->link), condition, "A test ends this session.") == RH_OK;
    } else if (link) {
        link->is_leaving = true;
        t.detaches += rh_link_detach(link->link, true, condition, "A test detaches this link.") == RH_OK;
    }
    rh_emu_connection_wake(connection);
}

bool sim_run_dead(void)
{
    uint64_t events = 0;
    open_all();
    sim_pass(&t.stand, RH_SECONDS(2));
    for (unsigned i = 0; i < BLOWS && !sim_is_wrong(&t.stand); i++) {
        strike();
        sim_pass(&t.stand, sim_scale(&t.chance, RH_US(10), RH_SECONDS(5)));
    }
    for (size_t i = 0; i < PARTITIONS; i++) {
        sim_source_stop(&t.sources[i]);
        events += t.sources[i].events;
    }
    sim_pass(&t.stand, RH_SECONDS(60));
    for (size_t i = 0; i < PARTITIONS; i++) sim_judge_done(&t.sources[i], &t.sinks[i]);
    if (!sim_is_wrong(&t.stand)) sim_model_judge(&t.stand.model, t.stand.emulator);
    for (size_t i = 0; i < PARTITIONS; i++) {
        sim_source_close(&t.sources[i]);
        sim_sink_close(&t.sinks[i]);
    }
    sim_party_close(&t.party);
    sim_stand_close(&t.stand);
    return sim_report(&t.stand, "dead", "%llu detaches, %llu ends, %llu closes under %llu events: %llu frames of the client judged, none to the dead, 0 protocol violations",
                      (unsigned long long)t.detaches, (unsigned long long)t.ends, (unsigned long long)t.closes, (unsigned long long)events, (unsigned long long)t.manners.judged);
}
