#include "tests/sim/trace.h"

#include <stdarg.h>
#include <xxhash.h>

void sim_tell_bytes(sim_trace *trace, const void *bytes, size_t n)
{
    trace->hash = XXH3_64bits_withSeed(bytes, n, trace->hash);
}

static void print(const sim_trace *trace, rh_time now, const char *line)
{
    rh_time at = now - trace->origin;
    if (!trace->out || (trace->until && trace->lines > trace->until)) return;
    fprintf(trace->out, "%6llu %4llu.%06llu  %s\n", (unsigned long long)trace->lines, (unsigned long long)(at / RH_SECONDS(1)),
            (unsigned long long)(at % RH_SECONDS(1) / 1000), line);
}

void sim_tell(sim_trace *trace, rh_time now, const char *format, ...)
{
    char    line[1024];
    va_list list;
    va_start(list, format);
    int n = vsnprintf(line, sizeof line, format, list);
    va_end(list);
    size_t kept = n < 0 ? 0 : (size_t)n < sizeof line ? (size_t)n : sizeof line - 1;
    trace->lines++;
    sim_tell_bytes(trace, &now, sizeof now);
    sim_tell_bytes(trace, line, kept);
    print(trace, now, line);
}
