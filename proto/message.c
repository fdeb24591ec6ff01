#include "proto/compound.h"
#include "proto/put.h"
#include "proto/table.h"

/* -- finding the sections -------------------------------------------------------------------- */

static bool is_section(uint64_t code)
{
    return code >= RH_CODE_HEADER && code <= RH_CODE_FOOTER;
}

/* [3.2] the sections whose descriptors are symbols; few peers use them. */
static uint64_t code_of_symbol(rh_slice symbol)
{
    static const char *const symbols[] = {
        "amqp:header:list",     "amqp:delivery-annotations:map",   "amqp:message-annotations:map",
        "amqp:properties:list", "amqp:application-properties:map", "amqp:data:binary",
        "amqp:amqp-sequence:list", "amqp:amqp-value:*",            "amqp:footer:map",
    };
    for (uint64_t i = 0; i < sizeof symbols / sizeof *symbols; i++)
        if (rh_slice_is(symbol, symbols[i])) return RH_CODE_HEADER + i;
    return 0;
}

static uint64_t read_unusual_code(rh_dec *d)
{
    const uint8_t *at = d->p;
    rh_value       descriptor;
    uint64_t       code = 0;
    if (!rh_dec_described(d, &descriptor)) return 0;
    if (descriptor.type == RH_SYMBOL) code = code_of_symbol(descriptor.bytes);
    if (descriptor.type == RH_ULONG) code = descriptor.u;
    if (is_section(code)) return code;
    d->p = at;
    rh_dec_fail(d, RH_E_DECODE);
    return 0;
}

/* The descriptor of a section; d moves to its value, or fails. */
static inline uint64_t read_code(rh_dec *d)
{
    const uint8_t *p = d->p;
    if (RH_LIKELY(rh_dec_left(d) >= 3) && RH_LIKELY(p[0] == 0x00 && p[1] == 0x53) && RH_LIKELY(is_section(p[2]))) {
        d->p += 3;
        return p[2];
    }
    return read_unusual_code(d);
}

/* [3.2.1 - 3.2.9] the narrow constructor of each section's one type. */
static const uint8_t narrow_codes[] = { 0xc0, 0xc1, 0xc1, 0xc0, 0xc1, 0xa0, 0xc0, 0, 0xc1 };

static rh_slice read_unusual_section(rh_dec *d, uint64_t code)
{
    if (code == RH_CODE_AMQP_VALUE) return rh_dec_raw(d);
    if (code && narrow_codes[code - RH_CODE_HEADER] == 0xc0 && rh_dec_left(d) && *d->p == 0x45) return rh_dec_take(d, 1);
    rh_dec_fail(d, RH_E_DECODE);
    return rh_slice_of(NULL, 0);
}

/* A section's value by its own size: of data the content, of all others as encoded. What a list or map holds is not
 * looked at. */
static inline rh_slice read_section(rh_dec *d, uint64_t code)
{
    const uint8_t *p      = d->p;
    size_t         left   = rh_dec_left(d), head, n;
    uint8_t        narrow = code ? narrow_codes[code - RH_CODE_HEADER] : 0;
    if (RH_UNLIKELY(left < 2) || RH_UNLIKELY(narrow == 0)) return read_unusual_section(d, code);
    if (p[0] == narrow) {
        head = 2;
        n    = p[1];
    } else if (p[0] == narrow + 0x10 && left >= 5) {
        head = 5;
        n    = rh_get32(p + 1);
    } else {
        return read_unusual_section(d, code);
    }
    if (RH_UNLIKELY(left - head < n)) {
        rh_dec_fail(d, RH_E_DECODE);
        return rh_slice_of(NULL, 0);
    }
    d->p = p + head + n;
    return code == RH_CODE_DATA ? rh_slice_of(p + head, n) : rh_slice_of(p, head + n);
}

static bool is_body(uint64_t code)
{
    return code >= RH_CODE_DATA && code <= RH_CODE_AMQP_VALUE;
}

/* [3.2] sections come in the order of their codes, each once; only data and sequences repeat, and the
 * three kinds of body exclude each other. */
static inline bool section_follows(uint64_t code, uint64_t last)
{
    if (RH_LIKELY(code > last)) return last < RH_CODE_DATA || !is_body(code);
    return code == last && (code == RH_CODE_DATA || code == RH_CODE_AMQP_SEQUENCE);
}

static inline void add_body(rh_message *message, uint64_t code, rh_slice content, const uint8_t *from, const uint8_t *to)
{
    if (message->body_sections++ == 0) {
        message->body_kind  = (rh_body_kind)(RH_BODY_DATA + (code - RH_CODE_DATA));
        message->body       = content;
        message->body_raw.p = from;
    }
    message->body_raw.n = (size_t)(to - message->body_raw.p);
}

/* Where the message keeps each section that is not a body. */
static const uint8_t places[] = {
    offsetof(rh_message, header), offsetof(rh_message, delivery_annotations), offsetof(rh_message, message_annotations),
    offsetof(rh_message, properties), offsetof(rh_message, application_properties), 0, 0, 0, offsetof(rh_message, footer),
};

rh_status rh_message_view(rh_slice encoded, rh_message *out)
{
    rh_dec   d    = rh_dec_of(encoded);
    uint64_t last = 0;
    *out = (rh_message){ .body_kind = RH_BODY_NONE };
    while (d.p != d.end) {
        const uint8_t *at    = d.p;
        uint64_t       code  = read_code(&d);
        rh_slice       value = read_section(&d, code);
        if (RH_UNLIKELY(value.p == NULL) || RH_UNLIKELY(!section_follows(code, last))) {
            *out = (rh_message){ .body_kind = RH_BODY_NONE };
            return RH_E_DECODE;
        }
        if (is_body(code)) add_body(out, code, value, at, d.p);
        else *(rh_slice *)(void *)((uint8_t *)out + places[code - RH_CODE_HEADER]) = value;
        last = code;
    }
    return RH_OK;
}

bool rh_message_body_next(rh_dec *sections, rh_slice *out)
{
    *out = rh_slice_of(NULL, 0);
    if (sections->p == sections->end) return false;
    *out = read_section(sections, read_code(sections));
    return sections->status == RH_OK;
}

/* An absent section is one in which every field is absent. */
static rh_dec list_section(rh_slice section)
{
    return rh_dec_of(section.p ? section : rh_slice_of("\x45", 1));
}

rh_status rh_message_header(const rh_message *message, rh_amqp_header *out)
{
    rh_dec d = list_section(message->header);
    return rh_table_read(&d, RH_AMQP_HEADER, out);
}

rh_status rh_message_properties(const rh_message *message, rh_amqp_properties *out)
{
    rh_dec d = list_section(message->properties);
    return rh_hot_properties_read(&d, out);
}

/* -- writing --------------------------------------------------------------------------------- */

/* Pairs of a short key and a short value of the types that events mostly have; NULL for others. */
#define SHORT_PAIR 0xff

static inline uint8_t *put_short_pair(uint8_t *p, uint8_t key_code, rh_slice key, const rh_value *value)
{
    p = put_short(p, key_code, key);
    switch (value->type) {
    case RH_STRING:    return put_text(p, 0xa1, value->bytes);
    case RH_LONG:      return put_long(p, value->i);
    case RH_TIMESTAMP: return put_code64(p, 0x83, (uint64_t)value->i);
    case RH_BOOL:      return put_bool(p, value->boolean);
    default:           return NULL;
    }
}

static inline void write_pair(rh_enc *e, uint8_t key_code, rh_slice key, const rh_value *value)
{
    /* Two bytes before the key, and no more than nine for a number or two before the value. */
    const size_t most = SHORT_PAIR - 11;
    if (RH_LIKELY(rh_enc_left(e) >= SHORT_PAIR && key.p != NULL && key.n <= most) && RH_LIKELY(value->bytes.n <= most - key.n)) {
        uint8_t *p = put_short_pair(e->p, key_code, key, value);
        if (RH_LIKELY(p != NULL)) {
            e->p = p;
            return;
        }
    }
    if (key.p == NULL) rh_enc_fail(e, RH_E_ARGUMENT);
    rh_enc_variable(e, key_code, key);
    rh_enc_value(e, value);
}

static void write_map(rh_enc *e, uint8_t section, uint8_t key_code, const rh_property *properties, size_t count)
{
    if (count == 0) return;
    if (count > RH_MAP_ENTRIES_MAX) {
        rh_enc_fail(e, RH_E_ARGUMENT);
        return;
    }
    rh_enc_descriptor(e, section);
    size_t map = compound_begin(e, 0xc1);
    for (size_t i = 0; i < count; i++) write_pair(e, key_code, properties[i].key, &properties[i].value);
    compound_end(e, map, (uint32_t)(2 * count));
}

static void write_body(rh_enc *e, rh_body_kind kind, rh_slice body)
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

rh_status rh_message_write(rh_enc *e, const rh_message_fields *fields)
{
    if (fields->header) rh_amqp_header_encode(e, fields->header);
    write_map(e, RH_CODE_MESSAGE_ANNOTATIONS, 0xa3, fields->message_annotations, fields->message_annotation_count);
    if (fields->properties) rh_amqp_properties_encode(e, fields->properties);
    write_map(e, RH_CODE_APPLICATION_PROPERTIES, 0xa1, fields->application_properties, fields->application_property_count);
    write_body(e, fields->body_kind, fields->body);
    return e->status;
}

rh_slice rh_string_encoded(rh_slice text, uint8_t *scratch, size_t n)
{
    if (text.p == NULL || n < 5 || n - 5 < text.n) return rh_slice_of(NULL, 0);
    rh_enc e = rh_enc_of(scratch, n);
    rh_enc_string(&e, text);
    return rh_enc_written(&e);
}
