#!/usr/bin/env node
'use strict';
/*
 * Receives with rhea alone and prints each event as the exact line of event_line.js, read off the bytes that came.
 *
 *   raw_receive.js CONN HUB PARTITION COUNT [--after SEQUENCE] [--group GROUP] [--ca FILE]
 *
 * Exit 0 done, 1 the operation failed or COUNT was not reached in 20 s, 2 usage. DEBUG=rhea:frames shows every frame.
 */

const fs = require('node:fs');
const { parseArgs } = require('node:util');
const { types } = require('rhea');
const { Peer, server_of } = require('./peer.js');
const { within } = require('./cases.js');
const { line_of_bytes } = require('./event_line.js');

const DEADLINE_MS = 20000;

async function receive(text, hub, partition, count, { after, group, ca }) {
    const peer = await Peer.open({ ...server_of(text), ca: ca && fs.readFileSync(ca) });
    const address = `${hub}/ConsumerGroups/${group}/Partitions/${partition}`;
    await peer.authorize(address);
    const filter = after === undefined ? "amqp.annotation.x-opt-offset > '-1'" : `amqp.annotation.x-opt-sequence-number > '${after}'`;
    const receiver = await peer.receiver({
        address, filter: { 'apache.org:selector-filter:string': types.wrap_described(filter, 0x468c00000004) },
    });
    let left = count;
    await within(DEADLINE_MS, `${count} events`, new Promise((resolve, reject) => {
        receiver.on('message', ({ message }) => {
            console.log(line_of_bytes(message));
            if (--left === 0) resolve();
        });
        for (const name of ['receiver_close', 'disconnected']) receiver.on(name, () => reject(new Error(`${name} with ${left} events to come`)));
        receiver.add_credit(count);
    }));
    await peer.close();
}

const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: { after: { type: 'string' }, group: { type: 'string', default: '$Default' }, ca: { type: 'string' } },
});
const [text, hub, partition, count] = positionals;
if (positionals.length !== 4) {
    console.error('usage: raw_receive.js CONN HUB PARTITION COUNT [--after SEQUENCE] [--group GROUP] [--ca FILE]');
    process.exit(2);
}
receive(text, hub, partition, Number(count), values).then(() => process.exit(0), error => {
    console.error(error.message);
    process.exit(1);
});
