/**
 * cells.h: pieces of any size out of one block, in cells of RH_CELL bytes.
 *
 * Events and batches come and go in any order and in any size. A bitmap of cells with a next-fit search keeps them
 * without allocating: taking one cell looks at a word or two, taking a megabyte at a few dozen. A
 * piece may give back its tail, so a batch that was sent half full holds half.
 *
 * The block is asked for when it is first needed and given back when nothing has been taken or given for a while: who is busy
 * allocates nothing, who is idle holds nothing. What it may hold is counted from the beginning.
 */
#ifndef RH_EVENTHUB_CELLS_H
#define RH_EVENTHUB_CELLS_H

#include "codec/base.h"

/* Small enough that an event of a hundred bytes wastes little, large enough that 3 MiB need a bitmap of 1.5 KiB. */
#define RH_CELL 256

/* How often somebody who has cells looks whether they are still used; between one and two of these after their last use
 * they are gone. */
#define RH_CELLS_REST RH_MS(750)

typedef struct rh_cells {
    const rh_allocator *allocator;
    uint64_t           *used;   /* the block: one bit a cell, then the cells; NULL: not there */
    uint8_t            *memory; /* the first cell */
    uint32_t            count, next;
    uint32_t            left;
    bool                stirred; /* taken or given since the last look */
} rh_cells;

/** bytes rounded up to whole cells. */
static inline size_t rh_cells_round(size_t bytes)
{
    return (bytes + RH_CELL - 1) / RH_CELL * RH_CELL;
}

/** Room for so many bytes, to be asked of the allocator, which is lent. */
void rh_cells_init(rh_cells *cells, size_t bytes, const rh_allocator *allocator);

/** Gives the block back, whatever it holds. */
void rh_cells_fini(rh_cells *cells);

/** Sees to it that the block is there; false: no memory. */
RH_NODISCARD bool rh_cells_furnish(rh_cells *cells);

/** A look: gives the block back if nothing is in use and nothing was since the last look. Answers whether to look again later. */
bool rh_cells_rest(rh_cells *cells);

/** n bytes, aligned for any type; NULL: no gap is large enough, or there is no block. */
void *rh_cells_take(rh_cells *cells, size_t n);

/** Gives back all n bytes taken. */
void rh_cells_give(rh_cells *cells, void *piece, size_t n);

/** Gives back what lies behind the first `keep` bytes of n. */
void rh_cells_trim(rh_cells *cells, void *piece, size_t n, size_t keep);

static inline bool rh_cells_is_unused(const rh_cells *cells)
{
    return cells->left == cells->count;
}

static inline size_t rh_cells_left(const rh_cells *cells)
{
    return (size_t)cells->left * RH_CELL;
}

#endif
