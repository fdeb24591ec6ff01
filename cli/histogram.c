#include "cli/histogram.h"

#include <math.h>

static size_t bucket_of(uint64_t value)
{
    if (value < HISTOGRAM_STEPS) return (size_t)value;
    unsigned doubling = 63 - (unsigned)__builtin_clzll(value) - 7;
    return (doubling + 1) * (size_t)HISTOGRAM_STEPS + (size_t)(value >> doubling) - HISTOGRAM_STEPS;
}

uint64_t rh_histogram_bottom(size_t i)
{
    if (i < HISTOGRAM_STEPS) return i;
    return (uint64_t)(i % HISTOGRAM_STEPS + HISTOGRAM_STEPS) << (i / HISTOGRAM_STEPS - 1);
}

uint64_t rh_histogram_top(size_t i) { return i + 1 < HISTOGRAM_BUCKETS ? rh_histogram_bottom(i + 1) - 1 : UINT64_MAX; }

void rh_histogram_add(struct histogram *histogram, uint64_t value)
{
    if (histogram->count == 0 || value < histogram->min) histogram->min = value;
    if (value > histogram->max) histogram->max = value;
    histogram->count++;
    histogram->sum += (double)value;
    histogram->buckets[bucket_of(value)]++;
}

uint64_t rh_histogram_at(const struct histogram *histogram, double quantile)
{
    uint64_t wanted = (uint64_t)ceil(quantile * (double)histogram->count), seen = 0;
    if (wanted == 0) return histogram->min;
    for (size_t i = 0; i < HISTOGRAM_BUCKETS; i++) {
        seen += histogram->buckets[i];
        if (seen >= wanted) return rh_histogram_top(i) < histogram->max ? rh_histogram_top(i) : histogram->max;
    }
    return histogram->max;
}

bool rh_histogram_tells(const struct histogram *histogram, double quantile)
{
    /* Half a value of tolerance: 0.999 of 100000 leaves 100 only in exact arithmetic. */
    return (1 - quantile) * (double)histogram->count >= 99.5;
}

double rh_histogram_mean(const struct histogram *histogram)
{
    return histogram->count ? histogram->sum / (double)histogram->count : 0;
}

double rh_histogram_deviation(const struct histogram *histogram)
{
    double mean = rh_histogram_mean(histogram), squares = 0;
    for (size_t i = 0; i < HISTOGRAM_BUCKETS; i++) {
        if (histogram->buckets[i] == 0) continue;
        double off = ((double)rh_histogram_bottom(i) + (double)rh_histogram_top(i)) / 2 - mean;
        squares += off * off * (double)histogram->buckets[i];
    }
    return histogram->count ? sqrt(squares / (double)histogram->count) : 0;
}

/* Five lines for each halving of what is left above, as plotting tools expect. */
static double next_quantile(double quantile)
{
    double halvings = floor(log2(1 / (1 - quantile))) + 1;
    return quantile + 1 / (5 * exp2(halvings));
}

void rh_histogram_write(const struct histogram *histogram, FILE *out)
{
    double quantile = 0, ms = 1e-6;
    uint64_t seen = 0;
    fprintf(out, "%12s %14s %10s %14s\n\n", "Value", "Percentile", "TotalCount", "1/(1-Percentile)");
    for (size_t i = 0; i < HISTOGRAM_BUCKETS && seen < histogram->count; i++) {
        if (histogram->buckets[i] == 0) continue;
        seen += histogram->buckets[i];
        uint64_t top = rh_histogram_top(i) < histogram->max ? rh_histogram_top(i) : histogram->max;
        double share = (double)seen / (double)histogram->count;
        for (; quantile <= share && (1 - quantile) * (double)histogram->count >= 1; quantile = next_quantile(quantile))
            fprintf(out, "%12.6f %2.12f %10llu %14.2f\n", (double)top * ms, quantile, (unsigned long long)seen, 1 / (1 - quantile));
    }
    if (histogram->count) fprintf(out, "%12.6f %2.12f %10llu\n", (double)histogram->max * ms, 1.0, (unsigned long long)seen);
    fprintf(out, "#[Mean    = %12.6f, StdDeviation   = %12.6f]\n", rh_histogram_mean(histogram) * ms, rh_histogram_deviation(histogram) * ms);
    fprintf(out, "#[Max     = %12.6f, Total count    = %12llu]\n", (double)histogram->max * ms, (unsigned long long)histogram->count);
    fprintf(out, "#[Buckets = %12d, SubBuckets     = %12d]\n", HISTOGRAM_BUCKETS / HISTOGRAM_STEPS, HISTOGRAM_STEPS);
}
