/**
 * credential.h: where a client's tokens come from: signed here, given ready, or asked from the caller.
 */
#ifndef RH_EVENTHUB_CREDENTIAL_H
#define RH_EVENTHUB_CREDENTIAL_H

#include "eventhub/eventhub.h"

/* What the official clients give a signature of their own. */
#define RH_SAS_LIFETIME_S 3600

/** Embedded in whoever wants a token. Neither call comes after rh_credential_cancel(). */
struct rh_token_request {
    rh_client *client;
    bool       pending;
    void (*on_token)(rh_token_request *request, rh_slice token, rh_token_type type, int64_t expires_unix_ms);
    void (*on_fail)(rh_token_request *request, bool transient, const char *words);
};

/**
 * Asks; the answer may come inside the call. on_token and on_fail may come from user code outside the
 * loop, so they must not run callbacks: they note and poke.
 */
void rh_credential_ask(rh_token_request *request, const char *audience);

/** Forgets a request that is pending; harmless otherwise. */
void rh_credential_cancel(rh_token_request *request);

/** Whether asking again can give another token than before. */
bool rh_credential_renews(const rh_client *client);

#endif
