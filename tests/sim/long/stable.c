/* A day of 32 consumers and producers with steady work: nothing is ever attached again without a cause. */

#include "tests/sim/long/tokens.h"
#include "tests/sim/long/traffic.h"

#define PARTITIONS 32
#define DAY        (24 * RH_SECONDS(3600))

static struct {
    sim_stand  stand;
    sim_party  out, in;
    sim_tokens tokens;
    sim_source sources[PARTITIONS];
    sim_sink   sinks[PARTITIONS];
    uint64_t   frames[SIM_PERF_COUNT];
} t;

static void on_frame(void *user, const sim_frame *frame)
{
    (void)user;
    if (frame->code < SIM_PERF_COUNT) t.frames[frame->code]++;
    sim_tokens_frame(&t.tokens, &t.stand, frame);
}

static void open_all(void)
{
    memset(&t, 0, sizeof t);
    t.tokens.lifetime = RH_SECONDS(3600);
    t.stand.on_frame  = on_frame;
    sim_stand_open(&t.stand, RH_EMULATOR_OPTS(.hubs = SIM_HUB(PARTITIONS), .retention_ms = INT64_C(48) * 3600 * 1000, .max_bytes = UINT64_C(1) << 32,
                                              .limits = { .reader_idle_ms = 1800000 }));
    sim_party_make(&t.out, &t.stand, RH_CLIENT_OPTS(.links = PARTITIONS));
    sim_party_make(&t.in, &t.stand, RH_CLIENT_OPTS(.links = PARTITIONS));
    for (uint32_t i = 0; i < PARTITIONS; i++) {
        t.sources[i] = (sim_source){ .party = &t.out, .id = i, .partition = i, .in_flight = 1, .batch_most = 3, .size_most = 500, .pause_least = RH_SECONDS(5), .pause_most = RH_SECONDS(60) };
        t.sinks[i]   = (sim_sink){ .party = &t.in, .partition = i, .prefetch = 30 };
        sim_source_open(&t.sources[i]);
        sim_sink_open(&t.sinks[i]);
    }
    sim_pass(&t.stand, RH_SECONDS(60));
}

bool sim_run_stable(void)
{
    uint64_t events = 0, made, begun;
    open_all();
    made  = t.frames[SIM_PERF_ATTACH];
    begun = t.frames[SIM_PERF_BEGIN];
    sim_pass(&t.stand, DAY);
    if (t.frames[SIM_PERF_ATTACH] != made || t.frames[SIM_PERF_BEGIN] != begun || t.frames[SIM_PERF_DETACH] + t.frames[SIM_PERF_END] + t.frames[SIM_PERF_CLOSE])
        sim_wrong(&t.stand, "%llu attaches, %llu detaches without a cause", (unsigned long long)(t.frames[SIM_PERF_ATTACH] - made), (unsigned long long)t.frames[SIM_PERF_DETACH]);
    if (t.out.retries + t.in.retries + t.out.losses + t.in.losses || t.stand.loop.wires != 2) sim_wrong(&t.stand, "something was tried again");
    for (size_t i = 0; i < PARTITIONS; i++) {
        sim_source_stop(&t.sources[i]);
        events += t.sources[i].events;
    }
    sim_pass(&t.stand, RH_SECONDS(5));
    for (size_t i = 0; i < PARTITIONS; i++) sim_judge_done(&t.sources[i], &t.sinks[i]);
    if (!sim_is_wrong(&t.stand)) sim_model_judge(&t.stand.model, t.stand.emulator);
    for (size_t i = 0; i < PARTITIONS; i++) {
        sim_source_close(&t.sources[i]);
        sim_sink_close(&t.sinks[i]);
    }
    sim_party_close(&t.out);
    sim_party_close(&t.in);
    sim_stand_close(&t.stand);
    return sim_report(&t.stand, "stable", "a day of %u producers and consumers: %llu events, %llu tokens, 0 reattaches", PARTITIONS, (unsigned long long)events, (unsigned long long)t.tokens.puts);
}
