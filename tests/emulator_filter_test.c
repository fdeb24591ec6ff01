#include <criterion/criterion.h>

#include "emulator/address.h"
#include "emulator/filter.h"

/* -- the expression --------------------------------------------------------------------------- */

static const struct good {
    const char *text;
    rh_emu_from from;
    bool        inclusive;
    int64_t     value;
} good[] = {
    { "amqp.annotation.x-opt-offset > '123'", RH_EMU_FROM_OFFSET, false, 123 },
    { "amqp.annotation.x-opt-offset >= '123'", RH_EMU_FROM_OFFSET, true, 123 },
    { "amqp.annotation.x-opt-offset >'123'", RH_EMU_FROM_OFFSET, false, 123 },
    { "amqp.annotation.x-opt-offset > -1", RH_EMU_FROM_EARLIEST, false, -1 },
    { "amqp.annotation.x-opt-offset > '-1'", RH_EMU_FROM_EARLIEST, false, -1 },
    { "amqp.annotation.x-opt-offset > '@latest'", RH_EMU_FROM_LATEST, false, 0 },
    { "amqp.annotation.x-opt-offset >= '@latest'", RH_EMU_FROM_LATEST, true, 0 },
    { "amqp.annotation.x-opt-sequence-number > '0'", RH_EMU_FROM_SEQUENCE, false, 0 },
    { "amqp.annotation.x-opt-sequence-number >= 42", RH_EMU_FROM_SEQUENCE, true, 42 },
    { "amqp.annotation.x-opt-sequence-number > '-1'", RH_EMU_FROM_SEQUENCE, false, -1 },
    { "amqp.annotation.x-opt-enqueued-time > '1700000000000'", RH_EMU_FROM_TIME, false, 1700000000000 },
    { "  amqp.annotation.x-opt-enqueued-time\t>=\t\"9223372036854775807\" ", RH_EMU_FROM_TIME, true, INT64_MAX },
};

Test(emulator_filter, each_way_a_client_writes_a_position_is_read)
{
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        rh_emu_position p;
        cr_expect_eq(rh_emu_filter_parse(rh_str(good[i].text), &p), RH_OK, "%s", good[i].text);
        cr_expect_eq(p.from, good[i].from, "%s", good[i].text);
        cr_expect_eq(p.inclusive, good[i].inclusive, "%s", good[i].text);
        if (p.from != RH_EMU_FROM_LATEST) cr_expect_eq(p.value, good[i].value, "%s", good[i].text);
    }
}

static const struct bad {
    const char *text;
    rh_status   status;
} bad[] = {
    { "", RH_E_INVALID_FIELD },
    { "x-opt-offset > '1'", RH_E_INVALID_FIELD },
    { "amqp.annotation.x-opt-partition-key > '1'", RH_E_INVALID_FIELD },
    { "amqp.annotation.x-opt-offset = '1'", RH_E_INVALID_FIELD },
    { "amqp.annotation.x-opt-offset < '1'", RH_E_INVALID_FIELD },
    { "amqp.annotation.x-opt-offset > '1", RH_E_INVALID_FIELD },
    { "amqp.annotation.x-opt-offset > '1\"", RH_E_INVALID_FIELD },
    { "amqp.annotation.x-opt-offset > ''", RH_E_OFFSET },
    { "amqp.annotation.x-opt-offset > 'geo:1:2'", RH_E_OFFSET },
    { "amqp.annotation.x-opt-sequence-number > 'one'", RH_E_INVALID_FIELD },
    { "amqp.annotation.x-opt-sequence-number > '@latest'", RH_E_INVALID_FIELD },
    { "amqp.annotation.x-opt-sequence-number > '9223372036854775808'", RH_E_INVALID_FIELD },
    { "amqp.annotation.x-opt-enqueued-time > '1' OR 1", RH_E_INVALID_FIELD },
};

Test(emulator_filter, anything_else_is_refused)
{
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        rh_emu_position p;
        cr_expect_eq(rh_emu_filter_parse(rh_str(bad[i].text), &p), bad[i].status, "%s", bad[i].text);
    }
}

/* -- the map ---------------------------------------------------------------------------------- */

#define SELECTOR "apache.org:selector-filter:string"

/* {KEY: @descriptor "text"}; code 0 writes the symbol. */
static rh_slice filter_map(uint8_t *p, size_t n, const char *key, uint64_t code, const char *symbol, const char *text)
{
    rh_enc      e = rh_enc_of(p, n);
    rh_enc_mark m = rh_enc_map_begin(&e);
    rh_enc_symbol(&e, rh_str(key));
    if (code) {
        rh_enc_descriptor(&e, code);
    } else if (symbol) {
        rh_enc_u8(&e, 0);
        rh_enc_symbol(&e, rh_str(symbol));
    }
    rh_enc_string(&e, rh_str(text));
    rh_enc_map_end(&e, m, 2);
    return rh_enc_written(&e);
}

static const char *const from_seven = "amqp.annotation.x-opt-sequence-number > '7'";

Test(emulator_filter, all_three_descriptors_in_use_are_the_selector)
{
    const struct {
        uint64_t    code;
        const char *symbol;
    } kinds[] = { { 0x0000468C00000004, NULL }, { 0x000000137000000A, NULL }, { 0, SELECTOR } };
    for (size_t i = 0; i < 3; i++) {
        uint8_t         bytes[200];
        rh_emu_position p;
        cr_expect_eq(rh_emu_filter_read(filter_map(bytes, sizeof bytes, SELECTOR, kinds[i].code, kinds[i].symbol, from_seven), &p), RH_OK);
        cr_expect_eq(p.from, RH_EMU_FROM_SEQUENCE);
        cr_expect_eq(p.value, 7);
    }
}

Test(emulator_filter, no_map_means_from_the_start)
{
    rh_emu_position p;
    cr_expect_eq(rh_emu_filter_read(rh_slice_of(NULL, 0), &p), RH_OK);
    cr_expect_eq(p.from, RH_EMU_FROM_EARLIEST);
    cr_expect_eq(rh_emu_filter_read(rh_slice_of("\x40", 1), &p), RH_OK);
    cr_expect_eq(p.from, RH_EMU_FROM_EARLIEST);
}

Test(emulator_filter, another_filter_is_not_ours_to_apply)
{
    uint8_t         bytes[200];
    rh_emu_position p;
    cr_expect_eq(rh_emu_filter_read(filter_map(bytes, sizeof bytes, "apache.org:no-local-filter:list", 0x0000468C00000003, NULL, "x"), &p), RH_OK);
    cr_expect_eq(p.from, RH_EMU_FROM_EARLIEST);
}

Test(emulator_filter, a_selector_without_its_descriptor_is_refused)
{
    uint8_t         bytes[200];
    rh_emu_position p;
    cr_expect_eq(rh_emu_filter_read(filter_map(bytes, sizeof bytes, SELECTOR, 0, NULL, from_seven), &p), RH_E_INVALID_FIELD);
    cr_expect_eq(rh_emu_filter_read(filter_map(bytes, sizeof bytes, SELECTOR, 5, NULL, from_seven), &p), RH_E_INVALID_FIELD);
}

Test(emulator_filter, a_cut_map_is_malformed_at_every_byte)
{
    uint8_t  bytes[200];
    rh_slice whole = filter_map(bytes, sizeof bytes, SELECTOR, 0, SELECTOR, from_seven);
    for (size_t n = 0; n < whole.n; n++) {
        rh_emu_position p;
        cr_expect_neq(rh_emu_filter_read(rh_slice_of(whole.p, n), &p), RH_OK, "%zu bytes", n);
    }
}

/* -- addresses -------------------------------------------------------------------------------- */

static const struct row {
    const char  *text;
    rh_emu_place place;
    const char  *hub, *group, *partition, *publisher;
} rows[] = {
    { "$cbs", RH_EMU_CBS, "$cbs", "", "", "" },
    { "$management", RH_EMU_MANAGEMENT, "", "", "", "" },
    { "amqps://host/eh1/$management", RH_EMU_MANAGEMENT, "eh1", "", "", "" },
    { "eh1", RH_EMU_HUB, "eh1", "", "", "" },
    { "/eh1", RH_EMU_HUB, "eh1", "", "", "" },
    { "amqps://host:5671/eh1/", RH_EMU_HUB, "eh1", "", "", "" },
    { "eh1/Partitions/3", RH_EMU_PARTITION, "eh1", "", "3", "" },
    { "amqps://host/eh1/partitions/3", RH_EMU_PARTITION, "eh1", "", "3", "" },
    { "eh1/Publishers/boiler", RH_EMU_PUBLISHER, "eh1", "", "", "boiler" },
    { "/eh1/ConsumerGroups/$Default/Partitions/0", RH_EMU_READER, "eh1", "$Default", "0", "" },
    { "team/plant/eh1/consumergroups/g/PARTITIONS/12", RH_EMU_READER, "team/plant/eh1", "g", "12", "" },
    { "team/eh1", RH_EMU_HUB, "team/eh1", "", "", "" },
    { "eh1/ConsumerGroups/g", RH_EMU_HUB, "eh1/ConsumerGroups/g", "", "", "" },
    { "Partitions/3", RH_EMU_HUB, "Partitions/3", "", "", "" },
    { "sb://host", RH_EMU_HUB, "", "", "", "" },
    { "", RH_EMU_HUB, "", "", "", "" },
};

Test(emulator_address, each_way_a_client_writes_a_place_is_read)
{
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        rh_emu_address a = rh_emu_address_parse(rh_str(rows[i].text));
        cr_expect_eq(a.place, rows[i].place, "%s", rows[i].text);
        cr_expect(rh_slice_is(a.hub, rows[i].hub), "%s: hub %.*s", rows[i].text, (int)a.hub.n, (const char *)a.hub.p);
        cr_expect(rh_slice_is(a.group, rows[i].group), "%s", rows[i].text);
        cr_expect(rh_slice_is(a.partition, rows[i].partition), "%s", rows[i].text);
        cr_expect(rh_slice_is(a.publisher, rows[i].publisher), "%s", rows[i].text);
    }
}

Test(emulator_address, a_token_covers_its_place_and_what_lies_below)
{
    cr_expect(rh_emu_path_covers(rh_str("eh1"), rh_str("EH1/Partitions/0")));
    cr_expect(rh_emu_path_covers(rh_str("eh1"), rh_str("eh1")));
    cr_expect(rh_emu_path_covers(rh_str(""), rh_str("eh1")));
    cr_expect_not(rh_emu_path_covers(rh_str("eh1"), rh_str("eh10")));
    cr_expect_not(rh_emu_path_covers(rh_str("eh1/Partitions/0"), rh_str("eh1")));
    cr_expect_not(rh_emu_path_covers(rh_str("eh1/Partitions/0"), rh_str("eh1/Partitions/01")));
}
