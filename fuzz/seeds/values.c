/* Every constructor of [1.6] at its edges, alone and in compounds; frames around every list. */
#include "fuzz/seeds/seed.h"

static uint8_t room[4096];

static const struct constructor {
    uint8_t code, width; /* bytes of content; of the size, where it has one */
} fixed[] = { { 0x40, 0 }, { 0x41, 0 }, { 0x42, 0 }, { 0x43, 0 }, { 0x44, 0 }, { 0x45, 0 }, { 0x50, 1 }, { 0x51, 1 }, { 0x52, 1 }, { 0x53, 1 }, { 0x54, 1 },
              { 0x55, 1 }, { 0x56, 1 }, { 0x60, 2 }, { 0x61, 2 }, { 0x70, 4 }, { 0x71, 4 }, { 0x72, 4 }, { 0x73, 4 }, { 0x74, 4 }, { 0x80, 8 }, { 0x81, 8 },
              { 0x82, 8 }, { 0x83, 8 }, { 0x84, 8 }, { 0x94, 16 }, { 0x98, 16 } },
  variable[] = { { 0xa0, 1 }, { 0xa1, 1 }, { 0xa3, 1 }, { 0xb0, 4 }, { 0xb1, 4 }, { 0xb3, 4 } };

static unsigned number;

static void save(rh_enc *e)
{
    seed_save("value", "value", number++, rh_enc_written(e));
}

/* Nothing, one, the middle, all bits; numbers of floating point that are none. */
static void save_fixed(const struct constructor *c)
{
    static const uint8_t firsts[] = { 0x00, 0x01, 0x7f, 0x80, 0xff }, rests[] = { 0x00, 0x00, 0xff, 0x00, 0xff };
    for (size_t i = 0; i < (c->width ? sizeof firsts : 1); i++) {
        rh_enc e = rh_enc_of(room, sizeof room);
        rh_enc_u8(&e, c->code);
        for (uint8_t byte = 0; byte < c->width; byte++) rh_enc_u8(&e, byte == 0 ? firsts[i] : rests[i]);
        save(&e);
        if (i > 0 || c->width == 0) continue;
        rh_enc cut = rh_enc_of(room, c->width); /* a byte is missing */
        rh_enc_raw(&cut, rh_slice_of(room, c->width));
        save(&cut);
    }
}

static void save_variable(const struct constructor *c)
{
    static const uint16_t sizes[] = { 0, 1, 255, 256 };
    static uint8_t        content[256];
    memset(content, 'x', sizeof content);
    for (size_t i = 0; i < (c->width == 1 ? 3 : 4); i++) {
        rh_enc e = rh_enc_of(room, sizeof room);
        rh_enc_u8(&e, c->code);
        rh_enc_element_variable(&e, c->code, rh_slice_of(content, sizes[i]));
        save(&e);
    }
    rh_enc e = rh_enc_of(room, sizeof room); /* more than there is */
    rh_enc_u8(&e, c->code);
    for (uint8_t i = 0; i < c->width; i++) rh_enc_u8(&e, 0xff);
    save(&e);
}

static void put_all(rh_enc *e)
{
    for (size_t i = 0; i < sizeof fixed / sizeof *fixed; i++) {
        rh_enc_u8(e, fixed[i].code);
        for (uint8_t byte = 0; byte < fixed[i].width; byte++) rh_enc_u8(e, 0);
    }
}

static void save_compounds(void)
{
    rh_enc e = rh_enc_of(room, sizeof room);
    rh_enc_mark mark = rh_enc_list_begin(&e);
    put_all(&e);
    rh_enc_list_end(&e, mark, sizeof fixed / sizeof *fixed);
    save(&e);
    e    = rh_enc_of(room, sizeof room);
    mark = rh_enc_map_begin(&e);
    for (int i = 0; i < 2; i++) put_all(&e);
    rh_enc_map_end(&e, mark, 2 * sizeof fixed / sizeof *fixed);
    save(&e);
    for (unsigned depth = RH_NESTING_MAX - 1; depth <= RH_NESTING_MAX + 1; depth++) {
        uint8_t *p = room + sizeof room;
        size_t   n = 0;
        for (unsigned i = 0; i < depth; i++) {
            const uint8_t head[] = { 0xc0, (uint8_t)(n + 1), (uint8_t)(i > 0) };
            p -= sizeof head, memcpy(p, head, sizeof head), n += sizeof head;
        }
        seed_save("value", "value", number++, rh_slice_of(p, n));
    }
}

/* Two elements; none; more than there are; of nothing, as many as may be and one more. */
static void save_array(const struct constructor *c)
{
    static const uint32_t counts[] = { 0, 2, RH_ZERO_WIDTH_MAX, RH_ZERO_WIDTH_MAX + 1, UINT32_MAX };
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
        if (c->width > 0 && i == 3) continue;
        rh_enc      e    = rh_enc_of(room, sizeof room);
        rh_enc_mark mark = rh_enc_array_begin(&e, c->code);
        for (uint32_t byte = 0; byte < 2u * c->width && i > 0; byte++) rh_enc_u8(&e, (uint8_t)byte);
        rh_enc_array_end(&e, mark, counts[i]);
        save(&e);
    }
}

void seed_values(void)
{
    for (size_t i = 0; i < sizeof fixed / sizeof *fixed; i++) save_fixed(&fixed[i]), save_array(&fixed[i]);
    for (size_t i = 0; i < sizeof variable / sizeof *variable; i++) save_variable(&variable[i]);
    save_compounds();
}

static void save_frame(uint8_t doff, uint8_t type, unsigned which, rh_slice body)
{
    uint8_t frame[2048] = { 0 };
    size_t  head = 4u * doff;
    rh_frame_put(frame, (uint32_t)(head + body.n), type, 0);
    frame[4] = doff;
    if (body.n) memcpy(frame + head, body.p, body.n);
    seed_save("frame", "list", which, rh_slice_of(frame, head + body.n));
}

void seed_frames(void)
{
    for (unsigned id = 0; id < RH_AMQP_UNKNOWN; id++) {
        rh_enc e = rh_enc_of(room, sizeof room);
        seed_list(&e, &rh_tables[id], rh_tables[id].count);
        if (id == RH_AMQP_TRANSFER) {
            static uint8_t message[1024];
            rh_enc_raw(&e, seed_message(message, 31 | 1 << 5));
        }
        bool sasl = id >= RH_AMQP_SASL_MECHANISMS && id <= RH_AMQP_SASL_OUTCOME;
        save_frame(id % 2 ? 2 : 3, sasl ? RH_FRAME_SASL : RH_FRAME_AMQP, id, rh_enc_written(&e));
    }
    save_frame(2, RH_FRAME_AMQP, RH_AMQP_UNKNOWN, rh_slice_of(NULL, 0));
}
