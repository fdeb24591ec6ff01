/**
 * One way of moving messages between two engines that are back to back in memory, behind a table. No socket, no clock
 * and no other copy than the one that carries bytes from an output to an input, which nobody is charged for.
 */
#ifndef RH_BENCH_ENGINE_H
#define RH_BENCH_ENGINE_H

#include "bench/reference.h"

typedef struct rh_engine_task {
    const char *name;
    bool        receives; /* who is measured: the receiving engine, or the sending one */
    bool        settled;  /* transfers leave settled; otherwise each is accepted, and the sender told */
    bool        batch;    /* messages of a thousand events in frames of 64 KiB; otherwise each event is one */
    bool        codec;    /* the sender encodes each event first, the receiver decodes every field of it */
} rh_engine_task;

/** Charged for what happens between start and stop, by the clock or, when counting, by callgrind. */
typedef struct rh_meter {
    bool     counting;
    uint64_t ns;
    uint64_t started;
} rh_meter;

void rh_meter_start(rh_meter *meter);
void rh_meter_stop(rh_meter *meter);

typedef struct rh_engines {
    const char *name;
    void *(*open)(const rh_engine_task *task);                 /* two engines, opened, a link attached, credit given */
    bool (*run)(void *pair, unsigned messages, rh_meter *meter); /* sends them all and learns of every outcome */
    void (*close)(void *pair);
} rh_engines;

extern const rh_engines rh_engines_ours;
extern const rh_engines rh_engines_proton; /* all members but name NULL when it was built without the library */

#endif
