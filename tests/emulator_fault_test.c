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

Test(emulator_fault, a_send_is_refused_ignored_or_stored_without_a_word)
{
    static const uint8_t event[] = { 0x00, 0x53, 0x75, 0xa0, 0x01, 'a' };
    static const struct { rh_emulator_fault fault; bool told; rh_outcome_kind outcome; uint64_t stored; } rows[] = {
        { RH_EMULATOR_NO_FAULT, true, RH_ACCEPTED, 1 },
        { RH_EMULATOR_REFUSE, true, RH_REJECTED, 0 },
        { RH_EMULATOR_IGNORE, false, RH_ACCEPTED, 0 },
        { RH_EMULATOR_FORGET, false, RH_ACCEPTED, 1 },
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        emulator_world w;
        raw_client     client;
        raw_link       link;
        struct plan    plan = { RH_EMULATOR_SEND, rows[i].fault, 1 };
        open_planned(&w, &client, &plan);
        raw_authorize(&client);
        cr_assert(RAW_ATTACH(&client, &link, .address = "hub/Partitions/0"));
        cr_expect_eq(raw_try_bytes(&link, rh_slice_of(event, sizeof event), RH_FORMAT_MESSAGE), rows[i].told, "row %zu", i);
        if (rows[i].told) cr_expect_eq(link.outcome, rows[i].outcome, "row %zu", i);
        cr_expect_eq(stored(&w), rows[i].stored, "row %zu", i);
        shut(&w, &client);
    }
}

Test(emulator_fault, a_token_is_refused_with_the_code_of_its_condition_or_never_answered)
{
    emulator_world w;
    raw_client     client;
    struct plan    plan = { RH_EMULATOR_TOKEN, RH_EMULATOR_REFUSE, 1 };
    open_planned(&w, &client, &plan);
    cr_expect_eq(raw_put_token(&client, "sb://toy/hub", "sb://toy/hub", RH_EMULATOR_KEY, 600), 400);
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
