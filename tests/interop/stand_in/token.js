'use strict';
/* Shared access signatures, and what a connection may touch once it has shown some. */

const { createHmac } = require('node:crypto');

/* 'sb://host/Hub/x', '/Hub/x' and 'Hub/x' name the same thing; names do not depend on case. */
function path_of(address) {
    return address.replace(/^[a-z]+:\/\/[^/]*/i, '').replace(/^\/+|\/+$/g, '');
}

function covers(granted, path) {
    const [have, want] = [granted, path].map(text => text.toLowerCase().split('/').filter(Boolean));
    return have.every((segment, i) => segment === want[i]);
}

/* The claim a token makes: {path, expires}; throws the words for a 401. The signature is over sr as it was sent. */
function claim_of(token, audience, rules) {
    const prefix = 'SharedAccessSignature ';
    if (typeof token !== 'string' || !token.startsWith(prefix)) throw new Error('The token is not a shared access signature.');
    const fields = Object.fromEntries(token.slice(prefix.length).split('&').map(field => {
        const at = field.indexOf('=');
        return [field.slice(0, at), field.slice(at + 1)];
    }));
    const { sr = '', sig = '', se = '', skn = '' } = fields;
    const key = rules.get(decodeURIComponent(skn));
    if (key === undefined) throw new Error(`There is no rule '${decodeURIComponent(skn)}'.`);
    const signed = createHmac('sha256', key).update(`${sr}\n${se}`).digest('base64');
    if (signed !== decodeURIComponent(sig)) throw new Error('The signature does not match.');
    if (!(Number(se) * 1000 > Date.now())) throw new Error('The token has expired.');
    const path = path_of(decodeURIComponent(sr));
    if (!covers(path, path_of(audience))) throw new Error(`The token is for '${path}', not for '${path_of(audience)}'.`);
    return { path, expires: Number(se) * 1000 };
}

class Claims {
    constructor() {
        this.claims = [];
        this.everything = false;        /* a connection that proved a rule's key in SASL PLAIN needs no tokens */
    }

    add(claim) {
        this.claims.push(claim);
    }

    allow(path) {
        return this.everything || this.claims.some(claim => claim.expires > Date.now() && covers(claim.path, path));
    }
}

module.exports = { path_of, claim_of, Claims };
