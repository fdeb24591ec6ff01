/* Performatives as text for traces: names from the table, values as the codec prints them. */
#include "codec/text.h"
#include "proto/table.h"

static void put_value(rh_text *text, rh_slice encoded)
{
    size_t room = text->n > text->wanted ? text->n - text->wanted : 0;
    text->wanted += rh_value_print(encoded, room ? text->out + text->wanted : NULL, room);
}

/* [5.3.3] what proves who somebody is: the client's two responses, and the challenge that one of them answers. */
static bool is_secret(rh_composite_id id, uint32_t at)
{
    return (id == RH_AMQP_SASL_INIT && at == RH_AT_SASL_INIT_INITIAL_RESPONSE)
        || (id == RH_AMQP_SASL_RESPONSE && at == RH_AT_SASL_RESPONSE_RESPONSE)
        || (id == RH_AMQP_SASL_CHALLENGE && at == RH_AT_SASL_CHALLENGE_CHALLENGE);
}

/* A list inside a field is named: state=accepted [], error=error [:amqp:not-found, "..."]. */
static void put_field_value(rh_text *text, rh_slice encoded)
{
    rh_dec          d     = rh_dec_of(encoded);
    rh_composite_id inner = rh_composite_peek(&d);
    if (inner != RH_AMQP_UNKNOWN) {
        rh_value descriptor;
        rh_dec_described(&d, &descriptor);
        rh_text_string(text, rh_composite_name(inner));
        rh_text_string(text, " ");
    }
    put_value(text, rh_slice_of(d.p, rh_dec_left(&d)));
}

static void put_secret(rh_text *text, rh_slice encoded)
{
    rh_dec   d       = rh_dec_of(encoded);
    rh_slice content = rh_dec_binary(&d);
    rh_text_string(text, "<");
    rh_text_unsigned(text, d.status == RH_OK ? content.n : encoded.n);
    rh_text_string(text, " bytes>");
}

static void put_fields(rh_text *text, rh_composite_id id, rh_dec *items, uint32_t count)
{
    const rh_table *table = &rh_tables[id];
    const char     *comma = "";
    for (uint32_t i = 0; i < count && i < table->count && items->status == RH_OK; i++) {
        if (rh_dec_null(items)) continue;
        rh_slice encoded = rh_dec_raw(items);
        if (encoded.p == NULL) break;
        rh_text_string(text, comma);
        rh_text_string(text, table->rows[i].words);
        rh_text_string(text, "=");
        if (is_secret(id, i)) put_secret(text, encoded);
        else put_field_value(text, encoded);
        comma = ", ";
    }
    if (count > table->count) rh_dec_fail(items, RH_E_DECODE);
    rh_dec_end(items);
}

size_t rh_performative_print(rh_slice body, char *out, size_t n)
{
    rh_text         text = { out, n, 0 };
    rh_dec          d    = rh_dec_of(body);
    rh_composite_id id   = rh_composite_peek(&d);
    if (body.n == 0) {
        rh_text_string(&text, "heartbeat");
        return rh_text_end(&text);
    }
    if (id == RH_AMQP_UNKNOWN) {
        put_value(&text, body);
        return rh_text_end(&text);
    }

    rh_value descriptor;
    rh_dec   items;
    rh_dec_described(&d, &descriptor);
    rh_text_string(&text, rh_composite_name(id));
    rh_text_string(&text, "(");
    uint32_t count = rh_dec_list(&d, &items);
    put_fields(&text, id, &items, count);
    if (d.status != RH_OK) {
        rh_text_string(&text, "<malformed at byte ");
        rh_text_unsigned(&text, (size_t)(d.p - body.p));
        rh_text_string(&text, ">");
    }
    rh_text_string(&text, ")");
    if (d.status == RH_OK && d.p != d.end) {
        rh_text_string(&text, " ");
        rh_text_unsigned(&text, rh_dec_left(&d));
        rh_text_string(&text, " B");
    }
    return rh_text_end(&text);
}
