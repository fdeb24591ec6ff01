'use strict';
/* The two nodes that answer requests: $cbs takes tokens, $management describes hubs and partitions. */

const { types, message } = require('rhea');
const { request_of } = require('./message.js');
const { claim_of } = require('./token.js');

/* What a request gets back: {code, text, condition, body}. */
function put_token(request, namespace, claims) {
    const { operation, name } = request.arguments;
    if (operation !== 'put-token' || typeof name !== 'string') {
        return { code: 400, text: 'A put-token request with a name is wanted.', condition: 'amqp:invalid-field' };
    }
    try {
        claims.add(claim_of(request.body, name, namespace.rules));
        return { code: 202, text: 'Accepted' };
    } catch (error) {
        return { code: 401, text: error.message, condition: 'amqp:unauthorized-access' };
    }
}

function read(request, namespace) {
    const { operation, type, name, partition: id } = request.arguments;
    if (operation !== 'READ') return { code: 501, text: `There is no operation '${operation}'.`, condition: 'amqp:not-implemented' };
    const hub = namespace.hub(String(name));
    if (!hub) return { code: 404, text: namespace.not_found(name), condition: 'amqp:not-found' };
    if (type === 'com.microsoft:eventhub') return { code: 200, text: 'OK', body: hub_properties(hub) };
    if (type !== 'com.microsoft:partition') return { code: 400, text: `There is no type '${type}'.`, condition: 'amqp:not-allowed' };
    const partition = hub.partition(id);
    if (!partition) return { code: 400, text: namespace.no_partition(hub), condition: 'com.microsoft:argument-out-of-range' };
    return { code: 200, text: 'OK', body: partition_properties(hub, partition) };
}

function hub_properties(hub) {
    return {
        name: hub.name,
        type: 'com.microsoft:eventhub',
        created_at: types.wrap_timestamp(hub.created),
        partition_count: types.wrap_int(hub.partitions.length),
        partition_ids: types.wrap_array(hub.partitions.map(partition => partition.id), types.Str8.typecode),
        georeplication_factor: types.wrap_int(1),
    };
}

function partition_properties(hub, partition) {
    const last = partition.last();
    return {
        name: hub.name,
        type: 'com.microsoft:partition',
        partition: partition.id,
        begin_sequence_number: types.wrap_long(0),
        last_enqueued_sequence_number: types.wrap_long(last.sequence),
        last_enqueued_offset: last.offset,
        last_enqueued_time_utc: types.wrap_timestamp(last.time),
        is_partition_empty: partition.events.length === 0,
    };
}

const NODES = { $cbs: put_token, $management: read };

/* The link that carries the answer: by its target address, else by its name, else the node's other link in the session. */
function reply_link(connection, session, node, reply_to) {
    const links = [];
    connection.each_sender(sender => { if (sender.node === node) links.push(sender); });
    return (reply_to && links.find(sender => sender.target && sender.target.address === reply_to))
        || (reply_to && links.find(sender => sender.name === reply_to))
        || links.find(sender => sender.session === session);
}

/* Answers one request, which came as bytes; a request without a way back is dropped, as there is nobody to tell. */
function answer(node, bytes, receiver, namespace, claims) {
    const request = request_of(bytes);
    const result = NODES[node](request, namespace, claims);
    const link = reply_link(receiver.connection, receiver.session, node, request.reply_to);
    if (!link) return;
    const reply = {
        correlation_id: request.message_id,
        application_properties: {
            'status-code': types.wrap_int(result.code),
            'status-description': result.condition ? namespace.tracked(result.text) : result.text,
        },
        body: result.body,
    };
    if (result.condition) reply.application_properties['error-condition'] = types.wrap_symbol(result.condition);
    link.send(message.encode(reply), undefined, 0);
}

module.exports = { answer, is_node: name => name in NODES };
