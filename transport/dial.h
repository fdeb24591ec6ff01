/**
 * dial.h: from a host's name to one connected socket.
 */
#ifndef RH_TRANSPORT_DIAL_H
#define RH_TRANSPORT_DIAL_H

#include "transport/pipe.h"

/* Addresses of one name that are tried at most; the rest of a longer answer is not looked at. */
#define RH_DIAL_ADDRESSES 16

/* A new address joins the race after this long [RFC 8305, 5]. */
#define RH_DIAL_STAGGER RH_MS(250)

typedef struct rh_dial rh_dial;

/** Resolves and races; ends in rh_tcp_pipe_connected() or rh_tcp_pipe_fall(). */
RH_NODISCARD rh_status rh_dial_start(rh_tcp_pipe *pipe, const char *host, uint16_t port);

/** No more of it. The memory goes with its last socket. */
void rh_dial_cancel(rh_dial *dial);

/** What it is waiting for, for the words of a time-out. */
const char *rh_dial_stage(const rh_dial *dial);

#endif
