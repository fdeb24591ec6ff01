#include "emulator/config.h"

#include <errno.h>
#include <jansson.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

/* A namespace at all of its limits is some 20 KiB. */
#define CONFIG_MAX (1024u * 1024)

struct reading {
    const char   *source;
    rh_emu_hub_fn fn;
    void         *user;
    rh_error     *error;
};

__attribute__((format(printf, 2, 3))) static rh_status bad(const struct reading *r, const char *format, ...)
{
    char    words[400], text[512];
    va_list list;
    va_start(list, format);
    vsnprintf(words, sizeof words, format, list);
    va_end(list);
    snprintf(text, sizeof text, "%.80s: %s", r->source, words);
    if (r->error) rh_error_set(r->error, RH_E_ARGUMENT, NULL, text);
    return RH_E_ARGUMENT;
}

/* The official samples write the count as a string; numbers are meant the same way. */
static bool count_of(const json_t *value, uint32_t *out)
{
    if (json_is_integer(value)) {
        json_int_t number = json_integer_value(value);
        if (number < 1 || number > RH_EMU_CONFIG_PARTITIONS_MAX) return false;
        *out = (uint32_t)number;
        return true;
    }
    if (!json_is_string(value)) return false;
    char *end;
    long  number = strtol(json_string_value(value), &end, 10);
    if (end == json_string_value(value) || *end || number < 1 || number > RH_EMU_CONFIG_PARTITIONS_MAX) return false;
    *out = (uint32_t)number;
    return true;
}

static rh_status read_groups(const struct reading *r, const json_t *groups, rh_emulator_hub *hub, const char **names)
{
    size_t  i;
    json_t *group;
    if (!groups || json_is_null(groups)) return RH_OK;
    if (!json_is_array(groups)) return bad(r, "hub \"%.80s\": ConsumerGroups is not an array", hub->name);
    if (json_array_size(groups) > RH_EMU_CONFIG_GROUPS_MAX)
        return bad(r, "hub \"%.80s\" has %zu consumer groups, at most %d are possible", hub->name, json_array_size(groups),
                   RH_EMU_CONFIG_GROUPS_MAX);
    json_array_foreach((json_t *)groups, i, group)
    {
        names[i] = json_string_value(json_object_get(group, "Name"));
        if (!names[i]) return bad(r, "hub \"%.80s\": consumer group %zu has no Name", hub->name, i + 1);
    }
    hub->groups      = names;
    hub->group_count = json_array_size(groups);
    return RH_OK;
}

static rh_status read_hub(const struct reading *r, const json_t *entity, size_t place)
{
    const char     *names[RH_EMU_CONFIG_GROUPS_MAX];
    rh_emulator_hub hub = { .name = json_string_value(json_object_get(entity, "Name")) };
    if (!hub.name) return bad(r, "entity %zu has no Name", place);

    const json_t *count = json_object_get(entity, "PartitionCount");
    if (!count) return bad(r, "hub \"%.80s\" has no PartitionCount", hub.name);
    if (!count_of(count, &hub.partitions))
        return bad(r, "hub \"%.80s\": PartitionCount is not a number from 1 to %d", hub.name, RH_EMU_CONFIG_PARTITIONS_MAX);

    rh_status status = read_groups(r, json_object_get(entity, "ConsumerGroups"), &hub, names);
    return status != RH_OK ? status : r->fn(r->user, &hub, r->error);
}

static rh_status read_namespace(const struct reading *r, const json_t *root)
{
    size_t        i;
    json_t       *entity;
    const json_t *user = json_object_get(root, "UserConfig");
    if (!json_is_object(user)) return bad(r, "there is no UserConfig object");
    const json_t *list = json_object_get(user, "NamespaceConfig");
    if (!json_is_array(list)) return bad(r, "UserConfig has no NamespaceConfig array");
    if (json_array_size(list) != 1) return bad(r, "NamespaceConfig has %zu namespaces, exactly one is possible", json_array_size(list));

    const json_t *space = json_array_get(list, 0);
    const char   *type  = json_string_value(json_object_get(space, "Type"));
    if (!type || strcmp(type, "EventHub") != 0) return bad(r, "the namespace's Type is not \"EventHub\"");
    const json_t *entities = json_object_get(space, "Entities");
    if (!json_is_array(entities) || json_array_size(entities) == 0) return bad(r, "the namespace has no Entities");
    if (json_array_size(entities) > RH_EMU_CONFIG_HUBS_MAX)
        return bad(r, "the namespace has %zu Entities, at most %d are possible", json_array_size(entities), RH_EMU_CONFIG_HUBS_MAX);

    rh_status status = RH_OK;
    json_array_foreach((json_t *)entities, i, entity)
    {
        if (status == RH_OK) status = read_hub(r, entity, i + 1);
    }
    return status;
}

rh_status rh_emu_config_parse(rh_slice text, const char *source, rh_emu_hub_fn fn, void *user, rh_error *error)
{
    struct reading r = { source, fn, user, error };
    json_error_t   where;
    /* Editors on Windows put a byte order mark in front. */
    if (text.n >= 3 && memcmp(text.p, "\xef\xbb\xbf", 3) == 0) text = rh_slice_of(text.p + 3, text.n - 3);
    json_t        *root = json_loadb((const char *)text.p, text.n, JSON_REJECT_DUPLICATES, &where);
    if (!root) return bad(&r, "line %d, column %d: %s", where.line, where.column, where.text);
    rh_status status = read_namespace(&r, root);
    json_decref(root);
    return status;
}

rh_status rh_emu_config_read(const char *path, rh_emu_hub_fn fn, void *user, rh_error *error)
{
    struct reading r    = { path, fn, user, error };
    FILE          *file = fopen(path, "rb");
    char          *text = malloc(CONFIG_MAX);
    rh_status      status;
    if (!file) {
        char words[400];
        snprintf(words, sizeof words, "%.200s: %s", path, strerror(errno));
        if (error) rh_error_set(error, RH_E_IO, NULL, words);
        status = RH_E_IO;
    } else if (!text) {
        if (error) rh_error_set(error, RH_E_MEMORY, NULL, "no memory to read the configuration");
        status = RH_E_MEMORY;
    } else {
        size_t n = fread(text, 1, CONFIG_MAX, file);
        status   = n == CONFIG_MAX ? bad(&r, "larger than %u bytes", CONFIG_MAX)
                                   : rh_emu_config_parse(rh_slice_of(text, n), path, fn, user, error);
    }
    free(text);
    if (file) fclose(file);
    return status;
}
