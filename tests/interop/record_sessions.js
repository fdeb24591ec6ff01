#!/usr/bin/env node
'use strict';
/*
 * Records tests/sessions/: real clients of four kinds against the emulator, or the stand-in, through a tap.
 *
 *   record_sessions.js --build DIR --emulator PORT --stand-in PORT --out DIR [--only TEXT]
 *
 * tests/interop/record_sessions.sh starts the servers. The stand-in takes frames of 1,024 bytes.
 */

const fs = require('node:fs');
const path = require('node:path');
const { spawn } = require('node:child_process');
const { parseArgs } = require('node:util');
/* The official client tells the server of the machine it runs on; a recording shall not. */
require('node:os').release = () => '6.1.0';
const { EventHubProducerClient, EventHubConsumerClient, earliestEventPosition, latestEventPosition } = require('@azure/event-hubs');
const { types, message } = require('rhea');
const { within } = require('./cases.js');
const { Tap, encoded } = require('./tap.js');

const { values: options } = parseArgs({ options: {
    build: { type: 'string' }, emulator: { type: 'string' }, 'stand-in': { type: 'string' }, out: { type: 'string' }, only: { type: 'string', default: '' },
} });

const RULE = 'SharedAccessKeyName=RootManageSharedAccessKey;SharedAccessKey=SAS_KEY_VALUE;UseDevelopmentEmulator=true';
const CLIENT = { retryOptions: { maxRetries: 0, timeoutInMs: 6000, retryDelayInMs: 100 } };
const SESSION_MS = 20000;

const connection = port => `Endpoint=sb://127.0.0.1:${port};${RULE}`;
const pause = ms => new Promise(resolve => setTimeout(resolve, ms));
const sessions = [];
const session = (name, who, what, run, server = 'emulator') => sessions.push({ name, who, what, run, server });

/* -- the official client ------------------------------------------------------------------------ */

async function producing(port, hub, run) {
    const producer = new EventHubProducerClient(connection(port), hub, CLIENT);
    try { await run(producer); } finally { await producer.close(); }
}

async function consuming(port, run) {
    const consumer = new EventHubConsumerClient('$Default', connection(port), 'hub', CLIENT);
    try { await run(consumer); } finally { await consumer.close(); }
}

/* Resolves when holds() does of the events so far, or with the error that ended it. */
function subscribed(consumer, partition, startPosition, more, holds) {
    return new Promise(resolve => {
        const events = [];
        const subscription = consumer.subscribe(partition, {
            processEvents: async batch => {
                events.push(...batch);
                if (holds(events)) { await subscription.close(); resolve(events); }
            },
            processError: async error => { await subscription.close(); resolve(error); },
        }, { startPosition, maxBatchSize: 10, maxWaitTimeInSeconds: 1, ...more });
    });
}

session('sdk_send', '@azure/event-hubs', 'single events to a partition, one after the other', port => producing(port, 'hub', async producer => {
    for (let i = 0; i < 5; i++) await producer.sendBatch([{ body: `event ${i}`, properties: { number: i } }], { partitionId: '0' });
}));

session('sdk_batch', '@azure/event-hubs', 'batches with a key and without', port => producing(port, 'hub', async producer => {
    const batch = await producer.createBatch({ partitionKey: 'device-42' });
    for (let i = 0; i < 10; i++) batch.tryAdd({ body: { number: i }, messageId: `id-${i}` });
    await producer.sendBatch(batch);
    await producer.sendBatch(Array.from({ length: 5 }, (_, i) => ({ body: Buffer.from([i, 255]) })));
}));

session('sdk_large', '@azure/event-hubs', 'events of several frames to a server that takes 1,024 bytes', port => producing(port, 'hub', async producer => {
    for (const n of [10, 3000, 1500]) await producer.sendBatch([{ body: Buffer.alloc(n, 'x') }], { partitionId: '0' });
}), 'stand-in');

session('sdk_receive', '@azure/event-hubs', 'receiving from the start of a partition', port => consuming(port, consumer =>
    subscribed(consumer, '0', earliestEventPosition, {}, events => events.length >= 5)));

session('sdk_management', '@azure/event-hubs', 'what $management tells of hub and partitions', port => consuming(port, async consumer => {
    await consumer.getEventHubProperties();
    await consumer.getPartitionProperties('0');
    await consumer.getPartitionProperties('9').catch(() => {});
}));

session('sdk_stolen', '@azure/event-hubs', 'a partition stolen by a higher owner level', port => consuming(port, async consumer => {
    const stolen = subscribed(consumer, '1', latestEventPosition, { ownerLevel: 1 }, () => false);
    await pause(1000);
    const thief = new EventHubConsumerClient('$Default', connection(options.emulator), 'hub', CLIENT);
    const theft = thief.subscribe('1', { processEvents: async () => {}, processError: async () => {} }, { startPosition: latestEventPosition, ownerLevel: 2 });
    await stolen;
    await theft.close();
    await thief.close();
}));

session('sdk_nowhere', '@azure/event-hubs', 'a hub that is not there: the attach is refused', port => producing(port, 'nowhere', producer =>
    producer.sendBatch([{ body: 'lost' }], { partitionId: '0' }).catch(() => {})));

/* -- rhea --------------------------------------------------------------------------------------- */

/* Only now: with it rhea leaves messages as bytes, which the official client, on the same rhea, would not understand. */
const raw = () => require('./peer.js');

const GROUP = 'hub/ConsumerGroups/$Default/Partitions';
const LATEST = { 'apache.org:selector-filter:string': types.wrap_described("amqp.annotation.x-opt-offset > '-1'", 0x468c00000004) };
const event = text => message.encode({ body: message.data_section(Buffer.from(text)) });

async function peering(port, connect, run) {
    const { Peer, server_of } = raw();
    const peer = await Peer.open(server_of(connection(port)), connect);
    try { await run(peer); } finally { await peer.close(); }
}

function sent(sender, bytes) {
    const outcome = raw().first(sender, ['accepted', 'rejected', 'released', 'modified'], ['disconnected']);
    sender.send(bytes);
    return outcome;
}

session('rhea_refused', 'rhea', 'links without a token, to nowhere and to no partition: all refused', port => peering(port, {}, async peer => {
    await peer.sender('hub').catch(() => {});
    await peer.authorize('');
    for (const address of ['nowhere', 'hub/Partitions/77']) await peer.sender(address).catch(() => {});
    await peer.receiver({ address: `${GROUP}/99` }).catch(() => {});
}));

session('rhea_small_frames', 'rhea', 'events of several frames to a client that takes 512 bytes', port => peering(port, { max_frame_size: 512 }, async peer => {
    await peer.authorize('hub');
    const sender = await peer.sender('hub/Partitions/2');
    for (const n of [1000, 20, 600]) await sent(sender, event('y'.repeat(n)));
    const receiver = await peer.receiver({ address: `${GROUP}/2`, filter: LATEST });
    let count = 0;
    const all = new Promise(resolve => receiver.on('message', () => { if (++count === 3) resolve(); }));
    receiver.add_credit(10);
    await all;
}));

session('rhea_drain', 'rhea', 'a drain, a detach for later, the link again, sessions begun and ended', port => peering(port, {}, async peer => {
    await peer.authorize('hub');
    const session_of_links = peer.session();
    const receiver = await peer.receiver({ address: `${GROUP}/3`, filter: LATEST }, { name: 'again', credit_window: 0 }, session_of_links);
    const drained = raw().first(receiver, ['receiver_drained'], ['receiver_close']);
    receiver.add_credit(3);
    receiver.drain_credit();
    await drained;
    const gone = raw().first(receiver, ['receiver_detached', 'receiver_close'], ['disconnected']).catch(() => {});
    receiver.detach();
    await Promise.race([gone, pause(200)]);
    const sender = await peer.sender('hub/Partitions/3', {}, peer.session());
    await sent(sender, event('after the drain'));
    sender.close();
    sender.session.close();
    session_of_links.close();
    await pause(200);
}));

session('rhea_wrong_key', 'rhea', 'SASL PLAIN with a wrong key: refused', port =>
    peering(port, { sasl_mechanisms: undefined, username: 'RootManageSharedAccessKey', password: 'not the key' }, () => {}).catch(() => {}));

session('rhea_plain', 'rhea', 'SASL PLAIN, and events without a token, one of them settled at once', port =>
    peering(port, { sasl_mechanisms: undefined, username: 'RootManageSharedAccessKey', password: 'SAS_KEY_VALUE' }, async peer => {
        const settled = await peer.sender('hub/Partitions/3', { snd_settle_mode: 1 });
        settled.send(event('never heard of again'));
        const sender = await peer.sender('hub/Partitions/3', { name: 'other' });
        await sent(sender, event('heard of'));
        await sent(sender, Buffer.from('no message'));
    }));

/* -- programs ----------------------------------------------------------------------------------- */

function program(file, args, stdin) {
    return new Promise(resolve => {
        const child = spawn(path.join(options.build, file), args, { stdio: ['pipe', 'ignore', 'inherit'] });
        child.on('close', resolve);
        child.stdin.end(stdin);
    });
}

const proton = (port, task, events) => program('bench/rivals/proton', [],
    `open task=${task} host=127.0.0.1 port=${port} tls=0 ca=none address=hub size=40 settled=0 batch=1\nrun events=${events}\nclose\n`);

session('proton_send', 'qpid-proton', 'single events', port => proton(port, 'send', 12));
session('proton_roundtrip', 'qpid-proton', 'events one by one, each awaited', port => proton(port, 'roundtrip', 4));

const own = (port, command, args, stdin, key = RULE) => program('ringhub', [command, '-c', `Endpoint=sb://127.0.0.1:${port};${key}`, '-e', 'hub', ...args], stdin);

session('own_send', 'ringhub', 'lines as events to a partition', port => own(port, 'send', ['-p', '0'], 'one\ntwo\nthree\n'));
session('own_large', 'ringhub', 'an event of several frames to a server that takes 1,024 bytes', port =>
    own(port, 'send', ['-p', '1'], `${'z'.repeat(3000)}\nshort\n`), 'stand-in');
session('own_receive', 'ringhub', 'receiving from the start of a partition', port => own(port, 'receive', ['-p', '0', '--count', '5', '--timeout', '5']));
session('own_info', 'ringhub', 'what $management tells of hub and partitions', port => own(port, 'info', []));
session('own_wrong_key', 'ringhub', 'a token signed with a wrong key: $cbs says no', port => own(port, 'info', [], '', RULE.replace('SAS_KEY_VALUE', 'wrong')));

/* -- all of them -------------------------------------------------------------------------------- */

async function record({ name, who, what, run, server }) {
    const tap = await Tap.before(Number(options[server]));
    await within(SESSION_MS, name, run(tap.port));
    const chunks = await within(SESSION_MS, `${name}: the end of the connection`, tap.session());
    tap.close();
    fs.writeFileSync(path.join(options.out, `${name}.session`), encoded(chunks));
    const bytes = tag => chunks.filter(chunk => chunk.tag === tag).reduce((sum, chunk) => sum + chunk.bytes.length, 0);
    return `| ${name} | ${who} | ${server === 'emulator' ? 'the emulator' : 'the stand-in (rhea)'} | ${bytes('C')} | ${bytes('S')} | ${chunks.length} | ${what} |`;
}

async function main() {
    const rows = [];
    for (const each of sessions.filter(({ name }) => name.includes(options.only))) {
        rows.push(await record(each));
        console.log(rows[rows.length - 1]);
    }
    process.exit(0);
}

main().catch(error => { console.error(error); process.exit(1); });
