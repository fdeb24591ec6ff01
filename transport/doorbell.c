#include "transport/doorbell.h"

#include <errno.h>
#include <sys/eventfd.h>
#include <unistd.h>

rh_status rh_doorbell_init(rh_doorbell *bell, size_t cells, const rh_allocator *allocator)
{
    size_t count = 2;
    while (count < cells) count *= 2;
    bell->mask = count - 1;
    bell->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (bell->fd < 0) return RH_E_SYSTEM;
    bell->cells = allocator->alloc(allocator->user, count * sizeof *bell->cells);
    if (!bell->cells) return RH_E_MEMORY;
    for (size_t i = 0; i < count; i++) atomic_init(&bell->cells[i].turn, i);
    atomic_init(&bell->head, 0);
    atomic_init(&bell->is_asleep, true);
    bell->tail = 0;
    return RH_OK;
}

void rh_doorbell_fini(rh_doorbell *bell, const rh_allocator *allocator)
{
    if (bell->cells) allocator->free(allocator->user, bell->cells, (bell->mask + 1) * sizeof *bell->cells);
    if (bell->fd >= 0) close(bell->fd);
    bell->cells = NULL;
    bell->fd = -1;
}

void rh_doorbell_ring(rh_doorbell *bell)
{
    int saved = errno;
    /* It can only fail when it counts to 2^64 - 2 unread rings: then it is readable anyway. */
    ssize_t n = write(bell->fd, &(uint64_t){ 1 }, sizeof(uint64_t));
    (void)n;
    errno = saved;
}

rh_status rh_doorbell_post(rh_doorbell *bell, void (*fn)(void *user), void *user)
{
    size_t at = atomic_load_explicit(&bell->head, memory_order_relaxed);
    rh_doorbell_cell *cell;
    for (;;) {
        cell = &bell->cells[at & bell->mask];
        size_t turn = atomic_load_explicit(&cell->turn, memory_order_acquire);
        if (turn == at) {
            if (atomic_compare_exchange_weak_explicit(&bell->head, &at, at + 1, memory_order_relaxed,
                                                      memory_order_relaxed)) break;
        } else if ((intptr_t)(turn - at) < 0) {
            return RH_AGAIN; /* not emptied since the last time round */
        } else {
            at = atomic_load_explicit(&bell->head, memory_order_relaxed);
        }
    }
    cell->fn = fn;
    cell->user = user;
    /* Sequentially consistent, as rh_doorbell_sleep() is: either the loop sees the cell before it sleeps, or we see
     * it asleep. With less both could look away, and the call would wait for ever. */
    atomic_store(&cell->turn, at + 1);
    if (atomic_load(&bell->is_asleep) && atomic_exchange(&bell->is_asleep, false)) rh_doorbell_ring(bell);
    return RH_OK;
}

bool rh_doorbell_is_filled(rh_doorbell *bell)
{
    return atomic_load(&bell->cells[bell->tail & bell->mask].turn) == bell->tail + 1;
}

bool rh_doorbell_sleep(rh_doorbell *bell)
{
    atomic_store(&bell->is_asleep, true);
    if (!rh_doorbell_is_filled(bell)) return true;
    atomic_store(&bell->is_asleep, false);
    return false;
}

void rh_doorbell_awake(rh_doorbell *bell) { atomic_store_explicit(&bell->is_asleep, false, memory_order_relaxed); }

unsigned rh_doorbell_answer(rh_doorbell *bell)
{
    unsigned answered = 0;
    while (answered <= bell->mask && rh_doorbell_is_filled(bell)) {
        rh_doorbell_cell *cell = &bell->cells[bell->tail & bell->mask];
        void (*fn)(void *user) = cell->fn;
        void *user = cell->user;
        atomic_store_explicit(&cell->turn, bell->tail + bell->mask + 1, memory_order_release);
        bell->tail++;
        answered++;
        fn(user);
    }
    return answered;
}

void rh_doorbell_clear(rh_doorbell *bell)
{
    uint64_t rings;
    ssize_t n = read(bell->fd, &rings, sizeof rings);
    (void)n;
}
