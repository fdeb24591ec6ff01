#include "bench/footprint.h"

#include "bench/heap.h"

#include <dirent.h>
#include <math.h>
#include <stdio.h>

/* The number behind a key of a file of /proc; NAN: there is none. */
static double number_in(const char *path, const char *key)
{
    char   line[256];
    double number = NAN;
    FILE  *file   = fopen(path, "r");
    if (!file) return NAN;
    while (isnan(number) && fgets(line, sizeof line, file))
        if (strncmp(line, key, strlen(key)) == 0) (void)sscanf(line + strlen(key), ": %lf", &number);
    fclose(file);
    return number;
}

static double wakes_of(pid_t pid)
{
    char           path[64];
    double         sum = NAN;
    struct dirent *entry;
    snprintf(path, sizeof path, "/proc/%d/task", (int)pid);
    DIR *threads = opendir(path);
    while (threads && (entry = readdir(threads))) {
        char status[400];
        if (entry->d_name[0] == '.') continue;
        snprintf(status, sizeof status, "/proc/%d/task/%s/status", (int)pid, entry->d_name);
        double own = number_in(status, "voluntary_ctxt_switches");
        if (!isnan(own)) sum = isnan(sum) ? own : sum + own;
    }
    if (threads) closedir(threads);
    return sum;
}

rh_footprint rh_footprint_of(pid_t pid, int heap_fd)
{
    char    path[64];
    rh_heap heap;
    snprintf(path, sizeof path, "/proc/%d/smaps_rollup", (int)pid);
    return (rh_footprint){
        .heap  = heap_fd >= 0 && rh_heap_read(heap_fd, &heap) ? (double)heap.live : NAN,
        .pages = number_in(path, "Private_Dirty") * 1024,
        .wakes = wakes_of(pid),
    };
}
