#include "cli/connect.h"
#include "cli/format.h"

#include <getopt.h>

static const char usage[] =
    "usage: ringhub info [OPTION]...\n\n"
    "Shows what the service tells of the event hub and of each partition.\n\n"
    CONNECT_HELP
    "      --json                    one JSON object instead of a table\n"
    "      --help\n";

static const struct option options[] = { CONNECT_LONG, { "json", no_argument, NULL, 'j' }, { 0 } };

/* A dash for 1970 and before, which is how the service says never. */
static void say_time(int64_t ms, char out[RH_TIME_ROOM])
{
    if (ms == 0 || !rh_format_time(ms, out)) memcpy(out, "-", 2);
}

static void print_hub(const rh_hub_properties *hub, bool json)
{
    char created[RH_TIME_ROOM];
    say_time(hub->created_at_ms, created);
    if (!json) {
        printf("hub         %s\ncreated     %s\npartitions  %u\n\n", hub->name, created, hub->partition_count);
        printf("%9s %14s %14s %24s  %-24s %s\n", "partition", "first", "last", "last offset", "last enqueued", "empty");
        return;
    }
    fputs("{\"name\":", stdout);
    rh_format_json(stdout, hub->name);
    printf(",\"created_at\":\"%s\",\"partition_count\":%u,\"partitions\":[", created, hub->partition_count);
}

static void print_partition(const rh_partition_properties *partition, bool json, bool first)
{
    char enqueued[RH_TIME_ROOM];
    say_time(partition->last_enqueued_time_ms, enqueued);
    if (!json) {
        printf("%9s %14lld %14lld %24s  %-24s %s\n", partition->id, (long long)partition->begin_sequence_number,
               (long long)partition->last_enqueued_sequence_number, partition->last_enqueued_offset, enqueued,
               partition->is_empty ? "yes" : "no");
        return;
    }
    printf("%s{\"id\":", first ? "" : ",");
    rh_format_json(stdout, partition->id);
    printf(",\"begin_sequence_number\":%lld,\"last_enqueued_sequence_number\":%lld,\"last_enqueued_offset\":",
           (long long)partition->begin_sequence_number, (long long)partition->last_enqueued_sequence_number);
    rh_format_json(stdout, partition->last_enqueued_offset);
    printf(",\"last_enqueued_time\":\"%s\",\"is_empty\":%s}", enqueued, partition->is_empty ? "true" : "false");
}

static int show(struct connection *connection, bool json)
{
    rh_error error;
    rh_hub_properties hub;
    if (rh_cli_hub(connection, &hub, 0, &error) != RH_OK)
        return rh_cli_failed(connection, rh_client_hub(connection->client), &error);
    print_hub(&hub, json);
    for (uint32_t i = 0; i < hub.partition_count && !rh_cli_interrupted(); i++) {
        rh_partition_properties partition;
        if (rh_client_partition_properties_wait(connection->client, hub.partition_ids[i], &partition, 0, &error) != RH_OK)
            return rh_cli_failed(connection, hub.partition_ids[i], &error);
        print_partition(&partition, json, i == 0);
    }
    if (json) puts("]}");
    return DONE;
}

static int run(int argc, char **argv)
{
    struct connect_opts opts = { 0 };
    bool json = false;
    int option;
    while ((option = getopt_long(argc, argv, CONNECT_SHORT, options, NULL)) != -1) {
        if (option == 'j') json = true;
        else if (!rh_cli_option(&opts, option, optarg))
            return rh_command_misread(&rh_command_info, argv);
    }
    if (optind < argc) return rh_command_misused(&rh_command_info, "'%s' is one word too many", argv[optind]);

    struct connection connection;
    rh_cli_catch_interrupt();
    int code = rh_cli_open(&connection, &rh_command_info, &opts);
    if (code != DONE) return code;
    code = show(&connection, json);
    rh_cli_close(&connection);
    return code;
}

const struct command rh_command_info = { "info", "shows the properties of a hub and its partitions", usage, run };
