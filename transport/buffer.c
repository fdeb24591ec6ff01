#include "transport/buffer.h"

static rh_buffer *make(rh_buffers *buffers)
{
    const rh_allocator *allocator = buffers->allocator;
    rh_buffer *buffer = allocator->alloc(allocator->user, sizeof *buffer + buffers->room);
    if (buffer) buffers->count++;
    return buffer;
}

rh_status rh_buffers_init(rh_buffers *buffers, const rh_allocator *allocator, uint32_t count, size_t room)
{
    *buffers = (rh_buffers){ .allocator = allocator, .room = room, .kept = count };
    while (count--) {
        rh_buffer *buffer = make(buffers);
        if (!buffer) return RH_E_MEMORY;
        buffer->next = buffers->free;
        buffers->free = buffer;
    }
    return RH_OK;
}

static void free_first(rh_buffers *buffers)
{
    rh_buffer *buffer = buffers->free;
    buffers->free = buffer->next;
    buffers->count--;
    buffers->allocator->free(buffers->allocator->user, buffer, sizeof *buffer + buffers->room);
}

void rh_buffers_fini(rh_buffers *buffers)
{
    while (buffers->free) free_first(buffers);
}

void rh_buffers_rest(rh_buffers *buffers)
{
    uint32_t idle = buffers->idle;
    while (idle-- > 0 && rh_buffers_has_grown(buffers)) free_first(buffers);
    buffers->idle = buffers->count - buffers->used;
}

rh_buffer *rh_buffer_borrow(rh_buffers *buffers)
{
    rh_buffer *buffer = buffers->free;
    if (buffer) buffers->free = buffer->next;
    else buffer = make(buffers);
    if (!buffer) return NULL;
    buffers->used++;
    if (buffers->count - buffers->used < buffers->idle) buffers->idle = buffers->count - buffers->used;
    buffer->next = NULL;
    buffer->start = buffer->n = 0;
    return buffer;
}

void rh_buffer_return(rh_buffers *buffers, rh_buffer *buffer)
{
    if (!buffer) return;
    buffers->used--;
    buffer->next = buffers->free;
    buffers->free = buffer;
}

bool rh_backlog_append(rh_backlog *backlog, rh_buffers *buffers, const uint8_t *bytes, size_t n)
{
    while (n > 0) {
        if (!backlog->last || backlog->last->n == buffers->room) {
            rh_buffer *buffer = rh_buffer_borrow(buffers);
            if (!buffer) return false;
            if (backlog->last) backlog->last->next = buffer;
            else backlog->first = buffer;
            backlog->last = buffer;
        }
        rh_buffer *last = backlog->last;
        size_t part = n < buffers->room - last->n ? n : buffers->room - last->n;
        memcpy(last->bytes + last->n, bytes, part);
        last->n += part;
        bytes += part;
        n -= part;
    }
    return true;
}

void rh_backlog_use(rh_backlog *backlog, rh_buffers *buffers, size_t n)
{
    rh_buffer *first = backlog->first;
    first->start += n;
    if (first->start < first->n) return;
    backlog->first = first->next;
    if (!backlog->first) backlog->last = NULL;
    rh_buffer_return(buffers, first);
}

void rh_backlog_clear(rh_backlog *backlog, rh_buffers *buffers)
{
    while (backlog->first) {
        rh_buffer *first = backlog->first;
        backlog->first = first->next;
        rh_buffer_return(buffers, first);
    }
    backlog->last = NULL;
}
