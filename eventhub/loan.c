#include "eventhub/loan.h"

#include "eventhub/connection.h"

static void *memory_of(rh_loan *loan)
{
    return loan + 1;
}

static rh_status lend(rh_client *client, rh_loan *loan)
{
    rh_status status = rh_engine_lend(client->engine, memory_of(loan), loan->n, &loan->slots);
    loan->lent       = status == RH_OK;
    return status;
}

/* Nothing is in it any more: the engine has let go of it. What has ended may stay for as long as the peer does not answer. */
static bool is_free(rh_client *client, rh_loan *loan)
{
    if (!client->engine) loan->lent = false; /* there was no memory for the next one */
    if (loan->lent && rh_engine_reclaim(client->engine, memory_of(loan)) == RH_OK) loan->lent = false;
    return !loan->lent;
}

static rh_loan *find_spare(rh_client *client, const rh_engine_slots *slots)
{
    for (rh_loan *loan = client->loans; loan; loan = loan->next) {
        const rh_engine_slots *has = &loan->slots;
        bool fits = has->links == slots->links && has->deliveries == slots->deliveries && has->text >= slots->text;
        if (loan->spare && fits && is_free(client, loan)) return loan;
    }
    return NULL;
}

static rh_loan *make(rh_client *client, const rh_engine_slots *slots)
{
    const rh_allocator *allocator = rh_client_allocator(client);
    size_t              n         = rh_engine_slots_size(slots);
    rh_loan            *loan      = n ? allocator->alloc(allocator->user, sizeof *loan + n) : NULL;
    if (!loan) return NULL;
    *loan = (rh_loan){ .next = client->loans, .slots = *slots, .n = n };
    client->loans = loan;
    return loan;
}

static void drop(rh_client *client, rh_loan **at)
{
    const rh_allocator *allocator = rh_client_allocator(client);
    rh_loan            *loan      = *at;
    *at                           = loan->next;
    allocator->free(allocator->user, loan, sizeof *loan + loan->n);
}

static rh_loan *give(rh_client *client, const rh_engine_slots *slots)
{
    rh_loan *loan = find_spare(client, slots);
    if (!loan) loan = make(client, slots);
    if (!loan) return NULL;
    loan->spare = false;
    if (!client->engine || lend(client, loan) == RH_OK) return loan;
    rh_loan_leave(client, loan);
    return NULL;
}

rh_loan *rh_loan_give(rh_client *client, uint32_t links, uint32_t deliveries, size_t name)
{
    rh_engine_slots slots = { .sessions = 1, .links = links, .deliveries = deliveries, .text = (uint32_t)name + RH_LOAN_WORDS };
    return give(client, &slots);
}

bool rh_loan_delivery(rh_client *client)
{
    rh_engine_slots slots = { .deliveries = 1 };
    rh_loan        *loan  = make(client, &slots);
    bool             lent = loan && lend(client, loan) == RH_OK;
    rh_loan_leave(client, loan);
    return lent;
}

bool rh_loan_exchange(rh_client *client, rh_loan **loan)
{
    rh_loan *other = give(client, &(*loan)->slots);
    if (!other) return false;
    rh_loan_leave(client, *loan);
    *loan = other;
    return true;
}

void rh_loan_leave(rh_client *client, rh_loan *loan)
{
    if (!loan) return;
    loan->spare         = true;
    client->spare_loans = true;
}

rh_status rh_loans_lend(rh_client *client)
{
    rh_status status = RH_OK;
    for (rh_loan *loan = client->loans; loan; loan = loan->next) {
        rh_status own = lend(client, loan);
        if (own) status = own;
    }
    return status;
}

void rh_loans_reclaim(rh_client *client)
{
    if (!client->spare_loans) return;
    client->spare_loans = false;
    for (rh_loan **at = &client->loans; *at;) {
        rh_loan *loan = *at;
        bool     free = loan->spare && is_free(client, loan);
        if (loan->spare && !free) client->spare_loans = true;
        if (free) drop(client, at);
        else at = &loan->next;
    }
}

void rh_loans_free(rh_client *client)
{
    while (client->loans) drop(client, &client->loans);
}
