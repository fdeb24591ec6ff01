#include "fuzz/kit/edit.h"

#include "codec/codec.h"

/* How many bytes stand behind a constructor before its content, and how many of content if that is fixed. */
static size_t prefix_of(uint8_t code)
{
    switch (code >> 4) {
    case 0xa: case 0xc: case 0xe: return 1;
    case 0xb: case 0xd: case 0xf: return 4;
    default: return 0;
    }
}

static size_t width_of(uint8_t code)
{
    switch (code >> 4) {
    case 5: return 1;
    case 6: return 2;
    case 7: return 4;
    case 8: return 8;
    case 9: return 16;
    default: return 0;
    }
}

static uint32_t get(const uint8_t *p, size_t width)
{
    return width == 1 ? *p : rh_get32(p);
}

static void put(uint8_t *p, size_t width, uint32_t v)
{
    if (width == 1) *p = (uint8_t)v;
    else rh_put32(p, v);
}

/* The value at `at` without regard to what is in it; 0: there is none. */
static uint32_t size_of(const uint8_t *p, size_t left)
{
    uint32_t n = 0;
    /* [1.2.2] a descriptor is a value, and may have one itself. */
    for (uint32_t owed = 1; owed > 0; owed--) {
        if (n >= left) return 0;
        uint8_t code = p[n];
        if (code == 0) {
            owed += 2;
            n++;
            continue;
        }
        if (code < 0x40) return 0;
        size_t prefix = prefix_of(code), content = width_of(code);
        if (1 + prefix > left - n) return 0;
        if (prefix) content = get(p + n + 1, prefix);
        if (content > left - n - 1 - prefix) return 0;
        n += (uint32_t)(1 + prefix + content);
    }
    return n;
}

/* Lists and maps; and binaries, where what is in them is itself described: sections hold messages. */
static bool opens(const struct kit_edit *edit, const struct kit_spot *spot, uint32_t *from)
{
    uint8_t code = edit->bytes[spot->at], kind = code >> 4;
    if (kind == 0xc || kind == 0xd) {
        *from = spot->at + 1 + 2 * spot->prefix;
        return *from <= spot->at + spot->n;
    }
    *from = spot->at + 1 + spot->prefix;
    return (code == 0xa0 || code == 0xb0) && spot->n > 4u + spot->prefix && edit->bytes[*from] == 0 && edit->bytes[*from + 1] == 0x53;
}

static bool spot_add(struct kit_edit *edit, uint32_t at, uint32_t n, uint16_t parent, bool counted)
{
    if (edit->count == KIT_SPOTS) return false;
    uint8_t code = edit->bytes[at];
    edit->spots[edit->count++] = (struct kit_spot){ .at = at, .n = n, .parent = parent, .counted = counted, .prefix = (uint8_t)prefix_of(code),
                                                    .counts = code >> 4 == 0xc || code >> 4 == 0xd };
    return true;
}

/* All values of one compound, and what their descriptors describe, as spots of their own. */
static void read_into(struct kit_edit *edit, uint32_t at, uint32_t end, uint16_t parent)
{
    while (at < end) {
        uint32_t n = size_of(edit->bytes + at, end - at);
        if (n == 0 || !spot_add(edit, at, n, parent, true)) return;
        for (uint32_t inner = at; edit->bytes[inner] == 0;) {
            uint32_t descriptor = size_of(edit->bytes + inner + 1, at + n - inner - 1);
            if (!spot_add(edit, inner + 1, descriptor, parent, false)) return;
            inner += 1 + descriptor;
            if (inner >= at + n || !spot_add(edit, inner, at + n - inner, parent, false)) return;
        }
        at += n;
    }
}

void kit_edit_read(struct kit_edit *edit, uint8_t *bytes, size_t from, size_t n, size_t max)
{
    edit->bytes = bytes;
    edit->n     = n;
    edit->max   = max;
    edit->count = 0;
    read_into(edit, (uint32_t)from, (uint32_t)n, KIT_NO_SPOT);
    /* Compounds are behind those that hold them, so this ends. */
    for (uint32_t i = 0, inner; i < edit->count; i++)
        if (opens(edit, &edit->spots[i], &inner)) read_into(edit, inner, edit->spots[i].at + edit->spots[i].n, (uint16_t)i);
}

static void mend(struct kit_edit *edit, uint16_t parent, uint32_t grown, int items)
{
    for (bool direct = true; parent != KIT_NO_SPOT; parent = edit->spots[parent].parent, direct = false) {
        const struct kit_spot *spot = &edit->spots[parent];
        uint8_t               *size = edit->bytes + spot->at + 1, *count = size + spot->prefix;
        put(size, spot->prefix, get(size, spot->prefix) + grown);
        if (direct && spot->counts) put(count, spot->prefix, get(count, spot->prefix) + (uint32_t)items);
    }
}

bool kit_edit_replace(struct kit_edit *edit, uint16_t parent, uint32_t at, uint32_t n, const uint8_t *by, size_t by_n, int items)
{
    if (edit->n - n + by_n > edit->max) return false;
    memmove(edit->bytes + at + by_n, edit->bytes + at + n, edit->n - at - n);
    memcpy(edit->bytes + at, by, by_n);
    edit->n = edit->n - n + by_n;
    mend(edit, parent, (uint32_t)(by_n - n), items);
    return true;
}
