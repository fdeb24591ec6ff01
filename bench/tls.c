/*
 * What TLS adds, over loopback to the null peer.
 *
 *   tls BUILD [full]
 *
 *   tls-bulk        processor time of the client for a gigabyte of bodies: a stream over TLS less the same stream over plain
 *                   TCP, beside OpenSSL's EVP that seals or opens as many bytes in full records
 *   tls-roundtrip   microseconds that one event and its outcome take longer, both ends on one core
 *   tls-handshake   processor time of a client for a connection over TLS less that of one over TCP, full and resumed
 *
 * What is subtracted is measured in the same round, just before. `full` does everything five times as long.
 */
#include "bench/contender.h"
#include "bench/crew.h"
#include "bench/floor/aead.h"
#include "bench/reference.h"
#include "bench/rounds.h"
#include "bench/samples.h"
#include "bench/visit.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CORE_0     1u
#define CORE_1     2u
#define SIZE       RH_REFERENCE_BODY
#define BATCH      200u
#define ROUND_NS   120e6 /* of a timed stream */
#define WARM_UP    500u
#define TRIPS      8000u
#define VISITS     60u
#define FULL       5u
#define ROWS_MAX   24

/* Bytes of the stream for an event: in a batch, and as a message of its own behind a transfer that is short. */
#define SENT_BYTES     (RH_REFERENCE_SENT + 8u)
#define RECEIVED_BYTES (RH_REFERENCE_RECEIVED + 24u)

enum { LIBSSL, CREW, CONTENDERS = CREW + RH_CREW_MAX };
#define OURS CREW

static const rh_member libssl = { "floor: libssl", { "@bench/floor/echo" } };

typedef struct row {
    double    (*measure)(struct row *);
    const char *task;
    size_t      who;
    bool        turned;  /* it receives; it resumes */
    uint64_t    events;  /* of a timed run; 0: not known yet */
    double      also[2];
    char        words[RH_WORDS_MAX];
} row;

static struct {
    const char  *build;
    unsigned     factor;
    char         file[600];       /* of samples */
    rh_null      near_null, far_null; /* on the client's core, and on the other */
    rh_runner    runners[CONTENDERS];
    char         missing[CONTENDERS][RH_WORDS_MAX];
    const char  *settings[CONTENDERS][RH_SETTINGS_MAX + 1];
    row          rows[ROWS_MAX];
    rh_contender contenders[ROWS_MAX];
} bench;

static rh_task task_of(const char *name, const rh_null *null, bool tls)
{
    rh_task task = { .host = "127.0.0.1", .port = tls ? null->tls_port : null->port, .tls = tls, .address = "bench", .size = SIZE, .batch = 1 };
    snprintf(task.task, sizeof task.task, "%s", name);
    if (tls) snprintf(task.ca, sizeof task.ca, "%s", null->ca);
    return task;
}

static double failed(row *of, const char *words)
{
    snprintf(of->words, sizeof of->words, "%s", words);
    bench.contenders[of - bench.rows].missing = of->words;
    return NAN;
}

/* -- bulk ------------------------------------------------------------------------------------ */

static bool stream(row *of, bool tls, rh_run *run)
{
    rh_runner *runner = &bench.runners[of->who];
    rh_task    task   = task_of(of->turned ? "receive" : "send", &bench.far_null, tls);
    task.batch   = of->turned ? 1 : BATCH;
    task.settled = of->turned;
    if (!rh_runner_open(runner, &task)) return false;
    bool done = rh_runner_run(runner, of->events ? of->events / 10 : 10 * WARM_UP, NULL, run);
    if (done && !of->events) of->events = (uint64_t)(bench.factor * ROUND_NS * (double)run->events / (double)run->ns) + 1;
    done = done && rh_runner_run(runner, of->events, NULL, run);
    return rh_runner_close(runner) && done && run->bytes > 0;
}

static double measure_stream(row *of)
{
    rh_run plain, sealed;
    if (!stream(of, false, &plain) || !stream(of, true, &sealed)) return failed(of, bench.runners[of->who].words);
    of->also[0] = (double)plain.cpu_ns / (double)plain.bytes;
    of->also[1] = (double)sealed.cpu_ns / (double)sealed.bytes;
    return of->also[1] - of->also[0];
}

static double measure_aead(row *of)
{
    size_t events = bench.factor * 50000u, n = events * (of->turned ? RECEIVED_BYTES : SENT_BYTES);
    of->also[0] = NAN; /* there is no plain one of it */
    of->also[1] = rh_floor_aead(!of->turned, n, RH_FLOOR_RECORD) / (double)(events * SIZE);
    return of->also[1];
}

/* -- round trips ----------------------------------------------------------------------------- */

static double median_trip(row *of, bool tls)
{
    rh_runner *runner  = &bench.runners[of->who];
    rh_task    task    = task_of("roundtrip", &bench.near_null, tls);
    rh_samples samples = { .count = 0 };
    rh_run     run;
    remove(bench.file);
    if (!rh_runner_open(runner, &task)) return NAN;
    bool done = rh_runner_run(runner, WARM_UP, NULL, &run) && rh_runner_run(runner, bench.factor * TRIPS, bench.file, &run);
    done      = rh_runner_close(runner) && done && rh_samples_read(&samples, bench.file);
    double median = done ? rh_samples_at(&samples, 50) : NAN;
    rh_samples_free(&samples);
    return median;
}

static double measure_trips(row *of)
{
    of->also[0] = median_trip(of, false);
    of->also[1] = median_trip(of, true);
    double added = of->also[1] - of->also[0];
    return isnan(added) ? failed(of, bench.runners[of->who].words) : added;
}

/* -- handshakes ------------------------------------------------------------------------------ */

typedef double connections(const char *host, uint16_t port, const char *ca, bool resumed, unsigned count);

static double measure_connections(row *of, connections *make)
{
    const rh_null *null  = &bench.far_null;
    unsigned       count = bench.factor * VISITS;
    of->also[0] = make("127.0.0.1", null->port, NULL, false, count) / count / 1000;
    of->also[1] = make("127.0.0.1", null->tls_port, null->ca, of->turned, count) / count / 1000;
    double added = of->also[1] - of->also[0];
    return isnan(added) ? failed(of, "a connection failed, or another cipher than " RH_FLOOR_SUITE " was agreed on") : added;
}

static double measure_libssl(row *of) { return measure_connections(of, rh_floor_connections); }
static double measure_ours(row *of) { return measure_connections(of, rh_visits); }

static double measure_primitives(row *of)
{
    double total = 0;
    for (unsigned i = 0; i < bench.factor * VISITS; i++) total += rh_floor_key_exchange(of->turned);
    of->also[0] = NAN; /* there is no plain one of it */
    of->also[1] = total / (bench.factor * VISITS) / 1000;
    return of->also[1];
}

/* -- the reports ----------------------------------------------------------------------------- */

static double measure(void *user)
{
    row *of = user;
    return of->measure(of);
}

static void add(rh_report *report, row like, const char *name)
{
    row *new = &bench.rows[report->contenders - bench.contenders + (ptrdiff_t)report->count];
    *new = like;
    report->contenders[report->count++] = (rh_contender){
        .task = new->task, .name = name, .measure = measure, .user = new, .also = new->also, .floor = RH_NO_CONTENDER, .ours = RH_NO_CONTENDER,
    };
}

static void add_member(rh_report *report, row like)
{
    const rh_runner  *runner = &bench.runners[like.who];
    const rh_member  *member = like.who == LIBSSL ? &libssl : &rh_crew[like.who - CREW];
    const char       *missing = bench.missing[like.who];
    add(report, like, like.who != LIBSSL && runner->name[0] ? runner->name : member->name);
    rh_contender *named = &report->contenders[report->count - 1];
    const char   *needs = like.measure == measure_trips ? "roundtrip" : like.turned ? "receive" : "send";
    named->missing  = missing[0] ? missing : rh_runner_can(runner, needs) ? NULL : "does not do this";
    named->version  = runner->version[0] ? runner->version : NULL;
    named->settings = bench.settings[like.who];
}

/* The first of a task is its floor; ours is `at` further down. */
static void compare(rh_report *report, size_t first, size_t at)
{
    for (size_t i = first; i < report->count; i++) {
        report->contenders[i].floor = first;
        report->contenders[i].ours  = first + at;
    }
}

static void fill_bulk(rh_report *report)
{
    for (int receives = 0; receives < 2; receives++) {
        size_t      first = report->count;
        const char *task  = receives ? "bulk receive" : "bulk send";
        add(report, (row){ .measure = measure_aead, .task = task, .turned = receives }, "floor: AEAD, full records");
        /* Interpreters spend a hundred times as much on the event itself: the difference would be noise. */
        for (size_t who = OURS; who < OURS + 2; who++) add_member(report, (row){ .measure = measure_stream, .task = task, .who = who, .turned = receives });
        compare(report, first, 1);
    }
}

static void fill_trips(rh_report *report)
{
    for (size_t who = LIBSSL; who < OURS + 2; who++) add_member(report, (row){ .measure = measure_trips, .task = "roundtrip tls same core", .who = who });
    compare(report, 0, OURS - LIBSSL);
}

static void fill_handshakes(rh_report *report)
{
    for (int resumed = 0; resumed < 2; resumed++) {
        size_t      first = report->count;
        const char *task  = resumed ? "handshake resumed" : "handshake";
        add(report, (row){ .measure = measure_primitives, .task = task, .turned = resumed }, "floor: primitives");
        add(report, (row){ .measure = measure_libssl, .task = task, .turned = resumed }, "floor: libssl");
        add(report, (row){ .measure = measure_ours, .task = task, .turned = resumed }, "ringhub");
        compare(report, first, 2);
    }
}

static bool run_report(rh_report *report, void (*fill)(rh_report *), const char *directory)
{
    fill(report);
    rh_rounds_run(report);
    rh_rounds_print(report);
    printf("\n");
    return rh_rounds_save(report, directory);
}

/* -- the bench ------------------------------------------------------------------------------- */

static bool start_null(rh_null *null, uint64_t cores, const char *directory, const char *name)
{
    char     program[600], ca[600];
    rh_start start = { .cores = cores };
    snprintf(program, sizeof program, "%s/null", directory);
    snprintf(ca, sizeof ca, "%s/%s", directory, name);
    if (rh_null_start(null, program, ca, false, &start)) return true;
    fprintf(stderr, "tls: %s\n", null->words);
    return false;
}

static void start_runners(void)
{
    rh_start start = { .cores = CORE_0 };
    for (size_t who = LIBSSL; who < OURS + 2; who++) {
        rh_runner *runner = &bench.runners[who];
        if (!rh_crew_start(who == LIBSSL ? &libssl : &rh_crew[who - CREW], bench.build, &start, runner))
            snprintf(bench.missing[who], RH_WORDS_MAX, "%s", runner->words);
        for (size_t i = 0; i < runner->setting_count; i++) bench.settings[who][i] = runner->setting[i];
    }
}

int main(int argc, char **argv)
{
    char directory[512];
    bool full = argc == 3 && strcmp(argv[2], "full") == 0;
    if (argc < 2 || (argc == 3 && !full) || (size_t)snprintf(directory, sizeof directory, "%s/bench", argv[1]) >= sizeof directory) {
        fprintf(stderr, "usage: tls BUILD [full]\n");
        return 2;
    }
    bench.build  = argv[1];
    bench.factor = full ? FULL : 1;
    snprintf(bench.file, sizeof bench.file, "%s/tls.samples", directory);
    rh_reference_init();
    if (!start_null(&bench.near_null, CORE_0, directory, "tls-near.pem") || !start_null(&bench.far_null, CORE_1, directory, "tls-far.pem")) return 1;
    start_runners();
    rh_report bulk  = { .name = "tls-bulk", .unit = "added_cpu_s_per_GB", .also = { "plain_cpu_s_per_GB", "tls_cpu_s_per_GB" },
                        .contenders = bench.contenders, .rounds = RH_ROUNDS };
    rh_report trips = { .name = "tls-roundtrip", .unit = "added_us", .also = { "plain_us", "tls_us" },
                        .contenders = bench.contenders + ROWS_MAX / 3, .rounds = RH_ROUNDS };
    rh_report hands = { .name = "tls-handshake", .unit = "added_cpu_us", .also = { "plain_cpu_us", "tls_cpu_us" },
                        .contenders = bench.contenders + ROWS_MAX / 3 * 2, .rounds = RH_ROUNDS };
    bool saved = run_report(&bulk, fill_bulk, directory);
    saved      = run_report(&trips, fill_trips, directory) && saved;
    saved      = run_report(&hands, fill_handshakes, directory) && saved;
    remove(bench.file);
    for (size_t who = 0; who < CONTENDERS; who++) rh_runner_quit(&bench.runners[who]);
    rh_null_stop(&bench.near_null);
    rh_null_stop(&bench.far_null);
    return saved ? 0 : 1;
}
