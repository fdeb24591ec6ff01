/**
 * tls.h: TLS inside a pipe: bytes of the socket on one side, bytes of the frames on the other.
 *
 *   tls.c          the context: certificates, rules
 *   tls_resume.c   the sessions it may resume
 *   tls_session.c  one stream
 *   tls_reason.c   why it failed, in words
 */
#ifndef RH_TRANSPORT_TLS_H
#define RH_TRANSPORT_TLS_H

#include "transport/pipe.h"

#include <openssl/ssl.h>

#define RH_TLS_NAME_MAX 255
#define RH_TLS_DIGEST   32

struct rh_tls {
    SSL_CTX    *context;
    BIO_METHOD *method;
    unsigned    references;
    bool        is_server, is_insecure;
    int         keylog; /* descriptor, or -1 */
    rh_log      log;
    struct rh_tls_kept *kept; /* sessions that servers gave: each saves most of the next handshake with its server */
    /* Of one that is shared: where, and by whom. */
    rh_loop *loop;
    rh_tls  *next;
    uint8_t  digest[RH_TLS_DIGEST];
};

typedef struct rh_tls_session {
    rh_tcp_pipe   *pipe;
    rh_tls        *tls;
    SSL           *ssl;
    const uint8_t *in; /* what came from the socket and is not opened yet; lent for one call */
    size_t         in_n;
    rh_backlog     waiting; /* the same, kept while the owner wants no input */
    rh_buffer     *out;     /* sealed and not sent yet; NULL: nothing */
    rh_iov         piece;   /* of out, being sent */
    bool           is_busy;  /* records went or came since the last look */
    unsigned       calls;    /* of libssl since it rested */
    X509          *refused; /* the certificate that was not accepted: for the words */
    char           name[RH_TLS_NAME_MAX + 1];
} rh_tls_session;

rh_tls *rh_tls_retain(rh_tls *tls);

/** Its loop knows it no more. */
void rh_tls_unshare(rh_tls *tls);
bool    rh_tls_is_server(const rh_tls *tls);

/** Keeps a session for the next handshake with this name. Takes the reference over. */
void rh_tls_remember(rh_tls *tls, const char *name, SSL_SESSION *session);

/** The latest one; NULL: there is none. It stays the context's. */
SSL_SESSION *rh_tls_recall(const rh_tls *tls, const char *name);
void rh_tls_forget_all(rh_tls *tls);

/** name: to send and to verify, NULL for a server. False: no memory, or a name that cannot be one. */
bool rh_tls_session_open(rh_tcp_pipe *pipe, rh_tls *tls, const char *name);
void rh_tls_session_free(rh_tcp_pipe *pipe);

/** The socket is connected. */
void rh_tls_session_start(rh_tcp_pipe *pipe);

/** Bytes from the socket; n == 0: its end. */
void rh_tls_session_receive(rh_tcp_pipe *pipe, const uint8_t *bytes, size_t n);

/** The owner may want input again: opens what waited. True: nothing waits any more. */
bool rh_tls_session_resume(rh_tcp_pipe *pipe);

/** Seals what the owner lends and sends it. True: nothing is left to be sent. */
bool rh_tls_session_output(rh_tcp_pipe *pipe);
void rh_tls_session_sent(rh_tcp_pipe *pipe, size_t n);

/** Queues close_notify behind everything else. */
void rh_tls_session_end(rh_tcp_pipe *pipe);

/** Gives libssl's record buffers back if nothing went or came since the last call; else looks again later. */
void rh_tls_session_rest(rh_tcp_pipe *pipe);

/** Why libssl gave up, from its error queue (which is emptied) and the verification's result. is_stranger: the peer speaks no TLS at all. */
rh_status rh_tls_reason(const rh_tls_session *session, char *words, size_t n, bool *is_stranger);

/** The queue's first words; it is emptied. RH_E_MEMORY if want of memory is among its reasons, else what is given. */
rh_status rh_tls_queue_words(rh_status otherwise, char *words, size_t n);

#endif
