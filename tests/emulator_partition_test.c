#include <criterion/criterion.h>
#include <stdlib.h>

#include "emulator/partition.h"

/* -- a store of two partitions that counts its memory ----------------------------------------- */

static void *counted_alloc(void *user, size_t n)
{
    *(size_t *)user += n;
    return malloc(n);
}

static void counted_free(void *user, void *p, size_t n)
{
    *(size_t *)user -= n;
    free(p);
}

struct world {
    size_t           allocated;
    rh_allocator     allocator;
    rh_emu_store     store;
    rh_emu_partition a, b;
    uint64_t         evicted, unread;
    const char      *why;
};

static void note_evicted(void *user, const rh_emu_partition *partition, uint64_t count, uint64_t unread, const char *why)
{
    struct world *w = user;
    (void)partition;
    w->evicted += count;
    w->unread += unread;
    w->why = why;
}

static void world_open(struct world *w, uint64_t max_bytes, int64_t retention_ms)
{
    memset(w, 0, sizeof *w);
    w->allocator = (rh_allocator){ counted_alloc, counted_free, &w->allocated };
    w->store     = (rh_emu_store){
            .allocator = &w->allocator, .max_bytes = max_bytes, .retention_ms = retention_ms, .on_evicted = note_evicted, .user = w,
    };
    rh_emu_partition_init(&w->a, &w->store, 0);
    rh_emu_partition_init(&w->b, &w->store, 1);
}

static void world_close(struct world *w)
{
    rh_emu_partition_fini(&w->a);
    rh_emu_partition_fini(&w->b);
    cr_expect_eq(w->allocated, 0, "%zu bytes are still allocated", w->allocated);
    cr_expect_eq(w->store.used, 0);
}

/* An event of n bytes that all are its sequence number's last digit. */
static void append(rh_emu_partition *p, size_t n, int64_t wall_ms)
{
    uint8_t *room = rh_emu_partition_reserve(p, n + 100);
    cr_assert_not_null(room);
    memset(room, '0' + (int)(p->end % 10), n);
    rh_emu_partition_commit(p, n, 0, rh_emu_partition_time(p, wall_ms));
}

static int64_t find(const rh_emu_partition *p, rh_emu_from from, bool inclusive, int64_t value)
{
    return rh_emu_partition_find(p, &(rh_emu_position){ from, inclusive, value });
}

/* -- positions -------------------------------------------------------------------------------- */

Test(emulator_partition, every_event_is_found_by_each_of_its_three_keys)
{
    struct world w;
    world_open(&w, 1 << 20, 1000000);
    for (int i = 0; i < 5000; i++) append(&w.a, 10 + (size_t)i % 50, 1000 + i / 3);

    rh_emu_stored s;
    cr_assert(rh_emu_partition_at(&w.a, 0, &s));
    for (int64_t i = 0; i < 5000; i++) {
        int64_t offset = (int64_t)s.record->offset, time = s.record->enqueued_ms;
        cr_expect_eq(s.sequence, i);
        cr_expect_eq(s.bytes.n, 10 + (size_t)i % 50);
        cr_expect_eq(s.bytes.p[s.bytes.n - 1], '0' + i % 10);
        cr_expect_eq(find(&w.a, RH_EMU_FROM_SEQUENCE, true, i), i);
        cr_expect_eq(find(&w.a, RH_EMU_FROM_SEQUENCE, false, i), i + 1);
        cr_expect_eq(find(&w.a, RH_EMU_FROM_OFFSET, true, offset), i);
        cr_expect_eq(find(&w.a, RH_EMU_FROM_OFFSET, false, offset), i + 1);
        cr_expect_eq(find(&w.a, RH_EMU_FROM_TIME, true, time), i / 3 * 3);
        cr_expect_eq(find(&w.a, RH_EMU_FROM_TIME, false, time), i / 3 * 3 + 3 > 5000 ? 5000 : i / 3 * 3 + 3);
        cr_expect_eq(rh_emu_partition_next(&w.a, &s), i < 4999);
    }
    cr_expect_eq(find(&w.a, RH_EMU_FROM_EARLIEST, false, -1), 0);
    cr_expect_eq(find(&w.a, RH_EMU_FROM_LATEST, false, 0), 5000);
    cr_expect_eq(find(&w.a, RH_EMU_FROM_SEQUENCE, false, INT64_MAX), 5000);
    cr_expect_eq(find(&w.a, RH_EMU_FROM_TIME, false, INT64_MAX), 5000);
    world_close(&w);
}

Test(emulator_partition, a_wall_clock_that_steps_back_does_not_disorder_the_log)
{
    struct world w;
    world_open(&w, 1 << 20, 1000000);
    append(&w.a, 10, 5000);
    append(&w.a, 10, 3000);
    append(&w.a, 10, 6000);
    rh_emu_stored s;
    cr_assert(rh_emu_partition_at(&w.a, 1, &s));
    cr_expect_eq(s.record->enqueued_ms, 5000);
    cr_expect_eq(find(&w.a, RH_EMU_FROM_TIME, false, 5000), 2);
    world_close(&w);
}

Test(emulator_partition, an_empty_one_answers_every_question)
{
    struct world  w;
    rh_emu_stored s;
    world_open(&w, 1 << 20, 1000000);
    for (int from = RH_EMU_FROM_EARLIEST; from <= RH_EMU_FROM_TIME; from++) cr_expect_eq(find(&w.a, (rh_emu_from)from, true, 0), 0);
    cr_expect_not(rh_emu_partition_at(&w.a, 0, &s));
    cr_expect_eq(rh_emu_store_due(&w.store), INT64_MAX);
    world_close(&w);
}

/* -- eviction --------------------------------------------------------------------------------- */

Test(emulator_partition, the_oldest_events_anywhere_make_room)
{
    struct world w;
    world_open(&w, 64 * 1024, 1000000);
    for (int i = 0; i < 100; i++) append(&w.a, 100, 1000 + i);
    for (int i = 0; i < 2000; i++) append(&w.b, 100, 2000 + i);

    cr_expect_leq(w.store.used, 64u * 1024);
    cr_expect_eq(w.a.begin, 100, "the older partition is emptied first");
    cr_expect_gt(w.b.begin, 0);
    cr_expect_eq(w.b.end, 2000);
    cr_expect_eq(w.evicted, 100 + (uint64_t)w.b.begin);
    cr_expect_eq(w.unread, w.evicted);
    cr_expect_str_eq(w.why, "size");
    cr_expect_eq(find(&w.b, RH_EMU_FROM_EARLIEST, false, -1), w.b.begin);
    cr_expect_eq(find(&w.b, RH_EMU_FROM_SEQUENCE, true, 0), w.b.begin);
    rh_emu_stored s;
    cr_assert(rh_emu_partition_at(&w.b, 0, &s));
    cr_expect_eq(s.sequence, w.b.begin);
    world_close(&w);
}

Test(emulator_partition, an_event_larger_than_the_whole_store_is_kept_alone)
{
    struct world w;
    world_open(&w, 16 * 1024, 1000000);
    append(&w.a, 100, 1);
    append(&w.b, 20000, 2);
    cr_expect_eq(w.a.begin, 1);
    cr_expect_eq(w.b.begin, 0);
    append(&w.a, 100, 3);
    cr_expect_eq(w.b.begin, 1);
    cr_expect_eq(w.a.end - w.a.begin, 1);
    world_close(&w);
}

Test(emulator_partition, age_drops_events_one_by_one_and_counts_the_unread)
{
    struct world w;
    world_open(&w, 1 << 20, 100);
    for (int i = 0; i < 10; i++) append(&w.a, 10, 1000 + i * 10);
    w.a.read_to = 2;
    cr_expect_eq(rh_emu_store_due(&w.store), 1100);
    rh_emu_store_expire(&w.store, 1099);
    cr_expect_eq(w.a.begin, 0);
    rh_emu_store_expire(&w.store, 1130);
    cr_expect_eq(w.a.begin, 4, "those of 1000 to 1030 are 100 ms old");
    cr_expect_eq(w.evicted, 4);
    cr_expect_eq(w.unread, 2);
    cr_expect_str_eq(w.why, "age");
    rh_emu_store_expire(&w.store, 5000);
    cr_expect_eq(w.a.begin, 10);
    cr_expect_eq(w.store.used, 0);
    append(&w.a, 10, 6000);
    cr_expect_eq(w.a.end, 11);
    world_close(&w);
}

Test(emulator_partition, what_is_lent_stays_until_it_is_given_back)
{
    struct world  w;
    rh_emu_stored s;
    world_open(&w, 1 << 20, 100);
    append(&w.a, 50, 1000);
    cr_assert(rh_emu_partition_at(&w.a, 0, &s));
    rh_emu_segment_hold(s.segment);
    rh_emu_store_expire(&w.store, 5000);
    cr_expect_eq(w.a.begin, 1);
    cr_expect_gt(w.allocated, 0);
    for (size_t i = 0; i < s.bytes.n; i++) cr_assert_eq(s.bytes.p[i], '0');
    rh_emu_segment_release(&w.store, s.segment);
    cr_expect_eq(w.allocated, 0);
    world_close(&w);
}
