/**
 * sasl.c: the SASL layer of both roles [5.3]. It is a short exchange of small frames before the AMQP header,
 * at which the output stops until the peer has answered, so that a client can have everything behind it ready.
 */
#include "proto/engine.h"

static const uint8_t sasl_header[8] = { 'A', 'M', 'Q', 'P', 3, 1, 0, 0 };

static const char *const mechanisms[] = {
    [RH_SASL_ANONYMOUS] = "ANONYMOUS",
    [RH_SASL_PLAIN]     = "PLAIN",
    [RH_SASL_EXTERNAL]  = "EXTERNAL",
    [RH_SASL_MSSBCBS]   = "MSSBCBS",
};

/* -- writing ----------------------------------------------------------------------------------- */

/* Nothing but SASL is in the ring so far, or will be put in front of it. */
static bool say_bytes(rh_engine *engine, const uint8_t *bytes, size_t n)
{
    struct output *out = &engine->out;
    uint8_t       *p   = rh_output_take(engine, n);
    if (p == NULL) return false;
    memcpy(p, bytes, n);
    rh_output_commit(out, p, n);
    out->secrets = out->last - out->first;
    return true;
}

static bool say_header(rh_engine *engine)
{
    return say_bytes(engine, sasl_header, sizeof sasl_header);
}

static bool say_frame(rh_engine *engine, rh_composite_id id, const void *fields)
{
    uint8_t frame[MIN_MAX_FRAME_SIZE]; /* [5.3.1] no SASL frame is longer */
    rh_enc  e = rh_enc_of(frame + RH_FRAME_HEADER, sizeof frame - RH_FRAME_HEADER);
    if (!rh_composite_encode(&e, id, fields)) return false;
    size_t n = RH_FRAME_HEADER + rh_enc_size(&e);
    rh_frame_put(frame, (uint32_t)n, RH_FRAME_SASL, 0);
    return say_bytes(engine, frame, n);
}

static void say_mechanisms(rh_engine *engine)
{
    const rh_slice offered[] = { rh_str("MSSBCBS"), rh_str("PLAIN"), rh_str("ANONYMOUS"), rh_str("EXTERNAL") };
    uint8_t        room[64];
    rh_enc         e = rh_enc_of(room, sizeof room);
    rh_enc_symbols(&e, offered, sizeof offered / sizeof *offered);
    rh_amqp_sasl_mechanisms fields = { .sasl_server_mechanisms = rh_enc_written(&e) };
    say_frame(engine, RH_AMQP_SASL_MECHANISMS, &fields);
}

/* [RFC 4616] authorization identity (none), NUL, user, NUL, password. */
static rh_slice plain_response(const rh_engine_opts *opts, uint8_t *room, size_t n)
{
    rh_enc e = rh_enc_of(room, n);
    rh_enc_u8(&e, 0);
    rh_enc_raw(&e, opts->sasl_user);
    rh_enc_u8(&e, 0);
    rh_enc_raw(&e, opts->sasl_password);
    return e.status ? rh_slice_of(NULL, 0) : rh_enc_written(&e);
}

static bool say_init(rh_engine *engine, const rh_engine_opts *opts)
{
    uint8_t           room[MIN_MAX_FRAME_SIZE];
    rh_amqp_sasl_init init = { .mechanism = rh_str(mechanisms[opts->sasl]), .hostname = opts->hostname };
    init.initial_response  = opts->sasl_response.p ? opts->sasl_response : rh_str("");
    if (opts->sasl == RH_SASL_PLAIN) init.initial_response = plain_response(opts, room, sizeof room);
    return init.initial_response.p != NULL && say_frame(engine, RH_AMQP_SASL_INIT, &init);
}

/** A client writes all it has to say now: the options' slices are lent for the init only. */
bool rh_sasl_prepare(rh_engine *engine, const rh_engine_opts *opts)
{
    struct output *out = &engine->out;
    if (opts->sasl == RH_SASL_NONE) {
        engine->sasl_state = SASL_DONE;
        return true;
    }
    engine->sasl_state = SASL_HEADER;
    if (opts->server) return true;
    if (!say_header(engine)) return false;
    rh_output_stop(out);
    out->stopped = !opts->pipeline;
    if (!say_init(engine, opts)) return false;
    out->sasl_end = out->seal = out->last;
    return true;
}

/* -- reading ----------------------------------------------------------------------------------- */

/* Nothing of AMQP is spoken yet, so there is no close: what is written is flushed and that is the end. */
static void give_up(rh_engine *engine, rh_status status, const char *words)
{
    struct output *out = &engine->out;
    engine->sasl_state = SASL_FAILED;
    /* What waits behind SASL never leaves. A server has nothing there. */
    if (!engine->server && !out->stopped) {
        out->stopped = true;
        out->stop_at = out->secrets > 0 ? out->sasl_end : out->first;
    }
    rh_connection_lost(engine, status, words);
}

void rh_sasl_take_header(rh_engine *engine, rh_slice header)
{
    if (engine->server) say_header(engine); /* [2.2] also the answer to a header that is not ours */
    if (memcmp(header.p, sasl_header, sizeof sasl_header) != 0) {
        give_up(engine, RH_E_HEADER, "the peer does not speak SASL for AMQP 1.0");
        return;
    }
    if (engine->server) say_mechanisms(engine);
    engine->sasl_state = engine->server ? SASL_INIT : SASL_MECHANISMS;
}

static bool offers(rh_slice encoded, const char *mechanism)
{
    rh_dec   d = rh_dec_of(encoded);
    rh_array list;
    rh_value item;
    /* One may stand without an array. */
    if (rh_dec_peek(&d) != RH_ARRAY) return rh_slice_is(rh_dec_symbol(&d), mechanism);
    rh_dec_array(&d, &list);
    while (rh_array_next(&list, &item))
        if (item.type == RH_SYMBOL && rh_slice_is(item.bytes, mechanism)) return true;
    return false;
}

static void take_mechanisms(rh_engine *engine, rh_slice body)
{
    rh_amqp_sasl_mechanisms fields;
    if (!rh_connection_decode(engine, RH_AMQP_SASL_MECHANISMS, body, &fields)) return;
    if (!offers(fields.sasl_server_mechanisms, mechanisms[engine->sasl])) {
        give_up(engine, RH_E_SASL, "the service does not offer the SASL mechanism asked for");
        return;
    }
    engine->out.stop_at = engine->out.sasl_end;
    engine->sasl_state  = SASL_OUTCOME;
}

static void take_outcome(rh_engine *engine, rh_slice body)
{
    static const char *const words[] = {
        [RH_SASL_CODE_OK]       = "",
        [RH_SASL_CODE_AUTH]     = "the service refused the credentials",
        [RH_SASL_CODE_SYS]      = "the service has a problem with SASL",
        [RH_SASL_CODE_SYS_PERM] = "the service has a lasting problem with SASL",
        [RH_SASL_CODE_SYS_TEMP] = "the service has a passing problem with SASL",
    };
    rh_amqp_sasl_outcome fields;
    if (!rh_connection_decode(engine, RH_AMQP_SASL_OUTCOME, body, &fields)) return;
    if (fields.code != RH_SASL_CODE_OK) {
        give_up(engine, RH_E_SASL, fields.code <= RH_SASL_CODE_SYS_TEMP ? words[fields.code] : "the service refused SASL");
        return;
    }
    engine->sasl_state  = SASL_DONE;
    engine->out.stopped = false;
}

static bool is_known(rh_slice mechanism)
{
    for (size_t i = RH_SASL_ANONYMOUS; i < sizeof mechanisms / sizeof *mechanisms; i++)
        if (rh_slice_is(mechanism, mechanisms[i])) return true;
    return false;
}

static void take_init(rh_engine *engine, rh_slice body)
{
    const rh_engine_handler *handler = engine->handler;
    rh_amqp_sasl_init        init;
    if (!rh_connection_decode(engine, RH_AMQP_SASL_INIT, body, &init)) return;
    rh_amqp_sasl_outcome outcome = { .has = RH_HAS_SASL_OUTCOME_CODE, .code = RH_SASL_CODE_AUTH };
    if (is_known(init.mechanism)) {
        outcome.code = RH_SASL_CODE_OK;
        if (handler->on_sasl) outcome.code = handler->on_sasl(engine->user, engine, init.mechanism, init.initial_response);
    }
    if (engine->state == CONN_END) return; /* closed by the callback */
    say_frame(engine, RH_AMQP_SASL_OUTCOME, &outcome);
    if (outcome.code == RH_SASL_CODE_OK) engine->sasl_state = SASL_DONE;
    else give_up(engine, RH_E_SASL, "the client's credentials were refused");
}

/* Who may say what, in which state; a challenge has no answer in the mechanisms that we know. */
void rh_sasl_take(rh_engine *engine, rh_slice body)
{
    rh_dec          d  = rh_dec_of(body);
    rh_composite_id id = rh_composite_peek(&d);
    if (engine->sasl_state == SASL_MECHANISMS && id == RH_AMQP_SASL_MECHANISMS) take_mechanisms(engine, body);
    else if (engine->sasl_state == SASL_INIT && id == RH_AMQP_SASL_INIT) take_init(engine, body);
    else if (engine->sasl_state == SASL_OUTCOME && id == RH_AMQP_SASL_OUTCOME) take_outcome(engine, body);
    else give_up(engine, id == RH_AMQP_UNKNOWN ? RH_E_DECODE : RH_E_PROTOCOL, "SASL is not at this point");
}
