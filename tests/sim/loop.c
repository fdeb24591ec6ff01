#include "tests/sim/loop.h"

#include "tests/sim/wire.h"

#include <stdlib.h>

/* Where virtual time begins, on the wall: 2026-01-01T00:00:00Z, and since the machine started. */
#define WALL_MS INT64_C(1767225600000)
#define ORIGIN  RH_SECONDS(1000)

const char *const sim_phase_name[SIM_PHASES] = { "connect", "tls", "sasl", "open", "cbs", "attach", "steady", "drain", "close" };

static sim_loop *of(const rh_loop *loop)
{
    return (sim_loop *)(void *)(uintptr_t)loop;
}

void sim_loop_break(sim_loop *sim, const char *promise)
{
    if (!sim->broken) sim->broken = promise;
    sim_tell(sim->trace, sim->now, "BROKEN: %s", promise);
}

/* -- memory, time, chance ------------------------------------------------------------------------ */

static void *take(void *user, size_t n)
{
    sim_loop *sim = user;
    sim->allocations++;
    sim->allocated += n;
    return malloc(n);
}

static void give(void *user, void *p, size_t n)
{
    sim_loop *sim = user;
    sim->allocations--;
    sim->allocated -= n;
    free(p);
}

static rh_time tell_now(rh_loop *loop)
{
    return of(loop)->now;
}

static int64_t tell_wall(rh_loop *loop)
{
    return WALL_MS + (int64_t)((of(loop)->now - ORIGIN) / 1000000);
}

static void fill_random(rh_loop *loop, void *bytes, size_t n)
{
    uint8_t *p = bytes;
    for (size_t i = 0; i < n; i++) p[i] = (uint8_t)sim_draw(&of(loop)->random);
}

static void timer_set(rh_loop *loop, rh_timer *timer, rh_time at)
{
    rh_timers_set(&of(loop)->timers, timer, at);
}

static void timer_cancel(rh_loop *loop, rh_timer *timer)
{
    rh_timers_cancel(&of(loop)->timers, timer);
}

/* -- turning ------------------------------------------------------------------------------------- */

static bool work(sim_loop *sim)
{
    bool busy = rh_timers_fire(&sim->timers, sim->now) > 0;
    /* Those that wake meanwhile come with the next turn: nobody can hold a turn for ever. */
    sim_pipe *list = sim->awake;
    sim->awake     = NULL;
    sim->awake_end = &sim->awake;
    while (list) {
        sim_pipe *pipe = list;
        list           = sim_pipe_taken(pipe);
        sim_pipe_step(pipe);
        busy = true;
    }
    return busy;
}

static rh_status turn(rh_loop *loop, rh_time until)
{
    sim_loop *sim = of(loop);
    if (sim->in_turn) return RH_E_REENTRANT;
    sim->in_turn = true;
    bool busy    = work(sim);
    sim->in_turn = false;
    if (busy || sim->awake) return RH_OK;

    rh_time next = rh_timers_next(&sim->timers);
    if (until < next) next = until;
    if (next == RH_TIME_NEVER) return RH_E_SYSTEM; /* nothing will ever happen again */
    if (next > sim->now) sim->now = next;
    return RH_OK;
}

static rh_status run(rh_loop *loop, rh_time until)
{
    sim_loop *sim    = of(loop);
    rh_status status = RH_OK;
    sim->stopped     = false;
    do status = turn(loop, until);
    while (status == RH_OK && !sim->stopped && sim->now < until);
    return status;
}

static void stop(rh_loop *loop)
{
    of(loop)->stopped = true;
}

static rh_status destroy(rh_loop *loop)
{
    sim_loop_fini(of(loop));
    return RH_OK;
}

static bool in_callback(const rh_loop *loop)
{
    return of(loop)->in_turn;
}

static const rh_log *tell_log(const rh_loop *loop)
{
    return &of(loop)->log;
}

static const rh_allocator *tell_allocator(const rh_loop *loop)
{
    return &of(loop)->allocator;
}

static const char *tell_name(const rh_loop *loop)
{
    (void)loop;
    return "simulated";
}

static int no_fd(rh_loop *loop)
{
    (void)loop;
    return -1;
}

/* One thread: what is posted is called at once by the next turn, through a timer that owns itself. */
struct posted {
    rh_timer timer;
    void   (*fn)(void *user);
    void    *user;
};

static void call_posted(void *user, rh_time now)
{
    struct posted posted = *(struct posted *)user;
    (void)now;
    free(user);
    posted.fn(posted.user);
}

static rh_status post(rh_loop *loop, void (*fn)(void *user), void *user)
{
    struct posted *posted = calloc(1, sizeof *posted);
    if (!posted) return RH_AGAIN;
    *posted = (struct posted){ .timer = { .fn = call_posted, .user = posted }, .fn = fn, .user = user };
    timer_set(loop, &posted->timer, of(loop)->now);
    return RH_OK;
}

static void no_stats(const rh_loop *loop, rh_loop_stats *stats)
{
    (void)loop;
    memset(stats, 0, sizeof *stats);
}

/* Never the same piece twice in a row, and poisoned when it comes back: what still points into it is seen. */
static void *borrow(rh_loop *loop, size_t n)
{
    const rh_allocator *allocator = &of(loop)->allocator;
    return allocator->alloc(allocator->user, n);
}

static void give_back(rh_loop *loop, void *p, size_t n)
{
    const rh_allocator *allocator = &of(loop)->allocator;
    if (!p) return;
    memset(p, 0x5a, n);
    allocator->free(allocator->user, p, n);
}

static const rh_loop_ops ops = {
    .destroy      = destroy,
    .run          = run,
    .turn         = turn,
    .stop         = stop,
    .fd           = no_fd,
    .post         = post,
    .now          = tell_now,
    .wall_ms      = tell_wall,
    .random       = fill_random,
    .in_callback  = in_callback,
    .log          = tell_log,
    .allocator    = tell_allocator,
    .backend_name = tell_name,
    .stats_read   = no_stats,
    .timer_set    = timer_set,
    .timer_cancel = timer_cancel,
    .borrow       = borrow,
    .give_back    = give_back,
    .dial         = sim_dial,
    .listen       = sim_listen,
};

void sim_loop_init(sim_loop *sim, uint64_t seed, sim_trace *trace)
{
    memset(sim, 0, sizeof *sim);
    sim->loop.ops  = &ops;
    sim->now       = ORIGIN;
    sim->seed      = seed;
    sim->trace     = trace;
    sim->awake_end = &sim->awake;
    sim->random    = sim_chance_of_seed(seed, 1);
    sim->allocator = (rh_allocator){ take, give, sim };
    trace->origin  = ORIGIN;
}

sim_chance sim_loop_chance(const sim_loop *sim, uint64_t stream)
{
    sim_chance chance = sim_chance_of_seed(sim->seed, stream);
    chance.input      = sim->input;
    return chance;
}

void sim_loop_fini(sim_loop *sim)
{
    sim->in_turn = true;
    sim_pipes_cut(sim);
    sim->in_turn = false;
    memset(&sim->timers, 0, sizeof sim->timers);
}

void sim_loop_suspend(sim_loop *sim, rh_time time)
{
    sim->now += time;
    sim->woke = sim->now;
    sim->slept += time;
}
