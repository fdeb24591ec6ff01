/* A target under random changes of its inputs, with no guidance: nobody looks which edges an input takes, so that several
 * times as many run in a second, on any compiler. For a corpus that guided campaigns have filled, to be shaken.
 *
 *   storm [-t SECONDS] [-l BYTES] [-s SEED] [-o FILE] FOLDER ...
 *
 * -l: the longest input; -o: where an input that is a finding goes, or one that takes longer than ten seconds. */
#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include "fuzz/kit/chance.h"
#include "fuzz/kit/mutator.h"

enum { INPUTS_MAX = 1 << 17, LONGEST = 1 << 16, HANGS_AFTER = 2, TICK_S = 5, IN_A_ROW = 4096 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Not every target has an idea of its inputs. */
#pragma weak LLVMFuzzerCustomMutator
#pragma weak LLVMFuzzerCustomCrossOver
void __sanitizer_set_death_callback(void (*callback)(void)) __attribute__((weak));

typedef struct input {
    uint8_t *bytes;
    size_t   n;
} input;

static input         inputs[INPUTS_MAX];
static size_t        input_count;
static kit_chance    chance;
static uint8_t       changed[LONGEST], crossed[LONGEST];
static const uint8_t *under_way;
static size_t        under_way_n;
static const char   *finding = "finding";
static volatile uint64_t runs, runs_at_tick;
static volatile int  ticks;

/* -- plain changes, as of every fuzzer ----------------------------------------------------------- */

static size_t insert_bytes(uint8_t *data, size_t size, size_t max)
{
    size_t n = 1 + kit_below(&chance, 8), at = kit_below(&chance, (uint32_t)size + 1);
    if (n > max - size) n = max - size;
    memmove(data + at + n, data + at, size - at);
    memset(data + at, (int)kit_random(&chance), n);
    return size + n;
}

static size_t drop_bytes(uint8_t *data, size_t size)
{
    size_t at = kit_below(&chance, (uint32_t)size), n = 1 + kit_below(&chance, 8);
    if (n > size - at) n = size - at;
    memmove(data + at, data + at + n, size - at - n);
    return size - n;
}

static void copy_bytes(uint8_t *data, size_t size)
{
    size_t from = kit_below(&chance, (uint32_t)size), to = kit_below(&chance, (uint32_t)size), n = 1 + kit_below(&chance, 16);
    size_t most = size - (from > to ? from : to);
    memmove(data + to, data + from, n < most ? n : most);
}

/* A number at its edges, or a little beside what was there. */
static void set_number(uint8_t *data, size_t size)
{
    static const uint32_t edges[] = { 0, 1, 0x7f, 0x80, 0xff, 0x100, 0xffff, 0x7fffffff, 0x80000000, 0xfffffffe, 0xffffffff };
    size_t                width   = kit_one_in(&chance, 2) ? 1 : 4, at;
    uint32_t              value   = edges[kit_below(&chance, sizeof edges / sizeof *edges)];
    if (size < width) return;
    at = kit_below(&chance, (uint32_t)(size - width + 1));
    if (kit_one_in(&chance, 2)) value = data[at + width - 1] + kit_below(&chance, 9) - 4;
    for (size_t i = 0; i < width; i++) data[at + i] = (uint8_t)(value >> 8 * (width - 1 - i));
}

size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t max)
{
    if (size == 0) return max ? insert_bytes(data, size, max) : 0;
    switch (kit_below(&chance, 6)) {
    case 0: data[kit_below(&chance, (uint32_t)size)] ^= (uint8_t)(1u << kit_below(&chance, 8)); break;
    case 1: data[kit_below(&chance, (uint32_t)size)] = (uint8_t)kit_random(&chance); break;
    case 2: return insert_bytes(data, size, max);
    case 3: return drop_bytes(data, size);
    case 4: copy_bytes(data, size); break;
    default: set_number(data, size); break;
    }
    return size;
}

/* -- inputs -------------------------------------------------------------------------------------- */

static void keep_file(const char *path, size_t size)
{
    FILE    *file  = fopen(path, "rb");
    uint8_t *bytes = malloc(size + 1);
    if (file && bytes && fread(bytes, 1, size, file) == size) inputs[input_count++] = (input){ bytes, size };
    else free(bytes);
    if (file) fclose(file);
}

static void keep_folder(const char *path, size_t longest)
{
    DIR           *folder = opendir(path);
    struct dirent *entry;
    struct stat    info;
    char           inner[PATH_MAX];
    while (folder && (entry = readdir(folder)) && input_count < INPUTS_MAX) {
        (void)snprintf(inner, sizeof inner, "%s/%s", path, entry->d_name);
        if (stat(inner, &info) == 0 && S_ISREG(info.st_mode) && (size_t)info.st_size <= longest) keep_file(inner, (size_t)info.st_size);
    }
    if (folder) closedir(folder);
}

static const input *any(void)
{
    return &inputs[kit_below(&chance, (uint32_t)input_count)];
}

static size_t change(size_t longest)
{
    const input *from = any();
    size_t       n    = from->n;
    memcpy(changed, from->bytes, n);
    if (LLVMFuzzerCustomCrossOver && kit_one_in(&chance, 8)) {
        const input *mate = any();
        n = LLVMFuzzerCustomCrossOver(from->bytes, from->n, mate->bytes, mate->n, crossed, longest, kit_random(&chance));
        memcpy(changed, crossed, n);
    }
    for (uint32_t i = 0, times = 1 + kit_below(&chance, 4); i < times; i++)
        n = LLVMFuzzerCustomMutator ? LLVMFuzzerCustomMutator(changed, n, longest, kit_random(&chance)) : LLVMFuzzerMutate(changed, n, longest);
    return n;
}

/* -- findings ------------------------------------------------------------------------------------ */

static void write_down(void)
{
    int fd = open(finding, O_WRONLY | O_CREAT | O_TRUNC, 0644);
    if (fd < 0) return;
    if (write(fd, under_way, under_way_n) != (ssize_t)under_way_n) _exit(3);
    close(fd);
}

static void on_signal(int number)
{
    write_down();
    (void)signal(number, SIG_DFL);
    (void)raise(number);
}

static void on_tick(int number)
{
    (void)number;
    ticks        = runs == runs_at_tick ? ticks + 1 : 0;
    runs_at_tick = runs;
    if (ticks < HANGS_AFTER) return;
    write_down();
    _exit(4);
}

static void listen(void)
{
    static const int ends[] = { SIGABRT, SIGSEGV, SIGBUS, SIGFPE, SIGILL };
    struct itimerval every  = { { TICK_S, 0 }, { TICK_S, 0 } };
    if (__sanitizer_set_death_callback) __sanitizer_set_death_callback(write_down);
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++) {
        if (__sanitizer_set_death_callback && i > 0) break; /* what is left is the sanitizer's to explain */
        (void)signal(ends[i], on_signal);
    }
    (void)signal(SIGALRM, on_tick);
    (void)setitimer(ITIMER_REAL, &every, NULL);
}

/* In memory of its own size: a byte read beyond it is found by a sanitizer. */
static void run(size_t longest)
{
    size_t   n     = change(longest);
    uint8_t *exact = malloc(n ? n : 1);
    if (exact == NULL) abort();
    memcpy(exact, changed, n);
    under_way   = exact;
    under_way_n = n;
    LLVMFuzzerTestOneInput(exact, n);
    free(exact);
    runs++;
}

static double seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

int main(int argc, char **argv)
{
    double   time    = 60;
    size_t   longest = 512;
    uint64_t seed    = 1;
    for (int c; (c = getopt(argc, argv, "t:l:s:o:")) != -1;) switch (c) {
        case 't': time = strtod(optarg, NULL); break;
        case 'l': longest = strtoul(optarg, NULL, 0); break;
        case 's': seed = strtoull(optarg, NULL, 0); break;
        case 'o': finding = optarg; break;
        default: return 2;
        }
    if (longest == 0 || longest > LONGEST) return fprintf(stderr, "storm: inputs of 1 to %d bytes\n", LONGEST), 2;
    for (int i = optind; i < argc; i++) keep_folder(argv[i], longest);
    if (input_count == 0) return fprintf(stderr, "storm: no input of at most %zu bytes\n", longest), 2;
    chance = kit_chance_of(seed);
    listen();
    double begin = seconds(), now;
    do {
        for (int i = 0; i < IN_A_ROW; i++) run(longest);
        now = seconds();
    } while (now - begin < time);
    printf("%llu executions of changes to %zu inputs in %.0f s: %.0f a second\n", (unsigned long long)runs, input_count, now - begin, (double)runs / (now - begin));
    for (size_t i = 0; i < input_count; i++) free(inputs[i].bytes);
    return 0;
}
