#include "cli/command.h"

#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <ringhub/emulator.h>

enum { HUBS_MAX = 64, HOST_MAX = 256 };

static const char usage[] =
    "usage: ringhub emulator [OPTION]...\n\n"
    "Serves an Event Hubs namespace until SIGINT or SIGTERM. Prints `listening amqp HOST:PORT`\n"
    "(and `listening amqps HOST:PORT`) when it is ready.\n\n"
    "      --listen HOST:PORT       plain AMQP; default 127.0.0.1:5672, port 0 picks one\n"
    "      --tls HOST:PORT          AMQP over TLS too, with --cert and --key; without them it makes a certificate\n"
    "      --cert FILE --key FILE   its certificate chain and key (PEM)\n"
    "      --config FILE            the official emulator's config.json\n"
    "      --hub NAME[:PARTITIONS]  an event hub, 4 partitions unless said; may be repeated; default: one called hub\n"
    "      --retention T            drop older events: seconds, or with a unit (90s, 15m, 1h, 7d); default 1h\n"
    "      --max-bytes N            drop the oldest events beyond this size (k, M, G); default 256M\n"
    "      --data DIR               keep events in this folder and begin with those that are there; default: memory only\n"
    "      --faults FILE            let go wrong what the script says, and tell on stderr what was done (see below)\n"
    "      --limit NAME=VALUE       be less patient or generous than the service; may be repeated. Times (10s, or never):\n"
    "                               idle-time-out open-within link-within unlinked sender-idle reader-idle. Numbers:\n"
    "                               throughput-units credit window max-frame max-message sessions\n"
    "      --jwt                    believe Entra ID access tokens too: their times and audience, not their signature\n"
    "      --rule NAME=KEY          shared access rule; default RootManageSharedAccessKey=SAS_KEY_VALUE\n"
    "  -v, --verbose                log to stderr\n"
    "      --help\n\n"
    "A fault script has a line for each fault, WHEN [RESTRICTION]... do WHAT, and comments behind #:\n\n"
    "    every 10s do detach with any\n"
    "    at send odds 1/100 do throttle\n"
    "    at attach readers partition 0 after 3 do reset after 20 bytes\n\n"
    "  WHEN         every TIME, or at connect, open, begin, attach, token, inquiry, send, mid-delivery\n"
    "  RESTRICTION  hub NAME, partition ID, client CONTAINER-ID (or its begin and a *), senders, readers, cbs, management;\n"
    "               after N (occasions), after TIME, until TIME, every N, odds N/M, once, N times\n"
    "  WHAT         detach, end, close, refuse: [with CONDITION] [\"WORDS\"]; a condition may be any, standard or microsoft\n"
    "               (all of them, in turn), for a token or an inquiry also a status code; throttle [for TIME];\n"
    "               reset [after N bytes]; stall, delay, withhold: for TIME; ignore; forget\n"
    "  Lines of their own: seed N, calm after TIME. README.md, \"Faults on purpose\", tells what each does.\n";

struct place {
    char     host[HOST_MAX];
    uint16_t port;
};

struct settings {
    rh_emulator_opts opts;
    struct place     plain, tls;
    rh_emulator_hub  hubs[HUBS_MAX];
    char            *rule;
    rh_log_level     least; /* of what is logged */
    const char      *script_file;
    char            *script;
};

static bool parse_place(const char *text, struct place *place)
{
    const char *colon = strrchr(text, ':');
    if (!colon || colon == text || (size_t)(colon - text) >= sizeof place->host) return false;
    char *end;
    errno = 0;
    unsigned long port = strtoul(colon + 1, &end, 10);
    if (end == colon + 1 || *end || port > UINT16_MAX) return false;
    bool bracketed = *text == '[' && colon[-1] == ']';
    size_t n = (size_t)(colon - text) - (bracketed ? 2 : 0);
    memcpy(place->host, text + bracketed, n);
    place->host[n] = '\0';
    place->port = (uint16_t)port;
    return true;
}

/* A number with one unit letter behind it; units and factors run side by side. */
static bool parse_scaled(const char *text, const char *units, const uint64_t *factors, uint64_t *out)
{
    char *end;
    errno = 0;
    unsigned long long value = strtoull(text, &end, 10);
    if (end == text || errno || *text == '-') return false;
    uint64_t factor = 1;
    if (*end) {
        const char *unit = strchr(units, *end);
        if (!unit || end[1]) return false;
        factor = factors[unit - units];
    }
    if (value == 0 || value > UINT64_MAX / factor) return false;
    *out = value * factor;
    return true;
}

static bool parse_retention(const char *text, int64_t *ms)
{
    static const uint64_t seconds[] = { 1, 60, 3600, 86400 };
    uint64_t value;
    if (!parse_scaled(text, "smhd", seconds, &value) || value > INT64_MAX / 1000) return false;
    *ms = (int64_t)value * 1000;
    return true;
}

static bool parse_bytes(const char *text, uint64_t *bytes)
{
    static const uint64_t factors[] = { 1u << 10, 1u << 20, 1u << 30 };
    return parse_scaled(text, "kMG", factors, bytes);
}

/* NAME[:PARTITIONS], cut in place: argv is ours to write. */
static bool parse_hub(char *text, rh_emulator_hub *hub)
{
    char *colon = strrchr(text, ':');
    if (colon) {
        char *end;
        unsigned long partitions = strtoul(colon + 1, &end, 10);
        if (end == colon + 1 || *end || partitions < 1 || partitions > RH_EMULATOR_PARTITIONS_MAX) return false;
        hub->partitions = (uint32_t)partitions;
        *colon = '\0';
    }
    hub->name = text;
    return *text != '\0';
}

static bool parse_rule(char *text, rh_emulator_opts *opts)
{
    char *equals = strchr(text, '=');
    if (!equals || equals == text || !equals[1]) return false;
    *equals = '\0';
    opts->rule = text;
    opts->key = equals + 1;
    return true;
}

static bool parse_limit(const char *text, rh_emulator_limits *limits)
{
    const struct { const char *name; uint32_t *field; bool is_time; } rows[] = {
        { "idle-time-out", &limits->idle_time_out_ms, true }, { "open-within", &limits->open_within_ms, true },
        { "link-within", &limits->link_within_ms, true },     { "unlinked", &limits->unlinked_ms, true },
        { "sender-idle", &limits->sender_idle_ms, true },     { "reader-idle", &limits->reader_idle_ms, true },
        { "throughput-units", &limits->throughput_units, false }, { "credit", &limits->credit, false },
        { "window", &limits->window, false },                 { "max-frame", &limits->max_frame_bytes, false },
        { "max-message", &limits->max_message_bytes, false }, { "sessions", &limits->sessions, false },
    };
    const char *equals = strchr(text, '=');
    if (!equals) return false;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        int64_t ms;
        uint64_t count;
        if (strncmp(text, rows[i].name, (size_t)(equals - text)) != 0 || rows[i].name[equals - text]) continue;
        if (rows[i].is_time && strcmp(equals + 1, "never") == 0) *rows[i].field = UINT32_MAX;
        else if (rows[i].is_time && parse_retention(equals + 1, &ms) && ms < UINT32_MAX) *rows[i].field = (uint32_t)ms;
        else if (!rows[i].is_time && parse_bytes(equals + 1, &count) && count <= UINT32_MAX) *rows[i].field = (uint32_t)count;
        else return false;
        return true;
    }
    return false;
}

static bool parse_option(struct settings *settings, int option, char *value)
{
    rh_emulator_opts *opts = &settings->opts;
    switch (option) {
    case 'l': return parse_place(value, &settings->plain);
    case 't': return opts->tls = parse_place(value, &settings->tls);
    case 'C': opts->cert_file = value; return true;
    case 'K': opts->key_file = value; return true;
    case 'f': opts->config_file = value; return true;
    case 'h': return opts->hub_count < HUBS_MAX && parse_hub(value, &settings->hubs[opts->hub_count++]);
    case 'r': return parse_retention(value, &opts->retention_ms);
    case 'm': return parse_bytes(value, &opts->max_bytes);
    case 'd': opts->data_dir = value; return *value != '\0';
    case 'R': return parse_rule(value, opts);
    case 'F': settings->script_file = value; return true;
    case 'L': return parse_limit(value, &opts->limits);
    case 'j': return opts->jwt = true;
    case 'v': settings->least = RH_LOG_DEBUG; return true;
    default: return false;
    }
}

static const struct option options[] = {
    { "listen", required_argument, NULL, 'l' }, { "tls", required_argument, NULL, 't' },
    { "cert", required_argument, NULL, 'C' },   { "key", required_argument, NULL, 'K' },
    { "config", required_argument, NULL, 'f' }, { "hub", required_argument, NULL, 'h' },
    { "retention", required_argument, NULL, 'r' }, { "max-bytes", required_argument, NULL, 'm' },
    { "data", required_argument, NULL, 'd' },   { "rule", required_argument, NULL, 'R' },
    { "faults", required_argument, NULL, 'F' }, { "limit", required_argument, NULL, 'L' },
    { "jwt", no_argument, NULL, 'j' },          { "verbose", no_argument, NULL, 'v' },
    { 0 },
};

static int parse(struct settings *settings, int argc, char **argv)
{
    int option, index = 0;
    while ((option = getopt_long(argc, argv, "v", options, &index)) != -1) {
        if (option == '?') return rh_command_misread(&rh_command_emulator, argv);
        if (!parse_option(settings, option, optarg))
            return rh_command_misused(&rh_command_emulator, "--%s cannot be '%s'", options[index].name, optarg);
    }
    if (optind < argc) return rh_command_misused(&rh_command_emulator, "'%s' is one word too many", argv[optind]);
    if (!settings->opts.cert_file != !settings->opts.key_file)
        return rh_command_misused(&rh_command_emulator, "--cert and --key go together");
    if (settings->opts.cert_file && !settings->opts.tls)
        return rh_command_misused(&rh_command_emulator, "--cert and --key are for --tls");
    return DONE;
}

/* The whole file with a closing zero; a script is read once, and short. */
static char *read_file(const char *name)
{
    enum { SCRIPT_MAX = 1 << 20 };
    FILE *file = fopen(name, "re");
    char *text = file ? malloc(SCRIPT_MAX + 1) : NULL;
    size_t n = text ? fread(text, 1, SCRIPT_MAX + 1, file) : 0;
    bool whole = text && !ferror(file) && n <= SCRIPT_MAX && !memchr(text, 0, n);
    if (file) fclose(file);
    if (whole) {
        text[n] = '\0';
        return text;
    }
    free(text);
    return NULL;
}

static int load_script(struct settings *settings)
{
    rh_error error;
    if (!settings->script_file) return DONE;
    settings->script = read_file(settings->script_file);
    if (!settings->script) return rh_command_failed(&rh_command_emulator, "%s: cannot be read as a script", settings->script_file);
    settings->opts.fault_script = settings->script;
    if (rh_emulator_script_check(settings->script, &error) == RH_OK) return DONE;
    return rh_command_misused(&rh_command_emulator, "%s: %s", settings->script_file, error.description);
}

/* Whoever lets things go wrong wants to see when. */
static void log_line(void *user, rh_log_level level, const char *id, const char *text)
{
    struct settings *settings = user;
    if (level <= settings->least) rh_command_log(&settings->least, level, id, text);
    else if (settings->script && strcmp(id, "emulator.fault") == 0) fprintf(stderr, "fault: %s\n", text);
}

static void tell_strikes(const rh_emulator *emulator)
{
    rh_emulator_strike row;
    for (size_t i = 0; rh_emulator_strike_at(emulator, i, &row); i++) {
        if (i == 0) fprintf(stderr, "%10s  %4s  %-8s  %s\n", "times", "line", "fault", "condition");
        fprintf(stderr, "%10llu  %4u  %-8s  %s\n", (unsigned long long)row.count, row.line, row.fault, row.condition ? row.condition : "");
    }
}

static void announce(const char *protocol, const struct place *place, uint16_t port)
{
    bool v6 = strchr(place->host, ':') != NULL;
    printf("listening %s %s%s%s:%u\n", protocol, v6 ? "[" : "", place->host, v6 ? "]" : "", port);
}

/* When a process with a ring is killed, the kernel closes its listeners a moment after the process is gone: whoever starts the next
 * one at once is not to be turned away for that. */
static rh_status start(const rh_emulator_opts *opts, rh_emulator **emulator, rh_error *error)
{
    enum { TRIES = 20, PAUSE_NS = 50000000 };
    rh_status status = rh_emulator_start(opts, emulator, error);
    for (int i = 0; i < TRIES && status != RH_OK && error->os_error == EADDRINUSE; i++) {
        nanosleep(&(struct timespec){ .tv_nsec = PAUSE_NS }, NULL);
        status = rh_emulator_start(opts, emulator, error);
    }
    return status;
}

static int serve(struct settings *settings)
{
    rh_emulator_opts *opts = &settings->opts;
    opts->listen_host = settings->plain.host;
    opts->listen_port = settings->plain.port;
    opts->tls_host = settings->tls.host;
    opts->tls_port = settings->tls.port;
    opts->hubs = settings->hubs;
    opts->log = (rh_log){ .on_log = log_line, .user = settings };

    /* Blocked before the emulator's thread starts: it inherits the mask, and only sigwait below takes them. */
    sigset_t ends;
    sigemptyset(&ends);
    sigaddset(&ends, SIGINT);
    sigaddset(&ends, SIGTERM);
    pthread_sigmask(SIG_BLOCK, &ends, NULL);

    rh_emulator *emulator;
    rh_error error = { .status = RH_OK };
    if (start(opts, &emulator, &error) != RH_OK)
        return rh_command_failed(&rh_command_emulator, "%s: %s", rh_status_name(error.status),
                                 error.description[0] ? error.description : rh_status_words(error.status));
    announce("amqp", &settings->plain, rh_emulator_port(emulator));
    if (opts->tls) announce("amqps", &settings->tls, rh_emulator_tls_port(emulator));
    bool told = fflush(stdout) == 0;
    int number = 0;
    if (told) sigwait(&ends, &number);
    tell_strikes(emulator);
    rh_emulator_stop(emulator);
    return told ? DONE : rh_command_failed(&rh_command_emulator, "cannot write to standard output");
}

static int run(int argc, char **argv)
{
    struct settings settings = { .opts = { .size = sizeof settings.opts }, .plain = { "127.0.0.1", 5672 }, .least = RH_LOG_WARNING };
    int code = parse(&settings, argc, argv);
    if (code == DONE) code = load_script(&settings);
    if (code == DONE) code = serve(&settings);
    free(settings.script);
    return code;
}

const struct command rh_command_emulator = { "emulator", "serves an event hub namespace", usage, run };
