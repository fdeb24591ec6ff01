/* A walk through a value and everything in it, without recursion. Private to codec/. */
#ifndef RH_WALK_H
#define RH_WALK_H

#include "codec/codec.h"

typedef enum rh_step {
    RH_STEP_VALUE,     /* walk->value: a scalar, or a compound that is not entered (see below) */
    RH_STEP_DESCRIBED, /* a 00: the descriptor comes next, then the described value */
    RH_STEP_OPEN,      /* walk->value: a list, map or array that is entered */
    RH_STEP_CLOSE,     /* the innermost open one ended, exactly where it said */
    RH_STEP_END,       /* the whole value was walked and no byte is left over */
    RH_STEP_BROKEN,    /* walk->position is the offending byte */
} rh_step;

/* What stands before the value that a step tells of. */
typedef enum rh_place {
    RH_PLACE_FIRST,      /* the bracket of its compound, or nothing */
    RH_PLACE_NEXT,       /* an element; in a map, an entry */
    RH_PLACE_OF_KEY,     /* in a map: the key it belongs to */
    RH_PLACE_DESCRIPTOR, /* the 00 it belongs to */
    RH_PLACE_DESCRIBED,  /* its descriptor */
} rh_place;

typedef struct rh_walk_level {
    rh_type  type;    /* list, map, array */
    rh_array array;   /* items and count; the rest is used by arrays only */
    uint32_t index;   /* elements finished */
    size_t   owed;    /* values until the element is finished; 0 between two */
    bool     after00; /* the next value is a descriptor */
} rh_walk_level;

typedef struct rh_walk {
    const uint8_t *start;
    size_t         position;
    rh_value       value;
    rh_place       place;
    size_t         depth; /* compounds open; level[0] is the world outside the value */
    rh_walk_level  level[RH_NESTING_MAX + 1];
} rh_walk;

/* Walks need their memory at one place: the levels point at each other. */
void rh_walk_init(rh_walk *walk, rh_slice encoded);

/*
 * Not entered are compounds below RH_NESTING_MAX and arrays whose elements have no bytes, which would
 * take more steps than bytes; both were held to their shape. An array's value step has RH_ARRAY
 * and its element type is known from rh_value_array().
 */
rh_step rh_walk_next(rh_walk *walk);

#endif
