#include "fuzz/kit/rival_differences.h"

/* What is special about a value or something in it. */
enum {
    BOOLEAN    = 1 << 0,
    TEXT       = 1 << 1,
    SYMBOL     = 1 << 2,
    CHARACTER  = 1 << 3,
    TOO_MANY   = 1 << 4,
    OF_NOTHING = 1 << 5,
    DEEP       = 1 << 6,
    ODD_MAP    = 1 << 7,
    LONG_MAP   = 1 << 8,
    SIZES      = 1 << 9,
    DESCRIPTOR = 1 << 10,
    TWICE      = 1 << 11,
    ELEMENTS   = 1 << 12, /* of an array, described more than once */
};

static const struct reason {
    unsigned    what;
    bool        ours, theirs;
    const char *why;
} reasons[] = {
    { BOOLEAN, false, true, "[1.6.2] the octet of a boolean is 0x00 or 0x01; proton takes any" },
    { TEXT, false, true, "[1.6.20] a string is UTF-8; proton does not look" },
    { SYMBOL, false, true, "[1.6.21] a symbol is ASCII; proton does not look" },
    { CHARACTER, false, true, "[1.6.16] a char is a character of Unicode; proton takes any 32 bits" },
    { TOO_MANY, false, true, "an array of nothing is refused by us above RH_ZERO_WIDTH_MAX; proton makes all of them" },
    { DEEP, true, false, "below RH_NESTING_MAX levels rh_value_check() looks at sizes only; proton finds what is wrong there" },
    { DEEP, true, true, "below RH_NESTING_MAX levels we print dots" },
    { ODD_MAP, false, true, "[1.6.23] a map is pairs; proton takes a key without a value" },
    { LONG_MAP, false, true, "a map of more than RH_MAP_ENTRIES_MAX pairs is refused by us; proton takes it" },
    { SIZES, false, true, "[1.6.22] items end where their compound does; proton counts items and does not look at the size" },
    { DESCRIPTOR, true, false, "[1.2] a descriptor is any value, a described one or a compound too; proton refuses those" },
    { OF_NOTHING, true, true, "elements without bytes: we print how many, proton writes each with bytes, and so it prints" },
    { TWICE, true, true, "[1.2] a described value may be described again; proton writes only the first of both" },
    { TWICE, true, false, "[1.2] a described value may be described again; proton refuses that in arrays" },
};

/* -- looking ----------------------------------------------------------------------------------- */

struct look {
    unsigned found;
};

static size_t prefix_of(uint8_t code)
{
    uint8_t kind = code >> 4;
    if (kind == 0xa || kind == 0xc || kind == 0xe) return 1;
    return kind == 0xb || kind == 0xd || kind == 0xf ? 4 : 0;
}

static size_t width_of(uint8_t code)
{
    static const uint8_t widths[] = { [5] = 1, [6] = 2, [7] = 4, [8] = 8, [9] = 16 };
    return code >> 4 < 10 ? widths[code >> 4] : 0;
}

static void look_at_content(struct look *look, uint8_t code, const uint8_t *p, size_t n)
{
    rh_slice content = rh_slice_of(p, n);
    if (code == 0x56 && n == 1 && *p > 1) look->found |= BOOLEAN;
    if ((code == 0xa1 || code == 0xb1) && !rh_utf8_is(content)) look->found |= TEXT;
    if ((code == 0xa3 || code == 0xb3) && !rh_ascii_is(content)) look->found |= SYMBOL;
    if (code == 0x73 && n == 4 && (rh_get32(p) > 0x10ffff || (rh_get32(p) >= 0xd800 && rh_get32(p) <= 0xdfff))) look->found |= CHARACTER;
}

static size_t look_at(struct look *look, const uint8_t *p, size_t n, unsigned depth);

static size_t look_at_payload(struct look *look, uint8_t code, const uint8_t *p, size_t n, unsigned depth);

/* Elements behind one constructor, described perhaps. */
static void look_at_array(struct look *look, uint32_t count, const uint8_t *p, size_t n, unsigned depth)
{
    size_t at = 0, used = 1;
    for (; at < n && p[at] == 0 && used > 0; at += 1 + used) {
        if (at > 0) look->found |= TWICE | ELEMENTS;
        if (at + 1 < n && (p[at + 1] == 0 || p[at + 1] >= 0xc0)) look->found |= DESCRIPTOR;
        used = look_at(look, p + at + 1, n - at - 1, depth + 1);
    }
    if (used == 0 || at >= n) {
        look->found |= SIZES;
        return;
    }
    uint8_t code = p[at++];
    if (prefix_of(code) + width_of(code) == 0) look->found |= count > RH_ZERO_WIDTH_MAX ? TOO_MANY | OF_NOTHING : OF_NOTHING;
    bool has_bytes = prefix_of(code) + width_of(code) > 0;
    for (; count > 0 && at < n; count--) {
        used = look_at_payload(look, code, p + at, n - at, depth + 1);
        if (used == 0) break;
        at += used;
    }
    if (at != n || (count > 0 && has_bytes)) look->found |= SIZES;
}

static void look_at_items(struct look *look, uint8_t code, const uint8_t *p, size_t n, unsigned depth)
{
    size_t   width = prefix_of(code), at = width;
    uint32_t count = 0;
    if (n < width) {
        look->found |= SIZES;
        return;
    }
    count = width == 1 ? *p : rh_get32(p);
    if (depth >= RH_NESTING_MAX) look->found |= DEEP;
    if (depth > 200) return;
    if (code >> 4 >= 0xe) {
        look_at_array(look, count, p + at, n - at, depth);
        return;
    }
    if (code & 1 && count % 2) look->found |= ODD_MAP;
    if (code & 1 && count / 2 > RH_MAP_ENTRIES_MAX) look->found |= LONG_MAP;
    for (; count > 0 && at < n; count--) {
        size_t used = look_at(look, p + at, n - at, depth + 1);
        if (used == 0) break;
        at += used;
    }
    if (count > 0 || at != n) look->found |= SIZES;
}

/* Behind the constructor; answers how many bytes, 0: none of it makes sense. */
static size_t look_at_payload(struct look *look, uint8_t code, const uint8_t *p, size_t n, unsigned depth)
{
    size_t prefix = prefix_of(code), size = width_of(code);
    if (n < prefix) return 0;
    if (prefix) size = prefix == 1 ? *p : rh_get32(p);
    if (size > n - prefix) return 0;
    if (code >= 0xc0) look_at_items(look, code, p + prefix, size, depth);
    else look_at_content(look, code, p + prefix, size);
    return prefix + size;
}

static size_t look_at(struct look *look, const uint8_t *p, size_t n, unsigned depth)
{
    size_t at = 0, used;
    for (bool again = false; at < n && p[at] == 0; again = true) {
        if (again) look->found |= TWICE;
        if (++at < n && (p[at] == 0 || p[at] >= 0xc0)) look->found |= DESCRIPTOR;
        if ((used = look_at(look, p + at, n - at, depth)) == 0) return 0;
        at += used;
    }
    if (at >= n) return 0;
    uint8_t code = p[at++];
    used         = look_at_payload(look, code, p + at, n - at, depth);
    return used == 0 && prefix_of(code) + width_of(code) > 0 ? 0 : at + used;
}

/* Seen in qpid-proton 0.37: pn_data_encode() of an empty array whose elements are described three times copies from a pointer that was
 * never set (fuzz/corpus/rival/element-described-thrice). */
bool rival_cannot_write(rh_slice bytes)
{
    struct look look = { 0 };
    look_at(&look, bytes.p, bytes.n, 0);
    return look.found & ELEMENTS;
}

const char *rival_difference(const struct rival_case *it)
{
    struct look look = { 0 };
    look_at(&look, it->bytes.p, it->bytes.n, 0);
    for (size_t i = 0; i < sizeof reasons / sizeof *reasons; i++)
        if ((look.found & reasons[i].what) && reasons[i].ours == it->ours && reasons[i].theirs == it->theirs) return reasons[i].why;
    return NULL;
}
