/**
 * party.h: what an application does: a client with writers, or one with readers, that makes anew what ended for good.
 */
#ifndef SOAK_PARTY_H
#define SOAK_PARTY_H

#include "tests/soak/ledger.h"

/* How long the soak waits for anything before it calls it stuck. */
#define SOAK_PATIENCE    RH_SECONDS(60)
#define SOAK_SEND_WITHIN RH_SECONDS(8)
#define SOAK_ASK_WITHIN  6000 /* ms */

enum { SOAK_PARTIES = 3, SOAK_BATCH_MAX = 16, SOAK_REASONS = 32 };

typedef struct soak_counts {
    uint64_t retries, connections_lost, links_recovered, ended, clients_ended, sends, answered, unanswered;
} soak_counts;

/* The longest time that something did not go on, while it should have. */
typedef struct soak_outage {
    rh_time since, longest; /* since: of the last progress */
} soak_outage;

struct soak_party;

typedef struct soak_writer {
    struct soak_party *party;
    uint32_t           index;
    rh_producer       *producer;
    bool               is_closed;
    rh_time            again_at, next_at;
    bool               is_under_way; /* one send: */
    uint64_t           first;
    uint32_t           count;
    rh_time            begun;
    soak_outage        outage;
} soak_writer;

typedef struct soak_reader {
    struct soak_party *party;
    uint32_t           partition;
    rh_consumer       *consumer;
    bool               is_closed;
    rh_time            again_at;
    soak_outage        outage; /* not open */
    int64_t            end;    /* the newest event that the service told of; -1: none */
    bool               is_asked;
    rh_time            asked_at;
} soak_reader;

typedef struct soak_party {
    struct soak *soak;
    rh_client   *client;
    bool         is_closed;
    bool         was_open;
    rh_time      again_at;
    soak_writer *writers;
    soak_reader *readers;
    uint32_t     count;
    soak_counts  counts;
} soak_party;

typedef struct soak {
    rh_loop     *loop;
    soak_ledger  ledger;
    const char  *connection, *ca;
    bool         is_writing;
    uint32_t     pause_ms; /* between the sends of a writer */
    soak_writer  writers[SOAK_WRITERS];
    soak_reader  readers[SOAK_PARTITIONS];
    soak_party   parties[SOAK_PARTIES]; /* by partition, through the gateway, reading */
    rh_time      slowest_send;
    struct { char text[64]; uint64_t count; } reasons[SOAK_REASONS]; /* why sends ended without success */
    uint64_t     random;
} soak;

void soak_parties_init(soak *s);
void soak_parties_step(soak *s, rh_time now);
void soak_parties_ask(soak *s, rh_time now);  /* about every partition's end */
bool soak_parties_rest(const soak *s);        /* no send is under way */
bool soak_parties_caught_up(const soak *s);   /* all that the service told of was read, since the last question */
void soak_parties_renew(soak *s);             /* makes the writers anew: what a send without answer holds goes with its link */
void soak_parties_close(soak *s);

#endif
