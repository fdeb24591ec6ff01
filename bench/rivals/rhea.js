'use strict';
/* rhea, the AMQP stack in JavaScript, as a contender of the line protocol. */

const { serve, peers, now_ns, Cannot } = require('./lines.js');
const { events_of } = require('./event.js');
const { Peer } = require('./rhea_peer.js');
const rhea = peers('rhea');

const CREDIT = 2000;         /* about what its session window takes */
const UNSETTLED = 500;       /* events, or four batches */
const BATCH_FORMAT = 0x80013700;
const SLEEP_MS = 2;          /* Node's timers are no finer than a millisecond */

let order, peer, events, peers_held = [];
let work;

/* -- messages --------------------------------------------------------------------------------- */

const { data_section, data_sections, encode, decode } = rhea.message;

function message_of(event) {
    return {
        message_annotations: { 'x-opt-partition-key': event.partition_key },
        message_id: event.message_id,
        content_type: event.content_type,
        application_properties: { device: event.device, reading: rhea.types.wrap_long(event.reading), calibrated: event.calibrated },
        body: data_section(event.body),
    };
}

const event_at = i => events[i % events.length];

function batch_of(first, count) {
    return encode({ body: data_sections(Array.from({ length: count }, (_, i) => encode(message_of(event_at(first + i))))) });
}

/* -- codec ------------------------------------------------------------------------------------ */

function read(bytes) {
    const { message_annotations, message_id, content_type, application_properties, body } = decode(bytes);
    return { message_annotations, message_id, content_type, application_properties, body: body.content };
}

function checked(body) {
    if (body.length !== order.size) throw new Error('another body');
}

/* A batch is of all the events; the last one of a run may be shorter. */
const batches = (turn, one) => { for (let i = 0; i < turn.events; i += events.length) one(Math.min(events.length, turn.events - i)); };

const codec = {
    encode(turn) {
        for (let i = 0; i < turn.events; i++) if (encode(message_of(event_at(i))).length < order.size) throw new Error('too short');
    },
    decode(turn) {
        for (let i = 0; i < turn.events; i++) checked(read(work.encoded[i % events.length]).body);
    },
    batch(turn) {
        batches(turn, count => { if (batch_of(0, count).length < count * order.size) throw new Error('too short'); });
    },
    'batch-decode'(turn) {
        batches(turn, count => {
            for (const bytes of decode(work.batch).body.content.slice(0, count)) checked(read(bytes).body);
        });
    },
};

function received_form(event, i) {
    const message = message_of(event);
    message.message_annotations = {
        ...message.message_annotations, 'x-opt-sequence-number': rhea.types.wrap_long(5000000000 + i),
        'x-opt-offset': '4398046511104', 'x-opt-enqueued-time': rhea.types.wrap_timestamp(1700000000000 + i),
    };
    return encode(message);
}

/* -- out -------------------------------------------------------------------------------------- */

const intended = i => work.since + i * work.interval_ns;

function send_next() {
    const count = Math.min(order.batch, work.turn.events - work.begun);
    if (order.batch > 1) peer.link.send(batch_of(work.begun, count), undefined, BATCH_FORMAT);
    else peer.link.send(message_of(event_at(work.begun)));
    work.begun += count;
    if (order.settled) work.settled += count;
    else work.counts.push(count);
}

function send_more() {
    if (!work || !work.turn || work.one_by_one || work.interval_ns || work.begun - work.settled > work.unsettled / 2) return;
    /* rhea writes every frame to the socket by itself; corked, they go out together. */
    const { socket } = peer.connection;
    socket.cork();
    while (work.begun < work.turn.events && work.begun - work.settled < work.unsettled && peer.link.sendable()) send_next();
    setImmediate(() => socket.uncork());
    if (order.settled && work.settled === work.turn.events) when_written();
}

function when_written() {
    if (peer.is_written()) work.finish();
    else setImmediate(when_written);
}

function accepted() {
    if (!work || !work.turn) return;
    const { turn } = work;
    if (turn.samples) turn.samples[work.settled] = now_ns() - (work.interval_ns ? intended(work.settled) : work.since);
    work.settled += work.counts[work.outcomes++];
    if (work.settled === turn.events) work.finish();
    else if (work.one_by_one) send_one();
    else send_more();
}

function send_one() {
    work.since = now_ns();
    send_next();
}

/* The next is sent when it is due: asleep while there is time, then looking at every turn of the event loop. */
function pace() {
    while (work.begun < work.turn.events && intended(work.begun) <= now_ns() && peer.link.sendable()) send_next();
    if (work.begun === work.turn.events) return;
    const wait_ms = (intended(work.begun) - now_ns()) / 1e6;
    if (wait_ms > SLEEP_MS) setTimeout(pace, wait_ms - SLEEP_MS / 2);
    else setImmediate(pace);
}

/* -- in --------------------------------------------------------------------------------------- */

function grant() {
    const open = work.granted - work.settled, left = work.turn.events - work.granted;
    if (open > CREDIT / 2 || left === 0) return;
    const more = Math.min(left, CREDIT - open);
    peer.link.add_credit(more);
    work.granted += more;
}

function received({ message }) {
    work.bytes += message.body.content.length;
    work.settled++;
    if (work.settled === work.turn.events) work.finish();
    else grant();
}

/* -- tasks ------------------------------------------------------------------------------------ */

async function stream(turn) {
    const finished = new Promise((resolve, reject) => {
        peer.failed = reject;
        Object.assign(work, { turn, begun: 0, settled: 0, granted: 0, outcomes: 0, counts: [], bytes: 0, since: now_ns(), finish: resolve });
    });
    if (order.task === 'receive') grant();
    else if (work.one_by_one) send_one();
    else if (work.interval_ns) pace();
    else send_more();
    await finished;
    work.turn = undefined;
    return order.task === 'receive' ? work.bytes : turn.events * order.size;
}

async function open_peer() {
    peer = await Peer.open(order, { sendable: send_more, accepted, message: received });
}

async function connect_again(turn) {
    for (let i = 0; i < turn.events; i++) {
        const since = now_ns();
        await open_peer();
        await stream({ events: 1 });
        if (turn.samples) turn.samples[i] = now_ns() - since;
        await peer.close();
    }
    peer = undefined;
    return turn.events * order.size;
}

const TASKS = ['encode', 'decode', 'batch', 'batch-decode', 'send', 'receive', 'roundtrip', 'paced', 'connect', 'idle'];

serve({
    name: 'rhea',
    version: peers('rhea/package.json').version,
    tasks: TASKS,
    settings: [
        `Node ${process.version}, TCP_NODELAY, frames of 64 KiB`,
        `send: as much as credit and ${UNSETTLED} unsettled events (or 4 batches) allow, more when half are settled, the socket corked meanwhile`,
        `receive: credit of ${CREDIT} renewed at half, accepted by rhea itself, outcomes in ranges`,
        'batch: each event encoded, then data sections of them, message-format 0x80013700',
        'paced: setTimeout until 2 ms before, then setImmediate',
        'claims: put-token on $cbs written by hand, for it has none',
    ],

    async open(wanted) {
        if (!TASKS.includes(wanted.task)) throw new Cannot(`this program has no task ${wanted.task}`);
        order = wanted;
        events = events_of(order.size);
        work = {
            unsettled: Math.max(UNSETTLED, 4 * order.batch),
            one_by_one: order.task === 'roundtrip' || order.task === 'connect',
            interval_ns: order.task === 'paced' ? 1e9 / order.rate : 0,
        };
        if (order.task === 'decode') work.encoded = events.map(received_form);
        if (order.task === 'batch-decode') work.batch = batch_of(0, events.length);
        if (order.task === 'idle') peers_held = await Promise.all(Array.from({ length: order.events }, () => Peer.open(order)));
        else if (!codec[order.task] && order.task !== 'connect') await open_peer();
    },

    run(turn) {
        if (codec[order.task]) {
            codec[order.task](turn);
            return turn.events * order.size;
        }
        if (order.task === 'idle') return 0;
        return order.task === 'connect' ? connect_again(turn) : stream(turn);
    },

    async close() {
        await Promise.all([...peers_held, ...(peer ? [peer] : [])].map(one => one.close()));
        peers_held = [];
        peer = work = undefined;
    },
});
