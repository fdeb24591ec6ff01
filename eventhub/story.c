#include "eventhub/story.h"

#include "eventhub/client.h"

void rh_story_drop(rh_story *story, const rh_allocator *allocator)
{
    if (story->error) allocator->free(allocator->user, story->error, sizeof *story->error);
    *story = (rh_story){ .status = RH_OK };
}

void rh_story_keep(rh_story *story, const rh_allocator *allocator, const rh_error *error)
{
    rh_error *room = story->error;
    if (error->status == RH_OK) {
        rh_story_drop(story, allocator);
        return;
    }
    if (!room) room = allocator->alloc(allocator->user, sizeof *room);
    if (room) *room = *error; /* which may be what is kept already */
    *story = (rh_story){ .status = error->status, .error = room };
}

const rh_error *rh_story_error(const rh_story *story)
{
    static const rh_error none, untold = {
        .status = RH_E_MEMORY, .error_class = RH_CLASS_TRANSIENT, .description = "it failed, and there was no memory left to keep why",
    };
    if (story->status == RH_OK) return &none;
    return story->error ? story->error : &untold;
}

void rh_story_read(const rh_story *story, rh_error *out)
{
    if (story->status == RH_OK || story->error) *out = *rh_story_error(story);
    else rh_error_own(out, story->status, rh_status_words(story->status), NULL, NULL);
}
