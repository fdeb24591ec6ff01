#include "tests/sim/wire.h"

#include "tests/sim/garbage.h"

#include <stdlib.h>

#define PIECES_MAX 64

/* [design] what a pipe that flushes may take, in all and for the peer's end of stream. */
#define FLUSH_TIME RH_SECONDS(5)
#define FIN_TIME   RH_SECONDS(1)

#define DIAL_TIME RH_SECONDS(30)

/* How long TCP of a patient server sends the same again. The client's is not waited for: its engine has to notice first. */
#define UNACKNOWLEDGED_TIME RH_SECONDS(60)

typedef enum segment_kind { BYTES, FIN, RST } segment_kind;

typedef struct segment {
    struct segment *next;
    rh_time         at;
    segment_kind    kind;
    size_t          n;
    uint8_t         bytes[];
} segment;

struct sim_listener {
    rh_listener   listener; /* first */
    sim_listener *next;
    sim_loop     *sim;
    uint16_t      port;
    rh_accept_fn  accept;
    void         *user;
};

struct sim_pipe {
    rh_pipe                pipe; /* first */
    sim_loop              *sim;
    sim_wire              *wire;
    int                    side;
    sim_pipe              *next, *next_awake;
    const rh_pipe_handler *handler;
    void                  *user;
    bool                   is_awake, up, dead, closing, flushing, fin_sent, fin_came;
    rh_error               error;

    rh_iov   lent[PIECES_MAX];
    size_t   lent_count, lent_n, taken, returned; /* bytes lent, sent off, and told by sent() */
    uint8_t *copy;                                /* of all that is lent */
    rh_timer pace;                                /* the next return */

    segment *coming, **coming_end;
    size_t   coming_n;
    rh_timer arrival;
    uint8_t *inbox;
    size_t   n, room;

    rh_timer  step;     /* of a dial, and then how long a flush may take */
    rh_timer  deadline; /* of a dial */
    sim_phase reaching;
    uint16_t  port;
};

static sim_pipe *of(const rh_pipe *pipe)
{
    return (sim_pipe *)(void *)(uintptr_t)pipe;
}

static rh_loop *loop_of(const sim_pipe *p)
{
    return &p->sim->loop;
}

sim_wire *sim_wire_of(const rh_pipe *pipe)
{
    return of(pipe)->wire;
}

/* The first of its ends that is left stands for a wire. */
static bool stands(const sim_pipe *p)
{
    return p->side == SIM_CLIENT || !p->wire->end[SIM_CLIENT];
}

sim_wire *sim_wire_at(const sim_loop *sim, size_t index)
{
    for (const sim_pipe *p = sim->pipes; p; p = p->next)
        if (stands(p) && index-- == 0) return p->wire;
    return NULL;
}

sim_wire *sim_wire_find(const sim_loop *sim, uint32_t id)
{
    for (const sim_pipe *p = sim->pipes; p; p = p->next)
        if (p->wire->id == id) return p->wire;
    return NULL;
}

/* -- who is looked at ---------------------------------------------------------------------------- */

static void awaken(sim_pipe *p)
{
    if (p->is_awake) return;
    p->is_awake        = true;
    p->next_awake      = NULL;
    *p->sim->awake_end = p;
    p->sim->awake_end  = &p->next_awake;
}

sim_pipe *sim_pipe_taken(sim_pipe *p)
{
    p->is_awake = false;
    return p->next_awake;
}

static void wake(rh_pipe *pipe)
{
    awaken(of(pipe));
}

static void down(sim_pipe *p, rh_status status, const char *words)
{
    if (p->dead) return;
    p->dead = true;
    rh_error_set(&p->error, status, NULL, words);
    awaken(p);
}

/* -- bytes under way ----------------------------------------------------------------------------- */

static rh_time latency(sim_wire *wire)
{
    return sim_between(&wire->chance, wire->latency_least, wire->latency_most);
}

static void arm_arrival(sim_pipe *to)
{
    if (!to->coming) return;
    rh_time at = to->coming->at, stalled = to->wire->stalled_until[to->side];
    rh_timer_set(loop_of(to), &to->arrival, at > stalled ? at : stalled);
}

static void travel(sim_pipe *from, segment_kind kind, const uint8_t *bytes, size_t n)
{
    sim_wire *wire  = from->wire;
    int       end   = !from->side;
    sim_pipe *to    = wire->end[end];
    rh_time   leave = wire->busy_until[end] > wire->sim->now ? wire->busy_until[end] : wire->sim->now;
    if (wire->bytes_per_second) leave = wire->busy_until[end] = leave + n * RH_SECONDS(1) / wire->bytes_per_second;
    rh_time at = leave + latency(wire);
    if (at < wire->last_at[end]) at = wire->last_at[end];
    wire->last_at[end] = at;
    if (!to || wire->silent) return;
    segment *s = malloc(sizeof *s + n);
    *s         = (segment){ .at = at, .kind = kind, .n = n };
    if (n) memcpy(s->bytes, bytes, n);
    *to->coming_end = s;
    to->coming_end  = &s->next;
    to->coming_n += n;
    arm_arrival(to);
}

static void forget_coming(sim_pipe *p)
{
    while (p->coming) {
        segment *s = p->coming;
        p->coming  = s->next;
        free(s);
    }
    p->coming_end = &p->coming;
    p->coming_n   = 0;
}

static void arrive_bytes(sim_pipe *p, const segment *s)
{
    sim_wire *wire   = p->wire;
    uint64_t  passed = wire->passed[p->side], cut = wire->cut_at[p->side];
    size_t    n      = cut - passed < s->n ? (size_t)(cut - passed) : s->n;
    if (p->room - p->n < n) {
        p->room  = (p->n + n) * 2;
        p->inbox = realloc(p->inbox, p->room);
    }
    if (n) memcpy(p->inbox + p->n, s->bytes, n);
    p->n += n;
    wire->passed[p->side] += n;
    if (wire->passed[p->side] == cut) sim_wire_reset(wire);
}

static void on_arrival(void *user, rh_time now)
{
    sim_pipe *p = user;
    while (p->coming && p->coming->at <= now && !p->dead) {
        segment *s = p->coming;
        p->coming  = s->next;
        p->coming_n -= s->n;
        if (!p->coming) p->coming_end = &p->coming;
        if (s->kind == BYTES) arrive_bytes(p, s);
        if (s->kind == FIN) p->fin_came = true;
        if (s->kind == RST) down(p, RH_E_CONNECTION_LOST, "sim: reset by the peer");
        free(s);
    }
    arm_arrival(p);
    awaken(p);
    if (p->wire->end[!p->side]) awaken(p->wire->end[!p->side]); /* there is room in the window */
}

/* -- input --------------------------------------------------------------------------------------- */

static size_t whole_frames(sim_pipe *p)
{
    size_t whole = 0, size;
    while (whole < p->n && (size = p->handler->frame_size(p->user, p->inbox + whole, p->n - whole)) != 0 && size <= p->n - whole) whole += size;
    return whole;
}

static bool hangs(const sim_pipe *p)
{
    return p->wire->hung && p->side == SIM_SERVER;
}

static void feed(sim_pipe *p)
{
    if (hangs(p) || p->closing || p->dead || p->n == 0 || !p->handler->wants_input(p->user)) return;
    size_t whole = whole_frames(p);
    if (whole == 0) return;
    uint8_t *bytes = malloc(whole);
    memcpy(bytes, p->inbox, whole);
    p->sim->speaking = p->wire;
    size_t used      = p->handler->input(p->user, &p->pipe, bytes, whole);
    p->sim->speaking = NULL;
    memset(bytes, 0x5a, whole);
    free(bytes);
    if (used > whole) sim_loop_break(p->sim, "input used more than it was given");
    if (used < whole && !p->closing && p->handler->wants_input(p->user)) sim_loop_break(p->sim, "input stopped although it wants more");
    memmove(p->inbox, p->inbox + used, p->n - used);
    p->n -= used;
    if (p->wire->end[!p->side]) awaken(p->wire->end[!p->side]);
}

/* -- output -------------------------------------------------------------------------------------- */

/* Between two frames of one that breaks the rules. */
static void send_garbage(sim_pipe *p)
{
    uint8_t frame[SIM_GARBAGE_MAX];
    size_t  n = sim_garbage(&p->wire->chance, frame);
    p->wire->garbage[!p->side] = false;
    p->wire->sim->garbage++;
    travel(p, BYTES, frame, n);
}

static void send_echo(sim_pipe *p)
{
    sim_wire    *wire = p->wire;
    sim_echo     echo = wire->echo;
    sim_progress *progress = &wire->progress;
    wire->echo = SIM_ECHO_NONE;
    if (!progress->answer_n) return;
    if (echo == SIM_ECHO_BEYOND) sim_progress_beyond(progress);
    travel(p, BYTES, progress->answer, progress->answer_n);
}

static void send_bytes(sim_pipe *p, const uint8_t *bytes, size_t n)
{
    sim_wire    *wire    = p->wire;
    sim_scanner *scanner = &wire->scanner[!p->side];
    sim_net_hooks hooks  = p->sim->hooks;
    if (hooks.on_bytes) hooks.on_bytes(hooks.user, wire, !p->side, bytes, n);
    travel(p, BYTES, bytes, n);
    sim_wire_reached(wire, sim_scan(scanner, &wire->progress, p->side == SIM_SERVER, bytes, n));
    if (scanner->have) return; /* in the middle of a frame */
    if (p->side == SIM_SERVER && wire->echo) send_echo(p);
    if (wire->garbage[!p->side]) send_garbage(p);
}

static bool lend(sim_pipe *p)
{
    if (p->lent_n) return true;
    p->lent_count = p->handler->output(p->user, p->lent, PIECES_MAX);
    for (size_t i = 0; i < p->lent_count; i++) p->lent_n += p->lent[i].n;
    if (p->lent_n == 0) return false;
    p->copy  = malloc(p->lent_n);
    size_t n = 0;
    for (size_t i = 0; i < p->lent_count; n += p->lent[i++].n) memcpy(p->copy + n, p->lent[i].p, p->lent[i].n);
    return true;
}

/* Whether what was lent is still what it was, in the bytes that are about to be given back. */
static void compare_lent(sim_pipe *p)
{
    size_t from = 0;
    for (size_t i = 0; i < p->lent_count; from += p->lent[i++].n) {
        size_t a = p->returned > from ? p->returned - from : 0;
        size_t b = p->taken > from ? p->taken - from : 0;
        if (b > p->lent[i].n) b = p->lent[i].n;
        if (a < b && memcmp((const uint8_t *)p->lent[i].p + a, p->copy + from + a, b - a) != 0)
            sim_loop_break(p->sim, "lent output changed before it was given back");
    }
}

static void give_back(sim_pipe *p)
{
    size_t n = p->taken - p->returned;
    compare_lent(p);
    p->returned = p->taken;
    if (p->returned == p->lent_n) {
        free(p->copy);
        p->copy   = NULL;
        p->lent_n = p->taken = p->returned = 0;
    }
    p->handler->sent(p->user, n);
}

static void on_pace(void *user, rh_time now)
{
    sim_pipe *p = user;
    (void)now;
    if (p->dead) return;
    give_back(p);
    awaken(p);
}

/* A frame that has not come whole is in a buffer of the pipe's and takes no room of the window. */
static size_t unread(const sim_pipe *p)
{
    return p->up && !p->closing && !p->handler->wants_input(p->user) ? p->n : 0;
}

static size_t piece(sim_pipe *p)
{
    sim_wire *wire  = p->wire;
    sim_pipe *to    = wire->end[!p->side];
    size_t    n     = p->lent_n - p->taken;
    size_t    under = to && !wire->silent ? to->coming_n + unread(to) : 0;
    if (under >= wire->window) return 0;
    if (n > wire->window - under) n = wire->window - under;
    if (wire->piece_most && n > wire->piece_most) n = (size_t)sim_between(&wire->chance, 1, wire->piece_most);
    return n;
}

/* One piece; the next when this one has been given back. False: nothing to send, or no room for it. */
static bool push(sim_pipe *p)
{
    if (hangs(p) || p->taken > p->returned) return true;
    if (!lend(p)) return false;
    size_t n = piece(p);
    if (n == 0) return true;
    const uint8_t *bytes = p->copy + p->taken;
    sim_tell_bytes(p->sim->trace, bytes, n);
    send_bytes(p, bytes, n);
    p->taken += n;
    if (p->dead) return true;
    rh_timer_set(loop_of(p), &p->pace, p->sim->now + sim_between(&p->wire->chance, 0, p->wire->return_most));
    return true;
}

/* -- ending -------------------------------------------------------------------------------------- */

static void close_pipe(rh_pipe *pipe, bool flush)
{
    sim_pipe *p = of(pipe);
    if (p->closing && !p->flushing) return;
    if (flush && p->up && !p->closing) rh_timer_set(loop_of(p), &p->step, p->sim->now + FLUSH_TIME);
    p->closing  = true;
    p->flushing = flush && p->up;
    awaken(p);
}

static void on_step(void *user, rh_time now);

static void finish_close(sim_pipe *p)
{
    if (!p->flushing) {
        if (p->up) travel(p, RST, NULL, 0);
        down(p, RH_E_CANCELLED, "");
        return;
    }
    if (push(p)) return;
    if (!p->fin_sent) {
        travel(p, FIN, NULL, 0);
        p->fin_sent = true;
        if (p->step.at > p->sim->now + FIN_TIME) rh_timer_set(loop_of(p), &p->step, p->sim->now + FIN_TIME);
    }
    if (p->fin_came) down(p, RH_OK, "");
}

static void unlink_pipe(sim_pipe *p)
{
    for (sim_pipe **at = &p->sim->pipes; *at; at = &(*at)->next)
        if (*at == p) {
            *at = p->next;
            return;
        }
}

static void bury(sim_pipe *p)
{
    sim_wire *wire = p->wire;
    p->is_awake    = true; /* it shall not be put on the list any more */
    rh_timers_cancel(&p->sim->timers, &p->arrival);
    rh_timers_cancel(&p->sim->timers, &p->pace);
    rh_timers_cancel(&p->sim->timers, &p->step);
    rh_timers_cancel(&p->sim->timers, &p->deadline);
    forget_coming(p);
    unlink_pipe(p);
    wire->end[p->side] = NULL;
    if (wire->end[!p->side]) awaken(wire->end[!p->side]);
    sim_tell(p->sim->trace, p->sim->now, "wire %u %s down: %s %s", wire->id, p->side ? "server" : "client", rh_status_name(p->error.status),
             p->error.description);
    if (p->handler) p->handler->on_down(p->user, &p->pipe, &p->error);
    if (!wire->end[0] && !wire->end[1]) free(wire);
    free(p->copy);
    free(p->inbox);
    free(p);
}

void sim_pipe_step(sim_pipe *p)
{
    if (p->dead) {
        bury(p);
        return;
    }
    if (!p->up) {
        if (p->closing) down(p, RH_E_CANCELLED, "");
        return;
    }
    if (p->closing) {
        finish_close(p);
        return;
    }
    feed(p);
    if (p->dead || p->closing) {
        awaken(p);
        return;
    }
    if (p->fin_came && whole_frames(p) == 0) down(p, RH_E_CONNECTION_LOST, "sim: the peer closed the connection");
    else (void)push(p);
}

void sim_pipes_cut(sim_loop *sim)
{
    for (sim_pipe *p = sim->pipes; p; p = p->next) down(p, RH_E_CANCELLED, "");
    while (sim->pipes) bury(sim->pipes);
    sim->awake     = NULL;
    sim->awake_end = &sim->awake;
}

static void peer_address(const rh_pipe *pipe, char *text, size_t n)
{
    char whole[32];
    (void)snprintf(whole, sizeof whole, "198.51.100.1:%u", (unsigned)(10000 + of(pipe)->wire->id % 50000));
    if (n == 0) return;
    (void)strncpy(text, whole, n - 1);
    text[n - 1] = 0;
}

static void adopt(rh_pipe *pipe, const rh_pipe_handler *handler, void *user)
{
    of(pipe)->handler = handler;
    of(pipe)->user    = user;
}

static const rh_pipe_ops pipe_ops = { wake, close_pipe, peer_address, adopt };

static sim_pipe *make_pipe(sim_wire *wire, int side)
{
    sim_pipe *p    = calloc(1, sizeof *p);
    p->pipe.ops    = &pipe_ops;
    p->sim         = wire->sim;
    p->wire        = wire;
    p->side        = side;
    p->coming_end  = &p->coming;
    p->arrival     = (rh_timer){ .fn = on_arrival, .user = p };
    p->pace        = (rh_timer){ .fn = on_pace, .user = p };
    p->step        = (rh_timer){ .fn = on_step, .user = p };
    p->next        = wire->sim->pipes;
    p->sim->pipes  = p;
    wire->end[side] = p;
    return p;
}

/* -- faults -------------------------------------------------------------------------------------- */

void sim_wire_reset(sim_wire *wire)
{
    int       first = (int)sim_below(&wire->chance, 2);
    sim_pipe *p     = wire->end[first], *other = wire->end[!first];
    if (!p) p = other, other = NULL;
    if (!p || p->dead) return;
    if (other && !wire->silent) {
        forget_coming(other);
        travel(p, RST, NULL, 0);
    }
    down(p, RH_E_CONNECTION_LOST, "sim: reset");
}

static void on_unacknowledged(void *user, rh_time now)
{
    (void)now;
    down(user, RH_E_CONNECTION_LOST, "sim: nothing was acknowledged");
}

static void notice_silence(sim_pipe *server, rh_time time)
{
    server->deadline.fn   = on_unacknowledged;
    server->deadline.user = server;
    rh_timer_set(loop_of(server), &server->deadline, server->sim->now + time);
}

void sim_wire_silence(sim_wire *wire)
{
    sim_pipe *server = wire->end[SIM_SERVER];
    if (wire->silent) return;
    wire->silent = true;
    for (int end = 0; end < 2; end++)
        if (wire->end[end]) forget_coming(wire->end[end]);
    if (!server) return;
    notice_silence(server, UNACKNOWLEDGED_TIME);
}

void sim_wire_hang(sim_wire *wire)
{
    wire->hung = true;
}

/* What crawls along a thin line arrives as if the line had been a good one from now on. */
static void hurry(sim_pipe *to)
{
    sim_wire *wire = to->wire;
    wire->busy_until[to->side] = wire->last_at[to->side] = wire->sim->now;
    for (segment *s = to->coming; s; s = s->next) {
        rh_time at = wire->sim->now + wire->latency_most;
        if (s->at > at) s->at = at;
        wire->last_at[to->side] = s->at;
    }
}

void sim_wire_mend(sim_wire *wire)
{
    sim_pipe *server = wire->end[SIM_SERVER];
    /* The silence was noticed at the other end, too, and nobody's place is taken there by a ghost. */
    if ((wire->silent || wire->hung) && server) notice_silence(server, FIN_TIME);
    for (int end = 0; end < 2; end++) {
        wire->cut_at[end]        = UINT64_MAX;
        wire->garbage[end]       = false;
        wire->echo               = SIM_ECHO_NONE;
        wire->stalled_until[end] = 0;
        if (!wire->end[end]) continue;
        hurry(wire->end[end]);
        arm_arrival(wire->end[end]);
    }
}

void sim_wire_stall(sim_wire *wire, int end, rh_time until)
{
    if (until > wire->stalled_until[end]) wire->stalled_until[end] = until;
    if (wire->end[end]) arm_arrival(wire->end[end]);
}

void sim_wire_reached(sim_wire *wire, sim_phase phase)
{
    if (wire->phase == phase) return;
    wire->phase = wire->progress.phase = phase;
    wire->phases++;
    if (wire->sim->hooks.on_phase) wire->sim->hooks.on_phase(wire->sim->hooks.user, wire, phase);
}

/* -- dialing ------------------------------------------------------------------------------------- */

static void come_up(sim_pipe *p)
{
    p->up = true;
    p->handler->on_up(p->user, &p->pipe);
    awaken(p);
}

static void finish_dial(sim_pipe *p)
{
    sim_pipe *server = p->wire->end[SIM_SERVER];
    rh_timers_cancel(&p->sim->timers, &p->deadline);
    if (!server) {
        down(p, RH_E_CONNECTION_LOST, "sim: the peer went away");
        return;
    }
    come_up(server);
    come_up(p);
}

static void reach_server(sim_pipe *p)
{
    sim_listener *listener = p->sim->listeners;
    while (listener && listener->port != p->port) listener = listener->next;
    if (!listener) {
        down(p, RH_E_REFUSED, "sim: nobody listens");
        return;
    }
    sim_pipe *server = make_pipe(p->wire, SIM_SERVER);
    listener->accept(listener->user, &server->pipe);
    if (!server->handler) down(server, RH_E_CANCELLED, "");
    if (!p->wire->tls) {
        finish_dial(p);
        return;
    }
    p->reaching = SIM_TLS;
    sim_wire_reached(p->wire, SIM_TLS);
    rh_timer_set(loop_of(p), &p->step, p->sim->now + 4 * latency(p->wire));
}

/* Of a dial: the name is found and the peer has answered, or TLS is through. Of a pipe that flushes: its time is over. */
static void on_step(void *user, rh_time now)
{
    sim_pipe     *p     = user;
    sim_net_hooks hooks = p->sim->hooks;
    (void)now;
    if (p->dead) return;
    if (p->up) {
        down(p, p->fin_sent ? RH_OK : RH_E_TIMEOUT, "sim: the peer took no more");
        return;
    }
    rh_status status = hooks.on_step ? hooks.on_step(hooks.user, p->wire, p->reaching) : RH_OK;
    if (status == RH_AGAIN) return;
    if (status != RH_OK) {
        if (p->wire->end[SIM_SERVER]) down(p->wire->end[SIM_SERVER], RH_E_CONNECTION_LOST, "sim: the handshake failed");
        down(p, status, "sim: so it was decided");
    } else if (p->reaching == SIM_CONNECT) reach_server(p);
    else finish_dial(p);
}

static void on_deadline(void *user, rh_time now)
{
    (void)now;
    down(user, RH_E_TIMEOUT, "sim: no connection in time");
}

rh_status sim_dial(rh_loop *loop, const rh_dial_opts *opts, const rh_pipe_handler *handler, void *user, rh_pipe **out)
{
    sim_loop *sim  = (sim_loop *)(void *)loop;
    sim_wire *wire = calloc(1, sizeof *wire);
    *wire          = (sim_wire){
        .sim = sim, .id = sim->wires++, .chance = sim_chance_of_seed(sim->seed, 1000 + sim->wires), .tls = opts->tls != NULL, .phase = SIM_PHASES, .progress = { .phase = SIM_CONNECT },
        .latency_least = RH_MS(1), .latency_most = RH_MS(1), .window = 1u << 20,
        .cut_at = { UINT64_MAX, UINT64_MAX },
    };
    sim_pipe *p = make_pipe(wire, SIM_CLIENT);
    p->handler  = handler;
    p->user     = user;
    p->port     = opts->port;
    p->reaching = SIM_CONNECT;
    p->deadline = (rh_timer){ .fn = on_deadline, .user = p };
    rh_timer_set(loop, &p->deadline, opts->deadline ? opts->deadline : sim->now + DIAL_TIME);
    sim_tell(sim->trace, sim->now, "wire %u dials port %u%s", wire->id, (unsigned)opts->port, wire->tls ? " with TLS" : "");
    sim_wire_reached(wire, SIM_CONNECT);
    rh_time more = sim->hooks.on_dial ? sim->hooks.on_dial(sim->hooks.user, wire) : 0;
    rh_timer_set(loop, &p->step, sim->now + more + 2 * latency(wire));
    if (out) *out = &p->pipe;
    return RH_OK;
}

/* -- listening ----------------------------------------------------------------------------------- */

static uint16_t port_of(const rh_listener *listener)
{
    return ((const sim_listener *)(const void *)listener)->port;
}

static void close_listener(rh_listener *rh)
{
    sim_listener *listener = (sim_listener *)(void *)rh;
    if (!listener) return;
    for (sim_listener **at = &listener->sim->listeners; *at; at = &(*at)->next)
        if (*at == listener) {
            *at = listener->next;
            break;
        }
    free(listener);
}

static const rh_listener_ops listener_ops = { port_of, close_listener };

rh_status sim_listen(rh_loop *loop, const rh_listen_opts *opts, rh_accept_fn accept, void *user, rh_listener **out, rh_error *error)
{
    sim_loop     *sim      = (sim_loop *)(void *)loop;
    sim_listener *listener = calloc(1, sizeof *listener);
    (void)error;
    *listener = (sim_listener){
        .listener = { &listener_ops }, .next = sim->listeners, .sim = sim, .port = opts->port ? opts->port : (opts->tls ? 5671 : 5672),
        .accept = accept, .user = user,
    };
    sim->listeners = listener;
    *out           = &listener->listener;
    return RH_OK;
}
