/*
 * The lists that travel with every event, read and written in a straight line. What is unusual here (a symbolic
 * descriptor, a wrong type, a field too many, no room) is started over by the table, which then says what
 * is wrong; so both always mean the same, and a fuzz target holds them to it.
 */
#include "proto/compound.h"
#include "proto/fields.h"
#include "proto/put.h"
#include "proto/table.h"

/* -- reading --------------------------------------------------------------------------------- */

/* READ(TRANSFER, HANDLE, uint_field(&f, &out->handle)) reads a field and sets its bit. */
#define READ(LIST, NAME, read) (has |= (read) ? (uint32_t)RH_HAS_##LIST##_##NAME : 0)

/* The fields of the described list `code` at d. */
static inline struct fields open_list(const rh_dec *d, uint8_t code, uint32_t most)
{
    const uint8_t *p = d->p;
    if (rh_dec_left(d) < 6 || p[0] != 0x00 || p[1] != 0x53 || p[2] != code) return (struct fields){ .unusual = true };
    return fields_of(p + 3, rh_dec_left(d) - 3, most);
}

static inline bool all_read(const struct fields *f, uint32_t has, uint32_t mandatory)
{
    return RH_LIKELY(!f->unusual) && RH_LIKELY(f->p == f->end) && RH_LIKELY((has & mandatory) == mandatory);
}

rh_status rh_hot_transfer_decode(rh_dec *d, rh_amqp_transfer *out)
{
    struct fields f   = open_list(d, RH_CODE_TRANSFER, RH_FIELDS_TRANSFER);
    uint32_t      has = 0;
    *out = (rh_amqp_transfer){ .has = 0 };
    READ(TRANSFER, HANDLE,          uint_field(&f, &out->handle));
    READ(TRANSFER, DELIVERY_ID,     uint_field(&f, &out->delivery_id));
    READ(TRANSFER, DELIVERY_TAG,    binary_field(&f, &out->delivery_tag));
    READ(TRANSFER, MESSAGE_FORMAT,  uint_field(&f, &out->message_format));
    READ(TRANSFER, SETTLED,         bool_field(&f, &out->settled));
    READ(TRANSFER, MORE,            bool_field(&f, &out->more));
    if (!rest_is_null(&f)) {
        READ(TRANSFER, RCV_SETTLE_MODE, ubyte_field(&f, &out->rcv_settle_mode));
        READ(TRANSFER, STATE,           encoded_field(&f, &out->state));
        READ(TRANSFER, RESUME,          bool_field(&f, &out->resume));
        READ(TRANSFER, ABORTED,         bool_field(&f, &out->aborted));
        READ(TRANSFER, BATCHABLE,       bool_field(&f, &out->batchable));
    }
    if (!all_read(&f, has, RH_HAS_TRANSFER_HANDLE)) return rh_table_decode(d, RH_AMQP_TRANSFER, out);
    out->has = has;
    d->p     = f.end;
    return RH_OK;
}

rh_status rh_hot_disposition_decode(rh_dec *d, rh_amqp_disposition *out)
{
    struct fields f   = open_list(d, RH_CODE_DISPOSITION, RH_FIELDS_DISPOSITION);
    uint32_t      has = 0;
    *out = (rh_amqp_disposition){ .has = 0 };
    READ(DISPOSITION, ROLE,      bool_field(&f, &out->role));
    READ(DISPOSITION, FIRST,     uint_field(&f, &out->first));
    READ(DISPOSITION, LAST,      uint_field(&f, &out->last));
    READ(DISPOSITION, SETTLED,   bool_field(&f, &out->settled));
    READ(DISPOSITION, STATE,     encoded_field(&f, &out->state));
    READ(DISPOSITION, BATCHABLE, bool_field(&f, &out->batchable));
    if (!all_read(&f, has, RH_HAS_DISPOSITION_ROLE | RH_HAS_DISPOSITION_FIRST))
        return rh_table_decode(d, RH_AMQP_DISPOSITION, out);
    out->has = has;
    d->p     = f.end;
    return RH_OK;
}

rh_status rh_hot_flow_decode(rh_dec *d, rh_amqp_flow *out)
{
    struct fields f   = open_list(d, RH_CODE_FLOW, RH_FIELDS_FLOW);
    uint32_t      has = 0;
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
    READ(FLOW, PROPERTIES,       map_field(&f, &out->properties));
    if (!all_read(&f, has, RH_HAS_FLOW_INCOMING_WINDOW | RH_HAS_FLOW_NEXT_OUTGOING_ID | RH_HAS_FLOW_OUTGOING_WINDOW))
        return rh_table_decode(d, RH_AMQP_FLOW, out);
    out->has = has;
    d->p     = f.end;
    return RH_OK;
}

/* Nearly all messages have three of the fields at most; what lies between and behind those is passed over at once. */
rh_status rh_hot_properties_read(rh_dec *d, rh_amqp_properties *out)
{
    struct fields f   = fields_of(d->p, rh_dec_left(d), RH_FIELDS_PROPERTIES);
    uint32_t      has = 0;
    *out = (rh_amqp_properties){ .has = 0 };
    READ(PROPERTIES, MESSAGE_ID, encoded_field(&f, &out->message_id));
    if (!nulls_are_next(&f, RH_AT_PROPERTIES_CORRELATION_ID - RH_AT_PROPERTIES_USER_ID)) {
        READ(PROPERTIES, USER_ID,  binary_field(&f, &out->user_id));
        READ(PROPERTIES, TO,       encoded_field(&f, &out->to));
        READ(PROPERTIES, SUBJECT,  string_field(&f, &out->subject));
        READ(PROPERTIES, REPLY_TO, encoded_field(&f, &out->reply_to));
    }
    READ(PROPERTIES, CORRELATION_ID, encoded_field(&f, &out->correlation_id));
    READ(PROPERTIES, CONTENT_TYPE,   symbol_field(&f, &out->content_type));
    if (!rest_is_null(&f)) {
        READ(PROPERTIES, CONTENT_ENCODING,     symbol_field(&f, &out->content_encoding));
        READ(PROPERTIES, ABSOLUTE_EXPIRY_TIME, timestamp_field(&f, &out->absolute_expiry_time));
        READ(PROPERTIES, CREATION_TIME,        timestamp_field(&f, &out->creation_time));
        READ(PROPERTIES, GROUP_ID,             string_field(&f, &out->group_id));
        READ(PROPERTIES, GROUP_SEQUENCE,       uint_field(&f, &out->group_sequence));
        READ(PROPERTIES, REPLY_TO_GROUP_ID,    string_field(&f, &out->reply_to_group_id));
    }
    if (!all_read(&f, has, 0)) return rh_table_read(d, RH_AMQP_PROPERTIES, out);
    out->has = has;
    d->p     = f.end;
    return RH_OK;
}

/* -- writing --------------------------------------------------------------------------------- */

/* Before the fields: 00, 53, the code, and a list's constructor, size and count. */
#define LIST_HEAD (3 + COMPOUND_NARROW)

/* What each of the lists takes when its slices are empty: no field is above 9 bytes, an empty slice 5. */
#define ROOM (LIST_HEAD + 13 * 9)

/* Where the fields go; NULL if the table has to write this list with wide sizes, or find that it does not fit. */
static inline uint8_t *list_begin(const rh_enc *e, size_t slices)
{
    if (RH_UNLIKELY(slices >= 0xff) || RH_UNLIKELY(rh_enc_left(e) < ROOM + slices)) return NULL;
    return e->p + LIST_HEAD;
}

/* The fields went up to p. A list that outgrew its narrow sizes is written again by the table. */
static inline bool list_end(rh_enc *e, rh_composite_id id, uint8_t code, uint8_t count, const void *in, uint8_t *p)
{
    size_t n = (size_t)(p - e->p) - LIST_HEAD;
    if (RH_UNLIKELY(n >= 0xff)) return rh_table_encode(e, id, in);
    const uint8_t head[LIST_HEAD] = { 0x00, 0x53, code, 0xc0, (uint8_t)(n + 1), count };
    memcpy(e->p, head, sizeof head);
    e->p = p;
    return true;
}

#define LIST_END(LIST) list_end(e, RH_AMQP_##LIST, RH_CODE_##LIST, RH_FIELDS_##LIST, in, p)

/* PUT(TRANSFER, DELIVERY_ID, put_uint(p, in->delivery_id)) writes a number if its bit is set. */
#define PUT(LIST, NAME, put) (p = in->has & RH_HAS_##LIST##_##NAME ? (put) : put_null(p))

bool rh_hot_transfer_encode(rh_enc *e, const rh_amqp_transfer *in)
{
    uint8_t *p = list_begin(e, in->delivery_tag.n + in->state.n);
    if (p == NULL) return rh_table_encode(e, RH_AMQP_TRANSFER, in);
    p = put_uint(p, in->handle);
    PUT(TRANSFER, DELIVERY_ID, put_uint(p, in->delivery_id));
    p = put_text(p, 0xa0, in->delivery_tag);
    PUT(TRANSFER, MESSAGE_FORMAT, put_uint(p, in->message_format));
    PUT(TRANSFER, SETTLED, put_bool(p, in->settled));
    PUT(TRANSFER, MORE, put_bool(p, in->more));
    PUT(TRANSFER, RCV_SETTLE_MODE, put_ubyte(p, in->rcv_settle_mode));
    p = put_encoded(p, in->state);
    PUT(TRANSFER, RESUME, put_bool(p, in->resume));
    PUT(TRANSFER, ABORTED, put_bool(p, in->aborted));
    PUT(TRANSFER, BATCHABLE, put_bool(p, in->batchable));
    return LIST_END(TRANSFER);
}

bool rh_hot_disposition_encode(rh_enc *e, const rh_amqp_disposition *in)
{
    uint8_t *p = list_begin(e, in->state.n);
    if (p == NULL) return rh_table_encode(e, RH_AMQP_DISPOSITION, in);
    p = put_bool(p, in->role);
    p = put_uint(p, in->first);
    PUT(DISPOSITION, LAST, put_uint(p, in->last));
    PUT(DISPOSITION, SETTLED, put_bool(p, in->settled));
    p = put_encoded(p, in->state);
    PUT(DISPOSITION, BATCHABLE, put_bool(p, in->batchable));
    return LIST_END(DISPOSITION);
}

bool rh_hot_flow_encode(rh_enc *e, const rh_amqp_flow *in)
{
    uint8_t *p = list_begin(e, in->properties.n);
    if (p == NULL) return rh_table_encode(e, RH_AMQP_FLOW, in);
    PUT(FLOW, NEXT_INCOMING_ID, put_uint(p, in->next_incoming_id));
    p = put_uint(p, in->incoming_window);
    p = put_uint(p, in->next_outgoing_id);
    p = put_uint(p, in->outgoing_window);
    PUT(FLOW, HANDLE, put_uint(p, in->handle));
    PUT(FLOW, DELIVERY_COUNT, put_uint(p, in->delivery_count));
    PUT(FLOW, LINK_CREDIT, put_uint(p, in->link_credit));
    PUT(FLOW, AVAILABLE, put_uint(p, in->available));
    PUT(FLOW, DRAIN, put_bool(p, in->drain));
    PUT(FLOW, ECHO, put_bool(p, in->echo));
    p = put_encoded(p, in->properties);
    return LIST_END(FLOW);
}

bool rh_hot_properties_encode(rh_enc *e, const rh_amqp_properties *in)
{
    size_t   slices = in->message_id.n + in->user_id.n + in->to.n + in->subject.n + in->reply_to.n + in->correlation_id.n
                    + in->content_type.n + in->content_encoding.n + in->group_id.n + in->reply_to_group_id.n;
    uint8_t *p      = list_begin(e, slices);
    if (p == NULL) return rh_table_encode(e, RH_AMQP_PROPERTIES, in);
    p = put_encoded(p, in->message_id);
    p = put_text(p, 0xa0, in->user_id);
    p = put_encoded(p, in->to);
    p = put_text(p, 0xa1, in->subject);
    p = put_encoded(p, in->reply_to);
    p = put_encoded(p, in->correlation_id);
    p = put_text(p, 0xa3, in->content_type);
    p = put_text(p, 0xa3, in->content_encoding);
    PUT(PROPERTIES, ABSOLUTE_EXPIRY_TIME, put_code64(p, 0x83, (uint64_t)in->absolute_expiry_time));
    PUT(PROPERTIES, CREATION_TIME, put_code64(p, 0x83, (uint64_t)in->creation_time));
    p = put_text(p, 0xa1, in->group_id);
    PUT(PROPERTIES, GROUP_SEQUENCE, put_uint(p, in->group_sequence));
    p = put_text(p, 0xa1, in->reply_to_group_id);
    return LIST_END(PROPERTIES);
}
