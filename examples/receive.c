/*
 * Prints every event of every partition from the beginning, and goes on with what comes in, until three seconds are quiet.
 * EVENT_HUB_CONNECTION_STRING names the event hub and the key.
 */
#include <ringhub/eventhub.h>
#include <stdio.h>
#include <stdlib.h>

enum { PARTITIONS_MAX = 32 };

static rh_error error;
static unsigned events;

static void check(rh_status status)
{
    if (status == RH_OK) return;
    fprintf(stderr, "%s: %s\n", rh_status_name(status), error.status ? error.description : rh_status_words(status));
    exit(1);
}

static void on_event(void *user, rh_consumer *consumer, const rh_event *event)
{
    rh_slice body = rh_event_body(event); /* lent until this function returns */
    (void)user;
    printf("%s %lld: %.*s\n", rh_consumer_partition(consumer), (long long)rh_event_sequence_number(event), (int)body.n, (const char *)body.p);
    events++;
}

static void on_state(void *user, rh_consumer *consumer, rh_consumer_state state, const rh_error *why)
{
    (void)user;
    if (state == RH_CONSUMER_STOLEN || (state == RH_CONSUMER_CLOSED && why))
        fprintf(stderr, "partition %s: %s: %s\n", rh_consumer_partition(consumer), rh_status_name(why->status), why->description);
}

int main(void)
{
    rh_loop *loop;
    rh_client *client;
    rh_consumer *consumers[PARTITIONS_MAX];
    rh_hub_properties hub;
    check(rh_loop_create(NULL, &loop, &error));
    check(rh_client_create(loop, RH_CLIENT_OPTS(.connection_string = getenv("EVENT_HUB_CONNECTION_STRING")), &client, &error));
    check(rh_client_hub_properties_wait(client, &hub, 10000, &error));

    uint32_t count = hub.partition_count < PARTITIONS_MAX ? hub.partition_count : PARTITIONS_MAX;
    for (uint32_t i = 0; i < count; i++)
        check(rh_consumer_open(client, RH_CONSUMER_OPTS(.partition = hub.partition_ids[i], .position = { .kind = RH_POSITION_EARLIEST },
                                                        .handler = { on_event, on_state }), &consumers[i]));
    for (unsigned before = events + 1; events != before;) {
        before = events;
        check(rh_loop_run(loop, rh_time_after(rh_loop_now(loop), RH_SECONDS(3))));
    }

    for (uint32_t i = 0; i < count; i++) rh_consumer_destroy(consumers[i]);
    rh_client_close_wait(client, 5000, NULL);
    rh_client_destroy(client);
    rh_loop_destroy(loop);
    return 0;
}
