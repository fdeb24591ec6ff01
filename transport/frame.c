/* Input of a pipe: whole frames to the owner, in place if they lie in one piece. */
#include "transport/pipe.h"

static bool is_open(const rh_tcp_pipe *pipe) { return pipe->state == RH_PIPE_UP; }

static size_t frame_size(const rh_tcp_pipe *pipe, const uint8_t *bytes, size_t n)
{
    return pipe->handler->frame_size(pipe->user, bytes, n);
}

static void keep(rh_tcp_pipe *pipe, const uint8_t *bytes, size_t n)
{
    if (rh_backlog_append(&pipe->backlog, &pipe->reactor->buffers, bytes, n)) return;
    rh_tcp_pipe_fall(pipe, RH_E_MEMORY, 0, "no memory for input that has to wait");
}

static bool begin_tail(rh_tcp_pipe *pipe, const uint8_t *bytes, size_t n)
{
    pipe->tail = rh_buffer_borrow(&pipe->reactor->buffers);
    if (!pipe->tail) {
        rh_tcp_pipe_fall(pipe, RH_E_MEMORY, 0, "no memory for an incomplete frame");
        return false;
    }
    memcpy(pipe->tail->bytes, bytes, n);
    pipe->tail->n = n;
    return true;
}

/* The tail is a whole frame, or one too large that the owner shall refuse. False: not wanted now. */
static bool hand_over_tail(rh_tcp_pipe *pipe)
{
    rh_buffer *tail = pipe->tail;
    if (pipe->handler->input(pipe->user, &pipe->pipe, tail->bytes, tail->n) == 0 && is_open(pipe)) return false;
    /* The owner may have closed the pipe, which drops the tail. */
    if (pipe->tail) rh_buffer_return(&pipe->reactor->buffers, pipe->tail);
    pipe->tail = NULL;
    return true;
}

/* Adds to the tail what belongs to its frame; answers how much that was. */
static size_t complete_tail(rh_tcp_pipe *pipe, const uint8_t *bytes, size_t n)
{
    size_t used = 0;
    for (;;) {
        rh_buffer *tail = pipe->tail;
        size_t size = frame_size(pipe, tail->bytes, tail->n);
        bool is_hopeless = size > pipe->max_frame;
        size_t want = is_hopeless || (size && size < tail->n) ? tail->n : size ? size : tail->n + 1;
        if (size && tail->n == want) {
            hand_over_tail(pipe);
            return used;
        }
        if (used == n) return used;
        size_t part = want - tail->n < n - used ? want - tail->n : n - used;
        memcpy(tail->bytes + tail->n, bytes + used, part);
        tail->n += part;
        used += part;
    }
}

/* How many of the bytes are whole frames. One that is too large makes everything whole: the owner refuses it. */
static size_t whole_frames(const rh_tcp_pipe *pipe, const uint8_t *bytes, size_t n)
{
    size_t end = 0;
    while (end < n) {
        size_t size = frame_size(pipe, bytes + end, n - end);
        if (size > pipe->max_frame) return n;
        if (size == 0 || size > n - end) break;
        end += size;
    }
    return end;
}

/* Answers how many bytes need no further thought; fewer than n when the owner wants no more. */
static size_t take(rh_tcp_pipe *pipe, const uint8_t *bytes, size_t n)
{
    size_t at = 0;
    if (pipe->tail) {
        at = complete_tail(pipe, bytes, n);
        if (pipe->tail || !is_open(pipe)) return at;
    }
    if (at == n) return n;
    if (!pipe->handler->wants_input(pipe->user)) return at;

    size_t whole = whole_frames(pipe, bytes + at, n - at);
    if (whole > 0) {
        size_t used = pipe->handler->input(pipe->user, &pipe->pipe, bytes + at, whole);
        at += used;
        if (used < whole || !is_open(pipe)) return at;
    }
    if (at < n && !begin_tail(pipe, bytes + at, n - at)) return at;
    return n;
}

bool rh_pipe_takes_input(const rh_tcp_pipe *pipe)
{
    return is_open(pipe) && !pipe->backlog.first && pipe->handler->wants_input(pipe->user);
}

void rh_pipe_input(rh_tcp_pipe *pipe, const uint8_t *bytes, size_t n)
{
    size_t used = rh_pipe_takes_input(pipe) ? take(pipe, bytes, n) : 0;
    if (used == n || !is_open(pipe)) return;
    keep(pipe, bytes + used, n - used);
    /* The window of TCP tells the peer. */
    if (pipe->socket) rh_socket_receive(pipe->socket, false);
}

/* A tail may be whole already: its frame was refused for the moment. */
static bool is_tail_stuck(rh_tcp_pipe *pipe)
{
    if (!pipe->tail) return false;
    size_t size = frame_size(pipe, pipe->tail->bytes, pipe->tail->n);
    if (size == 0 || (size > pipe->tail->n && size <= pipe->max_frame)) return false;
    return !hand_over_tail(pipe);
}

void rh_pipe_resume(rh_tcp_pipe *pipe)
{
    if (!is_open(pipe) || !pipe->handler->wants_input(pipe->user) || is_tail_stuck(pipe)) return;
    while (is_open(pipe) && pipe->backlog.first) {
        rh_buffer *first = pipe->backlog.first;
        size_t n = first->n - first->start;
        size_t used = pipe->handler->wants_input(pipe->user) ? take(pipe, first->bytes + first->start, n) : 0;
        if (!is_open(pipe)) return; /* which dropped the backlog */
        if (used > 0) rh_backlog_use(&pipe->backlog, &pipe->reactor->buffers, used);
        if (used < n) return;
    }
}

void rh_pipe_drop_input(rh_tcp_pipe *pipe)
{
    rh_buffer_return(&pipe->reactor->buffers, pipe->tail);
    pipe->tail = NULL;
    rh_backlog_clear(&pipe->backlog, &pipe->reactor->buffers);
}
