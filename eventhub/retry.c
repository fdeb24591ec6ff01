#include "eventhub/retry.h"

#include "eventhub/connection.h"

#define DELAY_MS     200
#define MAX_DELAY_MS 30000
#define STAYS        RH_SECONDS(10)

bool rh_retry_passes(const rh_error *error)
{
    rh_error_class class = error->error_class;
    /* A broken stream is mended by another one, whoever broke it; but the event that is too large would come again. */
    bool broken = error->status >= RH_E_DECODE && error->status < 400 && error->status != RH_E_MESSAGE_SIZE;
    return broken || class == RH_CLASS_TRANSIENT || class == RH_CLASS_REATTACH || class == RH_CLASS_RECONNECT;
}

bool rh_retry_may(const rh_client *client, uint32_t tries)
{
    if (client->retry.off || client->closing || client->destroyed) return false;
    return client->retry.tries == 0 || tries < client->retry.tries;
}

bool rh_retry_stayed(const rh_client *client, rh_time since)
{
    return rh_loop_now(client->loop) >= rh_time_after(since, STAYS);
}

/* Full jitter: a thousand clients of one service that fell must not come back in one moment. */
static uint64_t draw_ms(rh_client *client, uint32_t tries)
{
    uint32_t random;
    uint64_t most = client->retry.delay_ms ? client->retry.delay_ms : DELAY_MS;
    uint64_t cap  = client->retry.max_delay_ms ? client->retry.max_delay_ms : MAX_DELAY_MS;
    for (uint32_t i = 1; i < tries && most < cap; i++) most *= 2;
    if (most > cap) most = cap;
    rh_loop_random(client->loop, &random, sizeof random);
    return most * random / UINT32_MAX;
}

rh_time rh_retry_wait(rh_client *client, const char *what, uint32_t tries, const rh_error *error)
{
    /* A link that was detached, for being idle mostly, went by a clock of its own and not with a thousand others: once it may come
     * back at once, so that who sends next waits for a round trip and for nothing else. */
    bool     at_once = tries == 1 && error->error_class == RH_CLASS_REATTACH;
    uint64_t ms      = at_once ? 0 : draw_ms(client, tries);
    if (error->retry_after_ms > ms) ms = error->retry_after_ms;
    rh_retry retry = { .what = what, .tries = tries, .wait_ns = RH_MS(ms), .error = error };
    rh_client_log(client, RH_LOG_INFO, "client.retry", what, ": ", error->description);
    if (client->handler.on_retry && !client->destroyed) client->handler.on_retry(client->user, client, &retry);
    return RH_MS(ms);
}
