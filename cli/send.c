#include "cli/argument.h"
#include "cli/connect.h"
#include "cli/lines.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char usage[] =
    "usage: ringhub send [OPTION]... [FILE]\n\n"
    "Sends each line of FILE, or of standard input, as one event. When all are accepted the last line on stderr\n"
    "tells events, bytes and seconds.\n\n"
    CONNECT_HELP
    "  -p, --partition ID            to this partition\n"
    "  -k, --key KEY                 with this partition key: the service picks the partition by it\n"
    "      --count N                 end after N events\n"
    "      --interval S              wait S seconds between events\n"
    "      --timeout S               for each send; default 60\n"
    "      --help\n";

static const struct option options[] = {
    CONNECT_LONG,
    { "partition", required_argument, NULL, 'p' }, { "key", required_argument, NULL, 'k' },
    { "count", required_argument, NULL, 'n' },     { "interval", required_argument, NULL, 'i' },
    { "timeout", required_argument, NULL, 't' },   { 0 },
};

struct send_opts {
    struct connect_opts connect;
    const char *partition, *key, *file;
    uint64_t    count; /* 0: no end */
    rh_time     interval;
    uint32_t    timeout_ms;
};

struct sending {
    const struct send_opts *opts;
    struct connection connection;
    rh_producer *producer;
    rh_batch    *batch; /* being filled; NULL: none */
    struct lines lines;
    uint64_t     events, bytes;
    rh_time      started, told;
    bool         terminal;
};

static void tell_progress(struct sending *s)
{
    rh_time now = rh_loop_now(s->connection.loop);
    if (!s->terminal || now - s->told < RH_MS(100)) return;
    s->told = now;
    fprintf(stderr, "\r%llu events", (unsigned long long)s->events);
}

/* The one line that scripts may read. */
static void tell_summary(const struct sending *s)
{
    double seconds = (double)(rh_loop_now(s->connection.loop) - s->started) / 1e9;
    fprintf(stderr, "%s%llu events, %llu bytes, %.3f s\n", s->terminal ? "\r" : "", (unsigned long long)s->events,
            (unsigned long long)s->bytes, seconds);
}

/* Whoever sends the rest again needs to know where it begins. */
static int failed(struct sending *s, const rh_error *error)
{
    char where[RH_HUB_NAME_MAX + 64];
    if (s->terminal && s->events) fputc('\n', stderr);
    snprintf(where, sizeof where, "%s, after %llu accepted events", rh_client_hub(s->connection.client), (unsigned long long)s->events);
    return rh_cli_failed(&s->connection, s->events ? where : rh_client_hub(s->connection.client), error);
}

static int failed_plainly(struct sending *s, rh_status status, const char *words)
{
    rh_error error;
    rh_error_set(&error, status, NULL, words);
    return failed(s, &error);
}

static int flush(struct sending *s)
{
    if (!s->batch) return DONE;
    rh_batch *batch = s->batch;
    s->batch = NULL;
    rh_error error;
    uint64_t events = rh_batch_count(batch);
    if (rh_producer_send_wait(s->producer, batch, s->opts->timeout_ms, &error) != RH_OK) {
        rh_batch_destroy(batch);
        return failed(s, &error);
    }
    s->events += events;
    tell_progress(s);
    return DONE;
}

static int add(struct sending *s, rh_slice line)
{
    rh_event_data event = { .body = line };
    rh_status status = RH_OK;
    for (int attempt = 0; attempt < 2; attempt++) {
        if (!s->batch) status = rh_batch_create(s->producer, RH_BATCH_OPTS(.partition_key = s->opts->key), &s->batch);
        if (status == RH_OK) status = rh_batch_add(s->batch, &event);
        if (status != RH_E_BATCH_FULL) break;
        int code = flush(s);
        if (code != DONE) return code;
        status = RH_OK;
    }
    if (status == RH_E_TOO_BIG) {
        char words[128];
        snprintf(words, sizeof words, "line %llu has %zu bytes, more than an event may have",
                 (unsigned long long)s->lines.count, line.n);
        return failed_plainly(s, status, words);
    }
    if (status != RH_OK) return failed_plainly(s, status, rh_status_words(status));
    s->bytes += line.n;
    return DONE;
}

static int pause_between(struct sending *s)
{
    int code = flush(s);
    if (code != DONE) return code;
    rh_time until = rh_time_after(rh_loop_now(s->connection.loop), s->opts->interval);
    rh_status status = RH_OK;
    while (status == RH_OK && !rh_cli_interrupted() && rh_loop_now(s->connection.loop) < until)
        status = rh_loop_turn(s->connection.loop, until);
    return status == RH_OK ? DONE : failed_plainly(s, status, rh_status_words(status));
}

/*
 * Waits for input with the connection kept alive beside it. What is in the batch leaves first, unless more
 * input is there already: a slow pipe sees its lines sent at once, a fast one fills its batches.
 */
static int wait_for_input(struct sending *s)
{
    struct pollfd fds[] = { { .fd = s->lines.fd, .events = POLLIN }, { .fd = rh_loop_fd(s->connection.loop), .events = POLLIN } };
    if (poll(fds, 1, 0) == 1) return DONE;
    int code = flush(s);
    while (code == DONE && !rh_cli_interrupted() && !rh_producer_error(s->producer)->status) {
        if (poll(fds, 2, -1) < 0) continue; /* EINTR: the loop looks at the interrupt */
        if (fds[0].revents) return DONE;
        rh_status status = rh_loop_run(s->connection.loop, RH_NOWAIT);
        if (status != RH_OK) return failed_plainly(s, status, rh_status_words(status));
    }
    const rh_error *error = rh_producer_error(s->producer);
    return code == DONE && error->status ? failed(s, error) : code;
}

static int unreadable(const char *file, int error)
{
    return rh_command_failed(&rh_command_send, "%s: RH_E_IO: %s", file ? file : "standard input", strerror(error));
}

static bool wants_more(const struct sending *s)
{
    return !rh_cli_interrupted() && (s->opts->count == 0 || s->lines.count < s->opts->count);
}

static int send_lines(struct sending *s)
{
    int code = DONE;
    while (code == DONE && wants_more(s)) {
        rh_slice line;
        enum lines_state state = rh_lines_next(&s->lines, &line);
        if (state == LINES_END) break;
        if (state == LINES_FAILED) return unreadable(s->opts->file, errno);
        if (state == LINES_TOO_LONG) return failed_plainly(s, RH_E_TOO_BIG, "a line is longer than any event may be");
        if (state == LINES_WAIT) code = wait_for_input(s);
        else code = add(s, line);
        if (state == LINES_LINE && code == DONE && s->opts->interval && wants_more(s)) code = pause_between(s);
    }
    return code == DONE ? flush(s) : code;
}

static int open_producer(struct sending *s)
{
    rh_error error;
    rh_loop *loop = s->connection.loop;
    rh_status status = rh_cli_connect(&s->connection, s->opts->timeout_ms, &error);
    if (status != RH_OK) return failed(s, &error);
    status = rh_producer_open(s->connection.client, RH_PRODUCER_OPTS(.partition = s->opts->partition), &s->producer);
    while (status == RH_OK && !rh_producer_is_open(s->producer) && !rh_cli_interrupted()) {
        error = *rh_producer_error(s->producer);
        if (error.status != RH_OK) return failed(s, &error);
        status = rh_loop_turn(loop, rh_time_after(rh_loop_now(loop), RH_MS(100)));
    }
    if (status == RH_OK && rh_cli_interrupted()) return failed_plainly(s, RH_E_CANCELLED, "interrupted");
    return status == RH_OK ? DONE : failed_plainly(s, status, rh_status_words(status));
}

static int send_all(struct sending *s)
{
    s->started = rh_loop_now(s->connection.loop);
    int code = open_producer(s);
    if (code == DONE) code = send_lines(s);
    if (code == DONE) tell_summary(s);
    if (s->batch) rh_batch_destroy(s->batch);
    if (s->producer) {
        (void)rh_producer_close_wait(s->producer, 2000, NULL);
        rh_producer_destroy(s->producer);
    }
    return code;
}

static int parse(struct send_opts *opts, int argc, char **argv)
{
    int option, index = 0;
    while ((option = getopt_long(argc, argv, CONNECT_SHORT "p:k:", options, &index)) != -1) {
        double seconds = 0;
        bool fine = true;
        switch (option) {
        case 'p': opts->partition = optarg; break;
        case 'k': opts->key = optarg; break;
        case 'n': fine = rh_parse_count(optarg, &opts->count); break;
        case 'i': fine = rh_parse_seconds(optarg, &seconds); opts->interval = (rh_time)(seconds * 1e9); break;
        case 't': fine = rh_parse_seconds(optarg, &seconds) && seconds >= 0.001; opts->timeout_ms = (uint32_t)(seconds * 1e3); break;
        default:
            if (!rh_cli_option(&opts->connect, option, optarg))
                return rh_command_misread(&rh_command_send, argv);
        }
        if (!fine) return rh_command_misused(&rh_command_send, "--%s cannot be '%s'", options[index].name, optarg);
    }
    if (opts->partition && !*opts->partition) return rh_command_misused(&rh_command_send, "--partition cannot be empty");
    if (opts->key && !rh_is_partition_key(opts->key))
        return rh_command_misused(&rh_command_send, "--key must have 1 to %d characters of UTF-8", RH_KEY_CHARACTERS_MAX);
    if (opts->partition && opts->key) return rh_command_misused(&rh_command_send, "a partition and a key exclude each other");
    if (optind < argc) opts->file = argv[optind++];
    if (optind < argc) return rh_command_misused(&rh_command_send, "'%s' is one word too many", argv[optind]);
    return DONE;
}

static int run(int argc, char **argv)
{
    struct send_opts opts = { .timeout_ms = 60000 };
    int code = parse(&opts, argc, argv);
    if (code != DONE) return code;

    int fd = opts.file && strcmp(opts.file, "-") != 0 ? open(opts.file, O_RDONLY | O_CLOEXEC) : STDIN_FILENO;
    if (fd < 0) return unreadable(opts.file, errno);

    struct sending sending = { .opts = &opts, .terminal = isatty(STDERR_FILENO) };
    rh_cli_catch_interrupt();
    rh_lines_init(&sending.lines, fd);
    opts.connect.timeout_ms = opts.timeout_ms;
    code = rh_cli_open(&sending.connection, &rh_command_send, &opts.connect);
    if (code == DONE) {
        code = send_all(&sending);
        rh_cli_close(&sending.connection);
    }
    rh_lines_fini(&sending.lines);
    if (fd != STDIN_FILENO) close(fd);
    return code;
}

const struct command rh_command_send = { "send", "sends each line as an event", usage, run };
