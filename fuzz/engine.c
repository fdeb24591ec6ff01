/* A whole engine against a peer that says anything, in either role and from one of five depths, while its owner does
 * anything. Whatever comes: each frame that leaves is one, and no larger than agreed; each delivery ends once, each link,
 * session and connection once; and an answer costs a bounded number of bytes.
 *
 * The input: a byte for role and depth, then records. A record of n > 0 bytes is a frame's channel and body, framed here
 * so that mutations reach the inside of it; 0 is followed by what the owner does; 255 by raw bytes. */
#include "fuzz/oracle.h"
#include "proto/proto.h"

enum { PEER_FRAME_MAX = 512, OUR_FRAME_MAX = 1024, GATHER = 700, MEMORY = 1 << 17 };

static struct world {
    rh_engine  *engine;
    rh_session *session;
    rh_link    *link;
    rh_time     now;
    uint32_t    sent, told, begun, ended, attached, detached, closed;
    uint32_t    last_id;
    uint8_t     inside; /* what to do in the next callback */
    uint8_t     gather[GATHER];
    bool        headers, lost;
    void       *room, *loan; /* lent: for output, for links */
    bool        no_room;
    uint32_t    header_bytes;
} w;

static uint8_t memory[MEMORY];
static uint8_t payload[2000];

static void act(uint8_t what);

static void in_callback(void)
{
    uint8_t what = w.inside;
    w.inside     = 0;
    if (what) act(what);
}

static uint8_t on_sasl(void *user, rh_engine *engine, rh_slice mechanism, rh_slice response)
{
    (void)user, (void)engine, (void)mechanism;
    in_callback();
    return response.n > 0 && response.p[0] == '!' ? 1 : 0;
}

static void on_begin(void *user, rh_session *session)
{
    (void)user;
    if (rh_session_user(session) == NULL) w.begun++, rh_session_set_user(session, &w);
    w.session = session;
    in_callback();
}

static void on_end(void *user, rh_session *session, const rh_error *error)
{
    (void)user, (void)error;
    w.ended += rh_session_user(session) != NULL;
    in_callback();
}

static void on_attach(void *user, rh_link *link, const rh_amqp_attach *attach)
{
    (void)user;
    w.link = link;
    if (rh_link_is_pending(link)) {
        rh_link_opts opts = { .source_raw = attach->source, .target_raw = attach->target, .max_message_size = 1500, .reject_oversize = attach->handle & 1,
                              .gather = w.gather, .gather_n = sizeof w.gather };
        w.attached++;
        rh_link_set_user(link, &w);
        if (attach->name.n & 1) (void)!rh_link_accept(link, &opts);
        else if (attach->name.n & 2) (void)rh_link_refuse(link, "amqp:not-allowed", "no");
    }
    (void)rh_link_credit(link, 10);
    in_callback();
}

static void on_detach(void *user, rh_link *link, bool closed, const rh_error *error)
{
    (void)user, (void)closed, (void)error;
    REQUIRE(rh_link_user(link) != NULL);
    REQUIRE(rh_link_unsettled(link) == 0);
    w.detached++;
    in_callback();
}

static void on_delivery(void *user, rh_link *link, const rh_incoming *incoming)
{
    (void)user;
    REQUIRE(incoming->payload.n <= 1500);
    REQUIRE(!incoming->gathered || incoming->payload.n <= GATHER);
    w.link    = link;
    w.last_id = incoming->delivery_id;
    in_callback();
}

static void on_outcome(void *user, rh_link *link, rh_delivery *delivery, const rh_outcome *outcome)
{
    (void)user, (void)link;
    REQUIRE(rh_delivery_user(delivery) == &w);
    REQUIRE(outcome->kind <= RH_UNKNOWN);
    rh_delivery_set_user(delivery, NULL);
    w.told++;
    in_callback();
}

static void on_close(void *user, rh_engine *engine, const rh_error *error)
{
    (void)user, (void)engine, (void)error;
    REQUIRE(w.closed++ == 0);
    in_callback();
}

static void on_link(void *user, rh_link *link)
{
    (void)user, (void)link;
    in_callback();
}

static void on_open(void *user, rh_engine *engine, const rh_amqp_open *open)
{
    (void)user, (void)engine, (void)open;
    in_callback();
}

static void *on_room(void *user, rh_engine *engine, size_t n)
{
    (void)user, (void)engine;
    REQUIRE(w.room == NULL);
    return w.room = w.no_room ? NULL : malloc(n);
}

static void on_room_back(void *user, rh_engine *engine, void *room, size_t n)
{
    (void)user, (void)engine, (void)n;
    REQUIRE(w.room == room);
    free(room);
    w.room = NULL;
}

static const rh_engine_handler handler = { .on_sasl = on_sasl, .on_open = on_open, .on_begin = on_begin, .on_end = on_end, .on_attach = on_attach,
                                           .on_detach = on_detach, .on_credit = on_link, .on_drained = on_link, .on_delivery = on_delivery,
                                           .on_outcome = on_outcome, .on_close = on_close, .on_room = on_room, .on_room_back = on_room_back };

/* -- what leaves ------------------------------------------------------------------------------- */

static void check_frame(const uint8_t *p, size_t n)
{
    static uint64_t fields[64];
    rh_frame        frame;
    if (memcmp(p, "AMQP", 4) == 0) return;
    REQUIRE(n <= PEER_FRAME_MAX);
    REQUIRE(rh_frame_parse(p, n, &frame) == RH_OK);
    if (frame.body.n == 0) return;
    rh_dec          d  = rh_dec_of(frame.body);
    rh_composite_id id = rh_composite_peek(&d);
    REQUIRE(id != RH_AMQP_UNKNOWN);
    REQUIRE(rh_composite_decode(&d, id, fields) == RH_OK);
    REQUIRE(id == RH_AMQP_TRANSFER || rh_dec_left(&d) == 0);
}

/* Takes at most max pieces; what was cut is looked at when it is a whole frame. */
static void take(size_t max)
{
    static uint8_t wire[1 << 16];
    static size_t  n;
    rh_iov         iov[32];
    size_t         count = rh_engine_output(w.engine, iov, max), taken = 0;
    if (!w.headers) n = 0;
    w.headers = true;
    for (size_t i = 0; i < count && n + iov[i].n < sizeof wire; i++) {
        memcpy(wire + n, iov[i].p, iov[i].n);
        n += iov[i].n;
        taken += iov[i].n;
    }
    if (taken) rh_engine_sent(w.engine, taken, w.now);
    size_t at = 0;
    for (;;) {
        size_t frame = rh_frame_size(wire + at, n - at);
        if (frame == 0 || frame > n - at) break;
        check_frame(wire + at, frame);
        at += frame;
    }
    memmove(wire, wire + at, n - at);
    n -= at;
}

/* -- what the owner does ----------------------------------------------------------------------- */

static void send_one(uint8_t what)
{
    static const size_t sizes[] = { 1, 30, 400, 1900 };
    rh_slice            part    = rh_slice_of(payload, sizes[what & 3]);
    rh_delivery        *delivery;
    rh_transfer         transfer = { .parts = &part, .part_count = 1, .settled = what & 4, .user = &w };
    if (rh_link_send(w.link, &transfer, &delivery) != RH_OK) return;
    w.sent++;
    if (what & 8) (void)rh_delivery_abort(delivery);
}

static void attach_one(uint8_t what)
{
    char         name[2]  = { (char)('a' + (what & 7)), 0 };
    rh_link_opts opts     = { .name = rh_str(name), .receiver = what & 8, .target_raw = rh_slice_of("\x00\x53\x29\x45", 4), .source_raw = rh_slice_of("\x00\x53\x28\x45", 4),
                              .gather = w.gather, .gather_n = sizeof w.gather, .max_message_size = 1500 };
    rh_link     *link;
    if (rh_link_attach(w.session, &opts, &w, &link) != RH_OK) return;
    w.attached++;
    w.link = link;
    if (opts.receiver) (void)rh_link_credit(link, 5);
}

/* One loan at a time comes and goes; where links have no slots of their own it is all they have. */
static void lend_or_reclaim(void)
{
    rh_engine_slots slots = { .sessions = 1, .links = 2, .deliveries = 2, .text = 24 };
    size_t          n     = rh_engine_slots_size(&slots);
    if (w.loan == NULL) {
        w.loan = malloc(n);
        REQUIRE(rh_engine_lend(w.engine, w.loan, n, &slots) == RH_OK);
    } else if (rh_engine_reclaim(w.engine, w.loan) == RH_OK) {
        free(w.loan);
        w.loan    = NULL;
        w.link    = NULL; /* names of what may have been in it */
        w.session = NULL;
    }
}

static void begin_one(void)
{
    rh_session *session;
    if (rh_session_begin(w.engine, NULL, &w, &session) != RH_OK) return;
    w.begun++;
    w.session = session;
}

static void act(uint8_t what)
{
    switch (what >> 4) {
    case 0: send_one(what); break;
    case 1: attach_one(what); break;
    case 2: (void)rh_link_detach(w.link, what & 1, what & 2 ? "amqp:link:stolen" : NULL, "words"); break;
    case 3: (void)rh_session_end(w.session, what & 2 ? "amqp:internal-error" : NULL, "words"); break;
    case 4: (void)rh_engine_close(w.engine, what & 2 ? "amqp:connection:forced" : NULL, "words"); break;
    case 5: (void)rh_link_credit(w.link, what & 15); break;
    case 6: (void)rh_link_drain(w.link); break;
    case 7: (void)rh_link_settle(w.link, w.last_id, w.last_id + (what & 3), (rh_outcome_kind)(what >> 2 & 3), "a:b", "c"); break;
    case 8: begin_one(); break;
    case 9: take(1 + (what & 15)); break;
    case 10: w.now += RH_SECONDS(1) << (what & 15), rh_engine_tick(w.engine, w.now); break;
    case 11: w.inside = (uint8_t)(what << 4 | 5); break;
    case 12: w.inside = (uint8_t)(what << 4); break;
    case 13: (void)!rh_link_accept(w.link, &(rh_link_opts){ .gather = w.gather, .gather_n = sizeof w.gather, .max_message_size = 1500 }); break;
    case 14: (void)rh_link_refuse(w.link, "amqp:not-allowed", "no"); break;
    default:
        if (what & 1) w.no_room = what & 2;
        if (what & 4) lend_or_reclaim();
        if (w.inside == 0) rh_engine_tick(w.engine, w.now);
        break;
    }
}

/* -- what the peer says ------------------------------------------------------------------------ */

/* In memory of its own: a byte read beyond it is found. */
static void say(const uint8_t *p, size_t n)
{
    uint8_t *exact = malloc(n ? n : 1);
    if (n) memcpy(exact, p, n);
    REQUIRE(rh_engine_input(w.engine, exact, n, w.now) <= n);
    free(exact);
}

static void say_frame(uint8_t type, uint16_t channel, const uint8_t *body, size_t n)
{
    uint8_t frame[OUR_FRAME_MAX];
    rh_frame_put(frame, (uint32_t)(8 + n), type, channel);
    memcpy(frame + 8, body, n);
    say(frame, 8 + n);
}

static void say_list(uint8_t type, rh_composite_id id, const void *fields)
{
    uint8_t body[400];
    rh_enc  e = rh_enc_of(body, sizeof body);
    rh_composite_encode(&e, id, fields);
    say_frame(type, 0, body, rh_enc_size(&e));
}

static void say_usual(bool server, uint8_t depth)
{
    rh_amqp_open   open   = { .has = RH_HAS_OPEN_MAX_FRAME_SIZE, .container_id = rh_str("peer"), .max_frame_size = PEER_FRAME_MAX };
    rh_amqp_begin  begin  = { .has = RH_HAS_BEGIN_NEXT_OUTGOING_ID | RH_HAS_BEGIN_INCOMING_WINDOW | RH_HAS_BEGIN_OUTGOING_WINDOW, .incoming_window = 20 };
    rh_amqp_attach attach = { .has = RH_HAS_ATTACH_HANDLE | RH_HAS_ATTACH_ROLE | RH_HAS_ATTACH_INITIAL_DELIVERY_COUNT, .name = rh_str("a"),
                              .source = rh_slice_of("\x00\x53\x28\x45", 4), .target = rh_slice_of("\x00\x53\x29\x45", 4), .role = !server };
    rh_amqp_flow   flow   = { .has = 0xff, .incoming_window = 20, .link_credit = 8 };
    rh_amqp_transfer transfer = { .has = RH_HAS_TRANSFER_HANDLE | RH_HAS_TRANSFER_DELIVERY_ID | RH_HAS_TRANSFER_MORE, .delivery_tag = rh_str("t"), .more = true };
    if (depth == 1) {
        say((const uint8_t *)"AMQP\3\1\0\0", 8);
        return;
    }
    if (depth >= 2) say((const uint8_t *)"AMQP\0\1\0\0", 8);
    if (depth >= 3) say_list(0, RH_AMQP_OPEN, &open);
    if (depth >= 4) {
        if (!server) begin_one(), attach_one(0), begin.has |= RH_HAS_BEGIN_REMOTE_CHANNEL;
        take(32);
        say_list(0, RH_AMQP_BEGIN, &begin);
        say_list(0, RH_AMQP_ATTACH, &attach);
        say_list(0, server ? RH_AMQP_TRANSFER : RH_AMQP_FLOW, server ? (const void *)&transfer : (const void *)&flow);
    }
    take(32);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2) return 0;
    bool           server = data[0] & 1;
    uint8_t        depth  = (uint8_t)((data[0] >> 1) % 5);
    rh_engine_opts opts   = { .size = sizeof opts, .server = server, .pipeline = data[0] & 16, .sessions = 3, .links = 4, .deliveries = 6, .output_bytes = 4096,
                              .max_frame_size = OUR_FRAME_MAX, .incoming_window = 16, .sasl = depth <= 1 ? RH_SASL_ANONYMOUS : RH_SASL_NONE, .first_id = UINT32_MAX - 2 };
    if (data[0] & 32) opts.output_lent = true;
    if (data[0] & 64) opts.links = RH_NO_SLOTS;
    memset(&w, 0, sizeof w);
    w.now    = RH_SECONDS(1);
    w.engine = rh_engine_init(memory, sizeof memory, &opts, &handler, NULL);
    REQUIRE(w.engine != NULL);
    if (data[0] & 64) lend_or_reclaim();
    say_usual(server, depth);
    size_t at = 1;
    while (at < size) {
        size_t n = data[at++];
        if (n == 0) {
            if (at < size) act(data[at++]);
        } else if (n == 255) {
            say(data + at, size - at);
            at = size;
        } else if (at < size) {
            uint16_t channel = data[at] >> 6;
            uint8_t  type    = data[at++] & 1;
            if (n > size - at) n = size - at;
            say_frame(type, channel, data + at, n);
            at += n;
        }
    }
    w.no_room = false;
    for (int i = 0; i < 40; i++) {
        take(32);
        rh_engine_tick(w.engine, w.now);
    }
    w.inside = 0;
    rh_engine_lost(w.engine, NULL);
    rh_engine_tick(w.engine, w.now);
    REQUIRE(w.told == w.sent);
    REQUIRE(w.ended == w.begun);
    REQUIRE(w.detached == w.attached);
    REQUIRE(w.closed == 1);
    REQUIRE(w.room == NULL);
    free(w.loan);
    return 0;
}
