/**
 * address.h: numeric socket addresses as text and back.
 */
#ifndef RH_TRANSPORT_ADDRESS_H
#define RH_TRANSPORT_ADDRESS_H

#include "transport/transport.h"

#include <sys/socket.h>

/* "[", 45 of IPv6, a scope's name of 16, "]:65535", the closing zero: rounded up. */
#define RH_ADDRESS_TEXT_MAX 80

typedef struct rh_address {
    struct sockaddr_storage storage;
    socklen_t               n;
} rh_address;

/** False if host is not a numeric address; IPv6 may stand in brackets. */
bool rh_address_parse(rh_address *address, const char *host, uint16_t port);

void     rh_address_text(const rh_address *address, char *text, size_t n);
uint16_t rh_address_port(const rh_address *address);

#endif
