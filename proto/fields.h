/*
 * fields.h: the fields of a list, read one after the other in a straight line. Whatever is unusual (a wrong type, a long
 * encoding that is rare, a field too many) is only noted: the caller starts over with the table, which
 * knows what to say. Private to proto/.
 */
#ifndef RH_PROTO_FIELDS_H
#define RH_PROTO_FIELDS_H

#include "codec/utf8.h"

struct fields {
    const uint8_t *p, *end;
    uint32_t       left;    /* fields not read yet; the rest of the list is absent */
    bool           unusual;
};

/* The elements of the list at p, of which `left` bytes may be used. */
static inline struct fields fields_of(const uint8_t *p, size_t left, uint32_t most)
{
    struct fields f = { .unusual = true };
    if (left >= 3 && p[0] == 0xc0) {
        size_t size = p[1];
        if (size >= 1 && left - 2 >= size) f = (struct fields){ p + 3, p + 2 + size, p[2], p[2] > most };
    } else if (left >= 9 && p[0] == 0xd0) {
        size_t size = rh_get32(p + 1);
        if (size >= 4 && left - 5 >= size) f = (struct fields){ p + 9, p + 5 + size, rh_get32(p + 5), rh_get32(p + 5) > most };
    }
    return f;
}

static inline void field_is_unusual(struct fields *f)
{
    f->unusual = true;
    f->left    = 0;
}

/* Whether one more field is there and not null; then its constructor is *f->p. */
static inline bool field_is_there(struct fields *f)
{
    if (f->left == 0) return false;
    f->left--;
    if (RH_UNLIKELY(f->p == f->end)) {
        field_is_unusual(f);
        return false;
    }
    if (*f->p != 0x40) return true;
    f->p++;
    return false;
}

/* Whether nothing is left but a few nulls, as at the end of a list whose last fields are rare; passes over them. */
static inline bool rest_is_null(struct fields *f)
{
    static const uint8_t nulls[8] = { 0x40, 0x40, 0x40, 0x40, 0x40, 0x40, 0x40, 0x40 };
    size_t               n        = (size_t)(f->end - f->p);
    if (n != f->left || n < 4 || n > 8) return n == 0 && f->left == 0;
    if (memcmp(f->p, nulls, 4) != 0 || memcmp(f->end - 4, nulls, 4) != 0) return false;
    f->p    = f->end;
    f->left = 0;
    return true;
}

/* Passes over so many nulls, no more than eight, if they are what comes next. */
static inline bool nulls_are_next(struct fields *f, uint32_t count)
{
    static const char nulls[] = "\x40\x40\x40\x40\x40\x40\x40\x40";
    if (f->left < count || (size_t)(f->end - f->p) < count || memcmp(f->p, nulls, count) != 0) return false;
    f->p += count;
    f->left -= count;
    return true;
}

static inline bool uint_field(struct fields *f, uint32_t *out)
{
    if (!field_is_there(f)) return false;
    size_t left = (size_t)(f->end - f->p);
    if (*f->p == 0x52 && left >= 2) {
        *out = f->p[1];
        f->p += 2;
    } else if (*f->p == 0x43) {
        *out = 0;
        f->p++;
    } else if (*f->p == 0x70 && left >= 5) {
        *out = rh_get32(f->p + 1);
        f->p += 5;
    } else {
        field_is_unusual(f);
    }
    return true;
}

static inline bool bool_field(struct fields *f, bool *out)
{
    if (!field_is_there(f)) return false;
    uint8_t code = *f->p;
    if (code == 0x41 || code == 0x42) {
        *out = code == 0x41;
        f->p++;
    } else if (code == 0x56 && f->end - f->p >= 2 && f->p[1] <= 1) {
        *out = f->p[1] == 1;
        f->p += 2;
    } else {
        field_is_unusual(f);
    }
    return true;
}

static inline bool ubyte_field(struct fields *f, uint8_t *out)
{
    if (!field_is_there(f)) return false;
    if (*f->p == 0x50 && f->end - f->p >= 2) {
        *out = f->p[1];
        f->p += 2;
    } else {
        field_is_unusual(f);
    }
    return true;
}

static inline bool timestamp_field(struct fields *f, int64_t *out)
{
    if (!field_is_there(f)) return false;
    if (*f->p == 0x83 && f->end - f->p >= 9) {
        *out = (int64_t)rh_get64(f->p + 1);
        f->p += 9;
    } else {
        field_is_unusual(f);
    }
    return true;
}

/* Content of no more than 255 bytes. */
static inline bool variable_field(struct fields *f, uint8_t code, rh_slice *out)
{
    if (!field_is_there(f)) return false;
    size_t left = (size_t)(f->end - f->p);
    if (*f->p == code && left >= 2 && left - 2 >= f->p[1]) {
        *out = rh_slice_of(f->p + 2, f->p[1]);
        f->p += 2 + out->n;
    } else {
        field_is_unusual(f);
    }
    return true;
}

static inline bool binary_field(struct fields *f, rh_slice *out)
{
    return variable_field(f, 0xa0, out);
}

static inline bool string_field(struct fields *f, rh_slice *out)
{
    if (!variable_field(f, 0xa1, out)) return false;
    if (RH_UNLIKELY(!rh_ascii(out->p, out->n)) && !rh_utf8_is(*out)) field_is_unusual(f);
    return true;
}

static inline bool symbol_field(struct fields *f, rh_slice *out)
{
    if (!variable_field(f, 0xa3, out)) return false;
    if (RH_UNLIKELY(!rh_ascii(out->p, out->n))) field_is_unusual(f);
    return true;
}

/* Any value as encoded; short strings, which ids and addresses are, without a call. */
static inline bool encoded_field(struct fields *f, rh_slice *out)
{
    if (!field_is_there(f)) return false;
    size_t left = (size_t)(f->end - f->p);
    if (*f->p == 0xa1 && left >= 2 && left - 2 >= f->p[1]) {
        *out = rh_slice_of(f->p, 2 + (size_t)f->p[1]);
    } else {
        rh_dec value = rh_dec_of(rh_slice_of(f->p, left));
        *out = rh_dec_raw(&value);
        if (out->p == NULL) field_is_unusual(f);
    }
    f->p += out->n;
    return true;
}

static inline bool map_field(struct fields *f, rh_slice *out)
{
    if (f->left > 0 && f->p != f->end && *f->p != 0x40 && *f->p != 0xc1 && *f->p != 0xd1) field_is_unusual(f);
    return encoded_field(f, out);
}

#endif
