/* What a message will take before it is written. Each number here mirrors a writer. */
#include "proto/compound.h"
#include "proto/table.h"

static size_t variable_size(size_t n)
{
    return n <= 0xff ? 2 + n : 5 + n;
}

static size_t uint_size(uint64_t v)
{
    return v == 0 ? 1 : v <= 0xff ? 2 : 5;
}

static size_t value_size(const rh_value *value)
{
    switch (value->type) {
    case RH_NULL: case RH_BOOL:                       return 1;
    case RH_UBYTE: case RH_BYTE:                      return 2;
    case RH_USHORT: case RH_SHORT:                    return 3;
    case RH_UINT:                                     return uint_size((uint32_t)value->u);
    case RH_ULONG:                                    return value->u == 0 ? 1 : value->u <= 0xff ? 2 : 9;
    case RH_INT:                                      return (int32_t)value->i == (int8_t)value->i ? 2 : 5;
    case RH_LONG:                                     return value->i == (int8_t)value->i ? 2 : 9;
    case RH_FLOAT: case RH_CHAR: case RH_DECIMAL32:   return 5;
    case RH_DOUBLE: case RH_TIMESTAMP: case RH_DECIMAL64: return 9;
    case RH_UUID: case RH_DECIMAL128:                 return 17;
    case RH_BINARY: case RH_STRING: case RH_SYMBOL:   return value->bytes.p ? variable_size(value->bytes.n) : 1;
    case RH_LIST: case RH_MAP: case RH_ARRAY: case RH_DESCRIBED: return value->bytes.n + (value->bare ? 1 : 0);
    case RH_INVALID:                                  break;
    }
    return 0;
}

static size_t map_size(rh_slice partition_key, const rh_property *properties, size_t count)
{
    if (count == 0 && !partition_key.p) return 0;
    size_t n = partition_key.p ? variable_size(sizeof "x-opt-partition-key" - 1) + variable_size(partition_key.n) : 0;
    for (size_t i = 0; i < count; i++) n += variable_size(properties[i].key.n) + value_size(&properties[i].value);
    return 3 + compound_size(n, 2 * (count + (partition_key.p ? 1 : 0)));
}

/* Of the kinds that header and properties have. */
static size_t number_size(rh_kind kind, const void *from)
{
    switch (kind) {
    case RH_KIND_bool:  return 1;
    case RH_KIND_ubyte: return 2;
    case RH_KIND_uint:  return uint_size(*(const uint32_t *)from);
    default:            return 9; /* timestamps */
    }
}

static size_t field_size(const rh_row *row, const void *from, bool has)
{
    rh_kind kind = (rh_kind)row->kind;
    if (kind < RH_KIND_string) return has || row->mandatory ? number_size(kind, from) : 1;

    rh_slice slice = *(const rh_slice *)from;
    if (kind <= RH_KIND_binary) return slice.p ? variable_size(slice.n) : 1;
    return slice.n ? slice.n : 1;
}

static size_t fields_size(rh_composite_id id, const void *in)
{
    const rh_table *table = &rh_tables[id];
    size_t          n     = 0;
    uint32_t        has;
    memcpy(&has, in, sizeof has);
    for (uint32_t i = 0; i < table->count; i++)
        n += field_size(&table->rows[i], (const uint8_t *)in + table->rows[i].offset, has >> i & 1);
    return n;
}

static size_t composite_size(rh_composite_id id, const void *in)
{
    return in == NULL ? 0 : 3 + compound_size(fields_size(id, in), rh_tables[id].count);
}

/* The properties without the three fields that are given as text: they count as the null that is in their place. */
static size_t properties_size(const rh_message_fields *fields)
{
    const rh_slice texts[] = { fields->message_id, fields->correlation_id, fields->content_type };
    if (!texts[0].p && !texts[1].p && !texts[2].p) return composite_size(RH_AMQP_PROPERTIES, fields->properties);
    rh_amqp_properties rest = { .has = 0 };
    if (fields->properties) rest = *fields->properties;
    if (texts[0].p) rest.message_id = rh_slice_of(NULL, 0);
    if (texts[1].p) rest.correlation_id = rh_slice_of(NULL, 0);
    if (texts[2].p) rest.content_type = rh_slice_of(NULL, 0);
    size_t n = fields_size(RH_AMQP_PROPERTIES, &rest);
    for (int i = 0; i < 3; i++) n += texts[i].p ? variable_size(texts[i].n) - 1 : 0;
    return 3 + compound_size(n, RH_FIELDS_PROPERTIES);
}

static size_t body_size(rh_body_kind kind, rh_slice body)
{
    switch (kind) {
    case RH_BODY_DATA:     return 3 + variable_size(body.n);
    case RH_BODY_SEQUENCE:
    case RH_BODY_VALUE:    return 3 + (body.n ? body.n : 1);
    case RH_BODY_NONE:     break;
    }
    return 0;
}

size_t rh_message_size(const rh_message_fields *fields)
{
    return composite_size(RH_AMQP_HEADER, fields->header)
         + map_size(fields->partition_key, fields->message_annotations, fields->message_annotation_count)
         + properties_size(fields)
         + map_size(rh_slice_of(NULL, 0), fields->application_properties, fields->application_property_count)
         + body_size(fields->body_kind, fields->body);
}
