/**
 * stand.h: a namespace and a few clients on virtual time for runs that are long rather than wild: no faults but what the run asks
 * for, and everything measured from outside: frames on the wire, records in the log, what handlers are told.
 */
#ifndef SIM_LONG_STAND_H
#define SIM_LONG_STAND_H

#include "emulator/connection.h"
#include "emulator/namespace.h"
#include "eventhub/eventhub.h"
#include "tests/sim/long/watch.h"
#include "tests/sim/model.h"

#define SIM_RULE "rule"
#define SIM_KEY  "key-of-the-long-runs"

#define SIM_WATCHES 64

/** Where all choices of a run come from. */
extern uint64_t sim_seed;

typedef struct sim_party sim_party;

typedef struct sim_stand {
    sim_loop     loop;
    sim_trace    trace;
    sim_model    model; /* its first lie ends the run, too */
    rh_emulator *emulator;
    sim_party   *parties;
    rh_allocator store;     /* events are kept apart from what connections take */
    size_t       stored_n;
    rh_time      latency;
    uint64_t     forgiven;  /* connections that the namespace may find silent: it slept, too */
    uint32_t     first_id;  /* where serial numbers start, on both sides */
    sim_watch    watches[SIM_WATCHES];
    sim_frame_fn on_frame;
    void        *user;      /* on_frame's */
} sim_stand;

/** What one client was told. */
struct sim_party {
    sim_stand *stand;
    sim_party *next;
    rh_client *client;
    rh_client_handler handler; /* the run's own, called behind ours */
    void      *user;
    uint64_t   records[4];     /* by level */
    char       record[256];    /* the last at WARNING or ERROR */
    uint64_t   opens, losses, closes, retries;
    rh_error   loss;           /* the last */
    rh_time    lost_at;
};

void sim_stand_open(sim_stand *stand, const rh_emulator_opts *opts);
void sim_stand_close(sim_stand *stand);

/** Fills opts where they are empty: the connection string, the log, the handlers. */
void sim_party_make(sim_party *party, sim_stand *stand, const rh_client_opts *opts);
/** Says goodbye and frees it. */
void sim_party_close(sim_party *party);

#define SIM_HUB(count) (&(rh_emulator_hub){ .name = "hub", .partitions = (count) })

/** Turns the loop; stops at the first thing that is wrong. */
void sim_pass(sim_stand *stand, rh_time time);
void sim_pass_until(sim_stand *stand, rh_time until);
rh_time sim_now(const sim_stand *stand);

__attribute__((format(printf, 2, 3))) void sim_wrong(sim_stand *stand, const char *format, ...);
bool sim_is_wrong(const sim_stand *stand);

/** The wire that lives, of one client; NULL: there is none or more than one. */
sim_wire          *sim_only_wire(const sim_stand *stand);
sim_watch         *sim_watch_of(sim_stand *stand, const sim_wire *wire);
rh_emu_connection *sim_connection_of(const sim_stand *stand, const sim_wire *wire);

/** The emulator's end of a link to an address, by its path; sender: one that receives what a producer sends. */
rh_emu_link *sim_link_of(const sim_stand *stand, const char *path, bool sender);

rh_emulator_stats sim_stats(const sim_stand *stand);

/** Every connection's gaps against half of the time-outs that the ends announced. */
void sim_judge_heartbeats(sim_stand *stand, const sim_watch *watch, uint32_t client_ms, uint32_t server_ms);

/* -- the runs: true, when nothing was wrong ------------------------------------------------------ */

bool sim_run_idle(void);
bool sim_run_service(void);
bool sim_run_silence(void);
bool sim_run_suspend(void);
bool sim_run_waking(void);
bool sim_run_storm(void);
bool sim_run_kill(void);
bool sim_run_wrap(void);
bool sim_run_dead(void);
bool sim_run_audiences(void);
bool sim_run_refresh(void);
bool sim_run_stable(void);
bool sim_run_month(void);
bool sim_run_rough(void);

/** Prints the figures, or what was wrong, behind the run's name. */
__attribute__((format(printf, 3, 4))) bool sim_report(sim_stand *stand, const char *run, const char *format, ...);

#endif
