/*
 * As as_broker, with the roles changed: bytes of a service that says anything into a live engine in the client's role.
 */
#include "fuzz/kit/mutator.h"
#include "fuzz/kit/target.h"
#include "fuzz/kit/world.h"

static void run(const uint8_t *data, size_t size)
{
    kit_world_run(false, data, size);
}

TARGET(run, 20000, 1500)
TARGET_HOLDS_RECORDS
