#include "eventhub/sas.h"
#include "codec/text.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

static bool is_unreserved(uint8_t c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '.' || c == '_' ||
           c == '~';
}

size_t rh_percent_encode(rh_slice text, char *out, size_t n)
{
    static const char digits[] = "0123456789ABCDEF";
    size_t            used     = 0;
    for (size_t i = 0; i < text.n; i++) {
        bool   plain = is_unreserved(text.p[i]);
        size_t width = plain ? 1 : 3;
        if (n - used < width) return SIZE_MAX;
        if (plain) {
            out[used++] = (char)text.p[i];
        } else {
            out[used++] = '%';
            out[used++] = digits[text.p[i] >> 4];
            out[used++] = digits[text.p[i] & 15];
        }
    }
    return used;
}

static int nibble(uint8_t c)
{
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return -1;
}

size_t rh_percent_decode(rh_slice text, char *out, size_t n)
{
    size_t used = 0;
    for (size_t i = 0; i < text.n; i++) {
        uint8_t c = text.p[i];
        if (used == n) return SIZE_MAX;
        if (c == '%') {
            if (text.n - i < 3) return SIZE_MAX;
            int high = nibble(text.p[i + 1]), low = nibble(text.p[i + 2]);
            if (high < 0 || low < 0) return SIZE_MAX;
            c = (uint8_t)(high << 4 | low);
            i += 2;
        }
        out[used++] = (char)c;
    }
    return used;
}

/* base64(HMAC-SHA256(key, audience LF expiry)), with a closing zero; audience is encoded already. */
static bool signature_of(rh_slice audience, rh_slice expiry, rh_slice key, char out[RH_SAS_SIGNATURE_N + 1])
{
    uint8_t  text[RH_SAS_MAX], digest[EVP_MAX_MD_SIZE];
    unsigned digest_n = 0;
    if (audience.n >= sizeof text || expiry.n >= sizeof text - audience.n || key.n > INT32_MAX) return false;
    memcpy(text, audience.p, audience.n);
    text[audience.n] = '\n';
    memcpy(text + audience.n + 1, expiry.p, expiry.n);

    static const uint8_t empty[1] = { 0 };
    if (!HMAC(EVP_sha256(), key.p ? key.p : empty, (int)key.n, text, audience.n + 1 + expiry.n, digest, &digest_n) || digest_n != 32)
        return false;
    (void)EVP_EncodeBlock((unsigned char *)out, digest, 32);
    OPENSSL_cleanse(digest, sizeof digest);
    return true;
}

/* A text being put together in a buffer of fixed size; failed once, it stays failed. */
typedef struct writer {
    char  *p;
    size_t used, n;
    bool   full;
} writer;

static void put(writer *w, rh_slice text)
{
    if (w->full || w->n - w->used < text.n) {
        w->full = true;
        return;
    }
    if (text.n) memcpy(w->p + w->used, text.p, text.n);
    w->used += text.n;
}

static void put_encoded(writer *w, rh_slice text)
{
    size_t n = w->full ? SIZE_MAX : rh_percent_encode(text, w->p + w->used, w->n - w->used);
    if (n == SIZE_MAX) w->full = true;
    else w->used += n;
}

rh_status rh_sas_sign(char *out, size_t n, size_t *length, rh_slice audience, rh_slice rule, rh_slice key, int64_t expiry_unix_s)
{
    char room[RH_DECIMAL_ROOM], signature[RH_SAS_SIGNATURE_N + 1];
    if (expiry_unix_s < 0) return RH_E_ARGUMENT;
    rh_slice expiry = rh_text_decimal((uint64_t)expiry_unix_s, room);

    writer w = { out, 0, n, false };
    put(&w, rh_str(RH_SAS_PREFIX "sr="));
    size_t start = w.used;
    put_encoded(&w, audience);
    if (w.full) return RH_E_SPACE;
    if (!signature_of(rh_slice_of(out + start, w.used - start), expiry, key, signature)) return RH_E_MEMORY; /* libcrypto's */

    put(&w, rh_str("&sig="));
    put_encoded(&w, rh_slice_of(signature, RH_SAS_SIGNATURE_N));
    put(&w, rh_str("&se="));
    put(&w, expiry);
    put(&w, rh_str("&skn="));
    put_encoded(&w, rule);
    put(&w, rh_slice_of("", 1));
    if (w.full) return RH_E_SPACE;
    if (length) *length = w.used - 1;
    return RH_OK;
}

static bool expiry_of(rh_slice digits, int64_t *out)
{
    int64_t value = 0;
    if (digits.n == 0 || digits.n > 18) return false;
    for (size_t i = 0; i < digits.n; i++) {
        if (digits.p[i] < '0' || digits.p[i] > '9') return false;
        value = value * 10 + (digits.p[i] - '0');
    }
    *out = value;
    return true;
}

static rh_slice next_field(rh_slice *rest)
{
    const uint8_t *and   = rest->n ? memchr(rest->p, '&', rest->n) : NULL;
    rh_slice       field = rh_slice_of(rest->p, and ? (size_t)(and - rest->p) : rest->n);
    size_t         used  = and ? field.n + 1 : field.n;
    *rest                = rh_slice_of(rest->p + used, rest->n - used);
    return field;
}

rh_status rh_sas_parse(rh_slice text, rh_sas_token *out)
{
    const size_t prefix = sizeof RH_SAS_PREFIX - 1;
    memset(out, 0, sizeof *out);
    if (text.n < prefix || text.n > RH_SAS_MAX || memcmp(text.p, RH_SAS_PREFIX, prefix) != 0) return RH_E_UNAUTHORIZED;

    rh_slice rest = rh_slice_of(text.p + prefix, text.n - prefix);
    while (rest.n > 0) {
        rh_slice       field  = next_field(&rest);
        const uint8_t *equals = field.n ? memchr(field.p, '=', field.n) : NULL;
        if (!equals) return RH_E_UNAUTHORIZED;
        rh_slice name  = rh_slice_of(field.p, (size_t)(equals - field.p));
        rh_slice value = rh_slice_of(equals + 1, field.n - name.n - 1);
        if (rh_slice_is(name, "sr")) out->audience = value;
        if (rh_slice_is(name, "sig")) out->signature = value;
        if (rh_slice_is(name, "se")) out->expiry = value;
        if (rh_slice_is(name, "skn")) out->rule = value;
    }
    if (!out->audience.p || !out->signature.p || !out->rule.p) return RH_E_UNAUTHORIZED;
    return expiry_of(out->expiry, &out->expiry_unix_s) ? RH_OK : RH_E_UNAUTHORIZED;
}

bool rh_sas_verify(const rh_sas_token *token, rh_slice key)
{
    char expected[RH_SAS_SIGNATURE_N + 1], given[RH_SAS_SIGNATURE_N];
    bool ok = signature_of(token->audience, token->expiry, key, expected) &&
              rh_percent_decode(token->signature, given, sizeof given) == sizeof given &&
              CRYPTO_memcmp(expected, given, sizeof given) == 0;
    OPENSSL_cleanse(expected, sizeof expected);
    return ok;
}

/* quote_plus of the Python client writes a blank as '+'. */
static bool equal_but_plus(rh_slice encoded, rh_slice rule)
{
    if (encoded.n != rule.n) return false;
    for (size_t i = 0; i < rule.n; i++)
        if (encoded.p[i] != rule.p[i] && !(encoded.p[i] == '+' && rule.p[i] == ' ')) return false;
    return true;
}

bool rh_sas_names(const rh_sas_token *token, rh_slice rule)
{
    char   once[RH_SAS_MAX], twice[RH_SAS_MAX];
    size_t n = rh_percent_decode(token->rule, once, sizeof once);
    if (n == SIZE_MAX) return false;
    if (equal_but_plus(rh_slice_of(once, n), rule)) return true;
    n = rh_percent_decode(rh_slice_of(once, n), twice, sizeof twice);
    return n != SIZE_MAX && equal_but_plus(rh_slice_of(twice, n), rule);
}
