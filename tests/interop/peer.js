'use strict';
/*
 * A peer of a server, on rhea alone: what the official client never does can be done here, and every type it is told can be
 * looked at. Messages stay bytes: rhea would decode them and forget the widths.
 */

const { createHmac, randomUUID } = require('node:crypto');
const rhea = require('rhea');
const { within } = require('./cases.js');

const { types, message } = rhea;
const WAIT_MS = 5000;

message.decode = bytes => bytes;

/* {host, port, tls, rule, key} of a connection string. */
function server_of(text) {
    const fields = Object.fromEntries(text.split(';').filter(Boolean).map(part => {
        const at = part.indexOf('=');
        return [part.slice(0, at).toLowerCase(), part.slice(at + 1)];
    }));
    const [, host, port] = /^sb:\/\/([^:/]+)(?::(\d+))?\/?$/.exec(fields.endpoint);
    const plain = fields.usedevelopmentemulator === 'true';
    return { host, port: Number(port || (plain ? 5672 : 5671)), tls: !plain, rule: fields.sharedaccesskeyname, key: fields.sharedaccesskey };
}

function token_for(audience, server, seconds = 3600) {
    const sr = encodeURIComponent(audience);
    const se = Math.floor(Date.now() / 1000) + seconds;
    const sig = createHmac('sha256', server.key).update(`${sr}\n${se}`).digest('base64');
    return `SharedAccessSignature sr=${sr}&sig=${encodeURIComponent(sig)}&se=${se}&skn=${encodeURIComponent(server.rule)}`;
}

/* The sections of a message by their code, as rhea's typed values. */
function sections_of(bytes) {
    const reader = new types.Reader(bytes);
    const found = {};
    while (reader.remaining() > 0) {
        const section = reader.read();
        found[section.descriptor.value] = section;
    }
    return found;
}

/* The typed values of a map, by key. */
function map_of(typed) {
    const found = {};
    if (typed) for (let i = 0; i < typed.value.length; i += 2) found[typed.value[i].value] = typed.value[i + 1];
    return found;
}

/* An error with the condition the server gave. */
function told(error, otherwise) {
    const text = !error ? otherwise : error.condition ? `${error.condition}: ${error.description}` : error.message;
    return Object.assign(new Error(text), { condition: error && error.condition });
}

/* Resolves with the context of the first of the named events; rejects when it is one of the bad ones. */
function first(emitter, good, bad) {
    const ears = [];
    const heard = new Promise((resolve, reject) => {
        for (const name of good) ears.push([name, resolve]);
        for (const name of bad) ears.push([name, context => reject(told((context.receiver || context.sender || {}).error || context.error, name))]);
        for (const [name, ear] of ears) emitter.on(name, ear);
    });
    return within(WAIT_MS, [...good, ...bad].join(' or '), heard).finally(() => {
        for (const [name, ear] of ears) emitter.removeListener(name, ear);
    });
}

/* Every frame a transport reads, as bytes. */
function keep_frames(transport) {
    const frames = [];
    const { read } = transport;
    transport.read = bytes => {
        const used = read.call(transport, bytes);
        let at = bytes.subarray(0, 4).toString() === 'AMQP' ? 8 : 0;
        for (; at < used; at += bytes.readUInt32BE(at)) frames.push(Buffer.from(bytes.subarray(at, at + bytes.readUInt32BE(at))));
        return used;
    };
    return frames;
}

class Peer {
    constructor(server, options = {}) {
        const anonymous = { start: callback => callback(undefined, Buffer.from('anyone')) };
        this.server = server;
        this.connection = rhea.connect({
            host: server.host, port: server.port, hostname: server.host, transport: server.tls ? 'tls' : 'tcp', reconnect: false, tcp_no_delay: true,
            sasl_mechanisms: { ANONYMOUS: () => anonymous }, idle_time_out: 60000, ca: server.ca, ...options,
        });
        this.frames = keep_frames(this.connection.amqp_transport);
        /* Someone must listen, or rhea ends the process; first() has its own ears. */
        for (const name of ['connection_error', 'connection_close', 'session_error', 'receiver_error', 'sender_error', 'disconnected', 'error']) {
            this.connection.on(name, () => {});
        }
    }

    static async open(server, options) {
        const peer = new Peer(server, options);
        await first(peer.connection, ['connection_open'], ['connection_error', 'disconnected']);
        return peer;
    }

    session() {
        const session = this.connection.create_session();
        session.begin();
        return session;
    }

    /* A link, attached. A refusal is an answering attach without a terminus and a detach, both in one read perhaps. */
    async attached(link, kind) {
        const refused = first(link, [], [`${kind}_error`, `${kind}_close`, 'disconnected']);
        refused.catch(() => {});
        await first(link, [`${kind}_open`], ['disconnected']);
        const terminus = kind === 'receiver' ? link.source : link.target;
        /* rhea shows an absent terminus as a typed null. */
        if (!terminus || terminus.address === undefined) await refused;
        return link;
    }

    receiver(source, options = {}, session = this.connection) {
        return this.attached(session.open_receiver({ source, credit_window: 0, ...options }), 'receiver');
    }

    sender(target, options = {}, session = this.connection) {
        return this.attached(session.open_sender({ target, ...options }), 'sender');
    }

    /* A pair of links to a node of requests. */
    async node(name, options = {}, session = this.session()) {
        const reply_to = `reply-${randomUUID()}`;
        const receiver = await this.receiver(name, { target: { address: reply_to }, name: `${name}-${reply_to}`, credit_window: 10, ...options }, session);
        const sender = await this.sender(name, {}, session);
        return { receiver, sender, reply_to, session, turn: Promise.resolve() };
    }

    /* One request and its answer: {correlation_id, properties, body} as typed values. A pair answers one after the other. */
    ask(pair, fields) {
        const answer = pair.turn.then(async () => {
            const reply = first(pair.receiver, ['message'], ['receiver_error', 'receiver_close', 'disconnected']);
            pair.sender.send({ message_id: randomUUID(), reply_to: pair.reply_to, body: null, ...fields });
            const parts = sections_of((await reply).message);
            return { correlation_id: parts[0x73] && parts[0x73].value[5], properties: map_of(parts[0x74]), body: parts[0x77] };
        });
        pair.turn = answer.catch(() => {});
        return answer;
    }

    async put_token(audience, token = token_for(audience, this.server), fields = {}, properties = {}) {
        this.cbs = this.cbs || this.node('$cbs');
        return this.ask(await this.cbs, {
            body: token, ...fields,
            application_properties: { operation: 'put-token', type: 'servicebus.windows.net:sastoken', name: audience, ...properties },
        });
    }

    /* Shows a token; rejects unless the server takes it. */
    async authorize(path) {
        const { properties } = await this.put_token(`sb://${this.server.host}/${path}`);
        const code = properties['status-code'].value;
        if (code !== 200 && code !== 202) throw new Error(`put-token: ${code} ${properties['status-description'].value}`);
        return this;
    }

    async close() {
        if (this.connection.is_closed() || !this.connection.socket || this.connection.socket.destroyed) return;
        const end = first(this.connection, ['connection_close', 'disconnected'], []);
        this.connection.close();
        await end.catch(() => {});
        this.connection.socket.destroy();
    }
}

module.exports = { Peer, server_of, token_for, sections_of, map_of, first, WAIT_MS };
