/*
 * Tokens that end: renewed in good time nobody notices; a credential or a $cbs that fails for a while harms nobody while the old token
 * lives; an outage beyond its end costs what had to be done meanwhile and nothing else; what cannot pass is told at once.
 */
#include "tests/sim/long/traffic.h"

#include "eventhub/sas.h"

#include <stdio.h>

typedef enum mood { GIVES, FAILS, REFUSES } mood;

/** What goes wrong from one part of the first token's life to another, in hundredths of it. */
typedef struct scene {
    const char       *name;
    uint32_t          lifetime_s;
    uint32_t          from, to;
    mood              mood;      /* the credential's */
    rh_emulator_fault fault;     /* what $cbs does */
    const char       *condition;
    rh_status         ends_as;   /* RH_OK: everything goes on */
    bool              outage;    /* beyond the end of the token: sends may run out of time */
    rh_time           detach_every; /* the service does not believe the token any more */
} scene;

static const scene scenes[] = {
    { "tokens of half a minute", .lifetime_s = 30 },
    { "a credential that fails for a while", .lifetime_s = 600, .from = 60, .to = 97, .mood = FAILS },
    { "a busy $cbs", .lifetime_s = 3600, .from = 60, .to = 95, .fault = RH_EMULATOR_REFUSE, .condition = "com.microsoft:server-busy" },
    { "a $cbs with internal errors", .lifetime_s = 3600, .from = 60, .to = 95, .fault = RH_EMULATOR_REFUSE, .condition = "amqp:internal-error" },
    { "a $cbs that does not answer", .lifetime_s = 3600, .from = 60, .to = 95, .fault = RH_EMULATOR_IGNORE },
    { "a $cbs whose answers are lost", .lifetime_s = 3600, .from = 60, .to = 95, .fault = RH_EMULATOR_FORGET },
    { "a credential that fails beyond the end", .lifetime_s = 600, .from = 60, .to = 130, .mood = FAILS, .outage = true },
    { "a $cbs that is busy beyond the end", .lifetime_s = 600, .from = 60, .to = 130, .fault = RH_EMULATOR_REFUSE, .condition = "com.microsoft:server-busy", .outage = true },
    { "a token that is not believed any more", .lifetime_s = 3600, .detach_every = RH_SECONDS(47) },
    { "a credential that says no", .lifetime_s = 600, .from = 60, .to = 1000, .mood = REFUSES, .ends_as = RH_E_CREDENTIAL },
    { "a $cbs that says 401", .lifetime_s = 600, .from = 60, .to = 1000, .fault = RH_EMULATOR_REFUSE, .condition = "amqp:unauthorized-access", .ends_as = RH_E_UNAUTHORIZED },
    { "a $cbs that says 404", .lifetime_s = 600, .from = 60, .to = 1000, .fault = RH_EMULATOR_REFUSE, .condition = "amqp:not-found", .ends_as = RH_E_NOT_FOUND },
};

static struct {
    sim_stand    stand;
    sim_party    party;
    const scene *scene;
    rh_time      begin;
    sim_source   source;
    sim_sink     sink;
    rh_producer *witness; /* does nothing but end */
    uint64_t     ended, puts;
    rh_time      ended_at, asked_at;
    rh_status    ended_as;
} t;

static bool is_wrong_now(void)
{
    rh_time life = RH_SECONDS(t.scene->lifetime_s), age = sim_now(&t.stand) - t.begin;
    return age >= life / 100 * t.scene->from && age < life / 100 * t.scene->to;
}

static void on_request(void *user, const char *audience, rh_token_request *request)
{
    char    token[RH_SAS_MAX];
    size_t  n      = 0;
    int64_t expiry = rh_loop_wall_ms(&t.stand.loop.loop) / 1000 + t.scene->lifetime_s;
    (void)user;
    if (is_wrong_now()) t.asked_at = sim_now(&t.stand);
    if (t.scene->mood != GIVES && is_wrong_now()) {
        rh_token_fail(request, t.scene->mood == FAILS, "the test's credential fails");
        return;
    }
    if (rh_sas_sign(token, sizeof token, &n, rh_str(audience), rh_str(SIM_RULE), rh_str(SIM_KEY), expiry) != RH_OK) sim_wrong(&t.stand, "no token was signed");
    rh_token_answer(request, rh_slice_of(token, n), RH_TOKEN_SAS, expiry * 1000);
}

static void on_cancel(void *user, rh_token_request *request)
{
    (void)user, (void)request; /* each was answered inside its call */
}

static rh_emulator_fault judge(void *user, rh_emulator_moment moment, const char **condition)
{
    (void)user;
    if (moment != RH_EMULATOR_TOKEN) return RH_EMULATOR_NO_FAULT;
    t.puts++;
    if (!is_wrong_now()) return RH_EMULATOR_NO_FAULT;
    *condition = t.scene->condition;
    return t.scene->fault;
}

static void on_closed(void *user, rh_producer *producer, const rh_error *error)
{
    (void)user, (void)producer;
    if (!error || error->status == RH_E_CLOSED) return;
    t.ended++;
    t.ended_at = sim_now(&t.stand);
    t.ended_as = error->status;
    if (t.scene->ends_as == RH_OK) sim_wrong(&t.stand, "%s: a producer ended: %s", t.scene->name, error->description);
}

static void open_all(const scene *it)
{
    static const rh_credential credential = { .request = on_request, .cancel = on_cancel };
    memset(&t, 0, sizeof t);
    t.scene = it;
    sim_stand_open(&t.stand, RH_EMULATOR_OPTS(.hubs = SIM_HUB(2), .retention_ms = 48 * 3600 * 1000, .faults = { judge, NULL }));
    t.begin = sim_now(&t.stand);
    sim_party_make(&t.party, &t.stand, RH_CLIENT_OPTS(.credential = &credential));
    if (it->ends_as != RH_OK) {
        if (rh_producer_open(t.party.client, RH_PRODUCER_OPTS(.partition = "1", .handler = { .on_closed = on_closed }), &t.witness) != RH_OK) sim_wrong(&t.stand, "no producer");
        return;
    }
    t.source = (sim_source){ .party = &t.party, .partition = 0, .in_flight = 1, .batch_most = 2, .size_most = 500, .pause_least = RH_MS(300), .pause_most = RH_SECONDS(2), .may_fail = it->outage };
    t.sink   = (sim_sink){ .party = &t.party, .partition = 0, .prefetch = 20 };
    sim_source_open(&t.source);
    sim_sink_open(&t.sink);
}

static void disbelieve(void)
{
    static const char *const paths[] = { "hub/Partitions/0", "hub/ConsumerGroups/$Default/Partitions/0" };
    for (int sender = 0; sender < 2; sender++) {
        rh_emu_link *link = sim_link_of(&t.stand, paths[!sender], sender);
        if (!link) continue;
        link->is_leaving = true;
        (void)!rh_link_detach(link->link, true, "amqp:unauthorized-access", "ExpiredToken: The token is not believed any more.");
        rh_emu_connection_wake(link->connection);
    }
}

static void live(void)
{
    rh_time end = sim_now(&t.stand) + 3 * RH_SECONDS(t.scene->lifetime_s > 600 ? t.scene->lifetime_s : 3600);
    while (sim_now(&t.stand) < end && !sim_is_wrong(&t.stand)) {
        sim_pass(&t.stand, t.scene->detach_every ? t.scene->detach_every : RH_SECONDS(600));
        if (t.scene->detach_every) disbelieve();
    }
}

static void judge_life(uint64_t *sends)
{
    if (t.party.losses || t.party.closes) sim_wrong(&t.stand, "%s: the connection was lost", t.scene->name);
    sim_source_stop(&t.source);
    sim_pass(&t.stand, RH_SECONDS(70));
    sim_judge_done(&t.source, &t.sink);
    bool undisturbed = !t.scene->outage && !t.scene->detach_every;
    if (undisturbed && t.source.latest > 2 * t.stand.latency) sim_wrong(&t.stand, "%s: a send took %.3f ms", t.scene->name, (double)t.source.latest / 1e6);
    if (undisturbed && t.sink.recoveries) sim_wrong(&t.stand, "%s: the consumer was lost %llu times", t.scene->name, (unsigned long long)t.sink.recoveries);
    if (t.scene->outage && t.source.late > 10) sim_wrong(&t.stand, "%s: %llu sends ran out of time", t.scene->name, (unsigned long long)t.source.late);
    if (t.scene->outage && !t.sink.recoveries) sim_wrong(&t.stand, "%s: it was no outage", t.scene->name);
    *sends += t.source.sends;
    if (!sim_is_wrong(&t.stand)) sim_model_judge(&t.stand.model, t.stand.emulator);
    sim_source_close(&t.source);
    sim_sink_close(&t.sink);
}

/* Once, with its reason, within the round trip of the one question that showed it. */
static void judge_end(void)
{
    if (t.ended != 1 || t.ended_as != t.scene->ends_as) sim_wrong(&t.stand, "%s: the producer ended %llu times, as %s", t.scene->name, (unsigned long long)t.ended, rh_status_name(t.ended_as));
    if (t.ended_at - t.asked_at > 2 * t.stand.latency) sim_wrong(&t.stand, "%s: it was told %.3f s after it was known", t.scene->name, (double)(t.ended_at - t.asked_at) / 1e9);
    rh_producer_destroy(t.witness);
}

bool sim_run_refresh(void)
{
    size_t   count = sizeof scenes / sizeof *scenes;
    uint64_t sends = 0, puts = 0;
    bool     right = true;
    for (size_t i = 0; i < count && right; i++) {
        open_all(&scenes[i]);
        live();
        if (scenes[i].ends_as == RH_OK) judge_life(&sends);
        else judge_end();
        puts += t.puts;
        sim_party_close(&t.party);
        sim_stand_close(&t.stand);
        right = !sim_is_wrong(&t.stand);
    }
    return sim_report(&t.stand, "refresh", "%zu ways of a token's end: %llu sends and %llu tokens, none failed or late while a token lived, what passes was outlived, what does not was told at once and once", count,
                      (unsigned long long)sends, (unsigned long long)puts);
}
