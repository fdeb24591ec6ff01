/* The table of lists against the specification's own XML (Debian package amqp-specs). */
#include <criterion/criterion.h>
#include <libxml/parser.h>
#include <libxml/tree.h>

#include "proto/proto.h"

struct row  { const char *words, *type, *fallback; bool mandatory; };
struct list { const char *words; uint64_t code; const struct row *rows; unsigned count; };

/* The table once more, as words. */
#define WORD_MANDATORY true
#define WORD_OPTIONAL  false
#define RH_COMPOSITE(name, NAME, code, words) static const struct row rows_of_##name[] = {
#define RH_FIELD(list, LIST, name, NAME, words, type, need, fallback) { words, #type, #fallback, WORD_##need },
#define RH_COMPOSITE_END(name, NAME) { 0 } };
#include "proto/performatives.def"

static const struct list lists[] = {
#define RH_COMPOSITE(name, NAME, code, words) { words, code, rows_of_##name, RH_FIELDS_##NAME },
#include "proto/performatives.def"
};

#define LISTS (sizeof lists / sizeof *lists)

/* Part 4 of the specification: Event Hubs has transactions, this library does not. */
static const char *const transactions[] = { "coordinator", "declare", "discharge", "declared", "transactional-state" };

static const char *const parts[] = { "types", "transport", "messaging", "transactions", "security" };
#define PARTS (sizeof parts / sizeof *parts)

static xmlDoc *documents[PARTS];

static void open_specification(void)
{
    for (size_t i = 0; i < PARTS; i++) {
        char path[128];
        snprintf(path, sizeof path, "/usr/share/amqp/specs/1-0/%s.bare.xml", parts[i]);
        documents[i] = xmlReadFile(path, NULL, XML_PARSE_NONET);
        cr_assert_not_null(documents[i], "%s cannot be read", path);
    }
}

static void close_specification(void)
{
    for (size_t i = 0; i < PARTS; i++) xmlFreeDoc(documents[i]);
    xmlCleanupParser();
}

TestSuite(spec, .init = open_specification, .fini = close_specification);

static bool is(const xmlNode *node, const char *name)
{
    return node->type == XML_ELEMENT_NODE && strcmp((const char *)node->name, name) == 0;
}

/* An attribute, "" if it is not there; lives as long as the document. */
static const char *attribute(const xmlNode *node, const char *name)
{
    for (xmlAttr *a = node->properties; a; a = a->next)
        if (strcmp((const char *)a->name, name) == 0 && a->children) return (const char *)a->children->content;
    return "";
}

static xmlNode *child(const xmlNode *node, const char *name)
{
    for (xmlNode *c = node->children; c; c = c->next)
        if (is(c, name)) return c;
    return NULL;
}

/* The next <type> of all documents in order, after `node` of document *at; start with NULL and 0. */
static xmlNode *next_type(xmlNode *node, size_t *at)
{
    for (;;) {
        xmlNode *section = node ? node->parent : NULL;
        for (xmlNode *n = node ? node->next : NULL; n; n = n->next)
            if (is(n, "type")) return n;
        section = section ? section->next : NULL;
        for (;; section = section->next) {
            while (!section) {
                if (*at == PARTS) return NULL;
                section = xmlDocGetRootElement(documents[(*at)++])->children;
            }
            if (is(section, "section") && child(section, "type")) break;
        }
        node = child(section, "type");
        return node;
    }
}

static xmlNode *type_named(const char *name)
{
    size_t at = 0;
    for (xmlNode *t = next_type(NULL, &at); t; t = next_type(t, &at))
        if (strcmp(attribute(t, "name"), name) == 0) return t;
    return NULL;
}

/* What a field's type comes down to, in the words of performatives.def. */
static const char *type_of(const xmlNode *field)
{
    const char *name = attribute(field, "type");
    for (;;) {
        if (strcmp(name, "*") == 0) return "any";
        xmlNode *type = type_named(name);
        cr_assert_not_null(type, "nobody defines %s", name);
        const char *class = attribute(type, "class");
        if (strcmp(class, "restricted") == 0) {
            name = attribute(type, "source");
            continue;
        }
        if (strcmp(attribute(field, "multiple"), "true") == 0) {
            cr_assert_str_eq(name, "symbol", "a multiple of %s", name);
            return "symbols";
        }
        return strcmp(name, "boolean") == 0 ? "bool" : name;
    }
}

/* The default as performatives.def writes it: numbers, true and false, text in quotes, choices by their value. */
static const char *fallback_of(const xmlNode *field, char *out, size_t n)
{
    const char *value = attribute(field, "default");
    if (!*value) return "NONE";
    const char *kind = type_of(field);
    for (xmlNode *type = type_named(attribute(field, "type")); type; type = type_named(attribute(type, "source")))
        for (xmlNode *choice = type->children; choice; choice = choice->next)
            if (is(choice, "choice") && strcmp(attribute(choice, "name"), value) == 0) value = attribute(choice, "value");
    bool is_text = strcmp(kind, "symbol") == 0 || strcmp(kind, "string") == 0;
    bool is_wide = strcmp(kind, "uint") == 0 && strlen(value) == 10;
    snprintf(out, n, is_text ? "\"%s\"" : is_wide ? "%su" : "%s", value);
    return out;
}

static void check_fields(const struct list *list, const xmlNode *type)
{
    unsigned i = 0;
    for (xmlNode *field = type->children; field; field = field->next) {
        if (!is(field, "field")) continue;
        const char *name = attribute(field, "name");
        cr_assert_lt(i, list->count, "%s lacks %s", list->words, name);
        const struct row *row = &list->rows[i++];
        char fallback[64];
        cr_expect_str_eq(row->words, name, "field %u of %s", i, list->words);
        cr_expect_str_eq(row->type, type_of(field), "%s.%s is %s, not %s", list->words, name, type_of(field), row->type);
        cr_expect_eq(row->mandatory, strcmp(attribute(field, "mandatory"), "true") == 0, "%s.%s", list->words, name);
        cr_expect_str_eq(row->fallback, fallback_of(field, fallback, sizeof fallback), "%s.%s", list->words, name);
    }
    cr_expect_eq(i, list->count, "%s has %u fields, not %u", list->words, i, list->count);
}

static const struct list *list_named(const char *name)
{
    for (size_t i = 0; i < LISTS; i++)
        if (strcmp(lists[i].words, name) == 0) return &lists[i];
    return NULL;
}

static bool is_of_transactions(const char *name)
{
    for (size_t i = 0; i < sizeof transactions / sizeof *transactions; i++)
        if (strcmp(transactions[i], name) == 0) return true;
    return false;
}

Test(spec, every_list_stands_in_the_table_field_by_field)
{
    size_t   at    = 0;
    unsigned found = 0, excluded = 0;
    for (xmlNode *type = next_type(NULL, &at); type; type = next_type(type, &at)) {
        if (strcmp(attribute(type, "class"), "composite") != 0) continue;
        const char *name = attribute(type, "name");
        if (is_of_transactions(name)) {
            excluded++;
            cr_expect_null(list_named(name), "%s is in the table", name);
            continue;
        }
        const struct list *list = list_named(name);
        cr_assert_not_null(list, "%s is not in the table", name);
        check_fields(list, type);
        found++;
    }
    cr_expect_eq(found, LISTS);
    cr_expect_eq(excluded, sizeof transactions / sizeof *transactions);
}

Test(spec, there_are_28_lists_and_118_fields)
{
    unsigned fields = 0;
    for (size_t i = 0; i < LISTS; i++) fields += lists[i].count;
    cr_expect_eq(LISTS, 28);
    cr_expect_eq(RH_AMQP_UNKNOWN, 28);
    cr_expect_eq(fields, 118);
}

static uint64_t code_of(const xmlNode *descriptor)
{
    unsigned long high, low;
    cr_assert_eq(sscanf(attribute(descriptor, "code"), "0x%lx:0x%lx", &high, &low), 2);
    return (uint64_t)high << 32 | low;
}

Test(spec, descriptors_are_found_by_code_and_by_symbol)
{
    for (size_t i = 0; i < LISTS; i++) {
        xmlNode    *descriptor = child(type_named(lists[i].words), "descriptor");
        const char *symbol     = attribute(descriptor, "name");
        uint8_t     bytes[64];
        cr_expect_eq(lists[i].code, code_of(descriptor), "%s", lists[i].words);
        cr_expect_eq(rh_composite_of(code_of(descriptor)), i, "%s", lists[i].words);
        cr_expect_str_eq(rh_composite_name((rh_composite_id)i), lists[i].words);

        rh_enc e = rh_enc_of(bytes, sizeof bytes);
        rh_enc_u8(&e, 0x00);
        rh_enc_symbol(&e, rh_str(symbol));
        rh_enc_list0(&e);
        rh_dec d = rh_dec_of(rh_enc_written(&e));
        cr_expect_eq(rh_composite_peek(&d), i, "%s", symbol);
    }
}

Test(spec, sections_that_are_no_lists_have_their_codes_too)
{
    static const struct { const char *name; uint64_t code; } sections[] = {
        { "delivery-annotations",   RH_CODE_DELIVERY_ANNOTATIONS },
        { "message-annotations",    RH_CODE_MESSAGE_ANNOTATIONS },
        { "application-properties", RH_CODE_APPLICATION_PROPERTIES },
        { "data",                   RH_CODE_DATA },
        { "amqp-sequence",          RH_CODE_AMQP_SEQUENCE },
        { "amqp-value",             RH_CODE_AMQP_VALUE },
        { "footer",                 RH_CODE_FOOTER },
    };
    for (size_t i = 0; i < sizeof sections / sizeof *sections; i++)
        cr_expect_eq(sections[i].code, code_of(child(type_named(sections[i].name), "descriptor")), "%s", sections[i].name);
}
