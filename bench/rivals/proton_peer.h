/**
 * One connection of a qpid-proton application to Event Hubs: TCP or TLS, SASL ANONYMOUS, a session, claims on `$cbs`, then one
 * link. qpid-proton knows nothing of claims: the token and the request are what an application on it has to write.
 */
#ifndef RH_BENCH_PROTON_PEER_H
#define RH_BENCH_PROTON_PEER_H

#include "bench/lines.h"

#include <proton/connection.h>
#include <proton/delivery.h>
#include <proton/event.h>
#include <proton/link.h>
#include <proton/proactor.h>
#include <proton/session.h>
#include <proton/ssl.h>

enum peer_state { PEER_OPENING, PEER_READY, PEER_CLOSED };

struct peer {
    const rh_order  *order;
    pn_connection_t *connection;
    pn_session_t    *session;
    pn_link_t       *requests, *answers; /* of `$cbs` */
    pn_link_t       *link;               /* NULL until the token is taken */
    bool             asked, is_receiver;
    enum peer_state  state;
    char             words[256]; /* why it ended, when nobody wanted that */
};

/** Begins to connect; everything that may go out before the peer answers does. domain: of TLS, NULL for none. */
void peer_connect(struct peer *peer, pn_proactor_t *proactor, pn_ssl_domain_t *domain, const rh_order *order);

/** The peer's part of an event. True: the event was about its link, or a wake, and is the application's. */
bool peer_handle(struct peer *peer, pn_event_t *event);

#endif
