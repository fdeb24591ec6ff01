#include "fuzz/kit/world.h"

#include "fuzz/kit/careless.h"
#include "fuzz/kit/lent.h"
#include "fuzz/kit/story.h"
#include "fuzz/kit/witness.h"
#include "fuzz/oracle.h"

#include <stdio.h>

enum { OUR_FRAME_MAX = 1024, GATHER = 700, MESSAGE_MAX = 1500, MEMORY = 1 << 16, ROOM = 1 << 15, LOAN = 1 << 12, PAYLOAD = 2000, KNOWN = 4 };

enum { WHEN_CARELESS = 0xfe }; /* in w.inside, where no act is this */

static struct {
    rh_engine  *engine;
    rh_session *session;
    rh_link    *link, *known[KNOWN];
    rh_time     now;
    uint32_t    sent, told, begun, ended, attached, detached, closed;
    uint32_t    last_id;
    size_t      wire_n;
    uint8_t     inside; /* what to do in the next callback */
    uint8_t     met;
    bool        no_room, room_is_lent, loan_is_lent, ending;
    bool        inside_now; /* a callback */
    bool        mute;       /* the owner listens to nothing, and counts nothing */
} w;

static struct witness witness;
static bool           traces;

_Alignas(16) static uint8_t memory[MEMORY];
static uint8_t payload[PAYLOAD], gather[GATHER], wire[1 << 16];
KIT_LENT(input, 1 << 16);
KIT_LENT(room, ROOM);
KIT_LENT(loan, LOAN);

static void act(uint8_t what);

static void in_callback(void)
{
    uint8_t what = w.inside;
    w.inside     = 0;
    if (what == 0) return;
    w.inside_now = true;
    if (what == WHEN_CARELESS) kit_careless(4, &(struct kit_cared){ .engine = w.engine, .now = w.now, .inside = true });
    else act(what);
    w.inside_now = false;
}

/* What is lent for a callback can be read in it. */
static void read_all(rh_slice bytes)
{
    for (size_t i = 0; i < bytes.n; i++) (void)*(const volatile uint8_t *)&bytes.p[i];
}

/* -- what the engine tells --------------------------------------------------------------------- */

static uint8_t on_sasl(void *user, rh_engine *engine, rh_slice mechanism, rh_slice response)
{
    (void)user, (void)engine, (void)mechanism;
    in_callback();
    return response.n > 0 && response.p[0] == '!' ? 1 : 0;
}

static void on_open(void *user, rh_engine *engine, const rh_amqp_open *open)
{
    (void)user, (void)engine, (void)open;
    in_callback();
}

static void on_begin(void *user, rh_session *session)
{
    (void)user;
    if (rh_session_user(session) == NULL) w.begun++, rh_session_set_user(session, &w);
    REQUIRE(rh_session_engine(session) == w.engine);
    w.session = session;
    in_callback();
}

static void on_end(void *user, rh_session *session, const rh_error *error)
{
    (void)user, (void)error;
    w.ended += rh_session_user(session) != NULL;
    in_callback();
}

static void meet(rh_link *link)
{
    w.link = w.known[w.met++ % KNOWN] = link;
}

static rh_link_opts receiving(void)
{
    return (rh_link_opts){ .gather = gather, .gather_n = sizeof gather, .max_message_size = MESSAGE_MAX };
}

static void on_attach(void *user, rh_link *link, const rh_amqp_attach *attach)
{
    (void)user;
    meet(link);
    if (rh_link_is_pending(link)) {
        rh_link_opts opts    = receiving();
        opts.source_raw      = attach->source;
        opts.target_raw      = attach->target;
        opts.reject_oversize = attach->handle & 1;
        if (attach->handle & 2) opts.gather = NULL;
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

static void on_link(void *user, rh_link *link)
{
    (void)user, (void)link;
    in_callback();
}

static void on_gather(void *user, rh_link *link)
{
    (void)user;
    if (w.last_id & 1) (void)rh_link_gather(link, gather, sizeof gather);
    in_callback();
}

static void on_delivery(void *user, rh_link *link, const rh_incoming *incoming)
{
    (void)user;
    REQUIRE(incoming->payload.n <= MESSAGE_MAX && incoming->tag.n <= 32);
    REQUIRE(!incoming->gathered || incoming->payload.n <= GATHER);
    read_all(incoming->payload);
    read_all(incoming->tag);
    w.link    = link;
    w.last_id = incoming->delivery_id;
    in_callback();
}

static void on_outcome(void *user, rh_link *link, rh_delivery *delivery, const rh_outcome *outcome)
{
    (void)user, (void)link;
    REQUIRE(rh_delivery_user(delivery) == &w);
    REQUIRE(outcome->kind <= RH_UNKNOWN);
    read_all(outcome->condition);
    read_all(outcome->description);
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

/* RH_TRACE=1: for whoever looks at a finding. */
static void trace(bool outgoing, uint16_t channel, rh_slice body)
{
    char text[400];
    rh_performative_print(body, text, sizeof text);
    fprintf(stderr, "%s %u %s\n", outgoing ? "->" : "<-", channel, text);
}

static void on_frame(void *user, rh_engine *engine, bool outgoing, uint8_t type, uint16_t channel, rh_slice body)
{
    (void)user, (void)engine;
    if (traces) trace(outgoing, channel, body);
    kit_witness_frame(&witness, outgoing, type, channel, body);
}

static void *on_room(void *user, rh_engine *engine, size_t n)
{
    (void)user, (void)engine;
    REQUIRE(!w.room_is_lent && n <= ROOM);
    if (w.no_room) return NULL;
    w.room_is_lent = true;
    return KIT_LEND(room, n);
}

static void on_room_back(void *user, rh_engine *engine, void *back, size_t n)
{
    (void)user, (void)engine;
    REQUIRE(w.room_is_lent && back == room + sizeof room - KIT_GUARD - n);
    KIT_RETURN(room, n);
    w.room_is_lent = false;
}

static const rh_engine_handler handler = { .on_sasl = on_sasl, .on_open = on_open, .on_begin = on_begin, .on_end = on_end, .on_attach = on_attach,
                                           .on_detach = on_detach, .on_credit = on_link, .on_drained = on_link, .on_gather = on_gather,
                                           .on_delivery = on_delivery, .on_outcome = on_outcome, .on_close = on_close, .on_frame = on_frame,
                                           .on_room = on_room, .on_room_back = on_room_back };
static const rh_engine_handler mute    = { .on_frame = on_frame, .on_room = on_room, .on_room_back = on_room_back };

/* -- what leaves ------------------------------------------------------------------------------- */

/* Takes at most max pieces; what was cut is looked at when it is a whole frame. */
static bool take(size_t max)
{
    rh_iov iov[32];
    size_t count = rh_engine_output(w.engine, iov, max), taken = 0, at = 0, frame;
    for (size_t i = 0; i < count && w.wire_n + iov[i].n <= sizeof wire; i++) {
        memcpy(wire + w.wire_n, iov[i].p, iov[i].n);
        w.wire_n += iov[i].n;
        taken += iov[i].n;
    }
    if (taken) rh_engine_sent(w.engine, taken, w.now);
    for (; (frame = rh_frame_size(wire + at, w.wire_n - at)) > 0 && frame <= w.wire_n - at; at += frame) kit_witness_wire(&witness, wire + at, frame);
    if (at < w.wire_n) memmove(wire, wire + at, w.wire_n - at);
    w.wire_n -= at;
    return taken > 0;
}

/* -- what the owner does ----------------------------------------------------------------------- */

static void send_one(uint8_t what)
{
    static const size_t sizes[] = { 1, 30, 400, 1900 };
    size_t              n = sizes[what & 3], first = n / 3;
    rh_slice            parts[2] = { rh_slice_of(payload, first), rh_slice_of(payload + first, n - first) };
    rh_delivery        *delivery;
    rh_transfer         transfer = { .parts = parts, .part_count = 2, .settled = what & 4, .user = &w };
    if (n == 30) transfer.tag = rh_str("a tag of its own");
    if (rh_link_send(w.link, &transfer, &delivery) != RH_OK) return;
    w.sent++;
    REQUIRE(rh_link_unsettled(w.link) >= rh_link_queued(w.link) && rh_link_queued(w.link) > 0);
    if (what & 8) (void)rh_delivery_abort(delivery);
}

static void attach_one(uint8_t what)
{
    char         name[2] = { (char)('a' + (what & 7)), 0 };
    rh_link_opts opts    = receiving();
    rh_link     *link;
    opts.name            = rh_str(name);
    opts.receiver        = what & 8;
    opts.target_raw      = rh_slice_of("\x00\x53\x29\x45", 4);
    opts.source_raw      = rh_slice_of("\x00\x53\x28\x45", 4);
    if (rh_link_attach(w.session, &opts, &w, &link) != RH_OK) return;
    w.attached++;
    meet(link);
    if (opts.receiver) (void)rh_link_credit(link, 5);
}

/* One loan at a time comes and goes; where links have no slots of their own it is all they have. */
static void lend_or_reclaim(void)
{
    rh_engine_slots slots = { .sessions = 1, .links = 2, .deliveries = 2, .text = 24 };
    size_t          n     = (rh_engine_slots_size(&slots) + 15) / 16 * 16;
    void           *at    = loan + sizeof loan - KIT_GUARD - n;
    if (!w.loan_is_lent) {
        REQUIRE(n <= LOAN && rh_engine_lend(w.engine, KIT_LEND(loan, n), n, &slots) == RH_OK);
        w.loan_is_lent = true;
    } else if (rh_engine_reclaim(w.engine, at) == RH_OK) {
        KIT_RETURN(loan, n);
        w.loan_is_lent = false;
        memset(w.known, 0, sizeof w.known); /* names of what may have been in it */
        w.link    = NULL;
        w.session = NULL;
    }
}

static void begin_one(uint8_t what)
{
    rh_session     *session;
    rh_session_opts opts = { .incoming_window = what & 2 ? 3 : 0, .handle_max = what & 4 ? 1 : 0 };
    if (rh_session_begin(w.engine, what & 1 ? &opts : NULL, &w, &session) != RH_OK) return;
    w.begun++;
    w.session = session;
}

static void settle(uint8_t what)
{
    const char *condition = what & 2 ? "a:b" : NULL;
    (void)rh_link_settle(w.link, w.last_id, w.last_id + (what & 3), (rh_outcome_kind)(what >> 2 & 3), condition, "c");
}

/* Credit is what the frames say it is, no more and none of it lost. */
static void count_credit(void)
{
    uint32_t left = rh_link_credit_left(w.link);
    if (left == 0 || rh_link_is_receiver(w.link) || !rh_link_is_attached(w.link)) return;
    if (w.ending || rh_engine_phase_of(w.engine) != RH_ENGINE_OPENED) return; /* flows are not looked at any more */
    REQUIRE(kit_witness_credit_is(&witness, rh_link_name(w.link), left + rh_link_queued(w.link)));
}

static void do_another_thing(uint8_t what)
{
    if (what & 1) w.no_room = what & 2;
    else if (what & 2) w.link = w.known[w.met++ % KNOWN];
    if (what & 4) lend_or_reclaim();
    if (what & 8) (void)rh_link_gather(w.link, what & 2 ? gather : NULL, sizeof gather);
    count_credit();
    rh_engine_tick(w.engine, w.now);
}

/* At once, or from the next callback, where bytes may not be moved. */
static void be_careless(uint8_t what)
{
    struct kit_cared on = { .engine = w.engine, .session = w.session, .link = w.link, .now = w.now, .inside = w.inside_now };
    if (what & 8) w.inside = WHEN_CARELESS;
    else kit_careless(what, &on);
}

static void act(uint8_t what)
{
    const rh_link_opts opts = receiving();
    if (traces) fprintf(stderr, "   owner 0x%02x\n", what);
    switch (what >> 4) {
    case 0: send_one(what); break;
    case 1: attach_one(what); break;
    case 2: (void)rh_link_detach(w.link, what & 1, what & 2 ? "amqp:link:stolen" : NULL, "words"); break;
    case 3: w.ending |= rh_session_end(w.session, what & 2 ? "amqp:internal-error" : NULL, "words") == RH_OK; break;
    case 4: (void)rh_engine_close(w.engine, what & 2 ? "amqp:connection:forced" : NULL, "words"); break;
    case 5: (void)rh_link_credit(w.link, what & 15); break;
    case 6: (void)rh_link_drain(w.link); break;
    case 7: settle(what); break;
    case 8: begin_one(what); break;
    case 9: take(1 + (what & 15)); break;
    case 10: w.now += RH_SECONDS(1) << (what & 15), rh_engine_tick(w.engine, w.now); break;
    case 11: w.inside = (uint8_t)(what << 4 | 5); break;
    case 12: w.inside = (uint8_t)(what << 4); break;
    case 13: (void)!rh_link_accept(w.link, &opts); break;
    case 14: (void)rh_link_refuse(w.link, "amqp:not-allowed", "no"); break;
    default: do_another_thing(what); break;
    }
}

/* -- what the peer says ------------------------------------------------------------------------ */

/* The bytes are the engine's until the call returns. */
static void feed(const uint8_t *p, size_t n)
{
    if (n > sizeof input - 2 * KIT_GUARD) n = sizeof input - 2 * KIT_GUARD;
    uint8_t *lent = KIT_LEND(input, n);
    if (n) memcpy(lent, p, n);
    REQUIRE(rh_engine_input(w.engine, lent, n, w.now) <= n);
    KIT_RETURN(input, n);
}

static void say_usual(bool server, uint8_t depth)
{
    uint8_t said[1000];
    feed(said, kit_usual_header(depth, said));
    if (depth >= KIT_DEPTH_ATTACH) feed(said, kit_usual_open(said, sizeof said));
    if (depth >= KIT_DEPTH_DELIVERY) {
        if (!server) begin_one(0), attach_one(0);
        take(32);
        feed(said, kit_usual_link(server, said, sizeof said));
        if (!server) send_one(3);
    }
    if (depth != KIT_DEPTH_SASL) take(32);
}

/* One record; answers how many bytes it had. */
static size_t take_record(const uint8_t *p, size_t left)
{
    uint8_t           out[KIT_RECORD_BYTES];
    struct kit_record record;
    size_t            taken = kit_record_read(p, left, &record, out);
    if (record.kind == KIT_RECORD_ACT) act(record.what);
    else if (record.kind == KIT_RECORD_CARELESS) be_careless(record.what);
    else if (record.bytes.n > 0 || record.kind >= KIT_RECORD_HEADER) feed(record.bytes.p, record.bytes.n);
    return taken;
}

/* -- the run ----------------------------------------------------------------------------------- */

static rh_engine_opts options_of(bool server, uint8_t depth, const uint8_t *data)
{
    static const rh_sasl mechanisms[] = { RH_SASL_ANONYMOUS, RH_SASL_PLAIN, RH_SASL_EXTERNAL, RH_SASL_MSSBCBS };
    rh_engine_opts       opts = { .size = sizeof opts, .server = server, .sessions = 4, .links = 4, .deliveries = 6, .output_bytes = 4096,
                                  .max_frame_size = OUR_FRAME_MAX, .incoming_window = 16 };
    if (data[0] & 1) opts.first_id = UINT32_MAX - 2;
    if (data[0] & 16) opts.pipeline = true;
    if (data[0] & 32) opts.output_lent = true;
    if (data[0] & 64) opts.links = RH_NO_SLOTS;
    if (depth <= 1) opts.sasl = mechanisms[data[1] & 3];
    if (opts.sasl == RH_SASL_PLAIN) opts.sasl_user = rh_str("user"), opts.sasl_password = rh_str("password");
    if (data[1] & 4) opts.hostname = rh_str("host");
    if (data[1] & 8) opts.properties = rh_slice_of("\xc1\x01\x00", 3);
    if (data[1] & 16) opts.idle_time_out_ms = RH_NO_IDLE_TIME_OUT;
    if (data[1] & 32) opts.sasl_response = rh_str("response");
    if (data[1] & 128) opts.output_bytes = opts.max_frame_size = opts.incoming_window = 0, opts.container_id = rh_str("world");
    return opts;
}

static void open_world(bool server, const uint8_t *data)
{
    uint8_t        depth = (uint8_t)kit_depth(data);
    rh_engine_opts opts  = options_of(server, depth, data);
    size_t         n     = rh_engine_size(&opts);
    REQUIRE(n > 0 && n <= MEMORY);
    memset(&w, 0, sizeof w);
    memset(memory, 0xa5, n);
    if (payload[1] == 0) {
        for (size_t i = 0; i < PAYLOAD; i++) payload[i] = (uint8_t)(i * 167 + i / 256);
        traces = getenv("RH_TRACE") != NULL;
    }
    kit_witness_init(&witness, opts.first_id, payload);
    w.now    = RH_SECONDS(1);
    w.mute   = data[1] & 64;
    w.engine = rh_engine_init(memory, n, &opts, w.mute ? &mute : &handler, NULL);
    REQUIRE(w.engine != NULL);
    if (data[0] & 64) lend_or_reclaim();
    say_usual(server, depth);
}

/* Whatever happened, everything that began ends once. */
static void close_world(bool for_a_reason)
{
    const rh_error why = { .status = RH_E_TIMEOUT, .condition = "", .description = "too long" };
    w.no_room = false;
    for (int i = 0; i < 40 && (take(32) || rh_engine_deadline(w.engine) == 0); i++) rh_engine_tick(w.engine, w.now);
    count_credit();
    if (rh_engine_phase_of(w.engine) == RH_ENGINE_OPENED && !rh_engine_wants_output(w.engine)) REQUIRE(kit_witness_is_content(&witness));
    w.inside = 0;
    rh_engine_lost(w.engine, for_a_reason ? &why : NULL);
    rh_engine_tick(w.engine, w.now);
    REQUIRE(!w.room_is_lent && rh_engine_deadline(w.engine) == RH_TIME_NEVER);
    if (w.mute) return;
    REQUIRE(w.told == w.sent);
    REQUIRE(w.ended == w.begun);
    REQUIRE(w.detached == w.attached);
    REQUIRE(w.closed == 1);
}

void kit_world_run(bool server, const uint8_t *data, size_t size)
{
    if (size < 2) return;
    open_world(server, data);
    for (size_t at = 2; at < size;) at += take_record(data + at, size - at);
    close_world(data[0] & 128);
}
