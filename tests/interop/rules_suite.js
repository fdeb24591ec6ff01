#!/usr/bin/env node
'use strict';
/*
 * What a server owes to clients other than the official JavaScript one (.NET, Python, Java, Go, C++ and plain AMQP stacks), asked by
 * a peer on rhea that looks at the types and the frames.
 *
 *   rules_suite.js --connection CONN --hub HUB [--ca FILE] [--full-lists] [--only TEXT]
 *
 * --full-lists also asks that every list be written with all its fields, nulls included, as Python clients up to 5.11 index them.
 * CONN as for sdk_suite.js; the hub needs two partitions or more. TAP lines, then "N passed, N failed"; exits 0 only when none failed.
 */

const fs = require('node:fs');
const { createHash, randomUUID } = require('node:crypto');
const { parseArgs } = require('node:util');
const assert = require('node:assert/strict');
const { types, message } = require('rhea');
const { Conversation } = require('./conversation.js');
const { Peer, server_of, token_for, sections_of, map_of, first, WAIT_MS } = require('./peer.js');
const { test, within, run_cases } = require('./cases.js');

const { values: options } = parseArgs({ options: {
    connection: { type: 'string' }, hub: { type: 'string', default: 'hub' }, ca: { type: 'string' },
    'full-lists': { type: 'boolean', default: false }, only: { type: 'string', default: '' },
} });
if (!options.connection) {
    console.error('usage: rules_suite.js --connection CONN --hub HUB [--ca FILE] [--full-lists] [--only TEXT]');
    process.exit(2);
}
const HUB = options.hub;
const SERVER = { ...server_of(options.connection), ca: options.ca && fs.readFileSync(options.ca) };
const HOST = SERVER.host;
const GROUP = `${HUB}/ConsumerGroups/$Default`;
const BATCH = 0x80013700;
const SELECTOR = 'apache.org:selector-filter:string';

let opened = [];

async function peer_of(connect_options, server = SERVER) {
    const peer = await Peer.open(server, connect_options);
    opened.push(peer);
    return peer;
}

const known_peer = async connect_options => (await peer_of(connect_options)).authorize(HUB);

async function refused_with(condition, promise) {
    await assert.rejects(within(WAIT_MS, condition, promise), error => {
        assert.equal(error.condition, condition, error.message);
        return true;
    });
}

async function code_of(answer) {
    const code = (await answer).properties['status-code'];
    assert.equal(code.type.name.replace('Small', ''), 'Int');
    return code.value;
}

const filtered = (partition, text, descriptor = 0x468c00000004) => ({
    address: `${GROUP}/Partitions/${partition}`, filter: { [SELECTOR]: types.wrap_described(text, descriptor) },
});
const LATEST = "amqp.annotation.x-opt-offset > '@latest'";

/* Collects what a link brings: {messages}, and count(n) that waits for n of them. */
function inbox(receiver) {
    const box = { messages: [], wake: () => {} };
    receiver.on('message', ({ message: bytes, delivery }) => {
        box.messages.push({ bytes, delivery, parts: sections_of(bytes) });
        box.wake();
    });
    box.count = n => within(WAIT_MS, `${n} messages`, new Promise(resolve => {
        box.wake = () => { if (box.messages.length >= n) resolve(box.messages); };
        box.wake();
    }));
    return box;
}

const pause = ms => new Promise(resolve => setTimeout(resolve, ms));

/* Sends encoded bytes and waits for the outcome. */
function send(sender, bytes, format = 0) {
    const outcome = first(sender, ['accepted', 'rejected', 'released', 'modified'], ['sender_error', 'disconnected']);
    sender.send(bytes, undefined, format);
    return outcome.then(({ delivery }) => {
        if (delivery.remote_state.error) throw Object.assign(new Error(delivery.remote_state.error.description), { condition: delivery.remote_state.error.condition });
        assert.equal(delivery.remote_settled, true);
    });
}

const event = (text, more = {}) => message.encode({ body: message.data_section(Buffer.from(text)), ...more });
const body_of = ({ parts }) => parts[0x75].value.toString();
const stamp_of = ({ parts }, key) => map_of(parts[0x72])[key];

async function last_of(peer, partition) {
    const answer = await manage(peer, { type: 'com.microsoft:partition', name: HUB, partition });
    return map_of(answer.body).last_enqueued_sequence_number.value;
}

async function manage(peer, application_properties, fields = {}) {
    peer.management = peer.management || peer.node('$management');
    return peer.ask(await peer.management, { application_properties: { operation: 'READ', ...application_properties }, ...fields });
}

const typed_as = (typed, ...names) => assert.ok(names.includes(typed.type.name), `${typed.type.name} is none of ${names}`);
const LONG = ['Long', 'SmallLong'], INT = ['Int', 'SmallInt'], STRING = ['Str8', 'Str32'], BOOLEAN = ['True', 'False', 'Boolean'];

test('each of the four SASL mechanisms is offered and opens the door', async () => {
    for (const name of ['ANONYMOUS', 'MSSBCBS', 'EXTERNAL']) {
        for (const response of [Buffer.alloc(0), Buffer.from('whoever')]) {
            const peer = await peer_of({ sasl_mechanisms: { [name]: () => ({ start: callback => callback(undefined, response) }) } });
            assert.equal(await code_of(peer.put_token(`sb://${HOST}/${HUB}`)), 202);
        }
    }
});

test('SASL PLAIN with a rule and its key needs no token', async () => {
    const peer = await peer_of({ sasl_mechanisms: undefined, username: SERVER.rule, password: SERVER.key });
    const sender = await peer.sender(`${HUB}/Partitions/0`);
    await send(sender, event('by PLAIN'));
});

test('SASL PLAIN with a wrong key ends before anything is open', async () => {
    await assert.rejects(peer_of({ sasl_mechanisms: undefined, username: SERVER.rule, password: 'wrong' }));
});

test('open tells a frame size, an idle time and a name', async () => {
    const { connection } = await peer_of();
    assert.ok(connection.container_id.length > 0);
    assert.ok(connection.max_frame_size >= 512, String(connection.max_frame_size));
    assert.ok(connection.idle_time_out > 0);
});

test('a put-token is answered under its message id, whatever its type', async () => {
    const peer = await peer_of();
    for (const id of [types.wrap_ulong(0), types.wrap_ulong(1), types.wrap_ulong(Buffer.alloc(8, 0xff)), types.wrap_string('text'),
        types.wrap_uuid(Buffer.alloc(16, 7)), types.wrap_binary(Buffer.from([0, 255]))]) {
        const { correlation_id } = await peer.put_token(`sb://${HOST}/${HUB}`, undefined, { message_id: id });
        assert.deepEqual([correlation_id.type.name, correlation_id.value], [id.type.name, id.value]);
    }
});

test('a put-token is taken as type jwt, and with an expiration of any type', async () => {
    const peer = await peer_of();
    const when = Math.floor(Date.now() / 1000) + 3600;
    for (const more of [{ type: 'jwt' }, { expiration: types.wrap_timestamp(when * 1000) }, { expiration: String(when) }, { expiration: types.wrap_long(when) },
        { 'server-timeout': types.wrap_uint(60000) }]) {
        assert.equal(await code_of(peer.put_token(`sb://${HOST}/${HUB}`, undefined, {}, more)), 202);
    }
});

test('an answer finds its link by target address, by link name, or as the other link of the session', async () => {
    for (const [way, fields] of [['address', pair => ({ reply_to: pair.reply_to })], ['name', pair => ({ reply_to: pair.receiver.name })], ['session', () => ({ reply_to: undefined })]]) {
        const peer = await peer_of();
        peer.cbs = await peer.node('$cbs', way === 'address' ? {} : { target: {} });
        assert.equal(await code_of(peer.put_token(`sb://${HOST}/${HUB}`, undefined, fields(peer.cbs))), 202, way);
    }
});

test('a request is settled before its answer comes', async () => {
    const peer = await peer_of();
    peer.cbs = await peer.node('$cbs');
    const { session } = peer.cbs;
    const order = [];
    for (const frame of ['on_disposition', 'on_transfer']) {
        const handle = session[frame];
        session[frame] = function (...of) { order.push(frame); return handle.apply(this, of); };
    }
    await peer.put_token(`sb://${HOST}/${HUB}`);
    assert.deepEqual(order, ['on_disposition', 'on_transfer']);
});

test('a token that is forged, expired, of another audience or no token at all is a 401', async () => {
    const peer = await peer_of();
    const audience = `sb://${HOST}/${HUB}`;
    for (const [why, token] of [
        ['forged', token_for(audience, { ...SERVER, key: 'wrong' })], ['expired', token_for(audience, SERVER, -60)],
        ['another audience', token_for(`sb://${HOST}/another`, SERVER)], ['none', 'nonsense'], ['empty', ''],
    ]) assert.equal(await code_of(peer.put_token(audience, token)), 401, why);
});

test('a connection has one $cbs pair, a second is not allowed', async () => {
    const peer = await known_peer();
    await refused_with('amqp:not-allowed', peer.node('$cbs'));
});

test('a link without a token is unauthorized, and a token for a partition opens no other', async () => {
    const peer = await peer_of();
    await refused_with('amqp:unauthorized-access', peer.sender(HUB));
    await refused_with('amqp:unauthorized-access', peer.receiver(filtered('0', LATEST)));
    await peer.authorize(`${GROUP}/Partitions/0`);
    await peer.receiver(filtered('0', LATEST));
    await refused_with('amqp:unauthorized-access', peer.receiver(filtered('1', LATEST)));
    await refused_with('amqp:unauthorized-access', peer.sender(HUB));
});

test('a refused attach is answered without termini, then detached for good with the reason', async () => {
    const peer = await known_peer();
    const receiver = peer.connection.open_receiver({ source: filtered('999', LATEST), credit_window: 0 });
    const { error } = await first(receiver, ['receiver_error'], []).then(({ receiver: link }) => link);
    assert.equal(error.condition, 'com.microsoft:argument-out-of-range');
    assert.match(error.description, /TrackingId:.+, SystemTracker:.+, Timestamp:.+/);
    assert.ok(!receiver.source || receiver.source.address === undefined);
    assert.ok(!receiver.target || receiver.target.address === undefined);
    assert.equal(receiver.remote.detach.closed, true);
});

test('an address may begin with a slash, be a whole URL, and be written in other letters', async () => {
    const peer = await known_peer();
    for (const address of [`/${HUB}/Partitions/0`, `amqps://${HOST}/${HUB}/Partitions/0`, `${HUB.toUpperCase()}/partitions/0`]) {
        await send(await peer.sender(address), event('addressed'));
    }
    for (const address of [`/${GROUP}/Partitions/0`, `amqps://${HOST}/${GROUP}/Partitions/0`, `${HUB}/consumergroups/$default/partitions/0`]) {
        const receiver = await peer.receiver(address);
        const box = inbox(receiver);
        receiver.add_credit(1);
        await box.count(1);
    }
});

test('hub properties have the types that other clients insist on', async () => {
    const peer = await known_peer();
    for (const fields of [{ body: null }, { body: message.data_section(Buffer.from('[]')) }, { message_id: types.wrap_ulong(7) }]) {
        const { body } = await manage(peer, { type: 'com.microsoft:eventhub', name: HUB, security_token: types.described(types.wrap_binary(Buffer.from('t')), types.wrap_long(1)) }, fields);
        const map = map_of(body);
        for (let i = 0; i < body.value.length; i += 2) typed_as(body.value[i], ...STRING);
        typed_as(map.name, ...STRING);
        assert.equal(map.name.value, HUB);
        assert.equal(map.type.value, 'com.microsoft:eventhub');
        typed_as(map.created_at, 'Timestamp');
        typed_as(map.partition_count, ...INT);
        typed_as(map.partition_ids, 'Array8', 'Array32');
        assert.ok([types.Str8.typecode, types.Str32.typecode].includes(map.partition_ids.array_constructor.typecode));
        assert.equal(map.partition_ids.value.length, map.partition_count.value);
        typed_as(map.georeplication_factor, ...INT);
        assert.equal(map.georeplication_factor.value, 1);
    }
});

test('partition properties have the types that other clients insist on', async () => {
    const peer = await known_peer();
    const map = map_of((await manage(peer, { type: 'com.microsoft:partition', name: HUB, partition: '0' })).body);
    for (const key of ['name', 'type', 'partition', 'last_enqueued_offset']) typed_as(map[key], ...STRING);
    for (const key of ['begin_sequence_number', 'last_enqueued_sequence_number']) typed_as(map[key], ...LONG);
    typed_as(map.last_enqueued_time_utc, 'Timestamp');
    typed_as(map.is_partition_empty, ...BOOLEAN);
    assert.deepEqual([map.name.value, map.type.value, map.partition.value], [HUB, 'com.microsoft:partition', '0']);
});

test('management refuses with a code and a condition', async () => {
    const peer = await known_peer();
    for (const [request, code, condition] of [
        [{ type: 'com.microsoft:eventhub', name: 'nowhere' }, 404, 'amqp:not-found'],
        [{ type: 'com.microsoft:partition', name: HUB, partition: 'XYZ' }, 400, 'com.microsoft:argument-out-of-range'],
    ]) {
        const { properties } = await manage(peer, request);
        assert.deepEqual([properties['status-code'].value, properties['error-condition'].value], [code, condition]);
        typed_as(properties['error-condition'], 'Sym8', 'Sym32');
    }
});

test('a sender is told the size of a message, at most what it asked for, and has credit at once', async () => {
    const peer = await known_peer();
    for (const [asked, told] of [[undefined, 1048576], [0, 1048576], [4096, 4096], [2 ** 40, 1048576]]) {
        const sender = await peer.sender(`${HUB}/Partitions/0`, { max_message_size: asked, properties: { 'com.microsoft:timeout': types.wrap_uint(60000) } });
        assert.equal(sender.max_message_size, told);
        assert.equal(sender.target.address, `${HUB}/Partitions/0`);
        if (!sender.sendable()) await first(sender, ['sendable'], ['sender_close']);
        assert.ok(sender.credit >= 300, String(sender.credit));
    }
});

test('a bare event of format 0 arrives; its key, in its annotations, finds the partition', async () => {
    const peer = await known_peer();
    const count = map_of((await manage(peer, { type: 'com.microsoft:eventhub', name: HUB })).body).partition_count.value;
    const before = await Promise.all(Array.from({ length: count }, (_, i) => last_of(peer, String(i))));
    const sender = await peer.sender(HUB);
    const text = randomUUID();
    for (let i = 0; i < 3; i++) await send(sender, event(`${text} ${i}`, { message_annotations: { 'x-opt-partition-key': 'device-42' } }));
    const grown = (await Promise.all(before.map((_, i) => last_of(peer, String(i))))).map((last, i) => last - before[i]);
    assert.deepEqual(grown.filter(Boolean), [3]);
    const receiver = await peer.receiver(filtered(grown.indexOf(3), `amqp.annotation.x-opt-sequence-number > '${before[grown.indexOf(3)]}'`));
    const box = inbox(receiver);
    receiver.add_credit(10);
    const came = await box.count(3);
    assert.deepEqual(came.map(body_of), [0, 1, 2].map(i => `${text} ${i}`));
    for (const one of came) assert.equal(stamp_of(one, 'x-opt-partition-key').value, 'device-42');
});

test('a batch whose key stands on the envelope alone gives it to every event', async () => {
    const peer = await known_peer();
    const sender = await peer.sender(`${HUB}/Partitions/0`);
    const before = await last_of(peer, '0');
    const batch = message.encode({
        message_annotations: { 'x-opt-partition-key': 'k' }, body: message.data_sections([event('one'), event('two')]),
    });
    await send(sender, batch, BATCH);
    const receiver = await peer.receiver(filtered('0', `amqp.annotation.x-opt-sequence-number > '${before}'`));
    const box = inbox(receiver);
    receiver.add_credit(10);
    const came = await box.count(2);
    assert.deepEqual(came.map(one => [body_of(one), stamp_of(one, 'x-opt-partition-key').value]), [['one', 'k'], ['two', 'k']]);
});

test('events sent settled are kept, and no disposition comes for them', async () => {
    const peer = await known_peer();
    const before = await last_of(peer, '0');
    const sender = await peer.sender(`${HUB}/Partitions/0`, { snd_settle_mode: 1 });
    let outcomes = 0;
    sender.on('accepted', () => { outcomes++; });
    for (let i = 0; i < 5; i++) sender.send(event(`settled ${i}`), undefined, 0);
    while (await last_of(peer, '0') < before + 5) await pause(20);
    assert.equal(outcomes, 0);
});

test('what a producer wrote comes back byte for byte behind the annotations', async () => {
    const peer = await known_peer();
    const before = await last_of(peer, '0');
    const writer = new types.Writer();
    const numbers = { wide: types.Uint(5), narrow: types.SmallUint(5), none: types.Uint0(), long: types.Long(-1), short: types.SmallLong(-1), flag: types.Boolean(1) };
    writer.write(types.described(types.wrap_ulong(0x73), types.List8([types.Ulong(1), types.Null(), types.Str32('to')])));
    writer.write(types.described(types.Ulong(0x74), types.Map8(Object.entries(numbers).flatMap(([key, value]) => [types.wrap_string(key), value]))));
    writer.write(types.described(types.wrap_ulong(0x75), types.Vbin32(Buffer.from('wide'))));
    const bytes = writer.toBuffer();
    await send(await peer.sender(`${HUB}/Partitions/0`), bytes);
    const receiver = await peer.receiver(filtered('0', `amqp.annotation.x-opt-sequence-number > '${before}'`));
    const box = inbox(receiver);
    receiver.add_credit(1);
    const [one] = await box.count(1);
    assert.equal(one.bytes.subarray(one.bytes.length - bytes.length).toString('hex'), bytes.toString('hex'));
});

test('events come settled, stamped with the service\'s annotations and their types', async () => {
    const peer = await known_peer();
    const receiver = await peer.receiver(filtered('0', LATEST));
    assert.equal(receiver.snd_settle_mode, 1);
    assert.equal(receiver.source.filter[SELECTOR].value, LATEST);
    const box = inbox(receiver);
    receiver.add_credit(10);
    await send(await peer.sender(`${HUB}/Partitions/0`), event('stamped', { message_annotations: { 'x-opt-offset': 'forged', 'x-own': 1 } }));
    const [one] = await box.count(1);
    assert.equal(one.delivery.remote_settled, true);
    typed_as(stamp_of(one, 'x-opt-sequence-number'), ...LONG);
    typed_as(stamp_of(one, 'x-opt-offset'), ...STRING);
    typed_as(stamp_of(one, 'x-opt-enqueued-time'), 'Timestamp');
    assert.notEqual(stamp_of(one, 'x-opt-offset').value, 'forged');
    assert.equal(stamp_of(one, 'x-own').value, 1);
    assert.equal(one.parts[0x71], undefined);
});

test('a position is understood in every way clients write it', async () => {
    const peer = await known_peer();
    const sender = await peer.sender(`${HUB}/Partitions/0`);
    const before = await last_of(peer, '0');
    for (let i = 0; i < 3; i++) { await send(sender, event(`p${i}`)); await pause(3); }
    const all = inbox(await peer.receiver(filtered('0', `amqp.annotation.x-opt-sequence-number > '${before}'`), { credit_window: 10 }));
    const [, middle] = await all.count(3);
    const sequence = stamp_of(middle, 'x-opt-sequence-number').value, offset = stamp_of(middle, 'x-opt-offset').value;
    const time = stamp_of(middle, 'x-opt-enqueued-time').value.getTime();
    for (const [text, expected] of [
        [`amqp.annotation.x-opt-sequence-number > '${sequence}'`, 'p2'], [`amqp.annotation.x-opt-sequence-number >= '${sequence}'`, 'p1'],
        [`amqp.annotation.x-opt-sequence-number >${sequence}`, 'p2'], [`amqp.annotation.x-opt-sequence-number >='${sequence}'`, 'p1'],
        [`amqp.annotation.x-opt-offset > '${offset}'`, 'p2'], [`amqp.annotation.x-opt-offset >= '${offset}'`, 'p1'], [`amqp.annotation.x-opt-offset > ${offset}`, 'p2'],
        [`amqp.annotation.x-opt-enqueued-time > '${time}'`, 'p2'], [`amqp.annotation.x-opt-enqueued-time >= '${time}'`, 'p1'],
        [`amqp.annotation.x-opt-enqueued-time > ${time - 1}`, 'p1'],
    ]) {
        for (const descriptor of [0x468c00000004, 0x137000000a, SELECTOR]) {
            const receiver = await peer.receiver(filtered('0', text, descriptor));
            const box = inbox(receiver);
            receiver.add_credit(1);
            const [one] = await box.count(1);
            assert.equal(body_of(one), expected, `${text} under ${descriptor}`);
            receiver.close();
            await first(receiver, ['receiver_close'], []);
        }
    }
});

test('never more events than credit, and a flow said twice grants once', async () => {
    const peer = await known_peer();
    const sender = await peer.sender(`${HUB}/Partitions/0`);
    const before = await last_of(peer, '0');
    for (let i = 0; i < 10; i++) await send(sender, event(`c${i}`));
    const session = peer.session();
    const receiver = await peer.receiver(filtered('0', `amqp.annotation.x-opt-sequence-number > '${before}'`), {}, session);
    const box = inbox(receiver);
    receiver.add_credit(4);
    await box.count(4);
    for (let i = 0; i < 5; i++) session._write_flow(receiver);
    await pause(100);
    assert.equal(box.messages.length, 4);
    receiver.add_credit(100);
    await box.count(10);
});

test('a drain is answered by giving the credit back', async () => {
    const peer = await known_peer();
    const receiver = await peer.receiver(filtered('0', LATEST));
    receiver.add_credit(7);
    const drained = first(receiver, ['receiver_drained'], ['receiver_close']);
    receiver.drain_credit();
    await drained;
    assert.equal(receiver.credit, 0);
    assert.equal(receiver.delivery_count, 7);
    receiver.drain = false;
    const box = inbox(receiver);
    receiver.add_credit(1);
    await send(await peer.sender(`${HUB}/Partitions/0`), event('after the drain'));
    assert.equal(body_of((await box.count(1))[0]), 'after the drain');
});

test('owner level 0 is a level: it sends away who has none, and no one without a level comes in', async () => {
    const peer = await known_peer();
    const guest = await peer.receiver(filtered('1', LATEST));
    const sent_away = refused_with('amqp:link:stolen', first(guest, [], ['receiver_error']));
    await peer.receiver(filtered('1', LATEST), { properties: { 'com.microsoft:epoch': types.wrap_long(0) } });
    await sent_away;
    await refused_with('amqp:link:stolen', peer.receiver(filtered('1', LATEST)));
});

test('frames are cut to what the peer takes', async () => {
    const peer = await known_peer({ max_frame_size: 1024 });
    const receiver = await peer.receiver(filtered('1', LATEST), { credit_window: 10 });
    const box = inbox(receiver);
    await pause(50);
    const text = 'x'.repeat(100000);
    await send(await peer.sender(`${HUB}/Partitions/1`), event(text));
    const [one] = await box.count(1);
    assert.equal(createHash('sha256').update(body_of(one)).digest('hex'), createHash('sha256').update(text).digest('hex'));
    const sizes = peer.frames.map(frame => frame.length);
    assert.ok(sizes.length > 90 && Math.max(...sizes) <= 1024, `${sizes.length} frames, the largest of ${Math.max(...sizes)} bytes`);
});

test('a peer with a short idle time hears a heartbeat in time', async () => {
    const peer = await known_peer({ idle_time_out: 1000 });
    await pause(3500);      /* rhea gives up after twice the time it announced */
    assert.equal(peer.connection.is_open(), true);
    assert.equal(await last_of(peer, '0') >= -1, true);
});

test('links come and go under one name', async () => {
    const peer = await known_peer();
    const session = peer.session();
    for (let i = 0; i < 5; i++) {
        const sender = await peer.sender(`${HUB}/Partitions/0`, { name: 'the same' }, session);
        await send(sender, event('again'));
        sender.close();
        await first(sender, ['sender_close'], []);
        await pause(1);
    }
});

test('fifty sessions with a link each live side by side', async () => {
    const peer = await known_peer();
    const before = await last_of(peer, '1');
    const senders = await Promise.all(Array.from({ length: 50 }, () => peer.sender(`${HUB}/Partitions/1`, {}, peer.session())));
    await Promise.all(senders.map((sender, i) => send(sender, event(`session ${i}`))));
    assert.equal(await last_of(peer, '1'), before + 50);
});

test('a peer may open, begin on channel 1 and attach in one breath, with handles from 1 and booleans of two bytes', async () => {
    const talk = await Conversation.start(SERVER);
    opened.push(talk);
    const attach = talk.attach('$cbs', 1);
    attach.performative.value[2] = types.Boolean(1);
    talk.say(talk.open(), talk.begin(1), attach);
    const [, begin] = await talk.until(['open', 'begin', 'attach']);
    assert.equal(begin.performative.remote_channel, 1);
    talk.say(talk.close());
    await talk.until(['close']);
});

test('a peer may say everything from the SASL header on before it hears a word', async () => {
    const talk = Conversation.at_once(SERVER, ({ open, begin, attach }) => [open(), begin(0), attach('$cbs', 0, 0)]);
    opened.push(talk);
    await talk.until(['sasl_mechanisms', 'sasl_outcome', 'open', 'begin', 'attach']);
    talk.say(talk.close());
    await talk.until(['close']);
});

test('frames for a session that was just ended are forgiven', async () => {
    const talk = await Conversation.start(SERVER);
    opened.push(talk);
    talk.say(talk.open(), talk.begin(1), talk.attach('$cbs', 1), talk.end(1), talk.detach(1, 1));
    await talk.until(['open', 'begin', 'attach', 'end']);
    talk.say(talk.begin(1));
    await talk.until(['begin']);
    talk.say(talk.close());
    const [close] = await talk.until(['close']);
    assert.ok(!close.performative.error);
});

const FIELDS = { 0x10: 10, 0x11: 8, 0x12: 14, 0x13: 11, 0x14: 11, 0x15: 6, 0x16: 3, 0x17: 1, 0x18: 1, 0x1d: 3, 0x28: 11, 0x29: 7, 0x73: 13 };

if (options['full-lists']) test('every list is written with all its fields', async () => {
    const peer = await known_peer();
    const session = peer.session();
    await refused_with('com.microsoft:argument-out-of-range', peer.receiver(filtered('999', LATEST), {}, session));
    const receiver = await peer.receiver(filtered('0', LATEST), { credit_window: 10, properties: { 'com.microsoft:epoch': types.wrap_long(1) } }, session);
    const sender = await peer.sender(`${HUB}/Partitions/0`, {}, session);
    const box = inbox(receiver);
    await send(sender, event('x'));
    await box.count(1);
    await last_of(peer, '0');
    sender.close();
    await first(sender, ['sender_close'], []);
    session.end();
    await first(session, ['session_close'], []);
    await peer.close();
    const seen = new Set();
    const look = typed => {
        if (!typed || !typed.type) return;
        const code = typed.descriptor && typed.descriptor.value;
        if (FIELDS[code]) {
            assert.equal(typed.value.length, FIELDS[code], `the list 0x${code.toString(16)}`);
            seen.add(code);
        }
        if (Array.isArray(typed.value)) typed.value.forEach(look);
    };
    for (const frame of peer.frames.filter(bytes => bytes.length > 8)) {
        const reader = new types.Reader(frame);
        reader.skip(8);
        const performative = reader.read();
        look(performative);
        const sections = [];
        while (reader.remaining() > 0) sections.push(reader.read());
        /* The bare message of an event is its producer's, byte for byte. */
        if (!sections.some(section => section.descriptor.value === 0x72)) sections.forEach(look);
        const { value, descriptor } = performative;
        if (descriptor.value === 0x11) assert.notEqual(value[4].value, null, 'handle-max');
        if (descriptor.value === 0x12 && value[2].value === false) assert.notEqual(value[9].value, null, 'initial-delivery-count');
        if (descriptor.value === 0x10) assert.notEqual(value[2].value, null, 'max-frame-size');
    }
    assert.deepEqual([...seen].sort((a, b) => a - b), Object.keys(FIELDS).map(Number));
});

run_cases(options.only, async () => {
    const peers = opened;
    opened = [];
    await Promise.all(peers.map(peer => peer instanceof Conversation ? peer.hang_up() : peer.close()));
});
