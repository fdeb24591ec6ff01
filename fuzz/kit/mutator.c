#include "fuzz/kit/mutator.h"

#include "fuzz/kit/edit.h"
#include "fuzz/kit/make.h"
#include "fuzz/kit/world.h"

enum { ROOM = 2048 };

static struct kit_edit edit, other;
static uint8_t         room[ROOM];

/* An input may not be empty. */
static size_t something(uint8_t *data, size_t n)
{
    if (n == 0) data[0] = 0x40;
    return n ? n : 1;
}

/* libFuzzer's own: bits, bytes, numbers, the dictionary. */
static size_t plainly(uint8_t *data, size_t size, size_t max)
{
    return LLVMFuzzerMutate ? LLVMFuzzerMutate(data, size, max) : size;
}

static rh_slice made(kit_chance *chance)
{
    rh_enc e = rh_enc_of(room, sizeof room);
    if (kit_one_in(chance, 4)) kit_make_list(&e, chance, (rh_composite_id)kit_below(chance, RH_AMQP_UNKNOWN));
    else if (kit_one_in(chance, 6)) kit_make_section(&e, chance);
    else kit_make_value(&e, chance, 3);
    return rh_enc_written(&e);
}

/* -- values ------------------------------------------------------------------------------------ */

static rh_slice bytes_of(const struct kit_edit *in, const struct kit_spot *spot)
{
    return rh_slice_of(in->bytes + spot->at, spot->n);
}

static void put_in(const struct kit_spot *spot, rh_slice what)
{
    (void)kit_edit_replace(&edit, spot->parent, spot->at, spot->n, what.p, what.n, 0);
}

static void insert(const struct kit_spot *spot, rh_slice what)
{
    (void)kit_edit_replace(&edit, spot->parent, spot->at, 0, what.p, what.n, spot->counted);
}

static rh_slice copied(const struct kit_edit *in, const struct kit_spot *spot)
{
    size_t n = spot->n < ROOM ? spot->n : 0;
    memcpy(room, in->bytes + spot->at, n);
    return rh_slice_of(room, n);
}

/* The rest of its compound goes with it: a list of fewer fields. */
static void cut_off(const struct kit_spot *spot)
{
    uint32_t end   = spot->parent == KIT_NO_SPOT ? (uint32_t)edit.n : edit.spots[spot->parent].at + edit.spots[spot->parent].n;
    int      items = 0;
    for (uint32_t i = 0; i < edit.count; i++)
        items -= edit.spots[i].parent == spot->parent && edit.spots[i].counted && edit.spots[i].at >= spot->at;
    (void)kit_edit_replace(&edit, spot->parent, spot->at, end - spot->at, room, 0, items);
}

/* The same value with a size of the other width. */
static void widen(const struct kit_spot *spot)
{
    uint8_t *p = edit.bytes + spot->at;
    rh_enc   e = rh_enc_of(room, sizeof room);
    if (spot->prefix == 0 || spot->n + 6 > ROOM || (spot->prefix == 4 && spot->n > 200)) return;
    size_t fields = spot->counts || *p >> 4 >= 0xe ? 2 : 1;
    rh_enc_u8(&e, *p ^ 0x10);
    for (size_t i = 0; i < fields; i++) {
        uint32_t v = spot->prefix == 1 ? p[1 + i] : rh_get32(p + 1 + 4 * i);
        if (i == 0 && fields == 2) v += spot->prefix == 1 ? 3 : (uint32_t)-3;
        if (spot->prefix == 1) rh_enc_element32(&e, v);
        else rh_enc_u8(&e, (uint8_t)v);
    }
    size_t head = 1 + fields * spot->prefix;
    rh_enc_raw(&e, rh_slice_of(p + head, spot->n - head));
    put_in(spot, rh_enc_written(&e));
}

/* A size, a count or a constructor that is not true. Nothing is mended. */
static void lie(const struct kit_spot *spot, kit_chance *chance)
{
    static const uint32_t lies[] = { 0, 1, 0xff, 0x7fffffff, 0x80000000, 0xfffffffb, 0xffffffff };
    uint8_t              *p = edit.bytes + spot->at;
    if (spot->prefix == 0 || kit_one_in(chance, 4)) {
        static const uint8_t codes[] = { 0x00, 0x40, 0x41, 0x43, 0x44, 0x45, 0x50, 0x53, 0x56, 0x60, 0x70, 0x71, 0x73, 0x80, 0x98, 0xa0, 0xa1, 0xa3, 0xb0, 0xb1, 0xc0, 0xc1, 0xd0, 0xd1, 0xe0, 0xf0 };
        *p = codes[kit_below(chance, sizeof codes)];
        return;
    }
    p += 1 + (kit_one_in(chance, 2) && spot->n > 2u * spot->prefix ? spot->prefix : 0);
    uint32_t was = spot->prefix == 1 ? *p : rh_get32(p);
    uint32_t is  = kit_one_in(chance, 2) ? was + (kit_one_in(chance, 2) ? 1 : (uint32_t)-1) : lies[kit_below(chance, sizeof lies / sizeof *lies)];
    if (spot->prefix == 1) *p = (uint8_t)is;
    else rh_put32(p, is);
}

static void wrap(const struct kit_spot *spot, kit_chance *chance)
{
    rh_slice what = bytes_of(&edit, spot);
    uint32_t which = kit_below(chance, 4), turns = kit_one_in(chance, 8) ? kit_below(chance, 40) : 1;
    if (what.n > ROOM / 2) return;
    for (uint32_t i = 0; i < turns && what.n < ROOM / 2; i++) {
        uint8_t inner[ROOM];
        memcpy(inner, what.p, what.n);
        rh_enc      e    = rh_enc_of(room, sizeof room);
        rh_slice    all  = rh_slice_of(inner, what.n);
        rh_enc_mark mark = { 0 };
        if (which == 0) mark = rh_enc_list_begin(&e), rh_enc_raw(&e, all), rh_enc_list_end(&e, mark, 1);
        else if (which == 1 && all.n < 250) mark = rh_enc_list8_begin(&e), rh_enc_raw(&e, all), rh_enc_list8_end(&e, mark, 1);
        else if (which == 2) rh_enc_u8(&e, 0), rh_enc_ulong(&e, kit_below(chance, 0x80)), rh_enc_raw(&e, all);
        else rh_enc_binary(&e, all);
        what = rh_enc_written(&e);
    }
    put_in(spot, what);
}

static void redescribe(const struct kit_spot *spot, kit_chance *chance)
{
    uint8_t *p = edit.bytes + spot->at;
    if (spot->n > 3 && p[0] == 0 && p[1] == 0x53) p[2] = (uint8_t)(0x10 + kit_below(chance, 0x69));
}

static void change(kit_chance *chance)
{
    const struct kit_spot *spot = &edit.spots[kit_below(chance, edit.count)], *from = &edit.spots[kit_below(chance, edit.count)];
    const struct kit_spot  at   = *spot;
    switch (kit_below(chance, 13)) {
    case 0:
    case 1:  put_in(&at, made(chance)); break;
    case 2:  insert(&at, made(chance)); break;
    case 3:  (void)kit_edit_replace(&edit, at.parent, at.at, at.n, room, 0, -(int)at.counted); break;
    case 4:  insert(&at, copied(&edit, spot)); break;
    case 5:
    case 6:  put_in(&at, copied(&edit, from)); break;
    case 7:  widen(&at); break;
    case 8:  cut_off(&at); break;
    case 9:  lie(&at, chance); break;
    case 10: wrap(&at, chance); break;
    case 11: redescribe(&at, chance); break;
    default: put_in(&at, rh_slice_of("\x40", 1)); break;
    }
}

/* Changes bytes [skip, size) of data; answers the new size. */
static size_t change_values(uint8_t *data, size_t skip, size_t size, size_t max, kit_chance *chance)
{
    for (uint32_t turns = 1 + kit_below(chance, 3); turns > 0; turns--) {
        kit_edit_read(&edit, data, skip, size, max);
        if (edit.count > 0) {
            change(chance);
            size = edit.n;
        } else {
            rh_slice what = made(chance);
            if (skip <= size && skip + what.n <= max) memcpy(data + skip, what.p, what.n), size = skip + what.n;
        }
    }
    return size;
}

size_t kit_mutate_values(uint8_t *data, size_t size, size_t max, unsigned seed, size_t skip)
{
    kit_chance chance = kit_chance_of(seed);
    if (kit_one_in(&chance, 2) || size < skip) return plainly(data, size, max);
    size = something(data, change_values(data, skip, size, max, &chance));
    return kit_one_in(&chance, 8) ? plainly(data, size, max) : size;
}

size_t kit_cross_values(const uint8_t *a, size_t a_n, const uint8_t *b, size_t b_n, uint8_t *out, size_t max, unsigned seed, size_t skip)
{
    static uint8_t second[1 << 16];
    kit_chance     chance = kit_chance_of(seed);
    size_t         n      = a_n < max ? a_n : max;
    if (b_n > sizeof second) b_n = sizeof second;
    memcpy(out, a, n);
    memcpy(second, b, b_n);
    kit_edit_read(&edit, out, skip, n, max);
    kit_edit_read(&other, second, skip, b_n, b_n);
    if (edit.count == 0 || other.count == 0) return something(out, n);
    const struct kit_spot to = edit.spots[kit_below(&chance, edit.count)], from = other.spots[kit_below(&chance, other.count)];
    if (kit_one_in(&chance, 2)) put_in(&to, bytes_of(&other, &from));
    else insert(&to, bytes_of(&other, &from));
    return something(out, edit.n);
}

size_t kit_mutate_frame(uint8_t *data, size_t size, size_t max, unsigned seed)
{
    kit_chance chance = kit_chance_of(seed);
    if (kit_one_in(&chance, 2) || size < RH_FRAME_HEADER || max < RH_FRAME_HEADER) return plainly(data, size, max);
    size_t body = 4u * data[4] >= RH_FRAME_HEADER && 4u * data[4] <= size ? 4u * data[4] : RH_FRAME_HEADER;
    size        = change_values(data, body, size, max, &chance);
    if (!kit_one_in(&chance, 8)) rh_put32(data, (uint32_t)size);
    if (kit_one_in(&chance, 16)) data[4] = (uint8_t)kit_below(&chance, 5);
    return size;
}

/* -- records ----------------------------------------------------------------------------------- */

enum { RECORDS = 128, OPTIONS = 2 };

struct record {
    uint32_t at, n, body; /* body: where a frame's begins; 0: it is none */
};

static struct record records[RECORDS], others[RECORDS];

static struct record record_at(const uint8_t *p, size_t at, size_t n)
{
    uint8_t kind = p[at];
    size_t  left = n - at, body = 0, all = left;
    if (kind == KIT_RECORD_ACT || kind == KIT_RECORD_CARELESS) all = 2;
    else if (kind <= KIT_RECORD_FRAME) all = 2u + kind, body = at + 2;
    else if (kind == KIT_RECORD_HEADER) all = 9;
    else if (kind == KIT_RECORD_LONG && left > 4) all = 4u + rh_get16(p + at + 1), body = at + 4;
    if (all > left) all = left;
    if (body >= at + all) body = 0;
    return (struct record){ (uint32_t)at, (uint32_t)all, (uint32_t)body };
}

static uint32_t find_records(const uint8_t *p, size_t n, struct record *out)
{
    uint32_t count = 0;
    for (size_t at = OPTIONS; at < n && count < RECORDS; at += out[count++].n) out[count] = record_at(p, at, n);
    return count;
}

/* Bytes [at, at + n) of data become others; answers the new size. */
static size_t splice(uint8_t *data, size_t size, size_t max, size_t at, size_t n, rh_slice by)
{
    if (size - n + by.n > max) return size;
    memmove(data + at + by.n, data + at + n, size - at - n);
    if (by.n) memcpy(data + at, by.p, by.n);
    return size - n + by.n;
}

/* A record around a frame's body: its length is as long as it has to be. */
static rh_slice framed(uint8_t *out, uint8_t channel_and_type, rh_slice body)
{
    size_t n = 0;
    if (body.n > 0 && body.n <= KIT_RECORD_FRAME) {
        out[n++] = (uint8_t)body.n;
    } else {
        out[n++] = KIT_RECORD_LONG;
        rh_put16(out + n, (uint16_t)body.n);
        n += 2;
    }
    out[n++] = channel_and_type;
    if (body.n) memcpy(out + n, body.p, body.n);
    return rh_slice_of(out, n + body.n);
}

/* What belongs into a session most often, or else any list there is. */
static rh_composite_id likely(kit_chance *chance, bool sasl)
{
    if (sasl) return (rh_composite_id)(RH_AMQP_SASL_MECHANISMS + kit_below(chance, RH_AMQP_SASL_OUTCOME - RH_AMQP_SASL_MECHANISMS + 1));
    if (kit_one_in(chance, 16)) return (rh_composite_id)kit_below(chance, RH_AMQP_UNKNOWN);
    return (rh_composite_id)(RH_AMQP_OPEN + kit_below(chance, RH_AMQP_CLOSE - RH_AMQP_OPEN + 1));
}

static rh_slice make_record(uint8_t *out, kit_chance *chance)
{
    if (kit_one_in(chance, 3)) {
        out[0] = kit_one_in(chance, 16) ? KIT_RECORD_CARELESS : KIT_RECORD_ACT;
        out[1] = (uint8_t)kit_random(chance);
        return rh_slice_of(out, 2);
    }
    if (kit_one_in(chance, 12)) {
        out[0] = KIT_RECORD_HEADER;
        memcpy(out + 1, kit_one_in(chance, 2) ? "AMQP\0\1\0\0" : "AMQP\3\1\0\0", 8);
        return rh_slice_of(out, 9);
    }
    uint8_t         body[1000];
    rh_enc          e    = rh_enc_of(body, sizeof body);
    bool            sasl = kit_one_in(chance, 8);
    rh_composite_id id   = likely(chance, sasl);
    if (!kit_one_in(chance, 40)) kit_make_list(&e, chance, id); /* else a heartbeat */
    if (id == RH_AMQP_TRANSFER) kit_make_section(&e, chance);
    return framed(out, (uint8_t)(sasl | kit_below(chance, kit_one_in(chance, 3) ? 4 : 1) << 6), rh_enc_written(&e));
}

static size_t change_frame(uint8_t *data, size_t size, size_t max, const struct record *record, kit_chance *chance)
{
    static uint8_t body[ROOM], out[ROOM + 8];
    size_t         n = record->at + record->n - record->body;
    uint8_t        channel_and_type = data[record->body - 1];
    if (n > ROOM) return size;
    memcpy(body, data + record->body, n);
    if (kit_one_in(chance, 8)) channel_and_type = (uint8_t)(kit_below(chance, 4) << 6 | kit_one_in(chance, 4));
    else n = change_values(body, 0, n, ROOM, chance);
    return splice(data, size, max, record->at, record->n, framed(out, channel_and_type, rh_slice_of(body, n)));
}

static size_t change_records(uint8_t *data, size_t size, size_t max, kit_chance *chance)
{
    static uint8_t copy[ROOM];
    uint32_t       count = find_records(data, size, records);
    if (count == 0) return splice(data, size, max, size, 0, make_record(copy, chance));
    struct record at = records[kit_below(chance, count)], from = records[kit_below(chance, count)];
    size_t        n  = from.n < ROOM ? from.n : 0;
    switch (kit_below(chance, 10)) {
    case 0:  return splice(data, size, max, at.at, at.n, rh_slice_of(NULL, 0));
    case 1:  memcpy(copy, data + from.at, n); return splice(data, size, max, at.at, 0, rh_slice_of(copy, n));
    case 2:  memcpy(copy, data + from.at, n); return splice(data, size, max, at.at, at.n, rh_slice_of(copy, n));
    case 3:
    case 4:  return splice(data, size, max, at.at, 0, make_record(copy, chance));
    case 5:  return splice(data, size, max, size, 0, make_record(copy, chance));
    case 6:  data[kit_below(chance, OPTIONS)] = (uint8_t)kit_random(chance); return size;
    default: return at.body ? change_frame(data, size, max, &at, chance) : splice(data, size, max, at.at, at.n, make_record(copy, chance));
    }
}

size_t kit_mutate_records(uint8_t *data, size_t size, size_t max, unsigned seed)
{
    kit_chance chance = kit_chance_of(seed);
    if (size < OPTIONS || kit_one_in(&chance, 3)) return plainly(data, size, max);
    for (uint32_t turns = 1 + kit_below(&chance, 3); turns > 0; turns--) size = change_records(data, size, max, &chance);
    return kit_one_in(&chance, 8) ? plainly(data, size, max) : size;
}

/* The beginning of one, the end of the other. */
size_t kit_cross_records(const uint8_t *a, size_t a_n, const uint8_t *b, size_t b_n, uint8_t *out, size_t max, unsigned seed)
{
    kit_chance chance  = kit_chance_of(seed);
    uint32_t   a_count = find_records(a, a_n, records), b_count = find_records(b, b_n, others);
    size_t     keep = a_count ? records[kit_below(&chance, a_count)].at : a_n, from = b_count ? others[kit_below(&chance, b_count)].at : b_n;
    if (keep > max) keep = max;
    size_t n = b_n - from < max - keep ? b_n - from : max - keep;
    memcpy(out, a, keep);
    memcpy(out + keep, b + from, n);
    return something(out, keep + n);
}
