#include "eventhub/cells.h"

#include <assert.h>

#define NOWHERE UINT32_MAX

static uint32_t cells_in(size_t n)
{
    return (uint32_t)((n + RH_CELL - 1) / RH_CELL);
}

static size_t bitmap_bytes(uint32_t count)
{
    size_t words = (count + 63u) / 64u;
    return rh_cells_round(words * sizeof(uint64_t)); /* so that the cells behind it keep its alignment */
}

static size_t block_bytes(const rh_cells *cells)
{
    return bitmap_bytes(cells->count) + (size_t)cells->count * RH_CELL;
}

void rh_cells_init(rh_cells *cells, size_t bytes, const rh_allocator *allocator)
{
    uint32_t count = cells_in(bytes);
    *cells = (rh_cells){ .allocator = allocator, .count = count, .left = count };
}

void rh_cells_fini(rh_cells *cells)
{
    if (cells->used) cells->allocator->free(cells->allocator->user, cells->used, block_bytes(cells));
    rh_cells_init(cells, (size_t)cells->count * RH_CELL, cells->allocator);
}

bool rh_cells_furnish(rh_cells *cells)
{
    if (cells->used) return true;
    cells->used = cells->allocator->alloc(cells->allocator->user, block_bytes(cells));
    if (!cells->used) return false;
    size_t bitmap = bitmap_bytes(cells->count);
    cells->memory = (uint8_t *)cells->used + bitmap;
    memset(cells->used, 0, bitmap);
    return true;
}

bool rh_cells_rest(rh_cells *cells)
{
    bool stirred = cells->stirred;
    cells->stirred = false;
    if (stirred) return true;
    if (rh_cells_is_unused(cells)) rh_cells_fini(cells);
    return false; /* a long loan: whoever gives it back stirs */
}

/** The first cell of a gap of n in [from, count), or NOWHERE. Steps over runs, not over bits. */
static uint32_t find_gap(const rh_cells *cells, uint32_t from, uint32_t n)
{
    uint32_t gap = 0, at = from;
    while (at < cells->count) {
        uint32_t room = 64 - at % 64;
        uint64_t word = cells->used[at / 64] >> (at % 64);
        if (word & 1) {
            uint32_t taken = ~word ? (uint32_t)__builtin_ctzll(~word) : 64;
            at += taken < room ? taken : room;
            gap = 0;
            continue;
        }
        uint32_t empty = word ? (uint32_t)__builtin_ctzll(word) : room;
        if (empty > cells->count - at) empty = cells->count - at;
        gap += empty;
        at += empty;
        if (gap >= n) return at - gap;
    }
    return NOWHERE;
}

/** Flips the n bits from `at`: taking and giving are the same change. */
static void flip(rh_cells *cells, uint32_t at, uint32_t n)
{
    while (n) {
        uint32_t shift = at % 64, part = 64 - shift;
        if (part > n) part = n;
        uint64_t mask = (part == 64 ? UINT64_MAX : (UINT64_C(1) << part) - 1) << shift;
        cells->used[at / 64] ^= mask;
        at += part;
        n -= part;
    }
}

void *rh_cells_take(rh_cells *cells, size_t n)
{
    uint32_t want = cells_in(n);
    if (!cells->used || want == 0 || want > cells->left) return NULL;
    uint32_t at = find_gap(cells, cells->next, want);
    if (at == NOWHERE && cells->next) at = find_gap(cells, 0, want);
    if (at == NOWHERE) return NULL;
    flip(cells, at, want);
    cells->stirred = true;
    cells->left -= want;
    cells->next = at + want < cells->count ? at + want : 0;
    return cells->memory + (size_t)at * RH_CELL;
}

void rh_cells_trim(rh_cells *cells, void *piece, size_t n, size_t keep)
{
    uint32_t had = cells_in(n), kept = cells_in(keep);
    uint32_t at = (uint32_t)((size_t)((uint8_t *)piece - cells->memory) / RH_CELL);
    assert(kept <= had && had <= cells->count - at);
    flip(cells, at + kept, had - kept);
    cells->stirred = true;
    cells->left += had - kept;
    /* The newest gap is the warmest: the next piece goes there while it fits. */
    if (at + kept < cells->next) cells->next = at + kept;
}

void rh_cells_give(rh_cells *cells, void *piece, size_t n)
{
    rh_cells_trim(cells, piece, n, 0);
}
