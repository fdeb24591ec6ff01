/*
 * A machine that sleeps for 8 h in any moment of opening, and of coming back from a loss: who was never open is told once that its time
 * is over, or opens; who was open is open again; nobody hangs, and nobody dials more often than it takes.
 */
#include "tests/sim/long/stand.h"

#define NIGHT (8 * RH_SECONDS(3600))
#define STEPS 120
#define STEP  (RH_US(250) + 7)

static struct {
    sim_stand    stand;
    sim_party    party;
    rh_producer *producer;
    rh_consumer *consumer;
    uint64_t     opens, closes, reading, ends;
    rh_status    why, outcome;
} t;

static struct {
    uint64_t opened, over, nights;
    uint32_t dials_most;
} total;

static void on_open(void *user, rh_producer *producer)
{
    (void)user, (void)producer;
    t.opens++;
}

static void on_closed(void *user, rh_producer *producer, const rh_error *error)
{
    (void)user, (void)producer;
    t.closes++;
    t.why = error ? error->status : RH_OK;
}

static void on_sent(void *user, rh_producer *producer, const rh_sent *sent)
{
    (void)user, (void)producer;
    t.ends++;
    t.outcome = sent->status;
}

static void on_state(void *user, rh_consumer *consumer, rh_consumer_state state, const rh_error *error)
{
    (void)user, (void)consumer, (void)error;
    t.reading += state == RH_CONSUMER_OPEN;
}

static void open_producer(void)
{
    if (rh_producer_open(t.party.client, RH_PRODUCER_OPTS(.partition = "0", .handler = { .on_open = on_open, .on_closed = on_closed, .on_sent = on_sent }), &t.producer) != RH_OK)
        sim_wrong(&t.stand, "no producer");
}

static void open_all(bool in_one_flight)
{
    memset(&t, 0, sizeof t);
    sim_stand_open(&t.stand, RH_EMULATOR_OPTS(.hubs = SIM_HUB(2)));
    t.stand.forgiven = 1;
    sim_party_make(&t.party, &t.stand, RH_CLIENT_OPTS(.step_by_step = !in_one_flight));
    open_producer();
    if (rh_consumer_open(t.party.client, RH_CONSUMER_OPTS(.partition = "1", .handler = { .on_state = on_state }), &t.consumer) != RH_OK) sim_wrong(&t.stand, "no consumer");
}

static void send_one(void)
{
    rh_event_data event = { .body = rh_str("good morning") };
    rh_status     status = rh_producer_send_event(t.producer, &event, rh_time_after(sim_now(&t.stand), RH_SECONDS(30)), NULL);
    if (status != RH_OK) sim_wrong(&t.stand, "a send was refused: %s", rh_status_name(status));
    sim_pass(&t.stand, RH_SECONDS(30));
    if (t.ends != 1 || t.outcome != RH_OK) sim_wrong(&t.stand, "a send ended %llu times, as %s", (unsigned long long)t.ends, rh_status_name(t.outcome));
}

static void close_all(void)
{
    rh_producer_destroy(t.producer);
    rh_consumer_destroy(t.consumer);
    sim_party_close(&t.party);
    sim_stand_close(&t.stand);
}

static void sleep_and_count(const char *what)
{
    uint32_t before = t.stand.loop.wires;
    sim_loop_suspend(&t.stand.loop, NIGHT);
    sim_pass(&t.stand, RH_SECONDS(30));
    uint32_t dials = t.stand.loop.wires - before;
    if (dials > 2) sim_wrong(&t.stand, "%s: %u dials in the first 30 s awake", what, dials);
    if (dials > total.dials_most) total.dials_most = dials;
    total.nights++;
}

/* Never open before. */
static bool while_opening(rh_time at, bool in_one_flight)
{
    open_all(in_one_flight);
    sim_pass(&t.stand, at);
    sleep_and_count("opening");
    if (t.opens + t.closes != 1 && !(t.opens == 1 && t.closes == 0)) sim_wrong(&t.stand, "the producer was told %llu times that it is open, %llu that it is closed", (unsigned long long)t.opens, (unsigned long long)t.closes);
    if (t.closes && t.why != RH_E_TIMEOUT && t.why != RH_E_CONNECTION_LOST && t.why != RH_E_PEER_SILENT) sim_wrong(&t.stand, "it ended as %s", rh_status_name(t.why));
    total.opened += t.opens;
    total.over += t.closes;
    if (t.closes && rh_client_state_of(t.party.client) < RH_CLIENT_CLOSING) {
        rh_producer_destroy(t.producer);
        open_producer();
        sim_pass(&t.stand, RH_SECONDS(5));
    }
    if (rh_client_state_of(t.party.client) < RH_CLIENT_CLOSING) send_one();
    close_all();
    return !sim_is_wrong(&t.stand);
}

/* Open, lost, and on the way back. */
static bool while_returning(rh_time at, bool in_one_flight)
{
    open_all(in_one_flight);
    sim_pass(&t.stand, RH_SECONDS(20));
    sim_wire_reset(sim_only_wire(&t.stand));
    while (t.party.client && !sim_only_wire(&t.stand) && !sim_is_wrong(&t.stand)) sim_pass(&t.stand, RH_US(100));
    sim_pass(&t.stand, at);
    sleep_and_count("returning");
    if (t.closes || !rh_producer_is_open(t.producer) || rh_consumer_state_of(t.consumer) != RH_CONSUMER_OPEN)
        sim_wrong(&t.stand, "slept %.3f ms behind a dial: the producer is %s, the consumer in state %d", (double)at / 1e6, t.closes ? "ended" : rh_producer_is_open(t.producer) ? "open" : "not open", (int)rh_consumer_state_of(t.consumer));
    send_one();
    close_all();
    return !sim_is_wrong(&t.stand);
}

bool sim_run_waking(void)
{
    bool right = true;
    memset(&total, 0, sizeof total);
    for (int step = 0; step < STEPS && right; step++)
        for (int flight = 0; flight < 2 && right; flight++)
            right = while_opening((rh_time)step * STEP, flight) && while_returning((rh_time)step * STEP, flight);
    return sim_report(&t.stand, "waking", "%llu nights of 8 h in the middle of opening or coming back: who was open is open again; of the others %llu opened and %llu were told once that their time was over; at most %u dials",
                      (unsigned long long)total.nights, (unsigned long long)total.opened, (unsigned long long)total.over, total.dials_most);
}
