/*
 * The stream bench: one connection to the null peer over loopback, as fast as it goes; the client on core 0, the null peer
 * on core 1.
 *
 *   stream BUILD            the cells of the gate, and three sizes of body, into BUILD/bench/stream.json and .csv
 *   stream BUILD full       all sizes, settlements, batches and singles
 *
 * Each contender is one process for the whole bench. A round of a row opens its task, runs some events to warm up, runs
 * those that are timed, and closes. System calls, allocations and copied bytes are counted in runs of their own.
 */
#include "bench/contender.h"
#include "bench/crew.h"
#include "bench/heap.h"
#include "bench/rounds.h"

#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CLIENT_CORE    1u /* a mask: core 0 */
#define PEER_CORE      2u
#define ROUND_NS       150000000u /* what a timed run should take */
#define WARM_UP        10u        /* the share of it that goes before */
#define EVENTS_MIN     500u
#define RECEIVED_MIN   5000u      /* what anybody prefetches: else a run takes what lay ready before it */
#define BATCH          200u       /* 244 KiB: below the 256 KiB that every tier of the service takes */
#define CONTENDERS     (RH_CREW_MAX + 1)
#define CELLS_MAX      32

enum { PUMP, OURS };

/* -- what is measured ------------------------------------------------------------------------ */

typedef struct cell {
    const char *task;
    bool        tls, settled;
    uint32_t    batch, size;
    bool        gate;
    char        name[80];
} cell;

/* Event Hubs settles what it sends, and awaits no less of what it is sent. */
static cell cells[CELLS_MAX] = {
    { .task = "send", .tls = false, .settled = false, .batch = BATCH, .size = 1024, .gate = true },
    { .task = "receive", .tls = false, .settled = true, .batch = 1, .size = 1024, .gate = true },
    { .task = "send", .tls = true, .settled = false, .batch = BATCH, .size = 1024, .gate = true },
    { .task = "receive", .tls = true, .settled = true, .batch = 1, .size = 1024, .gate = true },
    { .task = "send", .tls = false, .settled = false, .batch = 1, .size = 1024 },
    { .task = "send", .tls = false, .settled = true, .batch = 1, .size = 1024 },
    { .task = "send", .tls = false, .settled = true, .batch = BATCH, .size = 1024 },
    { .task = "receive", .tls = false, .settled = false, .batch = 1, .size = 1024 },
    { .task = "send", .tls = false, .settled = false, .batch = BATCH, .size = 100, .gate = true },
    { .task = "send", .tls = false, .settled = false, .batch = 1, .size = 100 },
    { .task = "receive", .tls = false, .settled = true, .batch = 1, .size = 100, .gate = true },
    { .task = "send", .tls = false, .settled = false, .batch = 12, .size = 65536, .gate = true },
    { .task = "send", .tls = false, .settled = false, .batch = 1, .size = 65536 },
    { .task = "receive", .tls = false, .settled = true, .batch = 1, .size = 65536, .gate = true },
    { .task = "send", .tls = true, .settled = false, .batch = 1, .size = 1024 },
    { .task = "send", .tls = true, .settled = false, .batch = BATCH, .size = 100 },
    { .task = "receive", .tls = true, .settled = true, .batch = 1, .size = 100 },
    { .task = "send", .tls = true, .settled = false, .batch = 12, .size = 65536 },
    { .task = "receive", .tls = true, .settled = true, .batch = 1, .size = 65536 },
};

static const rh_member pump = { "floor: frame pump", { "@bench/pump" } };

static const rh_member *member_at(size_t i) { return i == PUMP ? &pump : &rh_crew[i - 1]; }

typedef struct row {
    const cell *cell;
    size_t      who;
    uint64_t    events; /* of a timed run, found out once */
    double      also[2];
    char        words[RH_WORDS_MAX];
} row;

static struct {
    char         build[512], log[600];
    rh_null      null;
    rh_runner    runners[CONTENDERS];
    char         missing[CONTENDERS][RH_WORDS_MAX];
    const char  *settings[CONTENDERS][RH_SETTINGS_MAX + 1];
    row          rows[CELLS_MAX * CONTENDERS];
    rh_contender contenders[CELLS_MAX * CONTENDERS];
    size_t       count;
} bench;

static rh_task task_of(const cell *of)
{
    rh_task task = { .host = "127.0.0.1", .tls = of->tls, .size = of->size, .settled = of->settled, .batch = of->batch };
    snprintf(task.task, sizeof task.task, "%s", of->task);
    snprintf(task.address, sizeof task.address, "bench-%u", of->size);
    task.port = of->tls ? bench.null.tls_port : bench.null.port;
    if (of->tls) snprintf(task.ca, sizeof task.ca, "%s", bench.null.ca);
    return task;
}

/* -- a round --------------------------------------------------------------------------------- */

static bool run_checked(rh_runner *runner, const cell *of, uint64_t events, rh_run *run)
{
    if (!rh_runner_run(runner, events, NULL, run)) return false;
    if (run->events >= events && run->bytes == run->events * of->size) return true;
    snprintf(runner->words, sizeof runner->words, "%llu events of %llu bytes in all were not what was asked for",
             (unsigned long long)run->events, (unsigned long long)run->bytes);
    return false;
}

static uint64_t least_of(const cell *of) { return strcmp(of->task, "receive") == 0 && of->size <= 1024 ? RECEIVED_MIN : EVENTS_MIN; }

/* How many fill a round: doubled until they take long enough to tell. */
static bool find_events(rh_runner *runner, row *of)
{
    rh_run   run   = { 0 };
    uint64_t least = least_of(of->cell);
    for (uint64_t events = least; run.ns < ROUND_NS / 8; events *= 2) {
        if (!run_checked(runner, of->cell, events, &run)) return false;
    }
    of->events = (uint64_t)((double)run.events * ROUND_NS / (double)run.ns);
    if (of->events < least) of->events = least;
    return true;
}

static bool measure_once(rh_runner *runner, row *of, rh_run *run)
{
    rh_task task = task_of(of->cell);
    if (!rh_runner_open(runner, &task)) return false;
    bool done = (of->events || find_events(runner, of)) && run_checked(runner, of->cell, of->events / WARM_UP + 1, run)
                && run_checked(runner, of->cell, of->events, run);
    /* What went wrong is said before close has words of its own. */
    if (!done) snprintf(of->words, sizeof of->words, "%s", runner->words);
    return rh_runner_close(runner) && done;
}

static double measure(void *user)
{
    row          *of     = user;
    rh_runner    *runner = &bench.runners[of->who];
    rh_contender *named  = &bench.contenders[of - bench.rows];
    rh_run        run;
    if (measure_once(runner, of, &run)) {
        of->also[0] = (double)run.cpu_ns / (double)run.events / 1000;
        of->also[1] = (double)run.bytes * 1000 / (double)run.ns;
        return (double)run.events * 1e9 / (double)run.ns;
    }
    if (!of->words[0]) snprintf(of->words, sizeof of->words, "%s", runner->words);
    named->missing = of->words;
    return NAN;
}

/* -- counting -------------------------------------------------------------------------------- */

/* The calls in a table of strace -c: its rows end with errors, if any, and the call's name. */
static double calls_in(const char *file)
{
    char   line[512], name[64];
    double total = 0, share, seconds, each, calls;
    FILE  *in    = fopen(file, "r");
    if (!in) return NAN;
    while (fgets(line, sizeof line, in)) {
        const char *last = strrchr(line, ' ');
        if (sscanf(line, "%lf %lf %lf %lf", &share, &seconds, &each, &calls) != 4) continue;
        if (last && sscanf(last, "%63s", name) == 1 && strcmp(name, "total") != 0) total += calls;
    }
    fclose(in);
    return total > 0 ? total : NAN;
}

/* Starts a process for a row under something that counts, and opens its task. */
static bool start_counted(const row *of, rh_runner *runner, const char *const *before, const char *const *env)
{
    rh_start start = { .before = before, .env = env, .cores = CLIENT_CORE, .log = bench.log };
    rh_task  task  = task_of(of->cell);
    if (!rh_crew_start(member_at(of->who), bench.build, &start, runner)) return false;
    if (rh_runner_open(runner, &task)) return true;
    rh_runner_quit(runner);
    return false;
}

static double calls_of(const row *of, uint64_t events, rh_run *run)
{
    char        file[600];
    rh_runner   runner;
    const char *before[] = { "strace", "-f", "-c", "-o", file, NULL };
    snprintf(file, sizeof file, "%s/bench/stream.strace", bench.build);
    remove(file);
    if (!start_counted(of, &runner, before, NULL)) return NAN;
    bool done = run_checked(&runner, of->cell, events, run);
    rh_runner_close(&runner);
    rh_runner_quit(&runner);
    return done ? calls_in(file) : NAN;
}

/* What opening and closing calls is in both counts and falls out. */
static double syscalls_of(const row *of, uint64_t events)
{
    rh_run few = { 0 }, many = { 0 };
    double calls = calls_of(of, 5 * events, &many) - calls_of(of, events, &few);
    /* Who answers more than was asked for may have answered as much both times. */
    return many.events > 2 * few.events ? calls / (double)(many.events - few.events) : NAN;
}

static double read_count(int fd, bool heap)
{
    uint64_t copied = 0;
    rh_heap  counts;
    if (heap) return rh_heap_read(fd, &counts) ? (double)counts.allocations : NAN;
    return pread(fd, &copied, sizeof copied, 0) == (ssize_t)sizeof copied ? (double)copied : NAN;
}

/* What a preloaded counter saw in a run after one that warmed up, and the run. */
static double preloaded(const row *of, bool heap, uint64_t events, rh_run *run)
{
    char      library[600], file[600], variable[640], preload[640];
    rh_runner runner;
    double    before = NAN, after = NAN;
    snprintf(library, sizeof library, "%s/bench/%s.so", bench.build, heap ? "heap" : "copies");
    snprintf(file, sizeof file, "%s/bench/stream.count", bench.build);
    snprintf(variable, sizeof variable, "%s=%s", heap ? RH_HEAP_VARIABLE : "RH_COPIES_FILE", file);
    snprintf(preload, sizeof preload, "LD_PRELOAD=%s", library);
    const char *env[] = { variable, preload, NULL };
    int         fd    = open(file, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0) return NAN;
    if (start_counted(of, &runner, NULL, env)) {
        if (run_checked(&runner, of->cell, events, run)) {
            before = read_count(fd, heap);
            if (run_checked(&runner, of->cell, events, run)) after = read_count(fd, heap);
        }
        rh_runner_close(&runner);
        rh_runner_quit(&runner);
    }
    close(fd);
    remove(file);
    return after - before;
}

static void count(const row *of, rh_contender *named)
{
    rh_run   run;
    uint64_t events = of->events / 10 + least_of(of->cell);
    named->extra[0] = syscalls_of(of, events);
    double allocations = preloaded(of, true, events, &run);
    named->extra[1]    = allocations / (double)run.events;
    double copied   = preloaded(of, false, events, &run);
    named->extra[2] = copied / (double)run.bytes;
}

/* -- the bench ------------------------------------------------------------------------------- */

static void name_cell(cell *of)
{
    char how[24] = "single";
    if (of->batch > 1) snprintf(how, sizeof how, "batch of %u", of->batch);
    snprintf(of->name, sizeof of->name, "%s %s %s %u %s", of->task, of->tls ? "tls" : "plain", how, of->size,
             of->settled ? "settled" : "unsettled");
}

static void add(const cell *of, size_t who, size_t first)
{
    const rh_runner *runner = &bench.runners[who];
    row             *new    = &bench.rows[bench.count];
    *new = (row){ .cell = of, .who = who };
    bench.contenders[bench.count++] = (rh_contender){
        .task = of->name, .name = runner->name[0] ? runner->name : member_at(who)->name, .measure = measure, .user = new, .also = new->also,
        .floor = first + PUMP, .ours = first + OURS, .extra = { NAN, NAN, NAN },
        .version = runner->version[0] ? runner->version : NULL, .settings = runner->setting_count ? bench.settings[who] : NULL,
        .missing = bench.missing[who][0] ? bench.missing[who] : rh_runner_can(runner, of->task) ? NULL : "does not do this",
    };
}

static void start_all(void)
{
    snprintf(bench.log, sizeof bench.log, "%s/bench/stream.log", bench.build);
    remove(bench.log);
    for (size_t who = 0; who < CONTENDERS; who++) {
        rh_runner *runner = &bench.runners[who];
        rh_start   start  = { .cores = CLIENT_CORE, .log = bench.log };
        if (!rh_crew_start(member_at(who), bench.build, &start, runner)) {
            snprintf(bench.missing[who], RH_WORDS_MAX, "%s", runner->words);
        }
    }
}

/* A contender may say more of its settings when it opens a task, so they are gathered at the end. */
static void gather_settings(void)
{
    for (size_t who = 0; who < CONTENDERS; who++) {
        rh_runner *runner = &bench.runners[who];
        for (size_t i = 0; i < runner->setting_count; i++) bench.settings[who][i] = runner->setting[i];
        if (runner->setting_count == 0) continue;
        printf("%s %s\n", runner->name, runner->version);
        for (size_t i = 0; i < runner->setting_count; i++) printf("    %s\n", runner->setting[i]);
    }
    for (size_t i = 0; i < bench.null.setting_count; i++) printf("%s\n", bench.null.setting[i]);
}

int main(int argc, char **argv)
{
    char program[600], ca[600];
    bool full = argc == 3 && strcmp(argv[2], "full") == 0;
    if (argc < 2 || (argc == 3 && !full) || strlen(argv[1]) >= sizeof bench.build) {
        fprintf(stderr, "usage: stream BUILD [full]\n");
        return 2;
    }
    snprintf(bench.build, sizeof bench.build, "%s", argv[1]);
    snprintf(program, sizeof program, "%s/bench/null", bench.build);
    snprintf(ca, sizeof ca, "%s/bench/stream-ca.pem", bench.build);
    rh_start start = { .cores = PEER_CORE };
    if (!rh_null_start(&bench.null, program, ca, false, &start)) {
        fprintf(stderr, "stream: %s\n", bench.null.words);
        return 1;
    }
    start_all();
    for (size_t i = 0; i < CELLS_MAX && cells[i].task; i++) {
        if (!full && !cells[i].gate) continue;
        name_cell(&cells[i]);
        size_t first = bench.count;
        for (size_t who = 0; who < CONTENDERS; who++) add(&cells[i], who, first);
    }
    rh_report report = {
        .name = "stream", .unit = "events_per_s", .also = { "cpu_s_per_M", "MB_per_s" },
        .extra = { "syscalls_per_event", "allocations_per_event", "copied_per_body_byte" },
        .contenders = bench.contenders, .count = bench.count, .rounds = RH_ROUNDS,
    };
    rh_rounds_run(&report);
    for (size_t i = 0; i < bench.count; i++) {
        if (!bench.contenders[i].missing) count(&bench.rows[i], &bench.contenders[i]);
    }
    gather_settings();
    rh_rounds_print(&report);
    snprintf(program, sizeof program, "%s/bench", bench.build);
    bool saved = rh_rounds_save(&report, program);
    for (size_t who = 0; who < CONTENDERS; who++) rh_runner_quit(&bench.runners[who]);
    rh_null_stop(&bench.null);
    return saved ? 0 : 1;
}
