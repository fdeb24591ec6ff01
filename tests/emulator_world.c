#include "tests/emulator_world.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

#include "eventhub/sas.h"

/* -- the namespace ---------------------------------------------------------------------------- */

/* A toy loop hands dialed pipes to whoever listened last. */
struct toy_listener {
    rh_listener listener;
};

static uint16_t toy_port(const rh_listener *listener)
{
    (void)listener;
    return 5672;
}

static void toy_listener_close(rh_listener *listener)
{
    (void)listener;
}

static const rh_listener_ops     listener_ops = { toy_port, toy_listener_close };
static struct toy_listener the_listener = { { &listener_ops } };

static rh_status toy_listen(rh_loop *loop, const rh_listen_opts *opts, rh_accept_fn fn, void *user, rh_listener **out, rh_error *error)
{
    toy_loop *toy    = (toy_loop *)(void *)loop;
    (void)opts, (void)error;
    toy->accept      = fn;
    toy->accept_user = user;
    *out             = &the_listener.listener;
    return RH_OK;
}

static void on_log(void *user, rh_log_level level, const char *id, const char *text)
{
    emulator_world *world = user;
    if (getenv("RAW_LOG")) fprintf(stderr, "%s: %s\n", id, text);
    if (level > RH_LOG_WARNING) return;
    snprintf(world->logged, sizeof world->logged, "%s", id);
    world->warnings++;
}

void namespace_open(emulator_world *world, const rh_emulator_opts *given)
{
    static const char *const groups[] = { "g2" };
    static const rh_emulator_hub hub  = { .name = "Hub", .partitions = 4, .groups = groups, .group_count = 1 };
    rh_emulator_opts             opts = *RH_EMULATOR_OPTS(.hubs = &hub, .hub_count = 1);
    rh_error                     error;
    if (given) opts = *given;
    memset(world, 0, sizeof *world);
    toy_loop_init(&world->toy);
    world->ops          = *world->toy.loop.ops;
    world->ops.listen   = toy_listen;
    world->toy.loop.ops = &world->ops;
    opts.log            = (rh_log){ on_log, world };
    cr_assert_eq(rh_emulator_create(&world->toy.loop, &opts, &world->emulator, &error), RH_OK, "%s", error.description);
}

void namespace_close(emulator_world *world)
{
    rh_emulator_destroy(world->emulator);
    toy_loop_fini(&world->toy);
    cr_expect_eq(world->toy.allocations, 0, "%zu allocations are left", world->toy.allocations);
}

/* -- engine and pipe -------------------------------------------------------------------------- */

static void after(raw_client *c)
{
    rh_time now = c->world->toy.now;
    if (rh_engine_deadline(c->engine) <= now) rh_engine_tick(c->engine, now);
    rh_timer_set(&c->world->toy.loop, &c->timer, rh_engine_deadline(c->engine));
    if (rh_engine_is_closed(c->engine)) rh_pipe_close(c->pipe, true);
    else if (rh_engine_wants_output(c->engine)) rh_pipe_wake(c->pipe);
}

static void on_timer(void *user, rh_time now)
{
    (void)now;
    after(user);
}

static void on_up(void *user, rh_pipe *pipe)
{
    (void)pipe;
    after(user);
}

static size_t frame_size(void *user, const uint8_t *p, size_t n)
{
    return rh_engine_frame_size(((raw_client *)user)->engine, p, n);
}

static size_t input(void *user, rh_pipe *pipe, const uint8_t *p, size_t n)
{
    raw_client *c = user;
    (void)pipe;
    size_t used = rh_engine_input(c->engine, p, n, c->world->toy.now);
    after(c);
    return used;
}

static bool wants_input(void *user)
{
    return rh_engine_wants_input(((raw_client *)user)->engine);
}

static size_t output(void *user, rh_iov *iov, size_t max)
{
    raw_client *c     = user;
    size_t      count = rh_engine_output(c->engine, iov, max);
    for (size_t i = 0; c->tape && i < count; i++) {
        cr_assert_leq(iov[i].n, c->tape_room - c->tape_n);
        memcpy(c->tape + c->tape_n, iov[i].p, iov[i].n);
        c->tape_n += iov[i].n;
    }
    return count;
}

static void sent(void *user, size_t n)
{
    raw_client *c = user;
    rh_engine_sent(c->engine, n, c->world->toy.now);
    after(c);
}

static void on_down(void *user, rh_pipe *pipe, const rh_error *error)
{
    raw_client *c = user;
    (void)pipe;
    rh_engine_lost(c->engine, error);
    rh_engine_tick(c->engine, c->world->toy.now);
    rh_timer_cancel(&c->world->toy.loop, &c->timer);
    c->down = true;
}

static const rh_pipe_handler pipe_handler = { on_up, frame_size, input, wants_input, output, sent, on_down };

/* -- what the engine tells -------------------------------------------------------------------- */

static void on_open(void *user, rh_engine *engine, const rh_amqp_open *open)
{
    (void)engine, (void)open;
    ((raw_client *)user)->opened = true;
}

static void on_close(void *user, rh_engine *engine, const rh_error *error)
{
    raw_client *c = user;
    (void)engine;
    c->closed = *error;
    c->failed = true;
}

static bool symbols_have(rh_slice symbols, const char *name)
{
    rh_dec   d = rh_dec_of(symbols);
    rh_array array;
    rh_value value;
    if (!symbols.p || !rh_dec_array(&d, &array)) return false;
    while (rh_array_next(&array, &value))
        if (rh_slice_is(value.bytes, name)) return true;
    return false;
}

static void on_attach(void *user, rh_link *link, const rh_amqp_attach *attach)
{
    raw_link *l = rh_link_user(link);
    (void)user;
    l->attached          = true;
    l->max_message_size  = attach->max_message_size;
    l->snd_settle_mode   = attach->snd_settle_mode;
    l->has_source        = attach->source.p != NULL;
    l->has_target        = attach->target.p != NULL;
    l->properties_echoed = attach->properties.p != NULL;
    l->metric_offered    = symbols_have(attach->offered_capabilities, "com.microsoft:enable-receiver-runtime-metric");
}

static void on_detach(void *user, rh_link *link, bool closed, const rh_error *error)
{
    raw_link *l = rh_link_user(link);
    (void)user, (void)closed;
    l->gone = true;
    snprintf(l->condition, sizeof l->condition, "%s", error->condition);
    snprintf(l->words, sizeof l->words, "%s", error->description);
}

static void take_text(char *out, size_t n, rh_slice text)
{
    snprintf(out, n, "%.*s", (int)text.n, text.p ? (const char *)text.p : "");
}

static void take_event(raw_event *out, const rh_message *m)
{
    rh_value v;
    *out = (raw_event){ .sequence = -1, .enqueued_ms = -1, .last_sequence = -1 };
    if (rh_map_find(m->message_annotations, "x-opt-sequence-number", &v) && v.type == RH_LONG) out->sequence = v.i;
    if (rh_map_find(m->message_annotations, "x-opt-enqueued-time", &v) && v.type == RH_TIMESTAMP) out->enqueued_ms = v.i;
    if (rh_map_find(m->message_annotations, "x-opt-offset", &v) && v.type == RH_STRING) take_text(out->offset, sizeof out->offset, v.bytes);
    if (rh_map_find(m->message_annotations, "x-opt-partition-key", &v)) take_text(out->key, sizeof out->key, v.bytes);
    if (rh_map_find(m->message_annotations, "x-opt-publisher", &v)) take_text(out->publisher, sizeof out->publisher, v.bytes);
    if (rh_map_find(m->delivery_annotations, "last_enqueued_sequence_number", &v)) out->last_sequence = v.i;
    take_text(out->body, sizeof out->body, m->body);
}

static void on_delivery(void *user, rh_link *link, const rh_incoming *incoming)
{
    raw_link  *l = rh_link_user(link);
    rh_message m;
    (void)user;
    l->last_n = incoming->payload.n < sizeof l->last ? incoming->payload.n : sizeof l->last;
    memcpy(l->last, incoming->payload.p, l->last_n);
    cr_expect_eq(rh_message_view(incoming->payload, &m), RH_OK);
    if (l->count < 256) {
        take_event(&l->events[l->count], &m);
        l->events[l->count].settled = incoming->settled;
    }
    l->count++;
}

static void on_outcome(void *user, rh_link *link, rh_delivery *delivery, const rh_outcome *outcome)
{
    raw_link *l = rh_link_user(link);
    (void)user;
    free(rh_delivery_user(delivery));
    l->outcome       = outcome->kind;
    l->outcome_there = true;
    take_text(l->condition, sizeof l->condition, outcome->condition);
}

static void on_frame(void *user, rh_engine *engine, bool outgoing, uint8_t type, uint16_t channel, rh_slice body)
{
    char text[400];
    (void)user, (void)engine, (void)type;
    if (!getenv("RAW_LOG")) return;
    rh_performative_print(body, text, sizeof text);
    fprintf(stderr, "%s %u %s\n", outgoing ? "->" : "<-", channel, text);
}

static const rh_engine_handler handler = {
    .on_frame = on_frame, .on_open = on_open, .on_close = on_close, .on_attach = on_attach, .on_detach = on_detach, .on_delivery = on_delivery, .on_outcome = on_outcome,
};

/* -- connecting ------------------------------------------------------------------------------- */

static bool open_client(raw_client *c, emulator_world *world, const char *rule, const char *key, uint8_t *tape, size_t room)
{
    rh_engine_opts opts = {
        .size = sizeof opts, .sasl = rule ? RH_SASL_PLAIN : RH_SASL_ANONYMOUS, .sasl_user = rh_str(rule), .sasl_password = rh_str(key),
        .container_id = rh_str("raw"), .hostname = rh_str("toy"), .links = 64,
    };
    memset(c, 0, sizeof *c);
    c->world     = world;
    c->tape      = tape;
    c->tape_room = room;
    c->arena_n   = rh_engine_size(&opts);
    c->arena     = malloc(c->arena_n);
    c->engine    = rh_engine_init(c->arena, c->arena_n, &opts, &handler, c);
    c->timer     = (rh_timer){ .fn = on_timer, .user = c };
    cr_assert_not_null(c->engine);
    cr_assert_eq(rh_loop_dial(&world->toy.loop, RH_DIAL_OPTS(.host = "toy", .port = 5672, .deadline = RH_TIME_NEVER), &pipe_handler, c, &c->pipe),
                 RH_OK);
    if (!toy_loop_until(&world->toy, &c->opened, 5)) return false;
    cr_assert_eq(rh_session_begin(c->engine, NULL, NULL, &c->session), RH_OK);
    return true;
}

bool raw_open(raw_client *c, emulator_world *world, const char *rule, const char *key)
{
    return open_client(c, world, rule, key, NULL, 0);
}

bool raw_open_taped(raw_client *c, emulator_world *world, uint8_t *tape, size_t room)
{
    return open_client(c, world, NULL, NULL, tape, room);
}

void raw_close(raw_client *c)
{
    if (!c->down) {
        rh_engine_close(c->engine, NULL, NULL);
        after(c);
        toy_loop_until(&c->world->toy, &c->down, 20);
    }
    if (!c->down) {
        rh_pipe_close(c->pipe, false);
        toy_loop_until(&c->world->toy, &c->down, 5);
    }
    free(c->arena);
}

void raw_pass(raw_client *c, unsigned seconds)
{
    if (!c->down) after(c);
    toy_loop_pass(&c->world->toy, seconds);
}

/* -- strangers -------------------------------------------------------------------------------- */

struct stranger {
    const char *bytes;
    size_t      n;
    bool        cut;
};

static void stranger_up(void *user, rh_pipe *pipe)
{
    (void)user;
    rh_pipe_wake(pipe);
}

static size_t stranger_frame(void *user, const uint8_t *p, size_t n)
{
    (void)user, (void)p;
    return n;
}

static size_t stranger_input(void *user, rh_pipe *pipe, const uint8_t *p, size_t n)
{
    (void)user, (void)pipe, (void)p;
    return n;
}

static bool stranger_wants(void *user)
{
    (void)user;
    return true;
}

static size_t stranger_output(void *user, rh_iov *iov, size_t max)
{
    struct stranger *s = user;
    (void)max;
    if (s->n == 0) return 0;
    iov[0] = (rh_iov){ s->bytes, s->n };
    s->n   = 0;
    return 1;
}

static void stranger_sent(void *user, size_t n)
{
    (void)user, (void)n;
}

static void stranger_down(void *user, rh_pipe *pipe, const rh_error *error)
{
    (void)pipe, (void)error;
    ((struct stranger *)user)->cut = true;
}

static const rh_pipe_handler stranger_handler = {
    stranger_up, stranger_frame, stranger_input, stranger_wants, stranger_output, stranger_sent, stranger_down,
};

bool raw_greet(emulator_world *world, const char *bytes, size_t n)
{
    struct stranger s = { bytes, n, false };
    rh_pipe        *pipe;
    cr_assert_eq(rh_loop_dial(&world->toy.loop, RH_DIAL_OPTS(.host = "toy", .port = 5672, .deadline = RH_TIME_NEVER), &stranger_handler, &s, &pipe),
                 RH_OK);
    if (toy_loop_until(&world->toy, &s.cut, 60)) return true;
    rh_pipe_close(pipe, false);
    toy_loop_until(&world->toy, &s.cut, 1);
    return false;
}

/* -- links ------------------------------------------------------------------------------------ */

static rh_slice encode_filter(uint8_t *p, size_t n, const char *text)
{
    rh_slice key = rh_str("apache.org:selector-filter:string");
    rh_enc   e   = rh_enc_of(p, n);
    if (!text) return rh_slice_of(NULL, 0);
    rh_enc_mark m = rh_enc_map_begin(&e);
    rh_enc_symbol(&e, key);
    rh_enc_descriptor(&e, 0x0000468C00000004);
    rh_enc_string(&e, rh_str(text));
    rh_enc_map_end(&e, m, 2);
    return rh_enc_written(&e);
}

static rh_slice encode_properties(uint8_t *p, size_t n, const raw_link_opts *opts)
{
    rh_enc   e     = rh_enc_of(p, n);
    uint32_t count = 0;
    if (!opts->fenced && !opts->receiver_name) return rh_slice_of(NULL, 0);
    rh_enc_mark m = rh_enc_map_begin(&e);
    if (opts->fenced) {
        rh_enc_symbol(&e, rh_str("com.microsoft:epoch"));
        rh_enc_long(&e, opts->epoch);
        count += 2;
    }
    if (opts->receiver_name) {
        rh_enc_symbol(&e, rh_str("com.microsoft:receiver-name"));
        rh_enc_string(&e, rh_str(opts->receiver_name));
        count += 2;
    }
    rh_enc_map_end(&e, m, count);
    return rh_enc_written(&e);
}

bool raw_attach(raw_client *c, raw_link *l, const raw_link_opts *opts)
{
    static unsigned number;
    char            name[300];
    uint8_t         there[300], here[300], filter[300], properties[300], desired[100];
    rh_slice        remote = rh_string_encoded(rh_str(opts->address), there, sizeof there);
    rh_slice        own    = rh_string_encoded(rh_str(opts->own_address), here, sizeof here);
    rh_amqp_source  source = { .address = opts->receiver ? remote : own, .filter = encode_filter(filter, sizeof filter, opts->filter) };
    rh_amqp_target  target = { .address = opts->receiver ? own : remote };
    rh_slice        metric = rh_str("com.microsoft:enable-receiver-runtime-metric");
    rh_enc          e      = rh_enc_of(desired, sizeof desired);
    rh_enc_symbols(&e, &metric, 1);

    snprintf(name, sizeof name, "%s-%u", opts->address, number++);
    memset(l, 0, sizeof *l);
    l->client          = c;
    rh_link_opts attach = {
        .name = rh_str(opts->name ? opts->name : name), .receiver = opts->receiver, .snd_settle_mode = RH_SND_MIXED, .source = &source,
        .target = &target, .properties = encode_properties(properties, sizeof properties, opts),
        .desired_capabilities = opts->metric ? rh_enc_written(&e) : rh_slice_of(NULL, 0), .max_message_size = opts->max_message_size,
    };
    cr_assert_eq(rh_link_attach(c->session, &attach, l, &l->link), RH_OK);
    if (opts->receiver && !opts->no_credit) cr_assert_eq(rh_link_credit(l->link, opts->credit ? opts->credit : 100), RH_OK);
    for (int i = 0; i < 2000 && !l->attached && !l->gone && !c->down; i++) {
        after(c);
        if (rh_loop_turn(&c->world->toy.loop, c->world->toy.now + RH_MS(10)) != RH_OK) break;
    }
    /* A refusal is an attach that ends at once. */
    for (int i = 0; i < 20 && !l->gone; i++)
        if (rh_loop_turn(&c->world->toy.loop, c->world->toy.now + RH_MS(1)) != RH_OK) break;
    return l->attached && !l->gone;
}

void raw_detach(raw_link *l)
{
    cr_assert_eq(rh_link_detach(l->link, true, NULL, NULL), RH_OK);
    after(l->client);
    toy_loop_until(&l->client->world->toy, &l->gone, 5);
}

void raw_credit(raw_link *l, uint32_t credit)
{
    cr_assert_eq(rh_link_credit(l->link, credit), RH_OK);
    raw_pass(l->client, 1);
}

/* -- sending ---------------------------------------------------------------------------------- */

bool raw_try_bytes(raw_link *l, rh_slice bytes, uint32_t format)
{
    uint8_t *copy = malloc(bytes.n + 1);
    memcpy(copy, bytes.p, bytes.n);
    rh_slice     part = { copy, bytes.n };
    rh_delivery *delivery;
    rh_transfer  transfer = { .parts = &part, .part_count = 1, .message_format = format, .user = copy };
    l->outcome_there = false;
    for (int i = 0; i < 100 && rh_link_credit_left(l->link) == 0; i++)
        if (rh_loop_turn(&l->client->world->toy.loop, l->client->world->toy.now + RH_MS(1)) != RH_OK) break;
    rh_status status = rh_link_send(l->link, &transfer, &delivery);
    if (status != RH_OK) free(copy);
    cr_assert_eq(status, RH_OK, "%s", rh_status_name(status));
    after(l->client);
    return toy_loop_until(&l->client->world->toy, &l->outcome_there, 10);
}

rh_outcome_kind raw_send_bytes(raw_link *l, rh_slice bytes, uint32_t format)
{
    cr_assert(raw_try_bytes(l, bytes, format), "no outcome came");
    return l->outcome;
}

static rh_message_fields fields_of(const char *body, const char *key, rh_property *annotation, rh_amqp_properties *properties)
{
    *annotation = (rh_property){ rh_str("x-opt-partition-key"), { .type = RH_STRING, .bytes = rh_str(key) } };
    memset(properties, 0, sizeof *properties);
    return (rh_message_fields){
        .message_annotations = annotation, .message_annotation_count = key ? 1 : 0, .properties = properties,
        .body_kind = RH_BODY_DATA, .body = rh_str(body),
    };
}

rh_outcome_kind raw_send(raw_link *l, const char *body, const char *key)
{
    rh_property        annotation;
    rh_amqp_properties properties;
    rh_message_fields  fields = fields_of(body, key, &annotation, &properties);
    uint8_t            bytes[1000];
    rh_enc             e = rh_enc_of(bytes, sizeof bytes);
    cr_assert_eq(rh_message_write(&e, &fields), RH_OK);
    return raw_send_bytes(l, rh_enc_written(&e), RH_FORMAT_MESSAGE);
}

rh_outcome_kind raw_send_batch(raw_link *l, const char *body, unsigned count, const char *key)
{
    static uint8_t     bytes[1 << 20];
    rh_envelope        envelope;
    rh_property        annotation;
    rh_amqp_properties properties;
    cr_assert_eq(rh_envelope_init(&envelope, bytes, sizeof bytes, rh_str(key)), RH_OK);
    for (unsigned i = 0; i < count; i++) {
        char text[40];
        snprintf(text, sizeof text, "%s%u", body, i);
        rh_message_fields fields = fields_of(text, NULL, &annotation, &properties);
        cr_assert_eq(rh_envelope_add(&envelope, &fields), RH_OK);
    }
    return raw_send_bytes(l, rh_envelope_bytes(&envelope), RH_FORMAT_BATCH);
}

/* -- asking ----------------------------------------------------------------------------------- */

static int ask(raw_client *c, raw_link *in, raw_link *out, const char *node, rh_property *facts, size_t count, rh_slice body)
{
    uint8_t            id[16], to[40], message[4096];
    char               way_back[40];
    rh_enc             e = rh_enc_of(id, sizeof id);
    rh_amqp_properties properties = { 0 };
    rh_message_fields  fields     = {
             .properties = &properties, .application_properties = facts, .application_property_count = count, .body_kind = RH_BODY_VALUE, .body = body,
    };
    snprintf(way_back, sizeof way_back, "back-of-%s", node);
    if (!in->client) {
        cr_assert(RAW_ATTACH(c, in, .address = node, .receiver = true, .own_address = way_back), "%s %s", in->condition, in->words);
        cr_assert(RAW_ATTACH(c, out, .address = node), "%s %s", out->condition, out->words);
    }
    rh_enc_ulong(&e, ++c->asked);
    properties.message_id = rh_enc_written(&e);
    properties.reply_to   = rh_string_encoded(rh_str(way_back), to, sizeof to);
    e                     = rh_enc_of(message, sizeof message);
    cr_assert_eq(rh_message_write(&e, &fields), RH_OK);

    uint32_t before = in->count;
    cr_expect_eq(raw_send_bytes(out, rh_enc_written(&e), RH_FORMAT_MESSAGE), RH_ACCEPTED);
    for (int i = 0; i < 100 && in->count == before; i++)
        if (rh_loop_turn(&c->world->toy.loop, c->world->toy.now + RH_MS(1)) != RH_OK) break;
    if (in->count == before) return 0;

    rh_message reply;
    rh_value   code;
    cr_assert_eq(rh_message_view(rh_slice_of(in->last, in->last_n), &reply), RH_OK);
    rh_amqp_properties told;
    rh_dec             d = rh_dec_of(reply.properties);
    rh_dec             items;
    cr_expect_eq(rh_dec_list(&d, &items), 13, "all fields are there");
    memset(&told, 0, sizeof told);
    for (int i = 0; i < 5; i++) rh_dec_skip(&items);
    cr_expect(rh_slice_equal(rh_dec_raw(&items), properties.message_id), "the correlation id is the message id");
    cr_assert(rh_map_find(reply.application_properties, "status-code", &code));
    cr_expect_eq(code.type, RH_INT);
    return (int)code.i;
}

bool raw_answer(const raw_link *l, const char *key, rh_value *out)
{
    rh_message reply;
    return rh_message_view(rh_slice_of(l->last, l->last_n), &reply) == RH_OK && rh_map_find(reply.application_properties, key, out);
}

int raw_put_text(raw_client *c, const char *audience, const char *token)
{
    uint8_t     body[4096];
    rh_property facts[3] = {
        { rh_str("operation"), { .type = RH_STRING, .bytes = rh_str("put-token") } },
        { rh_str("type"), { .type = RH_STRING, .bytes = rh_str("servicebus.windows.net:sastoken") } },
        { rh_str("name"), { .type = RH_STRING, .bytes = rh_str(audience) } },
    };
    return ask(c, &c->cbs_in, &c->cbs_out, "$cbs", facts, 3, rh_string_encoded(rh_str(token), body, sizeof body));
}

int raw_put_token(raw_client *c, const char *audience, const char *signed_for, const char *key, int64_t seconds)
{
    char    token[1000];
    int64_t expiry = rh_loop_wall_ms(&c->world->toy.loop) / 1000 + seconds;
    cr_assert_eq(rh_sas_sign(token, sizeof token, NULL, rh_str(signed_for), rh_str(RH_EMULATOR_RULE), rh_str(key), expiry), RH_OK);
    return raw_put_text(c, audience, token);
}

void raw_authorize(raw_client *c)
{
    cr_assert_eq(raw_put_token(c, "sb://toy/", "sb://toy/", RH_EMULATOR_KEY, 3600), 202);
}

int raw_ask(raw_client *c, const char *type, const char *hub, const char *partition)
{
    static const uint8_t none[]   = { 0x40 };
    rh_property          facts[4] = {
                 { rh_str("operation"), { .type = RH_STRING, .bytes = rh_str("READ") } },
                 { rh_str("type"), { .type = RH_STRING, .bytes = rh_str(type) } },
                 { rh_str("name"), { .type = RH_STRING, .bytes = rh_str(hub) } },
                 { rh_str("partition"), { .type = RH_STRING, .bytes = rh_str(partition) } },
    };
    return ask(c, &c->ask_in, &c->ask_out, "$management", facts, partition ? 4 : 3, rh_slice_of(none, sizeof none));
}
