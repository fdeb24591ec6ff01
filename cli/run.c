#include "cli/command.h"
#include "cli/figures.h"
#include "cli/tree.h"

#include <getopt.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <xxhash.h>
#include <ringhub/emulator.h>
#include <ringhub/eventhub.h>

static const char usage[] =
    "usage: ringhub run [OPTION]... [DIR]\n\n"
    "The main job. Starts an emulator on free loopback ports with TLS and a certificate made on the spot, sends the\n"
    "lines of every text file below DIR (default: this folder) as events over several partitions, receives them all,\n"
    "and proves by digest (XXH3) that nothing is lost, doubled, altered or out of order within a partition. Then sends\n"
    "some more one at a time, to time each.\n\n"
    "      --rounds N                the whole tree N times; default: as often as makes 300000 events\n"
    "      --partitions N            1 to 32; default 4\n"
    "      --batch-bytes N           the largest batch; default 65536\n"
    "      --help\n";

static const struct option options[] = {
    { "rounds", required_argument, NULL, 'r' }, { "partitions", required_argument, NULL, 'p' },
    { "batch-bytes", required_argument, NULL, 'b' }, { 0 },
};

enum { PARTITIONS_MAX = 32, EVENTS_WANTED = 300000, IN_FLIGHT = 2, SECONDS_MAX = 45 };

/* Enough for a hundredth of a hundredth, few enough for a second or two. */
enum { SINGLES = 10000 };

struct job;

/* One partition: what was handed to its producer, and what its consumer saw. */
struct lane {
    struct job   *job;
    rh_producer  *producer;
    rh_consumer  *consumer;
    XXH3_state_t *out, *in;
    uint64_t      sent, received;
    struct tree_cursor next; /* the next line to send */
    uint32_t      index;
    char          partition[12];
};

struct job {
    struct tree  tree;
    uint64_t     rounds;
    uint32_t     partitions, batch_bytes;
    rh_emulator *emulator;
    rh_loop     *loop;
    rh_client   *client, *reader; /* producers and consumers have a connection each */
    int          authority; /* an unnamed file with the certificate */
    struct lane  lanes[PARTITIONS_MAX];
    uint32_t     open;
    uint64_t     total, accepted, received, bytes;
    rh_time      started, last_accepted, last_received, told;
    struct figures to_accepted, to_received;           /* under load */
    struct figures single_accepted, single_received; /* one event at a time */
    uint32_t     singles;                              /* begun */
    bool         is_accepted, is_received;             /* the one under way */
    double       first_ms;
    bool         failed;
};

static int failed(struct job *job, const char *what, rh_status status, const char *words)
{
    job->failed = true;
    return rh_command_failed(&rh_command_run, "%s: %s: %s", what, rh_status_name(status), words && *words ? words : rh_status_words(status));
}

/* Lengths are part of it: two lines must not digest like one. */
static void digest(XXH3_state_t *state, rh_slice line)
{
    uint64_t n = line.n;
    XXH3_128bits_update(state, &n, sizeof n);
    if (n) XXH3_128bits_update(state, line.p, line.n);
}

/* -- out ------------------------------------------------------------------------------------- */

/* Each event carries the moment it was handed over, so that its receipt can be timed. */
static rh_property sent_at(rh_time now)
{
    return (rh_property){ .key = rh_str("sent-ns"), .value = { .type = RH_LONG, .i = (int64_t)now } };
}

static rh_status add_line(struct lane *lane, rh_batch *batch, rh_slice line)
{
    rh_property sent = sent_at(rh_loop_now(lane->job->loop));
    rh_event_data event = { .body = line, .properties = &sent, .property_count = 1 };
    return rh_batch_add(batch, &event);
}

/* The next single event, when the one before has been accepted and received. */
static void send_single(struct job *job)
{
    struct lane *lane = &job->lanes[0];
    if (job->failed || !job->is_accepted || !job->is_received || job->singles == SINGLES) return;
    rh_slice line = rh_tree_line(&job->tree, &lane->next);
    rh_tree_step(&job->tree, &lane->next, job->partitions);
    rh_time now = rh_loop_now(job->loop);
    rh_property sent = sent_at(now);
    rh_event_data event = { .body = line, .properties = &sent, .property_count = 1 };
    job->is_accepted = job->is_received = false;
    job->singles++;
    rh_status status = rh_producer_send_event(lane->producer, &event, 0, (void *)(uintptr_t)now);
    if (status != RH_OK) failed(job, "send", status, NULL);
    digest(lane->out, line);
    lane->sent++;
}

/* Fills and sends batches until the producer has enough of them or the tree is at its end. */
static void pump(struct lane *lane)
{
    struct job *job = lane->job;
    rh_batch *batch;
    while (!job->failed && rh_tree_has_next(&job->tree, &lane->next, job->rounds) &&
           rh_producer_in_flight(lane->producer) < IN_FLIGHT && rh_batch_create(lane->producer, NULL, &batch) == RH_OK) {
        rh_status status = RH_OK;
        while (rh_tree_has_next(&job->tree, &lane->next, job->rounds)) {
            rh_slice line = rh_tree_line(&job->tree, &lane->next);
            status = add_line(lane, batch, line);
            if (status != RH_OK) break;
            digest(lane->out, line);
            lane->sent++;
            job->bytes += line.n;
            rh_tree_step(&job->tree, &lane->next, job->partitions);
        }
        if (status == RH_OK || (status == RH_E_BATCH_FULL && rh_batch_count(batch)))
            status = rh_producer_send(lane->producer, batch, 0, (void *)(uintptr_t)rh_loop_now(job->loop));
        if (status == RH_OK) continue;
        rh_batch_destroy(batch);
        failed(job, "send", status, NULL);
    }
}

static void on_sent(void *user, rh_producer *producer, const rh_sent *sent)
{
    (void)producer;
    struct lane *lane = user;
    struct job *job = lane->job;
    if (sent->status != RH_OK) {
        if (!job->failed) failed(job, "send", sent->status, sent->error->description);
        return;
    }
    job->accepted += sent->events;
    if (job->singles) {
        rh_figures_add(&job->single_accepted, rh_loop_now(job->loop) - (rh_time)(uintptr_t)sent->tag);
        job->is_accepted = true;
        send_single(job);
        return;
    }
    job->last_accepted = rh_loop_now(job->loop);
    rh_figures_add(&job->to_accepted, job->last_accepted - (rh_time)(uintptr_t)sent->tag);
    pump(lane);
}

static void on_ready(void *user, rh_producer *producer)
{
    (void)producer;
    pump(user);
}

static void on_closed(void *user, rh_producer *producer, const rh_error *error)
{
    (void)producer;
    struct lane *lane = user;
    if (error && !lane->job->failed) failed(lane->job, "producer", error->status, error->description);
}

/* -- in -------------------------------------------------------------------------------------- */

static void on_event(void *user, rh_consumer *consumer, const rh_event *event)
{
    (void)consumer;
    struct lane *lane = user;
    struct job *job = lane->job;
    rh_value sent;
    digest(lane->in, rh_event_body(event));
    lane->received++;
    job->received++;
    rh_time now = rh_loop_now(job->loop);
    if (!job->singles) job->last_received = now;
    if (rh_event_property(event, "sent-ns", &sent)) rh_figures_add(job->singles ? &job->single_received : &job->to_received, now - (rh_time)sent.i);
    if (!job->singles) return;
    job->is_received = true;
    send_single(job);
}

static void on_state(void *user, rh_consumer *consumer, rh_consumer_state state, const rh_error *error)
{
    (void)consumer;
    struct lane *lane = user;
    if (state == RH_CONSUMER_OPEN) lane->job->open++;
    else if (state == RH_CONSUMER_RECOVERING) lane->job->open--;
    else if (error && !lane->job->failed) failed(lane->job, "consumer", error->status, error->description);
}

/* -- the job --------------------------------------------------------------------------------- */

static int start_emulator(struct job *job)
{
    rh_emulator_hub hubs[] = { { .name = "lines", .partitions = job->partitions }, { .name = "first", .partitions = 1 } };
    rh_emulator_opts opts = *RH_EMULATOR_OPTS(.tls_only = true, .tls = true, .hubs = hubs, .hub_count = 2, .max_bytes = 1u << 30);
    rh_error error;
    if (rh_emulator_start(&opts, &job->emulator, &error) != RH_OK) return failed(job, "emulator", error.status, error.description);
    const char *pem = rh_emulator_certificate_pem(job->emulator);
    size_t n = strlen(pem);
    job->authority = memfd_create("authority", MFD_CLOEXEC);
    if (job->authority < 0 || write(job->authority, pem, n) != (ssize_t)n) return failed(job, "certificate", RH_E_SYSTEM, NULL);
    return DONE;
}

static int make_client(struct job *job, const char *hub, rh_client **out)
{
    char connection_string[512], authority[32];
    snprintf(authority, sizeof authority, "/proc/self/fd/%d", job->authority);
    rh_emulator_tls_connection_string(job->emulator, hub, connection_string, sizeof connection_string);
    rh_error error;
    rh_status status = rh_client_create(job->loop, RH_CLIENT_OPTS(.connection_string = connection_string, .ca_file = authority),
                                        out, &error);
    return status == RH_OK ? DONE : failed(job, "client", status, error.description);
}

/* A fresh client: name, TCP, TLS, SASL, token, link, one event, accepted. */
static int time_first_event(struct job *job)
{
    rh_client *client = NULL;
    rh_producer *producer = NULL;
    rh_error error;
    rh_time started = rh_loop_now(job->loop);
    int code = make_client(job, "first", &client);
    if (code != DONE) return code;
    rh_status status = rh_producer_open_wait(client, NULL, &producer, 10000, &error);
    if (status == RH_OK) status = rh_producer_send_event_wait(producer, &(rh_event_data){ .body = rh_str("hello") }, 10000, &error);
    job->first_ms = (double)(rh_loop_now(job->loop) - started) / 1e6;
    if (producer) rh_producer_destroy(producer);
    (void)rh_client_close_wait(client, 2000, NULL);
    rh_client_destroy(client);
    return status == RH_OK ? DONE : failed(job, "first event", status, error.description);
}

static int open_lane(struct job *job, uint32_t index)
{
    struct lane *lane = &job->lanes[index];
    *lane = (struct lane){ .job = job, .index = index, .out = XXH3_createState(), .in = XXH3_createState() };
    if (!lane->out || !lane->in) return failed(job, "digest", RH_E_MEMORY, NULL);
    XXH3_128bits_reset(lane->out);
    XXH3_128bits_reset(lane->in);
    snprintf(lane->partition, sizeof lane->partition, "%u", index);
    rh_tree_begin(&job->tree, &lane->next, index);
    rh_status status = rh_consumer_open(job->reader, RH_CONSUMER_OPTS(.partition = lane->partition, .user = lane, .prefetch = 1000,
                                                                      .handler = { .on_event = on_event, .on_state = on_state }), &lane->consumer);
    if (status == RH_OK)
        status = rh_producer_open(job->client, RH_PRODUCER_OPTS(.partition = lane->partition, .batch_bytes = job->batch_bytes,
                                                                .in_flight = IN_FLIGHT, .user = lane,
                                                                .handler = { .on_open = on_ready, .on_sent = on_sent, .on_ready = on_ready,
                                                                             .on_closed = on_closed }), &lane->producer);
    return status == RH_OK ? DONE : failed(job, "open", status, NULL);
}

static void tell_progress(struct job *job, bool last)
{
    rh_time now = rh_loop_now(job->loop);
    bool terminal = isatty(STDERR_FILENO);
    if (!last && now - job->told < (terminal ? RH_MS(100) : RH_SECONDS(1))) return;
    job->told = now;
    fprintf(stderr, "%s%llu of %llu events accepted, %llu received%s", terminal ? "\r" : "", (unsigned long long)job->accepted,
            (unsigned long long)job->total, (unsigned long long)job->received, terminal && !last ? "" : "\n");
}

static int move_events(struct job *job)
{
    rh_time deadline = rh_time_after(rh_loop_now(job->loop), RH_SECONDS(SECONDS_MAX));
    job->started = rh_loop_now(job->loop);
    while (!job->failed && (job->received < job->total || job->accepted < job->total)) {
        if (rh_loop_now(job->loop) >= deadline) return failed(job, "events", RH_E_TIMEOUT, NULL);
        if (rh_loop_turn(job->loop, rh_time_after(rh_loop_now(job->loop), RH_MS(100))) != RH_OK) return failed(job, "loop", RH_E_SYSTEM, NULL);
        tell_progress(job, false);
    }
    tell_progress(job, true);
    return job->failed ? FAILED : DONE;
}

static int time_singles(struct job *job)
{
    rh_time deadline = rh_time_after(rh_loop_now(job->loop), RH_SECONDS(10));
    uint64_t all = job->total + SINGLES;
    rh_tree_begin(&job->tree, &job->lanes[0].next, 0);
    job->is_accepted = job->is_received = true;
    send_single(job);
    while (!job->failed && (job->received < all || job->accepted < all)) {
        if (rh_loop_now(job->loop) >= deadline) return failed(job, "single events", RH_E_TIMEOUT, NULL);
        if (rh_loop_turn(job->loop, deadline) != RH_OK) return failed(job, "loop", RH_E_SYSTEM, NULL);
    }
    /* Whatever comes beyond the count is an event doubled: a moment to see it. */
    if (!job->failed && rh_loop_run(job->loop, rh_time_after(rh_loop_now(job->loop), RH_MS(50))) != RH_OK)
        return failed(job, "loop", RH_E_SYSTEM, NULL);
    return job->failed ? FAILED : DONE;
}

static int prove(struct job *job)
{
    for (uint32_t i = 0; i < job->partitions; i++) {
        struct lane *lane = &job->lanes[i];
        XXH128_hash_t out = XXH3_128bits_digest(lane->out), in = XXH3_128bits_digest(lane->in);
        bool equal = XXH128_isEqual(out, in) && lane->sent == lane->received;
        printf("partition %-3s %9llu events  %016llx%016llx  %s\n", lane->partition, (unsigned long long)lane->received,
               (unsigned long long)in.high64, (unsigned long long)in.low64, equal ? "as sent" : "DIFFERS");
        if (!equal) job->failed = true;
    }
    return job->failed ? rh_command_failed(&rh_command_run, "what was received is not what was sent") : DONE;
}

/* A percentile with fewer than ten values beyond it is an anecdote. */
static void print_row(const char *what, struct figures *figures)
{
    static const double quantiles[] = { 0.50, 0.99, 0.999 };
    printf("%-30s", what);
    for (size_t i = 0; i < 3; i++) {
        if ((double)figures->count * (1 - quantiles[i]) >= 9.5) printf(" %9.1f us", rh_figures_at(figures, quantiles[i]) / 1e3);
        else printf(" %12s", "-");
    }
    putchar('\n');
}

static void print_table(struct job *job)
{
    double out = (double)(job->last_accepted - job->started) / 1e9, in = (double)(job->last_received - job->started) / 1e9;
    double events = (double)job->total, megabytes = (double)job->bytes / 1e6;
    printf("\n%-30s %9llu, %.1f MB in %zu files, %llu rounds, %s\n", "events", (unsigned long long)job->total, megabytes,
           job->tree.file_count, (unsigned long long)job->rounds, rh_loop_backend_name(job->loop));
    printf("%-30s %9.0f events/s %8.1f MB/s\n", "out (accepted)", events / out, megabytes / out);
    printf("%-30s %9.0f events/s %8.1f MB/s\n", "in (received)", events / in, megabytes / in);
    printf("%-30s %12s %12s %12s\n", "", "p50", "p99", "p99.9");
    print_row("send to disposition", &job->single_accepted);
    print_row("send to receipt", &job->single_received);
    print_row("  disposition, under load", &job->to_accepted);
    print_row("  receipt, under load", &job->to_received);
    printf("%-30s %9.1f ms\n", "connect to first accepted", job->first_ms);
}

static int work(struct job *job)
{
    int code = start_emulator(job);
    rh_error error;
    if (code == DONE && rh_loop_create(NULL, &job->loop, &error) != RH_OK) code = failed(job, "loop", error.status, error.description);
    if (code == DONE) code = time_first_event(job);
    if (code == DONE) code = make_client(job, "lines", &job->client);
    if (code == DONE) code = make_client(job, "lines", &job->reader);
    for (uint32_t i = 0; i < job->partitions && code == DONE; i++) code = open_lane(job, i);
    if (code == DONE) code = move_events(job);
    if (code == DONE) code = time_singles(job);
    if (code == DONE) code = prove(job);
    if (code == DONE) print_table(job);
    return code;
}

static void clean_up(struct job *job)
{
    for (uint32_t i = 0; i < job->partitions; i++) {
        rh_producer_destroy(job->lanes[i].producer);
        rh_consumer_destroy(job->lanes[i].consumer);
        XXH3_freeState(job->lanes[i].out);
        XXH3_freeState(job->lanes[i].in);
    }
    if (job->client) (void)rh_client_close_wait(job->client, 2000, NULL);
    if (job->reader) (void)rh_client_close_wait(job->reader, 2000, NULL);
    rh_client_destroy(job->client);
    rh_client_destroy(job->reader);
    if (job->loop) rh_loop_destroy(job->loop);
    rh_emulator_stop(job->emulator);
    if (job->authority >= 0) close(job->authority);
    rh_figures_fini(&job->to_accepted);
    rh_figures_fini(&job->to_received);
    rh_figures_fini(&job->single_accepted);
    rh_figures_fini(&job->single_received);
    rh_tree_fini(&job->tree);
}

static bool parse_number(const char *text, uint64_t least, uint64_t most, uint64_t *out)
{
    char *end;
    *out = strtoull(text, &end, 10);
    return end != text && !*end && *text != '-' && *out >= least && *out <= most;
}

static int parse(struct job *job, int argc, char **argv, const char **folder)
{
    int option, index = 0;
    while ((option = getopt_long(argc, argv, "", options, &index)) != -1) {
        uint64_t value = 0;
        bool fine = option != '?';
        if (option == 'r') fine = parse_number(optarg, 1, 1000000, &value), job->rounds = value;
        if (option == 'p') fine = parse_number(optarg, 1, PARTITIONS_MAX, &value), job->partitions = (uint32_t)value;
        if (option == 'b') fine = parse_number(optarg, 4096, 1 << 20, &value), job->batch_bytes = (uint32_t)value;
        if (option == '?') return rh_command_misread(&rh_command_run, argv);
        if (!fine) return rh_command_misused(&rh_command_run, "--%s cannot be '%s'", options[index].name, optarg);
    }
    if (optind < argc) *folder = argv[optind++];
    return optind < argc ? rh_command_misused(&rh_command_run, "'%s' is one word too many", argv[optind]) : DONE;
}

static int run(int argc, char **argv)
{
    struct job job = { .partitions = 4, .batch_bytes = 65536, .authority = -1 };
    const char *folder = ".";
    int code = parse(&job, argc, argv, &folder);
    if (code != DONE) return code;
    if (!rh_tree_read(&job.tree, folder)) code = failed(&job, folder, RH_E_IO, "no text file can be read there");
    if (code == DONE) {
        if (!job.rounds) job.rounds = (EVENTS_WANTED + job.tree.line_count - 1) / job.tree.line_count;
        job.total = job.rounds * job.tree.line_count;
        code = work(&job);
    }
    clean_up(&job);
    return code;
}

const struct command rh_command_run = { "run", "the main job: real events out and in, proved by digest", usage, run };
