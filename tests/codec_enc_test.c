/* Writing: the shortest encodings, what does not fit, compounds, and every value there and back. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "codec/codec.h"

#define ENC(name, n)                                                                               \
    uint8_t name##_bytes[n];                                                                       \
    rh_enc  name = rh_enc_of(name##_bytes, sizeof name##_bytes)

static bool wrote(const rh_enc *e, const void *bytes, size_t n)
{
    return e->status == RH_OK && rh_slice_equal(rh_enc_written(e), rh_slice_of(bytes, n));
}
#define WROTE(e, ...) wrote(&(e), (const uint8_t[]){ __VA_ARGS__ }, sizeof((const uint8_t[]){ __VA_ARGS__ }))

Test(enc, integers_take_their_shortest_encoding)
{
    static const struct { rh_type type; int64_t v; uint8_t n, code; } rows[] = {
        { RH_UINT, 0, 1, 0x43 },          { RH_UINT, 1, 2, 0x52 },           { RH_UINT, 255, 2, 0x52 },
        { RH_UINT, 256, 5, 0x70 },        { RH_UINT, UINT32_MAX, 5, 0x70 },  { RH_ULONG, 0, 1, 0x44 },
        { RH_ULONG, 1, 2, 0x53 },         { RH_ULONG, 255, 2, 0x53 },        { RH_ULONG, 256, 9, 0x80 },
        { RH_ULONG, -1, 9, 0x80 },        { RH_INT, 0, 2, 0x54 },            { RH_INT, -128, 2, 0x54 },
        { RH_INT, -129, 5, 0x71 },        { RH_INT, 127, 2, 0x54 },          { RH_INT, 128, 5, 0x71 },
        { RH_INT, INT32_MIN, 5, 0x71 },   { RH_INT, INT32_MAX, 5, 0x71 },    { RH_LONG, 0, 2, 0x55 },
        { RH_LONG, -128, 2, 0x55 },       { RH_LONG, -129, 9, 0x81 },        { RH_LONG, 127, 2, 0x55 },
        { RH_LONG, 128, 9, 0x81 },        { RH_LONG, INT64_MIN, 9, 0x81 },   { RH_LONG, INT64_MAX, 9, 0x81 },
        { RH_UBYTE, 0, 2, 0x50 },         { RH_UBYTE, 255, 2, 0x50 },        { RH_USHORT, 0, 3, 0x60 },
        { RH_USHORT, 65535, 3, 0x60 },    { RH_BYTE, -128, 2, 0x51 },        { RH_BYTE, 127, 2, 0x51 },
        { RH_SHORT, -32768, 3, 0x61 },    { RH_SHORT, 32767, 3, 0x61 },      { RH_TIMESTAMP, INT64_MIN, 9, 0x83 },
        { RH_TIMESTAMP, 0, 9, 0x83 },     { RH_TIMESTAMP, INT64_MAX, 9, 0x83 },
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        ENC(e, 16);
        rh_value out, in = { .type = rows[i].type };
        bool     is_signed = in.type >= RH_BYTE;
        if (is_signed) in.i = rows[i].v;
        else in.u = (uint64_t)rows[i].v;
        rh_enc_value(&e, &in);
        cr_expect_eq(rh_enc_size(&e), rows[i].n, "row %zu", i);
        cr_expect_eq(e_bytes[0], rows[i].code, "row %zu", i);

        rh_dec d = rh_dec_of(rh_enc_written(&e));
        cr_expect(rh_dec_value(&d, &out));
        cr_expect_eq(out.type, in.type);
        cr_expect_eq(is_signed ? out.i : (int64_t)out.u, rows[i].v, "row %zu", i);
    }
}

Test(enc, scalars_are_written_as_the_book_has_them)
{
    ENC(e, 128);
    rh_enc_null(&e);
    rh_enc_bool(&e, true);
    rh_enc_bool(&e, false);
    rh_enc_char(&e, 0x1f600);
    rh_enc_float(&e, 21.5f);
    rh_enc_double(&e, -2.0);
    rh_enc_decimal32(&e, (const uint8_t[4]){ 1, 2, 3, 4 });
    rh_enc_list0(&e);
    cr_expect(WROTE(e, 0x40, 0x41, 0x42, 0x73, 0, 1, 0xf6, 0, 0x72, 0x41, 0xac, 0, 0, 0x82, 0xc0, 0, 0, 0, 0, 0, 0, 0, 0x74,
                    1, 2, 3, 4, 0x45));
}

Test(enc, floating_bits_survive)
{
    static const uint32_t singles[] = { 0, 0x80000000, 1, 0x7f7fffff, 0x7f800000, 0xff800000, 0x7fc00001, 0x00800000 };
    static const uint64_t doubles[] = { 0, UINT64_C(1) << 63, 1, UINT64_C(0x7fefffffffffffff), UINT64_C(0x7ff0000000000000),
                                        UINT64_C(0x7ff8000000000001), UINT64_C(0x0010000000000000) };
    for (size_t i = 0; i < sizeof singles / sizeof singles[0]; i++) {
        ENC(e, 5);
        float    v, back;
        uint32_t bits;
        memcpy(&v, &singles[i], sizeof v);
        rh_enc_float(&e, v);
        rh_dec d = rh_dec_of(rh_enc_written(&e));
        back     = rh_dec_float(&d);
        memcpy(&bits, &back, sizeof bits);
        cr_expect_eq(bits, singles[i]);
    }
    for (size_t i = 0; i < sizeof doubles / sizeof doubles[0]; i++) {
        ENC(e, 9);
        double   v, back;
        uint64_t bits;
        memcpy(&v, &doubles[i], sizeof v);
        rh_enc_double(&e, v);
        rh_dec d = rh_dec_of(rh_enc_written(&e));
        back     = rh_dec_double(&d);
        memcpy(&bits, &back, sizeof bits);
        cr_expect_eq(bits, doubles[i]);
    }
}

Test(enc, variable_content_switches_form_at_256_bytes)
{
    static const size_t  lengths[] = { 0, 1, 254, 255, 256, 257, 65535, 65536, 70000 };
    static const rh_type types[]   = { RH_BINARY, RH_STRING, RH_SYMBOL };
    uint8_t *content = malloc(70000), *out = malloc(70005);
    memset(content, 'x', 70000);
    for (size_t t = 0; t < 3; t++) {
        for (size_t l = 0; l < sizeof lengths / sizeof lengths[0]; l++) {
            size_t   n     = lengths[l], header = n <= 255 ? 2 : 5;
            rh_value back, value = { .type = types[t], .bytes = rh_slice_of(content, n) };

            rh_enc tight = rh_enc_of(out, header + n - 1);
            rh_enc_value(&tight, &value);
            cr_expect_eq(tight.status, RH_E_SPACE);
            cr_expect_eq(rh_enc_size(&tight), 0);

            rh_enc e = rh_enc_of(out, header + n);
            rh_enc_value(&e, &value);
            cr_expect_eq(e.status, RH_OK);
            cr_expect_eq(rh_enc_size(&e), header + n);

            rh_dec d = rh_dec_of(rh_enc_written(&e));
            cr_expect(rh_dec_value(&d, &back));
            cr_expect_eq(back.type, types[t]);
            cr_expect(rh_slice_equal(back.bytes, value.bytes));
            cr_expect_not_null(back.bytes.p, "empty is present");
        }
    }
    free(content);
    free(out);
}

Test(enc, descriptors_take_one_byte_up_to_255)
{
    ENC(e, 32);
    rh_enc_descriptor(&e, 0);
    rh_enc_descriptor(&e, 0xff);
    rh_enc_descriptor(&e, 0x100);
    cr_expect(WROTE(e, 0x00, 0x53, 0x00, 0x00, 0x53, 0xff, 0x00, 0x80, 0, 0, 0, 0, 0, 0, 1, 0));
}

Test(enc, an_absent_slice_is_null_and_an_empty_one_is_not)
{
    ENC(e, 16);
    rh_enc_binary(&e, rh_slice_of(NULL, 0));
    rh_enc_string(&e, rh_str(NULL));
    rh_enc_symbol(&e, rh_str(""));
    rh_enc_raw(&e, rh_slice_of(NULL, 0));
    cr_expect(WROTE(e, 0x40, 0x40, 0xa3, 0x00));
}

static void write_some_of_everything(rh_enc *e)
{
    static const uint8_t sixteen[16] = { 1, 2, 3 };
    const rh_slice       symbols[]   = { rh_str("a"), rh_str("bc") };
    rh_enc_mark          list        = rh_enc_list_begin(e);
    rh_enc_null(e);
    rh_enc_bool(e, true);
    rh_enc_ubyte(e, 1);
    rh_enc_ushort(e, 2);
    rh_enc_uint(e, 3);
    rh_enc_ulong(e, 400);
    rh_enc_byte(e, -1);
    rh_enc_short(e, -2);
    rh_enc_int(e, -3);
    rh_enc_long(e, -400);
    rh_enc_float(e, 1.5f);
    rh_enc_double(e, 2.5);
    rh_enc_char(e, 'c');
    rh_enc_timestamp(e, 5);
    rh_enc_uuid(e, sixteen);
    rh_enc_decimal32(e, sixteen);
    rh_enc_decimal64(e, sixteen);
    rh_enc_decimal128(e, sixteen);
    rh_enc_binary(e, rh_str("bin"));
    rh_enc_string(e, rh_str("string"));
    rh_enc_symbol(e, rh_str("symbol"));
    rh_enc_symbols(e, symbols, 2);
    rh_enc_list0(e);
    rh_enc_mark map = rh_enc_map8_begin(e);
    rh_enc_symbol(e, rh_str("k"));
    rh_enc_mark array = rh_enc_array_begin(e, 0x60);
    rh_enc_element16(e, 7);
    rh_enc_element16(e, 8);
    rh_enc_array_end(e, array, 2);
    rh_enc_map8_end(e, map, 2);
    rh_enc_descriptor(e, 0x24);
    rh_enc_mark inner = rh_enc_list8_begin(e);
    rh_enc_list8_end(e, inner, 0);
    rh_enc_descriptor(e, 0x123456789a);
    rh_enc_mark wide = rh_enc_map_begin(e);
    rh_enc_map_end(e, wide, 0);
    rh_enc_list_end(e, list, 26);
}

Test(enc, what_does_not_fit_fails_at_every_size_and_never_overruns)
{
    ENC(whole, 512);
    write_some_of_everything(&whole);
    cr_assert_eq(whole.status, RH_OK);
    cr_expect_eq(rh_value_check(rh_enc_written(&whole)), RH_OK);

    for (size_t n = 0; n < rh_enc_size(&whole); n++) {
        uint8_t *exact = malloc(n + 1); /* the sanitizer watches the byte behind */
        rh_enc   e     = rh_enc_of(n ? exact : NULL, n);
        exact[n]       = 0xee;
        write_some_of_everything(&e);
        cr_expect_eq(e.status, RH_E_SPACE, "%zu bytes", n);
        cr_expect_leq(rh_enc_size(&e), n);
        cr_expect_eq(exact[n], 0xee);
        free(exact);
    }
}

Test(enc, compounds_print_as_they_were_written)
{
    ENC(e, 512);
    char text[512];
    write_some_of_everything(&e);
    rh_value_print(rh_enc_written(&e), text, sizeof text);
    cr_expect_str_eq(text, "[null, true, 1, 2, 3, 400, -1, -2, -3, -400, 1.5, 2.5, 'c', 5ms, "
                           "01020300-0000-0000-0000-000000000000, decimal32(0x01020300), "
                           "decimal64(0x0102030000000000), decimal128(0x01020300000000000000000000000000), "
                           "b\"bin\", \"string\", :symbol, symbol[:a, :bc], [], {:k=ushort[7, 8]}, "
                           "@0x24 [], @0x123456789a {}]");
}

Test(enc, a_failed_writer_writes_nothing_more)
{
    ENC(e, 4);
    rh_enc_uint(&e, 70000);
    cr_expect_eq(e.status, RH_E_SPACE);
    rh_enc_null(&e);
    rh_enc_descriptor(&e, 1);
    rh_enc_fail(&e, RH_E_ARGUMENT);
    cr_expect_eq(e.status, RH_E_SPACE, "the first failure is kept");
    cr_expect_eq(rh_enc_size(&e), 0);
}

Test(enc, a_copy_of_the_cursor_takes_a_run_of_writes_back)
{
    ENC(e, 8);
    rh_enc_string(&e, rh_str("abc"));
    rh_enc before = e;
    rh_enc_string(&e, rh_str("too long for it"));
    cr_expect_eq(e.status, RH_E_SPACE);
    e = before;
    rh_enc_uint(&e, 7);
    cr_expect(WROTE(e, 0xa1, 3, 'a', 'b', 'c', 0x52, 7));
}

Test(enc, a_short_list_that_grew_too_long_fails)
{
    static uint8_t zeros[300];
    for (size_t n = 253; n <= 255; n++) {
        ENC(e, 400);
        rh_enc_mark mark = rh_enc_list8_begin(&e);
        rh_enc_raw(&e, rh_slice_of(zeros, n));
        rh_enc_list8_end(&e, mark, 1);
        cr_expect_eq(e.status, n <= 254 ? RH_OK : RH_E_SPACE, "%zu bytes and the count", n);
    }
    ENC(e, 400);
    rh_enc_mark mark = rh_enc_map8_begin(&e);
    rh_enc_map8_end(&e, mark, 256);
    cr_expect_eq(e.status, RH_E_SPACE);
}

Test(enc, arrays_share_one_constructor)
{
    ENC(e, 128);
    rh_enc_mark mark = rh_enc_array_begin(&e, 0xa1);
    rh_enc_element_variable(&e, 0xa1, rh_str("0"));
    rh_enc_element_variable(&e, 0xa1, rh_str("1"));
    rh_enc_array_end(&e, mark, 2);
    cr_expect(WROTE(e, 0xf0, 0, 0, 0, 9, 0, 0, 0, 2, 0xa1, 1, '0', 1, '1'));

    rh_enc f = rh_enc_of(e_bytes, sizeof e_bytes);
    mark     = rh_enc_array_begin(&f, 0x80);
    rh_enc_element64(&f, 1);
    rh_enc_array_end(&f, mark, 1);
    mark = rh_enc_array_begin(&f, 0x70);
    rh_enc_element32(&f, 2);
    rh_enc_array_end(&f, mark, 1);
    mark = rh_enc_array_begin(&f, 0x50);
    rh_enc_element8(&f, 3);
    rh_enc_array_end(&f, mark, 1);
    cr_expect(WROTE(f, 0xf0, 0, 0, 0, 13, 0, 0, 0, 1, 0x80, 0, 0, 0, 0, 0, 0, 0, 1, 0xf0, 0, 0, 0, 9, 0, 0, 0, 1, 0x70, 0,
                    0, 0, 2, 0xf0, 0, 0, 0, 6, 0, 0, 0, 1, 0x50, 3));
}

Test(enc, an_element_longer_than_its_constructor_can_say_fails)
{
    static uint8_t content[256];
    ENC(e, 600);
    rh_enc_element_variable(&e, 0xb0, rh_slice_of(content, 256));
    cr_expect_eq(e.status, RH_OK);
    cr_expect_eq(rh_enc_size(&e), 260);
    rh_enc_element_variable(&e, 0xa0, rh_slice_of(content, 256));
    cr_expect_eq(e.status, RH_E_SPACE);
}

Test(enc, symbols_take_the_shortest_array)
{
    ENC(e, 1024);
    const rh_slice two[] = { rh_str("a"), rh_str("bc") };
    rh_enc_symbols(&e, two, 2);
    cr_expect(WROTE(e, 0xe0, 7, 2, 0xa3, 1, 'a', 2, 'b', 'c'));

    rh_enc none = rh_enc_of(e_bytes, sizeof e_bytes);
    rh_enc_symbols(&none, NULL, 0);
    cr_expect(WROTE(none, 0xe0, 2, 0, 0xa3));

    static char long_name[300];
    memset(long_name, 's', sizeof long_name);
    for (size_t n = 250; n <= 260; n++) {
        const rh_slice one[] = { rh_slice_of(long_name, n) };
        rh_array       array;
        rh_value       symbol;
        rh_enc         f = rh_enc_of(e_bytes, sizeof e_bytes);
        rh_enc_symbols(&f, one, 1);
        cr_expect_eq(f.status, RH_OK);
        cr_expect_eq(e_bytes[0], n + 3 <= 255 ? 0xe0 : 0xf0, "%zu", n);
        cr_expect_eq(e_bytes[e_bytes[0] == 0xe0 ? 3 : 9], n <= 255 ? 0xa3 : 0xb3, "%zu", n);
        rh_dec d = rh_dec_of(rh_enc_written(&f));
        cr_expect_eq(rh_dec_array(&d, &array), 1);
        cr_expect(rh_array_next(&array, &symbol));
        cr_expect_eq(symbol.bytes.n, n);
        cr_expect_not(rh_array_next(&array, &symbol));
        cr_expect_eq(d.status, RH_OK);
    }
}

Test(enc, compounds_found_in_an_array_stand_alone_when_written)
{
    static const uint8_t nested[] = { 0xe0, 0x0b, 0x02, 0xe0, 0x03, 0x01, 0x50, 0x07, 0x04, 0x02, 0x50, 0x08, 0x09 };
    rh_array array, inner;
    rh_value element, number;
    rh_dec   d = rh_dec_of(rh_slice_of(nested, sizeof nested));
    ENC(e, 32);
    cr_assert_eq(rh_dec_array(&d, &array), 2);
    while (rh_array_next(&array, &element)) {
        cr_expect(element.bare);
        cr_expect_gt(rh_value_array(&element, &inner), 0);
        cr_expect(rh_array_next(&inner, &number));
        cr_expect_eq(number.type, RH_UBYTE);
        rh_enc_value(&e, &element);
    }
    cr_expect_eq(d.status, RH_OK);
    cr_expect(WROTE(e, 0xe0, 3, 1, 0x50, 7, 0xe0, 4, 2, 0x50, 8, 9));

    ENC(tight, 4);
    rh_enc_value(&tight, &element);
    cr_expect_eq(tight.status, RH_E_ARGUMENT, "the iteration ended");
    rh_value list = { .type = RH_LIST, .code = 0xc0, .bare = true, .bytes = rh_slice_of("\x04\x03@@@", 5) };
    rh_enc   f    = rh_enc_of(tight_bytes, sizeof tight_bytes);
    rh_enc_value(&f, &list);
    cr_expect_eq(f.status, RH_E_SPACE);
    cr_expect_eq(rh_enc_size(&f), 0, "not half a value");
}

Test(enc, values_that_cannot_be_written_are_the_callers_fault)
{
    const rh_value bad[] = {
        { .type = RH_INVALID },
        { .type = RH_UUID, .bytes = rh_str("fifteen bytes..") },
        { .type = RH_UUID },
        { .type = RH_DECIMAL32, .bytes = rh_str("12345") },
        { .type = RH_LIST },
        { .type = RH_DESCRIBED, .bytes = rh_str("") },
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        ENC(e, 64);
        rh_enc_value(&e, &bad[i]);
        cr_expect_eq(e.status, RH_E_ARGUMENT, "row %zu", i);
        cr_expect_eq(rh_enc_size(&e), 0);
    }
}

Test(enc, what_a_length_of_four_bytes_cannot_say_fails)
{
    size_t   room  = ((size_t)1 << 32) + 4096;
    uint8_t *bytes = mmap(NULL, room, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    cr_assert_neq(bytes, MAP_FAILED);
    for (size_t over = 0; over < 2; over++) {
        rh_enc      e    = rh_enc_of(bytes, room);
        rh_enc_mark mark = rh_enc_list_begin(&e);
        rh_enc_room(&e, UINT32_MAX - 4 + over); /* the size counts the four bytes of the count too */
        rh_enc_list_end(&e, mark, 1);
        cr_expect_eq(e.status, over ? RH_E_SPACE : RH_OK);
    }
    rh_slice huge = rh_slice_of(bytes, (size_t)UINT32_MAX + 1);
    rh_enc   e    = rh_enc_of(bytes, room);
    rh_enc_binary(&e, huge);
    cr_expect_eq(e.status, RH_E_SPACE);
    cr_expect_eq(rh_enc_size(&e), 0);
    e = rh_enc_of(bytes, room);
    rh_enc_element_variable(&e, 0xb0, huge);
    cr_expect_eq(e.status, RH_E_SPACE);
    munmap(bytes, room);
}

Test(enc, a_writer_without_memory_fits_nothing)
{
    rh_enc e = rh_enc_of(NULL, 0);
    cr_expect_null(rh_enc_room(&e, 0));
    cr_expect_eq(e.status, RH_E_SPACE);
    cr_expect_eq(rh_enc_size(&e), 0);
}
