/* The clients of a world, and all that they do: made, watched, and held against what they were promised. */
#include "tests/sim/world.h"

#include "eventhub/connection.h"

#include <stdio.h>
#include <stdlib.h>

#define REOPEN_MOST RH_SECONDS(2)

/* Whoever ends at a deadline may take a turn or two more: what was lent comes back first. */
#define LATE_MOST RH_MS(10)

rh_loop *sim_world_loop(const sim_world *world)
{
    return (rh_loop *)(uintptr_t)&world->loop.loop;
}

static rh_loop *loop_of(const sim_client *client)
{
    return sim_world_loop(client->world);
}

/* -- what is promised ------------------------------------------------------------------------------ */

static void look_for_canary(sim_world *world, const char *text)
{
    if (strstr(text, SIM_CANARY) || strstr(text, "sig=")) sim_model_wrong(&world->model, "a secret was shown: %s", text);
}

static bool passes(const rh_error *error)
{
    return error->error_class == RH_CLASS_TRANSIENT || error->error_class == RH_CLASS_REATTACH || error->error_class == RH_CLASS_RECONNECT;
}

/*
 * Nothing ends for a reason that passes: what was open recovers, and says nothing but that; what is being opened for the first
 * time has as long as an operation. The places of a group may all be held by ghosts, whom the service does not know to be dead.
 */
void sim_client_ended(sim_client *client, const char *who, uint32_t id, const rh_error *error, bool leaving, rh_time open_by)
{
    sim_world *world = client->world;
    sim_tell(&world->trace, world->loop.now, "%s %u ends: %s %s", who, id, error ? rh_status_name(error->status) : "RH_OK", error ? error->description : "");
    if (!error) return;
    look_for_canary(world, error->description);
    bool recovers = !world->shape.retry.off && world->shape.retry.tries == 0 && !world->closing && !client->leaving && !leaving;
    bool ghosts   = error->status == RH_E_QUOTA && !open_by && strstr(error->description, "receivers");
    bool late     = open_by && world->loop.now >= open_by;
    if (recovers && !late && error->status != RH_E_CLOSED && (passes(error) || ghosts))
        sim_model_wrong(&world->model, "%s %u ended for a reason that passes: %s %s", who, id, rh_status_name(error->status), error->description);
}

void sim_world_in_time(sim_world *world, const char *who, uint32_t id, const char *what, rh_time due)
{
    rh_time last = due > world->loop.woke ? due : world->loop.woke;
    if (due && world->loop.now > last + LATE_MOST)
        sim_model_wrong(&world->model, "%s %u was %s %.3f s too late", who, id, what, (double)(world->loop.now - due) / 1e9);
}

void sim_client_in_time(sim_client *client, const char *who, uint32_t id, const char *what, rh_time due)
{
    sim_world_in_time(client->world, who, id, what, due && client->due > due ? client->due : due);
}

rh_time sim_client_soon(const sim_client *client, sim_chance *chance)
{
    return client->world->loop.now + sim_between(chance, RH_MS(10), REOPEN_MOST);
}

/* -- clients -------------------------------------------------------------------------------------- */

static void note_state(sim_client *client, rh_client_state state, const rh_error *error)
{
    sim_world *world = client->world;
    sim_tell(&world->trace, world->loop.now, "client %u is %s", client->id, (const char *[]){ "idle", "connecting", "open", "closing", "closed" }[state]);
    if (client->lost) sim_model_wrong(&world->model, "client %u is told of a state after its end", client->id);
    if (error) look_for_canary(world, error->description);
    if (state == RH_CLIENT_OPEN) client->was_open = true;
    if (state != RH_CLIENT_CLOSED) return;
    sim_client_ended(client, "client", client->id, error, false, client->was_open ? 0 : client->open_by);
    sim_world_in_time(world, "client", client->id, "closed", client->due);
    client->lost = true;
    if (!world->closing) rh_timer_set(loop_of(client), &client->timer, sim_client_soon(client, &client->chance));
}

static void on_state(void *user, rh_client *rh, rh_client_state state, const rh_error *error)
{
    (void)rh;
    note_state(user, state, error);
    sim_client_rash(user);
}

/* The service minds the rules: what a client takes for a breach is one of the network's, or a mistake of the client's. */
static void judge_peer(sim_world *world, const rh_error *error)
{
    bool breach = error->status >= 300 && error->status < 400 && error->status != RH_E_PEER_SILENT;
    if (breach && !world->loop.garbage) sim_model_wrong(&world->model, "a client blames the service: %s %s", rh_status_name(error->status), error->description);
}

/* Who hears of a loss may well lose patience. */
static void on_retry(void *user, rh_client *rh, const rh_retry *retry)
{
    sim_client *client = user;
    sim_world  *world  = client->world;
    (void)rh;
    look_for_canary(world, retry->error->description);
    judge_peer(world, retry->error);
    if (client->credential) sim_credential_judge(client->credential, retry->what, retry->error);
    if (retry->error->error_class == RH_CLASS_STOLEN) sim_model_wrong(&world->model, "client %u tries again what was stolen: %s", client->id, retry->what);
    sim_tell(&world->trace, world->loop.now, "client %u tries %s again, %u", client->id, retry->what, (unsigned)retry->tries);
    if (!world->calm && sim_once_in(&client->chance, 50)) sim_client_close_something(client);
    sim_client_rash(client);
}

static void on_log(void *user, rh_log_level level, const char *id, const char *text)
{
    sim_world *world = user;
    (void)level;
    look_for_canary(world, text);
    sim_tell(&world->trace, world->loop.now, "log %s: %s", id, text);
}

static void on_frame(void *user, rh_client *rh, bool outgoing, uint16_t channel, const char *text)
{
    sim_client *client = user;
    (void)rh;
    look_for_canary(client->world, text);
    if (client->world->trace.out) sim_tell(&client->world->trace, client->world->loop.now, "client %u %s %u %s", client->id, outgoing ? "->" : "<-", (unsigned)channel, text);
}

/* TLS is only a stand-in here, but the client loads whom it trusts; the system's list would take longer than the world. */
static rh_slice trusted(void)
{
    static char cert[RH_TLS_PEM_MAX], key[RH_TLS_PEM_MAX];
    if (!cert[0] && rh_tls_self_signed("sim", cert, sizeof cert, key, sizeof key, NULL) != RH_OK) cert[0] = 0;
    return rh_str(cert);
}

static const char *connection_string(const sim_shape *shape)
{
    if (shape->token_life) return shape->tls ? "Endpoint=sb://sim/;EntityPath=hub" : "Endpoint=sb://sim/;EntityPath=hub;UseDevelopmentEmulator=true";
    return shape->tls ? "Endpoint=sb://sim/;SharedAccessKeyName=rule;SharedAccessKey=" SIM_CANARY ";EntityPath=hub"
                      : "Endpoint=sb://sim/;SharedAccessKeyName=rule;SharedAccessKey=" SIM_CANARY ";EntityPath=hub;UseDevelopmentEmulator=true";
}

static void make_client(sim_client *client)
{
    sim_world       *world = client->world;
    const sim_shape *shape = &world->shape;
    rh_error         error;
    if (client->client && client->inquiry.due) sim_model_wrong(&world->model, "client %u is closed and never told what became of a question", client->id);
    rh_client_destroy(client->client);
    client->client = NULL;
    rh_status status = rh_client_create(loop_of(client), RH_CLIENT_OPTS(
        .connection_string = connection_string(shape), .credential = client->credential ? sim_credential_ops(client->credential) : NULL,
        .ca_pem = shape->tls ? trusted() : rh_str(NULL), .idle_time_out_ms = shape->idle_ms, .operation_timeout_ms = shape->operation_ms,
        .links = (uint32_t)(client->producer_count + client->consumer_count) + shape->spare_links, .retry = shape->retry,
        .step_by_step = shape->step_by_step, .max_frame_size = shape->frame_bytes, .session_window = shape->window,
        .handler = { .on_state = on_state, .on_retry = on_retry, .on_frame = world->trace.out || shape->watched ? on_frame : NULL }, .user = client,
        .log = { on_log, world }),
        &client->client, &error);
    if (status != RH_OK) {
        sim_model_wrong(&world->model, "no client: %s", error.description);
        return;
    }
    client->lost = client->was_open = client->leaving = false;
    client->due     = 0;
    client->open_by = world->loop.now + RH_MS(shape->operation_ms);
    client->remade++;
    for (size_t i = 0; i < client->producer_count; i++) sim_producer_open(&client->producers[i]);
    for (size_t i = 0; i < client->consumer_count; i++) sim_consumer_open(&client->consumers[i]);
}

static void on_whim(void *user, rh_time now)
{
    sim_client *client = user;
    sim_world  *world  = client->world;
    if (world->calm) return;
    rh_timer_set(loop_of(client), &client->whim, now + sim_scale(&client->chance, RH_SECONDS(1), client->whim_most));
    sim_client_close_something(client);
}

/* Everything on it learnt its end before, or learns it now. */
static void on_client_timer(void *user, rh_time now)
{
    sim_client *client = user;
    (void)now;
    for (size_t i = 0; i < client->producer_count; i++) sim_producer_drop(&client->producers[i]);
    for (size_t i = 0; i < client->consumer_count; i++) sim_consumer_drop(&client->consumers[i]);
    make_client(client);
}

/* -- making -------------------------------------------------------------------------------------- */

void sim_workload_make(sim_world *world, const sim_limits *limits)
{
    sim_chance *c         = &world->chance;
    uint32_t    producers = 0, consumers = 0;
    world->client_count = sim_between(c, 1, 3);
    world->clients      = calloc(world->client_count, sizeof *world->clients);
    for (size_t i = 0; i < world->client_count; i++) {
        sim_client *client     = &world->clients[i];
        *client                = (sim_client){
            .world = world, .id = (uint32_t)i, .timer = { .fn = on_client_timer, .user = client }, .whim = { .fn = on_whim, .user = client },
            .whim_most = sim_scale(c, RH_SECONDS(10), RH_SECONDS(1000)), .chance = sim_loop_chance(&world->loop, SIM_STREAM_CLIENTS + i),
        };
        if (world->shape.token_life) client->credential = sim_credential_make(world, client->id);
        sim_inquiry_init(&client->inquiry, client);
        client->producer_count = sim_between(c, 0, 3);
        client->consumer_count = sim_between(c, client->producer_count == 0, 2);
        client->producers      = calloc(client->producer_count + 1, sizeof *client->producers);
        client->consumers      = calloc(client->consumer_count + 1, sizeof *client->consumers);
        for (size_t k = 0; k < client->producer_count; k++) sim_producer_make(client, &client->producers[k], producers++, limits);
        for (size_t k = 0; k < client->consumer_count; k++) sim_consumer_make(client, &client->consumers[k], consumers++, limits);
    }
}

void sim_workload_start(sim_world *world)
{
    for (size_t i = 0; i < world->client_count; i++) {
        make_client(&world->clients[i]);
        sim_inquiry_start(&world->clients[i].inquiry);
        rh_timer_set(sim_world_loop(world), &world->clients[i].whim, world->loop.now + sim_scale(&world->clients[i].chance, RH_SECONDS(1), world->clients[i].whim_most));
    }
}

void sim_workload_calm(sim_world *world)
{
    for (size_t i = 0; i < world->client_count; i++)
        for (size_t k = 0; k < world->clients[i].producer_count; k++) {
            sim_producer *p = &world->clients[i].producers[k];
            if (p->producer && !p->lost) rh_timer_set(sim_world_loop(world), &p->timer, world->loop.now + RH_MS(1));
        }
}

/* -- ending -------------------------------------------------------------------------------------- */

int64_t sim_world_end(const sim_world *world, uint32_t partition)
{
    return world->emulator->hubs->partitions[partition].end;
}

/* The first that is not done; "" when all are. */
void sim_workload_unfinished(const sim_world *world, char *text, size_t n)
{
    text[0] = 0;
    for (size_t i = 0; i < world->client_count && !text[0]; i++) {
        const sim_client *client = &world->clients[i];
        for (size_t k = 0; k < client->producer_count && !text[0]; k++) {
            const sim_producer *p = &client->producers[k];
            if (p->sends) (void)snprintf(text, n, "producer %u has %u sends without outcome", p->id, p->sends);
            else if (!p->mute && !p->proved) (void)snprintf(text, n, "producer %u has sent nothing since", p->id);
        }
        for (size_t k = 0; k < client->consumer_count && !text[0]; k++) {
            const sim_consumer *c = &client->consumers[k];
            if (!c->mute && !c->robbed && c->seen + 1 < sim_world_end(world, c->partition))
                (void)snprintf(text, n, "consumer %u has seen %lld of %lld events", c->id, (long long)c->seen + 1, (long long)sim_world_end(world, c->partition));
        }
    }
}

bool sim_workload_is_proved(const sim_world *world)
{
    for (size_t i = 0; i < world->client_count; i++)
        for (size_t k = 0; k < world->clients[i].producer_count; k++)
            if (!world->clients[i].producers[k].mute && !world->clients[i].producers[k].proved) return false;
    return true;
}

bool sim_workload_is_done(const sim_world *world)
{
    char text[128];
    sim_workload_unfinished(world, text, sizeof text);
    return !text[0];
}

void sim_workload_left(const sim_world *world, uint64_t *events, uint64_t *bytes)
{
    *events = *bytes = 0;
    for (size_t i = 0; i < world->client_count; i++)
        for (size_t k = 0; k < world->clients[i].consumer_count; k++) {
            const sim_consumer     *c = &world->clients[i].consumers[k];
            const rh_emu_partition *p = &world->emulator->hubs->partitions[c->partition];
            if (c->mute || c->robbed || c->seen + 1 >= p->end) continue;
            uint64_t left = (uint64_t)(p->end - c->seen - 1);
            if (left > *events) *events = left;
            *bytes += world->emulator->store.used * left / (uint64_t)(p->end * world->shape.partitions);
        }
}

void sim_workload_forgotten(sim_world *world)
{
    world->losses++;
    for (size_t i = 0; i < world->client_count; i++)
        for (size_t k = 0; k < world->clients[i].consumer_count; k++) sim_consumer_forgotten(&world->clients[i].consumers[k]);
}

static void say_goodbye(sim_client *client)
{
    sim_world *world = client->world;
    rh_timer_cancel(loop_of(client), &client->timer);
    rh_timer_cancel(loop_of(client), &client->whim);
    rh_timer_cancel(loop_of(client), &client->inquiry.timer);
    for (size_t k = 0; k < client->producer_count; k++) rh_timer_cancel(loop_of(client), &client->producers[k].timer);
    for (size_t k = 0; k < client->consumer_count; k++) {
        rh_timer_cancel(loop_of(client), &client->consumers[k].timer);
        rh_timer_cancel(loop_of(client), &client->consumers[k].pull);
        sim_consumer_release(&client->consumers[k]);
    }
    if (client->lost) return;
    client->due = world->loop.now + RH_SECONDS(10);
    rh_client_close(client->client, client->due, NULL, NULL);
}

void sim_workload_close(sim_world *world)
{
    world->closing = true;
    for (size_t i = 0; i < world->client_count; i++) say_goodbye(&world->clients[i]);
}

bool sim_workload_is_closed(const sim_world *world)
{
    for (size_t i = 0; i < world->client_count; i++)
        if (!world->clients[i].lost) return false;
    return true;
}

void sim_workload_free(sim_world *world)
{
    for (size_t i = 0; i < world->client_count; i++) {
        sim_client *client = &world->clients[i];
        for (size_t k = 0; k < client->producer_count; k++) sim_producer_drop(&client->producers[k]);
        for (size_t k = 0; k < client->consumer_count; k++) {
            sim_consumer_release(&client->consumers[k]);
            sim_consumer_drop(&client->consumers[k]);
        }
        sim_inquiry_drop(&client->inquiry);
        rh_client_destroy(client->client);
        free(client->producers);
        free(client->consumers);
    }
    free(world->clients);
    world->client_count = 0;
}
