/*
 * Where a reader wants to begin. The position that was read, written down in each way the grammar has, reads the same;
 * the filter map that holds an expression means what the expression alone does, by key and by each descriptor; and other
 * filters beside it change nothing. The input is tried as an expression, as a whole map and as the number of a position.
 */
#include "emulator/filter.h"
#include "fuzz/kit/target.h"
#include "fuzz/oracle.h"

#define SELECTOR "apache.org:selector-filter:string"

static uint8_t out[1 << 15];

static bool same_position(const rh_emu_position *a, const rh_emu_position *b)
{
    return a->from == b->from && a->inclusive == b->inclusive && a->value == b->value;
}

/* -- expressions ------------------------------------------------------------------------------- */

static size_t put(char *to, size_t at, const char *words)
{
    while (*words) to[at++] = *words++;
    return at;
}

static size_t put_number(char *to, size_t at, int64_t number)
{
    char   digits[24];
    size_t n = 0;
    if (number < 0) to[at++] = '-';
    uint64_t left = number < 0 ? 0 - (uint64_t)number : (uint64_t)number;
    do digits[n++] = (char)('0' + left % 10);
    while (left /= 10);
    while (n) to[at++] = digits[--n];
    return at;
}

/* In one of the ways: quotes of either kind or none, blanks or none. */
static rh_slice write_position(char *to, const rh_emu_position *position, unsigned way)
{
    static const char *const names[]  = { [RH_EMU_FROM_EARLIEST] = "offset", [RH_EMU_FROM_LATEST] = "offset", [RH_EMU_FROM_OFFSET] = "offset",
                                          [RH_EMU_FROM_SEQUENCE] = "sequence-number", [RH_EMU_FROM_TIME] = "enqueued-time" };
    static const char *const quotes[] = { "'", "\"", "" };
    size_t n = put(to, 0, way & 4 ? " \tamqp.annotation.x-opt-" : "amqp.annotation.x-opt-");
    n = put(to, n, names[position->from]);
    n = put(to, n, way & 8 ? "  >" : ">");
    n = put(to, n, position->inclusive ? "= " : "");
    n = put(to, n, quotes[way % 3]);
    n = position->from == RH_EMU_FROM_LATEST ? put(to, n, "@latest") : put_number(to, n, position->value);
    n = put(to, n, quotes[way % 3]);
    return rh_slice_of(to, way & 4 ? put(to, n, "\t ") : n);
}

/* -- maps -------------------------------------------------------------------------------------- */

static void put_filter(rh_enc *e, const char *key, unsigned descriptor, rh_slice expression)
{
    static const uint64_t codes[] = { UINT64_C(0x468C00000004), UINT64_C(0x137000000A), UINT64_C(0x1234) };
    rh_enc_symbol(e, rh_str(key));
    if (descriptor < 3) {
        rh_enc_descriptor(e, codes[descriptor]);
    } else {
        rh_enc_u8(e, 0x00);
        rh_enc_symbol(e, rh_str(SELECTOR));
    }
    rh_enc_string(e, expression);
}

static rh_slice write_map(const char *key, unsigned descriptor, rh_slice expression, bool beside)
{
    rh_enc      e    = rh_enc_of(out, sizeof out);
    rh_enc_mark mark = rh_enc_map_begin(&e);
    if (beside) put_filter(&e, "somebody:else", 2, rh_str("what they want"));
    put_filter(&e, key, descriptor, expression);
    rh_enc_map_end(&e, mark, beside ? 4 : 2);
    REQUIRE(e.status == RH_OK);
    return rh_enc_written(&e);
}

static void in_maps(rh_slice expression, rh_status expected, const rh_emu_position *position)
{
    static const unsigned selectors[] = { 0, 1, 3 };
    rh_emu_position       read;
    if (!rh_utf8_is(expression)) expected = RH_E_INVALID_FIELD; /* no string at all */
    for (unsigned i = 0; i < 6; i++) {
        const char *key = i < 3 ? SELECTOR : "by its descriptor";
        REQUIRE(rh_emu_filter_read(write_map(key, selectors[i % 3], expression, i & 1), &read) == expected);
        if (expected == RH_OK) REQUIRE(same_position(&read, position));
    }
    REQUIRE(rh_emu_filter_read(write_map(SELECTOR, 2, expression, false), &read) == RH_E_INVALID_FIELD);
    REQUIRE(rh_emu_filter_read(write_map("another", 2, expression, true), &read) == RH_OK && read.from == RH_EMU_FROM_EARLIEST);
}

static void as_expression(rh_slice expression)
{
    rh_emu_position position, again;
    char            words[128];
    rh_status       status = rh_emu_filter_parse(expression, &position);
    REQUIRE(status == RH_OK || status == RH_E_INVALID_FIELD || status == RH_E_OFFSET);
    in_maps(expression, status, &position);
    if (status != RH_OK) return;
    for (unsigned way = 0; way < 16; way++) {
        rh_slice written = write_position(words, &position, way);
        REQUIRE(rh_emu_filter_parse(written, &again) == RH_OK && same_position(&position, &again));
        REQUIRE(rh_emu_filter_parse(rh_slice_of(words, written.n / 2), &again) != RH_OK);
    }
}

/* A position of which nobody knows whether it can be said: it can. */
static void as_position(rh_slice bytes)
{
    static const rh_emu_from from[] = { RH_EMU_FROM_OFFSET, RH_EMU_FROM_SEQUENCE, RH_EMU_FROM_TIME, RH_EMU_FROM_LATEST };
    rh_emu_position position = { .from = from[bytes.p[0] & 3], .inclusive = bytes.p[0] & 4 }, again;
    char            words[128];
    uint64_t        number = 0;
    for (size_t i = 1; i < bytes.n && i < 9; i++) number = number << 8 | bytes.p[i];
    if (position.from != RH_EMU_FROM_LATEST) position.value = (int64_t)(number & INT64_MAX);
    rh_slice written = write_position(words, &position, bytes.p[0] >> 4);
    REQUIRE(rh_emu_filter_parse(written, &again) == RH_OK && same_position(&position, &again));
}

static void run(const uint8_t *data, size_t size)
{
    rh_emu_position position;
    rh_slice        bytes = rh_slice_of(data, size);
    if (size > 4096) return;
    rh_status status = rh_emu_filter_read(bytes, &position);
    REQUIRE(status == RH_OK || status == RH_E_INVALID_FIELD || status == RH_E_OFFSET || status == RH_E_DECODE);
    if (status == RH_OK && size > 0 && rh_value_check(bytes) == RH_OK) REQUIRE(position.from <= RH_EMU_FROM_TIME);
    as_expression(bytes);
    if (size > 0) as_position(bytes);
}

TARGET(run, 5000, 100)
