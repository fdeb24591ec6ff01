'use strict';
/*
 * A peer may say everything at once: SASL header, init, AMQP header, open and more, without waiting for an answer. rhea would
 * read what follows sasl-init as more SASL frames and never wake up; here it waits until the outcome is out.
 */

const HEADER_SIZE = 8;
const SASL = 3;

/* Makes a connection, before it accepts its socket, take its bytes in portions: header, sasl-init, and after the outcome the rest. */
function unhurried(connection) {
    const input = connection.input.bind(connection);
    let held = Buffer.alloc(0);
    let stage = 'header';

    function take(n, next) {
        const portion = held.subarray(0, n);
        held = held.subarray(n);
        stage = next;
        input(portion);
    }

    function watch_outcome() {
        const sasl = connection.sasl_transport.selected;
        const { do_step } = sasl;
        sasl.do_step = challenge => {
            do_step.call(sasl, challenge);
            if (sasl.transport.read_complete) take(held.length, 'open');
        };
    }

    connection.input = bytes => {
        if (stage === 'open') return input(bytes);
        held = Buffer.concat([held, bytes]);
        if (stage === 'header' && held.length >= HEADER_SIZE) {
            if (held[4] !== SASL) return take(held.length, 'open');
            take(HEADER_SIZE, 'init');
            watch_outcome();
        }
        if (stage === 'init' && held.length >= 4 && held.length >= held.readUInt32BE(0)) take(held.readUInt32BE(0), 'outcome');
        return undefined;
    };
    return connection;
}

module.exports = { unhurried };
