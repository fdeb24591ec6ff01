/*
 * Writing: the input is a program for the writers of codec/codec.h: values of every type, compounds in both widths, in room for all
 * of it or less. What is written is what was meant; it is written the same into exactly its size, and not at all, or not wholly,
 * into less; nothing is written beside the room. Errors and their words are made of the same bytes.
 *
 * The input: a byte for the room (times 4; 255: plenty), then steps of one byte and what they take.
 */
#include "fuzz/kit/lent.h"
#include "fuzz/kit/mutator.h"
#include "fuzz/kit/target.h"
#include "fuzz/oracle.h"

#include "codec/text.h"

enum { ROOM = 1 << 15, PLENTY = 255, DEPTH = 6, VALUES = 512 };

/* What was meant to be at the top. */
static rh_value meant[VALUES];

struct program {
    rh_dec   in;
    rh_enc   e;
    uint32_t count; /* of values at the top */
    unsigned depth;
    struct open {
        rh_enc_mark mark;
        uint32_t    count;
        uint8_t     kind;
    } open[DEPTH];
};

static uint8_t next(struct program *p)
{
    return rh_dec_left(&p->in) ? *rh_dec_take(&p->in, 1).p : 0;
}

static uint64_t number(struct program *p)
{
    uint64_t v = 0;
    for (uint8_t n = next(p) % 9; n > 0; n--) v = v << 8 | next(p);
    return v;
}

static rh_slice bytes(struct program *p)
{
    size_t n = next(p);
    if (n >= 250) n = 256; /* the wide form */
    return rh_dec_take(&p->in, n < rh_dec_left(&p->in) ? n : rh_dec_left(&p->in));
}

static rh_slice sixteen(struct program *p, size_t n)
{
    static uint8_t room[VALUES][16];
    uint8_t       *at = room[p->count % VALUES];
    for (size_t i = 0; i < n; i++) at[i] = next(p);
    return rh_slice_of(at, n);
}

static void note(struct program *p, rh_value value)
{
    if (p->depth == 0 && p->count < VALUES) meant[p->count] = value;
    if (p->depth == 0) p->count++;
    else p->open[p->depth - 1].count++;
}

/* -- scalars ----------------------------------------------------------------------------------- */

static void write_integer(struct program *p, uint8_t which)
{
    rh_enc  *e = &p->e;
    uint64_t v = number(p);
    switch (which) {
    case 0:  rh_enc_ubyte(e, (uint8_t)v); note(p, (rh_value){ .type = RH_UBYTE, .u = (uint8_t)v }); return;
    case 1:  rh_enc_ushort(e, (uint16_t)v); note(p, (rh_value){ .type = RH_USHORT, .u = (uint16_t)v }); return;
    case 2:  rh_enc_uint(e, (uint32_t)v); note(p, (rh_value){ .type = RH_UINT, .u = (uint32_t)v }); return;
    case 3:  rh_enc_ulong(e, v); note(p, (rh_value){ .type = RH_ULONG, .u = v }); return;
    case 4:  rh_enc_byte(e, (int8_t)v); note(p, (rh_value){ .type = RH_BYTE, .i = (int8_t)v }); return;
    case 5:  rh_enc_short(e, (int16_t)v); note(p, (rh_value){ .type = RH_SHORT, .i = (int16_t)v }); return;
    case 6:  rh_enc_int(e, (int32_t)v); note(p, (rh_value){ .type = RH_INT, .i = (int32_t)v }); return;
    case 7:  rh_enc_long(e, (int64_t)v); note(p, (rh_value){ .type = RH_LONG, .i = (int64_t)v }); return;
    case 8:  rh_enc_timestamp(e, (int64_t)v); note(p, (rh_value){ .type = RH_TIMESTAMP, .i = (int64_t)v }); return;
    default: rh_enc_bool(e, v & 1); note(p, (rh_value){ .type = RH_BOOL, .boolean = v & 1 }); return;
    }
}

static void write_other(struct program *p, uint8_t which)
{
    rh_enc  *e = &p->e;
    uint64_t v = number(p);
    float    f;
    double   d;
    rh_slice b;
    memcpy(&f, &v, sizeof f);
    memcpy(&d, &v, sizeof d);
    switch (which) {
    case 0:  rh_enc_null(e); note(p, (rh_value){ .type = RH_NULL }); return;
    case 1:  rh_enc_float(e, f); note(p, (rh_value){ .type = RH_FLOAT, .f = f }); return;
    case 2:  rh_enc_double(e, d); note(p, (rh_value){ .type = RH_DOUBLE, .d = d }); return;
    case 3:  rh_enc_char(e, (uint32_t)(v % 0xd800)); note(p, (rh_value){ .type = RH_CHAR, .character = (uint32_t)(v % 0xd800) }); return;
    case 4:  b = sixteen(p, 16); rh_enc_uuid(e, b.p); note(p, (rh_value){ .type = RH_UUID, .bytes = b }); return;
    case 5:  b = sixteen(p, 4); rh_enc_decimal32(e, b.p); note(p, (rh_value){ .type = RH_DECIMAL32, .bytes = b }); return;
    case 6:  b = sixteen(p, 8); rh_enc_decimal64(e, b.p); note(p, (rh_value){ .type = RH_DECIMAL64, .bytes = b }); return;
    default: b = sixteen(p, 16); rh_enc_decimal128(e, b.p); note(p, (rh_value){ .type = RH_DECIMAL128, .bytes = b }); return;
    }
}

static void write_text(struct program *p, uint8_t which)
{
    rh_slice b = bytes(p);
    if (which == 0) rh_enc_binary(&p->e, b), note(p, (rh_value){ .type = RH_BINARY, .bytes = b });
    else if (which == 1 && rh_utf8_is(b)) rh_enc_string(&p->e, b), note(p, (rh_value){ .type = RH_STRING, .bytes = b });
    else if (which == 2 && rh_ascii_is(b)) rh_enc_symbol(&p->e, b), note(p, (rh_value){ .type = RH_SYMBOL, .bytes = b });
}

/* -- compounds --------------------------------------------------------------------------------- */

static void end(struct program *p)
{
    struct open *o = &p->open[--p->depth];
    rh_enc      *e = &p->e;
    if (o->kind >= 2 && o->count % 2) rh_enc_null(e), o->count++; /* [1.6.23] a map is pairs */
    switch (o->kind) {
    case 0:  rh_enc_list_end(e, o->mark, o->count); break;
    case 1:  rh_enc_list8_end(e, o->mark, o->count); break;
    case 2:  rh_enc_map_end(e, o->mark, o->count); break;
    default: rh_enc_map8_end(e, o->mark, o->count); break;
    }
    note(p, (rh_value){ .type = o->kind < 2 ? RH_LIST : RH_MAP });
}

static void begin(struct program *p, uint8_t kind)
{
    if (p->depth == DEPTH) return;
    rh_enc      *e = &p->e;
    struct open *o = &p->open[p->depth++];
    o->kind        = kind;
    o->count       = 0;
    switch (kind) {
    case 0:  o->mark = rh_enc_list_begin(e); break;
    case 1:  o->mark = rh_enc_list8_begin(e); break;
    case 2:  o->mark = rh_enc_map_begin(e); break;
    default: o->mark = rh_enc_map8_begin(e); break;
    }
}

static void write_array(struct program *p)
{
    static const uint8_t codes[] = { 0x50, 0x60, 0x70, 0x80, 0xa0, 0xb0, 0x43 };
    uint8_t              code = codes[next(p) % sizeof codes], count = next(p) % 40;
    rh_enc_mark          mark = rh_enc_array_begin(&p->e, code);
    for (uint8_t i = 0; i < count; i++) {
        if (code == 0x50) rh_enc_element8(&p->e, next(p));
        else if (code == 0x60) rh_enc_element16(&p->e, (uint16_t)number(p));
        else if (code == 0x70) rh_enc_element32(&p->e, (uint32_t)number(p));
        else if (code == 0x80) rh_enc_element64(&p->e, number(p));
        else if (code != 0x43) rh_enc_element_variable(&p->e, code, bytes(p));
    }
    rh_enc_array_end(&p->e, mark, count);
    note(p, (rh_value){ .type = RH_ARRAY });
}

static void write_symbols(struct program *p)
{
    rh_slice symbols[4];
    uint32_t count = next(p) % 5;
    for (uint32_t i = 0; i < count; i++) symbols[i] = bytes(p);
    rh_enc_symbols(&p->e, symbols, count);
    note(p, (rh_value){ .type = RH_ARRAY });
}

/* As a value that somebody made, or broke. */
static void write_value(struct program *p)
{
    rh_value value = { .type = (rh_type)(next(p) % (RH_DESCRIBED + 1)), .u = number(p), .bytes = bytes(p) };
    if (value.type == RH_BOOL) value.boolean = value.u & 1;
    bool wide   = value.type == RH_UUID || value.type == RH_DECIMAL128, eight = value.type == RH_DECIMAL64, four = value.type == RH_DECIMAL32;
    bool sized  = wide ? value.bytes.n == 16 : eight ? value.bytes.n == 8 : four ? value.bytes.n == 4 : true;
    bool any    = value.type >= RH_LIST && value.bytes.n > 0;
    if (value.type == RH_STRING && !rh_utf8_is(value.bytes)) return;
    if (value.type == RH_SYMBOL && !rh_ascii_is(value.bytes)) return;
    if (value.type == RH_CHAR) value.character = (uint32_t)(value.u % 0xd800);
    if (any && rh_value_size(value.bytes) != value.bytes.n) return;
    rh_enc e = p->e;
    rh_enc_value(&e, &value);
    if (e.status == RH_E_ARGUMENT) {
        REQUIRE(value.type == RH_INVALID || !sized || value.type >= RH_LIST);
        return;
    }
    REQUIRE(e.status != RH_OK || (sized && value.type != RH_INVALID));
    p->e = e;
    note(p, (rh_value){ .type = value.type == RH_DESCRIBED ? RH_DESCRIBED : RH_INVALID }); /* looked at by its size only */
}

/* -- the whole --------------------------------------------------------------------------------- */

static void step(struct program *p)
{
    uint8_t what = next(p);
    switch (what >> 4) {
    case 0: case 1: case 2: case 3: write_integer(p, what % 10); return;
    case 4: case 5:  write_other(p, what % 8); return;
    case 6: case 7: case 8: write_text(p, what % 3); return;
    case 9: case 10: begin(p, what % 4); return;
    case 11: if (p->depth) end(p); return;
    case 12: write_array(p); return;
    case 13: write_symbols(p); return;
    case 14: write_value(p); return;
    default: rh_enc_ulong(&p->e, what); note(p, (rh_value){ .type = RH_ULONG, .u = what }); return;
    }
}

static rh_enc write_all(rh_slice program, void *room, size_t n, uint32_t *count)
{
    struct program p = { .in = rh_dec_of(program), .e = rh_enc_of(room, n) };
    while (rh_dec_left(&p.in) > 0) step(&p);
    while (p.depth > 0) end(&p);
    *count = p.count;
    return p.e;
}

static void widen(const rh_value *value)
{
    int64_t  i;
    uint64_t u;
    bool     is_unsigned = value->type >= RH_UBYTE && value->type <= RH_ULONG, is_signed = (value->type >= RH_BYTE && value->type <= RH_LONG) || value->type == RH_TIMESTAMP;
    REQUIRE(rh_value_to_int64(value, &i) == (is_signed || (is_unsigned && value->u <= INT64_MAX)));
    REQUIRE(rh_value_to_uint64(value, &u) == (is_unsigned || (is_signed && value->i >= 0)));
}

/* Each value at the top is there, alone and as it was meant. */
static void read_back(rh_slice written, uint32_t count)
{
    rh_dec   d = rh_dec_of(written);
    rh_value value;
    for (uint32_t i = 0; i < count; i++) {
        size_t n = rh_value_size(rh_slice_of(d.p, rh_dec_left(&d)));
        REQUIRE(n > 0);
        if (i < VALUES && meant[i].type != RH_INVALID && meant[i].type < RH_LIST) {
            REQUIRE(rh_dec_value(&d, &value) && same_value(&value, &meant[i]));
            widen(&value);
        } else {
            rh_dec_take(&d, n);
        }
    }
    REQUIRE(d.status == RH_OK && rh_dec_left(&d) == 0);
}

static void tell_errors(rh_slice in)
{
    rh_error  error;
    char      room[RH_DECIMAL_ROOM];
    rh_status status = (rh_status)(in.n ? in.p[0] * 2 : 0);
    REQUIRE(rh_status_name(status)[0] == 'R' && rh_status_words(status)[0] != 0);
    rh_error_set_slices(&error, status, rh_slice_of(in.p, in.n / 2), in);
    REQUIRE(strlen(error.condition) <= in.n / 2 && rh_utf8_is(rh_str(error.condition)) && rh_utf8_is(rh_str(error.description)));
    rh_slice digits = rh_text_decimal(in.n * 77, room);
    REQUIRE(digits.n > 0 && strtoull(room, NULL, 10) == in.n * 77);
}

static void run(const uint8_t *data, size_t size)
{
    KIT_LENT(lent, ROOM);
    if (size < 1 || size > 4096) return;
    rh_slice program = rh_slice_of(data + 1, size - 1);
    size_t   n       = data[0] == PLENTY ? ROOM : 4u * data[0];
    uint32_t count, again;
    rh_enc   e = write_all(program, KIT_LEND(lent, n), n, &count);
    if (e.status == RH_OK) {
        static uint8_t first[ROOM];
        size_t         used = rh_enc_size(&e);
        memcpy(first, e.start, used);
        read_back(rh_slice_of(first, used), count);
        rh_enc tight = write_all(program, KIT_LEND(lent, used), used, &again);
        REQUIRE(tight.status == RH_OK && again == count && rh_slice_equal(rh_enc_written(&tight), rh_slice_of(first, used)));
        if (used > 0) REQUIRE(write_all(program, KIT_LEND(lent, used - 1), used - 1, &again).status == RH_E_SPACE);
    } else {
        REQUIRE(e.status == RH_E_SPACE && rh_enc_size(&e) <= n);
    }
    tell_errors(program);
}

TARGET(run, 20000, 1000)
