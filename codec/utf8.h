/* Text that people may look at. Private to codec/. */
#ifndef RH_UTF8_H
#define RH_UTF8_H

#include "codec/codec.h"

/* rh_ascii_is() for the readers, which ask it for each string. The last step of each length overlaps the one
 * before it, so that no tail is left over. */
static inline bool rh_ascii(const uint8_t *p, size_t n)
{
    const uint64_t high = UINT64_C(0x8080808080808080);
    uint64_t       step = 0;
    uint32_t       first, last;

    if (n >= 8) {
        const uint8_t *tail = p + n - 8;
        for (; p < tail; p += 8) {
            memcpy(&step, p, 8);
            if (step & high) return false;
        }
        memcpy(&step, tail, 8);
        return (step & high) == 0;
    }
    if (n >= 4) {
        memcpy(&first, p, 4);
        memcpy(&last, p + n - 4, 4);
        return ((first | last) & (uint32_t)high) == 0;
    }
    return n == 0 || (p[0] | p[n / 2] | p[n - 1]) < 0x80;
}

/* Bytes of the character at p, of which `left` may be used (at least one); 0 when it is not well-formed or is a
 * control character, which would move a reader's cursor. */
size_t rh_utf8_printable(const uint8_t *p, size_t left);

#endif
