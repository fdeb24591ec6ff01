#include "codec/text.h"
#include "codec/utf8.h"

void rh_text_char(rh_text *text, char c)
{
    if (text->wanted < text->n) text->out[text->wanted] = c;
    text->wanted++;
}

void rh_text_string(rh_text *text, const char *string)
{
    while (*string) rh_text_char(text, *string++);
}

void rh_text_hex(rh_text *text, uint64_t v, unsigned digits)
{
    while (digits-- > 0) rh_text_char(text, "0123456789abcdef"[v >> (4 * digits) & 15]);
}

/* At least `digits` decimal digits, leading zeros too. */
static void put_decimal(rh_text *text, uint64_t v, unsigned digits)
{
    char     reversed[24];
    unsigned n = 0;
    do {
        reversed[n++] = (char)('0' + v % 10);
        v /= 10;
    } while (v > 0 || n < digits);
    while (n > 0) rh_text_char(text, reversed[--n]);
}

void rh_text_unsigned(rh_text *text, uint64_t v)
{
    put_decimal(text, v, 1);
}

void rh_text_signed(rh_text *text, int64_t v)
{
    if (v < 0) rh_text_char(text, '-');
    rh_text_unsigned(text, v < 0 ? 0 - (uint64_t)v : (uint64_t)v);
}

/* Each of these is exact in a double, and those up to 10^10 in a float. */
static const double powers_of_ten[] = { 1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,  1e8,  1e9,  1e10, 1e11,
                                        1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22 };

/* IEEE 754 rounds m / 10^k correctly when both are exact, so the quotient is the very number that a reader
 * makes of the digits of m with k of them behind the point. */
static bool is_quotient(double v, uint64_t m, unsigned k, bool narrow)
{
    if (narrow) return (float)m / (float)powers_of_ten[k] == (float)v;
    return (double)m / powers_of_ten[k] == v;
}

/* v is positive and finite. */
static bool put_short_decimal(rh_text *text, double v, bool narrow)
{
    const double   exact = narrow ? 16777216.0 : 9007199254740992.0; /* integers below are exact */
    const unsigned most  = narrow ? 10 : 22;

    for (unsigned k = 0; k <= most; k++) {
        double scaled = v * powers_of_ten[k];
        if (scaled >= exact) return false;
        uint64_t m = (uint64_t)scaled;
        if (scaled - (double)m >= 0.5) m++; /* adding a half first would round where the half does not fit */
        if (!is_quotient(v, m, k, narrow)) continue;

        uint64_t whole = m, fraction = 0, unit = 1;
        for (unsigned i = 0; i < k && whole > 0; i++, unit *= 10) {
            fraction += whole % 10 * unit;
            whole /= 10;
        }
        rh_text_unsigned(text, whole);
        rh_text_char(text, '.');
        put_decimal(text, fraction, k > 0 ? k : 1);
        return true;
    }
    return false;
}

static void put_hex_double(rh_text *text, uint64_t bits)
{
    uint64_t fraction = bits & UINT64_C(0xfffffffffffff);
    int      exponent = (int)(bits >> 52 & 0x7ff);

    rh_text_string(text, exponent ? "0x1" : "0x0"); /* subnormal numbers have no leading one */
    exponent = exponent ? exponent - 1023 : -1022;
    if (fraction) rh_text_char(text, '.');
    for (fraction <<= 12; fraction; fraction <<= 4) rh_text_hex(text, fraction >> 60, 1);
    rh_text_char(text, 'p');
    if (exponent >= 0) rh_text_char(text, '+');
    rh_text_signed(text, exponent);
}

void rh_text_double(rh_text *text, double v, bool narrow)
{
    uint64_t bits;
    memcpy(&bits, &v, sizeof bits);
    if (v != v) {
        rh_text_string(text, "nan");
        return;
    }
    if (bits >> 63) {
        rh_text_char(text, '-');
        v = -v;
        bits &= INT64_MAX;
    }
    if (bits == UINT64_C(0x7ff) << 52) rh_text_string(text, "inf");
    else if (bits == 0) rh_text_string(text, "0.0");
    else if (!put_short_decimal(text, v, narrow)) put_hex_double(text, bits);
}

static void put_escape(rh_text *text, uint8_t byte)
{
    rh_text_char(text, '\\');
    switch (byte) {
    case '\n': rh_text_char(text, 'n'); return;
    case '\r': rh_text_char(text, 'r'); return;
    case '\t': rh_text_char(text, 't'); return;
    case '"':
    case '\\': rh_text_char(text, (char)byte); return;
    default:
        rh_text_char(text, 'x');
        rh_text_hex(text, byte, 2);
    }
}

void rh_text_escaped(rh_text *text, rh_slice bytes)
{
    for (size_t i = 0; i < bytes.n;) {
        const uint8_t *p = bytes.p + i;
        size_t         n = *p == '"' || *p == '\\' ? 0 : rh_utf8_printable(p, bytes.n - i);
        if (n == 0) put_escape(text, *p);
        for (size_t k = 0; k < n; k++) rh_text_char(text, (char)p[k]);
        i += n ? n : 1;
    }
}

/* How many of the last bytes before the cut are a character that did not fit whole. */
static size_t torn(const char *out, size_t cut)
{
    for (size_t back = 1; back <= 3 && back <= cut; back++) {
        const uint8_t *p = (const uint8_t *)out + cut - back;
        if ((*p & 0xc0) == 0x80) continue;
        return rh_utf8_is(rh_slice_of(p, back)) ? 0 : back;
    }
    return 0;
}

size_t rh_text_end(rh_text *text)
{
    if (text->n == 0) return text->wanted;
    size_t cut = text->wanted;
    if (cut >= text->n) {
        cut = text->n - 1;
        cut -= torn(text->out, cut);
    }
    text->out[cut] = '\0';
    return text->wanted;
}

rh_slice rh_text_decimal(uint64_t v, char room[RH_DECIMAL_ROOM])
{
    rh_text text = { .out = room, .n = RH_DECIMAL_ROOM };
    rh_text_unsigned(&text, v);
    return rh_slice_of(room, rh_text_end(&text));
}
