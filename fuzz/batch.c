/*
 * A batch, the envelope of many events. What is put in comes out, in order and byte for byte; each event costs what was told;
 * one that does not fit changes nothing; and the envelope is whole after every step. A batch that a stranger made is
 * taken apart, put together and taken apart again.
 *
 * The input: a byte for the room (times 8), one for the length of a partition key, the key, then events, each behind a
 * byte for its length (times 3, so that both widths of a section are met). The same bytes are also tried as a batch.
 */
#include "fuzz/kit/lent.h"
#include "fuzz/kit/mutator.h"
#include "fuzz/kit/target.h"
#include "fuzz/oracle.h"
#include "proto/proto.h"

enum { EVENTS = 256, ROOM = 8 * 255 };

static rh_slice events[EVENTS];

/* What is in the envelope is what was put in. */
static void check_envelope(const rh_envelope *envelope, uint32_t count, rh_slice key)
{
    rh_message outer;
    rh_dec     cursor;
    rh_slice   event;
    rh_value   annotation;
    REQUIRE(envelope->count == count && envelope->used <= envelope->n);
    REQUIRE(rh_envelope_open(rh_envelope_bytes(envelope), &outer, &cursor) == RH_OK && outer.body_sections == count);
    for (uint32_t i = 0; i < count; i++) REQUIRE(rh_envelope_next(&cursor, &event) && rh_slice_equal(event, events[i]));
    REQUIRE(!rh_envelope_next(&cursor, &event) && cursor.status == RH_OK);
    REQUIRE(rh_map_find(outer.message_annotations, "x-opt-partition-key", &annotation) == (key.p != NULL));
    if (key.p) REQUIRE(annotation.type == RH_STRING && rh_slice_equal(annotation.bytes, key));
}

/* An event in fields costs, and becomes, what the same event in bytes does. */
static void add_as_fields(const rh_envelope *envelope, rh_slice body)
{
    static uint8_t          message[1024], room[2][1 << 13];
    const rh_message_fields fields = { .message_id = body.n % 2 ? rh_str("id") : rh_str(NULL), .body_kind = RH_BODY_DATA, .body = body };
    rh_enc                  e      = rh_enc_of(message, sizeof message);
    REQUIRE(rh_message_write(&e, &fields) == RH_OK);

    rh_envelope by_fields = *envelope, by_bytes = *envelope;
    by_fields.p = memcpy(room[0], envelope->p, envelope->used);
    by_bytes.p  = memcpy(room[1], envelope->p, envelope->used);
    rh_status status = rh_envelope_add_encoded(&by_bytes, rh_enc_written(&e));
    rh_status same   = rh_envelope_add(&by_fields, &fields);
    REQUIRE(status == RH_OK || status == RH_E_BATCH_FULL);
    REQUIRE(same == status);
    REQUIRE(rh_slice_equal(rh_envelope_bytes(&by_fields), rh_envelope_bytes(&by_bytes)));
}

static void add(rh_envelope *envelope, uint32_t *count, rh_slice event, rh_slice key)
{
    size_t    used = envelope->used, cost = rh_envelope_cost(event.n);
    rh_status status = rh_envelope_add_encoded(envelope, event);
    REQUIRE(status == (cost <= envelope->n - used ? RH_OK : RH_E_BATCH_FULL));
    REQUIRE(envelope->used == used + (status == RH_OK ? cost : 0));
    if (status == RH_OK) events[(*count)++] = event;
    if (*count < 8) check_envelope(envelope, *count, key); /* each step of the first; the rest at the end */
}

static void build(rh_dec in)
{
    KIT_LENT(lent, ROOM);
    size_t      room    = 8 * (size_t)*rh_dec_take(&in, 1).p, key_n = *rh_dec_take(&in, 1).p;
    uint8_t    *memory  = KIT_LEND(lent, room); /* exact, so that one byte too far is seen */
    rh_slice    key     = key_n > 0 && key_n <= rh_dec_left(&in) ? rh_dec_take(&in, key_n) : rh_slice_of(NULL, 0);
    uint32_t    count   = 0;
    rh_envelope envelope;
    rh_status   status  = rh_envelope_init(&envelope, memory, room, key);
    REQUIRE(status == RH_OK || (status == RH_E_BATCH_FULL && envelope.p == NULL));
    while (status == RH_OK && rh_dec_left(&in) > 0 && count < EVENTS) {
        size_t n = 3 * (size_t)*rh_dec_take(&in, 1).p;
        if (n > rh_dec_left(&in)) n = rh_dec_left(&in);
        rh_slice event = rh_slice_of(in.p, n);
        in.p += n;
        add_as_fields(&envelope, event);
        add(&envelope, &count, event, key);
    }
    if (status == RH_OK) check_envelope(&envelope, count, key);
    KIT_RETURN(lent, room);
}

static void take_apart(rh_slice bytes)
{
    static uint8_t memory[1 << 16];
    rh_message     outer;
    rh_dec         cursor;
    rh_slice       event;
    size_t         cost   = 0;
    uint32_t       count  = 0;
    rh_status      status = rh_envelope_open(bytes, &outer, &cursor);
    while (count < EVENTS && rh_envelope_next(&cursor, &event)) {
        REQUIRE(event.p != NULL && inside(event, bytes));
        cost += rh_envelope_cost(event.n);
        events[count++] = event;
    }
    if (status != RH_OK) REQUIRE(count == 0);
    if (count == EVENTS || status != RH_OK) return;
    REQUIRE(cursor.status == RH_OK && count == outer.body_sections);

    rh_envelope envelope;
    REQUIRE(rh_envelope_init(&envelope, memory, sizeof memory, rh_str(NULL)) == RH_OK && envelope.used == 0);
    for (uint32_t i = 0; i < count; i++) REQUIRE(rh_envelope_add_encoded(&envelope, events[i]) == RH_OK);
    REQUIRE(envelope.used == cost);
    check_envelope(&envelope, count, rh_str(NULL));
}

static void run(const uint8_t *data, size_t size)
{
    if (size < 2 || size > 16384) return;
    take_apart(rh_slice_of(data, size));
    build(rh_dec_of(rh_slice_of(data, size)));
}

TARGET(run, 10000, 600)
TARGET_HOLDS_VALUES(0)
