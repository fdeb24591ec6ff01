/**
 * credential.h: a credential whose tokens end within minutes, and which answers late or not at all; and whether its client asks
 * for the next one in time.
 */
#ifndef SIM_CREDENTIAL_H
#define SIM_CREDENTIAL_H

#include "eventhub/eventhub.h"
#include "tests/sim/swarm.h"

typedef struct sim_world      sim_world;
typedef struct sim_credential sim_credential;

/** The id is that of the client. It is the world's: a client may still let go of it when it is gone for everybody else. */
sim_credential *sim_credential_make(sim_world *world, uint32_t id);
void            sim_credentials_free(sim_world *world);

const rh_credential *sim_credential_ops(const sim_credential *credential);

/** From now on every answer comes at once; those that are late come now. */
void sim_credentials_calm(sim_world *world);

/** Something of this audience was lost for this reason: a token may end only while its client does what it can to get another. */
void sim_credential_judge(sim_credential *credential, const char *audience, const rh_error *error);

#endif
