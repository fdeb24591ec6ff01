#include "eventhub/properties.h"

static bool read_text(rh_slice map, const char *key, char *out, size_t n)
{
    rh_value value;
    if (!rh_map_find(map, key, &value) || value.type != RH_STRING || value.bytes.n >= n) return false;
    memcpy(out, value.bytes.p, value.bytes.n);
    out[value.bytes.n] = 0;
    return true;
}

static bool read_int(rh_slice map, const char *key, int64_t *out)
{
    rh_value value;
    return rh_map_find(map, key, &value) && rh_value_to_int64(&value, out);
}

bool rh_partition_properties_read(rh_slice map, rh_partition_properties *out)
{
    rh_value empty;
    memset(out, 0, sizeof *out);
    if (!read_text(map, "name", out->hub, sizeof out->hub) || !read_text(map, "partition", out->id, sizeof out->id) ||
        !read_int(map, "begin_sequence_number", &out->begin_sequence_number) ||
        !read_int(map, "last_enqueued_sequence_number", &out->last_enqueued_sequence_number) ||
        !read_text(map, "last_enqueued_offset", out->last_enqueued_offset, sizeof out->last_enqueued_offset) ||
        !read_int(map, "last_enqueued_time_utc", &out->last_enqueued_time_ms))
        return false;
    /* Older services leave it out. */
    out->is_empty = rh_map_find(map, "is_partition_empty", &empty) && empty.type == RH_BOOL ? empty.boolean
                                                                                           : out->last_enqueued_sequence_number < 0;
    return true;
}

/* The ids, one after the other. An array on the real service; some stand-ins send a list. */
typedef struct ids {
    rh_array array;
    rh_dec   list;
    uint32_t count;
    bool     is_array;
} ids;

static bool open_ids(rh_slice map, ids *out)
{
    rh_value value;
    if (!rh_map_find(map, "partition_ids", &value)) return false;
    out->is_array = value.type == RH_ARRAY;
    out->count    = out->is_array ? rh_value_array(&value, &out->array) : rh_value_items(&value, &out->list);
    return out->is_array ? out->array.items.status == RH_OK : out->list.status == RH_OK;
}

static bool next_id(ids *in, rh_slice *out)
{
    rh_value value = { .type = RH_INVALID };
    bool     ok    = in->is_array ? rh_array_next(&in->array, &value) : rh_dec_value(&in->list, &value);
    *out           = value.bytes;
    return ok && value.type == RH_STRING;
}

/* What pointers and texts take together; 0 when an id is not a string. */
static size_t measure(rh_slice map, rh_slice name, uint32_t *count)
{
    ids      each;
    rh_slice id;
    if (!open_ids(map, &each)) return 0;
    size_t n = name.n + 1 + each.count * sizeof(char *);
    for (uint32_t i = 0; i < each.count; i++) {
        if (!next_id(&each, &id)) return 0;
        n += id.n + 1;
    }
    *count = each.count;
    return n;
}

static char *append(char *at, rh_slice text)
{
    memcpy(at, text.p, text.n);
    at[text.n] = 0;
    return at + text.n + 1;
}

static void copy(char *block, rh_slice map, rh_slice name, rh_hub_properties *out)
{
    const char **pointers = (const char **)(void *)block;
    char        *text     = block + out->partition_count * sizeof(char *);
    ids          each;
    rh_slice     id;
    out->partition_ids = pointers;
    out->name          = text;
    text               = append(text, name);
    (void)open_ids(map, &each);
    for (uint32_t i = 0; i < out->partition_count && next_id(&each, &id); i++) {
        pointers[i] = text;
        text        = append(text, id);
    }
}

rh_status rh_hub_properties_keep(rh_client *client, rh_slice map, rh_hub_properties *out)
{
    const rh_allocator *allocator = rh_client_allocator(client);
    rh_value            name;
    if (!rh_map_find(map, "name", &name) || name.type != RH_STRING || !read_int(map, "created_at", &out->created_at_ms))
        return RH_E_DECODE;
    size_t n = measure(map, name.bytes, &out->partition_count);
    if (n == 0) return RH_E_DECODE;
    char *block = allocator->alloc(allocator->user, n);
    if (!block) return RH_E_MEMORY;
    copy(block, map, name.bytes, out);

    if (client->hub_answer) allocator->free(allocator->user, client->hub_answer, client->hub_answer_n);
    client->hub_answer   = block;
    client->hub_answer_n = n;
    return RH_OK;
}
