#include <criterion/criterion.h>
#include <stdio.h>
#include <unistd.h>

#include "emulator/emulator.h"
#include "eventhub/connection_string.h"

Test(emulator_start, several_live_side_by_side_each_on_its_ports)
{
    rh_emulator *emulators[3];
    uint16_t     ports[6] = { 0 };
    for (int i = 0; i < 3; i++) {
        rh_error         error;
        rh_emulator_opts opts = *RH_EMULATOR_OPTS(.tls = true);
        cr_assert_eq(rh_emulator_start(&opts, &emulators[i], &error), RH_OK, "%s", error.description);
        ports[2 * i]     = rh_emulator_port(emulators[i]);
        ports[2 * i + 1] = rh_emulator_tls_port(emulators[i]);
        cr_expect_not_null(strstr(rh_emulator_certificate_pem(emulators[i]), "BEGIN CERTIFICATE"));
    }
    for (int i = 0; i < 6; i++)
        for (int j = 0; j < i; j++) cr_expect(ports[i] && ports[i] != ports[j]);
    for (int i = 0; i < 3; i++) rh_emulator_stop(emulators[i]);
}

Test(emulator_start, its_connection_strings_say_where_it_is)
{
    rh_emulator         *emulator;
    rh_error             error;
    char                 text[300];
    rh_connection_string c;
    rh_emulator_opts     opts = *RH_EMULATOR_OPTS(.tls = true, .rule = "mine", .key = "a=b=");
    cr_assert_eq(rh_emulator_start(&opts, &emulator, &error), RH_OK, "%s", error.description);

    size_t n = rh_emulator_connection_string(emulator, "telemetry", text, sizeof text);
    cr_expect_eq(n, strlen(text));
    cr_assert_eq(rh_connection_string_parse(rh_str(text), &c, &error), RH_OK, "%s: %s", text, error.description);
    cr_expect(c.emulator && c.port == rh_emulator_port(emulator) && rh_slice_is(c.hub, "telemetry"), "%s", text);
    cr_expect(rh_slice_is(c.key_name, "mine") && rh_slice_is(c.key, "a=b="));

    n = rh_emulator_tls_connection_string(emulator, NULL, text, sizeof text);
    cr_assert_eq(rh_connection_string_parse(rh_str(text), &c, &error), RH_OK, "%s", error.description);
    cr_expect(!c.emulator && c.port == rh_emulator_tls_port(emulator) && c.hub.p == NULL, "%s", text);

    char cut[10];
    cr_expect_eq(rh_emulator_tls_connection_string(emulator, NULL, cut, sizeof cut), n);
    cr_expect_eq(strlen(cut), 9);
    rh_emulator_stop(emulator);
}

/* -- what cannot be started ------------------------------------------------------------------- */

static void expect_no(const rh_emulator_opts *opts, rh_status status, const char *words)
{
    rh_emulator *emulator = NULL;
    rh_error     error    = { 0 };
    rh_status    got      = rh_emulator_start(opts, &emulator, &error);
    cr_expect_eq(got, status, "%s instead of %s: %s", rh_status_name(got), rh_status_name(status), error.description);
    cr_expect_null(emulator);
    cr_expect_not_null(strstr(error.description, words), "%s", error.description);
    if (got == RH_OK) rh_emulator_stop(emulator);
}

#define EXPECT_NO(status, words, ...)                              \
    do {                                                           \
        rh_emulator_opts bad_opts = *RH_EMULATOR_OPTS(__VA_ARGS__); \
        expect_no(&bad_opts, status, words);                       \
    } while (0)

Test(emulator_start, options_that_make_no_sense_are_refused_in_words)
{
    static const char *const    groups[] = { "bad/group" };
    static const rh_emulator_hub twice[] = { { .name = "a" }, { .name = "A" } };
    static const rh_emulator_hub named[] = { { .name = "-a" } }, many[] = { { .name = "a", .partitions = 1025 } },
                                 grouped[] = { { .name = "a", .groups = groups, .group_count = 1 } };
    rh_emulator_opts sizeless = { 0 };
    expect_no(&sizeless, RH_E_ARGUMENT, "RH_EMULATOR_OPTS");
    EXPECT_NO(RH_E_CONFLICT, "one of this name", .hubs = twice, .hub_count = 2);
    EXPECT_NO(RH_E_ARGUMENT, "hub \"-a\"", .hubs = named, .hub_count = 1);
    EXPECT_NO(RH_E_ARGUMENT, "1024", .hubs = many, .hub_count = 1);
    EXPECT_NO(RH_E_ARGUMENT, "consumer group \"bad/group\"", .hubs = grouped, .hub_count = 1);
    EXPECT_NO(RH_E_CONFLICT, "rule", .rule = "alone");
    EXPECT_NO(RH_E_CONFLICT, "tls_only", .tls_only = true);
    EXPECT_NO(RH_E_CONFLICT, "certificate", .tls = true, .cert_file = "cert.pem");
    EXPECT_NO(RH_E_IO, "/nowhere/config.json", .config_file = "/nowhere/config.json");
    EXPECT_NO(RH_E_ARGUMENT, "negative", .retention_ms = -1);
}

Test(emulator_start, a_taken_port_and_a_bad_certificate_are_named)
{
    rh_emulator     *first, *second;
    rh_error         error;
    rh_emulator_opts opts = *RH_EMULATOR_OPTS(.tls = false);
    char             port[16];
    cr_assert_eq(rh_emulator_start(&opts, &first, &error), RH_OK);
    opts.listen_port = rh_emulator_port(first);
    snprintf(port, sizeof port, "%u", opts.listen_port);
    cr_expect_neq(rh_emulator_start(&opts, &second, &error), RH_OK);
    cr_expect_null(second);
    cr_expect_not_null(strstr(error.description, port), "%s", error.description);
    rh_emulator_stop(first);

    EXPECT_NO(RH_E_TLS_CERTIFICATE, "", .tls = true, .cert_pem = rh_str("not a certificate"), .key_pem = rh_str("not a key"));
}
