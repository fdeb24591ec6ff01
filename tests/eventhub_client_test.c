#include <criterion/criterion.h>
#include <stdio.h>

#include "tests/client_world.h"

static client_world w;
static link_story   a, b;

#define WORDS_401 "Put token failed. status-code: 401, status-description: InvalidSignature: The token has an invalid signature."

static void turn(unsigned turns)
{
    for (unsigned i = 0; i < turns; i++) cr_assert_eq(rh_loop_turn(&w.toy.loop, w.toy.now), RH_OK);
}

/* -- the ordinary way ------------------------------------------------------------------------------ */

Test(client, opens_with_the_hostname_and_five_properties)
{
    world_open(&w, RH_CLIENT_OPTS(.application_id = "fridge/7"));
    cr_assert(world_is_connected(&w, 5));
    cr_expect_str_eq(w.service.hostname, "toy");
    cr_expect_eq(strlen(w.service.container_id), 32);
    cr_expect_eq(w.service.open_properties, 5);
    cr_expect_eq(strncmp(w.service.user_agent, "fridge/7 ringhub/", 17), 0, "%s", w.service.user_agent);
    cr_expect_str_eq(w.states, "O");
    cr_expect_str_eq(rh_client_hub(w.client), "hub");
    cr_expect_str_eq(rh_client_host(w.client), "toy");
    cr_expect(world_close(&w));
}

static unsigned opens_told(void)
{
    unsigned count = 0;
    for (const char *at = w.text; (at = strstr(at, "open(")); at++) count++;
    return count;
}

Test(client, tells_each_frame_of_its_opening_once)
{
    world_open(&w, NULL);
    cr_expect_eq(opens_told(), 0, "nothing was said yet");
    cr_assert(world_is_connected(&w, 5));
    cr_expect_eq(opens_told(), 2, "one each way");
    cr_expect(world_close(&w));
}

Test(client, an_application_id_too_long_for_open_is_left_out)
{
    char id[200], host[512] = "Endpoint=sb://";
    memset(id, 'x', sizeof id - 1);
    id[sizeof id - 1] = 0;
    memset(host + 14, 'h', 230);
    (void)strcat(host, ";SharedAccessKeyName=r;SharedAccessKey=k;EntityPath=hub;UseDevelopmentEmulator=true");
    world_open(&w, RH_CLIENT_OPTS(.connection_string = host, .application_id = id));
    cr_assert(world_is_connected(&w, 5));
    cr_expect_eq(strncmp(w.service.user_agent, "ringhub/", 8), 0);
    cr_expect(world_close(&w));
}

Test(client, a_link_comes_up_after_its_audience_is_authorised)
{
    world_open(&w, NULL);
    cr_assert_eq(story_open(&a, &w, "hub/Partitions/3", 5), RH_OK);
    cr_assert(toy_loop_until(&w.toy, &a.up, 5));
    cr_expect_eq(w.service.puts, 1);
    cr_expect_str_eq(w.service.audience, "sb://toy:5672/hub/Partitions/3");
    cr_expect_str_eq(w.service.token_type, "servicebus.windows.net:sastoken");
    cr_expect_eq(strstr(w.service.token, "SharedAccessSignature sr=sb%3A%2F%2Ftoy%3A5672%2Fhub%2FPartitions%2F3&sig="), w.service.token);
    cr_expect_not_null(strstr(w.service.token, "&se=1767230200&skn=rule"), "an hour from 1000 s after the epoch of the toy: %s", w.service.token);
    cr_expect_str_eq(w.service.address, "hub/Partitions/3");
    cr_expect_eq(story_send(&a), RH_OK);
    toy_loop_pass(&w.toy, 1);
    cr_expect_eq(a.outcomes, 1);
    cr_expect_eq(a.outcome, RH_ACCEPTED);

    rh_attachment_close(&a.attachment, 0);
    cr_assert(toy_loop_until(&w.toy, &a.gone, 5));
    cr_expect_eq(a.error.status, RH_OK);
    cr_expect_eq(a.downs, 1);
    cr_expect_eq(w.service.detaches, 1);
    cr_expect(world_close(&w));
}

Test(client, that_is_open_and_idle_is_not_woken_before_a_heartbeat_is_due)
{
    world_open(&w, NULL);
    cr_assert_eq(story_open(&a, &w, "hub/Partitions/3", 50), RH_OK);
    cr_assert(toy_loop_until(&w.toy, &a.up, 5));
    toy_loop_pass(&w.toy, 2);
    uint64_t before = w.toy.turns;
    toy_loop_pass(&w.toy, 20);
    cr_expect_eq(w.toy.turns - before, 1, "the turn that waits: %llu", (unsigned long long)(w.toy.turns - before));
    cr_expect_lt(w.toy.bytes_allocated, 10 * 1024 + 25 * 1024, "with a block of the loop's, that it keeps: %zu", w.toy.bytes_allocated);
    cr_expect(world_close(&w));
}

Test(client, many_links_share_one_pair_on_cbs_and_pipeline_their_tokens)
{
    static link_story many[40];
    char              address[40][32];
    world_open(&w, NULL);
    w.service.hold_puts = true;
    for (int i = 0; i < 40; i++) {
        (void)snprintf(address[i], sizeof address[i], "hub/Partitions/%d", i);
        cr_assert_eq(story_open(&many[i], &w, address[i], 30), RH_OK);
    }
    toy_loop_pass(&w.toy, 2);
    cr_expect_eq(w.service.puts_waiting_most, 40, "all tokens are on their way before the first answer");
    toy_service_answer_puts(&w.service);
    for (int i = 0; i < 40; i++) cr_expect(toy_loop_until(&w.toy, &many[i].up, 5), "%d", i);
    cr_expect_eq(w.service.cbs_links, 2);
    cr_expect_eq(w.service.connections, 1);
    cr_expect_eq(w.service.puts, 40);
    cr_expect(world_close(&w));
    for (int i = 0; i < 40; i++) cr_expect_eq(many[i].gones, 1);
}

Test(client, more_links_than_the_output_ring_holds_come_up_all_the_same)
{
    static link_story many[120];
    static char       address[120][240];
    world_open(&w, RH_CLIENT_OPTS(.links = 120));
    for (int i = 0; i < 120; i++) {
        (void)snprintf(address[i], sizeof address[i], "hub/ConsumerGroups/%0180d/Partitions/%d", 7, i);
        cr_assert_eq(story_open(&many[i], &w, address[i], 30), RH_OK);
    }
    for (int i = 0; i < 120; i++) cr_expect(toy_loop_until(&w.toy, &many[i].up, 5), "%d: %s", i, many[i].error.description);
    for (int i = 0; i < 120; i++) rh_attachment_close(&many[i].attachment, 0);
    for (int i = 0; i < 120; i++) cr_expect(toy_loop_until(&w.toy, &many[i].gone, 5), "%d", i);
    for (int i = 0; i < 120; i++) cr_expect_eq(many[i].error.status, RH_OK, "%d: %s", i, many[i].error.description);
    cr_expect(world_close(&w));
}

Test(client, links_of_one_audience_share_its_token)
{
    world_open(&w, NULL);
    cr_assert_eq(story_open(&a, &w, "hub/Partitions/0", 5), RH_OK);
    cr_assert_eq(story_open(&b, &w, "hub/Partitions/0", 5), RH_OK);
    cr_expect(toy_loop_until(&w.toy, &a.up, 5));
    cr_expect(toy_loop_until(&w.toy, &b.up, 5));
    cr_expect_eq(w.service.puts, 1);
    cr_expect(world_close(&w));
}

Test(client, more_links_than_given_are_refused_at_once)
{
    world_open(&w, RH_CLIENT_OPTS(.links = 1));
    cr_expect_eq(story_open(&a, &w, "hub/Partitions/0", 5), RH_OK);
    cr_expect_eq(story_open(&b, &w, "hub/Partitions/1", 5), RH_E_LIMIT);
    cr_expect(toy_loop_until(&w.toy, &a.up, 5));
    cr_expect(world_close(&w));
}

/* -- refusals ---------------------------------------------------------------------------------------- */

Test(client, more_links_than_there_are_channels_are_no_limit)
{
    world_open(&w, NULL);
    rh_client *other;
    cr_expect_eq(rh_client_create(&w.toy.loop, RH_CLIENT_OPTS(.connection_string = world_connection_string, .links = 65535), &other, NULL), RH_E_ARGUMENT);
    cr_assert_eq(rh_client_create(&w.toy.loop, RH_CLIENT_OPTS(.connection_string = world_connection_string, .links = 65534), &other, NULL), RH_OK);
    rh_client_destroy(other);
    cr_expect(world_close(&w));
}

Test(client, announces_the_frame_size_it_was_given_and_refuses_one_that_amqp_does_not_allow)
{
    rh_client *other;
    world_open(&w, RH_CLIENT_OPTS(.max_frame_size = 512));
    cr_assert_eq(story_open(&a, &w, "hub/Partitions/0", 5), RH_OK);
    cr_assert(toy_loop_until(&w.toy, &a.up, 5));
    cr_expect_eq(rh_engine_peer_of(w.service.engine).max_frame_size, 512);
    for (size_t i = 0; i < 2; i++) {
        uint32_t n = i ? 65537 : 511;
        cr_expect_eq(rh_client_create(&w.toy.loop, RH_CLIENT_OPTS(.connection_string = world_connection_string, .max_frame_size = n), &other, NULL), RH_E_ARGUMENT);
    }
    cr_expect(world_close(&w));
}

Test(client, a_wrong_key_is_unauthorized_in_the_service_s_words)
{
    world_open(&w, NULL);
    w.service.cbs_code  = 401;
    w.service.cbs_words = WORDS_401;
    cr_assert_eq(story_open(&a, &w, "hub/Partitions/0", 5), RH_OK);
    cr_assert(toy_loop_until(&w.toy, &a.gone, 5));
    cr_expect_eq(a.error.status, RH_E_UNAUTHORIZED);
    cr_expect_eq(a.error.error_class, RH_CLASS_TOKEN);
    cr_expect_str_eq(a.error.description, WORDS_401);
    cr_expect_eq(a.ups, 0);
    cr_expect_eq(w.service.puts, 1, "a refusal is told at once, not repeated");
    cr_expect_eq(rh_client_state_of(w.client), RH_CLIENT_OPEN, "the connection lives");

    w.service.cbs_code = 202;
    cr_assert_eq(story_open(&a, &w, "hub/Partitions/0", 5), RH_OK);
    cr_expect(toy_loop_until(&w.toy, &a.up, 5), "and the next one may be luckier");
    cr_expect(world_close(&w));
}

Test(client, an_unknown_hub_is_not_found)
{
    world_open(&w, NULL);
    w.service.refuse       = "amqp:not-found";
    w.service.refuse_words = "The messaging entity 'sb://toy/hub' could not be found. TrackingId:77_G1, SystemTracker:x, Timestamp:y";
    cr_assert_eq(story_open(&a, &w, "hub/Partitions/0", 5), RH_OK);
    cr_assert(toy_loop_until(&w.toy, &a.gone, 5));
    cr_expect_eq(a.error.status, RH_E_NOT_FOUND);
    cr_expect_str_eq(a.error.condition, "amqp:not-found");
    cr_expect_str_eq(a.error.tracking_id, "77_G1");
    cr_expect_not_null(strstr(a.error.description, "could not be found"));
    cr_expect(world_close(&w));
}

Test(client, cbs_that_refuses_its_links_says_so_and_is_asked_again_next_time)
{
    world_open(&w, NULL);
    w.service.cbs_refused = true;
    cr_assert_eq(story_open(&a, &w, "hub/Partitions/0", 5), RH_OK);
    cr_assert(toy_loop_until(&w.toy, &a.gone, 5));
    cr_expect_eq(a.error.status, RH_E_NOT_ALLOWED);
    cr_expect_str_eq(a.error.description, "no $cbs today");
    toy_loop_pass(&w.toy, 1);
    w.service.cbs_refused = false;
    cr_assert_eq(story_open(&a, &w, "hub/Partitions/0", 5), RH_OK);
    cr_expect(toy_loop_until(&w.toy, &a.up, 5));
    cr_expect(world_close(&w));
}

Test(client, a_refused_sasl_exchange_has_its_own_status)
{
    world_open(&w, NULL);
    w.service.sasl_refused = true;
    rh_error error;
    cr_expect_eq(rh_client_connect_wait(w.client, 5000, &error), RH_E_SASL, "%s", rh_status_name(error.status));
    cr_expect(world_close(&w));
}

Test(client, a_dial_that_fails_ends_everything_that_waits_typed)
{
    static const rh_status failures[] = { RH_E_REFUSED, RH_E_NAME, RH_E_UNREACHABLE, RH_E_TLS_NAME, RH_E_TLS_UNKNOWN_CA, RH_E_TLS_EXPIRED, RH_E_TLS };
    for (size_t i = 0; i < sizeof failures / sizeof *failures; i++) {
        world_open(&w, NULL);
        w.toy.dial_status = failures[i];
        cr_assert_eq(story_open(&a, &w, "hub/Partitions/0", 5), RH_OK);
        cr_assert(toy_loop_until(&w.toy, &a.gone, 5));
        cr_expect_eq(a.error.status, failures[i]);
        cr_expect_str_eq(a.error.description, "toy:5671: so it was told");
        cr_expect_eq(rh_client_error(w.client)->status, failures[i]);
        cr_expect_str_eq(w.states, "cC");
        cr_expect_eq(story_open(&b, &w, "hub/Partitions/0", 5), RH_E_CONNECTION_LOST);
        cr_expect(world_close(&w));
    }
}

/* -- silence ------------------------------------------------------------------------------------------ */

enum silence { DIAL, OPEN, CBS, CBS_CREDIT, ATTACH, SILENCES };

static void be_silent(enum silence silence)
{
    if (silence == DIAL) w.toy.dial_hangs = true;
    if (silence == OPEN) w.service.mute = true;
    if (silence == CBS) w.service.cbs_silent = true;
    if (silence == CBS_CREDIT) w.service.cbs_no_credit = true;
    if (silence == ATTACH) w.service.attach_silent = true;
}

Test(client, silence_in_every_phase_ends_at_the_deadline)
{
    for (int silence = DIAL; silence < SILENCES; silence++) {
        world_open(&w, NULL);
        be_silent((enum silence)silence);
        rh_time start = w.toy.now;
        cr_assert_eq(story_open(&a, &w, "hub/Partitions/0", 3), RH_OK);
        cr_expect(toy_loop_until(&w.toy, &a.down, 20), "%d", silence);
        cr_expect_eq(a.error.status, RH_E_TIMEOUT, "%d: %s", silence, a.error.description);
        cr_expect_eq(w.toy.now - start, RH_SECONDS(3), "%d: neither earlier nor later", silence);
        cr_expect(world_close(&w), "%d", silence);
        cr_expect_eq(a.downs, 1);
        cr_expect_eq(a.gones, 1);
    }
}

Test(client, a_short_deadline_of_one_link_does_not_hurt_the_connecting)
{
    world_open(&w, NULL);
    w.service.mute = true;
    cr_assert_eq(story_open(&a, &w, "hub/Partitions/0", 1), RH_OK);
    cr_assert_eq(story_open(&b, &w, "hub/Partitions/1", 10), RH_OK);
    cr_expect(toy_loop_until(&w.toy, &a.gone, 2));
    w.service.mute = false;
    toy_service_wake(&w.service);
    cr_expect(toy_loop_until(&w.toy, &b.up, 2));
    cr_expect(world_close(&w));
}

Test(client, a_peer_that_falls_silent_is_noticed)
{
    world_open(&w, NULL);
    cr_assert_eq(story_open(&a, &w, "hub/Partitions/0", 3), RH_OK);
    cr_assert(toy_loop_until(&w.toy, &a.up, 3));
    w.toy.silent = true;
    cr_assert(toy_loop_until(&w.toy, &a.gone, 300));
    cr_expect_eq(a.error.status, RH_E_PEER_SILENT, "%s", rh_status_name(a.error.status));
    cr_expect_str_eq(w.states, "OcC");
    cr_expect(world_close(&w));
}

Test(client, lives_for_a_day_on_heartbeats_and_renewed_tokens)
{
    world_open(&w, NULL);
    cr_assert_eq(story_open(&a, &w, "hub/Partitions/0", 3), RH_OK);
    toy_loop_pass(&w.toy, 24 * 3600);
    cr_expect_eq(a.downs, 0);
    cr_expect_str_eq(w.states, "O");
    /* 24 h at 75 to 90 % of an hour each. */
    cr_expect_geq(w.service.puts, 26);
    cr_expect_leq(w.service.puts, 34);
    cr_expect(world_close(&w));
}

/* -- losses ------------------------------------------------------------------------------------------- */

static unsigned hub_answers;
static rh_error hub_error;

static void on_hub(void *user, const rh_hub_properties *properties, const rh_error *error)
{
    (void)user;
    hub_answers++;
    memset(&hub_error, 0, sizeof hub_error);
    if (!properties) hub_error = *error;
}

Test(client, a_connection_lost_after_every_byte_ends_everything_once_and_typed)
{
    world_open(&w, NULL);
    (void)story_open(&a, &w, "hub/Partitions/0", 20);
    rh_client_hub_properties(w.client, 20000, on_hub, NULL);
    toy_loop_pass(&w.toy, 1);
    size_t whole = w.toy.bytes_in;
    cr_assert(a.up && hub_error.status == RH_OK);
    cr_expect(world_close(&w));

    for (size_t cut = 0; cut < whole; cut++) {
        world_open(&w, NULL);
        w.toy.cut_after = cut;
        hub_answers     = 0;
        cr_assert_eq(story_open(&a, &w, "hub/Partitions/0", 20), RH_OK);
        rh_client_hub_properties(w.client, 20000, on_hub, NULL);
        cr_expect(toy_loop_until(&w.toy, &a.gone, 60), "cut after byte %zu", cut);
        toy_loop_pass(&w.toy, 1);
        cr_expect_eq(a.error.status, RH_E_CONNECTION_LOST, "cut after byte %zu: %s", cut, rh_status_name(a.error.status));
        cr_expect_eq(a.downs, 1);
        cr_expect_eq(hub_answers, 1, "cut after byte %zu", cut);
        cr_expect(w.is_closed);
        cr_expect_eq(w.closed.status, RH_E_CONNECTION_LOST);
        cr_expect(world_close(&w), "cut after byte %zu", cut);
    }
}

Test(client, a_byte_changed_anywhere_is_survived)
{
    static const uint8_t changes[] = { 0x01, 0x80, 0xff };
    world_open(&w, NULL);
    (void)story_open(&a, &w, "hub/Partitions/0", 20);
    rh_client_hub_properties(w.client, 20000, on_hub, NULL);
    toy_loop_pass(&w.toy, 1);
    size_t whole = w.toy.bytes_in;
    cr_expect(world_close(&w));

    for (size_t at = 1; at <= whole; at++) {
        world_open(&w, NULL);
        w.toy.corrupt_at = at;
        w.toy.corrupt_by = changes[at % 3];
        hub_answers      = 0;
        cr_assert_eq(story_open(&a, &w, "hub/Partitions/0", 20), RH_OK);
        rh_client_hub_properties(w.client, 20000, on_hub, NULL);
        toy_loop_pass(&w.toy, 30);
        cr_expect(a.up || (a.downs == 1 && a.error.status != RH_OK), "byte %zu: neither up nor told", at);
        cr_expect_eq(hub_answers, 1, "byte %zu", at);
        cr_expect(world_close(&w), "byte %zu", at);
        cr_expect_eq(a.gones, 1, "byte %zu", at);
    }
}

Test(client, a_send_on_a_lost_connection_has_exactly_one_outcome)
{
    world_open(&w, NULL);
    w.service.keep_deliveries = true;
    cr_assert_eq(story_open(&a, &w, "hub/Partitions/0", 20), RH_OK);
    cr_assert(toy_loop_until(&w.toy, &a.up, 5));
    cr_assert_eq(story_send(&a), RH_OK);
    toy_loop_pass(&w.toy, 1);
    toy_loop_break(&w.toy);
    cr_assert(toy_loop_until(&w.toy, &a.gone, 5));
    cr_expect_eq(a.outcomes, 1);
    cr_expect_eq(a.outcome, RH_UNKNOWN, "its bytes left");
    cr_expect(world_close(&w));
}

Test(client, what_the_service_says_in_close_reaches_everybody)
{
    world_open(&w, NULL);
    cr_assert_eq(story_open(&a, &w, "hub/Partitions/0", 20), RH_OK);
    cr_assert(toy_loop_until(&w.toy, &a.up, 5));
    cr_expect_eq(rh_engine_close(w.service.engine, "amqp:connection:forced", "The connection was inactive for more than the allowed 300000 milliseconds"), RH_OK);
    toy_service_wake(&w.service);
    cr_assert(toy_loop_until(&w.toy, &a.gone, 5));
    cr_expect_eq(a.error.status, RH_E_CONNECTION_FORCED);
    cr_expect_eq(a.error.error_class, RH_CLASS_RECONNECT);
    cr_expect_not_null(strstr(a.error.description, "300000"));
    cr_expect_eq(rh_client_error(w.client)->status, RH_E_CONNECTION_FORCED);
    cr_expect(world_close(&w));
}

Test(client, a_link_detached_by_the_service_touches_no_other)
{
    world_open(&w, NULL);
    cr_assert_eq(story_open(&a, &w, "hub/Partitions/0", 20), RH_OK);
    cr_assert(toy_loop_until(&w.toy, &a.up, 5));
    cr_assert_eq(story_open(&b, &w, "hub/Partitions/1", 20), RH_OK);
    cr_assert(toy_loop_until(&w.toy, &b.up, 5));
    cr_expect_eq(rh_link_detach(w.service.events, true, "amqp:link:stolen", "New receiver with higher epoch"), RH_OK);
    toy_service_wake(&w.service);
    cr_assert(toy_loop_until(&w.toy, &b.gone, 5));
    cr_expect_eq(b.error.status, RH_E_STOLEN);
    cr_expect_eq(b.error.error_class, RH_CLASS_STOLEN);
    cr_expect_not(a.down);
    cr_expect_str_eq(w.states, "O");
    cr_expect(world_close(&w));
}

/* -- memory and endings -------------------------------------------------------------------------------- */

Test(client, destroyed_at_every_turn_leaves_nothing)
{
    for (unsigned turns = 0; turns < 60; turns++) {
        world_open(&w, NULL);
        (void)story_open(&a, &w, "hub/Partitions/0", 20);
        rh_client_hub_properties(w.client, 20000, on_hub, NULL);
        turn(turns);
        cr_expect(world_close(&w), "after %u turns", turns);
        cr_expect_eq(a.gones, 1, "after %u turns", turns);
        cr_expect_eq(a.error.status, RH_E_CLOSED, "after %u turns: %s", turns, rh_status_name(a.error.status));
    }
}

Test(client, destroyed_inside_a_callback_leaves_nothing)
{
    static const char *const refusals[] = { NULL, "amqp:not-found" };
    for (size_t i = 0; i < 2; i++) {
        world_open(&w, NULL);
        w.service.refuse = refusals[i];
        cr_assert_eq(story_open(&a, &w, "hub/Partitions/0", 2), RH_OK);
        cr_assert_eq(story_open(&b, &w, "hub/Partitions/1", 2), RH_OK);
        a.destroy_on_down = true;
        toy_loop_pass(&w.toy, 1);
        if (!refusals[i]) toy_loop_break(&w.toy);
        toy_loop_pass(&w.toy, 1);
        w.client = NULL;
        cr_expect(world_close(&w));
        cr_expect(a.gone && b.gone);
    }
}

Test(client, every_allocation_that_fails_is_told_and_leaves_nothing)
{
    for (size_t n = 1; n < 12; n++) {
        world_open(&w, NULL);
        w.toy.fail_allocation = n;
        rh_client *other = NULL;
        rh_error   error = { .status = RH_OK };
        rh_status  status = rh_client_create(&w.toy.loop, RH_CLIENT_OPTS(.connection_string = world_connection_string), &other, &error);
        if (status != RH_OK) cr_expect(status == RH_E_MEMORY && error.status == RH_E_MEMORY, "%s", rh_status_name(status));
        if (status == RH_OK) rh_client_destroy(other);

        w.toy.fail_allocation = n;
        status = story_open(&a, &w, "hub/Partitions/0", 2);
        if (status == RH_OK) {
            toy_loop_pass(&w.toy, 3);
            cr_expect(a.up || a.error.status == RH_E_MEMORY, "%zu: %s", n, rh_status_name(a.error.status));
        } else {
            cr_expect_eq(status, RH_E_MEMORY);
        }
        w.toy.fail_allocation = 0;
        cr_expect(world_close(&w), "allocation %zu", n);
    }
}

Test(client, what_found_no_room_to_be_written_leaves_when_there_is_some)
{
    world_open(&w, NULL);
    a.sender = true;
    cr_assert_eq(story_open(&a, &w, "hub/Partitions/0", 20), RH_OK);
    cr_assert(toy_loop_until(&w.toy, &a.up, 5));
    w.toy.no_room = true;
    cr_assert_eq(story_send(&a), RH_OK);
    toy_loop_pass(&w.toy, 2);
    cr_expect_eq(w.service.deliveries, 0);
    w.toy.no_room = false;
    toy_loop_pass(&w.toy, 1);
    cr_expect_eq(a.outcomes, 1);
    cr_expect(world_close(&w));
}

Test(client, what_found_no_room_for_answers_is_taken_when_there_is_some)
{
    world_open(&w, NULL);
    a.sender = true;
    cr_assert_eq(story_open(&a, &w, "hub/Partitions/0", 20), RH_OK);
    cr_assert(toy_loop_until(&w.toy, &a.up, 5));
    w.toy.distance = RH_MS(500);
    cr_assert_eq(story_send(&a), RH_OK);
    while (w.service.deliveries == 0) cr_assert_eq(rh_loop_turn(&w.toy.loop, rh_time_after(w.toy.now, RH_SECONDS(1))), RH_OK);
    w.toy.no_room = true;
    toy_loop_pass(&w.toy, 2);
    cr_expect_eq(a.outcomes, 0);
    w.toy.no_room = false;
    toy_loop_pass(&w.toy, 1);
    cr_expect_eq(a.outcomes, 1);
    cr_expect(world_close(&w));
}

Test(client, closing_says_goodbye_and_ends_links_as_closed)
{
    world_open(&w, NULL);
    cr_assert_eq(story_open(&a, &w, "hub/Partitions/0", 20), RH_OK);
    cr_assert(toy_loop_until(&w.toy, &a.up, 5));
    rh_error error;
    cr_expect_eq(rh_client_close_wait(w.client, 5000, &error), RH_OK, "%s", error.description);
    cr_expect_eq(a.error.status, RH_E_CLOSED);
    cr_expect(a.gone);
    cr_expect_eq(w.service.end.status, RH_OK, "the service saw a clean close");
    cr_expect_str_eq(w.states, "OcC");
    cr_expect_eq(rh_client_error(w.client)->status, RH_OK);
    cr_expect_eq(story_open(&b, &w, "hub/Partitions/0", 20), RH_E_CLOSED);
    cr_expect_eq(rh_client_connect_wait(w.client, 1000, &error), RH_E_CLOSED);
    cr_expect(world_close(&w));
}

Test(client, closing_what_never_connected_or_still_connects_is_short)
{
    world_open(&w, NULL);
    cr_expect_eq(rh_client_close_wait(w.client, 5000, NULL), RH_OK);
    cr_expect_eq(w.toy.dials, 0);
    cr_expect(world_close(&w));

    world_open(&w, NULL);
    w.toy.dial_hangs = true;
    cr_expect_eq(rh_client_connect(w.client), RH_OK);
    cr_expect_eq(rh_client_close_wait(w.client, 5000, NULL), RH_OK);
    cr_expect_eq(w.toy.now, RH_SECONDS(1000), "no time passed");
    cr_expect(world_close(&w));
}

Test(client, a_close_that_is_not_answered_ends_at_its_deadline)
{
    world_open(&w, NULL);
    cr_assert(world_is_connected(&w, 5));
    w.toy.silent  = true;
    rh_time start = w.toy.now;
    cr_expect_eq(rh_client_close_wait(w.client, 2000, NULL), RH_E_TIMEOUT);
    cr_expect_eq(w.toy.now - start, RH_SECONDS(2));
    cr_expect(world_close(&w));
}

Test(client, a_second_close_that_is_in_more_of_a_hurry_is_kept)
{
    world_open(&w, NULL);
    cr_assert_eq(story_open(&a, &w, "hub/Partitions/0", 5), RH_OK);
    cr_assert(toy_loop_until(&w.toy, &a.up, 5));
    w.toy.silent  = true;
    rh_time start = w.toy.now;
    rh_attachment_close(&a.attachment, start + RH_SECONDS(9));
    rh_attachment_close(&a.attachment, start + RH_SECONDS(2));
    cr_expect(toy_loop_until(&w.toy, &a.down, 5));
    cr_expect_eq(w.toy.now - start, RH_SECONDS(2));
    cr_expect_eq(a.error.status, RH_E_TIMEOUT);
    cr_expect(world_close(&w));
}

Test(client, an_abandoned_link_says_nothing_more_but_that_it_is_gone)
{
    for (unsigned turns = 0; turns < 40; turns++) {
        world_open(&w, NULL);
        cr_assert_eq(story_open(&a, &w, "hub/Partitions/0", 20), RH_OK);
        turn(turns);
        rh_attachment_abandon(&a.attachment);
        cr_expect_not(a.gone, "never from inside a call");
        cr_expect(toy_loop_until(&w.toy, &a.gone, 30), "after %u turns", turns);
        cr_expect_eq(a.downs, 0);
        cr_expect(world_close(&w), "after %u turns", turns);
    }
}

static rh_status nested[4];

static void on_nested(void *user, const rh_hub_properties *properties, const rh_error *error)
{
    rh_client        *client = user;
    rh_hub_properties out;
    (void)properties, (void)error;
    nested[0] = rh_client_connect_wait(client, 1, NULL);
    nested[1] = rh_client_close_wait(client, 1, NULL);
    nested[2] = rh_client_hub_properties_wait(client, &out, 1, NULL);
    nested[3] = rh_client_wait(client, &w.is_closed, 1);
    hub_answers++;
}

Test(client, waiting_calls_are_refused_inside_a_callback)
{
    world_open(&w, NULL);
    hub_answers = 0;
    rh_client_hub_properties(w.client, 5000, on_nested, w.client);
    toy_loop_pass(&w.toy, 1);
    cr_assert_eq(hub_answers, 1);
    for (size_t i = 0; i < 4; i++) cr_expect_eq(nested[i], RH_E_REENTRANT, "%zu", i);
    cr_expect(world_close(&w));
}
