#!/usr/bin/env node
'use strict';
/*
 * The official client @azure/event-hubs against a server: every case is a sentence about the server that must be true.
 *
 *   sdk_suite.js --connection CONN --hub HUB [--only TEXT]
 *
 * CONN is a connection string of a rule that may do everything, without EntityPath. The hub needs two partitions or more, and may
 * hold events already. For TLS, set NODE_EXTRA_CA_CERTS to the server's authority. --only runs the cases whose name contains TEXT.
 * Prints TAP lines and, last, "N passed, N failed"; exits 0 only when none failed.
 */

const path = require('node:path');
const { createHash, randomBytes, randomUUID } = require('node:crypto');
const { parseArgs } = require('node:util');
const assert = require('node:assert/strict');
const {
    EventHubProducerClient, EventHubConsumerClient, EventHubBufferedProducerClient, earliestEventPosition, latestEventPosition,
} = require('@azure/event-hubs');
const { flat, flat_of_received } = require('./event_line.js');
const { messages, lines } = require('./event_set.js');
const { test, within, run_cases } = require('./cases.js');

/* The client's own hash: it is not exported, and the package's exports map is passed by naming the file. */
const { mapPartitionKeyToId } = require(path.join(path.dirname(require.resolve('@azure/event-hubs')), 'impl', 'partitionKeyToIdMapper.js'));

const { values: options } = parseArgs({ options: {
    connection: { type: 'string' }, hub: { type: 'string', default: 'hub' }, only: { type: 'string', default: '' },
} });
if (!options.connection) {
    console.error('usage: sdk_suite.js --connection CONN --hub HUB [--only TEXT]');
    process.exit(2);
}
const CONN = options.connection, HUB = options.hub;
const WAIT_MS = 8000;
const CLIENT = { retryOptions: { maxRetries: 0, timeoutInMs: 6000, retryDelayInMs: 100 } };

/* The clients a case opened: closed when it ends, however it ends. */
let opened = [];

function kept(client) {
    opened.push(client);
    return client;
}

const producer_of = (connection = CONN, hub = HUB) => kept(new EventHubProducerClient(connection, hub, CLIENT));
const consumer_of = (connection = CONN, hub = HUB, group = '$Default') => kept(new EventHubConsumerClient(group, connection, hub, CLIENT));

/*
 * A subscription to one partition that can be asked things: until() resolves when a condition holds for what came so far, or
 * rejects with the error the client reported. An empty batch tells that the link is up and the position is read to its end.
 */
class Subscription {
    constructor(consumer, partition, startPosition, more = {}) {
        this.events = [];
        this.attached = false;
        this.error = undefined;
        this.context = undefined;
        this.wake = () => {};
        this.subscription = consumer.subscribe(partition, {
            processEvents: async (events, context) => {
                this.events.push(...events);
                this.attached = true;
                this.context = context;
                this.wake();
            },
            processError: async error => { this.error = this.error || error; this.wake(); },
        }, { startPosition, maxBatchSize: 100, maxWaitTimeInSeconds: 0.25, ...more });
    }

    until(what, holds) {
        return within(WAIT_MS, what, new Promise((resolve, reject) => {
            this.wake = () => {
                if (holds(this)) resolve(this);
                else if (this.error) reject(this.error);
            };
            this.wake();
        }));
    }

    at_least(count) {
        return this.until(`${count} events`, () => this.events.length >= count).then(() => this.events);
    }

    up() {
        return this.until('attaching', () => this.attached);
    }

    refused() {
        return this.until('an error', () => this.error).then(() => this.error);
    }

    close() {
        return this.subscription.close();
    }
}

const after = sequenceNumber => ({ sequenceNumber, isInclusive: false });

function subscribe(partition, position, more) {
    return new Subscription(consumer_of(), partition, position, more);
}

async function last_of(partition) {
    return (await consumer_of().getPartitionProperties(partition)).lastEnqueuedSequenceNumber;
}

/* Sends numbered events to a partition and returns them as they came back: the base of every question about positions. */
async function sent_and_seen(partition, count, bodies = i => `${i}`) {
    const before = await last_of(partition);
    await producer_of().sendBatch(Array.from({ length: count }, (_, i) => ({ body: bodies(i) })), { partitionId: partition });
    const events = await subscribe(partition, after(before)).at_least(count);
    assert.equal(events.length, count);
    return events;
}

async function fails_with(code, promise) {
    await assert.rejects(within(WAIT_MS, code, promise), error => {
        assert.equal(error.code, code, `${error.code || error.name}: ${error.message}`);
        return true;
    });
}

const digest = bytes => createHash('sha256').update(bytes).digest('hex');

test('a hub tells its name, its creation time and its partitions', async () => {
    const properties = await consumer_of().getEventHubProperties();
    assert.equal(properties.name, HUB);
    assert.ok(properties.createdOn instanceof Date && properties.createdOn.getTime() > 0 && properties.createdOn.getTime() < Date.now() + 60000);
    assert.ok(properties.partitionIds.length >= 2);
    assert.deepEqual(properties.partitionIds, properties.partitionIds.map((_, i) => String(i)));
});

test('the producer is told the same partitions as the consumer', async () => {
    assert.deepEqual(await producer_of().getPartitionIds(), await consumer_of().getPartitionIds());
});

test('a partition tells its first and last event, and moves when one is sent', async () => {
    const consumer = consumer_of();
    const before = await consumer.getPartitionProperties('0');
    assert.equal(before.eventHubName, HUB);
    assert.equal(before.partitionId, '0');
    assert.equal(typeof before.beginningSequenceNumber, 'number');
    const start = Date.now();
    await producer_of().sendBatch([{ body: 'one' }, { body: 'two' }], { partitionId: '0' });
    const now = await consumer.getPartitionProperties('0');
    assert.equal(now.lastEnqueuedSequenceNumber, before.lastEnqueuedSequenceNumber + 2);
    assert.notEqual(String(now.lastEnqueuedOffset), String(before.lastEnqueuedOffset));
    assert.ok(Math.abs(now.lastEnqueuedOnUtc.getTime() - start) < 10000, String(now.lastEnqueuedOnUtc));
    assert.equal(now.isEmpty, false);
});

test('a batch without a key arrives whole, in one partition', async () => {
    const consumer = consumer_of();
    const ids = await consumer.getPartitionIds();
    const before = await Promise.all(ids.map(id => last_of(id)));
    await producer_of().sendBatch(Array.from({ length: 100 }, (_, i) => ({ body: `unkeyed ${i}` })));
    const grown = (await Promise.all(ids.map(id => last_of(id)))).map((last, i) => last - before[i]);
    assert.deepEqual(grown.filter(count => count > 0), [100]);
    const at = grown.indexOf(100);
    const events = await subscribe(ids[at], after(before[at])).at_least(100);
    assert.deepEqual(events.map(event => event.body), Array.from({ length: 100 }, (_, i) => `unkeyed ${i}`));
});

test('batches without a key are spread over the partitions', async () => {
    const producer = producer_of();
    const ids = await producer.getPartitionIds();
    const before = await Promise.all(ids.map(id => last_of(id)));
    for (let i = 0; i < 4 * ids.length; i++) await producer.sendBatch([{ body: i }]);
    const grown = (await Promise.all(ids.map(id => last_of(id)))).map((last, i) => last - before[i]);
    assert.equal(grown.reduce((sum, count) => sum + count), 4 * ids.length);
    assert.ok(grown.filter(count => count > 0).length >= 2, `grown by ${grown}`);
});

test('every event of a key lands in one partition, the one its hash names, and keeps the key', async () => {
    const producer = producer_of();
    const ids = await producer.getPartitionIds();
    const before = await Promise.all(ids.map(id => last_of(id)));
    const keys = ['a', '0', 'key', 'abc', 'device-42', 'exactly12chr', 'thirteen-char', 'ключ', '日本', 'contoso/telemetry/42'];
    for (const round of [1, 2]) {
        for (const key of keys) await producer.sendBatch([{ body: `${key} ${round} a` }, { body: `${key} ${round} b` }], { partitionKey: key });
    }
    const expected = ids.map((_, i) => keys.filter(key => mapPartitionKeyToId(key, ids.length) === i));
    for (const [i, id] of ids.entries()) {
        const events = expected[i].length ? await subscribe(id, after(before[i])).at_least(4 * expected[i].length) : [];
        assert.deepEqual(events.map(event => event.body).sort(), expected[i].flatMap(key => ['1 a', '1 b', '2 a', '2 b'].map(end => `${key} ${end}`)).sort());
        for (const event of events) assert.equal(event.partitionKey, event.body.replace(/ [12] [ab]$/, ''));
        assert.equal(await last_of(id), before[i] + 4 * expected[i].length);
    }
});

test('a batch to a partition arrives in order, its sequence numbers without a gap, its offsets all different', async () => {
    const start = Date.now();
    const events = await sent_and_seen('1', 500, i => ({ number: i }));
    assert.deepEqual(events.map(event => event.body.number), Array.from({ length: 500 }, (_, i) => i));
    events.forEach((event, i) => assert.equal(event.sequenceNumber, events[0].sequenceNumber + i));
    assert.equal(new Set(events.map(event => event.offset)).size, 500);
    for (const event of events) {
        assert.equal(typeof event.offset, 'string');
        assert.ok(Math.abs(event.enqueuedTimeUtc.getTime() - start) < 10000);
        assert.equal(event.partitionKey, undefined);
    }
});

test('four hundred batches at once are all accepted, whatever the first credit', async () => {
    const producer = producer_of();
    const before = await last_of('1');
    await Promise.all(Array.from({ length: 400 }, (_, i) => producer.sendBatch([{ body: i }], { partitionId: '1' })));
    const events = await subscribe('1', after(before)).at_least(400);
    assert.deepEqual(events.map(event => event.body), Array.from({ length: 400 }, (_, i) => i));
});

test('a consumer with small prefetch is given everything in turn', async () => {
    const before = await last_of('0');
    await producer_of().sendBatch(Array.from({ length: 300 }, (_, i) => ({ body: i })), { partitionId: '0' });
    const events = await subscribe('0', after(before), { prefetchCount: 7, maxBatchSize: 5 }).at_least(300);
    assert.deepEqual(events.map(event => event.body), Array.from({ length: 300 }, (_, i) => i));
});

test('earliest begins with the first event of the partition', async () => {
    await producer_of().sendBatch([{ body: 'there is one' }], { partitionId: '0' });
    const { beginningSequenceNumber } = await consumer_of().getPartitionProperties('0');
    const [first] = await subscribe('0', earliestEventPosition).at_least(1);
    assert.equal(first.sequenceNumber, beginningSequenceNumber);
});

test('latest sees nothing old and everything new', async () => {
    const producer = producer_of();
    await producer.sendBatch([{ body: 'old' }], { partitionId: '0' });
    const subscription = await subscribe('0', latestEventPosition).up();
    assert.deepEqual(subscription.events, []);
    await producer.sendBatch([{ body: 'new' }], { partitionId: '0' });
    const [event] = await subscription.at_least(1);
    assert.equal(event.body, 'new');
});

test('a sequence number, exclusive, begins behind its event; inclusive, with it', async () => {
    const events = await sent_and_seen('0', 5);
    const middle = events[2].sequenceNumber;
    const [behind] = await subscribe('0', { sequenceNumber: middle, isInclusive: false }).at_least(1);
    const [with_it] = await subscribe('0', { sequenceNumber: middle, isInclusive: true }).at_least(1);
    assert.deepEqual([behind.sequenceNumber, with_it.sequenceNumber], [middle + 1, middle]);
});

test('an offset, exclusive, begins behind its event; inclusive, with it', async () => {
    const events = await sent_and_seen('0', 5);
    const { offset } = events[2];
    const [behind] = await subscribe('0', { offset, isInclusive: false }).at_least(1);
    const [with_it] = await subscribe('0', { offset, isInclusive: true }).at_least(1);
    assert.deepEqual([behind.offset, with_it.offset], [events[3].offset, offset]);
});

test('an enqueued time begins with the first event behind it', async () => {
    const [old] = await sent_and_seen('0', 1);
    await new Promise(resolve => setTimeout(resolve, 20));
    const [young] = await sent_and_seen('0', 1);
    assert.ok(young.enqueuedTimeUtc > old.enqueuedTimeUtc);
    const [at_old] = await subscribe('0', { enqueuedOn: old.enqueuedTimeUtc }).at_least(1);
    const [between] = await subscribe('0', { enqueuedOn: young.enqueuedTimeUtc.getTime() - 1 }).at_least(1);
    assert.deepEqual([at_old.sequenceNumber, between.sequenceNumber], [young.sequenceNumber, young.sequenceNumber]);
});

test('a higher owner level takes the partition, and the old receiver is told that it was disconnected', async () => {
    const old = await subscribe('0', latestEventPosition, { ownerLevel: 1 }).up();
    const owner = await subscribe('0', latestEventPosition, { ownerLevel: 2 }).up();
    assert.equal((await old.refused()).code, 'ReceiverDisconnectedError');
    await producer_of().sendBatch([{ body: 'for the owner' }], { partitionId: '0' });
    assert.equal((await owner.at_least(1))[0].body, 'for the owner');
    assert.equal(owner.error, undefined);
});

test('an equal owner level takes the partition too', async () => {
    const old = await subscribe('0', latestEventPosition, { ownerLevel: 3 }).up();
    await subscribe('0', latestEventPosition, { ownerLevel: 3 }).up();
    assert.equal((await old.refused()).code, 'ReceiverDisconnectedError');
});

test('a lower owner level, or none, is refused while the owner reads on', async () => {
    const owner = await subscribe('0', latestEventPosition, { ownerLevel: 5 }).up();
    assert.equal((await subscribe('0', latestEventPosition, { ownerLevel: 4 }).refused()).code, 'ReceiverDisconnectedError');
    assert.equal((await subscribe('0', latestEventPosition).refused()).code, 'ReceiverDisconnectedError');
    await producer_of().sendBatch([{ body: 'still here' }], { partitionId: '0' });
    assert.equal((await owner.at_least(1))[0].body, 'still here');
});

test('an owner level sends away receivers that have none, in its partition only', async () => {
    const guest = await subscribe('0', latestEventPosition).up();
    const neighbour = await subscribe('1', latestEventPosition).up();
    await subscribe('0', latestEventPosition, { ownerLevel: 1 }).up();     /* the client leaves 0 out */
    assert.equal((await guest.refused()).code, 'ReceiverDisconnectedError');
    await producer_of().sendBatch([{ body: 'next door' }], { partitionId: '1' });
    assert.equal((await neighbour.at_least(1))[0].body, 'next door');
});

test('a partition is free again when its owner has left', async () => {
    const owner = await subscribe('0', latestEventPosition, { ownerLevel: 9 }).up();
    await owner.close();
    await subscribe('0', latestEventPosition).up();
});

test('five receivers without an owner level share a partition, a sixth is one too many', async () => {
    const crowd = await Promise.all(Array.from({ length: 5 }, () => subscribe('1', latestEventPosition).up()));
    assert.equal((await subscribe('1', latestEventPosition).refused()).code, 'QuotaExceededError');
    await producer_of().sendBatch([{ body: 'for all five' }], { partitionId: '1' });
    for (const member of crowd) assert.equal((await member.at_least(1))[0].body, 'for all five');
});

test('a receiver that asks is told about the newest event of its partition', async () => {
    const before = await last_of('0');
    const start = Date.now();
    await producer_of().sendBatch(Array.from({ length: 20 }, (_, i) => ({ body: i })), { partitionId: '0' });
    const subscription = subscribe('0', after(before), { trackLastEnqueuedEventProperties: true });
    const events = await subscription.at_least(20);
    const newest = events[events.length - 1];
    const told = subscription.context.lastEnqueuedEventProperties;
    assert.deepEqual([told.sequenceNumber, told.offset, told.enqueuedOn.getTime()],
        [newest.sequenceNumber, newest.offset, newest.enqueuedTimeUtc.getTime()]);
    assert.ok(told.retrievedOn.getTime() >= start - 10000 && told.retrievedOn.getTime() <= Date.now() + 10000);
});

test('a receiver that does not ask gets no delivery annotations', async () => {
    const [event] = await sent_and_seen('0', 1);
    assert.equal(event.getRawAmqpMessage().deliveryAnnotations, undefined);
});

const with_key = (name, key) => CONN.replace(/SharedAccessKeyName=[^;]*/, `SharedAccessKeyName=${name}`).replace(/SharedAccessKey=[^;]*/, `SharedAccessKey=${key}`);
const RULE = /SharedAccessKeyName=([^;]*)/.exec(CONN)[1];

test('a wrong key is unauthorized, for properties, for a producer and for a consumer', async () => {
    const wrong = with_key(RULE, 'not-the-key');
    await fails_with('UnauthorizedError', consumer_of(wrong).getEventHubProperties());
    await fails_with('UnauthorizedError', producer_of(wrong).sendBatch([{ body: 'x' }]));
    assert.equal((await new Subscription(consumer_of(wrong), '0', latestEventPosition).refused()).code, 'UnauthorizedError');
});

test('an unknown rule is unauthorized', async () => {
    await fails_with('UnauthorizedError', consumer_of(with_key('nobody', 'x')).getEventHubProperties());
});

test('an unknown hub is not found, for properties, for a producer and for a consumer', async () => {
    const nowhere = `no-such-hub-${randomUUID()}`;
    await fails_with('MessagingEntityNotFoundError', consumer_of(CONN, nowhere).getEventHubProperties());
    await fails_with('MessagingEntityNotFoundError', producer_of(CONN, nowhere).sendBatch([{ body: 'x' }]));
    assert.equal((await new Subscription(consumer_of(CONN, nowhere), '0', latestEventPosition).refused()).code, 'MessagingEntityNotFoundError');
});

test('an unknown consumer group is not found', async () => {
    const error = await new Subscription(consumer_of(CONN, HUB, 'no-such-group'), '0', latestEventPosition).refused();
    assert.equal(error.code, 'MessagingEntityNotFoundError');
});

test('an unknown partition is out of range, for properties, for a producer and for a consumer', async () => {
    await fails_with('ArgumentOutOfRangeError', consumer_of().getPartitionProperties('999'));
    await fails_with('ArgumentOutOfRangeError', producer_of().sendBatch([{ body: 'x' }], { partitionId: '999' }));
    assert.equal((await subscribe('999', latestEventPosition).refused()).code, 'ArgumentOutOfRangeError');
});

test('after a refusal the same connection still serves', async () => {
    const producer = producer_of();
    await fails_with('ArgumentOutOfRangeError', producer.sendBatch([{ body: 'x' }], { partitionId: '999' }));
    await producer.sendBatch([{ body: 'y' }], { partitionId: '0' });
});

test('an event of 900 KiB goes and comes back as it was', async () => {
    const body = randomBytes(900 * 1024);
    const before = await last_of('1');
    await producer_of().sendBatch([{ body }], { partitionId: '1' });
    const [event] = await subscribe('1', after(before), { skipParsingBodyAsJson: true }).at_least(1);
    assert.equal(event.body.length, body.length);
    assert.equal(digest(event.body), digest(body));
});

test('a batch takes as much as the link said, refuses more, and arrives whole', async () => {
    const producer = producer_of();
    const before = await last_of('1');
    const batch = await producer.createBatch({ partitionId: '1' });
    assert.equal(batch.maxSizeInBytes, 1048576);
    assert.equal(batch.tryAdd({ body: Buffer.alloc(1048576) }), false);
    const body = randomBytes(1000);
    while (batch.tryAdd({ body })) continue;
    assert.ok(batch.count > 1000 && batch.sizeInBytes <= batch.maxSizeInBytes);
    await producer.sendBatch(batch);
    const events = await subscribe('1', after(before), { skipParsingBodyAsJson: true }).at_least(batch.count);
    assert.equal(events.length, batch.count);
    assert.ok(events.every(event => digest(event.body) === digest(body)));
});

test('a message larger than the link takes is too large, nothing of it arrives, and the link goes on', async () => {
    const before = await last_of('1');
    const producer = producer_of();
    await fails_with('MessageTooLargeError', producer.sendBatch([{ body: Buffer.alloc(1300000) }], { partitionId: '1' }));
    assert.equal(await last_of('1'), before);
    await producer.sendBatch([{ body: 'small' }], { partitionId: '1' });
    assert.equal(await last_of('1'), before + 1);
});

test('every kind of property comes back', async () => {
    const before = await last_of('0');
    await producer_of().sendBatch(messages, { partitionId: '0' });
    const events = await subscribe('0', after(before), { skipParsingBodyAsJson: true }).at_least(messages.length);
    assert.deepEqual(events.map(flat_of_received), lines.map(flat));
});

test('properties of plain events come back as JavaScript sees them', async () => {
    const before = await last_of('0');
    const properties = { text: 'Grüße', number: 42, zero: 0, negative: -5, big: 2 ** 40, fraction: 1.5, yes: true, no: false,
        nothing: null, nested: { list: [1, 'zwei', null] }, 'ключ': 'non-ASCII key' };
    await producer_of().sendBatch([{
        body: { json: [1, 2, 3] }, contentType: 'application/json', messageId: 'm-1', correlationId: 'c-1', properties: { ...properties, when: new Date(1700000000123) },
    }], { partitionId: '0' });
    const [event] = await subscribe('0', after(before)).at_least(1);
    assert.deepEqual(event.body, { json: [1, 2, 3] });
    assert.deepEqual([event.contentType, event.messageId, event.correlationId], ['application/json', 'm-1', 'c-1']);
    assert.deepEqual(event.properties, { ...properties, when: 1700000000123 });
});

test('two hundred events of a buffered producer arrive, each key in its own partition, in order', async () => {
    const ids = await consumer_of().getPartitionIds();
    const before = await Promise.all(ids.map(id => last_of(id)));
    const lost = [];
    const producer = kept(new EventHubBufferedProducerClient(CONN, HUB, {
        ...CLIENT, maxWaitTimeInMs: 100, onSendEventsErrorHandler: async context => { lost.push(context.error); },
    }));
    for (let i = 0; i < 200; i++) await producer.enqueueEvent({ body: { key: `k${i % 10}`, i } }, { partitionKey: `k${i % 10}` });
    await producer.flush();
    assert.deepEqual(lost, []);
    const came = [];
    for (const [at, id] of ids.entries()) {
        const grown = await last_of(id) - before[at];
        const events = grown ? await subscribe(id, after(before[at])).at_least(grown) : [];
        for (const { body } of events) assert.equal(mapPartitionKeyToId(body.key, ids.length), at);
        came.push(...events.map(event => event.body));
    }
    assert.equal(came.length, 200);
    for (let k = 0; k < 10; k++) {
        assert.deepEqual(came.filter(body => body.key === `k${k}`).map(body => body.i), Array.from({ length: 20 }, (_, i) => 10 * i + k));
    }
});

run_cases(options.only, async () => {
    const clients = opened;
    opened = [];
    await Promise.allSettled(clients.map(client => client.close()));
});
