#include <criterion/criterion.h>

#include "tests/emulator_world.h"

/* -- links ------------------------------------------------------------------------------------ */

static const struct refused {
    const char *address;
    bool        receiver;
    const char *filter, *condition, *words;
} refused[] = {
    { "nohub", false, NULL, "amqp:not-found", "The messaging entity 'nohub' could not be found." },
    { "nohub/Partitions/0", false, NULL, "amqp:not-found", "could not be found." },
    { "hub/Partitions/4", false, NULL, "com.microsoft:argument-out-of-range", "It should be between 0 and 3." },
    { "hub/Partitions/01", false, NULL, "com.microsoft:argument-out-of-range", "between 0 and 3" },
    { "hub/Partitions/-1", false, NULL, "com.microsoft:argument-out-of-range", "between 0 and 3" },
    { "hub/ConsumerGroups/nogroup/Partitions/0", true, NULL, "amqp:not-found", "nogroup" },
    { "nohub/ConsumerGroups/$Default/Partitions/0", true, NULL, "amqp:not-found", "nohub" },
    { "hub/ConsumerGroups/$Default/Partitions/9", true, NULL, "com.microsoft:argument-out-of-range", "between 0 and 3" },
    { "hub/ConsumerGroups/$Default/Partitions/0", false, NULL, "amqp:not-allowed", "not to a consumer group" },
    { "hub", true, NULL, "amqp:not-allowed", "ConsumerGroups" },
    { "hub/Publishers/", true, NULL, "amqp:not-allowed", "" },
    { "hub/ConsumerGroups/$Default/Partitions/0", true, "x > 1", "amqp:invalid-field", "filter" },
    { "hub/ConsumerGroups/$Default/Partitions/0", true, "amqp.annotation.x-opt-offset > 'a:b'", "com.microsoft:georeplication:invalid-offset", "offset" },
    { NULL, false, NULL, "amqp:invalid-field", "address" },
    { NULL, true, NULL, "amqp:invalid-field", "address" },
};

Test(emulator_refusal, each_place_that_is_not_there_is_named_with_its_condition)
{
    emulator_world w;
    raw_client     c;
    namespace_open(&w, NULL);
    cr_assert(raw_open(&c, &w, NULL, NULL));
    raw_authorize(&c);
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
        raw_link l;
        cr_expect_not(RAW_ATTACH(&c, &l, .address = refused[i].address, .receiver = refused[i].receiver, .filter = refused[i].filter), "row %zu", i);
        cr_expect_str_eq(l.condition, refused[i].condition, "row %zu: %s", i, l.condition);
        cr_expect_not_null(strstr(l.words, refused[i].words), "row %zu: %s", i, l.words);
        cr_expect_not_null(strstr(l.words, " TrackingId:"), "row %zu: %s", i, l.words);
        cr_expect_not_null(strstr(l.words, ", SystemTracker:"), "row %zu", i);
        cr_expect_not_null(strstr(l.words, ", Timestamp:2026-01-01T00:"), "row %zu", i);
        cr_expect_not(c.failed, "row %zu: the connection lives", i);
    }
    raw_link l;
    cr_expect(RAW_ATTACH(&c, &l, .address = "hub"), "and a link that is right still comes");
    raw_close(&c);
    namespace_close(&w);
}

Test(emulator_refusal, each_way_to_write_a_place_is_accepted)
{
    static const struct {
        const char *address;
        bool        receiver;
    } rows[] = {
        { "HUB", false }, { "/hub", false }, { "amqps://toy/hub", false }, { "amqps://toy:5671/hub/Partitions/3", false }, { "hub/partitions/0", false },
        { "hub/Publishers/boiler", false }, { "hub/ConsumerGroups/$default/Partitions/0", true }, { "/hub/consumergroups/G2/partitions/1", true },
        { "amqps://toy/Hub/ConsumerGroups/g2/Partitions/2", true },
    };
    emulator_world w;
    raw_client     c;
    raw_link       l[9];
    namespace_open(&w, NULL);
    cr_assert(raw_open(&c, &w, NULL, NULL));
    raw_authorize(&c);
    for (size_t i = 0; i < 9; i++) {
        cr_expect(RAW_ATTACH(&c, &l[i], .address = rows[i].address, .receiver = rows[i].receiver), "%s: %s %s", rows[i].address, l[i].condition, l[i].words);
        cr_expect(l[i].has_source && l[i].has_target);
        cr_expect_eq(l[i].max_message_size, 1048576);
        if (rows[i].receiver) cr_expect_eq(l[i].snd_settle_mode, RH_SND_SETTLED);
    }
    raw_close(&c);
    namespace_close(&w);
}

Test(emulator_refusal, the_smaller_limit_of_a_message_is_announced)
{
    emulator_world w;
    raw_client     c;
    raw_link       l[2];
    namespace_open(&w, NULL);
    cr_assert(raw_open(&c, &w, NULL, NULL));
    raw_authorize(&c);
    cr_assert(RAW_ATTACH(&c, &l[0], .address = "hub", .max_message_size = 1000));
    cr_expect_eq(l[0].max_message_size, 1000);
    cr_assert(RAW_ATTACH(&c, &l[1], .address = "hub", .max_message_size = 1u << 30));
    cr_expect_eq(l[1].max_message_size, 1048576);
    raw_close(&c);
    namespace_close(&w);
}

/* -- tokens ----------------------------------------------------------------------------------- */

static const struct token {
    const char *audience, *signed_for, *key;
    int64_t     seconds;
    int         code;
    const char *words;
} tokens[] = {
    { "sb://toy/hub", "sb://toy/hub", RH_EMULATOR_KEY, 60, 202, "Accepted" },
    { "amqps://toy/hub/Partitions/0", "amqps://toy/hub/Partitions/0", RH_EMULATOR_KEY, 60, 202, "Accepted" },
    { "amqp://toy:5672/hub/ConsumerGroups/$Default/Partitions/0", "sb://toy/hub", RH_EMULATOR_KEY, 60, 202, "Accepted" },
    { "amqps://toy/hub/ConsumerGroups/%24Default/Partitions/0", "amqps://toy/hub/ConsumerGroups/%24Default/Partitions/0", RH_EMULATOR_KEY, 60, 202, "Accepted" },
    { "sb://toy/hub", "sb://toy/hub", "another key", 60, 401, "InvalidSignature" },
    { "sb://toy/hub", "sb://toy/hub", RH_EMULATOR_KEY, -1, 401, "ExpiredToken" },
    { "sb://toy/hub", "sb://toy/other", RH_EMULATOR_KEY, 60, 401, "InvalidAudience" },
    { "sb://toy/hub", "sb://toy/hub/Partitions/0", RH_EMULATOR_KEY, 60, 401, "InvalidAudience" },
};

Test(emulator_refusal, a_token_is_believed_for_its_key_its_time_and_its_place)
{
    emulator_world w;
    raw_client     c;
    rh_value       v;
    namespace_open(&w, NULL);
    cr_assert(raw_open(&c, &w, NULL, NULL));
    for (size_t i = 0; i < sizeof tokens / sizeof *tokens; i++) {
        int code = raw_put_token(&c, tokens[i].audience, tokens[i].signed_for, tokens[i].key, tokens[i].seconds);
        cr_expect_eq(code, tokens[i].code, "row %zu: %d", i, code);
        cr_assert(raw_answer(&c.cbs_in, "status-description", &v));
        char words[600] = "";
        memcpy(words, v.bytes.p, v.bytes.n < 599 ? v.bytes.n : 599);
        cr_expect_not_null(strstr(words, tokens[i].words), "row %zu: %s", i, words);
        cr_expect_eq(raw_answer(&c.cbs_in, "error-condition", &v), code != 202);
        if (code != 202) cr_expect(v.type == RH_SYMBOL && rh_slice_is(v.bytes, "amqp:unauthorized-access"));
    }
    raw_close(&c);
    namespace_close(&w);
}

Test(emulator_refusal, a_link_without_a_token_is_refused)
{
    emulator_world w;
    raw_client     c;
    raw_link       l;
    namespace_open(&w, NULL);
    cr_assert(raw_open(&c, &w, NULL, NULL));
    static const char *const places[] = { "hub", "nohub", "$management" };
    for (size_t i = 0; i < 3; i++) {
        cr_expect_not(RAW_ATTACH(&c, &l, .address = places[i]));
        cr_expect_str_eq(l.condition, "amqp:unauthorized-access", "%s", places[i]);
    }
    cr_assert_eq(raw_put_token(&c, "sb://toy/hub/Partitions/0", "sb://toy/hub/Partitions/0", RH_EMULATOR_KEY, 60), 202);
    cr_expect(RAW_ATTACH(&c, &l, .address = "hub/Partitions/0"));
    raw_link other;
    cr_expect_not(RAW_ATTACH(&c, &other, .address = "hub/Partitions/1"), "the token covers partition 0 only");
    cr_expect_str_eq(other.condition, "amqp:unauthorized-access");
    raw_close(&c);
    namespace_close(&w);
}

Test(emulator_refusal, an_expired_token_takes_its_links_with_it)
{
    emulator_world w;
    raw_client     c;
    raw_link       zero, one;
    namespace_open(&w, NULL);
    cr_assert(raw_open(&c, &w, NULL, NULL));
    cr_assert_eq(raw_put_token(&c, "sb://toy/hub/Partitions/0", "sb://toy/hub/Partitions/0", RH_EMULATOR_KEY, 10), 202);
    cr_assert_eq(raw_put_token(&c, "sb://toy/hub/Partitions/1", "sb://toy/hub/Partitions/1", RH_EMULATOR_KEY, 10), 202);
    cr_assert(RAW_ATTACH(&c, &zero, .address = "hub/Partitions/0"));
    cr_assert(RAW_ATTACH(&c, &one, .address = "hub/Partitions/1"));
    raw_pass(&c, 5);
    cr_assert_eq(raw_put_token(&c, "sb://toy/hub/Partitions/1", "sb://toy/hub/Partitions/1", RH_EMULATOR_KEY, 60), 202);
    cr_expect_not(zero.gone || one.gone);
    raw_pass(&c, 6);
    cr_expect(zero.gone, "its token was good for ten seconds");
    cr_expect_str_eq(zero.condition, "amqp:unauthorized-access");
    cr_expect_not_null(strstr(zero.words, "ExpiredToken"));
    cr_expect_not(one.gone, "its token was renewed");
    cr_expect_eq(raw_send(&one, "still here", NULL), RH_ACCEPTED);
    raw_close(&c);
    namespace_close(&w);
}

Test(emulator_refusal, plain_with_the_rule_needs_no_token_and_with_another_key_gets_nowhere)
{
    emulator_world w;
    raw_client     c, liar;
    raw_link       l;
    namespace_open(&w, NULL);
    cr_assert(raw_open(&c, &w, RH_EMULATOR_RULE, RH_EMULATOR_KEY));
    cr_expect(RAW_ATTACH(&c, &l, .address = "hub"));
    cr_expect_not(raw_open(&liar, &w, RH_EMULATOR_RULE, "another key"));
    cr_expect(liar.failed);
    raw_close(&liar);
    raw_close(&c);
    namespace_close(&w);
}

Test(emulator_refusal, a_connection_has_one_pair_of_cbs_links)
{
    emulator_world w;
    raw_client     c;
    raw_link       l;
    namespace_open(&w, NULL);
    cr_assert(raw_open(&c, &w, NULL, NULL));
    raw_authorize(&c);
    cr_expect_not(RAW_ATTACH(&c, &l, .address = "$cbs"));
    cr_expect_str_eq(l.condition, "amqp:not-allowed");
    cr_expect_not(RAW_ATTACH(&c, &l, .address = "$cbs", .receiver = true));
    cr_expect_str_eq(l.condition, "amqp:not-allowed");
    raw_detach(&c.cbs_out);
    raw_detach(&c.cbs_in);
    c.cbs_in.client = NULL;
    raw_authorize(&c); /* a new pair after the old one */
    raw_close(&c);
    namespace_close(&w);
}

/* -- $management ------------------------------------------------------------------------------ */

static const struct question {
    const char *type, *hub, *partition;
    int         code;
    const char *condition;
} questions[] = {
    { "com.microsoft:eventhub", "hub", NULL, 200, NULL },
    { "com.microsoft:eventhub", "HUB", NULL, 200, NULL },
    { "com.microsoft:partition", "hub", "3", 200, NULL },
    { "com.microsoft:partition", "hub", "4", 400, "com.microsoft:argument-out-of-range" },
    { "com.microsoft:partition", "hub", NULL, 400, "com.microsoft:argument-out-of-range" },
    { "com.microsoft:eventhub", "nohub", NULL, 404, "amqp:not-found" },
    { "com.microsoft:planet", "hub", NULL, 400, "com.microsoft:argument-error" },
};

Test(emulator_refusal, management_answers_with_codes_and_conditions)
{
    emulator_world w;
    raw_client     c;
    rh_value       v;
    namespace_open(&w, NULL);
    cr_assert(raw_open(&c, &w, NULL, NULL));
    raw_authorize(&c);
    for (size_t i = 0; i < sizeof questions / sizeof *questions; i++) {
        int code = raw_ask(&c, questions[i].type, questions[i].hub, questions[i].partition);
        cr_expect_eq(code, questions[i].code, "row %zu: %d", i, code);
        cr_expect_eq(raw_answer(&c.ask_in, "error-condition", &v), questions[i].condition != NULL);
        if (questions[i].condition) cr_expect(rh_slice_is(v.bytes, questions[i].condition), "row %zu", i);
    }
    raw_close(&c);
    namespace_close(&w);
}

/* The answer's body as a map. */
static rh_slice body_of(const raw_link *l)
{
    rh_message m;
    cr_assert_eq(rh_message_view(rh_slice_of(l->last, l->last_n), &m), RH_OK);
    cr_assert_eq(m.body_kind, RH_BODY_VALUE);
    return m.body;
}

Test(emulator_refusal, management_describes_hubs_and_partitions_in_the_right_types)
{
    emulator_world w;
    raw_client     c;
    raw_link       l;
    rh_value       v, id;
    rh_array       ids;
    namespace_open(&w, NULL);
    cr_assert(raw_open(&c, &w, NULL, NULL));
    raw_authorize(&c);

    cr_assert_eq(raw_ask(&c, "com.microsoft:eventhub", "hub", NULL), 200);
    cr_expect(rh_map_find(body_of(&c.ask_in), "name", &v) && v.type == RH_STRING && rh_slice_is(v.bytes, "Hub"), "as it was created");
    cr_expect(rh_map_find(body_of(&c.ask_in), "created_at", &v) && v.type == RH_TIMESTAMP);
    cr_expect(rh_map_find(body_of(&c.ask_in), "partition_count", &v) && v.type == RH_INT && v.i == 4);
    cr_expect(rh_map_find(body_of(&c.ask_in), "georeplication_factor", &v) && v.type == RH_INT && v.i == 1);
    cr_assert(rh_map_find(body_of(&c.ask_in), "partition_ids", &v) && v.type == RH_ARRAY);
    cr_expect_eq(rh_value_array(&v, &ids), 4);
    for (char want = '0'; rh_array_next(&ids, &id); want++) cr_expect(id.type == RH_STRING && id.bytes.n == 1 && id.bytes.p[0] == want);

    cr_assert_eq(raw_ask(&c, "com.microsoft:partition", "hub", "2"), 200);
    cr_expect(rh_map_find(body_of(&c.ask_in), "is_partition_empty", &v) && v.type == RH_BOOL && v.boolean);
    cr_expect(rh_map_find(body_of(&c.ask_in), "last_enqueued_sequence_number", &v) && v.type == RH_LONG && v.i == -1);
    cr_expect(rh_map_find(body_of(&c.ask_in), "last_enqueued_offset", &v) && v.type == RH_STRING && rh_slice_is(v.bytes, "-1"));

    cr_assert(RAW_ATTACH(&c, &l, .address = "hub/Partitions/2"));
    cr_expect_eq(raw_send_batch(&l, "event", 3, NULL), RH_ACCEPTED);
    cr_assert_eq(raw_ask(&c, "com.microsoft:partition", "hub", "2"), 200);
    cr_expect(rh_map_find(body_of(&c.ask_in), "is_partition_empty", &v) && !v.boolean);
    cr_expect(rh_map_find(body_of(&c.ask_in), "begin_sequence_number", &v) && v.type == RH_LONG && v.i == 0);
    cr_expect(rh_map_find(body_of(&c.ask_in), "last_enqueued_sequence_number", &v) && v.i == 2);
    cr_expect(rh_map_find(body_of(&c.ask_in), "last_enqueued_time_utc", &v) && v.type == RH_TIMESTAMP && v.i > INT64_C(1767225600000));
    raw_close(&c);
    namespace_close(&w);
}

/* -- peers that leave no room ----------------------------------------------------------------- */

Test(emulator_refusal, a_peer_that_allows_two_handles_gets_no_third_link)
{
    emulator_world w;
    raw_client     c;
    raw_link       l[3];
    namespace_open(&w, NULL);
    cr_assert(raw_open(&c, &w, RH_EMULATOR_RULE, RH_EMULATOR_KEY));
    cr_assert_eq(rh_session_begin(c.engine, &(rh_session_opts){ .handle_max = 1 }, NULL, &c.session), RH_OK);
    cr_expect(RAW_ATTACH(&c, &l[0], .address = "hub"));
    cr_expect(RAW_ATTACH(&c, &l[1], .address = "hub"));
    cr_expect_not(RAW_ATTACH(&c, &l[2], .address = "hub"));
    raw_pass(&c, 10);
    cr_expect_str_eq(c.closed.condition, "amqp:resource-limit-exceeded");
    raw_close(&c);
    namespace_close(&w);
}

Test(emulator_refusal, a_stranger_is_counted_and_cut_off)
{
    static const char *const greetings[] = { "GET / HTTP/1.1\r\n\r\n", "AMQP\x00\x00\x09\x01", "AMQP\x03\x01\x00\x00\x00\x00\x00\x04\x02\x01\x00\x00", "\x00\x00\x00\x08\x02\x00\x00\x00" };
    static const size_t      n[]         = { 18, 8, 16, 8 };
    emulator_world           w;
    rh_emulator_stats        stats;
    namespace_open(&w, NULL);
    for (size_t i = 0; i < 4; i++) {
        cr_expect(raw_greet(&w, greetings[i], n[i]), "row %zu: it is still connected", i);
        rh_emulator_stats_read(w.emulator, &stats);
        cr_expect_eq(stats.peer_errors, i + 1, "row %zu", i);
        cr_expect_eq(stats.connections_open, 0);
    }
    namespace_close(&w);
}

Test(emulator_refusal, a_peer_that_never_opens_is_not_waited_for_for_ever)
{
    emulator_world w;
    namespace_open(&w, NULL);
    cr_expect(raw_greet(&w, "", 0));
    cr_expect(raw_greet(&w, "AMQP\x03\x01\x00\x00", 8));
    namespace_close(&w);
}

Test(emulator_refusal, a_connection_without_links_is_closed_in_a_minute_and_after_its_last_in_five)
{
    emulator_world w;
    raw_client     c;
    raw_link       l;
    namespace_open(&w, NULL);
    cr_assert(raw_open(&c, &w, RH_EMULATOR_RULE, RH_EMULATOR_KEY));
    raw_pass(&c, 55);
    cr_assert(RAW_ATTACH(&c, &l, .address = "hub"), "in time");
    raw_pass(&c, 1000);
    cr_expect_not(c.failed, "a link keeps it");
    raw_detach(&l);
    raw_pass(&c, 290);
    cr_expect_not(c.failed);
    raw_pass(&c, 20);
    cr_expect(c.failed);
    cr_expect_str_eq(c.closed.condition, "amqp:connection:forced");
    cr_expect_not_null(strstr(c.closed.description, "LinkTracker"), "%s", c.closed.description);
    raw_close(&c);

    cr_assert(raw_open(&c, &w, RH_EMULATOR_RULE, RH_EMULATOR_KEY));
    raw_pass(&c, 65);
    cr_expect_str_eq(c.closed.condition, "amqp:connection:forced");
    raw_close(&c);
    namespace_close(&w);
}
