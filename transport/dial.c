#include "transport/dial.h"
#include "transport/name.h"
#include "transport/tls.h"

#include <errno.h>
#include <stdio.h>

struct rh_dial {
    rh_tcp_pipe *pipe;
    rh_query    *query; /* NULL: answered */
    rh_timer     stagger;
    size_t       count, next; /* addresses; the first that was not tried yet */
    unsigned     racing;
    rh_status    status; /* of the last that failed */
    int          os_error;
    char         words[160];
    rh_address   addresses[RH_DIAL_ADDRESSES];
    rh_socket   *sockets[RH_DIAL_ADDRESSES]; /* NULL: not begun, or failed */
};

static void on_connect(rh_socket *socket, int error);

static const rh_socket_events racing_events = { .on_connect = on_connect };

static void free_dial(rh_dial *dial)
{
    rh_reactor *reactor = dial->pipe->reactor;
    rh_timer_cancel(&reactor->loop, &dial->stagger);
    rh_reactor_free(reactor, dial, sizeof *dial);
}

void rh_dial_cancel(rh_dial *dial)
{
    if (dial->query) rh_query_cancel(dial->query);
    for (size_t i = 0; i < dial->count; i++)
        if (dial->sockets[i]) rh_socket_close(dial->sockets[i]);
    free_dial(dial);
}

const char *rh_dial_stage(const rh_dial *dial)
{
    return dial->query ? "the name did not resolve in time" : "no address answered in time";
}

static rh_status status_of(int os_error)
{
    switch (os_error) {
    case ECONNREFUSED: return RH_E_REFUSED;
    case ETIMEDOUT: return RH_E_TIMEOUT;
    case ENETUNREACH:
    case EHOSTUNREACH:
    case EHOSTDOWN:
    case ENETDOWN:
    case EADDRNOTAVAIL:
    case EAFNOSUPPORT: return RH_E_UNREACHABLE;
    case ECONNRESET:
    case EPIPE: return RH_E_CONNECTION_LOST;
    case ENOMEM:
    case ENOBUFS: return RH_E_MEMORY;
    default: return RH_E_SYSTEM;
    }
}

static void note_failure(rh_dial *dial, const rh_address *address, int os_error)
{
    char text[RH_ADDRESS_TEXT_MAX];
    rh_address_text(address, text, sizeof text);
    dial->status = status_of(os_error);
    dial->os_error = os_error;
    /* Whoever tells it names what was dialed; of a name, the address that failed is news. */
    bool is_news = strcmp(text, dial->pipe->peer) != 0;
    snprintf(dial->words, sizeof dial->words, "%s%s%s", is_news ? text : "", is_news ? " " : "", strerrordesc_np(os_error));
}

/* False: this address has failed already. */
static bool try_address(rh_dial *dial, size_t i)
{
    rh_reactor *reactor = dial->pipe->reactor;
    const rh_address *address = &dial->addresses[i];
    int fd = socket(address->storage.ss_family, SOCK_STREAM | reactor->poller->ops->socket_flags, 0);
    if (fd < 0) {
        note_failure(dial, address, errno);
        return false;
    }
    dial->sockets[i] = rh_socket_open(reactor->poller, fd, false, &racing_events, dial);
    if (!dial->sockets[i]) {
        note_failure(dial, address, ENOMEM);
        return false;
    }
    dial->racing++;
    rh_socket_connect(dial->sockets[i], (const struct sockaddr *)&address->storage, address->n);
    return true;
}

/* The next address joins; without one and without hope the pipe falls, and the dial is freed. */
static void join_race(rh_dial *dial)
{
    rh_reactor *reactor = dial->pipe->reactor;
    while (dial->next < dial->count)
        if (try_address(dial, dial->next++)) {
            rh_time next = rh_time_after(rh_reactor_now(reactor), RH_DIAL_STAGGER);
            rh_timer_set(&reactor->loop, &dial->stagger, dial->next < dial->count ? next : RH_TIME_NEVER);
            return;
        }
    if (dial->racing > 0) return;
    rh_tcp_pipe *pipe = dial->pipe;
    char words[192];
    snprintf(words, sizeof words, "%s", dial->words);
    rh_tcp_pipe_fall(pipe, dial->status, dial->os_error, words);
}

static void on_stagger(void *user, rh_time now)
{
    (void)now;
    join_race(user);
}

static void on_connect(rh_socket *socket, int error)
{
    rh_dial *dial = socket->owner;
    size_t i = 0;
    while (dial->sockets[i] != socket) i++;
    dial->sockets[i] = NULL;
    dial->racing--;
    if (error) {
        note_failure(dial, &dial->addresses[i], error);
        rh_socket_close(socket);
        join_race(dial);
        return;
    }
    rh_tcp_pipe *pipe = dial->pipe;
    pipe->dial = NULL;
    rh_dial_cancel(dial); /* the others */
    rh_tcp_pipe_connected(pipe, socket);
}

/* IPv6 and IPv4 in turn, beginning with what the resolver put first [RFC 8305, 4]. */
static void interleave(rh_dial *dial, const rh_address *addresses, size_t count)
{
    size_t at[2] = { 0, 0 };
    sa_family_t first = addresses[0].storage.ss_family;
    sa_family_t families[2] = { first, first == AF_INET ? AF_INET6 : AF_INET };
    for (unsigned turn = 0; dial->count < RH_DIAL_ADDRESSES && (at[0] < count || at[1] < count); turn ^= 1) {
        while (at[turn] < count && addresses[at[turn]].storage.ss_family != families[turn]) at[turn]++;
        if (at[turn] < count) dial->addresses[dial->count++] = addresses[at[turn]++];
    }
}

static void on_answer(void *user, const rh_address *addresses, size_t count, const char *words)
{
    rh_dial *dial = user;
    dial->query = NULL;
    if (count == 0) {
        rh_tcp_pipe_fall(dial->pipe, RH_E_NAME, 0, words);
        return;
    }
    interleave(dial, addresses, count);
    join_race(dial);
}

rh_status rh_dial_start(rh_tcp_pipe *pipe, const char *host, uint16_t port)
{
    rh_reactor *reactor = pipe->reactor;
    rh_dial *dial = rh_reactor_alloc(reactor, sizeof *dial);
    if (!dial) return RH_E_MEMORY;
    dial->pipe = pipe;
    dial->status = RH_E_UNREACHABLE;
    dial->stagger.fn = on_stagger;
    dial->stagger.user = dial;
    dial->query = rh_query_start(reactor, host, port, on_answer, dial);
    if (!dial->query) {
        free_dial(dial);
        return RH_E_MEMORY;
    }
    pipe->dial = dial;
    return RH_OK;
}

static rh_status check(const rh_reactor *reactor, const rh_dial_opts *opts)
{
    if (reactor->is_dying) return RH_E_CANCELLED;
    if (!opts->host || !*opts->host || strlen(opts->host) > 255 || opts->port == 0) return RH_E_ARGUMENT;
    /* To libssl an empty name is any, and one with a dot in front is all below it. */
    const char *name = opts->tls_name ? opts->tls_name : opts->host;
    if (strlen(name) > 255 || (opts->tls && (!*name || *name == '.'))) return RH_E_ARGUMENT;
    if (opts->max_frame > reactor->opts.max_frame || (opts->tls && rh_tls_is_server(opts->tls))) return RH_E_ARGUMENT;
    return RH_OK;
}

rh_status rh_reactor_dial(rh_loop *loop, const rh_dial_opts *asked, const rh_pipe_handler *handler, void *user,
                          rh_pipe **out)
{
    rh_reactor *reactor = rh_reactor_of(loop);
    if (out) *out = NULL;
    rh_dial_opts own, *opts = &own;
    rh_opts_copy(&own, sizeof own, asked, asked->size);
    rh_status status = check(reactor, opts);
    if (status) return status;
    char peer[256 + 8];
    bool is_bare_v6 = strchr(opts->host, ':') && opts->host[0] != '[';
    snprintf(peer, sizeof peer, is_bare_v6 ? "[%s]:%u" : "%s:%u", opts->host, opts->port);
    rh_tcp_pipe *pipe = rh_tcp_pipe_create(reactor, peer, opts->max_frame, &status);
    if (!pipe) return status;
    if ((opts->tls && !rh_tls_session_open(pipe, opts->tls, opts->tls_name ? opts->tls_name : opts->host)) ||
        rh_dial_start(pipe, opts->host, opts->port) != RH_OK) {
        /* Without a handler its end is silent. */
        rh_tcp_pipe_fall(pipe, RH_E_MEMORY, 0, "");
        return RH_E_MEMORY;
    }
    pipe->handler = handler;
    pipe->user = user;
    rh_tcp_pipe_deadline(pipe, opts->deadline ? opts->deadline : rh_time_after(rh_reactor_now(reactor), RH_SECONDS(30)));
    if (out) *out = &pipe->pipe;
    return RH_OK;
}
