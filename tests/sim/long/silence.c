/* A peer that falls silent, and a machine that sleeps: noticed once, in time, and mended once. */

#include "tests/sim/long/stand.h"

#include "eventhub/connection.h"


static struct {
    sim_stand    stand;
    sim_party    party;
    rh_producer *producer;
    rh_consumer *consumer;
    uint64_t     recovering, reading, ends, ticks;
    rh_status    outcome;
    rh_timer     tick;
    rh_time      dialed_at;
} t;

static void on_sent(void *user, rh_producer *producer, const rh_sent *sent)
{
    (void)user, (void)producer;
    t.ends++;
    t.outcome = sent->status;
}

static void on_state(void *user, rh_consumer *consumer, rh_consumer_state state, const rh_error *error)
{
    (void)user, (void)consumer, (void)error;
    t.recovering += state == RH_CONSUMER_RECOVERING;
    t.reading += state == RH_CONSUMER_OPEN;
}

static void on_tick(void *user, rh_time now)
{
    (void)user, (void)now;
    t.ticks++;
}

static void on_frame(void *user, const sim_frame *frame)
{
    (void)user;
    if (frame->code == SIM_PERF_OPEN && frame->end == SIM_SERVER) t.dialed_at = sim_now(&t.stand);
}

static void open_all(uint32_t ours_ms, uint32_t theirs_ms)
{
    memset(&t, 0, sizeof t);
    t.stand.on_frame = on_frame;
    sim_stand_open(&t.stand, RH_EMULATOR_OPTS(.hubs = SIM_HUB(2), .limits = { .idle_time_out_ms = theirs_ms }));
    sim_party_make(&t.party, &t.stand, RH_CLIENT_OPTS(.idle_time_out_ms = ours_ms));
    if (rh_producer_open(t.party.client, RH_PRODUCER_OPTS(.partition = "0", .handler = { .on_sent = on_sent }), &t.producer) != RH_OK) sim_wrong(&t.stand, "no producer");
    if (rh_consumer_open(t.party.client, RH_CONSUMER_OPTS(.partition = "1", .handler = { .on_state = on_state }), &t.consumer) != RH_OK) sim_wrong(&t.stand, "no consumer");
    sim_pass(&t.stand, RH_SECONDS(20));
}

static void close_all(void)
{
    rh_producer_destroy(t.producer);
    rh_consumer_destroy(t.consumer);
    sim_party_close(&t.party);
    sim_stand_close(&t.stand);
}

static rh_status send_one(rh_time patience)
{
    rh_event_data event = { .body = rh_str("is anybody there") };
    return rh_producer_send_event(t.producer, &event, rh_time_after(sim_now(&t.stand), patience), NULL);
}

/* Once, with one event, and nothing of the dead one is waited for. */
static void judge_loss(const char *what)
{
    const sim_party *p = &t.party;
    if (p->losses != 1 || p->opens != 2 || p->closes) sim_wrong(&t.stand, "%s: %llu losses, %llu connections", what, (unsigned long long)p->losses, (unsigned long long)p->opens);
    if (t.recovering != 1 || t.reading != 2) sim_wrong(&t.stand, "%s: the consumer was told %llu times that it was lost, %llu that it is open", what, (unsigned long long)t.recovering, (unsigned long long)t.reading);
    if (p->records[RH_LOG_WARNING] != 1 || p->records[RH_LOG_ERROR]) sim_wrong(&t.stand, "%s: %llu warnings, the last %s", what, (unsigned long long)p->records[RH_LOG_WARNING], p->record);
    if (t.stand.loop.wires != 2) sim_wrong(&t.stand, "%s: %u connections were dialed", what, t.stand.loop.wires);
    if (t.dialed_at - p->lost_at > RH_MS(250)) sim_wrong(&t.stand, "%s: the next open left %.3f s after the loss", what, (double)(t.dialed_at - p->lost_at) / 1e9);
}

static bool silent_peer(uint32_t ours_ms, bool sending, rh_time *latest)
{
    open_all(ours_ms, 240000);
    rh_time begin = sim_now(&t.stand);
    sim_wire_silence(sim_only_wire(&t.stand));
    if (sending && send_one(RH_SECONDS(3600)) != RH_OK) sim_wrong(&t.stand, "a send was refused");
    sim_pass(&t.stand, RH_MS(ours_ms) * 2 + RH_SECONDS(60));
    judge_loss("silence");
    rh_time took = t.party.lost_at - begin;
    if (t.party.loss.status != RH_E_PEER_SILENT) sim_wrong(&t.stand, "it was lost for %s", rh_status_name(t.party.loss.status));
    if (took > 2 * RH_MS(ours_ms)) sim_wrong(&t.stand, "a silent peer was dead after %.3f s, the time-out is %.3f", (double)took / 1e9, ours_ms / 1e3);
    if (sending && (t.ends != 1 || t.outcome != RH_OK)) sim_wrong(&t.stand, "the send under way ended %llu times, as %s", (unsigned long long)t.ends, rh_status_name(t.outcome));
    if (took * 1000 / RH_MS(ours_ms) > *latest) *latest = took * 1000 / RH_MS(ours_ms);
    close_all();
    return !sim_is_wrong(&t.stand);
}

/* The other end's view: a client that falls silent holds nothing for longer than it may. */
static bool silent_client(uint32_t theirs_ms)
{
    open_all(600000, theirs_ms);
    rh_time begin = sim_now(&t.stand), most = 2 * RH_MS(theirs_ms);
    sim_wire_silence(sim_only_wire(&t.stand));
    while (sim_stats(&t.stand).connections_open && sim_now(&t.stand) < begin + most) sim_pass_until(&t.stand, begin + most);
    sim_pass(&t.stand, t.stand.latency);
    if (sim_stats(&t.stand).connections_open) sim_wrong(&t.stand, "the namespace keeps a client that was silent for %.3f s, its time-out is %.3f", (double)most / 1e9, theirs_ms / 1e3);
    t.stand.forgiven = 1;
    close_all();
    return !sim_is_wrong(&t.stand);
}

bool sim_run_silence(void)
{
    static const uint32_t seconds[] = { 1, 2, 5, 10, 20, 60, 120, 240, 600 };
    rh_time  latest = 0;
    unsigned runs = 0;
    bool     right = true;
    for (size_t i = 0; i < sizeof seconds / sizeof *seconds && right; i++)
        for (int sending = 0; sending < 2 && right; sending++, runs++) right = silent_peer(seconds[i] * 1000, sending, &latest);
    for (size_t i = 0; i < 5 && right; i++) right = silent_client(seconds[i] * 1000);
    return sim_report(&t.stand, "silence", "%u silent peers, time-outs of 1 to 600 s: each lost once, told once, dialed anew within 250 ms, dead at the latest after %llu/1000 of our time-out; five silent clients: let go within twice theirs", runs, (unsigned long long)latest);
}

/* -- suspend ------------------------------------------------------------------------------------- */

#define NIGHT (8 * RH_SECONDS(3600))

typedef enum scene { RESTING, SENDING, REMOTE_GONE, REMOTE_CLOSED, RENEWING, SCENES } scene;

static uint64_t turns_until(rh_time until)
{
    uint64_t turns = 0;
    for (; t.stand.loop.now < until && !sim_is_wrong(&t.stand); turns++)
        if (rh_loop_turn(&t.stand.loop.loop, until) != RH_OK) break;
    return turns;
}

/* It would come while the machine sleeps, before anything else is due. */
static rh_time next_renewal(void)
{
    rh_time next = RH_TIME_NEVER;
    for (const rh_grant *grant = t.party.client->grants; grant; grant = grant->next)
        if (grant->timer.at < next) next = grant->timer.at;
    return next;
}

static bool sleep_well(scene what, uint32_t ours_ms, uint64_t *turns)
{
    open_all(ours_ms, 240000);
    if (what == RENEWING) sim_pass_until(&t.stand, next_renewal() - RH_SECONDS(1));
    sim_wire *wire = sim_only_wire(&t.stand);
    uint64_t  tokens = sim_stats(&t.stand).tokens;
    t.tick = (rh_timer){ .fn = on_tick };
    rh_timer_set(&t.stand.loop.loop, &t.tick, sim_now(&t.stand) + RH_SECONDS(60));
    if (what == SENDING && send_one(RH_SECONDS(30)) != RH_OK) sim_wrong(&t.stand, "a send was refused");
    if (what == SENDING) sim_pass(&t.stand, RH_US(500)); /* it is under way */
    if (what == REMOTE_GONE) sim_wire_silence(wire);
    if (what == REMOTE_CLOSED) {
        rh_emu_connection *connection = sim_connection_of(&t.stand, wire);
        (void)rh_engine_close(connection->engine, "amqp:connection:forced", "The client was silent for too long.");
        rh_emu_connection_wake(connection);
    }
    t.stand.forgiven = 1;
    sim_loop_suspend(&t.stand.loop, NIGHT);
    uint64_t woken = turns_until(sim_now(&t.stand) + RH_SECONDS(5));
    judge_loss("suspend");
    if (t.ticks != 1) sim_wrong(&t.stand, "a timer fired %llu times", (unsigned long long)t.ticks);
    if (sim_stats(&t.stand).tokens - tokens != 2) sim_wrong(&t.stand, "%llu tokens were put for two audiences", (unsigned long long)(sim_stats(&t.stand).tokens - tokens));
    if (what == SENDING && t.ends != 1) sim_wrong(&t.stand, "the send under way ended %llu times", (unsigned long long)t.ends);
    if (woken > 200) sim_wrong(&t.stand, "%llu turns of the loop in the first 5 s awake", (unsigned long long)woken);
    if (woken > *turns) *turns = woken;
    if (send_one(RH_SECONDS(5)) != RH_OK) sim_wrong(&t.stand, "a send was refused after the night");
    sim_pass(&t.stand, RH_SECONDS(1));
    if (t.outcome != RH_OK) sim_wrong(&t.stand, "the send after the night ended as %s", rh_status_name(t.outcome));
    close_all();
    return !sim_is_wrong(&t.stand);
}

bool sim_run_suspend(void)
{
    static const uint32_t seconds[] = { 1, 20, 60, 240 };
    uint64_t turns = 0;
    unsigned runs = 0;
    bool     right = true;
    for (size_t i = 0; i < sizeof seconds / sizeof *seconds && right; i++)
        for (int s = 0; s < SCENES && right; s++, runs++) right = sleep_well((scene)s, seconds[i] * 1000, &turns);
    return sim_report(&t.stand, "suspend", "%u nights of 8 h: one reconnect each, timers once, every token put once, at most %llu turns of the loop in the first 5 s", runs, (unsigned long long)turns);
}
