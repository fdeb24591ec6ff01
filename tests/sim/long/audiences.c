/*
 * A thousand audiences and one credential that never answers for one of them: every other token is asked for in the very moment
 * that was planned for it, on one pair of links to $cbs.
 */
#include "tests/sim/long/stand.h"

#include "eventhub/connection.h"
#include "eventhub/sas.h"

#include <stdio.h>
#include <stdlib.h>

#define AUDIENCES  1000
#define VICTIM     500
#define LIFETIME_S 3600
#define TICK       RH_MS(1) /* [design] what the loop's timers promise */
#define SLOWEST    RH_SECONDS(20)

typedef struct audience {
    uint32_t          number;
    rh_producer      *producer;
    rh_token_request *request;
    char              name[48];
    rh_timer          answer, look;
    rh_time           planned; /* 0: nothing is */
    uint64_t          asked;
    bool              ended;
} audience;

static struct {
    sim_stand  stand;
    sim_party  party;
    sim_chance chance;
    audience   audiences[AUDIENCES];
    uint64_t   asked, attaches, checked;
    rh_time    slip_most;
    bool       blocking; /* the victim's credential answers no more */
} t;

static void on_frame(void *user, const sim_frame *frame)
{
    (void)user;
    if (frame->code != SIM_PERF_ATTACH || frame->end != SIM_SERVER) return;
    for (size_t i = 0; i + 4 <= frame->n; i++)
        if (memcmp(frame->head + i, "$cbs", 4) == 0) {
            t.attaches++;
            return;
        }
}

/* -- the credential ------------------------------------------------------------------------------ */

/* When the client means to ask again, a while after the service took the token. */
static void on_look(void *user, rh_time now)
{
    audience *a = user;
    (void)now;
    for (const rh_grant *grant = t.party.client->grants; grant; grant = grant->next)
        if (strcmp(grant->audience, a->name) == 0 && grant->valid) a->planned = grant->timer.at;
}

static void on_answer(void *user, rh_time now)
{
    audience         *a = user;
    char              token[RH_SAS_MAX];
    size_t            n       = 0;
    int64_t           expiry  = rh_loop_wall_ms(&t.stand.loop.loop) / 1000 + LIFETIME_S;
    rh_token_request *request = a->request;
    a->request = NULL;
    if (rh_sas_sign(token, sizeof token, &n, rh_str(a->name), rh_str(SIM_RULE), rh_str(SIM_KEY), expiry) != RH_OK) sim_wrong(&t.stand, "no token was signed");
    rh_token_answer(request, rh_slice_of(token, n), RH_TOKEN_SAS, expiry * 1000);
    rh_timer_set(&t.stand.loop.loop, &a->look, now + RH_SECONDS(10));
}

static void judge_slip(audience *a)
{
    rh_time now  = sim_now(&t.stand);
    rh_time slip = now > a->planned ? now - a->planned : a->planned - now;
    if (slip > TICK) sim_wrong(&t.stand, "%s was asked for %.6f s off its plan", a->name, (double)slip / 1e9);
    if (slip > t.slip_most) t.slip_most = slip;
    a->planned = 0;
    t.checked++;
}

static void on_request(void *user, const char *name, rh_token_request *request)
{
    unsigned  number = (unsigned)strtoul(strrchr(name, '/') + 1, NULL, 10);
    audience *a      = &t.audiences[number];
    (void)user;
    (void)snprintf(a->name, sizeof a->name, "%s", name);
    a->request = request;
    a->asked++;
    t.asked++;
    if (a->planned && number != VICTIM) judge_slip(a);
    if (t.blocking && number == VICTIM) return;
    rh_timer_set(&t.stand.loop.loop, &a->answer, sim_now(&t.stand) + sim_between(&t.chance, 0, number % 10 == 0 ? SLOWEST : RH_MS(50)));
}

static void on_cancel(void *user, rh_token_request *request)
{
    (void)user;
    for (size_t i = 0; i < AUDIENCES; i++)
        if (t.audiences[i].request == request) {
            t.audiences[i].request = NULL;
            rh_timer_cancel(&t.stand.loop.loop, &t.audiences[i].answer);
        }
}

/* -- a thousand producers ------------------------------------------------------------------------ */

static void on_closed(void *user, rh_producer *producer, const rh_error *error)
{
    audience *a = user;
    (void)producer;
    a->ended = true;
    if (a->number != VICTIM && error && error->status != RH_E_CLOSED) sim_wrong(&t.stand, "producer %u ended: %s", a->number, error->description);
}

static void open_all(void)
{
    static const rh_credential credential = { .request = on_request, .cancel = on_cancel };
    memset(&t, 0, sizeof t);
    t.chance         = sim_chance_of_seed(sim_seed, 1000);
    t.stand.on_frame = on_frame;
    sim_stand_open(&t.stand, RH_EMULATOR_OPTS(.hubs = SIM_HUB(AUDIENCES), .limits = { .sender_idle_ms = UINT32_MAX }));
    sim_party_make(&t.party, &t.stand, RH_CLIENT_OPTS(.credential = &credential, .links = AUDIENCES));
    for (uint32_t i = 0; i < AUDIENCES && !sim_is_wrong(&t.stand); i++) {
        audience *a = &t.audiences[i];
        char      id[12];
        (void)snprintf(id, sizeof id, "%u", i);
        *a = (audience){ .number = i, .answer = { .fn = on_answer, .user = a }, .look = { .fn = on_look, .user = a } };
        rh_status status = rh_producer_open(t.party.client, RH_PRODUCER_OPTS(.partition = id, .handler = { .on_closed = on_closed }, .user = a), &a->producer);
        if (status != RH_OK) sim_wrong(&t.stand, "producer %u is not opened: %s", i, rh_status_name(status));
    }
}

static uint32_t count_open(void)
{
    uint32_t count = 0;
    for (size_t i = 0; i < AUDIENCES; i++) count += i != VICTIM && !t.audiences[i].ended && rh_producer_is_open(t.audiences[i].producer);
    return count;
}

static rh_time open_within(rh_time most)
{
    rh_time begin = sim_now(&t.stand);
    while (count_open() < AUDIENCES - 1 && sim_now(&t.stand) < begin + most && !sim_is_wrong(&t.stand)) sim_pass(&t.stand, RH_MS(10));
    if (count_open() < AUDIENCES - 1) sim_wrong(&t.stand, "%u of %u others are open after %.1f s", count_open(), AUDIENCES - 1, (double)most / 1e9);
    return sim_now(&t.stand) - begin;
}

static void close_all(void)
{
    for (size_t i = 0; i < AUDIENCES; i++) {
        rh_timer_cancel(&t.stand.loop.loop, &t.audiences[i].look);
        rh_producer_destroy(t.audiences[i].producer);
    }
    sim_party_close(&t.party);
    sim_stand_close(&t.stand);
}

bool sim_run_audiences(void)
{
    open_all();
    rh_time first = open_within(SLOWEST + RH_SECONDS(1));
    sim_pass(&t.stand, RH_SECONDS(60));
    t.blocking = true;
    sim_pass(&t.stand, 4 * RH_SECONDS(3600));
    uint32_t open = count_open();
    if (open != AUDIENCES - 1) sim_wrong(&t.stand, "%u others are open", open);
    if (t.checked < (AUDIENCES - 1) * 4) sim_wrong(&t.stand, "only %llu tokens were renewed", (unsigned long long)t.checked);
    if (t.attaches != 2) sim_wrong(&t.stand, "%llu links were attached to $cbs", (unsigned long long)t.attaches);
    if (t.party.losses) sim_wrong(&t.stand, "the connection was lost: %s", t.party.loss.description);
    bool victim_ended = t.audiences[VICTIM].ended;
    for (size_t i = 0; i < AUDIENCES; i++) t.audiences[i].planned = 0;
    if (sim_only_wire(&t.stand)) sim_wire_reset(sim_only_wire(&t.stand));
    sim_pass(&t.stand, RH_MS(100));
    rh_time again = open_within(SLOWEST + RH_SECONDS(2));
    close_all();
    return sim_report(&t.stand, "audiences", "%u audiences, one credential that never answers for one (whose producer %s): %llu renewals of the others, off their plan by at most %.3f ms; one pair of links to $cbs; "
                      "all open after %.1f s, and %.1f s after a reset (the slowest credential takes 20)",
                      AUDIENCES, victim_ended ? "ends" : "lives", (unsigned long long)t.checked, (double)t.slip_most / 1e6, (double)first / 1e9, (double)again / 1e9);
}
