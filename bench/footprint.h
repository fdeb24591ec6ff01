/**
 * What a running program holds and how often it wakes, as the kernel and heap.so tell it.
 */
#ifndef RH_BENCH_FOOTPRINT_H
#define RH_BENCH_FOOTPRINT_H

#include <stdint.h>
#include <sys/types.h>

typedef struct rh_footprint {
    double heap;  /* live bytes of malloc; NAN: not counted */
    double pages; /* bytes of pages that it alone has touched; NAN: not to be read */
    double wakes; /* how often its threads went to sleep by themselves so far; NAN likewise */
} rh_footprint;

/** heap_fd is the file that heap.so counts into, -1: none. */
rh_footprint rh_footprint_of(pid_t pid, int heap_fd);

#endif
