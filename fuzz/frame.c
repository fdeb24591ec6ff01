/* A frame, and the list, message or batch inside: readers by hand and by table agree, what was read is written and read
 * again, and nothing points outside of the bytes. */
#include "fuzz/kit/lent.h"
#include "fuzz/kit/mutator.h"
#include "fuzz/kit/target.h"
#include "fuzz/oracle.h"
#include "proto/proto.h"
#include "proto/table.h"

union any_list {
    uint32_t has;
#define RH_COMPOSITE(name, NAME, code, words) rh_amqp_##name name;
#include "proto/performatives.def"
};

static uint8_t out[3][1 << 18];

static rh_slice slice_at(const union any_list *list, const rh_row *row)
{
    return *(const rh_slice *)(const void *)((const uint8_t *)list + row->offset);
}

/* Every slice lies in the bytes, and is there exactly if its bit says so. */
static void check_slices(rh_composite_id id, const union any_list *list, rh_slice bytes)
{
    const rh_table *table = &rh_tables[id];
    for (uint32_t i = 0; i < table->count; i++) {
        if (table->rows[i].kind < RH_KIND_string) continue;
        rh_slice slice = slice_at(list, &table->rows[i]);
        REQUIRE(inside(slice, bytes));
        REQUIRE((slice.p != NULL) == (list->has >> i & 1));
    }
}

static rh_slice write_list(rh_composite_id id, const union any_list *list)
{
    rh_enc by_hand = rh_enc_of(out[0], sizeof out[0]), by_table = rh_enc_of(out[1], sizeof out[1]);
    REQUIRE(rh_composite_encode(&by_hand, id, list));
    REQUIRE(rh_table_encode(&by_table, id, list));
    REQUIRE(rh_slice_equal(rh_enc_written(&by_hand), rh_enc_written(&by_table)));
    return rh_enc_written(&by_hand);
}

static void check_list(rh_composite_id id, rh_slice bytes)
{
    union any_list list, by_table, again;
    rh_dec         d = rh_dec_of(bytes), t = rh_dec_of(bytes);
    memset(&list, 1, sizeof list);
    memset(&by_table, 2, sizeof by_table);
    memset(&again, 3, sizeof again);
    rh_status status = rh_composite_decode(&d, id, &list);
    REQUIRE(rh_table_decode(&t, id, &by_table) == status);
    REQUIRE(d.p == t.p && list.has == by_table.has);
    REQUIRE(inside(rh_slice_of(d.p, 0), bytes) || bytes.n == 0);
    check_slices(id, &list, bytes);
    if (status != RH_OK) return;

    rh_slice written = write_list(id, &list);
    REQUIRE(rh_slice_equal(written, write_list(id, &by_table)));
    memcpy(out[2], written.p, written.n);
    written.p = out[2];
    REQUIRE(rh_composite_view(written, id, &again) == RH_OK);
    REQUIRE(again.has == list.has);
    REQUIRE(rh_slice_equal(written, write_list(id, &again)));
}

static void check_print(rh_slice body)
{
    char   text[64];
    size_t wanted = rh_performative_print(body, NULL, 0);
    REQUIRE(rh_performative_print(body, text, sizeof text) == wanted);
    REQUIRE(strlen(text) <= wanted && strlen(text) < sizeof text);
    if (wanted < sizeof text) REQUIRE(strlen(text) == wanted || memchr(body.p, 0, body.n));
}

/* All pairs at once are those that are read one by one. */
static void check_map_read(rh_slice map)
{
    rh_property all[16], pair;
    size_t      count, n = 0;
    rh_status   status = rh_map_read(map, all, 16, &count);
    rh_dec      items  = rh_map_open(map);
    for (; n < 16 && rh_map_next(&items, &pair); n++)
        REQUIRE(n < count && rh_slice_equal(all[n].key, pair.key) && all[n].value.type == pair.value.type && all[n].value.u == pair.value.u);
    REQUIRE(count == n && status == (n == 16 && rh_map_next(&items, &pair) ? RH_E_SPACE : items.status));
}

static void check_map(rh_slice map)
{
    rh_property property;
    rh_value    value;
    rh_dec      items = rh_map_open(map);
    size_t      turns = 0;
    while (rh_map_next(&items, &property)) {
        REQUIRE(inside(property.key, map) && inside(property.value.bytes, map));
        REQUIRE(++turns <= map.n);
    }
    REQUIRE(items.p == items.end);
    if (rh_map_find(map, "x-opt-offset", &value)) REQUIRE(inside(value.bytes, map));
    check_map_read(map);
}

static void check_message(rh_slice bytes, bool is_inner);

static void check_batch(rh_slice bytes)
{
    rh_message outer;
    rh_dec     events;
    rh_slice   message;
    rh_status  status = rh_envelope_open(bytes, &outer, &events);
    uint32_t   count  = 0;
    while (rh_envelope_next(&events, &message)) {
        REQUIRE(inside(message, bytes) && message.p != NULL);
        check_message(message, true);
        count++;
    }
    REQUIRE(status == RH_OK ? count == outer.body_sections && events.status == RH_OK : count == 0);
}

/* A list section without a descriptor, as rh_message keeps it, against the same with one. */
static void check_section(rh_composite_id id, rh_slice section, rh_status status, uint32_t has)
{
    union any_list list;
    rh_enc         e = rh_enc_of(out[2], sizeof out[2]);
    if (section.p == NULL) return;
    rh_enc_descriptor(&e, rh_tables[id].code);
    rh_enc_raw(&e, section);
    rh_dec d = rh_dec_of(rh_enc_written(&e));
    REQUIRE(rh_composite_decode(&d, id, &list) == status && list.has == has);
}

static void check_message(rh_slice bytes, bool is_inner)
{
    rh_message message;
    rh_status  status = rh_message_view(bytes, &message);
    const rh_slice parts[] = { message.header, message.delivery_annotations, message.message_annotations, message.properties,
                               message.application_properties, message.footer, message.body, message.body_raw };
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        REQUIRE(inside(parts[i], bytes));
        if (status != RH_OK) REQUIRE(parts[i].p == NULL);
    }
    check_map(message.message_annotations);
    check_map(message.application_properties);

    rh_amqp_header     header;
    rh_amqp_properties properties;
    rh_status          header_status = rh_message_header(&message, &header);
    rh_status          properties_status = rh_message_properties(&message, &properties);
    check_section(RH_AMQP_HEADER, message.header, header_status, header.has);
    check_section(RH_AMQP_PROPERTIES, message.properties, properties_status, properties.has);

    rh_dec   sections = rh_dec_of(message.body_raw);
    rh_slice part;
    uint32_t count = 0;
    while (rh_message_body_next(&sections, &part)) count++;
    REQUIRE(sections.status == RH_OK && count == message.body_sections);

    /* What was read is written again and reads the same; the sizes told are the sizes written. */
    if (status != RH_OK || header_status != RH_OK || properties_status != RH_OK || is_inner) return;
    rh_message_fields fields = { .header = message.header.p ? &header : NULL, .properties = message.properties.p ? &properties : NULL,
                                 .body_kind = message.body_kind, .body = message.body };
    rh_message        again;
    rh_enc            e = rh_enc_of(out[2], sizeof out[2]);
    REQUIRE(rh_message_write(&e, &fields) == RH_OK);
    REQUIRE(rh_enc_size(&e) == rh_message_size(&fields));
    REQUIRE(rh_message_view(rh_enc_written(&e), &again) == RH_OK);
    REQUIRE(again.body_kind == message.body_kind && rh_slice_equal(again.body, message.body));
}

/* Whatever stands where text should: it is written, in exactly its size, if and only if it is text. */
static void check_write(rh_slice bytes)
{
    rh_message  message;
    rh_property pairs[16];
    size_t      count, third = bytes.n / 3;
    if (rh_message_view(bytes, &message) != RH_OK) message = (rh_message){ .body_kind = RH_BODY_NONE };
    rh_status status = rh_map_read(message.application_properties, pairs, 16, &count);
    (void)status; /* those that were read will do */
    const rh_message_fields fields = {
        .partition_key = rh_slice_of(bytes.p, third), .message_id = rh_slice_of(bytes.p + third, third),
        .content_type = rh_slice_of(bytes.p + 2 * third, bytes.n % 7 <= third ? bytes.n % 7 : 0),
        .application_properties = pairs, .application_property_count = count,
        .body_kind = RH_BODY_DATA, .body = message.body_kind == RH_BODY_DATA ? message.body : bytes,
    };
    size_t size = rh_message_size(&fields);
    for (size_t room = size; room <= size + 600; room += 600) {
        rh_enc e = rh_enc_of(out[2], room);
        REQUIRE(rh_message_write(&e, &fields) == (rh_message_text_is(&fields) ? RH_OK : RH_E_ARGUMENT));
        REQUIRE(e.status != RH_OK || rh_enc_size(&e) == size);
    }
}

static void check_body(rh_slice body)
{
    rh_dec          d  = rh_dec_of(body);
    rh_composite_id id = rh_composite_peek(&d);
    check_print(body);
    check_list(id == RH_AMQP_UNKNOWN ? RH_AMQP_TRANSFER : id, body);
    rh_amqp_transfer transfer;
    if (id == RH_AMQP_TRANSFER && rh_amqp_transfer_decode(&d, &transfer) == RH_OK) body = rh_slice_of(d.p, rh_dec_left(&d));
    else if (id < RH_AMQP_HEADER) return;
    check_message(body, false);
    check_batch(body);
    check_write(body);
}

static void run(const uint8_t *data, size_t size)
{
    KIT_LENT(lent, 1 << 14);
    if (size > 1 << 14) return;
    uint8_t *exact = KIT_LEND(lent, size); /* so that one byte too far is seen */
    if (size) memcpy(exact, data, size);

    rh_frame  frame;
    size_t    told   = rh_frame_size(exact, size);
    rh_status status = rh_frame_parse(exact, size, &frame);
    if (status == RH_OK) {
        REQUIRE(frame.size == told && told <= size && frame.doff >= 2);
        REQUIRE(frame.body.p == exact + 4 * frame.doff && frame.body.n == told - 4u * frame.doff);
        check_body(frame.body);
    } else {
        check_body(rh_slice_of(exact, size));
    }
    KIT_RETURN(lent, size);
}

TARGET(run, 20000, 1000)
TARGET_HOLDS_FRAMES
