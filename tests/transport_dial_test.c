/* Dialing: names, races, refusals, and their words. Every test runs on io_uring and on epoll. */
#include "tests/wire.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

/* A port of 127.0.0.1 where nobody listens. */
static uint16_t dead_port(void)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t n = sizeof address;
    cr_assert_eq(bind(fd, (struct sockaddr *)&address, n), 0);
    getsockname(fd, (struct sockaddr *)&address, &n);
    close(fd);
    return ntohs(address.sin_port);
}

Test(dial, a_refused_port_is_named)
{
    for (each_backend(backend)) {
        struct wire wire = { .loop = NULL };
        wire_open(&wire, backend, NULL);
        uint16_t port = dead_port();
        char where[32];
        snprintf(where, sizeof where, "127.0.0.1:%u", port);
        wire_dial(&wire, &wire.client, RH_DIAL_OPTS(.host = "127.0.0.1", .port = port));
        cr_expect_not(wire.client.is_down, "never from inside the call");
        cr_assert(wire_until(&wire, wire.client.is_down));
        cr_expect_not(wire.client.is_up);
        cr_expect_eq(wire.client.error.status, RH_E_REFUSED);
        cr_expect_eq(wire.client.error.error_class, RH_CLASS_RECONNECT);
        cr_expect(strstr(wire.client.error.description, where), "%s", wire.client.error.description);
        wire_close(&wire);
    }
}

Test(dial, a_name_that_does_not_exist_is_told)
{
    for (each_backend(backend)) {
        struct wire wire = { .loop = NULL };
        wire_open(&wire, backend, NULL);
        rh_time deadline = rh_loop_now(wire.loop) + RH_SECONDS(2);
        wire_dial(&wire, &wire.client, RH_DIAL_OPTS(.host = "no-such-host.invalid", .port = 5671, .deadline = deadline));
        cr_assert(wire_until(&wire, wire.client.is_down));
        /* Where no name server can be reached the deadline says it. */
        cr_expect(wire.client.error.status == RH_E_NAME || wire.client.error.status == RH_E_TIMEOUT, "%s", wire.client.error.description);
        cr_expect(strstr(wire.client.error.description, "no-such-host.invalid:5671"), "%s", wire.client.error.description);
        cr_expect(strstr(wire.client.error.description, "name") || wire.client.error.status == RH_E_NAME);
        wire_close(&wire);
    }
}

Test(dial, names_below_localhost_need_no_server)
{
    static const char *const hosts[] = { "localhost", "LocalHost.", "bus.localhost" };
    for (each_backend(backend)) {
        for (size_t i = 0; i < sizeof hosts / sizeof *hosts; i++) {
            struct wire wire = { .loop = NULL };
            wire_open(&wire, backend, NULL);
            wire_dial(&wire, &wire.client, RH_DIAL_OPTS(.host = hosts[i], .port = rh_listener_port(wire.listener)));
            cr_assert(wire_until(&wire, wire.client.is_up || wire.client.is_down));
            cr_expect(wire.client.is_up, "%s: %s", hosts[i], wire.client.error.description);
            wire_close(&wire);
        }
    }
}

Test(dial, a_name_leads_to_the_address_that_answers)
{
    for (each_backend(backend)) {
        /* localhost may be ::1 too, where nobody listens: the race goes on to 127.0.0.1. */
        struct wire wire = { .server.echoes = true };
        wire_open(&wire, backend, NULL);
        wire_dial(&wire, &wire.client, RH_DIAL_OPTS(.host = "localhost", .port = rh_listener_port(wire.listener)));
        cr_assert(wire_until(&wire, wire.client.is_up), "%s", wire.client.error.description);
        wire_close(&wire);
    }
}

Test(dial, an_address_that_never_answers_meets_the_deadline)
{
    for (each_backend(backend)) {
        struct wire wire = { .loop = NULL };
        wire_open(&wire, backend, NULL);
        /* A listener whose queue is full drops what comes: no answer, no refusal. */
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), fillers[8];
        struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
        socklen_t n = sizeof address;
        cr_assert_eq(bind(fd, (struct sockaddr *)&address, n) | listen(fd, 0), 0);
        getsockname(fd, (struct sockaddr *)&address, &n);
        for (int i = 0; i < 8; i++) {
            fillers[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
            connect(fillers[i], (struct sockaddr *)&address, n);
        }
        rh_time begin = rh_loop_now(wire.loop);
        wire_dial(&wire, &wire.client, RH_DIAL_OPTS(.host = "127.0.0.1", .port = ntohs(address.sin_port), .deadline = begin + RH_MS(150)));
        cr_assert(wire_until(&wire, wire.client.is_down));
        cr_expect_eq(wire.client.error.status, RH_E_TIMEOUT, "%s", wire.client.error.description);
        cr_expect_geq(rh_loop_now(wire.loop) - begin, RH_MS(150));
        cr_expect_lt(rh_loop_now(wire.loop) - begin, RH_SECONDS(1));
        wire_close(&wire);
        for (int i = 0; i < 8; i++) close(fillers[i]);
        close(fd);
    }
}

Test(dial, an_unreachable_network_is_called_so)
{
    for (each_backend(backend)) {
        struct wire wire = { .loop = NULL };
        wire_open(&wire, backend, NULL);
        /* A multicast group takes no TCP. */
        wire_dial(&wire, &wire.client, RH_DIAL_OPTS(.host = "224.0.0.1", .port = 5671));
        cr_assert(wire_until(&wire, wire.client.is_down));
        cr_expect_eq(wire.client.error.status, RH_E_UNREACHABLE, "%s", wire.client.error.description);
        wire_close(&wire);
    }
}

Test(dial, an_address_may_be_ipv6_with_and_without_brackets)
{
    for (each_backend(backend)) {
        struct wire wire = { .loop = NULL };
        wire_open(&wire, backend, NULL);
        uint16_t port = dead_port();
        static const char *const hosts[] = { "::1", "[::1]" };
        for (int i = 0; i < 2; i++) {
            struct end end = { .pipe = NULL };
            wire_dial(&wire, &end, RH_DIAL_OPTS(.host = hosts[i], .port = port));
            cr_assert(wire_until(&wire, end.is_down));
            cr_expect_neq(end.error.status, RH_E_NAME);
            cr_expect_eq(strncmp(end.error.description, "[::1]:", 6), 0, "%s", end.error.description);
        }
        wire_close(&wire);
    }
}

Test(dial, an_owner_may_change_its_mind_at_any_moment)
{
    for (each_backend(backend)) {
        struct wire wire = { .loop = NULL };
        wire_open(&wire, backend, NULL);
        static const char *const hosts[] = { "127.0.0.1", "localhost", "no-such-host.invalid" };
        for (int host = 0; host < 3; host++)
            for (int turns = 0; turns < 4; turns++) {
                struct end end = { .pipe = NULL };
                wire.server = (struct end){ .pipe = NULL };
                wire_dial(&wire, &end, RH_DIAL_OPTS(.host = hosts[host], .port = rh_listener_port(wire.listener)));
                for (int i = 0; i < turns; i++) cr_assert_eq(rh_loop_turn(wire.loop, RH_NOWAIT), RH_OK);
                if (end.is_down) continue;
                rh_pipe_close(end.pipe, turns % 2);
                cr_assert(wire_until(&wire, end.is_down));
                cr_expect(end.error.status == RH_E_CANCELLED || (end.is_up && end.error.status == RH_OK), "%s", end.error.description);
                wire_pass(&wire, RH_MS(5));
            }
        wire_close(&wire);
    }
}

Test(dial, what_cannot_be_dialed_is_refused_at_once)
{
    struct wire wire = { .loop = NULL };
    wire_open(&wire, RH_BACKEND_AUTO, NULL);
    rh_pipe *pipe;
    cr_expect_eq(rh_loop_dial(wire.loop, RH_DIAL_OPTS(.host = "", .port = 1), &wire_handler, &wire.client, &pipe), RH_E_ARGUMENT);
    cr_expect_eq(rh_loop_dial(wire.loop, RH_DIAL_OPTS(.host = "x"), &wire_handler, &wire.client, &pipe), RH_E_ARGUMENT);
    cr_expect_eq(rh_loop_dial(wire.loop, RH_DIAL_OPTS(.host = "x", .port = 1, .max_frame = 1u << 20), &wire_handler, &wire.client, &pipe),
                 RH_E_ARGUMENT);
    cr_expect_null(pipe);
    wire_close(&wire);
}

Test(listen, a_port_that_is_taken_is_named)
{
    for (each_backend(backend)) {
        struct wire wire = { .loop = NULL };
        wire_open(&wire, backend, NULL);
        rh_listener *second;
        rh_error error;
        uint16_t port = rh_listener_port(wire.listener);
        cr_expect_neq(port, 0);
        cr_expect_eq(rh_loop_listen(wire.loop, RH_LISTEN_OPTS(.port = port), NULL, NULL, &second, &error), RH_E_SYSTEM);
        cr_expect_null(second);
        char where[32];
        snprintf(where, sizeof where, "127.0.0.1:%u", port);
        cr_expect(strstr(error.description, where), "%s", error.description);
        cr_expect_eq(rh_loop_listen(wire.loop, RH_LISTEN_OPTS(.host = "not.numeric"), NULL, NULL, &second, &error), RH_E_ARGUMENT);
        wire_close(&wire);
    }
}

Test(listen, after_its_close_nobody_is_accepted_and_pipes_live_on)
{
    for (each_backend(backend)) {
        struct wire wire = { .server.echoes = true };
        wire_open(&wire, backend, NULL);
        wire_connect(&wire);
        uint16_t port = rh_listener_port(wire.listener);
        rh_listener_close(wire.listener);
        wire_pass(&wire, RH_MS(5));
        struct end late = { .pipe = NULL };
        wire_dial(&wire, &late, RH_DIAL_OPTS(.host = "127.0.0.1", .port = port));
        cr_assert(wire_until(&wire, late.is_down));
        cr_expect_eq(late.error.status, RH_E_REFUSED);
        wire_say(&wire.client, "still here", 10);
        cr_expect(wire_until(&wire, wire.client.frames == 1));
        wire_close(&wire);
    }
}

Test(listen, a_peer_nobody_adopts_is_cut)
{
    for (each_backend(backend)) {
        struct wire wire = { .loop = NULL };
        wire_open(&wire, backend, NULL);
        wire.accepted = NULL;
        wire_dial(&wire, &wire.client, RH_DIAL_OPTS(.host = "127.0.0.1", .port = rh_listener_port(wire.listener)));
        cr_assert(wire_until(&wire, wire.client.is_down));
        cr_expect_eq(wire.client.error.status, RH_E_CONNECTION_LOST);
        wire_close(&wire);
    }
}
