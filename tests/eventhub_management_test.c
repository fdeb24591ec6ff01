#include <criterion/criterion.h>

#include "tests/client_world.h"

static client_world w;

Test(management, tells_what_the_service_knows_about_the_hub)
{
    for (int as_list = 0; as_list < 2; as_list++) {
        world_open(&w, NULL);
        w.service.partition_ids_as_list = as_list;
        rh_hub_properties hub;
        rh_error          error;
        cr_assert_eq(rh_client_hub_properties_wait(w.client, &hub, 5000, &error), RH_OK, "%s", error.description);
        cr_expect_str_eq(hub.name, "hub");
        cr_expect_eq(hub.created_at_ms, INT64_C(1767225600123));
        cr_assert_eq(hub.partition_count, 3);
        cr_expect_str_eq(hub.partition_ids[0], "0");
        cr_expect_str_eq(hub.partition_ids[2], "22");
        cr_expect_str_eq(w.service.asked_type, "com.microsoft:eventhub");
        cr_expect_str_eq(w.service.asked_name, "hub");
        cr_expect_eq(strstr(w.service.security_token, "SharedAccessSignature sr=sb%3A%2F%2Ftoy%3A5672%2Fhub&"), w.service.security_token,
                     "signed for the hub: %s", w.service.security_token);
        cr_expect_str_eq(w.service.audience, "sb://toy:5672/hub/$management");
        cr_expect(world_close(&w));
    }
}

Test(management, tells_what_the_service_knows_about_a_partition)
{
    world_open(&w, NULL);
    rh_partition_properties p;
    cr_assert_eq(rh_client_partition_properties_wait(w.client, "22", &p, 5000, NULL), RH_OK);
    cr_expect_str_eq(p.hub, "hub");
    cr_expect_str_eq(p.id, "22");
    cr_expect_eq(p.begin_sequence_number, 5);
    cr_expect_eq(p.last_enqueued_sequence_number, 41);
    cr_expect_str_eq(p.last_enqueued_offset, "4294967296");
    cr_expect_eq(p.last_enqueued_time_ms, INT64_C(1767225601000));
    cr_expect_not(p.is_empty);
    cr_expect_str_eq(w.service.asked_type, "com.microsoft:partition");
    cr_expect(world_close(&w));
}

Test(management, asks_as_often_as_wanted_over_one_pair_and_one_authorisation)
{
    world_open(&w, NULL);
    rh_hub_properties       hub;
    rh_partition_properties p;
    for (int i = 0; i < 200; i++) {
        cr_assert_eq(rh_client_hub_properties_wait(w.client, &hub, 5000, NULL), RH_OK, "%d", i);
        cr_assert_eq(rh_client_partition_properties_wait(w.client, "1", &p, 5000, NULL), RH_OK, "%d", i);
    }
    cr_expect_eq(w.service.asks, 400);
    cr_expect_eq(w.service.puts, 1);
    cr_expect_eq(w.service.attaches, 0);
    cr_expect(world_close(&w));
}

static unsigned answers, failures;

static void count(void *user, const rh_partition_properties *properties, const rh_error *error)
{
    (void)user;
    if (properties && !error) answers++;
    else failures++;
}

Test(management, takes_many_questions_at_once)
{
    world_open(&w, NULL);
    answers = failures = 0;
    for (int i = 0; i < 250; i++) rh_client_partition_properties(w.client, "0", 5000, count, NULL);
    cr_expect_eq(answers + failures, 0, "never from inside the call");
    toy_loop_pass(&w.toy, 2);
    cr_expect_eq(answers, 250);
    cr_expect_eq(failures, 0);
    cr_expect(world_close(&w));
}

Test(management, refusals_are_typed_and_in_the_service_s_words)
{
    static const struct { int code; const char *condition, *words; rh_status status; } rows[] = {
        { 404, "amqp:not-found", "The messaging entity 'sb://toy/hub' could not be found.", RH_E_NOT_FOUND },
        { 404, NULL, "gone", RH_E_NOT_FOUND },
        { 401, NULL, "InvalidSignature", RH_E_UNAUTHORIZED },
        { 400, "com.microsoft:argument-out-of-range", "The specified partition is invalid", RH_E_SERVICE_ARGUMENT },
        { 503, "com.microsoft:server-busy", "later", RH_E_SERVER_BUSY },
        { 501, NULL, "no", RH_E_NOT_IMPLEMENTED },
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        world_open(&w, NULL);
        w.service.management_code      = rows[i].code;
        w.service.management_condition = rows[i].condition;
        w.service.management_words     = rows[i].words;
        rh_partition_properties p;
        rh_error                error;
        cr_expect_eq(rh_client_partition_properties_wait(w.client, "99", &p, 5000, &error), rows[i].status, "%d", rows[i].code);
        cr_expect_eq(error.status, rows[i].status);
        cr_expect_str_eq(error.description, rows[i].words);
        cr_expect(world_close(&w));
    }
}

Test(management, an_answer_that_is_no_map_is_a_decode_error)
{
    world_open(&w, NULL);
    w.service.management_garbage = true;
    rh_hub_properties       hub;
    rh_partition_properties p;
    cr_expect_eq(rh_client_hub_properties_wait(w.client, &hub, 5000, NULL), RH_E_DECODE);
    cr_expect_eq(rh_client_partition_properties_wait(w.client, "0", &p, 5000, NULL), RH_E_DECODE);
    cr_expect(world_close(&w));
}

Test(management, silence_ends_at_the_deadline_wherever_it_falls)
{
    for (int phase = 0; phase < 4; phase++) {
        world_open(&w, NULL);
        if (phase == 0) w.toy.dial_hangs = true;
        if (phase == 1) w.service.mute = true;
        if (phase == 2) w.service.cbs_silent = true;
        if (phase == 3) w.service.management_silent = true;
        rh_time           start = w.toy.now;
        rh_hub_properties hub;
        rh_error          error;
        cr_expect_eq(rh_client_hub_properties_wait(w.client, &hub, 2000, &error), RH_E_TIMEOUT, "%d: %s", phase, error.description);
        cr_expect_eq(w.toy.now - start, RH_SECONDS(2), "%d", phase);
        cr_expect(world_close(&w), "%d", phase);
    }
}

Test(management, a_wrong_key_is_unauthorized)
{
    world_open(&w, NULL);
    w.service.cbs_code  = 401;
    w.service.cbs_words = "InvalidSignature";
    rh_hub_properties hub;
    rh_error          error;
    cr_expect_eq(rh_client_hub_properties_wait(w.client, &hub, 5000, &error), RH_E_UNAUTHORIZED);
    cr_expect_str_eq(error.description, "InvalidSignature");
    w.service.cbs_code = 202;
    cr_expect_eq(rh_client_hub_properties_wait(w.client, &hub, 5000, &error), RH_OK, "and asked again, it is authorised again");
    cr_expect(world_close(&w));
}

Test(management, what_cannot_be_asked_is_refused)
{
    world_open(&w, NULL);
    rh_partition_properties p;
    rh_hub_properties       hub;
    cr_expect_eq(rh_client_partition_properties_wait(w.client, "123456789012345678901234567890123", &p, 1000, NULL), RH_E_ARGUMENT);
    cr_expect_eq(rh_client_close_wait(w.client, 1000, NULL), RH_OK);
    cr_expect_eq(rh_client_hub_properties_wait(w.client, &hub, 1000, NULL), RH_E_CLOSED);
    cr_expect(world_close(&w));
}

static void destroy_client(void *user, const rh_partition_properties *properties, const rh_error *error)
{
    (void)user, (void)properties, (void)error;
    answers++;
    rh_client_destroy(w.client);
    w.client = NULL;
}

Test(management, the_client_may_be_destroyed_by_the_answer)
{
    world_open(&w, NULL);
    answers = 0;
    rh_client_partition_properties(w.client, "0", 5000, destroy_client, NULL);
    rh_client_partition_properties(w.client, "1", 5000, destroy_client, NULL);
    toy_loop_pass(&w.toy, 2);
    cr_expect_eq(answers, 1, "the dead client is silent");
    cr_expect(world_close(&w));
}

static void destroy_from_timer(void *user, rh_time now)
{
    (void)user, (void)now;
    rh_client_destroy(w.client);
    w.client = NULL;
}

Test(management, a_question_asked_while_the_old_pair_ends_waits_for_the_next)
{
    world_open(&w, NULL);
    rh_partition_properties p;
    rh_error                error;
    cr_assert_eq(rh_client_partition_properties_wait(w.client, "0", &p, 5000, NULL), RH_OK);
    w.toy.distance = RH_MS(100);
    cr_assert_eq(rh_link_detach(w.service.management_sender, true, NULL, NULL), RH_OK);
    toy_service_wake(&w.service);
    cr_assert_eq(rh_loop_run(&w.toy.loop, rh_time_after(w.toy.now, RH_MS(150))), RH_OK);
    cr_expect_eq(rh_client_partition_properties_wait(w.client, "0", &p, 5000, &error), RH_OK, "%s", error.description);
    cr_expect(world_close(&w));
}

static void ask_again(void *user, const rh_partition_properties *properties, const rh_error *error)
{
    (void)user, (void)properties, (void)error;
    w.service.management_silent = false;
    rh_client_partition_properties(w.client, "0", 5000, count, NULL);
}

Test(management, a_question_asked_again_as_soon_as_the_session_ended_is_answered)
{
    world_open(&w, NULL);
    answers = failures = 0;
    w.service.management_silent = true;
    rh_client_partition_properties(w.client, "0", 5000, ask_again, NULL);
    toy_loop_pass(&w.toy, 1);
    cr_assert_eq(rh_session_end(rh_link_session(w.service.management_sender), NULL, NULL), RH_OK);
    toy_service_wake(&w.service);
    toy_loop_pass(&w.toy, 1);
    cr_expect_eq(answers, 1);
    cr_expect_eq(failures, 0);
    cr_expect(world_close(&w));
}

Test(management, a_call_that_waits_ends_when_a_callback_destroys_the_client)
{
    for (int which = 0; which < 3; which++) {
        rh_timer          timer = { .fn = destroy_from_timer };
        rh_hub_properties hub;
        rh_status         status;
        world_open(&w, NULL);
        w.service.management_silent = true;
        if (which == 1) w.toy.dial_hangs = true;
        if (which == 2) cr_assert(world_is_connected(&w, 5));
        if (which == 2) w.toy.silent = true;
        rh_timer_set(&w.toy.loop, &timer, w.toy.now + RH_SECONDS(1));
        if (which == 0) status = rh_client_hub_properties_wait(w.client, &hub, 5000, NULL);
        if (which == 1) status = rh_client_connect_wait(w.client, 5000, NULL);
        if (which == 2) status = rh_client_close_wait(w.client, 5000, NULL);
        cr_expect_eq(status, which == 0 ? RH_E_CLOSED : RH_E_CANCELLED, "%d: %s", which, rh_status_name(status));
        cr_expect(world_close(&w));
    }
}
