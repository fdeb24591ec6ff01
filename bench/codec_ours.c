#include "bench/codec.h"

/* What an application writes down: fields from its own struct. */
struct filled {
    rh_property       properties[3];
    rh_message_fields fields;
};

#define KEY(literal) { (const uint8_t *)(literal), sizeof(literal) - 1 }

static inline void fill(struct filled *to, const rh_reference_event *event)
{
    static const rh_slice device = KEY("device"), reading = KEY("reading"), calibrated = KEY("calibrated");

    to->properties[0] = (rh_property){ device, { .type = RH_STRING, .bytes = event->device } };
    to->properties[1] = (rh_property){ reading, { .type = RH_LONG, .i = event->reading } };
    to->properties[2] = (rh_property){ calibrated, { .type = RH_BOOL, .boolean = event->calibrated } };
    to->fields = (rh_message_fields){
        .header                     = NULL,
        .partition_key              = event->partition_key,
        .message_annotations        = NULL,
        .message_annotation_count   = 0,
        .message_id                 = event->message_id,
        .correlation_id             = { NULL, 0 },
        .content_type               = event->content_type,
        .properties                 = NULL,
        .application_properties     = to->properties,
        .application_property_count = 3,
        .body_kind                  = RH_BODY_DATA,
        .body                       = event->body,
    };
}

static size_t encode(uint8_t *to, size_t n, const rh_reference_event *event)
{
    struct filled filled;
    rh_enc        e = rh_enc_of(to, n);
    fill(&filled, event);
    return rh_message_write(&e, &filled.fields) == RH_OK ? rh_enc_size(&e) : 0;
}

static size_t batch(uint8_t *to, size_t n)
{
    rh_envelope envelope;
    if (rh_envelope_init(&envelope, to, n, rh_slice_of(NULL, 0)) != RH_OK) return 0;
    for (size_t i = 0; i < RH_REFERENCE_COUNT; i++) {
        struct filled filled;
        fill(&filled, rh_reference_event_at(i));
        if (rh_envelope_add(&envelope, &filled.fields) != RH_OK) return 0;
    }
    return envelope.used;
}

static inline bool read_event(rh_slice bytes, rh_reference_view *out)
{
    rh_message         message;
    rh_amqp_properties properties;
    if (rh_message_view(bytes, &message) != RH_OK) return false;
    if (rh_message_properties(&message, &properties) != RH_OK) return false;

    rh_dec id         = rh_dec_of(properties.message_id);
    out->message_id   = rh_dec_string(&id);
    out->content_type = properties.content_type;
    out->body         = message.body;
    return id.status == RH_OK
           && rh_map_read(message.message_annotations, out->annotations, 8, &out->annotation_count) == RH_OK
           && rh_map_read(message.application_properties, out->properties, 8, &out->property_count) == RH_OK;
}

static bool decode(rh_slice bytes, rh_reference_view *out) { return read_event(bytes, out); }

static bool lazy(rh_slice bytes, rh_slice *body)
{
    rh_message message;
    if (rh_message_view(bytes, &message) != RH_OK) return false;
    *body = message.body;
    return true;
}

static size_t batch_decode(rh_slice bytes, rh_reference_view *last)
{
    rh_message outer;
    rh_dec     events;
    rh_slice   event;
    size_t     count = 0;
    if (rh_envelope_open(bytes, &outer, &events) != RH_OK) return 0;
    while (rh_envelope_next(&events, &event)) {
        if (!read_event(event, last)) return 0;
        count++;
    }
    return events.status == RH_OK ? count : 0;
}

const rh_codec rh_codec_ours = { "ringhub", encode, decode, lazy, batch, batch_decode };
