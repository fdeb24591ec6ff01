#include "cli/bench.h"

#include <stdlib.h>
#include <string.h>

/* One producer. With a rate its messages have moments, in turn with those of the other lanes. */
struct lane {
    struct bench *bench;
    rh_producer  *producer;
    rh_timer      timer;
    uint64_t      index, next; /* of the next message */
    rh_time       resting_until;
};

struct lanes {
    struct lane   *each;
    rh_event_data  event; /* the same one again and again */
    uint8_t       *body;
    uint64_t       batch; /* events in a message; 0: what fits */
    double         interval_ns; /* between the messages of all lanes together; 0: no rate */
};

static uint64_t least(uint64_t a, uint64_t b) { return a < b ? a : b; }

/* -- when ------------------------------------------------------------------------------------------- */

/* The intended moment of the lane's next message; without a rate it is now. */
static rh_time moment_of(const struct lane *lane, rh_time now)
{
    const struct bench *bench = lane->bench;
    const struct lanes *lanes = bench->lanes;
    if (lanes->interval_ns == 0) return now;
    uint64_t place = lane->next * bench->lane_count + lane->index;
    return bench->traffic_from + (rh_time)((double)place * lanes->interval_ns);
}

/* How many events the next message may have. */
static uint64_t events_wanted(const struct lane *lane)
{
    const struct bench *bench = lane->bench;
    const struct lanes *lanes = bench->lanes;
    uint64_t wanted = lanes->batch ? lanes->batch : UINT64_MAX;
    return bench->opts->count && bench->phase >= BENCH_MEASURING ? least(wanted, bench->opts->count - bench->taken) : wanted;
}

/* Whether the moment is one of this run: nothing is begun behind the window, but what was to begin in it still is. */
static bool is_within(const struct lane *lane, rh_time moment)
{
    return lane->bench->phase < BENCH_DONE && moment < lane->bench->until && events_wanted(lane) > 0;
}

/* -- how -------------------------------------------------------------------------------------------- */

static void fail_plainly(struct bench *bench, rh_status status, const char *words)
{
    rh_error error;
    rh_error_set(&error, status, NULL, words);
    rh_bench_fail(bench, rh_client_hub(bench->connections[0].client), &error);
}

static rh_status send_single(struct lane *lane, void *tag)
{
    struct lanes *lanes = lane->bench->lanes;
    rh_event_data event = lanes->event;
    if (lane->bench->opts->key) event.partition_key = rh_str(lane->bench->opts->key);
    return rh_producer_send_event(lane->producer, &event, 0, tag);
}

static rh_status send_batch(struct lane *lane, uint64_t events, void *tag, uint64_t *added)
{
    struct lanes *lanes = lane->bench->lanes;
    rh_batch *batch;
    if (rh_producer_in_flight(lane->producer) >= lane->bench->opts->in_flight) return RH_AGAIN;
    rh_status status = rh_batch_create(lane->producer, RH_BATCH_OPTS(.partition_key = lane->bench->opts->key), &batch);
    if (status != RH_OK) return status;
    for (*added = 0; status == RH_OK && *added < events; *added += status == RH_OK) status = rh_batch_add(batch, &lanes->event);
    bool is_full = status == RH_E_BATCH_FULL && *added && lanes->batch == 0;
    if (status == RH_OK || is_full) status = rh_producer_send(lane->producer, batch, 0, tag);
    if (status != RH_OK) rh_batch_destroy(batch);
    return status;
}

/* Sends the next message. The tag is its moment if it belongs to the window, else nothing. */
static rh_status send_next(struct lane *lane, rh_time moment)
{
    struct bench *bench = lane->bench;
    bool counts = moment >= bench->from;
    void *tag = counts ? (void *)(uintptr_t)moment : NULL;
    uint64_t events = events_wanted(lane), added = 1;
    rh_status status = events == 1 ? send_single(lane, tag) : send_batch(lane, events, tag, &added);
    if (status != RH_OK) return status;
    lane->next++;
    if (counts) bench->taken += added;
    return RH_OK;
}

static void pump(struct lane *lane)
{
    struct bench *bench = lane->bench;
    while (!bench->failed && bench->phase >= BENCH_WARMING) {
        rh_time now = rh_bench_now(), moment = moment_of(lane, now);
        if (!is_within(lane, moment)) return;
        if (now < lane->resting_until || now < moment) {
            rh_timer_set(bench->loop, &lane->timer, moment > lane->resting_until ? moment : lane->resting_until);
            return;
        }
        rh_status status = send_next(lane, moment);
        if (status == RH_AGAIN) return;
        if (status == RH_E_TOO_BIG || status == RH_E_BATCH_FULL) fail_plainly(bench, RH_E_TOO_BIG, "so many bytes do not fit into a message");
        else if (status != RH_OK) fail_plainly(bench, status, rh_status_words(status));
    }
}

static void on_timer(void *user, rh_time now)
{
    (void)now;
    pump(user);
}

/* -- what comes of it ------------------------------------------------------------------------------- */

static bool has_all(const struct bench *bench)
{
    return bench->opts->count && bench->events + bench->refused >= bench->opts->count;
}

/* The service is busy: said in the result. The lane rests as long as the service asks for. */
static void note_refusal(struct lane *lane, const rh_sent *sent, rh_time now)
{
    struct bench *bench = lane->bench;
    if (sent->tag) bench->refused += sent->events;
    bench->refusal = sent->status;
    lane->resting_until = rh_time_after(now, RH_MS(sent->error->retry_after_ms));
}

static void note_accepted(struct bench *bench, const rh_sent *sent, rh_time now)
{
    rh_time moment = (rh_time)(uintptr_t)sent->tag;
    bench->events += sent->events;
    bench->messages++;
    bench->bytes += sent->events * bench->opts->size;
    bench->to = now;
    rh_bench_sample(bench, now > moment ? now - moment : 0);
}

static void on_sent(void *user, rh_producer *producer, const rh_sent *sent)
{
    (void)producer;
    struct lane *lane = user;
    struct bench *bench = lane->bench;
    rh_time now = rh_bench_now();
    bool is_refused = sent->status != RH_OK;
    if (is_refused && sent->error->error_class != RH_CLASS_TRANSIENT) {
        rh_bench_fail(bench, rh_client_hub(bench->connections[0].client), sent->error);
        return;
    }
    if (is_refused) note_refusal(lane, sent, now);
    else if (sent->tag) note_accepted(bench, sent, now);
    if (bench->phase == BENCH_MEASURING && has_all(bench)) rh_bench_end(bench);
    if (bench->phase == BENCH_DRAINING) rh_bench_stop(bench);
    pump(lane);
}

static void on_open(void *user, rh_producer *producer)
{
    (void)producer;
    struct lane *lane = user;
    lane->bench->open++;
}

static void on_ready(void *user, rh_producer *producer)
{
    (void)producer;
    pump(user);
}

static void on_closed(void *user, rh_producer *producer, const rh_error *error)
{
    (void)producer;
    struct lane *lane = user;
    if (error) rh_bench_fail(lane->bench, rh_client_hub(lane->bench->connections[0].client), error);
}

/* -- lanes ------------------------------------------------------------------------------------------ */

/* Bytes that do not compress, the same in every run. */
static void fill_body(uint8_t *body, size_t n)
{
    uint64_t x = 0x9e3779b97f4a7c15u;
    for (size_t i = 0; i < n; i++) {
        x ^= x << 13, x ^= x >> 7, x ^= x << 17;
        body[i] = (uint8_t)(x >> 56);
    }
}

/* Around each event of a batch, and around the batch. */
enum { EVENT_ROOM = 8, BATCH_ROOM = 2048, BATCH_BYTES = 1024 * 1024 };

/* What is due in a millisecond, as long as that is one message. */
static uint64_t batch_of_rate(const struct bench *bench, size_t event_bytes)
{
    double due = bench->opts->rate / 1000 / bench->lane_count;
    uint64_t fits = BATCH_BYTES / (event_bytes + EVENT_ROOM);
    if (fits == 0 || due < 1) return 1;
    return due < (double)fits ? (uint64_t)due : fits;
}

static rh_status open_lane(struct bench *bench, struct lane *lane, size_t batch_bytes)
{
    uint32_t in_flight = (uint32_t)bench->opts->in_flight;
    lane->timer.fn = on_timer;
    lane->timer.user = lane;
    return rh_producer_open(bench->connections[lane->index].client,
                            RH_PRODUCER_OPTS(.partition = bench->opts->partition, .batch_bytes = batch_bytes, .batches = in_flight + 1,
                                             .in_flight = in_flight, .user = lane,
                                             .handler = { .on_open = on_open, .on_sent = on_sent, .on_ready = on_ready, .on_closed = on_closed }),
                            &lane->producer);
}

static int open_lanes(struct bench *bench, uint64_t batch)
{
    const struct bench_opts *opts = bench->opts;
    struct lanes *lanes = calloc(1, sizeof *lanes);
    struct lane *each = calloc(opts->connections, sizeof *each);
    uint8_t *body = malloc(opts->size);
    bench->lanes = lanes;
    if (!lanes || !each || !body) {
        free(lanes), free(each), free(body);
        bench->lanes = NULL;
        return rh_command_failed(&rh_command_bench, "%s", rh_status_name(RH_E_MEMORY));
    }
    fill_body(body, opts->size);
    *lanes = (struct lanes){ .each = each, .body = body, .event = { .body = { body, opts->size } }, .batch = batch };
    bench->lane_count = (uint32_t)opts->connections;
    size_t event_bytes = rh_event_data_size(&lanes->event);
    if (opts->rate > 0 && !batch) lanes->batch = batch_of_rate(bench, event_bytes);
    if (opts->rate > 0) lanes->interval_ns = 1e9 * (double)lanes->batch / opts->rate;
    size_t needed = (event_bytes + EVENT_ROOM) * (lanes->batch ? lanes->batch : 1) + BATCH_ROOM;
    if (lanes->batch == 0 && needed < BATCH_BYTES) needed = BATCH_BYTES;
    for (uint32_t i = 0; i < bench->lane_count; i++) {
        each[i] = (struct lane){ .bench = bench, .index = i };
        rh_status status = open_lane(bench, &each[i], needed);
        if (status == RH_OK) continue;
        fail_plainly(bench, status, rh_status_words(status));
        return FAILED;
    }
    return DONE;
}

static int open_for_batches(struct bench *bench) { return open_lanes(bench, bench->opts->batch); }
static int open_for_singles(struct bench *bench) { return open_lanes(bench, 1); }

static void start(struct bench *bench)
{
    struct lanes *lanes = bench->lanes;
    for (uint32_t i = 0; i < bench->lane_count; i++) pump(&lanes->each[i]);
}

static bool is_drained(const struct bench *bench)
{
    const struct lanes *lanes = bench->lanes;
    for (uint32_t i = 0; i < bench->lane_count; i++) {
        const struct lane *lane = &lanes->each[i];
        if (rh_producer_in_flight(lane->producer)) return false;
        if (lanes->interval_ns > 0 && is_within(lane, moment_of(lane, 0))) return false;
    }
    return true;
}

static void close_lanes(struct bench *bench)
{
    struct lanes *lanes = bench->lanes;
    if (!lanes) return;
    for (uint32_t i = 0; i < bench->lane_count; i++) {
        rh_timer_cancel(bench->loop, &lanes->each[i].timer);
        rh_producer_destroy(lanes->each[i].producer);
    }
    free(lanes->each);
    free(lanes->body);
    free(lanes);
}

const struct bench_task rh_bench_send = { "send", "pksrbi", open_for_batches, start, is_drained, close_lanes, false };
const struct bench_task rh_bench_latency = { "latency", "pksri", open_for_singles, start, is_drained, close_lanes, false };
