/**
 * buffer.h: what a loop has once for all its pipes and they borrow while they work: frame buffers, lists of pieces, rooms.
 *
 * A pool grows to what was in use at once, and shrinks again to what it began with when less is needed.
 */
#ifndef RH_TRANSPORT_BUFFER_H
#define RH_TRANSPORT_BUFFER_H

#include "transport/transport.h"

typedef struct rh_buffer {
    struct rh_buffer *next;
    size_t            start, n; /* bytes[start, n) are in use */
    _Alignas(16) uint8_t bytes[]; /* aligned for any type */
} rh_buffer;

typedef struct rh_buffers {
    const rh_allocator *allocator;
    rh_buffer          *free;
    size_t              room;        /* of each */
    uint32_t            count, used; /* in the pool and not; borrowed */
    uint32_t            kept;        /* below that it does not shrink */
    uint32_t            idle;        /* so many were never borrowed since the last rest */
} rh_buffers;

RH_NODISCARD rh_status rh_buffers_init(rh_buffers *buffers, const rh_allocator *allocator, uint32_t count, size_t room);
void                   rh_buffers_fini(rh_buffers *buffers);

/** An empty one; the pool grows when it has none. NULL: no memory. */
rh_buffer *rh_buffer_borrow(rh_buffers *buffers);
void       rh_buffer_return(rh_buffers *buffers, rh_buffer *buffer); /* NULL is allowed */

/** Frees what was not needed since the last time. */
void rh_buffers_rest(rh_buffers *buffers);

static inline bool rh_buffers_has_grown(const rh_buffers *buffers)
{
    return buffers->count > buffers->kept;
}

/** Bytes in the order they came, in as many buffers as they need. */
typedef struct rh_backlog {
    rh_buffer *first, *last;
} rh_backlog;

RH_NODISCARD bool rh_backlog_append(rh_backlog *backlog, rh_buffers *buffers, const uint8_t *bytes, size_t n);
void              rh_backlog_use(rh_backlog *backlog, rh_buffers *buffers, size_t n); /* of the first buffer */
void              rh_backlog_clear(rh_backlog *backlog, rh_buffers *buffers);

#endif
