#include <criterion/criterion.h>
#include <stdio.h>

#include "tests/emulator_world.h"

#define PLACE "hub/ConsumerGroups/$Default/Partitions/0"

#define NONE -1

/* Who is there, who comes, and what happens to both. */
static const struct cell {
    int64_t there, comes;
    bool    admitted, displaced;
} table[] = {
    { NONE, NONE, true, false },
    { NONE, 0, true, true },
    { NONE, 7, true, true },
    { 0, NONE, false, false },
    { 7, NONE, false, false },
    { 0, 0, true, true },
    { 7, 7, true, true },
    { 7, 8, true, true },
    { 7, 6, false, false },
    { 7, 0, false, false },
    { INT64_MAX, 7, false, false },
    { 7, INT64_MAX, true, true },
};

Test(emulator_epoch, every_cell_of_the_fencing_table)
{
    emulator_world w;
    raw_client     a, b;
    namespace_open(&w, NULL);
    cr_assert(raw_open(&a, &w, NULL, NULL));
    cr_assert(raw_open(&b, &w, NULL, NULL));
    raw_authorize(&a);
    raw_authorize(&b);
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        raw_link there, comes;
        char     text[32];
        cr_assert(RAW_ATTACH(&a, &there, .address = PLACE, .receiver = true, .fenced = table[i].there != NONE, .epoch = table[i].there, .receiver_name = "old one"), "row %zu: %s", i, there.words);
        bool admitted = RAW_ATTACH(&b, &comes, .address = PLACE, .receiver = true, .fenced = table[i].comes != NONE, .epoch = table[i].comes, .receiver_name = "new one");
        raw_pass(&a, 1);
        cr_expect_eq(admitted, table[i].admitted, "row %zu", i);
        cr_expect_eq(there.gone, table[i].displaced, "row %zu", i);

        const raw_link *loser = admitted ? &there : &comes;
        if (loser->gone) {
            cr_expect_str_eq(loser->condition, "amqp:link:stolen", "row %zu", i);
            cr_expect_not_null(strstr(loser->words, "'old one'"), "row %zu: %s", i, loser->words);
            cr_expect_not_null(strstr(loser->words, "'new one'"), "row %zu: %s", i, loser->words);
            cr_expect_not_null(strstr(loser->words, "higher epoch"), "row %zu: %s", i, loser->words);
            snprintf(text, sizeof text, "'%lld'", (long long)table[i].there);
            cr_expect_not_null(strstr(loser->words, text), "row %zu: %s", i, loser->words);
        }
        if (!there.gone) raw_detach(&there);
        if (!comes.gone) raw_detach(&comes);
    }
    raw_close(&a);
    raw_close(&b);
    namespace_close(&w);
}

Test(emulator_epoch, an_epoch_is_forgotten_when_its_reader_leaves)
{
    emulator_world w;
    raw_client     c;
    raw_link       high, low;
    namespace_open(&w, NULL);
    cr_assert(raw_open(&c, &w, NULL, NULL));
    raw_authorize(&c);
    cr_assert(RAW_ATTACH(&c, &high, .address = PLACE, .receiver = true, .fenced = true, .epoch = 100));
    raw_detach(&high);
    cr_expect(RAW_ATTACH(&c, &low, .address = PLACE, .receiver = true, .fenced = true, .epoch = 1));
    raw_close(&c);
    namespace_close(&w);
}

Test(emulator_epoch, a_lost_connection_leaves_no_reader_behind)
{
    emulator_world w;
    raw_client     a, b;
    raw_link       high, low;
    namespace_open(&w, NULL);
    cr_assert(raw_open(&a, &w, NULL, NULL));
    raw_authorize(&a);
    cr_assert(RAW_ATTACH(&a, &high, .address = PLACE, .receiver = true, .fenced = true, .epoch = 100));
    toy_loop_break(&w.toy);
    raw_pass(&a, 1);
    cr_assert(raw_open(&b, &w, NULL, NULL));
    raw_authorize(&b);
    cr_expect(RAW_ATTACH(&b, &low, .address = PLACE, .receiver = true, .fenced = true, .epoch = 1));
    raw_close(&a);
    raw_close(&b);
    namespace_close(&w);
}

Test(emulator_epoch, groups_and_partitions_do_not_fence_each_other)
{
    emulator_world w;
    raw_client     c;
    raw_link       l[3];
    namespace_open(&w, NULL);
    cr_assert(raw_open(&c, &w, NULL, NULL));
    raw_authorize(&c);
    cr_expect(RAW_ATTACH(&c, &l[0], .address = PLACE, .receiver = true, .fenced = true, .epoch = 100));
    cr_expect(RAW_ATTACH(&c, &l[1], .address = "hub/ConsumerGroups/g2/Partitions/0", .receiver = true, .fenced = true, .epoch = 1));
    cr_expect(RAW_ATTACH(&c, &l[2], .address = "hub/ConsumerGroups/$Default/Partitions/1", .receiver = true));
    raw_pass(&c, 1);
    cr_expect_not(l[0].gone || l[1].gone || l[2].gone);
    raw_close(&c);
    namespace_close(&w);
}

Test(emulator_epoch, five_readers_have_room_and_the_sixth_is_told_who_they_are)
{
    emulator_world w;
    raw_client     c;
    raw_link       l[5], sixth;
    char           names[5][16];
    namespace_open(&w, NULL);
    cr_assert(raw_open(&c, &w, NULL, NULL));
    raw_authorize(&c);
    for (int i = 0; i < 5; i++) {
        snprintf(names[i], sizeof names[i], "r-%d", i);
        cr_assert(RAW_ATTACH(&c, &l[i], .address = PLACE, .receiver = true, .receiver_name = i == 4 ? NULL : names[i]));
    }
    cr_expect_not(RAW_ATTACH(&c, &sixth, .address = PLACE, .receiver = true, .receiver_name = "sixth"));
    cr_expect_str_eq(sixth.condition, "amqp:resource-limit-exceeded");
    for (int i = 0; i < 4; i++) cr_expect_not_null(strstr(sixth.words, names[i]), "%s", sixth.words);
    cr_expect_not_null(strstr(sixth.words, "nil"), "%s", sixth.words);

    raw_detach(&l[2]);
    cr_expect(RAW_ATTACH(&c, &sixth, .address = PLACE, .receiver = true), "a place is free again");
    raw_link epoch;
    cr_expect(RAW_ATTACH(&c, &epoch, .address = PLACE, .receiver = true, .fenced = true, .epoch = 0));
    raw_pass(&c, 1);
    for (int i = 0; i < 5; i++)
        if (i != 2) cr_expect(l[i].gone, "an epoch disconnects all who have none");
    cr_expect(sixth.gone);
    raw_close(&c);
    namespace_close(&w);
}

Test(emulator_epoch, a_negative_epoch_is_refused)
{
    emulator_world w;
    raw_client     c;
    namespace_open(&w, NULL);
    cr_assert(raw_open(&c, &w, NULL, NULL));
    raw_authorize(&c);

    uint8_t        properties[64], address[64];
    rh_enc         e = rh_enc_of(properties, sizeof properties);
    rh_enc_mark    m = rh_enc_map_begin(&e);
    rh_enc_symbol(&e, rh_str("com.microsoft:epoch"));
    rh_enc_long(&e, -5);
    rh_enc_map_end(&e, m, 2);
    rh_amqp_source source = { .address = rh_string_encoded(rh_str(PLACE), address, sizeof address) };
    rh_amqp_target target = { 0 };
    raw_link       l      = { .client = &c };
    rh_link_opts   opts   = { .name = rh_str("n"), .receiver = true, .source = &source, .target = &target, .properties = rh_enc_written(&e) };
    cr_assert_eq(rh_link_attach(c.session, &opts, &l, &l.link), RH_OK);
    raw_pass(&c, 1);
    cr_expect(l.gone);
    cr_expect_str_eq(l.condition, "com.microsoft:argument-error");
    raw_close(&c);
    namespace_close(&w);
}
