#include "proto/proto.h"

rh_dec rh_map_open(rh_slice map)
{
    rh_dec items = rh_dec_of(map);
    if (map.p == NULL) return items;
    rh_dec whole = items;
    if (rh_dec_peek(&whole) == RH_MAP) rh_dec_map(&whole, &items);
    else rh_dec_fail(&items, RH_E_DECODE);
    items.parent = NULL; /* it would not outlive this call */
    return items;
}

/* The content of a key that is text or bytes; absent for other keys, which are passed over. Azure's client for Python
 * sends keys that were bytes as binary. */
static rh_slice read_key(rh_dec *items)
{
    switch (rh_dec_peek(items)) {
    case RH_STRING: return rh_dec_string(items);
    case RH_SYMBOL: return rh_dec_symbol(items);
    case RH_BINARY: return rh_dec_binary(items);
    default:        rh_dec_skip(items); return rh_slice_of(NULL, 0);
    }
}

bool rh_map_next(rh_dec *items, rh_property *out)
{
    while (items->p != items->end) {
        out->key = read_key(items);
        if (out->key.p) return rh_dec_value(items, &out->value);
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
        if (found.p && rh_slice_equal(found, asked)) return rh_dec_value(&items, out);
        rh_dec_skip(&items);
    }
    *out = (rh_value){ .type = RH_INVALID };
    return false;
}
