/* TLS inside pipes: every test runs on io_uring and on epoll. */
#include "tests/wire.h"

#include <stdlib.h>

static char cert[RH_TLS_PEM_MAX], key[RH_TLS_PEM_MAX];

static void make_contexts(struct wire *wire)
{
    rh_error error = { .status = RH_OK };
    cr_assert_eq(rh_tls_self_signed("hub.test", cert, sizeof cert, key, sizeof key, &error), RH_OK, "%s", error.description);
    cr_assert_eq(rh_tls_create(RH_TLS_OPTS(.server = true, .cert_pem = rh_str(cert), .key_pem = rh_str(key)), &wire->server_tls, &error), RH_OK,
                 "%s", error.description);
    cr_assert_eq(rh_tls_create(RH_TLS_OPTS(.ca_pem = rh_str(cert)), &wire->client_tls, &error), RH_OK, "%s", error.description);
}

Test(tls, what_is_said_comes_back)
{
    for (each_backend(backend)) {
        struct wire wire = { .server.echoes = true };
        make_contexts(&wire);
        wire_open(&wire, backend, NULL);
        wire_connect(&wire);
        end_say(&wire.client, "hello", 5);
        uint64_t digest = end_said_digest(&wire.client);
        cr_assert(wire_until(&wire, wire.client.frames == 1));
        cr_expect_eq(wire.client.digest, digest);
        wire_close(&wire);
        cr_expect_eq(wire.client.error.status, RH_E_CANCELLED);
    }
}
