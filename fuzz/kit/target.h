/*
 * target.h: what every target ends with. TARGET() makes LLVMFuzzerTestOneInput() of a function, and holds the work that the
 * library does for an input to `constant + each * bytes` steps (steps.h).
 */
#ifndef RH_KIT_TARGET_H
#define RH_KIT_TARGET_H

#include "fuzz/kit/steps.h"

#define TARGET(run, constant, each)                                                                \
    int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);                                   \
    int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)                                    \
    {                                                                                               \
        kit_steps_begin();                                                                          \
        run(data, size);                                                                            \
        kit_steps_end(constant, each, size);                                                        \
        return 0;                                                                                   \
    }

#endif
