/*
 * The ring under a kernel that does what kernels seldom do. liburing's calls stand here first: they pass on to the real
 * ones, note what is submitted, and change what completes as the test has asked.
 */
#include "tests/wire.h"

#include <arpa/inet.h>
#include <dlfcn.h>
#include <errno.h>
#include <liburing.h>
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

static struct {
    unsigned armed[IORING_OP_LAST];    /* submissions, by operation */
    uint64_t last[IORING_OP_LAST];     /* the user data of the latest */
    unsigned seen;                     /* completions of this ring that the script has looked at */

    int      ends, ends_with;          /* the latest of this operation is over by itself, with this result; 0: none */
    bool     is_ending;                /* that is still to be told */
    uint64_t ending;                   /* its user data */
    int      strips;                   /* the next good completion of this operation is its last; 0: none */
    uint64_t drops;                    /* who therefore ends unheard; 0: nobody */
    unsigned told;                     /* how often the script had its way */

    int      dialed[128];              /* descriptors, as their connects were submitted */
    unsigned dialed_count;
    unsigned starved, ended;           /* receives that ended for want of a buffer, and in all */
    bool     counts_lent;              /* from now on: */
    unsigned lent;                     /* completions with a buffer that were not taken yet when a receive was armed */

    unsigned submits_fail;             /* so many submits do nothing and answer EAGAIN, each after one that does */
    unsigned submits;
    int      wait_answers;             /* -errno, instead of the truth; 0: the truth */
    bool     waits_first;              /* but does what was asked */
    int      init_answers, register_answers;
    unsigned hides_features;
} script;

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

/* -- what goes in ---------------------------------------------------------------------------------- */

static void note(const struct io_uring *ring)
{
    for (unsigned at = ring->sq.sqe_head; at != ring->sq.sqe_tail; at++) {
        const struct io_uring_sqe *entry = &ring->sq.sqes[at & ring->sq.ring_mask];
        script.armed[entry->opcode]++;
        script.last[entry->opcode] = entry->user_data;
        if (entry->opcode == IORING_OP_RECV && script.counts_lent) script.lent += io_uring_cq_ready(ring);
        if (entry->opcode == IORING_OP_CONNECT && script.dialed_count < 128) script.dialed[script.dialed_count++] = entry->fd;
    }
}

/* The kernel's operation really ends: only what is told of it is another thing. */
static void end_in_kernel(struct io_uring *ring, uint64_t user_data)
{
    struct io_uring_sync_cancel_reg which = { .addr = user_data, .fd = -1, .timeout = { .tv_sec = -1, .tv_nsec = -1 } };
    cr_assert_eq(io_uring_register_sync_cancel(ring, &which), 0);
}

static void before(struct io_uring *ring)
{
    note(ring);
    if (!script.ends) return;
    REAL(io_uring_submit)(ring);
    script.is_ending = true;
    script.ending = script.last[script.ends];
    script.ends = 0;
    end_in_kernel(ring, script.ending);
}

/* -- what comes out -------------------------------------------------------------------------------- */

static struct io_uring_cqe *completion(struct io_uring *ring, unsigned at) { return &ring->cq.cqes[at & ring->cq.ring_mask]; }

/* Entries between head and tail are ours: those before this one move up. */
static void drop(struct io_uring *ring, unsigned at)
{
    for (; at != *ring->cq.khead; at--) *completion(ring, at) = *completion(ring, at - 1);
    io_uring_cq_advance(ring, 1);
}

static void after(struct io_uring *ring)
{
    unsigned end = *ring->cq.khead + io_uring_cq_ready(ring);
    for (unsigned at = script.seen; at != end; at++) {
        struct io_uring_cqe *entry = completion(ring, at);
        bool is_over = entry->res == -ECANCELED && !(entry->flags & IORING_CQE_F_MORE);
        bool is_receive = entry->res == -ENOBUFS || entry->flags & IORING_CQE_F_BUFFER;
        script.starved += entry->res == -ENOBUFS;
        script.ended += is_receive && !(entry->flags & IORING_CQE_F_MORE);
        if (is_over && script.drops && entry->user_data == script.drops) {
            script.drops = 0;
            drop(ring, at);
        } else if (is_over && script.is_ending && entry->user_data == script.ending) {
            entry->res = script.ends_with;
            script.is_ending = false;
            script.told++;
        } else if (script.strips && entry->user_data == script.last[script.strips] && entry->res > 0 && entry->flags & IORING_CQE_F_MORE) {
            entry->flags &= ~IORING_CQE_F_MORE;
            script.drops = entry->user_data;
            script.strips = 0;
            script.told++;
            end_in_kernel(ring, script.drops);
        }
    }
    script.seen = end;
}

/* -- liburing's calls ------------------------------------------------------------------------------ */

int io_uring_submit(struct io_uring *ring)
{
    script.submits++;
    if (script.submits_fail && script.submits % 2) {
        script.submits_fail--;
        return -EAGAIN;
    }
    before(ring);
    int answer = REAL(io_uring_submit)(ring);
    after(ring); /* what is done at once completes at once */
    return answer;
}

/* Answers the script's lie, if it tells one: once. */
static bool lies(int *answer)
{
    *answer = script.wait_answers;
    script.wait_answers = 0;
    script.told += *answer != 0;
    return *answer != 0;
}

static int enter(struct io_uring *ring, int answer)
{
    after(ring);
    int lie;
    return script.waits_first && lies(&lie) ? lie : answer;
}

int io_uring_submit_and_get_events(struct io_uring *ring)
{
    int lie;
    if (!script.waits_first && lies(&lie)) return lie;
    before(ring);
    return enter(ring, REAL(io_uring_submit_and_get_events)(ring));
}

int io_uring_submit_and_wait(struct io_uring *ring, unsigned count)
{
    int lie;
    if (!script.waits_first && lies(&lie)) return lie;
    before(ring);
    return enter(ring, REAL(io_uring_submit_and_wait)(ring, count));
}

int io_uring_queue_init_params(unsigned entries, struct io_uring *ring, struct io_uring_params *params)
{
    if (script.init_answers) return script.init_answers;
    script.seen = 0;
    int result = REAL(io_uring_queue_init_params)(entries, ring, params);
    params->features &= ~script.hides_features;
    return result;
}

int io_uring_register_buf_ring(struct io_uring *ring, struct io_uring_buf_reg *registration, unsigned flags)
{
    return script.register_answers ? script.register_answers : REAL(io_uring_register_buf_ring)(ring, registration, flags);
}

/* -- stories --------------------------------------------------------------------------------------- */

static void open_echoing(struct wire *wire)
{
    *wire = (struct wire){ .server.echoes = true };
    wire_open(wire, RH_BACKEND_URING, NULL);
    if (strcmp(rh_loop_backend_name(wire->loop), "io_uring") != 0) cr_skip_test("no ring here");
}

/* Something to and fro: both receives see it. */
static void expect_echo(struct wire *wire, const char *when)
{
    uint64_t before_it = wire->client.frames;
    wire_say(&wire->client, "to and fro", 10);
    cr_assert(wire_until(wire, wire->client.frames == before_it + 1), "%s: nothing came back", when);
}

Test(ring, a_receive_that_ends_by_itself_is_armed_again_once)
{
    static const int ends[] = { ECANCELED, EINTR, EAGAIN };
    for (unsigned i = 0; i < sizeof ends / sizeof *ends; i++) {
        const char *name = strerrorname_np(ends[i]);
        struct wire wire;
        open_echoing(&wire);
        wire_connect(&wire);
        expect_echo(&wire, name);
        unsigned armed = script.armed[IORING_OP_RECV];
        script.ends_with = -ends[i];
        script.ends = IORING_OP_RECV;
        wire_pass(&wire, RH_MS(5));
        cr_expect_eq(script.told, i + 1, "%s: the script had its way", name);
        expect_echo(&wire, name);
        cr_expect_eq(script.armed[IORING_OP_RECV], armed + 1, "%s", name);
        cr_expect_not(wire.client.is_down || wire.server.is_down, "%s", name);
        wire_close(&wire);
    }
}

Test(ring, a_receive_whose_last_bytes_say_that_no_more_follow_is_armed_again_once)
{
    struct wire wire;
    open_echoing(&wire);
    wire_connect(&wire);
    expect_echo(&wire, "before");
    for (int i = 0; i < 20; i++) {
        unsigned armed = script.armed[IORING_OP_RECV];
        unsigned told = script.told;
        script.strips = IORING_OP_RECV;
        expect_echo(&wire, "stripped");
        cr_expect_eq(script.told, told + 1);
        wire_pass(&wire, RH_MS(1));
        cr_expect_eq(script.armed[IORING_OP_RECV], armed + 1, "round %d", i);
    }
    wire_close(&wire);
}

/* Further peers come and go; the listener has one accept armed, no less and no more. */
static void expect_accepted(struct wire *wire, const char *when)
{
    struct end client = { .pipe = NULL }, server = { .pipe = NULL };
    wire->accepted = &server;
    wire_dial(wire, &client, RH_DIAL_OPTS(.host = "127.0.0.1", .port = rh_listener_port(wire->listener)));
    cr_assert(wire_until(wire, client.is_up && server.is_up), "%s", when);
    rh_pipe_close(client.pipe, false);
    cr_assert(wire_until(wire, client.is_down && server.is_down), "%s", when);
}

Test(ring, an_accept_that_ends_by_itself_is_armed_again_once)
{
    static const int ends[] = { ECANCELED, EINTR, ECONNABORTED };
    struct wire wire;
    open_echoing(&wire);
    expect_accepted(&wire, "before");
    for (unsigned i = 0; i < sizeof ends / sizeof *ends; i++) {
        const char *name = strerrorname_np(ends[i]);
        unsigned armed = script.armed[IORING_OP_ACCEPT];
        script.ends_with = -ends[i];
        script.ends = IORING_OP_ACCEPT;
        wire_pass(&wire, RH_MS(5));
        cr_expect_eq(script.told, i + 1, "%s: the script had its way", name);
        expect_accepted(&wire, name);
        cr_expect_eq(script.armed[IORING_OP_ACCEPT], armed + 1, "%s", name);
    }
    cr_expect_eq(wire.warned, 0, "nothing of it is news to anybody");
    wire_close(&wire);
}

Test(ring, an_accept_whose_last_peer_says_that_no_more_follow_is_armed_again_once)
{
    struct wire wire;
    open_echoing(&wire);
    for (int i = 0; i < 5; i++) {
        expect_accepted(&wire, "before");
        unsigned armed = script.armed[IORING_OP_ACCEPT];
        script.strips = IORING_OP_ACCEPT;
        expect_accepted(&wire, "stripped");
        cr_expect_eq(script.strips, 0, "the script had its way");
        cr_expect_eq(script.armed[IORING_OP_ACCEPT], armed + 1);
    }
    wire_close(&wire);
}

Test(ring, a_wait_that_is_interrupted_or_cannot_be_entered_now_is_no_failure)
{
    static const int answers[] = { -EINTR, -EBUSY, -EAGAIN };
    struct wire wire;
    open_echoing(&wire);
    wire_connect(&wire);
    for (size_t i = 0; i < sizeof answers / sizeof *answers; i++)
        for (int late = 0; late < 2; late++)
            for (int round = 0; round < 10; round++) {
                unsigned told = script.told;
                script.waits_first = late;
                script.wait_answers = answers[i];
                expect_echo(&wire, strerrorname_np(-answers[i]));
                cr_expect_eq(script.told, told + 1);
            }
    wire_close(&wire);
}

Test(ring, a_wait_that_fails_is_told_and_nothing_is_lost)
{
    struct wire wire;
    open_echoing(&wire);
    wire_connect(&wire);
    wire_say(&wire.client, "kept", 4);
    script.wait_answers = -ENXIO;
    cr_expect_eq(rh_loop_turn(wire.loop, RH_NOWAIT), RH_E_SYSTEM);
    cr_expect(wire_until(&wire, wire.client.frames == 1));
    wire_close(&wire);
}

Test(ring, where_it_cannot_be_made_epoll_takes_over_and_says_so_once)
{
    static const struct {
        const char *what;
        int         init, registration;
        unsigned    hides;
    } rows[] = {
        { "forbidden", -EPERM, 0, 0 },
        { "unknown", -ENOSYS, 0, 0 },
        { "no memory that may be locked", -ENOMEM, 0, 0 },
        { "a flag too many", -EINVAL, 0, 0 },
        { "no buffer rings", 0, -EINVAL, 0 },
        { "completions may be lost", 0, 0, IORING_FEAT_NODROP },
        { "no time-outs", 0, 0, IORING_FEAT_EXT_ARG },
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct wire wire = { .server.echoes = true };
        script.init_answers = rows[i].init;
        script.register_answers = rows[i].registration;
        script.hides_features = rows[i].hides;
        wire_open(&wire, RH_BACKEND_URING, NULL);
        cr_expect_str_eq(rh_loop_backend_name(wire.loop), "epoll", "%s", rows[i].what);
        cr_expect_eq(wire.logged_epoll, 1, "%s", rows[i].what);
        wire_connect(&wire);
        expect_echo(&wire, rows[i].what);
        wire_close(&wire);
    }
}

/* -- full queues ------------------------------------------------------------------------------------- */

enum { BURST = 64 };

struct crowd {
    struct end *ends;
    int count;
};

static void accept_next(void *user, rh_pipe *pipe)
{
    struct crowd *crowd = user;
    rh_pipe_adopt(pipe, &wire_handler, &crowd->ends[crowd->count++]);
}

/* Dials so many at once, through a queue of four, and says something on each; the connects go in as they were asked for. */
static void expect_order_in_a_burst(const char *when)
{
    struct wire wire = { .loop = NULL };
    struct end *ends = calloc(2 * BURST, sizeof *ends);
    struct crowd served = { ends + BURST, 0 };
    rh_listener *listener;
    rh_error error;
    wire_open(&wire, RH_BACKEND_URING, RH_LOOP_OPTS(.ring_entries = 4));
    if (strcmp(rh_loop_backend_name(wire.loop), "io_uring") != 0) cr_skip_test("no ring here");
    cr_assert_eq(rh_loop_listen(wire.loop, RH_LISTEN_OPTS(.port = 0), accept_next, &served, &listener, &error), RH_OK, "%s", error.description);
    wire_pass(&wire, RH_MS(1));
    script.dialed_count = 0;
    for (int i = 0; i < BURST; i++) wire_dial(&wire, &ends[i], RH_DIAL_OPTS(.host = "127.0.0.1", .port = rh_listener_port(listener)));
    for (int i = 0; i < 2 * BURST; i++) cr_assert(wire_until(&wire, ends[i].is_up), "%s: end %d", when, i);
    cr_assert_eq(script.dialed_count, BURST, "%s", when);
    for (int i = 1; i < BURST; i++) cr_expect_gt(script.dialed[i], script.dialed[i - 1], "%s: descriptors grow in the order of dialing", when);
    for (int i = 0; i < BURST; i++) wire_say_many(&ends[i], 3, 1000 + (size_t)i);
    for (int i = 0; i < BURST; i++) {
        cr_assert(wire_until(&wire, served.ends[i].frames == 3), "%s: end %d", when, i);
        cr_expect_eq(served.ends[i].bytes_in, 3 * (1004 + (uint64_t)i), "%s: accepted in the order of dialing", when);
    }
    wire_close(&wire);
    for (int i = 0; i < 2 * BURST; i++) wire_forget(&ends[i]);
    free(ends);
}

Test(ring, a_burst_of_64_through_a_queue_of_four_keeps_its_order) { expect_order_in_a_burst("a queue of four"); }

Test(ring, a_submit_that_fails_for_now_is_repeated_and_nothing_changes_its_order)
{
    script.submits_fail = 40;
    expect_order_in_a_burst("every other submit fails");
    cr_expect_lt(script.submits_fail, 40);
}

static void *destroy(void *user)
{
    static rh_status status;
    status = rh_loop_destroy(user);
    return &status;
}

/* A ring belongs to its thread, and takes nothing from another. What is more than its queue holds must not be tried for ever. */
Test(ring, what_the_kernel_refuses_for_good_is_an_error_and_no_endless_loop, .timeout = 10)
{
    static struct wire wire; /* whose loop stays, as the kernel may still write to it */
    static struct end ends[2 * 20];
    struct crowd served = { ends + 20, 0 };
    rh_listener *listener;
    pthread_t thread;
    void *status;
    wire_open(&wire, RH_BACKEND_URING, RH_LOOP_OPTS(.ring_entries = 4));
    if (strcmp(rh_loop_backend_name(wire.loop), "io_uring") != 0) cr_skip_test("no ring here");
    cr_assert_eq(rh_loop_listen(wire.loop, RH_LISTEN_OPTS(.port = 0), accept_next, &served, &listener, NULL), RH_OK);
    for (int i = 0; i < 20; i++) wire_dial(&wire, &ends[i], RH_DIAL_OPTS(.host = "127.0.0.1", .port = rh_listener_port(listener)));
    for (int i = 0; i < 2 * 20; i++) cr_assert(wire_until(&wire, ends[i].is_up));
    pthread_create(&thread, NULL, destroy, wire.loop);
    pthread_join(thread, &status);
    cr_expect_eq(*(rh_status *)status, RH_E_SYSTEM);
    cr_expect_gt(wire.warned, 0, "and the log says so");
}

static int raw_connect(const struct wire *wire)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons(rh_listener_port(wire->listener)),
                              .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    cr_assert_eq(connect(fd, (struct sockaddr *)&to, sizeof to), 0);
    return fd;
}

enum { CROWD = 40 };

/* What happens while nobody looks is more than the queue of eight holds: the kernel keeps the rest, once, and it all arrives. */
Test(ring, completions_beyond_the_queue_are_counted_once_and_none_is_lost)
{
    static const uint8_t frame[] = { 0, 0, 0, 7, 'y', 'e', 's' };
    struct wire wire = { .loop = NULL };
    struct end *ends = calloc(CROWD, sizeof *ends);
    int fds[CROWD];
    rh_loop_stats before_it, after_it;
    wire_open(&wire, RH_BACKEND_URING, RH_LOOP_OPTS(.ring_entries = 2));
    if (strcmp(rh_loop_backend_name(wire.loop), "io_uring") != 0) cr_skip_test("no ring here");
    for (int i = 0; i < CROWD; i++) {
        wire.accepted = &ends[i];
        fds[i] = raw_connect(&wire);
        cr_assert(wire_until(&wire, ends[i].is_up));
    }
    wire_pass(&wire, RH_MS(2));
    rh_loop_stats_read(wire.loop, &before_it);
    for (uint64_t round = 1; round <= 3; round++) {
        for (int i = 0; i < CROWD; i++) cr_assert_eq(send(fds[i], frame, sizeof frame, 0), sizeof frame);
        for (int i = 0; i < CROWD; i++) cr_assert(wire_until(&wire, ends[i].frames == round), "round %d: end %d", (int)round, i);
        wire_pass(&wire, RH_MS(2));
        rh_loop_stats_read(wire.loop, &after_it);
        cr_expect_eq(after_it.overflows - before_it.overflows, round, "once for each crowd");
    }
    for (int i = 0; i < CROWD; i++) {
        cr_expect_eq(ends[i].bytes_in, 3 * sizeof frame);
        close(fds[i]);
    }
    for (int i = 0; i < CROWD; i++) cr_assert(wire_until(&wire, ends[i].is_down), "nor is an end lost");
    wire_close(&wire);
    free(ends);
}

/* -- starved of buffers ------------------------------------------------------------------------------ */

Test(ring, a_receive_without_a_buffer_is_armed_again_when_one_is_back_and_not_before)
{
    struct wire wire = { .loop = NULL };
    wire_open(&wire, RH_BACKEND_URING, RH_LOOP_OPTS(.receive_buffers = 2, .receive_bytes = 1024));
    if (strcmp(rh_loop_backend_name(wire.loop), "io_uring") != 0) cr_skip_test("no ring here");
    wire_connect(&wire);
    wire_pass(&wire, RH_MS(2));
    script.counts_lent = true;
    script.starved = script.ended = 0;
    unsigned armed = script.armed[IORING_OP_RECV];
    wire_say_many(&wire.client, 60, 60000);
    uint64_t said = wire_said_digest(&wire.client);
    cr_assert(wire_until(&wire, wire.server.frames == 60));
    wire_pass(&wire, RH_MS(2));
    cr_expect_eq(wire.server.digest, said);
    cr_expect_gt(script.starved, 10, "two buffers of a kilobyte are not enough for 3.6 MB");
    cr_expect_eq(script.armed[IORING_OP_RECV] - armed, script.ended, "once for each that ended");
    cr_expect_eq(script.lent, 0, "and every buffer was back in the ring by then");
    wire_close(&wire);
}

/* An owner that holds what it has and wants no more: the ring of two is not asked in vain, and what waits is not lost. */
Test(ring, while_an_owner_holds_everything_two_receives_are_tried_at_most)
{
    struct wire wire = { .server.deaf = true };
    wire_open(&wire, RH_BACKEND_URING, RH_LOOP_OPTS(.receive_buffers = 2, .receive_bytes = 1024));
    if (strcmp(rh_loop_backend_name(wire.loop), "io_uring") != 0) cr_skip_test("no ring here");
    wire_connect(&wire);
    unsigned armed = script.armed[IORING_OP_RECV];
    wire_say_many(&wire.client, 100, 60000);
    uint64_t said = wire_said_digest(&wire.client);
    wire_pass(&wire, RH_MS(50));
    cr_expect_leq(script.armed[IORING_OP_RECV] - armed, 2);
    rh_loop_stats before_it, after_it;
    rh_loop_stats_read(wire.loop, &before_it);
    armed = script.armed[IORING_OP_RECV];
    wire_pass(&wire, RH_MS(100));
    rh_loop_stats_read(wire.loop, &after_it);
    cr_expect_eq(script.armed[IORING_OP_RECV], armed, "nothing is tried while nothing can be taken");
    cr_expect_leq(after_it.enters - before_it.enters, 4);

    wire.server.deaf = false;
    rh_pipe_wake(wire.server.pipe);
    cr_assert(wire_until(&wire, wire.server.frames == 100));
    cr_expect_eq(wire.server.digest, said);
    wire_close(&wire);
}

/* -- time --------------------------------------------------------------------------------------------- */

static void count_it(void *user, rh_time now)
{
    (void)now;
    ++*(unsigned *)user;
}

/* ETIME is how the kernel's timer ends; cancelled by nobody, it has ended too, and the next wait arms another, once. */
Test(ring, a_timer_that_ends_by_itself_is_armed_again_once)
{
    static const int ends[] = { ETIME, ECANCELED, EINTR };
    struct wire wire;
    open_echoing(&wire);
    wire_pass(&wire, RH_MS(1));
    for (unsigned i = 0; i < sizeof ends / sizeof *ends; i++) {
        const char *name = strerrorname_np(ends[i]);
        unsigned fired = 0;
        rh_timer timer = { .fn = count_it, .user = &fired };
        rh_timer_set(wire.loop, &timer, rh_loop_now(wire.loop) + RH_MS(40));
        wire_pass(&wire, RH_MS(5));
        script.ends_with = -ends[i];
        script.ends = IORING_OP_TIMEOUT;
        unsigned armed = script.armed[IORING_OP_TIMEOUT];
        cr_assert(wire_until(&wire, fired == 1), "%s", name);
        cr_expect_eq(script.told, i + 1, "%s: the script had its way", name);
        cr_expect_leq(script.armed[IORING_OP_TIMEOUT] - armed, 2, "%s: again, and for the end of the test's own wait", name);
        wire_pass(&wire, RH_MS(20));
        cr_expect_eq(fired, 1, "%s", name);
    }
    wire_close(&wire);
}
