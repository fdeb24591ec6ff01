#include "codec/utf8.h"
#include "proto/proto.h"

/* Most maps have sizes of one byte: three bytes, then the pairs. Their shape is held to what rh_dec_map() holds all maps to. */
#define NARROW 3

static inline bool is_narrow(rh_slice map)
{
    const uint8_t *p = map.p;
    if (RH_UNLIKELY(map.n < NARROW) || RH_UNLIKELY(p[0] != 0xc1) || RH_UNLIKELY(p[1] + 2u != map.n)) return false;
    size_t count = p[2], n = map.n - NARROW;
    return count % 2 == 0 && n >= count && (count != 0 || n == 0);
}

rh_dec rh_map_open(rh_slice map)
{
    if (RH_LIKELY(is_narrow(map))) return rh_dec_of(rh_slice_of(map.p + NARROW, map.n - NARROW));
    rh_dec items = rh_dec_of(map), whole = items;
    if (map.p == NULL) return items;
    if (rh_dec_peek(&whole) == RH_MAP) rh_dec_map(&whole, &items);
    else rh_dec_fail(&items, RH_E_DECODE);
    items.parent = NULL; /* it would not outlive this call */
    return items;
}

/* -- pairs as they mostly are ----------------------------------------------------------------- */

static RH_APART const uint8_t *read_any_value(const uint8_t *p, const uint8_t *end, rh_value *out)
{
    rh_dec d = { p, end, NULL, RH_OK };
    return rh_dec_value(&d, out) ? d.p : NULL;
}

/* The value at p, of which there is a byte at least; NULL if it is malformed. Text in `seen` is still to be judged. */
static inline const uint8_t *read_value(const uint8_t *p, const uint8_t *end, rh_value *out, rh_seen *seen)
{
    size_t  left = (size_t)(end - p);
    uint8_t code = *p;
    if (code == 0xa1 && left >= 2 && left - 2 >= p[1]) {
        *out  = (rh_value){ .type = RH_STRING, .code = code, .bytes = { p + 2, p[1] } };
        *seen = rh_see(*seen, p + 2, p[1]);
        return p + 2 + p[1];
    }
    if ((code == 0x81 || code == 0x83) && left >= 9) {
        *out = (rh_value){ .type = code == 0x81 ? RH_LONG : RH_TIMESTAMP, .code = code, .i = (int64_t)rh_get64(p + 1) };
        return p + 9;
    }
    if (code == 0x41 || code == 0x42) {
        *out = (rh_value){ .type = RH_BOOL, .code = code, .boolean = code == 0x41 };
        return p + 1;
    }
    return read_any_value(p, end, out);
}

/* The pair at p if its key is text of no more than 255 bytes; answers where it ends. NULL if it is another, or malformed. */
static inline const uint8_t *read_pair(const uint8_t *p, const uint8_t *end, rh_property *out, rh_seen *seen)
{
    size_t left = (size_t)(end - p);
    if (RH_UNLIKELY(left < 3) || RH_UNLIKELY(p[0] != 0xa1 && p[0] != 0xa3) || RH_UNLIKELY(left - 3 < p[1])) return NULL;
    out->key = rh_slice_of(p + 2, p[1]);
    *seen    = rh_see(*seen, out->key.p, out->key.n);
    return read_value(p + 2 + out->key.n, end, &out->value, seen);
}

/* -- any pairs -------------------------------------------------------------------------------- */

/* The content of a key that is text or bytes; absent for other keys, which are passed over. Azure's client for Python
 * sends keys that were bytes as binary. */
static rh_slice read_any_key(rh_dec *items)
{
    switch (rh_dec_peek(items)) {
    case RH_STRING: return rh_dec_string(items);
    case RH_SYMBOL: return rh_dec_symbol(items);
    case RH_BINARY: return rh_dec_binary(items);
    default:        rh_dec_skip(items); return rh_slice_of(NULL, 0);
    }
}

static RH_APART bool next_of_any(rh_dec *items, rh_property *out)
{
    while (items->p != items->end) {
        out->key = read_any_key(items);
        if (out->key.p) return rh_dec_value(items, &out->value);
        rh_dec_skip(items);
    }
    *out = (rh_property){ .value = { .type = RH_INVALID } };
    return false;
}

bool rh_map_next(rh_dec *items, rh_property *out)
{
    rh_seen        seen = { 0 };
    const uint8_t *next = read_pair(items->p, items->end, out, &seen);
    if (RH_UNLIKELY(next == NULL) || RH_UNLIKELY(!rh_seen_is_ascii(seen))) return next_of_any(items, out);
    items->p = next;
    return true;
}

/* Pair by pair, so that the text of each is judged before the next is read. */
static RH_APART rh_status read_any_map(rh_slice map, rh_property *out, size_t room, size_t *count)
{
    rh_dec      items = rh_map_open(map);
    rh_property one_more;
    *count = 0;
    while (*count < room && rh_map_next(&items, &out[*count])) ++*count;
    return *count == room && rh_map_next(&items, &one_more) ? RH_E_SPACE : items.status;
}

rh_status rh_map_read(rh_slice map, rh_property *out, size_t room, size_t *count)
{
    if (!is_narrow(map)) return read_any_map(map, out, room, count);
    const uint8_t *p = map.p + NARROW, *end = map.p + map.n, *next;
    rh_property   *pair = out;
    rh_seen        seen = { 0 };
    for (; pair != out + room && (next = read_pair(p, end, pair, &seen)) != NULL; pair++) p = next;
    if (RH_UNLIKELY(p != end) || RH_UNLIKELY(!rh_seen_is_ascii(seen))) return read_any_map(map, out, room, count);
    *count = (size_t)(pair - out);
    return RH_OK;
}

bool rh_map_find(rh_slice map, const char *key, rh_value *out)
{
    rh_dec      items = rh_map_open(map);
    rh_slice    asked = rh_str(key);
    rh_property found;
    while (rh_map_next(&items, &found)) {
        if (!rh_slice_equal(found.key, asked)) continue;
        *out = found.value;
        return true;
    }
    *out = (rh_value){ .type = RH_INVALID };
    return false;
}
