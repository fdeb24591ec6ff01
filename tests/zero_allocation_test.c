/*
 * What design promises: whoever is busy allocates nothing on the way of an event; memory is asked for when work begins and
 * given back when it rests (eventhub.h). A million events go out and come in
 * while malloc, calloc, realloc and mmap are counted on the client's thread; the emulator runs on its own.
 */
#include "emulator/emulator.h"
#include "eventhub/eventhub.h"
#include "tests/heap.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

static rh_emulator *emulator;
static rh_loop *loop;
static rh_client *client;
static rh_producer *producer;
static rh_consumer *consumer;
static rh_error error;

static uint64_t sent, received, failed, not_kept;
static const rh_event *kept[64]; /* a ring of the last events retained */
static uint64_t keep_every;      /* 0: none */

static void on_sent(void *user, rh_producer *p, const rh_sent *outcome)
{
    (void)user, (void)p;
    if (outcome->status != RH_OK) failed++;
}

static void on_event(void *user, rh_consumer *c, const rh_event *event)
{
    (void)user, (void)c;
    received++;
    if (!keep_every || received % keep_every) return;
    const rh_event **slot = &kept[received / keep_every % 64];
    rh_event_release(*slot);
    *slot = NULL;
    if (rh_event_retain(event, slot) != RH_OK) not_kept++;
}

static void connect_to(bool tls)
{
    char text[512];
    rh_emulator_opts *opts = RH_EMULATOR_OPTS(.tls = tls);
    cr_assert_eq(rh_emulator_start(opts, &emulator, &error), RH_OK, "%s", error.description);
    cr_assert_eq(rh_loop_create(NULL, &loop, &error), RH_OK, "%s", error.description);
    if (tls) rh_emulator_tls_connection_string(emulator, "hub", text, sizeof text);
    else rh_emulator_connection_string(emulator, "hub", text, sizeof text);
    cr_assert_eq(rh_client_create(loop, RH_CLIENT_OPTS(.connection_string = text, .insecure = tls), &client, &error), RH_OK, "%s", error.description);
    rh_producer_opts *out = RH_PRODUCER_OPTS(.partition = "0", .in_flight = 64, .handler = { .on_sent = on_sent });
    cr_assert_eq(rh_producer_open_wait(client, out, &producer, 10000, &error), RH_OK, "%s", error.description);
    rh_consumer_opts *in = RH_CONSUMER_OPTS(.partition = "0", .prefetch = 2000, .handler = { .on_event = on_event });
    cr_assert_eq(rh_consumer_open_wait(client, in, &consumer, 10000, &error), RH_OK, "%s", error.description);
}

static void disconnect(void)
{
    for (size_t i = 0; i < sizeof kept / sizeof *kept; i++) rh_event_release(kept[i]);
    rh_consumer_destroy(consumer);
    rh_producer_destroy(producer);
    rh_client_destroy(client);
    cr_expect_eq(rh_loop_destroy(loop), RH_OK);
    rh_emulator_stop(emulator);
}

static rh_status send_batch(uint32_t events, size_t n)
{
    static uint8_t body[4096];
    rh_batch *batch;
    rh_status status = rh_batch_create(producer, RH_BATCH_OPTS(.max_bytes = 400 * 1024), &batch);
    if (status) return status;
    for (uint32_t i = 0; i < events && !status; i++) status = rh_batch_add(batch, &(rh_event_data){ .body = rh_slice_of(body, n) });
    if (!status) status = rh_producer_send(producer, batch, 0, NULL);
    if (status) rh_batch_destroy(batch);
    return status;
}

static rh_status send_single(size_t n)
{
    static uint8_t body[300 * 1024];
    rh_property property = { rh_str("colour"), { .type = RH_STRING, .bytes = rh_str("blue") } };
    rh_event_data event = { .body = rh_slice_of(body, n), .message_id = rh_str("id"), .properties = &property, .property_count = 1 };
    return rh_producer_send_event(producer, &event, 0, NULL);
}

/** Sends `count` events, `together` to a batch (1: singles), and turns until all of them came back. */
static void exchange(uint64_t count, uint32_t together, size_t n)
{
    uint64_t goal = sent + count, ahead = n > 10000 ? 100 : 50000;
    rh_time deadline = rh_time_after(rh_loop_now(loop), RH_SECONDS(100));
    while (received < goal) {
        rh_status status = RH_AGAIN;
        while (sent < goal && sent < received + ahead) {
            status = together > 1 ? send_batch(together, n) : send_single(n);
            if (status != RH_OK) break;
            sent += together;
        }
        cr_assert(status == RH_OK || status == RH_AGAIN, "%s", rh_status_name(status));
        cr_assert_eq(rh_loop_turn(loop, deadline), RH_OK);
        cr_assert_lt(rh_loop_now(loop), deadline, "%llu of %llu", (unsigned long long)received, (unsigned long long)goal);
    }
    cr_assert_eq(rh_producer_flush_wait(producer, 10000), RH_OK);
    cr_assert_eq(failed, 0);
}

/** A million events, counted; a small round of each kind first lets every buffer find its place. Some are always kept. */
static struct heap_count count_a_million(void)
{
    keep_every = 97;
    exchange(2000, 1000, 100);
    exchange(200, 1, 100);
    exchange(20, 1, 300 * 1024);
    struct heap_count before = heap_count();
    exchange(800 * 1000, 1000, 100);
    exchange(50 * 1000, 1, 100);
    exchange(400, 1, 300 * 1024);
    keep_every = 3;
    exchange(150 * 1000, 1000, 100);
    exchange(200, 1, 200 * 1024);
    struct heap_count after = heap_count();
    cr_expect_eq(failed, 0);
    cr_expect_leq(not_kept, 200, "only the largest may find the pool full");
    return (struct heap_count){ after.ours - before.ours, after.tls - before.tls };
}

Test(zero_allocation, over_tcp_a_million_events_allocate_nothing, .timeout = 120)
{
    connect_to(false);
    struct heap_count count = count_a_million();
    cr_expect_eq(count.ours, 0, "%zu allocations", count.ours);
    cr_expect_eq(count.tls, 0);
    if (heap_is_counted()) printf("zero allocation: plain TCP: %llu events, %zu allocations\n", (unsigned long long)received, count.ours);
    disconnect();
}

Test(zero_allocation, over_tls_only_openssl_itself_allocates, .timeout = 120)
{
    rh_loop_stats before, after;
    connect_to(true);
    rh_loop_stats_read(loop, &before);
    struct heap_count count = count_a_million();
    rh_loop_stats_read(loop, &after);
    cr_expect_eq(count.ours, 0, "%zu allocations outside libssl and libcrypto", count.ours);
    uint64_t records = (after.bytes_in - before.bytes_in + after.bytes_out - before.bytes_out) / 16384 + 1;
    if (heap_is_counted())
        printf("zero allocation: TLS: %llu events, %zu allocations outside OpenSSL, %zu inside: %.2f for each full record of 16 KiB\n",
               (unsigned long long)received, count.ours, count.tls, (double)count.tls / (double)records);
    disconnect();
}

Test(zero_allocation, is_a_promise_that_would_be_seen_broken)
{
    if (!heap_is_counted()) return;
    struct heap_count before = heap_count();
    void *volatile piece = malloc(100);
    piece = realloc(piece, 200);
    free(piece);
    cr_expect_eq(heap_count().ours - before.ours, 2);
}
