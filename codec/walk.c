#include "codec/walk.h"
#include "codec/constructor.h"

void rh_walk_init(rh_walk *walk, rh_slice encoded)
{
    walk->start    = encoded.p;
    walk->position = 0;
    walk->depth    = 0;
    walk->level[0] = (rh_walk_level){ .type = RH_LIST, .array = { .items = rh_dec_of(encoded), .count = 1 } };
}

static rh_step broken(rh_walk *walk)
{
    rh_dec *items = &walk->level[walk->depth].array.items;
    rh_dec_fail(items, RH_E_DECODE); /* tells the levels above, so that this stays the answer */
    walk->position = items->p ? (size_t)(items->p - walk->start) : 0;
    return RH_STEP_BROKEN;
}

/* Begins the next value of a level: says what stands before it, and counts it as begun. */
static rh_place place_of(rh_walk_level *level)
{
    if (level->owed == 0) {
        level->owed = 1;
        if (level->index == 0) return RH_PLACE_FIRST;
        return level->type == RH_MAP && level->index % 2 == 1 ? RH_PLACE_OF_KEY : RH_PLACE_NEXT;
    }
    return level->after00 ? RH_PLACE_DESCRIPTOR : RH_PLACE_DESCRIBED;
}

static void value_is_finished(rh_walk_level *level)
{
    level->after00 = false;
    if (--level->owed > 0) return;
    level->index++;
    if (level->type != RH_ARRAY) level->array.count--; /* an array counts for itself */
}

static bool is_entered(const rh_walk *walk, const rh_value *value)
{
    if (walk->depth == RH_NESTING_MAX) return false;
    if (value->type == RH_LIST || value->type == RH_MAP) return true;
    if (value->type != RH_ARRAY) return false;
    rh_array array;
    return rh_value_array(value, &array) == 0 || array.items.p != array.items.end;
}

static rh_step enter(rh_walk *walk)
{
    rh_walk_level *outer = &walk->level[walk->depth];
    rh_walk_level *inner = outer + 1;

    *inner = (rh_walk_level){ .type = walk->value.type };
    if (inner->type == RH_ARRAY) rh_value_array(&walk->value, &inner->array);
    else inner->array.count = rh_value_items(&walk->value, &inner->array.items);

    inner->array.items.parent = &outer->array.items;
    walk->depth++;
    return inner->array.items.status == RH_OK ? RH_STEP_OPEN : broken(walk);
}

static rh_step leave(rh_walk *walk)
{
    rh_walk_level *level = &walk->level[walk->depth];
    rh_dec_end(&level->array.items);
    if (level->array.items.status != RH_OK) return broken(walk);
    if (walk->depth == 0) return RH_STEP_END;
    walk->depth--;
    value_is_finished(&walk->level[walk->depth]);
    return RH_STEP_CLOSE;
}

rh_step rh_walk_next(rh_walk *walk)
{
    rh_walk_level *level = &walk->level[walk->depth];
    rh_dec        *items = &level->array.items;

    if (items->status != RH_OK) return broken(walk);
    if (level->array.count == 0) return leave(walk);

    walk->place = place_of(level);
    if (level->type == RH_ARRAY) {
        if (!rh_array_next(&level->array, &walk->value)) return broken(walk);
    } else if (rh_dec_peek(items) == RH_DESCRIBED) {
        items->p++;
        level->owed++; /* one value was owed, a descriptor and a value are */
        level->after00 = true;
        return RH_STEP_DESCRIBED;
    } else if (!rh_dec_value(items, &walk->value)) {
        return broken(walk);
    }
    if (is_entered(walk, &walk->value)) return enter(walk);
    value_is_finished(level);
    return RH_STEP_VALUE;
}

rh_status rh_value_check(rh_slice encoded)
{
    rh_walk walk;
    rh_step step;
    rh_walk_init(&walk, encoded);
    do step = rh_walk_next(&walk);
    while (step < RH_STEP_END);
    return step == RH_STEP_END ? RH_OK : RH_E_DECODE;
}
