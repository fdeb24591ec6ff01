/*
 * Writes the seeds that come of tables and of recordings: `make-seeds FOLDER SESSION ...`. For `value` every constructor at its
 * edges; for `performative` every list of performatives.def with each number of leading fields, and one that the target makes
 * itself; for `message` each section alone and all in a row, each kind of body; for `batch` envelopes of 0 to 3 events, and rooms
 * that are too small; for `frame`, `as_broker` and `as_client` each list in each place, and the sessions.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "fuzz/seeds/seed.h"

static const char *folder;
static uint8_t     room[4096];

void seed_save(const char *target, const char *name, unsigned number, rh_slice bytes)
{
    char path[512];
    snprintf(path, sizeof path, "%s/%s", folder, target);
    if (mkdir(path, 0777) != 0 && errno != EEXIST) perror(path), exit(1);
    snprintf(path, sizeof path, "%s/%s/%s-%u", folder, target, name, number);
    FILE *file = fopen(path, "wb");
    if (file == NULL || fwrite(bytes.p, 1, bytes.n, file) != bytes.n || fclose(file) != 0) perror(path), exit(1);
}

/* -- lists ------------------------------------------------------------------------------------- */

static void put_field(rh_enc *e, rh_kind kind, uint32_t place)
{
    static const rh_slice error = { (const uint8_t *)"\0\x53\x1d\xc0\x06\x03\xa3\x01x\x40\x40", 12 - 1 };
    switch (kind) {
    case RH_KIND_bool:      rh_enc_bool(e, place & 1); return;
    case RH_KIND_ubyte:     rh_enc_ubyte(e, 1); return;
    case RH_KIND_ushort:    rh_enc_ushort(e, 300); return;
    case RH_KIND_uint:      rh_enc_uint(e, place % 3 == 0 ? 0 : place % 3 == 1 ? 7 : UINT32_MAX); return;
    case RH_KIND_ulong:     rh_enc_ulong(e, UINT64_C(1) << 40); return;
    case RH_KIND_timestamp: rh_enc_timestamp(e, INT64_C(1700000000000)); return;
    case RH_KIND_string:    rh_enc_string(e, rh_str("text")); return;
    case RH_KIND_symbol:    rh_enc_symbol(e, rh_str("symbol")); return;
    case RH_KIND_binary:    rh_enc_binary(e, rh_slice_of("\0\1", 2)); return;
    case RH_KIND_map:       rh_enc_raw(e, rh_slice_of("\xc1\x04\x02\xa3\x00\x40", 6)); return;
    case RH_KIND_symbols:   rh_enc_raw(e, place & 1 ? rh_slice_of("\xa3\x01x", 3) : rh_slice_of("\xe0\x04\x01\xa3\x01x", 6)); return;
    case RH_KIND_error:     rh_enc_raw(e, error); return;
    case RH_KIND_any:       rh_enc_raw(e, rh_slice_of("\x00\x53\x24\x45", 4)); return;
    }
}

void seed_list(rh_enc *e, const rh_table *table, uint32_t count)
{
    rh_enc_descriptor(e, table->code);
    rh_enc_mark mark = rh_enc_list8_begin(e);
    for (uint32_t i = 0; i < count; i++) put_field(e, (rh_kind)table->rows[i].kind, i);
    rh_enc_list8_end(e, mark, count);
}

static void save_list(const rh_table *table, uint32_t count)
{
    rh_enc e = rh_enc_of(room, sizeof room);
    seed_list(&e, table, count);
    seed_save("performative", table->words, count, rh_enc_written(&e));
}

static void save_made(const rh_table *table, unsigned id)
{
    size_t n = 0;
    room[n++] = (uint8_t)(id ? id : RH_AMQP_UNKNOWN);
    for (uint32_t i = 0; i < table->count; i++) {
        room[n++] = (uint8_t)(i + 1);
        for (uint32_t byte = 0; byte < i % 8 + 1; byte++) room[n++] = (uint8_t)('a' + i);
    }
    room[n++] = 1;
    seed_save("performative", "made", id, rh_slice_of(room, n));
}

/* -- messages ---------------------------------------------------------------------------------- */

static const rh_property pairs[] = {
    { { (const uint8_t *)"x-opt-offset", 12 }, { .type = RH_LONG, .i = 4294967296 } },
    { { (const uint8_t *)"flag", 4 }, { .type = RH_BOOL, .boolean = true } },
    { { (const uint8_t *)"words", 5 }, { .type = RH_STRING, .bytes = { (const uint8_t *)"of text", 7 } } },
};

/* Each bit of `which` is a part of the message. */
static rh_message_fields message_of(unsigned which)
{
    static const rh_amqp_header     header     = { .has = RH_HAS_HEADER_DURABLE | RH_HAS_HEADER_TTL, .durable = true, .ttl = 60000 };
    static const rh_amqp_properties properties = { .has = RH_HAS_PROPERTIES_SUBJECT | RH_HAS_PROPERTIES_CREATION_TIME,
                                                   .subject = { (const uint8_t *)"subject", 7 }, .creation_time = 1700000000000 };
    static const rh_slice bodies[] = { { NULL, 0 }, { (const uint8_t *)"body", 4 }, { (const uint8_t *)"\xc0\x02\x01\x41", 4 }, { (const uint8_t *)"\xa1\x01v", 3 } };
    rh_message_fields fields = { .body_kind = (rh_body_kind)(which >> 5 & 3), .body = bodies[which >> 5 & 3] };
    if (which & 1) fields.header = &header;
    if (which & 2) fields.message_annotations = pairs, fields.message_annotation_count = 3;
    if (which & 4) fields.properties = &properties;
    if (which & 8) fields.application_properties = pairs, fields.application_property_count = 3;
    if (which & 16) fields.partition_key = rh_str("key"), fields.message_id = rh_str("id"), fields.content_type = rh_str("a/b");
    return fields;
}

rh_slice seed_message(uint8_t *to, unsigned which)
{
    const rh_message_fields fields = message_of(which);
    rh_enc                  e      = rh_enc_of(to, 1024);
    if (rh_message_write(&e, &fields) != RH_OK) abort();
    return rh_enc_written(&e);
}

static void save_messages(void)
{
    static const unsigned parts[] = { 1, 2, 4, 8, 16, 31 };
    for (unsigned kind = 0; kind < 4; kind++)
        for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
            seed_save("message", "sections", parts[i] | kind << 5, seed_message(room, parts[i] | kind << 5));
}

/* -- batches ----------------------------------------------------------------------------------- */

static void save_batches(void)
{
    static uint8_t message[1024];
    for (unsigned count = 0; count < 4; count++) {
        rh_envelope envelope;
        if (rh_envelope_init(&envelope, room, sizeof room, count & 1 ? rh_str("key") : rh_str(NULL)) != RH_OK) abort();
        for (unsigned i = 0; i < count; i++)
            if (rh_envelope_add_encoded(&envelope, seed_message(message, 31 | 1 << 5)) != RH_OK) abort();
        seed_save("batch", "received", count, rh_envelope_bytes(&envelope));
    }
    for (unsigned size = 0; size < 256; size += 51) { /* events of 3, 9 and 255 bytes */
        uint8_t *p = room;
        *p++ = (uint8_t)size;
        *p++ = 3;
        memcpy(p, "key", 3), p += 3;
        for (unsigned n = 3; n < 256; n = n == 3 ? 9 : n + 246) *p++ = (uint8_t)(n / 3), memset(p, 'e', n), p += n;
        seed_save("batch", "made", size, rh_slice_of(room, (size_t)(p - room)));
    }
}

void seed_lists(void)
{
    for (unsigned id = 0; id < RH_AMQP_UNKNOWN; id++) {
        for (uint32_t count = 0; count <= rh_tables[id].count; count++) save_list(&rh_tables[id], count);
        save_made(&rh_tables[id], id);
    }
}

int main(int argc, char **argv)
{
    if (argc < 2) return fprintf(stderr, "make-seeds FOLDER SESSION ...\n"), 2;
    folder = argv[1];
    seed_values();
    seed_lists();
    save_messages();
    save_batches();
    seed_frames();
    seed_engines();
    for (int i = 2; i < argc; i++)
        if (!seed_session(argv[i])) return fprintf(stderr, "%s is no recorded session\n", argv[i]), 1;
    return 0;
}
