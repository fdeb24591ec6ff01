/**
 * pipe.h: a pipe over TCP, plain or with TLS.
 *
 *   pipe.c    its life: up, flushing, ending, gone
 *   frame.c   input: whole frames to the owner, the tail, the backlog
 *   output.c  output: what the owner lends, to the kernel or through TLS
 */
#ifndef RH_TRANSPORT_PIPE_H
#define RH_TRANSPORT_PIPE_H

#include "transport/address.h"
#include "transport/reactor.h"

/* Pieces of output that go in one send: 256 frames of header and body, and a kernel takes no more than 1,024. */
#define RH_PIPE_PIECES 512

/* What a peer that takes no more, or does not end its side, may cost. */
#define RH_PIPE_FLUSH_TIME  RH_SECONDS(5)
#define RH_PIPE_LINGER_TIME RH_SECONDS(1)

/* After a send failed the peer's last words may still lie in our receive queue. */
#define RH_PIPE_LAST_WORDS_TIME RH_SECONDS(1)

typedef enum rh_pipe_state {
    RH_PIPE_DIALING,
    RH_PIPE_HANDSHAKE, /* TLS */
    RH_PIPE_RISING,    /* connected; the owner learns it from the next service */
    RH_PIPE_UP,
    RH_PIPE_FLUSHING,  /* the owner closed: the rest of its output goes */
    RH_PIPE_ENDING,    /* everything went, our side of the stream is ended; the peer's is awaited */
    RH_PIPE_CLOSING,   /* the kernel still holds something of ours */
    RH_PIPE_GONE,      /* on_down is due */
} rh_pipe_state;

struct rh_tls_session;
struct rh_dial;

typedef struct rh_tcp_pipe {
    rh_pipe                pipe;
    rh_pipe_state          state;
    rh_reactor            *reactor;
    const rh_pipe_handler *handler; /* NULL: accepted and nobody's yet */
    void                  *user;
    struct rh_tcp_pipe    *next, *prev, *woken_next;
    bool                   is_woken;
    bool                   is_ended;  /* the peer ended its side */
    bool                   is_sending;
    bool                   is_hopeless; /* another try would meet the same */
    int                    broken;    /* errno of a send, while last words are awaited */
    rh_socket             *socket;
    struct rh_dial        *dial;
    struct rh_tls_session *tls;
    rh_timer               timer; /* ends the state that must not last */
    uint32_t               max_frame;

    rh_buffer *tail;     /* the beginning of a frame */
    rh_backlog backlog;  /* of the frames' stream, while the owner wants none */

    rh_buffer *pieces; /* borrowed while something is lent: rh_pipe_iov() */
    uint32_t   at, count;

    rh_status error;
    int       os_error;
    char     *words; /* why it fell; NULL: it stands, or there was no memory for them */
    size_t    block_n;
    char      peer[];     /* "host:port" as dialed; "" if accepted */
} rh_tcp_pipe;

/** NULL: RH_E_MEMORY or RH_E_LIMIT in *status. */
rh_tcp_pipe *rh_tcp_pipe_create(rh_reactor *reactor, const char *peer, uint32_t max_frame, rh_status *status);

/** A socket is connected: goes on to TLS or up. */
void rh_tcp_pipe_connected(rh_tcp_pipe *pipe, rh_socket *socket);

/** TLS is through. */
void rh_tcp_pipe_rise(rh_tcp_pipe *pipe);

/** Ends the pipe for this reason, unless it has ended already; on_down follows from a service. */
void rh_tcp_pipe_fall(rh_tcp_pipe *pipe, rh_status status, int os_error, const char *words);

/** A send failed: the peer's last words are awaited for a moment, then the pipe falls. */
void rh_tcp_pipe_break(rh_tcp_pipe *pipe, int os_error);

/** Does what is due; frees the pipe when it is gone. From the reactor only. */
void rh_tcp_pipe_service(rh_tcp_pipe *pipe);
void rh_tcp_pipe_wake(rh_tcp_pipe *pipe);

void rh_tcp_pipe_deadline(rh_tcp_pipe *pipe, rh_time at);

extern const rh_socket_events rh_tcp_pipe_events;

/* -- frame.c */

/** Bytes of the frames' stream, after TLS. */
void rh_pipe_input(rh_tcp_pipe *pipe, const uint8_t *bytes, size_t n);

/** Hands over what waited, if the owner wants it again. */
void rh_pipe_resume(rh_tcp_pipe *pipe);
void rh_pipe_drop_input(rh_tcp_pipe *pipe);

/** The owner wants input and nothing waits before it. */
bool rh_pipe_takes_input(const rh_tcp_pipe *pipe);

/* -- output.c */

/** Sends as much as goes. True: nothing is left, neither lent nor offered. */
bool rh_pipe_output(rh_tcp_pipe *pipe);

/** The kernel took n bytes of a pending send. */
void rh_pipe_sent(rh_tcp_pipe *pipe, size_t n);

/** Fills iov from the owner if nothing is lent; false: there is nothing. */
bool rh_pipe_lend(rh_tcp_pipe *pipe);

/** n bytes of what is lent are done with. */
void rh_pipe_use(rh_tcp_pipe *pipe, size_t n);

/** What is lent and not sent yet: [at, count). */
static inline rh_iov *rh_pipe_iov(const rh_tcp_pipe *pipe) { return (rh_iov *)pipe->pieces->bytes; }

void rh_pipe_drop_output(rh_tcp_pipe *pipe);

#endif
