/* One context for all clients of a loop that ask for the same: a context holds tens of kilobytes and the session to resume. */
#include "transport/tls.h"

#include <openssl/evp.h>
#include <sys/stat.h>

static void mix(EVP_MD_CTX *digest, const void *bytes, size_t n)
{
    uint64_t length = n;
    EVP_DigestUpdate(digest, &length, sizeof length); /* so that "a" and "bc" are not "ab" and "c" */
    if (n) EVP_DigestUpdate(digest, bytes, n);
}

/* A file that was replaced is another one: whoever comes after a certificate was renewed gets the new one. */
static void mix_file(EVP_MD_CTX *digest, const char *file)
{
    struct stat now;
    mix(digest, file, file ? strlen(file) + 1 : 0);
    if (!file || stat(file, &now)) return;
    mix(digest, &now.st_ino, sizeof now.st_ino);
    mix(digest, &now.st_size, sizeof now.st_size);
    mix(digest, &now.st_mtim, sizeof now.st_mtim);
}

/* What makes two options the same; of keys and certificates only the digest is kept. */
static bool digest_of(const rh_tls_opts *opts, uint8_t out[RH_TLS_DIGEST])
{
    EVP_MD_CTX *digest = EVP_MD_CTX_new();
    bool done = digest && EVP_DigestInit_ex(digest, EVP_sha256(), NULL) == 1;
    if (done) {
        const bool flags[] = { opts->server, opts->insecure };
        const rh_slice texts[] = { opts->ca_pem, opts->cert_pem, opts->key_pem };
        mix(digest, flags, sizeof flags);
        for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) mix(digest, texts[i].p, texts[i].n);
        mix_file(digest, opts->ca_file);
        mix_file(digest, opts->cert_file);
        mix_file(digest, opts->key_file);
        mix(digest, opts->keylog_file, opts->keylog_file ? strlen(opts->keylog_file) + 1 : 0);
        mix(digest, &opts->log.on_log, sizeof opts->log.on_log);
        mix(digest, &opts->log.user, sizeof opts->log.user);
        done = EVP_DigestFinal_ex(digest, out, NULL) == 1;
    }
    EVP_MD_CTX_free(digest);
    return done;
}

rh_status rh_tls_share(rh_loop *loop, const rh_tls_opts *asked, rh_tls **out, rh_error *error)
{
    rh_tls_opts opts;
    uint8_t digest[RH_TLS_DIGEST];
    rh_opts_copy(&opts, sizeof opts, asked, asked->size);
    bool known = digest_of(&opts, digest);
    for (rh_tls *tls = loop->tls; known && tls; tls = tls->next)
        if (memcmp(tls->digest, digest, sizeof digest) == 0) {
            *out = rh_tls_retain(tls);
            return RH_OK;
        }
    rh_status status = rh_tls_create(&opts, out, error);
    if (status || !known) return status;
    rh_tls *tls = *out;
    memcpy(tls->digest, digest, sizeof digest);
    tls->loop = loop;
    tls->next = loop->tls;
    loop->tls = tls;
    return RH_OK;
}

void rh_tls_unshare(rh_tls *tls)
{
    if (!tls->loop) return;
    for (rh_tls **at = &tls->loop->tls; *at; at = &(*at)->next)
        if (*at == tls) {
            *at = tls->next;
            break;
        }
    tls->loop = NULL;
}
