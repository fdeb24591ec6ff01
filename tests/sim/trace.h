/**
 * trace.h: the story of a run: a hash of everything that happened, and a line for each of it when somebody reads along.
 */
#ifndef SIM_TRACE_H
#define SIM_TRACE_H

#include "codec/base.h"

#include <stdio.h>

typedef struct sim_trace {
    uint64_t hash;    /* XXH3 of every line, chained */
    uint64_t lines;
    FILE    *out;     /* NULL: nobody reads along */
    rh_time  origin;  /* times are printed from here */
    uint64_t until;   /* lines behind this are not printed; 0: all are */
} sim_trace;

/** One line, without its end. No pointer may be printed: the same seed must tell the same story in every process. */
__attribute__((format(printf, 3, 4))) void sim_tell(sim_trace *trace, rh_time now, const char *format, ...);

/** Bytes that are not printed. */
void sim_tell_bytes(sim_trace *trace, const void *bytes, size_t n);

#endif
