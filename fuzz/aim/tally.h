/*
 * tally.h: what became of the inputs.
 */
#ifndef RH_AIM_TALLY_H
#define RH_AIM_TALLY_H

enum { TALLY_ENDS = 64 };

struct tally {
    unsigned inputs, refused, hung, illegal, cut;
    unsigned count;
    struct tally_end {
        char     how[96];
        unsigned times;
    } ends[TALLY_ENDS];
};

/** One more input ended like this. */
void tally_end(struct tally *tally, const char *how);

/** Prints it; answers how many things there are to object to. */
unsigned tally_tell(const struct tally *tally);

#endif
