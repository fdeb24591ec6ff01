/*
 * line.h: a TCP connection to a peer under test, used one step at a time: say, then hear for so long.
 */
#ifndef RH_AIM_LINE_H
#define RH_AIM_LINE_H

#include "fuzz/aim/ear.h"

struct line {
    int        fd;   /* -1: none */
    bool       gone; /* the peer's end is closed */
    bool       cut;  /* and not in order: reset */
    struct ear ear;
};

/** Where connections go to or come from: "HOST:PORT"; answers a listening descriptor for a server, -1 when it fails. */
int line_listen(const char *address, char *told, size_t n);

/** False: nobody takes the connection, or nobody comes, within so many milliseconds. */
bool line_dial(struct line *line, const char *address);
bool line_accept(struct line *line, int listening, int ms);

/** What cannot be said because the peer has gone is not said. */
void line_say(struct line *line, const uint8_t *p, size_t n, int ms);
void line_say_no_more(struct line *line);

/** Hears until `enough` holds, nothing has come for `quiet_ms`, or `ms` are over; false: those. */
bool line_hear(struct line *line, bool (*enough)(const struct line *), int quiet_ms, int ms);

bool line_is_gone(const struct line *line);
void line_close(struct line *line);

#endif
