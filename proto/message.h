/**
 * ringhub/message.h: messages of AMQP 1.0 [3.2] and the batch envelopes of Event Hubs, read and written in place.
 *
 * Nothing here allocates; what is found in a message points into it.
 */
#ifndef RH_MESSAGE_H
#define RH_MESSAGE_H

#include "proto/composite.h"

#ifdef __cplusplus
extern "C" {
#endif

#define RH_FORMAT_MESSAGE 0u
#define RH_FORMAT_BATCH   0x80013700u /* Event Hubs: data sections that hold one encoded message each */

typedef enum rh_body_kind { RH_BODY_NONE, RH_BODY_DATA, RH_BODY_SEQUENCE, RH_BODY_VALUE } rh_body_kind;

/**
 * A message whose sections were found and nothing else: each is the encoded list or map of the section,
 * absent when the message has none. Everything points into the message.
 */
typedef struct rh_message {
    rh_slice     header;
    rh_slice     delivery_annotations;
    rh_slice     message_annotations;
    rh_slice     properties;
    rh_slice     application_properties;
    rh_slice     footer;
    rh_body_kind body_kind;
    uint32_t     body_sections; /* one, but for data and sequences that come in several */
    rh_slice     body;          /* the bytes of the first data section; else the encoded first list, or the value */
    rh_slice     body_raw;      /* all body sections as encoded, descriptors included: rh_message_body_next() */
} rh_message;

/**
 * Finds the sections of an encoded message [3.2]. RH_E_DECODE: malformed, a section twice, out of order, of
 * a wrong type, or unknown. A message without a body is taken. What is inside the sections is not
 * looked at.
 */
RH_API RH_NODISCARD rh_status rh_message_view(rh_slice encoded, rh_message *out);

/** Decode the two sections that are lists; one that the message does not have reads as one of absent fields. */
RH_API RH_NODISCARD rh_status rh_message_header(const rh_message *message, rh_amqp_header *out);
RH_API RH_NODISCARD rh_status rh_message_properties(const rh_message *message, rh_amqp_properties *out);

/** Walks the body: start with rh_dec_of(message.body_raw); false at the end. out is as rh_message.body. */
RH_API bool rh_message_body_next(rh_dec *sections, rh_slice *out);

/** A pair of a map whose keys are text. */
typedef struct rh_property {
    rh_slice key;
    rh_value value;
} rh_property;

/**
 * Walks an encoded map: open it, then next until false, which is the end, or a malformed pair (items->status
 * says which). Keys are the content of strings, symbols and binaries; pairs with other keys are passed
 * over. An absent map is empty; a value that is no map fails at once.
 */
RH_API rh_dec rh_map_open(rh_slice map);
RH_API bool   rh_map_next(rh_dec *items, rh_property *out);

/**
 * Reads all pairs of an encoded map at once, the same pairs as rh_map_next() and faster; *count of them. RH_E_SPACE: there
 * are more than `room`, of which the first are read. RH_E_DECODE: malformed behind those that were read.
 */
RH_API RH_NODISCARD rh_status rh_map_read(rh_slice map, rh_property *out, size_t room, size_t *count);

/** Finds the value of a key in an encoded map; the first if it is there twice. */
RH_API bool rh_map_find(rh_slice map, const char *key, rh_value *out);

/**
 * A message to be written. Slices and arrays are lent for the call. Absent slices, NULL and zero counts leave fields
 * and sections out.
 *
 * partition_key is an annotation, x-opt-partition-key, written before the others. message_id, correlation_id and
 * content_type stand here as text because most messages have no other properties: then `properties` is NULL. Where both
 * are given, these three are those that are written.
 */
typedef struct rh_message_fields {
    const rh_amqp_header     *header;
    rh_slice                  partition_key;
    const rh_property        *message_annotations; /* symbol keys */
    size_t                    message_annotation_count;
    rh_slice                  message_id;
    rh_slice                  correlation_id;
    rh_slice                  content_type;
    const rh_amqp_properties *properties;
    const rh_property        *application_properties; /* string keys */
    size_t                    application_property_count;
    rh_body_kind              body_kind;
    rh_slice                  body; /* bytes of the data section; an encoded value; an encoded list for a sequence */
} rh_message_fields;

/**
 * Whether the text in it is what its type demands: strings, keys of application properties, the partition key and the
 * ids UTF-8; symbols, keys of annotations and the content type ASCII. What is in `header` and `properties` is the
 * caller's promise.
 */
RH_API bool rh_message_text_is(const rh_message_fields *fields);

/** How many bytes rh_message_write() will write, exactly. */
RH_API size_t rh_message_size(const rh_message_fields *fields);

/**
 * Writes the message in place. RH_E_SPACE: it does not fit. RH_E_ARGUMENT: a value of no type, a body of no kind with
 * bytes, or text that is none (rh_message_text_is()).
 */
RH_API RH_NODISCARD rh_status rh_message_write(rh_enc *e, const rh_message_fields *fields);

/**
 * Message ids, correlation ids and addresses are encoded values, for they may have several types. This encodes
 * text into scratch and answers what was written; absent if text is absent or n is less than text.n + 5.
 */
RH_API rh_slice rh_string_encoded(rh_slice text, uint8_t *scratch, size_t n);

/* -- batch envelopes --------------------------------------------------------------------------- */

/**
 * Many events in one transfer of message-format RH_FORMAT_BATCH, encoded in place into a lent buffer.
 * What is in it is always a whole envelope.
 */
typedef struct rh_envelope {
    uint8_t *p;
    size_t   used, n;
    uint32_t count;
} rh_envelope;

/**
 * Starts an envelope. With a partition key (absent: none) its annotation is written; each event carries its
 * own: rh_message_fields.partition_key. RH_E_BATCH_FULL: not even that fits; nothing is set then.
 */
RH_API RH_NODISCARD rh_status rh_envelope_init(rh_envelope *envelope, void *buffer, size_t n, rh_slice partition_key);

/** Adds one event. After any failure the envelope is as it was. RH_E_BATCH_FULL, or as rh_message_write(). */
RH_API RH_NODISCARD rh_status rh_envelope_add(rh_envelope *envelope, const rh_message_fields *fields);

/** Adds a message that is encoded already; it is not looked at. */
RH_API RH_NODISCARD rh_status rh_envelope_add_encoded(rh_envelope *envelope, rh_slice message);

/** What adding a message of n encoded bytes costs: n and the data section around it. */
static inline size_t rh_envelope_cost(size_t n) { return n <= 0xff ? n + 5 : n + 8; }

static inline rh_slice rh_envelope_bytes(const rh_envelope *envelope)
{
    return rh_slice_of(envelope->p, envelope->used);
}

/**
 * Opens a received envelope: outer is the envelope as a message, events a cursor for rh_envelope_next().
 * RH_E_DECODE: malformed, or its body is not data.
 */
RH_API RH_NODISCARD rh_status rh_envelope_open(rh_slice payload, rh_message *outer, rh_dec *events);

/** The next encoded message; false at the end. */
static inline bool rh_envelope_next(rh_dec *events, rh_slice *message) { return rh_message_body_next(events, message); }

#ifdef __cplusplus
}
#endif

#endif
