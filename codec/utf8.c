#include "codec/utf8.h"

static bool ascii8(const uint8_t *p)
{
    uint64_t eight;
    memcpy(&eight, p, sizeof eight);
    return (eight & UINT64_C(0x8080808080808080)) == 0;
}

/* Bytes of the well-formed sequence at p, which is not ASCII; 0 if it is not one. The rows are those of
 * the Unicode Standard's table 3-7: only the second byte's range depends on the first. */
static size_t sequence(const uint8_t *p, size_t left)
{
    uint8_t first = p[0], low = 0x80, high = 0xbf;
    size_t  n;

    if (first < 0xc2) return 0; /* a continuation byte, or overlong */
    if (first < 0xe0) {
        n = 2;
    } else if (first < 0xf0) {
        n = 3;
        if (first == 0xe0) low = 0xa0;  /* below: overlong */
        if (first == 0xed) high = 0x9f; /* above: surrogates */
    } else if (first < 0xf5) {
        n = 4;
        if (first == 0xf0) low = 0x90;  /* below: overlong */
        if (first == 0xf4) high = 0x8f; /* above: beyond U+10FFFF */
    } else {
        return 0;
    }
    if (left < n || p[1] < low || p[1] > high) return 0;
    for (size_t i = 2; i < n; i++)
        if ((p[i] & 0xc0) != 0x80) return 0;
    return n;
}

bool rh_utf8_is(rh_slice text)
{
    const uint8_t *p = text.p;
    size_t         left = text.n;

    while (left > 0) {
        if (left >= 8 && ascii8(p)) {
            p += 8;
            left -= 8;
            continue;
        }
        size_t n = *p < 0x80 ? 1 : sequence(p, left);
        if (n == 0) return false;
        p += n;
        left -= n;
    }
    return true;
}

bool rh_ascii_is(rh_slice text)
{
    const uint8_t *p = text.p;
    size_t         left = text.n;

    /* The last step overlaps the one before it, so that no short tail is left over. */
    if (left >= 8) {
        for (; left > 8; p += 8, left -= 8)
            if (!ascii8(p)) return false;
        return ascii8(p - (8 - left));
    }
    uint8_t all = 0;
    for (size_t i = 0; i < left; i++) all |= p[i];
    return all < 0x80;
}

size_t rh_utf8_printable(const uint8_t *p, size_t left)
{
    if (*p < 0x80) return *p >= 0x20 && *p != 0x7f;
    if (*p == 0xc2 && left > 1 && p[1] < 0xa0) return 0; /* U+0080 to U+009F are controls too */
    return sequence(p, left);
}
