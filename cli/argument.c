#include "cli/argument.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

bool rh_parse_count(const char *text, uint64_t *out)
{
    char *end;
    errno = 0;
    unsigned long long value = strtoull(text, &end, 10);
    if (end == text || *end || errno || *text == '-' || value == 0) return false;
    *out = value;
    return true;
}

bool rh_parse_seconds(const char *text, double *out)
{
    char *end;
    double value = strtod(text, &end);
    if (end == text || *end || !(value >= 0 && value <= 315360000)) return false;
    *out = value;
    return true;
}

bool rh_parse_time(const char *text, int64_t *unix_ms)
{
    char *end;
    errno = 0;
    long long ms = strtoll(text, &end, 10);
    if (end != text && !*end && !errno && ms >= 0) {
        *unix_ms = ms;
        return true;
    }
    struct tm parts = { 0 };
    const char *rest = strptime(text, "%Y-%m-%dT%H:%M:%S", &parts);
    if (!rest) return false;
    double fraction = *rest == '.' ? strtod(rest, &end) : 0;
    if (*rest == '.') rest = end;
    if (strcmp(rest, "Z") != 0 && *rest) return false;
    *unix_ms = (int64_t)timegm(&parts) * 1000 + (int64_t)(fraction * 1000);
    return *unix_ms >= 0;
}

bool rh_parse_position(const char *text, rh_position *out)
{
    out->inclusive = true;
    if (strcmp(text, "earliest") == 0) return out->kind = RH_POSITION_EARLIEST, true;
    if (strcmp(text, "latest") == 0) return out->kind = RH_POSITION_LATEST, true;
    if (strncmp(text, "offset=", 7) == 0 && text[7]) {
        out->kind = RH_POSITION_OFFSET;
        out->offset = text + 7;
        return true;
    }
    if (strncmp(text, "sequence=", 9) == 0) {
        char *end;
        out->kind = RH_POSITION_SEQUENCE;
        out->value = strtoll(text + 9, &end, 10);
        return end != text + 9 && !*end;
    }
    out->kind = RH_POSITION_TIME;
    return strncmp(text, "time=", 5) == 0 && rh_parse_time(text + 5, &out->value);
}

bool rh_is_partition_key(const char *text)
{
    size_t characters = 0;
    for (const char *c = text; *c; c++) characters += ((unsigned char)*c & 0xc0) != 0x80;
    return characters >= 1 && characters <= RH_KEY_CHARACTERS_MAX && rh_utf8_is(rh_str(text));
}
