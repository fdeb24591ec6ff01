/*
 * oracle.h: what the targets hold true. REQUIRE stays in every build, says what did not hold and where, and a fuzzer takes its
 * abort() for a finding.
 */
#ifndef RH_FUZZ_ORACLE_H
#define RH_FUZZ_ORACLE_H

#include <stdio.h>
#include <stdlib.h>

#include "codec/codec.h"

#define REQUIRE(x)                                                                                 \
    do                                                                                             \
        if (!(x)) required(__FILE__, __LINE__, #x);                                                \
    while (0)

__attribute__((cold, noreturn)) static inline void required(const char *file, int line, const char *what)
{
    fprintf(stderr, "%s:%d: %s\n", file, line, what);
    abort();
}

/** Whether part lies in whole; an absent part lies anywhere, but has no bytes. */
static inline bool inside(rh_slice part, rh_slice whole)
{
    if (part.p == NULL) return part.n == 0;
    return part.p >= whole.p && part.p <= whole.p + whole.n && part.n <= (size_t)(whole.p + whole.n - part.p);
}

/** Present or absent alike, with the same bytes. */
static inline bool same_slice(rh_slice a, rh_slice b)
{
    return (a.p == NULL) == (b.p == NULL) && rh_slice_equal(a, b);
}

/** The same value of the same type, whatever the encoding. */
static inline bool same_value(const rh_value *a, const rh_value *b)
{
    if (a->type != b->type || !rh_slice_equal(a->bytes, b->bytes)) return false;
    switch (a->type) {
    case RH_NULL:  return true;
    case RH_BOOL:  return a->boolean == b->boolean;
    case RH_FLOAT: return memcmp(&a->f, &b->f, sizeof a->f) == 0;
    case RH_CHAR:  return a->character == b->character;
    default:       return a->u == b->u; /* every other member is as wide, or zero */
    }
}

#endif
