/*
 * Serial numbers that wrap: transfer ids, delivery ids and delivery counts of both sides start shortly before they do, and the tale is
 * the one of numbers that start at nothing [1.6.6, RFC 1982].
 */
#include "tests/sim/long/traffic.h"

#include "eventhub/connection.h"
#include "proto/engine.h"

#define PARTITIONS 2
#define SOURCES    3
#define HOUR       RH_SECONDS(3600)

typedef struct all_tales {
    sim_tale sent[SOURCES], seen[PARTITIONS];
} all_tales;

static struct {
    sim_stand  stand;
    sim_party  party;
    sim_source sources[SOURCES];
    sim_sink   sinks[PARTITIONS];
    uint64_t   transfers;
} t;

static void on_frame(void *user, const sim_frame *frame)
{
    (void)user;
    t.transfers += frame->code == SIM_PERF_TRANSFER;
}

/* Frames of a kilobyte, few at a time: every number moves, and every window has to be told of anew. */
static void open_all(uint32_t first_id)
{
    memset(&t, 0, sizeof t);
    t.stand.first_id = first_id;
    t.stand.on_frame = on_frame;
    sim_stand_open(&t.stand, RH_EMULATOR_OPTS(.hubs = SIM_HUB(PARTITIONS), .retention_ms = 48 * 3600 * 1000,
                                              .limits = { .max_frame_bytes = 1024, .window = 64, .credit = 8 }));
    sim_party_make(&t.party, &t.stand, RH_CLIENT_OPTS(.max_frame_size = 1024, .session_window = 64));
    for (uint32_t i = 0; i < SOURCES; i++) {
        t.sources[i] = (sim_source){ .party = &t.party, .id = i, .partition = i % PARTITIONS, .in_flight = i == 2 ? 4 : 1, .batch_most = 5, .size_most = 8000,
                                     .pause_least = RH_MS(100), .pause_most = RH_SECONDS(20) };
        sim_source_open(&t.sources[i]);
    }
    for (uint32_t i = 0; i < PARTITIONS; i++) {
        t.sinks[i] = (sim_sink){ .party = &t.party, .partition = i, .prefetch = 16 };
        sim_sink_open(&t.sinks[i]);
    }
}

static void detach(const char *path, bool sender)
{
    rh_emu_link *link = sim_link_of(&t.stand, path, sender);
    if (!link) {
        sim_wrong(&t.stand, "there is no link to %s", path);
        return;
    }
    link->is_leaving = true;
    (void)!rh_link_detach(link->link, true, "amqp:link:detach-forced", "A test detaches this link.");
    rh_emu_connection_wake(link->connection);
}

static void judge_start(uint32_t first_id)
{
    sim_wire *wire = sim_only_wire(&t.stand);
    if (!wire) return;
    const rh_emu_connection *connection = sim_connection_of(&t.stand, wire);
    if (t.party.client->engine->first_id != first_id || connection->engine->first_id != first_id) sim_wrong(&t.stand, "numbers did not start where they should");
}

static bool run_once(uint32_t first_id, all_tales *out, uint64_t *events)
{
    open_all(first_id);
    sim_pass(&t.stand, HOUR / 4);
    judge_start(first_id);
    detach("hub/Partitions/0", true);
    sim_pass(&t.stand, HOUR / 4);
    detach("hub/ConsumerGroups/$Default/Partitions/1", false);
    sim_pass(&t.stand, HOUR / 4);
    if (sim_only_wire(&t.stand)) sim_wire_reset(sim_only_wire(&t.stand));
    sim_pass(&t.stand, HOUR / 4);
    for (size_t i = 0; i < SOURCES; i++) sim_source_stop(&t.sources[i]);
    sim_pass(&t.stand, RH_SECONDS(60));
    *events = 0;
    for (size_t i = 0; i < SOURCES; i++) {
        sim_judge_done(&t.sources[i], &t.sinks[t.sources[i].partition]);
        *events += t.sources[i].events;
        out->sent[i]      = t.sources[i].tale;
        t.sources[i].tale = (sim_tale){ 0 };
        sim_source_close(&t.sources[i]);
    }
    for (size_t i = 0; i < PARTITIONS; i++) {
        out->seen[i]    = t.sinks[i].tale;
        t.sinks[i].tale = (sim_tale){ 0 };
        sim_sink_close(&t.sinks[i]);
    }
    if (!sim_is_wrong(&t.stand)) sim_model_judge(&t.stand.model, t.stand.emulator);
    sim_party_close(&t.party);
    sim_stand_close(&t.stand);
    return !sim_is_wrong(&t.stand);
}

static void compare(const all_tales *a, const all_tales *b, uint32_t first_id)
{
    for (size_t i = 0; i < SOURCES; i++)
        if (sim_tale_differs(&a->sent[i], &b->sent[i]) != SIZE_MAX) sim_wrong(&t.stand, "numbers from %u: producer %zu tells another tale in line %zu", first_id, i, sim_tale_differs(&a->sent[i], &b->sent[i]));
    for (size_t i = 0; i < PARTITIONS; i++)
        if (sim_tale_differs(&a->seen[i], &b->seen[i]) != SIZE_MAX) sim_wrong(&t.stand, "numbers from %u: partition %zu tells another tale in line %zu", first_id, i, sim_tale_differs(&a->seen[i], &b->seen[i]));
}

static void drop(all_tales *tales)
{
    for (size_t i = 0; i < SOURCES; i++) sim_tale_drop(&tales->sent[i]);
    for (size_t i = 0; i < PARTITIONS; i++) sim_tale_drop(&tales->seen[i]);
}

bool sim_run_wrap(void)
{
    static const uint32_t starts[] = { UINT32_MAX, UINT32_MAX - 2, UINT32_MAX - 99, UINT32_MAX - 2999, INT32_MAX - 2u, INT32_MAX - 999u };
    all_tales plain = { 0 }, other = { 0 };
    uint64_t events = 0, transfers;
    bool     right = run_once(0, &plain, &events);
    transfers      = t.transfers;
    for (size_t i = 0; i < sizeof starts / sizeof *starts && right; i++) {
        right = run_once(starts[i], &other, &events);
        if (right) compare(&plain, &other, starts[i]);
        drop(&other);
        right = !sim_is_wrong(&t.stand);
    }
    drop(&plain);
    return sim_report(&t.stand, "wrap", "%zu starts before 2^32 and 2^31, an hour each of %llu events in %llu transfers, a detach on either side and a reset: the same lines at the same times as from 0",
                      sizeof starts / sizeof *starts, (unsigned long long)events, (unsigned long long)transfers);
}
