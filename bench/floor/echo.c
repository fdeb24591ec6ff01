/*
 * The floor of a round trip: nothing but a socket and two system calls an event, or, with --spin, a socket that is asked
 * until it has something. Over TLS the same through libssl as it comes.
 */
#include "bench/floor/amqp.h"
#include "bench/floor/pace.h"
#include "bench/lines.h"
#include "bench/reference.h"

#include <errno.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

static struct world {
    bool             spins;
    int              fd;
    SSL_CTX         *context;
    SSL             *tls;
    uint8_t         *frame; /* a transfer with its payload */
    size_t           frame_n, body_n;
    uint32_t         sent;
    double           rate;
    rh_floor_answers answers;
} world = { .fd = -1 };

/* -- moving bytes ---------------------------------------------------------------------------- */

static bool tls_write(void *user, const uint8_t *bytes, size_t n)
{
    (void)user;
    size_t written;
    return SSL_write_ex(world.tls, bytes, n, &written) == 1;
}

static bool tls_read(void *user, uint8_t *bytes, size_t n)
{
    (void)user;
    for (size_t at = 0, got; at < n; at += got)
        if (SSL_read_ex(world.tls, bytes + at, n - at, &got) != 1) return false;
    return true;
}

static bool send_event(void)
{
    rh_floor_transfer_number(world.frame, world.sent++);
    if (world.tls) return tls_write(NULL, world.frame, world.frame_n);
    return send(world.fd, world.frame, world.frame_n, MSG_NOSIGNAL) == (ssize_t)world.frame_n;
}

static size_t receive(void)
{
    uint8_t *to = world.answers.bytes + world.answers.n;
    size_t room = sizeof world.answers.bytes - world.answers.n, got = 0;
    if (world.tls) return SSL_read_ex(world.tls, to, room, &got) == 1 ? got : 0;
    ssize_t n;
    do n = recv(world.fd, to, room, world.spins ? MSG_DONTWAIT : 0);
    while (n < 0 && errno == EAGAIN);
    return n > 0 ? (size_t)n : 0;
}

static bool take_answers(void)
{
    size_t n = receive();
    return n > 0 && rh_floor_answered(&world.answers, n);
}

/* -- tasks ----------------------------------------------------------------------------------- */

static const char *round_trips(rh_turn *turn)
{
    uint64_t since = rh_lines_now();
    for (uint64_t i = 0; i < turn->events; i++) {
        if (!send_event()) return rh_lines_failed("a send: %s", strerror(errno));
        while (world.answers.settled != world.sent)
            if (!take_answers()) return rh_lines_failed("an answer: %s", strerror(errno));
        uint64_t now = rh_lines_now();
        if (turn->samples) turn->samples[i] = now - since;
        since = now;
    }
    return NULL;
}

static bool wait_until(uint64_t at)
{
    struct pollfd entry = { .fd = world.fd, .events = POLLIN };
    if (world.tls && SSL_has_pending(world.tls)) return true;
    for (;;) {
        uint64_t now = rh_lines_now();
        if (now >= at) return false;
        uint64_t left = world.spins ? 0 : at - now;
        struct timespec time = { (time_t)(left / 1000000000), (long)(left % 1000000000) };
        if (ppoll(&entry, 1, &time, NULL) > 0) return true;
    }
}

static const char *paced(rh_turn *turn)
{
    uint32_t first = world.sent;
    rh_pace  pace  = rh_pace_of(world.rate);
    for (uint64_t sent = 0, settled = 0; settled < turn->events;) {
        uint64_t at = sent < turn->events ? rh_pace_at(&pace, sent) : UINT64_MAX;
        if (wait_until(at)) {
            if (!take_answers()) return rh_lines_failed("an answer: %s", strerror(errno));
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
    SSL_free(world.tls);
    SSL_CTX_free(world.context);
    if (world.fd >= 0) close(world.fd);
    free(world.frame);
    world = (struct world){ .spins = world.spins, .fd = -1 };
}

static bool shake_hands(const rh_order *order)
{
    world.context = SSL_CTX_new(TLS_client_method());
    if (!world.context || (*order->ca && SSL_CTX_load_verify_locations(world.context, order->ca, NULL) != 1)) return false;
    SSL_CTX_set_verify(world.context, SSL_VERIFY_PEER, NULL);
    world.tls = SSL_new(world.context);
    return world.tls && SSL_set1_host(world.tls, "localhost") == 1 && SSL_set_tlsext_host_name(world.tls, "localhost") == 1
           && SSL_set_fd(world.tls, world.fd) == 1 && SSL_connect(world.tls) == 1;
}

static const char *open_task(const rh_order *order)
{
    if (order->tls && world.spins) return rh_lines_cannot("libssl's own reads do not spin");
    world.rate = strcmp(order->task, "paced") == 0 ? order->rate : 0;
    world.fd = rh_floor_dial(order->host, (uint16_t)atoi(order->port));
    world.frame = rh_floor_event(order->size, &world.frame_n);
    const char *said = NULL;
    if (!world.frame) said = rh_lines_cannot("one frame holds 64 KiB");
    else if (world.fd < 0) said = rh_lines_failed("a socket: %s", strerror(errno));
    else if (order->tls && !shake_hands(order)) said = rh_lines_failed("the handshake");
    rh_floor_stream plain = rh_floor_stream_of(&world.fd), sealed = { tls_write, tls_read, NULL };
    if (!said && !rh_floor_open(order->tls ? &sealed : &plain, RH_FLOOR_SENDS, order->address, 0))
        said = rh_lines_failed("the link to %s", order->address);
    if (said) {
        close_all();
        return said;
    }
    world.body_n = order->size;
    return NULL;
}

int main(int argc, char **argv)
{
    static const char *const sleeping[] = { "two blocking system calls an event; TCP_NODELAY", NULL };
    static const char *const spinning[] = { "recv with MSG_DONTWAIT over and over; TCP_NODELAY", NULL };
    world.spins = argc > 1 && strcmp(argv[1], "--spin") == 0;
    rh_lines lines = { .name = world.spins ? "floor-spin" : "floor-socket", .version = "1", .tasks = "roundtrip,paced",
                       .settings = world.spins ? spinning : sleeping, .open = open_task, .run = run, .close = close_all };
    prctl(PR_SET_TIMERSLACK, 1); /* paced: on time, not 50 us later to save a wake-up */
    rh_reference_init();
    return rh_lines_serve(&lines);
}
