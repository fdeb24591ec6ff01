#include "eventhub/event_data.h"

/** UTF-8 has one byte that does not continue another for each character. */
static bool has_key_length(rh_slice key)
{
    if (key.n <= RH_KEY_CHARACTERS_MAX) return true;
    size_t characters = 0;
    for (size_t i = 0; i < key.n; i++) characters += (key.p[i] & 0xc0) != 0x80;
    return characters <= RH_KEY_CHARACTERS_MAX;
}

bool rh_partition_key_is(rh_slice key)
{
    return rh_utf8_is(key) && has_key_length(key);
}

/** What the caller encoded himself is held to its shape, inside too. */
static bool body_is(rh_body_kind kind, rh_slice body)
{
    if (kind == RH_BODY_DATA) return true;
    if (kind != RH_BODY_VALUE && kind != RH_BODY_SEQUENCE) return false;
    rh_dec d = rh_dec_of(body);
    if (kind == RH_BODY_SEQUENCE && rh_dec_peek(&d) != RH_LIST) return false;
    return rh_value_check(body) == RH_OK;
}

rh_status rh_event_fields_of(rh_message_fields *out, const rh_event_data *event, rh_slice key)
{
    rh_slice own = event->partition_key;
    if (key.p && own.p && !rh_slice_equal(key, own)) return RH_E_CONFLICT;
    if (!key.p && !has_key_length(own)) return RH_E_ARGUMENT;
    if (event->message_id.n > RH_MESSAGE_ID_MAX || event->correlation_id.n > RH_MESSAGE_ID_MAX) return RH_E_ARGUMENT;

    out->header = event->amqp_header;
    out->partition_key = key.p ? key : own;
    out->message_annotations = event->annotations;
    out->message_annotation_count = event->annotation_count;
    out->message_id = event->message_id;
    out->correlation_id = event->correlation_id;
    out->content_type = event->content_type;
    out->properties = event->amqp_properties;
    out->application_properties = event->properties;
    out->application_property_count = event->property_count;
    out->body_kind = event->body_kind == RH_BODY_NONE ? RH_BODY_DATA : event->body_kind;
    out->body = event->body.p || out->body_kind != RH_BODY_DATA ? event->body : rh_str("");
    return body_is(out->body_kind, out->body) ? RH_OK : RH_E_ARGUMENT;
}

size_t rh_event_data_size(const rh_event_data *event)
{
    rh_message_fields fields;
    if (rh_event_fields_of(&fields, event, rh_slice_of(NULL, 0)) != RH_OK) return 0;
    return rh_message_text_is(&fields) ? rh_message_size(&fields) : 0;
}

/* A section's descriptor, constructor, size and count; a text's constructor and length; the largest scalar. */
#define SECTION_MOST 12
#define TEXT_MOST    5
#define SCALAR_MOST  17

static size_t pairs_most(const rh_property *pairs, size_t count)
{
    size_t n = SECTION_MOST;
    for (size_t i = 0; i < count; i++) n += pairs[i].key.n + pairs[i].value.bytes.n + 2 * TEXT_MOST + SCALAR_MOST;
    return n;
}

size_t rh_event_data_most(const rh_event_data *event)
{
    if (event->amqp_header || event->amqp_properties) return 0;
    size_t properties = SECTION_MOST + RH_FIELDS_PROPERTIES + event->message_id.n + event->correlation_id.n + event->content_type.n + 3 * TEXT_MOST;
    size_t key = sizeof "x-opt-partition-key" + event->partition_key.n + 2 * TEXT_MOST;
    return pairs_most(event->annotations, event->annotation_count) + key + properties + pairs_most(event->properties, event->property_count)
           + SECTION_MOST + event->body.n;
}
