/*
 * aim: says what the corpora of as_broker and as_client, and recorded sessions, hold to somebody else's AMQP stack.
 *
 *   aim [--role client] HOST:PORT FILE|FOLDER ...     to a server that listens there: inputs of as_broker
 *   aim --role server HOST:PORT FILE|FOLDER ...       to clients that connect here: inputs of as_client
 *       --no-sasl        the usual beginning of a client goes without
 *       --user NAME:KEY  PLAIN in it, not ANONYMOUS
 *       --every N        each Nth file only
 *       --patience MS    for an answer, and for the end of a connection that was ended; 3000
 *       --help
 *
 * Each input has a connection of its own. Told at the end: how they ended, by condition; whether the peer kept answering; connections
 * that it kept though they were over; frames that break the specification's form. The exit status is 1 if there are any of the last three or
 * nothing could be said at all, 2 if the command line is wrong.
 */
#include <dirent.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "fuzz/aim/talk.h"
#include "fuzz/aim/tally.h"

enum { INPUT_MAX = 1 << 17, GREETINGS = 8, TRIES = 10 };

static struct talk_opts opts = { .to_server = true, .sasl = true, .ms = 3000 };
static struct tally     tally;
static struct line      line;
static const char      *address;
static int              listening = -1;
static unsigned         every = 1, met;

static const char usage[] =
    "aim [--role client] HOST:PORT FILE|FOLDER ...    says inputs of fuzz/corpus/as_broker to a server, a connection for each\n"
    "aim --role server HOST:PORT FILE|FOLDER ...      says those of as_client to clients that connect here (port 0: any, it is printed)\n"
    "  --no-sasl        the usual beginning of a client goes without\n"
    "  --user NAME:KEY  PLAIN in it, not ANONYMOUS\n"
    "  --every N        each Nth file only\n"
    "  --patience MS    for an answer, and for the end of a connection that was ended (3000)\n"
    "  --help\n"
    "Exit status: 0 nothing was wrong, 1 something was, 2 the command line is.\n";

static void pause_ms(int ms)
{
    nanosleep(&(struct timespec){ ms / 1000, ms % 1000 * 1000000L }, NULL);
}

/* A peer that starts itself anew after a crash has died all the same: the first try tells. */
static bool connected(void)
{
    if (!opts.to_server && line_accept(&line, listening, 10 * opts.ms)) return true;
    for (int tries = 0; opts.to_server && tries < TRIES; tries++) {
        if (line_dial(&line, address)) return true;
        if (tries == 0) tally.refused++;
        pause_ms(200);
    }
    if (!opts.to_server) tally.refused++;
    return false;
}

static void note(const char *path, bool ended)
{
    const struct ear *ear = &line.ear;
    tally.inputs++;
    tally.cut += line.cut;
    if (!ended) tally.hung++, printf("%s: the connection is kept though it is over\n", path);
    if (ear->illegal) tally.illegal++, printf("%s: %s\n", path, ear->why);
    if (ear->ended[0]) tally_end(&tally, ear->ended);
    else if (ear->closes) tally_end(&tally, "close without an error");
    else if (ear->heard == 0) tally_end(&tally, "not a word");
    else tally_end(&tally, ear->opens ? "no close" : "no open");
}

static bool greets(const char *path)
{
    if (!opts.to_server) return true;
    if (!connected()) return false;
    bool answered = talk_greeting(&line, &opts);
    line_close(&line);
    if (!answered) tally.refused++, printf("%s: nobody answers any more, after this or the %d before\n", path, GREETINGS);
    return answered;
}

static bool aim_bytes(const char *path, rh_slice input)
{
    const char *dot = strrchr(path, '.');
    if (!connected()) {
        printf("%s: no connection\n", path);
        return false;
    }
    if (dot && strcmp(dot, ".session") == 0) talk_session(&line, &opts, input);
    else talk_input(&line, &opts, input);
    note(path, talk_end(&line, &opts));
    line_close(&line);
    return tally.inputs % GREETINGS != 0 || greets(path);
}

static bool aim_file(const char *path)
{
    static uint8_t bytes[INPUT_MAX];
    FILE          *file = fopen(path, "rb");
    if (file == NULL) return perror(path), false;
    size_t n = fread(bytes, 1, sizeof bytes, file);
    fclose(file);
    return met++ % every != 0 || aim_bytes(path, rh_slice_of(bytes, n));
}

static bool aim_path(const char *path)
{
    struct stat     info;
    struct dirent **entries;
    if (stat(path, &info) != 0) return perror(path), false;
    if (!S_ISDIR(info.st_mode)) return aim_file(path);
    int  n  = scandir(path, &entries, NULL, alphasort);
    bool ok = n >= 0;
    for (int i = 0; i < n; i++) {
        char inner[4096];
        snprintf(inner, sizeof inner, "%s/%s", path, entries[i]->d_name);
        if (ok && entries[i]->d_name[0] != '.') ok = aim_path(inner);
        free(entries[i]);
    }
    if (n >= 0) free(entries);
    return ok;
}

static bool options(int argc, char **argv)
{
    static const struct option names[] = { { "role", required_argument, NULL, 'r' },  { "no-sasl", no_argument, NULL, 'n' },
                                           { "user", required_argument, NULL, 'u' },  { "every", required_argument, NULL, 'e' },
                                           { "patience", required_argument, NULL, 'p' }, { "help", no_argument, NULL, 'h' },
                                           { 0 } };
    for (int c; (c = getopt_long(argc, argv, "", names, NULL)) != -1;) {
        if (c == 'r' && strcmp(optarg, "server") == 0) opts.to_server = false;
        else if (c == 'r' && strcmp(optarg, "client") == 0) opts.to_server = true;
        else if (c == 'n') opts.sasl = false;
        else if (c == 'u') opts.user = optarg;
        else if (c == 'e' && atoi(optarg) > 0) every = (unsigned)atoi(optarg);
        else if (c == 'p' && atoi(optarg) > 0) opts.ms = atoi(optarg);
        else if (c == 'h') fputs(usage, stdout), exit(0);
        else return false;
    }
    return true;
}

static bool wrong(const char *word, const char *why)
{
    fprintf(stderr, "aim: %s%s%s (--help)\n", word, word[0] ? ": " : "", why);
    return false;
}

/* HOST:PORT and what to say, all of it there. */
static bool operands(char **names)
{
    struct stat info;
    const char *colon = names[0] ? strrchr(names[0], ':') : NULL;
    if (!names[0] || !names[1]) return wrong("", "an address and a file or folder are needed");
    if (!colon || colon == names[0] || !colon[1] || colon[1 + strspn(colon + 1, "0123456789")]) return wrong(names[0], "not HOST:PORT");
    for (char **path = names + 1; *path; path++)
        if (stat(*path, &info) != 0) return wrong(*path, "no such file or folder");
    return true;
}

int main(int argc, char **argv)
{
    char told[300];
    signal(SIGPIPE, SIG_IGN);
    setvbuf(stdout, NULL, _IOLBF, 0);
    if (!options(argc, argv)) return wrong("", "what is that option?"), 2;
    if (!operands(argv + optind)) return 2;
    address = argv[optind++];
    if (!opts.to_server) {
        if ((listening = line_listen(address, told, sizeof told)) < 0) return perror(address), 2;
        printf("listening %s\n", told);
    }
    bool whole = true;
    for (; whole && optind < argc; optind++) whole = aim_path(argv[optind]);
    if (whole && tally.inputs > 0) whole = greets("the last input");
    return tally_tell(&tally) > 0 || !whole || tally.inputs == 0;
}
