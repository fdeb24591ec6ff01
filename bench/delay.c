/*
 * A proxy that puts distance between two ends of one machine: `delay HOST:PORT RTT_MS...`
 *
 * For each RTT it listens on a port of 127.0.0.1 of its own, says so on stdout ("listening RTT_MS 127.0.0.1:PORT"),
 * and forwards what comes there to HOST:PORT and back, each byte half of the RTT late. It lives until its stdin ends.
 *
 * Loopback shakes hands at once, so a client takes itself for connected a whole RTT too early. The proxy makes up for
 * it on the far side: it dials the server one and a half RTT after the accept, when the third packet of a real
 * handshake would have arrived, and delivers nothing before. What a client sends when it is "connected" thus reaches
 * the server when it would have over a real wire, and so does everything after it: TCP's own round trip is in the slope of
 * wall time over RTT. Bandwidth is not bounded, nothing is lost, and the end of a stream travels like a byte.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define DISTANCES 8
#define NEVER     UINT64_MAX

/* What one read takes, and what may be under way in one direction before the proxy stops to read. */
#define PIECE     (64u * 1024)
#define UNDER_WAY (8u * 1024 * 1024)

struct piece {
    struct piece *next;
    uint64_t      due;
    size_t        at, n; /* n == 0: the end of the stream */
    uint8_t       bytes[];
};

/* One direction: what was read at one end and waits to arrive at the other. */
struct way {
    struct piece *first, **last;
    size_t        n;
    bool          ended; /* the end was read */
};

struct pair {
    struct pair *next;
    uint64_t     half;   /* of the RTT, in nanoseconds */
    uint64_t     dials;  /* when the server is dialed */
    int          fd[2];  /* the client's, the server's; -1: not yet, or no more */
    struct way   way[2]; /* read at fd[i], for fd[1 - i] */
    bool         dead;
};

struct place {
    int      fd;
    unsigned rtt_ms;
};

static struct sockaddr_in server;
static struct place places[DISTANCES];
static unsigned place_count;
static struct pair *pairs;
static int epoll;

static uint64_t now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void die(const char *what)
{
    fprintf(stderr, "delay: %s: %s\n", what, strerror(errno));
    exit(1);
}

static void watch(int operation, int fd, uint32_t events, void *owner)
{
    struct epoll_event event = { .events = events, .data.ptr = owner };
    if (epoll_ctl(epoll, operation, fd, &event) < 0) die("epoll_ctl");
}

/* -- one direction ------------------------------------------------------------------------------- */

static void put(struct way *way, struct piece *piece, uint64_t due)
{
    piece->next = NULL;
    piece->due = due;
    piece->at = 0;
    *way->last = piece;
    way->last = &piece->next;
    way->n += piece->n;
}

static void drop_first(struct way *way)
{
    struct piece *piece = way->first;
    way->first = piece->next;
    if (!way->first) way->last = &way->first;
    way->n -= piece->n;
    free(piece);
}

static void clear(struct way *way)
{
    while (way->first) drop_first(way);
}

/* Takes in what lies at end i. A stream that was reset ends like any other. */
static void take(struct pair *pair, int i)
{
    struct way *way = &pair->way[i];
    while (!way->ended && way->n < UNDER_WAY) {
        struct piece *piece = malloc(sizeof *piece + PIECE);
        if (!piece) die("malloc");
        ssize_t n = recv(pair->fd[i], piece->bytes, PIECE, MSG_DONTWAIT);
        if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
            free(piece);
            return;
        }
        uint64_t due = now() + pair->half;
        piece->n = n > 0 ? (size_t)n : 0;
        way->ended = n <= 0;
        put(way, piece, due < pair->dials ? pair->dials : due);
    }
}

/* Delivers at end 1 - i what has arrived; answers when there is more to do. */
static uint64_t deliver(struct pair *pair, int i, uint64_t at)
{
    struct way *way = &pair->way[i];
    int to = pair->fd[1 - i];
    while (way->first && way->first->due <= at) {
        struct piece *piece = way->first;
        if (piece->n == 0) {
            (void)shutdown(to, SHUT_WR);
        } else {
            ssize_t n = send(to, piece->bytes + piece->at, piece->n - piece->at, MSG_DONTWAIT | MSG_NOSIGNAL);
            if (n < 0 && errno == EAGAIN) return at + 1000000; /* a slow reader is looked at again soon */
            if (n < 0) pair->dead = true;
            if (n < 0) return NEVER;
            piece->at += (size_t)n;
            if (piece->at < piece->n) continue;
        }
        drop_first(way);
    }
    return way->first ? way->first->due : NEVER;
}

/* -- pairs --------------------------------------------------------------------------------------- */

static void set_options(int fd)
{
    int yes = 1;
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
}

static void accept_client(const struct place *place)
{
    int fd = accept4(place->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0) return;
    struct pair *pair = calloc(1, sizeof *pair);
    if (!pair) die("calloc");
    pair->half = (uint64_t)place->rtt_ms * 500000u;
    pair->dials = now() + 3 * pair->half;
    pair->fd[0] = fd;
    pair->fd[1] = -1;
    for (int i = 0; i < 2; i++) pair->way[i].last = &pair->way[i].first;
    pair->next = pairs;
    pairs = pair;
    set_options(fd);
    watch(EPOLL_CTL_ADD, fd, EPOLLIN | EPOLLRDHUP | EPOLLET, pair);
}

/* The server is on this machine: it answers at once or not at all. */
static void dial(struct pair *pair)
{
    pair->fd[1] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (pair->fd[1] < 0) die("socket");
    if (connect(pair->fd[1], (struct sockaddr *)&server, sizeof server) < 0) {
        pair->dead = true;
        return;
    }
    set_options(pair->fd[1]);
    watch(EPOLL_CTL_ADD, pair->fd[1], EPOLLIN | EPOLLRDHUP | EPOLLET, pair);
}

/* Does what is due for one pair; answers when there is more. */
static uint64_t serve(struct pair *pair)
{
    take(pair, 0);
    if (pair->fd[1] < 0 && now() >= pair->dials) dial(pair);
    if (pair->dead) return NEVER;
    if (pair->fd[1] < 0) return pair->dials;
    take(pair, 1);
    uint64_t at = now(), there = deliver(pair, 0, at), back = pair->dead ? NEVER : deliver(pair, 1, at);
    if (pair->way[0].ended && pair->way[1].ended && !pair->way[0].first && !pair->way[1].first) pair->dead = true;
    return there < back ? there : back;
}

static void bury(struct pair *pair)
{
    for (int i = 0; i < 2; i++) {
        if (pair->fd[i] >= 0) close(pair->fd[i]);
        clear(&pair->way[i]);
    }
    free(pair);
}

static uint64_t serve_all(void)
{
    uint64_t next = NEVER;
    for (struct pair **at = &pairs; *at;) {
        struct pair *pair = *at;
        uint64_t due = serve(pair);
        if (due < next) next = due;
        if (pair->dead) {
            *at = pair->next;
            bury(pair);
        } else {
            at = &pair->next;
        }
    }
    return next;
}

/* -- the program --------------------------------------------------------------------------------- */

static void open_place(const char *text)
{
    struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t n = sizeof address;
    struct place *place = &places[place_count++];
    char *end;
    unsigned long rtt = strtoul(text, &end, 10);
    if (*end || end == text || rtt > 10000) {
        fprintf(stderr, "delay: %s is no RTT in milliseconds\n", text);
        exit(2);
    }
    place->rtt_ms = (unsigned)rtt;
    place->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (place->fd < 0 || bind(place->fd, (struct sockaddr *)&address, n) < 0 || listen(place->fd, 128) < 0 ||
        getsockname(place->fd, (struct sockaddr *)&address, &n) < 0)
        die("listen");
    watch(EPOLL_CTL_ADD, place->fd, EPOLLIN, place);
    printf("listening %u 127.0.0.1:%u\n", place->rtt_ms, ntohs(address.sin_port));
}

static bool read_server(char *text)
{
    char *colon = strrchr(text, ':');
    if (!colon) return false;
    *colon = 0;
    server.sin_family = AF_INET;
    server.sin_port = htons((uint16_t)atoi(colon + 1));
    return inet_pton(AF_INET, text, &server.sin_addr) == 1 && server.sin_port != 0;
}

static bool is_stdin_over(void)
{
    char bytes[64];
    return read(STDIN_FILENO, bytes, sizeof bytes) <= 0;
}

/* False: stdin has ended. */
static bool wait_until(uint64_t due)
{
    struct epoll_event events[64];
    uint64_t at = now(), left = due <= at ? 0 : due - at;
    struct timespec timeout = { (time_t)(left / 1000000000u), (long)(left % 1000000000u) };
    int count = epoll_pwait2(epoll, events, 64, due == NEVER ? NULL : &timeout, NULL);
    if (count < 0 && errno != EINTR) die("epoll_pwait2");
    for (int i = 0; i < count; i++) {
        void *owner = events[i].data.ptr;
        if (!owner && is_stdin_over()) return false;
        for (unsigned p = 0; p < place_count; p++)
            if (owner == &places[p]) accept_client(&places[p]);
    }
    return true;
}

int main(int argc, char **argv)
{
    if (argc < 3 || argc - 2 > DISTANCES || !read_server(argv[1])) {
        fprintf(stderr, "usage: delay 127.0.0.1:PORT RTT_MS... (at most %d of them)\n", DISTANCES);
        return 2;
    }
    epoll = epoll_create1(EPOLL_CLOEXEC);
    if (epoll < 0) die("epoll_create1");
    watch(EPOLL_CTL_ADD, STDIN_FILENO, EPOLLIN, NULL);
    for (int i = 2; i < argc; i++) open_place(argv[i]);
    fflush(stdout);
    while (wait_until(serve_all())) continue;
    return 0;
}
