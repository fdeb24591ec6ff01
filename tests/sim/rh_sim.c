/*
 * rh-sim SEED: one simulated world and its story. rh-sim --seeds N [--from SEED]: many, silently, and what they reached.
 */
#include "tests/sim/world.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static void print_grid(const sim_grid *grid)
{
    printf("%-10s", "");
    for (int p = 0; p < SIM_PHASES; p++) printf("%9s", sim_phase_name[p]);
    for (int f = 0; f < SIM_FAULT_KINDS; f++) {
        printf("\n%-10s", sim_fault_name[f]);
        for (int p = 0; p < SIM_PHASES; p++) {
            if (sim_swarm_impossible((sim_fault)f, (sim_phase)p)) printf("%9s", "-");
            else printf("%9llu", (unsigned long long)grid->hits[f][p]);
        }
    }
    printf("\n");
}

static double seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static int run_many(uint64_t from, uint64_t count, uint32_t faults)
{
    sim_grid grid   = { 0 };
    uint64_t failed = 0, events = 0, hash = 0;
    double   begin  = seconds();
    for (uint64_t seed = from; seed < from + count; seed++) {
        sim_result result = sim_world_run(&(sim_run){ .seed = seed, .faults = faults, .grid = &grid });
        events += result.events;
        hash = hash * 31 + result.hash;
        if (result.wrong[0] && failed++ < 20) printf("seed %llu: %s\n", (unsigned long long)seed, result.wrong);
    }
    double took = seconds() - begin;
    print_grid(&grid);
    printf("from seed %llu: %llu events seen, %.0f seeds a minute, hash %016llx\n", (unsigned long long)from, (unsigned long long)events,
           (double)count * 60 / took, (unsigned long long)hash);
    printf("%llu passed, %llu failed\n", (unsigned long long)(count - failed), (unsigned long long)failed);
    return failed != 0;
}

static int run_one(uint64_t seed, uint64_t until, uint32_t faults)
{
    sim_result result = sim_world_run(&(sim_run){ .seed = seed, .out = stdout, .until = until, .faults = faults });
    printf("seed %llu: %llu lines, hash %016llx, %llu events seen, %llu clients made anew, quiet after %.3f s: %s\n", (unsigned long long)seed,
           (unsigned long long)result.lines, (unsigned long long)result.hash, (unsigned long long)result.events,
           (unsigned long long)result.reopened, (double)result.finished / 1e9, result.wrong[0] ? result.wrong : "all is true");
    return result.wrong[0] != 0;
}

int main(int argc, char **argv)
{
    static const struct option options[] = {
        { "seeds", required_argument, NULL, 's' }, { "from", required_argument, NULL, 'f' }, { "until", required_argument, NULL, 'u' },
        { "faults", required_argument, NULL, 'x' }, { NULL, 0, NULL, 0 },
    };
    uint64_t seeds = 0, from = 0, until = 0;
    uint32_t faults = UINT32_MAX;
    for (int c; (c = getopt_long(argc, argv, "", options, NULL)) != -1;) switch (c) {
        case 's': seeds = strtoull(optarg, NULL, 0); break;
        case 'f': from = strtoull(optarg, NULL, 0); break;
        case 'u': until = strtoull(optarg, NULL, 0); break;
        case 'x': faults = (uint32_t)strtoul(optarg, NULL, 0); break;
        default: return 2;
        }
    if (seeds) return run_many(from, seeds, faults);
    if (optind + 1 != argc) {
        fprintf(stderr, "usage: rh-sim [--until LINE] [--faults BITS] SEED | rh-sim --seeds N [--from SEED] [--faults BITS]\n");
        return 2;
    }
    return run_one(strtoull(argv[optind], NULL, 0), until, faults);
}
