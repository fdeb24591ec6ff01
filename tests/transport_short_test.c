/*
 * A kernel that takes and gives a byte at a time: sends are cut to their first byte before they are made, at once or in the ring, and
 * receives have room for one. The bytes on the wire and the frames out of it are the same as ever.
 */
#include "tests/wire.h"
#include "transport/tls.h"

#include <dlfcn.h>
#include <errno.h>
#include <liburing.h>
#include <stdlib.h>

static struct {
    bool     is_on;
    unsigned refused_every; /* each so-manieth send at once finds no room and has to be made later */
    unsigned sends, refused, ring_sends, receives;
} script;

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

static bool refuses(void)
{
    script.sends++;
    if (script.sends % script.refused_every) return false;
    script.refused++;
    errno = EWOULDBLOCK;
    return true;
}

ssize_t send(int fd, const void *bytes, size_t n, int flags)
{
    if (!script.is_on) return REAL(send)(fd, bytes, n, flags);
    return refuses() ? -1 : REAL(send)(fd, bytes, n < 1 ? n : 1, flags);
}

static struct iovec first_byte(const struct msghdr *message)
{
    for (size_t i = 0; i < message->msg_iovlen; i++)
        if (message->msg_iov[i].iov_len) return (struct iovec){ message->msg_iov[i].iov_base, 1 };
    return (struct iovec){ NULL, 0 };
}

ssize_t sendmsg(int fd, const struct msghdr *message, int flags)
{
    struct iovec piece = first_byte(message);
    struct msghdr cut = { .msg_iov = &piece, .msg_iovlen = 1 };
    if (!script.is_on) return REAL(sendmsg)(fd, message, flags);
    return refuses() ? -1 : REAL(sendmsg)(fd, &cut, flags);
}

ssize_t recv(int fd, void *bytes, size_t n, int flags)
{
    script.receives += script.is_on;
    return REAL(recv)(fd, bytes, script.is_on ? 1 : n, flags);
}

/* One send at a time and pipe is under way: so many are never needed at once. */
static struct cut {
    struct msghdr message;
    struct iovec piece;
} cuts[64];

static void shorten(const struct io_uring *ring)
{
    for (unsigned at = ring->sq.sqe_head; script.is_on && at != ring->sq.sqe_tail; at++) {
        struct io_uring_sqe *entry = &ring->sq.sqes[at & ring->sq.ring_mask];
        if (entry->opcode != IORING_OP_SENDMSG) continue;
        struct cut *cut = &cuts[script.ring_sends++ % 64];
        cut->piece = first_byte((const struct msghdr *)(uintptr_t)entry->addr);
        cut->message = (struct msghdr){ .msg_iov = &cut->piece, .msg_iovlen = 1 };
        entry->addr = (uintptr_t)&cut->message;
    }
}

int io_uring_submit(struct io_uring *ring)
{
    shorten(ring);
    return REAL(io_uring_submit)(ring);
}

int io_uring_submit_and_get_events(struct io_uring *ring)
{
    shorten(ring);
    return REAL(io_uring_submit_and_get_events)(ring);
}

int io_uring_submit_and_wait(struct io_uring *ring, unsigned count)
{
    shorten(ring);
    return REAL(io_uring_submit_and_wait)(ring, count);
}

/* -- stories --------------------------------------------------------------------------------------- */

static const size_t sizes[] = { 0, 1, 3, 100, 4000, 1, 0, 700 };

static void say_all(struct end *end)
{
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) wire_say_many(end, 1, sizes[i]);
}

/* Both ways at once, a byte at a time. */
static void expect_the_same(struct wire *wire, bool is_ring)
{
    uint64_t count = sizeof sizes / sizeof *sizes;
    script = (typeof(script)){ .is_on = true, .refused_every = 3 };
    say_all(&wire->client);
    say_all(&wire->server);
    uint64_t said = wire_said_digest(&wire->client), answered = wire_said_digest(&wire->server), n = wire->client.said;
    cr_assert(wire_until(wire, wire->server.frames == count && wire->client.frames == count && !wire->client.said && !wire->server.said));
    script.is_on = false;
    cr_expect_eq(wire->server.digest, said);
    cr_expect_eq(wire->client.digest, answered);
    cr_expect_eq(wire->server.bytes_in, n);
    cr_expect_eq(wire->client.sent_total, n);
    cr_expect_geq(script.sends + script.ring_sends, 2 * n, "a send took one byte, or none");
    cr_expect_gt(script.refused, n / 3, "and some had to wait");
    if (is_ring) cr_expect_eq(script.ring_sends, script.refused, "in the ring");
    else cr_expect_geq(script.receives, 2 * n, "a receive brought one byte");
}

Test(short_pieces, a_byte_at_a_time_makes_the_same_stream, .timeout = 20)
{
    for (each_backend(backend)) {
        struct wire wire = { .loop = NULL };
        wire_open(&wire, backend, RH_LOOP_OPTS(.receive_bytes = 1));
        wire_connect(&wire);
        expect_the_same(&wire, !strcmp(rh_loop_backend_name(wire.loop), "io_uring"));
        wire_close(&wire);
    }
}

/* The handshake too, and every record with its header. */
Test(short_pieces, a_byte_at_a_time_makes_the_same_stream_of_tls, .timeout = 30)
{
    char cert[RH_TLS_PEM_MAX], key[RH_TLS_PEM_MAX];
    rh_error error;
    cr_assert_eq(rh_tls_self_signed(NULL, cert, sizeof cert, key, sizeof key, &error), RH_OK);
    for (each_backend(backend)) {
        struct wire wire = { .loop = NULL };
        const rh_tls_opts *server = RH_TLS_OPTS(.server = true, .cert_pem = rh_str(cert), .key_pem = rh_str(key));
        cr_assert_eq(rh_tls_create(server, &wire.server_tls, &error) | rh_tls_create(RH_TLS_OPTS(.ca_pem = rh_str(cert)), &wire.client_tls, &error), RH_OK);
        wire_open(&wire, backend, RH_LOOP_OPTS(.receive_bytes = 1));
        script = (typeof(script)){ .is_on = true, .refused_every = 3 };
        wire_connect(&wire);
        say_all(&wire.client);
        say_all(&wire.server);
        uint64_t said = wire_said_digest(&wire.client), answered = wire_said_digest(&wire.server), count = sizeof sizes / sizeof *sizes;
        cr_assert(wire_until(&wire, wire.server.frames == count && wire.client.frames == count));
        script.is_on = false;
        cr_expect_eq(wire.server.digest, said);
        cr_expect_eq(wire.client.digest, answered);
        wire_close(&wire);
    }
}
