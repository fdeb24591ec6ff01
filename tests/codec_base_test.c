/* Slices and times. */
#include <criterion/criterion.h>

#include "codec/base.h"

Test(slice, absent_is_not_empty_but_equal_to_it)
{
    cr_expect_null(rh_str(NULL).p);
    cr_expect_not_null(rh_str("").p);
    cr_expect(rh_slice_equal(rh_str(NULL), rh_str("")));
    cr_expect(rh_slice_is(rh_str(NULL), ""));
}

Test(slice, compares_length_and_bytes)
{
    cr_expect(rh_slice_equal(rh_str("abc"), rh_slice_of("abcd", 3)));
    cr_expect_not(rh_slice_equal(rh_str("abc"), rh_str("abd")));
    cr_expect_not(rh_slice_equal(rh_str("abc"), rh_str("ab")));
    cr_expect(rh_slice_is(rh_str("abc"), "abc"));
    cr_expect_not(rh_slice_is(rh_str("abc"), "abcd"));
    cr_expect_not(rh_slice_is(rh_str("abc"), "abd"));
    cr_expect_not(rh_slice_is(rh_slice_of("a\0c", 3), "a"), "a zero inside does not end it");
}

Test(time, a_delay_stops_at_never)
{
    cr_expect_eq(rh_time_after(RH_SECONDS(1), RH_MS(500)), RH_MS(1500));
    cr_expect_eq(rh_time_after(RH_MS(1), RH_US(1)), 1001000);
    cr_expect_eq(rh_time_after(5, RH_TIME_NEVER), RH_TIME_NEVER);
    cr_expect_eq(rh_time_after(RH_TIME_NEVER, 1), RH_TIME_NEVER);
    cr_expect_eq(rh_time_after(RH_TIME_NEVER - 1, 1), RH_TIME_NEVER);
    cr_expect_eq(rh_time_after(0, 0), 0);
}
