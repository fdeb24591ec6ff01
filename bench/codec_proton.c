/*
 * qpid-proton at its best: one pn_message_t for all, filled anew, encoded straight to where it goes.
 */
#include "bench/codec.h"

#if !__has_include(<proton/message.h>)
const rh_codec rh_codec_proton = { .name = "qpid-proton" };
#else

#include <proton/codec.h>
#include <proton/message.h>

static pn_message_t *message_of_all(void)
{
    static pn_message_t *message;
    if (!message) message = pn_message();
    return message;
}

static pn_bytes_t bytes_of(rh_slice slice) { return pn_bytes(slice.n, (const char *)slice.p); }
static rh_slice   slice_of(pn_bytes_t bytes) { return rh_slice_of(bytes.start, bytes.size); }

#define KEY(literal) pn_bytes(sizeof(literal) - 1, literal)

static void fill(pn_message_t *message, const rh_reference_event *event)
{
    pn_message_clear(message);
    pn_message_set_inferred(message, true); /* a binary body is a data section */
    pn_message_set_id(message, (pn_atom_t){ .type = PN_STRING, .u.as_bytes = bytes_of(event->message_id) });
    pn_message_set_content_type(message, (const char *)event->content_type.p);

    pn_data_t *annotations = pn_message_annotations(message);
    pn_data_put_map(annotations);
    pn_data_enter(annotations);
    pn_data_put_symbol(annotations, KEY("x-opt-partition-key"));
    pn_data_put_string(annotations, bytes_of(event->partition_key));
    pn_data_exit(annotations);

    pn_data_t *properties = pn_message_properties(message);
    pn_data_put_map(properties);
    pn_data_enter(properties);
    pn_data_put_string(properties, KEY("device"));
    pn_data_put_string(properties, bytes_of(event->device));
    pn_data_put_string(properties, KEY("reading"));
    pn_data_put_long(properties, event->reading);
    pn_data_put_string(properties, KEY("calibrated"));
    pn_data_put_bool(properties, event->calibrated);
    pn_data_exit(properties);

    pn_data_put_binary(pn_message_body(message), bytes_of(event->body));
}

static size_t encode(uint8_t *to, size_t n, const rh_reference_event *event)
{
    pn_message_t *message = message_of_all();
    fill(message, event);
    return pn_message_encode(message, (char *)to, &n) == 0 ? n : 0;
}

/* It has no call for batches: the data section is written around each message, which is the cheapest way there is. */
static size_t batch(uint8_t *to, size_t n)
{
    size_t used = 0;
    for (size_t i = 0; i < RH_REFERENCE_COUNT; i++) {
        size_t size = n - used < 8 ? 0 : encode(to + used + 8, n - used - 8, rh_reference_event_at(i));
        if (size == 0) return 0;
        rh_put32(to + used, 0x005375b0);
        rh_put32(to + used + 4, (uint32_t)size);
        used += 8 + size;
    }
    return used;
}

static rh_slice read_text(pn_data_t *data)
{
    switch (pn_data_type(data)) {
    case PN_STRING: return slice_of(pn_data_get_string(data));
    case PN_SYMBOL: return slice_of(pn_data_get_symbol(data));
    default:        return rh_slice_of(NULL, 0);
    }
}

static void read_value(pn_data_t *data, rh_value *out)
{
    switch (pn_data_type(data)) {
    case PN_LONG:      *out = (rh_value){ .type = RH_LONG, .i = pn_data_get_long(data) }; return;
    case PN_TIMESTAMP: *out = (rh_value){ .type = RH_TIMESTAMP, .i = pn_data_get_timestamp(data) }; return;
    case PN_BOOL:      *out = (rh_value){ .type = RH_BOOL, .boolean = pn_data_get_bool(data) }; return;
    default:           *out = (rh_value){ .type = RH_STRING, .bytes = read_text(data) }; return;
    }
}

static size_t read_map(pn_data_t *data, rh_property out[8])
{
    size_t n = 0;
    pn_data_rewind(data);
    if (!pn_data_next(data) || pn_data_get_map(data) / 2 > 8 || !pn_data_enter(data)) return 0;
    while (pn_data_next(data)) {
        out[n].key = read_text(data);
        if (!pn_data_next(data)) return 0;
        read_value(data, &out[n++].value);
    }
    pn_data_exit(data);
    return n;
}

static bool parse(rh_slice bytes, rh_slice *body)
{
    pn_message_t *message = message_of_all();
    if (pn_message_decode(message, (const char *)bytes.p, bytes.n) != 0) return false;
    pn_data_t *data = pn_message_body(message);
    pn_data_rewind(data);
    if (!pn_data_next(data)) return false;
    *body = slice_of(pn_data_get_binary(data));
    return true;
}

static bool decode(rh_slice bytes, rh_reference_view *out)
{
    pn_message_t *message = message_of_all();
    if (!parse(bytes, &out->body)) return false;
    out->message_id       = slice_of(pn_message_get_id(message).u.as_bytes);
    out->content_type     = rh_str(pn_message_get_content_type(message));
    out->annotation_count = read_map(pn_message_annotations(message), out->annotations);
    out->property_count   = read_map(pn_message_properties(message), out->properties);
    return true;
}

static size_t batch_decode(rh_slice bytes, rh_reference_view *last)
{
    size_t count = 0;
    for (size_t at = 0; at + 8 <= bytes.n; count++) {
        size_t n = rh_get32(bytes.p + at + 4);
        if (bytes.n - at - 8 < n || !decode(rh_slice_of(bytes.p + at + 8, n), last)) return 0;
        at += 8 + n;
    }
    return count;
}

const rh_codec rh_codec_proton = { "qpid-proton", encode, decode, parse, batch, batch_decode };
#endif
