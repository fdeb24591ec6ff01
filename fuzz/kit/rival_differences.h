/*
 * rival_differences.h: where qpid-proton and we read the same bytes differently, each with its reason. Whoever adds one says
 * who is right, by the specification, and as narrowly as bytes can tell.
 */
#ifndef RH_KIT_RIVAL_DIFFERENCES_H
#define RH_KIT_RIVAL_DIFFERENCES_H

#include "codec/codec.h"

struct rival_case {
    rh_slice    bytes;                 /* one value by its sizes, or what is left of one */
    bool        ours, theirs;          /* who takes it */
    const char *our_text, *their_text; /* where both do */
};

/** Whether proton must not be asked to write this again, though it took it: it would read memory that nobody has set. */
bool rival_cannot_write(rh_slice bytes);

/** Why; NULL: nobody knows. */
const char *rival_difference(const struct rival_case *it);

#endif
