#include "fuzz/aim/tally.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void tally_end(struct tally *tally, const char *how)
{
    for (unsigned i = 0; i < tally->count; i++)
        if (strcmp(tally->ends[i].how, how) == 0) {
            tally->ends[i].times++;
            return;
        }
    if (tally->count == TALLY_ENDS) how = "in one of many other ways", tally->count--; /* the last row is for those */
    struct tally_end *end = &tally->ends[tally->count++];
    snprintf(end->how, sizeof end->how, "%s", how);
    end->times++;
}

static int more_often(const void *a, const void *b)
{
    const struct tally_end *one = a, *other = b;
    return one->times != other->times ? (one->times < other->times) - (one->times > other->times) : strcmp(one->how, other->how);
}

unsigned tally_tell(const struct tally *tally)
{
    struct tally sorted = *tally;
    qsort(sorted.ends, sorted.count, sizeof *sorted.ends, more_often);
    printf("%u inputs\n", tally->inputs);
    for (unsigned i = 0; i < sorted.count; i++) printf("%8u  %s\n", sorted.ends[i].times, sorted.ends[i].how);
    printf("%u resets, %u connections refused or not answered, %u hangs, %u with illegal frames\n", tally->cut, tally->refused, tally->hung, tally->illegal);
    return tally->refused + tally->hung + tally->illegal;
}
