'use strict';
/*
 * Events that between them carry every kind of value in every place a producer can put one, written in the values of
 * event_line.js, and as messages of the official client (which cannot send a user-id).
 */

const { types } = require('rhea');
const { line_of } = require('./event_line.js');

const UUID = '00112233445566778899aabbccddeeff';
const hex = text => Buffer.from(text, 'hex');

const EVENTS = [
    { body: ['data', ''] },
    {
        body: ['data', Buffer.from(Array.from({ length: 256 }, (_, i) => i)).toString('hex')],
        fields: [['content_type', ['symbol', 'application/octet-stream']], ['message_id', ['string', 'id-é-日本']], ['correlation_id', ['ulong', '0']]],
        properties: [
            ['boolean true', ['boolean', true]], ['boolean false', ['boolean', false]], ['null', ['null', null]],
            ['ubyte', ['ubyte', 255]], ['ushort', ['ushort', 65535]],
            ['uint 0', ['uint', 0]], ['uint 1 byte', ['uint', 255]], ['uint', ['uint', 4294967295]],
            ['ulong 0', ['ulong', '0']], ['ulong 1 byte', ['ulong', '255']], ['ulong 2^32', ['ulong', '4294967296']],
            ['ulong', ['ulong', '18446744073709551615']],
            ['byte', ['byte', -128]], ['short', ['short', -32768]],
            ['int 1 byte', ['int', -128]], ['int', ['int', -2147483648]], ['int max', ['int', 2147483647]],
            ['long 1 byte', ['long', '127']], ['long', ['long', '-9223372036854775808']], ['long max', ['long', '9223372036854775807']],
            ['long -2^32', ['long', '-4294967296']],
        ],
    },
    {
        body: ['data', Buffer.from('numbers with fractions, times and names').toString('hex')],
        fields: [['message_id', ['uuid', UUID]], ['correlation_id', ['binary', '00ff']]],
        properties: [
            ['float', ['float', '3fc00000']], ['float least', ['float', '00000001']],
            ['double', ['double', '3ff8000000000000']], ['double pi', ['double', '400921fb54442d18']], ['double -inf', ['double', 'fff0000000000000']],
            ['decimal32', ['decimal32', '22500001']], ['decimal64', ['decimal64', '2234000000000001']],
            ['decimal128', ['decimal128', '22080000000000000000000000000001']],
            ['char', ['char', 0x20ac]], ['char astral', ['char', 0x1f600]],
            ['timestamp', ['timestamp', '1700000000123']], ['timestamp 0', ['timestamp', '0']], ['timestamp before 1970', ['timestamp', '-1']],
            ['uuid', ['uuid', UUID]],
            ['binary', ['binary', '00ff7f80']], ['binary empty', ['binary', '']], ['binary of 300', ['binary', 'ab'.repeat(300)]],
            ['string empty', ['string', '']], ['string', ['string', 'Grüße, 日本, \u{1f600}, "quoted" \\ \t\u0001']],
            ['string of 300', ['string', 'é'.repeat(150)]], ['symbol', ['symbol', 'a-symbol']],
        ],
    },
    {
        body: ['data', Buffer.from('keys and nesting').toString('hex')],
        fields: [['message_id', ['ulong', '18446744073709551615']], ['correlation_id', ['string', '']]],
        properties: [
            ['é', ['string', 'a key of two bytes']], ['日本', ['int', -1]], ['\u{1f600}', ['uint', 1]], ['10', ['boolean', true]], ['9', ['boolean', false]],
            ['a "key"', ['string', 'quoted']], ['k'.repeat(300), ['string', 'a long key']],
            ['list empty', ['list', []]],
            ['list', ['list', [['uint', 1], ['string', 'zwei'], ['null', null], ['list', [['list', [['boolean', false]]]]]]]],
            ['map empty', ['map', []]],
            ['map', ['map', [[['string', 'b'], ['long', '-5']], [['string', 'a'], ['map', [[['string', 'ключ'], ['double', '3ff8000000000000']]]]]]]],
            ['array of int', ['array', ['int', [1, -2, 2147483647]]]], ['array of string', ['array', ['string', ['a', 'é', '']]]],
            ['described', ['described', [['symbol', 'com.microsoft:timespan'], ['long', '864000000000']]]],
        ],
    },
    {
        body: ['data', Buffer.from('the whole properties section').toString('hex')],
        fields: [
            ['message_id', ['string', 'm']], ['to', ['string', 'to']], ['subject', ['string', 'Betreff ü']],
            ['reply_to', ['string', 'reply']], ['correlation_id', ['uuid', UUID]], ['content_type', ['symbol', 'text/plain']],
            ['content_encoding', ['symbol', 'gzip']], ['absolute_expiry_time', ['timestamp', '1893456000000']],
            ['creation_time', ['timestamp', '1700000000000']], ['group_id', ['string', 'g']], ['group_sequence', ['uint', 4294967295]],
            ['reply_to_group_id', ['string', 'rg']],
        ],
        annotations: [['custom-annotation', ['string', 'kept']], ['iothub-number', ['long', '-7']]],
    },
    { body: ['value', ['string', 'a value, not data']] },
    { body: ['value', ['map', [[['string', 'k'], ['list', [['int', -1], ['timestamp', '1700000000000']]]]]]] },
    { body: ['sequence', [['string', 'one'], ['uint', 2], ['null', null]]] },
].map(event => ({ fields: [], annotations: [], properties: [], ...event }));

const bytes_of = (value, write) => { const bytes = Buffer.alloc(8); bytes[write](BigInt(value)); return bytes; };

/* How rhea is told the exact type of a value. */
const TYPED = {
    null: () => types.Null(),
    boolean: value => types.wrap_boolean(value),
    ubyte: value => types.wrap_ubyte(value),
    ushort: value => types.wrap_ushort(value),
    uint: value => types.wrap_uint(value),
    ulong: value => types.wrap_ulong(bytes_of(value, 'writeBigUInt64BE')),
    byte: value => types.wrap_byte(value),
    short: value => types.wrap_short(value),
    int: value => types.wrap_int(value),
    long: value => types.wrap_long(bytes_of(value, 'writeBigInt64BE')),
    float: value => types.wrap_float(hex(value).readFloatBE()),
    double: value => types.wrap_double(hex(value).readDoubleBE()),
    decimal32: value => types.Decimal32(hex(value)),
    decimal64: value => types.Decimal64(hex(value)),
    decimal128: value => types.Decimal128(hex(value)),
    char: value => types.wrap_char(value),
    timestamp: value => types.Timestamp(bytes_of(value, 'writeBigInt64BE')),
    uuid: value => types.wrap_uuid(hex(value)),
    binary: value => types.wrap_binary(hex(value)),
    string: value => types.wrap_string(value),
    symbol: value => types.wrap_symbol(value),
    list: value => types.wrap_list(value.map(typed)),
    map: value => types.Map32(value.flat().map(typed)),
    array: ([element, values]) => types.wrap_array(values, { int: types.Int, string: types.Str32 }[element].typecode),
    described: ([descriptor, value]) => types.described(typed(descriptor), typed(value)),
};

function typed([name, value]) {
    return TYPED[name](value);
}

/* Where the official client wants a plain value it wraps that itself, into the one type the field has. */
function field_of([name, value]) {
    return name === 'timestamp' ? Number(value) : value;
}

const CAMEL = name => name.replace(/_(.)/g, (_, letter) => letter.toUpperCase());

function message_of(event) {
    const message = { bodyType: event.body[0] };
    const [kind, body] = event.body;
    message.body = kind === 'data' ? hex(body) : kind === 'value' ? typed(body) : body.map(typed);
    message.properties = Object.fromEntries(event.fields.map(([name, value]) =>
        [CAMEL(name), ['message_id', 'correlation_id'].includes(name) ? typed(value) : field_of(value)]));
    message.messageAnnotations = Object.fromEntries(event.annotations.map(([key, value]) => [key, typed(value)]));
    message.applicationProperties = Object.fromEntries(event.properties.map(([key, value]) => [key, typed(value)]));
    return message;
}

module.exports = { messages: EVENTS.map(message_of), lines: EVENTS.map(line_of) };
