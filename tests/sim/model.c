#include "tests/sim/model.h"

#include "proto/proto.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#define ABANDONED 10000

void sim_model_wrong(sim_model *model, const char *format, ...)
{
    va_list list;
    if (model->wrong[0]) return;
    va_start(list, format);
    (void)vsnprintf(model->wrong, sizeof model->wrong, format, list);
    va_end(list);
}

void sim_model_init(sim_model *model, uint64_t salt)
{
    memset(model, 0, sizeof *model);
    model->salt = salt;
}

void sim_model_fini(sim_model *model)
{
    free(model->events);
}

uint32_t sim_model_add(sim_model *model, uint32_t producer, uint32_t size)
{
    if (model->count == model->room) {
        model->room   = model->room ? model->room * 2 : 1024;
        model->events = realloc(model->events, model->room * sizeof *model->events);
    }
    if (size < SIM_BODY_MIN) size = SIM_BODY_MIN;
    model->events[model->count] = (sim_event){ .producer = producer, .size = size };
    return (uint32_t)model->count++;
}

void sim_model_abandon(sim_model *model, uint32_t producer, bool once)
{
    for (size_t i = 0; i < model->count; i++) {
        sim_event *e = &model->events[i];
        if (e->producer != producer || !e->open) continue;
        e->unknown = (uint8_t)(e->unknown + e->open);
        e->open    = 0;
        e->once    = once;
        e->again += ABANDONED; /* who knows how often it was sent */
    }
}

/* -- bodies -------------------------------------------------------------------------------------- */

static uint64_t filler(const sim_model *model, uint64_t event, size_t at)
{
    return (event + 1) * UINT64_C(0x9e3779b97f4a7c15) ^ (at * UINT64_C(0xbf58476d1ce4e5b9) + model->salt);
}

void sim_model_body(const sim_model *model, uint32_t event, uint8_t *to)
{
    uint64_t number = event;
    size_t   n      = model->events[event].size;
    memcpy(to, &number, 8);
    memcpy(to + 8, &model->salt, 8);
    for (size_t at = 16; at < n; at += 8) {
        uint64_t word = filler(model, event, at);
        memcpy(to + at, &word, n - at < 8 ? n - at : 8);
    }
}

static bool body_is(const sim_model *model, uint32_t event, rh_slice body)
{
    uint64_t salt;
    memcpy(&salt, body.p + 8, 8);
    if (salt != model->salt || body.n != model->events[event].size) return false;
    for (size_t at = 16; at < body.n; at += 8) {
        uint64_t word = filler(model, event, at);
        if (memcmp(body.p + at, &word, body.n - at < 8 ? body.n - at : 8) != 0) return false;
    }
    return true;
}

bool sim_model_know(sim_model *model, rh_slice body, const char *where, uint32_t *event)
{
    uint64_t number = UINT64_MAX;
    if (body.n >= SIM_BODY_MIN) memcpy(&number, body.p, 8);
    if (number >= model->count || !body_is(model, (uint32_t)number, body)) {
        sim_model_wrong(model, "%s: an event of %zu bytes that nobody sent (%llu)", where, body.n, (unsigned long long)number);
        return false;
    }
    *event = (uint32_t)number;
    return true;
}

/* -- judging ------------------------------------------------------------------------------------- */

typedef struct judgement {
    sim_model *model;
    uint8_t   *stored;   /* how often, for each event */
    uint32_t  *last;     /* of each producer in this partition: the event before, plus one */
    size_t     producers;
} judgement;

static void judge_stored(judgement *j, const rh_emu_partition *partition, const rh_emu_stored *stored)
{
    char       where[64];
    uint32_t   event;
    rh_message message;
    (void)snprintf(where, sizeof where, "partition %u, sequence %lld", partition->id, (long long)stored->sequence);
    if (rh_message_view(stored->bytes, &message) != RH_OK) {
        sim_model_wrong(j->model, "%s: stored bytes that are no message", where);
        return;
    }
    if (!sim_model_know(j->model, message.body, where, &event)) return;
    uint32_t producer = j->model->events[event].producer;
    if (j->stored[event] < UINT8_MAX) j->stored[event]++;
    const sim_event *e = &j->model->events[event];
    if (e->unknown || e->open) return; /* its bytes may be under way for as long as they like */
    /* Of what was sent again every try may have come through; where order is promised the first of them came in its turn. */
    if (e->again && !(e->ordered && j->stored[event] == 1)) return;
    if (event + 1 <= j->last[producer])
        sim_model_wrong(j->model, "%s: event %u of producer %u lies behind its event %u", where, event, producer, j->last[producer] - 1);
    j->last[producer] = event + 1;
}

static void judge_partition(judgement *j, const rh_emu_partition *partition)
{
    rh_emu_stored stored;
    memset(j->last, 0, j->producers * sizeof *j->last);
    if (partition->begin != 0) sim_model_wrong(j->model, "partition %u lost its first %lld events", partition->id, (long long)partition->begin);
    if (partition->end == 0 || !rh_emu_partition_at(partition, 0, &stored)) return;
    do judge_stored(j, partition, &stored);
    while (!j->model->wrong[0] && rh_emu_partition_next(partition, &stored));
}

static void judge_event(sim_model *model, uint32_t number, unsigned stored)
{
    const sim_event *e     = &model->events[number];
    uint32_t         again = e->once ? 0 : e->again;
    if (e->open) sim_model_wrong(model, "event %u of producer %u: %u sends never ended", number, e->producer, e->open);
    if (stored < e->accepted) sim_model_wrong(model, "event %u of producer %u was accepted %u times and is stored %u times", number, e->producer, e->accepted, stored);
    if (stored > e->accepted + e->unknown + again)
        sim_model_wrong(model, "event %u of producer %u: stored %u times, accepted %u, unknown %u, sent again %u, refused %u", number, e->producer, stored,
                        e->accepted, e->unknown, again, e->refused);
}

static void collect(judgement *j, const rh_emulator *emulator)
{
    sim_model *model = j->model;
    for (size_t i = 0; i < model->count; i++)
        if (model->events[i].producer >= j->producers) j->producers = model->events[i].producer + 1u;
    j->stored = calloc(model->count + 1, sizeof *j->stored);
    j->last   = calloc(j->producers + 1, sizeof *j->last);
    for (uint32_t i = 0; i < emulator->hubs->partition_count; i++) judge_partition(j, &emulator->hubs->partitions[i]);
}

static void leave(judgement *j)
{
    free(j->stored);
    free(j->last);
}

void sim_model_archive(sim_model *model, const rh_emulator *emulator)
{
    judgement j = { .model = model };
    collect(&j, emulator);
    for (size_t i = 0; i < model->count; i++) model->events[i].archived = (uint16_t)(model->events[i].archived + j.stored[i]);
    leave(&j);
}

void sim_model_judge(sim_model *model, const rh_emulator *emulator)
{
    judgement j = { .model = model };
    collect(&j, emulator);
    for (uint32_t i = 0; i < model->count; i++) judge_event(model, i, j.stored[i] + model->events[i].archived);
    leave(&j);
}
