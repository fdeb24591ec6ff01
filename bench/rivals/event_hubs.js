'use strict';
/* @azure/event-hubs, the official client in JavaScript, as a contender of the line protocol. */

const { readFileSync } = require('node:fs');
const tls = require('node:tls');
const path = require('node:path');
const { serve, peers, now_ns, Cannot } = require('./lines.js');
const { events_of } = require('./event.js');
const { EventHubProducerClient, EventHubConsumerClient, earliestEventPosition } = peers('@azure/event-hubs');

const RULE = 'SharedAccessKeyName=RootManageSharedAccessKey;SharedAccessKey=SAS_KEY_VALUE';
const OPTIONS = { retryOptions: { maxRetries: 0, timeoutInMs: 30000 } };
const IN_FLIGHT = 4;      /* batches whose outcome is awaited at a time */
const PREFETCH = 1000;
const READ = 300;         /* events handed over in one call */
const LEAST = 5000;       /* of a run: what was decoded before it and after it is little beside that */
const TASKS = ['send', 'receive', 'roundtrip', 'connect', 'idle'];

let order, events, producer, consumer, subscription, held = [];
let reading;

/* -- clients ---------------------------------------------------------------------------------- */

function connection() {
    if (!order.tls) return `Endpoint=sb://${order.host}:${order.port};${RULE};UseDevelopmentEmulator=true`;
    /* What NODE_EXTRA_CA_CERTS does, once the file is known. */
    tls.setDefaultCACertificates([...tls.rootCertificates, readFileSync(order.ca, 'utf8')]);
    return `Endpoint=sb://${order.host}:${order.port};${RULE}`;
}

const hub = () => order.address.split('/', 1)[0];
const new_producer = () => new EventHubProducerClient(connection(), hub(), OPTIONS);

/* A link is attached when the first batch asks it how large batches may be. */
async function attached_producer() {
    const client = new_producer();
    await new_batch(client);
    return client;
}

/* -- out -------------------------------------------------------------------------------------- */

/* The key is the batch's: the client puts it on each event. */
function new_batch(client) {
    return client.createBatch({ partitionKey: events[0].partition_key });
}

function event_of({ body, message_id, content_type, device, reading: value, calibrated }) {
    return { body, messageId: message_id, contentType: content_type, properties: { device, reading: value, calibrated } };
}

async function send_batch(client, first, count) {
    const batch = await new_batch(client);
    for (let i = first; i < first + count; i++) {
        if (!batch.tryAdd(event_of(events[i % events.length]))) throw new Error(`no room for ${count} events in a batch`);
    }
    await client.sendBatch(batch);
}

async function send(turn) {
    let begun = 0;
    const lane = async () => {
        while (begun < turn.events) {
            const first = begun;
            begun = Math.min(turn.events, first + order.batch);
            await send_batch(producer, first, begun - first);
        }
    };
    await Promise.all(Array.from({ length: IN_FLIGHT }, lane));
    return turn.events * order.size;
}

async function roundtrip(turn) {
    for (let i = 0; i < turn.events; i++) {
        const since = now_ns();
        await send_batch(producer, i, 1);
        if (turn.samples) turn.samples[i] = now_ns() - since;
    }
    return turn.events * order.size;
}

async function connect_again(turn) {
    for (let i = 0; i < turn.events; i++) {
        const since = now_ns();
        const client = new_producer();
        await send_batch(client, i, 1);
        if (turn.samples) turn.samples[i] = now_ns() - since;
        await client.close();
    }
    return turn.events * order.size;
}

/* -- in --------------------------------------------------------------------------------------- */

/* Between runs the handler does not return, so nothing more is handed over. */
async function take(batch) {
    await reading.allowed;
    reading.count += batch.length;
    for (const { body } of batch) reading.bytes += body.length;
    if (reading.count < reading.wanted) return;
    stop_reading();
    reading.finish();
}

function stop_reading() {
    reading.allowed = new Promise(resolve => { reading.allow = resolve; });
}

function subscribe() {
    reading = {};
    stop_reading();
    consumer = new EventHubConsumerClient('$Default', connection(), hub(), OPTIONS);
    subscription = consumer.subscribe('0', { processEvents: take, processError: async error => reading.fail && reading.fail(error) }, {
        startPosition: earliestEventPosition, maxBatchSize: READ, prefetchCount: PREFETCH, maxWaitTimeInSeconds: 1, skipParsingBodyAsJson: true,
    });
}

async function receive(turn) {
    const finished = new Promise((resolve, reject) => {
        Object.assign(reading, { count: 0, bytes: 0, wanted: Math.max(turn.events, LEAST), finish: resolve, fail: reject });
    });
    reading.allow();
    await finished;
    turn.events = reading.count;
    return reading.bytes;
}

/* -- the contender ---------------------------------------------------------------------------- */

const runs = { send, receive, roundtrip, connect: connect_again, idle: () => 0 };

serve({
    name: '@azure/event-hubs',
    version: JSON.parse(readFileSync(path.join(path.dirname(peers.resolve('@azure/event-hubs')), '..', '..', 'package.json'), 'utf8')).version,
    tasks: TASKS,
    settings: [
        `Node ${process.version}, no retries; frame size and TCP_NODELAY are the client's own, there is no option for them`,
        `send: createBatch, tryAdd of each event, sendBatch; ${IN_FLIGHT} batches in flight; a batch of one where single events are asked for`,
        `receive: subscribe to a partition, prefetchCount ${PREFETCH}, maxBatchSize ${READ}, bodies not parsed as JSON; the service's side settles`,
    ],

    async open(wanted) {
        if (!TASKS.includes(wanted.task)) throw new Cannot(`this program has no task ${wanted.task}`);
        if (wanted.settled && wanted.task !== 'receive') throw new Cannot('the client sends nothing pre-settled');
        order = wanted;
        events = events_of(order.size);
        if (order.task === 'receive') subscribe();
        if (order.task === 'send' || order.task === 'roundtrip') producer = await attached_producer();
        if (order.task === 'idle') held = await Promise.all(Array.from({ length: order.events }, attached_producer));
    },

    run: turn => runs[order.task](turn),

    async close() {
        if (reading) {
            reading.wanted = Infinity;
            reading.allow();
        }
        if (subscription) await subscription.close();
        await Promise.all([...held, producer, consumer].filter(Boolean).map(client => client.close()));
        held = [];
        producer = consumer = subscription = reading = undefined;
    },
});
