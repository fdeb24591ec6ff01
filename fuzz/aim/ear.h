/*
 * ear.h: what a peer says, taken apart as it comes: whole frames that parse, within the frame size it was told; how it ended and
 * with which condition. It never looks at what was meant by it.
 */
#ifndef RH_AIM_EAR_H
#define RH_AIM_EAR_H

#include "proto/proto.h"

enum { EAR_ROOM = 1 << 17 };

struct ear {
    uint8_t  bytes[EAR_ROOM];
    size_t   n;
    uint64_t heard;         /* bytes in all */
    unsigned headers;       /* protocol headers */
    uint8_t  protocol;      /* of the last: 3 is SASL */
    unsigned inits;         /* of SASL */
    unsigned outcomes;      /* of SASL */
    unsigned opens, closes;
    uint32_t frame_max;     /* 0: it was told none */
    unsigned illegal;
    char     why[80];       /* of the first illegal frame */
    char     ended[80];     /* the last end with an error: "close amqp:decode-error" */
};

void ear_init(struct ear *ear);
void ear_hear(struct ear *ear, const uint8_t *p, size_t n);

#endif
