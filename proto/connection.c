/**
 * connection.c: protocol headers, open, close, and the tables that judge every frame before a handler
 * sees it [2.2, 2.4].
 */
#include "proto/engine.h"

static const uint8_t amqp_header[8] = { 'A', 'M', 'Q', 'P', 0, 1, 0, 0 };

/* [2.3] An error that makes a close larger than 512 bytes would wait for an open that may never come. */
#define CLOSE_ERROR_MAX 480u

/* -- the tables -------------------------------------------------------------------------------- */

#define NO 0xff

enum connection_event { WE_HEADER, THEY_HEADER, WE_OPEN, THEY_OPEN, WE_CLOSE, THEY_CLOSE, WE_FAIL, CONNECTION_EVENTS };

#define START      CONN_START
#define HDR_RCVD   CONN_HDR_RCVD
#define HDR_SENT   CONN_HDR_SENT
#define HDR_EXCH   CONN_HDR_EXCH
#define OPEN_PIPE  CONN_OPEN_PIPE
#define OC_PIPE    CONN_OC_PIPE
#define OPEN_RCVD  CONN_OPEN_RCVD
#define OPEN_SENT  CONN_OPEN_SENT
#define CLOSE_PIPE CONN_CLOSE_PIPE
#define OPENED     CONN_OPENED
#define CLOSE_RCVD CONN_CLOSE_RCVD
#define CLOSE_SENT CONN_CLOSE_SENT
#define DISCARDING CONN_DISCARDING
#define END        CONN_END

/* [2.4.6] what the next event makes of a connection; NO is the peer's mistake, or ours. To fail before our
 * open has left takes an open first [2.4.1], so that event never stands alone there. */
static const uint8_t connection_next[CONN_STATES][CONNECTION_EVENTS] = {
    /*               we header  they header  we open     they open   we close    they close  we fail    */
    [START]      = { HDR_SENT,  HDR_RCVD,    NO,         NO,         NO,         NO,         END        },
    [HDR_RCVD]   = { HDR_EXCH,  NO,          NO,         NO,         NO,         NO,         END        },
    [HDR_SENT]   = { NO,        HDR_EXCH,    OPEN_PIPE,  NO,         NO,         NO,         END        },
    [HDR_EXCH]   = { NO,        NO,          OPEN_SENT,  OPEN_RCVD,  NO,         NO,         NO         },
    [OPEN_PIPE]  = { NO,        OPEN_SENT,   NO,         NO,         OC_PIPE,    NO,         END        },
    [OC_PIPE]    = { NO,        CLOSE_PIPE,  NO,         NO,         NO,         NO,         END        },
    [OPEN_RCVD]  = { NO,        NO,          OPENED,     NO,         NO,         NO,         NO         },
    [OPEN_SENT]  = { NO,        NO,          NO,         OPENED,     CLOSE_PIPE, NO,         DISCARDING },
    [CLOSE_PIPE] = { NO,        NO,          NO,         CLOSE_SENT, NO,         END,        DISCARDING },
    [OPENED]     = { NO,        NO,          NO,         NO,         CLOSE_SENT, CLOSE_RCVD, DISCARDING },
    [CLOSE_RCVD] = { NO,        NO,          NO,         NO,         END,        NO,         END        },
    [CLOSE_SENT] = { NO,        NO,          NO,         NO,         NO,         END,        DISCARDING },
    [DISCARDING] = { NO,        NO,          NO,         NO,         NO,         END,        DISCARDING },
    [END]        = { NO,        NO,          NO,         NO,         NO,         NO,         END        },
};

/* What each state takes of the nine performatives: T take, I ignore, X the peer's mistake. After our clean close
 * the answers to what left before it still count. States that await a header are not here: no frame
 * is read in them. */
enum { X, T, I };

#define PERFORMATIVES 9
static const uint8_t admits[CONN_STATES][PERFORMATIVES] = {
    /*               open begin attach flow transfer disposition detach end close */
    [HDR_RCVD]   = { T,   X,    X,     X,   X,       X,          X,     X,  X },
    [HDR_EXCH]   = { T,   X,    X,     X,   X,       X,          X,     X,  X },
    [OPEN_SENT]  = { T,   X,    X,     X,   X,       X,          X,     X,  X },
    [CLOSE_PIPE] = { T,   X,    X,     X,   X,       X,          X,     X,  T },
    [OPENED]     = { X,   T,    T,     T,   T,       T,          T,     T,  T },
    [CLOSE_SENT] = { X,   I,    I,     I,   I,       T,          I,     I,  T },
    [DISCARDING] = { I,   I,    I,     I,   I,       I,          I,     I,  T },
};

static bool step(rh_engine *engine, enum connection_event event)
{
    uint8_t next = connection_next[engine->state][event];
    if (next == NO) return false;
    engine->state = next;
    return true;
}

bool rh_connection_wants_header(const rh_engine *engine)
{
    if (engine->sasl_state != SASL_DONE) return engine->sasl_state == SASL_HEADER;
    return connection_next[engine->state][THEY_HEADER] != NO;
}

/* -- headers and our open ---------------------------------------------------------------------- */

static bool say_header(rh_engine *engine)
{
    uint8_t *p = rh_output_take(engine, sizeof amqp_header);
    if (p == NULL) return false;
    memcpy(p, amqp_header, sizeof amqp_header);
    rh_output_commit(&engine->out, p, sizeof amqp_header);
    return step(engine, WE_HEADER);
}

static bool say_open(rh_engine *engine)
{
    return step(engine, WE_OPEN) && rh_output_encoded(engine, engine->open);
}

/* A client speaks first; what it says waits behind SASL while that is not done. */
bool rh_connection_start(rh_engine *engine)
{
    return say_header(engine) && say_open(engine);
}

static void take_header(rh_engine *engine, rh_slice header)
{
    if (engine->sasl_state == SASL_HEADER) {
        rh_sasl_take_header(engine, header);
        return;
    }
    if (memcmp(header.p, amqp_header, sizeof amqp_header) != 0) {
        /* [2.2] The answer to a protocol that we do not speak is the one that we do, and goodbye. */
        if (engine->server) say_header(engine);
        rh_connection_lost(engine, RH_E_HEADER, "the peer does not speak AMQP 1.0");
        return;
    }
    step(engine, THEY_HEADER);
    if (engine->server) say_header(engine);
}

/* -- ends -------------------------------------------------------------------------------------- */

static void error_keep(rh_engine *engine, rh_status status, const char *words)
{
    if (engine->error.status) return;
    uint64_t position = engine->error.position; /* decoding has left it there */
    rh_error_of_fault(&engine->error, status, words);
    engine->error.position = position ? position : engine->counts.bytes_in;
}

/* No frame is read any more. What is written may still be flushed. */
void rh_connection_end(rh_engine *engine)
{
    engine->state       = END;
    engine->close_waits = false;
    rh_engine_lose_all(engine);
    engine->over = true;
}

/** The end without a close: the pipe is gone, nobody is there, or it is somebody else's protocol. */
void rh_connection_lost(rh_engine *engine, rh_status status, const char *words)
{
    if (engine->state != END) error_keep(engine, status, words);
    engine->close_due = engine->open_due = false;
    rh_connection_end(engine);
}

/** The peer broke the protocol: close with the condition that says how, and hear no more than its close [2.4.3]. */
void rh_connection_fail(rh_engine *engine, rh_status status, const char *words)
{
    if (engine->state == END || engine->state == DISCARDING) return;
    if (engine->sasl_state != SASL_DONE) {
        rh_connection_lost(engine, status, words); /* there is no close before open */
        return;
    }
    error_keep(engine, status, words);
    if (engine->state == HDR_EXCH || engine->state == OPEN_RCVD) {
        engine->open_due = true; /* [2.4.1] open before close */
        engine->state    = OPEN_SENT;
    }
    /* A close that was decided before may still wait for room. */
    if (engine->state != CLOSE_SENT && engine->state != CLOSE_PIPE) engine->close_due = true;
    engine->say_error = true;
    step(engine, WE_FAIL);
    engine->close_waits = true;
    rh_engine_lose_all(engine);
    engine->over = true;
    /* Where frames begin is lost: nothing that follows can be read, so nothing is waited for. */
    if (status == RH_E_FRAMING || status == RH_E_FRAME_SIZE) engine->deaf = true;
    if (engine->deaf) engine->state = END;
}

bool rh_connection_say_close(rh_engine *engine)
{
    if (!engine->close_due) return true;
    if (engine->open_due) {
        if (!rh_output_encoded(engine, engine->open)) return false;
        engine->open_due = false;
    }
    uint8_t       room[700];
    rh_amqp_close close = { .has = 0 };
    struct reason reason = rh_reason_of_error(&engine->error);
    if (engine->say_error) close.error = rh_error_encode(&reason, room, sizeof room);
    if (close.error.n > CLOSE_ERROR_MAX && !engine->peer.opened) close.error = rh_slice_of(NULL, 0);
    rh_status status = rh_output_frame(engine, 0, RH_AMQP_CLOSE, &close);
    if (status == RH_E_TOO_BIG) status = rh_output_frame(engine, 0, RH_AMQP_CLOSE, &(rh_amqp_close){ .has = 0 });
    if (status) return false;
    engine->close_due = false;
    return true;
}

rh_status rh_engine_close(rh_engine *engine, const char *condition, const char *description)
{
    if (engine->state == END || engine->close_waits || engine->over) return RH_E_STATE;
    rh_engine_say_due(engine); /* dispositions that waited for their neighbours go first */
    if (!step(engine, WE_CLOSE)) {
        rh_connection_end(engine); /* nothing was opened that would have to be closed */
        return RH_OK;
    }
    rh_error_set(&engine->error, RH_OK, condition, description);
    engine->close_due = engine->close_waits = true;
    engine->say_error = condition != NULL;
    rh_engine_drop_queued(engine);
    return RH_OK;
}

/* -- taking frames ----------------------------------------------------------------------------- */

static void position_keep(rh_engine *engine, const rh_dec *d)
{
    if (engine->error.status == RH_OK) engine->error.position = engine->counts.bytes_in + (uint64_t)(d->p - engine->frame);
}

/** Decodes a performative at d; false when malformed: then the connection has failed at that byte. */
bool rh_connection_decode_at(rh_engine *engine, rh_composite_id id, rh_dec *d, void *out)
{
    rh_status status = rh_composite_decode(d, id, out);
    if (RH_LIKELY(status == RH_OK)) return true;
    bool malformed = status != RH_E_INVALID_FIELD;
    position_keep(engine, d);
    rh_connection_fail(engine, status, malformed ? "a performative cannot be decoded" : "a field is missing or of a wrong type");
    return false;
}

/** The same for a body that holds nothing else. */
bool rh_connection_decode(rh_engine *engine, rh_composite_id id, rh_slice body, void *out)
{
    rh_dec d = rh_dec_of(body);
    if (!rh_connection_decode_at(engine, id, &d, out)) return false;
    if (rh_dec_left(&d) == 0) return true;
    position_keep(engine, &d);
    rh_connection_fail(engine, RH_E_DECODE, "bytes behind a performative that carries no payload");
    return false;
}

static void take_open(rh_engine *engine, uint16_t channel, rh_slice body)
{
    rh_amqp_open open;
    if (channel != 0) { /* [2.4.1] no other channel is agreed on yet */
        rh_connection_fail(engine, RH_E_NOT_ALLOWED, "open belongs on channel 0");
        return;
    }
    if (!rh_connection_decode(engine, RH_AMQP_OPEN, body, &open)) return;
    step(engine, THEY_OPEN);
    engine->out.held = false; /* also for a close that this open may cost */
    if ((open.has & RH_HAS_OPEN_MAX_FRAME_SIZE) && open.max_frame_size < MIN_MAX_FRAME_SIZE) {
        rh_connection_fail(engine, RH_E_INVALID_FIELD, "max-frame-size is below 512");
        return;
    }
    engine->peer = (rh_engine_peer){
        .opened           = true,
        .channel_max      = open.channel_max,
        .max_frame_size   = open.max_frame_size,
        .idle_time_out_ms = (open.has & RH_HAS_OPEN_IDLE_TIME_OUT) ? open.idle_time_out : 0,
    };
    if (engine->biggest_sent > open.max_frame_size) {
        rh_connection_fail(engine, RH_E_FRAME_SIZE, "the peer's frames are smaller than an attach that is on its way");
        return;
    }
    say_open(engine);
    if (engine->handler->on_open) engine->handler->on_open(engine->user, engine, &open);
}

static void take_close(rh_engine *engine, rh_slice body)
{
    rh_amqp_close close;
    if (!rh_connection_decode(engine, RH_AMQP_CLOSE, body, &close)) return;
    bool answer = engine->state == OPENED;
    struct reason reason = rh_reason_of_peer(close.error);
    if (!engine->over) rh_reason_tell(&reason, &engine->error);
    engine->say_error = false;
    if (answer) engine->close_due = true;
    step(engine, THEY_CLOSE);
    if (answer) step(engine, WE_CLOSE);
    rh_connection_end(engine);
}

static void take_performative(rh_engine *engine, uint16_t channel, rh_composite_id id, rh_slice body)
{
    if (id > RH_AMQP_CLOSE) {
        rh_connection_fail(engine, RH_E_PROTOCOL, "this composite is not a performative of AMQP frames");
        return;
    }
    switch (admits[engine->state][id - RH_AMQP_OPEN]) {
    case I: return;
    case X: rh_connection_fail(engine, RH_E_PROTOCOL, "this performative does not belong here"); return;
    default: break;
    }
    if (id == RH_AMQP_OPEN) take_open(engine, channel, body);
    else if (id == RH_AMQP_CLOSE) take_close(engine, body);
    else if (channel > engine->channel_max) rh_connection_fail(engine, RH_E_PEER_LIMIT, "a channel above our channel-max");
    else if (id == RH_AMQP_BEGIN) rh_session_take_begin(engine, channel, body);
    else rh_session_take(engine, channel, id, body);
}

static rh_composite_id performative_of(rh_slice body)
{
    bool    plain = body.n > 3 && body.p[0] == 0x00 && body.p[1] == 0x53;
    uint8_t code  = plain ? body.p[2] : 0;
    bool    known = code >= RH_CODE_OPEN && code <= RH_CODE_CLOSE;
    if (RH_LIKELY(known)) return (rh_composite_id)(RH_AMQP_OPEN + (code - RH_CODE_OPEN));
    rh_dec d = rh_dec_of(body);
    return rh_composite_peek(&d);
}

static void take_frame(rh_engine *engine, const rh_frame *frame)
{
    bool sasl = engine->sasl_state != SASL_DONE;
    if (frame->type != (sasl ? 1 : 0)) {
        rh_connection_fail(engine, RH_E_FRAMING, sasl ? "an AMQP frame before SASL was done" : "a frame of a wrong type");
        return;
    }
    if (sasl) {
        rh_sasl_take(engine, frame->body);
        return;
    }
    if (frame->body.n == 0) return; /* [2.4.5] a heartbeat */
    rh_composite_id id = performative_of(frame->body);
    if (id == RH_AMQP_UNKNOWN) rh_connection_fail(engine, RH_E_DECODE, "a frame body that is no performative");
    else take_performative(engine, frame->channel, id, frame->body);
}

void rh_connection_take(rh_engine *engine, rh_slice bytes)
{
    rh_frame frame;
    if (engine->deaf || engine->state == END) return;
    engine->frame = bytes.p;
    if (rh_connection_wants_header(engine)) {
        take_header(engine, bytes);
    } else if (rh_frame_parse(bytes.p, bytes.n, &frame) != RH_OK) {
        rh_connection_fail(engine, RH_E_FRAMING, "a frame whose size or data offset is wrong");
    } else {
        engine->counts.frames_in++;
        if (engine->handler->on_frame)
            engine->handler->on_frame(engine->user, engine, false, frame.type, frame.channel, frame.body);
        take_frame(engine, &frame);
    }
    engine->frame = NULL;
}
