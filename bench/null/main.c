/*
 * null [--port N] [--ca FILE [--tls-port N]] [--spin]
 *
 * Serves until its stdin, if that is a pipe, ends, or SIGTERM. Prints where it listens; TLS with a certificate of its own,
 * written to FILE. --spin: never sleeps.
 */
#include "bench/null/null.h"
#include "bench/reference.h"

#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define EVENTS_A_TURN    64
#define SPINS_A_LOOK     64 /* reads of the last busy socket between two looks at all others */
#define CONGESTION       "cubic"

static struct {
    int            epoll, plain, secure, input;
    bool           spin;
    SSL_CTX       *tls;
    rh_null_peer **peers;
    size_t         count, size;
    rh_null_peer  *last; /* who spoke last; --spin reads it first */
    uint8_t       *bytes;
} world = { .epoll = -1, .plain = -1, .secure = -1, .input = -1 };

static uint64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static void watch(int fd, void *who, uint32_t events, int how)
{
    struct epoll_event event = { .events = events, .data.ptr = who };
    epoll_ctl(world.epoll, how, fd, &event);
}

/* -- peers ----------------------------------------------------------------------------------- */

static bool add(rh_null_peer *peer)
{
    if (world.count == world.size) {
        size_t         size = world.size ? 2 * world.size : 64;
        rh_null_peer **more = realloc(world.peers, size * sizeof *more);
        if (!more) return false;
        world.peers = more;
        world.size  = size;
    }
    peer->index               = world.count;
    world.peers[world.count++] = peer;
    return true;
}

static void accept_one(int listener, SSL_CTX *tls)
{
    int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC), one = 1;
    if (fd < 0) return;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    rh_null_peer *peer = calloc(1, sizeof *peer);
    if (!peer || !rh_null_stream_start(&peer->stream, fd, tls)) {
        fprintf(stderr, "null: no room for another connection\n");
        free(peer);
        return;
    }
    if (!add(peer)) {
        rh_null_peer_end(peer);
        return;
    }
    watch(fd, peer, EPOLLIN, EPOLL_CTL_ADD);
}

static void end(rh_null_peer *peer)
{
    if (peer->trouble) fprintf(stderr, "null: %s\n", peer->trouble);
    if (world.last == peer) world.last = NULL;
    world.peers[peer->index]        = world.peers[--world.count];
    world.peers[peer->index]->index = peer->index;
    rh_null_peer_end(peer);
}

/* The tail of the last read is put before the next one. Answers what was read. */
static size_t take(rh_null_peer *peer)
{
    size_t held = peer->tail_n, room = RH_NULL_READ - held;
    if (held) memcpy(world.bytes, peer->tail, held);
    size_t n = rh_null_stream_read(&peer->stream, world.bytes + held, room);
    if (n == 0) return 0;
    peer->tail_n = 0;
    if (!rh_null_peer_take(peer, world.bytes, held + n)) peer->stream.ended = true;
    return n == room ? n : 0;
}

/* False: the peer is no more. */
static bool serve(rh_null_peer *peer, bool readable)
{
    /* libssl reads ahead: what it holds no epoll will tell of. */
    while (readable && !peer->stream.ended && take(peer) && peer->stream.tls) continue;
    uint64_t sent = peer->stream.sent;
    bool     done = rh_null_peer_give(peer);
    if (peer->heartbeat_ns && peer->stream.sent != sent) peer->sent_at = now_ns();
    if (peer->stream.ended || peer->trouble || (peer->is_closing && done)) {
        end(peer);
        return false;
    }
    if (done == peer->waits_writable) {
        peer->waits_writable = !done;
        watch(peer->stream.fd, peer, done ? EPOLLIN : EPOLLIN | EPOLLOUT, EPOLL_CTL_MOD);
    }
    return true;
}

/* -- heartbeats ------------------------------------------------------------------------------ */

/* Sends those that are due; answers the milliseconds to the next, -1 for none. */
static int heartbeats(void)
{
    static uint64_t next;
    uint64_t        now = now_ns();
    if (next > now) return (int)((next - now) / 1000000 + 1);
    next = UINT64_MAX;
    for (size_t i = 0; i < world.count; i++) {
        rh_null_peer *peer = world.peers[i];
        if (!peer->heartbeat_ns) continue;
        if (now >= peer->sent_at + peer->heartbeat_ns) {
            uint8_t empty[RH_FRAME_HEADER];
            rh_frame_put(empty, sizeof empty, RH_FRAME_AMQP, 0);
            rh_null_stream_put(&peer->stream, empty, sizeof empty);
            rh_null_stream_flush(&peer->stream);
            peer->sent_at = now;
        }
        if (peer->sent_at + peer->heartbeat_ns < next) next = peer->sent_at + peer->heartbeat_ns;
    }
    /* A peer that comes later may want them sooner: looked at again in a second. */
    if (next > now + 1000000000u) next = now + 1000000000u;
    return 1000;
}

/* -- listening ------------------------------------------------------------------------------- */

static int listen_on(uint16_t port, const char *scheme)
{
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
    };
    socklen_t          n       = sizeof address;
    int                fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), one = 1;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, CONGESTION, sizeof CONGESTION - 1);
    if (fd < 0 || bind(fd, (struct sockaddr *)&address, n) || listen(fd, 4096) || getsockname(fd, (struct sockaddr *)&address, &n)) {
        fprintf(stderr, "null: port %u: %s\n", port, strerror(errno));
        exit(1);
    }
    printf("listening %s 127.0.0.1:%u\n", scheme, ntohs(address.sin_port));
    watch(fd, fd >= 0 && strcmp(scheme, "amqp") == 0 ? (void *)&world.plain : (void *)&world.secure, EPOLLIN, EPOLL_CTL_ADD);
    return fd;
}

static void say_settings(void)
{
    char      name[16] = "";
    socklen_t n        = sizeof name;
    getsockopt(world.plain, IPPROTO_TCP, TCP_CONGESTION, name, &n);
    printf("setting null peer: congestion control %s, no delay, reads up to %u KiB, writes up to %u KiB, frames of %u B, "
           "credit %u, %s\n", name, RH_NULL_READ / 1024, RH_NULL_BLOCK / 1024, RH_NULL_FRAME, RH_NULL_CREDIT, world.spin ? "polls without sleeping" : "sleeps in epoll");
}

/* A conductor that died leaves an ended pipe behind. */
static void watch_input(void)
{
    struct stat is;
    if (fstat(0, &is) == 0 && S_ISFIFO(is.st_mode)) watch(0, &world.input, EPOLLIN, EPOLL_CTL_ADD);
}

/* -- waiting --------------------------------------------------------------------------------- */

static volatile sig_atomic_t is_stopped;
static void                  stop(int number) { is_stopped = number; }

static void spin_on_last(void)
{
    for (unsigned i = 0; i < SPINS_A_LOOK && world.last; i++) {
        if (!world.last->stream.tls) serve(world.last, true);
    }
}

static void happened(const struct epoll_event *event)
{
    char gone;
    if (event->data.ptr == &world.plain) accept_one(world.plain, NULL);
    else if (event->data.ptr == &world.secure) accept_one(world.secure, world.tls);
    else if (event->data.ptr == &world.input) is_stopped = read(0, &gone, 1) <= 0;
    else if (serve(event->data.ptr, event->events & ~(uint32_t)EPOLLOUT)) world.last = event->data.ptr;
}

static void wait_once(void)
{
    struct epoll_event events[EVENTS_A_TURN];
    int                wait_ms = heartbeats();
    if (world.spin) spin_on_last();
    int count = epoll_wait(world.epoll, events, EVENTS_A_TURN, world.spin ? 0 : world.count ? wait_ms : -1);
    /* A peer has one entry in a turn, so one that ended is not among those that follow. */
    for (int i = 0; i < count; i++) happened(&events[i]);
}

int main(int argc, char **argv)
{
    static const struct option options[] = {
        { "port", 1, NULL, 'p' }, { "tls-port", 1, NULL, 't' }, { "ca", 1, NULL, 'c' }, { "spin", 0, NULL, 's' }, { 0 },
    };
    uint16_t    port = 0, tls_port = 0;
    const char *ca   = NULL;
    for (int option; (option = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        if (option == 'p') port = (uint16_t)atoi(optarg);
        else if (option == 't') tls_port = (uint16_t)atoi(optarg);
        else if (option == 'c') ca = optarg;
        else if (option == 's') world.spin = true;
        else return fprintf(stderr, "usage: null [--port N] [--ca FILE [--tls-port N]] [--spin]\n"), 2;
    }
    struct rlimit files = { 0 };
    if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
        files.rlim_cur = files.rlim_max;
        setrlimit(RLIMIT_NOFILE, &files);
    }
    rh_reference_init();
    world.bytes = malloc(RH_NULL_READ);
    world.epoll = epoll_create1(EPOLL_CLOEXEC);
    if (!world.bytes || world.epoll < 0 || (ca && !(world.tls = rh_null_tls(ca)))) return 1;
    signal(SIGTERM, stop);
    signal(SIGINT, stop);
    world.plain = listen_on(port, "amqp");
    say_settings();
    if (ca) world.secure = listen_on(tls_port, "amqps");
    watch_input();
    fflush(stdout);
    while (!is_stopped) wait_once();
    while (world.count) end(world.peers[0]);
    SSL_CTX_free(world.tls);
    free(world.peers);
    free(world.bytes);
    return 0;
}
