/* What the words behind options mean. Each call answers false when the word is not one of these. */
#ifndef RH_CLI_ARGUMENT_H
#define RH_CLI_ARGUMENT_H

#include <ringhub/eventhub.h>

/* Whole numbers from 1. */
bool rh_parse_count(const char *text, uint64_t *out);

/* Seconds from 0 with decimals, up to ten years. */
bool rh_parse_seconds(const char *text, double *out);

/* Unix milliseconds, or 2026-01-31T12:00:00[.123]Z. */
bool rh_parse_time(const char *text, int64_t *unix_ms);

/* earliest, latest, offset=X, sequence=N, time=T; the event that sits exactly there is included. The offset is lent. */
bool rh_parse_position(const char *text, rh_position *out);

/* 1 to RH_KEY_CHARACTERS_MAX characters of UTF-8. */
bool rh_is_partition_key(const char *text);

#endif
