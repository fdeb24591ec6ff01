#include <criterion/criterion.h>

#include "eventhub/partition_key.h"

static const uint32_t counts[] = { 2, 3, 4, 5, 8, 16, 32 };

static const struct row {
    const char *key;
    int16_t     hash;
    uint8_t     index[7];
} rows[] = {
    { "a", -16220, { 0, 2, 0, 0, 4, 12, 28 } },
    { "0", 28433, { 1, 2, 1, 3, 1, 1, 17 } },
    { "key", 11419, { 1, 1, 3, 4, 3, 11, 27 } },
    { "abc", -14161, { 1, 1, 1, 1, 1, 1, 17 } },
    { "test", -12036, { 0, 0, 0, 1, 4, 4, 4 } },
    { "device-42", -21548, { 0, 2, 0, 3, 4, 12, 12 } },
    { "exactly12chr", -4334, { 0, 2, 2, 4, 6, 14, 14 } },
    { "thirteen-char", -24856, { 0, 1, 0, 1, 0, 8, 24 } },
    { "contoso/telemetry/42", 7509, { 1, 0, 1, 4, 5, 5, 21 } },
    { "00000000-0000-0000-0000-000000000000", -12344, { 0, 2, 0, 4, 0, 8, 24 } },
    { "The quick brown fox jumps over the lazy dog", -31937, { 1, 2, 1, 2, 1, 1, 1 } },
    { "\xc3\xa9", -24812, { 0, 2, 0, 2, 4, 12, 12 } },
    { "\xd0\xba\xd0\xbb\xd1\x8e\xd1\x87", -32174, { 0, 2, 2, 4, 6, 14, 14 } },
    { "\xe6\x97\xa5\xe6\x9c\xac", 27948, { 0, 0, 0, 3, 4, 12, 12 } },
};

Test(partition_key, lands_where_the_official_clients_put_it)
{
    for (size_t r = 0; r < sizeof rows / sizeof *rows; r++) {
        cr_expect_eq(rh_partition_key_hash(rh_str(rows[r].key)), rows[r].hash, "hash of %s", rows[r].key);
        for (size_t i = 0; i < 7; i++)
            cr_expect_eq(rh_partition_of_key(rh_str(rows[r].key), counts[i]), rows[r].index[i], "%s of %u", rows[r].key, counts[i]);
    }
}

Test(partition_key, agrees_with_the_values_of_the_sdk_tests)
{
    cr_expect_eq(rh_partition_key_hash(rh_str("$0cb")), 26269);
    cr_expect_eq(rh_partition_key_hash(rh_str("p4*!jioeO/z-!-;w:dh")), -3104);
    cr_expect_eq(rh_partition_key_hash(rh_str("!c*_!I@1^c")), 15372);
    cr_expect_eq(rh_partition_key_hash(rh_str("-4189260826195535198")), 453);
}

Test(partition_key, no_key_hashes_to_zero)
{
    cr_expect_eq(rh_partition_key_hash(rh_str("")), 0);
    cr_expect_eq(rh_partition_key_hash(rh_str(NULL)), 0);
}

Test(partition_key, stays_inside_every_partition_count)
{
    char key[2] = "a";
    for (uint32_t n = 1; n <= 2000; n++) {
        key[0] = (char)('!' + n % 90);
        cr_expect_lt(rh_partition_of_key(rh_str(key), n), n);
    }
    cr_expect_eq(rh_partition_of_key(rh_str("a"), 0), 0);
}
