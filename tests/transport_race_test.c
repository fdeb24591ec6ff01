/* The race of a name's addresses [RFC 8305, 5], with a resolver that answers what the test wrote down. */
#include "tests/wire.h"
#include "transport/dial.h"
#include "transport/name.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

/* -- the resolver: it stands before the library's -------------------------------------------------- */

static const char *const *answered; /* numeric addresses, up to a NULL */

struct rh_query {
    rh_loop     *loop;
    rh_answer_fn fn;
    void        *user;
    uint16_t     port;
    rh_timer     timer;
};

static void on_timer(void *user, rh_time now)
{
    (void)now;
    struct rh_query *query = user;
    rh_address addresses[8];
    size_t count = 0;
    for (; answered[count]; count++) cr_assert(rh_address_parse(&addresses[count], answered[count], query->port));
    query->fn(query->user, addresses, count, "");
    free(query);
}

rh_query *rh_query_start(rh_reactor *reactor, const char *host, uint16_t port, rh_answer_fn fn, void *user)
{
    (void)host;
    struct rh_query *query = malloc(sizeof *query);
    *query = (struct rh_query){ &reactor->loop, fn, user, port, { .fn = on_timer, .user = query } };
    rh_timer_set(query->loop, &query->timer, rh_reactor_now(reactor));
    return query;
}

void rh_query_cancel(rh_query *query)
{
    rh_timer_cancel(query->loop, &query->timer);
    free(query);
}

/* -- addresses ------------------------------------------------------------------------------------- */

enum { FILLERS = 4 };

/* Somebody whose queue is full: what knocks is dropped, without answer or refusal. */
struct silence {
    int fd, fillers[FILLERS];
};

static struct silence silent_at(const char *host, uint16_t port)
{
    struct silence silence;
    struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons(port) };
    inet_pton(AF_INET, host, &address.sin_addr);
    silence.fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    cr_assert_eq(bind(silence.fd, (struct sockaddr *)&address, sizeof address) | listen(silence.fd, 0), 0);
    for (int i = 0; i < FILLERS; i++) {
        silence.fillers[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        connect(silence.fillers[i], (struct sockaddr *)&address, sizeof address);
    }
    return silence;
}

static void silence_end(struct silence *silence)
{
    for (int i = 0; i < FILLERS; i++) close(silence->fillers[i]);
    close(silence->fd);
}

/* How long it takes to reach somebody who listens at one of these. */
static rh_time race(struct wire *wire, uint16_t port, const char *const *addresses)
{
    answered = addresses;
    rh_time begin = rh_loop_now(wire->loop);
    wire_dial(wire, &wire->client, RH_DIAL_OPTS(.host = "of.many.addresses", .port = port));
    cr_assert(wire_until(wire, wire->client.is_up && wire->server.is_up), "%s", wire->client.error.description);
    return rh_loop_now(wire->loop) - begin;
}

/* -- stories --------------------------------------------------------------------------------------- */

Test(race, beside_an_address_that_is_silent_the_next_one_starts_soon)
{
    for (each_backend(backend)) {
        struct wire wire = { .loop = NULL };
        wire_open(&wire, backend, NULL);
        uint16_t port = rh_listener_port(wire.listener);
        struct silence silence = silent_at("127.0.0.2", port);
        rh_time took = race(&wire, port, (const char *const[]){ "127.0.0.2", "127.0.0.1", NULL });
        cr_expect_geq(took, RH_DIAL_STAGGER, "the first had its time");
        cr_expect_lt(took, 3 * RH_DIAL_STAGGER, "%zu ms", (size_t)(took / RH_MS(1)));
        wire_close(&wire);
        silence_end(&silence);
    }
}

Test(race, each_silent_address_has_its_time_before_the_next)
{
    for (each_backend(backend)) {
        struct wire wire = { .loop = NULL };
        wire_open(&wire, backend, NULL);
        uint16_t port = rh_listener_port(wire.listener);
        struct silence first = silent_at("127.0.0.2", port), second = silent_at("127.0.0.3", port);
        rh_time took = race(&wire, port, (const char *const[]){ "127.0.0.2", "127.0.0.3", "127.0.0.1", NULL });
        cr_expect_geq(took, 2 * RH_DIAL_STAGGER);
        cr_expect_lt(took, 4 * RH_DIAL_STAGGER, "%zu ms", (size_t)(took / RH_MS(1)));
        wire_close(&wire);
        silence_end(&first);
        silence_end(&second);
    }
}

Test(race, a_refusal_calls_the_next_address_at_once)
{
    for (each_backend(backend)) {
        struct wire wire = { .loop = NULL };
        wire_open(&wire, backend, NULL);
        uint16_t port = rh_listener_port(wire.listener);
        cr_expect_lt(race(&wire, port, (const char *const[]){ "127.0.0.2", "127.0.0.1", NULL }), RH_DIAL_STAGGER);
        wire_close(&wire);
    }
}

Test(race, when_all_but_a_silent_one_refused_it_is_waited_for_until_the_deadline)
{
    for (each_backend(backend)) {
        struct wire wire = { .loop = NULL };
        wire_open(&wire, backend, NULL);
        uint16_t port = rh_listener_port(wire.listener);
        struct silence silence = silent_at("127.0.0.2", port);
        answered = (const char *const[]){ "127.0.0.2", "127.0.0.3", NULL };
        rh_time deadline = rh_loop_now(wire.loop) + RH_MS(600);
        wire_dial(&wire, &wire.client, RH_DIAL_OPTS(.host = "of.many.addresses", .port = port, .deadline = deadline));
        cr_assert(wire_until(&wire, wire.client.is_down));
        cr_expect_geq(rh_loop_now(wire.loop), deadline);
        cr_expect_eq(wire.client.error.status, RH_E_TIMEOUT, "%s", wire.client.error.description);
        wire_close(&wire);
        silence_end(&silence);
    }
}

/* The other family comes second, however many of the first there are. */
Test(race, the_families_take_turns)
{
    for (each_backend(backend)) {
        struct wire wire = { .loop = NULL };
        wire_open(&wire, backend, NULL);
        uint16_t port = rh_listener_port(wire.listener);
        struct silence first = silent_at("127.0.0.2", port), second = silent_at("127.0.0.3", port);
        rh_listener_close(wire.listener);
        wire_pass(&wire, RH_MS(5));
        rh_error error;
        if (rh_loop_listen(wire.loop, RH_LISTEN_OPTS(.host = "::1", .port = port), wire_accept, &wire, &wire.listener, &error) != RH_OK)
            cr_skip_test("no IPv6 here: %s", error.description);
        rh_time took = race(&wire, port, (const char *const[]){ "127.0.0.2", "127.0.0.3", "::1", NULL });
        cr_expect_geq(took, RH_DIAL_STAGGER);
        cr_expect_lt(took, 2 * RH_DIAL_STAGGER, "%zu ms", (size_t)(took / RH_MS(1)));
        wire_close(&wire);
        silence_end(&first);
        silence_end(&second);
    }
}
