/*
 * The engine bench: ours against qpid-proton's, two of each back to back in memory, with the reference event. One of the two
 * ends is measured at a time.
 *
 *   engine DIRECTORY          rounds, table, DIRECTORY/engine.json and engine.csv; instruction counts from
 *                             DIRECTORY/engine.ir if it is there
 *   engine --instructions     runs each task for callgrind, one named dump each: instructions.sh
 */
#include "bench/codec.h"
#include "bench/counts.h"
#include "bench/engine.h"
#include "bench/rounds.h"

#include <stdio.h>
#include <stdlib.h>
#include <valgrind/callgrind.h>

#define ROUND_NS         12000000u
#define COUNTED_MESSAGES 2000u
#define COUNTED_BATCHES  4u

static const rh_engine_task tasks[] = {
    { .name = "send" },
    { .name = "send settled", .settled = true },
    { .name = "send batch", .batch = true },
    { .name = "encode and send", .codec = true },
    { .name = "receive", .receives = true },
    { .name = "receive settled", .receives = true, .settled = true },
    { .name = "receive batch", .receives = true, .batch = true },
    { .name = "receive and decode", .receives = true, .codec = true },
};
static const rh_engines *const engines[] = { &rh_engines_ours, &rh_engines_proton };

enum { TASKS = sizeof tasks / sizeof *tasks, ENGINES = sizeof engines / sizeof *engines };

/* -- the meter ------------------------------------------------------------------------------- */

void rh_meter_start(rh_meter *meter)
{
    if (meter->counting) CALLGRIND_TOGGLE_COLLECT;
    else meter->started = rh_rounds_now();
}

void rh_meter_stop(rh_meter *meter)
{
    if (meter->counting) CALLGRIND_TOGGLE_COLLECT;
    else meter->ns += rh_rounds_now() - meter->started;
}

/* -- tasks ----------------------------------------------------------------------------------- */

struct job {
    const rh_engine_task *task;
    const rh_engines     *engines;
    void                 *pair;
    unsigned              messages; /* of a round, found out once */
};

static unsigned events_of(const rh_engine_task *task) { return task->batch ? RH_REFERENCE_COUNT : 1; }

static void run(const struct job *job, unsigned messages, rh_meter *meter)
{
    if (job->engines->run(job->pair, messages, meter)) return;
    fprintf(stderr, "%s: %s gives a wrong result\n", job->engines->name, job->task->name);
    exit(1);
}

static double timed(const struct job *job, unsigned messages)
{
    rh_meter meter = { .counting = false };
    run(job, messages, &meter);
    return (double)meter.ns / messages / events_of(job->task);
}

static double measure(void *user)
{
    struct job *job = user;
    while (job->messages == 0 || timed(job, job->messages) * job->messages * events_of(job->task) < ROUND_NS / 2) {
        job->messages = job->messages ? 2 * job->messages : 1;
        if (job->messages > 1u << 24) break;
    }
    return timed(job, 2 * job->messages);
}

/* Of both ends together, once everything that is made only once has been made. */
static double allocations_of(const struct job *job)
{
    rh_meter meter    = { .counting = false };
    unsigned messages = job->task->batch ? COUNTED_BATCHES : COUNTED_MESSAGES;
    run(job, messages, &meter);
    uint64_t before = rh_counts_allocations();
    run(job, messages, &meter);
    return (double)(rh_counts_allocations() - before) / messages / events_of(job->task);
}

/* Collecting is off but between start and stop. */
static void count_instructions(const struct job *job)
{
    char     name[80];
    rh_meter idle = { .counting = false }, meter = { .counting = true };
    unsigned messages = job->task->batch ? COUNTED_BATCHES : COUNTED_MESSAGES;
    snprintf(name, sizeof name, "%s/%s", job->task->name, job->engines->name);
    run(job, messages, &idle);
    CALLGRIND_ZERO_STATS;
    run(job, messages, &meter);
    CALLGRIND_DUMP_STATS_AT(name);
    printf("%u %s\n", messages * events_of(job->task), name);
}

/* -- the bench ------------------------------------------------------------------------------- */

static struct job   jobs[TASKS * ENGINES];
static rh_contender contenders[TASKS * ENGINES];

static void add_all(void)
{
    for (size_t i = 0; i < TASKS * ENGINES; i++) {
        const rh_engine_task *task = &tasks[i / ENGINES];
        const rh_engines     *who  = engines[i % ENGINES];
        jobs[i]                    = (struct job){ .task = task, .engines = who };
        contenders[i]              = (rh_contender){
            .task = task->name, .name = who->name, .measure = measure, .user = &jobs[i], .floor = RH_NO_CONTENDER, .ours = i - i % ENGINES,
            .missing = who->open ? NULL : "built without libqpid-proton11-dev",
        };
        if (who->open && !(jobs[i].pair = who->open(task))) contenders[i].missing = "its two ends did not open a link";
    }
}

int main(int argc, char **argv)
{
    if (argc != 2) {
        fprintf(stderr, "usage: engine DIRECTORY | --instructions\n");
        return 2;
    }
    bool instructions = strcmp(argv[1], "--instructions") == 0;
    if (instructions) CALLGRIND_TOGGLE_COLLECT;
    rh_reference_init();
    add_all();
    for (size_t i = 0; i < TASKS * ENGINES; i++) {
        if (contenders[i].missing) continue;
        if (instructions) {
            count_instructions(&jobs[i]);
            continue;
        }
        contenders[i].extra[0] = allocations_of(&jobs[i]);
        contenders[i].extra[1] = rh_counts_instructions(argv[1], "engine", contenders[i].task, contenders[i].name);
    }
    rh_report report = {
        .name = "engine", .unit = "ns_per_event", .extra = { "allocs_per_event", "Ir_per_event" },
        .contenders = contenders, .count = TASKS * ENGINES, .rounds = RH_ROUNDS,
    };
    if (!instructions) rh_rounds_run(&report);
    for (size_t i = 0; i < TASKS * ENGINES; i++)
        if (jobs[i].pair) jobs[i].engines->close(jobs[i].pair);
    if (instructions) return 0;
    printf("two engines back to back in memory; the sender's or the receiver's part, with framing and settlement\n");
    rh_rounds_print(&report);
    return rh_rounds_save(&report, argv[1]) ? 0 : 1;
}
