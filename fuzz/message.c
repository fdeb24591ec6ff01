/*
 * A message: what the view finds in the bytes is what a message rebuilt of it holds, and rebuilding that once more gives
 * the same bytes. The sizes told beforehand are those written, and a message cut short is none, unless at the end of a section.
 */
#include "fuzz/kit/mutator.h"
#include "fuzz/kit/target.h"
#include "fuzz/oracle.h"
#include "proto/proto.h"

enum { PAIRS = 64 };

static uint8_t once[1 << 16], twice[1 << 16];

/* A message as fields, with the room that those need. */
struct rebuilt {
    rh_amqp_header     header;
    rh_amqp_properties properties;
    rh_property        annotations[PAIRS], application[PAIRS];
    rh_message_fields  fields;
};

/* All sections together, in their order, are the message: nothing lies between them, nothing is in two. */
static void check_sections(const rh_message *message, rh_slice bytes)
{
    const rh_slice in_order[] = { message->header, message->delivery_annotations, message->message_annotations, message->properties,
                                  message->application_properties, message->body_raw, message->footer };
    const uint8_t *at = bytes.p;
    for (size_t i = 0; i < sizeof in_order / sizeof *in_order; i++) {
        rh_slice section = in_order[i];
        REQUIRE(inside(section, bytes));
        if (section.p == NULL || (section.n == 0 && section.p == message->body_raw.p)) continue;
        REQUIRE(section.p >= at + (section.p == message->body_raw.p ? 0 : 3)); /* a descriptor of three bytes at least */
        at = section.p + section.n;
    }
    REQUIRE(at == bytes.p + bytes.n);
}

static void check_body(const rh_message *message)
{
    rh_dec   sections = rh_dec_of(message->body_raw);
    rh_slice part;
    uint32_t count = 0;
    for (; rh_message_body_next(&sections, &part); count++)
        if (count == 0) REQUIRE(same_slice(part, message->body));
    REQUIRE(sections.status == RH_OK && count == message->body_sections);
    REQUIRE((count == 0) == (message->body_kind == RH_BODY_NONE));
}

/* False if the message says what rh_message_write() has no field for, or is malformed inside. */
static bool take_apart(const rh_message *message, struct rebuilt *out)
{
    size_t annotations, application;
    if (rh_message_header(message, &out->header) != RH_OK || rh_message_properties(message, &out->properties) != RH_OK) return false;
    if (rh_map_read(message->message_annotations, out->annotations, PAIRS, &annotations) != RH_OK) return false;
    if (rh_map_read(message->application_properties, out->application, PAIRS, &application) != RH_OK) return false;
    out->fields = (rh_message_fields){
        .header = message->header.p ? &out->header : NULL, .properties = message->properties.p ? &out->properties : NULL,
        .message_annotations = out->annotations, .message_annotation_count = annotations,
        .application_properties = out->application, .application_property_count = application,
        .body_kind = message->body_kind, .body = message->body,
    };
    return true;
}

static void require_same_pairs(const rh_property *a, const rh_property *b, size_t count)
{
    for (size_t i = 0; i < count; i++) REQUIRE(rh_slice_equal(a[i].key, b[i].key) && same_value(&a[i].value, &b[i].value));
}

static void require_same(const struct rebuilt *a, const struct rebuilt *b)
{
    const rh_message_fields *f = &a->fields, *g = &b->fields;
    REQUIRE(f->message_annotation_count == g->message_annotation_count);
    REQUIRE(f->application_property_count == g->application_property_count);
    require_same_pairs(a->annotations, b->annotations, f->message_annotation_count);
    require_same_pairs(a->application, b->application, f->application_property_count);
    REQUIRE(f->body_kind == g->body_kind && rh_slice_equal(f->body, g->body));
    REQUIRE(a->header.has == b->header.has && a->properties.has == b->properties.has);
    REQUIRE(a->header.ttl == b->header.ttl && a->header.priority == b->header.priority && a->header.delivery_count == b->header.delivery_count);
    REQUIRE(same_slice(a->properties.message_id, b->properties.message_id) && same_slice(a->properties.user_id, b->properties.user_id));
    REQUIRE(same_slice(a->properties.to, b->properties.to) && same_slice(a->properties.subject, b->properties.subject));
    REQUIRE(same_slice(a->properties.correlation_id, b->properties.correlation_id) && same_slice(a->properties.content_type, b->properties.content_type));
    REQUIRE(same_slice(a->properties.group_id, b->properties.group_id) && a->properties.group_sequence == b->properties.group_sequence);
    REQUIRE(a->properties.creation_time == b->properties.creation_time);
}

/* Written in exactly the size that was told, not at all in one byte less. Absent if there is text that is none. */
static rh_slice write_message(const rh_message_fields *fields, uint8_t *out)
{
    size_t size = rh_message_size(fields);
    if (size > sizeof once) return rh_slice_of(NULL, 0);
    rh_enc    e      = rh_enc_of(out, size);
    rh_status status = rh_message_write(&e, fields);
    REQUIRE(status == (rh_message_text_is(fields) ? RH_OK : RH_E_ARGUMENT));
    if (status != RH_OK) return rh_slice_of(NULL, 0);
    REQUIRE(rh_enc_size(&e) == size);
    if (size > 0) {
        rh_enc tight = rh_enc_of(out, size - 1);
        REQUIRE(rh_message_write(&tight, fields) == RH_E_SPACE);
        e = rh_enc_of(out, size);
        REQUIRE(rh_message_write(&e, fields) == RH_OK);
    }
    return rh_enc_written(&e);
}

static void rebuild(const rh_message *message)
{
    static struct rebuilt first, second;
    rh_message            again;
    if (!take_apart(message, &first)) return;
    rh_slice written = write_message(&first.fields, once);
    if (written.p == NULL) return;
    REQUIRE(rh_message_view(written, &again) == RH_OK);
    check_sections(&again, written);
    check_body(&again);
    REQUIRE(take_apart(&again, &second));
    require_same(&first, &second);
    REQUIRE(rh_slice_equal(write_message(&second.fields, twice), written));
}

/* A prefix is a message only if it ends where a section does: then it has the same first sections and no others. */
static void cut(rh_slice bytes, const rh_message *whole, size_t n)
{
    rh_message part;
    if (rh_message_view(rh_slice_of(bytes.p, n), &part) != RH_OK) return;
    REQUIRE(part.header.p == NULL || same_slice(part.header, whole->header));
    REQUIRE(part.message_annotations.p == NULL || same_slice(part.message_annotations, whole->message_annotations));
    REQUIRE(part.properties.p == NULL || same_slice(part.properties, whole->properties));
    REQUIRE(part.application_properties.p == NULL || same_slice(part.application_properties, whole->application_properties));
    REQUIRE(part.body_sections <= whole->body_sections && part.footer.p == NULL);
    REQUIRE(part.body_sections == 0 || same_slice(part.body, whole->body));
    check_sections(&part, rh_slice_of(bytes.p, n));
}

static void run(const uint8_t *data, size_t size)
{
    rh_message message;
    rh_slice   bytes = rh_slice_of(data, size);
    if (size == 0 || size > 16384) return;
    if (rh_message_view(bytes, &message) != RH_OK) {
        REQUIRE(message.body_raw.p == NULL && message.header.p == NULL && message.body_kind == RH_BODY_NONE);
        return;
    }
    check_sections(&message, bytes);
    check_body(&message);
    cut(bytes, &message, data[size - 1] % size);
    cut(bytes, &message, size - 1);
    rebuild(&message);
}

TARGET(run, 8000, 1000)
TARGET_HOLDS_VALUES(0)
