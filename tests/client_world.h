/**
 * client_world.h: a client, a toy service and an attachment that writes down its story.
 */
#ifndef CLIENT_WORLD_H
#define CLIENT_WORLD_H

#include "eventhub/client.h"
#include "tests/toy_service.h"

#define CANARY_KEY "canary-key-that-nobody-may-see"

typedef struct link_story {
    rh_attachment attachment;
    bool          sender;
    bool          up, down, gone;
    unsigned      ups, downs, gones, outcomes;
    rh_outcome_kind outcome;
    rh_error      error;
    const char   *address;
    bool          destroy_on_down; /* the client, from inside the callback */
    rh_client    *client;
} link_story;

typedef struct client_world {
    toy_loop    toy;
    toy_service service;
    rh_client  *client;
    char        states[64]; /* "O" open, "c" closing, "C" closed */
    rh_error    closed;     /* what on_state told with CLOSED */
    bool        is_closed;
    unsigned    expiring;
    int64_t     expires_unix_ms;
    size_t      text_n;
    char        text[200000]; /* every log line and frame */
} client_world;

extern const char *const world_connection_string; /* toy service, hub "hub", the canary key, plain */

/** NULL opts: the connection string, logs and traces kept. */
void world_open(client_world *world, const rh_client_opts *opts);

/** Destroys client, service and loop, and tells whether no allocation is left and no secret was shown. */
bool world_close(client_world *world);

/** Opens a link to address ("hub/Partitions/0"); seconds 0: the client's default. */
rh_status story_open(link_story *story, client_world *world, const char *address, unsigned seconds);

/** Queues one message on a sender that is up. */
rh_status story_send(link_story *story);

bool world_is_connected(client_world *world, unsigned seconds);

#endif
