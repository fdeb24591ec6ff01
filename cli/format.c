#include "cli/format.h"

#include <stdlib.h>
#include <time.h>

static const char directives[] = "psotkbmcn%";

bool rh_format_check(const char *format, const char **bad)
{
    for (const char *c = format; *c; c++) {
        if (*c != '%') continue;
        *bad = c;
        if (!c[1] || !strchr(directives, c[1])) return false;
        c++;
    }
    return true;
}

static void print_slice(FILE *out, rh_slice slice)
{
    if (slice.n) fwrite(slice.p, 1, slice.n, out);
}

/* A body that is no bytes, and ids that are no strings, print as AMQP values. */
static void print_encoded(FILE *out, rh_slice encoded)
{
    char small[256];
    size_t n = rh_value_print(encoded, small, sizeof small);
    if (n < sizeof small) {
        fwrite(small, 1, n, out);
        return;
    }
    char *large = malloc(n + 1);
    if (!large) return;
    rh_value_print(encoded, large, n + 1);
    fwrite(large, 1, n, out);
    free(large);
}

static void print_id(FILE *out, const rh_value *id)
{
    if (id->type == RH_STRING || id->type == RH_BINARY) {
        print_slice(out, id->bytes);
        return;
    }
    uint8_t room[64];
    rh_enc encoder = rh_enc_of(room, sizeof room);
    rh_enc_value(&encoder, id);
    print_encoded(out, rh_enc_written(&encoder));
}

bool rh_format_time(int64_t ms, char text[RH_TIME_ROOM])
{
    time_t seconds = (time_t)(ms / 1000);
    struct tm parts;
    *text = '\0';
    if (ms < 0 || !gmtime_r(&seconds, &parts) || parts.tm_year > 9999 - 1900) return false;
    size_t n = strftime(text, RH_TIME_ROOM, "%Y-%m-%dT%H:%M:%S", &parts);
    snprintf(text + n, RH_TIME_ROOM - n, ".%03dZ", (int)(ms % 1000));
    return true;
}

static void print_time(FILE *out, int64_t ms)
{
    char text[RH_TIME_ROOM];
    if (rh_format_time(ms, text)) fputs(text, out);
}

static void print_body(FILE *out, const rh_event *event)
{
    rh_body_kind kind = rh_event_body_kind(event);
    if (kind == RH_BODY_VALUE || kind == RH_BODY_SEQUENCE) print_encoded(out, rh_event_body(event));
    else print_slice(out, rh_event_body(event));
}

static void print_directive(FILE *out, char directive, const char *partition, const rh_event *event)
{
    rh_value id;
    switch (directive) {
    case 'p': fputs(partition, out); break;
    case 's': fprintf(out, "%lld", (long long)rh_event_sequence_number(event)); break;
    case 'o': print_slice(out, rh_event_offset(event)); break;
    case 't': print_time(out, rh_event_enqueued_time_ms(event)); break;
    case 'k': print_slice(out, rh_event_partition_key(event)); break;
    case 'b': print_body(out, event); break;
    case 'm': if (rh_event_message_id(event, &id)) print_id(out, &id); break;
    case 'c': print_slice(out, rh_event_content_type(event)); break;
    case 'n': fputc('\n', out); break;
    default: fputc('%', out); break;
    }
}

void rh_format_print(FILE *out, const char *format, const char *partition, const rh_event *event)
{
    for (const char *c = format; *c; c++) {
        if (*c == '%') print_directive(out, *++c, partition, event);
        else if (*c == '\\' && c[1] == 't') fputc('\t', out), c++;
        else fputc(*c, out);
    }
    fputc('\n', out);
}

void rh_format_json(FILE *out, const char *text)
{
    fputc('"', out);
    for (const char *c = text; *c; c++) {
        if (*c == '"' || *c == '\\') fprintf(out, "\\%c", *c);
        else if ((unsigned char)*c < 0x20) fprintf(out, "\\u%04x", (unsigned)*c);
        else fputc(*c, out);
    }
    fputc('"', out);
}
