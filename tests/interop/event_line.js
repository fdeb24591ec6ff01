'use strict';
/*
 * The canonical line: one event as one line of JSON, the same text whoever prints it, so that two programs can be compared with diff.
 * No blanks outside strings; keys in exactly this order:
 *
 *   {"body":BODY,"content_type":TEXT,"message_id":T,"correlation_id":T,"system":MAP,"annotations":MAP,"properties":MAP}
 *
 *   BODY          ["data","HEX"]       one or more data sections, joined
 *                 ["value",T]          an amqp-value section
 *                 ["sequence",[T,..]]  one or more amqp-sequence sections, joined
 *                 ["none",null]        no body section
 *   content_type  a JSON string or null
 *   message_id    T, or null where the field is absent or null; correlation_id likewise
 *   system        the other fields of the properties section that are there and not null, by their names in the standard with
 *                 '_' for '-': {"absolute_expiry_time":T,"group_id":T,..}
 *   annotations   the message annotations but those whose key begins with x-opt-
 *   properties    the application properties
 *   MAP           {"KEY":T,..}, sorted by the bytes of the key in UTF-8; {} when empty or absent
 *
 * T is a value with its AMQP type: ["type",value]. How many bytes the value took does not show (uint 43, 52 and 70 are all "uint").
 *
 *   ["null",null]                                     ["boolean",true]
 *   ["ubyte",5] ["ushort",5] ["uint",5]               ["byte",-5] ["short",-5] ["int",-5]      JSON numbers
 *   ["ulong","18446744073709551615"]                  ["long","-5"]                            decimal in a string
 *   ["float","3fc00000"] ["double","3ff8000000000000"]                                         the bits, hex
 *   ["decimal32","HEX"] ["decimal64","HEX"] ["decimal128","HEX"]                               the bits, hex
 *   ["char",8364]                                     the code point
 *   ["timestamp","1700000000000"]                     milliseconds, decimal in a string
 *   ["uuid","32 hex digits"] ["binary","HEX"]         lower case, no dashes
 *   ["string","text"] ["symbol","text"]
 *   ["list",[T,..]]                                   ["map",[[T,T],..]]                       pairs in the order of the wire
 *   ["array",["int",[1,2]]]                           element type, then values as they stand in T
 *   ["described",[T,T]]                               descriptor, then value
 *
 * Hex is lower case. Strings are escaped as JSON.stringify does: \" \\ \b \f \n \r \t, \u00xx in lower case for the other bytes
 * below 0x20, and everything else as it is, in UTF-8.
 *
 * The official client forgets widths when it receives. flat() reduces a canonical line to what it still tells:
 * ["number","TEXT"] for every number and char (a long or ulong beyond 2^53 becomes ["binary",HEX] of its 8 bytes), ["binary",HEX] for uuid
 * and decimals, ["string",..] for symbols, ["list",..] for arrays, and maps sorted by key.
 */

const { types } = require('rhea');

const SYSTEM = ['message_id', 'user_id', 'to', 'subject', 'reply_to', 'correlation_id', 'content_type', 'content_encoding',
    'absolute_expiry_time', 'creation_time', 'group_id', 'group_sequence', 'reply_to_group_id'];

/* rhea names a type by its encoding. */
const NAMES = {
    Null: 'null', Boolean: 'boolean', True: 'boolean', False: 'boolean', Ubyte: 'ubyte', Ushort: 'ushort',
    Uint: 'uint', SmallUint: 'uint', Uint0: 'uint', Ulong: 'ulong', SmallUlong: 'ulong', Ulong0: 'ulong',
    Byte: 'byte', Short: 'short', Int: 'int', SmallInt: 'int', Long: 'long', SmallLong: 'long', Float: 'float', Double: 'double',
    Decimal32: 'decimal32', Decimal64: 'decimal64', Decimal128: 'decimal128', CharUTF32: 'char', Timestamp: 'timestamp', Uuid: 'uuid',
    Vbin8: 'binary', Vbin32: 'binary', Str8: 'string', Str32: 'string', Sym8: 'symbol', Sym32: 'symbol',
    List0: 'list', List8: 'list', List32: 'list', Map8: 'map', Map32: 'map', Array8: 'array', Array32: 'array',
};
const SIGNED = ['byte', 'short', 'int', 'long', 'timestamp'];

/* rhea rounds what does not fit a double; raw bytes for every type of fixed width keep the value exact. */
class ExactReader extends types.Reader {
    read_fixed_width(type) {
        return this.read_bytes(type.width);
    }
}

function integer(bytes, signed) {
    const value = BigInt('0x' + bytes.toString('hex'));
    return signed ? BigInt.asIntN(8 * bytes.length, value) : value;
}

/* The value part of T, for a typed value of ExactReader's. */
function plain(name, typed) {
    const { value } = typed;
    switch (name) {
    case 'null': return null;
    case 'boolean': return Buffer.isBuffer(value) ? value[0] !== 0 : value;
    case 'ulong': case 'long': case 'timestamp':
        return Buffer.isBuffer(value) ? String(integer(value, SIGNED.includes(name))) : String(value);
    case 'float': case 'double': case 'decimal32': case 'decimal64': case 'decimal128': case 'uuid': case 'binary':
        return value.toString('hex');
    case 'string': case 'symbol': return value;
    case 'list': return value.map(tagged);
    case 'map': return value.flatMap((key, i) => i % 2 ? [] : [[tagged(key), tagged(value[i + 1])]]);
    case 'array': {
        const element = NAMES[types.by_code[typed.array_constructor.typecode].name];
        return [element, value.map(item => plain(element, item))];
    }
    default: return Buffer.isBuffer(value) ? Number(integer(value, SIGNED.includes(name))) : value;
    }
}

function tagged(typed) {
    const name = NAMES[typed.type.name];
    const bare = [name, plain(name, typed)];
    return typed.descriptor ? ['described', [tagged(typed.descriptor), bare]] : bare;
}

/* JSON.stringify moves keys that look like numbers to the front; a line may not. */
function stringify(value) {
    if (value === null || typeof value !== 'object') return JSON.stringify(value);
    if (Array.isArray(value)) return `[${value.map(stringify).join(',')}]`;
    const entries = value instanceof Map ? [...value] : Object.entries(value);
    return `{${entries.map(([key, item]) => `${JSON.stringify(key)}:${stringify(item)}`).join(',')}}`;
}

function sorted_map(entries) {
    return new Map([...entries].sort(([a], [b]) => Buffer.compare(Buffer.from(a), Buffer.from(b))));
}

/* The canonical line of a decoded event: {body, fields, annotations, properties}, the maps being lists of [key, T]. */
function line_of({ body, fields, annotations, properties }) {
    const there = fields.filter(([, value]) => value && value[0] !== 'null');
    const field = name => (there.find(([key]) => key === name) || [name, null])[1];
    const content_type = field('content_type');
    return stringify({
        body,
        content_type: content_type && content_type[1],
        message_id: field('message_id'),
        correlation_id: field('correlation_id'),
        system: sorted_map(there.filter(([key]) => !['content_type', 'message_id', 'correlation_id'].includes(key))),
        annotations: sorted_map(annotations.filter(([key]) => !key.startsWith('x-opt-'))),
        properties: sorted_map(properties),
    });
}

/* The canonical line of an encoded message. */
function line_of_bytes(bytes) {
    const event = { body: ['none', null], fields: [], annotations: [], properties: [] };
    const pairs = section => section.value.flatMap((key, i) => i % 2 ? [] : [[key.value, tagged(section.value[i + 1])]]);
    const joined = (kind, value) => event.body[0] === kind ? event.body[1].concat(value) : value;
    const reader = new ExactReader(bytes);
    while (reader.remaining() > 0) {
        const section = reader.read();
        const descriptor = section.descriptor.value;
        switch (Buffer.isBuffer(descriptor) ? Number(integer(descriptor)) : descriptor) {
        case 0x72: event.annotations = pairs(section); break;
        case 0x73: event.fields = section.value.map((value, i) => [SYSTEM[i], tagged(value)]); break;
        case 0x74: event.properties = pairs(section); break;
        case 0x75: event.body = ['data', joined('data', section.value.toString('hex'))]; break;
        case 0x76: event.body = ['sequence', joined('sequence', section.value.map(tagged))]; break;
        case 0x77: section.descriptor = undefined; event.body = ['value', tagged(section)]; break;
        default: break;
        }
    }
    return line_of(event);
}

/* T as the official client shows it. */
function flat_value(tagged_value) {
    if (tagged_value === null) return null;
    const [name, value] = tagged_value;
    switch (name) {
    case 'ulong': case 'long': {
        if (Number.isSafeInteger(Number(value))) return ['number', value];
        const bytes = Buffer.alloc(8);
        bytes.writeBigUInt64BE(BigInt.asUintN(64, BigInt(value)));
        return ['binary', bytes.toString('hex')];
    }
    case 'float': return ['number', String(Buffer.from(value, 'hex').readFloatBE())];
    case 'double': return ['number', String(Buffer.from(value, 'hex').readDoubleBE())];
    case 'ubyte': case 'ushort': case 'uint': case 'byte': case 'short': case 'int': case 'char': return ['number', String(value)];
    case 'uuid': case 'decimal32': case 'decimal64': case 'decimal128': return ['binary', value];
    case 'symbol': return ['string', value];
    case 'list': return ['list', value.map(flat_value)];
    case 'array': return ['list', value[1].map(item => flat_value([value[0], item]))];
    case 'map': return ['map', [...sorted_map(value.map(([key, item]) => [String(key[1]), flat_value(item)]))]];
    case 'described': return ['described', value.map(flat_value)];
    default: return tagged_value;
    }
}

function flat(line) {
    const event = JSON.parse(line);
    const map = entries => Object.entries(entries).map(([key, value]) => [key, flat_value(value)]);
    const body = { data: value => value, value: flat_value, sequence: value => value.map(flat_value), none: value => value };
    return line_of({
        body: [event.body[0], body[event.body[0]](event.body[1])],
        fields: [['content_type', event.content_type === null ? null : ['string', event.content_type]],
            ['message_id', flat_value(event.message_id)], ['correlation_id', flat_value(event.correlation_id)], ...map(event.system)],
        annotations: map(event.annotations),
        properties: map(event.properties),
    });
}

/* What the official client made of a value. */
function shown(value) {
    if (value === null || value === undefined) return ['null', null];
    if (typeof value === 'boolean') return ['boolean', value];
    if (typeof value === 'number') return ['number', String(value)];
    if (typeof value === 'string') return ['string', value];
    if (value instanceof Date) return ['timestamp', String(value.getTime())];
    if (Buffer.isBuffer(value)) return ['binary', value.toString('hex')];
    if (Array.isArray(value)) return ['list', value.map(shown)];
    if (value.descriptor) return ['described', [shown(value.descriptor.value), shown(value.value)]];
    return ['map', shown_map(value)];
}

function shown_map(map) {
    return [...sorted_map(Object.entries(map || {}).map(([key, value]) => [key, shown(value)]))];
}

/* The flat line of an event the official client received (with skipParsingBodyAsJson). */
function flat_of_received(event) {
    const raw = event.getRawAmqpMessage();
    const bodies = {
        data: body => Buffer.concat([].concat(body)).toString('hex'),
        value: shown,
        sequence: body => body.map(shown),
    };
    const fields = Object.entries(raw.properties).map(([name, value]) => {
        const field = name.replace(/[A-Z]/g, letter => '_' + letter.toLowerCase());
        return [field, field.endsWith('_time') ? ['timestamp', String(value)] : shown(value)];
    });
    return line_of({
        body: event.body === undefined ? ['none', null] : [raw.bodyType, bodies[raw.bodyType](event.body)],
        fields: [...fields, ['user_id', shown(event.systemProperties && event.systemProperties.userId)]],
        annotations: shown_map(raw.messageAnnotations),
        properties: shown_map(raw.applicationProperties),
    });
}

module.exports = { line_of, line_of_bytes, flat, flat_of_received };
