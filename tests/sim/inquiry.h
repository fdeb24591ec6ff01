/**
 * inquiry.h: questions to $management, each answered once, in time, and with the truth.
 */
#ifndef SIM_INQUIRY_H
#define SIM_INQUIRY_H

#include "eventhub/eventhub.h"

struct sim_client;

typedef struct sim_inquiry {
    struct sim_client *client;
    rh_timer           timer;     /* the next one */
    rh_time            pause_most;
    rh_time            due;       /* of the one that is asked; 0: none is */
    uint32_t           partition; /* of the hub if it has none so high */
    int64_t            end;       /* of the partition when it was asked */
    uint32_t           losses;    /* of all events until then */
    uint64_t           answered;
} sim_inquiry;

void sim_inquiry_init(sim_inquiry *inquiry, struct sim_client *client);
void sim_inquiry_start(sim_inquiry *inquiry);
void sim_inquiry_drop(sim_inquiry *inquiry); /* who asked is gone, and hears nothing more */

#endif
