'use strict';
/*
 * One connection of a rhea application to Event Hubs: TCP or TLS, SASL ANONYMOUS, a session, claims on `$cbs`, one link. rhea
 * knows nothing of claims: token and request are what an application on it has to write.
 */

const { createHmac } = require('node:crypto');
const { readFileSync } = require('node:fs');
const { peers } = require('./lines.js');
const rhea = peers('rhea');

/* The development emulator's rule; a test peer that takes any token takes this one. */
const RULE = 'RootManageSharedAccessKey';
const KEY = 'SAS_KEY_VALUE';
const ANSWERS = 'cbs-answers';

function token_for(audience) {
    const sr = encodeURIComponent(audience), se = Math.floor(Date.now() / 1000) + 3600;
    const sig = createHmac('sha256', KEY).update(`${sr}\n${se}`).digest('base64');
    return `SharedAccessSignature sr=${sr}&sig=${encodeURIComponent(sig)}&se=${se}&skn=${RULE}`;
}

function options_of(order) {
    const options = { host: order.host, port: order.port, hostname: order.host, username: 'anyone', reconnect: false, tcp_no_delay: true, max_frame_size: 65536 };
    /* A name, for Node sends no address as one. */
    return order.tls ? { ...options, transport: 'tls', servername: 'localhost', ca: readFileSync(order.ca) } : options;
}

class Peer {
    /* Resolves with the peer once its sender has credit or its receiver is attached; rejects when anything ends before. */
    static open(order, events = {}) {
        return new Promise((resolve, reject) => {
            const peer = new Peer(order);
            peer.failed = reject;
            peer.claim().then(() => peer.attach(events, resolve), reject);
        });
    }

    constructor(order) {
        this.order = order;
        this.connection = rhea.create_container().connect(options_of(order));
        for (const name of ['connection_error', 'connection_close', 'session_error', 'session_close', 'receiver_error', 'receiver_close',
            'sender_error', 'sender_close', 'disconnected', 'protocol_error', 'error', 'rejected', 'released', 'modified']) {
            this.connection.on(name, context => this.fail(name, context));
        }
    }

    fail(name, context) {
        if (name === 'disconnected') this.is_gone = true;
        if (this.closing) return;
        const { error } = [context.receiver, context.sender, context.session, context.connection, context].find(one => one && one.error) || {};
        this.failed(new Error(`${name}: ${(error && (error.description || error.message)) || 'no reason'}`));
    }

    claim() {
        const { connection, order } = this;
        const answers = connection.open_receiver({ source: '$cbs', target: { address: ANSWERS }, name: ANSWERS, credit_window: 0 });
        const requests = connection.open_sender({ target: '$cbs', name: 'cbs-requests' });
        const name = `sb://${order.host}/${order.address}`;
        answers.add_credit(10);
        requests.once('sendable', () => requests.send({
            message_id: '1', reply_to: ANSWERS, body: token_for(name),
            application_properties: { operation: 'put-token', type: 'servicebus.windows.net:sastoken', name },
        }));
        return new Promise((resolve, reject) => answers.once('message', ({ message }) => {
            const code = message.application_properties['status-code'];
            if (code === 200 || code === 202) resolve(); else reject(new Error(`put-token was answered with ${code}`));
        }));
    }

    attach(events, resolve) {
        const { connection, order } = this;
        const settle = { name: 'events', snd_settle_mode: order.settled ? 1 : 0 };
        const receives = order.task === 'receive';
        this.link = receives ? connection.open_receiver({ ...settle, source: order.address, credit_window: 0 }) : connection.open_sender({ ...settle, target: order.address });
        this.link.once(receives ? 'receiver_open' : 'sendable', () => resolve(this));
        for (const [name, listener] of Object.entries(events)) this.link.on(name, listener);
    }

    /* Whether all that was sent is with the kernel. */
    is_written() {
        return !this.connection.transport.has_writes_pending() && this.connection.socket.writableLength === 0;
    }

    close() {
        this.closing = true;
        if (this.is_gone) return undefined;
        return new Promise(resolve => {
            this.connection.once('connection_close', resolve);
            this.connection.once('disconnected', resolve);
            this.connection.close();
        });
    }
}

module.exports = { Peer };
