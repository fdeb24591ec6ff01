/*
 * talk.h: what is said to a peer under test for one input, and what it made of it.
 */
#ifndef RH_AIM_TALK_H
#define RH_AIM_TALK_H

#include "fuzz/aim/line.h"

struct talk_opts {
    bool        to_server; /* the peer listens, and is told what clients say */
    bool        sasl;      /* a client's preamble speaks it */
    const char *user;      /* PLAIN "NAME:KEY"; NULL: ANONYMOUS */
    int         ms;        /* patience */
};

/** An input of as_broker (to a server) or of as_client: its usual beginning, its records; what its owner does is not here. */
void talk_input(struct line *line, const struct talk_opts *opts, rh_slice input);

/** A recorded session (tests/sessions): one side of it, in turns. */
void talk_session(struct line *line, const struct talk_opts *opts, rh_slice session);

/** A header, and one for it: whoever answers is alive. */
bool talk_greeting(struct line *line, const struct talk_opts *opts);

/** Ends it: a close, then the end of our bytes. False: the peer keeps the connection all the same. */
bool talk_end(struct line *line, const struct talk_opts *opts);

#endif
