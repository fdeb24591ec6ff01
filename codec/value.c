#include "codec/constructor.h"

static const char *const type_names[] = {
    [RH_NULL] = "null",           [RH_BOOL] = "boolean",          [RH_UBYTE] = "ubyte",         [RH_USHORT] = "ushort",
    [RH_UINT] = "uint",           [RH_ULONG] = "ulong",           [RH_BYTE] = "byte",           [RH_SHORT] = "short",
    [RH_INT] = "int",             [RH_LONG] = "long",             [RH_FLOAT] = "float",         [RH_DOUBLE] = "double",
    [RH_DECIMAL32] = "decimal32", [RH_DECIMAL64] = "decimal64",   [RH_DECIMAL128] = "decimal128", [RH_CHAR] = "char",
    [RH_TIMESTAMP] = "timestamp", [RH_UUID] = "uuid",             [RH_BINARY] = "binary",       [RH_STRING] = "string",
    [RH_SYMBOL] = "symbol",       [RH_LIST] = "list",             [RH_MAP] = "map",             [RH_ARRAY] = "array",
    [RH_DESCRIBED] = "described",
};

const char *rh_type_name(rh_type type)
{
    return (unsigned)type < RH_INVALID ? type_names[type] : "invalid";
}

bool rh_payload_value(uint8_t code, const uint8_t *p, size_t n, rh_value *out)
{
    *out = (rh_value){ .type = rh_constructor_type(code), .code = code };
    switch (code) {
    case 0x40: return true;
    case 0x41: out->boolean = true; return true;
    case 0x42: return true;
    case 0x43: return true;
    case 0x44: return true;

    case 0x50: out->u = *p; return true;
    case 0x51: out->i = (int8_t)*p; return true;
    case 0x52: out->u = *p; return true;
    case 0x53: out->u = *p; return true;
    case 0x54: out->i = (int8_t)*p; return true;
    case 0x55: out->i = (int8_t)*p; return true;
    case 0x56: out->boolean = *p == 1; return *p <= 1;

    case 0x60: out->u = rh_get16(p); return true;
    case 0x61: out->i = (int16_t)rh_get16(p); return true;

    case 0x70: out->u = rh_get32(p); return true;
    case 0x71: out->i = (int32_t)rh_get32(p); return true;
    case 0x72: out->f = rh_float_of(p); return true;
    case 0x73: out->character = rh_get32(p); return rh_is_character(out->character);

    case 0x80: out->u = rh_get64(p); return true;
    case 0x81: out->i = (int64_t)rh_get64(p); return true;
    case 0x82: out->d = rh_double_of(p); return true;
    case 0x83: out->i = (int64_t)rh_get64(p); return true;

    case 0xa0: case 0xa1: case 0xa3: out->bytes = rh_slice_of(p + 1, n - 1); break;
    case 0xb0: case 0xb1: case 0xb3: out->bytes = rh_slice_of(p + 4, n - 4); break;
    default:                         out->bytes = rh_slice_of(p, n); break; /* decimals, uuid, compounds */
    }
    if (out->type == RH_STRING) return rh_utf8_is(out->bytes);
    if (out->type == RH_SYMBOL) return rh_ascii_is(out->bytes);
    return true;
}

static bool refuse(rh_dec *d, rh_value *out)
{
    *out = (rh_value){ .type = RH_INVALID };
    rh_dec_fail(d, RH_E_DECODE);
    return false;
}

bool rh_dec_value(rh_dec *d, rh_value *out)
{
    const uint8_t *at = d->p;
    if (RH_UNLIKELY(at == d->end)) return refuse(d, out);

    if (*at == 0x00) {
        *out = (rh_value){ .type = RH_DESCRIBED, .bytes = rh_dec_raw(d) };
        return out->bytes.p ? true : refuse(d, out);
    }
    size_t n = rh_payload_size(*at, at + 1, rh_dec_left(d) - 1);
    if (RH_UNLIKELY(n == RH_MALFORMED) || RH_UNLIKELY(!rh_payload_value(*at, at + 1, n, out))) return refuse(d, out);
    d->p += 1 + n;
    if (rh_type_is_compound(out->type)) out->bytes = rh_slice_of(at, 1 + n);
    return true;
}

bool rh_dec_described(rh_dec *d, rh_value *descriptor)
{
    if (rh_dec_peek(d) == RH_DESCRIBED) {
        d->p++;
        return rh_dec_value(d, descriptor);
    }
    *descriptor = (rh_value){ .type = RH_INVALID };
    rh_dec_fail(d, RH_E_DECODE);
    return false;
}

bool rh_value_to_int64(const rh_value *value, int64_t *out)
{
    switch (value->type) {
    case RH_UBYTE: case RH_USHORT: case RH_UINT: case RH_ULONG:
        if (value->u > INT64_MAX) return false;
        *out = (int64_t)value->u;
        return true;
    case RH_BYTE: case RH_SHORT: case RH_INT: case RH_LONG: case RH_TIMESTAMP:
        *out = value->i;
        return true;
    default: return false;
    }
}

bool rh_value_to_uint64(const rh_value *value, uint64_t *out)
{
    switch (value->type) {
    case RH_UBYTE: case RH_USHORT: case RH_UINT: case RH_ULONG:
        *out = value->u;
        return true;
    case RH_BYTE: case RH_SHORT: case RH_INT: case RH_LONG: case RH_TIMESTAMP:
        if (value->i < 0) return false;
        *out = (uint64_t)value->i;
        return true;
    default: return false;
    }
}
