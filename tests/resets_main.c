/*
 * The connection lost after every byte: resets [--every N] [--script NAME]; after every seventh unless told otherwise.
 *
 * A client and the emulator in a simulated world do what the recorded sessions show (tests/sessions/): the first connection is cut
 * when exactly so many bytes have arrived, first at the client, then at the server, from the first byte to the last. Every time the work
 * is done all the same; each event is told of once; what was accepted lies in its partition and is never sent again; no memory is left.
 */
#include "emulator/namespace.h"
#include "eventhub/eventhub.h"
#include "tests/sim/wire.h"

#include <getopt.h>
#include <malloc.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { EVENTS = 16, MINUTES = 2 * 60 * 1000 };

struct fate {
    unsigned  told;
    unsigned  stored; /* how often it lay in its partition when it was told of */
    rh_status status;
};

struct run {
    sim_trace    trace;
    sim_loop     loop;
    rh_emulator *emulator;
    rh_client   *client;
    int          toward; /* which end loses its connection */
    uint64_t     cut;    /* when so many bytes have arrived there; 0: never */
    bool         armed;  /* the next connection is the one */
    bool         once;   /* an answer that is lost is lost */
    unsigned     sent;
    struct fate  fates[EVENTS];
    char         wrong[256];
};

__attribute__((format(printf, 2, 3))) static void wrong(struct run *run, const char *format, ...)
{
    va_list arguments;
    if (run->wrong[0]) return;
    va_start(arguments, format);
    (void)vsnprintf(run->wrong, sizeof run->wrong, format, arguments);
    va_end(arguments);
}

static bool went_well(struct run *run, const char *what, rh_status status, const rh_error *error)
{
    if (status != RH_OK) wrong(run, "%s: %s %s", what, rh_status_name(status), error ? error->description : "");
    return status == RH_OK;
}

/* -- what lies in the partitions ----------------------------------------------------------------- */

static unsigned copies(const struct run *run, unsigned number)
{
    unsigned count = 0;
    for (uint32_t i = 0; i < run->emulator->hubs->partition_count; i++) {
        const rh_emu_partition *partition = &run->emulator->hubs->partitions[i];
        rh_emu_stored           stored;
        rh_message              message;
        if (partition->end == 0 || !rh_emu_partition_at(partition, 0, &stored)) continue;
        do count += rh_message_view(stored.bytes, &message) == RH_OK && message.body.n > 0 && message.body.p[0] == 'a' + number;
        while (rh_emu_partition_next(partition, &stored));
    }
    return count;
}

static void judge(struct run *run)
{
    for (unsigned i = 0; i < run->sent; i++) {
        const struct fate *fate   = &run->fates[i];
        unsigned           stored = copies(run, i);
        bool               lost   = run->once && fate->status == RH_E_OUTCOME_UNKNOWN;
        if (fate->told != 1) wrong(run, "event %u was told of %u times", i, fate->told);
        else if (fate->status != RH_OK && !lost) wrong(run, "event %u: %s", i, rh_status_name(fate->status));
        else if (fate->status == RH_OK && fate->stored == 0) wrong(run, "event %u was accepted and not stored", i);
        else if (fate->status == RH_OK && stored != fate->stored) wrong(run, "event %u was sent again after it had been accepted", i);
        else if (stored > (run->once ? 1u : 2u)) wrong(run, "event %u is stored %u times after one lost connection", i, stored);
    }
}

/* -- steps of scripts ---------------------------------------------------------------------------- */

static void on_sent(void *user, rh_producer *producer, const rh_sent *sent)
{
    struct run *run   = user;
    unsigned    first = (unsigned)(uintptr_t)sent->tag;
    (void)producer;
    for (unsigned i = first; i < first + sent->events; i++) {
        run->fates[i].told++;
        run->fates[i].status = sent->status;
        run->fates[i].stored = copies(run, i);
    }
}

static rh_producer *producer_open(struct run *run, const char *partition, uint32_t in_flight)
{
    rh_producer *producer = NULL;
    rh_error     error;
    rh_producer_opts *opts = RH_PRODUCER_OPTS(.partition = partition, .in_flight = in_flight, .once = run->once, .handler = { .on_sent = on_sent }, .user = run);
    went_well(run, "producer", rh_producer_open_wait(run->client, opts, &producer, MINUTES, &error), &error);
    return producer;
}

static rh_slice body_of(unsigned number, size_t n)
{
    static uint8_t body[4096];
    memset(body, 'x', n);
    body[0] = (uint8_t)('a' + number);
    return rh_slice_of(body, n);
}

static bool send(struct run *run, rh_producer *producer, size_t n)
{
    unsigned      number = run->sent++;
    rh_event_data event  = { .body = body_of(number, n) };
    return went_well(run, "send", rh_producer_send_event(producer, &event, 0, (void *)(uintptr_t)number), NULL);
}

static bool flush(struct run *run, rh_producer *producer)
{
    return went_well(run, "flush", rh_producer_flush_wait(producer, MINUTES), NULL);
}

static bool send_batch(struct run *run, rh_producer *producer, const char *key, unsigned count)
{
    rh_batch *batch;
    unsigned  first = run->sent;
    if (!went_well(run, "batch", rh_batch_create(producer, RH_BATCH_OPTS(.partition_key = key), &batch), NULL)) return false;
    for (unsigned i = 0; i < count; i++)
        if (!went_well(run, "add", rh_batch_add(batch, &(rh_event_data){ .body = body_of(run->sent++, 20) }), NULL)) return false;
    return went_well(run, "send", rh_producer_send(producer, batch, 0, (void *)(uintptr_t)first), NULL) && flush(run, producer);
}

static void producer_close(struct run *run, rh_producer *producer)
{
    rh_error error;
    if (!producer) return;
    went_well(run, "close of a producer", rh_producer_close_wait(producer, MINUTES, &error), &error);
    rh_producer_destroy(producer);
}

static rh_consumer *consumer_open(struct run *run, const char *partition, const int64_t *level)
{
    rh_consumer *consumer = NULL;
    rh_error     error;
    rh_consumer_opts *opts = RH_CONSUMER_OPTS(.partition = partition, .prefetch = 4, .has_owner_level = level != NULL, .owner_level = level ? *level : 0);
    went_well(run, "consumer", rh_consumer_open_wait(run->client, opts, &consumer, MINUTES, &error), &error);
    return consumer;
}

/* The next ones come once each, without a gap. */
static void receive(struct run *run, rh_consumer *consumer, int64_t from, int64_t count)
{
    const rh_event *event;
    for (int64_t i = from; consumer && i < from + count; i++) {
        if (!went_well(run, "receive", rh_consumer_receive_wait(consumer, &event, MINUTES), NULL)) return;
        if (rh_event_sequence_number(event) != i) wrong(run, "event %lld came where %lld should", (long long)rh_event_sequence_number(event), (long long)i);
        rh_event_release(event);
    }
}

static void consumer_close(struct run *run, rh_consumer *consumer)
{
    rh_error error;
    if (!consumer) return;
    went_well(run, "close of a consumer", rh_consumer_close_wait(consumer, MINUTES, &error), &error);
    rh_consumer_destroy(consumer);
}

/* -- scripts ------------------------------------------------------------------------------------- */

/* The public key of the development emulator. */
#define CONNECTION(hub, key) "Endpoint=sb://sim:5672/;SharedAccessKeyName=" RH_EMULATOR_RULE ";SharedAccessKey=" key ";EntityPath=" hub ";UseDevelopmentEmulator=true"

static void client_open(struct run *run, const char *connection)
{
    rh_error error;
    rh_client_opts *opts = RH_CLIENT_OPTS(.connection_string = connection, .max_frame_size = 512);
    went_well(run, "client", rh_client_create(&run->loop.loop, opts, &run->client, &error), &error);
}

static void client_close(struct run *run)
{
    rh_error error;
    /* A goodbye that is cut short is one. */
    if (run->client) (void)rh_client_close_wait(run->client, MINUTES, &error);
    rh_client_destroy(run->client);
    run->client = NULL;
}

static void send_singles(struct run *run)
{
    rh_producer *producer = producer_open(run, "0", 1);
    for (int i = 0; producer && i < 5; i++)
        if (!send(run, producer, 30) || !flush(run, producer)) break;
    producer_close(run, producer);
}

static void send_once(struct run *run)
{
    run->once = true;
    send_singles(run);
}

static void send_batches(struct run *run)
{
    rh_producer *producer = producer_open(run, NULL, 1);
    if (producer && send_batch(run, producer, "device-42", 8)) send_batch(run, producer, NULL, 4);
    producer_close(run, producer);
}

static void send_large(struct run *run)
{
    rh_producer *producer = producer_open(run, "1", 1);
    if (producer && send(run, producer, 1500) && flush(run, producer) && send(run, producer, 20)) flush(run, producer);
    producer_close(run, producer);
}

static void send_in_flight(struct run *run)
{
    rh_producer *producer = producer_open(run, "0", 4);
    for (int round = 0; producer && round < 3; round++) {
        for (int i = 0; i < 4; i++)
            if (!send(run, producer, 40)) break;
        if (!flush(run, producer)) break;
    }
    producer_close(run, producer);
}

static void receive_large(struct run *run)
{
    rh_consumer *consumer = consumer_open(run, "2", NULL);
    receive(run, consumer, 0, 6);
    consumer_close(run, consumer);
}

static void roundtrip(struct run *run)
{
    rh_producer *producer = producer_open(run, "3", 1);
    rh_consumer *consumer = consumer_open(run, "3", NULL);
    for (int i = 0; producer && consumer && i < 3; i++) {
        if (!send(run, producer, 25) || !flush(run, producer)) break;
        receive(run, consumer, i, 1);
    }
    consumer_close(run, consumer);
    producer_close(run, producer);
}

static void ask(struct run *run)
{
    rh_hub_properties       hub;
    rh_partition_properties partition;
    rh_error                error;
    if (went_well(run, "hub", rh_client_hub_properties_wait(run->client, &hub, MINUTES, &error), &error) && hub.partition_count != 4)
        wrong(run, "%u partitions", hub.partition_count);
    if (went_well(run, "partition", rh_client_partition_properties_wait(run->client, "2", &partition, MINUTES, &error), &error) &&
        partition.last_enqueued_sequence_number != 5)
        wrong(run, "%lld is the last event", (long long)partition.last_enqueued_sequence_number);
}

static void steal(struct run *run)
{
    static const int64_t low = 1, high = 2;
    const rh_event      *event;
    rh_consumer         *old   = consumer_open(run, "2", &low);
    rh_consumer         *owner = consumer_open(run, "2", &high);
    rh_status            status = RH_OK;
    for (int i = 0; old && owner && status == RH_OK && i < 10; i++) {
        status = rh_consumer_receive_wait(old, &event, MINUTES);
        if (status == RH_OK) rh_event_release(event);
    }
    if (status != RH_E_STOLEN) wrong(run, "the old consumer ends with %s", rh_status_name(status));
    receive(run, owner, 0, 6);
    rh_consumer_destroy(old);
    consumer_close(run, owner);
}

static void again(struct run *run)
{
    for (int i = 0; i < 2; i++) {
        rh_producer *producer = producer_open(run, "0", 1);
        if (producer && send(run, producer, 10)) flush(run, producer);
        producer_close(run, producer);
    }
}

static void refused(struct run *run, rh_status expected)
{
    rh_producer *producer = NULL;
    rh_error     error;
    rh_status    status = rh_producer_open_wait(run->client, RH_PRODUCER_OPTS(.partition = "0"), &producer, MINUTES, &error);
    if (status != expected) wrong(run, "%s instead of %s", rh_status_name(status), rh_status_name(expected));
    rh_producer_destroy(producer);
}

static void nowhere(struct run *run)
{
    refused(run, RH_E_NOT_FOUND);
}

static void wrong_key(struct run *run)
{
    refused(run, RH_E_UNAUTHORIZED);
}

static const struct script {
    const char *name;
    void      (*play)(struct run *run);
    const char *connection; /* NULL: the hub with its key */
    bool        filled;     /* six events, some of several frames, lie in partition 2 */
} scripts[] = {
    { "send_singles", send_singles, NULL, false },
    { "send_once", send_once, NULL, false },
    { "send_batches", send_batches, NULL, false },
    { "send_large", send_large, NULL, false },
    { "send_in_flight", send_in_flight, NULL, false },
    { "receive_large", receive_large, NULL, true },
    { "roundtrip", roundtrip, NULL, false },
    { "ask", ask, NULL, true },
    { "steal", steal, NULL, true },
    { "again", again, NULL, false },
    { "nowhere", nowhere, CONNECTION("nowhere", RH_EMULATOR_KEY), false },
    { "wrong_key", wrong_key, CONNECTION("hub", "wrong"), false },
};

enum { SCRIPTS = sizeof scripts / sizeof *scripts };

/* -- a run --------------------------------------------------------------------------------------- */

static rh_status on_step(void *user, sim_wire *wire, sim_phase phase)
{
    struct run *run = user;
    if (phase == SIM_CONNECT && run->armed && run->cut) wire->cut_at[run->toward] = run->cut;
    run->armed = false;
    return RH_OK;
}

static void fill(struct run *run)
{
    static const size_t sizes[] = { 20, 700, 20, 1200, 20, 20 };
    client_open(run, CONNECTION("hub", RH_EMULATOR_KEY));
    rh_producer *producer = producer_open(run, "2", 1);
    for (size_t i = 0; producer && i < sizeof sizes / sizeof *sizes; i++)
        if (!send(run, producer, sizes[i]) || !flush(run, producer)) break;
    producer_close(run, producer);
    client_close(run);
}

static void let_go(struct run *run)
{
    rh_emulator_destroy(run->emulator);
    rh_time until = run->loop.now + RH_SECONDS(30);
    while (run->loop.pipes && run->loop.now < until && rh_loop_turn(&run->loop.loop, until) == RH_OK) continue;
    sim_loop_fini(&run->loop);
    if (run->loop.allocations) wrong(run, "%zu pieces of memory are left", run->loop.allocations);
    if (run->loop.broken) wrong(run, "%s", run->loop.broken);
}

static void play(struct run *run, const struct script *script, int toward, uint64_t cut)
{
    static const rh_emulator_hub hub = { .name = "hub", .partitions = 4 };
    rh_error                     error;
    memset(run, 0, sizeof *run);
    run->toward = toward;
    run->cut    = cut;
    sim_loop_init(&run->loop, 1, &run->trace);
    run->loop.hooks = (sim_net_hooks){ .on_step = on_step, .user = run };
    rh_emulator_opts *opts = RH_EMULATOR_OPTS(.hubs = &hub, .hub_count = 1, .listen_port = 5672, .limits = { .max_frame_bytes = 512 });
    if (!went_well(run, "emulator", rh_emulator_create(&run->loop.loop, opts, &run->emulator, &error), &error)) return;
    if (script->filled) fill(run);
    run->armed = true;
    client_open(run, script->connection ? script->connection : CONNECTION("hub", RH_EMULATOR_KEY));
    if (run->client) script->play(run);
    client_close(run);
    judge(run);
    let_go(run);
}

/* Cuts at every so-manieth byte until one is beyond the last: then the story is that of the run without a cut. */
static uint64_t every_byte(const struct script *script, int toward, uint64_t every, uint64_t *failed)
{
    static struct run run;
    play(&run, script, toward, 0);
    uint64_t whole = run.trace.hash, cut = 1, runs = 1;
    if (run.wrong[0]) printf("%s, no cut: %s\n", script->name, run.wrong), (*failed)++;
    for (;; cut += every, runs++) {
        play(&run, script, toward, cut);
        if (run.trace.hash == whole) return runs;
        if (run.wrong[0] && (*failed)++ < 20)
            printf("%s, cut when %llu bytes have come to the %s: %s\n", script->name, (unsigned long long)cut, toward == SIM_CLIENT ? "client" : "server", run.wrong);
    }
}

static double seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

int main(int argc, char **argv)
{
    static const struct option options[] = { { "every", required_argument, NULL, 'e' }, { "script", required_argument, NULL, 's' }, { NULL, 0, NULL, 0 } };
    uint64_t    every = 7, runs = 0, failed = 0;
    const char *only  = NULL;
    for (int c; (c = getopt_long(argc, argv, "", options, NULL)) != -1;) switch (c) {
        case 'e': every = strtoull(optarg, NULL, 0); break;
        case 's': only = optarg; break;
        default: return 2;
        }
    if (every == 0) return 2;
    /* Tens of thousands of worlds, each with the same few large blocks: the kernel need not give them anew. */
    (void)mallopt(M_MMAP_THRESHOLD, 64 << 20);
    (void)mallopt(M_TRIM_THRESHOLD, 64 << 20);
    for (const struct script *script = scripts; script < scripts + SCRIPTS; script++) {
        uint64_t before = runs;
        double   begin  = seconds();
        if (only && strcmp(only, script->name) != 0) continue;
        for (int toward = 0; toward < 2; toward++) runs += every_byte(script, toward, every, &failed);
        printf("%-16s %6llu runs %6.1f s\n", script->name, (unsigned long long)(runs - before), seconds() - begin);
    }
    printf("%llu passed, %llu failed\n", (unsigned long long)(runs - failed), (unsigned long long)failed);
    return failed != 0;
}
