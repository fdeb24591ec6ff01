/**
 * world.h: a namespace, a network and its clients in one process, made and driven by a seed.
 *
 * Ten virtual minutes: chaos up to the eighth, in which whatever the swarm of this seed allows goes wrong, then calm, in which
 * nothing does: everything has to end, and all that was said has to be true.
 */
#ifndef SIM_WORLD_H
#define SIM_WORLD_H

#include "eventhub/eventhub.h"
#include "tests/sim/credential.h"
#include "tests/sim/inquiry.h"
#include "tests/sim/model.h"
#include "tests/sim/shape.h"
#include "tests/sim/swarm.h"
#include "tests/sim/wire.h"

#define SIM_CALM RH_SECONDS(480) /* from here on nothing goes wrong */
#define SIM_END  RH_SECONDS(600)

/* A key that must not be seen anywhere but in the options. */
#define SIM_CANARY "canary-key-that-nobody-may-see"

typedef struct sim_world  sim_world;
typedef struct sim_client sim_client;

typedef struct sim_producer {
    sim_client  *client;
    rh_producer *producer; /* NULL: not open */
    uint32_t     id;
    int          partition; /* -1: the service chooses */
    uint32_t     in_flight;
    uint32_t     batch_most, size_most;
    rh_time      interval_most;
    rh_timer     timer;     /* the next send, or opening anew */
    bool         lost;      /* told to be closed */
    bool         was_open;  /* since it was opened the last time */
    bool         leaving;   /* asked to close */
    bool         once;      /* nothing goes out twice */
    bool         ordered;   /* its events lie in its partition as they were sent */
    uint32_t     sends;     /* without outcome */
    uint32_t     left;      /* sends to come */
    rh_time      due;       /* opening or closing ends by then; 0: neither */
    bool         mute;      /* never opened */
    bool         proved;    /* it has sent an event in the calm */
    sim_chance   chance;
} sim_producer;

/** A retained event, to be given back later. */
typedef struct sim_held {
    struct sim_held *next;
    const rh_event  *event;
    uint32_t         number;
    rh_timer         timer;
    struct sim_consumer *consumer;
} sim_held;

typedef struct sim_consumer {
    sim_client  *client;
    rh_consumer *consumer;
    uint32_t     id;
    uint32_t     partition;
    const char  *group;
    uint32_t     prefetch;
    uint32_t     hold_every; /* one event in so many is kept for a while; 0: none */
    int64_t      seen;       /* the last sequence number; -1: none */
    bool         wants_latest, is_loose, is_vague; /* to begin at the end; its first event is to come; nobody told it where that is */
    int64_t      least;      /* the first that was not there yet when it was opened */
    rh_timer     timer;
    rh_time      pull_most;  /* takes its events by rh_consumer_receive() this often at most; 0: is given them */
    rh_timer     pull;
    bool         lost, was_open, leaving, mute;
    bool         robbed;     /* another has its partition, for good */
    int64_t      level;      /* of an owner; -1: it is none */
    rh_time      due;
    sim_chance   chance;
    uint64_t     events;
    sim_held    *held;
} sim_consumer;

struct sim_client {
    sim_world    *world;
    rh_client    *client;
    uint32_t      id;
    rh_timer      timer;   /* made anew */
    rh_timer      whim;    /* closes something politely, to open it again */
    rh_time       whim_most;
    uint32_t      whims, rashes;
    sim_inquiry   inquiry;
    sim_chance    chance;
    bool          lost, was_open, leaving;
    rh_time       due;     /* closed by then; 0: not asked to */
    rh_time       open_by; /* its first connection */
    sim_credential *credential; /* NULL: it has the key */
    uint64_t      remade;
    sim_producer *producers;
    size_t        producer_count;
    sim_consumer *consumers;
    size_t        consumer_count;
};

struct sim_world {
    sim_trace    trace;
    sim_loop     loop;
    sim_swarm    swarm;
    sim_model    model;
    sim_chance   chance; /* of the shape of the world, and of its workload */
    rh_emulator *emulator;
    sim_shape    shape;
    rh_time      bound; /* of this world, from the last fault on */
    sim_credential *credentials;
    rh_timer     back;  /* of a service that is away */
    bool         is_away, remembers;
    uint32_t     losses; /* of every event that was stored */
    uint64_t     broken; /* rules, as the service has seen it */
    sim_client  *clients;
    size_t       client_count;
    bool         calm;    /* no new sends, no faults */
    bool         closing; /* everything says goodbye */
};

/** Less of a world than its seed says; what is left is drawn as before. All 0: the whole. */
typedef struct sim_limits {
    rh_time  chaos;          /* it ends so early; 0: at SIM_CALM */
    uint32_t sends;          /* of each producer; 0: no limit */
    bool     small;          /* little events, and little memory for them: it takes a tenth of the time */
    uint64_t mute_producers; /* these, as bits, are never opened */
    uint64_t mute_consumers;
} sim_limits;

typedef struct sim_result {
    uint64_t hash, lines, events, reopened;
    size_t   producers, consumers;
    rh_time  finished; /* when the last work was done, from the last fault on */
    rh_time  bound;    /* when it had to be */
    char     wrong[512]; /* "": nothing */
} sim_result;

/** One world from its beginning to its end. out NULL: silent; faults: which kinds may happen, as bits. */
typedef struct sim_run {
    uint64_t       seed;
    FILE          *out;
    uint64_t       until;
    uint32_t       faults;
    sim_switches   switches;
    sim_limits     limits;
    sim_input     *input;  /* choices that are not the seed's; may be NULL */
    sim_grid      *grid;   /* added to; may be NULL */
    sim_occasions *struck; /* what went wrong is added to it; may be NULL */
} sim_run;

sim_result sim_world_run(const sim_run *run);

/** Opens a namespace as the world wants it; false: that is wrong. */
bool sim_world_serve(sim_world *world);

/** For sim_swarm.restart; user is the world. */
bool sim_world_restart(void *user, rh_time away, bool remembers);

/* -- workload.c: all of it, and the clients ------------------------------------------------------ */

/** The sequence number that the next event of the partition gets. */
int64_t sim_world_end(const sim_world *world, uint32_t partition);

/* Where the streams of choices begin: what one does moves no choice of another. */
enum { SIM_STREAM_CLIENTS = 100, SIM_STREAM_PRODUCERS = 200, SIM_STREAM_CONSUMERS = 300 };

void sim_workload_make(sim_world *world, const sim_limits *limits);
void sim_workload_start(sim_world *world);
void sim_workload_calm(sim_world *world);           /* every producer proves that it can send, soon */
bool sim_workload_is_proved(const sim_world *world); /* they all have */
bool sim_workload_is_done(const sim_world *world);  /* every send has ended and every consumer has seen everything */
void sim_workload_close(sim_world *world);          /* politely */
bool sim_workload_is_closed(const sim_world *world);
void sim_workload_free(sim_world *world);
void sim_workload_unfinished(const sim_world *world, char *text, size_t n); /* who is not done */

/** The service has lost every event: who reads begins anew. */
void sim_workload_forgotten(sim_world *world);

/** What consumers have not seen yet. */
void sim_workload_left(const sim_world *world, uint64_t *events, uint64_t *bytes);

rh_loop *sim_world_loop(const sim_world *world);

/** Something ended: that is told, held against what it was promised, and searched for secrets. open_by: 0 if it was open. */
void sim_client_ended(sim_client *client, const char *who, uint32_t id, const rh_error *error, bool leaving, rh_time open_by);

/** An operation that ends now had to by then; 0: there was no such time. Time that the machine slept is nobody's fault. */
void sim_world_in_time(sim_world *world, const char *who, uint32_t id, const char *what, rh_time due);

/** The same for something of a client, which it takes along when it is closed itself. */
void sim_client_in_time(sim_client *client, const char *who, uint32_t id, const char *what, rh_time due);

/** A moment after which a client tries what was lost again by itself. */
rh_time sim_client_soon(const sim_client *client, sim_chance *chance);

/* -- balance.c ------------------------------------------------------------------------------------ */

/** Nothing is under way: whatever two sides count, they count alike, and what was lent is back. */
void sim_balance_judge(sim_world *world);

/* -- whim.c --------------------------------------------------------------------------------------- */

void sim_client_close_something(sim_client *client);

/** At the end of every callback: whoever is rash closes or destroys something in it, perhaps what it was called for. */
void sim_client_rash(sim_client *client);

/* -- producer.c ----------------------------------------------------------------------------------- */

void sim_producer_make(sim_client *client, sim_producer *producer, uint32_t id, const sim_limits *limits);
void sim_producer_open(sim_producer *producer);
bool sim_producer_leave(sim_producer *producer, rh_time when); /* false: there is nothing to close */
void sim_producer_drop(sim_producer *producer);                /* it is gone at once */

/* -- consumer.c ----------------------------------------------------------------------------------- */

void sim_consumer_make(sim_client *client, sim_consumer *consumer, uint32_t id, const sim_limits *limits);
void sim_consumer_open(sim_consumer *consumer);
bool sim_consumer_leave(sim_consumer *consumer, rh_time when);
void sim_consumer_drop(sim_consumer *consumer);
void sim_consumer_forgotten(sim_consumer *consumer);       /* its partition is empty again */
void sim_consumer_release(sim_consumer *consumer); /* every event that it keeps */

#endif
