/**
 * heap.h: what build/bench/heap.so tells about the heap of a program that was started with it:
 *
 *     RH_HEAP_FILE=FILE LD_PRELOAD=build/bench/heap.so PROGRAM
 *
 * FILE exists and is empty or zeroed. The program maps it and counts into it as it goes, so it can be read at any
 * time, while the program runs or afterwards. The first process counts; what it turns into by exec starts over from
 * zero; its children count nothing. A language that keeps a heap of its own beside malloc (JavaScript, Python's
 * small objects) shows only what it asks of malloc: pages (/proc/PID/smaps_rollup) tell the rest.
 */
#ifndef RH_BENCH_HEAP_H
#define RH_BENCH_HEAP_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#define RH_HEAP_VARIABLE "RH_HEAP_FILE"

/** In the file, little more than an array of numbers; each is right, together they may be from different moments. */
typedef struct rh_heap_counts {
    _Atomic uint64_t process; /* who counts; 0: nobody yet */
    _Atomic uint64_t mallocs; /* calls: malloc, aligned_alloc, memalign, posix_memalign, valloc */
    _Atomic uint64_t callocs;
    _Atomic uint64_t reallocs;
    _Atomic uint64_t frees; /* of something: free(NULL) is nothing */
    _Atomic uint64_t live;  /* bytes given and not given back, as large as malloc made them */
} rh_heap_counts;

/** A moment of the counts. */
typedef struct rh_heap {
    uint64_t allocations; /* mallocs, callocs and reallocs */
    uint64_t frees;
    uint64_t live;
} rh_heap;

/** Reads the counts out of the open file; false: nobody counts there yet. */
static inline bool rh_heap_read(int fd, rh_heap *out)
{
    uint64_t n[sizeof(rh_heap_counts) / sizeof(uint64_t)];
    if (pread(fd, n, sizeof n, 0) != (ssize_t)sizeof n || n[0] == 0) return false;
    *out = (rh_heap){ .allocations = n[1] + n[2] + n[3], .frees = n[4], .live = n[5] };
    return true;
}

#endif
