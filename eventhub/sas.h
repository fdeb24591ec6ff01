/**
 * sas.h: shared access signatures, made by the client and verified by the emulator.
 *
 *   SharedAccessSignature sr=E(audience)&sig=E(signature)&se=EXPIRY&skn=E(rule)
 *
 * E is percent-encoding; the signature is base64(HMAC-SHA256(key text, E(audience) LF EXPIRY)).
 */
#ifndef RH_EVENTHUB_SAS_H
#define RH_EVENTHUB_SAS_H

#include "codec/base.h"

#define RH_SAS_PREFIX "SharedAccessSignature "

/* Base64 of 32 bytes. */
#define RH_SAS_SIGNATURE_N 44

/* A hub has 256 characters, a group 50, a host 253: encoded each may triple. Tokens above are not ours. */
#define RH_SAS_MAX 4096

/**
 * Writes a token and its closing zero, signed by the text of key (not decoded), good until expiry_unix_s.
 * RH_E_SPACE when n is too small, RH_E_MEMORY when OpenSSL has none. length may be NULL.
 */
RH_NODISCARD rh_status rh_sas_sign(char *out, size_t n, size_t *length, rh_slice audience, rh_slice rule, rh_slice key,
                                   int64_t expiry_unix_s);

/** A token's fields as they stand in its text, still percent-encoded. */
typedef struct rh_sas_token {
    rh_slice audience;  /* sr */
    rh_slice signature; /* sig */
    rh_slice expiry;    /* se, the digits that were signed */
    rh_slice rule;      /* skn */
    int64_t  expiry_unix_s;
} rh_sas_token;

/** Takes a token apart; fields in any order, unknown ones skipped. RH_E_UNAUTHORIZED if it is not one. */
RH_NODISCARD rh_status rh_sas_parse(rh_slice text, rh_sas_token *out);

/** True when key made the signature. Takes the same time whatever the signature is. Looks at no clock: compare expiry_unix_s. */
RH_NODISCARD bool rh_sas_verify(const rh_sas_token *token, rh_slice key);

/** True when the token names this rule. The Python client encodes the name twice, so that is accepted too. */
RH_NODISCARD bool rh_sas_names(const rh_sas_token *token, rh_slice rule);

/** Decodes %XX ('+' stays as it is) without a closing zero; the length, or SIZE_MAX if it is malformed or above n. */
size_t rh_percent_decode(rh_slice text, char *out, size_t n);

/** Encodes all but letters, digits and -._~ as %XX, without a closing zero; the length, or SIZE_MAX if above n. */
size_t rh_percent_encode(rh_slice text, char *out, size_t n);

#endif
