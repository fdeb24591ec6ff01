#include "emulator/partition.h"

/* The first segment of a partition is small, so that a thousand quiet partitions cost little. A segment is
 * evicted as one, so it is a small part of the whole budget. */
#define SEGMENT_FIRST      (64u * 1024)
#define SEGMENT_MIN        4096u
#define SEGMENT_MAX        (1024u * 1024)
#define SEGMENTS_PER_STORE 64u

/* -- segments --------------------------------------------------------------------------------- */

static rh_emu_record *record_of(const rh_emu_segment *segment, uint32_t i)
{
    uint8_t *end = (uint8_t *)segment->bytes + segment->room;
    return (rh_emu_record *)(void *)end - 1 - i;
}

static uint64_t cost_of(const rh_emu_segment *segment)
{
    return segment->used + (uint64_t)segment->count * sizeof(rh_emu_record);
}

static bool fits(const rh_emu_segment *segment, size_t n)
{
    return segment->room - cost_of(segment) >= n + sizeof(rh_emu_record);
}

static size_t size_of(const rh_emu_segment *segment)
{
    return sizeof(rh_emu_segment) + segment->room;
}

static rh_emu_segment *segment_create(rh_emu_partition *partition, size_t n)
{
    rh_emu_store *store = partition->store;
    uint64_t      room  = store->max_bytes / SEGMENTS_PER_STORE;
    if (room > SEGMENT_MAX) room = SEGMENT_MAX;
    if (partition->end == 0 && room > SEGMENT_FIRST) room = SEGMENT_FIRST;
    if (room < SEGMENT_MIN) room = SEGMENT_MIN;
    if (room < n + sizeof(rh_emu_record)) room = n + sizeof(rh_emu_record);
    room = (room + sizeof(rh_emu_record) - 1) / sizeof(rh_emu_record) * sizeof(rh_emu_record);

    rh_emu_segment *segment = store->allocator->alloc(store->allocator->user, sizeof(rh_emu_segment) + room);
    if (!segment) return NULL;
    *segment = (rh_emu_segment){ .first = partition->end, .room = (uint32_t)room };
    if (partition->last) partition->last->next = segment;
    else partition->first = segment;
    partition->last = segment;
    return segment;
}

static void segment_free(rh_emu_store *store, rh_emu_segment *segment)
{
    store->allocator->free(store->allocator->user, segment, size_of(segment));
}

void rh_emu_segment_hold(rh_emu_segment *segment)
{
    segment->lent++;
}

void rh_emu_segment_release(rh_emu_store *store, rh_emu_segment *segment)
{
    if (--segment->lent == 0 && segment->evicted) segment_free(store, segment);
}

static void fill(rh_emu_stored *out, rh_emu_segment *segment, int64_t sequence)
{
    const rh_emu_record *record = record_of(segment, (uint32_t)(sequence - segment->first));
    *out = (rh_emu_stored){ sequence, record, segment, { segment->bytes + record->at, record->n } };
}

/* Takes the oldest segment off the chain; deliveries that point into it keep its memory. */
static void drop_first(rh_emu_partition *partition)
{
    rh_emu_segment *segment = partition->first;
    partition->first        = segment->next;
    if (!partition->first) partition->last = NULL;
    partition->store->used -= cost_of(segment);
    segment->evicted = true;
    if (segment->lent == 0) segment_free(partition->store, segment);
}

/* -- eviction --------------------------------------------------------------------------------- */

static void evict_to(rh_emu_partition *partition, int64_t sequence, const char *why)
{
    rh_emu_store *store = partition->store;
    int64_t       begin = partition->begin;
    if (sequence <= begin) return;
    int64_t unread_from = partition->read_to > begin ? partition->read_to : begin;

    partition->begin = sequence;
    while (partition->first && partition->first->first + partition->first->count <= sequence) drop_first(partition);
    if (partition->keeper) partition->keeper->ops->forget(partition->keeper, sequence);
    if (store->on_evicted)
        store->on_evicted(store->user, partition, (uint64_t)(sequence - begin),
                          sequence > unread_from ? (uint64_t)(sequence - unread_from) : 0, why);
}

/* When the oldest event of a partition came. */
static int64_t oldest(const rh_emu_partition *partition)
{
    if (!partition->first || partition->begin == partition->end) return INT64_MAX;
    return record_of(partition->first, (uint32_t)(partition->begin - partition->first->first))->enqueued_ms;
}

static bool evict_oldest_segment(rh_emu_store *store)
{
    rh_emu_partition *victim = NULL;
    for (rh_emu_partition *p = store->partitions; p; p = p->next_in_store)
        if (p->first && (!victim || oldest(p) < oldest(victim))) victim = p;
    if (!victim || victim->first->count == 0) return false;
    evict_to(victim, victim->first->first + victim->first->count, "size");
    return true;
}

void rh_emu_store_expire(rh_emu_store *store, int64_t wall_ms)
{
    rh_emu_position keep = { RH_EMU_FROM_TIME, false, wall_ms - store->retention_ms };
    for (rh_emu_partition *p = store->partitions; p; p = p->next_in_store)
        if (oldest(p) <= keep.value) evict_to(p, rh_emu_partition_find(p, &keep), "age");
}

int64_t rh_emu_store_due(const rh_emu_store *store)
{
    int64_t due = INT64_MAX;
    for (rh_emu_partition *p = store->partitions; p; p = p->next_in_store)
        if (oldest(p) < due) due = oldest(p);
    return due == INT64_MAX ? due : due + store->retention_ms;
}

/* -- append ----------------------------------------------------------------------------------- */

void rh_emu_partition_init(rh_emu_partition *partition, rh_emu_store *store, uint32_t id)
{
    *partition          = (rh_emu_partition){ .store = store, .id = id, .next_in_store = store->partitions };
    store->partitions = partition;
}

void rh_emu_partition_fini(rh_emu_partition *partition)
{
    while (partition->first) drop_first(partition);
}

uint8_t *rh_emu_partition_reserve(rh_emu_partition *partition, size_t n)
{
    rh_emu_store *store = partition->store;
    if (n > UINT32_MAX / 2) return NULL;
    while (store->used + n + sizeof(rh_emu_record) > store->max_bytes && evict_oldest_segment(store)) continue;

    rh_emu_segment *segment = partition->last;
    if (!segment || !fits(segment, n)) segment = segment_create(partition, n);
    return segment ? segment->bytes + segment->used : NULL;
}

void rh_emu_partition_commit(rh_emu_partition *partition, size_t n, size_t header_n, int64_t enqueued_ms)
{
    rh_emu_segment *segment = partition->last;
    *record_of(segment, segment->count) = (rh_emu_record){
        .enqueued_ms = enqueued_ms,
        .offset      = partition->next_offset,
        .at          = segment->used,
        .n           = (uint32_t)n,
        .header_n    = (uint32_t)header_n,
    };
    segment->count++;
    segment->used += (uint32_t)n;
    partition->store->used += n + sizeof(rh_emu_record);
    partition->last_offset = partition->next_offset;
    partition->next_offset += n;
    partition->last_enqueued_ms = enqueued_ms;
    partition->end++;
    if (!partition->keeper) return;
    rh_emu_stored stored;
    fill(&stored, segment, partition->end - 1);
    partition->keeper->ops->append(partition->keeper, &stored);
}

rh_emu_mark rh_emu_partition_mark(const rh_emu_partition *partition)
{
    return (rh_emu_mark){ partition->end, partition->next_offset, partition->last_offset, partition->last_enqueued_ms };
}

bool rh_emu_partition_flush(rh_emu_partition *partition)
{
    return !partition->keeper || partition->keeper->ops->flush(partition->keeper);
}

/* Cuts the segment's records from sequence on. */
static void segment_cut(rh_emu_store *store, rh_emu_segment *segment, int64_t sequence)
{
    uint64_t before = cost_of(segment);
    segment->used   = record_of(segment, (uint32_t)(sequence - segment->first))->at;
    segment->count  = (uint32_t)(sequence - segment->first);
    store->used -= before - cost_of(segment);
}

void rh_emu_partition_take_back(rh_emu_partition *partition, const rh_emu_mark *mark)
{
    rh_emu_store   *store = partition->store;
    rh_emu_segment *kept  = NULL;
    for (rh_emu_segment *s = partition->first; s && s->first < mark->end; s = s->next) kept = s;
    if (kept && kept->first + kept->count > mark->end) segment_cut(store, kept, mark->end);

    rh_emu_segment *gone = kept ? kept->next : partition->first;
    partition->last = kept;
    if (kept) kept->next = NULL;
    else partition->first = NULL;
    while (gone) {
        rh_emu_segment *next = gone->next;
        store->used -= cost_of(gone);
        segment_free(store, gone);
        gone = next;
    }
    /* So much came that even some of it was evicted: the sequence goes on where it stood nevertheless. */
    if (partition->begin > mark->end) partition->begin = mark->end;
    partition->end              = mark->end;
    partition->next_offset      = mark->next_offset;
    partition->last_offset      = mark->last_offset;
    partition->last_enqueued_ms = mark->last_enqueued_ms;
    if (partition->keeper) partition->keeper->ops->drop(partition->keeper);
}

int64_t rh_emu_partition_time(const rh_emu_partition *partition, int64_t wall_ms)
{
    return wall_ms > partition->last_enqueued_ms ? wall_ms : partition->last_enqueued_ms;
}

/* -- look up ---------------------------------------------------------------------------------- */

static int64_t key_of(const rh_emu_segment *segment, uint32_t i, rh_emu_from from)
{
    if (from == RH_EMU_FROM_SEQUENCE) return segment->first + i;
    const rh_emu_record *record = record_of(segment, i);
    return from == RH_EMU_FROM_TIME ? record->enqueued_ms : (int64_t)record->offset;
}

/* The first record of the segment whose key is least or more; count if there is none. */
static uint32_t lower_bound(const rh_emu_segment *segment, rh_emu_from from, int64_t least)
{
    uint32_t low = 0, high = segment->count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (key_of(segment, middle, from) < least) low = middle + 1;
        else high = middle;
    }
    return low;
}

int64_t rh_emu_partition_find(const rh_emu_partition *partition, const rh_emu_position *position)
{
    if (position->from == RH_EMU_FROM_EARLIEST) return partition->begin;
    if (position->from == RH_EMU_FROM_LATEST) return partition->end;
    if (!position->inclusive && position->value == INT64_MAX) return partition->end;

    int64_t least = position->value + (position->inclusive ? 0 : 1);
    for (const rh_emu_segment *s = partition->first; s; s = s->next) {
        if (s->count == 0 || key_of(s, s->count - 1, position->from) < least) continue;
        int64_t sequence = s->first + lower_bound(s, position->from, least);
        return sequence > partition->begin ? sequence : partition->begin;
    }
    return partition->end;
}

bool rh_emu_partition_at(const rh_emu_partition *partition, int64_t sequence, rh_emu_stored *out)
{
    if (sequence < partition->begin) sequence = partition->begin;
    if (sequence >= partition->end) return false;
    /* Nearly every reader stands near the end. */
    rh_emu_segment *segment = partition->last->first <= sequence ? partition->last : partition->first;
    while (sequence >= segment->first + segment->count) segment = segment->next;
    fill(out, segment, sequence);
    return true;
}

bool rh_emu_partition_next(const rh_emu_partition *partition, rh_emu_stored *stored)
{
    rh_emu_segment *segment = stored->segment;
    int64_t         next    = stored->sequence + 1;
    if (next < segment->first + segment->count) {
        fill(stored, segment, next);
        return true;
    }
    return rh_emu_partition_at(partition, next, stored);
}
