/*
 * Records that OpenSSL would never write. The peer shakes hands with OpenSSL's help and then seals its records itself, with the
 * secret that a debugger would be given: empty ones, alerts in the middle of a frame, ends in the middle of a record.
 */
#include "tests/wire.h"
#include "transport/tls.h"

#include <arpa/inet.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <pthread.h>
#include <sys/socket.h>
#include <unistd.h>

enum { ALERT = 21, DATA = 23 };

static char cert[RH_TLS_PEM_MAX], key[RH_TLS_PEM_MAX];

struct sealer {
    pthread_t thread;
    int       listening, fd;
    uint16_t  port;
    uint8_t   secret[32];
    uint64_t  sealed; /* records under this key */
    void (*speak)(struct sealer *);
};

/* -- sealing [RFC 8446, 5.2, 7.1, 7.3] ------------------------------------------------------------- */

static void on_secret(const SSL *ssl, const char *line)
{
    static const char label[] = "SERVER_TRAFFIC_SECRET_0 ";
    struct sealer *sealer = SSL_get_app_data(ssl);
    if (strncmp(line, label, sizeof label - 1) != 0) return;
    const char *at = strrchr(line, ' ') + 1;
    for (size_t i = 0; i < sizeof sealer->secret; i++) {
        unsigned byte = 0;
        sscanf(at + 2 * i, "%2x", &byte);
        sealer->secret[i] = (uint8_t)byte;
    }
}

static void expand(const uint8_t *secret, const char *name, uint8_t *out, uint8_t n)
{
    uint8_t info[32] = { 0, n, (uint8_t)(6 + strlen(name)), 't', 'l', 's', '1', '3', ' ' }, block[32];
    size_t at = 9 + strlen(name);
    memcpy(info + 9, name, strlen(name));
    info[at + 1] = 1; /* behind the empty context */
    HMAC(EVP_sha256(), secret, 32, info, at + 2, block, NULL);
    memcpy(out, block, n);
}

/* Answers the size of the record. */
static size_t seal(struct sealer *sealer, uint8_t type, const void *bytes, size_t n, uint8_t *record)
{
    uint8_t own_key[16], nonce[12], inner[1024];
    int written;
    expand(sealer->secret, "key", own_key, sizeof own_key);
    expand(sealer->secret, "iv", nonce, sizeof nonce);
    for (int i = 0; i < 8; i++) nonce[11 - i] ^= (uint8_t)(sealer->sealed >> 8 * i);
    sealer->sealed++;
    if (n) memcpy(inner, bytes, n);
    inner[n] = type;
    memcpy(record, (uint8_t[]){ DATA, 3, 3, (uint8_t)((n + 17) >> 8), (uint8_t)(n + 17) }, 5);
    EVP_CIPHER_CTX *context = EVP_CIPHER_CTX_new();
    EVP_EncryptInit_ex(context, EVP_aes_128_gcm(), NULL, own_key, nonce);
    EVP_EncryptUpdate(context, NULL, &written, record, 5);
    EVP_EncryptUpdate(context, record + 5, &written, inner, (int)n + 1);
    EVP_EncryptFinal_ex(context, record + 5 + n + 1, &written);
    EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_GCM_GET_TAG, 16, record + 5 + n + 1);
    EVP_CIPHER_CTX_free(context);
    return 5 + n + 17;
}

static void say(struct sealer *sealer, uint8_t type, const void *bytes, size_t n)
{
    uint8_t record[1100];
    send(sealer->fd, record, seal(sealer, type, bytes, n, record), MSG_NOSIGNAL);
}

/* -- the peer -------------------------------------------------------------------------------------- */

static void *serve(void *user)
{
    struct sealer *sealer = user;
    SSL_CTX *context = SSL_CTX_new(TLS_server_method());
    BIO *in = BIO_new_mem_buf(cert, -1), *key_in = BIO_new_mem_buf(key, -1);
    X509 *x509 = PEM_read_bio_X509(in, NULL, NULL, NULL);
    EVP_PKEY *pkey = PEM_read_bio_PrivateKey(key_in, NULL, NULL, NULL);
    SSL_CTX_use_certificate(context, x509);
    SSL_CTX_use_PrivateKey(context, pkey);
    SSL_CTX_set_min_proto_version(context, TLS1_3_VERSION);
    SSL_CTX_set_ciphersuites(context, "TLS_AES_128_GCM_SHA256");
    SSL_CTX_set_num_tickets(context, 0); /* they would be records, too */
    SSL_CTX_set_keylog_callback(context, on_secret);
    sealer->fd = accept(sealer->listening, NULL, NULL);
    SSL *ssl = SSL_new(context);
    SSL_set_app_data(ssl, sealer);
    SSL_set_fd(ssl, sealer->fd);
    if (SSL_accept(ssl) == 1) sealer->speak(sealer);
    usleep(20000); /* so that what was said is not overtaken by a reset */
    close(sealer->fd);
    SSL_free(ssl), X509_free(x509), EVP_PKEY_free(pkey), BIO_free(in), BIO_free(key_in), SSL_CTX_free(context);
    return NULL;
}

static void meet(struct wire *wire, struct sealer *sealer)
{
    rh_error error = { .status = RH_OK };
    struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t n = sizeof address;
    cr_assert_eq(rh_tls_self_signed("hub.test", cert, sizeof cert, key, sizeof key, &error), RH_OK);
    cr_assert_eq(rh_tls_create(RH_TLS_OPTS(.ca_pem = rh_str(cert)), &wire->client_tls, &error), RH_OK);
    sealer->listening = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    cr_assert_eq(bind(sealer->listening, (struct sockaddr *)&address, n) | listen(sealer->listening, 1), 0);
    getsockname(sealer->listening, (struct sockaddr *)&address, &n);
    pthread_create(&sealer->thread, NULL, serve, sealer);
    wire_dial(wire, &wire->client,
              RH_DIAL_OPTS(.host = "127.0.0.1", .port = ntohs(address.sin_port), .tls = wire->client_tls, .tls_name = "hub.test"));
}

/* The pipe falls with this status, after so many frames; answers its words. */
static void expect_end(void (*speak)(struct sealer *), uint64_t frames, rh_status status, const char *words)
{
    for (each_backend(backend)) {
        struct wire wire = { .loop = NULL };
        struct sealer sealer = { .speak = speak };
        wire_open(&wire, backend, NULL);
        meet(&wire, &sealer);
        cr_assert(wire_until(&wire, wire.client.is_down));
        cr_expect_eq(wire.client.frames, frames);
        cr_expect_eq(wire.client.error.status, status, "%s: %s", rh_status_name(wire.client.error.status), wire.client.error.description);
        cr_expect(strstr(wire.client.error.description, words), "%s", wire.client.error.description);
        cr_expect_eq(wire.client.error.error_class, RH_CLASS_RECONNECT, "another stream may be whole");
        pthread_join(sealer.thread, NULL);
        close(sealer.listening);
        wire_close(&wire);
    }
}

/* -- stories --------------------------------------------------------------------------------------- */

static const uint8_t frame[] = { 0, 0, 0, 8, 'w', 'o', 'r', 'd' };
static const uint8_t close_notify[] = { 1, 0 }, internal_error[] = { 2, 80 };

static void say_between_empty_records(struct sealer *sealer)
{
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < 10; i++) say(sealer, DATA, "", 0);
        say(sealer, DATA, frame, 3);
        for (int i = 0; i < 10; i++) say(sealer, DATA, "", 0);
        say(sealer, DATA, frame + 3, sizeof frame - 3);
    }
    say(sealer, ALERT, close_notify, sizeof close_notify);
}

/* [RFC 8446, 5.1] They are allowed, against whoever counts the sizes of records. */
Test(record, empty_ones_change_nothing, .timeout = 10)
{
    expect_end(say_between_empty_records, 3, RH_E_CONNECTION_LOST, "the peer closed");
}

static void say_nothing_again_and_again(struct sealer *sealer)
{
    uint8_t records[22 * 40];
    size_t n = 0;
    say(sealer, DATA, frame, sizeof frame);
    for (int i = 0; i < 40; i++) n += seal(sealer, DATA, "", 0, records + n);
    send(sealer->fd, records, n, MSG_NOSIGNAL);
}

Test(record, empty_ones_without_end_end_the_stream, .timeout = 10)
{
    expect_end(say_nothing_again_and_again, 1, RH_E_TLS, "record too small");
}

static void give_up_within_a_frame(struct sealer *sealer)
{
    say(sealer, DATA, frame, sizeof frame);
    say(sealer, DATA, frame, 5);
    say(sealer, ALERT, internal_error, sizeof internal_error);
    say(sealer, DATA, frame + 5, 3);
}

Test(record, an_alert_within_a_frame_is_the_end_and_its_reason, .timeout = 10)
{
    expect_end(give_up_within_a_frame, 1, RH_E_TLS, "the peer refused TLS: tlsv1 alert internal error");
}

/* What should be the rest of a record is an alert in the clear: nobody who knows the key wrote that. */
static void give_up_within_a_record(struct sealer *sealer)
{
    uint8_t record[64];
    size_t n = seal(sealer, DATA, frame, sizeof frame, record);
    memcpy(record + n - 7, (uint8_t[]){ ALERT, 3, 3, 0, 2, 2, 80 }, 7);
    send(sealer->fd, record, n, MSG_NOSIGNAL);
}

Test(record, an_alert_within_a_record_is_a_broken_record, .timeout = 10)
{
    expect_end(give_up_within_a_record, 0, RH_E_TLS, "bad record mac");
}

static void end_within_a_record(struct sealer *sealer)
{
    uint8_t record[64];
    say(sealer, DATA, frame, sizeof frame);
    size_t n = seal(sealer, DATA, frame, sizeof frame, record);
    send(sealer->fd, record, n - 1, MSG_NOSIGNAL);
}

Test(record, an_end_within_a_record_is_a_truncated_stream, .timeout = 10)
{
    expect_end(end_within_a_record, 1, RH_E_TLS_TRUNCATED, "may be incomplete");
}

static void end_within_a_frame(struct sealer *sealer)
{
    say(sealer, DATA, frame, sizeof frame);
    say(sealer, DATA, frame, 7);
    say(sealer, ALERT, close_notify, sizeof close_notify);
}

Test(record, an_end_in_order_within_a_frame_brings_no_half_frame, .timeout = 10)
{
    expect_end(end_within_a_frame, 1, RH_E_CONNECTION_LOST, "the peer closed");
}
