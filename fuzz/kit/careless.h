/*
 * careless.h: what an owner should not do to an engine. Each of it is refused, in whatever state the engine is, and changes nothing.
 */
#ifndef RH_KIT_CARELESS_H
#define RH_KIT_CARELESS_H

#include "proto/proto.h"

struct kit_cared {
    rh_engine  *engine;
    rh_session *session;
    rh_link    *link;
    rh_time     now;
    bool        inside; /* one of the engine's callbacks */
};

/** One careless thing of several; aborts when it is not refused. */
void kit_careless(uint8_t what, const struct kit_cared *on);

#endif
