#include <criterion/criterion.h>

#include "eventhub/connection_string.h"

#define KEYS "SharedAccessKeyName=rule;SharedAccessKey=c2VjcmV0="

static rh_connection_string parse(const char *text)
{
    rh_connection_string cs;
    rh_error             error = { 0 };
    cr_assert_eq(rh_connection_string_parse(rh_str(text), &cs, &error), RH_OK, "%s: %s", text, error.description);
    return cs;
}

Test(connection_string, gives_every_key_it_holds)
{
    rh_connection_string cs = parse("Endpoint=sb://contoso.servicebus.windows.net/;SharedAccessKeyName=RootManageSharedAccessKey;"
                                    "SharedAccessKey=c2VjcmV0LWtleQ==;EntityPath=telemetry");
    cr_expect(rh_slice_is(cs.host, "contoso.servicebus.windows.net"));
    cr_expect(rh_slice_is(cs.authority, "contoso.servicebus.windows.net"));
    cr_expect(rh_slice_is(cs.key_name, "RootManageSharedAccessKey"));
    cr_expect(rh_slice_is(cs.key, "c2VjcmV0LWtleQ=="), "values may hold '='");
    cr_expect(rh_slice_is(cs.hub, "telemetry"));
    cr_expect_null(cs.signature.p);
    cr_expect_eq(cs.port, 0);
    cr_expect_not(cs.emulator);
}

Test(connection_string, of_the_official_emulator_is_read)
{
    rh_connection_string cs = parse("Endpoint=sb://localhost;SharedAccessKeyName=RootManageSharedAccessKey;"
                                    "SharedAccessKey=SAS_KEY_VALUE;UseDevelopmentEmulator=true;");
    cr_expect(rh_slice_is(cs.host, "localhost"));
    cr_expect(cs.emulator);
    cr_expect_null(cs.hub.p);
}

Test(connection_string, keys_have_no_case_and_unknown_ones_are_skipped)
{
    rh_connection_string cs = parse(" ENDPOINT = SB://h:1234/ ;sharedaccesskeyname=a;SHAREDACCESSKEY=b;TransportType=Amqp;"
                                    "entitypath=e;usedevelopmentemulator=TRUE\r\n");
    cr_expect(rh_slice_is(cs.host, "h"));
    cr_expect(rh_slice_is(cs.authority, "h:1234"));
    cr_expect_eq(cs.port, 1234);
    cr_expect(rh_slice_is(cs.hub, "e"));
    cr_expect(cs.emulator);
}

Test(connection_string, may_hold_a_ready_signature)
{
    rh_connection_string cs = parse("Endpoint=sb://h;SharedAccessSignature=SharedAccessSignature sr=x&sig=y%3D&se=1&skn=z;EntityPath=e");
    cr_expect(rh_slice_is(cs.signature, "SharedAccessSignature sr=x&sig=y%3D&se=1&skn=z"));
    cr_expect_null(cs.key.p);
}

Test(connection_string, endpoints_are_names_and_addresses)
{
    static const struct { const char *text, *host; uint16_t port; } rows[] = {
        { "sb://127.0.0.1:5672/", "127.0.0.1", 5672 }, { "sb://[::1]:5671", "::1", 5671 }, { "sb://[fe80::1%eth0]", "fe80::1%eth0", 0 },
        { "amqps://host.docker.internal/x/y", "host.docker.internal", 0 }, { "sb://eventhubs-emulator:65535", "eventhubs-emulator", 65535 },
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char text[256] = "Endpoint=";
        rh_connection_string cs = parse(strcat(strcat(text, rows[i].text), ";" KEYS));
        cr_expect(rh_slice_is(cs.host, rows[i].host), "%s", rows[i].text);
        cr_expect_eq(cs.port, rows[i].port);
    }
}

static const struct bad {
    const char *text, *named;
} bad[] = {
    { "", "Endpoint" },
    { KEYS, "Endpoint" },
    { "Endpoint=;" KEYS, "Endpoint" },
    { "Endpoint=contoso.servicebus.windows.net;" KEYS, "Endpoint" },
    { "Endpoint=http://h;" KEYS, "Endpoint" },
    { "Endpoint=sb://;" KEYS, "Endpoint" },
    { "Endpoint=sb:///;" KEYS, "Endpoint" },
    { "Endpoint=sb://h:;" KEYS, "Endpoint" },
    { "Endpoint=sb://h:0;" KEYS, "Endpoint" },
    { "Endpoint=sb://h:65536;" KEYS, "Endpoint" },
    { "Endpoint=sb://h:12x;" KEYS, "Endpoint" },
    { "Endpoint=sb://a b;" KEYS, "Endpoint" },
    { "Endpoint=sb://[::1;" KEYS, "Endpoint" },
    { "Endpoint=sb://h;Endpoint=sb://i;" KEYS, "Endpoint" },
    { "Endpoint=sb://h;SharedAccessKeyName=rule", "SharedAccessKey " },
    { "Endpoint=sb://h;SharedAccessKey=canary", "SharedAccessKeyName" },
    { "Endpoint=sb://h;SharedAccessKeyName=;SharedAccessKey=canary", "SharedAccessKeyName" },
    { "Endpoint=sb://h;SharedAccessKeyName=rule;SharedAccessKey=", "SharedAccessKey" },
    { "Endpoint=sb://h;SharedAccessSignature=canary;" KEYS, "SharedAccessSignature" },
    { "Endpoint=sb://h;SharedAccessSignature=canary;SharedAccessKeyName=r", "SharedAccessSignature" },
    { "Endpoint=sb://h;SharedAccessSignature=", "SharedAccessSignature" },
    { "Endpoint=sb://h;EntityPath=;" KEYS, "EntityPath" },
    { "Endpoint=sb://h;UseDevelopmentEmulator=maybe;" KEYS, "UseDevelopmentEmulator" },
    { "Endpoint=sb://h;canary;" KEYS, "'='" },
    { "Endpoint=sb://h;=canary;" KEYS, "name" },
};

Test(connection_string, a_bad_one_is_refused_by_the_name_of_the_key_and_shows_no_value)
{
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        rh_connection_string cs;
        rh_error             error = { 0 };
        cr_expect_eq(rh_connection_string_parse(rh_str(bad[i].text), &cs, &error), RH_E_CONNECTION_STRING, "%s", bad[i].text);
        cr_expect_eq(error.status, RH_E_CONNECTION_STRING);
        cr_expect_not_null(strstr(error.description, bad[i].named), "%s: %s", bad[i].text, error.description);
        cr_expect_null(strstr(error.description, "canary"));
        cr_expect_null(strstr(error.description, "c2Vj"));
    }
}

Test(connection_string, every_cut_is_answered)
{
    const char *whole = "Endpoint=sb://[::1]:5672/;SharedAccessKeyName=r;SharedAccessKey=k==;EntityPath=e;UseDevelopmentEmulator=true";
    for (size_t n = 0; n <= strlen(whole); n++) {
        rh_connection_string cs;
        rh_status            status = rh_connection_string_parse(rh_slice_of(whole, n), &cs, NULL);
        cr_expect(status == RH_OK || status == RH_E_CONNECTION_STRING);
    }
}
