/**
 * cells.h: pieces of any size out of one block given at open, in cells of RH_CELL bytes.
 *
 * Events and batches come and go in any order and in any size. A bitmap of cells with a next-fit search keeps them
 * without allocating: taking one cell looks at a word or two, taking a megabyte at a few dozen. A
 * piece may give back its tail, so a batch that was sent half full holds half.
 */
#ifndef RH_EVENTHUB_CELLS_H
#define RH_EVENTHUB_CELLS_H

#include "codec/base.h"

/* Small enough that an event of a hundred bytes wastes little, large enough that 3 MiB need a bitmap of 1.5 KiB. */
#define RH_CELL 256

typedef struct rh_cells {
    uint8_t  *memory;
    uint64_t *used; /* one bit a cell */
    uint32_t  count, next;
    uint32_t  left;
} rh_cells;

/** bytes rounded up to whole cells. */
static inline size_t rh_cells_round(size_t bytes)
{
    return (bytes + RH_CELL - 1) / RH_CELL * RH_CELL;
}

/** Memory for a pool of so many bytes, bitmap included. */
size_t rh_cells_size(size_t bytes);

/** memory is aligned for any type and has rh_cells_size(bytes) bytes. */
void rh_cells_init(rh_cells *cells, void *memory, size_t bytes);

/** n bytes, aligned for any type; NULL: no gap is large enough. */
void *rh_cells_take(rh_cells *cells, size_t n);

/** Gives back all n bytes taken. */
void rh_cells_give(rh_cells *cells, void *piece, size_t n);

/** Gives back what lies behind the first `keep` bytes of n. */
void rh_cells_trim(rh_cells *cells, void *piece, size_t n, size_t keep);

static inline size_t rh_cells_left(const rh_cells *cells)
{
    return (size_t)cells->left * RH_CELL;
}

#endif
