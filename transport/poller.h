/**
 * poller.h: what a loop asks of the kernel, the same for io_uring and epoll.
 *
 * A poller moves bytes of sockets. It knows neither frames nor TLS, and calls back only from wait() and reap(). What the
 * kernel may still touch (a socket's struct, the memory of a send) is let go of at on_closed, never before.
 */
#ifndef RH_TRANSPORT_POLLER_H
#define RH_TRANSPORT_POLLER_H

#include "transport/transport.h"

#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/types.h>

typedef struct rh_poller rh_poller;
typedef struct rh_socket rh_socket;

typedef struct rh_socket_events {
    void (*on_connect)(rh_socket *, int error); /* errno, 0: connected */
    void (*on_accept)(rh_socket *, int fd);     /* or -errno; it goes on accepting */
    void (*on_receive)(rh_socket *, const uint8_t *bytes, ssize_t n); /* lent for the call. 0: end, or -errno: the last */
    void (*on_send)(rh_socket *, ssize_t n);    /* or -errno: a send that was pending ended */
    void (*on_ready)(rh_socket *, bool readable, bool writable);
    void (*on_closed)(rh_socket *);             /* the struct is freed behind it */
} rh_socket_events;

struct rh_socket {
    const rh_socket_events *events;
    void                   *owner;
    rh_poller              *poller;
    int                     fd;
    bool                    is_borrowed; /* the descriptor is not ours to close */
    bool                    is_closing, is_let_go;
    bool                    wants_receive, wants_accept;
    unsigned                wants_ready; /* POLLIN, POLLOUT */
    /* the poller's own */
    unsigned                armed;     /* what the kernel watches or runs for us */
    unsigned                in_flight; /* operations that will still complete */
    bool                    is_starved;
    rh_socket              *next;
    struct msghdr           message;
    struct sockaddr_in6     address; /* or a sockaddr_in, which is shorter */
    socklen_t               address_n;
};

typedef struct rh_poller_ops {
    const char *name;
    int socket_flags; /* how sockets have to be made */
    void (*destroy)(rh_poller *);
    rh_status (*enable)(rh_poller *);           /* on the thread of the first turn */
    int (*wait)(rh_poller *, bool may_sleep);   /* submits too. Answers how much happened, or -errno */
    bool (*has_unsubmitted)(const rh_poller *);
    void (*submit)(rh_poller *);
    void (*arm)(rh_poller *, rh_time at);       /* wakes at this moment; later ones may be armed already */
    int (*fd)(rh_poller *, int bell);           /* for a host: readable when a wait would not wait. May be the bell itself */
    void (*wake)(rh_poller *);                  /* a turn begins: the descriptor has done its work */
    void (*rest)(rh_poller *);                  /* a turn has ended: the descriptor speaks again */
    void (*connect)(rh_poller *, rh_socket *);  /* to socket->address */
    void (*update)(rh_poller *, rh_socket *);   /* the wants changed */
    ssize_t (*send)(rh_poller *, rh_socket *);  /* socket->message. Bytes gone at once, 0: pending, -errno */
    void (*close)(rh_poller *, rh_socket *);    /* cancel; rh_socket_let_go() when nothing is in flight */
} rh_poller_ops;

struct rh_poller {
    const rh_poller_ops *ops;
    const rh_allocator  *allocator;
    rh_loop_stats       *stats;
    rh_socket           *closed;  /* let go of, to be reaped */
    unsigned             sockets; /* not freed yet */
};

/** NULL: the kernel refuses (errno) or there is no memory. */
rh_poller *rh_ring_create(const rh_loop_opts *opts, const rh_allocator *allocator, rh_loop_stats *stats);
rh_poller *rh_epoll_create(const rh_loop_opts *opts, const rh_allocator *allocator, rh_loop_stats *stats);

/** Takes the descriptor over (also when it fails, unless borrowed). NULL: no memory. */
rh_socket *rh_socket_open(rh_poller *poller, int fd, bool is_borrowed, const rh_socket_events *events, void *owner);

void    rh_socket_receive(rh_socket *socket, bool on);
void    rh_socket_accept(rh_socket *socket, bool on);
void    rh_socket_watch(rh_socket *socket, unsigned poll_events);
void    rh_socket_connect(rh_socket *socket, const struct sockaddr *address, socklen_t n);
ssize_t rh_socket_send(rh_socket *socket, const rh_iov *iov, size_t count);

/** From a poller: sends socket->message without waiting. Answers bytes gone, 0: there is no room, or -errno. */
ssize_t rh_socket_send_now(rh_socket *socket);

/** No callback but on_closed comes any more, and that from rh_poller_reap(). */
void rh_socket_close(rh_socket *socket);

/** From a poller: nothing of this closing socket is in flight. */
void rh_socket_let_go(rh_socket *socket);

/** Closes and frees what was let go of; answers how many. */
unsigned rh_poller_reap(rh_poller *poller);

#endif
