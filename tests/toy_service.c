#include "tests/toy_service.h"

#include <stdlib.h>

/* -- answers ------------------------------------------------------------------------------------- */

typedef struct answer {
    size_t  n;
    uint8_t bytes[2048];
} answer;

static void send_answer(rh_link *link, const rh_enc *e, answer *a)
{
    rh_slice    part     = { a->bytes, rh_enc_size(e) };
    rh_transfer transfer = { .parts = &part, .part_count = 1, .settled = true, .user = a };
    rh_delivery *delivery;
    if (rh_link_send(link, &transfer, &delivery) != RH_OK) free(a);
}

static void write_head(rh_enc *e, rh_slice id, int code, const char *words, const char *condition)
{
    rh_enc_descriptor(e, RH_CODE_PROPERTIES);
    rh_enc_mark list = rh_enc_list_begin(e);
    for (int i = 0; i < 5; i++) rh_enc_null(e);
    rh_enc_raw(e, id);
    rh_enc_list_end(e, list, 6);
    rh_enc_descriptor(e, RH_CODE_APPLICATION_PROPERTIES);
    rh_enc_mark map = rh_enc_map_begin(e);
    rh_enc_string(e, rh_str("status-code"));
    rh_enc_int(e, code);
    rh_enc_string(e, rh_str("status-description"));
    rh_enc_string(e, rh_str(words));
    if (condition) {
        rh_enc_string(e, rh_str("error-condition"));
        rh_enc_symbol(e, rh_str(condition));
    }
    rh_enc_map_end(e, map, condition ? 6 : 4);
}

static rh_slice id_of(rh_slice properties)
{
    rh_dec d = rh_dec_of(properties), fields;
    (void)rh_dec_list(&d, &fields);
    return rh_dec_raw(&fields);
}

static void keep(char *out, size_t n, rh_slice text)
{
    out[0] = 0;
    if (text.n == 0 || text.n >= n) return;
    memcpy(out, text.p, text.n);
    out[text.n] = 0;
}

static void copy(rh_slice map, const char *key, char *out, size_t n)
{
    rh_value value;
    keep(out, n, rh_map_find(map, key, &value) ? value.bytes : rh_str(NULL));
}

static void answer_put(toy_service *s, rh_slice id)
{
    answer *a = malloc(sizeof *a);
    rh_enc  e = rh_enc_of(a->bytes, sizeof a->bytes);
    write_head(&e, id, s->cbs_code, s->cbs_words ? s->cbs_words : "Accepted", s->cbs_condition);
    send_answer(s->cbs_sender, &e, a);
}

static void take_put(toy_service *s, const rh_message *message)
{
    rh_dec   body  = rh_dec_of(message->body);
    rh_slice token = rh_dec_string(&body), id = id_of(message->properties);
    s->puts++;
    copy(message->application_properties, "name", s->audience, sizeof s->audience);
    copy(message->application_properties, "type", s->token_type, sizeof s->token_type);
    keep(s->token, sizeof s->token, token);
    if (s->cbs_silent || s->cbs_deaf) return;
    if (!s->hold_puts) {
        answer_put(s, id);
        return;
    }
    memcpy(s->held[s->puts_waiting].id, id.p, id.n);
    s->held[s->puts_waiting++].n = id.n;
    if (s->puts_waiting > s->puts_waiting_most) s->puts_waiting_most = s->puts_waiting;
}

void toy_service_answer_puts(toy_service *s)
{
    for (unsigned i = 0; i < s->puts_waiting; i++) answer_put(s, rh_slice_of(s->held[i].id, s->held[i].n));
    s->puts_waiting = 0;
    toy_service_wake(s);
}

static void write_text(rh_enc *e, const char *key, const char *value)
{
    rh_enc_string(e, rh_str(key));
    rh_enc_string(e, rh_str(value));
}

static void write_hub(const toy_service *s, rh_enc *e)
{
    rh_enc_mark map = rh_enc_map_begin(e);
    write_text(e, "name", "hub");
    write_text(e, "type", "com.microsoft:eventhub");
    rh_enc_string(e, rh_str("created_at"));
    rh_enc_timestamp(e, 1767225600123);
    rh_enc_string(e, rh_str("partition_count"));
    rh_enc_int(e, 3);
    rh_enc_string(e, rh_str("partition_ids"));
    if (s->partition_ids_as_list) {
        rh_enc_mark list = rh_enc_list_begin(e);
        rh_enc_string(e, rh_str("0")), rh_enc_string(e, rh_str("1")), rh_enc_string(e, rh_str("22"));
        rh_enc_list_end(e, list, 3);
    } else {
        rh_enc_mark array = rh_enc_array_begin(e, 0xa1);
        rh_enc_element_variable(e, 0xa1, rh_str("0")), rh_enc_element_variable(e, 0xa1, rh_str("1")), rh_enc_element_variable(e, 0xa1, rh_str("22"));
        rh_enc_array_end(e, array, 3);
    }
    rh_enc_map_end(e, map, 10);
}

static void write_partition(const toy_service *s, rh_enc *e)
{
    rh_enc_mark map = rh_enc_map_begin(e);
    write_text(e, "name", "hub");
    write_text(e, "partition", s->asked_partition);
    rh_enc_string(e, rh_str("begin_sequence_number"));
    rh_enc_long(e, 5);
    rh_enc_string(e, rh_str("last_enqueued_sequence_number"));
    rh_enc_long(e, 41);
    write_text(e, "last_enqueued_offset", "4294967296");
    rh_enc_string(e, rh_str("last_enqueued_time_utc"));
    rh_enc_timestamp(e, 1767225601000);
    rh_enc_string(e, rh_str("is_partition_empty"));
    rh_enc_bool(e, false);
    rh_enc_map_end(e, map, 14);
}

static void take_question(toy_service *s, const rh_message *message)
{
    rh_slice map = message->application_properties;
    s->asks++;
    copy(map, "type", s->asked_type, sizeof s->asked_type);
    copy(map, "name", s->asked_name, sizeof s->asked_name);
    copy(map, "partition", s->asked_partition, sizeof s->asked_partition);
    copy(map, "security_token", s->security_token, sizeof s->security_token);
    if (s->management_silent) return;
    answer *a = malloc(sizeof *a);
    rh_enc  e = rh_enc_of(a->bytes, sizeof a->bytes);
    write_head(&e, id_of(message->properties), s->management_code, s->management_words ? s->management_words : "OK", s->management_condition);
    rh_enc_descriptor(&e, RH_CODE_AMQP_VALUE);
    if (s->management_garbage) rh_enc_string(&e, rh_str("no map"));
    else if (s->management_code != 200) rh_enc_null(&e);
    else if (strcmp(s->asked_type, "com.microsoft:partition") == 0) write_partition(s, &e);
    else write_hub(s, &e);
    send_answer(s->management_sender, &e, a);
}

/* -- engine -------------------------------------------------------------------------------------- */

static uint8_t on_sasl(void *user, rh_engine *engine, rh_slice mechanism, rh_slice response)
{
    toy_service *s = user;
    (void)engine, (void)mechanism, (void)response;
    s->in_sasl = true;
    return s->sasl_refused ? RH_SASL_CODE_AUTH : RH_SASL_CODE_OK;
}

static void on_open(void *user, rh_engine *engine, const rh_amqp_open *open)
{
    toy_service *s = user;
    rh_property  property;
    (void)engine;
    keep(s->hostname, sizeof s->hostname, open->hostname);
    keep(s->container_id, sizeof s->container_id, open->container_id);
    rh_dec items = rh_map_open(open->properties);
    while (rh_map_next(&items, &property)) s->open_properties++;
    copy(open->properties, "user-agent", s->user_agent, sizeof s->user_agent);
}

static bool is_address(rh_slice terminus, bool source, const char *text)
{
    rh_amqp_source from;
    rh_amqp_target to;
    rh_slice       encoded = { NULL, 0 };
    if (source && terminus.p && rh_amqp_source_view(terminus, &from) == RH_OK) encoded = from.address;
    if (!source && terminus.p && rh_amqp_target_view(terminus, &to) == RH_OK) encoded = to.address;
    rh_dec d = rh_dec_of(encoded);
    return rh_slice_is(rh_dec_string(&d), text);
}

static void accept_link(rh_link *link, const rh_amqp_attach *attach)
{
    rh_link_opts opts = { .source_raw = attach->source, .target_raw = attach->target, .properties = attach->properties, .max_message_size = 1048576 };
    if (rh_link_accept(link, &opts) == RH_OK && rh_link_is_receiver(link)) (void)rh_link_credit(link, 300);
}

static void keep_address(toy_service *s, rh_slice terminus, bool source)
{
    rh_amqp_source from;
    rh_amqp_target to;
    rh_slice       encoded = { NULL, 0 };
    if (source && rh_amqp_source_view(terminus, &from) == RH_OK) encoded = from.address;
    if (!source && rh_amqp_target_view(terminus, &to) == RH_OK) encoded = to.address;
    rh_dec d = rh_dec_of(encoded);
    keep(s->address, sizeof s->address, rh_dec_string(&d));
}

static size_t keep_bytes(uint8_t out[256], rh_slice bytes)
{
    size_t n = bytes.n < 256 ? bytes.n : 256;
    if (n) memcpy(out, bytes.p, n);
    return n;
}

static void take_cbs(toy_service *s, rh_link *link, const rh_amqp_attach *attach)
{
    s->cbs_links++;
    if (s->cbs_refused) {
        (void)rh_link_refuse(link, "amqp:not-allowed", "no $cbs today");
        return;
    }
    rh_link_opts opts = { .source_raw = attach->source, .target_raw = attach->target };
    if (rh_link_accept(link, &opts) != RH_OK) return;
    rh_link_set_user(link, "$cbs");
    if (!rh_link_is_receiver(link)) s->cbs_sender = link;
    else if (!s->cbs_no_credit) (void)rh_link_credit(link, 100);
}

static void on_attach(void *user, rh_link *link, const rh_amqp_attach *attach)
{
    toy_service *s        = user;
    bool         receiver = rh_link_is_receiver(link); /* ours: the peer sends to its target */
    rh_slice     terminus = receiver ? attach->target : attach->source;
    if (is_address(terminus, !receiver, "$cbs")) {
        take_cbs(s, link, attach);
    } else if (is_address(terminus, !receiver, "$management")) {
        accept_link(link, attach);
        rh_link_set_user(link, "$management");
        if (!receiver) s->management_sender = link;
    } else {
        s->attaches++;
        s->events = link;
        keep_address(s, terminus, !receiver);
        s->link_properties_n   = keep_bytes(s->link_properties, attach->properties);
        s->link_capabilities_n = keep_bytes(s->link_capabilities, attach->desired_capabilities);
        if (s->refuse) (void)rh_link_refuse(link, s->refuse, s->refuse_words);
        else if (!s->attach_silent) accept_link(link, attach);
    }
}

static void on_detach(void *user, rh_link *link, bool closed, const rh_error *error)
{
    toy_service *s = user;
    (void)closed, (void)error;
    s->detaches++;
    if (link == s->events) s->events = NULL;
    if (link == s->cbs_sender) s->cbs_sender = NULL;
    if (link == s->management_sender) s->management_sender = NULL;
}

static void on_delivery(void *user, rh_link *link, const rh_incoming *in)
{
    toy_service *s    = user;
    const char  *node = rh_link_user(link);
    rh_message   message;
    if (!node) {
        s->deliveries++;
        if (!s->keep_deliveries) (void)rh_link_settle(link, in->delivery_id, in->delivery_id, RH_ACCEPTED, NULL, NULL);
        return;
    }
    if (!in->settled && !(s->cbs_deaf && strcmp(node, "$cbs") == 0)) (void)rh_link_settle(link, in->delivery_id, in->delivery_id, RH_ACCEPTED, NULL, NULL);
    if (rh_message_view(in->payload, &message) != RH_OK) return;
    if (strcmp(node, "$cbs") == 0) take_put(s, &message);
    else take_question(s, &message);
    (void)rh_link_credit(link, 100);
}

static void on_outcome(void *user, rh_link *link, rh_delivery *delivery, const rh_outcome *outcome)
{
    (void)user, (void)link, (void)outcome;
    free(rh_delivery_user(delivery));
}

static void on_close(void *user, rh_engine *engine, const rh_error *error)
{
    toy_service *s = user;
    (void)engine;
    s->end = *error;
    if (s->pipe) rh_pipe_close(s->pipe, true);
}

static const rh_engine_handler engine_handler = {
    .on_sasl     = on_sasl,
    .on_open     = on_open,
    .on_attach   = on_attach,
    .on_detach   = on_detach,
    .on_delivery = on_delivery,
    .on_outcome  = on_outcome,
    .on_close    = on_close,
};

/* -- pipe ---------------------------------------------------------------------------------------- */

void toy_service_wake(toy_service *s)
{
    if (!s->engine) return;
    if (s->pipe) rh_pipe_wake(s->pipe);
    rh_timer_set(&s->toy->loop, &s->timer, rh_engine_deadline(s->engine));
}

static void on_timer(void *user, rh_time now)
{
    toy_service *s = user;
    if (!s->engine) return;
    rh_engine_tick(s->engine, now);
    toy_service_wake(s);
}

static void pipe_on_up(void *user, rh_pipe *pipe)
{
    (void)pipe;
    toy_service_wake(user);
}

static size_t pipe_frame_size(void *user, const uint8_t *bytes, size_t n)
{
    toy_service *s = user;
    return rh_engine_frame_size(s->engine, bytes, n);
}

static size_t pipe_input(void *user, rh_pipe *pipe, const uint8_t *bytes, size_t n)
{
    toy_service *s        = user;
    bool         careless = s->reads_ahead || s->hangs_up;
    size_t       used     = 0;
    s->in_sasl            = false;
    while (careless && used < n && !s->in_sasl)
        used += rh_engine_input(s->engine, bytes + used, rh_engine_frame_size(s->engine, bytes + used, n - used), s->toy->now);
    if (s->in_sasl && used < n && s->hangs_up) rh_pipe_close(pipe, false);
    if (s->in_sasl) used = n;
    used += rh_engine_input(s->engine, bytes + used, n - used, s->toy->now);
    toy_service_wake(s);
    return used;
}

static bool pipe_wants_input(void *user)
{
    toy_service *s = user;
    return rh_engine_wants_input(s->engine);
}

static size_t pipe_output(void *user, rh_iov *iov, size_t max)
{
    toy_service *s = user;
    return s->mute ? 0 : rh_engine_output(s->engine, iov, max);
}

static void pipe_sent(void *user, size_t n)
{
    toy_service *s = user;
    rh_engine_sent(s->engine, n, s->toy->now);
    toy_service_wake(s);
}

static void pipe_on_down(void *user, rh_pipe *pipe, const rh_error *error)
{
    toy_service *s = user;
    (void)pipe;
    s->pipe = NULL;
    rh_engine_lost(s->engine, error);
    rh_engine_tick(s->engine, s->toy->now);
    rh_timer_cancel(&s->toy->loop, &s->timer);
    free(s->arena);
    s->engine = NULL;
    s->arena  = NULL;
    s->cbs_sender = s->management_sender = s->events = NULL;
}

static const rh_pipe_handler pipe_handler = {
    pipe_on_up, pipe_frame_size, pipe_input, pipe_wants_input, pipe_output, pipe_sent, pipe_on_down,
};

static void on_accept(void *user, rh_pipe *pipe)
{
    toy_service    *s    = user;
    rh_engine_opts *opts = RH_ENGINE_OPTS(.server = true, .sasl = RH_SASL_ANONYMOUS, .sessions = 128, .links = 256, .idle_time_out_ms = 240000,
                                          .container_id = { (const uint8_t *)"toy", 3 });
    size_t n = rh_engine_size(opts);
    s->connections++;
    s->pipe   = pipe;
    s->arena  = malloc(n);
    s->engine = rh_engine_init(s->arena, n, opts, &engine_handler, s);
    rh_pipe_adopt(pipe, &pipe_handler, s);
}

void toy_service_init(toy_service *s, toy_loop *toy)
{
    memset(s, 0, sizeof *s);
    s->toy             = toy;
    s->cbs_code        = 202;
    s->management_code = 200;
    s->timer.fn        = on_timer;
    s->timer.user      = s;
    toy->accept        = on_accept;
    toy->accept_user   = s;
}

void toy_service_fini(toy_service *s)
{
    free(s->arena);
    s->arena = NULL;
}
