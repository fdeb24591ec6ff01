'use strict';
/*
 * A tap on plain TCP: it listens on a port of its own, forwards what comes there, and keeps the bytes of both directions as a
 * session, the format of tests/sessions/README.md.
 */

const net = require('node:net');

class Tap {
    /* A tap before the port of 127.0.0.1 that a server listens on. */
    static async before(port) {
        const tap = new Tap();
        tap.connections = [];
        tap.server = net.createServer(socket => tap.forward(socket, port));
        await new Promise(resolve => tap.server.listen(0, '127.0.0.1', resolve));
        tap.port = tap.server.address().port;
        return tap;
    }

    forward(client, port) {
        const connection = { chunks: [], over: false };
        this.connections.push(connection);
        const server = net.connect({ host: '127.0.0.1', port, noDelay: true });
        client.setNoDelay(true);
        connection.end = new Promise(resolve => {
            const end = () => { client.destroy(); server.destroy(); resolve(); };
            for (const [from, to, tag] of [[client, server, 'C'], [server, client, 'S']]) {
                from.on('data', bytes => { connection.chunks.push({ tag, bytes }); to.write(bytes); });
                from.on('end', () => to.end());
                from.on('error', end);
            }
            let closed = 0;
            for (const socket of [client, server]) socket.on('close', () => { if (++closed === 2) resolve(); });
        });
    }

    /* The chunks of the connection that was made first, neighbours of one direction as one; waits for its end. */
    async session() {
        const { chunks, end } = this.connections[0];
        await end;
        const merged = [];
        for (const { tag, bytes } of chunks) {
            const last = merged[merged.length - 1];
            if (last && last.tag === tag) last.bytes = Buffer.concat([last.bytes, bytes]);
            else merged.push({ tag, bytes });
        }
        return merged;
    }

    close() {
        this.server.close();
    }
}

/* As it lies in a file: for each chunk its direction, its length in four bytes, the bytes. */
function encoded(chunks) {
    return Buffer.concat(chunks.map(({ tag, bytes }) => {
        const head = Buffer.alloc(5);
        head.write(tag, 'latin1');
        head.writeUInt32BE(bytes.length, 1);
        return Buffer.concat([head, bytes]);
    }));
}

module.exports = { Tap, encoded };
