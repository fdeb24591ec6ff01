/**
 * config.h: the official emulator's config.json.
 */
#ifndef RH_EMULATOR_CONFIG_H
#define RH_EMULATOR_CONFIG_H

#include "emulator/emulator.h"

/* The official emulator's own limits. */
#define RH_EMU_CONFIG_HUBS_MAX       10
#define RH_EMU_CONFIG_GROUPS_MAX     20
#define RH_EMU_CONFIG_PARTITIONS_MAX 32

/** Takes one hub; everything is lent for the call. Another answer than RH_OK ends the reading with error as filled. */
typedef rh_status (*rh_emu_hub_fn)(void *user, const rh_emulator_hub *hub, rh_error *error);

/** Reads the text of a config.json and gives each hub of its one namespace to fn, in order. source is its name in words. */
RH_NODISCARD rh_status rh_emu_config_parse(rh_slice text, const char *source, rh_emu_hub_fn fn, void *user, rh_error *error);

/** The same from a file. */
RH_NODISCARD rh_status rh_emu_config_read(const char *path, rh_emu_hub_fn fn, void *user, rh_error *error);

#endif
