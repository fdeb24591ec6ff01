#include "fuzz/kit/steps.h"

#include <stdio.h>
#include <stdlib.h>

static uint64_t  steps;
static uintptr_t bottom, top; /* of the stack, where it was deepest and where the input began */

/* RH_STEPS=1 prints inputs that need more than any before, in all or a byte. */
static double    dearest;
static uint64_t  most;
static uintptr_t deepest;

/* The compiler calls __sanitizer_cov_trace_pc() at every edge, and the linker's --wrap makes this of it: libFuzzer has one of its own. */
void __wrap___sanitizer_cov_trace_pc(void);
void __wrap___sanitizer_cov_trace_pc(void)
{
    uintptr_t here = (uintptr_t)__builtin_frame_address(0);
    if (here < bottom) bottom = here;
    steps++;
}

void kit_steps_begin(void)
{
    steps = 0;
    bottom = top = (uintptr_t)__builtin_frame_address(0);
}

uint64_t kit_steps(void)
{
    return steps;
}

static void tell(uint64_t used, size_t bytes)
{
    static int wanted = -1;
    if (wanted < 0) wanted = getenv("RH_STEPS") != NULL;
    double each = (double)used / (double)(bytes + 16); /* what every input needs weighs less in long ones */
    if (!wanted || (each <= dearest && used <= most && top - bottom <= deepest)) return;
    if (each > dearest) dearest = each;
    if (used > most) most = used;
    if (top - bottom > deepest) deepest = top - bottom;
    fprintf(stderr, "steps: %llu for %zu bytes, on %zu bytes of stack\n", (unsigned long long)used, bytes, (size_t)(top - bottom));
}

void kit_steps_end(uint64_t constant, uint64_t each, size_t stack, size_t bytes)
{
    uint64_t used = steps;
    tell(used, bytes);
    if (top - bottom > stack) {
        fprintf(stderr, "%zu bytes of stack for %zu bytes, of at most %zu\n", (size_t)(top - bottom), bytes, stack);
        abort();
    }
    if (used <= constant + each * bytes) return;
    fprintf(stderr, "%llu steps for %zu bytes, of at most %llu + %llu a byte\n", (unsigned long long)used, bytes, (unsigned long long)constant, (unsigned long long)each);
    abort();
}
