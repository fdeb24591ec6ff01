/* What consumers and producers say of themselves in their attach, byte by byte, and that they say it again when they come back. */
#include "eventhub/eventhub.h"
#include "tests/client_world.h"

#include <criterion/criterion.h>
#include <stdio.h>

static client_world w;

static void expect_bytes(const char *what, const uint8_t *found, size_t found_n, const char *expected, size_t n)
{
    char text[800] = "";
    for (size_t i = 0; i < found_n; i++) (void)snprintf(text + 3 * i, 4, "%02x ", found[i]);
    cr_expect(found_n == n && memcmp(found, expected, n) == 0, "%s: %s", what, text);
}

#define EXPECT_PROPERTIES(bytes) expect_bytes("properties", w.service.link_properties, w.service.link_properties_n, bytes, sizeof bytes - 1)
#define EXPECT_CAPABILITIES(bytes) expect_bytes("capabilities", w.service.link_capabilities, w.service.link_capabilities_n, bytes, sizeof bytes - 1)

/* map32 of four: sym8 and str8, sym8 and long. The service takes the epoch as a long only; 0x81 and 0x55 are both that. */
#define NAMED_AND_FENCED \
    "\xd1\x00\x00\x00\x42\x00\x00\x00\x04" \
    "\xa3\x1b" "com.microsoft:receiver-name" "\xa1\x08" "reader-7" \
    "\xa3\x13" "com.microsoft:epoch" "\x55\x05"

#define WIDE_EPOCH \
    "\xd1\x00\x00\x00\x22\x00\x00\x00\x02" \
    "\xa3\x13" "com.microsoft:epoch" "\x81\x00\x00\x00\x01\x00\x00\x00\x00"

/* array8 of sym8. */
#define GEOREPLICATION "com.microsoft:georeplication"
#define RUNTIME_METRIC "com.microsoft:enable-receiver-runtime-metric"

static void open_world(void)
{
    world_open(&w, RH_CLIENT_OPTS(.retry.delay_ms = 10));
}

Test(attach, of_a_consumer_names_it_its_level_and_what_it_wants_to_hear_and_does_so_again)
{
    rh_consumer *consumer;
    open_world();
    cr_assert_eq(rh_consumer_open_wait(w.client, RH_CONSUMER_OPTS(.partition = "0", .name = "reader-7", .has_owner_level = true, .owner_level = 5,
        .track_last_enqueued = true), &consumer, 0, NULL), RH_OK);
    for (unsigned times = 1; times <= 3; times++) {
        cr_expect_eq(w.service.attaches, times);
        EXPECT_PROPERTIES(NAMED_AND_FENCED);
        EXPECT_CAPABILITIES("\xe0\x4c\x02\xa3\x1c" GEOREPLICATION "\x2c" RUNTIME_METRIC);
        w.service.link_properties_n = w.service.link_capabilities_n = 0;
        if (times == 1) cr_assert_eq(rh_link_detach(w.service.events, true, "amqp:link:detach-forced", ""), RH_OK);
        if (times == 2) toy_loop_break(&w.toy);
        toy_service_wake(&w.service);
        toy_loop_pass(&w.toy, 5);
    }
    rh_consumer_destroy(consumer);
    cr_expect(world_close(&w));
}

Test(attach, of_a_consumer_has_its_level_in_eight_bytes_where_it_needs_them)
{
    rh_consumer *consumer;
    open_world();
    cr_assert_eq(rh_consumer_open_wait(w.client, RH_CONSUMER_OPTS(.partition = "0", .has_owner_level = true, .owner_level = INT64_C(1) << 32),
        &consumer, 0, NULL), RH_OK);
    EXPECT_PROPERTIES(WIDE_EPOCH);
    EXPECT_CAPABILITIES("\xe0\x1f\x01\xa3\x1c" GEOREPLICATION);
    rh_consumer_destroy(consumer);
    cr_expect(world_close(&w));
}

Test(attach, without_level_and_name_has_no_properties)
{
    rh_consumer *consumer;
    rh_producer *producer;
    open_world();
    cr_assert_eq(rh_consumer_open_wait(w.client, RH_CONSUMER_OPTS(.partition = "0"), &consumer, 0, NULL), RH_OK);
    cr_expect_eq(w.service.link_properties_n, 0);
    cr_assert_eq(rh_producer_open_wait(w.client, NULL, &producer, 0, NULL), RH_OK);
    cr_expect_eq(w.service.link_properties_n, 0);
    EXPECT_CAPABILITIES("\xe0\x1f\x01\xa3\x1c" GEOREPLICATION);
    rh_producer_destroy(producer);
    rh_consumer_destroy(consumer);
    cr_expect(world_close(&w));
}
