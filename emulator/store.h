/**
 * store.h: events on disk: a folder with a log for each partition. (rh_emu_store of partition.h is the store in memory.)
 *
 *   DIR/HUB/hub                      version of the format, number of partitions, when the hub was created
 *   DIR/HUB/ID/SEQUENCE-OFFSET.log   one of a partition's files, named by where its first record stands
 *
 * HUB is the hub's name in small letters, as names differ in more than case, with "%2f" for a slash. A file is a run of records:
 *
 *   n         4   bytes of the event
 *   header_n  4   of these, the header section
 *   sequence  8
 *   offset    8
 *   enqueued  8   milliseconds since 1970
 *   event     n   as readers get it
 *   checksum  8   XXH3, 64 bits, of all before
 *
 * in the order of the network. Records are only ever added to the last file; when that is full a new one begins, and a file
 * is removed as a whole when all of its events were evicted from memory. The last file stays even then: it remembers the position.
 */
#ifndef RH_EMULATOR_STORE_H
#define RH_EMULATOR_STORE_H

#include "emulator/partition.h"

typedef struct rh_emu_disk rh_emu_disk;

typedef struct rh_emu_disk_opts {
    const rh_allocator *allocator;
    rh_log              log;
    const char         *folder;     /* made if it is not there; its parent is */
    uint64_t            file_bytes; /* a file that has grown to this is full */
} rh_emu_disk_opts;

/** Opens the folder and locks it: a second namespace that wants it is refused. On failure *out is NULL. */
RH_NODISCARD rh_status rh_emu_disk_open(const rh_emu_disk_opts *opts, rh_emu_disk **out, rh_error *error);

/**
 * Reads a hub's logs back into its partitions, which are new and empty, and keeps them from then on. What no longer fits into
 * the store's max_bytes is evicted on the way; retention is the caller's to apply afterwards. *created_ms is replaced by
 * what the folder remembers, or remembered in it if the hub is new there.
 *
 * A last record that is torn or damaged is cut off with all behind it, and the log says so. Damage anywhere before
 * the last file is RH_E_IO and nothing is touched: only a person can know what to give up. Another number of
 * partitions than before is RH_E_CONFLICT.
 */
RH_NODISCARD rh_status rh_emu_disk_keep(rh_emu_disk *disk, const char *hub, rh_emu_partition *partitions, uint32_t count,
                                        int64_t *created_ms, rh_error *error);

/** Closes all files and gives the folder free. The partitions must be gone, or never be used again. NULL is allowed. */
void rh_emu_disk_close(rh_emu_disk *disk);

#endif
