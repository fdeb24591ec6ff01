/*
 * The latency bench: how long from an event's send until it is known to be accepted, over loopback to the null peer.
 *
 *   latency BUILD           round trips one at a time: both ends on one core, on two cores, and on two without sleeping
 *   latency BUILD full      longer, and events at fixed rates, each timed from the moment it was meant to leave
 *
 * A cell is a task and a placement. All contenders of a cell have a process each, pinned to the client's core; a round opens
 * the task, warms up, runs what is timed, and closes. The median of each round goes into the table; the percentiles far
 * out are those of all rounds' samples together.
 */
#include "bench/contender.h"
#include "bench/crew.h"
#include "bench/rounds.h"
#include "bench/samples.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CELLS_MAX 16
#define ROWS_MAX  (CELLS_MAX * CONTENDERS)

#define WARM_UP_EVENTS 500u
#define SIZE           1024u

/* A round shall show its own 99th percentile, and nine of them together the 99.9th; an interpreter may take less. */
#define ROUND_EVENTS   11500u
#define ROUND_NS       400e6
#define ROUND_NS_MAX   700e6
#define FULL_FACTOR    10

/* -- who takes part -------------------------------------------------------------------------- */

enum { SOCKET, RING, SPINNING_RING, SPINNING_SOCKET, OURS_SPINNING, CREW, CONTENDERS = CREW + RH_CREW_MAX };
#define OURS CREW /* the crew's first */

static const rh_member others[CREW] = {
    [SOCKET]          = { "floor: blocking socket", { "@bench/floor/echo" } },
    [RING]            = { "floor: ring", { "@bench/floor/ring" } },
    [SPINNING_RING]   = { "floor: spinning ring", { "@bench/floor/ring", "--spin" } },
    [SPINNING_SOCKET] = { "floor: spinning socket", { "@bench/floor/echo", "--spin" } },
    [OURS_SPINNING]   = { "ringhub, spinning", { "@bench/ours", "--spin" } },
};

static const rh_member *member_at(size_t who) { return who < CREW ? &others[who] : &rh_crew[who - CREW]; }

static bool spins(size_t who) { return who == SPINNING_RING || who == SPINNING_SOCKET || who == OURS_SPINNING; }

/* -- what is measured ------------------------------------------------------------------------ */

typedef struct cell {
    const char *name;
    const char *task;
    uint64_t    client, peer; /* masks of cores */
    bool        busy;         /* nobody sleeps: contenders that spin, and a null peer that does */
    uint64_t    rate;
} cell;

#define CORE_0 1u
#define CORE_1 2u

static const cell gate[] = {
    { "roundtrip same core", "roundtrip", CORE_0, CORE_0, false, 0 },
    { "roundtrip other core", "roundtrip", CORE_0, CORE_1, false, 0 },
    { "roundtrip busy", "roundtrip", CORE_0, CORE_1, true, 0 },
};

static const cell full_only[] = {
    { "paced 1000/s same core", "paced", CORE_0, CORE_0, false, 1000 },
    { "paced 10000/s same core", "paced", CORE_0, CORE_0, false, 10000 },
    { "paced 1000/s other core", "paced", CORE_0, CORE_1, false, 1000 },
    { "paced 10000/s other core", "paced", CORE_0, CORE_1, false, 10000 },
    { "paced 10000/s busy", "paced", CORE_0, CORE_1, true, 10000 },
    { "paced 50000/s busy", "paced", CORE_0, CORE_1, true, 50000 },
};

typedef struct row {
    const cell *cell;
    size_t      who;
    uint64_t    events; /* of a timed run; 0: not known yet */
    unsigned    rounds; /* that were run, the first of which is not kept */
    double      also[2];
    rh_samples  samples;
    char        words[RH_WORDS_MAX];
    char        name[64], version[64];
    char        setting[RH_SETTINGS_MAX][RH_WORDS_MAX];
    const char *settings[RH_SETTINGS_MAX + 1];
} row;

static struct {
    const char  *build;
    bool         full;
    char         file[600]; /* of samples */
    rh_null      null;
    rh_runner    runners[CONTENDERS];
    row          rows[ROWS_MAX];
    rh_contender contenders[ROWS_MAX];
    size_t       count;
} bench;

/* -- a round --------------------------------------------------------------------------------- */

static uint64_t events_for(const cell *of, double ns_each)
{
    double factor = bench.full ? FULL_FACTOR : 1, most = factor * ROUND_NS_MAX / ns_each, events = factor * ROUND_NS / ns_each;
    if (of->rate) return (uint64_t)((double)of->rate * factor * ROUND_NS / 1e9);
    if (events < ROUND_EVENTS) events = ROUND_EVENTS;
    return (uint64_t)(events < most ? events : most) + 1;
}

/* By the median: what a neighbour took of the machine meanwhile shall not make the rounds shorter for good. */
static bool find_events(row *of)
{
    rh_samples samples = { .count = 0 };
    double     median  = rh_samples_read(&samples, bench.file) ? rh_samples_at(&samples, 50) : NAN;
    rh_samples_free(&samples);
    of->events = isnan(median) ? 0 : events_for(of->cell, median * 1000);
    return of->events > 0;
}

static bool run_timed(rh_runner *runner, row *of, rh_run *run)
{
    remove(bench.file);
    if (!rh_runner_run(runner, WARM_UP_EVENTS, bench.file, run) || (!of->events && !find_events(of))) return false;
    remove(bench.file);
    return rh_runner_run(runner, of->events, bench.file, run);
}

static bool measure_once(rh_runner *runner, row *of, rh_run *run)
{
    rh_task task = { .host = "127.0.0.1", .port = bench.null.port, .address = "bench", .size = SIZE, .batch = 1, .rate = of->cell->rate };
    snprintf(task.task, sizeof task.task, "%s", of->cell->task);
    if (!rh_runner_open(runner, &task)) return false;
    bool done = run_timed(runner, of, run);
    if (!done) snprintf(of->words, sizeof of->words, "%s", runner->words);
    return rh_runner_close(runner) && done;
}

static double measure(void *user)
{
    row       *of     = user;
    rh_runner *runner = &bench.runners[of->who];
    rh_samples samples = { .count = 0 };
    rh_run     run;
    if (!measure_once(runner, of, &run) || !rh_samples_read(&samples, bench.file)) {
        if (!of->words[0]) snprintf(of->words, sizeof of->words, "%s", runner->words[0] ? runner->words : "no samples");
        bench.contenders[of - bench.rows].missing = of->words;
        return NAN;
    }
    double median = rh_samples_at(&samples, 50);
    of->also[0]   = rh_samples_at(&samples, 99);
    of->also[1]   = (double)run.cpu_ns / (double)run.events / 1000;
    if (of->rounds++ > 0) rh_samples_add(&of->samples, &samples);
    rh_samples_free(&samples);
    return median;
}

/* -- a cell ---------------------------------------------------------------------------------- */

static bool takes_part(const cell *of, size_t who) { return of->busy ? spins(who) : !spins(who); }

/* What a runner said, kept beyond its life. */
static void keep_words(row *of, const rh_runner *runner)
{
    snprintf(of->name, sizeof of->name, "%s", spins(of->who) || of->who < CREW || !runner->name[0] ? member_at(of->who)->name : runner->name);
    snprintf(of->version, sizeof of->version, "%s", runner->version);
    snprintf(of->words, sizeof of->words, "%s", runner->words);
}

static void add(const cell *of, size_t who)
{
    rh_runner *runner = &bench.runners[who];
    row       *new    = &bench.rows[bench.count];
    rh_start   start  = { .cores = of->client };
    *new = (row){ .cell = of, .who = who };
    bool here = rh_crew_start(member_at(who), bench.build, &start, runner);
    keep_words(new, runner);
    bench.contenders[bench.count++] = (rh_contender){
        .task = of->name, .name = new->name, .measure = measure, .user = new, .also = new->also,
        .floor = RH_NO_CONTENDER, .ours = RH_NO_CONTENDER, .extra = { NAN, NAN, NAN }, .version = new->version, .settings = new->settings,
        .missing = !here ? new->words : rh_runner_can(runner, of->task) ? NULL : "does not do this",
    };
}

static void end(row *of)
{
    rh_runner    *runner = &bench.runners[of->who];
    rh_contender *named  = &bench.contenders[of - bench.rows];
    for (size_t i = 0; i < runner->setting_count; i++) {
        snprintf(of->setting[i], RH_WORDS_MAX, "%s", runner->setting[i]);
        of->settings[i] = of->setting[i];
    }
    named->extra[0] = rh_samples_at(&of->samples, 99.9);
    named->extra[1] = rh_samples_at(&of->samples, 99.99);
    named->extra[2] = (double)of->samples.count;
    rh_runner_quit(runner);
}

/* Whom everybody in this cell is compared with. */
static void compare(const cell *of, size_t first)
{
    size_t floor = RH_NO_CONTENDER, ours = RH_NO_CONTENDER;
    for (size_t i = first; i < bench.count; i++) {
        if (bench.rows[i].who == (of->busy ? SPINNING_RING : SOCKET)) floor = i;
        if (bench.rows[i].who == (of->busy ? OURS_SPINNING : OURS)) ours = i;
    }
    for (size_t i = first; i < bench.count; i++) {
        bench.contenders[i].floor = floor;
        bench.contenders[i].ours  = ours;
    }
}

static bool run_cell(const cell *of)
{
    char     program[600], ca[600];
    rh_start start = { .cores = of->peer };
    size_t   first = bench.count;
    snprintf(program, sizeof program, "%s/bench/null", bench.build);
    snprintf(ca, sizeof ca, "%s/bench/latency-ca.pem", bench.build);
    if (!rh_null_start(&bench.null, program, ca, of->busy, &start)) {
        fprintf(stderr, "latency: %s\n", bench.null.words);
        return false;
    }
    for (size_t who = 0; who < CONTENDERS; who++)
        if (takes_part(of, who)) add(of, who);
    compare(of, first);
    rh_report report = { .contenders = bench.contenders + first, .count = bench.count - first, .rounds = RH_ROUNDS };
    rh_rounds_run(&report);
    for (size_t i = first; i < bench.count; i++) end(&bench.rows[i]);
    rh_null_stop(&bench.null);
    return true;
}

/* -- the bench ------------------------------------------------------------------------------- */

static bool save_curve(const char *directory)
{
    char path[600];
    snprintf(path, sizeof path, "%s/latency-curve.csv", directory);
    FILE *out = fopen(path, "w");
    if (!out) return false;
    fprintf(out, "task,who,percentile,us\n");
    for (size_t i = 0; i < bench.count; i++) rh_samples_curve(&bench.rows[i].samples, out, bench.rows[i].cell->name, bench.rows[i].name);
    return fclose(out) == 0;
}

static bool run_cells(const cell *cells, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (!run_cell(&cells[i])) return false;
    return true;
}

int main(int argc, char **argv)
{
    char directory[512];
    bench.full = argc == 3 && strcmp(argv[2], "full") == 0;
    if (argc < 2 || (argc == 3 && !bench.full) || (size_t)snprintf(directory, sizeof directory, "%s/bench", argv[1]) >= sizeof directory) {
        fprintf(stderr, "usage: latency BUILD [full]\n");
        return 2;
    }
    bench.build = argv[1];
    snprintf(bench.file, sizeof bench.file, "%s/latency.samples", directory);
    if (!run_cells(gate, sizeof gate / sizeof *gate)) return 1;
    if (bench.full && !run_cells(full_only, sizeof full_only / sizeof *full_only)) return 1;
    remove(bench.file);
    rh_report report = {
        .name = "latency", .unit = "p50_us", .also = { "p99_us", "cpu_us" }, .extra = { "p999_us", "p9999_us", "samples" },
        .contenders = bench.contenders, .count = bench.count, .rounds = RH_ROUNDS,
    };
    rh_rounds_print(&report);
    bool saved = rh_rounds_save(&report, directory);
    return save_curve(directory) && saved ? 0 : 1;
}
