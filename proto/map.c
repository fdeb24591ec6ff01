#include "codec/utf8.h"
#include "proto/proto.h"

/* Most maps have sizes of one byte. Their shape is held to what rh_dec_map() holds all maps to. */
static inline bool open_narrow(rh_slice map, rh_dec *items)
{
    const uint8_t *p = map.p;
    if (map.n < 3 || p[0] != 0xc1 || p[1] + 2u != map.n) return false;
    size_t count = p[2], n = map.n - 3;
    if (count % 2 != 0 || n < count || (count == 0 && n != 0)) return false;
    items->p = p + 3;
    return true;
}

rh_dec rh_map_open(rh_slice map)
{
    rh_dec items = rh_dec_of(map);
    if (map.p == NULL || RH_LIKELY(open_narrow(map, &items))) return items;

    rh_dec whole = items;
    if (rh_dec_peek(&whole) == RH_MAP) rh_dec_map(&whole, &items);
    else rh_dec_fail(&items, RH_E_DECODE);
    items.parent = NULL; /* it would not outlive this call */
    return items;
}

/* Text or bytes of no more than 255 bytes behind one of two constructors, if they are ASCII. */
static inline bool read_short_text(rh_dec *items, uint8_t code, uint8_t or_code, rh_slice *out)
{
    const uint8_t *p    = items->p;
    size_t         left = rh_dec_left(items);
    if (left < 2 || (p[0] != code && p[0] != or_code) || left - 2 < p[1] || !rh_ascii(p + 2, p[1])) return false;
    *out     = rh_slice_of(p + 2, p[1]);
    items->p = p + 2 + out->n;
    return true;
}

/* The content of a key that is text or bytes; absent for other keys, which are passed over. Azure's client for Python
 * sends keys that were bytes as binary. */
static rh_slice read_unusual_key(rh_dec *items)
{
    switch (rh_dec_peek(items)) {
    case RH_STRING: return rh_dec_string(items);
    case RH_SYMBOL: return rh_dec_symbol(items);
    case RH_BINARY: return rh_dec_binary(items);
    default:        rh_dec_skip(items); return rh_slice_of(NULL, 0);
    }
}

static inline rh_slice read_key(rh_dec *items)
{
    rh_slice key;
    return RH_LIKELY(read_short_text(items, 0xa3, 0xa1, &key)) ? key : read_unusual_key(items);
}

/* The values that events mostly have: short strings, longs and timestamps. */
static inline bool read_value(rh_dec *items, rh_value *out)
{
    const uint8_t *p    = items->p;
    size_t         left = rh_dec_left(items);
    if (left >= 9 && (*p == 0x81 || *p == 0x83)) {
        *out     = (rh_value){ .type = *p == 0x81 ? RH_LONG : RH_TIMESTAMP, .code = *p, .i = (int64_t)rh_get64(p + 1) };
        items->p = p + 9;
        return true;
    }
    rh_slice text;
    if (!read_short_text(items, 0xa1, 0xa1, &text)) return rh_dec_value(items, out);
    *out = (rh_value){ .type = RH_STRING, .code = 0xa1, .bytes = text };
    return true;
}

bool rh_map_next(rh_dec *items, rh_property *out)
{
    while (items->p != items->end) {
        out->key = read_key(items);
        if (RH_LIKELY(out->key.p != NULL)) return read_value(items, &out->value);
        rh_dec_skip(items);
    }
    *out = (rh_property){ .value = { .type = RH_INVALID } };
    return false;
}

bool rh_map_find(rh_slice map, const char *key, rh_value *out)
{
    rh_dec   items = rh_map_open(map);
    rh_slice asked = rh_str(key);
    while (items.p != items.end) {
        rh_slice found = read_key(&items);
        if (found.p && rh_slice_equal(found, asked)) return read_value(&items, out);
        rh_dec_skip(&items);
    }
    *out = (rh_value){ .type = RH_INVALID };
    return false;
}
