#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

#include "emulator/event.h"
#include "eventhub/partition_key.h"
#include "tests/emulator_world.h"

#define READ_FROM(n) "hub/ConsumerGroups/$Default/Partitions/" #n

struct world {
    emulator_world w;
    raw_client     c;
};

static void world_open(struct world *world, const rh_emulator_opts *opts)
{
    namespace_open(&world->w, opts);
    cr_assert(raw_open(&world->c, &world->w, NULL, NULL));
    raw_authorize(&world->c);
}

static void world_close(struct world *world)
{
    raw_close(&world->c);
    namespace_close(&world->w);
}

/* -- storing ---------------------------------------------------------------------------------- */

Test(emulator_event, a_batch_becomes_events_with_annotations_of_the_service)
{
    struct world x;
    raw_link     in, out;
    world_open(&x, NULL);
    cr_assert(RAW_ATTACH(&x.c, &in, .address = "hub/Partitions/0"));
    cr_assert(RAW_ATTACH(&x.c, &out, .address = READ_FROM(0), .receiver = true));
    cr_expect_eq(raw_send_batch(&in, "event-", 50, NULL), RH_ACCEPTED);
    cr_expect_eq(raw_send(&in, "single", NULL), RH_ACCEPTED);
    raw_pass(&x.c, 1);
    cr_assert_eq(out.count, 51);
    int64_t offset = -1;
    for (int i = 0; i < 51; i++) {
        char body[20];
        snprintf(body, sizeof body, i < 50 ? "event-%d" : "single", i);
        cr_expect_str_eq(out.events[i].body, body);
        cr_expect_eq(out.events[i].sequence, i);
        cr_expect_gt(atoll(out.events[i].offset), offset);
        cr_expect_gt(out.events[i].enqueued_ms, INT64_C(1767225600000));
        cr_expect(out.events[i].settled);
        cr_expect_eq(out.events[i].last_sequence, -1, "nobody asked for last-enqueued information");
        offset = atoll(out.events[i].offset);
    }
    world_close(&x);
}

Test(emulator_event, a_key_chooses_the_partition_and_stays_with_the_event)
{
    static const char *const keys[] = { "a", "device-42", "contoso/telemetry/42", "\xd0\xba\xd0\xbb\xd1\x8e\xd1\x87", "0" };
    struct world x;
    raw_link     in, out[4];
    world_open(&x, NULL);
    cr_assert(RAW_ATTACH(&x.c, &in, .address = "hub"));
    for (int p = 0; p < 4; p++) {
        char address[60];
        snprintf(address, sizeof address, "hub/ConsumerGroups/g2/Partitions/%d", p);
        cr_assert(RAW_ATTACH(&x.c, &out[p], .address = address, .receiver = true));
    }
    for (size_t k = 0; k < 5; k++) {
        uint32_t p      = rh_partition_of_key(rh_str(keys[k]), 4);
        uint32_t before = out[p].count;
        cr_expect_eq(raw_send_batch(&in, "b", 2, keys[k]), RH_ACCEPTED);
        cr_expect_eq(raw_send(&in, "s", keys[k]), RH_ACCEPTED);
        raw_pass(&x.c, 1);
        cr_assert_eq(out[p].count, before + 3, "%s", keys[k]);
        for (uint32_t i = before; i < before + 3; i++) cr_expect_str_eq(out[p].events[i].key, keys[k]);
    }
    world_close(&x);
}

Test(emulator_event, events_without_a_key_go_round)
{
    struct world x;
    raw_link     in;
    world_open(&x, NULL);
    cr_assert(RAW_ATTACH(&x.c, &in, .address = "hub"));
    for (int i = 0; i < 8; i++) cr_expect_eq(raw_send(&in, "x", NULL), RH_ACCEPTED);
    for (int p = 0; p < 4; p++) {
        raw_link out;
        char     address[60];
        snprintf(address, sizeof address, "hub/ConsumerGroups/$Default/Partitions/%d", p);
        cr_assert(RAW_ATTACH(&x.c, &out, .address = address, .receiver = true));
        raw_pass(&x.c, 1);
        cr_expect_eq(out.count, 2);
        raw_detach(&out);
    }
    world_close(&x);
}

Test(emulator_event, a_publisher_is_named_on_its_events)
{
    struct world x;
    raw_link     in, out;
    char         address[60];
    world_open(&x, NULL);
    snprintf(address, sizeof address, "hub/ConsumerGroups/$Default/Partitions/%u", rh_partition_of_key(rh_str("boiler"), 4));
    cr_assert(RAW_ATTACH(&x.c, &in, .address = "hub/Publishers/boiler"));
    cr_assert(RAW_ATTACH(&x.c, &out, .address = address, .receiver = true));
    cr_expect_eq(raw_send(&in, "hot", NULL), RH_ACCEPTED);
    raw_pass(&x.c, 1);
    cr_assert_eq(out.count, 1);
    cr_expect_str_eq(out.events[0].publisher, "boiler");
    world_close(&x);
}

Test(emulator_event, one_broken_event_rejects_its_whole_batch)
{
    struct world x;
    raw_link     in, out;
    uint8_t      bytes[400];
    rh_envelope  envelope;
    world_open(&x, NULL);
    cr_assert(RAW_ATTACH(&x.c, &in, .address = "hub/Partitions/0"));
    cr_assert(RAW_ATTACH(&x.c, &out, .address = READ_FROM(0), .receiver = true));
    cr_assert_eq(rh_envelope_init(&envelope, bytes, sizeof bytes, rh_slice_of(NULL, 0)), RH_OK);
    cr_assert_eq(rh_envelope_add_encoded(&envelope, rh_slice_of("\x00\x53\x75\xa0\x02hi", 7)), RH_OK);
    cr_assert_eq(rh_envelope_add_encoded(&envelope, rh_slice_of("\x00\x53\x75\xa0\x09hi", 7)), RH_OK);
    cr_expect_eq(raw_send_bytes(&in, rh_envelope_bytes(&envelope), RH_FORMAT_BATCH), RH_REJECTED);
    cr_expect_str_eq(in.condition, "amqp:decode-error");
    cr_expect_eq(raw_send_bytes(&in, rh_str("not a message"), RH_FORMAT_MESSAGE), RH_REJECTED);
    cr_expect_eq(raw_send(&in, "good", NULL), RH_ACCEPTED);
    raw_pass(&x.c, 1);
    cr_expect_eq(out.count, 1, "and the link lives on");
    world_close(&x);
}

Test(emulator_event, a_key_that_is_too_long_is_rejected)
{
    struct world x;
    raw_link     in;
    char         key[RH_EMU_KEY_MAX + 2];
    world_open(&x, NULL);
    memset(key, 'k', sizeof key);
    key[sizeof key - 1] = 0;
    cr_assert(RAW_ATTACH(&x.c, &in, .address = "hub"));
    cr_expect_eq(raw_send(&in, "x", key), RH_REJECTED);
    cr_expect_str_eq(in.condition, "com.microsoft:argument-error");
    cr_expect_eq(raw_send(&in, "x", key + 1), RH_ACCEPTED);
    world_close(&x);
}

Test(emulator_event, a_message_of_a_mebibyte_passes_in_many_frames)
{
    struct world x;
    raw_link     in, out;
    world_open(&x, NULL);
    cr_assert(RAW_ATTACH(&x.c, &in, .address = "hub/Partitions/0"));
    cr_assert(RAW_ATTACH(&x.c, &out, .address = READ_FROM(0), .receiver = true));
    static uint8_t gather[(1u << 20) + 4096];
    cr_assert_eq(rh_link_gather(out.link, gather, sizeof gather), RH_OK);
    uint8_t *bytes = calloc(1, 1u << 20);
    memcpy(bytes, "\x00\x53\x75\xb0", 4);
    rh_put32(bytes + 4, (1u << 20) - 8);
    cr_expect_eq(raw_send_bytes(&in, rh_slice_of(bytes, 1u << 20), RH_FORMAT_MESSAGE), RH_ACCEPTED);
    cr_expect_eq(raw_send(&in, "after it", NULL), RH_ACCEPTED);
    raw_pass(&x.c, 1);
    cr_assert_eq(out.count, 2);
    cr_expect_str_eq(out.events[1].body, "after it");
    free(bytes);
    world_close(&x);
}

/* -- reading ---------------------------------------------------------------------------------- */

/* Ten events, one a second. */
static void ten_events(struct world *x, raw_link *in)
{
    cr_assert(RAW_ATTACH(&x->c, in, .address = "hub/Partitions/0"));
    for (int i = 0; i < 10; i++) {
        char body[16];
        snprintf(body, sizeof body, "%d", i);
        cr_assert_eq(raw_send(in, body, NULL), RH_ACCEPTED);
        raw_pass(&x->c, 1);
    }
}

/* The sequence number of what comes first with a filter of these words; -1: nothing. */
static int64_t first_of(struct world *x, const char *filter)
{
    raw_link out;
    cr_assert(RAW_ATTACH(&x->c, &out, .address = READ_FROM(0), .receiver = true, .filter = filter, .credit = 1), "%s: %s", filter, out.words);
    raw_pass(&x->c, 1);
    int64_t first = out.count ? out.events[0].sequence : -1;
    raw_detach(&out);
    return first;
}

Test(emulator_event, each_position_begins_at_its_event)
{
    struct world x;
    raw_link     in, all;
    char         filter[100];
    world_open(&x, NULL);
    ten_events(&x, &in);
    cr_assert(RAW_ATTACH(&x.c, &all, .address = READ_FROM(0), .receiver = true));
    raw_pass(&x.c, 1);
    cr_assert_eq(all.count, 10);
    cr_expect_eq(first_of(&x, NULL), 0);
    cr_expect_eq(first_of(&x, "amqp.annotation.x-opt-offset > '-1'"), 0);
    cr_expect_eq(first_of(&x, "amqp.annotation.x-opt-offset > '@latest'"), -1);
    for (int i = 0; i < 10; i++) {
        int64_t after = i < 9 ? i + 1 : -1;
        snprintf(filter, sizeof filter, "amqp.annotation.x-opt-sequence-number > '%d'", i);
        cr_expect_eq(first_of(&x, filter), after, "%s", filter);
        snprintf(filter, sizeof filter, "amqp.annotation.x-opt-sequence-number >= '%d'", i);
        cr_expect_eq(first_of(&x, filter), i, "%s", filter);
        snprintf(filter, sizeof filter, "amqp.annotation.x-opt-offset > '%s'", all.events[i].offset);
        cr_expect_eq(first_of(&x, filter), after, "%s", filter);
        snprintf(filter, sizeof filter, "amqp.annotation.x-opt-offset >= '%s'", all.events[i].offset);
        cr_expect_eq(first_of(&x, filter), i, "%s", filter);
        snprintf(filter, sizeof filter, "amqp.annotation.x-opt-enqueued-time > '%lld'", (long long)all.events[i].enqueued_ms);
        cr_expect_eq(first_of(&x, filter), after, "%s", filter);
        snprintf(filter, sizeof filter, "amqp.annotation.x-opt-enqueued-time >= %lld", (long long)all.events[i].enqueued_ms);
        cr_expect_eq(first_of(&x, filter), i, "%s", filter);
    }
    world_close(&x);
}

Test(emulator_event, latest_is_the_end_when_the_link_came_not_when_its_credit_did)
{
    struct world x;
    raw_link     in, out;
    world_open(&x, NULL);
    ten_events(&x, &in);
    cr_assert(RAW_ATTACH(&x.c, &out, .address = READ_FROM(0), .receiver = true, .filter = "amqp.annotation.x-opt-offset > '@latest'", .no_credit = true));
    cr_assert_eq(raw_send(&in, "new", NULL), RH_ACCEPTED);
    raw_credit(&out, 10);
    cr_assert_eq(out.count, 1);
    cr_expect_str_eq(out.events[0].body, "new");
    world_close(&x);
}

Test(emulator_event, a_position_ahead_of_all_events_waits_for_its_own)
{
    struct world x;
    raw_link     in, out;
    world_open(&x, NULL);
    ten_events(&x, &in);
    cr_assert(RAW_ATTACH(&x.c, &out, .address = READ_FROM(0), .receiver = true, .filter = "amqp.annotation.x-opt-sequence-number >= '12'"));
    for (int i = 10; i < 14; i++) cr_assert_eq(raw_send(&in, "x", NULL), RH_ACCEPTED);
    raw_pass(&x.c, 1);
    cr_assert_eq(out.count, 2);
    cr_expect_eq(out.events[0].sequence, 12);
    world_close(&x);
}

Test(emulator_event, credit_is_honoured_to_the_event)
{
    struct world x;
    raw_link     in, out;
    world_open(&x, NULL);
    ten_events(&x, &in);
    cr_assert(RAW_ATTACH(&x.c, &out, .address = READ_FROM(0), .receiver = true, .no_credit = true));
    raw_pass(&x.c, 1);
    cr_expect_eq(out.count, 0);
    raw_credit(&out, 3);
    cr_expect_eq(out.count, 3);
    raw_credit(&out, 4);
    cr_expect_eq(out.count, 7);
    raw_credit(&out, 100);
    cr_expect_eq(out.count, 10);
    world_close(&x);
}

Test(emulator_event, many_readers_share_the_slots_of_a_connection)
{
    struct world x;
    raw_link     in, out[4];
    world_open(&x, NULL);
    cr_assert(RAW_ATTACH(&x.c, &in, .address = "hub/Partitions/0"));
    for (int i = 0; i < 10; i++) cr_assert_eq(raw_send_batch(&in, "event", 1000, NULL), RH_ACCEPTED);
    for (int i = 0; i < 4; i++) cr_assert(RAW_ATTACH(&x.c, &out[i], .address = READ_FROM(0), .receiver = true, .credit = 10000));
    raw_pass(&x.c, 5);
    for (int i = 0; i < 4; i++) {
        cr_expect_eq(out[i].count, 10000, "reader %d had %u", i, out[i].count);
        for (int64_t e = 0; e < 256; e++) cr_expect_eq(out[i].events[e].sequence, e);
    }
    world_close(&x);
}

Test(emulator_event, last_enqueued_information_comes_to_who_asked)
{
    struct world x;
    raw_link     in, out;
    world_open(&x, NULL);
    ten_events(&x, &in);
    cr_assert(RAW_ATTACH(&x.c, &out, .address = READ_FROM(0), .receiver = true, .metric = true));
    raw_pass(&x.c, 1);
    cr_expect(out.metric_offered);
    cr_assert_eq(out.count, 10);
    for (int i = 0; i < 10; i++) {
        cr_expect_eq(out.events[i].sequence, i);
        cr_expect_eq(out.events[i].last_sequence, 9);
    }
    for (int i = 0; i < 3; i++) cr_assert_eq(raw_send_batch(&in, "more", 300, NULL), RH_ACCEPTED);
    raw_credit(&out, 2000);
    cr_expect_eq(out.count, 910, "more than fit into the annotations at once");
    world_close(&x);
}

/* -- forgetting ------------------------------------------------------------------------------- */

Test(emulator_event, events_of_age_are_dropped_and_the_loss_is_said)
{
    rh_emulator_opts opts = *RH_EMULATOR_OPTS(.retention_ms = 5000);
    rh_emulator_stats stats;
    struct world     x;
    raw_link         in;
    world_open(&x, &opts);
    ten_events(&x, &in);
    int64_t first = first_of(&x, NULL);
    cr_expect(first >= 5 && first <= 7, "%lld", (long long)first);
    cr_expect_str_eq(x.w.logged, "emulator.evicted");
    raw_pass(&x.c, 20);
    cr_expect_eq(first_of(&x, NULL), -1);
    rh_emulator_stats_read(x.w.emulator, &stats);
    cr_expect_eq(stats.events_evicted, 10);
    cr_expect_eq(stats.events_in, 10);
    cr_expect_eq(stats.bytes_stored, 0);
    world_close(&x);
}

Test(emulator_event, a_reader_that_fell_behind_goes_on_with_what_is_left)
{
    rh_emulator_opts opts = *RH_EMULATOR_OPTS(.max_bytes = 64 * 1024);
    struct world     x;
    raw_link         in, out;
    world_open(&x, &opts);
    cr_assert(RAW_ATTACH(&x.c, &in, .address = "hub/Partitions/0"));
    cr_assert(RAW_ATTACH(&x.c, &out, .address = READ_FROM(0), .receiver = true, .no_credit = true));
    raw_credit(&out, 5);
    for (int i = 0; i < 20; i++) cr_assert_eq(raw_send_batch(&in, "event", 100, NULL), RH_ACCEPTED);
    raw_credit(&out, 5);
    cr_assert_eq(out.count, 10);
    cr_expect_eq(out.events[4].sequence, 4);
    cr_expect_gt(out.events[5].sequence, 5);
    for (int i = 6; i < 10; i++) cr_expect_eq(out.events[i].sequence, out.events[i - 1].sequence + 1);
    world_close(&x);
}

/* -- want of memory --------------------------------------------------------------------------- */

Test(emulator_event, an_allocation_that_fails_costs_one_link_or_event_and_nothing_else)
{
    for (size_t site = 1; site < 40; site++) {
        emulator_world w;
        raw_client     c;
        raw_link       in, out;
        namespace_open(&w, NULL);
        cr_assert(raw_open(&c, &w, RH_EMULATOR_RULE, RH_EMULATOR_KEY));
        w.toy.fail_allocation = site;
        bool sends    = RAW_ATTACH(&c, &in, .address = "hub/Publishers/boiler");
        bool receives = RAW_ATTACH(&c, &out, .address = READ_FROM(0), .receiver = true, .metric = true);
        if (sends) (void)raw_send_batch(&in, "event", 10, "key");
        if (!sends) cr_expect_str_eq(in.condition, "amqp:internal-error");
        if (!receives) cr_expect_str_eq(out.condition, "amqp:internal-error");
        w.toy.fail_allocation = 0;
        raw_link again;
        cr_expect(RAW_ATTACH(&c, &again, .address = "hub"), "site %zu: %s", site, again.words);
        cr_expect_eq(raw_send(&again, "later", NULL), RH_ACCEPTED, "site %zu", site);
        raw_close(&c);
        namespace_close(&w);
    }
}

Test(emulator_event, a_namespace_without_memory_is_not_made)
{
    static const rh_emulator_hub hub = { .name = "hub", .partitions = 4 };
    unsigned                     made = 0;
    for (size_t site = 1; site < 12; site++) {
        emulator_world   w;
        rh_emulator     *emulator;
        rh_error         error;
        rh_emulator_opts opts = *RH_EMULATOR_OPTS(.hubs = &hub, .hub_count = 1);
        namespace_open(&w, NULL);
        w.toy.fail_allocation = site;
        rh_status status      = rh_emulator_create(&w.toy.loop, &opts, &emulator, &error);
        if (status == RH_OK) made++;
        else cr_expect_eq(status, RH_E_MEMORY, "site %zu: %s", site, rh_status_name(status));
        rh_emulator_destroy(emulator);
        namespace_close(&w);
    }
    cr_expect_geq(made, 1);
    cr_expect_leq(made, 8);
}
