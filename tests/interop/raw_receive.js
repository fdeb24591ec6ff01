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
const { createHmac, randomUUID } = require('node:crypto');
const { parseArgs } = require('node:util');
const rhea = require('rhea');
const { line_of_bytes } = require('./event_line.js');

const DEADLINE_MS = 20000;

/* rhea would decode, and forget types: the bytes are what is wanted here. */
const decode = rhea.message.decode;
rhea.message.decode = bytes => bytes;

function fail(text) {
    console.error(text);
    process.exit(1);
}

/* {host, port, tls, audience-prefix, key name, key} of a connection string. */
function peer_of(connection) {
    const fields = Object.fromEntries(connection.split(';').filter(Boolean).map(part => {
        const at = part.indexOf('=');
        return [part.slice(0, at).toLowerCase(), part.slice(at + 1)];
    }));
    const [, host, port] = /^sb:\/\/([^:/]+)(?::(\d+))?\/?$/.exec(fields.endpoint);
    const plain = fields.usedevelopmentemulator === 'true';
    return { host, port: Number(port || (plain ? 5672 : 5671)), tls: !plain, rule: fields.sharedaccesskeyname, key: fields.sharedaccesskey };
}

function token_for(audience, peer) {
    const sr = encodeURIComponent(audience);
    const se = Math.floor(Date.now() / 1000) + 3600;
    const sig = createHmac('sha256', peer.key).update(`${sr}\n${se}`).digest('base64');
    return `SharedAccessSignature sr=${sr}&sig=${encodeURIComponent(sig)}&se=${se}&skn=${encodeURIComponent(peer.rule)}`;
}

/* Shows the token; calls back when the service took it. */
function authorize(connection, audience, peer, done) {
    const reply_to = `cbs-${randomUUID()}`;
    const receiver = connection.open_receiver({ source: '$cbs', target: { address: reply_to }, name: reply_to });
    const sender = connection.open_sender({ target: '$cbs' });
    sender.once('sendable', () => sender.send({
        message_id: randomUUID(), reply_to, body: token_for(audience, peer),
        application_properties: { operation: 'put-token', type: 'servicebus.windows.net:sastoken', name: audience },
    }));
    receiver.on('message', ({ message }) => {
        const { 'status-code': code, 'status-description': text } = decode(message).application_properties;
        if (code !== 200 && code !== 202) fail(`put-token: ${code} ${text}`);
        done();
    });
}

function receive(connection, address, after, count) {
    let left = count;
    const filter = after === undefined ? "amqp.annotation.x-opt-offset > '-1'" : `amqp.annotation.x-opt-sequence-number > '${after}'`;
    const receiver = connection.open_receiver({
        source: { address, filter: { 'apache.org:selector-filter:string': rhea.types.wrap_described(filter, 0x468c00000004) } },
        credit_window: 0,
    });
    receiver.on('receiver_open', () => receiver.add_credit(count));
    receiver.on('message', ({ message }) => {
        console.log(line_of_bytes(message));
        if (--left === 0) connection.close();
    });
    connection.on('connection_close', () => process.exit(left === 0 ? 0 : 1));
    setTimeout(() => fail(`${left} of ${count} events did not come`), DEADLINE_MS).unref();
}

function main() {
    const { values, positionals } = parseArgs({
        allowPositionals: true,
        options: { after: { type: 'string' }, group: { type: 'string', default: '$Default' }, ca: { type: 'string' } },
    });
    const [text, hub, partition, count] = positionals;
    if (positionals.length !== 4) {
        console.error('usage: raw_receive.js CONN HUB PARTITION COUNT [--after SEQUENCE] [--group GROUP] [--ca FILE]');
        process.exit(2);
    }
    const peer = peer_of(text);
    const address = `${hub}/ConsumerGroups/${values.group}/Partitions/${partition}`;
    const mechanisms = rhea.sasl.client_mechanisms();
    mechanisms.enable_anonymous();
    const connection = rhea.connect({
        host: peer.host, port: peer.port, hostname: peer.host, transport: peer.tls ? 'tls' : 'tcp', reconnect: false, idle_time_out: 60000,
        sasl_mechanisms: mechanisms, ...(values.ca ? { ca: fs.readFileSync(values.ca) } : {}),
    });
    for (const fault of ['connection_error', 'session_error', 'receiver_error', 'sender_error', 'disconnected', 'error']) {
        connection.on(fault, context => {
            const error = (context.receiver || context.sender || {}).error || context.error || context;
            fail(`${fault}: ${error.condition || ''} ${error.description || error.message || ''}`);
        });
    }
    authorize(connection, `sb://${peer.host}/${address}`, peer, () => receive(connection, address, values.after, Number(count)));
}

main();
