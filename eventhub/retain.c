#include "eventhub/consumer.h"

rh_event *rh_consumer_take_gather(rh_consumer *consumer)
{
    return rh_cells_take(&consumer->cells, sizeof(rh_event) + consumer->event_bytes);
}

bool rh_consumer_furnish(rh_consumer *consumer)
{
    if (!rh_cells_furnish(&consumer->cells)) return false;
    /* At once, while there is room: a delivery of several frames must find a place to be put together in. */
    if (!consumer->gather) consumer->gather = rh_consumer_take_gather(consumer);
    rh_consumer_look_later(consumer);
    return true;
}

void rh_consumer_look_later(rh_consumer *consumer)
{
    if (consumer->timer.is_set || consumer->destroyed || consumer->keeps) return;
    rh_timer_set(consumer->loop, &consumer->timer, rh_time_after(rh_loop_now(consumer->loop), RH_CELLS_REST));
}

/** The engine lets go of the gather block; false: it is in the middle of a delivery or of a goodbye. */
static bool leave_gather(rh_consumer *consumer)
{
    rh_link *link = rh_attachment_link(&consumer->attachment);
    if (link ? rh_link_gather(link, NULL, 0) != RH_OK : !rh_attachment_is_gone(&consumer->attachment)) return false;
    consumer->gather = NULL;
    return true;
}

void rh_consumer_on_look(void *user, rh_time now)
{
    rh_consumer *consumer = user;
    bool stirred = consumer->cells.stirred;
    (void)now;
    if (consumer->asks) {
        rh_latest_give_up(consumer);
        return;
    }
    if (consumer->attachment.state == RH_ATTACHMENT_LEAVING) rh_consumer_end_rewind(consumer); /* which frees nothing before it is gone */
    if (consumer->keeps) return;
    consumer->cells.stirred = false;
    if (!stirred && consumer->held) return; /* for long: its release comes back here */
    if (!stirred && leave_gather(consumer)) rh_cells_fini(&consumer->cells);
    else rh_consumer_look_later(consumer);
}

/** Makes the piece an event of its own. The bytes have been viewed once already, so they are a message. */
static rh_event *settle_in(rh_consumer *consumer, rh_event *kept, rh_slice encoded)
{
    rh_status status = rh_event_view(kept, consumer, encoded);
    (void)status;
    rh_event_read_stamps(kept);
    kept->refs = 1;
    kept->memory = sizeof(rh_event) + encoded.n;
    kept->gathered = false;
    consumer->held++;
    return kept;
}

static rh_event *copy(rh_consumer *consumer, rh_slice encoded)
{
    rh_event *kept = rh_cells_take(&consumer->cells, sizeof(rh_event) + encoded.n);
    if (!kept) return NULL;
    memcpy(kept + 1, encoded.p, encoded.n);
    return settle_in(consumer, kept, rh_slice_of(kept + 1, encoded.n));
}

/** The gather block stays with its event and the engine gets another, if there is one: no byte is moved. */
static rh_event *give_up_gather(rh_consumer *consumer, rh_slice encoded)
{
    rh_link *link = rh_attachment_link(&consumer->attachment);
    rh_event *fresh = link ? rh_consumer_take_gather(consumer) : NULL;
    if (!fresh) return NULL;
    size_t block = sizeof(rh_event) + consumer->event_bytes;
    if (rh_link_gather(link, rh_gather_bytes(fresh), consumer->event_bytes) != RH_OK) {
        rh_cells_give(&consumer->cells, fresh, block);
        return NULL;
    }
    rh_event *kept = consumer->gather;
    consumer->gather = fresh;
    rh_cells_trim(&consumer->cells, kept, block, sizeof(rh_event) + encoded.n);
    return settle_in(consumer, kept, encoded);
}

rh_status rh_event_retain(const rh_event *event, const rh_event **out)
{
    rh_event *lent = (rh_event *)event; /* every event lies in memory of the consumer, which is not const */
    rh_event *kept = lent->refs ? lent : lent->kept;
    *out = kept;
    if (kept) {
        kept->refs++;
        return RH_OK;
    }
    rh_consumer *consumer = lent->consumer;
    if (!rh_consumer_furnish(consumer)) return RH_E_MEMORY;
    if (lent->gathered) kept = give_up_gather(consumer, lent->encoded);
    if (!kept) kept = copy(consumer, lent->encoded);
    *out = lent->kept = kept;
    return kept ? RH_OK : RH_AGAIN;
}

void rh_event_release(const rh_event *event)
{
    rh_event *kept = (rh_event *)event;
    if (!kept || --kept->refs) return;
    rh_consumer *consumer = kept->consumer;
    rh_consumer_enter(consumer);
    rh_cells_give(&consumer->cells, kept, kept->memory);
    rh_consumer_look_later(consumer);
    consumer->held--;
    if (consumer->lent.kept == kept) consumer->lent.kept = NULL;
    rh_consumer_renew(consumer);
    rh_consumer_rewind_if_room(consumer);
    rh_consumer_leave(consumer);
}
