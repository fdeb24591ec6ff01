/*
 * Bytes of a client that says anything into a live engine in the server's role, from one of five depths, while its owner does
 * anything. Whatever comes, what leaves is held to the frames that were exchanged (fuzz/kit/witness.h); each delivery, link,
 * session and connection ends once; nothing lent is used afterwards; the work is bounded by the bytes.
 */
#include "fuzz/kit/mutator.h"
#include "fuzz/kit/target.h"
#include "fuzz/kit/world.h"

static void run(const uint8_t *data, size_t size)
{
    kit_world_run(true, data, size);
}

TARGET(run, 20000, 1500)
TARGET_HOLDS_RECORDS
