#include "emulator/connection.h"
#include "emulator/jwt.h"

#include "eventhub/sas.h"

#include <inttypes.h>
#include <openssl/crypto.h>

/* An expiry is a wall time, and wall clocks are set: no timer is trusted for longer than this. */
#define LOOK_AGAIN_MS (60 * 60 * 1000)

static int64_t wall(const rh_emu_connection *connection)
{
    return rh_loop_wall_ms(connection->emulator->loop);
}

static void token_free(rh_emu_connection *connection, rh_emu_token *token)
{
    rh_emu_free(connection->emulator, token, sizeof *token + token->n + 1);
}

static rh_slice path_of(const rh_emu_token *token)
{
    return rh_slice_of(token->path, token->n);
}

bool rh_emu_token_covers(const rh_emu_connection *connection, rh_slice path)
{
    if (connection->is_trusted) return true;
    int64_t now = wall(connection);
    for (const rh_emu_token *token = connection->tokens; token; token = token->next)
        if (token->expires_ms > now && (path.p == NULL || rh_emu_path_covers(path_of(token), path))) return true;
    return false;
}

bool rh_emu_token_check(const rh_emu_connection *connection, const rh_emu_hub *hub, rh_slice path, const char *claim, rh_emu_refusal *no)
{
    if (rh_emu_token_covers(connection, path)) return true;
    int n = path.n > 200 ? 200 : (int)path.n;
    return rh_emu_refuse(connection->emulator, hub, no, RH_EMU_UNAUTHORIZED,
                         "Unauthorized access. The '%s' claim is required to perform this operation. Resource: '%.*s'.", claim, n,
                         path.p ? (const char *)path.p : "");
}

/* -- expiry ----------------------------------------------------------------------------------- */

static void arm(rh_emu_connection *connection)
{
    rh_loop *loop  = connection->emulator->loop;
    int64_t  first = INT64_MAX, now = wall(connection);
    for (const rh_emu_token *token = connection->tokens; token; token = token->next)
        if (token->expires_ms < first) first = token->expires_ms;
    int64_t  wait  = first > now ? first - now : 0;
    if (wait > LOOK_AGAIN_MS) wait = LOOK_AGAIN_MS;
    if (first == INT64_MAX) rh_timer_cancel(loop, &connection->expiry);
    else rh_timer_set(loop, &connection->expiry, rh_time_after(rh_loop_now(loop), RH_MS(wait)));
}

static void drop_expired(rh_emu_connection *connection)
{
    int64_t now = wall(connection);
    for (rh_emu_token **at = &connection->tokens; *at;) {
        rh_emu_token *token = *at;
        if (token->expires_ms > now) {
            at = &token->next;
            continue;
        }
        *at = token->next;
        connection->token_count--;
        token_free(connection, token);
    }
}

/* A token covers links for as long as it is good and no longer. */
static void on_expiry(void *user, rh_time now)
{
    rh_emu_connection *connection = user;
    (void)now;
    drop_expired(connection);
    for (rh_emu_link *link = connection->links; link; link = link->next) {
        rh_emu_refusal no;
        if (!link->path || link->is_leaving || rh_emu_token_covers(connection, rh_str(link->path))) continue;
        rh_emu_refuse(connection->emulator, NULL, &no, RH_EMU_UNAUTHORIZED, "ExpiredToken: the token that covered '%.200s' has expired.",
                      link->path);
        rh_emu_link_drop(link, &no);
    }
    arm(connection);
    rh_emu_connection_wake(connection);
}

/* -- put-token -------------------------------------------------------------------------------- */

static bool keep(rh_emu_connection *connection, rh_slice path, int64_t expires_ms, rh_emu_refusal *no)
{
    for (rh_emu_token *token = connection->tokens; token; token = token->next) {
        if (!rh_emu_same(path_of(token), path)) continue;
        token->expires_ms = expires_ms;
        return true;
    }
    rh_emu_token *token = NULL;
    if (connection->token_count < RH_EMU_TOKENS_MAX) token = rh_emu_alloc(connection->emulator, sizeof *token + path.n + 1);
    if (!token)
        return rh_emu_refuse(connection->emulator, NULL, no, "amqp:resource-limit-exceeded", "This connection has %u tokens, which is the most.",
                             connection->token_count);
    token->n          = path.n;
    token->expires_ms = expires_ms;
    if (path.n) memcpy(token->path, path.p, path.n);
    token->next        = connection->tokens;
    connection->tokens = token;
    connection->token_count++;
    return true;
}

static bool is_signature(rh_slice text)
{
    size_t n = strlen(RH_SAS_PREFIX);
    return text.n >= n && memcmp(text.p, RH_SAS_PREFIX, n) == 0;
}

static bool refuse_expired(rh_emulator *emulator, int64_t expiry_s, rh_emu_refusal *no)
{
    return rh_emu_refuse(emulator, NULL, no, RH_EMU_UNAUTHORIZED, "ExpiredToken: The token is expired since %" PRId64 " (Unix seconds).", expiry_s);
}

/* A token of Entra ID: good for what it is put for. */
static bool believe(rh_emu_connection *connection, rh_slice text, rh_emu_jwt *token, rh_emu_refusal *no)
{
    rh_emulator *emulator = connection->emulator;
    int64_t      now_s    = wall(connection) / 1000;
    if (!emulator->jwt)
        return rh_emu_refuse(emulator, NULL, no, RH_EMU_UNAUTHORIZED,
                             "InvalidToken: the emulator believes shared access signatures only, unless it is told to believe JWTs.");
    if (rh_emu_jwt_read(text, token) != RH_OK)
        return rh_emu_refuse(emulator, NULL, no, RH_EMU_UNAUTHORIZED, "MalformedToken: neither a shared access signature nor a JWT with exp and aud.");
    if (!token->is_for_us)
        return rh_emu_refuse(emulator, NULL, no, RH_EMU_UNAUTHORIZED, "InvalidAudience: the JWT is not for https://eventhubs.azure.net/.");
    if (token->not_before_s > now_s)
        return rh_emu_refuse(emulator, NULL, no, RH_EMU_UNAUTHORIZED, "InvalidToken: The token is not good before %" PRId64 " (Unix seconds).",
                             token->not_before_s);
    return token->expires_s > now_s || refuse_expired(emulator, token->expires_s, no);
}

static bool verify(rh_emu_connection *connection, rh_slice text, rh_sas_token *token, rh_emu_refusal *no)
{
    rh_emulator *emulator = connection->emulator;
    if (rh_sas_parse(text, token) != RH_OK)
        return rh_emu_refuse(emulator, NULL, no, RH_EMU_UNAUTHORIZED, "MalformedToken: the signature lacks sr, sig, se or skn.");
    if (!rh_sas_names(token, rh_str(emulator->rule)) || !rh_sas_verify(token, rh_str(emulator->key)))
        return rh_emu_refuse(emulator, NULL, no, RH_EMU_UNAUTHORIZED, "InvalidSignature: The token has an invalid signature.");
    return token->expiry_unix_s > wall(connection) / 1000 || refuse_expired(emulator, token->expiry_unix_s, no);
}

/* Percent-decodes a text; as it is when it is not well encoded. */
static rh_slice decoded(rh_slice text, char *buffer, size_t n)
{
    size_t length = rh_percent_decode(text, buffer, n);
    return length == SIZE_MAX ? text : rh_slice_of(buffer, length);
}

/* Whether the signature is good, and made for the path or what lies above it. */
static bool covers(rh_emu_connection *connection, rh_slice text, rh_slice path, int64_t *expiry_s, rh_emu_refusal *no)
{
    rh_sas_token token;
    char         once[RH_SAS_MAX], twice[RH_SAS_MAX];
    if (!verify(connection, text, &token, no)) return false;
    /* Some clients encode the path already before they sign; no name has a percent sign of its own. */
    rh_slice wide = rh_emu_path_of(decoded(decoded(token.audience, once, sizeof once), twice, sizeof twice));
    *expiry_s     = token.expiry_unix_s;
    return rh_emu_path_covers(wide, path) ||
           rh_emu_refuse(connection->emulator, NULL, no, RH_EMU_UNAUTHORIZED, "InvalidAudience: the token is signed for another resource.");
}

bool rh_emu_token_put(rh_emu_connection *connection, rh_slice text, rh_slice audience, rh_emu_refusal *no)
{
    rh_emu_jwt jwt;
    int64_t    expiry_s;
    char       asked_for[RH_SAS_MAX];
    rh_slice   path = rh_emu_path_of(decoded(audience, asked_for, sizeof asked_for));
    if (is_signature(text)) {
        if (!covers(connection, text, path, &expiry_s, no)) return false;
    } else {
        if (!believe(connection, text, &jwt, no)) return false;
        expiry_s = jwt.expires_s;
    }
    int64_t expires_ms = expiry_s > INT64_MAX / 1000 ? INT64_MAX : expiry_s * 1000;
    if (!keep(connection, path, expires_ms, no)) return false;
    connection->expiry.fn   = on_expiry;
    connection->expiry.user = connection;
    arm(connection);
    RH_EMU_COUNT(connection->emulator, tokens);
    return true;
}

/* -- SASL PLAIN ------------------------------------------------------------------------------- */

/* authzid NUL authcid NUL password [RFC 4616]; an identity to act as is not ours to give. */
bool rh_emu_token_plain(rh_emu_connection *connection, rh_slice response)
{
    const uint8_t *first = response.n ? memchr(response.p, 0, response.n) : NULL;
    if (!first) return false;
    size_t         left   = response.n - (size_t)(first + 1 - response.p);
    const uint8_t *second = left ? memchr(first + 1, 0, left) : NULL;
    if (!second) return false;
    rh_slice rule = rh_slice_of(first + 1, (size_t)(second - first - 1));
    rh_slice key  = rh_slice_of(second + 1, response.n - (size_t)(second + 1 - response.p));

    /* A comparison that stops at the first wrong byte would tell a patient stranger how far it got. */
    const char *want = connection->emulator->key;
    bool is_key = key.n == strlen(want) && CRYPTO_memcmp(key.p, want, key.n) == 0;
    connection->is_trusted = rh_slice_is(rule, connection->emulator->rule) && is_key;
    return connection->is_trusted;
}

void rh_emu_token_fini(rh_emu_connection *connection)
{
    rh_timer_cancel(connection->emulator->loop, &connection->expiry);
    while (connection->tokens) {
        rh_emu_token *token = connection->tokens;
        connection->tokens  = token->next;
        token_free(connection, token);
    }
}
