/*
 * seed.h: where seeds go, and what the files that make them share.
 */
#ifndef RH_SEEDS_SEED_H
#define RH_SEEDS_SEED_H

#include "proto/proto.h"
#include "proto/table.h"

/** Writes FOLDER/target/name-number. */
void seed_save(const char *target, const char *name, unsigned number, rh_slice bytes);

/** The described list with its first `count` fields, each of its kind. */
void seed_list(rh_enc *e, const rh_table *table, uint32_t count);

/** A message; each bit of `which` is a part of it. */
rh_slice seed_message(uint8_t *to, unsigned which);

void seed_values(void);
void seed_lists(void);
void seed_frames(void);

/** Every recorded session as what its client says to a broker and what its server says to a client. False: it cannot be read. */
bool seed_session(const char *path);

/** Each list at each depth, to either role. */
void seed_engines(void);

#endif
