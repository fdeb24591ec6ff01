#include "cli/argument.h"
#include "cli/connect.h"
#include "cli/format.h"

#include <getopt.h>
#include <stdlib.h>
#include <string.h>

static const char usage[] =
    "usage: ringhub receive [OPTION]...\n\n"
    "Prints the body of each event to standard output, one a line, from all partitions unless -p names one.\n\n"
    CONNECT_HELP
    "  -g, --group GROUP             consumer group; default $Default\n"
    "  -p, --partition ID            only this partition\n"
    "      --from POSITION           earliest (default), latest, offset=X, sequence=N, time=T (2026-01-31T12:00:00Z or\n"
    "                                Unix milliseconds); an event that sits exactly there is included\n"
    "      --count N                 end after N events\n"
    "      --timeout S               end after S seconds, opening included; a failure if --count was not reached\n"
    "      --format FMT              %p partition, %s sequence number, %o offset, %t enqueued time, %k partition key,\n"
    "                                %b body, %m message id, %c content type, %n line end, %% percent, \\t tab;\n"
    "                                default %b; a line end follows each event\n"
    "      --help\n";

static const struct option options[] = {
    CONNECT_LONG,
    { "group", required_argument, NULL, 'g' },  { "partition", required_argument, NULL, 'p' },
    { "from", required_argument, NULL, 'f' },   { "count", required_argument, NULL, 'n' },
    { "timeout", required_argument, NULL, 't' }, { "format", required_argument, NULL, 'F' }, { 0 },
};

struct receive_opts {
    struct connect_opts connect;
    const char *group, *partition, *format;
    rh_position position;
    uint64_t    count;   /* 0: no end */
    rh_time     timeout; /* for all of it; 0: none */
};

struct receiving {
    const struct receive_opts *opts;
    struct connection connection;
    rh_consumer **consumers;
    uint32_t      consumer_count;
    uint64_t      events;
    bool          failed, unwritable;
    rh_error      error;
    char          where[RH_PARTITION_ID_MAX + 16];
};

static bool is_complete(const struct receiving *r) { return r->opts->count && r->events == r->opts->count; }

static void print_event(void *user, rh_consumer *consumer, const rh_event *event)
{
    struct receiving *r = user;
    if (is_complete(r)) return;
    rh_format_print(stdout, r->opts->format, rh_consumer_partition(consumer), event);
    r->events++;
    r->unwritable = ferror(stdout) != 0;
    if (is_complete(r) || r->unwritable) rh_loop_stop(r->connection.loop);
}

static void note_state(void *user, rh_consumer *consumer, rh_consumer_state state, const rh_error *error)
{
    struct receiving *r = user;
    if ((state != RH_CONSUMER_STOLEN && state != RH_CONSUMER_CLOSED) || !error || r->failed) return;
    r->failed = true;
    r->error = *error;
    snprintf(r->where, sizeof r->where, "partition %s", rh_consumer_partition(consumer));
    rh_loop_stop(r->connection.loop);
}

static int failed(struct receiving *r, const char *where, const rh_error *error)
{
    return rh_cli_failed(&r->connection, where, error);
}

static int open_consumer(struct receiving *r, const char *partition)
{
    rh_consumer_opts *opts = RH_CONSUMER_OPTS(.group = r->opts->group, .partition = partition, .position = r->opts->position,
                                              .handler = { .on_event = print_event, .on_state = note_state }, .user = r);
    rh_status status = rh_consumer_open(r->connection.client, opts, &r->consumers[r->consumer_count]);
    if (status == RH_OK) {
        r->consumer_count++;
        return DONE;
    }
    rh_error error;
    rh_error_set(&error, status, NULL, rh_status_words(status));
    return failed(r, partition, &error);
}

/* What is to be read; the time given to all of it bounds this too. */
static rh_status find_partitions(struct receiving *r, rh_hub_properties *hub, rh_error *error)
{
    uint64_t ms = r->opts->timeout / RH_MS(1);
    uint32_t timeout_ms = ms > UINT32_MAX ? UINT32_MAX : (uint32_t)ms;
    if (r->opts->timeout && !timeout_ms) timeout_ms = 1;
    if (r->opts->partition) return rh_cli_connect(&r->connection, timeout_ms, error);
    return rh_cli_hub(&r->connection, hub, timeout_ms, error);
}

static int open_consumers(struct receiving *r)
{
    rh_hub_properties hub = { .partition_count = 1, .partition_ids = &r->opts->partition };
    rh_error error;
    if (find_partitions(r, &hub, &error) != RH_OK)
        return failed(r, rh_client_hub(r->connection.client), &error);
    r->consumers = calloc(hub.partition_count ? hub.partition_count : 1, sizeof *r->consumers);
    if (!r->consumers) return rh_command_failed(&rh_command_receive, "%s", rh_status_name(RH_E_MEMORY));
    for (uint32_t i = 0; i < hub.partition_count; i++) {
        int code = open_consumer(r, hub.partition_ids[i]);
        if (code != DONE) return code;
    }
    return DONE;
}

/* Standard output is flushed whenever the loop goes to sleep, so that a pipe behind us sees events as they come. */
static int print_until_done(struct receiving *r)
{
    rh_loop *loop = r->connection.loop;
    rh_time deadline = r->opts->timeout ? rh_time_after(r->connection.since, r->opts->timeout) : RH_TIME_NEVER;
    while (!is_complete(r) && !r->failed && !r->unwritable && !rh_cli_interrupted() && rh_loop_now(loop) < deadline) {
        uint64_t before = r->events;
        rh_status status = rh_loop_turn(loop, before ? RH_NOWAIT : deadline);
        if (status == RH_OK && r->events == before && !is_complete(r) && !r->failed) {
            fflush(stdout);
            status = rh_loop_turn(loop, deadline);
        }
        if (status != RH_OK) return rh_command_failed(&rh_command_receive, "%s: %s", rh_status_name(status), rh_status_words(status));
    }
    if (r->failed) return failed(r, r->where, &r->error);
    if (r->unwritable) return rh_command_failed(&rh_command_receive, "cannot write to standard output");
    if (!r->opts->count || is_complete(r)) return DONE;
    return rh_command_failed(&rh_command_receive, "%s: %llu of %llu events came %s", rh_status_name(rh_cli_interrupted() ? RH_E_CANCELLED : RH_E_TIMEOUT),
                             (unsigned long long)r->events, (unsigned long long)r->opts->count,
                             rh_cli_interrupted() ? "before the interrupt" : "in time");
}

static int parse(struct receive_opts *opts, int argc, char **argv)
{
    int option, index = 0;
    const char *bad = "";
    while ((option = getopt_long(argc, argv, CONNECT_SHORT "g:p:", options, &index)) != -1) {
        double seconds = 0;
        bool fine = true;
        switch (option) {
        case 'g': opts->group = optarg; break;
        case 'p': opts->partition = optarg; break;
        case 'f': fine = rh_parse_position(optarg, &opts->position); break;
        case 'n': fine = rh_parse_count(optarg, &opts->count); break;
        case 't': fine = rh_parse_seconds(optarg, &seconds) && seconds > 0; opts->timeout = (rh_time)(seconds * 1e9); break;
        case 'F': fine = rh_format_check(opts->format = optarg, &bad); break;
        default:
            if (!rh_cli_option(&opts->connect, option, optarg))
                return rh_command_misread(&rh_command_receive, argv);
        }
        if (!fine) return rh_command_misused(&rh_command_receive, "--%s cannot be '%s'", options[index].name, optarg);
    }
    if (optind < argc) return rh_command_misused(&rh_command_receive, "'%s' is one word too many", argv[optind]);
    return DONE;
}

static int run(int argc, char **argv)
{
    struct receive_opts opts = { .format = "%b" };
    int code = parse(&opts, argc, argv);
    if (code != DONE) return code;

    struct receiving receiving = { .opts = &opts };
    rh_cli_catch_interrupt();
    opts.connect.links = RH_PARTITIONS_MAX;
    code = rh_cli_open(&receiving.connection, &rh_command_receive, &opts.connect);
    if (code != DONE) return code;
    code = open_consumers(&receiving);
    if (code == DONE) code = print_until_done(&receiving);
    for (uint32_t i = 0; i < receiving.consumer_count; i++) rh_consumer_destroy(receiving.consumers[i]);
    free(receiving.consumers);
    rh_cli_close(&receiving.connection);
    return code;
}

const struct command rh_command_receive = { "receive", "prints events, one a line", usage, run };
