#include "codec/utf8.h"

const char *rh_status_name(rh_status status)
{
    switch (status) {
#define NAME(name, number, words)                                                                  \
    case name: return #name;
        RH_STATUS_LIST(NAME)
#undef NAME
    }
    return "RH_E_?";
}

const char *rh_status_words(rh_status status)
{
    switch (status) {
#define WORDS(name, number, words)                                                                 \
    case name: return words;
        RH_STATUS_LIST(WORDS)
#undef WORDS
    }
    return "a status this version does not know";
}

/* Copies whole characters only: a text cut inside one would not be UTF-8 any more. */
static void copy_text(char *out, size_t room, rh_slice text)
{
    size_t used = 0;
    for (size_t i = 0; i < text.n;) {
        size_t n     = rh_utf8_printable(text.p + i, text.n - i);
        size_t width = n ? n : 1;
        if (room - 1 - used < width) break;
        if (n) memcpy(out + used, text.p + i, n);
        else out[used] = '?';
        used += width;
        i += width;
    }
    out[used] = '\0';
}

void rh_error_set(rh_error *error, rh_status status, const char *condition, const char *words)
{
    rh_error_set_slices(error, status, rh_str(condition), rh_str(words));
}

void rh_error_set_slices(rh_error *error, rh_status status, rh_slice condition, rh_slice words)
{
    rh_error story = { .status = status };
    copy_text(story.condition, sizeof story.condition, condition);
    copy_text(story.description, sizeof story.description, words);
    *error = story; /* last: the slices may point into the story that is replaced */
}
