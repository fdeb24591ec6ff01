/**
 * properties.h: what $management answers about hubs and partitions, read out of its maps.
 */
#ifndef RH_EVENTHUB_PROPERTIES_H
#define RH_EVENTHUB_PROPERTIES_H

#include "eventhub/connection.h"

/** False when a field is missing, of another type, or too long. */
RH_NODISCARD bool rh_partition_properties_read(rh_slice map, rh_partition_properties *out);

/**
 * Copies the answer into one block that the client keeps instead of the last: the pointers, then the texts.
 * RH_E_DECODE as above, RH_E_MEMORY; then the last answer stays.
 */
RH_NODISCARD rh_status rh_hub_properties_keep(rh_client *client, rh_slice map, rh_hub_properties *out);

#endif
