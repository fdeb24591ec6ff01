#include "tests/sim/long/tale.h"

#include <stdlib.h>

void sim_tale_add(sim_tale *tale, rh_time at, int64_t what)
{
    if (tale->count == tale->room) {
        tale->room  = tale->room ? tale->room * 2 : 64;
        tale->lines = realloc(tale->lines, tale->room * sizeof *tale->lines);
    }
    tale->lines[tale->count++] = (sim_line){ at, what };
}

void sim_tale_drop(sim_tale *tale)
{
    free(tale->lines);
    *tale = (sim_tale){ 0 };
}

size_t sim_tale_differs(const sim_tale *a, const sim_tale *b)
{
    size_t least = a->count < b->count ? a->count : b->count;
    for (size_t i = 0; i < least; i++)
        if (a->lines[i].at != b->lines[i].at || a->lines[i].what != b->lines[i].what) return i;
    return a->count == b->count ? SIZE_MAX : least;
}
