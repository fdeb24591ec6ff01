#include "tests/sim/shape.h"

/* What every line and its windows carry: a world that cannot catch up in its calm proves nothing. */
#define RATE_LEAST 200000

/* A client has five links at most, $cbs and $management, and what is ending may be there beside what replaces it. */
#define SESSIONS_LEAST 12

/* Events of any size that every reader is given in a second. */
#define PACE_LEAST 100

/* What the service adds to an event, and what a frame spends on itself. */
#define ANNOTATIONS 4096
#define FRAME_SPENT 64

/* [event-hubs-wire] The wait that a busy service suggests. */
#define SUGGESTED RH_SECONDS(4)

/* [connection.c] A dial gives up after this, whatever else is allowed. */
#define CONNECT_MOST RH_SECONDS(30)

static uint32_t scale(sim_chance *c, uint32_t least, uint32_t most)
{
    return (uint32_t)sim_scale(c, least, most);
}

static rh_time longest(rh_time a, rh_time b)
{
    return a > b ? a : b;
}

/* Events that have to be under way for a reader's pace; the time that it takes them in is part of the way. */
static uint32_t pace_least(rh_time trip)
{
    return (uint32_t)(2 * PACE_LEAST * (trip + RH_MS(10)) / RH_SECONDS(1) + 1);
}

/* Frames that keep a line with frames of n bytes as fast as it has to be: small events have one each. */
static uint32_t window_least(rh_time trip, uint32_t n)
{
    return (uint32_t)(2 * RATE_LEAST * trip / RH_SECONDS(1) / (n - FRAME_SPENT)) + pace_least(trip);
}

static uint64_t rate_of(rh_time trip, uint64_t frames, uint32_t n)
{
    return frames * (n - FRAME_SPENT) * RH_SECONDS(1) / (trip + RH_US(1));
}

static uint32_t draw_frame(sim_chance *c)
{
    return sim_once_in(c, 2) ? 65536 : scale(c, 512, 65536);
}

static uint32_t draw_window(sim_chance *c, rh_time trip, uint32_t frame)
{
    uint32_t least = window_least(trip, frame);
    return sim_once_in(c, 2) || least > 4096 ? 0 : scale(c, least, 4096);
}

/* 0 stands for its default. */
static uint64_t slower(uint64_t rate, rh_time trip, uint32_t window, uint32_t frame)
{
    uint64_t own = rate_of(trip, window ? window : 2048, frame);
    return own < rate ? own : rate;
}

static void draw_service(sim_shape *s, sim_chance *c)
{
    s->service = (rh_emulator_limits){
        .max_frame_bytes  = draw_frame(c),
        .idle_time_out_ms = sim_once_in(c, 4) ? UINT32_MAX : scale(c, 1000, 240000),
        .credit           = sim_once_in(c, 2) ? 0 : scale(c, 1, 1000),
        .link_within_ms   = sim_once_in(c, 2) ? 0 : scale(c, 20000, 60000),
        .unlinked_ms      = sim_once_in(c, 2) ? 0 : scale(c, 10000, 300000),
        .sender_idle_ms   = sim_once_in(c, 2) ? 0 : scale(c, 5000, 600000),
        .reader_idle_ms   = sim_once_in(c, 2) ? 0 : scale(c, 5000, 600000),
        .throughput_units = sim_once_in(c, 8) ? scale(c, 1, 4) : 0,
        .max_message_bytes = sim_once_in(c, 4) ? scale(c, 70000, 1024 * 1024) : 0,
        .sessions         = sim_once_in(c, 4) ? scale(c, SESSIONS_LEAST, 64) : 0,
        .first_id         = sim_once_in(c, 2) ? 0 : UINT32_MAX - (uint32_t)sim_below(c, 1000),
    };
    s->service.window = draw_window(c, s->trip_most, s->service.max_frame_bytes);
}

static void draw_clients(sim_shape *s, sim_chance *c)
{
    s->step_by_step       = sim_once_in(c, 2);
    s->frame_bytes        = draw_frame(c);
    s->window             = draw_window(c, s->trip_most, s->frame_bytes);
    s->idle_ms            = sim_once_in(c, 40) ? 60000 : scale(c, 1000, 20000);
    s->operation_ms       = scale(c, 5000, 20000);
    s->spare_links        = sim_once_in(c, 2) ? 1 : scale(c, 1, 50);
    s->retry.delay_ms     = sim_once_in(c, 2) ? 0 : scale(c, 1, 2000);
    s->retry.max_delay_ms = scale(c, s->retry.delay_ms ? s->retry.delay_ms : 200, 30000);
    s->retry.tries        = sim_once_in(c, 12) ? scale(c, 2, 20) : 0;
    s->retry.off          = sim_once_in(c, 24);
    s->token_life         = sim_once_in(c, 2) ? 0 : sim_scale(c, RH_SECONDS(40), RH_SECONDS(600));
    s->skew_s             = sim_once_in(c, 2) ? 0 : (int32_t)sim_below(c, s->token_life / RH_SECONDS(4) + 1) - (int32_t)(s->token_life / RH_SECONDS(8));
}

static void draw_work(sim_shape *s, sim_chance *c)
{
    s->send_least     = sim_scale(c, RH_MS(500), RH_SECONDS(5));
    s->send_most      = sim_scale(c, s->send_least, RH_SECONDS(25));
    s->body_most      = scale(c, 64, sim_once_in(c, 4) ? 60000 : 2000);
    s->batch_bytes    = scale(c, 80000, 1024 * 1024);
    s->watched        = sim_once_in(c, 16);
    s->rash_every     = sim_once_in(c, 2) ? 0 : scale(c, 20, 2000);
    s->huge_every     = sim_once_in(c, 16) ? scale(c, 5, 100) : 0;
    s->event_bytes    = (s->huge_every ? s->batch_bytes : s->body_most) + ANNOTATIONS;
    s->prefetch_least = pace_least(s->trip_most);
    s->owned          = sim_once_in(c, 4);
}

void sim_shape_draw(sim_shape *s, sim_chance *c, rh_time trip_most, uint64_t rate, size_t tcp_window)
{
    *s            = (sim_shape){ .trip_most = trip_most };
    s->partitions = (uint32_t)sim_scale(c, 1, 8);
    s->tls        = sim_once_in(c, 2);
    draw_service(s, c);
    draw_clients(s, c);
    draw_work(s, c);
    s->bytes_per_second = slower(rate ? rate : UINT64_C(1000000000), trip_most, 1, (uint32_t)tcp_window);
    s->bytes_per_second = slower(s->bytes_per_second, trip_most, s->window, s->frame_bytes < s->service.max_frame_bytes ? s->frame_bytes : s->service.max_frame_bytes);
}

void sim_shape_small(sim_shape *s)
{
    if (s->body_most > 1000) s->body_most = 1000;
    s->batch_bytes      = 8192;
    s->huge_every       = 0;
    s->event_bytes      = s->body_most + ANNOTATIONS;
    s->service.sessions = 16;
}

rh_time sim_shape_bound(const sim_shape *s, uint64_t events_left, uint64_t bytes_left)
{
    rh_time cap     = longest(RH_MS(s->retry.max_delay_ms), SUGGESTED);
    rh_time connect = RH_MS(s->operation_ms) < CONNECT_MOST ? RH_MS(s->operation_ms) : CONNECT_MOST;
    rh_time try     = longest(RH_MS(s->operation_ms), s->send_most);
    rh_time reading = events_left * RH_SECONDS(1) / PACE_LEAST + bytes_left * RH_SECONDS(1) / s->bytes_per_second;
    return 2 * RH_MS(s->idle_ms) + cap + connect + try + reading;
}
