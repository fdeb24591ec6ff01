/*
 * The ring under a kernel that does what kernels seldom do. liburing's calls stand here first: they pass on to the real
 * ones, note what is submitted, and change what completes as the test has asked.
 */
#include "tests/wire.h"

#include <dlfcn.h>
#include <errno.h>
#include <liburing.h>

static struct {
    unsigned armed[IORING_OP_LAST];    /* submissions, by operation */
    uint64_t last[IORING_OP_LAST];     /* the user data of the latest */

    int      ends, ends_with;          /* the latest of this operation is over by itself, with this result; 0: none */
    uint64_t ending;                   /* its user data, until that is told */
    int      strips;                   /* the next good completion of this operation is its last; 0: none */
    uint64_t drops;                    /* who therefore ends unheard; 0: nobody */
    unsigned told;                     /* how often the script had its way */

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
    for (unsigned at = *ring->cq.khead; at != end; at++) {
        struct io_uring_cqe *entry = completion(ring, at);
        bool is_over = entry->res == -ECANCELED && !(entry->flags & IORING_CQE_F_MORE);
        if (is_over && script.drops && entry->user_data == script.drops) {
            script.drops = 0;
            drop(ring, at);
        } else if (is_over && script.ending && entry->user_data == script.ending) {
            entry->res = script.ends_with;
            script.ending = 0;
            script.told++;
        } else if (script.strips && entry->user_data == script.last[script.strips] && entry->res > 0 && entry->flags & IORING_CQE_F_MORE) {
            entry->flags &= ~IORING_CQE_F_MORE;
            script.drops = entry->user_data;
            script.strips = 0;
            script.told++;
            end_in_kernel(ring, script.drops);
        }
    }
}

/* -- liburing's calls ------------------------------------------------------------------------------ */

int io_uring_submit(struct io_uring *ring)
{
    before(ring);
    return REAL(io_uring_submit)(ring);
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
