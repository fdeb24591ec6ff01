/**
 * serial.h: numbers that wrap [RFC 1982]: transfer ids, delivery ids, delivery counts.
 *
 * Unsigned only: the difference of two ids is a distance in the direction asked for, and signed
 * arithmetic would be undefined exactly where it matters.
 */
#ifndef RH_PROTO_SERIAL_H
#define RH_PROTO_SERIAL_H

#include <stdbool.h>
#include <stdint.h>

/** a comes before b: the way from a forward to b is the shorter one. */
static inline bool rh_serial_before(uint32_t a, uint32_t b)
{
    return a != b && b - a < UINT32_C(0x80000000);
}

/** first..last, counted forward from first, holds id. Every pair of ends is a range; 0..2^32-1 is all. */
static inline bool rh_serial_in(uint32_t id, uint32_t first, uint32_t last)
{
    return id - first <= last - first;
}

/** How far b lies ahead of a; 0 when it does not. */
static inline uint32_t rh_serial_ahead(uint32_t a, uint32_t b)
{
    return rh_serial_before(a, b) ? b - a : 0;
}

#endif
