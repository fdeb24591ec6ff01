#include "transport/tls.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* -- the BIO: libssl reads what the session was lent and writes to its buffer --------------------- */

static int bio_read(BIO *bio, char *bytes, size_t n, size_t *got)
{
    rh_tls_session *session = BIO_get_data(bio);
    BIO_clear_retry_flags(bio);
    if (session->in_n == 0) {
        BIO_set_retry_read(bio);
        return 0;
    }
    *got = n < session->in_n ? n : session->in_n;
    memcpy(bytes, session->in, *got);
    session->in += *got;
    session->in_n -= *got;
    return 1;
}

static int bio_write(BIO *bio, const char *bytes, size_t n, size_t *put)
{
    rh_tls_session *session = BIO_get_data(bio);
    rh_buffers *buffers = &session->pipe->reactor->sealed;
    BIO_clear_retry_flags(bio);
    if (!session->out) session->out = rh_buffer_borrow(buffers);
    if (!session->out) {
        ERR_raise(ERR_LIB_USER, ERR_R_MALLOC_FAILURE);
        return 0; /* fatal: libssl fails with it */
    }
    size_t room = buffers->room - session->out->n;
    if (room == 0) {
        BIO_set_retry_write(bio);
        return 0;
    }
    *put = n < room ? n : room;
    memcpy(session->out->bytes + session->out->n, bytes, *put);
    session->out->n += *put;
    return 1;
}

static long bio_control(BIO *bio, int command, long number, void *pointer)
{
    (void)bio, (void)number, (void)pointer;
    return command == BIO_CTRL_FLUSH;
}

static BIO_METHOD *make_method(void)
{
    BIO_METHOD *method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "ringhub pipe");
    if (!method) return NULL;
    BIO_meth_set_read_ex(method, bio_read);
    BIO_meth_set_write_ex(method, bio_write);
    BIO_meth_set_ctrl(method, bio_control);
    return method;
}

/* -- certificates ------------------------------------------------------------------------------- */

static rh_status refuse(rh_error *error, rh_status status, const char *what, const char *words)
{
    if (error) {
        char text[400];
        snprintf(text, sizeof text, "%s: %s", what, words);
        rh_error_set(error, status, NULL, text);
    }
    return status;
}

static rh_status refuse_ssl(rh_error *error, const char *what)
{
    char words[160];
    rh_status status = rh_tls_queue_words(RH_E_TLS_CERTIFICATE, words, sizeof words);
    return refuse(error, status, what, words);
}

/* A library that asks on the terminal for a password has taken the terminal away from the program. */
static int no_password(char *text, int n, int writing, void *user)
{
    (void)text, (void)n, (void)writing, (void)user;
    return -1;
}

/* A source of PEM: a file, or bytes. Answers NULL with the error told. */
static BIO *open_pem(const char *file, rh_slice pem, rh_error *error)
{
    BIO *bio = file ? BIO_new_file(file, "r") : BIO_new_mem_buf(pem.p, (int)pem.n);
    if (bio) return bio;
    int saved = errno;
    ERR_clear_error();
    (void)refuse(error, file ? RH_E_IO : RH_E_MEMORY, file ? file : "certificate", file ? strerrordesc_np(saved) : "out of memory");
    if (error) error->os_error = file ? saved : 0;
    return NULL;
}

/* Calls take for each certificate; answers how many there were, or -1 with the error told. */
static int each_certificate(const char *file, rh_slice pem, SSL_CTX *context, int (*take)(SSL_CTX *, X509 *, int at),
                            rh_error *error)
{
    BIO *bio = open_pem(file, pem, error);
    if (!bio) return -1;
    int count = 0;
    X509 *certificate;
    while ((certificate = PEM_read_bio_X509_AUX(bio, NULL, no_password, NULL))) {
        int taken = take(context, certificate, count);
        X509_free(certificate);
        if (!taken) break;
        count++;
    }
    BIO_free(bio);
    bool at_end = ERR_GET_REASON(ERR_peek_last_error()) == PEM_R_NO_START_LINE;
    if (count > 0 && at_end) {
        ERR_clear_error();
        return count;
    }
    (void)refuse_ssl(error, file ? file : "certificate");
    return -1;
}

static int take_authority(SSL_CTX *context, X509 *certificate, int at)
{
    (void)at;
    return X509_STORE_add_cert(SSL_CTX_get_cert_store(context), certificate);
}

static int take_own(SSL_CTX *context, X509 *certificate, int at)
{
    return at == 0 ? SSL_CTX_use_certificate(context, certificate) : (int)SSL_CTX_add1_chain_cert(context, certificate);
}

static rh_status load_authorities(SSL_CTX *context, const rh_tls_opts *opts, rh_error *error)
{
    if (opts->ca_file || opts->ca_pem.p)
        return each_certificate(opts->ca_file, opts->ca_pem, context, take_authority, error) < 0 ? RH_E_TLS_CERTIFICATE
                                                                                                 : RH_OK;
    if (!opts->server && SSL_CTX_set_default_verify_paths(context) != 1)
        return refuse_ssl(error, "the system's authorities");
    ERR_clear_error();
    return RH_OK;
}

static rh_status load_own(SSL_CTX *context, const rh_tls_opts *opts, rh_error *error)
{
    bool has_certificate = opts->cert_file || opts->cert_pem.p, has_key = opts->key_file || opts->key_pem.p;
    if (!has_certificate && !has_key && !opts->server) return RH_OK;
    if (!has_certificate || !has_key)
        return refuse(error, RH_E_TLS_CERTIFICATE, "TLS", "a certificate and its key are needed, both");
    if (each_certificate(opts->cert_file, opts->cert_pem, context, take_own, error) < 0) return RH_E_TLS_CERTIFICATE;
    BIO *bio = open_pem(opts->key_file, opts->key_pem, error);
    if (!bio) return RH_E_TLS_CERTIFICATE;
    EVP_PKEY *key = PEM_read_bio_PrivateKey(bio, NULL, no_password, NULL);
    bool done = key && SSL_CTX_use_PrivateKey(context, key) == 1 && SSL_CTX_check_private_key(context) == 1;
    EVP_PKEY_free(key);
    BIO_free(bio);
    return done ? RH_OK : refuse_ssl(error, opts->key_file ? opts->key_file : "private key");
}

/* -- the context -------------------------------------------------------------------------------- */

static int on_new_session(SSL *ssl, SSL_SESSION *session)
{
    rh_tls_session *own = SSL_get_app_data(ssl);
    rh_tls_remember(own->tls, own->name, session);
    return 1; /* the reference is ours */
}

/* libssl forgets a certificate that it refuses, and the user wants to know whose it was. */
static int on_verify(int is_good, X509_STORE_CTX *store)
{
    SSL *ssl = X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx());
    rh_tls_session *session = SSL_get_app_data(ssl);
    X509 *leaf = X509_STORE_CTX_get0_cert(store);
    if (!is_good && leaf && !session->refused && X509_up_ref(leaf)) session->refused = leaf;
    return is_good;
}

static void on_keylog(const SSL *ssl, const char *line)
{
    const rh_tls_session *session = SSL_get_app_data(ssl);
    char text[400];
    int n = snprintf(text, sizeof text, "%s\n", line);
    /* For a debugger: a full disk must not end a connection. */
    ssize_t written = n > 0 && (size_t)n < sizeof text ? write(session->tls->keylog, text, (size_t)n) : 0;
    (void)written;
}

static rh_status open_keylog(rh_tls *tls, const char *file, rh_error *error)
{
    if (!file) return RH_OK;
    tls->keylog = open(file, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
    if (tls->keylog < 0) return refuse(error, RH_E_IO, file, strerrordesc_np(errno));
    SSL_CTX_set_keylog_callback(tls->context, on_keylog);
    return RH_OK;
}

static void set_rules(rh_tls *tls, const rh_tls_opts *opts)
{
    SSL_CTX *context = tls->context;
    SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION);
    SSL_CTX_set_options(context, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
    SSL_CTX_set_mode(context, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER | SSL_MODE_RELEASE_BUFFERS);
    /* An authority somebody named is trusted as it stands, also one that another has signed. */
    X509_VERIFY_PARAM_set_flags(SSL_CTX_get0_param(context), X509_V_FLAG_PARTIAL_CHAIN);
    if (opts->server) {
        bool asks = opts->ca_file || opts->ca_pem.p;
        SSL_CTX_set_verify(context, asks ? SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT : SSL_VERIFY_NONE, on_verify);
        SSL_CTX_set_session_id_context(context, (const unsigned char *)"ringhub", 7);
        SSL_CTX_set_num_tickets(context, 1); /* a client comes back once for each time it came */
    } else {
        SSL_CTX_set_verify(context, opts->insecure ? SSL_VERIFY_NONE : SSL_VERIFY_PEER, opts->insecure ? NULL : on_verify);
        SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
        SSL_CTX_sess_set_new_cb(context, on_new_session);
    }
}

rh_tls *rh_tls_retain(rh_tls *tls)
{
    tls->references++;
    return tls;
}

bool rh_tls_is_server(const rh_tls *tls) { return tls->is_server; }

void rh_tls_destroy(rh_tls *tls)
{
    if (!tls || --tls->references > 0) return;
    rh_tls_unshare(tls);
    rh_tls_forget_all(tls);
    SSL_CTX_free(tls->context);
    BIO_meth_free(tls->method);
    if (tls->keylog >= 0) close(tls->keylog);
    free(tls);
}

rh_status rh_tls_create(const rh_tls_opts *asked, rh_tls **out, rh_error *error)
{
    *out = NULL;
    rh_tls_opts given, *opts = &given;
    rh_opts_copy(&given, sizeof given, asked, asked->size);
    if (opts->server && opts->insecure) return refuse(error, RH_E_ARGUMENT, "TLS", "insecure is for clients");
    /* A context belongs to no loop: its memory is libssl's kind, from the heap. */
    rh_tls *tls = calloc(1, sizeof *tls);
    if (!tls) return refuse(error, RH_E_MEMORY, "TLS", "out of memory");
    *tls = (rh_tls){ .references = 1, .is_server = opts->server, .is_insecure = opts->insecure, .keylog = -1, .log = opts->log };
    tls->context = SSL_CTX_new(opts->server ? TLS_server_method() : TLS_client_method());
    tls->method = make_method();
    rh_error own = { .status = RH_OK };
    rh_status status = RH_OK;
    if (!tls->context || !tls->method) {
        status = refuse_ssl(&own, "TLS");
    } else {
        set_rules(tls, opts);
        status = load_authorities(tls->context, opts, &own);
        if (status == RH_OK) status = load_own(tls->context, opts, &own);
        if (status == RH_OK) status = open_keylog(tls, opts->keylog_file, &own);
    }
    if (status) {
        rh_tls_destroy(tls);
        if (error) *error = own;
        return own.status;
    }
    if (opts->insecure && opts->log.on_log)
        opts->log.on_log(opts->log.user, RH_LOG_WARNING, "tls.insecure",
                         "server certificates are not verified: anybody may be at the other end");
    *out = tls;
    return RH_OK;
}
