#include "bench/contender.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define ARGUMENTS_MAX 64
#define START_MS      30000 /* an interpreter that loads an SDK on a busy machine needs seconds */
#define ANSWER_MS     65000 /* a contender may wait for 60 seconds itself */
#define LEAVE_MS      5000

extern char **environ;

static int64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static bool say(char *words, const char *format, ...) __attribute__((format(printf, 2, 3)));
static bool say(char *words, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(words, RH_WORDS_MAX, format, arguments);
    va_end(arguments);
    return false;
}

/* -- starting -------------------------------------------------------------------------------- */

static size_t append(const char **to, size_t used, const char *const *words)
{
    for (; words && *words && used < ARGUMENTS_MAX - 1; words++) to[used++] = *words;
    to[used] = NULL;
    return used;
}

/* Ours come first: of two with one name, the first is what getenv finds. */
static const char **environment_with(const char *const *more)
{
    size_t count = 0, used = 0;
    while (environ[count]) count++;
    for (const char *const *word = more; word && *word; word++) count++;
    const char **all = calloc(count + 1, sizeof *all);
    if (!all) return NULL;
    for (; more && *more; more++) all[used++] = *more;
    for (char **word = environ; *word; word++) all[used++] = *word;
    return all;
}

/* A child inherits the cores of the thread that spawns it. */
static bool spawn_on(const rh_start *start, pid_t *pid, const posix_spawn_file_actions_t *files, const posix_spawnattr_t *how,
                     const char **argv, const char **env)
{
    cpu_set_t before, wanted;
    CPU_ZERO(&wanted);
    for (unsigned core = 0; core < 64; core++) {
        if (start->cores >> core & 1) CPU_SET(core, &wanted);
    }
    if (start->cores && (sched_getaffinity(0, sizeof before, &before) || sched_setaffinity(0, sizeof wanted, &wanted))) {
        return false;
    }
    int failed = posix_spawnp(pid, argv[0], files, how, (char *const *)argv, (char *const *)env);
    if (start->cores) sched_setaffinity(0, sizeof before, &before);
    errno = failed;
    return failed == 0;
}

static bool spawn_with(const rh_start *start, pid_t *pid, int in, int out, const char **argv, const char **env)
{
    posix_spawn_file_actions_t files;
    posix_spawnattr_t          how;
    sigset_t                   none;
    sigemptyset(&none);
    posix_spawn_file_actions_init(&files);
    posix_spawnattr_init(&how);
    posix_spawn_file_actions_adddup2(&files, in, 0);
    posix_spawn_file_actions_adddup2(&files, out, 1);
    if (start->log) posix_spawn_file_actions_addopen(&files, 2, start->log, O_WRONLY | O_CREAT | O_APPEND, 0644);
    /* A group of its own, so that what is killed is the program with what watches it, and nobody else. */
    posix_spawnattr_setflags(&how, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK);
    posix_spawnattr_setpgroup(&how, 0);
    posix_spawnattr_setsigmask(&how, &none);
    bool done = spawn_on(start, pid, &files, &how, argv, env);
    int  why  = errno;
    posix_spawn_file_actions_destroy(&files);
    posix_spawnattr_destroy(&how);
    errno = why;
    return done;
}

static bool child_start(rh_child *child, const rh_start *start, char *words)
{
    const char *argv[ARGUMENTS_MAX];
    int         to[2] = { -1, -1 }, from[2] = { -1, -1 };
    memset(child, 0, sizeof *child);
    if (append(argv, append(argv, 0, start->before), start->argv) == 0) return say(words, "no program named");
    const char **env = environment_with(start->env);
    if (!env || pipe2(to, O_CLOEXEC) || pipe2(from, O_CLOEXEC) || !spawn_with(start, &child->pid, to[0], from[1], argv, env)) {
        say(words, "%s: %s", argv[0], strerror(errno));
        child->pid = 0;
    }
    free(env);
    if (to[0] >= 0) close(to[0]);
    if (from[1] >= 0) close(from[1]);
    child->in  = to[1];
    child->out = from[0];
    if (child->pid) return true;
    if (child->in >= 0) close(child->in);
    if (child->out >= 0) close(child->out);
    return false;
}

/* -- stopping -------------------------------------------------------------------------------- */

static bool gone_before(pid_t pid, int64_t deadline, int *status)
{
    while (waitpid(pid, status, WNOHANG) == 0) {
        if (now_ms() >= deadline) return false;
        nanosleep(&(struct timespec){ .tv_nsec = 1000000 }, NULL);
    }
    return true;
}

/* Its stdin ends, which it must obey; killed if it does not. */
static bool child_stop(rh_child *child, int wait_ms)
{
    int status = -1;
    if (!child->pid) return true;
    close(child->in);
    if (!gone_before(child->pid, now_ms() + wait_ms, &status)) {
        kill(-child->pid, SIGKILL);
        waitpid(child->pid, &status, 0);
    }
    close(child->out);
    child->pid = 0;
    return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

/* -- lines ----------------------------------------------------------------------------------- */

/* A peer that died must not kill the conductor by a signal. */
static bool child_tell(rh_child *child, const char *line)
{
    char   whole[RH_LINE_MAX + 1];
    size_t n      = (size_t)snprintf(whole, sizeof whole, "%s\n", line);
    void (*old)(int) = signal(SIGPIPE, SIG_IGN);
    bool told     = n < sizeof whole && write(child->in, whole, n) == (ssize_t)n;
    signal(SIGPIPE, old);
    return told;
}

static bool line_held(rh_child *child)
{
    char *end = memchr(child->held, '\n', child->held_n);
    if (!end) return false;
    size_t n = (size_t)(end - child->held);
    memcpy(child->line, child->held, n);
    child->line[n] = 0;
    child->held_n -= n + 1;
    memmove(child->held, end + 1, child->held_n);
    return true;
}

/* The next line, into child->line. False: none by then, or the program is gone. */
static bool child_hear(rh_child *child, int64_t deadline)
{
    while (!line_held(child)) {
        int64_t       left  = deadline - now_ms();
        struct pollfd ready = { child->out, POLLIN, 0 };
        if (left <= 0 || child->held_n == sizeof child->held) return false;
        int answer = poll(&ready, 1, (int)left);
        if (answer < 0 && errno == EINTR) continue;
        if (answer <= 0) return false;
        ssize_t n = read(child->out, child->held + child->held_n, sizeof child->held - child->held_n);
        if (n <= 0) return false;
        child->held_n += (size_t)n;
    }
    return true;
}

/* What follows the word in the line; NULL: the line begins otherwise. */
static const char *after(const char *line, const char *word)
{
    size_t n = strlen(word);
    if (strncmp(line, word, n) != 0 || (line[n] != ' ' && line[n] != 0)) return NULL;
    return line[n] ? line + n + 1 : line + n;
}

/* -- contenders ------------------------------------------------------------------------------ */

static bool lost(rh_runner *runner, const char *while_doing)
{
    bool gone = !rh_runner_is_alive(runner);
    child_stop(&runner->child, 0);
    return say(runner->words, gone ? "ended by itself at: %s" : "no answer in time at: %s", while_doing);
}

static void keep_setting(char setting[][RH_WORDS_MAX], size_t *count, const char *words)
{
    for (size_t i = 0; i < *count; i++) {
        if (strcmp(setting[i], words) == 0) return;
    }
    if (*count < RH_SETTINGS_MAX) snprintf(setting[(*count)++], RH_WORDS_MAX, "%s", words);
}

/* Tells a line and hears its answer, past settings; `expected` begins a good one. */
static const char *ask(rh_runner *runner, const char *line, const char *expected)
{
    const char *words;
    int64_t     deadline = now_ms() + ANSWER_MS;
    if (!runner->child.pid) return say(runner->words, "not running"), NULL;
    if (!child_tell(&runner->child, line)) return lost(runner, line), NULL;
    while (child_hear(&runner->child, deadline)) {
        const char *answer = runner->child.line;
        if ((words = after(answer, "setting"))) keep_setting(runner->setting, &runner->setting_count, words);
        else if ((words = after(answer, expected))) return words;
        else return say(runner->words, "%s", answer), NULL;
    }
    return lost(runner, line), NULL;
}

static bool introduced(rh_runner *runner)
{
    const char *words   = NULL;
    int64_t     deadline = now_ms() + START_MS;
    while (child_hear(&runner->child, deadline)) {
        const char *line = runner->child.line;
        if (after(line, "ready")) return runner->name[0] != 0;
        if ((words = after(line, "setting"))) keep_setting(runner->setting, &runner->setting_count, words);
        else if ((words = after(line, "contender"))) {
            /* A name may hold blanks: it ends where the version begins. */
            const char *version = strstr(words, " version=");
            if (strncmp(words, "name=", 5) != 0 || !version) return false;
            snprintf(runner->name, sizeof runner->name, "%.*s", (int)(version - words - 5), words + 5);
            if (!rh_word_text(version, "version", runner->version, sizeof runner->version)) return false;
            if (!rh_word_text(version, "tasks", runner->tasks, sizeof runner->tasks)) return false;
        } else if ((words = after(line, "missing"))) {
            say(runner->words, "%s", words);
            return false;
        }
    }
    return false;
}

bool rh_runner_start(rh_runner *runner, const rh_start *start)
{
    memset(runner, 0, sizeof *runner);
    if (!child_start(&runner->child, start, runner->words)) return false;
    if (introduced(runner)) return true;
    if (!runner->words[0]) say(runner->words, "%s did not introduce itself", start->argv[0]);
    child_stop(&runner->child, 0);
    return false;
}

bool rh_runner_can(const rh_runner *runner, const char *task)
{
    size_t n = strlen(task);
    for (const char *word = runner->tasks; *word; word += strcspn(word, ",")) {
        word += *word == ',';
        if (strncmp(word, task, n) == 0 && (word[n] == ',' || word[n] == 0)) return true;
    }
    return false;
}

bool rh_runner_open(rh_runner *runner, const rh_task *task)
{
    char line[RH_LINE_MAX];
    if (!rh_task_print(task, line, sizeof line)) return say(runner->words, "the task is too long for a line");
    return ask(runner, line, "opened") != NULL;
}

bool rh_runner_run(rh_runner *runner, uint64_t events, const char *samples, rh_run *out)
{
    char line[RH_LINE_MAX];
    snprintf(line, sizeof line, "run events=%llu%s%s", (unsigned long long)events, samples ? " samples=" : "",
             samples ? samples : "");
    const char *words = ask(runner, line, "done");
    if (!words) return false;
    return rh_run_read(words, out) || say(runner->words, "done without its numbers: %s", words);
}

bool rh_runner_close(rh_runner *runner) { return ask(runner, "close", "closed") != NULL; }

bool rh_runner_quit(rh_runner *runner)
{
    if (runner->child.pid) child_tell(&runner->child, "quit");
    return child_stop(&runner->child, LEAVE_MS);
}

bool rh_runner_is_alive(const rh_runner *runner)
{
    /* Asked without reaping, which is child_stop()'s. */
    siginfo_t info = { .si_pid = 0 };
    return runner->child.pid && waitid(P_PID, (id_t)runner->child.pid, &info, WEXITED | WNOHANG | WNOWAIT) == 0 && info.si_pid == 0;
}

/* -- the null peer --------------------------------------------------------------------------- */

static uint16_t port_of(const char *address)
{
    const char *colon = strrchr(address, ':');
    return colon ? (uint16_t)strtoul(colon + 1, NULL, 10) : 0;
}

static bool listening(rh_null *peer)
{
    const char *words;
    int64_t     deadline = now_ms() + START_MS;
    while (child_hear(&peer->child, deadline)) {
        const char *line = peer->child.line;
        if ((words = after(line, "setting"))) keep_setting(peer->setting, &peer->setting_count, words);
        else if ((words = after(line, "listening amqp"))) peer->port = port_of(words);
        else if ((words = after(line, "listening amqps"))) peer->tls_port = port_of(words);
        if (peer->port && peer->tls_port) return true;
    }
    return say(peer->words, "the null peer does not listen");
}

bool rh_null_start(rh_null *peer, const char *program, const char *ca, bool spin, const rh_start *start)
{
    const char *argv[] = { program, "--ca", ca, spin ? "--spin" : NULL, NULL };
    rh_start    with   = *start;
    memset(peer, 0, sizeof *peer);
    with.argv = argv;
    if (strlen(ca) >= sizeof peer->ca) return say(peer->words, "too long a name: %s", ca);
    memcpy(peer->ca, ca, strlen(ca) + 1);
    if (!child_start(&peer->child, &with, peer->words)) return false;
    if (listening(peer)) return true;
    child_stop(&peer->child, 0);
    return false;
}

void rh_null_stop(rh_null *peer) { child_stop(&peer->child, LEAVE_MS); }
