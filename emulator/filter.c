#include "emulator/filter.h"

#define SELECTOR "apache.org:selector-filter:string"

/* The registered code of the selector, and the one that the client for .NET uses instead. */
#define SELECTOR_CODE        UINT64_C(0x0000468C00000004)
#define SELECTOR_CODE_DOTNET UINT64_C(0x000000137000000A)

static bool take(rh_slice *text, const char *word)
{
    size_t n = strlen(word);
    if (text->n < n || memcmp(text->p, word, n) != 0) return false;
    *text = rh_slice_of(text->p + n, text->n - n);
    return true;
}

static void skip_blanks(rh_slice *text)
{
    while (take(text, " ") || take(text, "\t")) continue;
}

static void trim_blanks(rh_slice *text)
{
    skip_blanks(text);
    while (text->n > 0 && (text->p[text->n - 1] == ' ' || text->p[text->n - 1] == '\t')) text->n--;
}

static bool number_of(rh_slice text, int64_t *out)
{
    bool     negative = take(&text, "-");
    uint64_t value    = 0;
    if (text.n == 0 || text.n > 19) return false;
    for (size_t i = 0; i < text.n; i++) {
        if (text.p[i] < '0' || text.p[i] > '9') return false;
        value = value * 10 + (uint64_t)(text.p[i] - '0');
    }
    if (value > INT64_MAX) return false;
    *out = negative ? -(int64_t)value : (int64_t)value;
    return true;
}

/* 'VALUE', "VALUE" or VALUE: one kind of quote on both sides or none. */
static bool unquote(rh_slice *text)
{
    if (text->n == 0 || (text->p[0] != '\'' && text->p[0] != '"')) return true;
    if (text->n < 2 || text->p[text->n - 1] != text->p[0]) return false;
    *text = rh_slice_of(text->p + 1, text->n - 2);
    return true;
}

static rh_status offset_of(rh_slice value, rh_emu_position *out)
{
    out->from = RH_EMU_FROM_OFFSET;
    if (rh_slice_is(value, "@latest")) {
        out->from = RH_EMU_FROM_LATEST;
        return RH_OK;
    }
    if (!number_of(value, &out->value)) return RH_E_OFFSET;
    if (out->value < 0) out->from = RH_EMU_FROM_EARLIEST;
    return RH_OK;
}

rh_status rh_emu_filter_parse(rh_slice expression, rh_emu_position *out)
{
    rh_slice text = expression;
    *out          = (rh_emu_position){ 0 };
    trim_blanks(&text);
    if (!take(&text, "amqp.annotation.")) return RH_E_INVALID_FIELD;

    bool offset = take(&text, "x-opt-offset");
    if (!offset) {
        if (take(&text, "x-opt-sequence-number")) out->from = RH_EMU_FROM_SEQUENCE;
        else if (take(&text, "x-opt-enqueued-time")) out->from = RH_EMU_FROM_TIME;
        else return RH_E_INVALID_FIELD;
    }
    skip_blanks(&text);
    if (!take(&text, ">")) return RH_E_INVALID_FIELD;
    out->inclusive = take(&text, "=");
    skip_blanks(&text);
    if (!unquote(&text)) return RH_E_INVALID_FIELD;

    if (offset) return offset_of(text, out);
    return number_of(text, &out->value) ? RH_OK : RH_E_INVALID_FIELD;
}

static bool is_selector(const rh_value *descriptor)
{
    if (descriptor->type == RH_SYMBOL) return rh_slice_is(descriptor->bytes, SELECTOR);
    return descriptor->type == RH_ULONG && (descriptor->u == SELECTOR_CODE || descriptor->u == SELECTOR_CODE_DOTNET);
}

rh_status rh_emu_filter_read(rh_slice map, rh_emu_position *out)
{
    *out     = (rh_emu_position){ 0 };
    rh_dec d = rh_dec_of(map);
    if (map.p == NULL || rh_dec_null(&d)) return RH_OK;

    rh_dec   items;
    uint32_t entries = rh_dec_map(&d, &items) / 2;
    while (entries-- && items.status == RH_OK) {
        rh_slice key = rh_dec_text(&items);
        if (rh_dec_peek(&items) != RH_DESCRIBED) {
            if (rh_slice_is(key, SELECTOR)) return RH_E_INVALID_FIELD;
            rh_dec_skip(&items);
            continue;
        }
        rh_slice filter = rh_dec_raw(&items);
        rh_dec   inside = rh_dec_of(filter);
        rh_value descriptor;
        if (!rh_dec_described(&inside, &descriptor)) return RH_E_DECODE;
        if (!rh_slice_is(key, SELECTOR) && !is_selector(&descriptor)) continue;
        /* The key alone would do for the service, perhaps; a selector of another kind is not in our grammar. */
        if (!is_selector(&descriptor)) return RH_E_INVALID_FIELD;
        rh_slice expression = rh_dec_string(&inside);
        return inside.status != RH_OK ? RH_E_INVALID_FIELD : rh_emu_filter_parse(expression, out);
    }
    return items.status == RH_OK ? RH_OK : RH_E_DECODE;
}
