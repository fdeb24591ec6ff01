/**
 * Rows of the codec bench for rivals that are programs of their own: one process each, asked by the line protocol
 * (bench/rivals/README.md). What they time is their own loop, without the talk.
 */
#ifndef RH_BENCH_CODEC_RIVALS_H
#define RH_BENCH_CODEC_RIVALS_H

#include "bench/rounds.h"

#define RH_CODEC_RIVALS_MAX 3

/** Starts them; build is the folder that holds bench/. Who cannot be started becomes a row that says so. */
void rh_codec_rivals_start(const char *build);

/**
 * Writes the rows of a task, named as in the protocol, and answers how many: at most RH_CODEC_RIVALS_MAX, none for who
 * has no such thing. called: the task's name in the report.
 */
size_t rh_codec_rivals_add(rh_contender *rows, const char *task, const char *called, size_t floor, size_t ours);

void rh_codec_rivals_stop(void);

#endif
