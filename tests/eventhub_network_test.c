#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

#include "emulator/emulator.h"
#include "eventhub/client.h"

/* The client on a real loop against the emulator on another thread: what only sockets, names and certificates can show. */

static rh_emulator *emulator;
static rh_loop     *loop;
static rh_client   *client;

static void begin(const rh_client_opts *opts)
{
    rh_error error;
    cr_assert_eq(rh_loop_create(NULL, &loop, &error), RH_OK, "%s", error.description);
    cr_assert_eq(rh_client_create(loop, opts, &client, &error), RH_OK, "%s", error.description);
}

static void start_emulator(void)
{
    const rh_emulator_opts *opts = RH_EMULATOR_OPTS(.tls = true);
    rh_error         error;
    cr_assert_eq(rh_emulator_start(opts, &emulator, &error), RH_OK, "%s", error.description);
}

static void end(void)
{
    rh_client_destroy(client);
    cr_expect_eq(rh_loop_destroy(loop), RH_OK);
    rh_emulator_stop(emulator);
    emulator = NULL;
}

static void expect_properties(rh_status status)
{
    rh_hub_properties hub;
    rh_error          error = { .status = RH_OK };
    cr_assert_eq(rh_client_hub_properties_wait(client, &hub, 10000, &error), status, "%s: %s", rh_status_name(error.status), error.description);
    if (status == RH_OK) cr_expect_str_eq(hub.name, "hub");
    else cr_expect_neq(error.description[0], 0);
}

static const char *plain(void)
{
    static char text[512];
    (void)rh_emulator_connection_string(emulator, "hub", text, sizeof text);
    return text;
}

static const char *tls(void)
{
    static char text[512];
    (void)rh_emulator_tls_connection_string(emulator, "hub", text, sizeof text);
    return text;
}

Test(network, plain_tcp_reaches_the_emulator)
{
    start_emulator();
    begin(RH_CLIENT_OPTS(.connection_string = plain()));
    expect_properties(RH_OK);
    cr_expect_eq(rh_client_close_wait(client, 5000, NULL), RH_OK);
    end();
}

Test(network, tls_with_the_right_authority_reaches_the_emulator)
{
    start_emulator();
    begin(RH_CLIENT_OPTS(.connection_string = tls(), .ca_pem = rh_str(rh_emulator_certificate_pem(emulator))));
    expect_properties(RH_OK);
    cr_expect_eq(rh_client_close_wait(client, 5000, NULL), RH_OK);
    end();
}

Test(network, insecure_is_a_choice)
{
    start_emulator();
    begin(RH_CLIENT_OPTS(.connection_string = tls(), .insecure = true));
    expect_properties(RH_OK);
    end();
}

Test(network, an_unknown_authority_is_refused_by_default)
{
    start_emulator();
    begin(RH_CLIENT_OPTS(.connection_string = tls()));
    expect_properties(RH_E_TLS_UNKNOWN_CA);
    end();
}

Test(network, a_certificate_for_another_name_is_refused)
{
    start_emulator();
    begin(RH_CLIENT_OPTS(.connection_string = tls(), .ca_pem = rh_str(rh_emulator_certificate_pem(emulator)), .tls_name = "contoso.example"));
    expect_properties(RH_E_TLS_NAME);
    end();
}

Test(network, dial_address_and_endpoint_are_two_things)
{
    char text[512];
    start_emulator();
    (void)snprintf(text, sizeof text, "Endpoint=sb://contoso.invalid;SharedAccessKeyName=%s;SharedAccessKey=%s;EntityPath=hub", RH_EMULATOR_RULE, RH_EMULATOR_KEY);
    begin(RH_CLIENT_OPTS(.connection_string = text, .dial_host = "127.0.0.1", .dial_port = rh_emulator_tls_port(emulator),
                         .ca_pem = rh_str(rh_emulator_certificate_pem(emulator))));
    expect_properties(RH_OK);
    cr_expect_str_eq(rh_client_host(client), "contoso.invalid");
    end();
}

Test(network, tls_toward_a_plain_port_fails_typed)
{
    char text[512];
    start_emulator();
    (void)snprintf(text, sizeof text, "Endpoint=sb://127.0.0.1:%u;SharedAccessKeyName=r;SharedAccessKey=k;EntityPath=hub", rh_emulator_port(emulator));
    begin(RH_CLIENT_OPTS(.connection_string = text, .insecure = true));
    rh_error error;
    rh_status status = rh_client_connect_wait(client, 10000, &error);
    cr_expect(status == RH_E_TLS || status == RH_E_TLS_VERSION || status == RH_E_CONNECTION_LOST, "%s: %s", rh_status_name(status), error.description);
    end();
}

Test(network, plain_toward_a_tls_port_fails_typed)
{
    char text[512];
    start_emulator();
    (void)snprintf(text, sizeof text, "Endpoint=sb://127.0.0.1:%u;SharedAccessKeyName=r;SharedAccessKey=k;EntityPath=hub;UseDevelopmentEmulator=true",
                   rh_emulator_tls_port(emulator));
    begin(RH_CLIENT_OPTS(.connection_string = text));
    rh_error  error;
    rh_status status = rh_client_connect_wait(client, 500, &error);
    cr_expect(status == RH_E_HEADER || status == RH_E_CONNECTION_LOST, "%s: %s", rh_status_name(status), error.description);
    end();
}

Test(network, a_refused_port_is_said)
{
    char text[512];
    start_emulator();
    uint16_t port = rh_emulator_port(emulator);
    rh_emulator_stop(emulator);
    emulator = NULL;
    (void)snprintf(text, sizeof text, "Endpoint=sb://127.0.0.1:%u;SharedAccessKeyName=r;SharedAccessKey=k;EntityPath=hub;UseDevelopmentEmulator=true", port);
    begin(RH_CLIENT_OPTS(.connection_string = text));
    rh_error error;
    cr_expect_eq(rh_client_connect_wait(client, 700, &error), RH_E_REFUSED, "%s", rh_status_name(error.status));
    cr_expect_not_null(strstr(error.description, "127.0.0.1"), "%s", error.description);
    end();
}

Test(network, a_name_that_does_not_resolve_is_said)
{
    begin(RH_CLIENT_OPTS(.connection_string = "Endpoint=sb://nowhere.invalid;SharedAccessKeyName=r;SharedAccessKey=k;EntityPath=hub", .retry.off = true));
    rh_error error;
    cr_expect_eq(rh_client_connect_wait(client, 20000, &error), RH_E_NAME, "%s: %s", rh_status_name(error.status), error.description);
    cr_expect_not_null(strstr(error.description, "nowhere.invalid"), "%s", error.description);
    end();
}

Test(network, a_namespace_that_vanishes_is_a_lost_connection)
{
    start_emulator();
    begin(RH_CLIENT_OPTS(.connection_string = plain()));
    cr_assert_eq(rh_client_connect_wait(client, 5000, NULL), RH_OK);
    rh_emulator_stop(emulator);
    emulator = NULL;
    rh_hub_properties hub;
    rh_error          error;
    rh_status         status = rh_client_hub_properties_wait(client, &hub, 700, &error);
    /* It was asked again until its time was over. */
    cr_expect(status == RH_E_CONNECTION_LOST || status == RH_E_CONNECTION_FORCED || status == RH_E_REFUSED, "%s: %s", rh_status_name(status), error.description);
    end();
}

Test(network, bad_certificate_files_are_refused_at_create)
{
    rh_error error;
    cr_assert_eq(rh_loop_create(NULL, &loop, &error), RH_OK);
    const char *text = "Endpoint=sb://h;SharedAccessKeyName=r;SharedAccessKey=k;EntityPath=hub";
    cr_expect_eq(rh_client_create(loop, RH_CLIENT_OPTS(.connection_string = text, .ca_file = "/no/such/file.pem"), &client, &error), RH_E_IO, "%s",
                 rh_status_name(error.status));
    cr_expect_not_null(strstr(error.description, "/no/such/file.pem"), "%s", error.description);
    cr_expect_eq(rh_client_create(loop, RH_CLIENT_OPTS(.connection_string = text, .ca_pem = rh_str("no pem")), &client, &error), RH_E_TLS_CERTIFICATE);
    cr_expect_eq(rh_loop_destroy(loop), RH_OK);
}
