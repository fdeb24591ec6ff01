/**
 * chance.h: where a simulated world takes its choices from: a seed, or the bytes of a fuzzer and then a seed.
 *
 * Each part of a world has a stream of its own, so that a choice more in one part changes nothing in another.
 */
#ifndef SIM_CHANCE_H
#define SIM_CHANCE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** Choices that somebody else has made: bytes that are used up before a generator is asked. */
typedef struct sim_input {
    const uint8_t *bytes;
    size_t         n;
} sim_input;

typedef struct sim_chance {
    uint64_t   state[4];
    sim_input *input; /* NULL: none; shared by all parts of a world, which take from it in turn */
} sim_chance;

/** stream tells the parts of one world apart. */
sim_chance sim_chance_of_seed(uint64_t seed, uint64_t stream);

/** 64 bits of the generator; input is left alone. */
uint64_t sim_draw(sim_chance *chance);

/** 0 to n - 1; n > 0. Takes a byte of input, or two if n > 256. */
uint64_t sim_below(sim_chance *chance, uint64_t n);

/** least to most, both included. */
uint64_t sim_between(sim_chance *chance, uint64_t least, uint64_t most);

/** Small values as likely as large ones: the logarithm is even. least > 0. */
uint64_t sim_scale(sim_chance *chance, uint64_t least, uint64_t most);

/** True once in n; n 0: never. */
bool sim_once_in(sim_chance *chance, uint64_t n);

#endif
