#include "transport/tls.h"

#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <stdio.h>

/* A call that finds no memory is often not the one that reports first. */
rh_status rh_tls_queue_words(rh_status otherwise, char *words, size_t n)
{
    unsigned long code = ERR_peek_error();
    const char *reason = code ? ERR_reason_error_string(code) : NULL;
    snprintf(words, n, "%s", reason ? reason : "no reason given");
    while ((code = ERR_get_error()))
        if (ERR_GET_REASON(code) == ERR_R_MALLOC_FAILURE) otherwise = RH_E_MEMORY;
    return otherwise;
}

/* "a.example, b.example": whom the peer's certificate is for, as far as it fits. */
static void certificate_names(const X509 *certificate, char *text, size_t n)
{
    GENERAL_NAMES *names = certificate ? X509_get_ext_d2i(certificate, NID_subject_alt_name, NULL, NULL) : NULL;
    size_t at = 0;
    text[0] = '\0';
    for (int i = 0; names && i < sk_GENERAL_NAME_num(names); i++) {
        const GENERAL_NAME *name = sk_GENERAL_NAME_value(names, i);
        if (name->type != GEN_DNS) continue;
        size_t length = (size_t)ASN1_STRING_length(name->d.dNSName);
        if (at + length + 3 > n) break;
        if (at) memcpy(text + at, ", ", 2), at += 2;
        memcpy(text + at, ASN1_STRING_get0_data(name->d.dNSName), length);
        at += length;
        text[at] = '\0';
    }
    GENERAL_NAMES_free(names);
    if (!at) snprintf(text, n, "nobody by name");
}

static rh_status of_verification(const rh_tls_session *session, long result, char *words, size_t n)
{
    char names[96];
    switch (result) {
    case X509_V_ERR_HOSTNAME_MISMATCH:
    case X509_V_ERR_IP_ADDRESS_MISMATCH:
        certificate_names(session->refused, names, sizeof names);
        snprintf(words, n, "the certificate is for %s, not for %.80s", names, session->name);
        return RH_E_TLS_NAME;
    case X509_V_ERR_CERT_HAS_EXPIRED:
    case X509_V_ERR_CERT_NOT_YET_VALID:
        snprintf(words, n, "%s", X509_verify_cert_error_string(result));
        return RH_E_TLS_EXPIRED;
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
    case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
    case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
    case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
    case X509_V_ERR_CERT_UNTRUSTED:
    case X509_V_ERR_INVALID_CA:
        snprintf(words, n, "the certificate is not signed by a trusted authority: %s", X509_verify_cert_error_string(result));
        return RH_E_TLS_UNKNOWN_CA;
    case X509_V_ERR_OUT_OF_MEM: snprintf(words, n, "no memory to verify the certificate"); return RH_E_MEMORY;
    default:
        snprintf(words, n, "the certificate was not accepted: %s", X509_verify_cert_error_string(result));
        return RH_E_TLS_CERTIFICATE;
    }
}

static bool is_about_version(int reason)
{
    switch (reason) {
    case SSL_R_UNSUPPORTED_PROTOCOL:
    case SSL_R_VERSION_TOO_LOW:
    case SSL_R_NO_PROTOCOLS_AVAILABLE:
    case SSL_R_TLSV1_ALERT_PROTOCOL_VERSION:
    case SSL_R_NO_SHARED_CIPHER:
    case SSL_R_INAPPROPRIATE_FALLBACK: return true;
    default: return false;
    }
}

rh_status rh_tls_reason(const rh_tls_session *session, char *words, size_t n, bool *is_stranger)
{
    int reason = ERR_GET_REASON(ERR_peek_error());
    long result = SSL_get_verify_result(session->ssl);
    char text[128];
    rh_status status = rh_tls_queue_words(is_about_version(reason) ? RH_E_TLS_VERSION : RH_E_TLS, text, sizeof text);
    if (reason == SSL_R_CERTIFICATE_VERIFY_FAILED && result != X509_V_OK && status != RH_E_MEMORY)
        return of_verification(session, result, words, n);
    *is_stranger = (reason == SSL_R_WRONG_VERSION_NUMBER || reason == SSL_R_HTTP_REQUEST) && !SSL_is_init_finished(session->ssl);
    if (*is_stranger) {
        snprintf(words, n, "the peer does not speak TLS (%s)", text);
        return RH_E_TLS;
    }
    /* Reasons above this number are alerts of the peer, plus its number. */
    bool is_alert = reason > SSL_AD_REASON_OFFSET && reason < SSL_AD_REASON_OFFSET + 256;
    snprintf(words, n, is_alert ? "the peer refused TLS: %s" : "TLS failed: %s", text);
    return status;
}
