/*
 * The service's own idle detaches, and its end of connections without links: nobody fails, nobody is alarmed, and who sends next
 * waits for a re-attach at most.
 */
#include "tests/sim/long/stand.h"

#define DAY (24 * RH_SECONDS(3600))

#define SENDER_IDLE RH_SECONDS(600)
#define READER_IDLE RH_SECONDS(1800)

static struct {
    sim_stand    stand;
    sim_party    party;
    rh_producer *producer;
    rh_consumer *consumer;
    uint64_t     sends, ends, seen;
    rh_time      sent_at, latest;
} t;

static void on_sent(void *user, rh_producer *producer, const rh_sent *sent)
{
    rh_time took = sim_now(&t.stand) - t.sent_at;
    (void)user, (void)producer;
    t.ends++;
    if (took > t.latest) t.latest = took;
    if (sent->status != RH_OK) sim_wrong(&t.stand, "a send ended as %s", rh_status_name(sent->status));
}

static void on_closed(void *user, rh_producer *producer, const rh_error *error)
{
    (void)user, (void)producer;
    if (error) sim_wrong(&t.stand, "the producer ended: %s", error->description);
}

static void on_event(void *user, rh_consumer *consumer, const rh_event *event)
{
    (void)user, (void)consumer;
    if (rh_event_sequence_number(event) != (int64_t)t.seen++) sim_wrong(&t.stand, "sequence %lld came as the %llu-th event", (long long)rh_event_sequence_number(event), (unsigned long long)t.seen);
}

static void on_state(void *user, rh_consumer *consumer, rh_consumer_state state, const rh_error *error)
{
    (void)user, (void)consumer;
    if (state == RH_CONSUMER_CLOSED && error && error->status != RH_E_CLOSED) sim_wrong(&t.stand, "the consumer ended: %s", error->description);
}

static void open_producer(void)
{
    if (rh_producer_open(t.party.client, RH_PRODUCER_OPTS(.partition = "0", .handler = { .on_sent = on_sent, .on_closed = on_closed }), &t.producer) != RH_OK)
        sim_wrong(&t.stand, "no producer");
}

static void open_all(const rh_emulator_limits *limits, bool with_links)
{
    memset(&t, 0, sizeof t);
    sim_stand_open(&t.stand, RH_EMULATOR_OPTS(.hubs = SIM_HUB(2), .limits = *limits, .retention_ms = 48 * 3600 * 1000));
    sim_party_make(&t.party, &t.stand, RH_CLIENT_OPTS(.hub = "hub"));
    if (!with_links) return;
    open_producer();
    if (rh_consumer_open(t.party.client, RH_CONSUMER_OPTS(.partition = "0", .handler = { .on_event = on_event, .on_state = on_state }), &t.consumer) != RH_OK)
        sim_wrong(&t.stand, "no consumer");
    sim_pass(&t.stand, RH_SECONDS(1));
}

static void close_all(void)
{
    rh_producer_destroy(t.producer);
    rh_consumer_destroy(t.consumer);
    sim_party_close(&t.party);
    sim_stand_close(&t.stand);
}

static void send_one(void)
{
    rh_event_data event = { .body = rh_str("after a while") };
    t.sent_at = sim_now(&t.stand);
    t.sends++;
    rh_status status = rh_producer_send_event(t.producer, &event, 0, NULL);
    if (status != RH_OK) sim_wrong(&t.stand, "a send was refused: %s", rh_status_name(status));
}

/* One record at INFO for each detach, and none above. */
static void judge_records(uint64_t detaches)
{
    const sim_party *p = &t.party;
    if (p->records[RH_LOG_WARNING] + p->records[RH_LOG_ERROR]) sim_wrong(&t.stand, "idleness was told as a warning: %s", p->record);
    if (p->records[RH_LOG_INFO] != detaches)
        sim_wrong(&t.stand, "%llu detaches left %llu records", (unsigned long long)detaches, (unsigned long long)p->records[RH_LOG_INFO]);
    if (p->opens != 1 || p->losses || p->closes) sim_wrong(&t.stand, "the connection was lost with a link");
    if (t.ends != t.sends || t.seen != t.sends)
        sim_wrong(&t.stand, "%llu sends, %llu ended, %llu seen", (unsigned long long)t.sends, (unsigned long long)t.ends, (unsigned long long)t.seen);
}

static const rh_emulator_limits limits = { .sender_idle_ms = SENDER_IDLE / RH_MS(1), .reader_idle_ms = READER_IDLE / RH_MS(1) };

/* Now and then an event, after pauses of a minute to four hours. */
static bool seldom(uint64_t *detaches, rh_time *latest)
{
    sim_chance chance = sim_chance_of_seed(sim_seed, 77);
    open_all(&limits, true);
    rh_time end = sim_now(&t.stand) + DAY;
    uint64_t refusals = sim_stats(&t.stand).refusals;
    while (sim_now(&t.stand) < end && !sim_is_wrong(&t.stand)) {
        sim_pass(&t.stand, sim_scale(&chance, RH_SECONDS(60), 4 * RH_SECONDS(3600)));
        send_one();
        sim_pass(&t.stand, RH_SECONDS(1));
    }
    *detaches = sim_stats(&t.stand).refusals - refusals;
    *latest   = t.latest;
    judge_records(*detaches);
    rh_time transfer = 2 * t.stand.latency;
    if (t.latest > transfer) sim_wrong(&t.stand, "a send took %.3f ms, a transfer takes %.3f", (double)t.latest / 1e6, (double)transfer / 1e6);
    if (*detaches < 100) sim_wrong(&t.stand, "only %llu detaches in a day", (unsigned long long)*detaches);
    close_all();
    return !sim_is_wrong(&t.stand);
}

/* A send at every tenth of a millisecond around the detach: crossing it, while the link comes back, behind it. */
static bool crossing(rh_time *latest)
{
    open_all(&limits, true);
    send_one();
    sim_pass(&t.stand, RH_SECONDS(1));
    /* Coming back is the end of the old session and the begin and attach of the new one. */
    rh_time transfer = 2 * t.stand.latency, attach = 4 * t.stand.latency, worst = 0;
    for (int step = -40; step <= 120 && !sim_is_wrong(&t.stand); step++) {
        rh_time due = t.sent_at + t.stand.latency + SENDER_IDLE; /* the emulator's clock began when the last one came there */
        if (t.ends != t.sends) sim_wrong(&t.stand, "a send did not end");
        sim_pass_until(&t.stand, (rh_time)((int64_t)due + step * (int64_t)RH_US(100)));
        t.latest = 0;
        send_one();
        sim_pass(&t.stand, RH_SECONDS(30));
        /* One that crosses the detach learns of it when that has come: what it took until then was the network. */
        rh_time bound = attach + transfer + (step < 10 ? transfer : 0);
        if (t.latest > bound)
            sim_wrong(&t.stand, "a send %.1f ms from the detach took %.3f ms, re-attach and transfer take %.3f", step / 10.0, (double)t.latest / 1e6, (double)bound / 1e6);
        if (t.latest > worst) worst = t.latest;
        sim_pass(&t.stand, RH_SECONDS(30));
        /* The links that were made anew count from their attach. */
        send_one();
        sim_pass(&t.stand, RH_SECONDS(1));
    }
    if (t.party.records[RH_LOG_WARNING] + t.party.records[RH_LOG_ERROR]) sim_wrong(&t.stand, "idleness was told as a warning: %s", t.party.record);
    *latest = worst;
    close_all();
    return !sim_is_wrong(&t.stand);
}

/* A connection that nobody uses is closed by the service: a record, no storm, and who comes then finds it open again. */
static bool unused(uint64_t *dials)
{
    open_all(&(rh_emulator_limits){ 0 }, false);
    if (rh_client_connect(t.party.client) != RH_OK) sim_wrong(&t.stand, "it does not connect");
    sim_pass(&t.stand, DAY);
    *dials = t.stand.loop.wires;
    if (t.party.records[RH_LOG_WARNING] + t.party.records[RH_LOG_ERROR]) sim_wrong(&t.stand, "idleness was told as a warning: %s", t.party.record);
    if (t.party.records[RH_LOG_INFO] != t.party.losses) sim_wrong(&t.stand, "%llu records of %llu ends", (unsigned long long)t.party.records[RH_LOG_INFO], (unsigned long long)t.party.losses);
    if (t.party.closes) sim_wrong(&t.stand, "the client ended: %s", rh_client_error(t.party.client)->description);
    open_producer();
    send_one();
    sim_pass(&t.stand, RH_SECONDS(30));
    if (t.ends != 1) sim_wrong(&t.stand, "the first send did not end");
    if (t.latest > 20 * t.stand.latency) sim_wrong(&t.stand, "the first send took %.3f ms", (double)t.latest / 1e6);
    close_all();
    return !sim_is_wrong(&t.stand);
}

bool sim_run_service(void)
{
    uint64_t detaches = 0, dials = 0;
    rh_time  seldom_latest = 0, crossing_latest = 0;
    (void)(seldom(&detaches, &seldom_latest) && crossing(&crossing_latest) && unused(&dials));
    return sim_report(&t.stand, "service", "%llu idle detaches in a day: one record each, 0 warnings, 0 failed sends; a send took at most %.1f ms of virtual time (round trip 2 ms), across a detach %.1f; "
                      "a day without links: %llu connections",
                      (unsigned long long)detaches, (double)seldom_latest / 1e6, (double)crossing_latest / 1e6, (unsigned long long)dials);
}
