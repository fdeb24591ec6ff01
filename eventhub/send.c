#include "eventhub/producer.h"

#include "eventhub/event_data.h"
#include "eventhub/retry.h"

#include <assert.h>

/* -- the list of sends, in order ----------------------------------------------------------------- */

static rh_send *take_slot(rh_producer *producer)
{
    rh_send *send = producer->free_sends;
    producer->free_sends = send->next;
    return send;
}

static void free_slot(rh_producer *producer, rh_send *send)
{
    send->state = RH_SEND_FREE;
    send->batch = NULL;
    send->delivery = NULL;
    send->next = producer->free_sends;
    producer->free_sends = send;
}

static void append(rh_producer *producer, rh_send *send)
{
    send->prev = producer->last;
    send->next = NULL;
    if (producer->last) producer->last->next = send;
    else producer->first = send;
    producer->last = send;
    if (!producer->next_to_go) producer->next_to_go = send;
    producer->taken++;
    producer->idle = false;
}

/* Behind one that goes out again there may be some that still fly. */
static void pass_by(rh_producer *producer)
{
    do producer->next_to_go = producer->next_to_go->next;
    while (producer->next_to_go && producer->next_to_go->state != RH_SEND_WAITING);
}

static void unlink_send(rh_producer *producer, rh_send *send)
{
    if (send == producer->next_to_go) pass_by(producer);
    if (send->prev) send->prev->next = send->next;
    else producer->first = send->next;
    if (send->next) send->next->prev = send->prev;
    else producer->last = send->prev;
    producer->taken--;
    producer->idle = producer->taken == 0;
}

/* -- how a send ends ------------------------------------------------------------------------------ */

static void tell(rh_producer *producer, rh_batch *batch, const rh_send *send, rh_status status, const rh_error *error)
{
    if (producer->destroyed || !producer->handler.on_sent) return;
    rh_sent sent = {
        .batch = rh_batch_is_single(batch) ? NULL : batch, .tag = send->tag, .events = batch->envelope.count,
        .bytes = batch->envelope.used, .tries = send->tries, .status = status, .error = status ? error : NULL,
    };
    producer->handler.on_sent(producer->user, producer, &sent);
}

static void answer(rh_send_wait *wait, rh_batch *batch, rh_status status, const rh_error *error)
{
    wait->done = true;
    wait->status = status;
    if (wait->error && status) *wait->error = *error;
    if (status && !rh_batch_is_single(batch)) batch->state = RH_BATCH_KEPT;
}

/** Tells the outcome. The slot stays taken while the engine still points into the batch. */
static void finish(rh_producer *producer, rh_send *send, rh_status status, const rh_error *error)
{
    rh_batch *batch = send->batch;
    rh_send_wait *wait = send->wait;
    rh_send ended = *send;
    unlink_send(producer, send);
    batch->state = RH_BATCH_TOLD;
    send->wait = NULL;
    if (send->delivery) send->state = RH_SEND_LATE, producer->late++;
    else free_slot(producer, send); /* before the callback, which may send the next one */

    if (wait) answer(wait, batch, status, error);
    else tell(producer, batch, &ended, status, error);
    if (batch->state == RH_BATCH_TOLD) rh_batch_drop(batch);
}

static void finish_own(rh_producer *producer, rh_send *send, rh_status status, const char *words)
{
    rh_error error;
    rh_error_own(&error, status, words, NULL, NULL);
    finish(producer, send, status, &error);
}

/* A try that was refused says nothing of one before it whose answer was lost. */
static void finish_refused(rh_producer *producer, rh_send *send, const rh_error *why)
{
    rh_error unknown;
    if (send->unknown) rh_error_own(&unknown, RH_E_OUTCOME_UNKNOWN, "no answer came to one try, and another was refused: ", why->description, NULL);
    finish(producer, send, send->unknown ? RH_E_OUTCOME_UNKNOWN : why->status, send->unknown ? &unknown : why);
}

static void after(rh_producer *producer)
{
    rh_producer_refresh(producer);
    if (!producer->taken) rh_producer_drained(producer);
}

/** The link is down and the reason is known. */
static void end_as_told(rh_producer *producer)
{
    rh_error why;
    rh_story_read(&producer->error, &why);
    rh_sends_end(producer, &why);
}

/* The engine's slot of what is being told is free when its callback is over, and nobody else tells of that. */
static void go_after_this(rh_producer *producer)
{
    rh_link *link = producer->down ? NULL : rh_attachment_link(&producer->attachment);
    if (link && producer->next_to_go && rh_link_credit_left(link)) rh_producer_arm(producer, 0);
}

/* -- going out again ------------------------------------------------------------------------------ */

/* The first in order that waits is the next to go, whatever was sent behind it before. */
static void line_up(rh_producer *producer)
{
    producer->next_to_go = producer->first;
    while (producer->next_to_go && producer->next_to_go->state != RH_SEND_WAITING) producer->next_to_go = producer->next_to_go->next;
}

void rh_sends_lost(rh_producer *producer)
{
    for (rh_send *send = producer->first, *next; send; send = next) {
        next = send->next;
        if (send->state != RH_SEND_DROPPED && send->state != RH_SEND_UNKNOWN) continue;
        if (send->state == RH_SEND_UNKNOWN) send->unknown = true;
        if (send->unknown && producer->once) {
            finish_own(producer, send, RH_E_OUTCOME_UNKNOWN, "no answer came before the link was lost");
            next = producer->first; /* the callback may have ended others */
            if (producer->destroyed) return;
        } else send->state = RH_SEND_WAITING;
    }
    line_up(producer);
    after(producer);
}

/* A service that is busy gets it again, when it said and while there is time. */
static void refused_by_service(rh_producer *producer, rh_send *send, const rh_outcome *outcome)
{
    rh_error error;
    (void)rh_error_of_outcome(&error, outcome);
    bool      again  = error.error_class == RH_CLASS_TRANSIENT && !producer->down && !producer->destroyed && rh_retry_may(producer->client, send->tries);
    rh_time   now    = rh_loop_now(producer->loop);
    if (again) send->again = rh_time_after(now, rh_retry_wait(producer->client, rh_attachment_audience(&producer->attachment), send->tries, &error));
    if (!again || send->again >= send->deadline) {
        finish_refused(producer, send, &error);
        return;
    }
    send->state = RH_SEND_WAITING;
    line_up(producer);
    rh_producer_arm(producer, send->again);
}

void rh_sends_outcome(rh_producer *producer, rh_delivery *delivery, const rh_outcome *outcome)
{
    rh_send *send = rh_delivery_user(delivery);
    assert(send && send->delivery == delivery);
    send->delivery = NULL;
    rh_batch_unlend(send->batch);
    if (send->state == RH_SEND_LATE) {
        producer->late--;
        free_slot(producer, send);
        go_after_this(producer);
        rh_producer_refresh(producer);
        return;
    }
    /* The link died under it; on_lost or on_down, next, says of what. */
    if (outcome->kind == RH_DROPPED) send->state = RH_SEND_DROPPED;
    else if (outcome->kind == RH_UNKNOWN) send->state = RH_SEND_UNKNOWN;
    else if (outcome->kind == RH_ACCEPTED) finish(producer, send, RH_OK, NULL);
    else refused_by_service(producer, send, outcome);
    if (producer->lost) rh_sends_lost(producer);
    if (producer->down) end_as_told(producer);
    else rh_sends_go(producer);
    go_after_this(producer);
    after(producer);
}

static void expire(rh_producer *producer, rh_send *send)
{
    if (send->state == RH_SEND_REFUSED) {
        rh_error error;
        rh_error_own(&error, send->refusal, rh_status_words(send->refusal), NULL, NULL);
        finish_refused(producer, send, &error);
        return;
    }
    bool left = send->state == RH_SEND_UNKNOWN || send->unknown, waits = send->state == RH_SEND_WAITING;
    /* Once down, the link may not be asked any more, and what it still lends may have left. */
    if (send->state == RH_SEND_FLYING && !left) left = producer->down || producer->lost || rh_delivery_abort(send->delivery) != RH_OK;
    if (left) finish_own(producer, send, RH_E_OUTCOME_UNKNOWN, "the deadline passed without an answer from the service");
    else finish_own(producer, send, RH_E_TIMEOUT, "the deadline passed before the event could leave");
    if (waits) rh_producer_doubt(producer); /* for credit that those without answer have used up, it may be */
}

void rh_sends_expire(rh_producer *producer, rh_time now, bool all)
{
    bool any = false;
    for (rh_send *send = producer->first, *next; send; send = next) {
        next = send->next;
        if (!all && send->state != RH_SEND_REFUSED && send->deadline > now) continue;
        any = true;
        expire(producer, send);
        next = producer->first; /* the callback may have ended others */
        if (producer->destroyed) break;
    }
    if (!any) return;
    if (!producer->down && rh_attachment_link(&producer->attachment)) rh_client_wake(producer->client);
    after(producer);
}

void rh_sends_end(rh_producer *producer, const rh_error *why)
{
    rh_error error = *why;
    if (error.status == RH_OK) rh_error_own(&error, RH_E_CLOSED, "the producer was closed", NULL, NULL);
    /* In order: what is lent to the kernel still gets its outcome, and those behind it wait for that. */
    for (rh_send *send; (send = producer->first) && send->state != RH_SEND_FLYING;) {
        if (send->state == RH_SEND_UNKNOWN || send->unknown) {
            rh_error unknown;
            rh_error_own(&unknown, RH_E_OUTCOME_UNKNOWN, "no answer came before the end: ", error.description, NULL);
            finish(producer, send, RH_E_OUTCOME_UNKNOWN, &unknown);
        } else {
            finish(producer, send, error.status, &error);
        }
    }
    after(producer);
}

void rh_sends_gone(rh_producer *producer)
{
    for (rh_send *send = producer->first; send; send = send->next) {
        if (send->state != RH_SEND_FLYING) continue;
        send->delivery = NULL;
        rh_batch_unlend(send->batch);
        send->state = RH_SEND_UNKNOWN;
    }
    end_as_told(producer);
}

bool rh_sends_fly(const rh_producer *producer)
{
    const rh_send *send = producer->first;
    while (send && send->state != RH_SEND_FLYING) send = send->next;
    return send != NULL;
}

/* -- out ------------------------------------------------------------------------------------------ */

static rh_status go(rh_send *send, rh_link *link)
{
    rh_batch *batch = send->batch;
    rh_slice bytes = rh_envelope_bytes(&batch->envelope);
    rh_transfer transfer = { .parts = &bytes, .part_count = 1, .message_format = batch->format, .user = send };
    rh_status status = rh_link_send(link, &transfer, &send->delivery);
    if (status) return status;
    send->state = RH_SEND_FLYING;
    send->tries++;
    batch->lent++;
    return RH_OK;
}

/* The client's delivery slots may all be others': nobody tells us when one is free, so look again soon. */
#define RETRY_SLOT RH_MS(1)

void rh_sends_go(rh_producer *producer)
{
    rh_link *link = producer->down ? NULL : rh_attachment_link(&producer->attachment);
    bool any = false;
    while (link && producer->next_to_go) {
        rh_send *send = producer->next_to_go;
        if (send->again > rh_loop_now(producer->loop)) {
            rh_producer_arm(producer, send->again);
            break;
        }
        rh_status status = go(send, link);
        bool full = status == RH_AGAIN && rh_link_credit_left(link) > 0;
        if (full && rh_loan_delivery(producer->client)) status = go(send, link);
        if (status == RH_AGAIN) {
            bool others = rh_link_credit_left(link) && !rh_link_unsettled(link);
            if (others) rh_producer_arm(producer, rh_time_after(rh_loop_now(producer->loop), RETRY_SLOT));
            break;
        }
        if (status == RH_E_STATE) break; /* on its way down: on_down ends what waits */
        pass_by(producer);
        any = true;
        if (status == RH_OK) continue;
        send->state = RH_SEND_REFUSED;
        send->refusal = status;
        rh_producer_arm(producer, 0);
    }
    if (any) rh_client_wake(producer->client);
}

static void submit(rh_producer *producer, rh_batch *batch, rh_time deadline, void *tag, rh_send_wait *wait)
{
    rh_send *send = take_slot(producer);
    if (!deadline) deadline = rh_client_deadline(producer->client, 0);
    *send = (rh_send){ .batch = batch, .tag = tag, .wait = wait, .deadline = deadline, .state = RH_SEND_WAITING };
    batch->state = RH_BATCH_SENT;
    append(producer, send);
    rh_producer_arm(producer, deadline);
    rh_sends_go(producer);
}

static rh_status send_batch(rh_producer *producer, rh_batch *batch, rh_time deadline, void *tag, rh_send_wait *wait)
{
    if (batch->producer != producer || !batch->envelope.count) return RH_E_ARGUMENT;
    if (batch->state == RH_BATCH_SENT || batch->state == RH_BATCH_DEAD) return RH_E_STATE;
    rh_status status = rh_producer_admit(producer, batch->envelope.used);
    if (status) return status;
    if (batch->state == RH_BATCH_FILLING) rh_batch_seal(batch);
    submit(producer, batch, deadline, tag, wait);
    return RH_OK;
}

/* Memory for an event; its exact size is asked only where a guess above it is too much. */
static rh_status take_single(rh_producer *producer, const rh_event_data *event, const rh_message_fields *fields, rh_batch **out)
{
    size_t n = rh_event_data_most(event);
    rh_status status = n ? rh_producer_admit(producer, n) : RH_E_TOO_BIG;
    if (status == RH_E_TOO_BIG) status = rh_producer_admit(producer, n = rh_message_size(fields));
    return status ? status : rh_batch_take(producer, rh_slice_of(NULL, 0), n, out);
}

static rh_status encode_single(rh_producer *producer, const rh_event_data *event, const rh_message_fields *fields, rh_batch **out)
{
    rh_batch *batch = NULL;
    rh_status status = take_single(producer, event, fields, &batch);
    if (status) return status;
    rh_enc enc = rh_enc_of(batch->envelope.p, batch->envelope.n);
    status = rh_message_write(&enc, fields);
    if (status) {
        rh_batch_drop(batch);
        return status;
    }
    batch->format = RH_FORMAT_MESSAGE;
    batch->envelope.used = rh_enc_size(&enc);
    batch->envelope.count = 1;
    rh_batch_seal(batch);
    *out = batch;
    return RH_OK;
}

static rh_status send_event(rh_producer *producer, const rh_event_data *event, rh_time deadline, void *tag, rh_send_wait *wait)
{
    if (event->partition_key.p && producer->partition) return RH_E_CONFLICT;
    rh_message_fields fields;
    rh_batch *batch = NULL;
    rh_status status = rh_event_fields_of(&fields, event, rh_slice_of(NULL, 0));
    if (!status) status = encode_single(producer, event, &fields, &batch);
    if (!status) submit(producer, batch, deadline, tag, wait);
    return status;
}

rh_status rh_producer_send(rh_producer *producer, rh_batch *batch, rh_time deadline, void *tag)
{
    return send_batch(producer, batch, deadline, tag, NULL);
}

rh_status rh_producer_send_event(rh_producer *producer, const rh_event_data *event, rh_time deadline, void *tag)
{
    return send_event(producer, event, deadline, tag, NULL);
}

/* -- out, and wait -------------------------------------------------------------------------------- */

/** Ends the send that `wait`, on the stack of its caller, belongs to. */
static void give_up(rh_producer *producer, rh_send_wait *wait)
{
    for (rh_send *send = producer->first; send; send = send->next) {
        if (send->wait != wait) continue;
        expire(producer, send);
        if (!producer->down && rh_attachment_link(&producer->attachment)) rh_client_wake(producer->client);
        after(producer);
        return;
    }
}

/** What is sent and waited for: a batch, or else an event. */
struct cargo {
    rh_batch            *batch;
    const rh_event_data *event;
};

static rh_status load(rh_producer *producer, const struct cargo *cargo, rh_time deadline, rh_send_wait *wait)
{
    if (cargo->batch) return send_batch(producer, cargo->batch, deadline, NULL, wait);
    return send_event(producer, cargo->event, deadline, NULL, wait);
}

static rh_status refused(rh_producer *producer, rh_status status, rh_error *error)
{
    if (!error) return status;
    if (status == producer->error.status) rh_story_read(&producer->error, error);
    else rh_error_own(error, status, rh_status_words(status), NULL, NULL);
    return status;
}

static rh_status send_wait(rh_producer *producer, const struct cargo *cargo, uint32_t timeout_ms, rh_error *error)
{
    if (rh_loop_in_callback(producer->loop)) return refused(producer, RH_E_REENTRANT, error);
    if (producer->down) return refused(producer, rh_producer_end_status(producer), error);

    rh_time deadline = rh_client_deadline(producer->client, timeout_ms);
    rh_send_wait wait = { .error = error };
    rh_status status;
    while ((status = load(producer, cargo, deadline, &wait)) == RH_AGAIN) {
        status = rh_client_wait(producer->client, &producer->roomy, deadline);
        if (status) break;
    }
    if (status) return refused(producer, status, error);

    status = rh_client_wait(producer->client, &wait.done, deadline);
    if (!wait.done) give_up(producer, &wait);
    return wait.done ? wait.status : refused(producer, status, error);
}

rh_status rh_producer_send_wait(rh_producer *producer, rh_batch *batch, uint32_t timeout_ms, rh_error *error)
{
    return send_wait(producer, &(struct cargo){ .batch = batch }, timeout_ms, error);
}

rh_status rh_producer_send_event_wait(rh_producer *producer, const rh_event_data *event, uint32_t timeout_ms, rh_error *error)
{
    return send_wait(producer, &(struct cargo){ .event = event }, timeout_ms, error);
}

rh_status rh_producer_flush_wait(rh_producer *producer, uint32_t timeout_ms)
{
    if (rh_loop_in_callback(producer->loop)) return RH_E_REENTRANT;
    if (!producer->taken) return RH_OK;
    return rh_client_wait(producer->client, &producer->idle, rh_client_deadline(producer->client, timeout_ms));
}
