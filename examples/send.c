/* Sends a batch of three events. EVENT_HUB_CONNECTION_STRING names the event hub and the key. */
#include <ringhub/eventhub.h>
#include <stdio.h>
#include <stdlib.h>

static rh_error error;

static void check(rh_status status)
{
    if (status == RH_OK) return;
    fprintf(stderr, "%s: %s\n", rh_status_name(status), error.status ? error.description : rh_status_words(status));
    exit(1);
}

int main(void)
{
    rh_loop *loop;
    rh_client *client;
    rh_producer *producer;
    rh_batch *batch;
    check(rh_loop_create(NULL, &loop, &error));
    check(rh_client_create(loop, RH_CLIENT_OPTS(.connection_string = getenv("EVENT_HUB_CONNECTION_STRING")), &client, &error));
    check(rh_producer_open_wait(client, NULL, &producer, 10000, &error));
    check(rh_batch_create(producer, NULL, &batch));
    check(rh_batch_add(batch, &(rh_event_data){ .body = rh_str("one") }));
    check(rh_batch_add(batch, &(rh_event_data){ .body = rh_str("two") }));
    check(rh_batch_add(batch, &(rh_event_data){ .body = rh_str("three"), .content_type = rh_str("text/plain") }));
    check(rh_producer_send_wait(producer, batch, 10000, &error));

    rh_producer_destroy(producer);
    rh_client_close_wait(client, 5000, NULL);
    rh_client_destroy(client);
    rh_loop_destroy(loop);
    return 0;
}
