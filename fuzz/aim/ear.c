#include "fuzz/aim/ear.h"

#include <stdio.h>
#include <string.h>

void ear_init(struct ear *ear)
{
    memset(ear, 0, sizeof *ear);
}

static void object(struct ear *ear, const char *why, uint32_t number)
{
    if (ear->illegal++ == 0) snprintf(ear->why, sizeof ear->why, why, number);
}

static void note_end(struct ear *ear, const char *what, rh_slice error)
{
    rh_amqp_error fields;
    rh_dec        d = rh_dec_of(error);
    if (error.p == NULL) return;
    if (rh_composite_decode(&d, RH_AMQP_ERROR, &fields) != RH_OK) object(ear, "an error that is none", 0);
    else snprintf(ear->ended, sizeof ear->ended, "%s %.*s", what, (int)(fields.condition.n < 60 ? fields.condition.n : 60), (const char *)fields.condition.p);
}

union fields {
    rh_amqp_close        close;
    rh_amqp_end          end;
    rh_amqp_detach       detach;
    rh_amqp_sasl_outcome outcome;
    uint64_t             any[64];
};

static void note(struct ear *ear, rh_composite_id id, const union fields *fields)
{
    if (id == RH_AMQP_OPEN) ear->opens++;
    if (id == RH_AMQP_SASL_INIT) ear->inits++;
    if (id == RH_AMQP_CLOSE) ear->closes++, note_end(ear, "close", fields->close.error);
    if (id == RH_AMQP_END) note_end(ear, "end", fields->end.error);
    if (id == RH_AMQP_DETACH) note_end(ear, "detach", fields->detach.error);
    if (id == RH_AMQP_SASL_OUTCOME) {
        ear->outcomes++;
        if (fields->outcome.code != RH_SASL_CODE_OK) snprintf(ear->ended, sizeof ear->ended, "sasl-outcome %u", fields->outcome.code);
    }
}

static void take_frame(struct ear *ear, const uint8_t *p, size_t n)
{
    rh_frame     frame;
    union fields fields;
    if (ear->frame_max && n > ear->frame_max) object(ear, "a frame of %u bytes, more than it was told to send", (uint32_t)n);
    if (rh_frame_parse(p, n, &frame) != RH_OK) {
        object(ear, "a frame whose head cannot be true", 0);
        return;
    }
    if (frame.type > RH_FRAME_SASL) {
        object(ear, "a frame of type %u", frame.type);
        return;
    }
    if (frame.type == RH_FRAME_AMQP && frame.body.n == 0) return;
    rh_dec          d     = rh_dec_of(frame.body);
    rh_composite_id id    = rh_composite_peek(&d);
    bool            fits  = frame.type == RH_FRAME_SASL ? id >= RH_AMQP_SASL_MECHANISMS && id <= RH_AMQP_SASL_OUTCOME : id <= RH_AMQP_CLOSE;
    if (!fits) object(ear, "a frame of type %u with another's performative, or none", frame.type);
    else if (rh_composite_decode(&d, id, &fields) != RH_OK) object(ear, "a malformed performative (%u)", (uint32_t)id);
    else if (id != RH_AMQP_TRANSFER && rh_dec_left(&d) != 0) object(ear, "bytes behind a performative (%u)", (uint32_t)id);
    else note(ear, id, &fields);
}

void ear_hear(struct ear *ear, const uint8_t *p, size_t n)
{
    ear->heard += n;
    if (n > EAR_ROOM - ear->n) {
        object(ear, "a frame of more than %u bytes", EAR_ROOM);
        ear->n = 0;
        return;
    }
    memcpy(ear->bytes + ear->n, p, n);
    ear->n += n;
    size_t at = 0, size;
    for (; (size = rh_frame_size(ear->bytes + at, ear->n - at)) > 0 && size <= ear->n - at; at += size) {
        if (size == 8 && memcmp(ear->bytes + at, "AMQP", 4) == 0) ear->headers++, ear->protocol = ear->bytes[at + 4];
        else take_frame(ear, ear->bytes + at, size);
    }
    ear->n -= at;
    memmove(ear->bytes, ear->bytes + at, ear->n);
}
