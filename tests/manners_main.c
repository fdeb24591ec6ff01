/*
 * A library is a guest: it raises no signal, ends no process and prints nothing, whatever happens to it, and works on through what its
 * host does: fork, storms of signals, no descriptors left. Each story is a process of its own, watched from outside.
 */
#include "emulator/emulator.h"
#include "eventhub/eventhub.h"
#include "tests/heap.h"
#include "transport/transport.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

enum { GOOD = 42 }; /* how a story ends that is true */

static int told; /* where a story says what is wrong: its own stdout and stderr are watched */
static rh_loop_backend backend;
static bool has_tls, may_exit;

#define EXPECT(condition, ...)                                  \
    do {                                                        \
        if (condition) break;                                   \
        dprintf(told, "%s:%d: %s: ", __FILE__, __LINE__, #condition); \
        dprintf(told, "" __VA_ARGS__);                          \
        _exit(1);                                               \
    } while (0)

/* -- a world ------------------------------------------------------------------------------------------ */

static rh_emulator *emulator;
static rh_loop *loop;
static rh_client *client;
static rh_producer *producer;
static rh_consumer *consumer;
static rh_error error;

static void serve(void)
{
    EXPECT(rh_emulator_start(RH_EMULATOR_OPTS(.tls = true), &emulator, &error) == RH_OK, "%s\n", error.description);
}

static uint16_t port(void) { return has_tls ? rh_emulator_tls_port(emulator) : rh_emulator_port(emulator); }

static void connect_client(void)
{
    char text[512];
    if (has_tls) rh_emulator_tls_connection_string(emulator, "hub", text, sizeof text);
    else rh_emulator_connection_string(emulator, "hub", text, sizeof text);
    rh_client_opts *opts = RH_CLIENT_OPTS(.connection_string = text, .retry = { .delay_ms = 1, .max_delay_ms = 5 });
    if (has_tls) opts->ca_pem = rh_str(rh_emulator_certificate_pem(emulator));
    EXPECT(rh_loop_create(RH_LOOP_OPTS(.backend = backend), &loop, &error) == RH_OK, "%s\n", error.description);
    EXPECT(rh_client_create(loop, opts, &client, &error) == RH_OK, "%s\n", error.description);
    EXPECT(rh_producer_open_wait(client, RH_PRODUCER_OPTS(.partition = "0"), &producer, 10000, &error) == RH_OK, "%s\n", error.description);
    EXPECT(rh_consumer_open_wait(client, RH_CONSUMER_OPTS(.partition = "0"), &consumer, 10000, &error) == RH_OK, "%s\n", error.description);
}

/* So many events go out, and come in in their order. */
static void exchange(int count)
{
    char body[16] = "";
    for (int i = 0; i < count; i++) {
        const rh_event *event = NULL;
        snprintf(body, sizeof body, "%d", i);
        rh_status status = rh_producer_send_event_wait(producer, &(rh_event_data){ .body = rh_str(body) }, 10000, &error);
        EXPECT(status == RH_OK, "event %d: %s: %s\n", i, rh_status_name(status), error.description);
        status = rh_consumer_receive_wait(consumer, &event, 10000);
        EXPECT(status == RH_OK, "event %d: %s\n", i, rh_status_name(status));
        EXPECT(rh_slice_is(rh_event_body(event), body), "event %d\n", i);
        rh_event_release(event);
    }
}

static void disconnect(void)
{
    rh_consumer_destroy(consumer);
    rh_producer_destroy(producer);
    rh_client_destroy(client);
    EXPECT(rh_loop_destroy(loop) == RH_OK, "\n");
}

/* Ends every connection of this process to the port, as a network does. */
static void cut(void)
{
    for (int fd = 3; fd < 256; fd++) {
        struct sockaddr_in peer;
        socklen_t n = sizeof peer;
        if (getpeername(fd, (struct sockaddr *)&peer, &n) == 0 && ntohs(peer.sin_port) == port()) shutdown(fd, SHUT_RDWR);
    }
}

/* -- stories ------------------------------------------------------------------------------------------ */

/* Sends meet a connection that is gone, again and again. SIGPIPE is at its default: it would end the process. */
static void a_peer_that_is_gone_raises_no_signal(void)
{
    serve();
    connect_client();
    for (int round = 0; round < 20; round++) {
        cut();
        rh_status status = rh_producer_send_event_wait(producer, &(rh_event_data){ .body = rh_str("more") }, 10000, &error);
        EXPECT(status == RH_OK, "round %d: %s: %s\n", round, rh_status_name(status), error.description);
    }
    disconnect();
    rh_emulator_stop(emulator);
}

/* All that can be refused is refused, and nothing of it is printed, also by OpenSSL and c-ares. */
static void refusals_are_silent(void)
{
    static const char *const strings[] = {
        "Endpoint=sb://127.0.0.1:1;SharedAccessKeyName=r;SharedAccessKey=k;EntityPath=hub;UseDevelopmentEmulator=true",
        "Endpoint=sb://nowhere.invalid;SharedAccessKeyName=r;SharedAccessKey=k;EntityPath=hub",
        "Endpoint=sb://127.0.0.1:1;SharedAccessKeyName=r;SharedAccessKey=k;EntityPath=hub",
    };
    serve();
    for (size_t i = 0; i < sizeof strings / sizeof *strings; i++) {
        EXPECT(rh_loop_create(RH_LOOP_OPTS(.backend = backend), &loop, &error) == RH_OK, "%s\n", error.description);
        rh_client_opts *opts = RH_CLIENT_OPTS(.connection_string = strings[i], .operation_timeout_ms = 100);
        if (i == 2) opts->dial_port = rh_emulator_tls_port(emulator); /* whose certificate nobody trusts */
        EXPECT(rh_client_create(loop, opts, &client, &error) == RH_OK, "%s\n", error.description);
        EXPECT(rh_client_connect_wait(client, 100, &error) != RH_OK, "row %zu\n", i);
        EXPECT(error.description[0], "row %zu\n", i);
        rh_client_destroy(client);
        EXPECT(rh_loop_destroy(loop) == RH_OK, "\n");
    }
    rh_client *none = NULL;
    EXPECT(rh_loop_create(RH_LOOP_OPTS(.backend = backend), &loop, &error) == RH_OK, "\n");
    EXPECT(rh_client_create(loop, RH_CLIENT_OPTS(.connection_string = strings[1], .ca_file = "/dev/null"), &none, &error) != RH_OK, "\n");
    EXPECT(rh_client_create(loop, RH_CLIENT_OPTS(.connection_string = "Endpoint=;;;"), &none, &error) != RH_OK, "\n");
    EXPECT(rh_loop_destroy(loop) == RH_OK, "\n");
    rh_emulator_stop(emulator);
}

/* A child of a busy process has nothing of the loop but copies of descriptors: what it does and how it ends changes nothing here. */
static void a_fork_harms_neither_side(void)
{
    serve();
    connect_client();
    exchange(20);
    pid_t child = fork();
    if (child == 0) {
        /* A world of its own, against the emulator of its parent. */
        connect_client();
        EXPECT(rh_producer_send_event_wait(producer, &(rh_event_data){ .body = rh_str("of the child") }, 10000, &error) == RH_OK, "%s\n",
               error.description);
        disconnect();
        if (!heap_is_counted()) _exit(GOOD); /* a sanitizer would look for leaks among what its parent's threads hold */
        may_exit = true;
        exit(GOOD); /* with all that runs at an exit */
    }
    int status;
    while (waitpid(child, &status, WNOHANG) == 0) EXPECT(rh_loop_run(loop, rh_loop_now(loop) + RH_MS(1)) == RH_OK, "\n");
    EXPECT(WIFEXITED(status) && WEXITSTATUS(status) == GOOD, "the child ended with %x\n", (unsigned)status);
    const rh_event *event = NULL;
    for (bool found = false; !found; rh_event_release(event)) {
        EXPECT(rh_consumer_receive_wait(consumer, &event, 10000) == RH_OK, "what the child sent\n");
        found = rh_slice_is(rh_event_body(event), "of the child");
    }
    exchange(20);
    disconnect();
    rh_emulator_stop(emulator);
}

static _Atomic unsigned storms;

static void on_alarm(int number)
{
    (void)number;
    atomic_fetch_add(&storms, 1);
}

/* A signal every 200 microseconds, and no call is restarted by the kernel. */
static void a_storm_of_signals_disturbs_nothing(void)
{
    struct sigaction action = { .sa_handler = on_alarm };
    struct itimerval often = { .it_interval.tv_usec = 200, .it_value.tv_usec = 200 }, never = { .it_value.tv_usec = 0 };
    serve();
    sigaction(SIGALRM, &action, NULL);
    setitimer(ITIMER_REAL, &often, NULL);
    connect_client();
    exchange(200);
    for (int round = 0; round < 5; round++) {
        cut();
        rh_status status = rh_producer_send_event_wait(producer, &(rh_event_data){ .body = rh_str("again") }, 10000, &error);
        EXPECT(status == RH_OK, "%s: %s\n", rh_status_name(status), error.description);
    }
    disconnect();
    setitimer(ITIMER_REAL, &never, NULL);
    rh_emulator_stop(emulator);
    EXPECT(atomic_load(&storms) > 20, "only %u signals\n", atomic_load(&storms));
}

static struct rlimit all;

/* Whoever asks for a descriptor now gets none: those below the limit are in use. */
static void exhaust(void)
{
    getrlimit(RLIMIT_NOFILE, &all);
    setrlimit(RLIMIT_NOFILE, &(struct rlimit){ .rlim_cur = 3, .rlim_max = all.rlim_max });
    EXPECT(dup(0) < 0 && errno == EMFILE, "%s\n", strerror(errno));
}

static void relieve(void) { setrlimit(RLIMIT_NOFILE, &all); }

static void without_descriptors_errors_are_typed_and_a_client_comes_back(void)
{
    rh_loop *other = NULL;
    serve();
    connect_client();
    exchange(5);
    exhaust();
    EXPECT(rh_loop_create(RH_LOOP_OPTS(.backend = backend), &other, &error) == RH_E_SYSTEM, "%s\n", rh_status_name(error.status));
    EXPECT(error.os_error == EMFILE && !other, "%d: %s\n", error.os_error, error.description);
    cut();
    rh_time end = rh_loop_now(loop) + RH_MS(100);
    while (rh_loop_now(loop) < end) EXPECT(rh_loop_turn(loop, end) == RH_OK, "\n");
    EXPECT(rh_client_state_of(client) == RH_CLIENT_CONNECTING, "state %d\n", (int)rh_client_state_of(client));
    EXPECT(rh_client_error(client)->status == RH_E_SYSTEM, "%s: %s\n", rh_status_name(rh_client_error(client)->status), rh_client_error(client)->description);
    EXPECT(rh_client_error(client)->os_error == EMFILE, "%s\n", rh_client_error(client)->description);
    relieve();
    exchange(5);
    disconnect();
    rh_emulator_stop(emulator);
}

static void an_emulator_without_descriptors_is_refused(void)
{
    rh_emulator *none = NULL;
    exhaust();
    EXPECT(rh_emulator_start(RH_EMULATOR_OPTS(.tls = true), &none, &error) == RH_E_SYSTEM, "%s\n", rh_status_name(error.status));
    EXPECT(!none && error.description[0], "\n");
    relieve();
    serve();
    rh_emulator_stop(emulator);
}

/* -- watching them ------------------------------------------------------------------------------------ */

#define STORY(name) { #name, name }

static const struct story {
    const char *name;
    void (*tell)(void);
} stories[] = {
    STORY(a_peer_that_is_gone_raises_no_signal),
    STORY(refusals_are_silent),
    STORY(a_fork_harms_neither_side),
    STORY(a_storm_of_signals_disturbs_nothing),
    STORY(without_descriptors_errors_are_typed_and_a_client_comes_back),
    STORY(an_emulator_without_descriptors_is_refused),
};

static void quit(void)
{
    if (!may_exit) _exit(3);
}

/* In the child: what is printed goes where the parent looks, an exit that nobody asked for is told apart. */
static void begin(const struct story *story, int out)
{
    told = dup(2);
    dup2(out, 1);
    dup2(out, 2);
    close(out);
    alarm(60);
    atexit(quit);
    story->tell();
    _exit(GOOD);
}

static bool expect(const struct story *story)
{
    int out[2], status;
    char printed[256];
    if (pipe2(out, O_CLOEXEC) != 0) return false;
    fflush(stdout);
    pid_t child = fork();
    if (child == 0) begin(story, out[1]);
    close(out[1]);
    ssize_t n = read(out[0], printed, sizeof printed - 1);
    close(out[0]);
    if (waitpid(child, &status, 0) != child) return false;
    bool good = WIFEXITED(status) && WEXITSTATUS(status) == GOOD && n == 0;
    if (good) return true;
    printed[n > 0 ? n : 0] = '\0';
    printf("FAIL %s on %s%s: status %x, printed \"%s\"\n", story->name, backend == RH_BACKEND_EPOLL ? "epoll" : "the ring", has_tls ? " with TLS" : "",
           (unsigned)status, printed);
    return false;
}

int main(void)
{
    unsigned passed = 0, failed = 0;
    setvbuf(stdout, NULL, _IOLBF, 0);
    for (size_t i = 0; i < sizeof stories / sizeof *stories; i++)
        for (backend = RH_BACKEND_URING; backend <= RH_BACKEND_EPOLL; backend++)
            for (int tls = 0; tls < 2; tls++) {
                has_tls = tls;
                if (expect(&stories[i])) passed++;
                else failed++;
            }
    printf("%u passed, %u failed\n", passed, failed);
    return failed ? 1 : 0;
}
