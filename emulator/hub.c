#include "emulator/namespace.h"

#include <stdio.h>

#define DEFAULT_PARTITIONS 4

static bool is_alphanumeric(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

/* A group stands as one segment of an address, so it has no slash. */
static bool is_name(const char *name, size_t max, const char *inner)
{
    size_t n = name ? strlen(name) : 0;
    if (n == 0 || n > max || !is_alphanumeric(name[0]) || !is_alphanumeric(name[n - 1])) return false;
    for (size_t i = 0; i < n; i++)
        if (!is_alphanumeric(name[i]) && !strchr(inner, name[i])) return false;
    return true;
}

static rh_status refuse(rh_error *error, rh_status status, const char *what, const char *name, const char *why)
{
    char words[512];
    snprintf(words, sizeof words, "%s \"%.100s\": %s", what, name ? name : "", why);
    if (error) rh_error_set(error, status, NULL, words);
    return status;
}

static rh_status judge(rh_emulator *emulator, const rh_emulator_hub *hub, rh_error *error)
{
    if (!is_name(hub->name, RH_EMU_HUB_NAME_MAX, "-._/"))
        return refuse(error, RH_E_ARGUMENT, "hub", hub->name,
                      "a name has at most 256 letters, digits, '-', '.', '/' or '_', and a letter or digit at both ends");
    if (rh_emu_hub_find(emulator, rh_str(hub->name))) return refuse(error, RH_E_CONFLICT, "hub", hub->name, "there is one of this name already");
    if (hub->partitions > RH_EMULATOR_PARTITIONS_MAX) return refuse(error, RH_E_ARGUMENT, "hub", hub->name, "more than 1024 partitions");
    for (size_t i = 0; i < hub->group_count; i++) {
        const char *group = hub->groups[i];
        if (group && rh_emu_same(rh_str(group), rh_str(RH_EMU_DEFAULT_GROUP))) continue;
        if (!is_name(group, RH_EMU_GROUP_NAME_MAX, "-._"))
            return refuse(error, RH_E_ARGUMENT, "consumer group", group,
                          "a name has at most 50 letters, digits, '-', '.' or '_', and a letter or digit at both ends");
    }
    return RH_OK;
}

/* $Default in front; a group named twice, or $Default again, is the same group. */
static bool add_groups(rh_emu_hub *hub, const rh_emulator_hub *wanted)
{
    hub->group_room = wanted->group_count + 1;
    hub->groups     = rh_emu_alloc(hub->emulator, hub->group_room * sizeof *hub->groups);
    if (!hub->groups) return false;
    for (size_t i = 0; i <= wanted->group_count; i++) {
        rh_slice name = rh_str(i == 0 ? RH_EMU_DEFAULT_GROUP : wanted->groups[i - 1]);
        if (rh_emu_hub_group(hub, name)) continue;
        char *copy = rh_emu_copy(hub->emulator, name);
        if (!copy) return false;
        hub->groups[hub->group_count++] = copy;
    }
    return true;
}

rh_status rh_emu_hub_add(rh_emulator *emulator, const rh_emulator_hub *wanted, rh_error *error)
{
    rh_status status = judge(emulator, wanted, error);
    if (status != RH_OK) return status;

    rh_emu_hub *hub = rh_emu_alloc(emulator, sizeof *hub);
    if (!hub) return refuse(error, RH_E_MEMORY, "hub", wanted->name, "out of memory");
    hub->emulator   = emulator;
    hub->created_ms = rh_loop_wall_ms(emulator->loop);
    hub->next       = emulator->hubs;
    emulator->hubs  = hub; /* from here on it goes with the namespace */

    uint32_t count  = wanted->partitions ? wanted->partitions : DEFAULT_PARTITIONS;
    hub->name       = rh_emu_copy(emulator, rh_str(wanted->name));
    hub->partitions = rh_emu_alloc(emulator, count * sizeof *hub->partitions);
    if (hub->partitions) hub->partition_count = count;
    if (!hub->name || !hub->partitions || !add_groups(hub, wanted))
        return refuse(error, RH_E_MEMORY, "hub", wanted->name, "out of memory");
    for (uint32_t i = 0; i < count; i++) {
        rh_emu_partition_init(&hub->partitions[i], &emulator->store, i);
        hub->partitions[i].hub = hub;
    }
    if (!emulator->disk) return RH_OK;
    return rh_emu_disk_keep(emulator->disk, hub->name, hub->partitions, count, &hub->created_ms, error);
}

void rh_emu_hub_destroy(rh_emu_hub *hub)
{
    rh_emulator *emulator = hub->emulator;
    for (uint32_t i = 0; i < hub->partition_count; i++) rh_emu_partition_fini(&hub->partitions[i]);
    if (hub->partitions) rh_emu_free(emulator, hub->partitions, hub->partition_count * sizeof *hub->partitions);
    for (size_t i = 0; i < hub->group_count; i++) rh_emu_free(emulator, hub->groups[i], strlen(hub->groups[i]) + 1);
    if (hub->groups) rh_emu_free(emulator, hub->groups, hub->group_room * sizeof *hub->groups);
    if (hub->name) rh_emu_free(emulator, hub->name, strlen(hub->name) + 1);
    rh_emu_free(emulator, hub, sizeof *hub);
}

rh_emu_hub *rh_emu_hub_find(rh_emulator *emulator, rh_slice name)
{
    for (rh_emu_hub *hub = emulator->hubs; hub; hub = hub->next)
        if (hub->name && rh_emu_same(rh_str(hub->name), name)) return hub;
    return NULL;
}

rh_emu_partition *rh_emu_hub_partition(const rh_emu_hub *hub, rh_slice id)
{
    uint32_t number = 0;
    if (id.n == 0 || id.n > 4 || (id.n > 1 && id.p[0] == '0')) return NULL;
    for (size_t i = 0; i < id.n; i++) {
        if (id.p[i] < '0' || id.p[i] > '9') return NULL;
        number = number * 10 + (uint32_t)(id.p[i] - '0');
    }
    return number < hub->partition_count ? &hub->partitions[number] : NULL;
}

const char *rh_emu_hub_group(const rh_emu_hub *hub, rh_slice name)
{
    for (size_t i = 0; i < hub->group_count; i++)
        if (rh_emu_same(rh_str(hub->groups[i]), name)) return hub->groups[i];
    return NULL;
}
