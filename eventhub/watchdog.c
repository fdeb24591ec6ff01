/*
 * Tells of a partition that holds events and sends none. It looks from time to time whether reading went on, so that an event costs
 * nothing, and asks the service only when it has not for as long as was said, though there is credit for more.
 */
#include "eventhub/connection.h"
#include "eventhub/consumer.h"

/* How often it looks in the time that was said: what it tells is at most this part late. */
#define LOOKS 8

struct rh_watchdog {
    rh_consumer *consumer;
    rh_timer     timer;
    rh_time      patience;
    rh_time      quiet_since;
    rh_position  seen; /* where reading was then */
    int64_t      last; /* of the partition when it was asked before; -1: nothing, or it was not */
    bool         asks, asked;
};

static bool went_on(const rh_watchdog *w)
{
    const rh_position *now = &w->consumer->position;
    return now->kind != w->seen.kind || now->value != w->seen.value;
}

/* From now on it counts anew. */
static void rest(rh_watchdog *w)
{
    w->quiet_since = rh_loop_now(w->consumer->loop);
    w->seen        = w->consumer->position;
}

/* Somebody could send, and is allowed to. */
static bool is_fed(const rh_consumer *consumer)
{
    rh_link *link = rh_attachment_link(&consumer->attachment);
    return link && consumer->state == RH_CONSUMER_OPEN && !consumer->rewinding && rh_link_credit_left(link) > 0;
}

/* Who knows no place yet can only tell that there is more than there was. */
static bool holds_more(const rh_watchdog *w, const rh_partition_properties *partition)
{
    const rh_position *position = &w->consumer->position;
    int64_t            last     = partition->last_enqueued_sequence_number;
    if (position->kind == RH_POSITION_SEQUENCE) return position->inclusive ? last >= position->value : last > position->value;
    if (position->kind == RH_POSITION_EARLIEST) return !partition->is_empty;
    return w->asked && last > w->last;
}

static void on_answer(void *user, const rh_partition_properties *partition, const rh_error *error)
{
    rh_watchdog *w        = user;
    rh_consumer *consumer = w->consumer;
    (void)error;
    w->asks = false;
    if (!partition || went_on(w) || !is_fed(consumer)) return;
    bool stalled = holds_more(w, partition);
    rest(w);
    w->last  = partition->last_enqueued_sequence_number;
    w->asked = true;
    if (!stalled) return;
    rh_client_log(consumer->client, RH_LOG_WARNING, "consumer.stalled", "events wait in partition ", consumer->partition, " and none comes");
    if (!consumer->handler.on_stalled || consumer->destroyed) return;
    rh_consumer_enter(consumer);
    consumer->handler.on_stalled(consumer->user, consumer, partition->last_enqueued_sequence_number);
    rh_consumer_leave(consumer);
}

static void on_timer(void *user, rh_time now)
{
    rh_watchdog *w        = user;
    rh_consumer *consumer = w->consumer;
    uint64_t     ms       = w->patience / RH_MS(1);
    rh_timer_set(consumer->loop, &w->timer, rh_time_after(now, w->patience / LOOKS));
    if (went_on(w) || !is_fed(consumer)) rest(w);
    if (w->asks || now < rh_time_after(w->quiet_since, w->patience)) return;
    w->asks = true;
    rh_client_partition_properties(consumer->client, consumer->partition, ms > UINT32_MAX ? UINT32_MAX : (uint32_t)ms, on_answer, w);
}

rh_status rh_watchdog_create(rh_consumer *consumer, uint32_t stall_ms)
{
    rh_watchdog *w = consumer->allocator.alloc(consumer->allocator.user, sizeof *w);
    if (!w) return RH_E_MEMORY;
    *w = (rh_watchdog){ .consumer = consumer, .patience = RH_MS(stall_ms), .last = -1, .timer = { .fn = on_timer, .user = w } };
    consumer->watchdog = w;
    rest(w);
    rh_timer_set(consumer->loop, &w->timer, rh_time_after(w->quiet_since, w->patience / LOOKS));
    return RH_OK;
}

void rh_watchdog_destroy(rh_consumer *consumer)
{
    rh_watchdog *w = consumer->watchdog;
    if (!w) return;
    consumer->watchdog = NULL;
    rh_timer_cancel(consumer->loop, &w->timer);
    if (w->asks) rh_inquiries_forget(consumer->client, w);
    consumer->allocator.free(consumer->allocator.user, w, sizeof *w);
}
