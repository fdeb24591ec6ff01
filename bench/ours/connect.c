/* connect: from nothing to the first accepted event, and closed again. */
#include "bench/ours/ours.h"

static rh_order order;
static rh_loop *loop;

/* The event is there before the connection: it leaves as soon as it may. */
static const char *connect_once(uint64_t *ns)
{
    rh_error      error    = { .status = RH_OK };
    rh_client    *client   = NULL;
    rh_producer  *producer = NULL;
    rh_ours_event event;
    rh_status     status = RH_OK;
    uint64_t      since  = rh_lines_now();
    const char   *words  = rh_ours_client(loop, &order, NULL, &client);
    if (words) return words;
    status = rh_producer_open(client, NULL, &producer);
    rh_ours_fill(&event, 0, true);
    if (!status) status = rh_producer_send_event_wait(producer, &event.data, RH_OURS_WAIT_MS, &error);
    *ns = rh_lines_now() - since;
    rh_producer_destroy(producer);
    if (!status) status = rh_client_close_wait(client, RH_OURS_WAIT_MS, &error);
    rh_client_destroy(client);
    return status ? rh_ours_failed("connect", status, &error) : NULL;
}

static const char *run(rh_turn *turn)
{
    for (uint64_t i = 0; i < turn->events; i++) {
        uint64_t    ns;
        const char *words = connect_once(&ns);
        if (words) return words;
        if (turn->samples) turn->samples[i] = ns;
    }
    turn->bytes = turn->events * order.size;
    return NULL;
}

static void end(void) { rh_ours_end(&loop, NULL); }

static const char *open_connect(const rh_order *asked)
{
    order = *asked;
    if (!rh_ours_events_of(order.size)) return rh_lines_failed("no memory for a body of %zu bytes", order.size);
    const char *words = rh_ours_loop(NULL, &loop);
    if (!words) rh_ours_watch(loop);
    return words;
}

const rh_ours_task rh_ours_connect = { "connect", open_connect, run, end };
