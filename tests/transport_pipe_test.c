/* Pipes over TCP: every test runs on io_uring and on epoll. */
#include "tests/heap.h"
#include "tests/wire.h"

#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

/* A peer without a loop, which can cut its bytes wherever it likes. */
static int raw_connect(struct wire *wire)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;
    struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons(rh_listener_port(wire->listener)),
                              .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    cr_assert_eq(connect(fd, (struct sockaddr *)&to, sizeof to), 0);
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    cr_assert(wire_until(wire, wire->server.is_up));
    return fd;
}

static void raw_say(int fd, const void *bytes, size_t n) { cr_assert_eq(send(fd, bytes, n, MSG_NOSIGNAL), (ssize_t)n); }

/* The test's own words for frames: a script of some, and what it digests to. */
static size_t script(uint8_t *bytes, uint64_t *digest)
{
    struct end end = { .pipe = NULL };
    wire_say(&end, "a", 1);
    wire_say(&end, "", 0);
    wire_say(&end, "bcdefghij", 9);
    wire_say(&end, "klmno", 5);
    memcpy(bytes, end.out, end.said);
    *digest = wire_said_digest(&end);
    wire_forget(&end);
    return end.said;
}

Test(pipe, what_is_said_comes_back)
{
    for (each_backend(backend)) {
        struct wire wire = { .server.echoes = true };
        wire_open(&wire, backend, NULL);
        cr_assert_str_eq(rh_loop_backend_name(wire.loop), backend == RH_BACKEND_URING && !wire.logged_epoll ? "io_uring" : "epoll");
        wire_connect(&wire);
        wire_say(&wire.client, "hello", 5);
        uint64_t digest = wire_said_digest(&wire.client);
        cr_assert(wire_until(&wire, wire.client.frames == 1));
        cr_expect_eq(wire.client.digest, digest);
        cr_expect_eq(wire.client.sent_total, 9);
        char peer[64];
        rh_pipe_peer(wire.client.pipe, peer, sizeof peer);
        cr_expect_eq(strncmp(peer, "127.0.0.1:", 10), 0);
        wire_close(&wire);
        cr_expect(wire.client.is_down && wire.server.is_down);
        cr_expect_eq(wire.client.error.status, RH_E_CANCELLED);
    }
}

Test(pipe, a_message_costs_an_entry_to_send_and_one_to_hear_of_it)
{
    for (each_backend(backend)) {
        struct wire wire = { .server.echoes = true };
        wire_open(&wire, backend, NULL);
        wire_connect(&wire);
        rh_loop_stats before, after;
        rh_loop_stats_read(wire.loop, &before);
        for (uint64_t round = 1; round <= 100; round++) {
            wire_say(&wire.client, "ping", 4);
            cr_assert(wire_until(&wire, wire.client.frames == round));
        }
        rh_loop_stats_read(wire.loop, &after);
        /* There and back, and what epoll has to read by itself. */
        bool is_ring = strcmp(rh_loop_backend_name(wire.loop), "io_uring") == 0;
        cr_expect_leq(after.enters - before.enters, 100 * (is_ring ? 4 : 6) + 10, "%zu enters", (size_t)(after.enters - before.enters));
        wire_close(&wire);
    }
}

Test(pipe, every_cut_of_the_bytes_gives_the_same_frames)
{
    for (each_backend(backend)) {
        struct wire wire = { .loop = NULL };
        wire_open(&wire, backend, NULL);
        uint8_t bytes[64];
        uint64_t digest;
        size_t n = script(bytes, &digest);
        for (size_t cut = 0; cut <= n; cut++) {
            struct end end = { .pipe = NULL };
            wire.server = end;
            int fd = raw_connect(&wire);
            if (cut) raw_say(fd, bytes, cut);
            cr_assert(wire_until(&wire, wire.server.bytes_in + 13 > cut));
            wire_pass(&wire, RH_US(200));
            if (cut < n) raw_say(fd, bytes + cut, n - cut);
            cr_assert(wire_until(&wire, wire.server.frames == 4), "cut at byte %zu", cut);
            cr_expect_eq(wire.server.digest, digest, "cut at byte %zu", cut);
            close(fd);
            cr_assert(wire_until(&wire, wire.server.is_down));
            cr_expect_eq(wire.server.error.status, RH_E_CONNECTION_LOST);
        }
        rh_loop_stats stats;
        rh_loop_stats_read(wire.loop, &stats);
        cr_expect_eq(stats.frame_buffers_used, 0);
        cr_expect_eq(stats.pipes, 0);
        wire_close(&wire);
    }
}

Test(pipe, single_bytes_make_frames)
{
    for (each_backend(backend)) {
        struct wire wire = { .loop = NULL };
        wire_open(&wire, backend, NULL);
        uint8_t bytes[64];
        uint64_t digest;
        size_t n = script(bytes, &digest);
        int fd = raw_connect(&wire);
        for (size_t i = 0; i < n; i++) {
            rh_loop_stats before, after;
            rh_loop_stats_read(wire.loop, &before);
            raw_say(fd, bytes + i, 1);
            cr_assert(wire_until(&wire, (rh_loop_stats_read(wire.loop, &after), after.bytes_in > before.bytes_in)));
        }
        cr_expect_eq(wire.server.frames, 4);
        cr_expect_eq(wire.server.digest, digest);
        wire_close(&wire);
        close(fd);
    }
}

Test(pipe, frames_across_receive_buffers_arrive_whole)
{
    for (each_backend(backend)) {
        /* Buffers smaller than a frame, and of no round size. */
        struct wire wire = { .server.echoes = true };
        wire_open(&wire, backend, RH_LOOP_OPTS(.receive_buffers = 4, .receive_bytes = 5001));
        wire_connect(&wire);
        for (size_t n = 0; n < 65536 - 4; n += 1237) wire_say_many(&wire.client, 1, n);
        uint64_t digest = wire_said_digest(&wire.client), bytes = wire.client.said;
        cr_assert(wire_until(&wire, wire.client.bytes_in == bytes));
        cr_expect_eq(wire.client.digest, digest);
        cr_expect_eq(wire.server.digest, digest);
        cr_expect_eq(wire.client.sent_total, bytes);
        wire_close(&wire);
    }
}

Test(pipe, a_frame_above_the_limit_is_handed_over_to_be_refused)
{
    for (each_backend(backend)) {
        struct wire wire = { .server.closes_at_frame = true };
        wire_open(&wire, backend, NULL);
        wire.server.refuses_frames = true;
        int fd = raw_connect(&wire);
        raw_say(fd, "\x7f\xff\xff\xff and so on", 14);
        cr_assert(wire_until(&wire, wire.server.is_down));
        cr_expect_eq(wire.server.refused, 14);
        close(fd);
        wire_close(&wire);
    }
}

Test(pipe, much_output_waits_for_a_slow_reader_and_arrives)
{
    for (each_backend(backend)) {
        struct wire wire = { .server.deaf = true };
        wire_open(&wire, backend, NULL);
        wire_connect(&wire);
        wire_say_many(&wire.client, 120, 60000);
        uint64_t digest = wire_said_digest(&wire.client), bytes = wire.client.said;
        wire_pass(&wire, RH_MS(50));
        cr_expect_eq(wire.server.frames, 0);
        cr_expect_lt(wire.client.sent_total, bytes, "the kernel cannot have taken %zu bytes", (size_t)bytes);
        rh_loop_stats stats;
        rh_loop_stats_read(wire.loop, &stats);
        cr_expect_leq(stats.frame_buffers, 64, "a paused pipe holds what was on its way, not the stream: %u buffers", stats.frame_buffers);

        wire.server.deaf = false;
        rh_pipe_wake(wire.server.pipe);
        cr_assert(wire_until(&wire, wire.server.bytes_in == bytes));
        cr_expect_eq(wire.server.digest, digest);
        cr_expect_eq(wire.client.sent_total, bytes);
        wire_close(&wire);
    }
}

Test(pipe, an_owner_that_stops_and_starts_misses_nothing)
{
    for (each_backend(backend)) {
        struct wire wire = { .loop = NULL };
        wire_open(&wire, backend, RH_LOOP_OPTS(.receive_buffers = 8, .receive_bytes = 2048));
        wire_connect(&wire);
        wire_expect_stops_and_starts(&wire);
        wire_close(&wire);
    }
}

Test(pipe, a_send_that_is_done_at_once_makes_room_for_what_was_held_back)
{
    for (each_backend(backend)) {
        struct wire wire = { .loop = NULL };
        wire_open(&wire, backend, NULL);
        wire_connect(&wire);
        wire_expect_room_is_noticed(&wire);
        wire_close(&wire);
    }
}

Test(pipe, closing_with_flush_delivers_everything_first)
{
    for (each_backend(backend)) {
        struct wire wire = { .loop = NULL };
        wire_open(&wire, backend, NULL);
        wire_connect(&wire);
        wire_expect_flush(&wire);
        wire_close(&wire);
    }
}

Test(pipe, two_ends_that_close_together_both_end_well)
{
    for (each_backend(backend)) {
        struct wire wire = { .loop = NULL };
        wire_open(&wire, backend, NULL);
        wire_connect(&wire);
        wire_say(&wire.client, "bye", 3);
        wire_say(&wire.server, "bye", 3);
        rh_pipe_close(wire.client.pipe, true);
        rh_pipe_close(wire.server.pipe, true);
        rh_time before = rh_loop_now(wire.loop);
        cr_assert(wire_until(&wire, wire.client.is_down && wire.server.is_down));
        cr_expect_eq(wire.client.error.status, RH_OK);
        cr_expect_eq(wire.server.error.status, RH_OK);
        cr_expect_lt(rh_loop_now(wire.loop) - before, RH_MS(500), "nobody waited for the other");
        wire_close(&wire);
    }
}

Test(pipe, an_owner_may_close_inside_any_callback)
{
    for (each_backend(backend)) {
        struct wire wire = { .server.closes_at_frame = true };
        wire_open(&wire, backend, NULL);
        wire_connect(&wire);
        wire_say_many(&wire.client, 3, 100);
        cr_assert(wire_until(&wire, wire.client.is_down && wire.server.is_down));
        cr_expect_eq(wire.server.error.status, RH_OK);
        cr_expect_eq(wire.server.inputs, 1, "no input after the close");

        struct end again = { .closes_at_up = true };
        wire.server = (struct end){ .out = wire.server.out };
        wire_dial(&wire, &again, RH_DIAL_OPTS(.host = "127.0.0.1", .port = rh_listener_port(wire.listener)));
        cr_assert(wire_until(&wire, again.is_down));
        cr_expect(again.is_up);
        wire_close(&wire);
        wire_forget(&again);
    }
}

Test(pipe, an_owner_may_cut_while_it_is_asked_for_output_or_told_of_it)
{
    for (each_backend(backend))
        for (int in_sent = 0; in_sent < 2; in_sent++) {
            struct wire wire = { .loop = NULL };
            wire_open(&wire, backend, NULL);
            wire_connect(&wire);
            wire_expect_cut(&wire, in_sent);
            wire_close(&wire);
        }
}

Test(pipe, an_abort_is_felt_by_both)
{
    for (each_backend(backend)) {
        struct wire wire = { .server.deaf = true };
        wire_open(&wire, backend, NULL);
        wire_connect(&wire);
        wire_say_many(&wire.client, 100, 60000);
        wire_pass(&wire, RH_MS(5));
        rh_pipe_close(wire.client.pipe, false);
        cr_assert(wire_until(&wire, wire.client.is_down));
        cr_expect_eq(wire.client.error.status, RH_E_CANCELLED);
        wire.server.deaf = false;
        rh_pipe_wake(wire.server.pipe);
        cr_assert(wire_until(&wire, wire.server.is_down));
        cr_expect_eq(wire.server.error.status, RH_E_CONNECTION_LOST);
        cr_expect_lt(wire.server.frames, 100);
        wire_close(&wire);
    }
}

Test(pipe, a_flush_that_nobody_takes_ends_in_time)
{
    struct wire wires[2] = { { .server.deaf = true }, { .server.deaf = true } }; /* at once: five seconds are long */
    for (int i = 0; i < 2; i++) {
        wire_open(&wires[i], i ? RH_BACKEND_EPOLL : RH_BACKEND_URING, NULL);
        wire_connect(&wires[i]);
        wire_say_many(&wires[i].client, 100, 60000);
        rh_pipe_close(wires[i].client.pipe, true);
    }
    rh_time end = rh_loop_now(wires[0].loop) + RH_SECONDS(7);
    while (!(wires[0].client.is_down && wires[1].client.is_down) && rh_loop_now(wires[0].loop) < end)
        for (int i = 0; i < 2; i++) wire_pass(&wires[i], RH_MS(20));
    for (int i = 0; i < 2; i++) {
        cr_assert(wires[i].client.is_down);
        cr_expect_eq(wires[i].client.error.status, RH_E_TIMEOUT);
        wire_close(&wires[i]);
    }
}

Test(pipe, the_last_words_of_a_peer_that_resets_are_heard)
{
    for (each_backend(backend)) {
        struct wire wire = { .loop = NULL };
        wire_open(&wire, backend, NULL);
        int fd = raw_connect(&wire);
        wire.server.echoes = true;
        uint8_t bytes[64];
        uint64_t digest;
        size_t n = script(bytes, &digest);
        raw_say(fd, bytes, n);
        struct linger now = { .l_onoff = 1, .l_linger = 0 };
        setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
        close(fd);
        wire_say_many(&wire.server, 10, 1000);
        cr_assert(wire_until(&wire, wire.server.is_down));
        cr_expect_eq(wire.server.error.status, RH_E_CONNECTION_LOST);
        wire_close(&wire);
    }
}

Test(pipe, a_loop_with_a_hundred_busy_pipes_can_be_destroyed)
{
    for (each_backend(backend)) {
        struct wire wire = { .server.deaf = true };
        wire_open(&wire, backend, NULL);
        struct end *ends = calloc(200, sizeof *ends);
        for (int i = 0; i < 100; i++) {
            wire.accepted = &ends[100 + i];
            wire.accepted->deaf = i % 2;
            wire_dial(&wire, &ends[i], RH_DIAL_OPTS(.host = "127.0.0.1", .port = rh_listener_port(wire.listener)));
            cr_assert(wire_until(&wire, ends[i].is_up && ends[100 + i].is_up));
            wire_say_many(&ends[i], 10, 50000);
        }
        wire_pass(&wire, RH_MS(2));
        struct end late = { .pipe = NULL };
        wire_dial(&wire, &late, RH_DIAL_OPTS(.host = "127.0.0.1", .port = rh_listener_port(wire.listener)));
        wire_close(&wire);
        for (int i = 0; i < 200; i++) {
            cr_expect(ends[i].is_down);
            cr_expect_eq(ends[i].error.status, RH_E_CANCELLED);
            wire_forget(&ends[i]);
        }
        cr_expect_eq(late.error.status, RH_E_CANCELLED);
        free(ends);
    }
}

Test(pipe, beyond_max_pipes_peers_are_turned_away)
{
    for (each_backend(backend)) {
        struct wire wire = { .loop = NULL };
        wire_open(&wire, backend, RH_LOOP_OPTS(.max_pipes = 2));
        wire_connect(&wire);
        struct end third = { .pipe = NULL };
        rh_pipe *pipe;
        cr_expect_eq(rh_loop_dial(wire.loop, RH_DIAL_OPTS(.host = "127.0.0.1", .port = 1), &wire_handler, &third, &pipe), RH_E_LIMIT);
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons(rh_listener_port(wire.listener)),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
        cr_assert_eq(connect(fd, (struct sockaddr *)&to, sizeof to), 0);
        wire_pass(&wire, RH_MS(20));
        char byte;
        cr_expect_eq(recv(fd, &byte, 1, MSG_DONTWAIT), 0);
        close(fd);
        wire_close(&wire);
    }
}

Test(pipe, a_ring_of_two_entries_loses_nothing)
{
    /* Submissions by far more than fit, completions more than the queue holds. */
    struct wire wire = { .loop = NULL };
    wire_open(&wire, RH_BACKEND_URING, RH_LOOP_OPTS(.ring_entries = 2, .receive_buffers = 4, .receive_bytes = 512));
    struct end *ends = calloc(80, sizeof *ends);
    for (int i = 0; i < 40; i++) {
        wire.accepted = &ends[40 + i];
        wire.accepted->echoes = true;
        wire_dial(&wire, &ends[i], RH_DIAL_OPTS(.host = "127.0.0.1", .port = rh_listener_port(wire.listener)));
        cr_assert(wire_until(&wire, ends[i].is_up && ends[40 + i].is_up));
    }
    uint64_t digests[40];
    for (int i = 0; i < 40; i++) {
        wire_say_many(&ends[i], 30, 100 + (size_t)i);
        digests[i] = wire_said_digest(&ends[i]);
    }
    for (int i = 0; i < 40; i++) {
        cr_assert(wire_until(&wire, ends[i].frames == 30), "end %d has %zu frames", i, (size_t)ends[i].frames);
        cr_expect_eq(ends[i].digest, digests[i]);
    }
    wire_close(&wire);
    for (int i = 0; i < 80; i++) wire_forget(&ends[i]);
    free(ends);
}

Test(pipe, without_descriptors_accepting_pauses_and_goes_on)
{
    for (each_backend(backend)) {
        struct wire wire = { .loop = NULL };
        wire_open(&wire, backend, NULL);
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons(rh_listener_port(wire.listener)),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
        struct rlimit all, none;
        getrlimit(RLIMIT_NOFILE, &all);
        none = (struct rlimit){ .rlim_cur = (rlim_t)fd + 1, .rlim_max = all.rlim_max };
        setrlimit(RLIMIT_NOFILE, &none);
        cr_assert_eq(connect(fd, (struct sockaddr *)&to, sizeof to), 0);
        rh_loop_stats before, after;
        rh_loop_stats_read(wire.loop, &before);
        wire_pass(&wire, RH_MS(50));
        rh_loop_stats_read(wire.loop, &after);
        cr_expect_not(wire.server.is_up);
        cr_expect_lt(after.turns - before.turns, 10, "no busy loop");
        setrlimit(RLIMIT_NOFILE, &all);
        cr_expect(wire_until(&wire, wire.server.is_up));
        close(fd);
        wire_close(&wire);
    }
}

/* Of this thread: how long others had the processor is not the loop's doing. */
static rh_time time_worked(void)
{
    struct timespec time;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
    return RH_SECONDS(time.tv_sec) + (rh_time)time.tv_nsec;
}

Test(pipe, one_greedy_peer_does_not_starve_the_others)
{
    for (each_backend(backend)) {
        struct wire wire = { .loop = NULL };
        wire_open(&wire, backend, RH_LOOP_OPTS(.receive_buffers = 2, .receive_bytes = 1024));
        wire_connect(&wire);
        struct end slow[7] = { { .pipe = NULL } }, served[7] = { { .pipe = NULL } };
        for (int i = 0; i < 7; i++) {
            wire.accepted = &served[i];
            wire_dial(&wire, &slow[i], RH_DIAL_OPTS(.host = "127.0.0.1", .port = rh_listener_port(wire.listener)));
            cr_assert(wire_until(&wire, slow[i].is_up && served[i].is_up));
        }
        for (int round = 0; round < 20; round++) {
            if (wire.client.said < 1000000) wire_say_many(&wire.client, 40, 30000);
            for (int i = 0; i < 7; i++) wire_say(&slow[i], "tick", 4);
            rh_time before = rh_loop_now(wire.loop), worked = time_worked();
            for (int i = 0; i < 7; i++) cr_assert(wire_until(&wire, served[i].frames > (uint64_t)round));
            cr_expect_lt(rh_loop_now(wire.loop) - before, RH_MS(200), "round %d", round);
            cr_expect_lt(time_worked() - worked, RH_MS(10), "round %d: all seven progress before the loop has worked for 10 ms", round);
        }
        rh_loop_stats stats;
        rh_loop_stats_read(wire.loop, &stats);
        if (!strcmp(rh_loop_backend_name(wire.loop), "io_uring")) cr_expect_gt(stats.starved, 0, "the test must have starved somebody");
        wire_close(&wire);
        for (int i = 0; i < 7; i++) wire_forget(&slow[i]), wire_forget(&served[i]);
    }
}

Test(pipe, an_empty_buffer_ring_makes_no_busy_loop)
{
    struct wire wire = { .server.deaf = true };
    wire_open(&wire, RH_BACKEND_URING, RH_LOOP_OPTS(.receive_buffers = 2, .receive_bytes = 1024));
    wire_connect(&wire);
    wire_say_many(&wire.client, 100, 60000);
    wire_pass(&wire, RH_MS(50));
    rh_loop_stats before, after;
    rh_loop_stats_read(wire.loop, &before);
    wire_pass(&wire, RH_MS(200));
    rh_loop_stats_read(wire.loop, &after);
    cr_expect_leq(after.enters - before.enters, 4, "%zu enters while nothing could move", (size_t)(after.enters - before.enters));
    wire_close(&wire);
}

Test(pipe, nothing_allocates_once_it_is_up)
{
    if (!heap_is_counted()) cr_skip_test("a sanitizer brings its own heap");
    for (each_backend(backend)) {
        struct wire wire = { .server.echoes = true };
        wire_open(&wire, backend, NULL);
        wire_connect(&wire);
        wire_say_many(&wire.client, 100, 30000);
        cr_assert(wire_until(&wire, wire.client.frames == 100));
        size_t before = heap_count().ours;
        for (uint64_t round = 2; round <= 20; round++) {
            wire_say(&wire.client, "to and fro", 10);
            for (int i = 0; i < 99; i++) wire_say_raw(&wire.client, wire.client.out, 14);
            cr_assert(wire_until(&wire, wire.client.frames == 100 * round));
        }
        cr_expect_eq(heap_count().ours - before, 0);
        wire_close(&wire);
    }
}
