#include "bench/ours/ours.h"
#include "bench/reference.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* -- failing --------------------------------------------------------------------------------- */

const char *rh_ours_failed(const char *what, rh_status status, const rh_error *error)
{
    return rh_lines_failed("%s: %s %s", what, rh_status_name(status), error ? error->description : "");
}

/* -- loop and client ------------------------------------------------------------------------- */

const char *rh_ours_loop(const rh_loop_opts *opts, rh_loop **out)
{
    rh_error  error  = { .status = RH_OK };
    rh_status status = rh_loop_create(opts, out, &error);
    return status ? rh_ours_failed("loop", status, &error) : NULL;
}

const char *rh_ours_client(rh_loop *loop, const rh_order *order, const rh_client_opts *with, rh_client **out)
{
    char           text[512];
    rh_error       error = { .status = RH_OK };
    rh_client_opts opts  = with ? *with : *RH_CLIENT_OPTS(.connection_string = NULL);
    snprintf(text, sizeof text, "Endpoint=sb://%s:%s;SharedAccessKeyName=bench;SharedAccessKey=bench;EntityPath=%s%s",
             order->tls ? "localhost" : order->host, order->port, order->address, order->tls ? "" : ";UseDevelopmentEmulator=true");
    opts.connection_string = text;
    /* The certificate names localhost; the socket goes where it was told to. */
    opts.dial_host = order->host;
    if (order->tls) {
        opts.tls_name = "localhost";
        opts.ca_file  = order->ca;
    }
    rh_status status = rh_client_create(loop, &opts, out, &error);
    return status ? rh_ours_failed("client", status, &error) : NULL;
}

void rh_ours_end(rh_loop **loop, rh_client **client)
{
    if (client && *client) {
        (void)rh_client_close_wait(*client, 1000, NULL);
        rh_client_destroy(*client);
        *client = NULL;
    }
    if (*loop) (void)rh_loop_destroy(*loop);
    *loop = NULL;
}

/* -- events ---------------------------------------------------------------------------------- */

static struct {
    uint8_t *p; /* the body of events that have not the reference's size; NULL: they have */
    size_t   n;
} body;

bool rh_ours_events_of(size_t n)
{
    free(body.p);
    body.p = NULL;
    body.n = n;
    if (n == RH_REFERENCE_BODY) return true;
    rh_slice like = rh_reference_event_at(0)->body;
    body.p        = malloc(n ? n : 1);
    for (size_t at = 0; body.p && at < n; at++) body.p[at] = like.p[at % like.n];
    return body.p != NULL;
}

void rh_ours_fill(rh_ours_event *event, uint64_t i, bool keyed)
{
    static const rh_slice     device = { (const uint8_t *)"device", 6 }, reading = { (const uint8_t *)"reading", 7 },
                              calibrated = { (const uint8_t *)"calibrated", 10 };
    const rh_reference_event *from = rh_reference_event_at(i % RH_REFERENCE_COUNT);
    event->properties[0] = (rh_property){ device, { .type = RH_STRING, .bytes = from->device } };
    event->properties[1] = (rh_property){ reading, { .type = RH_LONG, .i = from->reading } };
    event->properties[2] = (rh_property){ calibrated, { .type = RH_BOOL, .boolean = from->calibrated } };
    event->data          = (rh_event_data){
        .body           = body.p ? rh_slice_of(body.p, body.n) : from->body,
        .content_type   = from->content_type,
        .message_id     = from->message_id,
        .partition_key  = keyed ? from->partition_key : rh_str(NULL),
        .properties     = event->properties,
        .property_count = 3,
    };
}

/* -- idling ---------------------------------------------------------------------------------- */

static rh_loop *watched;

void rh_ours_watch(rh_loop *loop) { watched = loop; }

void rh_ours_wait(void)
{
    struct pollfd ready[] = { { STDIN_FILENO, POLLIN, 0 }, { -1, POLLIN, 0 } };
    if (!watched) return;
    ready[1].fd = rh_loop_fd(watched);
    while (poll(ready, 2, -1) > 0 && !ready[0].revents) {
        if (rh_loop_run(watched, RH_NOWAIT) != RH_OK) return;
    }
}
