#include "eventhub/consumer.h"

/* -- credit --------------------------------------------------------------------------------------- */

/* How fast the memory of a large event fades: after 64 small ones it counts for a third. */
#define FADE 64

static void note_size(rh_consumer *consumer, size_t n)
{
    if (n >= consumer->largest) consumer->largest = n;
    else consumer->largest -= (consumer->largest - n) / FADE;
}

/** How many events may be on their way: bounded by count, and by the room for them if they are as large as the last ones. */
static uint32_t wanted(const rh_consumer *consumer)
{
    size_t left = rh_cells_left(&consumer->cells);
    if (!consumer->gather) left -= rh_cells_round(sizeof(rh_event) + consumer->event_bytes); /* set aside as soon as the pool is there */
    size_t room = left / rh_cells_round(sizeof(rh_event) + consumer->largest);
    size_t ahead = consumer->prefetch > consumer->waiting ? consumer->prefetch - consumer->waiting : 0;
    if (room < ahead) ahead = room;
    if (!ahead && !consumer->held) ahead = 1; /* an empty pool always has room for one */
    return (uint32_t)ahead;
}

void rh_consumer_renew(rh_consumer *consumer)
{
    bool reads = consumer->state == RH_CONSUMER_OPEN || consumer->state == RH_CONSUMER_OPENING;
    if (!reads || consumer->rewinding || consumer->destroyed) return;
    rh_link *link = rh_attachment_link(&consumer->attachment);
    if (!link) return;
    uint32_t left = rh_link_credit_left(link);
    if (left > consumer->prefetch / 2) return;
    uint32_t credit = wanted(consumer);
    /* Only ever more, and half of it at a time: a flow for each event would cost more than the event. */
    if (credit <= left || left > credit / 2) return;
    if (rh_link_credit(link, credit) == RH_OK) rh_client_wake(consumer->client);
}

/* -- in ------------------------------------------------------------------------------------------- */

/* Whatever happens to the link, reading goes on behind this one. */
static void move_on(rh_consumer *consumer, int64_t sequence)
{
    if (sequence >= 0) consumer->position = (rh_position){ .kind = RH_POSITION_SEQUENCE, .value = sequence };
}

/* The first event of all found no room: it is the one to come back to. */
static void come_back_to(rh_consumer *consumer, int64_t sequence)
{
    bool has_place = consumer->position.kind == RH_POSITION_SEQUENCE && consumer->position.value >= 0;
    if (!has_place && sequence >= 0) consumer->position = (rh_position){ .kind = RH_POSITION_SEQUENCE, .value = sequence, .inclusive = true };
}

static void enqueue(rh_consumer *consumer)
{
    const rh_event *kept;
    if (rh_event_retain(&consumer->lent, &kept) != RH_OK) {
        come_back_to(consumer, rh_event_sequence_number(&consumer->lent));
        rh_consumer_rewind(consumer);
        return;
    }
    rh_event *event = (rh_event *)kept;
    event->next = NULL;
    if (consumer->last) consumer->last->next = event;
    else consumer->first = event;
    consumer->last = event;
    consumer->waiting++;
    consumer->stirred = true;
    move_on(consumer, rh_event_sequence_number(kept));
}

void rh_consumer_delivery(rh_consumer *consumer, const rh_incoming *in)
{
    if (consumer->rewinding || consumer->over || consumer->error.status) return;
    if (rh_event_view(&consumer->lent, consumer, in->payload) != RH_OK) {
        rh_consumer_fail(consumer, RH_E_DECODE, "a delivery is no AMQP message");
        return;
    }
    consumer->lent.gathered = in->gathered;
    if (in->gathered) consumer->cells.stirred = true; /* the gather block is in use, though nothing is taken */
    rh_link *link = rh_attachment_link(&consumer->attachment);
    /* Events are never taken out of a partition, so this tells nobody anything; a peer may count on it all the same. */
    if (!in->settled && link) (void)rh_link_settle(link, in->delivery_id, in->delivery_id, RH_ACCEPTED, NULL, NULL);
    note_size(consumer, in->payload.n);

    if (consumer->handler.on_event) {
        move_on(consumer, rh_event_sequence_number(&consumer->lent));
        consumer->handler.on_event(consumer->user, consumer, &consumer->lent);
    } else enqueue(consumer);
    rh_consumer_renew(consumer);
}

/* -- out to whoever asks --------------------------------------------------------------------------- */

rh_status rh_consumer_receive(rh_consumer *consumer, const rh_event **out)
{
    rh_event *event = consumer->first;
    *out = event;
    if (event) {
        consumer->first = event->next;
        if (!consumer->first) consumer->last = NULL;
        event->next = NULL;
        consumer->waiting--;
        rh_consumer_renew(consumer);
        return RH_OK;
    }
    if (consumer->handler.on_event) return RH_E_STATE;
    if (consumer->over) return consumer->error.status ? consumer->error.status : RH_E_CLOSED;
    return RH_AGAIN;
}

rh_status rh_consumer_receive_wait(rh_consumer *consumer, const rh_event **out, uint32_t timeout_ms)
{
    *out = NULL;
    if (rh_loop_in_callback(consumer->loop)) return RH_E_REENTRANT;
    rh_status status = rh_consumer_receive(consumer, out);
    if (status != RH_AGAIN) return status;
    rh_time deadline = rh_client_deadline(consumer->client, timeout_ms);
    while (status == RH_AGAIN) {
        consumer->stirred = false;
        status = rh_client_wait(consumer->client, &consumer->stirred, deadline);
        if (status == RH_OK) status = rh_consumer_receive(consumer, out);
    }
    return status;
}
