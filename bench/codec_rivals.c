#include "bench/codec_rivals.h"
#include "bench/crew.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* Long against the grain of a clock in an interpreter, and the first time long enough for its compiler. */
#define ROUND_NS   40000000u
#define WARM_UP_NS 400000000u
#define BODY       1024
#define BATCH      1000u /* whole ones only: a batch that is decoded is decoded to its end */

#define TASKS_MAX 5

/* Ringhub and qpid-proton are called in the bench's own process. */
enum { FIRST = 2, COUNT = RH_CREW_MAX - FIRST };
_Static_assert(COUNT <= RH_CODEC_RIVALS_MAX, "there is a row for everybody");

struct row {
    rh_runner  *runner;
    const char *task;
    rh_contender *shown;
    uint64_t    events; /* of a round, found out once */
};

static rh_runner   runners[COUNT];
static bool        is_here[COUNT];
static const char *settings[COUNT][RH_SETTINGS_MAX + 1];
static struct row  rows[COUNT * TASKS_MAX];
static size_t      row_count;

void rh_codec_rivals_start(const char *build)
{
    for (size_t i = 0; i < COUNT; i++) {
        is_here[i] = rh_crew_start(&rh_crew[FIRST + i], build, &(rh_start){ .log = NULL }, &runners[i]);
        for (size_t s = 0; s < runners[i].setting_count; s++) settings[i][s] = runners[i].setting[s];
    }
}

/* Doubled until a run takes long enough; that is the warm-up too. */
static bool find_events(struct row *row, rh_run *run)
{
    for (uint64_t events = BATCH; run->ns < WARM_UP_NS; events *= 2) {
        if (!rh_runner_run(row->runner, events, NULL, run) || run->ns == 0) return false;
    }
    uint64_t batches = (uint64_t)((double)run->events * ROUND_NS / (double)run->ns) / BATCH;
    row->events = (batches + 1) * BATCH;
    return true;
}

static double measure(void *user)
{
    struct row *row  = user;
    rh_task     task = { .size = BODY, .batch = 1 };
    rh_run      run  = { 0 };
    snprintf(task.task, sizeof task.task, "%s", row->task);
    bool done = rh_runner_open(row->runner, &task) && (row->events || find_events(row, &run))
                && rh_runner_run(row->runner, row->events, NULL, &run) && run.events;
    if (!done) row->shown->missing = row->runner->words;
    else if (rh_runner_close(row->runner)) return (double)run.ns / (double)run.events;
    return NAN;
}

size_t rh_codec_rivals_add(rh_contender *to, const char *task, const char *called, size_t floor, size_t ours)
{
    size_t count = 0;
    for (size_t i = 0; i < COUNT; i++) {
        if (is_here[i] && !rh_runner_can(&runners[i], task)) continue;
        if (row_count == sizeof rows / sizeof *rows) break;
        struct row *row = &rows[row_count++];
        *row            = (struct row){ .runner = &runners[i], .task = task, .shown = &to[count] };
        to[count++]     = (rh_contender){
            .task = called, .name = is_here[i] ? runners[i].name : rh_crew[FIRST + i].name, .measure = measure, .user = row,
            .floor = floor, .ours = ours, .missing = is_here[i] ? NULL : runners[i].words, .extra = { NAN, NAN },
            .version = is_here[i] ? runners[i].version : NULL, .settings = is_here[i] ? settings[i] : NULL,
        };
    }
    return count;
}

void rh_codec_rivals_stop(void)
{
    for (size_t i = 0; i < COUNT; i++) (void)rh_runner_quit(&runners[i]);
}
