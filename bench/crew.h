/**
 * Who takes part in the benches on the wire: ringhub, and rivals that are started as they are installed.
 */
#ifndef RH_BENCH_CREW_H
#define RH_BENCH_CREW_H

#include "bench/contender.h"

#define RH_CREW_MAX 5

typedef struct rh_member {
    const char *name;    /* for those that are missing; who starts says its own */
    const char *argv[3]; /* of the repository's root; "@" in front stands for the build folder */
} rh_member;

/** Ringhub comes first. */
extern const rh_member rh_crew[RH_CREW_MAX];

/**
 * Starts a member; start says what else it needs, its argv is ignored. False: it is missing, and runner->words tell why.
 */
bool rh_crew_start(const rh_member *member, const char *build, const rh_start *start, rh_runner *runner);

#endif
