/**
 * address.h: what the address of a link, or the audience of a token, points at.
 *
 * Clients write the same place as a path, a path with a slash in front or a whole URL, in any case of letters. A hub's name may
 * hold slashes itself, so a path is read from its end.
 */
#ifndef RH_EMULATOR_ADDRESS_H
#define RH_EMULATOR_ADDRESS_H

#include "codec/base.h"

typedef enum rh_emu_place {
    RH_EMU_CBS,        /* $cbs */
    RH_EMU_MANAGEMENT, /* $management or HUB/$management */
    RH_EMU_HUB,        /* HUB */
    RH_EMU_PARTITION,  /* HUB/Partitions/ID */
    RH_EMU_PUBLISHER,  /* HUB/Publishers/NAME */
    RH_EMU_READER,     /* HUB/ConsumerGroups/GROUP/Partitions/ID */
} rh_emu_place;

/** Slices into the text that was parsed; absent where the place has none. */
typedef struct rh_emu_address {
    rh_emu_place place;
    rh_slice     path; /* without scheme, authority and the slash in front */
    rh_slice     hub, group, partition, publisher;
} rh_emu_address;

rh_emu_address rh_emu_address_parse(rh_slice text);

/** The path of a text as above: scheme and authority gone, no slash at either end. */
rh_slice rh_emu_path_of(rh_slice text);

/** Whether a token for the path covers what lies at below: the same path, or one under it; an empty one covers all. */
bool rh_emu_path_covers(rh_slice path, rh_slice below);

/** Equal but for the case of ASCII letters. */
bool rh_emu_same(rh_slice a, rh_slice b);

#endif
