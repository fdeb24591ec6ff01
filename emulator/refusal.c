#include "emulator/refusal.h"

#include <stdarg.h>
#include <stdio.h>
#include <time.h>

static const struct {
    const char *condition;
    int         code;
} codes[] = {
    { RH_EMU_UNAUTHORIZED, 401 }, { RH_EMU_NOT_FOUND, 404 }, { "amqp:not-implemented", 501 }, { "amqp:resource-limit-exceeded", 403 },
    { "amqp:internal-error", 500 }, { RH_EMU_BUSY, 503 }, { "com.microsoft:timeout", 408 }, { RH_EMU_STOLEN, 410 },
};

static int code_of(const char *condition)
{
    for (size_t i = 0; i < sizeof codes / sizeof *codes; i++)
        if (strcmp(codes[i].condition, condition) == 0) return codes[i].code;
    return 400;
}

/* The marks by which clients find the support part of a text, and people the line in a log. */
static void track(rh_emulator *emulator, const rh_emu_hub *hub, char *text, size_t n)
{
    uint8_t   id[16];
    int64_t   wall = rh_loop_wall_ms(emulator->loop);
    time_t    seconds = (time_t)(wall / 1000);
    struct tm when;
    rh_loop_random(emulator->loop, id, sizeof id);
    if (!gmtime_r(&seconds, &when)) when = (struct tm){ .tm_mday = 1, .tm_year = 70 };
    snprintf(text, n,
             " TrackingId:%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x_G0, SystemTracker:emulator:eventhub:%.80s, "
             "Timestamp:%04d-%02d-%02dT%02d:%02d:%02d",
             id[0], id[1], id[2], id[3], id[4], id[5], id[6], id[7], id[8], id[9], id[10], id[11], id[12], id[13], id[14], id[15],
             hub ? hub->name : "", when.tm_year + 1900, when.tm_mon + 1, when.tm_mday, when.tm_hour, when.tm_min, when.tm_sec);
}

bool rh_emu_refuse(rh_emulator *emulator, const rh_emu_hub *hub, rh_emu_refusal *out, const char *condition, const char *format, ...)
{
    char    mark[256];
    va_list list;
    out->condition = condition;
    out->code      = code_of(condition);
    track(emulator, hub, mark, sizeof mark);

    va_start(list, format);
    vsnprintf(out->words, sizeof out->words - strlen(mark), format, list);
    va_end(list);
    strcat(out->words, mark);

    RH_EMU_COUNT(emulator, refusals);
    rh_emu_log(emulator, RH_LOG_INFO, "emulator.refusal", "%s: %s", condition, out->words);
    return false;
}

bool rh_emu_refuse_unknown(rh_emulator *emulator, rh_emu_refusal *out, rh_slice path)
{
    int n = path.n > 200 ? 200 : (int)path.n;
    return rh_emu_refuse(emulator, NULL, out, RH_EMU_NOT_FOUND, "The messaging entity '%.*s' could not be found.", n,
                         path.p ? (const char *)path.p : "");
}

bool rh_emu_refuse_partition(const rh_emu_hub *hub, rh_emu_refusal *out)
{
    return rh_emu_refuse(hub->emulator, hub, out, RH_EMU_RANGE,
                         "The specified partition is invalid for an EventHub partition sender or receiver. It should be between 0 and %u.",
                         hub->partition_count - 1);
}
