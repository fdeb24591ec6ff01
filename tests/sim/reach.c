#include "tests/sim/reach.h"

#include <stdio.h>

#define PROMPT_LEAST  95 /* of a hundred worlds */

/* -- what cannot be ------------------------------------------------------------------------------ */

#define P(phase)         (1u << SIM_##phase)
#define BEFORE_OPEN      (P(CONNECT) | P(TLS) | P(SASL))
#define AFTER_TLS        (P(SASL) | P(OPEN) | P(CBS) | P(ATTACH) | P(STEADY) | P(DRAIN) | P(CLOSE))

static const struct {
    sim_fault   fault;
    uint32_t    phases;
    const char *why;
} impossible[] = {
    { SIM_FAULT_FAIL, AFTER_TLS, "there is nothing left to dial" },
    { SIM_FAULT_DETACH, BEFORE_OPEN | P(OPEN), "there is no link yet" },
    { SIM_FAULT_END, BEFORE_OPEN | P(OPEN), "there is no session yet" },
    { SIM_FAULT_CLOSE, BEFORE_OPEN, "the service has no connection that it could close" },
    { SIM_FAULT_REFUSE, BEFORE_OPEN | P(OPEN), "the service is not asked for anything yet" },
    { SIM_FAULT_IGNORE, BEFORE_OPEN | P(OPEN), "the service is not asked for anything yet" },
    { SIM_FAULT_FORGET, BEFORE_OPEN | P(OPEN), "the service is not asked for anything yet" },
    { SIM_FAULT_LATE, BEFORE_OPEN | P(OPEN), "the service is not asked for anything yet" },
    { SIM_FAULT_EXPIRE, BEFORE_OPEN | P(OPEN), "the service has no token yet" },
    { SIM_FAULT_ECHO, BEFORE_OPEN | P(OPEN), "the service has not told any outcome yet" },
};

const char *sim_reach_impossible(sim_fault fault, sim_phase phase)
{
    for (size_t i = 0; i < sizeof impossible / sizeof *impossible; i++)
        if (impossible[i].fault == fault && impossible[i].phases >> phase & 1) return impossible[i].why;
    return NULL;
}

static unsigned impossible_count(void)
{
    unsigned count = 0;
    for (int f = 0; f < SIM_FAULT_KINDS; f++)
        for (int p = 0; p < SIM_PHASES; p++) count += sim_reach_impossible((sim_fault)f, (sim_phase)p) != NULL;
    return count;
}

/* -- what was ------------------------------------------------------------------------------------- */

void sim_reach_print(const sim_tally *tally)
{
    printf("%-10s", "");
    for (int p = 0; p < SIM_PHASES; p++) printf("%9s", sim_phase_name[p]);
    for (int f = 0; f < SIM_FAULT_KINDS; f++) {
        printf("\n%-10s", sim_fault_name[f]);
        for (int p = 0; p < SIM_PHASES; p++) {
            if (sim_reach_impossible((sim_fault)f, (sim_phase)p)) printf("%9s", "-");
            else printf("%9llu", (unsigned long long)tally->grid.hits[f][p]);
        }
    }
    printf("\nbounded by 120 s: %.1f %% of the worlds; the longest bound %.1f s, the longest calm that was needed %.1f s, %.0f seeds a minute of a core\n",
           (double)tally->prompt * 100 / (double)(tally->seeds + !tally->seeds), (double)tally->bound_most / 1e9, (double)tally->finished_most / 1e9,
           (double)tally->seeds * 60e9 / (double)(tally->processor + 1));
}

bool sim_reach_is_enough(const sim_tally *tally)
{
    bool     enough = true;
    unsigned cells  = SIM_FAULT_KINDS * SIM_PHASES;
    if (impossible_count() * 4 > cells) {
        printf("%u of %u cells are said to be impossible: more than a quarter\n", impossible_count(), cells);
        enough = false;
    }
    if (tally->seeds < SIM_REACH_WORLDS) return enough;
    for (int f = 0; f < SIM_FAULT_KINDS; f++)
        for (int p = 0; p < SIM_PHASES; p++) {
            if (tally->grid.hits[f][p] || sim_reach_impossible((sim_fault)f, (sim_phase)p)) continue;
            printf("no %s has met %s\n", sim_fault_name[f], sim_phase_name[p]);
            enough = false;
        }
    if (tally->prompt * 100 < tally->seeds * PROMPT_LEAST) {
        printf("fewer than %d %% of the worlds are bounded by 120 s\n", PROMPT_LEAST);
        enough = false;
    }
    return enough;
}
