/*
 * A loop whose memory has run out while its pipes are busy: the one that cannot go on falls with RH_E_MEMORY, the others live, and when
 * there is memory again everything is as before.
 */
#include "tests/wire.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

static bool is_empty; /* nothing is given any more */
static int64_t alive;

static void *ask(void *user, size_t n)
{
    (void)user;
    if (is_empty) return NULL;
    alive++;
    return malloc(n);
}

static void give(void *user, void *p, size_t n)
{
    (void)user, (void)n;
    alive -= p != NULL;
    free(p);
}

static const rh_allocator scarce = { .alloc = ask, .free = give };

/* One buffer for frames and one for lists of pieces, and two pairs of ends: the first is the one that has them. */
static void open_two(struct wire *wire, rh_loop_backend backend, struct end *client, struct end *server)
{
    is_empty = false;
    wire_open(wire, backend, RH_LOOP_OPTS(.allocator = &scarce, .frame_buffers = 1));
    wire_connect(wire);
    wire->accepted = server;
    wire_dial(wire, client, RH_DIAL_OPTS(.host = "127.0.0.1", .port = rh_listener_port(wire->listener)));
    cr_assert(wire_until(wire, client->is_up && server->is_up));
}

static void close_two(struct wire *wire, struct end *client, struct end *server)
{
    is_empty = false;
    wire_close(wire);
    wire_forget(client), wire_forget(server);
    cr_expect_eq(alive, 0, "%d blocks were not given back", (int)alive);
}

/* There may have been no memory for words either. */
static void expect_fallen(const struct end *end)
{
    cr_expect_eq(end->error.status, RH_E_MEMORY, "%s: %s", rh_status_name(end->error.status), end->error.description);
    cr_expect_eq(end->error.error_class, RH_CLASS_RECONNECT);
}

static void expect_alive(struct end *from, struct end *to, struct wire *wire)
{
    uint64_t frames = to->frames;
    wire_say(from, "still there", 11);
    cr_expect(wire_until(wire, to->frames == frames + 1), "the other pipe lives");
}

/* Three bytes of a size are an incomplete frame, which takes a buffer. */
static void begin_frame(struct end *end)
{
    wire_say_raw(end, "\0\0\0", 3);
    rh_pipe_wake(end->pipe);
}

Test(scarce, an_incomplete_frame_without_a_buffer_ends_its_pipe_only)
{
    for (each_backend(backend)) {
        struct wire wire = { .loop = NULL };
        struct end client = { .pipe = NULL }, server = { .pipe = NULL };
        open_two(&wire, backend, &client, &server);
        begin_frame(&wire.client);
        wire_pass(&wire, RH_MS(5));
        is_empty = true;
        begin_frame(&client);
        cr_assert(wire_until(&wire, server.is_down));
        expect_fallen(&server);
        wire_say_raw(&wire.client, "\10yes!", 5);
        rh_pipe_wake(wire.client.pipe);
        cr_expect(wire_until(&wire, wire.server.frames == 1), "the other one's is completed");
        close_two(&wire, &client, &server);
    }
}

Test(scarce, input_that_waits_without_a_buffer_ends_its_pipe_only)
{
    for (each_backend(backend)) {
        struct wire wire = { .loop = NULL };
        struct end client = { .pipe = NULL }, server = { .stops_every = 1 }; /* and there is more behind its first frame */
        open_two(&wire, backend, &client, &server);
        begin_frame(&wire.client);
        wire_pass(&wire, RH_MS(5));
        is_empty = true;
        wire_say_many(&client, 2, 1000);
        cr_assert(wire_until(&wire, server.is_down && client.is_down));
        expect_fallen(&server);
        cr_expect_eq(client.error.status, RH_E_CONNECTION_LOST);
        is_empty = false;
        wire_say_raw(&wire.client, "\4", 1);
        rh_pipe_wake(wire.client.pipe);
        cr_expect(wire_until(&wire, wire.server.frames == 1));
        expect_alive(&wire.client, &wire.server, &wire);
        close_two(&wire, &client, &server);
    }
}

/* The first one's send is stuck in the kernel with the only list of pieces. */
Test(scarce, a_send_without_a_list_of_pieces_ends_its_pipe_only)
{
    for (each_backend(backend)) {
        struct wire wire = { .server.deaf = true };
        struct end client = { .pipe = NULL }, server = { .pipe = NULL };
        open_two(&wire, backend, &client, &server);
        wire_say_many(&wire.client, 120, 60000);
        wire_pass(&wire, RH_MS(20));
        cr_assert_lt(wire.client.gone, wire.client.said, "it is stuck");
        is_empty = true;
        wire_say(&client, "no", 2);
        cr_assert(wire_until(&wire, client.is_down));
        expect_fallen(&client);
        is_empty = false;
        wire.server.deaf = false;
        rh_pipe_wake(wire.server.pipe);
        cr_expect(wire_until(&wire, wire.server.frames == 120));
        close_two(&wire, &client, &server);
    }
}

static int knock(const struct wire *wire)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons(rh_listener_port(wire->listener)),
                              .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    cr_assert_eq(connect(fd, (struct sockaddr *)&to, sizeof to), 0);
    return fd;
}

Test(scarce, a_peer_for_whom_there_is_no_memory_is_turned_away_and_the_next_is_not)
{
    for (each_backend(backend)) {
        struct wire wire = { .loop = NULL };
        struct end client = { .pipe = NULL }, server = { .pipe = NULL };
        char byte;
        open_two(&wire, backend, &client, &server);
        struct end late = { .pipe = NULL };
        wire.accepted = &late;
        is_empty = true;
        int turned_away = knock(&wire);
        wire_pass(&wire, RH_MS(20));
        cr_expect_eq(recv(turned_away, &byte, 1, MSG_DONTWAIT), 0, "an end, not silence");
        cr_expect_not(late.is_up);
        cr_expect_gt(wire.warned, 0, "and the log says why");
        rh_pipe *pipe;
        cr_expect_eq(rh_loop_dial(wire.loop, RH_DIAL_OPTS(.host = "127.0.0.1", .port = 1), &wire_handler, &late, &pipe), RH_E_MEMORY);
        expect_alive(&client, &server, &wire);
        is_empty = false;
        int taken = knock(&wire);
        cr_expect(wire_until(&wire, late.is_up));
        close(taken), close(turned_away);
        close_two(&wire, &client, &server);
    }
}
