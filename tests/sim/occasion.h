/**
 * occasion.h: names for the moments at which something may go wrong, so that each can be left out of a story by itself.
 *
 * A name is a letter and one or two numbers that count what comes before it of its own kind:
 *   t17    the seventeenth time that the swarm struck by itself
 *   w12.3  the third phase that wire 12 reached
 *   d12.1  a step of dialing wire 12 (0: connect, 1: TLS)
 *   r55    the fifty-fifth request that the service was asked
 *   b0.2   the second time that client 0 loses patience inside a callback
 *   c0.4   the fourth whim of client 0: it closes something
 *   k0.7   the seventh time that client 0 asked its credential for a token
 * What happens at one of them is drawn from a stream of its own, so leaving one out changes no choice of another.
 */
#ifndef SIM_OCCASION_H
#define SIM_OCCASION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef uint64_t sim_occasion;

sim_occasion sim_occasion_of(char letter, uint32_t number, uint32_t part);

#define SIM_OCCASION_MAX 32

/** Writes the name of an occasion; answers text. */
const char *sim_occasion_name(sim_occasion occasion, char text[SIM_OCCASION_MAX]);

/** A set of them, in the order they were added. Starts as { 0 }. */
typedef struct sim_occasions {
    sim_occasion *list;
    size_t        count, room;
} sim_occasions;

void sim_occasions_add(sim_occasions *set, sim_occasion occasion);
bool sim_occasions_have(const sim_occasions *set, sim_occasion occasion);
void sim_occasions_fini(sim_occasions *set);

/** Names with commas between them; "": none. False: a name is none. */
bool sim_occasions_read(sim_occasions *set, const char *text);

/** Which of those that a seed draws come true. */
typedef struct sim_switches {
    const sim_occasions *only;    /* NULL: all */
    const sim_occasions *without; /* NULL: none is left out */
} sim_switches;

bool sim_switches_allow(const sim_switches *switches, sim_occasion occasion);

#endif
