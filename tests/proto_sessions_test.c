/**
 * Recorded sessions of real clients and servers, played to engines in both roles: however their bytes are cut, the story is the same.
 */
#include "tests/session_replay.h"

#include <criterion/criterion.h>

static void each(void (*check)(const struct tape *tape, tape_side role))
{
    for (const char *const *name = tape_names; *name; name++) {
        struct tape tape;
        cr_assert(tape_read(&tape, *name), "%s", *name);
        check(&tape, TAPE_CLIENT);
        check(&tape, TAPE_SERVER);
        tape_fini(&tape);
    }
}

#define AT      "%s, the engine is the %s"
#define OF(...) __VA_ARGS__, role == TAPE_CLIENT ? "client" : "server"

/* -- as far as the recorded one ------------------------------------------------------------------ */

/* How often a side said something: whole deliveries count once, refusing attaches not. */
static uint32_t said(const struct tape *tape, tape_side side, rh_composite_id wanted)
{
    uint64_t        fields[TAPE_FIELDS];
    rh_amqp_attach *attach = (void *)fields;
    uint16_t        channel;
    rh_slice        payload;
    uint32_t        count = 0;
    for (size_t i = 0; i < tape->said[side].count; i++) {
        rh_composite_id id = tape_performative(&tape->said[side].frames[i], &channel, fields, &payload);
        if (id != wanted) continue;
        if (id == RH_AMQP_TRANSFER && ((rh_amqp_transfer *)(void *)fields)->more) continue;
        if (id == RH_AMQP_ATTACH && (attach->role ? attach->target.p == NULL : attach->source.p == NULL)) continue;
        count++;
    }
    return count;
}

static void check_depth(const struct tape *tape, tape_side role)
{
    struct replay told = REPLAY(.tape = tape, .role = role);
    cr_expect_not(told.refused, AT "\n%s", OF(tape->name), told.story);
    cr_expect_eq(told.begins, said(tape, !role, RH_AMQP_BEGIN), AT, OF(tape->name));
    cr_expect_eq(told.attaches, said(tape, !role, RH_AMQP_ATTACH), AT "\n%s", OF(tape->name), told.story);
    cr_expect_eq(told.deliveries, said(tape, !role, RH_AMQP_TRANSFER), AT, OF(tape->name));
    cr_expect_eq(told.sends, said(tape, role, RH_AMQP_TRANSFER), AT, OF(tape->name));
    cr_expect_eq(told.outcomes, told.sends, AT, OF(tape->name));
    cr_expect_eq(told.closed, strcmp(tape->name, "rhea_wrong_key") == 0 ? RH_E_SASL : RH_OK, AT "\n%s", OF(tape->name), told.story);
}

Test(sessions, an_engine_comes_as_far_as_the_recorded_one, .timeout = 60)
{
    each(check_depth);
}

/* -- cuts ---------------------------------------------------------------------------------------- */

static void check_single_cuts(const struct tape *tape, tape_side role)
{
    uint64_t whole = REPLAY(.tape = tape, .role = role).hash;
    for (size_t cut = 1; cut < tape->said[!role].n; cut++)
        cr_assert_eq(REPLAY(.tape = tape, .role = role, .cuts = &cut, .cut_count = 1).hash, whole, AT " and its input is cut at byte %zu",
                     OF(tape->name), cut);
}

Test(sessions, every_single_cut_tells_the_same_story, .timeout = 120)
{
    each(check_single_cuts);
}

static void check_single_bytes(const struct tape *tape, tape_side role)
{
    uint64_t whole = REPLAY(.tape = tape, .role = role).hash;
    for (size_t most = 1; most < 12; most++)
        cr_expect_eq(REPLAY(.tape = tape, .role = role, .most = most).hash, whole, AT " and is fed %zu bytes at a time", OF(tape->name), most);
}

Test(sessions, bytes_fed_one_by_one_tell_the_same_story, .timeout = 60)
{
    each(check_single_bytes);
}

/* Cuts of all densities, one pseudo-random sequence for all sessions. */
static size_t random_cuts(size_t n, size_t *cuts, size_t most)
{
    static uint64_t state = 1;
    size_t          count = 0;
    uint64_t        odds  = 1 + (state >> 40) % 40;
    for (size_t at = 1; at < n && count < most; at++) {
        state = state * 6364136223846793005u + 1442695040888963407u;
        if ((state >> 33) % odds == 0) cuts[count++] = at;
    }
    return count;
}

static void check_random_cuts(const struct tape *tape, tape_side role)
{
    static size_t cuts[1 << 14];
    uint64_t      whole = REPLAY(.tape = tape, .role = role).hash;
    for (int round = 0; round < 1000; round++) {
        size_t count = random_cuts(tape->said[!role].n, cuts, sizeof cuts / sizeof *cuts);
        cr_assert_eq(REPLAY(.tape = tape, .role = role, .cuts = cuts, .cut_count = count).hash, whole, AT ", random cutting %d", OF(tape->name), round);
    }
}

Test(sessions, random_cuts_tell_the_same_story, .timeout = 120)
{
    each(check_random_cuts);
}

/* -- numbers that wrap --------------------------------------------------------------------------- */

/* All counters of both sides begin at `by`; what is said, with `by` taken from every number again. */
static size_t numbered(const struct tape *tape, tape_side role, uint32_t by, uint8_t *out, size_t room, char *story, size_t story_room)
{
    struct tape other;
    tape_renumbered(tape, by, &other);
    struct replay told = REPLAY(.tape = &other, .role = role, .first_id = by);
    size_t        n    = bytes_normal(told.said, 0u - by, out, room);
    cr_assert_lt(strlen(told.story), story_room);
    strcpy(story, told.story);
    tape_fini(&other);
    return n;
}

static void check_wrap(const struct tape *tape, tape_side role)
{
    static uint8_t plain[1 << 17], wrapped[1 << 17];
    static char    plain_story[1 << 17], wrapped_story[1 << 17];
    size_t         n = numbered(tape, role, 0, plain, sizeof plain, plain_story, sizeof plain_story);
    for (uint32_t back = 1; back <= 6; back++) {
        size_t m = numbered(tape, role, 0u - back, wrapped, sizeof wrapped, wrapped_story, sizeof wrapped_story);
        cr_expect_str_eq(wrapped_story, plain_story, AT, OF(tape->name));
        cr_expect(m == n && memcmp(wrapped, plain, n) == 0, AT " and counts from 2^32 - %u", OF(tape->name), back);
    }
}

Test(sessions, counters_that_wrap_tell_the_same_story, .timeout = 60)
{
    each(check_wrap);
}
