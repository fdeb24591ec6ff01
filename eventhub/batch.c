#include "eventhub/batch.h"

#include "eventhub/event_data.h"
#include "eventhub/producer.h"

/* -- memory -------------------------------------------------------------------------------------- */

rh_status rh_batch_take(rh_producer *producer, rh_slice key, size_t room, rh_batch **out)
{
    size_t memory = sizeof(rh_batch) + key.n + room;
    if (!rh_cells_furnish(&producer->cells)) return RH_E_MEMORY;
    rh_batch *batch = rh_cells_take(&producer->cells, memory);
    if (!batch) return rh_producer_again(producer);
    uint8_t *behind = (uint8_t *)(batch + 1);
    *batch = (rh_batch){
        .producer = producer, .format = RH_FORMAT_BATCH, .memory = memory, .state = RH_BATCH_FILLING,
        .envelope = { .p = behind + key.n, .n = room },
    };
    if (key.p) {
        memcpy(behind, key.p, key.n);
        batch->key = rh_slice_of(behind, key.n);
    }
    rh_producer_look_later(producer);
    *out = batch;
    return RH_OK;
}

static void give_back(rh_batch *batch)
{
    rh_producer *producer = batch->producer;
    rh_cells_give(&producer->cells, batch, batch->memory);
    rh_producer_look_later(producer);
    rh_producer_refresh(producer);
}

void rh_batch_seal(rh_batch *batch)
{
    size_t kept = batch->memory - (batch->envelope.n - batch->envelope.used);
    rh_cells_trim(&batch->producer->cells, batch, batch->memory, kept);
    batch->memory = kept;
    batch->envelope.n = batch->envelope.used;
}

void rh_batch_drop(rh_batch *batch)
{
    if (batch->lent) batch->state = RH_BATCH_DEAD; /* the kernel may be reading it */
    else give_back(batch);
}

void rh_batch_unlend(rh_batch *batch)
{
    batch->lent--;
    if (!batch->lent && batch->state == RH_BATCH_DEAD) give_back(batch);
}

/* -- filling ------------------------------------------------------------------------------------- */

rh_status rh_batch_make(rh_producer *producer, rh_slice key, size_t room, rh_batch **out)
{
    rh_batch *batch = NULL;
    rh_status status = rh_batch_take(producer, key, room, &batch);
    if (status) return status;
    if (rh_envelope_init(&batch->envelope, batch->envelope.p, room, key) != RH_OK) {
        rh_batch_drop(batch);
        return RH_E_ARGUMENT; /* not even room for the key */
    }
    *out = batch;
    return RH_OK;
}

static rh_status key_of(const rh_producer *producer, const rh_batch_opts *opts, rh_slice *key)
{
    *key = rh_str(opts ? opts->partition_key : NULL);
    if (!key->p) return RH_OK;
    if (producer->partition) return RH_E_CONFLICT;
    return rh_partition_key_is(*key) ? RH_OK : RH_E_ARGUMENT;
}

rh_status rh_batch_create(rh_producer *producer, const rh_batch_opts *opts, rh_batch **out)
{
    *out = NULL;
    rh_slice key;
    rh_status status = key_of(producer, opts, &key);
    if (status) return status;
    if (producer->closing || producer->down) return rh_producer_end_status(producer);

    size_t limit = rh_producer_max_bytes(producer), room = opts && opts->max_bytes ? opts->max_bytes : limit;
    if (limit && room > limit) return RH_E_TOO_BIG;
    return limit ? rh_batch_make(producer, key, room, out) : rh_producer_again(producer);
}

/** Whether an event of n bytes would fit into the batch if that were empty. */
static bool fits_alone(const rh_batch *batch, size_t n)
{
    rh_envelope empty;
    uint8_t head[2 * RH_MESSAGE_ID_MAX];
    if (rh_envelope_init(&empty, head, sizeof head, batch->key) != RH_OK) return false;
    return empty.used <= batch->envelope.n && rh_envelope_cost(n) <= batch->envelope.n - empty.used;
}

rh_status rh_batch_add(rh_batch *batch, const rh_event_data *event)
{
    if (batch->state != RH_BATCH_FILLING) return RH_E_STATE;
    if (!batch->key.p && event->partition_key.p) return RH_E_CONFLICT;

    rh_message_fields fields;
    rh_status status = rh_event_fields_of(&fields, event, batch->key);
    if (status) return status;
    status = rh_envelope_add(&batch->envelope, &fields);
    if (status == RH_E_BATCH_FULL && !fits_alone(batch, rh_message_size(&fields))) return RH_E_TOO_BIG;
    return status;
}

uint32_t rh_batch_count(const rh_batch *batch)
{
    return batch->envelope.count;
}

size_t rh_batch_bytes(const rh_batch *batch)
{
    return batch->envelope.used;
}

size_t rh_batch_room(const rh_batch *batch)
{
    /* A data section has a header of 5 bytes, above 255 bytes of content of 8. */
    size_t left = batch->envelope.n - batch->envelope.used;
    if (left > 8 + 255) return left - 8;
    if (left < 5) return 0;
    return left - 5 < 255 ? left - 5 : 255;
}

rh_slice rh_batch_encoded(const rh_batch *batch)
{
    return rh_envelope_bytes(&batch->envelope);
}

/* -- ownership ----------------------------------------------------------------------------------- */

void rh_batch_keep(rh_batch *batch)
{
    if (batch->state == RH_BATCH_TOLD) batch->state = RH_BATCH_KEPT;
}

void rh_batch_destroy(rh_batch *batch)
{
    if (!batch) return;
    if (batch->state == RH_BATCH_FILLING || batch->state == RH_BATCH_KEPT) rh_batch_drop(batch);
}
