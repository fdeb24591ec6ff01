/*
 * rh-long [--seed N] [RUN...]: long runs of a client and a namespace on virtual time; all of them when none is named. Each prints its
 * figures in a line.
 */
#include "tests/sim/long/stand.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static const struct {
    const char *name;
    bool      (*run)(void);
} runs[] = {
    { "idle", sim_run_idle },
    { "service", sim_run_service },
    { "silence", sim_run_silence },
    { "suspend", sim_run_suspend },
    { "waking", sim_run_waking },
    { "storm", sim_run_storm },
    { "kill", sim_run_kill },
    { "wrap", sim_run_wrap },
    { "dead", sim_run_dead },
    { "audiences", sim_run_audiences },
    { "refresh", sim_run_refresh },
    { "stable", sim_run_stable },
    { "month", sim_run_month },
    { "rough", sim_run_rough },
};

#define RUNS (sizeof runs / sizeof *runs)

static double seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static bool is_named(const char *name, int argc, char **argv)
{
    for (int i = optind; i < argc; i++)
        if (strcmp(argv[i], name) == 0) return true;
    return argc == optind;
}

static bool all_known(int argc, char **argv)
{
    for (int i = optind; i < argc; i++) {
        bool known = false;
        for (size_t k = 0; k < RUNS; k++) known |= strcmp(argv[i], runs[k].name) == 0;
        if (!known) return false;
    }
    return true;
}

int main(int argc, char **argv)
{
    static const struct option options[] = { { "seed", required_argument, NULL, 's' }, { NULL, 0, NULL, 0 } };
    unsigned passed = 0, failed = 0;
    bool     right_usage = true;
    for (int c; (c = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        right_usage &= c == 's';
        if (c == 's') sim_seed = strtoull(optarg, NULL, 0);
    }
    if (!right_usage || !all_known(argc, argv)) {
        fprintf(stderr, "usage: rh-long [--seed N] [RUN...]; the runs:");
        for (size_t i = 0; i < RUNS; i++) fprintf(stderr, " %s", runs[i].name);
        fprintf(stderr, "\n");
        return 2;
    }
    for (size_t i = 0; i < RUNS; i++) {
        if (!is_named(runs[i].name, argc, argv)) continue;
        double begin = seconds();
        bool   right = runs[i].run();
        printf("           %.1f s\n", seconds() - begin);
        (void)fflush(stdout);
        passed += right;
        failed += !right;
    }
    printf("%u passed, %u failed\n", passed, failed);
    return failed != 0;
}
