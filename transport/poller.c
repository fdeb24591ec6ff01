#include "transport/poller.h"

#include <errno.h>
#include <sys/uio.h>
#include <unistd.h>

/* An event with its frame header fits. To copy that much costs a fifth of what the kernel takes to look at a list of pieces. */
#define SHORT_BYTES 2048

_Static_assert(sizeof(rh_iov) == sizeof(struct iovec) && offsetof(rh_iov, n) == offsetof(struct iovec, iov_len),
               "a scatter list of ours is one of the kernel's");

rh_socket *rh_socket_open(rh_poller *poller, int fd, bool is_borrowed, const rh_socket_events *events, void *owner)
{
    rh_socket *socket = poller->allocator->alloc(poller->allocator->user, sizeof *socket);
    if (!socket) {
        if (!is_borrowed) close(fd);
        return NULL;
    }
    *socket = (rh_socket){ .events = events, .owner = owner, .poller = poller, .fd = fd, .is_borrowed = is_borrowed };
    poller->sockets++;
    return socket;
}

void rh_socket_receive(rh_socket *socket, bool on)
{
    if (socket->wants_receive == on || socket->is_closing) return;
    socket->wants_receive = on;
    socket->poller->ops->update(socket->poller, socket);
}

void rh_socket_accept(rh_socket *socket, bool on)
{
    if (socket->wants_accept == on || socket->is_closing) return;
    socket->wants_accept = on;
    socket->poller->ops->update(socket->poller, socket);
}

void rh_socket_watch(rh_socket *socket, unsigned poll_events)
{
    if (socket->wants_ready == poll_events || socket->is_closing) return;
    socket->wants_ready = poll_events;
    socket->poller->ops->update(socket->poller, socket);
}

void rh_socket_connect(rh_socket *socket, const struct sockaddr *address, socklen_t n)
{
    memcpy(&socket->address, address, n);
    socket->address_n = n;
    socket->poller->ops->connect(socket->poller, socket);
}

ssize_t rh_socket_send(rh_socket *socket, const rh_iov *iov, size_t count)
{
    socket->message = (struct msghdr){ .msg_iov = (struct iovec *)(uintptr_t)iov, .msg_iovlen = count };
    return socket->poller->ops->send(socket->poller, socket);
}

/* The message in one piece, if it is one or short; NULL: it is not. */
static const uint8_t *gather(const struct msghdr *message, uint8_t *to, size_t *n)
{
    *n = message->msg_iov[0].iov_len;
    if (message->msg_iovlen == 1) return message->msg_iov[0].iov_base;
    *n = 0;
    for (size_t i = 0; i < message->msg_iovlen; i++) {
        const struct iovec *piece = &message->msg_iov[i];
        if (piece->iov_len > SHORT_BYTES - *n) return NULL;
        if (piece->iov_len > 0) memcpy(to + *n, piece->iov_base, piece->iov_len);
        *n += piece->iov_len;
    }
    return to;
}

ssize_t rh_socket_send_now(rh_socket *socket)
{
    uint8_t space[SHORT_BYTES];
    size_t  bytes_n;
    ssize_t n;
    const uint8_t *bytes = gather(&socket->message, space, &bytes_n);
    do {
        socket->poller->stats->enters++;
        n = bytes ? send(socket->fd, bytes, bytes_n, MSG_NOSIGNAL | MSG_DONTWAIT)
                  : sendmsg(socket->fd, &socket->message, MSG_NOSIGNAL | MSG_DONTWAIT);
    } while (n < 0 && errno == EINTR);
    return n >= 0 ? n : errno == EWOULDBLOCK ? 0 : -errno;
}

void rh_socket_close(rh_socket *socket)
{
    if (socket->is_closing) return;
    socket->is_closing = true;
    socket->wants_receive = socket->wants_accept = false;
    socket->wants_ready = 0;
    socket->poller->ops->close(socket->poller, socket);
}

void rh_socket_let_go(rh_socket *socket)
{
    if (socket->is_let_go) return;
    socket->is_let_go = true;
    socket->next = socket->poller->closed;
    socket->poller->closed = socket;
}

unsigned rh_poller_reap(rh_poller *poller)
{
    unsigned reaped = 0;
    while (poller->closed) {
        rh_socket *socket = poller->closed;
        poller->closed = socket->next;
        if (!socket->is_borrowed) close(socket->fd);
        if (socket->events->on_closed) socket->events->on_closed(socket);
        poller->allocator->free(poller->allocator->user, socket, sizeof *socket);
        poller->sockets--;
        reaped++;
    }
    return reaped;
}
