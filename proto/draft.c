/*
 * A message being written. What is usual (texts of no more than 255 bytes, the types of value that events mostly have)
 * goes through a pen, which is a few instructions; anything else goes through the codec's writers and must mean the same.
 */
#include "proto/compound.h"
#include "proto/put.h"
#include "proto/table.h"

/* -- the pen --------------------------------------------------------------------------------- */

/* A writer that lives in registers. Below `limit` there is room for the head of a section and any pair that the pen
 * writes. `seen` is all text that it wrote, one byte over the other: whether any of it was not ASCII is asked once. */
struct pen {
    uint8_t       *p;
    const uint8_t *limit;
    rh_seen        seen;
};

#define HEAD_ROOM (3 + COMPOUND_NARROW) /* 00, 53, the code, and the constructor, size and count of a list or map */
#define PEN_ROOM  (HEAD_ROOM + 2 * (2 + 0xff))

static inline struct pen pen_after(const rh_enc *e, rh_seen seen)
{
    struct pen pen = { e->p, rh_enc_left(e) > PEN_ROOM ? e->end - PEN_ROOM : e->start, seen };
    return pen;
}

static inline bool pen_has_room(const struct pen *pen) { return RH_LIKELY(pen->p < pen->limit); }

/* The head of a section, its size left open; answers where that belongs. */
static inline uint8_t *pen_section(struct pen *pen, uint8_t section, uint8_t narrow, size_t count)
{
    uint8_t *size = pen->p + 4;
    rh_put32(pen->p, 0x00530000 | (uint32_t)section << 8 | narrow);
    size[1] = (uint8_t)count;
    pen->p  = size + 2;
    return size;
}

/* Text of 1 to 255 bytes; others, absent ones among them, are not for the pen. */
static inline bool is_short(rh_slice text) { return RH_LIKELY(text.n - 1 < 0xff); }

static inline RH_WITHIN void pen_text(struct pen *pen, uint8_t code, rh_slice text)
{
    pen->p[0] = code;
    pen->p[1] = (uint8_t)text.n;
    put_seen(pen->p + 2, text.p, text.n, &pen->seen);
    pen->p += 2 + text.n;
}

static inline bool pen_key(struct pen *pen, uint8_t code, rh_slice key)
{
    if (!pen_has_room(pen) || !is_short(key)) return false;
    pen_text(pen, code, key);
    return true;
}

/* Follows a pen_key(), which made room for both; false if it has to be written otherwise. */
static inline RH_WITHIN bool pen_value(struct pen *pen, const rh_value *value)
{
    if (value->type == RH_STRING) {
        if (!is_short(value->bytes)) return false;
        pen_text(pen, 0xa1, value->bytes);
    } else if (value->type == RH_LONG) {
        pen->p = put_long(pen->p, value->i);
    } else if (value->type == RH_BOOL) {
        pen->p = put_bool(pen->p, value->boolean);
    } else if (value->type == RH_TIMESTAMP) {
        pen->p = put_code64(pen->p, 0x83, (uint64_t)value->i);
    } else {
        return false;
    }
    return true;
}

/* -- sections -------------------------------------------------------------------------------- */

/* A section that is a map, the annotations with the key of a partition before all others. */
struct map {
    uint8_t            key_code;
    rh_slice           partition_key;
    const rh_property *pairs;
    size_t             count;
};

static inline struct map map_of(const rh_message_fields *fields, uint8_t section)
{
    if (section == RH_CODE_MESSAGE_ANNOTATIONS)
        return (struct map){ 0xa3, fields->partition_key, fields->message_annotations, fields->message_annotation_count };
    return (struct map){ 0xa1, { NULL, 0 }, fields->application_properties, fields->application_property_count };
}

/* Keys and values; more than any map may have if there are too many to count. */
static inline uint32_t elements_of(struct map map)
{
    if (RH_UNLIKELY(map.count > RH_MAP_ENTRIES_MAX)) return UINT32_MAX;
    return (uint32_t)(2 * map.count) + (map.partition_key.p ? 2 : 0);
}

static inline bool is_text(rh_type type)
{
    return type == RH_STRING || type == RH_SYMBOL;
}

/* What the pen does not write, which gives the place back to the codec's writer for it. */
static RH_APART struct pen write_any_pair(rh_enc *e, struct pen pen, uint8_t key_code, const rh_property *pair,
                                          bool has_key)
{
    e->p = pen.p;
    if (!has_key && pair->key.p == NULL) rh_enc_fail(e, RH_E_ARGUMENT);
    if (!has_key) rh_enc_variable(e, key_code, pair->key);
    rh_enc_value(e, &pair->value);
    return pen_after(e, has_key && !is_text(pair->value.type) ? pen.seen : RH_NOT_SEEN);
}

static const char partition_key_symbol[] = "\xa3\x13x-opt-partition-key";

/* A map that has no room, or more of it than one byte counts. */
static RH_APART struct pen write_any_map(rh_enc *e, struct pen pen, const rh_message_fields *fields, uint8_t section)
{
    struct map map = map_of(fields, section);
    e->p = pen.p;
    if (map.count > RH_MAP_ENTRIES_MAX) rh_enc_fail(e, RH_E_ARGUMENT);
    rh_enc_descriptor(e, section);
    size_t at = compound_begin(e, 0xc1);
    if (map.partition_key.p) {
        rh_enc_raw(e, rh_slice_of(partition_key_symbol, sizeof partition_key_symbol - 1));
        rh_enc_string(e, map.partition_key);
    }
    for (size_t i = 0; i < map.count && e->status == RH_OK; i++)
        write_any_pair(e, pen_after(e, RH_NOT_SEEN), map.key_code, &map.pairs[i], false);
    compound_end(e, at, elements_of(map));
    return pen_after(e, RH_NOT_SEEN);
}

/* The pen wrote more bytes into a map than one byte counts. */
static RH_APART struct pen widen_map(rh_enc *e, struct pen pen, const uint8_t *size, uint32_t elements)
{
    e->p = pen.p;
    compound_end(e, (size_t)(size - 1 - e->start), elements);
    return pen_after(e, pen.seen);
}

static inline void pen_partition_key(struct pen *pen, rh_slice key)
{
    memcpy(pen->p, partition_key_symbol, sizeof partition_key_symbol - 1);
    pen->p += sizeof partition_key_symbol - 1;
    pen_text(pen, 0xa1, key);
}

static inline RH_WITHIN struct pen write_map(rh_enc *e, struct pen pen, const rh_message_fields *fields, uint8_t section)
{
    struct map map      = map_of(fields, section);
    uint32_t   elements = elements_of(map);
    if (elements == 0) return pen;
    if (!pen_has_room(&pen) || RH_UNLIKELY(elements > 0xff) || RH_UNLIKELY(map.partition_key.n > 0xff))
        return write_any_map(e, pen, fields, section);

    uint8_t *size = pen_section(&pen, section, 0xc1, elements);
    if (map.partition_key.p) pen_partition_key(&pen, map.partition_key);
    const rh_property *pair = map.pairs;
    for (size_t left = map.count; left > 0; left--, pair++) {
        if (!pen_key(&pen, map.key_code, pair->key)) pen = write_any_pair(e, pen, map.key_code, pair, false);
        else if (RH_UNLIKELY(!pen_value(&pen, &pair->value))) pen = write_any_pair(e, pen, map.key_code, pair, true);
    }
    size_t n = (size_t)(pen.p - size) - 1; /* [1.2.3] the size counts what is behind it */
    if (RH_UNLIKELY(n > 0xff)) return widen_map(e, pen, size, elements);
    *size = (uint8_t)n;
    return pen;
}

static void write_id(rh_enc *e, rh_slice text, rh_slice encoded)
{
    if (text.p) rh_enc_string(e, text);
    else if (encoded.n) rh_enc_raw(e, encoded);
    else rh_enc_null(e);
}

/* The three that are given as text, and what else is given: in any length. */
static RH_APART struct pen write_any_properties(rh_enc *e, struct pen pen, const rh_message_fields *fields)
{
    static const rh_amqp_properties none;
    rh_amqp_properties in = fields->properties ? *fields->properties : none;
    e->p = pen.p;
    if (fields->content_type.p) in.content_type = fields->content_type;
    rh_enc_descriptor(e, RH_CODE_PROPERTIES);
    size_t list = compound_begin(e, 0xc0);
    write_id(e, fields->message_id, in.message_id);
    rh_enc_binary(e, in.user_id);
    write_id(e, rh_slice_of(NULL, 0), in.to);
    rh_enc_string(e, in.subject);
    write_id(e, rh_slice_of(NULL, 0), in.reply_to);
    write_id(e, fields->correlation_id, in.correlation_id);
    rh_enc_symbol(e, in.content_type);
    rh_enc_symbol(e, in.content_encoding);
    if (in.has & RH_HAS_PROPERTIES_ABSOLUTE_EXPIRY_TIME) rh_enc_timestamp(e, in.absolute_expiry_time);
    else rh_enc_null(e);
    if (in.has & RH_HAS_PROPERTIES_CREATION_TIME) rh_enc_timestamp(e, in.creation_time);
    else rh_enc_null(e);
    rh_enc_string(e, in.group_id);
    if (in.has & RH_HAS_PROPERTIES_GROUP_SEQUENCE) rh_enc_uint(e, in.group_sequence);
    else rh_enc_null(e);
    rh_enc_string(e, in.reply_to_group_id);
    compound_end(e, list, RH_FIELDS_PROPERTIES);
    return pen_after(e, RH_NOT_SEEN);
}

static inline void pen_nulls(struct pen *pen, size_t count)
{
    memset(pen->p, 0x40, count);
    pen->p += count;
}

static inline void pen_text_or_null(struct pen *pen, uint8_t code, rh_slice text)
{
    if (text.p) pen_text(pen, code, text);
    else pen_nulls(pen, 1);
}

static RH_APART struct pen write_given_properties(rh_enc *e, struct pen pen, const rh_amqp_properties *properties)
{
    e->p = pen.p;
    if (properties) rh_hot_properties_encode(e, properties);
    return pen_after(e, pen.seen);
}

/* The list with the three that nearly all messages have at most, the other ten being null. */
static inline struct pen write_properties(rh_enc *e, struct pen pen, const rh_message_fields *fields)
{
    rh_slice id = fields->message_id, correlation = fields->correlation_id, type = fields->content_type;
    size_t   n  = id.n + correlation.n + type.n;
    if (id.p == NULL && correlation.p == NULL && type.p == NULL)
        return write_given_properties(e, pen, fields->properties);
    if (RH_UNLIKELY(fields->properties != NULL) || RH_UNLIKELY(n > 0xff - 32) || !pen_has_room(&pen))
        return write_any_properties(e, pen, fields);

    uint8_t *size = pen_section(&pen, RH_CODE_PROPERTIES, 0xc0, RH_FIELDS_PROPERTIES);
    pen_text_or_null(&pen, 0xa1, id);
    pen_nulls(&pen, RH_AT_PROPERTIES_CORRELATION_ID - RH_AT_PROPERTIES_MESSAGE_ID - 1);
    pen_text_or_null(&pen, 0xa1, correlation);
    pen_text_or_null(&pen, 0xa3, type);
    pen_nulls(&pen, RH_FIELDS_PROPERTIES - RH_AT_PROPERTIES_CONTENT_TYPE - 1);
    *size = (uint8_t)(pen.p - size - 1);
    return pen;
}

static RH_APART void write_any_body(rh_enc *e, rh_body_kind kind, rh_slice body)
{
    switch (kind) {
    case RH_BODY_DATA:
        rh_enc_descriptor(e, RH_CODE_DATA);
        if (body.p) rh_enc_binary(e, body);
        else rh_enc_code8(e, 0xa0, 0);
        return;
    case RH_BODY_SEQUENCE:
        rh_enc_descriptor(e, RH_CODE_AMQP_SEQUENCE);
        if (body.n) rh_enc_raw(e, body);
        else rh_enc_list0(e);
        return;
    case RH_BODY_VALUE:
        rh_enc_descriptor(e, RH_CODE_AMQP_VALUE);
        if (body.n) rh_enc_raw(e, body);
        else rh_enc_null(e);
        return;
    case RH_BODY_NONE:
        if (body.n) rh_enc_fail(e, RH_E_ARGUMENT);
        return;
    }
    rh_enc_fail(e, RH_E_ARGUMENT);
}

/* Data whose length takes four bytes: here the time goes into the copy. */
static inline void write_body(rh_enc *e, uint8_t *p, const rh_message_fields *fields)
{
    const uint8_t *from = fields->body.p;
    size_t         n = fields->body.n, left = (size_t)(e->end - p);
    bool           is_wide_data = fields->body_kind == RH_BODY_DATA && n - 0x100 <= UINT32_MAX - 0x100;
    e->p = p;
    if (RH_UNLIKELY(!is_wide_data) || RH_UNLIKELY(left < 8 + n)) {
        write_any_body(e, fields->body_kind, fields->body);
        return;
    }
    e->p = p + 8 + n;
    rh_put32(p, 0x005300b0 | RH_CODE_DATA << 8);
    rh_put32(p + 4, (uint32_t)n);
    memcpy(p + 8, from, n);
}

/* -- the whole ------------------------------------------------------------------------------- */

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

bool rh_message_text_is(const rh_message_fields *fields)
{
    return rh_utf8_is(fields->partition_key) && rh_utf8_is(fields->message_id) && rh_utf8_is(fields->correlation_id)
           && rh_ascii_is(fields->content_type)
           && texts_are(fields->message_annotations, fields->message_annotation_count, rh_ascii_is)
           && texts_are(fields->application_properties, fields->application_property_count, rh_utf8_is);
}

/* Bodies come from all over the memory: their first lines are on the way while the sections before them are written. */
static inline void fetch_ahead(const uint8_t *body)
{
#pragma GCC unroll 8
    for (size_t line = 0; line < 8; line++) __builtin_prefetch(body + 64 * line);
}

rh_status rh_message_write(rh_enc *e, const rh_message_fields *fields)
{
    if (fields->header) rh_amqp_header_encode(e, fields->header);
    if (fields->body.n >= 8 * 64) fetch_ahead(fields->body.p);
    struct pen pen = pen_after(e, (rh_seen){ 0 });
    pen = write_map(e, pen, fields, RH_CODE_MESSAGE_ANNOTATIONS);
    pen = write_properties(e, pen, fields);
    pen = write_map(e, pen, fields, RH_CODE_APPLICATION_PROPERTIES);
    if (RH_UNLIKELY(!rh_seen_is_ascii(pen.seen)) && e->status == RH_OK && !rh_message_text_is(fields))
        rh_enc_fail(e, RH_E_ARGUMENT);
    else
        write_body(e, pen.p, fields);
    return e->status;
}

rh_slice rh_string_encoded(rh_slice text, uint8_t *scratch, size_t n)
{
    if (text.p == NULL || n < 5 || n - 5 < text.n) return rh_slice_of(NULL, 0);
    rh_enc e = rh_enc_of(scratch, n);
    rh_enc_string(&e, text);
    return rh_enc_written(&e);
}
