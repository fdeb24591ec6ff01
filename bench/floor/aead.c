#include "bench/floor/aead.h"
#include "bench/lines.h"

#include <math.h>
#include <openssl/evp.h>
#include <string.h>

#define TAG       16
#define WORK_SET  (256u * 1024) /* as much as a send holds: the bytes come from the second level of the cache */

/* -- records --------------------------------------------------------------------------------- */

static uint8_t clear[WORK_SET + 1], sealed[WORK_SET + 1], tag[TAG];

/* [RFC 8446, 5.2] the header is authenticated, one byte of content type goes behind the bytes */
static bool seal(EVP_CIPHER_CTX *context, const uint8_t *nonce, const uint8_t *header, const uint8_t *from, uint8_t *to, size_t n)
{
    int out;
    return EVP_EncryptInit_ex(context, NULL, NULL, NULL, nonce) == 1 && EVP_EncryptUpdate(context, NULL, &out, header, 5) == 1
           && EVP_EncryptUpdate(context, to, &out, from, (int)n + 1) == 1 && EVP_EncryptFinal_ex(context, to, &out) == 1
           && EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_GET_TAG, TAG, tag) == 1;
}

/* The tag is that of other bytes: what it costs to find that out is what a right one costs. */
static bool unseal(EVP_CIPHER_CTX *context, const uint8_t *nonce, const uint8_t *header, const uint8_t *from, uint8_t *to, size_t n)
{
    int  out;
    bool set = EVP_DecryptInit_ex(context, NULL, NULL, NULL, nonce) == 1 && EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_SET_TAG, TAG, tag) == 1
               && EVP_DecryptUpdate(context, NULL, &out, header, 5) == 1 && EVP_DecryptUpdate(context, to, &out, from, (int)n + 1) == 1;
    (void)EVP_DecryptFinal_ex(context, to, &out);
    return set;
}

double rh_floor_aead(bool seals, size_t n, size_t record)
{
    static const uint8_t key[32] = { 1 }, header[5] = { 23, 3, 3 };
    uint8_t         nonce[12] = { 0 };
    EVP_CIPHER_CTX *context = EVP_CIPHER_CTX_new();
    bool            good    = context && EVP_CipherInit_ex(context, EVP_aes_256_gcm(), NULL, key, nonce, seals) == 1;
    uint64_t        since   = rh_lines_cpu();
    for (size_t done = 0, at = 0; good && done < n; done += record, at += record) {
        if (at + record > WORK_SET) at = 0;
        size_t part = n - done < record ? n - done : record;
        for (int i = 0; i < 8; i++) nonce[11 - i] = (uint8_t)(done >> (8 * i)); /* no two alike */
        good = seals ? seal(context, nonce, header, clear + at, sealed + at, part)
                     : unseal(context, nonce, header, sealed + at, clear + at, part);
    }
    uint64_t spent = rh_lines_cpu() - since;
    EVP_CIPHER_CTX_free(context);
    return good ? (double)spent : NAN;
}

/* -- key exchange ---------------------------------------------------------------------------- */

static EVP_PKEY *make_x25519(void)
{
    return EVP_PKEY_Q_keygen(NULL, NULL, "X25519");
}

static bool derive(EVP_PKEY *own, EVP_PKEY *theirs)
{
    uint8_t       secret[32];
    size_t        n       = sizeof secret;
    EVP_PKEY_CTX *context = EVP_PKEY_CTX_new(own, NULL);
    bool          good    = context && EVP_PKEY_derive_init(context) == 1 && EVP_PKEY_derive_set_peer(context, theirs) == 1
                && EVP_PKEY_derive(context, secret, &n) == 1;
    EVP_PKEY_CTX_free(context);
    return good;
}

/* Signs with, or verifies against, SHA-256 of a text. */
static bool sign(EVP_PKEY *key, bool makes, uint8_t *signature, size_t *n)
{
    static const uint8_t text[130] = "what both sides have said so far";
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    bool        good;
    if (makes) good = EVP_DigestSignInit(context, NULL, EVP_sha256(), NULL, key) == 1 && EVP_DigestSign(context, signature, n, text, sizeof text) == 1;
    else good = EVP_DigestVerifyInit(context, NULL, EVP_sha256(), NULL, key) == 1 && EVP_DigestVerify(context, signature, *n, text, sizeof text) == 1;
    EVP_MD_CTX_free(context);
    return good;
}

double rh_floor_key_exchange(bool resumed)
{
    uint8_t   signature[128];
    size_t    n      = sizeof signature;
    EVP_PKEY *theirs = make_x25519(), *signer = EVP_PKEY_Q_keygen(NULL, NULL, "EC", "P-256");
    bool      good   = theirs && signer && sign(signer, true, signature, &n);
    uint64_t  since  = rh_lines_cpu();
    EVP_PKEY *own    = make_x25519();
    good = good && own && derive(own, theirs);
    for (int i = 0; i < 2 && !resumed; i++) good = good && sign(signer, false, signature, &n);
    uint64_t spent = rh_lines_cpu() - since;
    EVP_PKEY_free(own);
    EVP_PKEY_free(theirs);
    EVP_PKEY_free(signer);
    return good ? (double)spent : NAN;
}
