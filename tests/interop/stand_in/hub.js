'use strict';
/* Hubs, their partitions and the log in each: what the service keeps. */

const U32 = 0x100000000;
const rotate = (x, k) => ((x << k) | (x >>> (32 - k))) >>> 0;

/* The hash by which a partition key finds its partition: Bob Jenkins' lookup3, its two words folded to 16 signed bits. */
function key_hash(key) {
    const bytes = Buffer.from(key, 'utf8');
    if (bytes.length === 0) return 0;
    const padded = Buffer.concat([bytes, Buffer.alloc((12 - bytes.length % 12) % 12)]);
    let a, b, c;
    a = b = c = (0xdeadbeef + bytes.length) % U32;
    const sub = (x, y) => (x - y) >>> 0, add = (x, y) => (x + y) >>> 0, xor = (x, y) => (x ^ y) >>> 0;
    for (let at = 0; at < padded.length; at += 12) {
        a = add(a, padded.readUInt32LE(at));
        b = add(b, padded.readUInt32LE(at + 4));
        c = add(c, padded.readUInt32LE(at + 8));
        if (at + 12 === padded.length) break;
        a = xor(sub(a, c), rotate(c, 4)); c = add(c, b);
        b = xor(sub(b, a), rotate(a, 6)); a = add(a, c);
        c = xor(sub(c, b), rotate(b, 8)); b = add(b, a);
        a = xor(sub(a, c), rotate(c, 16)); c = add(c, b);
        b = xor(sub(b, a), rotate(a, 19)); a = add(a, c);
        c = xor(sub(c, b), rotate(b, 4)); b = add(b, a);
    }
    c = sub(xor(c, b), rotate(b, 14));
    a = sub(xor(a, c), rotate(c, 11));
    b = sub(xor(b, a), rotate(a, 25));
    c = sub(xor(c, b), rotate(b, 16));
    a = sub(xor(a, c), rotate(c, 4));
    b = sub(xor(b, a), rotate(a, 14));
    c = sub(xor(c, b), rotate(b, 24));
    return xor(c, b) << 16 >> 16;
}

class Partition {
    constructor(id) {
        this.id = id;
        this.events = [];
        this.bytes = 0;
        this.consumers = new Set();
    }

    append(event) {
        event.sequence = this.events.length;
        event.offset = String(this.bytes);
        event.time = Date.now();
        this.bytes += event.size;
        this.events.push(event);
    }

    last() {
        return this.events[this.events.length - 1] || { sequence: -1, offset: '-1', time: 0 };
    }

    /* The index of the first event a position lets through. */
    index_of({ name, inclusive, value }) {
        if (name === 'x-opt-offset' && value === '@latest') return this.events.length;
        const bound = BigInt(value);
        const of = { 'x-opt-offset': event => BigInt(event.offset), 'x-opt-sequence-number': event => BigInt(event.sequence),
            'x-opt-enqueued-time': event => BigInt(event.time) }[name];
        const found = this.events.findIndex(event => inclusive ? of(event) >= bound : of(event) > bound);
        return found < 0 ? this.events.length : found;
    }
}

class Hub {
    constructor(name, partition_count, groups) {
        this.name = name;
        this.created = Date.now();
        this.groups = new Set(['$default', ...groups.map(group => group.toLowerCase())]);
        this.partitions = Array.from({ length: partition_count }, (_, i) => new Partition(String(i)));
        this.turn = 0;
    }

    partition(id) {
        return this.partitions.find(partition => partition.id === id);
    }

    /* Where events go that name no partition: by their key, or in turn. */
    partition_for(key) {
        const count = this.partitions.length;
        if (key !== undefined) return this.partitions[Math.abs(key_hash(key) % count)];
        return this.partitions[this.turn++ % count];
    }
}

module.exports = { Hub, key_hash };
