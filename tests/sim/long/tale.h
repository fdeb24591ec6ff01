/**
 * tale.h: what was told of one thing, line by line, to be held against what another run told of it.
 */
#ifndef SIM_LONG_TALE_H
#define SIM_LONG_TALE_H

#include "codec/base.h"

typedef struct sim_line {
    rh_time at;
    int64_t what; /* a sequence number, or how a send ended */
} sim_line;

typedef struct sim_tale {
    sim_line *lines;
    size_t    count, room;
} sim_tale;

void sim_tale_add(sim_tale *tale, rh_time at, int64_t what);
void sim_tale_drop(sim_tale *tale);

/** The first line in which they differ; SIZE_MAX: there is none. */
size_t sim_tale_differs(const sim_tale *a, const sim_tale *b);

#endif
