#include "bench/null/null.h"

#include <stdlib.h>
#include <time.h>

#define LAST_SEQUENCE 5000000999 /* of the reference events */

/* -- the answer ------------------------------------------------------------------------------ */

static int64_t wall_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static void put_key(rh_enc *e, const char *key) { rh_enc_string(e, rh_str(key)); }

static void put_text(rh_enc *e, const char *key, rh_slice value)
{
    put_key(e, key);
    rh_enc_string(e, value);
}

static void put_partition_ids(rh_enc *e)
{
    put_key(e, "partition_ids");
    rh_enc_mark mark = rh_enc_array_begin(e, 0xa1);
    for (unsigned i = 0; i < RH_NULL_PARTITIONS; i++) {
        uint8_t digit = (uint8_t)('0' + i);
        rh_enc_element_variable(e, 0xa1, rh_slice_of(&digit, 1));
    }
    rh_enc_array_end(e, mark, RH_NULL_PARTITIONS);
}

static uint32_t put_hub(rh_enc *e, rh_slice name)
{
    put_text(e, "name", name);
    put_text(e, "type", rh_str("com.microsoft:eventhub"));
    put_key(e, "created_at");
    rh_enc_timestamp(e, wall_ms());
    put_key(e, "partition_count");
    rh_enc_int(e, RH_NULL_PARTITIONS);
    put_partition_ids(e);
    put_key(e, "georeplication_factor");
    rh_enc_int(e, 1);
    return 12;
}

static uint32_t put_partition(rh_enc *e, rh_slice name, rh_slice partition)
{
    put_text(e, "name", name);
    put_text(e, "type", rh_str("com.microsoft:partition"));
    put_text(e, "partition", partition);
    put_key(e, "begin_sequence_number");
    rh_enc_long(e, 0);
    put_key(e, "last_enqueued_sequence_number");
    rh_enc_long(e, LAST_SEQUENCE);
    put_text(e, "last_enqueued_offset", rh_str("4398046511104"));
    put_key(e, "last_enqueued_time_utc");
    rh_enc_timestamp(e, wall_ms());
    put_key(e, "is_partition_empty");
    rh_enc_bool(e, false);
    return 16;
}

static void put_section(rh_enc *e, uint64_t code) { rh_enc_descriptor(e, code); }

static rh_slice text_of(rh_slice map, const char *key)
{
    rh_value value;
    return rh_map_find(map, key, &value) && value.type == RH_STRING ? value.bytes : rh_str("");
}

static void put_status(rh_enc *e, int32_t code, const char *words)
{
    put_section(e, RH_CODE_APPLICATION_PROPERTIES);
    rh_enc_mark mark = rh_enc_map_begin(e);
    put_key(e, "status-code");
    rh_enc_int(e, code);
    put_text(e, "status-description", rh_str(words));
    rh_enc_map_end(e, mark, 4);
}

static void write_reply(rh_enc *e, bool is_cbs, const rh_message *request, const rh_amqp_properties *properties)
{
    /* The answer's correlation-id is the request's message-id, type and all. */
    rh_amqp_properties answer = { .correlation_id = properties->message_id };
    rh_amqp_properties_encode(e, &answer);
    rh_slice asked = request->application_properties, type = text_of(asked, "type");
    put_status(e, is_cbs ? 202 : 200, is_cbs ? "Accepted" : "OK");
    put_section(e, RH_CODE_AMQP_VALUE);
    if (is_cbs) {
        rh_enc_null(e);
        return;
    }
    rh_enc_mark mark  = rh_enc_map_begin(e);
    bool        part  = rh_slice_is(type, "com.microsoft:partition");
    uint32_t    count = part ? put_partition(e, text_of(asked, "name"), text_of(asked, "partition")) : put_hub(e, text_of(asked, "name"));
    rh_enc_map_end(e, mark, count);
}

/* -- its way --------------------------------------------------------------------------------- */

static bool is_of(const rh_null_link *link, const rh_null_link *request)
{
    return link && link->kind == RH_NULL_REPLIES && (strstr(link->address, "$cbs") != NULL) == (strstr(request->address, "$cbs") != NULL);
}

/* By reply-to as an address, then as a link's name, then the other link of the session, then any. */
static rh_null_link *route_in(rh_null_session *session, const rh_null_link *request, rh_slice reply_to)
{
    rh_null_link *any = NULL;
    for (uint32_t handle = 0; session && session->is_open && handle < session->handles; handle++) {
        rh_null_link *link = session->links[handle];
        if (!is_of(link, request)) continue;
        if (reply_to.n && (rh_slice_is(reply_to, link->reply_to) || rh_slice_is(reply_to, link->name))) return link;
        any = link;
    }
    return any;
}

static rh_null_link *route(rh_null_peer *peer, rh_null_session **session, const rh_null_link *request, rh_slice reply_to)
{
    rh_null_link *link = route_in(*session, request, reply_to);
    for (size_t i = 0; !link && i < peer->session_count; i++) {
        if ((link = route_in(peer->sessions[i], request, reply_to))) *session = peer->sessions[i];
    }
    return link;
}

static void queue(rh_null_peer *peer, rh_null_link *link, rh_slice message)
{
    uint8_t *larger = realloc(link->reply, link->reply_n + 4 + message.n);
    if (!larger) {
        rh_null_trouble(peer, "no memory for a reply");
        return;
    }
    rh_put32(larger + link->reply_n, (uint32_t)message.n);
    memcpy(larger + link->reply_n + 4, message.p, message.n);
    link->reply = larger;
    link->reply_n += 4 + message.n;
}

void rh_null_service_request(rh_null_peer *peer, rh_null_session *session, rh_null_link *link, rh_slice bytes)
{
    rh_message         request;
    rh_amqp_properties properties;
    uint8_t            reply[4096];
    if (rh_message_view(bytes, &request) != RH_OK || rh_message_properties(&request, &properties) != RH_OK) {
        rh_null_trouble(peer, "a request that is no message");
        return;
    }
    rh_enc e = rh_enc_of(reply, sizeof reply);
    write_reply(&e, strstr(link->address, "$cbs") != NULL, &request, &properties);
    rh_dec        d  = rh_dec_of(properties.reply_to);
    rh_null_link *to = route(peer, &session, link, properties.reply_to.n ? rh_dec_text(&d) : rh_str(""));
    if (!to || e.status != RH_OK) {
        rh_null_trouble(peer, "a request that cannot be answered");
        return;
    }
    queue(peer, to, rh_enc_written(&e));
    rh_null_service_give(peer, session, to);
}

void rh_null_service_give(rh_null_peer *peer, rh_null_session *session, rh_null_link *link)
{
    while (link->reply_n && link->credit && (int32_t)session->room > 0) {
        uint32_t         n = rh_get32(link->reply), id = session->next_delivery_id++;
        rh_amqp_transfer transfer = {
            .has = RH_HAS_TRANSFER_HANDLE | RH_HAS_TRANSFER_DELIVERY_ID | RH_HAS_TRANSFER_MESSAGE_FORMAT | RH_HAS_TRANSFER_SETTLED,
            .handle = link->handle, .delivery_id = id, .delivery_tag = rh_slice_of(&id, sizeof id), .settled = true,
        };
        rh_null_send(peer, session->channel, RH_AMQP_TRANSFER, &transfer, rh_slice_of(link->reply + 4, n));
        session->next_outgoing_id++;
        session->room--;
        link->delivery_count++;
        link->credit--;
        link->reply_n -= 4 + n;
        memmove(link->reply, link->reply + 4 + n, link->reply_n);
    }
}
