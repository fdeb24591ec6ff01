/* Reading: the 39 constructors, what is refused, and what each reader refuses. */
#include <criterion/criterion.h>

#include "codec/codec.h"

/* -- every constructor ----------------------------------------------------------------------- */

static const struct row {
    rh_type     type;
    const char *text; /* as rh_value_print() has it */
    uint8_t     n, bytes[20];
} rows[] = {
    { RH_NULL, "null", 1, { 0x40 } },
    { RH_BOOL, "true", 1, { 0x41 } },
    { RH_BOOL, "false", 1, { 0x42 } },
    { RH_BOOL, "true", 2, { 0x56, 0x01 } },
    { RH_BOOL, "false", 2, { 0x56, 0x00 } },
    { RH_UBYTE, "0", 2, { 0x50, 0x00 } },
    { RH_UBYTE, "255", 2, { 0x50, 0xff } },
    { RH_USHORT, "0", 3, { 0x60, 0x00, 0x00 } },
    { RH_USHORT, "65535", 3, { 0x60, 0xff, 0xff } },
    { RH_UINT, "0", 1, { 0x43 } },
    { RH_UINT, "255", 2, { 0x52, 0xff } },
    { RH_UINT, "256", 5, { 0x70, 0x00, 0x00, 0x01, 0x00 } },
    { RH_UINT, "4294967295", 5, { 0x70, 0xff, 0xff, 0xff, 0xff } },
    { RH_ULONG, "0", 1, { 0x44 } },
    { RH_ULONG, "255", 2, { 0x53, 0xff } },
    { RH_ULONG, "256", 9, { 0x80, 0, 0, 0, 0, 0, 0, 0x01, 0x00 } },
    { RH_ULONG, "18446744073709551615", 9, { 0x80, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff } },
    { RH_BYTE, "-128", 2, { 0x51, 0x80 } },
    { RH_BYTE, "127", 2, { 0x51, 0x7f } },
    { RH_SHORT, "-32768", 3, { 0x61, 0x80, 0x00 } },
    { RH_SHORT, "32767", 3, { 0x61, 0x7f, 0xff } },
    { RH_INT, "-128", 2, { 0x54, 0x80 } },
    { RH_INT, "127", 2, { 0x54, 0x7f } },
    { RH_INT, "-2147483648", 5, { 0x71, 0x80, 0, 0, 0 } },
    { RH_INT, "2147483647", 5, { 0x71, 0x7f, 0xff, 0xff, 0xff } },
    { RH_LONG, "-128", 2, { 0x55, 0x80 } },
    { RH_LONG, "127", 2, { 0x55, 0x7f } },
    { RH_LONG, "-9223372036854775808", 9, { 0x81, 0x80, 0, 0, 0, 0, 0, 0, 0 } },
    { RH_LONG, "9223372036854775807", 9, { 0x81, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff } },
    { RH_FLOAT, "21.5", 5, { 0x72, 0x41, 0xac, 0, 0 } },
    { RH_FLOAT, "-inf", 5, { 0x72, 0xff, 0x80, 0, 0 } },
    { RH_DOUBLE, "0.1", 9, { 0x82, 0x3f, 0xb9, 0x99, 0x99, 0x99, 0x99, 0x99, 0x9a } },
    { RH_DOUBLE, "nan", 9, { 0x82, 0x7f, 0xf8, 0, 0, 0, 0, 0, 0 } },
    { RH_DECIMAL32, "decimal32(0x22500001)", 5, { 0x74, 0x22, 0x50, 0, 0x01 } },
    { RH_DECIMAL64, "decimal64(0x2238000000000001)", 9, { 0x84, 0x22, 0x38, 0, 0, 0, 0, 0, 0x01 } },
    { RH_DECIMAL128, "decimal128(0x22080000000000000000000000000001)", 17,
      { 0x94, 0x22, 0x08, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x01 } },
    { RH_CHAR, "'x'", 5, { 0x73, 0, 0, 0, 'x' } },
    { RH_CHAR, "U+10ffff", 5, { 0x73, 0, 0x10, 0xff, 0xff } },
    { RH_TIMESTAMP, "-1ms", 9, { 0x83, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff } },
    { RH_TIMESTAMP, "1700000000000ms", 9, { 0x83, 0, 0, 0x01, 0x8b, 0xcf, 0xe5, 0x68, 0x00 } },
    { RH_UUID, "00112233-4455-6677-8899-aabbccddeeff", 17,
      { 0x98, 0x00, 0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77, 0x88, 0x99, 0xaa, 0xbb, 0xcc, 0xdd, 0xee, 0xff } },
    { RH_BINARY, "b\"\"", 2, { 0xa0, 0x00 } },
    { RH_BINARY, "b\"\\x00a\"", 4, { 0xa0, 0x02, 0x00, 'a' } },
    { RH_BINARY, "b\"\\xff\"", 6, { 0xb0, 0, 0, 0, 0x01, 0xff } },
    { RH_STRING, "\"\"", 2, { 0xa1, 0x00 } },
    { RH_STRING, "\"\xe2\x82\xac\"", 5, { 0xa1, 0x03, 0xe2, 0x82, 0xac } },
    { RH_STRING, "\"\\x00\"", 6, { 0xb1, 0, 0, 0, 0x01, 0x00 } },
    { RH_SYMBOL, ":ok", 4, { 0xa3, 0x02, 'o', 'k' } },
    { RH_SYMBOL, ":ok", 7, { 0xb3, 0, 0, 0, 0x02, 'o', 'k' } },
    { RH_LIST, "[]", 1, { 0x45 } },
    { RH_LIST, "[]", 3, { 0xc0, 0x01, 0x00 } },
    { RH_LIST, "[null, 0]", 5, { 0xc0, 0x03, 0x02, 0x40, 0x43 } },
    { RH_LIST, "[true]", 10, { 0xd0, 0, 0, 0, 0x05, 0, 0, 0, 0x01, 0x41 } },
    { RH_MAP, "{}", 3, { 0xc1, 0x01, 0x00 } },
    { RH_MAP, "{:a=1, 2=null}", 11, { 0xc1, 0x09, 0x04, 0xa3, 0x01, 'a', 0x52, 0x01, 0x52, 0x02, 0x40 } },
    { RH_MAP, "{0=0}", 11, { 0xd1, 0, 0, 0, 0x06, 0, 0, 0, 0x02, 0x43, 0x44 } },
    { RH_ARRAY, "symbol[:a, :b]", 8, { 0xe0, 0x06, 0x02, 0xa3, 0x01, 'a', 0x01, 'b' } },
    { RH_ARRAY, "ushort[1]", 12, { 0xf0, 0, 0, 0, 0x07, 0, 0, 0, 0x01, 0x60, 0, 1 } },
    { RH_ARRAY, "null[null x 3]", 4, { 0xe0, 0x02, 0x03, 0x40 } },
    { RH_ARRAY, "int[]", 4, { 0xe0, 0x02, 0x00, 0x71 } },
    { RH_ARRAY, "symbol[]", 4, { 0xe0, 0x02, 0x00, 0xa3 } },
    { RH_ARRAY, "list[[true], []]", 9, { 0xe0, 0x07, 0x02, 0xc0, 0x02, 0x01, 0x41, 0x01, 0x00 } },
    { RH_ARRAY, "list@0x24[[] x 2]", 7, { 0xe0, 0x05, 0x02, 0x00, 0x53, 0x24, 0x45 } },
    { RH_DESCRIBED, "@0x24 []", 4, { 0x00, 0x53, 0x24, 0x45 } },
    { RH_DESCRIBED, "@:a null", 5, { 0x00, 0xa3, 0x01, 'a', 0x40 } },
    { RH_DESCRIBED, "@@0x01 0 true", 6, { 0x00, 0x00, 0x53, 0x01, 0x43, 0x41 } },
};
#define ROWS (sizeof rows / sizeof rows[0])

static rh_slice row_bytes(const struct row *row)
{
    return rh_slice_of(row->bytes, row->n);
}

Test(dec, every_constructor_reads_as_its_value)
{
    for (size_t i = 0; i < ROWS; i++) {
        const struct row *row = &rows[i];
        rh_value          value;
        char              text[64];
        rh_dec            d = rh_dec_of(row_bytes(row));

        rh_value_print(row_bytes(row), text, sizeof text);
        cr_expect_str_eq(text, row->text);
        cr_expect_eq(rh_dec_peek(&d), row->type, "row %zu, %s", i, row->text);
        cr_expect(rh_dec_value(&d, &value), "row %zu, %s", i, row->text);
        cr_expect_eq(value.type, row->type, "row %zu, %s", i, row->text);
        cr_expect_eq(rh_dec_left(&d), 0, "row %zu, %s", i, row->text);
        cr_expect_eq(rh_value_check(row_bytes(row)), RH_OK, "row %zu, %s", i, row->text);
        cr_expect_eq(rh_value_size(row_bytes(row)), row->n, "row %zu, %s", i, row->text);
    }
}

Test(dec, every_value_is_written_as_it_was_read)
{
    for (size_t i = 0; i < ROWS; i++) {
        uint8_t  out[32];
        char     text[64];
        rh_value value;
        rh_dec   d = rh_dec_of(row_bytes(&rows[i]));
        rh_enc   e = rh_enc_of(out, sizeof out);
        rh_dec_value(&d, &value);
        rh_enc_value(&e, &value);
        cr_expect_eq(e.status, RH_OK, "%s", rows[i].text);
        cr_expect_leq(rh_enc_size(&e), rows[i].n, "%s became longer", rows[i].text);
        rh_value_print(rh_enc_written(&e), text, sizeof text);
        cr_expect_str_eq(text, rows[i].text);
    }
}

Test(dec, a_value_cut_anywhere_is_refused_by_every_reader)
{
    for (size_t i = 0; i < ROWS; i++) {
        for (size_t cut = 0; cut < rows[i].n; cut++) {
            rh_slice part = rh_slice_of(rows[i].bytes, cut);
            rh_value value;
            rh_dec   read = rh_dec_of(part), skipped = rh_dec_of(part);
            cr_expect_not(rh_dec_value(&read, &value), "%s cut at %zu", rows[i].text, cut);
            cr_expect_eq(value.type, RH_INVALID);
            rh_dec_skip(&skipped);
            cr_expect_eq(skipped.status, RH_E_DECODE, "%s cut at %zu", rows[i].text, cut);
            cr_expect_eq(rh_value_size(part), 0);
            cr_expect_eq(rh_value_check(part), RH_E_DECODE);
        }
    }
}

Test(dec, there_are_39_constructors_and_no_more)
{
    unsigned known = 0;
    for (unsigned code = 1; code < 256; code++) {
        uint8_t bytes[32] = { (uint8_t)code };
        rh_dec  d         = rh_dec_of(rh_slice_of(bytes, sizeof bytes));
        if (rh_dec_peek(&d) != RH_INVALID) {
            known++;
            continue;
        }
        rh_dec_skip(&d);
        cr_expect_eq(d.status, RH_E_DECODE, "constructor %02x", code);
        cr_expect_eq(d.p, bytes);
    }
    cr_expect_eq(known, 39);
}

Test(dec, typed_readers_take_every_width_of_their_type)
{
    static const uint8_t bytes[] = { 0x43, 0x52, 0xff, 0x70, 1, 2,    3,    4,    0x44, 0x53, 0xfe, 0x80, 1,
                                     2,    3,    4,    5,    6, 7,    8,    0x54, 0xff, 0x71, 0xff, 0xff, 0xff,
                                     0xfe, 0x55, 0xfd, 0x81, 0, 0,    0,    0,    0,    0,    1,    0,    0x50,
                                     7,    0x60, 1,    0,    0x51, 0xff, 0x61, 0xff, 0xfe, 0x41, 0x56, 0x00, 0x40 };
    rh_dec d = rh_dec_of(rh_slice_of(bytes, sizeof bytes));
    cr_expect_eq(rh_dec_uint(&d), 0);
    cr_expect_eq(rh_dec_uint(&d), 255);
    cr_expect_eq(rh_dec_uint(&d), 0x01020304);
    cr_expect_eq(rh_dec_ulong(&d), 0);
    cr_expect_eq(rh_dec_ulong(&d), 254);
    cr_expect_eq(rh_dec_ulong(&d), UINT64_C(0x0102030405060708));
    cr_expect_eq(rh_dec_int(&d), -1);
    cr_expect_eq(rh_dec_int(&d), -2);
    cr_expect_eq(rh_dec_long(&d), -3);
    cr_expect_eq(rh_dec_long(&d), 256);
    cr_expect_eq(rh_dec_ubyte(&d), 7);
    cr_expect_eq(rh_dec_ushort(&d), 256);
    cr_expect_eq(rh_dec_byte(&d), -1);
    cr_expect_eq(rh_dec_short(&d), -2);
    cr_expect(rh_dec_bool(&d));
    cr_expect_not(rh_dec_bool(&d));
    cr_expect_eq(rh_dec_left(&d), 1);
    cr_expect(rh_dec_null(&d));
    cr_expect_not(rh_dec_null(&d));
    rh_dec_end(&d);
    cr_expect_eq(d.status, RH_OK);
}

/* Reads with the reader of the row's own type; answers the bytes or the elements that it found. */
static rh_slice read_own(rh_dec *d, rh_type type)
{
    rh_slice none = { 0 };
    rh_dec   items;
    rh_array array;
    switch (type) {
    case RH_NULL:       rh_dec_null(d); return none;
    case RH_BOOL:       rh_dec_bool(d); return none;
    case RH_UBYTE:      rh_dec_ubyte(d); return none;
    case RH_USHORT:     rh_dec_ushort(d); return none;
    case RH_UINT:       rh_dec_uint(d); return none;
    case RH_ULONG:      rh_dec_ulong(d); return none;
    case RH_BYTE:       rh_dec_byte(d); return none;
    case RH_SHORT:      rh_dec_short(d); return none;
    case RH_INT:        rh_dec_int(d); return none;
    case RH_LONG:       rh_dec_long(d); return none;
    case RH_FLOAT:      rh_dec_float(d); return none;
    case RH_DOUBLE:     rh_dec_double(d); return none;
    case RH_CHAR:       rh_dec_char(d); return none;
    case RH_TIMESTAMP:  rh_dec_timestamp(d); return none;
    case RH_DECIMAL32:  return rh_dec_decimal32(d);
    case RH_DECIMAL64:  return rh_dec_decimal64(d);
    case RH_DECIMAL128: return rh_dec_decimal128(d);
    case RH_UUID:       return rh_dec_uuid(d);
    case RH_BINARY:     return rh_dec_binary(d);
    case RH_STRING:     return rh_dec_string(d);
    case RH_SYMBOL:     return rh_dec_symbol(d);
    case RH_LIST:       rh_dec_list(d, &items); return rh_slice_of(items.p, rh_dec_left(&items));
    case RH_MAP:        rh_dec_map(d, &items); return rh_slice_of(items.p, rh_dec_left(&items));
    case RH_ARRAY:      rh_dec_array(d, &array); return rh_slice_of(array.items.p, rh_dec_left(&array.items));
    default:            return rh_dec_raw(d);
    }
}

Test(dec, a_typed_reader_ends_where_its_value_does)
{
    for (size_t i = 0; i < ROWS; i++) {
        const struct row *row = &rows[i];
        uint8_t           followed[24];
        memcpy(followed, row->bytes, row->n);
        memset(followed + row->n, 0x40, 4);
        for (size_t behind = 0; behind <= 4; behind += 4) {
            rh_dec   d    = rh_dec_of(rh_slice_of(followed, row->n + behind));
            rh_slice part = read_own(&d, row->type);
            cr_expect_eq(d.status, RH_OK, "%s", row->text);
            cr_expect_eq(rh_dec_left(&d), behind, "%s", row->text);
            if (part.p) cr_expect_eq(part.p + part.n, followed + row->n, "content ends the value: %s", row->text);
        }
    }
}

static void expect_absent(rh_slice slice)
{
    cr_expect_null(slice.p);
    cr_expect_eq(slice.n, 0);
}

typedef void reader(rh_dec *d);
static void read_bool(rh_dec *d) { cr_expect_not(rh_dec_bool(d)); }
static void read_ubyte(rh_dec *d) { cr_expect_eq(rh_dec_ubyte(d), 0); }
static void read_ushort(rh_dec *d) { cr_expect_eq(rh_dec_ushort(d), 0); }
static void read_uint(rh_dec *d) { cr_expect_eq(rh_dec_uint(d), 0); }
static void read_ulong(rh_dec *d) { cr_expect_eq(rh_dec_ulong(d), 0); }
static void read_byte(rh_dec *d) { cr_expect_eq(rh_dec_byte(d), 0); }
static void read_short(rh_dec *d) { cr_expect_eq(rh_dec_short(d), 0); }
static void read_int(rh_dec *d) { cr_expect_eq(rh_dec_int(d), 0); }
static void read_long(rh_dec *d) { cr_expect_eq(rh_dec_long(d), 0); }
static void read_float(rh_dec *d) { cr_expect_eq(rh_dec_float(d), 0); }
static void read_double(rh_dec *d) { cr_expect_eq(rh_dec_double(d), 0); }
static void read_char(rh_dec *d) { cr_expect_eq(rh_dec_char(d), 0); }
static void read_timestamp(rh_dec *d) { cr_expect_eq(rh_dec_timestamp(d), 0); }
static void read_uuid(rh_dec *d) { expect_absent(rh_dec_uuid(d)); }
static void read_decimal32(rh_dec *d) { expect_absent(rh_dec_decimal32(d)); }
static void read_decimal64(rh_dec *d) { expect_absent(rh_dec_decimal64(d)); }
static void read_decimal128(rh_dec *d) { expect_absent(rh_dec_decimal128(d)); }
static void read_binary(rh_dec *d) { expect_absent(rh_dec_binary(d)); }
static void read_string(rh_dec *d) { expect_absent(rh_dec_string(d)); }
static void read_symbol(rh_dec *d) { expect_absent(rh_dec_symbol(d)); }
static void read_raw(rh_dec *d) { expect_absent(rh_dec_raw(d)); }
static void read_descriptor(rh_dec *d) { cr_expect_eq(rh_dec_descriptor(d), 0); }

static void read_list(rh_dec *d)
{
    rh_dec items;
    cr_expect_eq(rh_dec_list(d, &items), 0);
    cr_expect_eq(items.status, RH_E_DECODE);
    cr_expect_eq(rh_dec_left(&items), 0);
}

static void read_map(rh_dec *d)
{
    rh_dec items;
    cr_expect_eq(rh_dec_map(d, &items), 0);
    cr_expect_eq(items.status, RH_E_DECODE);
    cr_expect_eq(rh_dec_left(&items), 0);
}

static void read_array(rh_dec *d)
{
    rh_array array;
    rh_value value;
    cr_expect_eq(rh_dec_array(d, &array), 0);
    cr_expect_eq(array.items.status, RH_E_DECODE);
    cr_expect_not(rh_array_next(&array, &value));
}

static const struct { rh_type type; reader *read; } readers[] = {
    { RH_BOOL, read_bool },           { RH_UBYTE, read_ubyte },         { RH_USHORT, read_ushort },
    { RH_UINT, read_uint },           { RH_ULONG, read_ulong },         { RH_BYTE, read_byte },
    { RH_SHORT, read_short },         { RH_INT, read_int },             { RH_LONG, read_long },
    { RH_FLOAT, read_float },         { RH_DOUBLE, read_double },       { RH_DECIMAL32, read_decimal32 },
    { RH_DECIMAL64, read_decimal64 }, { RH_DECIMAL128, read_decimal128 }, { RH_CHAR, read_char },
    { RH_TIMESTAMP, read_timestamp }, { RH_UUID, read_uuid },           { RH_BINARY, read_binary },
    { RH_STRING, read_string },       { RH_SYMBOL, read_symbol },       { RH_LIST, read_list },
    { RH_MAP, read_map },             { RH_ARRAY, read_array },         { RH_DESCRIBED, read_descriptor },
};

Test(dec, a_reader_refuses_every_other_type_and_answers_nothing)
{
    for (size_t r = 0; r < sizeof readers / sizeof readers[0]; r++) {
        for (size_t i = 0; i < ROWS; i++) {
            if (rows[i].type == readers[r].type) continue;
            rh_dec d = rh_dec_of(row_bytes(&rows[i]));
            readers[r].read(&d);
            cr_expect_eq(d.status, RH_E_DECODE, "a reader of %s took %s", rh_type_name(readers[r].type), rows[i].text);
            cr_expect_eq(d.p, rows[i].bytes);
        }
    }
}

Test(dec, a_reader_refuses_the_end_and_the_absent_slice)
{
    for (size_t r = 0; r < sizeof readers / sizeof readers[0]; r++) {
        rh_dec d = rh_dec_of(rh_slice_of(NULL, 0));
        cr_expect_eq(rh_dec_peek(&d), RH_INVALID);
        readers[r].read(&d);
        cr_expect_eq(d.status, RH_E_DECODE);
    }
    rh_dec d = rh_dec_of(rh_slice_of(NULL, 0));
    read_raw(&d);
    cr_expect_eq(d.status, RH_E_DECODE);
}

Test(dec, a_failed_cursor_stays_failed_at_the_offending_byte)
{
    static const uint8_t bytes[] = { 0x43, 0xff, 0x43, 0x41 };
    rh_dec               d       = rh_dec_of(rh_slice_of(bytes, sizeof bytes));
    rh_dec_uint(&d);
    rh_dec_uint(&d);
    for (size_t r = 0; r < sizeof readers / sizeof readers[0]; r++) {
        readers[r].read(&d);
        cr_expect_eq(d.p, bytes + 1);
        cr_expect_eq(d.status, RH_E_DECODE);
        cr_expect_eq(rh_dec_left(&d), 0);
    }
    rh_dec_fail(&d, RH_E_INVALID_FIELD);
    cr_expect_eq(d.status, RH_E_DECODE, "the first failure is the one that is kept");
}

/* -- contents -------------------------------------------------------------------------------- */

Test(dec, contents_are_judged_by_those_who_read_them)
{
    static const struct { const char *why; uint8_t n, bytes[12]; } bad[] = {
        { "boolean neither 00 nor 01", 2, { 0x56, 0x02 } },
        { "char is half a surrogate pair", 5, { 0x73, 0, 0, 0xd8, 0x00 } },
        { "char beyond U+10FFFF", 5, { 0x73, 0, 0x11, 0x00, 0x00 } },
        { "string with a lone continuation", 3, { 0xa1, 0x01, 0x80 } },
        { "string cut inside a character", 4, { 0xa1, 0x02, 0xe2, 0x82 } },
        { "string with an overlong slash", 4, { 0xa1, 0x02, 0xc0, 0xaf } },
        { "wide string with a surrogate", 8, { 0xb1, 0, 0, 0, 0x03, 0xed, 0xa0, 0x80 } },
        { "symbol that is not ASCII", 4, { 0xa3, 0x02, 0xc3, 0xa9 } },
        { "wide symbol that is not ASCII", 6, { 0xb3, 0, 0, 0, 0x01, 0x80 } },
        { "array with one of them", 6, { 0xe0, 0x04, 0x01, 0xa1, 0x01, 0xff } },
        { "list with one of them", 6, { 0xc0, 0x04, 0x01, 0xa1, 0x01, 0xff } },
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        rh_slice bytes = rh_slice_of(bad[i].bytes, bad[i].n);
        rh_value value;
        rh_dec   d = rh_dec_of(bytes);
        bool     inside = bad[i].bytes[0] >= 0xc0;
        cr_expect_eq(rh_dec_value(&d, &value), inside, "%s", bad[i].why);
        cr_expect_eq(rh_value_size(bytes), bad[i].n, "skip looks at the shape only: %s", bad[i].why);
        cr_expect_eq(rh_value_check(bytes), RH_E_DECODE, "%s", bad[i].why);
    }
    for (size_t r = 0; r < sizeof readers / sizeof readers[0]; r++) {
        for (size_t i = 0; i < 9; i++) {
            rh_dec d = rh_dec_of(rh_slice_of(bad[i].bytes, bad[i].n));
            readers[r].read(&d);
            cr_expect_eq(d.status, RH_E_DECODE, "%s", bad[i].why);
            cr_expect_eq(d.p, bad[i].bytes, "the blame stands at the value: %s", bad[i].why);
        }
    }
}

Test(dec, text_takes_strings_and_symbols)
{
    static const uint8_t bytes[] = { 0xa1, 1, 's', 0xa3, 1, 'y', 0xa0, 1, 'b' };
    rh_dec               d       = rh_dec_of(rh_slice_of(bytes, sizeof bytes));
    cr_expect(rh_slice_is(rh_dec_text(&d), "s"));
    cr_expect(rh_slice_is(rh_dec_text(&d), "y"));
    cr_expect_null(rh_dec_text(&d).p);
    cr_expect_eq(d.status, RH_E_DECODE);
}

Test(dec, integers_widen_where_they_fit)
{
    static const struct { uint8_t n, bytes[9]; bool fits_signed, fits_unsigned; int64_t i; } wide[] = {
        { 2, { 0x50, 0xff }, true, true, 255 },
        { 3, { 0x60, 0xff, 0xff }, true, true, 65535 },
        { 1, { 0x43 }, true, true, 0 },
        { 9, { 0x80, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff }, true, true, INT64_MAX },
        { 9, { 0x80, 0x80, 0, 0, 0, 0, 0, 0, 0 }, false, true, INT64_MIN },
        { 2, { 0x51, 0xff }, true, false, -1 },
        { 3, { 0x61, 0x00, 0x01 }, true, true, 1 },
        { 2, { 0x54, 0x80 }, true, false, -128 },
        { 9, { 0x81, 0x80, 0, 0, 0, 0, 0, 0, 0 }, true, false, INT64_MIN },
        { 9, { 0x83, 0, 0, 0, 0, 0, 0, 0, 7 }, true, true, 7 },
        { 1, { 0x41 }, false, false, 0 },
        { 3, { 0xa1, 1, '7' }, false, false, 0 },
    };
    for (size_t i = 0; i < sizeof wide / sizeof wide[0]; i++) {
        rh_value value;
        int64_t  as_signed   = 42;
        uint64_t as_unsigned = 42;
        rh_dec   d           = rh_dec_of(rh_slice_of(wide[i].bytes, wide[i].n));
        rh_dec_value(&d, &value);
        cr_expect_eq(rh_value_to_int64(&value, &as_signed), wide[i].fits_signed, "row %zu", i);
        cr_expect_eq(rh_value_to_uint64(&value, &as_unsigned), wide[i].fits_unsigned, "row %zu", i);
        cr_expect_eq(as_signed, wide[i].fits_signed ? wide[i].i : 42, "row %zu", i);
        cr_expect_eq(as_unsigned, wide[i].fits_unsigned ? (uint64_t)wide[i].i : 42, "row %zu", i);
    }
}

/* -- descriptors ----------------------------------------------------------------------------- */

Test(dec, descriptors_are_read_in_every_width)
{
    static const uint8_t small[] = { 0x00, 0x53, 0x70 }, zero[] = { 0x00, 0x44, 0x40 };
    static const uint8_t large[]  = { 0x00, 0x80, 0, 0, 0, 0, 0, 0, 0x01, 0x37 };
    static const uint8_t symbol[] = { 0x00, 0xa3, 0x01, 'x', 0x40 };
    rh_value             descriptor;
    rh_dec               d;

    d = rh_dec_of(rh_slice_of(small, sizeof small));
    cr_expect_eq(rh_dec_descriptor(&d), 0x70);
    cr_expect_eq(rh_dec_left(&d), 0);
    d = rh_dec_of(rh_slice_of(zero, sizeof zero));
    cr_expect_eq(rh_dec_descriptor(&d), 0);
    cr_expect_eq(d.status, RH_OK);
    cr_expect_eq(rh_dec_left(&d), 1);
    d = rh_dec_of(rh_slice_of(large, sizeof large));
    cr_expect_eq(rh_dec_descriptor(&d), 0x137);
    cr_expect_eq(rh_dec_left(&d), 0);

    d = rh_dec_of(rh_slice_of(symbol, sizeof symbol));
    cr_expect(rh_dec_described(&d, &descriptor));
    cr_expect_eq(descriptor.type, RH_SYMBOL);
    cr_expect(rh_dec_null(&d));
    d = rh_dec_of(rh_slice_of(symbol, sizeof symbol));
    rh_dec_descriptor(&d);
    cr_expect_eq(d.status, RH_E_DECODE);
    d = rh_dec_of(rh_slice_of(symbol + 1, 3));
    cr_expect_not(rh_dec_described(&d, &descriptor));
    cr_expect_eq(d.status, RH_E_DECODE);
}
