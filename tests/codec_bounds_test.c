/* The bug classes that AMQP codecs have had, one story each: lengths that wrap, counts that lie, nesting without end. */
#include <criterion/criterion.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <time.h>

#include "codec/codec.h"

static double seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static bool skips(rh_slice bytes)
{
    return rh_value_size(bytes) != 0;
}

/* -- lengths --------------------------------------------------------------------------------- */

#define WIDE_CODES { 0xb0, 0xb1, 0xb3, 0xd0, 0xd1, 0xf0 }

Test(bounds, a_length_that_would_wrap_a_pointer_is_refused)
{
    static const uint8_t  codes[]   = WIDE_CODES;
    static const uint32_t lengths[] = { 0xff, 0x100, 0x101, 0x7fffffff, 0x80000000, 0x80000001, 0xfffffffe, 0xffffffff };

    for (size_t c = 0; c < sizeof codes; c++) {
        for (size_t l = 0; l < sizeof lengths / sizeof lengths[0]; l++) {
            uint8_t bytes[64] = { codes[c] };
            rh_put32(bytes + 1, lengths[l]);
            for (size_t n = 0; n <= sizeof bytes; n++) {
                rh_value value;
                rh_dec   d = rh_dec_of(rh_slice_of(bytes, n));
                cr_expect_not(skips(rh_slice_of(bytes, n)), "%02x with length %x in %zu bytes", codes[c], lengths[l], n);
                cr_expect_not(rh_dec_value(&d, &value));
                cr_expect_eq(d.p, bytes);
            }
        }
    }
}

Test(bounds, a_length_of_four_gigabytes_is_taken_when_they_are_there)
{
    static const uint64_t lengths[] = { 0xff, 0x100, 0x101, 0x7fffffff, 0x80000000, 0x80000001, 0xfffffffe, 0xffffffff };
    size_t   room  = (size_t)UINT32_MAX + 4096;
    uint8_t *bytes = mmap(NULL, room, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    cr_assert_neq(bytes, MAP_FAILED);

    for (size_t l = 0; l < sizeof lengths / sizeof lengths[0]; l++) {
        bytes[0] = 0xb0;
        rh_put32(bytes + 1, (uint32_t)lengths[l]);
        size_t whole = 5 + (size_t)lengths[l];

        rh_dec d = rh_dec_of(rh_slice_of(bytes, whole));
        cr_expect_eq(rh_dec_binary(&d).n, lengths[l]);
        cr_expect_eq(d.status, RH_OK);
        cr_expect_eq(rh_dec_left(&d), 0);
        cr_expect_eq(rh_value_size(rh_slice_of(bytes, whole)), whole);

        d = rh_dec_of(rh_slice_of(bytes, whole - 1));
        cr_expect_null(rh_dec_binary(&d).p, "one byte short of %llx", (unsigned long long)lengths[l]);
        cr_expect_not(skips(rh_slice_of(bytes, whole - 1)));
    }
    munmap(bytes, room);
}

Test(bounds, taking_more_than_is_left_never_moves_the_cursor)
{
    static const uint8_t bytes[4] = { 0 };
    static const size_t  lots[]   = { 5, 0x7fffffff, 0xffffffff, SIZE_MAX - 3, SIZE_MAX };
    for (size_t i = 0; i < sizeof lots / sizeof lots[0]; i++) {
        rh_dec d = rh_dec_of(rh_slice_of(bytes, sizeof bytes));
        cr_expect_null(rh_dec_take(&d, lots[i]).p);
        cr_expect_eq(d.status, RH_E_DECODE);
        cr_expect_eq(d.p, bytes);
    }
    rh_dec d = rh_dec_of(rh_slice_of(bytes, sizeof bytes));
    cr_expect_eq(rh_dec_take(&d, 4).n, 4);
    cr_expect_not_null(rh_dec_take(&d, 0).p, "nothing is there to be taken at the end");
    cr_expect_eq(d.status, RH_OK);
}

Test(bounds, a_length_or_count_costs_no_memory)
{
    static const uint8_t codes[] = WIDE_CODES;
    struct rusage before, after;
    char   text[128];

    rh_value_print(rh_slice_of(codes, 1), text, sizeof text);
    getrusage(RUSAGE_SELF, &before);
    for (size_t c = 0; c < sizeof codes; c++) {
        uint8_t bytes[] = { codes[c], 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x40 };
        for (int claim = 0; claim < 2; claim++) {
            if (claim) rh_put32(bytes + 1, 5); /* an honest size, a lying count */
            rh_slice all = rh_slice_of(bytes, sizeof bytes);
            rh_value_print(all, text, sizeof text);
            cr_expect_eq(skips(all), claim == 1 && codes[c] < 0xc0);
        }
    }
    getrusage(RUSAGE_SELF, &after);
    cr_expect_lt(after.ru_maxrss - before.ru_maxrss, 1024);
}

/* -- nesting --------------------------------------------------------------------------------- */

#define MIB ((size_t)1 << 20)

struct nest {
    rh_slice bytes;
    bool     skipped, checked;
    size_t   printed;
};

static void *walk_nest(void *argument)
{
    struct nest *nest = argument;
    char         text[256];
    nest->skipped = skips(nest->bytes);
    nest->checked = rh_value_check(nest->bytes) == RH_OK;
    nest->printed = rh_value_print(nest->bytes, text, sizeof text);
    return NULL;
}

/* On a stack far smaller than the nesting is deep. */
static struct nest walked(const uint8_t *p, size_t n)
{
    struct nest    nest = { .bytes = rh_slice_of(p, n) };
    pthread_attr_t attributes;
    pthread_t      thread;
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, 128 * 1024);
    cr_assert_eq(pthread_create(&thread, &attributes, walk_nest, &nest), 0);
    pthread_join(thread, NULL);
    pthread_attr_destroy(&attributes);
    return nest;
}

Test(bounds, a_megabyte_of_descriptors_costs_a_counter, .timeout = 20)
{
    uint8_t *bytes = calloc(1, MIB + 1);
    struct nest open = walked(bytes, MIB);
    cr_expect_not(open.skipped, "it owes a million values");
    cr_expect_not(open.checked);

    /* n times 00 owe n + 1 values. */
    memset(bytes + MIB / 2, 0x40, MIB / 2 + 1);
    struct nest paid = walked(bytes, MIB + 1);
    cr_expect(paid.skipped);
    cr_expect(paid.checked);
    cr_expect_gt(paid.printed, MIB);
    free(bytes);
}

/* A nest of compounds of one kind, written from its end, with `core` innermost. Returns where it starts. */
static uint8_t *nest_of(uint8_t code, uint8_t *end, size_t n, const uint8_t *core, size_t core_n)
{
    uint8_t *p = end - core_n;
    memcpy(p, core, core_n);
    while ((size_t)(end - p) + 11 <= n) {
        uint32_t count = code == 0xd1 ? 2 : 1;
        if (code == 0xd1) *--p = 0x43; /* a key before the value that is there */
        uint32_t size = (uint32_t)(end - p) + 4;
        rh_put32(p -= 4, count);
        rh_put32(p -= 4, size);
        *--p = code;
    }
    return p;
}

Test(bounds, a_megabyte_of_nested_compounds_passes_in_constant_stack, .timeout = 20)
{
    static const uint8_t codes[] = { 0xd0, 0xd1, 0xf0 }, core[] = { 0x40 }, array_core[] = { 0xe0, 0x02, 0x01, 0x40 };
    uint8_t *bytes = calloc(1, MIB);
    for (size_t c = 0; c < sizeof codes; c++) {
        double   before = seconds();
        bool     array  = codes[c] == 0xf0; /* an element of an array is the next array, constructor and all */
        uint8_t *p      = nest_of(codes[c], bytes + MIB, MIB, array ? array_core : core, array ? sizeof array_core : sizeof core);
        struct nest nest = walked(p, (size_t)(bytes + MIB - p));
        cr_expect(nest.skipped, "%02x", codes[c]);
        cr_expect(nest.checked, "%02x", codes[c]);
        cr_expect_lt(nest.printed, 10000u, "below the depth limit it prints as ...");
        cr_expect_lt(seconds() - before, 2.0);
    }
    free(bytes);
}

Test(bounds, opening_a_nest_level_by_level_is_a_loop_of_the_callers)
{
    static const uint8_t core[] = { 0x40 };
    static uint8_t       bytes[9000];
    uint8_t             *p = nest_of(0xd0, bytes + sizeof bytes, sizeof bytes, core, sizeof core);
    rh_value             value = { .type = RH_LIST, .bytes = rh_slice_of(p, (size_t)(bytes + sizeof bytes - p)) };
    unsigned             depth = 0;
    rh_dec               items;
    while (value.type == RH_LIST) {
        cr_assert_eq(rh_value_items(&value, &items), 1);
        cr_assert(rh_dec_value(&items, &value));
        depth++;
    }
    cr_expect_gt(depth, 900);
    cr_expect_eq(value.type, RH_NULL);
}

Test(bounds, check_is_exact_down_to_the_nesting_limit_and_keeps_to_the_shape_below)
{
    /* A list of one byte too many, wrapped in more and more lists. */
    uint8_t bytes[2 + 3 * (RH_NESTING_MAX + 4)];
    uint8_t bad[] = { 0xc0, 0x03, 0x01, 0x40, 0x40 };
    size_t  n     = sizeof bad;
    memcpy(bytes, bad, n);
    for (int depth = 1; depth <= RH_NESTING_MAX + 2; depth++) {
        rh_slice all = rh_slice_of(bytes, n);
        char     text[200];
        size_t   wanted = rh_value_print(all, text, sizeof text);
        cr_expect(skips(all));
        cr_expect_lt(wanted, sizeof text);
        if (depth <= RH_NESTING_MAX) {
            cr_expect_eq(rh_value_check(all), RH_E_DECODE, "depth %d", depth);
            cr_expect_not_null(strstr(text, "malformed at byte"), "depth %d: %s", depth, text);
        } else {
            cr_expect_eq(rh_value_check(all), RH_OK, "depth %d", depth);
            cr_expect_not_null(strstr(text, "[...]"), "depth %d: %s", depth, text);
        }
        memmove(bytes + 3, bytes, n);
        bytes[0] = 0xc0;
        bytes[1] = (uint8_t)(n + 1);
        bytes[2] = 1;
        n += 3;
    }
}

/* -- elements without bytes ------------------------------------------------------------------- */

Test(bounds, an_array_of_nothing_has_a_limit)
{
    static const uint8_t  empties[] = { 0x40, 0x41, 0x42, 0x43, 0x44, 0x45 };
    static const uint32_t counts[]  = { 0, 1, RH_ZERO_WIDTH_MAX, RH_ZERO_WIDTH_MAX + 1, 0x7fffffff, 0xffffffff };
    for (size_t e = 0; e < sizeof empties; e++) {
        for (size_t c = 0; c < sizeof counts / sizeof counts[0]; c++) {
            uint8_t  bytes[] = { 0xf0, 0, 0, 0, 5, 0, 0, 0, 0, empties[e] };
            uint32_t seen    = 0;
            rh_array array;
            rh_value value;
            rh_put32(bytes + 5, counts[c]);
            bool   fits = counts[c] <= RH_ZERO_WIDTH_MAX;
            rh_dec d    = rh_dec_of(rh_slice_of(bytes, sizeof bytes));
            cr_expect_eq(rh_dec_array(&d, &array), fits ? counts[c] : 0);
            while (rh_array_next(&array, &value)) seen++;
            cr_expect_eq(seen, fits ? counts[c] : 0);
            cr_expect_eq(d.status, fits ? RH_OK : RH_E_DECODE);
            cr_expect_eq(skips(rh_slice_of(bytes, sizeof bytes)), fits);
        }
    }
}

Test(bounds, described_nothing_has_the_same_limit_once_it_is_opened)
{
    uint8_t  bytes[] = { 0xf0, 0, 0, 0, 8, 0xff, 0xff, 0xff, 0xff, 0x00, 0x53, 0x24, 0x45 };
    rh_array array;
    rh_dec   d = rh_dec_of(rh_slice_of(bytes, sizeof bytes));
    cr_expect_eq(rh_dec_array(&d, &array), 0);
    cr_expect_eq(d.status, RH_E_DECODE);
    cr_expect_eq(rh_value_check(rh_slice_of(bytes, sizeof bytes)), RH_E_DECODE);
}

Test(bounds, a_count_never_exceeds_the_bytes_that_could_hold_it)
{
    static const struct { const char *why; uint8_t n, bytes[16]; } lies[] = {
        { "list of 255 in one byte", 4, { 0xc0, 0x02, 0xff, 0x40 } },
        { "list of four billion", 10, { 0xd0, 0, 0, 0, 5, 0xff, 0xff, 0xff, 0xff, 0x40 } },
        { "map of four billion", 11, { 0xd1, 0, 0, 0, 6, 0xff, 0xff, 0xff, 0xfe, 0x40, 0x40 } },
        { "array of 255 bytes in one", 5, { 0xe0, 0x03, 0xff, 0x50, 0x00 } },
        { "array of ulong, count times width wraps", 14, { 0xf0, 0, 0, 0, 9, 0x20, 0, 0, 0, 0x80, 1, 2, 3, 4 } },
        { "array of uuid, one byte short of one", 8, { 0xe0, 0x06, 0x01, 0x98, 1, 2, 3, 4 } },
        { "array of two strings in one byte", 5, { 0xe0, 0x03, 0x02, 0xa1, 0x00 } },
        { "array of one wide string in three bytes", 7, { 0xe0, 0x05, 0x01, 0xb1, 0, 0, 0 } },
        { "array of two lists in three bytes", 7, { 0xe0, 0x05, 0x02, 0xc0, 1, 0, 1 } },
        { "array of one wide list in seven bytes", 11, { 0xe0, 0x09, 0x01, 0xd0, 0, 0, 0, 4, 0, 0, 0 } },
    };
    for (size_t i = 0; i < sizeof lies / sizeof lies[0]; i++) {
        rh_slice bytes = rh_slice_of(lies[i].bytes, lies[i].n);
        rh_value value;
        rh_dec   d = rh_dec_of(bytes);
        cr_expect_not(skips(bytes), "%s", lies[i].why);
        cr_expect_not(rh_dec_value(&d, &value), "%s", lies[i].why);
    }
}

Test(bounds, a_map_of_empties_ends_with_its_bytes, .timeout = 10)
{
    size_t   n     = 9 + 2 * (RH_MAP_ENTRIES_MAX + 1);
    uint8_t *bytes = malloc(n);
    memset(bytes, 0x40, n);
    bytes[0] = 0xd1;
    for (uint32_t over = 0; over < 2; over++) {
        uint32_t count = 2 * (RH_MAP_ENTRIES_MAX + over);
        rh_dec   items;
        rh_put32(bytes + 1, 4 + count);
        rh_put32(bytes + 5, count);
        rh_dec d = rh_dec_of(rh_slice_of(bytes, 9 + count));
        cr_expect_eq(rh_dec_map(&d, &items), over ? 0 : count);
        cr_expect_eq(d.status, over ? RH_E_DECODE : RH_OK);
        cr_expect_eq(d.p, over ? bytes : bytes + 9 + count);
        cr_expect(skips(rh_slice_of(bytes, 9 + count)), "skipping looks up no keys");
        cr_expect_eq(rh_value_check(rh_slice_of(bytes, 9 + count)), over ? RH_E_DECODE : RH_OK);
    }
    free(bytes);
}

Test(bounds, arrays_of_nothing_side_by_side_take_no_more_steps_than_bytes, .timeout = 10)
{
    static const uint8_t empty[] = { 0xf0, 0, 0, 0, 5, 0, 0, 1, 0, 0x40 }; /* 256 nulls in ten bytes */
    uint32_t count = 100000;
    size_t   n     = 9 + count * sizeof empty;
    uint8_t *bytes = malloc(n);
    bytes[0]       = 0xd0;
    rh_put32(bytes + 1, (uint32_t)(n - 5));
    rh_put32(bytes + 5, count);
    for (uint32_t i = 0; i < count; i++) memcpy(bytes + 9 + i * sizeof empty, empty, sizeof empty);

    double before = seconds();
    cr_expect_eq(rh_value_check(rh_slice_of(bytes, n)), RH_OK);
    cr_expect_lt(rh_value_print(rh_slice_of(bytes, n), NULL, 0), 3 * n);
    cr_expect_lt(seconds() - before, 1.0, "25.6 million nulls were visited one by one");
    free(bytes);
}

/* -- compounds that disagree with themselves --------------------------------------------------- */

static const struct bad { const char *why; uint8_t n, bytes[20]; } bad_compounds[] = {
    { "list8 without its size", 1, { 0xc0 } },
    { "list8 of size 0, its count needs 1", 3, { 0xc0, 0x00, 0x00 } },
    /*                                                 ^^^^ */
    { "map8 of size 0", 3, { 0xc1, 0x00, 0x00 } },
    { "array8 of size 0", 3, { 0xe0, 0x00, 0x00 } },
    { "array8 of size 1, its constructor needs 1 more", 3, { 0xe0, 0x01, 0x00 } },
    { "list32 of size 0", 9, { 0xd0, 0, 0, 0, 0, 0, 0, 0, 0 } },
    { "list32 of size 3, its count needs 4", 9, { 0xd0, 0, 0, 0, 3, 0, 0, 0, 0 } },
    /*                                                             ^ */
    { "map32 of size 3", 9, { 0xd1, 0, 0, 0, 3, 0, 0, 0, 0 } },
    { "array32 of size 3", 10, { 0xf0, 0, 0, 0, 3, 0, 0, 0, 0, 0x40 } },
    { "array32 of size 4, its constructor needs 1 more", 10, { 0xf0, 0, 0, 0, 4, 0, 0, 0, 0, 0x40 } },
    { "list claims 9 bytes, 3 follow", 5, { 0xc0, 0x09, 0x01, 0x40, 0x40 } },
    /*                                            ^^^^ */
    { "list of no elements has bytes", 4, { 0xc0, 0x02, 0x00, 0x40 } },
    { "list32 of no elements has bytes", 10, { 0xd0, 0, 0, 0, 5, 0, 0, 0, 0, 0x40 } },
    { "map of no elements has bytes", 5, { 0xc1, 0x03, 0x00, 0x40, 0x40 } },
    { "map of a key without a value", 4, { 0xc1, 0x02, 0x01, 0x40 } },
    { "map32 of three", 12, { 0xd1, 0, 0, 0, 7, 0, 0, 0, 3, 0x40, 0x40, 0x40 } },
    { "array of unknown constructor", 5, { 0xe0, 0x03, 0x01, 0x99, 0x00 } },
    { "array of no elements has bytes", 5, { 0xe0, 0x03, 0x00, 0x50, 0x01 } },
    { "array of no strings has a byte", 5, { 0xe0, 0x03, 0x00, 0xa1, 0x00 } },
    { "array of nulls has bytes", 5, { 0xe0, 0x03, 0x01, 0x40, 0x40 } },
    { "array of ushorts has an odd byte", 7, { 0xe0, 0x05, 0x01, 0x60, 0, 1, 2 } },
    { "array of a descriptor without a constructor", 5, { 0xe0, 0x03, 0x00, 0x00, 0x40 } },
};

Test(bounds, a_compound_that_disagrees_with_itself_is_refused_by_whoever_meets_it)
{
    for (size_t i = 0; i < sizeof bad_compounds / sizeof bad_compounds[0]; i++) {
        const struct bad *bad = &bad_compounds[i];
        rh_slice          all = rh_slice_of(bad->bytes, bad->n);
        rh_dec            items, d;
        rh_array          array;
        rh_value          value;

        d = rh_dec_of(all);
        if (rh_dec_peek(&d) == RH_LIST) rh_dec_list(&d, &items);
        else if (rh_dec_peek(&d) == RH_MAP) rh_dec_map(&d, &items);
        else rh_dec_array(&d, &array);
        cr_expect_eq(d.status, RH_E_DECODE, "opened: %s", bad->why);
        cr_expect_eq(d.p, bad->bytes, "%s", bad->why);

        cr_expect_eq(rh_value_check(all), RH_E_DECODE, "%s", bad->why);
        if (bad->bytes[0] == 0xe0 && bad->bytes[3] == 0x00) continue; /* behind a descriptor skip does not look */
        cr_expect_not(skips(all), "%s", bad->why);
        d = rh_dec_of(all);
        cr_expect_not(rh_dec_value(&d, &value), "%s", bad->why);
    }
}

Test(bounds, a_value_made_by_hand_is_opened_with_the_same_care)
{
    for (size_t i = 0; i < sizeof bad_compounds / sizeof bad_compounds[0]; i++) {
        const struct bad *bad = &bad_compounds[i];
        for (int bare = 0; bare < 2; bare++) {
            rh_value value = { .code = bad->bytes[0], .bare = bare, .bytes = rh_slice_of(bad->bytes + bare, (size_t)(bad->n - bare)) };
            rh_dec   items;
            rh_array array;
            value.type = RH_LIST;
            if (value.code & 1) value.type = RH_MAP;
            cr_expect_eq(rh_value_items(&value, &items), 0);
            cr_expect_eq(items.status, RH_E_DECODE, "%s", bad->why);
            value.type = RH_ARRAY;
            cr_expect_eq(rh_value_array(&value, &array), 0);
            cr_expect_eq(array.items.status, RH_E_DECODE, "%s", bad->why);
        }
    }
    rh_value empty = { .type = RH_LIST };
    rh_dec   items;
    cr_expect_eq(rh_value_items(&empty, &items), 0);
    cr_expect_eq(items.status, RH_E_DECODE);
}

Test(bounds, elements_left_over_are_found_at_the_end)
{
    static const uint8_t bytes[] = { 0xc0, 0x04, 0x02, 0x40, 0x40, 0x40, 0x41 };
    /*                                                             ^^^^ a third in a list of two */
    rh_dec items, d = rh_dec_of(rh_slice_of(bytes, sizeof bytes));
    for (uint32_t n = rh_dec_list(&d, &items); n > 0; n--) rh_dec_null(&items);
    cr_expect_eq(d.status, RH_OK);
    rh_dec_end(&items);
    cr_expect_eq(d.status, RH_E_DECODE);
    cr_expect_eq(d.p, bytes + 5);
}

Test(bounds, bytes_behind_the_last_element_fail_the_array)
{
    static const uint8_t bytes[] = { 0xe0, 0x06, 0x01, 0xa1, 0x01, 'a', 0x00, 0x00 };
    rh_array array;
    rh_value value;
    rh_dec   d = rh_dec_of(rh_slice_of(bytes, sizeof bytes));
    cr_expect_eq(rh_dec_array(&d, &array), 1);
    cr_expect(rh_array_next(&array, &value));
    cr_expect_eq(d.status, RH_OK);
    cr_expect_not(rh_array_next(&array, &value));
    cr_expect_eq(d.status, RH_E_DECODE);
}

/* -- inside and outside ----------------------------------------------------------------------- */

Test(bounds, an_inner_compound_cannot_be_longer_than_the_outer)
{
    /* The inner list claims three bytes more than the outer has; those bytes exist, behind the outer. */
    static const uint8_t bytes[] = { 0xc0, 0x04, 0x01, 0xc0, 0x05, 0x01, 0x41, 0x40, 0x40, 0x40 };
    /*                                                       ^^^^ */
    rh_dec outer, inner, d = rh_dec_of(rh_slice_of(bytes, sizeof bytes));
    cr_expect_eq(rh_dec_list(&d, &outer), 1);
    cr_expect_eq(rh_dec_list(&outer, &inner), 0);
    cr_expect_eq(inner.status, RH_E_DECODE);
    cr_expect_eq(outer.status, RH_E_DECODE);
    cr_expect_eq(d.status, RH_E_DECODE);
    cr_expect_eq(rh_value_check(rh_slice_of(bytes, 6)), RH_E_DECODE);
}

Test(bounds, a_string_cannot_reach_behind_its_list)
{
    static const uint8_t bytes[] = { 0xc0, 0x04, 0x01, 0xa1, 0x02, 'a', 'b' };
    rh_dec items, d = rh_dec_of(rh_slice_of(bytes, sizeof bytes));
    rh_dec_list(&d, &items);
    cr_expect_null(rh_dec_string(&items).p);
    cr_expect_eq(d.p, bytes + 3, "the root knows the offending byte");
}

Test(bounds, what_fails_inside_fails_every_cursor_around_it_at_once)
{
    static const uint8_t bytes[] = { 0xc0, 0x0d, 0x02, 0xd1, 0, 0, 0, 6, 0, 0, 0, 2, 0x40, 0xff, 0x40 };
    /*                                                                                     ^^^^ */
    rh_dec outer, inner, d = rh_dec_of(rh_slice_of(bytes, sizeof bytes));
    cr_assert_eq(rh_dec_list(&d, &outer), 2);
    cr_assert_eq(rh_dec_map(&outer, &inner), 2);
    rh_dec_skip(&inner);
    cr_expect_eq(d.status, RH_OK);
    rh_dec_skip(&inner);
    cr_expect_eq(inner.status, RH_E_DECODE);
    cr_expect_eq(outer.status, RH_E_DECODE);
    cr_expect_eq(d.status, RH_E_DECODE);
    cr_expect_eq(d.p, bytes + 13);
    cr_expect_not(rh_dec_null(&outer), "the null behind the map is not read any more");
    cr_expect_not(rh_dec_null(&d));
}

Test(bounds, a_broken_element_fails_the_cursor_the_array_came_from)
{
    static const uint8_t bytes[] = { 0xe0, 0x05, 0x02, 0xa1, 0x00, 0x07, 0x40, 0x40 };
    /*                                                             ^^^^ seven bytes that are not there */
    rh_array array;
    rh_value value;
    rh_dec   d = rh_dec_of(rh_slice_of(bytes, sizeof bytes));
    cr_expect_eq(rh_dec_array(&d, &array), 2);
    cr_expect(rh_array_next(&array, &value));
    cr_expect_not(rh_array_next(&array, &value));
    cr_expect_eq(value.type, RH_INVALID);
    cr_expect_eq(d.status, RH_E_DECODE);
    cr_expect_eq(d.p, bytes + 5);
    cr_expect_eq(array.count, 0);
    cr_expect_not(rh_array_next(&array, &value));
}

Test(bounds, an_array_failed_by_its_reader_gives_no_more_elements)
{
    static const uint8_t bytes[] = { 0xe0, 0x02, 0x05, 0x40 };
    rh_array array;
    rh_value value;
    rh_dec   d = rh_dec_of(rh_slice_of(bytes, sizeof bytes));
    cr_expect_eq(rh_dec_array(&d, &array), 5);
    cr_expect(rh_array_next(&array, &value));
    rh_dec_fail(&array.items, RH_E_INVALID_FIELD);
    cr_expect_not(rh_array_next(&array, &value));
    cr_expect_eq(value.type, RH_INVALID);
    cr_expect_eq(d.status, RH_E_INVALID_FIELD);
}
