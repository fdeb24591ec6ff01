#include "transport/name.h"

#include <ares.h>
#include <netdb.h>
#include <poll.h>
#include <stdio.h>
#include <strings.h>

/* As many as a race has runners; a query rarely talks to more than two servers over two families at once. */
enum { ADDRESSES_MAX = 16, SOCKETS_MAX = 16 };

/* A server that does not answer within this is asked once more, then the next one. */
enum { TRY_MS = 2000, TRIES = 2 };

struct rh_query {
    rh_reactor  *reactor;
    rh_answer_fn fn;
    void        *user;
    uint16_t     port;
    bool         has_channel, is_answered;
    ares_channel channel;
    rh_timer     timer; /* c-ares's time-outs, then the answer */
    rh_socket   *sockets[SOCKETS_MAX];
    size_t       count;
    rh_address   addresses[ADDRESSES_MAX];
    char         words[96];
};

static void on_ready(rh_socket *socket, bool readable, bool writable);

static void on_closed(rh_socket *socket) { (void)socket; }

static const rh_socket_events query_events = { .on_ready = on_ready, .on_closed = on_closed };

/* -- the end of a query ---------------------------------------------------------------------- */

static void free_query(rh_query *query)
{
    rh_reactor *reactor = query->reactor;
    rh_timer_cancel(&reactor->loop, &query->timer);
    /* Destroying calls back for what is pending: watch and answer must still find the query. */
    if (query->has_channel) ares_destroy(query->channel);
    rh_reactor_free(reactor, query, sizeof *query);
}

void rh_query_cancel(rh_query *query)
{
    query->fn = NULL;
    free_query(query);
}

static void answer(rh_query *query)
{
    rh_answer_fn fn = query->fn;
    query->fn = NULL;
    fn(query->user, query->addresses, query->count, query->words);
    free_query(query);
}

/* -- c-ares ---------------------------------------------------------------------------------- */

static void plan_timeout(rh_query *query, rh_time now)
{
    struct timeval most = { .tv_sec = TRY_MS / 1000 }, room;
    const struct timeval *wait = ares_timeout(query->channel, &most, &room); /* one of the two */
    rh_time delay = RH_SECONDS(wait->tv_sec) + RH_US(wait->tv_usec);
    /* c-ares counts in milliseconds: a moment too early would spin. */
    rh_timer_set(&query->reactor->loop, &query->timer, rh_time_after(now, delay + RH_MS(1)));
}

static void on_timer(void *user, rh_time now)
{
    rh_query *query = user;
    if (!query->is_answered) ares_process_fd(query->channel, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
    if (query->is_answered) answer(query);
    else plan_timeout(query, now);
}

static void on_ready(rh_socket *socket, bool readable, bool writable)
{
    rh_query *query = socket->owner;
    ares_process_fd(query->channel, readable ? socket->fd : ARES_SOCKET_BAD, writable ? socket->fd : ARES_SOCKET_BAD);
    /* Answered from the timer, never from here: the answer frees the query, and c-ares is still on the stack. */
    rh_time now = rh_reactor_now(query->reactor);
    if (query->is_answered) rh_timer_set(&query->reactor->loop, &query->timer, now);
    else plan_timeout(query, now);
}

static rh_socket **slot_of(rh_query *query, ares_socket_t fd)
{
    rh_socket **free_slot = NULL;
    for (size_t i = 0; i < SOCKETS_MAX; i++) {
        rh_socket **slot = &query->sockets[i];
        if (*slot && (*slot)->fd == fd) return slot;
        if (!*slot && !free_slot) free_slot = slot;
    }
    return free_slot;
}

/* c-ares tells what it waits for, and with two noes that it is about to close the descriptor. */
static void watch(void *user, ares_socket_t fd, int readable, int writable)
{
    rh_query *query = user;
    rh_socket **slot = slot_of(query, fd);
    if (!slot) return; /* that server will time out, others are asked */
    if (!readable && !writable) {
        if (*slot) rh_socket_close(*slot);
        *slot = NULL;
        return;
    }
    if (!*slot) *slot = rh_socket_open(query->reactor->poller, fd, true, &query_events, query);
    if (*slot) rh_socket_watch(*slot, (readable ? POLLIN : 0u) | (writable ? POLLOUT : 0u));
}

static void keep_address(rh_query *query, const struct ares_addrinfo_node *node)
{
    if (query->count == ADDRESSES_MAX || node->ai_addrlen > sizeof query->addresses[0].storage) return;
    if (node->ai_family != AF_INET && node->ai_family != AF_INET6) return;
    rh_address *address = &query->addresses[query->count++];
    memcpy(&address->storage, node->ai_addr, node->ai_addrlen);
    address->n = node->ai_addrlen;
}

static void on_addresses(void *user, int status, int timeouts, struct ares_addrinfo *info)
{
    (void)timeouts;
    rh_query *query = user;
    if (status == ARES_SUCCESS)
        for (const struct ares_addrinfo_node *node = info->nodes; node; node = node->ai_next) keep_address(query, node);
    if (info) ares_freeaddrinfo(info);
    snprintf(query->words, sizeof query->words, "%s", query->count ? "" : ares_strerror(status == ARES_SUCCESS ? ARES_ENODATA : status));
    query->is_answered = true;
}

static int ask(rh_query *query, const char *host)
{
    struct ares_options options = { .timeout = TRY_MS, .tries = TRIES, .sock_state_cb = watch, .sock_state_cb_data = query };
    int status = ares_init_options(&query->channel, &options, ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES | ARES_OPT_SOCK_STATE_CB);
    if (status != ARES_SUCCESS) return status;
    query->has_channel = true;
    char service[8];
    snprintf(service, sizeof service, "%u", query->port);
    struct ares_addrinfo_hints hints = { .ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM, .ai_flags = ARES_AI_NUMERICSERV };
    ares_getaddrinfo(query->channel, host, service, &hints, on_addresses, query);
    return ARES_SUCCESS;
}

/* [RFC 6761, 6.3] This name and those below it are this machine, whatever files and servers say, or if there are none. */
static bool is_localhost(const char *host)
{
    size_t n = strlen(host);
    if (n > 0 && host[n - 1] == '.') n--;
    return n >= 9 && strncasecmp(host + n - 9, "localhost", 9) == 0 && (n == 9 || host[n - 10] == '.');
}

rh_query *rh_query_start(rh_reactor *reactor, const char *host, uint16_t port, rh_answer_fn fn, void *user)
{
    rh_query *query = rh_reactor_alloc(reactor, sizeof *query);
    if (!query) return NULL;
    *query = (rh_query){ .reactor = reactor, .fn = fn, .user = user, .port = port, .timer = { .fn = on_timer, .user = query } };
    if (rh_address_parse(&query->addresses[0], host, port)) {
        query->count = 1;
        query->is_answered = true;
    } else if (is_localhost(host)) {
        query->count = 2;
        query->is_answered = rh_address_parse(&query->addresses[0], "127.0.0.1", port) &&
                             rh_address_parse(&query->addresses[1], "::1", port);
    } else if (ask(query, host) == ARES_ENOMEM) {
        rh_reactor_free(reactor, query, sizeof *query);
        return NULL;
    } else if (!query->has_channel) {
        snprintf(query->words, sizeof query->words, "no name service could be set up");
        query->is_answered = true;
    }
    rh_time now = rh_reactor_now(reactor);
    if (query->is_answered) rh_timer_set(&reactor->loop, &query->timer, now);
    else plan_timeout(query, now);
    return query;
}
