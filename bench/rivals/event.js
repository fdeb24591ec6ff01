'use strict';
/* The reference event of ../reference.h, in the values an application has before it sends: a thousand of them. */

const COUNT = 1000;
const BODY = 1024;

function body_of(i, size) {
    return Buffer.from(Uint8Array.from({ length: size }, (_, at) => size === BODY ? 31 * i + 7 * at + (at >> 5) : 120));
}

/* [{message_id, content_type, partition_key, device, reading, calibrated, body}]: bodies of another size than the reference's are one. */
function events_of(size) {
    const one = body_of(0, size);
    const hex = (value, digits) => value.toString(16).padStart(digits, '0');
    return Array.from({ length: COUNT }, (_, i) => ({
        message_id: `${hex(0x5f3a0000 + i, 8)}-3c41-4f6e-9d2b-${hex(0x7c52e19b0000 + 17 * i, 12)}`,
        content_type: 'application/json',
        partition_key: 'building-7/floor-3',
        device: 'thermostat-7f3a91',
        reading: 21000000000 + i,
        calibrated: i % 2 === 0,
        body: size === BODY ? body_of(i, size) : one,
    }));
}

module.exports = { events_of };
