#include "bench/lines.h"

#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define COMMAND_SECONDS 60
#define LINE_MAX_BYTES  8192

static char words[512];

static uint64_t nanoseconds(clockid_t clock)
{
    struct timespec at;
    clock_gettime(clock, &at);
    return (uint64_t)at.tv_sec * 1000000000 + (uint64_t)at.tv_nsec;
}

uint64_t rh_lines_now(void) { return nanoseconds(CLOCK_MONOTONIC); }
uint64_t rh_lines_cpu(void) { return nanoseconds(CLOCK_PROCESS_CPUTIME_ID); }

static const char *answer(const char *verb, const char *format, va_list list)
{
    char text[sizeof words - 16];
    vsnprintf(text, sizeof text, format, list);
    text[strcspn(text, "\r\n")] = '\0';
    snprintf(words, sizeof words, "%s %s", verb, text);
    return words;
}

const char *rh_lines_cannot(const char *format, ...)
{
    va_list list;
    va_start(list, format);
    const char *said = answer("cannot", format, list);
    va_end(list);
    return said;
}

const char *rh_lines_failed(const char *format, ...)
{
    va_list list;
    va_start(list, format);
    const char *said = answer("failed", format, list);
    va_end(list);
    return said;
}

void rh_lines_setting(const char *format, ...)
{
    va_list list;
    va_start(list, format);
    fputs("setting ", stdout);
    vprintf(format, list);
    putchar('\n');
    va_end(list);
}

/* -- lines ----------------------------------------------------------------------------------- */

static void too_late(int signal)
{
    static const char said[] = "failed no answer within 60 seconds\n";
    (void)signal;
    (void)!write(STDOUT_FILENO, said, sizeof said - 1);
    _exit(1);
}

/* The next line without its end; NULL when there are no more. stdin is read by hand, so that what poll() says about it
 * is the whole truth while no line is kept here. */
static char *next_line(const rh_lines *lines, bool is_open)
{
    static char   kept[LINE_MAX_BYTES + 1];
    static size_t n, used;
    memmove(kept, kept + used, n - used);
    n -= used;
    used = 0;
    for (;;) {
        char *end = memchr(kept, '\n', n);
        if (end) {
            *end = '\0';
            used = (size_t)(end - kept) + 1;
            return kept;
        }
        if (n == LINE_MAX_BYTES) return NULL;
        if (is_open && lines->wait) lines->wait();
        ssize_t got = read(STDIN_FILENO, kept + n, LINE_MAX_BYTES - n);
        if (got <= 0) return NULL;
        n += (size_t)got;
    }
}

static bool is_key(const char *word)
{
    size_t n = strspn(word, "abcdefghijklmnopqrstuvwxyz_");
    return n > 0 && word[n] == '=';
}

/* The value of a key, into text; empty if it is not there. It ends where the next key begins. False: it does not fit. */
static bool value_of(const char *line, const char *key, char *text, size_t room)
{
    size_t n = strlen(key);
    text[0] = '\0';
    for (const char *word = strchr(line, ' '); word; word = strchr(word, ' ')) {
        word++;
        if (strncmp(word, key, n) != 0 || word[n] != '=') continue;
        const char *value = word + n + 1, *end = value + strcspn(value, " ");
        while (*end && !is_key(end + 1)) end += 1 + strcspn(end + 1, " ");
        if ((size_t)(end - value) >= room) return false;
        memcpy(text, value, (size_t)(end - value));
        text[end - value] = '\0';
        return true;
    }
    return true;
}

static double number_of(const char *line, const char *key, double otherwise)
{
    char text[32];
    if (!value_of(line, key, text, sizeof text) || text[0] == '\0') return otherwise;
    return strtod(text, NULL);
}

/* -- commands -------------------------------------------------------------------------------- */

static const char *do_open(const rh_lines *lines, const char *line)
{
    rh_order order = {
        .tls     = number_of(line, "tls", 0) != 0,
        .size    = (size_t)number_of(line, "size", 1024),
        .settled = number_of(line, "settled", 0) != 0,
        .batch   = (uint32_t)number_of(line, "batch", 1),
        .events  = (uint64_t)number_of(line, "events", 0),
        .rate    = number_of(line, "rate", 0),
    };
    bool fits = value_of(line, "task", order.task, sizeof order.task) && value_of(line, "host", order.host, sizeof order.host) &&
                value_of(line, "port", order.port, sizeof order.port) && value_of(line, "ca", order.ca, sizeof order.ca) &&
                value_of(line, "address", order.address, sizeof order.address);
    if (!fits) return rh_lines_failed("a value is too long");
    if (order.batch == 0) order.batch = 1;
    return lines->open(&order);
}

static bool write_samples(const char *file, const rh_turn *turn)
{
    FILE *to = fopen(file, "wb");
    if (!to) return false;
    bool written = fwrite(turn->samples, sizeof *turn->samples, turn->events, to) == turn->events;
    return fclose(to) == 0 && written;
}

static const char *do_run(const rh_lines *lines, const char *line)
{
    static char file[LINE_MAX_BYTES];
    rh_turn     turn = { .events = (uint64_t)number_of(line, "events", 0) };
    value_of(line, "samples", file, sizeof file);
    if (file[0] && turn.events) {
        turn.samples = malloc(turn.events * sizeof *turn.samples);
        if (!turn.samples) return rh_lines_failed("no memory for the samples");
        memset(turn.samples, 0, turn.events * sizeof *turn.samples); /* touched now, not while the clock runs */
    }
    uint64_t    cpu = rh_lines_cpu(), since = rh_lines_now();
    const char *said = lines->run(&turn);
    uint64_t    ns = rh_lines_now() - since, cpu_ns = rh_lines_cpu() - cpu;
    if (!said && turn.samples && !write_samples(file, &turn)) said = rh_lines_failed("cannot write %s", file);
    free(turn.samples);
    if (said) return said;
    snprintf(words, sizeof words, "done events=%llu ns=%llu cpu_ns=%llu bytes=%llu", (unsigned long long)turn.events,
             (unsigned long long)ns, (unsigned long long)cpu_ns, (unsigned long long)turn.bytes);
    return words;
}

static bool is_command(const char *line, const char *command)
{
    size_t n = strlen(command);
    return strncmp(line, command, n) == 0 && (line[n] == '\0' || line[n] == ' ');
}

static const char *serve(const rh_lines *lines, const char *line, bool *is_open)
{
    if (is_command(line, "open")) {
        if (*is_open) return rh_lines_failed("close comes first");
        const char *said = do_open(lines, line);
        *is_open = !said;
        return said ? said : "opened";
    }
    if (is_command(line, "run")) return *is_open ? do_run(lines, line) : rh_lines_failed("nothing is open");
    if (!is_command(line, "close")) return rh_lines_failed("what is meant by: %.60s", line);
    if (*is_open) lines->close();
    *is_open = false;
    return "closed";
}

static void say(const char *line)
{
    puts(line);
    fflush(stdout);
}

int rh_lines_serve(const rh_lines *lines)
{
    signal(SIGPIPE, SIG_IGN);
    signal(SIGALRM, too_late);
    printf("contender name=%s version=%s tasks=%s\n", lines->name, lines->version, lines->tasks);
    for (const char *const *setting = lines->settings; setting && *setting; setting++) printf("setting %s\n", *setting);
    say("ready");
    bool        is_open = false;
    const char *line;
    while ((line = next_line(lines, is_open)) && !is_command(line, "quit")) {
        alarm(COMMAND_SECONDS);
        say(serve(lines, line, &is_open));
        alarm(0);
    }
    if (is_open) lines->close();
    return 0;
}
