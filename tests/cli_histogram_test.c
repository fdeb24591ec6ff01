#include "cli/histogram.h"

#include <criterion/criterion.h>
#include <string.h>

static struct histogram histogram;

Test(histogram, buckets_follow_each_other_without_gap_to_the_last_number)
{
    cr_expect_eq(rh_histogram_bottom(0), 0);
    for (size_t i = 0; i + 1 < HISTOGRAM_BUCKETS; i++)
        cr_assert_eq(rh_histogram_top(i) + 1, rh_histogram_bottom(i + 1), "bucket %zu", i);
    cr_expect_eq(rh_histogram_top(HISTOGRAM_BUCKETS - 1), UINT64_MAX);
}

Test(histogram, a_value_lies_between_the_edges_of_its_bucket)
{
    for (size_t i = 0; i < HISTOGRAM_BUCKETS; i++) {
        memset(&histogram, 0, sizeof histogram);
        rh_histogram_add(&histogram, rh_histogram_bottom(i));
        rh_histogram_add(&histogram, rh_histogram_top(i));
        cr_assert_eq(histogram.buckets[i], 2, "bucket %zu", i);
    }
}

Test(histogram, a_percentile_is_at_most_a_128th_above_the_truth)
{
    for (uint64_t i = 1; i <= 100000; i++) rh_histogram_add(&histogram, i * 997);
    static const double quantiles[] = { 0.01, 0.5, 0.9, 0.99, 0.999, 0.9999, 1 };
    for (size_t i = 0; i < sizeof quantiles / sizeof *quantiles; i++) {
        double truth = quantiles[i] * 100000 * 997, told = (double)rh_histogram_at(&histogram, quantiles[i]);
        cr_expect(told >= truth - 1 && told <= truth * (1 + 1.0 / 128), "%g: %g for %g", quantiles[i], told, truth);
    }
    cr_expect_eq(rh_histogram_at(&histogram, 1), 99700000);
    cr_expect_float_eq(rh_histogram_mean(&histogram), 50000.5 * 997, 1);
    cr_expect_float_eq(rh_histogram_deviation(&histogram), 28867.5 * 997, 28867.5 * 997 / 128);
}

Test(histogram, a_percentile_needs_a_hundred_values_beyond_it)
{
    for (int i = 0; i < 99999; i++) rh_histogram_add(&histogram, 5);
    cr_expect(rh_histogram_tells(&histogram, 0.99));
    cr_expect(!rh_histogram_tells(&histogram, 0.9999));
    cr_expect(rh_histogram_tells(&histogram, 0.998));
    cr_expect(!rh_histogram_tells(&histogram, 0.9991));
}

Test(histogram, an_empty_one_has_no_values)
{
    cr_expect_eq(rh_histogram_at(&histogram, 0.5), 0);
    cr_expect_eq(rh_histogram_mean(&histogram), 0);
    cr_expect(!rh_histogram_tells(&histogram, 0.5));
}

Test(histogram, its_file_has_a_line_for_each_fifth_of_a_halving_and_all_values_in_the_last)
{
    char *text = NULL;
    size_t n = 0;
    for (uint64_t i = 1; i <= 1000; i++) rh_histogram_add(&histogram, i * 1000000);
    FILE *out = open_memstream(&text, &n);
    rh_histogram_write(&histogram, out);
    fclose(out);
    cr_expect(strstr(text, " 0.500000000000 "), "%s", text);
    cr_expect(strstr(text, " 0.550000000000 "), "%s", text);
    cr_expect(strstr(text, " 1000.000000 1.000000000000       1000\n"), "%s", text);
    cr_expect(strstr(text, "Total count    =         1000]"), "%s", text);
    free(text);
}
