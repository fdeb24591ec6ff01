/*
 * A connection string. What was read of it, written down anew, reads the same; case of names, order of parts and parts nobody
 * knows change nothing; and what is said of a wrong one does not depend on its secrets.
 */
#include "eventhub/connection_string.h"
#include "fuzz/kit/target.h"
#include "fuzz/oracle.h"

enum { TEXT = 4096 };

static char   text[8 * TEXT];
static size_t used;

static void add(rh_slice s)
{
    REQUIRE(used + s.n < sizeof text);
    if (s.n) memcpy(text + used, s.p, s.n);
    used += s.n;
}

static void add_key(const char *name, rh_slice value)
{
    if (value.p == NULL) return;
    add(rh_str(name));
    add(value);
    add(rh_str(";"));
}

static void require_same(const rh_connection_string *a, const rh_connection_string *b)
{
    REQUIRE(rh_slice_equal(a->host, b->host) && rh_slice_equal(a->authority, b->authority) && a->port == b->port);
    REQUIRE(same_slice(a->key_name, b->key_name) && same_slice(a->key, b->key) && same_slice(a->signature, b->signature));
    REQUIRE(same_slice(a->hub, b->hub) && a->emulator == b->emulator);
}

/* What is in text now reads as this. */
static void reads_as(const rh_connection_string *expected)
{
    rh_connection_string again;
    REQUIRE(rh_connection_string_parse(rh_slice_of(text, used), &again, NULL) == RH_OK);
    require_same(expected, &again);
}

static void write_anew(const rh_connection_string *read)
{
    used = 0;
    add_key("EntityPath=", read->hub);
    add_key("SHAREDACCESSKEYNAME = ", read->key_name);
    add_key("sharedaccesskey=\t", read->key);
    add_key("SharedAccessSignature=", read->signature);
    add(rh_str(read->emulator ? "UseDevelopmentEmulator=TRUE;;" : "Nobody=knows=;"));
    add(rh_str(" endpoint=sb://"));
    add(read->authority);
    add(rh_str("/ \r\n"));
    reads_as(read);
}

/* Any bytes are a value, but for semicolons in it and blanks around it. */
static rh_slice value_of(char *to, rh_slice bytes)
{
    for (size_t i = 0; i < bytes.n; i++) to[i] = (char)(memchr("; \t\r\n", bytes.p[i], 5) ? '=' : bytes.p[i]);
    return rh_slice_of(bytes.n ? to : NULL, bytes.n);
}

/* Values of which nobody knows whether they can be said: they can. */
static void make(rh_slice bytes)
{
    static char          values[3][TEXT];
    size_t               third = bytes.n / 3;
    rh_connection_string made  = { .host = rh_str("a.example"), .authority = rh_str("a.example:5671"), .port = 5671 };
    made.hub = value_of(values[0], rh_slice_of(bytes.p, third));
    if (third % 2 == 0) {
        made.signature = value_of(values[1], rh_slice_of(bytes.p + third, third));
    } else {
        made.key_name = value_of(values[1], rh_slice_of(bytes.p + third, third));
        made.key      = value_of(values[2], rh_slice_of(bytes.p + 2 * third, third));
    }
    write_anew(&made);
}

/* The parts in the other order, each name in the other case. */
static void turn_around(rh_slice whole, const rh_connection_string *read)
{
    size_t end = whole.n;
    used       = 0;
    for (size_t i = whole.n + 1; i-- > 0;) {
        if (i > 0 && whole.p[i - 1] != ';') continue;
        size_t from = used;
        add(rh_slice_of(whole.p + i, end - i));
        add(rh_str(";"));
        for (size_t c = from; c < used && text[c] != '='; c++)
            if ((text[c] | 0x20) >= 'a' && (text[c] | 0x20) <= 'z' && (text[c] & 0x80) == 0) text[c] ^= 0x20;
        end = i ? i - 1 : 0;
    }
    reads_as(read);
}

static bool is_secret(rh_slice part, size_t equals)
{
    static const char *const public[] = { "endpoint", "usedevelopmentemulator" };
    size_t from = 0;
    while (from < equals && strchr(" \t\r\n", part.p[from]) && part.p[from]) from++;
    while (equals > from && strchr(" \t\r\n", part.p[equals - 1]) && part.p[equals - 1]) equals--;
    for (size_t i = 0; i < 2; i++) {
        size_t n = strlen(public[i]), same = 0;
        if (equals - from != n) continue;
        while (same < n && (part.p[from + same] | 0x20) == public[i][same]) same++;
        if (same == n) return false;
    }
    return true;
}

/* Other letters in the place of every secret, or of a part that may be one that lost its name: the answer is the same, word
 * for word. */
static void hide(rh_slice whole, rh_status status, const rh_error *error)
{
    rh_connection_string read;
    rh_error             again = { .status = RH_OK };
    used = 0;
    add(whole);
    for (size_t at = 0; at < whole.n;) {
        const uint8_t *semicolon = memchr(whole.p + at, ';', whole.n - at);
        size_t         n         = semicolon ? (size_t)(semicolon - whole.p) - at : whole.n - at;
        const uint8_t *equals    = n ? memchr(whole.p + at, '=', n) : NULL;
        size_t         value     = equals ? (size_t)(equals - whole.p) + 1 : at;
        if (equals == NULL || is_secret(rh_slice_of(whole.p + at, n), value - 1 - at))
            for (size_t i = value; i < at + n; i++)
                if (!memchr(" \t\r\n", text[i], 4)) text[i] = 'x';
        at += n + 1;
    }
    REQUIRE(rh_connection_string_parse(rh_slice_of(text, used), &read, &again) == status);
    REQUIRE(strcmp(again.condition, error->condition) == 0 && strcmp(again.description, error->description) == 0);
}

static void run(const uint8_t *data, size_t size)
{
    rh_slice             whole = rh_slice_of(data, size);
    rh_connection_string read, endpoint = { .port = 0 };
    rh_error             error = { .status = RH_OK };
    if (size > TEXT) return;
    if (rh_endpoint_parse(whole, &endpoint)) {
        REQUIRE(inside(endpoint.authority, whole) && inside(endpoint.host, endpoint.authority) && endpoint.host.n > 0);
    }
    rh_status status = rh_connection_string_parse(whole, &read, &error);
    REQUIRE(status == RH_OK || (status == RH_E_CONNECTION_STRING && error.status == status && error.description[0]));
    hide(whole, status, &error);
    if (size > 0) make(whole);
    if (status != RH_OK) return;

    REQUIRE(inside(read.authority, whole) && inside(read.host, read.authority) && read.host.n > 0 && read.host.n <= 253);
    REQUIRE((read.key_name.p != NULL) == (read.key.p != NULL) && (read.key.p == NULL || read.signature.p == NULL));
    write_anew(&read);
    turn_around(whole, &read);
}

TARGET(run, 5000, 100)
