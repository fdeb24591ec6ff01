/**
 * state_walk.h: tables of states and inputs, and what an engine said and told when one of them came.
 *
 * A row is a state, a letter is an input, in the order of the columns above it; a list of outcomes says what a letter means. A
 * state that an engine only passes through within one call has its reason instead of letters.
 */
#ifndef RH_TESTS_STATE_WALK_H
#define RH_TESTS_STATE_WALK_H

#include "proto/engine.h"
#include "tests/peer.h"

enum { CLIENT, SERVER };

struct state_row {
    uint8_t     role, state;
    const char *cells;
    const char *passed; /* why no engine of this role rests here */
};

/* What an input leads to. */
struct outcome {
    char        letter;
    const char *said; /* performatives, with the condition of their error */
    const char *told; /* callbacks, with the status of what ended */
    int         next; /* state; SAME, or FOLLOWS: another table says it */
};

enum { SAME = -1, FOLLOWS = -2 };

/** Since settle(): words with blanks between them, those of outcome.said and outcome.told. */
extern char said[512], told[512];

/** Lets the engine say and tell what it has to, and forgets what was before. */
void settle(struct peer *peer);
void observe(struct peer *peer);

void expect(const char *where, const char *input, const char *want_said, const char *want_told, int want_state, int state);

/** The outcome with this letter; the list ends with one of letter 0. */
const struct outcome *outcome_of(const struct outcome *outcomes, char letter);

#endif
