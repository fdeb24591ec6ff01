/* The poller on epoll: for kernels and containers without io_uring. */
#include "transport/poller.h"

#include <errno.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <unistd.h>

/* Events taken from the kernel at once. */
#define EVENTS 64

/* How often one socket is read, or accepted from, before others have their turn. */
#define READS_PER_TURN   4
#define ACCEPTS_PER_TURN 32

/* A read costs a system call, so it should bring as much as a send of ours holds. */
#define READ_BYTES_MIN (64u * 1024)

enum { CONNECTING = 1, SENDING = 2 }; /* socket->in_flight */

#define IS_ADDED 0x80000000u /* in socket->armed, beside the events watched */

struct epoll {
    rh_poller poller;
    int       fd, timer;
    rh_time   armed;
    size_t    scratch_n;
    uint8_t  *scratch;
};

static struct epoll *epoll_of(rh_poller *poller) { return (struct epoll *)poller; }

static void destroy(rh_poller *poller)
{
    struct epoll *epoll = epoll_of(poller);
    if (epoll->fd >= 0) close(epoll->fd);
    if (epoll->timer >= 0) close(epoll->timer);
    if (epoll->scratch) poller->allocator->free(poller->allocator->user, epoll->scratch, epoll->scratch_n);
    poller->allocator->free(poller->allocator->user, epoll, sizeof *epoll);
}

static rh_status enable(rh_poller *poller)
{
    (void)poller;
    return RH_OK;
}

static bool has_unsubmitted(const rh_poller *poller)
{
    (void)poller;
    return false;
}

static void submit(rh_poller *poller) { (void)poller; }

static int descriptor(rh_poller *poller, int bell)
{
    (void)bell; /* watched like any other */
    return ((struct epoll *)poller)->fd;
}

/* The epoll descriptor is readable by itself whenever there is something to wait for. */
static void say_nothing(rh_poller *poller) { (void)poller; }

static struct timespec timespec_of(rh_time time)
{
    return (struct timespec){ .tv_sec = (time_t)(time / RH_SECONDS(1)), .tv_nsec = (long)(time % RH_SECONDS(1)) };
}

static void arm(rh_poller *poller, rh_time at)
{
    struct epoll *epoll = epoll_of(poller);
    if (at >= epoll->armed) return;
    epoll->armed = at;
    struct itimerspec when = { .it_value = timespec_of(at ? at : 1) }; /* zero would disarm it */
    timerfd_settime(epoll->timer, TFD_TIMER_ABSTIME, &when, NULL);
    poller->stats->enters++;
}

static void update(rh_poller *poller, rh_socket *socket)
{
    unsigned wanted = 0;
    if (socket->wants_receive || socket->wants_accept || socket->wants_ready & POLLIN) wanted |= EPOLLIN;
    if (socket->in_flight || socket->wants_ready & POLLOUT) wanted |= EPOLLOUT;
    if (wanted == (socket->armed & ~IS_ADDED)) return;
    /* Taken out when nothing is wanted: a hang-up would be reported for ever. */
    int op = !wanted ? EPOLL_CTL_DEL : socket->armed & IS_ADDED ? EPOLL_CTL_MOD : EPOLL_CTL_ADD;
    struct epoll_event event = { .events = wanted, .data.ptr = socket };
    epoll_ctl(epoll_of(poller)->fd, op, socket->fd, &event);
    poller->stats->enters++;
    socket->armed = wanted ? wanted | IS_ADDED : 0;
}

static void connect_socket(rh_poller *poller, rh_socket *socket)
{
    /* An immediate refusal is also reported by the event that follows. */
    int saved = connect(socket->fd, (struct sockaddr *)&socket->address, socket->address_n) == 0 ? 0 : errno;
    socket->message.msg_flags = saved == EINPROGRESS ? 0 : saved;
    socket->in_flight |= CONNECTING;
    update(poller, socket);
}

static ssize_t send_socket(rh_poller *poller, rh_socket *socket)
{
    ssize_t n = rh_socket_send_now(socket);
    if (n != 0) return n;
    socket->in_flight |= SENDING;
    update(poller, socket);
    return 0;
}

static void close_socket(rh_poller *poller, rh_socket *socket)
{
    socket->in_flight = 0;
    update(poller, socket);
    rh_socket_let_go(socket);
}

static void connected(rh_poller *poller, rh_socket *socket)
{
    int error = socket->message.msg_flags;
    socklen_t n = sizeof error;
    if (!error) getsockopt(socket->fd, SOL_SOCKET, SO_ERROR, &error, &n);
    socket->in_flight &= ~(unsigned)CONNECTING;
    update(poller, socket);
    socket->events->on_connect(socket, error);
}

static void writable(rh_poller *poller, rh_socket *socket)
{
    ssize_t n = rh_socket_send_now(socket);
    if (n == 0) return;
    socket->in_flight &= ~(unsigned)SENDING;
    socket->events->on_send(socket, n);
    /* Only now: what was sent has often given something more to send, and the socket may be full again. */
    if (!socket->is_closing) update(poller, socket);
}

static void readable(struct epoll *epoll, rh_socket *socket)
{
    for (int reads = 0; reads < READS_PER_TURN && socket->wants_receive; reads++) {
        ssize_t n = recv(socket->fd, epoll->scratch, epoll->scratch_n, MSG_DONTWAIT);
        epoll->poller.stats->enters++;
        if (n < 0 && errno == EINTR) continue;
        if (n < 0 && errno == EWOULDBLOCK) return;
        if (n <= 0) rh_socket_receive(socket, false);
        socket->events->on_receive(socket, epoll->scratch, n < 0 ? -errno : n);
        if (n < (ssize_t)epoll->scratch_n) return;
    }
}

static void acceptable(rh_poller *poller, rh_socket *socket)
{
    for (int accepts = 0; accepts < ACCEPTS_PER_TURN && socket->wants_accept; accepts++) {
        int fd = accept4(socket->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
        poller->stats->enters++;
        if (fd < 0 && errno == EWOULDBLOCK) return;
        if (fd < 0 && (errno == EINTR || errno == ECONNABORTED)) continue;
        socket->events->on_accept(socket, fd < 0 ? -errno : fd);
        if (fd < 0) return;
    }
}

static void dispatch(struct epoll *epoll, const struct epoll_event *event)
{
    rh_socket *socket = event->data.ptr;
    if (!socket) {
        uint64_t expirations;
        ssize_t n = read(epoll->timer, &expirations, sizeof expirations);
        (void)n;
        epoll->armed = RH_TIME_NEVER;
        return;
    }
    bool broken = event->events & (EPOLLERR | EPOLLHUP);
    bool in = event->events & (EPOLLIN | EPOLLRDHUP) || broken;
    bool out = event->events & EPOLLOUT || broken;
    rh_poller *poller = &epoll->poller;
    if (out && socket->in_flight & CONNECTING) connected(poller, socket);
    if (out && !socket->is_closing && socket->in_flight & SENDING) writable(poller, socket);
    if (in && socket->wants_accept) acceptable(poller, socket);
    if (in && socket->wants_receive) readable(epoll, socket);
    unsigned wanted = socket->wants_ready;
    if (wanted) socket->events->on_ready(socket, in && wanted & POLLIN, out && wanted & POLLOUT);
}

static int wait_turn(rh_poller *poller, bool may_sleep)
{
    struct epoll *epoll = epoll_of(poller);
    struct epoll_event events[EVENTS];
    poller->stats->enters++;
    int count = epoll_wait(epoll->fd, events, EVENTS, may_sleep ? -1 : 0);
    if (count < 0) return -errno;
    for (int i = 0; i < count; i++) dispatch(epoll, &events[i]);
    return count;
}

static const rh_poller_ops ops = {
    .name = "epoll",
    .socket_flags = SOCK_CLOEXEC | SOCK_NONBLOCK,
    .destroy = destroy,
    .enable = enable,
    .wait = wait_turn,
    .has_unsubmitted = has_unsubmitted,
    .submit = submit,
    .arm = arm,
    .fd = descriptor,
    .wake = say_nothing,
    .rest = say_nothing,
    .connect = connect_socket,
    .update = update,
    .send = send_socket,
    .close = close_socket,
};

rh_poller *rh_epoll_create(const rh_loop_opts *opts, const rh_allocator *allocator, rh_loop_stats *stats)
{
    struct epoll *epoll = allocator->alloc(allocator->user, sizeof *epoll);
    errno = ENOMEM;
    if (!epoll) return NULL;
    *epoll = (struct epoll){ .poller = { .ops = &ops, .allocator = allocator, .stats = stats }, 
                             .armed = RH_TIME_NEVER,
                             .scratch_n = opts->receive_bytes > READ_BYTES_MIN ? opts->receive_bytes : READ_BYTES_MIN };
    epoll->fd = epoll_create1(EPOLL_CLOEXEC);
    epoll->timer = timerfd_create(CLOCK_BOOTTIME, TFD_CLOEXEC | TFD_NONBLOCK);
    epoll->scratch = allocator->alloc(allocator->user, epoll->scratch_n);
    struct epoll_event event = { .events = EPOLLIN, .data.ptr = NULL };
    bool is_whole = epoll->fd >= 0 && epoll->timer >= 0 && epoll->scratch;
    if (is_whole && epoll_ctl(epoll->fd, EPOLL_CTL_ADD, epoll->timer, &event) == 0) return &epoll->poller;
    int saved = epoll->scratch ? errno : ENOMEM;
    destroy(&epoll->poller);
    errno = saved;
    return NULL;
}
