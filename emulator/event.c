#include "emulator/event.h"

#include <inttypes.h>
#include <stdio.h>

/* The system annotations at their longest: five keys of at most 23 bytes, their values, the map and two descriptors. */
#define STAMP_ROOM (512 + 2 * RH_EMU_KEY_MAX)

static const char *const service_owned[] = {
    "x-opt-sequence-number", "x-opt-offset", "x-opt-enqueued-time", "x-opt-publisher",
};

static bool is_service_owned(rh_slice key)
{
    for (size_t i = 0; i < sizeof service_owned / sizeof *service_owned; i++)
        if (rh_slice_is(key, service_owned[i])) return true;
    return false;
}

rh_status rh_emu_event_key(const rh_message *message, rh_slice *key)
{
    rh_value value;
    *key = rh_slice_of(NULL, 0);
    if (!rh_map_find(message->message_annotations, "x-opt-partition-key", &value) || value.type == RH_NULL) return RH_OK;
    if (value.type != RH_STRING || value.bytes.n > RH_EMU_KEY_MAX) return RH_E_INVALID_FIELD;
    *key = value.bytes;
    return RH_OK;
}

rh_status rh_emu_event_check(const rh_message *message)
{
    rh_slice key;
    rh_dec   d = rh_dec_of(message->message_annotations), items;
    if (message->message_annotations.p) {
        uint32_t count = rh_dec_map(&d, &items);
        while (count-- && items.status == RH_OK) rh_dec_skip(&items);
        rh_dec_end(&items);
        if (d.status != RH_OK) return d.status;
    }
    return rh_emu_event_key(message, &key);
}

/* The bare message [3.2] and the footer: all that lies behind the sections which are ours to write. */
static rh_slice bare_of(rh_slice encoded, const rh_message *message)
{
    const rh_slice *sections[] = { &message->message_annotations, &message->delivery_annotations, &message->header };
    for (size_t i = 0; i < 3; i++) {
        if (sections[i]->p == NULL) continue;
        const uint8_t *behind = sections[i]->p + sections[i]->n;
        return rh_slice_of(behind, encoded.n - (size_t)(behind - encoded.p));
    }
    return encoded;
}

size_t rh_emu_event_room(rh_slice encoded)
{
    return encoded.n + STAMP_ROOM;
}

static uint32_t write_stamp(rh_enc *e, const rh_emu_stamp *stamp, bool keyed)
{
    char     offset[24];
    uint32_t count = 3;
    snprintf(offset, sizeof offset, "%" PRIu64, stamp->offset);
    rh_enc_symbol(e, rh_str("x-opt-sequence-number"));
    rh_enc_long(e, stamp->sequence);
    rh_enc_symbol(e, rh_str("x-opt-offset"));
    rh_enc_string(e, rh_str(offset));
    rh_enc_symbol(e, rh_str("x-opt-enqueued-time"));
    rh_enc_timestamp(e, stamp->enqueued_ms);
    if (stamp->publisher.p) {
        rh_enc_symbol(e, rh_str("x-opt-publisher"));
        rh_enc_string(e, stamp->publisher);
        count++;
    }
    if (stamp->key.p && !keyed) {
        rh_enc_symbol(e, rh_str("x-opt-partition-key"));
        rh_enc_string(e, stamp->key);
        count++;
    }
    return 2 * count;
}

static void write_annotations(rh_enc *e, const rh_message *message, const rh_emu_stamp *stamp)
{
    rh_slice own;
    bool     keyed = rh_emu_event_key(message, &own) == RH_OK && own.p != NULL;

    rh_enc_descriptor(e, RH_CODE_MESSAGE_ANNOTATIONS);
    rh_enc_mark mark  = rh_enc_map_begin(e);
    uint32_t    count = write_stamp(e, stamp, keyed);

    rh_dec   d = rh_dec_of(message->message_annotations), items;
    uint32_t pairs = message->message_annotations.p ? rh_dec_map(&d, &items) / 2 : 0;
    while (pairs--) {
        rh_slice key_raw = rh_dec_raw(&items), value_raw = rh_dec_raw(&items);
        rh_dec   k = rh_dec_of(key_raw);
        if (rh_dec_peek(&k) == RH_SYMBOL && is_service_owned(rh_dec_symbol(&k))) continue;
        rh_enc_raw(e, key_raw);
        rh_enc_raw(e, value_raw);
        count += 2;
    }
    rh_enc_map_end(e, mark, count);
}

void rh_emu_event_write(rh_enc *e, rh_slice encoded, const rh_message *message, const rh_emu_stamp *stamp, size_t *header_n)
{
    if (message->header.p) {
        rh_enc_descriptor(e, RH_CODE_HEADER);
        rh_enc_raw(e, message->header);
    }
    *header_n = rh_enc_size(e);
    write_annotations(e, message, stamp);
    rh_enc_raw(e, bare_of(encoded, message));
}
