/* Status words and the story of a failure. */
#include <criterion/criterion.h>

#include "codec/codec.h"

static const struct { rh_status status; const char *name, *words; } every[] = {
#define ROW(name, number, words) { name, #name, words },
    RH_STATUS_LIST(ROW)
#undef ROW
};
#define EVERY (sizeof every / sizeof every[0])

Test(status, every_status_has_its_name_and_its_words)
{
    for (size_t i = 0; i < EVERY; i++) {
        cr_expect_str_eq(rh_status_name(every[i].status), every[i].name);
        cr_expect_str_eq(rh_status_words(every[i].status), every[i].words);
        size_t n = strlen(every[i].words);
        cr_expect_neq(every[i].words[n - 1], '.', "%s: words are one sentence without a full stop", every[i].name);
    }
}

Test(status, numbers_are_unique_and_in_their_family)
{
    for (size_t i = 0; i < EVERY; i++) {
        int number = (int)every[i].status;
        cr_expect(number <= 1 || (number >= 100 && number < 500), "%s", every[i].name);
        for (size_t k = 0; k < i; k++) cr_expect_neq(number, (int)every[k].status, "%s and %s", every[i].name, every[k].name);
    }
}

Test(status, pinned_numbers_do_not_move)
{
    cr_expect_eq(RH_OK, 0);
    cr_expect_eq(RH_AGAIN, 1);
    cr_expect_eq(RH_E_ARGUMENT, 100);
    cr_expect_eq(RH_E_MEMORY, 200);
    cr_expect_eq(RH_E_TLS, 220);
    cr_expect_eq(RH_E_DECODE, 300);
    cr_expect_eq(RH_E_UNAUTHORIZED, 400);
    cr_expect_eq(RH_E_SERVICE, 499);
}

Test(status, a_number_of_nobody_is_said_to_be_unknown)
{
    cr_expect_str_eq(rh_status_name((rh_status)99), "RH_E_?");
    cr_expect_str_eq(rh_status_name((rh_status)-1), "RH_E_?");
    cr_expect_gt(strlen(rh_status_words((rh_status)99)), 0);
}

Test(error, set_fills_the_story_and_clears_the_rest)
{
    rh_error error;
    memset(&error, 0xff, sizeof error);
    rh_error_set(&error, RH_E_SERVER_BUSY, "com.microsoft:server-busy", "come back later");
    cr_expect_eq(error.status, RH_E_SERVER_BUSY);
    cr_expect_str_eq(error.condition, "com.microsoft:server-busy");
    cr_expect_str_eq(error.description, "come back later");
    cr_expect_str_eq(error.tracking_id, "");
    cr_expect_eq(error.error_class, RH_CLASS_NONE);
    cr_expect_eq(error.retry_after_ms, 0);
    cr_expect_eq(error.os_error, 0);
    cr_expect_eq(error.position, 0);

    rh_error_set(&error, RH_E_DECODE, NULL, NULL);
    cr_expect_str_eq(error.condition, "");
    cr_expect_str_eq(error.description, "");
}

Test(error, bytes_that_would_not_print_become_question_marks)
{
    rh_error error;
    rh_error_set_slices(&error, RH_E_SERVICE, rh_slice_of("a\0b\x80", 4), rh_slice_of("\x1b[2J \xe2\x82\xac \xe2\x82 \xc2\x85 \x7f\n", 17));
    cr_expect_str_eq(error.condition, "a?b?");
    cr_expect_str_eq(error.description, "?[2J \xe2\x82\xac ?? ?? ??");
}

Test(error, long_text_is_cut_between_characters)
{
    char     text[1200];
    rh_error error;
    for (size_t shift = 0; shift < 3; shift++) {
        memset(text, 'a', sizeof text);
        for (size_t i = shift; i + 3 <= sizeof text; i += 3) memcpy(text + i, "\xe2\x82\xac", 3);
        rh_error_set_slices(&error, RH_E_SERVICE, rh_slice_of(text, sizeof text - 2), rh_slice_of(text, sizeof text - 2));
        size_t condition = strlen(error.condition), description = strlen(error.description);
        cr_expect(rh_utf8_is(rh_str(error.condition)));
        cr_expect(rh_utf8_is(rh_str(error.description)));
        cr_expect(condition < sizeof error.condition && condition + 3 >= sizeof error.condition);
        cr_expect(description < sizeof error.description && description + 3 >= sizeof error.description);
    }
}

Test(error, a_story_may_be_told_from_itself)
{
    rh_error error;
    rh_error_set(&error, RH_E_SERVICE, "condition", "words");
    rh_error_set(&error, RH_E_DETACHED, error.condition, error.description);
    cr_expect_eq(error.status, RH_E_DETACHED);
    cr_expect_str_eq(error.condition, "condition");
    cr_expect_str_eq(error.description, "words");
}
