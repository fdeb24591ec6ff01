/**
 * starve.h: memory that says no at the n-th time, told apart by who asks, and what a thread has not given back.
 *
 * For programs linked with STARVING of the Makefile, whose calls of malloc and its kin come here. OpenSSL, c-ares and jansson are
 * given these functions too, by starve_begin(), so that it works with a sanitizer's heap as well.
 */
#ifndef TESTS_STARVE_H
#define TESTS_STARVE_H

#include <stdbool.h>
#include <stdint.h>

enum starve_who {
    STARVE_OURS, /* the library's and the test's own objects; c-ares, jansson; mmap without a file */
    STARVE_TLS,  /* libssl and libcrypto */
};

/** Before anything else in main(). */
void starve_begin(void);

/** From now on, and on this thread, the nth time (from 1) that this one asks, there is none. 0: there always is. */
void starve_at(enum starve_who who, uint64_t nth);

/** Whether that has happened since it was last asked for. */
bool starve_happened(void);

/** Blocks this thread asked for less those it gave back. */
int64_t starve_alive(void);

#endif
