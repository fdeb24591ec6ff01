#include "bench/samples.h"

#include <endian.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

void rh_samples_free(rh_samples *samples)
{
    free(samples->ns);
    *samples = (rh_samples){ .count = 0 };
}

static bool make_room(rh_samples *samples, size_t count)
{
    if (samples->room - samples->count >= count) return true;
    size_t    room = 2 * samples->room + count;
    uint64_t *ns   = realloc(samples->ns, room * sizeof *ns);
    if (!ns) return false;
    samples->ns   = ns;
    samples->room = room;
    return true;
}

bool rh_samples_read(rh_samples *samples, const char *file)
{
    uint64_t part[512];
    size_t   n, before = samples->count;
    FILE    *in = fopen(file, "rb");
    if (!in) return false;
    while ((n = fread(part, sizeof *part, sizeof part / sizeof *part, in)) > 0 && make_room(samples, n)) {
        for (size_t i = 0; i < n; i++) samples->ns[samples->count++] = le64toh(part[i]);
    }
    bool whole = feof(in) && !ferror(in);
    fclose(in);
    samples->sorted = false;
    return whole && samples->count > before;
}

bool rh_samples_add(rh_samples *samples, const rh_samples *others)
{
    if (!make_room(samples, others->count)) return false;
    memcpy(samples->ns + samples->count, others->ns, others->count * sizeof *others->ns);
    samples->count += others->count;
    samples->sorted = false;
    return true;
}

static int ascending(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

double rh_samples_at(rh_samples *samples, double percentile)
{
    double beyond = (double)samples->count * (100 - percentile) / 100;
    if (beyond < RH_SAMPLES_BEYOND) return NAN;
    if (!samples->sorted) qsort(samples->ns, samples->count, sizeof *samples->ns, ascending);
    samples->sorted = true;
    return (double)samples->ns[samples->count - (size_t)beyond - 1] / 1000;
}

void rh_samples_curve(rh_samples *samples, FILE *out, const char *task, const char *who)
{
    static const double percentiles[] = { 1, 5, 10, 25, 50, 75, 90, 95, 99, 99.5, 99.9, 99.95, 99.99, 99.995, 99.999 };
    for (size_t i = 0; i < sizeof percentiles / sizeof *percentiles; i++) {
        double us = rh_samples_at(samples, percentiles[i]);
        if (!isnan(us)) fprintf(out, "\"%s\",\"%s\",%.4g,%.4g\n", task, who, percentiles[i], us);
    }
}
