/* Links on which clients send events. */

#include "emulator/event.h"
#include "emulator/faults.h"
#include "emulator/reader.h"

#include "eventhub/partition_key.h"

/* Outcomes that a fault delays. A sender that waits for so many gets no more credit. */
#define LATE_MAX 4096

struct late {
    struct late *next;
    rh_time      due;
    uint32_t     delivery_id;
    bool         rejected;
    const char  *condition, *words;
};

struct sender {
    rh_emu_link       base;
    struct late      *late, **late_end;
    uint32_t          late_count;
    rh_emu_hub       *hub;
    rh_emu_partition *partition; /* NULL: each delivery finds its own */
    char             *publisher;
};

/* -- storing ---------------------------------------------------------------------------------- */

struct rejection {
    const char *condition, *words;
};

/* Of one throughput unit, in a second. */
#define UNIT_EVENTS 1000u
#define UNIT_BYTES  1000000u

static const struct rejection malformed = { "amqp:decode-error", "The event or one of the batch is not a well-formed message." };
static const struct rejection bad_key   = { RH_EMU_ARGUMENT, "A partition key is a string of at most 128 bytes." };
static const struct rejection not_kept  = { "amqp:internal-error", "The event could not be written to disk." };
static const struct rejection no_room   = { RH_EMU_BUSY, "There is no memory for the event." };

static const struct rejection throttled = {
    RH_EMU_BUSY, "The request was terminated because the entity is being throttled. Error code : 50002. Please wait 4 seconds and try again.",
};

/* What came in one transfer: a message, or an envelope with many. */
struct arrival {
    rh_slice single; /* absent when it is an envelope */
    rh_dec   events; /* of the envelope, from its start */
    rh_slice key;
    uint64_t count, n; /* what a throughput unit counts */
};

/* Walks the arrival's messages; *at is a copy of arrival->events, first is true before the only one. */
static bool next_message(const struct arrival *arrival, rh_dec *at, bool *first, rh_slice *out)
{
    if (!arrival->single.p) return rh_envelope_next(at, out);
    *out    = arrival->single;
    bool is = *first;
    *first  = false;
    return is;
}

static const struct rejection *open_arrival(const rh_incoming *incoming, struct arrival *out)
{
    rh_message outer;
    *out = (struct arrival){ 0 };
    if (incoming->message_format == RH_FORMAT_BATCH) {
        if (rh_envelope_open(incoming->payload, &outer, &out->events) != RH_OK) return &malformed;
    } else {
        if (rh_message_view(incoming->payload, &outer) != RH_OK) return &malformed;
        out->single = incoming->payload;
    }
    return rh_emu_event_key(&outer, &out->key) == RH_OK ? NULL : &bad_key;
}

/* All of a batch is judged before any of it is stored: it is accepted or rejected as one. */
static const struct rejection *judge(struct arrival *arrival)
{
    rh_dec   at    = arrival->events;
    bool     first = true;
    rh_slice bytes, key;
    while (next_message(arrival, &at, &first, &bytes)) {
        rh_message message;
        if (rh_message_view(bytes, &message) != RH_OK) return &malformed;
        if (rh_emu_event_key(&message, &key) != RH_OK) return &bad_key;
        if (rh_emu_event_check(&message) != RH_OK) return &malformed;
        arrival->count++;
        arrival->n += bytes.n;
    }
    return at.status == RH_OK ? NULL : &malformed;
}

/* A second's share, counted from its first event. What alone is larger than that passes when nothing came before it. */
static const struct rejection *admit(rh_emulator *emulator, const struct arrival *arrival)
{
    rh_emu_throttle *t     = &emulator->throttle;
    uint64_t         units = emulator->limits.throughput_units;
    rh_time          now   = rh_loop_now(emulator->loop);
    if (units == 0) return NULL;
    if (now >= rh_time_after(t->since, RH_SECONDS(1))) *t = (rh_emu_throttle){ .since = now };
    bool fits = t->events + arrival->count <= units * UNIT_EVENTS && t->bytes + arrival->n <= units * UNIT_BYTES;
    if (!fits && t->events > 0) return &throttled;
    t->events += arrival->count;
    t->bytes += arrival->n;
    return NULL;
}

static rh_emu_partition *choose(struct sender *sender, rh_slice key)
{
    rh_emu_hub *hub = sender->hub;
    if (sender->partition) return sender->partition;
    if (key.p) return &hub->partitions[rh_partition_of_key(key, hub->partition_count)];
    if (sender->publisher) return &hub->partitions[rh_partition_of_key(rh_str(sender->publisher), hub->partition_count)];
    hub->turn = (hub->turn + 1) % hub->partition_count;
    return &hub->partitions[hub->turn];
}

static bool store(struct sender *sender, rh_emu_partition *partition, rh_slice bytes, rh_slice key, int64_t now_ms)
{
    rh_message message;
    size_t     header_n;
    if (rh_message_view(bytes, &message) != RH_OK) return false;
    size_t   room = rh_emu_event_room(bytes);
    uint8_t *p    = rh_emu_partition_reserve(partition, room);
    if (!p) return false;

    rh_emu_stamp stamp = {
        .sequence    = partition->end,
        .offset      = partition->next_offset,
        .enqueued_ms = rh_emu_partition_time(partition, now_ms),
        .key         = key,
        .publisher   = rh_str(sender->publisher),
    };
    rh_enc e = rh_enc_of(p, room);
    rh_emu_event_write(&e, bytes, &message, &stamp, &header_n);
    if (e.status != RH_OK) return false;
    rh_emu_partition_commit(partition, rh_enc_size(&e), header_n, stamp.enqueued_ms);
    return true;
}

static const struct rejection *store_all(struct sender *sender, const struct arrival *arrival)
{
    rh_emulator      *emulator  = sender->hub->emulator;
    rh_emu_partition *partition = choose(sender, arrival->key);
    rh_emu_mark       before    = rh_emu_partition_mark(partition);
    int64_t           now_ms    = rh_loop_wall_ms(emulator->loop);
    rh_dec            at        = arrival->events;
    bool              first = true, is_stored = true;
    rh_slice          bytes;
    while (is_stored && next_message(arrival, &at, &first, &bytes))
        is_stored = store(sender, partition, bytes, arrival->key, now_ms);

    /* Kept before a reader sees it or the sender is told: neither can be undone. */
    const struct rejection *no = !is_stored ? &no_room : rh_emu_partition_flush(partition) ? NULL : &not_kept;
    if (no) rh_emu_partition_take_back(partition, &before);
    atomic_fetch_add_explicit(&emulator->counters.events_in, (uint64_t)(partition->end - before.end), memory_order_relaxed);
    atomic_store_explicit(&emulator->counters.bytes_stored, emulator->store.used, memory_order_relaxed);
    rh_emu_retention_arm(emulator);
    rh_emu_readers_wake(partition);
    return no;
}

/* -- the link --------------------------------------------------------------------------------- */

static const struct rejection *take(struct sender *sender, const rh_incoming *incoming)
{
    struct arrival          arrival;
    const struct rejection *no = open_arrival(incoming, &arrival);
    if (!no) no = judge(&arrival);
    if (!no) no = admit(sender->hub->emulator, &arrival);
    return no ? no : store_all(sender, &arrival);
}

static rh_status settle(const struct sender *sender, uint32_t delivery_id, const struct rejection *no)
{
    rh_emu_refusal said;
    if (!no) return rh_link_settle(sender->base.link, delivery_id, delivery_id, RH_ACCEPTED, NULL, NULL);
    rh_emu_refuse(sender->hub->emulator, sender->hub, &said, no->condition, "%s", no->words);
    return rh_link_settle(sender->base.link, delivery_id, delivery_id, RH_REJECTED, said.condition, said.words);
}

/* Outcomes keep their order: what comes behind a late one is late too. */
static rh_status settle_later(struct sender *sender, uint32_t delivery_id, const struct rejection *no, rh_time delay)
{
    rh_emulator *emulator = sender->hub->emulator;
    struct late *late     = rh_emu_alloc(emulator, sizeof *late);
    if (!late) return RH_OK; /* the sender never hears of it, as when an answer is lost */
    *late = (struct late){ .due = rh_time_after(rh_loop_now(emulator->loop), delay), .delivery_id = delivery_id, .rejected = no != NULL,
                           .condition = no ? no->condition : NULL, .words = no ? no->words : NULL };
    if (!sender->late) sender->late_end = &sender->late;
    *sender->late_end = late;
    sender->late_end  = &late->next;
    sender->late_count++;
    rh_emu_link_resume_at(&sender->base, late->due);
    return RH_OK;
}

static rh_status settle_late(struct sender *sender)
{
    rh_emulator *emulator = sender->hub->emulator;
    rh_status    status   = RH_OK;
    while (sender->late && status == RH_OK) {
        struct late     *late = sender->late;
        struct rejection no   = { late->condition, late->words };
        if (late->due > rh_loop_now(emulator->loop)) {
            rh_emu_link_resume_at(&sender->base, late->due);
            break;
        }
        status       = settle(sender, late->delivery_id, late->rejected ? &no : NULL);
        sender->late = late->next;
        sender->late_count--;
        rh_emu_free(emulator, late, sizeof *late);
    }
    return status;
}

static rh_status top_up(const struct sender *sender)
{
    uint32_t credit = sender->hub->emulator->limits.credit;
    if (rh_emu_link_is_held(&sender->base) || sender->late_count >= LATE_MAX) return RH_OK;
    return rh_link_credit_left(sender->base.link) <= credit / 2 ? rh_link_credit(sender->base.link, credit) : RH_OK;
}

static rh_emu_verdict judge_send(struct sender *sender)
{
    rh_emu_link *link = &sender->base;
    if (!rh_emu_faults_there_are(link->connection->emulator)) return (rh_emu_verdict){ 0 };
    rh_emu_address address = rh_emu_address_parse(rh_str(link->path));
    return rh_emu_faults_judge(&(rh_emu_scene){ .moment = RH_EMU_AT_SEND, .connection = link->connection,
                                                .session = rh_link_session(link->link), .link = link, .address = &address });
}

static void on_delivery(rh_emu_link *link, const rh_incoming *incoming)
{
    struct sender          *sender  = (struct sender *)link;
    rh_emu_verdict          verdict = judge_send(sender);
    struct rejection        refused = { verdict.condition, verdict.words };
    const struct rejection *no      = NULL;
    rh_status               status  = RH_OK;
    rh_emu_link_stir(link);
    if (verdict.fault == RH_EMULATOR_REFUSE) no = &refused;
    else if (verdict.fault != RH_EMULATOR_IGNORE) no = take(sender, incoming);

    bool is_told = !incoming->settled && verdict.fault != RH_EMULATOR_IGNORE && verdict.fault != RH_EMULATOR_FORGET;
    if (is_told && (verdict.delay || sender->late)) status = settle_later(sender, incoming->delivery_id, no, verdict.delay);
    else if (is_told) status = settle(sender, incoming->delivery_id, no);
    if (status == RH_OK) status = top_up(sender);
    if (status == RH_AGAIN) rh_emu_connection_cut(link->connection); /* a peer that reads nothing cannot be answered */
}

static void on_resume(rh_emu_link *link)
{
    struct sender *sender = (struct sender *)link;
    rh_status      status = settle_late(sender);
    if (status == RH_OK) status = top_up(sender);
    if (status == RH_AGAIN) rh_emu_connection_cut(link->connection);
}

static void on_gone(rh_emu_link *link)
{
    struct sender *sender   = (struct sender *)link;
    rh_emulator   *emulator = sender->hub->emulator;
    while (sender->late) {
        struct late *late = sender->late;
        sender->late      = late->next;
        rh_emu_free(emulator, late, sizeof *late);
    }
    if (sender->publisher) rh_emu_free(emulator, sender->publisher, strlen(sender->publisher) + 1);
    rh_emu_link_fini(link);
    rh_emu_free(emulator, sender, sizeof *sender);
}

static const rh_emu_link_kind kind = { .on_delivery = on_delivery, .on_resume = on_resume, .on_gone = on_gone };

static bool find(const rh_emu_attach *attach, rh_emu_hub **hub, rh_emu_partition **partition, rh_emu_refusal *no)
{
    const rh_emu_address *address  = &attach->address;
    rh_emulator          *emulator = attach->connection->emulator;
    *hub       = rh_emu_hub_find(emulator, address->hub);
    *partition = NULL;
    if (!rh_emu_token_check(attach->connection, *hub, address->path, "Send", no)) return false;
    if (!*hub) return rh_emu_refuse_unknown(emulator, no, address->hub);
    if (address->place == RH_EMU_PARTITION) {
        *partition = rh_emu_hub_partition(*hub, address->partition);
        if (!*partition) return rh_emu_refuse_partition(*hub, no);
    }
    if (address->place == RH_EMU_PUBLISHER && (address->publisher.n == 0 || address->publisher.n > RH_EMU_KEY_MAX))
        return rh_emu_refuse(emulator, *hub, no, RH_EMU_ARGUMENT, "A publisher's name has 1 to %d bytes.", RH_EMU_KEY_MAX);
    return true;
}

/* [2.7.3] The smaller of the two sides' limits; none or 0 is no limit of the peer's. */
static uint64_t message_max(const rh_amqp_attach *frame, uint64_t ours)
{
    bool limited = (frame->has & RH_HAS_ATTACH_MAX_MESSAGE_SIZE) && frame->max_message_size > 0;
    return limited && frame->max_message_size < ours ? frame->max_message_size : ours;
}

bool rh_emu_sender_attach(const rh_emu_attach *attach, rh_emu_refusal *no)
{
    rh_emu_hub       *hub;
    rh_emu_partition *partition;
    rh_emulator      *emulator = attach->connection->emulator;
    if (!find(attach, &hub, &partition, no)) return false;

    struct sender *sender = rh_emu_alloc(emulator, sizeof *sender);
    if (!sender) return rh_emu_refuse(emulator, hub, no, "amqp:internal-error", "There is no memory for the link.");
    sender->hub       = hub;
    sender->partition = partition;
    sender->base.connection = attach->connection;
    sender->base.path = rh_emu_copy(emulator, attach->address.path);
    if (attach->address.place == RH_EMU_PUBLISHER) sender->publisher = rh_emu_copy(emulator, attach->address.publisher);

    rh_link_opts opts = {
        .snd_settle_mode  = attach->frame->snd_settle_mode,
        .rcv_settle_mode  = RH_RCV_FIRST,
        .max_message_size = message_max(attach->frame, emulator->limits.max_message_bytes),
        .reject_oversize  = true, /* as the service does: the link goes on */
    };
    if (!rh_emu_link_accept(&sender->base, &kind, attach, &opts, no)) {
        on_gone(&sender->base);
        return false;
    }
    rh_emu_link_rest(&sender->base, emulator->limits.sender_idle_ms);
    rh_status status = top_up(sender);
    if (status != RH_OK) rh_emu_connection_cut(attach->connection);
    return true;
}
