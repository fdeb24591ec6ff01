/*
 * The program of the simulated worlds: one of them and its story, many of them and what they come to, or the smallest
 * part of one that fails.
 */
#include "tests/sim/reach.h"
#include "tests/sim/shrink.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static const char usage[] =
    "rh-sim SEED               tells the story of a world, a line for each thing that happens; exits with 1 if something is wrong with it\n"
    "  --until LINE            no more of it than so many lines\n"
    "  --shrink                leaves out what it does not need to fail, and prints the command that tells the rest\n"
    "rh-sim --seeds N          runs so many worlds, and prints which faults met which phases\n"
    "  --from SEED             the first of them (0)\n"
    "  --jobs N                in so many processes (1)\n"
    "  --first                 stops when one has failed\n"
    "  --hashes                a line for each: its seed and the hash of all that happened\n"
    "Of each world:\n"
    "  --faults BITS           only these kinds of faults, as bits (all)\n"
    "and of one, as its story and --shrink name them:\n"
    "  --only NAME,...         no other faults and whims than these; '': none\n"
    "  --without NAME,...      not these\n"
    "  --chaos SECONDS         faults end so early (480)\n"
    "  --sends N               so many of each producer\n"
    "  --mute pN,cN,...        without these producers and consumers\n"
    "  --help\n";

typedef struct arguments {
    sim_run       run;
    sim_range     range;
    sim_occasions only, without;
    bool          shrink, help;
} arguments;

static double seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static int run_many(const sim_range *range)
{
    sim_tally tally = { .seeds = 0 };
    double    begin = seconds();
    bool      whole = sim_tally_run(range, &tally);
    double    took  = seconds() - begin;
    if (range->hashes) return !whole || tally.failed;
    sim_reach_print(&tally);
    printf("from seed %llu: %llu events seen, %.0f seeds a minute in %u %s, hash %016llx\n", (unsigned long long)range->from,
           (unsigned long long)tally.events, (double)tally.seeds * 60 / took, range->jobs, range->jobs == 1 ? "process" : "processes",
           (unsigned long long)tally.hash);
    if (!whole) printf("a process died, and with it the rest of its seeds\n");
    printf("%llu passed, %llu failed\n", (unsigned long long)(tally.seeds - tally.failed), (unsigned long long)(tally.failed + !whole));
    bool enough = range->faults != UINT32_MAX || sim_reach_is_enough(&tally);
    return !whole || tally.failed || !enough;
}

static int run_one(sim_run run)
{
    run.out           = stdout;
    sim_result result = sim_world_run(&run);
    printf("seed %llu: %llu lines, hash %016llx, %llu events seen, %llu clients made anew, quiet after %.3f s: %s\n", (unsigned long long)run.seed,
           (unsigned long long)result.lines, (unsigned long long)result.hash, (unsigned long long)result.events,
           (unsigned long long)result.reopened, (double)result.finished / 1e9, result.wrong[0] ? result.wrong : "all is true");
    return result.wrong[0] != 0;
}

/* -- arguments ----------------------------------------------------------------------------------- */

static bool read_number(const char *text, uint64_t most, uint64_t *number)
{
    char *end;
    errno   = 0;
    *number = strtoull(text, &end, 0);
    return text[0] >= '0' && text[0] <= '9' && *end == 0 && errno == 0 && *number <= most;
}

static bool read_seconds(const char *text, rh_time *time)
{
    char  *end;
    double s = strtod(text, &end);
    if (end == text || *end || !(s > 0) || s > 1e6) return false;
    *time = (rh_time)(s * 1000 + 0.5) * RH_MS(1);
    return true;
}

static bool read_mute(const char *text, sim_limits *limits)
{
    while (*text) {
        char     *end;
        uint64_t *bits = *text == 'p' ? &limits->mute_producers : &limits->mute_consumers;
        if ((*text != 'p' && *text != 'c') || text[1] < '0' || text[1] > '9') return false;
        unsigned long number = strtoul(text + 1, &end, 10);
        if (number >= 64 || (*end && *end != ',')) return false;
        *bits |= UINT64_C(1) << number;
        text = end + (*end == ',');
    }
    return true;
}

static bool read_option(arguments *a, int option, const char *text)
{
    uint64_t number = 0;
    bool     good   = true;
    switch (option) {
    case 's': good = read_number(text, UINT64_MAX, &a->range.count) && a->range.count; break;
    case 'f': good = read_number(text, UINT64_MAX, &a->range.from); break;
    case 'j': good = read_number(text, 1024, &number) && number, a->range.jobs = (unsigned)number; break;
    case 'u': good = read_number(text, UINT64_MAX, &a->run.until); break;
    case 'x': good = read_number(text, UINT32_MAX, &number), a->run.faults = a->range.faults = (uint32_t)number; break;
    case 'n': good = read_number(text, UINT32_MAX, &number) && number, a->run.limits.sends = (uint32_t)number; break;
    case 'c': good = read_seconds(text, &a->run.limits.chaos); break;
    case 'm': good = read_mute(text, &a->run.limits); break;
    case 'o': good = sim_occasions_read(&a->only, text), a->run.switches.only = &a->only; break;
    case 'w': good = sim_occasions_read(&a->without, text), a->run.switches.without = &a->without; break;
    case 'k': a->shrink = true; break;
    case '1': a->range.first = true; break;
    case 'h': a->range.hashes = true; break;
    case '?': return false;
    default: a->help = true;
    }
    if (!good) fprintf(stderr, "rh-sim: '%s' says nothing here\n", text);
    return good;
}

static bool read_arguments(arguments *a, int argc, char **argv)
{
    static const struct option options[] = {
        { "seeds", required_argument, NULL, 's' },  { "from", required_argument, NULL, 'f' },  { "jobs", required_argument, NULL, 'j' },
        { "until", required_argument, NULL, 'u' },  { "faults", required_argument, NULL, 'x' }, { "sends", required_argument, NULL, 'n' },
        { "chaos", required_argument, NULL, 'c' },  { "mute", required_argument, NULL, 'm' },   { "only", required_argument, NULL, 'o' },
        { "without", required_argument, NULL, 'w' }, { "shrink", no_argument, NULL, 'k' },      { "hashes", no_argument, NULL, 'h' },
        { "first", no_argument, NULL, '1' },        { "help", no_argument, NULL, '!' },         { NULL, 0, NULL, 0 },
    };
    for (int c; (c = getopt_long(argc, argv, "", options, NULL)) != -1;)
        if (!read_option(a, c, optarg ? optarg : "")) return false;
    if (a->help || a->range.count) return optind == argc;
    if (optind + 1 != argc || !read_number(argv[optind], UINT64_MAX, &a->run.seed)) {
        fputs("rh-sim: which seed? (--help)\n", stderr);
        return false;
    }
    return true;
}

int main(int argc, char **argv)
{
    arguments a      = { .run = { .faults = UINT32_MAX }, .range = { .faults = UINT32_MAX, .jobs = 1 } };
    int       status = 0;
    if (!read_arguments(&a, argc, argv)) status = 2;
    else if (a.help) fputs(usage, stdout);
    else if (a.range.count) status = run_many(&a.range);
    else if (a.shrink) status = sim_shrink(&a.run);
    else status = run_one(a.run);
    sim_occasions_fini(&a.only);
    sim_occasions_fini(&a.without);
    return status;
}
