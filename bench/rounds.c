#include "bench/rounds.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

uint64_t rh_rounds_now(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

void rh_rounds_run(rh_report *report)
{
    for (size_t i = 0; i < report->count; i++) {
        rh_contender *contender = &report->contenders[i];
        if (!contender->missing) contender->measure(contender->user);
    }
    for (unsigned round = 0; round < report->rounds; round++) {
        for (size_t i = 0; i < report->count; i++) {
            rh_contender *contender = &report->contenders[i];
            contender->value[round] = contender->missing ? NAN : contender->measure(contender->user);
        }
    }
}

/* -- medians and ratios ---------------------------------------------------------------------- */

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static rh_spread spread_of(double *values, unsigned count)
{
    qsort(values, count, sizeof *values, ascending);
    return (rh_spread){ values[count / 2], values[0], values[count - 1] };
}

rh_spread rh_rounds_spread(const rh_report *report, size_t contender)
{
    double values[RH_ROUNDS_MAX];
    memcpy(values, report->contenders[contender].value, sizeof values);
    return spread_of(values, report->rounds);
}

rh_spread rh_rounds_ratio(const rh_report *report, size_t a, size_t b)
{
    double values[RH_ROUNDS_MAX];
    for (unsigned i = 0; i < report->rounds; i++) {
        values[i] = report->contenders[a].value[i] / report->contenders[b].value[i];
    }
    return spread_of(values, report->rounds);
}

/* The ratio to a contender that may be nobody, or missing. */
static rh_spread ratio_to(const rh_report *report, size_t a, size_t b)
{
    if (b == RH_NO_CONTENDER || report->contenders[a].missing || report->contenders[b].missing) {
        return (rh_spread){ NAN, NAN, NAN };
    }
    return rh_rounds_ratio(report, a, b);
}

/* -- the table ------------------------------------------------------------------------------- */

static void print_ratio(rh_spread ratio)
{
    char text[48] = "-";
    if (!isnan(ratio.median)) snprintf(text, sizeof text, "%.2f [%.2f..%.2f]", ratio.median, ratio.min, ratio.max);
    printf("  %-22s", text);
}

static void print_row(const rh_report *report, size_t i)
{
    const rh_contender *contender = &report->contenders[i];
    printf("%-13s %-28s", contender->task, contender->name);
    if (contender->missing) {
        printf("  missing: %s\n", contender->missing);
        return;
    }
    rh_spread spread = rh_rounds_spread(report, i);
    char      range[40];
    snprintf(range, sizeof range, "[%.1f..%.1f]", spread.min, spread.max);
    printf("%9.1f %-18s", spread.median, range);
    print_ratio(ratio_to(report, i, contender->floor));
    print_ratio(ratio_to(report, i, contender->ours));
    for (size_t x = 0; x < RH_EXTRAS && report->extra[x]; x++) {
        if (isnan(contender->extra[x])) printf(" %12s", "-");
        else printf(" %12.*f", contender->extra[x] < 10 && contender->extra[x] > 0 ? 2 : 0, contender->extra[x]);
    }
    printf("\n");
}

void rh_rounds_print(const rh_report *report)
{
    printf("%u interleaved rounds; %s; median [min..max]; ratios pair by pair within a round\n\n", report->rounds, report->unit);
    printf("%-13s %-28s%9s %-18s  %-22s  %-22s", "task", "who", "median", "", "x floor", "x ours");
    for (size_t x = 0; x < RH_EXTRAS && report->extra[x]; x++) printf(" %12s", report->extra[x]);
    printf("\n");
    for (size_t i = 0; i < report->count; i++) {
        if (i && strcmp(report->contenders[i].task, report->contenders[i - 1].task) != 0) printf("\n");
        print_row(report, i);
    }
}

/* -- the files ------------------------------------------------------------------------------- */

static FILE *open_in(const char *directory, const char *name, const char *ending, const char *mode)
{
    char path[4096];
    if ((size_t)snprintf(path, sizeof path, "%s/%s%s", directory, name, ending) >= sizeof path) return NULL;
    return fopen(path, mode);
}

static bool closed_whole(FILE *out)
{
    bool whole = !ferror(out);
    return fclose(out) == 0 && whole;
}

/* JSON has no NAN. */
static void json_number(FILE *out, const char *name, double value)
{
    if (isnan(value)) fprintf(out, ", \"%s\": null", name);
    else fprintf(out, ", \"%s\": %.6g", name, value);
}

static void json_spread(FILE *out, const char *name, rh_spread spread)
{
    char bound[64];
    json_number(out, name, spread.median);
    snprintf(bound, sizeof bound, "%s_min", name);
    json_number(out, bound, spread.min);
    snprintf(bound, sizeof bound, "%s_max", name);
    json_number(out, bound, spread.max);
}

static void json_text(FILE *out, const char *text)
{
    fputc('"', out);
    for (; *text; text++) {
        if (*text == '"' || *text == '\\') fputc('\\', out);
        if ((unsigned char)*text >= ' ') fputc(*text, out);
    }
    fputc('"', out);
}

static void json_machine(FILE *out, const char *directory)
{
    char        line[1024];
    const char *comma = "";
    FILE       *in    = open_in(directory, "machine", ".txt", "r");
    fprintf(out, "  \"machine\": [");
    while (in && fgets(line, sizeof line, in)) {
        fprintf(out, "%s\n    ", comma);
        json_text(out, line);
        comma = ",";
    }
    fprintf(out, "\n  ],\n");
    if (in) fclose(in);
}

static void json_contender(FILE *out, const rh_report *report, size_t i)
{
    const rh_contender *contender = &report->contenders[i];
    fprintf(out, "    { \"task\": ");
    json_text(out, contender->task);
    fprintf(out, ", \"who\": ");
    json_text(out, contender->name);
    if (contender->missing) {
        fprintf(out, ", \"missing\": ");
        json_text(out, contender->missing);
    } else {
        json_spread(out, "value", rh_rounds_spread(report, i));
        json_spread(out, "x_floor", ratio_to(report, i, contender->floor));
        json_spread(out, "x_ours", ratio_to(report, i, contender->ours));
        for (size_t x = 0; x < RH_EXTRAS && report->extra[x]; x++) json_number(out, report->extra[x], contender->extra[x]);
        fprintf(out, ", \"of_rounds\": [");
        for (unsigned r = 0; r < report->rounds; r++) fprintf(out, "%s%.6g", r ? ", " : "", contender->value[r]);
        fprintf(out, "]");
    }
    fprintf(out, " }%s\n", i + 1 < report->count ? "," : "");
}

static bool save_json(const rh_report *report, const char *directory)
{
    FILE *out = open_in(directory, report->name, ".json", "w");
    if (!out) return false;
    fprintf(out, "{\n  \"bench\": ");
    json_text(out, report->name);
    fprintf(out, ",\n  \"unit\": ");
    json_text(out, report->unit);
    fprintf(out, ",\n  \"rounds\": %u,\n", report->rounds);
    json_machine(out, directory);
    fprintf(out, "  \"results\": [\n");
    for (size_t i = 0; i < report->count; i++) json_contender(out, report, i);
    fprintf(out, "  ]\n}\n");
    return closed_whole(out);
}

static void csv_spread(FILE *out, rh_spread spread)
{
    const double values[] = { spread.median, spread.min, spread.max };
    for (size_t i = 0; i < 3; i++) {
        fputc(',', out);
        if (!isnan(values[i])) fprintf(out, "%.6g", values[i]);
    }
}

static bool save_csv(const rh_report *report, const char *directory)
{
    FILE *out = open_in(directory, report->name, ".csv", "w");
    if (!out) return false;
    fprintf(out, "task,who,unit,median,min,max,x_floor,x_floor_min,x_floor_max,x_ours,x_ours_min,x_ours_max");
    for (size_t x = 0; x < RH_EXTRAS && report->extra[x]; x++) fprintf(out, ",%s", report->extra[x]);
    fprintf(out, "\n");
    for (size_t i = 0; i < report->count; i++) {
        const rh_contender *contender = &report->contenders[i];
        fprintf(out, "\"%s\",\"%s\",%s", contender->task, contender->name, report->unit);
        csv_spread(out, rh_rounds_spread(report, i));
        csv_spread(out, ratio_to(report, i, contender->floor));
        csv_spread(out, ratio_to(report, i, contender->ours));
        for (size_t x = 0; x < RH_EXTRAS && report->extra[x]; x++) {
            fputc(',', out);
            if (!isnan(contender->extra[x])) fprintf(out, "%.6g", contender->extra[x]);
        }
        fputc('\n', out);
    }
    return closed_whole(out);
}

bool rh_rounds_save(const rh_report *report, const char *directory)
{
    bool json = save_json(report, directory);
    return save_csv(report, directory) && json;
}
