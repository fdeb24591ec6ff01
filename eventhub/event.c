#include "eventhub/event.h"

rh_status rh_event_view(rh_event *event, rh_consumer *consumer, rh_slice encoded)
{
    event->encoded = encoded;
    event->consumer = consumer;
    event->next = event->kept = NULL;
    event->refs = 0;
    event->stamps.read = false;
    return rh_message_view(encoded, &event->message);
}

/* -- what the service stamps on it --------------------------------------------------------------- */

static int64_t int64_or(const rh_value *value, int64_t otherwise)
{
    int64_t n = otherwise;
    rh_value_to_int64(value, &n);
    return n;
}

static rh_slice text_of(const rh_value *value)
{
    bool is_text = value->type == RH_STRING || value->type == RH_SYMBOL;
    return is_text ? value->bytes : rh_slice_of(NULL, 0);
}

static void read_stamp(rh_stamps *stamps, rh_slice key, const rh_value *value)
{
    if (rh_slice_is(key, "x-opt-sequence-number")) stamps->sequence_number = int64_or(value, -1);
    else if (rh_slice_is(key, "x-opt-offset")) stamps->offset = text_of(value);
    else if (rh_slice_is(key, "x-opt-enqueued-time")) stamps->enqueued_time_ms = int64_or(value, -1);
    else if (rh_slice_is(key, "x-opt-partition-key")) stamps->partition_key = text_of(value);
}

/* The service writes four to eight annotations, the sender may have written any number. */
#define ANNOTATIONS 16

void rh_event_read_stamps(rh_event *event)
{
    rh_stamps *stamps = &event->stamps;
    if (stamps->read) return;
    *stamps = (rh_stamps){ .read = true, .sequence_number = -1, .enqueued_time_ms = -1 };

    rh_property annotations[ANNOTATIONS];
    size_t count;
    rh_status status = rh_map_read(event->message.message_annotations, annotations, ANNOTATIONS, &count);
    for (size_t i = 0; i < count; i++) read_stamp(stamps, annotations[i].key, &annotations[i].value);
    if (status != RH_E_SPACE) return;

    rh_property_walk walk = rh_event_annotations(event);
    while (rh_property_next(&walk, &annotations[0])) read_stamp(stamps, annotations[0].key, &annotations[0].value);
}

/** Every event lies in memory of ours that is not const: a retained one has its stamps read before it is shared. */
static const rh_stamps *stamps_of(const rh_event *event)
{
    if (!event->stamps.read) rh_event_read_stamps((rh_event *)event);
    return &event->stamps;
}

int64_t rh_event_sequence_number(const rh_event *event)
{
    return stamps_of(event)->sequence_number;
}

int64_t rh_event_enqueued_time_ms(const rh_event *event)
{
    return stamps_of(event)->enqueued_time_ms;
}

rh_slice rh_event_offset(const rh_event *event)
{
    return stamps_of(event)->offset;
}

rh_slice rh_event_partition_key(const rh_event *event)
{
    return stamps_of(event)->partition_key;
}

/* -- what the sender said ------------------------------------------------------------------------ */

rh_slice rh_event_body(const rh_event *event)
{
    return event->message.body;
}

rh_body_kind rh_event_body_kind(const rh_event *event)
{
    return event->message.body_kind;
}

const rh_message *rh_event_message(const rh_event *event)
{
    return &event->message;
}

rh_slice rh_event_encoded(const rh_event *event)
{
    return event->encoded;
}

bool rh_event_amqp_properties(const rh_event *event, rh_amqp_properties *out)
{
    rh_dec d = rh_dec_of(event->encoded);
    while (rh_dec_left(&d)) {
        if (rh_composite_peek(&d) == RH_AMQP_PROPERTIES) return rh_amqp_properties_decode(&d, out) == RH_OK;
        rh_dec_skip(&d);
    }
    return false;
}

/** The field of the properties section with this index in the specification's list [3.2.4]. */
static bool field_at(const rh_event *event, uint32_t index, rh_value *out)
{
    rh_slice section = event->message.properties;
    if (!section.p) return false;
    rh_dec d = rh_dec_of(section), items;
    uint32_t count = rh_dec_list(&d, &items);
    if (count <= index) return false;
    for (uint32_t i = 0; i < index; i++)
        if (!rh_dec_null(&items)) rh_dec_skip(&items);
    return rh_dec_value(&items, out) && out->type != RH_NULL;
}

bool rh_event_message_id(const rh_event *event, rh_value *out)
{
    return field_at(event, RH_AT_PROPERTIES_MESSAGE_ID, out);
}

bool rh_event_correlation_id(const rh_event *event, rh_value *out)
{
    return field_at(event, RH_AT_PROPERTIES_CORRELATION_ID, out);
}

rh_slice rh_event_content_type(const rh_event *event)
{
    rh_value value;
    return field_at(event, RH_AT_PROPERTIES_CONTENT_TYPE, &value) ? text_of(&value) : rh_slice_of(NULL, 0);
}

/* -- maps ---------------------------------------------------------------------------------------- */

static rh_property_walk walk_of(rh_slice map)
{
    rh_property_walk walk = { .items = rh_map_open(map) };
    return walk;
}

rh_property_walk rh_event_properties(const rh_event *event)
{
    return walk_of(event->message.application_properties);
}

rh_property_walk rh_event_annotations(const rh_event *event)
{
    return walk_of(event->message.message_annotations);
}

bool rh_property_next(rh_property_walk *walk, rh_property *out)
{
    return rh_map_next(&walk->items, out);
}

bool rh_event_property(const rh_event *event, const char *key, rh_value *out)
{
    rh_slice map = event->message.application_properties;
    return map.p && rh_map_find(map, key, out);
}

bool rh_event_annotation(const rh_event *event, const char *key, rh_value *out)
{
    rh_slice map = event->message.message_annotations;
    return map.p && rh_map_find(map, key, out);
}

bool rh_event_last_enqueued(const rh_event *event, rh_last_enqueued *out)
{
    rh_slice map = event->message.delivery_annotations;
    rh_value value;
    if (!map.p || !rh_map_find(map, "last_enqueued_sequence_number", &value)) return false;
    *out = (rh_last_enqueued){ .sequence_number = int64_or(&value, -1), .time_ms = -1, .retrieved_ms = -1 };
    if (rh_map_find(map, "last_enqueued_offset", &value)) out->offset = text_of(&value);
    if (rh_map_find(map, "last_enqueued_time_utc", &value)) out->time_ms = int64_or(&value, -1);
    if (rh_map_find(map, "runtime_info_retrieval_time_utc", &value)) out->retrieved_ms = int64_or(&value, -1);
    return true;
}
