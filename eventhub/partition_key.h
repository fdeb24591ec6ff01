/**
 * partition_key.h: how a partition key chooses a partition: Bob Jenkins' lookup3 (hashlittle2, both
 * seeds zero), folded to 16 signed bits as the official clients fold it.
 */
#ifndef RH_EVENTHUB_PARTITION_KEY_H
#define RH_EVENTHUB_PARTITION_KEY_H

#include "codec/base.h"

/** The hash of the key's bytes (UTF-8); 0 for an empty or absent key. */
int16_t rh_partition_key_hash(rh_slice key);

/** |hash rem partition_count|; 0 when there are no partitions. Declared for the world in eventhub.h. */
RH_API uint32_t rh_partition_of_key(rh_slice key, uint32_t partition_count);

#endif
