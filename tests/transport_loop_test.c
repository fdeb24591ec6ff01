/* The loop itself: turns, timers, calls from other threads, hosts that poll. Every test runs on io_uring and on epoll. */
#include "tests/wire.h"

#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <unistd.h>

static rh_loop *make_loop(rh_loop_backend backend)
{
    rh_loop *loop;
    cr_assert_eq(rh_loop_create(RH_LOOP_OPTS(.backend = backend), &loop, NULL), RH_OK);
    return loop;
}

static rh_time raw_clock(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return RH_SECONDS(time.tv_sec) + (rh_time)time.tv_nsec;
}

/* -- timers */

struct bell {
    rh_timer  timer;
    rh_loop  *loop;
    int       number, times;
    rh_time   every;
    char     *story;
};

static void on_bell(void *user, rh_time now)
{
    struct bell *bell = user;
    bell->times++;
    cr_expect_geq(now, bell->timer.at, "not before its time");
    if (bell->story) bell->story[strlen(bell->story)] = (char)('0' + bell->number);
    if (bell->every) rh_timer_set(bell->loop, &bell->timer, now + bell->every);
}

Test(timer, timers_come_in_the_order_of_their_times)
{
    for (each_backend(backend)) {
        rh_loop *loop = make_loop(backend);
        char story[16] = "";
        struct bell bells[10];
        rh_time now = rh_loop_now(loop);
        /* Set in another order; 3 and 4 are equal and keep the order of setting; 7 is cancelled, 8 moved to the end. */
        static const int order[10] = { 5, 3, 9, 0, 7, 4, 1, 8, 2, 6 };
        for (int i = 0; i < 10; i++) {
            int number = order[i];
            bells[number] = (struct bell){ .timer = { .fn = on_bell, .user = &bells[number] }, .loop = loop, .number = number, .story = story };
            rh_timer_set(loop, &bells[number].timer, now + RH_MS(number == 4 ? 3 : number));
        }
        rh_timer_cancel(loop, &bells[7].timer);
        rh_timer_cancel(loop, &bells[7].timer);
        rh_timer_set(loop, &bells[8].timer, now + RH_MS(20));
        cr_expect_eq(rh_loop_run(loop, now + RH_MS(30)), RH_OK);
        cr_expect_str_eq(story, "012345698");
        cr_expect_geq(rh_loop_now(loop), now + RH_MS(30));
        rh_loop_destroy(loop);
    }
}

Test(timer, a_heap_of_ten_thousand_is_in_order)
{
    rh_loop *loop = make_loop(RH_BACKEND_EPOLL);
    struct bell *bells = calloc(10000, sizeof *bells);
    uint32_t seed = 7;
    rh_time now = rh_loop_now(loop);
    for (int round = 0; round < 3; round++)
        for (int i = 0; i < 10000; i++) {
            seed = seed * 1664525 + 1013904223;
            bells[i].timer.fn = on_bell;
            bells[i].timer.user = &bells[i];
            if (seed >> 30 == 0) rh_timer_cancel(loop, &bells[i].timer);
            else rh_timer_set(loop, &bells[i].timer, now + 1 + (seed >> 8) % 1000000);
        }
    int set = 0, rung = 0;
    for (int i = 0; i < 10000; i++) set += bells[i].timer.is_set;
    cr_expect_eq(rh_loop_run(loop, now + RH_MS(20)), RH_OK);
    for (int i = 0; i < 10000; i++) rung += bells[i].times;
    cr_expect_eq(rung, set);
    rh_loop_destroy(loop);
    free(bells);
}

Test(timer, a_timer_set_for_the_past_by_itself_holds_nobody_up)
{
    for (each_backend(backend)) {
        rh_loop *loop = make_loop(backend);
        struct bell eager = { .loop = loop, .every = 1 }, other = { .loop = loop };
        eager.timer = (rh_timer){ .fn = on_bell, .user = &eager };
        other.timer = (rh_timer){ .fn = on_bell, .user = &other };
        rh_timer_set(loop, &eager.timer, 0);
        rh_timer_set(loop, &other.timer, rh_loop_now(loop) + RH_MS(2));
        cr_expect_eq(rh_loop_run(loop, rh_loop_now(loop) + RH_MS(5)), RH_OK);
        cr_expect_eq(other.times, 1);
        cr_expect_gt(eager.times, 2);
        rh_timer_cancel(loop, &eager.timer);
        rh_loop_destroy(loop);
    }
}

static void on_late(void *user, rh_time now)
{
    struct bell *bell = user;
    bell->times++;
    rh_timer_set(bell->loop, &bell->timer, now - RH_SECONDS(1));
}

Test(timer, one_set_for_long_ago_again_and_again_starves_nobody)
{
    for (each_backend(backend)) {
        rh_loop *loop = make_loop(backend);
        struct bell eager = { .loop = loop }, other = { .loop = loop };
        eager.timer = (rh_timer){ .fn = on_late, .user = &eager };
        other.timer = (rh_timer){ .fn = on_bell, .user = &other };
        rh_timer_set(loop, &eager.timer, 0);
        rh_timer_set(loop, &other.timer, rh_loop_now(loop) + RH_MS(2));
        cr_expect_eq(rh_loop_run(loop, rh_loop_now(loop) + RH_MS(5)), RH_OK);
        cr_expect_eq(other.times, 1);
        rh_timer_cancel(loop, &eager.timer);
        rh_loop_destroy(loop);
    }
}

Test(timer, an_earlier_time_replaces_a_later_one_also_in_the_kernel)
{
    for (each_backend(backend)) {
        rh_loop *loop = make_loop(backend);
        struct bell bell = { .loop = loop, .every = RH_MS(1) };
        bell.timer = (rh_timer){ .fn = on_bell, .user = &bell };
        rh_time begin = rh_loop_now(loop);
        rh_timer_set(loop, &bell.timer, begin + RH_SECONDS(60));
        cr_expect_eq(rh_loop_run(loop, begin + RH_MS(1)), RH_OK);
        rh_timer_set(loop, &bell.timer, begin + RH_MS(3));
        while (bell.times < 20 && rh_loop_now(loop) < begin + RH_SECONDS(2)) cr_expect_eq(rh_loop_turn(loop, RH_TIME_NEVER), RH_OK);
        cr_expect_eq(bell.times, 20);
        cr_expect_lt(rh_loop_now(loop) - begin, RH_MS(500));
        rh_loop_destroy(loop);
    }
}

/* -- run, stop, reentrancy */

struct inside {
    rh_loop  *loop;
    rh_status run, turn, destroy;
    bool      in_callback;
};

static void try_everything(void *user)
{
    struct inside *inside = user;
    inside->run = rh_loop_run(inside->loop, RH_NOWAIT);
    inside->turn = rh_loop_turn(inside->loop, RH_NOWAIT);
    inside->destroy = rh_loop_destroy(inside->loop);
    inside->in_callback = rh_loop_in_callback(inside->loop);
    rh_loop_stop(inside->loop);
}

struct stopper {
    rh_loop *loop;
    size_t   asked;
};

/* Asked for output in the first half of a turn, before the loop waits. */
static size_t stop_instead(void *user, rh_iov *iov, size_t max)
{
    struct stopper *stopper = user;
    (void)iov, (void)max;
    if (stopper->asked++) rh_loop_stop(stopper->loop);
    return 0;
}

static bool listens_not(void *user)
{
    (void)user;
    return false;
}

static void stay_up(void *user, rh_pipe *pipe) { (void)user, (void)pipe; }
static void go_down(void *user, rh_pipe *pipe, const rh_error *error) { (void)user, (void)pipe, (void)error; }

Test(loop, a_stop_leaves_no_wait_behind)
{
    static const rh_pipe_handler handler = { .on_up = stay_up, .wants_input = listens_not, .output = stop_instead, .on_down = go_down };
    for (each_backend(backend)) {
        struct wire    wire = { .server.echoes = false };
        struct stopper stopper = { .asked = 0 };
        rh_pipe       *pipe;
        wire_open(&wire, backend, NULL);
        stopper.loop = wire.loop;
        cr_assert_eq(rh_loop_dial(wire.loop, RH_DIAL_OPTS(.host = "127.0.0.1", .port = rh_listener_port(wire.listener)), &handler, &stopper, &pipe), RH_OK);
        cr_assert(wire_until(&wire, stopper.asked == 1), "it is up");
        rh_time begun = rh_loop_now(wire.loop);
        rh_pipe_wake(pipe);
        cr_expect_eq(rh_loop_run(wire.loop, begun + RH_SECONDS(20)), RH_OK);
        rh_loop_stop(wire.loop);
        cr_expect_eq(rh_loop_run(wire.loop, begun + RH_SECONDS(20)), RH_OK);
        cr_expect_lt(rh_loop_now(wire.loop) - begun, RH_SECONDS(10));
        wire_close(&wire);
    }
}

Test(loop, inside_a_callback_nothing_turns_it)
{
    for (each_backend(backend)) {
        struct inside inside = { .loop = make_loop(backend) };
        cr_assert_eq(rh_loop_post(inside.loop, try_everything, &inside), RH_OK);
        cr_expect_eq(rh_loop_run(inside.loop, RH_TIME_NEVER), RH_OK, "and stop ends what has no end");
        cr_expect_eq(inside.run, RH_E_REENTRANT);
        cr_expect_eq(inside.turn, RH_E_REENTRANT);
        cr_expect_eq(inside.destroy, RH_E_REENTRANT);
        cr_expect(inside.in_callback);
        cr_expect_not(rh_loop_in_callback(inside.loop));
        rh_loop_destroy(inside.loop);
    }
}

Test(loop, it_waits_as_long_as_it_is_told)
{
    for (each_backend(backend)) {
        rh_loop *loop = make_loop(backend);
        rh_time begin = raw_clock();
        cr_expect_eq(rh_loop_run(loop, RH_NOWAIT), RH_OK);
        cr_expect_lt(raw_clock() - begin, RH_MS(20));
        begin = raw_clock();
        cr_expect_eq(rh_loop_run(loop, rh_loop_now(loop) + RH_MS(30)), RH_OK);
        cr_expect_geq(raw_clock() - begin, RH_MS(30));
        cr_expect_lt(raw_clock() - begin, RH_MS(200));
        rh_loop_stats stats;
        rh_loop_stats_read(loop, &stats);
        cr_expect_lt(stats.turns, 10, "%zu turns to sleep once", (size_t)stats.turns);
        rh_loop_destroy(loop);
    }
}

static void on_alarm(int number) { (void)number; }

Test(loop, a_signal_ends_a_turn)
{
    for (each_backend(backend)) {
        rh_loop *loop = make_loop(backend);
        struct sigaction action = { .sa_handler = on_alarm };
        sigaction(SIGALRM, &action, NULL);
        struct itimerval soon = { .it_value.tv_usec = 20000 };
        setitimer(ITIMER_REAL, &soon, NULL);
        rh_time begin = raw_clock();
        cr_expect_eq(rh_loop_turn(loop, rh_loop_now(loop) + RH_SECONDS(5)), RH_OK);
        cr_expect_lt(raw_clock() - begin, RH_SECONDS(1));
        rh_loop_destroy(loop);
    }
}

Test(loop, the_environment_chooses_what_options_leave_open)
{
    rh_loop *loop;
    setenv("RH_LOOP", "epoll", 1);
    loop = make_loop(RH_BACKEND_AUTO);
    cr_expect_str_eq(rh_loop_backend_name(loop), "epoll");
    rh_loop_destroy(loop);
    setenv("RH_LOOP", "abacus", 1);
    rh_error error = { .status = RH_OK };
    cr_expect_eq(rh_loop_create(NULL, &loop, &error), RH_E_ARGUMENT);
    cr_expect_null(loop);
    cr_expect(strstr(error.description, "RH_LOOP"));
    unsetenv("RH_LOOP");
}

Test(loop, a_mask_hides_newer_kernels)
{
    static const struct { const char *mask, *name; } rows[] = { { "6.1", "io_uring" }, { "7.0", "io_uring" }, { "6.0", "epoll" }, { "5.19", "epoll" } };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        setenv("RH_RING_FEATURES", rows[i].mask, 1);
        rh_loop *loop = make_loop(RH_BACKEND_URING);
        cr_expect_str_eq(rh_loop_backend_name(loop), rows[i].name, "masked to %s", rows[i].mask);
        rh_loop_destroy(loop);
    }
    rh_loop *loop;
    rh_error error = { .status = RH_OK };
    setenv("RH_RING_FEATURES", "new", 1);
    cr_expect_eq(rh_loop_create(NULL, &loop, &error), RH_E_ARGUMENT);
    cr_expect(strstr(error.description, "RH_RING_FEATURES"));
    unsetenv("RH_RING_FEATURES");
}

/* What a container's profile does to io_uring_setup. */
static void refuse_io_uring(void)
{
    struct sock_filter filter[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_io_uring_setup, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = { .len = sizeof filter / sizeof *filter, .filter = filter };
    cr_assert_eq(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) | prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program), 0);
}

Test(loop, where_io_uring_is_refused_epoll_takes_over_and_says_so_once)
{
    refuse_io_uring();
    struct wire wire = { .server.echoes = true };
    wire_open(&wire, RH_BACKEND_URING, NULL);
    cr_expect_str_eq(rh_loop_backend_name(wire.loop), "epoll");
    cr_expect_eq(wire.logged_epoll, 1);
    wire_connect(&wire);
    wire_say(&wire.client, "x", 1);
    cr_expect(wire_until(&wire, wire.client.frames == 1));
    cr_expect_eq(wire.logged_epoll, 1);
    wire_close(&wire);
}

static void *run_it(void *loop) { return (void *)(uintptr_t)(rh_loop_run(loop, RH_TIME_NEVER) || rh_loop_destroy(loop)); }
static void stop_it(void *loop) { rh_loop_stop(loop); }

static void turn_away(void *user, rh_pipe *pipe)
{
    (void)user;
    rh_pipe_close(pipe, false);
}

Test(loop, more_may_be_wanted_before_the_first_turn_than_the_ring_holds, .timeout = 10)
{
    for (each_backend(backend)) {
        rh_loop *loop;
        rh_listener *listeners[16];
        cr_assert_eq(rh_loop_create(RH_LOOP_OPTS(.backend = backend, .ring_entries = 4), &loop, NULL), RH_OK);
        for (int i = 0; i < 16; i++)
            cr_assert_eq(rh_loop_listen(loop, RH_LISTEN_OPTS(.port = 0), turn_away, NULL, &listeners[i], NULL), RH_OK);
        rh_listener_close(listeners[7]);
        for (int i = 0; i < 3; i++) cr_expect_eq(rh_loop_turn(loop, RH_NOWAIT), RH_OK);
        /* The last one too is listening by now: its peer is accepted, and cut. */
        struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons(rh_listener_port(listeners[15])), .sin_addr = { htonl(INADDR_LOOPBACK) } };
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        cr_assert_eq(connect(fd, (struct sockaddr *)&to, sizeof to), 0);
        struct pollfd end = { .fd = fd, .events = POLLIN };
        for (int i = 0; i < 100 && poll(&end, 1, 0) == 0; i++) cr_expect_eq(rh_loop_turn(loop, rh_loop_now(loop) + RH_MS(10)), RH_OK);
        cr_expect(end.revents, "on %s", rh_loop_backend_name(loop));
        close(fd);
        cr_expect_eq(rh_loop_destroy(loop), RH_OK);
    }
}

Test(loop, one_thread_makes_it_another_runs_it)
{
    for (each_backend(backend)) {
        rh_loop *loop = make_loop(backend);
        pthread_t thread;
        void *failed = loop;
        pthread_create(&thread, NULL, run_it, loop);
        usleep(20000);
        while (rh_loop_post(loop, stop_it, loop) != RH_OK) {}
        pthread_join(thread, &failed);
        cr_expect_null(failed);
    }
}

/* -- posts */

#define POSTERS 4
#define POSTS   20000

struct poster {
    rh_loop      *loop;
    _Atomic int  *done;
    unsigned      seen;
    bool          disordered;
    struct letter { struct poster *from; unsigned number; } *letters;
};

static void read_letter(void *user)
{
    struct letter *letter = user;
    if (letter->number != letter->from->seen) letter->from->disordered = true;
    letter->from->seen++;
    if (letter->number == POSTS - 1) atomic_fetch_add(letter->from->done, 1);
}

static void *post_letters(void *user)
{
    struct poster *poster = user;
    for (unsigned i = 0; i < POSTS; i++) {
        poster->letters[i] = (struct letter){ poster, i };
        while (rh_loop_post(poster->loop, read_letter, &poster->letters[i]) == RH_AGAIN) sched_yield();
        if (i % 1000 == 0) usleep(100); /* let it fall asleep now and then */
    }
    return NULL;
}

Test(post, four_threads_lose_nothing_and_keep_their_order)
{
    for (each_backend(backend)) {
        rh_loop *loop = make_loop(backend);
        _Atomic int done = 0;
        struct poster posters[POSTERS];
        pthread_t threads[POSTERS];
        for (int i = 0; i < POSTERS; i++) {
            posters[i] = (struct poster){ .loop = loop, .done = &done, .letters = calloc(POSTS, sizeof(struct letter)) };
            pthread_create(&threads[i], NULL, post_letters, &posters[i]);
        }
        rh_time end = rh_loop_now(loop) + RH_SECONDS(20);
        while (atomic_load(&done) < POSTERS && rh_loop_now(loop) < end) cr_assert_eq(rh_loop_turn(loop, end), RH_OK);
        for (int i = 0; i < POSTERS; i++) {
            pthread_join(threads[i], NULL);
            cr_expect_eq(posters[i].seen, POSTS);
            cr_expect_not(posters[i].disordered);
            free(posters[i].letters);
        }
        rh_loop_destroy(loop);
    }
}

static void count(void *user) { ++*(unsigned *)user; }

Test(post, a_full_queue_says_so_and_destroy_calls_what_waits)
{
    for (each_backend(backend)) {
        rh_loop *loop;
        unsigned counted = 0, posted = 0;
        cr_assert_eq(rh_loop_create(RH_LOOP_OPTS(.backend = backend, .posts = 5), &loop, NULL), RH_OK);
        while (posted < 100 && rh_loop_post(loop, count, &counted) == RH_OK) posted++;
        cr_expect_eq(posted, 8, "five rounded up to a power of two");
        cr_expect_eq(rh_loop_run(loop, RH_NOWAIT), RH_OK);
        cr_expect_eq(counted, 8);
        cr_expect_eq(rh_loop_post(loop, count, &counted), RH_OK);
        rh_loop_destroy(loop);
        cr_expect_eq(counted, 9);
    }
}

static void *post_soon(void *user)
{
    struct bell *bell = user;
    usleep(20000);
    cr_expect_eq(rh_loop_post(bell->loop, count, &bell->number), RH_OK);
    return NULL;
}

Test(post, a_loop_that_spins_hears_of_it_at_once)
{
    for (each_backend(backend)) {
        rh_loop *loop;
        cr_assert_eq(rh_loop_create(RH_LOOP_OPTS(.backend = backend, .spin_us = 5000000), &loop, NULL), RH_OK);
        cr_assert_eq(rh_loop_run(loop, RH_NOWAIT), RH_OK);
        struct bell bell = { .loop = loop };
        pthread_t thread;
        rh_loop_stats before, after;
        rh_loop_stats_read(loop, &before);
        rh_time begin = raw_clock();
        pthread_create(&thread, NULL, post_soon, &bell);
        cr_expect_eq(rh_loop_turn(loop, RH_TIME_NEVER), RH_OK);
        cr_expect_eq(bell.number, 1);
        cr_expect_lt(raw_clock() - begin, RH_SECONDS(1));
        rh_loop_stats_read(loop, &after);
        bool is_ring = strcmp(rh_loop_backend_name(loop), "io_uring") == 0;
        cr_expect(!is_ring || after.enters - before.enters <= 2, "the ring was entered %zu times while it only looked",
                  (size_t)(after.enters - before.enters));
        pthread_join(thread, NULL);
        rh_loop_destroy(loop);
    }
}

Test(post, an_end_that_a_wait_did_not_reach_holds_no_later_one_up)
{
    for (each_backend(backend)) {
        struct bell bell = { .loop = make_loop(backend) };
        pthread_t thread;
        cr_assert_eq(rh_loop_run(bell.loop, RH_NOWAIT), RH_OK);
        pthread_create(&thread, NULL, post_soon, &bell);
        rh_time begin = raw_clock();
        while (!bell.number) cr_assert_eq(rh_loop_turn(bell.loop, rh_loop_now(bell.loop) + RH_SECONDS(5)), RH_OK);
        cr_expect_eq(rh_loop_run(bell.loop, rh_loop_now(bell.loop) + RH_MS(20)), RH_OK);
        cr_expect_geq(raw_clock() - begin, RH_MS(40));
        cr_expect_lt(raw_clock() - begin, RH_SECONDS(1));
        pthread_join(thread, NULL);
        rh_loop_destroy(bell.loop);
    }
}

/* An owner who finishes its work with a call of its own, as it does while the loop lives. */
struct mourner {
    rh_loop *loop;
    unsigned downs, calls;
};

static void mourn(void *user) { ((struct mourner *)user)->calls++; }

static void post_at_down(void *user, rh_pipe *pipe, const rh_error *error)
{
    struct mourner *mourner = user;
    (void)pipe, (void)error;
    mourner->downs++;
    cr_expect_eq(rh_loop_post(mourner->loop, mourn, mourner), RH_OK);
}

Test(post, what_the_last_callbacks_post_is_called_by_destroy_too)
{
    for (each_backend(backend)) {
        struct mourner mourner = { .loop = make_loop(backend) };
        rh_pipe_handler handler = wire_handler;
        handler.on_down = post_at_down;
        cr_assert_eq(rh_loop_dial(mourner.loop, RH_DIAL_OPTS(.host = "192.0.2.1", .port = 5671), &handler, &mourner, NULL), RH_OK);
        cr_expect_eq(rh_loop_destroy(mourner.loop), RH_OK);
        cr_expect_eq(mourner.downs, 1);
        cr_expect_eq(mourner.calls, 1);
    }
}

/* -- a host that polls */

/* poll() looks once more when its time is over: what it finds only then has not woken anybody. */
static bool is_readable(rh_loop *loop, int wait_ms)
{
    struct pollfd fd = { .fd = rh_loop_fd(loop), .events = POLLIN };
    rh_time begin = raw_clock();
    return poll(&fd, 1, wait_ms) == 1 && (wait_ms == 0 || raw_clock() - begin < RH_MS(wait_ms));
}

/* Serves the loop while it asks to be; answers how often it asked. */
static unsigned host(rh_loop *loop, int quiet_ms)
{
    unsigned wakes = 0;
    while (is_readable(loop, quiet_ms) && wakes < 10000) {
        wakes++;
        cr_assert_eq(rh_loop_run(loop, RH_NOWAIT), RH_OK);
    }
    return wakes;
}

Test(fd, an_idle_loop_is_silent)
{
    for (each_backend(backend)) {
        struct wire wire = { .loop = NULL };
        wire_open(&wire, backend, NULL);
        wire_connect(&wire);
        wire_say(&wire.client, "x", 1);
        host(wire.loop, 50);
        cr_expect_eq(wire.server.frames, 1, "what was submitted before anybody polled is found");
        cr_expect_eq(host(wire.loop, 300), 0);
        wire_close(&wire);
    }
}

static bool one_more(struct wire *wire, unsigned *wakes, uint64_t frames)
{
    while (wire->client.frames < frames) {
        if (!is_readable(wire->loop, 1000)) return false;
        ++*wakes;
        cr_assert_eq(rh_loop_run(wire->loop, RH_NOWAIT), RH_OK);
    }
    return true;
}

Test(fd, a_message_costs_less_than_two_wake_ups)
{
    for (each_backend(backend)) {
        /* The peer lives on a loop of its own, so that every wake-up counted is of the client's. */
        struct wire wire = { .loop = NULL }, peer = { .server.echoes = true };
        wire_open(&wire, backend, NULL);
        wire_open(&peer, RH_BACKEND_EPOLL, NULL);
        wire_dial(&wire, &wire.client, RH_DIAL_OPTS(.host = "127.0.0.1", .port = rh_listener_port(peer.listener)));
        while (!wire.client.is_up) cr_assert(rh_loop_turn(wire.loop, RH_NOWAIT) == RH_OK && rh_loop_turn(peer.loop, RH_NOWAIT) == RH_OK);
        host(wire.loop, 20);
        unsigned wakes = 0;
        for (uint64_t i = 1; i <= 200; i++) {
            /* The host says something on its own account and turns once, as it would after any submit. */
            wire_say(&wire.client, "ping", 4);
            cr_assert_eq(rh_loop_run(wire.loop, RH_NOWAIT), RH_OK);
            while (peer.server.frames < i) cr_assert_eq(rh_loop_turn(peer.loop, rh_loop_now(peer.loop) + RH_MS(1)), RH_OK);
            cr_assert_eq(rh_loop_turn(peer.loop, RH_NOWAIT), RH_OK);
            cr_assert(one_more(&wire, &wakes, i), "message %zu never came", (size_t)i);
        }
        wakes += host(wire.loop, 20);
        cr_expect_lt(wakes, 2 * 200, "%u wake-ups for 200 messages", wakes);
        wire_close(&wire);
        wire_close(&peer);
    }
}

Test(fd, work_submitted_between_turns_makes_it_readable)
{
    for (each_backend(backend)) {
        struct wire wire = { .loop = NULL };
        wire_open(&wire, backend, NULL);
        wire_connect(&wire);
        host(wire.loop, 20);
        wire_say(&wire.client, "x", 1);
        cr_expect(is_readable(wire.loop, 0));
        host(wire.loop, 50);
        cr_expect_eq(wire.server.frames, 1);
        unsigned counted = 0;
        cr_assert_eq(rh_loop_post(wire.loop, count, &counted), RH_OK);
        cr_expect(is_readable(wire.loop, 0));
        host(wire.loop, 20);
        cr_expect_eq(counted, 1);
        wire_close(&wire);
    }
}

Test(fd, an_expired_timer_makes_it_readable)
{
    for (each_backend(backend)) {
        rh_loop *loop = make_loop(backend);
        struct bell bell = { .loop = loop };
        bell.timer = (rh_timer){ .fn = on_bell, .user = &bell };
        host(loop, 20);
        rh_timer_set(loop, &bell.timer, rh_loop_now(loop) + RH_MS(40));
        cr_expect_not(is_readable(loop, 0));
        rh_time begin = raw_clock();
        cr_expect(is_readable(loop, 1000));
        cr_expect_lt(raw_clock() - begin, RH_MS(300));
        cr_expect_leq(host(loop, 20), 2);
        cr_expect_eq(bell.times, 1);
        rh_loop_destroy(loop);
    }
}
