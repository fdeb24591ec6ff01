/**
 * reader.h: links on which clients receive the events of one partition for one consumer group.
 *
 * Fencing is per group and partition. A reader with an epoch takes the place of readers with a lower or the same epoch and
 * of all without; while it is there, nobody below it may attach. Without epochs there is room for five.
 */
#ifndef RH_EMULATOR_READER_H
#define RH_EMULATOR_READER_H

#include "emulator/connection.h"

/** Events were appended: sends them to whoever waits for them. */
void rh_emu_readers_wake(rh_emu_partition *partition);

/** Delivery slots came back: serves the connection's hungry readers in turn. */
void rh_emu_readers_feed(rh_emu_connection *connection);

#endif
