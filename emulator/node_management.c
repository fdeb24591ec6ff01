/* $management: what there is to know about a hub and its partitions. */

#include "emulator/node.h"

#include <inttypes.h>
#include <stdio.h>

static void put_text(rh_enc *e, const char *key, const char *text)
{
    rh_enc_string(e, rh_str(key));
    rh_enc_string(e, rh_str(text));
}

/* Some clients take nothing but an array here. */
static void put_ids(rh_enc *e, const rh_emu_hub *hub)
{
    rh_enc_string(e, rh_str("partition_ids"));
    rh_enc_mark mark = rh_enc_array_begin(e, 0xa1);
    for (uint32_t i = 0; i < hub->partition_count; i++) {
        char id[12];
        snprintf(id, sizeof id, "%" PRIu32, i);
        rh_enc_element_variable(e, 0xa1, rh_str(id));
    }
    rh_enc_array_end(e, mark, hub->partition_count);
}

static void describe_hub(const rh_emu_hub *hub, rh_enc *e)
{
    rh_enc_mark mark = rh_enc_map_begin(e);
    put_text(e, "name", hub->name);
    put_text(e, "type", "com.microsoft:eventhub");
    rh_enc_string(e, rh_str("created_at"));
    rh_enc_timestamp(e, hub->created_ms);
    rh_enc_string(e, rh_str("partition_count"));
    rh_enc_int(e, (int32_t)hub->partition_count);
    put_ids(e, hub);
    rh_enc_string(e, rh_str("georeplication_factor"));
    rh_enc_int(e, 1);
    rh_enc_map_end(e, mark, 12);
}

static void describe_partition(const rh_emu_partition *partition, int64_t now_ms, rh_enc *e)
{
    char id[12], offset[24] = "-1";
    snprintf(id, sizeof id, "%" PRIu32, partition->id);
    if (partition->end > 0) snprintf(offset, sizeof offset, "%" PRIu64, partition->last_offset);

    rh_enc_mark mark = rh_enc_map_begin(e);
    put_text(e, "name", partition->hub->name);
    put_text(e, "type", "com.microsoft:partition");
    put_text(e, "partition", id);
    rh_enc_string(e, rh_str("begin_sequence_number"));
    rh_enc_long(e, partition->begin);
    rh_enc_string(e, rh_str("last_enqueued_sequence_number"));
    rh_enc_long(e, partition->end - 1);
    put_text(e, "last_enqueued_offset", offset);
    rh_enc_string(e, rh_str("last_enqueued_time_utc"));
    rh_enc_timestamp(e, partition->last_enqueued_ms);
    rh_enc_string(e, rh_str("is_partition_empty"));
    rh_enc_bool(e, partition->begin == partition->end);
    rh_enc_string(e, rh_str("runtime_info_retrieval_time_utc"));
    rh_enc_timestamp(e, now_ms);
    rh_enc_map_end(e, mark, 18);
}

/* Clients put their tokens for HUB or for HUB/$management. */
static bool is_covered(rh_emu_connection *connection, const rh_emu_hub *hub, rh_slice name, rh_emu_refusal *no)
{
    char path[RH_EMU_HUB_NAME_MAX + 16];
    int  n = snprintf(path, sizeof path, "%.*s/$management", name.n > RH_EMU_HUB_NAME_MAX ? RH_EMU_HUB_NAME_MAX : (int)name.n,
                      name.p ? (const char *)name.p : "");
    return rh_emu_token_check(connection, hub, rh_slice_of(path, (size_t)n), "Manage", no);
}

static bool read_properties(rh_emu_connection *connection, const rh_message *request, rh_emu_reply *reply)
{
    rh_emulator *emulator  = connection->emulator;
    rh_slice     operation = rh_emu_request_text(request, "operation"), type = rh_emu_request_text(request, "type");
    rh_slice     name      = rh_emu_path_of(rh_emu_request_text(request, "name"));
    rh_emu_hub  *hub       = rh_emu_hub_find(emulator, name);

    if (!rh_slice_is(operation, "READ")) return rh_emu_refuse(emulator, hub, &reply->no, "amqp:not-implemented", "The operation is not READ.");
    if (!hub) return rh_emu_refuse_unknown(emulator, &reply->no, name);
    if (!is_covered(connection, hub, name, &reply->no)) return false;

    if (rh_slice_is(type, "com.microsoft:eventhub")) {
        describe_hub(hub, &reply->body);
        return true;
    }
    if (!rh_slice_is(type, "com.microsoft:partition"))
        return rh_emu_refuse(emulator, hub, &reply->no, RH_EMU_ARGUMENT, "The type is neither com.microsoft:eventhub nor com.microsoft:partition.");
    const rh_emu_partition *partition = rh_emu_hub_partition(hub, rh_emu_request_text(request, "partition"));
    if (!partition) return rh_emu_refuse_partition(hub, &reply->no);
    describe_partition(partition, rh_loop_wall_ms(emulator->loop), &reply->body);
    return true;
}

const rh_emu_service rh_emu_management = { .place = RH_EMU_MANAGEMENT, .name = "$management", .moment = RH_EMU_AT_INQUIRY, .answer = read_properties };
