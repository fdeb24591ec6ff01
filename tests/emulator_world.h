/**
 * emulator_world.h: a namespace on a toy loop, and raw clients of it: engines that say what the test says, with none
 * of our own client in between.
 */
#ifndef EMULATOR_WORLD_H
#define EMULATOR_WORLD_H

#include "emulator/emulator.h"
#include "proto/proto.h"
#include "tests/toy_loop.h"

typedef struct emulator_world {
    toy_loop     toy;
    rh_loop_ops  ops;
    rh_emulator *emulator;
    char         logged[64]; /* the id of the last record at or above warning */
    unsigned     warnings;   /* how many there were */
} emulator_world;

/** hub with 4 partitions and the groups $Default and g2, unless opts say otherwise. */
void namespace_open(emulator_world *world, const rh_emulator_opts *opts);
void namespace_close(emulator_world *world); /* and tells whether all memory came back */

struct raw_client;

typedef struct raw_event {
    int64_t sequence, enqueued_ms, last_sequence; /* -1 where absent */
    char    offset[24], key[40], publisher[40], body[40];
    bool    settled;
} raw_event;

typedef struct raw_link {
    struct raw_client *client;
    rh_link           *link;
    bool               attached, gone;
    char               condition[64], words[512]; /* why it is gone */
    uint64_t           max_message_size;
    uint8_t            snd_settle_mode;
    bool               has_source, has_target, metric_offered, properties_echoed;
    rh_outcome_kind    outcome;
    bool               outcome_there;
    uint32_t           count;
    raw_event          events[256]; /* the first of count */
    uint8_t            last[8192];  /* the last delivery as it came */
    size_t             last_n;
} raw_link;

typedef struct raw_client {
    emulator_world *world;
    rh_engine      *engine;
    rh_session     *session;
    void           *arena;
    size_t          arena_n;
    rh_pipe        *pipe;
    rh_timer        timer;
    bool            opened, down, failed;
    rh_error        closed;
    raw_link        cbs_in, cbs_out, ask_in, ask_out;
    uint64_t        asked; /* message ids */
    uint8_t        *tape;  /* where everything it says is written down; NULL: nowhere */
    size_t          tape_n, tape_room;
} raw_client;

typedef struct raw_link_opts {
    const char *address; /* of the hub's side */
    const char *name;    /* default: the address and a number */
    const char *filter;  /* the selector's text; NULL: none */
    bool        fenced;  /* with the epoch */
    int64_t     epoch;
    const char *receiver_name;
    const char *own_address; /* of our side */
    bool        receiver, metric;
    uint32_t    credit; /* 0: 100 */
    bool        no_credit;
    uint64_t    max_message_size;
} raw_link_opts;

/** Connects, with SASL ANONYMOUS unless rule is given (PLAIN); whether it is open. */
bool raw_open(raw_client *client, emulator_world *world, const char *rule, const char *key);

/** The same, writing down all that the client will ever say. */
bool raw_open_taped(raw_client *client, emulator_world *world, uint8_t *tape, size_t room);
void raw_close(raw_client *client);

/** Connects and says these bytes only; whether it was cut off for them within a virtual minute. */
bool raw_greet(emulator_world *world, const char *bytes, size_t n);

/** Puts a token on $cbs, signed for signed_for, asking for audience, good for so many seconds; the status-code, 0: none came. */
int raw_put_token(raw_client *client, const char *audience, const char *signed_for, const char *key, int64_t seconds);

/** The same with any text for a token. */
int raw_put_text(raw_client *client, const char *audience, const char *token);

/** The same for the whole namespace, with the right key. */
void raw_authorize(raw_client *client);

/** Asks $management; the status-code. The answer is client->ask_in.last. */
int raw_ask(raw_client *client, const char *type, const char *hub, const char *partition);

/** Attaches and waits; false: refused, link->condition says why. */
bool raw_attach(raw_client *client, raw_link *link, const raw_link_opts *opts);
#define RAW_ATTACH(client, link, ...) raw_attach(client, link, &(raw_link_opts){ __VA_ARGS__ })

void raw_detach(raw_link *link);

/** Sends one event, or a batch of count of them in an envelope, and waits for what becomes of it. */
rh_outcome_kind raw_send(raw_link *link, const char *body, const char *key);
rh_outcome_kind raw_send_batch(raw_link *link, const char *body, unsigned count, const char *key);
rh_outcome_kind raw_send_bytes(raw_link *link, rh_slice bytes, uint32_t format);

/** The same where there may be no outcome; whether one came within ten seconds, then it is link->outcome. */
bool raw_try_bytes(raw_link *link, rh_slice bytes, uint32_t format);

/** Gives credit and lets a virtual moment pass. */
void raw_credit(raw_link *link, uint32_t credit);
void raw_pass(raw_client *client, unsigned seconds);

/** Application property of the answer; absent: none. */
bool raw_answer(const raw_link *link, const char *key, rh_value *out);

#endif
