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

/* Text that was passed over, one byte over the other: whether any of it was not ASCII can then be asked once for many. */
typedef uint64_t rh_seen __attribute__((vector_size(16)));

#define RH_NOT_ASCII UINT64_C(0x8080808080808080)
#define RH_NOT_SEEN  ((rh_seen){ RH_NOT_ASCII, RH_NOT_ASCII })

static inline bool rh_seen_is_ascii(rh_seen seen)
{
    return ((seen[0] | seen[1]) & RH_NOT_ASCII) == 0;
}

/* The last step of each length overlaps the one before it, here too. */
static inline rh_seen rh_see(rh_seen seen, const uint8_t *p, size_t n)
{
    rh_seen  step;
    uint64_t first = 0, last = 0;
    if (n >= 16) {
        const uint8_t *tail = p + n - 16;
        do {
            memcpy(&step, p, 16);
            seen |= step;
            p += 16;
        } while (p < tail);
        memcpy(&step, tail, 16);
        return seen | step;
    }
    if (n >= 8) {
        memcpy(&first, p, 8);
        memcpy(&last, p + n - 8, 8);
    } else if (n >= 4) {
        memcpy(&first, p, 4);
        memcpy(&last, p + n - 4, 4);
    } else if (n > 0) {
        first = (uint64_t)(p[0] | p[n / 2] | p[n - 1]);
    }
    return seen | (rh_seen){ first, last };
}

/* Bytes of the character at p, of which `left` may be used (at least one); 0 when it is not well-formed or is a
 * control character, which would move a reader's cursor. */
size_t rh_utf8_printable(const uint8_t *p, size_t left);

#endif
