'use strict';
/*
 * A contender's end of the line protocol (README.md), for those written in JavaScript: commands from stdin one after the other,
 * clocks read around each run, samples written, answers on stdout.
 */

const { read, readSync, writeFileSync } = require('node:fs');
const { promisify } = require('node:util');
const { createRequire } = require('node:module');

/* The packages of the interop tests: one lock file for all real peers. */
const peers = createRequire(require.resolve('../../tests/interop/package.json'));

const COMMAND_MS = 60000;

/* What a contender throws who does not do a task at all. */
class Cannot extends Error {}

const now_ns = () => performance.now() * 1e6;

/* {task, host, port, tls, ..}: a value ends where the next key begins. */
function order_of(line) {
    const order = {};
    for (const [, key, value] of line.matchAll(/ ([a-z_]+)=(.*?)(?= [a-z_]+=|$)/g)) order[key] = value;
    const number = (key, otherwise) => order[key] === undefined ? otherwise : Number(order[key]);
    return {
        ...order, port: number('port', 0), tls: order.tls === '1', settled: order.settled === '1',
        size: number('size', 1024), batch: number('batch', 1) || 1, events: number('events', 0), rate: number('rate', 1000),
    };
}

function within(ms, promise) {
    let timer;
    const late = new Promise((resolve, reject) => { timer = setTimeout(() => reject(new Error(`no answer within ${ms / 1000} seconds`)), ms); });
    return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

const STDIN = 0;
let held = '';

/*
 * The next line; undefined when there are no more. Between commands the whole process stands still, or a client would
 * receive and decode for the next run while nobody counts. Only what has to be kept alive goes on.
 */
async function next_line(goes_on) {
    const bytes = Buffer.alloc(4096);
    while (!held.includes('\n')) {
        const n = goes_on ? (await promisify(read)(STDIN, bytes, 0, bytes.length, null)).bytesRead : readSync(STDIN, bytes);
        if (n === 0) return undefined;
        held += bytes.toString('utf8', 0, n);
    }
    const [line] = held.split('\n', 1);
    held = held.slice(line.length + 1);
    return line;
}

/*
 * Serves {name, version, tasks, settings, open(order), run(turn), close()}, each call may answer with a promise. A turn is
 * {events, samples}: samples an array to be filled with the nanoseconds of each event, or undefined. run answers the bytes of
 * bodies; when it did more events it says so in the turn.
 */
async function serve(contender) {
    const say = line => process.stdout.write(line.replace(/[\r\n]+/g, ' ') + '\n');
    const setting = words => say(`setting ${words}`);
    let is_open = false, idles = false;

    const commands = {
        async open(order) {
            if (is_open) throw new Error('close comes first');
            await contender.open(order, setting);
            is_open = true;
            idles = order.task === 'idle';
            return 'opened';
        },
        async run({ events, samples: file }) {
            if (!is_open) throw new Error('nothing is open');
            const turn = { events, samples: file && new Float64Array(events) };
            const cpu = process.cpuUsage(), since = now_ns();
            const bytes = await contender.run(turn);
            const ns = now_ns() - since, { user, system } = process.cpuUsage(cpu);
            if (file) writeFileSync(file, BigUint64Array.from(turn.samples, sample => BigInt(Math.round(sample))));
            return `done events=${turn.events} ns=${Math.round(ns)} cpu_ns=${(user + system) * 1000} bytes=${bytes}`;
        },
        async close() {
            if (is_open) await contender.close();
            is_open = idles = false;
            return 'closed';
        },
    };

    say(`contender name=${contender.name} version=${contender.version} tasks=${contender.tasks.join()}`);
    contender.settings.forEach(setting);
    say('ready');
    for (let line; (line = await next_line(idles)) !== undefined;) {
        const word = line.split(' ', 1)[0];
        if (word === 'quit') break;
        try {
            if (!Object.hasOwn(commands, word)) throw new Error(`what is meant by: ${line.slice(0, 60)}`);
            say(await within(COMMAND_MS, commands[word](order_of(line))));
        } catch (error) {
            say(`${error instanceof Cannot ? 'cannot' : 'failed'} ${error.message}`);
        }
    }
    process.exit(0);
}

module.exports = { serve, peers, now_ns, Cannot };
