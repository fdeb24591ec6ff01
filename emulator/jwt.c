#include "emulator/jwt.h"

#include <jansson.h>

/* base64url without padding [RFC 4648, 5]; -1 is no letter of it. */
static int value_of(uint8_t c)
{
    if (c >= 'A' && c <= 'Z') return c - 'A';
    if (c >= 'a' && c <= 'z') return c - 'a' + 26;
    if (c >= '0' && c <= '9') return c - '0' + 52;
    return c == '-' ? 62 : c == '_' ? 63 : -1;
}

/* Answers the length; SIZE_MAX: not well encoded. out has room for three quarters of the text. */
static size_t decode(rh_slice text, uint8_t *out)
{
    uint32_t bits = 0;
    unsigned held = 0;
    size_t   n    = 0;
    for (size_t i = 0; i < text.n; i++) {
        int value = value_of(text.p[i]);
        if (value < 0) return SIZE_MAX;
        bits = (bits << 6 | (uint32_t)value) & 0xffffff;
        held += 6;
        if (held < 8) continue;
        held -= 8;
        out[n++] = (uint8_t)(bits >> held);
    }
    return held == 6 ? SIZE_MAX : n;
}

/* The three parts; the last, the signature, may not be empty either. */
static bool split(rh_slice text, rh_slice parts[3])
{
    size_t at = 0;
    for (int i = 0; i < 3; i++) {
        size_t begin = at;
        while (at < text.n && text.p[at] != '.') at++;
        if (at == begin || (at == text.n) != (i == 2)) return false;
        parts[i] = rh_slice_of(text.p + begin, at - begin);
        at++;
    }
    return true;
}

/* Entra ID writes the resource as it was asked for: of Event Hubs, of Service Bus as a whole, or the namespace's own. */
static bool is_event_hubs(const char *audience)
{
    static const char *const services[] = { "https://eventhubs.azure.net", "https://servicebus.azure.net" };
    size_t n = strlen(audience);
    while (n > 0 && audience[n - 1] == '/') n--;
    for (size_t i = 0; i < sizeof services / sizeof *services; i++)
        if (n == strlen(services[i]) && memcmp(audience, services[i], n) == 0) return true;
    static const char zone[] = ".servicebus.windows.net";
    return n >= sizeof zone && memcmp(audience + n - (sizeof zone - 1), zone, sizeof zone - 1) == 0;
}

rh_status rh_emu_jwt_read(rh_slice text, rh_emu_jwt *out)
{
    rh_slice     parts[3];
    uint8_t      bytes[RH_EMU_JWT_MAX / 4 * 3];
    if (text.n > RH_EMU_JWT_MAX) return RH_E_TOO_BIG;
    size_t       n       = split(text, parts) ? decode(parts[1], bytes) : SIZE_MAX;
    json_t      *claims  = n == SIZE_MAX ? NULL : json_loadb((const char *)bytes, n, 0, NULL);
    const json_t *expires = json_object_get(claims, "exp");
    const char   *audience = json_string_value(json_object_get(claims, "aud"));
    rh_status     status   = json_is_integer(expires) && audience ? RH_OK : RH_E_DECODE;
    if (status == RH_OK)
        *out = (rh_emu_jwt){ .not_before_s = json_integer_value(json_object_get(claims, "nbf")), .expires_s = json_integer_value(expires),
                             .is_for_us = is_event_hubs(audience) };
    json_decref(claims);
    return status;
}
