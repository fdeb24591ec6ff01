#include "codec/text.h"
#include "codec/walk.h"

static void put_binary(rh_text *text, rh_slice bytes)
{
    rh_text_string(text, "b\"");
    for (size_t i = 0; i < bytes.n; i++) {
        uint8_t byte = bytes.p[i];
        if (byte >= 0x20 && byte < 0x7f) {
            rh_text_escaped(text, rh_slice_of(bytes.p + i, 1));
        } else {
            rh_text_string(text, "\\x");
            rh_text_hex(text, byte, 2);
        }
    }
    rh_text_char(text, '"');
}

/* Symbols are written bare unless they hold something that the notation itself uses. */
static bool is_bare(rh_slice symbol)
{
    for (size_t i = 0; i < symbol.n; i++) {
        uint8_t c = symbol.p[i];
        if (c <= ' ' || c >= 0x7f || memchr("\"'\\=,@[]{}<>", c, 12)) return false;
    }
    return symbol.n > 0;
}

static void put_quoted(rh_text *text, rh_slice content)
{
    rh_text_char(text, '"');
    rh_text_escaped(text, content);
    rh_text_char(text, '"');
}

static void put_symbol(rh_text *text, rh_slice symbol)
{
    rh_text_char(text, ':');
    if (!is_bare(symbol)) put_quoted(text, symbol);
    else for (size_t i = 0; i < symbol.n; i++) rh_text_char(text, (char)symbol.p[i]);
}

static void put_uuid(rh_text *text, rh_slice uuid)
{
    for (size_t i = 0; i < uuid.n; i++) {
        if (i == 4 || i == 6 || i == 8 || i == 10) rh_text_char(text, '-');
        rh_text_hex(text, uuid.p[i], 2);
    }
}

static void put_bits(rh_text *text, const char *name, rh_slice bytes)
{
    rh_text_string(text, name);
    rh_text_string(text, "(0x");
    for (size_t i = 0; i < bytes.n; i++) rh_text_hex(text, bytes.p[i], 2);
    rh_text_char(text, ')');
}

static void put_character(rh_text *text, uint32_t c)
{
    if (c >= 0x20 && c < 0x7f && c != '\'' && c != '\\') {
        rh_text_char(text, '\'');
        rh_text_char(text, (char)c);
        rh_text_char(text, '\'');
        return;
    }
    rh_text_string(text, "U+");
    rh_text_hex(text, c, c > 0xffff ? 6 : 4);
}

static void put_scalar(rh_text *text, const rh_value *value)
{
    switch (value->type) {
    case RH_NULL:   rh_text_string(text, "null"); return;
    case RH_BOOL:   rh_text_string(text, value->boolean ? "true" : "false"); return;
    case RH_UBYTE:
    case RH_USHORT:
    case RH_UINT:
    case RH_ULONG:  rh_text_unsigned(text, value->u); return;
    case RH_BYTE:
    case RH_SHORT:
    case RH_INT:
    case RH_LONG:   rh_text_signed(text, value->i); return;
    case RH_FLOAT:  rh_text_double(text, (double)value->f, true); return;
    case RH_DOUBLE: rh_text_double(text, value->d, false); return;
    case RH_DECIMAL32:
    case RH_DECIMAL64:
    case RH_DECIMAL128: put_bits(text, rh_type_name(value->type), value->bytes); return;
    case RH_CHAR:       put_character(text, value->character); return;
    case RH_TIMESTAMP:
        rh_text_signed(text, value->i);
        rh_text_string(text, "ms");
        return;
    case RH_UUID:   put_uuid(text, value->bytes); return;
    case RH_BINARY: put_binary(text, value->bytes); return;
    case RH_STRING: put_quoted(text, value->bytes); return;
    case RH_SYMBOL: put_symbol(text, value->bytes); return;
    default:        rh_text_string(text, "..."); return; /* a compound that is not entered */
    }
}

/* Descriptors are codes of a table in the book, which prints them so. */
static void put_descriptor(rh_text *text, const rh_value *value)
{
    if (value->type != RH_ULONG) {
        put_scalar(text, value);
        return;
    }
    unsigned digits = 2;
    while (digits < 16 && value->u >> (4 * digits)) digits += 2;
    rh_text_string(text, "0x");
    rh_text_hex(text, value->u, digits);
}

/* symbol[ or, if the elements are described, list@0x24[ */
static void open_array(rh_text *text, const rh_array *array)
{
    rh_text_string(text, rh_type_name(array->type));
    if (array->descriptor.p) {
        rh_value descriptor;
        rh_dec   d = rh_dec_of(array->descriptor);
        rh_dec_described(&d, &descriptor);
        rh_text_char(text, '@');
        put_descriptor(text, &descriptor);
    }
    rh_text_char(text, '[');
}

/* An array is a value by itself when its elements have no bytes, or when it lies too deep. */
static void put_value(rh_text *text, const rh_value *value)
{
    rh_array array;
    rh_value element;
    if (value->type != RH_ARRAY || rh_value_array(value, &array) == 0 || array.items.p != array.items.end) {
        put_scalar(text, value);
        return;
    }
    uint32_t count = array.count;
    open_array(text, &array);
    rh_array_next(&array, &element);
    if (element.type == RH_LIST) rh_text_string(text, "[]");
    else put_scalar(text, &element);
    rh_text_string(text, " x ");
    rh_text_unsigned(text, count);
    rh_text_char(text, ']');
}

static void put_separator(rh_text *text, rh_place place)
{
    switch (place) {
    case RH_PLACE_FIRST:      return;
    case RH_PLACE_NEXT:       rh_text_string(text, ", "); return;
    case RH_PLACE_OF_KEY:     rh_text_char(text, '='); return;
    case RH_PLACE_DESCRIPTOR: return;
    case RH_PLACE_DESCRIBED:  rh_text_char(text, ' '); return;
    }
}

static void put_step(rh_text *text, rh_step step, const rh_walk *walk)
{
    if (step < RH_STEP_CLOSE) put_separator(text, walk->place);
    switch (step) {
    case RH_STEP_VALUE:
        if (walk->place == RH_PLACE_DESCRIPTOR) put_descriptor(text, &walk->value);
        else put_value(text, &walk->value);
        return;
    case RH_STEP_DESCRIBED: rh_text_char(text, '@'); return;
    case RH_STEP_OPEN:
        if (walk->value.type == RH_ARRAY) open_array(text, &walk->level[walk->depth].array);
        else rh_text_char(text, walk->value.type == RH_MAP ? '{' : '[');
        return;
    case RH_STEP_CLOSE:
        rh_text_char(text, walk->level[walk->depth + 1].type == RH_MAP ? '}' : ']');
        return;
    case RH_STEP_END: return;
    case RH_STEP_BROKEN:
        rh_text_string(text, "<malformed at byte ");
        rh_text_unsigned(text, walk->position);
        rh_text_char(text, '>');
        return;
    }
}

size_t rh_value_print(rh_slice encoded, char *out, size_t n)
{
    rh_text text = { out, n, 0 };
    rh_walk walk;
    rh_step step;
    rh_walk_init(&walk, encoded);
    do {
        step = rh_walk_next(&walk);
        put_step(&text, step, &walk);
    } while (step < RH_STEP_END);
    return rh_text_end(&text);
}
