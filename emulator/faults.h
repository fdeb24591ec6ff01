/**
 * faults.h: what is made to go wrong: by a test's judge, or by a fault script.
 *
 * The places where something happens ask rh_emu_faults_judge() first. What wrecks links, sessions and connections is done
 * inside that call; what concerns the answer is for the caller to do, and stands in the verdict.
 */
#ifndef RH_EMULATOR_FAULTS_H
#define RH_EMULATOR_FAULTS_H

#include "emulator/connection.h"
#include "emulator/script.h"

/** What happens, and where; what there is not yet is NULL. */
typedef struct rh_emu_scene {
    rh_emu_moment         moment;
    rh_emu_connection    *connection;
    rh_session           *session;
    rh_emu_link          *link;
    const rh_emu_address *address; /* of the link */
} rh_emu_scene;

typedef struct rh_emu_verdict {
    rh_emulator_fault fault;
    const char       *condition, *words; /* of a refusal; no condition: the code tells */
    int               code;              /* 0: the condition's */
    rh_time           delay;             /* of the answer */
    rh_time           withhold;          /* for so long a link that attaches gets no credit and no events */
    bool              drop;              /* a link that attaches is to be detached again, with condition and words */
} rh_emu_verdict;

rh_emu_verdict rh_emu_faults_judge(const rh_emu_scene *scene);

/** Whether anything can go wrong at all: what is asked for each event is spared where not. */
bool rh_emu_faults_there_are(const rh_emulator *emulator);

/** Whether somebody waits for the middle of deliveries, which costs a look at every frame. */
bool rh_emu_faults_want_parts(const rh_emulator *emulator);

/** Starts and stops the script's clock. */
void rh_emu_faults_start(rh_emulator *emulator);
void rh_emu_faults_stop(rh_emulator *emulator);

#endif
