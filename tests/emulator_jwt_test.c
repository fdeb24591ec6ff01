#include <criterion/criterion.h>
#include <stdio.h>

#include "emulator/jwt.h"
#include "tests/emulator_world.h"

/* Claims as a token that nobody signed. */
static const char *token_of(const char *claims, char out[2000])
{
    static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    size_t n = strlen(claims), at = (size_t)sprintf(out, "eyJhbGciOiJSUzI1NiJ9.");
    for (size_t i = 0; i < n; i += 3) {
        uint32_t bits = (uint32_t)(uint8_t)claims[i] << 16;
        if (i + 1 < n) bits |= (uint32_t)(uint8_t)claims[i + 1] << 8;
        if (i + 2 < n) bits |= (uint8_t)claims[i + 2];
        for (size_t k = 0; k <= (n - i > 2 ? 3 : n - i); k++) out[at++] = letters[bits >> (18 - 6 * k) & 63];
    }
    strcpy(out + at, ".c2ln");
    return out;
}

static const struct row { const char *claims; rh_status status; bool is_for_us; } rows[] = {
    { "{\"aud\":\"https://eventhubs.azure.net\",\"exp\":1767225600}", RH_OK, true },
    { "{\"aud\":\"https://eventhubs.azure.net/\",\"exp\":1767225600,\"nbf\":1767222000,\"roles\":[\"a\"]}", RH_OK, true },
    { "{\"aud\":\"https://eventhubs.azure.net//\",\"exp\":1767225600}", RH_OK, true },
    { "{\"exp\":1767225600,\"aud\":\"https://servicebus.azure.net\"}", RH_OK, true },
    { "{\"exp\":1767225600,\"aud\":\"https://contoso.servicebus.windows.net\"}", RH_OK, true },
    { "{\"exp\":1767225600,\"aud\":\"https://storage.azure.com\"}", RH_OK, false },
    { "{\"exp\":1767225600,\"aud\":\"https://eventhubs.azure.net.example.com\"}", RH_OK, false },
    { "{\"exp\":1767225600,\"aud\":\"\"}", RH_OK, false },
    { "{\"exp\":1767225600}", RH_E_DECODE, false },
    { "{\"aud\":\"https://eventhubs.azure.net\"}", RH_E_DECODE, false },
    { "{\"aud\":\"https://eventhubs.azure.net\",\"exp\":\"soon\"}", RH_E_DECODE, false },
    { "[1]", RH_E_DECODE, false },
    { "{", RH_E_DECODE, false },
};

Test(emulator_jwt, what_a_token_says_is_read)
{
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char       text[2000];
        rh_emu_jwt jwt = { 0 };
        cr_expect_eq(rh_emu_jwt_read(rh_str(token_of(rows[i].claims, text)), &jwt), rows[i].status, "%s", rows[i].claims);
        if (rows[i].status != RH_OK) continue;
        cr_expect_eq(jwt.expires_s, 1767225600);
        cr_expect_eq(jwt.is_for_us, rows[i].is_for_us, "%s", rows[i].claims);
    }
}

Test(emulator_jwt, what_is_no_token_is_refused)
{
    static const char *const texts[] = { "", ".", "..", "a.b", "a.b.c.d", ".e30.c2ln", "a.e30.", "a.e3+0.b", "a.e.b", "SharedAccessSignature sr=a" };
    static char large[RH_EMU_JWT_MAX + 2];
    rh_emu_jwt  jwt;
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        cr_expect_eq(rh_emu_jwt_read(rh_str(texts[i]), &jwt), RH_E_DECODE, "%s", texts[i]);
    memset(large, 'A', RH_EMU_JWT_MAX + 1);
    cr_expect_eq(rh_emu_jwt_read(rh_str(large), &jwt), RH_E_TOO_BIG);
    cr_expect_eq(rh_emu_jwt_read(rh_slice_of(large, RH_EMU_JWT_MAX), &jwt), RH_E_DECODE);
}

static int put(const rh_emulator_opts *opts, const char *audience, int64_t not_before, int64_t expires, raw_link *link)
{
    emulator_world w;
    raw_client     c;
    char           claims[300], text[2000];
    namespace_open(&w, opts);
    cr_assert(raw_open(&c, &w, NULL, NULL));
    int64_t now = rh_loop_wall_ms(&w.toy.loop) / 1000;
    snprintf(claims, sizeof claims, "{\"aud\":\"%s\",\"nbf\":%lld,\"exp\":%lld}", audience, (long long)(now + not_before), (long long)(now + expires));
    int code = raw_put_text(&c, "sb://toy/hub", token_of(claims, text));
    if (link) {
        cr_expect(RAW_ATTACH(&c, link, .address = "hub/Partitions/0"));
        raw_pass(&c, (unsigned)expires + 2);
        cr_expect(link->gone, "a token covers a link for as long as it is good");
        cr_expect_str_eq(link->condition, "amqp:unauthorized-access");
    }
    raw_close(&c);
    namespace_close(&w);
    return code;
}

Test(emulator_jwt, a_token_is_believed_when_it_is_wanted_and_then_for_its_time_only)
{
    static const rh_emulator_hub hub = { .name = "hub" };
    raw_link                link;
    const rh_emulator_opts *wanted = RH_EMULATOR_OPTS(.hubs = &hub, .hub_count = 1, .jwt = true);
    cr_expect_eq(put(RH_EMULATOR_OPTS(.hubs = &hub, .hub_count = 1), "https://eventhubs.azure.net", 0, 600, NULL), 401);
    cr_expect_eq(put(wanted, "https://eventhubs.azure.net", -10, 600, &link), 202);
    cr_expect_eq(put(wanted, "https://storage.azure.com", -10, 600, NULL), 401);
    cr_expect_eq(put(wanted, "https://eventhubs.azure.net", -10, -1, NULL), 401);
    cr_expect_eq(put(wanted, "https://eventhubs.azure.net", 10, 600, NULL), 401);
}
