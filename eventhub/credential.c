#include "eventhub/connection.h"
#include "eventhub/sas.h"

#include <openssl/crypto.h>

static void answer(rh_token_request *request, rh_slice token, rh_token_type type, int64_t expires_unix_ms)
{
    if (!request->pending) return;
    request->pending = false;
    request->on_token(request, token, type, expires_unix_ms);
}

static void fail(rh_token_request *request, bool transient, const char *words)
{
    if (!request->pending) return;
    request->pending = false;
    request->on_fail(request, transient, words);
}

static void sign(rh_token_request *request, const char *audience)
{
    const rh_client_settings *settings = &request->client->settings;
    char                      token[RH_SAS_MAX];
    size_t                    n      = 0;
    int64_t                   expiry = rh_loop_wall_ms(request->client->loop) / 1000 + RH_SAS_LIFETIME_S;
    rh_status                 status = rh_sas_sign(token, sizeof token, &n, rh_str(audience), rh_str(settings->key_name), rh_str(settings->key), expiry);
    if (status == RH_OK) answer(request, rh_slice_of(token, n), RH_TOKEN_SAS, expiry * 1000);
    else fail(request, status == RH_E_MEMORY, rh_status_words(status));
    OPENSSL_cleanse(token, sizeof token);
}

static void show(rh_token_request *request, const char *signature)
{
    rh_sas_token token;
    /* A signature that does not read as one is sent all the same: the service has the last word on it. */
    int64_t expires = rh_sas_parse(rh_str(signature), &token) == RH_OK ? token.expiry_unix_s * 1000 : 0;
    answer(request, rh_str(signature), RH_TOKEN_SAS, expires);
}

bool rh_credential_renews(const rh_client *client)
{
    return client->credential.request || !client->settings.signature;
}

void rh_credential_ask(rh_token_request *request, const char *audience)
{
    rh_client *client = request->client;
    if (request->pending) return;
    request->pending = true;
    if (client->credential.request) client->credential.request(client->credential.user, audience, request);
    else if (client->settings.signature) show(request, client->settings.signature);
    else sign(request, audience);
}

void rh_credential_cancel(rh_token_request *request)
{
    if (!request->pending) return;
    request->pending = false;
    rh_client *client = request->client;
    if (client->credential.request) client->credential.cancel(client->credential.user, request);
}

void rh_token_answer(rh_token_request *request, rh_slice token, rh_token_type type, int64_t expires_unix_ms)
{
    answer(request, token, type, expires_unix_ms);
}

void rh_token_fail(rh_token_request *request, bool transient, const char *words)
{
    fail(request, transient, words ? words : "");
}
