/* Seeds for engines: each list at each depth, and recorded sessions, both as records of fuzz/kit/world.h. */
#include <stdio.h>
#include <stdlib.h>

#include "fuzz/kit/world.h"
#include "fuzz/seeds/seed.h"

enum { OPTIONS = 2, BODY_MAX = 1000 };

/* What the owner of fuzz/kit/world.c does at these. */
enum { SEND = 0x01, ATTACH_SENDER = 0x10, ATTACH_RECEIVER = 0x18, BEGIN = 0x80, TAKE = 0x9f, ACCEPT = 0xd0, SETTLE = 0x70 };

static uint8_t story[1 << 15];
static size_t  story_n;
static bool    alone; /* nobody owns the engine: the emulator does what it does */

static void act(uint8_t what)
{
    if (alone || story_n + 2 > sizeof story) return;
    story[story_n++] = KIT_RECORD_ACT;
    story[story_n++] = what;
}

static void tell(uint8_t kind, const uint8_t *p, size_t n)
{
    if (story_n + 1 + n > sizeof story) return;
    story[story_n++] = kind;
    memcpy(story + story_n, p, n);
    story_n += n;
}

static void tell_frame(uint8_t type, uint16_t channel, rh_slice body)
{
    uint8_t head[3] = { 0 };
    size_t  n = body.n < BODY_MAX ? body.n : BODY_MAX, head_n = 0;
    if (n == 0 || n > KIT_RECORD_FRAME) {
        rh_put16(head, (uint16_t)n);
        head_n = 2;
    }
    head[head_n++] = (uint8_t)((channel & 3) << 6 | (type & 1));
    if (story_n + 1 + head_n + n > sizeof story) return;
    tell(head_n > 1 ? KIT_RECORD_LONG : (uint8_t)n, head, head_n);
    memcpy(story + story_n, body.p, n);
    story_n += n;
}

static void begin_story(uint8_t depth, uint8_t flags, uint8_t more)
{
    story[0] = (uint8_t)(depth << 1 | flags);
    story[1] = more;
    story_n  = OPTIONS;
}

/* -- lists ------------------------------------------------------------------------------------- */

void seed_engines(void)
{
    static uint8_t body[1024];
    for (uint8_t depth = 0; depth < 5; depth++)
        for (unsigned id = 0; id < RH_AMQP_UNKNOWN; id++) {
            bool   sasl = id >= RH_AMQP_SASL_MECHANISMS && id <= RH_AMQP_SASL_OUTCOME;
            rh_enc e    = rh_enc_of(body, sizeof body);
            seed_list(&e, &rh_tables[id], rh_tables[id].count);
            begin_story(depth, (uint8_t)(id & 1), (uint8_t)(id & 3));
            tell_frame(sasl ? RH_FRAME_SASL : RH_FRAME_AMQP, 0, rh_enc_written(&e));
            act(SEND);
            act(TAKE);
            seed_save("as_broker", rh_tables[id].words, depth, rh_slice_of(story, story_n));
            seed_save("as_client", rh_tables[id].words, depth, rh_slice_of(story, story_n));
            if (depth > 3 || sasl) continue;
            begin_story(0, depth & 1, 0);
            story[0] = depth; /* as fuzz/emulator.c counts them */
            tell_frame(RH_FRAME_AMQP, 0, rh_enc_written(&e));
            seed_save("emulator", rh_tables[id].words, depth, rh_slice_of(story, story_n));
        }
}

/* -- sessions ---------------------------------------------------------------------------------- */

struct tape {
    uint8_t *bytes[2]; /* of the client, of the server */
    size_t   n[2];
};

static uint8_t *file_read(const char *path, size_t *n)
{
    FILE    *file = fopen(path, "rb");
    uint8_t *all  = malloc(1 << 20);
    *n = file && all ? fread(all, 1, 1 << 20, file) : 0;
    if (file) fclose(file);
    return all;
}

static bool tape_read(const char *path, struct tape *tape)
{
    size_t   n, at = 0;
    uint8_t *all = file_read(path, &n);
    if (all == NULL || n == 0) return false;
    for (int side = 0; side < 2; side++) tape->bytes[side] = malloc(n), tape->n[side] = 0;
    while (at + 5 <= n && (all[at] == 'C' || all[at] == 'S') && rh_get32(all + at + 1) <= n - at - 5) {
        int    side = all[at] == 'S';
        size_t more = rh_get32(all + at + 1);
        memcpy(tape->bytes[side] + tape->n[side], all + at + 5, more);
        tape->n[side] += more;
        at += 5 + more;
    }
    free(all);
    return at == n;
}

/* What a broker's owner does for it, after the frame. */
static void serve(rh_composite_id id)
{
    if (id == RH_AMQP_ATTACH) act(ACCEPT);
    if (id == RH_AMQP_FLOW) act(SEND);
    if (id == RH_AMQP_TRANSFER) act(SETTLE);
}

/* What a client's owner did for it to come, before the frame. Links have names of one letter there. */
static rh_slice expect(rh_composite_id id, rh_slice body, uint8_t *room, size_t n, unsigned *links)
{
    static char    name[2];
    rh_amqp_attach attach;
    if (id == RH_AMQP_BEGIN) act(BEGIN), act(TAKE);
    if (id != RH_AMQP_ATTACH || rh_amqp_attach_view(body, &attach) != RH_OK) return body;
    name[0] = (char)('a' + (*links & 7));
    act((uint8_t)((attach.role ? ATTACH_SENDER : ATTACH_RECEIVER) | (*links & 7)));
    act(TAKE);
    ++*links;
    attach.name = rh_slice_of(name, 1);
    rh_enc e    = rh_enc_of(room, n);
    rh_amqp_attach_encode(&e, &attach);
    return e.status ? body : rh_enc_written(&e);
}

static bool tell_side(const uint8_t *p, size_t n, bool to_client)
{
    static uint8_t room[4096];
    unsigned       links = 0;
    rh_frame       frame;
    for (size_t at = 0; at < n; at += frame.size) {
        if (n - at >= 8 && memcmp(p + at, "AMQP", 4) == 0) {
            tell(KIT_RECORD_HEADER, p + at, 8);
            frame.size = 8;
            continue;
        }
        if (rh_frame_parse(p + at, n - at, &frame) != RH_OK) return at > 0;
        rh_dec          d  = rh_dec_of(frame.body);
        rh_composite_id id = rh_composite_peek(&d);
        rh_slice        body = to_client ? expect(id, frame.body, room, sizeof room, &links) : frame.body;
        tell_frame(frame.type, frame.channel, body);
        if (!to_client) serve(id);
        act(TAKE);
    }
    return true;
}

bool seed_session(const char *path)
{
    struct tape tape;
    char        name[64];
    const char *base = strrchr(path, '/') ? strrchr(path, '/') + 1 : path;
    if (!tape_read(path, &tape)) return false;
    snprintf(name, sizeof name, "session-%.*s", (int)strcspn(base, "."), base);
    bool told = true;
    for (unsigned side = 0; side < 2; side++) {
        begin_story(0, 0, strstr(base, "plain") || strstr(base, "wrong_key") ? 1 : strncmp(base, "own", 3) == 0 ? 3 : 0);
        told = told && tell_side(tape.bytes[side], tape.n[side], side == 1);
        seed_save(side ? "as_client" : "as_broker", name, 0, rh_slice_of(story, story_n));
    }
    alone = true;
    begin_story(0, 0, 0);
    told = told && tell_side(tape.bytes[0], tape.n[0], false);
    seed_save("emulator", name, 0, rh_slice_of(story, story_n));
    alone = false;
    for (unsigned side = 0; side < 2; side++) free(tape.bytes[side]);
    return told;
}
