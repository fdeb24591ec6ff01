/*
 * Thirty days: tokens of an hour, signed by the client and given by a credential, traffic now and then, idle detaches, serial
 * numbers that wrap on every new session. At the end of each day everybody rests and memory is what it was on the first. In the rough
 * month connections are lost every day in each of the ways there are.
 */
#include "tests/sim/long/tokens.h"
#include "tests/sim/long/traffic.h"

#include "eventhub/sas.h"

#include <stdio.h>

#define PARTITIONS 4
#define DAYS       30
#define DAY        (24 * RH_SECONDS(3600))
#define REST       RH_SECONDS(600)
#define LIFETIME_S 3600

/* What a session and its links take of a client, roughly. */
#define LOAN 2048

#define CLIENT_IDLE_MS 60000
#define SERVER_IDLE_MS 240000

typedef struct ask {
    rh_token_request *request;
    char              audience[64];
    rh_timer          timer;
} ask;

typedef struct memory {
    size_t pieces, bytes;
} memory;

static struct {
    sim_stand  stand;
    sim_party  out, in; /* with a key of its own, and with a credential */
    sim_tokens tokens;
    sim_source sources[PARTITIONS];
    sim_sink   sinks[PARTITIONS];
    sim_chance chance;
    ask        asks[2 * PARTITIONS + 2];
    uint64_t   asked, detaches, blows;
    rh_timer   curious;
    uint64_t   questions, answers;
    bool       rough;
} t;

static void on_frame(void *user, const sim_frame *frame)
{
    (void)user;
    t.detaches += frame->end == SIM_CLIENT && frame->code == SIM_PERF_DETACH;
    sim_tokens_frame(&t.tokens, &t.stand, frame);
}

/* -- a credential that takes its time -------------------------------------------------------------- */

static void on_answer(void *user, rh_time now)
{
    ask   *a = user;
    char   token[RH_SAS_MAX];
    size_t n      = 0;
    int64_t expiry = rh_loop_wall_ms(&t.stand.loop.loop) / 1000 + LIFETIME_S;
    rh_token_request *request = a->request;
    (void)now;
    a->request = NULL;
    if (rh_sas_sign(token, sizeof token, &n, rh_str(a->audience), rh_str(SIM_RULE), rh_str(SIM_KEY), expiry) != RH_OK) sim_wrong(&t.stand, "no token was signed");
    rh_token_answer(request, rh_slice_of(token, n), RH_TOKEN_SAS, expiry * 1000);
}

static void on_request(void *user, const char *audience, rh_token_request *request)
{
    (void)user;
    t.asked++;
    for (size_t i = 0; i < sizeof t.asks / sizeof *t.asks; i++) {
        ask *a = &t.asks[i];
        if (a->request) continue;
        *a = (ask){ .request = request, .timer = { .fn = on_answer, .user = a } };
        (void)snprintf(a->audience, sizeof a->audience, "%s", audience);
        rh_timer_set(&t.stand.loop.loop, &a->timer, sim_now(&t.stand) + sim_between(&t.chance, 0, RH_SECONDS(5)));
        return;
    }
    sim_wrong(&t.stand, "more tokens are asked for than there are audiences");
}

static void on_cancel(void *user, rh_token_request *request)
{
    (void)user;
    for (size_t i = 0; i < sizeof t.asks / sizeof *t.asks; i++)
        if (t.asks[i].request == request) {
            t.asks[i].request = NULL;
            rh_timer_cancel(&t.stand.loop.loop, &t.asks[i].timer);
        }
}

/* -- a question every hour ------------------------------------------------------------------------- */

static void on_answered(void *user, const rh_partition_properties *properties, const rh_error *error)
{
    (void)user;
    t.answers++;
    if (error && !t.rough) sim_wrong(&t.stand, "a question ended as %s: %s", rh_status_name(error->status), error->description);
    if (properties && properties->last_enqueued_sequence_number >= t.stand.emulator->hubs->partitions[0].end) sim_wrong(&t.stand, "an answer knows more events than there are");
}

static void on_curious(void *user, rh_time now)
{
    (void)user;
    t.questions++;
    rh_client_partition_properties(t.in.client, "0", 0, on_answered, NULL);
    rh_timer_set(&t.stand.loop.loop, &t.curious, now + RH_SECONDS(3600));
}

/* -- the month ----------------------------------------------------------------------------------- */

static void open_all(bool rough)
{
    static const rh_credential credential = { .request = on_request, .cancel = on_cancel };
    memset(&t, 0, sizeof t);
    t.rough           = rough;
    t.chance          = sim_chance_of_seed(sim_seed, 30);
    t.tokens.lifetime = RH_SECONDS(LIFETIME_S);
    t.tokens.slack    = RH_SECONDS(5);
    t.stand.first_id  = UINT32_MAX - 2;
    t.stand.on_frame  = on_frame;
    sim_stand_open(&t.stand, RH_EMULATOR_OPTS(.hubs = SIM_HUB(PARTITIONS), .retention_ms = (DAYS + 1) * INT64_C(86400000), .max_bytes = UINT64_C(1) << 32,
                                              .limits = { .idle_time_out_ms = SERVER_IDLE_MS, .sender_idle_ms = 600000, .reader_idle_ms = 1800000 }));
    sim_party_make(&t.out, &t.stand, RH_CLIENT_OPTS(.idle_time_out_ms = CLIENT_IDLE_MS));
    sim_party_make(&t.in, &t.stand, RH_CLIENT_OPTS(.idle_time_out_ms = CLIENT_IDLE_MS, .credential = &credential));
    t.curious.fn = on_curious;
    rh_timer_set(&t.stand.loop.loop, &t.curious, sim_now(&t.stand) + RH_SECONDS(1800));
    for (uint32_t i = 0; i < PARTITIONS; i++) {
        /* From one that is hardly ever idle to one that mostly is. */
        t.sources[i] = (sim_source){ .party = &t.out, .id = i, .partition = i, .in_flight = i == 1 ? 4 : 1, .batch_most = 8, .size_most = 2000,
                                     .pause_least = RH_MS(10), .pause_most = RH_SECONDS(600) << i, .may_fail = rough };
        t.sinks[i]   = (sim_sink){ .party = &t.in, .partition = i, .prefetch = 100 };
        sim_source_open(&t.sources[i]);
        sim_sink_open(&t.sinks[i]);
    }
}

static bool is_same(memory a, memory b)
{
    return a.pieces == b.pieces && a.bytes == b.bytes;
}

/* Now and then a token is on its way, or a link gone for a round trip: what most moments agree on. */
static memory at_rest(void)
{
    memory most = { 0, 0 };
    int    lead = 0;
    for (size_t i = 0; i < PARTITIONS; i++) t.sources[i].paused = true;
    for (rh_time end = sim_now(&t.stand) + REST; sim_now(&t.stand) < end && !sim_is_wrong(&t.stand); sim_pass(&t.stand, RH_SECONDS(1))) {
        memory now = { t.stand.loop.allocations, t.stand.loop.allocated };
        if (lead == 0) most = now;
        lead += is_same(now, most) ? 1 : -1;
    }
    for (size_t i = 0; i < PARTITIONS; i++) t.sources[i].paused = false;
    return most;
}

/* -- weather --------------------------------------------------------------------------------------- */

typedef enum blow { RESET, SILENCE, SLEEP, CLOSE, END, DETACH, BLOWS } blow;

static sim_wire *some_wire(void)
{
    size_t count = 0;
    while (sim_wire_at(&t.stand.loop, count)) count++;
    return count ? sim_wire_at(&t.stand.loop, sim_below(&t.chance, count)) : NULL;
}

static void end_something(sim_wire *wire, blow kind)
{
    rh_emu_connection *connection = sim_connection_of(&t.stand, wire);
    rh_emu_link       *link       = connection ? connection->links : NULL;
    if (!link || link->is_leaving) return;
    if (kind == CLOSE) (void)!rh_engine_close(connection->engine, "amqp:connection:forced", "The service goes for maintenance.");
    else if (kind == END) (void)!rh_session_end(rh_link_session(link->link), "amqp:internal-error", "The service ends a session.");
    else {
        link->is_leaving = true;
        (void)!rh_link_detach(link->link, true, "com.microsoft:server-busy", "The service detaches a link.");
    }
    rh_emu_connection_wake(connection);
}

static void strike(blow kind)
{
    sim_wire *wire = some_wire();
    if (!wire) return;
    t.blows++;
    if (kind == RESET) sim_wire_reset(wire);
    else if (kind == SILENCE) sim_wire_silence(wire);
    else if (kind == SLEEP) sim_loop_suspend(&t.stand.loop, sim_between(&t.chance, RH_SECONDS(600), RH_SECONDS(5000)));
    else end_something(wire, kind);
    if (kind == SILENCE || kind == SLEEP) t.stand.forgiven += 2;
}

/* Each once a day, hours apart. */
static void bad_day(rh_time begin)
{
    for (int i = 0; i < BLOWS && !sim_is_wrong(&t.stand); i++) {
        sim_pass_until(&t.stand, begin + (rh_time)(i + 1) * DAY / 8 + sim_below(&t.chance, DAY / 16));
        strike((blow)i);
    }
}

/* -- judging --------------------------------------------------------------------------------------- */

static void judge_party(const sim_party *p)
{
    if (t.rough) {
        if (p->closes || p->records[RH_LOG_ERROR]) sim_wrong(&t.stand, "a client ended: %s", p->loss.description);
        return;
    }
    if (p->opens != 1 || p->losses || p->closes) sim_wrong(&t.stand, "a connection was lost: %s", p->loss.description);
    if (p->records[RH_LOG_WARNING] + p->records[RH_LOG_ERROR]) sim_wrong(&t.stand, "a record of the log: %s", p->record);
}

static void judge_month(uint64_t *events)
{
    judge_party(&t.out);
    judge_party(&t.in);
    const sim_wire *wire;
    for (size_t i = 0; (wire = sim_wire_at(&t.stand.loop, i)); i++) sim_judge_heartbeats(&t.stand, sim_watch_of(&t.stand, wire), CLIENT_IDLE_MS, SERVER_IDLE_MS);
    for (size_t i = 0; i < PARTITIONS; i++) {
        sim_judge_done(&t.sources[i], &t.sinks[i]);
        *events += t.sources[i].events;
    }
    for (size_t i = 0; i < t.tokens.count && !t.rough; i++) {
        const sim_audience *a = &t.tokens.audiences[i];
        if (a->puts < DAYS * 24 * 10 / 9 - 1 || a->puts > DAYS * 24 * 4 / 3 + 1) sim_wrong(&t.stand, "%s: %llu tokens in a month", a->name, (unsigned long long)a->puts);
    }
    if (t.questions - t.answers > 1) sim_wrong(&t.stand, "%llu questions, %llu answers", (unsigned long long)t.questions, (unsigned long long)t.answers);
    if (t.tokens.count != 2 * PARTITIONS + 1 && !t.rough) sim_wrong(&t.stand, "%zu audiences", t.tokens.count);
    if (!sim_is_wrong(&t.stand)) sim_model_judge(&t.stand.model, t.stand.emulator);
}

static void close_all(void)
{
    rh_timer_cancel(&t.stand.loop.loop, &t.curious);
    for (size_t i = 0; i < PARTITIONS; i++) {
        sim_source_close(&t.sources[i]);
        sim_sink_close(&t.sinks[i]);
    }
    sim_party_close(&t.out);
    sim_party_close(&t.in);
    sim_stand_close(&t.stand);
}

static memory live(uint64_t *events)
{
    /* Links that come back may sit in the memory of the one before, whose block then stays for a while: a block or two, not one a day. */
    size_t slack = t.rough ? 2 : 0;
    memory first = { 0 }, now = { 0 };
    rh_time begin = sim_now(&t.stand);
    for (unsigned day = 1; day <= DAYS && !sim_is_wrong(&t.stand); day++) {
        if (t.rough) bad_day(begin + (day - 1) * DAY);
        sim_pass_until(&t.stand, begin + day * DAY - REST);
        now = at_rest();
        if (day == 1) first = now;
        if (now.pieces > first.pieces + slack || now.bytes > first.bytes + slack * LOAN || (!t.rough && !is_same(now, first)))
            sim_wrong(&t.stand, "day %u rests on %zu bytes in %zu pieces, day 1 did on %zu in %zu", day, now.bytes, now.pieces, first.bytes, first.pieces);
    }
    judge_month(events);
    return now;
}

bool sim_run_month(void)
{
    uint64_t events = 0;
    open_all(false);
    memory   now = live(&events);
    uint64_t heartbeats = 0;
    for (int i = 0; i < 4; i++) heartbeats += t.stand.watches[i / 2].lanes[i % 2].heartbeats;
    double least = (double)t.tokens.least / (double)t.tokens.lifetime * 100, most = (double)t.tokens.most / (double)t.tokens.lifetime * 100;
    close_all();
    return sim_report(&t.stand, "month", "30 days: %llu events from first ids near 2^32, %llu idle detaches, %llu tokens at %.1f to %.1f %% of their life, %llu heartbeats on time, 0 reconnects, 0 warnings; "
                      "at rest %zu bytes in %zu pieces every day",
                      (unsigned long long)events, (unsigned long long)t.detaches, (unsigned long long)t.tokens.puts, least, most, (unsigned long long)heartbeats, now.bytes, now.pieces);
}

bool sim_run_rough(void)
{
    uint64_t events = 0, late = 0;
    open_all(true);
    memory now = live(&events);
    for (size_t i = 0; i < PARTITIONS; i++) late += t.sources[i].late;
    uint64_t blows = t.blows, losses = t.out.losses + t.in.losses;
    close_all();
    return sim_report(&t.stand, "rough", "30 days with %llu resets, silences, sleeps, closes, ends and detaches: %llu events, %llu sends whose time was over, %llu reconnects; at rest %zu bytes in %zu pieces on the last day, within two links of the first",
                      (unsigned long long)blows, (unsigned long long)events, (unsigned long long)late, (unsigned long long)losses, now.bytes, now.pieces);
}
