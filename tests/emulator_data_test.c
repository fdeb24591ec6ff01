#include <criterion/criterion.h>

#include "tests/emulator_world.h"
#include "tests/kept.h"

struct client {
    emulator_world world;
    raw_client     raw;
    raw_link       sender, reader;
};

static void client_open(struct client *c, const char *folder)
{
    static const rh_emulator_hub hub = { .name = "Hub", .partitions = 4 };
    namespace_open(&c->world, RH_EMULATOR_OPTS(.hubs = &hub, .hub_count = 1, .data_dir = folder));
    cr_assert(raw_open(&c->raw, &c->world, NULL, NULL));
    raw_authorize(&c->raw);
    cr_assert(RAW_ATTACH(&c->raw, &c->sender, .address = "hub/Partitions/2"));
    cr_assert(RAW_ATTACH(&c->raw, &c->reader, .address = "hub/ConsumerGroups/$Default/Partitions/2", .receiver = true));
}

static void client_close(struct client *c)
{
    raw_close(&c->raw);
    namespace_close(&c->world);
}

Test(emulator_data, a_namespace_goes_on_where_it_ended)
{
    static struct client c;
    struct kept          k;
    kept_make(&k);
    client_open(&c, k.folder);
    cr_expect_eq(raw_send(&c.sender, "one", "key"), RH_ACCEPTED);
    cr_expect_eq(raw_send_batch(&c.sender, "many", 40, NULL), RH_ACCEPTED);
    client_close(&c);

    client_open(&c, k.folder);
    raw_pass(&c.raw, 1);
    cr_assert_eq(c.reader.count, 41);
    cr_expect_str_eq(c.reader.events[0].body, "one");
    cr_expect_str_eq(c.reader.events[0].key, "key");
    cr_expect_str_eq(c.reader.events[40].body, "many39");
    cr_expect_eq(raw_send(&c.sender, "after", NULL), RH_ACCEPTED);
    raw_pass(&c.raw, 1);
    cr_assert_eq(c.reader.count, 42);
    cr_expect_eq(c.reader.events[41].sequence, 41);
    cr_expect_str_eq(c.reader.events[41].body, "after");

    rh_emulator_stats stats;
    rh_emulator_stats_read(c.world.emulator, &stats);
    cr_expect_eq(stats.events_in, 1, "what was read back did not come in");
    cr_expect_gt(stats.bytes_stored, 41 * 50);
    client_close(&c);
    kept_remove(&k);
}

Test(emulator_data, an_event_that_cannot_be_written_is_rejected_and_never_seen)
{
    static struct client c;
    struct kept          k;
    kept_make(&k);
    client_open(&c, k.folder);
    cr_expect_eq(raw_send(&c.sender, "good", NULL), RH_ACCEPTED);
    limit_files(400);
    cr_expect_eq(raw_send_batch(&c.sender, "lost", 10, NULL), RH_REJECTED);
    cr_expect_str_eq(c.world.logged, "emulator.disk");
    raw_pass(&c.raw, 1);
    cr_expect_eq(c.reader.count, 1);
    limit_files(RLIM_INFINITY);
    cr_expect_eq(raw_send(&c.sender, "better", NULL), RH_ACCEPTED);
    raw_pass(&c.raw, 1);
    cr_assert_eq(c.reader.count, 2);
    cr_expect_str_eq(c.reader.events[1].body, "better");
    cr_expect_eq(c.reader.events[1].sequence, 1);
    client_close(&c);
    kept_remove(&k);
}
