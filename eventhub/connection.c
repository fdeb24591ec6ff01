#include "eventhub/connection.h"

#include "eventhub/retry.h"

/* -- callbacks that nest ------------------------------------------------------------------------- */

static void finish(rh_client *client);
static void arm(rh_client *client);
static rh_status dial(rh_client *client);

void rh_client_enter(rh_client *client)
{
    client->busy++;
}

void rh_client_leave(rh_client *client)
{
    if (--client->busy > 0) return;
    rh_loans_reclaim(client);
    if (client->destroyed) finish(client);
    else arm(client);
}

void rh_client_poke(rh_client *client, rh_timer *timer)
{
    rh_timer_set(client->loop, timer, rh_loop_now(client->loop));
}

void rh_client_set_state(rh_client *client, rh_client_state state)
{
    client->state = state;
    if (client->destroyed || !client->handler.on_state) return;
    client->handler.on_state(client->user, client, state, client->error.status ? rh_story_error(&client->error) : NULL);
}

void rh_client_why_closed(const rh_client *client, rh_error *error)
{
    if (client->error.status) {
        rh_story_read(&client->error, error);
    } else {
        rh_error_own(error, RH_E_CLOSED, "the client is closed", NULL, NULL);
    }
}

/* How long a peer that was told everything at once may keep silent before it is taken for one that cannot listen so. */
#define PATIENCE RH_SECONDS(5)

/* -- time ---------------------------------------------------------------------------------------- */

/* One timer for the engine and for the end of connecting or closing, whichever is sooner. */
static void arm(rh_client *client)
{
    rh_time at = client->closing ? rh_loop_now(client->loop) : client->deadline;
    if (client->redial < at) at = client->redial;
    if (client->pipe_up) {
        rh_time engine = rh_engine_deadline(client->engine);
        if (engine < at) at = engine;
        if (client->patience < at) at = client->patience;
    }
    /* Deadlines mostly grow: a timer that comes too early looks again, and a send costs none. */
    if (client->timer.is_set && client->timer.at <= at) return;
    rh_timer_set(client->loop, &client->timer, at);
}

void rh_client_wake(rh_client *client)
{
    if (client->pipe_up && rh_engine_wants_output(client->engine)) rh_pipe_wake(client->pipe);
    if (client->busy == 0) arm(client);
}

/* A failure in our own words, with the peer's name behind them. */
static void own_error(const rh_client *client, rh_error *error, rh_status status, const char *words)
{
    rh_error_own(error, status, words, client->settings.dial_host, NULL);
}

static void keep(rh_client *client, const rh_error *error)
{
    rh_story_keep(&client->error, rh_client_allocator(client), error);
}

/* Nothing is left of the connection. */
static void conclude(rh_client *client)
{
    client->deadline = RH_TIME_NEVER;
    if (client->state != RH_CLIENT_CLOSED) rh_client_set_state(client, RH_CLIENT_CLOSED);
    rh_client_closed_fn closed = client->closed;
    client->closed             = NULL;
    if (closed && !client->destroyed) closed(client->closed_user, client, client->error.status ? rh_story_error(&client->error) : NULL);
}

/* What was open once finds back however long it takes; an opening has its time. */
static bool in_time(const rh_client *client)
{
    return client->was_open || rh_loop_now(client->loop) < client->open_until;
}

static void close_now(rh_client *client)
{
    rh_error closed;
    bool     opened = client->state == RH_CLIENT_OPEN;
    client->closing = false;
    own_error(client, &closed, RH_E_CLOSED, "the client was closed: ");
    rh_client_end(client, &closed);
    if (!client->pipe) conclude(client);
    else if (!opened) rh_client_cut(client);
}

static void lose_or_end(rh_client *client, const rh_error *story);

/* Of a try: the pipe's end brings the next one. Of the whole opening: it ends for the reason that the last try had. */
static void late(rh_client *client)
{
    rh_error error;
    client->deadline = RH_TIME_NEVER;
    if (client->state == RH_CLIENT_CONNECTING) {
        own_error(client, &error, RH_E_TIMEOUT, "no connection in time to ");
        if (client->error.status && !in_time(client)) rh_story_read(&client->error, &error);
        lose_or_end(client, &error);
    } else if (client->error.status == RH_OK) {
        own_error(client, &error, RH_E_TIMEOUT, "the close was not answered in time by ");
        keep(client, &error);
    }
    if (client->pipe) rh_client_cut(client);
    else if (client->state == RH_CLIENT_CLOSING) conclude(client);
}

/*
 * SASL, open and the links of $cbs leave in one flight [2.4.6, 5.3.2]. Some peers read too much along with their SASL
 * frames and lose it, or hang up: whatever ends such a connection before the peer's open is taken for that, once.
 */
static bool may_be_haste(const rh_client *client, rh_status status)
{
    if (client->state != RH_CLIENT_CONNECTING || !client->pipe_up || client->opened || !client->pipelines) return false;
    /* Its time is over, perhaps because the machine slept: the next try has time of its own. */
    if (client->deadline == RH_TIME_NEVER) return false;
    /* A mechanism or credentials refused: it has understood. */
    return status != RH_E_SASL && !client->closing && !client->destroyed;
}

static void slow_down(rh_client *client, const char *words)
{
    rh_client_log(client, RH_LOG_WARNING, "client.haste", "connecting again, step by step: ", words, NULL);
    client->pipelines = false;
    client->patience             = RH_TIME_NEVER;
    client->again                = true;
    rh_client_cut(client);
}

/* -- losing it and finding it again ---------------------------------------------------------------- */

/* How long one try to connect may take. */
#define CONNECT_TIME RH_SECONDS(30)

static bool may_recover(const rh_client *client, const rh_error *story)
{
    return in_time(client) && rh_retry_passes(story) && rh_retry_may(client, client->tries);
}

/* A service that closes what nobody used, or goes for maintenance, is in its right: client.retry or client.idle tell of it. */
static bool is_ordinary(const rh_error *story)
{
    return story->status == RH_E_CONNECTION_FORCED;
}

static void lose(rh_client *client, const rh_error *story)
{
    rh_error error = *story;
    client->lost   = true;
    keep(client, &error);
    if (!is_ordinary(&error)) rh_client_log(client, RH_LOG_WARNING, "client.lost", rh_status_name(error.status), ": ", error.description);
    if (client->state != RH_CLIENT_CONNECTING) rh_client_set_state(client, RH_CLIENT_CONNECTING);
    rh_grants_lost(client);
    rh_attachments_lose(client, &error);
    if (!rh_engine_is_closed(client->engine)) (void)rh_engine_close(client->engine, NULL, NULL);
    rh_client_wake(client);
}

/* The connection ended for this reason, before or after it was open. */
static void lose_or_end(rh_client *client, const rh_error *story)
{
    if (client->state >= RH_CLIENT_CLOSING) return;
    if (client->state == RH_CLIENT_OPEN && rh_retry_stayed(client, client->open_at)) client->tries = 0;
    if (!may_recover(client, story)) rh_client_end(client, story);
    else if (client->lost) keep(client, story);
    else lose(client, story);
}

static void plan_dial(rh_client *client, const rh_error *story)
{
    client->deadline = client->was_open ? RH_TIME_NEVER : client->open_until;
    client->patience = RH_TIME_NEVER;
    client->redial   = rh_time_after(rh_loop_now(client->loop), rh_retry_wait(client, "connection", ++client->tries, story));
}

/* Dialed again, it would be closed again in a minute: it waits for somebody to open something. */
static bool may_rest(const rh_client *client, const rh_error *story)
{
    return is_ordinary(story) && !client->attachments && !client->inquiries && !client->closing;
}

static void rest(rh_client *client, const rh_error *story)
{
    client->lost     = false;
    client->deadline = client->patience = RH_TIME_NEVER;
    rh_client_log(client, RH_LOG_INFO, "client.idle", "not connected until something is opened: ", story->description, NULL);
    rh_client_set_state(client, RH_CLIENT_IDLE);
}

static void not_dialed(rh_client *client)
{
    rh_error story;
    rh_story_read(&client->error, &story);
    lose_or_end(client, &story);
    if (client->lost) plan_dial(client, &story);
    else conclude(client);
}

static void set_deadline(rh_client *client)
{
    rh_time limit    = client->was_open ? rh_client_deadline(client, 0) : client->open_until;
    rh_time soonest  = rh_time_after(rh_loop_now(client->loop), CONNECT_TIME);
    client->deadline = limit < soonest ? limit : soonest;
}

static void redial(rh_client *client)
{
    client->redial = RH_TIME_NEVER;
    set_deadline(client);
    rh_grants_ask(client);
    if (dial(client) != RH_OK) not_dialed(client);
}

static void on_timer(void *user, rh_time now)
{
    rh_client *client = user;
    rh_client_enter(client);
    if (client->closing) {
        close_now(client);
    } else if (now >= client->redial) {
        redial(client);
    } else if (now >= client->deadline) {
        late(client);
    } else if (now >= client->patience) {
        if (may_be_haste(client, RH_E_TIMEOUT)) slow_down(client, "no answer to an opening in one flight");
        client->patience = RH_TIME_NEVER;
    } else if (client->engine) {
        bool had_room = !client->room_failed;
        rh_engine_tick(client->engine, now);
        /* Input was held back, too. */
        if (!had_room && !client->room_failed && client->pipe_up) rh_pipe_wake(client->pipe);
        rh_client_wake(client);
    }
    rh_client_leave(client);
}

/* -- what the engine tells ----------------------------------------------------------------------- */

static void on_open(void *user, rh_engine *engine, const rh_amqp_open *open)
{
    rh_client *client = user;
    (void)engine, (void)open;
    if (client->state != RH_CLIENT_CONNECTING) return;
    client->patience = RH_TIME_NEVER;
    if (!client->closing) client->deadline = RH_TIME_NEVER; /* else it is the one of closing already */
    rh_timer_cancel(client->loop, &client->timer); /* both were soon: nobody shall be woken for them */
    client->was_open = client->opened = true;
    client->lost     = false;
    client->open_at  = rh_loop_now(client->loop);
    rh_story_drop(&client->error, rh_client_allocator(client));
    rh_client_set_state(client, RH_CLIENT_OPEN);
    rh_grants_opened(client);
    rh_attachments_opened(client);
    rh_inquiries_poke(client);
}

static void on_close(void *user, rh_engine *engine, const rh_error *error)
{
    rh_client *client = user;
    rh_error   story  = *error;
    (void)engine;
    /* The reason of a pipe that is gone is known, and the engine adds nothing to it. */
    if (client->again || (client->lost && !client->pipe)) return;
    if (may_be_haste(client, story.status)) {
        slow_down(client, story.description);
        return;
    }
    if (client->state < RH_CLIENT_CLOSING) {
        if (story.status == RH_OK) own_error(client, &story, RH_E_CONNECTION_LOST, "the connection was closed by ");
        else rh_error_refine(&story);
        lose_or_end(client, &story);
    }
    /* Nobody is there to take what a flush would wait for. */
    if (client->pipe) rh_pipe_close(client->pipe, client->pipe_up && story.status != RH_E_PEER_SILENT);
}

static rh_endpoint *endpoint_of_link(rh_link *link)
{
    return rh_link_user(link);
}

/*
 * A service has no business attaching to a client. Its session ends: refusing the link alone is an attach, too, and two
 * ends that take each other's refusals for requests would never be done.
 */
static void on_attach(void *user, rh_link *link, const rh_amqp_attach *attach)
{
    rh_endpoint *endpoint = endpoint_of_link(link);
    (void)user;
    if (endpoint) endpoint->ops->on_attach(endpoint, link, attach);
    else (void)rh_session_end(rh_link_session(link), "amqp:not-allowed", "this client takes no links");
}

static void on_end(void *user, rh_session *session, const rh_error *error)
{
    rh_endpoint *endpoint = rh_session_user(session);
    (void)user;
    if (endpoint) endpoint->ops->on_end(endpoint, error);
}

static void on_detach(void *user, rh_link *link, bool closed, const rh_error *error)
{
    rh_endpoint *endpoint = endpoint_of_link(link);
    (void)user, (void)closed;
    if (endpoint) endpoint->ops->on_detach(endpoint, link, error);
}

static void on_credit(void *user, rh_link *link)
{
    rh_endpoint *endpoint = endpoint_of_link(link);
    (void)user;
    if (endpoint && endpoint->ops->on_credit) endpoint->ops->on_credit(endpoint, link);
}

static void on_drained(void *user, rh_link *link)
{
    rh_endpoint *endpoint = endpoint_of_link(link);
    (void)user;
    if (endpoint && endpoint->ops->on_drained) endpoint->ops->on_drained(endpoint, link);
}

static void on_gather(void *user, rh_link *link)
{
    rh_endpoint *endpoint = endpoint_of_link(link);
    (void)user;
    if (endpoint && endpoint->ops->on_gather) endpoint->ops->on_gather(endpoint, link);
}

static void on_delivery(void *user, rh_link *link, const rh_incoming *in)
{
    rh_endpoint *endpoint = endpoint_of_link(link);
    (void)user;
    if (endpoint && endpoint->ops->on_delivery) endpoint->ops->on_delivery(endpoint, link, in);
}

static void on_outcome(void *user, rh_link *link, rh_delivery *delivery, const rh_outcome *outcome)
{
    rh_endpoint *endpoint = endpoint_of_link(link);
    (void)user;
    if (endpoint && endpoint->ops->on_outcome) endpoint->ops->on_outcome(endpoint, link, delivery, outcome);
}

static void on_frame(void *user, rh_engine *engine, bool outgoing, uint8_t type, uint16_t channel, rh_slice body)
{
    rh_client *client = user;
    char       text[1024];
    (void)engine, (void)type;
    if (client->destroyed) return;
    if (body.n == 0) memcpy(text, "heartbeat", sizeof "heartbeat");
    else (void)rh_performative_print(body, text, sizeof text);
    client->handler.on_frame(client->user, client, outgoing, channel, text);
}

static void *on_room(void *user, rh_engine *engine, size_t n)
{
    (void)engine;
    return rh_client_lend_room(user, n);
}

static void on_room_back(void *user, rh_engine *engine, void *room, size_t n)
{
    (void)engine, (void)room, (void)n;
    rh_client_take_room(user);
}

#define ENGINE_HANDLER                                                                                                   \
    .on_open = on_open, .on_end = on_end, .on_attach = on_attach, .on_detach = on_detach, .on_credit = on_credit,        \
    .on_drained = on_drained, .on_gather = on_gather, .on_delivery = on_delivery, .on_outcome = on_outcome, .on_close = on_close, \
    .on_room = on_room, .on_room_back = on_room_back

static const rh_engine_handler engine_handler = { ENGINE_HANDLER };
/* Printing every frame costs more than sending it: only for those who look. */
static const rh_engine_handler tracing_handler = { ENGINE_HANDLER, .on_frame = on_frame };

const rh_engine_handler *rh_client_engine_handler(const rh_client *client)
{
    return client->handler.on_frame ? &tracing_handler : &engine_handler;
}

/* -- what the pipe tells ------------------------------------------------------------------------- */

static void pipe_on_up(void *user, rh_pipe *pipe)
{
    rh_client *client = user;
    rh_client_enter(client);
    client->pipe_up = true;
    if (client->pipelines) {
        rh_time now = rh_loop_now(client->loop), half = client->deadline > now ? (client->deadline - now) / 2 : 0;
        client->patience = rh_time_after(now, half < PATIENCE ? half : PATIENCE);
    }
    rh_pipe_wake(pipe);
    rh_client_leave(client);
}

static size_t pipe_frame_size(void *user, const uint8_t *bytes, size_t n)
{
    rh_client *client = user;
    return rh_engine_frame_size(client->engine, bytes, n);
}

static size_t pipe_input(void *user, rh_pipe *pipe, const uint8_t *bytes, size_t n)
{
    rh_client *client = user;
    (void)pipe;
    rh_client_enter(client);
    size_t used = rh_engine_input(client->engine, bytes, n, rh_loop_now(client->loop));
    rh_client_wake(client);
    rh_client_leave(client);
    return used;
}

static bool pipe_wants_input(void *user)
{
    rh_client *client = user;
    return rh_engine_wants_input(client->engine);
}

static size_t pipe_output(void *user, rh_iov *iov, size_t max)
{
    rh_client *client = user;
    size_t     count  = rh_engine_output(client->engine, iov, max);
    if (client->room_failed && client->busy == 0) arm(client); /* the engine asks again later */
    return count;
}

static void pipe_sent(void *user, size_t n)
{
    rh_client *client = user;
    rh_client_enter(client);
    rh_engine_sent(client->engine, n, rh_loop_now(client->loop));
    rh_client_wake(client);
    rh_client_leave(client);
}

/* Nothing was lent but what the engine wrote itself, so it may simply begin anew. */
static void dial_again(rh_client *client)
{
    client->again = false;
    rh_exchange_restart(&client->cbs);
    rh_exchange_restart(&client->management);
    if (dial(client) != RH_OK) not_dialed(client);
}

/* The pipe lends nothing any more, so now everybody who lent something hears that it is over. */
static void pipe_on_down(void *user, rh_pipe *pipe, const rh_error *error)
{
    rh_client *client = user;
    rh_error   story  = *error;
    (void)pipe;
    rh_client_enter(client);
    if (!client->again && may_be_haste(client, story.status)) slow_down(client, story.description);
    bool again      = client->again && client->state == RH_CLIENT_CONNECTING && !client->closing && !client->destroyed;
    client->pipe    = NULL;
    client->pipe_up = false;
    if (again) {
        dial_again(client);
        rh_client_leave(client);
        return;
    }
    if (client->destroyed) own_error(client, &story, RH_E_CLOSED, "the client was destroyed: ");
    else if (client->lost && (story.status == RH_OK || story.status == RH_E_CANCELLED)) rh_story_read(&client->error, &story);
    else if (story.status == RH_OK) own_error(client, &story, RH_E_CONNECTION_LOST, "the connection was closed by ");
    else rh_error_refine(&story);
    lose_or_end(client, &story);

    rh_engine_lost(client->engine, &story);
    rh_engine_tick(client->engine, rh_loop_now(client->loop));
    rh_client_why_closed(client, &story);
    rh_exchange_lost(&client->cbs, &story);
    rh_exchange_lost(&client->management, &story);
    if (!client->lost || !client->inquiries) { /* what was asked meanwhile waits for the next connection */
        rh_grant_drop(client->management_grant);
        client->management_grant = NULL;
    }

    if (!client->lost || client->destroyed) conclude(client);
    else if (may_rest(client, &story)) rest(client, &story);
    else plan_dial(client, &story);
    rh_client_leave(client);
}

static const rh_pipe_handler pipe_handler = {
    .on_up       = pipe_on_up,
    .frame_size  = pipe_frame_size,
    .input       = pipe_input,
    .wants_input = pipe_wants_input,
    .output      = pipe_output,
    .sent        = pipe_sent,
    .on_down     = pipe_on_down,
};

/* -- beginning and end --------------------------------------------------------------------------- */

static rh_status dial(rh_client *client)
{
    rh_status    status = rh_client_make_engine(client);
    rh_dial_opts opts   = {
         .size      = sizeof opts,
         .host      = client->settings.dial_host,
         .port      = client->settings.dial_port,
         .tls       = client->tls,
         .tls_name  = client->settings.tls_name,
         .deadline  = client->deadline,
         .max_frame = client->last_byte + 1u,
    };
    if (status == RH_OK) status = rh_loop_dial(client->loop, &opts, &pipe_handler, client, &client->pipe);
    if (status) {
        client->pipe   = NULL;
        client->engine = NULL; /* or somebody would begin a session on it before the next one takes its place */
        rh_error error;
        own_error(client, &error, status, "cannot dial ");
        keep(client, &error);
        return status;
    }
    client->opened = false;
    /* Submitted now, the pair leaves with the first bytes that the peer allows. */
    client->state = RH_CLIENT_CONNECTING;
    rh_exchange_open(&client->cbs);
    arm(client);
    return RH_OK;
}

rh_status rh_client_dial(rh_client *client)
{
    client->open_until = rh_client_deadline(client, 0);
    rh_story_drop(&client->error, rh_client_allocator(client)); /* of the connection before a rest */
    set_deadline(client);
    rh_status status = dial(client);
    if (status) client->state = client->was_open ? RH_CLIENT_IDLE : RH_CLIENT_CLOSED;
    return status;
}

void rh_client_allow(rh_client *client, rh_time deadline)
{
    if (!client->was_open && deadline > client->open_until) client->open_until = deadline;
}

void rh_client_end(rh_client *client, const rh_error *error)
{
    if (client->state >= RH_CLIENT_CLOSING) return;
    if (error->status != RH_E_CLOSED) {
        keep(client, error);
        rh_client_log(client, RH_LOG_WARNING, "client.lost", rh_status_name(error->status), ": ", error->description);
    }
    else rh_story_drop(&client->error, rh_client_allocator(client)); /* of what was lost before */
    rh_error story = *error;
    client->lost   = false;
    client->redial = RH_TIME_NEVER;
    rh_client_set_state(client, RH_CLIENT_CLOSING);
    rh_attachments_end(client, &story);
    rh_inquiries_end(client, &story);
    if (client->engine && !rh_engine_is_closed(client->engine)) (void)rh_engine_close(client->engine, NULL, NULL);
    rh_client_wake(client);
}

void rh_client_init(rh_client *client)
{
    client->deadline   = RH_TIME_NEVER;
    client->patience   = RH_TIME_NEVER;
    client->redial     = RH_TIME_NEVER;
    client->timer.fn   = on_timer;
    client->timer.user = client;
}

void rh_client_break(rh_client *client, const rh_error *error)
{
    lose_or_end(client, error);
    rh_client_cut(client);
}

void rh_client_cut(rh_client *client)
{
    if (client->pipe) rh_pipe_close(client->pipe, false);
}

static void finish(rh_client *client)
{
    if (client->pipe || client->waiting) return; /* its on_down, or the one who waits, comes back here */
    client->busy++;
    rh_error closed;
    own_error(client, &closed, RH_E_CLOSED, "the client was destroyed: ");
    rh_attachments_end(client, &closed);
    rh_inquiries_end(client, &closed);
    rh_exchange_lost(&client->cbs, &closed);
    rh_exchange_lost(&client->management, &closed);
    rh_attachments_release(client);
    client->busy--;
    rh_client_free(client);
}
