/* Qpid proton reads what we write and we read what it writes: every type at its boundary values. */
#include <criterion/criterion.h>
#include <proton/codec.h>
#include <stdlib.h>

#include "codec/codec.h"

/* -- there ------------------------------------------------------------------------------------ */

struct pair {
    pn_data_t *data;
    uint8_t    bytes[1 << 17];
    rh_enc     e;
};

static struct pair *pair_new(void)
{
    struct pair *pair = calloc(1, sizeof *pair);
    pair->data        = pn_data(16);
    pair->e           = rh_enc_of(pair->bytes, sizeof pair->bytes);
    return pair;
}

static void pair_free(struct pair *pair)
{
    pn_data_free(pair->data);
    free(pair);
}

/* Gives proton what was written and stands at the value it made of it. */
static pn_data_t *read_by_proton(struct pair *pair)
{
    rh_slice written = rh_enc_written(&pair->e);
    cr_assert_eq(pair->e.status, RH_OK);
    pn_data_clear(pair->data);
    ssize_t used = pn_data_decode(pair->data, (const char *)written.p, written.n);
    cr_assert_eq(used, (ssize_t)written.n, "proton used %zd of %zu bytes: %02x", used, written.n, written.p[0]);
    pn_data_rewind(pair->data);
    cr_assert(pn_data_next(pair->data));
    pair->e = rh_enc_of(pair->bytes, sizeof pair->bytes);
    return pair->data;
}

/* Lets proton write what it holds and reads it as a value; the view lasts until the pair is used again. */
static rh_value written_by_proton(struct pair *pair)
{
    rh_value value;
    ssize_t  n = pn_data_encode(pair->data, (char *)pair->bytes, sizeof pair->bytes);
    cr_assert_gt(n, 0);
    rh_dec d = rh_dec_of(rh_slice_of(pair->bytes, (size_t)n));
    cr_assert(rh_dec_value(&d, &value), "we refuse what proton wrote: %02x", pair->bytes[0]);
    cr_assert_eq(rh_dec_left(&d), 0);
    cr_assert_eq(rh_value_check(rh_slice_of(pair->bytes, (size_t)n)), RH_OK);
    pn_data_clear(pair->data);
    return value;
}

/* -- scalars both ways ------------------------------------------------------------------------ */

#define BOTH_WAYS(name, c_type, enc, put, get, pn_type, rh_type_is, member, ...)                    \
    Test(proton, agrees_on_##name)                                                                 \
    {                                                                                              \
        static const c_type values[] = { __VA_ARGS__ };                                            \
        struct pair        *pair     = pair_new();                                                 \
        for (size_t i = 0; i < sizeof values / sizeof values[0]; i++) {                            \
            enc(&pair->e, values[i]);                                                              \
            pn_data_t *data = read_by_proton(pair);                                                \
            cr_expect_eq(pn_data_type(data), pn_type, "row %zu", i);                               \
            c_type theirs = (c_type)get(data);                                                     \
            cr_expect_eq(memcmp(&theirs, &values[i], sizeof theirs), 0, "row %zu", i);             \
                                                                                                   \
            pn_data_clear(data);                                                                   \
            put(data, values[i]);                                                                  \
            rh_value value = written_by_proton(pair);                                              \
            c_type   ours  = (c_type)value.member;                                                 \
            cr_expect_eq(value.type, rh_type_is, "row %zu", i);                                    \
            cr_expect_eq(memcmp(&ours, &values[i], sizeof ours), 0, "row %zu", i);                 \
        }                                                                                          \
        pair_free(pair);                                                                           \
    }

#define AROUND(n) (n) - 1, (n), (n) + 1

BOTH_WAYS(booleans, bool, rh_enc_bool, pn_data_put_bool, pn_data_get_bool, PN_BOOL, RH_BOOL, boolean, false, true)
BOTH_WAYS(ubytes, uint8_t, rh_enc_ubyte, pn_data_put_ubyte, pn_data_get_ubyte, PN_UBYTE, RH_UBYTE, u, 0, 1, 127, 128, 255)
BOTH_WAYS(ushorts, uint16_t, rh_enc_ushort, pn_data_put_ushort, pn_data_get_ushort, PN_USHORT, RH_USHORT, u, 0, 1, AROUND(256),
          AROUND(32768), 65535)
BOTH_WAYS(uints, uint32_t, rh_enc_uint, pn_data_put_uint, pn_data_get_uint, PN_UINT, RH_UINT, u, 0, 1, AROUND(256), AROUND(65536),
          AROUND(0x80000000u), 0xffffffff)
BOTH_WAYS(ulongs, uint64_t, rh_enc_ulong, pn_data_put_ulong, pn_data_get_ulong, PN_ULONG, RH_ULONG, u, 0, 1, AROUND(256),
          AROUND(UINT64_C(1) << 32), AROUND(UINT64_C(1) << 63), UINT64_MAX)
BOTH_WAYS(bytes, int8_t, rh_enc_byte, pn_data_put_byte, pn_data_get_byte, PN_BYTE, RH_BYTE, i, 0, -1, 1, INT8_MIN, INT8_MAX)
BOTH_WAYS(shorts, int16_t, rh_enc_short, pn_data_put_short, pn_data_get_short, PN_SHORT, RH_SHORT, i, 0, -1, AROUND(128), INT16_MIN,
          INT16_MAX)
BOTH_WAYS(ints, int32_t, rh_enc_int, pn_data_put_int, pn_data_get_int, PN_INT, RH_INT, i, AROUND(0), AROUND(128), AROUND(-128),
          INT32_MIN, INT32_MAX)
BOTH_WAYS(longs, int64_t, rh_enc_long, pn_data_put_long, pn_data_get_long, PN_LONG, RH_LONG, i, AROUND(0), AROUND(128), AROUND(-128),
          AROUND(INT64_C(1) << 32), INT64_MIN, INT64_MAX)
BOTH_WAYS(floats, float, rh_enc_float, pn_data_put_float, pn_data_get_float, PN_FLOAT, RH_FLOAT, f, 0.0f, -0.0f, 1.5f, 1e-45f, 3.4e38f,
          __builtin_inff(), -__builtin_inff(), __builtin_nanf(""))
BOTH_WAYS(doubles, double, rh_enc_double, pn_data_put_double, pn_data_get_double, PN_DOUBLE, RH_DOUBLE, d, 0.0, -0.0, 0.1, 5e-324,
          1.7e308, __builtin_inf(), -__builtin_inf(), __builtin_nan(""))
BOTH_WAYS(chars, uint32_t, rh_enc_char, pn_data_put_char, pn_data_get_char, PN_CHAR, RH_CHAR, character, 0, 'a', 0xd7ff, 0xe000, 0xffff,
          0x10000, 0x10ffff)
BOTH_WAYS(timestamps, int64_t, rh_enc_timestamp, pn_data_put_timestamp, pn_data_get_timestamp, PN_TIMESTAMP, RH_TIMESTAMP, i, AROUND(0),
          1700000000000, INT64_MIN, INT64_MAX)

Test(proton, agrees_on_null)
{
    struct pair *pair = pair_new();
    rh_enc_null(&pair->e);
    cr_expect_eq(pn_data_type(read_by_proton(pair)), PN_NULL);
    pn_data_clear(pair->data);
    pn_data_put_null(pair->data);
    cr_expect_eq(written_by_proton(pair).type, RH_NULL);
    pair_free(pair);
}

Test(proton, agrees_on_uuids_and_decimals)
{
    static const uint8_t bytes[16] = { 0xff, 0x01, 0x02, 0x80, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 0xfe };
    struct pair         *pair      = pair_new();

    rh_enc_uuid(&pair->e, bytes);
    pn_uuid_t uuid = pn_data_get_uuid(read_by_proton(pair));
    cr_expect_eq(memcmp(&uuid, bytes, 16), 0);
    pn_data_clear(pair->data);
    pn_data_put_uuid(pair->data, uuid);
    rh_value value = written_by_proton(pair);
    cr_expect(value.type == RH_UUID && rh_slice_equal(value.bytes, rh_slice_of(bytes, 16)));

    rh_enc_decimal32(&pair->e, bytes);
    pn_decimal32_t d32 = pn_data_get_decimal32(read_by_proton(pair));
    cr_expect_eq(d32, rh_get32(bytes));
    pn_data_clear(pair->data);
    pn_data_put_decimal32(pair->data, d32);
    value = written_by_proton(pair);
    cr_expect(value.type == RH_DECIMAL32 && rh_slice_equal(value.bytes, rh_slice_of(bytes, 4)));

    rh_enc_decimal64(&pair->e, bytes);
    pn_decimal64_t d64 = pn_data_get_decimal64(read_by_proton(pair));
    cr_expect_eq(d64, rh_get64(bytes));
    pn_data_clear(pair->data);
    pn_data_put_decimal64(pair->data, d64);
    value = written_by_proton(pair);
    cr_expect(value.type == RH_DECIMAL64 && rh_slice_equal(value.bytes, rh_slice_of(bytes, 8)));

    rh_enc_decimal128(&pair->e, bytes);
    pn_decimal128_t d128 = pn_data_get_decimal128(read_by_proton(pair));
    cr_expect_eq(memcmp(&d128, bytes, 16), 0);
    pn_data_clear(pair->data);
    pn_data_put_decimal128(pair->data, d128);
    value = written_by_proton(pair);
    cr_expect(value.type == RH_DECIMAL128 && rh_slice_equal(value.bytes, rh_slice_of(bytes, 16)));
    pair_free(pair);
}

static const struct variable {
    rh_type    type;
    pn_type_t  theirs;
    void      (*enc)(rh_enc *, rh_slice);
    int       (*put)(pn_data_t *, pn_bytes_t);
    pn_bytes_t (*get)(pn_data_t *);
} variables[] = {
    { RH_BINARY, PN_BINARY, rh_enc_binary, pn_data_put_binary, pn_data_get_binary },
    { RH_STRING, PN_STRING, rh_enc_string, pn_data_put_string, pn_data_get_string },
    { RH_SYMBOL, PN_SYMBOL, rh_enc_symbol, pn_data_put_symbol, pn_data_get_symbol },
};

Test(proton, agrees_on_content_of_every_length)
{
    static const size_t lengths[] = { 0, 1, AROUND(255), AROUND(65536) };
    static char         content[70000];
    struct pair        *pair = pair_new();
    memset(content, 'u', sizeof content);
    content[0] = '\0'; /* U+0000 is a character; some codecs stop there */
    for (size_t v = 0; v < 3; v++) {
        for (size_t l = 0; l < sizeof lengths / sizeof lengths[0]; l++) {
            rh_slice whole = rh_slice_of(content, lengths[l]);
            variables[v].enc(&pair->e, whole);
            pn_data_t *data = read_by_proton(pair);
            cr_expect_eq(pn_data_type(data), variables[v].theirs);
            pn_bytes_t theirs = variables[v].get(data);
            cr_expect(rh_slice_equal(rh_slice_of(theirs.start, theirs.size), whole), "%zu bytes", lengths[l]);

            pn_data_clear(data);
            variables[v].put(data, pn_bytes(lengths[l], content));
            rh_value value = written_by_proton(pair);
            cr_expect_eq(value.type, variables[v].type);
            cr_expect(rh_slice_equal(value.bytes, whole), "%zu bytes", lengths[l]);
        }
    }
    pair_free(pair);
}

/* -- compounds: what proton makes of ours and writes again prints the same ---------------------- */

static void expect_same_text(struct pair *pair, const char *text)
{
    char ours[512], theirs[512];
    rh_value_print(rh_enc_written(&pair->e), ours, sizeof ours);
    cr_expect_str_eq(ours, text);

    read_by_proton(pair);
    ssize_t n = pn_data_encode(pair->data, (char *)pair->bytes, sizeof pair->bytes);
    cr_assert_gt(n, 0);
    rh_value_print(rh_slice_of(pair->bytes, (size_t)n), theirs, sizeof theirs);
    cr_expect_str_eq(theirs, text);
    pair->e = rh_enc_of(pair->bytes, sizeof pair->bytes);
}

Test(proton, agrees_on_lists_and_maps)
{
    struct pair *pair = pair_new();
    rh_enc      *e    = &pair->e;

    rh_enc_list0(e);
    expect_same_text(pair, "[]");

    rh_enc_mark list = rh_enc_list_begin(e);
    rh_enc_string(e, rh_str("x"));
    rh_enc_null(e);
    rh_enc_mark map = rh_enc_map8_begin(e);
    rh_enc_symbol(e, rh_str("key"));
    rh_enc_long(e, -5);
    rh_enc_string(e, rh_str("list"));
    rh_enc_mark inner = rh_enc_list8_begin(e);
    rh_enc_bool(e, true);
    rh_enc_list8_end(e, inner, 1);
    rh_enc_map8_end(e, map, 4);
    map = rh_enc_map_begin(e);
    rh_enc_map_end(e, map, 0);
    rh_enc_list_end(e, list, 4);
    expect_same_text(pair, "[\"x\", null, {:key=-5, \"list\"=[true]}, {}]");
    pair_free(pair);
}

Test(proton, agrees_on_described_values)
{
    struct pair *pair = pair_new();
    rh_enc      *e    = &pair->e;
    rh_enc_descriptor(e, 0x24);
    rh_enc_list0(e);
    expect_same_text(pair, "@0x24 []");

    rh_enc_descriptor(e, UINT64_C(0x137000000c));
    rh_enc_string(e, rh_str("amqp.annotation.x-opt-offset > '100'"));
    expect_same_text(pair, "@0x137000000c \"amqp.annotation.x-opt-offset > '100'\"");

    rh_enc_u8(e, 0x00);
    rh_enc_symbol(e, rh_str("com.microsoft:timespan"));
    rh_enc_long(e, 600000000);
    expect_same_text(pair, "@:com.microsoft:timespan 600000000");
    pair_free(pair);
}

Test(proton, agrees_on_arrays)
{
    const rh_slice symbols[] = { rh_str("MSSBCBS"), rh_str("PLAIN"), rh_str("ANONYMOUS"), rh_str("EXTERNAL") };
    struct pair   *pair      = pair_new();
    rh_enc        *e         = &pair->e;

    rh_enc_symbols(e, symbols, 4);
    expect_same_text(pair, "symbol[:MSSBCBS, :PLAIN, :ANONYMOUS, :EXTERNAL]");

    rh_enc_mark mark = rh_enc_array_begin(e, 0xa1);
    rh_enc_element_variable(e, 0xa1, rh_str("0"));
    rh_enc_element_variable(e, 0xa1, rh_str("1"));
    rh_enc_array_end(e, mark, 2);
    expect_same_text(pair, "string[\"0\", \"1\"]");

    mark = rh_enc_array_begin(e, 0x80);
    rh_enc_element64(e, 7);
    rh_enc_element64(e, UINT64_MAX);
    rh_enc_array_end(e, mark, 2);
    expect_same_text(pair, "ulong[7, 18446744073709551615]");

    mark = rh_enc_array_begin(e, 0x00);
    rh_enc_raw(e, rh_slice_of("\x53\x24\x71", 3));
    rh_enc_element32(e, 5);
    rh_enc_array_end(e, mark, 1);
    expect_same_text(pair, "int@0x24[5]");
    pair_free(pair);
}

Test(proton, writes_arrays_of_every_type_that_we_read)
{
    static const pn_type_t types[] = { PN_BOOL, PN_UBYTE, PN_USHORT, PN_UINT, PN_ULONG, PN_BYTE, PN_SHORT, PN_INT, PN_LONG,
                                       PN_FLOAT, PN_DOUBLE, PN_CHAR, PN_TIMESTAMP, PN_BINARY, PN_STRING, PN_SYMBOL };
    static const char *const texts[] = { "boolean[true, true]", "ubyte[1, 1]", "ushort[1, 1]", "uint[1, 1]", "ulong[1, 1]",
                                         "byte[1, 1]", "short[1, 1]", "int[1, 1]", "long[1, 1]", "float[1.0, 1.0]",
                                         "double[1.0, 1.0]", "char[U+0001, U+0001]", "timestamp[1ms, 1ms]",
                                         "binary[b\"x\", b\"x\"]", "string[\"x\", \"x\"]", "symbol[:x, :x]" };
    struct pair *pair = pair_new();
    for (size_t t = 0; t < sizeof types / sizeof types[0]; t++) {
        pn_atom_t atom = { .type = types[t], .u.as_ulong = 1 };
        char      text[64];
        if (types[t] == PN_FLOAT) atom.u.as_float = 1;
        if (types[t] == PN_DOUBLE) atom.u.as_double = 1;
        if (types[t] >= PN_BINARY) atom.u.as_bytes = pn_bytes(1, "x");
        pn_data_put_array(pair->data, false, types[t]);
        pn_data_enter(pair->data);
        pn_data_put_atom(pair->data, atom);
        pn_data_put_atom(pair->data, atom);
        pn_data_exit(pair->data);
        rh_value value = written_by_proton(pair);
        cr_expect_eq(value.type, RH_ARRAY);
        rh_value_print(value.bytes, text, sizeof text);
        cr_expect_str_eq(text, texts[t]);
    }
    pair_free(pair);
}
