#include "bench/ours/ours.h"
#include "bench/reference.h"

#include <sys/resource.h>

static const rh_ours_task *const tasks[] = {
    &rh_ours_send, &rh_ours_receive, &rh_ours_roundtrip, &rh_ours_paced, &rh_ours_connect, &rh_ours_idle,
};

static const rh_ours_task *task; /* the one that is open */

/* Event Hubs awaits outcomes of what it is sent, and settles what it sends. */
static const rh_ours_task *of_other_settlement(const rh_order *order)
{
    if (order->settled && rh_slice_is(rh_str(order->task), "send")) return &rh_ours_engine_send;
    if (!order->settled && rh_slice_is(rh_str(order->task), "receive")) return &rh_ours_engine_receive;
    return NULL;
}

static const char *open_task(const rh_order *order)
{
    if ((task = of_other_settlement(order))) return task->open(order);
    for (size_t i = 0; i < sizeof tasks / sizeof *tasks; i++) {
        if (!rh_slice_is(rh_str(order->task), tasks[i]->name)) continue;
        task = tasks[i];
        return task->open(order);
    }
    return rh_lines_cannot("no task %s", order->task);
}

static const char *run_task(rh_turn *turn) { return task->run(turn); }

static void close_task(void)
{
    rh_ours_watch(NULL);
    task->close();
}

/* Longer than any answer of a peer on the same machine takes: --spin shall not sleep at all. */
#define SPIN_US 100000u

uint32_t rh_ours_spin_us;

static const char *settings[] = {
    "Event Hubs client on its own loop, one thread, TCP_NODELAY, frames of 64 KiB; send and receive ask nothing of the system allocator",
    "send: up to 4 batches or 2000 events without outcome, refilled at half",
    "receive: prefetch 2000, 4 receive buffers of 256 KiB, each event decoded in place, its body and sequence number read",
    NULL,
    NULL,
};

int main(int argc, char **argv)
{
    struct rlimit files;
    if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
        files.rlim_cur = files.rlim_max; /* idle holds many connections */
        setrlimit(RLIMIT_NOFILE, &files);
    }
    if (argc == 2 && rh_slice_is(rh_str(argv[1]), "--spin")) {
        rh_ours_spin_us = SPIN_US;
        settings[3]     = "roundtrip and paced: the loop looks for work for 100 ms before it sleeps";
    }
    rh_reference_init();
    return rh_lines_serve(&(rh_lines){
        .name = "ringhub", .version = RH_VERSION, .tasks = "send,receive,roundtrip,paced,connect,idle", .settings = settings,
        .open = open_task, .run = run_task, .close = close_task, .wait = rh_ours_wait,
    });
}
