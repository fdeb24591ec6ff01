/**
 * kept.h: a store with a hub of two partitions that is kept in a folder, to be stopped and started again.
 */
#ifndef KEPT_H
#define KEPT_H

#include "emulator/store.h"

#include <sys/resource.h>

#define KEPT_FILE_BYTES 4096
#define KEPT_RECORD     40 /* what a record adds to an event */

struct kept {
    char             root[64], folder[96];
    size_t           allocated;
    unsigned         fail_allocation; /* counts down; the one that reaches 0 fails; 0: none does */
    rh_allocator     allocator;
    rh_emu_store     store;
    rh_emu_partition partitions[2];
    rh_emu_disk     *disk;
    rh_error         error;
    int64_t          created_ms;
    char             logged[64], words[800]; /* the last record at or above warning */
};

/** A folder that is empty, and everything in it removed again. */
void kept_make(struct kept *k);
void kept_remove(const struct kept *k);

/** Opens the folder and reads the hub "telemetry" back. Stop follows, also after a failure, and tells whether all memory came back. */
rh_status kept_start(struct kept *k);
rh_status kept_start_hub(struct kept *k, const char *hub, uint32_t count, uint64_t max_bytes);
void      kept_must_start(struct kept *k);
void      kept_stop(struct kept *k);

/** Commits an event of n bytes that all are its sequence number's last digit; a third of them are its header. Append flushes it too. */
void kept_put(rh_emu_partition *p, size_t n, int64_t wall_ms);
void kept_append(rh_emu_partition *p, size_t n, int64_t wall_ms);

/** The partition holds exactly these, each as it was put. */
void kept_expect(const rh_emu_partition *p, int64_t begin, int64_t end);

/** The path of the nth file of a log ("telemetry/0"), from the end when negative. Answers how many files there are. */
int kept_file(const struct kept *k, const char *log, int n, char path[400]);

/** From now on files cannot grow beyond n bytes, or no more descriptors be had: what a full disk or table does. */
void limit_files(rlim_t n);
void limit_descriptors(rlim_t n);

#endif
