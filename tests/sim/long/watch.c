#include "tests/sim/long/watch.h"

static uint32_t u32_at(const uint8_t *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

/* A frame without a body is a heartbeat [2.4.5]; else its body begins with a described type: 0x00, 0x53, code. */
static uint8_t code_of(const sim_lane *lane)
{
    size_t body = (size_t)lane->head[4] * 4;
    return lane->have >= body + 3 ? lane->head[body + 2] : SIM_HEARTBEAT;
}

static void whole(sim_lane *lane, const sim_wire *wire, int end, sim_frame_fn on_frame, void *user)
{
    rh_time   now   = wire->sim->now;
    sim_frame frame = { .wire = wire, .end = end, .head = lane->head, .n = lane->have };
    if (memcmp(lane->head, "AMQP", 4) == 0 || lane->head[5] != 0) return; /* a protocol header, or SASL */
    frame.code    = code_of(lane);
    frame.channel = (uint16_t)(lane->head[6] << 8 | lane->head[7]);
    if (lane->opened && now - lane->last_at > lane->gap_most) lane->gap_most = now - lane->last_at;
    if (frame.code == SIM_PERF_OPEN) lane->opened = true;
    lane->last_at = now;
    lane->frames++;
    lane->heartbeats += frame.code == SIM_HEARTBEAT;
    if (on_frame) on_frame(user, &frame);
}

static size_t take(sim_lane *lane, const uint8_t *bytes, size_t n)
{
    size_t want = lane->sized ? (size_t)lane->left : 8 - lane->have;
    size_t used = n < want ? n : want, room = sizeof lane->head - lane->have;
    size_t kept = used < room ? used : room;
    memcpy(lane->head + lane->have, bytes, kept);
    lane->have += kept;
    if (lane->sized) lane->left -= used;
    else if (lane->have == 8) {
        lane->sized = true;
        lane->left  = memcmp(lane->head, "AMQP", 4) == 0 ? 0 : u32_at(lane->head) - 8;
    }
    return used;
}

void sim_watch_bytes(sim_watch *watch, const sim_wire *wire, int end, const uint8_t *bytes, size_t n, sim_frame_fn on_frame, void *user)
{
    sim_lane *lane = &watch->lanes[end];
    while (n) {
        size_t used = take(lane, bytes, n);
        bytes += used;
        n -= used;
        if (!lane->sized || lane->left) continue;
        whole(lane, wire, end, on_frame, user);
        lane->have  = 0;
        lane->sized = false;
    }
}
