/*
 * connect BUILD: how many round trips lie between nothing and the first accepted event, by whom, into
 * BUILD/bench/connect.json and .csv.
 *
 * Everybody reaches the null peer through the delaying proxy, at two distances. The slope of wall time over RTT is the number
 * of round trips that were waited for one after the other, TCP and TLS included; what a program computes meanwhile is the same
 * at both and falls out. A bare socket, whose count is known, shows that the proxy counts right.
 */
#include "bench/crew.h"
#include "bench/rounds.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

/* Linux acknowledges late by up to 40 ms; whoever waits for that, because he did not ask for TCP_NODELAY, waits for it at both of
 * these alike. At smaller distances the wait would hide in one and not in the other, and bend the slope. */
#define NEAR_MS 40
#define FAR_MS  80

/* Connections at each distance, a round; the quickest one counts. */
#define TIMES  1
#define ROUNDS 3

extern char **environ;

struct proxy {
    pid_t    pid;
    int      in; /* it lives as long as this is open */
    uint16_t near, far;
};

struct row {
    rh_runner   *runner; /* NULL: the bare socket */
    bool         tls;
    rh_contender *contender;
    double       also[1];
};

static const char *build;
static rh_null peer;
static struct proxy plain, secure;
static rh_runner runners[RH_CREW_MAX];
static struct row rows[2 * RH_CREW_MAX + 1];
static rh_contender contenders[2 * RH_CREW_MAX + 1];

/* -- the proxy ------------------------------------------------------------------------------------ */

static bool spawn_proxy(struct proxy *proxy, uint16_t port, int in, int out)
{
    char program[1100], address[32], near[8], far[8];
    snprintf(program, sizeof program, "%s/bench/delay", build);
    snprintf(address, sizeof address, "127.0.0.1:%u", port);
    snprintf(near, sizeof near, "%d", NEAR_MS);
    snprintf(far, sizeof far, "%d", FAR_MS);
    char *argv[] = { program, address, near, far, NULL };
    posix_spawn_file_actions_t files;
    posix_spawn_file_actions_init(&files);
    posix_spawn_file_actions_adddup2(&files, in, 0);
    posix_spawn_file_actions_adddup2(&files, out, 1);
    int failed = posix_spawn(&proxy->pid, program, &files, NULL, argv, environ);
    posix_spawn_file_actions_destroy(&files);
    return failed == 0;
}

static bool start_proxy(struct proxy *proxy, uint16_t port)
{
    int  to[2], from[2], distance;
    unsigned at;
    if (pipe2(to, O_CLOEXEC) || pipe2(from, O_CLOEXEC) || !spawn_proxy(proxy, port, to[0], from[1])) return false;
    close(to[0]);
    close(from[1]);
    proxy->in   = to[1];
    FILE *lines = fdopen(from[0], "r");
    while (lines && fscanf(lines, " listening %d 127.0.0.1:%u", &distance, &at) == 2) {
        if (distance == NEAR_MS) proxy->near = (uint16_t)at;
        if (distance == FAR_MS) proxy->far = (uint16_t)at;
        if (proxy->near && proxy->far) break;
    }
    if (lines) fclose(lines);
    return proxy->near && proxy->far;
}

static void stop_proxy(struct proxy *proxy)
{
    close(proxy->in);
    waitpid(proxy->pid, NULL, 0);
}

/* -- one measurement ------------------------------------------------------------------------------ */

/* TCP's round trip and one more: protocol header out, protocol header back. Milliseconds. */
static double bare_ms(uint16_t port)
{
    static const char header[8] = { 'A', 'M', 'Q', 'P', 0, 1, 0, 0 };
    struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    struct timeval longest = { .tv_sec = 5 };
    char answer[8];
    double ms = NAN;
    uint64_t since = rh_rounds_now();
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    (void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &longest, sizeof longest);
    if (connect(fd, (struct sockaddr *)&to, sizeof to) == 0 && send(fd, header, sizeof header, MSG_NOSIGNAL) == sizeof header &&
        recv(fd, answer, sizeof answer, MSG_WAITALL) == sizeof answer)
        ms = (double)(rh_rounds_now() - since) / 1e6;
    close(fd);
    return ms;
}

static double quickest_ms(const char *file)
{
    uint64_t ns, least = UINT64_MAX;
    FILE *samples = fopen(file, "rb");
    while (samples && fread(&ns, sizeof ns, 1, samples) == 1)
        if (ns < least) least = ns;
    if (samples) fclose(samples);
    return least == UINT64_MAX ? NAN : (double)least / 1e6;
}

static double contender_ms(struct row *row, uint16_t port)
{
    char    file[1100];
    rh_run  run;
    rh_task task = { .task = "connect", .host = "127.0.0.1", .port = port, .tls = row->tls, .address = "bench", .size = 1024, .batch = 1 };
    snprintf(task.ca, sizeof task.ca, "%s", peer.ca);
    snprintf(file, sizeof file, "%s/bench/connect.samples", build);
    bool   done = rh_runner_open(row->runner, &task) && rh_runner_run(row->runner, TIMES, file, &run);
    double ms   = done ? quickest_ms(file) : NAN;
    if (!done) row->contender->missing = row->runner->words;
    if (rh_runner_is_alive(row->runner)) (void)rh_runner_close(row->runner);
    unlink(file);
    return ms;
}

static double round_trips(void *user)
{
    struct row *row = user;
    const struct proxy *proxy = row->tls ? &secure : &plain;
    if (!row->runner) (void)bare_ms(proxy->near); /* the processes between have slept */
    double near = row->runner ? contender_ms(row, proxy->near) : bare_ms(proxy->near);
    double far  = row->contender->missing ? NAN : row->runner ? contender_ms(row, proxy->far) : bare_ms(proxy->far);
    row->also[0] = far;
    return (far - near) / (FAR_MS - NEAR_MS);
}

/* -- the report ----------------------------------------------------------------------------------- */

static void add_row(size_t at, const char *task, const char *name, rh_runner *runner, bool tls, size_t ours)
{
    rows[at] = (struct row){ .runner = runner, .tls = tls, .contender = &contenders[at] };
    contenders[at] = (rh_contender){
        .task = task, .name = name, .measure = round_trips, .user = &rows[at], .also = rows[at].also,
        .floor = RH_NO_CONTENDER, .ours = ours, .version = runner ? runner->version : NULL,
    };
    for (size_t x = 0; x < RH_EXTRAS; x++) contenders[at].extra[x] = NAN;
    if (runner && !rh_runner_is_alive(runner)) contenders[at].missing = runner->words;
    else if (runner && !rh_runner_can(runner, "connect")) contenders[at].missing = "does not do this task";
}

static size_t fill_rows(void)
{
    size_t count = 0;
    add_row(count++, "tcp and one answer", "floor: bare socket", NULL, false, RH_NO_CONTENDER);
    for (int tls = 0; tls < 2; tls++) {
        size_t ours = count;
        for (int m = 0; m < RH_CREW_MAX; m++, count++)
            add_row(count, tls ? "first event tls" : "first event plain", rh_crew[m].name, &runners[m], tls, m ? ours : RH_NO_CONTENDER);
    }
    return count;
}

static void start_crew(void)
{
    char log[1100];
    snprintf(log, sizeof log, "%s/bench/connect.log", build);
    for (int m = 0; m < RH_CREW_MAX; m++) (void)rh_crew_start(&rh_crew[m], build, &(rh_start){ .log = log }, &runners[m]);
}

int main(int argc, char **argv)
{
    static char place[1024], program[1100], ca[1100];
    if (argc != 2) {
        fprintf(stderr, "usage: connect BUILD\n");
        return 2;
    }
    build = argv[1];
    snprintf(place, sizeof place, "%s/bench", build);
    snprintf(program, sizeof program, "%s/bench/null", build);
    snprintf(ca, sizeof ca, "%s/bench/connect-ca.pem", build);
    if (!rh_null_start(&peer, program, ca, false, &(rh_start){ .log = NULL }) || !start_proxy(&plain, peer.port) || !start_proxy(&secure, peer.tls_port)) {
        fprintf(stderr, "connect: %s\n", peer.words[0] ? peer.words : strerror(errno));
        return 1;
    }
    start_crew();
    rh_report report = {
        .name = "connect", .unit = "round_trips", .also = { "ms_at_80_ms" }, .contenders = contenders, .count = fill_rows(), .rounds = ROUNDS,
    };
    rh_rounds_run(&report);
    rh_rounds_print(&report);
    bool saved = rh_rounds_save(&report, place);
    for (int m = 0; m < RH_CREW_MAX; m++) (void)rh_runner_quit(&runners[m]);
    stop_proxy(&plain);
    stop_proxy(&secure);
    rh_null_stop(&peer);
    return saved ? 0 : 1;
}
