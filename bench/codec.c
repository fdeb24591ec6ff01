/*
 * The codec bench: ours against floors and qpid-proton on the reference event.
 *
 *   codec DIRECTORY           rounds, table, DIRECTORY/codec.json and codec.csv; instruction counts from
 *                             DIRECTORY/codec.ir if it is there
 *   codec --instructions      runs each task for callgrind, one named dump each: instructions.sh
 *
 * Everybody's bytes and fields are compared with the reference before anything is measured.
 */
#include "bench/codec.h"
#include "bench/codec_rivals.h"
#include "bench/counts.h"
#include "bench/rounds.h"

#include <stdio.h>
#include <stdlib.h>
#include <valgrind/callgrind.h>

#define ROUND_NS      12000000u /* long against a clock's grain, short against a neighbour's burst */
#define COUNTED_TIMES 200u

/* A load waits for an earlier store whose address has the same lowest twelve bits. Sources begin at the start of a page
 * (reference.c), what is written in the middle of one, so that chance lays this trap for nobody. */
static _Alignas(4096) uint8_t pages[2 * RH_REFERENCE_BATCH];
#define OUT_SIZE (sizeof pages - 2048)
static uint8_t *const out = pages + 2048;

/* What was computed is wanted: without this the compiler might find out that it is not. */
static inline void want(const void *p) { __asm__ volatile("" : : "r"(p) : "memory"); }

/* -- tasks ----------------------------------------------------------------------------------- */

enum task { ENCODE, DECODE, LAZY, BATCH, BATCH_DECODE, TASKS };

static const char *const task_names[TASKS] = { "encode", "decode", "lazy decode", "batch", "batch decode" };
static const char *const protocol_names[TASKS] = { "encode", "decode", "lazy", "batch", "batch-decode" };

struct job {
    enum task       task;
    const rh_codec *codec; /* NULL: a rival in a process of its own */
    unsigned        turns; /* of a round, found out once */
};

/* One turn, and the events that are in it. */
static unsigned events_of(enum task task) { return task >= BATCH ? RH_REFERENCE_COUNT : 1; }

static bool can(const struct job *job)
{
    const rh_codec *codec = job->codec;
    switch (job->task) {
    case ENCODE: return codec->encode != NULL;
    case DECODE: return codec->decode != NULL;
    case LAZY:   return codec->lazy != NULL;
    case BATCH:  return codec->batch != NULL;
    default:     return codec->batch_decode != NULL;
    }
}

/* One loop a task, so that what is paid around each call is the loop alone. */
static void turn(const struct job *job, unsigned turns)
{
    const rh_reference_event *event    = rh_reference_event_at(0);
    const rh_slice            received = rh_reference_received(0), batch = rh_reference_batch();
    const rh_codec           *codec    = job->codec;
    rh_reference_view         view;
    rh_slice                  body;
    switch (job->task) {
    case ENCODE:
        for (; turns; turns--, want(out)) codec->encode(out, OUT_SIZE, event);
        break;
    case DECODE:
        for (; turns; turns--, want(&view)) codec->decode(received, &view);
        break;
    case LAZY:
        for (; turns; turns--, want(&body)) codec->lazy(received, &body);
        break;
    case BATCH:
        for (; turns; turns--, want(out)) codec->batch(out, OUT_SIZE);
        break;
    default:
        for (; turns; turns--, want(&view)) codec->batch_decode(batch, &view);
        break;
    }
}

static double timed(struct job *job, unsigned turns)
{
    uint64_t from = rh_rounds_now();
    turn(job, turns);
    return (double)(rh_rounds_now() - from) / turns / events_of(job->task);
}

static double measure(void *user)
{
    struct job *job = user;
    while (job->turns == 0 || timed(job, job->turns) * job->turns * events_of(job->task) < ROUND_NS / 4) {
        job->turns = job->turns ? 2 * job->turns : 1;
        if (job->turns > 1u << 28) break;
    }
    return timed(job, job->turns * 4);
}

static double allocations_of(const struct job *job)
{
    uint64_t before = rh_counts_allocations();
    turn(job, 10);
    return (double)(rh_counts_allocations() - before) / 10 / events_of(job->task);
}

/* -- truth before speed ---------------------------------------------------------------------- */

static void must(bool truth, const struct job *job)
{
    if (truth) return;
    fprintf(stderr, "%s: %s gives a wrong result\n", job->codec->name, task_names[job->task]);
    exit(1);
}

/* qpid-proton writes a header section and shorter lists; what it wrote must still say the same. */
static void check_encoded(const struct job *job, rh_slice bytes, size_t i)
{
    rh_reference_view view;
    must(rh_codec_ours.decode(bytes, &view) && rh_reference_is(&view, i, false), job);
    if (job->codec != &rh_codec_proton) must(rh_slice_equal(bytes, rh_reference_sent(i)), job);
}

static void check_batch(const struct job *job)
{
    size_t     n = job->codec->batch(out, OUT_SIZE), count = 0;
    rh_message outer;
    rh_dec     events;
    rh_slice   event;
    must(n && rh_envelope_open(rh_slice_of(out, n), &outer, &events) == RH_OK, job);
    while (rh_envelope_next(&events, &event)) check_encoded(job, event, count++);
    must(count == RH_REFERENCE_COUNT, job);
}

static void check(const struct job *job)
{
    const rh_codec   *codec = job->codec;
    rh_reference_view view;
    rh_slice          body;
    for (size_t i = 0; i < RH_REFERENCE_COUNT; i++) {
        if (job->task == ENCODE) check_encoded(job, rh_slice_of(out, codec->encode(out, OUT_SIZE, rh_reference_event_at(i))), i);
        if (job->task == DECODE) must(codec->decode(rh_reference_received(i), &view) && rh_reference_is(&view, i, true), job);
        if (job->task == LAZY) {
            must(codec->lazy(rh_reference_received(i), &body) && rh_slice_equal(body, rh_reference_event_at(i)->body), job);
        }
    }
    if (job->task == BATCH) check_batch(job);
    if (job->task == BATCH_DECODE) {
        must(codec->batch_decode(rh_reference_batch(), &view) == RH_REFERENCE_COUNT, job);
        must(rh_reference_is(&view, RH_REFERENCE_COUNT - 1, false), job);
    }
}

/* -- instructions ---------------------------------------------------------------------------- */

static void name_of(const struct job *job, char *name, size_t n)
{
    snprintf(name, n, "%s/%s", task_names[job->task], job->codec->name);
}

static void count_instructions(const struct job *job)
{
    char     name[80];
    unsigned turns = job->task >= BATCH ? 3 : COUNTED_TIMES;
    name_of(job, name, sizeof name);
    turn(job, 1);
    CALLGRIND_ZERO_STATS;
    turn(job, turns);
    CALLGRIND_DUMP_STATS_AT(name);
    printf("%u %s\n", turns * events_of(job->task), name);
}

/* -- the bench ------------------------------------------------------------------------------- */

static const rh_codec *const codecs[] = { &rh_codec_memcpy, &rh_codec_hand, &rh_codec_ours, &rh_codec_proton };
enum { MEMCPY, HAND, OURS, CODECS = 4 };

static struct job   jobs[TASKS * (CODECS + RH_CODEC_RIVALS_MAX)];
static rh_contender contenders[TASKS * (CODECS + RH_CODEC_RIVALS_MAX)];
static size_t       count;

static void add(enum task task, const rh_codec *codec, size_t floor, size_t ours)
{
    struct job *job = &jobs[count];
    *job            = (struct job){ task, codec, 0 };
    contenders[count++] = (rh_contender){
        .task = task_names[task], .name = codec->name, .measure = measure, .user = job, .floor = floor, .ours = ours,
        .missing = can(job) ? NULL : "built without libqpid-proton11-dev",
    };
}

/* Tasks on single events are divided by memcpy of one, those on batches by memcpy of the batch. */
static void add_all(bool rivals)
{
    size_t floor = 0;
    for (enum task task = ENCODE; task < TASKS; task++) {
        size_t copies = task == ENCODE || task == BATCH;
        size_t ours   = count + copies + 1;
        if (copies) floor = count;
        for (size_t c = copies ? MEMCPY : HAND; c < CODECS; c++) add(task, codecs[c], floor, ours);
        if (rivals) count += rh_codec_rivals_add(&contenders[count], protocol_names[task], task_names[task], floor, ours);
    }
}

/* DIRECTORY is BUILD/bench, and rivals are told BUILD. */
static void start_rivals(const char *directory)
{
    char  build[1024];
    char *end;
    snprintf(build, sizeof build, "%s", directory);
    end = strrchr(build, '/');
    if (end) *end = '\0';
    rh_codec_rivals_start(end ? build : "..");
}

int main(int argc, char **argv)
{
    if (argc != 2) {
        fprintf(stderr, "usage: codec DIRECTORY | --instructions\n");
        return 2;
    }
    bool instructions = strcmp(argv[1], "--instructions") == 0;
    rh_reference_init();
    if (!instructions) start_rivals(argv[1]);
    add_all(!instructions);
    for (size_t i = 0; i < count; i++) {
        if (contenders[i].missing || !jobs[i].codec) continue;
        check(&jobs[i]);
        if (instructions) {
            count_instructions(&jobs[i]);
            continue;
        }
        contenders[i].extra[0] = allocations_of(&jobs[i]);
        contenders[i].extra[1] = rh_counts_instructions(argv[1], "codec", contenders[i].task, contenders[i].name);
    }
    if (instructions) return 0;

    rh_report report = {
        .name = "codec", .unit = "ns/event", .extra = { "allocs/event", "Ir/event" },
        .contenders = contenders, .count = count, .rounds = RH_ROUNDS,
    };
    rh_rounds_run(&report);
    rh_codec_rivals_stop();
    printf("reference event: %d B sent, %d B received, %d in a batch of %d B", RH_REFERENCE_SENT, RH_REFERENCE_RECEIVED,
           RH_REFERENCE_COUNT, RH_REFERENCE_BATCH);
    if (rh_codec_proton.encode) printf("; qpid-proton's form of it %zu B", rh_codec_proton.encode(out, OUT_SIZE, rh_reference_event_at(0)));
    printf("\nfloor: memcpy of the event, or of the batch for the last two tasks\n");
    rh_rounds_print(&report);
    return rh_rounds_save(&report, argv[1]) ? 0 : 1;
}
