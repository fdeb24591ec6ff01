#include "eventhub/connection.h"
#include "eventhub/retry.h"

/* The output ring was full: what did not fit is tried again after about one turn. */
#define RETRY RH_MS(1)

static void set_timer(rh_attachment *a, rh_time at)
{
    rh_timer_set(a->client->loop, &a->timer, at);
}

/* Until it may be tried again, or its time is over. */
static void look_again(rh_attachment *a, rh_time again)
{
    set_timer(a, again < a->deadline ? again : a->deadline);
}

static void poke(rh_attachment *a)
{
    rh_client_poke(a->client, &a->timer);
}

static void unlink_attachment(rh_attachment *a)
{
    rh_client *client = a->client;
    if (a->prev) a->prev->next = a->next;
    else client->attachments = a->next;
    if (a->next) a->next->prev = a->prev;
    a->prev = a->next = NULL;
    client->attachment_count--;
}

static void wait_again(rh_attachment *a);

/* The last step. After the callback the attachment may be no memory any more. */
static void go(rh_attachment *a)
{
    rh_timer_cancel(a->client->loop, &a->timer);
    rh_grant_drop(a->grant);
    a->grant = NULL;
    rh_loan_leave(a->client, a->loan);
    a->loan = NULL;
    rh_story_drop(&a->error, rh_client_allocator(a->client));
    unlink_attachment(a);
    a->state = RH_ATTACHMENT_GONE;
    a->handler->on_gone(a->user);
}

/* -- losing it and finding it again ---------------------------------------------------------------- */

/*
 * How long a service may take to notice that a connection is dead, and to let go of its links: they count as readers of the partition
 * for so long, and five are all that a group may have. Four minutes is what it announces as its idle time-out; [2.4.5] it may wait twice.
 */
#define GHOSTS_LIVE RH_SECONDS(600)

/* The place that is taken was ours before: by a ghost of ourselves, perhaps. Who never had one is refused for good. */
static bool may_be_ghosts(const rh_attachment *a, const rh_error *error)
{
    return error->status == RH_E_QUOTA && a->was_up && rh_loop_now(a->client->loop) < rh_time_after(a->since, GHOSTS_LIVE);
}

/* A token that the service took and does not believe any more is worth one new one. */
static bool renews(rh_attachment *a, const rh_error *error)
{
    if (error->error_class != RH_CLASS_TOKEN || a->tokens > 0 || !a->was_up) return false;
    a->tokens++;
    rh_grant_renew(a->grant);
    return true;
}

static bool may_recover(rh_attachment *a)
{
    bool alive = a->state == RH_ATTACHMENT_WAITING || a->state == RH_ATTACHMENT_ATTACHING || a->state == RH_ATTACHMENT_UP;
    bool wanted = !a->silent && !a->refused;
    if (!alive || !wanted || a->client->state >= RH_CLIENT_CLOSING || !rh_retry_may(a->client, a->tries)) return false;
    rh_error error;
    rh_story_read(&a->error, &error);
    return rh_retry_passes(&error) || may_be_ghosts(a, &error) || renews(a, &error);
}

static void wait_again(rh_attachment *a)
{
    rh_error error;
    rh_story_read(&a->error, &error);
    if (a->was_up) rh_story_drop(&a->error, rh_client_allocator(a->client));
    else a->told = true;
    rh_time now = rh_loop_now(a->client->loop);
    a->state    = RH_ATTACHMENT_WAITING;
    a->ending   = false;
    a->deadline = a->was_up ? RH_TIME_NEVER : a->open_until;
    a->again    = rh_time_after(now, rh_retry_wait(a->client, a->grant->audience, ++a->tries, &error));
    if (a->state == RH_ATTACHMENT_WAITING) look_again(a, a->again); /* not closed by who was told */
}

static void end(rh_attachment *a);

/* Asks the peer to end what is still there: the link first, so that it learns why, then the session. */
static void leave(rh_attachment *a)
{
    if (!a->session) {
        if (a->state != RH_ATTACHMENT_LOST) go(a);
        else if (a->refused) end(a); /* the token was, meanwhile */
        else wait_again(a);
        return;
    }
    rh_status status = RH_OK;
    if (a->link && !a->ending) {
        status    = rh_link_detach(a->link, true, NULL, NULL);
        a->ending = status != RH_AGAIN;
    } else if (!a->link) {
        status = rh_session_end(a->session, NULL, NULL);
    }
    if (status == RH_AGAIN) set_timer(a, rh_time_after(rh_loop_now(a->client->loop), RETRY));
    else set_timer(a, a->state == RH_ATTACHMENT_LEAVING && !a->returns ? RH_TIME_NEVER : a->deadline);
    rh_client_wake(a->client);
}

/* Whose token was refused ends for that, whatever comes before it has been told. */
static void keep(rh_attachment *a, const rh_error *error)
{
    if (a->refused) return;
    a->told = false;
    rh_story_keep(&a->error, rh_client_allocator(a->client), error);
}

static void tell_down(rh_attachment *a)
{
    rh_error error;
    rh_story_read(&a->error, &error);
    a->handler->on_down(a->user, &error);
}

/* Tells on_down with a->error and lets go of the engine. */
static void end(rh_attachment *a)
{
    bool told = a->state == RH_ATTACHMENT_LEAVING;
    a->state  = RH_ATTACHMENT_LEAVING;
    if (!told && a->returns) a->deadline = rh_client_deadline(a->client, 0);
    /* The handler may abandon the attachment or destroy the client; neither frees it before on_gone. */
    if (!told && !a->silent) tell_down(a);
    leave(a);
}

/* One step may take as long as an operation, and the last one of an opening as long as is left. */
static void bound(rh_attachment *a)
{
    a->deadline = rh_client_deadline(a->client, 0);
    if (!a->was_up && a->open_until < a->deadline) a->deadline = a->open_until;
}

static void lose(rh_attachment *a)
{
    rh_error error;
    rh_story_read(&a->error, &error);
    a->state = RH_ATTACHMENT_LOST;
    bound(a);
    if (a->handler->on_lost) a->handler->on_lost(a->user, &error);
    if (a->state == RH_ATTACHMENT_LOST) leave(a); /* the handler may have closed it */
}

/* What is taken away as soon as it is there has not come back: the wait before the next try goes on growing. */
static void count_anew(rh_attachment *a)
{
    a->tries = a->tokens = a->client->tries = 0;
}

/* Not up any more, for the reason in a->error. */
static void down(rh_attachment *a)
{
    if (a->state == RH_ATTACHMENT_UP) {
        if (rh_retry_stayed(a->client, a->since)) count_anew(a);
        a->since = rh_loop_now(a->client->loop);
    }
    if (a->state == RH_ATTACHMENT_LOST) leave(a);
    else if (may_recover(a)) lose(a);
    else end(a);
}

static void fail(rh_attachment *a, const rh_error *error)
{
    keep(a, error);
    down(a);
}

static rh_status begin(rh_attachment *a)
{
    rh_status status = RH_OK;
    rh_session_opts opts = { .incoming_window = a->client->session_window };
    if (!a->session) status = rh_session_begin(a->client->engine, &opts, &a->endpoint, &a->session);
    return status ? status : a->handler->attach(a->user, a->session, &a->endpoint, &a->link);
}

static void attach(rh_attachment *a)
{
    rh_client *client = a->client;
    rh_status  status = begin(a);
    if (status == RH_E_LIMIT && a->was_up && rh_loan_exchange(client, &a->loan)) status = begin(a);
    if (status == RH_OK) {
        a->state = RH_ATTACHMENT_ATTACHING;
        bound(a);
        set_timer(a, a->deadline);
        rh_client_wake(client);
    } else if (status == RH_AGAIN) {
        look_again(a, rh_time_after(rh_loop_now(client->loop), RETRY));
        rh_client_wake(client);
    } else {
        bool     full = status == RH_E_LIMIT;
        rh_error error;
        rh_error_own(&error, status, "cannot attach ", a->grant->audience, full ? ": neither side lets this connection have more links" : NULL);
        fail(a, &error);
    }
}

static const char *waiting_for(const rh_attachment *a)
{
    if (a->state == RH_ATTACHMENT_CLOSING) return "the service did not answer the detach of ";
    if (a->state == RH_ATTACHMENT_ATTACHING) return "the service did not answer the attach of ";
    if (a->client->state != RH_CLIENT_OPEN) return "no connection within the time given to open ";
    return "$cbs did not answer within the time given to open ";
}

/* Why it is not open by now: what the last try of what it waits for ended with; otherwise it waits in silence. */
static const rh_story *last_try(const rh_attachment *a)
{
    const rh_story *of_connection = &a->client->error, *of_token = &a->grant->last;
    if (a->state != RH_ATTACHMENT_WAITING) return &a->error;
    if (a->client->state != RH_CLIENT_OPEN && of_connection->status) return of_connection;
    if (a->client->state == RH_CLIENT_OPEN && !a->grant->valid && of_token->status) return of_token;
    return &a->error;
}

/* The old link is in the way of the new one for as long as its end is not answered. */
static void give_up(rh_attachment *a)
{
    rh_error error;
    rh_error_own(&error, RH_E_PEER_SILENT, "the service did not answer the detach of ", a->grant->audience, NULL);
    a->deadline = RH_TIME_NEVER;
    rh_client_break(a->client, &error);
}

static void late(rh_attachment *a)
{
    rh_error        error;
    bool            over  = !a->was_up && rh_loop_now(a->client->loop) >= a->open_until;
    const rh_story *story = last_try(a);
    if (a->state == RH_ATTACHMENT_CLOSING && a->returns) {
        give_up(a);
        return;
    }
    if (over && story->status) rh_story_read(story, &error);
    else rh_error_own(&error, RH_E_TIMEOUT, waiting_for(a), a->grant->audience, NULL);
    keep(a, &error);
    if (over || a->state == RH_ATTACHMENT_CLOSING) end(a); /* its time is over, whatever the reason */
    else down(a);
}

void rh_attachment_renew(rh_attachment *a)
{
    rh_error error;
    if (a->state != RH_ATTACHMENT_UP) return;
    rh_error_own(&error, RH_E_PEER_SILENT, "the service does not answer what is sent to ", a->grant->audience, NULL);
    keep(a, &error);
    poke(a);
}

static void step(rh_attachment *a, rh_time now)
{
    bool over = !a->was_up && now >= a->open_until;
    if (a->state == RH_ATTACHMENT_LOST && over) end(a);
    else if (now >= a->deadline && (a->state == RH_ATTACHMENT_LOST || (a->state == RH_ATTACHMENT_LEAVING && a->returns))) give_up(a);
    else if (a->state == RH_ATTACHMENT_LEAVING || a->state == RH_ATTACHMENT_LOST) leave(a);
    else if ((a->error.status != RH_OK && !a->told) || (a->state == RH_ATTACHMENT_CLOSING && !a->session)) down(a);
    else if (now >= a->deadline) late(a);
    else if (a->state == RH_ATTACHMENT_CLOSING && !a->ending) leave(a);
    else if (a->state == RH_ATTACHMENT_WAITING && now < a->again) look_again(a, a->again);
    else if (a->state == RH_ATTACHMENT_WAITING && !a->parked && a->client->state == RH_CLIENT_OPEN && a->grant->valid) attach(a);
    else set_timer(a, a->deadline);
}

static void on_timer(void *user, rh_time now)
{
    rh_attachment *a      = user;
    rh_client     *client = a->client;
    rh_client_enter(client);
    step(a, now);
    rh_client_leave(client);
}

/* -- what the engine tells ----------------------------------------------------------------------- */

static rh_attachment *of(rh_endpoint *endpoint)
{
    return (rh_attachment *)(void *)endpoint;
}

static void on_attach(rh_endpoint *endpoint, rh_link *link, const rh_amqp_attach *answer)
{
    rh_attachment *a = of(endpoint);
    if (a->state != RH_ATTACHMENT_ATTACHING) return;
    a->state  = RH_ATTACHMENT_UP;
    a->was_up = true;
    a->since  = rh_loop_now(a->client->loop);
    if (!a->refused) { /* or it is about to end for that */
        rh_timer_cancel(a->client->loop, &a->timer);
        rh_story_drop(&a->error, rh_client_allocator(a->client));
    }
    if (a->handler->on_up) a->handler->on_up(a->user, link, answer);
}

/* A peer that ends without an error still ended something that was wanted. */
static void explain(rh_attachment *a, const rh_error *error, const char *words)
{
    rh_error story = *error;
    if (story.status == RH_OK) rh_error_own(&story, RH_E_DETACHED, words, a->grant->audience, NULL);
    else rh_error_refine(&story);
    keep(a, &story);
}

static void on_detach(rh_endpoint *endpoint, rh_link *link, const rh_error *error)
{
    rh_attachment *a = of(endpoint);
    (void)link;
    a->link = NULL;
    if (a->state == RH_ATTACHMENT_ATTACHING || a->state == RH_ATTACHMENT_UP) explain(a, error, "the service detached ");
    down(a);
}

static void on_end(rh_endpoint *endpoint, const rh_error *error)
{
    rh_attachment *a = of(endpoint);
    a->session       = NULL;
    a->link          = NULL;
    if (a->state < RH_ATTACHMENT_LOST) explain(a, error, "the service ended the session of ");
    down(a);
}

static void on_credit(rh_endpoint *endpoint, rh_link *link)
{
    rh_attachment *a = of(endpoint);
    (void)link;
    if (a->state == RH_ATTACHMENT_UP && a->handler->on_credit) a->handler->on_credit(a->user);
}

static void on_drained(rh_endpoint *endpoint, rh_link *link)
{
    rh_attachment *a = of(endpoint);
    (void)link;
    if (a->state == RH_ATTACHMENT_UP && a->handler->on_drained) a->handler->on_drained(a->user);
}

static void on_gather(rh_endpoint *endpoint, rh_link *link)
{
    rh_attachment *a = of(endpoint);
    if (a->state == RH_ATTACHMENT_UP && a->handler->on_gather) a->handler->on_gather(a->user, link);
}

static void on_delivery(rh_endpoint *endpoint, rh_link *link, const rh_incoming *in)
{
    rh_attachment *a = of(endpoint);
    (void)link;
    if (a->state != RH_ATTACHMENT_UP) return;
    if (a->tries) count_anew(a);
    if (a->handler->on_delivery) a->handler->on_delivery(a->user, in);
}

static void on_outcome(rh_endpoint *endpoint, rh_link *link, rh_delivery *delivery, const rh_outcome *outcome)
{
    rh_attachment *a = of(endpoint);
    (void)link;
    if (a->tries && outcome->kind == RH_ACCEPTED) count_anew(a);
    if (a->handler->on_outcome) a->handler->on_outcome(a->user, delivery, outcome);
}

static const rh_endpoint_ops attachment_ops = {
    .on_end      = on_end,
    .on_attach   = on_attach,
    .on_detach   = on_detach,
    .on_credit   = on_credit,
    .on_drained  = on_drained,
    .on_gather   = on_gather,
    .on_delivery = on_delivery,
    .on_outcome  = on_outcome,
};

/* -- what the owner asks ------------------------------------------------------------------------- */

rh_status rh_attachment_open(rh_client *client, rh_attachment *a, const char *path, uint32_t sends, const rh_attachment_handler *handler,
                             void *user, rh_time deadline)
{
    if (!rh_attachment_is_gone(a)) return RH_E_STATE;
    if (client->closing || client->destroyed) return RH_E_CLOSED;
    if (client->state >= RH_CLIENT_CLOSING) return client->error.status ? RH_E_CONNECTION_LOST : RH_E_CLOSED;
    if (client->attachment_count >= client->attachments_max) return RH_E_LIMIT;

    memset(a, 0, sizeof *a);
    rh_status status = rh_grant_take(client, path, &a->grant);
    if (status) return status;
    a->loan = rh_loan_give(client, 1, sends ? sends : 1, strlen(path) + RH_ATTACHMENT_NAME);
    if (!a->loan) {
        rh_grant_drop(a->grant);
        return RH_E_MEMORY;
    }
    a->endpoint.ops = &attachment_ops;
    a->client       = client;
    a->handler      = handler;
    a->user         = user;
    a->open_until   = deadline ? deadline : rh_client_deadline(client, 0);
    a->deadline     = a->open_until;
    a->state        = RH_ATTACHMENT_WAITING;
    a->timer.fn     = on_timer;
    a->timer.user   = a;
    a->next         = client->attachments;
    if (a->next) a->next->prev = a;
    client->attachments = a;
    client->attachment_count++;

    status = client->state == RH_CLIENT_IDLE ? rh_client_connect(client) : RH_OK;
    if (status) {
        rh_grant_drop(a->grant);
        rh_loan_leave(client, a->loan);
        unlink_attachment(a);
        memset(a, 0, sizeof *a);
        return status;
    }
    rh_client_allow(client, a->open_until);
    poke(a);
    return RH_OK;
}

rh_status rh_attachment_park(rh_client *client, rh_attachment *a, const char *path, const rh_attachment_handler *handler, void *user)
{
    rh_status status = rh_attachment_open(client, a, path, 0, handler, user, RH_TIME_NEVER);
    if (status == RH_OK) a->parked = a->was_up = true;
    return status;
}

void rh_attachment_go_on(rh_attachment *a)
{
    if (!a->parked) return;
    a->parked = false;
    a->since  = rh_loop_now(a->client->loop);
    if (a->state != RH_ATTACHMENT_WAITING) return;
    poke(a);
}

void rh_attachment_close(rh_attachment *a, rh_time deadline)
{
    rh_time by = deadline ? deadline : rh_client_deadline(a->client, 0);
    if (a->state == RH_ATTACHMENT_CLOSING && by < a->deadline) { /* who asks again is in more of a hurry */
        a->deadline = by;
        poke(a);
    }
    if (a->state == RH_ATTACHMENT_GONE || a->state >= RH_ATTACHMENT_CLOSING) return;
    a->state    = RH_ATTACHMENT_CLOSING;
    a->deadline = by;
    rh_story_drop(&a->error, rh_client_allocator(a->client));
    if (a->link && rh_link_detach(a->link, true, NULL, NULL) != RH_AGAIN) {
        a->ending = true;
        rh_client_wake(a->client);
        set_timer(a, a->deadline);
    } else {
        poke(a);
    }
}

void rh_attachment_return(rh_attachment *a)
{
    a->returns = true;
    rh_attachment_close(a, 0);
}

void rh_attachment_still_opens(rh_attachment *a)
{
    a->was_up = false;
    bound(a);
}

void rh_attachment_stay_away(rh_attachment *a)
{
    a->returns = false;
}

void rh_attachment_abandon(rh_attachment *a)
{
    if (a->state == RH_ATTACHMENT_GONE) return;
    a->silent = true;
    rh_attachment_close(a, 0);
}

bool rh_attachment_is_gone(const rh_attachment *a)
{
    return a->state == RH_ATTACHMENT_GONE;
}

rh_link *rh_attachment_link(const rh_attachment *a)
{
    return a->state == RH_ATTACHMENT_UP ? a->link : NULL;
}

const char *rh_attachment_audience(const rh_attachment *a)
{
    return a->grant->audience;
}

/* -- what the client tells all of them ----------------------------------------------------------- */

static void poke_waiting(rh_client *client, const rh_grant *grant)
{
    for (rh_attachment *a = client->attachments; a; a = a->next)
        if (a->state == RH_ATTACHMENT_WAITING && (!grant || a->grant == grant)) poke(a);
}

void rh_attachments_opened(rh_client *client)
{
    poke_waiting(client, NULL);
}

void rh_attachments_granted(rh_client *client, const rh_grant *grant)
{
    poke_waiting(client, grant);
}

void rh_attachments_refused(rh_client *client, const rh_grant *grant, const rh_error *error)
{
    for (rh_attachment *a = client->attachments; a; a = a->next) {
        if (a->grant != grant || a->state > RH_ATTACHMENT_LOST) continue;
        keep(a, error);
        a->refused = true;
        if (a->state != RH_ATTACHMENT_LOST) poke(a);
    }
}

void rh_attachments_end(rh_client *client, const rh_error *error)
{
    /* A handler may end or open others, so the list is walked from its head after every call. */
    rh_attachment *a = client->attachments;
    while (a) {
        if (a->state == RH_ATTACHMENT_LEAVING) {
            a = a->next;
            continue;
        }
        if (a->state != RH_ATTACHMENT_CLOSING) keep(a, error);
        end(a);
        a = client->attachments;
    }
}

void rh_attachments_lose(rh_client *client, const rh_error *error)
{
    rh_attachment *a = client->attachments;
    while (a) {
        if (a->state != RH_ATTACHMENT_ATTACHING && a->state != RH_ATTACHMENT_UP) {
            a = a->next;
            continue;
        }
        fail(a, error);
        a = client->attachments;
    }
}

void rh_attachments_release(rh_client *client)
{
    rh_attachment *a = client->attachments;
    while (a) {
        go(a);
        a = client->attachments;
    }
}
