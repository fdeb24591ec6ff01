#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "emulator/config.h"

struct seen {
    char     text[2000];
    unsigned hubs;
};

static rh_status note(void *user, const rh_emulator_hub *hub, rh_error *error)
{
    struct seen *seen = user;
    size_t       at   = strlen(seen->text);
    (void)error;
    seen->hubs++;
    at += (size_t)snprintf(seen->text + at, sizeof seen->text - at, "%s:%u", hub->name, hub->partitions);
    for (size_t i = 0; i < hub->group_count; i++) at += (size_t)snprintf(seen->text + at, sizeof seen->text - at, ",%s", hub->groups[i]);
    snprintf(seen->text + at, sizeof seen->text - at, ";");
    return RH_OK;
}

static rh_status parse(const char *text, struct seen *seen, rh_error *error)
{
    memset(seen, 0, sizeof *seen);
    memset(error, 0, sizeof *error);
    return rh_emu_config_parse(rh_str(text), "config.json", note, seen, error);
}

static const char *const official =
    "{ \"UserConfig\": { \"NamespaceConfig\": [ { \"Type\": \"EventHub\", \"Name\": \"emulatorNs1\", \"Entities\": [ "
    "{ \"Name\": \"eh1\", \"PartitionCount\": \"2\", \"ConsumerGroups\": [ { \"Name\": \"cg1\" } ] } ] } ], "
    "\"LoggingConfig\": { \"Type\": \"File\" } } }";

Test(emulator_config, the_official_sample_is_understood)
{
    struct seen seen;
    rh_error    error;
    cr_expect_eq(parse(official, &seen, &error), RH_OK, "%s", error.description);
    cr_expect_str_eq(seen.text, "eh1:2,cg1;");
}

#define SPACE(entities) "{\"UserConfig\":{\"NamespaceConfig\":[{\"Type\":\"EventHub\",\"Name\":\"n\",\"Entities\":[" entities "]}]}}"
#define HUB(name, count) "{\"Name\":\"" name "\",\"PartitionCount\":" count "}"

Test(emulator_config, counts_are_numbers_or_strings_and_groups_may_be_missing)
{
    struct seen seen;
    rh_error    error;
    cr_expect_eq(parse("\xef\xbb\xbf" SPACE(HUB("a", "1") "," HUB("b", "\"32\"")), &seen, &error), RH_OK, "%s", error.description);
    cr_expect_str_eq(seen.text, "a:1;b:32;");
}

static const struct bad {
    const char *text, *words;
} bad[] = {
    { "", "line" },
    { "{", "line 1" },
    { "[]", "UserConfig" },
    { "{\"UserConfig\":{}}", "NamespaceConfig" },
    { "{\"UserConfig\":{\"NamespaceConfig\":[]}}", "exactly one" },
    { "{\"UserConfig\":{\"NamespaceConfig\":[{},{}]}}", "2 namespaces" },
    { "{\"UserConfig\":{\"NamespaceConfig\":[{\"Type\":\"ServiceBus\"}]}}", "EventHub" },
    { "{\"UserConfig\":{\"NamespaceConfig\":[{\"Type\":\"EventHub\",\"Entities\":[]}]}}", "Entities" },
    { SPACE("{}"), "entity 1 has no Name" },
    { SPACE("{\"Name\":\"a\"}"), "no PartitionCount" },
    { SPACE(HUB("a", "0")), "1 to 32" },
    { SPACE(HUB("a", "33")), "1 to 32" },
    { SPACE(HUB("a", "\"two\"")), "1 to 32" },
    { SPACE(HUB("a", "\"2x\"")), "1 to 32" },
    { SPACE(HUB("a", "2.5")), "1 to 32" },
    { SPACE("{\"Name\":\"a\",\"PartitionCount\":1,\"ConsumerGroups\":{}}"), "not an array" },
    { SPACE("{\"Name\":\"a\",\"PartitionCount\":1,\"ConsumerGroups\":[{}]}"), "group 1 has no Name" },
    { SPACE(HUB("a", "1") "," HUB("b", "1") "," HUB("c", "1") "," HUB("d", "1") "," HUB("e", "1") "," HUB("f", "1") "," HUB("g", "1") ","
            HUB("h", "1") "," HUB("i", "1") "," HUB("j", "1") "," HUB("k", "1")), "11 Entities" },
};

Test(emulator_config, each_mistake_is_named_in_one_line)
{
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct seen seen;
        rh_error    error;
        cr_expect_eq(parse(bad[i].text, &seen, &error), RH_E_ARGUMENT, "%s", bad[i].text);
        cr_expect(strncmp(error.description, "config.json: ", 13) == 0, "%s", error.description);
        cr_expect_not_null(strstr(error.description, bad[i].words), "%s\n%s", bad[i].text, error.description);
        cr_expect_null(strchr(error.description, '\n'));
    }
}

Test(emulator_config, a_file_is_read_and_a_missing_one_is_named)
{
    struct seen seen = { 0 };
    rh_error    error;
    char        path[] = "/tmp/rh-config-XXXXXX";
    int         fd     = mkstemp(path);
    cr_assert_geq(fd, 0);
    cr_assert_eq(write(fd, official, strlen(official)), (ssize_t)strlen(official));
    close(fd);
    cr_expect_eq(rh_emu_config_read(path, note, &seen, &error), RH_OK);
    cr_expect_eq(seen.hubs, 1);
    unlink(path);
    cr_expect_eq(rh_emu_config_read(path, note, &seen, &error), RH_E_IO);
    cr_expect_not_null(strstr(error.description, path));
}
