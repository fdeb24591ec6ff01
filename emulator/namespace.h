/**
 * namespace.h: what the files of the emulator share: the namespace itself and its hubs.
 */
#ifndef RH_EMULATOR_NAMESPACE_H
#define RH_EMULATOR_NAMESPACE_H

#include "emulator/address.h"
#include "emulator/emulator.h"
#include "emulator/partition.h"
#include "emulator/store.h"
#include "transport/transport.h"

#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>

/* The service's own limits, which clients read from the attach or rely on. */
#define RH_EMU_MESSAGE_MAX    (1024u * 1024)
#define RH_EMU_READERS_MAX    5
#define RH_EMU_HUB_NAME_MAX   256
#define RH_EMU_GROUP_NAME_MAX 50
#define RH_EMU_RULE_MAX       256

/* One client may have a link, and a session, for each partition of the largest hub, and some besides. */
#define RH_EMU_SESSIONS_MAX (RH_EMULATOR_PARTITIONS_MAX + 64)

#define RH_EMU_DEFAULT_GROUP "$Default"

typedef struct rh_emu_hub {
    struct rh_emu_hub *next;
    rh_emulator       *emulator;
    char              *name;
    int64_t            created_ms;
    uint32_t           partition_count;
    uint32_t           turn; /* where the next event without key goes */
    rh_emu_partition  *partitions;
    char             **groups;
    size_t             group_count, group_room;
} rh_emu_hub;

struct rh_emu_connection;

/* What throughput units have let in since the second began. */
typedef struct rh_emu_throttle {
    rh_time  since;
    uint64_t events, bytes;
} rh_emu_throttle;

/* Evictions of unread events that the log does not know of yet. */
typedef struct rh_emu_losses {
    rh_timer timer;
    uint64_t count, unread;
} rh_emu_losses;

/* Written on the loop's thread, read on any. */
typedef struct rh_emu_counters {
    _Atomic uint64_t connections, connections_open, events_in, events_out, bytes_stored, events_evicted, events_unread, tokens, refusals,
        peer_errors;
} rh_emu_counters;

struct rh_emulator {
    rh_loop           *loop;
    const rh_allocator *allocator;
    rh_log             log;
    rh_emulator_faults faults;
    uint32_t           late_ms;
    rh_emulator_limits limits; /* nothing in it is a default any more */
    rh_emu_throttle    throttle;
    struct rh_emu_script *script; /* NULL: none */
    rh_time            script_began;
    uint64_t           script_chance;
    rh_emu_hub        *hubs;
    rh_emu_store       store;
    rh_emu_disk       *disk; /* NULL: memory only */
    char               rule[RH_EMU_RULE_MAX + 1], key[RH_EMU_RULE_MAX + 1];
    rh_listener       *plain, *secure;
    rh_tls            *tls;
    char              *certificate; /* made on the spot */
    char               host[256], tls_host[256];
    uint16_t           port, tls_port;
    uint32_t           max_connections, connection_count;
    struct rh_emu_connection *connections;
    rh_timer           retention;
    rh_emu_losses      losses;
    rh_emu_counters    counters;
    bool               jwt;     /* tokens of Entra ID are believed */
    bool               is_dead; /* destroyed; goes when the last connection does */
    bool               is_threaded;
    pthread_t          thread;
    sem_t              stopping;
};

void *rh_emu_alloc(rh_emulator *emulator, size_t n); /* zeroed */
void  rh_emu_free(rh_emulator *emulator, void *p, size_t n);
char *rh_emu_copy(rh_emulator *emulator, rh_slice text); /* with a closing zero; given back with rh_emu_free(p, strlen + 1) */

__attribute__((format(printf, 4, 5))) void rh_emu_log(rh_emulator *emulator, rh_log_level level, const char *id, const char *format, ...);

#define RH_EMU_COUNT(emulator, name) atomic_fetch_add_explicit(&(emulator)->counters.name, 1, memory_order_relaxed)

/** Adds a hub; the names are judged, and a second hub of the same name refused. */
RH_NODISCARD rh_status rh_emu_hub_add(rh_emulator *emulator, const rh_emulator_hub *hub, rh_error *error);
void                   rh_emu_hub_destroy(rh_emu_hub *hub);

rh_emu_hub       *rh_emu_hub_find(rh_emulator *emulator, rh_slice name);
rh_emu_partition *rh_emu_hub_partition(const rh_emu_hub *hub, rh_slice id);
const char       *rh_emu_hub_group(const rh_emu_hub *hub, rh_slice name); /* as it was created; NULL: there is none */

/** A connection is gone: the last one of a dead namespace takes it along. */
void rh_emu_namespace_let_go(rh_emulator *emulator);

/** Starts the timer that drops old events, if there are any. */
void rh_emu_retention_arm(rh_emulator *emulator);

#endif
