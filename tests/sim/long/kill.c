/*
 * One link of many dies. Two clients on one connection each, a producer and a consumer for each of 32 partitions: whatever is done
 * to one link, the tales of all others are those of a run in which nothing was done, to the nanosecond.
 */
#include "tests/sim/long/stand.h"
#include "tests/sim/long/tale.h"

#include <stdio.h>

#define PARTITIONS 32
#define VICTIM     7
#define EVERY      RH_MS(50)
#define KILL_AT    RH_SECONDS(5)
#define END_AT     RH_SECONDS(20)

typedef enum part { SENT, SEEN, PARTS } part;

typedef struct lane {
    uint32_t     partition;
    rh_producer *producer;
    rh_consumer *consumer;
    rh_timer     timer;
    uint64_t     sends, ends;
    int64_t      seen;
    rh_time      gap_most; /* between two events that were seen */
    rh_time      seen_at;
} lane;

static struct {
    sim_stand stand;
    sim_party out, in;
    lane      lanes[PARTITIONS];
    sim_tale  tales[PARTITIONS][PARTS];
    bool      stopped;
} t;

static sim_tale calm[PARTITIONS][PARTS]; /* of the run in which nothing is killed */

/* -- work ---------------------------------------------------------------------------------------- */

static void on_sent(void *user, rh_producer *producer, const rh_sent *sent)
{
    lane *l = user;
    (void)producer;
    l->ends++;
    if (sent->status != RH_OK) sim_wrong(&t.stand, "a send to partition %u ended as %s", l->partition, rh_status_name(sent->status));
    sim_tale_add(&t.tales[l->partition][SENT], sim_now(&t.stand), sent->status);
}

static void on_event(void *user, rh_consumer *consumer, const rh_event *event)
{
    lane   *l   = user;
    rh_time now = sim_now(&t.stand);
    (void)consumer;
    if (rh_event_sequence_number(event) != l->seen++) sim_wrong(&t.stand, "partition %u: a gap before sequence %lld", l->partition, (long long)rh_event_sequence_number(event));
    if (l->seen_at && now - l->seen_at > l->gap_most) l->gap_most = now - l->seen_at;
    l->seen_at = now;
    sim_tale_add(&t.tales[l->partition][SEEN], now, rh_event_sequence_number(event));
}

/* Each partition has its own rhythm, so that many events fall between two of any other. */
static void on_timer(void *user, rh_time now)
{
    lane         *l     = user;
    rh_event_data event = { .body = rh_str("an event for one partition of thirty-two") };
    if (t.stopped) return;
    if (rh_producer_is_open(l->producer) && rh_producer_in_flight(l->producer) == 0 && rh_producer_send_event(l->producer, &event, 0, NULL) == RH_OK) l->sends++;
    rh_timer_set(&t.stand.loop.loop, &l->timer, now + EVERY + RH_US(l->partition * 17));
}

static void open_lane(uint32_t partition)
{
    lane *l = &t.lanes[partition];
    char  id[12];
    (void)snprintf(id, sizeof id, "%u", partition);
    *l = (lane){ .partition = partition, .timer = { .fn = on_timer, .user = l } };
    rh_status status = rh_producer_open(t.out.client, RH_PRODUCER_OPTS(.partition = id, .batch_bytes = 4096, .handler = { .on_sent = on_sent }, .user = l), &l->producer);
    if (status == RH_OK)
        status = rh_consumer_open(t.in.client, RH_CONSUMER_OPTS(.partition = id, .handler = { .on_event = on_event }, .user = l), &l->consumer);
    if (status != RH_OK) sim_wrong(&t.stand, "partition %u is not opened: %s", partition, rh_status_name(status));
    rh_timer_set(&t.stand.loop.loop, &l->timer, sim_now(&t.stand) + RH_SECONDS(1) + RH_US(partition * 91));
}

/* -- the blow ------------------------------------------------------------------------------------ */

typedef struct a_blow {
    bool        sender, session; /* whose link; its session, too */
    const char *condition;
} a_blow;

static void strike(const a_blow *blow)
{
    const char  *path = blow->sender ? "hub/Partitions/7" : "hub/ConsumerGroups/$Default/Partitions/7";
    rh_emu_link *link = sim_link_of(&t.stand, path, blow->sender);
    if (!link) {
        sim_wrong(&t.stand, "there is no link to %s", path);
        return;
    }
    rh_status status;
    if (blow->session) status = rh_session_end(rh_link_session(link->link), blow->condition, "A test ends this session.");
    else {
        link->is_leaving = true;
        status           = rh_link_detach(link->link, true, blow->condition, "A test detaches this link.");
    }
    if (status != RH_OK) sim_wrong(&t.stand, "the blow failed: %s", rh_status_name(status));
    rh_emu_connection_wake(link->connection);
}

static void judge_victim(const a_blow *blow)
{
    const lane *l     = &t.lanes[VICTIM];
    uint64_t    tries = t.out.retries + t.in.retries;
    if (tries != 1) sim_wrong(&t.stand, "%llu links were lost instead of one", (unsigned long long)tries);
    if (l->ends != l->sends || l->seen < (int64_t)l->sends) sim_wrong(&t.stand, "partition %u: %llu sends, %llu ended, %lld seen", VICTIM, (unsigned long long)l->sends, (unsigned long long)l->ends, (long long)l->seen);
    if (t.out.losses + t.in.losses || t.stand.loop.wires != 2) sim_wrong(&t.stand, "a connection was lost with a link");
    if (!blow->sender && sim_tale_differs(&calm[VICTIM][SENT], &t.tales[VICTIM][SENT]) != SIZE_MAX) sim_wrong(&t.stand, "the producer felt what its consumer met");
}

static void judge_others(void)
{
    static const char *const names[PARTS] = { "producer", "consumer" };
    for (uint32_t i = 0; i < PARTITIONS; i++)
        for (int p = 0; p < PARTS && i != VICTIM; p++) {
            const sim_tale *a = &calm[i][p], *b = &t.tales[i][p];
            size_t          line = sim_tale_differs(a, b);
            if (line == SIZE_MAX) continue;
            double before = line < a->count ? (double)(a->lines[line].at - t.stand.trace.origin) / 1e9 : 0, now = line < b->count ? (double)(b->lines[line].at - t.stand.trace.origin) / 1e9 : 0;
            sim_wrong(&t.stand, "the %s of partition %u tells line %zu at %.9f s instead of %.9f", names[p], i, line, now, before);
        }
}

static bool run_once(const a_blow *blow, size_t *lines, rh_time *gap)
{
    memset(&t, 0, sizeof t);
    sim_stand_open(&t.stand, RH_EMULATOR_OPTS(.hubs = SIM_HUB(PARTITIONS)));
    sim_party_make(&t.out, &t.stand, RH_CLIENT_OPTS(.links = PARTITIONS));
    sim_party_make(&t.in, &t.stand, RH_CLIENT_OPTS(.links = PARTITIONS));
    rh_time begin = sim_now(&t.stand);
    for (uint32_t i = 0; i < PARTITIONS; i++) open_lane(i);
    sim_pass_until(&t.stand, begin + KILL_AT);
    if (blow) strike(blow);
    sim_pass_until(&t.stand, begin + END_AT);
    t.stopped = true;
    sim_pass(&t.stand, RH_SECONDS(2));
    if (blow) {
        judge_victim(blow);
        judge_others();
        if (!blow->sender && t.lanes[VICTIM].gap_most > *gap) *gap = t.lanes[VICTIM].gap_most;
    }
    for (uint32_t i = 0; i < PARTITIONS; i++) {
        rh_producer_destroy(t.lanes[i].producer);
        rh_consumer_destroy(t.lanes[i].consumer);
        for (int p = 0; p < PARTS; p++) {
            *lines += i == VICTIM ? 0 : t.tales[i][p].count;
            if (blow) sim_tale_drop(&t.tales[i][p]);
            else calm[i][p] = t.tales[i][p];
        }
    }
    sim_party_close(&t.out);
    sim_party_close(&t.in);
    sim_stand_close(&t.stand);
    return !sim_is_wrong(&t.stand);
}

bool sim_run_kill(void)
{
    static const char *const conditions[] = { "amqp:link:detach-forced", "amqp:internal-error", "com.microsoft:operation-cancelled", NULL };
    size_t  lines = 0, first;
    unsigned blows = 0;
    rh_time gap = 0;
    bool    right = run_once(NULL, &lines, &gap);
    first = lines;
    for (unsigned i = 0; i < 16 && right; i++, blows++)
        right = run_once(&(a_blow){ .sender = i & 1, .session = i & 2, .condition = conditions[i / 4] }, &lines, &gap);
    for (uint32_t i = 0; i < PARTITIONS; i++)
        for (int p = 0; p < PARTS; p++) sim_tale_drop(&calm[i][p]);
    return sim_report(&t.stand, "kill", "%u blows (detach, end; producer, consumer; 4 conditions): %zu lines of the 31 others each, equal in time and sequence; 0 ms lost; the one itself was without events for at most %.0f ms",
                      blows, first, (double)gap / 1e6);
}
