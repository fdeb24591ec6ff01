/* The poller on io_uring: everything is submitted and waited for in one system call a turn. */
#include "transport/poller.h"

#include <errno.h>
#include <liburing.h>
#include <poll.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

/* What a completion is about: the low bits of its user data, the socket is the rest. */
enum { TIMER, CANCEL, CONNECT, ACCEPT, RECEIVE, SEND, READY, OPERATIONS };
#define OPERATION_MASK ((uintptr_t)7)
_Static_assert(OPERATIONS <= 8 && _Alignof(rh_socket) >= 8, "an operation fits beside a pointer");

#define BIT(operation) (1u << (operation))

#define RECEIVE_GROUP 0

/* Completions may pile up while callbacks run; the kernel keeps what does not fit (FEAT_NODROP), at a price. */
#define COMPLETIONS_PER_ENTRY 4

struct ring {
    rh_poller        poller;
    struct io_uring  uring;
    bool             is_enabled;
    bool             has_overflowed; /* and not all of it was taken yet */
    int              event_fd; /* the doorbell, once a host polls it; else -1 */
    rh_time          armed;
    struct __kernel_timespec armed_at;

    struct io_uring_buf_ring *buffers;
    size_t           buffers_n; /* bytes of the ring itself */
    uint8_t         *memory;
    uint32_t         count, bytes;
    rh_socket       *starved; /* found no buffer: receive again when one is back */
    rh_socket       *early;   /* want something before the first turn: nothing can be submitted yet */
    struct io_uring_sqe refused; /* stands in for an entry that the kernel will never take: the next wait tells */
};

static struct ring *ring_of(rh_poller *poller) { return (struct ring *)poller; }

/* -- submissions ------------------------------------------------------------------------------- */

static int submit_entries(struct ring *ring)
{
    ring->poller.stats->enters++;
    return io_uring_submit(&ring->uring);
}

static void submit(rh_poller *poller) { (void)submit_entries(ring_of(poller)); }

/* What is refused for want of memory, or while the queue of completions is full, is taken later; anything else is for good. */
static bool makes_room(struct ring *ring)
{
    int result = submit_entries(ring);
    return result >= 0 || result == -EAGAIN || result == -EBUSY || result == -EINTR;
}

static bool has_unsubmitted(const rh_poller *poller)
{
    return io_uring_sq_ready(&((const struct ring *)poller)->uring) > 0;
}

static struct io_uring_sqe *next_entry(struct ring *ring, rh_socket *socket, unsigned operation)
{
    struct io_uring_sqe *entry = io_uring_get_sqe(&ring->uring);
    while (!entry) entry = makes_room(ring) ? io_uring_get_sqe(&ring->uring) : &ring->refused;
    if (socket) {
        socket->in_flight++;
        socket->armed |= BIT(operation);
    }
    return entry;
}

/* After the prep call, which clears the user data. */
static void tag(struct io_uring_sqe *entry, rh_socket *socket, unsigned operation)
{
    io_uring_sqe_set_data64(entry, (uintptr_t)socket | operation);
}

static void receive(struct ring *ring, rh_socket *socket)
{
    struct io_uring_sqe *entry = next_entry(ring, socket, RECEIVE);
    io_uring_prep_recv_multishot(entry, socket->fd, NULL, 0, 0);
    entry->flags |= IOSQE_BUFFER_SELECT;
    entry->buf_group = RECEIVE_GROUP;
    tag(entry, socket, RECEIVE);
}

static void accept_peers(struct ring *ring, rh_socket *socket)
{
    struct io_uring_sqe *entry = next_entry(ring, socket, ACCEPT);
    io_uring_prep_multishot_accept(entry, socket->fd, NULL, NULL, SOCK_CLOEXEC);
    tag(entry, socket, ACCEPT);
}

/* One shot, armed again after each time: like a level that is looked at, not an edge that may be missed. */
static void watch(struct ring *ring, rh_socket *socket)
{
    struct io_uring_sqe *entry = next_entry(ring, socket, READY);
    io_uring_prep_poll_add(entry, socket->fd, socket->wants_ready);
    tag(entry, socket, READY);
}

static void cancel(struct ring *ring, rh_socket *socket, unsigned operation)
{
    struct io_uring_sqe *entry = next_entry(ring, socket, CANCEL);
    io_uring_prep_cancel64(entry, (uintptr_t)socket | operation, 0);
    tag(entry, socket, CANCEL);
}

/* A ring that is not enabled takes no submissions, and its queue may be shorter than what is wanted by then. */
static void keep_for_later(struct ring *ring, rh_socket *socket)
{
    for (rh_socket *early = ring->early; early; early = early->next)
        if (early == socket) return;
    socket->next = ring->early;
    ring->early = socket;
}

static void update(rh_poller *poller, rh_socket *socket)
{
    struct ring *ring = ring_of(poller);
    if (!ring->is_enabled) {
        keep_for_later(ring, socket);
        return;
    }
    bool receiving = socket->armed & BIT(RECEIVE);
    bool accepting = socket->armed & BIT(ACCEPT);
    bool watching = socket->armed & BIT(READY);
    if (socket->wants_receive && !receiving && !socket->is_starved) receive(ring, socket);
    if (!socket->wants_receive && receiving) cancel(ring, socket, RECEIVE);
    if (socket->wants_accept && !accepting) accept_peers(ring, socket);
    if (!socket->wants_accept && accepting) cancel(ring, socket, ACCEPT);
    if (socket->wants_ready && !watching) watch(ring, socket);
    else if (watching) cancel(ring, socket, READY); /* other events: armed with them when this one has ended */
}

static void connect_socket(rh_poller *poller, rh_socket *socket)
{
    struct io_uring_sqe *entry = next_entry(ring_of(poller), socket, CONNECT);
    io_uring_prep_connect(entry, socket->fd, (struct sockaddr *)&socket->address, socket->address_n);
    tag(entry, socket, CONNECT);
}

/*
 * Tried at once, outside the ring: what the socket has room for needs no completion, which would end the wait that this
 * turn is about to begin, and a message on its way is not held up by other completions. The ring is for what has to wait.
 */
static ssize_t send_socket(rh_poller *poller, rh_socket *socket)
{
    ssize_t n = rh_socket_send_now(socket);
    if (n != 0) return n;
    struct io_uring_sqe *entry = next_entry(ring_of(poller), socket, SEND);
    /* The kernel goes on by itself after a partial send: one completion for all of it. */
    io_uring_prep_sendmsg(entry, socket->fd, &socket->message, MSG_NOSIGNAL | MSG_WAITALL);
    tag(entry, socket, SEND);
    return 0;
}

static void take_out(rh_socket **list, const rh_socket *socket)
{
    while (*list && *list != socket) list = &(*list)->next;
    if (*list) *list = socket->next;
}

static void close_socket(rh_poller *poller, rh_socket *socket)
{
    struct ring *ring = ring_of(poller);
    take_out(&ring->early, socket);
    if (socket->is_starved) take_out(&ring->starved, socket);
    socket->is_starved = false;
    if (!socket->in_flight) {
        rh_socket_let_go(socket);
        return;
    }
    /* One by one, by name: a borrowed descriptor may mean another file by the time this is submitted. */
    for (unsigned operation = CONNECT; operation < OPERATIONS; operation++)
        if (socket->armed & BIT(operation)) cancel(ring, socket, operation);
}

static struct __kernel_timespec timespec_of(rh_time time)
{
    return (struct __kernel_timespec){ .tv_sec = (int64_t)(time / RH_SECONDS(1)), .tv_nsec = (long long)(time % RH_SECONDS(1)) };
}

static void arm(rh_poller *poller, rh_time at)
{
    struct ring *ring = ring_of(poller);
    if (at >= ring->armed) return;
    bool pending = ring->armed != RH_TIME_NEVER;
    ring->armed = at;
    ring->armed_at = timespec_of(at);
    struct io_uring_sqe *entry = next_entry(ring, NULL, TIMER);
    if (pending) {
        io_uring_prep_timeout_update(entry, &ring->armed_at, TIMER, IORING_TIMEOUT_ABS);
        tag(entry, NULL, CANCEL);
    } else {
        io_uring_prep_timeout(entry, &ring->armed_at, 0, IORING_TIMEOUT_ABS | IORING_TIMEOUT_BOOTTIME);
        tag(entry, NULL, TIMER);
    }
}

/* -- completions ------------------------------------------------------------------------------- */

static uint8_t *buffer_at(const struct ring *ring, unsigned index) { return ring->memory + (size_t)index * ring->bytes; }

static void give_buffer(struct ring *ring, unsigned index)
{
    io_uring_buf_ring_add(ring->buffers, buffer_at(ring, index), ring->bytes, (unsigned short)index,
                          io_uring_buf_ring_mask(ring->count), 0);
    io_uring_buf_ring_advance(ring->buffers, 1);
}

static void received(struct ring *ring, rh_socket *socket, int32_t result, uint32_t flags)
{
    unsigned index = flags >> IORING_CQE_BUFFER_SHIFT;
    bool ended = !(socket->armed & BIT(RECEIVE));
    if (result == -ENOBUFS && socket->wants_receive) {
        /* Armed again only when a buffer is back: at once it would fail at once, for ever. */
        ring->poller.stats->starved++;
        socket->is_starved = true;
        socket->next = ring->starved;
        ring->starved = socket;
    } else if (result > 0 || !(result == -ECANCELED || result == -EINTR || result == -EAGAIN || result == -ENOBUFS)) {
        if (result <= 0) socket->wants_receive = false;
        /* What came before receiving was called off is still the stream's: the owner keeps it. */
        if (!socket->is_closing) socket->events->on_receive(socket, buffer_at(ring, index), result);
    }
    if (flags & IORING_CQE_F_BUFFER) give_buffer(ring, index);
    if (ended && socket->wants_receive && !socket->is_starved && !(socket->armed & BIT(RECEIVE))) receive(ring, socket);
}

static void accepted(struct ring *ring, rh_socket *socket, int32_t result)
{
    if (socket->is_closing || !socket->wants_accept) {
        if (result >= 0) close(result);
        return;
    }
    if (result != -ECANCELED && result != -EINTR && result != -ECONNABORTED) socket->events->on_accept(socket, result);
    if (socket->wants_accept && !(socket->armed & BIT(ACCEPT))) accept_peers(ring, socket);
}

static void became_ready(struct ring *ring, rh_socket *socket, int32_t result)
{
    if (result > 0) {
        bool broken = result & (POLLERR | POLLHUP);
        socket->events->on_ready(socket, socket->wants_ready & POLLIN && (broken || result & POLLIN),
                                 socket->wants_ready & POLLOUT && (broken || result & POLLOUT));
    }
    if (socket->wants_ready && !(socket->armed & BIT(READY)) && result != -EBADF) watch(ring, socket);
}

static void complete(struct ring *ring, uint64_t data, int32_t result, uint32_t flags)
{
    unsigned operation = (unsigned)(data & OPERATION_MASK);
    rh_socket *socket = (rh_socket *)(uintptr_t)(data & ~(uint64_t)OPERATION_MASK);
    if (!socket) {
        if (operation == TIMER) ring->armed = RH_TIME_NEVER;
        return;
    }
    if (!(flags & IORING_CQE_F_MORE)) {
        socket->in_flight--;
        socket->armed &= ~BIT(operation);
    }
    if (operation == RECEIVE) received(ring, socket, result, flags);
    else if (operation == ACCEPT) accepted(ring, socket, result);
    else if (socket->is_closing) {} /* nobody asks any more */
    else if (operation == SEND) socket->events->on_send(socket, result);
    else if (operation == CONNECT) socket->events->on_connect(socket, result < 0 ? -result : 0);
    else if (operation == READY) became_ready(ring, socket, result);
    if (socket->is_closing && !socket->in_flight) rh_socket_let_go(socket);
}

static void feed_starved(struct ring *ring)
{
    rh_socket *starved = ring->starved;
    ring->starved = NULL;
    while (starved) {
        rh_socket *socket = starved;
        starved = socket->next;
        socket->is_starved = false;
        if (socket->wants_receive && !(socket->armed & BIT(RECEIVE))) receive(ring, socket);
    }
}

/* The flags say whether completions wait to be made: who only looks enters the kernel when there is a reason. */
static bool has_reason(const struct ring *ring)
{
    return io_uring_sq_ready(&ring->uring) || IO_URING_READ_ONCE(*ring->uring.sq.kflags) & (IORING_SQ_TASKRUN | IORING_SQ_CQ_OVERFLOW);
}

static int enter(struct ring *ring, bool may_sleep)
{
    may_sleep = may_sleep && !io_uring_cq_ready(&ring->uring);
    if (!may_sleep && !has_reason(ring)) return 0;
    ring->poller.stats->enters++;
    return may_sleep ? io_uring_submit_and_wait(&ring->uring, 1) : io_uring_submit_and_get_events(&ring->uring);
}

/* The kernel moves what waited to the queue when it is entered again: once told, however many entries that takes. */
static void note_overflow(struct ring *ring)
{
    bool overflows = IO_URING_READ_ONCE(*ring->uring.sq.kflags) & IORING_SQ_CQ_OVERFLOW;
    if (overflows && !ring->has_overflowed) ring->poller.stats->overflows++;
    ring->has_overflowed = overflows;
}

static int wait_turn(rh_poller *poller, bool may_sleep)
{
    struct ring *ring = ring_of(poller);
    int result = enter(ring, may_sleep);
    note_overflow(ring);
    if (result == -EBUSY || result == -EAGAIN) result = 0;
    if (result < 0 && result != -EINTR) return result;

    /* Counted once: completions that callbacks cause wait for the next turn, so that timers have theirs. */
    unsigned count = io_uring_cq_ready(&ring->uring);
    for (unsigned i = 0; i < count; i++) {
        struct io_uring_cqe *entry;
        unsigned head;
        io_uring_for_each_cqe(&ring->uring, head, entry) break;
        uint64_t data = entry->user_data;
        int32_t entry_result = entry->res;
        uint32_t flags = entry->flags;
        io_uring_cq_advance(&ring->uring, 1);
        complete(ring, data, entry_result, flags);
    }
    feed_starved(ring);
    return result < 0 ? result : (int)count;
}

/* -- life -------------------------------------------------------------------------------------- */

/*
 * The ring's own descriptor wakes nobody who polls it while completions are deferred: the kernel wakes only who waits
 * inside the ring. A registered eventfd it does signal, when the first piece of work is queued. That the doorbell is this
 * eventfd spares the host a second descriptor; the ring goes on watching it for waits of its own.
 */
static int descriptor(rh_poller *poller, int bell)
{
    struct ring *ring = ring_of(poller);
    if (ring->event_fd < 0 && io_uring_register_eventfd(&ring->uring, bell) == 0) ring->event_fd = bell;
    return ring->event_fd < 0 ? ring->uring.ring_fd : ring->event_fd;
}

/* Completions reaped by the turn itself are no news to the host. */
static void wake(rh_poller *poller)
{
    struct ring *ring = ring_of(poller);
    if (ring->event_fd < 0) return;
    io_uring_cq_eventfd_toggle(&ring->uring, false);
    ssize_t n = read(ring->event_fd, &(uint64_t){ 0 }, sizeof(uint64_t));
    (void)n; /* EAGAIN: this turn came without a call */
}

static void rest(rh_poller *poller)
{
    struct ring *ring = ring_of(poller);
    if (ring->event_fd < 0) return;
    io_uring_cq_eventfd_toggle(&ring->uring, true);
    /* Work queued while signals were off is not signalled again: either the kernel sees them on, or we see its work. */
    atomic_thread_fence(memory_order_seq_cst);
    bool queued = IO_URING_READ_ONCE(*ring->uring.sq.kflags) & (IORING_SQ_TASKRUN | IORING_SQ_CQ_OVERFLOW);
    if (!queued && io_uring_cq_ready(&ring->uring) == 0) return;
    ssize_t n = write(ring->event_fd, &(uint64_t){ 1 }, sizeof(uint64_t));
    (void)n;
}

static rh_status enable(rh_poller *poller)
{
    struct ring *ring = ring_of(poller);
    if (ring->is_enabled) return RH_OK;
    /* Spelled out: liburing 2.3 declares the call and does not export it. */
    if (syscall(__NR_io_uring_register, ring->uring.ring_fd, IORING_REGISTER_ENABLE_RINGS, NULL, 0) < 0) return RH_E_SYSTEM;
    ring->is_enabled = true;
    /* Spares the kernel a look-up at each entry. The calling thread has room for a few rings: without it goes, too. */
    (void)!io_uring_register_ring_fd(&ring->uring);
    while (ring->early) {
        rh_socket *socket = ring->early;
        ring->early = socket->next;
        update(poller, socket);
    }
    return RH_OK;
}

static void destroy(rh_poller *poller)
{
    struct ring *ring = ring_of(poller);
    if (ring->uring.ring_fd >= 0) io_uring_queue_exit(&ring->uring);
    if (ring->memory) munmap(ring->memory, (size_t)ring->count * ring->bytes);
    if (ring->buffers) munmap(ring->buffers, ring->buffers_n);
    poller->allocator->free(poller->allocator->user, ring, sizeof *ring);
}

static void *map(size_t n)
{
    void *memory = mmap(NULL, n, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return memory == MAP_FAILED ? NULL : memory;
}

static int give_buffers(struct ring *ring)
{
    ring->buffers_n = ring->count * sizeof(struct io_uring_buf);
    ring->buffers = map(ring->buffers_n);
    ring->memory = map((size_t)ring->count * ring->bytes);
    if (!ring->buffers || !ring->memory) return -ENOMEM;
    io_uring_buf_ring_init(ring->buffers);
    struct io_uring_buf_reg registration = { .ring_addr = (uintptr_t)ring->buffers,
                                             .ring_entries = ring->count,
                                             .bgid = RECEIVE_GROUP };
    int result = io_uring_register_buf_ring(&ring->uring, &registration, 0);
    if (result < 0) return result;
    for (unsigned i = 0; i < ring->count; i++) give_buffer(ring, i);
    return 0;
}

static const rh_poller_ops ops = {
    .name = "io_uring",
    .socket_flags = SOCK_CLOEXEC, /* blocking: for others the ring answers EAGAIN instead of waiting */
    .destroy = destroy,
    .enable = enable,
    .wait = wait_turn,
    .has_unsubmitted = has_unsubmitted,
    .submit = submit,
    .arm = arm,
    .fd = descriptor,
    .wake = wake,
    .rest = rest,
    .connect = connect_socket,
    .update = update,
    .send = send_socket,
    .close = close_socket,
};

rh_poller *rh_ring_create(const rh_loop_opts *opts, const rh_allocator *allocator, rh_loop_stats *stats)
{
    struct ring *ring = allocator->alloc(allocator->user, sizeof *ring);
    if (!ring) {
        errno = ENOMEM;
        return NULL;
    }
    *ring = (struct ring){ .poller = { .ops = &ops, .allocator = allocator, .stats = stats }, .armed = RH_TIME_NEVER, .count = 1,
                           .bytes = opts->receive_bytes, .uring.ring_fd = -1, .event_fd = -1 };
    while (ring->count < opts->receive_buffers) ring->count *= 2;
    /* DEFER_TASKRUN: completions are made when we ask, not whenever the thread is interrupted. TASKRUN_FLAG: the
     * flags of the submission queue say that there are some to be made. */
    struct io_uring_params params = {
        .flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_TASKRUN_FLAG | IORING_SETUP_R_DISABLED |
                 IORING_SETUP_CQSIZE | IORING_SETUP_CLAMP,
        .cq_entries = opts->ring_entries * COMPLETIONS_PER_ENTRY,
    };
    int result = io_uring_queue_init_params(opts->ring_entries, &ring->uring, &params);
    if (result < 0) ring->uring.ring_fd = -1;
    else if (!(params.features & IORING_FEAT_NODROP) || !(params.features & IORING_FEAT_EXT_ARG)) result = -ENOSYS;
    else result = give_buffers(ring);
    if (result == 0) return &ring->poller;
    destroy(&ring->poller);
    errno = -result;
    return NULL;
}
