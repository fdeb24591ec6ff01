#include "tests/soak/service.h"

#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

extern char **environ;

static bool read_port(int fd, uint16_t *port)
{
    char          text[512];
    size_t        n       = 0;
    struct pollfd waiting = { .fd = fd, .events = POLLIN };
    while (n < sizeof text - 1 && poll(&waiting, 1, 10000) == 1) {
        ssize_t some = read(fd, text + n, sizeof text - 1 - n);
        if (some <= 0) return false;
        n += (size_t)some;
        text[n]           = 0;
        const char *found = strstr(text, "listening amqps ");
        if (!found || !strchr(found, '\n')) continue;
        const char *colon = strrchr(found, ':');
        *port             = (uint16_t)(colon ? strtoul(colon + 1, NULL, 10) : 0);
        return *port != 0;
    }
    return false;
}

/* Standard output goes to out. */
static bool spawn(soak_service *service, char *const *argv, int out)
{
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, out, STDOUT_FILENO);
    posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, service->told, O_WRONLY | O_CREAT | O_APPEND, 0644);
    bool is_started = posix_spawn(&service->pid, argv[0], &actions, NULL, argv, environ) == 0;
    posix_spawn_file_actions_destroy(&actions);
    return is_started;
}

bool soak_service_start(soak_service *service, char *const *argv, const char *told)
{
    int ends[2];
    memset(service, 0, sizeof *service);
    snprintf(service->told, sizeof service->told, "%s", told);
    unlink(told);
    if (pipe2(ends, O_CLOEXEC) != 0) return false;
    bool is_started = spawn(service, argv, ends[1]);
    close(ends[1]);
    bool listens = is_started && read_port(ends[0], &service->port);
    close(ends[0]);
    if (is_started && !listens) soak_service_stop(service);
    return listens;
}

bool soak_service_restart(soak_service *service, char *const *argv)
{
    int nowhere = open("/dev/null", O_WRONLY | O_CLOEXEC);
    kill(service->pid, SIGKILL);
    waitpid(service->pid, NULL, 0);
    bool is_started = nowhere >= 0 && spawn(service, argv, nowhere);
    if (nowhere >= 0) close(nowhere);
    return is_started;
}

bool soak_service_lives(const soak_service *service)
{
    return waitpid(service->pid, NULL, WNOHANG) == 0;
}

int soak_service_stop(soak_service *service)
{
    int status = 0;
    if (service->pid <= 0) return -1;
    kill(service->pid, SIGTERM);
    for (int i = 0; i < 2000; i++) {
        if (waitpid(service->pid, &status, WNOHANG) != 0) return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
        nanosleep(&(struct timespec){ .tv_nsec = 10000000 }, NULL);
    }
    kill(service->pid, SIGKILL);
    waitpid(service->pid, &status, 0);
    return -1;
}

/* -- what it did ------------------------------------------------------------------------------ */

soak_rows soak_service_rows(const soak_service *service)
{
    return (soak_rows){ .file = fopen(service->told, "re") };
}

/* "fault: line 3: detach with amqp:internal-error, CLIENT on PATH" */
bool soak_rows_next(soak_rows *rows, soak_row *out)
{
    char line[800];
    while (rows->file && fgets(line, sizeof line, rows->file)) {
        char with[8];
        memset(out, 0, sizeof *out);
        if (sscanf(line, "fault: line %*u: %15[a-z] %7s %63[^, ]", out->fault, with, out->condition) == 3 && strcmp(with, "with") == 0) return true;
        out->condition[0] = 0;
        if (sscanf(line, "fault: line %*u: %15[a-z]", out->fault) == 1) return true;
    }
    if (rows->file) fclose(rows->file);
    rows->file = NULL;
    return false;
}

/* -- what processes hold ---------------------------------------------------------------------- */

uint64_t soak_memory(pid_t pid)
{
    char          name[64];
    unsigned long pages = 0;
    snprintf(name, sizeof name, "/proc/%d/statm", (int)pid);
    FILE *file = fopen(name, "re");
    if (!file) return 0;
    if (fscanf(file, "%*u %lu", &pages) != 1) pages = 0;
    fclose(file);
    return (uint64_t)pages * (uint64_t)sysconf(_SC_PAGESIZE);
}

unsigned soak_descriptors(pid_t pid)
{
    char     name[64];
    unsigned count = 0;
    snprintf(name, sizeof name, "/proc/%d/fd", (int)pid);
    DIR *folder = opendir(name);
    if (!folder) return 0;
    for (const struct dirent *entry; (entry = readdir(folder));) count += entry->d_name[0] != '.';
    closedir(folder);
    return pid == getpid() ? count - 1 : count; /* the folder's own */
}

void soak_slope_add(soak_slope *slope, double x, uint64_t y)
{
    if (slope->n == 0) slope->first = y;
    slope->last = y;
    if (y > slope->most) slope->most = y;
    slope->n += 1;
    slope->x += x;
    slope->y += (double)y;
    slope->xx += x * x;
    slope->xy += x * (double)y;
}

double soak_slope_of(const soak_slope *slope)
{
    double below = slope->n * slope->xx - slope->x * slope->x;
    return below > 0 ? (slope->n * slope->xy - slope->x * slope->y) / below : 0;
}
