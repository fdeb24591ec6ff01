/**
 * partition.h: append-only logs in memory, and the store that bounds all of them together.
 *
 * A partition is a chain of segments. A segment holds encoded events from its front and one record for each from
 * its back, so an event never moves and a delivery is a slice of it. Sequence numbers have no gaps; offsets are
 * the bytes before an event; enqueued times never go back: each of the three finds a place by halving.
 *
 * Events leave from the front, for age one by one, for size a segment at a time. A segment that deliveries still
 * point into stays until the last of them is given back.
 */
#ifndef RH_EMULATOR_PARTITION_H
#define RH_EMULATOR_PARTITION_H

#include "emulator/filter.h"

typedef struct rh_emu_partition rh_emu_partition;
struct rh_emu_reader;

typedef struct rh_emu_record {
    int64_t  enqueued_ms;
    uint64_t offset;
    uint32_t at, n;    /* the encoded event in its segment */
    uint32_t header_n; /* of these, the header section, behind which delivery annotations belong */
} rh_emu_record;

typedef struct rh_emu_segment {
    struct rh_emu_segment *next;
    int64_t                first; /* sequence number of its first record */
    uint32_t               count; /* records */
    uint32_t               used;  /* bytes of events */
    uint32_t               room;  /* for events and records together */
    uint32_t               lent;  /* deliveries that point into it */
    bool                   evicted;
    _Alignas(rh_emu_record) uint8_t bytes[];
} rh_emu_segment;

typedef struct rh_emu_store {
    const rh_allocator *allocator;
    uint64_t            max_bytes;
    int64_t             retention_ms;
    uint64_t            used; /* events and records that are not evicted */
    rh_emu_partition   *partitions;

    /* Tells what went for age or size; unread: how many of count nobody was ever sent. May be NULL. */
    void (*on_evicted)(void *user, const rh_emu_partition *partition, uint64_t count, uint64_t unread, const char *why);
    void  *user;
} rh_emu_store;

/** One stored event; lent while it is not evicted, or held with rh_emu_segment_hold(). */
typedef struct rh_emu_stored {
    int64_t              sequence;
    const rh_emu_record *record;
    rh_emu_segment      *segment;
    rh_slice             bytes;
} rh_emu_stored;

typedef struct rh_emu_keeper rh_emu_keeper;

/** Where a partition is kept besides memory. A partition without a keeper is in memory only. */
typedef struct rh_emu_keeper_ops {
    void (*append)(rh_emu_keeper *keeper, const rh_emu_stored *event);
    bool (*flush)(rh_emu_keeper *keeper); /* false: what was appended since the last flush is not kept, and the log says why; drop follows */
    void (*drop)(rh_emu_keeper *keeper);  /* what was appended since the last flush is not wanted after all */
    void (*forget)(rh_emu_keeper *keeper, int64_t begin); /* nor are the events before begin, any more */
} rh_emu_keeper_ops;

struct rh_emu_keeper { const rh_emu_keeper_ops *ops; };

struct rh_emu_partition {
    rh_emu_store         *store;
    rh_emu_keeper        *keeper;
    rh_emu_partition     *next_in_store;
    struct rh_emu_hub    *hub;
    struct rh_emu_reader *readers; /* of every group */
    rh_emu_segment       *first, *last;
    uint32_t              id;
    int64_t               begin, end; /* sequence numbers: the oldest there is, the next to come */
    int64_t               read_to;    /* behind the newest that was ever sent to somebody */
    uint64_t              next_offset, last_offset;
    int64_t               last_enqueued_ms;
};

void rh_emu_partition_init(rh_emu_partition *partition, rh_emu_store *store, uint32_t id);
void rh_emu_partition_fini(rh_emu_partition *partition); /* nothing may be lent any more */

/** Room for one event of at most n bytes, made by evicting what is oldest anywhere; NULL: not to be had. */
uint8_t *rh_emu_partition_reserve(rh_emu_partition *partition, size_t n);

/** The reserved room holds an event of n bytes now. Its sequence number was partition->end, its offset next_offset. */
void rh_emu_partition_commit(rh_emu_partition *partition, size_t n, size_t header_n, int64_t enqueued_ms);

/** The end of a partition at some moment. */
typedef struct rh_emu_mark {
    int64_t  end;
    uint64_t next_offset, last_offset;
    int64_t  last_enqueued_ms;
} rh_emu_mark;

rh_emu_mark rh_emu_partition_mark(const rh_emu_partition *partition);

/** What was committed so far is kept, if there is a keeper; false: not since the last flush, it has to be taken back. */
RH_NODISCARD bool rh_emu_partition_flush(rh_emu_partition *partition);

/** Takes back what was committed since the mark and not flushed; nobody may have been sent any of it. */
void rh_emu_partition_take_back(rh_emu_partition *partition, const rh_emu_mark *mark);

/** When an event that arrives at wall_ms counts as enqueued: a wall clock may step back, a log may not. */
int64_t rh_emu_partition_time(const rh_emu_partition *partition, int64_t wall_ms);

/** The sequence number of the first event that matches; partition->end if none does yet. */
int64_t rh_emu_partition_find(const rh_emu_partition *partition, const rh_emu_position *position);

/** The event at sequence, or the oldest one if that is gone; false if it has not come yet. */
bool rh_emu_partition_at(const rh_emu_partition *partition, int64_t sequence, rh_emu_stored *out);

/** The next one, without searching where possible. */
bool rh_emu_partition_next(const rh_emu_partition *partition, rh_emu_stored *stored);

void rh_emu_segment_hold(rh_emu_segment *segment);
void rh_emu_segment_release(rh_emu_store *store, rh_emu_segment *segment);

/** Drops what is older than the retention time. */
void rh_emu_store_expire(rh_emu_store *store, int64_t wall_ms);

/** When the oldest event is due to be dropped; INT64_MAX: there is none. */
int64_t rh_emu_store_due(const rh_emu_store *store);

#endif
