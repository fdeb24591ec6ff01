#include "codec/constructor.h"

/* -- scalars --------------------------------------------------------------------------------- */

void rh_enc_float(rh_enc *e, float v)
{
    uint32_t bits;
    memcpy(&bits, &v, sizeof bits);
    rh_enc_code32(e, 0x72, bits);
}

void rh_enc_double(rh_enc *e, double v)
{
    uint64_t bits;
    memcpy(&bits, &v, sizeof bits);
    rh_enc_code64(e, 0x82, bits);
}

static void fixed_bytes(rh_enc *e, uint8_t code, const uint8_t *bytes, size_t n)
{
    uint8_t *p = rh_enc_room(e, 1 + n);
    if (!p) return;
    *p = code;
    memcpy(p + 1, bytes, n);
}

void rh_enc_uuid(rh_enc *e, const uint8_t bytes[16])
{
    fixed_bytes(e, 0x98, bytes, 16);
}

void rh_enc_decimal32(rh_enc *e, const uint8_t bytes[4])
{
    fixed_bytes(e, 0x74, bytes, 4);
}

void rh_enc_decimal64(rh_enc *e, const uint8_t bytes[8])
{
    fixed_bytes(e, 0x84, bytes, 8);
}

void rh_enc_decimal128(rh_enc *e, const uint8_t bytes[16])
{
    fixed_bytes(e, 0x94, bytes, 16);
}

/* -- compounds ------------------------------------------------------------------------------- */

/* Constructor, size and count, the last two left open until the end. */
static rh_enc_mark begin(rh_enc *e, uint8_t code)
{
    rh_enc_mark mark = { rh_enc_size(e) };
    uint8_t    *p    = rh_enc_room(e, 1 + 2 * rh_constructor_prefix(code));
    if (p) *p = code;
    return mark;
}

static void end_wide(rh_enc *e, rh_enc_mark mark, uint32_t count)
{
    if (e->status != RH_OK) return;
    uint8_t *at = e->start + mark.at;
    size_t   n  = (size_t)(e->p - at) - 5; /* [1.2.3] the size counts what is behind it */
    if (n > UINT32_MAX) {
        rh_enc_fail(e, RH_E_SPACE);
        return;
    }
    rh_put32(at + 1, (uint32_t)n);
    rh_put32(at + 5, count);
}

static void end_narrow(rh_enc *e, rh_enc_mark mark, uint32_t count)
{
    if (e->status != RH_OK) return;
    uint8_t *at = e->start + mark.at;
    size_t   n  = (size_t)(e->p - at) - 2;
    if (n > 0xff || count > 0xff) {
        rh_enc_fail(e, RH_E_SPACE);
        return;
    }
    at[1] = (uint8_t)n;
    at[2] = (uint8_t)count;
}

rh_enc_mark rh_enc_list_begin(rh_enc *e)
{
    return begin(e, 0xd0);
}

void rh_enc_list_end(rh_enc *e, rh_enc_mark mark, uint32_t count)
{
    end_wide(e, mark, count);
}

rh_enc_mark rh_enc_map_begin(rh_enc *e)
{
    return begin(e, 0xd1);
}

void rh_enc_map_end(rh_enc *e, rh_enc_mark mark, uint32_t count)
{
    end_wide(e, mark, count);
}

rh_enc_mark rh_enc_list8_begin(rh_enc *e)
{
    return begin(e, 0xc0);
}

void rh_enc_list8_end(rh_enc *e, rh_enc_mark mark, uint32_t count)
{
    end_narrow(e, mark, count);
}

rh_enc_mark rh_enc_map8_begin(rh_enc *e)
{
    return begin(e, 0xc1);
}

void rh_enc_map8_end(rh_enc *e, rh_enc_mark mark, uint32_t count)
{
    end_narrow(e, mark, count);
}

rh_enc_mark rh_enc_array_begin(rh_enc *e, uint8_t element_code)
{
    rh_enc_mark mark = begin(e, 0xf0);
    rh_enc_u8(e, element_code);
    return mark;
}

void rh_enc_array_end(rh_enc *e, rh_enc_mark mark, uint32_t count)
{
    end_wide(e, mark, count);
}

void rh_enc_element8(rh_enc *e, uint8_t v)
{
    rh_enc_u8(e, v);
}

void rh_enc_element16(rh_enc *e, uint16_t v)
{
    uint8_t *p = rh_enc_room(e, 2);
    if (p) rh_put16(p, v);
}

void rh_enc_element32(rh_enc *e, uint32_t v)
{
    uint8_t *p = rh_enc_room(e, 4);
    if (p) rh_put32(p, v);
}

void rh_enc_element64(rh_enc *e, uint64_t v)
{
    uint8_t *p = rh_enc_room(e, 8);
    if (p) rh_put64(p, v);
}

void rh_enc_element_variable(rh_enc *e, uint8_t element_code, rh_slice content)
{
    size_t prefix = rh_constructor_prefix(element_code);
    if (content.n > (prefix == 1 ? 0xff : UINT32_MAX) || rh_enc_left(e) < prefix
        || rh_enc_left(e) - prefix < content.n) {
        rh_enc_fail(e, RH_E_SPACE);
        return;
    }
    if (prefix == 1) rh_enc_element8(e, (uint8_t)content.n);
    else rh_enc_element32(e, (uint32_t)content.n);
    rh_enc_raw(e, content);
}

void rh_enc_symbols(rh_enc *e, const rh_slice *symbols, uint32_t count)
{
    size_t bytes = 0, longest = 0;
    for (uint32_t i = 0; i < count; i++) {
        bytes += symbols[i].n;
        if (symbols[i].n > longest) longest = symbols[i].n;
    }

    uint8_t     element = longest <= 0xff ? 0xa3 : 0xb3;
    size_t      size    = bytes + count * rh_constructor_prefix(element) + 2; /* with count and constructor */
    bool        narrow  = size <= 0xff; /* then the count is too: each takes a byte */
    rh_enc_mark mark    = begin(e, narrow ? 0xe0 : 0xf0);
    rh_enc_u8(e, element);
    for (uint32_t i = 0; i < count; i++) rh_enc_element_variable(e, element, symbols[i]);
    if (narrow) end_narrow(e, mark, count);
    else end_wide(e, mark, count);
}

/* -- any value ------------------------------------------------------------------------------- */

static void bytes_of_width(rh_enc *e, uint8_t code, rh_slice bytes)
{
    if (bytes.p && bytes.n == rh_constructor_width(code)) fixed_bytes(e, code, bytes.p, bytes.n);
    else rh_enc_fail(e, RH_E_ARGUMENT);
}

static void encoded_bytes(rh_enc *e, const rh_value *value)
{
    if (value->bytes.n == 0 && !value->bare) {
        rh_enc_fail(e, RH_E_ARGUMENT);
        return;
    }
    rh_enc before = *e;
    if (value->bare) rh_enc_u8(e, value->code);
    rh_enc_raw(e, value->bytes);
    if (e->status == RH_OK) return;
    *e = before; /* not half a value */
    rh_enc_fail(e, RH_E_SPACE);
}

void rh_enc_value(rh_enc *e, const rh_value *value)
{
    switch (value->type) {
    case RH_NULL:       rh_enc_null(e); return;
    case RH_BOOL:       rh_enc_bool(e, value->boolean); return;
    case RH_UBYTE:      rh_enc_ubyte(e, (uint8_t)value->u); return;
    case RH_USHORT:     rh_enc_ushort(e, (uint16_t)value->u); return;
    case RH_UINT:       rh_enc_uint(e, (uint32_t)value->u); return;
    case RH_ULONG:      rh_enc_ulong(e, value->u); return;
    case RH_BYTE:       rh_enc_byte(e, (int8_t)value->i); return;
    case RH_SHORT:      rh_enc_short(e, (int16_t)value->i); return;
    case RH_INT:        rh_enc_int(e, (int32_t)value->i); return;
    case RH_LONG:       rh_enc_long(e, value->i); return;
    case RH_FLOAT:      rh_enc_float(e, value->f); return;
    case RH_DOUBLE:     rh_enc_double(e, value->d); return;
    case RH_DECIMAL32:  bytes_of_width(e, 0x74, value->bytes); return;
    case RH_DECIMAL64:  bytes_of_width(e, 0x84, value->bytes); return;
    case RH_DECIMAL128: bytes_of_width(e, 0x94, value->bytes); return;
    case RH_CHAR:       rh_enc_char(e, value->character); return;
    case RH_TIMESTAMP:  rh_enc_timestamp(e, value->i); return;
    case RH_UUID:       bytes_of_width(e, 0x98, value->bytes); return;
    case RH_BINARY:     rh_enc_binary(e, value->bytes); return;
    case RH_STRING:     rh_enc_string(e, value->bytes); return;
    case RH_SYMBOL:     rh_enc_symbol(e, value->bytes); return;
    case RH_LIST:
    case RH_MAP:
    case RH_ARRAY:
    case RH_DESCRIBED:  encoded_bytes(e, value); return;
    case RH_INVALID:    break;
    }
    rh_enc_fail(e, RH_E_ARGUMENT);
}
