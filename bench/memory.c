/*
 * memory BUILD: what an idle connection costs in user space, by whom, into BUILD/bench/memory.json and .csv.
 *
 * Of every contender there are four processes: with one and with many connections, plain and over TLS. What many hold
 * beyond what one holds, by connection, is the figure: what a program or a loop costs once is not in it. Each connection has its
 * session, its `$cbs` pair where the contender has such a thing, and one sender that is open and has nothing to do.
 *
 * Pages come first, for they tell of everybody; what malloc gave is less than half of the story of a language that has a
 * heap of its own.
 */
#include "bench/crew.h"
#include "bench/footprint.h"
#include "bench/heap.h"
#include "bench/rounds.h"

#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <time.h>

#define MANY 1001

/* Whoever gives memory back when idle has this long for it, here and after the burst. */
#define REST_SECONDS  2
#define WATCH_SECONDS 4

#define BURST_BYTES (1024u * 1024)

enum { ONE, ALL, ONE_TLS, ALL_TLS, PROCESSES };
enum { IDLE, BURST, MOMENTS };

struct process {
    rh_runner    runner;
    int          heap;
    bool         is_open, has_burst;
    rh_footprint at[MOMENTS];
    double       wakes_per_s;
};

/** One row of the report. */
struct row {
    const struct process *one, *all;
    int                   moment;
    double                also[1];
};

static const char *build;
static rh_null peer;
static struct process processes[RH_CREW_MAX][PROCESSES];
static struct row rows[RH_CREW_MAX * 4];
static rh_contender contenders[RH_CREW_MAX * 4];

static void rest(int seconds)
{
    struct timespec left = { .tv_sec = seconds };
    while (nanosleep(&left, &left)) continue;
}

/* -- the processes -------------------------------------------------------------------------------- */

static bool start(struct process *process, const rh_member *member, const char *file)
{
    char        preload[1100], variable[4200], log[1100];
    const char *env[] = { preload, variable, NULL };
    snprintf(preload, sizeof preload, "LD_PRELOAD=%s/bench/heap.so", build);
    snprintf(variable, sizeof variable, "%s=%s", RH_HEAP_VARIABLE, file);
    snprintf(log, sizeof log, "%s/bench/memory.log", build);
    process->heap = open(file, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    return rh_crew_start(member, build, &(rh_start){ .env = env, .log = log }, &process->runner);
}

static void open_idle(struct process *process, int which)
{
    rh_task task = {
        .task = "idle", .host = "127.0.0.1", .address = "bench", .tls = which >= ONE_TLS, .size = BURST_BYTES, .batch = 1,
        .events = which == ALL || which == ALL_TLS ? MANY : 1,
    };
    task.port = task.tls ? peer.tls_port : peer.port;
    snprintf(task.ca, sizeof task.ca, "%s", peer.ca);
    process->is_open = rh_runner_open(&process->runner, &task);
}

static void look(struct process *all, int moment)
{
    for (int i = 0; i < PROCESSES; i++)
        if (all[i].is_open) all[i].at[moment] = rh_footprint_of(all[i].runner.child.pid, all[i].heap);
}

/* Last, when nobody waits for anything any more that came with opening. */
static void watch_wakes(struct process *all)
{
    double since[PROCESSES];
    for (int i = 0; i < PROCESSES; i++) since[i] = all[i].is_open ? rh_footprint_of(all[i].runner.child.pid, -1).wakes : NAN;
    rest(WATCH_SECONDS);
    for (int i = 0; i < PROCESSES; i++) {
        all[i].wakes_per_s = all[i].is_open ? (rh_footprint_of(all[i].runner.child.pid, -1).wakes - since[i]) / WATCH_SECONDS : NAN;
    }
}

/* Everybody sends a mebibyte on each connection; who does not do that says so. */
static void burst(struct process *all)
{
    bool has_burst = false;
    for (int i = 0; i < PROCESSES; i++) {
        rh_run run;
        bool   sent      = all[i].is_open && rh_runner_run(&all[i].runner, 1, NULL, &run);
        all[i].has_burst = sent && run.bytes > 0;
        has_burst |= all[i].has_burst;
    }
    if (!has_burst) return;
    rest(REST_SECONDS);
    look(all, BURST);
}

static void measure_member(const rh_member *member, struct process *all)
{
    char file[PROCESSES][1024];
    bool started = true;
    printf("  %s\n", member->name);
    fflush(stdout);
    for (int i = 0; i < PROCESSES && started; i++) {
        snprintf(file[i], sizeof file[i], "%s/bench/memory-%d.heap", build, i);
        started = start(&all[i], member, file[i]);
        if (started) open_idle(&all[i], i);
        if (!all[i].is_open) printf("    %s\n", all[i].runner.words);
    }
    /* Who cannot be started once is not tried again. */
    for (int i = 1; i < PROCESSES && !started; i++) memcpy(all[i].runner.words, all[0].runner.words, sizeof all[i].runner.words);
    if (all[ONE].is_open) {
        rest(REST_SECONDS);
        look(all, IDLE);
        burst(all);
        watch_wakes(all);
    }
    for (int i = 0; i < PROCESSES; i++) {
        (void)rh_runner_quit(&all[i].runner);
        if (all[i].heap > 0) {
            close(all[i].heap);
            unlink(file[i]);
        }
    }
}

/* -- the report ----------------------------------------------------------------------------------- */

static double slope(double one, double all) { return (all - one) / (MANY - 1); }

static double pages_of(void *user)
{
    struct row *row = user;
    row->also[0]    = slope(row->one->at[row->moment].heap, row->all->at[row->moment].heap);
    return slope(row->one->at[row->moment].pages, row->all->at[row->moment].pages);
}

static const char *why_missing(const struct row *row)
{
    if (!row->one->is_open) return row->one->runner.words;
    if (!row->all->is_open) return row->all->runner.words;
    return row->moment == BURST && !row->all->has_burst ? "sends no burst on idle connections" : NULL;
}

/* Rows of one task stand together, ringhub's first. */
static size_t fill_rows(void)
{
    static const char *const tasks[] = { "idle plain", "idle tls", "idle plain, 2 s after 1 MiB", "idle tls, 2 s after 1 MiB" };
    size_t count = 0;
    for (int t = 0; t < 4; t++) {
        size_t ours = count;
        for (int m = 0; m < RH_CREW_MAX; m++, count++) {
            const struct process *all = processes[m];
            rh_contender         *to  = &contenders[count];
            rows[count] = (struct row){ .one = &all[t & 1 ? ONE_TLS : ONE], .all = &all[t & 1 ? ALL_TLS : ALL], .moment = t < 2 ? IDLE : BURST };
            *to = (rh_contender){
                .task = tasks[t], .name = rh_crew[m].name, .measure = pages_of, .user = &rows[count], .also = rows[count].also,
                .floor = RH_NO_CONTENDER, .ours = m ? ours : RH_NO_CONTENDER, .missing = why_missing(&rows[count]),
                .version = all[ONE].runner.version,
            };
            for (size_t x = 0; x < RH_EXTRAS; x++) to->extra[x] = NAN;
            if (t < 2) to->extra[0] = rows[count].one->wakes_per_s;
            if (t < 2) to->extra[1] = rows[count].all->wakes_per_s;
        }
    }
    return count;
}

int main(int argc, char **argv)
{
    char ca[1024];
    if (argc != 2) {
        fprintf(stderr, "usage: memory BUILD\n");
        return 2;
    }
    struct rlimit files;
    if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
        files.rlim_cur = files.rlim_max; /* inherited by all: a thousand connections each */
        (void)setrlimit(RLIMIT_NOFILE, &files);
    }
    static char place[1024], program[1100];
    build = argv[1];
    snprintf(place, sizeof place, "%s/bench", build);
    snprintf(program, sizeof program, "%s/bench/null", build);
    snprintf(ca, sizeof ca, "%s/bench/memory-ca.pem", build);
    if (!rh_null_start(&peer, program, ca, false, &(rh_start){ .log = NULL })) {
        fprintf(stderr, "memory: %s\n", peer.words);
        return 1;
    }
    printf("one and %d idle connections each, plain and TLS 1.3, by:\n", MANY);
    for (int m = 0; m < RH_CREW_MAX; m++) measure_member(&rh_crew[m], processes[m]);
    rh_null_stop(&peer);

    rh_report report = {
        .name = "memory", .unit = "page_bytes_per_connection", .also = { "heap_bytes_per_connection" },
        .extra = { "wakes_per_s_one", "wakes_per_s_all" }, .contenders = contenders, .count = fill_rows(), .rounds = 1,
    };
    rh_rounds_run(&report);
    rh_rounds_print(&report);
    return rh_rounds_save(&report, place) ? 0 : 1;
}
