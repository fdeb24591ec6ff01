/**
 * slots.h: where sessions, links and deliveries live: side by side in the engine's arena or in memory that was lent later.
 */
#ifndef RH_PROTO_SLOTS_H
#define RH_PROTO_SLOTS_H

#include "proto/chain.h"
#include "proto/proto.h"

/* A link has room for the longest name, or for a shorter one and the words of its end. */
#define LINK_TEXT_MAX 640u

/* What a session has room for of the words of its end; those of the peer are told in full unless something is lent. */
#define SESSION_TEXT 144u

/* Slots are aligned so that the low six bits of their address are free for the generation. */
#define SLOT_ALIGN 64u

struct slot {
    struct chain free;
    uint8_t      generation;
    bool         live; /* its owner may still use the handle */
    uint16_t     text_n; /* bytes behind the struct, for names and words */
};

/* Slots side by side in memory that was lent at once. They are touched when first needed: those that are not used cost
 * address space only. */
struct row {
    struct chain in_pool;
    uint8_t     *slots;
    uint32_t     stride, count, touched;
    uint16_t     text_n;
};

struct pool {
    struct chain rows, free;
};

/* What stands at the start of lent memory; the engine's own slots have one as well. */
struct loan {
    struct chain in_engine;
    struct row   sessions, links, deliveries;
};

void  rh_pool_init(struct pool *pool);
void *rh_pool_take(struct pool *pool, size_t text_n); /* with that much text, the one that rested longest; else with the least that is more; NULL: none */
void  rh_pool_give(struct pool *pool, void *slot);

static inline void *slot_handle(const void *slot)
{
    return (char *)(uintptr_t)slot + ((const struct slot *)slot)->generation;
}

/** The slot behind a handle, NULL if the handle has outlived it. */
static inline void *slot_of(const void *handle)
{
    if (handle == NULL) return NULL;
    size_t       generation = (uintptr_t)handle & (SLOT_ALIGN - 1);
    struct slot *slot       = (struct slot *)((uintptr_t)handle - generation);
    return slot->live && slot->generation == generation ? slot : NULL;
}

/** The bytes that a loan of these takes, and making one in such memory. */
bool   rh_slots_are_sane(const rh_engine_slots *slots);
size_t rh_loan_size(const rh_engine_slots *slots);
void   rh_loan_enter(rh_engine *engine, struct loan *loan, const rh_engine_slots *slots);

static inline size_t slot_rounded(size_t n)
{
    return (n + SLOT_ALIGN - 1) & ~(size_t)(SLOT_ALIGN - 1);
}

static inline void *slot_aligned(void *memory)
{
    return (uint8_t *)memory + (SLOT_ALIGN - (uintptr_t)memory % SLOT_ALIGN) % SLOT_ALIGN;
}

#endif
