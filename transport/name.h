/**
 * name.h: resolving a host's name on the loop, through c-ares.
 */
#ifndef RH_TRANSPORT_NAME_H
#define RH_TRANSPORT_NAME_H

#include "transport/address.h"
#include "transport/reactor.h"

typedef struct rh_query rh_query;

/** count == 0: it does not resolve, words say why. The query is over: its handle is dead. */
typedef void (*rh_answer_fn)(void *user, const rh_address *addresses, size_t count, const char *words);

/** The answer comes later, from a turn. NULL: no memory. */
rh_query *rh_query_start(rh_reactor *reactor, const char *host, uint16_t port, rh_answer_fn fn, void *user);

/** There will be no answer. */
void rh_query_cancel(rh_query *query);

#endif
