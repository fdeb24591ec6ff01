/*
 * The floor of a round trip on a bare io_uring: a send that is tried at once, a multishot receive into a ring of buffers,
 * one entry into the kernel to wait. With --spin the completion queue is looked at until something is in it, and the
 * kernel is entered only when it says that there is work to be done.
 *
 * What else was tried here and was slower by 1 to 8 %: the send as a submission, with and without its completion, one
 * receive at a time, poll-first, registered files, completions that interrupt (COOP_TASKRUN) or none of the flags.
 */
#include "bench/floor/amqp.h"
#include "bench/floor/pace.h"
#include "bench/lines.h"
#include "bench/reference.h"

#include <errno.h>
#include <liburing.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#define BUFFERS      16
#define BUFFER_BYTES 4096

static struct {
    bool                      spins, is_armed, is_whole;
    int                       fd;
    struct io_uring           ring;
    struct io_uring_buf_ring *buffers;
    uint8_t                   memory[BUFFERS][BUFFER_BYTES];
    uint8_t                  *frame; /* a transfer with its payload */
    size_t                    frame_n, body_n;
    uint32_t                  sent;
    double                    rate;
    rh_floor_answers          answers;
} world = { .fd = -1 };

/* -- moving bytes ---------------------------------------------------------------------------- */

static bool send_event(void)
{
    rh_floor_transfer_number(world.frame, world.sent++);
    /* A window's worth of events fits into the socket; one that does not would be no closed loop. */
    return send(world.fd, world.frame, world.frame_n, MSG_NOSIGNAL) == (ssize_t)world.frame_n;
}

static void give_buffer(int at)
{
    io_uring_buf_ring_add(world.buffers, world.memory[at], BUFFER_BYTES, (unsigned short)at, BUFFERS - 1, 0);
    io_uring_buf_ring_advance(world.buffers, 1);
}

static void arm(void)
{
    struct io_uring_sqe *entry = io_uring_get_sqe(&world.ring);
    io_uring_prep_recv_multishot(entry, world.fd, NULL, 0, 0);
    entry->flags |= IOSQE_BUFFER_SELECT;
    world.is_armed = true;
}

static bool receive(const struct io_uring_cqe *completion)
{
    int n = completion->res, at = (int)(completion->flags >> IORING_CQE_BUFFER_SHIFT);
    if (!(completion->flags & IORING_CQE_F_MORE)) world.is_armed = false;
    if (n == -ENOBUFS) return true;
    if (n <= 0 || sizeof world.answers.bytes - world.answers.n < (size_t)n) return false;
    memcpy(world.answers.bytes + world.answers.n, world.memory[at], (size_t)n);
    give_buffer(at);
    return rh_floor_answered(&world.answers, (size_t)n);
}

/* Waits no longer than until `at`; true: there may be something. */
static bool wait_until(uint64_t at)
{
    if (!world.is_armed) arm();
    if (world.spins) {
        if (io_uring_sq_ready(&world.ring)) io_uring_submit(&world.ring);
        while (!io_uring_cq_ready(&world.ring)) {
            if (IO_URING_READ_ONCE(*world.ring.sq.kflags) & IORING_SQ_TASKRUN) io_uring_get_events(&world.ring);
            else if (at != UINT64_MAX && rh_lines_now() >= at) return false;
        }
        return true;
    }
    if (at == UINT64_MAX) return io_uring_submit_and_wait(&world.ring, 1) >= 0;
    uint64_t now = rh_lines_now();
    if (now >= at) return false;
    struct __kernel_timespec left = { .tv_sec = (int64_t)((at - now) / 1000000000), .tv_nsec = (int64_t)((at - now) % 1000000000) };
    struct io_uring_cqe *first;
    return io_uring_submit_and_wait_timeout(&world.ring, &first, 1, &left, NULL) != -ETIME;
}

static bool take_answers(void)
{
    struct io_uring_cqe *completion;
    unsigned head, count = 0;
    bool good = true;
    io_uring_for_each_cqe(&world.ring, head, completion) {
        good = good && receive(completion);
        count++;
    }
    io_uring_cq_advance(&world.ring, count);
    return good;
}

/* -- tasks ----------------------------------------------------------------------------------- */

static const char *round_trips(rh_turn *turn)
{
    uint64_t since = rh_lines_now();
    for (uint64_t i = 0; i < turn->events; i++) {
        if (!send_event()) return rh_lines_failed("a send: %s", strerror(errno));
        while (world.answers.settled != world.sent)
            if (!wait_until(UINT64_MAX) || !take_answers()) return rh_lines_failed("an answer");
        uint64_t now = rh_lines_now();
        if (turn->samples) turn->samples[i] = now - since;
        since = now;
    }
    return NULL;
}

static const char *paced(rh_turn *turn)
{
    uint32_t first = world.sent;
    rh_pace  pace  = rh_pace_of(world.rate);
    for (uint64_t sent = 0, settled = 0; settled < turn->events;) {
        uint64_t at = sent < turn->events ? rh_pace_at(&pace, sent) : UINT64_MAX;
        if (wait_until(at)) {
            if (!take_answers()) return rh_lines_failed("an answer");
            rh_pace_settled(&pace, turn, &settled, world.answers.settled - first);
        } else {
            if (!send_event()) return rh_lines_failed("a send: %s", strerror(errno));
            sent++;
        }
    }
    return NULL;
}

static const char *run(rh_turn *turn)
{
    turn->bytes = turn->events * world.body_n;
    return world.rate > 0 ? paced(turn) : round_trips(turn);
}

/* -- opening --------------------------------------------------------------------------------- */

static void close_all(void)
{
    if (world.is_whole) io_uring_queue_exit(&world.ring);
    if (world.buffers) munmap(world.buffers, BUFFERS * sizeof(struct io_uring_buf));
    if (world.fd >= 0) close(world.fd);
    free(world.frame);
    bool spins = world.spins;
    memset(&world, 0, sizeof world);
    world.spins = spins;
    world.fd = -1;
}

static bool make_ring(void)
{
    struct io_uring_params params = { .flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_TASKRUN_FLAG };
    if (io_uring_queue_init_params(64, &world.ring, &params) < 0) return false;
    world.is_whole = true;
    io_uring_register_ring_fd(&world.ring);
    void *memory = mmap(NULL, BUFFERS * sizeof(struct io_uring_buf), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) return false;
    world.buffers = memory;
    io_uring_buf_ring_init(world.buffers);
    struct io_uring_buf_reg registration = { .ring_addr = (uintptr_t)memory, .ring_entries = BUFFERS };
    if (io_uring_register_buf_ring(&world.ring, &registration, 0) < 0) return false;
    for (int i = 0; i < BUFFERS; i++) give_buffer(i);
    return true;
}

static const char *open_task(const rh_order *order)
{
    if (order->tls) return rh_lines_cannot("no TLS on a bare ring");
    world.rate = strcmp(order->task, "paced") == 0 ? order->rate : 0;
    world.fd = rh_floor_dial(order->host, (uint16_t)atoi(order->port));
    world.frame = rh_floor_event(order->size, &world.frame_n);
    rh_floor_stream stream = rh_floor_stream_of(&world.fd);
    const char *said = NULL;
    if (!world.frame) said = rh_lines_cannot("one frame holds 64 KiB");
    else if (world.fd < 0) said = rh_lines_failed("a socket: %s", strerror(errno));
    else if (!rh_floor_open(&stream, RH_FLOOR_SENDS, order->address, 0)) said = rh_lines_failed("the link to %s", order->address);
    else if (!make_ring()) said = rh_lines_cannot("the kernel refuses a ring");
    if (said) {
        close_all();
        return said;
    }
    world.body_n = order->size;
    return NULL;
}

int main(int argc, char **argv)
{
    static const char *const sleeping[] = { "DEFER_TASKRUN, registered ring, send at once, multishot receive; TCP_NODELAY", NULL };
    static const char *const spinning[] = { "the same, and the completion queue looked at without a system call", NULL };
    world.spins = argc > 1 && strcmp(argv[1], "--spin") == 0;
    rh_lines lines = { .name = world.spins ? "floor-ring-spin" : "floor-ring", .version = "1", .tasks = "roundtrip,paced",
                       .settings = world.spins ? spinning : sleeping, .open = open_task, .run = run, .close = close_all };
    prctl(PR_SET_TIMERSLACK, 1); /* paced: on time, not 50 us later to save a wake-up */
    rh_reference_init();
    return rh_lines_serve(&lines);
}
