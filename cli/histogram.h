/*
 * How often which duration came. A bucket is at most 1/128 of its values wide, whatever they are, so that all of 64
 * bits fit into 58 KiB and a percentile is at most 0.8 % above the truth. Adding takes a few instructions.
 */
#ifndef RH_CLI_HISTOGRAM_H
#define RH_CLI_HISTOGRAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/* Values below 128 have a bucket each; each doubling above has 128 more. */
enum { HISTOGRAM_STEPS = 128, HISTOGRAM_BUCKETS = (64 - 7 + 1) * HISTOGRAM_STEPS };

/* Zeroed it is empty. */
struct histogram {
    uint64_t count, min, max;
    double   sum;
    uint64_t buckets[HISTOGRAM_BUCKETS];
};

void rh_histogram_add(struct histogram *histogram, uint64_t value);

/* The value that the given part of all values does not exceed: the top of its bucket, or the largest value. 0: none came. */
uint64_t rh_histogram_at(const struct histogram *histogram, double quantile);

/* With fewer than 100 values beyond it a percentile is an anecdote. */
bool rh_histogram_tells(const struct histogram *histogram, double quantile);

double rh_histogram_mean(const struct histogram *histogram);
double rh_histogram_deviation(const struct histogram *histogram);

/* The values that share bucket i: from the bottom to the top, both included. */
uint64_t rh_histogram_bottom(size_t i);
uint64_t rh_histogram_top(size_t i);

/* The percentile distribution as HdrHistogram prints it (.hgrm), nanoseconds shown as milliseconds. */
void rh_histogram_write(const struct histogram *histogram, FILE *out);

#endif
