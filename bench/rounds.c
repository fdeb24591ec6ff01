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

/* A failed measurement fails that round for all its values. */
static void measure(rh_contender *contender, unsigned round)
{
    contender->value[round] = contender->missing ? NAN : contender->measure(contender->user);
    for (unsigned i = 0; i < RH_ALSO; i++) {
        bool shown = contender->also && !contender->missing && !isnan(contender->value[round]);
        contender->also_value[i][round] = shown ? contender->also[i] : NAN;
    }
}

void rh_rounds_run(rh_report *report)
{
    for (size_t i = 0; i < report->count; i++) measure(&report->contenders[i], 0);
    for (unsigned round = 0; round < report->rounds; round++) {
        for (size_t i = 0; i < report->count; i++) measure(&report->contenders[i], round);
    }
}

/* -- medians and ratios ---------------------------------------------------------------------- */

/* The values of one measurement: the report's unit, or the also-th of the others. */
#define UNIT (-1)

static const double *values_of(const rh_report *report, int also, size_t contender)
{
    const rh_contender *of = &report->contenders[contender];
    return also == UNIT ? of->value : of->also_value[also];
}

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Rounds that failed do not count. */
static rh_spread spread_of(const double *values, const double *divisors, unsigned count)
{
    double   kept[RH_ROUNDS_MAX];
    unsigned used = 0;
    for (unsigned i = 0; i < count; i++) {
        double value = divisors ? values[i] / divisors[i] : values[i];
        if (!isnan(value)) kept[used++] = value;
    }
    if (used == 0) return (rh_spread){ NAN, NAN, NAN };
    qsort(kept, used, sizeof *kept, ascending);
    return (rh_spread){ kept[used / 2], kept[0], kept[used - 1] };
}

static rh_spread spread(const rh_report *report, int also, size_t contender)
{
    return spread_of(values_of(report, also, contender), NULL, report->rounds);
}

/* The ratio to a contender that may be nobody, or missing. */
static rh_spread ratio(const rh_report *report, int also, size_t a, size_t b)
{
    if (b == RH_NO_CONTENDER || report->contenders[a].missing || report->contenders[b].missing) {
        return (rh_spread){ NAN, NAN, NAN };
    }
    return spread_of(values_of(report, also, a), values_of(report, also, b), report->rounds);
}

rh_spread rh_rounds_spread(const rh_report *report, size_t contender) { return spread(report, UNIT, contender); }
rh_spread rh_rounds_ratio(const rh_report *report, size_t a, size_t b) { return ratio(report, UNIT, a, b); }

rh_spread rh_rounds_also_spread(const rh_report *report, unsigned also, size_t contender)
{
    return spread(report, (int)also, contender);
}

rh_spread rh_rounds_also_ratio(const rh_report *report, unsigned also, size_t a, size_t b)
{
    return ratio(report, (int)also, a, b);
}

/* -- the table ------------------------------------------------------------------------------- */

static int width_of_tasks(const rh_report *report)
{
    size_t most = 13;
    for (size_t i = 0; i < report->count; i++) {
        if (strlen(report->contenders[i].task) > most) most = strlen(report->contenders[i].task);
    }
    return (int)most;
}

/* Three digits that say something, whatever the unit. */
static int digits_of(double value) { return value >= 100 || value == 0 ? 1 : value >= 1 ? 2 : value >= 0.1 ? 3 : 4; }

static void print_ratio(rh_spread of)
{
    char text[48] = "-";
    if (!isnan(of.median)) snprintf(text, sizeof text, "%.2f [%.2f..%.2f]", of.median, of.min, of.max);
    printf("  %-22s", text);
}

static void print_extras(const rh_report *report, const rh_contender *contender)
{
    for (size_t x = 0; x < RH_EXTRAS && report->extra[x]; x++) {
        int width = (int)strlen(report->extra[x]) > 12 ? (int)strlen(report->extra[x]) : 12;
        double value = contender->extra[x];
        if (isnan(value)) printf(" %*s", width, "-");
        else printf(" %*.*f", width, value >= 10 || value == 0 ? 0 : value >= 0.1 ? 2 : 4, value);
    }
}

static void print_row(const rh_report *report, int also, size_t i)
{
    const rh_contender *contender = &report->contenders[i];
    printf("%-*s %-28s", width_of_tasks(report), contender->task, contender->name);
    if (contender->missing) {
        printf("  missing: %s\n", contender->missing);
        return;
    }
    rh_spread of     = spread(report, also, i);
    int       digits = digits_of(of.median);
    char      median[32] = "-", range[64] = "";
    if (!isnan(of.median)) {
        snprintf(median, sizeof median, "%.*f", digits, of.median);
        snprintf(range, sizeof range, "[%.*f..%.*f]", digits, of.min, digits, of.max);
    }
    printf("%11s %-24s", median, range);
    print_ratio(ratio(report, also, i, contender->floor));
    print_ratio(ratio(report, also, i, contender->ours));
    if (also == UNIT) print_extras(report, contender);
    printf("\n");
}

static void print_table(const rh_report *report, int also)
{
    printf("\n%-*s %-28s%11s %-24s  %-22s  %-22s", width_of_tasks(report), "task", "who", also == UNIT ? report->unit : report->also[also],
           "", "x floor", "x ours");
    for (size_t x = 0; also == UNIT && x < RH_EXTRAS && report->extra[x]; x++) printf(" %12s", report->extra[x]);
    printf("\n");
    for (size_t i = 0; i < report->count; i++) {
        if (i && strcmp(report->contenders[i].task, report->contenders[i - 1].task) != 0) printf("\n");
        print_row(report, also, i);
    }
}

void rh_rounds_print(const rh_report *report)
{
    printf("%u interleaved rounds; %s; median [min..max]; ratios pair by pair within a round\n", report->rounds, report->unit);
    print_table(report, UNIT);
    for (int also = 0; also < RH_ALSO && report->also[also]; also++) print_table(report, also);
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

static void json_spread(FILE *out, const char *name, rh_spread of)
{
    char bound[80];
    json_number(out, name, of.median);
    snprintf(bound, sizeof bound, "%s_min", name);
    json_number(out, bound, of.min);
    snprintf(bound, sizeof bound, "%s_max", name);
    json_number(out, bound, of.max);
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

static void json_also(FILE *out, const rh_report *report, size_t i)
{
    const rh_contender *contender = &report->contenders[i];
    for (int also = 0; also < RH_ALSO && report->also[also]; also++) {
        char name[64];
        json_spread(out, report->also[also], spread(report, also, i));
        snprintf(name, sizeof name, "%s_x_floor", report->also[also]);
        json_spread(out, name, ratio(report, also, i, contender->floor));
        snprintf(name, sizeof name, "%s_x_ours", report->also[also]);
        json_spread(out, name, ratio(report, also, i, contender->ours));
    }
}

static void json_told(FILE *out, const rh_contender *contender)
{
    if (contender->version) {
        fprintf(out, ", \"version\": ");
        json_text(out, contender->version);
    }
    if (!contender->settings) return;
    fprintf(out, ", \"settings\": [");
    for (const char *const *setting = contender->settings; *setting; setting++) {
        fprintf(out, "%s", setting == contender->settings ? "" : ", ");
        json_text(out, *setting);
    }
    fprintf(out, "]");
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
        json_told(out, contender);
        json_spread(out, "value", spread(report, UNIT, i));
        json_spread(out, "x_floor", ratio(report, UNIT, i, contender->floor));
        json_spread(out, "x_ours", ratio(report, UNIT, i, contender->ours));
        json_also(out, report, i);
        for (size_t x = 0; x < RH_EXTRAS && report->extra[x]; x++) json_number(out, report->extra[x], contender->extra[x]);
        fprintf(out, ", \"of_rounds\": [");
        for (unsigned r = 0; r < report->rounds; r++) {
            if (isnan(contender->value[r])) fprintf(out, "%snull", r ? ", " : "");
            else fprintf(out, "%s%.6g", r ? ", " : "", contender->value[r]);
        }
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

static void csv_spread(FILE *out, rh_spread of)
{
    const double values[] = { of.median, of.min, of.max };
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
    for (size_t a = 0; a < RH_ALSO && report->also[a]; a++) {
        fprintf(out, ",%s,%s_min,%s_max", report->also[a], report->also[a], report->also[a]);
    }
    for (size_t x = 0; x < RH_EXTRAS && report->extra[x]; x++) fprintf(out, ",%s", report->extra[x]);
    fprintf(out, "\n");
    for (size_t i = 0; i < report->count; i++) {
        const rh_contender *contender = &report->contenders[i];
        fprintf(out, "\"%s\",\"%s\",%s", contender->task, contender->name, report->unit);
        csv_spread(out, spread(report, UNIT, i));
        csv_spread(out, ratio(report, UNIT, i, contender->floor));
        csv_spread(out, ratio(report, UNIT, i, contender->ours));
        for (int also = 0; also < RH_ALSO && report->also[also]; also++) csv_spread(out, spread(report, also, i));
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
