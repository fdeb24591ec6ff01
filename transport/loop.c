/* The calls of transport.h that any kind of loop answers through its table. */
#include "transport/tls.h"

rh_status rh_loop_destroy(rh_loop *loop)
{
    if (!loop) return RH_OK;
    /* Contexts may outlive it; from now on nobody new finds them. */
    while (loop->tls) rh_tls_unshare(loop->tls);
    return loop->ops->destroy(loop);
}

rh_status rh_loop_run(rh_loop *loop, rh_time until) { return loop->ops->run(loop, until); }
rh_status rh_loop_turn(rh_loop *loop, rh_time until) { return loop->ops->turn(loop, until); }
void rh_loop_stop(rh_loop *loop) { loop->ops->stop(loop); }
int rh_loop_fd(rh_loop *loop) { return loop->ops->fd(loop); }

rh_status rh_loop_post(rh_loop *loop, void (*fn)(void *user), void *user)
{
    return loop->ops->post(loop, fn, user);
}

rh_time rh_loop_now(rh_loop *loop) { return loop->ops->now(loop); }
int64_t rh_loop_wall_ms(rh_loop *loop) { return loop->ops->wall_ms(loop); }
void rh_loop_random(rh_loop *loop, void *bytes, size_t n) { loop->ops->random(loop, bytes, n); }
bool rh_loop_in_callback(const rh_loop *loop) { return loop->ops->in_callback(loop); }
const rh_log *rh_loop_log(const rh_loop *loop) { return loop->ops->log(loop); }
const rh_allocator *rh_loop_allocator(const rh_loop *loop) { return loop->ops->allocator(loop); }
const char *rh_loop_backend_name(const rh_loop *loop) { return loop->ops->backend_name(loop); }
void rh_loop_stats_read(const rh_loop *loop, rh_loop_stats *stats) { loop->ops->stats_read(loop, stats); }
void rh_timer_set(rh_loop *loop, rh_timer *timer, rh_time at) { loop->ops->timer_set(loop, timer, at); }
void rh_timer_cancel(rh_loop *loop, rh_timer *timer) { loop->ops->timer_cancel(loop, timer); }

void *rh_loop_borrow(rh_loop *loop, size_t n)
{
    const rh_allocator *allocator = rh_loop_allocator(loop);
    return loop->ops->borrow ? loop->ops->borrow(loop, n) : allocator->alloc(allocator->user, n);
}

void rh_loop_give_back(rh_loop *loop, void *p, size_t n)
{
    const rh_allocator *allocator = rh_loop_allocator(loop);
    if (!p) return;
    if (loop->ops->give_back) loop->ops->give_back(loop, p, n);
    else allocator->free(allocator->user, p, n);
}

rh_status rh_loop_dial(rh_loop *loop, const rh_dial_opts *opts, const rh_pipe_handler *handler, void *user, rh_pipe **out)
{
    return loop->ops->dial(loop, opts, handler, user, out);
}

rh_status rh_loop_listen(rh_loop *loop, const rh_listen_opts *opts, rh_accept_fn fn, void *user, rh_listener **out,
                         rh_error *error)
{
    return loop->ops->listen(loop, opts, fn, user, out, error);
}

void rh_pipe_wake(rh_pipe *pipe) { pipe->ops->wake(pipe); }
void rh_pipe_close(rh_pipe *pipe, bool flush) { pipe->ops->close(pipe, flush); }
void rh_pipe_peer(const rh_pipe *pipe, char *text, size_t n) { pipe->ops->peer(pipe, text, n); }

void rh_pipe_adopt(rh_pipe *pipe, const rh_pipe_handler *handler, void *user)
{
    pipe->ops->adopt(pipe, handler, user);
}

uint16_t rh_listener_port(const rh_listener *listener) { return listener->ops->port(listener); }

void rh_listener_close(rh_listener *listener)
{
    if (listener) listener->ops->close(listener);
}
