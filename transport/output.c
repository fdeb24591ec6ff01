/* Output of a pipe: what the owner lends goes to the kernel as it is, one send at a time. */
#include "transport/pipe.h"
#include "transport/tls.h"

#include <errno.h>

/* How often a fast receiver may be fed before other pipes have their turn. */
#define SENDS_PER_TURN 8

_Static_assert(offsetof(rh_buffer, bytes) % _Alignof(rh_iov) == 0, "pieces lie in a buffer as they are");

static bool has_lent(rh_tcp_pipe *pipe)
{
    while (pipe->at < pipe->count && rh_pipe_iov(pipe)[pipe->at].n == 0) pipe->at++;
    return pipe->at < pipe->count;
}

static bool is_open(const rh_tcp_pipe *pipe) { return pipe->state == RH_PIPE_UP || pipe->state == RH_PIPE_FLUSHING; }

void rh_pipe_drop_output(rh_tcp_pipe *pipe)
{
    rh_buffer_return(&pipe->reactor->pieces, pipe->pieces);
    pipe->pieces = NULL;
    pipe->at = pipe->count = 0;
}

static bool borrow(rh_tcp_pipe *pipe)
{
    if (!pipe->pieces) pipe->pieces = rh_buffer_borrow(&pipe->reactor->pieces);
    if (!pipe->pieces) rh_tcp_pipe_fall(pipe, RH_E_MEMORY, 0, "no memory to send from");
    return pipe->pieces != NULL;
}

bool rh_pipe_lend(rh_tcp_pipe *pipe)
{
    /* Asked again behind each callback: sent() and output() may cut the pipe, and its socket takes no send then. */
    if (!is_open(pipe)) return false;
    if (has_lent(pipe)) return true;
    if (!borrow(pipe)) return false;
    pipe->at = 0;
    pipe->count = (uint32_t)pipe->handler->output(pipe->user, rh_pipe_iov(pipe), RH_PIPE_PIECES);
    if (has_lent(pipe)) return is_open(pipe);
    rh_pipe_drop_output(pipe);
    return false;
}

void rh_pipe_use(rh_tcp_pipe *pipe, size_t n)
{
    size_t left = n;
    while (left > 0) {
        rh_iov *piece = &rh_pipe_iov(pipe)[pipe->at];
        if (left < piece->n) {
            piece->p = (const uint8_t *)piece->p + left;
            piece->n -= left;
            break;
        }
        left -= piece->n;
        pipe->at++;
    }
    pipe->handler->sent(pipe->user, n);
}

void rh_pipe_sent(rh_tcp_pipe *pipe, size_t n)
{
    pipe->reactor->stats.sends++;
    pipe->reactor->stats.bytes_out += n;
    if (pipe->tls) rh_tls_session_sent(pipe, n);
    else rh_pipe_use(pipe, n);
}

bool rh_pipe_output(rh_tcp_pipe *pipe)
{
    if (pipe->tls) return rh_tls_session_output(pipe);
    for (int sends = 0; sends < SENDS_PER_TURN; sends++) {
        if (pipe->is_sending || pipe->broken) return false;
        if (!rh_pipe_lend(pipe)) return true;
        ssize_t n = rh_socket_send(pipe->socket, rh_pipe_iov(pipe) + pipe->at, pipe->count - pipe->at);
        if (n == 0) {
            pipe->is_sending = true;
            return false;
        }
        if (n < 0) {
            rh_tcp_pipe_break(pipe, (int)-n);
            return false;
        }
        rh_pipe_sent(pipe, (size_t)n);
    }
    rh_tcp_pipe_wake(pipe);
    return false;
}
