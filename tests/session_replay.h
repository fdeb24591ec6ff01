/**
 * session_replay.h: an engine in the place of one side of a recorded session.
 *
 * It is fed what the other side said. Its owner does what that side's owner did, read off the frames that side had said, each
 * when the engine has seen as much as that side had: so the engine comes as far as the recorded one, whichever stack that was.
 */
#ifndef RH_TESTS_SESSION_REPLAY_H
#define RH_TESTS_SESSION_REPLAY_H

#include "tests/session_tape.h"

struct replay_opts {
    const struct tape *tape;
    tape_side          role;     /* the engine's */
    uint32_t           first_id; /* of the engine, and what delivery ids are told from */
    size_t             most;     /* bytes fed at once; 0: as many as there are */
    const size_t      *cuts;     /* where what is fed is cut, in order */
    size_t             cut_count;
};

/** What came of it; text and bytes are valid until the next replay. */
struct replay {
    const char *story;    /* every callback with what it brought, and every refusal that the owner met */
    rh_slice    said;     /* every byte that left */
    uint64_t    hash;     /* XXH3 of both */
    uint32_t    deliveries, sends, outcomes, attaches, begins;
    rh_status   closed;
    bool        refused;  /* a call of the owner's found no link, no credit or no room */
};

struct replay replay_run(const struct replay_opts *opts);
#define REPLAY(...) replay_run(&(struct replay_opts){ __VA_ARGS__ })

#endif
