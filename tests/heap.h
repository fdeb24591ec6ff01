/**
 * heap.h: counts what a thread asks of the heap and of mmap, told apart by who asks.
 *
 * Under a sanitizer, which brings its own heap, nothing is counted: ask heap_is_counted().
 */
#ifndef TESTS_HEAP_H
#define TESTS_HEAP_H

#include <stdbool.h>
#include <stddef.h>

struct heap_count {
    size_t ours; /* malloc, calloc, realloc, aligned_alloc, posix_memalign, mmap */
    size_t tls;  /* the same, asked by libssl and libcrypto */
};

bool heap_is_counted(void);

/** Of the calling thread, since it began. */
struct heap_count heap_count(void);

#endif
