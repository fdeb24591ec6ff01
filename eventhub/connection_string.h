/**
 * connection_string.h: "Key=Value;Key=Value;" as the Azure portal gives it.
 */
#ifndef RH_EVENTHUB_CONNECTION_STRING_H
#define RH_EVENTHUB_CONNECTION_STRING_H

#include "codec/base.h"

/** Slices into the text that was parsed; absent where the text names none. */
typedef struct rh_connection_string {
    rh_slice host;      /* of Endpoint, without port; an IPv6 address without its brackets */
    rh_slice authority; /* host and port as written: the audience's "sb://AUTHORITY/" */
    uint16_t port;      /* 0: none was given */
    rh_slice key_name;  /* both or neither */
    rh_slice key;
    rh_slice signature; /* a ready token; excludes the key pair */
    rh_slice hub;       /* EntityPath */
    bool     emulator;  /* plain AMQP */
} rh_connection_string;

/**
 * Keys are compared without case, unknown ones are skipped, the order is free. Refuses, with words that
 * name the key and never show a value: a part without '=', an empty value, a key given twice, no or a
 * malformed Endpoint, half of the key pair, a signature beside the key pair. error may be NULL.
 */
RH_NODISCARD rh_status rh_connection_string_parse(rh_slice text, rh_connection_string *out, rh_error *error);

/** "HOST[:PORT]" or "sb://HOST[:PORT][/..]", as for a fully qualified namespace; fills host, authority, port. */
RH_NODISCARD bool rh_endpoint_parse(rh_slice text, rh_connection_string *out);

#endif
