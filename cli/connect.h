/* What send, receive, info and run know of the way to the service: options, environment, loop, client. */
#ifndef RH_CLI_CONNECT_H
#define RH_CLI_CONNECT_H

#include "cli/command.h"

#include <ringhub/eventhub.h>

struct connect_opts {
    const char *connection_string; /* -c, else $EVENT_HUB_CONNECTION_STRING */
    const char *hub;               /* -e, else $EVENT_HUB_NAME */
    const char *ca_file;
    const char *token_file;        /* with $EVENT_HUB_FULLY_QUALIFIED_NAMESPACE instead of a connection string */
    bool        insecure, trace, verbose;
    uint32_t    links;             /* producers and consumers at a time; 0, here and below: the library's default */
    uint32_t    timeout_ms;        /* for whatever has no deadline of its own */
    uint32_t    spin_us;           /* how long the loop looks for work before it sleeps */
};

/* The most that a hub of the service's largest tier has. */
#define RH_PARTITIONS_MAX 1024

/* One loop with one client on it. */
struct connection {
    const struct command *command;
    rh_loop       *loop;
    rh_client     *client;
    char          *token; /* read from token_file; NULL: none */
    rh_credential  credential;
    bool           is_guest; /* the loop is another connection's */
    bool           is_quiet; /* losses are counted only; otherwise a line on stderr tells of each */

    rh_time  since;    /* when the first try to connect began */
    bool     was_open; /* once */
    uint64_t losses;   /* of the connection */
    rh_time  lost_at;  /* 0: it is there */
    rh_time  away;     /* all in all, while it was lost */
    bool              answered; /* what rh_cli_hub() asked */
    rh_hub_properties hub;
    rh_error          error;
};

/* The options that every subcommand with a connection has, as getopt_long takes them. */
#define CONNECT_SHORT "c:e:v"
#define CONNECT_LONG \
    { "connection-string", required_argument, NULL, 'c' }, { "event-hub", required_argument, NULL, 'e' }, \
    { "ca", required_argument, NULL, 'A' }, { "insecure", no_argument, NULL, 'I' }, \
    { "token-file", required_argument, NULL, 'K' }, { "trace", no_argument, NULL, 'T' }, \
    { "verbose", no_argument, NULL, 'v' }
#define CONNECT_HELP \
    "  -c, --connection-string CONN  else $EVENT_HUB_CONNECTION_STRING\n" \
    "  -e, --event-hub HUB           else EntityPath of CONN, else $EVENT_HUB_NAME\n" \
    "      --token-file FILE         an access token or signature, with $EVENT_HUB_FULLY_QUALIFIED_NAMESPACE\n" \
    "      --ca FILE                 trust these authorities (PEM); else $SSL_CERT_FILE, else the system's\n" \
    "      --insecure                do not verify the server's certificate\n" \
    "  -v, --verbose                 log to stderr\n" \
    "      --trace                   every frame to stderr\n"

/* Takes one option of getopt_long; false: not one of these. */
bool rh_cli_option(struct connect_opts *opts, int option, const char *value);

/* Makes loop and client. Answers DONE, or says what is wrong and answers FAILED or USAGE. */
int rh_cli_open(struct connection *connection, const struct command *command, const struct connect_opts *opts);

/* The same on the loop of a connection that is open already; that one is closed last. */
int rh_cli_open_beside(struct connection *connection, const struct connection *first, const struct connect_opts *opts);

/*
 * Connects. A way that fails is tried again for two seconds, for the service may just be starting; one that is silent has all of
 * timeout_ms (0: a minute). RH_E_CANCELLED: interrupted.
 */
rh_status rh_cli_connect(struct connection *connection, uint32_t timeout_ms, rh_error *error);

/* Connects and asks about the hub, in timeout_ms (0: a minute) for both; an interrupt ends it. out lives as long as the client. */
rh_status rh_cli_hub(struct connection *connection, rh_hub_properties *out, uint32_t timeout_ms, rh_error *error);

/* How long its connection was away, the time since a loss that still lasts included. */
rh_time rh_cli_away(const struct connection *connection);

/* Says goodbye within two seconds and frees all. */
void rh_cli_close(struct connection *connection);

/* "ringhub NAME: WHAT: RH_E_NAME: words" on one line of stderr; answers FAILED. */
int rh_cli_failed(const struct connection *connection, const char *what, const rh_error *error);

/* An interrupted run ends in order: after SIGINT or SIGTERM this is true, and what waits on the loop wakes up. */
void rh_cli_catch_interrupt(void);
bool rh_cli_interrupted(void);

#endif
