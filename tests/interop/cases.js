'use strict';
/* Named cases, run one after the other, each bounded in time, told as TAP; the last line says "N passed, N failed". */

const CASE_MS = 15000;
const CLEAN_UP_MS = 8000;

const cases = [];

function test(name, run) {
    cases.push({ name, run });
}

function within(ms, what, promise) {
    let timer;
    const late = new Promise((_, reject) => { timer = setTimeout(() => reject(new Error(`${what}: not within ${ms} ms`)), ms); });
    return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

/* Runs the cases whose name contains `only`; clean_up() follows each, however it ended. Never returns. */
async function run_cases(only, clean_up) {
    const chosen = cases.filter(({ name }) => name.includes(only));
    let failed = 0;
    console.log(`1..${chosen.length}`);
    for (const [i, { name, run }] of chosen.entries()) {
        const start = Date.now();
        try {
            await within(CASE_MS, name, run()).finally(() => within(CLEAN_UP_MS, 'cleaning up', clean_up()));
            console.log(`ok ${i + 1} - ${name} # ${Date.now() - start} ms`);
        } catch (error) {
            failed++;
            console.log(`not ok ${i + 1} - ${name}\n${String(error.stack || error).replace(/^/gm, '# ')}`);
        }
    }
    console.log(`${chosen.length - failed} passed, ${failed} failed`);
    process.exit(failed || chosen.length === 0 ? 1 : 0);
}

module.exports = { test, within, run_cases };
