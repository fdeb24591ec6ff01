#include <criterion/criterion.h>

#include "tests/emulator_world.h"

/* What goes wrong, and when. */
struct plan {
    rh_emulator_moment moment;
    rh_emulator_fault  fault;
    unsigned           times; /* it still does */
};

static rh_emulator_fault judge(void *user, rh_emulator_moment moment, const char **condition)
{
    struct plan *plan = user;
    if (plan->times == 0 || moment != plan->moment) return RH_EMULATOR_NO_FAULT;
    plan->times--;
    *condition = "com.microsoft:server-busy";
    return plan->fault;
}

static void open_planned(emulator_world *w, raw_client *client, struct plan *plan)
{
    rh_emulator_hub hub = { .name = "hub", .partitions = 1 };
    namespace_open(w, RH_EMULATOR_OPTS(.hubs = &hub, .hub_count = 1, .faults = { judge, plan }));
    cr_assert(raw_open(client, w, NULL, NULL));
}

static void shut(emulator_world *w, raw_client *client)
{
    raw_close(client);
    namespace_close(w);
}

static uint64_t stored(const emulator_world *w)
{
    rh_emulator_stats stats;
    rh_emulator_stats_read(w->emulator, &stats);
    return stats.events_in;
}

Test(emulator_fault, a_send_is_refused_ignored_or_stored_without_a_word_or_with_a_late_one)
{
    static const uint8_t event[] = { 0x00, 0x53, 0x75, 0xa0, 0x01, 'a' };
    static const struct { rh_emulator_fault fault; bool told; rh_outcome_kind outcome; uint64_t stored; } rows[] = {
        { RH_EMULATOR_NO_FAULT, true, RH_ACCEPTED, 1 },
        { RH_EMULATOR_REFUSE, true, RH_REJECTED, 0 },
        { RH_EMULATOR_IGNORE, false, RH_ACCEPTED, 0 },
        { RH_EMULATOR_FORGET, false, RH_ACCEPTED, 1 },
        { RH_EMULATOR_LATE, true, RH_ACCEPTED, 1 },
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        emulator_world w;
        raw_client     client;
        raw_link       link;
        struct plan    plan = { RH_EMULATOR_SEND, rows[i].fault, 1 };
        open_planned(&w, &client, &plan);
        raw_authorize(&client);
        cr_assert(RAW_ATTACH(&client, &link, .address = "hub/Partitions/0"));
        rh_time start = w.toy.now;
        cr_expect_eq(raw_try_bytes(&link, rh_slice_of(event, sizeof event), RH_FORMAT_MESSAGE), rows[i].told, "row %zu", i);
        if (rows[i].told) cr_expect_eq(link.outcome, rows[i].outcome, "row %zu", i);
        cr_expect_eq(stored(&w), rows[i].stored, "row %zu", i);
        if (rows[i].told) cr_expect_eq(w.toy.now - start >= RH_SECONDS(1), rows[i].fault == RH_EMULATOR_LATE, "row %zu", i);
        shut(&w, &client);
    }
}

Test(emulator_fault, a_token_is_refused_with_the_code_of_its_condition_or_never_answered)
{
    emulator_world w;
    raw_client     client;
    struct plan    plan = { RH_EMULATOR_TOKEN, RH_EMULATOR_REFUSE, 1 };
    open_planned(&w, &client, &plan);
    cr_expect_eq(raw_put_token(&client, "sb://toy/hub", "sb://toy/hub", RH_EMULATOR_KEY, 600), 503);
    plan = (struct plan){ RH_EMULATOR_TOKEN, RH_EMULATOR_IGNORE, 1 };
    cr_expect_eq(raw_put_token(&client, "sb://toy/hub", "sb://toy/hub", RH_EMULATOR_KEY, 600), 0);
    shut(&w, &client);
}

Test(emulator_fault, a_link_is_refused_with_the_condition_asked_for)
{
    emulator_world w;
    raw_client     client;
    raw_link       link;
    struct plan    plan = { RH_EMULATOR_ATTACH, RH_EMULATOR_REFUSE, 1 };
    open_planned(&w, &client, &plan);
    raw_authorize(&client);
    cr_expect_not(RAW_ATTACH(&client, &link, .address = "hub/Partitions/0"));
    cr_expect_str_eq(link.condition, "com.microsoft:server-busy");
    cr_expect(RAW_ATTACH(&client, &link, .address = "hub/Partitions/0"));
    shut(&w, &client);
}

Test(emulator_fault, a_link_that_is_ignored_hears_nothing_and_harms_nobody)
{
    emulator_world w;
    raw_client     client;
    raw_link       ignored, link;
    struct plan    plan = { RH_EMULATOR_ATTACH, RH_EMULATOR_IGNORE, 1 };
    open_planned(&w, &client, &plan);
    raw_authorize(&client);
    cr_expect_not(RAW_ATTACH(&client, &ignored, .address = "hub/Partitions/0"));
    cr_expect_not(ignored.gone);
    cr_expect(RAW_ATTACH(&client, &link, .address = "hub/Partitions/0"));
    cr_expect_eq(raw_send(&link, "a", NULL), RH_ACCEPTED);
    shut(&w, &client);
}

/* -- a loop that has no room to lend ---------------------------------------------------------------- */

Test(emulator_fault, what_comes_while_there_is_no_room_for_answers_is_taken_when_there_is)
{
    static const uint8_t event[] = { 0x00, 0x53, 0x75, 0xa0, 0x01, 'a' };
    struct plan          none    = { .times = 0 };
    emulator_world       w;
    raw_client           client;
    raw_link             link;
    open_planned(&w, &client, &none);
    raw_authorize(&client);
    cr_assert(RAW_ATTACH(&client, &link, .address = "hub/Partitions/0"));
    w.toy.no_room = true;
    cr_expect_not(raw_try_bytes(&link, rh_slice_of(event, sizeof event), RH_FORMAT_MESSAGE));
    w.toy.no_room = false;
    raw_pass(&client, 1);
    cr_expect(link.outcome_there && link.outcome == RH_ACCEPTED);
    shut(&w, &client);
}

static rh_emulator_fault take_room(void *user, rh_emulator_moment moment, const char **condition)
{
    (void)condition;
    toy_loop *toy = user;
    toy->no_room |= moment == RH_EMULATOR_SEND;
    return RH_EMULATOR_NO_FAULT;
}

Test(emulator_fault, an_event_for_which_there_was_no_room_reaches_its_reader_when_there_is)
{
    emulator_world  w;
    static const uint8_t event[] = { 0x00, 0x53, 0x75, 0xa0, 0x01, 'a' };
    raw_client      writes, reads;
    raw_link        source, sink;
    rh_emulator_hub hub = { .name = "hub", .partitions = 1 };
    namespace_open(&w, RH_EMULATOR_OPTS(.hubs = &hub, .hub_count = 1, .faults = { take_room, &w.toy }));
    cr_assert(raw_open(&writes, &w, NULL, NULL) && raw_open(&reads, &w, NULL, NULL));
    raw_authorize(&writes);
    raw_authorize(&reads);
    cr_assert(RAW_ATTACH(&reads, &sink, .address = "hub/ConsumerGroups/$Default/Partitions/0", .receiver = true));
    cr_assert(RAW_ATTACH(&writes, &source, .address = "hub/Partitions/0"));
    cr_expect_not(raw_try_bytes(&source, rh_slice_of(event, sizeof event), RH_FORMAT_MESSAGE));
    cr_assert_eq(sink.count, 0);
    w.toy.no_room = false;
    raw_pass(&reads, 1);
    cr_expect_eq(sink.count, 1);
    cr_expect(source.outcome_there && source.outcome == RH_ACCEPTED);
    raw_close(&reads);
    shut(&w, &writes);
}
