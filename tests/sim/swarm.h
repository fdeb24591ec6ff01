/**
 * swarm.h: what may go wrong in a world, and when: a seed enables some kinds of faults and gives them their frequency.
 */
#ifndef SIM_SWARM_H
#define SIM_SWARM_H

#include "emulator/namespace.h"
#include "tests/sim/occasion.h"
#include "tests/sim/wire.h"

#define SIM_FAULTS(X)                                                                    \
    X(RESET, "reset")         /* the connection is cut */                                \
    X(CUT, "cut")             /* it is cut after a certain byte */                       \
    X(SILENCE, "silence")     /* nothing comes back any more, and nobody says so */      \
    X(STALL, "stall")         /* nothing moves for a while */                            \
    X(SLOW, "slow")           /* pieces of a few bytes, a thin line */                   \
    X(GARBAGE, "garbage")     /* a frame that is none arrives between two */             \
    X(FAIL, "fail")           /* name, connect or handshake fails */                     \
    X(HANG, "hang")           /* it stops, and keeps the line */                      \
    X(DETACH, "detach")       /* the service detaches a link */                          \
    X(END, "end")             /* the service ends a session */                           \
    X(CLOSE, "close")         /* the service closes the connection */                    \
    X(SUSPEND, "suspend")     /* the machine sleeps */                                   \
    X(REFUSE, "refuse")       /* the service says no to a token, a link, an event */     \
    X(IGNORE, "ignore")       /* the service does nothing and says nothing */            \
    X(FORGET, "forget")       /* the service does it, and its answer is lost */          \
    X(LATE, "late")           /* the service does it, and answers late */                \
    X(THROTTLE, "throttle")   /* the service is busy for a while */                      \
    X(WITHHOLD, "withhold")   /* the service gives no credit for a while */              \
    X(EXPIRE, "expire")       /* tokens end, and links with them */                      \
    X(ECHO, "echo")           /* an outcome is told twice, or of what nobody sent */     \
    X(RESTART, "restart")     /* the service goes and comes, with all events or none */  \
    X(TOKEN, "token")         /* the credential fails, is late, mute or outdated */

typedef enum sim_fault {
#define SIM_FAULT_ENUM(name, text) SIM_FAULT_##name,
    SIM_FAULTS(SIM_FAULT_ENUM)
#undef SIM_FAULT_ENUM
    SIM_FAULT_KINDS,
} sim_fault;

extern const char *const sim_fault_name[SIM_FAULT_KINDS];

/** How often each kind has met each phase. */
typedef struct sim_grid {
    uint64_t hits[SIM_FAULT_KINDS][SIM_PHASES];
} sim_grid;

/** A fault that will come a little later than the phase that drew it. */
typedef struct sim_pending {
    rh_timer          timer;
    struct sim_swarm *swarm;
    sim_occasion      at;
    uint32_t          wire;
    sim_fault         fault;
} sim_pending;

#define SIM_PENDING_MAX 32

typedef struct sim_swarm {
    sim_loop    *loop;
    rh_emulator *emulator;
    sim_chance   chance;     /* of the occasion */
    sim_occasion at;         /* it */
    uint32_t     ticks, requests; /* so far */
    sim_switches switches;
    uint64_t     strikes;    /* occasions that came true */
    sim_occasions *struck;   /* every occasion that came true is added; may be NULL */
    uint32_t     enabled;    /* bits of sim_fault */
    sim_phase    focus;      /* it is met more often than others; SIM_PHASES: none is */
    uint64_t     phase_odds; /* one phase in so many is met by a fault */
    uint64_t     answer_odds; /* one request to the service in so many ends badly */
    rh_time      pause_most; /* between faults that come by themselves */
    rh_timer     timer;
    sim_pending  pending[SIM_PENDING_MAX];
    sim_grid     grid;
    bool         calm;
    /* how the network is when nothing is wrong with it */
    rh_time      latency_least, latency_most, return_most;
    uint64_t     bytes_per_second;
    size_t       piece_most, window;
    /* what the service is doing */
    rh_time      busy_until; /* everything is refused until then */
    uint32_t     credit;     /* what senders get when nothing is withheld; 0: nothing is */
    rh_timer     stingy;     /* until then */
    bool       (*restart)(void *user, rh_time away, bool remembers); /* false: not now. May be NULL */
    void        *restart_user;
} sim_swarm;

/** How a credential may fail. */
typedef enum sim_token_fault {
    SIM_TOKEN_GOOD,
    SIM_TOKEN_FAILS,    /* for a reason that passes */
    SIM_TOKEN_DENIED,   /* for one that does not */
    SIM_TOKEN_LATE,     /* it comes later */
    SIM_TOKEN_MUTE,     /* it does not come before the calm */
    SIM_TOKEN_OUTDATED, /* it is none any more */
    SIM_TOKEN_FORGED,   /* the service does not believe it */
    SIM_TOKEN_FAULTS,
} sim_token_fault;

/** A credential is asked for a token while the client is in this phase; wait is for SIM_TOKEN_LATE. */
sim_token_fault sim_swarm_token(sim_swarm *swarm, sim_occasion at, sim_phase phase, rh_time *wait);

/** allowed: the kinds that may be enabled. The hooks of the loop become the swarm's. */
void sim_swarm_init(sim_swarm *swarm, sim_loop *loop, uint32_t allowed);
void sim_swarm_start(sim_swarm *swarm, rh_emulator *emulator);

/** The choices of an occasion. */
sim_chance sim_swarm_chance(const sim_swarm *swarm, sim_occasion at);

/** Whether what is drawn for an occasion may come true. */
bool sim_swarm_allows(const sim_swarm *swarm, sim_occasion at);

/** It did. */
void sim_swarm_struck(sim_swarm *swarm, sim_occasion at);

/** For rh_emulator_opts.faults; user is the swarm. */
rh_emulator_fault sim_swarm_judge(void *user, rh_emulator_moment moment, const char **condition);

/** False: it found nothing to break. */
bool sim_swarm_strike(sim_swarm *swarm, sim_wire *wire, sim_fault fault);

/** What the service gives as a reason. */
const char *sim_swarm_condition(sim_swarm *swarm);

/** Whatever credit was withheld is given. */
void sim_swarm_generous(sim_swarm *swarm);

/** From now on nothing goes wrong; what is wrong with living connections is mended, or ends them. */
void sim_swarm_calm(sim_swarm *swarm);

#endif
