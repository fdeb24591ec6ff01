/*
 * chance.h: a stream of random numbers from the seed that libFuzzer gives with each mutation.
 */
#ifndef RH_KIT_CHANCE_H
#define RH_KIT_CHANCE_H

#include <stdbool.h>
#include <stdint.h>

typedef struct kit_chance {
    uint64_t state;
} kit_chance;

static inline kit_chance kit_chance_of(uint64_t seed)
{
    return (kit_chance){ seed * UINT64_C(0x9e3779b97f4a7c15) + UINT64_C(0x2545f4914f6cdd1d) };
}

static inline uint32_t kit_random(kit_chance *chance)
{
    uint64_t x = chance->state += UINT64_C(0x9e3779b97f4a7c15);
    x          = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    x          = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
    return (uint32_t)(x >> 32);
}

/** 0 to n - 1; 0 for n = 0. */
static inline uint32_t kit_below(kit_chance *chance, uint32_t n)
{
    return n ? (uint32_t)((uint64_t)kit_random(chance) * n >> 32) : 0;
}

static inline bool kit_one_in(kit_chance *chance, uint32_t n)
{
    return kit_below(chance, n) == 0;
}

#endif
