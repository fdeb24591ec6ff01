#include "fuzz/aim/talk.h"

#include <stdio.h>
#include <string.h>

#include "fuzz/kit/story.h"
#include "fuzz/kit/world.h"

enum { PAUSE_MS = 30, BREATH_MS = 2 };

static bool is_greeted(const struct line *line) { return line->ear.headers > 0; }
static bool is_answered(const struct line *line) { return line->ear.outcomes > 0; }
static bool is_asked(const struct line *line) { return line->ear.inits > 0; }
static bool is_past_sasl(const struct line *line) { return line->ear.headers > 1; }
static bool is_open(const struct line *line) { return line->ear.opens > 0; }
static bool is_closed(const struct line *line) { return line->ear.closes > 0; }

static void say(struct line *line, const struct talk_opts *opts, const void *p, size_t n)
{
    if (n > 0) line_say(line, p, n, opts->ms);
}

static void say_list(struct line *line, const struct talk_opts *opts, uint8_t type, rh_composite_id id, const void *fields)
{
    uint8_t frame[512];
    rh_enc  e = rh_enc_of(frame + RH_FRAME_HEADER, sizeof frame - RH_FRAME_HEADER);
    rh_composite_encode(&e, id, fields);
    rh_frame_put(frame, (uint32_t)(RH_FRAME_HEADER + rh_enc_size(&e)), type, 0);
    say(line, opts, frame, RH_FRAME_HEADER + rh_enc_size(&e));
}

static void ask_in(struct line *line, const struct talk_opts *opts)
{
    char              response[256] = "";
    rh_amqp_sasl_init init = { .mechanism = rh_str("ANONYMOUS"), .initial_response = rh_str("aim") };
    if (opts->user) {
        int   n     = snprintf(response, sizeof response, "%c%s", 0, opts->user);
        char *colon = memchr(response + 1, ':', sizeof response - 1);
        if (colon) *colon = '\0';
        init.mechanism        = rh_str("PLAIN");
        init.initial_response = rh_slice_of(response, n < (int)sizeof response ? (size_t)n : sizeof response - 1);
    }
    say(line, opts, "AMQP\3\1\0\0", 8);
    say_list(line, opts, RH_FRAME_SASL, RH_AMQP_SASL_INIT, &init);
    line_hear(line, is_answered, opts->ms, opts->ms);
}

static void let_in(struct line *line, const struct talk_opts *opts)
{
    static const uint8_t mechanisms[] = "\xe0\x12\x02\xa3\x09" "ANONYMOUS" "\x05" "PLAIN"; /* an array of symbols */
    rh_amqp_sasl_mechanisms offer   = { .sasl_server_mechanisms = rh_slice_of(mechanisms, sizeof mechanisms - 1) };
    rh_amqp_sasl_outcome    outcome = { .has = RH_HAS_SASL_OUTCOME_CODE, .code = RH_SASL_CODE_OK };
    line_hear(line, is_greeted, opts->ms, opts->ms);
    if (line->ear.protocol != 3) return;
    say(line, opts, "AMQP\3\1\0\0", 8);
    say_list(line, opts, RH_FRAME_SASL, RH_AMQP_SASL_MECHANISMS, &offer);
    line_hear(line, is_asked, opts->ms, opts->ms);
    say_list(line, opts, RH_FRAME_SASL, RH_AMQP_SASL_OUTCOME, &outcome);
    line_hear(line, is_past_sasl, opts->ms, opts->ms);
}

static void say_usual(struct line *line, const struct talk_opts *opts, unsigned depth)
{
    uint8_t said[1000];
    if (depth >= KIT_DEPTH_OPEN && opts->to_server && opts->sasl) ask_in(line, opts);
    if (depth >= KIT_DEPTH_OPEN && !opts->to_server) let_in(line, opts);
    say(line, opts, said, kit_usual_header(depth, said));
    if (depth < KIT_DEPTH_ATTACH) return;
    line->ear.frame_max = KIT_PEER_FRAME_MAX;
    say(line, opts, said, kit_usual_open(said, sizeof said));
    line_hear(line, is_open, opts->ms, opts->ms);
    if (depth >= KIT_DEPTH_DELIVERY) say(line, opts, said, kit_usual_link(opts->to_server, said, sizeof said));
    line_hear(line, line_is_gone, BREATH_MS, opts->ms);
}

void talk_input(struct line *line, const struct talk_opts *opts, rh_slice input)
{
    uint8_t           out[KIT_RECORD_BYTES];
    struct kit_record record;
    if (input.n < 2) return;
    say_usual(line, opts, kit_depth(input.p));
    for (size_t at = 2; at < input.n && !line->gone;) {
        at += kit_record_read(input.p + at, input.n - at, &record, out);
        say(line, opts, record.bytes.p, record.bytes.n);
        if (record.kind == KIT_RECORD_ACT) line_hear(line, line_is_gone, BREATH_MS, opts->ms);
    }
}

void talk_session(struct line *line, const struct talk_opts *opts, rh_slice session)
{
    uint8_t side = opts->to_server ? 'C' : 'S';
    for (size_t at = 0; session.n - at >= 5 && !line->gone;) {
        uint8_t whose = session.p[at];
        size_t  n     = rh_get32(session.p + at + 1);
        at += 5;
        if (n > session.n - at) n = session.n - at;
        if (whose == side) say(line, opts, session.p + at, n);
        else line_hear(line, line_is_gone, PAUSE_MS, opts->ms);
        at += n;
    }
}

bool talk_greeting(struct line *line, const struct talk_opts *opts)
{
    say(line, opts, opts->sasl ? "AMQP\3\1\0\0" : "AMQP\0\1\0\0", 8);
    return line_hear(line, is_greeted, opts->ms, opts->ms) && line->ear.headers > 0;
}

bool talk_end(struct line *line, const struct talk_opts *opts)
{
    line_hear(line, line_is_gone, PAUSE_MS, opts->ms);
    if (!line->gone && !is_closed(line)) say_list(line, opts, RH_FRAME_AMQP, RH_AMQP_CLOSE, &(rh_amqp_close){ .has = 0 });
    line_hear(line, is_closed, PAUSE_MS, opts->ms);
    line_say_no_more(line);
    return line_hear(line, line_is_gone, opts->ms, opts->ms);
}
