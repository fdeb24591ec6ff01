/**
 * chain.h: doubly linked rings through the members of other structs. A node that is in no chain points
 * at itself, so taking it out twice is harmless, and asking is one comparison.
 */
#ifndef RH_PROTO_CHAIN_H
#define RH_PROTO_CHAIN_H

#include <stdbool.h>
#include <stddef.h>

struct chain {
    struct chain *prev, *next;
};

/** The struct of type that holds node as its member. */
#define CHAIN_OWNER(node, type, member) ((type *)(void *)((char *)(node) - offsetof(type, member)))

/** Walks from the first to the last; the body may take out the node it stands on, and no other. */
#define CHAIN_EACH(node, head)                                                                     \
    for (struct chain *node = (head)->next, *node##_next = node->next; node != (head);             \
         node = node##_next, node##_next = node->next)

static inline void chain_init(struct chain *c)
{
    c->prev = c->next = c;
}

static inline bool chain_is_empty(const struct chain *head)
{
    return head->next == head;
}

/** For a node: whether it is in some chain. */
static inline bool chain_is_in(const struct chain *node)
{
    return node->next != node;
}

/** For a node that is in a chain: whether it is the only one. */
static inline bool chain_is_alone(const struct chain *node)
{
    return node->next == node->prev;
}

static inline void chain_remove(struct chain *node)
{
    node->prev->next = node->next;
    node->next->prev = node->prev;
    chain_init(node);
}

/** Puts a node at the end of a chain unless it is in one already. */
static inline void chain_push(struct chain *head, struct chain *node)
{
    if (chain_is_in(node)) return;
    node->prev       = head->prev;
    node->next       = head;
    head->prev->next = node;
    head->prev       = node;
}

static inline struct chain *chain_first(struct chain *head)
{
    return chain_is_empty(head) ? NULL : head->next;
}

#endif
