#include "tests/state_walk.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

char said[512], told[512];

static void add(char *text, size_t n, const char *word, const char *detail)
{
    size_t at = strlen(text);
    snprintf(text + at, n - at, "%s%s%s%s%s", at ? " " : "", word, *detail ? "(" : "", detail, *detail ? ")" : "");
}

static const char *condition_of(rh_composite_id id, const void *fields)
{
    static char   condition[64];
    rh_amqp_error error;
    rh_slice      encoded = { NULL, 0 };
    if (id == RH_AMQP_DETACH) encoded = ((const rh_amqp_detach *)fields)->error;
    if (id == RH_AMQP_END) encoded = ((const rh_amqp_end *)fields)->error;
    if (id == RH_AMQP_CLOSE) encoded = ((const rh_amqp_close *)fields)->error;
    if (encoded.p == NULL || rh_amqp_error_view(encoded, &error) != RH_OK) return "";
    snprintf(condition, sizeof condition, "%.*s", (int)error.condition.n, (const char *)error.condition.p);
    return condition;
}

static void hear_frame(const uint8_t *p, size_t n)
{
    uint64_t fields[64];
    rh_frame frame;
    if (memcmp(p, "AMQP", 4) == 0) {
        add(said, sizeof said, p[4] ? "sasl-header" : "amqp-header", "");
        return;
    }
    cr_assert_eq(rh_frame_parse(p, n, &frame), RH_OK);
    rh_dec          d  = rh_dec_of(frame.body);
    rh_composite_id id = rh_composite_peek(&d);
    cr_assert_eq(rh_composite_decode(&d, id, fields), RH_OK);
    add(said, sizeof said, rh_composite_name(id), condition_of(id, fields));
}

/* "detach 1 309 amqp:..." and the like: the word, and the status where it is none of success. */
static void tell_line(const char *line)
{
    char word[32] = "";
    int  closed, status = 0;
    cr_assert_eq(sscanf(line, "%31s", word), 1);
    if (strcmp(word, "detach") == 0) cr_assert_eq(sscanf(line, "%*s %d %d", &closed, &status), 2);
    if (strcmp(word, "end") == 0 || strcmp(word, "close") == 0) cr_assert_eq(sscanf(line, "%*s %d", &status), 1);
    add(told, sizeof told, word, status ? rh_status_name((rh_status)status) : "");
}

void settle(struct peer *peer)
{
    peer_hear(peer);
    peer->heard_n     = 0;
    peer->end.story_n = 0;
}

void observe(struct peer *peer)
{
    said[0] = told[0] = 0;
    peer_hear(peer);
    for (size_t at = 0, size; at < peer->heard_n; at += size) {
        size = rh_frame_size(peer->heard + at, peer->heard_n - at);
        cr_assert(size > 0 && size <= peer->heard_n - at);
        hear_frame(peer->heard + at, size);
    }
    peer->end.story[peer->end.story_n] = 0;
    for (char *line = strtok(peer->end.story, "\n"); line; line = strtok(NULL, "\n")) tell_line(line);
}

void expect(const char *where, const char *input, const char *want_said, const char *want_told, int want_state, int state)
{
    cr_expect_str_eq(said, want_said, "%s, %s: said \"%s\", not \"%s\"", where, input, said, want_said);
    cr_expect_str_eq(told, want_told, "%s, %s: told \"%s\", not \"%s\"", where, input, told, want_told);
    cr_expect_eq(state, want_state, "%s, %s: state %d, not %d", where, input, state, want_state);
}

const struct outcome *outcome_of(const struct outcome *outcomes, char letter)
{
    while (outcomes->letter && outcomes->letter != letter) outcomes++;
    cr_assert(outcomes->letter, "no outcome '%c'", letter);
    return outcomes;
}
