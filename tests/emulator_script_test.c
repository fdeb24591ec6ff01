#include <criterion/criterion.h>
#include <stdlib.h>

#include "emulator/script.h"
#include "eventhub/eventhub.h"

static void *take(void *user, size_t n)
{
    (void)user;
    return malloc(n);
}

static void give(void *user, void *p, size_t n)
{
    (void)user, (void)n;
    free(p);
}

static const rh_allocator heap = { .alloc = take, .free = give };

static const struct good { const char *text; rh_emu_moment moment; rh_emu_verb verb; } good[] = {
    { "every 5s do detach", RH_EMU_AT_CLOCK, RH_EMU_DETACH },
    { "every 1h senders hub telemetry partition 3 client \"my app*\" do end with amqp:session:errant-link", RH_EMU_AT_CLOCK, RH_EMU_END },
    { "\tevery\t500ms readers until 2m do withhold for 3s # a comment", RH_EMU_AT_CLOCK, RH_EMU_WITHHOLD },
    { "at connect odds 1/3 do reset", RH_EMU_AT_CONNECT, RH_EMU_RESET },
    { "at open 3 times do close with com.example:own \"Its own words, # included.\"", RH_EMU_AT_OPEN, RH_EMU_CLOSE },
    { "at begin after 2 every 10 do end with any", RH_EMU_AT_BEGIN, RH_EMU_END },
    { "at attach cbs once do refuse with standard", RH_EMU_AT_ATTACH, RH_EMU_REFUSE },
    { "at token do refuse with 401 \"No.\"", RH_EMU_AT_TOKEN, RH_EMU_REFUSE },
    { "at inquiry do delay for 10s", RH_EMU_AT_INQUIRY, RH_EMU_DELAY },
    { "at send after 1m do throttle for 9s\r", RH_EMU_AT_SEND, RH_EMU_THROTTLE },
    { "at send do forget", RH_EMU_AT_SEND, RH_EMU_FORGET },
    { "at mid-delivery do reset after 4096 bytes", RH_EMU_AT_PART, RH_EMU_RESET },
    { "at mid-delivery client a do stall for 1s", RH_EMU_AT_PART, RH_EMU_STALL },
};

Test(emulator_script, every_kind_of_line_is_understood)
{
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        rh_emu_script *script;
        rh_error       error = { 0 };
        cr_assert_eq(rh_emu_script_parse(&heap, good[i].text, &script, &error), RH_OK, "%s: %s", good[i].text, error.description);
        cr_assert_eq(script->count, 1);
        cr_expect_eq(script->rules[0].moment, good[i].moment, "%s", good[i].text);
        cr_expect_eq(script->rules[0].verb, good[i].verb, "%s", good[i].text);
        cr_expect(script->rules[0].words && script->rules[0].words[0]);
        rh_emu_script_free(script);
    }
}

Test(emulator_script, what_a_line_says_is_what_the_rule_holds)
{
    rh_emu_script *script;
    rh_error       error;
    const char    *text = "# first a comment\n\nseed 42\n"
                          "at send hub h partition 2 client c* after 7 every 3 5 times odds 2/9 until 1m do throttle for 1500ms\n"
                          "at attach readers after 10s do detach with com.microsoft:timeout \"Words.\"\n"
                          "at begin do end with microsoft\ncalm after 9m";
    cr_assert_eq(rh_emu_script_parse(&heap, text, &script, &error), RH_OK, "%s", error.description);
    cr_assert_eq(script->count, 3);
    cr_expect_eq(script->seed, 42);
    cr_expect_eq(script->calm, RH_SECONDS(540));
    const rh_emu_rule *r = script->rules;
    cr_expect(rh_slice_is(r->hub, "h") && rh_slice_is(r->partition, "2") && rh_slice_is(r->client, "c*"));
    cr_expect(r->line == 4 && r->skip == 7 && r->nth == 3 && r->times == 5 && r->odds == 2 && r->odds_of == 9 && r->until == RH_SECONDS(60));
    cr_expect_not_null(strstr(r->words, "Please wait 2 seconds"), "%s", r->words);
    r++;
    cr_expect(r->line == 5 && r->side == RH_EMU_READERS && r->from == RH_SECONDS(10) && r->times == UINT64_MAX && r->count == 1);
    cr_expect_str_eq(rh_emu_conditions[r->first], "com.microsoft:timeout");
    cr_expect_str_eq(r->words, "Words.");
    r++;
    cr_expect(r->line == 6 && r->first == RH_EMU_CONDITIONS_STANDARD && r->count == RH_EMU_CONDITIONS_MICROSOFT);
    rh_emu_script_free(script);
}

static const struct bad { const char *text, *words; } bad[] = {
    { "often do reset", "line 1: expected 'every', 'at', 'seed' or 'calm', not 'often'" },
    { "\n\nevery 5 do reset", "line 3: expected a time such as 500ms, 10s, 2m or 1h behind 'every', not '5'" },
    { "every 0s do reset", "not '0s'" },
    { "every", "line 1: expected a time such as 500ms, 10s, 2m or 1h behind 'every' behind the end of the line" },
    { "every 99999999999999999999s do reset", "expected a time" },
    { "at noon do reset", "expected connect, open, begin, attach, token, inquiry, send or mid-delivery behind 'at', not 'noon'" },
    { "at send", "expected 'do' and what to do" },
    { "at send sometimes do reset", "expected hub, partition, client," },
    { "at send 5 do reset", "expected 'times' behind a number, not 'do'" },
    { "at send odds 3/2 do reset", "expected odds such as 1/20, not '3/2'" },
    { "at send odds 0/2 do reset", "expected odds such as 1/20" },
    { "at send every 2s do reset", "expected a number behind this 'every', not '2s'" },
    { "at connect client a do reset", "expected a client only where it is known: not at 'connect'" },
    { "at token partition 0 do ignore", "expected a partition only where it is known" },
    { "at send senders do ignore", "expected the side of a link only where it is known" },
    { "at send do", "behind 'do'" },
    { "at send do explode", "behind 'do', not 'explode'" },
    { "at connect do close", "expected something that can be done at connect, not 'close'" },
    { "every 1s do refuse", "expected something that can be done at a time, not 'refuse'" },
    { "at mid-delivery do forget", "expected something that can be done at mid-delivery" },
    { "at send do reset with amqp:not-found", "expected 'after N bytes', or the end of the line, not 'with'" },
    { "at send do reset after 5", "expected 'bytes'" },
    { "at send do stall", "expected 'for' and a time such as" },
    { "at send do forget now", "expected the end of the line, not 'now'" },
    { "at send do refuse with 503", "expected a condition: only tokens and inquiries are refused with a status code, not '503'" },
    { "at token do refuse with 200", "expected a status code from 300 to 599, not '200'" },
    { "at send do refuse with busy", "expected a condition such as amqp:internal-error, or any, standard or microsoft, behind 'with', not 'busy'" },
    { "at send do refuse \"open", "expected a closing quotation mark" },
    { "seed", "expected a number behind 'seed'" },
    { "seed 5 6", "expected the end of the line, not '6'" },
    { "calm 5s", "expected 'after' behind 'calm', not '5s'" },
    { "every 1s do detach\nat send do detach with any any", "line 2: expected 'with', quoted words, or the end of the line, not 'any'" },
};

Test(emulator_script, a_line_that_is_wrong_is_named_with_what_was_expected)
{
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        rh_emu_script *script = (rh_emu_script *)(uintptr_t)1;
        rh_error       error  = { 0 };
        cr_expect_eq(rh_emu_script_parse(&heap, bad[i].text, &script, &error), RH_E_ARGUMENT, "%s", bad[i].text);
        cr_expect_null(script);
        cr_expect_not_null(strstr(error.description, bad[i].words), "%s\n   said: %s", bad[i].text, error.description);
    }
}

Test(emulator_script, an_empty_one_is_none)
{
    rh_emu_script *script;
    cr_assert_eq(rh_emu_script_parse(&heap, "", &script, NULL), RH_OK);
    cr_expect_eq(script->count, 0);
    rh_emu_script_free(script);
    cr_assert_eq(rh_emu_script_parse(&heap, "\n  # only words\n\n", &script, NULL), RH_OK);
    cr_expect_eq(script->count, 0);
    rh_emu_script_free(script);
}

Test(emulator_script, any_byte_may_stand_anywhere)
{
    static const char line[] = "at send hub h after 7 every 3 5 times odds 2/9 do refuse with any \"Words.\"\nevery 5s do reset after 9 bytes";
    char              text[sizeof line];
    for (size_t i = 0; i < sizeof line - 1; i++)
        for (int c = 0; c < 256; c++) {
            rh_emu_script *script;
            memcpy(text, line, sizeof line);
            text[i] = (char)c;
            if (rh_emu_script_parse(&heap, text, &script, NULL) == RH_OK) rh_emu_script_free(script);
        }
}

Test(emulator_script, its_conditions_are_those_that_the_client_knows)
{
    size_t i = 0;
    for (const rh_condition *row; (row = rh_condition_at(i)); i++)
        cr_expect_lt(rh_emu_condition_find(rh_str(row->symbol)), RH_EMU_CONDITIONS, "%s is missing", row->symbol);
    cr_expect_eq(i, RH_EMU_CONDITIONS);
    for (i = 0; i < RH_EMU_CONDITIONS_STANDARD; i++) cr_expect_eq(strncmp(rh_emu_conditions[i], "amqp:", 5), 0);
}
