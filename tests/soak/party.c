#include "tests/soak/party.h"

#include <inttypes.h>
#include <stdio.h>

/* What ended for good is made anew a moment later, as an application would. */
#define AGAIN_AFTER RH_MS(100)

static rh_time now_of(const soak *s)
{
    return rh_loop_now(s->loop);
}

static void progress(soak_outage *outage, rh_time now)
{
    if (outage->since && now - outage->since > outage->longest) outage->longest = now - outage->since;
    outage->since = now;
}

static void check_outage(soak *s, const soak_outage *outage, rh_time now, const char *what, uint32_t index)
{
    if (outage->since && now - outage->since > SOAK_PATIENCE)
        soak_wrong(&s->ledger, "%s %u has not gone on for %u s", what, index, (unsigned)((now - outage->since) / RH_SECONDS(1)));
}

/* -- writers ---------------------------------------------------------------------------------- */

static void count_reason(soak *s, rh_status status)
{
    const char *name = rh_status_name(status);
    for (int i = 0; i < SOAK_REASONS; i++) {
        if (s->reasons[i].count && strcmp(s->reasons[i].text, name) != 0) continue;
        snprintf(s->reasons[i].text, sizeof s->reasons[i].text, "%s", name);
        s->reasons[i].count++;
        return;
    }
}

static void on_sent(void *user, rh_producer *producer, const rh_sent *sent)
{
    soak_writer *w   = user;
    soak        *s   = w->party->soak;
    rh_time      now = now_of(s);
    (void)producer;
    if (!w->is_under_way || sent->tag != w || sent->events != w->count) {
        soak_wrong(&s->ledger, "writer %u was told of a send that it did not make", w->index);
        return;
    }
    w->is_under_way = false;
    soak_ledger_ended(&s->ledger, w->index, w->first, w->count, sent->status, sent->tries);
    if (now - w->begun > s->slowest_send) s->slowest_send = now - w->begun;
    if (sent->status == RH_OK) progress(&w->outage, now);
    else count_reason(s, sent->status);
}

static void on_producer_closed(void *user, rh_producer *producer, const rh_error *error)
{
    soak_writer *w = user;
    (void)producer, (void)error;
    w->is_closed = true;
}

static rh_status fill(soak_writer *w, rh_batch *batch, uint32_t want)
{
    rh_status status = RH_OK;
    for (w->count = 0; w->count < want && status == RH_OK; w->count += status == RH_OK)
        status = rh_batch_add(batch, &(rh_event_data){ .body = soak_ledger_body(&w->party->soak->ledger, w->index, w->first + w->count) });
    return w->count ? RH_OK : status;
}

static rh_status send_batch(soak_writer *w, uint32_t want, rh_time deadline)
{
    rh_batch *batch;
    char      key[16];
    snprintf(key, sizeof key, "key-%u", (unsigned)(w->first % 7));
    rh_batch_opts opts   = { .size = sizeof opts, .partition_key = w->index == SOAK_WRITERS - 1 ? key : NULL };
    rh_status     status = rh_batch_create(w->producer, &opts, &batch);
    if (status != RH_OK) return status;
    status = fill(w, batch, want);
    if (status == RH_OK) status = rh_producer_send(w->producer, batch, deadline, w);
    if (status != RH_OK) rh_batch_destroy(batch);
    return status;
}

static rh_status send_one(soak_writer *w, rh_time deadline)
{
    rh_event_data event = { .body = soak_ledger_body(&w->party->soak->ledger, w->index, w->first) };
    w->count            = 1;
    return rh_producer_send_event(w->producer, &event, deadline, w);
}

static void write_some(soak_writer *w, rh_time now)
{
    soak    *s    = w->party->soak;
    uint32_t want = 1 + (uint32_t)(now / 1000 % SOAK_BATCH_MAX);
    uint64_t first = s->ledger.sent[w->index];
    if (!s->is_writing || w->is_under_way || now < w->next_at || first + SOAK_BATCH_MAX > s->ledger.room) return;
    w->first           = first;
    rh_time   deadline = now + SOAK_SEND_WITHIN;
    rh_status status   = want == 1 ? send_one(w, deadline) : send_batch(w, want, deadline);
    if (status != RH_OK) return; /* not yet, or its end is told by on_closed */
    if (!w->outage.since) w->outage.since = now;
    w->is_under_way = true;
    w->begun        = now;
    w->next_at      = now + RH_MS(s->pause_ms);
    w->party->counts.sends++;
    soak_ledger_sent(&s->ledger, w->index, w->first, w->count);
}

static void step_writer(soak_writer *w, rh_time now)
{
    static const rh_producer_handler handler = { .on_sent = on_sent, .on_closed = on_producer_closed };
    soak *s = w->party->soak;
    char  partition[12];
    snprintf(partition, sizeof partition, "%u", w->index);
    if (w->is_closed) {
        if (w->is_under_way) soak_wrong(&s->ledger, "writer %u ended without a word about its send", w->index);
        rh_producer_destroy(w->producer);
        w->producer  = NULL;
        w->is_closed = false;
        w->again_at  = now + AGAIN_AFTER;
        w->party->counts.ended++;
    }
    if (w->is_under_way && now > w->begun + SOAK_SEND_WITHIN + RH_SECONDS(3)) {
        soak_wrong(&s->ledger, "a send of writer %u is beyond its deadline", w->index);
        w->begun = now;
    }
    if (s->is_writing) check_outage(s, &w->outage, now, "writer", w->index);
    if (!w->producer && now >= w->again_at && w->party->client && !w->party->is_closed) {
        rh_producer_opts opts = { .size = sizeof opts, .partition = s->ledger.bound_to[w->index] < 0 ? NULL : partition, .batch_bytes = 256 * 1024,
                                  .handler = handler, .user = w };
        if (rh_producer_open(w->party->client, &opts, &w->producer) != RH_OK) w->again_at = now + AGAIN_AFTER;
    }
    if (w->producer) write_some(w, now);
}

/* -- readers ---------------------------------------------------------------------------------- */

static void on_event(void *user, rh_consumer *consumer, const rh_event *event)
{
    soak_reader *r = user;
    (void)consumer;
    soak_ledger_seen(&r->party->soak->ledger, r->partition, event);
}

static void on_consumer_state(void *user, rh_consumer *consumer, rh_consumer_state state, const rh_error *error)
{
    soak_reader *r   = user;
    rh_time      now = now_of(r->party->soak);
    (void)consumer, (void)error;
    if (state == RH_CONSUMER_OPEN) {
        if (r->outage.since && now - r->outage.since > r->outage.longest) r->outage.longest = now - r->outage.since;
        r->outage.since = 0;
    } else if (!r->outage.since) r->outage.since = now;
    if (state == RH_CONSUMER_RECOVERING) r->party->counts.links_recovered++;
    if (state == RH_CONSUMER_STOLEN || state == RH_CONSUMER_CLOSED) r->is_closed = true;
}

static void step_reader(soak_reader *r, rh_time now)
{
    static const rh_consumer_handler handler = { .on_event = on_event, .on_state = on_consumer_state };
    soak *s = r->party->soak;
    char  partition[12];
    snprintf(partition, sizeof partition, "%u", r->partition);
    if (r->is_closed) {
        rh_consumer_destroy(r->consumer);
        r->consumer  = NULL;
        r->is_closed = false;
        r->again_at  = now + AGAIN_AFTER;
        r->party->counts.ended++;
    }
    check_outage(s, &r->outage, now, "reader", r->partition);
    if (r->consumer || now < r->again_at || !r->party->client || r->party->is_closed) return;
    int64_t          last = s->ledger.last[r->partition];
    rh_consumer_opts opts = { .size = sizeof opts, .partition = partition, .event_bytes = 256 * 1024, .prefetch_bytes = 1024 * 1024,
                              .position = { .kind = last < 0 ? RH_POSITION_EARLIEST : RH_POSITION_SEQUENCE, .value = last },
                              .handler = handler, .user = r };
    if (!r->outage.since) r->outage.since = now;
    if (rh_consumer_open(r->party->client, &opts, &r->consumer) != RH_OK) r->again_at = now + AGAIN_AFTER;
}

/* -- questions -------------------------------------------------------------------------------- */

static void on_properties(void *user, const rh_partition_properties *properties, const rh_error *error)
{
    soak_reader *r = user;
    (void)error;
    if (!r->is_asked) soak_wrong(&r->party->soak->ledger, "a question was answered twice");
    r->is_asked = false;
    if (properties) {
        r->end = properties->last_enqueued_sequence_number;
        r->party->counts.answered++;
    } else r->party->counts.unanswered++;
}

void soak_parties_ask(soak *s, rh_time now)
{
    for (int i = 0; i < SOAK_PARTITIONS; i++) {
        soak_reader *r = &s->readers[i];
        char         partition[12];
        snprintf(partition, sizeof partition, "%u", r->partition);
        if (r->is_asked && now > r->asked_at + RH_MS(SOAK_ASK_WITHIN) + RH_SECONDS(3)) soak_wrong(&s->ledger, "a question was never answered");
        if (r->is_asked || !r->party->client || r->party->is_closed) continue;
        r->end      = -2; /* not known */
        r->is_asked = true;
        r->asked_at = now;
        rh_client_partition_properties(r->party->client, partition, SOAK_ASK_WITHIN, on_properties, r);
    }
}

/* -- clients ---------------------------------------------------------------------------------- */

static void on_client_state(void *user, rh_client *client, rh_client_state state, const rh_error *error)
{
    soak_party *party = user;
    (void)client, (void)error;
    if (state == RH_CLIENT_CONNECTING) party->counts.connections_lost++;
    if (state == RH_CLIENT_CLOSED) party->is_closed = true;
}

static void on_retry(void *user, rh_client *client, const rh_retry *retry)
{
    soak_party *party = user;
    (void)client, (void)retry;
    party->counts.retries++;
}

static void make_client(soak_party *party)
{
    static const rh_client_handler handler = { .on_state = on_client_state, .on_retry = on_retry };
    rh_error        error;
    rh_client_opts *opts = RH_CLIENT_OPTS(.connection_string = party->soak->connection, .hub = "soak", .ca_file = party->soak->ca,
                                          .idle_time_out_ms = 5000, .operation_timeout_ms = 8000,
                                          .retry = { .max_delay_ms = 3000 }, .handler = handler, .user = party);
    if (rh_client_create(party->soak->loop, opts, &party->client, &error) != RH_OK)
        soak_wrong(&party->soak->ledger, "no client: %s: %s", rh_status_name(error.status), error.description);
}

static bool is_empty(const soak_party *party)
{
    for (uint32_t i = 0; i < party->count; i++) {
        if (party->writers && party->writers[i].producer) return false;
        if (party->readers && (party->readers[i].consumer || party->readers[i].is_asked)) return false;
    }
    return true;
}

static void step_party(soak_party *party, rh_time now)
{
    for (uint32_t i = 0; i < party->count; i++) {
        if (party->writers) step_writer(&party->writers[i], now);
        else step_reader(&party->readers[i], now);
    }
    if (party->is_closed && is_empty(party)) {
        rh_client_destroy(party->client);
        party->client    = NULL;
        party->is_closed = false;
        party->again_at  = now + AGAIN_AFTER;
        party->counts.clients_ended++;
    }
    if (!party->client && now >= party->again_at) make_client(party);
}

void soak_parties_init(soak *s)
{
    for (uint32_t i = 0; i < SOAK_WRITERS; i++) s->writers[i] = (soak_writer){ .index = i, .party = &s->parties[i >= SOAK_PARTITIONS] };
    for (uint32_t i = 0; i < SOAK_PARTITIONS; i++) s->readers[i] = (soak_reader){ .partition = i, .party = &s->parties[2], .end = -2 };
    s->parties[0] = (soak_party){ .soak = s, .writers = s->writers, .count = SOAK_PARTITIONS };
    s->parties[1] = (soak_party){ .soak = s, .writers = s->writers + SOAK_PARTITIONS, .count = SOAK_WRITERS - SOAK_PARTITIONS };
    s->parties[2] = (soak_party){ .soak = s, .readers = s->readers, .count = SOAK_PARTITIONS };
}

void soak_parties_step(soak *s, rh_time now)
{
    for (int i = 0; i < SOAK_PARTIES; i++) step_party(&s->parties[i], now);
}

bool soak_parties_rest(const soak *s)
{
    for (int i = 0; i < SOAK_WRITERS; i++)
        if (s->writers[i].is_under_way) return false;
    return true;
}

bool soak_parties_caught_up(const soak *s)
{
    for (int i = 0; i < SOAK_PARTITIONS; i++)
        if (s->readers[i].is_asked || s->readers[i].end != s->ledger.last[i]) return false;
    return true;
}

void soak_parties_renew(soak *s)
{
    for (int i = 0; i < SOAK_WRITERS; i++) {
        rh_producer_destroy(s->writers[i].producer);
        s->writers[i].producer  = NULL;
        s->writers[i].is_closed = false;
    }
}

void soak_parties_close(soak *s)
{
    for (int i = 0; i < SOAK_PARTIES; i++) {
        soak_party *party = &s->parties[i];
        if (party->client) (void)rh_client_close_wait(party->client, 5000, NULL);
        for (uint32_t k = 0; k < party->count; k++) {
            if (party->writers) rh_producer_destroy(party->writers[k].producer);
            if (party->readers) rh_consumer_destroy(party->readers[k].consumer);
        }
        rh_client_destroy(party->client);
    }
}
