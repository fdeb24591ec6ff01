/* Connections of nothing but a blocking socket, or of libssl on top of one. */
#include "bench/floor/aead.h"
#include "bench/floor/amqp.h"
#include "bench/lines.h"

#include <math.h>
#include <openssl/ssl.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define HELLO "AMQP\0\1\0\0"

static SSL_SESSION *latest; /* the ticket that came last */

static int keep(SSL *ssl, SSL_SESSION *session)
{
    (void)ssl;
    SSL_SESSION_free(latest);
    latest = session;
    return 1;
}

static SSL_CTX *make_context(const char *ca)
{
    SSL_CTX *context = SSL_CTX_new(TLS_client_method());
    if (!context || SSL_CTX_load_verify_locations(context, ca, NULL) != 1) {
        SSL_CTX_free(context);
        return NULL;
    }
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER, NULL);
    SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
    SSL_CTX_sess_set_new_cb(context, keep);
    return context;
}

/* One connection, the header there and back: behind it the ticket has come. */
static bool visit(int fd, SSL_CTX *context, bool resumes)
{
    uint8_t answer[sizeof HELLO - 1];
    size_t  n = 0;
    if (!context) return send(fd, HELLO, sizeof answer, MSG_NOSIGNAL) == sizeof answer && recv(fd, answer, sizeof answer, MSG_WAITALL) == sizeof answer;
    SSL *ssl  = SSL_new(context);
    bool good = ssl && SSL_set1_host(ssl, "localhost") == 1 && SSL_set_tlsext_host_name(ssl, "localhost") == 1 && SSL_set_fd(ssl, fd) == 1;
    if (good && resumes && latest) SSL_set_session(ssl, latest);
    good = good && SSL_connect(ssl) == 1 && SSL_write_ex(ssl, HELLO, sizeof answer, &n) == 1 && SSL_read_ex(ssl, answer, sizeof answer, &n) == 1
           && strcmp(SSL_get_cipher(ssl), RH_FLOOR_SUITE) == 0 && SSL_session_reused(ssl) == (resumes && latest != NULL);
    if (ssl) SSL_shutdown(ssl);
    SSL_free(ssl);
    return good;
}

double rh_floor_connections(const char *host, uint16_t port, const char *ca, bool resumed, unsigned count)
{
    SSL_CTX *context = ca ? make_context(ca) : NULL;
    bool     good    = context || !ca;
    uint64_t since   = rh_lines_cpu();
    /* The first of the resumed ones has nothing to resume and does not count. */
    for (unsigned i = 0; good && i < count + resumed; i++) {
        int fd = rh_floor_dial(host, port);
        good = fd >= 0 && visit(fd, context, resumed && i > 0);
        if (fd >= 0) close(fd);
        if (resumed && i == 0) since = rh_lines_cpu();
    }
    uint64_t spent = rh_lines_cpu() - since;
    SSL_SESSION_free(latest);
    latest = NULL;
    SSL_CTX_free(context);
    return good ? (double)spent : NAN;
}
