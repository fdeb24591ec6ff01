#include "eventhub/connection_string.h"

enum key { ENDPOINT, KEY_NAME, KEY, SIGNATURE, ENTITY_PATH, EMULATOR, KEY_COUNT };

static const char *const key_names[KEY_COUNT] = {
    [ENDPOINT]    = "Endpoint",
    [KEY_NAME]    = "SharedAccessKeyName",
    [KEY]         = "SharedAccessKey",
    [SIGNATURE]   = "SharedAccessSignature",
    [ENTITY_PATH] = "EntityPath",
    [EMULATOR]    = "UseDevelopmentEmulator",
};

/* Locale-free on purpose: a Turkish locale must not change what "Endpoint" is. */
static uint8_t lower(uint8_t c)
{
    return c >= 'A' && c <= 'Z' ? (uint8_t)(c + ('a' - 'A')) : c;
}

static bool same_word(rh_slice a, const char *word)
{
    if (a.n != strlen(word)) return false;
    for (size_t i = 0; i < a.n; i++)
        if (lower(a.p[i]) != lower((uint8_t)word[i])) return false;
    return true;
}

static bool is_blank(uint8_t c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/* Strings come out of files and shells with blanks and line ends around them. */
static rh_slice trim(rh_slice s)
{
    while (s.n > 0 && is_blank(s.p[0])) s = rh_slice_of(s.p + 1, s.n - 1);
    while (s.n > 0 && is_blank(s.p[s.n - 1])) s.n--;
    return s;
}

/* Where byte c is first in s; s.n when it is nowhere. */
static size_t index_of(rh_slice s, uint8_t c)
{
    const uint8_t *found = s.n ? memchr(s.p, c, s.n) : NULL;
    return found ? (size_t)(found - s.p) : s.n;
}

static rh_status refuse(rh_error *error, const char *before, rh_slice name, const char *after)
{
    char   words[256];
    size_t used = 0;
    size_t n    = name.n < 64 ? name.n : 64;
    for (const char *p = before; *p && used < sizeof words - 1; p++) words[used++] = *p;
    for (size_t i = 0; i < n && used < sizeof words - 1; i++) words[used++] = (char)name.p[i];
    for (const char *p = after; *p && used < sizeof words - 1; p++) words[used++] = *p;
    words[used] = 0;
    if (error) {
        rh_error_set_slices(error, RH_E_CONNECTION_STRING, rh_str(NULL), rh_slice_of(words, used));
        error->error_class = RH_CLASS_TERMINAL;
    }
    return RH_E_CONNECTION_STRING;
}

static rh_status refuse_key(rh_error *error, enum key key, const char *words)
{
    return refuse(error, "connection string: ", rh_str(key_names[key]), words);
}

static bool port_of(rh_slice digits, uint16_t *out)
{
    uint32_t value = 0;
    if (digits.n == 0 || digits.n > 5) return false;
    for (size_t i = 0; i < digits.n; i++) {
        if (digits.p[i] < '0' || digits.p[i] > '9') return false;
        value = value * 10 + (uint32_t)(digits.p[i] - '0');
    }
    *out = (uint16_t)value;
    return value >= 1 && value <= 65535;
}

/* Letters, digits, '-', '.', '_' and beyond ASCII for names; hexadecimal digits, ':' and '%' for IPv6. */
static bool is_host(rh_slice host, bool bracketed)
{
    if (host.n == 0 || host.n > 253) return false;
    for (size_t i = 0; i < host.n; i++) {
        uint8_t c  = host.p[i];
        bool    ok = (lower(c) >= 'a' && lower(c) <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '.' || c == '_' ||
                  c >= 0x80 || (bracketed && (c == ':' || c == '%'));
        if (!ok) return false;
    }
    return true;
}

static bool has_scheme(rh_slice text, size_t *n)
{
    static const char *const schemes[] = { "sb://", "amqps://", "amqp://" };
    for (size_t i = 0; i < sizeof schemes / sizeof *schemes; i++) {
        *n = strlen(schemes[i]);
        if (text.n >= *n && same_word(rh_slice_of(text.p, *n), schemes[i])) return true;
    }
    *n = 0;
    return false;
}

bool rh_endpoint_parse(rh_slice text, rh_connection_string *out)
{
    size_t scheme;
    if (text.n == 0) return false;
    (void)has_scheme(text, &scheme);

    rh_slice authority = rh_slice_of(text.p + scheme, text.n - scheme);
    authority.n        = index_of(authority, '/');
    bool     bracketed = authority.n > 0 && authority.p[0] == '[';
    rh_slice host = authority, rest;
    if (bracketed) {
        host   = rh_slice_of(authority.p + 1, authority.n - 1);
        host.n = index_of(host, ']');
        if (host.n + 2 > authority.n) return false;
        rest = rh_slice_of(authority.p + host.n + 2, authority.n - host.n - 2);
    } else {
        host.n = index_of(authority, ':');
        rest   = rh_slice_of(authority.p + host.n, authority.n - host.n);
    }
    if (!is_host(host, bracketed)) return false;

    uint16_t port = 0;
    if (rest.n > 0 && (rest.p[0] != ':' || !port_of(rh_slice_of(rest.p + 1, rest.n - 1), &port))) return false;
    out->host      = host;
    out->authority = authority;
    out->port      = port;
    return true;
}

/* Splits text at ';' and each part at its first '='; values may hold more of them. */
static rh_status split(rh_slice text, rh_slice values[KEY_COUNT], rh_error *error)
{
    while (text.n > 0) {
        rh_slice part = { text.p, index_of(text, ';') };
        size_t   used = part.n < text.n ? part.n + 1 : part.n;
        text          = rh_slice_of(text.p + used, text.n - used);
        part          = trim(part);
        if (part.n == 0) continue;

        size_t equals = index_of(part, '=');
        if (equals == part.n) {
            /* The part may be a secret that lost its key, so it is not shown. */
            return refuse(error, "connection string: a part has no '='", rh_str(""), "");
        }
        rh_slice name  = trim(rh_slice_of(part.p, equals));
        rh_slice value = trim(rh_slice_of(part.p + equals + 1, part.n - equals - 1));
        if (name.n == 0) return refuse(error, "connection string: a part has no name before its '='", rh_str(""), "");
        for (size_t key = 0; key < KEY_COUNT; key++) {
            if (!same_word(name, key_names[key])) continue;
            if (value.n == 0) return refuse_key(error, (enum key)key, " has an empty value");
            if (values[key].p) return refuse_key(error, (enum key)key, " is given twice");
            values[key] = value;
        }
    }
    return RH_OK;
}

rh_status rh_connection_string_parse(rh_slice text, rh_connection_string *out, rh_error *error)
{
    rh_slice values[KEY_COUNT] = { { NULL, 0 } };
    memset(out, 0, sizeof *out);
    rh_status status = split(text, values, error);
    if (status) return status;

    size_t scheme;
    if (!values[ENDPOINT].p) return refuse_key(error, ENDPOINT, " is missing");
    if (!has_scheme(values[ENDPOINT], &scheme) || !rh_endpoint_parse(values[ENDPOINT], out))
        return refuse_key(error, ENDPOINT, " is not of the form sb://HOST[:PORT][/]");
    if (values[KEY].p && !values[KEY_NAME].p) return refuse_key(error, KEY_NAME, " is missing beside SharedAccessKey");
    if (values[KEY_NAME].p && !values[KEY].p && !values[SIGNATURE].p)
        return refuse_key(error, KEY, " is missing beside SharedAccessKeyName");
    if (values[SIGNATURE].p && (values[KEY].p || values[KEY_NAME].p))
        return refuse_key(error, SIGNATURE, " excludes SharedAccessKeyName and SharedAccessKey");
    if (values[EMULATOR].p) {
        out->emulator = same_word(values[EMULATOR], "true");
        if (!out->emulator && !same_word(values[EMULATOR], "false")) return refuse_key(error, EMULATOR, " is neither true nor false");
    }
    out->key_name  = values[KEY_NAME];
    out->key       = values[KEY];
    out->signature = values[SIGNATURE];
    out->hub       = values[ENTITY_PATH];
    return RH_OK;
}
