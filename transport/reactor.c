/* The real loop: its turn, and its life. */
#include "transport/reactor.h"
#include "transport/pipe.h"

#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>
#include <time.h>

/* Pipes that wake each other are served this often before timers and the kernel have their turn. */
#define SERVICES_PER_TURN 8

/* What a turn sent may be done at once; telling so now spares a host that polls a wake-up for it. */
#define SETTLE_ROUNDS 4

/* A send of TLS: so many full records, each with what any version adds to its 16 KiB. They share a system call, and the wake-up of
 * the peer. */
#define SEALED_RECORDS 16
#define SEALED_RECORD  (16384 + 256)

/* One send of TLS is gathered here before it is sealed, and one receive is opened into it. */
#define PLAIN_BYTES (64u * 1024)

static void *default_alloc(void *user, size_t n)
{
    (void)user;
    return malloc(n);
}

static void default_free(void *user, void *p, size_t n)
{
    (void)user, (void)n;
    free(p);
}

void *rh_reactor_alloc(rh_reactor *reactor, size_t n)
{
    void *p = reactor->allocator.alloc(reactor->allocator.user, n);
    return p ? memset(p, 0, n) : NULL;
}

void rh_reactor_free(rh_reactor *reactor, void *p, size_t n) { reactor->allocator.free(reactor->allocator.user, p, n); }

void rh_reactor_log(const rh_reactor *reactor, rh_log_level level, const char *id, const char *format, ...)
{
    if (!reactor->log.on_log) return;
    char text[512];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    reactor->log.on_log(reactor->log.user, level, id, text);
}

/* -- time -------------------------------------------------------------------------------------- */

static rh_time read_clock(void)
{
    struct timespec time;
    clock_gettime(CLOCK_BOOTTIME, &time);
    return RH_SECONDS(time.tv_sec) + (rh_time)time.tv_nsec;
}

rh_time rh_reactor_now(rh_reactor *reactor)
{
    if (!reactor->in_turn || reactor->is_stale) reactor->now = read_clock();
    reactor->is_stale = false;
    return reactor->now;
}

/* The clock is read when somebody asks, once for what happens at once: after a sleep of any length it is another time. */
static void forget_time(rh_reactor *reactor) { reactor->is_stale = true; }

static rh_time now_of(rh_loop *loop) { return rh_reactor_now(rh_reactor_of(loop)); }

static int64_t wall_ms(rh_loop *loop)
{
    (void)loop;
    struct timespec time;
    clock_gettime(CLOCK_REALTIME, &time);
    return (int64_t)time.tv_sec * 1000 + time.tv_nsec / 1000000;
}

static void fill_random(rh_loop *loop, void *bytes, size_t n)
{
    (void)loop;
    uint8_t *at = bytes;
    while (n > 0) {
        ssize_t part = getrandom(at, n, 0);
        if (part < 0) continue; /* interrupted: nothing else can go wrong with these flags */
        at += part;
        n -= (size_t)part;
    }
}

/* -- what all have once ------------------------------------------------------------------------ */

/* Enough for heartbeats and for one who is busy: below that nothing is ever given back, and nobody has to look. */
#define BLOCKS_KEPT 2

/* How long a buffer must not have been needed to be given back, once or twice. */
#define REST_TIME RH_MS(750)

static bool has_grown(const rh_reactor *reactor)
{
    return rh_buffers_has_grown(&reactor->buffers) || rh_buffers_has_grown(&reactor->sealed) || rh_buffers_has_grown(&reactor->pieces) ||
           rh_buffers_has_grown(&reactor->blocks);
}

static void rest_later(rh_reactor *reactor)
{
    if (!reactor->rest.is_set && has_grown(reactor)) rh_timers_set(&reactor->timers, &reactor->rest, rh_time_after(rh_reactor_now(reactor), REST_TIME));
}

static void on_rest(void *user, rh_time now)
{
    rh_reactor *reactor = user;
    (void)now;
    rh_buffers_rest(&reactor->buffers);
    rh_buffers_rest(&reactor->sealed);
    rh_buffers_rest(&reactor->pieces);
    rh_buffers_rest(&reactor->blocks);
}

/* Whoever borrows has one kind of block; for another size there is no pool. */
static void *borrow(rh_loop *loop, size_t n)
{
    rh_reactor *reactor = rh_reactor_of(loop);
    rh_buffers *blocks = &reactor->blocks;
    if (!blocks->room && rh_buffers_init(blocks, &reactor->allocator, 0, n) == RH_OK) blocks->kept = BLOCKS_KEPT;
    if (n != blocks->room) return reactor->allocator.alloc(reactor->allocator.user, n);
    rh_buffer *block = rh_buffer_borrow(blocks);
    return block ? block->bytes : NULL;
}

static void give_back(rh_loop *loop, void *p, size_t n)
{
    rh_reactor *reactor = rh_reactor_of(loop);
    if (n != reactor->blocks.room) reactor->allocator.free(reactor->allocator.user, p, n);
    else rh_buffer_return(&reactor->blocks, (rh_buffer *)((uint8_t *)p - offsetof(rh_buffer, bytes)));
}

/* -- the turn ---------------------------------------------------------------------------------- */

static void serve(rh_reactor *reactor)
{
    for (int round = 0; round < SERVICES_PER_TURN && (reactor->woken || reactor->poller->closed); round++) {
        rh_tcp_pipe *pipe = reactor->woken;
        reactor->woken = NULL;
        reactor->woken_end = &reactor->woken;
        while (pipe) {
            rh_tcp_pipe *next = pipe->woken_next;
            pipe->is_woken = false;
            rh_tcp_pipe_service(pipe);
            pipe = next;
        }
        rh_poller_reap(reactor->poller);
    }
}

/* By the time known last: a timer that has become due since is armed in the kernel, or found after the wait. */
static bool has_work(const rh_reactor *reactor)
{
    return reactor->woken || reactor->poller->closed || rh_timers_next(&reactor->timers) <= reactor->now;
}

/*
 * Looks for work without sleeping; false: there was none until the moment. What other threads post is work: they ring for
 * who sleeps only.
 */
static bool spin(rh_reactor *reactor, rh_time until, int *happened)
{
    do {
        *happened = reactor->poller->ops->wait(reactor->poller, false);
        if (*happened != 0 || has_work(reactor) || rh_doorbell_is_filled(&reactor->bell)) return true;
        reactor->now = read_clock();
    } while (reactor->now < until);
    return false;
}

static rh_time spin_end(rh_reactor *reactor, rh_time until)
{
    rh_time end = rh_time_after(rh_reactor_now(reactor), RH_US(reactor->opts.spin_us));
    return end < until ? end : until;
}

static int sleep_until(rh_reactor *reactor, rh_time until)
{
    rh_poller *poller = reactor->poller;
    rh_time next = rh_timers_next(&reactor->timers);
    /* Armed once, the kernel's timer serves many waits: nearly all of them end long before it. */
    poller->ops->arm(poller, next < until ? next : until);
    bool asleep = rh_doorbell_sleep(&reactor->bell);
    int happened = poller->ops->wait(poller, asleep);
    if (asleep) rh_doorbell_awake(&reactor->bell);
    return happened;
}

static int wait_for_work(rh_reactor *reactor, rh_time until)
{
    int happened;
    bool is_over = reactor->is_running && reactor->is_stopping; /* what was served before the wait may have stopped the loop */
    bool may_wait = until > reactor->now && !is_over && !has_work(reactor);
    if (may_wait && reactor->opts.spin_us && spin(reactor, spin_end(reactor, until), &happened)) return happened;
    forget_time(reactor);
    return may_wait ? sleep_until(reactor, until) : reactor->poller->ops->wait(reactor->poller, false);
}

static rh_status turn_once(rh_reactor *reactor, rh_time until)
{
    reactor->in_turn = true;
    reactor->stats.turns++;
    forget_time(reactor);
    serve(reactor);
    int happened = wait_for_work(reactor, until);
    rh_poller_reap(reactor->poller);
    rh_doorbell_answer(&reactor->bell);
    rh_timers_fire(&reactor->timers, rh_reactor_now(reactor));
    serve(reactor);
    rest_later(reactor);
    reactor->in_turn = false;
    return happened < 0 && happened != -EINTR ? RH_E_SYSTEM : RH_OK;
}

/* Before the caller has its thread back: all that is to be sent is sent, and whoever polls will be told of the rest. */
static rh_status leave(rh_reactor *reactor, rh_status status)
{
    rh_poller *poller = reactor->poller;
    for (int round = 0; round < SETTLE_ROUNDS && status == RH_OK && poller->ops->has_unsubmitted(poller); round++)
        status = turn_once(reactor, RH_NOWAIT);
    if (reactor->is_polled) poller->ops->arm(poller, rh_timers_next(&reactor->timers));
    if (poller->ops->has_unsubmitted(poller)) poller->ops->submit(poller);
    if (!rh_doorbell_sleep(&reactor->bell) || (reactor->is_polled && has_work(reactor))) rh_doorbell_ring(&reactor->bell);
    if (reactor->is_polled) poller->ops->rest(poller);
    return status;
}

static rh_status enter(rh_reactor *reactor)
{
    if (reactor->in_turn) return RH_E_REENTRANT;
    rh_doorbell_awake(&reactor->bell);
    if (reactor->is_polled) reactor->poller->ops->wake(reactor->poller);
    return reactor->poller->ops->enable(reactor->poller);
}

static rh_status turn(rh_loop *loop, rh_time until)
{
    rh_reactor *reactor = rh_reactor_of(loop);
    rh_status status = enter(reactor);
    return status ? status : leave(reactor, turn_once(reactor, until));
}

static rh_status run(rh_loop *loop, rh_time until)
{
    rh_reactor *reactor = rh_reactor_of(loop);
    rh_status status = enter(reactor);
    if (status) return status;
    reactor->is_running = true;
    do {
        status = turn_once(reactor, until);
    } while (status == RH_OK && !reactor->is_stopping && reactor->now < until);
    reactor->is_stopping = reactor->is_running = false;
    return leave(reactor, status);
}

static void stop(rh_loop *loop) { rh_reactor_of(loop)->is_stopping = true; }

static bool in_callback(const rh_loop *loop) { return ((const rh_reactor *)loop)->in_turn; }

/* -- from outside a turn ----------------------------------------------------------------------- */

void rh_reactor_call_turn(rh_reactor *reactor)
{
    if (reactor->is_polled) rh_doorbell_ring(&reactor->bell);
}

static int descriptor(rh_loop *loop)
{
    rh_reactor *reactor = rh_reactor_of(loop);
    rh_poller *poller = reactor->poller;
    if (reactor->is_polled || poller->ops->enable(poller) != RH_OK) return poller->ops->fd(poller, reactor->bell.fd);
    int fd = poller->ops->fd(poller, reactor->bell.fd);
    reactor->is_polled = true;
    /* What was submitted before anybody polled is found by one turn. */
    rh_doorbell_ring(&reactor->bell);
    if (reactor->in_turn) return fd;
    if (poller->ops->has_unsubmitted(poller)) poller->ops->submit(poller);
    poller->ops->rest(poller);
    return fd;
}

static rh_status post(rh_loop *loop, void (*fn)(void *user), void *user)
{
    return rh_doorbell_post(&rh_reactor_of(loop)->bell, fn, user);
}

static void timer_set(rh_loop *loop, rh_timer *timer, rh_time at)
{
    rh_reactor *reactor = rh_reactor_of(loop);
    rh_timers_set(&reactor->timers, timer, at);
    if (reactor->in_turn || !reactor->is_polled || reactor->timers.first != timer) return;
    reactor->poller->ops->arm(reactor->poller, at);
    if (reactor->poller->ops->has_unsubmitted(reactor->poller)) reactor->poller->ops->submit(reactor->poller);
}

static void timer_cancel(rh_loop *loop, rh_timer *timer) { rh_timers_cancel(&rh_reactor_of(loop)->timers, timer); }

static void on_ring(rh_socket *socket, bool readable, bool writable)
{
    (void)readable, (void)writable;
    rh_reactor *reactor = socket->owner;
    reactor->stats.wakes++;
    rh_doorbell_clear(&reactor->bell);
}

static const rh_socket_events bell_events = { .on_ready = on_ring };

static const rh_log *log_of(const rh_loop *loop) { return &((const rh_reactor *)loop)->log; }
static const rh_allocator *allocator_of(const rh_loop *loop) { return &((const rh_reactor *)loop)->allocator; }
static const char *backend_name(const rh_loop *loop) { return ((const rh_reactor *)loop)->poller->ops->name; }

static void stats_read(const rh_loop *loop, rh_loop_stats *stats)
{
    const rh_reactor *reactor = (const rh_reactor *)loop;
    *stats = reactor->stats;
    stats->frame_buffers = reactor->buffers.count;
    stats->frame_buffers_used = reactor->buffers.used;
}

/* -- life -------------------------------------------------------------------------------------- */

static void free_reactor(rh_reactor *reactor)
{
    rh_allocator allocator = reactor->allocator;
    if (reactor->poller) reactor->poller->ops->destroy(reactor->poller);
    rh_doorbell_fini(&reactor->bell, &reactor->allocator);
    rh_buffers_fini(&reactor->buffers);
    rh_buffers_fini(&reactor->sealed);
    rh_buffers_fini(&reactor->pieces);
    rh_buffers_fini(&reactor->blocks);
    if (reactor->plain) rh_reactor_free(reactor, reactor->plain, reactor->plain_n);
    allocator.free(allocator.user, reactor, sizeof *reactor);
}

static void cut_everything(rh_reactor *reactor)
{
    rh_tcp_pipe *next;
    for (rh_tcp_pipe *pipe = reactor->pipes; pipe; pipe = next) {
        next = pipe->next;
        rh_tcp_pipe_fall(pipe, RH_E_CANCELLED, 0, "the loop was destroyed");
    }
    while (reactor->listeners) rh_listener_close((rh_listener *)reactor->listeners);
    if (reactor->bell_socket) rh_socket_close(reactor->bell_socket);
}

static rh_status destroy(rh_loop *loop)
{
    rh_reactor *reactor = rh_reactor_of(loop);
    if (reactor->in_turn) return RH_E_REENTRANT;
    rh_status status = reactor->poller->ops->enable(reactor->poller);
    reactor->in_turn = true;
    reactor->now = read_clock();
    rh_doorbell_awake(&reactor->bell);
    while (rh_doorbell_answer(&reactor->bell) > 0) {}
    reactor->is_dying = true;
    cut_everything(reactor);
    while (status == RH_OK) {
        serve(reactor);
        rh_doorbell_answer(&reactor->bell); /* what the last callbacks posted */
        if (reactor->woken || reactor->poller->closed) continue;
        if (!reactor->pipes && !reactor->poller->sockets) break;
        reactor->poller->ops->arm(reactor->poller, rh_time_after(read_clock(), RH_MS(100)));
        int happened = reactor->poller->ops->wait(reactor->poller, true);
        if (happened < 0 && happened != -EINTR) status = RH_E_SYSTEM;
    }
    if (status) {
        /* The kernel may still write to what is ours: a leak is the lesser evil. */
        rh_reactor_log(reactor, RH_LOG_ERROR, "loop.destroy", "destroyed on a thread that is not its own: its memory is left");
        return status;
    }
    free_reactor(reactor);
    return RH_OK;
}

static const rh_loop_ops ops = {
    .destroy = destroy,
    .run = run,
    .turn = turn,
    .stop = stop,
    .fd = descriptor,
    .post = post,
    .now = now_of,
    .wall_ms = wall_ms,
    .random = fill_random,
    .in_callback = in_callback,
    .log = log_of,
    .allocator = allocator_of,
    .backend_name = backend_name,
    .stats_read = stats_read,
    .timer_set = timer_set,
    .timer_cancel = timer_cancel,
    .borrow = borrow,
    .give_back = give_back,
    .dial = rh_reactor_dial,
    .listen = rh_reactor_listen,
};

static void fill_defaults(rh_loop_opts *opts)
{
    static const rh_loop_opts defaults = { .receive_buffers = 16, .receive_bytes = 256 * 1024, .frame_buffers = 8,
                                           .max_frame = 64 * 1024, .max_pipes = 4096, .posts = 256, .ring_entries = 256 };
    if (!opts->receive_buffers) opts->receive_buffers = defaults.receive_buffers;
    if (!opts->receive_bytes) opts->receive_bytes = defaults.receive_bytes;
    if (!opts->frame_buffers) opts->frame_buffers = defaults.frame_buffers;
    if (!opts->max_frame) opts->max_frame = defaults.max_frame;
    if (!opts->max_pipes) opts->max_pipes = defaults.max_pipes;
    if (!opts->posts) opts->posts = defaults.posts;
    if (!opts->ring_entries) opts->ring_entries = defaults.ring_entries;
}

static rh_status choose_backend(rh_loop_opts *opts)
{
    const char *asked = getenv("RH_LOOP");
    if (opts->backend != RH_BACKEND_AUTO || !asked || !*asked) return RH_OK;
    if (strcmp(asked, "epoll") == 0) opts->backend = RH_BACKEND_EPOLL;
    else if (strcmp(asked, "uring") == 0) opts->backend = RH_BACKEND_URING;
    else return RH_E_ARGUMENT;
    return RH_OK;
}

/* What the ring cannot do without: DEFER_TASKRUN is the youngest of it. Nothing newer is used, so a mask of this version masks
 * nothing, and one below it leaves no ring at all. */
#define RING_KERNEL_MAJOR 6
#define RING_KERNEL_MINOR 1

/* $RH_RING_FEATURES, "6.1": what a newer kernel has is not there. False: it is no version. */
static bool mask_features(bool *has_ring)
{
    const char *mask = getenv("RH_RING_FEATURES");
    unsigned major, minor;
    char more;
    *has_ring = true;
    if (!mask || !*mask) return true;
    if (sscanf(mask, "%u.%u%c", &major, &minor, &more) != 2) return false;
    *has_ring = major > RING_KERNEL_MAJOR || (major == RING_KERNEL_MAJOR && minor >= RING_KERNEL_MINOR);
    return true;
}

static void make_poller(rh_reactor *reactor)
{
    if (!reactor->has_ring) errno = ENOSYS;
    if (reactor->opts.backend != RH_BACKEND_EPOLL) {
        if (reactor->has_ring) reactor->poller = rh_ring_create(&reactor->opts, &reactor->allocator, &reactor->stats);
        if (reactor->poller) return;
        rh_reactor_log(reactor, RH_LOG_INFO, "loop.epoll", "io_uring is refused (%s): the loop runs on epoll", strerrordesc_np(errno));
    }
    reactor->poller = rh_epoll_create(&reactor->opts, &reactor->allocator, &reactor->stats);
}

static rh_status refuse(rh_error *error, rh_status status, const char *words)
{
    int saved = errno;
    if (error) rh_error_set(error, status, NULL, words);
    if (error && status == RH_E_SYSTEM) error->os_error = saved;
    return status;
}

static rh_status furnish(rh_reactor *reactor, rh_error *error)
{
    size_t room = reactor->opts.max_frame > PLAIN_BYTES ? reactor->opts.max_frame : PLAIN_BYTES;
    rh_status status = rh_buffers_init(&reactor->buffers, &reactor->allocator, reactor->opts.frame_buffers, room);
    if (status == RH_OK) status = rh_buffers_init(&reactor->sealed, &reactor->allocator, 0, SEALED_RECORDS * SEALED_RECORD);
    reactor->sealed.kept = 1; /* made with the first connection over TLS */
    if (status == RH_OK) status = rh_buffers_init(&reactor->pieces, &reactor->allocator, 1, RH_PIPE_PIECES * sizeof(rh_iov));
    if (status == RH_OK) status = rh_doorbell_init(&reactor->bell, reactor->opts.posts, &reactor->allocator);
    if (status) return refuse(error, status, status == RH_E_MEMORY ? "no memory for a loop" : "no eventfd for a loop");
    reactor->plain_n = PLAIN_BYTES;
    reactor->plain = rh_reactor_alloc(reactor, reactor->plain_n);
    make_poller(reactor);
    if (!reactor->poller && errno != ENOMEM) return refuse(error, RH_E_SYSTEM, "neither io_uring nor epoll is to be had for a loop");
    if (!reactor->poller) return refuse(error, RH_E_MEMORY, "no memory for a loop");
    if (!reactor->plain) return refuse(error, RH_E_MEMORY, "no memory for a loop");
    reactor->bell_socket = rh_socket_open(reactor->poller, reactor->bell.fd, true, &bell_events, reactor);
    if (!reactor->bell_socket) return refuse(error, RH_E_MEMORY, "no memory for a loop");
    rh_socket_watch(reactor->bell_socket, POLLIN);
    return RH_OK;
}

rh_status rh_loop_create(const rh_loop_opts *opts, rh_loop **out, rh_error *error)
{
    static const rh_allocator standard = { .alloc = default_alloc, .free = default_free };
    *out = NULL;
    rh_loop_opts own = { .size = sizeof own };
    if (opts) rh_opts_copy(&own, sizeof own, opts, opts->size);
    fill_defaults(&own);
    bool is_sane = own.receive_buffers <= 32768 && own.max_frame <= 1u << 30 && own.ring_entries <= 32768;
    bool has_ring;
    if (!is_sane || choose_backend(&own) != RH_OK || !mask_features(&has_ring))
        return refuse(error, RH_E_ARGUMENT, "an option of the loop, $RH_LOOP (epoll or uring) or $RH_RING_FEATURES (6.1) is out of its range");
    const rh_allocator *allocator = own.allocator ? own.allocator : &standard;
    rh_reactor *reactor = allocator->alloc(allocator->user, sizeof *reactor);
    if (!reactor) return refuse(error, RH_E_MEMORY, "no memory for a loop");
    *reactor = (rh_reactor){ .loop.ops = &ops, .allocator = *allocator, .log = own.log, .opts = own, .has_ring = has_ring, .bell.fd = -1 };
    reactor->woken_end = &reactor->woken;
    reactor->rest.fn = on_rest;
    reactor->rest.user = reactor;
    rh_status status = furnish(reactor, error);
    if (status) {
        if (reactor->bell_socket) rh_reactor_free(reactor, reactor->bell_socket, sizeof *reactor->bell_socket);
        free_reactor(reactor);
        return status;
    }
    *out = &reactor->loop;
    return RH_OK;
}
