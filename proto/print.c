/* Performatives as text for traces: names from the table, values as the codec prints them. */
#include "proto/table.h"

struct text {
    char  *out;
    size_t n, wanted; /* characters so far, whether they fitted or not; the last byte of out is for the zero */
};

static void put_bytes(struct text *text, const char *bytes, size_t n)
{
    size_t room = text->n > text->wanted ? text->n - text->wanted : 0;
    if (room > 1) memcpy(text->out + text->wanted, bytes, n < room ? n : room - 1);
    text->wanted += n;
}

static void put(struct text *text, const char *words)
{
    put_bytes(text, words, strlen(words));
}

static void put_number(struct text *text, size_t v)
{
    char  digits[20];
    char *p = digits + sizeof digits;
    do *--p = (char)('0' + v % 10);
    while (v /= 10);
    put_bytes(text, p, (size_t)(digits + sizeof digits - p));
}

static void put_value(struct text *text, rh_slice encoded)
{
    size_t room = text->n > text->wanted ? text->n - text->wanted : 0;
    text->wanted += rh_value_print(encoded, room ? text->out + text->wanted : NULL, room);
}

static size_t put_end(struct text *text)
{
    if (text->n) text->out[text->wanted < text->n ? text->wanted : text->n - 1] = '\0';
    return text->wanted;
}

/* [5.3.3] what proves who somebody is: the client's two responses, and the challenge that one of them answers. */
static bool is_secret(rh_composite_id id, uint32_t at)
{
    return (id == RH_AMQP_SASL_INIT && at == RH_AT_SASL_INIT_INITIAL_RESPONSE)
        || (id == RH_AMQP_SASL_RESPONSE && at == RH_AT_SASL_RESPONSE_RESPONSE)
        || (id == RH_AMQP_SASL_CHALLENGE && at == RH_AT_SASL_CHALLENGE_CHALLENGE);
}

/* A list inside a field is named: state=accepted [], error=error [:amqp:not-found, "..."]. */
static void put_field_value(struct text *text, rh_slice encoded)
{
    rh_dec          d     = rh_dec_of(encoded);
    rh_composite_id inner = rh_composite_peek(&d);
    if (inner != RH_AMQP_UNKNOWN) {
        rh_value descriptor;
        rh_dec_described(&d, &descriptor);
        put(text, rh_composite_name(inner));
        put(text, " ");
    }
    put_value(text, rh_slice_of(d.p, rh_dec_left(&d)));
}

static void put_secret(struct text *text, rh_slice encoded)
{
    rh_dec   d       = rh_dec_of(encoded);
    rh_slice content = rh_dec_binary(&d);
    put(text, "<");
    put_number(text, d.status == RH_OK ? content.n : encoded.n);
    put(text, " bytes>");
}

static void put_fields(struct text *text, rh_composite_id id, rh_dec *items, uint32_t count)
{
    const rh_table *table = &rh_tables[id];
    const char     *comma = "";
    for (uint32_t i = 0; i < count && i < table->count && items->status == RH_OK; i++) {
        if (rh_dec_null(items)) continue;
        rh_slice encoded = rh_dec_raw(items);
        if (encoded.p == NULL) break;
        put(text, comma);
        put(text, table->rows[i].words);
        put(text, "=");
        if (is_secret(id, i)) put_secret(text, encoded);
        else put_field_value(text, encoded);
        comma = ", ";
    }
    if (count > table->count) rh_dec_fail(items, RH_E_DECODE);
    rh_dec_end(items);
}

size_t rh_performative_print(rh_slice body, char *out, size_t n)
{
    struct text     text = { out, n, 0 };
    rh_dec          d    = rh_dec_of(body);
    rh_composite_id id   = rh_composite_peek(&d);
    if (body.n == 0) {
        put(&text, "heartbeat");
        return put_end(&text);
    }
    if (id == RH_AMQP_UNKNOWN) {
        put_value(&text, body);
        return put_end(&text);
    }

    rh_value descriptor;
    rh_dec   items;
    rh_dec_described(&d, &descriptor);
    put(&text, rh_composite_name(id));
    put(&text, "(");
    uint32_t count = rh_dec_list(&d, &items);
    put_fields(&text, id, &items, count);
    if (d.status != RH_OK) {
        put(&text, "<malformed at byte ");
        put_number(&text, (size_t)(d.p - body.p));
        put(&text, ">");
    }
    put(&text, ")");
    if (d.status == RH_OK && d.p != d.end) {
        put(&text, " ");
        put_number(&text, rh_dec_left(&d));
        put(&text, " B");
    }
    return put_end(&text);
}
