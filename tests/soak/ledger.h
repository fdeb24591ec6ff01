/**
 * ledger.h: every event that was ever sent: what its sender was told, and what the readers saw.
 *
 * An event is a number of its writer; its body follows from the two, so that a reader can tell whether it was altered or invented.
 */
#ifndef SOAK_LEDGER_H
#define SOAK_LEDGER_H

#include <ringhub/eventhub.h>

enum { SOAK_WRITERS = 6, SOAK_PARTITIONS = 4, SOAK_BODY_MAX = 200000 };

typedef enum soak_fate {
    SOAK_NEVER_SENT,
    SOAK_UNDER_WAY,
    SOAK_ACCEPTED,
    SOAK_UNKNOWN, /* it may be stored */
    SOAK_REFUSED, /* it must not be stored */
} soak_fate;

typedef struct soak_entry {
    uint8_t fate, tries, seen, partition;
} soak_entry;

typedef struct soak_ledger {
    soak_entry *entries[SOAK_WRITERS];
    uint64_t    room, sent[SOAK_WRITERS];
    int64_t     last[SOAK_PARTITIONS];            /* sequence number that was seen; -1: none */
    uint64_t    newest[SOAK_PARTITIONS][SOAK_WRITERS]; /* number + 1 of the newest accepted event that was first seen there */
    int         bound_to[SOAK_WRITERS];           /* partition; -1: any */
    uint64_t    events_seen, doubles;
    char        wrong[300]; /* the first thing that is; empty: nothing */
    uint64_t    wrongs;
    uint8_t     body[SOAK_BODY_MAX];
} soak_ledger;

__attribute__((format(printf, 2, 3))) void soak_wrong(soak_ledger *ledger, const char *format, ...);

/** Room for so many events of each writer, touched now, so that the memory of this process stays as it is. */
bool soak_ledger_init(soak_ledger *ledger, uint64_t room);
void soak_ledger_fini(soak_ledger *ledger);

/** The event's body; lent until the next call. */
rh_slice soak_ledger_body(soak_ledger *ledger, uint32_t writer, uint64_t number);

void soak_ledger_sent(soak_ledger *ledger, uint32_t writer, uint64_t first, uint32_t count);
void soak_ledger_ended(soak_ledger *ledger, uint32_t writer, uint64_t first, uint32_t count, rh_status status, uint32_t tries);
void soak_ledger_seen(soak_ledger *ledger, uint32_t partition, const rh_event *event);

typedef struct soak_sums {
    uint64_t sent, accepted, retried, unknown, unknown_stored, refused, under_way;
} soak_sums;

/** When all is over: every accepted event was seen, none of the refused ones, and nothing is under way. */
soak_sums soak_ledger_judge(soak_ledger *ledger);

#endif
