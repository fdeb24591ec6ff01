#include "tests/sim/long/tokens.h"

/* Expiry is told in whole seconds. */
#define SECOND RH_SECONDS(1)

static const uint8_t *find(const sim_frame *frame, const char *text)
{
    size_t n = strlen(text);
    for (size_t i = 0; i + n <= frame->n; i++)
        if (memcmp(frame->head + i, text, n) == 0) return frame->head + i;
    return NULL;
}

static sim_audience *audience_of(sim_tokens *tokens, uint32_t wire, const uint8_t *name, size_t n)
{
    for (size_t i = 0; i < tokens->count; i++) {
        sim_audience *a = &tokens->audiences[i];
        if (a->wire == wire && strlen(a->name) == n && memcmp(a->name, name, n) == 0) return a;
    }
    if (tokens->count == SIM_AUDIENCES || n >= sizeof tokens->audiences[0].name) return NULL;
    sim_audience *a = &tokens->audiences[tokens->count++];
    *a              = (sim_audience){ .wire = wire };
    memcpy(a->name, name, n);
    return a;
}

static void judge(sim_tokens *tokens, sim_stand *stand, const sim_audience *a, rh_time since)
{
    rh_time least = tokens->lifetime / 100 * 75 - SECOND, most = tokens->lifetime / 100 * 90 + tokens->slack + SECOND;
    if (since < least || since > most)
        sim_wrong(stand, "%s: a token was put %.3f s after the last one, which lived for %.0f s", a->name, (double)since / 1e9, (double)tokens->lifetime / 1e9);
    if (tokens->least == 0 || since < tokens->least) tokens->least = since;
    if (since > tokens->most) tokens->most = since;
}

void sim_tokens_frame(sim_tokens *tokens, sim_stand *stand, const sim_frame *frame)
{
    if (frame->end != SIM_SERVER || frame->code != SIM_PERF_TRANSFER || !find(frame, "put-token")) return;
    const uint8_t *name = find(frame, "sb://");
    if (!name || name[-2] != 0xa1) { /* a short string, its size before it */
        sim_wrong(stand, "a put-token without an audience");
        return;
    }
    sim_audience *a = audience_of(tokens, frame->wire->id, name, name[-1]);
    if (!a) {
        sim_wrong(stand, "more audiences than expected");
        return;
    }
    if (a->puts++) judge(tokens, stand, a, sim_now(stand) - a->last_at);
    a->last_at = sim_now(stand);
    tokens->puts++;
}
