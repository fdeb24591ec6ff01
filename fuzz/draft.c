/*
 * Messages that are written from fields, of any kind and in any number. A message is written in exactly the size that was told
 * and not in one byte less, or refused because of what is in it, in any room; what was written is a message that holds what was meant; in an
 * envelope it is the same bytes.
 *
 * The input is steps, each a byte for what is given and, as it needs, a byte for a length and so many bytes, or an encoded value.
 */
#include "fuzz/kit/lent.h"
#include "fuzz/kit/mutator.h"
#include "fuzz/kit/target.h"
#include "fuzz/oracle.h"
#include "proto/proto.h"

enum { PAIRS = 300, ROOM = 1 << 15, ENVELOPE = 1 << 16 };

static struct {
    rh_message_fields  fields;
    rh_amqp_header     header;
    rh_amqp_properties properties;
    rh_property        annotations[PAIRS], application[PAIRS];
    bool               nameless, bodiless; /* a pair without a key; bytes for a body of no kind */
    bool               any_body;           /* a body that nobody promised is a value */
} m;

KIT_LENT(room, ROOM);

static rh_slice text_of(rh_dec *in)
{
    if (rh_dec_left(in) == 0) return rh_slice_of(NULL, 0);
    size_t n = *rh_dec_take(in, 1).p;
    if (n > rh_dec_left(in)) n = rh_dec_left(in);
    return rh_dec_take(in, n);
}

/* A value of the input, or text of it as a string. */
static rh_value value_of(rh_dec *in)
{
    rh_value value;
    rh_dec   probe = *in;
    if (rh_dec_value(&probe, &value)) {
        *in = probe;
        return value;
    }
    return (rh_value){ .type = RH_STRING, .bytes = text_of(in) };
}

static void add_pairs(rh_dec *in, rh_property *pairs, size_t *count, size_t times)
{
    rh_property pair = { .key = text_of(in) };
    pair.value       = value_of(in);
    m.nameless |= pair.key.p == NULL && *count < PAIRS;
    for (size_t i = 0; i < times && *count < PAIRS; i++) pairs[(*count)++] = pair;
}

static void give_properties(rh_dec *in)
{
    rh_dec probe = *in;
    if (rh_composite_peek(&probe) != RH_AMQP_PROPERTIES || rh_composite_decode(&probe, RH_AMQP_PROPERTIES, &m.properties) != RH_OK) return;
    *in                 = probe;
    m.fields.properties = &m.properties;
}

static void give_body(rh_dec *in, uint8_t kind)
{
    m.fields.body_kind = (rh_body_kind)kind;
    m.fields.body      = text_of(in);
    m.bodiless         = kind == RH_BODY_NONE && m.fields.body.n > 0;
    m.any_body         = kind == RH_BODY_SEQUENCE || kind == RH_BODY_VALUE;
}

static void give(rh_dec *in)
{
    static const size_t times[] = { 1, 2, 130, 300 };
    rh_message_fields  *f = &m.fields;
    uint8_t             what = *rh_dec_take(in, 1).p;
    switch (what & 7) {
    case 0: f->message_id = text_of(in); break;
    case 1: f->correlation_id = text_of(in); break;
    case 2: f->content_type = text_of(in); break;
    case 3: f->partition_key = text_of(in); break;
    case 4: add_pairs(in, m.annotations, &f->message_annotation_count, times[what >> 3 & 3]); break;
    case 5: add_pairs(in, m.application, &f->application_property_count, times[what >> 3 & 3]); break;
    case 6: give_body(in, what >> 3 & 3); break;
    default:
        if (what & 8) give_properties(in);
        else m.header = (rh_amqp_header){ .has = RH_HAS_HEADER_TTL, .ttl = what, .durable = what & 16 }, f->header = &m.header;
        break;
    }
}

/* Kept in out, for the room is nobody's afterwards. */
static rh_status write_in(size_t n, uint8_t *out, size_t *written)
{
    uint8_t  *memory = KIT_LEND(room, n);
    rh_enc    e      = rh_enc_of(memory, n);
    rh_status status = rh_message_write(&e, &m.fields);
    *written         = rh_enc_size(&e);
    if (status == RH_OK && *written > 0) memcpy(out, memory, *written);
    KIT_RETURN(room, n);
    return status;
}

static void check_view(rh_slice written)
{
    rh_message message;
    rh_value   value;
    if (m.any_body) return;
    REQUIRE(rh_message_view(written, &message) == RH_OK);
    REQUIRE(message.body_kind == m.fields.body_kind);
    REQUIRE(rh_slice_equal(message.body, m.fields.body));
    REQUIRE((message.header.p != NULL) == (m.fields.header != NULL));
    if (m.fields.partition_key.p) REQUIRE(rh_map_find(message.message_annotations, "x-opt-partition-key", &value) && rh_slice_equal(value.bytes, m.fields.partition_key));
    if (m.fields.message_id.p) {
        rh_amqp_properties properties;
        REQUIRE(rh_message_properties(&message, &properties) == RH_OK && properties.message_id.n >= m.fields.message_id.n);
    }
}

static void check_envelope(rh_slice written)
{
    static uint8_t memory[ENVELOPE];
    rh_envelope    envelope;
    rh_message     outer;
    rh_dec         cursor;
    rh_slice       event;
    REQUIRE(rh_envelope_init(&envelope, memory, sizeof memory, rh_str(NULL)) == RH_OK);
    REQUIRE(rh_envelope_add(&envelope, &m.fields) == RH_OK);
    REQUIRE(rh_envelope_open(rh_envelope_bytes(&envelope), &outer, &cursor) == RH_OK);
    REQUIRE(rh_envelope_next(&cursor, &event) && rh_slice_equal(event, written));
    size_t used = envelope.used;
    envelope.n  = used + rh_envelope_cost(written.n) - 1;
    REQUIRE(rh_envelope_add(&envelope, &m.fields) == RH_E_BATCH_FULL && envelope.used == used);
}

static void run(const uint8_t *data, size_t size)
{
    rh_dec in = rh_dec_of(rh_slice_of(data, size));
    size_t written;
    memset(&m, 0, sizeof m);
    m.fields.message_annotations    = m.annotations;
    m.fields.application_properties = m.application;
    while (rh_dec_left(&in) > 0) give(&in);
    size_t told = rh_message_size(&m.fields);
    if (told > ROOM - 2 * KIT_GUARD) return;
    bool sound = rh_message_text_is(&m.fields) && !m.nameless && !m.bodiless;
    static uint8_t kept[ROOM], less[ROOM];
    rh_status      status = write_in(told, kept, &written);
    REQUIRE(status == (sound ? RH_OK : RH_E_ARGUMENT));
    if (!sound) return;
    REQUIRE(written == told);
    if (told > 0) REQUIRE(write_in(told - 1, less, &written) == RH_E_SPACE);
    check_view(rh_slice_of(kept, told));
    check_envelope(rh_slice_of(kept, told));
}

TARGET(run, 100000, 60000)
TARGET_HOLDS_VALUES(0)
