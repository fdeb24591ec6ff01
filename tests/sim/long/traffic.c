#include "tests/sim/long/traffic.h"

#include <stdio.h>

#define BODY_MOST (64 * 1024)

static sim_stand *stand_of(const sim_source *source)
{
    return source->party->stand;
}

/* -- sources ------------------------------------------------------------------------------------- */

/* What the model may expect of an event whose send has ended. */
static void keep_outcome(sim_event *e, const rh_sent *sent)
{
    if (sent->status == RH_OK) e->accepted++;
    else if (sent->status == RH_E_OUTCOME_UNKNOWN) e->unknown++;
    else e->refused++;
    if (sent->tries && (sent->status == RH_OK || sent->status == RH_E_OUTCOME_UNKNOWN)) e->again += sent->tries - 1;
}

static void on_sent(void *user, rh_producer *producer, const rh_sent *sent)
{
    sim_source *s     = user;
    sim_stand  *stand = stand_of(s);
    uint32_t    first = (uint32_t)((uintptr_t)sent->tag - 1);
    rh_time     took  = sim_now(stand) - s->sent_at;
    (void)producer;
    s->ends++;
    if (s->in_flight == 1 && took > s->latest) s->latest = took;
    sim_tale_add(&s->tale, sim_now(stand), sent->status);
    bool late = sent->status == RH_E_TIMEOUT || sent->status == RH_E_OUTCOME_UNKNOWN;
    s->late += late;
    if (sent->status != RH_OK && !(late && s->may_fail)) sim_wrong(stand, "producer %u: a send ended as %s: %s", s->id, rh_status_name(sent->status), sent->error->description);
    for (uint32_t i = first; i < first + sent->events; i++) {
        sim_event *e = &stand->model.events[i];
        if (e->open-- == 0) sim_wrong(stand, "a send of event %u ended twice", i);
        keep_outcome(e, sent);
    }
}

static void on_closed(void *user, rh_producer *producer, const rh_error *error)
{
    sim_source *s = user;
    (void)producer;
    if (error && error->status != RH_E_CLOSED) sim_wrong(stand_of(s), "producer %u ended: %s", s->id, error->description);
}

static bool add(sim_source *s, rh_batch *batch)
{
    static uint8_t body[BODY_MOST];
    sim_model     *model = &stand_of(s)->model;
    uint32_t       event = sim_model_add(model, s->id, (uint32_t)sim_scale(&s->chance, SIM_BODY_MIN, s->size_most));
    sim_model_body(model, event, body);
    rh_event_data data = { .body = rh_slice_of(body, model->events[event].size) };
    if (rh_batch_add(batch, &data) != RH_OK) {
        model->count--;
        return false;
    }
    model->events[event].open = 1;
    return true;
}

static void send_batch(sim_source *s)
{
    sim_model *model = &stand_of(s)->model;
    uint32_t   first = (uint32_t)model->count, want = (uint32_t)sim_between(&s->chance, 1, s->batch_most), count = 0;
    rh_batch  *batch;
    if (!rh_producer_is_open(s->producer) || rh_producer_in_flight(s->producer) >= s->in_flight || rh_batch_create(s->producer, NULL, &batch) != RH_OK) return;
    while (count < want && add(s, batch)) count++;
    s->sent_at       = sim_now(stand_of(s));
    rh_status status = rh_producer_send(s->producer, batch, 0, (void *)(uintptr_t)((uint64_t)first + 1));
    if (status != RH_OK) {
        sim_wrong(stand_of(s), "producer %u: a send was refused: %s", s->id, rh_status_name(status));
        return;
    }
    s->sends++;
    s->events += count;
}

static void on_timer(void *user, rh_time now)
{
    sim_source *s = user;
    if (s->stopped) return;
    if (!s->paused) send_batch(s);
    rh_timer_set(&stand_of(s)->loop.loop, &s->timer, now + sim_scale(&s->chance, s->pause_least, s->pause_most));
}

void sim_source_open(sim_source *s)
{
    char id[12];
    (void)snprintf(id, sizeof id, "%u", s->partition);
    s->chance = sim_chance_of_seed(sim_seed, 5000 + s->id);
    s->timer  = (rh_timer){ .fn = on_timer, .user = s };
    rh_status status = rh_producer_open(s->party->client, RH_PRODUCER_OPTS(
        .partition = id, .in_flight = s->in_flight, .batch_bytes = 128 * 1024, .handler = { .on_sent = on_sent, .on_closed = on_closed }, .user = s), &s->producer);
    if (status != RH_OK) sim_wrong(stand_of(s), "producer %u is not opened: %s", s->id, rh_status_name(status));
    rh_timer_set(&stand_of(s)->loop.loop, &s->timer, sim_now(stand_of(s)) + RH_SECONDS(1) + RH_US(s->id));
}

void sim_source_stop(sim_source *s)
{
    s->stopped = true;
    rh_timer_cancel(&stand_of(s)->loop.loop, &s->timer);
}

void sim_source_close(sim_source *s)
{
    sim_source_stop(s);
    rh_producer_destroy(s->producer);
    sim_tale_drop(&s->tale);
}

/* -- sinks --------------------------------------------------------------------------------------- */

static void on_event(void *user, rh_consumer *consumer, const rh_event *event)
{
    sim_sink  *s        = user;
    sim_stand *stand    = s->party->stand;
    int64_t    sequence = rh_event_sequence_number(event);
    uint32_t   number;
    (void)consumer;
    if (sequence != s->seen + 1) sim_wrong(stand, "partition %u: sequence %lld came behind %lld", s->partition, (long long)sequence, (long long)s->seen);
    s->seen = sequence;
    sim_tale_add(&s->tale, sim_now(stand), sequence);
    (void)sim_model_know(&stand->model, rh_event_body(event), "a consumer", &number);
}

static void on_state(void *user, rh_consumer *consumer, rh_consumer_state state, const rh_error *error)
{
    sim_sink *s = user;
    (void)consumer;
    s->recoveries += state == RH_CONSUMER_RECOVERING;
    bool ends = state == RH_CONSUMER_CLOSED || state == RH_CONSUMER_STOLEN;
    if (ends && error && error->status != RH_E_CLOSED) sim_wrong(s->party->stand, "the consumer of partition %u ended: %s", s->partition, error->description);
}

void sim_sink_open(sim_sink *s)
{
    char id[12];
    (void)snprintf(id, sizeof id, "%u", s->partition);
    s->seen          = -1;
    rh_status status = rh_consumer_open(s->party->client, RH_CONSUMER_OPTS(
        .partition = id, .prefetch = s->prefetch, .event_bytes = BODY_MOST + 4096, .handler = { .on_event = on_event, .on_state = on_state }, .user = s), &s->consumer);
    if (status != RH_OK) sim_wrong(s->party->stand, "the consumer of partition %u is not opened: %s", s->partition, rh_status_name(status));
}

void sim_sink_close(sim_sink *s)
{
    rh_consumer_destroy(s->consumer);
    sim_tale_drop(&s->tale);
}

void sim_judge_done(const sim_source *source, const sim_sink *sink)
{
    sim_stand *stand = stand_of(source);
    int64_t    end   = stand->emulator->hubs->partitions[sink->partition].end;
    if (source->ends != source->sends) sim_wrong(stand, "producer %u: %llu sends, %llu ended", source->id, (unsigned long long)source->sends, (unsigned long long)source->ends);
    if (sink->seen + 1 != end) sim_wrong(stand, "partition %u holds %lld events, %lld were seen", sink->partition, (long long)end, (long long)sink->seen + 1);
}
