#include "codec/utf8.h"

bool rh_ascii_is(rh_slice text)
{
    return rh_ascii(text.p, text.n);
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
    if (RH_LIKELY(rh_ascii(text.p, text.n))) return true;

    const uint8_t *p = text.p;
    size_t         left = text.n;
    while (left > 0) {
        size_t n = *p >= 0x80 ? sequence(p, left) : left >= 8 && rh_ascii(p, 8) ? 8 : 1;
        if (n == 0) return false;
        p += n;
        left -= n;
    }
    return true;
}

size_t rh_utf8_printable(const uint8_t *p, size_t left)
{
    if (*p < 0x80) return *p >= 0x20 && *p != 0x7f;
    if (*p == 0xc2 && left > 1 && p[1] < 0xa0) return 0; /* U+0080 to U+009F are controls too */
    return sequence(p, left);
}
