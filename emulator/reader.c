#include "emulator/reader.h"

#include <inttypes.h>
#include <stdio.h>

/* Deliveries that one reader may have on their way, so that it leaves slots for the connection's others. */
#define IN_FLIGHT 256

/* Five pairs of last-enqueued information at their longest, and the section around them. */
#define RUNTIME_ROOM 208

#define NO_EPOCH   INT64_MIN
#define NAME_MAX_N 64

#define RUNTIME_METRIC "com.microsoft:enable-receiver-runtime-metric"

/* Delivery annotations of one delivery, which has to keep them until its bytes have left. */
struct runtime {
    struct runtime *next; /* free ones */
    rh_emu_segment *segment;
    uint8_t         bytes[RUNTIME_ROOM];
};

typedef struct rh_emu_reader {
    rh_emu_link           base;
    struct rh_emu_reader *next_of_partition, *next_hungry;
    rh_emu_partition     *partition;
    const char           *group; /* the hub's own text: equal groups have equal pointers */
    rh_emu_position       position;
    int64_t               next; /* sequence number; known once the position has met an event */
    int64_t               epoch;
    uint32_t              in_flight;
    bool                  is_placed, is_hungry;
    struct runtime       *runtimes, *runtimes_free; /* only if the client asked for them */
    char                  name[NAME_MAX_N + 1];
} reader;

static rh_emulator *emulator_of(const reader *r)
{
    return r->base.connection->emulator;
}

/* -- delivering ------------------------------------------------------------------------------- */

static void write_runtime(struct runtime *runtime, const rh_emu_partition *partition, int64_t now_ms, rh_slice *out)
{
    char offset[24];
    snprintf(offset, sizeof offset, "%" PRIu64, partition->last_offset);
    rh_enc e = rh_enc_of(runtime->bytes, sizeof runtime->bytes);
    rh_enc_descriptor(&e, RH_CODE_DELIVERY_ANNOTATIONS);
    rh_enc_mark mark = rh_enc_map8_begin(&e);
    rh_enc_symbol(&e, rh_str("last_enqueued_sequence_number"));
    rh_enc_long(&e, partition->end - 1);
    rh_enc_symbol(&e, rh_str("last_enqueued_offset"));
    rh_enc_string(&e, rh_str(offset));
    rh_enc_symbol(&e, rh_str("last_enqueued_time_utc"));
    rh_enc_timestamp(&e, partition->last_enqueued_ms);
    rh_enc_symbol(&e, rh_str("runtime_info_retrieval_time_utc"));
    rh_enc_timestamp(&e, now_ms);
    rh_enc_map8_end(&e, mark, 8);
    *out = rh_enc_written(&e);
}

/* An event is sent as it lies in its segment; last-enqueued information is put between header and annotations. */
static rh_status deliver(reader *r, const rh_emu_stored *stored)
{
    size_t          header_n = stored->record->header_n;
    struct runtime *runtime  = r->runtimes_free;
    rh_slice        parts[3];
    rh_transfer     transfer = { .parts = parts, .settled = true, .user = stored->segment };
    if (r->runtimes) {
        parts[0] = rh_slice_of(stored->bytes.p, header_n);
        parts[2] = rh_slice_of(stored->bytes.p + header_n, stored->bytes.n - header_n);
        write_runtime(runtime, r->partition, rh_loop_wall_ms(emulator_of(r)->loop), &parts[1]);
        transfer.part_count = 3;
        transfer.user       = runtime;
        if (header_n == 0) {
            transfer.parts = parts + 1;
            transfer.part_count--;
        }
    } else {
        parts[0]            = stored->bytes;
        transfer.part_count = 1;
    }
    rh_delivery *delivery;
    rh_status    status = rh_link_send(r->base.link, &transfer, &delivery);
    if (status != RH_OK) return status;

    if (r->runtimes) {
        r->runtimes_free = runtime->next;
        runtime->segment = stored->segment;
    }
    rh_emu_segment_hold(stored->segment);
    rh_emu_link_stir(&r->base);
    r->in_flight++;
    return RH_OK;
}

static void be_hungry(reader *r)
{
    rh_emu_connection *connection = r->base.connection;
    if (r->is_hungry) return;
    r->is_hungry            = true;
    r->next_hungry          = NULL;
    *connection->hungry_end = r;
    connection->hungry_end  = &r->next_hungry;
}

/* A position may lie ahead of all events; then it is looked for again when there are more. */
static bool place(reader *r)
{
    if (r->is_placed) return true;
    r->next      = rh_emu_partition_find(r->partition, &r->position);
    r->is_placed = r->next < r->partition->end || r->position.from == RH_EMU_FROM_EARLIEST;
    return r->is_placed;
}

/* Sends what the credit allows; true if anything was sent. */
static bool pump(reader *r)
{
    rh_emu_stored stored;
    bool          sent = false;
    if (r->base.is_leaving || rh_emu_link_is_held(&r->base) || rh_link_credit_left(r->base.link) == 0 || !place(r)) return false;

    bool there = rh_emu_partition_at(r->partition, r->next, &stored);
    while (there && rh_link_credit_left(r->base.link) > 0) {
        rh_status status = r->in_flight < IN_FLIGHT ? deliver(r, &stored) : RH_AGAIN;
        if (status == RH_AGAIN) be_hungry(r);
        /* Larger than the peer's max-message-size: it asked not to be given this one. */
        if (status != RH_OK && status != RH_E_TOO_BIG) break;
        if (status == RH_OK) RH_EMU_COUNT(emulator_of(r), events_out);
        sent    = true;
        r->next = stored.sequence + 1;
        if (r->partition->read_to < r->next) r->partition->read_to = r->next;
        there = rh_emu_partition_next(r->partition, &stored);
    }
    return sent;
}

void rh_emu_readers_wake(rh_emu_partition *partition)
{
    for (reader *r = partition->readers; r; r = r->next_of_partition)
        if (pump(r)) rh_emu_connection_wake(r->base.connection);
}

void rh_emu_readers_feed(rh_emu_connection *connection)
{
    reader *hungry          = connection->hungry;
    connection->hungry      = NULL;
    connection->hungry_end  = &connection->hungry;
    connection->slots_back  = false;
    while (hungry) {
        reader *r    = hungry;
        hungry       = r->next_hungry;
        r->is_hungry = false;
        pump(r);
    }
}

/* -- what the engine tells -------------------------------------------------------------------- */

static void on_credit(rh_emu_link *link)
{
    pump((reader *)link);
}

static void on_outcome(rh_emu_link *link, void *user)
{
    reader         *r       = (reader *)link;
    rh_emu_segment *segment = user;
    if (r->runtimes) {
        struct runtime *runtime = user;
        segment                 = runtime->segment;
        runtime->next           = r->runtimes_free;
        r->runtimes_free        = runtime;
    }
    rh_emu_segment_release(&emulator_of(r)->store, segment);
    r->in_flight--;
    link->connection->slots_back = true;
}

static void leave(reader *r)
{
    for (reader **at = &r->partition->readers; *at; at = &(*at)->next_of_partition) {
        if (*at != r) continue;
        *at = r->next_of_partition;
        break;
    }
    rh_emu_connection *connection = r->base.connection;
    for (reader **at = &connection->hungry; *at; at = &(*at)->next_hungry) {
        if (*at != r) continue;
        *at = r->next_hungry;
        if (!*at) connection->hungry_end = at;
        break;
    }
}

static void on_gone(rh_emu_link *link)
{
    reader      *r        = (reader *)link;
    rh_emulator *emulator = emulator_of(r);
    leave(r);
    if (r->runtimes) rh_emu_free(emulator, r->runtimes, IN_FLIGHT * sizeof *r->runtimes);
    rh_emu_link_fini(link);
    rh_emu_free(emulator, r, sizeof *r);
}

static void on_resume(rh_emu_link *link)
{
    pump((reader *)link);
}

static const rh_emu_link_kind kind = { .on_resume = on_resume, .on_credit = on_credit, .on_outcome = on_outcome, .on_gone = on_gone };

/* -- fencing ---------------------------------------------------------------------------------- */

static bool is_rival(const reader *r, const reader *newcomer)
{
    return r != newcomer && r->group == newcomer->group && !r->base.is_leaving;
}

static const char *name_of(const reader *r)
{
    return r->name[0] ? r->name : "nil";
}

static int64_t shown_epoch(const reader *r)
{
    return r->epoch == NO_EPOCH ? -1 : r->epoch;
}

static bool has_room(const reader *newcomer, rh_emu_refusal *no)
{
    char     names[RH_EMU_READERS_MAX * (NAME_MAX_N + 2) + 1] = "";
    unsigned count = 0;
    for (const reader *r = newcomer->partition->readers; r; r = r->next_of_partition) {
        if (!is_rival(r, newcomer)) continue;
        if (count++ < RH_EMU_READERS_MAX) {
            if (names[0]) strcat(names, ", ");
            strcat(names, name_of(r));
        }
    }
    if (count < RH_EMU_READERS_MAX) return true;
    return rh_emu_refuse(emulator_of(newcomer), newcomer->partition->hub, no, "amqp:resource-limit-exceeded",
                         "At most %d receivers without an epoch may read a partition in one consumer group. Connected receivers: %s.",
                         RH_EMU_READERS_MAX, names);
}

/* Whether the newcomer may come, given who is there. */
static bool admit(const reader *newcomer, rh_emu_refusal *no)
{
    for (const reader *r = newcomer->partition->readers; r; r = r->next_of_partition) {
        if (!is_rival(r, newcomer) || r->epoch == NO_EPOCH || newcomer->epoch >= r->epoch) continue;
        return rh_emu_refuse(emulator_of(newcomer), newcomer->partition->hub, no, RH_EMU_STOLEN,
                             "Receiver '%s' with a higher epoch of '%" PRId64 "' already exists. Receiver '%s' with epoch '%" PRId64
                             "' cannot be created. Use a higher epoch, or close the receivers that are connected.",
                             name_of(r), r->epoch, name_of(newcomer), shown_epoch(newcomer));
    }
    return newcomer->epoch != NO_EPOCH || has_room(newcomer, no);
}

/* The newcomer is in: whoever it outranks goes. The service says "higher" for equal epochs too. */
static void displace(const reader *newcomer)
{
    if (newcomer->epoch == NO_EPOCH) return;
    for (reader *r = newcomer->partition->readers; r; r = r->next_of_partition) {
        rh_emu_refusal no;
        if (!is_rival(r, newcomer)) continue;
        rh_emu_refuse(emulator_of(newcomer), newcomer->partition->hub, &no, RH_EMU_STOLEN,
                      "New receiver '%s' with higher epoch of '%" PRId64 "' is created, hence current receiver '%s' with epoch '%" PRId64
                      "' is getting disconnected. A receiver that is created again needs a higher epoch.",
                      name_of(newcomer), newcomer->epoch, name_of(r), shown_epoch(r));
        rh_emu_link_drop(&r->base, &no);
    }
}

/* -- attaching -------------------------------------------------------------------------------- */

static bool find(const rh_emu_attach *attach, reader *r, rh_emu_refusal *no)
{
    const rh_emu_address *address  = &attach->address;
    rh_emulator          *emulator = attach->connection->emulator;
    rh_emu_hub           *hub      = rh_emu_hub_find(emulator, address->hub);
    if (!rh_emu_token_check(attach->connection, hub, address->path, "Listen", no)) return false;
    if (!hub) return rh_emu_refuse_unknown(emulator, no, address->hub);
    r->group = rh_emu_hub_group(hub, address->group);
    if (!r->group) return rh_emu_refuse_unknown(emulator, no, address->path);
    r->partition = rh_emu_hub_partition(hub, address->partition);
    return r->partition ? true : rh_emu_refuse_partition(hub, no);
}

static bool read_filter(const rh_emu_attach *attach, reader *r, rh_emu_refusal *no)
{
    rh_emulator *emulator = attach->connection->emulator;
    rh_status    status   = rh_emu_filter_read(attach->source.filter, &r->position);
    if (status == RH_E_OFFSET)
        return rh_emu_refuse(emulator, r->partition->hub, no, "com.microsoft:georeplication:invalid-offset",
                             "The offset in the receiver's filter is not one that this hub gave out.");
    if (status != RH_OK)
        return rh_emu_refuse(emulator, r->partition->hub, no, "amqp:invalid-field",
                             "The receiver's filter is not of the form: amqp.annotation.NAME > 'VALUE'.");
    if (r->position.from == RH_EMU_FROM_LATEST) {
        /* The end as it is now, not as it is when credit comes. */
        r->next      = r->partition->end;
        r->is_placed = true;
    }
    return true;
}

static bool read_properties(const rh_emu_attach *attach, reader *r, rh_emu_refusal *no)
{
    rh_value value;
    rh_slice properties = attach->frame->properties;
    r->epoch            = NO_EPOCH;
    if (properties.p == NULL) return true;
    if (rh_map_find(properties, "com.microsoft:epoch", &value) && value.type != RH_NULL && (!rh_value_to_int64(&value, &r->epoch) || r->epoch < 0))
        return rh_emu_refuse(attach->connection->emulator, r->partition->hub, no, RH_EMU_ARGUMENT,
                             "An epoch is a number that is not negative.");
    if (rh_map_find(properties, "com.microsoft:receiver-name", &value) && value.type == RH_STRING) {
        size_t n = value.bytes.n < NAME_MAX_N ? value.bytes.n : NAME_MAX_N;
        for (size_t i = 0; i < n; i++) r->name[i] = value.bytes.p[i] >= ' ' && value.bytes.p[i] < 127 ? (char)value.bytes.p[i] : '?';
    }
    return true;
}

static bool make_runtimes(reader *r)
{
    r->runtimes = rh_emu_alloc(emulator_of(r), IN_FLIGHT * sizeof *r->runtimes);
    if (!r->runtimes) return false;
    for (size_t i = 0; i < IN_FLIGHT; i++) {
        r->runtimes[i].next = r->runtimes_free;
        r->runtimes_free    = &r->runtimes[i];
    }
    return true;
}

static bool answer(reader *r, const rh_emu_attach *attach, rh_emu_refusal *no)
{
    uint8_t      offered[128];
    rh_slice     metric  = rh_str(RUNTIME_METRIC);
    bool         runtime = rh_emu_capability_asked(attach->frame->desired_capabilities, RUNTIME_METRIC);
    rh_link_opts opts    = {
           /* Events are never removed, so there is nothing that a disposition could mean. */
           .snd_settle_mode  = RH_SND_SETTLED,
           .rcv_settle_mode  = RH_RCV_FIRST,
           .max_message_size = RH_EMU_MESSAGE_MAX,
    };
    rh_enc e = rh_enc_of(offered, sizeof offered);
    if (runtime) {
        rh_enc_symbols(&e, &metric, 1);
        opts.offered_capabilities = rh_enc_written(&e);
    }
    if ((runtime && !make_runtimes(r)) || !(r->base.path = rh_emu_copy(emulator_of(r), attach->address.path)))
        return rh_emu_refuse(emulator_of(r), r->partition->hub, no, "amqp:internal-error", "There is no memory for the link.");
    return rh_emu_link_accept(&r->base, &kind, attach, &opts, no);
}

bool rh_emu_reader_attach(const rh_emu_attach *attach, rh_emu_refusal *no)
{
    reader found = { .base = { .connection = attach->connection } };
    if (!find(attach, &found, no) || !read_filter(attach, &found, no) || !read_properties(attach, &found, no) || !admit(&found, no)) return false;

    reader *r = rh_emu_alloc(attach->connection->emulator, sizeof *r);
    if (!r) return rh_emu_refuse(attach->connection->emulator, NULL, no, "amqp:internal-error", "There is no memory for the link.");
    *r = found;
    if (!answer(r, attach, no)) {
        on_gone(&r->base);
        return false;
    }
    rh_emu_link_rest(&r->base, emulator_of(r)->limits.reader_idle_ms);
    r->next_of_partition  = r->partition->readers;
    r->partition->readers = r;
    displace(r);
    return true;
}
