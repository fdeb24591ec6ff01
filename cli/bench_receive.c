#include "cli/bench.h"

#include <stdlib.h>

/* One consumer. */
struct lane {
    struct bench *bench;
    rh_consumer  *consumer;
};

/* How old it is: the service's clock against ours. One from the future is counted apart, and as new. */
static void note_age(struct bench *bench, const rh_event *event)
{
    int64_t age_ms = rh_loop_wall_ms(bench->loop) - rh_event_enqueued_time_ms(event);
    if (age_ms < 0) bench->behind++;
    rh_bench_sample(bench, age_ms > 0 ? RH_MS(age_ms) : 0);
}

static void on_event(void *user, rh_consumer *consumer, const rh_event *event)
{
    (void)consumer;
    struct lane *lane = user;
    struct bench *bench = lane->bench;
    /* With nothing to warm up the first event opens the window, else what comes while links attach would be lost to the count. */
    if (bench->phase == BENCH_OPENING && bench->opts->warm_up == 0) rh_bench_begin(bench);
    if (bench->phase != BENCH_MEASURING) return;
    bench->events++;
    bench->messages++;
    bench->bytes += rh_event_body(event).n;
    bench->to = rh_loop_now(bench->loop);
    if (bench->opts->position.kind == RH_POSITION_LATEST) note_age(bench, event);
    if (bench->events == bench->opts->count) rh_bench_end(bench);
}

static void on_state(void *user, rh_consumer *consumer, rh_consumer_state state, const rh_error *error)
{
    struct lane *lane = user;
    char where[RH_PARTITION_ID_MAX + 16];
    snprintf(where, sizeof where, "partition %s", rh_consumer_partition(consumer));
    /* One that was lost opens again, and counts once. */
    if (state == RH_CONSUMER_OPEN) lane->bench->open++;
    else if (state == RH_CONSUMER_RECOVERING) lane->bench->open--;
    else if (error) rh_bench_fail(lane->bench, where, error);
}

static rh_status open_lane(struct bench *bench, const char *partition)
{
    const struct bench_opts *opts = bench->opts;
    struct lane *lane = (struct lane *)bench->lanes + bench->lane_count;
    lane->bench = bench;
    rh_client *client = bench->connections[bench->lane_count % opts->connections].client;
    bench->lane_count++;
    return rh_consumer_open(client, RH_CONSUMER_OPTS(.group = opts->group, .partition = partition, .position = opts->position,
                                                     .prefetch = (uint32_t)opts->prefetch, .user = lane,
                                                     .handler = { .on_event = on_event, .on_state = on_state }), &lane->consumer);
}

static int open_lanes(struct bench *bench)
{
    const struct bench_opts *opts = bench->opts;
    rh_hub_properties hub = { .partition_count = 1, .partition_ids = &opts->partition };
    rh_error error;
    struct connection *first = &bench->connections[0];
    if (!opts->partition && rh_cli_hub(first, &hub, opts->connect.timeout_ms, &error) != RH_OK) {
        rh_bench_fail(bench, rh_client_hub(first->client), &error);
        return FAILED;
    }
    uint64_t lanes = hub.partition_count > opts->connections ? hub.partition_count : opts->connections;
    bench->lanes = calloc(lanes, sizeof(struct lane));
    if (!bench->lanes) return rh_command_failed(&rh_command_bench, "%s", rh_status_name(RH_E_MEMORY));
    for (uint64_t i = 0; i < lanes; i++) {
        const char *partition = hub.partition_ids[i % hub.partition_count];
        rh_status status = open_lane(bench, partition);
        if (status == RH_OK) continue;
        rh_error_set(&error, status, NULL, rh_status_words(status));
        rh_bench_fail(bench, partition, &error);
        return FAILED;
    }
    return DONE;
}

/* Nothing is waited for: what is still under way was not asked for. */
static bool is_drained(const struct bench *bench)
{
    (void)bench;
    return true;
}

static void close_lanes(struct bench *bench)
{
    struct lane *lanes = bench->lanes;
    for (uint32_t i = 0; i < bench->lane_count; i++) rh_consumer_destroy(lanes[i].consumer);
    free(lanes);
}

const struct bench_task rh_bench_receive = { "receive", "pgfP", open_lanes, NULL, is_drained, close_lanes, true };
