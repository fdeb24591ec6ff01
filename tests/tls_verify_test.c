/*
 * Nobody stops verifying by accident: whatever else a client is told, only `insecure` lets it talk to somebody whose certificate
 * is for another name or from an unknown authority.
 */
#include "tests/wire.h"
#include "transport/tls.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

struct pair {
    char cert[RH_TLS_PEM_MAX], key[RH_TLS_PEM_MAX];
};

static struct pair hub, other;

static void make(struct pair *pair, const char *name)
{
    rh_error error = { .status = RH_OK };
    cr_assert_eq(rh_tls_self_signed(name, pair->cert, sizeof pair->cert, pair->key, sizeof pair->key, &error), RH_OK, "%s", error.description);
}

/* A loop, and a server on it with the certificate of hub.test. */
static void open_hub(struct wire *wire, rh_loop_backend backend)
{
    rh_error error;
    make(&hub, "hub.test");
    make(&other, "other.test");
    const rh_tls_opts *server = RH_TLS_OPTS(.server = true, .cert_pem = rh_str(hub.cert), .key_pem = rh_str(hub.key));
    cr_assert_eq(rh_tls_create(server, &wire->server_tls, &error), RH_OK, "%s", error.description);
    wire_open(wire, backend, NULL);
}

/* How a dial with these options as this name ends: RH_OK for up. */
static rh_status meet(struct wire *wire, rh_tls *tls, const char *name)
{
    struct end end = { .pipe = NULL };
    wire->server = (struct end){ .pipe = NULL };
    rh_dial_opts *opts = RH_DIAL_OPTS(.host = "127.0.0.1", .port = rh_listener_port(wire->listener), .tls = tls, .tls_name = name);
    rh_status status = rh_loop_dial(wire->loop, opts, &wire_handler, &end, &end.pipe);
    if (status) return status;
    cr_assert(wire_until(wire, end.is_up || end.is_down));
    if (end.is_up) {
        status = RH_OK;
        wire_pass(wire, RH_MS(5)); /* the server's tickets come */
        rh_pipe_close(end.pipe, false);
    } else status = end.error.status;
    cr_assert(wire_until(wire, end.is_down && wire->server.is_down));
    return status;
}

static const char *keylog(void)
{
    static char path[] = "/tmp/ringhub-keylog-XXXXXX";
    if (strstr(path, "XXXXXX")) close(mkstemp(path));
    return path;
}

/* Every option there is, set and not set: 16 ways to make a client. */
static rh_tls *make_client(unsigned bits, bool trusts_hub, bool insecure)
{
    rh_tls *tls;
    rh_error error = { .status = RH_OK };
    rh_tls_opts *opts = RH_TLS_OPTS(.insecure = insecure);
    if (bits & 1 || trusts_hub) opts->ca_pem = rh_str(trusts_hub ? hub.cert : other.cert);
    if (bits & 2) opts->cert_pem = rh_str(other.cert), opts->key_pem = rh_str(other.key);
    if (bits & 4) opts->keylog_file = keylog();
    if (bits & 8) opts->size = offsetof(rh_tls_opts, log); /* of somebody compiled with an older header */
    cr_assert_eq(rh_tls_create(opts, &tls, &error), RH_OK, "%s", error.description);
    return tls;
}

Test(verify, nothing_but_insecure_switches_it_off, .timeout = 20)
{
    struct wire wire = { .loop = NULL };
    open_hub(&wire, RH_BACKEND_AUTO);
    for (unsigned bits = 0; bits < 16; bits++) {
        rh_tls *stranger = make_client(bits, false, false), *friend = make_client(bits, true, false), *careless = make_client(bits, false, true);
        cr_expect_eq(meet(&wire, stranger, "hub.test"), RH_E_TLS_UNKNOWN_CA, "options %u", bits);
        cr_expect_eq(meet(&wire, friend, "elsewhere.test"), RH_E_TLS_NAME, "options %u", bits);
        cr_expect_eq(meet(&wire, friend, "hub.test"), RH_OK, "options %u", bits);
        cr_expect_eq(meet(&wire, careless, "elsewhere.test"), RH_OK, "options %u", bits);
        rh_tls_destroy(stranger), rh_tls_destroy(friend), rh_tls_destroy(careless);
    }
    unlink(keylog());
    wire_close(&wire);
}

/* Names that are none, or that libssl would take for any: never a connection. */
Test(verify, a_name_is_verified_as_it_stands, .timeout = 20)
{
    static const char *const names[] = { "", ".", ".test", ".hub.test", "*.test", "hub.tes", "hub.test.", "hub.test.evil.test", "xhub.test",
                                         "hub.test\n", " hub.test", "hub", "test", "127.0.0.2", "::2", "[::2]", "localhos", "0x7f.1", "127.1" };
    struct wire wire = { .loop = NULL };
    open_hub(&wire, RH_BACKEND_AUTO);
    rh_tls *friend = make_client(0, true, false);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        rh_status status = meet(&wire, friend, names[i]);
        cr_expect(status == RH_E_TLS_NAME || status == RH_E_ARGUMENT, "\"%s\": %s", names[i], rh_status_name(status));
    }
    cr_expect_eq(meet(&wire, friend, "HUB.test"), RH_OK, "letters are letters");
    cr_expect_eq(meet(&wire, friend, NULL), RH_OK, "the address that was dialed");
    cr_expect_eq(meet(&wire, friend, "[::1]"), RH_OK);
    rh_tls_destroy(friend);
    wire_close(&wire);
}

/* The session of one who believed anybody opens no door for one who does not, though they share a loop and all but that option. */
Test(verify, a_session_made_without_it_is_not_resumed_with_it, .timeout = 20)
{
    for (each_backend(backend)) {
        struct wire wire = { .loop = NULL };
        rh_tls *careless, *careful;
        rh_error error;
        open_hub(&wire, backend);
        cr_assert_eq(rh_tls_share(wire.loop, RH_TLS_OPTS(.insecure = true), &careless, &error), RH_OK);
        cr_assert_eq(meet(&wire, careless, "hub.test"), RH_OK);
        cr_assert_not_null(rh_tls_recall(careless, "hub.test"), "there is a session to be resumed");
        cr_assert_eq(rh_tls_share(wire.loop, RH_TLS_OPTS(.insecure = false), &careful, &error), RH_OK);
        cr_expect_neq(careful, careless);
        cr_expect_eq(meet(&wire, careful, "hub.test"), RH_E_TLS_UNKNOWN_CA);
        rh_tls_destroy(careless), rh_tls_destroy(careful);
        wire_close(&wire);
    }
}
