#include "fuzz/kit/witness.h"

#include "fuzz/oracle.h"

/* [2.8.10], as proto/serial.h has it, which the witness shall not share. */
static uint32_t ahead(uint32_t from, uint32_t to)
{
    uint32_t by = to - from;
    return by < UINT32_C(0x80000000) ? by : 0;
}

static uint32_t less(uint32_t a, uint32_t b)
{
    return a > b ? a - b : 0;
}

static uint64_t sum_of(rh_slice bytes)
{
    uint64_t sum = UINT64_C(0xcbf29ce484222325) ^ bytes.n;
    for (size_t i = 0; i < bytes.n; i++) sum = (sum ^ bytes.p[i]) * UINT64_C(0x100000001b3);
    return sum;
}

void kit_witness_init(struct witness *w, uint32_t first_id, const uint8_t *payload)
{
    w->first_id       = first_id;
    w->payload        = payload;
    w->peer_frame_max = RH_FRAME_SIZE_MIN;
    w->closed = w->asked = false;
    w->written = w->left = 0;
    memset(w->sessions, 0, sizeof w->sessions);
    memset(w->links, 0, sizeof w->links);
}

/* -- finding ----------------------------------------------------------------------------------- */

static struct witness_session *said_on(struct witness *w, uint16_t channel)
{
    for (size_t i = 0; i < WITNESS_SESSIONS; i++)
        if (w->sessions[i].live && w->sessions[i].channel == channel) return &w->sessions[i];
    return NULL;
}

static struct witness_session *heard_on(struct witness *w, uint16_t channel)
{
    for (size_t i = 0; i < WITNESS_SESSIONS; i++) {
        struct witness_session *s = &w->sessions[i];
        if (s->live && s->heard && !s->over && s->peer_channel == channel) return s;
    }
    return NULL;
}

static uint16_t number_of(const struct witness *w, const struct witness_session *session)
{
    return (uint16_t)(session - w->sessions);
}

static struct witness_link *said_by(struct witness *w, const struct witness_session *session, uint32_t handle)
{
    for (size_t i = 0; i < WITNESS_LINKS; i++) {
        struct witness_link *l = &w->links[i];
        if (l->live && l->said && l->session == number_of(w, session) && l->handle == handle) return l;
    }
    return NULL;
}

static struct witness_link *heard_by(struct witness *w, const struct witness_session *session, uint32_t handle)
{
    for (size_t i = 0; i < WITNESS_LINKS; i++) {
        struct witness_link *l = &w->links[i];
        if (l->live && l->heard && !l->left && l->session == number_of(w, session) && l->peer_handle == handle) return l;
    }
    return NULL;
}

/* The same name with one attach missing: `heard` tells which one has been seen. */
static struct witness_link *half_attached(struct witness *w, const struct witness_session *session, uint64_t name, bool receiver, bool heard)
{
    for (size_t i = 0; i < WITNESS_LINKS; i++) {
        struct witness_link *l = &w->links[i];
        bool                 half = l->live && l->heard == heard && l->said == !heard;
        if (half && l->session == number_of(w, session) && l->name == name && l->receiver == receiver) return l;
    }
    return NULL;
}

static struct witness_link *new_link(struct witness *w, const struct witness_session *session, uint64_t name, bool receiver)
{
    for (size_t i = 0; i < WITNESS_LINKS; i++) {
        struct witness_link *l = &w->links[i];
        if (l->live) continue;
        *l = (struct witness_link){ .live = true, .session = number_of(w, session), .name = name, .receiver = receiver, .delivery_count = w->first_id };
        return l;
    }
    abort(); /* more than the engine has slots for */
}

/* -- sessions ---------------------------------------------------------------------------------- */

static void peer_began(struct witness_session *s, uint16_t channel, const rh_amqp_begin *begin)
{
    s->heard            = true;
    s->peer_channel     = channel;
    s->window           = begin->incoming_window;
    s->next_incoming_id = begin->next_outgoing_id;
    s->peer_handle_max  = begin->handle_max;
}

static void heard_begin(struct witness *w, uint16_t channel, const rh_amqp_begin *begin)
{
    if (!(begin->has & RH_HAS_BEGIN_REMOTE_CHANNEL)) {
        w->asked         = true;
        w->asked_channel = channel;
        w->asked_begin   = *begin;
        return;
    }
    struct witness_session *s = said_on(w, begin->remote_channel);
    if (s && !s->heard && heard_on(w, channel) == NULL) peer_began(s, channel, begin);
}

static void said_begin(struct witness *w, uint16_t channel, const rh_amqp_begin *begin)
{
    struct witness_session *s = NULL;
    REQUIRE(said_on(w, channel) == NULL);
    for (size_t i = 0; i < WITNESS_SESSIONS && s == NULL; i++)
        if (!w->sessions[i].live) s = &w->sessions[i];
    REQUIRE(s != NULL && begin->next_outgoing_id == w->first_id);
    *s = (struct witness_session){ .live = true, .channel = channel, .next_outgoing_id = begin->next_outgoing_id,
                                   .first_outgoing_id = begin->next_outgoing_id, .next_delivery_id = w->first_id };
    if (!(begin->has & RH_HAS_BEGIN_REMOTE_CHANNEL)) return;
    REQUIRE(w->asked && begin->remote_channel == w->asked_channel);
    peer_began(s, w->asked_channel, &w->asked_begin);
    w->asked = false;
}

static void forget_links(struct witness *w, const struct witness_session *session)
{
    for (size_t i = 0; i < WITNESS_LINKS; i++)
        if (w->links[i].session == number_of(w, session)) w->links[i].live = false;
}

/* -- links ------------------------------------------------------------------------------------- */

static void heard_attach(struct witness *w, struct witness_session *s, const rh_amqp_attach *attach)
{
    uint64_t             name = sum_of(attach->name);
    struct witness_link *link = half_attached(w, s, name, !attach->role, false);
    if (heard_by(w, s, attach->handle)) return; /* an error, which ends the session */
    if (link == NULL) link = new_link(w, s, name, !attach->role);
    link->heard       = true;
    link->peer_handle = attach->handle;
}

static void said_attach(struct witness *w, struct witness_session *s, const rh_amqp_attach *attach)
{
    uint64_t             name = sum_of(attach->name);
    struct witness_link *link = half_attached(w, s, name, attach->role, true);
    REQUIRE(said_by(w, s, attach->handle) == NULL);
    REQUIRE(!s->heard || attach->handle <= s->peer_handle_max);
    if (link == NULL) link = new_link(w, s, name, attach->role);
    REQUIRE(attach->role || ((attach->has & RH_HAS_ATTACH_INITIAL_DELIVERY_COUNT) && attach->initial_delivery_count == w->first_id));
    link->said   = true;
    link->handle = attach->handle;
}

static void heard_detach(struct witness *w, struct witness_session *s, const rh_amqp_detach *detach)
{
    struct witness_link *link = heard_by(w, s, detach->handle);
    if (link) link->left = true;
}

static void said_detach(struct witness *w, struct witness_session *s, const rh_amqp_detach *detach)
{
    struct witness_link *link = said_by(w, s, detach->handle);
    REQUIRE(link != NULL);
    link->live = false;
}

/* [2.5.6] what the peer can still take, counted from what it has seen. */
static void heard_flow(struct witness *w, struct witness_session *s, const rh_amqp_flow *flow)
{
    uint32_t seen = (flow->has & RH_HAS_FLOW_NEXT_INCOMING_ID) ? flow->next_incoming_id : s->first_outgoing_id;
    s->window     = less(flow->incoming_window, ahead(seen, s->next_outgoing_id));
    if (!(flow->has & RH_HAS_FLOW_HANDLE)) return;
    struct witness_link *link = heard_by(w, s, flow->handle);
    if (link == NULL || link->receiver || !(flow->has & RH_HAS_FLOW_LINK_CREDIT)) return;
    uint32_t counted = (flow->has & RH_HAS_FLOW_DELIVERY_COUNT) ? flow->delivery_count : w->first_id;
    link->credit     = less(flow->link_credit, ahead(counted, link->delivery_count));
}

static void said_flow(struct witness *w, struct witness_session *s, const rh_amqp_flow *flow)
{
    REQUIRE(flow->next_outgoing_id == s->next_outgoing_id);
    REQUIRE(((flow->has & RH_HAS_FLOW_NEXT_INCOMING_ID) != 0) == s->heard);
    if (s->heard) s->doubt |= flow->next_incoming_id != s->next_incoming_id;
    if (!(flow->has & RH_HAS_FLOW_HANDLE)) return;
    struct witness_link *link = said_by(w, s, flow->handle);
    REQUIRE(link != NULL);
    if (link->receiver) return;
    /* [2.6.7] a drained sender counts its credit away; no other way leads out of it but a delivery. */
    uint32_t given_back = flow->delivery_count - link->delivery_count;
    link->doubt |= given_back != 0 && given_back != link->credit;
    link->delivery_count += given_back;
    link->credit -= given_back;
    link->doubt |= flow->link_credit != link->credit;
}

/* -- transfers --------------------------------------------------------------------------------- */

/* Those of links that are gone stay: when there is no more room, nothing is known. */
static void note_open(struct witness_session *s, uint32_t id)
{
    size_t i = 0;
    while (i < WITNESS_OPEN && s->open[i].live) i++;
    s->crowded |= i == WITNESS_OPEN;
    if (s->crowded) return;
    s->open[i].live    = true;
    s->open[i].decided = false;
    s->open[i].id      = id;
}

static bool is_open(const struct witness_session *s, uint32_t id)
{
    if (s->crowded) return true;
    for (size_t i = 0; i < WITNESS_OPEN; i++)
        if (s->open[i].live && s->open[i].id == id) return true;
    return false;
}

/* What the peer has decided and not settled we settle; that it settles, too, before we have said so is a race. */
static void heard_disposition(struct witness_session *s, const rh_amqp_disposition *disposition)
{
    uint32_t span = disposition->last - disposition->first;
    s->crowded |= span >= UINT32_C(0x80000000); /* backwards: whatever the engine makes of it */
    for (size_t i = 0; i < WITNESS_OPEN; i++) {
        if (!s->open[i].live || s->open[i].id - disposition->first > span) continue;
        s->open[i].decided |= !disposition->settled;
        s->open[i].live = s->open[i].decided;
    }
}

static void note_settled(struct witness_session *s, const rh_amqp_disposition *disposition)
{
    for (size_t i = 0; i < WITNESS_OPEN; i++)
        if (s->open[i].id - disposition->first <= disposition->last - disposition->first) s->open[i].live = false;
}

static void delivery_begins(struct witness_session *s, struct witness_link *link, const rh_amqp_transfer *transfer)
{
    REQUIRE(!transfer->aborted && (transfer->has & RH_HAS_TRANSFER_DELIVERY_ID) && transfer->delivery_tag.p != NULL);
    REQUIRE(transfer->delivery_id == s->next_delivery_id);
    REQUIRE(link->credit > 0);
    s->next_delivery_id++;
    link->credit--;
    link->delivery_count++;
    link->delivery_id = transfer->delivery_id;
    if (!transfer->settled) note_open(s, transfer->delivery_id);
}

static void said_transfer(struct witness *w, struct witness_session *s, const rh_amqp_transfer *transfer)
{
    struct witness_link *link = said_by(w, s, transfer->handle);
    REQUIRE(s->heard && s->window > 0);
    s->window--;
    s->next_outgoing_id++;
    REQUIRE(link != NULL && link->heard && !link->receiver && !link->doubt && !s->doubt);
    if (!link->half) delivery_begins(s, link, transfer);
    else REQUIRE(transfer->aborted || transfer->delivery_id == link->delivery_id);
    link->half = transfer->more && !transfer->aborted;
}

/* What ends a range of ours nobody has settled yet. */
static void said_disposition(struct witness_session *s, const rh_amqp_disposition *disposition)
{
    if (disposition->role) return; /* what the owner settles is its own affair */
    REQUIRE(ahead(disposition->first, s->next_delivery_id) > 0 && ahead(disposition->last, s->next_delivery_id) > 0);
    REQUIRE(disposition->settled && is_open(s, disposition->first) && is_open(s, disposition->last));
    note_settled(s, disposition);
}

/* -- both directions --------------------------------------------------------------------------- */

union performative {
    rh_amqp_open        open;
    rh_amqp_begin       begin;
    rh_amqp_attach      attach;
    rh_amqp_flow        flow;
    rh_amqp_transfer    transfer;
    rh_amqp_disposition disposition;
    rh_amqp_detach      detach;
    rh_amqp_end         end;
    rh_amqp_close       close;
};

/* False: it is none, or not a sound one. What the engine makes of it, its other oracles see. */
static bool read_performative(rh_slice body, rh_composite_id *id, union performative *out)
{
    rh_dec d = rh_dec_of(body);
    *id      = rh_composite_peek(&d);
    if (*id > RH_AMQP_CLOSE || rh_composite_decode(&d, *id, out) != RH_OK) return false;
    return *id == RH_AMQP_TRANSFER || rh_dec_left(&d) == 0;
}

static void hear(struct witness *w, uint16_t channel, rh_composite_id id, const union performative *p)
{
    if (id == RH_AMQP_OPEN && p->open.max_frame_size > w->peer_frame_max) w->peer_frame_max = p->open.max_frame_size;
    if (id == RH_AMQP_BEGIN) heard_begin(w, channel, &p->begin);
    struct witness_session *s = heard_on(w, channel);
    if (s == NULL) return;
    if (id == RH_AMQP_ATTACH) heard_attach(w, s, &p->attach);
    if (id == RH_AMQP_FLOW) heard_flow(w, s, &p->flow);
    if (id == RH_AMQP_TRANSFER) s->next_incoming_id++;
    if (id == RH_AMQP_DISPOSITION && p->disposition.role) heard_disposition(s, &p->disposition);
    if (id == RH_AMQP_DETACH) heard_detach(w, s, &p->detach);
    if (id == RH_AMQP_END) s->over = true;
}

static void say(struct witness *w, uint16_t channel, rh_composite_id id, const union performative *p)
{
    REQUIRE(!w->closed);
    w->closed = id == RH_AMQP_CLOSE;
    if (id == RH_AMQP_OPEN || id == RH_AMQP_CLOSE) return;
    if (id == RH_AMQP_BEGIN) {
        said_begin(w, channel, &p->begin);
        return;
    }
    struct witness_session *s = said_on(w, channel);
    REQUIRE(s != NULL);
    if (id == RH_AMQP_ATTACH) said_attach(w, s, &p->attach);
    if (id == RH_AMQP_FLOW) said_flow(w, s, &p->flow);
    if (id == RH_AMQP_TRANSFER) said_transfer(w, s, &p->transfer);
    if (id == RH_AMQP_DISPOSITION) said_disposition(s, &p->disposition);
    if (id == RH_AMQP_DETACH) said_detach(w, s, &p->detach);
    if (id != RH_AMQP_END) return;
    s->live = false;
    forget_links(w, s);
}

static void note(struct witness *w, uint16_t channel, rh_slice body)
{
    REQUIRE(w->written - w->left < WITNESS_FRAMES);
    w->frames[w->written++ % WITNESS_FRAMES] =
        (struct witness_frame){ .channel = channel, .n = (uint16_t)body.n, .code = body.n > 2 ? body.p[2] : 0, .sum = (uint32_t)sum_of(body) };
}

void kit_witness_frame(struct witness *w, bool outgoing, uint8_t type, uint16_t channel, rh_slice body)
{
    union performative fields;
    rh_composite_id    id;
    if (outgoing) note(w, channel, body);
    if (type != RH_FRAME_AMQP || body.n == 0) return;
    bool sound = read_performative(body, &id, &fields);
    if (!outgoing) {
        if (sound) hear(w, channel, id, &fields);
        return;
    }
    REQUIRE(sound);
    say(w, channel, id, &fields);
}

/* -- the wire ---------------------------------------------------------------------------------- */

/* The bytes of a delivery leave in their order, none twice and none forgotten. */
static void check_payload(struct witness *w, uint16_t channel, const rh_amqp_transfer *transfer, rh_slice payload)
{
    /* Written long before it leaves: the books of the link may have moved on. */
    size_t *offset = &w->offsets[(channel & 7u) << 5 | (transfer->handle & 31u)];
    if (transfer->delivery_tag.p) *offset = 0;
    REQUIRE(transfer->aborted ? payload.n == 0 : payload.n > 0);
    if (payload.n) REQUIRE(memcmp(payload.p, w->payload + *offset, payload.n) == 0);
    *offset += payload.n;
}

static void check_sasl(rh_slice body)
{
    uint64_t        fields[64];
    rh_dec          d  = rh_dec_of(body);
    rh_composite_id id = rh_composite_peek(&d);
    REQUIRE(id >= RH_AMQP_SASL_MECHANISMS && id <= RH_AMQP_SASL_OUTCOME);
    REQUIRE(rh_composite_decode(&d, id, fields) == RH_OK && rh_dec_left(&d) == 0);
}

void kit_witness_wire(struct witness *w, const uint8_t *p, size_t n)
{
    rh_frame frame;
    if (memcmp(p, "AMQP", 4) == 0) return;
    REQUIRE(rh_frame_parse(p, n, &frame) == RH_OK && frame.size == n && n <= w->peer_frame_max);
    if (frame.type == RH_FRAME_SASL) {
        REQUIRE(n <= RH_FRAME_SIZE_MIN);
        check_sasl(frame.body);
        return;
    }
    REQUIRE(w->left != w->written);
    const struct witness_frame *written = &w->frames[w->left++ % WITNESS_FRAMES];
    REQUIRE(frame.channel == written->channel && frame.body.n >= written->n);
    REQUIRE((uint32_t)sum_of(rh_slice_of(frame.body.p, written->n)) == written->sum);
    REQUIRE(written->code == RH_CODE_TRANSFER || frame.body.n == written->n);
    if (written->code != RH_CODE_TRANSFER) return;
    rh_amqp_transfer transfer;
    rh_dec           d = rh_dec_of(frame.body);
    REQUIRE(rh_amqp_transfer_decode(&d, &transfer) == RH_OK);
    check_payload(w, frame.channel, &transfer, rh_slice_of(d.p, rh_dec_left(&d)));
}

bool kit_witness_is_content(const struct witness *w)
{
    for (size_t i = 0; i < WITNESS_SESSIONS; i++)
        if (w->sessions[i].live && w->sessions[i].doubt) return false;
    for (size_t i = 0; i < WITNESS_LINKS; i++)
        if (w->links[i].live && w->links[i].doubt) return false;
    return true;
}

bool kit_witness_credit_is(const struct witness *w, rh_slice name, uint32_t credit)
{
    uint64_t sum   = sum_of(name);
    bool     known = false;
    for (size_t i = 0; i < WITNESS_LINKS; i++) {
        const struct witness_link *l = &w->links[i];
        if (!l->live || !l->said || !l->heard || l->receiver || l->name != sum) continue;
        if (l->credit == credit) return true;
        known = true;
    }
    return !known;
}
