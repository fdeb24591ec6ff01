'use strict';
/* Frames said and heard one by one over a socket, for what a well-behaved stack would never say. rhea only encodes and decodes them. */

const net = require('node:net');
const tls = require('node:tls');
const { randomUUID } = require('node:crypto');
const frames = require('rhea/lib/frames.js');
const terminus = require('rhea/lib/terminus.js');
const { within } = require('./cases.js');

const WAIT_MS = 5000;
const SASL_HEADER = Buffer.from('AMQP\x03\x01\x00\x00', 'latin1');
const AMQP_HEADER = Buffer.from('AMQP\x00\x01\x00\x00', 'latin1');

class Conversation {
    /* A conversation past SASL, its AMQP header said. */
    static async start(server) {
        const talk = Conversation.dial(server);
        talk.socket.write(SASL_HEADER);
        talk.say(frames.sasl_frame(frames.sasl_init({ mechanism: 'ANONYMOUS' })));
        await talk.until(['sasl_mechanisms', 'sasl_outcome']);
        talk.socket.write(AMQP_HEADER);
        return talk;
    }

    /* A conversation in which everything, from the SASL header on, is said in one write. */
    static at_once(server, of_talk) {
        const talk = Conversation.dial(server);
        const init = frames.write_frame(frames.sasl_frame(frames.sasl_init({ mechanism: 'ANONYMOUS' })));
        talk.socket.write(Buffer.concat([SASL_HEADER, init, AMQP_HEADER, ...of_talk(talk).map(frame => frames.write_frame(frame))]));
        return talk;
    }

    static dial(server) {
        const talk = new Conversation();
        talk.heard = [];
        talk.rest = Buffer.alloc(0);
        talk.wake = () => {};
        talk.socket = server.tls ? tls.connect({ host: server.host, port: server.port, servername: server.host, ca: server.ca })
            : net.connect({ host: server.host, port: server.port });
        talk.socket.on('data', bytes => talk.hear(bytes));
        talk.socket.on('close', () => { talk.closed = true; talk.wake(); });
        talk.socket.on('error', () => {});
        return talk;
    }

    hear(bytes) {
        this.rest = Buffer.concat([this.rest, bytes]);
        for (;;) {
            if (this.rest.subarray(0, 4).toString() === 'AMQP' && this.rest.length >= 8) this.rest = this.rest.subarray(8);
            if (this.rest.length < 8 || this.rest.length < this.rest.readUInt32BE(0)) break;
            const size = this.rest.readUInt32BE(0);
            const frame = frames.read_frame(this.rest.subarray(0, size));
            if (frame.performative) this.heard.push(frame);
            this.rest = this.rest.subarray(size);
        }
        this.wake();
    }

    say(...said) {
        this.socket.write(Buffer.concat(said.map(frame => frames.write_frame(frame))));
    }

    /* Waits for these performatives in this order, others between them allowed, and forgets all that was heard until then. */
    until(names) {
        return within(WAIT_MS, `${names} of ${this.heard.map(frame => name_of(frame))}`, new Promise((resolve, reject) => {
            this.wake = () => {
                const found = [];
                let last = 0;
                for (const [i, frame] of this.heard.entries()) {
                    if (name_of(frame) === names[found.length]) { found.push(frame); last = i; }
                }
                if (found.length === names.length) { this.heard.splice(0, last + 1); resolve(found); }
                else if (this.closed) reject(new Error(`closed after ${this.heard.map(frame => name_of(frame))}, before ${names[found.length]}`));
            };
            this.wake();
        }));
    }

    open() {
        return frames.amqp_frame(0, frames.open({ container_id: randomUUID(), hostname: 'localhost', max_frame_size: 65536 }));
    }

    begin(channel) {
        return frames.amqp_frame(channel, frames.begin({ next_outgoing_id: 0, incoming_window: 65536, outgoing_window: 65536, handle_max: 4294967295 }));
    }

    attach(address, handle, channel = 1) {
        const attach = frames.attach({ name: randomUUID(), handle, role: true });
        attach.source = terminus.source({ address }).described();
        attach.target = terminus.target({ address }).described();
        return frames.amqp_frame(channel, attach);
    }

    detach(handle, channel) {
        return frames.amqp_frame(channel, frames.detach({ handle, closed: true }));
    }

    end(channel) {
        return frames.amqp_frame(channel, frames.end({}));
    }

    hang_up() {
        this.socket.destroy();
    }

    close() {
        return frames.amqp_frame(0, frames.close({}));
    }
}

function name_of({ performative }) {
    return String(performative.constructor).replace(/#.*/, '');
}

module.exports = { Conversation };
