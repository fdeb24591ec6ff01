#include "cli/bench.h"
#include "cli/format.h"

#include <errno.h>
#include <math.h>
#include <string.h>
#include <unistd.h>

static const struct quantile {
    double      at;
    const char *name;
} quantiles[] = {
    { 0.50, "50" },   { 0.75, "75" },     { 0.90, "90" },       { 0.95, "95" },        { 0.99, "99" },
    { 0.995, "99.5" }, { 0.999, "99.9" }, { 0.9999, "99.99" }, { 0.99999, "99.999" },
};
enum { QUANTILES = sizeof quantiles / sizeof *quantiles };

/* Three digits, in the unit that suits them. */
static const char *duration(char text[16], double ns)
{
    const char *unit = ns < 1e6 ? "us" : ns < 1e9 ? "ms" : "s";
    double value = ns / (ns < 1e6 ? 1e3 : ns < 1e9 ? 1e6 : 1e9);
    if (ns < 1) return "0";
    snprintf(text, 16, "%.*f %s", value < 10 ? 2 : value < 100 ? 1 : 0, value, unit);
    return text;
}

static double seconds_of(const struct bench *bench) { return bench->to > bench->from ? (double)(bench->to - bench->from) / 1e9 : 0; }
static double per(double what, double of) { return of > 0 ? what / of : 0; }

/* -- progress --------------------------------------------------------------------------------------- */

static bool is_told;

static void tell_figures(const struct bench *bench, double seconds)
{
    char half[16] = "", tail[16] = "";
    fprintf(stderr, " %12.0f events/s %8.1f MB/s", (double)(bench->events - bench->told_events) / seconds,
            (double)(bench->bytes - bench->told_bytes) / seconds / 1e6);
    if (rh_histogram_tells(&bench->second, 0.5)) fprintf(stderr, "   p50 %s", duration(half, (double)rh_histogram_at(&bench->second, 0.5)));
    if (rh_histogram_tells(&bench->second, 0.99)) fprintf(stderr, "   p99 %s", duration(tail, (double)rh_histogram_at(&bench->second, 0.99)));
}

void rh_bench_tell(struct bench *bench, rh_time now)
{
    if (now < rh_time_after(bench->told, RH_SECONDS(1)) || bench->phase == BENCH_DONE || !isatty(STDERR_FILENO)) return;
    bool warming = bench->phase == BENCH_WARMING;
    fprintf(stderr, "\r\033[K%s %4.0f s", warming ? "warming up" : bench->opts->task->name,
            (double)(now - (warming ? bench->traffic_from : bench->from)) / 1e9);
    if (!warming) tell_figures(bench, (double)(now - bench->told) / 1e9);
    fflush(stderr);
    is_told = true;
    bench->told = now;
    bench->told_events = bench->events;
    bench->told_bytes = bench->bytes;
    memset(&bench->second, 0, sizeof bench->second);
}

void rh_bench_tell_no_more(void)
{
    if (is_told) fputs("\r\033[K", stderr);
    is_told = false;
}

/* -- the table ---------------------------------------------------------------------------------------- */

static const char *latency_of(const struct bench *bench)
{
    if (bench->opts->task == &rh_bench_receive) return "enqueued (the service's clock) to received (this clock), whole milliseconds";
    if (bench->opts->rate > 0) return "intended send to outcome, of each message";
    return "send to outcome, of each message";
}

/* As many rows as a look takes in, each a factor of the one before it; empty ones at the ends are left out. */
enum { BAR_ROWS = 16, BAR_WIDTH = 50 };

static uint64_t count_between(const struct histogram *histogram, double above, double up_to)
{
    uint64_t count = 0;
    for (size_t i = 0; i < HISTOGRAM_BUCKETS; i++) {
        double middle = ((double)rh_histogram_bottom(i) + (double)rh_histogram_top(i)) / 2;
        if (middle > above && middle <= up_to) count += histogram->buckets[i];
    }
    return count;
}

static void print_bars(const struct histogram *histogram)
{
    double low = (double)rh_histogram_at(histogram, 0) * 0.98 + 1, high = (double)histogram->max * 1.01 + 1;
    double factor = pow(high / low, 1.0 / BAR_ROWS);
    uint64_t counts[BAR_ROWS], most = 1;
    for (int i = 0; i < BAR_ROWS; i++) {
        counts[i] = count_between(histogram, i ? low * pow(factor, i) : -1, low * pow(factor, i + 1));
        if (counts[i] > most) most = counts[i];
    }
    putchar('\n');
    for (int i = 0; i < BAR_ROWS; i++) {
        static const char bar[BAR_WIDTH + 1] = "##################################################";
        char text[16];
        int width = (int)ceil((double)counts[i] * BAR_WIDTH / (double)most);
        printf("  to %9s %12llu  %.*s\n", duration(text, low * pow(factor, i + 1)), (unsigned long long)counts[i], width, bar);
    }
}

static void print_latency(const struct bench *bench)
{
    const struct histogram *latency = &bench->latency;
    char text[16];
    if (latency->count == 0) return;
    printf("\nlatency    %s\n", latency_of(bench));
    printf("  samples  %12llu\n  least    %12s\n", (unsigned long long)latency->count, duration(text, (double)latency->min));
    for (size_t i = 0; i < QUANTILES; i++) {
        if (!rh_histogram_tells(latency, quantiles[i].at)) continue;
        printf("  p%-7s %12s\n", quantiles[i].name, duration(text, (double)rh_histogram_at(latency, quantiles[i].at)));
    }
    printf("  most     %12s\n", duration(text, (double)latency->max));
    printf("  mean     %12s\n", duration(text, rh_histogram_mean(latency)));
    if (bench->behind) printf("  %llu came before they were enqueued, by the clocks, and count as 0\n", (unsigned long long)bench->behind);
    if (isatty(STDOUT_FILENO)) print_bars(latency);
}

/* Of all connections, since they were open. */
static uint64_t losses_of(const struct bench *bench)
{
    uint64_t losses = 0;
    for (uint64_t i = 0; i < bench->opts->connections; i++) losses += bench->connections[i].losses;
    return losses;
}

static double away_of(const struct bench *bench)
{
    double seconds = 0;
    for (uint64_t i = 0; i < bench->opts->connections; i++) seconds += (double)rh_cli_away(&bench->connections[i]) / 1e9;
    return seconds;
}

static void print_text(const struct bench *bench)
{
    const struct bench_opts *opts = bench->opts;
    bool sends = opts->task != &rh_bench_receive;
    double seconds = seconds_of(bench), cpu = bench->cpu_to - bench->cpu_from;
    printf("%-10s %s at %s, %llu connection%s, %s\n", opts->task->name, rh_client_hub(bench->connections[0].client),
           rh_client_host(bench->connections[0].client), (unsigned long long)opts->connections, opts->connections == 1 ? "" : "s",
           rh_loop_backend_name(bench->loop));
    printf("events     %llu %s in %.3f s", (unsigned long long)bench->events, sends ? "accepted" : "received", seconds);
    if (sends) printf(", in %llu messages", (unsigned long long)bench->messages);
    putchar('\n');
    printf("rate       %.0f events/s, %.2f MB/s of bodies", per((double)bench->events, seconds), per((double)bench->bytes, seconds) / 1e6);
    if (opts->rate > 0) printf("; asked for: %g events/s", opts->rate);
    putchar('\n');
    if (bench->refused) printf("refused    %llu events, the last with %s\n", (unsigned long long)bench->refused, rh_status_name(bench->refusal));
    if (losses_of(bench))
        printf("lost       %llu connection%s, away for %.3f s\n", (unsigned long long)losses_of(bench),
               losses_of(bench) == 1 ? "" : "s", away_of(bench));
    printf("CPU        %.3f s per million events (this process, user and system)\n", per(cpu * 1e6, (double)bench->events));
    print_latency(bench);
}

/* -- JSON ----------------------------------------------------------------------------------------------- */

static void print_json_latency(const struct bench *bench)
{
    const struct histogram *latency = &bench->latency;
    const char *comma = "";
    printf(",\"latency\":{\"of\":");
    rh_format_json(stdout, latency_of(bench));
    printf(",\"unit\":\"ns\",\"samples\":%llu,\"min\":%llu,\"max\":%llu,\"mean\":%.1f,\"standard_deviation\":%.1f,\"percentiles\":{",
           (unsigned long long)latency->count, (unsigned long long)latency->min, (unsigned long long)latency->max,
           rh_histogram_mean(latency), rh_histogram_deviation(latency));
    for (size_t i = 0; i < QUANTILES; i++) {
        if (!rh_histogram_tells(latency, quantiles[i].at)) continue;
        printf("%s\"%s\":%llu", comma, quantiles[i].name, (unsigned long long)rh_histogram_at(latency, quantiles[i].at));
        comma = ",";
    }
    printf("},\"buckets\":[");
    comma = "";
    for (size_t i = 0; i < HISTOGRAM_BUCKETS; i++) {
        if (latency->buckets[i] == 0) continue;
        printf("%s{\"from\":%llu,\"to\":%llu,\"count\":%llu}", comma, (unsigned long long)rh_histogram_bottom(i),
               (unsigned long long)rh_histogram_top(i), (unsigned long long)latency->buckets[i]);
        comma = ",";
    }
    printf("]}");
}

static void print_json(const struct bench *bench)
{
    const struct bench_opts *opts = bench->opts;
    double seconds = seconds_of(bench), cpu = bench->cpu_to - bench->cpu_from;
    printf("{\"task\":\"%s\",\"hub\":", opts->task->name);
    rh_format_json(stdout, rh_client_hub(bench->connections[0].client));
    printf(",\"host\":");
    rh_format_json(stdout, rh_client_host(bench->connections[0].client));
    printf(",\"connections\":%llu,\"backend\":\"%s\"", (unsigned long long)opts->connections, rh_loop_backend_name(bench->loop));
    if (opts->task != &rh_bench_receive) printf(",\"size\":%llu,\"in_flight\":%llu", (unsigned long long)opts->size, (unsigned long long)opts->in_flight);
    if (opts->rate > 0) printf(",\"rate\":%g", opts->rate);
    printf(",\"seconds\":%.6f,\"events\":%llu,\"messages\":%llu,\"bytes\":%llu,\"refused\":%llu", seconds, (unsigned long long)bench->events,
           (unsigned long long)bench->messages, (unsigned long long)bench->bytes, (unsigned long long)bench->refused);
    printf(",\"losses\":%llu,\"seconds_away\":%.6f", (unsigned long long)losses_of(bench), away_of(bench));
    printf(",\"events_per_second\":%.3f,\"megabytes_per_second\":%.6f", per((double)bench->events, seconds), per((double)bench->bytes, seconds) / 1e6);
    printf(",\"cpu_seconds\":%.6f,\"cpu_seconds_per_million_events\":%.6f", cpu, per(cpu * 1e6, (double)bench->events));
    if (bench->latency.count) print_json_latency(bench);
    puts("}");
}

int rh_bench_report(const struct bench *bench)
{
    const char *path = bench->opts->histogram_file;
    if (bench->opts->json) print_json(bench);
    else print_text(bench);
    if (!path) return DONE;
    FILE *file = fopen(path, "w");
    if (file) rh_histogram_write(&bench->latency, file);
    bool whole = file && !ferror(file);
    if (file && fclose(file) == 0 && whole) return DONE;
    return rh_command_failed(&rh_command_bench, "%s: RH_E_IO: %s", path, strerror(errno));
}
