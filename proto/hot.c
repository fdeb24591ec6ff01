/*
 * The three lists that travel with every event, read and written in a straight line. What is unusual here
 * (a symbolic descriptor, a wrong type, a field too many, no room) is started over by the table,
 * which then says what is wrong; so both always mean the same.
 */
#include "proto/table.h"

/* -- reading --------------------------------------------------------------------------------- */

struct fields {
    const uint8_t *p, *end;
    uint32_t       left;    /* fields not read yet; the rest of the list is absent */
    bool           unusual;
};

/* The elements of the list `code` at d; `after` is where the list ends. */
static struct fields fields_open(const rh_dec *d, uint8_t code, uint32_t most, const uint8_t **after)
{
    struct fields  none = { .unusual = true };
    const uint8_t *p    = d->p;
    size_t         left = rh_dec_left(d);
    if (left < 6 || p[0] != 0x00 || p[1] != 0x53 || p[2] != code) return none;

    struct fields f = none;
    if (p[3] == 0xc0) {
        size_t size = p[4];
        if (size < 1 || left - 5 < size) return none;
        f = (struct fields){ p + 6, p + 5 + size, p[5], false };
    } else if (p[3] == 0xd0 && left >= 12) {
        size_t size = rh_get32(p + 4);
        if (size < 4 || left - 8 < size) return none;
        f = (struct fields){ p + 12, p + 8 + size, rh_get32(p + 8), false };
    }
    f.unusual = f.unusual || f.left > most;
    *after    = f.end;
    return f;
}

/* Whether one more field is there and not null; then its constructor is *f->p. */
static inline bool field_is_there(struct fields *f)
{
    if (f->left == 0) return false;
    f->left--;
    if (f->p == f->end) {
        f->unusual = true;
        return false;
    }
    if (*f->p != 0x40) return true;
    f->p++;
    return false;
}

static inline bool uint_field(struct fields *f, uint32_t *out)
{
    if (!field_is_there(f)) return false;
    size_t left = (size_t)(f->end - f->p);
    if (*f->p == 0x52 && left >= 2) {
        *out = f->p[1];
        f->p += 2;
    } else if (*f->p == 0x43) {
        *out = 0;
        f->p++;
    } else if (*f->p == 0x70 && left >= 5) {
        *out = rh_get32(f->p + 1);
        f->p += 5;
    } else {
        f->unusual = true;
        f->left    = 0;
    }
    return true;
}

static inline bool bool_field(struct fields *f, bool *out)
{
    if (!field_is_there(f)) return false;
    uint8_t code = *f->p;
    if (code == 0x41 || code == 0x42) {
        *out = code == 0x41;
        f->p++;
    } else if (code == 0x56 && f->end - f->p >= 2 && f->p[1] <= 1) {
        *out = f->p[1] == 1;
        f->p += 2;
    } else {
        f->unusual = true;
        f->left    = 0;
    }
    return true;
}

static inline bool ubyte_field(struct fields *f, uint8_t *out)
{
    if (!field_is_there(f)) return false;
    if (*f->p == 0x50 && f->end - f->p >= 2) {
        *out = f->p[1];
        f->p += 2;
    } else {
        f->unusual = true;
        f->left    = 0;
    }
    return true;
}

static inline bool short_binary_field(struct fields *f, rh_slice *out)
{
    if (!field_is_there(f)) return false;
    size_t left = (size_t)(f->end - f->p);
    if (*f->p == 0xa0 && left >= 2 && left - 2 >= f->p[1]) {
        *out = rh_slice_of(f->p + 2, f->p[1]);
        f->p += 2 + out->n;
    } else {
        f->unusual = true;
        f->left    = 0;
    }
    return true;
}

/* Any value, or only maps, as encoded. */
static inline bool encoded_field(struct fields *f, bool only_map, rh_slice *out)
{
    if (!field_is_there(f)) return false;
    rh_dec value = rh_dec_of(rh_slice_of(f->p, (size_t)(f->end - f->p)));
    if (only_map && rh_dec_peek(&value) != RH_MAP) {
        f->unusual = true;
        return true;
    }
    *out = rh_dec_raw(&value);
    if (out->p == NULL) f->unusual = true;
    f->p += out->n;
    return true;
}

/* READ(TRANSFER, HANDLE, uint, &out->handle) reads a field and sets its bit. */
#define READ(LIST, NAME, read) (has |= (read) ? (uint32_t)RH_HAS_##LIST##_##NAME : 0)

static bool all_read(const struct fields *f, uint32_t has, uint32_t mandatory)
{
    return RH_LIKELY(!f->unusual) && RH_LIKELY(f->p == f->end) && RH_LIKELY((has & mandatory) == mandatory);
}

rh_status rh_hot_transfer_decode(rh_dec *d, rh_amqp_transfer *out)
{
    const uint8_t *after = NULL;
    struct fields  f     = fields_open(d, RH_CODE_TRANSFER, RH_FIELDS_TRANSFER, &after);
    uint32_t       has   = 0;
    *out = (rh_amqp_transfer){ .has = 0 };
    READ(TRANSFER, HANDLE,          uint_field(&f, &out->handle));
    READ(TRANSFER, DELIVERY_ID,     uint_field(&f, &out->delivery_id));
    READ(TRANSFER, DELIVERY_TAG,    short_binary_field(&f, &out->delivery_tag));
    READ(TRANSFER, MESSAGE_FORMAT,  uint_field(&f, &out->message_format));
    READ(TRANSFER, SETTLED,         bool_field(&f, &out->settled));
    READ(TRANSFER, MORE,            bool_field(&f, &out->more));
    READ(TRANSFER, RCV_SETTLE_MODE, ubyte_field(&f, &out->rcv_settle_mode));
    READ(TRANSFER, STATE,           encoded_field(&f, false, &out->state));
    READ(TRANSFER, RESUME,          bool_field(&f, &out->resume));
    READ(TRANSFER, ABORTED,         bool_field(&f, &out->aborted));
    READ(TRANSFER, BATCHABLE,       bool_field(&f, &out->batchable));
    if (!all_read(&f, has, RH_HAS_TRANSFER_HANDLE)) return rh_table_decode(d, RH_AMQP_TRANSFER, out);
    out->has = has;
    d->p     = after;
    return RH_OK;
}

rh_status rh_hot_disposition_decode(rh_dec *d, rh_amqp_disposition *out)
{
    const uint8_t *after = NULL;
    struct fields  f     = fields_open(d, RH_CODE_DISPOSITION, RH_FIELDS_DISPOSITION, &after);
    uint32_t       has   = 0;
    *out = (rh_amqp_disposition){ .has = 0 };
    READ(DISPOSITION, ROLE,      bool_field(&f, &out->role));
    READ(DISPOSITION, FIRST,     uint_field(&f, &out->first));
    READ(DISPOSITION, LAST,      uint_field(&f, &out->last));
    READ(DISPOSITION, SETTLED,   bool_field(&f, &out->settled));
    READ(DISPOSITION, STATE,     encoded_field(&f, false, &out->state));
    READ(DISPOSITION, BATCHABLE, bool_field(&f, &out->batchable));
    if (!all_read(&f, has, RH_HAS_DISPOSITION_ROLE | RH_HAS_DISPOSITION_FIRST))
        return rh_table_decode(d, RH_AMQP_DISPOSITION, out);
    out->has = has;
    d->p     = after;
    return RH_OK;
}

rh_status rh_hot_flow_decode(rh_dec *d, rh_amqp_flow *out)
{
    const uint8_t *after = NULL;
    struct fields  f     = fields_open(d, RH_CODE_FLOW, RH_FIELDS_FLOW, &after);
    uint32_t       has   = 0;
    *out = (rh_amqp_flow){ .has = 0 };
    READ(FLOW, NEXT_INCOMING_ID, uint_field(&f, &out->next_incoming_id));
    READ(FLOW, INCOMING_WINDOW,  uint_field(&f, &out->incoming_window));
    READ(FLOW, NEXT_OUTGOING_ID, uint_field(&f, &out->next_outgoing_id));
    READ(FLOW, OUTGOING_WINDOW,  uint_field(&f, &out->outgoing_window));
    READ(FLOW, HANDLE,           uint_field(&f, &out->handle));
    READ(FLOW, DELIVERY_COUNT,   uint_field(&f, &out->delivery_count));
    READ(FLOW, LINK_CREDIT,      uint_field(&f, &out->link_credit));
    READ(FLOW, AVAILABLE,        uint_field(&f, &out->available));
    READ(FLOW, DRAIN,            bool_field(&f, &out->drain));
    READ(FLOW, ECHO,             bool_field(&f, &out->echo));
    READ(FLOW, PROPERTIES,       encoded_field(&f, true, &out->properties));
    if (!all_read(&f, has, RH_HAS_FLOW_INCOMING_WINDOW | RH_HAS_FLOW_NEXT_OUTGOING_ID | RH_HAS_FLOW_OUTGOING_WINDOW))
        return rh_table_decode(d, RH_AMQP_FLOW, out);
    out->has = has;
    d->p     = after;
    return RH_OK;
}

/* -- writing --------------------------------------------------------------------------------- */

/* With slices of no more than this the whole list stays below 256 bytes and its sizes are one byte wide:
 * 6 before the fields, and no more than ten other fields of five bytes. */
#define SLICES_MAX 160
#define ROOM       (6 + 10 * 5 + 2 + SLICES_MAX)

static inline uint8_t *put_uint(uint8_t *p, bool has, uint32_t v)
{
    if (!has) {
        *p = 0x40;
        return p + 1;
    }
    if (v == 0) {
        *p = 0x43;
        return p + 1;
    }
    if (v <= 0xff) {
        p[0] = 0x52;
        p[1] = (uint8_t)v;
        return p + 2;
    }
    *p = 0x70;
    rh_put32(p + 1, v);
    return p + 5;
}

static inline uint8_t *put_bool(uint8_t *p, bool has, bool v)
{
    *p = has ? v ? 0x41 : 0x42 : 0x40;
    return p + 1;
}

static inline uint8_t *put_ubyte(uint8_t *p, bool has, uint8_t v)
{
    p[0] = has ? 0x50 : 0x40;
    p[1] = v; /* overwritten by the next field if this one is null */
    return p + (has ? 2 : 1);
}

static inline uint8_t *put_binary(uint8_t *p, rh_slice content)
{
    if (content.p == NULL) {
        *p = 0x40;
        return p + 1;
    }
    p[0] = 0xa0;
    p[1] = (uint8_t)content.n;
    memcpy(p + 2, content.p, content.n);
    return p + 2 + content.n;
}

static inline uint8_t *put_encoded(uint8_t *p, rh_slice encoded)
{
    if (encoded.n == 0) {
        *p = 0x40;
        return p + 1;
    }
    memcpy(p, encoded.p, encoded.n);
    return p + encoded.n;
}

/* Where the fields go; NULL if only the table can write this list. */
static inline uint8_t *list_begin(const rh_enc *e, size_t slices)
{
    if (RH_UNLIKELY(slices > SLICES_MAX) || RH_UNLIKELY(rh_enc_left(e) < ROOM)) return NULL;
    return e->p + 6;
}

static inline bool list_end(rh_enc *e, uint8_t code, uint8_t count, uint8_t *p)
{
    const uint8_t header[6] = { 0x00, 0x53, code, 0xc0, (uint8_t)(p - e->p - 5), count };
    memcpy(e->p, header, sizeof header);
    e->p = p;
    return true;
}

#define HAS(LIST, NAME) ((in->has & RH_HAS_##LIST##_##NAME) != 0)

bool rh_hot_transfer_encode(rh_enc *e, const rh_amqp_transfer *in)
{
    size_t   slices = in->delivery_tag.n > SLICES_MAX ? SIZE_MAX : in->delivery_tag.n + in->state.n;
    uint8_t *p      = in->state.n > SLICES_MAX ? NULL : list_begin(e, slices);
    if (p == NULL) return rh_table_encode(e, RH_AMQP_TRANSFER, in);
    p = put_uint(p, true, in->handle);
    p = put_uint(p, HAS(TRANSFER, DELIVERY_ID), in->delivery_id);
    p = put_binary(p, in->delivery_tag);
    p = put_uint(p, HAS(TRANSFER, MESSAGE_FORMAT), in->message_format);
    p = put_bool(p, HAS(TRANSFER, SETTLED), in->settled);
    p = put_bool(p, HAS(TRANSFER, MORE), in->more);
    p = put_ubyte(p, HAS(TRANSFER, RCV_SETTLE_MODE), in->rcv_settle_mode);
    p = put_encoded(p, in->state);
    p = put_bool(p, HAS(TRANSFER, RESUME), in->resume);
    p = put_bool(p, HAS(TRANSFER, ABORTED), in->aborted);
    p = put_bool(p, HAS(TRANSFER, BATCHABLE), in->batchable);
    return list_end(e, RH_CODE_TRANSFER, RH_FIELDS_TRANSFER, p);
}

bool rh_hot_disposition_encode(rh_enc *e, const rh_amqp_disposition *in)
{
    uint8_t *p = list_begin(e, in->state.n);
    if (p == NULL) return rh_table_encode(e, RH_AMQP_DISPOSITION, in);
    p = put_bool(p, true, in->role);
    p = put_uint(p, true, in->first);
    p = put_uint(p, HAS(DISPOSITION, LAST), in->last);
    p = put_bool(p, HAS(DISPOSITION, SETTLED), in->settled);
    p = put_encoded(p, in->state);
    p = put_bool(p, HAS(DISPOSITION, BATCHABLE), in->batchable);
    return list_end(e, RH_CODE_DISPOSITION, RH_FIELDS_DISPOSITION, p);
}

bool rh_hot_flow_encode(rh_enc *e, const rh_amqp_flow *in)
{
    uint8_t *p = list_begin(e, in->properties.n);
    if (p == NULL) return rh_table_encode(e, RH_AMQP_FLOW, in);
    p = put_uint(p, HAS(FLOW, NEXT_INCOMING_ID), in->next_incoming_id);
    p = put_uint(p, true, in->incoming_window);
    p = put_uint(p, true, in->next_outgoing_id);
    p = put_uint(p, true, in->outgoing_window);
    p = put_uint(p, HAS(FLOW, HANDLE), in->handle);
    p = put_uint(p, HAS(FLOW, DELIVERY_COUNT), in->delivery_count);
    p = put_uint(p, HAS(FLOW, LINK_CREDIT), in->link_credit);
    p = put_uint(p, HAS(FLOW, AVAILABLE), in->available);
    p = put_bool(p, HAS(FLOW, DRAIN), in->drain);
    p = put_bool(p, HAS(FLOW, ECHO), in->echo);
    p = put_encoded(p, in->properties);
    return list_end(e, RH_CODE_FLOW, RH_FIELDS_FLOW, p);
}
