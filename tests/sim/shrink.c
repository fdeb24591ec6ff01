#include "tests/sim/shrink.h"

#include "tests/sim/apart.h"

#include <ctype.h>
#include <stdlib.h>

typedef struct story {
    sim_run       run;
    sim_occasions only;
    char          failure[512];
    unsigned      tries;
} story;

bool sim_shrink_is_same(const char *failure, const char *other)
{
    while (*failure && *other) {
        while (isdigit((unsigned char)*failure)) failure++;
        while (isdigit((unsigned char)*other)) other++;
        if (*failure != *other) return false;
        if (*failure) failure++, other++;
    }
    return *failure == *other;
}

static bool still_fails(story *s, const sim_occasions *only, const sim_limits *limits)
{
    sim_run run       = s->run;
    run.switches.only = only;
    run.limits        = *limits;
    s->tries++;
    sim_result result = sim_apart_run(&run);
    return result.wrong[0] && sim_shrink_is_same(result.wrong, s->failure);
}

/* -- faults -------------------------------------------------------------------------------------- */

/* Without those from first on, n of them; kept if it still fails so. */
static bool leave_out(story *s, size_t first, size_t n)
{
    sim_occasions rest = { 0 };
    for (size_t i = 0; i < s->only.count; i++)
        if (i < first || i >= first + n) sim_occasions_add(&rest, s->only.list[i]);
    bool fails = still_fails(s, &rest, &s->run.limits);
    if (fails) {
        sim_occasions_fini(&s->only);
        s->only = rest;
    } else sim_occasions_fini(&rest);
    return fails;
}

/* Ever smaller pieces, from the end: what came last is least likely to be the cause of what follows. */
static void fewer_faults(story *s)
{
    for (size_t n = s->only.count; n > 0; n = n == 1 ? 0 : (n + 1) / 2)
        for (size_t end = s->only.count; end > 0;) {
            size_t take = n < end ? n : end;
            (void)leave_out(s, end - take, take);
            end -= take;
            if (end > s->only.count) end = s->only.count;
        }
}

/* -- the world ----------------------------------------------------------------------------------- */

static bool keep_if_fails(story *s, sim_limits limits)
{
    if (!still_fails(s, &s->only, &limits)) return false;
    s->run.limits = limits;
    return true;
}

static void shorter_chaos(story *s)
{
    rh_time whole = s->run.limits.chaos ? s->run.limits.chaos : SIM_CALM;
    for (rh_time step = whole / 2; step >= RH_MS(100); step /= 2) {
        sim_limits limits = s->run.limits;
        rh_time    now    = limits.chaos ? limits.chaos : whole;
        if (step >= now) continue;
        limits.chaos = (now - step) / RH_MS(1) * RH_MS(1);
        (void)keep_if_fails(s, limits);
    }
}

static void fewer_actors(story *s, size_t producers, size_t consumers)
{
    for (size_t i = 0; i < producers + consumers; i++) {
        sim_limits limits = s->run.limits;
        bool       mutes  = i < producers;
        uint64_t  *bits   = mutes ? &limits.mute_producers : &limits.mute_consumers, bit = UINT64_C(1) << (mutes ? i : i - producers);
        if (*bits & bit) continue;
        *bits |= bit;
        (void)keep_if_fails(s, limits);
    }
}

static void fewer_sends(story *s)
{
    for (uint32_t sends = 1; sends <= 256; sends *= 2) {
        sim_limits limits = s->run.limits;
        if (limits.sends && limits.sends <= sends) return;
        limits.sends = sends;
        if (keep_if_fails(s, limits)) return;
    }
}

/* -- telling ------------------------------------------------------------------------------------- */

static void print_faults(const story *s)
{
    char    line[1200];
    sim_run run       = s->run;
    run.switches.only = &s->only;
    run.out           = tmpfile();
    if (!run.out) return;
    (void)setvbuf(run.out, NULL, _IOLBF, BUFSIZ); /* a world that dies has told everything before */
    (void)sim_apart_run(&run);
    rewind(run.out);
    while (fgets(line, sizeof line, run.out))
        if (strstr(line, "  fault ") || strstr(line, "  whim ")) printf("%s", line);
    (void)fclose(run.out);
}

static void print_bits(const char *letter, uint64_t bits, const char **before)
{
    for (unsigned i = 0; bits; i++, bits >>= 1)
        if (bits & 1) {
            printf("%s%s%u", *before, letter, i);
            *before = ",";
        }
}

static void print_command(const story *s)
{
    const sim_limits *limits = &s->run.limits;
    char              name[SIM_OCCASION_MAX];
    const char       *before = " --mute ";
    printf("build/rh-sim %llu", (unsigned long long)s->run.seed);
    if (s->run.faults != UINT32_MAX) printf(" --faults 0x%x", s->run.faults);
    printf(" --only '");
    for (size_t i = 0; i < s->only.count; i++) printf("%s%s", i ? "," : "", sim_occasion_name(s->only.list[i], name));
    printf("'");
    if (limits->chaos) printf(" --chaos %.3f", (double)limits->chaos / 1e9);
    if (limits->sends) printf(" --sends %u", limits->sends);
    print_bits("p", limits->mute_producers, &before);
    print_bits("c", limits->mute_consumers, &before);
    printf("\n");
}

bool sim_shrink(const sim_run *run)
{
    story s      = { .run = *run };
    s.run.struck = &s.only;
    s.run.out    = NULL;
    sim_result result = sim_apart_run(&s.run);
    s.run.struck      = NULL;
    s.run.switches    = (sim_switches){ NULL, NULL };
    memcpy(s.failure, result.wrong, sizeof s.failure);
    size_t all = s.only.count;
    printf("seed %llu: %s\n", (unsigned long long)run->seed, s.failure[0] ? s.failure : "all is true");
    for (size_t before = SIZE_MAX; s.failure[0] && before != s.only.count;) {
        before = s.only.count;
        fewer_faults(&s);
        shorter_chaos(&s);
        fewer_actors(&s, result.producers, result.consumers);
        fewer_sends(&s);
    }
    if (s.failure[0]) {
        printf("%zu of %zu faults and whims are left after %u tries:\n", s.only.count, all, s.tries);
        print_faults(&s);
        print_command(&s);
    }
    sim_occasions_fini(&s.only);
    return s.failure[0] != 0;
}
