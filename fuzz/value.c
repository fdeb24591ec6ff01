/* One AMQP value: what skip, decode, check, print and encode say of the same bytes must agree. */
#include "fuzz/kit/mutator.h"
#include "fuzz/kit/target.h"
#include "fuzz/oracle.h"

/* A value written again is no longer than it was and reads as the same value. */
static void write_again(const rh_value *value, size_t encoded)
{
    static uint8_t out[1 << 16];
    rh_value       back;
    rh_enc         e = rh_enc_of(out, sizeof out);
    rh_enc_value(&e, value);
    REQUIRE(e.status == RH_OK && rh_enc_size(&e) <= encoded + value->bare);
    REQUIRE(rh_value_size(rh_enc_written(&e)) == rh_enc_size(&e));

    rh_dec d = rh_dec_of(rh_enc_written(&e));
    REQUIRE(rh_dec_value(&d, &back) && rh_dec_left(&d) == 0);
    if (value->bare) REQUIRE(back.type == value->type && back.bytes.n == value->bytes.n + 1);
    else REQUIRE(same_value(value, &back));

    rh_enc tight = rh_enc_of(out, rh_enc_size(&e) - 1);
    rh_enc_value(&tight, value);
    REQUIRE(tight.status == RH_E_SPACE && rh_enc_size(&tight) == 0);
}

/* The typed reader of a value takes what rh_dec_value() took, and uses as much. */
static void read_typed(rh_slice encoded, const rh_value *value)
{
    rh_dec d = rh_dec_of(encoded);
    switch (value->type) {
    case RH_NULL:       REQUIRE(rh_dec_null(&d)); break;
    case RH_BOOL:       REQUIRE(rh_dec_bool(&d) == value->boolean); break;
    case RH_UBYTE:      REQUIRE(rh_dec_ubyte(&d) == value->u); break;
    case RH_USHORT:     REQUIRE(rh_dec_ushort(&d) == value->u); break;
    case RH_UINT:       REQUIRE(rh_dec_uint(&d) == value->u); break;
    case RH_ULONG:      REQUIRE(rh_dec_ulong(&d) == value->u); break;
    case RH_BYTE:       REQUIRE(rh_dec_byte(&d) == value->i); break;
    case RH_SHORT:      REQUIRE(rh_dec_short(&d) == value->i); break;
    case RH_INT:        REQUIRE(rh_dec_int(&d) == value->i); break;
    case RH_LONG:       REQUIRE(rh_dec_long(&d) == value->i); break;
    case RH_FLOAT:      rh_dec_float(&d); break;
    case RH_DOUBLE:     rh_dec_double(&d); break;
    case RH_DECIMAL32:  REQUIRE(rh_slice_equal(rh_dec_decimal32(&d), value->bytes)); break;
    case RH_DECIMAL64:  REQUIRE(rh_slice_equal(rh_dec_decimal64(&d), value->bytes)); break;
    case RH_DECIMAL128: REQUIRE(rh_slice_equal(rh_dec_decimal128(&d), value->bytes)); break;
    case RH_CHAR:       REQUIRE(rh_dec_char(&d) == value->character); break;
    case RH_TIMESTAMP:  REQUIRE(rh_dec_timestamp(&d) == value->i); break;
    case RH_UUID:       REQUIRE(rh_slice_equal(rh_dec_uuid(&d), value->bytes)); break;
    case RH_BINARY:     REQUIRE(rh_slice_equal(rh_dec_binary(&d), value->bytes)); break;
    case RH_STRING:     REQUIRE(rh_slice_equal(rh_dec_string(&d), value->bytes)); break;
    case RH_SYMBOL:     REQUIRE(rh_slice_equal(rh_dec_symbol(&d), value->bytes)); break;
    case RH_DESCRIBED: {
        rh_value descriptor;
        if (!rh_dec_described(&d, &descriptor)) return; /* its content may be bad where its shape was good */
        rh_dec_skip(&d);
        break;
    }
    default: rh_dec_skip(&d); break;
    }
    REQUIRE(d.status == RH_OK && rh_dec_left(&d) == 0);
}

/* Each reader of a type, of bytes that may end anywhere: it takes those of its type and no others. */
static void read_each_way(rh_slice bytes, rh_type is)
{
    rh_dec d;
#define READ(type, reader)                                                                         \
    d = rh_dec_of(bytes);                                                                           \
    (void)reader(&d);                                                                               \
    REQUIRE((d.status == RH_OK) == (is == type) && inside(rh_slice_of(d.p, 0), bytes));
    READ(RH_BOOL, rh_dec_bool)
    READ(RH_UBYTE, rh_dec_ubyte)
    READ(RH_USHORT, rh_dec_ushort)
    READ(RH_UINT, rh_dec_uint)
    READ(RH_ULONG, rh_dec_ulong)
    READ(RH_BYTE, rh_dec_byte)
    READ(RH_SHORT, rh_dec_short)
    READ(RH_INT, rh_dec_int)
    READ(RH_LONG, rh_dec_long)
    READ(RH_FLOAT, rh_dec_float)
    READ(RH_DOUBLE, rh_dec_double)
    READ(RH_DECIMAL32, rh_dec_decimal32)
    READ(RH_DECIMAL64, rh_dec_decimal64)
    READ(RH_DECIMAL128, rh_dec_decimal128)
    READ(RH_CHAR, rh_dec_char)
    READ(RH_TIMESTAMP, rh_dec_timestamp)
    READ(RH_UUID, rh_dec_uuid)
    READ(RH_BINARY, rh_dec_binary)
    READ(RH_STRING, rh_dec_string)
    READ(RH_SYMBOL, rh_dec_symbol)
#undef READ
    rh_dec   items;
    rh_array array;
    d = rh_dec_of(bytes), (void)rh_dec_list(&d, &items);
    if (is == RH_LIST) REQUIRE(d.status == RH_OK && inside(rh_slice_of(items.p, rh_dec_left(&items)), bytes));
    d = rh_dec_of(bytes), (void)rh_dec_map(&d, &items);
    REQUIRE(is == RH_MAP || d.status != RH_OK || rh_dec_peek(&(rh_dec){ .p = bytes.p, .end = bytes.p + bytes.n }) == RH_MAP);
    d = rh_dec_of(bytes), (void)rh_dec_array(&d, &array);
    REQUIRE(is == RH_ARRAY || d.status != RH_OK || bytes.p[0] >> 4 >= 0xe);
}

/*
 * Opens every compound down to `depth` with the public calls and tells whether all of it is valid. This is
 * rh_value_check() written the way the library may not be: as a recursion.
 */
static bool is_valid(rh_dec *d, unsigned depth, size_t size);

static bool elements_are_valid(const rh_value *value, unsigned depth, size_t size)
{
    rh_dec items;
    if (depth == 0) return true;
    uint32_t count = rh_value_items(value, &items);
    for (; count > 0 && items.status == RH_OK; count--)
        if (!is_valid(&items, depth - 1, size)) return false;
    rh_dec_end(&items);
    return items.status == RH_OK;
}

static bool array_is_valid(const rh_value *value, unsigned depth, size_t size)
{
    rh_array array;
    rh_value element;
    if (depth == 0) return true;
    for (rh_value_array(value, &array); rh_array_next(&array, &element);) {
        write_again(&element, size);
        if (element.type == RH_ARRAY && !array_is_valid(&element, depth - 1, size)) return false;
        if ((element.type == RH_LIST || element.type == RH_MAP) && !elements_are_valid(&element, depth - 1, size)) return false;
    }
    return array.items.status == RH_OK;
}

static bool is_valid(rh_dec *d, unsigned depth, size_t size)
{
    rh_value value;
    size_t   owed = 1;
    do {
        if (rh_dec_peek(d) == RH_DESCRIBED) {
            rh_dec_take(d, 1);
            owed++;
            continue;
        }
        const uint8_t *at = d->p;
        if (!rh_dec_value(d, &value)) return false;
        read_typed(rh_slice_of(at, (size_t)(d->p - at)), &value);
        if (value.type < RH_LIST) write_again(&value, (size_t)(d->p - at)); /* compounds: whole, by the caller */
        if (value.type == RH_ARRAY && !array_is_valid(&value, depth, size)) return false;
        if ((value.type == RH_LIST || value.type == RH_MAP) && !elements_are_valid(&value, depth, size)) return false;
        owed--;
    } while (owed > 0);
    return true;
}

static void printing_is_bounded(rh_slice encoded, bool valid)
{
    static char whole[1 << 16], part[64];
    size_t      wanted = rh_value_print(encoded, whole, sizeof whole);
    REQUIRE(wanted <= 64 + 32 * encoded.n);
    if (wanted >= sizeof whole) return;
    REQUIRE(strlen(whole) == wanted && rh_utf8_is(rh_slice_of(whole, wanted)));
    REQUIRE((strstr(whole, "<malformed at byte ") != NULL) >= !valid);

    size_t n = wanted % sizeof part;
    memset(part, 'z', sizeof part);
    REQUIRE(rh_value_print(encoded, part, n) == wanted);
    REQUIRE(part[n] == 'z' && (n == 0 || strncmp(part, whole, strlen(part)) == 0));
}

static void run(const uint8_t *data, size_t size)
{
    rh_slice all = rh_slice_of(data, size);
    rh_value value;
    rh_dec   skipped = rh_dec_of(all), read = rh_dec_of(all), opened = rh_dec_of(all), each = rh_dec_of(all);

    if (size > 16384) return; /* what is written again must fit the buffers here */

    rh_dec_skip(&skipped);
    size_t whole = rh_value_size(all);
    REQUIRE(whole <= size && (skipped.status == RH_OK) == (whole > 0));
    REQUIRE(inside(rh_slice_of(skipped.p, 0), all));
    if (whole > 0) REQUIRE((size_t)(skipped.p - data) == whole);

    read_each_way(all, rh_dec_value(&each, &value) ? value.type : RH_INVALID);

    /* Decoding accepts no more than skipping and uses the same bytes. */
    if (rh_dec_value(&read, &value)) {
        REQUIRE(whole > 0 && read.p == skipped.p && inside(value.bytes, all));
        read_typed(rh_slice_of(data, whole), &value);
        write_again(&value, whole);
    } else {
        REQUIRE(value.type == RH_INVALID && read.status == RH_E_DECODE);
        REQUIRE(whole == 0 || rh_value_check(rh_slice_of(data, whole)) == RH_E_DECODE);
    }

    bool valid = is_valid(&opened, RH_NESTING_MAX, size);
    if (valid) REQUIRE(whole > 0 && opened.p == skipped.p);
    if (whole > 0) REQUIRE((rh_value_check(rh_slice_of(data, whole)) == RH_OK) == valid);
    if (whole < size) REQUIRE(rh_value_check(all) == RH_E_DECODE);

    printing_is_bounded(all, valid && whole == size);
}

TARGET(run, 20000, 4000)
TARGET_HOLDS_VALUES(0)
