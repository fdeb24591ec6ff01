/* Lines of a descriptor, any bytes, as long as an event may be; never blocks when it can be known that nothing is there. */
#ifndef RH_CLI_LINES_H
#define RH_CLI_LINES_H

#include <ringhub/base.h>

enum lines_state { LINES_LINE, LINES_WAIT, LINES_END, LINES_FAILED, LINES_TOO_LONG };

struct lines {
    int      fd;
    uint8_t *bytes;
    size_t   room, from, to, seen; /* bytes[from..to) are read and not given; up to seen there is no line end */
    uint64_t count;                /* lines given */
    bool     ended, ready;
};

void rh_lines_init(struct lines *lines, int fd);
void rh_lines_fini(struct lines *lines);

/*
 * The next line without its end, lent until the next call. LINES_WAIT: none is complete; poll the descriptor and
 * call again, which then reads once. A last line without an end counts, unless it is empty. LINES_FAILED: see errno.
 */
enum lines_state rh_lines_next(struct lines *lines, rh_slice *line);

#endif
