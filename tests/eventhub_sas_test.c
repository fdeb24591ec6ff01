#include <criterion/criterion.h>

#include "eventhub/sas.h"

#define LONG_KEY "c2VjcmV0LWtleS0wMTIzNDU2Nzg5YWJjZGVmMDEyMzQ1Njc="

static const struct vector {
    const char *audience, *rule, *key;
    int64_t     expiry;
    const char *token;
} vectors[] = {
    { "sb://localhost/eh1", "RootManageSharedAccessKey", "SAS_KEY_VALUE", 1767225600,
      "SharedAccessSignature sr=sb%3A%2F%2Flocalhost%2Feh1&sig=PPq53sXzzAhON1gprC2fVj5OGqazDdQGTQFrpeycKbQ%3D"
      "&se=1767225600&skn=RootManageSharedAccessKey" },
    { "sb://contoso.servicebus.windows.net/telemetry", "send", LONG_KEY, 1767225600,
      "SharedAccessSignature sr=sb%3A%2F%2Fcontoso.servicebus.windows.net%2Ftelemetry"
      "&sig=0QjUuyF%2Fuint%2BOFgwwJMljacMpAjOwBh0T5ONjFH75c%3D&se=1767225600&skn=send" },
    { "sb://contoso.servicebus.windows.net/telemetry/ConsumerGroups/$Default/Partitions/0", "listen key", LONG_KEY, 1767229200,
      "SharedAccessSignature sr=sb%3A%2F%2Fcontoso.servicebus.windows.net%2Ftelemetry%2FConsumerGroups%2F%24Default%2FPartitions%2F0"
      "&sig=YtI5WYC%2Fwo8YJnv3e7AL7SXkgHwhWVKIwgiitPvZshw%3D&se=1767229200&skn=listen%20key" },
    { "amqps://contoso.servicebus.windows.net/telemetry/Partitions/3", "RootManageSharedAccessKey", "SAS_KEY_VALUE", 1893456000,
      "SharedAccessSignature sr=amqps%3A%2F%2Fcontoso.servicebus.windows.net%2Ftelemetry%2FPartitions%2F3"
      "&sig=gs1wBdoUBvnj4cUZf29Cg6qlsjP%2FZoqP7Xsgx%2BNXEL8%3D&se=1893456000&skn=RootManageSharedAccessKey" },
};
#define VECTORS (sizeof vectors / sizeof *vectors)

static rh_status sign(const struct vector *v, char *out, size_t n)
{
    size_t length = 0;
    return rh_sas_sign(out, n, &length, rh_str(v->audience), rh_str(v->rule), rh_str(v->key), v->expiry);
}

Test(sas, signs_as_the_official_clients_do)
{
    for (size_t i = 0; i < VECTORS; i++) {
        char token[RH_SAS_MAX];
        cr_assert_eq(sign(&vectors[i], token, sizeof token), RH_OK);
        cr_expect_str_eq(token, vectors[i].token);
    }
}

Test(sas, writes_only_into_the_space_it_is_given)
{
    for (size_t n = 0; n <= strlen(vectors[2].token); n++) {
        char token[RH_SAS_MAX];
        memset(token, 0x5a, sizeof token);
        cr_expect_eq(sign(&vectors[2], token, n), RH_E_SPACE, "%zu bytes", n);
        cr_expect_eq(token[n], 0x5a, "wrote behind %zu bytes", n);
    }
}

Test(sas, verifies_with_the_right_key_only)
{
    for (size_t i = 0; i < VECTORS; i++) {
        rh_sas_token token;
        cr_assert_eq(rh_sas_parse(rh_str(vectors[i].token), &token), RH_OK);
        cr_expect(rh_sas_verify(&token, rh_str(vectors[i].key)));
        cr_expect_not(rh_sas_verify(&token, rh_str("another key")));
        cr_expect_not(rh_sas_verify(&token, rh_str("")));
        cr_expect(rh_sas_names(&token, rh_str(vectors[i].rule)));
        cr_expect_not(rh_sas_names(&token, rh_str("nobody")));
        cr_expect_eq(token.expiry_unix_s, vectors[i].expiry);
    }
}

Test(sas, every_changed_byte_of_audience_signature_or_expiry_is_noticed)
{
    const struct vector *v = &vectors[1];
    const char          *end = strstr(v->token, "&skn");
    for (size_t i = sizeof RH_SAS_PREFIX - 1; v->token + i < end; i++) {
        char         changed[RH_SAS_MAX];
        rh_sas_token token;
        (void)strcpy(changed, v->token);
        changed[i] = changed[i] == '1' ? '2' : '1';
        bool good = rh_sas_parse(rh_str(changed), &token) == RH_OK && rh_sas_verify(&token, rh_str(v->key));
        cr_expect_not(good, "byte %zu", i);
    }
}

Test(sas, fields_come_in_any_order_and_unknown_ones_are_skipped)
{
    rh_sas_token token;
    const char  *text = "SharedAccessSignature skn=send&new=1&se=1767225600&sig=0QjUuyF%2fuint%2bOFgwwJMljacMpAjOwBh0T5ONjFH75c%3d"
                        "&sr=sb%3A%2F%2Fcontoso.servicebus.windows.net%2Ftelemetry";
    cr_assert_eq(rh_sas_parse(rh_str(text), &token), RH_OK);
    cr_expect(rh_sas_verify(&token, rh_str(LONG_KEY)));
}

Test(sas, a_rule_encoded_twice_is_the_same_rule)
{
    rh_sas_token token;
    cr_assert_eq(rh_sas_parse(rh_str("SharedAccessSignature sr=a&sig=b&se=1&skn=listen%2520key"), &token), RH_OK);
    cr_expect(rh_sas_names(&token, rh_str("listen key")));
    cr_assert_eq(rh_sas_parse(rh_str("SharedAccessSignature sr=a&sig=b&se=1&skn=listen%2Bkey"), &token), RH_OK);
    cr_expect(rh_sas_names(&token, rh_str("listen key")));
    cr_expect(rh_sas_names(&token, rh_str("listen+key")));
}

Test(sas, what_is_not_a_token_is_refused)
{
    static const char *const bad[] = {
        "", "SharedAccessSignature", "SharedAccessSignature ", "Bearer sr=a&sig=b&se=1&skn=c",
        "SharedAccessSignature sig=b&se=1&skn=c", "SharedAccessSignature sr=a&se=1&skn=c", "SharedAccessSignature sr=a&sig=b&skn=c",
        "SharedAccessSignature sr=a&sig=b&se=1", "SharedAccessSignature sr=a&sig=b&se=soon&skn=c",
        "SharedAccessSignature sr=a&sig=b&se=&skn=c", "SharedAccessSignature sr=a&sig=b&se=99999999999999999999&skn=c",
        "SharedAccessSignature sr=a&sig=b&se=-1&skn=c", "SharedAccessSignature sr&sig=b&se=1&skn=c",
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        rh_sas_token token;
        cr_expect_eq(rh_sas_parse(rh_str(bad[i]), &token), RH_E_UNAUTHORIZED, "%s", bad[i]);
    }
}

Test(sas, percent_decoding_refuses_what_is_malformed)
{
    char out[8];
    cr_expect_eq(rh_percent_decode(rh_str("a%2Fb"), out, sizeof out), 3);
    cr_expect_arr_eq(out, "a/b", 3);
    cr_expect_eq(rh_percent_decode(rh_str("%"), out, sizeof out), SIZE_MAX);
    cr_expect_eq(rh_percent_decode(rh_str("%2"), out, sizeof out), SIZE_MAX);
    cr_expect_eq(rh_percent_decode(rh_str("%zz"), out, sizeof out), SIZE_MAX);
    cr_expect_eq(rh_percent_decode(rh_str("123456789"), out, sizeof out), SIZE_MAX);
}
