#include "cli/figures.h"

#include <stdlib.h>

void rh_figures_add(struct figures *figures, uint64_t ns)
{
    if (figures->count == figures->room) {
        size_t room = figures->room ? figures->room * 2 : 4096;
        uint64_t *grown = realloc(figures->ns, room * sizeof *grown);
        if (!grown) return;
        figures->ns = grown;
        figures->room = room;
    }
    figures->ns[figures->count++] = ns;
    figures->sorted = false;
}

static int by_size(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

double rh_figures_at(struct figures *figures, double quantile)
{
    if (figures->count == 0) return 0;
    if (!figures->sorted) qsort(figures->ns, figures->count, sizeof *figures->ns, by_size);
    figures->sorted = true;
    size_t at = (size_t)(quantile * (double)figures->count);
    return (double)figures->ns[at < figures->count ? at : figures->count - 1];
}

void rh_figures_fini(struct figures *figures) { free(figures->ns); }
