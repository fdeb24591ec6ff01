/* TLS inside pipes: every test runs on io_uring and on epoll. */
#include "tests/wire.h"
#include "transport/tls.h"

#include <arpa/inet.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

static char cert[RH_TLS_PEM_MAX], key[RH_TLS_PEM_MAX];

static void make_certificate(const char *name)
{
    rh_error error = { .status = RH_OK };
    cr_assert_eq(rh_tls_self_signed(name, cert, sizeof cert, key, sizeof key, &error), RH_OK, "%s", error.description);
}

static rh_tls *make_context(const rh_tls_opts *opts)
{
    rh_tls *tls;
    rh_error error = { .status = RH_OK };
    cr_assert_eq(rh_tls_create(opts, &tls, &error), RH_OK, "%s", error.description);
    return tls;
}

/* A server with the certificate of hub.test, a client that trusts it. */
static void open_trusting(struct wire *wire, rh_loop_backend backend, const rh_loop_opts *opts)
{
    make_certificate("hub.test");
    wire->server_tls = make_context(RH_TLS_OPTS(.server = true, .cert_pem = rh_str(cert), .key_pem = rh_str(key)));
    wire->client_tls = make_context(RH_TLS_OPTS(.ca_pem = rh_str(cert)));
    wire_open(wire, backend, opts);
}

static void dial_as(struct wire *wire, const char *name)
{
    wire_dial(wire, &wire->client,
              RH_DIAL_OPTS(.host = "127.0.0.1", .port = rh_listener_port(wire->listener), .tls = wire->client_tls, .tls_name = name));
}

/* Whom the client meets must fail like this, the words naming that. */
static void expect_refusal(struct wire *wire, const char *name, rh_status status, const char *words)
{
    dial_as(wire, name);
    cr_assert(wire_until(wire, wire->client.is_down));
    cr_expect_not(wire->client.is_up);
    cr_expect_eq(wire->client.error.status, status, "%s: %s", rh_status_name(wire->client.error.status), wire->client.error.description);
    cr_expect(strstr(wire->client.error.description, words), "%s", wire->client.error.description);
    cr_expect_eq(strncmp(wire->client.error.description, "127.0.0.1:", 10), 0, "%s", wire->client.error.description);
}

Test(tls, what_is_said_comes_back)
{
    for (each_backend(backend)) {
        struct wire wire = { .server.echoes = true };
        open_trusting(&wire, backend, NULL);
        wire_connect(&wire); /* by address: 127.0.0.1 stands in the certificate too */
        wire_say(&wire.client, "hello", 5);
        uint64_t digest = wire_said_digest(&wire.client);
        cr_assert(wire_until(&wire, wire.client.frames == 1));
        cr_expect_eq(wire.client.digest, digest);
        wire_close(&wire);
        cr_expect_eq(wire.client.error.status, RH_E_CANCELLED);
    }
}

Test(tls, the_name_asked_for_is_the_name_verified)
{
    for (each_backend(backend)) {
        struct wire wire = { .loop = NULL };
        open_trusting(&wire, backend, NULL);
        dial_as(&wire, "hub.test");
        cr_assert(wire_until(&wire, wire.client.is_up), "%s", wire.client.error.description);
        wire_close(&wire);
    }
}

Test(tls, a_name_that_would_verify_anything_is_refused)
{
    static const char *const names[] = { "", ".test", "." };
    for (each_backend(backend)) {
        struct wire wire = { .loop = NULL };
        open_trusting(&wire, backend, NULL);
        for (size_t i = 0; i < 3; i++)
            cr_expect_eq(rh_loop_dial(wire.loop, RH_DIAL_OPTS(.host = "127.0.0.1", .port = rh_listener_port(wire.listener), .tls = wire.client_tls,
                                                              .tls_name = names[i]), &wire_handler, &wire.client, NULL), RH_E_ARGUMENT, "'%s'", names[i]);
        wire_close(&wire);
    }
}

Test(tls, another_name_is_refused)
{
    for (each_backend(backend)) {
        struct wire wire = { .loop = NULL };
        open_trusting(&wire, backend, NULL);
        expect_refusal(&wire, "other.test", RH_E_TLS_NAME, "the certificate is for hub.test, localhost, not for other.test");
        cr_assert(wire_until(&wire, wire.server.is_down));
        cr_expect_eq(wire.server.error.status, RH_E_TLS, "%s", wire.server.error.description);
        cr_expect(strstr(wire.server.error.description, "alert bad certificate"), "the peer was told why: %s", wire.server.error.description);
        wire_close(&wire);
    }
}

Test(tls, another_address_is_refused)
{
    for (each_backend(backend)) {
        struct wire wire = { .loop = NULL };
        open_trusting(&wire, backend, NULL);
        expect_refusal(&wire, "192.0.2.1", RH_E_TLS_NAME, "not for 192.0.2.1");
        wire_close(&wire);
    }
}

Test(tls, an_unknown_authority_is_refused)
{
    for (each_backend(backend)) {
        struct wire wire = { .loop = NULL };
        make_certificate("hub.test");
        wire.client_tls = make_context(RH_TLS_OPTS(.ca_pem = rh_str(cert)));
        make_certificate("hub.test"); /* another one of the same name */
        wire.server_tls = make_context(RH_TLS_OPTS(.server = true, .cert_pem = rh_str(cert), .key_pem = rh_str(key)));
        wire_open(&wire, backend, NULL);
        expect_refusal(&wire, "hub.test", RH_E_TLS_UNKNOWN_CA, "not signed by a trusted authority");
        cr_assert(wire_until(&wire, wire.server.is_down));
        cr_expect(strstr(wire.server.error.description, "alert unknown ca"), "%s", wire.server.error.description);
        wire_close(&wire);
    }
}

/* The same certificate, valid from and to so many seconds from now. */
static void move_validity(long from, long to)
{
    BIO *in = BIO_new_mem_buf(cert, -1), *key_in = BIO_new_mem_buf(key, -1), *out = BIO_new(BIO_s_mem());
    X509 *x509 = PEM_read_bio_X509(in, NULL, NULL, NULL);
    EVP_PKEY *pkey = PEM_read_bio_PrivateKey(key_in, NULL, NULL, NULL);
    X509_gmtime_adj(X509_getm_notBefore(x509), from);
    X509_gmtime_adj(X509_getm_notAfter(x509), to);
    X509_sign(x509, pkey, EVP_sha256());
    PEM_write_bio_X509(out, x509);
    int n = BIO_read(out, cert, sizeof cert - 1);
    cert[n] = '\0';
    X509_free(x509), EVP_PKEY_free(pkey);
    BIO_free(in), BIO_free(key_in), BIO_free(out);
}

Test(tls, an_expired_certificate_is_refused_and_one_of_tomorrow_too)
{
    static const struct { long from, to; const char *words; } rows[] = {
        { -2 * 86400, -86400, "expired" },
        { 86400, 2 * 86400, "not yet valid" },
    };
    for (each_backend(backend))
        for (size_t i = 0; i < 2; i++) {
            struct wire wire = { .loop = NULL };
            make_certificate("hub.test");
            move_validity(rows[i].from, rows[i].to);
            wire.client_tls = make_context(RH_TLS_OPTS(.ca_pem = rh_str(cert)));
            wire.server_tls = make_context(RH_TLS_OPTS(.server = true, .cert_pem = rh_str(cert), .key_pem = rh_str(key)));
            wire_open(&wire, backend, NULL);
            expect_refusal(&wire, "hub.test", RH_E_TLS_EXPIRED, rows[i].words);
            wire_close(&wire);
        }
}

static void note_warning(void *user, rh_log_level level, const char *id, const char *text)
{
    (void)text;
    if (level == RH_LOG_WARNING && strcmp(id, "tls.insecure") == 0) ++*(int *)user;
}

Test(tls, insecure_believes_anybody_and_says_so)
{
    for (each_backend(backend)) {
        struct wire wire = { .loop = NULL };
        int warned = 0;
        make_certificate("hub.test");
        wire.server_tls = make_context(RH_TLS_OPTS(.server = true, .cert_pem = rh_str(cert), .key_pem = rh_str(key)));
        wire.client_tls = make_context(RH_TLS_OPTS(.insecure = true, .log = { note_warning, &warned }));
        cr_expect_eq(warned, 1);
        wire_open(&wire, backend, NULL);
        dial_as(&wire, "whoever.test");
        cr_expect(wire_until(&wire, wire.client.is_up), "%s", wire.client.error.description);
        wire_close(&wire);
    }
}

Test(tls, much_goes_through_in_full_records_and_arrives)
{
    for (each_backend(backend)) {
        struct wire wire = { .server.echoes = true };
        open_trusting(&wire, backend, NULL);
        wire_connect(&wire);
        rh_loop_stats before, after;
        rh_loop_stats_read(wire.loop, &before);
        wire_say_many(&wire.client, 60, 50000);
        wire_say_many(&wire.client, 1000, 100);
        uint64_t digest = wire_said_digest(&wire.client), bytes = wire.client.said;
        cr_assert(wire_until(&wire, wire.client.bytes_in == bytes));
        cr_expect_eq(wire.client.digest, digest);
        rh_loop_stats_read(wire.loop, &after);
        /* Both directions: a header and a tag for each 16 KiB. */
        uint64_t sealed = after.bytes_out - before.bytes_out;
        cr_expect_lt(sealed, 2 * bytes + 2 * bytes / 100, "%zu bytes on the wire for %zu", (size_t)sealed, (size_t)(2 * bytes));
        cr_expect_eq(after.frame_buffers_used, 0);
        wire_close(&wire);
    }
}

Test(tls, records_cut_into_crumbs_are_read)
{
    for (each_backend(backend)) {
        struct wire wire = { .server.echoes = true };
        open_trusting(&wire, backend, RH_LOOP_OPTS(.receive_buffers = 4, .receive_bytes = 11));
        wire_connect(&wire);
        wire_say_many(&wire.client, 20, 1000);
        uint64_t digest = wire_said_digest(&wire.client);
        cr_assert(wire_until(&wire, wire.client.frames == 20));
        cr_expect_eq(wire.client.digest, digest);
        wire_close(&wire);
    }
}

Test(tls, an_owner_that_stops_and_starts_misses_nothing)
{
    for (each_backend(backend)) {
        struct wire wire = { .loop = NULL };
        open_trusting(&wire, backend, RH_LOOP_OPTS(.receive_buffers = 8, .receive_bytes = 2048));
        wire_connect(&wire);
        wire_expect_stops_and_starts(&wire);
        wire_close(&wire);
    }
}

Test(tls, a_send_that_is_done_at_once_makes_room_for_what_was_held_back)
{
    for (each_backend(backend)) {
        struct wire wire = { .loop = NULL };
        open_trusting(&wire, backend, NULL);
        wire_connect(&wire);
        wire_expect_room_is_noticed(&wire);
        wire_close(&wire);
    }
}

Test(tls, closing_with_flush_delivers_everything_first)
{
    for (each_backend(backend)) {
        struct wire wire = { .loop = NULL };
        open_trusting(&wire, backend, NULL);
        wire_connect(&wire);
        wire_expect_flush(&wire);
        wire_close(&wire);
    }
}

Test(tls, an_owner_may_cut_while_it_is_asked_for_output_or_told_of_it)
{
    for (each_backend(backend))
        for (int in_sent = 0; in_sent < 2; in_sent++) {
            struct wire wire = { .loop = NULL };
            open_trusting(&wire, backend, NULL);
            wire_connect(&wire);
            wire_expect_cut(&wire, in_sent);
            wire_close(&wire);
        }
}

/* Connects, hears something (behind it the ticket has come) and leaves, or is cut; answers how many bytes both ends got. */
static size_t bytes_of_a_visit(struct wire *wire, const char *name, bool leaves)
{
    rh_loop_stats before, after;
    wire->client = (struct end){ .out = wire->client.out };
    wire->server = (struct end){ .out = wire->server.out, .echoes = true };
    rh_loop_stats_read(wire->loop, &before);
    dial_as(wire, name);
    cr_assert(wire_until(wire, wire->client.is_up && wire->server.is_up), "%s", wire->client.error.description);
    wire_say(&wire->client, "x", 1);
    cr_assert(wire_until(wire, wire->client.frames == 1));
    rh_loop_stats_read(wire->loop, &after);
    rh_pipe_close(wire->client.pipe, leaves);
    cr_assert(wire_until(wire, wire->client.is_down && wire->server.is_down));
    return (size_t)(after.bytes_in - before.bytes_in);
}

Test(tls, each_host_that_is_dialed_again_resumes_its_session_also_after_a_cut)
{
    static const char *const names[] = { "hub.test", "localhost" };
    for (each_backend(backend))
        for (int leaves = 0; leaves < 2; leaves++) {
            struct wire wire = { .loop = NULL };
            open_trusting(&wire, backend, NULL);
            size_t bytes[4];
            for (int i = 0; i < 4; i++) bytes[i] = bytes_of_a_visit(&wire, names[i % 2], leaves);
            for (int i = 0; i < 2; i++)
                cr_expect_gt(bytes[i], bytes[i + 2] + 200, "no certificate went to %s: %zu bytes, then %zu", names[i], bytes[i], bytes[i + 2]);
            wire_close(&wire);
        }
}

Test(tls, the_session_of_the_host_before_the_last_eight_is_forgotten)
{
    rh_tls *tls = make_context(RH_TLS_OPTS(.insecure = true));
    char name[16];
    for (int i = 0; i < 9; i++) {
        snprintf(name, sizeof name, "hub-%d", i);
        rh_tls_remember(tls, name, SSL_SESSION_new());
    }
    rh_tls_remember(tls, "hub-5", SSL_SESSION_new());
    cr_expect_null(rh_tls_recall(tls, "hub-0"));
    for (int i = 1; i < 9; i++) {
        snprintf(name, sizeof name, "hub-%d", i);
        cr_expect_not_null(rh_tls_recall(tls, name), "%s", name);
    }
    rh_tls_destroy(tls);
}

Test(tls, a_server_may_ask_for_a_certificate)
{
    for (each_backend(backend))
        for (int has_one = 0; has_one < 2; has_one++) {
            struct wire wire = { .loop = NULL };
            make_certificate("hub.test");
            wire.server_tls = make_context(
                RH_TLS_OPTS(.server = true, .cert_pem = rh_str(cert), .key_pem = rh_str(key), .ca_pem = rh_str(cert)));
            rh_tls_opts opts = *RH_TLS_OPTS(.ca_pem = rh_str(cert));
            if (has_one) opts.cert_pem = rh_str(cert), opts.key_pem = rh_str(key);
            wire.client_tls = make_context(&opts);
            wire_open(&wire, backend, NULL);
            dial_as(&wire, "hub.test");
            cr_assert(wire_until(&wire, wire.server.is_up || (wire.server.is_down && wire.client.is_down)));
            cr_expect_eq(wire.server.is_up, has_one);
            if (!has_one) cr_expect(strstr(wire.client.error.description, "certificate required"), "%s", wire.client.error.description);
            wire_close(&wire);
        }
}

/* -- peers that are not ours: OpenSSL with blocking calls on a thread --------------------------------- */

struct stranger {
    pthread_t thread;
    int       listening;
    uint16_t  port;
    int       max_version;
    enum { TRUNCATES, NOTIFIES, WAITS_FOR_NOTIFY, STALLS, SPEAKS_PLAIN, IS_MUTE } manner;
    bool      got_notify;
    size_t    got;
    bool      refused;
    char      reason[128];
};

static void misbehave(struct stranger *stranger, SSL *ssl)
{
    static const uint8_t frame[] = { 0, 0, 0, 7, 'b', 'y', 'e' };
    char bytes[4096];
    int n;
    SSL_write(ssl, frame, sizeof frame);
    if (stranger->manner == NOTIFIES) {
        SSL_shutdown(ssl);
        usleep(50000); /* our side of TCP stays open */
    }
    if (stranger->manner == STALLS) {
        static const uint8_t half[] = { 23, 3, 3, 0x40, 0, 'h', 'a', 'l', 'f' };
        send(SSL_get_fd(ssl), half, sizeof half, MSG_NOSIGNAL);
        usleep(600000);
    }
    if (stranger->manner != WAITS_FOR_NOTIFY) return;
    while ((n = SSL_read(ssl, bytes, sizeof bytes)) > 0) stranger->got += (size_t)n;
    stranger->got_notify = SSL_get_error(ssl, n) == SSL_ERROR_ZERO_RETURN;
}

static void *serve_strangely(void *user)
{
    struct stranger *stranger = user;
    int fd = accept(stranger->listening, NULL, NULL);
    if (stranger->manner == SPEAKS_PLAIN) send(fd, "220 hello, this is mail\r\n", 25, MSG_NOSIGNAL), usleep(50000);
    if (stranger->manner == IS_MUTE) usleep(400000);
    if (stranger->manner >= SPEAKS_PLAIN) {
        close(fd);
        return NULL;
    }
    SSL_CTX *context = SSL_CTX_new(TLS_server_method());
    SSL_CTX_set_cipher_list(context, "DEFAULT@SECLEVEL=0");
    SSL_CTX_set_min_proto_version(context, TLS1_VERSION);
    SSL_CTX_set_max_proto_version(context, stranger->max_version);
    BIO *in = BIO_new_mem_buf(cert, -1), *key_in = BIO_new_mem_buf(key, -1);
    X509 *x509 = PEM_read_bio_X509(in, NULL, NULL, NULL);
    EVP_PKEY *pkey = PEM_read_bio_PrivateKey(key_in, NULL, NULL, NULL);
    SSL_CTX_use_certificate(context, x509);
    SSL_CTX_use_PrivateKey(context, pkey);
    SSL *ssl = SSL_new(context);
    SSL_set_fd(ssl, fd);
    if (SSL_accept(ssl) == 1) misbehave(stranger, ssl);
    else stranger->refused = true;
    close(fd);
    SSL_free(ssl), X509_free(x509), EVP_PKEY_free(pkey), BIO_free(in), BIO_free(key_in), SSL_CTX_free(context);
    return NULL;
}

static void meet(struct stranger *stranger, struct wire *wire)
{
    make_certificate("hub.test");
    struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t n = sizeof address;
    stranger->listening = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (stranger->manner == STALLS) setsockopt(stranger->listening, SOL_SOCKET, SO_RCVBUF, &(int){ 65536 }, sizeof(int));
    cr_assert_eq(bind(stranger->listening, (struct sockaddr *)&address, n) | listen(stranger->listening, 1), 0);
    getsockname(stranger->listening, (struct sockaddr *)&address, &n);
    if (!stranger->max_version) stranger->max_version = TLS1_3_VERSION;
    pthread_create(&stranger->thread, NULL, serve_strangely, stranger);
    wire->client_tls = make_context(RH_TLS_OPTS(.ca_pem = rh_str(cert)));
    wire_dial(wire, &wire->client,
              RH_DIAL_OPTS(.host = "127.0.0.1", .port = ntohs(address.sin_port), .tls = wire->client_tls, .tls_name = "hub.test",
                           .deadline = rh_loop_now(wire->loop) + RH_MS(200)));
}

static void part(struct stranger *stranger)
{
    pthread_join(stranger->thread, NULL);
    close(stranger->listening);
}

Test(tls, a_stream_cut_without_close_notify_is_truncated)
{
    for (each_backend(backend))
        for (int version = TLS1_2_VERSION; version <= TLS1_3_VERSION; version++) {
            struct wire wire = { .loop = NULL };
            struct stranger stranger = { .manner = TRUNCATES, .max_version = version };
            wire_open(&wire, backend, NULL);
            meet(&stranger, &wire);
            cr_assert(wire_until(&wire, wire.client.is_down));
            cr_expect_eq(wire.client.frames, 1, "what came before the cut is good");
            cr_expect_eq(wire.client.error.status, RH_E_TLS_TRUNCATED, "%s", wire.client.error.description);
            part(&stranger);
            wire_close(&wire);
        }
}

Test(tls, a_peer_that_stops_within_a_record_and_reads_nothing_makes_no_busy_loop)
{
    for (each_backend(backend)) {
        struct wire wire = { .loop = NULL };
        struct stranger stranger = { .manner = STALLS };
        wire_open(&wire, backend, NULL);
        meet(&stranger, &wire);
        cr_assert(wire_until(&wire, wire.client.frames == 1));
        wire_say_many(&wire.client, 120, 60000); /* more than the socket takes */
        wire_pass(&wire, RH_MS(200));
        rh_loop_stats before, after;
        rh_loop_stats_read(wire.loop, &before);
        rh_pipe_wake(wire.client.pipe); /* its owner has more to say */
        wire_pass(&wire, RH_MS(200));
        rh_loop_stats_read(wire.loop, &after);
        cr_expect_lt(wire.client.gone, wire.client.said, "a send is stuck");
        cr_expect_leq(after.turns - before.turns, 8, "%zu turns while nothing could move", (size_t)(after.turns - before.turns));
        part(&stranger);
        wire_close(&wire);
    }
}

Test(tls, a_peer_that_ends_its_side_in_order_has_closed)
{
    for (each_backend(backend))
        for (int version = TLS1_2_VERSION; version <= TLS1_3_VERSION; version++) {
            struct wire wire = { .loop = NULL };
            struct stranger stranger = { .manner = NOTIFIES, .max_version = version };
            wire_open(&wire, backend, NULL);
            meet(&stranger, &wire);
            cr_assert(wire_until(&wire, wire.client.is_down));
            cr_expect_eq(wire.client.frames, 1);
            cr_expect_eq(wire.client.error.status, RH_E_CONNECTION_LOST, "%s", wire.client.error.description);
            part(&stranger);
            wire_close(&wire);
        }
}

Test(tls, our_end_is_told_with_close_notify_and_theirs_may_be_short)
{
    for (each_backend(backend)) {
        struct wire wire = { .loop = NULL };
        struct stranger stranger = { .manner = WAITS_FOR_NOTIFY };
        wire_open(&wire, backend, NULL);
        meet(&stranger, &wire);
        cr_assert(wire_until(&wire, wire.client.is_up));
        wire_say_many(&wire.client, 10, 30000);
        rh_pipe_close(wire.client.pipe, true);
        cr_assert(wire_until(&wire, wire.client.is_down));
        cr_expect_eq(wire.client.error.status, RH_OK, "after our close its end needs no close_notify: %s", wire.client.error.description);
        part(&stranger);
        cr_expect(stranger.got_notify);
        cr_expect_eq(stranger.got, 10 * 30004);
        wire_close(&wire);
    }
}

Test(tls, a_server_of_tls_1_1_is_refused)
{
    for (each_backend(backend)) {
        struct wire wire = { .loop = NULL };
        struct stranger stranger = { .max_version = TLS1_1_VERSION };
        wire_open(&wire, backend, NULL);
        meet(&stranger, &wire);
        cr_assert(wire_until(&wire, wire.client.is_down));
        cr_expect_eq(wire.client.error.status, RH_E_TLS_VERSION, "%s", wire.client.error.description);
        cr_expect(strstr(wire.client.error.description, "version") || strstr(wire.client.error.description, "protocol"), "%s",
                  wire.client.error.description);
        part(&stranger);
        cr_expect(stranger.refused);
        wire_close(&wire);
    }
}

Test(tls, a_server_that_speaks_no_tls_is_called_so)
{
    for (each_backend(backend)) {
        struct wire wire = { .loop = NULL };
        struct stranger stranger = { .manner = SPEAKS_PLAIN };
        wire_open(&wire, backend, NULL);
        meet(&stranger, &wire);
        cr_assert(wire_until(&wire, wire.client.is_down));
        cr_expect_eq(wire.client.error.status, RH_E_TLS);
        cr_expect(strstr(wire.client.error.description, "does not speak TLS"), "%s", wire.client.error.description);
        cr_expect_eq(wire.client.error.error_class, RH_CLASS_TERMINAL, "nor would it the next time");
        part(&stranger);
        wire_close(&wire);
    }
}

Test(tls, a_silent_handshake_meets_the_deadline)
{
    for (each_backend(backend)) {
        struct wire wire = { .loop = NULL };
        struct stranger stranger = { .manner = IS_MUTE };
        wire_open(&wire, backend, NULL);
        meet(&stranger, &wire);
        cr_assert(wire_until(&wire, wire.client.is_down));
        cr_expect_eq(wire.client.error.status, RH_E_TIMEOUT);
        cr_expect(strstr(wire.client.error.description, "TLS handshake"), "%s", wire.client.error.description);
        part(&stranger);
        wire_close(&wire);
    }
}

/* A client of TLS 1.1 at our own door. */
static void *knock_with_1_1(void *user)
{
    struct stranger *stranger = user;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons(stranger->port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    SSL_CTX *context = SSL_CTX_new(TLS_client_method());
    SSL_CTX_set_cipher_list(context, "DEFAULT@SECLEVEL=0");
    SSL_CTX_set_min_proto_version(context, TLS1_VERSION);
    SSL_CTX_set_max_proto_version(context, TLS1_1_VERSION);
    SSL *ssl = SSL_new(context);
    if (connect(fd, (struct sockaddr *)&to, sizeof to) == 0 && SSL_set_fd(ssl, fd) == 1) stranger->refused = SSL_connect(ssl) != 1;
    const char *reason = ERR_reason_error_string(ERR_peek_error());
    snprintf(stranger->reason, sizeof stranger->reason, "%s", reason ? reason : "");
    SSL_free(ssl), SSL_CTX_free(context);
    close(fd);
    return NULL;
}

Test(tls, a_client_of_tls_1_1_is_refused_and_told_why)
{
    for (each_backend(backend)) {
        struct wire wire = { .loop = NULL };
        open_trusting(&wire, backend, NULL);
        struct stranger stranger = { .port = rh_listener_port(wire.listener) };
        pthread_create(&stranger.thread, NULL, knock_with_1_1, &stranger);
        cr_assert(wire_until(&wire, wire.server.is_down));
        pthread_join(stranger.thread, NULL);
        cr_expect_eq(wire.server.error.status, RH_E_TLS_VERSION, "%s", wire.server.error.description);
        cr_expect(stranger.refused);
        cr_expect(strstr(stranger.reason, "alert protocol version"), "%s", stranger.reason);
        wire_close(&wire);
    }
}

/* -- contexts ---------------------------------------------------------------------------------------- */

Test(tls, what_cannot_be_a_certificate_is_refused_by_name)
{
    static const char nonsense[] = "-----BEGIN CERTIFICATE-----\nbm9uc2Vuc2U=\n-----END CERTIFICATE-----\n";
    char other_key[RH_TLS_PEM_MAX], other_cert[RH_TLS_PEM_MAX];
    rh_tls *tls;
    rh_error error;
    make_certificate(NULL);
    cr_assert_eq(rh_tls_self_signed(NULL, other_cert, sizeof other_cert, other_key, sizeof other_key, NULL), RH_OK);
    cr_expect_eq(rh_tls_create(RH_TLS_OPTS(.ca_file = "/no/such/file.pem"), &tls, &error), RH_E_IO);
    cr_expect_null(tls);
    cr_expect(strstr(error.description, "/no/such/file.pem"), "%s", error.description);
    cr_expect_eq(rh_tls_create(RH_TLS_OPTS(.ca_pem = rh_str(nonsense)), &tls, &error), RH_E_TLS_CERTIFICATE);
    cr_expect_eq(rh_tls_create(RH_TLS_OPTS(.ca_pem = rh_str("empty")), &tls, &error), RH_E_TLS_CERTIFICATE);
    cr_expect_eq(rh_tls_create(RH_TLS_OPTS(.server = true), &tls, &error), RH_E_TLS_CERTIFICATE);
    cr_expect_eq(rh_tls_create(RH_TLS_OPTS(.server = true, .cert_pem = rh_str(cert), .key_pem = rh_str(other_key)), &tls, &error),
                 RH_E_TLS_CERTIFICATE);
    cr_expect(strstr(error.description, "key"), "%s", error.description);
    cr_expect_eq(rh_tls_self_signed("x", cert, 10, key, sizeof key, &error), RH_E_SPACE);
    cr_expect_eq(rh_tls_self_signed("x,IP:1.2.3.4", cert, sizeof cert, key, sizeof key, &error), RH_E_TLS_CERTIFICATE);
}

Test(tls, the_keys_of_a_stream_can_be_logged)
{
    char path[] = "/tmp/rh-keylog-XXXXXX";
    int fd = mkstemp(path);
    struct wire wire = { .loop = NULL };
    make_certificate("hub.test");
    wire.server_tls = make_context(RH_TLS_OPTS(.server = true, .cert_pem = rh_str(cert), .key_pem = rh_str(key)));
    wire.client_tls = make_context(RH_TLS_OPTS(.ca_pem = rh_str(cert), .keylog_file = path));
    wire_open(&wire, RH_BACKEND_AUTO, NULL);
    wire_connect(&wire);
    char text[4096];
    ssize_t n = read(fd, text, sizeof text - 1);
    text[n > 0 ? n : 0] = '\0';
    cr_expect(strstr(text, "CLIENT_TRAFFIC_SECRET_0 "));
    close(fd);
    unlink(path);
    wire_close(&wire);
}
