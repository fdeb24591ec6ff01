#include "emulator/address.h"

static uint8_t lower(uint8_t c)
{
    return c >= 'A' && c <= 'Z' ? (uint8_t)(c + ('a' - 'A')) : c;
}

bool rh_emu_same(rh_slice a, rh_slice b)
{
    if (a.n != b.n) return false;
    for (size_t i = 0; i < a.n; i++)
        if (lower(a.p[i]) != lower(b.p[i])) return false;
    return true;
}

static bool is(rh_slice a, const char *word)
{
    return rh_emu_same(a, rh_str(word));
}

static rh_slice behind(rh_slice text, size_t at)
{
    return rh_slice_of(text.p + at, text.n - at);
}

static size_t find(rh_slice text, char c)
{
    const void *found = text.n ? memchr(text.p, c, text.n) : NULL;
    return found ? (size_t)((const uint8_t *)found - text.p) : text.n;
}

rh_slice rh_emu_path_of(rh_slice text)
{
    size_t colon = find(text, ':');
    if (text.n - colon >= 3 && memcmp(text.p + colon, "://", 3) == 0) {
        text = behind(text, colon + 3);
        text = behind(text, find(text, '/'));
    }
    while (text.n > 0 && text.p[0] == '/') text = behind(text, 1);
    while (text.n > 0 && text.p[text.n - 1] == '/') text.n--;
    return text;
}

/* Takes the last segment and its slash off the path; the only segment stays where it is. */
static rh_slice pop(rh_slice *path)
{
    size_t at = path->n;
    while (at > 0 && path->p[at - 1] != '/') at--;
    if (at == 0) return rh_slice_of(NULL, 0);
    rh_slice last = behind(*path, at);
    path->n       = at - 1;
    return last;
}

rh_emu_address rh_emu_address_parse(rh_slice text)
{
    rh_emu_address a = { .place = RH_EMU_HUB, .path = rh_emu_path_of(text) };
    rh_slice       rest = a.path;

    a.hub = rest;
    if (is(rest, "$cbs")) a.place = RH_EMU_CBS;
    if (is(rest, "$management")) {
        a.place = RH_EMU_MANAGEMENT;
        a.hub   = rh_slice_of(NULL, 0);
        return a;
    }
    rh_slice last = pop(&rest);
    if (is(last, "$management")) {
        a.place = RH_EMU_MANAGEMENT;
        a.hub   = rest;
        return a;
    }
    rh_slice kind = pop(&rest);
    if (is(kind, "Publishers")) {
        a.place     = RH_EMU_PUBLISHER;
        a.publisher = last;
        a.hub       = rest;
    } else if (is(kind, "Partitions")) {
        a.place     = RH_EMU_PARTITION;
        a.partition = last;
        a.hub       = rest;
        rh_slice group = pop(&rest);
        if (is(pop(&rest), "ConsumerGroups")) {
            a.place = RH_EMU_READER;
            a.group = group;
            a.hub   = rest;
        }
    }
    return a;
}

bool rh_emu_path_covers(rh_slice path, rh_slice below)
{
    if (path.n == 0) return true;
    if (below.n < path.n || !rh_emu_same(path, rh_slice_of(below.p, path.n))) return false;
    return below.n == path.n || below.p[path.n] == '/';
}
