/* How `ringhub receive` prints an event. */
#ifndef RH_CLI_FORMAT_H
#define RH_CLI_FORMAT_H

#include <ringhub/eventhub.h>
#include <stdio.h>

/* False: a % directive is unknown; *bad shows it. */
bool rh_format_check(const char *format, const char **bad);

/* The event by the format, with a line end behind it. A missing value prints as nothing. */
void rh_format_print(FILE *out, const char *format, const char *partition, const rh_event *event);

/* 2026-01-31T12:00:00.000Z. False, and an empty text: no time of ours, before 1970 or beyond the year 9999. */
#define RH_TIME_ROOM 32
bool rh_format_time(int64_t ms, char text[RH_TIME_ROOM]);

/* JSON [RFC 8259]: quotes, backslashes and controls are escaped, everything else goes out as it came. */
void rh_format_json(FILE *out, const char *text);

#endif
