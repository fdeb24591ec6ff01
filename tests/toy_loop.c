#include "tests/toy_loop.h"

#include <stdlib.h>

/* Where virtual time begins on the wall: 2026-01-01T00:00:00Z. */
#define WALL_MS INT64_C(1767225600000)

/* Bytes on their way over the distance: [.., end) of the inbox is there at a time. */
typedef struct arrival {
    struct arrival *next;
    rh_time         at;
    size_t          n;
} arrival;

struct toy_pipe {
    rh_pipe                pipe; /* first */
    toy_loop              *toy;
    toy_pipe              *next, *peer;
    const rh_pipe_handler *handler;
    void                  *user;
    bool                   dialer, up, dead, closing, flushing, hung_up;
    bool                   wake, held; /* held: wanted no input when last asked */
    size_t                 lent;
    uint8_t               *inbox;
    size_t                 n, room; /* n have arrived, behind them lie those of the arrivals */
    size_t                 coming;
    arrival               *arrivals;
    rh_time                deadline, connected;
    rh_error               error;
};

static toy_loop *of(const rh_loop *loop)
{
    return (toy_loop *)(void *)(uintptr_t)loop;
}

/* -- memory, time, chance ------------------------------------------------------------------------ */

static void *toy_alloc(void *user, size_t n)
{
    toy_loop *toy = user;
    if (toy->fail_from && n >= toy->fail_from) return NULL;
    if (toy->fail_allocation && --toy->fail_allocation == 0) return NULL;
    toy->allocations++;
    toy->bytes_allocated += n;
    void *p = malloc(n);
    memset(p, 0xa5, n);
    return p;
}

static void toy_free(void *user, void *p, size_t n)
{
    toy_loop *toy = user;
    toy->allocations--;
    toy->bytes_allocated -= n;
    memset(p, 0x5a, n);
    free(p);
}

/* One block is kept, as long as there is a loop. */
static void *toy_borrow(rh_loop *loop, size_t n)
{
    toy_loop *toy = of(loop);
    if (toy->no_room) return NULL;
    void     *p   = toy->block && toy->block_n == n ? toy->block : NULL;
    if (p) toy->block = NULL;
    return p ? p : toy_alloc(toy, n);
}

static void toy_give_back(rh_loop *loop, void *p, size_t n)
{
    toy_loop *toy = of(loop);
    memset(p, 0x5a, n);
    if (toy->block) {
        toy_free(toy, p, n);
        return;
    }
    toy->block   = p;
    toy->block_n = n;
}

static rh_time toy_now(rh_loop *loop)
{
    return of(loop)->now;
}

static int64_t toy_wall(rh_loop *loop)
{
    return WALL_MS + (int64_t)(of(loop)->now / 1000000);
}

static void toy_random(rh_loop *loop, void *bytes, size_t n)
{
    uint8_t *p = bytes;
    for (size_t i = 0; i < n; i++) {
        of(loop)->random = of(loop)->random * 6364136223846793005u + 1442695040888963407u;
        p[i]             = (uint8_t)(of(loop)->random >> 56);
    }
}

static void toy_timer_cancel(rh_loop *loop, rh_timer *timer)
{
    for (rh_timer **at = &of(loop)->timers; *at; at = &(*at)->next)
        if (*at == timer) {
            *at = timer->next;
            break;
        }
    timer->is_set = false;
}

static void toy_timer_set(rh_loop *loop, rh_timer *timer, rh_time when)
{
    toy_timer_cancel(loop, timer);
    if (when == RH_TIME_NEVER) return;
    timer->at     = when;
    timer->is_set = true;
    timer->order  = of(loop)->order++;
    rh_timer **at = &of(loop)->timers;
    while (*at && (*at)->at <= when) at = &(*at)->next;
    timer->next = *at;
    *at         = timer;
}

/* -- pipes --------------------------------------------------------------------------------------- */

static toy_pipe *pipe_of(const rh_pipe *pipe)
{
    return (toy_pipe *)(void *)(uintptr_t)pipe;
}

static void toy_wake(rh_pipe *pipe)
{
    pipe_of(pipe)->wake = true;
}

static void down(toy_pipe *p, rh_status status, const char *words)
{
    if (p->dead) return;
    p->dead = true;
    rh_error_set(&p->error, status, NULL, words);
}

static void toy_close(rh_pipe *pipe, bool flush)
{
    toy_pipe *p = pipe_of(pipe);
    p->closing  = true;
    p->flushing = flush && p->up;
    p->wake     = true;
}

static void toy_peer(const rh_pipe *pipe, char *text, size_t n)
{
    (void)pipe;
    if (n) text[0] = 0;
}

static void toy_adopt(rh_pipe *pipe, const rh_pipe_handler *handler, void *user)
{
    pipe_of(pipe)->handler = handler;
    pipe_of(pipe)->user    = user;
}

static const rh_pipe_ops pipe_ops = { toy_wake, toy_close, toy_peer, toy_adopt };

static toy_pipe *pipe_make(toy_loop *toy)
{
    toy_pipe *p = calloc(1, sizeof *p);
    p->pipe.ops = &pipe_ops;
    p->toy      = toy;
    p->next     = toy->pipes;
    p->deadline = RH_TIME_NEVER;
    toy->pipes  = p;
    return p;
}

static rh_status toy_dial(rh_loop *loop, const rh_dial_opts *opts, const rh_pipe_handler *handler, void *user, rh_pipe **out)
{
    toy_loop *toy = of(loop);
    toy_pipe *p   = pipe_make(toy);
    p->dialer     = true;
    p->handler    = handler;
    p->user       = user;
    p->deadline   = opts->deadline;
    p->connected  = toy->now + 2 * toy->distance;
    toy->dials++;
    if (out) *out = &p->pipe;
    return RH_OK;
}

/* The other end is made when the loop turns, as a server would see it. */
static void connect_pipe(toy_pipe *p)
{
    toy_loop *toy = p->toy;
    if (toy->dial_status) {
        down(p, toy->dial_status, "toy:5671: so it was told");
        return;
    }
    p->peer       = pipe_make(toy);
    p->peer->peer = p;
    toy->accept(toy->accept_user, &p->peer->pipe);
    p->up = p->peer->up = true;
    p->wake = p->peer->wake = true;
    p->peer->handler->on_up(p->peer->user, &p->peer->pipe);
    p->handler->on_up(p->user, &p->pipe);
}

static void send_far(toy_pipe *to, size_t n)
{
    arrival **last = &to->arrivals;
    while (*last) last = &(*last)->next;
    *last  = malloc(sizeof **last);
    **last = (arrival){ NULL, to->toy->now + to->toy->distance, n };
    to->coming += n;
}

static void drop_arrival(toy_pipe *p)
{
    arrival *first = p->arrivals;
    p->arrivals    = first->next;
    p->coming -= first->n;
    free(first);
}

static void arrive(toy_pipe *p)
{
    while (p->arrivals && p->arrivals->at <= p->toy->now) {
        p->n += p->arrivals->n;
        drop_arrival(p);
    }
}

static void append(toy_pipe *to, const void *bytes, size_t n)
{
    toy_loop *toy = to->toy;
    if (to->dead || (to->dialer && toy->silent)) return;
    if (to->dialer && toy->bytes_in + n > toy->cut_after) n = toy->cut_after - toy->bytes_in;
    size_t end = to->n + to->coming;
    if (to->room - end < n) {
        to->room  = (end + n) * 2;
        to->inbox = realloc(to->inbox, to->room);
    }
    if (n) memcpy(to->inbox + end, bytes, n);
    if (to->dialer && toy->corrupt_at > toy->bytes_in && toy->corrupt_at <= toy->bytes_in + n)
        to->inbox[end + toy->corrupt_at - toy->bytes_in - 1] ^= toy->corrupt_by;
    if (toy->distance) send_far(to, n);
    else to->n += n;
    if (to->dialer) toy->bytes_in += n;
}

/* Who was not woken is not asked, as by the loop with a kernel: a wake forgotten is a stall. */
static bool send_output(toy_pipe *p, bool woken)
{
    rh_iov iov[16];
    if (p->lent) {
        size_t lent = p->lent;
        p->lent     = 0;
        p->wake     = true;
        p->handler->sent(p->user, lent);
        return true;
    }
    if (!woken) return false;
    size_t count = p->handler->output(p->user, iov, 16);
    for (size_t i = 0; i < count; i++) {
        if (p->peer) append(p->peer, iov[i].p, iov[i].n);
        p->lent += iov[i].n;
    }
    return p->lent > 0;
}

static bool feed_input(toy_pipe *p, bool woken)
{
    size_t whole = 0, size;
    arrive(p);
    if (p->closing || p->n == 0 || (p->held && !woken)) return false;
    p->held = !p->handler->wants_input(p->user);
    if (p->held) return false;
    while (whole < p->n && (size = p->handler->frame_size(p->user, p->inbox + whole, p->n - whole)) != 0 && size <= p->n - whole) whole += size;
    if (whole == 0) return false;
    /* Handed over in a block of its own, so that a slice kept too long is noticed. */
    uint8_t *bytes = malloc(whole);
    memcpy(bytes, p->inbox, whole);
    size_t used = p->handler->input(p->user, &p->pipe, bytes, whole);
    free(bytes);
    memmove(p->inbox, p->inbox + used, p->n + p->coming - used);
    p->n -= used;
    p->held = used < whole;
    return used > 0;
}

static bool finish_close(toy_pipe *p)
{
    if (!p->closing) return false;
    if (p->flushing && send_output(p, true)) return true;
    down(p, p->flushing ? RH_OK : RH_E_CANCELLED, "");
    return true;
}

/* The accepting side has still to hear of the end of a pipe: it serves one at a time. */
static bool is_ending(const toy_loop *toy)
{
    for (const toy_pipe *p = toy->pipes; p; p = p->next)
        if (!p->dialer && (p->hung_up || p->dead)) return true;
    return false;
}

static bool step_pipe(toy_pipe *p)
{
    toy_loop *toy = p->toy;
    if (p->dead) return false;
    if (!p->up && p->closing) return finish_close(p);
    if (!p->up && p->dialer) {
        if (toy->now >= p->deadline) down(p, RH_E_TIMEOUT, "toy:5671: no connection in time");
        else if (!toy->dial_hangs && toy->now >= p->connected && !is_ending(toy)) connect_pipe(p);
        return p->up || p->dead;
    }
    if (finish_close(p)) return true;
    bool woken = p->wake;
    p->wake    = false;
    bool busy  = feed_input(p, woken);
    if (p->hung_up && !busy) down(p, RH_E_CONNECTION_LOST, "the peer closed the connection");
    if (p->dead) return true;
    if (p->dialer && toy->bytes_in >= toy->cut_after) {
        down(p, RH_E_CONNECTION_LOST, "reset by the toy");
        return true;
    }
    woken   = woken || p->wake;
    p->wake = false;
    return send_output(p, woken) || busy || p->wake;
}

/* Tells on_down of the dead and frees them; their peers learn it in the next round. */
static bool bury(toy_loop *toy)
{
    for (toy_pipe **at = &toy->pipes; *at; at = &(*at)->next) {
        toy_pipe *p = *at;
        if (!p->dead) continue;
        *at = p->next;
        if (p->peer) {
            p->peer->peer    = NULL;
            p->peer->hung_up = !(p->peer->dialer && toy->silent); /* what is in its inbox is read first */
        }
        if (p->handler) p->handler->on_down(p->user, &p->pipe, &p->error);
        while (p->arrivals) drop_arrival(p);
        free(p->inbox);
        free(p);
        return true;
    }
    return false;
}

/* -- turning ------------------------------------------------------------------------------------- */

/* All that are due; those set meanwhile come with the next turn. */
static bool fire(toy_loop *toy)
{
    uint64_t limit = toy->order;
    bool     any   = false;
    for (rh_timer *timer; (timer = toy->timers) && timer->at <= toy->now && timer->order < limit; any = true) {
        toy->timers   = timer->next;
        timer->is_set = false;
        timer->fn(timer->user, toy->now);
    }
    return any;
}

static bool work(toy_loop *toy)
{
    bool busy = fire(toy);
    for (toy_pipe *p = toy->pipes; p; p = p->next) busy |= step_pipe(p);
    while (bury(toy)) busy = true;
    return busy;
}

static rh_status toy_turn(rh_loop *loop, rh_time until)
{
    toy_loop *toy = of(loop);
    if (toy->in_turn) return RH_E_REENTRANT;
    toy->in_turn = true;
    toy->turns++;
    bool busy    = work(toy);
    toy->in_turn = false;
    if (busy) return RH_OK;

    rh_time next = toy->timers ? toy->timers->at : RH_TIME_NEVER;
    for (toy_pipe *p = toy->pipes; p; p = p->next) {
        if (!p->up && p->deadline < next) next = p->deadline;
        if (!p->up && p->dialer && !toy->dial_hangs && p->connected < next) next = p->connected;
        if (p->arrivals && p->arrivals->at < next) next = p->arrivals->at;
    }
    if (until < next) next = until;
    if (next == RH_TIME_NEVER) return RH_E_SYSTEM; /* nothing will ever happen again */
    if (next > toy->now) toy->now = next;
    return RH_OK;
}

static rh_status toy_run(rh_loop *loop, rh_time until)
{
    toy_loop *toy    = of(loop);
    rh_status status = RH_OK;
    toy->stopped     = false;
    do status = toy_turn(loop, until);
    while (status == RH_OK && !toy->stopped && toy->now < until);
    return status;
}

static void toy_stop(rh_loop *loop)
{
    of(loop)->stopped = true;
}

static rh_status toy_destroy(rh_loop *loop)
{
    toy_loop_fini(of(loop));
    return RH_OK;
}

static bool toy_in_callback(const rh_loop *loop)
{
    return of(loop)->in_turn;
}

static const rh_log *toy_log(const rh_loop *loop)
{
    return &of(loop)->log;
}

static const rh_allocator *toy_allocator(const rh_loop *loop)
{
    return &of(loop)->allocator;
}

static const char *toy_name(const rh_loop *loop)
{
    (void)loop;
    return "toy";
}

static uint16_t toy_port(const rh_listener *listener)
{
    (void)listener;
    return 5672;
}

static void toy_listener_close(rh_listener *listener)
{
    (void)listener;
}

static const rh_listener_ops listener_ops = { toy_port, toy_listener_close };

/* There is one listener, and every dial reaches it. */
static rh_status toy_listen(rh_loop *loop, const rh_listen_opts *opts, rh_accept_fn accept, void *user, rh_listener **out, rh_error *error)
{
    static rh_listener listener = { &listener_ops };
    (void)opts, (void)error;
    of(loop)->accept      = accept;
    of(loop)->accept_user = user;
    *out                  = &listener;
    return RH_OK;
}

static const rh_loop_ops loop_ops = {
    .destroy      = toy_destroy,
    .run          = toy_run,
    .turn         = toy_turn,
    .stop         = toy_stop,
    .now          = toy_now,
    .wall_ms      = toy_wall,
    .random       = toy_random,
    .in_callback  = toy_in_callback,
    .log          = toy_log,
    .allocator    = toy_allocator,
    .backend_name = toy_name,
    .timer_set    = toy_timer_set,
    .timer_cancel = toy_timer_cancel,
    .borrow       = toy_borrow,
    .give_back    = toy_give_back,
    .dial         = toy_dial,
    .listen       = toy_listen,
};

void toy_loop_init(toy_loop *toy)
{
    memset(toy, 0, sizeof *toy);
    toy->loop.ops  = &loop_ops;
    toy->now       = RH_SECONDS(1000);
    toy->random    = 42;
    toy->cut_after = SIZE_MAX;
    toy->allocator = (rh_allocator){ toy_alloc, toy_free, toy };
}

void toy_loop_break(toy_loop *toy)
{
    for (toy_pipe *p = toy->pipes; p; p = p->next) down(p, RH_E_CONNECTION_LOST, "reset by the toy");
}

void toy_loop_fini(toy_loop *toy)
{
    toy->in_turn = true;
    for (toy_pipe *p = toy->pipes; p; p = p->next) down(p, RH_E_CANCELLED, "");
    while (bury(toy)) continue;
    toy->in_turn = false;
    toy->timers  = NULL;
    if (toy->block) toy_free(toy, toy->block, toy->block_n);
    toy->block = NULL;
}

bool toy_loop_until(toy_loop *toy, const bool *done, unsigned seconds)
{
    rh_time until = toy->now + RH_SECONDS(seconds);
    while (!*done && toy->now < until)
        if (toy_turn(&toy->loop, until) != RH_OK) break;
    return *done;
}

void toy_loop_pass(toy_loop *toy, unsigned seconds)
{
    bool never = false;
    (void)toy_loop_until(toy, &never, seconds);
}
