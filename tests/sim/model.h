/**
 * model.h: what every event was told to its producer, held against what the partitions hold and what consumers saw.
 *
 *   accepted             stored, once; perhaps more often when it had to be sent more often than once
 *   outcome unknown      stored at most once for each time it was sent; once by a producer that was told so
 *   any other failure    not stored
 *   order                a producer's events lie in a partition in the order they were sent, but for those without a known outcome
 *   nothing else         no event is invented or altered
 */
#ifndef SIM_MODEL_H
#define SIM_MODEL_H

#include "codec/base.h"

#include "emulator/namespace.h"

typedef struct sim_event {
    uint32_t producer;
    uint32_t size;     /* of the body */
    uint8_t  accepted, unknown, refused; /* sends that ended so */
    uint8_t  open;     /* sends without outcome */
    uint16_t archived; /* times that it was stored by a service that has forgotten it */
    uint32_t again;    /* times that it was sent beyond the first */
    rh_time  begun, due; /* its last send: it ends between these */
    bool     ordered;  /* the first time that it is stored comes after that of its producer's events before */
    bool     once;     /* of a producer that sends again only what cannot be stored yet */
} sim_event;

typedef struct sim_model {
    uint64_t   salt;
    sim_event *events;
    size_t     count, room;
    char       wrong[512]; /* the first lie; "": none */
} sim_model;

/* A body is at least its number and its salt. */
#define SIM_BODY_MIN 16

void sim_model_init(sim_model *model, uint64_t salt);
void sim_model_fini(sim_model *model);

/** A new event, not sent yet; answers its number. */
uint32_t sim_model_add(sim_model *model, uint32_t producer, uint32_t size);

/** Writes the body of an event, size bytes. */
void sim_model_body(const sim_model *model, uint32_t event, uint8_t *to);

/** The number of the event with this body; false, and wrong is written, if there is none. */
bool sim_model_know(sim_model *model, rh_slice body, const char *where, uint32_t *event);

/** Nobody will hear how the sends of this producer end that have not ended yet. */
void sim_model_abandon(sim_model *model, uint32_t producer, bool once);

/** Counts what the emulator has stored before it forgets that. */
void sim_model_archive(sim_model *model, const rh_emulator *emulator);

/** Holds everything against what the emulator has stored. */
void sim_model_judge(sim_model *model, const rh_emulator *emulator);

__attribute__((format(printf, 2, 3))) void sim_model_wrong(sim_model *model, const char *format, ...);

#endif
