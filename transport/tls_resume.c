/* The sessions a client may resume: one for each of the last hosts, the latest first. */
#include "transport/tls.h"

#include <stdlib.h>

/* A client talks to one namespace, or to a few. A session keeps the peer's certificates, some kilobytes. */
#define KEPT_MAX 8

struct rh_tls_kept {
    struct rh_tls_kept *next;
    SSL_SESSION        *session;
    char                name[];
};

static void drop(struct rh_tls_kept *kept)
{
    SSL_SESSION_free(kept->session);
    free(kept);
}

/* Takes the name's entry out, or the last one of a full list; NULL: there is neither. */
static struct rh_tls_kept *take_out(rh_tls *tls, const char *name)
{
    struct rh_tls_kept **at = &tls->kept;
    for (size_t i = 1; *at; i++, at = &(*at)->next) {
        struct rh_tls_kept *kept = *at;
        if (strcmp(kept->name, name) != 0 && i < KEPT_MAX) continue;
        *at = kept->next;
        return kept;
    }
    return NULL;
}

void rh_tls_remember(rh_tls *tls, const char *name, SSL_SESSION *session)
{
    size_t              n    = strlen(name) + 1;
    struct rh_tls_kept *old  = take_out(tls, name), *kept = malloc(sizeof *kept + n);
    if (old) drop(old);
    if (!kept) {
        SSL_SESSION_free(session); /* a full handshake next time */
        return;
    }
    memcpy(kept->name, name, n);
    kept->session = session;
    kept->next    = tls->kept;
    tls->kept     = kept;
}

SSL_SESSION *rh_tls_recall(const rh_tls *tls, const char *name)
{
    for (const struct rh_tls_kept *kept = tls->kept; kept; kept = kept->next)
        if (strcmp(kept->name, name) == 0) return kept->session;
    return NULL;
}

void rh_tls_forget_all(rh_tls *tls)
{
    while (tls->kept) {
        struct rh_tls_kept *kept = tls->kept;
        tls->kept = kept->next;
        drop(kept);
    }
}
