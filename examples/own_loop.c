/*
 * ringhub inside a program that has a loop of its own: poll(2) watches the loop's descriptor beside the program's others,
 * and each line typed is sent as one event. EVENT_HUB_CONNECTION_STRING names the event hub and the key.
 */
#include <poll.h>
#include <ringhub/eventhub.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct app {
    rh_producer *producer;
    char text[65536];
    size_t n;       /* bytes of text */
    bool ended;     /* stdin is at its end */
    bool over;      /* the producer is closed */
    int result;
} app;

/** The length of the first line of text, its end not counted; false: it is not whole yet. A line that fills the buffer is whole. */
static bool find_line(size_t *n)
{
    const char *end = memchr(app.text, '\n', app.n);
    *n = end ? (size_t)(end - app.text) : app.n;
    return end || app.n == sizeof app.text || (app.ended && app.n);
}

/** Sends whole lines while the producer takes them; the rest waits for on_ready. */
static void send_lines(void)
{
    size_t n;
    while (find_line(&n)) {
        rh_status status = rh_producer_send_event(app.producer, &(rh_event_data){ .body = rh_slice_of(app.text, n) }, 0, NULL);
        if (status == RH_AGAIN) return;
        if (status != RH_OK) app.result = 1;
        size_t used = n < app.n && app.text[n] == '\n' ? n + 1 : n;
        app.n -= used;
        memmove(app.text, app.text + used, app.n);
    }
    if (app.ended) rh_producer_close(app.producer, 0);
}

static void read_lines(void)
{
    ssize_t n = read(STDIN_FILENO, app.text + app.n, sizeof app.text - app.n);
    if (n > 0) app.n += (size_t)n;
    else app.ended = true;
    send_lines();
}

static void on_sent(void *user, rh_producer *producer, const rh_sent *sent)
{
    (void)user, (void)producer;
    if (sent->status == RH_OK) return;
    fprintf(stderr, "%s: %s\n", rh_status_name(sent->status), sent->error->description);
    app.result = 1;
}

static void on_ready(void *user, rh_producer *producer)
{
    (void)user, (void)producer;
    send_lines();
}

static void on_closed(void *user, rh_producer *producer, const rh_error *error)
{
    (void)user, (void)producer;
    app.over = true;
    if (!error) return;
    fprintf(stderr, "%s: %s\n", rh_status_name(error->status), error->description);
    app.result = 1;
}

static void turn(rh_loop *loop)
{
    struct pollfd fds[] = {
        { .fd = rh_loop_fd(loop), .events = POLLIN },
        { .fd = app.ended || app.n == sizeof app.text ? -1 : STDIN_FILENO, .events = POLLIN },
    };
    if (poll(fds, 2, -1) < 0) return;
    if (fds[1].revents) read_lines();
    if (rh_loop_run(loop, RH_NOWAIT) != RH_OK) app.over = true;
}

int main(void)
{
    rh_error error;
    rh_loop *loop = NULL;
    rh_client *client = NULL;
    const char *text = getenv("EVENT_HUB_CONNECTION_STRING");
    rh_status status = rh_loop_create(NULL, &loop, &error);
    if (!status) status = rh_client_create(loop, RH_CLIENT_OPTS(.connection_string = text), &client, &error);
    if (!status) {
        error.description[0] = 0;
        status = rh_producer_open(client, RH_PRODUCER_OPTS(.in_flight = 16, .handler = { .on_sent = on_sent, .on_ready = on_ready, .on_closed = on_closed }),
                                  &app.producer);
    }
    if (status) {
        fprintf(stderr, "%s: %s\n", rh_status_name(status), error.description);
        return 1;
    }
    while (!app.over) turn(loop);

    rh_producer_destroy(app.producer);
    rh_client_destroy(client);
    rh_loop_destroy(loop);
    return app.result;
}
