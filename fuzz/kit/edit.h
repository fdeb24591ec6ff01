/*
 * edit.h: bytes that hold AMQP values, and changes to them after which the sizes and counts around the place agree again.
 */
#ifndef RH_KIT_EDIT_H
#define RH_KIT_EDIT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { KIT_SPOTS = 256, KIT_NO_SPOT = 0xffff };

/* One value, with its descriptor if it has one. */
struct kit_spot {
    uint32_t at, n;
    uint16_t parent;  /* the compound around it; KIT_NO_SPOT: none */
    bool     counted; /* it is one of those that the parent counts: not what stands behind a descriptor */
    uint8_t  prefix;  /* of a compound: bytes of its size field; 0: it is none */
    bool     counts;  /* a compound with a count behind its size; binaries that hold values have none */
};

struct kit_edit {
    uint8_t        *bytes;
    size_t          n, max;
    struct kit_spot spots[KIT_SPOTS];
    uint32_t        count;
};

/** Finds the values in bytes[from, n). What cannot be read ends it. */
void kit_edit_read(struct kit_edit *edit, uint8_t *bytes, size_t from, size_t n, size_t max);

/**
 * Replaces bytes [at, at + n) inside of the compound `parent` by others, and mends the sizes around them; items is by how
 * much the parent's count changes. False: no room, and nothing is changed. Spots are void afterwards.
 */
bool kit_edit_replace(struct kit_edit *edit, uint16_t parent, uint32_t at, uint32_t n, const uint8_t *by, size_t by_n, int items);

#endif
