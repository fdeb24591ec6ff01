/*
 * Memory that is not there: each story is told again and again, and each time another allocation of it fails: the first, the
 * second, and so on until the story needs no more. Every telling ends with a typed status, gives everything back, and does not crash.
 *
 * `starvation` fails each allocation of our own and one in 67 of OpenSSL's; `starvation all` each of both; a word behind that
 * chooses the stories with it in their names.
 */
#include "emulator/emulator.h"
#include "eventhub/eventhub.h"
#include "tests/starve.h"
#include "transport/transport.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static rh_emulator *emulator; /* on a thread of its own, where memory is never short */
static char plain[512], secure[512];
static enum starve_who victim;
static uint64_t site; /* the allocation that fails */
static char words[512]; /* of the last world's error */

/* Memory is short from here to the end of the telling. */
static void starve(void)
{
    starve_at(victim, site);
}

/* -- what the stories are made of ------------------------------------------------------------------- */

struct world {
    rh_loop *loop;
    rh_client *client;
    rh_producer *producer;
    rh_consumer *consumer;
    rh_error error;
};

static rh_status make_client(struct world *world, const char *connection_string)
{
    rh_status status = rh_loop_create(NULL, &world->loop, &world->error);
    if (status) return status;
    rh_client_opts *opts = RH_CLIENT_OPTS(.connection_string = connection_string, .retry = { .delay_ms = 1, .max_delay_ms = 2 });
    if (connection_string == secure) opts->ca_pem = rh_str(rh_emulator_certificate_pem(emulator));
    return rh_client_create(world->loop, opts, &world->client, &world->error);
}

static rh_status open_both(struct world *world)
{
    const rh_producer_opts *out = RH_PRODUCER_OPTS(.partition = "0");
    rh_status status = rh_producer_open_wait(world->client, out, &world->producer, 5000, &world->error);
    if (status) return status;
    const rh_consumer_opts *in = RH_CONSUMER_OPTS(.partition = "0", .position = { .kind = RH_POSITION_LATEST });
    return rh_consumer_open_wait(world->client, in, &world->consumer, 5000, &world->error);
}

static rh_status send_batch(struct world *world)
{
    rh_batch *batch;
    rh_status status;
    rh_time deadline = rh_loop_now(world->loop) + RH_SECONDS(5);
    while ((status = rh_batch_create(world->producer, NULL, &batch)) == RH_AGAIN && rh_loop_now(world->loop) < deadline)
        if (rh_loop_turn(world->loop, deadline) != RH_OK) return RH_E_SYSTEM;
    if (status) return status;
    status = rh_batch_add(batch, &(rh_event_data){ .body = rh_str("of a batch") });
    if (status == RH_OK) status = rh_producer_send_wait(world->producer, batch, 5000, &world->error);
    if (status) rh_batch_destroy(batch);
    return status;
}

static rh_status receive_one(struct world *world)
{
    const rh_event *event;
    rh_status status = rh_consumer_receive_wait(world->consumer, &event, 5000);
    if (status == RH_OK) rh_event_release(event);
    return status;
}

/* Several frames, which are put together again. */
static rh_status send_and_receive_large(struct world *world)
{
    static uint8_t body[200 * 1024];
    rh_event_data event = { .body = rh_slice_of(body, sizeof body) };
    rh_status status = rh_producer_send_event_wait(world->producer, &event, 5000, &world->error);
    return status ? status : receive_one(world);
}

static rh_status send_and_receive(struct world *world)
{
    rh_status status = send_batch(world);
    if (status == RH_OK) status = rh_producer_send_event_wait(world->producer, &(rh_event_data){ .body = rh_str("alone") }, 5000, &world->error);
    if (status == RH_OK) status = receive_one(world);
    return status ? status : receive_one(world);
}

static void end(struct world *world)
{
    snprintf(words, sizeof words, "%s", world->error.description);
    rh_consumer_destroy(world->consumer);
    rh_producer_destroy(world->producer);
    rh_client_destroy(world->client);
    if (world->loop && rh_loop_destroy(world->loop) != RH_OK) abort();
}

/* Ends every connection of this process to the port, as a network does. */
static void cut(uint16_t port)
{
    for (int fd = 3; fd < 256; fd++) {
        struct sockaddr_in peer;
        socklen_t n = sizeof peer;
        if (getpeername(fd, (struct sockaddr *)&peer, &n) == 0 && ntohs(peer.sin_port) == port) shutdown(fd, SHUT_RDWR);
    }
}

/* -- the stories ------------------------------------------------------------------------------------ */

static rh_status loop_is_made(rh_loop_backend backend)
{
    rh_loop *loop;
    rh_error error;
    starve();
    rh_status status = rh_loop_create(RH_LOOP_OPTS(.backend = backend), &loop, &error);
    if (status) return status;
    status = rh_loop_run(loop, RH_NOWAIT);
    return rh_loop_destroy(loop) ? RH_E_SYSTEM : status;
}

static rh_status ring_is_made(void) { return loop_is_made(RH_BACKEND_URING); }
static rh_status epoll_is_made(void) { return loop_is_made(RH_BACKEND_EPOLL); }

static rh_status client_is_made(const char *connection_string)
{
    struct world world = { .loop = NULL };
    starve();
    rh_status status = make_client(&world, connection_string);
    end(&world);
    return status;
}

static rh_status plain_client_is_made(void) { return client_is_made(plain); }
static rh_status tls_client_is_made(void) { return client_is_made(secure); }

static rh_status all_is_opened(const char *connection_string)
{
    struct world world = { .loop = NULL };
    rh_status status = make_client(&world, connection_string);
    starve();
    if (status == RH_OK) status = open_both(&world);
    if (status == RH_OK) status = send_and_receive(&world);
    if (status == RH_OK) status = send_and_receive_large(&world);
    end(&world);
    return status;
}

static rh_status all_is_opened_plain(void) { return all_is_opened(plain); }
static rh_status all_is_opened_with_tls(void) { return all_is_opened(secure); }

/* However it ends, it ends typed: whether this machine has a name server is not the question. */
static rh_status name_is_asked_for(void)
{
    struct world world = { .loop = NULL };
    const char *text = "Endpoint=sb://nowhere.invalid;SharedAccessKeyName=r;SharedAccessKey=k;EntityPath=hub;UseDevelopmentEmulator=true";
    rh_status status = rh_loop_create(NULL, &world.loop, &world.error);
    const rh_client_opts *opts = RH_CLIENT_OPTS(.connection_string = text, .retry.off = true);
    if (status == RH_OK) status = rh_client_create(world.loop, opts, &world.client, &world.error);
    starve();
    if (status == RH_OK) status = rh_client_connect_wait(world.client, 100, &world.error);
    end(&world);
    return status == RH_E_NAME || status == RH_E_TIMEOUT ? RH_OK : status;
}

static rh_status properties_are_asked(void)
{
    struct world world = { .loop = NULL };
    rh_hub_properties hub;
    rh_partition_properties partition;
    rh_status status = make_client(&world, plain);
    if (status == RH_OK) status = rh_client_connect_wait(world.client, 5000, &world.error);
    starve();
    if (status == RH_OK) status = rh_client_hub_properties_wait(world.client, &hub, 5000, &world.error);
    if (status == RH_OK) status = rh_client_partition_properties_wait(world.client, "0", &partition, 5000, &world.error);
    end(&world);
    return status;
}

/* A failure in a recovery passes: whatever is short, the same client finds its way back, and the events go through. */
static rh_status recovery_goes_on(const char *connection_string, uint16_t port)
{
    struct world world = { .loop = NULL };
    rh_status status = make_client(&world, connection_string);
    if (status == RH_OK) status = open_both(&world);
    if (status == RH_OK) status = send_and_receive(&world);
    if (status) return RH_E_STATE;
    starve();
    cut(port);
    rh_status sent = send_batch(&world);
    if (sent == RH_E_MEMORY) sent = send_batch(&world); /* no memory for the batch itself: its caller's to know */
    status = sent == RH_OK ? receive_one(&world) : RH_E_STATE;
    if (status) fprintf(stderr, "  sent: %s, received: %s: %s\n", rh_status_name(sent), rh_status_name(status), world.error.description);
    end(&world);
    return status == RH_OK ? RH_OK : RH_E_STATE;
}

static rh_status plain_recovery_goes_on(void) { return recovery_goes_on(plain, rh_emulator_port(emulator)); }
static rh_status tls_recovery_goes_on(void) { return recovery_goes_on(secure, rh_emulator_tls_port(emulator)); }

/* -- emulator ---------------------------------------------------------------------------------------- */

static const char *folder, *config;

static rh_status emulator_is_made(void)
{
    static const char *const groups[] = { "one", "two" };
    static const rh_emulator_hub hubs[] = { { .name = "first", .groups = groups, .group_count = 2 }, { .name = "second", .partitions = 3 } };
    const rh_emulator_opts *opts = RH_EMULATOR_OPTS(.hubs = hubs, .hub_count = 2, .tls = true, .config_file = config, .data_dir = folder);
    rh_loop *loop;
    rh_emulator *own;
    rh_error error;
    rh_status status = rh_loop_create(NULL, &loop, &error);
    if (status) return status;
    starve();
    status = rh_emulator_create(loop, opts, &own, &error);
    if (status) snprintf(words, sizeof words, "%s", error.description);
    if (status == RH_OK) status = rh_loop_run(loop, RH_NOWAIT);
    rh_emulator_destroy(own);
    return rh_loop_destroy(loop) ? RH_E_SYSTEM : status;
}

/* The emulator's loop and the client's are one: whichever of the two it strikes, both go on to a typed end. */
static rh_status emulator_serves(void)
{
    struct world world = { .loop = NULL };
    rh_emulator *own = NULL;
    char text[512];
    rh_status status = rh_loop_create(NULL, &world.loop, &world.error);
    if (status == RH_OK) status = rh_emulator_create(world.loop, RH_EMULATOR_OPTS(.data_dir = folder), &own, &world.error);
    if (status) return RH_E_STATE;
    rh_emulator_connection_string(own, "hub", text, sizeof text);
    status = rh_client_create(world.loop, RH_CLIENT_OPTS(.connection_string = text, .operation_timeout_ms = 300, .retry = { .off = true }),
                              &world.client, &world.error);
    starve();
    if (status == RH_OK) status = open_both(&world);
    if (status == RH_OK) status = send_and_receive(&world);
    bool is_told = status == RH_OK || world.error.status != RH_OK || status == RH_AGAIN || status == RH_E_MEMORY;
    starve_at(victim, 0);
    rh_consumer_destroy(world.consumer), rh_producer_destroy(world.producer), rh_client_destroy(world.client);
    world.consumer = NULL, world.producer = NULL, world.client = NULL;

    /* The next one is served as if nothing had been. */
    rh_status next = rh_client_create(world.loop, RH_CLIENT_OPTS(.connection_string = text), &world.client, &world.error);
    if (next == RH_OK) next = open_both(&world);
    if (next == RH_OK) next = send_and_receive(&world);
    if (!is_told || next) fprintf(stderr, "  was told: %d\n", is_told);
    if (next) fprintf(stderr, "  the next one: %s: %s\n", rh_status_name(next), world.error.description);
    end(&(struct world){ .consumer = world.consumer, .producer = world.producer, .client = world.client });
    rh_emulator_destroy(own);
    end(&(struct world){ .loop = world.loop });
    return next || !is_told ? RH_E_STATE : RH_OK;
}

/* -- telling them ------------------------------------------------------------------------------------ */

static const struct story {
    const char *name;
    rh_status (*tell)(void);
    bool must_go_on; /* RH_OK is the only good end */
    bool is_plain;   /* OpenSSL has no part in it worth failing */
} stories[] = {
    { "a ring is made", ring_is_made, false, true },
    { "an epoll loop is made", epoll_is_made, false, true },
    { "a client for plain TCP is made", plain_client_is_made, false, true },
    { "a client for TLS is made", tls_client_is_made, false, false },
    { "all is opened and used, plain", all_is_opened_plain, false, false },
    { "all is opened and used, with TLS", all_is_opened_with_tls, false, false },
    { "a name is asked for", name_is_asked_for, false, true },
    { "properties are asked for", properties_are_asked, false, true },
    { "a plain client recovers", plain_recovery_goes_on, true, true },
    { "a client with TLS recovers", tls_recovery_goes_on, true, false },
    { "an emulator is made", emulator_is_made, false, false },
    { "an emulator serves", emulator_serves, true, true },
};

static unsigned passed, failed;

/* Once more, where a block stayed: what a library keeps for good is kept once. */
static bool leaks(const struct story *story)
{
    int64_t before = starve_alive();
    (void)story->tell();
    starve_at(victim, 0);
    return starve_alive() != before;
}

/*
 * Neither jansson nor OpenSSL always says that memory was what it lacked; a key that could not be used is told as the credential's
 * failure.
 */
static bool is_for_want_of_memory(rh_status status)
{
    if (status == RH_E_MEMORY || (status == RH_E_ARGUMENT && strstr(words, "config.json: "))) return true;
    return victim == STARVE_TLS && (status == RH_E_TLS || status == RH_E_TLS_CERTIFICATE || status == RH_E_CREDENTIAL);
}

/* False: the story needs no such allocation any more. */
static bool tell(const struct story *story)
{
    int64_t before = starve_alive();
    rh_status status = story->tell();
    bool happened = starve_happened();
    starve_at(victim, 0);
    const char *fault = NULL;
    bool may_end_so = happened && !story->must_go_on && is_for_want_of_memory(status);
    if (status != RH_OK && !may_end_so) fault = rh_status_name(status);
    else if (starve_alive() != before && leaks(story)) fault = "something was not given back";
    if (fault)
        printf("FAIL %s, without allocation %llu of %s: %s: %s\n", story->name, (unsigned long long)site,
               victim == STARVE_TLS ? "OpenSSL" : "ours", fault, words);
    if (fault) failed++;
    else passed++;
    return happened;
}

static void tell_all(const struct story *story, enum starve_who who, uint64_t step)
{
    struct timespec begin, now;
    clock_gettime(CLOCK_MONOTONIC, &begin);
    victim = who;
    site = 0;
    (void)story->tell(); /* what is made once in a process */
    for (site = 1; tell(story); site += step) {}
    clock_gettime(CLOCK_MONOTONIC, &now);
    printf("%s: %llu allocations of %s, %.1f s\n", story->name, (unsigned long long)site - 1, who == STARVE_TLS ? "OpenSSL" : "ours",
           (double)(now.tv_sec - begin.tv_sec) + (double)(now.tv_nsec - begin.tv_nsec) / 1e9);
}

static void write_config(const char *path)
{
    FILE *file = fopen(path, "w");
    if (!file) abort();
    fputs("{\"UserConfig\":{\"NamespaceConfig\":[{\"Type\":\"EventHub\",\"Name\":\"n\",\"Entities\":[{\"Name\":\"third\","
          "\"PartitionCount\":\"2\",\"ConsumerGroups\":[{\"Name\":\"cg\"}]}]}],\"LoggingConfig\":{\"Type\":\"File\"}}}", file);
    fclose(file);
}

int main(int argc, char **argv)
{
    char directory[] = "/tmp/ringhub-starvation-XXXXXX", data[64], file[64], command[64];
    uint64_t step = argc > 1 && strcmp(argv[1], "all") == 0 ? 1 : 67;
    const char *only = argc > 2 ? argv[2] : "";
    starve_begin();
    setvbuf(stdout, NULL, _IOLBF, 0);
    if (!mkdtemp(directory)) return 1;
    snprintf(data, sizeof data, "%s/data", directory);
    snprintf(file, sizeof file, "%s/config.json", directory);
    folder = data;
    config = file;
    write_config(config);
    rh_error error;
    if (rh_emulator_start(RH_EMULATOR_OPTS(.tls = true), &emulator, &error) != RH_OK) return 1;
    rh_emulator_connection_string(emulator, "hub", plain, sizeof plain);
    rh_emulator_tls_connection_string(emulator, "hub", secure, sizeof secure);
    for (size_t i = 0; i < sizeof stories / sizeof *stories; i++) {
        if (!strstr(stories[i].name, only)) continue;
        tell_all(&stories[i], STARVE_OURS, 1);
        if (!stories[i].is_plain) tell_all(&stories[i], STARVE_TLS, step);
    }
    rh_emulator_stop(emulator);
    snprintf(command, sizeof command, "rm -r %s", directory);
    if (system(command) != 0) failed++;
    printf("%u passed, %u failed\n", passed, failed);
    return failed ? 1 : 0;
}
