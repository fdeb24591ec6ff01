/*
 * Where "latest" is. Until its first event a consumer that is lost could come back to "@latest" only, which has moved on meanwhile.
 * So the partition is asked for its last event, beside the tokens and links that an opening waits for anyway, and OPEN is told when
 * the link is there and the answer, too: reading goes on behind that event, whatever becomes of the link. What was enqueued between
 * the question and OPEN may come or not, as with any two things that are asked at once; what is enqueued after OPEN comes.
 */
#include "eventhub/connection.h"
#include "eventhub/consumer.h"

/* What the answer may cost an opening whose link is there already. */
#define PATIENCE RH_SECONDS(5)

static void settle(rh_consumer *consumer)
{
    rh_consumer_enter(consumer);
    bool ready = consumer->state == RH_CONSUMER_OPENING && rh_attachment_link(&consumer->attachment);
    if (ready) rh_consumer_opened(consumer);
    rh_consumer_leave(consumer);
}

static void on_answer(void *user, const rh_partition_properties *properties, const rh_error *error)
{
    rh_consumer *consumer = (rh_consumer *)(void *)((char *)user - offsetof(rh_consumer, asks));
    bool         vague    = consumer->position.kind == RH_POSITION_LATEST;
    consumer->asks        = false;
    if (vague && error) {
        rh_client_log(consumer->client, RH_LOG_WARNING, "consumer.latest", "events may be missed if the link is lost before the first comes: ",
                      error->description, NULL);
    } else if (vague) {
        int64_t last = properties->last_enqueued_sequence_number;
        /* Before the first event of all there is no number to be behind. */
        if (last < 0) consumer->position = (rh_position){ .kind = RH_POSITION_EARLIEST };
        else consumer->position = (rh_position){ .kind = RH_POSITION_SEQUENCE, .value = last };
    }
    settle(consumer);
}

void rh_latest_ask(rh_consumer *consumer)
{
    rh_client *client = consumer->client;
    rh_time    until = consumer->attachment.open_until, now = rh_loop_now(consumer->loop);
    uint64_t   ms    = until > now ? (until - now) / RH_MS(1) : 0;
    /* Who does not come back needs no place to come back to. */
    if (consumer->position.kind != RH_POSITION_LATEST || client->retry.off) return;
    consumer->asks = true;
    rh_client_partition_properties(client, consumer->partition, ms > UINT32_MAX ? UINT32_MAX : (uint32_t)ms + 1, on_answer, &consumer->asks);
}

bool rh_latest_waits(rh_consumer *consumer)
{
    if (!consumer->asks || consumer->position.kind != RH_POSITION_LATEST) return false;
    rh_time until = rh_time_after(rh_loop_now(consumer->loop), PATIENCE), deadline = consumer->attachment.open_until;
    rh_timer_set(consumer->loop, &consumer->timer, until < deadline ? until : deadline);
    return true;
}

void rh_latest_forget(rh_consumer *consumer)
{
    if (!consumer->asks) return;
    consumer->asks = false;
    rh_inquiries_forget(consumer->client, &consumer->asks);
}

void rh_latest_give_up(rh_consumer *consumer)
{
    if (!rh_attachment_link(&consumer->attachment)) return; /* lost again: on_up comes back here */
    rh_latest_forget(consumer);
    rh_client_log(consumer->client, RH_LOG_WARNING, "consumer.latest", "events may be missed if the link is lost before the first comes: ",
                  "$management did not answer in time", NULL);
    settle(consumer);
}
