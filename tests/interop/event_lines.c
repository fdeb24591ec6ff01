/*
 * Our client's side of the interop of properties: reads events of one partition and prints each as the canonical line
 * of event_line.js, and sends each again, taken apart and put together anew, to another partition.
 *
 *   event_lines CONN HUB PARTITION COUNT [COPY_TO]
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <ringhub/eventhub.h>

enum { ENTRIES_MAX = 64 };

static void print_hex(const uint8_t *p, size_t n)
{
    putchar('"');
    for (size_t i = 0; i < n; i++) printf("%02x", p[i]);
    putchar('"');
}

static void print_bits(uint64_t bits, int digits) { printf("\"%0*llx\"", digits, (unsigned long long)bits); }

/* As JSON.stringify does. */
static void print_text(rh_slice text)
{
    static const char shorts[] = "btn?fr";
    putchar('"');
    for (size_t i = 0; i < text.n; i++) {
        uint8_t c = text.p[i];
        if (c == '"' || c == '\\') printf("\\%c", c);
        else if (c >= 8 && c <= 13 && c != 11) printf("\\%c", shorts[c - 8]);
        else if (c < 0x20) printf("\\u%04x", c);
        else putchar(c);
    }
    putchar('"');
}

static void print_value(const rh_value *value);

static void print_items(rh_dec *items, uint32_t count, bool pairs)
{
    putchar('[');
    for (uint32_t i = 0; i < count; i++) {
        rh_value item;
        if (!rh_dec_value(items, &item)) break;
        if (i) putchar(',');
        if (pairs && i % 2 == 0) putchar('[');
        print_value(&item);
        if (pairs && i % 2) putchar(']');
    }
    putchar(']');
}

static void print_plain(const rh_value *value)
{
    uint32_t float_bits;
    uint64_t double_bits;
    switch (value->type) {
    case RH_NULL: fputs("null", stdout); break;
    case RH_BOOL: fputs(value->boolean ? "true" : "false", stdout); break;
    case RH_UBYTE: case RH_USHORT: case RH_UINT: printf("%llu", (unsigned long long)value->u); break;
    case RH_BYTE: case RH_SHORT: case RH_INT: printf("%lld", (long long)value->i); break;
    case RH_ULONG: printf("\"%llu\"", (unsigned long long)value->u); break;
    case RH_LONG: case RH_TIMESTAMP: printf("\"%lld\"", (long long)value->i); break;
    case RH_FLOAT: memcpy(&float_bits, &value->f, 4); print_bits(float_bits, 8); break;
    case RH_DOUBLE: memcpy(&double_bits, &value->d, 8); print_bits(double_bits, 16); break;
    case RH_CHAR: printf("%u", value->character); break;
    case RH_STRING: case RH_SYMBOL: print_text(value->bytes); break;
    default: print_hex(value->bytes.p, value->bytes.n); break;
    }
}

static void print_array(const rh_value *value)
{
    rh_array array;
    rh_value item;
    rh_value_array(value, &array);
    printf("[\"%s\",[", array.type == RH_BOOL ? "boolean" : rh_type_name(array.type));
    for (bool first = true; rh_array_next(&array, &item); first = false) {
        if (!first) putchar(',');
        print_plain(&item);
    }
    fputs("]]", stdout);
}

static void print_described(const rh_value *value)
{
    rh_dec d = rh_dec_of(value->bytes);
    rh_value descriptor, inner;
    if (!rh_dec_described(&d, &descriptor) || !rh_dec_value(&d, &inner)) return;
    putchar('[');
    print_value(&descriptor);
    putchar(',');
    print_value(&inner);
    putchar(']');
}

/* The type, then the value: T of event_line.js. */
static void print_value(const rh_value *value)
{
    rh_dec items;
    printf("[\"%s\",", value->type == RH_BOOL ? "boolean" : rh_type_name(value->type));
    if (value->type == RH_LIST || value->type == RH_MAP) {
        uint32_t count = rh_value_items(value, &items);
        print_items(&items, count, value->type == RH_MAP);
    } else if (value->type == RH_ARRAY) print_array(value);
    else if (value->type == RH_DESCRIBED) print_described(value);
    else print_plain(value);
    putchar(']');
}

static void print_encoded(rh_slice encoded)
{
    rh_dec d = rh_dec_of(encoded);
    rh_value value;
    if (!encoded.p || !rh_dec_value(&d, &value) || value.type == RH_NULL) fputs("null", stdout);
    else print_value(&value);
}

/* -- one event ------------------------------------------------------------------------------- */

struct parts {
    rh_property properties[ENTRIES_MAX], annotations[ENTRIES_MAX];
    size_t property_count, annotation_count;
    rh_amqp_properties fields;
    bool has_fields;
};

static size_t collect(rh_property_walk walk, rh_property *out, bool without_service)
{
    size_t count = 0;
    for (rh_property property; count < ENTRIES_MAX && rh_property_next(&walk, &property);) {
        if (without_service && property.key.n >= 6 && memcmp(property.key.p, "x-opt-", 6) == 0) continue;
        out[count++] = property;
    }
    return count;
}

static int by_key(const void *a, const void *b)
{
    const rh_property *x = a, *y = b;
    size_t n = x->key.n < y->key.n ? x->key.n : y->key.n;
    int order = memcmp(x->key.p, y->key.p, n);
    return order ? order : (x->key.n > y->key.n) - (x->key.n < y->key.n);
}

static void print_map(const char *name, const rh_property *properties, size_t count)
{
    rh_property sorted[ENTRIES_MAX];
    memcpy(sorted, properties, count * sizeof *sorted);
    qsort(sorted, count, sizeof *sorted, by_key);
    printf(",\"%s\":{", name);
    for (size_t i = 0; i < count; i++) {
        if (i) putchar(',');
        print_text(sorted[i].key);
        putchar(':');
        print_value(&sorted[i].value);
    }
    putchar('}');
}

static size_t add_text(rh_property *out, const char *name, rh_type type, rh_slice text)
{
    if (!text.p) return 0;
    *out = (rh_property){ .key = rh_str(name), .value = { .type = type, .bytes = text } };
    return 1;
}

static size_t add_number(rh_property *out, const char *name, rh_value value, bool there)
{
    if (!there) return 0;
    *out = (rh_property){ .key = rh_str(name), .value = value };
    return 1;
}

/* The fields of the properties section that have no place of their own in the line. */
static void print_system(const struct parts *parts)
{
    const rh_amqp_properties *p = &parts->fields;
    rh_property out[10];
    size_t n = 0;
    if (parts->has_fields) {
        n += add_text(out + n, "user_id", RH_BINARY, p->user_id);
        n += add_text(out + n, "subject", RH_STRING, p->subject);
        n += add_text(out + n, "content_encoding", RH_SYMBOL, p->content_encoding);
        n += add_text(out + n, "group_id", RH_STRING, p->group_id);
        n += add_text(out + n, "reply_to_group_id", RH_STRING, p->reply_to_group_id);
        n += add_number(out + n, "absolute_expiry_time", (rh_value){ .type = RH_TIMESTAMP, .i = p->absolute_expiry_time },
                        p->has & RH_HAS_PROPERTIES_ABSOLUTE_EXPIRY_TIME);
        n += add_number(out + n, "creation_time", (rh_value){ .type = RH_TIMESTAMP, .i = p->creation_time },
                        p->has & RH_HAS_PROPERTIES_CREATION_TIME);
        n += add_number(out + n, "group_sequence", (rh_value){ .type = RH_UINT, .u = p->group_sequence },
                        p->has & RH_HAS_PROPERTIES_GROUP_SEQUENCE);
        rh_slice addresses[] = { p->to, p->reply_to };
        for (size_t i = 0; i < 2; i++) {
            rh_dec d = rh_dec_of(addresses[i]);
            rh_value value;
            if (addresses[i].p && rh_dec_value(&d, &value)) n += add_number(out + n, i ? "reply_to" : "to", value, true);
        }
    }
    print_map("system", out, n);
}

static void print_body(const rh_event *event)
{
    rh_slice body = rh_event_body(event);
    switch (rh_event_body_kind(event)) {
    case RH_BODY_DATA: fputs("[\"data\",", stdout); print_hex(body.p, body.n); break;
    case RH_BODY_VALUE: fputs("[\"value\",", stdout); print_encoded(body); break;
    case RH_BODY_SEQUENCE: {
        rh_dec d = rh_dec_of(body), items;
        uint32_t count = rh_dec_list(&d, &items);
        fputs("[\"sequence\",", stdout);
        print_items(&items, count, false);
        break;
    }
    default: fputs("[\"none\",null", stdout); break;
    }
    putchar(']');
}

static void take_apart(const rh_event *event, struct parts *parts)
{
    parts->property_count = collect(rh_event_properties(event), parts->properties, false);
    parts->annotation_count = collect(rh_event_annotations(event), parts->annotations, true);
    parts->has_fields = rh_event_amqp_properties(event, &parts->fields);
}

static void print_event(const rh_event *event, const struct parts *parts)
{
    rh_slice content_type = rh_event_content_type(event);
    fputs("{\"body\":", stdout);
    print_body(event);
    fputs(",\"content_type\":", stdout);
    if (content_type.p) print_text(content_type);
    else fputs("null", stdout);
    fputs(",\"message_id\":", stdout);
    print_encoded(parts->has_fields ? parts->fields.message_id : (rh_slice){ 0 });
    fputs(",\"correlation_id\":", stdout);
    print_encoded(parts->has_fields ? parts->fields.correlation_id : (rh_slice){ 0 });
    print_system(parts);
    print_map("annotations", parts->annotations, parts->annotation_count);
    print_map("properties", parts->properties, parts->property_count);
    puts("}");
}

static rh_status send_again(rh_producer *producer, const rh_event *event, const struct parts *parts, rh_error *error)
{
    rh_event_data data = {
        .body = rh_event_body(event), .body_kind = rh_event_body_kind(event),
        .properties = parts->properties, .property_count = parts->property_count,
        .annotations = parts->annotations, .annotation_count = parts->annotation_count,
        .amqp_properties = parts->has_fields ? &parts->fields : NULL,
    };
    rh_batch *batch;
    rh_status status = rh_batch_create(producer, NULL, &batch);
    if (status == RH_OK) status = rh_batch_add(batch, &data);
    if (status != RH_OK) {
        rh_error_set(error, status, NULL, rh_status_words(status));
        return status;
    }
    return rh_producer_send_wait(producer, batch, 5000, error);
}

static int fail(const char *what, const rh_error *error)
{
    fprintf(stderr, "%s: %s: %s\n", what, rh_status_name(error->status), error->description);
    return 1;
}

int main(int argc, char **argv)
{
    if (argc < 5) return fputs("usage: event_lines CONN HUB PARTITION COUNT [COPY_TO]\n", stderr), 2;
    rh_error error;
    rh_loop *loop;
    rh_client *client;
    rh_consumer *consumer;
    rh_producer *producer = NULL;
    if (rh_loop_create(NULL, &loop, &error) != RH_OK) return fail("loop", &error);
    if (rh_client_create(loop, RH_CLIENT_OPTS(.connection_string = argv[1], .hub = argv[2]), &client, &error) != RH_OK) return fail("client", &error);
    if (rh_consumer_open_wait(client, RH_CONSUMER_OPTS(.partition = argv[3]), &consumer, 5000, &error) != RH_OK) return fail("consumer", &error);
    if (argc > 5 && rh_producer_open_wait(client, RH_PRODUCER_OPTS(.partition = argv[5]), &producer, 5000, &error) != RH_OK) return fail("producer", &error);
    for (long left = atol(argv[4]); left > 0; left--) {
        const rh_event *event;
        rh_status status = rh_consumer_receive_wait(consumer, &event, 5000);
        if (status != RH_OK) return fprintf(stderr, "receive: %s\n", rh_status_name(status)), 1;
        struct parts parts;
        take_apart(event, &parts);
        print_event(event, &parts);
        if (producer && send_again(producer, event, &parts, &error) != RH_OK) return fail("send", &error);
        rh_event_release(event);
    }
    rh_producer_destroy(producer);
    rh_consumer_destroy(consumer);
    (void)rh_client_close_wait(client, 1000, NULL);
    rh_client_destroy(client);
    return rh_loop_destroy(loop) == RH_OK ? 0 : 1;
}
