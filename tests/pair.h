/**
 * pair.h: two engines back to back in memory, with a clock that only moves when told to. Everything
 * that an engine tells is written into a story, so that two runs can be compared as text.
 */
#ifndef RH_TESTS_PAIR_H
#define RH_TESTS_PAIR_H

#include "proto/proto.h"

enum event { ON_SASL, ON_OPEN, ON_BEGIN, ON_END, ON_ATTACH, ON_DETACH, ON_CREDIT, ON_DRAINED, ON_GATHER, ON_DELIVERY, ON_OUTCOME, ON_CLOSE, EVENTS };

struct end {
    rh_engine   *engine;
    void        *memory;
    const char  *name;
    rh_session  *session; /* the last one begun */
    rh_link     *link;    /* the last one attached */
    uint32_t     count[EVENTS];
    uint32_t     outcomes[RH_UNKNOWN + 1];
    rh_error     ended, detached, closed; /* the last errors told */
    bool         for_good;                /* the last detach was */
    char         condition[64], description[256]; /* of the last outcome */
    uint8_t      last[64];                        /* the start of the last payload */
    size_t       last_n;
    rh_incoming  incoming; /* the last delivery; its slices are gone */
    uint64_t     payload_bytes, payload_sum;

    /* what the end does by itself */
    uint32_t credit;         /* granted when a receiver is attached, and kept topped up */
    bool     settles;        /* accepts each delivery */
    bool     refuses;        /* refuses the peer's links */
    bool     waits;          /* leaves the peer's links pending */
    uint64_t max_message_size;
    uint8_t  sasl_code;
    uint8_t *gather;
    size_t   gather_n;
    bool     gathers_late;   /* gives the gather buffer in on_gather only */
    uint32_t rooms, room_asked; /* lent for output now; asked for so far */
    bool     no_room;        /* lends none */
    bool     secret_seen;    /* "canary" stood in room that came back */
    void   (*hook)(struct end *, enum event, void *handle);
    void    *hook_user;

    uint8_t *inbox;          /* a tail shorter than a frame */
    size_t   inbox_n;
    size_t   cut;            /* feeds at most so many bytes at once; 0: all there is */
    bool     deaf, mute;     /* takes nothing in, lets nothing out */

    char  *story;
    size_t story_n;
    uint8_t *tape;           /* all bytes that left */
    size_t   tape_n;
};

struct pair {
    struct end client, server;
    rh_time    now;
};

struct pair_opts {
    rh_engine_opts client, server;
    uint32_t       credit;    /* 0: 100 */
    bool           no_credit; /* none at all */
    bool           half;      /* do not begin nor attach */
    bool           receives;  /* the client's link receives */
    uint32_t       window;    /* incoming, of both */
};

struct pair *pair_new(const struct pair_opts *opts);
#define PAIR(...) pair_new(&(struct pair_opts){ __VA_ARGS__ })
void pair_free(struct pair *pair);

/** Moves bytes and ticks until nothing happens any more; the clock stands. */
void pair_run(struct pair *pair);

/** Lets time pass in the steps that the deadlines ask for. */
void pair_wait(struct pair *pair, rh_time duration);

void      end_init(struct end *end, const char *name, const rh_engine_opts *opts);
void      end_fini(struct end *end);
rh_status end_begin(struct end *end, const rh_session_opts *opts);
rh_status end_attach(struct end *end, const char *name, bool receiver);
rh_status end_send(struct end *end, const char *text, bool settled);
rh_status end_send_bytes(struct end *end, const void *p, size_t n, bool settled, rh_delivery **out);

/** Everything that the end would send now; the caller frees. */
uint8_t *end_take(struct end *end, size_t *n, rh_time now);
/** Feeds bytes as they are, in memory of exactly their size. Answers how many were used. */
size_t end_feed(struct end *end, const void *p, size_t n, rh_time now);

void story(struct end *end, const char *format, ...);

#endif
