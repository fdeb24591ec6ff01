'use strict';
/* A consumer's link: where it starts, whom it pushes out, and the pump that turns its credit into events. */

const { delivered } = require('./message.js');

const FILTERS = [0x468c00000004, 0x137000000a, 'apache.org:selector-filter:string'];
const SELECTOR = /^\s*amqp\.annotation\.(x-opt-offset|x-opt-sequence-number|x-opt-enqueued-time)\s*(>=?)\s*'?(@latest|-?\d+)'?\s*$/;
const EARLIEST = { name: 'x-opt-offset', inclusive: false, value: '-1' };
const NON_EPOCH_MAX = 5;

/* The position a source's filter asks for, or the words that refuse it. */
function position_of(source) {
    const filters = Object.values(source.filter || {}).filter(filter => filter && filter.descriptor && FILTERS.includes(filter.descriptor.value));
    if (filters.length === 0) return { position: EARLIEST };
    const parts = SELECTOR.exec(filters[0].value);
    if (!parts) return { refusal: `The filter '${filters[0].value}' is not understood.` };
    return { position: { name: parts[1], inclusive: parts[2] === '>=', value: parts[3] } };
}

class Consumer {
    constructor(link, partition, group, position) {
        const properties = link.properties || {};
        const capabilities = [].concat(link.desired_capabilities || []);
        this.link = link;
        this.partition = partition;
        this.group = group.toLowerCase();
        this.epoch = properties['com.microsoft:epoch'];
        if (this.epoch === null) this.epoch = undefined;
        this.name = properties['com.microsoft:receiver-name'] || 'nil';
        this.wants_last = capabilities.includes('com.microsoft:enable-receiver-runtime-metric');
        this.next = partition.index_of(position);
        this.sent = 0;
    }

    rivals() {
        return [...this.partition.consumers].filter(other => other.group === this.group);
    }

    /* Why this consumer may not attach, as {condition, text}; or nothing. */
    refusal() {
        const rivals = this.rivals();
        const owner = rivals.find(other => other.epoch !== undefined);
        if (owner && (this.epoch === undefined || this.epoch < owner.epoch)) {
            return { condition: 'amqp:link:stolen', text: `A receiver with a higher epoch of '${owner.epoch}' exists: receiver '${this.name}' `
                + `with epoch '${this.epoch === undefined ? 'none' : this.epoch}' cannot be created. Make sure the epochs increase.` };
        }
        if (this.epoch === undefined && rivals.length >= NON_EPOCH_MAX) {
            return { condition: 'amqp:resource-limit-exceeded', text: `A partition takes ${NON_EPOCH_MAX} receivers for each consumer group. `
                + `Connected are: ${rivals.map(other => `'${other.name}'`).join(', ')}.` };
        }
        return undefined;
    }

    /* Takes the partition; an epoch sends everyone else of the group away. */
    attach(tracked) {
        if (this.epoch !== undefined) {
            for (const rival of this.rivals()) {
                rival.detach();
                rival.link.close({ condition: 'amqp:link:stolen', description: tracked(`A receiver '${this.name}' with a higher epoch of `
                    + `'${this.epoch}' took over: receiver '${rival.name}' with epoch '${rival.epoch === undefined ? 'none' : rival.epoch}' is disconnected.`) });
            }
        }
        this.partition.consumers.add(this);
    }

    detach() {
        this.partition.consumers.delete(this);
    }

    /*
     * rhea takes credit off a link only when it writes the transfer, so what was handed over since must be counted
     * here: delivery-count plus credit does not change when a transfer is written.
     */
    pump() {
        const { link, partition } = this;
        if (!link.is_open() || !partition.consumers.has(this)) return;
        while (this.next < partition.events.length && this.sent < link.delivery_count + link.credit
            && link.session.outgoing.available() > 0) {
            link.send(delivered(partition.events[this.next++], this.wants_last && partition.last()), undefined, 0);
            this.sent++;
        }
    }

    drain() {
        this.pump();
        /* Credit that was not spent is given back by raising delivery-count; our count follows. */
        this.sent = this.link.delivery_count + this.link.credit;
        this.link.set_drained(true);
    }
}

module.exports = { Consumer, position_of };
