#include "transport/pipe.h"
#include "transport/dial.h"
#include "transport/tls.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>

static rh_tcp_pipe *pipe_of(rh_pipe *pipe) { return (rh_tcp_pipe *)pipe; }

/* -- waking ------------------------------------------------------------------------------------ */

void rh_tcp_pipe_wake(rh_tcp_pipe *pipe)
{
    if (pipe->is_woken) return;
    rh_reactor *reactor = pipe->reactor;
    pipe->is_woken = true;
    pipe->woken_next = NULL;
    *reactor->woken_end = pipe;
    reactor->woken_end = &pipe->woken_next;
    if (!reactor->in_turn) rh_reactor_call_turn(reactor);
}

static void wake(rh_pipe *pipe)
{
    if (pipe_of(pipe)->state == RH_PIPE_UP) rh_tcp_pipe_wake(pipe_of(pipe));
}

/* -- ending ------------------------------------------------------------------------------------ */

void rh_tcp_pipe_deadline(rh_tcp_pipe *pipe, rh_time at) { rh_timer_set(&pipe->reactor->loop, &pipe->timer, at); }

static void deadline_after(rh_tcp_pipe *pipe, rh_time delay)
{
    rh_tcp_pipe_deadline(pipe, rh_time_after(rh_reactor_now(pipe->reactor), delay));
}

void rh_tcp_pipe_fall(rh_tcp_pipe *pipe, rh_status status, int os_error, const char *words)
{
    if (pipe->state >= RH_PIPE_CLOSING) return;
    pipe->state = RH_PIPE_CLOSING;
    pipe->error = status;
    pipe->os_error = os_error;
    if ((pipe->words = rh_reactor_alloc(pipe->reactor, strlen(words) + 1))) strcpy(pipe->words, words);
    rh_tcp_pipe_deadline(pipe, RH_TIME_NEVER);
    if (pipe->dial) rh_dial_cancel(pipe->dial);
    pipe->dial = NULL;
    if (pipe->socket) {
        rh_socket_close(pipe->socket); /* on_closed goes on */
        if (!pipe->reactor->in_turn) rh_reactor_call_turn(pipe->reactor);
        return;
    }
    pipe->state = RH_PIPE_GONE;
    rh_tcp_pipe_wake(pipe);
}

static void fall_os(rh_tcp_pipe *pipe, int os_error)
{
    char words[128];
    snprintf(words, sizeof words, "the connection broke: %s", strerrordesc_np(os_error));
    rh_tcp_pipe_fall(pipe, RH_E_CONNECTION_LOST, os_error, words);
}

void rh_tcp_pipe_break(rh_tcp_pipe *pipe, int os_error)
{
    pipe->broken = os_error;
    if (pipe->state == RH_PIPE_UP && !pipe->is_ended) deadline_after(pipe, RH_PIPE_LAST_WORDS_TIME);
    else fall_os(pipe, os_error);
}

static void on_timer(void *user, rh_time now)
{
    (void)now;
    rh_tcp_pipe *pipe = user;
    switch (pipe->state) {
    case RH_PIPE_DIALING: rh_tcp_pipe_fall(pipe, RH_E_TIMEOUT, 0, rh_dial_stage(pipe->dial)); break;
    case RH_PIPE_HANDSHAKE: rh_tcp_pipe_fall(pipe, RH_E_TIMEOUT, 0, "the TLS handshake did not end in time"); break;
    case RH_PIPE_UP:
        if (pipe->broken) fall_os(pipe, pipe->broken);
        else rh_tls_session_rest(pipe);
        break;
    case RH_PIPE_FLUSHING: rh_tcp_pipe_fall(pipe, RH_E_TIMEOUT, 0, "the peer did not take the rest of the output in time");
        break;
    default: rh_tcp_pipe_fall(pipe, RH_OK, 0, ""); break; /* ENDING: everything went, the peer is slow to leave */
    }
}

static void close_pipe(rh_pipe *base, bool flush)
{
    rh_tcp_pipe *pipe = pipe_of(base);
    if (!flush || (pipe->state < RH_PIPE_RISING)) {
        rh_tcp_pipe_fall(pipe, RH_E_CANCELLED, 0, "closed by this side");
        return;
    }
    if (pipe->state > RH_PIPE_UP) return;
    if (pipe->broken) {
        fall_os(pipe, pipe->broken);
        return;
    }
    pipe->state = RH_PIPE_FLUSHING;
    deadline_after(pipe, RH_PIPE_FLUSH_TIME);
    rh_tcp_pipe_wake(pipe);
}

/* Everything went: ends our side, and waits for the peer to end its own. */
static void end_stream(rh_tcp_pipe *pipe)
{
    shutdown(pipe->socket->fd, SHUT_WR);
    pipe->state = RH_PIPE_ENDING;
    if (pipe->is_ended) rh_tcp_pipe_fall(pipe, RH_OK, 0, "");
    else deadline_after(pipe, RH_PIPE_LINGER_TIME);
}

static void flush(rh_tcp_pipe *pipe)
{
    if (!rh_pipe_output(pipe) || pipe->state != RH_PIPE_FLUSHING) return;
    if (pipe->tls) {
        rh_tls_session_end(pipe);
        if (!rh_tls_session_output(pipe)) return;
    }
    end_stream(pipe);
}

/* -- events of the socket ---------------------------------------------------------------------- */

static void on_end(rh_tcp_pipe *pipe)
{
    pipe->is_ended = true;
    if (pipe->tls && pipe->state <= RH_PIPE_UP) rh_tls_session_receive(pipe, NULL, 0);
    else if (pipe->state == RH_PIPE_ENDING) rh_tcp_pipe_fall(pipe, RH_OK, 0, "");
    else if (pipe->state == RH_PIPE_UP) rh_tcp_pipe_wake(pipe); /* tells it when nothing waits before it */
}

static void on_receive(rh_socket *socket, const uint8_t *bytes, ssize_t n)
{
    rh_tcp_pipe *pipe = socket->owner;
    if (n > 0) {
        pipe->reactor->stats.receives++;
        pipe->reactor->stats.bytes_in += (uint64_t)n;
        if (pipe->state > RH_PIPE_UP) return; /* closed by its owner: what the peer still says is not heard */
        if (pipe->tls) rh_tls_session_receive(pipe, bytes, (size_t)n);
        else rh_pipe_input(pipe, bytes, (size_t)n);
    } else if (n == 0) {
        on_end(pipe);
    } else if (pipe->state == RH_PIPE_ENDING) {
        rh_tcp_pipe_fall(pipe, RH_OK, 0, "");
    } else {
        fall_os(pipe, pipe->broken ? pipe->broken : (int)-n);
    }
}

static void on_send(rh_socket *socket, ssize_t n)
{
    rh_tcp_pipe *pipe = socket->owner;
    pipe->is_sending = false;
    if (n < 0) {
        rh_tcp_pipe_break(pipe, (int)-n);
        return;
    }
    rh_pipe_sent(pipe, (size_t)n);
    rh_tcp_pipe_wake(pipe);
}

static void on_closed(rh_socket *socket)
{
    rh_tcp_pipe *pipe = socket->owner;
    pipe->socket = NULL;
    pipe->state = RH_PIPE_GONE;
    rh_tcp_pipe_wake(pipe);
}

const rh_socket_events rh_tcp_pipe_events = { .on_receive = on_receive, .on_send = on_send, .on_closed = on_closed };

void rh_tcp_pipe_connected(rh_tcp_pipe *pipe, rh_socket *socket)
{
    pipe->socket = socket;
    socket->events = &rh_tcp_pipe_events;
    socket->owner = pipe;
    int on = 1;
    setsockopt(socket->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (!pipe->tls) {
        rh_tcp_pipe_rise(pipe);
        return;
    }
    pipe->state = RH_PIPE_HANDSHAKE;
    rh_socket_receive(socket, true);
    rh_tls_session_start(pipe);
}

void rh_tcp_pipe_rise(rh_tcp_pipe *pipe)
{
    pipe->state = RH_PIPE_RISING;
    rh_tcp_pipe_deadline(pipe, RH_TIME_NEVER);
    rh_tcp_pipe_wake(pipe);
}

/* -- service ----------------------------------------------------------------------------------- */

static rh_error_class class_of(const rh_tcp_pipe *pipe)
{
    rh_status status = pipe->error;
    if (status == RH_OK) return RH_CLASS_NONE;
    if (pipe->is_hopeless) return RH_CLASS_TERMINAL;
    /* Another try may meet another network, another gateway, more memory; another try with the same certificates meets the same refusal. */
    bool is_of_machine = status >= RH_E_MEMORY && status <= RH_E_TLS;
    return is_of_machine || status == RH_E_TLS_TRUNCATED || status == RH_E_TIMEOUT ? RH_CLASS_RECONNECT : RH_CLASS_TERMINAL;
}

static void tell_down(rh_tcp_pipe *pipe)
{
    if (!pipe->handler) return;
    rh_error error;
    char words[512], peer[RH_ADDRESS_TEXT_MAX];
    const char *who = pipe->peer;
    if (!*who) rh_pipe_peer(&pipe->pipe, peer, sizeof peer), who = peer;
    snprintf(words, sizeof words, "%s%s%s", who, *who ? ": " : "", pipe->words ? pipe->words : "");
    rh_error_set(&error, pipe->error, NULL, pipe->error ? words : "");
    error.os_error = pipe->os_error;
    error.error_class = class_of(pipe);
    pipe->handler->on_down(pipe->user, &pipe->pipe, &error);
}

static void end(rh_tcp_pipe *pipe)
{
    rh_reactor *reactor = pipe->reactor;
    *(pipe->prev ? &pipe->prev->next : &reactor->pipes) = pipe->next;
    if (pipe->next) pipe->next->prev = pipe->prev;
    reactor->stats.pipes--;
    rh_timer_cancel(&reactor->loop, &pipe->timer);
    rh_pipe_drop_input(pipe);
    rh_pipe_drop_output(pipe);
    if (pipe->tls) rh_tls_session_free(pipe);
    tell_down(pipe);
    if (pipe->words) rh_reactor_free(reactor, pipe->words, strlen(pipe->words) + 1);
    rh_reactor_free(reactor, pipe, pipe->block_n);
}

static void come_up(rh_tcp_pipe *pipe)
{
    pipe->state = RH_PIPE_UP;
    pipe->handler->on_up(pipe->user, &pipe->pipe);
}

static void serve_input(rh_tcp_pipe *pipe)
{
    rh_pipe_resume(pipe);
    bool is_dry = !pipe->backlog.first && (!pipe->tls || rh_tls_session_resume(pipe));
    if (pipe->state != RH_PIPE_UP || !is_dry) return;
    if (!pipe->is_ended) rh_socket_receive(pipe->socket, pipe->handler->wants_input(pipe->user));
    else if (!pipe->tls) rh_tcp_pipe_fall(pipe, RH_E_CONNECTION_LOST, 0, "the peer closed the connection");
}

/* A send that is done at once may make the room for want of which input was held back, and nothing else would tell. */
static void serve_output(rh_tcp_pipe *pipe)
{
    bool was_held = !pipe->handler->wants_input(pipe->user);
    rh_pipe_output(pipe);
    if (was_held && pipe->state == RH_PIPE_UP && pipe->handler->wants_input(pipe->user)) rh_tcp_pipe_wake(pipe);
}

void rh_tcp_pipe_service(rh_tcp_pipe *pipe)
{
    if (pipe->state == RH_PIPE_GONE) {
        end(pipe);
        return;
    }
    if (pipe->state == RH_PIPE_RISING) come_up(pipe);
    if (pipe->state == RH_PIPE_UP) serve_input(pipe);
    if (pipe->state == RH_PIPE_UP) serve_output(pipe);
    if (pipe->state == RH_PIPE_HANDSHAKE) rh_tls_session_output(pipe);
    if (pipe->state > RH_PIPE_UP) rh_pipe_drop_input(pipe);
    if (pipe->state == RH_PIPE_FLUSHING) {
        /* Read and forgotten: a close with unread input would be a reset, and the peer might lose our last words. */
        if (!pipe->is_ended) rh_socket_receive(pipe->socket, true);
        flush(pipe);
    }
}

/* -- making ------------------------------------------------------------------------------------ */

static void peer_of(const rh_pipe *base, char *text, size_t n)
{
    const rh_tcp_pipe *pipe = (const rh_tcp_pipe *)base;
    rh_address address = { .n = sizeof address.storage };
    bool is_known = pipe->socket && getpeername(pipe->socket->fd, (struct sockaddr *)&address.storage, &address.n) == 0;
    if (is_known) rh_address_text(&address, text, n);
    else snprintf(text, n, "%s", pipe->peer);
}

static void adopt(rh_pipe *base, const rh_pipe_handler *handler, void *user)
{
    rh_tcp_pipe *pipe = pipe_of(base);
    pipe->handler = handler;
    pipe->user = user;
}

static const rh_pipe_ops ops = { .wake = wake, .close = close_pipe, .peer = peer_of, .adopt = adopt };

rh_tcp_pipe *rh_tcp_pipe_create(rh_reactor *reactor, const char *peer, uint32_t max_frame, rh_status *status)
{
    *status = RH_E_LIMIT;
    if (reactor->stats.pipes >= reactor->opts.max_pipes) return NULL;
    *status = RH_E_MEMORY;
    size_t n = sizeof(rh_tcp_pipe) + strlen(peer) + 1;
    rh_tcp_pipe *pipe = rh_reactor_alloc(reactor, n);
    if (!pipe) return NULL;
    pipe->pipe.ops = &ops;
    pipe->reactor = reactor;
    pipe->state = RH_PIPE_DIALING;
    pipe->timer.fn = on_timer;
    pipe->timer.user = pipe;
    pipe->max_frame = max_frame ? max_frame : reactor->opts.max_frame;
    pipe->block_n = n;
    memcpy(pipe->peer, peer, strlen(peer) + 1);
    pipe->next = reactor->pipes;
    if (pipe->next) pipe->next->prev = pipe;
    reactor->pipes = pipe;
    reactor->stats.pipes++;
    return pipe;
}
