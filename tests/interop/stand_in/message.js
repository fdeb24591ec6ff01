'use strict';
/*
 * An event at rest. The stand-in never decodes and re-encodes what a producer wrote: sections are cut out of the
 * bytes and put back as they were, so every type keeps its width and every map its order on the way through.
 */

const { types, message } = require('rhea');

const BATCH_FORMAT = 0x80013700;

const CODES = {
    'amqp:header:list': 0x70, 'amqp:delivery-annotations:map': 0x71, 'amqp:message-annotations:map': 0x72,
    'amqp:properties:list': 0x73, 'amqp:application-properties:map': 0x74, 'amqp:data:binary': 0x75,
    'amqp:amqp-sequence:list': 0x76, 'amqp:amqp-value:*': 0x77, 'amqp:footer:map': 0x78,
};
const HEADER = 0x70, DELIVERY_ANNOTATIONS = 0x71, MESSAGE_ANNOTATIONS = 0x72, PROPERTIES = 0x73;
const APPLICATION_PROPERTIES = 0x74, DATA = 0x75, VALUE = 0x77;

/* Only the service writes these; a producer that sends them back (a received event sent on) is overruled. */
const STAMPS = ['x-opt-sequence-number', 'x-opt-offset', 'x-opt-enqueued-time'];

/* rhea decodes a message of format 0 before anyone sees it, which flattens its types: keep the bytes instead. */
message.decode = bytes => bytes;

/* The sections of a message: {code, bytes, value}, value being rhea's typed tree. Throws on bytes that are no message. */
function sections(bytes) {
    const reader = new types.Reader(bytes);
    const found = [];
    while (reader.remaining() > 0) {
        const start = reader.position;
        const value = reader.read();
        const code = value.descriptor && (CODES[value.descriptor.value] || value.descriptor.value);
        if (!(code >= HEADER && code <= 0x78)) throw new Error('a section with an unknown descriptor');
        /* rhea's reader slices past the end without a word. */
        if (reader.position > bytes.length) throw new Error('a section longer than the message');
        found.push({ code, value, bytes: bytes.subarray(start, reader.position) });
    }
    return found;
}

/* The pairs of a map section, each with its own bytes. */
function pairs(section) {
    const reader = new types.Reader(section.bytes);
    const { typecode } = reader.read_constructor();
    const { count } = reader.read_size_count(types.by_code[typecode].width);
    const found = [];
    for (let i = 0; i < count; i += 2) {
        const start = reader.position;
        const key = reader.read().value;
        const value = reader.read().value;
        found.push({ key, value, bytes: section.bytes.subarray(start, reader.position) });
    }
    return found;
}

function encoded(...values) {
    const writer = new types.Writer();
    for (const value of values) writer.write(value);
    return writer.toBuffer();
}

/* A map section of pairs that are encoded already. */
function map_section(code, count, ...chunks) {
    const body = Buffer.concat(chunks);
    const head = Buffer.from([0x00, 0x53, code, 0xd1, 0, 0, 0, 0, 0, 0, 0, 0]);
    head.writeUInt32BE(4 + body.length, 4);
    head.writeUInt32BE(2 * count, 8);
    return Buffer.concat([head, body]);
}

function annotations_of(parts) {
    const section = parts.find(part => part.code === MESSAGE_ANNOTATIONS);
    return section ? pairs(section) : [];
}

function key_in(annotations) {
    const pair = annotations.find(pair => pair.key === 'x-opt-partition-key');
    return pair && pair.value !== null ? pair.value : undefined;
}

/* One event, cut where the service writes: {header, annotations, rest, key}. */
function event_of(bytes, envelope_key) {
    const parts = sections(bytes);
    const annotations = annotations_of(parts).filter(pair => !STAMPS.includes(pair.key));
    const own_key = key_in(annotations);
    if (own_key === undefined && envelope_key !== undefined) {
        annotations.push({ bytes: encoded(types.wrap_symbol('x-opt-partition-key'), types.wrap_string(envelope_key)) });
    }
    return {
        header: Buffer.concat(parts.filter(part => part.code === HEADER).map(part => part.bytes)),
        annotations: Buffer.concat(annotations.map(pair => pair.bytes)),
        annotation_count: annotations.length,
        rest: Buffer.concat(parts.filter(part => part.code > MESSAGE_ANNOTATIONS).map(part => part.bytes)),
        key: own_key === undefined ? envelope_key : own_key,
        size: bytes.length,
    };
}

/* What one transfer carries: {key, events}. A batch holds one whole message in each data section. */
function unpack(bytes, format) {
    if (format !== BATCH_FORMAT) {
        const event = event_of(bytes);
        return { key: event.key, events: [event] };
    }
    const parts = sections(bytes);
    const key = key_in(annotations_of(parts));
    return { key, events: parts.filter(part => part.code === DATA).map(part => event_of(part.value.value, key)) };
}

/* The event as a consumer gets it; last is the newest event of the partition when the consumer asked to be told. */
function delivered(event, last) {
    const chunks = [event.header];
    if (last) {
        chunks.push(map_section(DELIVERY_ANNOTATIONS, 4, encoded(
            types.wrap_symbol('last_enqueued_sequence_number'), types.wrap_long(last.sequence),
            types.wrap_symbol('last_enqueued_offset'), types.wrap_string(last.offset),
            types.wrap_symbol('last_enqueued_time_utc'), types.wrap_timestamp(last.time),
            types.wrap_symbol('runtime_info_retrieval_time_utc'), types.wrap_timestamp(Date.now()))));
    }
    chunks.push(map_section(MESSAGE_ANNOTATIONS, event.annotation_count + STAMPS.length, encoded(
        types.wrap_symbol('x-opt-sequence-number'), types.wrap_long(event.sequence),
        types.wrap_symbol('x-opt-offset'), types.wrap_string(event.offset),
        types.wrap_symbol('x-opt-enqueued-time'), types.wrap_timestamp(event.time)), event.annotations));
    chunks.push(event.rest);
    return Buffer.concat(chunks);
}

/* A request to $cbs or $management: its ids as typed values, so that a correlation-id copies the type too. */
function request_of(bytes) {
    const parts = sections(bytes);
    const section = code => parts.find(part => part.code === code);
    const properties = section(PROPERTIES) ? section(PROPERTIES).value.value : [];
    const arguments_ = section(APPLICATION_PROPERTIES) ? pairs(section(APPLICATION_PROPERTIES)) : [];
    const body = section(VALUE) || section(DATA);
    return {
        message_id: properties[0],
        reply_to: properties[4] && properties[4].value,
        arguments: Object.fromEntries(arguments_.map(pair => [pair.key, pair.value])),
        body: body && body.value.value,
    };
}

module.exports = { unpack, delivered, request_of };
