#include "transport/pipe.h"
#include "transport/tls.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <unistd.h>

/* Connections the kernel keeps for us while we do other things. */
#define BACKLOG 511

/* When a descriptor cannot be had, trying again at once would only heat the room. */
#define ACCEPT_PAUSE RH_MS(100)

typedef struct rh_tcp_listener {
    rh_listener             listener;
    rh_reactor             *reactor;
    struct rh_tcp_listener *next, *prev;
    rh_socket              *socket;
    rh_tls                 *tls;
    rh_accept_fn            fn;
    void                   *user;
    rh_timer                pause;
    uint32_t                max_frame, handshake_ms;
    uint16_t                port;
} rh_tcp_listener;

static void close_listener(rh_listener *base)
{
    rh_tcp_listener *listener = (rh_tcp_listener *)base;
    rh_reactor *reactor = listener->reactor;
    rh_timer_cancel(&reactor->loop, &listener->pause);
    *(listener->prev ? &listener->prev->next : &reactor->listeners) = listener->next;
    if (listener->next) listener->next->prev = listener->prev;
    listener->socket->owner = NULL;
    rh_socket_close(listener->socket);
    if (!reactor->in_turn) rh_reactor_call_turn(reactor);
    if (listener->tls) rh_tls_destroy(listener->tls);
    rh_reactor_free(reactor, listener, sizeof *listener);
}

static uint16_t port_of(const rh_listener *listener) { return ((const rh_tcp_listener *)listener)->port; }

static const rh_listener_ops ops = { .port = port_of, .close = close_listener };

static void give_pipe(rh_tcp_listener *listener, int fd)
{
    rh_reactor *reactor = listener->reactor;
    rh_status status;
    rh_tcp_pipe *pipe = rh_tcp_pipe_create(reactor, "", listener->max_frame, &status);
    if (!pipe) {
        close(fd);
        rh_reactor_log(reactor, RH_LOG_WARNING, "loop.pipes", "a peer on port %u was turned away: %s", listener->port,
                       rh_status_words(status));
        return;
    }
    rh_socket *socket = rh_socket_open(reactor->poller, fd, false, &rh_tcp_pipe_events, pipe);
    if (!socket || (listener->tls && !rh_tls_session_open(pipe, listener->tls, NULL))) {
        pipe->socket = socket;
        rh_tcp_pipe_fall(pipe, RH_E_MEMORY, 0, "");
        return;
    }
    /* The socket is there already, so that rh_pipe_peer() works in the callback. That may close the pipe, and the
     * listener too: nothing of either is looked at behind it. */
    bool has_tls = listener->tls;
    rh_time deadline = rh_time_after(rh_reactor_now(reactor), RH_MS(listener->handshake_ms));
    pipe->socket = socket;
    listener->fn(listener->user, &pipe->pipe);
    if (!pipe->handler) rh_tcp_pipe_fall(pipe, RH_E_CANCELLED, 0, "");
    if (pipe->state != RH_PIPE_DIALING) return;
    if (has_tls) rh_tcp_pipe_deadline(pipe, deadline);
    rh_tcp_pipe_connected(pipe, socket);
}

static void on_accept(rh_socket *socket, int fd)
{
    rh_tcp_listener *listener = socket->owner;
    if (fd >= 0) {
        give_pipe(listener, fd);
        return;
    }
    rh_reactor *reactor = listener->reactor;
    rh_reactor_log(reactor, RH_LOG_WARNING, "loop.accept", "port %u cannot accept: %s", listener->port,
                   strerrordesc_np(-fd));
    rh_socket_accept(socket, false);
    rh_timer_set(&reactor->loop, &listener->pause, rh_time_after(rh_reactor_now(reactor), ACCEPT_PAUSE));
}

static void on_pause_end(void *user, rh_time now)
{
    (void)now;
    rh_socket_accept(((rh_tcp_listener *)user)->socket, true);
}

static const rh_socket_events listener_events = { .on_accept = on_accept };

/* A listening descriptor, or -errno. The port that was picked is in address afterwards. */
static int bind_socket(const rh_reactor *reactor, rh_address *address)
{
    int fd = socket(address->storage.ss_family, SOCK_STREAM | reactor->poller->ops->socket_flags, 0);
    if (fd < 0) return -errno;
    int on = 1, off = 0;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (address->storage.ss_family == AF_INET6) setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off);
    if (bind(fd, (struct sockaddr *)&address->storage, address->n) == 0 && listen(fd, BACKLOG) == 0 &&
        getsockname(fd, (struct sockaddr *)&address->storage, &address->n) == 0) return fd;
    int saved = errno;
    close(fd);
    return -saved;
}

static rh_status refuse(rh_error *error, rh_status status, int os_error, const rh_listen_opts *opts, const char *words)
{
    if (error) {
        char text[400];
        snprintf(text, sizeof text, "listening on %s:%u: %s", opts->host ? opts->host : "127.0.0.1", opts->port, words);
        rh_error_set(error, status, NULL, text);
        error->os_error = os_error;
    }
    return status;
}

static rh_status open_listener(rh_tcp_listener *listener, const rh_listen_opts *opts, rh_error *error)
{
    const char *host = !opts->host || strcmp(opts->host, "localhost") == 0 ? "127.0.0.1" : opts->host;
    rh_address address;
    if (!rh_address_parse(&address, host, opts->port)) return refuse(error, RH_E_ARGUMENT, 0, opts, "not a numeric address");
    int fd = bind_socket(listener->reactor, &address);
    if (fd < 0) return refuse(error, RH_E_SYSTEM, -fd, opts, strerrordesc_np(-fd));
    listener->port = rh_address_port(&address);
    listener->socket = rh_socket_open(listener->reactor->poller, fd, false, &listener_events, listener);
    return listener->socket ? RH_OK : refuse(error, RH_E_MEMORY, 0, opts, "out of memory");
}

rh_status rh_reactor_listen(rh_loop *loop, const rh_listen_opts *asked, rh_accept_fn fn, void *user, rh_listener **out,
                            rh_error *error)
{
    rh_reactor *reactor = rh_reactor_of(loop);
    *out = NULL;
    rh_listen_opts own, *opts = &own;
    rh_opts_copy(&own, sizeof own, asked, asked->size);
    if (reactor->is_dying) return refuse(error, RH_E_CANCELLED, 0, opts, "the loop is being destroyed");
    if (opts->max_frame > reactor->opts.max_frame) return refuse(error, RH_E_ARGUMENT, 0, opts, "max_frame is above the loop's");
    if (opts->tls && !rh_tls_is_server(opts->tls)) return refuse(error, RH_E_ARGUMENT, 0, opts, "the TLS context is a client's");
    rh_tcp_listener *listener = rh_reactor_alloc(reactor, sizeof *listener);
    if (!listener) return refuse(error, RH_E_MEMORY, 0, opts, "out of memory");
    listener->listener.ops = &ops;
    listener->reactor = reactor;
    listener->fn = fn;
    listener->user = user;
    listener->max_frame = opts->max_frame;
    listener->handshake_ms = opts->handshake_ms ? opts->handshake_ms : 10000;
    listener->pause.fn = on_pause_end;
    listener->pause.user = listener;
    rh_status status = open_listener(listener, opts, error);
    if (status) {
        rh_reactor_free(reactor, listener, sizeof *listener);
        return status;
    }
    listener->tls = opts->tls ? rh_tls_retain(opts->tls) : NULL;
    listener->next = reactor->listeners;
    if (listener->next) listener->next->prev = listener;
    reactor->listeners = listener;
    rh_socket_accept(listener->socket, true);
    if (!reactor->in_turn) rh_reactor_call_turn(reactor);
    *out = &listener->listener;
    return RH_OK;
}
