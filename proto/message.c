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

/* [3.2.1 - 3.2.9] the narrow constructor of each section's one type, and where the message keeps it if it is no body. An
 * amqp-value has any constructor, so that no byte is it. */
#define ANY 0x100
#define PLACE(section) offsetof(rh_message, section)
static const struct kind {
    uint16_t narrow;
    uint8_t  place;
} kinds[] = {
    { 0xc0, PLACE(header) },
    { 0xc1, PLACE(delivery_annotations) },
    { 0xc1, PLACE(message_annotations) },
    { 0xc0, PLACE(properties) },
    { 0xc1, PLACE(application_properties) },
    { 0xa0, 0 },
    { 0xc0, 0 },
    { ANY, 0 },
    { 0xc1, PLACE(footer) },
};

static inline const struct kind *kind_of(unsigned code) { return &kinds[code - RH_CODE_HEADER]; }

struct section {
    unsigned       code;
    rh_slice       value; /* of data the content, of all others as encoded */
    const uint8_t *end;
};

/* The descriptor of a section in any of its forms; d moves to the value, or fails where it stood. */
static bool read_code(rh_dec *d, unsigned *out)
{
    const uint8_t *at   = d->p;
    uint64_t       code = 0;
    rh_value       descriptor;
    if (!rh_dec_described(d, &descriptor)) return false;
    if (descriptor.type == RH_SYMBOL) code = code_of_symbol(descriptor.bytes);
    if (descriptor.type == RH_ULONG) code = descriptor.u;
    *out = (unsigned)code;
    if (is_section(code)) return true;
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

/* A section in any form that the specification allows. */
static RH_COLD struct section read_unusual(rh_dec *d)
{
    struct section section;
    if (read_code(d, &section.code)) {
        switch (section.code) {
        case RH_CODE_DATA:       section.value = rh_dec_binary(d); break;
        case RH_CODE_AMQP_VALUE: section.value = rh_dec_raw(d); break;
        default:                 section.value = read_sized(d, kind_of(section.code)->narrow); break;
        }
    }
    section.end = d->status == RH_OK ? d->p : NULL;
    return section;
}

/* A section as nearly all are: a descriptor of three bytes, and a value with a size of one byte or four. Nothing is
 * moved if it is another. What a list or map holds is not looked at. */
static inline bool read_ordinary(const uint8_t *p, const uint8_t *end, struct section *out)
{
    if (RH_UNLIKELY(end - p < 8) || RH_UNLIKELY(rh_get16(p) != 0x0053) || RH_UNLIKELY(!is_section(p[2]))) return false;
    unsigned       code = p[2], narrow = kind_of(code)->narrow;
    const uint8_t *content;
    size_t         n;
    if (p[3] == narrow) {
        content = p + 5;
        n       = p[4];
    } else if (p[3] == narrow + 0x10) {
        content = p + 8;
        n       = rh_get32(p + 4);
    } else {
        return false;
    }
    if (RH_UNLIKELY((size_t)(end - content) < n)) return false;
    out->code    = code;
    out->end     = content + n;
    out->value.p = code == RH_CODE_DATA ? content : p + 3;
    out->value.n = (size_t)(out->end - out->value.p);
    return true;
}

/* The section at p; false if there is none. */
static inline bool read_section(const uint8_t *p, const uint8_t *end, struct section *out)
{
    if (RH_LIKELY(read_ordinary(p, end, out))) return true;
    rh_dec d = { p, end, NULL, RH_OK };
    *out     = read_unusual(&d);
    return out->end != NULL;
}

static inline void first_body(rh_message *message, const struct section *section, const uint8_t *from)
{
    message->body_kind     = (rh_body_kind)(RH_BODY_DATA + (section->code - RH_CODE_DATA));
    message->body_sections = 1;
    message->body          = section->value;
    message->body_raw      = rh_slice_of(from, (size_t)(section->end - from));
}

static inline void further_body(rh_message *message, const struct section *section)
{
    message->body_sections++;
    message->body_raw.n = (size_t)(section->end - message->body_raw.p);
}

/* [3.2] sections come in the order of their codes, each once; only data and sequences repeat, and the three kinds of body
 * exclude each other. False if the section that begins at `from` breaks this after `last`. */
static inline bool add_section(rh_message *message, const struct section *section, const uint8_t *from, unsigned last)
{
    unsigned code = section->code;
    if (code < RH_CODE_DATA || code > RH_CODE_AMQP_VALUE) {
        *(rh_slice *)(void *)((uint8_t *)message + kind_of(code)->place) = section->value;
        return code > last;
    }
    if (RH_LIKELY(last < RH_CODE_DATA)) first_body(message, section, from);
    else further_body(message, section);
    return last < RH_CODE_DATA || (code == last && code != RH_CODE_AMQP_VALUE);
}

static RH_APART rh_status view_any(const uint8_t *p, const uint8_t *end, rh_message *out)
{
    unsigned last = 0;
    *out = (rh_message){ .body_kind = RH_BODY_NONE };
    while (p != end) {
        struct section section;
        if (!read_section(p, end, &section) || RH_UNLIKELY(!add_section(out, &section, p, last))) {
            *out = (rh_message){ .body_kind = RH_BODY_NONE };
            return RH_E_DECODE;
        }
        last = section.code;
        p    = section.end;
    }
    return RH_OK;
}

/* -- finding them where they mostly are ------------------------------------------------------- */

/* The section `code` if it is the one at *p and has a size of one byte, as nearly all but the body have; *p moves behind it. */
static inline rh_slice narrow_section(const uint8_t **p, const uint8_t *end, uint8_t code, uint8_t narrow)
{
    const uint8_t *at = *p, head[] = { 0x00, 0x53, code, narrow };
    if (end - at < 5 || memcmp(at, head, sizeof head) != 0 || end - at - 5 < at[4]) return rh_slice_of(NULL, 0);
    *p = at + 5 + at[4];
    return rh_slice_of(at + 3, 2 + (size_t)at[4]);
}

/* The one data section with which nearly all messages end; absent if it is another. */
static inline rh_slice last_data(const uint8_t *p, const uint8_t *end)
{
    static const uint8_t narrow[] = { 0x00, 0x53, RH_CODE_DATA, 0xa0 }, wide[] = { 0x00, 0x53, RH_CODE_DATA, 0xb0 };
    size_t left = (size_t)(end - p);
    if (RH_LIKELY(left >= 8) && memcmp(p, wide, sizeof wide) == 0 && rh_get32(p + 4) == left - 8)
        return rh_slice_of(p + 8, left - 8);
    if (left >= 5 && memcmp(p, narrow, sizeof narrow) == 0 && p[4] == left - 5) return rh_slice_of(p + 5, left - 5);
    return rh_slice_of(NULL, 0);
}

/* The order of the lines is that of the sections [3.2]: what is anywhere else is left over, and everything looked at anew. */
rh_status rh_message_view(rh_slice encoded, rh_message *out)
{
    const uint8_t *p = encoded.p, *end = p ? p + encoded.n : p;
    out->header                 = narrow_section(&p, end, RH_CODE_HEADER, 0xc0);
    out->delivery_annotations   = narrow_section(&p, end, RH_CODE_DELIVERY_ANNOTATIONS, 0xc1);
    out->message_annotations    = narrow_section(&p, end, RH_CODE_MESSAGE_ANNOTATIONS, 0xc1);
    out->properties             = narrow_section(&p, end, RH_CODE_PROPERTIES, 0xc0);
    out->application_properties = narrow_section(&p, end, RH_CODE_APPLICATION_PROPERTIES, 0xc1);
    out->footer                 = rh_slice_of(NULL, 0);
    out->body_kind              = RH_BODY_DATA;
    out->body_sections          = 1;
    out->body                   = last_data(p, end);
    out->body_raw               = rh_slice_of(p, (size_t)(end - p));
    return RH_LIKELY(out->body.p != NULL) ? RH_OK : view_any(encoded.p, end, out);
}

bool rh_message_body_next(rh_dec *sections, rh_slice *out)
{
    struct section section;
    *out = rh_slice_of(NULL, 0);
    if (sections->p == sections->end) return false;
    if (RH_LIKELY(read_ordinary(sections->p, sections->end, &section))) sections->p = section.end;
    else section = read_unusual(sections);
    if (sections->status == RH_OK) *out = section.value;
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
