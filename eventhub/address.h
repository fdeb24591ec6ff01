/**
 * address.h: how links are called: addresses, unique names, and the capabilities they ask for.
 */
#ifndef RH_EVENTHUB_ADDRESS_H
#define RH_EVENTHUB_ADDRESS_H

#include "eventhub/eventhub.h"

/* "HUB/ConsumerGroups/GROUP/Partitions/ID-0123456789abcdef" with a hub and a group of 256 characters. */
#define RH_ADDRESS_MAX 640

/** HUB[/ConsumerGroups/GROUP][/Partitions/PARTITION], ended by a zero: its size, and writing it into so many bytes. */
size_t rh_address_size(const char *hub, const char *group, const char *partition);
void   rh_address_make(char *out, const char *hub, const char *group, const char *partition);

/** What the address needs that rh_address_unique() makes of one of this size. */
#define RH_ADDRESS_UNIQUE(size) ((size) + 17)

/** The address with 64 random bits behind it: no two links of a connection may have the same name [2.6.1]. */
void rh_address_unique(char *out, rh_loop *loop, const char *address);

/** An address as the encoded value that source and target hold; lives as long as e's memory. */
rh_slice rh_address_encode(rh_enc *e, const char *text);

/**
 * What a link desires: georeplication says that offsets are text to us and never numbers; the runtime metric is the
 * position of the partition's end with each event.
 */
rh_slice rh_capabilities_encode(rh_enc *e, bool runtime_metric);

#endif
