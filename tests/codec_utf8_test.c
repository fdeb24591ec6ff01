/* UTF-8 and ASCII, compared with the definition written out the long way. */
#include <criterion/criterion.h>
#include <stdlib.h>

#include "codec/codec.h"

/* The definition: decode, then refuse what is too short for its length, a surrogate, or too large. */
static bool well_formed(const uint8_t *p, size_t n)
{
    while (n > 0) {
        size_t   extra = p[0] < 0x80 ? 0 : (p[0] & 0xe0) == 0xc0 ? 1 : (p[0] & 0xf0) == 0xe0 ? 2 : (p[0] & 0xf8) == 0xf0 ? 3 : 9;
        uint32_t c     = extra == 0 ? p[0] : p[0] & (0x3fu >> extra);
        if (extra == 9 || n <= extra) return false;
        for (size_t i = 1; i <= extra; i++) {
            if ((p[i] & 0xc0) != 0x80) return false;
            c = c << 6 | (p[i] & 0x3f);
        }
        static const uint32_t least[] = { 0, 0x80, 0x800, 0x10000 };
        if (c < least[extra] || c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff)) return false;
        p += extra + 1;
        n -= extra + 1;
    }
    return true;
}

Test(utf8, every_pair_of_bytes_agrees_with_the_definition)
{
    for (unsigned a = 0; a < 256; a++)
        for (unsigned b = 0; b < 256; b++) {
            const uint8_t pair[] = { (uint8_t)a, (uint8_t)b };
            cr_assert_eq(rh_utf8_is(rh_slice_of(pair, 2)), well_formed(pair, 2), "%02x %02x", a, b);
            cr_assert_eq(rh_utf8_is(rh_slice_of(pair, 1)), well_formed(pair, 1), "%02x", a);
        }
}

Test(utf8, longer_sequences_agree_with_the_definition_at_their_edges)
{
    static const uint8_t edges[] = { 0x00, 0x7f, 0x80, 0x8f, 0x90, 0x9f, 0xa0, 0xbf, 0xc0, 0xff };
    for (unsigned first = 0xc0; first < 256; first++)
        for (size_t b = 0; b < sizeof edges; b++)
            for (size_t c = 0; c < sizeof edges; c++)
                for (size_t d = 0; d < sizeof edges; d++) {
                    const uint8_t four[] = { (uint8_t)first, edges[b], edges[c], edges[d] };
                    for (size_t n = 1; n <= 4; n++)
                        cr_assert_eq(rh_utf8_is(rh_slice_of(four, n)), well_formed(four, n), "%02x %02x %02x %02x, %zu",
                                     four[0], four[1], four[2], four[3], n);
                }
}

Test(utf8, a_bad_byte_is_found_at_every_place_of_every_length)
{
    for (size_t n = 1; n <= 40; n++) {
        uint8_t *text = malloc(n); /* the sanitizer watches its end */
        memset(text, 'a', n);
        cr_expect(rh_utf8_is(rh_slice_of(text, n)));
        cr_expect(rh_ascii_is(rh_slice_of(text, n)));
        for (size_t at = 0; at < n; at++) {
            text[at] = 0x80;
            cr_expect_not(rh_utf8_is(rh_slice_of(text, n)), "%zu of %zu", at, n);
            cr_expect_not(rh_ascii_is(rh_slice_of(text, n)), "%zu of %zu", at, n);
            text[at] = 'a';
        }
        free(text);
    }
}

Test(utf8, characters_may_stand_anywhere_between_ascii)
{
    static const char *const characters[] = { "\xc2\x80", "\xdf\xbf", "\xe0\xa0\x80", "\xe2\x82\xac", "\xed\x9f\xbf",
                                              "\xef\xbf\xbf", "\xf0\x90\x80\x80", "\xf4\x8f\xbf\xbf" };
    for (size_t c = 0; c < sizeof characters / sizeof characters[0]; c++)
        for (size_t at = 0; at <= 17; at++) {
            char   text[32];
            size_t width = strlen(characters[c]);
            memset(text, 'a', sizeof text);
            memcpy(text + at, characters[c], width);
            cr_expect(rh_utf8_is(rh_slice_of(text, sizeof text)));
            cr_expect(rh_utf8_is(rh_slice_of(text, at + width)));
            cr_expect_not(rh_utf8_is(rh_slice_of(text, at + width - 1)), "cut inside a character");
            cr_expect_not(rh_ascii_is(rh_slice_of(text, sizeof text)));
        }
}

Test(utf8, empty_and_zero_are_text)
{
    cr_expect(rh_utf8_is(rh_str("")));
    cr_expect(rh_ascii_is(rh_str("")));
    cr_expect(rh_utf8_is(rh_slice_of(NULL, 0)));
    cr_expect(rh_ascii_is(rh_slice_of(NULL, 0)));
    cr_expect(rh_utf8_is(rh_slice_of("a\0b", 3)));
    cr_expect(rh_ascii_is(rh_slice_of("\x7f\0", 2)));
}
