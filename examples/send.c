/* Sends one batch of events. EVENT_HUB_CONNECTION_STRING names the event hub and the key. */
#include <ringhub/eventhub.h>
#include <stdio.h>
#include <stdlib.h>

int main(void)
{
    rh_error error = { .status = RH_OK };
    rh_loop *loop = NULL;
    rh_client *client = NULL;
    rh_producer *producer = NULL;
    rh_batch *batch = NULL;
    const char *text = getenv("EVENT_HUB_CONNECTION_STRING");

    rh_status status = rh_loop_create(NULL, &loop, &error);
    if (!status) status = rh_client_create(loop, RH_CLIENT_OPTS(.connection_string = text), &client, &error);
    if (!status) status = rh_producer_open_wait(client, NULL, &producer, 10000, &error);
    if (!status) status = rh_batch_create(producer, NULL, &batch);
    if (!status) status = rh_batch_add(batch, &(rh_event_data){ .body = rh_str("one") });
    if (!status) status = rh_batch_add(batch, &(rh_event_data){ .body = rh_str("two") });
    if (!status) status = rh_producer_send_wait(producer, batch, 10000, &error);
    if (status) fprintf(stderr, "%s: %s\n", rh_status_name(status), error.description);

    rh_producer_destroy(producer);
    rh_client_close_wait(client, 5000, NULL);
    rh_client_destroy(client);
    rh_loop_destroy(loop);
    return status ? 1 : 0;
}
