/*
 * The floors of the codec: what the task costs somebody who writes nothing but this one event. The encoder knows every
 * constructor beforehand and that there is room. The decoders check bounds and pass over nothing unseen, but trust text
 * to be text. Not a product: no other message could be written with it.
 */
#include "bench/codec.h"

/* -- memcpy ---------------------------------------------------------------------------------- */

static size_t copy_event(uint8_t *to, size_t n, const rh_reference_event *event)
{
    (void)n;
    /* With a size known beforehand gcc would write `rep movsq` here, which took 1.6 times as long as the C library. */
    memcpy(to, event->encoded.p, event->encoded.n);
    return event->encoded.n;
}

static size_t copy_batch(uint8_t *to, size_t n)
{
    (void)n;
    rh_slice from = rh_reference_batch();
    memcpy(to, from.p, from.n);
    return from.n;
}

const rh_codec rh_codec_memcpy = { .name = "floor: memcpy", .encode = copy_event, .batch = copy_batch };

/* -- encoding -------------------------------------------------------------------------------- */

/* Bytes known when this is compiled: the copy becomes a few stores. */
#define PUT(p, literal) (memcpy((p), (literal), sizeof(literal) - 1), (p) + sizeof(literal) - 1)

static inline uint8_t *put(uint8_t *p, rh_slice text)
{
    *p++ = (uint8_t)text.n;
    if (text.n < 16 || text.n > 64) {
        memcpy(p, text.p, text.n);
    } else {
        for (size_t i = 0; i < text.n - 16; i += 16) memcpy(p + i, text.p + i, 16);
        memcpy(p + text.n - 16, text.p + text.n - 16, 16);
    }
    return p + text.n;
}

static inline uint8_t *put_event(uint8_t *p, const rh_reference_event *event)
{
    uint8_t *size;
    p    = PUT(p, "\x00\x53\x72\xc1\x00\x02\xa3\x13x-opt-partition-key\xa1");
    size = p - 24;
    p    = put(p, event->partition_key);
    *size = (uint8_t)(p - size - 1);

    p    = PUT(p, "\x00\x53\x73\xc0\x00\x0d\xa1");
    size = p - 3;
    p    = put(p, event->message_id);
    p    = PUT(p, "\x40\x40\x40\x40\x40\xa3");
    p    = put(p, event->content_type);
    p    = PUT(p, "\x40\x40\x40\x40\x40\x40");
    *size = (uint8_t)(p - size - 1);

    p    = PUT(p, "\x00\x53\x74\xc1\x00\x06\xa1\x06" "device" "\xa1");
    size = p - 11;
    p    = put(p, event->device);
    p    = PUT(p, "\xa1\x07reading\x81");
    rh_put64(p, (uint64_t)event->reading);
    p     = PUT(p + 8, "\xa1\x0a" "calibrated");
    *p++  = event->calibrated ? 0x41 : 0x42;
    *size = (uint8_t)(p - size - 1);

    p = PUT(p, "\x00\x53\x75\xb0");
    rh_put32(p, (uint32_t)event->body.n);
    memcpy(p + 4, event->body.p, event->body.n);
    return p + 4 + event->body.n;
}

static size_t hand_encode(uint8_t *to, size_t n, const rh_reference_event *event)
{
    (void)n;
    return (size_t)(put_event(to, event) - to);
}

static size_t hand_batch(uint8_t *to, size_t n)
{
    (void)n;
    uint8_t *p = to;
    for (size_t i = 0; i < RH_REFERENCE_COUNT; i++) {
        uint8_t *event = PUT(p, "\x00\x53\x75\xb0") + 4;
        p              = put_event(event, rh_reference_event_at(i));
        rh_put32(event - 4, (uint32_t)(p - event));
    }
    return (size_t)(p - to);
}

/* -- decoding -------------------------------------------------------------------------------- */

/* The value at p as a view; answers where it ends, or NULL. */
static inline const uint8_t *get_value(const uint8_t *p, const uint8_t *end, rh_value *out)
{
    size_t left = (size_t)(end - p);
    if (left == 0) return NULL;
    out->code = *p;
    out->bare = false;
    switch (*p) {
    case 0xa1:
    case 0xa3:
        if (left < 2 || left - 2 < p[1]) return NULL;
        out->type  = *p == 0xa1 ? RH_STRING : RH_SYMBOL;
        out->bytes = rh_slice_of(p + 2, p[1]);
        return p + 2 + p[1];
    case 0x81:
    case 0x83:
        if (left < 9) return NULL;
        out->type = *p == 0x81 ? RH_LONG : RH_TIMESTAMP;
        out->i    = (int64_t)rh_get64(p + 1);
        return p + 9;
    case 0x40: out->type = RH_NULL; return p + 1;
    case 0x41:
    case 0x42:
        out->type    = RH_BOOL;
        out->boolean = *p == 0x41;
        return p + 1;
    default: return NULL;
    }
}

static inline bool get_map(const uint8_t *p, const uint8_t *end, rh_property out[8], size_t *count)
{
    size_t pairs = p[-1] / 2u;
    if (pairs > 8) return false;
    for (size_t i = 0; i < pairs; i++) {
        if (end - p < 2 || (*p != 0xa1 && *p != 0xa3) || end - p - 2 < p[1]) return false;
        out[i].key = rh_slice_of(p + 2, p[1]);
        p          = get_value(p + 2 + p[1], end, &out[i].value);
        if (!p) return false;
    }
    *count = pairs;
    return p == end;
}

static inline bool get_properties(const uint8_t *p, const uint8_t *end, rh_reference_view *out)
{
    unsigned count = p[-1];
    for (unsigned i = 0; i < count; i++) {
        rh_value value;
        if (p != end && *p == 0x40) {
            p++;
            continue;
        }
        p = get_value(p, end, &value);
        if (!p) return false;
        if (i == RH_AT_PROPERTIES_MESSAGE_ID) out->message_id = value.bytes;
        if (i == RH_AT_PROPERTIES_CONTENT_TYPE) out->content_type = value.bytes;
    }
    return p == end;
}

/* What lies behind a section's size and count, or behind the size of data. */
struct extent {
    const uint8_t *p, *end;
};

/* The section with this head, its list or map of one-byte sizes; NULL if another is there. */
static inline const uint8_t *get_section(const uint8_t *p, const uint8_t *end, const char head[static 4], struct extent *out)
{
    if (end - p < 6 || memcmp(p, head, 4) != 0 || p[4] < 1 || end - p - 5 < p[4]) return NULL;
    *out = (struct extent){ p + 6, p + 5 + p[4] };
    return out->end;
}

/* A body of less than 256 bytes: what the pump streams in some of its cells. */
static const uint8_t *get_small_data(const uint8_t *p, const uint8_t *end, rh_slice *out)
{
    if (end - p < 5 || memcmp(p, "\x00\x53\x75\xa0", 4) != 0 || end - p - 5 < p[4]) return NULL;
    *out = rh_slice_of(p + 5, p[4]);
    return out->p + out->n;
}

static inline const uint8_t *get_data(const uint8_t *p, const uint8_t *end, rh_slice *out)
{
    if (end - p < 8 || memcmp(p, "\x00\x53\x75\xb0", 4) != 0) return get_small_data(p, end, out);
    if ((size_t)(end - p - 8) < rh_get32(p + 4)) return NULL;
    *out = rh_slice_of(p + 8, rh_get32(p + 4));
    return out->p + out->n;
}

/* The event's four sections in their order, found and bounded. */
struct sections {
    struct extent annotations, properties, application_properties;
    rh_slice      data;
};

static inline bool get_sections(rh_slice message, struct sections *out)
{
    const uint8_t *p = message.p, *end = p + message.n;
    return (p = get_section(p, end, "\x00\x53\x72\xc1", &out->annotations)) != NULL
           && (p = get_section(p, end, "\x00\x53\x73\xc0", &out->properties)) != NULL
           && (p = get_section(p, end, "\x00\x53\x74\xc1", &out->application_properties)) != NULL
           && get_data(p, end, &out->data) == end;
}

static inline bool get_event(rh_slice message, rh_reference_view *out)
{
    struct sections at;
    if (!get_sections(message, &at)) return false;
    out->body = at.data;
    return get_map(at.annotations.p, at.annotations.end, out->annotations, &out->annotation_count)
           && get_properties(at.properties.p, at.properties.end, out)
           && get_map(at.application_properties.p, at.application_properties.end, out->properties, &out->property_count);
}

static bool hand_decode(rh_slice message, rh_reference_view *out) { return get_event(message, out); }

static bool hand_lazy(rh_slice message, rh_slice *body)
{
    struct sections at;
    if (!get_sections(message, &at)) return false;
    __asm__ volatile("" : : "r"(&at) : "memory"); /* they were asked for, all of them */
    *body = at.data;
    return true;
}

static size_t hand_batch_decode(rh_slice batch, rh_reference_view *last)
{
    const uint8_t *p = batch.p, *end = p + batch.n;
    size_t         count = 0;
    for (; p != end; count++) {
        rh_slice message;
        p = get_data(p, end, &message);
        if (!p || !get_event(message, last)) return 0;
    }
    return count;
}

const rh_codec rh_codec_hand = { "floor: by hand", hand_encode, hand_decode, hand_lazy, hand_batch, hand_batch_decode };
