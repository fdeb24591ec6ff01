#!/usr/bin/env node
'use strict';
/*
 * What the official client makes of our emulator's faults: that a fault script works on clients that are not ours.
 *
 *   faults_suite.js --connection CONN
 *   faults_suite.js --script    prints the script that the emulator is to be started with
 *
 * The emulator has the hubs throttled, disabled, every, detached and reset, of one partition each.
 */

const { parseArgs } = require('node:util');
const assert = require('node:assert/strict');
const { EventHubProducerClient, EventHubConsumerClient, earliestEventPosition } = require('@azure/event-hubs');
const { ConditionErrorNameMapper } = require('@azure/core-amqp');
const { test, within, run_cases } = require('./cases.js');

const SCRIPT = `
seed 3
at send hub throttled once do throttle for 1s
at send hub disabled do refuse with com.microsoft:entity-disabled "This hub rests today."
at send hub every do refuse with any
every 400ms hub detached readers do detach with amqp:link:detach-forced
every 700ms hub reset do reset
`;
const CONDITIONS = 42;

const { values: options } = parseArgs({ options: { connection: { type: 'string' }, script: { type: 'boolean' } } });
if (options.script) {
    process.stdout.write(SCRIPT);
    process.exit(0);
}

let opened = [];

function kept(client) {
    opened.push(client);
    return client;
}

const client_options = retries => ({ retryOptions: { maxRetries: retries, timeoutInMs: 5000, retryDelayInMs: 100 } });
const producer_of = (hub, retries) => kept(new EventHubProducerClient(options.connection, hub, client_options(retries)));
const consumer_of = hub => kept(new EventHubConsumerClient('$Default', options.connection, hub, client_options(10)));

async function close_all() {
    const clients = opened;
    opened = [];
    await Promise.all(clients.map(client => client.close()));
}

/* The numbers that come out of a hub until the last, with what they came as. */
function read_until(hub, last) {
    const seen = [];
    return within(12000, `${last} of ${hub}`, new Promise((resolve, reject) => {
        consumer_of(hub).subscribe('0', {
            processEvents: async events => {
                seen.push(...events.map(event => ({ number: event.body, sequence: event.sequenceNumber })));
                if (seen.some(({ number }) => number === last)) resolve(seen);
            },
            processError: async error => { if (error.retryable === false) reject(error); },
        }, { startPosition: earliestEventPosition, maxBatchSize: 20, maxWaitTimeInSeconds: 0.2 });
    }));
}

function expect_in_order(seen) {
    seen.forEach(({ sequence }, i) => assert.equal(sequence, i, 'sequence numbers have no gap and no double'));
}

test('a throttled send is tried again and arrives', async () => {
    await producer_of('throttled', 3).sendBatch([{ body: 1 }]);
    const seen = await read_until('throttled', 1);
    assert.equal(seen.length, 1);
});

test('a refused send tells the condition and the words of the script', async () => {
    await assert.rejects(producer_of('disabled', 3).sendBatch([{ body: 1 }]), error => {
        assert.equal(error.code, 'MessagingEntityDisabledError');
        assert.match(error.message, /^This hub rests today\. TrackingId:/);
        return true;
    });
});

test('every condition arrives under the name that the client has for it', async () => {
    const producer = producer_of('every', 0);
    const codes = new Set();
    for (let i = 0; i < CONDITIONS; i++) await producer.sendBatch([{ body: i }]).then(
        () => assert.fail('accepted'), error => { codes.add(error.code); });
    const known = new Set(Object.values(ConditionErrorNameMapper));
    const met = [...codes].filter(code => known.has(code));
    assert.ok(met.length >= 30, `only ${met.length} of the client's names: ${[...codes].join(' ')}`);
});

async function send_slowly(hub, count) {
    const producer = producer_of(hub, 10);
    for (let i = 1; i <= count; i++) {
        await producer.sendBatch([{ body: i }]);
        await new Promise(resolve => setTimeout(resolve, 20));
    }
}

test('a reader whose link is detached again and again reads on without a gap', async () => {
    const [seen] = await Promise.all([read_until('detached', 100), send_slowly('detached', 100)]);
    expect_in_order(seen);
    assert.equal(seen.length, 100);
});

test('clients whose connections are cut again and again lose nothing', async () => {
    const [seen] = await Promise.all([read_until('reset', 60), send_slowly('reset', 60)]);
    expect_in_order(seen);
    const numbers = new Set(seen.map(({ number }) => number));
    for (let i = 1; i <= 60; i++) assert.ok(numbers.has(i), `event ${i} is lost`);
});

run_cases('', close_all);
