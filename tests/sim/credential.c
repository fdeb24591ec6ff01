#include "tests/sim/credential.h"

#include "eventhub/connection.h"
#include "eventhub/sas.h"
#include "tests/sim/world.h"

#include <stdlib.h>

/* [eventhub.h] A renewal that failed is tried again after 1, 2, 4 .. 30 s. The service may suggest 4 s, the timer a moment. */
#define AGAIN_MOST 30
#define SLACK      RH_SECONDS(6)

/** A token asked for and not yet given. */
typedef struct ticket {
    struct ticket    *next;
    sim_credential   *credential;
    rh_token_request *request;
    rh_timer          timer;
    struct audience  *audience;
    rh_time           life; /* of the token */
    sim_token_fault   fault;
} ticket;

/** What is known of the tokens of one audience. */
typedef struct audience {
    struct audience *next;
    uint32_t         asked;    /* since the last token that held */
    rh_time          asked_at;
    rh_time          life;     /* of the last token */
    rh_time          ends;     /* it does, then; 0: there was none */
    rh_time          slept;    /* the machine had, when it was asked for the last time */
    bool             given;    /* to the last request: what is awaited now is the answer of $cbs */
    rh_time          idle;     /* so long before the token ended no other was asked for, though there was reason; 0: it was */
    char             name[];
} audience;

struct sim_credential {
    sim_credential *next;
    sim_world    *world;
    uint32_t      id, count;
    rh_credential ops;
    ticket       *tickets;
    audience     *audiences;
};

static audience *audience_of(sim_credential *k, const char *name)
{
    for (audience *a = k->audiences; a; a = a->next)
        if (strcmp(a->name, name) == 0) return a;
    audience *a = calloc(1, sizeof *a + strlen(name) + 1);
    memcpy(a->name, name, strlen(name) + 1);
    a->next      = k->audiences;
    k->audiences = a;
    return a;
}

/* -- answering ------------------------------------------------------------------------------------- */

static void remove_ticket(ticket *t)
{
    for (ticket **at = &t->credential->tickets; *at; at = &(*at)->next)
        if (*at == t) {
            *at = t->next;
            break;
        }
    rh_timer_cancel(sim_world_loop(t->credential->world), &t->timer);
    free(t);
}

static void give(const ticket *t)
{
    char        token[RH_SAS_MAX];
    size_t      n;
    sim_world  *world  = t->credential->world;
    int64_t     now    = rh_loop_wall_ms(sim_world_loop(world)) / 1000;
    int64_t     expiry = t->fault == SIM_TOKEN_OUTDATED ? now - 1 : now + (int64_t)(t->life / RH_SECONDS(1));
    const char *key    = t->fault == SIM_TOKEN_FORGED ? "another-key" : SIM_CANARY;
    rh_status   status = rh_sas_sign(token, sizeof token, &n, rh_str(t->audience->name), rh_str("rule"), rh_str(key), expiry);
    t->audience->given = true;
    t->audience->life  = t->life;
    t->audience->ends  = world->loop.now + (t->fault == SIM_TOKEN_OUTDATED ? 0 : t->life);
    if (status == RH_OK) rh_token_answer(t->request, rh_slice_of(token, n), RH_TOKEN_SAS, (expiry + world->shape.skew_s) * 1000);
    else rh_token_fail(t->request, true, "the simulated credential cannot sign");
}

static void on_due(void *user, rh_time now)
{
    ticket t = *(ticket *)user;
    (void)now;
    remove_ticket(user);
    if (t.fault == SIM_TOKEN_FAILS) rh_token_fail(t.request, true, "the simulated credential has no token");
    else if (t.fault == SIM_TOKEN_DENIED) rh_token_fail(t.request, false, "the simulated credential says no");
    else give(&t);
}

/* -- whether it is asked in time ------------------------------------------------------------------- */

static bool is_asked(const sim_credential *k, const audience *a)
{
    for (const ticket *t = k->tickets; t; t = t->next)
        if (t->audience == a) return true;
    return false;
}

/* How long nobody had asked for another when the token ended; 0: no longer than there was reason to wait. */
static rh_time idle_before_end(const sim_credential *k, const audience *a)
{
    if (is_asked(k, a) || a->slept != k->world->loop.slept || a->ends < a->asked_at) return 0;
    if (a->ends > k->world->loop.now) return 0; /* another was given: it is for $cbs to take it */
    rh_time again   = RH_SECONDS(a->asked > 5 ? AGAIN_MOST : 1u << a->asked);
    rh_time patient = SLACK + again + (a->given ? RH_MS(k->world->shape.operation_ms) : 0);
    rh_time since   = a->ends - a->asked_at;
    return since > patient ? since : 0;
}

/* What is asked for because the old one has ended says nothing about the time before, unless another was given meanwhile. */
static void note_request(const sim_credential *k, audience *a, rh_time now)
{
    bool late = a->ends && now >= a->ends;
    if (!late) a->idle = 0;
    else if (a->idle == 0 || a->given) a->idle = idle_before_end(k, a);
    if (a->given && now - a->asked_at >= a->life / 2) a->asked = 0; /* the service took it, or would have said so before */
    a->given    = false;
    a->asked++;
    a->asked_at = now;
    a->slept    = k->world->loop.slept;
}

/* -- asking ---------------------------------------------------------------------------------------- */

static void tell(const sim_credential *k, sim_occasion at, const char *what)
{
    char name[SIM_OCCASION_MAX];
    sim_tell(&k->world->trace, k->world->loop.now, "fault %s: the credential %s", sim_occasion_name(at, name), what);
}

static sim_phase phase_of(const sim_credential *k)
{
    const rh_client *client = k->id < k->world->client_count ? k->world->clients[k->id].client : NULL;
    return client && client->pipe ? sim_wire_of(client->pipe)->phase : SIM_CONNECT;
}

/* How long the answer takes, and which it is. */
static rh_time decide(sim_credential *k, ticket *t)
{
    static const char *const words[] = { "", "has no token", "says no", "takes its time", "says nothing", "gives an old one", "gives a wrong one" };
    sim_swarm   *swarm = &k->world->swarm;
    sim_occasion at    = sim_occasion_of('k', k->id, k->count++);
    sim_chance   c     = sim_swarm_chance(swarm, at);
    rh_time      usual = sim_scale(&c, RH_US(100), RH_MS(500)), wait;
    t->life            = sim_between(&c, k->world->shape.token_life / 2, k->world->shape.token_life);
    t->fault           = sim_swarm_token(swarm, at, phase_of(k), &wait);
    if (t->fault != SIM_TOKEN_GOOD) tell(k, at, words[t->fault]);
    if (t->fault == SIM_TOKEN_MUTE) return RH_SECONDS(24 * 3600);
    return t->fault == SIM_TOKEN_LATE ? wait : usual;
}

static void on_request(void *user, const char *name, rh_token_request *request)
{
    sim_credential *k   = user;
    audience       *a   = audience_of(k, name);
    rh_time         now = k->world->loop.now;
    ticket         *t   = calloc(1, sizeof *t);
    note_request(k, a, now);
    *t                  = (ticket){ .next = k->tickets, .credential = k, .request = request, .timer = { .fn = on_due, .user = t }, .audience = a };
    k->tickets          = t;
    rh_timer_set(sim_world_loop(k->world), &t->timer, now + decide(k, t));
}

static void on_cancel(void *user, rh_token_request *request)
{
    sim_credential *k = user;
    for (ticket *t = k->tickets; t; t = t->next)
        if (t->request == request) {
            remove_ticket(t);
            return;
        }
}

void sim_credentials_calm(sim_world *world)
{
    for (sim_credential *k = world->credentials; k; k = k->next)
        for (ticket *t = k->tickets; t; t = t->next) {
            t->fault = SIM_TOKEN_GOOD;
            rh_timer_set(sim_world_loop(world), &t->timer, world->loop.now);
        }
}

/* -- judging --------------------------------------------------------------------------------------- */

void sim_credential_judge(sim_credential *k, const char *name, const rh_error *error)
{
    const sim_world *world = k->world;
    if (error->status != RH_E_UNAUTHORIZED || !strstr(error->description, "ExpiredToken: the token that covered")) return;
    if (world->shape.skew_s > 0 || world->swarm.enabled & 1u << SIM_FAULT_EXPIRE) return; /* it cannot know */
    const audience *a    = audience_of(k, name);
    rh_time         idle = a->idle ? a->idle : idle_before_end(k, a);
    if (idle)
        sim_model_wrong(&k->world->model, "client %u: the token for %s ended, and for %.3f s no other was asked for", k->id, name, (double)idle / 1e9);
}

/* -- making ---------------------------------------------------------------------------------------- */

sim_credential *sim_credential_make(sim_world *world, uint32_t id)
{
    sim_credential *k = calloc(1, sizeof *k);
    *k                = (sim_credential){ .next = world->credentials, .world = world, .id = id, .ops = { on_request, on_cancel, k } };
    return world->credentials = k;
}

const rh_credential *sim_credential_ops(const sim_credential *k)
{
    return &k->ops;
}

static void free_one(sim_credential *k)
{
    while (k->tickets) remove_ticket(k->tickets);
    for (audience *a = k->audiences, *next; a; a = next) {
        next = a->next;
        free(a);
    }
    free(k);
}

void sim_credentials_free(sim_world *world)
{
    for (sim_credential *k = world->credentials, *next; k; k = next) {
        next = k->next;
        free_one(k);
    }
    world->credentials = NULL;
}
