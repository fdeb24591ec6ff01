/* One name, one link [2.6.1]: who attaches a name again has lost the link that had it. */
#include "tests/emulator_world.h"

#include <criterion/criterion.h>
#include <stdio.h>

#define PLACE "hub/ConsumerGroups/$Default/Partitions/0"

/* A client with two sessions: in one, our own engine would not say a name twice. */
struct twice {
    emulator_world w;
    raw_client     c;
    rh_session    *first, *second;
};

static void open_twice(struct twice *t)
{
    namespace_open(&t->w, NULL);
    cr_assert(raw_open(&t->c, &t->w, NULL, NULL));
    raw_authorize(&t->c);
    t->first = t->c.session;
    cr_assert_eq(rh_session_begin(t->c.engine, NULL, NULL, &t->second), RH_OK);
}

static void close_twice(struct twice *t)
{
    raw_close(&t->c);
    namespace_close(&t->w);
}

Test(emulator_link, a_name_attached_again_steals_the_link)
{
    struct twice t;
    raw_link     old, taken, source;
    open_twice(&t);
    cr_assert(RAW_ATTACH(&t.c, &old, .address = PLACE, .name = "mine", .receiver = true));
    t.c.session = t.second;
    cr_assert(RAW_ATTACH(&t.c, &taken, .address = PLACE, .name = "mine", .receiver = true), "%s", taken.words);
    raw_pass(&t.c, 1);
    cr_expect(old.gone);
    cr_expect_str_eq(old.condition, "amqp:link:stolen");
    cr_expect_not(taken.gone);

    cr_assert(RAW_ATTACH(&t.c, &source, .address = "hub/Partitions/0"));
    cr_expect_eq(raw_send(&source, "for who has the name now", NULL), RH_ACCEPTED);
    raw_pass(&t.c, 1);
    cr_expect_eq(old.count, 0);
    cr_expect_eq(taken.count, 1);
    close_twice(&t);
}

Test(emulator_link, a_stolen_sender_is_told_and_the_thief_sends)
{
    struct twice t;
    raw_link     old, taken;
    open_twice(&t);
    cr_assert(RAW_ATTACH(&t.c, &old, .address = "hub", .name = "mine"));
    t.c.session = t.second;
    cr_assert(RAW_ATTACH(&t.c, &taken, .address = "hub", .name = "mine"), "%s", taken.words);
    raw_pass(&t.c, 1);
    cr_expect(old.gone);
    cr_expect_str_eq(old.condition, "amqp:link:stolen");
    cr_expect_eq(raw_send(&taken, "x", NULL), RH_ACCEPTED);
    close_twice(&t);
}

Test(emulator_link, a_sender_and_a_receiver_may_share_a_name)
{
    struct twice t;
    raw_link     in, out;
    open_twice(&t);
    cr_assert(RAW_ATTACH(&t.c, &in, .address = PLACE, .name = "both", .receiver = true));
    cr_assert(RAW_ATTACH(&t.c, &out, .address = "hub", .name = "both"));
    raw_pass(&t.c, 1);
    cr_expect_not(in.gone || out.gone);
    close_twice(&t);
}

Test(emulator_link, another_connection_may_use_the_name)
{
    struct twice t;
    raw_client   other;
    raw_link     a, b;
    open_twice(&t);
    cr_assert(raw_open(&other, &t.w, NULL, NULL));
    raw_authorize(&other);
    cr_assert(RAW_ATTACH(&t.c, &a, .address = PLACE, .name = "mine", .receiver = true));
    cr_assert(RAW_ATTACH(&other, &b, .address = PLACE, .name = "mine", .receiver = true));
    raw_pass(&t.c, 1);
    cr_expect_not(a.gone || b.gone);
    raw_close(&other);
    close_twice(&t);
}

/* Five readers without an epoch are all that a partition takes. */
Test(emulator_link, a_ghost_takes_no_room_from_the_link_that_comes_back)
{
    struct twice t;
    raw_link     readers[5], back;
    open_twice(&t);
    for (int i = 0; i < 5; i++) {
        char name[32];
        snprintf(name, sizeof name, "reader-%d", i);
        cr_assert(RAW_ATTACH(&t.c, &readers[i], .address = PLACE, .name = name, .receiver = true));
    }
    t.c.session = t.second;
    cr_expect(RAW_ATTACH(&t.c, &back, .address = PLACE, .name = "reader-3", .receiver = true), "%s: %s", back.condition, back.words);
    raw_pass(&t.c, 1);
    for (int i = 0; i < 5; i++) cr_expect_eq(readers[i].gone, i == 3, "reader %d", i);
    close_twice(&t);
}
