/* Sessions that were sound until somebody changed their bytes. */

#include <criterion/criterion.h>
#include <stdlib.h>

#include "tests/emulator_world.h"

#define RUNS     1500
#define READ     "hub/ConsumerGroups/$Default/Partitions/0"
#define TAPE_MAX 65536

/* One of everything a client does. Time and randomness of a toy loop are the same each time, so its tokens stay good. */
static size_t record(uint8_t *tape)
{
    emulator_world w;
    raw_client     c;
    raw_link       in, publisher, old, new, metric;
    namespace_open(&w, NULL);
    cr_assert(raw_open_taped(&c, &w, tape, TAPE_MAX));
    raw_authorize(&c);
    cr_assert_eq(raw_ask(&c, "com.microsoft:eventhub", "hub", NULL), 200);
    cr_assert_eq(raw_ask(&c, "com.microsoft:partition", "hub", "1"), 200);
    cr_assert(RAW_ATTACH(&c, &in, .address = "hub/Partitions/0"));
    cr_assert(RAW_ATTACH(&c, &publisher, .address = "hub/Publishers/boiler"));
    cr_assert(RAW_ATTACH(&c, &metric, .address = "hub/ConsumerGroups/g2/Partitions/0", .receiver = true, .metric = true, .receiver_name = "n"));
    cr_assert_eq(raw_send_batch(&in, "event", 5, "key"), RH_ACCEPTED);
    cr_assert_eq(raw_send(&publisher, "hot", NULL), RH_ACCEPTED);
    cr_assert(RAW_ATTACH(&c, &old, .address = READ, .receiver = true, .fenced = true, .epoch = 5, .filter = "amqp.annotation.x-opt-offset > '1'"));
    cr_assert(RAW_ATTACH(&c, &new, .address = READ, .receiver = true, .fenced = true, .epoch = 6, .credit = 2));
    cr_assert_eq(raw_send_batch(&in, "event", 5, NULL), RH_ACCEPTED);
    raw_detach(&publisher);
    size_t n = c.tape_n;
    raw_close(&c);
    namespace_close(&w);
    return n;
}

static uint32_t roll(uint64_t *seed)
{
    *seed = *seed * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(*seed >> 33);
}

/* Constructors, sizes and signs that make the most of the place they come to. */
static const uint8_t nasty[] = { 0x00, 0x40, 0x41, 0x43, 0x45, 0x53, 0x7f, 0x80, 0xa1, 0xa3, 0xc0, 0xd0, 0xe0, 0xff };

static size_t frame_at(const uint8_t *p, size_t n, size_t at)
{
    if (n - at < 8) return 0;
    size_t size = memcmp(p + at, "AMQP", 4) == 0 ? 8 : rh_get32(p + at);
    return size >= 8 && size <= n - at ? size : 0;
}

/* Says one of the frames twice. */
static size_t say_twice(uint8_t *p, size_t n, uint32_t which)
{
    size_t at = 0, size = frame_at(p, n, 0);
    for (; which > 0 && size && frame_at(p, n, at + size); which--) {
        at += size;
        size = frame_at(p, n, at);
    }
    memmove(p + at + size, p + at, n - at);
    return n + size;
}

static size_t spoil(uint8_t *p, size_t n, uint64_t seed)
{
    for (uint32_t changes = roll(&seed) % 6; changes > 0; changes--) {
        size_t at = roll(&seed) % n;
        switch (roll(&seed) % 4) {
        case 0: p[at] = (uint8_t)roll(&seed); break;
        case 1: p[at] ^= (uint8_t)(1u << roll(&seed) % 8); break;
        case 2: p[at] = nasty[roll(&seed) % sizeof nasty]; break;
        default: n = say_twice(p, n, roll(&seed) % 30); break;
        }
    }
    return n;
}

Test(emulator_hostile, whatever_a_session_says_it_neither_breaks_nor_leaks_and_others_go_on)
{
    static uint8_t tape[TAPE_MAX], spoiled[TAPE_MAX * 8];
    size_t         n    = record(tape);
    uint64_t       good = 0, errors = 0;
    for (uint64_t seed = 1; seed <= RUNS; seed++) {
        emulator_world    w;
        raw_client        c;
        raw_link          l;
        rh_emulator_stats stats;
        namespace_open(&w, NULL);
        memcpy(spoiled, tape, n);
        raw_greet(&w, (char *)spoiled, spoil(spoiled, n, seed * 1000003));
        rh_emulator_stats_read(w.emulator, &stats);
        good += stats.events_in;
        errors += stats.peer_errors;

        cr_assert(raw_open(&c, &w, RH_EMULATOR_RULE, RH_EMULATOR_KEY), "seed %llu", (unsigned long long)seed);
        cr_expect(RAW_ATTACH(&c, &l, .address = "hub"), "seed %llu", (unsigned long long)seed);
        cr_expect_eq(raw_send(&l, "after", NULL), RH_ACCEPTED, "seed %llu", (unsigned long long)seed);
        raw_close(&c);
        namespace_close(&w);
    }
    cr_expect_gt(good, RUNS, "most sessions get as far as their events");
    cr_expect_gt(errors, RUNS / 10, "and many are told what they did wrong");
}
