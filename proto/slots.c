/**
 * slots.c: see slots.h; lending and taking back.
 */
#include "proto/engine.h"

void rh_pool_init(struct pool *pool)
{
    chain_init(&pool->rows);
    chain_init(&pool->free);
}

static struct slot *slot_use(struct slot *slot)
{
    chain_remove(&slot->free);
    slot->live = true;
    return slot;
}

static struct slot *slot_touch(struct row *row)
{
    struct slot *slot = (struct slot *)(void *)(row->slots + (size_t)row->touched * row->stride);
    slot->generation  = 0;
    slot->text_n      = row->text_n;
    chain_init(&slot->free);
    if (++row->touched == row->count) chain_remove(&row->in_pool);
    return slot_use(slot);
}

/* A short name must not take the place that was lent for a long one. */
static void *take_tightest(struct pool *pool, size_t text_n)
{
    struct slot *rested = NULL;
    struct row  *fresh  = NULL;
    CHAIN_EACH(node, &pool->free)
    {
        struct slot *slot = CHAIN_OWNER(node, struct slot, free);
        if (slot->text_n >= text_n && (!rested || slot->text_n < rested->text_n)) rested = slot;
    }
    CHAIN_EACH(next, &pool->rows)
    {
        struct row *row = CHAIN_OWNER(next, struct row, in_pool);
        if (row->text_n >= text_n && (!fresh || row->text_n < fresh->text_n)) fresh = row;
    }
    if (rested && (!fresh || rested->text_n <= fresh->text_n)) return slot_use(rested);
    return fresh ? slot_touch(fresh) : NULL;
}

void *rh_pool_take(struct pool *pool, size_t text_n)
{
    struct slot *first = CHAIN_OWNER(pool->free.next, struct slot, free);
    /* Deliveries and sessions are all alike. */
    bool fits = !chain_is_empty(&pool->free) && first->text_n == text_n;
    return RH_LIKELY(fits) ? slot_use(first) : take_tightest(pool, text_n);
}

void rh_pool_give(struct pool *pool, void *p)
{
    struct slot *slot = p;
    slot->live        = false;
    slot->generation  = (uint8_t)((slot->generation + 1) & (SLOT_ALIGN - 1));
    /* At the end: the longer a slot rests, the surer a stale handle is found out. */
    chain_push(&pool->free, &slot->free);
}

/* -- lending ----------------------------------------------------------------------------------- */

static rh_engine_slots slots_filled(const rh_engine_slots *given)
{
    rh_engine_slots slots = *given;
    if (slots.text == 0 || slots.text > LINK_TEXT_MAX) slots.text = LINK_TEXT_MAX;
    return slots;
}

/* Places the rows of a loan behind it; answers how many bytes all of it takes. loan NULL: only measures. */
static size_t loan_place(struct loan *loan, const rh_engine_slots *slots)
{
    struct row row[] = {
        { .count = slots->sessions, .text_n = SESSION_TEXT, .stride = (uint32_t)slot_rounded(sizeof(struct session) + SESSION_TEXT) },
        { .count = slots->links, .text_n = (uint16_t)slots->text, .stride = (uint32_t)slot_rounded(sizeof(struct link) + slots->text) },
        { .count = slots->deliveries, .stride = (uint32_t)slot_rounded(sizeof(struct delivery)) },
    };
    size_t n = slot_rounded(sizeof *loan);
    for (size_t i = 0; i < sizeof row / sizeof *row; i++) {
        if (loan) row[i].slots = (uint8_t *)loan + n;
        n += (size_t)row[i].count * row[i].stride;
    }
    if (loan) *loan = (struct loan){ .sessions = row[0], .links = row[1], .deliveries = row[2] };
    return n;
}

size_t rh_loan_size(const rh_engine_slots *slots)
{
    return loan_place(NULL, slots);
}

static void row_enter(struct pool *pool, struct row *row)
{
    chain_init(&row->in_pool);
    if (row->count > 0) chain_push(&pool->rows, &row->in_pool);
}

void rh_loan_enter(rh_engine *engine, struct loan *loan, const rh_engine_slots *slots)
{
    loan_place(loan, slots);
    row_enter(&engine->sessions, &loan->sessions);
    row_enter(&engine->links, &loan->links);
    row_enter(&engine->deliveries, &loan->deliveries);
    chain_init(&loan->in_engine);
    chain_push(&engine->loans, &loan->in_engine);
}

bool rh_slots_are_sane(const rh_engine_slots *slots)
{
    return slots->sessions <= 32768 && slots->links <= 65535 && slots->deliveries <= UINT32_C(1) << 24;
}

size_t rh_engine_slots_size(const rh_engine_slots *given)
{
    rh_engine_slots slots = slots_filled(given);
    return rh_slots_are_sane(&slots) ? rh_loan_size(&slots) + SLOT_ALIGN : 0;
}

rh_status rh_engine_lend(rh_engine *engine, void *memory, size_t n, const rh_engine_slots *given)
{
    rh_engine_slots slots = slots_filled(given);
    size_t          size  = rh_engine_slots_size(&slots);
    if (memory == NULL || size == 0 || n < size) return RH_E_ARGUMENT;
    rh_loan_enter(engine, slot_aligned(memory), &slots);
    return RH_OK;
}

static bool row_rests(const struct row *row)
{
    for (uint32_t i = 0; i < row->touched; i++) {
        const struct slot *slot = (const struct slot *)(const void *)(row->slots + (size_t)i * row->stride);
        if (!chain_is_in(&slot->free)) return false;
    }
    return true;
}

static void row_leave(struct row *row)
{
    chain_remove(&row->in_pool);
    for (uint32_t i = 0; i < row->touched; i++)
        chain_remove(&((struct slot *)(void *)(row->slots + (size_t)i * row->stride))->free);
}

/* NULL: nothing was lent there. */
static struct loan *loan_at(rh_engine *engine, const void *place)
{
    CHAIN_EACH(node, &engine->loans)
    {
        struct loan *loan = CHAIN_OWNER(node, struct loan, in_engine);
        if (loan == place) return loan;
    }
    return NULL;
}

rh_status rh_engine_reclaim(rh_engine *engine, void *memory)
{
    struct loan *loan = memory ? loan_at(engine, slot_aligned(memory)) : NULL;
    if (loan == NULL) return RH_E_ARGUMENT;
    if (!row_rests(&loan->sessions) || !row_rests(&loan->links) || !row_rests(&loan->deliveries)) return RH_AGAIN;
    row_leave(&loan->sessions);
    row_leave(&loan->links);
    row_leave(&loan->deliveries);
    chain_remove(&loan->in_engine);
    return RH_OK;
}

