#include "tests/sim/tally.h"

#include "tests/sim/apart.h"

#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* Failures that are told one by one. */
#define TOLD_MOST 20

#define PROMPT RH_SECONDS(120)

static rh_time processor_time(void)
{
    struct timespec now;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (rh_time)now.tv_sec * RH_SECONDS(1) + (rh_time)now.tv_nsec;
}

static void longest(rh_time *most, rh_time time)
{
    if (time > *most) *most = time;
}

static void run_one(const sim_range *range, uint64_t seed, sim_tally *tally)
{
    sim_apart_watch(seed);
    sim_result result = sim_world_run(&(sim_run){ .seed = seed, .faults = range->faults, .grid = &tally->grid });
    tally->seeds++;
    tally->events += result.events;
    tally->prompt += result.bound <= PROMPT;
    tally->processor = processor_time();
    longest(&tally->bound_most, result.bound);
    longest(&tally->finished_most, result.finished);
    tally->hash += result.hash * (2 * seed + 1);
    if (range->hashes) printf("%llu %016llx\n", (unsigned long long)seed, (unsigned long long)result.hash);
    if (result.wrong[0] && tally->failed++ < TOLD_MOST) printf("seed %llu: %s\n", (unsigned long long)seed, result.wrong);
    if (result.wrong[0]) (void)fflush(stdout);
}

/* Every so manieth seed: neighbours take about as long, so all processes are done at about the same time. */
static void run_share(const sim_range *range, unsigned job, sim_tally *tally)
{
    for (uint64_t i = job; i < range->count && !(range->first && tally->failed); i += range->jobs) run_one(range, range->from + i, tally);
}

static void add(sim_tally *sum, const sim_tally *part)
{
    for (size_t f = 0; f < SIM_FAULT_KINDS; f++)
        for (size_t p = 0; p < SIM_PHASES; p++) sum->grid.hits[f][p] += part->grid.hits[f][p];
    sum->seeds += part->seeds;
    sum->failed += part->failed;
    sum->events += part->events;
    sum->prompt += part->prompt;
    sum->processor += part->processor;
    longest(&sum->bound_most, part->bound_most);
    longest(&sum->finished_most, part->finished_most);
    sum->hash += part->hash;
}

/* Answers where its tally will come from. */
static int start(const sim_range *range, unsigned job)
{
    int ends[2];
    (void)fflush(stdout);
    if (pipe(ends) != 0) return -1;
    pid_t pid = fork();
    if (pid == 0) {
        sim_tally tally = { .seeds = 0 };
        (void)close(ends[0]);
        run_share(range, job, &tally);
        (void)fflush(stdout);
        _exit(write(ends[1], &tally, sizeof tally) == (ssize_t)sizeof tally ? 0 : 1);
    }
    (void)close(ends[1]);
    return ends[0];
}

static bool gather(int from, sim_tally *sum)
{
    sim_tally part;
    size_t    n = 0;
    ssize_t   got;
    while (n < sizeof part && (got = read(from, (char *)&part + n, sizeof part - n)) > 0) n += (size_t)got;
    (void)close(from);
    if (n == sizeof part) add(sum, &part);
    return n == sizeof part;
}

bool sim_tally_run(const sim_range *range, sim_tally *tally)
{
    bool whole = true;
    if (range->jobs <= 1) {
        run_share(range, 0, tally);
        return true;
    }
    int *from = calloc(range->jobs, sizeof *from);
    for (unsigned job = 0; job < range->jobs; job++) from[job] = start(range, job);
    for (unsigned job = 0; job < range->jobs; job++) whole = (from[job] < 0 ? false : gather(from[job], tally)) && whole;
    while (wait(NULL) > 0) continue;
    free(from);
    return whole;
}
