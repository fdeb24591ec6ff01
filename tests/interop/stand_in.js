#!/usr/bin/env node
'use strict';
/*
 * An Event Hubs namespace in memory, on npm rhea: an independent server for ringhub's client. Nothing of ringhub is in it.
 *
 *   stand_in.js [--listen HOST:PORT] [--tls HOST:PORT --cert FILE --key FILE] [--hub NAME[:PARTITIONS]]...
 *               [--group NAME]... [--rule NAME=KEY] [--max-frame-size N]
 *
 * Prints "listening amqp HOST:PORT" (and "listening amqps HOST:PORT") when ready, port 0 picking one, and serves until
 * SIGINT or SIGTERM. Without --hub there is one, "hub", with 4 partitions; the rule is RootManageSharedAccessKey with the key
 * SAS_KEY_VALUE. DEBUG=rhea:frames shows every frame.
 *
 * Limits that are rhea's: flow.echo and transfer.aborted are not seen; two links of one session need two names, whatever their roles.
 */

const fs = require('node:fs');
const net = require('node:net');
const tls = require('node:tls');
const { parseArgs } = require('node:util');
const { randomUUID } = require('node:crypto');
const container = require('rhea').create_container({ id: randomUUID().replace(/-/g, '') + '_G1' });

const { unhurried } = require('./stand_in/hurry.js');
const { unpack } = require('./stand_in/message.js');
const { Hub } = require('./stand_in/hub.js');
const { path_of, Claims } = require('./stand_in/token.js');
const { answer, is_node } = require('./stand_in/node.js');
const { Consumer, position_of } = require('./stand_in/consumer.js');

const MAX_MESSAGE_SIZE = 1048576;
const CREDIT = 300;

const { values: options } = parseArgs({
    options: {
        listen: { type: 'string' }, tls: { type: 'string' }, cert: { type: 'string' }, key: { type: 'string' },
        hub: { type: 'string', multiple: true, default: ['hub'] }, group: { type: 'string', multiple: true, default: [] },
        rule: { type: 'string', default: 'RootManageSharedAccessKey=SAS_KEY_VALUE' }, 'max-frame-size': { type: 'string', default: '65536' },
    },
});

const namespace = {
    hubs: options.hub.map(text => {
        const [name, partitions] = text.split(':');
        return new Hub(name, Number(partitions || 4), options.group);
    }),
    rules: new Map([[options.rule.slice(0, options.rule.indexOf('=')), options.rule.slice(options.rule.indexOf('=') + 1)]]),

    hub(name) {
        return this.hubs.find(hub => hub.name.toLowerCase() === name.toLowerCase());
    },
    tracked(text) {
        return `${text} TrackingId:${randomUUID()}_B1, SystemTracker:stand-in, Timestamp:${new Date().toISOString().slice(0, 19)}`;
    },
    not_found(path) {
        return `The messaging entity '${path}' could not be found.`;
    },
    no_partition(hub) {
        return 'The specified partition is invalid for an EventHub partition sender or receiver. '
            + `It should be between 0 and ${hub.partitions.length - 1}.`;
    },
};

function claims_of(connection) {
    if (!connection.claims) {
        connection.claims = new Claims();
        const mechanism = connection.sasl_transport && connection.sasl_transport.selected && connection.sasl_transport.selected.mechanism;
        connection.claims.everything = Boolean(mechanism && mechanism.proved_key);
    }
    return connection.claims;
}

/* The refused attach: the answering attach has neither source nor target, and a detach with the reason follows. */
function refuse(link, condition, text) {
    link.close({ condition, description: namespace.tracked(text) });
}

/* Everything the peer said goes back as it came, properties with their widths. (rhea would write an undescribed terminus as a map.) */
function accept(link) {
    const { local, remote } = link;
    const PROPERTIES = 13;
    for (const terminus of ['source', 'target']) {
        if (remote.attach[terminus] && remote.attach[terminus].described) local.attach[terminus] = remote.attach[terminus].described();
    }
    local.attach.value[PROPERTIES] = remote.attach.value[PROPERTIES];
    if (link.desired_capabilities) local.attach.offered_capabilities = [].concat(link.desired_capabilities);
}

/* The hub and partition an address means: {hub, partition, group}, or {condition, text} that refuses it. */
function place_of(connection, address, shape) {
    const path = path_of(address);
    const parts = shape.exec(path);
    if (!parts) return { condition: 'amqp:not-found', text: namespace.not_found(path) };
    if (!claims_of(connection).allow(path)) {
        return { condition: 'amqp:unauthorized-access', text: `A token that covers '${path}' is required.` };
    }
    const { hub: name, group, id } = parts.groups;
    const hub = namespace.hub(name);
    if (!hub || (group !== undefined && !hub.groups.has(group.toLowerCase()))) {
        return { condition: 'amqp:not-found', text: namespace.not_found(path) };
    }
    const partition = id === undefined ? undefined : hub.partition(id);
    if (id !== undefined && !partition) return { condition: 'com.microsoft:argument-out-of-range', text: namespace.no_partition(hub) };
    return { hub, group, partition };
}

const PRODUCER = /^(?<hub>[^/]+)(\/partitions\/(?<id>[^/]+))?$/i;
const CONSUMER = /^(?<hub>[^/]+)\/consumergroups\/(?<group>[^/]+)\/partitions\/(?<id>[^/]+)$/i;

/* The service takes one $cbs pair a connection. */
function node_taken(link, node) {
    let taken = false;
    link.connection.each_link(other => {
        taken = taken || (other !== link && other.node === node && other.is_sender() === link.is_sender() && other.is_open());
    });
    return node === '$cbs' && taken;
}

function open_node(link, node) {
    if (node_taken(link, node)) return refuse(link, 'amqp:not-allowed', `There is a link to ${node} already.`);
    link.node = node;
    accept(link);
    if (link.is_receiver()) link.add_credit(CREDIT);
    return undefined;
}

/* A peer that sends. */
container.on('receiver_open', ({ connection, receiver }) => {
    const address = receiver.target && receiver.target.address;
    if (!address) return refuse(receiver, 'amqp:not-allowed', 'A sender needs a target address.');
    if (is_node(address)) return open_node(receiver, address);
    const place = place_of(connection, address, PRODUCER);
    if (place.condition) return refuse(receiver, place.condition, place.text);
    accept(receiver);
    receiver.place = place;
    receiver.limit = Math.min(receiver.max_message_size || MAX_MESSAGE_SIZE, MAX_MESSAGE_SIZE);
    receiver.local.attach.max_message_size = receiver.limit;
    receiver.add_credit(CREDIT);
    return undefined;
});

/* A peer that receives. */
container.on('sender_open', ({ connection, sender }) => {
    const address = sender.source && sender.source.address;
    if (!address) return refuse(sender, 'amqp:not-allowed', 'A receiver needs a source address.');
    if (is_node(address)) return open_node(sender, address);
    const place = place_of(connection, address, CONSUMER);
    if (place.condition) return refuse(sender, place.condition, place.text);
    const { position, refusal } = position_of(sender.source);
    if (refusal) return refuse(sender, 'amqp:invalid-field', refusal);
    const consumer = new Consumer(sender, place.partition, place.group, position);
    const rival = consumer.refusal();
    if (rival) return refuse(sender, rival.condition, rival.text);
    accept(sender);
    sender.local.attach.snd_settle_mode = 1;
    sender.local.attach.max_message_size = MAX_MESSAGE_SIZE;
    sender.consumer = consumer;
    consumer.attach(namespace.tracked);
    return undefined;
});

function store(receiver, delivery, bytes, format) {
    if (bytes.length > receiver.limit) {
        const text = `A message of ${bytes.length} bytes is larger than the ${receiver.limit} that this link takes.`;
        return delivery.reject({ condition: 'amqp:link:message-size-exceeded', description: namespace.tracked(text) });
    }
    let batch;
    try {
        batch = unpack(bytes, format);
    } catch (error) {
        return delivery.reject({ condition: 'amqp:decode-error', description: namespace.tracked(error.message) });
    }
    const partition = receiver.place.partition || receiver.place.hub.partition_for(batch.key);
    for (const event of batch.events) partition.append(event);
    delivery.accept();
    for (const consumer of partition.consumers) consumer.pump();
    return undefined;
}

container.on('message', ({ receiver, delivery, message, format = 0 }) => {
    if (receiver.node) {
        delivery.accept();
        /* Later: rhea writes transfers before dispositions, and the request should be settled before its answer comes. */
        setImmediate(() => answer(receiver.node, message, receiver, namespace, claims_of(receiver.connection)));
    } else {
        store(receiver, delivery, message, format);
    }
    if (receiver.credit <= CREDIT / 2) receiver.add_credit(CREDIT - receiver.credit);
});

container.on('sendable', ({ sender }) => { if (sender.consumer) sender.consumer.pump(); });
container.on('sender_draining', ({ sender }) => { if (sender.consumer) sender.consumer.drain(); });

function forget(link) {
    if (link.consumer) link.consumer.detach();
}
container.on('sender_close', ({ sender }) => forget(sender));
container.on('session_close', ({ session }) => session.each_sender(forget));
for (const end of ['connection_close', 'disconnected']) container.on(end, ({ connection }) => connection.each_sender(forget));

/* What a peer does wrong ends its connection, not this process; rhea's own story of it is enough. */
for (const fault of ['error', 'connection_error', 'session_error', 'sender_error', 'receiver_error', 'protocol_error']) {
    container.on(fault, context => {
        const error = context.error || (context.sender || context.receiver || context.session || context).error || context;
        console.error(`${fault}: ${error.condition || ''} ${error.description || error.message || ''}`);
    });
}

/* The service's list, in its order. ANONYMOUS goes by the name MSSBCBS too, and its initial response means nothing. */
function mechanisms() {
    const open_door = () => ({ outcome: undefined, start() { this.outcome = true; } });
    const key_holder = () => ({
        outcome: undefined,
        start(response) {
            const [, name, key] = response.toString('utf8').split('\0');
            this.outcome = this.proved_key = namespace.rules.has(name) && namespace.rules.get(name) === key;
        },
    });
    return { MSSBCBS: open_door, PLAIN: key_holder, ANONYMOUS: open_door, EXTERNAL: open_door };
}
container.sasl_server_mechanisms = mechanisms();

const CONNECTION = {
    max_frame_size: Number(options['max-frame-size']), channel_max: 4999, idle_time_out: 240000, tcp_no_delay: true,
    receiver_options: { credit_window: 0, autoaccept: false },
};

function listen(name, address, server, ready) {
    const [, host, port] = /^(.*):(\d+)$/.exec(address);
    server.on(ready, socket => unhurried(container.create_connection(CONNECTION)).accept(socket));
    server.on('error', error => { console.error(error.message); process.exit(1); });
    server.listen(Number(port), host, () => console.log(`listening ${name} ${host}:${server.address().port}`));
}

if (options.listen || !options.tls) listen('amqp', options.listen || '127.0.0.1:0', net.createServer(), 'connection');
if (options.tls) {
    const server = tls.createServer({ cert: fs.readFileSync(options.cert), key: fs.readFileSync(options.key) });
    listen('amqps', options.tls, server, 'secureConnection');
}
for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => process.exit(0));
