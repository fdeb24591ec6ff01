#include "proto/compound.h"
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
    if (RH_LIKELY(rh_dec_left(d) >= 4) && RH_LIKELY(p[0] == 0x00 && p[1] == 0x53) && RH_LIKELY(is_section(p[2]))) {
        d->p += 3;
        return p[2];
    }
    return read_unusual_code(d);
}

/* A list, map or binary by its own size, constructor included; what a list or map holds is not looked at. */
static inline rh_slice read_sized(rh_dec *d, uint8_t narrow_code)
{
    const uint8_t *p    = d->p;
    size_t         left = rh_dec_left(d);
    if (left >= 2 && p[0] == narrow_code) return rh_dec_take(d, 2 + (size_t)p[1]);
    if (left >= 5 && p[0] == narrow_code + 0x10) return rh_dec_take(d, 5 + (size_t)rh_get32(p + 1));
    if (left >= 1 && p[0] == 0x45 && narrow_code == 0xc0) return rh_dec_take(d, 1);
    rh_dec_fail(d, RH_E_DECODE);
    return rh_slice_of(NULL, 0);
}

/* [3.2.1 - 3.2.9] each section has its one type; of data the content, of all others the encoded value. */
static inline rh_slice read_section(rh_dec *d, uint64_t code)
{
    switch (code) {
    case RH_CODE_HEADER:
    case RH_CODE_PROPERTIES:
    case RH_CODE_AMQP_SEQUENCE: return read_sized(d, 0xc0);
    case RH_CODE_DATA:          return rh_dec_binary(d);
    case RH_CODE_AMQP_VALUE:    return rh_dec_raw(d);
    default:                    return read_sized(d, 0xc1);
    }
}

/* [3.2] sections come in the order of their codes, each once; only data and sequences repeat, and the
 * three kinds of body exclude each other. */
static inline bool section_follows(uint64_t code, uint64_t last)
{
    if (code == last) return code == RH_CODE_DATA || code == RH_CODE_AMQP_SEQUENCE;
    return code > last && !(last >= RH_CODE_DATA && code <= RH_CODE_AMQP_VALUE);
}

static inline void add_body(rh_message *message, rh_body_kind kind, rh_slice content, const uint8_t *from, const uint8_t *to)
{
    if (message->body_sections++ == 0) {
        message->body_kind  = kind;
        message->body       = content;
        message->body_raw.p = from;
    }
    message->body_raw.n = (size_t)(to - message->body_raw.p);
}

rh_status rh_message_view(rh_slice encoded, rh_message *out)
{
    rh_dec   d    = rh_dec_of(encoded);
    uint64_t last = 0;
    *out = (rh_message){ .body_kind = RH_BODY_NONE };
    while (d.p != d.end) {
        const uint8_t *at    = d.p;
        uint64_t       code  = read_code(&d);
        rh_slice       value = read_section(&d, code);
        if (RH_UNLIKELY(d.status != RH_OK) || RH_UNLIKELY(!section_follows(code, last))) {
            *out = (rh_message){ .body_kind = RH_BODY_NONE };
            return RH_E_DECODE;
        }
        switch (code) {
        case RH_CODE_HEADER:                 out->header = value; break;
        case RH_CODE_DELIVERY_ANNOTATIONS:   out->delivery_annotations = value; break;
        case RH_CODE_MESSAGE_ANNOTATIONS:    out->message_annotations = value; break;
        case RH_CODE_PROPERTIES:             out->properties = value; break;
        case RH_CODE_APPLICATION_PROPERTIES: out->application_properties = value; break;
        case RH_CODE_DATA:                   add_body(out, RH_BODY_DATA, value, at, d.p); break;
        case RH_CODE_AMQP_SEQUENCE:          add_body(out, RH_BODY_SEQUENCE, value, at, d.p); break;
        case RH_CODE_AMQP_VALUE:             add_body(out, RH_BODY_VALUE, value, at, d.p); break;
        default:                             out->footer = value; break;
        }
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
static rh_status read_list_section(rh_slice section, rh_composite_id id, void *out)
{
    rh_dec d = rh_dec_of(section.p ? section : rh_slice_of("\x45", 1));
    return rh_table_read(&d, id, out);
}

rh_status rh_message_header(const rh_message *message, rh_amqp_header *out)
{
    return read_list_section(message->header, RH_AMQP_HEADER, out);
}

rh_status rh_message_properties(const rh_message *message, rh_amqp_properties *out)
{
    return read_list_section(message->properties, RH_AMQP_PROPERTIES, out);
}

/* -- writing --------------------------------------------------------------------------------- */

static void write_map(rh_enc *e, uint8_t section, uint8_t key_code, const rh_property *properties, size_t count)
{
    if (count == 0) return;
    if (count > RH_MAP_ENTRIES_MAX) {
        rh_enc_fail(e, RH_E_ARGUMENT);
        return;
    }
    rh_enc_descriptor(e, section);
    size_t map = compound_begin(e, 0xc1);
    for (size_t i = 0; i < count; i++) {
        if (properties[i].key.p == NULL) rh_enc_fail(e, RH_E_ARGUMENT);
        rh_enc_variable(e, key_code, properties[i].key);
        rh_enc_value(e, &properties[i].value);
    }
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
