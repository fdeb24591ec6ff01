#include "codec/text.h"
#include "eventhub/connection.h"

/* Answers that may be on their way at once; granted again at half. */
#define ANSWERS_MAX 100

/* The output ring was full: what did not fit is tried again after about one turn. */
#define RETRY RH_MS(1)

/* Behind the receiver's name, for the sender's. */
#define SENDER "-sender"

static const rh_endpoint_ops exchange_ops;

static void on_retry(void *user, rh_time now);
static void pump(rh_exchange *x);

/* "cbs-0123456789abcdef": the receiver's name and target address, and reply-to of every request. */
static void choose_reply_to(rh_exchange *x)
{
    static const char hex[] = "0123456789abcdef";
    uint8_t           random[8];
    size_t            n = 0;
    rh_loop_random(x->client->loop, random, sizeof random);
    for (const char *p = x->node + 1; *p && n < sizeof x->reply_to - 18; p++) x->reply_to[n++] = *p;
    x->reply_to[n++] = '-';
    for (size_t i = 0; i < sizeof random; i++) {
        x->reply_to[n++] = hex[random[i] >> 4];
        x->reply_to[n++] = hex[random[i] & 15];
    }
    x->reply_to[n] = 0;
}

void rh_exchange_init(rh_exchange *x, rh_client *client, const char *node, size_t gather_n)
{
    memset(x, 0, sizeof *x);
    x->endpoint.ops = &exchange_ops;
    x->client       = client;
    x->node         = node;
    x->gather_n     = gather_n;
    x->timer.fn     = on_retry;
    x->timer.user   = x;
    choose_reply_to(x);
}

static void drop_gather(rh_exchange *x)
{
    const rh_allocator *allocator = rh_client_allocator(x->client);
    if (x->gather) allocator->free(allocator->user, x->gather, x->gather_n);
    x->gather = NULL;
}

void rh_exchange_fini(rh_exchange *x)
{
    const rh_allocator *allocator = rh_client_allocator(x->client);
    rh_timer_cancel(x->client->loop, &x->timer);
    drop_gather(x);
    rh_story_drop(&x->error, allocator);
}

/* -- the pair of links --------------------------------------------------------------------------- */

static rh_slice encoded_address(uint8_t *room, size_t n, const char *text)
{
    rh_enc e = rh_enc_of(room, n);
    rh_enc_string(&e, rh_str(text));
    return rh_enc_written(&e);
}

static rh_status attach_receiver(rh_exchange *x)
{
    uint8_t        node[64], own[64];
    rh_amqp_source source = { .address = encoded_address(node, sizeof node, x->node) };
    rh_amqp_target target = { .address = encoded_address(own, sizeof own, x->reply_to) };
    rh_link_opts   opts   = {
          .name = rh_str(x->reply_to), .receiver = true, .source = &source, .target = &target,
    };
    rh_status status = rh_link_attach(x->session, &opts, &x->endpoint, &x->receiver);
    return status ? status : rh_link_credit(x->receiver, ANSWERS_MAX);
}

static rh_status attach_sender(rh_exchange *x)
{
    uint8_t        node[64], own[64];
    char           name[64];
    rh_amqp_source source = { .address = encoded_address(own, sizeof own, x->reply_to) };
    rh_amqp_target target = { .address = encoded_address(node, sizeof node, x->node) };
    size_t         n      = strlen(x->reply_to);
    memcpy(name, x->reply_to, n);
    memcpy(name + n, SENDER, sizeof SENDER);
    rh_link_opts opts = { .name = rh_str(name), .source = &source, .target = &target };
    return rh_link_attach(x->session, &opts, &x->endpoint, &x->sender);
}

static void retry(rh_exchange *x)
{
    rh_timer_set(x->client->loop, &x->timer, rh_time_after(rh_loop_now(x->client->loop), RETRY));
}

static void poke(rh_call *call)
{
    rh_client_poke(call->exchange->client, &call->timer);
}

/* Every call that waits will hear why, from its timer. */
static void fail_calls(rh_exchange *x, const rh_error *error)
{
    rh_story_keep(&x->error, rh_client_allocator(x->client), error);
    for (rh_call *call = x->calls; call; call = call->next)
        if (!call->answered) {
            call->deadline = 0;
            poke(call);
        }
}

/* A service that does not answer `end` is not there, whatever its heartbeats say; and no session takes the place of this one before. */
static void fall_silent(rh_exchange *x)
{
    rh_error error;
    rh_error_own(&error, RH_E_PEER_SILENT, "the service did not answer the end of ", x->node, NULL);
    rh_client_break(x->client, &error);
}

static void leave(rh_exchange *x)
{
    rh_status status = x->session ? rh_session_end(x->session, NULL, NULL) : RH_E_STATE;
    x->ending        = true;
    x->end_said      = status == RH_OK;
    if (status == RH_AGAIN) retry(x);
    if (status == RH_OK) rh_timer_set(x->client->loop, &x->timer, rh_client_deadline(x->client, 0));
}

static void refuse(rh_exchange *x, const rh_error *error)
{
    rh_error story = *error;
    if (story.status == RH_OK) rh_error_own(&story, RH_E_DETACHED, "the service detached ", x->node, NULL);
    else rh_error_refine(&story);
    fail_calls(x, &story);
}

void rh_exchange_open(rh_exchange *x)
{
    rh_client *client = x->client;
    rh_status  status = RH_OK;
    rh_session_opts opts = { .incoming_window = client->session_window };
    if (x->ending || !client->engine || client->state > RH_CLIENT_OPEN) return;
    if (!x->loan) x->loan = rh_loan_give(client, 2, 0, strlen(x->reply_to) + sizeof SENDER);
    if (!x->loan) status = RH_E_MEMORY;
    if (status == RH_OK && !x->session) status = rh_session_begin(client->engine, &opts, &x->endpoint, &x->session);
    if (status == RH_OK && !x->receiver) status = attach_receiver(x);
    if (status == RH_OK && !x->sender) status = attach_sender(x);
    if (status == RH_AGAIN) {
        retry(x);
    } else if (status != RH_OK) {
        rh_error error;
        rh_error_own(&error, status, "cannot attach to ", x->node, NULL);
        fail_calls(x, &error);
    }
    rh_client_wake(client);
}

static void on_retry(void *user, rh_time now)
{
    rh_exchange *x      = user;
    rh_client   *client = x->client;
    (void)now;
    rh_client_enter(client);
    if (x->end_said) fall_silent(x);
    else if (x->ending) leave(x);
    else rh_exchange_open(x);
    pump(x);
    rh_client_leave(client);
}

/* -- calls --------------------------------------------------------------------------------------- */

static void unlink_call(rh_call *call)
{
    rh_exchange *x = call->exchange;
    rh_timer_cancel(x->client->loop, &call->timer);
    if (call->prev) call->prev->next = call->next;
    else x->calls = call->next;
    if (call->next) call->next->prev = call->prev;
    call->exchange = NULL;
}

static void settle(rh_call *call)
{
    if (!call->answered || call->lent) return;
    unlink_call(call);
    call->on_idle(call);
}

/* What it took it neither answers nor settles, and until it does, or its session ends, the bytes are lent and the call is not
 * done: who waits for that would wait for ever. What else was sent there is tried again by whoever wants it. */
static void give_up(rh_exchange *x)
{
    rh_error error;
    if (x->ending || !x->session) return;
    rh_error_own(&error, RH_E_TIMEOUT, x->node, " does not settle what it is asked", NULL);
    rh_story_keep(&x->error, rh_client_allocator(x->client), &error);
    for (rh_call *call = x->calls; call; call = call->next)
        if (call->sent && !call->answered) {
            call->deadline = 0;
            poke(call);
        }
    leave(x);
    rh_client_wake(x->client);
}

/* The call may be gone when this returns. */
static void tell(rh_call *call, const rh_answer *answer, const rh_error *error)
{
    rh_exchange *x    = call->exchange;
    bool         deaf = false;
    if (!call->answered) {
        call->answered = true;
        rh_timer_cancel(x->client->loop, &call->timer);
        /* Bytes still queued are no use to anybody; what was half sent is aborted. */
        if (error && call->lent) deaf = rh_delivery_abort(call->delivery) != RH_OK;
        call->on_answer(call, answer, error);
    }
    settle(call);
    if (deaf) give_up(x);
}

static void on_call_timer(void *user, rh_time now)
{
    rh_call     *call   = user;
    rh_exchange *x      = call->exchange;
    rh_client   *client = x->client;
    rh_error     error;
    rh_client_enter(client);
    rh_story_read(&x->error, &error);
    if (call->deadline != 0) rh_error_own(&error, RH_E_TIMEOUT, x->node, " did not answer in time", NULL);
    if (now >= call->deadline) tell(call, NULL, &error);
    rh_client_leave(client);
}

static void pump(rh_exchange *x)
{
    if (!x->sender_up || !x->receiver_up || x->ending) return;
    for (rh_call *call = x->calls; call; call = call->next) {
        if (call->sent || call->answered) continue;
        rh_slice    part     = { call->bytes, call->n };
        rh_transfer transfer = { .parts = &part, .part_count = 1, .user = call };
        rh_status   status   = rh_link_send(x->sender, &transfer, &call->delivery);
        bool full = status == RH_AGAIN && rh_link_credit_left(x->sender) > 0;
        if (full && rh_loan_delivery(x->client)) status = rh_link_send(x->sender, &transfer, &call->delivery);
        if (status == RH_AGAIN) {
            /* on_credit or on_outcome comes back here, unless the engine's slots are somebody else's. */
            if (rh_link_credit_left(x->sender) && !rh_link_unsettled(x->sender)) retry(x);
            break;
        }
        call->sent = true;
        call->lent = status == RH_OK;
        if (status != RH_OK) {
            rh_error error;
            rh_error_own(&error, status, "cannot send to ", x->node, NULL);
            rh_story_keep(&x->error, rh_client_allocator(x->client), &error);
            call->deadline = 0;
            poke(call);
        }
    }
    rh_client_wake(x->client);
}

void rh_exchange_write_properties(const rh_exchange *x, rh_enc *e)
{
    char id[RH_DECIMAL_ROOM];
    rh_enc_descriptor(e, RH_CODE_PROPERTIES);
    rh_enc_mark list = rh_enc_list_begin(e);
    rh_enc_string(e, rh_text_decimal(x->next_id, id));
    rh_enc_null(e); /* user-id */
    rh_enc_string(e, rh_str(x->node));
    rh_enc_null(e); /* subject */
    rh_enc_string(e, rh_str(x->reply_to));
    for (int i = 5; i < 13; i++) rh_enc_null(e); /* some peers index the fields without looking at the count */
    rh_enc_list_end(e, list, 13);
}

void rh_exchange_start(rh_exchange *x, rh_call *call, rh_time deadline)
{
    rh_call **tail = &x->calls;
    call->prev     = NULL;
    while (*tail) {
        call->prev = *tail;
        tail       = &(*tail)->next;
    }
    *tail            = call;
    call->next       = NULL;
    call->exchange   = x;
    call->id         = x->next_id++;
    call->deadline   = deadline;
    call->sent       = false;
    call->lent       = false;
    call->answered   = false;
    call->timer.fn   = on_call_timer;
    call->timer.user = call;
    rh_timer_set(x->client->loop, &call->timer, deadline);
    rh_exchange_open(x);
    pump(x);
}

void rh_exchange_forget(rh_call *call)
{
    if (!call->exchange || call->answered) return;
    call->answered = true;
    rh_timer_cancel(call->exchange->client->loop, &call->timer);
    if (call->lent) (void)rh_delivery_abort(call->delivery);
    settle(call);
}

static void lose_session(rh_exchange *x)
{
    drop_gather(x);
    x->session = NULL;
    x->sender = x->receiver = NULL;
    x->sender_up = x->receiver_up = x->ending = x->end_said = false;
    rh_timer_cancel(x->client->loop, &x->timer);
}

/* Without the peer's open there was no credit, so no call has been sent. */
void rh_exchange_restart(rh_exchange *x)
{
    lose_session(x);
    if (x->calls) rh_timer_set(x->client->loop, &x->timer, rh_loop_now(x->client->loop));
}

void rh_exchange_lost(rh_exchange *x, const rh_error *error)
{
    lose_session(x);
    rh_call *call = x->calls;
    while (call) {
        call->lent = false;
        tell(call, NULL, error);
        call = x->calls;
    }
}

/* -- answers ------------------------------------------------------------------------------------- */

/* The text of the answer's correlation-id; ours are decimal strings. */
static rh_slice correlation_of(const rh_message *message)
{
    rh_amqp_properties properties;
    if (rh_message_properties(message, &properties) != RH_OK) return rh_str(NULL);
    rh_dec   d = rh_dec_of(properties.correlation_id);
    rh_value id;
    return rh_dec_value(&d, &id) && id.type == RH_STRING ? id.bytes : rh_str(NULL);
}

static rh_slice text_of(rh_slice map, const char *key, const char *other)
{
    rh_value value;
    if (!rh_map_find(map, key, &value) && !rh_map_find(map, other, &value)) return rh_str(NULL);
    return value.type == RH_STRING || value.type == RH_SYMBOL ? value.bytes : rh_str(NULL);
}

static bool read_answer(rh_slice payload, rh_answer *out)
{
    rh_value code;
    memset(out, 0, sizeof *out);
    if (rh_message_view(payload, &out->message) != RH_OK) return false;
    rh_slice map = out->message.application_properties;
    if (rh_map_find(map, "status-code", &code) || rh_map_find(map, "statusCode", &code)) (void)rh_value_to_int64(&code, &out->code);
    out->condition   = text_of(map, "error-condition", "errorCondition");
    out->description = text_of(map, "status-description", "statusDescription");
    return true;
}

static rh_call *call_of(rh_exchange *x, rh_slice correlation)
{
    for (rh_call *call = x->calls; call; call = call->next) {
        char id[RH_DECIMAL_ROOM];
        if (!call->answered && call->sent && rh_slice_equal(correlation, rh_text_decimal(call->id, id))) return call;
    }
    return NULL;
}

static rh_exchange *of(rh_endpoint *endpoint)
{
    return (rh_exchange *)(void *)endpoint;
}

static void on_delivery(rh_endpoint *endpoint, rh_link *link, const rh_incoming *in)
{
    rh_exchange *x = of(endpoint);
    rh_answer    answer;
    uint8_t     *gather = in->gathered && rh_link_gather(link, NULL, 0) == RH_OK ? x->gather : NULL;
    if (gather) x->gather = NULL;
    if (!in->settled) (void)rh_link_settle(link, in->delivery_id, in->delivery_id, RH_ACCEPTED, NULL, NULL);
    if (rh_link_credit_left(link) < ANSWERS_MAX / 2) (void)rh_link_credit(link, ANSWERS_MAX);

    rh_call *call = read_answer(in->payload, &answer) ? call_of(x, correlation_of(&answer.message)) : NULL;
    if (call) tell(call, &answer, NULL);
    else rh_client_log(x->client, RH_LOG_WARNING, "exchange.stray", "an answer that nobody waits for came from ", x->node, NULL);
    if (gather) rh_client_allocator(x->client)->free(rh_client_allocator(x->client)->user, gather, x->gather_n);
}

/* Without memory the link is refused by the engine, and every call hears of it. */
static void on_gather(rh_endpoint *endpoint, rh_link *link)
{
    rh_exchange        *x         = of(endpoint);
    const rh_allocator *allocator = rh_client_allocator(x->client);
    if (!x->gather) x->gather = allocator->alloc(allocator->user, x->gather_n);
    if (x->gather) (void)rh_link_gather(link, x->gather, x->gather_n);
}

static void on_outcome(rh_endpoint *endpoint, rh_link *link, rh_delivery *delivery, const rh_outcome *outcome)
{
    rh_exchange *x    = of(endpoint);
    rh_call     *call = rh_delivery_user(delivery);
    (void)link;
    call->lent = false;
    if (outcome->kind == RH_REJECTED || outcome->kind == RH_RELEASED || outcome->kind == RH_MODIFIED) {
        rh_error error;
        (void)rh_error_of_outcome(&error, outcome);
        tell(call, NULL, &error);
    } else {
        settle(call);
    }
    pump(x);
}

static void on_attach(rh_endpoint *endpoint, rh_link *link, const rh_amqp_attach *answer)
{
    rh_exchange *x = of(endpoint);
    (void)answer;
    if (link == x->receiver) x->receiver_up = true;
    if (link == x->sender) x->sender_up = true;
    pump(x);
}

static void on_credit(rh_endpoint *endpoint, rh_link *link)
{
    (void)link;
    pump(of(endpoint));
}

/* One link without the other is no use: the session ends, the next call begins another. */
static void on_detach(rh_endpoint *endpoint, rh_link *link, const rh_error *error)
{
    rh_exchange *x = of(endpoint);
    if (link == x->receiver) {
        x->receiver = NULL;
        drop_gather(x);
    }
    if (link == x->sender) x->sender = NULL;
    if (x->ending) return;
    refuse(x, error);
    leave(x);
}

static void on_end(rh_endpoint *endpoint, const rh_error *error)
{
    rh_exchange *x = of(endpoint);
    drop_gather(x);
    rh_timer_cancel(x->client->loop, &x->timer);
    /* The engine is not done with this session: the next one needs memory of its own. */
    rh_loan_leave(x->client, x->loan);
    x->loan    = NULL;
    x->session = NULL;
    x->sender = x->receiver = NULL;
    x->sender_up = x->receiver_up = false;
    bool ended = x->ending;
    x->ending = x->end_said = false;
    if (!ended) refuse(x, error);
    /* Calls that were started while the old session was ending. */
    for (rh_call *call = x->calls; call; call = call->next)
        if (ended && !call->sent && !call->answered && call->deadline != 0) {
            rh_exchange_open(x);
            break;
        }
}

static const rh_endpoint_ops exchange_ops = {
    .on_end      = on_end,
    .on_attach   = on_attach,
    .on_detach   = on_detach,
    .on_credit   = on_credit,
    .on_gather   = on_gather,
    .on_delivery = on_delivery,
    .on_outcome  = on_outcome,
};
