#include <criterion/criterion.h>
#include <stdio.h>

#include "emulator/emulator.h"
#include "tests/client_world.h"

/* The client and the emulator, which verifies signatures and knows its hubs, in one process on virtual time. */

static client_world w;
static link_story   a;
static rh_emulator *emulator;

static void begin(const char *key, const char *hub)
{
    static char text[512];
    (void)snprintf(text, sizeof text, "Endpoint=sb://localhost:5672;SharedAccessKeyName=%s;SharedAccessKey=%s;EntityPath=%s;UseDevelopmentEmulator=true",
                   RH_EMULATOR_RULE, key, hub);
    world_open(&w, RH_CLIENT_OPTS(.connection_string = text));
    rh_emulator_hub  hubs[] = { { .name = "telemetry", .partitions = 3 } };
    const rh_emulator_opts *opts = RH_EMULATOR_OPTS(.hubs = hubs, .hub_count = 1);
    rh_error         error;
    cr_assert_eq(rh_emulator_create(&w.toy.loop, opts, &emulator, &error), RH_OK, "%s", error.description);
}

static bool end(void)
{
    rh_client_destroy(w.client);
    w.client = NULL;
    rh_emulator_destroy(emulator);
    return world_close(&w);
}

Test(namespace, tells_its_hub_and_partitions)
{
    begin(RH_EMULATOR_KEY, "telemetry");
    rh_hub_properties       hub;
    rh_partition_properties p;
    rh_error                error;
    cr_assert_eq(rh_client_hub_properties_wait(w.client, &hub, 5000, &error), RH_OK, "%s", error.description);
    cr_expect_str_eq(hub.name, "telemetry");
    cr_assert_eq(hub.partition_count, 3);
    cr_expect_str_eq(hub.partition_ids[2], "2");
    cr_assert_eq(rh_client_partition_properties_wait(w.client, "2", &p, 5000, &error), RH_OK, "%s", error.description);
    cr_expect_str_eq(p.id, "2");
    cr_expect(p.is_empty);
    cr_expect(end());
}

Test(namespace, lets_links_in_that_show_a_good_signature)
{
    static const char *const addresses[] = { "telemetry", "telemetry/Partitions/1", "telemetry/ConsumerGroups/$Default/Partitions/2" };
    for (size_t i = 0; i < 3; i++) {
        begin(RH_EMULATOR_KEY, "telemetry");
        cr_assert_eq(story_open(&a, &w, addresses[i], 5), RH_OK);
        cr_expect(toy_loop_until(&w.toy, &a.up, 5), "%s: %s", addresses[i], a.error.description);
        rh_attachment_close(&a.attachment, 0);
        cr_expect(toy_loop_until(&w.toy, &a.gone, 5));
        cr_expect_eq(a.error.status, RH_OK);
        cr_expect(end());
    }
}

static const struct refusal {
    const char *key, *hub, *address;
    rh_status   status;
} refusals[] = {
    { "not the key", "telemetry", "telemetry/Partitions/0", RH_E_UNAUTHORIZED },
    { RH_EMULATOR_KEY, "nowhere", "nowhere/Partitions/0", RH_E_NOT_FOUND },
    { RH_EMULATOR_KEY, "telemetry", "telemetry/Partitions/3", RH_E_SERVICE_ARGUMENT },
    { RH_EMULATOR_KEY, "telemetry", "telemetry/ConsumerGroups/nobody/Partitions/0", RH_E_NOT_FOUND },
};

Test(namespace, refuses_with_a_type_and_a_reason)
{
    for (size_t i = 0; i < sizeof refusals / sizeof *refusals; i++) {
        const struct refusal *r = &refusals[i];
        begin(r->key, r->hub);
        cr_assert_eq(story_open(&a, &w, r->address, 5), RH_OK);
        cr_assert(toy_loop_until(&w.toy, &a.gone, 6), "%s", r->address);
        cr_expect_eq(a.error.status, r->status, "%s: %s: %s", r->address, rh_status_name(a.error.status), a.error.description);
        cr_expect_neq(a.error.description[0], 0);
        cr_expect_null(strstr(a.error.description, r->key));
        cr_expect(end());
    }
}

Test(namespace, refuses_questions_with_a_type_and_a_reason)
{
    rh_hub_properties       hub;
    rh_partition_properties p;
    rh_error                error;
    begin("not the key", "telemetry");
    cr_expect_eq(rh_client_hub_properties_wait(w.client, &hub, 5000, &error), RH_E_UNAUTHORIZED, "%s", rh_status_name(error.status));
    cr_expect(end());
    begin(RH_EMULATOR_KEY, "nowhere");
    cr_expect_eq(rh_client_hub_properties_wait(w.client, &hub, 5000, &error), RH_E_NOT_FOUND, "%s", rh_status_name(error.status));
    cr_expect(end());
    begin(RH_EMULATOR_KEY, "telemetry");
    cr_expect_eq(rh_client_partition_properties_wait(w.client, "7", &p, 5000, &error), RH_E_SERVICE_ARGUMENT, "%s", rh_status_name(error.status));
    cr_expect(end());
}

Test(namespace, takes_renewed_tokens_for_a_day)
{
    begin(RH_EMULATOR_KEY, "telemetry");
    cr_assert_eq(story_open(&a, &w, "telemetry/ConsumerGroups/$Default/Partitions/2", 5), RH_OK);
    toy_loop_pass(&w.toy, 24 * 3600);
    cr_expect(a.up && !a.down, "%s", a.error.description);
    rh_emulator_stats stats;
    rh_emulator_stats_read(emulator, &stats);
    cr_expect_geq(stats.tokens, 26);
    cr_expect_eq(stats.refusals, 0);
    cr_expect_eq(stats.peer_errors, 0);
    cr_expect(end());
}
