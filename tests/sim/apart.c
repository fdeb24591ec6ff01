#include "tests/sim/apart.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define STRUCK_MOST 100000

/* What the other process leaves behind, whatever becomes of it. */
typedef struct shared {
    sim_result    result;
    sim_occasions struck;
    sim_occasion  list[STRUCK_MOST];
} shared;

static void copy_struck(sim_occasions *to, const shared *from)
{
    for (size_t i = 0; to && i < from->struck.count; i++) sim_occasions_add(to, from->list[i]);
}

static sim_result judge(shared *s, int status)
{
    sim_result result = s->result;
    if (WIFSIGNALED(status)) (void)snprintf(result.wrong, sizeof result.wrong, "died of signal %d: %s", WTERMSIG(status), strsignal(WTERMSIG(status)));
    else if (WEXITSTATUS(status) != 0) (void)snprintf(result.wrong, sizeof result.wrong, "exited with %d", WEXITSTATUS(status));
    return result;
}

sim_result sim_apart_run(const sim_run *run)
{
    shared    *s      = mmap(NULL, sizeof *s, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    sim_result result = { .wrong = "no process" };
    if (s == MAP_FAILED) return result;
    s->struck  = (sim_occasions){ .list = s->list, .room = STRUCK_MOST };
    pid_t pid  = fork();
    int status = 0;
    if (pid == 0) {
        sim_run here = *run;
        here.struck  = &s->struck;
        here.grid    = NULL;
        (void)alarm(SIM_APART_SECONDS);
        s->result = sim_world_run(&here);
        if (here.out) (void)fflush(here.out);
        _exit(0);
    }
    if (pid > 0 && waitpid(pid, &status, 0) == pid) {
        result = judge(s, status);
        copy_struck(run->struck, s);
    }
    (void)munmap(s, sizeof *s);
    return result;
}

/* -- watching this one --------------------------------------------------------------------------- */

static volatile uint64_t watched;

static void tell_death(int number)
{
    char text[96];
    int  n = snprintf(text, sizeof text, "seed %llu: died of signal %d\n", (unsigned long long)watched, number);
    if (n > 0) n = (int)write(STDOUT_FILENO, text, (size_t)n);
    (void)signal(number, SIG_DFL);
    (void)raise(number);
}

/* Of the deaths only those that a sanitizer does not tell better. */
void sim_apart_watch(uint64_t seed)
{
    static bool is_watching;
    if (!is_watching) {
        (void)signal(SIGABRT, tell_death);
        (void)signal(SIGALRM, tell_death);
#if !defined(__SANITIZE_ADDRESS__)
        (void)signal(SIGSEGV, tell_death);
#endif
    }
    is_watching = true;
    watched     = seed;
    (void)alarm(SIM_APART_SECONDS);
}
