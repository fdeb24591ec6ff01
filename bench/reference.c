#include "bench/reference.h"

#include <stdio.h>
#include <stdlib.h>

static rh_reference_event     events[RH_REFERENCE_COUNT];
static _Alignas(4096) uint8_t bodies[RH_REFERENCE_COUNT][RH_REFERENCE_BODY];
static char                   ids[RH_REFERENCE_COUNT][37];
static _Alignas(4096) uint8_t sent[RH_REFERENCE_COUNT][RH_REFERENCE_SENT];
static _Alignas(4096) uint8_t received[RH_REFERENCE_COUNT][RH_REFERENCE_RECEIVED];
static _Alignas(4096) uint8_t batch[RH_REFERENCE_BATCH];

static void must(bool truth, const char *what)
{
    if (truth) return;
    fprintf(stderr, "reference event: %s\n", what);
    exit(1);
}

/* -- writing, plainly ------------------------------------------------------------------------ */

struct pen {
    uint8_t p[2 * RH_REFERENCE_RECEIVED];
    size_t  n;
};

static void byte(struct pen *pen, unsigned value) { pen->p[pen->n++] = (uint8_t)value; }

static void big(struct pen *pen, uint64_t value, int bytes)
{
    while (bytes--) byte(pen, (unsigned)(value >> (8 * bytes)) & 0xff);
}

static void text(struct pen *pen, unsigned code, rh_slice content)
{
    byte(pen, code);
    byte(pen, (unsigned)content.n);
    for (size_t i = 0; i < content.n; i++) byte(pen, content.p[i]);
}

static void number(struct pen *pen, unsigned code, int64_t value)
{
    byte(pen, code);
    big(pen, (uint64_t)value, 8);
}

/* A section with a list or map of one-byte sizes; answers where its size is. */
static size_t section(struct pen *pen, unsigned code, unsigned constructor, unsigned count)
{
    big(pen, 0x0053, 2);
    byte(pen, code);
    byte(pen, constructor);
    size_t at = pen->n;
    byte(pen, 0);
    byte(pen, count);
    return at;
}

static void section_end(struct pen *pen, size_t at) { pen->p[at] = (uint8_t)(pen->n - at - 1); }

static void annotations(struct pen *pen, const rh_reference_event *event, bool as_received)
{
    size_t at = section(pen, RH_CODE_MESSAGE_ANNOTATIONS, 0xc1, as_received ? 8 : 2);
    text(pen, 0xa3, rh_str("x-opt-partition-key"));
    text(pen, 0xa1, event->partition_key);
    if (as_received) {
        text(pen, 0xa3, rh_str("x-opt-sequence-number"));
        number(pen, 0x81, event->sequence_number);
        text(pen, 0xa3, rh_str("x-opt-offset"));
        text(pen, 0xa1, event->offset);
        text(pen, 0xa3, rh_str("x-opt-enqueued-time"));
        number(pen, 0x83, event->enqueued_time);
    }
    section_end(pen, at);
}

static void write_event(struct pen *pen, const rh_reference_event *event, bool as_received)
{
    annotations(pen, event, as_received);

    size_t at = section(pen, RH_CODE_PROPERTIES, 0xc0, RH_FIELDS_PROPERTIES);
    for (int field = 0; field < RH_FIELDS_PROPERTIES; field++) {
        if (field == RH_AT_PROPERTIES_MESSAGE_ID) text(pen, 0xa1, event->message_id);
        else if (field == RH_AT_PROPERTIES_CONTENT_TYPE) text(pen, 0xa3, event->content_type);
        else byte(pen, 0x40);
    }
    section_end(pen, at);

    at = section(pen, RH_CODE_APPLICATION_PROPERTIES, 0xc1, 6);
    text(pen, 0xa1, rh_str("device"));
    text(pen, 0xa1, event->device);
    text(pen, 0xa1, rh_str("reading"));
    number(pen, 0x81, event->reading);
    text(pen, 0xa1, rh_str("calibrated"));
    byte(pen, event->calibrated ? 0x41 : 0x42);
    section_end(pen, at);

    big(pen, 0x005375b0, 4);
    big(pen, event->body.n, 4);
    for (size_t i = 0; i < event->body.n; i++) byte(pen, event->body.p[i]);
}

/* -- the thousand ---------------------------------------------------------------------------- */

static void make_event(size_t i)
{
    for (size_t at = 0; at < RH_REFERENCE_BODY; at++) bodies[i][at] = (uint8_t)(31 * i + 7 * at + (at >> 5));
    snprintf(ids[i], sizeof ids[i], "%08zx-3c41-4f6e-9d2b-%012zx", 0x5f3a0000 + i, 0x7c52e19b0000 + 17 * i);
    events[i] = (rh_reference_event){
        .partition_key   = rh_str("building-7/floor-3"),
        .message_id      = rh_str(ids[i]),
        .content_type    = rh_str("application/json"),
        .device          = rh_str("thermostat-7f3a91"),
        .reading         = 21000000000 + (int64_t)i,
        .calibrated      = i % 2 == 0,
        .body            = rh_slice_of(bodies[i], RH_REFERENCE_BODY),
        .sequence_number = 5000000000 + (int64_t)i,
        .offset          = rh_str("4398046511104"),
        .enqueued_time   = 1700000000000 + (int64_t)i,
        .encoded         = rh_slice_of(sent[i], RH_REFERENCE_SENT),
    };
}

void rh_reference_init(void)
{
    for (size_t i = 0; i < RH_REFERENCE_COUNT; i++) {
        make_event(i);
        struct pen pen = { .n = 0 };
        write_event(&pen, &events[i], false);
        must(pen.n == RH_REFERENCE_SENT, "what is sent has not its size");
        memcpy(sent[i], pen.p, pen.n);

        uint8_t      *at     = batch + i * (RH_REFERENCE_SENT + 8);
        const uint8_t head[] = { 0x00, 0x53, RH_CODE_DATA, 0xb0, 0, 0, RH_REFERENCE_SENT >> 8, RH_REFERENCE_SENT & 0xff };
        memcpy(at, head, sizeof head);
        memcpy(at + sizeof head, sent[i], RH_REFERENCE_SENT);

        pen.n = 0;
        write_event(&pen, &events[i], true);
        must(pen.n == RH_REFERENCE_RECEIVED, "what is received has not its size");
        memcpy(received[i], pen.p, pen.n);
    }
}

const rh_reference_event *rh_reference_event_at(size_t i) { return &events[i]; }
rh_slice rh_reference_sent(size_t i) { return rh_slice_of(sent[i], RH_REFERENCE_SENT); }
rh_slice rh_reference_received(size_t i) { return rh_slice_of(received[i], RH_REFERENCE_RECEIVED); }
rh_slice rh_reference_batch(void) { return rh_slice_of(batch, sizeof batch); }

size_t rh_reference_write(uint8_t *to, size_t room, size_t i, size_t body_n, bool as_received)
{
    rh_slice whole = as_received ? rh_reference_received(i) : rh_reference_sent(i);
    size_t   head  = whole.n - RH_REFERENCE_BODY - 8; /* all before the data section */
    bool     small = body_n <= UINT8_MAX;
    if (head + 8 + body_n > room) return 0;
    memcpy(to, whole.p, head + 3);
    to += head + 3;
    *to++ = small ? 0xa0 : 0xb0;
    for (int shift = small ? 0 : 24; shift >= 0; shift -= 8) *to++ = (uint8_t)(body_n >> shift);
    for (size_t at = 0; at < body_n; at++) to[at] = bodies[i][at % RH_REFERENCE_BODY];
    return head + (small ? 5 : 8) + body_n;
}

/* -- comparing ------------------------------------------------------------------------------- */

static bool is_text(const rh_property *property, const char *key, rh_slice value)
{
    return rh_slice_is(property->key, key) && property->value.type == RH_STRING && rh_slice_equal(property->value.bytes, value);
}

static bool is_number(const rh_property *property, const char *key, rh_type type, int64_t value)
{
    return rh_slice_is(property->key, key) && property->value.type == type && property->value.i == value;
}

static bool are_annotations(const rh_reference_view *view, const rh_reference_event *event, bool as_received)
{
    const rh_property *has = view->annotations;
    if (view->annotation_count != (as_received ? 4 : 1)) return false;
    if (!is_text(&has[0], "x-opt-partition-key", event->partition_key)) return false;
    return !as_received
           || (is_number(&has[1], "x-opt-sequence-number", RH_LONG, event->sequence_number)
               && is_text(&has[2], "x-opt-offset", event->offset)
               && is_number(&has[3], "x-opt-enqueued-time", RH_TIMESTAMP, event->enqueued_time));
}

bool rh_reference_is(const rh_reference_view *view, size_t i, bool as_received)
{
    const rh_reference_event *event = &events[i];
    const rh_property        *has   = view->properties;
    return are_annotations(view, event, as_received) && rh_slice_equal(view->message_id, event->message_id)
           && rh_slice_equal(view->content_type, event->content_type) && view->property_count == 3
           && is_text(&has[0], "device", event->device) && is_number(&has[1], "reading", RH_LONG, event->reading)
           && rh_slice_is(has[2].key, "calibrated") && has[2].value.type == RH_BOOL
           && has[2].value.boolean == event->calibrated && rh_slice_equal(view->body, event->body);
}
