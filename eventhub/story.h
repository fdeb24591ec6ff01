/**
 * story.h: why something ended, kept for whoever asks later.
 *
 * An rh_error has 700 bytes and most things never fail, so there is one only of what did.
 */
#ifndef RH_EVENTHUB_STORY_H
#define RH_EVENTHUB_STORY_H

#include "eventhub/eventhub.h"

typedef struct rh_story {
    rh_status status; /* RH_OK: all is well, and nothing is held */
    rh_error *error;  /* NULL, and status not RH_OK: there was no memory for its words */
} rh_story;

/** Keeps error instead of what was kept before; an error that is RH_OK only drops that. */
void rh_story_keep(rh_story *story, const rh_allocator *allocator, const rh_error *error);
void rh_story_drop(rh_story *story, const rh_allocator *allocator);

/** What is kept; never NULL, its status is RH_OK while all is well. Good until the next keep or drop. */
const rh_error *rh_story_error(const rh_story *story);

/** A copy of it with the right status, whatever there was memory for. */
void rh_story_read(const rh_story *story, rh_error *out);

#endif
