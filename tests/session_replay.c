#include "tests/session_replay.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <xxhash.h>

enum { CHANNELS = 16, HANDLES = 16, ARRIVALS = 128, STORY_MAX = 1 << 17, SAID_MAX = 1 << 17, ARENA = 1 << 18 };

static char    story_text[STORY_MAX];
static uint8_t said_bytes[SAID_MAX];
static uint8_t arena[ARENA], gather[1 << 16], payloads[1 << 16];

static struct {
    const struct replay_opts *opts;
    const struct tape_said   *in, *own;
    rh_engine                *engine;
    struct replay             result;
    size_t                    story_n, said_n, payload_n;
    uint8_t                   sasl_code;
    rh_session               *begun[CHANNELS], *session[CHANNELS];
    rh_link                  *link[CHANNELS][HANDLES];
    rh_link                  *asked[ARRIVALS]; /* the peer's attaches, to be answered by ours */
    uint32_t                  asked_count, answered_begins;
    struct {
        rh_link *link;
        uint32_t id;
    } arrival[ARRIVALS];
    uint32_t arrivals;
    size_t   half; /* where the payload starts that is put together */
} r;

static void tell(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    size_t room = STORY_MAX - r.story_n;
    int    n    = vsnprintf(story_text + r.story_n, room, format, arguments);
    va_end(arguments);
    if (n < 0 || (size_t)n >= room) abort();
    r.story_n += (size_t)n;
}

#define TEXT(slice) (int)(slice).n, (slice).p ? (const char *)(slice).p : ""

static void expect_ok(const char *call, rh_status status)
{
    if (status == RH_OK) return;
    r.result.refused = true;
    tell("%s: %s\n", call, rh_status_name(status));
}

/* -- what the engine tells --------------------------------------------------------------------- */

static uint8_t on_sasl(void *user, rh_engine *engine, rh_slice mechanism, rh_slice response)
{
    (void)user, (void)engine;
    tell("sasl %.*s %zu\n", TEXT(mechanism), response.n);
    return r.sasl_code;
}

static void on_open(void *user, rh_engine *engine, const rh_amqp_open *open)
{
    (void)user, (void)engine;
    tell("open %.*s %u\n", TEXT(open->container_id), open->max_frame_size);
}

static void on_begin(void *user, rh_session *session)
{
    (void)user;
    if (r.result.begins >= CHANNELS) abort();
    r.begun[r.result.begins++] = session;
    tell("begin\n");
}

static void on_end(void *user, rh_session *session, const rh_error *error)
{
    (void)user, (void)session;
    tell("end %s %s %s\n", rh_status_name(error->status), error->condition, error->description);
}

static void on_attach(void *user, rh_link *link, const rh_amqp_attach *attach)
{
    (void)user;
    r.result.attaches++;
    tell("attach %.*s %d source %zu target %zu properties %zu\n", TEXT(attach->name), attach->role, attach->source.n, attach->target.n,
         attach->properties.n);
    if (!rh_link_is_pending(link)) return;
    if (r.asked_count >= ARRIVALS) abort();
    r.asked[r.asked_count++] = link;
}

static void on_detach(void *user, rh_link *link, bool closed, const rh_error *error)
{
    (void)user;
    rh_slice name = rh_link_name(link);
    tell("detach %.*s %d %s %s %s\n", TEXT(name), closed, rh_status_name(error->status), error->condition, error->description);
}

static void on_credit(void *user, rh_link *link)
{
    (void)user;
    tell("credit %u\n", rh_link_credit_left(link));
}

static void on_drained(void *user, rh_link *link)
{
    (void)user, (void)link;
    tell("drained\n");
}

static void on_delivery(void *user, rh_link *link, const rh_incoming *incoming)
{
    (void)user;
    r.result.deliveries++;
    tell("delivery %u format %x tag %zu settled %d gathered %d: %zu %016llx\n", incoming->delivery_id - r.opts->first_id, incoming->message_format,
         incoming->tag.n, incoming->settled, incoming->gathered, incoming->payload.n,
         (unsigned long long)XXH3_64bits(incoming->payload.p, incoming->payload.n));
    if (r.arrivals >= ARRIVALS) abort();
    r.arrival[r.arrivals].link = link;
    r.arrival[r.arrivals++].id = incoming->delivery_id;
}

static void on_outcome(void *user, rh_link *link, rh_delivery *delivery, const rh_outcome *outcome)
{
    (void)user, (void)link, (void)delivery;
    r.result.outcomes++;
    tell("outcome %d %.*s %.*s\n", outcome->kind, TEXT(outcome->condition), TEXT(outcome->description));
}

static void on_close(void *user, rh_engine *engine, const rh_error *error)
{
    (void)user, (void)engine;
    r.result.closed = error->status;
    tell("close %s %s %s\n", rh_status_name(error->status), error->condition, error->description);
}

static void on_frame(void *user, rh_engine *engine, bool outgoing, uint8_t type, uint16_t channel, rh_slice body)
{
    (void)user, (void)engine, (void)body;
    if (!outgoing) tell("frame %u %u\n", type, channel);
}

static const rh_engine_handler handler = { .on_sasl = on_sasl, .on_open = on_open, .on_begin = on_begin, .on_end = on_end, .on_attach = on_attach,
                                           .on_detach = on_detach, .on_credit = on_credit, .on_drained = on_drained,
                                           .on_delivery = on_delivery, .on_outcome = on_outcome, .on_close = on_close, .on_frame = on_frame };

/* -- what its owner does ----------------------------------------------------------------------- */

/* Of a detach, an end or a close; "" when there are none, NULL where the engine wants none. */
static const char *words_of(rh_slice encoded, char *description, size_t n)
{
    static char   condition[64];
    rh_amqp_error error;
    description[0] = 0;
    if (encoded.p == NULL || rh_amqp_error_view(encoded, &error) != RH_OK) return NULL;
    snprintf(condition, sizeof condition, "%.*s", TEXT(error.condition));
    snprintf(description, n, "%.*s", TEXT(error.description));
    return condition;
}

static void act_begin(uint16_t channel, const rh_amqp_begin *begin)
{
    if (begin->has & RH_HAS_BEGIN_REMOTE_CHANNEL) r.session[channel] = r.begun[r.answered_begins++];
    else expect_ok("begin", rh_session_begin(r.engine, &(rh_session_opts){ .incoming_window = 2048 }, NULL, &r.session[channel]));
}

static void options_of(const rh_amqp_attach *attach, rh_link_opts *opts)
{
    *opts = (rh_link_opts){ .name = attach->name, .receiver = attach->role, .snd_settle_mode = attach->snd_settle_mode, .rcv_settle_mode = attach->rcv_settle_mode,
                            .source_raw = attach->source, .target_raw = attach->target, .properties = attach->properties,
                            .desired_capabilities = attach->desired_capabilities, .offered_capabilities = attach->offered_capabilities,
                            .max_message_size = attach->max_message_size, .gather = gather, .gather_n = sizeof gather };
}

static rh_link *asked_for(rh_session *session, const rh_amqp_attach *attach)
{
    for (uint32_t i = 0; i < r.asked_count; i++) {
        rh_link *link = r.asked[i];
        bool     same = rh_link_session(link) == session && rh_slice_equal(rh_link_name(link), attach->name);
        if (same && rh_link_is_receiver(link) == attach->role && rh_link_is_pending(link)) return link;
    }
    return NULL;
}

/* The words of a refusal are those of the detach that follows. */
static void refuse(rh_link *link, const struct tape_frame *frame, uint16_t channel, uint32_t handle)
{
    uint64_t        fields[TAPE_FIELDS];
    rh_amqp_detach *detach = (void *)fields;
    uint16_t        other;
    rh_slice        payload;
    char            words[512] = "";
    const char     *condition  = NULL;
    while (++frame < r.own->frames + r.own->count)
        if (tape_performative(frame, &other, fields, &payload) == RH_AMQP_DETACH && other == channel && detach->handle == handle) {
            condition = words_of(detach->error, words, sizeof words);
            break;
        }
    expect_ok("refuse", rh_link_refuse(link, condition, words));
}

static void act_attach(const struct tape_frame *frame, uint16_t channel, const rh_amqp_attach *attach)
{
    rh_link_opts opts;
    rh_session  *session = r.session[channel];
    rh_link     *link    = asked_for(session, attach), **at = &r.link[channel][attach->handle];
    bool         refuses = attach->role ? attach->target.p == NULL : attach->source.p == NULL;
    if (attach->handle >= HANDLES) abort();
    options_of(attach, &opts);
    if (link && refuses) refuse(link, frame, channel, attach->handle);
    else if (link) expect_ok("accept", rh_link_accept(link, &opts));
    else expect_ok("attach", rh_link_attach(session, &opts, NULL, &link));
    *at = link;
}

/* Credit is a receiver's; the rest of a flow the engine says by itself. */
static void act_flow(uint16_t channel, const rh_amqp_flow *flow)
{
    rh_link *link = (flow->has & RH_HAS_FLOW_HANDLE) ? r.link[channel][flow->handle % HANDLES] : NULL;
    if (link == NULL || !rh_link_is_receiver(link)) return;
    expect_ok("credit", rh_link_credit(link, flow->link_credit));
    if (flow->drain) expect_ok("drain", rh_link_drain(link));
}

static void act_transfer(uint16_t channel, const rh_amqp_transfer *transfer, rh_slice payload)
{
    if (r.payload_n + payload.n > sizeof payloads) abort();
    memcpy(payloads + r.payload_n, payload.p, payload.n);
    r.payload_n += payload.n;
    if (transfer->more) return;
    rh_slice    part = rh_slice_of(payloads + r.half, r.payload_n - r.half);
    rh_transfer sent = { .parts = &part, .part_count = 1, .message_format = transfer->message_format, .settled = transfer->settled };
    rh_status   status = rh_link_send(r.link[channel][transfer->handle % HANDLES], &sent, &(rh_delivery *){ NULL });
    r.half             = r.payload_n;
    r.result.sends += status == RH_OK;
    expect_ok("send", status);
}

static rh_outcome_kind outcome_of(rh_slice state)
{
    rh_dec d = rh_dec_of(state);
    switch (rh_composite_peek(&d)) {
    case RH_AMQP_ACCEPTED: return RH_ACCEPTED;
    case RH_AMQP_REJECTED: return RH_REJECTED;
    case RH_AMQP_RELEASED: return RH_RELEASED;
    case RH_AMQP_MODIFIED: return RH_MODIFIED;
    default: return RH_SETTLED;
    }
}

static void act_disposition(uint16_t channel, const rh_amqp_disposition *disposition)
{
    char             words[256]   = "";
    const char      *condition    = NULL;
    rh_outcome_kind  kind         = outcome_of(disposition->state);
    uint32_t         last         = (disposition->has & RH_HAS_DISPOSITION_LAST) ? disposition->last : disposition->first;
    rh_amqp_rejected rejected;
    if (!disposition->role) return;
    if (kind == RH_REJECTED && rh_amqp_rejected_view(disposition->state, &rejected) == RH_OK) condition = words_of(rejected.error, words, sizeof words);
    for (uint32_t i = 0; i < r.arrivals; i++) {
        rh_link *link = r.arrival[i].link;
        if (r.arrival[i].id != disposition->first || rh_link_session(link) != r.session[channel]) continue;
        expect_ok("settle", rh_link_settle(link, disposition->first, last, kind, condition, words));
        return;
    }
    expect_ok("settle", RH_E_STATE);
}

/* What answers the peer's goodbye the engine has said already: then these find nothing more to do. */
static void act_goodbye(uint16_t channel, rh_composite_id id, const void *fields)
{
    const rh_amqp_detach *detach = fields;
    char                  words[512];
    if (id == RH_AMQP_DETACH) {
        const char *condition = words_of(detach->error, words, sizeof words);
        rh_link_detach(r.link[channel][detach->handle % HANDLES], detach->closed, condition, words);
    } else if (id == RH_AMQP_END) {
        const char *condition = words_of(((const rh_amqp_end *)fields)->error, words, sizeof words);
        rh_session_end(r.session[channel], condition, words);
    } else {
        const char *condition = words_of(((const rh_amqp_close *)fields)->error, words, sizeof words);
        rh_engine_close(r.engine, condition, words);
    }
}

static void act(const struct tape_frame *frame)
{
    uint64_t        fields[TAPE_FIELDS];
    uint16_t        channel;
    rh_slice        payload;
    rh_composite_id id = tape_performative(frame, &channel, fields, &payload);
    if (id > RH_AMQP_CLOSE || id == RH_AMQP_OPEN) return;
    if (channel >= CHANNELS) abort();
    switch (id) {
    case RH_AMQP_BEGIN: act_begin(channel, (void *)fields); break;
    case RH_AMQP_ATTACH: act_attach(frame, channel, (void *)fields); break;
    case RH_AMQP_FLOW: act_flow(channel, (void *)fields); break;
    case RH_AMQP_TRANSFER: act_transfer(channel, (void *)fields, payload); break;
    case RH_AMQP_DISPOSITION: act_disposition(channel, (void *)fields); break;
    default: act_goodbye(channel, id, fields); break;
    }
}

/* -- turning ------------------------------------------------------------------------------------ */

static void drain(void)
{
    rh_iov iov[32];
    for (;;) {
        size_t count = rh_engine_output(r.engine, iov, 32), n = 0;
        for (size_t i = 0; i < count; i++) {
            if (r.said_n + iov[i].n > SAID_MAX) abort();
            memcpy(said_bytes + r.said_n, iov[i].p, iov[i].n);
            r.said_n += iov[i].n;
            n += iov[i].n;
        }
        if (n) rh_engine_sent(r.engine, n, RH_SECONDS(1));
        if (rh_engine_deadline(r.engine) <= RH_SECONDS(1)) rh_engine_tick(r.engine, RH_SECONDS(1));
        if (n == 0) return;
    }
}

/* The next place up to which bytes are fed at once. */
static size_t next_piece(size_t at, size_t limit, size_t *cut)
{
    const struct replay_opts *opts = r.opts;
    while (*cut < opts->cut_count && opts->cuts[*cut] <= at) (*cut)++;
    size_t next = *cut < opts->cut_count && opts->cuts[*cut] < limit ? opts->cuts[*cut] : limit;
    return opts->most && next - at > opts->most ? at + opts->most : next;
}

static void feed(size_t *used, size_t *at, size_t limit, size_t *cut)
{
    while (*at < limit) {
        *at = next_piece(*at, limit, cut);
        *used += rh_engine_input(r.engine, r.in->p + *used, *at - *used, RH_SECONDS(1));
    }
}

static rh_engine_opts engine_opts(void)
{
    rh_engine_opts opts = { .size = sizeof opts, .server = r.opts->role == TAPE_SERVER, .sessions = CHANNELS, .links = 24, .deliveries = 32,
                            .channel_max = 255, .first_id = r.opts->first_id, .output_bytes = 16384 };
    uint64_t       fields[TAPE_FIELDS];
    uint16_t       channel;
    rh_slice       payload;
    for (size_t i = 0; i < r.own->count; i++) {
        rh_composite_id id = tape_performative(&r.own->frames[i], &channel, fields, &payload);
        if (id == RH_AMQP_OPEN) opts.max_frame_size = ((rh_amqp_open *)(void *)fields)->max_frame_size;
        if (id == RH_AMQP_SASL_OUTCOME) r.sasl_code = ((rh_amqp_sasl_outcome *)(void *)fields)->code;
        if (id == RH_AMQP_SASL_MECHANISMS) opts.sasl = RH_SASL_ANONYMOUS;
        if (id == RH_AMQP_SASL_INIT) opts.sasl = rh_slice_is(((rh_amqp_sasl_init *)(void *)fields)->mechanism, "PLAIN") ? RH_SASL_PLAIN : RH_SASL_ANONYMOUS;
    }
    if (opts.max_frame_size > 65536) opts.max_frame_size = 65536;
    if (opts.max_frame_size) opts.max_frame_size += 64; /* numbers in another session may be longer */
    return opts;
}

static void turn(void)
{
    size_t used = 0, at = 0, cut = 0, heard = 0, limit = 0;
    for (size_t i = 0; i < r.own->count; i++) {
        const struct tape_frame *frame = &r.own->frames[i];
        while (heard < frame->heard) limit += r.in->frames[heard++].bytes.n;
        feed(&used, &at, limit, &cut);
        act(frame);
        drain();
    }
    feed(&used, &at, r.in->n, &cut);
    drain();
    tell("left %zu\n", r.in->n - used);
    rh_engine_lost(r.engine, NULL);
    rh_engine_tick(r.engine, RH_SECONDS(1));
}

struct replay replay_run(const struct replay_opts *opts)
{
    memset(&r, 0, sizeof r);
    r.opts                    = opts;
    r.own                     = &opts->tape->said[opts->role];
    r.in                      = &opts->tape->said[!opts->role];
    rh_engine_opts engine     = engine_opts();
    r.engine                  = rh_engine_init(arena, sizeof arena, &engine, &handler, NULL);
    if (r.engine == NULL) abort();
    turn();
    r.result.story = story_text;
    r.result.said  = rh_slice_of(said_bytes, r.said_n);
    r.result.hash  = XXH3_64bits_withSeed(said_bytes, r.said_n, XXH3_64bits(story_text, r.story_n));
    return r.result;
}
