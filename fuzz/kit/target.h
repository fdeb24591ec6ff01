/*
 * target.h: what every target ends with. TARGET() makes LLVMFuzzerTestOneInput() of a function, and holds the work that the
 * library does for an input to `constant + each * bytes` steps and to STACK_MAX bytes of stack (steps.h).
 */
#ifndef RH_KIT_TARGET_H
#define RH_KIT_TARGET_H

#include "fuzz/kit/steps.h"

/* How much stack an input may take, however it nests: a few times what the campaigns have met, and less than a call for each byte
 * of a kilobyte. Said before this file by targets of more than the pure layers. */
#ifndef STACK_MAX
#define STACK_MAX (32 * 1024)
#endif

#define TARGET(run, constant, each)                                                                \
    int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);                                   \
    int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)                                    \
    {                                                                                               \
        kit_steps_begin();                                                                          \
        run(data, size);                                                                            \
        kit_steps_end(constant, each, STACK_MAX, size);                                             \
        return 0;                                                                                   \
    }

#endif
