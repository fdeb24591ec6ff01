#include "eventhub/event_data.h"

#define PARTITION_KEY "x-opt-partition-key"

bool rh_partition_key_is(rh_slice key)
{
    /* UTF-8 has one byte that does not continue another for each character. */
    size_t characters = 0;
    for (size_t i = 0; i < key.n; i++) characters += (key.p[i] & 0xc0) != 0x80;
    return characters <= RH_KEY_CHARACTERS_MAX && rh_utf8_is(key);
}

static bool id_is(rh_slice id)
{
    return id.n <= RH_MESSAGE_ID_MAX && rh_utf8_is(id);
}

/* A peer that finds malformed text closes the whole connection [2.8.16 amqp:decode-error], so it is not let out. */
static bool texts_are(const rh_property *properties, size_t count, bool (*key_is)(rh_slice))
{
    for (size_t i = 0; i < count; i++) {
        const rh_value *value = &properties[i].value;
        if (!key_is(properties[i].key)) return false;
        if (value->type == RH_STRING && !rh_utf8_is(value->bytes)) return false;
        if (value->type == RH_SYMBOL && !rh_ascii_is(value->bytes)) return false;
    }
    return true;
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

static rh_status put_properties(rh_event_fields *out, const rh_event_data *event)
{
    const rh_amqp_properties *given = event->amqp_properties;
    out->fields.properties = given;
    if (!event->message_id.p && !event->correlation_id.p && !event->content_type.p) return RH_OK;
    if (!id_is(event->message_id) || !id_is(event->correlation_id) || !rh_ascii_is(event->content_type)) return RH_E_ARGUMENT;

    if (given) out->properties = *given;
    else memset(&out->properties, 0, sizeof out->properties);
    if (event->message_id.p)
        out->properties.message_id = rh_string_encoded(event->message_id, out->message_id, sizeof out->message_id);
    if (event->correlation_id.p)
        out->properties.correlation_id = rh_string_encoded(event->correlation_id, out->correlation_id, sizeof out->correlation_id);
    if (event->content_type.p) out->properties.content_type = event->content_type;
    out->fields.properties = &out->properties;
    return RH_OK;
}

static rh_status put_annotations(rh_event_fields *out, const rh_event_data *event, rh_slice key)
{
    out->fields.message_annotations = event->annotations;
    out->fields.message_annotation_count = event->annotation_count;
    if (!key.p) return RH_OK;
    if (event->annotation_count > RH_KEYED_ANNOTATIONS_MAX) return RH_E_ARGUMENT;

    out->annotations[0] = (rh_property){ rh_str(PARTITION_KEY), { .type = RH_STRING, .bytes = key } };
    size_t n = event->annotation_count * sizeof(rh_property);
    if (n) memcpy(out->annotations + 1, event->annotations, n);
    out->fields.message_annotations = out->annotations;
    out->fields.message_annotation_count = event->annotation_count + 1;
    return RH_OK;
}

rh_status rh_event_fields_of(rh_event_fields *out, const rh_event_data *event, rh_slice key)
{
    rh_slice own = event->partition_key;
    if (key.p && own.p && !rh_slice_equal(key, own)) return RH_E_CONFLICT;
    if (!key.p && own.p && !rh_partition_key_is(own)) return RH_E_ARGUMENT;

    rh_message_fields *fields = &out->fields;
    fields->header = event->amqp_header;
    fields->application_properties = event->properties;
    fields->application_property_count = event->property_count;
    fields->body_kind = event->body_kind == RH_BODY_NONE ? RH_BODY_DATA : event->body_kind;
    fields->body = event->body;
    if (!fields->body.p && fields->body_kind == RH_BODY_DATA) fields->body = rh_str("");
    if (!body_is(fields->body_kind, fields->body)) return RH_E_ARGUMENT;
    if (!texts_are(event->properties, event->property_count, rh_utf8_is)) return RH_E_ARGUMENT;
    if (!texts_are(event->annotations, event->annotation_count, rh_ascii_is)) return RH_E_ARGUMENT;
    rh_status status = put_properties(out, event);
    return status ? status : put_annotations(out, event, key.p ? key : own);
}

size_t rh_event_data_size(const rh_event_data *event)
{
    rh_event_fields fields;
    if (rh_event_fields_of(&fields, event, rh_slice_of(NULL, 0)) != RH_OK) return 0;
    return rh_message_size(&fields.fields);
}
