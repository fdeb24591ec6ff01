#include "tests/sim/phase.h"

static uint32_t u32_at(const uint8_t *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static bool names_cbs(const uint8_t *p, size_t n)
{
    for (size_t i = 0; i + 4 <= n; i++)
        if (memcmp(p + i, "$cbs", 4) == 0) return true;
    return false;
}

/* The descriptors of [2.7] and [5.3.3]. */
enum { OPEN = 0x10, BEGIN, ATTACH, FLOW, TRANSFER, DISPOSITION, DETACH, END, CLOSE, SASL_OUTCOME = 0x44 };

static void client_sent(sim_progress *p, uint8_t code, uint16_t channel, const uint8_t *body, size_t n)
{
    bool is_cbs = p->has_cbs && p->cbs == channel;
    if (code == ATTACH && names_cbs(body, n)) {
        p->cbs     = channel;
        p->has_cbs = true;
    } else if (code == ATTACH && p->phase >= SIM_ATTACH) p->phase = SIM_ATTACH;
    else if (code == TRANSFER && is_cbs && p->phase > SIM_ATTACH) p->phase = SIM_CBS; /* a token is renewed */
    else if (code == TRANSFER && !is_cbs && p->phase == SIM_CLOSE) p->phase = SIM_STEADY;
    else if (code >= DETACH && code <= CLOSE) p->phase = SIM_CLOSE;
}

static void server_sent(sim_progress *p, uint8_t code, uint16_t channel)
{
    bool is_cbs = p->has_cbs && p->cbs == channel;
    if (code == SASL_OUTCOME) p->phase = SIM_OPEN;
    else if (code == OPEN) p->phase = SIM_CBS;
    else if (code == TRANSFER && is_cbs) p->phase = SIM_ATTACH;
    else if ((code == ATTACH || code == TRANSFER || code == DISPOSITION) && !is_cbs && p->phase != SIM_DRAIN) p->phase = SIM_STEADY;
}

/* Ids start again with each session, so an answer is worth nothing behind its end. */
static void remember(sim_progress *p, bool from_server, uint8_t code, uint16_t channel, const uint8_t *frame, size_t n, size_t whole)
{
    bool ends = code == 0x11 || code >= DETACH;
    if (ends && p->answer_n && p->answer_channel == channel) p->answer_n = 0;
    if (!from_server || code != DISPOSITION || whole > SIM_ANSWER_MAX || n < whole) return;
    memcpy(p->answer, frame, whole);
    p->answer_n       = whole;
    p->answer_channel = channel;
}

void sim_progress_beyond(sim_progress *p)
{
    /* [2.7.6] role receiver, first, last, settled, accepted; no session of ours comes near these ids. */
    static const uint8_t body[] = {
        0x00, 0x53, 0x15, 0xc0, 17, 5, 0x41, 0x70, 0x40, 0, 0, 0, 0x70, 0x5f, 0xff, 0xff, 0xff, 0x41, 0x00, 0x53, 0x24, 0x45,
    };
    uint8_t *f = p->answer;
    p->answer_n = 8 + sizeof body;
    memset(f, 0, 8);
    f[3] = (uint8_t)p->answer_n;
    f[4] = 2;
    f[6] = (uint8_t)(p->answer_channel >> 8);
    f[7] = (uint8_t)p->answer_channel;
    memcpy(f + 8, body, sizeof body);
}

static void classify(const sim_scanner *scanner, sim_progress *progress, bool from_server)
{
    const uint8_t *p = scanner->head;
    if (memcmp(p, "AMQP", 4) == 0) {
        if (!from_server && progress->phase < SIM_SASL) progress->phase = SIM_SASL;
        return;
    }
    size_t body = (size_t)p[4] * 4;
    if (scanner->have < body + 3) return; /* a heartbeat has no body */
    uint16_t channel = (uint16_t)(p[6] << 8 | p[7]);
    remember(progress, from_server, p[body + 2], channel, p, scanner->have, u32_at(p));
    if (from_server) server_sent(progress, p[body + 2], channel);
    else client_sent(progress, p[body + 2], channel, p + body, scanner->have - body);
}

static size_t keep(sim_scanner *scanner, const uint8_t *bytes, size_t n)
{
    size_t room = sizeof scanner->head - scanner->have;
    size_t take = n < room ? n : room;
    memcpy(scanner->head + scanner->have, bytes, take);
    scanner->have += take;
    return n;
}

sim_phase sim_scan(sim_scanner *scanner, sim_progress *progress, bool from_server, const uint8_t *bytes, size_t n)
{
    while (n) {
        bool   sized = scanner->have >= 8;
        size_t want  = sized ? (size_t)scanner->left : 8 - scanner->have;
        size_t take  = keep(scanner, bytes, n < want ? n : want);
        bytes += take;
        n -= take;
        if (sized) scanner->left -= take;
        else if (scanner->have == 8) scanner->left = memcmp(scanner->head, "AMQP", 4) == 0 ? 0 : u32_at(scanner->head) - 8;
        if (scanner->have < 8 || scanner->left) continue;
        classify(scanner, progress, from_server);
        scanner->have = 0;
    }
    return progress->phase;
}
