#include "transport/address.h"

#include <arpa/inet.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>

static bool parse_v6(rh_address *address, char *host, uint16_t port)
{
    struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)&address->storage;
    char *scope = strchr(host, '%');
    if (scope) *scope++ = '\0';
    *v6 = (struct sockaddr_in6){ .sin6_family = AF_INET6, .sin6_port = htons(port) };
    if (inet_pton(AF_INET6, host, &v6->sin6_addr) != 1) return false;
    if (scope) v6->sin6_scope_id = if_nametoindex(scope);
    address->n = sizeof *v6;
    return !scope || v6->sin6_scope_id != 0;
}

bool rh_address_parse(rh_address *address, const char *host, uint16_t port)
{
    char text[RH_ADDRESS_TEXT_MAX];
    size_t n = strlen(host);
    bool bracketed = n >= 2 && host[0] == '[' && host[n - 1] == ']';
    if (bracketed) host++, n -= 2;
    if (n >= sizeof text) return false;
    memcpy(text, host, n);
    text[n] = '\0';

    struct sockaddr_in *v4 = (struct sockaddr_in *)&address->storage;
    *v4 = (struct sockaddr_in){ .sin_family = AF_INET, .sin_port = htons(port) };
    address->n = sizeof *v4;
    if (!bracketed && inet_pton(AF_INET, text, &v4->sin_addr) == 1) return true;
    return parse_v6(address, text, port);
}

uint16_t rh_address_port(const rh_address *address)
{
    if (address->storage.ss_family == AF_INET6) return ntohs(((const struct sockaddr_in6 *)&address->storage)->sin6_port);
    return ntohs(((const struct sockaddr_in *)&address->storage)->sin_port);
}

void rh_address_text(const rh_address *address, char *text, size_t n)
{
    char host[INET6_ADDRSTRLEN] = "?";
    if (address->storage.ss_family == AF_INET6) {
        inet_ntop(AF_INET6, &((const struct sockaddr_in6 *)&address->storage)->sin6_addr, host, sizeof host);
        snprintf(text, n, "[%s]:%u", host, rh_address_port(address));
    } else {
        inet_ntop(AF_INET, &((const struct sockaddr_in *)&address->storage)->sin_addr, host, sizeof host);
        snprintf(text, n, "%s:%u", host, rh_address_port(address));
    }
}
