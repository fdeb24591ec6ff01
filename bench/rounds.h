/**
 * Interleaved rounds: A B C A B C ..., so that what the machine does meanwhile meets everybody alike. Of
 * each contender the median with the least and the most, and ratios taken pair by pair within a round.
 */
#ifndef RH_BENCH_ROUNDS_H
#define RH_BENCH_ROUNDS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define RH_ROUNDS       9
#define RH_ROUNDS_MAX   99
#define RH_EXTRAS       8 /* counts */
#define RH_ALSO         4 /* measurements of a round beside the first */
#define RH_NO_CONTENDER SIZE_MAX

typedef struct rh_contender {
    const char *task;               /* what is done: "encode" */
    const char *name;               /* by whom */
    double    (*measure)(void *user); /* one round of it, answered in the report's unit; NAN: it failed */
    void       *user;
    const double *also;             /* where measure left what else that round showed; NULL: nothing */
    size_t      floor;              /* whom it is divided by, as an index; RH_NO_CONTENDER: nobody */
    size_t      ours;               /* likewise: whom it is a rival or a floor of */
    const char *missing;            /* why it cannot run; NULL: it can */
    double      extra[RH_EXTRAS];   /* counts that do not vary from round to round; NAN: not counted */
    const char *version;            /* NULL: not told */
    const char *const *settings;    /* ends with NULL; NULL: none told */
    double      value[RH_ROUNDS_MAX];
    double      also_value[RH_ALSO][RH_ROUNDS_MAX];
} rh_contender;

typedef struct rh_report {
    const char   *name;             /* of the files: DIRECTORY/NAME.json and .csv */
    const char   *unit;
    const char   *also[RH_ALSO];    /* the units of the others; NULL: none further */
    const char   *extra[RH_EXTRAS]; /* headings of the counts; NULL: none further. All three are keys of the JSON */
    rh_contender *contenders;
    size_t        count;
    unsigned      rounds;           /* odd, at most RH_ROUNDS_MAX */
} rh_report;

typedef struct rh_spread {
    double median, min, max;
} rh_spread;

/**
 * Runs one round of everybody that is not kept (it warms up), then all rounds. Whom measure gives a reason to be missing
 * is left out from then on.
 */
void rh_rounds_run(rh_report *report);

rh_spread rh_rounds_spread(const rh_report *report, size_t contender);

/** The spread of a divided by b, round by round. */
rh_spread rh_rounds_ratio(const rh_report *report, size_t a, size_t b);

/** The same of the other measurements, 0 being report->also[0]. */
rh_spread rh_rounds_also_spread(const rh_report *report, unsigned also, size_t contender);
rh_spread rh_rounds_also_ratio(const rh_report *report, unsigned also, size_t a, size_t b);

/** The table, on stdout. */
void rh_rounds_print(const rh_report *report);

/** The same as files in a directory, with the lines of its machine.txt. False: one could not be written. */
bool rh_rounds_save(const rh_report *report, const char *directory);

/** Monotonic nanoseconds. */
uint64_t rh_rounds_now(void);

#endif
