#include "bench/null/null.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

/* -- what waits ------------------------------------------------------------------------------ */

static void append(rh_null_buffer *buffer, const void *p, size_t n)
{
    if (buffer->at == buffer->n) buffer->at = buffer->n = 0;
    if (buffer->n + n > buffer->size) {
        size_t   size   = 2 * (buffer->n + n);
        uint8_t *larger = realloc(buffer->p, size);
        if (!larger) abort();
        buffer->p    = larger;
        buffer->size = size;
    }
    memcpy(buffer->p + buffer->n, p, n);
    buffer->n += n;
}

static size_t send_some(rh_null_stream *stream, const uint8_t *p, size_t n)
{
    size_t sent = 0;
    while (sent < n && !stream->ended) {
        ssize_t took = send(stream->fd, p + sent, n - sent, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (took >= 0) sent += (size_t)took;
        else if (errno == EAGAIN || errno == EWOULDBLOCK) break;
        else if (errno != EINTR) stream->ended = true;
    }
    stream->sent += sent;
    return sent;
}

static bool drained(rh_null_stream *stream, rh_null_buffer *buffer)
{
    if (buffer->at < buffer->n) buffer->at += send_some(stream, buffer->p + buffer->at, buffer->n - buffer->at);
    return buffer->at == buffer->n;
}

/* -- ciphertext: a BIO that gathers what libssl writes --------------------------------------- */

static int sealed_write(BIO *bio, const char *p, int n)
{
    if (n > 0) append(BIO_get_data(bio), p, (size_t)n);
    return n;
}

static long sealed_ctrl(BIO *bio, int what, long n, void *p)
{
    (void)bio, (void)n, (void)p;
    return what == BIO_CTRL_FLUSH;
}

static BIO *sealed_bio(rh_null_buffer *buffer)
{
    static BIO_METHOD *method;
    if (!method && (method = BIO_meth_new(BIO_TYPE_SOURCE_SINK, "sealed"))) {
        BIO_meth_set_write(method, sealed_write);
        BIO_meth_set_ctrl(method, sealed_ctrl);
    }
    BIO *bio = method ? BIO_new(method) : NULL;
    if (!bio) return NULL;
    BIO_set_data(bio, buffer);
    BIO_set_init(bio, 1);
    return bio;
}

bool rh_null_stream_start(rh_null_stream *stream, int fd, SSL_CTX *tls)
{
    stream->fd = fd;
    if (!tls) return true;
    BIO *in = BIO_new_socket(fd, BIO_NOCLOSE), *out = sealed_bio(&stream->sealed);
    stream->tls = SSL_new(tls);
    if (in && out && stream->tls) {
        SSL_set_bio(stream->tls, in, out);
        SSL_set_accept_state(stream->tls);
        return true;
    }
    BIO_free(in);
    BIO_free(out);
    SSL_free(stream->tls);
    close(fd);
    return false;
}

/* -- reading and writing --------------------------------------------------------------------- */

static size_t read_tls(rh_null_stream *stream, uint8_t *p, size_t n)
{
    size_t used = 0;
    while (used < n) {
        size_t got = 0;
        int    one = SSL_read_ex(stream->tls, p + used, n - used, &got);
        used += got;
        /* With nothing left inside libssl, another look would be a system call that mostly finds nothing: epoll will tell. */
        if (one == 1 && SSL_has_pending(stream->tls)) continue;
        if (one == 1) break;
        if (SSL_get_error(stream->tls, one) != SSL_ERROR_WANT_READ) stream->ended = true;
        ERR_clear_error();
        break;
    }
    /* A handshake's flights and tickets wait in sealed. */
    drained(stream, &stream->sealed);
    return used;
}

size_t rh_null_stream_read(rh_null_stream *stream, uint8_t *p, size_t n)
{
    if (stream->tls) return read_tls(stream, p, n);
    for (;;) {
        ssize_t got = recv(stream->fd, p, n, MSG_DONTWAIT);
        if (got > 0) return (size_t)got;
        if (got < 0 && errno == EINTR) continue;
        if (got == 0 || (errno != EAGAIN && errno != EWOULDBLOCK)) stream->ended = true;
        return 0;
    }
}

void rh_null_stream_put(rh_null_stream *stream, const void *p, size_t n) { append(&stream->plain, p, n); }

static bool seal(rh_null_stream *stream, const uint8_t *p, size_t n)
{
    size_t took = 0;
    if (n == 0) return true;
    if (SSL_write_ex(stream->tls, p, n, &took) == 1 && took == n) return true;
    ERR_clear_error();
    return false;
}

bool rh_null_stream_flush(rh_null_stream *stream)
{
    if (!stream->tls) return drained(stream, &stream->plain);
    rh_null_buffer *plain = &stream->plain;
    if (seal(stream, plain->p + plain->at, plain->n - plain->at)) plain->at = plain->n;
    else stream->ended = true;
    return drained(stream, &stream->sealed);
}

bool rh_null_stream_write(rh_null_stream *stream, const uint8_t *p, size_t n)
{
    size_t took = 0;
    bool   free = rh_null_stream_flush(stream);
    if (stream->tls) {
        if (!seal(stream, p, n)) stream->ended = true;
        return drained(stream, &stream->sealed);
    }
    if (free) took = send_some(stream, p, n);
    if (took < n) append(&stream->plain, p + took, n - took);
    return took == n;
}

void rh_null_stream_end(rh_null_stream *stream)
{
    SSL_free(stream->tls);
    close(stream->fd);
    free(stream->plain.p);
    free(stream->sealed.p);
}

/* -- the certificate ------------------------------------------------------------------------- */

static bool add_extension(X509 *certificate, int nid, const char *value)
{
    X509V3_CTX context;
    X509V3_set_ctx_nodb(&context);
    X509V3_set_ctx(&context, certificate, certificate, NULL, NULL, 0);
    X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, &context, nid, value);
    bool            added     = extension && X509_add_ext(certificate, extension, -1);
    X509_EXTENSION_free(extension);
    return added;
}

static X509 *certificate_for(EVP_PKEY *key)
{
    X509 *certificate = X509_new();
    if (!certificate) return NULL;
    X509_NAME *name = X509_get_subject_name(certificate);
    bool       made = X509_set_version(certificate, 2) && ASN1_INTEGER_set(X509_get_serialNumber(certificate), 1)
                && X509_gmtime_adj(X509_getm_notBefore(certificate), -3600)
                && X509_gmtime_adj(X509_getm_notAfter(certificate), 7 * 86400L) && X509_set_pubkey(certificate, key)
                && X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, (const unsigned char *)"localhost", -1, -1, 0)
                && X509_set_issuer_name(certificate, name)
                && add_extension(certificate, NID_basic_constraints, "critical,CA:TRUE")
                && add_extension(certificate, NID_subject_alt_name, "DNS:localhost,IP:127.0.0.1")
                && X509_sign(certificate, key, EVP_sha256());
    if (made) return certificate;
    X509_free(certificate);
    return NULL;
}

static bool write_certificate(const X509 *certificate, const char *file)
{
    FILE *out  = fopen(file, "w");
    bool  done = out && PEM_write_X509(out, certificate);
    return out && fclose(out) == 0 && done;
}

SSL_CTX *rh_null_tls(const char *ca_file)
{
    EVP_PKEY *key         = EVP_EC_gen("P-256");
    X509     *certificate = key ? certificate_for(key) : NULL;
    SSL_CTX  *context     = SSL_CTX_new(TLS_server_method());
    bool      made        = certificate && context && SSL_CTX_use_certificate(context, certificate)
                && SSL_CTX_use_PrivateKey(context, key) && SSL_CTX_set_session_id_context(context, (const unsigned char *)"null", 4)
                && write_certificate(certificate, ca_file);
    X509_free(certificate);
    EVP_PKEY_free(key);
    if (!made) {
        fprintf(stderr, "null: no certificate in %s\n", ca_file);
        SSL_CTX_free(context);
        return NULL;
    }
    SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION);
    SSL_CTX_set_read_ahead(context, 1);
    SSL_CTX_set_default_read_buffer_len(context, RH_NULL_BLOCK);
    return context;
}
