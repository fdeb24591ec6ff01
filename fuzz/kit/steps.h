/*
 * steps.h: how much work the library did, counted and not timed. fuzz/build.sh has the compiler put a call at every edge of
 * the library's control flow (-fsanitize-coverage=trace-pc), so nothing has to be written, or forgotten, in the code that
 * is counted. Where the library was built without, the count stays 0.
 */
#ifndef RH_KIT_STEPS_H
#define RH_KIT_STEPS_H

#include <stddef.h>
#include <stdint.h>

/** Counts from here. */
void kit_steps_begin(void);

/** Edges passed since. */
uint64_t kit_steps(void);

/**
 * Aborts, and says why, if there were more than `constant + each * bytes`, or if they took more than `stack` bytes of it. The numbers are a
 * few times what the campaigns have met (RH_STEPS=1 tells): a loop over a count instead of over bytes misses them by orders of
 * magnitude.
 */
void kit_steps_end(uint64_t constant, uint64_t each, size_t stack, size_t bytes);

#endif
