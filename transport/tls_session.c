#include "transport/tls.h"

#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <stdio.h>

/* [RFC 8446, 5.1] */
#define RECORD_BYTES 16384

/* What a full record may need, sealed, in any version: header, IV, tag, padding. */
#define RECORD_ROOM (RECORD_BYTES + 256)

#define SENDS_PER_TURN 8

/* An idle connection does without libssl's two record buffers, some 34 KB; a busy one shall not make them anew for
 * each record. So they go with each record until so many calls of libssl came in a row, and then only between one and two
 * of these times after the last. */
#define BUSY_CALLS 256
#define IDLE_TIME  RH_MS(750)

static bool is_out_empty(const rh_tls_session *session) { return !session->out || session->out->start == session->out->n; }

static void send_out(rh_tcp_pipe *pipe)
{
    rh_tls_session *session = pipe->tls;
    rh_buffer *out = session->out;
    session->piece = (rh_iov){ out->bytes + out->start, out->n - out->start };
    ssize_t n = rh_socket_send(pipe->socket, &session->piece, 1);
    if (n == 0) pipe->is_sending = true;
    else if (n < 0) rh_tcp_pipe_break(pipe, (int)-n);
    else rh_pipe_sent(pipe, (size_t)n);
}

/* libssl gave up. Its alert tells the peer why; then the pipe falls. */
static void fail(rh_tcp_pipe *pipe)
{
    char words[192];
    if (pipe->state >= RH_PIPE_CLOSING) return;
    rh_status status = rh_tls_reason(pipe->tls, words, sizeof words, &pipe->is_hopeless);
    if (!is_out_empty(pipe->tls) && !pipe->is_sending && !pipe->broken) send_out(pipe);
    rh_tcp_pipe_fall(pipe, status, 0, words);
}

static void look_again_later(rh_tcp_pipe *pipe)
{
    rh_tcp_pipe_deadline(pipe, rh_time_after(rh_reactor_now(pipe->reactor), IDLE_TIME));
}

static void stir(rh_tcp_pipe *pipe)
{
    rh_tls_session *session = pipe->tls;
    if (!session->is_busy && !pipe->timer.is_set) look_again_later(pipe);
    session->is_busy = true;
    if (session->calls < BUSY_CALLS && ++session->calls == BUSY_CALLS) SSL_clear_mode(session->ssl, SSL_MODE_RELEASE_BUFFERS);
}

void rh_tls_session_rest(rh_tcp_pipe *pipe)
{
    rh_tls_session *session = pipe->tls;
    if (session->is_busy) {
        look_again_later(pipe);
    } else {
        SSL_free_buffers(session->ssl); /* which refuses by itself while a record is half read */
        SSL_set_mode(session->ssl, SSL_MODE_RELEASE_BUFFERS);
        session->calls = 0;
    }
    session->is_busy = false;
}

/* -- input --------------------------------------------------------------------------------------- */

/* Somebody else's error, left in the thread's queue, would be taken for ours. Looking costs less than clearing. */
static void forget_errors(void)
{
    if (ERR_peek_error()) ERR_clear_error();
}

static bool is_retry(SSL *ssl, int result)
{
    int why = SSL_get_error(ssl, result);
    return why == SSL_ERROR_WANT_READ || why == SSL_ERROR_WANT_WRITE;
}

static void shake_hands(rh_tcp_pipe *pipe)
{
    ERR_clear_error();
    int result = SSL_do_handshake(pipe->tls->ssl);
    if (result == 1) rh_tcp_pipe_rise(pipe);
    else if (!is_retry(pipe->tls->ssl, result)) fail(pipe);
}

/* Asking libssl for a record that has not come costs half as much as opening one. */
static bool may_have_record(const rh_tls_session *session) { return session->in_n > 0 || SSL_pending(session->ssl) > 0; }

/* Opens records while the owner takes what is in them. */
static void open_records(rh_tcp_pipe *pipe)
{
    rh_tls_session *session = pipe->tls;
    rh_reactor *reactor = pipe->reactor;
    int result = 1;
    while (result > 0 && may_have_record(session) && rh_pipe_takes_input(pipe)) {
        size_t total = 0;
        forget_errors();
        do {
            size_t got = 0;
            result = SSL_read_ex(session->ssl, reactor->plain + total, reactor->plain_n - total, &got);
            total += got;
        } while (result > 0 && total < reactor->plain_n && may_have_record(session));
        int why = result > 0 ? SSL_ERROR_NONE : SSL_get_error(session->ssl, result);
        bool is_over = why == SSL_ERROR_SSL || why == SSL_ERROR_SYSCALL;
        /* What came before the fault is still good. */
        if (total > 0) rh_pipe_input(pipe, reactor->plain, total);
        if (is_over && pipe->state == RH_PIPE_UP) fail(pipe);
    }
}

/* The peer ended, and everything it said has been taken. */
static void tell_end(rh_tcp_pipe *pipe)
{
    if (SSL_get_shutdown(pipe->tls->ssl) & SSL_RECEIVED_SHUTDOWN)
        rh_tcp_pipe_fall(pipe, RH_E_CONNECTION_LOST, 0, "the peer closed the connection");
    else if (pipe->is_ended && pipe->state == RH_PIPE_HANDSHAKE)
        rh_tcp_pipe_fall(pipe, RH_E_TLS, 0, "the peer closed the connection during the TLS handshake");
    else if (pipe->is_ended)
        rh_tcp_pipe_fall(pipe, RH_E_TLS_TRUNCATED, 0, "the stream ended without TLS's close_notify: it may be incomplete");
}

static void drive(rh_tcp_pipe *pipe)
{
    rh_tls_session *session = pipe->tls;
    if (pipe->state == RH_PIPE_HANDSHAKE) shake_hands(pipe);
    if (pipe->state == RH_PIPE_UP) stir(pipe);
    if (pipe->state == RH_PIPE_UP) open_records(pipe);
    /* The end of a send wakes the pipe by itself; until then another look would be followed by another, and so on. */
    if (!is_out_empty(session) && !pipe->is_sending && !pipe->broken) rh_tcp_pipe_wake(pipe);
}

static bool is_dry(const rh_tcp_pipe *pipe)
{
    const rh_tls_session *session = pipe->tls;
    return !session->waiting.first && session->in_n == 0 && !pipe->backlog.first;
}

static void keep_rest(rh_tcp_pipe *pipe)
{
    rh_tls_session *session = pipe->tls;
    if (session->in_n == 0 || pipe->state > RH_PIPE_UP) return;
    bool kept = rh_backlog_append(&session->waiting, &pipe->reactor->buffers, session->in, session->in_n);
    if (!kept) rh_tcp_pipe_fall(pipe, RH_E_MEMORY, 0, "no memory for input that has to wait");
    else if (pipe->state == RH_PIPE_UP) rh_socket_receive(pipe->socket, false);
}

void rh_tls_session_receive(rh_tcp_pipe *pipe, const uint8_t *bytes, size_t n)
{
    rh_tls_session *session = pipe->tls;
    session->in = bytes;
    session->in_n = n;
    if (n > 0 && !session->waiting.first) drive(pipe);
    keep_rest(pipe);
    session->in_n = 0;
    if (pipe->state == RH_PIPE_HANDSHAKE && pipe->is_ended) tell_end(pipe);
    else if (pipe->state == RH_PIPE_UP || pipe->state == RH_PIPE_RISING) rh_tcp_pipe_wake(pipe);
}

bool rh_tls_session_resume(rh_tcp_pipe *pipe)
{
    rh_tls_session *session = pipe->tls;
    while (session->waiting.first && rh_pipe_takes_input(pipe)) {
        rh_buffer *first = session->waiting.first;
        size_t n = first->n - first->start;
        session->in = first->bytes + first->start;
        session->in_n = n;
        drive(pipe);
        size_t used = n - session->in_n;
        session->in_n = 0;
        if (used > 0) rh_backlog_use(&session->waiting, &pipe->reactor->buffers, used);
        if (used < n) break;
    }
    /* A record may be half handed over and nothing of the socket's bytes left. */
    if (pipe->state == RH_PIPE_UP && !session->waiting.first && SSL_has_pending(session->ssl)) drive(pipe);
    if (pipe->state == RH_PIPE_UP && is_dry(pipe) && rh_pipe_takes_input(pipe)) tell_end(pipe);
    return pipe->state == RH_PIPE_UP && is_dry(pipe);
}

/* -- output -------------------------------------------------------------------------------------- */

/* Up to one record's worth of what the owner lends, in one piece; lent itself if it is one already. */
static const uint8_t *gather(rh_tcp_pipe *pipe, size_t *n)
{
    uint8_t *plain = pipe->reactor->plain;
    *n = 0;
    while (*n < RECORD_BYTES && rh_pipe_lend(pipe)) {
        size_t copied = 0;
        for (uint32_t i = pipe->at; i < pipe->count && *n < RECORD_BYTES; i++) {
            const rh_iov *piece = &rh_pipe_iov(pipe)[i];
            size_t part = piece->n < RECORD_BYTES - *n ? piece->n : RECORD_BYTES - *n;
            memcpy(plain + *n, piece->p, part);
            *n += part;
            copied += part;
        }
        rh_pipe_use(pipe, copied);
    }
    return plain;
}

/* False: libssl failed. */
static bool seal(rh_tcp_pipe *pipe, const uint8_t *bytes, size_t n)
{
    size_t written;
    stir(pipe);
    forget_errors();
    if (SSL_write_ex(pipe->tls->ssl, bytes, n, &written) == 1 && written == n) return true;
    fail(pipe);
    return false;
}

static void seal_output(rh_tcp_pipe *pipe)
{
    rh_tls_session *session = pipe->tls;
    size_t room = pipe->reactor->sealed.room;
    if (SSL_get_shutdown(session->ssl) & SSL_SENT_SHUTDOWN) return;
    while (!session->out || room - session->out->n >= RECORD_ROOM) {
        if (!rh_pipe_lend(pipe)) return;
        const rh_iov *piece = &rh_pipe_iov(pipe)[pipe->at];
        size_t n = RECORD_BYTES;
        if (piece->n >= n) {
            if (!seal(pipe, piece->p, n)) return;
            rh_pipe_use(pipe, n);
        } else {
            const uint8_t *bytes = gather(pipe, &n);
            if (!seal(pipe, bytes, n)) return;
        }
    }
}

bool rh_tls_session_output(rh_tcp_pipe *pipe)
{
    rh_tls_session *session = pipe->tls;
    for (int sends = 0; sends < SENDS_PER_TURN; sends++) {
        if (pipe->is_sending || pipe->broken) return false;
        if (pipe->state == RH_PIPE_UP || pipe->state == RH_PIPE_FLUSHING) seal_output(pipe);
        if (pipe->state >= RH_PIPE_CLOSING) return false;
        if (is_out_empty(session)) {
            rh_buffer_return(&pipe->reactor->sealed, session->out);
            session->out = NULL;
            return true;
        }
        send_out(pipe);
    }
    rh_tcp_pipe_wake(pipe);
    return false;
}

void rh_tls_session_sent(rh_tcp_pipe *pipe, size_t n)
{
    rh_buffer *out = pipe->tls->out;
    out->start += n;
    if (out->start == out->n) out->start = out->n = 0;
}

void rh_tls_session_end(rh_tcp_pipe *pipe)
{
    ERR_clear_error();
    if (!(SSL_get_shutdown(pipe->tls->ssl) & SSL_SENT_SHUTDOWN)) SSL_shutdown(pipe->tls->ssl);
    ERR_clear_error();
}

/* -- life ---------------------------------------------------------------------------------------- */

static bool set_name(rh_tls_session *session, const char *name)
{
    size_t n = strlen(name);
    bool bracketed = n > 2 && name[0] == '[' && name[n - 1] == ']';
    if (n > RH_TLS_NAME_MAX) return false;
    snprintf(session->name, sizeof session->name, "%.*s", (int)(bracketed ? n - 2 : n), bracketed ? name + 1 : name);
    rh_address address;
    X509_VERIFY_PARAM *rules = SSL_get0_param(session->ssl);
    /* [RFC 6066, 3] addresses are no server names. */
    if (rh_address_parse(&address, name, 0)) return X509_VERIFY_PARAM_set1_ip_asc(rules, session->name) == 1;
    X509_VERIFY_PARAM_set_hostflags(rules, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    return SSL_set1_host(session->ssl, session->name) == 1 && SSL_set_tlsext_host_name(session->ssl, session->name) == 1;
}

static bool furnish(rh_tls_session *session, const char *name)
{
    session->ssl = SSL_new(session->tls->context);
    BIO *bio = session->ssl ? BIO_new(session->tls->method) : NULL;
    if (!bio) return false;
    BIO_set_data(bio, session);
    BIO_set_init(bio, 1);
    SSL_set_bio(session->ssl, bio, bio);
    if (SSL_set_app_data(session->ssl, session) != 1) return false;
    if (session->tls->is_server) {
        SSL_set_accept_state(session->ssl);
        return true;
    }
    SSL_set_connect_state(session->ssl);
    if (!set_name(session, name)) return false;
    SSL_SESSION *last = rh_tls_recall(session->tls, session->name);
    return !last || SSL_set_session(session->ssl, last) == 1;
}

bool rh_tls_session_open(rh_tcp_pipe *pipe, rh_tls *tls, const char *name)
{
    pipe->tls = rh_reactor_alloc(pipe->reactor, sizeof *pipe->tls);
    if (!pipe->tls) return false;
    pipe->tls->pipe = pipe;
    pipe->tls->tls = rh_tls_retain(tls);
    bool done = furnish(pipe->tls, name);
    ERR_clear_error();
    return done;
}

void rh_tls_session_start(rh_tcp_pipe *pipe)
{
    drive(pipe);
    if (pipe->state == RH_PIPE_HANDSHAKE) rh_tls_session_output(pipe);
}

void rh_tls_session_free(rh_tcp_pipe *pipe)
{
    rh_tls_session *session = pipe->tls;
    rh_backlog_clear(&session->waiting, &pipe->reactor->buffers);
    /* libssl resumes no session whose stream ended without a farewell, and a connection that was lost is the one to be dialed again.
     * What failed within TLS it has struck off its list already. */
    if (session->ssl) SSL_set_shutdown(session->ssl, SSL_SENT_SHUTDOWN);
    SSL_free(session->ssl);
    X509_free(session->refused);
    rh_buffer_return(&pipe->reactor->sealed, session->out);
    rh_tls_destroy(session->tls);
    pipe->tls = NULL;
    rh_reactor_free(pipe->reactor, session, sizeof *session);
}
