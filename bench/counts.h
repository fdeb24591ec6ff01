/**
 * Counts that do not vary from round to round: calls of the allocator, and instructions that a run under callgrind has
 * left in a file.
 */
#ifndef RH_BENCH_COUNTS_H
#define RH_BENCH_COUNTS_H

#include <stdint.h>

/** Calls of malloc, calloc and realloc so far, by us and by every library of the program. */
uint64_t rh_counts_allocations(void);

/** What instructions.sh wrote for "task/name" into DIRECTORY/REPORT.ir; NAN: nothing. */
double rh_counts_instructions(const char *directory, const char *report, const char *task, const char *name);

#endif
