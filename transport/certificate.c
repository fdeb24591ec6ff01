/* A throw-away certificate that signs itself, for tests and for emulators without one. */
#include "transport/tls.h"

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>

enum { YEAR_SECONDS = 365 * 24 * 3600, HOUR_SECONDS = 3600, SAN_MAX = 320, NAME_MAX_BYTES = 253 };

static bool add_extension(X509 *certificate, int nid, const char *value)
{
    X509V3_CTX context;
    X509V3_set_ctx_nodb(&context);
    X509V3_set_ctx(&context, certificate, certificate, NULL, NULL, 0);
    X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, &context, nid, value);
    bool done = extension && X509_add_ext(certificate, extension, -1);
    X509_EXTENSION_free(extension);
    return done;
}

static bool set_names(X509 *certificate, const char *name)
{
    /* The text goes through OpenSSL's configuration syntax: a name that could change its meaning is refused. */
    size_t n = strlen(name);
    if (n == 0 || n > NAME_MAX_BYTES || strpbrk(name, ",;:\\\"'=[]#$ \t\r\n")) return false;
    char names[SAN_MAX] = "DNS:";
    memcpy(names + 4, name, n);
    strcpy(names + 4 + n, ",DNS:localhost,IP:127.0.0.1,IP:::1");
    X509_NAME *subject = X509_get_subject_name(certificate);
    return X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_UTF8, (const unsigned char *)"ringhub", -1, -1, 0) &&
           X509_set_issuer_name(certificate, subject) && add_extension(certificate, NID_subject_alt_name, names) &&
           add_extension(certificate, NID_basic_constraints, "critical,CA:TRUE") &&
           add_extension(certificate, NID_subject_key_identifier, "hash");
}

static bool set_serial(X509 *certificate)
{
    uint64_t serial;
    if (RAND_bytes((unsigned char *)&serial, sizeof serial) != 1) return false;
    /* [RFC 5280, 4.1.2.2] positive, never zero. */
    return ASN1_INTEGER_set_uint64(X509_get_serialNumber(certificate), (serial >> 1) | 1);
}

static X509 *make_certificate(EVP_PKEY *key, const char *name)
{
    X509 *certificate = X509_new();
    if (!certificate) return NULL;
    /* Valid since an hour ago: the peer's clock may be behind. */
    if (X509_set_version(certificate, X509_VERSION_3) && set_serial(certificate) &&
        X509_gmtime_adj(X509_getm_notBefore(certificate), -HOUR_SECONDS) &&
        X509_gmtime_adj(X509_getm_notAfter(certificate), YEAR_SECONDS) && X509_set_pubkey(certificate, key) &&
        set_names(certificate, name) && X509_sign(certificate, key, EVP_sha256())) return certificate;
    X509_free(certificate);
    return NULL;
}

static rh_status copy_out(BIO *bio, char *text, size_t n)
{
    char *bytes;
    long length = BIO_get_mem_data(bio, &bytes);
    if (length < 0 || (size_t)length >= n) return RH_E_SPACE;
    memcpy(text, bytes, (size_t)length);
    text[length] = '\0';
    return RH_OK;
}

static rh_status write_pems(X509 *certificate, EVP_PKEY *key, char *cert_pem, size_t cert_n, char *key_pem, size_t key_n)
{
    BIO *cert_bio = BIO_new(BIO_s_mem()), *key_bio = BIO_new(BIO_s_mem());
    rh_status status = RH_E_MEMORY;
    if (cert_bio && key_bio && PEM_write_bio_X509(cert_bio, certificate) &&
        PEM_write_bio_PrivateKey(key_bio, key, NULL, NULL, 0, NULL, NULL)) {
        status = copy_out(cert_bio, cert_pem, cert_n);
        if (status == RH_OK) status = copy_out(key_bio, key_pem, key_n);
    }
    BIO_free(cert_bio);
    BIO_free(key_bio);
    return status;
}

rh_status rh_tls_self_signed(const char *name, char *cert_pem, size_t cert_n, char *key_pem, size_t key_n, rh_error *error)
{
    rh_status status = RH_E_TLS_CERTIFICATE;
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509 *certificate = key ? make_certificate(key, name ? name : "localhost") : NULL;
    if (certificate) status = write_pems(certificate, key, cert_pem, cert_n, key_pem, key_n);
    else status = rh_tls_queue_words(status, (char[1]){ 0 }, 1);
    X509_free(certificate);
    EVP_PKEY_free(key);
    ERR_clear_error();
    if (status != RH_OK && error) rh_error_set(error, status, NULL, "no certificate could be made for this name");
    return status;
}
