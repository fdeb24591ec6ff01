/* The real thing: an emulator in a process of its own that errs by a script, our client over TLS, and at the end every event looked for. */
#include "tests/soak/party.h"
#include "tests/soak/service.h"

#include <inttypes.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static const char usage[] =
    "usage: soak --ringhub FILE --script FILE --work DIR --seconds N [--restarts N] [-- OPTION...]\n\n"
    "DIR holds ca.pem, server.pem and server.key. The script is to be calm after N seconds. Options behind -- go to the emulator,\n"
    "which is killed and started again as often as said. tests/soak/run.sh starts it.\n";

enum { CALM_SECONDS = 20, SETTLE_SECONDS = 60, SAMPLES_BEFORE_JUDGING = 120 };

/* What a process may grow by in the second half: buffers that a burst touched first (a loop's are 4 MiB), never with time. */
#define GROWTH_MAX (10.0 * 1024 * 1024)

/* What three clients, their ten producers and consumers and a loop have allocated while they rest: 1.4 MiB, and something for chance. */
#define AT_REST_MAX (3u * 1024 * 1024)

struct run {
    soak         soak;
    soak_service service;
    const char  *ringhub, *script, *work;
    unsigned     seconds, restarts, restarted;
    unsigned     port; /* 0: a free one. One that is used again lies below those that the kernel gives to whoever dials */
    char       **options; /* further ones of the emulator */
    int          option_count;
    soak_slope   ours, theirs; /* resident memory, since the first half is over */
    soak_slope   heap;         /* of this process: what was allocated and not freed, without the ledger */
    uint64_t     at_rest;      /* the same when nothing has been sent for three seconds */
    unsigned     ours_open[2], theirs_open[2]; /* descriptors: the most at the beginning, with all clients open; at the end */
    rh_time      began, sampled, asked;
    double       caught_up_after;
    bool         is_gone;
};

static double seconds_of(rh_time time)
{
    return (double)time / 1e9;
}

/* -- the run ---------------------------------------------------------------------------------- */

/* The emulator's command line. One that is to be started again has its port for itself, and a folder. */
struct command {
    char  cert[512], key[512], data[512], listen[32];
    char *argv[64];
};

static void compose(struct run *run, struct command *command, const char *script)
{
    int    at     = 0;
    char **argv   = command->argv;
    char  *head[] = { (char *)(uintptr_t)run->ringhub, "emulator", "--listen", "127.0.0.1:0", "--tls", command->listen, "--cert", command->cert, "--key",
                      command->key, "--hub", "soak:4", "--max-bytes", "48M", "--limit", "idle-time-out=20s", "--faults", (char *)(uintptr_t)script };
    snprintf(command->cert, sizeof command->cert, "%s/server.pem", run->work);
    snprintf(command->key, sizeof command->key, "%s/server.key", run->work);
    snprintf(command->data, sizeof command->data, "%s/data", run->work);
    snprintf(command->listen, sizeof command->listen, "127.0.0.1:%u", run->port);
    for (size_t i = 0; i < sizeof head / sizeof *head; i++) argv[at++] = head[i];
    if (run->restarts) argv[at++] = "--data", argv[at++] = command->data;
    for (int i = 0; i < run->option_count && at < 63; i++) argv[at++] = run->options[i];
    argv[at] = NULL;
}

static bool start_service(struct run *run)
{
    char           told[512];
    struct command command;
    snprintf(told, sizeof told, "%s/service.err", run->work);
    for (unsigned i = 0; i < 5; i++) {
        if (run->restarts) run->port = 20000 + ((unsigned)getpid() + 997 * i) % 12000;
        compose(run, &command, run->script);
        if (soak_service_start(&run->service, command.argv, told)) return true;
    }
    fprintf(stderr, "soak: the emulator did not start; see %s\n", told);
    return false;
}

/* The script as it was, but calm when it should have been: a script counts from the emulator's start. The last word on that holds. */
static bool copy_script(const struct run *run, const char *name, unsigned calm_after)
{
    char  line[1000];
    FILE *from = fopen(run->script, "re"), *to = fopen(name, "we");
    while (from && to && fgets(line, sizeof line, from)) fputs(line, to);
    if (to) fprintf(to, "calm after %us\n", calm_after);
    if (from) fclose(from);
    return from && to && fclose(to) == 0;
}

/* Every now and then it is killed as it stands, and another takes its place. */
static void restart_service(struct run *run, rh_time now)
{
    double         at = seconds_of(now - run->began);
    char           name[512];
    struct command command;
    if (run->restarted == run->restarts || at < run->seconds * (run->restarted + 1.0) / (run->restarts + 1.0)) return;
    run->restarted++;
    snprintf(name, sizeof name, "%s/script.later", run->work);
    compose(run, &command, name);
    if (!copy_script(run, name, run->seconds - (unsigned)at) || !soak_service_restart(&run->service, command.argv))
        soak_wrong(&run->soak.ledger, "the emulator did not start again");
}

/* A connection that is being made anew counts less, one that lingers more: what counts is that it ends as it began. */
static void sample_descriptors(struct run *run, double at)
{
    for (int i = 0; i < SOAK_PARTIES; i++)
        if (!run->soak.parties[i].client || rh_client_state_of(run->soak.parties[i].client) != RH_CLIENT_OPEN) return;
    if (at > 5 && run->ours_open[0]) return;
    unsigned ours = soak_descriptors(getpid()), theirs = soak_descriptors(run->service.pid);
    if (ours > run->ours_open[0]) run->ours_open[0] = ours;
    if (theirs > run->theirs_open[0]) run->theirs_open[0] = theirs;
}

static uint64_t heap_of(const struct run *run)
{
    struct mallinfo2 heap   = mallinfo2(); /* zeros where another allocator is in its place: a sanitizer's */
    uint64_t         ledger = SOAK_WRITERS * run->soak.ledger.room * sizeof(soak_entry), all = heap.uordblks + heap.hblkhd;
    return all > ledger ? all - ledger : 0;
}

static void sample(struct run *run, rh_time now)
{
    double at = seconds_of(now - run->began);
    if (now < run->sampled + RH_MS(500)) return;
    run->sampled = now;
    sample_descriptors(run, at);
    if (at < run->seconds / 2.0) return;
    soak_slope_add(&run->ours, at, soak_memory(getpid()));
    soak_slope_add(&run->theirs, at, soak_memory(run->service.pid));
    soak_slope_add(&run->heap, at, heap_of(run));
    if (!run->is_gone && !soak_service_lives(&run->service)) soak_wrong(&run->soak.ledger, "the emulator is gone; see its standard error");
    run->is_gone = !soak_service_lives(&run->service);
}

/* Turns until the moment, or until done says so. */
static bool pass(struct run *run, rh_time until, bool (*done)(const soak *))
{
    soak   *s   = &run->soak;
    rh_time now = rh_loop_now(s->loop);
    while (now < until && s->ledger.wrongs < 100) {
        soak_parties_step(s, now);
        sample(run, now);
        restart_service(run, now);
        if (now > run->asked + RH_SECONDS(done ? 1 : 3)) {
            run->asked = now;
            soak_parties_ask(s, now);
        }
        if (done && done(s)) return true;
        if (rh_loop_turn(s->loop, now + RH_MS(5)) != RH_OK) return false;
        now = rh_loop_now(s->loop);
    }
    return done == NULL;
}

static void live(struct run *run)
{
    soak *s       = &run->soak;
    s->is_writing = true;
    pass(run, run->began + RH_SECONDS(run->seconds + CALM_SECONDS), NULL);
    s->is_writing = false;
    /* What a fault left behind may not outlive it for good: a send that was never answered is over by then, too. */
    for (int i = 0; i < SOAK_WRITERS; i++)
        if (s->writers[i].outage.since < run->began + RH_SECONDS(run->seconds + CALM_SECONDS / 2))
            soak_wrong(&s->ledger, "writer %d does not get an event through in the calm", i);
    rh_time calm  = rh_loop_now(s->loop);
    if (!pass(run, calm + RH_SECONDS(SETTLE_SECONDS), soak_parties_rest)) soak_wrong(&s->ledger, "sends are still under way in the calm");
    run->asked = 0;
    for (int i = 0; i < SOAK_PARTITIONS; i++) s->readers[i].end = -2;
    if (!pass(run, calm + RH_SECONDS(SETTLE_SECONDS), soak_parties_caught_up)) soak_wrong(&s->ledger, "the readers have not caught up");
    run->caught_up_after = seconds_of(rh_loop_now(s->loop) - calm);
    soak_parties_renew(s);
    pass(run, rh_loop_now(s->loop) + RH_SECONDS(3), NULL);
    run->at_rest         = heap_of(run);
    run->ours_open[1]    = soak_descriptors(getpid());
    run->theirs_open[1]  = soak_descriptors(run->service.pid);
}

static void judge_processes(struct run *run)
{
    soak_ledger *ledger = &run->soak.ledger;
    double       span   = run->ours.n / 2; /* seconds */
    if (run->ours_open[0] < run->ours_open[1]) soak_wrong(ledger, "descriptors of the client: %u, then %u", run->ours_open[0], run->ours_open[1]);
    if (run->restarts == 0 && run->theirs_open[0] < run->theirs_open[1])
        soak_wrong(ledger, "descriptors of the emulator: %u, then %u", run->theirs_open[0], run->theirs_open[1]);
    if (run->at_rest > AT_REST_MAX) soak_wrong(ledger, "the client rests with %.1f MiB allocated", (double)run->at_rest / 1048576);
    if (span < SAMPLES_BEFORE_JUDGING) return;
    if (soak_slope_of(&run->ours) * span > GROWTH_MAX) soak_wrong(ledger, "the client grows");
    if (run->restarts == 0 && soak_slope_of(&run->theirs) * span > GROWTH_MAX) soak_wrong(ledger, "the emulator grows");
}

/* -- the table -------------------------------------------------------------------------------- */

static const char *const with_condition[] = { "detach", "end", "close", "refuse", "throttle" };
enum { COLUMNS = sizeof with_condition / sizeof *with_condition, LINES = 64 };

struct table {
    struct { char condition[64]; uint64_t counts[COLUMNS]; } lines[LINES];
    struct { char fault[16]; uint64_t count; } others[16];
    unsigned line_count, other_count;
    uint64_t sum;
};

static int column_of(const char *fault)
{
    for (int i = 0; i < COLUMNS; i++)
        if (strcmp(fault, with_condition[i]) == 0) return i;
    return -1;
}

static void tabulate(struct table *table, const soak_row *row)
{
    int      column = column_of(row->fault);
    unsigned i      = 0;
    table->sum++;
    if (column < 0 || !row->condition[0]) {
        while (i < table->other_count && strcmp(table->others[i].fault, row->fault) != 0) i++;
        if (i == 16) return;
        if (i == table->other_count) snprintf(table->others[table->other_count++].fault, sizeof table->others[i].fault, "%s", row->fault);
        table->others[i].count++;
        return;
    }
    while (i < table->line_count && strcmp(table->lines[i].condition, row->condition) != 0) i++;
    if (i == LINES) return;
    if (i == table->line_count) snprintf(table->lines[table->line_count++].condition, sizeof table->lines[i].condition, "%s", row->condition);
    table->lines[i].counts[column]++;
}

static void print_faults(const struct run *run)
{
    struct table table = { 0 };
    soak_row     row;
    for (soak_rows rows = soak_service_rows(&run->service); soak_rows_next(&rows, &row);) tabulate(&table, &row);
    if (run->restarts) printf("the emulator was killed and started again %u times\n", run->restarted);
    printf("\n%-44s", "condition");
    for (int c = 0; c < COLUMNS; c++) printf("%10s", with_condition[c]);
    printf("\n");
    for (unsigned i = 0; i < table.line_count; i++) {
        printf("%-44s", table.lines[i].condition);
        for (int c = 0; c < COLUMNS; c++) {
            if (table.lines[i].counts[c]) printf("%10" PRIu64, table.lines[i].counts[c]);
            else printf("%10s", "-");
        }
        printf("\n");
    }
    printf("without a condition:");
    for (unsigned i = 0; i < table.other_count; i++) printf(" %s %" PRIu64, table.others[i].fault, table.others[i].count);
    printf("\n%" PRIu64 " faults, %u conditions\n\n", table.sum, table.line_count);
}

static double longest(const struct run *run, bool of_writers)
{
    rh_time most = 0;
    for (int i = 0; i < (of_writers ? SOAK_WRITERS : SOAK_PARTITIONS); i++) {
        const soak_outage *outage = of_writers ? &run->soak.writers[i].outage : &run->soak.readers[i].outage;
        if (outage->longest > most) most = outage->longest;
    }
    return seconds_of(most);
}

static soak_counts sum_up(const soak *s)
{
    soak_counts sum = { 0 };
    for (int i = 0; i < SOAK_PARTIES; i++) {
        const soak_counts *c = &s->parties[i].counts;
        sum.retries += c->retries, sum.connections_lost += c->connections_lost, sum.links_recovered += c->links_recovered;
        sum.ended += c->ended, sum.clients_ended += c->clients_ended, sum.sends += c->sends;
        sum.answered += c->answered, sum.unanswered += c->unanswered;
    }
    return sum;
}

static void print_process(const char *name, const soak_slope *memory, const unsigned open[2])
{
    printf("%-10s memory %.1f to %.1f MiB in the second half, %+.1f KiB a minute; descriptors %u, %u\n", name, (double)memory->first / 1048576,
           (double)memory->last / 1048576, soak_slope_of(memory) * 60 / 1024, open[0], open[1]);
}

static void print_result(const struct run *run, const soak_sums *sums)
{
    const soak *s = &run->soak;
    soak_counts c = sum_up(s);
    printf("client     %" PRIu64 " connections made, %" PRIu64 " retries, readers lost %" PRIu64 " times and back; made anew by the program: %" PRIu64
           " producers and consumers, %" PRIu64 " clients\n",
           c.connections_lost, c.retries, c.links_recovered, c.ended, c.clients_ended);
    printf("events     %" PRIu64 " sent in %" PRIu64 " sends: %" PRIu64 " accepted (%" PRIu64 " not at the first try), %" PRIu64 " unknown (%" PRIu64
           " of them stored), %" PRIu64 " refused\n",
           sums->sent, c.sends, sums->accepted, sums->retried, sums->unknown, sums->unknown_stored, sums->refused);
    printf("seen       %" PRIu64 " events, %" PRIu64 " of them doubles\n", s->ledger.events_seen, s->ledger.doubles);
    printf("without success:");
    for (int i = 0; i < SOAK_REASONS && s->reasons[i].count; i++) printf(" %s %" PRIu64, s->reasons[i].text, s->reasons[i].count);
    printf("\nquestions  %" PRIu64 " answered, %" PRIu64 " not\n", c.answered, c.unanswered);
    printf("outage     %.1f s without success at most for a writer, %.1f s not open for a reader; slowest send %.1f s; calm after %.1f s\n",
           longest(run, true), longest(run, false), seconds_of(s->slowest_send), run->caught_up_after);
    print_process("client", &run->ours, run->ours_open);
    printf("%-10s %.1f to %.1f MiB, %+.1f KiB a minute; at rest in the end %.3f MiB\n", "its heap", (double)run->heap.first / 1048576,
           (double)run->heap.last / 1048576, soak_slope_of(&run->heap) * 60 / 1024, (double)run->at_rest / 1048576);
    print_process("emulator", &run->theirs, run->theirs_open);
    if (s->ledger.wrongs) printf("\nFAILED: %" PRIu64 " things are wrong, the first: %s\n", s->ledger.wrongs, s->ledger.wrong);
    else printf("\nNothing accepted is lost, nothing invented, altered, out of order or stuck.\n");
}

/* -- main ------------------------------------------------------------------------------------- */

static bool parse(struct run *run, int argc, char **argv)
{
    int i = 1;
    for (; i + 1 < argc && strcmp(argv[i], "--") != 0; i += 2) {
        if (strcmp(argv[i], "--ringhub") == 0) run->ringhub = argv[i + 1];
        else if (strcmp(argv[i], "--script") == 0) run->script = argv[i + 1];
        else if (strcmp(argv[i], "--work") == 0) run->work = argv[i + 1];
        else if (strcmp(argv[i], "--restarts") == 0) run->restarts = (unsigned)strtoul(argv[i + 1], NULL, 10);
        else if (strcmp(argv[i], "--seconds") == 0) run->seconds = (unsigned)strtoul(argv[i + 1], NULL, 10);
        else return false;
    }
    if (i < argc && strcmp(argv[i], "--") == 0) {
        run->options      = argv + i + 1;
        run->option_count = argc - i - 1;
    } else if (i < argc) return false;
    return run->ringhub && run->script && run->work && run->seconds >= 5;
}

int main(int argc, char **argv)
{
    static struct run run;
    char              connection[256], ca[512];
    rh_error          error;
    if (!parse(&run, argc, argv)) return fputs(usage, stderr), 2;
    if (!start_service(&run)) return 1;
    snprintf(connection, sizeof connection, "Endpoint=sb://localhost:%u;SharedAccessKeyName=RootManageSharedAccessKey;SharedAccessKey=SAS_KEY_VALUE",
             run.service.port);
    snprintf(ca, sizeof ca, "%s/ca.pem", run.work);
    soak *s       = &run.soak;
    s->connection = connection;
    s->ca         = ca;
    s->pause_ms   = 40;
    rh_status status = soak_ledger_init(&s->ledger, (uint64_t)(run.seconds + CALM_SECONDS) * SOAK_BATCH_MAX * 1000 / s->pause_ms)
                           ? rh_loop_create(NULL, &s->loop, &error) : RH_E_MEMORY;
    if (status != RH_OK) return fprintf(stderr, "soak: %s\n", rh_status_name(status)), 1;
    soak_parties_init(s);
    printf("soak: %u s of faults over TLS, %s\n", run.seconds, rh_loop_backend_name(s->loop));
    fflush(stdout);
    run.began = rh_loop_now(s->loop);
    live(&run);
    judge_processes(&run);
    soak_parties_close(s);
    soak_sums sums = soak_ledger_judge(&s->ledger);
    rh_loop_destroy(s->loop);
    int code = soak_service_stop(&run.service);
    if (code != 0) soak_wrong(&s->ledger, "the emulator ended with %d", code);
    print_faults(&run);
    print_result(&run, &sums);
    bool failed = s->ledger.wrongs > 0;
    soak_ledger_fini(&s->ledger);
    return failed;
}
