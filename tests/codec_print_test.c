/* Values as text for people. (Each constructor's text stands in codec_dec_test.c, beside its bytes.) */
#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>

#include "codec/codec.h"
#include "codec/text.h"

static const char *print(rh_slice encoded)
{
    static char text[1024];
    size_t      wanted = rh_value_print(encoded, text, sizeof text);
    cr_expect_eq(wanted, strlen(text));
    return text;
}
#define PRINT(...) print(rh_slice_of((const uint8_t[]){ __VA_ARGS__ }, sizeof((const uint8_t[]){ __VA_ARGS__ })))

Test(print, separators_follow_descriptors_keys_and_elements)
{
    cr_expect_str_eq(PRINT(0xc0, 9, 3, 0x00, 0x53, 0x23, 0x45, 0x40, 0xc1, 1, 0), "[@0x23 [], null, {}]");
    cr_expect_str_eq(PRINT(0xc1, 9, 4, 0x00, 0x43, 0x44, 0x41, 0x42, 0x00, 0x43, 0x44), "{@0 0=true, false=@0 0}");
    cr_expect_str_eq(PRINT(0x00, 0x00, 0x44, 0x43, 0x00, 0x44, 0x42), "@@0x00 0 @0x00 false");
    cr_expect_str_eq(PRINT(0x00, 0xc0, 2, 1, 0x41, 0x40), "@[true] null");
    cr_expect_str_eq(PRINT(0x00, 0x80, 0, 0, 0, 0x13, 0x70, 0, 0, 0x0c, 0x40), "@0x137000000c null");
}

Test(print, malformed_bytes_print_as_far_as_they_make_sense)
{
    cr_expect_str_eq(print(rh_slice_of(NULL, 0)), "<malformed at byte 0>");
    cr_expect_str_eq(PRINT(0x40, 0x40), "null<malformed at byte 1>");
    cr_expect_str_eq(PRINT(0x00, 0x53, 0x10), "@0x10<malformed at byte 3>");
    cr_expect_str_eq(PRINT(0xc0, 4, 2, 0x41, 0xa1, 0x05), "[true<malformed at byte 4>");
    cr_expect_str_eq(PRINT(0xc0, 3, 1, 0x41, 0x42), "[true<malformed at byte 4>");
    cr_expect_str_eq(PRINT(0xe0, 5, 2, 0xa1, 0, 9, 9), "string[\"\"<malformed at byte 5>");
}

Test(print, text_that_would_disturb_a_terminal_is_escaped)
{
    cr_expect_str_eq(PRINT(0xa1, 9, '"', '\\', '\n', '\r', '\t', 0x1b, 0x7f, 0xc2, 0x9b), "\"\\\"\\\\\\n\\r\\t\\x1b\\x7f\\xc2\\x9b\"");
    cr_expect_str_eq(PRINT(0xa1, 2, 0xc2, 0xa0), "\"\xc2\xa0\"");
    cr_expect_str_eq(PRINT(0xa3, 3, 'a', ' ', 'b'), ":\"a b\"");
    cr_expect_str_eq(PRINT(0xa3, 0), ":\"\"");
    cr_expect_str_eq(PRINT(0xa3, 3, 'a', ':', '-'), ":a:-");
    cr_expect_str_eq(PRINT(0xa0, 4, '"', 0x0a, 0xc2, 0xa0), "b\"\\\"\\x0a\\xc2\\xa0\"");
    cr_expect_str_eq(PRINT(0x73, 0, 0, 0, '\''), "U+0027");
    cr_expect_str_eq(PRINT(0x73, 0, 1, 0xf6, 0), "U+01f600");
}

Test(print, a_cut_text_is_ended_and_never_torn)
{
    static const char *const texts[] = { "\xc2\xa9\xc2\xa9\xc2\xa9", "\xe2\x82\xac\xe2\x82\xac\xe2\x82\xac",
                                         "\xf0\x9f\x98\x80\xf0\x9f\x98\x80\xf0\x9f\x98\x80" };
    for (size_t t = 0; t < 3; t++) {
        uint8_t encoded[32];
        rh_enc  e      = rh_enc_of(encoded, sizeof encoded);
        size_t  wanted = strlen(texts[t]) + 2, width = t + 2;
        rh_enc_string(&e, rh_str(texts[t]));
        for (size_t n = 0; n <= wanted + 3; n++) {
            char *text = malloc(n + 1);
            memset(text, 'z', n + 1);
            cr_expect_eq(rh_value_print(rh_enc_written(&e), n ? text : NULL, n), wanted);
            cr_expect_eq(text[n], 'z', "%zu", n);
            if (n > 0) {
                size_t length = strlen(text);
                cr_expect_lt(length, n);
                cr_expect(rh_utf8_is(rh_slice_of(text, length)), "%s, %zu", texts[t], n);
                cr_expect(n > wanted ? length == wanted : length + width >= n, "no more is lost than the torn character");
            }
            free(text);
        }
    }
}

static void expect_double(double v, const char *text)
{
    uint8_t bytes[9];
    rh_enc  e = rh_enc_of(bytes, sizeof bytes);
    rh_enc_double(&e, v);
    cr_expect_str_eq(print(rh_enc_written(&e)), text);
}

Test(print, doubles_people_write_print_as_they_wrote_them)
{
    expect_double(0.0, "0.0");
    expect_double(-0.0, "-0.0");
    expect_double(1, "1.0");
    expect_double(-21.5, "-21.5");
    expect_double(0.1, "0.1");
    expect_double(0.001, "0.001");
    expect_double(1e-10, "0.0000000001");
    expect_double(0.29, "0.29");   /* 0.29 * 100 is a little less than 29 */
    expect_double(1.005, "1.005");
    expect_double(123456.789, "123456.789");
    expect_double(9007199254740991.0, "9007199254740991.0");
    expect_double(9007199254740992.0, "0x1p+53");
    expect_double(1e300, "0x1.7e43c8800759cp+996");
    expect_double(5e-324, "0x0.0000000000001p-1022");
    expect_double(INFINITY, "inf");
    expect_double(-INFINITY, "-inf");
    expect_double(NAN, "nan");
}

/* A generator of our own, so that a failure comes back with the same bits. */
static uint64_t next(uint64_t *state)
{
    *state += UINT64_C(0x9e3779b97f4a7c15);
    uint64_t z = (*state ^ *state >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z          = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

Test(print, every_double_and_float_reads_back_from_its_text, .timeout = 60)
{
    uint64_t state = 1;
    for (int i = 0; i < 200000; i++) {
        uint8_t  bytes[9];
        char     text[64];
        uint64_t bits = next(&state);
        double   v;
        float    f;
        /* Any bits at all, and numbers of a human size: an integer over a power of ten. */
        memcpy(&v, &bits, sizeof v);
        if (i % 2) v = (double)(int64_t)(bits >> 20);
        for (uint64_t k = bits & 15; i % 2 && k > 0; k--) v /= 10;
        f = (float)v;

        rh_enc e = rh_enc_of(bytes, sizeof bytes);
        rh_enc_double(&e, v);
        rh_value_print(rh_enc_written(&e), text, sizeof text);
        cr_assert(isnan(v) ? !strcmp(text, "nan") : strtod(text, NULL) == v, "%a became %s", v, text);

        e = rh_enc_of(bytes, sizeof bytes);
        rh_enc_float(&e, f);
        rh_value_print(rh_enc_written(&e), text, sizeof text);
        cr_assert(isnan(f) ? !strcmp(text, "nan") : strtof(text, NULL) == f, "%a became %s", (double)f, text);
    }
}

Test(print, types_have_the_names_of_the_book)
{
    cr_expect_str_eq(rh_type_name(RH_NULL), "null");
    cr_expect_str_eq(rh_type_name(RH_BOOL), "boolean");
    cr_expect_str_eq(rh_type_name(RH_DESCRIBED), "described");
    cr_expect_str_eq(rh_type_name(RH_INVALID), "invalid");
    cr_expect_str_eq(rh_type_name((rh_type)77), "invalid");
    for (int type = 0; type < RH_INVALID; type++) cr_expect_not_null(rh_type_name((rh_type)type));
}

Test(print, a_number_alone_is_its_digits)
{
    char room[RH_DECIMAL_ROOM];
    cr_expect(rh_slice_is(rh_text_decimal(0, room), "0"));
    cr_expect(rh_slice_is(rh_text_decimal(UINT64_MAX, room), "18446744073709551615"));
    cr_expect_str_eq(room, "18446744073709551615");
}
