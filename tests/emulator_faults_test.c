#include <criterion/criterion.h>
#include <stdio.h>

#include "emulator/condition.h"
#include "tests/emulator_world.h"

#define PLACE "hub/ConsumerGroups/$Default/Partitions/0"

static const uint8_t event[] = { 0x00, 0x53, 0x75, 0xa0, 0x01, 'a' };

static void open_scripted(emulator_world *w, raw_client *client, const char *script)
{
    static const rh_emulator_hub hubs[] = { { .name = "hub", .partitions = 2 }, { .name = "other", .partitions = 1 } };
    namespace_open(w, RH_EMULATOR_OPTS(.hubs = hubs, .hub_count = 2, .fault_script = script));
    cr_assert(raw_open(client, w, RH_EMULATOR_RULE, RH_EMULATOR_KEY));
}

static void shut(emulator_world *w, raw_client *client)
{
    raw_close(client);
    namespace_close(w);
}

static uint64_t strikes(const emulator_world *w)
{
    uint64_t           sum = 0;
    rh_emulator_strike row;
    for (size_t i = 0; rh_emulator_strike_at(w->emulator, i, &row); i++) sum += row.count;
    return sum;
}

/* One event; whether it was answered, and how. */
static bool try_event(raw_link *link)
{
    link->outcome_there = false;
    return raw_try_bytes(link, rh_slice_of(event, sizeof event), RH_FORMAT_MESSAGE);
}

Test(emulator_faults, the_clock_detaches_links_of_the_named_side_and_partition)
{
    emulator_world w;
    raw_client     c;
    raw_link       first, second, reader;
    open_scripted(&w, &c, "every 5s senders partition 1 once do detach with amqp:not-found \"Gone fishing.\"");
    cr_assert(RAW_ATTACH(&c, &first, .address = "hub/Partitions/0"));
    cr_assert(RAW_ATTACH(&c, &second, .address = "hub/Partitions/1"));
    cr_assert(RAW_ATTACH(&c, &reader, .address = PLACE, .receiver = true));
    raw_pass(&c, 4);
    cr_expect_not(second.gone);
    raw_pass(&c, 2);
    cr_expect(second.gone && !first.gone && !reader.gone);
    cr_expect_str_eq(second.condition, "amqp:not-found");
    cr_expect_eq(strncmp(second.words, "Gone fishing. TrackingId:", 25), 0, "%s", second.words);
    raw_pass(&c, 20);
    cr_expect_eq(strikes(&w), 1);
    shut(&w, &c);
}

Test(emulator_faults, a_group_word_takes_every_condition_in_turn)
{
    emulator_world w;
    raw_client     c;
    raw_link       link;
    open_scripted(&w, &c, "at send do refuse with any");
    cr_assert(RAW_ATTACH(&c, &link, .address = "hub/Partitions/0"));
    for (size_t i = 0; i <= RH_EMU_CONDITIONS; i++) {
        cr_assert(try_event(&link));
        cr_expect_eq(link.outcome, RH_REJECTED);
        cr_expect_str_eq(link.condition, rh_emu_conditions[i % RH_EMU_CONDITIONS]);
    }
    rh_emulator_strike row;
    for (size_t i = 0; i < RH_EMU_CONDITIONS; i++) {
        cr_assert(rh_emulator_strike_at(w.emulator, i, &row));
        cr_expect_str_eq(row.condition, rh_emu_conditions[i]);
        cr_expect_str_eq(row.fault, "refuse");
        cr_expect(row.line == 1 && row.count == (i == 0 ? 2 : 1));
    }
    cr_expect_not(rh_emulator_strike_at(w.emulator, RH_EMU_CONDITIONS, &row));
    shut(&w, &c);
}

Test(emulator_faults, occasions_are_counted_skipped_and_limited)
{
    emulator_world w;
    raw_client     c;
    raw_link       link;
    char           told[21] = "";
    open_scripted(&w, &c, "at send after 4 every 3 2 times do refuse");
    cr_assert(RAW_ATTACH(&c, &link, .address = "hub/Partitions/0"));
    for (int i = 0; i < 20; i++) {
        cr_assert(try_event(&link));
        told[i] = link.outcome == RH_ACCEPTED ? '.' : 'x';
    }
    cr_expect_str_eq(told, "......x..x..........");
    shut(&w, &c);
}

static void draw_fates(const char *script, char told[41])
{
    emulator_world w;
    raw_client     c;
    raw_link       link;
    open_scripted(&w, &c, script);
    cr_assert(RAW_ATTACH(&c, &link, .address = "hub/Partitions/0"));
    for (int i = 0; i < 40; i++) {
        cr_assert(try_event(&link));
        told[i] = link.outcome == RH_ACCEPTED ? '.' : 'x';
    }
    told[40] = 0;
    shut(&w, &c);
}

Test(emulator_faults, odds_are_drawn_from_the_seed_and_nothing_else)
{
    char first[41], again[41], other[41];
    draw_fates("seed 5\nat send odds 1/3 do refuse", first);
    draw_fates("seed 5\nat send odds 1/3 do refuse", again);
    draw_fates("seed 6\nat send odds 1/3 do refuse", other);
    cr_expect_str_eq(first, again);
    cr_expect_str_neq(first, other);
    cr_expect(strchr(first, 'x') && strchr(first, '.'));
}

Test(emulator_faults, a_line_is_for_the_hub_and_the_client_it_names)
{
    emulator_world w;
    raw_client     c;
    raw_link       there, elsewhere;
    open_scripted(&w, &c, "at send hub OTHER do refuse\nat send client nobody* do refuse\nat send client ra* hub hub after 1 do forget");
    cr_assert(RAW_ATTACH(&c, &there, .address = "hub/Partitions/0"));
    cr_assert(RAW_ATTACH(&c, &elsewhere, .address = "other/Partitions/0"));
    cr_assert(try_event(&elsewhere));
    cr_expect_eq(elsewhere.outcome, RH_REJECTED);
    cr_assert(try_event(&there));
    cr_expect_eq(there.outcome, RH_ACCEPTED);
    cr_expect_not(try_event(&there), "the raw client's container id is raw");
    shut(&w, &c);
}

Test(emulator_faults, outcomes_that_are_delayed_come_late_and_in_order)
{
    emulator_world w;
    raw_client     c;
    raw_link       link;
    open_scripted(&w, &c, "at send once do delay for 20s");
    cr_assert(RAW_ATTACH(&c, &link, .address = "hub/Partitions/0"));
    cr_expect_not(try_event(&link));
    cr_expect_not(try_event(&link), "nor the one behind it");
    raw_pass(&c, 1);
    cr_expect(link.outcome_there && link.outcome == RH_ACCEPTED);
    cr_expect_eq(rh_link_unsettled(link.link), 0);
    cr_expect(try_event(&link), "and then all is as it was");
    shut(&w, &c);
}

Test(emulator_faults, a_link_that_goes_leaves_its_late_outcomes_behind)
{
    emulator_world w;
    raw_client     c;
    raw_link       link;
    open_scripted(&w, &c, "at send do delay for 1h");
    cr_assert(RAW_ATTACH(&c, &link, .address = "hub/Partitions/0"));
    cr_expect_not(try_event(&link));
    raw_detach(&link);
    cr_expect_eq(link.outcome, RH_UNKNOWN);
    shut(&w, &c);
}

Test(emulator_faults, credit_and_events_are_withheld_for_a_time)
{
    emulator_world w;
    raw_client     c;
    raw_link       sink, source, late;
    open_scripted(&w, &c, "at attach partition 1 do withhold for 30s\nevery 40s readers once do withhold for 10s");
    cr_assert(RAW_ATTACH(&c, &source, .address = "hub/Partitions/0"));
    cr_assert(RAW_ATTACH(&c, &sink, .address = PLACE, .receiver = true));
    cr_assert(RAW_ATTACH(&c, &late, .address = "hub/Partitions/1"));
    cr_expect_eq(rh_link_credit_left(late.link), 0);
    raw_pass(&c, 29);
    cr_expect_eq(rh_link_credit_left(late.link), 0);
    raw_pass(&c, 2);
    cr_expect_eq(rh_link_credit_left(late.link), 1000);
    cr_assert(try_event(&source));
    cr_expect_eq(sink.count, 1);
    raw_pass(&c, 10);
    cr_assert(try_event(&source));
    cr_expect_eq(sink.count, 1, "held");
    raw_pass(&c, 12);
    cr_expect_eq(sink.count, 2);
    shut(&w, &c);
}

Test(emulator_faults, what_is_withheld_a_second_time_comes_after_that)
{
    emulator_world w;
    raw_client     c;
    raw_link       sink, source;
    open_scripted(&w, &c, "every 5s readers until 12s do withhold for 6s");
    cr_assert(RAW_ATTACH(&c, &source, .address = "hub/Partitions/0"));
    cr_assert(RAW_ATTACH(&c, &sink, .address = PLACE, .receiver = true));
    raw_pass(&c, 8);
    cr_assert(try_event(&source));
    raw_pass(&c, 1);
    cr_expect_eq(sink.count, 0, "held since the fifth second, and since the tenth until the sixteenth");
    raw_pass(&c, 8);
    cr_expect_eq(sink.count, 1);
    shut(&w, &c);
}

Test(emulator_faults, a_stalled_connection_is_silent_and_then_goes_on)
{
    emulator_world w;
    raw_client     c;
    raw_link       link;
    open_scripted(&w, &c, "at send after 1 once do stall for 15s");
    cr_assert(RAW_ATTACH(&c, &link, .address = "hub/Partitions/0"));
    cr_assert(try_event(&link));
    cr_expect_not(try_event(&link));
    raw_pass(&c, 6);
    cr_expect(link.outcome_there && link.outcome == RH_ACCEPTED);
    cr_assert(try_event(&link));
    shut(&w, &c);
}

Test(emulator_faults, a_connection_is_reset_at_once_or_after_so_many_bytes)
{
    for (int bytes = 0; bytes < 40; bytes++) {
        emulator_world w;
        raw_client     c;
        raw_link       link;
        char           script[80];
        if (bytes == 0) snprintf(script, sizeof script, "at send do reset");
        else snprintf(script, sizeof script, "at send do reset after %d bytes", bytes);
        open_scripted(&w, &c, script);
        cr_assert(RAW_ATTACH(&c, &link, .address = "hub/Partitions/0"));
        uint64_t before = rh_engine_counts_of(c.engine).bytes_in;
        try_event(&link);
        for (int i = 0; i < 5 && !c.down; i++) try_event(&link);
        cr_expect(c.down, "after %d bytes", bytes);
        cr_expect_leq(rh_engine_counts_of(c.engine).bytes_in - before, (uint64_t)bytes);
        shut(&w, &c);
    }
}

Test(emulator_faults, sessions_end_and_connections_close_with_the_condition)
{
    emulator_world w;
    raw_client     c;
    raw_link       link;
    open_scripted(&w, &c, "at send once do end with amqp:session:errant-link\nevery 1m do close with com.microsoft:container-close");
    cr_assert(RAW_ATTACH(&c, &link, .address = "hub/Partitions/0"));
    cr_expect_not(try_event(&link) && link.outcome == RH_ACCEPTED);
    cr_expect(link.gone);
    cr_expect_str_eq(link.condition, "amqp:session:errant-link");
    raw_pass(&c, 61);
    cr_expect_str_eq(c.closed.condition, "com.microsoft:container-close");
    shut(&w, &c);
}

Test(emulator_faults, tokens_and_inquiries_are_refused_with_a_code_late_or_never)
{
    static const struct { const char *script; int token; } rows[] = {
        { "at token do refuse with 403", 403 },
        { "at token do refuse with com.microsoft:auth-failed", 400 },
        { "at token do throttle", 503 },
        { "at token do ignore", 0 },
        { "at token do forget", 0 },
        { "at token do delay for 30s", 0 },
        { "at inquiry do ignore", 202 },
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        emulator_world w;
        raw_client     c;
        open_scripted(&w, &c, rows[i].script);
        cr_expect_eq(raw_put_token(&c, "sb://toy/hub", "sb://toy/hub", RH_EMULATOR_KEY, 600), rows[i].token, "%s", rows[i].script);
        shut(&w, &c);
    }
}

Test(emulator_faults, an_answer_that_is_late_comes)
{
    emulator_world w;
    raw_client     c;
    open_scripted(&w, &c, "at inquiry once do delay for 15s");
    cr_expect_eq(raw_ask(&c, "com.microsoft:eventhub", "hub", NULL), 0);
    uint32_t before = c.ask_in.count;
    raw_pass(&c, 20);
    cr_expect_eq(c.ask_in.count, before + 1);
    cr_expect_eq(raw_ask(&c, "com.microsoft:eventhub", "hub", NULL), 200);
    shut(&w, &c);
}

Test(emulator_faults, an_attach_is_refused_ignored_or_taken_and_dropped)
{
    emulator_world w;
    raw_client     c;
    raw_link       link;
    open_scripted(&w, &c, "at attach senders once do refuse with amqp:resource-locked\nat attach senders after 1 once do detach with amqp:link:stolen\n"
                          "at attach senders after 2 once do ignore");
    cr_expect_not(RAW_ATTACH(&c, &link, .address = "hub/Partitions/0"));
    cr_expect_str_eq(link.condition, "amqp:resource-locked");
    (void)RAW_ATTACH(&c, &link, .address = "hub/Partitions/0");
    raw_pass(&c, 1);
    cr_expect(link.attached && link.gone);
    cr_expect_str_eq(link.condition, "amqp:link:stolen");
    cr_expect_not(RAW_ATTACH(&c, &link, .address = "hub/Partitions/0"));
    cr_expect_not(link.gone);
    cr_expect(RAW_ATTACH(&c, &link, .address = "hub/Partitions/0"));
    shut(&w, &c);
}

Test(emulator_faults, a_delivery_is_struck_in_its_middle)
{
    static uint8_t big[200000];
    static const struct { const char *script, *condition; } rows[] = {
        { "at mid-delivery once do detach with amqp:link:transfer-limit-exceeded", "amqp:link:transfer-limit-exceeded" },
        { "at mid-delivery every 2 once do end with amqp:session:window-violation", "amqp:session:window-violation" },
    };
    const uint8_t head[] = { 0x00, 0x53, 0x75, 0xb0, 0x00, 0x03, 0x0d, 0x38 };
    memcpy(big, head, sizeof head);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        emulator_world    w;
        raw_client        c;
        raw_link          link;
        rh_emulator_stats stats;
        open_scripted(&w, &c, rows[i].script);
        cr_assert(RAW_ATTACH(&c, &link, .address = "hub/Partitions/0"));
        cr_assert(try_event(&link), "one frame has no middle");
        cr_assert_not(link.gone);
        raw_try_bytes(&link, rh_slice_of(big, sizeof big), RH_FORMAT_MESSAGE);
        cr_expect(link.gone, "%s", rows[i].script);
        cr_expect_str_eq(link.condition, rows[i].condition);
        rh_emulator_stats_read(w.emulator, &stats);
        cr_expect_eq(stats.events_in, 1, "half an event is none");
        cr_expect_eq(strikes(&w), 1);
        shut(&w, &c);
    }
}

Test(emulator_faults, the_calm_is_calm)
{
    emulator_world w;
    raw_client     c;
    raw_link       link;
    open_scripted(&w, &c, "calm after 20s\nat send do refuse\nevery 15s do stall for 1s");
    cr_assert(RAW_ATTACH(&c, &link, .address = "hub/Partitions/0"));
    cr_assert(try_event(&link));
    cr_expect_eq(link.outcome, RH_REJECTED);
    raw_pass(&c, 30);
    cr_assert(try_event(&link));
    cr_expect_eq(link.outcome, RH_ACCEPTED);
    raw_pass(&c, 100);
    cr_expect_eq(strikes(&w), 2);
    shut(&w, &c);
}

Test(emulator_faults, a_script_that_is_not_understood_starts_nothing)
{
    rh_emulator *emulator;
    rh_error     error;
    cr_expect_eq(rh_emulator_start(RH_EMULATOR_OPTS(.fault_script = "every 5s do\n"), &emulator, &error), RH_E_ARGUMENT);
    cr_expect_null(emulator);
    cr_expect_eq(strncmp(error.description, "line 1: ", 8), 0, "%s", error.description);
    cr_expect_eq(rh_emulator_script_check("every 5s do reset", &error), RH_OK);
    cr_expect_eq(rh_emulator_script_check("every 5s do nothing", &error), RH_E_ARGUMENT);
}
