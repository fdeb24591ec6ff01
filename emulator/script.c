#include "emulator/script.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

const char *const rh_emu_verb_names[RH_EMU_VERBS] = {
    "detach", "end", "close", "reset", "stall", "refuse", "throttle", "delay", "withhold", "ignore", "forget",
};

/* -- words ------------------------------------------------------------------------------------ */

/* One line at a time, cut in place: a word ends with a zero. */
typedef struct reader {
    char     *at, *end; /* of the line */
    uint32_t  line;
    char     *word; /* NULL: the line is over */
    bool      quoted;
    rh_error *error;
    rh_status status;
} reader;

__attribute__((format(printf, 2, 3))) static bool fail(reader *r, const char *format, ...)
{
    char    expected[200], words[320];
    va_list list;
    if (r->status != RH_OK) return false;
    va_start(list, format);
    vsnprintf(expected, sizeof expected, format, list);
    va_end(list);
    if (!r->word) snprintf(words, sizeof words, "line %u: expected %s behind the end of the line", r->line, expected);
    else snprintf(words, sizeof words, "line %u: expected %s, not '%.60s'", r->line, expected, r->word);
    r->status = RH_E_ARGUMENT;
    if (r->error) rh_error_set(r->error, RH_E_ARGUMENT, NULL, words);
    return false;
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r';
}

/* The next word of the line; false at its end. */
static bool next(reader *r)
{
    while (r->at < r->end && is_blank(*r->at)) r->at++;
    if (r->at == r->end || *r->at == '#') {
        r->word = NULL;
        r->at   = r->end;
        return false;
    }
    r->quoted = *r->at == '"';
    r->word   = r->at + r->quoted;
    for (r->at = r->word; r->at < r->end && (r->quoted ? *r->at != '"' : !is_blank(*r->at)); r->at++) continue;
    if (r->quoted && r->at == r->end) return fail(r, "a closing quotation mark");
    if (r->at < r->end) *r->at++ = 0;
    return true;
}

/* -- numbers ---------------------------------------------------------------------------------- */

static bool is_word(const reader *r, const char *word)
{
    return r->word && !r->quoted && strcmp(r->word, word) == 0;
}

/* A number, and what is written behind it. */
static bool read_number(const char *text, uint64_t *out, const char **rest)
{
    char *end;
    if (!text || *text < '0' || *text > '9' || strlen(text) > 20) return false;
    unsigned long long value = strtoull(text, &end, 10);
    *out  = value;
    *rest = end;
    return value < UINT64_MAX / 2;
}

static bool read_count(const char *text, uint64_t *out)
{
    const char *rest;
    return read_number(text, out, &rest) && *rest == 0 && *out > 0;
}

static bool read_time(const char *text, rh_time *out)
{
    static const struct { const char *name; rh_time unit; } units[] = {
        { "ms", RH_MS(1) }, { "s", RH_SECONDS(1) }, { "m", RH_SECONDS(60) }, { "h", RH_SECONDS(3600) },
    };
    uint64_t    value;
    const char *rest;
    if (!read_number(text, &value, &rest) || value == 0) return false;
    for (size_t i = 0; i < sizeof units / sizeof *units; i++) {
        if (strcmp(rest, units[i].name) != 0 || value > RH_SECONDS(1000000000) / units[i].unit) continue;
        *out = value * units[i].unit;
        return true;
    }
    return false;
}

#define A_TIME "a time such as 500ms, 10s, 2m or 1h"

/* -- when and where --------------------------------------------------------------------------- */

enum { ON_HUB = 1, ON_PARTITION = 2, ON_CLIENT = 4, ON_SIDE = 8, ON_LINK = ON_HUB | ON_PARTITION | ON_SIDE };

/* What may happen at each moment, and what is known of the victim by then. */
#define BIT(verb) (1u << RH_EMU_##verb)
#define WRECKS    (BIT(CLOSE) | BIT(RESET) | BIT(STALL))
#define ANSWERS   (WRECKS | BIT(DETACH) | BIT(END) | BIT(REFUSE) | BIT(THROTTLE) | BIT(DELAY) | BIT(IGNORE) | BIT(FORGET))
static const struct { const char *name; unsigned verbs, places; } moments[] = {
    [RH_EMU_AT_CLOCK]   = { "a time", WRECKS | BIT(DETACH) | BIT(END) | BIT(WITHHOLD), ON_LINK | ON_CLIENT },
    [RH_EMU_AT_CONNECT] = { "connect", BIT(RESET) | BIT(STALL), 0 },
    [RH_EMU_AT_OPEN]    = { "open", WRECKS, ON_CLIENT },
    [RH_EMU_AT_BEGIN]   = { "begin", WRECKS | BIT(END), ON_CLIENT },
    [RH_EMU_AT_ATTACH]  = { "attach", (ANSWERS | BIT(WITHHOLD)) & ~(BIT(DELAY) | BIT(FORGET)), ON_LINK | ON_CLIENT },
    [RH_EMU_AT_TOKEN]   = { "token", ANSWERS, ON_CLIENT },
    [RH_EMU_AT_INQUIRY] = { "inquiry", ANSWERS, ON_CLIENT },
    [RH_EMU_AT_SEND]    = { "send", ANSWERS | BIT(WITHHOLD), ON_HUB | ON_PARTITION | ON_CLIENT },
    [RH_EMU_AT_PART]    = { "mid-delivery", WRECKS | BIT(DETACH) | BIT(END), ON_HUB | ON_PARTITION | ON_CLIENT },
};
enum { MOMENTS = sizeof moments / sizeof *moments };

static bool read_moment(reader *r, rh_emu_rule *rule)
{
    if (is_word(r, "every")) {
        next(r);
        return read_time(r->word, &rule->every) || fail(r, A_TIME " behind 'every'");
    }
    if (!is_word(r, "at")) return fail(r, "'every', 'at', 'seed' or 'calm'");
    next(r);
    for (size_t i = 1; i < MOMENTS; i++) {
        if (!is_word(r, moments[i].name)) continue;
        rule->moment = (rh_emu_moment)i;
        return true;
    }
    return fail(r, "connect, open, begin, attach, token, inquiry, send or mid-delivery behind 'at'");
}

static bool place(reader *r, const rh_emu_rule *rule, unsigned bit, const char *what)
{
    if (moments[rule->moment].places & bit) return true;
    return fail(r, "%s only where it is known: not at '%s'", what, moments[rule->moment].name);
}

static bool read_text(reader *r, rh_slice *out, const char *what)
{
    next(r);
    if (!r->word || !*r->word) return fail(r, "%s", what);
    *out = rh_str(r->word);
    return true;
}

static bool read_side(const reader *r, rh_emu_side *side)
{
    static const char *const names[] = { NULL, "senders", "readers", "cbs", "management" };
    for (unsigned i = 1; i < sizeof names / sizeof *names; i++) {
        if (!is_word(r, names[i])) continue;
        *side = (rh_emu_side)i;
        return true;
    }
    return false;
}

static bool read_after(reader *r, rh_emu_rule *rule)
{
    next(r);
    return read_time(r->word, &rule->from) || read_count(r->word, &rule->skip) || fail(r, "a number, or " A_TIME ", behind 'after'");
}

static bool read_odds(reader *r, rh_emu_rule *rule)
{
    const char *rest;
    next(r);
    if (read_number(r->word, &rule->odds, &rest) && *rest == '/' && read_count(rest + 1, &rule->odds_of) && rule->odds > 0 &&
        rule->odds <= rule->odds_of)
        return true;
    return fail(r, "odds such as 1/20");
}

/* One restriction; the word is its first. */
static bool read_restriction(reader *r, rh_emu_rule *rule)
{
    if (is_word(r, "hub")) return place(r, rule, ON_HUB, "a hub") && read_text(r, &rule->hub, "the name of a hub");
    if (is_word(r, "partition")) return place(r, rule, ON_PARTITION, "a partition") && read_text(r, &rule->partition, "a partition");
    if (is_word(r, "client")) return place(r, rule, ON_CLIENT, "a client") && read_text(r, &rule->client, "a client's container id");
    if (read_side(r, &rule->side)) return place(r, rule, ON_SIDE, "the side of a link");
    if (is_word(r, "after")) return read_after(r, rule);
    if (is_word(r, "odds")) return read_odds(r, rule);
    if (is_word(r, "once")) {
        rule->times = 1;
        return true;
    }
    if (is_word(r, "until")) {
        next(r);
        return read_time(r->word, &rule->until) || fail(r, A_TIME " behind 'until'");
    }
    if (is_word(r, "every")) {
        next(r);
        return read_count(r->word, &rule->nth) || fail(r, "a number behind this 'every'");
    }
    if (read_count(r->word, &rule->times)) {
        next(r);
        return is_word(r, "times") || fail(r, "'times' behind a number");
    }
    return fail(r, "hub, partition, client, senders, readers, cbs, management, after, until, every, odds, once, N times, or 'do'");
}

/* -- what ------------------------------------------------------------------------------------- */

enum { WITH = 1, FOR = 2, FOR_NEEDED = 4, AFTER = 8 };

static const struct { unsigned takes; const char *condition; } verbs[RH_EMU_VERBS] = {
    [RH_EMU_DETACH]   = { WITH, "amqp:link:detach-forced" },
    [RH_EMU_END]      = { WITH, "amqp:internal-error" },
    [RH_EMU_CLOSE]    = { WITH, "amqp:connection:forced" },
    [RH_EMU_RESET]    = { AFTER, NULL },
    [RH_EMU_STALL]    = { FOR | FOR_NEEDED, NULL },
    [RH_EMU_REFUSE]   = { WITH, "amqp:internal-error" },
    [RH_EMU_THROTTLE] = { FOR, "com.microsoft:server-busy" },
    [RH_EMU_DELAY]    = { FOR | FOR_NEEDED, NULL },
    [RH_EMU_WITHHOLD] = { FOR | FOR_NEEDED, NULL },
};

static bool read_verb(reader *r, rh_emu_rule *rule)
{
    for (unsigned i = 0; i < RH_EMU_VERBS; i++) {
        if (!is_word(r, rh_emu_verb_names[i])) continue;
        rule->verb = (rh_emu_verb)i;
        if (moments[rule->moment].verbs & 1u << i) return true;
        return fail(r, "something that can be done at %s", moments[rule->moment].name);
    }
    return fail(r, "detach, end, close, reset, stall, refuse, throttle, delay, withhold, ignore or forget behind 'do'");
}

static void take(rh_emu_rule *rule, size_t first, size_t count)
{
    rule->first = (uint32_t)first;
    rule->count = (uint32_t)count;
}

/* A condition, a group of them, or a status code; then perhaps the words. */
static bool read_condition(reader *r, rh_emu_rule *rule)
{
    uint64_t code;
    if (is_word(r, "any")) take(rule, 0, RH_EMU_CONDITIONS);
    else if (is_word(r, "standard")) take(rule, 0, RH_EMU_CONDITIONS_STANDARD);
    else if (is_word(r, "microsoft")) take(rule, RH_EMU_CONDITIONS_STANDARD, RH_EMU_CONDITIONS_MICROSOFT);
    else if (read_count(r->word, &code)) {
        bool has_code = rule->verb == RH_EMU_REFUSE && (rule->moment == RH_EMU_AT_TOKEN || rule->moment == RH_EMU_AT_INQUIRY);
        if (!has_code) return fail(r, "a condition: only tokens and inquiries are refused with a status code");
        if (code < 300 || code > 599) return fail(r, "a status code from 300 to 599");
        rule->code = (int)code;
        take(rule, 0, 0);
    } else {
        if (!r->word || r->quoted || !strchr(r->word, ':') || strlen(r->word) > 100)
            return fail(r, "a condition such as amqp:internal-error, or any, standard or microsoft, behind 'with'");
        size_t found = rh_emu_condition_find(rh_str(r->word));
        take(rule, found, found < RH_EMU_CONDITIONS);
        if (found == RH_EMU_CONDITIONS) rule->own = r->word;
    }
    return true;
}

static bool read_argument(reader *r, rh_emu_rule *rule)
{
    unsigned takes = verbs[rule->verb].takes;
    if (r->quoted && takes & WITH) {
        if (strlen(r->word) > 250) return fail(r, "at most 250 bytes of words");
        rule->words = r->word;
        return true;
    }
    if (is_word(r, "with") && takes & WITH) {
        next(r);
        return read_condition(r, rule);
    }
    if (is_word(r, "for") && takes & FOR) {
        next(r);
        return read_time(r->word, &rule->time) || fail(r, A_TIME " behind 'for'");
    }
    if (is_word(r, "after") && takes & AFTER) {
        next(r);
        if (!read_count(r->word, &rule->bytes)) return fail(r, "a number of bytes");
        next(r);
        return is_word(r, "bytes") || fail(r, "'bytes'");
    }
    return fail(r, takes & WITH ? "'with', quoted words, or the end of the line"
                   : takes & FOR ? "'for', or the end of the line"
                   : takes & AFTER ? "'after N bytes', or the end of the line" : "the end of the line");
}

/* What clients read when the script gives no words: where to look, or what the service says. */
static void say(rh_emu_rule *rule)
{
    if (rule->words) return;
    rule->words = rule->said;
    if (rule->verb == RH_EMU_THROTTLE)
        snprintf(rule->said, sizeof rule->said,
                 "The request was terminated because the entity is being throttled. Error code : 50002. Please wait %u seconds and try again.",
                 (unsigned)((rule->time + RH_SECONDS(1) - 1) / RH_SECONDS(1)));
    else snprintf(rule->said, sizeof rule->said, "Line %u of the fault script asked for it.", rule->line);
}

/* -- lines ------------------------------------------------------------------------------------ */

static bool read_rule(reader *r, rh_emu_rule *rule)
{
    *rule = (rh_emu_rule){ .line = r->line, .nth = 1, .times = UINT64_MAX, .until = RH_TIME_NEVER, .odds = 1, .odds_of = 1, .words = NULL };
    if (!read_moment(r, rule)) return false;
    while (next(r) && !is_word(r, "do"))
        if (!read_restriction(r, rule)) return false;
    if (!r->word) return fail(r, "'do' and what to do");
    next(r);
    if (!read_verb(r, rule)) return false;
    const char *usual = verbs[rule->verb].condition;
    if (usual) take(rule, rh_emu_condition_find(rh_str(usual)), 1);
    if (rule->verb == RH_EMU_THROTTLE) rule->time = RH_SECONDS(4);
    while (next(r))
        if (!read_argument(r, rule)) return false;
    if (verbs[rule->verb].takes & FOR_NEEDED && rule->time == 0) return fail(r, "'for' and " A_TIME);
    say(rule);
    return r->status == RH_OK;
}

static bool read_seed(reader *r, uint64_t *seed)
{
    const char *rest;
    next(r);
    return (read_number(r->word, seed, &rest) && *rest == 0) || fail(r, "a number behind 'seed'");
}

static bool read_calm(reader *r, rh_time *calm)
{
    next(r);
    if (!is_word(r, "after")) return fail(r, "'after' behind 'calm'");
    next(r);
    return read_time(r->word, calm) || fail(r, A_TIME " behind 'calm after'");
}

static void read_line(reader *r, rh_emu_script *script)
{
    bool read;
    if (is_word(r, "seed")) read = read_seed(r, &script->seed);
    else if (is_word(r, "calm")) read = read_calm(r, &script->calm);
    else read = read_rule(r, &script->rules[script->count++]);
    if (read && next(r)) fail(r, "the end of the line");
}

rh_status rh_emu_script_parse(const rh_allocator *allocator, const char *text, rh_emu_script **out, rh_error *error)
{
    size_t lines = 1, n = strlen(text) + 1;
    for (const char *p = text; *p; p++) lines += *p == '\n';
    size_t         size   = sizeof(rh_emu_script) + lines * sizeof(rh_emu_rule) + n;
    rh_emu_script *script = allocator->alloc(allocator->user, size);
    *out                  = NULL;
    if (!script) return RH_E_MEMORY;
    memset(script, 0, size);
    *script  = (rh_emu_script){ .allocator = allocator, .size = size, .seed = 1, .calm = RH_TIME_NEVER };
    reader r = { .at = (char *)&script->rules[lines], .error = error };
    char  *last = (char *)memcpy(r.at, text, n) + n - 1;
    for (char *line = r.at; line && r.status == RH_OK; line = r.end == last ? NULL : r.end + 1) {
        char *end = strchr(line, '\n');
        r.at      = line;
        r.end     = end ? end : last;
        *r.end    = 0;
        r.line++;
        if (next(&r)) read_line(&r, script);
    }
    if (r.status != RH_OK) rh_emu_script_free(script);
    else *out = script;
    return r.status;
}

void rh_emu_script_free(rh_emu_script *script)
{
    if (script) script->allocator->free(script->allocator->user, script, script->size);
}
