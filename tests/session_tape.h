/**
 * session_tape.h: a recorded session (tests/sessions/README.md) as frames.
 */
#ifndef RH_TESTS_SESSION_TAPE_H
#define RH_TESTS_SESSION_TAPE_H

#include "proto/proto.h"

typedef enum tape_side { TAPE_CLIENT, TAPE_SERVER } tape_side;

struct tape_frame {
    rh_slice bytes; /* a protocol header, or a frame with its own */
    size_t   heard; /* so many frames of the other side had passed when its last byte did */
};

struct tape_said {
    uint8_t           *p;
    size_t             n;
    struct tape_frame *frames;
    size_t             count;
};

struct tape {
    char             name[64];
    struct tape_said said[2]; /* by side */
};

/** Reads tests/sessions/NAME.session; false: it is no session. */
bool tape_read(struct tape *tape, const char *name);
void tape_fini(struct tape *tape);

/** The names of all recorded sessions, in order; ends with NULL. */
extern const char *const tape_names[];

/** The same session with every transfer id, delivery id and delivery count that is in it larger by so many, encoded anew. */
void tape_renumbered(const struct tape *from, uint32_t by, struct tape *to);

/** What one side said with such numbers larger by so many, deliveries in one piece; answers how many bytes that are. */
size_t bytes_normal(rh_slice said, uint32_t by, uint8_t *out, size_t room);

/** The performative of a frame, decoded into fields; RH_AMQP_UNKNOWN: a header or a heartbeat. */
rh_composite_id tape_performative(const struct tape_frame *frame, uint16_t *channel, void *fields, rh_slice *payload);

/** Room for the fields of any performative. */
#define TAPE_FIELDS 64

#endif
