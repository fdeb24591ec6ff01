#include "cli/lines.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

/* The largest message that any tier of the service takes is 20 MB; a longer line is nobody's event. */
enum { FIRST_ROOM = 256 * 1024, LARGEST_ROOM = 32 * 1024 * 1024 };

void rh_lines_init(struct lines *lines, int fd) { *lines = (struct lines){ .fd = fd }; }

void rh_lines_fini(struct lines *lines) { free(lines->bytes); }

static bool make_room(struct lines *lines)
{
    if (lines->from) {
        memmove(lines->bytes, lines->bytes + lines->from, lines->to - lines->from);
        lines->to -= lines->from;
        lines->seen -= lines->from;
        lines->from = 0;
    }
    if (lines->to < lines->room) return true;
    size_t room = lines->room ? lines->room * 2 : FIRST_ROOM;
    uint8_t *bytes = room <= LARGEST_ROOM ? realloc(lines->bytes, room) : NULL;
    if (!bytes) return false;
    lines->bytes = bytes;
    lines->room = room;
    return true;
}

static enum lines_state give(struct lines *lines, size_t end, rh_slice *line)
{
    *line = rh_slice_of(lines->bytes + lines->from, end - lines->from);
    lines->from = lines->seen = end < lines->to ? end + 1 : end;
    lines->count++;
    return LINES_LINE;
}

static enum lines_state fill(struct lines *lines)
{
    if (!make_room(lines)) return LINES_TOO_LONG;
    ssize_t n = read(lines->fd, lines->bytes + lines->to, lines->room - lines->to);
    if (n < 0 && errno != EINTR) return LINES_FAILED;
    if (n == 0) lines->ended = true;
    if (n > 0) lines->to += (size_t)n;
    return LINES_LINE;
}

enum lines_state rh_lines_next(struct lines *lines, rh_slice *line)
{
    if (lines->ready && !lines->ended) {
        enum lines_state state = fill(lines);
        if (state != LINES_LINE) return state;
    }
    lines->ready = false;
    size_t left = lines->to - lines->seen;
    const uint8_t *end = left ? memchr(lines->bytes + lines->seen, '\n', left) : NULL;
    if (end) return give(lines, (size_t)(end - lines->bytes), line);
    lines->seen = lines->to;
    if (lines->ended) return lines->from < lines->to ? give(lines, lines->to, line) : LINES_END;
    lines->ready = true;
    return LINES_WAIT;
}
