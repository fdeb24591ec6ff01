/* Pipes over TCP: every test runs on io_uring and on epoll. */
#include "tests/wire.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <unistd.h>

Test(pipe, what_is_said_comes_back)
{
    for (each_backend(backend)) {
        struct wire wire = { .server.echoes = true };
        wire_open(&wire, backend, NULL);
        cr_assert_str_eq(rh_loop_backend_name(wire.loop), backend == RH_BACKEND_URING && !wire.logged_epoll ? "io_uring" : "epoll");
        wire_connect(&wire);
        end_say(&wire.client, "hello", 5);
        uint64_t digest = end_said_digest(&wire.client);
        cr_assert(wire_until(&wire, wire.client.frames == 1));
        cr_expect_eq(wire.client.digest, digest);
        cr_expect_eq(wire.client.sent_total, 9);
        wire_close(&wire);
        cr_expect(wire.client.is_down && wire.server.is_down);
        cr_expect_eq(wire.client.error.status, RH_E_CANCELLED);
    }
}
