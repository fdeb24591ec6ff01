/*
 * An AMQP server on qpid-proton that opens whatever a peer opens, gives credit, and accepts what comes: somebody else's stack for fuzz/aim. It
 * prints "listening HOST:PORT" and serves until it is stopped.
 */
#include <stdio.h>

#if __has_include(<proton/proactor.h>)
#include <proton/connection.h>
#include <proton/delivery.h>
#include <proton/event.h>
#include <proton/link.h>
#include <proton/listener.h>
#include <proton/netaddr.h>
#include <proton/proactor.h>
#include <proton/sasl.h>
#include <proton/session.h>
#include <proton/transport.h>

static void tell_where(pn_listener_t *listener)
{
    char host[64], port[16];
    pn_netaddr_host_port(pn_listener_addr(listener), host, sizeof host, port, sizeof port);
    printf("listening %s:%s\n", host, port);
    fflush(stdout);
}

static void take_connection(pn_listener_t *listener)
{
    pn_transport_t *transport = pn_transport();
    pn_transport_set_server(transport);
    pn_transport_require_auth(transport, false);
    pn_sasl_allowed_mechs(pn_sasl(transport), "ANONYMOUS");
    pn_listener_accept2(listener, NULL, transport);
}

static void open_link(pn_link_t *link)
{
    pn_terminus_copy(pn_link_source(link), pn_link_remote_source(link));
    pn_terminus_copy(pn_link_target(link), pn_link_remote_target(link));
    pn_link_open(link);
    if (pn_link_is_receiver(link)) pn_link_flow(link, 100);
}

static void take_delivery(pn_delivery_t *delivery)
{
    char       bytes[4096];
    pn_link_t *link = pn_delivery_link(delivery);
    if (!pn_link_is_receiver(link) || !pn_delivery_readable(delivery)) return;
    while (pn_link_recv(link, bytes, sizeof bytes) > 0) continue;
    if (pn_delivery_partial(delivery)) return;
    pn_delivery_update(delivery, PN_ACCEPTED);
    pn_delivery_settle(delivery);
    pn_link_flow(link, 1);
}

static void answer(pn_event_t *event)
{
    switch (pn_event_type(event)) {
    case PN_LISTENER_OPEN: tell_where(pn_event_listener(event)); break;
    case PN_LISTENER_ACCEPT: take_connection(pn_event_listener(event)); break;
    case PN_CONNECTION_REMOTE_OPEN: pn_connection_open(pn_event_connection(event)); break;
    case PN_CONNECTION_REMOTE_CLOSE: pn_connection_close(pn_event_connection(event)); break;
    case PN_SESSION_REMOTE_OPEN: pn_session_open(pn_event_session(event)); break;
    case PN_SESSION_REMOTE_CLOSE: pn_session_close(pn_event_session(event)); break;
    case PN_LINK_REMOTE_OPEN: open_link(pn_event_link(event)); break;
    case PN_LINK_REMOTE_CLOSE: pn_link_close(pn_event_link(event)); break;
    case PN_LINK_REMOTE_DETACH: pn_link_detach(pn_event_link(event)); break;
    case PN_DELIVERY: take_delivery(pn_event_delivery(event)); break;
    default: break;
    }
}

int main(void)
{
    pn_proactor_t *proactor = pn_proactor();
    pn_proactor_listen(proactor, pn_listener(), "127.0.0.1:0", 16);
    for (;;) {
        pn_event_batch_t *batch = pn_proactor_wait(proactor);
        for (pn_event_t *event; (event = pn_event_batch_next(batch)) != NULL;) answer(event);
        pn_proactor_done(proactor, batch);
    }
}
#else
int main(void)
{
    fprintf(stderr, "built without qpid-proton's headers\n");
    return 1;
}
#endif
