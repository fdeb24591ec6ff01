#include "tests/session_tape.h"

#include <stdio.h>
#include <stdlib.h>

const char *const tape_names[] = {
    "own_info",    "own_large",     "own_receive",   "own_send",          "own_wrong_key", "proton_roundtrip", "proton_send",
    "rhea_drain",  "rhea_plain",    "rhea_refused",  "rhea_small_frames", "rhea_wrong_key", "sdk_batch",       "sdk_large",
    "sdk_management", "sdk_nowhere", "sdk_receive",  "sdk_send",          "sdk_stolen",     NULL,
};

static void side_init(struct tape_said *said, size_t room)
{
    said->p      = malloc(room);
    said->frames = calloc(room / 8 + 1, sizeof *said->frames);
}

static struct tape_frame *side_frame(struct tape_said *said, const uint8_t *p, size_t n, size_t heard)
{
    struct tape_frame *frame = &said->frames[said->count++];
    *frame                   = (struct tape_frame){ .bytes = rh_slice_of(p, n), .heard = heard };
    return frame;
}

/* Those that the bytes behind `from` have made whole; answers where they end. */
static size_t side_frames(struct tape_said *said, size_t from, size_t heard)
{
    size_t size;
    while ((size = rh_frame_size(said->p + from, said->n - from)) != 0 && size <= said->n - from) {
        side_frame(said, said->p + from, size, heard);
        from += size;
    }
    return from;
}

static bool chunks_read(struct tape *tape, const uint8_t *p, size_t n)
{
    size_t at = 0, whole[2] = { 0 };
    while (n - at >= 5) {
        uint8_t tag  = p[at];
        size_t  size = rh_get32(p + at + 1);
        at += 5;
        if ((tag != 'C' && tag != 'S') || size > n - at) return false;
        tape_side         side = tag == 'C' ? TAPE_CLIENT : TAPE_SERVER;
        struct tape_said *said = &tape->said[side];
        memcpy(said->p + said->n, p + at, size);
        said->n += size;
        at += size;
        whole[side] = side_frames(said, whole[side], tape->said[!side].count);
    }
    return at == n && whole[0] == tape->said[0].n && whole[1] == tape->said[1].n;
}

bool tape_read(struct tape *tape, const char *name)
{
    char           path[128];
    static uint8_t bytes[1 << 16];
    memset(tape, 0, sizeof *tape);
    snprintf(tape->name, sizeof tape->name, "%s", name);
    snprintf(path, sizeof path, "tests/sessions/%s.session", name);
    FILE *file = fopen(path, "rb");
    if (!file) return false;
    size_t n = fread(bytes, 1, sizeof bytes, file);
    fclose(file);
    for (int side = 0; side < 2; side++) side_init(&tape->said[side], n + 1);
    return chunks_read(tape, bytes, n);
}

void tape_fini(struct tape *tape)
{
    for (int side = 0; side < 2; side++) {
        free(tape->said[side].p);
        free(tape->said[side].frames);
    }
}

rh_composite_id tape_performative(const struct tape_frame *frame, uint16_t *channel, void *fields, rh_slice *payload)
{
    rh_frame f;
    bool     header = memcmp(frame->bytes.p, "AMQP", 4) == 0;
    if (header || rh_frame_parse(frame->bytes.p, frame->bytes.n, &f) != RH_OK || f.body.n == 0) return RH_AMQP_UNKNOWN;
    rh_dec          d  = rh_dec_of(f.body);
    rh_composite_id id = rh_composite_peek(&d);
    if (id == RH_AMQP_UNKNOWN || rh_composite_decode(&d, id, fields) != RH_OK) return RH_AMQP_UNKNOWN;
    *channel = f.channel;
    *payload = rh_slice_of(d.p, rh_dec_left(&d));
    return id;
}

/* -- other numbers ----------------------------------------------------------------------------- */

static void renumber(rh_composite_id id, void *fields, uint32_t by)
{
    rh_amqp_begin       *begin       = fields;
    rh_amqp_attach      *attach      = fields;
    rh_amqp_flow        *flow        = fields;
    rh_amqp_transfer    *transfer    = fields;
    rh_amqp_disposition *disposition = fields;
    switch (id) {
    case RH_AMQP_BEGIN: begin->next_outgoing_id += by; break;
    case RH_AMQP_ATTACH: attach->initial_delivery_count += by; break;
    case RH_AMQP_FLOW:
        flow->next_incoming_id += by;
        flow->next_outgoing_id += by;
        flow->delivery_count += by;
        break;
    case RH_AMQP_TRANSFER: transfer->delivery_id += by; break;
    case RH_AMQP_DISPOSITION:
        disposition->first += by;
        disposition->last += by;
        break;
    default: break;
    }
}

/* What is absent stays so: its bit is not set. */
static size_t frame_renumbered(const struct tape_frame *frame, uint32_t by, uint8_t *out, size_t room)
{
    uint64_t        fields[TAPE_FIELDS];
    uint16_t        channel;
    rh_slice        payload;
    rh_composite_id id = tape_performative(frame, &channel, fields, &payload);
    if (id == RH_AMQP_UNKNOWN || id > RH_AMQP_CLOSE) {
        memcpy(out, frame->bytes.p, frame->bytes.n);
        return frame->bytes.n;
    }
    renumber(id, fields, by);
    rh_enc e = rh_enc_of(out + RH_FRAME_HEADER, room - RH_FRAME_HEADER);
    rh_composite_encode(&e, id, fields);
    rh_enc_raw(&e, payload);
    if (e.status) abort();
    size_t n = RH_FRAME_HEADER + rh_enc_size(&e);
    rh_frame_put(out, (uint32_t)n, RH_FRAME_AMQP, channel);
    return n;
}

void tape_renumbered(const struct tape *from, uint32_t by, struct tape *to)
{
    memset(to, 0, sizeof *to);
    memcpy(to->name, from->name, sizeof to->name);
    for (int side = 0; side < 2; side++) {
        const struct tape_said *old  = &from->said[side];
        struct tape_said       *said = &to->said[side];
        size_t                  room = old->n + 64 * (old->count + 1);
        side_init(said, room);
        for (size_t i = 0; i < old->count; i++) {
            size_t n = frame_renumbered(&old->frames[i], by, said->p + said->n, room - said->n);
            side_frame(said, said->p + said->n, n, old->frames[i].heard);
            said->n += n;
        }
    }
}

/* A longer number leaves less of a frame to its payload, so it does not count where a delivery was cut: what continues one
 * is its payload alone, and how long a frame was is left out. */
static size_t frame_normal(const struct tape_frame *frame, uint32_t by, bool *half, uint8_t *out, size_t room)
{
    uint64_t          fields[TAPE_FIELDS];
    rh_amqp_transfer *transfer = (void *)fields;
    uint16_t          channel;
    rh_slice          payload;
    rh_composite_id   id        = tape_performative(frame, &channel, fields, &payload);
    bool              plain     = id == RH_AMQP_UNKNOWN;
    bool              continues = id == RH_AMQP_TRANSFER && *half;
    rh_enc            e         = rh_enc_of(out, room);
    if (plain) payload = frame->bytes;
    if (id == RH_AMQP_TRANSFER) {
        *half          = transfer->more;
        transfer->more = false;
    }
    renumber(id, fields, by);
    if (!plain && !continues) {
        rh_enc_ushort(&e, channel);
        rh_composite_encode(&e, id, fields);
    }
    rh_enc_raw(&e, payload);
    if (e.status) abort();
    return rh_enc_size(&e);
}

size_t bytes_normal(rh_slice said, uint32_t by, uint8_t *out, size_t room)
{
    size_t n = 0, size;
    bool   half = false;
    while ((size = rh_frame_size(said.p, said.n)) != 0 && size <= said.n) {
        struct tape_frame frame = { .bytes = rh_slice_of(said.p, size) };
        n += frame_normal(&frame, by, &half, out + n, room - n);
        said = rh_slice_of(said.p + size, said.n - size);
    }
    if (said.n > 0) abort();
    return n;
}
