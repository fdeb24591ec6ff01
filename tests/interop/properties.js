#!/usr/bin/env node
'use strict';
/*
 * Every kind of property, through the official client. One line an event on stdout, in the form event_line.js describes.
 *
 *   properties.js --send CONN HUB PARTITION             sends the set of event_set.js; prints the exact lines of what it sent
 *   properties.js --receive CONN HUB PARTITION COUNT [--after SEQUENCE]
 *                                                       receives COUNT events; prints the flat lines of what the client shows
 *   properties.js --flat                                reduces exact lines on stdin to flat ones
 *
 * Exit 0 done, 1 the operation failed or COUNT was not reached in 20 s, 2 usage.
 */

const { EventHubProducerClient, EventHubConsumerClient, earliestEventPosition } = require('@azure/event-hubs');
const { flat, flat_of_received } = require('./event_line.js');

const DEADLINE_MS = 20000;
const RETRY = { maxRetries: 0, timeoutInMs: 10000 };

async function send(connection, hub, partition) {
    const { messages, lines } = require('./event_set.js');
    const producer = new EventHubProducerClient(connection, hub, { retryOptions: RETRY });
    try {
        await producer.sendBatch(messages, { partitionId: partition });
        for (const line of lines) console.log(line);
    } finally {
        await producer.close();
    }
}

async function receive(connection, hub, partition, count, after) {
    const consumer = new EventHubConsumerClient('$Default', connection, hub, { retryOptions: RETRY });
    const startPosition = after === undefined ? earliestEventPosition : { sequenceNumber: Number(after), isInclusive: false };
    let left = Number(count);
    try {
        await new Promise((resolve, reject) => {
            const deadline = setTimeout(() => reject(new Error(`${left} of ${count} events did not come`)), DEADLINE_MS);
            consumer.subscribe(partition, {
                processEvents: async events => {
                    for (const event of events.slice(0, left)) console.log(flat_of_received(event));
                    left -= Math.min(left, events.length);
                    if (left === 0) { clearTimeout(deadline); resolve(); }
                },
                processError: async error => reject(error),
            }, { startPosition, maxBatchSize: 100, maxWaitTimeInSeconds: 1, skipParsingBodyAsJson: true });
        });
    } finally {
        await consumer.close();
    }
}

function flatten() {
    for (const line of require('node:fs').readFileSync(0, 'utf8').split('\n')) if (line) console.log(flat(line));
}

async function main([mode, ...rest]) {
    if (mode === '--send' && rest.length === 3) return send(...rest);
    if (mode === '--receive' && rest.length === 4) return receive(...rest);
    if (mode === '--receive' && rest.length === 6 && rest[4] === '--after') return receive(...rest.slice(0, 4), rest[5]);
    if (mode === '--flat' && rest.length === 0) return flatten();
    console.error('usage: properties.js --send CONN HUB PARTITION | --receive CONN HUB PARTITION COUNT [--after SEQUENCE] | --flat');
    return process.exit(2);
}

main(process.argv.slice(2)).then(() => process.exit(0), error => {
    console.error(`${error.code || error.name}: ${error.message}`);
    process.exit(1);
});
