#include "tests/soak/ledger.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <xxhash.h>

void soak_wrong(soak_ledger *ledger, const char *format, ...)
{
    char    text[300];
    va_list list;
    va_start(list, format);
    vsnprintf(text, sizeof text, format, list);
    va_end(list);
    if (ledger->wrongs++ == 0) memcpy(ledger->wrong, text, sizeof text);
    if (ledger->wrongs <= 20) fprintf(stderr, "wrong: %s\n", text);
}

bool soak_ledger_init(soak_ledger *ledger, uint64_t room)
{
    memset(ledger, 0, sizeof *ledger);
    ledger->room = room;
    for (int i = 0; i < SOAK_PARTITIONS; i++) ledger->last[i] = -1;
    for (int i = 0; i < SOAK_WRITERS; i++) {
        ledger->entries[i] = malloc(room * sizeof **ledger->entries);
        if (!ledger->entries[i]) return false;
        memset(ledger->entries[i], 0, room * sizeof **ledger->entries);
        ledger->bound_to[i] = i < SOAK_PARTITIONS ? i : -1;
    }
    return true;
}

void soak_ledger_fini(soak_ledger *ledger)
{
    for (int i = 0; i < SOAK_WRITERS; i++) free(ledger->entries[i]);
}

/* -- bodies ----------------------------------------------------------------------------------- */

struct head {
    uint32_t magic, writer;
    uint64_t number, digest; /* of what follows */
};

#define MAGIC 0x6b616f73u

static uint64_t mix(uint32_t writer, uint64_t number)
{
    uint64_t pair[2] = { writer, number };
    return XXH3_64bits(pair, sizeof pair);
}

/* Most are small; one in five hundred takes several frames. */
static size_t tail_of(uint64_t h)
{
    return h % 500 == 0 ? 70000 + h / 500 % 100000 : h / 500 % 600;
}

rh_slice soak_ledger_body(soak_ledger *ledger, uint32_t writer, uint64_t number)
{
    uint64_t    h    = mix(writer, number);
    size_t      n    = tail_of(h);
    struct head head = { MAGIC, writer, number, 0 };
    uint8_t    *tail = ledger->body + sizeof head;
    for (size_t i = 0; i < n; i++) tail[i] = (uint8_t)(h >> (i % 8 * 8)) ^ (uint8_t)(i / 8);
    head.digest = XXH3_64bits(tail, n);
    memcpy(ledger->body, &head, sizeof head);
    return rh_slice_of(ledger->body, sizeof head + n);
}

/* -- what the writers were told --------------------------------------------------------------- */

void soak_ledger_sent(soak_ledger *ledger, uint32_t writer, uint64_t first, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) ledger->entries[writer][first + i].fate = SOAK_UNDER_WAY;
    ledger->sent[writer] = first + count;
}

/* What was sent off more than once, and then not accepted, may lie there from an earlier try. */
static soak_fate fate_of(rh_status status, uint32_t tries)
{
    if (status == RH_OK) return SOAK_ACCEPTED;
    return status == RH_E_OUTCOME_UNKNOWN || tries > 1 ? SOAK_UNKNOWN : SOAK_REFUSED;
}

void soak_ledger_ended(soak_ledger *ledger, uint32_t writer, uint64_t first, uint32_t count, rh_status status, uint32_t tries)
{
    for (uint32_t i = 0; i < count; i++) {
        soak_entry *entry = &ledger->entries[writer][first + i];
        if (entry->fate != SOAK_UNDER_WAY) soak_wrong(ledger, "event %u/%" PRIu64 " ended twice", writer, first + i);
        entry->fate  = (uint8_t)fate_of(status, tries);
        entry->tries = tries > 255 ? 255 : (uint8_t)tries;
    }
}

/* -- what the readers saw --------------------------------------------------------------------- */

static soak_entry *entry_of(soak_ledger *ledger, rh_slice body, struct head *head)
{
    if (body.n < sizeof *head) return NULL;
    memcpy(head, body.p, sizeof *head);
    if (head->magic != MAGIC || head->writer >= SOAK_WRITERS || head->number >= ledger->sent[head->writer]) return NULL;
    if (body.n != sizeof *head + tail_of(mix(head->writer, head->number))) return NULL;
    if (head->digest != XXH3_64bits(body.p + sizeof *head, body.n - sizeof *head)) return NULL;
    return &ledger->entries[head->writer][head->number];
}

static void note_first(soak_ledger *ledger, uint32_t partition, const struct head *head, soak_entry *entry)
{
    uint64_t *newest = &ledger->newest[partition][head->writer];
    entry->partition = (uint8_t)partition;
    /* A writer has one send under way. What was not accepted in the end may come late; it was passed over meanwhile. */
    if (head->number + 1 > *newest) *newest = head->number + 1;
    else if (entry->fate == SOAK_ACCEPTED || entry->fate == SOAK_UNDER_WAY)
        soak_wrong(ledger, "event %u/%" PRIu64 " of partition %u came behind %" PRIu64, head->writer, head->number, partition, *newest - 1);
}

void soak_ledger_seen(soak_ledger *ledger, uint32_t partition, const rh_event *event)
{
    struct head head;
    int64_t     sequence = rh_event_sequence_number(event);
    if (sequence != ledger->last[partition] + 1)
        soak_wrong(ledger, "partition %u: sequence number %" PRId64 " behind %" PRId64, partition, sequence, ledger->last[partition]);
    ledger->last[partition] = sequence;
    ledger->events_seen++;
    soak_entry *entry = entry_of(ledger, rh_event_body(event), &head);
    if (!entry) {
        soak_wrong(ledger, "partition %u, sequence number %" PRId64 ": an event that nobody sent like that", partition, sequence);
        return;
    }
    int bound = ledger->bound_to[head.writer];
    if (bound >= 0 && bound != (int)partition) soak_wrong(ledger, "an event for partition %d is in %u", bound, partition);
    if (entry->seen == 0) note_first(ledger, partition, &head, entry);
    else ledger->doubles++;
    if (entry->seen < 255) entry->seen++;
}

/* -- the end ---------------------------------------------------------------------------------- */

static void judge_one(soak_ledger *ledger, uint32_t writer, uint64_t number, soak_sums *sums)
{
    const soak_entry *entry = &ledger->entries[writer][number];
    switch ((soak_fate)entry->fate) {
    case SOAK_ACCEPTED:
        sums->accepted++;
        sums->retried += entry->tries > 1;
        if (entry->seen == 0) soak_wrong(ledger, "event %u/%" PRIu64 " was accepted and is lost", writer, number);
        if (entry->seen > 1 && entry->tries == 1)
            soak_wrong(ledger, "event %u/%" PRIu64 " was accepted at once and is there %u times", writer, number, entry->seen);
        break;
    case SOAK_UNKNOWN:
        sums->unknown++;
        sums->unknown_stored += entry->seen > 0;
        break;
    case SOAK_REFUSED:
        sums->refused++;
        if (entry->seen) soak_wrong(ledger, "event %u/%" PRIu64 " was refused and is there", writer, number);
        break;
    default:
        sums->under_way++;
        soak_wrong(ledger, "event %u/%" PRIu64 " never ended", writer, number);
    }
}

soak_sums soak_ledger_judge(soak_ledger *ledger)
{
    soak_sums sums = { 0 };
    for (uint32_t writer = 0; writer < SOAK_WRITERS; writer++) {
        sums.sent += ledger->sent[writer];
        for (uint64_t number = 0; number < ledger->sent[writer]; number++) judge_one(ledger, writer, number, &sums);
    }
    return sums;
}
