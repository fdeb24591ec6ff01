#include "codec/constructor.h"
#include "codec/utf8.h"

void rh_dec_fail(rh_dec *d, rh_status status)
{
    const uint8_t *at = d->p;
    for (; d; d = d->parent) {
        if (d->status == RH_OK) {
            d->status = status;
            d->p      = at;
        }
        d->end = d->p; /* nothing is left, so no reader needs to look at status */
    }
}

/* -- scalars --------------------------------------------------------------------------------- */

bool rh_dec_bool(rh_dec *d)
{
    size_t left = rh_dec_left(d);
    if (RH_LIKELY(left >= 1) && (*d->p == 0x41 || *d->p == 0x42)) return *d->p++ == 0x41;
    if (left >= 2 && d->p[0] == 0x56 && d->p[1] <= 1) {
        d->p += 2;
        return d->p[-1] == 1;
    }
    rh_dec_fail(d, RH_E_DECODE);
    return false;
}

uint16_t rh_dec_ushort(rh_dec *d)
{
    const uint8_t *p = rh_dec_fixed(d, 0x60, 2);
    return p ? rh_get16(p) : (uint16_t)0;
}

int8_t rh_dec_byte(rh_dec *d)
{
    const uint8_t *p = rh_dec_fixed(d, 0x51, 1);
    return p ? (int8_t)*p : (int8_t)0;
}

int16_t rh_dec_short(rh_dec *d)
{
    const uint8_t *p = rh_dec_fixed(d, 0x61, 2);
    return p ? (int16_t)rh_get16(p) : (int16_t)0;
}

float rh_dec_float(rh_dec *d)
{
    const uint8_t *p = rh_dec_fixed(d, 0x72, 4);
    return p ? rh_float_of(p) : 0;
}

double rh_dec_double(rh_dec *d)
{
    const uint8_t *p = rh_dec_fixed(d, 0x82, 8);
    return p ? rh_double_of(p) : 0;
}

uint32_t rh_dec_char(rh_dec *d)
{
    const uint8_t *at = d->p;
    const uint8_t *p  = rh_dec_fixed(d, 0x73, 4);
    if (!p) return 0;
    if (rh_is_character(rh_get32(p))) return rh_get32(p);
    rh_dec_fail_at(d, at);
    return 0;
}

static rh_slice fixed_bytes(rh_dec *d, uint8_t code, size_t n)
{
    const uint8_t *p = rh_dec_fixed(d, code, n);
    return rh_slice_of(p, p ? n : 0);
}

rh_slice rh_dec_uuid(rh_dec *d)
{
    return fixed_bytes(d, 0x98, 16);
}

rh_slice rh_dec_decimal32(rh_dec *d)
{
    return fixed_bytes(d, 0x74, 4);
}

rh_slice rh_dec_decimal64(rh_dec *d)
{
    return fixed_bytes(d, 0x84, 8);
}

rh_slice rh_dec_decimal128(rh_dec *d)
{
    return fixed_bytes(d, 0x94, 16);
}

rh_slice rh_dec_string(rh_dec *d)
{
    const uint8_t *at   = d->p;
    rh_slice       text = rh_dec_variable(d, 0xa1);
    if (RH_LIKELY(rh_ascii(text.p, text.n)) || rh_utf8_is(text)) return text;
    rh_dec_fail_at(d, at);
    return rh_slice_of(NULL, 0);
}

rh_slice rh_dec_symbol(rh_dec *d)
{
    const uint8_t *at   = d->p;
    rh_slice       text = rh_dec_variable(d, 0xa3);
    if (RH_LIKELY(rh_ascii(text.p, text.n))) return text;
    rh_dec_fail_at(d, at);
    return rh_slice_of(NULL, 0);
}

rh_slice rh_dec_text(rh_dec *d)
{
    return rh_dec_peek(d) == RH_STRING ? rh_dec_string(d) : rh_dec_symbol(d);
}

/* -- compounds ------------------------------------------------------------------------------- */

/* The elements of a compound whose payload rh_payload_size() measured: behind size and count, to its end. */
static inline uint32_t payload_items(uint8_t code, const uint8_t *p, size_t n, rh_dec *parent, rh_dec *items)
{
    size_t prefix = code == 0x45 ? 0 : rh_constructor_prefix(code);
    items->p      = p + 2 * prefix;
    items->end    = p + n;
    items->parent = parent;
    items->status = RH_OK;
    return prefix == 0 ? 0 : prefix == 1 ? p[1] : rh_get32(p + 4);
}

/* d moves behind a compound of this type and items becomes its child; or both fail where d stands. */
static inline uint32_t open_compound(rh_dec *d, rh_type type, rh_dec *items)
{
    const uint8_t *at = d->p;
    if (RH_LIKELY(at != d->end) && RH_LIKELY(rh_constructor_type(*at) == type)) {
        size_t n = rh_payload_size(*at, at + 1, rh_dec_left(d) - 1);
        if (RH_LIKELY(n != RH_MALFORMED)) {
            d->p = at + 1 + n;
            return payload_items(*at, at + 1, n, d, items);
        }
    }
    rh_dec_fail(d, RH_E_DECODE);
    *items = (rh_dec){ d->p, d->p, d, d->status };
    return 0;
}

uint32_t rh_dec_list(rh_dec *d, rh_dec *items)
{
    return open_compound(d, RH_LIST, items);
}

uint32_t rh_dec_map(rh_dec *d, rh_dec *items)
{
    const uint8_t *at    = d->p;
    uint32_t       count = open_compound(d, RH_MAP, items);
    if (RH_LIKELY(count / 2 <= RH_MAP_ENTRIES_MAX)) return count;
    rh_dec_fail_at(items, at);
    return 0;
}

/* Reads the element constructor [1.2.4], descriptors before it included. */
static bool element_constructor(rh_array *array)
{
    rh_dec        *items = &array->items;
    const uint8_t *at    = items->p;
    while (items->p != items->end && *items->p == 0x00) {
        items->p++;
        rh_dec_skip(items);
    }
    if (items->p == items->end) return false;
    if (items->p != at) array->descriptor = rh_slice_of(at, (size_t)(items->p - at));
    array->code = *items->p++;
    array->type = rh_constructor_type(array->code);
    return array->type != RH_INVALID && rh_elements_fit(array->code, array->count, rh_dec_left(items));
}

/* The array whose items and count are set; `at` takes the blame if its constructor is wrong. */
static uint32_t open_array(rh_array *array, const uint8_t *at)
{
    if (array->items.status == RH_OK && element_constructor(array)) return array->count;
    rh_dec_fail_at(&array->items, at);
    array->count = 0;
    array->type  = RH_INVALID;
    return 0;
}

uint32_t rh_dec_array(rh_dec *d, rh_array *out)
{
    const uint8_t *at = d->p;
    *out              = (rh_array){ .type = RH_INVALID };
    out->count        = open_compound(d, RH_ARRAY, &out->items);
    return open_array(out, at);
}

bool rh_array_next(rh_array *array, rh_value *out)
{
    rh_dec *items = &array->items;
    if (RH_LIKELY(array->count > 0) && RH_LIKELY(items->status == RH_OK)) {
        size_t n = rh_payload_size(array->code, items->p, rh_dec_left(items));
        if (RH_LIKELY(n != RH_MALFORMED) && RH_LIKELY(rh_payload_value(array->code, items->p, n, out))) {
            out->bare = rh_type_is_compound(out->type);
            items->p += n;
            array->count--;
            return true;
        }
        rh_dec_fail(items, RH_E_DECODE);
    }
    rh_dec_end(items); /* bytes behind the last element are nobody's */
    array->count = 0;
    *out         = (rh_value){ .type = RH_INVALID };
    return false;
}

/* -- compounds seen as values ---------------------------------------------------------------- */

static uint32_t value_items(const rh_value *value, rh_type type, rh_dec *items)
{
    rh_dec d = rh_dec_of(value->bytes);
    *items   = d;
    if (value->type == type) {
        rh_slice first = value->bare ? rh_slice_of(&value->code, 1) : rh_dec_take(&d, 1);
        if (first.p && rh_constructor_type(*first.p) == type
            && rh_payload_size(*first.p, d.p, rh_dec_left(&d)) == rh_dec_left(&d))
            return payload_items(*first.p, d.p, rh_dec_left(&d), NULL, items);
    }
    rh_dec_fail(items, RH_E_DECODE);
    return 0;
}

uint32_t rh_value_items(const rh_value *value, rh_dec *items)
{
    uint32_t count = value_items(value, value->type == RH_MAP ? RH_MAP : RH_LIST, items);
    if (value->type != RH_MAP || count / 2 <= RH_MAP_ENTRIES_MAX) return count;
    rh_dec_fail_at(items, value->bytes.p);
    return 0;
}

uint32_t rh_value_array(const rh_value *value, rh_array *out)
{
    *out       = (rh_array){ .type = RH_INVALID };
    out->count = value_items(value, RH_ARRAY, &out->items);
    return open_array(out, value->bytes.p);
}
