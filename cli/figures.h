/* Durations, all of them kept, for exact percentiles. */
#ifndef RH_CLI_FIGURES_H
#define RH_CLI_FIGURES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct figures {
    uint64_t *ns;
    size_t    count, room;
    bool      sorted;
};

/* Drops the value when memory is out: a percentile of fewer values is still one. */
void rh_figures_add(struct figures *figures, uint64_t ns);
double rh_figures_at(struct figures *figures, double quantile); /* 0 when there is none */
void rh_figures_fini(struct figures *figures);

#endif
