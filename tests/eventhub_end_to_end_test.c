/* A client, the emulator and the real loop in one process: what was sent is what comes in. */
#include "emulator/emulator.h"
#include "eventhub/eventhub.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static rh_loop *loop;
static rh_emulator *emulator;
static rh_client *client;
static rh_error error;

/** The emulator's own certificate, as a file that a client can be told to trust. */
static const char *trust(void)
{
    static char path[] = "/tmp/ringhub-certificate-XXXXXX";
    int fd = mkstemp(path);
    cr_assert_geq(fd, 0);
    FILE *file = fdopen(fd, "w");
    fputs(rh_emulator_certificate_pem(emulator), file);
    fclose(file);
    return path;
}

static void world(const rh_loop_opts *opts, bool tls)
{
    static const char *const groups[] = { "cg" };
    static const rh_emulator_hub hub = { .name = "hub", .partitions = 4, .groups = groups, .group_count = 1 };
    char text[512];
    cr_assert_eq(rh_loop_create(opts, &loop, &error), RH_OK, "%s", error.description);
    rh_emulator_opts *emulator_opts = RH_EMULATOR_OPTS(.hubs = &hub, .hub_count = 1, .tls = tls);
    cr_assert_eq(rh_emulator_create(loop, emulator_opts, &emulator, &error), RH_OK, "%s", error.description);
    if (tls) rh_emulator_tls_connection_string(emulator, "hub", text, sizeof text);
    else rh_emulator_connection_string(emulator, "hub", text, sizeof text);
    const char *ca = tls ? trust() : NULL;
    rh_status status = rh_client_create(loop, RH_CLIENT_OPTS(.connection_string = text, .ca_file = ca), &client, &error);
    if (ca) unlink(ca);
    cr_assert_eq(status, RH_OK, "%s", error.description);
}

static void open_world(void)
{
    world(NULL, false);
}

static void close_world(void)
{
    rh_client_destroy(client);
    rh_emulator_destroy(emulator);
    cr_expect_eq(rh_loop_destroy(loop), RH_OK);
}

TestSuite(end_to_end, .init = open_world, .fini = close_world, .timeout = 60);

static rh_producer *producer_to(const char *partition)
{
    rh_producer *producer;
    rh_status status = rh_producer_open_wait(client, RH_PRODUCER_OPTS(.partition = partition), &producer, 5000, &error);
    cr_assert_eq(status, RH_OK, "%s: %s", rh_status_name(status), error.description);
    return producer;
}

static rh_consumer *consumer_of(const char *partition, rh_position position)
{
    rh_consumer *consumer;
    rh_status status = rh_consumer_open_wait(client, RH_CONSUMER_OPTS(.partition = partition, .position = position), &consumer, 5000, &error);
    cr_assert_eq(status, RH_OK, "%s: %s", rh_status_name(status), error.description);
    return consumer;
}

static void send_numbers(rh_producer *producer, int from, int count)
{
    rh_batch *batch;
    char text[16];
    cr_assert_eq(rh_batch_create(producer, NULL, &batch), RH_OK);
    for (int i = from; i < from + count; i++) {
        snprintf(text, sizeof text, "%d", i);
        cr_assert_eq(rh_batch_add(batch, &(rh_event_data){ .body = rh_str(text) }), RH_OK);
    }
    rh_status status = rh_producer_send_wait(producer, batch, 5000, &error);
    cr_assert_eq(status, RH_OK, "%s: %s", rh_status_name(status), error.description);
}

static const rh_event *receive(rh_consumer *consumer)
{
    const rh_event *event;
    rh_status status = rh_consumer_receive_wait(consumer, &event, 5000);
    cr_assert_eq(status, RH_OK, "%s", rh_status_name(status));
    return event;
}

static int number_of(const rh_event *event)
{
    char text[16] = { 0 };
    rh_slice body = rh_event_body(event);
    cr_assert_lt(body.n, sizeof text);
    memcpy(text, body.p, body.n);
    return atoi(text);
}

static int first_number(rh_position position)
{
    rh_consumer *consumer = consumer_of("0", position);
    const rh_event *event = receive(consumer);
    int number = number_of(event);
    rh_event_release(event);
    rh_consumer_destroy(consumer);
    return number;
}

/* -- there and back --------------------------------------------------------------------------------- */

static void send_and_receive_a_batch(void)
{
    rh_producer *producer = producer_to("1");
    rh_property properties[] = {
        { rh_str("colour"), { .type = RH_STRING, .bytes = rh_str("blue") } },
        { rh_str("weight"), { .type = RH_DOUBLE, .d = 21.5 } },
    };
    rh_event_data data = {
        .body = rh_str("hello"), .content_type = rh_str("text/plain"), .message_id = rh_str("m-1"), .correlation_id = rh_str("c-1"),
        .properties = properties, .property_count = 2,
    };
    rh_batch *batch;
    cr_assert_eq(rh_batch_create(producer, NULL, &batch), RH_OK);
    for (int i = 0; i < 100; i++) cr_assert_eq(rh_batch_add(batch, &data), RH_OK);
    cr_assert_eq(rh_producer_send_wait(producer, batch, 5000, &error), RH_OK, "%s", error.description);

    rh_consumer *consumer = consumer_of("1", (rh_position){ .kind = RH_POSITION_EARLIEST });
    rh_value value;
    for (int64_t i = 0; i < 100; i++) {
        const rh_event *event = receive(consumer);
        cr_assert_eq(rh_event_sequence_number(event), i);
        cr_expect_gt(rh_event_enqueued_time_ms(event), 1500000000000);
        cr_expect_gt(rh_event_offset(event).n, 0);
        cr_expect(rh_slice_is(rh_event_body(event), "hello"));
        cr_expect(rh_slice_is(rh_event_content_type(event), "text/plain"));
        cr_expect(rh_event_message_id(event, &value) && rh_slice_is(value.bytes, "m-1"));
        cr_expect(rh_event_correlation_id(event, &value) && rh_slice_is(value.bytes, "c-1"));
        cr_expect(rh_event_property(event, "colour", &value) && rh_slice_is(value.bytes, "blue"));
        cr_expect(rh_event_property(event, "weight", &value) && value.d == 21.5);
        rh_event_release(event);
    }
    const rh_event *none;
    cr_expect_eq(rh_consumer_receive_wait(consumer, &none, 100), RH_E_TIMEOUT);
    cr_expect_eq(rh_consumer_close_wait(consumer, 5000, &error), RH_OK);
    cr_expect_eq(rh_producer_close_wait(producer, 5000, &error), RH_OK);
    rh_consumer_destroy(consumer);
    rh_producer_destroy(producer);
}

Test(end_to_end, a_batch_comes_out_as_it_went_in)
{
    send_and_receive_a_batch();
}

Test(backend, epoll_does_the_same, .timeout = 60)
{
    world(RH_LOOP_OPTS(.backend = RH_BACKEND_EPOLL), false);
    cr_expect_str_eq(rh_loop_backend_name(loop), "epoll");
    send_and_receive_a_batch();
    close_world();
}

static void send_and_receive_large_events(void)
{
    enum { N = 900 * 1024 };
    static uint8_t body[N];
    for (size_t i = 0; i < N; i++) body[i] = (uint8_t)(i * 2654435761u >> 13);
    rh_producer *producer = producer_to("0");
    rh_consumer *consumer = consumer_of("0", (rh_position){ .kind = RH_POSITION_EARLIEST });
    for (int i = 0; i < 8; i++)
        cr_assert_eq(rh_producer_send_event_wait(producer, &(rh_event_data){ .body = rh_slice_of(body, N) }, 5000, &error), RH_OK, "%s", error.description);
    for (int i = 0; i < 8; i++) {
        const rh_event *event = receive(consumer);
        cr_expect(rh_slice_equal(rh_event_body(event), rh_slice_of(body, N)), "event %d", i);
        rh_event_release(event);
    }
    rh_consumer_destroy(consumer);
    rh_producer_destroy(producer);
}

Test(end_to_end, events_of_900_kib_cross_in_many_frames)
{
    send_and_receive_large_events();
}

Test(backend, tls_does_the_same, .timeout = 60)
{
    world(NULL, true);
    send_and_receive_a_batch();
    send_and_receive_large_events();
    close_world();
}

Test(end_to_end, events_with_one_key_share_a_partition)
{
    rh_producer *producer = producer_to(NULL);
    for (int i = 0; i < 10; i++) {
        rh_batch *batch;
        cr_assert_eq(rh_batch_create(producer, RH_BATCH_OPTS(.partition_key = "device-42"), &batch), RH_OK);
        cr_assert_eq(rh_batch_add(batch, &(rh_event_data){ .body = rh_str("keyed") }), RH_OK);
        cr_assert_eq(rh_producer_send_wait(producer, batch, 5000, &error), RH_OK, "%s", error.description);
    }
    rh_event_data single = { .body = rh_str("keyed"), .partition_key = rh_str("device-42") };
    cr_assert_eq(rh_producer_send_event_wait(producer, &single, 5000, &error), RH_OK);

    int partitions_with_events = 0;
    for (char id[2] = "0"; id[0] < '4'; id[0]++) {
        rh_partition_properties properties;
        cr_assert_eq(rh_client_partition_properties_wait(client, id, &properties, 5000, &error), RH_OK, "%s", error.description);
        if (properties.is_empty) continue;
        partitions_with_events++;
        cr_expect_eq(properties.last_enqueued_sequence_number, 10);
        rh_consumer *consumer = consumer_of(id, (rh_position){ .kind = RH_POSITION_EARLIEST });
        for (int i = 0; i < 11; i++) {
            const rh_event *event = receive(consumer);
            cr_expect(rh_slice_is(rh_event_partition_key(event), "device-42"));
            rh_event_release(event);
        }
        rh_consumer_destroy(consumer);
    }
    cr_expect_eq(partitions_with_events, 1);
    rh_producer_destroy(producer);
}

Test(end_to_end, a_partition_ends_where_the_event_says)
{
    rh_producer *producer = producer_to("0");
    send_numbers(producer, 0, 10);
    rh_consumer *consumer;
    cr_assert_eq(rh_consumer_open_wait(client, RH_CONSUMER_OPTS(.partition = "0", .track_last_enqueued = true), &consumer, 5000, &error), RH_OK);
    const rh_event *event = receive(consumer);
    rh_last_enqueued last;
    cr_assert(rh_event_last_enqueued(event, &last));
    cr_expect_eq(last.sequence_number, 9);
    cr_expect_gt(last.time_ms, 1500000000000);
    rh_event_release(event);
    rh_consumer_destroy(consumer);
    rh_producer_destroy(producer);
}

/* -- positions -------------------------------------------------------------------------------------- */

Test(end_to_end, reading_starts_where_it_is_told)
{
    rh_producer *producer = producer_to("0");
    send_numbers(producer, 0, 10);
    rh_consumer *consumer = consumer_of("0", (rh_position){ .kind = RH_POSITION_EARLIEST });
    char offset[RH_OFFSET_MAX + 1] = { 0 };
    for (int i = 0; i < 6; i++) {
        const rh_event *event = receive(consumer);
        memset(offset, 0, sizeof offset);
        memcpy(offset, rh_event_offset(event).p, rh_event_offset(event).n);
        rh_event_release(event);
    }
    rh_consumer_destroy(consumer);

    cr_expect_eq(first_number((rh_position){ .kind = RH_POSITION_EARLIEST }), 0);
    cr_expect_eq(first_number((rh_position){ .kind = RH_POSITION_OFFSET, .offset = offset }), 6);
    cr_expect_eq(first_number((rh_position){ .kind = RH_POSITION_OFFSET, .offset = offset, .inclusive = true }), 5);
    cr_expect_eq(first_number((rh_position){ .kind = RH_POSITION_SEQUENCE, .value = 3 }), 4);
    cr_expect_eq(first_number((rh_position){ .kind = RH_POSITION_SEQUENCE, .value = 3, .inclusive = true }), 3);
    rh_producer_destroy(producer);
}

Test(end_to_end, latest_sees_only_what_comes_later)
{
    rh_producer *producer = producer_to("0");
    send_numbers(producer, 0, 10);
    rh_consumer *consumer = consumer_of("0", (rh_position){ .kind = RH_POSITION_LATEST });
    send_numbers(producer, 10, 1);
    const rh_event *event = receive(consumer);
    cr_expect_eq(number_of(event), 10);
    rh_event_release(event);
    rh_consumer_destroy(consumer);
    rh_producer_destroy(producer);
}

Test(end_to_end, a_time_parts_the_events_before_from_those_after)
{
    rh_producer *producer = producer_to("0");
    send_numbers(producer, 0, 5);
    cr_assert_eq(rh_loop_run(loop, rh_time_after(rh_loop_now(loop), RH_MS(20))), RH_OK);
    send_numbers(producer, 5, 5);
    rh_consumer *consumer = consumer_of("0", (rh_position){ .kind = RH_POSITION_SEQUENCE, .value = 5, .inclusive = true });
    const rh_event *event = receive(consumer);
    int64_t time = rh_event_enqueued_time_ms(event);
    rh_event_release(event);
    rh_consumer_destroy(consumer);
    cr_expect_eq(first_number((rh_position){ .kind = RH_POSITION_TIME, .value = time, .inclusive = true }), 5);
    cr_expect_eq(first_number((rh_position){ .kind = RH_POSITION_TIME, .value = time - 1 }), 5);
    cr_expect_eq(first_number((rh_position){ .kind = RH_POSITION_TIME, .value = 0 }), 0);
    rh_producer_destroy(producer);
}

/* -- owners ----------------------------------------------------------------------------------------- */

static bool stolen;

static void note_state(void *user, rh_consumer *consumer, rh_consumer_state state, const rh_error *why)
{
    (void)user, (void)consumer;
    if (state != RH_CONSUMER_STOLEN) return;
    stolen = true;
    cr_expect_eq(why->status, RH_E_STOLEN);
}

static rh_status open_level(int64_t level, rh_consumer **out)
{
    rh_consumer_opts *opts = RH_CONSUMER_OPTS(.partition = "0", .has_owner_level = level >= 0, .owner_level = level, .handler = { .on_state = note_state });
    return rh_consumer_open_wait(client, opts, out, 5000, &error);
}

Test(end_to_end, a_higher_owner_level_takes_the_partition_over)
{
    rh_consumer *first, *second, *third;
    cr_assert_eq(open_level(1, &first), RH_OK, "%s", error.description);
    cr_assert_eq(open_level(2, &second), RH_OK, "%s", error.description);
    for (int i = 0; i < 100 && !stolen; i++) cr_assert_eq(rh_loop_turn(loop, rh_time_after(rh_loop_now(loop), RH_MS(20))), RH_OK);
    cr_expect(stolen);
    cr_expect_eq(rh_consumer_state_of(first), RH_CONSUMER_STOLEN);
    cr_expect_eq(rh_consumer_state_of(second), RH_CONSUMER_OPEN);
    const rh_event *event;
    cr_expect_eq(rh_consumer_receive(first, &event), RH_E_STOLEN);

    cr_expect_eq(open_level(1, &third), RH_E_STOLEN, "a lower one is refused");
    cr_expect_null(third);
    cr_expect_eq(open_level(-1, &third), RH_E_STOLEN, "one without a level, too");
    rh_consumer_destroy(first);
    rh_consumer_destroy(second);
}

/* -- what the service says no to ---------------------------------------------------------------------- */

Test(end_to_end, unknown_partitions_groups_and_hubs_are_told_apart)
{
    rh_producer *producer;
    rh_consumer *consumer;
    cr_expect_eq(rh_producer_open_wait(client, RH_PRODUCER_OPTS(.partition = "99"), &producer, 5000, &error), RH_E_SERVICE_ARGUMENT);
    cr_expect_str_eq(error.condition, "com.microsoft:argument-out-of-range");
    cr_expect_eq(rh_consumer_open_wait(client, RH_CONSUMER_OPTS(.partition = "99"), &consumer, 5000, &error), RH_E_SERVICE_ARGUMENT);
    cr_expect_eq(rh_consumer_open_wait(client, RH_CONSUMER_OPTS(.partition = "0", .group = "nobody"), &consumer, 5000, &error), RH_E_NOT_FOUND);
    cr_expect_str_eq(error.condition, "amqp:not-found");
    cr_expect_eq(rh_consumer_open_wait(client, RH_CONSUMER_OPTS(.partition = "0", .group = "cg"), &consumer, 5000, &error), RH_OK);
    rh_consumer_destroy(consumer);
}

Test(end_to_end, what_is_larger_than_the_link_takes_never_leaves)
{
    static uint8_t body[1200 * 1000];
    rh_producer *producer;
    cr_assert_eq(rh_producer_open_wait(client, RH_PRODUCER_OPTS(.partition = "0", .batch_bytes = 2 * 1000 * 1000), &producer, 5000, &error), RH_OK);
    cr_expect_eq(rh_producer_max_bytes(producer), 1048576);
    rh_event_data large = { .body = rh_slice_of(body, sizeof body) };
    cr_expect_eq(rh_producer_send_event_wait(producer, &large, 5000, &error), RH_E_TOO_BIG);
    cr_expect_eq(error.status, RH_E_TOO_BIG);
    large.body.n = 1000 * 1000;
    cr_expect_eq(rh_producer_send_event_wait(producer, &large, 5000, &error), RH_OK);
    rh_producer_destroy(producer);
}

/* -- many at once ------------------------------------------------------------------------------------- */

static unsigned sent_ok, readies;

static void on_sent(void *user, rh_producer *producer, const rh_sent *sent)
{
    (void)user, (void)producer;
    cr_expect_eq(sent->status, RH_OK);
    cr_expect_eq((size_t)sent->tag, sent_ok, "in order");
    sent_ok++;
}

static void on_ready(void *user, rh_producer *producer)
{
    (void)user, (void)producer;
    readies++;
}

Test(end_to_end, ten_thousand_single_events_keep_their_order)
{
    enum { N = 10000 };
    rh_producer *producer;
    rh_producer_opts *opts = RH_PRODUCER_OPTS(.partition = "2", .in_flight = 64, .handler = { .on_sent = on_sent, .on_ready = on_ready });
    cr_assert_eq(rh_producer_open_wait(client, opts, &producer, 5000, &error), RH_OK);
    rh_consumer *consumer = consumer_of("2", (rh_position){ .kind = RH_POSITION_EARLIEST });
    char text[16];
    int got = 0;
    for (size_t i = 0; i < N || got < N;) {
        snprintf(text, sizeof text, "%d", (int)i);
        rh_status status = i < N ? rh_producer_send_event(producer, &(rh_event_data){ .body = rh_str(text) }, 0, (void *)i) : RH_AGAIN;
        cr_assert(status == RH_OK || status == RH_AGAIN, "%s", rh_status_name(status));
        if (status == RH_OK) i++;
        const rh_event *event;
        while (rh_consumer_receive(consumer, &event) == RH_OK) {
            cr_assert_eq(number_of(event), got);
            rh_event_release(event);
            got++;
        }
        if (status == RH_AGAIN) cr_assert_eq(rh_loop_turn(loop, rh_time_after(rh_loop_now(loop), RH_SECONDS(5))), RH_OK);
    }
    cr_expect_eq(got, N);
    cr_expect_eq(rh_producer_flush_wait(producer, 5000), RH_OK);
    cr_expect_eq(sent_ok, N);
    cr_expect_gt(readies, 0);
    rh_consumer_destroy(consumer);
    rh_producer_destroy(producer);
}

/* -- a slow consumer ---------------------------------------------------------------------------------- */

enum { FLOOD = 3000, HELD_MAX = FLOOD };

static struct {
    const rh_event *held[HELD_MAX];
    unsigned        count, seen;
    bool            is_greedy;
} holder;

static void hold(void *user, rh_consumer *consumer, const rh_event *event)
{
    (void)user, (void)consumer;
    cr_assert_eq(number_of(event), (int)holder.seen, "in order, and each once");
    holder.seen++;
    if (holder.is_greedy && rh_event_retain(event, &holder.held[holder.count]) == RH_OK) holder.count++;
}

static void count_one(void *user, rh_consumer *consumer, const rh_event *event)
{
    (void)consumer, (void)event;
    ++*(unsigned *)user;
}

static rh_consumer *consumer_with(const char *partition, void (*on_event)(void *, rh_consumer *, const rh_event *), void *user)
{
    rh_consumer *consumer;
    const rh_consumer_opts *opts = RH_CONSUMER_OPTS(.partition = partition, .prefetch_bytes = 256 * 1024, .event_bytes = 64 * 1024,
                                                    .handler = { .on_event = on_event }, .user = user);
    cr_assert_eq(rh_consumer_open_wait(client, opts, &consumer, 5000, &error), RH_OK, "%s", error.description);
    return consumer;
}

static bool turn_until(const unsigned *count, unsigned goal)
{
    rh_time end = rh_loop_now(loop) + RH_SECONDS(10);
    while (*count < goal && rh_loop_now(loop) < end) cr_assert_eq(rh_loop_turn(loop, end), RH_OK);
    return *count >= goal;
}

/* It keeps all it is given, on a loop with two receive buffers: its credit stops, another reader goes on, and nothing turns in vain. */
Test(backend, a_consumer_that_holds_everything_takes_nothing_from_others, .timeout = 60)
{
    for (rh_loop_backend backend = RH_BACKEND_URING; backend <= RH_BACKEND_EPOLL; backend++) {
        unsigned others = 0;
        rh_loop_stats before, after;
        memset(&holder, 0, sizeof holder);
        holder.is_greedy = true;
        world(RH_LOOP_OPTS(.backend = backend, .receive_buffers = 2, .receive_bytes = 4096), false);
        rh_producer *first = producer_to("0"), *second = producer_to("1");
        send_numbers(first, 0, FLOOD);
        send_numbers(second, 0, FLOOD);
        rh_consumer *greedy = consumer_with("0", hold, NULL);
        rh_time rest = rh_loop_now(loop) + RH_MS(300);
        while (rh_loop_now(loop) < rest) cr_assert_eq(rh_loop_turn(loop, rest), RH_OK);
        unsigned seen = holder.seen;
        cr_assert_lt(seen, FLOOD, "its credit stops");

        rh_consumer *other = consumer_with("1", count_one, &others);
        cr_expect(turn_until(&others, FLOOD), "another reads on: %u", others);
        cr_expect_eq(holder.seen, seen);
        rh_loop_stats_read(loop, &before);
        rest = rh_loop_now(loop) + RH_MS(100);
        while (rh_loop_now(loop) < rest) cr_assert_eq(rh_loop_turn(loop, rest), RH_OK);
        rh_loop_stats_read(loop, &after);
        cr_expect_leq(after.enters - before.enters, 8, "no busy loop");

        holder.is_greedy = false;
        while (holder.count) rh_event_release(holder.held[--holder.count]);
        cr_expect(turn_until(&holder.seen, FLOOD), "then it goes on itself: %u", holder.seen);
        rh_consumer_destroy(greedy), rh_consumer_destroy(other);
        rh_producer_destroy(first), rh_producer_destroy(second);
        close_world();
    }
}
