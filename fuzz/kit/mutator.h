/*
 * mutator.h: mutations that know AMQP: values are put in, taken out, doubled and exchanged with the sizes around them
 * agreeing, or lied about on purpose; lists are made from performatives.def; two inputs meet at the boundaries of values,
 * or of records where a target has those. Every other time it is libFuzzer's own mutation.
 */
#ifndef RH_KIT_MUTATOR_H
#define RH_KIT_MUTATOR_H

#include <stddef.h>
#include <stdint.h>

/** Inputs that hold encoded values behind `skip` bytes: a value, a list, a message. */
size_t kit_mutate_values(uint8_t *data, size_t size, size_t max, unsigned seed, size_t skip);
size_t kit_cross_values(const uint8_t *a, size_t a_n, const uint8_t *b, size_t b_n, uint8_t *out, size_t max, unsigned seed, size_t skip);

/** The same behind the header of a frame, whose size mostly agrees. */
size_t kit_mutate_frame(uint8_t *data, size_t size, size_t max, unsigned seed);

/** Inputs of fuzz/kit/world.h. */
size_t kit_mutate_records(uint8_t *data, size_t size, size_t max, unsigned seed);
size_t kit_cross_records(const uint8_t *a, size_t a_n, const uint8_t *b, size_t b_n, uint8_t *out, size_t max, unsigned seed);

/* What libFuzzer calls, and what it lends; a target without an engine has neither. */
size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t max) __attribute__((weak));
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max, unsigned seed);
size_t LLVMFuzzerCustomCrossOver(const uint8_t *a, size_t a_n, const uint8_t *b, size_t b_n, uint8_t *out, size_t max, unsigned seed);

/* CFLAGS with -DKIT_PLAIN build targets without, to see what it is worth. */
#ifdef KIT_PLAIN
#define TARGET_HOLDS_VALUES(skip)
#define TARGET_HOLDS_RECORDS
#define TARGET_HOLDS_FRAMES
#else

/** Behind TARGET(): inputs hold values behind `skip` bytes. */
#define TARGET_HOLDS_VALUES(skip)                                                                  \
    size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max, unsigned seed)           \
    {                                                                                               \
        return kit_mutate_values(data, size, max, seed, skip);                                      \
    }                                                                                               \
    size_t LLVMFuzzerCustomCrossOver(const uint8_t *a, size_t a_n, const uint8_t *b, size_t b_n,    \
                                     uint8_t *out, size_t max, unsigned seed)                       \
    {                                                                                               \
        return kit_cross_values(a, a_n, b, b_n, out, max, seed, skip);                              \
    }

/** Behind TARGET(): inputs are those of fuzz/kit/world.h. */
#define TARGET_HOLDS_RECORDS                                                                       \
    size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max, unsigned seed)           \
    {                                                                                               \
        return kit_mutate_records(data, size, max, seed);                                           \
    }                                                                                               \
    size_t LLVMFuzzerCustomCrossOver(const uint8_t *a, size_t a_n, const uint8_t *b, size_t b_n,    \
                                     uint8_t *out, size_t max, unsigned seed)                       \
    {                                                                                               \
        return kit_cross_records(a, a_n, b, b_n, out, max, seed);                                   \
    }

/** Behind TARGET(): an input is a frame. */
#define TARGET_HOLDS_FRAMES                                                                        \
    size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max, unsigned seed)           \
    {                                                                                               \
        return kit_mutate_frame(data, size, max, seed);                                             \
    }

#endif

#endif
