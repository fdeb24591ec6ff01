/*
 * Names, asked of a name server of the test's own: one that knows ten addresses of which one works, that is slow, silent, broken, or
 * knows nothing. c-ares is the real one; only the address of its server is the test's.
 */
#include "tests/wire.h"

#include <ares.h>
#include <arpa/inet.h>
#include <dlfcn.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

/* -- the server ------------------------------------------------------------------------------------- */

enum { NO_ERROR, FORMAT_ERROR, SERVER_FAILURE, NO_SUCH_NAME, SILENT = 100, GARBAGE, OTHER_QUESTION };
enum { A = 1 };

static const struct zone {
    const char *name;
    int manner;          /* the code it answers, or what it does instead */
    unsigned slow_ms;
    uint8_t count, last[12]; /* 127.0.0.x */
} zones[] = {
    { "one.test", NO_ERROR, 0, 1, { 1 } },
    { "ten.test", NO_ERROR, 0, 10, { 11, 12, 13, 14, 15, 16, 17, 18, 19, 1 } },
    { "slow.test", NO_ERROR, 300, 1, { 1 } },
    { "empty.test", NO_ERROR, 0, 0, { 0 } },
    { "none.test", NO_SUCH_NAME, 0, 0, { 0 } },
    { "failing.test", SERVER_FAILURE, 0, 0, { 0 } },
    { "puzzled.test", FORMAT_ERROR, 0, 0, { 0 } },
    { "mute.test", SILENT, 0, 0, { 0 } },
    { "garbage.test", GARBAGE, 0, 0, { 0 } },
    { "forged.test", OTHER_QUESTION, 0, 1, { 1 } },
};

static struct {
    pthread_t thread;
    int       fd;
    uint16_t  port;
    _Atomic unsigned asked;
} server;

/* [RFC 1035, 4.1.2] The question's name as text; answers the size of the question. */
static size_t read_question(const uint8_t *p, size_t n, char *name, unsigned *type)
{
    size_t at = 12, out = 0;
    while (at < n && p[at] && at + p[at] + 1 < n && out + p[at] + 1 < 256) {
        if (out) name[out++] = '.';
        memcpy(name + out, p + at + 1, p[at]);
        out += p[at];
        at += p[at] + 1u;
    }
    name[out] = '\0';
    *type = (unsigned)p[at + 1] << 8 | p[at + 2];
    return at + 5 - 12;
}

static const struct zone *zone_of(const char *name)
{
    for (size_t i = 0; i < sizeof zones / sizeof *zones; i++)
        if (strcasecmp(zones[i].name, name) == 0) return &zones[i];
    return NULL;
}

/* [RFC 1035, 4.1.3] Of an A record everything but the address is the same. */
static size_t put_addresses(uint8_t *p, const struct zone *zone)
{
    size_t at = 0;
    for (unsigned i = 0; i < zone->count; i++) {
        memcpy(p + at, (uint8_t[]){ 0xc0, 12, 0, A, 0, 1, 0, 0, 0, 60, 0, 4, 127, 0, 0, zone->last[i] }, 16);
        at += 16;
    }
    return at;
}

static void answer(uint8_t *p, size_t n, const struct sockaddr_in *whom)
{
    char name[256];
    unsigned type;
    size_t question = read_question(p, n, name, &type), size = 12 + question;
    const struct zone *zone = zone_of(name);
    atomic_fetch_add(&server.asked, 1);
    if (zone && zone->manner == SILENT) return;
    if (zone && zone->slow_ms) usleep(zone->slow_ms * 1000);
    int code = !zone ? NO_SUCH_NAME : zone->manner < SILENT ? zone->manner : NO_ERROR;
    bool has_addresses = zone && type == A && zone->manner != GARBAGE;
    memset(p + 6, 0, 6); /* also without the question's own extras */
    p[2] = 0x81, p[3] = (uint8_t)(0x80 | code), p[7] = has_addresses ? zone->count : 0;
    if (has_addresses) size += put_addresses(p + size, zone);
    if (zone && zone->manner == GARBAGE) memset(p + 4, 0xff, size - 4);
    if (zone && zone->manner == OTHER_QUESTION) p[0] ^= 0xff;
    sendto(server.fd, p, size, 0, (const struct sockaddr *)whom, sizeof *whom);
}

static void *serve(void *user)
{
    (void)user;
    for (;;) {
        uint8_t message[1024];
        struct sockaddr_in whom;
        socklen_t whom_n = sizeof whom;
        ssize_t n = recvfrom(server.fd, message, 512, 0, (struct sockaddr *)&whom, &whom_n);
        if (n == 1) return NULL;
        if (n > 16) answer(message, (size_t)n, &whom);
    }
}

static void server_start(void)
{
    struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t n = sizeof address;
    server.fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    cr_assert_eq(bind(server.fd, (struct sockaddr *)&address, n), 0);
    getsockname(server.fd, (struct sockaddr *)&address, &n);
    server.port = ntohs(address.sin_port);
    pthread_create(&server.thread, NULL, serve, NULL);
}

static void server_stop(void)
{
    struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK), .sin_port = htons(server.port) };
    sendto(server.fd, "", 1, 0, (struct sockaddr *)&address, sizeof address);
    pthread_join(server.thread, NULL);
    close(server.fd);
}

/* It stands before c-ares's own, and then tells it whom to ask. */
int ares_init_options(ares_channel *channel, struct ares_options *options, int mask)
{
    static __typeof__(&ares_init_options) real;
    char text[32];
    if (!real) real = (__typeof__(real))dlsym(RTLD_NEXT, "ares_init_options");
    int status = real(channel, options, mask);
    snprintf(text, sizeof text, "127.0.0.1:%u", server.port);
    return status == ARES_SUCCESS ? ares_set_servers_ports_csv(*channel, text) : status;
}

TestSuite(name, .init = server_start, .fini = server_stop, .timeout = 30);

/* -- stories ---------------------------------------------------------------------------------------- */

/* How long until the first byte of a server that takes its time for it. */
static rh_time first_byte(const char *name)
{
    struct wire wire = { .loop = NULL };
    wire_open(&wire, RH_BACKEND_AUTO, NULL);
    rh_time begin = rh_loop_now(wire.loop);
    wire_dial(&wire, &wire.client, RH_DIAL_OPTS(.host = name, .port = rh_listener_port(wire.listener)));
    cr_assert(wire_until(&wire, wire.server.is_up), "%s: %s", name, wire.client.error.description);
    wire_pass(&wire, RH_MS(150));
    wire_say(&wire.server, "first", 5);
    cr_assert(wire_until(&wire, wire.client.frames == 1), "%s: %s", name, wire.client.error.description);
    rh_time took = rh_loop_now(wire.loop) - begin;
    wire_close(&wire);
    return took;
}

Test(name, of_ten_addresses_the_one_that_works_is_found_within_twice_its_own_time)
{
    rh_time best = first_byte("one.test"), of_ten = first_byte("ten.test");
    cr_expect_lt(of_ten, 2 * best, "%u ms and %u ms", (unsigned)(of_ten / RH_MS(1)), (unsigned)(best / RH_MS(1)));
}

Test(name, a_slow_answer_is_waited_for)
{
    rh_time took = first_byte("slow.test");
    cr_expect_geq(took, RH_MS(300 + 150));
    cr_expect_lt(took, RH_MS(2000));
}

/* How a dial ends that has a tenth of a second. */
static rh_error end_of(rh_loop_backend backend, const char *name)
{
    struct wire wire = { .loop = NULL };
    wire_open(&wire, backend, NULL);
    rh_time deadline = rh_loop_now(wire.loop) + RH_MS(100);
    wire_dial(&wire, &wire.client, RH_DIAL_OPTS(.host = name, .port = rh_listener_port(wire.listener), .deadline = deadline));
    cr_assert(wire_until(&wire, wire.client.is_down), "%s", name);
    cr_expect_not(wire.client.is_up, "%s", name);
    cr_expect_lt(rh_loop_now(wire.loop), deadline + RH_MS(500), "%s", name);
    wire_close(&wire);
    return wire.client.error;
}

Test(name, what_is_no_address_ends_the_dial_at_once_and_is_told_by_name)
{
    static const char *const names[] = { "none.test", "empty.test", "nobody-knows.test" };
    for (each_backend(backend))
        for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
            rh_error error = end_of(backend, names[i]);
            cr_expect_eq(error.status, RH_E_NAME, "%s: %s", names[i], error.description);
            cr_expect(strstr(error.description, names[i]), "%s", error.description);
            cr_expect_eq(error.error_class, RH_CLASS_RECONNECT, "names come back");
        }
    cr_expect_gt(server.asked, 0);
}

/* What could still become an answer is waited for as long as there is time, and no longer. */
Test(name, a_server_without_an_answer_meets_the_deadline)
{
    static const char *const names[] = { "mute.test", "garbage.test", "forged.test", "failing.test", "puzzled.test" };
    for (each_backend(backend))
        for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
            rh_error error = end_of(backend, names[i]);
            cr_expect(error.status == RH_E_TIMEOUT || error.status == RH_E_NAME, "%s: %s: %s", names[i], rh_status_name(error.status),
                      error.description);
            if (i == 0) cr_expect(strstr(error.description, "the name did not resolve in time"), "%s", error.description);
        }
}

Test(name, a_loop_that_still_asks_can_be_destroyed)
{
    for (each_backend(backend)) {
        struct wire wire = { .loop = NULL };
        wire_open(&wire, backend, NULL);
        wire_dial(&wire, &wire.client, RH_DIAL_OPTS(.host = "mute.test", .port = 1));
        wire_pass(&wire, RH_MS(20));
        wire_close(&wire);
        cr_expect_eq(wire.client.error.status, RH_E_CANCELLED);
    }
}
