#include "cli/argument.h"
#include "cli/bench.h"

#include <getopt.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

static const char usage[] =
    "usage: ringhub bench send|receive|latency [OPTION]...\n\n"
    "Measures an event hub, or the way to it, from this machine.\n\n"
    "  send      events in batches until they are accepted. Latency: of each message, from its send to its outcome\n"
    "  latency   single events. Without --rate a closed loop: each waits for the one before it. With --rate an open\n"
    "            one: latency counts from the moment when the event was to be sent, so that one that is late because\n"
    "            others were slow counts as slow (coordinated omission is corrected). The same holds for send --rate\n"
    "  receive   events of all partitions, as fast as they come, timed from the first to the last. With --from latest\n"
    "            also how old each is when it comes: the service's enqueued time (whole milliseconds, its clock) against\n"
    "            the clock of this machine. If the two clocks differ, so do the figures\n\n"
    CONNECT_HELP
    "      --connections N           1 to 256, all on one loop, on one thread; default 1\n"
    "      --seconds S               the measured time; default 10, or no end with --count\n"
    "      --count N                 end after N events; a failure if --seconds pass before\n"
    "      --warm-up S               traffic before the measured time; default 1, none for receive and with --count\n"
    "      --timeout S               for opening, and for each send; default 60\n"
    "      --spin US                 look for work so long before sleeping: costs a core, saves a wake-up; default 0\n"
    "      --json                    one JSON object instead of a table\n"
    "      --histogram FILE          the distribution of latencies as HdrHistogram writes it (.hgrm), in milliseconds\n"
    "      --help\n"
    "send and latency:\n"
    "      --size BYTES              of each body; default 1024\n"
    "      --rate N                  events a second, all connections together; default: as fast as outcomes come\n"
    "      --in-flight N             messages without outcome, each connection; 1 to 1000; default 2 for send, 1 for\n"
    "                                latency, 256 for latency --rate\n"
    "  -p, --partition ID            to this partition\n"
    "  -k, --key KEY                 with this partition key\n"
    "send:\n"
    "      --batch N                 events in a message; default: what fits, with --rate what is due in a millisecond\n"
    "receive:\n"
    "  -g, --group GROUP             consumer group; default $Default\n"
    "  -p, --partition ID            only this partition\n"
    "      --from POSITION           as for ringhub receive; default earliest\n"
    "      --prefetch N              events the service may send ahead, each partition; default 300\n\n"
    "Partitions are dealt out to the connections; with more connections than partitions some are read several times.\n"
    "A percentile is printed when at least 100 values lie beyond it.\n";

/* The letters of what only some tasks have are in their tables. */
static const struct option options[] = {
    CONNECT_LONG,
    { "partition", required_argument, NULL, 'p' }, { "key", required_argument, NULL, 'k' },
    { "group", required_argument, NULL, 'g' },     { "from", required_argument, NULL, 'f' },
    { "size", required_argument, NULL, 's' },      { "rate", required_argument, NULL, 'r' },
    { "batch", required_argument, NULL, 'b' },     { "in-flight", required_argument, NULL, 'i' },
    { "prefetch", required_argument, NULL, 'P' },  { "connections", required_argument, NULL, 'C' },
    { "seconds", required_argument, NULL, 'S' },   { "count", required_argument, NULL, 'n' },
    { "warm-up", required_argument, NULL, 'w' },   { "timeout", required_argument, NULL, 't' },
    { "spin", required_argument, NULL, 'U' },      { "json", no_argument, NULL, 'j' },
    { "histogram", required_argument, NULL, 'H' }, { 0 },
};

static const struct bench_task *const tasks[] = { &rh_bench_send, &rh_bench_latency, &rh_bench_receive };
enum { TASKS = sizeof tasks / sizeof *tasks };

/* No tier takes larger messages than 20 MB. */
enum { CONNECTIONS_MAX = 256, IN_FLIGHT_MAX = 1000, SIZE_MAX_BYTES = 20 * 1024 * 1024, BATCH_MAX = 1000000, SPIN_US_MAX = 1000000 };

/* An interrupted run still wants its last outcomes, but not for long. */
#define INTERRUPTED_DRAIN RH_SECONDS(2)

rh_time rh_bench_now(void)
{
    struct timespec now;
    clock_gettime(CLOCK_BOOTTIME, &now);
    return (rh_time)now.tv_sec * 1000000000u + (rh_time)now.tv_nsec;
}

static double cpu_seconds(void)
{
    struct rusage used;
    getrusage(RUSAGE_SELF, &used);
    return (double)(used.ru_utime.tv_sec + used.ru_stime.tv_sec) + (double)(used.ru_utime.tv_usec + used.ru_stime.tv_usec) / 1e6;
}

/* -- the window ---------------------------------------------------------------------------------- */

void rh_bench_begin(struct bench *bench)
{
    bench->phase = BENCH_MEASURING;
    bench->from = bench->to = rh_bench_now();
    bench->until = bench->opts->seconds ? rh_time_after(bench->from, bench->opts->seconds) : RH_TIME_NEVER;
    bench->cpu_from = bench->cpu_to = cpu_seconds();
    bench->told = bench->from;
}

void rh_bench_end(struct bench *bench)
{
    rh_time now = rh_bench_now();
    bench->phase = BENCH_DRAINING;
    /* A backlog that was read up early is measured until its last event, not until the end of the waiting. */
    if (!bench->opts->task->is_over_with_last || bench->events == bench->opts->count) bench->to = now;
    if (now < bench->until) bench->until = now;
    bench->give_up = rh_time_after(now, rh_cli_interrupted() ? INTERRUPTED_DRAIN : RH_MS(bench->opts->connect.timeout_ms));
    bench->cpu_to = cpu_seconds();
    rh_bench_stop(bench);
}

void rh_bench_sample(struct bench *bench, uint64_t ns)
{
    rh_histogram_add(&bench->latency, ns);
    rh_histogram_add(&bench->second, ns);
}

void rh_bench_stop(struct bench *bench) { rh_loop_stop(bench->loop); }

void rh_bench_fail(struct bench *bench, const char *what, const rh_error *error)
{
    if (bench->failed) return;
    bench->failed = true;
    rh_bench_tell_no_more();
    rh_cli_failed(&bench->connections[0], what, error);
    rh_bench_stop(bench);
}

static int fail(struct bench *bench, rh_status status, const char *words)
{
    rh_error error;
    rh_error_set(&error, status, NULL, words ? words : rh_status_words(status));
    rh_bench_fail(bench, rh_client_hub(bench->connections[0].client), &error);
    return FAILED;
}

/* -- the run --------------------------------------------------------------------------------------- */

static int open_connections(struct bench *bench)
{
    const struct bench_opts *opts = bench->opts;
    struct connection *first = bench->connections;
    int code = rh_cli_open(first, &rh_command_bench, &opts->connect);
    for (uint64_t i = 1; i < opts->connections && code == DONE; i++)
        code = rh_cli_open_beside(first + i, first, &opts->connect);
    if (code != DONE) return code;
    bench->loop = first->loop;
    for (uint64_t i = 0; i < opts->connections; i++) first[i].is_quiet = true; /* the result tells */
    rh_status status = RH_OK;
    rh_error error;
    for (uint64_t i = 0; i < opts->connections && status == RH_OK; i++) status = rh_client_connect(first[i].client);
    if (status != RH_OK) return fail(bench, status, NULL);
    for (uint64_t i = 0; i < opts->connections; i++) {
        if (rh_cli_connect(&first[i], opts->connect.timeout_ms, &error) == RH_OK) continue;
        rh_bench_fail(bench, rh_client_hub(first->client), &error);
        return FAILED;
    }
    return DONE;
}

static void close_connections(struct bench *bench)
{
    rh_bench_tell_no_more();
    uint64_t count = bench->opts->connections;
    /* All say goodbye at once; each is then waited for. */
    for (uint64_t i = 0; i < count && bench->loop; i++)
        rh_client_close(bench->connections[i].client, rh_time_after(rh_loop_now(bench->loop), RH_SECONDS(2)), NULL, NULL);
    while (count--) rh_cli_close(&bench->connections[count]);
}

static int wait_open(struct bench *bench)
{
    while (!bench->failed && bench->open < bench->lane_count) {
        if (rh_cli_interrupted()) return fail(bench, RH_E_CANCELLED, "interrupted before anything was measured");
        rh_status status = rh_loop_turn(bench->loop, rh_time_after(rh_loop_now(bench->loop), RH_MS(100)));
        if (status != RH_OK) return fail(bench, status, NULL);
    }
    return bench->failed ? FAILED : DONE;
}

static void step(struct bench *bench, rh_time now)
{
    if (bench->phase == BENCH_WARMING && now >= bench->warm_until) rh_bench_begin(bench);
    if (bench->phase == BENCH_WARMING && rh_cli_interrupted()) rh_bench_begin(bench);
    if (bench->phase == BENCH_MEASURING && (now >= bench->until || rh_cli_interrupted())) rh_bench_end(bench);
    if (bench->phase == BENCH_DRAINING && rh_cli_interrupted()) {
        if (rh_time_after(now, INTERRUPTED_DRAIN) < bench->give_up) bench->give_up = rh_time_after(now, INTERRUPTED_DRAIN);
    }
    if (bench->phase == BENCH_DRAINING && (bench->opts->task->is_drained(bench) || now >= bench->give_up)) {
        bench->phase = BENCH_DONE;
        bench->cpu_to = cpu_seconds();
    }
}

static rh_time next_look(const struct bench *bench, rh_time now)
{
    rh_time look = rh_time_after(now, RH_MS(100));
    if (bench->phase == BENCH_WARMING && bench->warm_until < look) return bench->warm_until;
    if (bench->phase == BENCH_MEASURING && bench->until < look) return bench->until;
    return look;
}

static int measure(struct bench *bench)
{
    rh_time now = rh_bench_now();
    bench->traffic_from = now;
    bench->told = now;
    bench->warm_until = rh_time_after(now, bench->opts->warm_up);
    if (bench->phase == BENCH_OPENING) bench->phase = BENCH_WARMING;
    step(bench, now);
    if (bench->opts->task->start) bench->opts->task->start(bench);
    while (!bench->failed && bench->phase != BENCH_DONE) {
        rh_status status = rh_loop_run(bench->loop, next_look(bench, now));
        if (status != RH_OK) return fail(bench, status, NULL);
        now = rh_bench_now();
        step(bench, now);
        rh_bench_tell(bench, now);
    }
    if (bench->phase == BENCH_MEASURING) rh_bench_end(bench); /* what failed has its figures too */
    return bench->failed ? FAILED : DONE;
}

/* What is missing at the end is a failure, said behind the result. */
static int judge(struct bench *bench)
{
    const struct bench_opts *opts = bench->opts;
    char words[128];
    snprintf(words, sizeof words, "%llu of %llu events %s", (unsigned long long)bench->events, (unsigned long long)opts->count,
             rh_cli_interrupted() ? "before the interrupt" : "in time");
    if (opts->count && bench->events < opts->count)
        return fail(bench, rh_cli_interrupted() ? RH_E_CANCELLED : bench->refused ? bench->refusal : RH_E_TIMEOUT, words);
    if (bench->events) return DONE;
    return fail(bench, rh_cli_interrupted() ? RH_E_CANCELLED : bench->refused ? bench->refusal : RH_E_TIMEOUT, "not one event");
}

static int work(struct bench *bench)
{
    int code = open_connections(bench);
    if (code == DONE) code = bench->opts->task->open(bench);
    if (code == DONE) code = wait_open(bench);
    if (code == DONE) {
        code = measure(bench);
        rh_bench_tell_no_more();
        int told = bench->phase >= BENCH_MEASURING ? rh_bench_report(bench) : DONE;
        if (code == DONE) code = judge(bench);
        if (code == DONE) code = told;
    }
    bench->opts->task->close(bench);
    return code;
}

/* -- the command line ------------------------------------------------------------------------------ */

static bool parse_up_to(const char *text, uint64_t most, uint64_t *out) { return rh_parse_count(text, out) && *out <= most; }

static bool parse_time(const char *text, rh_time *out)
{
    double seconds = 0;
    bool fine = rh_parse_seconds(text, &seconds);
    *out = (rh_time)(seconds * 1e9);
    return fine;
}

static bool parse_connect_number(struct connect_opts *connect, int option, const char *text)
{
    uint64_t spin = 0;
    double seconds = 0;
    bool fine = option == 'U' ? parse_up_to(text, SPIN_US_MAX, &spin) : rh_parse_seconds(text, &seconds) && seconds >= 0.001 && seconds <= 3600;
    if (option == 'U') connect->spin_us = (uint32_t)spin;
    else connect->timeout_ms = (uint32_t)(seconds * 1e3);
    return fine;
}

static bool parse_value(struct bench_opts *opts, int option, const char *text)
{
    switch (option) {
    case 'p': opts->partition = text; return *text != '\0';
    case 'k': opts->key = text; return rh_is_partition_key(text);
    case 'g': opts->group = text; return *text != '\0';
    case 'f': return rh_parse_position(text, &opts->position);
    case 's': return parse_up_to(text, SIZE_MAX_BYTES, &opts->size);
    case 'r': return rh_parse_seconds(text, &opts->rate) && opts->rate > 0;
    case 'b': return parse_up_to(text, BATCH_MAX, &opts->batch);
    case 'i': return parse_up_to(text, IN_FLIGHT_MAX, &opts->in_flight);
    case 'P': return parse_up_to(text, BATCH_MAX, &opts->prefetch);
    case 'C': return parse_up_to(text, CONNECTIONS_MAX, &opts->connections);
    case 'S': return parse_time(text, &opts->seconds) && opts->seconds;
    case 'n': return rh_parse_count(text, &opts->count);
    case 'w': return parse_time(text, &opts->warm_up);
    case 'H': opts->histogram_file = text; return *text != '\0';
    case 'j': return opts->json = true;
    default: return parse_connect_number(&opts->connect, option, text);
    }
}

static bool is_for(const struct bench_task *task, int option)
{
    static const char of_some[] = "pkgfsrbiP";
    return !strchr(of_some, option) || strchr(task->letters, option);
}

static const char *name_of(int option)
{
    const struct option *each = options;
    while (each->name && each->val != option) each++;
    return each->name;
}

static int parse(struct bench_opts *opts, int argc, char **argv)
{
    const struct command *command = &rh_command_bench;
    bool has_warm_up = false;
    int option;
    while ((option = getopt_long(argc, argv, CONNECT_SHORT "p:k:g:", options, NULL)) != -1) {
        if (rh_cli_option(&opts->connect, option, optarg)) continue;
        const char *name = name_of(option);
        if (!name) return rh_command_misread(command, argv);
        if (!is_for(opts->task, option)) return rh_command_misused(command, "--%s means nothing to %s", name, opts->task->name);
        if (!parse_value(opts, option, optarg)) return rh_command_misused(command, "--%s cannot be '%s'", name, optarg);
        if (option == 'w') has_warm_up = true;
    }
    if (optind < argc) return rh_command_misused(command, "'%s' is one word too many", argv[optind]);
    if (opts->partition && opts->key) return rh_command_misused(command, "a partition and a key exclude each other");
    if (!opts->count && !opts->seconds) opts->seconds = RH_SECONDS(10);
    if (!opts->count && !has_warm_up && opts->task->start) opts->warm_up = RH_SECONDS(1);
    return DONE;
}

/* A closed loop of single events is one after the other; an open one is held up by nobody. */
static uint64_t usual_in_flight(const struct bench_opts *opts)
{
    if (opts->task != &rh_bench_latency) return 2;
    return opts->rate > 0 ? 256 : 1;
}

static int run(int argc, char **argv)
{
    struct bench_opts opts = { .connections = 1, .size = 1024, .connect = { .timeout_ms = 60000 } };
    for (size_t i = 0; i < TASKS && argc > 1; i++) {
        if (strcmp(tasks[i]->name, argv[1]) == 0) opts.task = tasks[i];
    }
    if (!opts.task) return rh_command_misused(&rh_command_bench, "say what: send, receive or latency");
    int code = parse(&opts, argc - 1, argv + 1);
    if (code != DONE) return code;

    struct bench *bench = calloc(1, sizeof *bench);
    struct connection *connections = calloc(opts.connections, sizeof *connections);
    if (bench && connections) {
        if (!opts.in_flight) opts.in_flight = usual_in_flight(&opts);
        opts.connect.links = opts.task == &rh_bench_receive ? RH_PARTITIONS_MAX : 1;
        *bench = (struct bench){ .opts = &opts, .connections = connections, .from = RH_TIME_NEVER, .until = RH_TIME_NEVER };
        rh_cli_catch_interrupt();
        code = work(bench);
        close_connections(bench);
    } else {
        code = rh_command_failed(&rh_command_bench, "%s", rh_status_name(RH_E_MEMORY));
    }
    free(connections);
    free(bench);
    return code;
}

const struct command rh_command_bench = { "bench", "measures an event hub from here: rates, CPU, latencies", usage, run };
