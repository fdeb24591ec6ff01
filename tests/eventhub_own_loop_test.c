/* A whole session driven by a host that has nothing but poll(2) and the loop's descriptor. */
#include "emulator/emulator.h"
#include "eventhub/eventhub.h"

#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <criterion/parameterized.h>
#include <poll.h>
#include <stdio.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { MESSAGES = 2000 };

static struct host {
    rh_loop     *loop;
    rh_emulator *emulator;
    rh_client   *client;
    rh_producer *producer;
    rh_consumer *consumer;
    unsigned     wakes, sent, received, ready;
    rh_status    ended;
} host;

static double seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* Waits on the descriptor alone; false when it stays silent for this long. */
static bool serve(int wait_ms)
{
    struct pollfd fd = { .fd = rh_loop_fd(host.loop), .events = POLLIN };
    if (poll(&fd, 1, wait_ms) != 1) return false;
    host.wakes++;
    cr_assert_eq(rh_loop_run(host.loop, RH_NOWAIT), RH_OK);
    return true;
}

static void send_next(void)
{
    char text[16];
    int n = snprintf(text, sizeof text, "%u", host.sent);
    cr_assert_eq(rh_producer_send_event(host.producer, &(rh_event_data){ .body = rh_slice_of(text, (size_t)n) }, 0, NULL), RH_OK);
}

static void on_sent(void *user, rh_producer *producer, const rh_sent *sent)
{
    (void)user, (void)producer;
    cr_assert_eq(sent->status, RH_OK);
    if (++host.sent < MESSAGES) send_next();
}

static void on_open(void *user, rh_producer *producer)
{
    (void)user, (void)producer;
    host.ready++;
}

static void on_closed(void *user, rh_producer *producer, const rh_error *error)
{
    (void)user, (void)producer;
    host.ended = error ? error->status : RH_OK;
}

static void on_event(void *user, rh_consumer *consumer, const rh_event *event)
{
    (void)user, (void)consumer, (void)event;
    host.received++;
}

static void on_state(void *user, rh_consumer *consumer, rh_consumer_state state, const rh_error *error)
{
    (void)user, (void)consumer, (void)error;
    if (state == RH_CONSUMER_OPEN) host.ready++;
}

static void open_host(rh_loop_backend backend)
{
    rh_error error;
    char text[512];
    host = (struct host){ .ended = RH_AGAIN };
    cr_assert_eq(rh_emulator_start(RH_EMULATOR_OPTS(.hubs = &(rh_emulator_hub){ .name = "hub", .partitions = 1 }, .hub_count = 1),
                                   &host.emulator, &error), RH_OK, "%s", error.description);
    rh_emulator_connection_string(host.emulator, "hub", text, sizeof text);
    cr_assert_eq(rh_loop_create(RH_LOOP_OPTS(.backend = backend), &host.loop, &error), RH_OK);
    cr_assert_eq(rh_client_create(host.loop, RH_CLIENT_OPTS(.connection_string = text), &host.client, &error), RH_OK);
    cr_assert_eq(rh_producer_open(host.client, RH_PRODUCER_OPTS(.partition = "0", .handler = { .on_open = on_open, .on_sent = on_sent, .on_closed = on_closed }),
                                  &host.producer), RH_OK);
    while (host.ready < 1) cr_assert(serve(5000));
}

static void open_consumer(void)
{
    cr_assert_eq(rh_consumer_open(host.client, RH_CONSUMER_OPTS(.partition = "0", .handler = { .on_event = on_event, .on_state = on_state }),
                                  &host.consumer), RH_OK);
    while (host.ready < 2) cr_assert(serve(5000));
}

static void close_host(void)
{
    rh_consumer_destroy(host.consumer);
    rh_producer_destroy(host.producer);
    rh_client_destroy(host.client);
    cr_expect_eq(rh_loop_destroy(host.loop), RH_OK);
    rh_emulator_stop(host.emulator);
}

ParameterizedTestParameters(own_loop, fewer_than_two_wakes_a_message)
{
    static rh_loop_backend backends[] = { RH_BACKEND_URING, RH_BACKEND_EPOLL };
    return cr_make_param_array(rh_loop_backend, backends, 2);
}

/* One event after the other: sent, accepted and received, each event is two messages to this host. */
ParameterizedTest(rh_loop_backend *backend, own_loop, fewer_than_two_wakes_a_message, .timeout = 60)
{
    open_host(*backend);
    host.wakes = 0;
    send_next();
    while (host.sent < MESSAGES) cr_assert(serve(5000));
    cr_expect_lt(host.wakes, 2 * MESSAGES, "%u wakes for %u sends", host.wakes, host.sent);

    open_consumer();
    host.wakes = 0;
    while (host.received < MESSAGES) cr_assert(serve(5000));
    cr_expect_lt(host.wakes, 2 * MESSAGES, "%u wakes for %u receipts", host.wakes, host.received);

    host.sent = 0;
    host.received = 0;
    host.wakes = 0;
    send_next();
    while (host.sent < MESSAGES || host.received < MESSAGES) cr_assert(serve(5000));
    cr_expect_lt(host.wakes, 2 * 2 * MESSAGES, "%u wakes for %u sends and receipts", host.wakes, 2 * MESSAGES);
    close_host();
}

ParameterizedTestParameters(own_loop, an_idle_session_is_silent)
{
    static rh_loop_backend backends[] = { RH_BACKEND_URING, RH_BACKEND_EPOLL };
    return cr_make_param_array(rh_loop_backend, backends, 2);
}

ParameterizedTest(rh_loop_backend *backend, own_loop, an_idle_session_is_silent, .timeout = 60)
{
    open_host(*backend);
    open_consumer();
    while (serve(100)) {}
    host.wakes = 0;
    /* Heartbeats are due after tens of seconds. */
    double until = seconds() + 2;
    while (seconds() < until) serve(2000);
    cr_expect_eq(host.wakes, 0, "%u wakes in two idle seconds", host.wakes);
    close_host();
}

/* A port that takes connections and says nothing. */
static int deaf_port(uint16_t *port)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t n = sizeof address;
    cr_assert_eq(bind(fd, (struct sockaddr *)&address, n), 0);
    cr_assert_eq(listen(fd, 8), 0);
    getsockname(fd, (struct sockaddr *)&address, &n);
    *port = ntohs(address.sin_port);
    return fd;
}

ParameterizedTestParameters(own_loop, deadlines_wake_the_host)
{
    static rh_loop_backend backends[] = { RH_BACKEND_URING, RH_BACKEND_EPOLL };
    return cr_make_param_array(rh_loop_backend, backends, 2);
}

ParameterizedTest(rh_loop_backend *backend, own_loop, deadlines_wake_the_host, .timeout = 60)
{
    rh_error error;
    uint16_t port;
    char text[256];
    int deaf = deaf_port(&port);
    host = (struct host){ .ended = RH_AGAIN };
    snprintf(text, sizeof text, "Endpoint=sb://127.0.0.1:%u;SharedAccessKeyName=a;SharedAccessKey=b;EntityPath=hub;UseDevelopmentEmulator=true", port);
    cr_assert_eq(rh_loop_create(RH_LOOP_OPTS(.backend = *backend), &host.loop, &error), RH_OK);
    cr_assert_eq(rh_client_create(host.loop, RH_CLIENT_OPTS(.connection_string = text, .operation_timeout_ms = 300), &host.client, &error), RH_OK);
    double start = seconds();
    cr_assert_eq(rh_producer_open(host.client, RH_PRODUCER_OPTS(.handler = { .on_closed = on_closed }), &host.producer), RH_OK);
    while (host.ended == RH_AGAIN) cr_assert(serve(5000), "the deadline passed in silence");
    double took = seconds() - start;
    cr_expect_eq(host.ended, RH_E_TIMEOUT, "%s", rh_status_name(host.ended));
    cr_expect(took > 0.28 && took < 2, "a deadline of 0.3 s was kept after %.3f s", took);
    rh_producer_destroy(host.producer);
    rh_client_destroy(host.client);
    cr_expect_eq(rh_loop_destroy(host.loop), RH_OK);
    close(deaf);
}
