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

/* [3.2.1 - 3.2.9] the narrow constructor of each section's one type; an amqp-value has any, so that no byte is it. */
#define ANY 0x100
static const uint16_t narrow_codes[] = { 0xc0, 0xc1, 0xc1, 0xc0, 0xc1, 0xa0, 0xc0, ANY, 0xc1 };

struct section {
    uint64_t code;
    rh_slice value; /* of data the content, of all others as encoded */
};

/* A section as nearly all are: a descriptor of three bytes, and a value with a size. Answers where it ends; NULL if this one
 * is for read_section(). What a list or map holds is not looked at. */
static inline const uint8_t *read_ordinary(const uint8_t *p, const uint8_t *end, struct section *out)
{
    size_t left = (size_t)(end - p), head, n;
    if (RH_UNLIKELY(left < 8) || RH_UNLIKELY(rh_get16(p) != 0x0053) || RH_UNLIKELY(!is_section(p[2]))) return NULL;
    out->code       = p[2];
    uint16_t narrow = narrow_codes[p[2] - RH_CODE_HEADER];
    if (p[3] == narrow) {
        head = 2;
        n    = p[4];
    } else if (p[3] == narrow + 0x10) {
        head = 5;
        n    = rh_get32(p + 4);
    } else {
        return NULL;
    }
    if (RH_UNLIKELY(left - 3 - head < n)) return NULL;
    p += 3;
    out->value = narrow == 0xa0 ? rh_slice_of(p + head, n) : rh_slice_of(p, head + n);
    return p + head + n;
}

/* The descriptor of a section in any of its forms; d moves to the value, or fails where it stood. */
static bool read_code(rh_dec *d, uint64_t *out)
{
    const uint8_t *at = d->p;
    rh_value       descriptor;
    *out = 0;
    if (!rh_dec_described(d, &descriptor)) return false;
    if (descriptor.type == RH_SYMBOL) *out = code_of_symbol(descriptor.bytes);
    if (descriptor.type == RH_ULONG) *out = descriptor.u;
    if (is_section(*out)) return true;
    d->p = at;
    rh_dec_fail(d, RH_E_DECODE);
    return false;
}

/* A list, map or binary by its own size, constructor included. */
static rh_slice read_sized(rh_dec *d, uint16_t narrow)
{
    const uint8_t *p    = d->p;
    size_t         left = rh_dec_left(d);
    if (left >= 2 && p[0] == narrow) return rh_dec_take(d, 2 + (size_t)p[1]);
    if (left >= 5 && p[0] == narrow + 0x10) return rh_dec_take(d, 5 + (size_t)rh_get32(p + 1));
    if (left >= 1 && p[0] == 0x45 && narrow == 0xc0) return rh_dec_take(d, 1);
    rh_dec_fail(d, RH_E_DECODE);
    return rh_slice_of(NULL, 0);
}

static bool read_section(rh_dec *d, struct section *out)
{
    if (!read_code(d, &out->code)) return false;
    switch (out->code) {
    case RH_CODE_DATA:       out->value = rh_dec_binary(d); break;
    case RH_CODE_AMQP_VALUE: out->value = rh_dec_raw(d); break;
    default:                 out->value = read_sized(d, narrow_codes[out->code - RH_CODE_HEADER]); break;
    }
    return d->status == RH_OK;
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

static inline void add_body(rh_message *message, const struct section *section, const uint8_t *from, const uint8_t *to)
{
    if (message->body_sections++ == 0) {
        message->body_kind  = (rh_body_kind)(RH_BODY_DATA + (section->code - RH_CODE_DATA));
        message->body       = section->value;
        message->body_raw.p = from;
    }
    message->body_raw.n = (size_t)(to - message->body_raw.p);
}

/* Where the message keeps each section that is not a body. */
static const uint8_t places[] = {
    offsetof(rh_message, header), offsetof(rh_message, delivery_annotations), offsetof(rh_message, message_annotations),
    offsetof(rh_message, properties), offsetof(rh_message, application_properties), 0, 0, 0, offsetof(rh_message, footer),
};

static inline void add_section(rh_message *message, const struct section *section, const uint8_t *from, const uint8_t *to)
{
    if (is_body(section->code)) add_body(message, section, from, to);
    else *(rh_slice *)(void *)((uint8_t *)message + places[section->code - RH_CODE_HEADER]) = section->value;
}

static rh_status no_message(rh_message *out)
{
    *out = (rh_message){ .body_kind = RH_BODY_NONE };
    return RH_E_DECODE;
}

rh_status rh_message_view(rh_slice encoded, rh_message *out)
{
    const uint8_t *p    = encoded.p;
    const uint8_t *end  = p ? p + encoded.n : p;
    uint64_t       last = 0;
    *out = (rh_message){ .body_kind = RH_BODY_NONE };
    while (p != end) {
        struct section section;
        const uint8_t *next = read_ordinary(p, end, &section);
        if (RH_UNLIKELY(next == NULL)) {
            rh_dec d = { p, end, NULL, RH_OK };
            if (!read_section(&d, &section)) return no_message(out);
            next = d.p;
        }
        if (RH_UNLIKELY(!section_follows(section.code, last))) return no_message(out);
        add_section(out, &section, p, next);
        last = section.code;
        p    = next;
    }
    return RH_OK;
}

bool rh_message_body_next(rh_dec *sections, rh_slice *out)
{
    struct section section;
    *out = rh_slice_of(NULL, 0);
    if (sections->p == sections->end) return false;

    const uint8_t *next = read_ordinary(sections->p, sections->end, &section);
    if (next) sections->p = next;
    else if (!read_section(sections, &section)) return false;
    *out = section.value;
    return true;
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
