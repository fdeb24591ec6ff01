#include "emulator/faults.h"
#include "emulator/reader.h"

#include <inttypes.h>
#include <stdio.h>

/* Slots are memory only once they are used: about 3 KiB for a session and a link. Readers send a delivery an event, and a slot
 * is taken until its bytes have left. */
#define LINKS        (2 * RH_EMU_SESSIONS_MAX)
#define DELIVERIES   1024
#define OUTPUT_BYTES (64u * 1024)

static void turn(rh_emu_connection *connection);

/* -- patience --------------------------------------------------------------------------------- */

static void wait_for(rh_emu_connection *connection, uint32_t patience_ms)
{
    rh_loop *loop           = connection->emulator->loop;
    connection->patience_ms = patience_ms;
    rh_timer_set(loop, &connection->patience, rh_time_after(rh_loop_now(loop), RH_MS(patience_ms)));
}

static void on_patience(void *user, rh_time now)
{
    rh_emu_connection *connection = user;
    rh_emu_refusal     no;
    (void)now;
    if (!connection->is_open) {
        rh_emu_connection_cut(connection);
        return;
    }
    rh_emu_refuse(connection->emulator, NULL, &no, "amqp:connection:forced",
                  "The connection was inactive for more than the allowed %" PRIu32 " milliseconds and is closed by container 'LinkTracker'.",
                  connection->patience_ms);
    rh_engine_close(connection->engine, no.condition, no.words);
    rh_emu_connection_wake(connection);
}

void rh_emu_connection_linked(rh_emu_connection *connection)
{
    const rh_emu_link *link = connection->links;
    while (link && link->is_aside) link = link->next;
    if (link) rh_timer_cancel(connection->emulator->loop, &connection->patience);
    else wait_for(connection, connection->emulator->limits.unlinked_ms);
}

/* -- what the engine tells -------------------------------------------------------------------- */

static uint8_t on_sasl(void *user, rh_engine *engine, rh_slice mechanism, rh_slice response)
{
    rh_emu_connection *connection = user;
    (void)engine;
    if (rh_slice_is(mechanism, "PLAIN")) return rh_emu_token_plain(connection, response) ? RH_SASL_CODE_OK : RH_SASL_CODE_AUTH;
    bool known = rh_slice_is(mechanism, "ANONYMOUS") || rh_slice_is(mechanism, "MSSBCBS") || rh_slice_is(mechanism, "EXTERNAL");
    return known ? RH_SASL_CODE_OK : RH_SASL_CODE_AUTH;
}

static void on_open(void *user, rh_engine *engine, const rh_amqp_open *open)
{
    rh_emu_connection *connection = user;
    size_t             n          = open->container_id.n < sizeof connection->client ? open->container_id.n : sizeof connection->client - 1;
    (void)engine;
    for (size_t i = 0; i < n; i++) {
        char c                = (char)open->container_id.p[i];
        connection->client[i] = c >= ' ' && c < 127 ? c : '?';
    }
    connection->is_open = true;
    (void)rh_emu_faults_judge(&(rh_emu_scene){ .moment = RH_EMU_AT_OPEN, .connection = connection });
    wait_for(connection, connection->emulator->limits.link_within_ms);
}

static void on_begin(void *user, rh_session *session)
{
    (void)rh_emu_faults_judge(&(rh_emu_scene){ .moment = RH_EMU_AT_BEGIN, .connection = user, .session = session });
}

static void on_attach(void *user, rh_link *link, const rh_amqp_attach *attach)
{
    rh_emu_link_on_attach(user, link, attach);
}

static void on_detach(void *user, rh_link *link, bool closed, const rh_error *error)
{
    rh_emu_link *ours = rh_link_user(link);
    (void)user, (void)closed, (void)error;
    if (ours) ours->kind->on_gone(ours); /* NULL: it was refused */
}

static void on_credit(void *user, rh_link *link)
{
    rh_emu_link *ours = rh_link_user(link);
    (void)user;
    if (ours && ours->kind->on_credit) ours->kind->on_credit(ours);
}

static void on_gather(void *user, rh_link *link)
{
    rh_emu_connection *connection = user;
    rh_emu_link       *ours       = rh_link_user(link);
    if (!ours || ours->gather) return;
    ours->gather = rh_emu_alloc(connection->emulator, ours->gather_n);
    if (!ours->gather || rh_link_gather(link, ours->gather, ours->gather_n) != RH_OK)
        rh_emu_log(connection->emulator, RH_LOG_WARNING, "emulator.memory", "%s: no memory for a delivery of several frames", connection->peer);
}

static void on_delivery(void *user, rh_link *link, const rh_incoming *incoming)
{
    rh_emu_link *ours = rh_link_user(link);
    (void)user;
    if (ours && !ours->is_leaving && ours->kind->on_delivery) ours->kind->on_delivery(ours, incoming);
}

static void on_outcome(void *user, rh_link *link, rh_delivery *delivery, const rh_outcome *outcome)
{
    rh_emu_link *ours = rh_link_user(link);
    (void)user, (void)outcome;
    if (ours && ours->kind->on_outcome) ours->kind->on_outcome(ours, rh_delivery_user(delivery));
}

static void on_close(void *user, rh_engine *engine, const rh_error *error)
{
    rh_emu_connection *connection = user;
    (void)engine;
    if (error->status >= 300 && error->status < 400) {
        RH_EMU_COUNT(connection->emulator, peer_errors);
        rh_emu_log(connection->emulator, RH_LOG_WARNING, "emulator.peer", "%s: %s %s: %s (byte %llu)", connection->peer,
                   rh_status_name(error->status), error->condition, error->description, (unsigned long long)error->position);
    }
}

/* The loop lends what frames are written to: a client that says nothing costs no ring. */
static void *on_room(void *user, rh_engine *engine, size_t n)
{
    rh_emu_connection *connection = user;
    (void)engine;
    connection->room   = rh_loop_borrow(connection->emulator->loop, n);
    connection->room_n = n;
    return connection->room;
}

static void give_room_back(rh_emu_connection *connection)
{
    rh_loop_give_back(connection->emulator->loop, connection->room, connection->room_n);
    connection->room = NULL;
}

static void on_room_back(void *user, rh_engine *engine, void *room, size_t n)
{
    (void)engine, (void)room, (void)n;
    give_room_back(user);
}

static void on_frame(void *user, rh_engine *engine, bool outgoing, uint8_t type, uint16_t channel, rh_slice body)
{
    rh_emu_connection *connection = user;
    rh_amqp_transfer   transfer;
    rh_dec             d = rh_dec_of(body);
    (void)engine, (void)channel;
    if (outgoing || type != RH_FRAME_AMQP || rh_composite_peek(&d) != RH_AMQP_TRANSFER) return;
    connection->part_came = rh_amqp_transfer_decode(&d, &transfer) == RH_OK && transfer.more && !transfer.aborted;
}

/* The second looks at every frame for those who wait for the middle of a delivery. */
#define TOLD \
    .on_sasl = on_sasl, .on_open = on_open, .on_begin = on_begin, .on_attach = on_attach, .on_detach = on_detach, \
    .on_credit = on_credit, .on_gather = on_gather, .on_delivery = on_delivery, .on_outcome = on_outcome, \
    .on_close = on_close, .on_room = on_room, .on_room_back = on_room_back
static const rh_engine_handler engine_handler         = { TOLD };
static const rh_engine_handler watchful_engine_handler = { TOLD, .on_frame = on_frame };
#undef TOLD

/* -- the engine's clock ----------------------------------------------------------------------- */

static void on_clock(void *user, rh_time now)
{
    rh_emu_connection *connection = user;
    (void)now;
    connection->clock_at = RH_TIME_NEVER;
    turn(connection);
}

static void arm(rh_emu_connection *connection)
{
    rh_time deadline = rh_engine_deadline(connection->engine);
    if (deadline == connection->clock_at) return;
    connection->clock_at = deadline;
    rh_timer_set(connection->emulator->loop, &connection->clock, deadline);
}

/* Tells what is due, lets hungry readers have what came back, and sees to what there is to send. */
static void turn(rh_emu_connection *connection)
{
    rh_loop *loop = connection->emulator->loop;
    rh_time  now  = rh_loop_now(loop);
    bool     held = !rh_engine_wants_input(connection->engine);
    if (rh_engine_deadline(connection->engine) <= now) rh_engine_tick(connection->engine, now);
    /* There was no room for answers, and now there is. */
    if (held && rh_engine_wants_input(connection->engine)) rh_pipe_wake(connection->pipe);
    if (connection->slots_back) rh_emu_readers_feed(connection);
    rh_emu_connection_wake(connection);
}

void rh_emu_connection_wake(rh_emu_connection *connection)
{
    arm(connection);
    if (rh_engine_is_closed(connection->engine) && !connection->is_closing) {
        connection->is_closing = true;
        /* Nobody is there to take what a flush would wait for. */
        const rh_error *why = rh_engine_error(connection->engine);
        rh_pipe_close(connection->pipe, why->status != RH_E_PEER_SILENT);
    } else if (rh_engine_wants_output(connection->engine)) {
        rh_pipe_wake(connection->pipe);
    }
}

/* -- faults ----------------------------------------------------------------------------------- */

static void on_stall_over(void *user, rh_time now)
{
    rh_emu_connection *connection = user;
    (void)now;
    connection->is_stalled = false;
    rh_pipe_wake(connection->pipe);
    turn(connection);
}

void rh_emu_connection_stall(rh_emu_connection *connection, rh_time time)
{
    rh_loop *loop          = connection->emulator->loop;
    connection->is_stalled = true;
    rh_timer_set(loop, &connection->stall, rh_time_after(rh_loop_now(loop), time));
    rh_pipe_wake(connection->pipe); /* which asks again whether input is wanted */
}

/* [2.7.5] The link of which a delivery is half here: only then its buffer cannot be given anew. */
static rh_emu_link *halfway(const rh_emu_connection *connection)
{
    for (rh_emu_link *link = connection->links; link; link = link->next) {
        if (link->is_leaving || !link->gather || !rh_link_is_attached(link->link)) continue;
        if (rh_link_gather(link->link, link->gather, link->gather_n) == RH_E_STATE) return link;
    }
    return NULL;
}

static void strike_halfway(rh_emu_connection *connection)
{
    rh_emu_link *link = connection->part_came ? halfway(connection) : NULL;
    if (!link || !link->path) return;
    rh_emu_address address = rh_emu_address_parse(rh_str(link->path));
    (void)rh_emu_faults_judge(&(rh_emu_scene){ .moment = RH_EMU_AT_PART, .connection = connection, .session = rh_link_session(link->link),
                                               .link = link, .address = &address });
}

/* Frame by frame, so that what happens in the middle of a delivery finds it there. */
static size_t input_by_frames(rh_emu_connection *connection, const uint8_t *bytes, size_t n, rh_time now)
{
    size_t used = 0;
    while (used < n && !connection->is_closing && !connection->is_stalled) {
        size_t size  = rh_engine_frame_size(connection->engine, bytes + used, n - used);
        size_t some  = size == 0 || size > n - used ? n - used : size;
        connection->part_came = false;
        size_t taken = rh_engine_input(connection->engine, bytes + used, some, now);
        used += taken;
        if (taken < some) break;
        strike_halfway(connection);
    }
    return used;
}

/* A connection that is to be cut after so many bytes says no more than those. */
static size_t within_quota(const rh_emu_connection *connection, rh_iov *iov, size_t count)
{
    uint64_t left = connection->quota;
    if (left == UINT64_MAX) return count;
    for (size_t i = 0; i < count; i++) {
        if (iov[i].n < left) {
            left -= iov[i].n;
            continue;
        }
        iov[i].n = (size_t)left;
        return i + (left > 0);
    }
    return count;
}

void rh_emu_connection_cut(rh_emu_connection *connection)
{
    connection->is_closing = true;
    rh_pipe_close(connection->pipe, false);
}

/* -- the pipe --------------------------------------------------------------------------------- */

static void on_up(void *user, rh_pipe *pipe)
{
    (void)pipe;
    turn(user);
}

static size_t frame_size(void *user, const uint8_t *bytes, size_t n)
{
    const rh_emu_connection *connection = user;
    return rh_engine_frame_size(connection->engine, bytes, n);
}

static size_t input(void *user, rh_pipe *pipe, const uint8_t *bytes, size_t n)
{
    rh_emu_connection *connection = user;
    (void)pipe;
    rh_time now  = rh_loop_now(connection->emulator->loop);
    size_t  used = connection->wants_parts ? input_by_frames(connection, bytes, n, now) : rh_engine_input(connection->engine, bytes, n, now);
    turn(connection);
    return used;
}

static bool wants_input(void *user)
{
    const rh_emu_connection *connection = user;
    return !connection->is_stalled && rh_engine_wants_input(connection->engine);
}

static size_t output(void *user, rh_iov *iov, size_t max)
{
    rh_emu_connection *connection = user;
    if (connection->is_stalled) return 0;
    size_t count = rh_engine_output(connection->engine, iov, max);
    if (count == 0) arm(connection); /* without room the engine asks again, later */
    return within_quota(connection, iov, count);
}

static void sent(void *user, size_t n)
{
    rh_emu_connection *connection = user;
    rh_engine_sent(connection->engine, n, rh_loop_now(connection->emulator->loop));
    if (connection->quota != UINT64_MAX) connection->quota -= n < connection->quota ? n : connection->quota;
    if (connection->quota == 0) rh_emu_connection_cut(connection);
    turn(connection);
}

static void destroy(rh_emu_connection *connection)
{
    rh_emulator *emulator = connection->emulator;
    while (connection->links) connection->links->kind->on_gone(connection->links);
    rh_emu_token_fini(connection);
    rh_timer_cancel(emulator->loop, &connection->clock);
    rh_timer_cancel(emulator->loop, &connection->patience);
    rh_timer_cancel(emulator->loop, &connection->stall);
    *connection->link_to_this = connection->next;
    if (connection->next) connection->next->link_to_this = connection->link_to_this;
    emulator->connection_count--;
    atomic_fetch_sub_explicit(&emulator->counters.connections_open, 1, memory_order_relaxed);
    give_room_back(connection);
    if (connection->arena) rh_emu_free(emulator, connection->arena, connection->arena_n);
    rh_emu_free(emulator, connection, sizeof *connection);
    rh_emu_namespace_let_go(emulator);
}

static void on_down(void *user, rh_pipe *pipe, const rh_error *error)
{
    rh_emu_connection *connection = user;
    (void)pipe;
    rh_engine_lost(connection->engine, error);
    rh_engine_tick(connection->engine, rh_loop_now(connection->emulator->loop));
    rh_emu_log(connection->emulator, RH_LOG_DEBUG, "emulator.down", "%s: %s", connection->peer,
               error->description[0] ? error->description : rh_status_words(error->status));
    destroy(connection);
}

static const rh_pipe_handler pipe_handler = {
    .on_up       = on_up,
    .frame_size  = frame_size,
    .input       = input,
    .wants_input = wants_input,
    .output      = output,
    .sent        = sent,
    .on_down     = on_down,
};

/* -- accepting -------------------------------------------------------------------------------- */

static bool make_engine(rh_emu_connection *connection)
{
    uint8_t random[16];
    char    container[40];
    rh_loop_random(connection->emulator->loop, random, sizeof random);
    for (size_t i = 0; i < sizeof random; i++) snprintf(container + 2 * i, 3, "%02x", random[i]);
    strcat(container, "_G0");

    const rh_emulator_limits *limits = &connection->emulator->limits;
    rh_engine_opts opts = {
        .size             = sizeof opts,
        .server           = true,
        .container_id     = rh_str(container),
        .idle_time_out_ms = limits->idle_time_out_ms,
        .max_frame_size   = limits->max_frame_bytes,
        .incoming_window  = limits->window,
        .first_id         = limits->first_id,
        .sessions         = limits->sessions,
        .links            = LINKS,
        .deliveries       = DELIVERIES,
        .output_bytes     = OUTPUT_BYTES,
        .output_lent      = true,
        .sasl             = RH_SASL_ANONYMOUS, /* a server that speaks SASL offers all four */
    };
    connection->arena_n = rh_engine_size(&opts);
    /* Not zeroed: the engine touches of its memory what it uses, and the rest stays the operating system's. */
    const rh_allocator *allocator = connection->emulator->allocator;
    connection->arena = connection->arena_n ? allocator->alloc(allocator->user, connection->arena_n) : NULL;
    if (connection->arena) connection->engine = rh_engine_init(connection->arena, connection->arena_n, &opts, connection->wants_parts ? &watchful_engine_handler : &engine_handler, connection);
    return connection->engine != NULL;
}

void rh_emu_connection_accept(void *user, rh_pipe *pipe)
{
    rh_emulator *emulator = user;
    if (emulator->is_dead || emulator->connection_count >= emulator->max_connections) {
        rh_emu_log(emulator, RH_LOG_WARNING, "emulator.full", "a connection beyond the %u possible ones is cut", emulator->max_connections);
        rh_pipe_close(pipe, false);
        return;
    }
    rh_emu_connection *connection = rh_emu_alloc(emulator, sizeof *connection);
    if (!connection) {
        rh_pipe_close(pipe, false);
        return;
    }
    connection->emulator      = emulator;
    connection->pipe          = pipe;
    connection->hungry_end    = &connection->hungry;
    connection->clock_at      = RH_TIME_NEVER;
    connection->quota         = UINT64_MAX;
    connection->wants_parts   = rh_emu_faults_want_parts(emulator);
    connection->stall.fn      = on_stall_over;
    connection->stall.user    = connection;
    connection->clock.fn      = on_clock;
    connection->clock.user    = connection;
    connection->patience.fn   = on_patience;
    connection->patience.user = connection;
    connection->next          = emulator->connections;
    connection->link_to_this  = &emulator->connections;
    if (connection->next) connection->next->link_to_this = &connection->next;
    emulator->connections = connection;
    emulator->connection_count++;
    RH_EMU_COUNT(emulator, connections);
    RH_EMU_COUNT(emulator, connections_open);
    rh_pipe_peer(pipe, connection->peer, sizeof connection->peer);
    if (!make_engine(connection)) {
        rh_emu_log(emulator, RH_LOG_WARNING, "emulator.memory", "%s: no memory for a connection", connection->peer);
        destroy(connection);
        rh_pipe_close(pipe, false);
        return;
    }
    rh_pipe_adopt(pipe, &pipe_handler, connection);
    wait_for(connection, emulator->limits.open_within_ms);
    (void)rh_emu_faults_judge(&(rh_emu_scene){ .moment = RH_EMU_AT_CONNECT, .connection = connection });
}
