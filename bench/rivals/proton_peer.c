#if __has_include(<proton/proactor.h>)
#include "bench/rivals/proton_peer.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <proton/condition.h>
#include <proton/message.h>
#include <proton/sasl.h>
#include <proton/terminus.h>
#include <proton/transport.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

/* The development emulator's rule; a test peer that takes any token takes this one. */
#define RULE "RootManageSharedAccessKey"
#define KEY  "SAS_KEY_VALUE"

#define ANSWERS "cbs-answers"

/* -- the token ------------------------------------------------------------------------------- */

static void percent(char *to, size_t room, const char *text)
{
    size_t n = 0;
    for (; *text && n + 4 < room; text++) {
        bool plain = (*text >= 'a' && *text <= 'z') || (*text >= 'A' && *text <= 'Z') || (*text >= '0' && *text <= '9') ||
                     *text == '-' || *text == '_' || *text == '.' || *text == '~';
        n += (size_t)snprintf(to + n, room - n, plain ? "%c" : "%%%02X", (unsigned char)*text);
    }
    to[n] = '\0';
}

static void sign(char *to, size_t room, const char *audience)
{
    char          resource[512], text[600], signature[64], escaped[160];
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned      n = 0;
    long long     expiry = (long long)time(NULL) + 3600;
    percent(resource, sizeof resource, audience);
    int size = snprintf(text, sizeof text, "%s\n%lld", resource, expiry);
    HMAC(EVP_sha256(), KEY, sizeof KEY - 1, (const unsigned char *)text, (size_t)size, digest, &n);
    EVP_EncodeBlock((unsigned char *)signature, digest, (int)n);
    percent(escaped, sizeof escaped, signature);
    snprintf(to, room, "SharedAccessSignature sr=%s&sig=%s&se=%lld&skn=" RULE, resource, escaped, expiry);
}

/* -- claims ---------------------------------------------------------------------------------- */

static void put_property(pn_data_t *properties, const char *key, const char *value)
{
    pn_data_put_string(properties, pn_bytes(strlen(key), key));
    pn_data_put_string(properties, pn_bytes(strlen(value), value));
}

static void ask(struct peer *peer)
{
    char audience[256], token[1024], bytes[4096];
    snprintf(audience, sizeof audience, "sb://%s/%s", peer->order->host, peer->order->address);
    sign(token, sizeof token, audience);

    pn_message_t *message = pn_message();
    pn_message_set_id(message, (pn_atom_t){ .type = PN_STRING, .u.as_bytes = pn_bytes(1, "1") });
    pn_message_set_reply_to(message, ANSWERS);
    pn_data_t *properties = pn_message_properties(message);
    pn_data_put_map(properties);
    pn_data_enter(properties);
    put_property(properties, "operation", "put-token");
    put_property(properties, "type", "servicebus.windows.net:sastoken");
    put_property(properties, "name", audience);
    pn_data_exit(properties);
    pn_data_put_string(pn_message_body(message), pn_bytes(strlen(token), token));

    size_t n = sizeof bytes;
    if (pn_message_encode(message, bytes, &n) == 0) {
        pn_delivery(peer->requests, pn_dtag("1", 1));
        pn_link_send(peer->requests, bytes, n);
        pn_link_advance(peer->requests);
        peer->asked = true;
    }
    pn_message_free(message);
}

static int status_code(pn_data_t *properties)
{
    pn_data_rewind(properties);
    if (!pn_data_next(properties) || !pn_data_enter(properties)) return 0;
    while (pn_data_next(properties)) {
        pn_bytes_t key = pn_data_get_string(properties);
        if (!pn_data_next(properties)) return 0;
        if (key.size == 11 && memcmp(key.start, "status-code", 11) == 0) return pn_data_get_int(properties);
    }
    return 0;
}

/* The code of the answer a delivery holds; 0 if it holds none. */
static int hear(pn_link_t *answers, pn_delivery_t *delivery)
{
    char    bytes[4096];
    ssize_t n = pn_link_recv(answers, bytes, sizeof bytes);
    int     code = 0;
    pn_message_t *message = pn_message();
    if (n > 0 && pn_message_decode(message, bytes, (size_t)n) == 0) code = status_code(pn_message_properties(message));
    pn_message_free(message);
    pn_delivery_update(delivery, PN_ACCEPTED);
    pn_delivery_settle(delivery);
    return code;
}

/* -- opening --------------------------------------------------------------------------------- */

static void open_claims(struct peer *peer)
{
    peer->requests = pn_sender(peer->session, "cbs-requests");
    pn_terminus_set_address(pn_link_target(peer->requests), "$cbs");
    pn_terminus_set_address(pn_link_source(peer->requests), "cbs");
    peer->answers = pn_receiver(peer->session, ANSWERS);
    pn_terminus_set_address(pn_link_source(peer->answers), "$cbs");
    pn_terminus_set_address(pn_link_target(peer->answers), ANSWERS);
    pn_link_open(peer->answers);
    pn_link_open(peer->requests);
    pn_link_flow(peer->answers, 10);
}

static void open_link(struct peer *peer)
{
    const char *address = peer->order->address;
    peer->link = peer->is_receiver ? pn_receiver(peer->session, "events") : pn_sender(peer->session, "events");
    pn_terminus_set_address(pn_link_source(peer->link), peer->is_receiver ? address : "bench");
    pn_terminus_set_address(pn_link_target(peer->link), peer->is_receiver ? "bench" : address);
    pn_link_set_snd_settle_mode(peer->link, peer->order->settled ? PN_SND_SETTLED : PN_SND_UNSETTLED);
    pn_link_open(peer->link);
}

void peer_connect(struct peer *peer, pn_proactor_t *proactor, pn_ssl_domain_t *domain, const rh_order *order)
{
    char at[128];
    *peer = (struct peer){ .order = order, .connection = pn_connection(), .is_receiver = strcmp(order->task, "receive") == 0 };
    pn_transport_t *transport = pn_transport();
    pn_connection_set_container(peer->connection, "bench");
    pn_connection_set_hostname(peer->connection, order->host);
    pn_connection_set_context(peer->connection, peer);
    pn_transport_set_max_frame(transport, 65536);
    pn_sasl_allowed_mechs(pn_sasl(transport), "ANONYMOUS");
    if (domain) {
        /* The session's name lets a later connection resume it. */
        pn_ssl_init(pn_ssl(transport), domain, "bench");
        /* It compares a certificate's DNS names only, never its addresses. */
        pn_ssl_set_peer_hostname(pn_ssl(transport), strcmp(order->host, "127.0.0.1") == 0 ? "localhost" : order->host);
    }
    pn_connection_open(peer->connection);
    peer->session = pn_session(peer->connection);
    pn_session_open(peer->session);
    open_claims(peer);
    pn_proactor_addr(at, sizeof at, order->host, order->port);
    pn_proactor_connect2(proactor, peer->connection, transport, at);
}

/* -- events ---------------------------------------------------------------------------------- */

static void note(struct peer *peer, pn_condition_t *condition, const char *otherwise)
{
    if (peer->words[0]) return;
    if (condition && pn_condition_is_set(condition))
        snprintf(peer->words, sizeof peer->words, "%s: %s", pn_condition_get_name(condition), pn_condition_get_description(condition));
    else snprintf(peer->words, sizeof peer->words, "%s", otherwise);
}

static void claims(struct peer *peer, pn_event_t *event)
{
    pn_delivery_t *delivery = pn_event_delivery(event);
    switch (pn_event_type(event)) {
    case PN_LINK_FLOW:
        if (!peer->asked && pn_link_credit(peer->requests) > 0) ask(peer);
        break;
    case PN_DELIVERY:
        if (pn_event_link(event) == peer->requests) {
            if (pn_delivery_updated(delivery)) pn_delivery_settle(delivery);
        } else if (pn_delivery_readable(delivery) && !pn_delivery_partial(delivery)) {
            int code = hear(peer->answers, delivery);
            if (code == 200 || code == 202) open_link(peer);
            else snprintf(peer->words, sizeof peer->words, "put-token was answered with %d", code);
        }
        break;
    default: break;
    }
}

static bool is_ready(const struct peer *peer, pn_event_type_t type)
{
    return peer->is_receiver ? type == PN_LINK_REMOTE_OPEN : pn_link_credit(peer->link) > 0;
}

bool peer_handle(struct peer *peer, pn_event_t *event)
{
    pn_event_type_t type = pn_event_type(event);
    switch (type) {
    case PN_LINK_REMOTE_OPEN:
    case PN_LINK_FLOW:
    case PN_DELIVERY:
        if (pn_event_link(event) != peer->link) {
            claims(peer, event);
            return false;
        }
        if (peer->state == PEER_OPENING && is_ready(peer, type)) peer->state = PEER_READY;
        return true;
    case PN_CONNECTION_WAKE: return true;
    case PN_LINK_REMOTE_CLOSE: note(peer, pn_link_remote_condition(pn_event_link(event)), "the peer detached a link"); break;
    case PN_SESSION_REMOTE_CLOSE: note(peer, pn_session_remote_condition(peer->session), "the peer ended the session"); break;
    case PN_CONNECTION_REMOTE_CLOSE:
        note(peer, pn_connection_remote_condition(peer->connection), "the peer closed the connection");
        pn_connection_close(peer->connection);
        break;
    case PN_TRANSPORT_CLOSED:
        note(peer, pn_transport_condition(pn_event_transport(event)), "the stream ended");
        peer->state = PEER_CLOSED;
        break;
    default: break;
    }
    return false;
}
#endif
