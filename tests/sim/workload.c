#include "tests/sim/world.h"

#include "eventhub/connection.h"

#include <stdio.h>
#include <stdlib.h>

#define REOPEN_MOST RH_SECONDS(2)

/* How long each client gives to an opening. */
#define OPERATION_MS 30000

/* Where their streams of choices begin: what one does moves no choice of another. */
enum { CLIENTS = 100, PRODUCERS = 200, CONSUMERS = 300 };

static rh_loop *loop_of(const sim_world *world)
{
    return (rh_loop *)(uintptr_t)&world->loop.loop;
}

/*
 * Nothing ends for a reason that passes: what was open recovers, and says nothing but that; what is being opened for the first
 * time has as long as an operation.
 */
static void judge_end(sim_world *world, const char *who, uint32_t id, const rh_error *error, rh_time opening, bool leaving)
{
    if (!error || leaving || world->closing || error->status == RH_E_CLOSED) return;
    bool passes = error->error_class == RH_CLASS_TRANSIENT || error->error_class == RH_CLASS_REATTACH || error->error_class == RH_CLASS_RECONNECT;
    /* The places of a group may all be held by ghosts, whom the service does not know to be dead. */
    if (error->status == RH_E_QUOTA && opening == RH_TIME_NEVER && strstr(error->description, "receivers")) passes = true;
    bool late   = world->loop.now >= rh_time_after(opening, RH_MS(OPERATION_MS));
    if (passes && !late)
        sim_model_wrong(&world->model, "%s %u ended for a reason that passes: %s %s", who, id, rh_status_name(error->status), error->description);
}

static void tell_end(const sim_world *world, const char *who, uint32_t id, const rh_error *error)
{
    sim_tell((sim_trace *)(uintptr_t)&world->trace, world->loop.now, "%s %u ends: %s %s", who, id, error ? rh_status_name(error->status) : "RH_OK",
             error ? error->description : "");
}

static rh_time soon(const sim_world *world, sim_chance *chance)
{
    return world->loop.now + sim_between(chance, RH_MS(10), REOPEN_MOST);
}

/* -- producers ----------------------------------------------------------------------------------- */

/* What a send carries: the numbers of its events, first to last. */
static void *tag_of(uint32_t first)
{
    return (void *)(uintptr_t)((uint64_t)first + 1);
}

static void on_sent(void *user, rh_producer *producer, const rh_sent *sent)
{
    sim_producer *p     = user;
    sim_world    *world = p->client->world;
    uint32_t      first = (uint32_t)((uintptr_t)sent->tag - 1);
    (void)producer;
    p->sends--;
    sim_tell(&world->trace, world->loop.now, "producer %u: events %u to %u end as %s", p->id, first, first + sent->events - 1,
             rh_status_name(sent->status));
    for (uint32_t i = first; i < first + sent->events; i++) {
        sim_event *e = &world->model.events[i];
        if (e->open-- == 0) sim_model_wrong(&world->model, "a send of event %u ended twice", i);
        e->once = p->once;
        if (sent->status == RH_OK && sent->tries > 1) e->again += sent->tries - 1;
        if (sent->status == RH_OK) e->accepted++;
        else if (sent->status == RH_E_OUTCOME_UNKNOWN) e->unknown++, e->again += sent->tries - 1;
        else e->refused++;
    }
}

static void on_producer_opened(void *user, rh_producer *producer)
{
    (void)producer;
    ((sim_producer *)user)->opening = RH_TIME_NEVER;
}

static void on_producer_closed(void *user, rh_producer *producer, const rh_error *error)
{
    sim_producer *p = user;
    (void)producer;
    tell_end(p->client->world, "producer", p->id, error);
    judge_end(p->client->world, "producer", p->id, error, p->opening, p->leaving || p->client->leaving);
    if (p->sends) sim_model_wrong(&p->client->world->model, "producer %u closed with %u sends without outcome", p->id, p->sends);
    p->lost = true;
    if (!p->client->world->closing) rh_timer_set(loop_of(p->client->world), &p->timer, soon(p->client->world, &p->chance));
}

static void open_producer(sim_producer *p)
{
    sim_world *world = p->client->world;
    char       partition[12];
    (void)snprintf(partition, sizeof partition, "%d", p->partition);
    rh_producer_destroy(p->producer);
    p->producer = NULL;
    p->lost = p->leaving = false;
    p->opening = world->loop.now;
    if (p->mute || !p->client->client || p->client->lost) return; /* the client comes first, and opens us */
    rh_status status = rh_producer_open(p->client->client, RH_PRODUCER_OPTS(
        .partition = p->partition < 0 ? NULL : partition, .in_flight = p->in_flight, .once = p->once, .batches = 2, .batch_bytes = 256 * 1024,
        .handler = { .on_open = on_producer_opened, .on_sent = on_sent, .on_closed = on_producer_closed }, .user = p), &p->producer);
    if (status != RH_OK) rh_timer_set(loop_of(world), &p->timer, soon(world, &p->chance));
}

static rh_event_data data_of(sim_world *world, uint32_t event, uint8_t *body)
{
    sim_model_body(&world->model, event, body);
    return (rh_event_data){ .body = rh_slice_of(body, world->model.events[event].size) };
}

static uint32_t new_event(sim_producer *p)
{
    return sim_model_add(&p->client->world->model, p->id, (uint32_t)sim_scale(&p->chance, SIM_BODY_MIN, p->size_most));
}

/* The events of a send that was refused at once were never sent; they stay in the model as such. */
static void mark(sim_producer *p, uint32_t first, uint32_t count, rh_status status)
{
    for (uint32_t i = first; i < first + count; i++) {
        if (status == RH_OK) p->client->world->model.events[i].open++;
        else p->client->world->model.events[i].refused++;
    }
    if (status == RH_OK) p->sends++;
    sim_tell(&p->client->world->trace, p->client->world->loop.now, "producer %u sends events %u to %u: %s", p->id, first, first + count - 1,
             rh_status_name(status));
}

static rh_time deadline(sim_producer *p)
{
    return p->client->world->loop.now + sim_between(&p->chance, RH_SECONDS(5), RH_SECONDS(60));
}

static void send_one(sim_producer *p)
{
    static uint8_t body[1 << 20];
    uint32_t       event = new_event(p);
    rh_event_data  data  = data_of(p->client->world, event, body);
    mark(p, event, 1, rh_producer_send_event(p->producer, &data, deadline(p), tag_of(event)));
}

static void send_batch(sim_producer *p)
{
    static uint8_t body[1 << 20];
    sim_world     *world = p->client->world;
    uint32_t       first = (uint32_t)world->model.count, want = (uint32_t)sim_between(&p->chance, 1, p->batch_most), count = 0;
    rh_batch      *batch;
    if (rh_batch_create(p->producer, NULL, &batch) != RH_OK) return;
    while (count < want) {
        rh_event_data data = data_of(world, new_event(p), body);
        if (rh_batch_add(batch, &data) != RH_OK) {
            world->model.count--;
            break;
        }
        count++;
    }
    rh_status status = count ? rh_producer_send(p->producer, batch, deadline(p), tag_of(first)) : RH_E_BATCH_FULL;
    if (count) mark(p, first, count, status);
    if (status != RH_OK) rh_batch_destroy(batch);
}

/* Sends begin soon after. */
static void on_producer_open(sim_producer *p)
{
    if (!p->timer.is_set && !p->mute) rh_timer_set(loop_of(p->client->world), &p->timer, p->client->world->loop.now + RH_MS(1));
}

static void on_producer_timer(void *user, rh_time now)
{
    sim_producer *p     = user;
    sim_world    *world = p->client->world;
    if (p->lost || !p->producer) {
        open_producer(p);
        on_producer_open(p);
        return;
    }
    if (world->calm) return;
    if (rh_producer_is_open(p->producer) && rh_producer_in_flight(p->producer) < p->in_flight && p->left) {
        p->left--;
        if (sim_once_in(&p->chance, 3)) send_one(p);
        else send_batch(p);
    }
    rh_timer_set(loop_of(world), &p->timer, now + sim_scale(&p->chance, RH_US(100), p->interval_most));
}

/* -- consumers ----------------------------------------------------------------------------------- */

static void let_go(sim_held *held)
{
    sim_consumer *c     = held->consumer;
    sim_world    *world = c->client->world;
    uint32_t      number;
    for (sim_held **at = &c->held; *at; at = &(*at)->next)
        if (*at == held) {
            *at = held->next;
            break;
        }
    rh_timer_cancel(loop_of(world), &held->timer);
    if (sim_model_know(&world->model, rh_event_body(held->event), "a kept event", &number) && number != held->number)
        sim_model_wrong(&world->model, "a kept event turned from %u into %u", held->number, number);
    rh_event_release(held->event);
    free(held);
}

static void on_held(void *user, rh_time now)
{
    (void)now;
    let_go(user);
}

static void keep(sim_consumer *c, const rh_event *event, uint32_t number)
{
    sim_world      *world = c->client->world;
    const rh_event *kept;
    if (rh_event_retain(event, &kept) != RH_OK) return;
    sim_held *held = calloc(1, sizeof *held);
    *held          = (sim_held){ .next = c->held, .event = kept, .number = number, .timer = { .fn = on_held, .user = held }, .consumer = c };
    c->held        = held;
    rh_timer_set(loop_of(world), &held->timer, world->loop.now + sim_scale(&c->chance, RH_MS(1), RH_SECONDS(30)));
}

static void see(sim_consumer *c, const rh_event *event)
{
    sim_world    *world    = c->client->world;
    int64_t       sequence = rh_event_sequence_number(event);
    char          where[64];
    uint32_t      number;
    (void)snprintf(where, sizeof where, "consumer %u, sequence %lld", c->id, (long long)sequence);
    if (sequence != c->seen + 1) sim_model_wrong(&world->model, "%s: it had seen %lld before", where, (long long)c->seen);
    c->seen = sequence;
    c->events++;
    sim_tell(&world->trace, world->loop.now, "consumer %u sees sequence %lld", c->id, (long long)sequence);
    if (!sim_model_know(&world->model, rh_event_body(event), where, &number)) return;
    if (!world->calm && sim_once_in(&c->chance, c->hold_every)) keep(c, event, number);
}

static void on_event(void *user, rh_consumer *consumer, const rh_event *event)
{
    (void)consumer;
    see(user, event);
}

static void on_pull(void *user, rh_time now)
{
    sim_consumer   *c     = user;
    sim_world      *world = c->client->world;
    const rh_event *event;
    if (!c->consumer) return; /* opening it anew starts this anew */
    while (rh_consumer_receive(c->consumer, &event) == RH_OK) {
        see(c, event);
        rh_event_release(event);
    }
    rh_timer_set(loop_of(world), &c->pull, now + (world->calm ? RH_MS(20) : sim_scale(&c->chance, RH_MS(1), c->pull_most)));
}

static void on_consumer_state(void *user, rh_consumer *consumer, rh_consumer_state state, const rh_error *error)
{
    sim_consumer *c = user;
    (void)consumer;
    if (state == RH_CONSUMER_OPEN) c->opening = RH_TIME_NEVER;
    if (state != RH_CONSUMER_CLOSED && state != RH_CONSUMER_STOLEN) return;
    tell_end(c->client->world, "consumer", c->id, error);
    judge_end(c->client->world, "consumer", c->id, error, c->opening, c->leaving || c->client->leaving);
    c->lost = true;
    if (!c->client->world->closing) rh_timer_set(loop_of(c->client->world), &c->timer, soon(c->client->world, &c->chance));
}

static void open_consumer(sim_consumer *c)
{
    sim_world  *world = c->client->world;
    rh_position from  = { .kind = RH_POSITION_EARLIEST };
    char        partition[12];
    (void)snprintf(partition, sizeof partition, "%u", c->partition);
    while (c->held) let_go(c->held);
    rh_consumer_destroy(c->consumer);
    c->consumer = NULL;
    c->lost = c->leaving = false;
    c->opening = world->loop.now;
    if (c->mute || !c->client->client || c->client->lost) return;
    if (c->seen >= 0) from = (rh_position){ .kind = RH_POSITION_SEQUENCE, .value = c->seen };
    rh_status status = rh_consumer_open(c->client->client, RH_CONSUMER_OPTS(
        .partition = partition, .position = from, .prefetch = c->prefetch,
        .prefetch_bytes = c->pull_most ? 1 : 1024 * 1024, .event_bytes = c->pull_most ? 70 * 1024 : 300 * 1024,
        .handler = { .on_event = c->pull_most ? NULL : on_event, .on_state = on_consumer_state }, .user = c), &c->consumer);
    if (status != RH_OK) rh_timer_set(loop_of(world), &c->timer, soon(world, &c->chance));
    if (status == RH_OK && c->pull_most) rh_timer_set(loop_of(world), &c->pull, world->loop.now + RH_MS(1));
}

static void on_consumer_timer(void *user, rh_time now)
{
    sim_consumer *c = user;
    (void)now;
    if (c->lost || !c->consumer) open_consumer(c);
}

/* -- clients ------------------------------------------------------------------------------------- */

static void look_for_canary(sim_world *world, const char *text)
{
    if (strstr(text, SIM_CANARY)) sim_model_wrong(&world->model, "a secret was shown: %s", text);
}

static void on_client_state(void *user, rh_client *rh, rh_client_state state, const rh_error *error)
{
    sim_client *client = user;
    (void)rh;
    if (error) look_for_canary(client->world, error->description);
    sim_tell(&client->world->trace, client->world->loop.now, "client %u is %s", client->id,
             (const char *[]){ "idle", "connecting", "open", "closing", "closed" }[state]);
    if (state == RH_CLIENT_OPEN) client->opening = RH_TIME_NEVER;
    if (state != RH_CLIENT_CLOSED) return;
    tell_end(client->world, "client", client->id, error);
    judge_end(client->world, "client", client->id, error, client->opening, client->leaving);
    client->lost = true;
    if (!client->world->closing) rh_timer_set(loop_of(client->world), &client->timer, soon(client->world, &client->chance));
}

static void close_something(sim_client *client);

/* Who hears of a loss may well lose patience. */
static void on_retry(void *user, rh_client *rh, const rh_retry *retry)
{
    sim_client *client = user;
    sim_world  *world  = client->world;
    (void)rh;
    look_for_canary(world, retry->error->description);
    sim_tell(&world->trace, world->loop.now, "client %u tries %s again, %u", client->id, retry->what, (unsigned)retry->tries);
    if (!world->calm && sim_once_in(&client->chance, 50)) close_something(client);
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
    sim_tell(&client->world->trace, client->world->loop.now, "client %u %s %u %s", client->id, outgoing ? "->" : "<-", (unsigned)channel, text);
}

/* TLS is only a stand-in here, but the client loads whom it trusts; the system's list would take longer than the world. */
static rh_slice trusted(void)
{
    static char cert[RH_TLS_PEM_MAX], key[RH_TLS_PEM_MAX];
    if (!cert[0] && rh_tls_self_signed("sim", cert, sizeof cert, key, sizeof key, NULL) != RH_OK) cert[0] = 0;
    return rh_str(cert);
}

static void make_client(sim_client *client)
{
    sim_world *world = client->world;
    rh_error   error;
    rh_client_destroy(client->client);
    client->client = NULL;
    rh_status status = rh_client_create(loop_of(world), RH_CLIENT_OPTS(
        .connection_string = world->tls
            ? "Endpoint=sb://sim/;SharedAccessKeyName=rule;SharedAccessKey=" SIM_CANARY ";EntityPath=hub"
            : "Endpoint=sb://sim/;SharedAccessKeyName=rule;SharedAccessKey=" SIM_CANARY ";EntityPath=hub;UseDevelopmentEmulator=true",
        .ca_pem = world->tls ? trusted() : rh_str(NULL), .idle_time_out_ms = 20000, .links = 16, .operation_timeout_ms = OPERATION_MS,
        .handler = { .on_state = on_client_state, .on_retry = on_retry, .on_frame = world->trace.out ? on_frame : NULL }, .user = client,
        .log = { on_log, world }),
        &client->client, &error);
    if (status != RH_OK) {
        sim_model_wrong(&world->model, "no client: %s", error.description);
        return;
    }
    client->lost = client->leaving = false;
    client->opening = world->loop.now;
    client->remade++;
    for (size_t i = 0; i < client->producer_count; i++) {
        open_producer(&client->producers[i]);
        on_producer_open(&client->producers[i]);
    }
    for (size_t i = 0; i < client->consumer_count; i++) open_consumer(&client->consumers[i]);
}

/* -- closing and opening again ------------------------------------------------------------------- */

static void draining(const sim_client *client)
{
    if (client->client->pipe && client->client->pipe_up) sim_wire_reached(sim_wire_of(client->client->pipe), SIM_DRAIN);
}

static void tell_whim(sim_client *client, sim_occasion at)
{
    char name[SIM_OCCASION_MAX];
    sim_swarm_struck(&client->world->swarm, at);
    sim_tell(&client->world->trace, client->world->loop.now, "whim %s", sim_occasion_name(at, name));
}

static bool leave_producer(sim_producer *p, rh_time when)
{
    if (!p->producer || p->lost) return false;
    if (p->sends) draining(p->client);
    p->leaving = true;
    rh_producer_close(p->producer, when);
    return true;
}

static bool leave_consumer(sim_consumer *c, rh_time when)
{
    if (!c->consumer || c->lost) return false;
    c->leaving = true;
    rh_consumer_close(c->consumer, when);
    return true;
}

static bool leave_client(sim_client *client, rh_time when)
{
    client->leaving = true;
    rh_client_close(client->client, when, NULL, NULL);
    return true;
}

static void close_something(sim_client *client)
{
    sim_swarm   *swarm = &client->world->swarm;
    sim_occasion at    = sim_occasion_of('c', client->id, client->whims++);
    sim_chance   c     = sim_swarm_chance(swarm, at);
    rh_time      when  = client->world->loop.now + sim_between(&c, RH_MS(100), RH_SECONDS(20));
    bool         left;
    if (client->lost || !client->client || !sim_swarm_allows(swarm, at)) return;
    if (client->producer_count && sim_once_in(&c, 2)) left = leave_producer(&client->producers[sim_below(&c, client->producer_count)], when);
    else if (client->consumer_count && sim_once_in(&c, 2)) left = leave_consumer(&client->consumers[sim_below(&c, client->consumer_count)], when);
    else left = leave_client(client, when);
    if (left) tell_whim(client, at);
}

static void on_whim(void *user, rh_time now)
{
    sim_client *client = user;
    sim_world  *world  = client->world;
    if (world->calm) return;
    rh_timer_set(loop_of(world), &client->whim, now + sim_scale(&client->chance, RH_SECONDS(1), client->whim_most));
    close_something(client);
}

/* Everything on it learnt its end before, or learns it now. */
static void on_client_timer(void *user, rh_time now)
{
    sim_client *client = user;
    (void)now;
    for (size_t i = 0; i < client->producer_count; i++) {
        rh_producer_destroy(client->producers[i].producer);
        client->producers[i].producer = NULL;
    }
    for (size_t i = 0; i < client->consumer_count; i++) {
        while (client->consumers[i].held) let_go(client->consumers[i].held);
        rh_consumer_destroy(client->consumers[i].consumer);
        client->consumers[i].consumer = NULL;
    }
    make_client(client);
}

/* -- making -------------------------------------------------------------------------------------- */

static void make_producer(sim_world *world, sim_client *client, sim_producer *p, uint32_t id, const sim_limits *limits)
{
    sim_chance chance = sim_loop_chance(&world->loop, PRODUCERS + id), *c = &chance;
    *p                = (sim_producer){
        .client = client, .id = id, .timer = { .fn = on_producer_timer, .user = p },
        .partition     = sim_once_in(c, 4) ? -1 : (int)sim_below(c, world->partitions),
        .in_flight     = sim_once_in(c, 2) ? 1 : (uint32_t)sim_between(c, 1, 8), .once = sim_once_in(c, 4),
        .batch_most    = (uint32_t)sim_scale(c, 1, 50),
        .size_most     = (uint32_t)sim_scale(c, 64, sim_once_in(c, 8) ? 60000 : 2000),
        .interval_most = sim_scale(c, RH_SECONDS(2), RH_SECONDS(60)),
    };
    p->chance = chance;
    p->left   = limits->sends ? limits->sends : UINT32_MAX;
    p->mute   = limits->mute_producers >> id & 1;
}

static void make_consumer(sim_world *world, sim_client *client, sim_consumer *consumer, uint32_t id, const sim_limits *limits)
{
    sim_chance chance = sim_loop_chance(&world->loop, CONSUMERS + id), *c = &chance;
    *consumer         = (sim_consumer){
        .client = client, .id = id, .seen = -1, .timer = { .fn = on_consumer_timer, .user = consumer },
        .partition  = id % world->partitions, /* a partition has five readers at most, and those that died unseen count for a while */
        .prefetch   = (uint32_t)sim_scale(c, 16, 300),
        .hold_every = sim_once_in(c, 2) ? 0 : (uint32_t)sim_scale(c, 1, 50),
        .pull       = { .fn = on_pull, .user = consumer },
        .pull_most  = sim_once_in(c, 3) ? sim_scale(c, RH_MS(10), RH_SECONDS(5)) : 0,
    };
    consumer->chance = chance;
    consumer->mute   = limits->mute_consumers >> id & 1;
}

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
            .whim_most = sim_scale(c, RH_SECONDS(10), RH_SECONDS(1000)), .chance = sim_loop_chance(&world->loop, CLIENTS + i),
        };
        client->producer_count = sim_between(c, 0, 3);
        client->consumer_count = sim_between(c, client->producer_count == 0, 2);
        client->producers      = calloc(client->producer_count + 1, sizeof *client->producers);
        client->consumers      = calloc(client->consumer_count + 1, sizeof *client->consumers);
        for (size_t k = 0; k < client->producer_count; k++) make_producer(world, client, &client->producers[k], producers++, limits);
        for (size_t k = 0; k < client->consumer_count; k++) make_consumer(world, client, &client->consumers[k], consumers++, limits);
    }
}

void sim_workload_start(sim_world *world)
{
    for (size_t i = 0; i < world->client_count; i++) {
        make_client(&world->clients[i]);
        rh_timer_set(loop_of(world), &world->clients[i].whim, world->loop.now + sim_scale(&world->clients[i].chance, RH_SECONDS(1), world->clients[i].whim_most));
    }
}

/* -- ending -------------------------------------------------------------------------------------- */

static int64_t end_of(const sim_world *world, uint32_t partition)
{
    return world->emulator->hubs->partitions[partition].end;
}

/* The first that is not done; "" when all are. */
void sim_workload_unfinished(const sim_world *world, char *text, size_t n)
{
    text[0] = 0;
    for (size_t i = 0; i < world->client_count && !text[0]; i++) {
        const sim_client *client = &world->clients[i];
        for (size_t k = 0; k < client->producer_count && !text[0]; k++)
            if (client->producers[k].sends) (void)snprintf(text, n, "producer %u has %u sends without outcome", client->producers[k].id, client->producers[k].sends);
        for (size_t k = 0; k < client->consumer_count && !text[0]; k++) {
            const sim_consumer *c = &client->consumers[k];
            if (!c->mute && c->seen + 1 < end_of(world, c->partition))
                (void)snprintf(text, n, "consumer %u has seen %lld of %lld events", c->id, (long long)c->seen + 1, (long long)end_of(world, c->partition));
        }
    }
}

bool sim_workload_is_done(const sim_world *world)
{
    char text[128];
    sim_workload_unfinished(world, text, sizeof text);
    return !text[0];
}

void sim_workload_close(sim_world *world)
{
    world->closing = true;
    for (size_t i = 0; i < world->client_count; i++) {
        sim_client *client = &world->clients[i];
        rh_timer_cancel(loop_of(world), &client->timer);
        rh_timer_cancel(loop_of(world), &client->whim);
        for (size_t k = 0; k < client->producer_count; k++) rh_timer_cancel(loop_of(world), &client->producers[k].timer);
        for (size_t k = 0; k < client->consumer_count; k++) {
            rh_timer_cancel(loop_of(world), &client->consumers[k].timer);
            rh_timer_cancel(loop_of(world), &client->consumers[k].pull);
            while (client->consumers[k].held) let_go(client->consumers[k].held);
        }
        if (!client->lost) rh_client_close(client->client, world->loop.now + RH_SECONDS(10), NULL, NULL);
    }
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
        for (size_t k = 0; k < client->producer_count; k++) rh_producer_destroy(client->producers[k].producer);
        for (size_t k = 0; k < client->consumer_count; k++) rh_consumer_destroy(client->consumers[k].consumer);
        rh_client_destroy(client->client);
        free(client->producers);
        free(client->consumers);
    }
    free(world->clients);
    world->client_count = 0;
}
