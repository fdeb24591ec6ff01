#include "fuzz/aim/line.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static long now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static struct addrinfo *resolve(const char *address, int flags)
{
    char             host[256];
    const char      *colon = strrchr(address, ':');
    struct addrinfo  hints = { .ai_socktype = SOCK_STREAM, .ai_flags = flags }, *found = NULL;
    if (colon == NULL || (size_t)(colon - address) >= sizeof host) return NULL;
    snprintf(host, sizeof host, "%.*s", (int)(colon - address), address);
    return getaddrinfo(host, colon + 1, &hints, &found) == 0 ? found : NULL;
}

int line_listen(const char *address, char *told, size_t n)
{
    struct addrinfo        *at = resolve(address, AI_PASSIVE);
    struct sockaddr_storage bound;
    socklen_t               size = sizeof bound;
    char                    host[256], port[16];
    int                     one = 1, fd = at ? socket(at->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0) : -1;
    if (fd >= 0) setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (fd < 0 || bind(fd, at->ai_addr, at->ai_addrlen) != 0 || listen(fd, 16) != 0 || getsockname(fd, (struct sockaddr *)&bound, &size) != 0 ||
        getnameinfo((struct sockaddr *)&bound, size, host, sizeof host, port, sizeof port, NI_NUMERICHOST | NI_NUMERICSERV) != 0) {
        if (fd >= 0) close(fd);
        fd = -1;
    } else snprintf(told, n, "%s:%s", host, port);
    if (at) freeaddrinfo(at);
    return fd;
}

static void begin(struct line *line, int fd)
{
    int one = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    line->fd   = fd;
    line->gone = line->cut = false;
    ear_init(&line->ear);
}

bool line_dial(struct line *line, const char *address)
{
    struct addrinfo *at = resolve(address, 0);
    int              fd = -1;
    line->fd            = -1;
    for (struct addrinfo *next = at; next && line->fd < 0; next = next->ai_next) {
        fd = socket(next->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (fd >= 0 && connect(fd, next->ai_addr, next->ai_addrlen) == 0) begin(line, fd);
        else if (fd >= 0) close(fd);
    }
    if (at) freeaddrinfo(at);
    return line->fd >= 0;
}

bool line_accept(struct line *line, int listening, int ms)
{
    struct pollfd wait = { .fd = listening, .events = POLLIN };
    int           fd   = poll(&wait, 1, ms) > 0 ? accept4(listening, NULL, NULL, SOCK_CLOEXEC) : -1;
    line->fd           = -1;
    if (fd >= 0) begin(line, fd);
    return fd >= 0;
}

static void leave(struct line *line, bool cut)
{
    line->gone = true;
    line->cut  = cut;
}

static void read_some(struct line *line)
{
    static uint8_t bytes[1 << 14];
    ssize_t        n = recv(line->fd, bytes, sizeof bytes, MSG_DONTWAIT);
    if (n > 0) ear_hear(&line->ear, bytes, (size_t)n);
    else if (n == 0) leave(line, false);
    else if (errno != EAGAIN && errno != EINTR) leave(line, true);
}

/* A peer that reads nothing until it is read from must not hold us up. */
void line_say(struct line *line, const uint8_t *p, size_t n, int ms)
{
    for (long end = now_ms() + ms; n > 0 && !line->gone && now_ms() < end;) {
        struct pollfd wait = { .fd = line->fd, .events = POLLIN | POLLOUT };
        if (poll(&wait, 1, ms) <= 0) continue;
        if (wait.revents & POLLIN) read_some(line);
        ssize_t taken = line->gone ? 0 : send(line->fd, p, n, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (taken > 0) p += taken, n -= (size_t)taken;
        else if (taken < 0 && errno != EAGAIN && errno != EINTR) {
            while (!line->gone && poll(&(struct pollfd){ .fd = line->fd, .events = POLLIN }, 1, 100) > 0) read_some(line); /* its last words */
            line->gone = true;
        }
    }
}

void line_say_no_more(struct line *line)
{
    if (!line->gone) shutdown(line->fd, SHUT_WR);
}

bool line_hear(struct line *line, bool (*enough)(const struct line *), int quiet_ms, int ms)
{
    for (long end = now_ms() + ms; !line->gone && !enough(line);) {
        struct pollfd wait = { .fd = line->fd, .events = POLLIN };
        long          left = end - now_ms();
        if (left <= 0 || poll(&wait, 1, (int)(left < quiet_ms ? left : quiet_ms)) <= 0) return false;
        read_some(line);
    }
    return true;
}

bool line_is_gone(const struct line *line)
{
    return line->gone;
}

void line_close(struct line *line)
{
    if (line->fd >= 0) close(line->fd);
    line->fd = -1;
}
